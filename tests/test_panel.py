# ruff: noqa: E402  (what needs Qt is imported once it is known that Qt is there)
"""The panel through real Qt events: every control, the face, undo, presets, the host's side."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
ROOT = Path(__file__).parents[1]
from semblance.errors import EnvironmentFault, KnobError

try:
    from PySide6 import QtTest

    from semblance_panel.qt import QtCore, QtGui, QtWidgets
except (ImportError, EnvironmentFault) as error:  # not installed, or a library is missing
    pytest.skip(f"Qt can't be loaded here: {error}", allow_module_level=True)

from semblance.knobs import Knobs, declared
from semblance.preset import animate, load_preset
from semblance_panel import style
from semblance_panel.controls import Slider, step_of
from semblance_panel.model import Model, shipped
from semblance_panel.panel import Panel
from semblance_panel.providers import VIEWS, Identity, Picture, Release
from semblance_panel.rows import FileRow, Row

Qt = QtCore.Qt
QTest = QtTest.QTest
LEFT = Qt.MouseButton.LeftButton
NONE = Qt.KeyboardModifier.NoModifier
CTRL = Qt.KeyboardModifier.ControlModifier
SHIFT = Qt.KeyboardModifier.ShiftModifier
KNOBS = {knob.name: knob for knob in declared()}
NUMBERS = [name for name, knob in KNOBS.items() if knob.kind in ("float", "int")]


@pytest.fixture(scope="module")
def application() -> QtWidgets.QApplication:
    application = QtWidgets.QApplication.instance() or QtWidgets.QApplication([])
    style.dress(application)
    return application


@pytest.fixture
def panel(application: QtWidgets.QApplication) -> Iterator[Panel]:
    panel = Panel()
    panel.resize(480, 620)
    panel.show()
    panel.activateWindow()
    assert QTest.qWaitForWindowExposed(panel)
    yield panel
    panel.close()
    panel.deleteLater()


@pytest.fixture
def told(panel: Panel) -> list[tuple[str, object]]:
    """What the panel has told the host."""
    told: list[tuple[str, object]] = []
    panel.changed.connect(lambda name, value: told.append((name, value)))
    return told


def shown(panel: Panel, name: str) -> Row:
    """The row of a knob, on the page that is open."""
    page = panel.page(KNOBS[name].group)
    panel.tabs.setCurrentWidget(page)
    row = page.rows[name]
    page.ensureWidgetVisible(row)
    QtWidgets.QApplication.processEvents()
    assert row.isVisible()
    return row


def wheel(widget: QtWidgets.QWidget, notches: float, modifiers: object = NONE) -> None:
    """Turn the wheel over a widget, by way of its window, as the system does."""
    window = widget.window()
    place = QtCore.QPointF(widget.mapTo(window, widget.rect().center()))
    place *= window.devicePixelRatio()  # this one event counts the device's pixels
    turned = QtCore.QPoint(0, round(120 * notches))
    QTest.wheelEvent(window.windowHandle(), place, turned, QtCore.QPoint(), modifiers)
    QtWidgets.QApplication.processEvents()


def move(widget: QtWidgets.QWidget, x: float, modifiers: object = NONE) -> None:
    """Move the pointer with the left button down."""
    place = QtCore.QPointF(x, widget.height() / 2)
    event = QtGui.QMouseEvent(
        QtCore.QEvent.Type.MouseMove,
        place,
        widget.mapToGlobal(place),
        Qt.MouseButton.NoButton,
        LEFT,
        modifiers,
    )
    QtWidgets.QApplication.sendEvent(widget, event)


def dragged(data: QtCore.QMimeData) -> QtGui.QDragEnterEvent:
    """A file held over a row; the constructor's point has changed its type in Qt 6.12."""
    event = QtGui.QDragEnterEvent
    place, copy = QtCore.QPointF(40, 8), Qt.DropAction.CopyAction
    try:
        return event(place, copy, data, LEFT, NONE)
    except TypeError:
        return event(place.toPoint(), copy, data, LEFT, NONE)


