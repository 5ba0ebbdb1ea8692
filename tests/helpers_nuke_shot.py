"""A shot for the Nuke tests: ten small frames, their track, a released model, and a worker."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from datetime import date
from pathlib import Path

import numpy as np
import pytest

import semblance_nuke
from conftest import a_face, a_plate
from helpers_model import tiny_model
from helpers_nuke import FakeGroup, FakeNode
from helpers_nuke_images import RenderingNuke
from semblance import release
from semblance.exr import write_plate
from semblance.face import Face, Track
from semblance.plate import Window
from semblance.track.file import save_track
from semblance_nuke import node

FRAMES = range(1001, 1011)
OVERSCAN = Window(-9, -7, 133, 101)
VALUES = {"looks": 1, "mask_occlusion": 0.0, "grain_match": 0.0}
"""Knobs off their defaults: nothing that takes long."""


@contextmanager
def shot(folder: Path) -> Iterator[Path]:
    """A shot of ten frames with overscan, its track, a trusted model, and a worker's folder."""
    program = Path(sys.executable).parent / "semblance"
    if not program.exists():
        pytest.skip("the program semblance is not installed beside this Python")
    _released(tiny_model(folder / "likeness.onnx"), folder / ".config" / "semblance" / "trust")
    for frame in FRAMES:
        plate = a_plate(OVERSCAN, seed=frame)
        rgb = {name: plate.channels[name] for name in "RGB"}
        plate = replace(plate, channels={**rgb, "key.A": plate.channels["G"]})
        write_plate(replace(plate, compression="zips"), folder / f"plate.{frame}.exr")
        right = {name: np.roll(each, 2, 1) for name, each in plate.channels.items()}
        write_plate(replace(plate, channels=right), folder / f"right.{frame}.exr")
    faces = {frame: moved(frame) for frame in FRAMES}
    save_track(Track(faces, (120, 90), 1.0, tuple(FRAMES)), folder / "track.json")
    with pytest.MonkeyPatch.context() as patch:
        for name, value in (
            ("HOME", folder), ("SEMBLANCE_RUNTIME", folder / "run"), ("OMP_NUM_THREADS", 1),
            ("SEMBLANCE_WORKER", program), ("SEMBLANCE_CACHE", folder / "cache"),
        ):  # fmt: skip
            patch.setenv(name, str(value))
        yield folder
        kill(folder)


def moved(frame: int) -> Face:
    face = a_face((60.0 + 0.7 * (frame - 1001), 45.0))
    points = np.array([[round(x, 4), round(y, 4)] for x, y in face.landmarks.tolist()])
    return Face(points, luma=0.12, source="hand")


def _released(model: Path, trust: Path) -> None:
    """Sign a release for a model, and trust who signed it."""
    trust.mkdir(parents=True)
    pair = release.new_key("Kestrel Estate")
    (trust / "kestrel.pub").write_text(pair.public)
    (trust.parent / "key.pem").write_text(pair.private)
    terms = release.Release(
        id=release.new_id(), rights_holder="Kestrel Estate", likeness="likeness",
        production="Tests", uses=("tests",), territory="this machine",
        valid_from=date(2020, 1, 1), valid_until=date(2099, 1, 1), contact="rights@example.org",
        model_sha256=hashlib.sha256(model.read_bytes()).hexdigest(),
    )  # fmt: skip
    document = release.sign(terms, release.load_private_key(trust.parent / "key.pem"))
    release.default_release_path(model).write_bytes(document)


def kill(folder: Path, number: int = signal.SIGKILL) -> None:
    """Send the worker of a shot a signal, where there is one."""
    with suppress(OSError, ValueError):
        pid = json.loads((folder / "run" / "worker-1.json").read_text())["pid"]
        os.kill(int(pid), number)


def semblance(nuke: RenderingNuke, place: Path, above: FakeNode | None = None) -> FakeGroup:
    """A node as the artist makes it: plate, model, track, and nothing that takes long."""
    above = above or nuke.read(f"{place}/plate.%04d.exr", 1001, 1010)
    made = semblance_nuke.create()
    made.setInput(0, above)
    inner = node.engine(made)
    values = {"model": f"{place}/likeness.onnx", "track_file": f"{place}/track.json", **VALUES}
    for name, value in values.items():
        inner[name].setValue(value)
    return made


def is_current(group: FakeGroup) -> bool:
    """What the artist sees: no mark on the node, no slate in the picture."""
    return group["label"].value() == "" and group["tile_color"].value() == 0x7A5A8CFF
