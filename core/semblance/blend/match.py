"""The match: what the new face changes of the plate's own crop, in the canonical square.

The network's picture of the performer, `own`, tells what it got wrong about this very plate.
Low-passed, that error is light: direction, colour, a flickering lamp, a shadow on its way across
the face. It goes onto the new face as well. To match the new face to the plate itself instead would
take the likeness's complexion away; that is left for families of networks that draw no `own`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from semblance import kernels
from semblance.blend.colour_match import Moments, average, matched, measure
from semblance.blend.detail import match_detail
from semblance.blend.grain import Grain, finest, regrain
from semblance.face import Crop, Inference
from semblance.knobs import MatchKnobs

__all__ = ["Colours", "away_from_highlights", "calmed", "changed", "colours", "match"]

Image = NDArray[np.float32]

_LIGHT_SIGMA = 1.0 / 36.0
"""Scale of the light match, in canonical units. Coarser leaves the plate's shadows out,
finer brings the performer's own features back; on shots with exact truth the optimum is flat."""

_PLAIN_SIGMA = 1.0 / 6.0
"""The same where the plate itself is the reference: no finer than light that crosses a face."""

_LIGHT_SIZE = 128
"""Side of the picture in which light is measured; it holds nothing finer."""

_WHITE = 0.99
"""Working code of the crop from which the network can't know what it looks at."""

_NOTICEABLE = 1.5 / 255.0
"""A change of this size makes a face another one; far below it, it is the performer's still."""


@dataclass(frozen=True)
class Colours:
    """The colours of one frame inside the matte: of the new face, and of the plate under it."""

    face: Moments
    plate: Moments


def colours(crop: Crop, inference: Inference, weights: Image, knobs: MatchKnobs) -> Colours | None:
    """Return the colours of a frame, the light match included; None without a match or a face.

    Parameters
    ----------
    crop, inference, weights, knobs
        As `match` takes them.
    """
    if knobs.colour_match == "none":
        return None
    face = measure(inference.rgb + _light(crop, inference, weights, knobs), weights)
    plate = measure(crop.pixels, weights)
    return None if face is None or plate is None else Colours(face, plate)


def calmed(around: Sequence[tuple[int, Colours]]) -> Colours | None:
    """Return the mean colours of the frames around one, by their distance to it in frames.

    The weights are a binomial's, (1, 4, 6, 4, 1) over two frames to either side: symmetric, so a
    correction follows a change of light without lag, and does not pump.
    """
    if not around:
        return None
    weights = [{0: 6.0, 1: 4.0, 2: 1.0}.get(abs(distance), 0.0) for distance, _ in around]
    return Colours(
        average([each.face for _, each in around], weights),
        average([each.plate for _, each in around], weights),
    )


def away_from_highlights(crop: Crop) -> Image | None:
    """Return where a crop is not blown out: (n, n) float32, 0..1; None where it nowhere is.

    There is no face in a blown-out highlight, and the crop, which holds white at most, knows
    neither how bright it is nor how steeply it falls off: highlight and shoulder stay the plate's.
    """
    if crop.blown is None:
        return None
    wide = cv2.dilate(crop.blown, np.ones((3, 3), np.uint8))
    return np.asarray(1.0 - cv2.GaussianBlur(wide, (0, 0), 1.0), np.float32)


