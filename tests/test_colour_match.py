from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from skimage.color import rgb2lab

from semblance import colour
from semblance.blend.colour_match import Moments, average, matched, measure
from semblance.knobs import MatchKnobs

MODES = ["mean", "linear", "histogram"]
SIZE = 256

# Ottosson 2020, written down again: what is tested must not be its own reference.
CONES = np.array(
    [
        [0.4122214708, 0.5363325363, 0.0514459929],
        [0.2119034982, 0.6806995451, 0.1073969566],
        [0.0883024619, 0.2817188376, 0.6299787005],
    ]
)
OKLAB = np.array(
    [
        [0.2104542553, 0.7936177850, -0.0040720468],
        [1.9779984951, -2.4285922050, 0.4505937099],
        [0.0259040371, 0.7827717662, -0.8086757660],
    ]
)


def oklab(working: np.ndarray) -> np.ndarray:
    return np.cbrt(colour.decode(working).astype(np.float64) @ CONES.T) @ OKLAB.T


def from_oklab(lab: np.ndarray) -> np.ndarray:
    linear = (lab @ np.linalg.inv(OKLAB).T) ** 3 @ np.linalg.inv(CONES).T
    return colour.encode(linear.astype(np.float32))


def ellipse(size: int = SIZE) -> np.ndarray:
    y, x = (np.mgrid[:size, :size] + 0.5) / size - 0.5
    return np.clip((0.42 - np.hypot(x * 1.3, y)) * 20.0, 0.0, 1.0).astype(np.float32)


def skin(size: int = SIZE, seed: int = 1) -> np.ndarray:
    """Shaded skin with features of some pixels and a little grain, working encoding."""
    random = np.random.default_rng(seed)
    y, x = (np.mgrid[:size, :size] + 0.5) / size
    shade = 0.18 + 0.10 * np.sin(5.0 * x + 1.0) * np.cos(4.0 * y)
    blush = 0.04 * np.sin(9.0 * y + 3.0 * x)
    linear = np.stack([shade * 1.4 + blush, shade, shade * 0.75 - 0.4 * blush], axis=-1)
    linear *= 1.0 + random.normal(0.0, 0.01, linear.shape)
    return colour.encode(linear.astype(np.float32))


def knobs(mode: str, amount: float = 1.0) -> MatchKnobs:
    return MatchKnobs(colour_match=mode, colour_amount=amount)


def moments(picture: np.ndarray, weights: np.ndarray | None = None) -> Moments:
    found = measure(picture, ellipse(picture.shape[0]) if weights is None else weights)
    assert found is not None
    return found


def match(face: np.ndarray, plate: np.ndarray, mode: str, amount: float = 1.0) -> np.ndarray:
    return matched(face, moments(face), moments(plate), knobs(mode, amount))


def delta_e(a: np.ndarray, b: np.ndarray) -> float:
    """Mean CIE 1976 difference inside the ellipse."""
    one, other = (
        rgb2lab(colour.linear_to_srgb(np.clip(colour.decode(picture), 0.0, 1.0)).astype(np.float64))
        for picture in (a, b)
    )
    return float(np.linalg.norm(one - other, axis=-1)[ellipse(a.shape[0]) > 0.0].mean())


def test_statistics_are_those_of_oklab() -> None:
    white = moments(np.ones((SIZE, SIZE, 3), np.float32))
    assert white.mean == pytest.approx([1.0, 0.0, 0.0], abs=1e-6)
    assert white.covariance == pytest.approx(0.0, abs=1e-9)
    face, weights = skin(128), ellipse(128)
    lab, share = oklab(face).reshape(-1, 3), weights.reshape(-1)
    found = moments(face)
    assert found.mean == pytest.approx(np.average(lab, axis=0, weights=share), abs=1e-6)
    assert found.covariance == pytest.approx(np.cov(lab.T, aweights=share, ddof=0), abs=1e-7)
    assert found.weight == pytest.approx(weights.mean(dtype=np.float64))
    inside = lab[share == 1.0]
    hard = moments(face, (weights == 1.0).astype(np.float32))
    expected = np.quantile(inside, (np.arange(64) + 0.5) / 64.0, axis=0)
    assert hard.quantiles == pytest.approx(expected, abs=3e-4)


@pytest.mark.parametrize("size", [128, 192, 250, 512])
@pytest.mark.parametrize("outside", [0.0, 9.0, np.nan])
def test_nothing_from_outside_the_matte_enters(size: int, outside: float) -> None:
    face, weights = skin(size), ellipse(size)
    other = face.copy()
    other[weights == 0.0] = outside
    one, two = moments(face), moments(other)
    assert np.array_equal(one.mean, two.mean)
    assert np.array_equal(one.covariance, two.covariance)
    assert np.array_equal(one.quantiles, two.quantiles)


def test_without_a_matte_there_are_no_statistics() -> None:
    weights = np.zeros((SIZE, SIZE), np.float32)
    assert measure(skin(), weights) is None
    weights[40, 40] = 1.0
    assert measure(skin(), weights) is None


