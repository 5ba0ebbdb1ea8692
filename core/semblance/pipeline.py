"""The way of a frame: plate in, colour, align, infer, matte, blend, plate out.

`render` is what every door calls: the command line, the host link, the panel, the farm. It is given
all it needs; what stages made may be kept in a `StageCache`, by keys that hold all they were made
from. The stages never meet but here.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Protocol, TypeVar, runtime_checkable

import cv2
import numpy as np
from numpy.typing import NDArray

from semblance import align, blend, colour, matte, occluder, templates
from semblance.cache import StageCache
from semblance.errors import Cancelled, PlateError
from semblance.exr import Sequence as Frames
from semblance.exr import read_plate
from semblance.face import Crop, Face, Inference, Matte, Patch, Roto, Track
from semblance.knobs import ColourKnobs, InferKnobs, Knobs, MatteKnobs, stage_key
from semblance.layers import empty, layers
from semblance.plate import Plate, Window, finite

__all__ = ["Elsewhere", "Network", "Result", "Statistics", "colours", "face_luma", "region",
           "render", "shot_stops"]  # fmt: skip

Image = NDArray[np.float32]
Made = TypeVar("Made")

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


_GRID = 32
"""Pixels to which the patch's box is rounded: a matte that moves a little keeps its patch."""

_STRIP = 32
"""Rows that are worked on at a time."""


class Network(Protocol):
    """What the frame path asks of a likeness: a size, and a face for a crop."""

    @property
    def size(self) -> int:
        """Side of the crop in pixels."""

    @property
    def sha256(self) -> str:
        """Content hash of the model, which names it in a stage cache."""

    def infer(self, crop: Image, strength: float) -> Inference:
        """Return the face for a (size, size, 3) crop in 0..1 at a strength of 0..1."""


@runtime_checkable
class Elsewhere(Protocol):
    """A likeness, or what a model says of itself, that names the square of the face it looks at.

    The crop that its network gets is that square, and so is what it answers with.
    """

    @property
    def size(self) -> int:
        """Side of the crop in pixels."""

    @property
    def template(self) -> str:
        """The square, as `templates.view` takes it."""


@dataclass(frozen=True)
class Statistics:
    """What happened to a frame.

    Parameters
    ----------
    found : bool
        Whether there was a face to replace; without one the plate is passed through.
    milliseconds : mapping of str to float
        Time that each stage took; what came out of the cache took none.
    window : Window or None
        The pixels that may differ from the plate; None where none does.
    """

    found: bool
    milliseconds: Mapping[str, float] = field(default_factory=dict)
    window: Window | None = None


@dataclass(frozen=True)
class Result:
    """A finished frame: the plate as it goes out, and the way it was made in figures.

    Parameters
    ----------
    plate : Plate
        Holds what the plate that was given held.
    statistics : Statistics
    layers : mapping of str to (h, w) float32 array
        What native nodes need to blend again (`layers.layers`); empty unless asked for.
    """

    plate: Plate
    statistics: Statistics
    layers: Mapping[str, Image] = field(default_factory=dict)


@dataclass(frozen=True)
class _Seen:
    """The plate over the face's square, as the stages need it."""

    window: Window
    shown: Image  # working encoding, 0..1: what the network may see
    crop: Crop
    space: str
    stops: float


@dataclass(frozen=True)
class _Looked:
    """What was seen of a face before any knob of the mask or the blend counts."""

    key: str
    inferred_key: str
    seen: _Seen
    inference: Inference
    front: Image | None  # the chance that something is in front of the face
    hull: Image


