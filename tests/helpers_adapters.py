"""Graphs of a few kilobytes with the signatures of published face networks, whose answer is known.

Each gives its own crop back, lifted by what it is told of the identity: the first three numbers of
`source`, or the mean colours of the picture that is its source. So a wrong range, a wrong order of
colours or a wrong chain of an embedding is seen in the answer to the last digit.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from onnx import TensorProto, helper, numpy_helper

HALVES = ((0.5,) * 3, (0.5,) * 3)
IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
PLAIN = ((0.0,) * 3, (1.0,) * 3)

SWAPPERS = {
    # side, shape of source, how the target comes in, whether the face goes out in the same way
    "inswapper": (128, (512,), PLAIN, False),
    "ghost": (256, (512,), HALVES, True),
    "simswap": (256, (512,), IMAGENET, False),
    "simswap512": (512, (512,), PLAIN, False),
    "hyperswap": (256, (512,), HALVES, True),
    "uniface": (256, (3, 256, 256), HALVES, True),
    "blendswap": (256, (3, 112, 112), PLAIN, False),
}
"""The published signatures, written down a second time."""

EMAP = np.linalg.qr(np.random.default_rng(3).normal(size=(512, 512)))[0].astype(np.float32)


def swapper(
    path: Path, family: str, *, matte: bool = False, half: bool = False, lift: float = 1.0
) -> Path:
    """Write a graph that adds `lift` times the start of its source to its target."""
    size, source, (mean, deviation), signed = SWAPPERS[family]
    kind = np.float16 if half else np.float32
    column = lambda values: np.reshape(np.array(values, kind), (1, 3, 1, 1))  # noqa: E731
    constants = {
        "mean": column(mean),
        "deviation": column(deviation),
        "lift": np.array(lift, kind),
        "shape": np.array([1, 3, 1, 1], np.int64),
        "from": np.array([0], np.int64),
        "to": np.array([3], np.int64),
        "axis": np.array([1], np.int64),
    }
    told = (
        [helper.make_node("Slice", ["source", "from", "to", "axis"], ["told"])]
        if len(source) == 1
        else [helper.make_node("GlobalAveragePool", ["source"], ["told"])]
    )
    nodes = [
        *told,
        helper.make_node("Reshape", ["told", "shape"], ["shaped"]),
        helper.make_node("Mul", ["shaped", "lift"], ["step"]),
        helper.make_node("Mul", ["target", "deviation"], ["scaled"]),
        helper.make_node("Add", ["scaled", "mean"], ["shown"]),
        helper.make_node("Add", ["shown", "step"], ["face"]),
    ]
    if signed:
        nodes += [
            helper.make_node("Sub", ["face", "mean"], ["centred"]),
            helper.make_node("Div", ["centred", "deviation"], ["output"]),
        ]
    else:
        nodes += [helper.make_node("Identity", ["face"], ["output"])]
    outputs = {"output": (1, 3, size, size)}
    if matte:
        constants["drawn"] = disc(size)[None, None].astype(kind)
        nodes += [helper.make_node("Identity", ["drawn"], ["mask"])]
        outputs["mask"] = (1, 1, size, size)
    if family == "inswapper":
        constants["emap"] = EMAP.astype(kind)  # the last one, as it is published
    inputs = {"target": (1, 3, size, size), "source": (1, *source)}
    return write(path, nodes, inputs, outputs, constants, half=half)


def dfm(path: Path, *, size: int = 64, morphs: bool = False) -> Path:
    """Write a DeepFaceLab export: blue is lifted by .1 and red by .2, by the morph value."""
    constants = {
        "step": np.array([0.1, 0.0, 0.2], np.float32).reshape(1, 1, 1, 3),
        "inner": disc(size, 0.35)[None, ..., None],
        "outer": disc(size, 0.45)[None, ..., None],
    }
    inputs: dict[str, tuple[int | str, ...]] = {"in_face:0": ("n", size, size, 3)}
    nodes = []
    if morphs:
        inputs["morph_value:0"] = (1,)
        nodes += [helper.make_node("Mul", ["step", "morph_value:0"], ["moved"])]
    nodes += [
        helper.make_node("Add", ["in_face:0", "moved" if morphs else "step"], ["out_celeb_face:0"]),
        helper.make_node("Identity", ["inner"], ["out_face_mask:0"]),
        helper.make_node("Identity", ["outer"], ["out_celeb_face_mask:0"]),
    ]
    outputs = {
        "out_face_mask:0": ("n", size, size, 1),
        "out_celeb_face:0": ("n", size, size, 3),
        "out_celeb_face_mask:0": ("n", size, size, 1),
    }
    # The exporter that these come from declares both, whatever it uses.
    return write(path, nodes, inputs, outputs, constants, domains=("", "ai.onnx.ml"))


def recogniser(path: Path) -> Path:
    """Write a graph of the ArcFace kind: a fixed projection of a coarse look at the picture."""
    weights = np.random.default_rng(5).normal(0.0, 0.5, (3 * 16 * 16, 512)).astype(np.float32)
    nodes = [
        helper.make_node(
            "AveragePool", ["input.1"], ["coarse"], kernel_shape=[7, 7], strides=[7, 7]
        ),
        helper.make_node("Flatten", ["coarse"], ["flat"]),
        helper.make_node("MatMul", ["flat", "weights"], ["683"]),
    ]
    shapes = {"input.1": ("n", 3, 112, 112)}, {"683": (1, 512)}
    return write(path, nodes, *shapes, {"weights": weights})


TURN = np.linalg.qr(np.random.default_rng(9).normal(size=(512, 512)))[0].astype(np.float32) * 0.5


def converter(path: Path) -> Path:
    """Write a graph that carries embeddings to those of another recogniser: `TURN`."""
    nodes = [helper.make_node("MatMul", ["input", "turn"], ["output"])]
    return write(path, nodes, {"input": (1, 512)}, {"output": (1, 512)}, {"turn": TURN})


def disc(size: int, radius: float = 0.4) -> np.ndarray:
    y, x = (np.mgrid[:size, :size] + 0.5) / size - 0.5
    return np.clip((radius - np.hypot(x, y)) * 20.0, 0.0, 1.0).astype(np.float32)


def write(
    path: Path,
    nodes: Sequence,
    inputs: dict[str, tuple[int | str, ...]],
    outputs: dict[str, tuple[int | str, ...]],
    constants: dict[str, np.ndarray],
    *,
    half: bool = False,
    domains: Sequence[str] = ("",),
) -> Path:
    kind = TensorProto.FLOAT16 if half else TensorProto.FLOAT
    ports = [
        [helper.make_tensor_value_info(name, kind, shape) for name, shape in each.items()]
        for each in (inputs, outputs)
    ]
    stored = [numpy_helper.from_array(value, name) for name, value in constants.items()]
    graph = helper.make_graph(list(nodes), "adapter", *ports, stored)
    opsets = [helper.make_opsetid(domain, 2 if domain else 17) for domain in domains]
    model = helper.make_model(graph, opset_imports=opsets, ir_version=9)
    path.write_bytes(model.SerializeToString())
    return path
