"""What a frame is made of, as one hash that its file carries: by it a render knows what is done.

A frame has to be made again where its file is missing, torn, or made of something else: another
plate, track, model, knob, matte, release or version. Times, folders and machines are not asked, so
that a shot that was copied, or whose track was saved again unchanged, is not rendered again.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from os import PathLike
from typing import Any, Final

import numpy as np

from semblance.errors import PlateError
from semblance.exr import Sequence, file_hash, is_whole, read_header
from semblance.face import Face
from semblance.knobs import Knobs, declared

__all__ = ["INPUTS", "PLATE_HASH", "Contents", "is_current"]

INPUTS: Final = "semblance:inputs"
"""The attribute that holds the hash of everything a frame was made of."""

PLATE_HASH: Final = "semblance:plateHash"
"""The attribute that holds the SHA-256 of the plate's file."""

_FILES: Final = frozenset(knob.name for knob in declared() if knob.kind == "file")
"""Knobs that name a file: what is in it counts, and not where it lies."""


@dataclass(frozen=True)
class Contents:
    """What each frame of a shot is made of.

    Parameters
    ----------
    plates : Sequence
    faces : mapping of int to Face
        As the pipeline gets them: smoothed.
    knobs : callable
        Gives the knobs of a frame number.
    settings : tuple
        What holds for all frames: the model's hash, the exposure, the part, what is written. Plain
        values.
    roto : Sequence or None
        The artist's mattes.
    shapes : callable
        Gives what is drawn onto a frame's matte, as plain values.
    reach : int
        Frames to either side whose plates count where a colour match is on.
    """

    plates: Sequence
    faces: Mapping[int, Face]
    knobs: Callable[[int], Knobs]
    settings: tuple[Any, ...]
    roto: Sequence | None
    shapes: Callable[[int], Any]
    reach: int
    _hashes: dict[int, str] = field(default_factory=dict)

    def plate(self, frame: int) -> str:
        """Return the SHA-256 of a plate's file, which is read once.

        Raises
        ------
        PlateError
            The file can't be read.
        """
        if frame not in self._hashes:
            self._hashes[frame] = file_hash(self.plates.path(frame))
        return self._hashes[frame]

    def marks(self, frame: int, marks: Mapping[str, Any]) -> dict[str, Any]:
        """Return a frame's marks with the two by which it is known again.

        Raises
        ------
        PlateError
            The plate or the matte can't be read.
        """
        near = [frame]
        if self.knobs(frame).match.colour_match != "none":
            near = list(range(frame - self.reach, frame + self.reach + 1))
        held = [
            frame,
            self.settings,
            [self._looked(each, frame) for each in near],
            None if self.roto is None else file_hash(self.roto.path(frame)),
            self.shapes(frame),
            dict(marks),
        ]
        text = json.dumps(held, sort_keys=True, default=_plain)
        inputs = hashlib.sha256(text.encode(errors="surrogatepass")).hexdigest()
        return {**marks, PLATE_HASH: self.plate(frame), INPUTS: inputs}

    def _looked(self, frame: int, middle: int) -> Any:
        """Return what a frame adds to one at `middle`: itself, or a neighbour of it."""
        face = self.faces.get(frame)
        if face is None:
            return None
        try:
            plate = self.plate(frame)
        except PlateError:
            if frame == middle:
                raise
            return None
        held = {name: v for name, v in self.knobs(frame).to_flat().items() if name not in _FILES}
        return [plate, held, vars(face)]


def is_current(path: str | PathLike[str], inputs: str) -> bool:
    """Return whether a frame is there, all of it, and made of what `inputs` is the hash of."""
    try:
        parts = read_header(path).parts
    except PlateError:
        return False
    held = (part.attributes.get(INPUTS) for part in parts)
    return any(each is not None and str(each) == inputs for each in held) and is_whole(path)


def _plain(value: object) -> Any:
    if isinstance(value, np.ndarray):
        return value.tolist()
    if isinstance(value, np.generic):
        return value.item()
    return repr(value)
