"""Grain: the plate's own noise stays on the new face, and where it can't, fresh noise like it.

A new face is free of grain, and the plate's is the best there is: it is kept wherever it can be
told from the performer's features. Grain has one energy over an area, known from the plate's quiet
skin, and is nearly as strong in colour as in luma; a feature stands out of it, mostly in luma. So
each place is weighed by how much of its energy the noise accounts for (Wiener), luma and colour
apart. Where features take grain away with them, fresh noise of the same deviation, spectrum and
channel correlation fills in for exactly the energy that went.

The noise is measured once, at the plate. `split` says how much of it the crop's resolution shows
and how much lies beyond; `regrain` then works on either part alike.

References
----------
Noise by signal level from flat patches: Foi, Trimeche, Katkovnik and Egiazarian, "Practical
Poissonian-Gaussian noise modeling and fitting for single-image raw data", IEEE TIP 17(10), 2008.
Averaged periodograms: Welch, IEEE Trans. Audio Electroacoustics 15(2), 1967. Energy by place:
Lee, "Digital image enhancement and noise filtering by use of local statistics", IEEE PAMI 2(2),
1980.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from semblance import kernels
from semblance.blend.product import product

__all__ = ["Grain", "Noise", "finest", "measure", "regrain", "split"]

Image = NDArray[np.float32]

_LEVELS = 64
"""Entries of the curve of deviation by signal level, over 0..1."""

_LEVEL_WIDTH = 0.05
"""Deviation, in working codes, of the kernel that a level's patches are averaged with."""

_EXCESS = 0.25
"""Energy over its neighbours', as a logarithm, from which a patch is less and less trusted."""

_ROUNDS = 4
"""Steps in which the patches' trust settles."""

_PATCHES = 12
"""Quiet patches of 32 pixels that the noise of a quarter of the signal levels is measured in."""

_TILE = 128
"""Side of the tile of fresh noise, in pixels."""

_CELL = 4
"""Pixels, each way, that share a weight."""

_WINDOW = 0.75
"""Deviation, in cells, of the window in which energy is compared: 3 pixels."""

_TOLERANCE = 2.5
"""Energy over the noise's that may still be noise: its own spread within a window."""

_FINEST = 4.0
"""Deviation, in pixels of the plate, of the blur that `finest` takes away: coarser than grain."""

_MASKED = 0.5
"""How much of the grain that leaves with a feature is made up. All of it costs likeness to a true
result (whose grain is the plate's own) and is not seen among the face's own detail."""

_AXES = np.array([[1, 1, 1], [1, -1, 0], [1, 1, -2]], np.float64)
_OPPONENT: Image = (_AXES / np.linalg.norm(_AXES, axis=1, keepdims=True)).astype(np.float32)
"""Luma and two colour differences, orthonormal."""


@dataclass(frozen=True)
class Noise:
    """The noise of a picture.

    Parameters
    ----------
    deviation : (k, 3) float32 array
        Standard deviation of each channel, in working codes, at k signal levels of that channel
        from 0 to 1 in equal steps; beyond them it stays.
    spectrum : (s, s, 3) float32 array
        Power by frequency in FFT order, cycles per s pixels; its mean over all frequencies is 1.
    correlation : (3, 3) float32 array
        Between channels.
    """

    deviation: Image
    spectrum: Image
    correlation: Image


