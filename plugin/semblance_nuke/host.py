"""Every call of Nuke's own, behind one small typed protocol.

`Host` says what the rest of this package asks of Nuke, `NukeHost` asks it. Nothing else imports
`nuke`, so what may be called from a thread can be read in one place: `Host.later` and the progress.

References
----------
Foundry, NUKE Python API reference and developer's guide: Threading, Callbacks, Animation.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Optional, Protocol, Union

__all__ = ["Host", "Knob", "Node", "NukeHost", "Progress"]

Value = Union[bool, int, float, str]


class Knob(Protocol):
    """The methods of Nuke's knobs that are used here."""

    def name(self) -> str:
        """Return the knob's name."""

    def value(self) -> Any:
        """Return its value at the current frame: of a choice the word."""

    def setValue(self, value: Value) -> Any:
        """Set its value, of a choice by the word; sets a key where it is animated."""

    def getValueAt(self, frame: float) -> float:
        """Return its number at a frame."""

    def setValueAt(self, value: float, frame: float) -> Any:
        """Set a key."""

    def setAnimated(self) -> Any:
        """Have it hold keys."""

    def clearAnimated(self) -> Any:
        """Remove its keys."""

    def isAnimated(self) -> bool:
        """Return whether keys or an expression move it."""

    def hasExpression(self) -> bool:
        """Return whether an expression moves it."""

    def evaluate(self) -> Optional[str]:
        """Return the text of a file knob, its Tcl evaluated."""


class Node(Protocol):
    """The methods of Nuke's nodes that are used here; `node` and `makeGroup` where it has them."""

    def Class(self) -> str:
        """Return the name of its class."""

    def name(self) -> str:
        """Return its name."""

    def fullName(self) -> str:
        """Return its name with those of the groups around it."""

    def knob(self, name: str) -> Optional[Any]:
        """Return a knob, or None."""

    def input(self, number: int) -> Optional[Any]:
        """Return what an input is connected to, or None."""

    def setInput(self, number: int, node: Optional[Any]) -> bool:
        """Connect an input."""

    def firstFrame(self) -> int:
        """Return the first frame of what it delivers."""

    def lastFrame(self) -> int:
        """Return the last frame of what it delivers."""

    def xpos(self) -> int:
        """Return its place in the node graph."""

    def ypos(self) -> int:
        """Return its place in the node graph."""

    def setXYpos(self, x: int, y: int) -> None:
        """Move it in the node graph."""


class Progress(Protocol):
    """A progress bar that can be cancelled; may be used from any thread."""

    def setMessage(self, text: str) -> None:
        """Show a few words."""

    def setProgress(self, percent: int) -> None:
        """Show how much is done."""

    def isCancelled(self) -> bool:
        """Return whether the artist asked to stop."""


class Host(Protocol):
    """What this package asks of Nuke. All but `later` and `progress` on the main thread alone."""

    @property
    def gui(self) -> bool:
        """Whether there is a screen and an event loop."""

    def this_node(self) -> Any:
        """Return the node that a callback is about."""

    def this_knob(self) -> Any:
        """Return the knob that a callback is about."""

    def find(self, full_name: str) -> Optional[Any]:
        """Return a node by its full name, or None where it is gone."""

    def create(self, kind: str, show: bool) -> Any:
        """Create a node below the selected one.

        Raises
        ------
        RuntimeError
            Nuke does not know the class, or one inside it.
        """

    def ungroup(self, gizmo: Any) -> Any:
        """Replace a gizmo by a group of the same nodes, which the script holds, and return it."""

    def frame(self) -> int:
        """Return the current frame."""

    def setting(self, name: str) -> str:
        """Return a project setting as text; empty where this Nuke has none of that name."""

    def files(self, node: Any) -> str:
        """Return the file pattern of a Read, its expressions evaluated but for the frame."""

    def tell(self, text: str) -> None:
        """Show a message, or print it where there is no screen."""

    def undo(self, text: str) -> Any:
        """Return a context in which all changes are one step of undo."""

    def later(self, call: Callable[..., object], *given: object) -> None:
        """Have something called on the main thread, from any thread; does not wait."""

    def progress(self, text: str) -> Progress:
        """Open a progress bar, which closes when it is forgotten."""

    def listen(self, node: Any, call: Callable[[], None]) -> Callable[[], None]:
        """Have something called when a knob of a node changes; returns what ends that."""


