from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from semblance import colour
from semblance.errors import InputError, KnobError


@given(value=st.floats(-0.1, 65504.0), stops=st.floats(-8.0, 8.0))
def test_the_working_encoding_is_undone_within_a_ten_thousandth(value: float, stops: float) -> None:
    pixel = np.full((1, 3), value, np.float32)
    back = colour.decode(colour.encode(pixel, stops), stops)
    assert np.abs(back - pixel).max() <= 1e-4 * abs(value) + 1e-8


def test_the_working_encoding_rises_everywhere_without_a_kink() -> None:
    linear = np.linspace(-0.1, 4.0, 400_001, dtype=np.float64)
    encoded = colour.encode(linear.astype(np.float32)).astype(np.float64)
    slope = np.diff(encoded) / np.diff(linear)
    assert slope.min() > 0.0
    near_one = np.abs(linear[1:] - 1.0) < 0.05
    assert np.ptp(slope[near_one]) < 0.08


def test_the_srgb_curve_has_its_published_values() -> None:
    """IEC 61966-2-1: linear 0.18 is code 117.65 of 255, code 0.5 is linear 0.21404."""
    assert colour.linear_to_srgb(np.float32([0.18]))[0] * 255 == pytest.approx(117.65, abs=0.01)
    assert colour.srgb_to_linear(np.float32([0.5]))[0] == pytest.approx(0.21404, abs=1e-5)


@pytest.mark.parametrize(
    "space", ["ACEScg", "ACES2065-1", "Linear P3-D65", "ARRI LogC4", "lin_ap1"]
)
def test_a_space_is_undone(space: str) -> None:
    pixels = np.random.default_rng(0).uniform(0.01, 8.0, (5, 7, 3)).astype(np.float32)
    name = colour.resolve_space(space, {})
    encoded = colour.from_linear(pixels, name)
    assert np.abs(colour.to_linear(encoded, name) / pixels - 1.0).max() < 2e-3
    assert np.abs(encoded - pixels).max() > 1e-3


def test_acescg_red_is_where_the_academy_puts_it() -> None:
    """AP1 red in linear Rec.709 is (1.705, −0.130, −0.024): ACES S-2014-004 with Bradford."""
    red = colour.to_linear(np.float32([[[1.0, 0.0, 0.0]]]), "ACEScg")[0, 0]
    assert red == pytest.approx([1.705, -0.130, -0.024], abs=2e-3)


def test_linear_rec709_is_not_touched_at_all() -> None:
    pixels = np.float32([[[np.nan, np.inf, 1e-30]]])
    assert colour.to_linear(pixels, colour.LINEAR) is pixels


def test_a_plate_says_its_own_space() -> None:
    assert colour.resolve_space("auto", {}) == colour.LINEAR
    assert colour.resolve_space("auto", {"colorInteropID": "lin_ap1_scene"}) == "ACEScg"
    ap0 = (0.7347, 0.2653, 0.0, 1.0, 0.0001, -0.077, 0.32168, 0.33767)
    assert colour.resolve_space("auto", {"chromaticities": ap0}) == "ACES2065-1"


def test_an_unknown_space_is_refused_with_the_known_ones() -> None:
    with pytest.raises(KnobError, match=r"'input_space' is 'mud'.*ACEScg"):
        colour.resolve_space("mud", {})


def test_an_ocio_variable_that_names_nothing_is_an_error(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    colour._configs.cache_clear()
    monkeypatch.setenv("OCIO", "/no/such/config.ocio")
    try:
        with pytest.raises(InputError, match=r"\$OCIO"):
            colour.resolve_space("ACEScg", {})
    finally:
        colour._configs.cache_clear()


@given(st.lists(st.floats(0.001, 10.0), min_size=1))
def test_automatic_exposure_brings_the_median_face_to_the_target(lumas: list[float]) -> None:
    stops = colour.auto_stops(lumas)
    assert np.median(lumas) * 2.0**stops == pytest.approx(colour.EXPOSURE_TARGET)


def test_automatic_exposure_without_a_face_is_none() -> None:
    assert colour.auto_stops([]) == 0.0
    assert colour.auto_stops([0.0, math.nan]) == 0.0


def test_a_face_is_measured_inside_its_landmarks_alone() -> None:
    linear = np.full((40, 40, 3), 9.0, np.float32)
    linear[10:31, 10:31] = 0.25
    linear[20, 20] = np.nan
    corners = np.array([[10.5, 10.5], [30.5, 10.5], [30.5, 30.5], [10.5, 30.5]])
    assert colour.face_luma(linear, corners) == pytest.approx(0.25)
    away = corners - (15.0, 0.0)
    assert colour.face_luma(linear, away) == pytest.approx(colour.face_luma(linear[:, :16], away))
    assert colour.face_luma(linear, corners + 100.0) is None
