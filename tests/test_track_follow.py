"""Following a face: by the picture's own motion, from the first frame on, at any turn and size."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from skimage import data as photographs

from semblance.align import ANCHORS
from semblance.colour import linear_to_srgb, srgb_to_linear
from semblance.exr import Sequence, write_plate
from semblance.knobs import ColourKnobs
from semblance.plate import Plate, Window
from semblance.track.analyse import track_shot
from semblance.track.flow import carried
from semblance.track.native import MIRROR
from semblance.track.provider import open_provider
from semblance.track.smooth import smooth
from semblance.track.view import find_faces


@pytest.fixture(scope="module")
def photograph():
    return srgb_to_linear(np.asarray(photographs.astronaut(), np.float32) / np.float32(255.0))


@pytest.fixture(scope="module")
def provider():
    return open_provider()


@pytest.fixture(scope="module")
def face(photograph, provider):
    return place(photograph, provider)


def place(picture, provider, aspect=1.0):
    (found,) = find_faces(np.ascontiguousarray(picture, np.float32), aspect, provider)
    return np.asarray(found.landmarks, np.float64)


def nme(points, true):
    unit = np.linalg.norm(true[36] - true[45])
    return 100.0 * np.linalg.norm(points - true, axis=1).mean() / unit


def warped(picture, matrix):
    shift = matrix[:, 2] + matrix[:, :2] @ (0.5, 0.5) - (0.5, 0.5)
    placed = np.column_stack([matrix[:, :2], shift])
    size = picture.shape[1], picture.shape[0]
    out = cv2.warpAffine(
        picture, placed, size, flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE
    )
    return np.maximum(out, 0)


@settings(max_examples=15, deadline=None)
@given(
    x=st.floats(-14.0, 14.0),
    y=st.floats(-14.0, 14.0),
    degrees=st.floats(-6.0, 6.0),
    scale=st.floats(0.94, 1.06),
)
def test_the_flow_carries_a_face_to_a_fraction_of_a_pixel(
    photograph, face, x, y, degrees, scale
):  # fmt: skip
    a = np.radians(degrees)
    turn = scale * np.array([[np.cos(a), -np.sin(a)], [np.sin(a), np.cos(a)]])
    centre = face.mean(0)
    matrix = np.column_stack([turn, centre - turn @ centre + (x, y)])
    moved = carried(photograph, warped(photograph, matrix), face, 0.0)
    assert moved is not None
    away = np.linalg.norm(moved - (face @ turn.T + matrix[:, 2]), axis=1)
    assert away.mean() < 0.25


def test_what_does_not_come_back_is_not_believed(photograph, face):
    noise = np.random.default_rng(1).random(photograph.shape).astype(np.float32)
    assert carried(photograph, noise, face, 0.0) is None
    assert carried(photograph, np.zeros_like(photograph), face, 0.0) is None
    assert carried(photograph, photograph, face + 5000.0, 0.0) is None


@pytest.mark.parametrize(
    ("change", "limit"),
    [
        (lambda x: x / 8, 0.2),
        (lambda x: x * 8, 0.2),
        (lambda x: np.repeat(x @ np.float32([[0.2126], [0.7152], [0.0722]]), 3, 2), 1.0),
        (linear_to_srgb, 1.1),
        (lambda x: np.log10(1 + 60 * x) / 1.8, 1.5),
    ],
    ids=["dark", "bright", "monochrome", "sRGB taken for linear", "log taken for linear"],
)
def test_whatever_the_plate_the_landmarks_are_the_same(photograph, provider, face, change, limit):
    assert nme(place(change(photograph), provider), face) < limit


@pytest.mark.parametrize("turn", [1, 2, 3])
def test_a_head_on_its_side_is_found_and_its_landmarks_are_the_same(
    photograph, provider, face, turn
):
    x, y = place(np.rot90(photograph, turn), provider).T
    side = photograph.shape[0]
    back = {1: (side - y, x), 2: (side - x, side - y), 3: (y, side - x)}[turn]
    assert nme(np.column_stack(back), face) < 1.0


def test_the_mirror_image_has_the_mirrored_landmarks(photograph, provider, face):
    there = place(photograph[:, ::-1], provider)
    assert nme(there[MIRROR] * (-1, 1) + (photograph.shape[1], 0), face) < 1.0


@pytest.mark.parametrize("pixels", [48, 1200])
def test_a_face_may_be_small_or_large(photograph, provider, face, pixels):
    """And of 4000 pixels; that takes a minute, in bench/track.py."""
    scale = pixels / np.ptp(face[:, 1])
    part = photograph if scale < 1 else photograph[20:250, 120:330]
    offset = (0, 0) if scale < 1 else (120, 20)
    method = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    there = place(cv2.resize(part, None, fx=scale, fy=scale, interpolation=method), provider)
    assert nme(there / scale + offset, face) < (4.0 if pixels < 100 else 2.0)


def test_a_moved_photograph_is_followed_by_its_motion_from_the_first_frame_on(
    photograph, provider, tmp_path
):
    """Nothing of the first look stays: no frame lies beside the others, and no motion lags."""
    plates = Sequence.parse(tmp_path / "plate.####.exr")
    large = cv2.resize(photograph[:280, 90:370], None, fx=2, fy=2, interpolation=cv2.INTER_CUBIC)
    large = np.maximum(large, 0)
    t = np.arange(16)
    path = np.column_stack([2.3 * np.sin(t / 3), 1.4 * np.cos(t / 4)])
    rng = np.random.default_rng(9)
    window = Window(0, 0, large.shape[1], large.shape[0])
    for frame, by in enumerate(path, 1001):
        picture = warped(large, np.column_stack([np.eye(2), by]))
        picture = picture + rng.normal(0, 0.004, picture.shape).astype(np.float32)
        channels = {name: picture[..., i] for i, name in enumerate("RGB")}
        write_plate(Plate(channels, window, window), plates.path(frame))
    track = track_shot(
        plates, plates.frames(), provider, ColourKnobs(), lambda *_: None, lambda: False
    )
    held = smooth(track, 1.0).faces.values()
    moved = np.stack([each.landmarks[ANCHORS].mean(0) for each in held])
    error = (moved - moved.mean(0)) - (path - path.mean(0))
    assert np.sqrt((error**2).sum(1).mean()) < 0.08
