"""What became of each frame of a shot: findings in words, figures, and a small picture."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import groupby
from types import MappingProxyType
from typing import Any, Final, Literal, TypeAlias

from semblance.exr.sequence import compact

__all__ = ["FIGURES", "Figure", "Finding", "FrameReview", "ShotReview", "grouped", "judged"]

Level: TypeAlias = Literal["problem", "look", "fine"]
"""How bad: the frame can't go out; a person should look at it; nothing is to be done."""

LEVELS: Final[tuple[Level, ...]] = ("problem", "look", "fine")


@dataclass(frozen=True)
class Figure:
    """A figure that is taken of every frame.

    Parameters
    ----------
    title, unit : str
        As a person reads it.
    meaning : str
        In one sentence, with what is good.
    ideal : float or None
        A value to which it is held.
    axis : tuple of float
        Values that its plots reach in any case, so that little things look little.
    decimals : int
    """

    title: str
    unit: str
    meaning: str
    ideal: float | None = None
    axis: tuple[float, ...] = ()
    decimals: int = 2


FIGURES: Final[Mapping[str, Figure]] = MappingProxyType(
    {
        "track": Figure(
            "Track score",
            "",
            "How sure the tracker is of the face, 0 to 1; below 0.5 it guesses.",
            axis=(0.0, 1.0),
        ),
        "psnr": Figure("PSNR", "dB", "Result against the truth; well above the plate's own."),
        "plate_psnr": Figure("Plate's PSNR", "dB", "The untouched plate against the truth."),
        "seam": Figure(
            "Seam",
            "",
            "Contrast on the matte's edge over the plate's own there; 1 is seamless.",
            1.0,
        ),
        "flicker": Figure(
            "Flicker",
            "",
            "How much of the change on the face is another than in the frame before; 0 is steady.",
            0.0,
        ),
        "truth_seam": Figure("Seam to truth", "", "As score.md defines it; 1 is seamless.", 1.0),
        "truth_flicker": Figure(
            "Flicker to truth", "", "As score.md defines it; up to 0.3 is calm.", 0.0
        ),
        "coverage": Figure(
            "Coverage",
            "",
            "The matte's area over that of the face; a dip is something in front.",
            axis=(0.0, 1.0),
        ),
        "milliseconds": Figure(
            "Time",
            "ms",
            "To compute the frame again on this machine, without reading and writing.",
            axis=(0.0,),
            decimals=0,
        ),
    }
)


@dataclass(frozen=True)
class Finding:
    """One thing to say of a frame."""

    level: Level
    text: str


@dataclass(frozen=True)
class FrameReview:
    """One frame.

    Parameters
    ----------
    number : int
    findings : tuple of Finding
        At least one; the first that is worst names the frame's level.
    figures : mapping of str to float
        Those that were taken, by their name in `FIGURES`.
    thumbnail : bytes
        JPEG of plate, matte and result around the face; empty where there is none.
    """

    number: int
    findings: tuple[Finding, ...]
    figures: Mapping[str, float] = field(default_factory=dict)
    thumbnail: bytes = b""

    @property
    def level(self) -> Level:
        """The worst of its findings."""
        return min((each.level for each in self.findings), key=LEVELS.index, default="fine")


@dataclass(frozen=True)
class ShotReview:
    """A reviewed shot.

    Parameters
    ----------
    name : str
    frames : tuple of FrameReview
        In order of their numbers.
    facts : mapping of str to str
        What holds for the shot, by what it is.
    notes : tuple of str
        What a person must know to read the rest.
    stages : mapping of str to (float, float)
        Median and 95th percentile of each stage of the render, in milliseconds, from its summary.
    """

    name: str
    frames: tuple[FrameReview, ...]
    facts: Mapping[str, str]
    notes: tuple[str, ...] = ()
    stages: Mapping[str, tuple[float, float]] = field(default_factory=dict)

    def count(self, level: Level) -> int:
        """Return how many frames have a level."""
        return sum(frame.level == level for frame in self.frames)

    def series(self, name: str) -> tuple[tuple[int, float], ...]:
        """Return a figure by frame, where it was taken."""
        return tuple(
            (frame.number, frame.figures[name]) for frame in self.frames if name in frame.figures
        )

    def means(self) -> dict[str, float]:
        """Return the mean of each figure over the frames that have it."""
        taken = {name: [value for _, value in self.series(name)] for name in FIGURES}
        return {name: statistics.fmean(values) for name, values in taken.items() if values}

    def to_json(self) -> dict[str, Any]:
        """Return the review as plain values."""
        return {
            "format": "semblance-review",
            "version": 1,
            "name": self.name,
            "facts": dict(self.facts),
            "notes": list(self.notes),
            "frames": len(self.frames),
            "range": compact(frame.number for frame in self.frames),
            "problems": self.count("problem"),
            "looks": self.count("look"),
            "findings": [
                {"level": level, "frames": compact(numbers), "text": text}
                for level, text, numbers in grouped(self.frames)
                if level != "fine"
            ],
            "mean": {name: round(value, 4) for name, value in self.means().items()},
            "stages": {name: list(pair) for name, pair in self.stages.items()},
            "figures": {
                str(frame.number): {name: round(value, 4) for name, value in frame.figures.items()}
                for frame in self.frames
            },
        }


def grouped(frames: Iterable[FrameReview]) -> list[tuple[Level, str, tuple[int, ...]]]:
    """Return findings of the same words together, the worst first, then by their first frame."""
    said = [(each.level, each.text, frame.number) for frame in frames for each in frame.findings]
    said.sort(key=lambda one: (LEVELS.index(one[0]), one[1], one[2]))
    groups = [
        (level, text, tuple(number for _, _, number in group))
        for (level, text), group in groupby(said, key=lambda one: one[:2])
    ]
    return sorted(groups, key=lambda group: (LEVELS.index(group[0]), group[2]))


def judged(frames: Sequence[FrameReview]) -> tuple[FrameReview, ...]:
    """Return frames with findings for figures that stand out.

    A track score is held to a fixed limit, all others to the shot's own median, because what is
    usual depends on the shot.
    """
    middle = {
        name: statistics.median(values)
        for name in ("seam", "flicker", "coverage")
        if (values := [frame.figures[name] for frame in frames if name in frame.figures])
    }
    return tuple(_judged(frame, middle) for frame in frames)


_UNSURE: Final = 0.5
_SEAM: Final = (1.25, 1.5)
_FLICKER: Final = (0.5, 2.0)
_HELD_OUT: Final = 0.6
"""Figures beyond which a frame stands out: the track's score; seam and flicker by at least the
first value and by the second times the shot's median; coverage under this share of its median."""


def _judged(frame: FrameReview, middle: Mapping[str, float]) -> FrameReview:
    figures, more = frame.figures, []
    if figures.get("track", 1.0) < _UNSURE:
        more.append("the tracker is unsure of the face")
    for name, limits, words in (
        ("seam", _SEAM, "the matte's edge stands out more than in the rest of the shot"),
        ("flicker", _FLICKER, "the change differs from the frame before more than elsewhere"),
    ):
        usual = middle.get(name, 0.0)
        if figures.get(name, 0.0) > max(limits[0], limits[1] * usual):
            more.append(words)
    if figures.get("coverage", 1e9) < _HELD_OUT * middle.get("coverage", 0.0):
        more.append("much of the face is held out of the matte")
    if not more:
        return frame
    found = tuple(Finding("look", text) for text in more)
    kept = tuple(each for each in frame.findings if each.level != "fine")
    return replace(frame, findings=(*kept, *found))
