"""The engine that works by frames: a real worker, real EXR files, a Nuke of the tests' own."""

from __future__ import annotations

import json
import shutil
import signal
import sys
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from conftest import a_plate
from helpers_nuke import ENGINE, FakeGroup, FakeNode
from helpers_nuke_images import PROXY, RenderingNuke, installed
from helpers_nuke_shot import FRAMES, VALUES, is_current, kill, moved, semblance, shot
from semblance.cli import main
from semblance.exr import read_header, read_plate, write_plate
from semblance.face import Track
from semblance.plate import Plate, Window
from semblance.track.file import save_track

if sys.platform == "win32":
    pytest.skip("Unix sockets", allow_module_level=True)

import semblance_nuke
from semblance.worker.client import Link
from semblance_nuke import callbacks, frames, node, updating
from semblance_nuke.frame_cache import Shown
from semblance_nuke.host import NukeHost
from semblance_nuke.panel import Sync
from semblance_panel.model import Model

# ------------------------------------------------------------------------------------ the shot


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    with shot(tmp_path_factory.mktemp("frames")) as folder:
        yield folder


@pytest.fixture
def cache(place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache folder of this test's own."""
    monkeypatch.setenv("SEMBLANCE_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def nuke(place: Path, cache: Path) -> Iterator[RenderingNuke]:
    with installed(RenderingNuke()) as made:
        made._frame = 1001
        callbacks.start(NukeHost())
        yield made


@pytest.fixture
def terminal(place: Path, cache: Path) -> Iterator[RenderingNuke]:
    with installed(RenderingNuke(gui=False)) as made:
        made._frame = 1001
        callbacks.start(NukeHost())
        yield made


def write(nuke: RenderingNuke, above: FakeNode, file: Path, views: str = "") -> FakeNode:
    made = nuke.plain("Write")
    made["file_type"].setValue("exr")
    made["datatype"].setValue("16 bit half")
    made["channels"].setValue("all")
    made["file"].setValue(str(file))
    made.setInput(0, above)
    return made


def current(nuke: RenderingNuke, group: FakeGroup) -> None:
    nuke.settle(lambda: is_current(group))


def applied(place: Path, folder: Path, knobs: dict[str, Any] = {}, plate: str = "plate") -> Path:  # noqa: B006
    """The same by `semblance apply`."""
    own = {"model": f"{place}/likeness.onnx", "track_file": f"{place}/track.json"}
    values = {**own, **VALUES, **knobs}
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "preset.json").write_text(json.dumps(values))
    words = ["-o", f"{folder}/applied.####.exr", "--preset", f"{folder}/preset.json"]
    assert main(["apply", f"{place}/{plate}.####.exr", *words]) == 0
    return folder


def applied_once(place: Path) -> None:
    """`semblance apply` at the node's knobs, for the tests that need no others."""
    if not (place / "once").exists():
        applied(place, place / "once")


def same(one: Plate, other: Plate, names: str = "RGB") -> bool:
    return one.data_window == other.data_window and all(
        one.channels[name].tobytes() == other.channels[name].tobytes() for name in names
    )


# ------------------------------------------------------------------------------- frame by frame


def test_ten_frames_have_the_bits_of_apply(terminal, place, tmp_path) -> None:
    """Through a Write, as on a farm; only stock nodes are in the group, and every channel stays."""
    group = semblance(terminal, place)
    inner = node.engine(group)
    inner["mask_feather"].setAnimated()
    for frame, value in ((1001, 4.0), (1010, 13.0)):
        inner["mask_feather"].setValueAt(value, frame)
    assert {each.Class() for each in group.nodes()} == {
        "NoOp", "Input", "Output", "Write", "Read", "Copy", "Expression", "Remove", "Switch",
        "Text2",
    }  # fmt: skip
    last = write(terminal, group, tmp_path / "out.%04d.exr")
    terminal.execute(last, 1001, 1010)
    applied(place, tmp_path, {"mask_feather": {"1001": 4.0, "1010": 13.0}})
    changed = 0
    for frame in FRAMES:
        mine = read_plate(tmp_path / f"out.{frame}.exr")
        theirs = read_plate(tmp_path / f"applied.{frame}.exr")
        plate = read_plate(place / f"plate.{frame}.exr")
        assert same(mine, theirs)
        assert mine.display_window == plate.display_window
        assert set(mine.channels) == set(plate.channels)
        changed += not same(mine, plate)
    assert changed == 10
    rendered = [line for line in terminal.log if "WRITE_SOURCE" in line]
    assert len(rendered) == 10
    terminal.execute(last, 1001, 1010)
    assert len([line for line in terminal.log if "WRITE_SOURCE" in line]) == 10  # all were cached


def test_a_mask_knob_writes_no_plate_again_and_undo_finds_the_frame_it_left(
    nuke, place, cache
) -> None:
    group = semblance(nuke, place)
    current(nuke, group)
    first = nuke.shown(group).rgb()
    before = nuke.state()
    node.engine(group)["mask_grow"].setValue(-6.0)
    assert not is_current(group)  # at once, before anything is rendered
    assert nuke.shown(group).slated
    current(nuke, group)
    assert (nuke.shown(group).rgb() != first).any()
    assert len([line for line in nuke.log if "WRITE_SOURCE" in line]) == 1
    made = sorted(each.name for each in cache.glob("frames/??/*.exr"))
    nuke.restore(before)
    current(nuke, group)
    assert (nuke.shown(group).rgb() == first).all()
    assert sorted(each.name for each in cache.glob("frames/??/*.exr")) == made


def test_results_carry_the_marks_and_plates_are_halfs_only_where_nothing_is_lost(
    nuke, place, cache
) -> None:
    group = semblance(nuke, place)
    current(nuke, group)
    kinds = _kinds(cache)
    assert kinds == [{"half"}] * 2
    marked = [
        path for path in cache.glob("frames/??/*.exr")
        if any("semblance:model" in each for each in read_header(path).parts[0].attributes)
    ]  # fmt: skip
    assert len(marked) == 1
    grade = nuke.plain("Grade")
    grade["multiply"].setValue(1.1)
    grade.setInput(0, group.input(0))
    group.setInput(0, grade)
    current(nuke, group)
    assert {"float"} in _kinds(cache)


def _kinds(cache: Path) -> list[set[str]]:
    paths = cache.glob("frames/??/*.exr")
    return [{each.kind for each in read_header(path).parts[0].channels} for path in paths]


# ------------------------------------------------------------------------------- interactive use


def test_a_frame_that_was_never_made_is_the_plate_with_a_slate(nuke, place) -> None:
    group = semblance(nuke, place)
    group["update_live"].setValue(False)
    nuke.settle()
    assert not is_current(group)
    assert "not rendered" in group["frame_status"].value()
    shown = nuke.shown(group)
    assert shown.slated
    group["slate_stale"].setValue(False)
    nuke.settle()
    assert not nuke.shown(group).slated
    assert not is_current(group)  # the mark on the node stays
    semblance_nuke.update_frame(group)
    current(nuke, group)


def test_the_newest_wish_counts_and_nobody_waits_for_a_worker_that_hangs(nuke, place) -> None:
    group = semblance(nuke, place)
    current(nuke, group)
    inner = node.engine(group)
    kill(place, signal.SIGSTOP)
    try:
        for step in range(4):
            inner["mask_feather"].setValue(2.0 + step)
            nuke.settle(lambda: "being rendered" in group["frame_status"].value())
        nuke.settle()
        assert not is_current(group)
    finally:
        kill(place, signal.SIGCONT)
    current(nuke, group)
    shown = nuke.shown(group).rgb()
    inner["mask_feather"].setValue(9.0)
    current(nuke, group)
    assert (nuke.shown(group).rgb() != shown).any()
    inner["mask_feather"].setValue(5.0)
    current(nuke, group)
    assert (nuke.shown(group).rgb() == shown).all()


def test_a_range_is_made_with_progress_and_can_be_cancelled(nuke, place, monkeypatch) -> None:
    group = semblance(nuke, place)
    group["update_live"].setValue(False)
    nuke.answer = "1003-1008"
    semblance_nuke.update_range(group)
    nuke.settle(lambda: bool(nuke.bars) and nuke.bars[0].percents[-1] >= 80)
    nuke.settle(lambda: nuke.frame() == 1001)
    for frame in (1003, 1005, 1008):
        nuke.frame(frame)
        nuke.settle()
        assert is_current(group)
    nuke.frame(1009)
    nuke.settle()
    assert not is_current(group)
    node.engine(group)["mask_gamma"].setValue(2.0)
    semblance_nuke.update_range(group)
    nuke.bars[1].stop = True
    nuke.settle(lambda: threading.active_count() and nuke.frame() == 1009)
    nuke.frame(1008)
    nuke.settle()
    assert not is_current(group)
    assert nuke.told == []
    nuke.answer = "ten"
    semblance_nuke.update_range(group)
    assert "no range" in nuke.told[0]


def test_a_range_without_a_screen_clear_and_reveal(terminal, place, cache) -> None:
    group = semblance(terminal, place)
    semblance_nuke.update_range(group, 1002, 1003)
    assert terminal.frame() == 1001
    assert len(list(cache.glob("frames/??/*.exr"))) == 4
    terminal.frame(1003)
    semblance_nuke.update_frame(group)
    assert is_current(group)
    assert len(terminal.log) == 2
    semblance_nuke.reveal_cache(group)
    assert terminal.told == [str(cache)]
    semblance_nuke.clear_cache(group)
    assert not list(cache.glob("frames/??/*.exr"))
    assert not is_current(group)
    semblance_nuke.update_frame(terminal.plain("Blur"))
    assert "no Semblance node" in terminal.told[-1]


def test_the_panel_follows_whichever_engine(nuke, place) -> None:
    group, model = semblance(nuke, place), Model()
    sync = Sync(NukeHost(), group, model)
    node.engine(group)["mask_grow"].setValue(2.0)
    assert model.value("mask_grow") == 2.0
    nuke.has_engine = True
    group["engine"].setValue("live")
    nuke.settle(lambda: node.engine(group).Class() == ENGINE)
    sync.refresh()
    node.engine(group)["mask_grow"].setValue(3.0)
    assert model.value("mask_grow") == 3.0
    model.set("mask_grow", 4.0)
    assert node.engine(group)["mask_grow"].value() == 4.0
    sync.close()


def test_a_cache_folder_that_cant_be_used_is_said(nuke, place, tmp_path) -> None:
    (tmp_path / "file").write_text("no folder")
    group = semblance(nuke, place)
    group["cache_folder"].setValue(str(tmp_path / "file"))
    nuke.settle(lambda: "can't be used" in group["frame_status"].value())
    assert not is_current(group)


def test_an_error_of_the_worker_stands_on_the_node(nuke, place) -> None:
    group = semblance(nuke, place)
    node.engine(group)["model"].setValue(f"{place}/nothing.onnx")
    nuke.settle(lambda: "nothing.onnx" in group["frame_status"].value())
    assert not is_current(group)
    node.engine(group)["model"].setValue(f"{place}/likeness.onnx")
    current(nuke, group)


# ------------------------------------------------------------------------------- renders


def test_a_frame_that_cant_be_made_ends_the_render_with_the_workers_words(
    terminal, place, tmp_path
) -> None:
    group = semblance(terminal, place)
    node.engine(group)["track_file"].setValue(f"{place}/nothing.json")
    last = write(terminal, group, tmp_path / "out.%04d.exr")
    with pytest.raises(RuntimeError, match=r"Semblance\d+, frame 1001: .*nothing\.json"):
        terminal.execute(last, 1001, 1003)
    assert not list(tmp_path.glob("out.*"))
    with pytest.raises(RuntimeError):  # and were the callback not heard, there is nothing to read
        terminal.shown(group)


def test_a_render_never_takes_an_old_frame_for_the_new_one(nuke, place, tmp_path) -> None:
    """A frame that a time offset below asks for, which no callback made."""
    group = semblance(nuke, place)
    nuke.answer = "1001-1004"
    current(nuke, group)
    semblance_nuke.update_range(group)
    nuke.settle(lambda: bool(nuke.bars) and nuke.bars[0].percents[-1] >= 75)
    group["update_live"].setValue(False)
    nuke.settle()
    node.engine(group)["mask_gamma"].setValue(3.0)
    offset = nuke.plain("TimeOffset")
    offset["time_offset"].setValue(-2.0)
    offset.setInput(0, group)
    last = write(nuke, offset, tmp_path / "out.%04d.exr")
    with pytest.raises(RuntimeError, match="No such file"):
        nuke.execute(last, 1001, 1001)
    nuke.settle()
    assert not group["frames_strict"].value()


def test_where_nuke_renders_nothing_inside_a_render_it_says_so_and_render_helps(
    terminal, place, tmp_path
) -> None:
    terminal.nests = False
    group = semblance(terminal, place)
    last = write(terminal, group, tmp_path / "out.%04d.exr")
    with pytest.raises(RuntimeError, match="executing something else"):
        terminal.execute(last, 1001, 1002)
    semblance_nuke.render(last, 1001, 1003)
    applied_once(place)
    for frame in (1001, 1003):
        mine = read_plate(tmp_path / f"out.{frame}.exr")
        assert same(mine, read_plate(place / "once" / f"applied.{frame}.exr"))


def test_the_renders_callback_is_gone_with_the_last_node(nuke, place) -> None:
    names = lambda: {event for event, _, _ in nuke.events}  # noqa: E731
    assert "BeforeFrameRender" not in names()
    one, other = semblance(nuke, place), semblance(nuke, place)
    nuke.settle()
    assert "BeforeFrameRender" in names()
    nuke.delete(one)
    nuke.settle()
    assert "BeforeFrameRender" in names()
    nuke.delete(other)
    nuke.settle()
    assert names() == {"OnCreate", "OnScriptLoad", "UpdateUI"}


# ------------------------------------------------------------------------------- the worker dies


STEPS = {
    "while the plate is written": (RenderingNuke, "_write"),
    "when it is asked": (Link, "_send"),
    "while it renders": (Link, "_ask"),
    "when the frame is there": (Shown, "show"),
}


def killing(place: Path, monkeypatch: pytest.MonkeyPatch, step: str) -> list[str]:
    """Kill the worker once, in a step of the way of a frame."""
    owner, name = STEPS[step]
    real, killed = getattr(owner, name), list[str]()

    def call(self, *given, **named):
        asked = name not in ("_send", "_ask") or type(given[0]).__name__ == "File"
        if asked and not killed:
            killed.append(step)
            delay = 0.02 if step == "while it renders" else 0.0
            if delay:
                threading.Timer(delay, kill, (place,)).start()
            else:
                kill(place)
        return real(self, *given, **named)

    monkeypatch.setattr(owner, name, call)
    return killed


@pytest.mark.parametrize("step", STEPS)
def test_the_frame_arrives_though_the_worker_is_killed(
    terminal, place, tmp_path, monkeypatch, step
) -> None:
    group = semblance(terminal, place)
    last = write(terminal, group, tmp_path / "out.%04d.exr")
    terminal.execute(last, 1001, 1001)
    killed = killing(place, monkeypatch, step)
    terminal.execute(last, 1002, 1002)
    assert killed
    monkeypatch.undo()
    applied_once(place)
    mine = read_plate(tmp_path / "out.1002.exr")
    assert same(mine, read_plate(place / "once" / "applied.1002.exr"))


def test_the_artists_frame_arrives_though_the_worker_is_killed(nuke, place, monkeypatch) -> None:
    group = semblance(nuke, place)
    current(nuke, group)
    killed = killing(place, monkeypatch, "when it is asked")
    node.engine(group)["mask_gamma"].setValue(1.5)
    current(nuke, group)
    assert killed


def test_a_worker_that_always_dies_ends_the_render_with_the_reason(
    terminal, place, tmp_path, monkeypatch
) -> None:
    group = semblance(terminal, place)
    last = write(terminal, group, tmp_path / "out.%04d.exr")
    terminal.execute(last, 1001, 1001)
    updating._at_once.close()
    kill(place)
    dead = tmp_path / "dead"
    dead.write_text("#!/bin/sh\nexit 3\n")
    dead.chmod(0o755)
    monkeypatch.setenv("SEMBLANCE_WORKER", str(dead))
    with pytest.raises(RuntimeError, match=r"frame 1002: .*exit code 3"):
        terminal.execute(last, 1002, 1002)
    assert not (tmp_path / "out.1002.exr").exists()


# ------------------------------------------------------------------------------- Nuke's world


def test_proxies_are_rendered_at_their_size_and_kept_apart(nuke, place) -> None:
    group = semblance(nuke, place)
    current(nuke, group)
    full = nuke.shown(group)
    nuke.root()["proxy"].setValue(True)
    nuke.settle(lambda: is_current(group) and nuke.shown(group).display.width == 120 // PROXY)
    small = nuke.shown(group)
    plate = nuke.shown(group.input(0))
    assert (small.rgb() != plate.rgb()).any()
    assert small.window == plate.window
    nuke.root()["proxy"].setValue(False)
    current(nuke, group)
    assert (nuke.shown(group).rgb() == full.rgb()).all()


def test_pixel_aspect_and_format_reach_the_worker(terminal, place, tmp_path) -> None:
    window = Window(0, 0, 60, 90)
    plate = a_plate()
    held = {name: np.ascontiguousarray(plate.channels[name][:, ::2]) for name in "RGB"}
    squeezed = Plate(held, window, window, pixel_aspect=2.0)
    write_plate(squeezed, tmp_path / "wide.1001.exr")
    face = moved(1001)
    face = replace(face, landmarks=face.landmarks * (0.5, 1.0))
    save_track(Track({1001: face}, (60, 90), 2.0, (1001,)), tmp_path / "wide.json")
    group = semblance(terminal, place, terminal.read(f"{tmp_path}/wide.%04d.exr", 1001, 1001))
    node.engine(group)["track_file"].setValue(f"{tmp_path}/wide.json")
    terminal.execute(write(terminal, group, tmp_path / "out.%04d.exr"), 1001, 1001)
    shutil.copy(tmp_path / "wide.1001.exr", place / "wide.1001.exr")
    applied(place, tmp_path, {"track_file": f"{tmp_path}/wide.json"}, "wide")
    assert same(read_plate(tmp_path / "out.1001.exr"), read_plate(tmp_path / "applied.1001.exr"))


def test_each_view_has_its_own_frames(nuke, place) -> None:
    nuke.view_names = ["left", "right"]
    join = nuke.plain("JoinViews")
    for number, name in enumerate(("plate", "right")):
        join.setInput(number, nuke.read(f"{place}/{name}.%04d.exr", 1001, 1010))
    group = semblance(nuke, place, join)
    current(nuke, group)
    left, right = (nuke.shown(group, view).rgb() for view in nuke.view_names)
    assert (left != nuke.shown(join, "left").rgb()).any()
    assert (right != nuke.shown(join, "right").rgb()).any()
    assert (left != right).any()


def test_retimes_above_are_rendered_and_an_edit_above_is_seen(nuke, place) -> None:
    offset = nuke.plain("TimeOffset")
    offset.setInput(0, nuke.read(f"{place}/plate.%04d.exr", 1001, 1010))
    offset["time_offset"].setValue(-3.0)
    group = semblance(nuke, place, offset)
    current(nuke, group)
    outside = nuke.shown(group).rgb()[:5, :5]
    plate = read_plate(place / "plate.1004.exr").picture()[:5, :5]
    assert (outside == plate).all()
    offset["time_offset"].setValue(-5.0)
    nuke.settle(lambda: len(nuke.log) == 2)
    current(nuke, group)
    outside = nuke.shown(group).rgb()[:5, :5]
    assert (outside == read_plate(place / "plate.1006.exr").picture()[:5, :5]).all()


def test_a_roto_counts_while_it_is_used(nuke, place) -> None:
    group = semblance(nuke, place)
    current(nuke, group)
    plain = nuke.shown(group).rgb()
    roto = nuke.plain("Roto")
    roto.setInput(0, group.input(0))
    nuke.connect(group, 1, roto)
    node.engine(group)["roto_mode"].setValue("replace")
    nuke.settle(lambda: any("WRITE_ROTO" in line for line in nuke.log))
    current(nuke, group)
    assert (nuke.shown(group).rgb() != plain).any()


def test_a_copy_a_clone_a_rename_and_two_nodes_in_a_row(nuke, place, tmp_path) -> None:
    one = semblance(nuke, place)
    current(nuke, one)
    shown = nuke.shown(one).rgb()
    two = semblance(nuke, place, one)
    node.engine(two)["mask_grow"].setValue(-8.0)
    current(nuke, two)
    assert is_current(one)
    node.engine(one)["mask_gamma"].setValue(2.5)
    nuke.settle(lambda: is_current(one) and is_current(two))
    assert (nuke.shown(one).rgb() != shown).any()
    one.setName("Kestrel")
    current(nuke, one)
    assert "Kestrel" in one.node("RESULT")["file"].value()
    two._clones = 1
    nuke.dirty = True
    nuke.settle(lambda: "clone" in two["frame_status"].value())
    assert not is_current(two)
    two._clones = 0
    last = write(nuke, two, tmp_path / "out.%04d.exr")
    nuke.execute(last, 1003, 1004)
    assert len(list(tmp_path.glob("out.*"))) == 2


def test_a_saved_script_opens_again_with_its_frames_from_the_cache(nuke, place, tmp_path) -> None:
    group = semblance(nuke, place)
    group["cache_folder"].setValue("frames")
    nuke.root()["name"].setValue(str(tmp_path / "shot.nk"))
    current(nuke, group)
    assert group.node("RESULT")["file"].value().startswith("[file dirname [value root.name]]/")
    shown, written = nuke.shown(group).rgb(), len(nuke.log)
    frames.forget()  # another process
    shutil.rmtree(tmp_path / "frames" / "shown")
    nuke.happen("OnScriptLoad", nuke.root())
    current(nuke, group)
    assert (nuke.shown(group).rgb() == shown).all()
    assert len(nuke.log) == written


# ------------------------------------------------------------------------------- the engine


def test_auto_takes_the_live_node_where_there_is_one_and_says_why(nuke, place) -> None:
    group = semblance(nuke, place)
    assert group["engine_status"].value().startswith("frames: this Nuke knows no OpenFX node")
    nuke.has_engine = True
    inner = node.engine(group)
    inner["mix"].setAnimated()
    inner["mix"].setValueAt(0.25, 1001)
    inner["mix"].setValueAt(0.75, 1010)
    inner["exposure"].setExpression("sin(frame)")
    assert not is_current(group)
    group["engine"].setValue("live")
    nuke.settle(lambda: node.engine(group).Class() == ENGINE)
    assert group["engine_status"].value().startswith("live: ")
    assert is_current(group)
    live = node.engine(group)
    assert live["mix"].getKeyList() == [1001, 1010]
    assert live["exposure"].hasExpression()
    assert live["model"].value() == f"{place}/likeness.onnx"
    assert group["mask_feather"].value() == live["mask_feather"].value()
    assert {each.name() for each in group.nodes()} == {"ENGINE", "Source", "Roto", "Output1"}
    assert nuke.shown(group).live
    group["engine"].setValue("frames")
    nuke.settle(lambda: node.engine(group).Class() == "NoOp")
    assert node.engine(group)["mix"].getKeyList() == [1001, 1010]
    assert group["engine_status"].value() == "frames: it was chosen"


def test_an_openfx_node_of_another_version_is_not_taken(nuke, place, monkeypatch) -> None:
    nuke.has_engine = True
    real = RenderingNuke.ofx

    def older(self):
        made = real(self)
        del made._knobs["mask_gamma"]
        return made

    monkeypatch.setattr(RenderingNuke, "ofx", older)
    group = semblance_nuke.create()
    assert "no knob mask_gamma" in group["engine_status"].value()
    assert node.engine(group).Class() == "NoOp"


def test_a_live_script_opens_where_no_openfx_node_loads_with_every_value(nuke, place) -> None:
    group = nuke.semblance("Group", FakeGroup)  # as the script's own text made it, by the stand-in
    inner = node.engine(group)
    assert inner["semblance_stand_in"].value()
    group.setInput(0, nuke.read(f"{place}/plate.%04d.exr", 1001, 1010))
    with pytest.raises(RuntimeError, match="not loaded"):  # where no Python of ours settles it
        nuke.shown(group)
    inner["mask_feather"].setValue(3.5)
    inner["model"].setValue(f"{place}/likeness.onnx")
    nuke.happen("OnScriptLoad", nuke.root())
    assert node.engine(group).Class() == "NoOp"
    assert node.engine(group)["mask_feather"].value() == 3.5
    assert group["mask_feather"].value() == 3.5


def test_a_chosen_live_engine_that_is_not_here_ends_the_render(terminal, place, tmp_path) -> None:
    group = semblance(terminal, place)
    group["engine"].setValue("live")
    semblance_nuke.settle(group)
    assert group["engine_status"].value().startswith("none: live was chosen")
    assert group["label"].value() == "no engine"
    last = write(terminal, group, tmp_path / "out.%04d.exr")
    with pytest.raises(RuntimeError, match="none: live was chosen"):
        terminal.execute(last, 1001, 1001)
