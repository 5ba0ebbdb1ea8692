"""The track of a shot: its plates read one after the other, its people followed through them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from semblance.colour import resolve_space, to_linear
from semblance.errors import Cancelled, TrackError, frame_context
from semblance.exr import Sequence, read_plate
from semblance.face import Face, Track
from semblance.knobs import ColourKnobs
from semblance.plate import Plate
from semblance.track.cuts import CutFinder
from semblance.track.people import Cast, Choice
from semblance.track.provider import FaceProvider
from semblance.track.view import find_faces

__all__ = ["find_faces", "track_people", "track_shot"]

Pixels = NDArray[np.float32]


def track_shot(
    plates: Sequence,
    frames: Iterable[int],
    provider: FaceProvider,
    colour: ColourKnobs,
    report: Callable[[int, Face | None], None],
    cancel: Callable[[], bool],
    *,
    face: int = 0,
    part: str | int | None = None,
) -> Track:
    """Find one face in every frame of a shot.

    Parameters
    ----------
    plates : Sequence
        The plates.
    frames : iterable of int
        The frames to look at, in ascending order.
    provider : FaceProvider
        What finds faces.
    colour : ColourKnobs
        Says which space the plates are in.
    report : callable
        Called after each frame with its number and its face, or None where there is none.
    cancel : callable
        Asked before each frame; true stops the work.
    face : int
        Which face, by size in the first frame that holds so many: 0 is the largest.
    part : str or int, optional
        Which part of a multi-part file is the plate.

    Returns
    -------
    Track
        Landmarks in the pixel space of the plates' windows, not smoothed. Frames without the face
        are in `frames` and not in `faces`.

    Raises
    ------
    Cancelled
        `cancel` said so.
    SequenceError, PlateError, KnobError
        A frame is missing or can't be read, or its space is unknown; names the frame and its file.
    TrackError
        The plates change their size on the way, or there is not one frame.
    """

    def one(frame: int, faces: Mapping[int, Face]) -> None:
        report(frame, next(iter(faces.values()), None))

    choice = Choice(number=face)
    found = track_people(plates, frames, provider, colour, one, cancel, choice=choice, part=part)
    return next(iter(found.values()))


def track_people(
    plates: Sequence,
    frames: Iterable[int],
    provider: FaceProvider,
    colour: ColourKnobs,
    report: Callable[[int, Mapping[int, Face]], None],
    cancel: Callable[[], bool],
    *,
    choice: Choice,
    start: int | None = None,
    part: str | int | None = None,
) -> dict[int, Track]:
    """Find the faces that are chosen in every frame of a shot.

    Parameters
    ----------
    plates, frames, provider, colour, cancel, part
        As `track_shot` takes them.
    report : callable
        Called after each frame with its number and its faces, by person.
    choice : Choice
        Whom to follow.
    start : int, optional
        The frame in which they are chosen, one of `frames`; the frames before it are then looked
        at last, backward. Without it, the first.

    Returns
    -------
    dict of int to Track
        By person, numbered by size in the frame that first shows them; a single one that was chosen
        has the number 0 and a track even if never found.

    Raises
    ------
    Cancelled, SequenceError, PlateError, KnobError, TrackError
        As `track_shot` does, and where there is no face at the place that was chosen.
    """
    wanted = sorted(frames)
    if not wanted:
        raise TrackError("there is not one frame to track", "Give a range that holds frames.")
    first = wanted[0] if start is None else start
    if first not in wanted:
        raise TrackError(
            f"a face was chosen in frame {first}, which is not among the frames to track",
            f"Choose it in one of {wanted[0]} to {wanted[-1]}.",
        )
    reader = _Reader(plates, colour, part)
    cast = Cast(provider, choice)
    found: dict[int, dict[int, Face]] = {}
    cuts: list[int] = []
    at_first: Pixels | None = None
    later = [frame for frame in wanted if frame >= first]
    earlier = [frame for frame in reversed(wanted) if frame < first]
    for way in (later, earlier):
        finder = CutFinder()
        if way is earlier and at_first is not None:
            cast.rewind(at_first)
            finder.next(at_first)
        for index, frame in enumerate(way):
            if cancel():
                raise Cancelled(f"tracking was cancelled before frame {frame}", "")
            linear, plate = reader.read(frame)
            at_first = linear if at_first is None and earlier else at_first
            cut = finder.next(linear)
            if cut:
                cuts.append(frame if way is later else [first, *earlier][index])
            faces = cast.next(frame, linear, plate, cut=cut)
            for number, face in faces.items():
                found.setdefault(number, {})[frame] = face
            report(frame, faces)
    size, pixel_aspect = reader.shape
    made_by = {"tool": "semblance track", "provider": provider.name}
    bare = Track({}, size, pixel_aspect, tuple(wanted), made_by, cuts=tuple(sorted(cuts)))
    people = [dict(sorted(faces.items())) for _, faces in sorted(found.items())]
    return {n: replace(bare, faces=faces) for n, faces in enumerate(people)} or {0: bare}


class _Reader:
    """Reads plates of one size, as scene-linear light."""

    def __init__(self, plates: Sequence, colour: ColourKnobs, part: str | int | None) -> None:
        self._plates, self._colour, self._part = plates, colour, part
        self._shape: tuple[tuple[int, int], float] | None = None

    @property
    def shape(self) -> tuple[tuple[int, int], float]:
        """Size of the display window and pixel aspect, once a plate has been read."""
        assert self._shape is not None
        return self._shape

    def read(self, frame: int) -> tuple[Pixels, Plate]:
        path = self._plates.path(frame)
        with frame_context(frame, path):
            plate = read_plate(path, self._part)
            found = _shape(plate)
            self._shape = self._shape or found
            if found != self._shape:
                raise TrackError(
                    f"the plate is {_written(found)}, the shot's first frame was "
                    f"{_written(self._shape)}",
                    "Track frames of one size together.",
                )
            space = resolve_space(self._colour.input_space, plate.metadata)
            return to_linear(plate.picture(), space), plate


def _shape(plate: Plate) -> tuple[tuple[int, int], float]:
    return (plate.display_window.width, plate.display_window.height), plate.pixel_aspect


def _written(shape: tuple[tuple[int, int], float]) -> str:
    (width, height), aspect = shape
    return f"{width} × {height} with pixel aspect {aspect:g}"
