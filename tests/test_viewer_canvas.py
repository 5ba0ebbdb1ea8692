"""The viewer's picture through real Qt events: what is on the screen, pixel by pixel."""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
from semblance.errors import EnvironmentFault

try:
    from PySide6 import QtTest

    from semblance_panel.qt import QtCore, QtGui, QtWidgets
except (ImportError, EnvironmentFault) as error:  # not installed, or a library is missing
    pytest.skip(f"Qt can't be loaded here: {error}", allow_module_level=True)
if sys.platform == "win32":
    pytest.skip("Unix sockets", allow_module_level=True)

from helpers_plates import exr_part, write_exr
from semblance import colour
from semblance.exr import Sequence
from semblance.knobs import Knobs
from semblance.plate import Window
from semblance.worker.client import Link
from semblance_viewer.canvas import Canvas
from semblance_viewer.display import NOT_A_NUMBER, Display, Look, default_look
from semblance_viewer.engine import Engine, rgba
from semblance_viewer.tiles import SIDE, Key

EXAMPLES = Path(__file__).parents[1] / "examples"
PROGRAM = "import sys; from semblance.cli import main; sys.exit(main())"
COMMAND = [sys.executable, "-c", PROGRAM, "serve", "--trust", str(EXAMPLES / "trust")]
LOOK = Look("sRGB - Display", "Un-tone-mapped")
Qt = QtCore.Qt
QTest = QtTest.QTest
Point = QtCore.QPointF


@pytest.fixture(scope="module")
def application() -> QtWidgets.QApplication:
    return QtWidgets.QApplication.instance() or QtWidgets.QApplication([])


@pytest.fixture
def canvas(application: QtWidgets.QApplication) -> Iterator[Canvas]:
    canvas = Canvas()
    canvas.resize(400, 300)
    canvas.set_look(LOOK)
    canvas.show()
    assert QTest.qWaitForWindowExposed(canvas)
    yield canvas
    canvas.close()
    canvas.deleteLater()


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The runtime directory of a worker that trusts the examples' key."""
    folder = tmp_path_factory.mktemp("canvas") / "run"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HOME", str(folder.parent))
        patch.setenv("OMP_NUM_THREADS", "1")
        with Link.open(folder, command=COMMAND, seconds=60.0):
            yield folder
        os.kill(json.loads((folder / "worker-1.json").read_text())["pid"], signal.SIGTERM)


def until(condition: Callable[[], bool], seconds: float = 30.0) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not come"
        QTest.qWait(5)


def on_screen(canvas: Canvas) -> np.ndarray:
    """Red, green and blue of what is painted."""
    image = canvas.grab().toImage().convertToFormat(QtGui.QImage.Format.Format_RGB888)
    rows = np.frombuffer(image.constBits(), np.uint8).reshape(image.height(), -1)
    return rows[:, : 3 * image.width()].reshape(image.height(), image.width(), 3).copy()


def grey(look: Look, value: float) -> int:
    return int(Display(colour.LINEAR, look).show(np.full((1, 1, 4), value, np.float32))[0, 0, 0])


def knobs(**values: object) -> Callable[[int], Knobs]:
    made = Knobs.from_flat(
        {
            "model": str(EXAMPLES / "likeness.onnx"),
            "track_file": str(EXAMPLES / "track.json"),
            "looks": 1,
            **values,
        }
    )
    return lambda frame: made


def ramp(window: Window, seed: int = 0) -> dict[str, np.ndarray]:
    random = np.random.default_rng(seed)
    y, x = np.mgrid[window.y0 : window.y1, window.x0 : window.x1].astype(np.float32)
    light = 0.2 + 0.1 * np.sin(x / 40.0) + 0.1 * np.cos(y / 30.0) + random.normal(0, 0.01, x.shape)
    return {
        name: (light * gain).astype(np.float16)
        for name, gain in zip("RGB", (1.2, 1, 0.7), strict=True)
    }


def opened(
    tmp_path: Path, window: Window, display: Window, frames: int = 1, **attributes: object
) -> Engine:
    for frame in range(1, frames + 1):
        part = exr_part(ramp(window, frame), window=window, display=display, attributes=attributes)
        write_exr(tmp_path / f"plate.{frame:04d}.exr", part)
    return Engine(Sequence.parse(tmp_path / "plate.####.exr"))


