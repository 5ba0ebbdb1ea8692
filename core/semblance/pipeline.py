"""The way of a frame: plate in, colour, align, infer, matte, blend, plate out.

`render` is what every door calls: the command line, the host link, the panel, the farm. It is given
all it needs and keeps nothing. The stages never meet but here.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

from semblance import align, blend, colour, matte
from semblance.errors import Cancelled, PlateError
from semblance.exr import Sequence, read_plate
from semblance.face import Crop, Face, Inference, Matte, Patch, Roto, Track
from semblance.knobs import ColourKnobs, InferKnobs, Knobs, MatteKnobs
from semblance.plate import Plate, Window

__all__ = ["Network", "Result", "Statistics", "face_luma", "render", "shot_stops"]

Image = NDArray[np.float32]

_VIEWS = (
    (0.03, 0.0, 4.0, 1.04),
    (-0.03, 0.0, -4.0, 0.96),
    (0.0, 0.03, -3.0, 1.03),
    (0.0, -0.03, 3.0, 0.97),
    (0.025, 0.025, 6.0, 1.0),
    (-0.025, -0.025, -6.0, 1.0),
    (0.025, -0.025, 0.0, 0.95),
    (-0.025, 0.025, 0.0, 1.05),
)
"""Further looks at a face: shift in canonical units, degrees, size. In opposite pairs, so that
their mean lies where the face is; no farther than the jitter that a likeness is trained with."""

_SAMPLES = 12
"""Frames in which a face is measured for exposure where its track holds no luma."""


class Network(Protocol):
    """What the frame path asks of a likeness: a size, and a face for a crop."""

    @property
    def size(self) -> int:
        """Side of the crop in pixels."""

    def infer(self, crop: Image, strength: float) -> Inference:
        """Return the face for a (size, size, 3) crop in 0..1 at a strength of 0..1."""


@dataclass(frozen=True)
class Statistics:
    """What happened to a frame.

    Parameters
    ----------
    found : bool
        Whether there was a face to replace; without one the plate is passed through.
    milliseconds : mapping of str to float
        Time that each stage took.
    window : Window or None
        The pixels that may differ from the plate.
    """

    found: bool
    milliseconds: Mapping[str, float] = field(default_factory=dict)
    window: Window | None = None


@dataclass(frozen=True)
class Result:
    """A finished frame: the plate as it goes out, and the way it was made in figures."""

    plate: Plate
    statistics: Statistics


@dataclass(frozen=True)
class _Seen:
    """The plate over the face's window, as the stages need it."""

    window: Window
    linear: Image  # scene-linear Rec.709, not premultiplied, finite
    working: Image
    crop: Crop
    space: str
    stops: float


def render(
    plate: Plate,
    face: Face | None,
    network: Network,
    knobs: Knobs,
    *,
    stops: float = 0.0,
    roto: Roto | None = None,
    cancel: Callable[[], bool] = lambda: False,
) -> Result:
    """Render one frame.

    Parameters
    ----------
    plate : Plate
        The frame; never changed.
    face : Face or None
        The performer's face in it, in plate pixels; None passes the plate through.
    network : Network
        The likeness.
    knobs : Knobs
        All knobs of this frame.
    stops : float
        Automatic exposure of the shot (`colour.auto_stops`); counts where `auto_exposure` is on.
    roto : Roto, optional
        The artist's matte.
    cancel : callable
        Polled between stages.

    Returns
    -------
    Result
        Outside the matte every pixel has the plate's own bits; other channels are the plate's own.

    Raises
    ------
    Cancelled
        `cancel` returned true.
    """
    timer = _Timer(cancel)
    if face is None:
        shown = plate if knobs.view.view == "result" else _black(plate)
        return Result(shown, Statistics(found=False))
    with timer("align"):
        seen = _see(plate, face, network.size, knobs.colour, stops)
    if seen is None:
        shown = plate if knobs.view.view == "result" else _black(plate)
        return Result(shown, Statistics(found=False, milliseconds=timer.milliseconds))
    with timer("infer"):
        inference = _infer(network, seen, knobs.identity)
    with timer("matte"):
        canonical, laid = _matte(seen, inference, knobs.mask, roto)
    with timer("blend"):
        strength = knobs.identity.identity_strength
        change = blend.match(seen.crop, inference, canonical, strength, knobs.blend)
        patch = _patch(seen, change, strength, knobs)
        pixels, touched = blend.composite(seen.linear, patch, laid, knobs.blend)
        finished = _finish(plate, seen, pixels, touched)
    with timer("view"):
        shown = _view(plate, finished, seen, face, inference, laid, patch, knobs)
    statistics = Statistics(True, timer.milliseconds, matte.window_of(laid))
    return Result(shown, statistics)


