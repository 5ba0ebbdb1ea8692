"""The roto and landmark tools by real mouse and key events; what they write is what is rendered."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
from semblance.errors import EnvironmentFault, OutputError, RotoError, TrackError

try:
    from PySide6 import QtTest

    from semblance_panel.qt import QtCore, QtGui, QtWidgets
except (ImportError, EnvironmentFault) as error:  # not installed, or a library is missing
    pytest.skip(f"Qt can't be loaded here: {error}", allow_module_level=True)

from conftest import a_face
from semblance.exr import Sequence, write_plate
from semblance.face import Track
from semblance.plate import Plate, Window
from semblance.roto import Point, Shape, ShapeKey, Shapes, load_shapes, rasterise, save_shapes
from semblance.track.file import load_track, save_track
from semblance.track.smooth import smooth
from semblance_panel import style
from semblance_viewer import drawing
from semblance_viewer.canvas import Canvas
from semblance_viewer.engine import Engine
from semblance_viewer.history import History, Writer
from semblance_viewer.landmark_tool import LandmarkTool
from semblance_viewer.roto_tool import RotoTool

Qt = QtCore.Qt
QTest = QtTest.QTest
LEFT = Qt.MouseButton.LeftButton
NONE = Qt.KeyboardModifier.NoModifier
CTRL = Qt.KeyboardModifier.ControlModifier
SHIFT = Qt.KeyboardModifier.ShiftModifier
ALT = Qt.KeyboardModifier.AltModifier
SIZE = (400, 300)
WHOLE = Window(0, 0, *SIZE)
FRAMES = tuple(range(1, 21))
BOX = [(100.0, 80.0), (220.0, 80.0), (220.0, 200.0), (100.0, 200.0)]


class Sheet(Canvas):
    """The viewer's own canvas, and hands over it that know the pixels of the plate."""

    tool: RotoTool | LandmarkTool | None = None

    def hold(self, tool: RotoTool | LandmarkTool) -> None:
        """Lay a tool over the picture."""
        if self.tool is not None:
            self.tool.close()
        self.tool = tool
        self.set_tool(tool)

    def place(self, x: float, y: float) -> QtCore.QPoint:
        return self.to_widget(QtCore.QPointF(x, y)).toPoint()

    def click(self, x: float, y: float, keys: Qt.KeyboardModifier = NONE) -> None:
        QTest.mouseClick(self, LEFT, keys, self.place(x, y))

    def drag(
        self, start: tuple[float, float], end: tuple[float, float],
        keys: Qt.KeyboardModifier = NONE, steps: int = 4,
    ) -> None:  # fmt: skip
        QTest.mousePress(self, LEFT, keys, self.place(*start))
        for step in range(1, steps + 1):
            x, y = (a + (b - a) * step / steps for a, b in zip(start, end, strict=True))
            local = QtCore.QPointF(self.place(x, y))
            event = QtGui.QMouseEvent(
                QtCore.QEvent.Type.MouseMove, local, self.mapToGlobal(local),
                Qt.MouseButton.NoButton, LEFT, keys,
            )  # fmt: skip
            QtWidgets.QApplication.sendEvent(self, event)
        QTest.mouseRelease(self, LEFT, keys, self.place(*end))

    def press(self, key: Qt.Key, keys: Qt.KeyboardModifier = NONE) -> None:
        QTest.keyClick(self, key, keys)


@pytest.fixture(scope="module")
def application() -> QtWidgets.QApplication:
    application = QtWidgets.QApplication.instance() or QtWidgets.QApplication([])
    style.dress(application)
    return application


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    """A shot of grey plates; without knobs no worker is asked."""
    plates = Sequence.parse(tmp_path_factory.mktemp("plates") / "plate.####.exr")
    grey = np.full((SIZE[1], SIZE[0]), 0.05, np.float16)
    for frame in FRAMES:
        write_plate(Plate(dict.fromkeys("RGB", grey), WHOLE, WHOLE), plates.path(frame))
    engine = Engine(plates)
    yield engine
    engine.close()


