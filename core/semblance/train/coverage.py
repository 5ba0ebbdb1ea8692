"""Which poses and expressions a person's faces show, and the holes among them, in words.

Angles are those of a faceset's entries. A face turned to its own right (yaw below 0) shows its left
side: a *left profile*.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray

__all__ = ["LEAST", "PITCH", "YAW", "Coverage", "coverage", "expressions", "holes"]

Entry: TypeAlias = Mapping[str, Any]
Angles: TypeAlias = NDArray[np.float64]

YAW: Final = tuple(range(-75, 76, 10))
PITCH: Final = tuple(range(-35, 36, 10))
"""Edges of the histogram's bins in degrees; what lies beyond counts in the outermost bin."""

LEAST: Final = 3
"""So many faces are needed for a pose or an expression to be there."""

SMALLEST_HOLE: Final = 10.0
"""Degrees by which one person's reach has to fall short of the other's before it is told."""

USUAL: Final = {"yaw": 45.0, "pitch": 15.0}
"""How far a film's faces turn, in degrees: what one person alone is held against."""

MOST_GAPS: Final = 3

_SHUT: Final = 0.04
_CLOSED, _OPEN, _WIDE = 0.04, 0.12, 0.2
"""Height of an eye and of the mouth's opening, as shares of the way from nose bridge to chin."""

EXPRESSIONS: Final = ("shut eyes", "closed mouth", "open mouth", "mouth wide open")


@dataclass(frozen=True)
class Coverage:
    """Poses and expressions of one person's faces.

    Parameters
    ----------
    yaw, pitch : (n,) float64 array
        Degrees.
    shown : (n, 4) bool array
        Which of `EXPRESSIONS` each face shows.
    """

    yaw: Angles
    pitch: Angles
    shown: NDArray[np.bool_]

    @property
    def counts(self) -> NDArray[np.int64]:
        """Faces by pitch (rows, upward looks first) and yaw (columns, left profiles first)."""
        table, _, _ = np.histogram2d(
            np.clip(self.pitch, PITCH[0], PITCH[-1]),
            np.clip(self.yaw, YAW[0], YAW[-1]),
            bins=(np.array(PITCH, np.float64), np.array(YAW, np.float64)),
        )
        return table.astype(np.int64)

    def to_json(self) -> dict[str, Any]:
        """Return the histogram and the count of each expression as JSON holds them."""
        return {
            "faces": len(self.yaw),
            "yaw": list(YAW),
            "pitch": list(PITCH),
            "counts": self.counts.tolist(),
            "expressions": {
                name: int(self.shown[:, i].sum()) for i, name in enumerate(EXPRESSIONS)
            },
        }


def coverage(entries: Sequence[Entry]) -> Coverage:
    """Return what faces cover, as a faceset's listing has them."""
    points = np.asarray([entry["landmarks"] for entry in entries], np.float64)
    yaw = np.asarray([entry["yaw"] for entry in entries], np.float64)
    pitch = np.asarray([entry["pitch"] for entry in entries], np.float64)
    eyes, mouth = expressions(points.reshape(-1, 68, 2))
    shown = np.stack(
        [eyes < _SHUT, mouth < _CLOSED, (mouth >= _OPEN) & (mouth < _WIDE), mouth >= _WIDE], 1
    )
    return Coverage(yaw, pitch, shown)


def expressions(landmarks: Angles) -> tuple[Angles, Angles]:
    """Return how far eyes and mouth are open.

    Parameters
    ----------
    landmarks : (n, 68, 2) float64 array
        In square pixels.

    Returns
    -------
    eyes, mouth : (n,) float64 array
        Mean height of the eyes, and of the mouth's opening, over the way from the nose's bridge to
        the chin: an open eye has about 0.085, a shut one 0.03; a mouth that says "ah" 0.2.
    """

    def apart(one: int, other: int) -> Angles:
        return np.asarray(
            np.linalg.norm(landmarks[:, one] - landmarks[:, other], axis=1), np.float64
        )

    face = np.maximum(apart(27, 8), 1e-6)
    eyes = (apart(37, 41) + apart(38, 40) + apart(43, 47) + apart(44, 46)) / 4.0
    return eyes / face, apart(62, 66) / face


