"""What a provider is shown of a plate, and every face in one picture.

A provider is shown a display-like picture of square pixels, exposed for the face: by the frame's
own statistic until a face is found, by the face's luma from then on, so that a dark stage or a
bright window behind the performer does not hide it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from semblance import kernels
from semblance.colour import EXPOSURE_TARGET, encode, face_luma, luma
from semblance.track.provider import Detection, FaceProvider

__all__ = ["View", "distance", "face_stops", "find_faces", "size_of", "stops_of"]

Pixels = NDArray[np.float32]
Points = NDArray[np.float64]

BRACKETS: Final = (0.0, 2.5, -2.5)
"""Stops about the frame's own exposure at which a face is looked for, until one is found."""

TURNS: Final = (1, 3, 2)
"""Quarter turns by which a picture is turned when it holds no upright face at all."""

LARGEST: Final = 1920
"""Longest side, square pixels, of what a provider is shown; a larger picture is reduced, and a face
that is found in it placed again in a view of its own region."""

SETTLING: Final = 3
"""Times that a face which was just found is placed again from where it was last."""

REGION: Final = 0.75
"""Of a picture is shown, around a known face, so many times the face's extent on each side."""


def find_faces(
    linear: Pixels, pixel_aspect: float, provider: FaceProvider
) -> tuple[Detection, ...]:
    """Find all faces of a scene-linear picture, whatever its exposure.

    Parameters
    ----------
    linear : (h, w, 3) float32 array
        Scene-linear Rec.709, any range; what is not finite counts as black.
    pixel_aspect : float
        Width of a pixel over its height.
    provider : FaceProvider
        What finds faces.

    Returns
    -------
    tuple of Detection
        Best score first, landmarks in pixels of `linear`, pixel centres at +0.5, y down.
    """
    stops = _frame_stops(linear)
    for bracket, turn in (*((each, 0) for each in BRACKETS), *((0.0, each) for each in TURNS)):
        found = View.of(linear, stops + bracket, pixel_aspect).find(provider, turn)
        if not found:
            continue
        exact = face_stops(linear, found[0].landmarks)
        if exact is not None and abs(exact - stops - bracket) > 1.0:
            found = View.of(linear, exact, pixel_aspect).find(provider, turn) or found
        return tuple(_settled(linear, pixel_aspect, provider, face) for face in found)
    return ()


def _settled(
    linear: Pixels, pixel_aspect: float, provider: FaceProvider, face: Detection
) -> Detection:
    """Return a face where it stays when it is looked at again, as every later frame does.

    The first look is at a region that the detector chose, maybe in a reduced picture; left as it
    is, a shot's first frame would lie beside all the others.
    """
    for _ in range(SETTLING):
        stops = face_stops(linear, face.landmarks)
        near = np.asarray(face.landmarks, np.float64)
        view = View.of(linear, 0.0 if stops is None else stops, pixel_aspect, near)
        again = view.refine(provider, near)
        if again is None:
            break
        face = again
    return face


def face_stops(linear: Pixels, landmarks: NDArray[np.floating]) -> float | None:
    """Return the exposure that a face asks for; None for one that is black or not in sight."""
    return stops_of(face_luma(linear, landmarks))


def stops_of(level: float | None) -> float | None:
    """Return the exposure that a face of this luma asks for; None for a black or unknown one."""
    return math.log2(EXPOSURE_TARGET / level) if level is not None and level > 0.0 else None


def distance(one: NDArray[np.floating], other: NDArray[np.floating]) -> float:
    """Return how far apart the middles of two sets of landmarks are, in pixels."""
    return float(np.linalg.norm(one.mean(0) - other.mean(0)))


def size_of(landmarks: NDArray[np.floating]) -> float:
    """Return the diagonal of the landmarks' box, in pixels."""
    return float(np.linalg.norm(np.ptp(landmarks, axis=0)))