@pytest.fixture
def sheet(application: QtWidgets.QApplication, engine: Engine) -> Iterator[Sheet]:
    sheet = Sheet()
    sheet.resize(840, 640)
    sheet.show()
    show(sheet, engine, 1)
    sheet.set_zoom(2.0)
    yield sheet
    if sheet.tool is not None:
        sheet.tool.close()
    sheet.set_tool(None)
    sheet.shut()
    sheet.close()
    sheet.deleteLater()
    application.processEvents()


def show(sheet: Sheet, engine: Engine, frame: int) -> None:
    """Show a frame of the shot, and wait for it."""
    if sheet.frame() < 0:
        sheet.set_engine(engine)
    engine.want(frame, None)
    sheet.set_frame(frame)
    for _ in range(500):
        if sheet.is_complete():
            return
        QTest.qWait(10)
    raise AssertionError(f"frame {frame} was not shown")


def roto(sheet: Sheet, path: Path, frame: int = 1) -> RotoTool:
    tool = RotoTool(path, SIZE, frame)
    sheet.hold(tool)
    return tool


def saved(tool: RotoTool) -> Shapes:
    """What the file holds, once it holds what is drawn."""
    assert tool.flush()
    return load_shapes(tool.path, size=SIZE)


def matte(shapes: Shapes, frame: int = 1) -> np.ndarray:
    drawn = rasterise(shapes, frame, WHOLE)
    pixels = np.zeros((WHOLE.height, WHOLE.width), np.float32)
    if drawn is not None and not drawn.window.empty:
        pixels[drawn.window.slices(WHOLE)] = drawn.pixels
    return pixels


def boxed(sheet: Sheet, path: Path) -> RotoTool:
    """A tool with a box that was clicked."""
    tool = roto(sheet, path)
    for x, y in BOX:
        sheet.click(x, y)
    sheet.click(*BOX[0])
    return tool


# ---------------------------------------------------------------------------------------- roto


def test_clicks_make_a_shape_that_is_in_the_file_and_in_the_matte(sheet, tmp_path, application):
    tool = boxed(sheet, tmp_path / "shapes.json")
    told = []
    tool.changed.connect(lambda: told.append(threading.current_thread() is threading.main_thread()))
    held = saved(tool)
    assert [point[:2] for point in held.shapes[0].keys[1].points] == BOX
    there = matte(held)
    assert there[140, 160] == 1.0
    assert there[79, 160] == 0.0
    assert there.sum() == pytest.approx(120 * 120, abs=1.0)
    assert not tool.is_drawing
    sheet.drag((160.0, 140.0), (170.0, 140.0))
    saved(tool)
    application.processEvents()
    assert told
    assert all(told), "listeners are told in their own thread"


def test_a_dragged_click_has_a_tangent_and_a_circle_is_round(sheet, tmp_path):
    tool = roto(sheet, tmp_path / "shapes.json")
    for x, y, along in ((160, 60, (33, 0)), (220, 120, (0, 33)),
                        (160, 180, (-33, 0)), (100, 120, (0, -33))):  # fmt: skip
        sheet.drag((x, y), (x + along[0], y + along[1]))
    sheet.press(Qt.Key.Key_Return)
    held = saved(tool)
    assert held.shapes[0].keys[1].points[0] == Point(160.0, 60.0, -33.0, 0.0, 33.0, 0.0)
    assert matte(held).sum() == pytest.approx(np.pi * 60.0**2, rel=0.005)