def measure(working: Image, weights: Image) -> Noise:
    """Measure the noise of a plate in the quietest patches of a face.

    Parameters
    ----------
    working : (h, w, 3) float32 array
        The plate over the face's window, working encoding, finite; values beyond 0..1 allowed.
    weights : (h, w) float32 array
        0..1, where the face is. Patches elsewhere count only if the face holds too few.

    Returns
    -------
    Noise
        Of no deviation where the window is smaller than a patch.

    Notes
    -----
    A patch is quiet where the gradient of its low-pass is least among patches of about its level,
    so that shadows do not choose for highlights nor noise for itself. It loses its best quadratic
    surface before its energy is taken, and the energy that grain loses by that is put back.
    """
    side = 32 if min(working.shape[:2]) >= 512 else 16
    patches, quiet = _quiet_patches(working, weights, side)
    if patches.size == 0:
        nothing = np.zeros((_LEVELS, 3), np.float32)
        return Noise(nothing, np.ones((side, side, 3), np.float32), np.eye(3, dtype=np.float32))
    flat = _without_surface(patches, side)
    covariance = flat @ flat.transpose(0, 2, 1) / (side * side - 6)
    variance = np.maximum(covariance[:, (0, 1, 2), (0, 1, 2)], 1e-14)
    deviation = np.sqrt(variance)
    curve, trust = _by_level(patches.mean(axis=2), variance, quiet)
    pairs = covariance / (deviation[:, :, None] * deviation[:, None, :])
    correlation = np.tensordot(trust, pairs, axes=1)
    weighed = flat * (np.sqrt(trust)[:, None, None] / deviation[..., None])
    spectrum = _spectrum(np.asarray(weighed, np.float32), side)
    found = Noise(curve, spectrum, np.asarray(correlation, np.float32))
    return _scaled(found, _with_low_frequencies(spectrum))


@dataclass(frozen=True)
class Grain:
    """The plate's grain in one frame.

    Parameters
    ----------
    in_crop, beyond : Noise
        What of it the crop shows, by the crop's pixels, and what it does not, by the plate's.
    scale : float
        Plate pixels to a pixel of the crop.
    """

    in_crop: Noise
    beyond: Noise
    scale: float


def grain_of(shown: Image, weights: Image, scale: float) -> Grain:
    """Measure a plate's grain.

    Parameters
    ----------
    shown : (h, w, 3) float32 array
        The plate over the face's window, working encoding, 0..1.
    weights : (h, w) float32 array
        0..1, where the face is.
    scale : float
        Plate pixels to a pixel of the crop; > 0.
    """
    return Grain(*split(measure(shown, weights), scale), scale)


def split(noise: Noise, scale: float) -> tuple[Noise, Noise]:
    """Part a plate's noise into what a crop shows of it and what lies beyond its resolution.

    Parameters
    ----------
    noise : Noise
        Measured at the plate.
    scale : float
        Plate pixels to a pixel of the crop; > 0.

    Returns
    -------
    Noise, Noise
        In the crop's `finest` detail, by the crop's own pixels; and at the plate, less what the
        crop shows.

    Notes
    -----
    The crop's low-pass is `align.resample`'s: where there are fewer pixels a Gaussian of
    0.55·√(scale² − 1) of the plate's, and a bicubic sampling; and the same on the way back.
    """
    frequency = _frequencies(noise.spectrum.shape[0])
    radius = np.hypot(frequency[:, None], frequency[None, :])
    shown = _shown(radius, scale) * _shown(radius * scale, 1.0 / scale)
    beyond = noise.spectrum * ((1.0 - shown) ** 2)[..., None]
    # A frequency of the crop is `scale` times finer at the plate; past the plate's there is none.
    at = frequency / scale
    seen = _sampled(noise.spectrum, at) * (_shown(radius / scale, scale) ** 2)[..., None]
    inside = np.abs(at) <= 0.5
    left = 1.0 - np.exp(-2.0 * np.pi**2 * (_FINEST / scale * radius) ** 2)
    seen = seen * (left**2 * (inside[:, None] & inside[None, :]))[..., None] / scale**2
    return _scaled(noise, seen), _scaled(noise, beyond)


def finest(crop: Image, scale: float) -> Image:
    """Return a crop's detail of up to a few plate pixels, in which its grain is.

    Parameters
    ----------
    crop : (n, n, 3) float32 array
        What the crop holds and the network did not draw: crop − own, or crop − face for a network
        without a picture of its own. What is coarser is the network's error, and no grain.
    scale : float
        Plate pixels to a pixel of the crop; > 0.

    Returns
    -------
    (n, n, 3) float32 array
    """
    return np.asarray(cv2.subtract(crop, _coarse(crop, _FINEST / scale)), np.float32)


