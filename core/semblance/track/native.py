"""Faces by Semblance's own two small networks: no download, no GPU, one CPU thread.

A finder looks at a pyramid of the picture's luma and gives places, sizes and rolls; a landmark
network looks at an upright crop of each, and again, plain and mirrored, where its first answer
says the face is. Both were trained on renders of a morphable face only (`bench/landmarks`): no
photograph of a person went into them.

References
----------
- Law & Deng (2018), "CornerNet": the finder's focal loss on a heat map of centres.
- Sun et al. (2018), "Integral Human Pose Regression": a point as its heat map's expectation.
- Umeyama (1991), IEEE PAMI 13(4): the roll that fits a template to points.
- Sagonas et al. (2013), "300 Faces in-the-Wild Challenge": the 68-point scheme.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from importlib import resources
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from semblance import runtime
from semblance.errors import TrackError
from semblance.track.head import LANDMARKS
from semblance.track.provider import Detection

__all__ = [
    "CROP",
    "MIRROR",
    "NativeProvider",
    "Roi",
    "local_contrast",
    "open_face_provider",
    "roi_of",
    "standardise",
]

Array = NDArray[np.float32]

FINDER_FILE = "native_finder.onnx"
LANDMARKS_FILE = "native_landmarks.onnx"

CROP = 128
"""Side of the landmark network's input, pixels."""
MARGIN = 3.5
"""Side of the region of interest over the landmarks' root-mean-square radius."""

LEVEL_SIDES = (640, 320, 160, 80, 40)
"""Long sides of the finder's pyramid, pixels; a level larger than the picture is left out."""
STRIDE = 8
MIDDLE_SIDE = 52.0
"""Region of interest, in pixels of a level, that the finder's size output of 0 stands for."""
HEAT_FLOOR = 0.15
CANDIDATES = 16
TURNED = 3
TURNS = (-0.45, 0.45)
ACCEPT = 0.5
KEEP = 0.2
"""Least score of a face that was there before (`refine`): lower, as hysteresis."""
LIKELY = -1.5
"""Least logit of the first look for a second one to be worth its while."""
HIGHEST_LUMA = 1.5

# fmt: off
MIRROR = np.array([
    *range(16, -1, -1), *range(26, 16, -1), *range(27, 31), *range(35, 30, -1),
    45, 44, 43, 42, 47, 46, 39, 38, 37, 36, 41, 40,
    54, 53, 52, 51, 50, 49, 48, 59, 58, 57, 56, 55, 64, 63, 62, 61, 60, 67, 66, 65,
])
"""Which landmark each becomes when the picture is mirrored."""
# fmt: on

_LUMA = np.array([0.2126, 0.7152, 0.0722], dtype=np.float32)


# --- regions and crops -----------------------------------------------------------------------


@dataclass(frozen=True)
class Roi:
    """A square region of interest.

    Attributes
    ----------
    centre
        x, y, pixels.
    side
        Pixels.
    roll
        Radians, positive clockwise as seen (y down).
    """

    centre: tuple[float, float]
    side: float
    roll: float


def roi_of(landmarks: NDArray[Any]) -> Roi:
    """Region of interest of 68 landmarks.

    Its centre is their mean, its side `MARGIN` times their root-mean-square distance from it, its
    roll that of the similarity which fits the frontal head to them best.

    Parameters
    ----------
    landmarks
        Array of shape (68, 2), pixels, y down.

    Returns
    -------
    Roi
    """
    points = np.asarray(landmarks, dtype=np.float64)
    centre = points.mean(axis=0)
    spread = points - centre
    radius = math.sqrt(float((spread**2).sum(axis=1).mean()))
    template = LANDMARKS[:, :2] * [1.0, -1.0]
    template = template - template.mean(axis=0)
    dot = float((template * spread).sum())
    cross = float((template[:, 0] * spread[:, 1] - template[:, 1] * spread[:, 0]).sum())
    return Roi((float(centre[0]), float(centre[1])), MARGIN * radius, math.atan2(cross, dot))


def _roi_to_image(roi: Roi) -> NDArray[np.float64]:
    """Affine (2, 3) from crop pixels (0..`CROP`) to image pixels."""
    scale = roi.side / CROP
    c, s = math.cos(roi.roll) * scale, math.sin(roi.roll) * scale
    linear = np.array([[c, -s], [s, c]])
    offset = np.array(roi.centre) - linear @ np.array([CROP / 2, CROP / 2])
    return np.column_stack([linear, offset])


