"""Laws of the scores: what truth, plate and known departures from them must come out as."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from skimage.metrics import structural_similarity

from conftest import a_face
from semblance import align, score
from semblance.errors import InputError, PlateError
from semblance.exr import Sequence, read_plate, write_plate
from semblance.face import Face, Roto, Track
from semblance.plate import Plate, Window
from semblance.track.provider import Detection

WINDOW = Window(0, 0, 120, 90)
FRAMES = (1001, 1002, 1003)
Y, X = np.mgrid[: WINDOW.height, : WINDOW.width].astype(np.float32) + np.float32(0.5)
MASK = np.clip((24.0 - np.hypot(X - 60.0, Y - 45.0)) / 5.0 + 0.5, 0.0, 1.0).astype(np.float32)
INSIDE = MASK > 0.5


def plate_of(picture: np.ndarray, dtype: type = np.float32) -> Plate:
    channels = {name: picture[..., i].astype(dtype) for i, name in enumerate("RGB")}
    channels["id"] = np.arange(picture.shape[0] * picture.shape[1], dtype=np.uint32).reshape(
        picture.shape[:2]
    )
    return Plate(channels, WINDOW, WINDOW)


def performer(frame: int) -> np.ndarray:
    """Skin under a moving wave with grain, and a highlight far above 1 on the face."""
    random = np.random.default_rng(frame)
    wave = 0.12 + 0.05 * np.sin(X / 9.0 + frame) + 0.04 * np.cos(Y / 13.0)
    picture = wave[..., None] * np.float32([1.3, 0.95, 0.7])
    picture = picture + random.normal(0.0, 0.004, picture.shape)
    picture[44:46, 62:66] = 30.0
    return picture.astype(np.float32)


def likeness(frame: int) -> np.ndarray:
    """Another face on it: brighter, with a structure of its own, inside the mask alone."""
    change = 0.03 + 0.04 * np.sin(X / 4.0 - 0.5 * frame) * np.cos(Y / 5.0)
    return (performer(frame) + (MASK * change)[..., None]).astype(np.float32)


class Shot:
    """A shot on disk, and whatever results a test lays beside it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.track = Track({frame: a_face() for frame in FRAMES}, (120, 90), frames=FRAMES)
        self.plate = self.lay("plate", {frame: performer(frame) for frame in FRAMES})
        self.truth = self.lay("truth", {frame: likeness(frame) for frame in FRAMES})
        self.mask = self.lay("mask", dict.fromkeys(FRAMES, np.repeat(MASK[..., None], 3, axis=2)))

    def lay(self, name: str, pictures: Mapping[int, np.ndarray]) -> Sequence:
        sequence = Sequence.parse(self.folder / f"{name}.####.exr")
        for frame, picture in pictures.items():
            write_plate(plate_of(picture), sequence.path(frame))
        return sequence

    def score(self, result: Sequence, **given: object) -> score.ShotScore:
        options = {"track": self.track, "frames": FRAMES, "plate": self.plate, **given}
        return score.score_shot(result, self.truth, self.mask, **options)


@pytest.fixture
def shot(tmp_path: Path) -> Shot:
    return Shot(tmp_path)


def test_the_truth_is_perfect(shot: Shot) -> None:
    found = shot.score(shot.truth)
    assert found.mean["psnr"] == math.inf
    perfect = {
        "ssim": 1.0, "progress": 1.0, "residual": 0.0, "flicker": 0.0, "seam": 1.0,
        "light_slope": 1.0, "light_correlation": 1.0, "hdr_max": 1.0, "hdr_high": 1.0,
    }  # fmt: skip
    for name, value in perfect.items():
        assert found.mean[name] == pytest.approx(value, abs=1e-9), name
        assert found.worst[name].value == pytest.approx(value, abs=1e-9), name
    assert found.frames[0].flicker is None, "there is no frame before the first"


def test_the_plate_has_made_no_progress_and_scores_as_the_plate(shot: Shot) -> None:
    mean = shot.score(shot.plate).mean
    assert mean["progress"] == 0.0
    assert mean["residual"] == 0.0
    assert mean["psnr"] == mean["plate_psnr"] < 40.0
    assert mean["ssim"] == mean["plate_ssim"] < 1.0


