"""The likeness package: what is accepted, what is refused, and in which words."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from helpers_model import SIZE, tiny_model

onnx = pytest.importorskip("onnx", reason="models are made with onnx")

from onnx import TensorProto, helper, numpy_helper  # noqa: E402

from semblance.errors import ModelError, ProviderError  # noqa: E402
from semblance.model import (  # noqa: E402
    Likeness,
    Manifest,
    Sessions,
    available_providers,
    read_manifest,
    sha256_of,
)
from semblance.model.package import MANIFEST_KEY  # noqa: E402


@pytest.fixture
def model(tmp_path) -> Path:
    return tiny_model(tmp_path / "tiny.onnx", change=0.25)


def changed(path: Path, change) -> Path:
    """Rewrite the model after `change(proto)`."""
    proto = onnx.load(path)
    change(proto)
    path.write_bytes(proto.SerializeToString())
    return path


def test_a_crop_goes_through_at_the_strength_asked_for(model):
    crop = np.linspace(0.0, 0.7, SIZE * SIZE * 3, dtype=np.float32).reshape(SIZE, SIZE, 3)
    with Likeness.open(model, "cpu", threads=1) as likeness:
        assert (likeness.name, likeness.size, likeness.provider) == ("tiny", SIZE, "cpu")
        assert likeness.sha256 == sha256_of(model)
        made = likeness.infer(crop, 0.5)
    np.testing.assert_allclose(made.rgb, crop + 0.125, atol=1e-6)
    np.testing.assert_array_equal(made.own, crop)
    assert made.matte.shape == (SIZE, SIZE)
    assert all(each.dtype == np.float32 for each in (made.rgb, made.matte, made.own))
    with pytest.raises(ValueError, match="closed"):
        likeness.infer(crop, 0.5)


def test_a_crop_of_another_size_is_the_callers_mistake(model):
    with (
        Likeness.open(model, "cpu") as likeness,
        pytest.raises(ValueError, match="expected a crop"),
    ):
        likeness.infer(np.zeros((SIZE, SIZE + 1, 3), np.float32), 1.0)


def test_a_manifest_comes_back_as_it_was_and_without_a_runtime(model):
    manifest = read_manifest(model)
    assert manifest == Manifest("tiny", SIZE, "performer", "likeness")
    assert Manifest.from_json(manifest.to_json()) == manifest
    code = (
        "import sys; from semblance.model import read_manifest; read_manifest(sys.argv[1]);"
        "assert not {'onnx', 'onnxruntime', 'numpy'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code, str(model)], check=True)


def write_manifest(path: Path, **parts: object) -> Path:
    stored = {**json.loads(Manifest("tiny", SIZE, "a", "b").to_json()), **parts}
    return changed(path, lambda p: helper.set_model_props(p, {MANIFEST_KEY: json.dumps(stored)}))


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda path: path.unlink(), "can't be read"),
        (lambda path: path.write_bytes(b""), "is no ONNX model"),
        (lambda path: path.write_bytes(b"no protocol buffer at all"), "is no ONNX model"),
        (lambda path: path.write_bytes(path.read_bytes()[:-99]), "is no ONNX model"),
        (lambda path: changed(path, lambda p: helper.set_model_props(p, {})), "no metadata"),
        (
            lambda path: changed(path, lambda p: helper.set_model_props(p, {"author": "x"})),
            r"found \['author'\]",
        ),
        (lambda path: write_manifest(path, version=2), "expected manifest version 1, found 2"),
        (lambda path: write_manifest(path, template="other"), "expected template 'semblance-1'"),
        (lambda path: write_manifest(path, encoding="acescct"), "found 'acescct'"),
        (lambda path: write_manifest(path, size="big"), "entry 'size' is missing"),
        (lambda path: write_manifest(path, identities={}), "entry 'performer' is missing"),
    ],
)
def test_a_file_that_is_no_package_is_refused_in_one_line(model, spoil, said):
    spoil(model)
    with pytest.raises(ModelError, match=said) as caught:
        read_manifest(model)
    assert str(model) in str(caught.value)
    assert "\n" not in str(caught.value)
    with pytest.raises(ModelError, match=said):
        Likeness.open(model)


def other_output(proto) -> None:
    proto.graph.output[1].type.tensor_type.shape.dim[1].dim_value = 3
    for node in proto.graph.node:
        if node.output[0] == "matte":
            node.op_type, node.input[0] = "Add", "image"


def fixed_batch(proto) -> None:
    proto.graph.input[0].type.tensor_type.shape.dim[0].Clear()
    proto.graph.input[0].type.tensor_type.shape.dim[0].dim_value = 1


def renamed_input(proto) -> None:
    proto.graph.input[1].name = "alpha_in"
    proto.graph.node[0].input[0] = "alpha_in"


def custom_operator(proto) -> None:
    proto.opset_import.append(helper.make_opsetid("org.example", 1))
    proto.graph.node[-1].domain = "org.example"


def external(proto) -> None:
    tensor = proto.graph.initializer[0]
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="../../secret.bin")


def external_within_a_node(proto) -> None:
    tensor = numpy_helper.from_array(np.zeros(1, np.float32))
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="secret.bin")
    proto.graph.node.append(helper.make_node("Constant", [], ["unused"], value=tensor))


def unknown_operator(proto) -> None:
    proto.graph.node[-1].op_type = "Teleport"


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (renamed_input, "expected inputs image, strength, found alpha_in, image"),
        (other_output, rf"expected 'matte' as tensor\(float\) \['n', 1, {SIZE}, {SIZE}\]"),
        (fixed_batch, r"found tensor\(float\) \[1, 3"),
        (lambda proto: proto.graph.output.pop(), "found matte, rgb"),
        (custom_operator, "uses the operators of 'org.example'"),
        (external, "keeps weights in other files"),
        (external_within_a_node, "keeps weights in other files"),
        (unknown_operator, "can't be loaded"),
    ],
)
def test_another_graph_is_refused_with_what_was_expected_and_found(model, spoil, said):
    changed(model, spoil)
    with pytest.raises(ModelError, match=said) as caught:
        Likeness.open(model, "cpu")
    assert "\n" not in str(caught.value)


def test_a_name_that_is_no_text_is_refused_in_words(model):
    """The runtime takes any bytes for a name, and fails where it is asked for it."""
    changed(model, lambda proto: None)
    name = b"\x12\x01n"  # a dimension's name, a string of one byte
    model.write_bytes(model.read_bytes().replace(name, b"\x12\x01\xa6"))
    with pytest.raises(ModelError, match="names that are no text"):
        Likeness.open(model, "cpu")


def two_mattes(proto):
    """Declare one matte and draw two: nothing holds a graph to what it declares."""
    node = next(each for each in proto.graph.node if "matte" in each.output)
    node.output[0] = "one"
    proto.graph.node.append(helper.make_node("Concat", ["one", "one"], ["matte"], axis=1))


def test_a_graph_that_draws_another_shape_than_it_declares_is_refused(model):
    changed(model, two_mattes)
    crop = np.zeros((SIZE, SIZE, 3), np.float32)
    with (
        Likeness.open(model, "cpu") as likeness,
        pytest.raises(ModelError, match="'matte' of shape"),
    ):
        likeness.infer(crop, 1.0)


def test_a_provider_that_is_not_there_makes_way_and_says_so(model):
    with pytest.raises(ProviderError, match="'quantum' does not exist"):
        Likeness.open(model, "quantum")
    assert "cpu" in available_providers()
    for name in {"cuda", "tensorrt"} - set(available_providers()):
        with Likeness.open(model, name) as likeness:
            assert likeness.provider != name
            said = f"asked to compute on '{name}', computing on '{likeness.provider}'"
            assert likeness.notice.startswith(said)
    with Likeness.open(model) as likeness:
        assert likeness.provider in available_providers()


def test_the_pool_knows_a_model_by_its_content(model, tmp_path):
    twin = tmp_path / "twin.onnx"
    twin.write_bytes(model.read_bytes())
    other = tiny_model(tmp_path / "other.onnx", change=0.5)
    with Sessions("cpu", threads=1) as pool:
        likeness = pool.open(model)
        assert pool.open(twin) is likeness
        assert pool.open(other) is not likeness
        model.write_bytes(other.read_bytes())
        assert pool.open(model) is pool.open(other)
    with pytest.raises(ValueError, match="closed"):
        likeness.infer(np.zeros((SIZE, SIZE, 3), np.float32), 0.0)
