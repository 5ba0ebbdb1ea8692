"""The shot list: all reviewed shots of a project on one page.

A shot is listed by the figures file that its review left, wherever it lies in the project. These
files may come from anyone: what is malformed is named and left out, and every text is escaped.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterator
from dataclasses import dataclass
from html import escape
from io import BytesIO
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

from PIL import Image, UnidentifiedImageError

from semblance.errors import InputError
from semblance.review.files import write_text
from semblance.review.frames import FIGURES
from semblance.review.package import FIGURES_FILE, REPORT, THUMBNAIL
from semblance.review.page import image, page, table
from semblance.review.report import MARKS

__all__ = ["ShotList", "shot_list"]

_LARGEST: Final = 64 * 1024**2
_LARGEST_PICTURE: Final = 1024**2
_LONGEST_SIDE: Final = 4096
_MEANS: Final = ("psnr", "seam", "flicker", "coverage", "milliseconds")


@dataclass(frozen=True)
class ShotList:
    """What a shot list holds.

    Parameters
    ----------
    shots, problems : int
        Shots on it, and those of them that have frames with problems.
    unreadable : tuple of Path
        Figures files that are none.
    """

    shots: int
    problems: int
    unreadable: tuple[Path, ...]


@dataclass(frozen=True)
class _Shot:
    """One shot, as its figures file has it."""

    folder: Path
    name: str
    range: str
    frames: int
    problems: int
    looks: int
    first: str
    model: str
    release: str
    means: dict[str, float]


def shot_list(project: Path, path: Path) -> ShotList:
    """Write a page of all reviewed shots under a folder, those with problems first.

    Parameters
    ----------
    project : Path
        The folder; searched with all folders in it, hidden ones and links aside.
    path : Path
        The page (.html).

    Returns
    -------
    ShotList

    Raises
    ------
    InputError
        Nothing in the project was reviewed.
    OutputError
        The page can't be written there.
    """
    shots: list[_Shot] = []
    unreadable: list[Path] = []
    for found in _found(project):
        try:
            shots.append(_read(found))
        except (
            OSError,
            ArithmeticError,
            LookupError,
            ValueError,
            TypeError,
            AttributeError,
            RecursionError,
        ):
            unreadable.append(found)
    if not shots:
        others = f"; {len(unreadable)} can't be read, such as {unreadable[0]}" if unreadable else ""
        raise InputError(
            f"{project} holds no reviewed shot (no {FIGURES_FILE}){others}",
            "Review its shots first: semblance review PLATE RESULT … -o FOLDER.",
        )
    shots.sort(key=lambda shot: (not shot.problems, not shot.looks, shot.name, str(shot.folder)))
    write_text(path, _page(project, path.parent, shots, unreadable))
    return ShotList(len(shots), sum(shot.problems > 0 for shot in shots), tuple(unreadable))


def _found(project: Path) -> Iterator[Path]:
    for folder, folders, files in os.walk(project):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        if FIGURES_FILE in files:
            yield Path(folder) / FIGURES_FILE


def _read(path: Path) -> _Shot:
    """Return a shot; raises one of several errors of Python's own where the file is no review."""
    if path.stat().st_size > _LARGEST:
        raise ValueError("too large")
    held: Any = json.loads(path.read_text(encoding="utf-8"))
    if held["format"] != "semblance-review" or held["version"] != 1:
        raise ValueError("another format")
    findings = held["findings"]
    worst = findings[0] if findings else {"frames": "", "text": ""}
    facts = held["facts"]
    return _Shot(
        path.parent,
        str(held["name"]),
        str(held["range"]),
        int(held["frames"]),
        int(held["problems"]),
        int(held["looks"]),
        f"{worst['frames']}: {worst['text']}" if findings else "",
        str(facts.get("Model", "")),
        str(facts.get("Release", "")),
        {
            name: value
            for name in _MEANS
            if math.isfinite(value := float(held["mean"].get(name, math.nan)))
        },
    )


def _page(project: Path, beside: Path, shots: list[_Shot], unreadable: list[Path]) -> str:
    name = project.resolve().name
    bad = sum(shot.problems > 0 for shot in shots)
    frames = sum(shot.frames for shot in shots)
    said = (
        f'<span class="problem">{MARKS["problem"]}</span> in {bad} of them'
        if bad
        else (f'<span class="fine">{MARKS["fine"]}</span>: none has a problem')
    )
    there = [mean for mean in _MEANS if any(mean in shot.means for shot in shots)]
    heads = ["Shot", "Plate, matte, result", "Frames", "State", "Model and release"]
    heads += [escape(f"{FIGURES[mean].title} {FIGURES[mean].unit}".strip()) for mean in there]
    body = [
        f"<h1>Shots of {escape(name)}</h1>",
        f"<p>{len(shots)} reviewed shots, {frames} frames; {said}.</p>",
        *(
            f'<p><span class="look">Note:</span> {escape(_inside(path, project))} is no review '
            "that can be read.</p>"
            for path in unreadable
        ),
        table(
            "Shots, those with problems first. Figures are means over a shot's frames.",
            heads,
            [_row(shot, beside, there) for shot in shots],
            range(5, len(heads)),
        ),
    ]
    return page(f"Shots of {name}", "\n".join(body))


def _row(shot: _Shot, beside: Path, there: list[str]) -> str:
    link = quote(_inside(shot.folder / REPORT, beside).replace(os.sep, "/"))
    states = [
        f'<li><span class="{level}">{MARKS[level]}</span> in {count} frames</li>'
        for level, count in (("problem", shot.problems), ("look", shot.looks))
        if count
    ] or [f'<li><span class="fine">{MARKS["fine"]}</span></li>']
    if shot.first:
        states.append(f"<li>{escape(shot.first)}</li>")
    cells = "".join(
        f'<td class="number">{shot.means[mean]:.{FIGURES[mean].decimals}f}</td>'
        if mean in shot.means
        else '<td class="number dim">–</td>'
        for mean in there
    )
    return (
        f'<tr><th scope="row"><a href="{escape(link)}">{escape(shot.name)}</a></th>'
        f"<td>{_picture(shot)}</td><td>{escape(shot.range)}<br>"
        f'<span class="dim">{shot.frames}</span></td>'
        f'<td class="what"><ul>{"".join(states)}</ul></td>'
        f'<td class="what">{escape(shot.model)}<br><span class="dim">{escape(shot.release)}</span>'
        f"</td>{cells}</tr>"
    )


def _inside(path: Path, folder: Path) -> str:
    """Return a path as seen from a folder."""
    try:
        return os.path.relpath(path.resolve(), folder.resolve())
    except ValueError:  # on another drive
        return str(path.resolve())


def _picture(shot: _Shot) -> str:
    """Return the shot's small picture, made anew so that it is one, or words for none."""
    try:
        path = shot.folder / THUMBNAIL
        if path.stat().st_size > _LARGEST_PICTURE:
            raise ValueError("too large")
        with Image.open(BytesIO(path.read_bytes()), formats=["JPEG"]) as held:
            if max(held.size) > _LONGEST_SIDE:
                raise ValueError("too large")
            shown = held.convert("RGB")
    except (OSError, ValueError, UnidentifiedImageError, SyntaxError):
        return '<span class="dim">none</span>'
    shown.thumbnail((400, 96))
    file = BytesIO()
    shown.save(file, "JPEG", quality=82)
    return image(file.getvalue(), "jpeg", shown.size, f"A frame of {shot.name}")
