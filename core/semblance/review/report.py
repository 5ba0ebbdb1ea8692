"""The report of a shot: problems first, plots, and a row for every frame."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from io import BytesIO
from typing import Final
from urllib.parse import quote

from PIL import Image

from semblance.exr.sequence import compact
from semblance.review.frames import (
    FIGURES,
    LEVELS,
    FrameReview,
    ShotReview,
    grouped,
)
from semblance.review.page import chart, facts, image, page, table

__all__ = ["MARKS", "headline", "report"]

MARKS: Final[Mapping[str, str]] = {"problem": "✖ problem", "look": "▲ look", "fine": "● fine"}
"""How a level is written: a sign and a word, so that no colour is needed."""

_CHARTS: Final = (
    ("track",),
    ("psnr", "plate_psnr"),
    ("seam", "truth_seam"),
    ("flicker", "truth_flicker"),
    ("coverage",),
    ("milliseconds",),
)
_LINES: Final[Mapping[str, str]] = {
    "plate_psnr": "plate",
    "seam": "to the plate",
    "flicker": "to the frame before",
    "truth_seam": "to the truth",
    "truth_flicker": "to the truth",
}
"""What the lines of a plot are called, where it is not the result."""


def report(review: ShotReview, sheet: bytes = b"", files: Mapping[str, str] | None = None) -> str:
    """Return the report as one HTML page.

    Parameters
    ----------
    review : ShotReview
    sheet : bytes
        The contact sheet, as JPEG; none for none.
    files : mapping of str to str
        What lies beside the report, file name by description, for links; the page loads none.
    """
    parts = [
        f"<h1>Review of {escape(review.name)}</h1>",
        f"<p>{headline(review)}</p>",
        _notes(review.notes),
        _findings(review),
        "<h2>The shot</h2>",
        facts(review.facts),
        _links(files or {}),
        _sheet(sheet),
        _charts(review),
        _stages(review.stages),
        _frames(review),
    ]
    return page(f"Review of {review.name}", "\n".join(part for part in parts if part))


def headline(review: ShotReview) -> str:
    """Return what a shot comes to, as one line of HTML."""
    problems, looks = review.count("problem"), review.count("look")
    total = f"{len(review.frames)} frames"
    if not problems and not looks:
        return f'<span class="fine">{MARKS["fine"]}</span>: {total}, nothing stands out.'
    said = [
        f'<span class="{level}">{MARKS[level]}</span> in {count}'
        for level, count in (("problem", problems), ("look", looks))
        if count
    ]
    return f"{', '.join(said)} of {total}."


def _notes(notes: Sequence[str]) -> str:
    return "".join(f'<p><span class="look">Note:</span> {escape(note)}</p>' for note in notes)


def _findings(review: ShotReview) -> str:
    rows = []
    for level, text, numbers in grouped(review.frames):
        if level == "fine":
            continue
        rows.append(
            f'<tr><td class="{level}">{MARKS[level]}</td>'
            f'<td><a href="#f{numbers[0]}">{compact(numbers)}</a></td>'
            f'<td class="what">{escape(text)}</td></tr>'
        )
    if not rows:
        return ""
    return "<h2>What to look at</h2>\n" + table(
        "Findings, problems first; the link leads to the first of the frames.",
        ("Level", "Frames", "What happened"),
        rows,
        (),
    )


def _links(files: Mapping[str, str]) -> str:
    if not files:
        return ""
    links = ", ".join(
        f'<a href="{escape(quote(name))}">{escape(words)}</a>' for words, name in files.items()
    )
    return f"<nav aria-label='Files'><p>Beside this report: {links}.</p></nav>"


def _sheet(sheet: bytes) -> str:
    if not sheet:
        return ""
    with Image.open(BytesIO(sheet)) as picture:
        size = picture.size
    shown = image(sheet, "jpeg", size, "Contact sheet: some frames of the shot in columns.")
    return (
        f"<h2>Contact sheet</h2>\n<figure>{shown}<figcaption>Some frames from the first to the "
        "last, around the face, at the shot's exposure.</figcaption></figure>"
    )


def _charts(review: ShotReview) -> str:
    bad = [frame.number for frame in review.frames if frame.level == "problem"]
    drawn = []
    for names in _CHARTS:
        lines = [(name, review.series(name)) for name in names]
        lines = [(name, line) for name, line in lines if line]
        if not lines:
            continue
        figure = FIGURES[lines[0][0]]
        titled = [(_LINES.get(name, "result"), line) for name, line in lines]
        drawn.append(
            chart(
                figure.title,
                figure.meaning,
                titled,
                unit=figure.unit,
                ideal=figure.ideal,
                axis=figure.axis,
                bad=bad,
            )
        )
    if not drawn:
        return ""
    note = "<p>Red ticks at the bottom are frames with problems.</p>\n" if bad else ""
    return f'<h2>By frame</h2>\n{note}<div class="charts">\n' + "\n".join(drawn) + "\n</div>"


def _stages(stages: Mapping[str, tuple[float, float]]) -> str:
    if not stages:
        return ""
    rows = [
        f'<tr><th scope="row">{escape(name)}</th><td class="number">{median:.1f}</td>'
        f'<td class="number">{late:.1f}</td></tr>'
        for name, (median, late) in stages.items()
    ]
    return "<h2>Time of the render</h2>\n" + table(
        "Milliseconds a frame by stage, from the render's own summary.",
        ("Stage", "Median", "95th percentile"),
        rows,
        (1, 2),
    )


def _frames(review: ShotReview) -> str:
    there = [name for name in FIGURES if review.series(name)]
    heads = ["Frame", "What happened", "Plate, matte, result"]
    for name in there:
        figure = FIGURES[name]
        heads.append(escape(figure.title + (f", {figure.unit}" if figure.unit else "")))
    ordered = sorted(review.frames, key=lambda frame: LEVELS.index(frame.level))
    rows = [_row(frame, there) for frame in ordered]
    return "<h2>Every frame</h2>\n" + table(
        "All frames: those with problems, then those to look at, then the others.",
        heads,
        rows,
        (0, *range(3, len(heads))),
    )


def _row(frame: FrameReview, there: Sequence[str]) -> str:
    said = "".join(
        f'<li><span class="{each.level}">{MARKS[each.level]}</span> {escape(each.text)}</li>'
        for each in sorted(frame.findings, key=lambda each: LEVELS.index(each.level))
    )
    picture = '<span class="dim">none</span>'
    if frame.thumbnail:
        with Image.open(BytesIO(frame.thumbnail)) as thumbnail:
            size = thumbnail.size
        words = f"Frame {frame.number}: plate, matte and result around the face"
        picture = image(frame.thumbnail, "jpeg", size, words)
    cells = "".join(
        f'<td class="number">{frame.figures[name]:.{FIGURES[name].decimals}f}</td>'
        if name in frame.figures
        else '<td class="number dim">–</td>'
        for name in there
    )
    return (
        f'<tr id="f{frame.number}"><th scope="row" class="number">{frame.number}</th>'
        f'<td class="what"><ul>{said}</ul></td><td>{picture}</td>{cells}</tr>'
    )
