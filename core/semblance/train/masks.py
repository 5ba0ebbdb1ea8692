"""Masks that training weighs its errors with, from a face's landmarks."""

from __future__ import annotations

from typing import TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray

from semblance.matte import hull_mask

__all__ = ["training_masks"]

Mask: TypeAlias = NDArray[np.float32]


def training_masks(landmarks: NDArray[np.float64], side: int, matte: Mask | None = None) -> Mask:
    """Draw a face's masks.

    Parameters
    ----------
    landmarks : (68, 2) float64 array
        In pixels of the picture.
    side : int
        Of the picture in pixels.
    matte : (side, side) float32 array, optional
        The user's: 1 where the face is seen. What it leaves out is neither learned as face nor
        asked of the network's matte.

    Returns
    -------
    (3, side, side) float32 array
        Face, face widened for the losses, eyes and mouth; 0..1.
    """
    face = hull_mask(landmarks / side, side)
    reach = max(3, round(0.1 * side) | 1)
    wide = cv2.dilate(face, cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (reach, reach)))
    masks = np.stack([face, wide, _feature_mask(landmarks, side)])
    return masks if matte is None else masks * matte


def _feature_mask(landmarks: NDArray[np.float64], size: int) -> Mask:
    """Soft mask of both eyes and the mouth, widened a little."""
    mask = np.zeros((size, size), dtype=np.float32)
    for points, growth in ((slice(36, 42), 1.5), (slice(42, 48), 1.5), (slice(48, 60), 1.15)):
        outline = landmarks[points]
        middle = outline.mean(axis=0)
        height = np.ptp(outline[:, 0]) * 0.12 * np.sign(outline[:, 1] - middle[1])
        grown = middle + growth * (outline - middle)
        grown[:, 1] += height  # a shut eye still has lids
        mask = np.maximum(mask, _fill(grown, size, 0.012 * size))
    return mask


def _fill(outline: NDArray[np.float64], size: int, softness: float) -> Mask:
    """Antialiased convex hull of points (k, 2), blurred by a Gaussian of `softness` pixels."""
    hull = cv2.convexHull((outline * 4.0 - 0.5).astype(np.float32)).round().astype(np.int32)
    drawn = np.zeros((size * 4, size * 4), dtype=np.float32)
    cv2.fillConvexPoly(drawn, hull, 1.0)
    small = cv2.resize(drawn, (size, size), interpolation=cv2.INTER_AREA)
    return np.asarray(cv2.GaussianBlur(small, (0, 0), max(softness, 0.3)), dtype=np.float32)
