"""The Nuke side, in a Nuke of the tests' own: what buttons, callbacks and the panel's place do."""

from __future__ import annotations

import ast
import json
import os
import runpy
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from helpers_nuke import ENGINE, ROOT, SPACES, FakeGroup, FakeNuke, WrongThread
from semblance.exr import read_header
from semblance.knobs import declared
from semblance.preset import animate
from semblance.track.file import load_track

sys.path.insert(0, str(ROOT / "plugin"))
from semblance_nuke import node
from semblance_nuke.host import NukeHost
from semblance_nuke.panel import PanelKnob, Sync
from semblance_panel.model import Model

PACKAGE = ROOT / "plugin" / "semblance_nuke"
EXAMPLES = ROOT / "examples"
KNOBS = {each.name: each for each in declared()}


@pytest.fixture
def nuke(monkeypatch: pytest.MonkeyPatch) -> FakeNuke:
    made = FakeNuke()
    monkeypatch.setitem(sys.modules, "nuke", made)
    return made


@pytest.fixture
def host(nuke: FakeNuke) -> NukeHost:
    return NukeHost()


@pytest.fixture
def group(nuke: FakeNuke) -> FakeGroup:
    return nuke.semblance("Group", FakeGroup)


@pytest.fixture
def program(monkeypatch: pytest.MonkeyPatch) -> Path:
    """The real program, as `$SEMBLANCE_WORKER` names it."""
    path = Path(sys.executable).parent / "semblance"
    if not path.exists():
        pytest.skip("the program semblance is not installed beside this Python")
    monkeypatch.setenv("SEMBLANCE_WORKER", str(path))
    return path


def scripted(folder: Path, monkeypatch: pytest.MonkeyPatch, code: str) -> Path:
    """A program of the test's own in place of `semblance`."""
    path = folder / "program"
    path.write_text(f"#!{sys.executable}\n{textwrap.dedent(code)}")
    path.chmod(0o755)
    monkeypatch.setenv("SEMBLANCE_WORKER", str(path))
    return path


# --- start-up --------------------------------------------------------------------------------


@pytest.mark.parametrize("path", sorted(PACKAGE.glob("*.py")), ids=lambda path: path.name)
def test_every_file_is_python_3_9(path: Path) -> None:
    ast.parse(path.read_text(encoding="utf-8"), feature_version=(3, 9))


def test_the_package_imports_without_nuke_qt_or_anything_third_party() -> None:
    code = """
        import sys
        for name in ("nuke", "PySide6", "PySide2", "numpy", "cv2", "torch", "onnxruntime", "click"):
            sys.modules[name] = None
        import semblance_nuke, semblance_nuke.node, semblance_nuke.panel, semblance_nuke.jobs
        print("well")
    """
    paths = os.pathsep.join([str(ROOT / "core"), str(ROOT / "plugin")])
    ran = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)],
        env={**os.environ, "PYTHONPATH": paths},
        capture_output=True,
        text=True,
    )
    assert ran.stdout == "well\n", ran.stderr


@pytest.mark.parametrize("gui", [True, False])
def test_one_plugin_path_starts_it_with_a_screen_and_without(
    monkeypatch: pytest.MonkeyPatch, gui: bool
) -> None:
    nuke = FakeNuke(gui=gui)
    monkeypatch.setitem(sys.modules, "nuke", nuke)
    monkeypatch.setattr(sys, "path", list(sys.path))
    runpy.run_path(str(PACKAGE / "init.py"))
    assert nuke.paths == [(ROOT / each).as_posix() for each in ("gizmos", "gizmos/stand_in")]
    assert nuke.excluded == [ENGINE]  # or Nuke would give it the gizmo's name
    assert str(ROOT / "plugin") in sys.path
    if gui:
        runpy.run_path(str(PACKAGE / "menu.py"))
        assert len(nuke.commands) == 3
        assert all(path.startswith("Nodes/Semblance/") for path in nuke.commands)
        made = nuke.commands["Nodes/Semblance/Semblance"]()
        assert made.Class() == "Group"