def holes(who: str, has: Coverage, other: Coverage | None = None, whose: str = "") -> list[str]:
    """Say what a person's faces lack.

    Parameters
    ----------
    who : str
        The person: "likeness".
    has : Coverage
        Of that person.
    other : Coverage, optional
        What it is held against; without one, the turns that are usual in a film (`USUAL`).
    whose : str
        The other person.

    Returns
    -------
    list of str
        A sentence each, the worst first; empty where nothing is missing.
    """
    found = [*_short_reaches(who, has, other, whose), *_missing_expressions(who, has, other, whose)]
    if other is not None:
        found += _gaps(who, has, other, whose)
    return found


def _reach(angles: Angles) -> float:
    """Return the angle that `LEAST` faces reach at least, to 5 degrees below; 0 without them."""
    if len(angles) < LEAST:
        return 0.0
    return max(0.0, float(np.floor(np.sort(angles)[-LEAST] / 5.0) * 5.0))


def _short_reaches(who: str, has: Coverage, other: Coverage | None, whose: str) -> list[str]:
    found: list[tuple[float, str]] = []
    for axis, sign, words in (
        ("yaw", -1.0, "left profile"),
        ("yaw", 1.0, "right profile"),
        ("pitch", -1.0, "look up"),
        ("pitch", 1.0, "look down"),
    ):
        reach = _reach(sign * getattr(has, axis))
        wanted = USUAL[axis] if other is None else _reach(sign * getattr(other, axis))
        if wanted - reach < SMALLEST_HOLE:
            continue
        beside = "" if other is None else f" ({whose} goes to {wanted:.0f}°)"
        found.append((wanted - reach, f"{who} has no {words} beyond {reach:.0f}°{beside}"))
    return [words for _, words in sorted(found, key=lambda each: -each[0])]


def _missing_expressions(who: str, has: Coverage, other: Coverage | None, whose: str) -> list[str]:
    found = []
    for index, name in enumerate(EXPRESSIONS):
        ours = int(has.shown[:, index].sum())
        theirs = LEAST if other is None else int(other.shown[:, index].sum())
        if ours >= LEAST or theirs < LEAST:
            continue
        count = "no" if ours == 0 else f"only {ours}"
        noun = "face with" if ours == 1 else "faces with"
        beside = "" if other is None else f" ({whose} has {theirs})"
        found.append(f"{who} has {count} {noun} {name}{beside}")
    return found


def _gaps(who: str, has: Coverage, other: Coverage, whose: str) -> list[str]:
    """Name the largest groups of poses inside a person's reach of which it has no face nearby."""
    near = cv2.dilate(np.minimum(has.counts, 255).astype(np.uint8), np.ones((3, 3), np.uint8))
    empty = (near == 0) & (other.counts > 0)
    yaws, pitches = (0.5 * (np.array(e[1:]) + np.array(e[:-1])) for e in (YAW, PITCH))
    inside = (yaws[None] >= -_reach(-has.yaw)) & (yaws[None] <= _reach(has.yaw))
    inside = inside & (pitches[:, None] >= -_reach(-has.pitch))
    inside = inside & (pitches[:, None] <= _reach(has.pitch))
    number, labels = cv2.connectedComponents((empty & inside).astype(np.uint8))
    found = []
    for label in range(1, number):
        rows, columns = np.nonzero(labels == label)
        weights = other.counts[rows, columns]
        if weights.sum() < LEAST:
            continue
        yaw, pitch = (
            float(np.average(axis[places], weights=weights))
            for axis, places in ((yaws, columns), (pitches, rows))
        )
        text = f"{who} has nothing near {_pose(yaw, pitch)} ({whose} has {weights.sum()} faces)"
        found.append((int(weights.sum()), text))
    return [text for _, text in sorted(found, key=lambda each: -each[0])[:MOST_GAPS]]


def _pose(yaw: float, pitch: float) -> str:
    side = f"{'left' if yaw < 0.0 else 'right'} side at {abs(yaw):.0f}°"
    return f"{side}, looking {'up' if pitch < 0.0 else 'down'} by {abs(pitch):.0f}°"