def render(
    plate: Plate,
    face: Face | None,
    network: Network,
    knobs: Knobs,
    *,
    stops: float = 0.0,
    frame: int = 0,
    roto: Roto | None = None,
    around: Sequence[tuple[int, blend.Colours]] = (),
    with_layers: bool = False,
    cache: StageCache | None = None,
    source: str = "",
    cancel: Callable[[], bool] = lambda: False,
) -> Result:
    """Render one frame.

    Parameters
    ----------
    plate : Plate
        The frame, or as much of it as `region` names; never changed.
    face : Face or None
        The performer's face in it, in plate pixels; None passes the plate through.
    network : Network
        The likeness.
    knobs : Knobs
        All knobs of this frame.
    stops : float
        Automatic exposure of the shot (`colour.auto_stops`); counts where `auto_exposure` is on.
    frame : int
        The frame's number: each has grain of its own.
    roto : Roto, optional
        The artist's matte.
    around : sequence of (int, Colours)
        Colours of this frame and its neighbours by their distance in frames (`colours`), for a
        colour match that does not pump; without them this frame's alone count.
    with_layers : bool
        Whether to make the result's layers.
    cache : StageCache, optional
        Keeps what the stages make. A knob of the mask or the blend then never runs the network
        again.
    source : str
        Names the plate's pixels in the cache: equal only for equal pixels. Without it nothing is
        cached.
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
    way = _Way(cancel, cache if source else None)
    looked = _look(way, plate, face, network, knobs, stops, source) if face is not None else None
    if face is None or looked is None:
        return _passed(plate, knobs, way, with_layers)
    seen, inference, front, hull = looked.seen, looked.inference, looked.front, looked.hull
    canonical_key = stage_key(looked.inferred_key, knobs.mask)
    canonical = way(
        "matte", canonical_key, lambda: _matte(seen, inference, hull, front, knobs.mask)
    )
    box = _box(canonical, seen, roto, knobs.mask)
    drawn = way("matte", "", lambda: _laid_matte(canonical, seen, box, roto, knobs.mask))
    grain, laid_grain = None, None
    another = _another(seen, inference, knobs.identity.identity_strength)
    if knobs.match.grain_match > 0.0:
        grain = way("grain", looked.key, lambda: _grain(seen, hull))
        grain_key = f"{looked.inferred_key} {box} {frame}"
        laid_grain = way("grain", grain_key, partial(_laid_grain, seen, another, grain, box, frame))
    weights = _weights(inference, hull, front, knobs.mask)
    change_key = stage_key(
        f"{looked.inferred_key} {knobs.mask.mask_occlusion} {_digest(around)} {frame}", knobs.match
    )
    change = way(
        "match",
        change_key,
        lambda: _change(seen, inference, weights, another, around, grain, frame, knobs),
    )
    patch = way(
        "patch",
        f"{change_key} {box}",
        lambda: _patch(plate, seen, change, laid_grain, box, knobs.match.grain_match),
    )
    with way.timed("blend"):
        finished, window = _finish(plate, seen, patch, drawn, knobs)
    with way.timed("view"):
        shown = _view(plate, finished, seen, face, inference, drawn, patch, knobs)
        extra = _layers(plate, seen, patch, drawn) if with_layers else {}
    return Result(shown, Statistics(True, way.milliseconds, window), extra)


def region(
    face: Face, pixel_aspect: float = 1.0, model: Network | Elsewhere | None = None
) -> Window:
    """Return the pixels of a plate that `render` looks at, wherever its data window ends.

    Parameters
    ----------
    face : Face
        The performer's face.
    pixel_aspect : float
        Of the plate.
    model : Network or Elsewhere, optional
        The likeness or its manifest; without it one that looks at the canonical square.
    """
    return _reach(align.fit(face.landmarks, pixel_aspect), _view_of(model))


def colours(
    plate: Plate,
    face: Face,
    network: Network,
    knobs: Knobs,
    *,
    stops: float = 0.0,
    cache: StageCache | None = None,
    source: str = "",
    cancel: Callable[[], bool] = lambda: False,
) -> blend.Colours | None:
    """Return a frame's colours inside the matte, for the colour match of the frames around it.

    Parameters are `render`'s. None where no colour match is asked for, or no face lies in the
    plate.
    """
    if knobs.match.colour_match == "none":
        return None
    way = _Way(cancel, cache if source else None)
    looked = _look(way, plate, face, network, knobs, stops, source)
    if looked is None:
        return None
    weights = _weights(looked.inference, looked.hull, looked.front, knobs.mask)
    return blend.colours(looked.seen.crop, looked.inference, weights, knobs.match)


def face_luma(plate: Plate, face: Face, knobs: ColourKnobs) -> float | None:
    """Return the mean scene-linear luma of a face in a plate; None where it lies outside."""
    low, high = np.floor(face.landmarks.min(axis=0)), np.ceil(face.landmarks.max(axis=0))
    window = Window(int(low[0]), int(low[1]), int(high[0]), int(high[1]))
    window = window.intersection(plate.window)
    if window.empty:
        return None
    space = colour.resolve_space(knobs.input_space, plate.metadata)
    linear = colour.to_linear(_straight(plate, window), space)
    return colour.face_luma(linear, face.landmarks - (window.x0, window.y0))


def shot_stops(
    plates: Frames, track: Track, knobs: ColourKnobs, part: str | int | None = None
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


def _look(
    way: _Way,
    plate: Plate,
    face: Face,
    network: Network,
    knobs: Knobs,
    stops: float,
    source: str,
) -> _Looked | None:
    """Run the stages up to the network; None where the face lies outside the plate."""
    points = hashlib.sha256(np.ascontiguousarray(face.landmarks).tobytes()).hexdigest()
    view = _view_of(network)
    square = "" if view is None else view.tobytes().hex()
    key = stage_key(f"{source} {points} {network.size} {square} {stops!r}", knobs.colour)
    seen = way("align", key, lambda: _see(plate, face, network.size, view, knobs.colour, stops))
    if seen is None:
        return None
    inferred_key = stage_key(f"{key} {network.sha256}", knobs.identity)
    inference = way("infer", inferred_key, lambda: _infer(network, seen, knobs.identity))
    front = None
    if knobs.mask.mask_occlusion > 0.0:
        crop = seen.crop
        front = way("occlusion", key, lambda: occluder.look(crop.pixels, crop.landmarks))
    hull = way("hull", key, lambda: _hull(seen))
    return _Looked(key, inferred_key, seen, inference, front, hull)


def _passed(plate: Plate, knobs: Knobs, way: _Way, with_layers: bool) -> Result:
    """Return a frame without a face: the plate itself, or nothing of what a view would show."""
    shown = plate if knobs.view.view == "result" else _black(plate)
    statistics = Statistics(found=False, milliseconds=way.milliseconds)
    return Result(shown, statistics, empty(plate) if with_layers else {})


def _view_of(model: Network | Elsewhere | None) -> align.Affine | None:
    """Return the way from the canonical square to a model's; None where they are the same."""
    return templates.view(model.template, model.size) if isinstance(model, Elsewhere) else None