CASES = {
    # What a peer's Lab mean and spread leaves, in CIE units: 0.11, 0.31 and 8.17 of 15.76.
    "light, gain 0.8": lambda face: colour.encode(0.8 * colour.decode(face)),
    "flat": lambda face: from_oklab(oklab(face) * (0.6, 1.0, 1.0) + (0.22, 0.0, 0.0)),
    "warm": lambda face: from_oklab(np.add(oklab(face), (0.0, 0.02, 0.045))),
}


@pytest.mark.parametrize("mode", ["mean", "linear"])
@pytest.mark.parametrize("case", CASES)
def test_what_an_affine_map_of_oklab_can_undo_is_undone(case: str, mode: str) -> None:
    plate = skin()
    face = CASES[case](plate)
    assert delta_e(face, plate) > 2.0
    assert delta_e(match(face, plate, mode), plate) < 0.01


@pytest.mark.parametrize("case", CASES)
def test_curves_undo_it_but_for_their_smoothing(case: str) -> None:
    plate = skin()
    face = CASES[case](plate)
    assert delta_e(match(face, plate, "histogram"), plate) < 0.05


@pytest.mark.parametrize("mode", MODES)
def test_a_gain_on_the_display_codes_is_no_affine_map_and_nearly_undone(mode: str) -> None:
    plate = skin()
    assert delta_e(plate * np.float32(0.8), plate) > 5.0
    assert delta_e(match(plate * np.float32(0.8), plate, mode), plate) < 0.06


def test_optimal_transport_turns_the_axis_of_colours_where_mean_and_spread_cannot() -> None:
    face, plate = skin(seed=1), skin(seed=2)[:, ::-1, [2, 1, 0]].copy()
    target = moments(plate)

    def residue(mode: str) -> float:
        got = moments(match(face, plate, mode))
        return float(np.abs(got.covariance - target.covariance).max() / target.covariance.max())

    assert residue("linear") < 1e-3
    assert residue("mean") > 0.05


@pytest.mark.parametrize("mode", MODES)
def test_mean_and_spread_arrive_whatever_the_pictures(mode: str) -> None:
    face, plate = skin(seed=1) * np.float32([1.1, 0.8, 0.7]) + np.float32(0.1), skin(seed=2).T
    plate = np.ascontiguousarray(plate.transpose(1, 2, 0))
    got, target = moments(match(face, plate, mode)), moments(plate)
    assert got.mean == pytest.approx(target.mean, abs=1e-3)
    spread = np.sqrt(np.diag(got.covariance) / np.diag(target.covariance))
    assert spread == pytest.approx(1.0, abs=0.03)


@given(
    seed=st.integers(0, 100),
    mode=st.sampled_from(MODES),
    low=st.floats(-0.5, 0.0),
    high=st.floats(1.0, 4.0),
    amount=st.floats(0.0, 1.0),
)
@settings(max_examples=40)
def test_equal_statistics_change_nothing(
    seed: int, mode: str, low: float, high: float, amount: float
) -> None:
    random = np.random.default_rng(seed)
    face = random.uniform(low, high, (128, 128, 3)).astype(np.float32)
    found = moments(face)
    assert np.abs(matched(face, found, found, knobs(mode, amount)) - face).max() <= 1e-6


@pytest.mark.parametrize("mode", MODES)
def test_highlights_and_negatives_go_through(mode: str) -> None:
    """A plate four times as bright takes the face's highlight of 3.5 to 14, and nothing clamps."""
    face = skin()
    face[100:103, 100:103] = colour.encode(np.float32([3.5, 3.5, 3.5]))
    face[140:143, 100:103] = colour.encode(np.float32([-0.05, 0.02, 0.02]))
    assert colour.decode(match(face, face, mode)).max() == pytest.approx(3.5, rel=1e-5)
    plate = colour.encode(4.0 * colour.decode(face))
    got = colour.decode(match(face, plate, mode))
    # Curves go on by a shift past their last quantile.
    assert got.max() == pytest.approx(14.0, rel=0.5 if mode == "histogram" else 0.02)
    assert got.max() > 3.5
    assert got[141, 101, 0] < 0.0
    assert np.isfinite(match(np.full((8, 8, 3), 12.0, np.float32), plate, "none")).all()


@pytest.mark.parametrize("mode", MODES)
def test_amount_goes_straight_from_the_face_to_the_match(mode: str) -> None:
    face, plate = skin(seed=1), CASES["warm"](skin(seed=3))
    assert match(face, plate, mode, 0.0) is face
    assert match(face, plate, "none") is face
    whole = oklab(match(face, plate, mode)) - oklab(face)
    moved = 0.0
    for amount in (0.25, 0.5, 0.75, 1.0):
        part = oklab(match(face, plate, mode, amount)) - oklab(face)
        assert np.abs(part - amount * whole).max() < 1e-5
        assert np.linalg.norm(part) > moved
        moved = float(np.linalg.norm(part))