# --- the node --------------------------------------------------------------------------------


def test_a_new_node_is_a_group_that_the_script_holds(nuke: FakeNuke, host: NukeHost) -> None:
    made = node.create(host)
    assert made.Class() == "Group"
    assert not [each for each in nuke.nodes if each.Class() == "Semblance"]
    assert node.engine(made).Class() == ENGINE


def test_where_nuke_knows_no_class_of_ours_creating_says_what_is_missing(nuke: FakeNuke) -> None:
    nuke.has_engine = False
    assert node.create(NukeHost()) is None
    assert "plugin path" in nuke.told[0]


def test_engine_knows_ours_from_other_nodes(nuke: FakeNuke, group: FakeGroup) -> None:
    inner = node.engine(group)
    assert inner is not None
    assert node.engine(inner) is inner
    assert node.engine(nuke.plain("Blur")) is None


def test_writing_keeps_curves_and_expressions(nuke: FakeNuke, group: FakeGroup) -> None:
    inner = node.engine(group)
    for name, value in (("mix", 0.25), ("looks", 3), ("mask_nose", False), ("view", "matte")):
        assert node.write_knob(inner, KNOBS[name], value, 1001)
        assert node.read_knob(inner, KNOBS[name], 1001) == value
    knob = inner["mask_grow"]
    knob.setAnimated()
    knob.setValueAt(0.0, 1001)
    knob.setValueAt(10.0, 1011)
    assert node.write_knob(inner, KNOBS["mask_grow"], 7.0, 1005)
    assert knob.getKeyList() == [1001, 1005, 1011]
    assert node.read_knob(inner, KNOBS["mask_grow"], 1001) == 0.0
    inner["exposure"].setExpression("sin(frame)")
    assert not node.write_knob(inner, KNOBS["exposure"], 1.0, 1001)


def test_a_snapshot_has_the_nodes_values_on_every_frame(group: FakeGroup) -> None:
    inner = node.engine(group)
    inner["mask_feather"].setValue(3.0)
    for name, keys in (
        ("mix", {1001: 0.0, 1006: 1.0, 1012: 0.5}),
        ("mask_jaw", {1001: 1, 1005: 0}),
    ):
        inner[name].setAnimated()
        for frame, value in keys.items():
            inner[name].setValueAt(value, frame)
    frames = range(1001, 1013)
    values = json.loads(json.dumps(node.snapshot(inner, frames)))
    assert set(values) == {"mask_feather", "mix", "mask_jaw"}
    knobs = animate(values)
    for frame in frames:
        flat = knobs(frame).to_flat()
        for name, declaration in KNOBS.items():
            assert flat[name] == node.read_knob(inner, declaration, frame)


def test_paths_are_what_their_tcl_says(nuke: FakeNuke, host: NukeHost, group: FakeGroup) -> None:
    inner = node.engine(group)
    inner["model"].setValue("[getenv SHOW]/june.onnx")
    assert node.snapshot(inner, [1]) == {"model": "/show/june.onnx"}
    group.setInput(0, nuke.read("[getenv SHOW]/plate.%04d.exr"))
    assert node.source(host, group).pattern == "/show/plate.%04d.exr"


def test_a_presets_curve_comes_in_frame_by_frame(group: FakeGroup) -> None:
    inner = node.engine(group)
    curve = {"1001": 0.0, "1004": 0.6, "1006": 0.2}
    assert node.write_curve(inner, KNOBS["mix"], curve)
    at = animate({"mix": curve})
    assert inner["mix"].getKeyList() == list(range(1001, 1007))
    for frame in range(999, 1009):
        assert inner["mix"].getValueAt(frame) == pytest.approx(at(frame).blend.mix)


