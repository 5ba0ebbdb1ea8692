from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from semblance import align
from semblance.plate import Window
from semblance.track.head import LANDMARKS


@given(
    angle=st.floats(-np.pi, np.pi),
    scale=st.floats(20.0, 4000.0),
    x=st.floats(-500.0, 5000.0),
    y=st.floats(-500.0, 5000.0),
    aspect=st.sampled_from([0.5, 1.0, 2.0]),
)
def test_a_template_laid_into_a_plate_comes_back_to_the_canonical_square(
    angle: float, scale: float, x: float, y: float, aspect: float
) -> None:
    turn = scale * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    plate = (align.TEMPLATE @ turn.T + (x, y)) / (aspect, 1.0)
    matrix = align.fit(plate, aspect)
    assert np.abs(align.transform(plate, matrix) - align.TEMPLATE).max() < 1e-6
    back = align.transform(align.TEMPLATE, align.invert(matrix))
    assert np.abs(back - plate).max() < 1e-5


def test_the_crop_moves_smoothly_when_the_head_turns() -> None:
    """No jump of the crop's corners beyond 1.5 px in a quarter of a degree, at 4K face size."""
    head = (LANDMARKS - LANDMARKS[align.ANCHORS].mean(axis=0)) * (1.0, -1.0, 1.0) * 902.0 / 18.5
    corners = np.array([[0, 0], [1, 0], [1, 1], [0, 1]], np.float64)
    places = []
    for yaw in np.radians(np.arange(0.0, 70.01, 0.25)):
        across = head[:, 0] * np.cos(yaw) + head[:, 2] * np.sin(yaw)
        plate = np.column_stack([across + 2000.0, head[:, 1] + 1000.0])
        places.append(align.transform(corners, align.invert(align.fit(plate))))
    steps = np.linalg.norm(np.diff(places, axis=0), axis=2).max(axis=1)
    assert steps.max() < 1.5
    assert np.abs(np.diff(steps)).max() < 0.05


@pytest.mark.parametrize("size", [128, 256, 512])
def test_a_crop_averages_the_grain_that_it_cannot_show(size: int) -> None:
    grain = np.random.default_rng(0).normal(0.0, 1.0, (902, 902, 3)).astype(np.float32)
    matrix = np.array([[1 / 902, 0.0, 0.0], [0.0, 1 / 902, 0.0]])
    crop = align.to_crop(grain, Window(0, 0, 902, 902), matrix, size)
    assert crop.std() < {128: 0.10, 256: 0.18, 512: 0.37}[size]


def test_a_crop_that_is_as_large_as_the_face_is_the_face() -> None:
    image = np.random.default_rng(0).random((64, 64, 3), np.float32)
    matrix = np.array([[1 / 64, 0.0, -10 / 64], [0.0, 1 / 64, -20 / 64]])
    crop = align.to_crop(image, Window(10, 20, 74, 84), matrix, 64)
    assert np.abs(crop - image).max() < 1e-6
    back = align.to_plate(crop, matrix, Window(10, 20, 74, 84))
    assert np.abs(back - image).max() < 1e-6


def test_bounds_hold_the_square_and_stay_in_the_data_window() -> None:
    matrix = np.array([[1 / 50, 0.0, 0.0], [0.0, 1 / 50, 0.0]])
    assert align.bounds(matrix, Window(-100, -100, 100, 100)) == Window(0, 0, 50, 50)
    assert align.bounds(matrix, Window(20, -5, 30, 10)) == Window(20, 0, 30, 10)
    assert align.bounds(matrix, Window(60, 60, 70, 70)).empty


@given(
    x=st.floats(-0.1, 0.1),
    y=st.floats(-0.1, 0.1),
    degrees=st.floats(-20.0, 20.0),
    scale=st.floats(0.8, 1.25),
)
def test_a_nudge_after_a_fit_is_one_matrix_and_can_be_undone(
    x: float, y: float, degrees: float, scale: float
) -> None:
    plate = align.TEMPLATE * 300.0 + (50.0, 20.0)
    fit, nudge = align.fit(plate), align.nudge(x, y, degrees, scale)
    moved = align.transform(plate, align.chain(fit, nudge))
    assert np.abs(moved - align.transform(align.TEMPLATE, nudge)).max() < 1e-9
    assert np.abs(align.transform(moved, align.invert(nudge)) - align.TEMPLATE).max() < 1e-9
