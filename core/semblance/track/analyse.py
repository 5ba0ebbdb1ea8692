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
    face_luma,
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

__all__ = ["find_faces", "track_shot"]

Pixels = NDArray[np.float32]
Points = NDArray[np.float64]

BRACKETS: Final = (0.0, 2.5, -2.5)
"""Stops about the frame's own exposure at which a face is looked for, until one is found."""

REACH: Final = 0.6
"""Face sizes (see `_size`) that the face may move from one frame to the next."""

GROWTH: Final = 1.35
"""Factor by which the face's size may change from one frame to the next."""

LARGEST: Final = 1920
"""Longest side, square pixels, of what a provider is shown; a larger picture is reduced, and a face
that is found in it placed again in a view of its own region."""

REGION: Final = 0.75
"""Of a picture is shown, around a known face, so many times the face's extent on each side."""


def track_shot(
    plates: Sequence,
    frames: Iterable[int],
    provider: FaceProvider,
    colour: ColourKnobs,
    report: Callable[[int, Face | None], None],
    cancel: Callable[[], bool],
    *,
    face: int = 0,
    part: str | int | None = None,
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
    part : str or int, optional
        Which part of a multi-part file is the plate.

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
            plate = read_plate(path, part)
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
        found = hold.next(frame, linear, plate)
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
        exact = _face_stops(linear, found[0].landmarks)
        if exact is not None and abs(exact - stops - bracket) > 1.0:
            found = _View.of(linear, exact, pixel_aspect).find(provider) or found
        if max(linear.shape[1] * pixel_aspect, linear.shape[0]) > LARGEST:
            found = tuple(_placed_again(linear, pixel_aspect, provider, face) for face in found)
        return found
    return ()


def _placed_again(
    linear: Pixels, pixel_aspect: float, provider: FaceProvider, face: Detection
) -> Detection:
    """Return a face that was found in a reduced picture with landmarks from the whole one."""
    stops = _face_stops(linear, face.landmarks)
    near = np.asarray(face.landmarks, np.float64)
    view = _View.of(linear, 0.0 if stops is None else stops, pixel_aspect, near)
    return view.refine(provider, near) or face


def _face_stops(linear: Pixels, landmarks: NDArray[np.floating]) -> float | None:
    """Return the exposure that a face asks for; None for one that is black or not in sight."""
    level = face_luma(linear, landmarks)
    return math.log2(EXPOSURE_TARGET / level) if level is not None and level > 0.0 else None


class _Hold:
    """Keeps hold of one face over successive frames."""

    def __init__(self, provider: FaceProvider, face: int) -> None:
        self._provider = provider
        self._number = face
        self._last: Points | None = None  # landmarks in the windows' pixel space
        self._stops: float | None = None  # that the last face asked for
        self._seen = 0  # the frame that the last face is of
        self._lost = False  # whether there was none in the frame before

    def next(self, frame: int, linear: Pixels, plate: Plate) -> Face | None:
        """Return the face of the next frame."""
        origin = np.array([plate.data_window.x0, plate.data_window.y0], np.float64)
        passed = max(frame - self._seen, 1)
        detection = self._follow(linear, plate.pixel_aspect, origin, passed) or self._seek(
            linear, plate.pixel_aspect, origin, passed
        )
        self._lost = detection is None
        if detection is None:
            return None
        local = np.asarray(detection.landmarks, np.float64)
        level = face_luma(linear, local)
        self._seen = frame
        self._last = local + origin
        self._stops = _face_stops(linear, local)
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

    def _follow(
        self, linear: Pixels, aspect: float, origin: Points, passed: int
    ) -> Detection | None:
        """Look where the face was in the frame before."""
        if self._last is None or self._lost or self._stops is None:
            return None
        near = self._last - origin
        found = _View.of(linear, self._stops, aspect, near).refine(self._provider, near)
        return found if found is not None and _goes_on(near, found.landmarks, passed) else None

    def _seek(self, linear: Pixels, aspect: float, origin: Points, passed: int) -> Detection | None:
        """Look everywhere: for the face by its number at first, by nearness after that."""
        found = find_faces(linear, aspect, self._provider)
        if self._last is None:
            by_size = sorted(found, key=lambda one: -_size(one.landmarks))
            return by_size[self._number] if self._number < len(by_size) else None
        near = self._last - origin
        likely = [one for one in found if _goes_on(near, one.landmarks, passed)]
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
    """What a provider is shown of a picture: sRGB-encoded, square pixels, whole or a region."""

    image: Pixels
    origin: Points  # of the region in the picture
    scale: Points  # pixels of the view for one of the picture, x and y

    @classmethod
    def of(
        cls, linear: Pixels, stops: float, pixel_aspect: float, near: Points | None = None
    ) -> _View:
        """Expose, de-squeeze and encode a scene-linear picture, or what is around landmarks."""
        x0, y0, x1, y1 = _around(near, linear) if near is not None else (0, 0, *linear.shape[1::-1])
        with np.errstate(over="ignore"):
            exposed = linear[y0:y1, x0:x1] * np.float32(2.0**stops)
        exposed = np.fmax(exposed, np.float32(0.0))  # which makes 0 of a NaN
        image: Pixels = np.minimum(exposed, np.float32(1.0))
        height, width = image.shape[:2]
        reduced = min(1.0, LARGEST / max(width * pixel_aspect, height))
        size = max(round(width * pixel_aspect * reduced), 1), max(round(height * reduced), 1)
        if size != (width, height):
            method = cv2.INTER_AREA if size[0] * size[1] < width * height else cv2.INTER_CUBIC
            image = np.clip(cv2.resize(image, size, interpolation=method), 0.0, 1.0)
        scale = np.array([size[0] / width, size[1] / height])
        return cls(linear_to_srgb(image), np.array([x0, y0], np.float64), scale)

    def find(self, provider: FaceProvider) -> tuple[Detection, ...]:
        return tuple(self._back(found) for found in provider.find(self.image))

    def refine(self, provider: FaceProvider, near: Points) -> Detection | None:
        local = (near - self.origin) * self.scale
        found = provider.refine(self.image, local.astype(np.float32))
        return None if found is None else self._back(found)

    def _back(self, found: Detection) -> Detection:
        """Return a detection in pixels of the picture."""
        points = found.landmarks / self.scale + self.origin
        return replace(found, landmarks=points.astype(np.float32))


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


def _shape(plate: Plate) -> tuple[tuple[int, int], float]:
    return (plate.display_window.width, plate.display_window.height), plate.pixel_aspect


def _written(shape: tuple[tuple[int, int], float]) -> str:
    (width, height), aspect = shape
    return f"{width} × {height} with pixel aspect {aspect:g}"
