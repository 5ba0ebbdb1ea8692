"""Detail: the new face is made as sharp, or as soft, as the plate is, in every direction.

How much sharper is a picture of the same thing than another? Between the network's own picture of
the performer and the plate lies the answer, frame by frame: what it softens that the plate shows,
or what the plate's defocus and shutter soften that it does not. The answer is a Gaussian with a
covariance of three figures: round for defocus, long for motion, of negative variance for what must
be sharpened. The same correction goes onto the new face.

References
----------
Averaged periodograms and cross-spectra of tapered tiles: Welch, IEEE Trans. Audio Electroacoustics
15(2), 1967; the transfer function as cross-spectrum over spectrum: Bendat and Piersol, "Random
Data", section 6.1.
"""

from __future__ import annotations

from functools import cache

import cv2
import numpy as np
from numpy.typing import NDArray

from semblance.blend.product import product

__all__ = ["match_detail", "softness"]

Image = NDArray[np.float32]

_TILE = 64
"""Side of the tiles in which spectra are taken, in pixels of the crop."""

_STEPS = 5
"""Tiles along a side of the crop, wherever the side is long enough."""

_BANDS = (0.045, 0.065, 0.09, 0.13, 0.18, 0.25, 0.35, 0.5)
"""Edges of the bands in cycles per pixel. Below the first there is light, and no sharpness."""

_SECTORS = 8
"""Directions told apart in each band, over half a turn."""

_SOFTEST = 6.0
"""Deviation of the widest blur that is taken over, in pixels of the crop."""

_ROUNDS = 8
"""Steps of the fit; it has settled after half as many."""

_SHARPEST = 1.2
"""Deviation of the blur that is undone at most, in pixels. The gain stays below 2 in any case."""


def match_detail(
    face: Image, crop: Image, own: Image | None, weights: Image, amount: float
) -> Image:
    """Bring the new face's sharpness to the plate's.

    Parameters
    ----------
    face : (n, n, 3) float32 array
        The new face, working encoding, any range.
    crop : (n, n, 3) float32 array
        The plate's crop, working encoding.
    own : (n, n, 3) float32 array or None
        The network's picture of the performer in this very frame. Without one the face itself is
        compared to the crop, by its energies alone.
    weights : (n, n) float32 array
        0..1, where the face is.
    amount : float
        0..1, how much of the difference is made up.

    Returns
    -------
    (n, n, 3) float32 array
        Not clamped. The face itself at amount 0 and where the two are equally sharp.
    """
    if amount == 0.0:
        return face
    covariance = amount * softness(crop, face if own is None else own, weights, own is not None)
    return face if not covariance.any() else _filtered(face, covariance)


def softness(
    plate: Image, reference: Image, weights: Image, same_picture: bool = True
) -> NDArray[np.float64]:
    """Return how much softer a plate is than a picture.

    Parameters
    ----------
    plate, reference : (n, n, 3) float32 array
        In one encoding; n of at least 64 (smaller pictures are equally sharp).
    weights : (n, n) float32 array
        0..1, where they are compared.
    same_picture : bool
        They show the same thing pixel by pixel, so that what they have in common can be told from
        noise and from errors. What the plate has beyond that is not sharpened for.

    Returns
    -------
    (2, 2) float64 array
        Covariance of the Gaussian, in pixels² over (x, y), that makes the reference as soft as the
        plate. A negative eigenvalue says that the plate is sharper in that direction.

    Notes
    -----
    Of each band and direction the gain of amplitude is taken, twice: what is common to both over
    the reference's spectrum, which the plate's noise does not reach, and the root of the energies'
    ratio, less the noise. What a network draws wrongly makes the former smaller and the latter
    larger. So the plate is sharper where the former says so, softer where the latter does, and else
    as sharp: the gain is max(former, min(1, latter)).
    """
    tiles = _tiles(weights)
    if not tiles:
        return np.zeros((2, 2))
    taper = cv2.createHanningWindow((_TILE, _TILE), cv2.CV_32F)
    windows = [taper * weights[at] for at in tiles]
    a, b = (_transformed(picture, tiles, windows) for picture in (plate, reference))
    powers = np.stack([x * u + y * v for (x, y), (u, v) in ((a, a), (b, b), (a, b))])
    areas = np.array([float((window * window).sum()) for window in windows])
    bins, tensors = _bins()
    energies = product(powers.reshape(-1, len(bins)), bins).reshape(3, len(tiles), -1)
    plates, references, commons = energies.astype(np.float64) / areas[:, None] + 1e-12
    # No one edge may decide: a tile counts for less, the more energy it has.
    total = references.sum(axis=1)
    share = areas / (total + total.mean())
    share /= share.sum()
    quiet = [np.quantile(energy, 0.25, axis=0) for energy in (plates, references)]
    energy_plate, energy, common = share @ plates, share @ references, share @ commons
    # What busy tiles have over quiet ones is not noise, of which both have the same.
    # A little of the whole, for a picture that is as busy everywhere.
    busy_plate, busy = (
        np.maximum(whole - least, 0.0) + 0.03 * whole
        for whole, least in zip((energy_plate, energy), quiet, strict=True)
    )
    ratio = np.sqrt(busy_plate / busy)
    if same_picture:
        coherence = np.clip(common**2 / (energy * energy_plate), 0.0, 1.0)
        gain = np.maximum(common / energy, np.minimum(ratio, 1.0))
        trust = coherence / (1.1 - coherence)
    else:
        gain = ratio
        trust = np.minimum(busy_plate / energy_plate, busy / energy)
    spectrum = product((share / areas)[None], powers[1])[0] + 1e-12
    terms = spectrum[:, None] * np.column_stack([tensors, np.ones_like(spectrum)])
    sums = product(bins.T, terms).astype(np.float64)
    tensor = sums[:, :3] / sums[:, 3:]
    return _fit(np.minimum(gain, 1.95), trust * bins.sum(axis=0), tensor)


