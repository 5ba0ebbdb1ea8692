"""What somebody looks like in a shot: enough to know them again after a cut, and no more.

A look is how the edges of the face run and how face, hair and collar are coloured, taken in a frame
that the landmarks hold. It tells the few people of one scene apart, who keep their clothes and
their light from one take to the next. It is no face recognition: it does not know somebody again
in another film, and two people of like colouring in like light it may confuse.

References
----------
Dalal & Triggs (2005), "Histograms of oriented gradients for human detection", sections 6.2 to 6.4:
the cells, the votes between two directions and the blocks' norm with its limit.
"""

from __future__ import annotations

from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from semblance.track.head import LANDMARKS

__all__ = ["alike", "look_of"]

Pixels = NDArray[np.float32]
Look = NDArray[np.float32]

SIDE: Final = 64
"""Pixels of the two views."""
FACE, PERSON = 22.0, 60.0
"""Centimetres of a head that the views span: the face, and the face with hair and collar."""
CELL, DIRECTIONS, PATCHES = 8, 9, 8

_LUMA: Final = np.array([0.2126, 0.7152, 0.0722], np.float32)
_HELD: Final = slice(17, 68)
_FRONT: Final = LANDMARKS[_HELD, :2] * [1.0, -1.0] - (LANDMARKS[_HELD, :2] * [1.0, -1.0]).mean(0)


def look_of(linear: Pixels, landmarks: NDArray[np.floating]) -> Look:
    """Return somebody's look.

    Parameters
    ----------
    linear : (h, w, 3) float32 array
        Scene-linear Rec.709, any exposure.
    landmarks : (68, 2) array
        Pixels of `linear`, centres at +0.5, y down; squeezed as the picture is.

    Returns
    -------
    (768,) float32 array
        Of length 1: half of its energy is shape, half colouring.
    """
    face, person = (_view(linear, landmarks, span) for span in (FACE, PERSON))
    return _unit(np.concatenate([_edges(face), _colouring(person)]))


def alike(one: Look, other: Look) -> float:
    """Return how alike two looks are: 1 for the same, about 0.3 for two people's."""
    return float(one @ other)


def _view(linear: Pixels, landmarks: NDArray[np.floating], span: float) -> Pixels:
    """Return a view that holds brows, nose, eyes and mouth where the frontal head has them."""
    points = np.asarray(landmarks, np.float64)[_HELD]
    target = _FRONT * (SIDE / span) + (SIDE / 2, SIDE / 2)
    matrix = np.linalg.lstsq(np.column_stack([points, np.ones(len(points))]), target, rcond=None)[0]
    matrix = matrix.T
    reach = np.abs(np.linalg.inv(matrix[:, :2])).sum(1) * SIDE / 2
    middle = np.linalg.solve(matrix[:, :2], (SIDE / 2, SIDE / 2) - matrix[:, 2])
    low = np.clip(np.floor(middle - reach).astype(int), 0, np.array(linear.shape[1::-1]) - 1)
    high = np.clip(np.ceil(middle + reach).astype(int), low + 1, linear.shape[1::-1])
    part = linear[low[1] : high[1], low[0] : high[0], :3]
    steps = 1.0 / np.maximum(np.linalg.norm(matrix[:, :2], axis=0), 1e-6)
    size = np.maximum((high - low) / np.maximum(steps, 1.0), 1.0).astype(int)
    ratio = (high - low) / size
    small = cv2.resize(part, (int(size[0]), int(size[1])), interpolation=cv2.INTER_AREA)
    part = np.nan_to_num(np.asarray(small, np.float32), posinf=0.0, neginf=0.0)
    # OpenCV puts pixel centres at whole numbers.
    linear_part = matrix[:, :2] * ratio
    shift = matrix[:, 2] + matrix[:, :2] @ low + linear_part @ (0.5, 0.5) - 0.5
    placed = np.column_stack([linear_part, shift])
    view = cv2.warpAffine(
        part, placed, (SIDE, SIDE), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
    )
    exposed = np.maximum(np.asarray(view, np.float32), 0.0)
    middle = exposed[SIDE // 4 : -SIDE // 4, SIDE // 4 : -SIDE // 4] @ _LUMA
    return exposed * np.float32(0.18 / (float(middle.mean()) + 1e-9))


def _edges(view: Pixels) -> NDArray[np.float32]:
    """Return histograms of the directions of luma's edges, of length 1 together."""
    light = np.sqrt(view @ _LUMA)
    across = cv2.Sobel(light, cv2.CV_32F, 1, 0, ksize=1)
    down = cv2.Sobel(light, cv2.CV_32F, 0, 1, ksize=1)
    strength = np.hypot(across, down)
    angle = np.arctan2(down, across) % np.pi / np.pi * DIRECTIONS
    lower = np.floor(angle).astype(int) % DIRECTIONS
    upper, part = (lower + 1) % DIRECTIONS, angle - np.floor(angle)
    votes = np.zeros((SIDE, SIDE, DIRECTIONS), np.float32)
    rows, columns = np.indices(lower.shape)
    votes[rows, columns, lower] = strength * (1.0 - part)
    votes[rows, columns, upper] += strength * part
    cells = votes.reshape(SIDE // CELL, CELL, SIDE // CELL, CELL, DIRECTIONS).mean((1, 3))
    energy = cv2.boxFilter((cells**2).sum(2), -1, (3, 3))
    return _unit(np.minimum(cells / np.sqrt(energy + 1e-4)[..., None], 0.4))


def _colouring(view: Pixels) -> NDArray[np.float32]:
    """Return log ratios of colour and a little of the light, by patch, of length 1 together."""
    logs = np.log(view + 0.01)
    planes = [logs[..., 0] - logs[..., 1], logs[..., 2] - logs[..., 1], 0.3 * logs.mean(2)]
    small = [cv2.resize(p, (PATCHES, PATCHES), interpolation=cv2.INTER_AREA) for p in planes]
    return _unit(np.stack([each - each.mean() for each in small]))


def _unit(values: NDArray[np.floating]) -> NDArray[np.float32]:
    flat = np.asarray(values, np.float32).ravel()
    return flat / np.float32(np.linalg.norm(flat) + 1e-6)
