"""Nuke's Tracker4 and CornerPin2D, as a script holds them.

Nuke's pixels are counted from the lower left corner of the format, with y up; a pixel's centre lies
at +0.5, as ours. Both nodes get a tab of ours with the plate's size and, for a corner pin, the
landmarks of its reference frame, so that the file alone can be read back.

References
----------
Foundry, "Nuke Reference Guide", Tracker and CornerPin2D; the table of a Tracker4 as public scripts
hold it: a header, a description of 31 columns, and a row for each track.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Final

import numpy as np

from semblance.errors import TrackError
from semblance.face import Track
from semblance.track.curves import Curve, curve_of, curves_of, number_text, written
from semblance.track.points import (
    CORNERS,
    COUNT,
    NAMES,
    Array,
    Points,
    Reference,
    Sheet,
)
from semblance.track.tcl import Node, Word, fault, quoted, words

__all__ = ["knob_of_plate", "read_corner_pin", "read_tracker", "text_of_corner_pin",
           "text_of_tracker", "with_plate"]  # fmt: skip

_COLUMNS: Final = (
    "5 1 20 enable e", "3 1 75 name name", "2 1 58 track_x track_x", "2 1 58 track_y track_y",
    "2 1 63 offset_x offset_x", "2 1 63 offset_y offset_y", "4 1 27 T T", "4 1 27 R R",
    "4 1 27 S S", "2 0 45 error error", "1 1 0 error_min error_min", "1 1 0 error_max error_max",
    "1 1 0 pattern_x pattern_x", "1 1 0 pattern_y pattern_y", "1 1 0 pattern_r pattern_r",
    "1 1 0 pattern_t pattern_t", "1 1 0 search_x search_x", "1 1 0 search_y search_y",
    "1 1 0 search_r search_r", "1 1 0 search_t search_t", "2 1 0 key_track key_track",
    "2 1 0 key_search_x key_search_x", "2 1 0 key_search_y key_search_y",
    "2 1 0 key_search_r key_search_r", "2 1 0 key_search_t key_search_t",
    "2 1 0 key_track_x key_track_x", "2 1 0 key_track_y key_track_y",
    "2 1 0 key_track_r key_track_r", "2 1 0 key_track_t key_track_t",
    "2 1 0 key_centre_offset_x key_centre_offset_x",
    "2 1 0 key_centre_offset_y key_centre_offset_y",
)  # fmt: skip
"""Of a Tracker4's table: kind, whether it is shown, width, name and label."""

_PINS: Final = dict(enumerate(CORNERS.values(), start=1))
"""Landmarks of ``to1`` to ``to4``: the corners go round from the lower left one."""

_PLATE: Final = "semblance_plate"
_REFERENCE: Final = "semblance_reference"


# -------------------------------------------------------------------------------------- reading


def read_tracker(node: Node, frames: Sequence[int] | None = None) -> Points:
    """Read the tracks of a Tracker4.

    Parameters
    ----------
    node : Node
    frames : sequence of int, optional
        Frames at which the curves are evaluated, between their keys too. Without them a track is
        there where it has a key, and nowhere else.

    Raises
    ------
    TrackError
        The table is none, or a track is an expression, or has an offset.
    """
    value = node.knobs.get("tracks")
    table = words(value.text, value.line) if value is not None else []
    if value is None or len(table) != 3:
        raise fault(node.line, f"{node.name} holds no table of tracks")
    _, columns, rows = table
    where = _columns(columns)
    tracks = []
    for row in words(rows.text, rows.line):
        cells = words(row.text, row.line)
        if len(cells) <= max(where.values()):
            raise fault(
                row.line,
                f"expected a track of {max(where.values()) + 1} columns, found {len(cells)}",
            )
        tracks.append(_Followed.of({name: cells[at] for name, at in where.items()}))
    if not tracks:
        raise fault(node.line, f"{node.name} holds no track")
    looked = sorted({frame for track in tracks for frame in track.marked()})
    wanted = sorted({frame for track in tracks for frame in track.keyed()})
    found = {
        frame: np.array([track.at(frame, between=frames is not None) for track in tracks])
        for frame in (frames if frames is not None else wanted)
    }
    plain = Points(tuple(track.name for track in tracks), found, up=True, looked=tuple(looked))
    return with_plate(plain, node)


