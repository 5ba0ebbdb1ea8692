"""Colour match: the new face takes the plate's colours, by their statistics inside the matte.

`measure` takes the statistics of a face and of the plate under it, `average` those of a few frames
around one, so that a correction is calm, and `matched` brings the face from the one to the other.

All of it happens in Oklab: equal steps look alike there, light and hue part, and its cube root has
a value for every light, so a highlight above 1 and a negative pixel go through and come back.

References
----------
Oklab: Ottosson, "A perceptual color space for image processing", 2020. Linear optimal transport:
Pitié and Kokaram, "The linear Monge-Kantorovitch linear colour mapping for example-based colour
transfer", CVMP 2007, section 3. Mean and spread: Reinhard et al., "Color transfer between images",
IEEE CG&A 21(5), 2001.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from semblance import colour, kernels
from semblance.knobs import MatchKnobs

__all__ = ["Moments", "average", "matched", "measure"]

Image = NDArray[np.float32]
Values = NDArray[np.float64]

_TO_CONES = np.array(
    [
        [0.4122214708, 0.5363325363, 0.0514459929],
        [0.2119034982, 0.6806995451, 0.1073969566],
        [0.0883024619, 0.2817188376, 0.6299787005],
    ]
)
"""Linear Rec.709 to Oklab's cone responses (Ottosson 2020)."""

_ROOTS_TO_OKLAB = np.array(
    [
        [0.2104542553, 0.7936177850, -0.0040720468],
        [1.9779984951, -2.4285922050, 0.4505937099],
        [0.0259040371, 0.7827717662, -0.8086757660],
    ]
)
"""Cube roots of the cone responses to Oklab (Ottosson 2020)."""

_OKLAB_TO_ROOTS = np.linalg.inv(_ROOTS_TO_OKLAB)

_CONES_TO_LIGHT = np.linalg.inv(_TO_CONES)

_SIDE = 128
"""Statistics are of a picture of about this side: finer is grain, which is not colour."""

_FEWEST = 16
"""Samples below which there are no statistics."""

_LEVELS = (np.arange(64) + 0.5) / 64.0
"""The quantiles. The outermost hundredth is left out: it is highlights and lashes."""

_BINS = 2048

_NOISE = 1e-8
"""Variance that any colour has, Oklab; keeps a flat face from a division by nothing."""

_LARGEST_GAIN = 4.0
"""Most that a spread grows or shrinks. A likeness from monochrome footage has hardly a spread of
hue; what it has is noise, and must not be blown up to the plate's."""

_SMOOTHING = 0.02
"""Deviation of a curve's smoothing, as a part of its range: steps between quantiles are chance."""

_NODES = 1024

_DARK = 0.15
"""Working code up to which a match fades in: what is near black has no colour to match."""


@dataclass(frozen=True)
class Moments:
    """The colours of a face in one frame, Oklab.

    Parameters
    ----------
    weight : float
        How much of the canonical square was measured, 0..1; what an average weighs a frame by.
    mean : (3,) float64 array
    covariance : (3, 3) float64 array
    quantiles : (64, 3) float64 array
        Of lightness, green to red and blue to yellow, each for itself, rising; at (i + 0.5) / 64.
    """

    weight: float
    mean: Values
    covariance: Values
    quantiles: Values


