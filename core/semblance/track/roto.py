"""Nuke's Roto and RotoPaint: landmarks as closed shapes, one for each part of the face.

A shape's name begins with the part (`points.PARTS`), and its points are the part's landmarks in
order. Numbers are decimals, or the bits of a single-precision float as ``x`` and eight digits.

We write a shape for each part and frame, which lives in its frame alone: a shape with one key is
what the public scripts agree upon. Shapes whose points move by keys of their own are read as well.

References
----------
Foundry, "NDK Developers Guide", Roto serialisation format; public scripts, for the points of a
curve: three pairs each, of which the first and the last are tangents, and for the lifetime
``ltn`` to ``ltm`` of the type ``ltt`` 2, a single frame.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Iterator, Sequence
from typing import Final

import numpy as np

from semblance.errors import TrackError
from semblance.face import Track
from semblance.track.nuke import knob_of_plate, with_plate
from semblance.track.points import COUNT, NAMES, PARTS, Array, Points, Sheet
from semblance.track.tcl import Node, Word, fault, words

__all__ = ["read_roto", "text_of_roto"]

_DEEPEST: Final = 50
"""Layers inside of each other, at most."""

_NEUTRAL: Final = frozenset({0.0, 1.0})


def read_roto(node: Node) -> Points:
    """Read the parts of a face from a Roto or a RotoPaint.

    Parameters
    ----------
    node : Node

    Raises
    ------
    TrackError
        It holds no such shape, one has another number of points than its part, or moves by a
        transform or an expression.
    """
    value = node.knobs.get("curves")
    if value is None:
        raise fault(node.line, f"{node.name} holds no shapes")
    frames: dict[int, Array] = {}
    for shape in _shapes(value):
        part = next((part for part in PARTS if shape[1].text.startswith(part)), None)
        if part is None:
            continue
        for frame, found in _keys(shape, part).items():
            held = frames.setdefault(frame, np.full((COUNT, 2), np.nan))
            held[list(PARTS[part])] = found
    if not frames:
        raise fault(
            value.line, f"{node.name} holds no shape that is named for a part: {', '.join(PARTS)}"
        )
    return with_plate(Points(NAMES, dict(sorted(frames.items())), up=True), node)


def text_of_roto(track: Track, sheet: Sheet) -> str:
    """Return a track as a Roto with a shape for each part of the face and each frame."""
    if not track.faces:
        raise TrackError("the track holds no face", "Track the plate again.")
    width, height = sheet.size
    middle = f"{_float(width / 2)} {_float(height / 2)}"
    shapes = []
    for frame, face in sorted(track.faces.items()):
        marks = sheet.out(np.asarray(face.landmarks, np.float64), up=True)
        for part, held in PARTS.items():
            shapes.append(_shape(part, frame, marks[list(held)], middle))
    return (
        "Roto {\n inputs 0\n output alpha\n curves {{{v x3f99999a}\n  {f 0}\n  {n\n   {layer Root\n"
        f"    {{f 2097152}}\n    {{t {middle}}}\n    {{a}}\n" + "".join(shapes) + "   }}}}\n"
        f" name Semblance_Roto\n selected true\n{knob_of_plate(sheet)}}}\n"
    )


def _shape(part: str, frame: int, points: Array, middle: str) -> str:
    at = _float(frame)
    pairs = "".join(f"\n       {{0 0}} {{{_float(x)} {_float(y)}}} {{0 0}}" for x, y in points)
    pivot = " ".join(map(_float, points.mean(axis=0).tolist()))
    x, y = middle.split()
    return (
        f"    {{curvegroup {part}_{str(frame).replace('-', 'm')} 512 bezier\n"
        f"     {{{{cc\n      {{f 8192}}\n      {{px {at}{pairs}}}}} idem}}\n"
        f"     {{tx {at} {pivot}}}\n"
        f"     {{a osw x41200000 osf 0 str 1 spx {x} spy {y} sb 1 ltn {at} ltm {at} ltt x40000000 "
        "tt x40800000}}\n"
    )


def _float(value: float) -> str:
    """Return a number as the bits of a single-precision float."""
    return "0" if value == 0.0 else "x" + struct.pack(">f", value).hex()


def _shapes(value: Word) -> Iterator[list[Word]]:
    """Yield the shapes of a knob, those in layers of layers too, each as its words."""
    inside = [(word, 0) for word in words(value.text, value.line)]
    while inside:
        word, depth = inside.pop(0)
        if depth > _DEEPEST:
            raise fault(word.line, "layers lie too deep in each other")
        parts = words(word.text, word.line)
        if not parts:
            continue
        head = parts[0].text
        if head == "curvegroup":
            if len(parts) < 5:
                raise fault(word.line, "expected a shape with a name, flags, a kind and curves")
            yield parts
        elif head in ("n", "layer"):
            if head == "layer":
                _still(parts, f"layer {parts[1].text if len(parts) > 1 else ''}")
            inside[:0] = [(part, depth + 1) for part in parts[1:] if part.text[:1] in "{lc"]
        elif head.startswith("{") or not depth:
            inside[:0] = [(part, depth + 1) for part in parts if " " in part.text]


def _keys(shape: Sequence[Word], part: str) -> dict[int, Array]:
    """Return the points of a shape by frame."""
    name, count = shape[1].text, len(PARTS[part])
    _still(shape[4:], f"shape {name}")
    curves = words(shape[4].text, shape[4].line)
    outline = words(curves[0].text, curves[0].line) if curves else []
    for word in outline:
        cells = words(word.text, word.line) if " " in word.text else []
        if cells and cells[0].text == "px":
            frame, slots = _value(cells[1]), cells[2:]
            break
        if cells and cells[0].text == "p":
            frame, slots = math.nan, cells[1:]
            break
    else:
        raise fault(shape[4].line, f"shape {name} holds no points")
    if len(slots) != 3 * count:
        raise fault(
            slots[0].line if slots else shape[4].line,
            f"expected {count} points of {part} in shape {name}, found {len(slots) // 3}",
        )
    found: dict[int, Array] = {}
    for at, slot in enumerate(slots[1::3]):
        pair = words(slot.text, slot.line)
        if len(pair) < 2:
            raise fault(slot.line, f"expected x and y, found {slot.text[:40]!r}")
        for axis in (0, 1):
            for key, value in _keyed(pair[axis], frame).items():
                found.setdefault(key, np.full((count, 2), np.nan))[at, axis] = value
    return found


def _keyed(word: Word, frame: float) -> dict[int, float]:
    """Return a number of a point by frame: as it is at the shape's only key, or with its own."""
    if not word.text.startswith("{"):
        value = _value(word)
        if frame != frame // 1:
            raise fault(word.line, "expected a key at a whole frame, found none")
        return {int(frame): value}
    keys: dict[int, float] = {}
    for cell in words(word.text, word.line):
        key = words(cell.text, cell.line)
        if len(key) < 2:
            raise fault(cell.line, f"expected a frame and a value, found {cell.text[:40]!r}")
        at = _value(key[0])
        if at == at // 1:
            keys[int(at)] = _value(key[1])
    return keys


def _still(parts: Sequence[Word], what: str) -> None:
    """Refuse a transform that moves points: after its pivot all has to be 0 or 1."""
    for part in parts:
        if part.text[:2] not in ("t ", "tx", "t\n", "t\t"):
            continue
        cells = words(part.text, part.line)
        after = cells[3:] if cells[0].text == "t" else cells[4:]
        for cell in after:
            for value in _moves(cell):
                if value not in _NEUTRAL:
                    raise fault(
                        cell.line,
                        f"{what} is moved by a transform; bake it into the points first",
                    )


def _moves(cell: Word) -> Iterator[float]:
    """Yield the values of a number of a transform, keyed or not."""
    for each in words(cell.text, cell.line):
        key = words(each.text, each.line)
        yield _value(key[1] if len(key) > 1 else each)


def _value(word: Word) -> float:
    text = word.text
    try:
        if text[:1] == "x" and len(text) == 9:
            value = float(struct.unpack(">f", bytes.fromhex(text[1:]))[0])
        else:
            value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise fault(word.line, f"expected a number, found {text[:40]!r}")
    return value