@pytest.mark.parametrize(
    "window",
    [Window(0, 0, 640, 480), Window(-70, -40, 700, 500), Window(100, 50, 420, 300)],
    ids=["whole", "overscan", "cropped"],
)
@pytest.mark.parametrize("corner", [(0, 0), (-300, 200)])
def test_at_one_to_one_the_screen_holds_the_plates_own_pixels(
    canvas: Canvas, tmp_path: Path, window: Window, corner: tuple[int, int]
) -> None:
    x, y = corner
    held = Window(window.x0 + x, window.y0 + y, window.x1 + x, window.y1 + y)
    with opened(tmp_path, held, Window(x, y, x + 640, y + 480)) as engine:
        canvas.set_engine(engine)
        canvas.set_compare("plate")
        engine.want(1, None)
        canvas.set_frame(1)
        until(canvas.is_complete)
        canvas.set_zoom(1.0)
        until(canvas.is_complete)
        plate = engine.plate(1)
        expected = Display(colour.LINEAR, LOOK).show(rgba(plate, plate.window))[..., :3]
        corner = canvas.to_widget(Point(window.x0, window.y0))
        left, top = round(corner.x()), round(corner.y())
        seen = Window(0, 0, 400, 300).intersection(
            Window(left, top, left + window.width, top + window.height)
        )
        rows, columns = seen.slices(Window(left, top, left, top))
        screen = on_screen(canvas)[seen.y0 : seen.y1, seen.x0 : seen.x1]
        inside = (slice(2, -2), slice(2, -2))  # the display window's line
        margin = (screen != expected[rows, columns]).any(axis=2)
        if window.width >= 640:
            assert not margin[inside].any()
        assert margin.mean() < 0.02


def test_a_new_result_costs_its_own_tiles_alone(canvas: Canvas, home: Path) -> None:
    plates = Sequence.parse(EXAMPLES / "plate.####.exr")
    canvas.resize(960, 540)
    with Engine(plates, directory=home, command=COMMAND) as engine:
        canvas.set_engine(engine)
        drawn: list[int] = []
        canvas.drawn.connect(drawn.append)
        engine.want(1004, knobs())
        canvas.set_frame(1004)
        until(lambda: engine.fresh(1004) and canvas.is_complete())
        assert canvas.zoom() == 1.0
        plate, first = engine.plate(1004), engine.result(1004)
        expected = rgba(plate, plate.window)
        expected[first.window.slices(plate.window)] = first.pixels
        screen = on_screen(canvas)
        assert (screen == Display(colour.LINEAR, LOOK).show(expected)[..., :3]).all()
        places = [
            Key(1004, layer, 0, column, row)
            for layer in ("plate", "result")
            for column in range(4)
            for row in range(3)
        ]
        before = {place: engine.pool.get(place) for place in places}
        del drawn[:]
        engine.want(1004, knobs(mix=0.4))
        until(lambda: engine.fresh(1004) and canvas.is_complete())
        assert drawn == [1004]
        assert (on_screen(canvas) != screen).any()
        touched = engine.result(1004).window
        for place, tile in before.items():
            side = Window(
                SIDE * place.column, SIDE * place.row, SIDE * (place.column + 1),
                SIDE * (place.row + 1),
            )  # fmt: skip
            new = place.layer == "result" and not touched.intersection(side).empty
            assert (engine.pool.get(place) is not tile) == new, place
        canvas.set_engine(None)


def test_wipe_and_difference(canvas: Canvas, home: Path) -> None:
    plates = Sequence.parse(EXAMPLES / "plate.####.exr")
    canvas.resize(960, 540)
    with Engine(plates, directory=home, command=COMMAND) as engine:
        canvas.set_engine(engine)
        engine.want(1004, knobs())
        canvas.set_frame(1004)
        pictures = {}
        for mode in ("plate", "result", "wipe", "difference"):
            canvas.set_compare(mode)
            until(lambda: engine.fresh(1004) and canvas.is_complete())
            pictures[mode] = on_screen(canvas)
        assert (pictures["wipe"][:, :478] == pictures["plate"][:, :478]).all()
        assert (pictures["wipe"][:, 482:] == pictures["result"][:, 482:]).all()
        changed = (pictures["plate"].astype(int) != pictures["result"]).any(axis=2)
        differs = pictures["difference"].any(axis=2)
        assert differs[changed].mean() > 0.9
        window = engine.result(1004).window
        differs[window.y0 : window.y1, window.x0 : window.x1] = False
        assert not differs.any()
        # The line is where it is dragged to.
        canvas.set_compare("wipe")
        QTest.mousePress(canvas, Qt.MouseButton.LeftButton, pos=QtCore.QPoint(480, 100))
        QTest.mouseMove(canvas, QtCore.QPoint(300, 100))
        QTest.mouseRelease(canvas, Qt.MouseButton.LeftButton, pos=QtCore.QPoint(300, 100))
        until(canvas.is_complete)
        assert (on_screen(canvas)[:, 304:] == pictures["result"][:, 304:]).all()
        canvas.set_engine(None)


