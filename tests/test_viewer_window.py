"""The viewer as an artist meets it: real windows, a real worker, `semblance apply` beside it."""

from __future__ import annotations

import json
import os
import shutil
import signal
import struct
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
from semblance.errors import EnvironmentFault, InputError, SequenceError

try:
    from PySide6 import QtTest

    from semblance_panel.qt import QtCore, QtGui, QtWidgets
except (ImportError, EnvironmentFault) as error:  # not installed, or a library is missing
    pytest.skip(f"Qt can't be loaded here: {error}", allow_module_level=True)
if sys.platform == "win32":
    pytest.skip("Unix sockets", allow_module_level=True)

from helpers_plates import leftovers
from semblance.cli import main
from semblance.exr import Sequence, read_plate
from semblance.exr.attribute import Attribute
from semblance.preset import load_preset
from semblance.track.file import load_track
from semblance_panel import style
from semblance_panel.pages import ModelPage
from semblance_panel.rows import NumberRow
from semblance_viewer.display import default_look, displays
from semblance_viewer.landmark_tool import LandmarkTool
from semblance_viewer.opening import FPS, frames_per_second, kind_of, shot_of
from semblance_viewer.player import Player
from semblance_viewer.renderjob import Ended, Order, Step, start
from semblance_viewer.services import Trust
from semblance_viewer.window import Viewer

Qt = QtCore.Qt
QTest = QtTest.QTest
LEFT = Qt.MouseButton.LeftButton
NONE = Qt.KeyboardModifier.NoModifier
ROOT = Path(__file__).parents[1]
EXAMPLES = ROOT / "examples"
TRUST = Trust((EXAMPLES / "trust",))
PLATES = Sequence.parse(EXAMPLES / "plate.####.exr")
PROGRAM = [sys.executable, "-c", "import sys; from semblance.cli import main; sys.exit(main())"]


@pytest.fixture(scope="module")
def application() -> QtWidgets.QApplication:
    application = QtWidgets.QApplication.instance() or QtWidgets.QApplication([])
    assert isinstance(application, QtWidgets.QApplication)
    style.dress(application)
    return application


