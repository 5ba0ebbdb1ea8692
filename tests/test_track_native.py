"""The native provider on a photograph (scikit-image's astronaut) and on the studio's shots."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import cv2
import imageio.v3 as iio
import numpy as np
import pytest
from numpy.typing import NDArray
from skimage import data as photographs

from semblance.errors import TrackError
from semblance.track.native import (
    LANDMARKS_FILE,
    MIRROR,
    NativeProvider,
    open_face_provider,
    roi_of,
)
from semblance.track.provider import Detection, open_provider

STUDIO = Path(__file__).resolve().parents[2] / "shared/studio"
Array = NDArray[np.float32]


@pytest.fixture(scope="module")
def provider() -> NativeProvider:
    return open_face_provider(None)


@pytest.fixture(scope="module")
def photograph() -> Array:
    return _picture(photographs.astronaut())


@pytest.fixture(scope="module")
def face(provider: NativeProvider, photograph: Array) -> Detection:
    found = provider.find(photograph)
    assert len(found) == 1
    return found[0]


def _picture(pixels: NDArray[np.uint8]) -> Array:
    return pixels.astype(np.float32) / np.float32(255)


def difference(a: NDArray[Any], b: NDArray[Any]) -> float:
    """Mean distance over the distance of the outer eye corners."""
    unit = float(np.linalg.norm(b[36] - b[45]))
    return float(np.linalg.norm(a - b, axis=1).mean()) / unit


def one(found: tuple[Detection, ...]) -> Detection:
    assert len(found) == 1
    return found[0]


def test_a_face_in_a_photograph_is_where_it_is(face: Detection) -> None:
    p = face.landmarks
    assert p.shape == (68, 2)
    assert p.dtype == np.float32
    assert 0.5 <= face.score <= 1
    # Read off the photograph by eye; the eyes are 43 pixels apart.
    assert np.allclose(p[36:42].mean(0), (203, 101), atol=4)
    assert np.allclose(p[42:48].mean(0), (247, 103), atol=4)
    assert np.allclose(p[30], (225, 124), atol=6)
    assert np.allclose(p[48:60].mean(0), (224, 146), atol=5)
    assert np.allclose(p[8], (224, 178), atol=9)


def test_the_landmarks_move_with_the_picture(
    provider: NativeProvider, photograph: Array, face: Detection
) -> None:
    moved = np.roll(photograph, (17, -23), axis=(0, 1))
    assert difference(one(provider.find(moved)).landmarks - [-23, 17], face.landmarks) < 0.02


@pytest.mark.parametrize("degrees", [-30, 30])
def test_the_landmarks_turn_with_the_picture(
    provider: NativeProvider, photograph: Array, face: Detection, degrees: float
) -> None:
    h, w = photograph.shape[:2]
    matrix = cv2.getRotationMatrix2D((w / 2, h / 2), degrees, 1.0)
    shifted = matrix.copy()
    shifted[:, 2] += shifted[:, :2] @ [0.5, 0.5] - 0.5
    turned = np.asarray(cv2.warpAffine(photograph, shifted, (w, h)), np.float32)
    expected = face.landmarks @ matrix[:, :2].T + matrix[:, 2]
    assert difference(one(provider.find(turned)).landmarks, expected) < 0.05


@pytest.mark.parametrize("scale", [0.4, 0.5, 2.0])
def test_the_landmarks_scale_with_the_picture(
    provider: NativeProvider, photograph: Array, face: Detection, scale: float
) -> None:
    h, w = photograph.shape[:2]
    how = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    scaled = cv2.resize(photograph, (round(w * scale), round(h * scale)), interpolation=how)
    found = one(provider.find(np.asarray(scaled, np.float32)))
    assert difference(found.landmarks / scale, face.landmarks) < 0.04


@pytest.mark.parametrize("gain", [0.4, 1.4])
def test_exposure_changes_little(
    provider: NativeProvider, photograph: Array, face: Detection, gain: float
) -> None:
    found = one(provider.find(photograph * np.float32(gain)))
    assert difference(found.landmarks, face.landmarks) < 0.04


def test_two_faces_are_both_found(
    provider: NativeProvider, photograph: Array, face: Detection
) -> None:
    wide = np.full((1080, 1920, 3), 0.2, np.float32)
    wide[200:712, 100:612] = photograph
    wide[300:812, 1200:1712] = photograph[:, ::-1]
    left, right = sorted(provider.find(wide), key=lambda d: float(d.landmarks[30, 0]))
    assert difference(left.landmarks - [100, 200], face.landmarks) < 0.04
    mirrored = (right.landmarks - [1200, 300])[MIRROR] * [-1, 1] + [512, 0]
    assert difference(mirrored, face.landmarks) < 0.04


def test_values_no_display_can_show_do_no_harm(
    provider: NativeProvider, photograph: Array, face: Detection
) -> None:
    wild = photograph.copy()
    wild[400, 20], wild[401, 20], wild[402, 20] = np.nan, np.inf, -np.inf
    assert difference(one(provider.find(wild)).landmarks, face.landmarks) < 0.02


@pytest.mark.parametrize("name", ["coffee", "chelsea"])
def test_where_nobody_is_nobody_is_found(provider: NativeProvider, name: str) -> None:
    assert provider.find(_picture(getattr(photographs, name)())) == ()


def test_a_flat_picture_holds_nobody(provider: NativeProvider) -> None:
    assert provider.find(np.full((120, 200, 3), 0.5, np.float32)) == ()
    assert provider.find(np.zeros((9, 7, 3), np.float32)) == ()


def test_refining_comes_home_from_a_rough_estimate(
    provider: NativeProvider, photograph: Array, face: Detection
) -> None:
    side = roi_of(face.landmarks).side
    rough = (face.landmarks - face.landmarks.mean(0)) * np.float32(1.1)
    rough = rough + face.landmarks.mean(0) + np.float32(0.05 * side)
    again = provider.refine(photograph, rough.astype(np.float32))
    assert again is not None
    assert difference(again.landmarks, face.landmarks) < 0.03


def test_refining_where_nobody_is_gives_nothing(
    provider: NativeProvider, photograph: Array, face: Detection
) -> None:
    away = face.landmarks + np.array([200, 250], np.float32)
    assert provider.refine(photograph, away.astype(np.float32)) is None


def test_the_same_picture_gives_the_same_landmarks(
    provider: NativeProvider, photograph: Array, face: Detection
) -> None:
    again = one(provider.find(photograph))
    assert again.score == face.score
    assert np.array_equal(again.landmarks, face.landmarks)


def test_a_folder_without_the_networks_is_named(tmp_path: Path) -> None:
    with pytest.raises(TrackError, match="native_finder"):
        open_provider("native", tmp_path)
    for name in ("native_finder.onnx", LANDMARKS_FILE):
        (tmp_path / name).write_bytes(b"no graph")
    with pytest.raises(TrackError, match="native_finder"):
        open_provider("native", tmp_path)


@pytest.mark.skipif(not STUDIO.exists(), reason="the studio set ../shared/studio is not here")
@pytest.mark.parametrize(("folder", "limit"), [("performer", 0.06), ("likeness", 0.08)])
def test_stills_of_the_studio(provider: NativeProvider, folder: str, limit: float) -> None:
    truth = json.loads((STUDIO / folder / "landmarks.json").read_text())
    errors = []
    for name in sorted(truth)[::50]:
        picture = _picture(iio.imread(STUDIO / folder / name))
        points = np.array(truth[name]["landmarks"], np.float32)
        found = provider.find(picture)
        assert found
        unit = max(float(np.linalg.norm(points[36] - points[45])), 30.0)
        gap = np.linalg.norm(found[0].landmarks - points, axis=1)[17:]
        errors.append(float(gap.mean()) / unit)
    assert np.median(errors) < limit
