"""Nuke scripts are read as data: split as Tcl splits them, their curves evaluated, nothing run."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from semblance.errors import TrackError
from semblance.track.curves import Curve, Key, curve_of, number_text, written
from semblance.track.tcl import Word, nodes, quoted, words

tkinter = pytest.importorskip("tkinter", reason="this Python has no Tcl interpreter")

PIECES = [*'{}"\\ \n\t[];#a', "b1", "$x", "\\\n ", "\\x41"]


def as_tcl_splits(text):
    """What Tcl makes of a list; None where it refuses it."""
    try:
        return list(tkinter.Tcl().splitlist(text)) if text else []
    except tkinter.TclError:
        return None


def as_we_split(text):
    try:
        return [word.text for word in words(text)]
    except TrackError:
        return None


@settings(max_examples=400, deadline=None)
@given(st.lists(st.sampled_from(PIECES), max_size=10).map("".join))
def test_a_list_is_split_as_tcl_splits_it(text):
    assert as_we_split(text) == as_tcl_splits(text)


@settings(max_examples=150, deadline=None)
@given(st.text(st.characters(min_codepoint=9, max_codepoint=0x24F), max_size=12))
def test_any_text_is_one_element_once_it_is_quoted(text):
    assert as_tcl_splits(quoted(text)) == [text] == as_we_split(quoted(text))


SCRIPT = """#! /usr/local/bin/nuke -nx
version 14.0 v1
define_window_layout_xml {<?xml version="1.0"?>
<layout> { nested } </layout>
}
Root {
 inputs 0
 format "2048 1556 0 0 2048 1556 1 2K"
}
set N1 [stack 0]
push $N1
Group {
 name Group1
 knobChanged "k = nuke.thisKnob()\\nif k.name() == '\\{': \\[exit]"
}
 Tracker4 {
  name Tracker7
  label "\\[python {nuke.quit()}]"
  tracks { { 1 31 0 } { } { } }
 }