@pytest.fixture(scope="module")
def window(
    application: QtWidgets.QApplication, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Viewer]:
    """A window with a worker of its own that trusts the examples' key."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HOME", str(tmp_path_factory.mktemp("home")))
        patch.setenv("OMP_NUM_THREADS", "1")
        viewer = Viewer(displays(), default_look(), trust=TRUST, cache_mb=512.0)
        viewer.resize(1280, 800)
        viewer.show()
        viewer.activateWindow()
        assert QTest.qWaitForWindowExposed(viewer)
        yield viewer
        viewer.presets.begin_with(None, {})
        viewer.hide()
        viewer.shutdown()
        assert viewer.worker.directory is None


@pytest.fixture
def viewer(window: Viewer) -> Viewer:
    """The same window, as it is when it opens."""
    window.hands.choose("")
    window.model.reset(window.panel.rows())
    window.presets.path = None
    window.presets.begin_with(None, {})
    window.info.say("")
    window.compare_bar.set_mode("result")
    window.player.stop()
    return window


@pytest.fixture
def loaded(viewer: Viewer) -> Viewer:
    """The window with the examples in it, at rest."""
    viewer.presets.begin_with(None, example_knobs())
    viewer.open(EXAMPLES / "plate.####.exr")
    rested(viewer)
    return viewer


def example_knobs() -> dict[str, Any]:
    return {
        "model": str(EXAMPLES / "likeness.onnx"),
        "track_file": str(EXAMPLES / "track.json"),
    }


def until(condition: Callable[[], bool], seconds: float = 60.0) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it never happened"
        QTest.qWait(5)


def rested(viewer: Viewer) -> None:
    """Wait until what is wanted is on the screen."""
    until(lambda: viewer.ready(viewer.frame))


def key(viewer: Viewer, which: Any, modifiers: Any = NONE) -> None:
    QTest.keyClick(viewer.canvas, which, modifiers)


def drop(viewer: Viewer, *paths: Path) -> None:
    """Files dropped on the window."""
    data = QtCore.QMimeData()
    data.setUrls([QtCore.QUrl.fromLocalFile(str(path)) for path in paths])
    place = QtCore.QPointF(200.0, 200.0)
    copy = Qt.DropAction.CopyAction
    entered = QtGui.QDragEnterEvent(place.toPoint(), copy, data, LEFT, NONE)
    QtWidgets.QApplication.sendEvent(viewer, entered)
    assert entered.isAccepted()
    dropped = QtGui.QDropEvent(place, copy, data, LEFT, NONE)
    QtWidgets.QApplication.sendEvent(viewer, dropped)


def moved(viewer: Viewer, name: str, value: float) -> None:
    """A knob's slider, clicked where a value is."""
    row = viewer.panel.rows()[name]
    assert isinstance(row, NumberRow)
    assert row.slider is not None
    page = viewer.panel.page(row.knob.group)
    viewer.panel.tabs.setCurrentWidget(page)
    page.ensureWidgetVisible(row)
    QtWidgets.QApplication.processEvents()
    at = QtCore.QPoint(round(row.slider.x_of(value)), row.slider.height() // 2)
    QTest.mouseClick(row.slider, LEFT, NONE, at)
    assert viewer.model.value(name) != row.knob.default


def hover(viewer: Viewer, x: float, y: float) -> None:
    """The pointer over a place of the plate."""
    place = viewer.canvas.to_widget(QtCore.QPointF(x, y))
    event = QtGui.QMouseEvent(
        QtCore.QEvent.Type.MouseMove,
        place,
        viewer.canvas.mapToGlobal(place),
        Qt.MouseButton.NoButton,
        Qt.MouseButton.NoButton,
        NONE,
    )
    QtWidgets.QApplication.sendEvent(viewer.canvas, event)


def seen(viewer: Viewer) -> dict[str, np.ndarray]:
    """The frame as the viewer's engine holds it, rounded to the plate's own half."""
    assert viewer.engine is not None
    plate, result = viewer.engine.plate(viewer.frame), viewer.engine.result(viewer.frame)
    assert plate is not None
    assert result is not None
    assert not result.failed
    channels = {name: plate.channels[name].copy() for name in "RGB"}
    if result.window is not None:
        rows, columns = result.window.slices(plate.window)
        for place, name in enumerate("RGB"):
            channels[name][rows, columns] = result.pixels[..., place].astype(np.float16)
    return channels


def applied(preset: Path, output: Path, frame: int) -> dict[str, np.ndarray]:
    """The frame that `semblance apply` makes of a preset, in a process of its own."""
    command = [
        *PROGRAM, "apply", str(PLATES), "-o", str(output / "out.####.exr"), "--preset", str(preset),
        "--frames", str(frame), "--trust", str(EXAMPLES / "trust"),
    ]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    return dict(read_plate(output / f"out.{frame}.exr").channels)


# ------------------------------------------------------------------------------- the whole way


def test_what_a_new_artist_sees_and_saves_is_what_apply_renders_bit_for_bit(
    viewer: Viewer, tmp_path: Path
) -> None:
    drop(viewer, EXAMPLES / "plate.1004.exr")
    assert viewer.frame == 1004
    assert viewer.player.frames == tuple(range(1001, 1013))
    drop(viewer, EXAMPLES / "likeness.onnx", EXAMPLES / "track.json")
    assert viewer.info.error == ""
    moved(viewer, "identity_strength", 0.7)
    moved(viewer, "mask_grow", -2.0)
    moved(viewer, "mask_feather", 9.0)
    moved(viewer, "mix", 0.8)
    assert viewer.isWindowModified()
    rested(viewer)
    assert viewer.info.note == ""  # released: no slate
    page = viewer.panel.page("model")
    assert isinstance(page, ModelPage)
    until(lambda: "The likeness is released" in page.status.text())
    until(lambda: not any(each.image.isNull() for each in viewer.panel.strip.thumbs.values()))
    viewer.presets.save(tmp_path / "look.json")
    assert not viewer.isWindowModified()
    assert viewer.windowTitle() == "plate.####.exr — look.json[*] — Semblance"
    ours, theirs = seen(viewer), applied(tmp_path / "look.json", tmp_path, 1004)
    plate = read_plate(EXAMPLES / "plate.1004.exr").channels
    for name in "RGB":
        assert ours[name].dtype == theirs[name].dtype == np.float16
        assert (ours[name].view(np.uint16) == theirs[name].view(np.uint16)).all()
        assert np.count_nonzero(ours[name] != plate[name]) > 2000  # and there is a likeness on it


def test_another_frame_of_an_animated_preset_is_that_of_apply_too(
    viewer: Viewer, tmp_path: Path
) -> None:
    preset = tmp_path / "curves.json"
    preset.write_text(json.dumps({**example_knobs(), "mix": {"1001": 0.2, "1011": 1.0}}))
    viewer.open(EXAMPLES)  # a folder: its first sequence by name is the mask, which is no plate
    viewer.open(EXAMPLES / "plate.1001.exr")
    drop(viewer, preset)
    key(viewer, Qt.Key.Key_Right)
    key(viewer, Qt.Key.Key_Right)
    assert viewer.frame == 1003
    rested(viewer)
    ours, theirs = seen(viewer), applied(preset, tmp_path, 1003)
    for name in "RGB":
        assert (ours[name].view(np.uint16) == theirs[name].view(np.uint16)).all()


# ------------------------------------------------------------------------------------- opening


def test_a_frame_opens_its_sequence_and_a_file_is_known_for_what_it_is(tmp_path: Path) -> None:
    shot = shot_of(EXAMPLES / "plate.1007.exr")
    assert (shot.plates, shot.frame) == (PLATES, 1007)
    assert shot_of(EXAMPLES / "plate.####.exr").frame == 1001
    lone = tmp_path / "still.exr"
    shutil.copy(EXAMPLES / "plate.1001.exr", lone)
    assert shot_of(lone).frames == (0,)
    with pytest.raises(SequenceError, match=r"no file matches .*other"):
        shot_of(tmp_path / "other.####.exr")
    with pytest.raises(SequenceError, match="holds no EXR files"):
        shot_of(EXAMPLES / "trust")
    (tmp_path / "look.json").write_text("{}")
    (tmp_path / "shapes.json").write_text('{"format": "semblance-roto"}')
    for path, kind in (
        (EXAMPLES / "likeness.onnx", "model"),
        (EXAMPLES / "track.json", "track"),
        (tmp_path / "look.json", "preset"),
        (tmp_path / "shapes.json", "roto"),
        (EXAMPLES / "plate.1001.exr", "plates"),
    ):
        assert kind_of(path) == kind
    with pytest.raises(InputError, match=r"README\.md is no EXR plate"):
        kind_of(EXAMPLES / "README.md")


def test_the_rate_is_the_plates_own_else_24() -> None:
    def rate(kind: str, data: bytes) -> float:
        return frames_per_second({"framesPerSecond": Attribute(kind, data)})

    assert rate("rational", struct.pack("<iI", 24000, 1001)) == pytest.approx(23.976, abs=1e-3)
    assert rate("rational", struct.pack("<iI", 25, 0)) == FPS
    assert rate("float", struct.pack("<f", 30.0)) == 30.0
    assert frames_per_second({}) == FPS


def test_what_can_not_be_opened_is_said_in_a_line_and_nothing_is_lost(
    loaded: Viewer, tmp_path: Path
) -> None:
    broken = tmp_path / "broken.json"
    broken.write_text('{"mix": 7.0}')
    before = loaded.model.preset()
    drop(loaded, broken)
    assert "'mix'" in loaded.info.error
    loaded.take(tmp_path / "nothing.####.exr")
    assert "no file matches" in loaded.info.error
    assert loaded.info.error == loaded.info.text()
    assert loaded.model.preset() == before
    assert loaded.shot is not None
    assert loaded.shot.plates == PLATES
    torn = tmp_path / "torn.0001.exr"
    torn.write_bytes((EXAMPLES / "plate.1001.exr").read_bytes()[:4000])
    loaded.take(torn)
    until(lambda: "torn.0001.exr" in loaded.info.text())
    until(lambda: loaded.engine is not None and loaded.engine.states()[1] == "failed")


def test_the_panels_own_preset_menu_saves_for_the_window_and_undo_brings_the_mark_back(
    loaded: Viewer, tmp_path: Path
) -> None:
    assert not loaded.isWindowModified()
    moved(loaded, "mix", 0.5)
    assert loaded.isWindowModified()
    key(loaded, Qt.Key.Key_Z, Qt.KeyboardModifier.ControlModifier)
    assert not loaded.isWindowModified()
    moved(loaded, "mix", 0.5)
    loaded.panel.save_preset(tmp_path / "look.json")
    assert not loaded.isWindowModified()
    assert load_preset(tmp_path / "look.json") == loaded.model.preset()
    moved(loaded, "mix", 0.25)
    loaded.panel.load_preset(tmp_path / "look.json")
    assert loaded.model.value("mix") == pytest.approx(0.5, abs=0.01)
    loaded.presets.save(tmp_path / "no" / "such" / "folder.json")
    assert "can't be written" in loaded.info.error


def test_closing_with_unsaved_knobs_asks_once_and_loses_nothing_by_itself(loaded: Viewer) -> None:
    moved(loaded, "mix", 0.5)
    for button, visible in (("Cancel", True), ("Discard", False)):
        loaded.close()
        assert loaded.isVisible()
        box = loaded.findChild(QtWidgets.QMessageBox, "leave")
        assert box is not None
        QTest.mouseClick(box.button(getattr(QtWidgets.QMessageBox.StandardButton, button)), LEFT)
        until(lambda: loaded.findChild(QtWidgets.QMessageBox, "leave") is None)
        assert loaded.isVisible() == visible
    assert loaded.model.value("mix") == pytest.approx(0.5, abs=0.01)
    loaded.show()
    assert QTest.qWaitForWindowExposed(loaded)


# --------------------------------------------------------------------------------- looking at it


def test_the_probe_has_the_floats_of_the_file_and_of_the_result(loaded: Viewer) -> None:
    assert loaded.engine is not None
    result = loaded.engine.result(loaded.frame)
    assert result is not None
    assert result.window is not None
    x = (result.window.x0 + result.window.x1) // 2
    y = (result.window.y0 + result.window.y1) // 2
    hover(loaded, x + 0.5, y + 0.5)
    plate, ours = read_plate(PLATES.path(loaded.frame)).channels, seen(loaded)
    assert f"x&nbsp;{x}&nbsp;&nbsp;y&nbsp;{y}" in loaded.probe.labels["place"].text()
    for name in "RGB":
        assert f"{plate[name][y, x]:.6f}" in loaded.probe.labels["plate"].text()
        assert f"{ours[name][y, x]:.6f}" in loaded.probe.labels["result"].text()


def test_keys_choose_what_is_compared_and_looking_moves_no_knob(loaded: Viewer) -> None:
    before = loaded.model.preset()
    for which, mode in (("1", "plate"), ("4", "difference"), ("3", "wipe"), ("2", "result")):
        key(loaded, getattr(Qt.Key, f"Key_{which}"))
        assert loaded.compare_bar.mode == mode
        assert [name for name, each in loaded.compare_bar.modes.items() if each.isChecked()] == [
            mode
        ]
        QtWidgets.QApplication.processEvents()
        assert loaded.compare_bar.gain.isVisible() == (mode == "difference")
    key(loaded, Qt.Key.Key_W)
    assert loaded.compare_bar.mode == "wipe"
    pictures = {}
    for channel in ("rgb", "r"):
        if channel != "rgb":
            key(loaded, Qt.Key.Key_R)
        assert loaded.look_bar.look.channel == channel
        rested(loaded)
        pictures[channel] = loaded.canvas.grab().toImage()
    assert pictures["rgb"] != pictures["r"]
    key(loaded, Qt.Key.Key_R)
    loaded.look_bar.exposure.set(1.5)
    assert loaded.look_bar.look.exposure == 1.5
    loaded.look_bar.exposure.reset()
    assert loaded.model.preset() == before


def test_keys_and_the_bar_move_through_the_shot(loaded: Viewer) -> None:
    way = [
        (Qt.Key.Key_Right, 1002), (Qt.Key.Key_End, 1012), (Qt.Key.Key_Right, 1001),
        (Qt.Key.Key_Left, 1012), (Qt.Key.Key_Home, 1001),
    ]  # fmt: skip
    for which, frame in way:
        key(loaded, which)
        assert loaded.frame == frame
    bar = loaded.timeline.bar
    at = QtCore.QPoint(round(bar.x_of(1008)), bar.height() - 6)
    QTest.mouseClick(bar, LEFT, NONE, at)
    assert loaded.frame == loaded.panel.model.frame == loaded.canvas.frame() == 1008
    key(loaded, Qt.Key.Key_Space)
    assert loaded.player.direction == 1
    key(loaded, Qt.Key.Key_Space)
    assert loaded.player.direction == 0
    loaded.panel.frame_chosen.emit(1003)
    assert loaded.frame == 1003
    rested(loaded)
    until(lambda: loaded.timeline.bar._states.get(1003) == "result")


def test_playing_shows_every_frame_in_order_and_then_from_the_cache(loaded: Viewer) -> None:
    shown: list[int] = []
    loaded.canvas.drawn.connect(shown.append)
    loaded.timeline.set_rate(200.0)
    key(loaded, Qt.Key.Key_L)
    until(lambda: shown.count(1001) >= 2 and 1012 in shown)
    key(loaded, Qt.Key.Key_K)
    assert loaded.player.direction == 0
    order = [frame for place, frame in enumerate(shown) if place == 0 or shown[place - 1] != frame]
    steps = {(after - before) % 12 for before, after in pairwise(order)}
    assert steps == {1}
    assert set(loaded.source.states().values()) == {"result"} if loaded.source else False
    key(loaded, Qt.Key.Key_J)
    loaded.timeline.loop.click()
    until(lambda: loaded.player.direction == 0)
    assert loaded.frame == 1001
    loaded.timeline.loop.click()
    loaded.canvas.drawn.disconnect(shown.append)


def test_a_player_waits_for_what_is_not_ready_and_keeps_its_rate(
    application: QtWidgets.QApplication,
) -> None:
    held = {1003}
    player = Player(lambda frame: frame not in held)
    player.open((1001, 1002, 1003, 1004), 1001)
    player.fps = 100.0
    seen: list[int] = []
    player.moved.connect(seen.append)
    player.play(1)
    until(lambda: player.frame == 1003)
    QTest.qWait(60)
    assert seen == [1002, 1003]
    held.clear()
    begun = time.perf_counter()
    until(lambda: len(seen) >= 22)
    assert time.perf_counter() - begun >= 0.19  # never faster than asked
    player.stop()
    count = len(seen)
    QTest.qWait(40)
    assert len(seen) == count


# ---------------------------------------------------------------------------------------- tools


def test_a_shape_that_is_drawn_is_saved_named_by_the_knob_and_cuts_the_same_in_apply(
    viewer: Viewer, tmp_path: Path
) -> None:
    viewer.presets.begin_with(None, example_knobs())
    viewer.open(EXAMPLES / "plate.1002.exr")
    rested(viewer)
    viewer.presets.save(tmp_path / "look.json")
    before = seen(viewer)
    key(viewer, Qt.Key.Key_O)
    assert viewer.hands.tool is not None
    assert viewer.hands.bar.isVisible()
    assert viewer.engine is not None
    result = viewer.engine.result(1002)
    assert result is not None
    assert result.window is not None
    window = result.window
    middle = (window.x0 + window.x1) / 2
    for x, y in (
        (window.x0, window.y0), (middle, window.y0), (middle, window.y1), (window.x0, window.y1)
    ):  # fmt: skip
        click(viewer, x, y)
    key(viewer, Qt.Key.Key_Return)
    until(lambda: viewer.model.value("roto_file") != "")
    assert viewer.model.value("roto_file") == str(tmp_path / "look.roto.json")
    key(viewer, Qt.Key.Key_Escape)
    key(viewer, Qt.Key.Key_Escape)
    until(lambda: viewer.hands.tool is None)
    assert not viewer.hands.bar.isVisible()
    rested(viewer)
    viewer.presets.save()
    ours, theirs = seen(viewer), applied(tmp_path / "look.json", tmp_path, 1002)
    assert any((ours[name] != before[name]).any() for name in "RGB")
    for name in "RGB":
        assert (ours[name].view(np.uint16) == theirs[name].view(np.uint16)).all()


def click(viewer: Viewer, x: float, y: float) -> None:
    at = viewer.canvas.to_widget(QtCore.QPointF(x, y)).toPoint()
    QTest.mouseClick(viewer.canvas, LEFT, NONE, at)


def test_a_face_that_is_pushed_is_in_the_track_and_where_apply_puts_it(
    viewer: Viewer, tmp_path: Path
) -> None:
    track = tmp_path / "track.json"
    shutil.copy(EXAMPLES / "track.json", track)
    viewer.presets.begin_with(None, {**example_knobs(), "track_file": str(track)})
    viewer.open(EXAMPLES / "plate.1005.exr")
    rested(viewer)
    before = seen(viewer)
    key(viewer, Qt.Key.Key_T)
    tool = viewer.hands.tool
    assert isinstance(tool, LandmarkTool)
    until(lambda: tool.landmarks() is not None)
    cheek = load_track(track).faces[1005].landmarks[[2, 31, 48]].mean(axis=0)
    drag(viewer, cheek, np.add(cheek, (9.0, -5.0)))
    until(lambda: track.read_bytes() != (EXAMPLES / "track.json").read_bytes())
    viewer.hands.choose("")
    until(lambda: any((seen(viewer)[name] != before[name]).any() for name in "RGB"))
    rested(viewer)
    viewer.presets.save(tmp_path / "look.json")
    ours, theirs = seen(viewer), applied(tmp_path / "look.json", tmp_path, 1005)
    for name in "RGB":
        assert (ours[name].view(np.uint16) == theirs[name].view(np.uint16)).all()


def drag(viewer: Viewer, start: np.ndarray, end: np.ndarray) -> None:
    """The left button pressed at a place of the plate and let go at another."""
    kinds = QtCore.QEvent.Type
    for kind, at in (
        (kinds.MouseButtonPress, start), (kinds.MouseMove, (start + end) / 2),
        (kinds.MouseMove, end), (kinds.MouseButtonRelease, end),
    ):  # fmt: skip
        place = viewer.canvas.to_widget(QtCore.QPointF(*at))
        held = Qt.MouseButton.NoButton if kind == kinds.MouseButtonRelease else LEFT
        event = QtGui.QMouseEvent(kind, place, viewer.canvas.mapToGlobal(place), LEFT, held, NONE)
        QtWidgets.QApplication.sendEvent(viewer.canvas, event)


def test_landmarks_without_a_track_say_why_there_are_none(viewer: Viewer) -> None:
    viewer.open(EXAMPLES / "plate.1001.exr")
    rested(viewer)
    viewer.compare_bar.tools["landmarks"].click()
    assert viewer.hands.tool is None
    assert "track" in viewer.info.error
    assert not viewer.compare_bar.tools["landmarks"].isChecked()


# ------------------------------------------------------------------------------------ rendering


def test_the_render_button_renders_what_is_seen_and_shows_the_files(
    loaded: Viewer, tmp_path: Path
) -> None:
    moved(loaded, "mix", 0.6)
    rested(loaded)
    live = seen(loaded)
    QTest.mouseClick(loaded.render_button, LEFT)
    dialog = loaded.dialog
    assert dialog.isVisible()
    assert dialog.output.text() == str(EXAMPLES / "semblance" / "plate.####.exr")
    pattern = str(tmp_path / "r" / "done.####.exr")
    dialog.output.setText(pattern)
    dialog.frames.setText("1001-1003")
    QTest.mouseClick(dialog.render_button, LEFT)
    assert not dialog.render_button.isEnabled()
    until(lambda: not dialog.running)
    assert dialog.bar.value() == dialog.bar.maximum() == 3
    assert "3 frames" in dialog.words.text()
    assert sorted(path.name for path in (tmp_path / "r").iterdir()) == [
        f"done.{frame}.exr" for frame in (1001, 1002, 1003)
    ]
    QTest.mouseClick(dialog.compare_button, LEFT)
    rested(loaded)
    assert loaded.source is not loaded.engine
    assert loaded.source is not None
    from_file = loaded.source.result(1001)
    assert from_file is not None
    for place, name in enumerate("RGB"):
        assert (from_file.pixels[..., place] == live[name].astype(np.float32)).all()
    moved(loaded, "mix", 0.3)
    assert loaded.source is loaded.engine
    rested(loaded)
    QTest.mouseClick(dialog.close_button, LEFT)


def test_a_render_that_is_stopped_leaves_whole_frames_alone(loaded: Viewer, tmp_path: Path) -> None:
    dialog = loaded.dialog
    loaded.show_render()
    dialog.output.setText(str(tmp_path / "stopped.####.exr"))
    dialog.frames.clear()
    QTest.mouseClick(dialog.render_button, LEFT)
    until(lambda: dialog.bar.value() >= 2)
    QTest.mouseClick(dialog.cancel_button, LEFT)
    until(lambda: not dialog.running)
    assert "Cancelled" in dialog.words.text()
    assert not dialog.compare_button.isEnabled()
    frames = sorted(tmp_path.glob("stopped.*.exr"))
    assert 2 <= len(frames) < 12
    for path in frames:
        assert read_plate(path).window == read_plate(PLATES.path(1001)).window
    assert leftovers(tmp_path) == []
    dialog.close()


def test_a_window_that_renders_stays_until_that_is_done(loaded: Viewer, tmp_path: Path) -> None:
    loaded.show_render()
    loaded.dialog.output.setText(str(tmp_path / "kept.####.exr"))
    loaded.dialog.frames.setText("1001")
    loaded.dialog.begin()
    loaded.close()
    assert loaded.isVisible()
    assert "A render is running" in loaded.info.error
    until(lambda: not loaded.dialog.running)
    assert (tmp_path / "kept.1001.exr").is_file()
    loaded.dialog.close()


def test_a_render_that_can_not_be_says_why(loaded: Viewer, tmp_path: Path) -> None:
    dialog = loaded.dialog
    loaded.show_render()
    dialog.output.setText(str(tmp_path / "one.exr"))
    QTest.mouseClick(dialog.render_button, LEFT)
    until(lambda: not dialog.running)
    assert "has no frame field" in dialog.words.text()
    loaded.model.set("model", "")
    QTest.mouseClick(dialog.render_button, LEFT)
    assert "no likeness model is chosen" in dialog.words.text()
    dialog.close()


def test_a_job_tells_its_steps_and_its_summary_and_leaves_no_preset_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "passing"))
    (tmp_path / "passing").mkdir()
    steps: list[Step] = []
    ends: list[Ended] = []
    order = Order(
        str(PLATES), str(tmp_path / "r.####.exr"), "1001-1002",
        {**example_knobs(), "mix": {"1001": 0.5, "1002": 0.5}}, None, TRUST.options(),
    )  # fmt: skip
    job = start(order, step=steps.append, ended=ends.append)
    until(lambda: not job.running)
    assert [(step.what, step.done, step.total) for step in steps] == [
        ("rendering", 1, 2),
        ("rendering", 2, 2),
    ]
    (ended,) = ends
    assert (ended.code, ended.cancelled, ended.complaints) == (0, False, ())
    assert ended.summary["frames"] == ended.summary["found"] == 2
    assert list((tmp_path / "passing").iterdir()) == []


