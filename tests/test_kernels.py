"""The compiled inner loops: exact, the same however a frame is cut, and never out of bounds."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from semblance import kernels

HALFS = np.arange(65536, dtype=np.uint16).view(np.float16)
FINITE = HALFS[np.isfinite(HALFS)]


def noise(shape: tuple[int, ...], seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).uniform(-0.2, 3.0, shape).astype(np.float32)


def curve(light: np.ndarray) -> np.ndarray:
    """Return the working encoding in double precision, as IEC 61966-2-1 and its docs say it."""
    light = light.astype(np.float64)
    middle = 1.055 * np.clip(light, 0.0031308, 1.0) ** (1 / 2.4) - 0.055
    high = 1.0 + 1.055 / 2.4 * np.log(np.maximum(light, 1.0))
    return np.where(light <= 0.0031308, 12.92 * light, np.where(light <= 1.0, middle, high))


def test_the_curve_is_the_standards_and_its_inverse_is_one_over_every_half() -> None:
    light = FINITE.astype(np.float32)
    code, back = np.empty_like(light), np.empty_like(light)
    kernels.encode(light, code, 1.0)
    assert code == pytest.approx(curve(light), rel=1e-6, abs=1e-7)
    kernels.decode(code, back, 1.0)
    shown = (light >= -0.1) & (light <= 65504.0)
    assert back[shown] == pytest.approx(light[shown], rel=5e-6, abs=1e-9)
    odd = np.float32([np.nan, np.inf, -np.inf])
    kernels.encode(odd, code[:3], 2.0)
    np.testing.assert_array_equal(code[:3], odd)


@given(st.integers(1, 3000), st.integers(0, 2999), st.integers(0, 9))
@settings(max_examples=60, deadline=None)
def test_a_values_bits_depend_on_no_cut(length: int, cut: int, seed: int) -> None:
    light = noise((length,), seed)
    whole, parts = np.empty_like(light), np.empty_like(light)
    cut = min(cut, length)
    for of in (kernels.encode, kernels.decode):
        of(light, whole, 1.3)
        of(light[:cut], parts[:cut], 1.3)
        of(light[cut:], parts[cut:], 1.3)
        assert whole.tobytes() == parts.tobytes()


def test_halfs_come_and_go_as_numpy_converts_them() -> None:
    planes = [np.tile(HALFS, (3, 1))[:, ::1] for _ in range(3)]
    picture = np.empty((3, 65536, 3), np.float32)
    kernels.picture(*planes, picture)
    np.testing.assert_array_equal(picture[1, :, 2], HALFS.astype(np.float32))
    for by in (0.0, 1e-7, 0.3, -7.0, 3e4):
        sums = [np.tile(FINITE, (1, 1)) for _ in range(3)]
        change = np.full((1, FINITE.size, 3), by, np.float32)
        kernels.add(*sums, change, np.ones((1, FINITE.size), np.float32))
        exact = np.clip(FINITE.astype(np.float32) + np.float32(by), -65504.0, 65504.0)
        np.testing.assert_array_equal(sums[0][0], exact.astype(np.float16))


@pytest.mark.parametrize("kind", [np.float16, np.float32])
def test_what_takes_no_share_keeps_its_bits(kind: type) -> None:
    stored = np.tile(HALFS.astype(kind), (2, 1))
    planes = [stored.copy() for _ in range(3)]
    share = np.zeros(stored.shape, np.float32)
    share[1, ::2] = 0.5
    kernels.add(*planes, np.full((*stored.shape, 3), 1.0, np.float32), share)
    for plane in planes:
        assert plane[share == 0.0].tobytes() == stored[share == 0.0].tobytes()
        assert np.isfinite(plane[share > 0.0]).all()


def keys(t: float) -> np.ndarray:
    """Return the four weights of cubic convolution (Keys 1981) with a = −3/4."""
    x, a = np.abs(t - np.array([-1.0, 0.0, 1.0, 2.0])), -0.75
    near = (a + 2.0) * x**3 - (a + 3.0) * x**2 + 1.0
    return np.where(x <= 1.0, near, a * (x**3 - 5.0 * x**2 + 8.0 * x - 4.0))


@given(
    st.integers(1, 70), st.integers(1, 70), st.floats(-3.0, 3.0), st.floats(-80.0, 80.0),
    st.integers(0, 99),
)  # fmt: skip
@settings(max_examples=40, deadline=None)
def test_samples_are_keys_cubic_and_the_border_goes_on(
    rows: int, columns: int, scale: float, shift: float, seed: int
) -> None:
    source, result = noise((rows, columns, 3), seed), np.empty((9, 70, 3), np.float32)
    matrix = (scale, 0.3, shift, -0.2, 0.9 * scale, 0.5 * shift)
    kernels.sample(source, matrix, result)
    wide = np.pad(source.astype(np.float64), ((200, 200), (200, 200), (0, 0)), mode="edge")
    for row, column in ((0, 0), (3, 69), (8, 35)):
        x = np.clip(scale * (column + 0.5) + 0.3 * (row + 0.5) + shift - 0.5, -2.0, columns + 1.0)
        y = -0.2 * (column + 0.5) + 0.9 * scale * (row + 0.5) + 0.5 * shift - 0.5
        y = np.clip(y, -2.0, rows + 1.0)
        u, v = int(np.floor(x)), int(np.floor(y))
        around = wide[199 + v : 203 + v, 199 + u : 203 + u]
        expected = np.einsum("y,x,yxc->c", keys(y - v), keys(x - u), around)
        assert result[row, column] == pytest.approx(expected, abs=2e-4)


AXES = np.float32(np.linalg.qr(np.random.default_rng(5).normal(size=(3, 3)))[0])


def grain_field(picture: np.ndarray, starts: np.ndarray, kept: float = 1.0) -> np.ndarray:
    """Return a share of a picture, over which noise of one half everywhere is laid as it is."""
    cells = tuple(-(-side // 4) for side in picture.shape[:2])
    weights = np.full((*cells, 3), kept, np.float32)
    tile = np.full((256, 256, 3), 0.5, np.float32)
    result = np.empty(picture.shape, np.float32)
    fresh = np.ones_like(weights)
    kernels.grain_field(picture, None, AXES, weights, fresh, tile, starts, result)
    return result


@given(st.integers(1, 300), st.integers(1, 300), st.integers(0, 9))
@settings(max_examples=30, deadline=None)
def test_grain_is_weighed_by_cells_along_the_axes(height: int, width: int, seed: int) -> None:
    picture, less = noise((height, width, 3), seed), noise((height, width, 4), seed + 1)
    rows, columns = -(-height // 4), -(-width // 4)
    cells = np.empty((rows, columns, 3), np.float32)
    kernels.grain_energy(picture, less, AXES, cells)
    energy = ((picture - less[..., :3]).astype(np.float64) @ AXES.T.astype(np.float64)) ** 2
    for row, column in ((0, 0), (rows - 1, columns - 1), (rows // 2, columns // 2)):
        cell = energy[4 * row : 4 * row + 4, 4 * column : 4 * column + 4]
        assert cells[row, column] == pytest.approx(cell.mean(axis=(0, 1)), rel=1e-4)
    starts = np.random.default_rng(seed).integers(
        128, size=(-(-height // 128), -(-width // 128), 2)
    )
    laid = grain_field(picture, starts, kept=0.25)
    flat = np.full(3, 0.5, np.float32) @ AXES
    assert laid == pytest.approx(0.25 * picture + flat, abs=1e-5)


def test_arrays_that_do_not_belong_together_are_refused() -> None:
    picture, plane = noise((5, 6, 3)), noise((5, 6))
    refused = [
        lambda: kernels.encode(plane.ravel(), np.empty(29, np.float32), 1.0),
        lambda: kernels.encode(plane.ravel().astype(np.float64), plane.ravel(), 1.0),
        lambda: kernels.encode(picture, picture, 1.0),
        lambda: kernels.picture(plane, plane, plane[:4], picture),
        lambda: kernels.picture(plane[:, ::2], plane, plane, picture),
        lambda: kernels.add(plane, plane, plane, picture, noise((5, 5))),
        lambda: kernels.sample(noise((5, 6, 4)), (1, 0, 0, 0, 1, 0), picture),
        lambda: kernels.lay_in(picture, noise((5, 5, 4)), None, 1.0, 1.0, picture.copy()),
        lambda: kernels.lay_in(picture, noise((5, 6, 4)), plane, 1.0, 1.0, picture.copy()),
        lambda: kernels.pack(picture, picture, plane, picture.copy()),
        lambda: kernels.largest_difference(picture, picture[:4], plane),
        lambda: kernels.expose(picture, 1.0, picture.copy(), plane[:4]),
        lambda: kernels.grain_energy(picture, picture, AXES, noise((2, 2, 3))),
        lambda: kernels.grain_energy(picture, None, AXES, noise((1, 2, 3))),
        lambda: grain_field(picture, starts=np.full((1, 1, 2), 129)),
        lambda: grain_field(picture, starts=np.zeros((1, 2, 2), np.int64)),
        lambda: kernels.bands(picture, plane, plane, 0.1, 1.0, picture.copy(), plane[:4]),
    ]
    for call in refused:
        with pytest.raises(ValueError, match=r"array|shapes|side by side"):
            call()
    frozen = picture.copy()
    frozen.flags.writeable = False
    with pytest.raises((ValueError, BufferError)):
        kernels.sample(picture, (1, 0, 0, 0, 1, 0), frozen)


@given(st.integers(1, 9), st.integers(1, 40), st.integers(1, 70), st.integers(0, 9))
@settings(max_examples=40, deadline=None)
def test_a_product_is_the_matrix_product_and_each_row_its_own(rows, inner, width, seed) -> None:
    left, right = noise((rows, inner), seed), noise((inner, width), seed + 1)
    result, alone = np.empty((rows, width), np.float32), np.empty((1, width), np.float32)
    kernels.product(left, right, result)
    assert result == pytest.approx(left.astype(np.float64) @ right, rel=1e-5, abs=1e-5)
    kernels.product(left[-1:], right, alone)
    assert alone.tobytes() == result[-1:].tobytes()
    with pytest.raises(ValueError, match="belong together"):
        kernels.product(left, np.zeros((inner + 1, width), np.float32), result)
