"""Laws of the knob table, of presets and of curves."""

from __future__ import annotations

import json
import math
from dataclasses import fields, replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from semblance.errors import KnobError
from semblance.knobs import Knobs, MatteKnobs, declared, digest, stage_key
from semblance.preset import animate, load_preset

NAMES = Path(__file__).parent / "data" / "knob_names.txt"
TABLE = {knob.name: knob for knob in declared()}
NUMBERS = [knob for knob in declared() if knob.kind in ("float", "int")]


def test_names_are_only_ever_added():
    pinned = NAMES.read_text().split()
    assert len(set(pinned)) == len(pinned)
    assert set(pinned) <= set(TABLE), "a knob that saved scripts may hold is gone"
    assert set(TABLE) <= set(pinned), "append the new knob's name to tests/data/knob_names.txt"


def test_the_table_has_one_row_for_each_field():
    held = [item.name for group in fields(Knobs()) for item in fields(getattr(Knobs(), group.name))]
    assert held == [knob.name for knob in declared()]
    assert len(set(held)) == len(held)


@pytest.mark.parametrize("knob", declared(), ids=lambda knob: knob.name)
def test_every_knob_is_described_for_a_person_and_a_host(knob):
    assert knob.name.isidentifier()
    assert knob.name.islower()
    assert len(knob.name) <= 64
    assert knob.label
    assert len(knob.help.split()) >= 3
    assert knob.help[0].isupper()
    assert knob.help.endswith(".")
    assert "\n" not in knob.help
    assert knob.check(knob.default) == knob.default
    assert bool(knob.choices) == (knob.kind == "choice")
    assert knob.idle is None or knob.check(knob.idle) == knob.idle
    assert knob.kind not in ("text", "file") or knob.idle in (None, "")
    if knob.kind in ("float", "int"):
        low, high = knob.range
        slider_low, slider_high = knob.slider
        assert low <= slider_low <= knob.default <= slider_high <= high
        assert slider_low < slider_high
    else:
        assert knob.range is None


@pytest.mark.parametrize("knob", NUMBERS, ids=lambda knob: knob.name)
@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf, True, "1", None])
def test_a_number_refuses_what_is_not_a_finite_number(knob, bad):
    with pytest.raises(KnobError, match=knob.name):
        Knobs.from_flat({knob.name: bad})


@pytest.mark.parametrize("knob", NUMBERS, ids=lambda knob: knob.name)
def test_limits_are_allowed_and_what_lies_beyond_is_refused_with_them(knob):
    for limit in knob.range:
        assert Knobs.from_flat({knob.name: limit}).to_flat()[knob.name] == limit
    with pytest.raises(KnobError) as caught:
        Knobs.from_flat({knob.name: knob.range[1] + 1})
    assert f"{knob.range[1]:g}" in str(caught.value)


def test_an_unknown_name_or_choice_names_the_nearest_known_one():
    with pytest.raises(KnobError, match="identity_strength"):
        Knobs.from_flat({"identity_strenght": 1.0})
    with pytest.raises(KnobError, match="did you mean 'poisson'"):
        Knobs.from_flat({"blend_mode": "poison"})


def test_a_dataclass_made_by_hand_or_by_replace_is_checked_too():
    with pytest.raises(KnobError, match="mask_grow"):
        MatteKnobs(mask_grow=99.0)
    with pytest.raises(KnobError, match="mask_source"):
        replace(MatteKnobs(), mask_source="neither")


def test_flat_form_is_an_inverse_pair_and_changed_holds_only_the_difference():
    knobs = Knobs.from_flat({"mix": 0.25, "mask_jaw": False, "blend_mode": "poisson"})
    assert Knobs.from_flat(knobs.to_flat()) == knobs
    assert knobs.changed() == {"mask_jaw": False, "blend_mode": "poisson", "mix": 0.25}
    assert Knobs().changed() == {}


def test_a_stage_key_depends_on_its_own_knobs_and_the_upstream_key_alone():
    base, grown = Knobs(), Knobs.from_flat({"mask_grow": 3.0})
    assert stage_key("", base.identity) == stage_key("", grown.identity)
    assert stage_key("", base.mask) != stage_key("", grown.mask)
    assert stage_key("a", base.blend) != stage_key("b", base.blend)
    assert stage_key("", base.blend) != stage_key("", base.identity)


def test_the_digest_is_the_same_in_every_process():
    assert digest() == digest()
    assert len(digest()) == 16


# --- presets and curves ----------------------------------------------------------------------


def test_a_curve_is_linear_between_its_keys_and_holds_outside():
    knobs = animate({"identity_strength": {"1001": 0.0, "1011": 1.0}, "mix": 0.5})
    strengths = [knobs(frame).identity.identity_strength for frame in (990, 1001, 1006, 1011, 1099)]
    assert strengths == pytest.approx([0.0, 0.0, 0.5, 1.0, 1.0])
    assert knobs(1006).blend.mix == 0.5


@given(
    st.dictionaries(
        st.integers(-50, 50),
        st.floats(0.0, 1.0, width=32, allow_subnormal=False),
        min_size=1,
        max_size=6,
    ),
    st.integers(-60, 60),
)
def test_a_curve_meets_its_keys_and_stays_between_their_extremes(keys, frame):
    knobs = animate({"mix": {str(key): value for key, value in keys.items()}})
    assert min(keys.values()) - 1e-12 <= knobs(frame).blend.mix <= max(keys.values()) + 1e-12
    assert all(knobs(key).blend.mix == pytest.approx(value) for key, value in keys.items())


def test_a_switch_holds_until_its_next_key():
    knobs = animate({"mask_jaw": {"1010": False, "1001": True}})
    assert [knobs(frame).mask.mask_jaw for frame in (1000, 1009, 1010, 1020)] == [
        True,
        True,
        False,
        False,
    ]


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"blend_mode": {"1001": "over"}}, "does not animate"),
        ({"mix": {"first": 0.0}}, "frame numbers"),
        ({"mix": {}}, "frame numbers"),
        ({"mix": {"1001": 3.0}}, "0 to 1"),
        ({"mixx": {"1001": 1.0}}, "Did you mean 'mix'"),
        ({"mix": None}, "a number"),
    ],
)
def test_a_curve_that_makes_no_sense_is_refused_before_the_first_frame(values, words):
    with pytest.raises(KnobError, match=words):
        animate(values)


@pytest.mark.parametrize("text", [None, "", "{", "[1]", '{"mix": '])
def test_a_preset_that_is_no_json_object_is_refused_with_its_path(tmp_path, text):
    path = tmp_path / "look.json"
    if text is not None:
        path.write_text(text)
    with pytest.raises(KnobError, match=r"look\.json"):
        load_preset(path)


def test_a_preset_is_read_as_it_was_written(tmp_path):
    path = tmp_path / "look.json"
    values = {"mix": {"1001": 0.5}, "mask_jaw": False}
    path.write_text(json.dumps(values))
    assert load_preset(path) == values