def _reach(matrix: align.Affine, view: align.Affine | None) -> Window:
    """Return the plate window that holds the canonical square, and a model's own."""
    square = align.covered(matrix, (0.0, 0.0), (1.0, 1.0))
    if view is None:
        return square
    other = align.covered(align.chain(matrix, view), (0.0, 0.0), (1.0, 1.0))
    return Window(
        min(square.x0, other.x0),
        min(square.y0, other.y0),
        max(square.x1, other.x1),
        max(square.y1, other.y1),
    )


def _see(
    plate: Plate,
    face: Face,
    size: int,
    view: align.Affine | None,
    knobs: ColourKnobs,
    stops: float,
) -> _Seen | None:
    """Cut the face's square out of the plate, bring it to working encoding and align it."""
    matrix = align.fit(face.landmarks, plate.pixel_aspect)
    if align.bounds(matrix, plate.window).empty:
        return None
    window = _reach(matrix, view).intersection(plate.window)
    if window.empty:
        return None
    space = colour.resolve_space(knobs.input_space, plate.metadata)
    exposure = knobs.exposure + (stops if knobs.auto_exposure else 0.0)
    shown, beyond = _working(plate, window, space, exposure)
    pixels = _in_range(align.to_crop(shown, window, matrix, size))
    if beyond is not None:
        beyond = _in_range(align.to_crop(beyond, window, matrix, size))
    crop = Crop(pixels, matrix, align.transform(face.landmarks, matrix), beyond)
    return _Seen(window, shown, crop, space, exposure)


