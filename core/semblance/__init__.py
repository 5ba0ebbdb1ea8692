"""Semblance lays a consented likeness over a performance, in scene-linear EXR.

::

    import semblance

    plates = semblance.Sequence.parse("plate.####.exr")
    plate = semblance.read_plate(plates.path(1001))

Names are resolved when they are first asked for (PEP 562): `import semblance.knobs` in a host's
own Python loads the standard library and nothing else.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from semblance.errors import (
        Cancelled,
        CredentialError,
        EnvironmentFault,
        FootageError,
        InputError,
        KnobError,
        MissingPackageError,
        ModelError,
        OutputError,
        PlateError,
        ProviderError,
        ReleaseError,
        RotoError,
        SemblanceError,
        SequenceError,
        TrackError,
        TrainingError,
    )
    from semblance.exr import Sequence, read_plate, write_plate
    from semblance.face import Face, Track
    from semblance.knobs import Knobs
    from semblance.model import Likeness
    from semblance.pipeline import Result, render
    from semblance.plate import Plate, Window
    from semblance.preset import animate, load_preset
    from semblance.shot import FrameReport, ShotSummary, apply
    from semblance.track import load_track, open_provider, save_track, track_shot

__all__ = [
    "Cancelled",
    "CredentialError",
    "EnvironmentFault",
    "Face",
    "FootageError",
    "FrameReport",
    "InputError",
    "KnobError",
    "Knobs",
    "Likeness",
    "MissingPackageError",
    "ModelError",
    "OutputError",
    "Plate",
    "PlateError",
    "ProviderError",
    "ReleaseError",
    "Result",
    "RotoError",
    "SemblanceError",
    "Sequence",
    "SequenceError",
    "ShotSummary",
    "Track",
    "TrackError",
    "TrainingError",
    "Window",
    "animate",
    "apply",
    "load_preset",
    "load_track",
    "open_provider",
    "read_plate",
    "render",
    "save_track",
    "track_shot",
    "write_plate",
]

_HOMES = {
    "Face": "face",
    "FrameReport": "shot",
    "Knobs": "knobs",
    "Likeness": "model",
    "Plate": "plate",
    "Result": "pipeline",
    "Sequence": "exr",
    "ShotSummary": "shot",
    "Track": "face",
    "Window": "plate",
    "animate": "preset",
    "apply": "shot",
    "load_preset": "preset",
    "load_track": "track",
    "open_provider": "track",
    "read_plate": "exr",
    "render": "pipeline",
    "save_track": "track",
    "track_shot": "track",
    "write_plate": "exr",
}
"""The module of each public name that is not an error."""


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module = importlib.import_module(f"{__name__}.{_HOMES.get(name, 'errors')}")
    return getattr(module, name)


def __dir__() -> list[str]:
    return list(__all__)