def measure(pixels: Image, weights: Image) -> Moments | None:
    """Return the statistics of a picture where it has weight.

    Parameters
    ----------
    pixels : (n, n, 3) float32 array
        Working encoding, any range. What lies where the weight is 0 may be anything, NaN too.
    weights : (n, n) float32 array
        0..1, as the canonical matte.

    Returns
    -------
    Moments or None
        None where hardly a pixel has weight.

    Notes
    -----
    The picture is averaged down to about 128 pixels a side first, and only cells count all of whose
    pixels have weight: nothing from outside is averaged in. So grain, which is the plate's and not
    a colour, hardly counts in the spread.
    """
    cells, shares = _cells(pixels, weights)
    chosen = np.flatnonzero(shares)
    if chosen.size < _FEWEST:
        return None
    colours = np.take(cells.reshape(-1, 3), chosen, axis=0)
    # Sums of einsum, unlike those of BLAS, are the same with any number of threads.
    cones = np.einsum("ij,nj->in", _TO_CONES, colour.decode(colours).astype(np.float64))
    oklab = np.einsum("ij,jn->in", _ROOTS_TO_OKLAB, np.cbrt(cones))
    share = np.take(shares, chosen).astype(np.float64)
    total = float(share.sum())
    mean = np.einsum("in,n->i", oklab, share) / total
    around = oklab - mean[:, None]
    step = max(pixels.shape[0] // _SIDE, 1)
    return Moments(
        weight=total * step**2 / weights.size,
        mean=mean,
        covariance=np.einsum("in,jn,n->ij", around, around, share) / total,
        quantiles=np.stack([_quantiles(values, share) for values in oklab], axis=-1),
    )


def average(moments: Sequence[Moments], weights: Sequence[float]) -> Moments:
    """Return the mean statistics of a few frames.

    With weights that are symmetric about a frame, as (1, 4, 6, 4, 1), a correction made of it is
    calm and has no lag. A frame also counts by how much of the face was seen in it. Spreads are the
    mean of the frames' own: that colours differ from frame to frame makes none of them wider.

    Parameters
    ----------
    moments : sequence of Moments
        At least one.
    weights : sequence of float
        As many; not negative, their sum positive.

    Returns
    -------
    Moments
    """
    shares = np.array(
        [frame.weight * weight for frame, weight in zip(moments, weights, strict=True)]
    )
    shares = shares / shares.sum()
    return Moments(
        weight=float(shares @ [frame.weight for frame in moments]),
        mean=np.tensordot(shares, [frame.mean for frame in moments], 1),
        covariance=np.tensordot(shares, [frame.covariance for frame in moments], 1),
        quantiles=np.tensordot(shares, [frame.quantiles for frame in moments], 1),
    )


def matched(
    face: Image, source: Moments, target: Moments, knobs: MatchKnobs, strength: float = 1.0
) -> Image:
    """Return a face with its colours brought from one set of statistics to another.

    Parameters
    ----------
    face : (h, w, 3) float32 array
        The square or any cut of it, working encoding, finite, any range; nothing is clamped.
    source, target : Moments
        Of the face and of the plate.
    knobs : MatchKnobs
        Mode and amount. The amount is how far along the straight line in Oklab a colour goes.
    strength : float
        0..1, how much of the way the result goes, in the working encoding. Near black, which has no
        colour to match, it goes less far.

    Returns
    -------
    (h, w, 3) float32 array
        Working encoding. With mode ``none`` or amount 0 the face itself; where source and target
        are equal the face within 1e-6.
    """
    mode, amount = knobs.colour_match, knobs.colour_amount
    if mode == "none" or amount == 0.0:
        return face
    nodes, low, nodes_per_unit = None, (0.0, 0.0, 0.0), (0.0, 0.0, 0.0)
    if mode == "histogram":
        curves = [_curve(source.quantiles[:, i], target.quantiles[:, i]) for i in range(3)]
        nodes = np.stack([curve.nodes for curve in curves])
        low = (curves[0].low, curves[1].low, curves[2].low)
        nodes_per_unit = tuple(curve.nodes_per_unit for curve in curves)  # type: ignore[assignment]
        step = np.column_stack([_OKLAB_TO_ROOTS, np.zeros(3)])
    else:
        step = _affine(source, target, mode)
    result = np.empty(face.shape, np.float32)
    kernels.match(
        np.ascontiguousarray(face, np.float32),
        result,
        _TO_CONES.astype(np.float32),
        _CONES_TO_LIGHT.astype(np.float32),
        _ROOTS_TO_OKLAB.astype(np.float32),
        (amount * step).astype(np.float32),
        nodes,
        low,
        nodes_per_unit,
        strength,
        _DARK,
    )
    return result


def _affine(source: Moments, target: Moments, mode: str) -> Values:
    """Return the step that a match makes of a colour, as a 3 × 4 matrix over cube roots."""
    noise = _NOISE * np.eye(3)
    before, after = source.covariance + noise, target.covariance + noise
    if mode == "linear":
        gain = _optimal_transport(before, after)
    else:
        spread = np.sqrt(np.diag(after) / np.diag(before))
        gain = np.diag(np.clip(spread, 1.0 / _LARGEST_GAIN, _LARGEST_GAIN))
    linear = _OKLAB_TO_ROOTS @ (gain - np.eye(3)) @ _ROOTS_TO_OKLAB
    shift = _OKLAB_TO_ROOTS @ (target.mean - gain @ source.mean)
    return np.column_stack([linear, shift])


def _optimal_transport(source: Values, target: Values) -> Values:
    """Return the linear map of one Gaussian onto another that moves colours least.

    Pitié and Kokaram 2007, equation (16), its gains held within reason.
    """
    values, vectors = np.linalg.eigh(source)
    root = vectors * np.sqrt(values) @ vectors.T
    inverse = vectors / np.sqrt(values) @ vectors.T
    values, vectors = np.linalg.eigh(root @ target @ root)
    middle = vectors * np.sqrt(np.maximum(values, 0.0)) @ vectors.T
    values, vectors = np.linalg.eigh(inverse @ middle @ inverse)
    held = np.clip(values, 1.0 / _LARGEST_GAIN, _LARGEST_GAIN)
    return np.asarray(vectors * held @ vectors.T, np.float64)


@dataclass(frozen=True)
class _Curve:
    """What one Oklab coordinate moves by: even nodes over a range, held beyond its ends."""

    low: float
    nodes_per_unit: float
    nodes: Image


def _curve(source: Values, target: Values) -> _Curve:
    """Return the monotone curve through quantiles, smoothed, carried on by its shift at the ends.

    Smoothing a rising curve by a positive kernel leaves it rising, so no two colours change order.
    """
    deviation = max(_SMOOTHING * float(source[-1] - source[0]), 1e-3)
    places = np.linspace(source[0] - 4.0 * deviation, source[-1] + 4.0 * deviation, _NODES)
    # Equal quantiles are kept a hair apart, as a curve has one value at a place.
    mapped = np.interp(places, source + 1e-12 * np.arange(source.size), target)
    steps = mapped - np.clip(places, source[0], source[-1])
    nodes_per_unit = 1.0 / float(places[1] - places[0])
    smooth = cv2.GaussianBlur(
        steps[None], (0, 0), deviation * nodes_per_unit, borderType=cv2.BORDER_REPLICATE
    )[0]
    return _Curve(float(places[0]), nodes_per_unit, np.asarray(smooth, np.float32))


def _cells(pixels: Image, weights: Image) -> tuple[Image, Image]:
    """Return the means of square cells, cut to where there is weight, and the cells' weights."""
    step = max(pixels.shape[0] // _SIDE, 1)
    if step == 1:
        return pixels, weights
    side = weights.shape[0] // step
    edge = side * step
    least = weights[:edge, :edge].reshape(side, step, edge).min(axis=1)
    least = np.minimum.reduce([least[:, offset::step] for offset in range(step)])
    rows, columns = _extent(least.any(axis=1)), _extent(least.any(axis=0))
    inside = least[rows, columns] > 0.0
    size = (inside.shape[1], inside.shape[0])
    box = tuple(slice(part.start * step, part.stop * step) for part in (rows, columns))
    if not inside.size:
        return pixels[:0, :0], weights[:0, :0]
    cells, shares = (
        np.asarray(cv2.resize(image[box], size, interpolation=cv2.INTER_AREA), np.float32)
        for image in (pixels, weights)
    )
    return cells, shares * inside


def _extent(any_inside: NDArray[np.bool_]) -> slice:
    """Return the slice from the first to the last that is true; empty where none is."""
    places = np.flatnonzero(any_inside)
    return slice(int(places[0]), int(places[-1]) + 1) if places.size else slice(0, 0)


def _quantiles(values: Values, weights: Values) -> Values:
    """Return weighted quantiles, from a histogram between the least and the largest value."""
    low, high = float(values.min()), float(values.max())
    width = max((high - low) / _BINS, 1e-12)
    # The largest value fills a bin of its own, and so its quantile is the end of the last.
    bins = ((values - low) * (1.0 / width)).astype(np.intp)
    below = np.concatenate([[0.0], np.cumsum(np.bincount(bins, weights, _BINS + 1))])
    places = np.minimum(low + width * np.arange(_BINS + 2), high)
    return np.asarray(np.interp(_LEVELS * below[-1], below, places), np.float64)