def test_one_frame_that_is_the_truth_does_not_hide_the_others(shot: Shot) -> None:
    pictures = {frame: likeness(frame) for frame in FRAMES}
    pictures[1002] = performer(1002)
    found = shot.score(shot.lay("result", pictures))
    assert math.isfinite(found.mean["psnr"])
    assert found.worst["psnr"].frame == 1002


def test_figures_do_not_depend_on_the_exposure_of_the_shot(shot: Shot, tmp_path: Path) -> None:
    bright = Shot(tmp_path)
    faces = {frame: replace(a_face(), luma=0.12 * 8.0) for frame in FRAMES}
    bright.track = replace(bright.track, faces=faces)
    bright.plate = bright.lay("bright", {frame: 8.0 * performer(frame) for frame in FRAMES})
    bright.truth = bright.lay("brighter", {frame: 8.0 * likeness(frame) for frame in FRAMES})
    here, there = shot.score(shot.plate), bright.score(bright.plate)
    assert there.stops == pytest.approx(here.stops - 3.0)
    assert dict(there.mean) == pytest.approx(dict(here.mean), rel=1e-5, abs=1e-7)


def test_only_bits_without_matte_count_as_outside(shot: Shot) -> None:
    matte = shot.lay("matte", dict.fromkeys(FRAMES, np.repeat(MASK[..., None], 3, axis=2)))
    inside = {frame: np.where(MASK[..., None] > 0.0, 7.0, performer(frame)) for frame in FRAMES}
    assert shot.score(shot.lay("result", inside), matte=matte).worst["outside"].value == 0
    beyond = {frame: performer(frame) for frame in FRAMES}
    beyond[1003][0, :2, 1] = np.nextafter(beyond[1003][0, :2, 1], np.float32(2.0))
    worst = shot.score(shot.lay("result", beyond), matte=matte).worst["outside"]
    assert (worst.value, worst.frame) == (2, 1003)


def test_outside_sees_signs_of_zero_other_channels_and_types_but_no_nan_that_stayed() -> None:
    picture = np.zeros((WINDOW.height, WINDOW.width, 3), np.float32)
    picture[5, 5] = np.nan
    plate = plate_of(picture)
    nothing = np.zeros(MASK.shape, np.float32)
    assert score.outside(plate, plate, nothing) == 0
    signed = dict(plate.channels) | {"R": np.where(X < 1.0, np.float32(-0.0), plate.channels["R"])}
    assert score.outside(replace(plate, channels=signed), plate, nothing) == WINDOW.height
    other = dict(plate.channels) | {"id": plate.channels["id"] + np.uint32(1)}
    assert score.outside(replace(plate, channels=other), plate, nothing) == MASK.size
    half = plate_of(picture, np.float16)
    assert score.outside(half, plate, MASK) == int((MASK == 0.0).sum())


@settings(max_examples=40, deadline=None)
@given(
    amount=st.floats(-0.5, 1.5),
    noise=arrays.arrays(np.float32, (8, 8, 3), elements=st.floats(-1.0, 1.0, width=16)),
)
def test_progress_is_the_amount_of_a_blend_and_residual_what_is_added(
    amount: float, noise: np.ndarray
) -> None:
    random = np.random.default_rng(0)
    plate, truth = random.random((2, 8, 8, 3)).astype(np.float32)
    inside = np.ones((8, 8), bool)
    way = (truth - plate).astype(np.float64)
    beside = noise - (noise * way).sum() / (way * way).sum() * way
    result = (plate + amount * way + beside).astype(np.float32)
    assert score.progress(result, plate, truth, inside) == pytest.approx(amount, abs=1e-5)
    expected = np.linalg.norm(beside) / np.linalg.norm(way)
    assert score.residual(result, plate, truth, inside) == pytest.approx(expected, abs=1e-5)


