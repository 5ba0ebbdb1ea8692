"""Good files of every kind, what is done with one, and how one is damaged; for fuzz.py."""

from __future__ import annotations

import contextlib
import io
import json
import os
import random
import struct
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

# --- good files ------------------------------------------------------------------------------


def seed_exr(folder: Path) -> None:
    import numpy as np
    import OpenEXR

    from conftest import a_plate
    from semblance.exr import read_plate, write_plate

    for name in ("no", "rle", "zips", "zip", "piz", "pxr24", "b44a", "dwaa"):
        plate = a_plate()
        header = {"compression": getattr(OpenEXR, f"{name.upper()}_COMPRESSION")}
        pixels = {key: np.ascontiguousarray(plate.channels[key]) for key in "RGB"}
        if name == "zip":
            header |= {"type": OpenEXR.tiledimage, "tiles": OpenEXR.TileDescription()}
            header["tiles"].xSize = header["tiles"].ySize = 32
        OpenEXR.File(header, pixels).write(str(folder / f"{name}.exr"))
    part = {"R": pixels["R"], "G": pixels["G"], "B": pixels["B"]}
    parts = [OpenEXR.Part({"compression": OpenEXR.ZIP_COMPRESSION}, dict(part), n) for n in "ab"]
    OpenEXR.File(parts).write(str(folder / "parts.exr"))
    write_plate(read_plate(folder / "zips.exr"), folder / "written.exr")


def seed_track(folder: Path) -> None:
    from conftest import a_face
    from semblance.face import Face, HandKey, Track
    from semblance.track.exported import export_track
    from semblance.track.imported import KINDS as KINDS_OF_TRACKS

    faces = {frame: Face(a_face().landmarks, luma=0.12) for frame in range(1001, 1004)}
    hand = {1002: HandKey({30: (60.0, 45.0)}, 5)}
    track = Track(faces, (120, 90), frames=(1001, 1002, 1003), hand=hand)
    for kind, suffix in KINDS_OF_TRACKS.items():
        export_track(track, folder / f"{kind}{suffix}", kind)


def seed_roto(folder: Path) -> None:
    from semblance.roto import Point, Shape, ShapeKey, Shapes, save_shapes

    points = tuple(Point(x, y) for x, y in ((20.0, 20.0), (80.0, 25.0), (60.0, 70.0)))
    keys = {1001: ShapeKey(points, 2.0, 0.5), 1003: ShapeKey(points)}
    save_shapes(Shapes((120, 90), (Shape("cheek", keys),)), folder / "roto.json")


def seed_preset(folder: Path) -> None:
    from semblance.knobs import Knobs

    values: dict[str, Any] = dict(Knobs().to_flat())
    values["identity_strength"] = {"1001": 0.0, "1012": 1.0}
    (folder / "preset.json").write_text(json.dumps(values, indent=1))


def seed_onnx(folder: Path) -> None:
    from helpers_model import tiny_model

    tiny_model(folder / "tiny.onnx")


def seed_release(folder: Path) -> None:
    from semblance import release

    pair = release.new_key("Test Estate")
    (folder / "holder.pem").write_text(pair.private)
    (folder / "holder.pub").write_text(pair.public)
    key = release.load_private_key(folder / "holder.pem")
    terms = release.Release(
        id="SR-1", rights_holder="Test Estate", likeness="Nobody", production="Film",
        uses=("film",), territory="worldwide", valid_from=date(2020, 1, 1),
        valid_until=date(2999, 1, 1), contact="rights@example.org", model_sha256="0" * 64,
    )  # fmt: skip
    (folder / "likeness.release.json").write_bytes(release.sign(terms, key))
    what = release.Revocation("SR-2", date(2026, 1, 1), "over")
    release.revoke(folder / "test-estate.revoked.json", "Test Estate", what, key)
    (folder / "holder.pem").unlink()


def seed_apply(folder: Path) -> None:
    from conftest import a_plate
    from semblance.exr import write_plate

    seed_track(folder)
    seed_roto(folder)
    seed_onnx(folder)
    write_plate(a_plate(), folder / "plate.1001.exr")
    values = {"mask_occlusion": 0.0, "model": "tiny.onnx", "track_file": "semblance.json"}
    (folder / "preset.json").write_text(json.dumps({**values, "roto_file": "roto.json"}))
    for path in folder.glob("*-*"):
        path.unlink()


# --- what is done with a damaged one ---------------------------------------------------------


def open_exr(path: Path, out: Path) -> None:
    import numpy as np

    from semblance.errors import SemblanceError
    from semblance.exr import is_whole, read_header, read_plate, read_roto, write_plate
    from semblance.info import describe, listing
    from semblance.plate import Window

    is_whole(path)
    with contextlib.suppress(SemblanceError):
        read_roto(path)
    read_header(path)
    listing(describe(path))
    plate = read_plate(path)
    x, y = plate.window.x0, plate.window.y0
    box = Window(x, y, x + 1, y + 1)
    changed = plate.with_picture(np.zeros((1, 1, 3), np.float32), box, np.ones((1, 1), bool))
    write_plate(changed, out / "result.exr")


