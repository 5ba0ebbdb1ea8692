"""The track of a shot: every frame looked at once, the face kept hold of from frame to frame.

A provider is shown a display-like picture of square pixels, exposed for the face: by the frame's
own statistic until a face is found, by the face's luma from then on, so that a dark stage or a
bright window behind the performer does not hide it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from semblance.colour import (
    EXPOSURE_TARGET,
    linear_to_srgb,
    luma,
    resolve_space,
    to_linear,
)
from semblance.errors import Cancelled, TrackError, frame_context
from semblance.exr import Sequence, read_plate
from semblance.face import Face, Track
from semblance.knobs import ColourKnobs
from semblance.plate import Plate
from semblance.track.head import head_pose
from semblance.track.provider import Detection, FaceProvider

__all__ = ["face_luma", "find_faces", "track_shot"]

Pixels = NDArray[np.float32]
Points = NDArray[np.float64]

BRACKETS: Final = (0.0, 2.5, -2.5)
"""Stops about the frame's own exposure at which a face is looked for, until one is found."""

REACH: Final = 0.6
"""Face sizes (see `_size`) that the face may move from one frame to the next."""

GROWTH: Final = 1.35
"""Factor by which the face's size may change from one frame to the next."""


def track_shot(
    plates: Sequence,
    frames: Iterable[int],
    provider: FaceProvider,
    colour: ColourKnobs,
    report: Callable[[int, Face | None], None],
    cancel: Callable[[], bool],
    *,
    face: int = 0,
) -> Track:
    """Find one face in every frame of a shot.

    Parameters
    ----------
    plates : Sequence
        The plates.
    frames : iterable of int
        The frames to look at, in ascending order.
    provider : FaceProvider
        What finds faces.
    colour : ColourKnobs
        Says which space the plates are in.
    report : callable
        Called after each frame with its number and its face, or None where there is none.
    cancel : callable
        Asked before each frame; true stops the work.
    face : int
        Which face, by size in the first frame that holds so many: 0 is the largest.

    Returns
    -------
    Track
        Landmarks in the pixel space of the plates' windows, not smoothed. Frames without the face
        are in `frames` and not in `faces`.

    Raises
    ------
    Cancelled
        `cancel` said so.
    SequenceError, PlateError, KnobError
        A frame is missing or can't be read, or its space is unknown; names the frame and its file.
    TrackError
        The plates change their size on the way, or there is not one frame.
    """
    faces: dict[int, Face] = {}
    looked: list[int] = []
    shape: tuple[tuple[int, int], float] | None = None
    hold = _Hold(provider, face)
    for frame in frames:
        if cancel():
            raise Cancelled(f"tracking was cancelled before frame {frame}", "")
        path = plates.path(frame)
        with frame_context(frame, path):
            plate = read_plate(path)
            found_shape = _shape(plate)
            shape = shape or found_shape
            if found_shape != shape:
                raise TrackError(
                    f"the plate is {_written(found_shape)}, the shot's first frame was "
                    f"{_written(shape)}",
                    "Track frames of one size together.",
                )
            space = resolve_space(colour.input_space, plate.metadata)
            linear = to_linear(plate.picture(), space)
        found = hold.next(linear, plate)
        looked.append(frame)
        if found is not None:
            faces[frame] = found
        report(frame, found)
    if shape is None:
        raise TrackError("there is not one frame to track", "Give a range that holds frames.")
    made_by = {"tool": "semblance track", "provider": provider.name}
    return Track(faces, shape[0], shape[1], tuple(looked), made_by)


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
    for bracket in BRACKETS:
        found = _View.of(linear, stops + bracket, pixel_aspect).find(provider)
        if not found:
            continue
        level = face_luma(linear, found[0].landmarks)
        if level is None or level <= 0.0:
            return found
        exact = math.log2(EXPOSURE_TARGET / level)
        if abs(exact - stops - bracket) < 1.0:
            return found
        return _View.of(linear, exact, pixel_aspect).find(provider) or found
    return ()


def face_luma(linear: Pixels, landmarks: NDArray[np.floating]) -> float | None:
    """Return the mean scene-linear luma in the convex hull of landmarks.

    Parameters
    ----------
    linear : (h, w, 3) float32 array
        Scene-linear Rec.709; pixels that are not finite are left out.
    landmarks : (n, 2) array
        Pixels of `linear`, pixel centres at +0.5, y down.

    Returns
    -------
    float or None
        None where the hull holds no pixel of the picture.
    """
    height, width = linear.shape[:2]
    points = np.asarray(landmarks, np.float64)
    low = np.clip(np.floor(points.min(0)).astype(int), 0, (width, height))
    high = np.clip(np.ceil(points.max(0)).astype(int), 0, (width, height))
    box = linear[low[1] : high[1], low[0] : high[0]]
    if box.size == 0:
        return None
    mask = np.zeros(box.shape[:2], np.uint8)
    # Sixteenths of a pixel; OpenCV puts pixel centres at whole numbers.
    outline = np.round((points - low - 0.5) * 16.0).astype(np.int32)
    cv2.fillConvexPoly(mask, cv2.convexHull(outline), 1, shift=4)
    values = luma(box[mask > 0])
    values = values[np.isfinite(values)]
    return float(values.mean(dtype=np.float64)) if values.size else None


