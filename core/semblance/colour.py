"""Colour: the plate's own space, linear Rec.709, and the working encoding, as invertible pairs.

The network looks at a display-like picture. `encode` makes one that can be undone: exposure, then
the sRGB curve where skin lies, its tangent's logarithm above 1 and its straight line below 0, so a
highlight of 50.0 comes back as 50.0 and a negative pixel as the same negative pixel.

References
----------
IEC 61966-2-1:1999 (sRGB) for the curve; ITU-R BT.709-6, item 3.2, for the luma weights.
Spaces and their transforms are OpenColorIO's.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterable, Mapping
from functools import lru_cache
from typing import Any

import cv2
import numpy as np
import PyOpenColorIO as ocio
from numpy.typing import NDArray

from semblance import kernels
from semblance.errors import InputError, KnobError

__all__ = [
    "EXPOSURE_TARGET",
    "LINEAR",
    "WORKING",
    "auto_stops",
    "decode",
    "encode",
    "face_luma",
    "from_linear",
    "linear_to_srgb",
    "luma",
    "resolve_space",
    "srgb_to_linear",
    "to_linear",
]

Pixels = NDArray[np.float32]

WORKING = "semblance-srgb-log-1"
"""Names the encoding below in model manifests; another curve, another name."""

LINEAR = "Linear Rec.709 (sRGB)"
"""The scene-linear space on the linear side of the working encoding."""

EXPOSURE_TARGET = 0.12
"""Mean linear luma of a face after automatic exposure; about 0.38 on the sRGB curve."""

LUMA_WEIGHTS = np.array([0.2126, 0.7152, 0.0722], np.float32)

_BUILT_IN = "ocio://studio-config-latest"
# CIE xy of red, green, blue and white, as an EXR header gives them, for the usual linear spaces.
_CHROMATICITIES = {
    LINEAR: (0.64, 0.33, 0.30, 0.60, 0.15, 0.06, 0.3127, 0.3290),
    "ACEScg": (0.713, 0.293, 0.165, 0.830, 0.128, 0.044, 0.32168, 0.33767),
    "ACES2065-1": (0.7347, 0.2653, 0.0, 1.0, 0.0001, -0.077, 0.32168, 0.33767),
    "Linear P3-D65": (0.680, 0.320, 0.265, 0.690, 0.150, 0.060, 0.3127, 0.3290),
    "Linear Rec.2020": (0.708, 0.292, 0.170, 0.797, 0.131, 0.046, 0.3127, 0.3290),
}


def linear_to_srgb(linear: Pixels) -> Pixels:
    """Return the sRGB encoding of linear values in 0..1, carried on as its own line below 0.

    >>> round(float(linear_to_srgb(np.float32([0.18]))[0]), 4)
    0.4614
    """
    curve = 1.055 * np.maximum(linear, 0.0031308) ** np.float32(1 / 2.4) - 0.055
    return np.where(linear <= 0.0031308, 12.92 * linear, curve).astype(np.float32)


def srgb_to_linear(encoded: Pixels) -> Pixels:
    """Return linear values of an sRGB encoding: the inverse of `linear_to_srgb`.

    >>> round(float(srgb_to_linear(np.float32([0.5]))[0]), 4)
    0.214
    """
    curve = ((np.maximum(encoded, 0.04045) + 0.055) / 1.055) ** np.float32(2.4)
    return np.where(encoded <= 0.04045, encoded / 12.92, curve).astype(np.float32)


def encode(linear: Pixels, stops: float = 0.0) -> Pixels:
    """Return the working encoding of scene-linear Rec.709.

    Parameters
    ----------
    linear : (..., 3) float32 array
        Scene-linear Rec.709, any range; infinities and NaN stay what they are.
    stops : float
        Exposure that is applied first.

    Returns
    -------
    (..., 3) float32 array
        0..1 for what a display would show, above 1 and below 0 beyond.
    """
    return _curve(kernels.encode, linear, 2.0**stops)


def decode(working: Pixels, stops: float = 0.0) -> Pixels:
    """Return scene-linear Rec.709 of the working encoding: the inverse of `encode`."""
    return _curve(kernels.decode, working, 2.0**-stops)


def _curve(of: Callable[[Pixels, Pixels, float], None], pixels: Pixels, gain: float) -> Pixels:
    source = np.ascontiguousarray(pixels, np.float32)
    result = np.empty(source.shape, np.float32)
    of(source.reshape(-1), result.reshape(-1), gain)
    return result


def luma(linear: Pixels) -> Pixels:
    """Return the Rec.709 luma of (..., 3) linear pixels as (...)."""
    # OpenCV's sums, unlike those of BLAS, are the same with any number of threads.
    flat = np.ascontiguousarray(linear, np.float32).reshape(1, -1, 3)
    sums = cv2.transform(flat, LUMA_WEIGHTS[None]) if flat.size else flat
    return np.asarray(sums, np.float32).reshape(linear.shape[:-1])


def face_luma(linear: Pixels, landmarks: NDArray[np.floating]) -> float | None:
    """Return the mean luma of a face, over the convex hull of its landmarks.

    Parameters
    ----------
    linear : (h, w, 3) float32 array
        Scene-linear Rec.709.
    landmarks : (n, 2) array
        Pixels of `linear`, centres at +0.5.

    Returns
    -------
    float or None
        None where the hull holds no finite pixel.
    """
    height, width = linear.shape[:2]
    points = np.asarray(landmarks, np.float64)
    low = np.clip(np.floor(points.min(0)).astype(int), 0, (width, height))
    high = np.clip(np.ceil(points.max(0)).astype(int), 0, (width, height))
    box = linear[low[1] : high[1], low[0] : high[0]]
    if box.size == 0:
        return None
    inside = np.zeros(box.shape[:2], np.uint8)
    # Sixteenths of a pixel; OpenCV puts pixel centres at whole numbers.
    outline = np.round((points - low - 0.5) * 16.0).astype(np.int32)
    cv2.fillConvexPoly(inside, cv2.convexHull(outline), 1, shift=4)
    values = luma(box[inside > 0])
    values = values[np.isfinite(values)]
    return float(values.mean(dtype=np.float64)) if values.size else None


def auto_stops(lumas: Iterable[float]) -> float:
    """Return the exposure that brings the median of a shot's face lumas to `EXPOSURE_TARGET`.

    One figure for the whole shot: an exposure that followed the frames would pump.

    Parameters
    ----------
    lumas : iterable of float
        Mean linear luma of the face, a frame each; not positive ones are left out.

    Returns
    -------
    float
        Stops; 0 without a usable luma.
    """
    usable = [value for value in lumas if value > 0.0 and math.isfinite(value)]
    return math.log2(EXPOSURE_TARGET / float(np.median(usable))) if usable else 0.0


def resolve_space(name: str, metadata: Mapping[str, Any]) -> str:
    """Return the OCIO name of the space that a plate is in.

    Parameters
    ----------
    name : str
        A space or an alias that the config knows, or ``auto``: what the file's header says
        (``colorInteropID``, ``oiio:ColorSpace``, ``chromaticities``), else linear Rec.709.
    metadata : mapping
        The plate's attributes.

    Raises
    ------
    KnobError
        Neither `$OCIO` nor the built-in config knows the space.
    """
    if name != "auto":
        found = _find(name)
        if found is None:
            spaces = ", ".join(space.getName() for space in _configs()[0].getColorSpaces())
            raise KnobError(
                f"knob 'input_space' is {name!r}, which the OCIO config does not know",
                f"Known: {spaces}.",
            )
        return found[1]
    for attribute in ("colorInteropID", "oiio:ColorSpace"):
        found = _find(str(metadata.get(attribute, "")))
        if found is not None:
            return found[1]
    primaries = metadata.get("chromaticities")
    if primaries is not None:
        given = np.ravel(np.asarray(primaries, np.float64))
        for space, reference in _CHROMATICITIES.items():
            if given.shape == (8,) and np.abs(given - reference).max() < 2e-3:
                return space
    return LINEAR


def to_linear(pixels: Pixels, space: str) -> Pixels:
    """Carry (h, w, 3) pixels from a space (as `resolve_space` names it) to linear Rec.709."""
    return _apply(pixels, space, forward=True)


def from_linear(pixels: Pixels, space: str) -> Pixels:
    """Carry (h, w, 3) linear Rec.709 pixels to a space: the inverse of `to_linear`."""
    return _apply(pixels, space, forward=False)


def _apply(pixels: Pixels, space: str, *, forward: bool) -> Pixels:
    if space == LINEAR:
        return pixels
    result = np.array(pixels, np.float32, order="C")
    if result.size:
        _processor(space, forward).applyRGB(result)
    return result


@lru_cache(maxsize=1)
def _configs() -> tuple[ocio.Config, ocio.Config]:
    """Return the artist's config ($OCIO, else the built-in one) and the built-in one."""
    built_in = ocio.Config.CreateFromFile(_BUILT_IN)
    try:
        return (ocio.Config.CreateFromEnv() if os.environ.get("OCIO") else built_in), built_in
    except (ocio.Exception, ocio.ExceptionMissingFile) as error:
        raise InputError(
            f"the OCIO config that $OCIO names ({os.environ['OCIO']}) can't be used: {error}",
            "Point $OCIO to a valid config, or unset it for the built-in ACES config.",
        ) from error


def _find(name: str) -> tuple[ocio.Config, str] | None:
    for config in _configs():
        space = config.getColorSpace(name) if name else None
        if space is not None:
            return config, space.getName()
    return None


@lru_cache(maxsize=16)
def _processor(space: str, forward: bool) -> ocio.CPUProcessor:
    found = _find(space)
    if found is None:
        raise KnobError(f"colour space {space!r} is not in the OCIO config", "")
    config, built_in = found[0], _configs()[1]
    ends = (config, space, built_in, LINEAR) if forward else (built_in, LINEAR, config, space)
    processor = ocio.Config.GetProcessorFromConfigs(*ends)
    return processor.getOptimizedCPUProcessor(
        ocio.BIT_DEPTH_F32, ocio.BIT_DEPTH_F32, ocio.OPTIMIZATION_LOSSLESS
    )
