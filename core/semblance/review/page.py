"""One HTML file that needs nothing beside it: style, escaped text, pictures and plots inside.

The page runs no script, and its content policy lets it load nothing. It follows the reader's light
or dark preference, prints on white, and reads with a keyboard and a screen reader: headings and
landmarks, tables with headers, names for every picture, colours that are never the only sign.
"""

from __future__ import annotations

import base64
import math
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from itertools import pairwise
from typing import Final

__all__ = ["chart", "facts", "image", "page", "table"]

_STYLE: Final = """
:root { color-scheme: light dark; --paper: #fff; --panel: #f4f4f4; --ink: #1b1b1b; --dim: #585858;
  --rule: #c9c9c9; --line: #1c5ca8; --other: #6d6d6d; --problem: #ab0020; --look: #7d4a00;
  --fine: #1d6330; }
@media (prefers-color-scheme: dark) { :root { --paper: #161616; --panel: #222; --ink: #e8e8e8;
  --dim: #adadad; --rule: #474747; --line: #82b6f5; --other: #a5a5a5; --problem: #ff938a;
  --look: #ffc66e; --fine: #90d8a2; } }
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 1rem 1.25rem 4rem; max-width: 84rem; background: var(--paper);
  color: var(--ink); font: 16px/1.5 system-ui, sans-serif; }
h1 { font-size: 1.6rem; margin: 0.5rem 0; overflow-wrap: anywhere; }
h2 { font-size: 1.2rem; margin: 2rem 0 0.5rem; }
h3 { font-size: 1rem; margin: 0 0 0.25rem; }
p { margin: 0.25rem 0 0.75rem; max-width: 48rem; }
a { color: var(--line); }
:focus-visible { outline: 3px solid var(--line); outline-offset: 2px; }
.skip { position: absolute; left: -100rem; }
.skip:focus { left: 1rem; top: 1rem; background: var(--paper); padding: 0.5rem; }
.dim { color: var(--dim); }
.problem, .look, .fine { font-weight: 600; }
.problem { color: var(--problem); } .look { color: var(--look); } .fine { color: var(--fine); }
dl { display: grid; grid-template-columns: max-content 1fr; gap: 0.15rem 1.25rem; margin: 0; }
dt { color: var(--dim); } dd { margin: 0; overflow-wrap: anywhere; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
caption { text-align: left; color: var(--dim); padding-bottom: 0.35rem; }
th, td { padding: 0.3rem 0.75rem 0.3rem 0; border-bottom: 1px solid var(--rule);
  text-align: left; vertical-align: top; }
.number { text-align: right; white-space: nowrap; } td img { margin: 0.1rem 0; }
thead th, thead th.number { vertical-align: bottom; white-space: normal; }
.what { min-width: 15rem; max-width: 32rem; overflow-wrap: anywhere; }
.what ul { margin: 0; padding: 0; list-style: none; }
img { display: block; max-width: 100%; height: auto; background: #000; }
td img { max-width: none; }
figure { margin: 0; } figcaption { color: var(--dim); font-size: 0.875rem; }
.charts { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(30rem, 100%), 1fr));
  gap: 1.25rem; }
.chart { background: var(--panel); padding: 0.75rem; min-width: 0; }
.chart p { font-size: 0.875rem; margin: 0 0 0.35rem; color: var(--dim); }
svg { display: block; width: 100%; min-width: 26rem; height: auto; }
svg text { fill: var(--dim); font: 12px system-ui, sans-serif; }
svg .rule { stroke: var(--rule); } svg .ideal { stroke: var(--ink); stroke-dasharray: 2 4; }
svg .line { stroke: var(--line); fill: none; stroke-width: 1.75; stroke-linejoin: round; }
svg .other, svg .third { stroke: var(--other); fill: none; stroke-width: 1.5; }
svg .other { stroke-dasharray: 6 4; } svg .third { stroke-dasharray: 1.5 3; }
svg .dot { fill: var(--line); } svg .bad { stroke: var(--problem); stroke-width: 1.5; }
@media print {
  :root { color-scheme: light; --paper: #fff; --panel: #fff; --ink: #000; --dim: #444;
    --rule: #aaa; --line: #123e74; --other: #666; --problem: #8d001a; --look: #613a00;
    --fine: #124a22; }
  @page { margin: 12mm; }
  body { max-width: none; padding: 0; font-size: 10pt; }
  .skip, nav { display: none; }
  .scroll { overflow: visible; }
  thead { display: table-header-group; }
  tr, figure, .chart { break-inside: avoid; }
  h2, h3 { break-after: avoid; }
  svg { min-width: 0; }
  .what { min-width: 0; }
  td img { width: 38mm; height: auto; }
  table { font-size: 8pt; }
  th, td { padding-right: 0.35rem; }
  .chart { padding: 0; }
  * { print-color-adjust: exact; }
}
"""

