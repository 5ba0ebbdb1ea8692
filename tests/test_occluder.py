from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from semblance import align, colour, matte, occluder
from semblance.errors import EnvironmentFault
from semblance.exr import read_plate, read_roto


def painted(picture: np.ndarray, outline: np.ndarray, colour_of: tuple[float, ...]) -> None:
    """Fill an outline in canonical units, antialiased."""
    fixed = np.round((outline * len(picture) - 0.5) * 16).astype(np.int32)
    cv2.fillPoly(picture, [fixed], colour_of, cv2.LINE_AA, 4)


def drawn_crop(size: int, *, disc: tuple[float, float, float] | None = None) -> np.ndarray:
    """A drawn face in the working encoding; with a dark disc (x, y, radius) before it."""
    picture = np.full((512, 512, 3), 0.2, np.float32)
    points = align.TEMPLATE
    crown = (
        (points[16:17] - points[0:1]) * [[0.9, 0.0], [0.5, 0.0], [0.1, 0.0]]
        + points[0]
        - [[0, 0.2], [0, 0.26], [0, 0.2]]
    )
    neck = np.array([[0.24, 0.7], [0.76, 0.7], [0.78, 0.95], [1.1, 1.1], [-0.1, 1.1], [0.22, 0.95]])
    painted(picture, neck, (0.45, 0.32, 0.26))
    painted(picture, np.concatenate([points[:17], crown]), (0.62, 0.45, 0.36))
    rows, columns = (np.mgrid[:512, :512] + 0.5) / 512 - 0.5
    picture *= (1.0 - 0.5 * columns**2 + 0.25 * columns - 0.2 * rows)[..., None].astype(np.float32)
    for eye in (points[36:42], points[42:48]):
        painted(picture, eye, (0.72, 0.70, 0.68))
        cv2.circle(
            picture, tuple((eye.mean(0) * 512).astype(int).tolist()), 9, (0.1, 0.09, 0.08), -1
        )
    for brow in (points[17:22], points[22:27]):
        painted(
            picture, np.concatenate([brow, brow[::-1] + np.array([0.0, 0.022])]), (0.3, 0.22, 0.17)
        )
    painted(picture, points[31:36] + np.array([0.0, 0.004]), (0.4, 0.27, 0.22))
    painted(picture, points[48:60], (0.5, 0.28, 0.26))
    picture = cv2.GaussianBlur(picture, (0, 0), 3.0)
    crop = cv2.resize(
        picture, (size, size), interpolation=cv2.INTER_AREA if size < 512 else cv2.INTER_CUBIC
    )
    if disc is not None:
        crop += disc_alpha(size, disc)[..., None] * (np.float32([0.13, 0.14, 0.16]) - crop)
    return np.clip(crop, 0.0, 1.0)


def disc_alpha(size: int, disc: tuple[float, float, float]) -> np.ndarray:
    x, y, radius = (value * size for value in disc)
    rows, columns = np.mgrid[:size, :size] + 0.5
    return np.clip(radius - np.hypot(columns - x, rows - y) + 0.5, 0.0, 1.0).astype(np.float32)


DISC = (0.52, 0.62, 0.17)


FACE = matte.hull_mask(align.TEMPLATE, 256) > 0.5


def test_a_ball_before_a_face_is_held_out_and_the_face_is_not() -> None:
    weight = occluder.held_out(occluder.look(drawn_crop(256, disc=DISC), align.TEMPLATE), 0.5)
    ball = disc_alpha(256, DISC) > 0.99
    around = cv2.dilate(ball.astype(np.uint8), np.ones((25, 25), np.uint8)) > 0
    assert (weight[ball & FACE] > 0.98).mean() > 0.98
    assert weight[FACE & ~around].mean() < 0.03


def test_of_a_face_alone_next_to_nothing_is_held_out() -> None:
    weight = occluder.held_out(occluder.look(drawn_crop(256), align.TEMPLATE), 0.5)
    assert weight[FACE].mean() < 0.01


def test_a_look_depends_on_its_arguments_alone() -> None:
    crops = [drawn_crop(160), drawn_crop(160, disc=DISC)]
    once = [occluder.look(crop, align.TEMPLATE) for crop in crops]
    with ThreadPoolExecutor(4) as threads:
        again = list(threads.map(lambda crop: occluder.look(crop, align.TEMPLATE), crops * 8))
    for i, found in enumerate(again):
        assert found.dtype == np.float32
        assert found.shape == (160, 160)
        np.testing.assert_array_equal(found, once[i % 2])


