"""A real likeness package of a few kilobytes: the native signature without a trained network."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from onnx import TensorProto, helper, numpy_helper

from semblance.model.package import MANIFEST_KEY, Manifest

SIZE = 64


def tiny_model(
    path: Path, *, change: float = 0.1, outputs: tuple[str, ...] = ("rgb", "matte", "self"),
    name: str = "tiny",
) -> Path:  # fmt: skip
    """Write a model: rgb is image + change × strength, matte an ellipse, self the image."""
    y, x = (np.mgrid[:SIZE, :SIZE] + 0.5) / SIZE - 0.5
    ellipse = np.clip((1.0 - np.hypot(x / 0.42, y / 0.46)) * 6.0, 0.0, 1.0)[None, None]
    constants = {
        "change": np.full((1, 1, 1, 1), change, np.float32),
        "ellipse": ellipse.astype(np.float32),
        "zero": np.zeros((1, 1, 1, 1), np.float32),
        "column": np.array([-1, 1, 1, 1], np.int64),
    }
    nodes = [
        helper.make_node("Reshape", ["strength", "column"], ["alpha"]),
        helper.make_node("Mul", ["alpha", "change"], ["moved"]),
        helper.make_node("Add", ["image", "moved"], ["rgb"]),
        helper.make_node("Mul", ["alpha", "zero"], ["nothing"]),
        helper.make_node("Add", ["ellipse", "nothing"], ["matte"]),
        helper.make_node("Identity", ["image"], ["self"]),
    ]
    picture = ["n", 3, SIZE, SIZE]
    shapes = {"rgb": picture, "matte": ["n", 1, SIZE, SIZE], "self": picture}
    graph = helper.make_graph(
        nodes,
        "tiny",
        [
            helper.make_tensor_value_info("image", TensorProto.FLOAT, picture),
            helper.make_tensor_value_info("strength", TensorProto.FLOAT, ["n"]),
        ],
        [helper.make_tensor_value_info(each, TensorProto.FLOAT, shapes[each]) for each in outputs],
        [numpy_helper.from_array(value, each) for each, value in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    manifest = Manifest(name=name, size=SIZE, performer="performer", likeness="likeness")
    helper.set_model_props(model, {MANIFEST_KEY: manifest.to_json()})
    path.write_bytes(model.SerializeToString())
    return path
