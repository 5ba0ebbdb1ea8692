"""What passes in front of a face: hands, microphones, cups and the like, by a small network.

`look` says how likely each pixel of a canonical crop is such a thing; `held_out` makes of it the
weight that the matte keeps free of the new face. The network was trained on composed pictures
alone (`bench/occluder`).

References
----------
Ronneberger, Fischer & Brox (2015), "U-Net": the network's shape.
"""

from __future__ import annotations

import functools
from importlib import resources
from importlib.resources.abc import Traversable
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from semblance import runtime
from semblance.errors import EnvironmentFault

__all__ = ["SIZE", "held_out", "look", "planes"]

Image = NDArray[np.float32]

SIZE = 128
"""Side of the network's input and output, pixels."""

FILE = "occluder.onnx"

_LINE_BLUR = 1.5
"""Deviation of the blur of drawn landmarks, pixels of SIZE."""


def planes(crop: Image, landmarks: NDArray[np.floating]) -> Image:
    """Return what the network is given of a crop.

    Parameters
    ----------
    crop : (SIZE, SIZE, 3) float32 array
        Working encoding, RGB, 0..1.
    landmarks : (68, 2) array
        Canonical units, iBUG order.

    Returns
    -------
    (8, SIZE, SIZE) float32 array
        Red, green and blue; the same against the face's own mean, in its deviations (skin is near
        0 in any light); the convex hull of the landmarks, and eyes, brows, nose and mouth as lines.
    """
    points = np.clip(np.asarray(landmarks, np.float64), -1.0, 2.0) * SIZE - 0.5
    fixed = np.round(points * 16.0).astype(np.int32)
    out = np.zeros((8, SIZE, SIZE), np.float32)
    hull = np.zeros((SIZE, SIZE), np.uint8)
    cv2.fillConvexPoly(hull, cv2.convexHull(fixed)[:, 0], 255, cv2.LINE_AA, 4)
    mean, deviation = (v.ravel().astype(np.float32) for v in cv2.meanStdDev(crop, mask=hull))
    out[:3] = crop.transpose(2, 0, 1)
    out[3:6] = np.clip((out[:3] - mean[:, None, None]) / (deviation.mean() + 0.02), -4.0, 4.0)
    out[6] = hull * np.float32(1.0 / 255.0)
    for first, last, closed in _LINES:
        cv2.polylines(out[7], [fixed[first:last]], closed, 1.0, 2, cv2.LINE_AA, 4)
    for channel in out[6:]:
        cv2.GaussianBlur(channel, (0, 0), _LINE_BLUR, dst=channel)
    return out


_LINES = ((17, 22, False), (22, 27, False), (27, 31, False), (31, 36, False), (36, 42, True),
          (42, 48, True), (48, 60, True), (60, 68, True))  # fmt: skip
"""First and last point of each feature among the 68, and whether it is closed."""


def look(crop: Image, landmarks: NDArray[np.floating]) -> Image:
    """Return how likely each pixel of a crop lies in front of the face.

    Parameters
    ----------
    crop : (n, n, 3) float32 array
        The canonical square in the working encoding, RGB, 0..1; beyond it is clipped.
    landmarks : (68, 2) array
        Canonical units, iBUG order.

    Returns
    -------
    (n, n) float32 array
        0..1.

    Raises
    ------
    EnvironmentFault
        The network is missing from the package, or ONNX Runtime can't run it.
    """
    small = np.clip(_resized(np.asarray(crop, np.float32), SIZE), 0.0, 1.0)
    (answer,) = _session().run(None, {"crop": planes(small, landmarks)[None]})
    return _resized(np.asarray(answer[0, 0], np.float32), crop.shape[0])