# --- colour ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("management", "working", "colorspace", "raw", "live", "file"),
    [
        ("Nuke", "linear", SPACES[0], False, "auto", "auto"),
        ("OCIO", "scene_linear", SPACES[0], False, "scene_linear", "auto"),
        ("OCIO", SPACES[1], SPACES[2], False, "ACES - ACEScg", "ARRI LogC3"),
        ("OCIO", SPACES[1], SPACES[2], True, "ARRI LogC3", "ARRI LogC3"),
        ("OCIO", SPACES[1], SPACES[1], False, "ACES - ACEScg", "ACES - ACEScg"),
    ],
)
def test_the_space_is_what_arrives_and_the_files_own_where_files_are_read(
    nuke, host, group, management, working, colorspace, raw, live, file
) -> None:
    nuke.root()["colorManagement"].setValue(management)
    nuke.root()["workingSpaceLUT"].setValue(working)
    read = nuke.read("plate.%04d.exr")
    read["colorspace"].setValue(colorspace)
    read["raw"].setValue(raw)
    group.setInput(0, read)
    node.pick_space(host, group)
    assert node.engine(group)["input_space"].value() == live
    assert node.source(host, group).space == file


def test_connecting_picks_the_space_once_and_other_knobs_cost_nothing(
    nuke: FakeNuke, host: NukeHost, group: FakeGroup
) -> None:
    nuke.root()["colorManagement"].setValue("OCIO")
    nuke.root()["workingSpaceLUT"].setValue("ACEScg")
    nuke.addKnobChanged(lambda: node.changed(host), nodeClass="Group")
    knob = node.engine(group)["input_space"]
    nuke.connect(group, 0, nuke.read("plate.%04d.exr"))
    assert knob.value() == "ACEScg"
    knob.setValue("ACES2065-1")
    nuke.connect(group, 0, nuke.read("other.%04d.exr"))
    assert knob.value() == "ACES2065-1"
    nuke.thisNode = None  # what leaves early never asks for the node
    group["output_folder"].setValue("there")


# --- the shot above --------------------------------------------------------------------------


def test_the_source_is_the_read_above_and_says_what_was_skipped(
    nuke: FakeNuke, host: NukeHost, group: FakeGroup
) -> None:
    read, dot, grade = nuke.read("a\\plate.%04d.exr", 5, 9), nuke.plain("Dot"), nuke.plain("Grade")
    grade.setInput(0, read)
    dot.setInput(0, grade)
    group.setInput(0, dot)
    found = node.source(host, group)
    assert (found.pattern, found.first, found.last) == ("a/plate.%04d.exr", 5, 9)
    assert found.skipped == (grade.name(),)


@pytest.mark.parametrize(
    ("prepare", "said"),
    [
        (lambda nuke, group: None, "no Read above"),
        (lambda nuke, group: group.setInput(0, nuke.read("")), "reads no file"),
        (lambda nuke, group: _renumbered(nuke, group), "renumbers its frames"),
        (lambda nuke, group: group.setInput(0, nuke.read("p.%04d.exr")), "Save the script"),
    ],
)
def test_what_stops_the_long_jobs_is_told_in_one_line(nuke, host, group, prepare, said) -> None:
    prepare(nuke, group)
    for job in (node.analyse, node.bake, node.send_to_farm):
        job(host, group)
        assert said in nuke.told.pop()
    assert not nuke.bars


def _renumbered(nuke: FakeNuke, group: FakeGroup) -> None:
    read = nuke.read("p.%04d.exr")
    read["frame"].setValue("frame+100")
    group.setInput(0, read)


def test_a_wrong_node_and_a_missing_program_are_told(
    nuke, host, group, monkeypatch, tmp_path
) -> None:
    node.analyse(host, nuke.plain("Blur"))
    assert "no Semblance node" in nuke.told.pop()
    monkeypatch.setenv("SEMBLANCE_WORKER", str(tmp_path / "nothing"))
    group["output_folder"].setValue(str(tmp_path))
    group.setInput(0, nuke.read("p.%04d.exr"))
    node.analyse(host, group)
    nuke.pump()
    assert "can't be started" in nuke.told.pop()


# --- the long jobs, for real -----------------------------------------------------------------