def test_a_track_tells_its_steps_to_a_program_as_well(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "track.json"
    words = ["track", str(PLATES), "-o", str(out), "--frames", "1001-1002", "--progress", "json"]
    assert main(words) == 0
    first, second, last = (json.loads(line) for line in capsys.readouterr().out.splitlines())
    assert first == {"what": "tracking", "done": 1, "total": 2, "words": "frame 1001"}
    assert second["done"] == 2
    assert last["summary"]["found"] == 2


# ---------------------------------------------------------------------------- the command line


def run_view(*arguments: str, code: str = "", **environ: str) -> subprocess.CompletedProcess[str]:
    hidden = ("DISPLAY", "WAYLAND_DISPLAY", "QT_QPA_PLATFORM")
    variables = {name: value for name, value in os.environ.items() if name not in hidden}
    variables.update(PYTHONPATH=str(ROOT / "plugin"), **environ)
    program = f"import sys\n{code}\nfrom semblance.cli import main\nsys.exit(main())"
    return subprocess.run(
        [sys.executable, "-c", program, "view", *arguments],
        env=variables, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip


def test_without_a_screen_or_qt_the_command_says_what_to_do() -> None:
    plate = str(EXAMPLES / "plate.####.exr")
    blind = run_view(plate)
    assert blind.returncode == 1
    assert "there is no display" in blind.stderr
    assert "semblance apply" in blind.stderr
    broken = run_view(plate, QT_QPA_PLATFORM="no-such-platform")
    assert broken.returncode == 1
    assert "Qt can't open the display" in broken.stderr
    bare = run_view(
        plate,
        code="sys.modules['PySide6'] = sys.modules['PySide2'] = None",
        QT_QPA_PLATFORM="offscreen",
    )
    assert bare.returncode == 1
    assert 'pip install "semblance[panel]"' in bare.stderr
    lost = run_view(str(EXAMPLES / "nothing.####.exr"), QT_QPA_PLATFORM="offscreen")
    assert lost.returncode == 1
    assert "no file matches" in lost.stderr
    for each in (blind, broken, bare, lost):
        assert each.stderr.count("\n") == 1


def test_the_command_opens_a_window_and_ends_cleanly_with_its_worker(tmp_path: Path) -> None:
    environ = {
        **os.environ,
        "QT_QPA_PLATFORM": "offscreen",
        "PYTHONPATH": str(ROOT / "plugin"),
        "HOME": str(tmp_path),
        "TMPDIR": str(tmp_path),
        "OMP_NUM_THREADS": "1",
    }
    arguments = ["-m", "likeness.onnx", "-t", "track.json", "--trust", "trust"]
    process = subprocess.Popen(
        [*PROGRAM, "view", "plate.1003.exr", *arguments],
        cwd=EXAMPLES, env=environ, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    with process:
        journal = "semblance-view-*/worker-1.json"
        until(lambda: process.poll() is not None or bool(list(tmp_path.glob(journal))))
        (found,) = tmp_path.glob(journal)
        worker = json.loads(found.read_text())["pid"]
        process.send_signal(signal.SIGTERM)
        try:
            _, said = process.communicate(timeout=60)
        finally:
            process.kill()
    said = said.replace("This plugin does not support propagateSizeHints()\n", "")  # offscreen's
    assert (process.returncode, said) == (0, "")
    assert not list(tmp_path.glob("semblance-view-*"))
    until(lambda: not alive(worker))


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False