def test_points_tangents_shape_and_feather_are_dragged(sheet, tmp_path):
    tool = boxed(sheet, tmp_path / "shapes.json")
    sheet.drag(BOX[1], (240.0, 70.0))
    assert saved(tool).shapes[0].keys[1].points[1][:2] == (240.0, 70.0)
    QTest.mouseDClick(sheet, LEFT, NONE, sheet.place(240.0, 70.0))
    smooth_one = saved(tool).shapes[0].keys[1].points[1]
    assert smooth_one.out_x == pytest.approx(-smooth_one.in_x)
    assert smooth_one.out_y > 0.0
    end = (smooth_one.x + smooth_one.out_x, smooth_one.y + smooth_one.out_y)
    sheet.drag(end, (end[0], end[1] + 10.0))
    pulled = saved(tool).shapes[0].keys[1].points[1]
    assert pulled.out_y == pytest.approx(smooth_one.out_y + 10.0, abs=0.5)
    cross = pulled.out_x * pulled.in_y - pulled.out_y * pulled.in_x
    assert cross == pytest.approx(0.0, abs=1e-2), "the other side stays in line"
    end = (pulled.x + pulled.out_x, pulled.y + pulled.out_y)
    sheet.drag(end, (end[0] + 12.0, end[1]), ALT)
    broken = saved(tool).shapes[0].keys[1].points[1]
    assert (broken.in_x, broken.in_y) == (pulled.in_x, pulled.in_y)
    before = [point[:2] for point in saved(tool).shapes[0].keys[1].points]
    sheet.drag((160.0, 150.0), (150.0, 155.0))
    after = [point[:2] for point in saved(tool).shapes[0].keys[1].points]
    assert np.array(after) - before == pytest.approx(np.broadcast_to((-10.0, 5.0), (4, 2)))


@pytest.mark.parametrize("pixels", [12.0, -15.0])
def test_the_feather_is_dragged_outward_and_inward(sheet, tmp_path, pixels):
    tool = boxed(sheet, tmp_path / "shapes.json")
    corner, way = np.array(BOX[1]), np.array((0.7071, -0.7071))
    handle = corner + 11.0 * way
    end = handle + pixels * way if pixels > 0 else corner + pixels * way
    sheet.drag(tuple(handle), tuple(end))
    held = saved(tool).shapes[0].keys[1].feather
    assert held == pytest.approx(pixels, abs=1.0)
    edge = matte(saved(tool))[140, 200:260]
    assert 3 < ((edge > 0.02) & (edge < 0.98)).sum() <= abs(pixels) + 1


def test_points_are_put_in_and_taken_out_without_a_change_of_the_outline(sheet, tmp_path):
    tool = boxed(sheet, tmp_path / "shapes.json")
    before = matte(saved(tool))
    sheet.click(160.0, 80.0, CTRL)
    held = saved(tool)
    assert len(held.shapes[0].keys[1].points) == 5
    assert np.abs(matte(held) - before).max() < 1e-3
    sheet.press(Qt.Key.Key_Delete)
    assert [point[:2] for point in saved(tool).shapes[0].keys[1].points] == BOX
    sheet.press(Qt.Key.Key_A, CTRL)
    assert tool.chosen_points == frozenset(range(4))
    sheet.press(Qt.Key.Key_Right, SHIFT)
    assert saved(tool).shapes[0].keys[1].points[0][:2] == (110.0, 80.0)
    sheet.press(Qt.Key.Key_Delete)
    assert saved(tool).shapes == ()


def test_a_change_at_another_frame_is_a_key_there(sheet, engine, tmp_path):
    tool = boxed(sheet, tmp_path / "shapes.json")
    show(sheet, engine, 11)
    sheet.drag((160.0, 140.0), (180.0, 140.0))
    held = saved(tool).shapes[0]
    assert sorted(held.keys) == [1, 11]
    assert held.at(6).points[0].x == pytest.approx(110.0)
    tool.remove_key()
    assert sorted(saved(tool).shapes[0].keys) == [1]
    tool.remove_key()
    assert sorted(saved(tool).shapes[0].keys) == [1], "the last key stays"


