"""A generic head's 68 landmarks in space, and a face's pose from its landmarks.

The head is the mean of the light ICT face model (USC Institute for Creative Technologies,
ICT-FaceKit, MIT licence) with a neutral expression.

References
----------
- Sagonas et al. (2013), "300 Faces in-the-Wild Challenge": the 68-point scheme.
- Umeyama (1991), IEEE PAMI 13(4): similarity between point sets, reflections excluded.
- DeMenthon & Davis (1995), IJCV 15: pose from scaled orthographic projection.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["LANDMARKS", "angles", "head_pose", "head_rotation"]

# fmt: off
LANDMARKS: NDArray[np.float64] = np.array([
    (-7.36, 0.23, -5.57), (-7.28, -1.95, -5.30), (-6.94, -3.90, -4.69),
    (-6.56, -5.80, -4.05), (-5.72, -7.93, -3.10), (-4.30, -9.65, -1.88),
    (-3.05, -10.35, -0.45), (-1.54, -10.70, 1.05), (0.00, -11.01, 1.21),
    (1.54, -10.70, 1.05), (3.05, -10.35, -0.45), (4.30, -9.65, -1.88),
    (5.72, -7.93, -3.10), (6.56, -5.80, -4.05), (6.94, -3.90, -4.69),
    (7.28, -1.95, -5.30), (7.36, 0.23, -5.57), (-5.82, 1.76, -1.31),
    (-4.93, 2.53, -0.23), (-3.79, 2.81, 0.60), (-2.41, 2.75, 1.26),
    (-1.17, 2.47, 1.51), (1.17, 2.47, 1.51), (2.41, 2.75, 1.26),
    (3.79, 2.81, 0.60), (4.93, 2.53, -0.23), (5.82, 1.76, -1.31),
    (0.00, 0.30, 1.51), (0.00, -0.81, 2.30), (0.00, -1.83, 3.08),
    (0.00, -3.04, 3.85), (-1.25, -4.59, 1.65), (-0.60, -4.58, 2.20),
    (0.00, -4.65, 2.34), (0.60, -4.58, 2.20), (1.25, -4.59, 1.65),
    (-4.46, -0.01, -0.62), (-3.87, 0.43, 0.14), (-2.78, 0.49, 0.31),
    (-1.84, -0.19, -0.03), (-2.73, -0.36, 0.19), (-3.86, -0.37, 0.01),
    (1.84, -0.19, -0.03), (2.78, 0.49, 0.31), (3.87, 0.43, 0.14),
    (4.46, -0.01, -0.62), (3.86, -0.37, 0.01), (2.73, -0.36, 0.19),
    (-2.53, -6.96, 0.96), (-1.70, -6.22, 2.00), (-0.73, -5.86, 2.51),
    (0.00, -5.92, 2.62), (0.73, -5.86, 2.51), (1.70, -6.22, 2.00),
    (2.53, -6.96, 0.96), (1.80, -7.50, 1.68), (1.03, -7.74, 2.17),
    (0.00, -7.82, 2.33), (-1.03, -7.74, 2.17), (-1.80, -7.50, 1.68),
    (-2.21, -6.93, 0.91), (-1.00, -6.74, 1.86), (0.00, -6.77, 2.06),
    (1.00, -6.74, 1.86), (2.21, -6.93, 0.91), (1.07, -6.82, 1.82),
    (0.00, -6.84, 2.03), (-1.07, -6.82, 1.82),
])
"""Centimetres, (68, 3): origin midway between the eyes, x to the subject's left, y up, z forward.

Points 0-16 (jaw) are fixed points of the skin, not the silhouette.
"""
# fmt: on
LANDMARKS.setflags(write=False)

_RIGID = slice(17, 48)  # brows, nose, eyes: the mouth and the jaw move too much
_ROUNDS = 60


def head_rotation(landmarks: NDArray[Any]) -> NDArray[np.float64]:
    """Rotation from the head's axes to the picture's, by a scaled orthographic fit.

    The generic head is rotated, scaled and shifted so that its brows, nose and eyes fall on the
    landmarks with the least squared distance; mouth and jaw are left out. The depth that a picture
    lacks is filled in from the last fit, and the fit repeated.

    Parameters
    ----------
    landmarks
        Array of shape (68, 2), square pixels, y down.

    Returns
    -------
    numpy.ndarray
        Float64 of shape (3, 3), acting on columns; axes as in `LANDMARKS`, i.e. x to the right of
        the picture, y up, z toward the camera.

    Raises
    ------
    ValueError
        Landmarks are not 68 finite points, or all but coincide.
    """
    points = np.asarray(landmarks, dtype=np.float64)
    if points.shape != (68, 2) or not np.isfinite(points).all():
        raise ValueError(f"expected 68 finite landmarks, shape (68, 2), found {points.shape}")
    flat = points[_RIGID] * [1.0, -1.0]
    flat = flat - flat.mean(axis=0)
    head = LANDMARKS[_RIGID] - LANDMARKS[_RIGID].mean(axis=0)
    size = float(np.sqrt((flat**2).sum()))
    if size < 1e-6:
        raise ValueError("the 68 landmarks lie on one point, so the head has no pose")
    flat = flat / size
    # A first guess by a linear fit, then the same fit in space with the depth guessed.
    affine = np.linalg.lstsq(head, flat, rcond=None)[0].T
    u, s, vt = np.linalg.svd(affine, full_matrices=False)
    rows = u @ vt
    rotation = np.vstack([rows, np.cross(rows[0], rows[1])])
    scale = float(s.mean())
    for _ in range(_ROUNDS):
        depth = scale * head @ rotation[2]
        u, s, vt = np.linalg.svd(np.column_stack([flat, depth]).T @ head)
        s[2] *= np.sign(np.linalg.det(u @ vt))
        rotation = u @ np.diag([1.0, 1.0, np.sign(s[2]) or 1.0]) @ vt
        seen = head @ rotation[:2].T
        scale = float((seen * flat).sum() / (seen**2).sum())
    return np.asarray(rotation, dtype=np.float64)


def head_pose(landmarks: NDArray[Any]) -> tuple[float, float, float]:
    """Yaw, pitch and roll of a face from its landmarks; needs no lens.

    Perspective is left out of account, so a face well off the picture's middle under a short lens
    is given the angle under which the camera sees it, not the one in the room.

    Parameters
    ----------
    landmarks
        Array of shape (68, 2), square pixels, y down.

    Returns
    -------
    tuple of float
        Degrees. Yaw is positive toward the subject's left (the right of the picture), pitch
        positive downward, roll positive when the head's left side goes up in the picture; the
        head is rolled first, then pitched, then yawed.

    Raises
    ------
    ValueError
        As for `head_rotation`.
    """
    return angles(head_rotation(landmarks))


def angles(rotation: NDArray[np.float64]) -> tuple[float, float, float]:
    """Yaw, pitch and roll of a rotation (3, 3), in degrees, signed as `head_pose` does."""
    r = rotation
    pitch = math.asin(min(max(-float(r[1, 2]), -1.0), 1.0))
    yaw = math.atan2(float(r[0, 2]), float(r[2, 2]))
    roll = math.atan2(float(r[1, 0]), float(r[1, 1]))
    return math.degrees(yaw), math.degrees(pitch), math.degrees(roll)