def regrain(
    detail: Image,
    level: Image,
    where: Image,
    noise: Noise,
    frame: int,
    amount: float,
    *,
    less: Image | None = None,
    seed: int = 0,
) -> Image:
    """Return the plate's grain, to be laid over a smooth new face.

    Take it once for the canonical square (detail = `finest` of crop − own, the noise's share in the
    crop) and once for the plate (detail = plate, less the crop laid back; the share beyond).

    Parameters
    ----------
    detail : (h, w, 3) float32 array
        Grain and the performer's finest features together, working encoding.
    level : (h, w, 3) float32 array
        The picture that `detail` belongs to: its signal level says how strong the noise is.
    where : (h, w) float32 array
        0..1, how much of the face's own detail the new face lacks.
    noise : Noise
        Of `detail`.
    frame : int
        Frame number: fresh grain is the same for the same frame and seed, and new in the next.
    amount : float
        0..1: grain of the face, as a share of the plate's. At 0 the face is smooth.
    less : (h, w, 4) float32 array, optional
        Is taken away from `detail`; its fourth channel does not count.
    seed : int
        Another seed, another grain: one for each of the two calls.

    Returns
    -------
    (h, w, 3) float32 array
        Working encoding; exactly 0 where `where` is 0 around.

    Notes
    -----
    With e the energy of the detail around and n the noise's, w = min(1, 2.5 n / e) of the detail
    is kept; what is missing, max(0, min(n, e) − w² e), is made up by half with fresh noise. It is
    missing among features alone, where the face's own detail masks the rest; flat skin keeps the
    plate's grain. A clipped highlight, which has none, gets none.
    """
    cells = np.empty((*(-(-side // _CELL) for side in detail.shape[:2]), 3), np.float32)
    kernels.grain_energy(detail, less, _OPPONENT, cells)
    energy = cv2.GaussianBlur(cells, (0, 0), _WINDOW) + np.float32(1e-12)
    expected = _expected(noise, _thinned(level))
    weight = np.minimum(_TOLERANCE * expected / energy, 1.0)
    missing = np.maximum(np.minimum(expected, energy) - weight * weight * energy, 0.0)
    share = np.float32(amount) * _thinned(where)[..., None]
    kept = np.asarray(share * weight, np.float32)
    fresh = np.asarray(share * np.sqrt(_MASKED * missing), np.float32)
    tile, starts = _tile(noise, detail.shape[:2], frame, seed)
    field = np.empty(detail.shape, np.float32)
    kernels.grain_field(
        detail, less, _OPPONENT, kept, fresh, _opponent_tile(noise, tile), starts, field
    )
    return field


def _coarse(picture: Image, sigma: float) -> Image:
    """Blur; a wide blur of half the picture, where it costs an eighth."""
    height, width = picture.shape[:2]
    if sigma < 3.0 or min(height, width) < 2:
        return np.asarray(cv2.GaussianBlur(picture, (0, 0), sigma), np.float32)
    half = cv2.resize(picture, (width // 2, height // 2), interpolation=cv2.INTER_AREA)
    half = _coarse(np.asarray(half, np.float32), sigma / 2.0)
    return np.asarray(cv2.resize(half, (width, height)), np.float32)


def _quiet_patches(working: Image, weights: Image, side: int) -> tuple[Image, Image]:
    """Return (k, 3, side²) patches of the face, the quietest of each quarter of its levels.

    With (k,) weights in 0..1: how quiet they are among each other.
    """
    height, width = working.shape[:2]
    if height < side or width < side:
        return np.empty((0, 3, side * side), np.float32), np.empty(0, np.float32)
    level = cv2.transform(_cells(working), np.full((1, 3), 1.0 / 3.0))
    smooth = cv2.GaussianBlur(level, (0, 0), 1.0)
    across, down = cv2.Sobel(smooth, -1, 1, 0), cv2.Sobel(smooth, -1, 0, 1)
    step, span = side // (2 * _CELL), (side // _CELL, side // _CELL)
    rows, columns = (height - side) // _CELL + 1, (width - side) // _CELL + 1
    slope, inside, level = (
        np.asarray(cv2.blur(picture, span, anchor=(0, 0))[:rows:step, :columns:step], np.float32)
        for picture in (across * across + down * down, _thinned(weights), level)
    )
    clipped = (level < 0.005) | (level > 0.95)
    usable = ~clipped & (inside > 0.9)
    if usable.sum() < 8:
        usable = ~clipped
    if not usable.any():
        return np.empty((0, 3, side * side), np.float32), np.empty(0, np.float32)
    y, x = np.nonzero(usable)
    by_level = np.argsort(level[y, x], kind="stable")
    wanted = _PATCHES * 32 // side
    chosen = [
        # The quieter half of what there is, and no more than are needed.
        part[
            np.argsort(slope[y[part], x[part]], kind="stable")[: min(wanted, (part.size + 1) // 2)]
        ]
        for part in np.array_split(by_level, 4)
    ]
    taken = np.concatenate(chosen)
    corners = zip(y[taken] * step * _CELL, x[taken] * step * _CELL, strict=True)
    patches = np.empty((taken.size, 3, side, side), np.float32)
    for patch, (top, left) in zip(patches, corners, strict=True):
        patch[...] = working[top : top + side, left : left + side].transpose(2, 0, 1)
    rough = slope[y[taken], x[taken]]
    quiet = 1.0 / (1.0 + (rough / (np.median(rough) + 1e-12)) ** 2)
    return patches.reshape(-1, 3, side * side), np.asarray(quiet, np.float32)


def _without_surface(patches: Image, side: int) -> Image:
    """Take the best quadratic surface out of each patch."""
    y, x = (np.mgrid[:side, :side].reshape(2, -1) - (side - 1) / 2) / side
    surface = np.linalg.qr(np.stack([np.ones_like(x), x, y, x * x, x * y, y * y], axis=1))[0]
    surface = surface.astype(np.float32)
    lines = patches.reshape(-1, side * side)
    rest = lines - product(product(lines, surface), surface.T)
    return np.asarray(rest.reshape(patches.shape), np.float32)


def _spectrum(flat: Image, side: int) -> Image:
    """Return the mean periodogram of (k, 3, side²) patches as (side, side, 3), of mean 1."""
    windowed = flat.reshape(-1, 3, side, side) * cv2.createHanningWindow((side, side), cv2.CV_32F)
    power = np.zeros((3, side, side, 2), np.float32)
    for patch in windowed:
        for channel, plane in zip(power, patch, strict=True):
            bins = cv2.dft(plane, flags=cv2.DFT_COMPLEX_OUTPUT)
            channel += cv2.multiply(bins, bins)
    spectrum = np.moveaxis(power.sum(axis=-1), 0, -1)
    return np.asarray(spectrum / np.maximum(spectrum.mean(axis=(0, 1)), 1e-20), np.float32)


def _with_low_frequencies(spectrum: Image) -> Image:
    """Carry a spectrum on to the lowest frequencies, which left with the surface.

    By a Gaussian through the two rings outside of them: the spectrum of an optical blur.
    """
    line = np.fft.fftfreq(len(spectrum), 1.0 / len(spectrum))
    radius = np.hypot(line[:, None], line[None, :])
    near = spectrum[(radius >= 2.0) & (radius < 3.5)].mean(axis=0)
    far = spectrum[(radius >= 3.5) & (radius < 5.0)].mean(axis=0)
    rise = np.clip(near / np.maximum(far, 1e-12), 1.0, 3.0) ** 0.6
    return np.where((radius < 2.0)[..., None], near * rise, spectrum)


def _by_level(level: Image, variance: Image, quiet: Image) -> tuple[Image, Image]:
    """Return deviations at levels from 0 to 1, the geometric mean of the patches nearby.

    With how far each patch is trusted, which sums to 1: one that has more energy than its
    neighbours holds a feature.
    """
    at = np.linspace(0.0, 1.0, _LEVELS)[:, None, None]
    away = ((at - level) / _LEVEL_WIDTH) ** 2
    # Its long tail lets quiet patches of other levels outvote rough ones, and fills in for none.
    kernel = np.exp(-0.5 * away) + 0.05 / (1.0 + away)
    energy = np.log(variance)
    index = np.clip(level * (_LEVELS - 1) + 0.5, 0, _LEVELS - 1).astype(np.intp)
    trust = quiet
    for _ in range(_ROUNDS):
        weighed = kernel * trust[:, None]
        curve = (weighed * energy).sum(axis=1) / weighed.sum(axis=1)
        excess = (energy - np.take_along_axis(curve, index, axis=0)).mean(axis=1)
        trust = quiet / (1.0 + (np.maximum(excess, 0.0) / _EXCESS) ** 2)
    return np.asarray(np.exp(0.5 * curve), np.float32), np.asarray(trust / trust.sum(), np.float32)


def _shown(radius: NDArray[np.float64], scale: float) -> NDArray[np.float64]:
    """Return what sampling every `scale` pixels leaves of frequencies, in cycles per pixel."""
    variance = 0.55**2 * max(scale * scale - 1.0, 0.0)
    blur = np.exp(-2.0 * np.pi**2 * variance * radius**2)
    return np.asarray(blur * _bicubic(radius) * (radius * scale <= 0.5), np.float64)


def _bicubic(frequency: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the gain of cubic convolution, over all phases: Keys 1981, with OpenCV's a = −0.75."""
    f = np.maximum(frequency, 1e-3)
    smooth = 3.0 * (np.sinc(f) ** 2 - np.sinc(2.0 * f))
    sharp = -1.5 * (3.0 * np.sinc(2.0 * f) ** 2 - 2.0 * np.sinc(2.0 * f) - np.sinc(4.0 * f))
    return np.asarray((smooth + sharp) / (np.pi * f) ** 2)


def _frequencies(side: int) -> NDArray[np.float64]:
    """Return the frequencies of a transform, in cycles per pixel, in its order."""
    return np.asarray(np.fft.fftfreq(side), np.float64)


def _sampled(spectrum: Image, frequency: NDArray[np.float64]) -> Image:
    """Read a spectrum at other frequencies (cycles per pixel), the same on both axes."""
    side = spectrum.shape[0]
    place = (frequency % 1.0) * side
    low = np.floor(place)
    reading = np.zeros((frequency.size, side), np.float32)
    each = np.arange(frequency.size)
    reading[each, low.astype(int) % side] = 1.0 - (place - low)
    reading[each, (low.astype(int) + 1) % side] = place - low
    planes = (product(product(reading, spectrum[..., i]), reading.T) for i in range(3))
    return np.stack(list(planes), axis=-1)


def _scaled(noise: Noise, spectrum: NDArray[np.floating]) -> Noise:
    """Return the noise with another spectrum, whose mean says how its energy changed."""
    energy = spectrum.mean(axis=(0, 1))
    return Noise(
        np.asarray(noise.deviation * np.sqrt(energy), np.float32),
        np.asarray(spectrum / np.maximum(energy, 1e-12), np.float32),
        noise.correlation,
    )


def _tile(
    noise: Noise, shape: tuple[int, int], frame: int, seed: int
) -> tuple[Image, NDArray[np.int64]]:
    """Return a tile of unit noise, twice each way, and where in it each block of `shape` starts.

    A tile that repeats is seen to; its copies start somewhere else each.
    """
    random = np.random.default_rng((seed & 0xFFFFFFFF, frame & 0xFFFFFFFF))
    white = random.standard_normal((3, _TILE, _TILE), dtype=np.float32)
    amplitude = np.sqrt(_sampled(noise.spectrum, _frequencies(_TILE)))
    planes = [_filtered(white[i], amplitude[..., i]) for i in range(3)]
    tile = cv2.transform(cv2.merge(planes), _root(noise.correlation))
    tile = cv2.copyMakeBorder(tile, 0, _TILE, 0, _TILE, cv2.BORDER_WRAP)
    blocks = tuple(-(-side // _TILE) for side in shape)
    return np.asarray(tile, np.float32), random.integers(_TILE, size=(*blocks, 2))


def _opponent_tile(noise: Noise, tile: Image) -> Image:
    """Return a tile in luma and two colour differences, each of unit deviation."""
    mean = noise.deviation.mean(axis=0) + 1e-9
    matrix = _OPPONENT * mean
    energy = np.einsum("ki,ij,kj->k", matrix, noise.correlation, matrix)
    return np.asarray(
        cv2.transform(tile, matrix / np.sqrt(np.maximum(energy, 1e-18))[:, None]), np.float32
    )


def _filtered(plane: Image, amplitude: Image) -> Image:
    bins = cv2.dft(plane, flags=cv2.DFT_COMPLEX_OUTPUT)
    bins = cv2.multiply(bins, cv2.merge([amplitude, amplitude]), dst=bins)
    return np.asarray(cv2.idft(bins, flags=cv2.DFT_SCALE | cv2.DFT_REAL_OUTPUT), np.float32)


def _root(correlation: Image) -> Image:
    """Return the symmetric square root of a correlation matrix."""
    values, vectors = np.linalg.eigh(correlation.astype(np.float64))
    return np.asarray((vectors * np.sqrt(np.maximum(values, 0.0))) @ vectors.T, np.float32)


def _expected(noise: Noise, level: Image) -> Image:
    """Return the noise's energy in luma and in the two colour differences, at each place."""
    last = len(noise.deviation) - 1
    index = np.clip(level * last + 0.5, 0, last).astype(np.intp)
    red, green, blue = (noise.deviation[:, i].take(index[..., i]) for i in range(3))
    terms = np.stack(
        [red * red, green * green, blue * blue, red * green, red * blue, green * blue], axis=-1
    )
    pairs = [(0, 0), (1, 1), (2, 2), (0, 1), (0, 2), (1, 2)]
    mixing = [
        (1 if i == j else 2) * noise.correlation[i, j] * _OPPONENT[:, i] * _OPPONENT[:, j]
        for i, j in pairs
    ]
    return np.asarray(np.maximum(cv2.transform(terms, np.stack(mixing, axis=1)), 0.0), np.float32)


def _cells(picture: Image) -> Image:
    """Average a picture over cells; those at the right and below may be smaller."""
    height, width = picture.shape[:2]
    rows, columns = -(-height // _CELL), -(-width // _CELL)
    cells = np.empty((rows, columns, *picture.shape[2:]), np.float32)
    full, whole = height // _CELL * _CELL, width // _CELL * _CELL
    for top, bottom in ((0, full), (full, height)):
        for left, right in ((0, whole), (whole, width)):
            if top < bottom and left < right:
                size = (-(-(right - left) // _CELL), -(-(bottom - top) // _CELL))
                j, i = left // _CELL, top // _CELL
                cells[i : i + size[1], j : j + size[0]] = cv2.resize(
                    picture[top:bottom, left:right], size, interpolation=cv2.INTER_AREA
                )
    return cells


def _thinned(picture: Image) -> Image:
    """Return a smooth picture at the cells' size, from a few pixels of each."""
    rows, columns = (-(-side // _CELL) for side in picture.shape[:2])
    return np.asarray(cv2.resize(picture, (columns, rows)), np.float32)