def test_every_step_is_undone_and_done_again_and_the_file_follows(sheet, tmp_path):
    tool = boxed(sheet, tmp_path / "shapes.json")
    states = [saved(tool)]
    sheet.drag(BOX[0], (90.0, 70.0), steps=9)
    states.append(saved(tool))
    tool.set_feather(9.0)
    states.append(saved(tool))
    tool.set_operation("subtract")
    states.append(saved(tool))
    sheet.press(Qt.Key.Key_Escape)
    for state in reversed(states[:-1]):
        sheet.press(Qt.Key.Key_Z, CTRL)
        assert saved(tool) == state
    sheet.press(Qt.Key.Key_Z, CTRL)
    assert saved(tool).shapes == ()
    assert not tool.can_undo
    for state in states:
        sheet.press(Qt.Key.Key_Z, CTRL | SHIFT)
        assert saved(tool) == state
    assert not tool.can_redo


def test_a_new_shape_is_left_taken_back_or_closed_by_keys(sheet, tmp_path):
    tool = roto(sheet, tmp_path / "shapes.json")
    assert tool.is_drawing
    sheet.click(50.0, 50.0)
    sheet.press(Qt.Key.Key_Backspace)
    assert not tool.can_undo
    sheet.click(60.0, 60.0)
    sheet.press(Qt.Key.Key_Escape)
    assert not tool.is_drawing
    assert tool.shapes.shapes == ()
    tool.begin("bspline")
    for x, y in BOX:
        sheet.click(x, y)
    sheet.press(Qt.Key.Key_Return)
    held = saved(tool)
    assert held.shapes[0].kind == "bspline"
    assert 0.0 < matte(held).sum() < 120 * 120


def test_a_click_chooses_the_shape_under_it_and_nothing_where_there_is_none(sheet, tmp_path):
    keys = [ShapeKey(tuple(Point(x + by, y) for x, y in BOX)) for by in (0.0, 150.0)]
    save_shapes(Shapes(SIZE, tuple(Shape(f"s{i}", {1: k}) for i, k in enumerate(keys))),
                tmp_path / "two.json")  # fmt: skip
    tool = roto(sheet, tmp_path / "two.json")
    assert not tool.is_drawing
    sheet.click(300.0, 150.0)
    assert tool.chosen.name == "s1"
    sheet.click(150.0, 150.0)
    assert tool.chosen.name == "s0"
    sheet.click(30.0, 30.0)
    assert tool.chosen is None
    assert not tool.can_undo


def test_the_options_show_and_change_the_shape(sheet, tmp_path):
    tool = boxed(sheet, tmp_path / "shapes.json")
    options = tool.options()
    options.feather.setValue(7.0)
    options.opacity.setValue(0.5)
    options.operation.setCurrentIndex(1)
    options.operation.activated.emit(1)
    shape = saved(tool).shapes[0]
    assert (shape.keys[1].feather, shape.keys[1].opacity, shape.operation) == (7.0, 0.5, "subtract")
    tool.undo()
    tool.undo()
    assert options.opacity.value() == 1.0
    assert options.feather.value() == 7.0
    assert not options.no_key.isEnabled()
    sheet.press(Qt.Key.Key_Escape)
    assert not options.feather.isEnabled()
    options.bspline.click()
    assert tool.is_drawing
    options.deleteLater()


def test_it_draws_every_state(sheet, tmp_path):
    tool = boxed(sheet, tmp_path / "shapes.json")
    tool.set_feather(14.0)
    QTest.mouseDClick(sheet, LEFT, NONE, sheet.place(*BOX[2]))
    tool.begin("bezier")
    sheet.drag((300.0, 60.0), (320.0, 70.0))
    sheet.click(350.0, 120.0)
    image = sheet.grab().toImage()
    colours = {image.pixelColor(*sheet.place(x, 80.0).toTuple()).name() for x in range(105, 215, 2)}
    assert any(QtGui.QColor(each).green() > 90 for each in colours)
    white = sheet.place(300.0, 60.0)
    assert image.pixelColor(white).lightness() > 200