def face_luma(plate: Plate, face: Face, knobs: ColourKnobs) -> float | None:
    """Return the mean scene-linear luma of a face in a plate; None where it lies outside."""
    low, high = np.floor(face.landmarks.min(axis=0)), np.ceil(face.landmarks.max(axis=0))
    window = Window(int(low[0]), int(low[1]), int(high[0]), int(high[1]))
    window = window.intersection(plate.data_window)
    if window.empty:
        return None
    space = colour.resolve_space(knobs.input_space, plate.metadata)
    linear = colour.to_linear(_straight(plate, window), space)
    return colour.face_luma(linear, face.landmarks - (window.x0, window.y0))


def shot_stops(
    plates: Sequence, track: Track, knobs: ColourKnobs, part: str | int | None = None
) -> float:
    """Return a shot's automatic exposure, from its faces' luma.

    The whole track counts, whichever frames are in work, so every chunk of a shot is exposed alike.

    Parameters
    ----------
    plates : Sequence
        Where luma is measured if the track holds none; then in a dozen frames spread over the shot.
    track : Track
        The performer's face.
    knobs : ColourKnobs
        Says which space the plates are in.
    part : str or int, optional
        Which part of a multi-part file is the plate.

    Returns
    -------
    float
        Stops, as `colour.auto_stops`.
    """
    lumas = [face.luma for face in track.faces.values() if face.luma is not None]
    there = sorted(set(track.faces) & set(plates.frames())) if not lumas else []
    places = np.linspace(0, len(there) - 1, min(_SAMPLES, len(there)))
    for frame in sorted({there[round(place)] for place in places}):
        try:
            plate = read_plate(plates.path(frame), part)
        except PlateError:  # rendering that frame will say what is wrong with it
            continue
        luma = face_luma(plate, track.faces[frame], knobs)
        lumas += [] if luma is None else [luma]
    return colour.auto_stops(lumas)


def _see(plate: Plate, face: Face, size: int, knobs: ColourKnobs, stops: float) -> _Seen | None:
    """Cut the face's window out of the plate, bring it to working encoding and align it."""
    matrix = align.fit(face.landmarks, plate.pixel_aspect)
    window = align.bounds(matrix, plate.data_window)
    if window.empty:
        return None
    space = colour.resolve_space(knobs.input_space, plate.metadata)
    exposure = knobs.exposure + (stops if knobs.auto_exposure else 0.0)
    picture = _straight(plate, window)
    linear = _finite(colour.to_linear(picture, space))
    working = colour.encode(linear, exposure)
    crop = Crop(
        np.clip(align.to_crop(np.clip(working, 0.0, 1.0), window, matrix, size), 0.0, 1.0),
        matrix,
        align.transform(face.landmarks, matrix),
    )
    return _Seen(window, linear, working, crop, space, exposure)


def _infer(network: Network, seen: _Seen, knobs: InferKnobs) -> Inference:
    """Let the network look at the face, from one crop or from several, and return the mean.

    Where a crop lies by a pixel or two decides a little of what a network draws, and that little
    changes from frame to frame. In the mean of several crops it mostly cancels.
    """
    first = network.infer(seen.crop.pixels, knobs.identity_strength)
    if knobs.looks == 1:
        return first
    shown, size = np.clip(seen.working, 0.0, 1.0), network.size
    taken = [first]
    for view in _VIEWS[: knobs.looks - 1]:
        nudge = align.nudge(*view)
        matrix = align.chain(seen.crop.matrix, nudge)
        crop = np.clip(align.to_crop(shown, seen.window, matrix, size), 0.0, 1.0)
        back = align.invert(nudge)
        back[:, 2] *= size  # from canonical units to pixels of the crop
        look = network.infer(crop, knobs.identity_strength)
        taken.append(Inference(*(_resampled(x, back) for x in (look.rgb, look.matte, look.own))))
    return Inference(
        rgb=np.mean([look.rgb for look in taken], axis=0, dtype=np.float32),
        matte=np.mean([look.matte for look in taken], axis=0, dtype=np.float32),
        own=np.mean([look.own for look in taken], axis=0, dtype=np.float32),
    )


def _resampled(picture: Image, matrix: NDArray[np.float64]) -> Image:
    """Warp what a network drew; the bicubic's overshoot is none of the network's."""
    warped = align.resample(picture, matrix, picture.shape[:2], border=cv2.BORDER_REPLICATE)
    return np.clip(warped, 0.0, 1.0)


def _matte(
    seen: _Seen, inference: Inference, knobs: MatteKnobs, roto: Roto | None
) -> tuple[Image, Matte]:
    """Return the matte in the canonical square and over the plate's window."""
    held_out = matte.occlusion(seen.crop, inference, knobs.mask_occlusion)
    canonical = matte.canonical_matte(seen.crop, inference, held_out, knobs)
    pixels = align.to_plate(canonical, seen.crop.matrix, seen.window, outside=0.0)
    laid = Matte(_clean(pixels), seen.window)
    return canonical, matte.with_roto(laid, roto, knobs)


