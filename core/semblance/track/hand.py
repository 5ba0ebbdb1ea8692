"""Hand keys: landmarks that a person has put where they belong.

A key names its frame, the landmarks that were moved, and where they belong in the plate. It wins
over what was found, and over the smoothing; to either side what was moved comes in and goes out
over a few frames, and between two keys it goes from one to the other. What was found stays in the
track as it is, so a key can be taken back, and holds when the shot is tracked again.

- `moved`, `freed`: a track with a key more, or less.
- `placed`, `blended`: the two halves of what `smooth.smooth` does with keys.
- `kept`: the keys of the file that a new analysis replaces.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from semblance.errors import TrackError
from semblance.face import Face, HandKey, Track
from semblance.track.file import load_track
from semblance.track.pose import posed

__all__ = ["blended", "freed", "kept", "moved", "placed"]

Points = NDArray[np.float64]

_COUNT: Final = 68

_SAME_FACE: Final = 0.5
"""Of a face's size: a key that lies farther from the face that was found is of another one."""


def moved(
    track: Track,
    frame: int,
    points: Mapping[int, tuple[float, float]],
    blend: int = HandKey.blend,
) -> Track:
    """Return a track with landmarks of a frame moved by hand.

    Parameters
    ----------
    track : Track
    frame : int
    points : mapping of int to (float, float)
        Where landmarks belong, by their index; those of a key that is there already stay in it.
    blend : int
        Frames to either side over which the key comes in.
    """
    there = track.hand.get(frame)
    held = {**(there.points if there else {}), **points}
    hand = {**track.hand, frame: HandKey(dict(sorted(held.items())), blend)}
    return replace(track, hand=dict(sorted(hand.items())))


def freed(track: Track, frame: int) -> Track:
    """Return a track without the hand key of a frame."""
    hand = {number: key for number, key in track.hand.items() if number != frame}
    return replace(track, hand=hand)


def placed(track: Track) -> Track:
    """Return a track with a face where none was found and a key has all of its landmarks."""
    alone = {
        frame: _face(key, track)
        for frame, key in track.hand.items()
        if frame not in track.faces and len(key.points) == _COUNT
    }
    if not alone:
        return track
    faces = dict(sorted({**track.faces, **alone}.items()))
    return replace(track, faces=faces, frames=tuple(sorted({*track.frames, *alone})))


def blended(track: Track, runs: Iterable[Sequence[int]]) -> Track:
    """Return a track with its hand keys laid over the faces.

    Parameters
    ----------
    track : Track
        Smoothed or not.
    runs : iterable of sequences of int
        Frames that follow each other without a gap or a jump: no key reaches out of its run.

    Returns
    -------
    Track
        At a key's frame its landmarks are exactly where they were put, and the source is ``hand``.
        The pose is estimated anew where a landmark has moved.
    """
    faces = dict(track.faces)
    for run in runs:
        for frame, offset in _offsets(track, run).items():
            face = faces[frame]
            points = face.landmarks + offset
            key = track.hand.get(frame)
            if key is not None:
                points[list(key.points)] = list(key.points.values())
            source = face.source if key is None else "hand"
            faces[frame] = posed(replace(face, landmarks=points, source=source), track)
    return replace(track, faces=faces)


def kept(made: Track, path: Path, face: int = 0) -> tuple[Track, str]:
    """Return a new track with the hand keys of the file that it is about to replace.

    Parameters
    ----------
    made : Track
        As it was just found.
    path : Path
        The file, which need not be there.
    face : int
        The number of the face in it.

    Returns
    -------
    Track
        With all keys that hold: those that lie on the face that was found, those that place a face
        by themselves where none was, and those of frames that were not looked at.
    str
        What became of the keys; empty where there were none.
    """
    if not path.exists():
        return made, ""
    try:
        before = load_track(path, face)
    except TrackError as error:
        return made, f"{error.fact}: it is replaced, and what was mended in it by hand is not kept."
    if not before.hand:
        return made, ""
    if before.size != made.size:
        return made, (
            f"{path} was of a plate of {before.size[0]} × {before.size[1]}: its hand keys of "
            f"frames {_named(before.hand)} are not kept."
        )
    hand = {frame: key for frame, key in before.hand.items() if _holds(made, frame, key)}
    lost = [frame for frame in before.hand if frame not in hand]
    told = f"the hand keys of frames {_named(hand)} are kept" if hand else ""
    if lost:
        told += f"{'; ' if told else ''}those of frames {_named(lost)} lie on no face and are not"
        told += "" if hand else " kept"
    return replace(made, hand=hand), f"{path}: {told}."


def _holds(made: Track, frame: int, key: HandKey) -> bool:
    face = made.faces.get(frame)
    if face is None:
        return frame not in made.frames or len(key.points) == _COUNT
    away = np.array(list(key.points.values())) - face.landmarks[list(key.points)]
    extent = float(np.linalg.norm(np.ptp(face.landmarks, axis=0)))
    return bool(np.hypot(*away.T).max() <= _SAME_FACE * extent)


def _offsets(track: Track, run: Sequence[int]) -> dict[int, Points]:
    """Return how far the keys move the landmarks of a run's frames, by frame, (68, 2) each."""
    keys = [frame for frame in run if frame in track.hand]
    if not keys:
        return {}
    before = {keys[0]: track.hand[keys[0]].blend + 1}
    after = {keys[-1]: track.hand[keys[-1]].blend + 1}
    for one, other in pairwise(keys):
        after[one], before[other] = track.hand[one].blend + 1, track.hand[other].blend + 1
        if other - one <= after[one] + before[other]:  # the one goes over into the other
            after[one] = before[other] = other - one
    offsets: dict[int, Points] = {}
    for at in keys:
        key = track.hand[at]
        moved_by = np.zeros((_COUNT, 2))
        there = list(key.points)
        moved_by[there] = np.array(list(key.points.values())) - track.faces[at].landmarks[there]
        for frame in run:
            reach = after[at] if frame >= at else before[at]
            near = 1.0 - abs(frame - at) / reach
            if near > 0.0:
                share = near * near * (3.0 - 2.0 * near)
                offsets[frame] = offsets.get(frame, 0.0) + share * moved_by
    return offsets


def _face(key: HandKey, track: Track) -> Face:
    points = np.array([key.points[index] for index in range(_COUNT)], np.float64)
    return posed(Face(points, source="hand"), track)


def _named(frames: Iterable[int]) -> str:
    return ", ".join(map(str, sorted(frames)))
