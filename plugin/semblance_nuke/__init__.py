"""Semblance inside Nuke: what the knobs of the gizmo and the menu call.

``import semblance_nuke`` alone imports neither `nuke` nor Qt. Nuke's own calls are in `host`, what
a button does in `node`, work that takes long in `jobs`, the Qt panel's place in `panel`.
"""

from __future__ import annotations

from typing import Any, Optional

__all__ = [
    "analyse",
    "bake",
    "create",
    "panel_knob",
    "pick_space",
    "send_to_farm",
    "update_model",
]


def create() -> Any:
    """Create a Semblance node below the selected one and return it."""
    from semblance_nuke import node
    from semblance_nuke.host import NukeHost

    return node.create(NukeHost())


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
