"""Where the head is in space: six degrees of freedom, in full perspective, and the lens.

The generic head of `semblance.track.head` is placed before a pinhole camera so that its brows, nose
and eyes fall on the landmarks. A short lens close to the face makes the nose larger and turns it
toward the camera's axis; a fit without perspective reads that as a turn of the head, this one does
not. The lens is one for the take: the focal length with which all of its heads fit best, drawn a
little toward a portrait's where they say little of it.

References
----------
- Hartley & Zisserman (2004), "Multiple View Geometry", section 6.1: the camera; centre of the
  picture as its principal point, no distortion.
- Madsen, Nielsen & Tingleff (2004), "Methods for non-linear least squares problems", section 3.2:
  Levenberg-Marquardt, as OpenCV does it here.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any, Final

import cv2
import numpy as np
from numpy.typing import NDArray

from semblance.face import Face, Track
from semblance.track.head import LANDMARKS, angles, head_pose, head_rotation

__all__ = ["estimate_focal", "in_space", "placed_in_space", "posed"]

Points = NDArray[np.float64]

USUAL: Final = 2.0
"""Focal length over the picture's width that is taken for likely: 72 mm on 36 mm of film, as faces
are filmed. What landmarks alone say of the lens is little; a given one is better."""

SPREAD: Final = 0.5
"""Deviation of that likelihood, in the logarithm of the focal length."""

TREMOR: Final = 0.012
"""How far a face's landmarks lie beside the generic head's, as a share of its size: people differ,
and faces move."""

INDEPENDENT: Final = 48.0
"""For how many independent points a shot counts, whatever its length: all of its frames and nearby
points share what is wrong with the generic head."""

SAMPLED: Final = 16
"""Frames of a shot from which the focal length is estimated, at most."""

_LEAST: Final = 3
_TRIED: Final = np.geomspace(0.6, 8.0, 12)
_RIGID: Final = np.arange(17, 48)  # brows, nose, eyes: the mouth and the jaw move too much
_DOWN: Final = np.diag([1.0, -1.0, -1.0])  # our axes to OpenCV's: y down, z into the picture


def placed_in_space(track: Track, focal: float | None = None) -> Track:
    """Return a track with its heads placed before the camera.

    Parameters
    ----------
    track : Track
        Its angles are replaced by those toward the camera's axes.
    focal : float, optional
        Of the lens, in pixels of the plate's height; without it, it is estimated.

    Returns
    -------
    Track
        With `focal`, and a position for each face. One that holds fewer than three faces is
        returned as it is, where no focal length is given.
    """
    if focal is None:
        focal = estimate_focal(track)
    if focal is None:
        return track
    track = replace(track, focal=focal)
    return replace(track, faces={frame: posed(face, track) for frame, face in track.faces.items()})


def estimate_focal(track: Track) -> float | None:
    """Return the focal length with which a track's heads fit best, in pixels of its height.

    Parameters
    ----------
    track : Track
        Faces over the shot; the more they turn and travel, the surer the result.

    Returns
    -------
    float or None
        None where there are fewer than three faces.
    """
    frames = sorted(track.faces)
    if len(frames) < _LEAST:
        return None
    step = max(len(frames) / SAMPLED, 1.0)
    picked = [frames[int(i * step)] for i in range(min(len(frames), SAMPLED))]
    width = track.size[0] * track.pixel_aspect
    costs = np.zeros(len(_TRIED))
    sets = [_Flat.of(_square(track.faces[frame], track)) for frame in picked]
    for index, ratio in enumerate(_TRIED):
        costs[index] = _cost(sets, ratio * width, _middle(track))
    costs = costs / len(sets) * INDEPENDENT / (2.0 * TREMOR**2)
    costs += np.log(_TRIED / USUAL) ** 2 / (2.0 * SPREAD**2)
    return float(width * math.exp(_lowest(np.log(_TRIED), costs)))


def in_space(
    landmarks: NDArray[Any], middle: tuple[float, float], focal: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the rotation and the position of a head before a camera.

    Parameters
    ----------
    landmarks : (68, 2) array
        Square pixels, centres at +0.5, y down.
    middle : (float, float)
        Of the picture, in the same pixels: where the camera's axis meets it.
    focal : float
        Pixels.

    Returns
    -------
    rotation : (3, 3) float64 array
        From the head's axes to the camera's, acting on columns; x to the picture's right, y up, z
        toward the camera.
    position : (3,) float64 array
        Centimetres, in the same axes, of the middle between the eyes.

    Raises
    ------
    ValueError
        As for `head_rotation`.
    """
    return _before(_Flat.of(np.asarray(landmarks, np.float64)), middle, focal)


