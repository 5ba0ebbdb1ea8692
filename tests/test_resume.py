"""What is kept and what is made again, by content; and who may write where."""

from __future__ import annotations

import hashlib
import os
import shutil
import signal
import subprocess
import sys
import textwrap
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from conftest import Painter, a_face, a_plate
from semblance import shot
from semblance.errors import OutputError
from semblance.exr import Sequence, claim, is_whole, read_header, write_plate
from semblance.face import Face, Track
from semblance.knobs import Knobs
from semblance.plate import Plate
from semblance.resume import INPUTS, PLATE_HASH
from semblance.roto import Point, Shape, ShapeKey, Shapes, save_shapes

FRAMES = tuple(range(1001, 1006))
FLAT = {"mask_occlusion": 0.0, "looks": 1}


class Shot:
    """A small shot that can be changed and rendered again."""

    def __init__(self, folder: Path) -> None:
        self.plates = Sequence.parse(folder / "in" / "plate.####.exr")
        self.output = Sequence.parse(folder / "out" / "result.####.exr")
        self.plates.folder.mkdir(parents=True)
        for frame in FRAMES:
            write_plate(a_plate(seed=frame), self.plates.path(frame))
        self.faces = {frame: Face(a_face().landmarks, luma=0.12) for frame in FRAMES}
        self.given: dict[str, Any] = {"likeness": Painter(), "knobs": self.knobs()}

    def knobs(self, **values: Any) -> Callable[[int], Knobs]:
        return lambda frame: Knobs.from_flat({**FLAT, **values})

    def roto(self, folder: Path, value: float) -> None:
        self.given["roto"] = Sequence.parse(folder / "roto.####.exr")
        blank = a_plate()
        channels = {name: np.full((90, 120), value, np.float16) for name in "RGB"}
        for frame in FRAMES:
            plate = Plate(channels, blank.data_window, blank.display_window)
            write_plate(plate, self.given["roto"].path(frame))

    def render(self, **more: Any) -> shot.ShotSummary:
        track = Track(dict(self.faces), (120, 90), frames=FRAMES)
        return shot.apply(self.plates, self.output, FRAMES, track=track, **self.given, **more)

    def made_again(self) -> tuple[int, ...]:
        """Resume, and say which frames were not kept."""
        summary = self.render(resume=True)
        assert not summary.failed
        return tuple(frame for frame in FRAMES if frame not in summary.kept)

    def bytes(self) -> dict[int, bytes]:
        return {frame: self.output.path(frame).read_bytes() for frame in FRAMES}


@pytest.fixture
def made(tmp_path: Path) -> Shot:
    shot = Shot(tmp_path)
    shot.render()
    return shot


def test_a_finished_shot_is_kept_wherever_it_lies(made: Shot, tmp_path: Path) -> None:
    before = made.bytes()
    assert made.made_again() == ()
    shutil.copytree(tmp_path / "in", tmp_path / "moved" / "in")
    shutil.copytree(tmp_path / "out", tmp_path / "moved" / "out")
    made.plates = Sequence.parse(tmp_path / "moved" / "in" / "plate.####.exr")
    made.output = Sequence.parse(tmp_path / "moved" / "out" / "result.####.exr")
    assert made.made_again() == ()
    assert made.bytes() == before