def open_track(path: Path, out: Path) -> None:
    from semblance.track.file import load_track, save_track
    from semblance.track.imported import import_track
    from semblance.track.smooth import smooth

    known = load_track(path.parent / "semblance.json") if "corner" in path.name else None
    track = import_track(path, size=(120, 90), first_frame=1001, reference=known)
    smooth(track, 1.0)
    save_track(track, out / "track.json")


def open_roto(path: Path, out: Path) -> None:
    from semblance.plate import Window
    from semblance.roto import load_shapes, rasterise

    shapes = load_shapes(path)
    for frame in (1001, 1002):
        rasterise(shapes, frame, Window(0, 0, 120, 90))


def open_preset(path: Path, out: Path) -> None:
    from semblance.preset import animate, load_preset

    animate(load_preset(path))(1005)


def open_onnx(path: Path, out: Path) -> None:
    import numpy as np

    from semblance.info import describe, listing
    from semblance.model import Likeness

    listing(describe(path))
    with Likeness.open(path, "cpu", 1) as likeness:
        likeness.infer(np.zeros((likeness.size, likeness.size, 3), np.float32), 1.0)


def open_release(path: Path, out: Path) -> None:
    from semblance import release

    folder = path.parent
    verdict = release.verify(
        folder / "likeness.release.json", "0" * 64, date(2026, 1, 1), None, [folder], (), out
    )
    release.require(verdict)


def open_apply(path: Path, out: Path) -> None:
    from semblance.cli import main
    from semblance.errors import InputError

    os.chdir(path.parent)
    words = ["apply", "plate.####.exr", "--preset", "preset.json", "-o", "out/result.####.exr"]
    with contextlib.redirect_stderr(io.StringIO()), contextlib.redirect_stdout(io.StringIO()):
        code = main(words)
    if code:
        raise InputError(f"it ended with {code}")


@dataclass(frozen=True)
class Kind:
    """What is damaged, and what is done with it."""

    seed: Callable[[Path], None]
    open: Callable[[Path, Path], None]
    share: int  # of a hundred files


KINDS = {
    "exr": Kind(seed_exr, open_exr, 30),
    "track": Kind(seed_track, open_track, 12),
    "roto": Kind(seed_roto, open_roto, 12),
    "preset": Kind(seed_preset, open_preset, 12),
    "onnx": Kind(seed_onnx, open_onnx, 20),
    "release": Kind(seed_release, open_release, 10),
    "apply": Kind(seed_apply, open_apply, 4),
}

# --- damage ----------------------------------------------------------------------------------

NUMBERS = (0, 1, 2, 3, 127, 128, 255, 256, 32767, 65535, 65536, 1 << 20, 1 << 24, (1 << 31) - 1,
           1 << 31, (1 << 32) - 1, (1 << 63) - 1, (1 << 64) - 1)  # fmt: skip
VALUES: tuple[Any, ...] = (
    None, True, False, 0, -1, 1, 68, 1e308, -1e308, 1e-320, 10**18, 10**400, -(10**25), "",
    "x", "\0", "\ud800", "\u202e", "../../outside", "/etc/passwd", "/proc/self/mem", "/dev/zero",
    "{{Param.x}}", "$(touch outside)", "%n%s", "a" * 100_000, [], {}, [[]], {"": None},
    [0] * 1000, "__import__",
)  # fmt: skip


def damaged(data: bytes, chance: random.Random) -> bytes:
    """Return bytes with a few of them changed; a file's head is hit most."""
    made = bytearray(data)
    for _ in range(chance.choice((1, 1, 1, 2, 3, 8))):
        reach = len(made) if chance.random() < 0.4 else min(len(made), 1024)
        at = chance.randrange(max(reach, 1))
        way = chance.randrange(7)
        if way == 0:
            made[at : at + 1] = bytes([chance.randrange(256)])
        elif way == 1 and made:
            made[min(at, len(made) - 1)] ^= 1 << chance.randrange(8)
        elif way == 2:
            form = chance.choice(("<I", "<Q", ">I", "<H"))
            value = struct.pack(
                form, chance.choice(NUMBERS) & ((1 << 8 * struct.calcsize(form)) - 1)
            )
            made[at : at + len(value)] = value
        elif way == 3:
            del made[at : at + chance.choice((1, 4, 100))]
        elif way == 4:
            made[at:at] = made[at : at + chance.choice((1, 16, 500))]
        elif way == 5:
            del made[chance.randrange(len(made) + 1) :]
        else:
            made[at:at] = chance.randbytes(chance.choice((1, 4, 64)))
    return bytes(made)


