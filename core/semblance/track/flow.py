"""Where the picture's own motion carries a face from one frame to the next.

Points of the face are followed by optical flow and back again; what does not come back to where it
started is not believed. What the others have in common is one similarity: the head's own shift,
turn and growth, to a fraction of a pixel, whatever the landmarks of either frame say.

References
----------
- Lucas & Kanade (1981), "An iterative image registration technique", IJCAI; in a pyramid after
  Bouguet (2000).
- Kalal et al. (2010), "Forward-backward error: automatic detection of tracking failures", ICPR.
"""

from __future__ import annotations

import math
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from semblance.colour import encode, luma

__all__ = ["carried"]

Pixels = NDArray[np.float32]
Points = NDArray[np.float64]

WIDE: Final = 128
"""Pixels to which the face is shrunk, at most, before its motion is measured."""

BACK: Final = 0.6
"""Pixels of the shrunk picture by which a point may miss its start on the way back."""

LEAST: Final = 12
"""Points that must come back for the motion to be believed."""

_HELD: Final = np.arange(17, 68)
_CRITERIA: Final = (cv2.TERM_CRITERIA_COUNT | cv2.TERM_CRITERIA_EPS, 20, 0.01)


def carried(before: Pixels, after: Pixels, landmarks: Points, stops: float) -> Points | None:
    """Return where landmarks of one frame are in the next, by the picture's motion alone.

    Parameters
    ----------
    before, after : (h, w, 3) float32 array
        Scene-linear Rec.709 frames of one size.
    landmarks : (68, 2) float64 array
        Pixels of `before`, centres at +0.5, y down.
    stops : float
        Exposure that the face asks for.

    Returns
    -------
    (68, 2) float64 array or None
        None where too few points can be followed there and back.
    """
    extent = float(np.ptp(landmarks, axis=0).max())
    low = np.floor(landmarks.min(0) - 0.6 * extent).astype(int)
    high = np.ceil(landmarks.max(0) + 0.6 * extent).astype(int)
    low = np.clip(low, 0, before.shape[1::-1])
    high = np.clip(high, low, before.shape[1::-1])
    if (high - low).min() < 16 or extent < 8.0:
        return None
    step = max(extent / WIDE, 1.0)
    size = tuple(int(v) for v in np.maximum(np.round((high - low) / step), 8))
    scale = np.array(size) / (high - low)
    skipped = int(step)  # pixels that the shrunk picture has no room for; both frames skip the same
    rows, columns = slice(low[1], high[1], skipped), slice(low[0], high[0], skipped)
    one, other = (_codes(each[rows, columns], stops, size) for each in (before, after))
    start = ((landmarks[_HELD] - low) * scale - 0.5).astype(np.float32)
    inside = ((start > 1) & (start < np.array(size) - 2)).all(1)
    if inside.sum() < LEAST:
        return None
    start = np.ascontiguousarray(start[inside])
    there, found = _flow(one, other, start)
    back, returned = _flow(other, one, there)
    missed = np.linalg.norm(back - start, axis=1)
    good = found & returned & (missed < BACK)
    if good.sum() < LEAST:
        return None
    a = _similarity(start[good].astype(np.float64), there[good].astype(np.float64))
    if a is None:
        return None
    local = (landmarks - low) * scale - 0.5
    moved = local @ a[:, :2].T + a[:, 2]
    return np.asarray((moved + 0.5) / scale + low, np.float64)


def _flow(
    one: NDArray[np.uint8], other: NDArray[np.uint8], points: NDArray[np.float32]
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Return where points (n, 2) of one picture are in the other, and which were found there."""
    moved, status, _ = cv2.calcOpticalFlowPyrLK(
        one, other, points, points.copy(), winSize=(15, 15), maxLevel=3, criteria=_CRITERIA
    )
    return np.asarray(moved, np.float32), np.asarray(status).ravel() > 0


def _codes(linear: Pixels, stops: float, size: tuple[int, ...]) -> NDArray[np.uint8]:
    """Return luma in 8-bit sRGB codes, as the flow takes it."""
    light = np.nan_to_num(luma(linear), nan=0.0, posinf=1e4, neginf=0.0)
    small = cv2.resize(light, size, interpolation=cv2.INTER_AREA)
    exposed = np.clip(np.asarray(small, np.float32) * np.float32(2.0**stops), 0.0, 1.0)
    return np.round(encode(exposed) * 255.0).astype(np.uint8)


def _similarity(one: Points, other: Points) -> Points | None:
    """Return the (2, 3) similarity that most points have in common, by two reweighted fits."""
    weight = np.ones(len(one))
    matrix = np.eye(2, 3)
    for _ in range(4):
        total = weight.sum()
        a, b = (weight @ one) / total, (weight @ other) / total
        s, t = one - a, other - b
        product = np.vdot(s[:, 0] + 1j * s[:, 1], weight * (t[:, 0] + 1j * t[:, 1]))
        energy = float(weight @ (s**2).sum(1))
        if energy < 1e-6:
            return None
        product /= energy
        turn = np.array([[product.real, -product.imag], [product.imag, product.real]])
        matrix = np.column_stack([turn, b - turn @ a])
        away = np.linalg.norm(one @ turn.T + matrix[:, 2] - other, axis=1)
        width = max(1.5 * float(np.median(away)), 0.05)
        weight = 1.0 / (1.0 + (away / width) ** 2)
    return matrix if math.isfinite(float(matrix.sum())) else None