def at(slider: Slider, value: float) -> QtCore.QPoint:
    return QtCore.QPoint(round(slider.x_of(value)), slider.height() // 2)


def until(condition: Callable[[], bool], seconds: float = 5.0) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it never happened"
        QTest.qWait(5)


def test_every_declared_knob_has_a_row_that_explains_itself(panel: Panel) -> None:
    assert list(panel.rows()) == list(KNOBS)
    for name, row in panel.rows().items():
        knob = KNOBS[name]
        assert row.label.text() == knob.label
        assert knob.help in row.toolTip()
        assert row.unit.text() == knob.unit
        assert row.control.accessibleName() == knob.label


def test_every_knob_moves_by_hand_and_every_move_is_valid_and_undone(
    panel: Panel, told: list[tuple[str, object]]
) -> None:
    for name, knob in KNOBS.items():
        row = shown(panel, name)
        row.control.setFocus()
        if knob.kind in ("float", "int"):
            key = Qt.Key.Key_Down if knob.default == knob.range[1] else Qt.Key.Key_Up
            QTest.keyClick(row.control, key)
        elif knob.kind == "bool":
            QTest.keyClick(row.control, Qt.Key.Key_Space)
        elif knob.kind == "choice":
            QTest.keyClick(row.control, Qt.Key.Key_Down)
            if panel.model.is_default(name):
                QTest.keyClick(row.control, Qt.Key.Key_Up)
        else:
            row.control.selectAll()
            QTest.keyClicks(row.control, "kestrel")
            QTest.keyClick(row.control, Qt.Key.Key_Return)
        value = panel.model.value(name)
        assert value != knob.default
        assert told[-1] == (name, value)
        assert isinstance(panel.model.knobs(), Knobs)
        assert row.back.isVisible()
    assert set(panel.model.preset()) == set(KNOBS)
    for _ in KNOBS:
        QTest.mouseClick(panel.undo, LEFT)
    assert panel.model.knobs() == Knobs()
    assert not panel.undo.isEnabled()
    assert not any(row.back.isVisibleTo(row) for row in panel.rows().values())
    for _ in KNOBS:
        QTest.mouseClick(panel.redo, LEFT)
    assert set(panel.model.preset()) == set(KNOBS)


@pytest.mark.parametrize("name", NUMBERS)
def test_a_slider_goes_where_it_is_clicked_and_back_at_a_double_click(
    panel: Panel, name: str
) -> None:
    knob, row = KNOBS[name], shown(panel, name)
    low, high = knob.slider
    wanted = low + 0.3 * (high - low)
    QTest.mouseClick(row.slider, LEFT, NONE, at(row.slider, wanted))
    grain = 1.0 if knob.kind == "int" else 2.0 * (high - low) / row.slider.width()
    assert panel.model.value(name) == pytest.approx(wanted, abs=grain)
    assert row.field.text() == f"{panel.model.value(name):.6g}"
    QTest.qWait(1)
    QTest.mouseDClick(row.slider, LEFT, NONE, at(row.slider, high))
    assert panel.model.value(name) == knob.default
    row.slider.setFocus()
    QTest.keyClick(row.slider, Qt.Key.Key_End)
    assert panel.model.value(name) == high
    QTest.keyClick(row.slider, Qt.Key.Key_Home)
    assert panel.model.value(name) == low


def test_a_drag_is_one_step_however_long_it_takes(
    panel: Panel, told: list[tuple[str, object]]
) -> None:
    row = shown(panel, "mix")
    QTest.mousePress(row.slider, LEFT, NONE, at(row.slider, 0.9))
    for value in (0.8, 0.6, 0.5):
        move(row.slider, row.slider.x_of(value))
    QTest.mouseRelease(row.slider, LEFT, NONE, at(row.slider, 0.5))
    assert panel.model.value("mix") == pytest.approx(0.5, abs=0.01)
    assert len(told) >= 3
    QTest.mousePress(row.slider, LEFT, NONE, at(row.slider, 0.2))
    QTest.mouseRelease(row.slider, LEFT, NONE, at(row.slider, 0.2))
    panel.model.undo()
    assert panel.model.value("mix") == pytest.approx(0.5, abs=0.01)
    panel.model.undo()
    assert panel.model.value("mix") == 1.0


def test_ctrl_is_ten_times_finer_and_shift_ten_times_coarser(panel: Panel) -> None:
    row = shown(panel, "mask_grow")
    step = step_of(KNOBS["mask_grow"].slider, whole=False)
    for target in (row.slider, row.field):
        target.setFocus()
        for factor, modifiers in ((1.0, NONE), (0.1, CTRL), (10.0, SHIFT)):
            for by in (
                lambda m, target=target: QTest.keyClick(target, Qt.Key.Key_Up, m),
                lambda m, target=target: wheel(target, 1.0, m),
            ):
                panel.model.set("mask_grow", 0.0)
                by(modifiers)
                assert panel.model.value("mask_grow") == pytest.approx(factor * step)
    panel.model.set("mask_grow", 0.0)
    middle = row.slider.x_of(0.0)
    QTest.mousePress(row.slider, LEFT, CTRL, at(row.slider, 0.0))
    move(row.slider, round(middle) + 30.0, CTRL)
    fine = panel.model.value("mask_grow")
    move(row.slider, round(middle) + 30.0, NONE)
    QTest.mouseRelease(row.slider, LEFT)
    assert fine == pytest.approx(panel.model.value("mask_grow") / 10.0, abs=0.02)
    assert fine > 0.0


def test_the_wheel_moves_only_what_is_focused_and_else_the_page(panel: Panel) -> None:
    panel.resize(480, 300)
    page = panel.page("mask")
    for name in ("mask_feather", "mask_source"):
        row = shown(panel, name)
        panel.setFocus()
        before = page.verticalScrollBar().value()
        wheel(row.control, 1.0 if before else -1.0)  # where the page has room
        assert panel.model.is_default(name)
        assert page.verticalScrollBar().value() != before
        page.ensureWidgetVisible(row)
        row.control.setFocus()
        wheel(row.control, -1.0)
        assert not panel.model.is_default(name)


def test_half_notches_of_a_fine_wheel_add_up(panel: Panel) -> None:
    row = shown(panel, "mask_gamma")
    row.slider.setFocus()
    wheel(row.slider, 0.5)
    assert panel.model.is_default("mask_gamma")
    wheel(row.slider, 0.5)
    assert panel.model.value("mask_gamma") == pytest.approx(1.01)


def test_a_field_takes_what_the_slider_does_not_span_and_refuses_the_rest(
    panel: Panel, told: list[tuple[str, object]]
) -> None:
    row = shown(panel, "mask_grow")

    def typed(text: str) -> None:
        row.field.setFocus()
        row.field.selectAll()
        QTest.keyClicks(row.field, text)
        QTest.keyClick(row.field, Qt.Key.Key_Return)

    typed("-20,5")
    assert told == [("mask_grow", -20.5)]
    for wrong in ("90", "soft"):
        typed(wrong)
        assert "mask_grow" in panel.status.text()
        assert panel.status.isVisible()
        assert row.look == "refused"
    assert told == [("mask_grow", -20.5)]
    QTest.keyClick(row.field, Qt.Key.Key_Escape)
    assert row.field.text() == "-20.5"
    typed("3")
    assert not panel.status.isVisible()
    assert row.look == ""


def test_reset_by_button_by_the_name_and_by_the_menu(panel: Panel) -> None:
    row = shown(panel, "mask_jaw")
    for reset in (
        lambda: QTest.mouseClick(row.back, LEFT),
        lambda: QTest.mouseDClick(row.label, LEFT),
        lambda: row.menu().actions()[0].trigger(),
    ):
        QTest.mouseClick(row.control, LEFT, NONE, QtCore.QPoint(8, row.control.height() // 2))
        assert panel.model.value("mask_jaw") is False
        reset()
        assert panel.model.value("mask_jaw") is True
        panel.model.undo()
        assert panel.model.value("mask_jaw") is False
        panel.model.undo()


def test_a_click_on_the_face_turns_the_region_and_hovering_names_it(
    panel: Panel, told: list[tuple[str, object]]
) -> None:
    shown(panel, "mask_jaw")
    face = panel.page("mask").diagram
    unit_places = {
        "brows": (0.3, 0.335),
        "eyes": (0.68, 0.45),
        "nose": (0.5, 0.6),
        "mouth": (0.5, 0.79),
        "cheeks": (0.25, 0.6),
        "jaw": (0.5, 0.9),
        "forehead": (0.5, 0.2),
    }
    placed = face._placed()
    for region, (x, y) in unit_places.items():
        place = placed.map(QtCore.QPointF(1000 * x, 1000 * y)).toPoint()
        QTest.mouseMove(face, place)
        until(lambda region=region: face.caption == f"{region}: replaced")
        QTest.mouseClick(face, LEFT, NONE, place)
        assert told[-1] == (f"mask_{region}", False)
        assert face.caption == f"{region}: kept"
        assert not panel.rows()[f"mask_{region}"].box.isChecked()
    regions = {name for name, knob in KNOBS.items() if knob.kind == "bool" and "mask_" in name}
    assert {f"mask_{region}" for region in unit_places} == regions
    QTest.mouseClick(face, LEFT, NONE, QtCore.QPoint(2, 2))
    assert len(told) == len(unit_places)


def test_a_file_is_chosen_typed_or_dropped(panel: Panel, tmp_path: Path) -> None:
    row = shown(panel, "model")
    assert isinstance(row, FileRow)
    path = tmp_path / "kestrel.onnx"
    path.touch()
    data = QtCore.QMimeData()
    data.setUrls([QtCore.QUrl.fromLocalFile(str(path))])
    enter = dragged(data)
    QtWidgets.QApplication.sendEvent(row, enter)
    assert enter.isAccepted()
    drop = QtGui.QDropEvent(QtCore.QPointF(40, 8), Qt.DropAction.CopyAction, data, LEFT, NONE)
    QtWidgets.QApplication.sendEvent(row, drop)
    assert panel.model.value("model") == str(path)
    assert row.field.text() == str(path)
    panel.model.undo()
    QTest.mouseClick(row.button, LEFT)
    dialog = row.findChild(QtWidgets.QFileDialog)
    assert "*.onnx" in dialog.nameFilters()[0]
    dialog.selectFile(str(path))
    dialog.accept()
    assert panel.model.value("model") == str(path)
    two = QtCore.QMimeData()
    two.setUrls([*data.urls(), *data.urls()])
    enter = dragged(two)
    enter.ignore()
    QtWidgets.QApplication.sendEvent(row, enter)
    assert not enter.isAccepted()


def test_the_host_is_heard_and_not_answered(panel: Panel, told: list[tuple[str, object]]) -> None:
    panel.set_value("mix", 0.25)
    panel.set_value("mask_source", "roto")
    panel.set_value("mask_jaw", False)
    panel.set_value("model", "a.onnx")
    assert told == []
    assert panel.rows()["mix"].field.text() == "0.25"
    assert panel.rows()["mask_source"].box.currentData() == "roto"
    assert not panel.undo.isEnabled()
    with pytest.raises(KnobError):
        panel.set_value("mix", 7.0)


def test_a_knob_that_the_host_animates_is_shown_and_can_not_be_moved(
    panel: Panel, told: list[tuple[str, object]]
) -> None:
    row = shown(panel, "mix")
    panel.set_value("mix", 0.5, animated=True)
    assert row.look == "animated"
    assert "Animated by the host" in row.toolTip()
    QTest.mouseClick(row.slider, LEFT, NONE, at(row.slider, 0.1))
    row.field.setFocus()
    QTest.keyClick(row.field, Qt.Key.Key_Up)
    QTest.keyClicks(row.field, "0.1\r")
    wheel(row.field, 1.0)
    assert not row.back.isVisible()
    assert told == []
    assert panel.model.value("mix") == 0.5
    panel.set_value("mix", 0.75)
    QTest.mouseClick(row.slider, LEFT, NONE, at(row.slider, 0.1))
    assert told[-1][0] == "mix"


def test_keys_of_undo_reach_the_panel_before_the_host(panel: Panel) -> None:
    row = shown(panel, "mix")
    host = QtGui.QShortcut(QtGui.QKeySequence.StandardKey.Undo, panel.window())
    host.activated.connect(lambda: pytest.fail("the host has undone"))
    row.slider.setFocus()
    QTest.keyClick(row.slider, Qt.Key.Key_Down)
    QTest.keyClick(row.slider, Qt.Key.Key_Z, CTRL)
    assert panel.model.value("mix") == 1.0
    QTest.keyClick(row.slider, Qt.Key.Key_Z, CTRL | SHIFT)
    assert panel.model.value("mix") == pytest.approx(0.99)


def test_presets_by_the_menu_and_what_is_wrong_with_one_is_said(
    panel: Panel, told: list[tuple[str, object]], tmp_path: Path
) -> None:
    entries = {entry.text(): entry for entry in panel.presets.menu().actions()}
    assert set(shipped()) < set(entries)
    entries["lower face"].trigger()
    assert told == [("mask_brows", False), ("mask_eyes", False), ("mask_forehead", False)]
    panel.model.set("identity_strength", 0.5)
    entries["Save …"].trigger()
    dialog = panel.findChild(QtWidgets.QFileDialog)
    path = tmp_path / "mine.json"
    dialog.selectFile(str(path))
    dialog.accept()
    saved = panel.model.knobs()
    assert animate(load_preset(path))(1001) == saved
    entries["Reset all"].trigger()
    assert panel.model.knobs() == Knobs()
    panel.load_preset(path)
    assert panel.model.knobs() == saved
    panel.model.undo()
    assert panel.model.knobs() == Knobs()
    path.write_text('{"mixx": 1}')
    panel.load_preset(path)
    assert "mixx" in panel.status.text()
    assert panel.model.knobs() == Knobs()


def test_a_presets_curve_reaches_the_host_whole_and_follows_the_frame(
    panel: Panel, told: list[tuple[str, object]], tmp_path: Path
) -> None:
    path = tmp_path / "curve.json"
    path.write_text(json.dumps({"mix": {"1001": 0.0, "1011": 1.0}}))
    panel.load_preset(path)
    assert told == [("mix", {"1001": 0.0, "1011": 1.0})]
    panel.set_frame(1006)
    assert panel.rows()["mix"].field.text() == "0.5"
    assert len(told) == 1
    panel.rows()["mix"].menu().actions()[1].trigger()
    assert told[-1] == ("mix", 0.5)


def test_search_leaves_what_matches(panel: Panel) -> None:
    panel.field.setFocus()
    QTest.keyClicks(panel.field, "grain")
    assert panel.tabs.currentWidget() is panel.page("match")
    rows = panel.rows()
    assert rows["grain_match"].isVisible()
    assert not rows["light_match"].isVisible()
    assert not panel.tabs.isTabEnabled(panel.tabs.indexOf(panel.page("view")))
    panel.field.clear()
    assert all(row.isVisibleTo(row.parentWidget()) for row in rows.values())


def test_the_track_page_draws_scores_reads_frames_off_and_says_what_is_wrong(
    panel: Panel, tmp_path: Path
) -> None:
    track = {
        "format": "semblance-track",
        "frames": list(range(1001, 1011)),
        "faces": {"0": {str(frame): {"score": 0.9} for frame in range(1001, 1011) if frame % 5}},
    }
    path = tmp_path / "track.json"
    path.write_text(json.dumps(track))
    shown(panel, "smoothing")
    curve = panel.page("track").curve
    panel.model.set("track_file", str(path))
    assert curve.caption == "10 frames, lost: 1005, 1010"
    QTest.mouseMove(curve, QtCore.QPoint(round(curve.x_of(1005)), curve.height() // 2))
    until(lambda: curve.caption == "frame 1005: lost")
    chosen: list[int] = []
    panel.frame_chosen.connect(chosen.append)
    place = QtCore.QPoint(round(curve.x_of(1007)), curve.height() // 2)
    QTest.mouseClick(curve, LEFT, NONE, place)
    assert chosen == [1007]
    for lost in (1002, 1003):  # tracked again, twice
        del track["faces"]["0"][str(lost)]
        again = tmp_path / "again.json"
        again.write_text(json.dumps(track))
        again.replace(path)
        until(lambda lost=lost: str(lost) in curve.caption or "–1003" in curve.caption)
    panel.model.set("face", 3)
    assert "no face 3" in curve.message
    panel.model.set("track_file", str(tmp_path / "gone.json"))
    assert "can't be read" in curve.message


class Slow:
    """Answers from another thread, when it is let."""

    def __init__(self) -> None:
        self.go = threading.Event()
        self.asked: list[tuple] = []

    def ask(self, *asked: object) -> None:
        self.asked.append(asked)
        threading.Thread(target=self._answer, args=asked, daemon=True).start()

    def _answer(self, first: object, second: object, deliver: Callable[[object], None]) -> None:
        self.go.wait(10.0)
        if isinstance(first, Knobs):
            for view in VIEWS:
                deliver(Picture(view, 2, 1, bytes([255, 0, 0, 0, 0, 255]), "slate"))
        else:
            deliver(Release(False, f"Not released: {first}", "expired <yesterday>"))


def test_providers_answer_when_they_can_and_nobody_waits(panel: Panel) -> None:
    slow = Slow()
    panel.provide(thumbnails=slow, releases=slow)
    shown(panel, "model")
    began = time.monotonic()
    panel.model.set("model", "old.onnx")
    panel.model.set("model", "new.onnx")
    panel.strip.ask()
    assert time.monotonic() - began < 0.5
    status = panel.page("model").status
    assert "Checking" in status.text()
    slow.go.set()
    until(lambda: "Not released: new.onnx" in status.text())
    assert "expired &lt;yesterday&gt;" in status.text()
    thumb = panel.strip.thumbs["result"]
    until(lambda: not thumb.image.isNull())
    assert thumb.image.pixelColor(1, 0) == QtGui.QColor(0, 0, 255)
    until(lambda: panel.strip.note.text() == "slate")
    asked = len(slow.asked)
    panel.model.set("mix", 0.5)
    panel.model.set("mix", 0.25)
    until(lambda: len(slow.asked) > asked)
    QTest.qWait(100)
    assert len(slow.asked) == asked + 1  # a run of changes is asked for once
    assert slow.asked[-1][0].blend.mix == 0.25


class Told:
    """Identities by model, answered from another thread in the order that the test wants."""

    def __init__(self) -> None:
        self.asked: dict[str, Callable[[Identity], None]] = {}

    def ask(self, model: str, deliver: Callable[[Identity], None]) -> None:
        self.asked[model] = deliver

    def answer(self, model: str, *names: str) -> None:
        answer = Identity("performer", names)
        thread = threading.Thread(target=self.asked[model], args=(answer,))
        thread.start()
        thread.join()


def offered(row: Row) -> list[str]:
    menu = row.offers.menu()
    return [entry.text() for entry in menu.actions()] if row.offers.isVisibleTo(row) else []


def test_the_likeness_is_chosen_among_those_that_the_model_draws(panel: Panel) -> None:
    told = Told()
    panel.provide(identities=told)
    row = shown(panel, "likeness")
    assert offered(row) == []
    panel.model.set("model", "old.onnx")
    panel.model.set("model", "new.onnx")
    told.answer("new.onnx", "june", "may")
    until(lambda: offered(row) == ["june", "may"])
    told.answer("old.onnx", "late")
    QTest.qWait(30)
    assert offered(row) == ["june", "may"]
    row.offers.menu().actions()[1].trigger()
    assert panel.model.value("likeness") == "may"
    panel.model.undo()
    panel.model.set("model", "one.onnx")
    assert offered(row) == []  # not the other model's, while nobody knows
    told.answer("one.onnx", "june")
    until(lambda: row.control.placeholderText() == "june")  # what empty takes
    panel.set_value("likeness", "june", animated=True)
    assert not row.offers.isEnabled()
    panel.provide()
    assert offered(row) == []


def test_the_face_is_chosen_among_the_tracks_also_after_it_was_made_again(
    panel: Panel, tmp_path: Path
) -> None:
    path = tmp_path / "track.json"
    track = json.loads((ROOT / "examples/track.json").read_text())
    path.write_text(json.dumps(track))
    row = shown(panel, "face")
    panel.model.set("track_file", str(path))
    until(lambda: offered(row) == [f"0: {len(track['faces']['0'])} frames"])
    track["faces"]["3"] = dict(list(track["faces"]["0"].items())[:2])
    path.write_text(json.dumps(track))
    until(lambda: offered(row)[1:] == ["3: 2 frames"])
    row.offers.menu().actions()[1].trigger()
    assert panel.model.value("face") == 3
    panel.model.set("track_file", "")
    assert offered(row) == []


def test_a_panel_that_is_gone_is_not_told(application: QtWidgets.QApplication) -> None:
    model, slow = Model(), Slow()
    told = Told()
    panel = Panel(model, thumbnails=slow, releases=slow, identities=told)
    panel.strip.ask()
    model.set("model", "a.onnx")
    panel.deleteLater()
    application.sendPostedEvents(panel, QtCore.QEvent.Type.DeferredDelete)
    slow.go.set()
    told.answer("a.onnx", "june")
    QTest.qWait(30)
    model.set("mix", 0.5)


def test_a_hosts_palette_is_followed(application: QtWidgets.QApplication) -> None:
    host = QtWidgets.QWidget()
    palette = QtGui.QPalette(QtGui.QColor(230, 230, 230))
    host.setPalette(palette)
    panel = Panel(parent=host)
    role = QtGui.QPalette.ColorRole
    rows = panel.rows()
    for widget in (rows["mix"].slider, rows["mix"].field, rows["model"].control, panel.status):
        assert widget.palette().color(role.Window) == palette.color(role.Window)
    panel.set_value("mix", 0.5, animated=True)
    assert rows["mix"].field.palette().color(role.Base) == style.ANIMATED
    panel.set_value("mix", 0.5)
    assert rows["mix"].field.palette().color(role.Base) == palette.color(role.Base)


def test_hands_meet_the_controls_at_200_percent() -> None:
    chosen = "ctrl or wheel or face or drag or search or track_page"
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", __file__, "-k", f"({chosen}) and not percent"],
        env={**os.environ, "QT_SCALE_FACTOR": "2"},
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stdout