def test_a_file_of_another_plate_is_refused_and_one_that_cant_be_written_is_told(
    sheet, tmp_path, application
):
    save_shapes(Shapes((64, 48)), tmp_path / "other.json")
    with pytest.raises(RotoError, match="64 × 48"):
        RotoTool(tmp_path / "other.json", SIZE, 1)
    tool = roto(sheet, tmp_path / "gone" / "shapes.json")
    said: list[str] = []
    tool.failed.connect(said.append)
    for x, y in BOX:
        sheet.click(x, y)
    sheet.press(Qt.Key.Key_Return)
    assert tool.flush()
    application.processEvents()
    assert "can't be written" in said[0]


def test_a_b_spline_and_a_bezier_shape_survive_every_change_of_the_model():
    for kind in ("bezier", "bspline"):
        points = tuple(Point(x, y) for x, y in BOX)
        shape = Shape("a", {1: ShapeKey(points), 9: ShapeKey(points, 3.0)}, kind)
        more = drawing.inserted(shape, 3, 0.5)
        assert {len(key.points) for key in more.keys.values()} == {5}
        assert drawing.without(more, {4}) == shape
        assert drawing.without(shape, {0, 1, 2}) is None
        moved = drawing.shifted(shape, 5, {0}, 1e9, 0.0)
        assert moved.keys[5].points[0].x == 100_000.0, "a file's limits hold"
        assert drawing.above(shape, 1, 160.0, 140.0)
        assert not drawing.above(shape, 1, 10.0, 140.0)


# ----------------------------------------------------------------------------------- landmarks


def track_file(path: Path, lost: tuple[int, ...] = ()) -> Path:
    faces = {
        frame: replace(a_face((180.0 + frame, 140.0), width=160.0), source="native")
        for frame in FRAMES
        if frame not in lost
    }
    save_track(Track(faces, SIZE, frames=FRAMES), path)
    return path


def landmarks(sheet: Sheet, path: Path, engine: Engine) -> LandmarkTool:
    show(sheet, engine, 10)
    tool = LandmarkTool(path, 0, 10, lambda: 1.0)
    sheet.hold(tool)
    settle(tool)
    return tool


def settle(tool: LandmarkTool) -> None:
    assert tool.flush()
    QtWidgets.QApplication.processEvents()


def rendered(tool: LandmarkTool, frame: int) -> np.ndarray:
    """Landmarks as a render finds them in the file."""
    settle(tool)
    return smooth(load_track(tool.path), 1.0).faces[frame].landmarks


def test_a_dragged_landmark_is_a_hand_key_of_the_file(sheet, engine, tmp_path):
    tool = landmarks(sheet, track_file(tmp_path / "track.json"), engine)
    plain = {frame: rendered(tool, frame) for frame in (10, 12, 15)}
    before = plain[10]
    start = tuple(before[30])
    sheet.drag(start, (start[0] + 6.0, start[1] - 4.0))
    after = rendered(tool, 10)
    step = after - before
    assert step[30] == pytest.approx((6.0, -4.0), abs=0.3)
    assert np.abs(np.delete(step, 30, axis=0)).max() < 1e-9
    assert tool.landmarks() == pytest.approx(after, abs=1e-3)
    beside, away = (rendered(tool, n) - plain[n] for n in (12, 15))
    assert beside[30] == pytest.approx(0.648 * step[30], abs=1e-3)  # smoothstep(1 - 2 / 5)
    assert (away == 0.0).all()
    assert load_track(tool.path).hand.keys() == {10}
    sheet.press(Qt.Key.Key_Right, ALT)
    assert rendered(tool, 10)[30, 0] == pytest.approx(after[30, 0] + 0.1, abs=1e-3)


def test_the_whole_face_is_dragged_and_some_landmarks_together(sheet, engine, tmp_path):
    tool = landmarks(sheet, track_file(tmp_path / "track.json"), engine)
    before = rendered(tool, 10)
    inside = tuple(before[[29, 2]].mean(axis=0))
    sheet.drag(inside, (inside[0] + 10.0, inside[1] + 5.0))
    after = rendered(tool, 10)
    assert after - before == pytest.approx(np.broadcast_to((10.0, 5.0), (68, 2)), abs=0.3)
    sheet.click(*after[8])
    sheet.click(*after[57], SHIFT)
    assert tool.chosen_points == {8, 57}
    sheet.press(Qt.Key.Key_Down, SHIFT)
    both = rendered(tool, 10) - after
    assert both[[8, 57]] == pytest.approx(np.array([[0.0, 10.0]] * 2), abs=1e-3)
    assert np.abs(np.delete(both, [8, 57], axis=0)).max() < 1e-3


