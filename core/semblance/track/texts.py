"""2-D tracks as text: 3DEqualizer's, and After Effects' keyframe data, which Mocha writes too.

3DEqualizer: the number of points; for each its name, its colour, the number of its frames, and a
line ``frame x y`` for each. Frames are counted from 1 at the shot's first; pixels from the lower
left corner of the picture, y up, from edge to edge.

After Effects: a head with the size of the source, and for each point a line that names the
property, one that names the columns, and a line ``frame x y`` for each. Frames are counted from 0
at the shot's first; pixels from the upper left corner, y down. A pixel's centre lies at +0.5 in
both, as ours.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from semblance.errors import TrackError
from semblance.face import Track
from semblance.track.curves import number_text
from semblance.track.points import CORNERS, NAMES, Array, Points, Sheet

__all__ = [
    "AFTER_EFFECTS",
    "read_3de",
    "read_after_effects",
    "text_of_3de",
    "text_of_corners",
    "text_of_points",
]

AFTER_EFFECTS: Final = re.compile(r"\s*Adobe After Effects [\d.]+ Keyframe Data")
"""How such a text begins."""

_REMEDY: Final = "Export the track again."
_CORNERS: Final = (
    ("bottom left", ("lower left", "bottom left", "corner pin-0003", "power pin-0004")),
    ("bottom right", ("lower right", "bottom right", "corner pin-0004", "power pin-0005")),
    ("top right", ("upper right", "top right", "corner pin-0002", "power pin-0003")),
    ("top left", ("upper left", "top left", "corner pin-0001", "power pin-0002")),
)
"""What After Effects calls the corners, by name and by the number of the effect's parameter."""

_COUNTED: Final = re.compile(r" #\d+$")
"""After Effects' number behind a name."""

_PINNED: Final = {
    "top left": "Upper Left #2",
    "top right": "Upper Right #3",
    "bottom left": "Lower Left #4",
    "bottom right": "Lower Right #5",
}


def _fault(line: int, fact: str) -> TrackError:
    return TrackError(f"line {line}: {fact}", _REMEDY)


# ------------------------------------------------------------------------------------ 3DEqualizer


def read_3de(text: str) -> Points:
    """Read 2-D tracks of 3DEqualizer.

    Raises
    ------
    TrackError
        A line holds something else than it should.
    """
    lines = text.splitlines()
    while lines and not lines[-1].strip():
        lines.pop()
    at = 0

    def taken(expected: str) -> str:
        nonlocal at
        if at >= len(lines):
            raise _fault(max(at, 1), f"expected {expected} to follow, found the end of the file")
        at += 1
        return lines[at - 1].strip()

    def counted(expected: str) -> int:
        found = taken(expected)
        if not found.isdecimal():
            raise _fault(at, f"expected {expected}, found {found[:40]!r}")
        return int(found)

    count = counted("the number of points")
    names: list[str] = []
    frames: dict[int, dict[int, tuple[float, float]]] = {}
    for index in range(count):
        names.append(taken("the name of a point"))
        taken("the colour of a point")
        for _ in range(counted("the number of frames of a point")):
            frame, point = _row(taken("frame, x and y").split(), at)
            frames.setdefault(frame, {})[index] = point
    if at < len(lines):
        raise _fault(at + 1, f"expected nothing after {count} points, found {lines[at][:40]!r}")
    return Points(tuple(names), _gathered(frames, count), up=True, first=1)


def text_of_3de(track: Track, sheet: Sheet, first: int) -> str:
    """Return a track as 2-D tracks of 3DEqualizer; `first` is the frame that is 1 there."""
    marks = _marks(track, sheet, up=True)
    lines = [str(len(NAMES))]
    for index, name in enumerate(NAMES):
        lines += [name, "0", str(len(marks))]
        for frame, found in marks.items():
            x, y = found[index].tolist()
            lines.append(f"{frame - first + 1} {x:.6f} {y:.6f}")
    return "\n".join(lines) + "\n"


