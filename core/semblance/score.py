"""How close a result comes to the exact truth of a shot, in figures that can be compared.

Every metric is a pure function of arrays; `score_frames` takes them over pictures in memory and
`score_shot` over files. Figures are taken in the working encoding at the shot's one exposure,
unless a function says scene-linear, on float32 that is never clipped, inside the truth mask
(`inside`: mask > 0.5). docs/score.md says what each figure means and what is good.

References
----------
SSIM: Wang, Bovik, Sheikh and Simoncelli, "Image quality assessment: from error visibility to
structural similarity", IEEE TIP 13(4), 2004, section III, with a uniform window and the sample
covariance.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from types import MappingProxyType
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from semblance import align, colour, matte, pipeline
from semblance.errors import InputError, PlateError, frame_context
from semblance.exr import Sequence, read_plate, read_roto
from semblance.face import Face, Roto, Track
from semblance.knobs import ColourKnobs
from semblance.plate import Plate, Window
from semblance.track.analyse import find_faces
from semblance.track.provider import FaceProvider

__all__ = [
    "Pictures",
    "Score",
    "ShotScore",
    "Worst",
    "expression",
    "flicker",
    "hdr",
    "light",
    "occluder",
    "outside",
    "progress",
    "psnr",
    "residual",
    "score_frames",
    "score_shot",
    "seam",
    "ssim",
]

Image = NDArray[np.float32]
Mask = NDArray[np.bool_]

SSIM_WINDOW = 7
"""Side of the uniform window, in pixels."""

OCCLUDER_STEP = 2.0 / 255.0
"""Change, in the working encoding, from which a pixel under an occluder counts as changed."""

_MARGIN = SSIM_WINDOW
"""Pixels around the face that are read along, for windows and gradients on its border."""

_HULL_SIZE = 256
"""Resolution at which the face's hull is drawn."""

_FEATURES = slice(36, 68)
"""Eyes and mouth among the 68 landmarks."""


@dataclass(frozen=True)
class Score:
    """The figures of one frame; None where one can't be taken.

    Parameters
    ----------
    frame : int
    psnr, ssim : float
        Result against truth; `psnr` is infinite where they are equal.
    plate_psnr, plate_ssim : float or None
        The untouched plate against the truth, beside which the former are quoted.
    progress, residual : float or None
        Share of the way from plate to truth, and what was changed beside it.
    flicker : float or None
        Against the frame before; None on the first frame and after a gap.
    seam : float or None
    light_slope, light_correlation : float or None
    expression : float or None
    occluder : float or None
    hdr_max, hdr_high : float or None
        Largest value and 99.9th percentile, result over truth.
    outside : int or None
        Pixels without matte whose bits are not the plate's.
    """

    frame: int
    psnr: float
    ssim: float
    plate_psnr: float | None = None
    plate_ssim: float | None = None
    progress: float | None = None
    residual: float | None = None
    flicker: float | None = None
    seam: float | None = None
    light_slope: float | None = None
    light_correlation: float | None = None
    expression: float | None = None
    occluder: float | None = None
    hdr_max: float | None = None
    hdr_high: float | None = None
    outside: int | None = None

    def figures(self) -> dict[str, float]:
        """Return the figures that were taken, by name."""
        return {
            name: value
            for name, value in asdict(self).items()
            if name != "frame" and value is not None
        }


@dataclass(frozen=True)
class Worst:
    """A figure where it is worst, and the frame that has it."""

    value: float
    frame: int