_POLICY: Final = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'"

_WIDTH, _HEIGHT = 560, 150
_LEFT, _RIGHT, _TOP, _BOTTOM = 46, 12, 8, 22
_STROKES: Final = (("line", "solid"), ("other", "dashed"), ("third", "dotted"))
"""Of a plot's lines in order, as the style sheet and a reader know them."""

_MOST_DOTS: Final = 300
"""Points that are drawn one by one, with their values to be read; more would be a band."""


def page(title: str, body: str) -> str:
    """Return a whole page.

    Parameters
    ----------
    title : str
        Plain text.
    body : str
        HTML; every text in it has been escaped.
    """
    return (
        f'<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">\n'
        f'<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f'<meta name="referrer" content="no-referrer">\n'
        f'<link rel="icon" href="data:,">\n'
        f"<title>{escape(title)}</title>\n<style>{_STYLE}</style>\n</head>\n<body>\n"
        f'<a class="skip" href="#main">Skip to the content</a>\n'
        f'<main id="main">\n{body}\n</main>\n</body>\n</html>\n'
    )


def image(data: bytes, kind: str, size: tuple[int, int], words: str) -> str:
    """Return a picture that lies in the page itself.

    Parameters
    ----------
    data : bytes
        The whole file.
    kind : str
        ``jpeg`` or ``png``.
    size : (int, int)
        Width and height, so that nothing moves while the page is read.
    words : str
        What is on it, for those who don't see it.
    """
    held = base64.b64encode(data).decode("ascii")
    return (
        f'<img src="data:image/{kind};base64,{held}" width="{size[0]}" height="{size[1]}" '
        f'alt="{escape(words)}">'
    )


def facts(pairs: Mapping[str, str]) -> str:
    """Return a list of names and plain texts."""
    rows = "".join(f"<dt>{escape(k)}</dt><dd>{escape(v)}</dd>\n" for k, v in pairs.items() if v)
    return f"<dl>\n{rows}</dl>"


def table(caption: str, heads: Sequence[str], rows: Iterable[str], numbers: Iterable[int]) -> str:
    """Return a table that can be scrolled with the keyboard where it is too wide.

    Parameters
    ----------
    caption : str
        Plain text.
    heads : sequence of str
        HTML of the column heads.
    rows : iterable of str
        HTML, ``<tr>`` each.
    numbers : iterable of int
        Which columns hold numbers.
    """
    right = set(numbers)
    head = "".join(
        f'<th scope="col"{" class=number" if index in right else ""}>{each}</th>'
        for index, each in enumerate(heads)
    )
    return (
        f'<div class="scroll" tabindex="0" role="region" aria-label="{escape(caption)}">\n<table>\n'
        f"<caption>{escape(caption)}</caption>\n<thead><tr>{head}</tr></thead>\n<tbody>\n"
        + "\n".join(rows)
        + "\n</tbody>\n</table>\n</div>"
    )


