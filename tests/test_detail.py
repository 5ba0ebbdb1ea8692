from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from semblance.blend import detail

SIZE = 192


def scene(seed: int, size: int = SIZE) -> np.ndarray:
    """Return a picture with edges of every direction and size, as natural pictures have them."""
    random = np.random.default_rng(seed)
    picture = np.full((2 * size, 2 * size, 3), 0.4, np.float32)
    for _ in range(900):
        radius = int(min(4.0 / random.uniform(0.05, 1.0), 60.0))
        centre = tuple(int(value) for value in random.integers(0, 2 * size, 2))
        colour = random.uniform(0.15, 0.75) + random.normal(0.0, 0.03, 3)
        cv2.circle(picture, centre, radius, tuple(float(c) for c in colour), -1, cv2.LINE_AA)
    return np.asarray(cv2.resize(picture, (size, size), interpolation=cv2.INTER_AREA), np.float32)


def weights(size: int = SIZE) -> np.ndarray:
    y, x = (np.mgrid[:size, :size] + 0.5) / size - 0.5
    return np.clip((0.42 - np.hypot(x, y)) / 0.05, 0.0, 1.0).astype(np.float32)


def defocused(picture: np.ndarray, sigma: float) -> np.ndarray:
    return np.asarray(cv2.GaussianBlur(picture, (0, 0), sigma), np.float32)


def smeared(picture: np.ndarray, length: float, degrees: float) -> np.ndarray:
    """Blur along a direction as an open shutter does: evenly, over a length in pixels."""
    direction = np.array([np.cos(np.radians(degrees)), np.sin(np.radians(degrees))])
    steps = np.linspace(-0.5 * length, 0.5 * length, 41)
    shifts = [np.float32([[1, 0, s * direction[0]], [0, 1, s * direction[1]]]) for s in steps]
    size = picture.shape[1::-1]
    moved = [cv2.warpAffine(picture, m, size, borderMode=cv2.BORDER_REFLECT) for m in shifts]
    return np.mean(moved, axis=0, dtype=np.float32)


def with_grain(picture: np.ndarray, deviation: float = 0.008) -> np.ndarray:
    random = np.random.default_rng(9)
    return picture + random.normal(0.0, deviation, picture.shape).astype(np.float32)


def slopes(picture: np.ndarray, degrees: float) -> float:
    """Return the energy of a picture's differences along a direction, inside the face."""
    inside = weights() > 0.5
    luma = picture.mean(axis=2)
    down, across = np.gradient(luma)
    along = np.cos(np.radians(degrees)) * across + np.sin(np.radians(degrees)) * down
    return float((along[inside] ** 2).mean())


def axis(covariance: np.ndarray) -> tuple[float, float, float]:
    """Return the variances along and across the longest axis, and its angle in 0..180."""
    values, vectors = np.linalg.eigh(covariance)
    return values[1], values[0], float(np.degrees(np.arctan2(vectors[1, 1], vectors[0, 1])) % 180.0)


@given(st.floats(0.0, 1.0), st.booleans())
@settings(max_examples=10, deadline=None)
def test_where_the_plate_is_as_sharp_the_face_is_unchanged(amount: float, own: bool) -> None:
    picture, face = scene(1), scene(2)
    if own:
        assert np.array_equal(detail.match_detail(face, picture, picture, weights(), amount), face)
    else:
        assert np.array_equal(detail.match_detail(face, face, None, weights(), amount), face)


def test_at_amount_0_the_face_is_unchanged() -> None:
    face = scene(2)
    soft = defocused(scene(1), 2.0)
    assert np.array_equal(detail.match_detail(face, soft, scene(1), weights(), 0.0), face)


@pytest.mark.parametrize("grain", [0.0, 0.008])
@pytest.mark.parametrize("sigma", [0.7, 1.0, 1.6])
def test_a_defocused_plate_makes_the_face_as_soft(sigma: float, grain: float) -> None:
    own, face = scene(1), scene(2)
    crop = with_grain(defocused(own, sigma), grain)
    matched = detail.match_detail(face, crop, own, weights(), 1.0)
    expected = defocused(face, sigma)
    inside = weights() > 0.5
    before, after = (np.sqrt(((x - expected)[inside] ** 2).mean()) for x in (face, matched))
    assert after < 0.15 * before
    for degrees in (0.0, 45.0, 90.0, 135.0):
        assert slopes(matched, degrees) == pytest.approx(slopes(expected, degrees), rel=0.1)


