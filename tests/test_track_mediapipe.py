"""The MediaPipe provider: its mapping, its models' way into the cache, and what it finds.

Tests on real models run where these are already on the machine: in the folder that
SEMBLANCE_MODELS_DIR names, or in the user's cache. Nothing here uses a network.
"""

from __future__ import annotations

import hashlib
import json
import os
import sys
import zipfile
from pathlib import Path

import cv2
import numpy as np
import pytest

from semblance.errors import MissingPackageError, TrackError
from semblance.track import mediapipe
from semblance.track.provider import open_provider

SHARED = Path(__file__).resolve().parents[2] / "shared" / "studio"
WHEEL_NAME = "mediapipe-0.10.21-cp311-cp311-manylinux_2_28_x86_64.whl"


@pytest.fixture(scope="module")
def models_dir() -> Path:
    pytest.importorskip("ai_edge_litert", reason="the extra 'mediapipe' is not installed")
    named = os.environ.get("SEMBLANCE_MODELS_DIR")
    folder = Path(named) if named else mediapipe.cache_dir()
    if not all((folder / name).is_file() for name in mediapipe.MODEL_FILES):
        pytest.skip(
            f"the MediaPipe models are not in {folder}: name their folder in "
            "SEMBLANCE_MODELS_DIR, or track once with the provider 'mediapipe'"
        )
    return folder


@pytest.fixture(scope="module")
def provider(models_dir):
    return open_provider("mediapipe", models_dir)


@pytest.fixture(scope="module")
def portrait():
    data = pytest.importorskip("skimage.data")
    return data.astronaut().astype(np.float32) / 255


@pytest.fixture(scope="module")
def landmarks(provider, portrait):
    faces = provider.find(portrait)
    assert len(faces) == 1
    return faces[0].landmarks