def standardise(crop: Array) -> Array:
    """Take mean and contrast out of a crop, so that exposure and gamma hardly matter.

    Parameters
    ----------
    crop
        Float32 array of shape (h, w), luma.

    Returns
    -------
    numpy.ndarray
        Same shape; mean 0, deviation about 1.
    """
    centred = crop - np.float32(crop.mean())
    return (centred / (float(centred.std()) + 0.01)).astype(np.float32)


def local_contrast(luma: Array) -> Array:
    """Luma less its local mean, over its local deviation, in a window of 33 pixels.

    Parameters
    ----------
    luma
        Float32 array of shape (h, w).

    Returns
    -------
    numpy.ndarray
        Float32 of the same shape, about -3..3.
    """
    window, border = (33, 33), cv2.BORDER_REFLECT
    mean = cv2.boxFilter(luma, -1, window, borderType=border)
    square = cv2.boxFilter(luma * luma, -1, window, borderType=border)
    spread = np.sqrt(np.maximum(square - mean * mean, 0.0))
    floor = 0.15 * float(spread.mean()) + 0.004
    return ((luma - mean) / (spread + floor)).astype(np.float32)


def _luma(image: Array) -> Array:
    """Luma (h, w) of a display-like picture, clipped to what the networks know; NaN is black."""
    luma = cv2.transform(np.ascontiguousarray(image[..., :3], np.float32), _LUMA[None])
    clean = np.nan_to_num(luma, nan=0.0, posinf=HIGHEST_LUMA, neginf=0.0)
    return np.clip(np.asarray(clean, np.float32).reshape(image.shape[:2]), 0.0, HIGHEST_LUMA)


