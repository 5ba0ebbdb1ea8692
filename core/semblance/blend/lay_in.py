"""The way of the new face to the plate's own resolution, where the plate's highlights are."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from semblance.blend.grain import Grain, regrain

__all__ = ["blown", "lay_in", "packed", "plate_grain"]

Image = NDArray[np.float32]

_LOG_SLOPE = 1.055 / 2.4
"""Working codes to a natural logarithm of light above display white (`colour.encode`)."""

_HIGHLIGHT = 0.25
"""How far beyond display white, in working codes, a pixel is still the face's: a blown-out
highlight holds no face to replace, and must come back as bright as it was."""


def packed(change: Image, crop: Image, another: Image) -> Image:
    """Return what `lay_in` needs of the canonical square, in four channels for one warp.

    Parameters
    ----------
    change : (n, n, 3) float32 array
        The new face minus the crop, in light where 1 is display white.
    crop : (n, n, 3) float32 array
        The plate as the crop shows it, in the same light.
    another : (n, n) float32 array
        0..1, where the face becomes another's (`match.changed`).

    Returns
    -------
    (n, n, 4) float32 array
        The change, with the crop itself where the face becomes another's; and `another`.
    """
    whole = np.multiply(crop, cv2.merge([another] * 3))
    whole += change
    result = np.empty((*another.shape, 4), np.float32)
    cv2.mixChannels([whole, another], [result], [0, 0, 1, 1, 2, 2, 3, 3])
    return result


def plate_grain(shown: Image, laid: Image, grain: Grain, frame: int) -> Image:
    """Return the plate's grain that is too fine for the crop, to be laid over the new face.

    Parameters
    ----------
    shown : (h, w, 3) float32 array
        The plate over the face's window, working encoding, 0..1.
    laid : (h, w, 4) float32 array
        The crop, and where the face becomes another's, laid over the same window.
    grain : Grain
        The plate's.
    frame : int
        Fresh grain is another in each frame.

    Returns
    -------
    (h, w, 3) float32 array
        Working encoding, for a grain match of 1.
    """
    where = np.asarray(cv2.extractChannel(laid, 3), np.float32)
    fine = cv2.subtract(shown, cv2.cvtColor(laid, cv2.COLOR_BGRA2BGR))
    return regrain(np.asarray(fine, np.float32), shown, where, grain.beyond, frame, 1.0)


def lay_in(plate: Image, laid: Image, grain: Image | None = None) -> Image:
    """Return what the new face changes at the plate's resolution.

    The plate holds detail that the crop is too small to show. Where the face becomes another's it
    is the performer's, and leaves: the plate gives way to the crop's view of it. Elsewhere the
    plate's own pixels stay.

    Parameters
    ----------
    plate : (h, w, 3) float32 array
        The plate over the face's window, in light where 1 is display white; any range.
    laid : (h, w, 4) float32 array
        `packed`'s result, laid over the same window.
    grain : (h, w, 3) float32 array, optional
        What is laid over the smooth new face, in the same light.

    Returns
    -------
    (h, w, 3) float32 array
        To be added to the plate; exactly 0 where the face changes nothing.
    """
    another = cv2.merge([cv2.extractChannel(laid, 3)] * 3)
    step = np.clip(plate, 0.0, 1.0)
    cv2.multiply(step, another, dst=step)
    cv2.subtract(cv2.cvtColor(laid, cv2.COLOR_BGRA2BGR), step, dst=step)
    if grain is not None:
        cv2.add(step, grain, dst=step)
    if plate.max() > 1.0:
        red, green, blue = cv2.split(plate)
        brightest = np.maximum(np.asarray(cv2.max(cv2.max(red, green), blue)), np.float32(1.0))
        kept = cv2.pow(brightest, -_LOG_SLOPE / _HIGHLIGHT)  # as `blown`, of light
        np.multiply(step, cv2.merge([kept] * 3), out=step)
    return np.asarray(step, np.float32)


def blown(working: Image) -> Image | None:
    """Return how far a picture is beyond display white: (h, w) float32, 0..1, or None if nowhere.

    Parameters
    ----------
    working : (h, w, 3) float32 array
        Working encoding, any range.
    """
    if working.max() <= 1.0:
        return None
    red, green, blue = cv2.split(working)
    beyond = np.maximum(np.asarray(cv2.max(cv2.max(red, green), blue)) - np.float32(1.0), 0.0)
    return np.asarray(1.0 - np.asarray(cv2.exp(beyond * np.float32(-1.0 / _HIGHLIGHT))), np.float32)
