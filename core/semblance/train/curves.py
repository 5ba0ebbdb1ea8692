"""A run's losses over its steps, read as they are written and drawn as one SVG."""

from __future__ import annotations

import json
import math
from html import escape
from pathlib import Path
from typing import Final

__all__ = ["Curves", "drawn"]

MOST: Final = 600
"""Points of a curve, from half of it on; more are averaged by twos."""

WIDTH, HEIGHT, LEFT, BOTTOM, TOP, RIGHT = 900, 300, 56, 26, 10, 150

COLOURS: Final = {
    "loss": "#7a7a7a",
    "structure": "#c85a1e",
    "luma": "#3c963c",
    "features": "#3c5cd2",
    "chroma": "#aa3ca0",
}


class Curves:
    """The losses in a file that grows.

    Attributes
    ----------
    steps : list of float
        Mean step of each point.
    values : dict of str to list of float
        Mean of each term, by its name.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._read = 0
        self._bucket = 1
        self._pending: list[dict[str, float]] = []
        self.steps: list[float] = []
        self.values: dict[str, list[float]] = {name: [] for name in COLOURS}

    def read_on(self) -> None:
        """Take the lines that have been written since."""
        if not self._path.exists():
            return
        with self._path.open("rb") as file:
            file.seek(self._read)
            data = file.read()
        whole = data[: data.rfind(b"\n") + 1]  # not the line that is being written
        self._read += len(whole)
        for line in whole.splitlines():
            try:
                row = json.loads(line)
            except ValueError:
                continue  # that of a run that was killed
            self._take(row)

    def _take(self, row: dict[str, float]) -> None:
        if self.steps and row["step"] <= self.steps[-1]:
            self._forget(row["step"])  # a run that went on from an earlier checkpoint
        self._pending.append(row)
        if len(self._pending) < self._bucket:
            return
        count = len(self._pending)
        self.steps.append(sum(each["step"] for each in self._pending) / count)
        for name, values in self.values.items():
            values.append(sum(each.get(name, math.nan) for each in self._pending) / count)
        self._pending.clear()
        if len(self.steps) >= MOST:
            self._bucket *= 2
            self.steps = _halved(self.steps)
            self.values = {name: _halved(values) for name, values in self.values.items()}

    def _forget(self, step: float) -> None:
        kept = sum(each < step for each in self.steps)
        del self.steps[kept:]
        for values in self.values.values():
            del values[kept:]
        self._pending.clear()


def _halved(values: list[float]) -> list[float]:
    return [0.5 * (one + two) for one, two in zip(values[::2], values[1::2], strict=False)]


def drawn(curves: Curves) -> str:
    """Return the curves as SVG, on a logarithmic scale; a sentence where there are none yet."""
    known = {
        name: values
        for name, values in curves.values.items()
        if any(value > 0.0 and math.isfinite(value) for value in values)
    }
    if len(curves.steps) < 2 or not known:
        return "<p>Not yet.</p>"
    finite = [v for values in known.values() for v in values if v > 0.0 and math.isfinite(v)]
    low, high = math.log10(min(finite)), math.log10(max(finite))
    first, last = curves.steps[0], curves.steps[-1]

    def x(step: float) -> float:
        return LEFT + (step - first) / max(last - first, 1.0) * (WIDTH - LEFT - RIGHT)

    def y(value: float) -> float:
        share = (math.log10(max(value, 10.0**low)) - low) / max(high - low, 1e-9)
        return HEIGHT - BOTTOM - share * (HEIGHT - BOTTOM - TOP)

    parts = []
    for decade in range(math.floor(low), math.ceil(high) + 1):
        for value in (m * 10.0**decade for m in (1, 2, 5)):
            if low <= math.log10(value) <= high:
                parts.append(
                    f'<line class="rule" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y(value):.1f}" '
                    f'y2="{y(value):.1f}"/><text x="4" y="{y(value) + 4:.1f}">{value:g}</text>'
                )
    for row, (name, values) in enumerate(known.items()):
        pairs = zip(curves.steps, values, strict=True)
        points = " ".join(f"{x(s):.1f},{y(v):.1f}" for s, v in pairs if math.isfinite(v))
        place = TOP + 14 + 18 * row
        parts.append(
            f'<polyline fill="none" stroke="{COLOURS[name]}" stroke-width="1.5" '
            f'points="{points}"/><text x="{WIDTH - RIGHT + 12}" y="{place}" '
            f'style="fill:{COLOURS[name]}">{escape(name)} {values[-1]:.4f}</text>'
        )
    parts.append(f'<text x="{LEFT}" y="{HEIGHT - 6}">step {first:.0f} to {last:.0f}</text>')
    return (
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="Losses over the steps">'
        f"{''.join(parts)}</svg>"
    )
