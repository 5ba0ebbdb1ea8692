"""Nuke's animation curves: ``{curve x1001 12.5 13.5 x1010 K 14}``, read and evaluated.

A key is a number. Before it may stand its frame (``x1010``), how the curve goes on from it (``K``
constant, ``L`` linear, ``S`` smooth, ``R`` Catmull-Rom, ``C`` cubic, ``H`` level) and how beyond
the ends (``k`` level, ``l`` linear); behind it its slopes per frame (``s`` left, ``t`` right) and
the lengths of its handles (``u`` left, ``v`` right; 1 is a third of the way to the next key). The
frame of a key that gives none follows from the last two.

References
----------
Foundry, "NDK Developers Guide", Curve serialisation format; "Nuke Python API", AnimationKey, which
says how each kind of key gets its slopes.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from semblance.track.tcl import Word, fault, words

__all__ = ["Curve", "Key", "curve_of", "curves_of", "number_text", "written"]

_KINDS: Final = "KLSRCH"
_HANDLES: Final = {"s": "left", "t": "right", "u": "left_reach", "v": "right_reach"}
_STEPEST: Final = 3.0
"""Slopes of a smooth key over those to its neighbours, at most: beyond it the curve overshoots."""
_HALVINGS: Final = 50
_LARGEST: Final = 1e9


@dataclass(frozen=True)
class Key:
    """A key of a curve.

    Parameters
    ----------
    value : float
    kind : str
        One of K, L, S, R, C, H.
    left, right : float or None
        Slopes per frame that were set by hand.
    left_reach, right_reach : float
        Lengths of the handles.
    """

    value: float
    kind: str = "S"
    left: float | None = None
    right: float | None = None
    left_reach: float = 1.0
    right_reach: float = 1.0


@dataclass(frozen=True)
class Curve:
    """A number over time.

    Parameters
    ----------
    keys : mapping of float to Key
        By frame, rising; empty for a number that does not move.
    constant : float
        That number; it may be NaN for a curve without a key.
    linear : bool
        Whether the curve goes on in a straight line beyond its ends.
    """

    keys: Mapping[float, Key] = field(default_factory=dict)
    constant: float = math.nan
    linear: bool = False

    def key(self, frame: float) -> float:
        """Return the value of the key at a frame, NaN without one; a still number is everywhere."""
        if not self.keys:
            return self.constant
        key = self.keys.get(frame)
        return math.nan if key is None else key.value

    def at(self, frame: float) -> float:
        """Return the value at any frame, between the keys and beyond them too."""
        if not self.keys:
            return self.constant
        frames, keys = self._frames, self._listed
        left, right = self._slopes
        after = bisect_right(frames, frame)
        if after == 0 or after == len(frames):
            end = 0 if after == 0 else -1
            slope = float((left if after == 0 else right)[end]) if self.linear else 0.0
            return keys[end].value + slope * (frame - frames[end])
        one, other, start = keys[after - 1], keys[after], frames[after - 1]
        if frame == start or one.kind == "K":
            return one.value
        span = frames[after] - start
        share = (frame - start) / span
        out, into = one.right_reach / 3.0, other.left_reach / 3.0
        if (one.right_reach, other.left_reach) != (1.0, 1.0):
            share = _share_of(share, out, 1.0 - into)
        return _bezier(
            share,
            one.value,
            one.value + float(right[after - 1]) * span * out,
            other.value - float(left[after]) * span * into,
            other.value,
        )

    @cached_property
    def _frames(self) -> list[float]:
        return list(self.keys)

    @cached_property
    def _listed(self) -> list[Key]:
        return list(self.keys.values())

    @cached_property
    def _slopes(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return the slopes to the left and to the right of each key."""
        keys = self._listed
        x, y = np.array(self._frames), np.array([key.value for key in keys])
        count = len(keys)
        left, right = np.zeros(count), np.zeros(count)
        if count > 1:
            secant = np.diff(y) / np.diff(x)
            spline = _spline(x, y) if any(key.kind == "C" for key in keys) else np.zeros(count)
            for at, key in enumerate(keys):
                before = secant[at - 1] if at else None
                behind = secant[at] if at < count - 1 else None
                left[at], right[at] = self._natural(key.kind, before, behind, spline[at], x, y, at)
        for at, key in enumerate(keys):
            left[at] = left[at] if key.left is None else key.left
            right[at] = right[at] if key.right is None else key.right
        return left, right

    def _natural(
        self,
        kind: str,
        before: float | None,
        behind: float | None,
        spline: float,
        x: NDArray[np.float64],
        y: NDArray[np.float64],
        at: int,
    ) -> tuple[float, float]:
        """Return the slopes that a kind of key has by itself."""
        if kind == "C":
            return spline, spline
        if before is None or behind is None:
            only = before if behind is None else behind
            slope = only if kind == "L" or self.linear else 0.0
            return float(slope or 0.0), float(slope or 0.0)
        if kind == "L":
            return before, behind
        if kind in "KH":
            return 0.0, 0.0
        slope = (y[at + 1] - y[at - 1]) / (x[at + 1] - x[at - 1])
        if kind == "S":
            steepest = _STEPEST * min(abs(before), abs(behind)) if before * behind > 0.0 else 0.0
            slope = math.copysign(min(abs(slope), steepest), slope)
        return slope, slope


