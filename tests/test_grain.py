from __future__ import annotations

from itertools import pairwise

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from semblance import align
from semblance.blend import grain
from semblance.plate import Window

CORRELATION = np.float32([[1.0, 0.3, 0.1], [0.3, 1.0, 0.2], [0.1, 0.2, 1.0]])
SOFTNESS = 0.8
"""Deviation, in pixels, of the blur that makes the tests' grain out of white noise."""


def unit_grain(seed: int, height: int, width: int) -> np.ndarray:
    random = np.random.default_rng(seed)
    white = random.standard_normal((height, width, 3)).astype(np.float32)
    soft = cv2.GaussianBlur(white, (0, 0), SOFTNESS)
    return (soft / soft.std() @ np.linalg.cholesky(CORRELATION).T).astype(np.float32)


def deviation_at(level: np.ndarray | float) -> np.ndarray:
    """Give shadows more grain than highlights, as the working encoding does."""
    return np.float32((3.0 - 2.0 * np.asarray(level)) / 255.0)


def ramp(side: int) -> np.ndarray:
    line = np.linspace(0.15, 0.75, side, dtype=np.float32)
    return np.broadcast_to(line[None, :, None], (side, side, 3)).copy()


def plate(side: int, seed: int = 1) -> np.ndarray:
    """Return a ramp with grain on it, and busy squares that must not be taken for grain."""
    picture = ramp(side)
    random = np.random.default_rng(seed + 100)
    for y, x in random.integers(0, side - 20, (side // 8, 2)):
        picture[y : y + 20, x : x + 3] += np.float32(random.uniform(-0.15, 0.15))
    return picture + deviation_at(picture) * unit_grain(seed, side, side)


def everywhere(side: int) -> np.ndarray:
    return np.ones((side, side), np.float32)


def radial(spectrum: np.ndarray, edges: tuple[float, ...]) -> np.ndarray:
    line = np.fft.fftfreq(len(spectrum))
    radius = np.hypot(line[:, None], line[None, :])
    bands = [(radius >= a) & (radius < b) for a, b in pairwise(edges)]
    return np.array([spectrum[band].mean() for band in bands])


def expected_spectrum(side: int) -> np.ndarray:
    line = np.fft.fftfreq(side)
    power = np.exp(-4.0 * np.pi**2 * SOFTNESS**2 * (line[:, None] ** 2 + line[None, :] ** 2))
    return power / power.mean()


def noise() -> grain.Noise:
    spectrum = np.repeat(expected_spectrum(32)[..., None], 3, axis=2).astype(np.float32)
    return grain.Noise(np.full((64, 3), 2.0 / 255.0, np.float32), spectrum, CORRELATION)


@pytest.mark.parametrize("side", [330, 640])
def test_the_plates_noise_is_recovered(side: int) -> None:
    """Deviation by level within 10 %, correlation within 0.08, spectrum within 20 %."""
    found = grain.measure(plate(side), np.ones((side, side), np.float32))
    last = len(found.deviation) - 1
    for level in (0.2, 0.4, 0.6):
        got = found.deviation[round(level * last)]
        assert got == pytest.approx(np.full(3, deviation_at(level)), rel=0.1)
    assert found.correlation == pytest.approx(CORRELATION, abs=0.08)
    edges = (0.0, 0.12, 0.2, 0.28)
    truth = radial(expected_spectrum(len(found.spectrum)), edges)
    for channel in range(3):
        assert radial(found.spectrum[..., channel], edges) == pytest.approx(truth, rel=0.2)


def fresh_grain(shape: tuple[int, int], frame: int, seed: int = 0) -> np.ndarray:
    """Return what is made up where features take all of the plate's grain with them."""
    feature = np.broadcast_to(np.float32([10.0, -20.0, 30.0]), (*shape, 3)).copy()
    level = np.full_like(feature, 0.4)
    found = grain.regrain(
        feature, level, np.ones(shape, np.float32), noise(), frame, 1.0, seed=seed
    )
    measured = noise().deviation[round(0.4 * (len(noise().deviation) - 1))]
    return found / (np.sqrt(0.5) * measured)


def test_fresh_grain_has_the_deviation_spectrum_and_correlation_that_were_measured() -> None:
    fresh = fresh_grain((384, 500), 1001)
    assert fresh.std(axis=(0, 1)) == pytest.approx(np.ones(3), rel=0.05)
    assert np.abs(fresh.mean(axis=(0, 1))).max() < 0.05
    assert np.corrcoef(fresh.reshape(-1, 3).T) == pytest.approx(CORRELATION, abs=0.05)
    power = np.abs(np.fft.fft2(fresh[:384, :384, 1])) ** 2
    edges = (0.01, 0.1, 0.2, 0.3)
    truth = radial(expected_spectrum(384), edges)
    assert radial(power / power.mean(), edges) == pytest.approx(truth, rel=0.15)


def test_grain_is_the_same_for_a_frame_and_new_in_the_next() -> None:
    first, again, following, other = (
        fresh_grain((200, 200), frame, seed)
        for frame, seed in ((1001, 0), (1001, 0), (1002, 0), (1001, 1))
    )
    assert np.array_equal(first, again)
    for different in (following, other):
        assert abs(np.corrcoef(first.ravel(), different.ravel())[0, 1]) < 0.05


@given(st.floats(0.0, 1.0), st.integers(1, 70), st.integers(1, 70), st.integers(-5, 99999))
@settings(max_examples=25, deadline=None)
def test_where_nothing_changes_no_grain_is_laid(
    amount: float, height: int, width: int, frame: int
) -> None:
    detail = 0.1 * unit_grain(3, height, width)
    level = np.full_like(detail, 0.4)
    nowhere = np.zeros((height, width), np.float32)
    found = grain.regrain(detail, level, nowhere, noise(), frame, amount)
    assert found.shape == detail.shape
    assert found.dtype == np.float32
    assert not found.any()


def fine_detail(side: int = 320) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return detail, the grain in it, and which part of it holds the performer's features."""
    pure = np.float32(2.0 / 255.0) * unit_grain(5, side, side)
    features = np.zeros((side, side), bool)
    features[:, side // 2 :] = True
    lines = np.sin(np.arange(side, dtype=np.float32) * 2.2)[None, :, None]
    return (
        pure + np.where(features[..., None], 0.12 * lines, 0.0).astype(np.float32),
        pure,
        features,
    )


def test_the_plates_own_grain_stays_and_features_leave() -> None:
    detail, pure, features = fine_detail()
    face = grain.regrain(detail, np.full_like(detail, 0.4), everywhere(320), noise(), 1001, 1.0)
    away = cv2.erode((~features).astype(np.uint8), np.ones((41, 41))) > 0
    among = cv2.erode(features.astype(np.uint8), np.ones((41, 41))) > 0
    assert np.corrcoef(face[away].ravel(), pure[away].ravel())[0, 1] > 0.99
    pattern = (detail - pure)[among].ravel()
    left = (face[among].ravel() @ pattern) / (pattern @ pattern)
    assert abs(left) < 0.1


def test_grain_over_the_new_face_has_the_plates_energy_and_half_of_it_among_features() -> None:
    detail, _, features = fine_detail()
    face = grain.regrain(detail, np.full_like(detail, 0.4), everywhere(320), noise(), 1001, 1.0)
    for where, least, most in ((features, 0.65, 0.95), (~features, 0.9, 1.1)):
        inside = cv2.erode(where.astype(np.uint8), np.ones((41, 41))) > 0
        assert least < face[inside].std() / (2.0 / 255.0) < most


def test_grain_grows_with_its_amount_and_at_0_the_face_is_smooth() -> None:
    detail, _, _ = fine_detail()
    level = np.full_like(detail, 0.4)
    amounts = (0.0, 0.25, 0.5, 0.75, 1.0)
    faces = [
        grain.regrain(detail, level, everywhere(320), noise(), 1001, amount) for amount in amounts
    ]
    assert not faces[0].any()
    for amount, face in zip(amounts, faces, strict=True):
        assert np.allclose(face, amount * faces[-1], rtol=0.0, atol=1e-6)


def test_a_clipped_highlight_stays_without_grain() -> None:
    detail, _, _ = fine_detail()
    detail[100:160, 200:260] = 0.0
    level = np.full_like(detail, 0.9)
    level[100:160, 200:260] = 40.0
    found = grain.regrain(detail, level, everywhere(320), noise(), 1001, 1.0)
    assert np.abs(found[116:144, 216:244]).max() < 1e-4


@pytest.mark.parametrize("scale", [0.8, 1.0, 1.4, 2.2, 3.5])
def test_the_crop_and_what_lies_beyond_share_the_noise_as_the_alignment_does(scale: float) -> None:
    """Within 20 %, or a sixth of an 8-bit code."""
    size = 160
    side = round(size * scale)
    pure = np.float32(2.0 / 255.0) * unit_grain(7, side, side)
    x, y = np.float64([np.cos(0.1), np.sin(0.1)]) / side  # turned, so that every phase occurs
    matrix = np.array([[x, y, 0.0], [-y, x, 0.05]])
    window = Window(0, 0, side, side)
    crop = align.to_crop(pure, window, matrix, size)
    beyond = pure - align.to_plate(crop, matrix, window)
    in_crop, above = grain.split(noise(), scale)
    middle, at_plate = slice(size // 5, -size // 5), slice(side // 5, -side // 5)
    got = grain.finest(crop, scale)[middle, middle].std()
    assert got == pytest.approx(in_crop.deviation.mean(), rel=0.2)
    got = beyond[at_plate, at_plate].std()
    assert got == pytest.approx(above.deviation.mean(), rel=0.2, abs=6.5e-4)


def test_a_window_too_small_to_measure_has_no_noise() -> None:
    found = grain.measure(plate(64)[:9, :9], np.ones((9, 9), np.float32))
    assert not found.deviation.any()
    all_clipped = grain.measure(
        np.full((64, 64, 3), 7.0, np.float32), np.ones((64, 64), np.float32)
    )
    assert not all_clipped.deviation.any()


@pytest.mark.parametrize("size", [128, 256, 512])
def test_crop_and_plate_together_carry_the_plates_grain_at_any_resolution(size: int) -> None:
    """A network that draws no grain, and another face: the deviation comes out within 10 %."""
    side = 448
    clean = ramp(side)
    working = clean + deviation_at(clean) * unit_grain(11, side, side)
    matrix = np.array([[1.0 / side, 0.0, 0.0], [0.0, 1.0 / side, 0.0]])
    window = Window(0, 0, side, side)
    crop, own = (align.to_crop(picture, window, matrix, size) for picture in (working, clean))
    in_crop, beyond = grain.split(grain.measure(working, everywhere(side)), side / size)
    detail = grain.finest(crop - own, side / size)
    face = own + 0.05 + grain.regrain(detail, crop, everywhere(size), in_crop, 1001, 1.0, seed=1)
    change = align.to_plate(face - crop, matrix, window)
    fine = working - align.to_plate(crop, matrix, window)
    laid = grain.regrain(fine, working, everywhere(side), beyond, 1001, 1.0)
    result = working - fine + change + laid
    inside = (slice(32, -32), slice(32, -32))
    got = (result - clean - 0.05)[inside]
    assert got.std() == pytest.approx((working - clean)[inside].std(), rel=0.1)
    assert np.corrcoef(got.ravel(), (working - clean)[inside].ravel())[0, 1] > 0.95