def read_corner_pin(node: Node, frames: Sequence[int] | None = None) -> Points:
    """Read the four corners that a CornerPin2D goes to.

    Parameters
    ----------
    node : Node
    frames : sequence of int, optional
        Frames at which the curves are evaluated; without them those at which all moving corners
        have a key.

    Raises
    ------
    TrackError
        A corner is not there, is off, is an expression, or no frame has keys of them all.
    """
    curves: list[Curve] = []
    for pin in _PINS:
        value = node.knobs.get(f"to{pin}")
        if value is None:
            raise fault(node.line, f"{node.name} has no to{pin}")
        enabled = node.knobs.get(f"enable{pin}")
        if enabled is not None and enabled.text not in ("true", "1"):
            raise fault(enabled.line, f"corner {pin} of {node.name} is not enabled")
        curves += curves_of(value, 2)
    moving = [set(_whole_frames(curve)) for curve in curves if curve.keys]
    keyed = sorted(set.intersection(*moving)) if moving else []
    if frames is None and not keyed:
        raise fault(
            node.line,
            f"no frame of {node.name} has keys of all its corners; with --frames what is between "
            "the keys is taken as well",
        )
    ends = [frame for curve in curves for frame in curve.keys]
    wanted = (
        keyed
        if frames is None
        else [frame for frame in frames if not ends or min(ends) <= frame <= max(ends)]
    )
    found = {frame: np.array([curve.at(frame) for curve in curves]).reshape(4, 2)
             for frame in wanted}  # fmt: skip
    plain = Points(tuple(f"to{pin}" for pin in _PINS), found, up=True, motion="homography")
    return with_plate(plain, node)


def with_plate(points: Points, node: Node) -> Points:
    """Return points with what the tab of ours on a node says of the plate."""
    size, pixel_aspect, origin, reference = None, None, None, None
    if (value := node.knobs.get(_PLATE)) is not None:
        numbers = _floats(value, 5, "width, height, first column, first row and pixel aspect")
        size, pixel_aspect = (round(numbers[0]), round(numbers[1])), numbers[4]
        origin = round(numbers[2]), round(numbers[3])
    if (value := node.knobs.get(_REFERENCE)) is not None:
        numbers = _floats(value, 1 + 2 * COUNT, f"a frame and {COUNT} landmarks")
        reference = Reference(round(numbers[0]), np.array(numbers[1:]).reshape(COUNT, 2))
    return replace(points, size=size, pixel_aspect=pixel_aspect, origin=origin, reference=reference)


class _Followed:
    """A track of a Tracker4."""

    def __init__(self, name: str, enabled: Curve, x: Curve, y: Curve) -> None:
        self.name = name
        self._enabled, self._x, self._y = enabled, x, y

    @classmethod
    def of(cls, cells: Mapping[str, Word]) -> _Followed:
        for axis in ("offset_x", "offset_y"):
            held = curve_of(cells[axis])
            if any(value != 0.0 and not math.isnan(value) for value in _values(held)):
                raise fault(
                    cells[axis].line,
                    f"track {cells['name'].text!r} has an offset; bake it into the track first",
                )
        curves = (curve_of(cells[name]) for name in ("enable", "track_x", "track_y"))
        return cls(cells["name"].text, *curves)

    def keyed(self) -> set[int]:
        """Return the frames at which it has a key both ways."""
        return set(_whole_frames(self._x)) & set(_whole_frames(self._y))

    def marked(self) -> set[int]:
        """Return the frames that it says something of: where it is, or that it is off."""
        off = {frame for frame in _whole_frames(self._enabled) if not self._enabled.at(frame)}
        return self.keyed() | off

    def at(self, frame: int, *, between: bool) -> tuple[float, float]:
        """Return where it is at a frame; NaN where it is off or has no key."""
        if self._enabled.at(frame) == 0.0:
            return math.nan, math.nan
        read: Callable[[Curve, int], float] = _within if between else Curve.key
        return read(self._x, frame), read(self._y, frame)


def _columns(value: Word) -> dict[str, int]:
    """Return where the columns that we need stand in a row."""
    described = [words(each.text, each.line) for each in words(value.text, value.line)]
    named = {cells[3].text: at for at, cells in enumerate(described) if len(cells) > 3}
    needed = ("enable", "name", "track_x", "track_y", "offset_x", "offset_y")
    missing = [name for name in needed if name not in named]
    if missing:
        raise fault(value.line, f"the table of tracks has no column {missing[0]!r}")
    return {name: named[name] for name in needed}


def _values(curve: Curve) -> Iterable[float]:
    return [key.value for key in curve.keys.values()] if curve.keys else [curve.constant]


