"""Whatever an artist does to a node that works by frames, no old frame passes for a new one."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from helpers_nuke_images import RenderingNuke, installed
from helpers_nuke_shot import is_current, semblance, shot
from semblance import colour, pipeline
from semblance.exr import read_plate
from semblance.knobs import Knobs, declared
from semblance.model import Likeness
from semblance.track.file import load_track
from semblance.track.smooth import smooth
from semblance_nuke import callbacks, node
from semblance_nuke.host import NukeHost

if sys.platform == "win32":
    pytest.skip("Unix sockets", allow_module_level=True)

EXAMPLES, EDITS = 10, 20
"""Their product is 200."""

Right = Callable[[dict[str, Any], int, float], np.ndarray]

KNOBS = st.one_of(
    st.tuples(st.just("mask_grow"), st.sampled_from([0.0, -6.0])),
    st.tuples(st.just("mask_gamma"), st.sampled_from([1.0, 2.0])),
    st.tuples(st.just("mix"), st.sampled_from([0.0, 0.5, 1.0])),
    st.tuples(st.just("identity_strength"), st.sampled_from([0.0, 1.0])),
    st.tuples(st.just("mask_jaw"), st.booleans()),
    st.tuples(st.just("view"), st.sampled_from(["result", "matte"])),
)
EDIT = st.one_of(
    st.tuples(st.just("knob"), KNOBS),
    st.tuples(st.just("knob"), KNOBS),
    st.tuples(st.just("frame"), st.sampled_from([1001, 1002, 1003])),
    st.tuples(st.just("above"), st.sampled_from([1.0, 1.25])),
    st.tuples(st.just("engine"), st.sampled_from(["auto", "live", "frames", "frames"])),
    st.tuples(st.just("undo"), st.just(0)),
    st.tuples(st.just("wait"), st.integers(1, 20)),
    st.tuples(st.just("made"), st.just(0)),
)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    with shot(tmp_path_factory.mktemp("edits")) as folder:
        yield folder


@pytest.fixture(scope="module")
def right(place: Path) -> Iterator[Right]:
    """The right picture for knobs, frame and grade, by the pipeline itself."""
    track = load_track(place / "track.json")
    stops = colour.auto_stops([0.12] * len(track.faces))
    known: dict[Any, np.ndarray] = {}
    with Likeness.open(place / "likeness.onnx", threads=1) as likeness:

        def picture(values: dict[str, Any], frame: int, multiply: float) -> np.ndarray:
            key = (*values.values(), frame, multiply)
            if key not in known:
                plate = read_plate(place / f"plate.{frame}.exr")
                graded = {
                    name: each.astype(np.float32) * np.float32(multiply if name in "RGB" else 1.0)
                    for name, each in plate.channels.items()
                }
                knobs = Knobs.from_flat(values)
                face = smooth(track, knobs.track.smoothing).faces[frame]
                whole = replace(plate, channels=graded)
                made = pipeline.render(whole, face, likeness, knobs, stops=stops, frame=frame)
                known[key] = made.plate.picture()
            return known[key]

        yield picture


class Artist:
    """Who edits, and looks after each edit."""

    def __init__(self, nuke: RenderingNuke, place: Path, right: Right) -> None:
        self.nuke, self.right, self.past = nuke, right, list[Any]()
        self.grade = nuke.plain("Grade")
        self.grade.setInput(0, nuke.read(f"{place}/plate.%04d.exr", 1001, 1010))
        self.group = semblance(nuke, place, self.grade)
        self.group["engine"].setValue("frames")
        nuke.settle()

    def does(self, what: str, value: Any) -> None:
        nuke, group = self.nuke, self.group
        if what in ("knob", "above", "engine"):
            self.past.append(nuke.state())
        if what == "knob":
            node.engine(group)[value[0]].setValue(value[1])
            self.looks()  # at once: a knob's own callback marks the frame
        elif what == "above":
            self.grade["multiply"].setValue(value)
        elif what == "engine":
            group["engine"].setValue(value)
        elif what == "frame":
            nuke.frame(value)
        elif what == "undo" and self.past:
            nuke.restore(self.past.pop())
        elif what == "wait":
            for _ in range(value):
                nuke.turn()
                self.looks(whole=False)
        elif what == "made":
            nuke.settle(lambda: self.is_live() or is_current(group))
        nuke.settle()
        self.looks()

    def is_live(self) -> bool:
        return node.engine(self.group).Class() != "NoOp"

    def looks(self, *, whole: bool = True) -> None:
        shown = self.nuke.shown(self.group)
        assert shown.live == self.is_live()
        if shown.live or self.group["engine_status"].value().startswith("live"):
            return
        if not is_current(self.group):
            assert shown.slated or not whole
            return
        assert not shown.slated
        inner = node.engine(self.group)
        frame = self.nuke.frame()
        values = {each.name: node.read_knob(inner, each, frame) for each in declared()}
        wanted = self.right(values, frame, float(self.grade["multiply"].value()))
        assert (shown.rgb() == wanted).all()


@settings(
    max_examples=EXAMPLES,
    phases=(Phase.explicit, Phase.generate),
    suppress_health_check=list(HealthCheck),
)
@given(edits=st.lists(EDIT, min_size=EDITS, max_size=EDITS))
def test_what_is_shown_is_right_or_marked(place: Path, right: Right, edits: list[Any]) -> None:
    with installed(RenderingNuke(has_engine=True)) as nuke:
        nuke.frame(1001)
        callbacks.start(NukeHost())
        artist = Artist(nuke, place, right)
        for what, value in edits:
            artist.does(what, value)
        artist.does("made", 0)