def _fit(
    gain: NDArray[np.float64], trust: NDArray[np.float64], tensors: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return the covariance whose filter has these gains, by Gauss and Newton's least squares."""
    terms = -2.0 * np.pi**2 * tensors * (1.0, 1.0, 2.0)
    covariance = np.zeros((2, 2))
    for _ in range(_ROUNDS):
        (xx, xy), (_, yy) = covariance
        exponent = terms @ (xx, yy, xy)
        fall = np.exp(-np.abs(exponent))
        response = np.where(exponent > 0.0, 2.0 - fall, fall)
        slope = np.maximum(fall, 0.05)[:, None] * terms
        normal = (trust[:, None] * slope).T @ slope
        normal += 1e-6 * np.trace(normal) * np.eye(3) + 1e-12 * np.eye(3)
        step = np.linalg.solve(normal, slope.T @ (trust * (gain - response)))
        covariance = covariance + step[[[0, 2], [2, 1]]]
        values, vectors = np.linalg.eigh(covariance)
        values = np.clip(values, -(_SHARPEST**2), _SOFTEST**2)
        covariance = (vectors * values) @ vectors.T
    return np.asarray(covariance, np.float64)


def _tiles(weights: Image) -> list[tuple[slice, slice]]:
    """Return the tiles that show enough of the face; none of a picture smaller than a tile."""
    size = weights.shape[0]
    if size < _TILE:
        return []
    starts = np.linspace(0, size - _TILE, _STEPS if size > _TILE else 1).round().astype(int)
    lines = [slice(start, start + _TILE) for start in starts]
    every = [(rows, columns) for rows in lines for columns in lines]
    return [at for at in every if weights[at].mean() > 0.1]


def _transformed(
    picture: Image, tiles: list[tuple[slice, slice]], windows: list[Image]
) -> NDArray[np.float32]:
    """Return (2, k, frequencies): spectra of a picture's luma in tiles, over half the plane."""
    luma = cv2.transform(picture, np.full((1, 3), 1.0 / 3.0))
    spectra = np.empty((2, len(tiles), _TILE, _TILE // 2), np.float32)
    for i, (at, window) in enumerate(zip(tiles, windows, strict=True)):
        mean = np.vdot(window, luma[at]) / window.sum()
        bins = cv2.dft(window * (luma[at] - mean), flags=cv2.DFT_COMPLEX_OUTPUT)
        spectra[:, i] = np.moveaxis(bins[:, : _TILE // 2], 2, 0)
    return spectra.reshape(2, len(tiles), -1)


@cache
def _bins() -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return which frequency of half the plane is in which bin, and its fx², fy², fx·fy."""
    y, x = np.fft.fftfreq(_TILE)[:, None], np.arange(_TILE // 2)[None, :] / _TILE
    y, x = np.broadcast_arrays(y, x)
    band = np.digitize(np.hypot(x, y).ravel(), _BANDS) - 1
    # A sector's middle, and not its edge, lies on the axes.
    turn = np.arctan2(y, x).ravel() / np.pi * _SECTORS
    inside = (band >= 0) & (band < len(_BANDS) - 1)
    label = (band * _SECTORS + np.round(turn).astype(int) % _SECTORS)[inside]
    bins = np.zeros((band.size, (len(_BANDS) - 1) * _SECTORS), np.float32)
    bins[np.flatnonzero(inside), label] = 1.0
    tensors = np.stack([x * x, y * y, x * y], axis=-1).reshape(-1, 3).astype(np.float32)
    return bins[:, bins.any(axis=0)], tensors


def _filtered(face: Image, covariance: NDArray[np.float64]) -> Image:
    """Blur along the directions of positive variance, sharpen along those of negative."""
    kernel = _kernel(covariance)
    return np.asarray(cv2.filter2D(face, -1, kernel, borderType=cv2.BORDER_REFLECT_101), np.float32)


def _kernel(covariance: NDArray[np.float64]) -> Image:
    """Return the filter of a covariance, made from its gain, so that small blurs are exact too.

    The gain is exp(−2π² f·S·f) where it softens, and 2 − exp(−2π² f·T·f) where it sharpens, which
    undoes a blur to first order and stays below 2.
    """
    values, vectors = np.linalg.eigh(covariance)
    side = 2 * int(np.ceil(2.5 * np.sqrt(np.abs(values).max()))) + 3
    y, x = np.fft.fftfreq(side)[:, None], np.fft.fftfreq(side)[None, :]
    gains = []
    for part in (np.maximum(values, 0.0), np.maximum(-values, 0.0)):
        (xx, xy), (_, yy) = (vectors * part) @ vectors.T
        gains.append(np.exp(-2.0 * np.pi**2 * (xx * x * x + 2.0 * xy * x * y + yy * y * y)))
    softer, sharper = gains
    return np.fft.fftshift(np.fft.ifft2(softer * (2.0 - sharper)).real).astype(np.float32)