# ---------------------------------------------------------------------------------- After Effects


def read_after_effects(text: str) -> Points:
    """Read keyframe data of After Effects: four corners of a pin, or points of a tracker.

    Raises
    ------
    TrackError
        It holds neither, or a line of it no frame and numbers.
    """
    head, properties = _properties(text)
    corners = _corners(properties)
    found = corners or _tracked(properties)
    if not found:
        raise TrackError(
            "it holds neither the four corners of a pin nor points of a tracker", _REMEDY
        )
    frames: dict[int, dict[int, tuple[float, float]]] = {
        frame: {} for each in found.values() for frame in each.rows
    }
    for index, each in enumerate(found.values()):
        for frame, held in frames.items():
            point = each.rows.get(frame, each.still)
            if point is not None:
                held[index] = point
    width, height = (_positive(head, f"source {name}") for name in ("width", "height"))
    return Points(
        tuple(found),
        _gathered(frames, len(found)),
        first=0,
        motion="homography" if corners else "similarity",
        size=(round(width), round(height)) if width and height else None,
        pixel_aspect=_positive(head, "source pixel aspect ratio"),
    )


def text_of_points(track: Track, sheet: Sheet, first: int, fps: float) -> str:
    """Return a track as 68 points of a tracker; `first` is the frame that is 0 there."""
    marks = _marks(track, sheet, up=False)
    blocks = [
        _block(f"Motion Trackers\tSemblance\t{name}\tFeature Center", index, marks, first)
        for index, name in enumerate(NAMES)
    ]
    return _text(blocks, sheet, fps)


def text_of_corners(track: Track, sheet: Sheet, first: int, fps: float) -> str:
    """Return a track as a corner pin of the corners of the eyes and the mouth."""
    marks = _marks(track, sheet, up=False)
    blocks = [
        _block(f"Effects\tCorner Pin #1\t{label}", CORNERS[corner], marks, first)
        for corner, label in _PINNED.items()
    ]
    return _text(blocks, sheet, fps)


@dataclass
class _Property:
    """A property of keyframe data.

    Parameters
    ----------
    path : tuple of str
        Its name, in lower case, behind those of what it belongs to.
    name : str
        Of what it belongs to, as it is written.
    rows : dict of int to (float, float)
        By frame.
    still : (float, float) or None
        Its value where it does not move.
    """

    path: tuple[str, ...]
    name: str
    rows: dict[int, tuple[float, float]]
    still: tuple[float, float] | None = None


Head = Mapping[str, tuple[int, str]]


def _properties(text: str) -> tuple[Head, list[_Property]]:
    """Return the head of keyframe data, by name, and the properties."""
    head: dict[str, tuple[int, str]] = {}
    properties: list[_Property] = []
    planar = False
    for at, line in enumerate(text.splitlines(), start=1):
        cells = [cell.strip() for cell in line.split("\t")]
        there = [cell for cell in cells if cell]
        if not there or AFTER_EFFECTS.match(line):
            continue
        if there[0].lower() == "end of keyframe data":
            break
        if not line[0].isspace():
            path = tuple(cell.lower() for cell in there)
            properties.append(_Property(path, " ".join(there[1:-1]), {}))
        elif not properties:
            head[there[0].lower()] = at, there[-1]
        elif there[0].lower() == "frame":
            planar = len(there) > 2
        elif not planar:
            continue
        elif len(cells) > 1 and not cells[1]:  # no frame: it does not move
            properties[-1].still = _row(["0", *there], at)[1]
        else:
            frame, point = _row(there, at)
            properties[-1].rows[frame] = point
    return head, properties


