"""Files come from anyone: what they ask for is refused in words before anything is done."""

from __future__ import annotations

import ast
import json
import re
import struct
import subprocess
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from conftest import a_face, a_plate
from helpers_model import tiny_model
from semblance import runtime
from semblance.cli import main
from semblance.errors import (
    KnobError,
    ModelError,
    PlateError,
    RotoError,
    SemblanceError,
    TrackError,
)
from semblance.exr import read_header, read_plate, write_plate
from semblance.exr.attribute import Attribute
from semblance.exr.container import chunk_head, header_bytes
from semblance.face import Face, Track
from semblance.info import describe, listing
from semblance.model import Likeness
from semblance.plate import Window
from semblance.preset import animate, load_preset
from semblance.roto import load_shapes
from semblance.track.file import load_track, save_track

ROOT = Path(__file__).parents[1]


def test_a_thousand_damaged_and_hostile_files_do_no_harm():
    """No crash, no hang, no exception but a refusal, and nothing written or started outside."""
    command = [sys.executable, str(ROOT / "bench" / "fuzz.py"), "--count", "1000", "--json"]
    ran = subprocess.run(command, capture_output=True, text=True, check=False)
    told = json.loads(ran.stdout or "{}")
    assert told.get("findings") == [], ran.stderr[-2000:]
    assert ran.returncode == 0
    assert sum(sum(counts.values()) for counts in told["kinds"].values()) >= 990
    assert all(counts["refused"] for counts in told["kinds"].values())
    assert told["kinds"]["release"].get("taken", 0) == 0


# --- EXR -------------------------------------------------------------------------------------


def claiming(path: Path, width: int, height: int, channels: int) -> Path:
    """A small file whose header, tables and chunk heads agree on pixels that it does not hold."""
    write_plate(a_plate(), path)
    attributes = dict(read_header(path).parts[0].attributes)
    names = sorted(["R", "G", "B", *(f"aov{n:05}" for n in range(channels - 3))])
    listed = b"".join(name.encode() + b"\0" + struct.pack("<i4x2i", 2, 1, 1) for name in names)
    box = Attribute.box(Window(0, 0, width, height))
    attributes |= {
        "channels": Attribute("chlist", listed + b"\0"),
        "compression": Attribute("compression", b"\2"),  # a chunk to a row
        "dataWindow": box,
        "displayWindow": box,
    }
    head = header_bytes([attributes], multipart=False)
    path.write_bytes(head + bytes(8 * height))
    part = read_header(path).parts[0]
    chunks, offsets, end = bytearray(), [], len(head) + 8 * height
    for row in range(height):
        offsets.append(end + len(chunks))
        chunks += chunk_head(part, row, 16, multipart=False) + bytes(16)
    path.write_bytes(head + np.array(offsets, "<u8").tobytes() + chunks)
    return path


@pytest.mark.parametrize(
    ("size", "told"),
    [
        ((70_000, 4, 3), "claims 70000 × 4 pixels, more than 65536 either way"),
        ((64, 70_000, 3), "claims 64 × 70000 pixels, more than 65536 either way"),
        ((64, 4, 1025), "claims 1025 channels, more than 1024"),
        ((65_536, 80, 1024), r"claims 65536 × 80 pixels in 1024 channels \(20\.0 GiB\), more than"),
    ],
)
def test_a_frame_that_claims_too_much_is_refused_before_memory_is_taken(tmp_path, size, told):
    path = claiming(tmp_path / "plate.exr", *size)
    with pytest.raises(PlateError, match=told):
        read_plate(path)


def test_a_region_of_a_large_frame_is_read_where_the_whole_is_refused(tmp_path):
    path = claiming(tmp_path / "plate.exr", 65_536, 80, 1024)
    with pytest.raises(PlateError, match="damaged"):  # it was decoded: its 256 MiB are allowed
        read_plate(path, region=Window(0, 0, 10, 1))


def test_a_pixel_without_a_shape_is_refused(tmp_path):
    path = tmp_path / "plate.exr"
    for aspect in (float("nan"), float("inf"), 0.0, -1.0, 1e30):
        write_plate(a_plate(), path)
        attributes = dict(read_header(path).parts[0].attributes)
        head = header_bytes([attributes], multipart=False)
        attributes["pixelAspectRatio"] = Attribute.of(aspect)
        data = path.read_bytes()
        path.write_bytes(header_bytes([attributes], multipart=False) + data[len(head) :])
        with pytest.raises(PlateError, match="claims a pixel aspect"):
            read_plate(path)


# --- tracks ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("landmarks", "told"),
    [
        (np.full((68, 2), 50.0), "a face of at least a pixel"),
        (a_face().landmarks * 1e300, "pixels within 1e\\+06 of the plate"),
    ],
)
def test_landmarks_that_are_no_face_are_refused(tmp_path, landmarks, told):
    track = Track({1001: Face(landmarks)}, (120, 90), frames=(1001,))
    save_track(track, tmp_path / "track.json")
    with pytest.raises(TrackError, match=told):
        load_track(tmp_path / "track.json")


# --- ONNX ------------------------------------------------------------------------------------