def test_analyse_tracks_the_shot_and_sets_the_knob(
    nuke: FakeNuke, host: NukeHost, group: FakeGroup, program: Path, tmp_path: Path
) -> None:
    group["output_folder"].setValue(str(tmp_path / "new"))
    group.setInput(0, nuke.read((EXAMPLES / "plate.%04d.exr").as_posix(), 1001, 1002))
    node.analyse(host, group)
    nuke.pump(60)
    track = tmp_path / "new" / "plate.track.json"
    assert node.engine(group)["track_file"].value() == track.as_posix()
    assert sorted(load_track(track).faces) == [1001, 1002]
    assert nuke.told == []
    assert nuke.steps == ["Semblance: analyse shot"]


@pytest.mark.parametrize("gui", [True, False])
def test_bake_renders_layers_and_reads_them_in(
    monkeypatch: pytest.MonkeyPatch, program: Path, tmp_path: Path, gui: bool
) -> None:
    """With a screen in a thread, without one at once: the same result."""
    nuke = FakeNuke(gui=gui)
    monkeypatch.setitem(sys.modules, "nuke", nuke)
    host, group = NukeHost(), nuke.semblance("Group", FakeGroup)
    inner = node.engine(group)
    read = nuke.read((EXAMPLES / "plate.%04d.exr").as_posix(), 1005, 1005)
    group.setInput(0, read)
    group["output_folder"].setValue(str(tmp_path))
    inner["model"].setValue(str(EXAMPLES / "likeness.onnx"))
    inner["track_file"].setValue(str(EXAMPLES / "track.json"))
    inner["looks"].setValue(1)
    inner["grain_match"].setValue(0.0)
    inner["view"].setValue("matte")  # what is looked at is not what is baked
    node.bake(host, group)
    if gui:
        nuke.pump(60)
        assert nuke.bars[0].text == "Semblance: bake"
    made = nuke.nodes[-1]
    assert made.Class() == "Read"
    assert (made["first"].value(), made["last"].value()) == (1005, 1005)
    header = read_header(Path(made["file"].value() % 1005)).parts[0]
    names = {each.name for each in header.channels}
    assert {"R", "semblance.patch.R", "semblance.matte.A"} <= names
    preset = json.loads((tmp_path / f"plate_{group.name()}" / "preset.json").read_text())
    assert preset["view"] == "result"
    (told,) = nuke.told  # nobody said that this key is trusted
    assert "slate" in told


def test_bake_hands_a_roto_read_over_and_refuses_another(
    nuke, host, group, monkeypatch, tmp_path
) -> None:
    scripted(
        tmp_path, monkeypatch, "import sys; print(sys.argv, file=open(sys.argv[4] + '.a', 'w'))"
    )
    group["output_folder"].setValue(str(tmp_path))
    group.setInput(0, nuke.read("plate.%04d.exr"))
    group.setInput(1, nuke.plain("Roto"))
    node.bake(host, group)
    assert "input Roto" in nuke.told.pop()
    group.setInput(1, nuke.read("roto.%04d.exr"))
    node.bake(host, group)
    nuke.pump()
    (said,) = tmp_path.glob("*/*.a")
    assert "'--roto', 'roto.%04d.exr'" in said.read_text()


def test_send_to_farm_writes_the_nodes_knobs_and_says_how_to_submit(
    nuke, host, group, program, tmp_path
) -> None:
    inner = node.engine(group)
    group["output_folder"].setValue(str(tmp_path))
    group.setInput(0, nuke.read((EXAMPLES / "plate.%04d.exr").as_posix(), 1003, 1006))
    inner["model"].setValue(str(EXAMPLES / "likeness.onnx"))
    node.send_to_farm(host, group)
    assert "Press Analyse shot first" in nuke.told.pop()
    inner["track_file"].setValue(str(EXAMPLES / "track.json"))
    inner["mask_jaw"].setValue(False)
    inner["mix"].setAnimated()
    inner["mix"].setValueAt(0.0, 1003)
    inner["mix"].setValueAt(1.0, 1006)
    node.send_to_farm(host, group)
    nuke.pump(60)
    (told,) = nuke.told
    bundle = tmp_path / f"plate_{group.name()}" / "farm"
    assert told.startswith("4 frames in 1 chunks")
    assert f"deadline bundle submit {bundle.as_posix()}" in told
    values = json.loads((bundle / "openjd_values.json").read_text())
    expected = {"frames": "1003-1006", "mask_jaw": "false", "view": "result"}
    assert {name: values[name] for name in expected} == expected
    assert "mix" not in values
    curve = json.loads((bundle / "curves.json").read_text())["mix"]
    assert [curve[str(frame)] for frame in (1003, 1006)] == [0.0, 1.0]
    assert len(curve) == 4
    template = json.loads((bundle / "template.json").read_text())
    assert "--layers" in template["steps"][0]["script"]["actions"]["onRun"]["args"]