def _corners(properties: Sequence[_Property]) -> dict[str, _Property]:
    """Return the corners of a pin, by their names, in our order; none where there is no pin."""
    found: dict[str, _Property] = {}
    for each in properties:
        title = " ".join(each.path)
        for corner, names in _CORNERS:
            if "pin" in title and any(name in each.path[-1] for name in names):
                found.setdefault(corner, each)
    if not found:
        return {}
    missing = [corner for corner, _ in _CORNERS if corner not in found]
    if missing:
        raise TrackError(f"the corner pin has no {missing[0]} corner", _REMEDY)
    moved = {each.path[-1]: each for each in properties if each.path[0] == "transform"}
    position, anchor = moved.get("position"), moved.get("anchor point")
    still = (position and (position.rows, position.still)) == (
        anchor and (anchor.rows, anchor.still)
    )
    if not still:
        raise TrackError(
            "the layer of the corner pin moves as well",
            "Export the corner pin without support for motion blur.",
        )
    return {corner: found[corner] for corner, _ in _CORNERS}


def _tracked(properties: Sequence[_Property]) -> dict[str, _Property]:
    """Return the points of a tracker, or of point controls, by their names."""
    centres: dict[str, _Property] = {}
    attached: dict[str, _Property] = {}
    for each in properties:
        last = _COUNTED.sub("", each.path[-1])
        if each.path[0] == "motion trackers" and last == "feature center":
            centres[each.name] = each
        elif each.path[0] == "motion trackers" and last == "attach point":
            attached[each.name] = each
        elif each.path[0] == "effects" and last == "point":
            centres[each.name] = each
    return {**attached, **centres}


def _block(title: str, index: int, marks: Mapping[int, Array], first: int) -> str:
    lines = [title, "\tFrame\tX pixels\tY pixels"]
    for frame, found in marks.items():
        x, y = map(number_text, found[index].tolist())
        lines.append(f"\t{frame - first}\t{x}\t{y}")
    return "\n".join(lines)


def _text(blocks: Sequence[str], sheet: Sheet, fps: float) -> str:
    width, height = sheet.size
    aspect = number_text(sheet.pixel_aspect)
    head = (
        "Adobe After Effects 8.0 Keyframe Data\n\n"
        f"\tUnits Per Second\t{number_text(fps)}\n"
        f"\tSource Width\t{width}\n\tSource Height\t{height}\n"
        f"\tSource Pixel Aspect Ratio\t{aspect}\n\tComp Pixel Aspect Ratio\t{aspect}\n"
    )
    return "\n".join([head, *(f"{block}\n" for block in blocks), "End of Keyframe Data\n"])


# ------------------------------------------------------------------------------------------- both


def _row(cells: Sequence[str], line: int) -> tuple[int, tuple[float, float]]:
    """Return the frame and the point of a line; what follows them is left alone."""
    try:
        frame, x, y = float(cells[0]), float(cells[1]), float(cells[2])
    except (ValueError, IndexError):
        frame = x = y = math.nan
    if not (math.isfinite(x) and math.isfinite(y) and frame == frame // 1):
        raise _fault(line, f"expected frame, x and y, found {' '.join(cells)[:40]!r}")
    return int(frame), (x, y)


def _gathered(
    frames: Mapping[int, Mapping[int, tuple[float, float]]], count: int
) -> dict[int, Array]:
    made: dict[int, Array] = {}
    for frame, found in sorted(frames.items()):
        made[frame] = np.full((count, 2), np.nan)
        made[frame][list(found)] = list(found.values())
    return made


def _marks(track: Track, sheet: Sheet, *, up: bool) -> dict[int, Array]:
    return {
        frame: sheet.out(np.asarray(face.landmarks, np.float64), up=up)
        for frame, face in sorted(track.faces.items())
    }


def _positive(head: Head, name: str) -> float | None:
    """Return a number of the head, None where it is not there or 0, as some write it."""
    line, text = head.get(name, (0, "0"))
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value) or value < 0.0:
        raise _fault(line, f"expected a number for {name}, found {text[:40]!r}")
    return value or None