@dataclass(frozen=True)
class ShotScore:
    """The figures of a shot.

    Parameters
    ----------
    frames : tuple of Score
        In order.
    mean : mapping of str to float
        By figure, over the frames that have it. Infinite decibels are left out of a mean, unless
        all are: one frame that is the truth itself would hide all others.
    worst : mapping of str to Worst
        By figure.
    stops : float
        Exposure of the working encoding.
    skipped : tuple of int
        Frames with nothing inside the truth mask.
    """

    frames: tuple[Score, ...]
    mean: Mapping[str, float]
    worst: Mapping[str, Worst]
    stops: float
    skipped: tuple[int, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Return plain values; figures that were not taken are absent, infinite ones are null."""
        return {
            "encoding": colour.WORKING,
            "stops": round(self.stops, 4),
            "mean": {name: _plain(value) for name, value in self.mean.items()},
            "worst": {
                name: {"value": _plain(worst.value), "frame": worst.frame}
                for name, worst in self.worst.items()
            },
            "frames": {
                str(score.frame): {name: _plain(value) for name, value in score.figures().items()}
                for score in self.frames
            },
            "skipped": list(self.skipped),
        }


@dataclass(frozen=True)
class Pictures:
    """What is known of one frame.

    Parameters
    ----------
    frame : int
    result, truth : Plate
        Our picture and the perfect one.
    mask : Roto
        The truth mask: where they are compared.
    plate : Plate or None
        The performer's frame, for what is measured from it.
    matte : (h, w) float32 array or None
        Our matte over the result's data window, for `outside`.
    face : Face or None
        The performer's face, for the face's width and hull.
    points : (68, 2) array or None
        The truth's own landmarks, for `expression`.
    """

    frame: int
    result: Plate
    truth: Plate
    mask: Roto
    plate: Plate | None = None
    matte: Image | None = None
    face: Face | None = None
    points: NDArray[np.float64] | None = None


# ----------------------------------------------------------------------------------- the metrics


def psnr(result: Image, truth: Image, inside: Mask) -> float:
    """Return the peak signal-to-noise ratio: −10 log10 of the mean squared difference inside.

    Parameters
    ----------
    result, truth : (h, w, 3) float32 array
        Working encoding, not clipped; the peak is 1.
    inside : (h, w) bool array
        With a pixel at least.

    Returns
    -------
    float
        Decibels; infinite where there is no difference.
    """
    error = float(np.mean(np.square((result - truth)[inside], dtype=np.float64)))
    return -10.0 * math.log10(error) if error > 0.0 else math.inf


def ssim(result: Image, truth: Image, inside: Mask) -> float:
    """Return the mean structural similarity of luma over the windows whose centre is inside.

    Parameters
    ----------
    result, truth : (h, w, 3) float32 array
        Working encoding.
    inside : (h, w) bool array

    Returns
    -------
    float
        −1..1, 1 where they are equal. Windows are uniform, 7 × 7; K1 = 0.01, K2 = 0.03, range 1.
    """
    a, b = (colour.luma(image).astype(np.float64) for image in (result, truth))
    count = SSIM_WINDOW**2
    mean_a, mean_b = _window_mean(a), _window_mean(b)
    sample = count / (count - 1)
    var_a = sample * (_window_mean(a * a) - mean_a**2)
    var_b = sample * (_window_mean(b * b) - mean_b**2)
    shared = sample * (_window_mean(a * b) - mean_a * mean_b)
    c1, c2 = 0.01**2, 0.03**2
    similarity = (2.0 * mean_a * mean_b + c1) * (2.0 * shared + c2)
    similarity /= (mean_a**2 + mean_b**2 + c1) * (var_a + var_b + c2)
    return float(similarity[inside].mean())


def progress(result: Image, plate: Image, truth: Image, inside: Mask) -> float | None:
    """Return ⟨O − G0, G1 − G0⟩ / ‖G1 − G0‖² inside: 0 is the plate, 1 the whole way to the truth.

    Parameters
    ----------
    result, plate, truth : (h, w, 3) float32 array
        O, G0 and G1, working encoding.
    inside : (h, w) bool array

    Returns
    -------
    float or None
        May leave 0..1; None where plate and truth are equal.
    """
    way = _difference(truth, plate, inside)
    length = float(way @ way)
    return float(_difference(result, plate, inside) @ way) / length if length > 0.0 else None


def residual(result: Image, plate: Image, truth: Image, inside: Mask) -> float | None:
    """Return ‖(O − G0) − progress·(G1 − G0)‖ / ‖G1 − G0‖ inside: change beside that way.

    Parameters are those of `progress`; it is this frame's own.

    Returns
    -------
    float or None
        >= 0; None where plate and truth are equal.
    """
    share = progress(result, plate, truth, inside)
    if share is None:
        return None
    way = _difference(truth, plate, inside)
    beside = _difference(result, plate, inside) - share * way
    return math.sqrt(float(beside @ beside) / float(way @ way))


def flicker(result: tuple[Image, Image], truth: tuple[Image, Image], inside: Mask) -> float | None:
    """Return mean |ΔO − ΔG1| / mean |ΔG1| inside, Δ from a frame to the next.

    Parameters
    ----------
    result, truth : pair of (h, w, 3) float32 array
        Two successive frames, working encoding.
    inside : (h, w) bool array
        Inside the mask of both.

    Returns
    -------
    float or None
        0 where the result moves as the truth does, 1 where it stands still; None where the truth
        does or nothing is inside.
    """
    if not inside.any():
        return None
    moved = (truth[1] - truth[0])[inside]
    scale = float(np.abs(moved).mean(dtype=np.float64))
    error = np.abs((result[1] - result[0])[inside] - moved).mean(dtype=np.float64)
    return float(error) / scale if scale > 0.0 else None


def seam(result: Image, truth: Image, mask: Image) -> float | None:
    """Return the mean gradient of luma on the matte's edge (0.1 < mask < 0.9), over the truth's.

    Parameters
    ----------
    result, truth : (h, w, 3) float32 array
        Working encoding.
    mask : (h, w) float32 array
        The truth mask, 0..1.

    Returns
    -------
    float or None
        1 is seamless, more a visible edge, far less a smear; None without an edge.
    """
    ring = (mask > 0.1) & (mask < 0.9)
    if not ring.any():
        return None
    steep = [
        float(np.hypot(*np.gradient(colour.luma(image)))[ring].mean(dtype=np.float64))
        for image in (result, truth)
    ]
    return steep[0] / steep[1] if steep[1] > 0.0 else None


def light(
    result: Image, truth: Image, inside: Mask, face_width: float
) -> tuple[float, float] | None:
    """Return slope and correlation of the low-passed luma of the result over the truth's.

    Parameters
    ----------
    result, truth : (h, w, 3) float32 array
        Scene-linear.
    inside : (h, w) bool array
        Nothing outside it enters the low-pass.
    face_width : float
        Pixels; the Gaussian's deviation is a sixth of it.

    Returns
    -------
    (float, float) or None
        Least-squares slope (with an offset) and Pearson's correlation; None where the light of one
        of them is perfectly even.
    """
    weight = inside.astype(np.float32)
    sigma = face_width / 6.0
    norm = cv2.GaussianBlur(weight, (0, 0), sigma)
    ours, theirs = (
        (cv2.GaussianBlur(colour.luma(image) * weight, (0, 0), sigma) / np.maximum(norm, 1e-6))[
            inside
        ].astype(np.float64)
        for image in (result, truth)
    )
    ours, theirs = ours - ours.mean(), theirs - theirs.mean()
    energy = float(ours @ ours), float(theirs @ theirs)
    if min(energy) <= 0.0:
        return None
    shared = float(ours @ theirs)
    return shared / energy[1], shared / math.sqrt(energy[0] * energy[1])


def hdr(result: Image, truth: Image, inside: Mask) -> tuple[float, float] | None:
    """Return the largest value and the 99.9th percentile of all channels, over the truth's.

    Parameters
    ----------
    result, truth : (h, w, 3) float32 array
        Scene-linear.
    inside : (h, w) bool array

    Returns
    -------
    (float, float) or None
        1 where highlights are kept; None where the truth has none above 0.
    """
    highs = [
        (float(image[inside].max()), float(np.percentile(image[inside], 99.9)))
        for image in (result, truth)
    ]
    if min(highs[1]) <= 0.0:
        return None
    return highs[0][0] / highs[1][0], highs[0][1] / highs[1][1]


def occluder(result: Image, plate: Image, covered: Mask) -> float | None:
    """Return the share of covered pixels that a channel of the result changes by over 2/255.

    Parameters
    ----------
    result, plate : (h, w, 3) float32 array
        Working encoding.
    covered : (h, w) bool array
        Inside the face's hull where the truth mask is 0.

    Returns
    -------
    float or None
        0..1; None where nothing covers the face.
    """
    if not covered.any():
        return None
    change = np.abs(result - plate)[covered].max(axis=1)
    return float((change > OCCLUDER_STEP).mean())


def outside(result: Plate, plate: Plate, matte: Image) -> int:
    """Count the pixels without matte of which any channel's bits are not the plate's.

    Parameters
    ----------
    result, plate : Plate
    matte : (h, w) float32 array
        Over the plate's data window; 0 is outside.

    Returns
    -------
    int
        All pixels outside count where a channel is missing or of another type.

    Raises
    ------
    PlateError
        The data windows differ, or the matte's size.
    """
    if result.data_window != plate.data_window or matte.shape != _shape(plate.data_window):
        raise PlateError(
            f"the result's data window is {_written(result.data_window)} and its matte has "
            f"{matte.shape[1]} × {matte.shape[0]} pixels, the plate's is "
            f"{_written(plate.data_window)}",
            "Give the result and the matte of this plate.",
        )
    differs = np.zeros(matte.shape, bool)
    for name, pixels in plate.channels.items():
        ours = result.channels.get(name)
        if ours is None or ours.dtype != pixels.dtype:
            differs[:] = True
        else:
            differs |= _bits(ours) != _bits(pixels)
    return int((differs & (matte == 0.0)).sum())


def expression(
    result: Image,
    truth: Image,
    points: NDArray[np.float64],
    provider: FaceProvider,
    pixel_aspect: float = 1.0,
) -> float | None:
    """Return the tracker's error on the result's eyes and mouth, over its error on the truth's.

    Parameters
    ----------
    result, truth : (h, w, 3) float32 array
        Scene-linear, whole frames.
    points : (68, 2) array
        The truth's landmarks in pixels of these arrays, pixel centres at +0.5, y down.
    provider : FaceProvider
        The tracker.
    pixel_aspect : float
        Width of a pixel over its height.

    Returns
    -------
    float or None
        1 where nothing of the expression is lost; None where a face is not found in both.
    """
    errors = []
    for picture in (result, truth):
        found = find_faces(picture, pixel_aspect, provider)
        if not found:
            return None
        errors.append(min(_feature_error(one.landmarks, points) for one in found))
    return errors[0] / errors[1] if errors[1] > 0.0 else None


# -------------------------------------------------------------------------------------- the shot


def score_shot(
    result: Sequence,
    truth: Sequence,
    mask: Sequence,
    *,
    track: Track,
    frames: Iterable[int],
    plate: Sequence | None = None,
    matte: Sequence | None = None,
    input_space: str = "auto",
    provider: FaceProvider | None = None,
    points: Mapping[int, NDArray[np.float64]] = MappingProxyType({}),
) -> ShotScore:
    """Score the files of a shot.

    Parameters
    ----------
    result, truth, mask : Sequence
        Our frames, the perfect ones, and the truth mask.
    track : Track
        Of the plate; gives the exposure (the faces' luma, measured where it holds none) and the
        face's width and hull.
    frames : iterable of int
        Which frames, ascending.
    plate : Sequence, optional
        The performer's frames; without them progress, residual, occluder, outside and the plate's
        own figures are not taken.
    matte : Sequence, optional
        Our matte (the result rendered with ``view=matte``); without it `outside` is not taken.
    input_space : str
        As the knob.
    provider : FaceProvider, optional
        A tracker; with `points` it gives `expression`.
    points : mapping of int to (68, 2) array
        The truth's landmarks by frame.

    Returns
    -------
    ShotScore

    Raises
    ------
    PlateError
        A file can't be read, is of another size than the truth, or holds what is not a number
        inside the mask; names frame and file.
    InputError
        There is nothing inside the mask in any frame.
    """

    def read() -> Iterator[Pictures]:
        for frame in frames:
            yield Pictures(
                frame,
                _read(result, frame),
                _read(truth, frame),
                _read_mask(mask, frame),
                None if plate is None else _read(plate, frame),
                None if matte is None else _read(matte, frame).picture()[..., 0],
                track.faces.get(frame),
                points.get(frame),
            )

    frames = tuple(frames)
    measured = truth if plate is None else plate
    stops = pipeline.shot_stops(measured, track, ColourKnobs(input_space=input_space))
    return score_frames(read(), stops=stops, input_space=input_space, provider=provider)


def score_frames(
    pictures: Iterable[Pictures],
    *,
    stops: float,
    input_space: str = "auto",
    provider: FaceProvider | None = None,
) -> ShotScore:
    """Score frames in memory; parameters and errors are those of `score_shot`.

    Parameters
    ----------
    pictures : iterable of Pictures
        In ascending order; one is held at a time, and the one before.
    stops : float
        Exposure of the working encoding, one for the shot.
    input_space : str
        As the knob.
    provider : FaceProvider, optional
        A tracker, for `expression`.
    """
    scores: list[Score] = []
    skipped: list[int] = []
    before: _Seen | None = None
    for picture in pictures:
        with frame_context(picture.frame, picture.result.path):
            seen = _see(picture, stops, input_space)
            if seen is None:
                skipped.append(picture.frame)
            else:
                score = _score(picture, seen, before)
                scores.append(_with_expression(score, picture, input_space, provider))
            before = seen
    if not scores:
        raise InputError(
            f"nothing is inside the truth mask in any of {len(skipped)} frames, expected pixels "
            "above 0.5",
            "Give the mask of this shot, and frames in which the face is seen.",
        )
    return _summed(tuple(scores), stops, tuple(skipped))


@dataclass(frozen=True)
class _Seen:
    """The pictures over the face's window: scene-linear and in the working encoding."""

    frame: int
    window: Window
    mask: Image
    inside: Mask
    linear: Mapping[str, Image]
    working: Mapping[str, Image]


def _see(pictures: Pictures, stops: float, input_space: str) -> _Seen | None:
    """Cut the face out of all pictures and encode it; None where the mask holds nothing."""
    given = {"result": pictures.result, "truth": pictures.truth}
    if pictures.plate is not None:
        given["plate"] = pictures.plate
    _check_sizes(given)
    common = pictures.mask.window
    for picture in given.values():
        common = common.intersection(picture.data_window)
    mask = pictures.mask.pixels[common.slices(pictures.mask.window)]
    held = _bounds(mask > 0.0, common)
    if held is None or not (mask > 0.5).any():
        return None
    window = _face_window(pictures.face, held).grown(_MARGIN).intersection(common)
    mask = mask[window.slices(common)]
    inside = mask > 0.5
    linear = {}
    for name, picture in given.items():
        space = colour.resolve_space(input_space, picture.metadata)
        linear[name] = colour.to_linear(picture.picture(window), space)
        if not np.isfinite(linear[name][inside]).all():
            raise PlateError(
                f"the {name} holds values inside the mask that are no finite numbers",
                "Render that frame again.",
            )
    working = {name: colour.encode(pixels, stops) for name, pixels in linear.items()}
    return _Seen(pictures.frame, window, mask, inside, linear, working)


def _score(pictures: Pictures, seen: _Seen, before: _Seen | None) -> Score:
    """Take all figures of a frame but `expression`, which needs more than the face's window."""
    ours, theirs = seen.working["result"], seen.working["truth"]
    score = Score(
        seen.frame,
        psnr(ours, theirs, seen.inside),
        ssim(ours, theirs, seen.inside),
        flicker=_flicker(before, seen),
        seam=seam(ours, theirs, seen.mask),
    )
    highs = hdr(seen.linear["result"], seen.linear["truth"], seen.inside)
    if highs is not None:
        score = replace(score, hdr_max=highs[0], hdr_high=highs[1])
    if pictures.face is not None:
        width = _face_width(pictures.face, pictures.truth.pixel_aspect)
        lit = light(seen.linear["result"], seen.linear["truth"], seen.inside, width)
        if lit is not None:
            score = replace(score, light_slope=lit[0], light_correlation=lit[1])
    if pictures.plate is None:
        return score
    plate = seen.working["plate"]
    score = replace(
        score,
        plate_psnr=psnr(plate, theirs, seen.inside),
        plate_ssim=ssim(plate, theirs, seen.inside),
        progress=progress(ours, plate, theirs, seen.inside),
        residual=residual(ours, plate, theirs, seen.inside),
    )
    if pictures.face is not None:
        covered = _hull(pictures.face, seen, pictures.plate.pixel_aspect) & (seen.mask == 0.0)
        score = replace(score, occluder=occluder(ours, plate, covered))
    if pictures.matte is not None:
        score = replace(score, outside=outside(pictures.result, pictures.plate, pictures.matte))
    return score


def _with_expression(
    score: Score, pictures: Pictures, input_space: str, provider: FaceProvider | None
) -> Score:
    if provider is None or pictures.points is None:
        return score
    window = pictures.result.data_window.intersection(pictures.truth.data_window)
    result, truth = (
        colour.to_linear(
            picture.picture(window), colour.resolve_space(input_space, picture.metadata)
        )
        for picture in (pictures.result, pictures.truth)
    )
    local = np.asarray(pictures.points, np.float64) - (window.x0, window.y0)
    aspect = pictures.truth.pixel_aspect
    return replace(score, expression=expression(result, truth, local, provider, aspect))


def _flicker(before: _Seen | None, seen: _Seen) -> float | None:
    """Return the flicker from the frame before, over the pixels inside the masks of both."""
    if before is None or before.frame + 1 != seen.frame:
        return None
    shared = before.window.intersection(seen.window)
    if shared.empty:
        return None
    old, new = shared.slices(before.window), shared.slices(seen.window)
    return flicker(
        (before.working["result"][old], seen.working["result"][new]),
        (before.working["truth"][old], seen.working["truth"][new]),
        before.inside[old] & seen.inside[new],
    )


# --------------------------------------------------------------------------------------- summing


def _below(value: float) -> float:
    return -value


def _above(value: float) -> float:
    return value


def _from_one(value: float) -> float:
    return abs(value - 1.0)


_BADNESS: Mapping[str, Callable[[float], float]] = MappingProxyType(
    {
        "psnr": _below,
        "ssim": _below,
        "plate_psnr": _below,
        "plate_ssim": _below,
        "progress": _below,
        "residual": _above,
        "flicker": _above,
        "seam": _from_one,
        "light_slope": _from_one,
        "light_correlation": _below,
        "expression": _above,
        "occluder": _above,
        "hdr_max": _from_one,
        "hdr_high": _from_one,
        "outside": _above,
    }
)
"""How far each figure is on its bad side: the worst frame has the most."""


def _summed(scores: tuple[Score, ...], stops: float, skipped: tuple[int, ...]) -> ShotScore:
    mean: dict[str, float] = {}
    worst: dict[str, Worst] = {}
    frames = [(score.frame, score.figures()) for score in scores]
    for name, badness in _BADNESS.items():
        taken = [Worst(float(one[name]), frame) for frame, one in frames if name in one]
        if not taken:
            continue
        finite = [figure.value for figure in taken if math.isfinite(figure.value)]
        mean[name] = sum(finite) / len(finite) if finite else math.inf
        worst[name] = max(taken, key=lambda figure: badness(figure.value))
    return ShotScore(scores, MappingProxyType(mean), MappingProxyType(worst), stops, skipped)


def _plain(value: float) -> float | None:
    return round(value, 6) if math.isfinite(value) else None


# --------------------------------------------------------------------------------------- helpers


def _window_mean(image: NDArray[np.float64]) -> NDArray[np.float64]:
    side = (SSIM_WINDOW, SSIM_WINDOW)
    return np.asarray(cv2.blur(image, side, borderType=cv2.BORDER_REFLECT), np.float64)


def _difference(a: Image, b: Image, inside: Mask) -> NDArray[np.float64]:
    return (a - b)[inside].astype(np.float64).ravel()


def _bits(pixels: NDArray[Any]) -> NDArray[Any]:
    return np.ascontiguousarray(pixels).view(f"u{pixels.dtype.itemsize}")


def _feature_error(landmarks: NDArray[np.floating], points: NDArray[np.float64]) -> float:
    away = np.asarray(landmarks, np.float64)[_FEATURES] - points[_FEATURES]
    return float(np.hypot(away[:, 0], away[:, 1]).mean())


def _face_width(face: Face, pixel_aspect: float) -> float:
    """Return the width of a face in plate pixels of its height's scale."""
    rows = align.fit(face.landmarks, pixel_aspect)[:, 1]
    return matte.FACE_WIDTH / float(np.hypot(rows[0], rows[1]))


def _hull(face: Face, seen: _Seen, pixel_aspect: float) -> Mask:
    """Return the pixels that the inner face would fill if nothing stood before it."""
    matrix = align.fit(face.landmarks, pixel_aspect)
    hull = matte.hull_mask(align.transform(face.landmarks, matrix), _HULL_SIZE)
    return align.to_plate(hull, matrix, seen.window, outside=0.0) > 0.99  # short of its soft edge


def _face_window(face: Face | None, held: Window) -> Window:
    """Return the window that holds the mask and the face's landmarks."""
    if face is None:
        return held
    low, high = np.floor(face.landmarks.min(axis=0)), np.ceil(face.landmarks.max(axis=0))
    return Window(
        min(held.x0, int(low[0])),
        min(held.y0, int(low[1])),
        max(held.x1, int(high[0])),
        max(held.y1, int(high[1])),
    )


def _bounds(there: Mask, origin: Window) -> Window | None:
    """Return the window of the true pixels of an array that lies at `origin`; None without one."""
    rows, columns = np.flatnonzero(there.any(axis=1)), np.flatnonzero(there.any(axis=0))
    if rows.size == 0:
        return None
    return Window(
        origin.x0 + int(columns[0]),
        origin.y0 + int(rows[0]),
        origin.x0 + int(columns[-1]) + 1,
        origin.y0 + int(rows[-1]) + 1,
    )


def _check_sizes(given: Mapping[str, Plate]) -> None:
    expected = given["truth"].display_window
    for name, picture in given.items():
        if picture.display_window != expected:
            raise PlateError(
                f"the {name}'s display window is {_written(picture.display_window)}, "
                f"the truth's {_written(expected)}",
                "Give frames of one shot at one size.",
            )


def _shape(window: Window) -> tuple[int, int]:
    return window.height, window.width


def _written(window: Window) -> str:
    return f"{window.width} × {window.height} at ({window.x0}, {window.y0})"


def _read(sequence: Sequence, frame: int) -> Plate:
    with frame_context(frame, sequence.path(frame)):
        return read_plate(sequence.path(frame))


def _read_mask(sequence: Sequence, frame: int) -> Roto:
    with frame_context(frame, sequence.path(frame)):
        return read_roto(sequence.path(frame))
