"""What a file is that somebody opens or drops, and the shot that a frame belongs to. No Qt."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

from semblance.errors import InputError, SequenceError
from semblance.exr import Sequence

__all__ = ["FPS", "Kind", "Shot", "default_output", "frames_per_second", "kind_of", "shot_of"]

Kind = Literal["plates", "model", "track", "roto", "preset"]

FPS: Final = 24.0
"""Frames per second of a plate that does not say."""

_FRAME: Final = re.compile(r"(?P<head>.*?)(?P<number>\d+)(?P<tail>\.[^.]+)")
_BY_ENDING: Final[Mapping[str, Kind]] = {
    ".exr": "plates",
    ".onnx": "model",
    ".csv": "track",
    ".nk": "track",
}
_BY_FORMAT: Final[Mapping[str, Kind]] = {
    "semblance-track": "track",
    "semblance-roto": "roto",
    "semblance-adapter": "model",
}


@dataclass(frozen=True)
class Shot:
    """Plates, and at which of them somebody pointed.

    Parameters
    ----------
    plates : Sequence
    frames : tuple of int
        Those on disk, sorted; at least one.
    frame : int
        The one to show first.
    """

    plates: Sequence
    frames: tuple[int, ...]
    frame: int


def shot_of(path: str | os.PathLike[str]) -> Shot:
    """Return the shot that a pattern, one of its frames or a folder of frames names.

    Raises
    ------
    SequenceError
        There is no such file.
    """
    given = Path(os.path.abspath(path))
    if given.is_dir():
        given = _first_frame(given)
    plates, wanted = Sequence.parse(given), None
    if plates.single and plates.frames():
        wanted = plates.number
        match = _FRAME.fullmatch(given.name)
        if match is not None:
            field = "#" * len(match["number"])
            family = Sequence.parse(given.with_name(f"{match['head']}{field}{match['tail']}"))
            # A frame that is not of its own family is padded in another way.
            plates = family if wanted in family.frames() else plates
    frames = plates.select()
    return Shot(plates, frames, wanted if wanted in frames else frames[0])


def _first_frame(folder: Path) -> Path:
    """Return the first EXR file of a folder."""
    found = sorted(each for each in folder.iterdir() if each.suffix.lower() == ".exr")
    if not found:
        raise SequenceError(
            f"the folder {folder} holds no EXR files", "Open a plate, such as plate.####.exr."
        )
    return found[0]


def kind_of(path: str | os.PathLike[str]) -> Kind:
    """Return what a file is, by its ending and, of JSON, by what it says of itself.

    Raises
    ------
    InputError
        It is nothing that can be opened here.
    """
    path = Path(path)
    ending = path.suffix.lower()
    if ending == ".json":
        return _json_kind(path)
    if path.is_dir():
        return "plates"
    if ending in _BY_ENDING:
        return _BY_ENDING[ending]
    raise InputError(
        f"{path.name} is no EXR plate, likeness model (.onnx), track, shapes or preset (.json)",
        "Open or drop one of these.",
    )


def _json_kind(path: Path) -> Kind:
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(
            f"{path} can't be read: {error.strerror}", "Check the path and its permissions."
        ) from error
    except ValueError as error:
        raise InputError(
            f"{path} is not JSON ({error})", "Open a track, shapes or a preset."
        ) from error
    said = values.get("format", "") if isinstance(values, dict) else ""
    return _BY_FORMAT.get(str(said), "preset")


def frames_per_second(metadata: Mapping[str, Any]) -> float:
    """Return the rate of a plate's header (``framesPerSecond``), else 24."""
    said: Any = metadata.get("framesPerSecond")
    value = getattr(said, "value", said)
    try:
        # A rational of a header comes as its numerator and denominator.
        rate = float(value[0]) / value[1] if isinstance(value, tuple) else float(value)
    except (TypeError, ValueError, ZeroDivisionError):
        return FPS
    return rate if 1.0 <= rate <= 240.0 else FPS


def default_output(plates: Sequence) -> str:
    """Return where the result of a shot goes unless somebody says otherwise: a folder beside it."""
    name = Path(str(plates)).name
    return str(plates.folder / "semblance" / name)