def test_psnr_of_an_even_offset_is_its_decibels_above_one_too() -> None:
    truth = np.full((6, 6, 3), 5.0, np.float32)
    inside = np.ones((6, 6), bool)
    assert score.psnr(truth + np.float32(0.1), truth, inside) == pytest.approx(20.0, abs=1e-4)


def test_ssim_is_the_reference_implementations() -> None:
    random = np.random.default_rng(2)
    truth = random.random((40, 50, 1)).astype(np.float32) * np.ones(3, np.float32)
    result = truth + random.normal(0.0, 0.1, (40, 50, 1)).astype(np.float32)
    _, similarity = structural_similarity(
        result[..., 0].astype(np.float64), truth[..., 0], win_size=7, data_range=1.0, full=True
    )
    inside = random.random((40, 50)) > 0.5
    assert score.ssim(result, truth, inside) == pytest.approx(similarity[inside].mean(), abs=1e-6)


def test_flicker_is_nothing_for_a_steady_error_and_one_for_a_still() -> None:
    truth = (likeness(1001), likeness(1002))
    steady = (truth[0] + np.float32(0.25), truth[1] + np.float32(0.25))
    assert score.flicker(steady, truth, INSIDE) == pytest.approx(0.0, abs=1e-5)
    assert score.flicker((truth[0], truth[0]), truth, INSIDE) == pytest.approx(1.0)
    assert score.flicker(steady, (truth[0], truth[0]), INSIDE) is None


def test_light_and_highlights_scale_with_the_result() -> None:
    truth = likeness(1001)
    assert score.light(truth * np.float32(1.5), truth, INSIDE, 60.0) == pytest.approx((1.5, 1.0))
    assert score.hdr(truth * np.float32(1.5), truth, INSIDE) == pytest.approx((1.5, 1.5))
    clipped = score.hdr(np.minimum(truth, 1.0), truth, INSIDE)
    assert clipped is not None
    assert clipped[0] == pytest.approx(1.0 / truth[INSIDE].max())


def test_light_outside_the_mask_does_not_count() -> None:
    truth = likeness(1001)
    lit = np.where(INSIDE[..., None], truth, np.float32(100.0))
    assert score.light(lit, truth, INSIDE, 60.0) == pytest.approx((1.0, 1.0))


def test_a_hard_edge_is_a_seam_and_a_smear_is_not() -> None:
    truth = likeness(1001)
    edge = truth + np.float32(0.3) * INSIDE[..., None]
    smear = np.full_like(truth, 0.2)
    assert score.seam(edge, truth, MASK) > 1.5
    assert score.seam(smear, truth, MASK) == 0.0


def test_an_occluder_that_is_painted_over_is_counted(shot: Shot) -> None:
    hand = (X < 56.0) & (X > 50.0)
    held = np.where(hand, 0.0, MASK)[..., None] * np.ones(3, np.float32)
    shot.mask = shot.lay("held", dict.fromkeys(FRAMES, held))
    assert shot.score(shot.plate).mean["occluder"] == 0.0
    painted = {f: performer(f) + np.where(hand & (X < 53.0), 0.1, 0.0)[..., None] for f in FRAMES}
    share = shot.score(shot.lay("result", painted)).mean["occluder"]
    assert share == pytest.approx(0.5, abs=0.05)


class Spotter:
    """A tracker that runs: the template about the brightest spot, a pixel to the right of it."""

    name = "memory"

    def find(self, image: np.ndarray) -> tuple[Detection, ...]:
        row, column = np.unravel_index(image.sum(axis=2).argmax(), image.shape[:2])
        points = np.array([column, row]) + (1.5, 0.5) + 40.0 * (align.TEMPLATE - 0.5)
        return (Detection(1.0, points.astype(np.float32)),)

    def refine(self, image: np.ndarray, near: np.ndarray) -> Detection | None:
        return self.find(image)[0]


def test_expression_is_the_trackers_error_over_its_own() -> None:
    def spot(column: int) -> np.ndarray:
        picture = np.full((60, 80, 3), 0.01, np.float32)
        picture[30, column] = 1.0
        return picture

    points = np.array([40.5, 30.5]) + 40.0 * (align.TEMPLATE - 0.5)
    assert score.expression(spot(40), spot(40), points, Spotter()) == pytest.approx(1.0)
    assert score.expression(spot(43), spot(40), points, Spotter()) == pytest.approx(4.0, rel=1e-4)


