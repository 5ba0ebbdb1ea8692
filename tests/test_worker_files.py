"""The worker's job from file to file: the bits of `semblance apply`, and what goes wrong."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from semblance.exr import read_header, read_plate, write_plate
from semblance.knobs import Knobs
from semblance.plate import Window
from semblance.track.file import load_track, save_track
from semblance.worker import protocol
from semblance.worker.client import JobFailed, Link
from test_worker import CASES, JUNE, applied, drawn, served

if sys.platform == "win32":
    pytest.skip("Unix sockets", allow_module_level=True)

EXAMPLES = Path(__file__).parents[1] / "examples"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("files") / "run"


@pytest.fixture(scope="module")
def link(folder: Path) -> Iterator[Link]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HOME", str(folder.parent))
        patch.setenv("OMP_NUM_THREADS", "1")
        with served(folder) as link:
            yield link


def order(knobs: Knobs, source: Path, result: Path, size=(120, 90), frame=1001, **more):
    asked = {"roto": "", "instance": 1, **more}
    return protocol.File(
        time=float(frame),
        knobs=protocol.encode_knobs(knobs),
        size=size,
        source=str(source),
        result=str(result),
        **asked,
    )


NAMES = [
    "plain", "overscan", "premultiplied", "anamorphic", "multiband", "colour match",
    "roto replace", "drawn onto a roto", "view matte",
]  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
def test_a_file_has_the_bits_of_apply(name: str, link: Link, tmp_path: Path) -> None:
    one = CASES[name]
    save_track(one.track, tmp_path / "track.json")
    applied(one, one.track, tmp_path)
    folder = {each: tmp_path / each / "frame.1001.exr" for each in ("plate", "result", "roto")}
    made = tmp_path / "made.exr"
    roto = str(folder["roto"]) if one.roto is not None else ""
    link.file(order(one.values(tmp_path / "track.json"), folder["plate"], made, roto=roto))
    plate, mine, theirs = (read_plate(each) for each in (folder["plate"], made, folder["result"]))
    window = mine.data_window
    assert theirs.data_window.contains(window)
    assert (mine.channels["A"] == 1.0).all()
    for name in "RGB":
        laid = plate.channels[name].copy()
        laid[window.slices(plate.window)] = mine.channels[name]
        assert laid.tobytes() == theirs.channels[name].tobytes()
    assert any("semblance:" in each for each in read_header(made).parts[0].attributes)


def test_a_proxy_is_rendered_at_its_own_size(link: Link, tmp_path: Path) -> None:
    """Half as large: the face lies where half of the track says."""
    one = CASES["plain"]
    plate = drawn()
    small = {name: np.ascontiguousarray(each[::2, ::2]) for name, each in plate.channels.items()}
    window = Window(0, 0, 60, 45)
    plate = replace(plate, channels=small, data_window=window, display_window=window)
    write_plate(plate, tmp_path / "small.exr")
    save_track(one.track, tmp_path / "track.json")
    done = link.file(
        order(one.values(tmp_path / "track.json"), tmp_path / "small.exr", tmp_path / "made.exr")
    )
    x0, y0, x1, y1 = done.changed
    assert 0 <= x0 < x1 <= 60
    assert 0 <= y0 < y1 <= 45
    assert abs((x0 + x1) / 2 - 30) < 6


def test_a_mask_knob_runs_no_network(link: Link, folder: Path, tmp_path: Path) -> None:
    values = {
        "model": str(JUNE), "track_file": str(EXAMPLES / "track.json"), "looks": 1,
    }  # fmt: skip
    size = load_track(EXAMPLES / "track.json").size
    for feather in (9.0, 8.0):
        knobs = Knobs.from_flat({**values, "mask_feather": feather})
        plate = EXAMPLES / "plate.1004.exr"
        link.file(order(knobs, plate, tmp_path / "made.exr", size, 1004))
    first, second = [
        json.loads(line)["ms"]
        for line in (folder / "worker-1.log").read_text().splitlines()
        if '"infer"' in line or '"event": "done"' in line
    ][-2:]
    assert second["infer"] < 0.2 * first["infer"]  # it came out of the cache


def test_a_frame_without_a_face_is_one_pixel_of_nothing(link: Link, tmp_path: Path) -> None:
    one = CASES["plain"]
    save_track(one.track, tmp_path / "track.json")
    write_plate(one.plate, tmp_path / "plate.exr")
    knobs = one.values(tmp_path / "track.json")
    done = link.file(order(knobs, tmp_path / "plate.exr", tmp_path / "made.exr", frame=1005))
    assert "no face" in done.note
    made = read_plate(tmp_path / "made.exr")
    assert (made.data_window.width, made.data_window.height) == (1, 1)
    assert made.channels["A"][0, 0] == 0.0


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"source": "nothing.exr"}, "nothing.exr"),
        ({"size": (121, 90)}, "track"),
        ({"result": "/nowhere/made.exr"}, "folder"),
    ],
)
def test_what_is_wrong_is_said_and_leaves_no_file(change, said, link, tmp_path) -> None:
    one = CASES["plain"]
    save_track(one.track, tmp_path / "track.json")
    write_plate(one.plate, tmp_path / "plate.exr")
    asked = order(
        one.values(tmp_path / "track.json"), tmp_path / "plate.exr", tmp_path / "made.exr"
    )
    with pytest.raises(JobFailed, match=said):
        link.file(replace(asked, **change))
    assert not (tmp_path / "made.exr").exists()