def _outside(tensor: TensorProto) -> None:
    onnx.external_data_helper.set_external_data(tensor, "../../etc/passwd", 0, 64)
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL


def _in_an_attribute(model: onnx.ModelProto) -> None:
    held = numpy_helper.from_array(np.ones(64, np.float32), "held")
    _outside(held)
    model.graph.node.append(helper.make_node("Constant", [], ["c"], value=held))


def _in_a_branch(model: onnx.ModelProto, deep: int = 1, spoil: bool = True) -> None:
    held = numpy_helper.from_array(np.ones(64, np.float32), "held")
    if spoil:
        _outside(held)
    branch = helper.make_graph([helper.make_node("Identity", ["held"], ["o"])], "b", [], [], [held])
    for _ in range(deep):
        node = helper.make_node("If", ["x"], ["o"], then_branch=branch)
        branch = helper.make_graph([node], "b", [], [])
    model.graph.node.append(branch.node[0])


def _function(model: onnx.ModelProto) -> None:
    model.functions.append(
        helper.make_function(
            "own", "F", ["x"], ["y"], [helper.make_node("Identity", ["x"], ["y"])],
            [helper.make_opsetid("", 17)],
        )
    )  # fmt: skip


def _bomb(model: onnx.ModelProto, kind: str = "ConstantOfShape", *, constant: bool = False) -> None:
    shape = numpy_helper.from_array(np.array([1 << 20, 1 << 20], np.int64), "shape")
    if constant:
        model.graph.node.append(helper.make_node("Constant", [], ["shape"], value=shape))
    else:
        model.graph.initializer.append(shape)
    model.graph.node.append(helper.make_node(kind, ["shape"], ["huge"]))


def _dimension(model: onnx.ModelProto) -> None:
    model.graph.output[0].type.tensor_type.shape.dim[2].dim_value = 1 << 31


BAD: dict[str, tuple[Callable[[onnx.ModelProto], object], str]] = {
    "weights": (lambda model: _outside(model.graph.initializer[0]), "weights in other files"),
    "weights of a constant": (_in_an_attribute, "weights in other files"),
    "weights in a branch": (_in_a_branch, "weights in other files"),
    "branches": (lambda model: _in_a_branch(model, 20, False), "inside each other, more than 16"),
    "operator set": (
        lambda model: model.opset_import.append(helper.make_opsetid("evil", 1)),
        "the operators of 'evil'",
    ),
    "operator": (
        lambda model: setattr(model.graph.node[0], "domain", "com.microsoft"),
        "the operators of 'com.microsoft'",
    ),
    "function": (_function, "defines operators of its own"),
    "tensor": (
        lambda model: model.graph.initializer[0].dims.__setitem__(slice(None), [1 << 40, 4]),
        "1099511627776 × 4 numbers, which it does not hold",
    ),
    "dimensions": (
        lambda model: model.graph.initializer[0].dims.extend([1 << 62] * 200_000),
        "of 64 dimensions or more",
    ),
    "shape": (_bomb, "asks for 1048576 × 1048576 numbers at once in its operator ConstantOfShape"),
    "shape of a constant": (lambda model: _bomb(model, "Expand", constant=True), "operator Expand"),
    "output": (_dimension, "2147483648 × 64 numbers at once in its value 'rgb'"),
}


@pytest.mark.parametrize("name", BAD)
def test_a_model_that_reaches_out_or_asks_too_much_is_refused_before_a_session_is_made(
    tmp_path, monkeypatch, name
):
    spoil, told = BAD[name]
    model = onnx.load(tiny_model(tmp_path / "good.onnx"))
    spoil(model)
    path = tmp_path / "bad.onnx"
    path.write_bytes(model.SerializeToString())

    def session(*arguments: object) -> None:
        pytest.fail("a session was made")

    monkeypatch.setattr(runtime, "session", session)
    with pytest.raises(ModelError, match=told):
        Likeness.open(path, "cpu")


def test_memory_that_a_graph_only_computes_is_refused_by_the_runtime():
    """The machine has it, perhaps; a graph does not get it."""
    nodes = [
        helper.make_node("Mul", ["half", "half"], ["shape"]),
        helper.make_node("ConstantOfShape", ["shape"], ["huge"]),
        helper.make_node("ReduceSum", ["huge"], ["y"], keepdims=0),
    ]
    half = numpy_helper.from_array(np.array([1 << 17], np.int64), "half")
    y = helper.make_tensor_value_info("y", TensorProto.FLOAT, [])
    graph = helper.make_graph(nodes, "bomb", [], [y], [half])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    with pytest.raises(runtime.ERRORS, match="smaller than requested"):
        runtime.session(model.SerializeToString()).run(None, {})


# --- JSON ------------------------------------------------------------------------------------

BOMBS = {
    "depth": b'{"format": ' + b"[" * 100 + b"]" * 100 + b"}",
    "more depth": b"[" * 1_000_000,
    "digits": b'{"format": ' + b"9" * 4000 + b"}",
    "half a character": rb'{"format": "\ud800"}',
    "no number": b'{"format": NaN}',
    "no text": b"\xff\xfe\x00",
}


