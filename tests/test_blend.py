from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from semblance import align, blend
from semblance.face import Crop, Inference, Matte, Patch
from semblance.knobs import BlendKnobs
from semblance.plate import Window

SIZE = 64
MODES = ["over", "multiband", "poisson"]
WINDOW = Window(0, 0, SIZE, SIZE)


def disc() -> np.ndarray:
    y, x = np.mgrid[:SIZE, :SIZE] - SIZE / 2 + 0.5
    return np.clip((20.0 - np.hypot(x, y)) / 6.0, 0.0, 1.0).astype(np.float32)


def noise(seed: int, scale: float = 0.1) -> np.ndarray:
    random = np.random.default_rng(seed)
    return (0.4 + random.normal(0.0, scale, (SIZE, SIZE, 3))).astype(np.float32)


def crop(pixels: np.ndarray) -> Crop:
    return Crop(pixels, np.eye(2, 3), align.TEMPLATE)


ALL_KNOBS = st.builds(
    BlendKnobs,
    light_match=st.floats(0.0, 1.0),
    detail_match=st.floats(0.0, 1.0),
    grain_match=st.floats(0.0, 1.0),
)


@given(ALL_KNOBS)
def test_at_strength_0_the_face_is_the_plate_whatever_the_network_draws(knobs: BlendKnobs) -> None:
    """The network's error on the performer, light and rest, comes off again."""
    own = noise(1)
    change = blend.match(crop(noise(2)), Inference(own, disc(), own), disc(), 0.0, knobs)
    assert np.abs(change).max() < 1e-6


@given(st.floats(0.0, 1.0))
def test_a_network_that_returns_its_input_changes_nothing(strength: float) -> None:
    seen = noise(1)
    change = blend.match(crop(seen), Inference(seen, disc(), seen), disc(), strength, BlendKnobs())
    assert np.abs(change).max() < 1e-6


def test_light_that_the_network_missed_goes_onto_the_new_face() -> None:
    """The plate is 0.1 brighter than the network's performer: so must the likeness be."""
    own, new = np.full((SIZE, SIZE, 3), 0.3, np.float32), np.full((SIZE, SIZE, 3), 0.6, np.float32)
    seen = own + np.float32(0.1)
    inference = Inference(new, disc(), own)
    for amount, expected in ((0.0, 0.6), (0.5, 0.65), (1.0, 0.7)):
        knobs = BlendKnobs(light_match=amount, detail_match=0.0)
        face = seen + blend.match(crop(seen), inference, disc(), 1.0, knobs)
        assert face[32, 32] == pytest.approx(expected, abs=1e-4)


@given(st.floats(0.0, 1.0), st.floats(-0.5, 0.5))
def test_a_blown_out_highlight_comes_back_as_bright_as_it_was(strength: float, by: float) -> None:
    plate = np.full((SIZE, SIZE, 3), 0.4, np.float32)
    plate[30:34, 30:34] = 2.7
    change = np.full_like(plate, by)
    face = blend.lay_in(plate, change, np.clip(plate, 0.0, 1.0), strength, BlendKnobs())
    assert np.abs(face - plate)[30:34, 30:34].max() < 0.01
    assert face[10, 10] == pytest.approx(plate[10, 10] + by, abs=1e-6)


@pytest.mark.parametrize("mode", ["mean", "linear", "histogram"])
def test_colour_match_brings_the_statistics_inside_the_matte(mode: str) -> None:
    plate, own = noise(1), noise(1)
    new = (noise(2) * np.float32([1.4, 0.8, 0.6]) + 0.1).astype(np.float32)
    plate[disc() == 0.0] = 9.0  # what lies outside must not count
    knobs = BlendKnobs(colour_match=mode, light_match=0.0, detail_match=0.0)
    face = plate + blend.match(crop(plate), Inference(new, disc(), own), disc(), 1.0, knobs)
    inside = disc() > 0.5
    assert face[inside].mean(axis=0) == pytest.approx(plate[inside].mean(axis=0), abs=2e-3)
    assert face[inside].std(axis=0) == pytest.approx(plate[inside].std(axis=0), rel=0.05)


def test_detail_match_raises_a_soft_face_to_the_sharpness_of_the_plate() -> None:
    plate = noise(1, 0.05)
    soft = 0.4 + (noise(2, 0.05) - 0.4) * 0.6

    def energy(amount: float) -> float:
        knobs = BlendKnobs(detail_match=amount, light_match=0.0)
        face = plate + blend.match(crop(plate), Inference(soft, disc(), plate), disc(), 1.0, knobs)
        return float(face[disc() > 0.5].std())

    assert energy(0.0) < energy(0.5) < energy(1.0)
    assert energy(1.0) == pytest.approx(plate[disc() > 0.5].std(), rel=0.1)


def test_grain_stays_and_a_feature_leaves() -> None:
    random = np.random.default_rng(0)
    grain = random.normal(0.0, 0.01, (SIZE, SIZE, 3)).astype(np.float32)
    fine = grain.copy()
    fine[30:33] += 0.3
    kept = blend.grain(fine)
    away = np.ones(SIZE, bool)
    away[20:44] = False
    assert np.corrcoef(kept[away].ravel(), grain[away].ravel())[0, 1] > 0.98
    assert kept[away].std() == pytest.approx(0.01, rel=0.15)
    assert np.abs(kept[30:33]).max() < 0.05


@pytest.mark.parametrize("mode", MODES)
def test_where_the_matte_is_0_the_plate_is_itself(mode: str) -> None:
    plate, face, matte = noise(1), noise(2), disc()
    pixels, touched = blend.composite(
        plate, Patch(face, WINDOW), Matte(matte, WINDOW), BlendKnobs(blend_mode=mode)
    )
    assert not touched[matte == 0.0].any()
    assert np.array_equal(pixels[matte == 0.0], plate[matte == 0.0])
    assert np.abs(pixels - plate)[matte == 1.0].max() > 0.05


@pytest.mark.parametrize("mode", MODES)
def test_mix_is_a_straight_line_from_the_plate(mode: str) -> None:
    plate, patch, matte = noise(1), Patch(noise(2), WINDOW), Matte(disc(), WINDOW)

    def at(mix: float) -> np.ndarray:
        return blend.composite(plate, patch, matte, BlendKnobs(blend_mode=mode, mix=mix))[0]

    assert np.array_equal(at(0.0), plate)
    assert at(0.5) == pytest.approx((plate + at(1.0)) / 2.0, abs=1e-5)


@pytest.mark.parametrize("mode", MODES)
def test_a_face_that_is_the_plate_is_not_seen(mode: str) -> None:
    plate = noise(1) * 20.0
    pixels, _ = blend.composite(
        plate, Patch(plate, WINDOW), Matte(disc(), WINDOW), BlendKnobs(blend_mode=mode)
    )
    assert pixels == pytest.approx(plate, rel=1e-5)


def test_over_is_over() -> None:
    plate, face, matte = noise(1) * 9.0, noise(2) * 30.0, disc()
    pixels, _ = blend.composite(plate, Patch(face, WINDOW), Matte(matte, WINDOW), BlendKnobs())
    expected = plate + matte[..., None] * (face - plate)
    assert pixels == pytest.approx(expected, rel=1e-5)


def test_poisson_takes_an_offset_of_the_whole_face_away() -> None:
    plate = noise(1, 0.02)
    knobs = BlendKnobs(blend_mode="poisson")
    matte = Matte(disc(), WINDOW)
    pixels, _ = blend.composite(plate, Patch(plate + 0.5, WINDOW), matte, knobs)
    assert np.abs(pixels - plate).max() < 0.02