# -------------------------------------------------------------------------------- from frame on


class _Hold:
    """Keeps hold of one face over successive frames."""

    def __init__(self, provider: FaceProvider, face: int) -> None:
        self._provider = provider
        self._number = face
        self._last: Points | None = None  # landmarks in the windows' pixel space
        self._stops: float | None = None  # that the last face asked for
        self._lost = 0  # frames since the face was last seen

    def next(self, linear: Pixels, plate: Plate) -> Face | None:
        """Return the face of the next frame."""
        origin = np.array([plate.data_window.x0, plate.data_window.y0], np.float64)
        detection = self._follow(linear, plate.pixel_aspect, origin) or self._seek(
            linear, plate.pixel_aspect, origin
        )
        if detection is None:
            self._lost += 1
            return None
        local = np.asarray(detection.landmarks, np.float64)
        level = face_luma(linear, local)
        self._lost = 0
        self._last = local + origin
        if level is not None and level > 0.0:
            self._stops = math.log2(EXPOSURE_TARGET / level)
        yaw, pitch, roll = head_pose(local * (plate.pixel_aspect, 1.0))
        return Face(
            landmarks=self._last,
            score=float(detection.score),
            yaw=yaw,
            pitch=pitch,
            roll=roll,
            luma=level,
            source=self._provider.name,
        )

    def _follow(self, linear: Pixels, aspect: float, origin: Points) -> Detection | None:
        """Look where the face was in the frame before."""
        if self._last is None or self._lost or self._stops is None:
            return None
        near = self._last - origin
        view = _View.of(linear, self._stops, aspect)
        found = view.refine(self._provider, near)
        return found if found is not None and _goes_on(near, found.landmarks, 1) else None

    def _seek(self, linear: Pixels, aspect: float, origin: Points) -> Detection | None:
        """Look everywhere: for the face by its number at first, by nearness after that."""
        found = find_faces(linear, aspect, self._provider)
        if self._last is None:
            by_size = sorted(found, key=lambda one: -_size(one.landmarks))
            return by_size[self._number] if self._number < len(by_size) else None
        near = self._last - origin
        likely = [one for one in found if _goes_on(near, one.landmarks, self._lost + 1)]
        return min(likely, key=lambda one: _distance(near, one.landmarks), default=None)


def _goes_on(before: NDArray[np.floating], after: NDArray[np.floating], frames: int) -> bool:
    """Whether a face may have come from one place to the other in so many frames."""
    ratio = _size(after) / max(_size(before), 1e-6)
    limit = GROWTH ** min(frames, 24)
    near = _distance(before, after) <= REACH * frames * _size(before)
    return near and 1.0 / limit <= ratio <= limit


def _distance(one: NDArray[np.floating], other: NDArray[np.floating]) -> float:
    return float(np.linalg.norm(one.mean(0) - other.mean(0)))


def _size(landmarks: NDArray[np.floating]) -> float:
    """Return the diagonal of the landmarks' box, in pixels."""
    return float(np.linalg.norm(np.ptp(landmarks, axis=0)))


# ------------------------------------------------------------------------------------- the view


@dataclass(frozen=True)
class _View:
    """What a provider is shown: sRGB-encoded (h, w', 3), square pixels."""

    image: Pixels
    stretch: float  # columns of the view for one column of the picture

    @classmethod
    def of(cls, linear: Pixels, stops: float, pixel_aspect: float) -> _View:
        """Expose, encode and de-squeeze a scene-linear picture."""
        exposed = np.nan_to_num(linear * np.float32(2.0**stops), nan=0.0, posinf=1.0, neginf=0.0)
        image = linear_to_srgb(np.clip(exposed, 0.0, 1.0))
        height, width = image.shape[:2]
        wide = max(round(width * pixel_aspect), 1)
        if wide != width:
            method = cv2.INTER_AREA if wide < width else cv2.INTER_CUBIC
            image = np.clip(cv2.resize(image, (wide, height), interpolation=method), 0.0, 1.0)
        return cls(image, wide / width)

    def find(self, provider: FaceProvider) -> tuple[Detection, ...]:
        return tuple(self._back(found) for found in provider.find(self.image))

    def refine(self, provider: FaceProvider, near: Points) -> Detection | None:
        found = provider.refine(self.image, (near * (self.stretch, 1.0)).astype(np.float32))
        return None if found is None else self._back(found)

    def _back(self, found: Detection) -> Detection:
        """Return a detection in pixels of the picture."""
        scale = np.array([1.0 / self.stretch, 1.0], np.float32)
        return replace(found, landmarks=found.landmarks * scale)


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


def _shape(plate: Plate) -> tuple[tuple[int, int], float]:
    return (plate.display_window.width, plate.display_window.height), plate.pixel_aspect


def _written(shape: tuple[tuple[int, int], float]) -> str:
    (width, height), aspect = shape
    return f"{width} × {height} with pixel aspect {aspect:g}"