@pytest.mark.parametrize("name", BOMBS)
@pytest.mark.parametrize(
    ("read", "fault"),
    [
        (load_track, TrackError),
        (load_shapes, RotoError),
        (load_preset, KnobError),
        (describe, SemblanceError),
    ],
)
def test_a_json_bomb_is_one_sentence(tmp_path, name, read, fault):
    path = tmp_path / "bomb.json"
    path.write_bytes(BOMBS[name])
    with pytest.raises(fault) as caught:
        read(path)
    assert len(str(caught.value)) < 1000
    assert str(caught.value).isprintable()


def test_a_document_without_end_is_not_parsed(tmp_path):
    path = tmp_path / "large.json"
    with path.open("wb") as file:
        file.truncate((256 << 20) + 1)
    with pytest.raises(TrackError, match="larger than 256 MiB"):
        load_track(path)


def test_knobs_hold_no_null_character_and_no_number_beyond_a_float():
    for values in ({"model": "a\0b"}, {"mix": 10**400}, {"mix": float("nan")}):
        with pytest.raises(KnobError):
            animate(values)(1001)


def test_a_file_says_nothing_to_the_terminal():
    assert "\x1b" not in listing({"owner": "\x1b[2J\x07"})
    assert str(PlateError("a\x1b[2Jb\nc" + "d" * 5000)).isprintable()
    assert len(str(PlateError("d" * 5000))) < 700


# --- names -----------------------------------------------------------------------------------


def test_a_preset_is_data_and_never_a_command(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_plate(a_plate(), tmp_path / "plate.1001.exr")
    faces = {1001: Face(a_face().landmarks, luma=0.12)}
    save_track(Track(faces, (120, 90), frames=(1001,)), tmp_path / "track.json")
    tiny_model(tmp_path / "likeness.onnx")
    for value in (
        "$(touch ran)",
        "`touch ran`",
        "{{touch ran}}",
        "; touch ran",
        "%(x)s",
        "__import__",
    ):
        preset = {"model": "likeness.onnx", "track_file": "track.json", "likeness": value}
        (tmp_path / "preset.json").write_text(json.dumps(preset))
        assert main(["apply", "plate.####.exr", "--preset", "preset.json", "-o", "r.####.exr"]) == 2
    assert not (tmp_path / "ran").exists()


# --- what it stands on -----------------------------------------------------------------------


def names(requirements: list[str]) -> set[str]:
    return {re.sub(r"[-_.]+", "-", re.match(r"[\w.-]+", each)[0]).lower() for each in requirements}


def test_every_package_is_locked_by_hash_and_named_with_its_licence():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = project["optional-dependencies"]
    for file, extra in (
        ("requirements.lock", ()),
        ("requirements-dev.lock", ("train", "panel", "dev")),
    ):
        locked = (ROOT / file).read_text(encoding="utf-8")
        entries = re.split(r"\n(?=\w)", locked)[1:]
        assert all("--hash=sha256:" in entry and "==" in entry for entry in entries)
        assert "://" not in locked
        wanted = [*project["dependencies"], *(each for name in extra for each in extras[name])]
        assert names(wanted) <= names(entries), f"make lock: {file} is older than pyproject.toml"
    command = [sys.executable, str(ROOT / "docs" / "make_licences.py"), "--check"]
    assert subprocess.run(command, check=False).returncode == 0, "make licences"


# --- our own source --------------------------------------------------------------------------

FORBIDDEN = {"pickle", "cPickle", "dill", "cloudpickle", "joblib", "shelve", "marshal"}
SUSPICIOUS = re.compile(f"{'|'.join(FORBIDDEN)}|eval|exec|system|yaml|load\\(|hub|shell")


def _calls(tree: ast.AST) -> list[ast.Call]:
    return [node for node in ast.walk(tree) if isinstance(node, ast.Call)]


def _given(call: ast.Call, name: str) -> object:
    found = [each.value for each in call.keywords if each.arg == name]
    return found[0].value if found and isinstance(found[0], ast.Constant) else None


def test_nothing_of_ours_reads_a_pickle_or_runs_a_text():
    found = []
    for folder in ("core", "plugin", "bench", "examples", "gizmos", "docs"):
        for path in sorted((ROOT / folder).rglob("*.py")):
            text = path.read_text(encoding="utf-8")
            if not SUSPICIOUS.search(text):
                continue
            tree = ast.parse(text)
            for node in ast.walk(tree):
                names = [each.name for each in node.names] if isinstance(node, ast.Import) else []
                names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
                found += [(path, name) for name in names if name.partition(".")[0] in FORBIDDEN]
            for call in _calls(tree):
                name = ast.unparse(call.func)
                unsafe = (
                    name in ("eval", "exec", "os.system", "yaml.load", "torch.hub.load")
                    or (name == "torch.load" and _given(call, "weights_only") is not True)
                    or (name in ("np.load", "numpy.load") and _given(call, "allow_pickle"))
                    or (name.startswith("subprocess.") and _given(call, "shell"))
                )
                found += [(path, name)] if unsafe else []
    assert found == []
