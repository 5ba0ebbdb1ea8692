"""The canonical frame: where a face lies when the network looks at it, and the way there and back.

The canonical square is [0, 1] × [0, 1], y down, 18.5 cm of a head seen from the front. A crop of
R × R pixels samples it at ((i + 0.5) / R, (j + 0.5) / R). Plate coordinates are pixels of the
display window with pixel centres at +0.5, y down; pixel aspect is folded into the matrices, so the
canonical frame is always square.

References
----------
Least-squares similarity: Umeyama, "Least-squares estimation of transformation parameters between
two point patterns", IEEE PAMI 13(4), 1991, section III. Unlike a robust (RANSAC) fit it is a smooth
function of the landmarks, so the crop can't jump between frames.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray

from semblance import kernels
from semblance.plate import Window

__all__ = [
    "ANCHORS",
    "TEMPLATE",
    "TEMPLATE_NAME",
    "bounds",
    "chain",
    "covered",
    "cropping",
    "fit",
    "invert",
    "laying",
    "nudge",
    "resample",
    "similarity",
    "to_crop",
    "to_plate",
    "transform",
]

Affine: TypeAlias = NDArray[np.float64]
"""A 2 × 3 affine matrix that maps column points (x, y, 1)."""
Landmarks: TypeAlias = NDArray[np.float64]
"""68 × 2 points in iBUG order."""

TEMPLATE_NAME = "semblance-1"
"""Names the template below in model manifests, facesets and tracks; a new template, a new name."""

TEMPLATE: Landmarks = np.array(
    [
        [0.1020, 0.2912],
        [0.1067, 0.4094],
        [0.1250, 0.5149],
        [0.1456, 0.6173],
        [0.1906, 0.7325],
        [0.2674, 0.8255],
        [0.3351, 0.8636],
        [0.4169, 0.8823],
        [0.5000, 0.8990],
        [0.5831, 0.8823],
        [0.6649, 0.8636],
        [0.7326, 0.8255],
        [0.8094, 0.7325],
        [0.8544, 0.6173],
        [0.8750, 0.5149],
        [0.8933, 0.4094],
        [0.8980, 0.2912],
        [0.1857, 0.2089],
        [0.2334, 0.1669],
        [0.2950, 0.1518],
        [0.3695, 0.1553],
        [0.4367, 0.1706],
        [0.5633, 0.1706],
        [0.6305, 0.1553],
        [0.7050, 0.1518],
        [0.7666, 0.1669],
        [0.8143, 0.2089],
        [0.5000, 0.2877],
        [0.5000, 0.3476],
        [0.5000, 0.4028],
        [0.5000, 0.4680],
        [0.4323, 0.5518],
        [0.4674, 0.5515],
        [0.5000, 0.5550],
        [0.5326, 0.5515],
        [0.5677, 0.5518],
        [0.2590, 0.3044],
        [0.2909, 0.2805],
        [0.3497, 0.2772],
        [0.4003, 0.3142],
        [0.3525, 0.3232],
        [0.2916, 0.3239],
        [0.5997, 0.3142],
        [0.6503, 0.2772],
        [0.7091, 0.2805],
        [0.7410, 0.3044],
        [0.7084, 0.3239],
        [0.6475, 0.3232],
        [0.3630, 0.6802],
        [0.4080, 0.6401],
        [0.4606, 0.6209],
        [0.5000, 0.6241],
        [0.5394, 0.6209],
        [0.5920, 0.6401],
        [0.6370, 0.6802],
        [0.5973, 0.7092],
        [0.5559, 0.7225],
        [0.5000, 0.7265],
        [0.4441, 0.7225],
        [0.4027, 0.7092],
        [0.3806, 0.6786],
        [0.4461, 0.6682],
        [0.5000, 0.6696],
        [0.5539, 0.6682],
        [0.6194, 0.6786],
        [0.5578, 0.6726],
        [0.5000, 0.6737],
        [0.4422, 0.6726],
    ],
    dtype=np.float64,
)
"""The 68 landmarks of a frontal, neutral mean head in the canonical square, mirror-symmetric."""

ANCHORS = np.array([*range(17, 48), 48, 51, 54, 57])
"""Landmarks that hold the frame: brows, nose, eyes and four points of the mouth. The jaw is left
out: it moves with speech, and its points slide along the silhouette when the head turns."""


def fit(landmarks: NDArray[np.floating], pixel_aspect: float = 1.0) -> Affine:
    """Return the similarity that carries plate pixels into the canonical square.

    Parameters
    ----------
    landmarks : (68, 2) array
        Plate pixels, iBUG order, pixel centres at +0.5, y down.
    pixel_aspect : float
        Width of a plate pixel over its height; > 0.

    Returns
    -------
    (2, 3) float64 array
        Maps plate pixels to canonical units; a rotation, one scale and a shift in square pixels.

    References
    ----------
    Umeyama 1991, equations (40) to (42), without reflection.
    """
    matrix = similarity(
        np.asarray(landmarks, np.float64)[ANCHORS] * (pixel_aspect, 1.0), TEMPLATE[ANCHORS]
    )
    matrix[:, 0] *= pixel_aspect
    return matrix


def similarity(source: NDArray[np.float64], target: NDArray[np.float64]) -> Affine:
    """Return the similarity that carries points nearest to others, in the least-squares sense.

    Parameters
    ----------
    source, target : (n, 2) float64 array
        Points that belong together; square units.

    Returns
    -------
    (2, 3) float64 array
        Maps the one to the other: a rotation, one scale and a shift, never a reflection.

    References
    ----------
    Umeyama 1991, equations (40) to (42).
    """
    source_mean, target_mean = source.mean(0), target.mean(0)
    s, t = source - source_mean, target - target_mean
    # In two dimensions the SVD has a closed form: the best rotation is the angle of the sum of
    # conj(s)·t over points taken as complex numbers, and the best scale is its length.
    product = np.vdot(s[:, 0] + 1j * s[:, 1], t[:, 0] + 1j * t[:, 1]) / (s**2).sum()
    rotation = np.array([[product.real, -product.imag], [product.imag, product.real]])
    return np.column_stack([rotation, target_mean - rotation @ source_mean])


def invert(matrix: Affine) -> Affine:
    """Return the inverse of a 2 × 3 affine matrix."""
    inverse = np.linalg.inv(matrix[:, :2])
    return np.column_stack([inverse, -inverse @ matrix[:, 2]])


def nudge(x: float, y: float, degrees: float, scale: float) -> Affine:
    """Return a small similarity about the middle of the canonical square.

    Parameters
    ----------
    x, y : float
        Shift, canonical units.
    degrees : float
        Turn, clockwise as seen.
    scale : float
        Factor of size.

    Returns
    -------
    (2, 3) float64 array
        Maps canonical units to canonical units.
    """
    angle = np.radians(degrees)
    turn = scale * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    middle = np.array([0.5, 0.5])
    return np.column_stack([turn, middle - turn @ middle + (x, y)])


def chain(first: Affine, second: Affine) -> Affine:
    """Return the affine matrix that does `first` and then `second`."""
    return np.column_stack(
        [second[:, :2] @ first[:, :2], second[:, :2] @ first[:, 2] + second[:, 2]]
    )


def transform(points: NDArray[np.floating], matrix: Affine) -> NDArray[np.float64]:
    """Carry (n, 2) points through a 2 × 3 affine matrix."""
    return np.asarray(points, np.float64) @ matrix[:, :2].T + matrix[:, 2]


def bounds(matrix: Affine, within: Window) -> Window:
    """Return the plate window that the canonical square covers, clipped to `within`.

    Parameters
    ----------
    matrix : (2, 3) array
        Plate pixels to canonical units, as from `fit`.
    within : Window
        The pixels there are (the plate's data window).

    Returns
    -------
    Window
        May be empty when the face lies outside.
    """
    return covered(matrix, (0.0, 0.0), (1.0, 1.0)).intersection(within)


def covered(matrix: Affine, low: tuple[float, float], high: tuple[float, float]) -> Window:
    """Return the plate window that holds a rectangle of the canonical square.

    Parameters
    ----------
    matrix : (2, 3) array
        Plate pixels to canonical units.
    low, high : (float, float)
        Two opposite corners, canonical units.
    """
    corners = np.array([low, (high[0], low[1]), high, (low[0], high[1])], np.float64)
    there = transform(corners, invert(matrix))
    first, last = np.floor(there.min(0)), np.ceil(there.max(0))
    return Window(int(first[0]), int(first[1]), int(last[0]), int(last[1]))


def to_crop(
    pixels: NDArray[np.float32], window: Window, matrix: Affine, size: int
) -> NDArray[np.float32]:
    """Sample the canonical square from plate pixels, prefiltered for the change of scale.

    Parameters
    ----------
    pixels : (h, w, c) or (h, w) float32 array
        Plate pixels of `window`, in any encoding; past the border the nearest pixel is repeated.
    window : Window
        Where `pixels` lie in the plate.
    matrix : (2, 3) array
        Plate pixels to canonical units.
    size : int
        Side of the crop in pixels.

    Returns
    -------
    (size, size, c) or (size, size) float32 array
    """
    return cropping(pixels, window, matrix, size)(matrix)


def cropping(
    pixels: NDArray[np.float32], window: Window, matrix: Affine, size: int
) -> Callable[[Affine], NDArray[np.float32]]:
    """Return what samples a canonical square from plate pixels: `to_crop`, prefiltered once.

    Parameters
    ----------
    pixels, window, matrix, size
        As `to_crop` takes them. The matrices that the result is called with may differ from this
        one by a nudge: the prefilter is this one's.
    """

    def placed(by: Affine) -> Affine:
        whole = by.copy()
        whole[:, 2] += by[:, :2] @ (window.x0, window.y0)
        return whole * size

    prepared, own, flags = _prepared(pixels, placed(matrix), cv2.BORDER_REPLICATE)
    doubled = np.linalg.norm(own[:, :2]) / np.linalg.norm(placed(matrix)[:, :2])

    def crop(by: Affine) -> NDArray[np.float32]:
        there = placed(by)
        there[:, :2] *= doubled
        return _warped(prepared, there, (size, size), flags, cv2.BORDER_REPLICATE, 0.0)

    return crop


def to_plate(
    crop: NDArray[np.float32], matrix: Affine, window: Window, *, outside: float | None = None
) -> NDArray[np.float32]:
    """Lay a canonical crop back over a window of the plate: the way back of `to_crop`.

    Parameters
    ----------
    crop : (n, n, c) or (n, n) float32 array
        A square crop of the canonical frame.
    matrix : (2, 3) array
        Plate pixels to canonical units.
    window : Window
        The part of the plate to fill.
    outside : float, optional
        Value beyond the canonical square; without it the crop's border is repeated.

    Returns
    -------
    (window.height, window.width, c) or (window.height, window.width) float32 array
    """
    return laying(crop, matrix, outside=outside)(window)


def laying(
    crop: NDArray[np.float32], matrix: Affine, *, outside: float | None = None
) -> Callable[[Window], NDArray[np.float32]]:
    """Return what lays a canonical crop over any window: `to_plate`, piece by piece.

    Parameters
    ----------
    crop, matrix, outside
        As `to_plate` takes them.
    """
    back = invert(matrix)
    back[:, :2] /= crop.shape[0]
    border = cv2.BORDER_REPLICATE if outside is None else cv2.BORDER_CONSTANT
    prepared, placed, flags = _prepared(crop, back, border)

    def lay(window: Window) -> NDArray[np.float32]:
        there = np.column_stack([placed[:, :2], placed[:, 2] - (window.x0, window.y0)])
        shape = (window.height, window.width)
        return _warped(prepared, there, shape, flags, border, outside or 0.0)

    return lay


def resample(
    image: NDArray[np.float32],
    matrix: Affine,
    shape: tuple[int, int],
    *,
    border: int,
    value: float = 0.0,
) -> NDArray[np.float32]:
    """Warp an image by an affine matrix, low-passed first where the result has fewer pixels.

    Parameters
    ----------
    image : (h, w, c) or (h, w) float32 array
        Pixel (i, j) has its centre at (j + 0.5, i + 0.5).
    matrix : (2, 3) array
        Source pixels to result pixels, both with centres at +0.5.
    shape : (int, int)
        Height and width of the result.
    border : int
        An OpenCV border mode for what lies past the source.
    value : float
        The constant of `cv2.BORDER_CONSTANT`.

    Returns
    -------
    (*shape, c) or shape, float32 array

    Notes
    -----
    With s source pixels to a result pixel the Gaussian has a deviation of 0.55·√(s² − 1) source
    pixels per axis: nothing at s = 1, and less than half the amplitude at the result's Nyquist
    limit beyond, so grain is averaged and not aliased. Sampling is bicubic (Keys, IEEE ASSP 29(6),
    1981, with OpenCV's a = −3/4). One channel or four that are enlarged are doubled so first
    and then sampled linearly, which differs by less than a hundredth of their contrast.
    """
    prepared, placed, flags = _prepared(image, matrix, border)
    return _warped(prepared, placed, shape, flags, border, value)


def _sampled(image: NDArray[np.float32], border: int) -> bool:
    """Return whether our own sampling serves: a picture's takes a third of OpenCV's time."""
    return image.ndim == 3 and image.shape[2] == 3 and border == cv2.BORDER_REPLICATE


def _prepared(
    image: NDArray[np.float32], matrix: Affine, border: int
) -> tuple[NDArray[np.float32], Affine, int]:
    """Filter or double an image for a warp; return it, its own matrix and how to sample it."""
    steps = np.linalg.norm(np.linalg.inv(matrix[:, :2]), axis=1)  # source pixels per result pixel
    sigma = 0.55 * np.sqrt(np.maximum(steps**2 - 1.0, 0.0))
    if sigma.max() > 0.2:
        x, y = np.maximum(sigma, 1e-3)
        # 2.6 deviations either way: what is farther weighs less than a hundredth.
        reach = (2 * round(2.6 * x) + 1, 2 * round(2.6 * y) + 1)
        blurred = cv2.GaussianBlur(image, reach, x, sigmaY=y, borderType=cv2.BORDER_REPLICATE)
        # Where the blur is wide there is nothing left that a bicubic would keep.
        flags = cv2.INTER_CUBIC if sigma.min() < 0.6 else cv2.INTER_LINEAR
        return np.asarray(blurred, np.float32), matrix, flags
    if steps.max() < 0.8 and not _sampled(image, border):
        double = cv2.resize(image, None, fx=2, fy=2, interpolation=cv2.INTER_CUBIC)
        halved = np.column_stack([matrix[:, :2] / 2.0, matrix[:, 2]])
        return np.asarray(double, np.float32), halved, cv2.INTER_LINEAR
    return image, matrix, cv2.INTER_CUBIC


def _warped(
    image: NDArray[np.float32],
    matrix: Affine,
    shape: tuple[int, int],
    flags: int,
    border: int,
    value: float,
) -> NDArray[np.float32]:
    if _sampled(image, border):
        sampled = np.empty((*shape, 3), np.float32)
        kernels.sample(np.ascontiguousarray(image), tuple(invert(matrix).ravel()), sampled)
        return sampled
    # OpenCV puts pixel centres at whole numbers.
    centred = np.column_stack(
        [matrix[:, :2], matrix[:, 2] + matrix[:, :2] @ (0.5, 0.5) - (0.5, 0.5)]
    )
    result = cv2.warpAffine(
        image,
        centred,
        (shape[1], shape[0]),
        flags=flags,
        borderMode=border,
        borderValue=(value,) * 4,
    )
    return np.asarray(result, np.float32)
