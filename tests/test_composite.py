"""The composite's laws: what each mode must do to a change, whatever the change and the matte."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import cv2
import numpy as np
import pytest
import scipy.sparse
import scipy.sparse.linalg
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from semblance.blend.composite import composite
from semblance.knobs import BlendKnobs

Image = NDArray[np.float32]
MODES = ["over", "multiband", "poisson"]
SOFT, HARD = 0.05, 1e-4
"""Half the width of a matte's edge, in parts of the window."""

modes = st.sampled_from(MODES)
seeds = st.integers(0, 2**16)
shapes = st.tuples(st.integers(1, 90), st.integers(1, 90))


def laid(mode: str, change: Image, matte: Image, mix: float = 1.0) -> Image:
    """Return the change that a mode lets through."""
    laid, share = composite(change, matte, BlendKnobs(blend_mode=mode, mix=mix))
    return laid * share[..., None]


def noise(shape: tuple[int, ...], seed: int) -> Image:
    return np.random.default_rng(seed).normal(0.1, 1.0, shape).astype(np.float32)


def any_matte(shape: tuple[int, int], seed: int) -> Image:
    """Return a matte of holes, hard edges, soft edges and whole areas."""
    rough = cv2.GaussianBlur(noise(shape, seed), (0, 0), 1.0 + seed % 7)
    return np.clip(0.5 + (1.0 + seed % 5) * rough / (rough.std() + 1e-6), 0.0, 1.0)


def face(size: int, edge: float, shift: float = 0.0, width: float = 0.31) -> Image:
    """Return a matte like a face's in a square window; `shift` in pixels."""
    y, x = (np.mgrid[:size, :size] + 0.5) / size
    radius = np.hypot((x - 0.5 - shift / size) / width, (y - 0.53) / (1.2 * width))
    ramp = np.clip((1.0 - radius) * width / (2.0 * edge) + 0.5, 0.0, 1.0)
    return (ramp * ramp * (3.0 - 2.0 * ramp)).astype(np.float32)


def picture(size: int, seed: int = 3) -> Image:
    """Return a smooth change of waves, the same picture at every size; about ±0.5."""
    random = np.random.default_rng(seed)
    y, x = (np.mgrid[:size, :size] + 0.5) / size
    result = np.full((size, size, 3), 0.08)
    for _ in range(24):
        turns, phase = random.uniform(-20.0, 20.0, 2), random.uniform(0.0, 6.28)
        wave = np.cos(turns[0] * x + turns[1] * y + phase)
        result += wave[..., None] * random.normal(0.0, 0.04, 3)
    return result.astype(np.float32)


@given(modes, shapes, seeds)
@settings(max_examples=60, deadline=None)
def test_what_changes_nothing_stays_exactly_nothing(
    mode: str, shape: tuple[int, int], seed: int
) -> None:
    result = laid(mode, np.zeros((*shape, 3), np.float32), any_matte(shape, seed))
    assert not result.any()


@given(modes, shapes, seeds, st.floats(0.01, 1.0))
@settings(max_examples=60, deadline=None)
def test_outside_the_matte_nothing_is_touched(
    mode: str, shape: tuple[int, int], seed: int, mix: float
) -> None:
    matte = any_matte(shape, seed)
    knobs = BlendKnobs(blend_mode=mode, mix=mix)
    result, share = composite(noise((*shape, 3), seed), matte, knobs)
    assert result.dtype == share.dtype == np.float32
    assert np.isfinite(result).all()
    assert not share[matte == 0.0].any()


@given(st.sampled_from(["over", "multiband"]), shapes, seeds, st.floats(-50.0, 50.0))
@settings(max_examples=40, deadline=None)
def test_over_and_multiband_are_linear_in_the_change(
    mode: str, shape: tuple[int, int], seed: int, factor: float
) -> None:
    one, other, matte = noise((*shape, 3), seed), noise((*shape, 3), seed + 1), any_matte(shape, 2)
    whole = laid(mode, one + np.float32(factor) * other, matte)
    parts = laid(mode, one, matte) + factor * laid(mode, other, matte)
    assert np.abs(whole - parts).max() < 1e-5 * (1.0 + abs(factor)) * 5.0