def hostile_exr(data: bytes, chance: random.Random) -> bytes:
    """Return a frame whose header asks for other pixels than it holds."""
    made = bytearray(data)
    for _ in range(chance.choice((1, 1, 2, 3))):
        name, kind = chance.choice(
            ((b"dataWindow", b"box2i"), (b"displayWindow", b"box2i"), (b"tiles", b"tiledesc"),
             (b"channels", b"chlist"), (b"compression", b"compression"),
             (b"lineOrder", b"lineOrder"), (b"chunkCount", b"int"), (b"pixelAspectRatio", b"float"))
        )  # fmt: skip
        at = made.find(name + b"\0" + kind + b"\0")
        if at < 0:
            continue
        at += len(name) + len(kind) + 2
        size = min(struct.unpack_from("<I", made, at)[0], 200)
        if size < 4:
            made[at + 4] = chance.randrange(256)
            continue
        place = at + 4 + chance.randrange(size - 3) // 4 * 4
        value = chance.choice((*NUMBERS, 30_000, 100_000, -1, -(1 << 20))) & 0xFFFFFFFF
        made[place : place + 4] = struct.pack("<I", value)
    return bytes(made)


def hostile_json(data: bytes, chance: random.Random) -> bytes:
    """Return a document with a hostile value, name or depth somewhere in it."""
    root = json.loads(data)
    for _ in range(chance.choice((1, 1, 2, 3))):
        where: Any = root
        while isinstance(where, (dict, list)) and where:
            key = (
                chance.choice(list(where))
                if isinstance(where, dict)
                else chance.randrange(len(where))
            )
            if not isinstance(where[key], (dict, list)) or not where[key] or chance.random() < 0.3:
                break
            where = where[key]
        if not isinstance(where, (dict, list)) or not where:
            continue
        way = chance.randrange(5)
        if way == 0:
            del where[key]
        elif way == 1 and isinstance(where, dict):
            where[str(chance.choice(VALUES))[:200]] = where.pop(key)
        else:
            where[key] = chance.choice(VALUES)
    text = json.dumps(root)
    if chance.random() < 0.1:
        depth = chance.choice((60, 500, 990, 100_000))
        text = text.replace("null", "[" * depth + "]" * depth, 1)
        text = text if "[[[[" in text else '{"a":' * depth + text + "}" * depth
    return text.encode(errors="surrogatepass")


def hostile_onnx(data: bytes, chance: random.Random) -> bytes:
    """Return a model that asks for too much, or for what is not in it."""
    import onnx
    from onnx import helper

    model = onnx.load_from_string(data)
    graph = model.graph
    node, tensor = chance.choice(graph.node), chance.choice(graph.initializer)
    way = chance.randrange(9)
    if way == 0:
        tensor.dims[:] = [chance.choice(NUMBERS[:-1]) for _ in range(chance.randrange(1, 5))]
    elif way == 1:
        onnx.external_data_helper.set_external_data(
            tensor, chance.choice(("/etc/passwd", "../outside", "weights.bin")), 0, 64
        )
        tensor.ClearField("raw_data")
        tensor.data_location = onnx.TensorProto.EXTERNAL
    elif way == 2:
        node.domain = chance.choice(("com.microsoft", "ai.onnx.ml", "evil", "x" * 5000))
    elif way == 3:
        node.op_type = chance.choice(
            ("Loop", "If", "Scan", "Tile", "Expand", "Nothing", "ReadFile")
        )
    elif way == 4:
        size = helper.make_tensor(
            "huge", onnx.TensorProto.INT64, [3], [chance.choice(NUMBERS[8:-1])] * 3
        )
        graph.initializer.append(size)
        graph.node.insert(
            0, helper.make_node(chance.choice(("ConstantOfShape", "Range")), ["huge"], ["big"])
        )
    elif way == 5:
        shape = chance.choice((graph.input, graph.output))[0].type.tensor_type.shape
        chance.choice(shape.dim).dim_value = chance.choice(NUMBERS[:-1])
    elif way == 6:
        one = chance.choice(model.metadata_props)
        one.value = hostile_json(one.value.encode(), chance).decode(errors="replace")
    elif way == 7:
        node.input[0] = chance.choice([each.output[0] for each in graph.node])
    else:
        graph.node.extend([node] * chance.choice((1, 100, 3000)))
    return model.SerializeToString()


def mutated(path: Path, data: bytes, chance: random.Random) -> bytes:
    """Return the content of a good file, damaged in one of the ways for its kind."""
    if path.suffix == ".json" and chance.random() < 0.6:
        return hostile_json(data, chance)
    if path.suffix == ".onnx" and chance.random() < 0.4:
        return hostile_onnx(data, chance)
    if path.suffix == ".exr" and chance.random() < 0.3:
        return hostile_exr(data, chance)
    return damaged(data, chance)
