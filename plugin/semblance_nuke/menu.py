"""Start-up of a Nuke with a screen: the menu, and what follows a change of a node."""

from __future__ import annotations

import nuke  # noqa: TID253

from semblance_nuke import create, node
from semblance_nuke.host import NukeHost


def _changed() -> None:
    node.changed(NukeHost())


_menu = nuke.menu("Nodes").addMenu("Semblance")
_menu.addCommand("Semblance", create)
_menu.addCommand("Semblance Blend (rendered layers)", "nuke.createNode('SemblanceBlend')")
_menu.addCommand("Semblance Cat (own network)", "nuke.createNode('SemblanceCat')")
for _kind in ("Group", "Semblance"):
    nuke.addKnobChanged(_changed, nodeClass=_kind)
