"""Start-up of every Nuke, with a screen or without: ``nuke.pluginAddPath`` of this folder runs it.

Puts the Python of Semblance on the path, the gizmos beside it, and keeps Nuke from giving the
OpenFX node the gizmo's name.
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
nuke.pluginAddPath(os.path.join(_root, "gizmos").replace("\\", "/"))
nuke.ofxAddPluginAliasExclusion("OFXio.github.semblance.semblance_v1")