def test_a_nudge_is_undone_done_again_and_taken_out(sheet, engine, tmp_path):
    path = track_file(tmp_path / "track.json")
    untouched = path.read_text()
    tool = landmarks(sheet, path, engine)
    start = tuple(rendered(tool, 10)[30])
    sheet.drag(start, (start[0] + 6.0, start[1]))
    moved = rendered(tool, 10)
    sheet.press(Qt.Key.Key_Z, CTRL)
    settle(tool)
    assert path.read_text() == untouched
    assert tool.landmarks()[30] == pytest.approx(start)
    sheet.press(Qt.Key.Key_Z, CTRL | SHIFT)
    assert rendered(tool, 10) == pytest.approx(moved)
    options = tool.options()
    options.blend.setValue(2)
    settle(tool)
    assert load_track(path).hand[10].blend == 2
    assert "10" in options.told.text()
    options.remove.click()
    settle(tool)
    assert path.read_text() == untouched
    assert not options.remove.isEnabled()
    options.deleteLater()


def test_where_the_face_was_lost_a_dragged_one_stands(sheet, engine, tmp_path):
    lost = tuple(range(6, 16))
    tool = landmarks(sheet, track_file(tmp_path / "track.json", lost), engine)
    assert tool.landmarks() is None
    ghost = load_track(tool.path).faces[5].landmarks
    inside = tuple(ghost[[29, 2]].mean(axis=0))
    sheet.grab()
    sheet.drag(inside, (inside[0] + 8.0, inside[1]))
    settle(tool)
    face = smooth(load_track(tool.path), 1.0).faces[10]
    assert face.source == "hand"
    assert face.landmarks - ghost == pytest.approx(np.broadcast_to((8.0, 0.0), (68, 2)), abs=1.0)
    image = sheet.grab().toImage()
    drawn = sheet.place(*face.landmarks[8])
    assert image.pixelColor(drawn).lightness() > 60


def test_a_table_and_no_track_are_refused(application, tmp_path):
    for path, said in ((tmp_path / "t.csv", "holds no hand keys"), (Path(), "Track the plate"),
                       (tmp_path / "gone.json", "no track file")):  # fmt: skip
        with pytest.raises(TrackError, match=said):
            LandmarkTool(path, 0, 1, lambda: 1.0)


# ------------------------------------------------------------------------------------- history


def test_steps_of_one_gesture_are_undone_together():
    history = History(0)
    drag = object()
    for value in (1, 2, 3):
        history.do(value, drag)
    history.do(4)
    assert history.undo()
    assert history.now == 3
    assert history.undo()
    assert history.now == 0
    assert not history.undo()
    assert history.redo()
    assert history.now == 3
    history.do(9)
    assert not history.can_redo


def test_of_what_waits_only_the_newest_is_written_and_a_failure_is_told():
    begun, go = threading.Event(), threading.Event()
    done: list[int] = []
    told: list[str] = []
    writer = Writer(told.append)

    def slow() -> None:
        begun.set()
        go.wait(5.0)
        done.append(0)

    def refused() -> None:
        raise OutputError("no room", "Make some.")

    writer.put(slow)
    assert begun.wait(5.0)
    for number in (1, 2, 3):
        writer.put(lambda number=number: done.append(number))
    go.set()
    assert writer.flush()
    assert done == [0, 3]
    writer.put(refused)
    writer.close()
    assert told == ["", "", "no room. Make some."]
    writer.put(lambda: done.append(9))
    assert writer.flush()
    assert done == [0, 3]
