"""Where the face is: face providers, the track of a shot, its file and its smoothing.

Names are resolved when they are first asked for, so that a provider loads no reader of plates.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from semblance.track.analyse import track_people, track_shot
    from semblance.track.file import load_track, save_track
    from semblance.track.imported import import_track
    from semblance.track.people import Choice
    from semblance.track.provider import Detection, FaceProvider, open_provider
    from semblance.track.view import find_faces

__all__ = [
    "Choice",
    "Detection",
    "FaceProvider",
    "find_faces",
    "import_track",
    "load_track",
    "open_provider",
    "save_track",
    "track_people",
    "track_shot",
]

_HOMES = {
    "Choice": "people",
    "Detection": "provider",
    "FaceProvider": "provider",
    "find_faces": "view",
    "import_track": "imported",
    "load_track": "file",
    "open_provider": "provider",
    "save_track": "file",
    "track_people": "analyse",
    "track_shot": "analyse",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return list(__all__)