@pytest.mark.parametrize("mode", MODES)
def test_a_cut_of_the_square_is_matched_as_the_whole_is(mode: str) -> None:
    face, source, target = skin(), moments(skin()), moments(skin(seed=2))
    cut = (slice(31, 200), slice(40, 217))
    part = matched(face[cut], source, target, knobs(mode))
    assert np.abs(part - matched(face, source, target, knobs(mode))[cut]).max() < 1e-6


def test_curves_keep_the_order_of_greys_far_beyond_their_ends() -> None:
    ramp = np.linspace(-0.4, 3.0, 4096, dtype=np.float32)
    greys = np.repeat(ramp.reshape(64, 64, 1), 3, axis=2)
    flat = np.round(skin() * 8.0) / 8.0  # a few codes alone: the steepest curves there are
    for source, target in ((skin(), flat), (flat, skin(seed=2))):
        got = matched(greys, moments(source), moments(target), knobs("histogram"))
        light = oklab(got)[..., 0].ravel()
        assert (np.diff(light) > -1e-6).all()
        # Past the ends lightness moves by one step all the way.
        assert np.ptp((light - oklab(greys)[..., 0].ravel())[-1000:]) < 1e-4


@pytest.mark.parametrize("mode", ["mean", "linear"])
def test_the_noise_in_a_monochrome_likeness_is_not_blown_up(mode: str) -> None:
    clean = np.repeat(skin()[..., 1:2], 3, axis=2)
    random = np.random.default_rng(0)
    grey = clean + random.normal(0.0, 0.0005, clean.shape).astype(np.float32)
    source, target = moments(grey), moments(skin(seed=2))
    got, quiet = (matched(face, source, target, knobs(mode)) for face in (grey, clean))
    assert moments(got).mean == pytest.approx(target.mean, abs=1e-3)
    blown_up = np.std(oklab(got) - oklab(quiet)) / np.std(oklab(grey) - oklab(clean))
    assert blown_up < 4.0


BINOMIAL = (1.0, 4.0, 6.0, 4.0, 1.0)


def corrected_over_a_shot(plates: list[np.ndarray], window: tuple[float, ...]) -> np.ndarray:
    """Mean lightness of one and the same face, matched to each plate with a window around it."""
    face = skin(128)
    source, found = moments(face), [moments(plate) for plate in plates]
    half = len(window) // 2
    levels = []
    for frame in range(half, len(plates) - half):
        target = average(found[frame - half : frame + half + 1], window)
        levels.append(moments(matched(face, source, target, knobs("linear"))).mean[0])
    return np.array(levels)


def test_a_window_of_frames_calms_the_correction_as_its_weights_say() -> None:
    """White jitter leaves √(Σw²)/Σw of its deviation: 0.52 for 1 4 6 4 1."""
    random = np.random.default_rng(5)
    gains = 1.0 + random.normal(0.0, 0.05, 44)
    linear = colour.decode(skin(128))
    plates = [colour.encode(linear * np.float32(gain)) for gain in gains]
    alone = corrected_over_a_shot(plates, (0.0, 0.0, 1.0, 0.0, 0.0)).std()
    calm = corrected_over_a_shot(plates, BINOMIAL).std()
    assert calm / alone == pytest.approx(np.sqrt(np.square(BINOMIAL).sum()) / 16.0, rel=0.2)


def test_a_window_of_frames_has_no_lag() -> None:
    """Light that rises evenly is followed on the frame, and time may as well run backward."""
    lab = oklab(skin(128))
    plates = [from_oklab(np.add(lab, (0.004 * frame, 0.0, 0.0))) for frame in range(12)]
    alone = corrected_over_a_shot(plates, (0.0, 0.0, 1.0, 0.0, 0.0))
    calm = corrected_over_a_shot(plates, BINOMIAL)
    assert calm == pytest.approx(alone, abs=2e-5)
    jumping = plates[:6] + plates[:2]
    forth = corrected_over_a_shot(jumping, BINOMIAL)
    back = corrected_over_a_shot(jumping[::-1], BINOMIAL)
    assert forth == pytest.approx(back[::-1], abs=1e-7)


def test_an_average_counts_frames_by_what_was_seen_of_the_face() -> None:
    weights = ellipse(128)
    hidden = np.where(np.arange(128) < 70, 0.0, weights).astype(np.float32)
    dark, bright = moments(skin(128)), moments(skin(128) + np.float32(0.2), hidden)
    mean = average([dark, bright], (1.0, 1.0))
    share = dark.weight / (dark.weight + bright.weight)
    assert share > 0.6
    assert mean.mean == pytest.approx(share * dark.mean + (1.0 - share) * bright.mean)
    for name in ("mean", "covariance", "quantiles"):
        same = getattr(average([dark] * 5, BINOMIAL), name)
        assert same == pytest.approx(getattr(dark, name), rel=1e-12)