def test_an_anamorphic_plate_is_shown_in_square_pixels(canvas: Canvas, tmp_path: Path) -> None:
    window = Window(0, 0, 200, 200)
    with opened(tmp_path, window, window, pixelAspectRatio=2.0) as engine:
        canvas.set_engine(engine)
        engine.want(1, None)
        canvas.set_frame(1)
        until(canvas.is_complete)
        assert canvas.zoom() == 1.0  # 400 × 200 in 400 × 300
        low = canvas.to_widget(Point(200.0, 200.0))
        assert (low.x(), low.y()) == (400.0, 250.0)
        for point in (Point(0.0, 0.0), Point(17.5, 133.25)):
            there = canvas.to_plate(canvas.to_widget(point))
            assert abs(there.x() - point.x()) + abs(there.y() - point.y()) < 1e-9
        screen = on_screen(canvas)[60:240]
        assert (screen[:, 0::2] == screen[:, 1::2]).all()
        canvas.set_engine(None)


def test_zoom_keeps_what_is_under_the_pointer_and_a_drag_carries_it(
    canvas: Canvas, tmp_path: Path
) -> None:
    window = Window(0, 0, 1500, 1100)
    with opened(tmp_path, window, window) as engine:
        canvas.set_engine(engine)
        engine.want(1, None)
        canvas.set_frame(1)
        until(canvas.is_complete)
        pointed: list[tuple[float, float]] = []
        canvas.pointed.connect(lambda x, y: pointed.append((x, y)))
        at = Point(123.0, 77.0)
        fitted, under = canvas.zoom(), canvas.to_plate(at)
        for scale in (1.0, 3.7, 0.4, 11.0):
            canvas.set_zoom(scale, at)
            now = canvas.to_plate(at)
            # A display pixel is the finest step.
            assert abs(now.x() - under.x()) < 1.0 / scale + 1.0 / fitted
            under = now
        canvas.set_zoom(1.0)
        under = canvas.to_plate(at)
        middle = Qt.MouseButton.MiddleButton
        QTest.mousePress(canvas, middle, pos=at.toPoint())
        QTest.mouseMove(canvas, QtCore.QPoint(223, 27))
        QTest.mouseRelease(canvas, middle, pos=QtCore.QPoint(223, 27))
        assert canvas.to_plate(Point(223.0, 27.0)) == under
        assert pointed[-1] == (under.x(), under.y())
        QTest.keyClick(canvas, Qt.Key.Key_F)
        assert canvas.zoom() == fitted
        QTest.keyClick(canvas, Qt.Key.Key_1, Qt.KeyboardModifier.ControlModifier)
        assert canvas.zoom() == 1.0
        # Every level of the pyramid shows the same picture.
        plate = engine.plate(1)
        mean = rgba(plate, plate.window)[..., 1].mean()
        for scale in (0.25, 0.11):
            canvas.set_zoom(scale)
            until(canvas.is_complete)
            corner, low = (canvas.to_widget(Point(*each)) for each in ((0, 0), (1500, 1100)))
            rows = slice(max(round(corner.y()), 0), round(low.y()))
            columns = slice(max(round(corner.x()), 0), round(low.x()))
            box = on_screen(canvas)[rows, columns]
            assert abs(float(np.median(box[..., 1])) - grey(LOOK, float(mean))) < 12
        canvas.set_engine(None)