@given(shapes, seeds, st.floats(0.01, 100.0))
@settings(max_examples=40, deadline=None)
def test_poisson_scales_with_the_change(shape: tuple[int, int], seed: int, factor: float) -> None:
    change, matte = noise((*shape, 3), seed), any_matte(shape, seed)
    scaled = laid("poisson", np.float32(factor) * change, matte)
    assert scaled == pytest.approx(factor * laid("poisson", change, matte), abs=1e-3 * factor)


@given(shapes, seeds)
@settings(max_examples=40, deadline=None)
def test_over_lies_between_the_plate_and_the_face(shape: tuple[int, int], seed: int) -> None:
    change = 50.0 * noise((*shape, 3), seed)
    result = laid("over", change, any_matte(shape, seed))
    assert (result >= np.minimum(change, 0.0)).all()
    assert (result <= np.maximum(change, 0.0)).all()


@given(modes, shapes, seeds)
@settings(max_examples=40, deadline=None)
def test_under_a_whole_matte_every_mode_is_the_face(
    mode: str, shape: tuple[int, int], seed: int
) -> None:
    """Without an edge there is no seam to hide: the window's border is none."""
    change = noise((*shape, 3), seed)
    assert laid(mode, change, np.ones(shape, np.float32)) == pytest.approx(change, abs=1e-5)


@given(modes, seeds, st.just(0.0) | st.floats(1e-3, 1.0))
@settings(max_examples=30, deadline=None)
def test_mix_dissolves_evenly(mode: str, seed: int, mix: float) -> None:
    change, matte = noise((40, 50, 3), seed), any_matte((40, 50), seed)
    knobs = BlendKnobs(blend_mode=mode, mix=mix)
    result = laid(mode, change, matte, mix)
    assert result == pytest.approx(mix * laid(mode, change, matte), abs=1e-5)
    assert composite(change, matte, knobs)[1].any() == (mix > 0.0)


@pytest.mark.parametrize("edge", [SOFT, HARD])
@pytest.mark.parametrize("level", [0.3, -50.0])
def test_poisson_takes_an_offset_away(edge: float, level: float) -> None:
    change = np.full((160, 160, 3), level, np.float32)
    assert np.abs(laid("poisson", change, face(160, edge))).max() < 1e-3 * abs(level)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("edge", [SOFT, HARD])
def test_whole_pixels_of_shift_shift_the_result(mode: str, edge: float) -> None:
    around = ((100, 100), (100, 100))
    change = np.pad(picture(160), (*around, (0, 0)), mode="reflect")
    matte = np.pad(face(160, edge), around)
    result = laid(mode, change, matte)
    for y, x in ((1, 0), (0, 3), (-7, 12)):
        moved = laid(mode, np.roll(change, (y, x), (0, 1)), np.roll(matte, (y, x), (0, 1)))
        # The pyramid and the membrane's grid start from even pixels.
        assert np.abs(np.roll(moved, (-y, -x), (0, 1)) - result).max() < 0.004


