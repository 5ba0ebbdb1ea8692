"""Figures by which a face is judged for a faceset: sharpness, chroma, likeness to another picture.

All of them look at a crop as a faceset holds it: the widened canonical square in the working
encoding, so that they do not depend on the size, the place or the exposure of the face.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray

__all__ = ["MARGIN", "Descriptor", "chroma", "describe", "difference", "sharpness"]

Pixels: TypeAlias = NDArray[np.float32]
Points: TypeAlias = NDArray[np.float64]

MARGIN: Final = 0.125
"""By which a crop is wider than the canonical square on each side, as a share of its side."""


def sharpness(crop: Pixels, points: Points) -> float:
    """Return the variance of the Laplacian of Gaussian of luma in the face, in code values².

    The crop is first brought to one scale, 128 pixels for the canonical square, and the Gaussian's
    deviation is 1 of these pixels: fine grain, which is no sharpness, is averaged away. A code
    value is 1/255 of the working encoding. A face in focus has 8 to 30; out of focus by a Gaussian
    of 1.5 % of the square's side about 2; a smear, or a face of 20 pixels, 1 and less.

    Parameters
    ----------
    crop : (size, size, 3) float32 array
        Working encoding.
    points : (68, 2) float64 array
        Landmarks in crop pixels.

    References
    ----------
    Pertuz, Puig, García, "Analysis of focus measure operators for shape-from-focus", Pattern
    Recognition 46, 2013, operator LAP4 (variance of the Laplacian).
    """
    side = round(128 * (1.0 + 2.0 * MARGIN))
    small = cv2.resize(_grey(crop), (side, side), interpolation=cv2.INTER_AREA)
    edges = cv2.Laplacian(cv2.GaussianBlur(small * 255.0, (0, 0), 1.0), cv2.CV_32F)
    inside = _hull(points * (side / crop.shape[0]), side)
    return float(edges[inside].var()) if inside.any() else 0.0


def chroma(crop: Pixels) -> float:
    """Return the root mean square chroma that is left of a crop when its tint is taken away.

    Chroma is a pixel's distance from its own luma, per channel, in the working encoding; the tint
    is the quadratic function of luma that fits it best. So a toned or sepia print has none, as a
    grey one, while a face in colour has 0.01 and more: lips, eyes and skin differ at equal luma.
    Taken over 40 × 40 means, for grain has a chroma of its own.

    Parameters
    ----------
    crop : (size, size, 3) float32 array
        Working encoding; clipped to 0..1.
    """
    small = cv2.resize(np.clip(crop, 0.0, 1.0), (40, 40), interpolation=cv2.INTER_AREA)
    pixels = np.asarray(small, np.float32)
    grey = _grey(pixels).reshape(-1, 1).astype(np.float64)
    colour = pixels.reshape(-1, 3) - grey
    basis = np.hstack([np.ones_like(grey), grey, grey**2])
    left = colour - basis @ np.linalg.lstsq(basis, colour, rcond=None)[0]
    return float(np.sqrt((left**2).sum(axis=1).mean()))


@dataclass(frozen=True)
class Descriptor:
    """What a face looks like, for comparison.

    Parameters
    ----------
    luma : (16, 16) float32 array
        Of the crop, working encoding.
    landmarks : (68, 2) float64 array
        As shares of the crop's side.
    """

    luma: Pixels
    landmarks: Points


def describe(crop: NDArray[np.uint16], points: Points) -> Descriptor:
    """Describe a stored crop, (size, size, 3) uint16, and its landmarks in crop pixels."""
    small = np.asarray(cv2.resize(crop, (16, 16), interpolation=cv2.INTER_AREA), np.float32)
    return Descriptor(_grey(small) / np.float32(65535.0), points / crop.shape[0])


def difference(one: Descriptor, other: Descriptor) -> float:
    """Return how much two faces differ.

    The greater of two figures: the root mean square difference of luma over the crop, working
    encoding; and twice the greatest movement of a landmark, as a share of the crop's side. At the
    usual limit of 0.02 a face is a duplicate when its picture has changed by less than 2 % and no
    landmark has moved by more than 1 %, 2.3 mm on a head: less than a blink or a syllable.
    """
    seen = float(np.sqrt(np.mean((one.luma - other.luma) ** 2)))
    moved = float(np.linalg.norm(one.landmarks - other.landmarks, axis=1).max())
    return max(seen, 2.0 * moved)


def _grey(crop: Pixels) -> Pixels:
    """Return luma of encoded pixels; a measure for comparing pictures, not a colour."""
    return np.asarray(crop @ np.array([0.2126, 0.7152, 0.0722], np.float32), np.float32)


def _hull(points: Points, side: int) -> NDArray[np.bool_]:
    """Return the convex hull of points as (side, side) bool."""
    mask = np.zeros((side, side), np.uint8)
    outline = np.round((points - 0.5) * 16.0).astype(np.int32)
    cv2.fillConvexPoly(mask, cv2.convexHull(outline), 1, shift=4)
    return mask > 0
