"""Semblance inside Nuke: what the knobs of the gizmo and the menu call.

``import semblance_nuke`` alone imports neither `nuke` nor Qt. Nuke's own calls are in `host`, what
a button does in `node`, work that takes long in `jobs`, the Qt panel's place in `panel`. Which
engine a node has is settled in `engines`; the one that works by frames has `upstream` for their
keys, `frame_cache` for the files, `frames` for what is shown, `updating` for how frames come, and
`callbacks` for when.
"""

from __future__ import annotations

from typing import Any, Optional

__all__ = [
    "analyse",
    "bake",
    "clear_cache",
    "create",
    "panel_knob",
    "pick_space",
    "render",
    "restart_worker",
    "reveal_cache",
    "send_to_farm",
    "settle",
    "update_frame",
    "update_model",
    "update_range",
]


def create() -> Any:
    """Create a Semblance node below the selected one and return it."""
    from semblance_nuke import callbacks, node
    from semblance_nuke.host import NukeHost

    host = NukeHost()
    made = node.create(host)
    if made is not None:
        callbacks.settle(host, made)
    return made


def analyse(group: Any) -> None:
    """Track the shot of the Read above, beside Nuke, and use the track."""
    from semblance_nuke import node
    from semblance_nuke.host import NukeHost

    node.analyse(NukeHost(), group)


def bake(group: Any) -> None:
    """Render the Read above to EXR with layers, beside Nuke, and read it in."""
    from semblance_nuke import node
    from semblance_nuke.host import NukeHost

    node.bake(NukeHost(), group)


def send_to_farm(group: Any) -> None:
    """Write the bake as a folder that a farm renders, and say where it lies."""
    from semblance_nuke import node
    from semblance_nuke.host import NukeHost

    node.send_to_farm(NukeHost(), group)


def update_model(group: Any) -> None:
    """Take the newest version of the model that lies beside it."""
    from semblance_nuke import node
    from semblance_nuke.host import NukeHost

    node.update_model(NukeHost(), group)


def pick_space(group: Any) -> None:
    """Set the input space to what arrives at the node."""
    from semblance_nuke import node
    from semblance_nuke.host import NukeHost

    node.pick_space(NukeHost(), group)


def panel_knob(group: Any) -> Optional[Any]:
    """Return what Nuke's PyCustom knob shows; None without a screen."""
    from semblance_nuke.host import NukeHost
    from semblance_nuke.panel import PanelKnob

    host = NukeHost()
    return PanelKnob(host, group) if host.gui else None


def settle(group: Any) -> None:
    """Give a node the engine that its knob asks for; with a screen that happens by itself."""
    from semblance_nuke import callbacks
    from semblance_nuke.host import NukeHost

    callbacks.settle(NukeHost(), group)


def update_frame(group: Any) -> None:
    """Make the current frame of a node that works by frames; return at once."""
    from semblance_nuke import node, updating
    from semblance_nuke.host import NukeHost

    host = NukeHost()
    with node.reporting(host):
        node.by_frames(group)
        if host.gui:
            updating.update(host, group)
        else:
            updating.make_now(host, group)


def update_range(group: Any, first: Optional[int] = None, last: Optional[int] = None) -> None:
    """Make a range of frames of a node that works by frames; asks which, where none is given."""
    from semblance_nuke import node, updating
    from semblance_nuke.host import NukeHost

    host = NukeHost()
    with node.reporting(host):
        node.by_frames(group)
        if first is None or last is None:
            asked = node.asked_range(host, group)
            if asked is None:
                return
            first, last = asked
        updating.update_range(host, group, first, last)


def render(write: Any, first: int, last: int) -> None:
    """Render a Write frame by frame, each after what it needs of nodes that work by frames.

    For scripts of a Nuke that refuses to render inside a render.

    Raises
    ------
    RuntimeError
        A frame can't be made or rendered.
    """
    from semblance_nuke import callbacks
    from semblance_nuke.host import NukeHost

    host = NukeHost()
    for frame in range(first, last + 1):
        host.go(frame)
        callbacks.make_above(host, write)
        for view in host.views():
            host.render(write, frame, view)


def reveal_cache(group: Any) -> None:
    """Open the folder in which a node's frames are kept."""
    from semblance_nuke import node
    from semblance_nuke.frames import Bench
    from semblance_nuke.host import NukeHost

    host = NukeHost()
    with node.reporting(host):
        node.by_frames(group)
        folder = Bench(host, group).cache.folder
        folder.mkdir(parents=True, exist_ok=True)
        host.open_folder(str(folder))


def clear_cache(group: Any) -> None:
    """Remove all frames from the folder of a node."""
    from semblance_nuke import node
    from semblance_nuke.frames import Bench
    from semblance_nuke.host import NukeHost

    host = NukeHost()
    with node.reporting(host):
        node.by_frames(group)
        bench = Bench(host, group)
        bench.clear()
        bench.look()


def restart_worker() -> None:
    """End the worker, also a hung one; the next frame starts another."""
    from semblance_nuke import updating

    updating.restart_worker()