def held_out(probability: Image, amount: float) -> Image:
    """Return the weight of what is kept free of the new face.

    What is surely in front is held out, and from there on what is less sure, as far as it hangs
    together (a hysteresis, as in Canny's edges): the dim side of a thing goes with its bright one,
    and a doubtful spot on an open face is left alone. About 0.7 % of the crop around it is held
    out as well: lens and motion blur an edge, and a fringe of new face on a hand is seen at once.

    Parameters
    ----------
    probability : (n, n) float32 array
        0..1, as from `look`.
    amount : float
        0..1; 0 holds out nothing, 0.5 what is more than 0.8 likely and what of 0.05 on hangs on to
        it, 1 the same from 0.6 and 0.02 on. No pixel's weight falls when the amount rises.

    Returns
    -------
    (n, n) float32 array
        0..1; soft at its border, 0 from 1.4 % of the crop on beyond what was found.

    References
    ----------
    Canny (1986), IEEE PAMI 8(6), section V, for the hysteresis; Vincent (1993), "Morphological
    grayscale reconstruction", IEEE TIP 2(2), for its form without a step.
    """
    size = probability.shape[0]
    if amount <= 0.0:
        return np.zeros(probability.shape, np.float32)
    doubt = 1.0 - min(amount, 1.0)
    found = _resized(probability, _GRID)
    sure = np.clip((found - np.float32(0.6 + 0.4 * doubt)) / np.float32(0.2), 0.0, 1.0)
    likely = np.clip((found - np.float32(0.02 + 0.98 * doubt**5)) / np.float32(0.1), 0.0, 1.0)
    held = np.minimum(sure, likely)
    for _ in range(_HANGS):
        held = np.minimum(np.asarray(cv2.dilate(held, _NEXT), np.float32), likely)
    reach = 0.5 * _RIM * _GRID
    spread = _box(_box(held, reach), reach)
    # Two boxes are a tent. Beyond a straight edge it falls as (1 - d / rim)² / 2, which 8 times
    # over is 1 up to half of the rim and 0 from its end on.
    return _resized(np.minimum(8.0 * spread, 1.0), size)


_GRID = 256
"""Side of the grid that the weight is made on, pixels: finer than the network's own."""

_HANGS = 32
"""How far the less sure may lie from the sure, pixels of the grid."""

_NEXT = np.ones((3, 3), np.uint8)

_RIM = 0.014
"""How far the weight reaches beyond what was found, of the crop's side."""


def _resized(image: Image, size: int) -> Image:
    """Return a square picture at another size; averaged where that has fewer pixels."""
    if image.shape[0] == size:
        return image
    how = cv2.INTER_AREA if size < image.shape[0] else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(image, (size, size), interpolation=how), np.float32)


def _box(image: Image, reach: float) -> Image:
    """Average over a square of 2·`reach` pixels; between two odd widths, a mixture of theirs."""
    whole = int(max(reach - 0.5, 0.0))
    part = np.float32(max(reach - 0.5, 0.0) - whole)
    border = cv2.BORDER_REPLICATE
    near = cv2.blur(image, (2 * whole + 1,) * 2, borderType=border)
    far = cv2.blur(image, (2 * whole + 3,) * 2, borderType=border)
    return np.asarray(near + part * (far - near), np.float32)


@functools.cache
def _session() -> Any:
    """Return the packaged network; ONNX Runtime's sessions may run in several threads."""
    return _open(resources.files("semblance"))


def _open(folder: Traversable) -> Any:
    """Open the network of a folder on one CPU thread."""
    try:
        graph = folder.joinpath(FILE).read_bytes()
    except OSError as error:
        raise EnvironmentFault(
            f"the occluder network {FILE} can't be read from {folder}: {error.strerror or error}; "
            "it is part of the package",
            "Install semblance again, or set the knob mask_occlusion to 0.",
        ) from error
    try:
        return runtime.session(graph)
    except runtime.ERRORS as error:
        raise EnvironmentFault(
            f"{FILE} in {folder} is not a network that ONNX Runtime can run",
            "Install semblance again, or set the knob mask_occlusion to 0.",
        ) from error
