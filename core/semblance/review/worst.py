"""The frames of a shot that stand out as worst, each with its reason, for a run to train on."""

from __future__ import annotations

import json
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from semblance.review.files import write_text
from semblance.review.frames import FIGURES, FrameReview, ShotReview

__all__ = ["WORST_FILE", "WorstFrame", "worst_frames", "write_worst"]

WORST_FILE: Final = "worst.json"

FORMAT: Final = "semblance-frames"
VERSION: Final = 1

_BAD: Final = {
    "psnr": -1.0,
    "track": -1.0,
    "coverage": -1.0,
    "seam": 1.0,
    "flicker": 1.0,
    "truth_seam": 1.0,
    "truth_flicker": 1.0,
}
"""Figures that tell a bad frame: 1 where high values are bad, -1 where low ones are."""

_LEAST: Final = 0.02
"""Of its median, so much of a figure is no difference: what hardly varies makes no frame worst."""


@dataclass(frozen=True)
class WorstFrame:
    """A frame that stands out.

    Parameters
    ----------
    number : int
    badness : float
        Sum over its figures of how far each is on the bad side of the shot's median, in the shot's
        own deviations.
    reason : str
        The figures that say so, the worst first.
    """

    number: int
    badness: float
    reason: str


def worst_frames(review: ShotReview, count: int) -> tuple[WorstFrame, ...]:
    """Return the worst frames of a shot, at most so many, the worst first.

    Only frames that were rendered are among them: training mends no missing file. Deviations are
    robust (1.4826 times the median absolute deviation), so that the bad frames themselves do not
    hide one another.
    """
    scales = {
        name: _scale([value for _, value in review.series(name)])
        for name in _BAD
        if len(review.series(name)) > 2
    }
    judged = [found for frame in review.frames if (found := _judged(frame, scales)) is not None]
    return tuple(sorted(judged, key=lambda each: (-each.badness, each.number))[:count])


def write_worst(frames: Sequence[WorstFrame], source: str, path: Path) -> None:
    """Write frames as `semblance train --hard` takes them.

    Parameters
    ----------
    frames : sequence of WorstFrame
    source : str
        Name of the plates' pattern (``plate.####.exr``).
    path : Path

    Raises
    ------
    OutputError
        It can't be written there.
    """
    listed = [{"source": source, "frame": each.number, "reason": each.reason} for each in frames]
    document = {"format": FORMAT, "version": VERSION, "frames": listed}
    write_text(path, json.dumps(document, indent=2, ensure_ascii=False) + "\n")


def _scale(values: Sequence[float]) -> tuple[float, float]:
    """Return the median and the robust deviation."""
    middle = statistics.median(values)
    deviation = 1.4826 * statistics.median([abs(value - middle) for value in values])
    return middle, max(deviation, _LEAST * abs(middle), 1e-9)


def _judged(frame: FrameReview, scales: dict[str, tuple[float, float]]) -> WorstFrame | None:
    away = {}
    for name, (middle, deviation) in scales.items():
        if name in frame.figures:
            off = _BAD[name] * (frame.figures[name] - middle) / deviation
            if off > 1.0:
                away[name] = off
    if not away:
        return None
    parts = []
    for name in sorted(away, key=lambda each: -away[each]):
        figure = FIGURES[name]
        unit = f" {figure.unit}" if figure.unit else ""
        usual = f"{scales[name][0]:.{figure.decimals}f}"
        value = f"{frame.figures[name]:.{figure.decimals}f}"
        parts.append(f"{figure.title} {value}{unit} (usual {usual})")
    return WorstFrame(frame.number, sum(away.values()), ", ".join(parts))