def match(
    crop: Crop,
    inference: Inference,
    weights: Image,
    strength: float,
    knobs: MatchKnobs,
    seen: Colours | None = None,
    grain: Grain | None = None,
    frame: int = 0,
) -> Image:
    """Return the change that the new face makes to the plate's crop.

    Parameters
    ----------
    crop : Crop
        The plate, working encoding, in 0..1.
    inference : Inference
        The new face and the performer's.
    weights : (n, n) float32 array
        0..1, where light, colour and sharpness are measured.
    strength : float
        Identity strength, 0..1. The fine rest of the network's error times 1 − strength makes
        strength 0 the plate itself.
    knobs : MatchKnobs
        Light, colour and detail match.
    seen : Colours, optional
        Of this frame or calmed over those around it; without them there is no colour match.
    grain : Grain, optional
        The plate's. A network draws none; what of it the crop shows is laid over the new face.
    frame : int
        Fresh grain is another in each frame.

    Returns
    -------
    (n, n, 3) float32 array
        Working encoding, to be added to the plate's crop; 0 at strength 0, and 0 where the network
        returns its input.
    """
    light = _light(crop, inference, weights, knobs)
    face = inference.rgb + light
    if seen is not None:
        face = matched(face, seen.face, seen.plate, knobs, strength)
    if knobs.detail_match > 0.0:
        amount = strength * knobs.detail_match
        face = match_detail(face, crop.pixels, inference.own, weights, amount)
    change = face - crop.pixels
    if grain is not None and knobs.grain_match > 0.0:
        drawn = face if inference.own is None else inference.own
        change += regrain(
            finest(crop.pixels - drawn, grain.scale),
            crop.pixels,
            changed(inference, crop, strength),
            grain.in_crop,
            frame,
            knobs.grain_match,
            seed=1,
        )
    if inference.own is not None and strength < 1.0:
        rest = crop.pixels - inference.own - light
        change += np.float32(1.0 - strength) * rest
    return np.asarray(change, np.float32)


def changed(inference: Inference, crop: Crop, strength: float) -> Image:
    """Return where the face becomes another's: (n, n) float32, 0..1.

    What is finer than the crop shows is the performer's own, and leaves with the identity. Where
    the network leaves the face as it is, so is that.
    """
    own = crop.pixels if inference.own is None else inference.own
    away = np.empty(own.shape[:2], np.float32)
    kernels.largest_difference(np.ascontiguousarray(inference.rgb), np.ascontiguousarray(own), away)
    away = np.asarray(cv2.blur(away, (5, 5)), np.float32)
    away *= np.float32(1.0 / _NOTICEABLE)
    np.minimum(away, np.float32(9.0), out=away)  # beyond that the rest has no normal number
    np.multiply(away, -away, out=away)
    cv2.exp(away, dst=away)
    np.subtract(np.float32(1.0), away, out=away)
    away *= np.float32(strength)
    return away


def _light(crop: Crop, inference: Inference, weights: Image, knobs: MatchKnobs) -> Image:
    """Return what the plate's light adds to the new face, times the knob; (n, n, 3)."""
    size = crop.pixels.shape[0]
    if knobs.light_match == 0.0:
        return np.zeros_like(crop.pixels)
    alone = inference.own is None
    error = crop.pixels - (inference.rgb if inference.own is None else inference.own)
    small = min(size, _LIGHT_SIZE)
    # What the network can't know of a highlight is not light that falls around it.
    red, green, blue = cv2.split(crop.pixels)
    clipped = (np.asarray(cv2.max(cv2.max(red, green), blue)) > _WHITE).astype(np.float32)
    weights = weights * (1.0 - np.asarray(cv2.dilate(clipped, np.ones((3, 3), np.uint8))))
    light = _masked_blur(
        _resized(error, small, cv2.INTER_AREA),
        _resized(weights, small, cv2.INTER_AREA),
        (_PLAIN_SIGMA if alone else _LIGHT_SIGMA) * small,
    )
    return np.float32(knobs.light_match) * _resized(light, size, cv2.INTER_CUBIC)


def _masked_blur(image: Image, mask: Image, sigma: float) -> Image:
    """Blur what lies inside a mask alone: blur of the masked image over blur of the mask."""
    weight = cv2.GaussianBlur(mask, (0, 0), sigma)[..., None]
    blurred = cv2.GaussianBlur(image * mask[..., None], (0, 0), sigma)
    return np.asarray(blurred / np.maximum(weight, 1e-3) * np.minimum(weight / 1e-2, 1.0))


def _resized(image: Image, size: int, how: int) -> Image:
    if image.shape[0] == size:
        return image
    return np.asarray(cv2.resize(image, (size, size), interpolation=how), np.float32)