def _in_range(pixels: Image) -> Image:
    """Hold what was resampled to 0..1: a filter's overshoot is none of the picture's."""
    return np.clip(pixels, 0.0, 1.0, out=pixels)


def _infer(network: Network, seen: _Seen, knobs: InferKnobs) -> Inference:
    """Let the network look at the face, from one crop or from several, and return the mean.

    Where a crop lies by a pixel or two decides a little of what a network draws, and that little
    changes from frame to frame. In the mean of several crops it mostly cancels.
    """
    view = _view_of(network)
    if view is not None:
        return _infer_elsewhere(network, view, seen, knobs)
    first = network.infer(seen.crop.pixels, knobs.identity_strength)
    if knobs.looks == 1:
        return first
    size = network.size
    cut = align.cropping(seen.shown, seen.window, seen.crop.matrix, size)
    faces, own = [_joined(first.rgb, first.matte)], [first.own]
    for nudged in _VIEWS[: knobs.looks - 1]:
        nudge = align.nudge(*nudged)
        crop = _in_range(cut(align.chain(seen.crop.matrix, nudge)))
        look = network.infer(crop, knobs.identity_strength)
        back = align.invert(nudge)
        back[:, 2] *= size  # from canonical units to pixels of the crop
        faces.append(_resampled(_joined(look.rgb, look.matte), back))
        own.append(None if look.own is None else _resampled(look.own, back))
    face = _mean(faces)
    drawn = [each for each in own if each is not None]
    return Inference(face[..., :3].copy(), face[..., 3].copy(), _mean(drawn) if drawn else None)


def _infer_elsewhere(
    network: Network, view: align.Affine, seen: _Seen, knobs: InferKnobs
) -> Inference:
    """Let a network that looks at another square look there, and bring here what it changes.

    Its crops are cut from the plate itself, and of its answers the change alone is carried over and
    averaged: what it leaves as it is stays as it is here, however often it looks.
    """
    size, crop = network.size, seen.crop.pixels
    cut = align.cropping(seen.shown, seen.window, align.chain(seen.crop.matrix, view), size)
    rgb, mattes, own = [], [], []
    for nudge in ((0.0, 0.0, 0.0, 1.0), *_VIEWS[: knobs.looks - 1]):
        there = align.chain(align.nudge(*nudge), view)
        other = _in_range(cut(align.chain(seen.crop.matrix, there)))
        look = network.infer(other, knobs.identity_strength)
        back = align.invert(there)
        back[:, 2] *= size
        shape, nothing = (size, size), cv2.BORDER_CONSTANT
        edge = cv2.BORDER_REPLICATE  # where the matte is 0
        rgb.append(align.resample(look.rgb - other, back, shape, border=edge))
        mattes.append(_in_range(align.resample(look.matte, back, shape, border=nothing)))
        if look.own is not None:
            own.append(align.resample(look.own - other, back, shape, border=edge))
    drawn = _in_range(crop + _mean(rgb))
    return Inference(drawn, _mean(mattes), _in_range(crop + _mean(own)) if own else None)


def _joined(rgb: Image, matte: Image) -> Image:
    return np.asarray(cv2.merge([*cv2.split(rgb), matte]), np.float32)


def _mean(pictures: Sequence[Image]) -> Image:
    total = pictures[0].copy()
    for picture in pictures[1:]:
        total += picture
    total *= np.float32(1.0 / len(pictures))
    return total


def _resampled(picture: Image, matrix: NDArray[np.float64]) -> Image:
    """Warp what a network drew."""
    return _in_range(
        align.resample(picture, matrix, picture.shape[:2], border=cv2.BORDER_REPLICATE)
    )