FOREVER = """
    import signal, sys, time
    stop = []
    signal.signal(signal.SIGTERM, lambda *_: stop.append(1))
    for step in range(1, 2000):
        print(f"semblance: tracking {step}/2000  frame {step}", file=sys.stderr, flush=True)
        time.sleep(0.02)
        if stop:
            sys.exit(1)
"""


def test_progress_is_shown_and_cancel_ends_the_program_without_a_word(
    nuke, host, group, monkeypatch, tmp_path
) -> None:
    scripted(tmp_path, monkeypatch, FOREVER)
    group["output_folder"].setValue(str(tmp_path))
    group.setInput(0, nuke.read("plate.%04d.exr"))
    monkeypatch.setattr(FakeNuke, "ProgressTask", _stopping_after_some(nuke))
    node.analyse(host, group)
    nuke.pump()
    assert nuke.bars[0].percents[-1] > 0
    assert nuke.told == []
    assert node.engine(group)["track_file"].value() == ""


def _stopping_after_some(nuke: FakeNuke):
    real = FakeNuke.ProgressTask

    def make(self: FakeNuke, text: str):
        bar = real(self, text)
        bar.isCancelled = lambda: bar.percents[-1] > 0
        return bar

    return make


def test_a_node_that_is_gone_when_the_job_ends_is_no_error(
    nuke, host, group, monkeypatch, tmp_path
) -> None:
    scripted(tmp_path, monkeypatch, "print('{}')")
    group["output_folder"].setValue(str(tmp_path))
    group.setInput(0, nuke.read("plate.%04d.exr"))
    node.analyse(host, group)
    nuke.delete(group)
    nuke.pump()
    assert nuke.told == []


def test_a_failed_job_says_the_programs_own_words(nuke, host, group, monkeypatch, tmp_path) -> None:
    code = "import sys; print('semblance: plate.1003.exr is torn.', file=sys.stderr); sys.exit(1)"
    scripted(tmp_path, monkeypatch, code)
    group["output_folder"].setValue(str(tmp_path))
    group.setInput(0, nuke.read("plate.%04d.exr"))
    node.analyse(host, group)
    nuke.pump()
    assert nuke.told == ["Semblance: analyse shot failed. plate.1003.exr is torn."]


# --- the model -------------------------------------------------------------------------------


def test_update_model_takes_the_newest_version_of_the_same_name(
    nuke: FakeNuke, host: NukeHost, group: FakeGroup, tmp_path: Path
) -> None:
    for name in ("june_v002.onnx", "june_v010.onnx", "other_v011.onnx", "june_v012_wip.onnx"):
        (tmp_path / name).touch()
    knob = node.engine(group)["model"]
    node.update_model(host, group)
    assert "no model is chosen" in nuke.told.pop()
    knob.setValue(str(tmp_path / "june_v002.onnx"))
    node.update_model(host, group)
    assert knob.value() == (tmp_path / "june_v010.onnx").as_posix()
    assert "june_v010.onnx" in nuke.told.pop()
    node.update_model(host, group)
    assert "newest" in nuke.told.pop()


# --- the panel's place -----------------------------------------------------------------------