@pytest.fixture
def offline(monkeypatch, tmp_path):
    """An empty cache, and a pip that can reach nothing but the folder it gives back."""
    shelf = tmp_path / "shelf"
    shelf.mkdir()
    for name in [key for key in os.environ if key.startswith("PIP_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(shelf))
    for name in ("XDG_CACHE_HOME", "LOCALAPPDATA"):
        monkeypatch.setenv(name, str(tmp_path / "cache"))
    return shelf


def put_wheel(shelf: Path, models: dict[str, bytes]) -> None:
    with zipfile.ZipFile(shelf / WHEEL_NAME, "w") as wheel:
        for name, data in models.items():
            wheel.writestr(f"mediapipe/modules/{name.split('_')[1]}/{name}", data)
        info = "mediapipe-0.10.21.dist-info"
        wheel.writestr(
            f"{info}/METADATA", "Metadata-Version: 2.1\nName: mediapipe\nVersion: 0.10.21\n"
        )
        wheel.writestr(
            f"{info}/WHEEL", "Wheel-Version: 1.0\nTag: cp311-cp311-manylinux_2_28_x86_64\n"
        )
        wheel.writestr(f"{info}/RECORD", "")


def deviation(points, reference) -> float:
    """Mean distance in percent of the distance between the outer eye corners, without the jaw."""
    width = np.linalg.norm(reference[36] - reference[45])
    return 100 * float(np.linalg.norm(points - reference, axis=1)[17:].mean() / width)


# --- opening it ------------------------------------------------------------------------------


def test_an_unknown_provider_is_refused_with_the_names_that_exist():
    with pytest.raises(TrackError, match=r"'mediapip'.*native, mediapipe.*'mediapipe'"):
        open_provider("mediapip", None)


def test_without_its_runtime_it_names_the_extra_and_fetches_nothing(monkeypatch, offline):
    monkeypatch.setitem(sys.modules, "ai_edge_litert", None)
    monkeypatch.setitem(sys.modules, "ai_edge_litert.interpreter", None)
    with pytest.raises(MissingPackageError, match=r"semblance\[mediapipe\]"):
        open_provider("mediapipe", None)
    assert not mediapipe.cache_dir().exists()


def test_an_empty_models_folder_says_what_belongs_there_and_how_to_get_it(tmp_path):
    with pytest.raises(TrackError) as caught:
        mediapipe.model_files(tmp_path)
    line = str(caught.value)
    for part in (str(tmp_path), *mediapipe.MODEL_FILES, "pip download", "--models-dir"):
        assert part in line
    assert "\n" not in line


def test_a_corrupted_model_is_named_with_both_checksums(tmp_path):
    for name in mediapipe.MODEL_FILES:
        (tmp_path / name).write_bytes(b"torn")
    first, digest = next(iter(mediapipe.MODEL_FILES.items()))
    found = hashlib.sha256(b"torn").hexdigest()
    with pytest.raises(TrackError, match=rf"{first}.*{digest[:12]}.*{found[:12]}"):
        mediapipe.model_files(tmp_path)


def test_offline_it_says_how_to_fetch_the_models_elsewhere(offline):
    with pytest.raises(TrackError, match=r"can't be fetched.*mediapipe==0\.10\.21.*--models-dir"):
        mediapipe.model_files(None)
    assert not list(mediapipe.cache_dir().iterdir())


def test_a_wheel_with_other_models_leaves_the_cache_empty(offline):
    put_wheel(offline, dict.fromkeys(mediapipe.MODEL_FILES, b"not these"))
    with pytest.raises(TrackError, match="served another"):
        mediapipe.model_files(None)
    assert not list(mediapipe.cache_dir().iterdir())


def test_a_wheel_without_the_models_is_told_apart(offline):
    put_wheel(offline, {})
    with pytest.raises(TrackError, match="holds no readable"):
        mediapipe.model_files(None)


def test_the_models_are_fetched_once_and_kept(models_dir, offline):
    put_wheel(offline, {n: (models_dir / n).read_bytes() for n in mediapipe.MODEL_FILES})
    files = mediapipe.model_files(None)
    assert {p.name for p in mediapipe.cache_dir().iterdir()} == set(files)
    (offline / WHEEL_NAME).unlink()
    assert mediapipe.model_files(None) == files


# --- from the mesh to the 68 points ------------------------------------------------------------


def test_the_mapping_follows_any_affine_map_of_the_picture():
    rng = np.random.default_rng(7)
    mesh = rng.normal(size=(468, 2)).astype(np.float32)
    for _ in range(20):
        linear = rng.normal(size=(2, 2)).astype(np.float32)
        offset = rng.normal(size=2).astype(np.float32)
        moved = mediapipe.ibug_from_mesh(mesh @ linear.T + offset)
        expected = mediapipe.ibug_from_mesh(mesh) @ linear.T + offset
        np.testing.assert_allclose(moved, expected, atol=1e-4)


def test_mirroring_twice_is_nothing_and_keeps_the_midline():
    mirror = mediapipe.IBUG_MIRROR
    np.testing.assert_array_equal(mirror[mirror], np.arange(68))
    midline = {8, 27, 28, 29, 30, 33, 51, 57, 62, 66}
    assert set(np.flatnonzero(mirror == np.arange(68))) == midline
    assert mirror[36] == 45
    assert mirror[48] == 54


# --- what it finds -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("turn", "scale"), [(-30, 1.0), (30, 1.0), (0, 0.5), (0, 2.0)], ids=["-30", "30", "half", "2x"]
)
def test_landmarks_move_with_the_picture(provider, portrait, landmarks, turn, scale):
    centre = landmarks.mean(axis=0)
    angle = np.deg2rad(turn)
    across, down = scale * np.cos(angle), scale * np.sin(angle)
    linear = np.array([[across, -down], [down, across]], dtype=np.float32)
    offset = 256 - linear @ centre
    warp = np.column_stack([linear, offset + linear @ (0.5, 0.5) - 0.5])
    blurred = cv2.GaussianBlur(portrait, (0, 0), 0.5 / scale) if scale < 1 else portrait
    (face,) = provider.find(cv2.warpAffine(blurred, warp, (512, 512)))
    assert deviation(face.landmarks, landmarks @ linear.T + offset) < 1.5


def test_a_mirrored_face_has_mirrored_landmarks(provider, portrait, landmarks):
    (face,) = provider.find(np.ascontiguousarray(portrait[:, ::-1]))
    back = face.landmarks[mediapipe.IBUG_MIRROR] * (-1, 1) + (512, 0)
    assert deviation(back, landmarks) < 1.5


def test_values_outside_the_display_range_count_as_its_ends(provider, portrait, landmarks):
    wild = portrait.copy()
    wild[portrait >= 1] = 50.0
    wild[portrait <= 0] = -3.0
    wild[0, 0] = np.nan
    wild[0, 1] = np.inf
    (face,) = provider.find(wild)
    assert deviation(face.landmarks, landmarks) < 0.1


def test_refine_comes_back_from_a_rough_start(provider, portrait, landmarks):
    rough = (landmarks - landmarks.mean(axis=0)) * 1.1 + landmarks.mean(axis=0) + (8, -6)
    face = provider.refine(portrait, rough.astype(np.float32))
    assert face is not None
    assert deviation(face.landmarks, landmarks) < 1.5


@pytest.mark.parametrize("offset", [(250, 260), (5000, 0), (np.nan, 0)], ids=str)
def test_refine_gives_none_where_no_face_is(provider, portrait, landmarks, offset):
    assert provider.refine(portrait, landmarks + np.float32(offset)) is None


def test_pictures_without_a_face_give_nothing(provider):
    rng = np.random.default_rng(3)
    noise = rng.uniform(size=(270, 480, 3)).astype(np.float32)
    assert provider.find(noise) == ()
    assert provider.find(np.zeros((1, 1, 3), np.float32)) == ()


def test_two_small_faces_are_found_in_a_large_frame(provider, portrait, landmarks):
    size = 48 / np.ptp(landmarks[:, 1])
    small = cv2.resize(portrait, None, fx=size, fy=size, interpolation=cv2.INTER_AREA)
    frame = np.full((1080, 1920, 3), 0.2, np.float32)
    corners = [(130, 90), (1600, 800)]
    for x, y in corners:
        frame[y : y + small.shape[0], x : x + small.shape[1]] = small
    faces = sorted(provider.find(frame), key=lambda face: face.landmarks[0, 0])
    assert len(faces) == 2
    for face, corner in zip(faces, corners, strict=True):
        assert deviation(face.landmarks, landmarks * size + corner) < 5


@pytest.mark.skipif(not SHARED.is_dir(), reason="the studio set is not beside the repository")
@pytest.mark.parametrize("person", ["performer", "likeness"])
def test_landmarks_lie_where_the_studio_set_has_them(provider, person):
    truth = json.loads((SHARED / person / "landmarks.json").read_text())
    errors = []
    for name in sorted(truth)[1:60:6]:
        image = cv2.imread(str(SHARED / person / name))[..., ::-1].astype(np.float32) / 255
        faces = provider.find(image)
        assert faces, name
        points = np.array(truth[name]["landmarks"], np.float32)
        if abs(truth[name]["yaw"]) < 30:
            errors.append(deviation(faces[0].landmarks, points))
    assert np.mean(errors) < 4
