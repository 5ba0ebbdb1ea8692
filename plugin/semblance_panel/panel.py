"""The panel: pages of knobs, presets, undo, thumbnails.

::

    panel = Panel()
    panel.changed.connect(node_side.set)  # name, value: what the artist did
    panel.set_value("mix", 0.5)  # what the host says; no echo

A host embeds the widget and keeps its own look; a program of its own calls `style.dress` first.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from semblance.errors import SemblanceError
from semblance.preset import load_preset
from semblance_panel.model import Change, Model, shipped
from semblance_panel.pages import ModelPage, Page, TrackPage, pages
from semblance_panel.providers import Identities, Releases, Thumbnails
from semblance_panel.qt import QtCore, QtGui, QtWidgets, action
from semblance_panel.rows import Row
from semblance_panel.strip import Strip
from semblance_panel.style import RED, tab_sheet, tinted

__all__ = ["Panel"]

Qt = QtCore.Qt

_PRESETS = "Presets (*.json)"


class Panel(QtWidgets.QWidget):
    """All knobs of one node.

    Parameters
    ----------
    model : Model, optional
        The values to show; those of a new node by default.
    releases : Releases, optional
        Looks up whether a likeness is released.
    identities : Identities, optional
        Reads whom a model draws, to be offered for the knob `likeness`.
    thumbnails : Thumbnails, optional
        Draws the current frame; without it there is no place for pictures.
    parent : QWidget, optional

    Signals
    -------
    changed(str, object)
        The artist changed a knob: its name, and its value, or its curve ``{frame: value}`` where a
        loaded preset brings one. Never emitted for what `set_value` says.
    frame_chosen(int)
        A frame was clicked in the track's curve.
    """

    changed = QtCore.Signal(str, object)
    frame_chosen = QtCore.Signal(int)

    def __init__(
        self,
        model: Model | None = None,
        *,
        releases: Releases | None = None,
        identities: Identities | None = None,
        thumbnails: Thumbnails | None = None,
        parent: QtWidgets.QWidget | None = None,
    ) -> None:
        super().__init__(parent)
        self.model = model or Model()
        self.setWindowTitle("Semblance")
        self.strip = Strip(self.model)
        self.pages = pages(self.model)
        self.tabs = self._tabs()
        self.status = QtWidgets.QLabel()
        self.status.setObjectName("status")
        self.status.setWordWrap(True)
        self.status.setContentsMargins(10, 0, 10, 4)
        self.status.setPalette(tinted(text=RED))
        self.status.setVisible(False)
        column = QtWidgets.QVBoxLayout(self)
        column.setContentsMargins(0, 8, 0, 0)
        column.setSpacing(6)
        column.addLayout(self._bar())
        column.addWidget(self.strip)
        column.addWidget(self.tabs, 1)
        column.addWidget(self.status)
        for row in self.rows().values():
            row.refused.connect(self.say)
        for page in self.pages:
            if isinstance(page, TrackPage):
                page.curve.frame_chosen.connect(self.frame_chosen)
                page.rewritten.connect(self._look_faces)
        stop = self.model.listen(self._told)
        self.destroyed.connect(lambda: stop())  # the model may outlive the widget
        self.provide(releases=releases, identities=identities, thumbnails=thumbnails)
        self._show_history()

    # --- for hosts -------------------------------------------------------------------------

    def set_value(self, name: str, value: Any, animated: bool = False) -> None:
        """Show a value that the host says, at its current frame; `changed` is not emitted.

        Raises
        ------
        KnobError
            The name is unknown or the value is not accepted.
        """
        self.model.follow(name, value, animated=animated)

    def set_frame(self, frame: int) -> None:
        """Show a preset's curves, the track and the thumbnails at a frame."""
        self.model.frame = frame
        for page in self.pages:
            if isinstance(page, TrackPage):
                page.curve.show_frame(frame)
        self.strip.changed(Change(()))

    def provide(
        self,
        *,
        releases: Releases | None = None,
        identities: Identities | None = None,
        thumbnails: Thumbnails | None = None,
    ) -> None:
        """Take releases, identities and thumbnails from somebody else, or from nobody."""
        self.strip.provide(thumbnails)
        for page in self.pages:
            if isinstance(page, ModelPage):
                page.releases, page.identities = releases, identities
                page.look()

    def rows(self) -> dict[str, Row]:
        """Return the row of every knob by its name."""
        return {name: row for page in self.pages for name, row in page.rows.items()}

    def page(self, group: str) -> Page:
        """Return the page of a group that is declared."""
        return next(page for page in self.pages if page.group == group)

    def say(self, text: str) -> None:
        """Show a line below the pages, or none."""
        self.status.setText(text)
        self.status.setVisible(bool(text))

    # --- presets ---------------------------------------------------------------------------

    def load_preset(self, path: str | os.PathLike[str]) -> None:
        """Take all knobs from a preset file; what is wrong with it is said below the pages."""
        self._try(lambda: self.model.load(path))

    def save_preset(self, path: str | os.PathLike[str]) -> None:
        """Write the knobs as a preset file for ``semblance apply --preset``."""
        self._try(lambda: self.model.save(path))

    def _apply_shipped(self, name: str, path: Path) -> None:
        self._try(lambda: self.model.apply(load_preset(path), f"preset {name}"))

    def _choose(self, saving: bool) -> None:
        title = "Save preset" if saving else "Load preset"
        dialog = QtWidgets.QFileDialog(self, title)
        dialog.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        dialog.setNameFilters([_PRESETS, "All files (*)"])
        kind = QtWidgets.QFileDialog.FileMode
        dialog.setFileMode(kind.AnyFile if saving else kind.ExistingFile)
        if saving:
            dialog.setAcceptMode(QtWidgets.QFileDialog.AcceptMode.AcceptSave)
            dialog.setDefaultSuffix("json")
        dialog.fileSelected.connect(self.save_preset if saving else self.load_preset)
        dialog.open()

    def _try(self, act: Callable[[], None]) -> None:
        try:
            act()
        except SemblanceError as error:
            self.say(str(error))
        else:
            self.say("")

    # --- what is drawn ---------------------------------------------------------------------

    def _bar(self) -> QtWidgets.QLayout:
        menu = QtWidgets.QMenu(self)
        for name, path in shipped().items():
            self._entry(menu, name, partial(self._apply_shipped, name, path))
        menu.addSeparator()
        self._entry(menu, "Load …", partial(self._choose, False))
        self._entry(menu, "Save …", partial(self._choose, True))
        menu.addSeparator()
        self._entry(menu, "Reset this page", self._reset_page)
        self._entry(menu, "Reset all", lambda: self.model.reset(self.rows()))
        self.presets = QtWidgets.QPushButton("Presets")
        self.presets.setMenu(menu)
        self.undo = self._button("Undo", self.model.undo)
        self.redo = self._button("Redo", self.model.redo)
        self.field = QtWidgets.QLineEdit()
        self.field.setObjectName("search")
        self.field.setPlaceholderText("Search knobs")
        self.field.setClearButtonEnabled(True)
        self.field.textChanged.connect(self._search)
        bar = QtWidgets.QHBoxLayout()
        bar.setContentsMargins(10, 0, 10, 0)
        bar.setSpacing(6)
        for widget in (self.presets, self.undo, self.redo):
            bar.addWidget(widget)
        bar.addWidget(self.field, 1)
        return bar

    def _entry(self, menu: QtWidgets.QMenu, text: str, act: Callable[[], None]) -> None:
        entry = action(text, menu)
        entry.triggered.connect(lambda: act())
        menu.addAction(entry)

    def _button(self, text: str, act: Callable[[], None]) -> QtWidgets.QPushButton:
        button = QtWidgets.QPushButton(text)
        button.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        button.clicked.connect(lambda: act())
        return button

    def _tabs(self) -> QtWidgets.QTabWidget:
        tabs = QtWidgets.QTabWidget()
        tabs.setDocumentMode(True)
        tabs.setUsesScrollButtons(True)
        tabs.tabBar().setExpanding(False)
        tabs.tabBar().setStyleSheet(tab_sheet())
        for page in self.pages:
            tabs.addTab(page, page.group.capitalize())
        return tabs

    def _reset_page(self) -> None:
        page = self.tabs.currentWidget()
        if isinstance(page, Page):
            self.model.reset(page.rows)

    def _search(self, text: str) -> None:
        """Leave the rows that match, and go to the first page that has one."""
        found = [page.search(text) for page in self.pages]
        for index, any_row in enumerate(found):
            self.tabs.setTabEnabled(index, any_row)
        if any(found) and not found[self.tabs.currentIndex()]:
            self.tabs.setCurrentIndex(found.index(True))
        self.say("" if any(found) else f"No knob matches “{text}”.")

    # --- what happens ----------------------------------------------------------------------

    def _look_faces(self) -> None:
        for page in self.pages:
            if isinstance(page, ModelPage):
                page.look_faces()

    def _told(self, change: Change) -> None:
        for page in self.pages:
            page.refresh(change.names)
        self.strip.changed(change)
        self._show_history()
        if not change.by_host:
            for name in change.names:
                self.changed.emit(name, self.model.held(name))

    def _show_history(self) -> None:
        for button, word, text in (
            (self.undo, "Undo", self.model.undo_text),
            (self.redo, "Redo", self.model.redo_text),
        ):
            button.setEnabled(bool(text))
            button.setToolTip(f"{word} {text}".strip())

    def event(self, event: QtCore.QEvent) -> bool:
        """Claim the keys of undo and redo while the focus is in here, before the host does."""
        if event.type() == QtCore.QEvent.Type.ShortcutOverride and _history_key(event):
            event.accept()
            return True
        return bool(super().event(event))

    def keyPressEvent(self, event: QtGui.QKeyEvent) -> None:
        """Undo and redo; a field that is being typed in does its own first."""
        key = _history_key(event)
        if key == "undo":
            self.model.undo()
        elif key == "redo":
            self.model.redo()
        else:
            super().keyPressEvent(event)


def _history_key(event: Any) -> str:
    standard = QtGui.QKeySequence.StandardKey
    if event.matches(standard.Undo):
        return "undo"
    return "redo" if event.matches(standard.Redo) else ""