def curves_of(value: Word, count: int) -> list[Curve]:
    """Return the curves of a knob with several numbers, such as an ``x y``.

    Parameters
    ----------
    value : Word
        The knob's value: ``{{curve x1 2} {curve x1 3}}``, ``{2 {curve x1 3}}``, or one number for
        all.
    count : int
        How many numbers the knob has.

    Raises
    ------
    TrackError
        There are fewer or more, or one is an expression.
    """
    parts = words(value.text, value.line)
    if len(parts) == 1 and count > 1:
        parts *= count
    if len(parts) != count:
        raise fault(value.line, f"expected {count} numbers or curves, found {len(parts)}")
    return [curve_of(part) for part in parts]


def curve_of(value: Word) -> Curve:
    """Return a number or a curve.

    Raises
    ------
    TrackError
        It is an expression, or no curve.
    """
    tokens = words(value.text, value.line)
    if len(tokens) == 1 and tokens[0].text != "curve":
        return Curve(constant=_number(tokens[0], tokens[0].text, "a number or a curve"))
    if tokens and tokens[0].text != "curve":
        raise fault(
            tokens[0].line,
            f"expected a number or a curve, found {tokens[0].text[:40]!r}; an expression has to be "
            "baked into keys first",
        )
    keys, linear = _keys(tokens[1:])
    return Curve(keys, linear=linear)


def written(values: Mapping[int, float], kind: str = "") -> str:
    """Return a curve with a key at each frame, as a script holds it; `kind` stands before each."""
    keys = (f"{kind} x{at} {number_text(value)}".strip() for at, value in sorted(values.items()))
    return "{" + " ".join(["curve", *keys]) + "}"


def number_text(value: float, decimals: int = 6) -> str:
    """Return a number in decimals, without zeros at its end.

    >>> number_text(12.5), number_text(-0.0000001), number_text(7)
    ('12.5', '0', '7')
    """
    text = f"{value:.{decimals}f}".rstrip("0").rstrip(".")
    return "0" if text in ("-0", "") else text


def _keys(tokens: Iterable[Word]) -> tuple[dict[float, Key], bool]:
    """Return the keys behind the word ``curve``, and whether it goes on beyond its ends."""
    found: dict[float, dict[str, Any]] = {}
    last: dict[str, Any] | None = None
    placed: list[float] = []
    kind, linear, frame = "S", False, None
    for token in tokens:
        text = token.text
        head, rest = text[:1], text[1:]
        if head in _KINDS and not rest:
            kind = text
        elif text in ("k", "l"):
            linear = text == "l"
        elif text in ("i", "I"):
            continue
        elif head == "x":
            frame = _number(token, rest, "a frame behind x")
        elif head in _HANDLES and rest:
            if last is None:
                raise fault(token.line, f"expected a key before {text!r}")
            last[_HANDLES[head]] = _number(token, rest, "a slope or a handle")
            if head == "s":
                last.setdefault("right", last["left"])
        else:
            value = _number(token, text, "a key")
            frame = _following(placed) if frame is None else frame
            last = found[frame] = {"value": value, "kind": kind}
            placed = [*placed[-1:], frame]
            frame = None
    return {at: Key(**found[at]) for at in sorted(found)}, linear


def _following(placed: Sequence[float]) -> float:
    """Return the frame of a key that gives none."""
    if not placed:
        return 0.0
    return placed[-1] + (placed[-1] - placed[0] if len(placed) > 1 else 1.0)


def _number(token: Word, text: str, expected: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not abs(value) < _LARGEST:  # nor NaN
        raise fault(token.line, f"expected {expected}, found {token.text[:40]!r}")
    return value


def _spline(x: NDArray[np.float64], y: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the slopes of the spline with two continuous derivatives, which ends without bending.

    The natural cubic spline (de Boor, "A Practical Guide to Splines", 1978, chapter IV), its
    equations of three terms each solved from one end to the other and back.
    """
    steps, secant = np.diff(x), np.diff(y) / np.diff(x)
    under = np.array([*steps[1:], 1.0])
    middle = np.array([2.0, *(2.0 * (steps[:-1] + steps[1:])), 2.0])
    over = np.array([1.0, *steps[:-1]])
    wanted = 3.0 * np.array(
        [secant[0], *(steps[1:] * secant[:-1] + steps[:-1] * secant[1:]), secant[-1]]
    )
    for at in range(1, len(x)):
        share = under[at - 1] / middle[at - 1]
        middle[at] -= share * over[at - 1]
        wanted[at] -= share * wanted[at - 1]
    slopes = wanted / middle
    for at in range(len(x) - 2, -1, -1):
        slopes[at] = (wanted[at] - over[at] * slopes[at + 1]) / middle[at]
    return np.asarray(slopes, np.float64)


def _bezier(share: float, a: float, b: float, c: float, d: float) -> float:
    rest = 1.0 - share
    return rest**3 * a + 3.0 * rest * share * (rest * b + share * c) + share**3 * d


def _share_of(wanted: float, one: float, other: float) -> float:
    """Return where a curve's parameter has to be for its frame to be a share of the span."""
    low, high = 0.0, 1.0
    for _ in range(_HALVINGS):
        middle = (low + high) / 2.0
        low, high = (
            (middle, high) if _bezier(middle, 0.0, one, other, 1.0) < wanted else (low, middle)
        )
    return (low + high) / 2.0
