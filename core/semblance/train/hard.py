"""Frames that deserve more of the training: a review or a run lists them, another run reads."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final

from semblance.documents import Reader, is_whole_number
from semblance.errors import TrainingError
from semblance.train.faces import Frame, plain

__all__ = ["FORMAT", "VERSION", "read_hard", "written_hard"]

FORMAT: Final = "semblance-frames"
VERSION: Final = 1


def read_hard(path: Path) -> frozenset[Frame]:
    """Read a list of frames.

    Parameters
    ----------
    path : Path
        JSON: ``format`` "semblance-frames", ``version`` 1, and ``frames``, each with ``source``, as
        a faceset's listing has it, and ``frame``, its number or null.

    Raises
    ------
    TrainingError
        It is missing, or no such list.
    """
    reader = Reader(path, TrainingError, "the list of frames", "Make it with: semblance review.")
    found = reader.read(
        TrainingError(f"there is no list of frames {path}", "Make it with: semblance review.")
    )
    if not isinstance(found, dict):
        reader.refuse("the document", "an object", found)
    for key, expected in (("format", FORMAT), ("version", VERSION)):
        if found.get(key) != expected:
            reader.refuse(key, repr(expected), found.get(key))
    frames = found.get("frames")
    if not isinstance(frames, list) or not frames:
        reader.refuse("frames", "a list of frames", frames)
    return frozenset(_frame(reader, number, each) for number, each in enumerate(frames))


def _frame(reader: Reader, number: int, value: Any) -> Frame:
    place = f"frames[{number}]"
    if not isinstance(value, dict) or not isinstance(value.get("source"), str):
        reader.refuse(place, 'an object with a "source"', value)
    frame = value.get("frame")
    if frame is not None and not is_whole_number(frame):
        reader.refuse(f"{place}.frame", "a whole number or null", frame)
    return plain(value["source"]), frame


def written_hard(frames: Iterable[tuple[Frame, str]]) -> str:
    """Return a list of frames, each with the reason for which it is in it, as a file's text."""
    return json.dumps(
        {
            "format": FORMAT,
            "version": VERSION,
            "frames": [
                {"source": source, "frame": frame, "reason": reason}
                for (source, frame), reason in frames
            ],
        },
        indent=2,
    )