def _hull(seen: _Seen) -> Image:
    return matte.hull_mask(seen.crop.landmarks, matte.working_size(seen.crop))


def _matte(
    seen: _Seen, inference: Inference, hull: Image, front: Image | None, knobs: MatteKnobs
) -> Image:
    """Return the matte in the canonical square."""
    return matte.canonical_matte(seen.crop, inference, hull, _held_out(front, knobs), knobs)


def _weights(inference: Inference, hull: Image, front: Image | None, knobs: MatteKnobs) -> Image:
    """Return where light and colour are measured: the face, whatever part of it is replaced."""
    return matte.face_weights(inference, hull, _held_out(front, knobs))


def _held_out(front: Image | None, knobs: MatteKnobs) -> Image | None:
    return None if front is None else occluder.held_out(front, knobs.mask_occlusion)


def _box(canonical: Image, seen: _Seen, roto: Roto | None, knobs: MatteKnobs) -> Window:
    """Return the window of all pixels that a matte may reach, on a grid: it seldom moves."""
    boxes = []
    if canonical.any():
        size = canonical.shape[0]
        rows = np.flatnonzero(canonical.any(axis=1))
        columns = np.flatnonzero(canonical.any(axis=0))
        low = ((columns[0] - 1) / size, (rows[0] - 1) / size)
        high = ((columns[-1] + 2) / size, (rows[-1] + 2) / size)
        boxes.append(align.covered(seen.crop.matrix, low, high).grown(1))
    if roto is not None and matte.roto_adds(knobs):
        boxes.append(roto.window)
    box = seen.window
    if boxes:
        box = Window(
            min(each.x0 for each in boxes) // _GRID * _GRID,
            min(each.y0 for each in boxes) // _GRID * _GRID,
            -(-max(each.x1 for each in boxes) // _GRID) * _GRID,
            -(-max(each.y1 for each in boxes) // _GRID) * _GRID,
        ).intersection(seen.window)
    return seen.window if box.empty else box


def _laid_matte(
    canonical: Image, seen: _Seen, box: Window, roto: Roto | None, knobs: MatteKnobs
) -> Matte:
    pixels = align.to_plate(canonical, seen.crop.matrix, box, outside=0.0)
    return matte.with_roto(Matte(_clean(pixels), box), roto, knobs)


def _grain(seen: _Seen, hull: Image) -> blend.Grain:
    """Measure the plate's grain on the face."""
    scale = 1.0 / float(np.hypot(*seen.crop.matrix[:, 1])) / seen.crop.pixels.shape[0]
    inside = align.to_plate(hull, seen.crop.matrix, seen.window, outside=0.0)
    return blend.grain_of(seen.shown, inside, scale)


def _another(seen: _Seen, inference: Inference, strength: float) -> Image:
    """Return where the face becomes another's, and the plate's finest detail has to leave."""
    another = blend.changed(inference, seen.crop, strength)
    kept = blend.away_from_highlights(seen.crop)
    return another if kept is None else another * kept


def _laid_grain(seen: _Seen, another: Image, grain: blend.Grain, box: Window, frame: int) -> Image:
    """Return the plate's grain that is too fine for the crop, over a window of the plate."""
    packed = cv2.merge([*cv2.split(seen.crop.pixels), another])
    laid = align.to_plate(np.asarray(packed, np.float32), seen.crop.matrix, box)
    return blend.plate_grain(seen.shown[box.slices(seen.window)], laid, grain, frame)


def _change(
    seen: _Seen,
    inference: Inference,
    weights: Image,
    another: Image,
    around: Sequence[tuple[int, blend.Colours]],
    grain: blend.Grain | None,
    frame: int,
    knobs: Knobs,
) -> Image:
    """Return the new face as what it changes of the plate's crop, packed for the way there."""
    strength = knobs.identity.identity_strength
    own = blend.colours(seen.crop, inference, weights, knobs.match)
    steady = blend.calmed(around) or own
    change = blend.match(seen.crop, inference, weights, strength, knobs.match, steady, grain, frame)
    kept = blend.away_from_highlights(seen.crop)
    if kept is not None:
        change = change * kept[..., None]
    return blend.packed(seen.crop.pixels, change, another)


def _patch(
    plate: Plate,
    seen: _Seen,
    change: Image,
    grain: Image | None,
    box: Window,
    grain_match: float,
) -> Patch:
    """Bring the canonical change to the plate's resolution and exposure."""
    lay = align.laying(change, seen.crop.matrix)
    light = np.empty((box.height, box.width, 3), np.float32)
    for strip in _strips(box):
        rows = strip.slices(box)
        noise = None if grain is None else grain[rows]
        linear = _linear(plate, strip, seen.space)
        blend.lay_in(linear, lay(strip), light[rows], noise, grain_match, seen.stops)
    return Patch(light, box)


def _finish(
    plate: Plate, seen: _Seen, patch: Patch, drawn: Matte, knobs: Knobs
) -> tuple[Plate, Window | None]:
    """Lay the face in, in the plate's own space, premultiplied as it was."""
    change, share = blend.composite(patch.change, drawn.pixels, knobs.blend)
    window = matte.window_of(Matte(share, drawn.window))
    if window.empty:
        return plate, None
    inside = window.slices(drawn.window)
    change, share = change[inside], share[inside]
    if seen.space != colour.LINEAR:  # where a share of a change is no share of its code
        change, share = change * share[..., None], (share > 0.0).astype(np.float32)
    step = _in_plate_space(plate, window, change, seen.space)
    return plate.with_change(step, window, share), window


def _in_plate_space(plate: Plate, window: Window, change: Image, space: str) -> Image:
    """Carry a change of linear light to the plate's own space, premultiplied as the plate is."""
    if space != colour.LINEAR:
        linear = _linear(plate, window, space)
        change = colour.from_linear(linear + change, space) - colour.from_linear(linear, space)
    opacity = plate.opacity(window)
    return change if opacity is None else change * opacity[..., None]


def _layers(plate: Plate, seen: _Seen, patch: Patch, drawn: Matte) -> Mapping[str, Image]:
    picture = finite(plate.picture(patch.window))
    face = picture + _in_plate_space(plate, patch.window, patch.change, seen.space)
    crop = seen.crop
    return layers(plate, patch.window, crop.matrix, crop.landmarks, face, drawn.pixels)


def _view(
    plate: Plate,
    finished: Plate,
    seen: _Seen,
    face: Face,
    inference: Inference,
    drawn: Matte,
    patch: Patch,
    knobs: Knobs,
) -> Plate:
    """Return what the view knob asks for, as a plate of the same windows."""
    view, box = knobs.view.view, patch.window
    if view == "result":
        return finished
    if view == "difference":
        change = finished.picture(box) - plate.picture(box)
        return _shown(_black(plate), finite(np.abs(change)), box)
    if view == "matte":
        return _shown(_black(plate), np.repeat(drawn.pixels[..., None], 3, axis=2), box)
    if view == "patch":
        linear = _linear(plate, box, seen.space) + patch.change
        return _shown(_black(plate), colour.from_linear(linear, seen.space), box)
    if view == "canonical":
        picture = colour.decode(inference.rgb, seen.stops)
        whole = align.to_plate(picture, seen.crop.matrix, seen.window, outside=0.0)
        return _shown(_black(plate), colour.from_linear(whole, seen.space), seen.window)
    return _with_landmarks(plate, face, seen)


def _with_landmarks(plate: Plate, face: Face, seen: _Seen) -> Plate:
    """Draw the landmarks as green discs, one percent of the face wide, at the face's level."""
    square = 1.0 / float(np.hypot(*seen.crop.matrix[:, 1]))
    radius = max(0.006 * square, 1.0)
    drawn = np.zeros(seen.shown.shape[:2], np.float32)
    for x, y in face.landmarks - (seen.window.x0 + 0.5, seen.window.y0 + 0.5):
        centre = (round(16 * float(x)), round(16 * float(y)))
        cv2.circle(drawn, centre, round(16 * radius), 1.0, -1, cv2.LINE_8, 4)
    level = colour.EXPOSURE_TARGET * 4.0 * 2.0**-seen.stops
    green = colour.from_linear(np.full((1, 1, 3), (0, level, 0), np.float32), seen.space)
    pixels = np.broadcast_to(green, seen.shown.shape)
    return plate.with_picture(np.asarray(pixels, np.float32), seen.window, drawn > 0.5)


def _working(plate: Plate, window: Window, space: str, stops: float) -> tuple[Image, Image | None]:
    """Return a window in the working encoding, held to 0..1, and what of it is blown out."""
    shown = np.empty((window.height, window.width, 3), np.float32)
    beyond = np.empty(shown.shape[:2], np.float32)
    blown = False
    for strip in _strips(window):
        rows = strip.slices(window)
        light = _linear(plate, strip, space)
        blown |= blend.expose(light, stops, shown[rows], beyond[rows])
    return shown, beyond if blown else None


def _strips(window: Window) -> Iterator[Window]:
    """Cut a window into strips of rows, which stay in the processor's cache between two steps."""
    for top in range(window.y0, window.y1, _STRIP):
        yield Window(window.x0, top, window.x1, min(top + _STRIP, window.y1))


def _linear(plate: Plate, window: Window, space: str) -> Image:
    """Return a window of the plate in linear Rec.709, not premultiplied, finite."""
    return finite(colour.to_linear(_straight(plate, window), space))


def _straight(plate: Plate, window: Window) -> Image:
    """Return the picture without premultiplication (where alpha is 0 there is none to undo)."""
    picture, opacity = plate.picture(window), plate.opacity(window)
    if opacity is None:
        return picture
    return np.asarray(picture / np.where(opacity > 0.0, opacity, 1.0)[..., None], np.float32)


def _clean(pixels: Image) -> Image:
    """Clip a resampled matte to 0..1; what is below a code of 12 bits is nothing."""
    held = np.clip(pixels, 0.0, 1.0)
    held *= held >= np.float32(1.0 / 4096.0)
    return held


def _black(plate: Plate) -> Plate:
    everywhere = np.ones((plate.window.height, plate.window.width), bool)
    return plate.with_picture(
        np.zeros((*everywhere.shape, 3), np.float32), plate.window, everywhere
    )


def _shown(plate: Plate, pixels: Image, window: Window) -> Plate:
    return plate.with_picture(pixels, window, np.ones(pixels.shape[:2], bool))


def _digest(around: Sequence[tuple[int, blend.Colours]]) -> str:
    digest = hashlib.sha256()
    for distance, found in around:
        digest.update(repr(distance).encode())
        for each in (found.face, found.plate):
            digest.update(repr(each.weight).encode())
            for values in (each.mean, each.covariance, each.quantiles):
                digest.update(np.ascontiguousarray(values).tobytes())
    return digest.hexdigest()


class _Way:
    """Runs stages: asks before each whether to go on, looks it up, and measures it by name."""

    def __init__(self, cancel: Callable[[], bool], cache: StageCache | None) -> None:
        self.milliseconds: dict[str, float] = {}
        self._cancel = cancel
        self._cache = cache

    def __call__(self, stage: str, key: str, make: Callable[[], Made]) -> Made:
        with self.timed(stage):
            if self._cache is None or not key:
                return make()
            return self._cache.get(f"{stage} {key}", make)

    @contextmanager
    def timed(self, stage: str) -> Iterator[None]:
        if self._cancel():
            raise Cancelled("cancelled before this frame was finished")
        start = time.perf_counter()
        yield
        took = 1000.0 * (time.perf_counter() - start)
        self.milliseconds[stage] = self.milliseconds.get(stage, 0.0) + took
