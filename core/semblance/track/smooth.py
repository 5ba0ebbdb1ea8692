"""Zero-phase smoothing of a track over the whole shot, with gaps filled only where honest.

Each frame's landmarks are the value, at that frame, of a straight line fitted to the frames around
it with Gaussian weights: local linear regression (Cleveland, "Robust locally weighted regression
and smoothing scatterplots", JASA 74, 1979, section 2, with a Gaussian for the tricube). In the
middle of a run that is the plain Gaussian filter, which has no phase; toward the ends, where a
Gaussian would drag the first and the last frame inward, the line keeps their motion. A face that
moves at constant velocity is therefore left as it is, everywhere.
"""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from typing import Final

import numpy as np
from numpy.typing import NDArray

from semblance.face import Face, Track

__all__ = ["LONGEST_GAP", "fill_gaps", "smooth"]

LONGEST_GAP: Final = 2
"""Frames between two good faces that may be filled. A longer loss has a cause (an occluder, a turn
of the head) in which the face does something of its own that no line between its ends can know."""

JUMP: Final = 0.75
"""Face sizes (see `_size`) that a face may move per frame; more is a cut or another face."""


def smooth(track: Track, sigma_frames: float) -> Track:
    """Smooth the landmarks and the pose of a track.

    Parameters
    ----------
    track : Track
        As tracked. Every run of faces without a gap or a jump is smoothed by itself.
    sigma_frames : float
        Deviation of the Gaussian weights in frames, >= 0; 0 returns the track itself.

    Returns
    -------
    Track
        With the gaps that `fill_gaps` fills. Scores, luma and sources stay.
    """
    if sigma_frames <= 0.0:
        return track
    filled = fill_gaps(track)
    faces: dict[int, Face] = {}
    for run in _runs(filled):
        times = np.array(run, np.float64)
        values = np.stack([_vector(filled.faces[frame]) for frame in run])
        values[:, -1] = np.unwrap(values[:, -1], period=360.0)
        for frame, value in zip(run, _regress(times, values, sigma_frames), strict=True):
            faces[frame] = _with_vector(filled.faces[frame], value)
    return replace(filled, faces=faces)


def fill_gaps(track: Track, longest: int = LONGEST_GAP) -> Track:
    """Lay lost faces on the line between their good neighbours, where the gap is short.

    Parameters
    ----------
    track : Track
        As tracked.
    longest : int
        Frames of the longest gap that is filled.

    Returns
    -------
    Track
        Filled faces have the source ``filled`` and the lower score of their neighbours. Longer
        gaps, gaps across a jump, and what lies before the first and after the last face stay lost.
    """
    step = _step(track)
    faces = dict(track.faces)
    for before, after in pairwise(sorted(track.faces)):
        lost = range(before + step, after, step)
        one, other = track.faces[before], track.faces[after]
        if 0 < len(lost) <= longest and not _jumps(one, other, after - before):
            for frame in lost:
                faces[frame] = _between(one, other, (frame - before) / (after - before))
    frames = tuple(sorted({*track.frames, *faces}))
    return replace(track, faces=dict(sorted(faces.items())), frames=frames)


def _regress(
    times: NDArray[np.float64], values: NDArray[np.float64], sigma: float
) -> NDArray[np.float64]:
    """Return, for (n,) times, the weighted lines of (n, k) values at those times."""
    result = np.empty_like(values)
    for row, time in enumerate(times):
        offset = times - time
        near = np.abs(offset) <= max(6.0 * sigma, 1.0)  # beyond, a weight is below 1e-7
        offset, seen = offset[near], values[near]
        weights = np.exp(-0.5 * (offset / sigma) ** 2)
        weights /= weights.sum()
        mean = weights @ offset
        spread = weights @ (offset - mean) ** 2
        level = weights @ seen
        if spread > 1e-12:
            slope = (weights * (offset - mean)) @ seen / spread
            level = level - mean * slope
        result[row] = level
    return result


def _runs(track: Track) -> list[list[int]]:
    """Return the frames of the faces in runs without a gap or a jump."""
    step = _step(track)
    runs: list[list[int]] = []
    for frame in sorted(track.faces):
        last = runs[-1][-1] if runs else None
        if (
            last is None
            or frame - last != step
            or _jumps(track.faces[last], track.faces[frame], step)
        ):
            runs.append([])
        runs[-1].append(frame)
    return runs


def _step(track: Track) -> int:
    """Return how many frames apart the shot was looked at: 1, or more when only each nth was."""
    looked = sorted({*track.frames, *track.faces})
    return min((after - before for before, after in pairwise(looked)), default=1)


def _jumps(one: Face, other: Face, frames: int) -> bool:
    """Whether two faces, so many frames apart, are too far apart to be one in motion."""
    moved = float(np.linalg.norm(other.landmarks - one.landmarks, axis=1).mean())
    return moved > JUMP * frames * min(_size(one), _size(other))


def _size(face: Face) -> float:
    """Return the root mean square distance of the landmarks from their middle, in pixels."""
    return float(np.sqrt(((face.landmarks - face.landmarks.mean(0)) ** 2).sum(1).mean()))


def _between(one: Face, other: Face, part: float) -> Face:
    first, last = _vector(one), _vector(other)
    last[-1] = first[-1] + (last[-1] - first[-1] + 180.0) % 360.0 - 180.0
    face = _with_vector(one, first + part * (last - first))
    lumas = (one.luma, other.luma)
    luma = None if lumas[0] is None or lumas[1] is None else lumas[0] + part * (lumas[1] - lumas[0])
    return replace(face, score=min(one.score, other.score), luma=luma, source="filled")


def _vector(face: Face) -> NDArray[np.float64]:
    """Return landmarks, yaw, pitch and roll as one row of 139 numbers."""
    return np.concatenate([face.landmarks.ravel(), (face.yaw, face.pitch, face.roll)])


def _with_vector(face: Face, vector: NDArray[np.float64]) -> Face:
    yaw, pitch, roll = (float(value) for value in vector[136:])
    roll = (roll + 180.0) % 360.0 - 180.0
    return replace(face, landmarks=vector[:136].reshape(68, 2), yaw=yaw, pitch=pitch, roll=roll)