@pytest.mark.parametrize("mode", MODES)
def test_a_proxy_matches_the_full_plate(mode: str) -> None:
    whole = laid(mode, picture(600), face(600, SOFT))
    for factor in (2, 3):
        size = (600 // factor, 600 // factor)
        proxy = laid(mode, picture(size[0]), face(size[0], SOFT))
        small = cv2.resize(whole, size, interpolation=cv2.INTER_AREA)
        assert np.abs(proxy - small).max() < 0.006  # of a change of ±0.5


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("motion", ["moves", "grows"])
def test_a_matte_that_moves_by_a_tenth_of_a_pixel_changes_little_and_evenly(
    mode: str, motion: str
) -> None:
    """Nothing pops: no box, level, grid or threshold may show as the matte goes over it."""
    change = picture(300)

    def at(step: int) -> Image:
        if motion == "moves":
            return laid(mode, change, face(300, SOFT, shift=0.1 * step))
        return laid(mode, change, face(300, SOFT, width=0.31 + 0.1 * step / 300))

    frames = [at(step) for step in range(31)]
    steps = [float(np.abs(b - a).max()) for a, b in pairwise(frames)]
    assert max(steps) < 0.004
    assert max(steps) < 2.5 * float(np.median(steps))


def test_the_levels_of_multiband_come_smoothly() -> None:
    """A face grows from 40 to 420 pixels: its middle and its rim change without a jump."""
    change = picture(480)
    frames = [
        laid("multiband", change, face(480, SOFT, width=0.04 * 1.01**step)) for step in range(240)
    ]
    steps = np.array([np.abs(b - a).max() for a, b in pairwise(frames)])
    neighbours = np.maximum(np.roll(steps, 1), np.roll(steps, -1))[1:-1]
    assert (steps[1:-1] < 2.0 * neighbours + 0.002).all()


@pytest.mark.parametrize("mode", ["multiband", "poisson"])
def test_a_hard_matte_leaves_no_step(mode: str) -> None:
    """Over steps by the whole change from one pixel to the next; these must not, nor kink."""
    change = picture(400)
    result = laid(mode, change, face(400, HARD))
    step = max(np.abs(np.diff(result, axis=axis)).max() for axis in (0, 1))
    assert np.abs(np.diff(laid("over", change, face(400, HARD)), axis=1)).max() > 0.25
    assert step < (0.03 if mode == "multiband" else 0.04)


@pytest.mark.parametrize("cut", [0.3, 0.5])
@pytest.mark.parametrize("mode", MODES)
def test_a_face_cut_by_the_frame_looks_as_it_would_uncut(mode: str, cut: float) -> None:
    change, matte = picture(300), face(300, SOFT)
    left = round(300 * cut)
    whole = laid(mode, change, matte)[:, left:]
    part = laid(mode, change[:, left:].copy(), matte[:, left:].copy())
    inner = np.abs(part - whole)[:, 60:]
    assert inner.max() < {"over": 1e-6, "multiband": 0.01, "poisson": 0.05}[mode]


@pytest.mark.parametrize("cut", [0.3, 0.5])
def test_no_seam_shows_along_the_border(cut: float) -> None:
    """Where the matte is 1 up to the border a flat change stays flat up to it."""
    left = round(300 * cut)
    matte = face(300, SOFT)[:, left:].copy()
    change = np.ones((*matte.shape, 3), np.float32)
    row = laid("multiband", change, matte)[159, :8, 0]
    assert np.ptp(row) < (0.02 if cut == 0.3 else 0.001)
    assert np.abs(laid("poisson", change, matte)).max() < 0.001


def test_a_lamp_on_the_boundary_does_not_light_the_face() -> None:
    change, matte = picture(300), face(300, SOFT)
    lit = change.copy()
    cv2.circle(lit, (57, 159), 6, (50.0, 50.0, 50.0), -1)
    inside = np.zeros((300, 300), np.uint8)
    cv2.circle(inside, (150, 159), 60, 1, -1)
    difference = laid("poisson", lit, matte) - laid("poisson", change, matte)
    assert np.abs(difference[inside > 0]).max() < 0.01


@pytest.mark.parametrize("size", [200, 420])
@pytest.mark.parametrize("centre", [0.5, 0.0])
def test_poisson_under_a_hard_matte_is_the_exact_solution(size: int, centre: float) -> None:
    """Laplace's equation inside, the change around it, Neumann's condition at the window's border.

    At 420 pixels the membrane's grid is coarser than the picture.
    """
    y, x = (np.mgrid[:size, :size] + 0.5) / size
    matte = (np.hypot(x - centre, y - 0.5) < 0.35).astype(np.float32)
    change = picture(size)
    exact = change - harmonic(change, matte > 0.5)
    result = laid("poisson", change, matte)
    assert np.abs(result - exact).max() < 0.02 * np.ptp(change)
    assert np.abs(result - exact).mean() < 0.002 * np.ptp(change)


def harmonic(values: Image, inside: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Return values outside, and inside what is harmonic and meets them; by a direct solver."""
    height, width = inside.shape

    def along(count: int) -> Any:
        ones = np.ones(count)
        middle = 2.0 * ones
        middle[[0, -1]] = 1.0
        return scipy.sparse.diags([-ones[1:], middle, -ones[1:]], [-1, 0, 1])

    laplacian = (
        scipy.sparse.kron(along(height), scipy.sparse.eye(width))
        + scipy.sparse.kron(scipy.sparse.eye(height), along(width))
    ).tocsr()
    free = inside.ravel()
    result = values.reshape(-1, 3).astype(np.float64)
    rows = laplacian[free]
    result[free] = scipy.sparse.linalg.spsolve(
        rows[:, free].tocsc(), -(rows[:, ~free] @ result[~free])
    )
    return result.reshape(values.shape)
