"""Every call of Nuke's own, behind one small typed protocol.

`Host` says what the rest of this package asks of Nuke, `NukeHost` asks it. Nothing else imports
`nuke`, so what may be called from a thread can be read in one place: `Host.later` and the progress.

References
----------
Foundry, NUKE Python API reference and developer's guide: Threading, Callbacks, Animation.
"""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
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

    def toScript(self) -> str:
        """Return its value, curve or expression as a script holds it."""

    def fromScript(self, text: str) -> Any:
        """Take what `toScript` gave."""

    def execute(self) -> Any:
        """Press it, where it is a button."""

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

    def opHashes(self) -> list[int]:
        """Return names of what it delivers at the current frame; none of a group."""

    def dependencies(self) -> list[Any]:
        """Return the nodes that it takes pixels or values of."""

    def clones(self) -> int:
        """Return how many clones of it there are."""


class Progress(Protocol):
    """A progress bar that can be cancelled; may be used from any thread."""

    def setMessage(self, text: str) -> None:
        """Show a few words."""

    def setProgress(self, percent: int) -> None:
        """Show how much is done."""

    def isCancelled(self) -> bool:
        """Return whether the artist asked to stop."""


class Host(Protocol):
    """What this package asks of Nuke. All but `later`, `soon` and `progress` on the main thread."""

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

    def soon(self, call: Callable[[], object]) -> None:
        """Have something called on the main thread when Nuke is done with what it does now.

        What a callback may not do itself: change the graph, or render.
        """

    def quiet(self) -> Any:
        """Return a context in which changes are no step of undo and leave the script unmodified."""

    def ask(self, text: str, default: str) -> Optional[str]:
        """Ask for a line of text; None where the artist said no, or there is no screen."""

    def open_folder(self, path: str) -> None:
        """Show a folder in the system's own window, or print its name where there is no screen."""

    def go(self, frame: int) -> None:
        """Make a frame the current one."""

    def proxy(self) -> bool:
        """Return whether the script is seen through its proxies."""

    def views(self) -> list[str]:
        """Return the names of the project's views."""

    def size(self, node: Any) -> tuple[int, int, float]:
        """Return width, height and pixel aspect of a node's format at the full resolution."""

    def nodes(self) -> list[Any]:
        """Return every node of the script, those inside groups too."""

    def add(self, group: Any, kind: str, name: str) -> Any:
        """Create a node inside a group.

        Raises
        ------
        RuntimeError
            Nuke does not know the class.
        """

    def add_layer(self, name: str, channels: Sequence[str]) -> None:
        """Make a layer known to the script."""

    def remove(self, node: Any) -> None:
        """Delete a node."""

    def add_knob(self, node: Any, kind: str, name: str, label: str, choices: Sequence[str]) -> None:
        """Give a node a knob of one of Nuke's classes."""

    def link(self, group: Any, name: str, target: str) -> None:
        """Have a link of a group lead to a knob of a node inside."""

    def render(self, write: Any, frame: int, view: str) -> None:
        """Render one frame of a Write.

        Raises
        ------
        RuntimeError
            It fails, was cancelled, or Nuke renders something else.
        """

    def rendering(self) -> bool:
        """Return whether Nuke renders a Write now."""

    def on(self, event: str, call: Callable[[], None], kind: str) -> Callable[[], None]:
        """Have something called at an event, for nodes of a class; returns what ends that.

        Parameters
        ----------
        event : str
            As Nuke's ``addOnCreate`` without ``add``.
        call : callable
            Without arguments.
        kind : str
            The class; ``*`` for any.
        """


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

    def soon(self, call: Callable[[], object]) -> None:
        """Have something called on the main thread when Nuke is done with what it does now."""
        if self.gui:  # which refuses to be asked from the main thread itself
            asked = threading.Thread(target=self.later, args=(call,), daemon=True)
            asked.start()
        else:
            call()

    @contextmanager
    def quiet(self) -> Iterator[None]:
        """Return a context in which changes are no step of undo and leave the script unmodified."""
        root, undo = self._nuke.root(), self._nuke.Undo()
        modified = root.modified()
        undo.disable()
        try:
            yield
        finally:
            undo.enable()
            root.setModified(modified)

    def ask(self, text: str, default: str) -> Optional[str]:
        """Ask for a line of text; None where the artist said no, or there is no screen."""
        return self._nuke.getInput(text, default) if self.gui else None

    def open_folder(self, path: str) -> None:
        """Show a folder in the system's own window, or print its name where there is no screen."""
        if not self.gui:
            self.tell(path)
        elif sys.platform == "win32":
            os.startfile(path)
        else:
            program = "open" if sys.platform == "darwin" else "xdg-open"
            try:
                subprocess.Popen([program, path], stdin=subprocess.DEVNULL)
            except OSError:
                self.tell(path)

    def go(self, frame: int) -> None:
        """Make a frame the current one."""
        if frame != self.frame():
            self._nuke.frame(frame)

    def proxy(self) -> bool:
        """Return whether the script is seen through its proxies."""
        return bool(self._nuke.root().knob("proxy").value())

    def views(self) -> list[str]:
        """Return the names of the project's views."""
        return list(self._nuke.views())

    def size(self, node: Any) -> tuple[int, int, float]:
        """Return width, height and pixel aspect of a node's format at the full resolution."""
        held = node.format()
        return held.width(), held.height(), held.pixelAspect()

    def nodes(self) -> list[Any]:
        """Return every node of the script, those inside groups too."""
        return list(self._nuke.allNodes(recurseGroups=True))

    def add(self, group: Any, kind: str, name: str) -> Any:
        """Create a node inside a group."""
        group.begin()
        try:
            made = self._nuke.createNode(kind, inpanel=False)
        finally:
            group.end()
        made.setName(name)
        return made

    def add_layer(self, name: str, channels: Sequence[str]) -> None:
        """Make a layer known to the script."""
        self._nuke.Layer(name, [f"{name}.{channel}" for channel in channels])

    def remove(self, node: Any) -> None:
        """Delete a node."""
        self._nuke.delete(node)

    def add_knob(self, node: Any, kind: str, name: str, label: str, choices: Sequence[str]) -> None:
        """Give a node a knob of one of Nuke's classes."""
        make = getattr(self._nuke, kind)
        node.addKnob(make(name, label, list(choices)) if choices else make(name, label))

    def link(self, group: Any, name: str, target: str) -> None:
        """Have a link of a group lead to a knob of a node inside."""
        group.knob(name).setLink(target)

    def render(self, write: Any, frame: int, view: str) -> None:
        """Render one frame of a Write."""
        self._nuke.execute(write, frame, frame, 1, [view])

    def rendering(self) -> bool:
        """Return whether Nuke renders a Write now."""
        return bool(self._nuke.executing())

    def on(self, event: str, call: Callable[[], None], kind: str) -> Callable[[], None]:
        """Have something called at an event, for nodes of a class; returns what ends that."""
        getattr(self._nuke, f"add{event}")(call, nodeClass=kind)

        def end() -> None:
            getattr(self._nuke, f"remove{event}")(call, nodeClass=kind)

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
