"""The tools that work on the picture: which one has the pointer, and what it writes."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Final, Union

from semblance.errors import InputError
from semblance_panel.qt import QtCore, QtWidgets
from semblance_viewer.landmark_tool import LandmarkTool
from semblance_viewer.roto_tool import RotoTool

if TYPE_CHECKING:
    from semblance_viewer.window import Viewer

__all__ = ["TOOLS", "Hands"]

HandTool = Union[RotoTool, LandmarkTool]

TOOLS: Final[Mapping[str, tuple[str, str]]] = {
    "roto": ("Roto", "Draw shapes that the mask is cut to; they are keyed and have a feather (O)"),
    "landmarks": ("Landmarks", "Push a point of the face, or all of it, where the track errs (T)"),
}
"""Word and tip of each."""


class Hands(QtCore.QObject):
    """The tool that has the pointer, if there is one.

    Parameters
    ----------
    viewer : Viewer
        Whose picture, knobs and shot it works on.

    Attributes
    ----------
    bar : QToolBar
        The tool's options; hidden without one.
    """

    def __init__(self, viewer: Viewer) -> None:
        super().__init__(viewer)
        self._viewer = viewer
        self.tool: HandTool | None = None
        self.bar = QtWidgets.QToolBar("Tool")
        self.bar.setObjectName("tool_bar")
        self.bar.setMovable(False)
        self.bar.setVisible(False)

    def choose(self, name: str) -> None:
        """Give a tool the pointer, or take it away; why a tool can't be had is said."""
        viewer = self._viewer
        if self.tool is not None:
            viewer.canvas.set_tool(None)
            self.tool.flush()
            self.tool.close()
            self.tool = None
        self.bar.clear()
        self.bar.setVisible(False)
        if name and not viewer.attempt(lambda: self._take(name)):
            name = ""
        viewer.compare_bar.show_tool(name)
        viewer.canvas.setFocus()

    def turn(self, name: str) -> None:
        """Take a tool, or put it away where it has the pointer already."""
        self.choose("" if self._viewer.compare_bar.tools[name].isChecked() else name)

    def flush(self) -> None:
        """Wait until what the tool has done is in its file."""
        if self.tool is not None:
            self.tool.flush()

    def undo(self) -> None:
        """Take the tool's last step back, else the panel's."""
        if self.tool is not None and self.tool.can_undo:
            self.tool.undo()
        else:
            self._viewer.model.undo()

    def redo(self) -> None:
        """Do the tool's last undone step again, else the panel's."""
        if self.tool is not None and self.tool.can_redo:
            self.tool.redo()
        else:
            self._viewer.model.redo()

    def roto_path(self) -> Path:
        """Return where shapes are: as the knob says, else beside the preset, else the plate.

        There must be a shot.
        """
        viewer = self._viewer
        assert viewer.shot is not None
        named = str(viewer.model.value("roto_file"))
        if named:
            return Path(named)
        preset = viewer.presets.path
        if preset is not None:
            return preset.with_name(f"{preset.stem}.roto.json")
        stem = viewer.shot.plates.head.partition(".")[0].rstrip("_-") or "plate"
        return viewer.shot.plates.folder / f"{stem}.roto.json"

    def _take(self, name: str) -> None:
        tool = self._new(name)
        tool.changed.connect(self._wrote)
        tool.failed.connect(self._viewer.info.say)
        tool.edited.connect(self._viewer.canvas.update)
        self.tool = tool
        self._viewer.canvas.set_tool(tool)
        self.bar.addWidget(tool.options())
        self.bar.setVisible(True)

    def _new(self, name: str) -> HandTool:
        viewer = self._viewer
        plate = None if viewer.engine is None else viewer.engine.plate(viewer.frame)
        if plate is None:
            raise InputError(
                "there is no plate to work on yet", "Open one, or wait until it is read."
            )
        if name == "roto":
            window = plate.display_window
            size = (window.width, window.height)
            return RotoTool(self.roto_path(), size, viewer.frame, self)
        face = viewer.model.value("face")
        assert isinstance(face, int)
        track = Path(str(viewer.model.value("track_file")))
        return LandmarkTool(track, face, viewer.frame, self._smoothing, self)

    def _smoothing(self) -> float:
        return float(self._viewer.model.value("smoothing"))

    def _wrote(self) -> None:
        """Name the shapes in the knob, and render with what was written."""
        viewer = self._viewer
        if isinstance(self.tool, RotoTool) and not viewer.model.value("roto_file"):
            viewer.model.set("roto_file", str(self.tool.path))
        viewer.tool_wrote()