@pytest.mark.parametrize(
    "damage",
    [
        lambda path: path.unlink(),
        lambda path: path.write_bytes(b""),
        lambda path: path.write_bytes(path.read_bytes()[:-1]),
        lambda path: path.write_bytes(path.read_bytes()[: path.stat().st_size // 2]),
        lambda path: path.write_bytes(path.read_bytes() + b"\0"),
        lambda path: path.write_bytes(path.read_bytes()[:-4000] + bytes(4000)),
        lambda path: path.write_bytes(os.urandom(5000)),
    ],
    ids=["missing", "empty", "a byte short", "half", "a byte long", "zeros at its end", "noise"],
)
def test_what_is_missing_or_torn_is_made_again(made: Shot, damage: Callable[[Path], Any]) -> None:
    before = made.bytes()
    damage(made.output.path(1003))
    assert made.made_again() == (1003,)
    assert made.bytes() == before


def other_plate(shot: Shot) -> None:
    write_plate(a_plate(seed=7), shot.plates.path(1003))


def moved_face(shot: Shot) -> None:
    face = shot.faces[1003]
    shot.faces[1003] = replace(face, landmarks=face.landmarks + 0.25)


def lost_face(shot: Shot) -> None:
    del shot.faces[1005]


def one_knob(shot: Shot) -> None:
    shot.given["knobs"] = lambda frame: Knobs.from_flat({**FLAT, "mix": 0.5 if frame > 1003 else 1})


def other_model(shot: Shot) -> None:
    shot.given["likeness"] = Painter()
    shot.given["likeness"].sha256 = "another"


def other_marks(shot: Shot) -> None:
    shot.given["marks"] = lambda frame, knobs, plate: {"semblance:release": "SR-2"}


@pytest.mark.parametrize(
    ("change", "again"),
    [
        (other_plate, (1003,)),
        (moved_face, FRAMES),  # smoothing spreads it
        (lost_face, FRAMES),
        (one_knob, (1004, 1005)),
        (other_model, FRAMES),
        (other_marks, FRAMES),
        (lambda shot: shot.given.update(slate="NOT RELEASED"), FRAMES),
        (lambda shot: shot.given.update(with_layers=True), FRAMES),
    ],
)
def test_what_is_made_of_something_else_is_made_again(
    made: Shot, change: Callable[[Shot], Any], again: tuple[int, ...]
) -> None:
    change(made)
    assert made.made_again() == again
    assert made.made_again() == ()


def test_mattes_and_a_neighbours_plate_count(made: Shot, tmp_path: Path) -> None:
    made.roto(tmp_path, 1.0)
    assert made.made_again() == FRAMES
    made.roto(tmp_path, 0.5)
    assert made.made_again() == FRAMES
    made.given["knobs"] = made.knobs(colour_match="mean")
    made.made_again()
    write_plate(a_plate(seed=8), made.plates.path(1005))
    assert made.made_again() == (1003, 1004, 1005)


def test_a_drawn_shape_counts_on_the_frames_where_it_differs(made: Shot, tmp_path: Path) -> None:
    file = tmp_path / "roto.json"

    def draw(last: float) -> None:
        keys = {
            frame: ShapeKey((Point(40.0, 30.0), Point(80.0, 30.0), Point(x, 60.0)))
            for frame, x in ((1001, 60.0), (1003, last))
        }
        save_shapes(Shapes((120, 90), (Shape("one", keys),)), file)

    draw(60.0)
    made.given["knobs"] = made.knobs(roto_file=str(file))
    made.made_again()
    draw(70.0)
    assert made.made_again() == (1002, 1003, 1004, 1005)


def test_every_frame_says_what_it_was_made_of(made: Shot) -> None:
    held = read_header(made.output.path(1002)).parts[0].attributes
    plate = hashlib.sha256(made.plates.path(1002).read_bytes()).hexdigest()
    assert str(held[PLATE_HASH]) == plate
    assert len(str(held[INPUTS])) == 64
    assert is_whole(made.output.path(1002))


# --- one output, two renders -----------------------------------------------------------------


def test_the_same_frames_are_claimed_once_and_others_are_free(made: Shot) -> None:
    folder = made.output.folder
    with claim(made.output, (1001, 1002, 1003)):
        with pytest.raises(
            OutputError, match=rf"frames 1001-1003 of .*process {os.getpid()}, since"
        ):
            made.render()
        with claim(made.output, (1004,)), claim(Sequence.parse(folder / "x.####.exr"), (1001,)):
            pass
    made.render()
    assert not list(folder.glob(".*"))


def test_a_dead_owners_claim_blocks_nobody(made: Shot) -> None:
    code = f"""
        import sys
        from semblance.exr import Sequence, claim
        with claim(Sequence.parse({str(made.output)!r}), (1001, 1002)):
            print("held", flush=True)
            sys.stdin.read()
    """
    owner = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(code)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert owner.stdout is not None
    assert owner.stdin is not None
    assert owner.stdout.readline() == "held\n"
    with pytest.raises(OutputError, match=f"process {owner.pid}"):
        made.render()
    owner.send_signal(signal.SIGKILL)
    owner.wait()
    owner.stdin.close()
    owner.stdout.close()
    assert list(made.output.folder.glob(".semblance-claim*"))
    made.render()
    assert not list(made.output.folder.glob(".*"))