@pytest.mark.parametrize("size", [128, 192, 512, 1024])
def test_what_is_held_out_does_not_depend_on_the_crops_size(size: int) -> None:
    def held(side: int) -> np.ndarray:
        found = occluder.look(drawn_crop(side, disc=DISC), align.TEMPLATE)
        weight = occluder.held_out(found, 0.5)
        return cv2.resize(weight, (128, 128), interpolation=cv2.INTER_AREA)

    face = matte.hull_mask(align.TEMPLATE, 128)
    assert (face * np.abs(held(size) - held(256))).sum() < 0.02 * face.sum()


probabilities = st.integers(0, 2**32 - 1).map(
    lambda seed: cv2.GaussianBlur(
        np.random.default_rng(seed).random((96, 96), np.float32), (0, 0), 1 + seed % 7
    )
)


@given(probabilities, st.floats(0.0, 1.0), st.floats(0.0, 1.0))
def test_more_amount_never_holds_out_less(
    probability: np.ndarray, amount: float, other: float
) -> None:
    probability = np.clip(3.0 * (probability - 0.4), 0.0, 1.0)
    low, high = sorted((amount, other))
    less, more = (occluder.held_out(probability, value) for value in (low, high))
    assert (more >= less - 1e-6).all()
    assert less.min() >= 0.0
    assert more.max() <= 1.0


def test_amount_0_holds_out_nothing_and_no_probability_nothing_at_any() -> None:
    assert not occluder.held_out(np.ones((64, 64), np.float32), 0.0).any()
    assert not occluder.held_out(np.zeros((64, 64), np.float32), 1.0).any()


@pytest.mark.parametrize("size", [128, 256, 1024])
def test_the_weight_hugs_an_edge_from_outside_and_ends(size: int) -> None:
    probability = np.zeros((size, size), np.float32)
    probability[:, : size // 2] = 1.0
    row = occluder.held_out(probability, 0.5)[size // 2]
    assert (row[: size // 2 + round(0.005 * size)] > 0.98).all()
    assert row[size // 2 + round(0.018 * size) + 1 :].max() < 1e-3


def test_a_package_without_its_network_says_so(tmp_path: Path) -> None:
    with pytest.raises(EnvironmentFault, match=r"occluder\.onnx can't be read from .*Install"):
        occluder._open(tmp_path)
    (tmp_path / "occluder.onnx").write_bytes(b"torn")
    with pytest.raises(EnvironmentFault, match="not a network"):
        occluder._open(tmp_path)


@pytest.mark.parametrize(("shot", "frame"), [("occlusion", 1011), ("song", 1001)])
def test_the_studios_hand_is_held_out_and_its_singer_is_not(
    studio: Path, shot: str, frame: int
) -> None:
    plate = read_plate(studio / shot / f"plate.{frame}.exr")
    roto = read_roto(studio / shot / f"mask.{frame}.exr")
    points = np.array(
        json.loads((studio / shot / "truth.json").read_text())[str(frame)]["landmarks_plate"]
    )
    matrix = align.fit(points)
    stops = colour.auto_stops([colour.face_luma(plate.picture(), points) or 0.0])
    working = colour.encode(plate.picture(), stops)
    crop = np.clip(align.to_crop(working, plate.data_window, matrix, 256), 0.0, 1.0)
    mask = align.to_crop(roto.pixels, roto.window, matrix, 256)
    landmarks = align.transform(points, matrix)
    weight = occluder.held_out(occluder.look(crop, landmarks), 0.5)
    face = cv2.erode((mask > 0.99).astype(np.uint8), np.ones((13, 13), np.uint8)) > 0
    assert weight[face].mean() < (0.05 if shot == "occlusion" else 0.005)
    if shot == "occlusion":
        middle = np.zeros(mask.shape, np.uint8)
        outline = landmarks[27] + 0.7 * (landmarks[2:15] - landmarks[27])
        cv2.fillConvexPoly(middle, np.round(outline * 256).astype(np.int32), 1)
        hidden = (middle > 0) & (mask < 0.005)
        assert hidden.sum() > 2000
        assert (weight[hidden] > 0.98).mean() > 0.97