@dataclass(frozen=True)
class View:
    """What a provider is shown of a picture: sRGB-encoded, square pixels, whole or a region.

    Parameters
    ----------
    image : (h, w, 3) float32 array
        0..1.
    origin : (2,) float64 array
        Of the region in the picture.
    scale : (2,) float64 array
        Pixels of the view for one of the picture, x and y.
    """

    image: Pixels
    origin: Points
    scale: Points

    @classmethod
    def of(
        cls, linear: Pixels, stops: float, pixel_aspect: float, near: Points | None = None
    ) -> View:
        """Expose, de-squeeze and encode a scene-linear picture, or what is around landmarks."""
        x0, y0, x1, y1 = _around(near, linear) if near is not None else (0, 0, *linear.shape[1::-1])
        light = linear[y0:y1, x0:x1]
        height, width = light.shape[:2]
        reduced = min(1.0, LARGEST / max(width * pixel_aspect, height))
        size = max(round(width * pixel_aspect * reduced), 1), max(round(height * reduced), 1)
        scale = np.array([size[0] / width, size[1] / height])
        origin = np.array([x0, y0], np.float64)
        if size == (width, height):  # in one pass, which takes a NaN for 0 as the others do
            image, beyond = np.empty(light.shape, np.float32), np.empty((height, width), np.float32)
            kernels.expose(np.ascontiguousarray(light, np.float32), 2.0**stops, image, beyond)
            return cls(image, origin, scale)
        with np.errstate(over="ignore"):
            exposed = light * np.float32(2.0**stops)
        exposed = np.fmax(exposed, np.float32(0.0))
        method = cv2.INTER_AREA if size[0] * size[1] < width * height else cv2.INTER_CUBIC
        reduced_light = cv2.resize(np.minimum(exposed, 1.0), size, interpolation=method)
        return cls(encode(np.clip(reduced_light, 0.0, 1.0)), origin, scale)

    def find(self, provider: FaceProvider, turn: int = 0) -> tuple[Detection, ...]:
        """Find all faces, with the picture turned by quarters, anticlockwise."""
        image = np.ascontiguousarray(np.rot90(self.image, turn)) if turn else self.image
        found = provider.find(image)
        return tuple(self._back(self._upright(each, turn)) for each in found)

    def refine(self, provider: FaceProvider, near: Points) -> Detection | None:
        """Place the landmarks of a face again."""
        found = provider.refine(self.image, self.local(near).astype(np.float32))
        return None if found is None else self._back(found)

    def local(self, points: Points) -> Points:
        """Return points of the picture in pixels of the view."""
        return (points - self.origin) * self.scale

    def whole(self, points: NDArray[np.floating]) -> Points:
        """Return points of the view in pixels of the picture."""
        return np.asarray(points / self.scale + self.origin, np.float64)

    def _upright(self, found: Detection, turn: int) -> Detection:
        """Return a detection of the turned view in pixels of the view itself."""
        height, width = self.image.shape[:2]
        x, y = found.landmarks.T
        turned = {0: (x, y), 1: (width - y, x), 2: (width - x, height - y), 3: (y, height - x)}
        return replace(found, landmarks=np.column_stack(turned[turn]))

    def _back(self, found: Detection) -> Detection:
        """Return a detection in pixels of the picture."""
        return replace(found, landmarks=self.whole(found.landmarks).astype(np.float32))


def _around(near: Points, linear: Pixels) -> tuple[int, int, int, int]:
    """Return x0, y0, x1, y1 of the part of a picture that a provider needs to see a face there."""
    reach = REGION * np.ptp(near, axis=0).max()
    limit = np.array(linear.shape[1::-1])
    low = np.clip(np.floor(near.min(0) - reach).astype(int), 0, limit - 1)
    high = np.clip(np.ceil(near.max(0) + reach).astype(int), low + 1, limit)
    return int(low[0]), int(low[1]), int(high[0]), int(high[1])


def _frame_stops(linear: Pixels) -> float:
    """Return the exposure that brings a frame's log-average luma to the level of a face.

    The log-average is that of Reinhard et al., "Photographic tone reproduction for digital images",
    SIGGRAPH 2002, equation (1), with black held at a thousandth of the brightest percentile, so
    that a face before a black backcloth is not exposed as if it were the backcloth.
    """
    values = luma(linear[::4, ::4])
    values = values[np.isfinite(values)]
    bright = float(np.percentile(values, 99.0)) if values.size else 0.0
    if bright <= 0.0:
        return 0.0
    average = np.exp(np.log(np.clip(values, 1e-3 * bright, bright)).mean(dtype=np.float64))
    return math.log2(EXPOSURE_TARGET / float(average))
