# ruff: noqa: E402
"""The panel's model: undo laws, presets, the host's curves. No Qt is needed here, nor loaded."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from semblance.errors import KnobError, OutputError, TrackError
from semblance.knobs import Knob, Knobs, declared
from semblance.preset import animate, load_preset

PLUGIN = Path(__file__).parents[1] / "plugin"
from semblance_panel.model import Change, Model, shipped
from semblance_panel.scores import read_scores

NAMES = [knob.name for knob in declared()]


def values_of(knob: Knob) -> st.SearchStrategy[object]:
    if knob.kind == "bool":
        return st.booleans()
    if knob.kind == "choice":
        return st.sampled_from(knob.choices)
    if knob.range is not None:
        low, high = knob.range
        return st.integers(int(low), int(high)) if knob.kind == "int" else st.floats(low, high)
    return st.text(max_size=8)


moves = st.sampled_from(declared()).flatmap(
    lambda knob: st.tuples(st.just(knob.name), values_of(knob), st.sampled_from([None, 1, 2]))
)
presets = st.lists(moves, max_size=6).map(lambda all_: {name: value for name, value, _ in all_})


@settings(max_examples=40)
@given(st.lists(moves, max_size=12))
def test_undo_goes_back_to_the_start_and_redo_to_the_end(steps: list) -> None:
    model = Model()
    for name, value, gesture in steps:
        model.set(name, value, gesture)
        assert model.knobs() == Knobs.from_flat(model.knobs().to_flat())  # always valid
    end = model.preset()
    undone = 0
    while model.undo_text:
        model.undo()
        undone += 1
    assert model.knobs() == Knobs()
    for _ in range(undone):
        model.redo()
    assert model.preset() == end
    assert not model.redo_text


@settings(max_examples=40)
@given(st.lists(st.floats(0.0, 1.0), min_size=1, max_size=8))
def test_a_drag_is_one_step(values: list[float]) -> None:
    model = Model({"mix": 0.25})
    model.set("mask_grow", 1.0)
    for value in values:
        model.set("mix", value, gesture="drag")
    assert model.value("mix") == values[-1]
    if values[-1] != 0.25:
        model.undo()
    assert model.value("mix") == 0.25
    assert model.value("mask_grow") == 1.0
    model.undo()
    assert model.value("mask_grow") == 0.0


def test_a_gesture_ends_with_another_one_with_undo_and_with_the_host() -> None:
    for interrupt in (
        lambda model: model.set("mask_gamma", 2.0),
        lambda model: model.follow("mask_gamma", 2.0),
    ):
        model = Model()
        model.set("mix", 0.5, gesture=1)
        interrupt(model)
        model.set("mix", 0.25, gesture=1)
        model.undo()
        assert model.value("mix") == 0.5
    model.redo()
    model.undo()
    model.set("mix", 0.75, gesture=1)
    model.undo()
    assert model.value("mix") == 0.5


def test_a_new_step_forgets_what_was_undone() -> None:
    model = Model()
    model.set("mix", 0.5)
    model.undo()
    model.set("mask_grow", 1.0)
    model.redo()
    assert model.value("mix") == 1.0


def test_what_is_not_accepted_changes_nothing() -> None:
    model = Model()
    told: list[Change] = []
    model.listen(told.append)
    with pytest.raises(KnobError, match="it accepts 0 to 1"):
        model.set("mix", 2.0)
    with pytest.raises(KnobError, match="Did you mean 'mix'"):
        model.set("mixx", 0.5)
    with pytest.raises(KnobError, match="mix"):
        model.apply({"mask_grow": 2.0, "mix": 2.0})
    model.set("mix", 1.0)
    assert told == []
    assert model.undo_text == ""
    assert model.preset() == {}


def test_listeners_hear_who_it_was_until_they_stop() -> None:
    model = Model()
    told: list[Change] = []
    stop = model.listen(told.append)
    model.set("mix", 0.5)
    model.follow("mix", 0.25)
    model.follow("mix", 0.25)
    stop()
    model.set("mix", 0.75)
    assert told == [Change(("mix",)), Change(("mix",), by_host=True)]


def test_the_hosts_curve_is_shown_and_never_broken() -> None:
    model = Model()
    model.set("mix", 0.5)
    model.set("mask_grow", 1.0)
    model.follow("mix", 0.125, animated=True)
    assert model.is_animated("mix")
    assert model.value("mix") == 0.125
    with pytest.raises(KnobError, match="animated in the host"):
        model.set("mix", 0.75)
    model.reset(NAMES)
    model.undo()  # the reset
    model.undo()  # mask_grow
    model.undo()  # nothing: what was done to mix is forgotten
    assert model.value("mix") == 0.125
    assert model.value("mask_grow") == 0.0
    model.follow("mix", 0.125, animated=False)
    model.set("mix", 0.75)
    assert model.value("mix") == 0.75


def test_a_presets_curve_is_kept_shown_and_can_be_flattened(tmp_path: Path) -> None:
    preset = {"identity_strength": {"1001": 0.0, "1011": 1.0}, "mix": 0.5}
    (tmp_path / "in.json").write_text(json.dumps(preset))
    model = Model()
    model.load(tmp_path / "in.json")
    model.frame = 1006
    assert model.value("identity_strength") == pytest.approx(0.5)
    model.save(tmp_path / "out.json")
    assert load_preset(tmp_path / "out.json") == preset
    model.flatten("identity_strength")
    assert model.preset()["identity_strength"] == pytest.approx(0.5)
    model.undo()
    model.undo()
    assert model.preset() == {}


@settings(max_examples=40)
@given(presets)
def test_a_preset_gives_apply_the_knobs_that_are_shown(
    tmp_path_factory: pytest.TempPathFactory, preset: dict
) -> None:
    path = tmp_path_factory.mktemp("preset") / "saved.json"
    model = Model(preset)
    model.save(path)
    assert animate(load_preset(path))(1001) == model.knobs()
    assert set(load_preset(path)) == set(model.knobs().changed())
    other = Model({"mix": 0.125, "mask_jaw": False})
    other.load(path)
    assert other.knobs() == model.knobs()


def test_shipped_presets_are_accepted_and_touch_only_what_they_name() -> None:
    assert shipped()
    for path in shipped().values():
        model = Model({"model": "kestrel.onnx"})
        model.apply(load_preset(path))
        assert model.value("model") == "kestrel.onnx"


def test_a_preset_that_can_not_be_written_says_so(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="can't be written"):
        Model().save(tmp_path / "nowhere" / "a.json")


def test_scores_of_the_example_and_of_a_lost_face(tmp_path: Path) -> None:
    scores = read_scores(Path(__file__).parents[1] / "examples" / "track.json")
    assert scores.frames == tuple(range(1001, 1013))
    assert scores.lost == ()
    track = {"format": "semblance-track", "frames": [1, 2, 3], "faces": {"0": {"1": {}, "3": {}}}}
    path = tmp_path / "track.json"
    path.write_text(json.dumps(track))
    assert read_scores(path).lost == (2,)
    with pytest.raises(TrackError, match="no face 4"):
        read_scores(path, 4)
    for broken in ("{", "[]", '{"format": "semblance-track", "faces": {"0": {"x": {}}}}'):
        path.write_text(broken)
        with pytest.raises(TrackError):
            read_scores(path)


def test_model_and_providers_need_no_qt_and_no_packages() -> None:
    code = (
        "import sys; import semblance_panel, semblance_panel.model, semblance_panel.scores, "
        "semblance_panel.programs, semblance_panel.providers, semblance_panel.thumbnails; "
        "bad = {'PySide6', 'PySide2', 'numpy', 'cv2', 'click'} & set(sys.modules); "
        "assert not bad, bad"
    )
    path = f"{PLUGIN}:{PLUGIN.parent / 'core'}"
    subprocess.run(
        [sys.executable, "-S", "-c", code], check=True, env={"PYTHONPATH": path}, timeout=60
    )


def test_qt_is_imported_in_one_place() -> None:
    for path in (PLUGIN / "semblance_panel").glob("*.py"):
        assert ("import QtCore" in path.read_text() and "from PySide" in path.read_text()) == (
            path.name == "qt.py"
        )