def test_cached_frames_are_on_the_screen_at_once_and_others_never_blank_it(
    canvas: Canvas, tmp_path: Path
) -> None:
    window = Window(0, 0, 400, 300)
    with opened(tmp_path, window, window, frames=6) as engine:
        canvas.set_engine(engine)
        canvas.set_compare("plate")
        engine.want(1, None, (2, 3, 4))
        canvas.set_frame(1)
        until(canvas.is_complete)
        keys = [Key(frame, "plate", 0, x, y) for frame in (2, 3, 4) for x in (0, 1) for y in (0, 1)]
        until(lambda: all(engine.pool.get(key) is not None for key in keys))
        for frame in (2, 3, 4):
            canvas.set_frame(frame)  # and no event in between
            plate = engine.plate(frame)
            expected = Display(colour.LINEAR, LOOK).show(rgba(plate, plate.window))[..., :3]
            assert (on_screen(canvas) == expected).all()
        last = on_screen(canvas)
        canvas.set_frame(5)
        assert (on_screen(canvas) == last).all()
        assert not canvas.is_complete()
        engine.want(5, None)
        until(canvas.is_complete)
        assert (on_screen(canvas) != last).any()
        canvas.set_engine(None)


def test_bad_pixels_and_bad_frames_are_shown_as_such(canvas: Canvas, tmp_path: Path) -> None:
    window = Window(0, 0, 400, 300)
    channels = ramp(window)
    channels["G"][150, 200], channels["R"][10, 10] = np.nan, np.inf
    write_exr(tmp_path / "plate.0001.exr", exr_part(channels, window=window, display=window))
    (tmp_path / "plate.0002.exr").write_bytes(b"no picture at all")
    with Engine(Sequence.parse(tmp_path / "plate.####.exr")) as engine:
        canvas.set_engine(engine)
        canvas.set_look(default_look())
        engine.want(1, None)
        canvas.set_frame(1)
        until(canvas.is_complete)
        good = on_screen(canvas)
        assert tuple(good[150, 200]) == NOT_A_NUMBER
        assert good[10, 10, 0] > 250
        engine.want(2, None)
        canvas.set_frame(2)
        until(lambda: engine.reason(2) != "")
        until(lambda: (on_screen(canvas) != good).any())
        assert "plate.0002.exr" in engine.reason(2)
        engine.want(1, None)
        canvas.set_frame(1)
        until(canvas.is_complete)
        assert (on_screen(canvas) == good).all()
        canvas.set_look(Look("sRGB - Display", "Un-tone-mapped", exposure=2.0))
        until(canvas.is_complete)
        assert on_screen(canvas).mean() > good.mean()
        canvas.set_engine(None)


def test_a_tool_sees_what_the_canvas_does_not_take(canvas: Canvas, tmp_path: Path) -> None:
    class Marks:
        def __init__(self) -> None:
            self.seen: list[str] = []

        def paint(self, painter: QtGui.QPainter, canvas: Canvas) -> None:
            painter.fillRect(QtCore.QRectF(canvas.to_widget(Point(50, 50)), QtCore.QSizeF(9, 9)),
                             QtGui.QColor(0, 255, 0))  # fmt: skip

        def press(self, event: QtGui.QMouseEvent, canvas: Canvas) -> bool:
            return bool(self.seen.append("press") or True)

        def move(self, event: QtGui.QMouseEvent, canvas: Canvas) -> bool:
            return bool(self.seen.append("move") or True)

        def release(self, event: QtGui.QMouseEvent, canvas: Canvas) -> bool:
            return bool(self.seen.append("release") or True)

        def double_click(self, event: QtGui.QMouseEvent, canvas: Canvas) -> bool:
            return False

        def key(self, event: QtGui.QKeyEvent, canvas: Canvas) -> bool:
            return event.key() == Qt.Key.Key_Backspace

        def frame_changed(self, frame: int) -> None:
            self.seen.append(f"frame {frame}")

    window = Window(0, 0, 400, 300)
    with opened(tmp_path, window, window) as engine:
        tool = Marks()
        canvas.set_engine(engine)
        canvas.set_tool(tool)
        engine.want(1, None)
        canvas.set_frame(1)
        until(canvas.is_complete)
        assert tuple(on_screen(canvas)[55, 55]) == (0, 255, 0)
        del tool.seen[1:]
        at = QtCore.QPoint(70, 70)
        QTest.mousePress(canvas, Qt.MouseButton.LeftButton, pos=at)
        QTest.mouseRelease(canvas, Qt.MouseButton.LeftButton, pos=at)
        assert [each for each in tool.seen if each != "move"] == ["frame 1", "press", "release"]
        QTest.mousePress(canvas, Qt.MouseButton.MiddleButton, pos=at)
        QTest.mouseRelease(canvas, Qt.MouseButton.MiddleButton, pos=at)
        assert tool.seen.count("press") == 1
        canvas.set_engine(None)
