"""What a review measures of each frame, where no truth is known.

Pictures are in the working encoding at the shot's one exposure.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from semblance import align, colour
from semblance.face import Face
from semblance.plate import Plate, Window
from semblance.review.material import Picture

__all__ = ["Change", "canonical_change", "changed_beside", "coverage", "flicker", "seam"]

_SIDE = 128
"""Side of the canonical square in which a change is followed, in pixels: grain averages out."""

_LEAST_CHANGE = 1.0 / 1024.0
"""Mean change below which nothing is there that could flicker."""

Matte = NDArray[np.float32]
Change = tuple[Picture, Matte]
"""What a frame changes on its face, and where: both over the canonical square."""


def seam(result: Picture, plate: Picture, matte: Matte) -> float | None:
    """Return the mean gradient of luma on the matte's edge (0.1 < matte < 0.9), over the plate's.

    Parameters
    ----------
    result, plate : (h, w, 3) float32 array
        Working encoding.
    matte : (h, w) float32 array
        0..1.

    Returns
    -------
    float or None
        About 1 where no edge was added, more where one is to be seen, less where the plate was
        smeared; None without an edge of the matte.
    """
    ring = (matte > 0.1) & (matte < 0.9)
    if not ring.any():
        return None
    steep = []
    for picture in (result, plate):
        luma = colour.luma(picture)
        down, across = np.gradient(luma) if min(luma.shape) > 1 else (luma * 0, luma * 0)
        steep.append(float(np.hypot(down, across)[ring].mean(dtype=np.float64)))
    return steep[0] / steep[1] if steep[1] > 0.0 else None


def canonical_change(
    result: Picture, plate: Picture, matte: Matte, window: Window, face: Face, pixel_aspect: float
) -> Change:
    """Return what was changed on a face, in the canonical square, where the face stands still.

    Parameters
    ----------
    result, plate : (h, w, 3) float32 array
        Working encoding, over `window`.
    matte : (h, w) float32 array
        0..1, over `window`.
    window : Window
        In the plate; holds a pixel.
    face : Face
        The performer's.
    pixel_aspect : float
        Of the plate.
    """
    matrix = align.fit(face.landmarks, pixel_aspect)
    change = align.to_crop(result - plate, window, matrix, _SIDE)
    return change, align.to_crop(matte, window, matrix, _SIDE)


def flicker(before: Change, now: Change) -> float | None:
    """Return how much of the change on a face is another than in the frame before.

    Returns
    -------
    float or None
        mean |Cₜ − Cₜ₋₁| over the mean of |Cₜ| and |Cₜ₋₁|, C the change in the canonical square
        inside both mattes: 0 where it stays as it is, 1 and more where every frame has another.
        None where there is no change to speak of.
    """
    inside = np.minimum(before[1], now[1]) > 0.5
    if not inside.any():
        return None
    old, new = before[0][inside], now[0][inside]
    size = float(0.5 * (np.abs(old).mean() + np.abs(new).mean()))
    return float(np.abs(new - old).mean()) / size if size > _LEAST_CHANGE else None


def coverage(matte: Matte, face: Face) -> float | None:
    """Return the matte's area over that of the face's hull; None where the hull has none.

    It is about the same in all frames of a shot, whatever the face's size: where it falls, more of
    the face is held out.

    Parameters
    ----------
    matte : (h, w) float32 array
        0..1, in plate pixels.
    face : Face
        The performer's, in the same.
    """
    hull = cv2.convexHull(face.landmarks.astype(np.float32))
    area = float(cv2.contourArea(hull))
    return float(matte.sum(dtype=np.float64)) / area if area > 0.0 else None


def changed_beside(result: Plate, plate: Plate, matte: Matte) -> int:
    """Count the pixels without matte in which a channel of the plate has other bits.

    Parameters
    ----------
    result, plate : Plate
        Of one data window.
    matte : (h, w) float32 array
        Over the data window; 0 is beside it.
    """
    beside = matte == 0.0
    differs = np.zeros(matte.shape, bool)
    for name, pixels in plate.channels.items():
        ours = result.channels.get(name)
        if ours is None or ours.dtype != pixels.dtype:
            return int(beside.sum())
        bits = f"u{pixels.dtype.itemsize}"
        differs |= np.ascontiguousarray(ours).view(bits) != np.ascontiguousarray(pixels).view(bits)
    return int((differs & beside).sum())
