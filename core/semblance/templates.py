"""The squares that other families of networks look at, and the way there from the canonical one.

A published network was trained on crops that were cut by five points of the face: the middles of
the eyes, the tip of the nose and the corners of the mouth. Where a template wants them, as parts of
the crop's side, is all that there is to it. Here such a square hangs on the canonical one: the fit
to 35 landmarks holds it, which is calmer than a fit to five of each frame, and no robust fit that
may change its mind from one frame to the next is involved.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from semblance import align
from semblance.model.families import TEMPLATES

__all__ = ["crop", "five_points", "view"]

Points = NDArray[np.float64]


def five_points(landmarks: NDArray[np.floating]) -> Points:
    """Return eyes, nose and corners of the mouth, (5, 2), of 68 landmarks in iBUG order."""
    points = np.asarray(landmarks, np.float64)
    eyes = points[36:42].mean(axis=0), points[42:48].mean(axis=0)
    return np.stack([*eyes, points[30], points[48], points[54]])


@lru_cache(maxsize=32)
def view(template: str, size: int) -> align.Affine | None:
    """Return the way from the canonical square to a template's.

    Parameters
    ----------
    template : str
        A name in `semblance.model.families.TEMPLATES`, or the canonical template's own.
    size : int
        Side of the network's crop in pixels. A template counts from the middle of the first pixel,
        the canonical square from its edge.

    Returns
    -------
    (2, 3) float64 array or None
        Canonical units to units of the template's square, not to be changed; None where they are
        the same.

    Raises
    ------
    KeyError
        There is no such template.
    """
    if template == align.TEMPLATE_NAME:
        return None
    way = align.similarity(five_points(align.TEMPLATE), _wanted(template, size))
    way.setflags(write=False)
    return way


def crop(
    landmarks: NDArray[np.floating], template: str, size: int, pixel_aspect: float = 1.0
) -> align.Affine:
    """Return the way from a picture's pixels to a template's square, by the face's own five points.

    For one still, whose crop a recogniser shall see as it saw those that it was trained on.

    Parameters
    ----------
    landmarks : (68, 2) array
        Pixels, centres at +0.5, y down.
    template, size
        As `view` takes them.
    pixel_aspect : float
        Of the picture.

    Returns
    -------
    (2, 3) float64 array
        Pixels to units of the template's square.
    """
    points = five_points(landmarks) * (pixel_aspect, 1.0)
    way = align.similarity(points, _wanted(template, size))
    way[:, 0] *= pixel_aspect
    return way


def _wanted(template: str, size: int) -> Points:
    return np.asarray(TEMPLATES[template], np.float64) + 0.5 / size
