"""Start-up of every Nuke, with a screen or without: ``nuke.pluginAddPath`` of this folder runs it.

Puts the Python of Semblance on the path, the gizmos beside it, keeps Nuke from giving the OpenFX
node the gizmo's name, and looks after the nodes of scripts that are opened.
"""

from __future__ import annotations

import os
import sys

import nuke  # noqa: TID253

_here = os.path.dirname(os.path.abspath(__file__))
_root = os.path.dirname(os.path.dirname(_here))
for _folder in (os.path.dirname(_here), os.path.join(_root, "core")):
    if os.path.isdir(_folder) and _folder not in sys.path:
        sys.path.append(_folder)
for _folder in ("gizmos", "gizmos/stand_in"):
    nuke.pluginAddPath(os.path.join(_root, _folder).replace("\\", "/"))
nuke.ofxAddPluginAliasExclusion("OFXio.github.semblance.semblance_v1")

from semblance_nuke import callbacks  # noqa: E402
from semblance_nuke.host import NukeHost  # noqa: E402

callbacks.start(NukeHost())
