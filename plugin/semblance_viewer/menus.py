"""Menus, and single keys as compositors have them: who has the focus gets a key first."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Final

from semblance_panel.qt import QtCore, QtGui, QtWidgets, action
from semblance_viewer.toolbar import COMPARE_WORDS

if TYPE_CHECKING:
    from semblance_viewer.window import Viewer

__all__ = ["Keys", "menus"]

Qt = QtCore.Qt
Act = Callable[[], object]

MODELS: Final = "Likeness models (*.onnx *.adapter.json)"
PLATES: Final = "Plates (*.exr)"
TRACKS: Final = "Tracks (*.json *.nk *.csv)"
PRESETS: Final = "Presets (*.json)"


class Keys:
    """What single keys do, where nobody else had a use for them.

    Parameters
    ----------
    viewer : Viewer
    """

    def __init__(self, viewer: Viewer) -> None:
        player, bar = viewer.player, viewer.compare_bar
        key = Qt.Key
        self._viewer = viewer
        self._acts: dict[Qt.Key, Act] = {
            key.Key_Right: lambda: player.step(1),
            key.Key_Left: lambda: player.step(-1),
            key.Key_Home: player.first,
            key.Key_End: player.last,
            key.Key_L: lambda: player.play(1),
            key.Key_J: lambda: player.play(-1),
            key.Key_K: player.stop,
            key.Key_1: lambda: bar.set_mode("plate"),
            key.Key_2: lambda: bar.set_mode("result"),
            key.Key_3: lambda: bar.set_mode("wipe"),
            key.Key_4: lambda: bar.set_mode("difference"),
            key.Key_W: lambda: bar.set_mode("result" if bar.mode == "wipe" else "wipe"),
            key.Key_F: viewer.canvas.fit,
            key.Key_O: lambda: viewer.hands.turn("roto"),
            key.Key_T: lambda: viewer.hands.turn("landmarks"),
            key.Key_Escape: lambda: viewer.hands.choose(""),
            **{
                getattr(key, f"Key_{letter}"): partial(viewer.look_bar.toggle_channel, channel)
                for letter, channel in zip("RGBAY", ("r", "g", "b", "a", "luma"))
            },
        }

    def press(self, event: QtGui.QKeyEvent) -> bool:
        """Do what a key is for; return whether it is for anything."""
        standard = QtGui.QKeySequence.StandardKey
        if event.matches(standard.Undo):
            self._viewer.hands.undo()
            return True
        if event.matches(standard.Redo):
            self._viewer.hands.redo()
            return True
        modifiers = event.modifiers() & ~Qt.KeyboardModifier.KeypadModifier
        act = self._acts.get(Qt.Key(event.key()))
        if act is None or modifiers != Qt.KeyboardModifier.NoModifier:
            return False
        act()
        return True

    def release(self, event: QtGui.QKeyEvent) -> bool:
        """Play or stop at a space that was not used for panning, which ends with its release."""
        if event.key() != Qt.Key.Key_Space or event.isAutoRepeat():
            return False
        self._viewer.player.toggle()
        return True


def menus(viewer: Viewer) -> None:
    """Give the window its menus.

    A key that Qt is to watch for is given with Ctrl; single ones are `Keys`' and only named here.
    """
    player, bar = viewer.player, viewer.compare_bar
    file = viewer.menuBar().addMenu("&File")
    _entry(file, "Open plate …", lambda: viewer.ask_for("Open plate", PLATES, "plates"), "Ctrl+O")
    _entry(file, "Open model …", lambda: viewer.ask_for("Open model", MODELS, "model"), "Ctrl+M")
    _entry(file, "Open track …", lambda: viewer.ask_for("Open track", TRACKS, "track"), "Ctrl+T")
    file.addSeparator()
    _entry(file, "Load preset …", lambda: viewer.ask_for("Load preset", PRESETS, "preset"))
    _entry(file, "Save preset", viewer.presets.save, "Ctrl+S")
    _entry(file, "Save preset as …", viewer.presets.ask_where, "Ctrl+Shift+S")
    file.addSeparator()
    _entry(file, "Render …", viewer.show_render, "Ctrl+R")
    file.addSeparator()
    _entry(file, "Quit", viewer.close, "Ctrl+Q")

    edit = viewer.menuBar().addMenu("&Edit")
    _entry(edit, "Undo\tCtrl+Z", viewer.hands.undo)
    _entry(edit, "Redo\tCtrl+Shift+Z", viewer.hands.redo)

    view = viewer.menuBar().addMenu("&View")
    for number, (mode, (text, _)) in enumerate(COMPARE_WORDS.items(), 1):
        _entry(view, f"{text}\t{number}", partial(bar.set_mode, mode))
    view.addSeparator()
    _entry(view, "Live result", viewer.show_live)
    view.addSeparator()
    _entry(view, "Fit\tF", viewer.canvas.fit)
    _entry(view, "1:1", lambda: viewer.canvas.set_zoom(1.0), "Ctrl+1")
    view.addSeparator()
    view.addAction(viewer.dock.toggleViewAction())

    play = viewer.menuBar().addMenu("&Play")
    _entry(play, "Forward\tL", lambda: player.play(1))
    _entry(play, "Backward\tJ", lambda: player.play(-1))
    _entry(play, "Stop\tK", player.stop)
    play.addSeparator()
    _entry(play, "One frame on\t→", lambda: player.step(1))
    _entry(play, "One frame back\t←", lambda: player.step(-1))
    _entry(play, "First frame\tHome", player.first)
    _entry(play, "Last frame\tEnd", player.last)


def _entry(menu: QtWidgets.QMenu, text: str, act: Act, keys: str = "") -> None:
    entry = action(text, menu)
    if keys:
        entry.setShortcut(QtGui.QKeySequence(keys))
    entry.triggered.connect(lambda: act())
    menu.addAction(entry)
