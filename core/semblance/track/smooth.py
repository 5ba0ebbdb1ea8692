"""Zero-phase smoothing of a track over the whole shot, with gaps filled only where honest.

Each frame's value is that of a polynomial fitted to the frames around it with Gaussian weights:
local regression (Cleveland, "Robust locally weighted regression and smoothing scatterplots", JASA
74, 1979, section 2, with a Gaussian for the tricube). It has no phase, and unlike the plain
Gaussian, its case of degree zero, it neither cuts the peaks of a motion nor drags the ends of a run
inward: a face at constant velocity or constant acceleration is left as it is, everywhere.

What the camera and the head do moves all landmarks together; tremor moves each by itself. So the
similarity that carries the generic head onto a face is smoothed by itself, by polynomials of the
fourth degree that leave a motion of 4 Hz at 24 frames a second as it is, and what each landmark
does in the head's own frame by parabolas, which hold it faster. Nothing is smoothed over a cut, a
gap or a jump.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from itertools import pairwise
from typing import Final

import numpy as np
from numpy.typing import NDArray

from semblance.face import Face, Track
from semblance.track.hand import blended, placed
from semblance.track.head import LANDMARKS

__all__ = ["LONGEST_GAP", "fill_gaps", "smooth"]

LONGEST_GAP: Final = 2
"""Frames between two good faces that may be filled. A longer loss has a cause (an occluder, a turn
of the head) in which the face does something of its own that no curve between its ends can know."""

FILL_SIGMA: Final = 1.0
"""Deviation of the weights by which the faces around a gap fill it, in steps of the track."""

MOTION_DEGREE: Final = 4
"""Of the polynomials that the head's motion as a whole is laid on."""

JUMP: Final = 0.75
"""Face sizes (see `_size`) that a face may move per frame; more is a cut or another face."""


_HELD: Final = slice(17, 48)  # brows, nose, eyes: the mouth and the jaw have a life of their own
_HEAD: Final = (LANDMARKS[:, 0] - 1j * LANDMARKS[:, 1]) - (
    LANDMARKS[_HELD, 0] - 1j * LANDMARKS[_HELD, 1]
).mean()
_ENERGY: Final = float((np.abs(_HEAD[_HELD]) ** 2).sum())


def smooth(track: Track, sigma_frames: float) -> Track:
    """Smooth the landmarks and the pose of a track.

    Parameters
    ----------
    track : Track
        As tracked. Every run of faces without a gap or a jump is smoothed by itself.
    sigma_frames : float
        Deviation of the Gaussian weights in frames, >= 0; 0 smooths nothing and fills nothing.

    Returns
    -------
    Track
        With the gaps that `fill_gaps` fills, and the hand keys laid over it: they are not smoothed,
        so that a landmark that a person has moved is where it was put. Scores, luma and all other
        sources stay.
    """
    track = placed(track)
    if sigma_frames <= 0.0:
        return blended(track, _runs(track, 0)) if track.hand else track
    filled = fill_gaps(track)
    faces: dict[int, Face] = {}
    runs = _runs(filled, 0)
    for run in runs:
        values = _settled(_vectors(filled, run), run, sigma_frames, track.pixel_aspect)
        for frame, value in zip(run, values, strict=True):
            faces[frame] = _with_vector(filled.faces[frame], value)
    return blended(replace(filled, faces=faces), runs)