def chart(
    title: str,
    meaning: str,
    lines: Sequence[tuple[str, Sequence[tuple[int, float]]]],
    *,
    unit: str = "",
    ideal: float | None = None,
    axis: Sequence[float] = (),
    bad: Sequence[int] = (),
) -> str:
    """Return a plot over frames, as SVG with words for those who don't see it.

    Parameters
    ----------
    title, meaning, unit : str
        Plain text.
    lines : sequence of (str, points)
        Name and (frame, value) in order of frames; the first is drawn solid, the next dashed,
        the third dotted; at most three. A line is broken where frames are missing.
    ideal : float, optional
        A dotted line.
    axis : sequence of float
        Values that the axis reaches in any case.
    bad : sequence of int
        Frames to be marked at the bottom.
    """
    points = [point for _, line in lines for point in line]
    frames = [frame for frame, _ in points] + list(bad)
    first, last = min(frames), max(frames)
    values = [value for _, value in points] + [*axis, *([] if ideal is None else [ideal])]
    ticks = _ticks(min(values), max(values))
    low, high = ticks[0], ticks[-1]
    across = (_WIDTH - _LEFT - _RIGHT) / max(last - first, 1)
    down = (_HEIGHT - _TOP - _BOTTOM) / (high - low)

    def x(frame: int) -> str:
        return f"{_LEFT + (frame - first) * across:.1f}"

    def y(value: float) -> str:
        return f"{_HEIGHT - _BOTTOM - (value - low) * down:.1f}"

    parts = []
    for tick in ticks:
        at = y(tick)
        parts.append(f'<path class="rule" d="M{_LEFT} {at}H{_WIDTH - _RIGHT}"/>')
        place = f'y="{float(at) + 4:.1f}" text-anchor="end"'
        parts.append(f'<text x="{_LEFT - 6}" {place}>{_number(tick)}</text>')
    for frame, anchor in _frame_ticks(first, last):
        parts.append(
            f'<text x="{x(frame)}" y="{_HEIGHT - 6}" text-anchor="{anchor}">{frame}</text>'
        )
    if ideal is not None:
        parts.append(f'<path class="ideal" d="M{_LEFT} {y(ideal)}H{_WIDTH - _RIGHT}"/>')
    foot = _HEIGHT - _BOTTOM
    parts += [
        f'<path class="bad" d="M{x(frame)} {foot}v-9">'
        f"<title>frame {frame}: a problem</title></path>"
        for frame in bad
    ]
    for index, (_, line) in enumerate(lines):
        way = " ".join(
            ("M" if start else "L") + f"{x(frame)} {y(value)}"
            for frame, value, start in _with_starts(line)
        )
        parts.append(f'<path class="{_STROKES[index][0]}" d="{way}"/>')
        if index == 0 and len(line) <= _MOST_DOTS:
            parts += [
                f'<circle class="dot" cx="{x(frame)}" cy="{y(value)}" r="2.5">'
                f"<title>frame {frame}: {_number(value)} {escape(unit)}</title></circle>"
                for frame, value in line
            ]
    said = "; ".join(_said(name, line, unit) for name, line in lines)
    legend = ", ".join(
        f"{stroke}: {escape(name)}" for (_, stroke), (name, _) in zip(_STROKES, lines, strict=False)
    )
    legend = f" ({legend})" if len(lines) > 1 else ""
    shown = f"{escape(title)}{f', {escape(unit)}' if unit else ''}"
    return (
        f'<section class="chart"><h3>{shown}</h3>\n<p>{escape(meaning)}{legend}</p>\n'
        f'<div class="scroll" tabindex="0" role="region" aria-label="Plot of {escape(title)}">'
        f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" '
        f'aria-label="{escape(f"{title} by frame: {said}")}">\n'
        + "\n".join(parts)
        + "\n</svg></div></section>"
    )


def _with_starts(line: Sequence[tuple[int, float]]) -> Iterable[tuple[int, float, bool]]:
    """Yield points, and whether a new stroke begins there: first, or after missing frames."""
    steps = [b[0] - a[0] for a, b in pairwise(line)]
    usual = min(steps, default=1)
    for index, (frame, value) in enumerate(line):
        yield frame, value, index == 0 or steps[index - 1] > usual


def _ticks(low: float, high: float) -> list[float]:
    """Return three to six round values that enclose a range."""
    if high - low < 1e-9 * max(abs(high), 1.0):
        low, high = low - 0.5 * max(abs(low), 0.1), high + 0.5 * max(abs(high), 0.1)
    rough = (high - low) / 3.0
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(each * power for each in (1.0, 2.0, 2.5, 5.0, 10.0) if each * power >= rough)
    start, end = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [step * index for index in range(start, max(end, start + 1) + 1)]


def _frame_ticks(first: int, last: int) -> list[tuple[int, str]]:
    """Return which frames are written under a plot, and by which side of the text."""
    if first == last:
        return [(first, "start")]
    inner = sorted({first + round((last - first) * part / 4) for part in (1, 2, 3)} - {first, last})
    return [(first, "start"), *((frame, "middle") for frame in inner), (last, "end")]


def _number(value: float) -> str:
    return f"{value:.4g}"


def _said(name: str, line: Sequence[tuple[int, float]], unit: str) -> str:
    if not line:
        return f"{name} not taken"
    low, high = min(line, key=lambda each: each[1]), max(line, key=lambda each: each[1])
    return (
        f"{name} from {_number(low[1])} {unit} in frame {low[0]} to {_number(high[1])} {unit} "
        f"in frame {high[0]}"
    )
