"""Faces by networks that the user brings: ONNX graphs of four signatures in wide use.

A folder holds one detector, one landmark network, or both; each is known by what goes in and comes
out, not by its name. What is missing of the two is done by the networks of the package.

| signature | goes in | comes out |
| --- | --- | --- |
| YuNet | 1×3×h×w, BGR 0..255 | cls, obj, bbox and kps for strides 8, 16, 32, by name |
| SCRFD | 1×3×h×w, RGB −1..1 | 3 scores, 3 boxes, 3 times five points for strides 8, 16, 32 |
| 2d106 | 1×3×192×192, RGB 0..255 | 212 values: 106 points, −1..1 over the crop |
| 2dfan | 1×3×256×256, RGB 0..1 | 68 points on a grid of 64 with a score, or 68 heat maps of 64×64 |

References
----------
- Wu, Peng & Yu (2023), "YuNet: A Tiny Millisecond-level Face Detector", Machine Intelligence
  Research 20: the score as the root of both, boxes and points relative to a cell.
- Guo et al. (2022), "Sample and Computation Redistribution for Efficient Face Detection", ICLR:
  SCRFD; two anchors for a cell, boxes as distances from it.
- Bulat & Tzimiropoulos (2017), "How far are we from solving the 2D & 3D Face Alignment problem?",
  ICCV: the 2D face alignment network (FAN).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import cv2
import numpy as np
from numpy.typing import NDArray

from semblance import runtime
from semblance.errors import TrackError
from semblance.track.head import LANDMARKS
from semblance.track.native import NativeProvider, Roi, roi_of
from semblance.track.provider import Detection

__all__ = ["MAP_106", "OnnxProvider", "open_face_provider"]

Array = NDArray[np.float32]

LEAST: Final = 0.5
"""Score of a face."""

OVERLAP: Final = 0.4
"""Of two boxes (intersection over union) that are of one face."""

STRIDES: Final = (8, 16, 32)
SIDE: Final = 640
"""Of the picture that a detector without a size of its own is given."""

# fmt: off
MAP_106: Final = np.array([
    1, 10, 12, 14, 16, 3, 5, 7, 0, 23, 21, 19, 32, 30, 28, 26, 17, 43, 48, 49, 51, 50, 102, 103,
    104, 105, 101, 72, 73, 74, 86, 78, 79, 80, 85, 84, 35, 41, 42, 39, 37, 36, 89, 95, 96, 93, 91,
    90, 52, 64, 63, 71, 67, 68, 61, 58, 59, 53, 56, 55, 65, 66, 62, 70, 69, 57, 60, 54,
])
"""Which of the 106 points each of the 68 is."""
# fmt: on

_FRONT: Final = LANDMARKS[:, :2] * [1.0, -1.0]
_FIVE: Final = np.stack(
    [_FRONT[36:42].mean(0), _FRONT[42:48].mean(0), _FRONT[30], _FRONT[48], _FRONT[54]]
)
"""Eyes, nose and corners of the mouth of the frontal head, from the picture's left to its right."""

_BOX: Final = 1.24
"""Side of a face's box, from chin to hairline, over the landmarks' extent."""
_RISE: Final = 0.11
"""How far the box's middle lies above the landmarks' middle, as a share of that side."""


@dataclass(frozen=True)
class _Found:
    """A face as a detector sees it: score, box (x0, y0, x1, y1) and five points."""

    score: float
    box: Array
    points: Array


class _Graph:
    """An open graph, and what its input is."""

    def __init__(self, session: Any, path: Path) -> None:
        self._session = session
        self.path = path
        self.inputs = [(each.name, list(each.shape), each.type) for each in session.get_inputs()]
        self.outputs = {each.name: list(each.shape) for each in session.get_outputs()}

    @property
    def size(self) -> tuple[int, int]:
        """Width and height that it takes; `SIDE` where it leaves them open."""
        height, width = self.inputs[0][1][2:]
        return (
            width if isinstance(width, int) else SIDE,
            height if isinstance(height, int) else SIDE,
        )

    def run(self, picture: Array) -> dict[str, Array]:
        """Run on a picture (h, w, 3)."""
        batch = np.ascontiguousarray(picture.transpose(2, 0, 1)[None], np.float32)
        try:
            values = self._session.run(None, {self.inputs[0][0]: batch})
        except runtime.ERRORS as error:
            raise TrackError(
                f"{self.path} stopped on a picture of {picture.shape[1]} × {picture.shape[0]}: "
                f"{str(error).splitlines()[0]}",
                "Export it again with that input size, or leave it out.",
            ) from error
        return {
            name: np.asarray(value, np.float32)
            for name, value in zip(self.outputs, values, strict=True)
        }

    def refuse(self, fact: str) -> TrackError:
        return TrackError(
            f"{self.path} is of none of the known signatures (YuNet, SCRFD, 2d106, 2dfan): {fact}",
            "Give a graph of one of these, as its authors export it.",
        )