end_group
"""


def test_the_nodes_of_a_script_are_found_in_groups_too_and_nothing_is_run():
    found = list(nodes(SCRIPT))
    assert [node.kind for node in found] == ["Root", "Group", "Tracker4"]
    tracker = found[-1]
    assert (tracker.name, tracker.line) == ("Tracker7", 16)
    assert tracker.knobs["label"].text == "[python {nuke.quit()}]"
    assert tracker.knobs["tracks"].line == 19


@pytest.mark.parametrize(
    ("script", "says"),
    [
        ("Dot {\n name Dot1\n", "line 1: the brace that opens here is never closed"),
        ('\n\nDot {\n name "Dot1\n}\n', "line 4: the quote that opens here is never closed"),
        ("Dot {\n name\n}\n", "line 2: knob 'name' has no value"),
        ("Dot {\n name {a}b\n}\n", "line 2: expected a blank behind '}', found 'b'"),
        ("set N [stack 0\n", "line 1: the bracket that opens here is never closed"),
    ],
)
def test_a_script_with_a_fault_names_its_line(script, says):
    with pytest.raises(TrackError) as caught:
        list(nodes(script))
    assert says in str(caught.value)


# ----------------------------------------------------------------------------------------- curves


def curve(text):
    return curve_of(Word(text, 1))


def test_keys_follow_each_other_by_the_last_step_until_a_frame_is_given():
    made = curve("curve x1001 12.5 13.5 x1010 14 x1011 15 16")
    assert {frame: key.value for frame, key in made.keys.items()} == {
        1001: 12.5, 1002: 13.5, 1010: 14.0, 1011: 15.0, 1012: 16.0,
    }  # fmt: skip
    assert list(curve("curve x10 1 x20 2 3").keys) == [10, 20, 30]
    assert list(curve("curve 1 2 3").keys) == [0, 1, 2]


def test_a_frame_without_a_key_is_a_gap_and_a_still_number_is_everywhere():
    made = curve("curve x1 5 x4 8")
    assert made.key(4) == 8.0
    assert math.isnan(made.key(2))
    assert curve("7.25").key(123) == curve("7.25").at(-5) == 7.25


@pytest.mark.parametrize(
    ("text", "frame", "value"),
    [
        ("curve K x0 1 x10 3", 9.9, 1.0),
        ("curve K x0 1 x10 3", 10, 3.0),
        ("curve L x0 1 x10 3", 5, 2.0),
        ("curve L x0 1 x10 3", 12, 3.0),
        ("curve L l x0 1 x10 3", 15, 4.0),
        ("curve x0 0 x10 10", 5, 5.0),
        ("curve x0 0 x10 10", 2.5, 10 * (3 * 0.25**2 - 2 * 0.25**3)),
        ("curve x0 0 s1 t1 x10 10 s1", 2.5, 2.5),
        ("curve H x0 0 x10 10", 2.5, 10 * (3 * 0.25**2 - 2 * 0.25**3)),
        ("curve R x0 0 x1 1 x2 4 x3 9", 1.5, 2.25),
        ("curve C x0 0 x1 1 x2 0", 0.5, 0.6875),
        ("curve x0 0 t0 u1 v2 x1 1 s0 u2 v1", 0.5, 0.5),
    ],
)
def test_a_curve_between_its_keys(text, frame, value):
    assert curve(text).at(frame) == pytest.approx(value, abs=1e-9)


@settings(max_examples=60, deadline=None)
@given(
    st.dictionaries(st.integers(-50, 50), st.floats(-1e4, 1e4), min_size=2, max_size=8),
    st.sampled_from("SL"),
)
def test_a_smooth_or_a_linear_curve_goes_through_its_keys_and_never_beyond_them(held, kind):
    made = curve(written(held, kind)[1:-1])
    frames = sorted(held)
    for frame in frames:
        assert made.at(frame) == pytest.approx(held[frame], abs=1e-6)
    for one, other in pairwise(frames):
        low, high = sorted((made.key(one), made.key(other)))
        for at in np.linspace(one, other, 9):
            assert low - 1e-6 <= made.at(float(at)) <= high + 1e-6


def test_a_cubic_curve_has_two_continuous_derivatives():
    made = curve("curve C x0 1 x3 -4 x5 2 x9 7")
    step = 1e-3
    for key in (3, 5):
        bends = [
            (made.at(at - step) - 2 * made.at(at) + made.at(at + step)) / step**2
            for at in (key - step, key + step)
        ]
        assert bends[0] == pytest.approx(bends[1], abs=2e-2)


@settings(max_examples=100, deadline=None)
@given(st.dictionaries(st.integers(-(10**6), 10**6), st.floats(-1e6, 1e6), min_size=1, max_size=5))
def test_a_curve_that_was_written_is_read_back(held):
    text = written(held)
    assert as_tcl_splits(text) == as_we_split(text)
    made = curve(as_we_split(text)[0])
    assert list(made.keys) == sorted(held)
    for frame, value in held.items():
        assert made.key(frame) == pytest.approx(value, abs=1e-6)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("parent.Tracker1.x", "expected a number or a curve, found 'parent.Tracker1.x'"),
        ("curve(frame-1) x1 2", "an expression has to be baked into keys first"),
        ("curve x1 2 nan", "expected a key, found 'nan'"),
        ("curve xa 2", "expected a frame behind x, found 'xa'"),
        ("curve s2 x1 2", "expected a key before 's2'"),
        ("curve x1 [exit]", "expected a key, found '[exit]'"),
    ],
)
def test_what_is_no_curve_is_refused(text, says):
    with pytest.raises(TrackError) as caught:
        curve(text)
    assert says in str(caught.value)


def test_a_curve_is_keys_by_frame():
    made = curve("curve i K l x1 2")
    assert made.keys == Curve({1.0: Key(2.0, "K")}).keys
    assert made.linear
    assert number_text(-0.0) == "0"