def test_panel_and_node_follow_each_other(nuke: FakeNuke, host: NukeHost, group: FakeGroup) -> None:
    inner = node.engine(group)
    inner["mix"].setValue(0.5)
    model = Model()
    sync = Sync(host, group, model)
    assert model.value("mix") == 0.5
    inner["mask_grow"].setValue(2.0)
    assert model.value("mask_grow") == 2.0
    model.set("view", "matte")
    model.set("exposure", 1.5)
    assert inner["view"].value() == "matte"
    assert inner["exposure"].value() == 1.5
    model.undo()
    assert inner["exposure"].value() == 0.0
    sync.close()
    assert nuke.callbacks == []
    inner["mix"].setValue(0.25)
    assert model.value("mix") == 0.5


def test_the_panel_shows_a_nodes_curve_and_never_breaks_it(
    nuke: FakeNuke, host: NukeHost, group: FakeGroup
) -> None:
    inner, model = node.engine(group), Model()
    Sync(host, group, model)
    inner["mix"].setAnimated()
    for frame, value in ((1001, 0.0), (1011, 1.0)):
        inner["mix"].setValueAt(value, frame)
    assert model.is_host_animated("mix")
    model.reset(KNOBS)
    assert inner["mix"].getKeyList() == [1001, 1011]
    model.apply({"mask_gamma": {"1001": 1.0, "1003": 3.0}})
    assert [inner["mask_gamma"].getValueAt(each) for each in (1001, 1002, 1003)] == [1, 2, 3]
    assert model.is_host_animated("mask_gamma")


def test_a_panel_of_a_deleted_node_changes_nothing(
    nuke: FakeNuke, host: NukeHost, group: FakeGroup
) -> None:
    model = Model()
    Sync(host, group, model)
    nuke.delete(group)
    model.set("mix", 0.5)
    assert nuke.steps == []


def test_the_pycustom_knob_makes_the_real_panel(
    monkeypatch: pytest.MonkeyPatch, nuke: FakeNuke, host: NukeHost, group: FakeGroup
) -> None:
    monkeypatch.setenv("QT_QPA_PLATFORM", "offscreen")
    try:
        from PySide6 import QtWidgets
    except ImportError as error:
        pytest.skip(f"Qt can't load here: {error}")
    application = QtWidgets.QApplication.instance() or QtWidgets.QApplication([])
    place = PanelKnob(host, group)
    widget = place.makeUI()
    assert isinstance(widget, QtWidgets.QWidget)
    node.engine(group)["mix"].setValue(0.125)
    assert widget.model.value("mix") == 0.125
    place.updateValue()
    again = place.makeUI()  # Nuke does so each time that the properties open
    assert len(nuke.callbacks) == 2
    for each in (widget, again):
        each.deleteLater()
    application.processEvents()


def test_without_a_screen_the_pycustom_knob_is_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    import semblance_nuke

    nuke = FakeNuke(gui=False)
    monkeypatch.setitem(sys.modules, "nuke", nuke)
    assert semblance_nuke.panel_knob(nuke.semblance("Group", FakeGroup)) is None


# --- the double itself -----------------------------------------------------------------------


def test_the_double_refuses_what_nuke_has_not(nuke: FakeNuke, group: FakeGroup) -> None:
    inner = node.engine(group)
    for wrong in (lambda: nuke.createKnob, lambda: inner.children, lambda: inner["mix"].set):
        with pytest.raises(AttributeError):
            wrong()
    with pytest.raises(NameError):
        inner["nothing"]
    with pytest.raises(TypeError):
        inner["mix"].setValue("half")
    with pytest.raises(AssertionError):
        inner["view"].setValue("nowhere")
    with pytest.raises(AssertionError):
        inner.add("x", "Slider_Knob", 0)
    with pytest.raises(WrongThread):
        nuke.executeInMainThread(print)
    with pytest.raises(WrongThread):
        _in_a_thread(lambda: inner["mix"].value())


def _in_a_thread(call) -> None:
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(1) as pool:
        pool.submit(call).result()
