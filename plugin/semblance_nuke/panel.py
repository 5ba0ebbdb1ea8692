"""The Qt panel's place on the node: knobs and panel follow each other, curves stay curves."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any, Optional

from semblance.errors import KnobError
from semblance.knobs import declared
from semblance_nuke.host import Host
from semblance_nuke.node import engine, read_knob, write_curve, write_knob
from semblance_panel.programs import IdentitiesByProgram, ReleasesByProgram

__all__ = ["PanelKnob", "Sync"]


class Sync:
    """Keeps a panel's model and a node's knobs alike.

    Parameters
    ----------
    host : Host
    node : node
        A Semblance node. It is kept by its name: Nuke may delete it while the panel is open.
    model : semblance_panel.model.Model
        What the panel shows.
    """

    def __init__(self, host: Host, node: Any, model: Any) -> None:
        self._host, self._name, self._model = host, node.fullName(), model
        self._knobs = {each.name: each for each in declared()}
        self._writing = False
        self._heard = ""
        self._ends: list[Callable[[], None]] = [
            host.listen(node, self._from_node),
            model.listen(self._from_panel),
            self._hear_no_more,
        ]
        self._end_inner: Callable[[], None] = _nothing
        self.refresh()

    def refresh(self) -> None:
        """Show what the node holds at the current frame."""
        inner = self._inner()
        if inner is not None:
            self._hear(inner)
            frame = self._host.frame()
            self._model.frame = frame
            for declaration in self._knobs.values():
                self._follow(inner, declaration.name, frame)

    def close(self) -> None:
        """End both ways."""
        while self._ends:
            self._ends.pop()()

    def _hear(self, inner: Any) -> None:
        """Listen to the inner node: another engine is another node."""
        if inner.Class() != self._heard:
            self._hear_no_more()
            self._heard, self._end_inner = inner.Class(), self._host.listen(inner, self._from_node)

    def _hear_no_more(self) -> None:
        self._end_inner()
        self._heard, self._end_inner = "", _nothing

    def _inner(self) -> Optional[Any]:
        node = self._host.find(self._name)
        return None if node is None else engine(node)

    def _follow(self, inner: Any, name: str, frame: int) -> None:
        try:
            value = read_knob(inner, self._knobs[name], frame)
        except KnobError:  # a value that only Nuke's slider let through; rendering will say so
            return
        self._model.follow(name, value, animated=bool(inner.knob(name).isAnimated()))

    def _from_node(self) -> None:
        """Take a knob that changed; Nuke calls this for every knob, its own ones too."""
        knob = self._host.this_knob()
        if self._writing or knob is None or knob.name() not in self._knobs:
            return
        inner = self._inner()
        if inner is not None:
            self._follow(inner, knob.name(), self._host.frame())

    def _from_panel(self, change: Any) -> None:
        inner = None if change.by_host or not change.names else self._inner()
        if inner is None:
            return
        self._writing = True
        try:
            with self._host.undo("Semblance"):
                for name in change.names:
                    self._write(inner, name)
        finally:
            self._writing = False

    def _write(self, inner: Any, name: str) -> None:
        held = self._model.held(name)
        if isinstance(held, Mapping):
            write_curve(inner, self._knobs[name], held)
            self._follow(inner, name, self._host.frame())  # it is Nuke's curve from now on
        else:
            write_knob(inner, self._knobs[name], held, self._host.frame())


class PanelKnob:
    """What Nuke's PyCustom knob asks for: a widget whenever the node's properties open."""

    def __init__(self, host: Host, node: Any) -> None:
        self._host, self._name = host, node.fullName()
        self._sync: Optional[Sync] = None

    def makeUI(self) -> Any:
        """Return the panel; a line that says why, where this Nuke can't show it."""
        if self._sync is not None:
            self._sync.close()
        try:
            from semblance_panel.model import Model
            from semblance_panel.panel import Panel
        except ImportError as error:
            return _line(f"The panel can't be shown: {error}. All knobs are on the other tabs.")
        model = Model()
        self._sync = Sync(self._host, self._host.find(self._name), model)
        widget = Panel(model, releases=ReleasesByProgram(), identities=IdentitiesByProgram())
        widget.destroyed.connect(self._sync.close)
        return widget

    def updateValue(self) -> None:
        """Follow the node, as Nuke asks when the properties open or the frame changes."""
        if self._sync is not None:
            self._sync.refresh()


def _nothing() -> None:
    """End what never began."""


def _line(text: str) -> Any:
    try:
        widgets = import_module("PySide6.QtWidgets")
    except ImportError:
        widgets = import_module("PySide2.QtWidgets")
    return widgets.QLabel(text)
