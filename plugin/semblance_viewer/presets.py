"""The preset that a window's knobs come from and go to, and whether they are saved."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from semblance.preset import load_preset
from semblance_panel.qt import QtCore, QtWidgets

if TYPE_CHECKING:
    from semblance_viewer.window import Viewer

__all__ = ["Presets"]

Qt = QtCore.Qt
Button = QtWidgets.QMessageBox.StandardButton


class Presets(QtCore.QObject):
    """The file of a window's knobs.

    Parameters
    ----------
    viewer : Viewer
        Whose model it is about.

    Attributes
    ----------
    path : Path or None
        Where the knobs come from, or were saved last.

    Signals
    -------
    changed()
        There is another file, or the knobs were saved.
    """

    changed = QtCore.Signal()

    def __init__(self, viewer: Viewer) -> None:
        super().__init__(viewer)
        self._viewer = viewer
        self._model = viewer.model
        self._saved: Mapping[str, Any] = self._model.preset()
        self.path: Path | None = None

    @property
    def unsaved(self) -> bool:
        """Whether knobs were moved since they were loaded or saved."""
        return self._model.preset() != self._saved

    def begin_with(self, preset: Path | None, values: Mapping[str, Any]) -> None:
        """Take knobs from a command line: those of a preset, and these before them.

        Raises
        ------
        KnobError
            As `load`.
        """
        held = load_preset(preset) if preset else {}
        self._model.apply({**held, **values}, "command line")
        changed = preset is not None and any(held.get(name) != values[name] for name in values)
        self.path = preset
        self._saved = held if changed else self._model.preset()
        self.changed.emit()

    def load(self, path: Path) -> None:
        """Take all knobs from a preset file.

        Raises
        ------
        KnobError
            It can't be read, or names what the knobs do not accept; nothing has changed.
        """
        self._model.load(path)
        self._mark(path)

    def save(self, path: str | os.PathLike[str] | None = None) -> None:
        """Write the knobs to a file, by default the one they came from; ask where there is none."""
        path = path or self.path
        if path is None:
            self.ask_where()
            return
        target = Path(os.path.abspath(path))
        if self._viewer.attempt(lambda: self._model.save(target)):
            self._mark(target)

    def ask_where(self) -> None:
        """Let a name be chosen, and write to it."""
        dialog = QtWidgets.QFileDialog(self._viewer, "Save preset")
        dialog.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        dialog.setFileMode(QtWidgets.QFileDialog.FileMode.AnyFile)
        dialog.setAcceptMode(QtWidgets.QFileDialog.AcceptMode.AcceptSave)
        dialog.setNameFilters(["Presets (*.json)"])
        dialog.setDefaultSuffix("json")
        if self.path is not None:
            dialog.selectFile(str(self.path))
        elif self._viewer.shot is not None:
            dialog.setDirectory(str(self._viewer.shot.plates.folder))
        dialog.fileSelected.connect(self.save)
        dialog.open()

    def ask_to_leave(self) -> None:
        """Ask what becomes of knobs that are not saved, and close the window if it may."""
        box = QtWidgets.QMessageBox(self._viewer)
        box.setObjectName("leave")
        box.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        box.setText("The knobs are not saved as a preset.")
        box.setStandardButtons(Button.Save | Button.Discard | Button.Cancel)
        box.setDefaultButton(Button.Save)
        box.buttonClicked.connect(lambda clicked: self._leave(box.standardButton(clicked)))
        box.open()

    def _leave(self, answer: QtWidgets.QMessageBox.StandardButton) -> None:
        if answer == Button.Discard:
            self._saved = self._model.preset()
        elif answer == Button.Save:
            self.save()
        if answer != Button.Cancel and not self.unsaved:
            self._viewer.close()

    def _mark(self, path: Path) -> None:
        self.path = path
        self._saved = self._model.preset()
        self.changed.emit()