def test_without_the_networks_own_picture_the_energies_alone_say_how_soft() -> None:
    crop = with_grain(defocused(scene(1), 1.0))
    face = scene(2)
    matched = detail.match_detail(face, crop, None, weights(), 1.0)
    assert slopes(matched, 0.0) == pytest.approx(slopes(defocused(face, 1.0), 0.0), rel=0.3)


@pytest.mark.parametrize("degrees", [0.0, 30.0, 75.0, 120.0])
def test_motion_blur_is_found_and_blurs_the_face_along_the_motion_alone(degrees: float) -> None:
    own, face = scene(1), scene(2)
    crop = with_grain(smeared(own, 7.0, degrees))
    along, across, angle = axis(detail.softness(crop, own, weights()))
    assert abs((angle - degrees + 90.0) % 180.0 - 90.0) < 5.0
    assert along == pytest.approx(7.0**2 / 12.0, rel=0.35)
    assert abs(across) < 0.25
    matched = detail.match_detail(face, crop, own, weights(), 1.0)
    expected = smeared(face, 7.0, degrees)
    assert slopes(matched, degrees) == pytest.approx(slopes(expected, degrees), rel=0.3)
    # Across, a linear interpolation of the smear itself costs a little.
    assert slopes(matched, degrees + 90.0) == pytest.approx(
        slopes(expected, degrees + 90.0), rel=0.2
    )


def test_a_network_that_draws_softly_is_sharpened_to_the_plate_and_not_by_its_grain() -> None:
    plate, new = scene(1), scene(2)
    own, face = defocused(plate, 0.7), defocused(new, 0.7)
    inside = weights() > 0.5
    clean, noisy = (
        detail.match_detail(face, crop, own, weights(), 1.0) for crop in (plate, with_grain(plate))
    )
    before, after = (np.sqrt(((x - new)[inside] ** 2).mean()) for x in (face, clean))
    assert after < 0.7 * before  # the gain has a limit, and noise-free edges ask for more
    assert np.abs(noisy - clean).max() < 0.05
    assert slopes(noisy, 0.0) == pytest.approx(slopes(clean, 0.0), rel=0.05)


def test_grain_in_the_plate_is_no_sharpness() -> None:
    own, face = scene(1), scene(2)
    matched = detail.match_detail(face, with_grain(own, 0.02), own, weights(), 1.0)
    assert slopes(matched, 0.0) == pytest.approx(slopes(face, 0.0), rel=0.03)


@pytest.mark.parametrize("own_is_there", [True, False])
def test_no_frequency_is_raised_to_more_than_twice(own_is_there: bool) -> None:
    plate = scene(1)
    own = defocused(plate, 3.0)
    impulse = np.zeros_like(plate)
    impulse[SIZE // 2, SIZE // 2] = 1.0
    if own_is_there:
        response = detail.match_detail(impulse, plate, own, weights(), 1.0)
        gain = np.abs(np.fft.fft2(response[..., 0]))
        assert gain.max() < 2.05
        assert gain.max() > 1.5
        assert response.sum(axis=(0, 1)) == pytest.approx(np.ones(3), abs=1e-3)
    else:
        matched = detail.match_detail(own, plate, None, weights(), 1.0)
        assert np.abs(matched - own).max() < np.abs(own - own.mean()).max()


@pytest.mark.parametrize(
    ("crop", "own"),
    [(defocused(scene(1), 1.5), scene(1)), (scene(1), defocused(scene(1), 0.8))],
    ids=["softer", "sharper"],
)
def test_sharpness_moves_one_way_with_the_amount(crop: np.ndarray, own: np.ndarray) -> None:
    face = defocused(scene(2), 0.5)
    amounts = np.linspace(0.0, 1.0, 6)
    steps = [
        slopes(detail.match_detail(face, crop, own, weights(), float(amount)), 0.0)
        for amount in amounts
    ]
    direction = np.sign(steps[-1] - steps[0])
    assert (np.diff(steps) * direction > 0.0).all()


def test_values_are_not_clamped() -> None:
    own, face = scene(1), scene(2)
    crop = defocused(own, 1.0)
    matched = detail.match_detail(face, crop, own, weights(), 1.0)
    raised = detail.match_detail(face * 3.0 - 0.8, crop, own, weights(), 1.0)
    assert np.allclose(raised, matched * 3.0 - 0.8, rtol=0.0, atol=1e-4)
    assert raised.min() < 0.0
    assert raised.max() > 1.0


def test_without_a_face_to_look_at_nothing_changes() -> None:
    own, face = scene(1), scene(2)
    nowhere = np.zeros((SIZE, SIZE), np.float32)
    assert np.array_equal(detail.match_detail(face, defocused(own, 2.0), own, nowhere, 1.0), face)