class NukeHost:
    """The Nuke that this runs in."""

    def __init__(self) -> None:
        import nuke

        self._nuke: Any = nuke

    @property
    def gui(self) -> bool:
        """Whether there is a screen and an event loop."""
        return bool(self._nuke.GUI)

    def this_node(self) -> Any:
        """Return the node that a callback is about."""
        return self._nuke.thisNode()

    def this_knob(self) -> Any:
        """Return the knob that a callback is about."""
        return self._nuke.thisKnob()

    def find(self, full_name: str) -> Optional[Any]:
        """Return a node by its full name, or None where it is gone."""
        return self._nuke.toNode(full_name)

    def create(self, kind: str, show: bool) -> Any:
        """Create a node below the selected one."""
        return self._nuke.createNode(kind, inpanel=show)

    def ungroup(self, gizmo: Any) -> Any:
        """Replace a gizmo by a group of the same nodes, which the script holds, and return it."""
        group = gizmo.makeGroup()
        for number in range(gizmo.inputs()):
            group.setInput(number, gizmo.input(number))
        group.setXYpos(gizmo.xpos(), gizmo.ypos())
        name = gizmo.name()
        self._nuke.delete(gizmo)
        group.setName(name)
        return group

    def frame(self) -> int:
        """Return the current frame."""
        return int(self._nuke.frame())

    def setting(self, name: str) -> str:
        """Return a project setting as text; empty where this Nuke has none of that name."""
        knob = self._nuke.root().knob(name)
        return "" if knob is None else str(knob.value())

    def files(self, node: Any) -> str:
        """Return the file pattern of a Read, its expressions evaluated but for the frame.

        Nuke's own answer may name the proxy files, so it is asked only where Tcl has to run.
        """
        text = str(node.knob("file").value() or "")
        return str(self._nuke.filename(node) or "") if "[" in text else text

    def tell(self, text: str) -> None:
        """Show a message, or print it where there is no screen."""
        if self.gui:
            self._nuke.message(text)
        else:
            self._nuke.tprint(text)

    @contextmanager
    def undo(self, text: str) -> Iterator[None]:
        """Return a context in which all changes are one step of undo."""
        step = self._nuke.Undo()
        step.begin()
        step.name(text)
        try:
            yield
        finally:
            step.end()

    def later(self, call: Callable[..., object], *given: object) -> None:
        """Have something called on the main thread, from any thread; does not wait.

        Without a screen nothing ever runs what is queued there, and everything is on one thread.
        """
        if self.gui:
            self._nuke.executeInMainThread(call, args=given)
        else:
            call(*given)

    def progress(self, text: str) -> Progress:
        """Open a progress bar, which closes when it is forgotten."""
        if not self.gui:
            return _Silent()
        task: Progress = self._nuke.ProgressTask(text)
        return task

    def listen(self, node: Any, call: Callable[[], None]) -> Callable[[], None]:
        """Have something called when a knob of a node changes; returns what ends that."""
        self._nuke.addKnobChanged(call, node=node)

        def end() -> None:
            self._nuke.removeKnobChanged(call, node=node)

        return end


class _Silent:
    """Progress where nobody watches, and a signal ends the process."""

    def setMessage(self, text: str) -> None:
        """Show nothing."""

    def setProgress(self, percent: int) -> None:
        """Show nothing."""

    def isCancelled(self) -> bool:
        """Return False."""
        return False


def slashes(path: str) -> str:
    """Return a path as Nuke wants it on every system: a backslash would escape."""
    return path.replace(os.sep, "/").replace("\\", "/")