def in_memory(masks: Mapping[int, np.ndarray]) -> Iterator[score.Pictures]:
    for frame, mask in masks.items():
        truth = plate_of(likeness(frame))
        yield score.Pictures(frame, truth, truth, Roto(mask, WINDOW))


def test_frames_without_a_face_are_skipped_and_named() -> None:
    nothing = np.zeros_like(MASK)
    found = score.score_frames(in_memory({1: MASK, 2: nothing, 3: MASK}), stops=0.0)
    assert found.skipped == (2,)
    assert [one.frame for one in found.frames] == [1, 3]
    assert "flicker" not in found.mean, "across a gap nothing is compared"
    with pytest.raises(InputError, match="nothing is inside the truth mask"):
        score.score_frames(in_memory({1: nothing}), stops=0.0)


def test_a_data_window_smaller_than_the_frame_scores_what_it_holds(shot: Shot) -> None:
    part = Window(20, 10, 110, 85)
    cut = part.slices(WINDOW)
    for frame in FRAMES:
        whole = read_plate(shot.truth.path(frame))
        channels = {name: pixels[cut] for name, pixels in whole.channels.items()}
        smaller = replace(whole, channels=channels, data_window=part, path=None)
        write_plate(smaller, shot.folder / f"part.{frame}.exr")
    found = shot.score(Sequence.parse(shot.folder / "part.####.exr"))
    assert found.mean["psnr"] == math.inf
    assert found.mean["plate_psnr"] == pytest.approx(shot.score(shot.truth).mean["plate_psnr"])


def test_json_holds_no_infinity_and_every_frame(shot: Shot) -> None:
    document = json.loads(json.dumps(shot.score(shot.truth).to_json(), allow_nan=False))
    assert document["mean"]["psnr"] is None
    assert list(document["frames"]) == ["1001", "1002", "1003"]
    assert "outside" not in document["mean"], "without a matte it was not measured"
    assert document["worst"]["ssim"] == {"value": 1.0, "frame": 1001}


def test_without_a_plate_the_distance_to_the_truth_is_left(shot: Shot) -> None:
    found = shot.score(shot.plate, plate=None)
    assert found.mean["psnr"] == shot.score(shot.plate).mean["psnr"]
    assert "progress" not in found.mean


def test_refusals_name_frame_and_file(shot: Shot) -> None:
    pictures = {frame: likeness(frame) for frame in FRAMES}
    pictures[1002][45, 60] = np.nan
    with pytest.raises(PlateError, match=r"frame 1002, .*result\.1002\.exr: .*no finite numbers"):
        shot.score(shot.lay("result", pictures))
    missing = shot.lay("some", {1001: likeness(1001)})
    with pytest.raises(PlateError, match=r"frame 1002, .*some\.1002\.exr: .*does not exist"):
        shot.score(missing)
    other = replace(plate_of(likeness(1001)), display_window=Window(0, 0, 64, 64))
    write_plate(other, shot.folder / "other.1001.exr")
    with pytest.raises(PlateError, match=r"display window is 64 × 64.*120 × 90"):
        shot.score(Sequence.parse(shot.folder / "other.####.exr"))


def test_on_the_studio_shots_the_plate_is_as_far_from_the_truth_as_known(studio: Path) -> None:
    folder = studio / "monologue"
    known = json.loads((folder / "truth.json").read_text())
    frames = (1001, 1012, 1024)
    faces = {frame: Face(np.array(known[str(frame)]["landmarks_plate"])) for frame in frames}
    plate, truth, mask = (
        Sequence.parse(folder / f"{name}.####.exr") for name in ("plate", "truth", "mask")
    )
    track = Track(faces, (960, 540), frames=frames)
    found = score.score_shot(plate, truth, mask, track=track, plate=plate, frames=frames)
    assert found.mean["plate_psnr"] == pytest.approx(22.8, abs=0.4)
    assert "occluder" not in found.mean, "nothing stands before this face"
