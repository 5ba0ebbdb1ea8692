"""The way of the new face to the plate's own resolution, where the plate's highlights are."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from semblance import kernels
from semblance.blend.grain import Grain, regrain

__all__ = ["expose", "lay_in", "packed", "plate_grain"]

Image = NDArray[np.float32]


def packed(crop: Image, change: Image, another: Image) -> Image:
    """Return what `lay_in` needs of the canonical square, in four channels for one warp.

    Parameters
    ----------
    crop : (n, n, 3) float32 array
        The plate as the crop shows it, working encoding.
    change : (n, n, 3) float32 array
        The new face minus the crop.
    another : (n, n) float32 array
        0..1, where the face becomes another's (`match.changed`).

    Returns
    -------
    (n, n, 4) float32 array
        The change in light, 1 at display white, with the crop itself where the face becomes
        another's; and `another`.
    """
    result = np.empty((*another.shape, 4), np.float32)
    kernels.pack(_whole(crop), _whole(change), _whole(another), result)
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
    return regrain(shown, shown, where, grain.beyond, frame, 1.0, less=laid)


def lay_in(
    plate: Image,
    laid: Image,
    change: Image,
    grain: Image | None = None,
    amount: float = 1.0,
    stops: float = 0.0,
) -> None:
    """Write what the new face changes at the plate's resolution.

    The plate holds detail that the crop is too small to show. Where the face becomes another's it
    is the performer's, and leaves: the plate gives way to the crop's view of it. Elsewhere the
    plate's own pixels stay, and so do they in highlights: what is blown out (`expose`) shows no
    face to replace.

    Parameters
    ----------
    plate : (h, w, 3) float32 array
        The plate over the face's window, scene-linear; any range.
    laid : (h, w, 4) float32 array
        `packed`'s result, laid over the same window.
    change : (h, w, 3) float32 array
        What is written: to be added to the plate; exactly 0 where the face changes nothing.
    grain : (h, w, 3) float32 array, optional
        What is laid over the smooth new face, working encoding.
    amount : float
        0..1, how much of it.
    stops : float
        Exposure that brings the plate to light where 1 is display white.
    """
    noise = None if grain is None else _whole(grain)
    kernels.lay_in(_whole(plate), _whole(laid), noise, amount, 2.0**stops, change)


def expose(light: Image, stops: float, code: Image, beyond: Image) -> bool:
    """Write what a network may see of a plate, and how far each pixel is beyond display white.

    A blown-out highlight holds no face to replace, and must come back as bright as it was: a
    quarter of a working code beyond display white, 1 / e of the face is left.

    Parameters
    ----------
    light : (h, w, 3) float32 array
        Scene-linear Rec.709, finite, any range.
    stops : float
        Exposure that is applied first.
    code : (h, w, 3) float32 array
        Written: the working encoding, held to 0..1.
    beyond : (h, w) float32 array
        Written: 0..1, 0 up to display white.

    Returns
    -------
    bool
        Whether any pixel is beyond.
    """
    return kernels.expose(_whole(light), 2.0**stops, code, beyond)


def _whole(pixels: Image) -> Image:
    return np.ascontiguousarray(pixels, np.float32)