def _patch(seen: _Seen, change: Image, strength: float, knobs: Knobs) -> Patch:
    """Bring the canonical change to the plate's resolution and to scene-linear light."""
    laid, low = (
        align.to_plate(pixels, seen.crop.matrix, seen.window)
        for pixels in (change, seen.crop.pixels)
    )
    face = blend.lay_in(seen.working, laid, low, strength, knobs.blend)
    # As a difference, so that a face that changes nothing changes no bit.
    light = colour.decode(face, seen.stops) - colour.decode(seen.working, seen.stops)
    return Patch(seen.linear + light, seen.window)


def _finish(plate: Plate, seen: _Seen, pixels: Image, touched: NDArray[np.bool_]) -> Plate:
    """Put finished linear pixels back into the plate's own space, premultiplied as it was."""
    picture = _finite(plate.picture(seen.window))
    change = colour.from_linear(pixels, seen.space) - colour.from_linear(seen.linear, seen.space)
    opacity = plate.opacity(seen.window)
    if opacity is not None:
        change = change * opacity[..., None]
    return plate.with_picture(picture + change, seen.window, touched)


def _view(
    plate: Plate,
    finished: Plate,
    seen: _Seen,
    face: Face,
    inference: Inference,
    laid: Matte,
    patch: Patch,
    knobs: Knobs,
) -> Plate:
    """Return what the view knob asks for, as a plate of the same windows."""
    view = knobs.view.view
    if view == "result":
        return finished
    if view == "difference":
        change = finished.picture(seen.window) - plate.picture(seen.window)
        return _shown(_black(plate), _finite(np.abs(change)), seen.window)
    if view == "matte":
        return _shown(_black(plate), np.repeat(laid.pixels[..., None], 3, axis=2), seen.window)
    if view == "patch":
        return _shown(_black(plate), colour.from_linear(patch.pixels, seen.space), seen.window)
    if view == "canonical":
        picture = colour.decode(inference.rgb, seen.stops)
        whole = align.to_plate(picture, seen.crop.matrix, seen.window, outside=0.0)
        return _shown(_black(plate), colour.from_linear(whole, seen.space), seen.window)
    return _with_landmarks(plate, face, seen)


def _with_landmarks(plate: Plate, face: Face, seen: _Seen) -> Plate:
    """Draw the landmarks as green discs, one percent of the face wide, at the face's level."""
    square = 1.0 / float(np.hypot(*seen.crop.matrix[:, 1]))
    radius = max(0.006 * square, 1.0)
    drawn = np.zeros(seen.linear.shape[:2], np.float32)
    for x, y in face.landmarks - (seen.window.x0 + 0.5, seen.window.y0 + 0.5):
        centre = (round(16 * float(x)), round(16 * float(y)))
        cv2.circle(drawn, centre, round(16 * radius), 1.0, -1, cv2.LINE_8, 4)
    level = colour.EXPOSURE_TARGET * 4.0 * 2.0**-seen.stops
    green = colour.from_linear(np.full((1, 1, 3), (0, level, 0), np.float32), seen.space)
    pixels = np.broadcast_to(green, seen.linear.shape)
    return plate.with_picture(np.asarray(pixels, np.float32), seen.window, drawn > 0.5)


def _straight(plate: Plate, window: Window) -> Image:
    """Return the picture without premultiplication (where alpha is 0 there is none to undo)."""
    picture, opacity = plate.picture(window), plate.opacity(window)
    if opacity is None:
        return picture
    return np.asarray(picture / np.where(opacity > 0.0, opacity, 1.0)[..., None], np.float32)


def _finite(pixels: Image) -> Image:
    """Replace what is not a number by black and infinities by a half's limit; a copy if needed."""
    if np.isfinite(pixels).all():
        return pixels
    return np.nan_to_num(pixels, nan=0.0, posinf=65504.0, neginf=-65504.0)


def _clean(pixels: Image) -> Image:
    """Clip a resampled matte to 0..1; what is below a code of 12 bits is nothing."""
    return np.where(pixels < 1.0 / 4096.0, 0.0, np.minimum(pixels, 1.0)).astype(np.float32)


def _black(plate: Plate) -> Plate:
    everywhere = np.ones((plate.data_window.height, plate.data_window.width), bool)
    return plate.with_picture(
        np.zeros((*everywhere.shape, 3), np.float32), plate.data_window, everywhere
    )


def _shown(plate: Plate, pixels: Image, window: Window) -> Plate:
    return plate.with_picture(pixels, window, np.ones(pixels.shape[:2], bool))


class _Timer:
    """Measures stages by name, and asks between them whether to go on."""

    def __init__(self, cancel: Callable[[], bool]) -> None:
        self.milliseconds: dict[str, float] = {}
        self._cancel = cancel

    @contextmanager
    def __call__(self, stage: str) -> Iterator[None]:
        if self._cancel():
            raise Cancelled("cancelled before this frame was finished")
        start = time.perf_counter()
        yield
        self.milliseconds[stage] = 1000.0 * (time.perf_counter() - start)