# ------------------------------------------------------------------------------------ detectors


def _yunet(graph: _Graph, bgr: Array) -> list[_Found]:
    values = graph.run(np.ascontiguousarray(bgr))
    found = []
    for stride in STRIDES:
        across = graph.size[0] // stride
        scores = np.sqrt(
            np.clip(values[f"cls_{stride}"].ravel(), 0, 1)
            * np.clip(values[f"obj_{stride}"].ravel(), 0, 1)
        )
        boxes = values[f"bbox_{stride}"].reshape(-1, 4)
        points = values[f"kps_{stride}"].reshape(-1, 5, 2)
        for index in np.flatnonzero(scores >= LEAST):
            cell = np.array([index % across, index // across], np.float32)
            middle = (cell + boxes[index, :2]) * stride
            half = np.exp(np.minimum(boxes[index, 2:], 10.0)) * stride / 2
            box = np.concatenate([middle - half, middle + half])
            found.append(_Found(float(scores[index]), box, (points[index] + cell) * stride))
    return found


def _scrfd(graph: _Graph, bgr: Array) -> list[_Found]:
    values = list(graph.run((bgr[..., ::-1] - 127.5) / 128.0).values())
    found = []
    for level, stride in enumerate(STRIDES):
        across, down = graph.size[0] // stride, graph.size[1] // stride
        scores = values[level].reshape(-1)
        boxes = values[level + 3].reshape(-1, 4) * stride
        points = values[level + 6].reshape(-1, 5, 2) * stride
        anchors = len(scores) // max(across * down, 1)
        if anchors * across * down != len(scores) or len(boxes) != len(scores) != len(points):
            raise graph.refuse(f"stride {stride} has {len(scores)} scores")
        for index in np.flatnonzero(scores >= LEAST):
            cell = index // anchors
            middle = np.array([cell % across, cell // across], np.float32) * stride
            box = np.concatenate([middle - boxes[index, :2], middle + boxes[index, 2:]])
            found.append(_Found(float(scores[index]), box, points[index] + middle))
    return found


# ------------------------------------------------------------------------------- landmark networks


def _2d106(graph: _Graph, crop: Array) -> tuple[Array, float | None]:
    values = next(iter(graph.run(crop * 255.0).values()))
    return (values.reshape(106, 2)[MAP_106] + 1.0) / 2.0, None


def _2dfan(graph: _Graph, crop: Array) -> tuple[Array, float | None]:
    values = list(graph.run(crop).values())
    placed = next((v for v in values if v.ndim == 3 and v.shape[1] == 68), None)
    if placed is not None:
        score = float(placed[0, :, 2].mean()) if placed.shape[2] > 2 else None
        return placed[0, :, :2] / 64.0, score
    heat = next(v for v in values if v.ndim == 4)[0]
    peaks = heat.reshape(68, -1).argmax(1)
    points = []
    for plane, peak in zip(heat, peaks, strict=True):
        y, x = divmod(int(peak), plane.shape[1])
        near = np.maximum(plane[max(y - 2, 0) : y + 3, max(x - 2, 0) : x + 3], 0.0)
        rows, columns = np.indices(near.shape)
        total = float(near.sum()) + 1e-9
        at = (
            (near * columns).sum() / total + max(x - 2, 0),
            (near * rows).sum() / total + max(y - 2, 0),
        )
        points.append(((at[0] + 0.5) / plane.shape[1], (at[1] + 0.5) / plane.shape[0]))
    return np.array(points, np.float32), float(heat.reshape(68, -1).max(1).mean())


@dataclass(frozen=True)
class _Kind:
    """A signature: what it is for, how to run it, and how far its crop reaches beyond the box."""

    name: str
    detects: bool
    run: Callable[[_Graph, Array], Any]
    side: int = 0
    reach: float = 0.0


_KINDS: Final[Mapping[str, _Kind]] = {
    "yunet": _Kind("yunet", True, _yunet),
    "scrfd": _Kind("scrfd", True, _scrfd),
    "2d106": _Kind("2d106", False, _2d106, 192, 1.5),
    "2dfan": _Kind("2dfan", False, _2dfan, 256, 256 / 195),
}


def _kind_of(graph: _Graph) -> _Kind:
    """Tell a graph's signature, or say what keeps it from being one."""
    if len(graph.inputs) != 1:
        raise graph.refuse(f"it has {len(graph.inputs)} inputs, expected one picture")
    name, shape, kind = graph.inputs[0]
    if kind != "tensor(float)" or len(shape) != 4 or shape[1] != 3:
        raise graph.refuse(f"its input {name!r} is {kind} {shape}, expected float 1×3×height×width")
    tails = [dims[-1] if dims else None for dims in graph.outputs.values()]
    if {f"{what}_{s}" for what in ("cls", "obj", "bbox", "kps") for s in STRIDES} <= {
        *graph.outputs
    }:
        return _KINDS["yunet"]
    if tails == [1, 1, 1, 4, 4, 4, 10, 10, 10]:
        return _KINDS["scrfd"]
    if tails == [1, 1, 1, 4, 4, 4]:
        raise graph.refuse("it is an SCRFD without the five points; take the one with them (bnkps)")
    square = shape[2] if shape[2] == shape[3] else None
    if tails == [212] and square == 192:
        return _KINDS["2d106"]
    dims = [dims[1:] for dims in graph.outputs.values()]
    if square == 256 and any(each in ([68, 2], [68, 3], [68, 64, 64]) for each in dims):
        return _KINDS["2dfan"]
    shown = ", ".join(f"{n} {d}" for n, d in list(graph.outputs.items())[:4])
    raise graph.refuse(f"input {shape}, {len(graph.outputs)} outputs: {shown}")


# ------------------------------------------------------------------------------------- the provider


class OnnxProvider:
    """Face provider on the user's networks; see `semblance.track.provider.FaceProvider`.

    Parameters
    ----------
    models_dir
        Folder with one detector, one landmark network, or both (``*.onnx``).

    Raises
    ------
    TrackError
        The folder holds no graph, two of one purpose, or one of an unknown signature.
    """

    def __init__(self, models_dir: Path) -> None:
        self._native = NativeProvider()
        held: dict[bool, tuple[_Kind, _Graph]] = {}
        for path in sorted(models_dir.glob("*.onnx")):
            graph = _open(path)
            kind = _kind_of(graph)
            if kind.detects in held:
                other = held[kind.detects][1].path
                raise TrackError(
                    f"{models_dir} holds two "
                    f"{'detectors' if kind.detects else 'landmark networks'}: {other.name} and "
                    f"{path.name}",
                    "Leave one of each in the folder.",
                )
            held[kind.detects] = kind, graph
        if not held:
            raise TrackError(
                f"there is no .onnx file in {models_dir}",
                "Put a detector (YuNet, SCRFD) or a landmark network (2d106, 2dfan) there.",
            )
        self._detector, self._landmarker = held.get(True), held.get(False)
        self.name = "+".join(kind.name for kind, _ in held.values())

    def find(self, image: Array) -> tuple[Detection, ...]:
        """Find all faces, best score first; see the protocol."""
        if self._detector is None:
            starts = list(self._native.find(image))
        else:
            starts = [Detection(f.score, _on_head(f.points)) for f in self._detect(image)]
        placed = (self._placed(image, start) for start in starts)
        return tuple(face for face in placed if face is not None)

    def refine(self, image: Array, near: Array) -> Detection | None:
        """Place the landmarks again from a previous estimate; see the protocol."""
        if self._detector is None:
            seen = self._native.refine(image, near)
            return None if seen is None else self._placed(image, replace(seen, landmarks=near))
        middle, reach = near.mean(0), float(np.ptp(near, axis=0).max())
        for face in self._detect(image):
            if np.linalg.norm((face.box[:2] + face.box[2:]) / 2 - middle) < 0.5 * reach:
                return self._placed(image, Detection(face.score, near))
        return None

    def _placed(self, image: Array, start: Detection) -> Detection | None:
        """Put a face's landmarks where the landmark network says."""
        if self._landmarker is None:
            return self._native.refine(image, start.landmarks)
        kind, graph = self._landmarker
        region = _region(start.landmarks, kind.reach)
        crop, back = _cut(image, region, kind.side)
        points, score = kind.run(graph, crop)
        placed = (points * kind.side) @ back[:, :2].T + back[:, 2]
        if not np.isfinite(placed).all() or np.ptp(placed, axis=0).min() < 1.0:
            return None
        sure = start.score if score is None else min(start.score, max(score, 0.0))
        return Detection(float(min(max(sure, 0.0), 1.0)), placed.astype(np.float32))

    def _detect(self, image: Array) -> list[_Found]:
        """Run the detector on a picture scaled into its input; best first, each face once."""
        assert self._detector is not None
        kind, graph = self._detector
        width, height = graph.size
        scale = min(width / image.shape[1], height / image.shape[0])
        size = max(round(image.shape[1] * scale), 1), max(round(image.shape[0] * scale), 1)
        method = cv2.INTER_AREA if scale < 1.0 else cv2.INTER_LINEAR
        small = cv2.resize(np.clip(np.nan_to_num(image), 0.0, 1.0), size, interpolation=method)
        canvas = np.zeros((height, width, 3), np.float32)
        canvas[: size[1], : size[0]] = small[..., ::-1] * 255.0
        ratio = np.array([image.shape[1] / size[0], image.shape[0] / size[1]], np.float32)
        kept: list[_Found] = []
        for face in sorted(kind.run(graph, canvas), key=lambda each: -each.score):
            if all(_overlap(face.box, other.box) < OVERLAP for other in kept):
                kept.append(face)
        return [
            _Found(min(f.score, 1.0), f.box * np.tile(ratio, 2), f.points * ratio) for f in kept
        ]


def open_face_provider(models_dir: Path | None = None) -> OnnxProvider:
    """Open the provider; see `semblance.track.provider.open_provider`.

    Raises
    ------
    TrackError
        No folder was given, or as `OnnxProvider` does.
    """
    if models_dir is None:
        raise TrackError(
            "the provider 'onnx' runs networks that you bring, and no folder of them was given",
            "Name it with --models-dir.",
        )
    return OnnxProvider(models_dir)


def _open(path: Path) -> _Graph:
    try:
        return _Graph(runtime.session(path.read_bytes()), path)
    except OSError as error:
        raise TrackError(
            f"{path} can't be read: {error.strerror or error}", "Check the file."
        ) from error
    except runtime.ERRORS as error:
        raise TrackError(
            f"{path} is not a network that ONNX Runtime can run: {str(error).splitlines()[0]}",
            "Export it again; custom operators and external data are not loaded.",
        ) from error


# ---------------------------------------------------------------------------------------- geometry


def _on_head(five: Array) -> Array:
    """Return the frontal head's 68 points laid on eyes, nose and corners of the mouth."""
    s, t = _FIVE - _FIVE.mean(0), five - five.mean(0)
    product = np.vdot(s[:, 0] + 1j * s[:, 1], t[:, 0] + 1j * t[:, 1]) / (s**2).sum()
    turn = np.array([[product.real, -product.imag], [product.imag, product.real]])
    return np.asarray((_FRONT - _FIVE.mean(0)) @ turn.T + five.mean(0), np.float32)


def _region(landmarks: Array, reach: float) -> Roi:
    """Return the square that a landmark network is shown: the face's box, and so much around it."""
    roi = roi_of(landmarks)
    c, s = math.cos(roi.roll), math.sin(roi.roll)
    upright = (landmarks - landmarks.mean(0)) @ np.array([[c, -s], [s, c]])
    low, high = upright.min(0), upright.max(0)
    side = _BOX * float((high - low).max())
    middle = (low + high) / 2 - (0.0, _RISE * side)
    x, y = np.array([[c, -s], [s, c]]) @ middle + landmarks.mean(0)
    return Roi((float(x), float(y)), side * reach, roi.roll)


def _cut(image: Array, region: Roi, side: int) -> tuple[Array, NDArray[np.float64]]:
    """Return a region as (side, side, 3), 0..1, and the affine from its pixels to the image's."""
    scale = region.side / side
    c, s = math.cos(region.roll) * scale, math.sin(region.roll) * scale
    linear = np.array([[c, -s], [s, c]])
    back = np.column_stack([linear, np.array(region.centre) - linear @ [side / 2, side / 2]])
    picture = np.clip(np.nan_to_num(image), 0.0, 1.0)
    sigma = 0.5 * math.sqrt(max(scale * scale - 1.0, 0.0))
    if sigma > 0.2:
        picture = np.asarray(cv2.GaussianBlur(picture, (0, 0), sigma), np.float32)
    # OpenCV's pixel centres are whole numbers, ours are at +0.5.
    placed = np.column_stack([linear, back[:, 2] + linear @ [0.5, 0.5] - 0.5])
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    crop = cv2.warpAffine(picture, placed, (side, side), flags=flags)
    return np.asarray(crop, np.float32), back


def _overlap(one: Array, other: Array) -> float:
    low, high = np.maximum(one[:2], other[:2]), np.minimum(one[2:], other[2:])
    shared = float(np.prod(np.maximum(high - low, 0.0)))
    whole = float(np.prod(one[2:] - one[:2]) + np.prod(other[2:] - other[:2])) - shared
    return shared / whole if whole > 0.0 else 0.0