def _crop(luma: Array, roi: Roi) -> Array:
    """Standardised (`CROP`, `CROP`) view of a region, low-passed before it is sampled down."""
    to_image = _roi_to_image(roi)
    scale = roi.side / CROP
    if scale > 1.0:
        # The region's bounding box only; whole factors by area, the rest by a Gaussian.
        reach = roi.side * 0.75 + 8.0
        h, w = luma.shape
        x0, y0 = (max(0, math.floor(c - reach)) for c in roi.centre)
        x1 = min(w, math.ceil(roi.centre[0] + reach))
        y1 = min(h, math.ceil(roi.centre[1] + reach))
        if x1 - x0 < 2 or y1 - y0 < 2:
            return np.zeros((CROP, CROP), dtype=np.float32)
        luma = luma[y0:y1, x0:x1]
        to_image[:, 2] -= (x0, y0)
        factor = int(scale)
        if factor > 1:
            size = (max(1, (x1 - x0) // factor), max(1, (y1 - y0) // factor))
            ratio = np.array([size[0] / (x1 - x0), size[1] / (y1 - y0)])
            luma = np.asarray(cv2.resize(luma, size, interpolation=cv2.INTER_AREA), np.float32)
            to_image *= ratio[:, None]
            scale /= factor
        sigma = 0.5 * math.sqrt(max(scale * scale - 1.0, 0.0))
        if sigma > 0.1:
            luma = np.asarray(cv2.GaussianBlur(luma, (0, 0), sigma), np.float32)
    # OpenCV's pixel centres are whole numbers, ours are at +0.5.
    to_image[:, 2] += to_image[:, :2] @ [0.5, 0.5] - 0.5
    flags = cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP
    view = cv2.warpAffine(
        luma, to_image, (CROP, CROP), flags=flags, borderMode=cv2.BORDER_REPLICATE
    )
    return standardise(np.asarray(view, np.float32))


# --- the provider ----------------------------------------------------------------------------


@dataclass(frozen=True)
class _Reading:
    """What the landmark network says of one crop."""

    landmarks: Array  # (68, 2), image pixels
    roi: Roi  # that was looked at
    face: float  # logit of this being a face
    spread: float  # mean deviation of a point that the network expects, pixels of the crop

    @property
    def score(self) -> float:
        """Probability of a face from the verdict and from how sure the points are of themselves.

        Coefficients by hand, on renders, the studio's stills and pictures without faces.
        """
        return _sigmoid(0.5 * (self.face - 6.0) + 2.2 * (3.7 - self.spread))


class NativeProvider:
    """Face provider on Semblance's own networks; see `semblance.track.provider.FaceProvider`.

    Finds faces from about 48 pixels of height up to ones that fill the picture, upright or rolled
    by up to about 45 degrees. Holds no state between calls; one CPU thread.

    Parameters
    ----------
    models_dir
        Folder that holds ``native_finder.onnx`` and ``native_landmarks.onnx``; None for the ones
        in the package.

    Raises
    ------
    TrackError
        A network's file is missing or is no such network.
    """

    name = "native"

    def __init__(self, models_dir: Path | None = None) -> None:
        self._finder = _session(FINDER_FILE, models_dir)
        self._landmarks = _session(LANDMARKS_FILE, models_dir)

    def find(self, image: Array) -> tuple[Detection, ...]:
        """Find all faces, best score first; see the protocol."""
        luma = _luma(image)
        candidates = self._candidates(luma)
        if not candidates:
            return ()
        # The finder's roll is the least sure of its answers: its best places are tried turned, too.
        turned = [
            replace(roi, roll=roi.roll + turn) for roi in candidates[:TURNED] for turn in TURNS
        ]
        first = self._read(luma, candidates + turned, mirrored=False)
        likely = [r for r in first if r.face > LIKELY and _plausible(r)]
        second = self._read(luma, [roi_of(r.landmarks) for r in likely], mirrored=True)
        kept: list[_Reading] = []
        for reading in sorted(second, key=lambda r: r.score, reverse=True):
            region = roi_of(reading.landmarks)
            if reading.score < ACCEPT or not _plausible(reading):
                continue
            if any(_same_face(region, roi_of(other.landmarks)) for other in kept):
                continue
            kept.append(reading)
        return tuple(Detection(r.score, r.landmarks) for r in kept)

    def refine(self, image: Array, near: Array) -> Detection | None:
        """Place the landmarks again from a previous estimate; see the protocol."""
        region = roi_of(near)
        if not (math.isfinite(region.side) and region.side > 4.0):
            return None
        # Of a large picture only the face's surroundings are touched.
        h, w = image.shape[:2]
        x0, y0 = (max(0, math.floor(c - 2.0 * region.side)) for c in region.centre)
        x1 = min(w, math.ceil(region.centre[0] + 2.0 * region.side))
        y1 = min(h, math.ceil(region.centre[1] + 2.0 * region.side))
        if x1 - x0 < 2 or y1 - y0 < 2:
            return None
        luma = _luma(image[y0:y1, x0:x1])
        centre = (region.centre[0] - x0, region.centre[1] - y0)
        (first,) = self._read(luma, [replace(region, centre=centre)], mirrored=False)
        if first.face < LIKELY or not _plausible(first):
            return None
        (reading,) = self._read(luma, [roi_of(first.landmarks)], mirrored=True)
        if reading.score < KEEP or not _plausible(reading):
            return None
        return Detection(reading.score, reading.landmarks + np.array([x0, y0], np.float32))

    def _candidates(self, luma: Array) -> list[Roi]:
        """Regions where the finder sees a face, best first."""
        found: list[tuple[float, Roi]] = []
        for level, ratio in _levels(luma):
            (cells,) = self._finder.run(None, {"image": local_contrast(level)[None, None]})
            found += _peaks(np.asarray(cells[0], np.float32), ratio)
        found.sort(key=lambda item: item[0], reverse=True)
        kept: list[Roi] = []
        for _, roi in found:
            if len(kept) < CANDIDATES and not any(_same_place(roi, k) for k in kept):
                kept.append(roi)
        return kept

    def _read(self, luma: Array, regions: list[Roi], *, mirrored: bool) -> list[_Reading]:
        """Run the landmark network on regions; the mean with their mirror images is steadier."""
        if not regions:
            return []
        batch = np.stack([_crop(luma, roi) for roi in regions])[:, None]
        points, log_variance, logit = self._landmarks.run(None, {"image": batch})
        if mirrored:
            again = self._landmarks.run(None, {"image": np.ascontiguousarray(batch[..., ::-1])})
            back = again[0][:, MIRROR] * np.array([-1, 1], np.float32)
            points = (points + back + np.array([CROP, 0], np.float32)) / 2
            log_variance = (log_variance + again[1][:, MIRROR]) / 2
            logit = (logit + again[2]) / 2
        out = []
        for roi, p, v, face in zip(regions, points, log_variance, logit, strict=True):
            to_image = _roi_to_image(roi)
            placed = (p.astype(np.float64) @ to_image[:, :2].T + to_image[:, 2]).astype(np.float32)
            spread = float(np.exp(0.5 * np.clip(v, -20, 20)).mean())
            out.append(_Reading(placed, roi, float(face[0]), spread))
        return out


def open_face_provider(models_dir: Path | None = None) -> NativeProvider:
    """Open the native provider; what `semblance.track.provider.open_provider` calls.

    Parameters
    ----------
    models_dir
        As for `NativeProvider`.

    Returns
    -------
    NativeProvider
    """
    return NativeProvider(models_dir)


def _session(name: str, models_dir: Path | None) -> Any:
    """Open one network on one CPU thread."""
    try:
        folder = resources.files("semblance.track") if models_dir is None else models_dir
        graph = folder.joinpath(name).read_bytes()
    except OSError as error:
        raise TrackError(
            f"the native face provider's network {name} can't be read "
            f"from {models_dir or 'the package'}: {error.strerror or error}",
            "Leave the models folder out to use the networks in the package.",
        ) from error
    try:
        return runtime.session(graph)
    except runtime.ERRORS as error:
        raise TrackError(
            f"{name} in {models_dir or 'the package'} is not a network that ONNX Runtime can run",
            "Leave the models folder out to use the networks in the package.",
        ) from error


def _sigmoid(x: float) -> float:
    return 1.0 / (1.0 + math.exp(-min(max(x, -50.0), 50.0)))


# --- the finder's answers --------------------------------------------------------------------


def _levels(luma: Array) -> list[tuple[Array, NDArray[np.float64]]]:
    """Build the pyramid: luma, and image pixels per pixel of the level in x and y."""
    h, w = luma.shape
    level = luma
    out: list[tuple[Array, NDArray[np.float64]]] = []
    for side in LEVEL_SIDES:
        if side / 2 >= max(h, w) and side != LEVEL_SIDES[-1]:
            continue
        scale = min(side, max(h, w)) / max(h, w)
        size = (max(STRIDE, round(w * scale)), max(STRIDE, round(h * scale)))
        level = np.asarray(cv2.resize(level, size, interpolation=cv2.INTER_AREA), np.float32)
        # The net works in whole cells: the edge is repeated up to the next one.
        right, below = -size[0] % STRIDE, -size[1] % STRIDE
        whole = cv2.copyMakeBorder(level, 0, below, 0, right, cv2.BORDER_REPLICATE)
        out.append((np.asarray(whole, np.float32), np.array([w / size[0], h / size[1]])))
    return out


def _peaks(cells: Array, ratio: NDArray[np.float64]) -> list[tuple[float, Roi]]:
    """Local maxima of one level's heat, as scores and regions in image pixels."""
    heat = 1.0 / (1.0 + np.exp(-np.clip(cells[0], -50, 50)))
    crest = np.asarray(cv2.dilate(heat, np.ones((3, 3), np.uint8)), np.float32)
    out = []
    for row, column in np.argwhere((heat >= crest) & (heat > HEAT_FLOOR)):
        dx, dy, size, c, s = (float(v) for v in cells[1:, row, column])
        x = (column + 0.5 + dx) * STRIDE * ratio[0]
        y = (row + 0.5 + dy) * STRIDE * ratio[1]
        side = MIDDLE_SIDE * math.exp(min(max(size, -1.5), 1.5)) * float(ratio.mean())
        out.append((float(heat[row, column]), Roi((x, y), side, math.atan2(s, c))))
    return out


def _same_place(a: Roi, b: Roi) -> bool:
    """Whether two candidates say the same; a small one within a large one is something else."""
    distance = math.hypot(a.centre[0] - b.centre[0], a.centre[1] - b.centre[1])
    small, large = sorted((a.side, b.side))
    return distance < 0.3 * small and large < 1.5 * small


def _same_face(a: Roi, b: Roi) -> bool:
    """Whether two regions overlap too much to be of two people."""
    distance = math.hypot(a.centre[0] - b.centre[0], a.centre[1] - b.centre[1])
    return distance < 0.4 * max(a.side, b.side)


def _plausible(reading: _Reading) -> bool:
    """Whether the landmarks lie about where the network was told to look."""
    now, then = roi_of(reading.landmarks), reading.roi
    distance = math.hypot(now.centre[0] - then.centre[0], now.centre[1] - then.centre[1])
    turn = math.remainder(now.roll - then.roll, 2 * math.pi)
    return (
        0.5 * then.side < now.side < 1.8 * then.side
        and distance < 0.4 * then.side
        and abs(turn) < math.radians(45)
    )