@dataclass(frozen=True)
class _Flat:
    """A face's fit without perspective, from which every lens begins."""

    points: Points
    rotation: NDArray[np.float64]
    scale: float  # pixels for a centimetre
    origin: Points  # where the middle between the eyes is seen

    @classmethod
    def of(cls, points: Points) -> _Flat:
        rotation = head_rotation(points)
        seen = LANDMARKS[_RIGID] @ rotation[:2].T * (1.0, -1.0)
        middle, flat = seen.mean(0), points[_RIGID] - points[_RIGID].mean(0)
        scale = float((flat * (seen - middle)).sum() / ((seen - middle) ** 2).sum())
        scale = max(scale, 1e-9)
        return cls(points, rotation, scale, points[_RIGID].mean(0) - scale * middle)


def _before(
    face: _Flat, middle: tuple[float, float], focal: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Refine a fit without perspective into one before a camera; see `in_space`."""
    away = focal / face.scale
    ray = (face.origin - middle) / focal
    # The head turns with the line of sight: what was fitted is its turn against that line.
    turn, _ = cv2.Rodrigues(_DOWN @ _toward(ray) @ face.rotation)
    place = np.array([ray[0] * away, ray[1] * away, away])
    camera = np.array([[focal, 0.0, middle[0]], [0.0, focal, middle[1]], [0.0, 0.0, 1.0]])
    turn, place = cv2.solvePnPRefineLM(
        LANDMARKS[_RIGID], face.points[_RIGID], camera, None, turn, place.reshape(3, 1)
    )
    matrix, _ = cv2.Rodrigues(turn)
    return _DOWN @ np.asarray(matrix, np.float64), _DOWN @ np.asarray(place, np.float64).ravel()


def _toward(ray: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the rotation that carries the camera's axis onto a line of sight."""
    sight = np.array([-ray[0], ray[1], 1.0])
    sight /= np.linalg.norm(sight)
    axis = np.cross([0.0, 0.0, 1.0], sight)
    sine = float(np.linalg.norm(axis))
    if sine < 1e-12:
        return np.eye(3)
    turn, _ = cv2.Rodrigues(axis / sine * math.asin(min(sine, 1.0)))
    return np.asarray(turn, np.float64)


def posed(face: Face, track: Track) -> Face:
    """Return a face with the pose that its landmarks give it, in space where its track has a lens.

    Parameters
    ----------
    face : Face
        With its landmarks where they belong.
    track : Track
        That it is of.
    """
    points = _square(face, track)
    if track.focal is None:
        yaw, pitch, roll = head_pose(points)
        return replace(face, yaw=yaw, pitch=pitch, roll=roll, position=None)
    rotation, position = in_space(points, _middle(track), track.focal)
    yaw, pitch, roll = angles(rotation)
    x, y, z = (float(value) for value in position)
    return replace(face, yaw=yaw, pitch=pitch, roll=roll, position=(x, y, z))


def _cost(sets: Iterable[_Flat], focal: float, middle: tuple[float, float]) -> float:
    """Return the summed squared distance of the heads from their landmarks, over their sizes."""
    total = 0.0
    for face in sets:
        points = face.points
        rotation, position = _before(face, middle, focal)
        there = LANDMARKS[_RIGID] @ rotation.T + position
        seen = np.column_stack([-there[:, 0], there[:, 1]]) * (focal / there[:, 2:]) + middle
        size = float(np.linalg.norm(np.ptp(points[_RIGID], axis=0)))
        total += float(((seen - points[_RIGID]) ** 2).sum(1).mean()) / size**2
    return total


def _lowest(x: NDArray[np.float64], y: NDArray[np.float64]) -> float:
    """Return where a sampled curve is lowest, by the parabola through its lowest three."""
    i = int(np.clip(np.argmin(y), 1, len(x) - 2))
    step, rise, bend = x[i] - x[i - 1], y[i + 1] - y[i - 1], y[i + 1] - 2.0 * y[i] + y[i - 1]
    shift = -0.5 * step * rise / bend if bend > 0.0 else 0.0
    return float(x[i] + np.clip(shift, -step, step))


def _square(face: Face, track: Track) -> Points:
    return np.asarray(face.landmarks, np.float64) * (track.pixel_aspect, 1.0)


def _middle(track: Track) -> tuple[float, float]:
    return track.size[0] * track.pixel_aspect / 2.0, track.size[1] / 2.0