def _within(curve: Curve, frame: int) -> float:
    """Return the value of a curve at a frame from its first key to its last."""
    if curve.keys and not min(curve.keys) <= frame <= max(curve.keys):
        return math.nan
    return curve.at(frame)


def _whole_frames(curve: Curve) -> Iterable[int]:
    return (int(frame) for frame in curve.keys if frame == int(frame))


def _floats(value: Word, count: int, expected: str) -> list[float]:
    try:
        numbers = [float(each) for each in value.text.split()]
    except ValueError:
        numbers = []
    if len(numbers) != count or not all(map(math.isfinite, numbers)):
        raise fault(value.line, f"expected {expected}, found {value.text[:40]!r}")
    return numbers


# -------------------------------------------------------------------------------------- writing


def text_of_tracker(track: Track, sheet: Sheet) -> str:
    """Return a track as a Tracker4 with 68 tracks; in a gap they are off."""
    marks = _outward(track, sheet)
    looked = sorted({*track.frames, *track.faces})
    enabled = {frame: float(frame in marks) for frame in looked}
    held = {
        frame: on
        for at, (frame, on) in enumerate(enabled.items())
        if at == 0 or on != enabled[looked[at - 1]] or not on
    }
    shown = written(held, "K")
    rows = []
    for index, name in enumerate(NAMES):
        x, y = (written({frame: float(found[index, axis]) for frame, found in marks.items()})
                for axis in (0, 1))  # fmt: skip
        rows.append(
            f" {{ {shown} {quoted(name)} {x} {y} {{0}} {{0}} 0 0 0 {{0}} 0 0 -32 -32 32 32 "
            "-22 -22 22 22 {} {} {} {} {} {} {} {} {} {} {} }"
        )
    described = "\n".join(f"{{ {column} 1 }}" for column in _COLUMNS)
    table = f"{{ {{ 1 {len(_COLUMNS)} {COUNT} }}\n{{ {described}\n}}\n{{\n" + "\n".join(rows)
    return _script("Tracker4", f" tracks {table}\n}}\n}}\n", "Semblance_Tracker", sheet)


def text_of_corner_pin(track: Track, sheet: Sheet) -> str:
    """Return a track as a CornerPin2D of the corners of the mouth and the eyes.

    Its first face is the reference: ``from1`` to ``from4`` are the corners there.
    """
    marks = _outward(track, sheet)
    first = min(marks)
    lines = []
    for pin, index in _PINS.items():
        x, y = (written({frame: float(found[index, axis]) for frame, found in marks.items()})
                for axis in (0, 1))  # fmt: skip
        lines.append(f" to{pin} {{{x} {y}}}\n")
    for pin, index in _PINS.items():
        x, y = map(number_text, marks[first][index].tolist())
        lines.append(f" from{pin} {{{x} {y}}}\n")
    held = " ".join(map(number_text, track.faces[first].landmarks.ravel().tolist()))
    return _script("CornerPin2D", "".join(lines), "Semblance_CornerPin", sheet, f"{first} {held}")


def knob_of_plate(sheet: Sheet, reference: str = "") -> str:
    """Return the tab of ours on a node: what else is needed to read it back."""
    numbers = (*sheet.size, *sheet.origin, sheet.pixel_aspect)
    lines = [
        " addUserKnob {20 semblance l Semblance}\n",
        f' addUserKnob {{1 {_PLATE} l plate t "width, height, first column and row, pixel '
        'aspect"}\n',
        f" {_PLATE} {{{' '.join(map(number_text, numbers))}}}\n",
    ]
    if reference:
        lines += [
            f" addUserKnob {{1 {_REFERENCE} l reference +INVISIBLE}}\n",
            f" {_REFERENCE} {{{reference}}}\n",
        ]
    return "".join(lines)


def _script(kind: str, knobs: str, name: str, sheet: Sheet, reference: str = "") -> str:
    tab = knob_of_plate(sheet, reference)
    return f"{kind} {{\n inputs 0\n{knobs} name {name}\n selected true\n{tab}}}\n"


def _outward(track: Track, sheet: Sheet) -> dict[int, Array]:
    """Return the landmarks in Nuke's pixels, by frame."""
    if not track.faces:
        raise TrackError("the track holds no face", "Track the plate again.")
    return {
        frame: sheet.out(np.asarray(face.landmarks, np.float64), up=True)
        for frame, face in sorted(track.faces.items())
    }