def fill_gaps(track: Track, longest: int = LONGEST_GAP) -> Track:
    """Lay lost faces on the curve through their good neighbours, where the gap is short.

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
    for run in _runs(track, longest):
        values = _vectors(track, run)
        for before, after in pairwise(run):
            lost = range(before + step, after, step)
            for frame, value in zip(
                lost, _regress(run, values, lost, FILL_SIGMA * step), strict=True
            ):
                part = (frame - before) / (after - before)
                face = _between(track.faces[before], track.faces[after], part)
                faces[frame] = _with_vector(face, value)
    frames = tuple(sorted({*track.frames, *faces}))
    return replace(track, faces=dict(sorted(faces.items())), frames=frames)


def _settled(
    vectors: NDArray[np.float64], run: list[int], sigma: float, pixel_aspect: float
) -> NDArray[np.float64]:
    """Return a run's vectors smoothed: the head's motion, and each landmark in its frame."""
    points = vectors[:, :136].reshape(-1, 68, 2)
    placed = points[..., 0] * pixel_aspect + 1j * points[..., 1]  # a point as a complex number
    middle = placed[:, _HELD].mean(1, keepdims=True)
    grown = ((placed[:, _HELD] - middle) @ _HEAD[_HELD].conj() / _ENERGY)[:, None]
    own = (placed - middle) / grown  # the landmarks in the head's frame
    rigid = np.hstack([middle.real, middle.imag, grown.real, grown.imag, vectors[:, 136:]])
    rigid = _regress(run, rigid, run, sigma, MOTION_DEGREE)
    shape = _regress(run, np.hstack([own.real, own.imag]), run, sigma)
    middle, grown = rigid[:, :1] + 1j * rigid[:, 1:2], rigid[:, 2:3] + 1j * rigid[:, 3:4]
    placed = middle + grown * (shape[:, :68] + 1j * shape[:, 68:])
    points = np.stack([placed.real / pixel_aspect, placed.imag], axis=-1)
    return np.hstack([points.reshape(-1, 136), rigid[:, 4:]])


def _regress(
    frames: Iterable[int],
    values: NDArray[np.float64],
    at: Iterable[int],
    sigma: float,
    degree: int = 2,
) -> NDArray[np.float64]:
    """Return, for (n, k) values at n frames, those of local polynomials at m others, (m, k)."""
    times = np.array(list(frames), np.float64)
    result = []
    for time in at:
        offset = (times - time) / sigma
        weight = np.exp(-0.25 * offset**2)  # the root of a Gaussian: it weighs the equations
        near = np.argsort(np.abs(offset), kind="stable")[: 2 * int(6.0 * max(sigma, 1.0)) + 1]
        # A curve with as many terms as there are frames would go through them all.
        terms = min(degree + 1, max((len(near) + 1) // 2, 3), len(near))
        powers = np.vander(offset[near], terms, increasing=True) * weight[near, None]
        level = np.linalg.lstsq(powers, values[near] * weight[near, None], rcond=1e-12)[0][0]
        result.append(level)
    return np.array(result).reshape(-1, values.shape[1])


def _runs(track: Track, longest: int) -> list[list[int]]:
    """Return the frames of the faces in runs without a cut, a jump or a gap over `longest`."""
    step = _step(track)
    runs: list[list[int]] = []
    for frame in sorted(track.faces):
        last = runs[-1][-1] if runs else None
        if (
            last is None
            or frame - last > step * (longest + 1)
            or any(last < cut <= frame for cut in track.cuts)
            or _jumps(track.faces[last], track.faces[frame], frame - last)
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
    """Return a filled face, still in the place of its first neighbour."""
    lumas = (one.luma, other.luma)
    luma = None if lumas[0] is None or lumas[1] is None else lumas[0] + part * (lumas[1] - lumas[0])
    return replace(one, score=min(one.score, other.score), luma=luma, source="filled")


def _vectors(track: Track, frames: Iterable[int]) -> NDArray[np.float64]:
    """Return landmarks, yaw, pitch, roll and the position where all have one, (n, 139 or 142)."""
    faces = [track.faces[frame] for frame in frames]
    everywhere = all(face.position is not None for face in faces)
    poses = np.array(
        [
            (face.yaw, face.pitch, face.roll, *(face.position or ())[: 3 * everywhere])
            for face in faces
        ]
    )
    poses[:, 2] = np.unwrap(poses[:, 2], period=360.0)
    return np.hstack([np.stack([face.landmarks.ravel() for face in faces]), poses])


def _with_vector(face: Face, vector: NDArray[np.float64]) -> Face:
    yaw, pitch, roll, *place = (float(value) for value in vector[136:])
    roll = (roll + 180.0) % 360.0 - 180.0
    position = (place[0], place[1], place[2]) if place else face.position
    points = vector[:136].reshape(68, 2)
    return replace(face, landmarks=points, yaw=yaw, pitch=pitch, roll=roll, position=position)
