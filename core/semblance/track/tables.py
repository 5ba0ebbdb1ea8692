"""Landmarks as tables and as plain JSON.

- A long table: columns ``frame``, ``index``, ``x``, ``y``; a line for each landmark of each frame,
  in plate pixels as the track file has them.
- A wide table: columns ``frame``, ``x_0`` to ``x_67`` and ``y_0`` to ``y_67``, and perhaps
  ``face_id``, ``confidence`` and ``success``; a line for each frame, as OpenFace writes it. Frames
  are counted from 1, and the centre of the first pixel is at (0, 0).
- Landmarks in JSON: frames with 68 points each, in pixels of the picture or parts of it.

References
----------
Baltrusaitis et al., "OpenFace 2.0: Facial Behavior Analysis Toolkit", 2018, and its output format.
"""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

import numpy as np

from semblance.errors import TrackError
from semblance.face import Track
from semblance.track.curves import number_text
from semblance.track.points import COUNT, NAMES, Array, Points, Sheet

__all__ = [
    "COLUMNS",
    "read_landmarks",
    "read_long",
    "read_wide",
    "text_of_landmarks",
    "text_of_long",
    "text_of_wide",
    "wide",
]

COLUMNS: Final = ("frame", "index", "x", "y")

_CENTRE: Final = 0.5
"""From a pixel's corner to its centre: the wide table counts from the latter."""

_POINTS: Final = ("landmarks", "points", "facial_landmarks")
"""What landmarks are called in JSON."""

_MEND: Final = "Mend the file (docs/tracks.md), or export it again."

_X: Final = tuple(f"x_{index}" for index in range(COUNT))
_Y: Final = tuple(f"y_{index}" for index in range(COUNT))


# ----------------------------------------------------------------------------------------- tables


def wide(text: str) -> bool:
    """Return whether a table is wide, by its first line."""
    return "x_0" in {cell.strip() for cell in text.partition("\n")[0].split(",")}


def read_long(text: str) -> Points:
    """Read a long table, in plate pixels.

    Raises
    ------
    TrackError
        A column is missing, a line holds no landmark, or there is none.
    """
    frames: dict[int, Array] = {}
    for line, row in _rows(text, COLUMNS):
        frame, index = _whole(row["frame"]), _whole(row["index"])
        x, y = _finite(row["x"]), _finite(row["y"])
        if frame is None or index is None or not 0 <= index < COUNT or x is None or y is None:
            found = ",".join(row[name] for name in COLUMNS)
            raise TrackError(
                f"line {line}: expected frame, index 0 to 67, x and y, found {found}",
                "Mend the line.",
            )
        frames.setdefault(frame, np.full((COUNT, 2), np.nan))[index] = x, y
    if not frames:
        raise TrackError("it holds no landmarks", "Export the track again.")
    return Points(NAMES, dict(sorted(frames.items())))


def read_wide(text: str, face: int = 0) -> Points:
    """Read a wide table; of several faces, the one of a number.

    Raises
    ------
    TrackError
        A column is missing, a line holds no landmarks, or there is none of that face.
    """
    frames: dict[int, Array] = {}
    scores: dict[int, float] = {}
    looked: list[int] = []
    for line, row in _rows(text, ("frame", *_X, *_Y)):
        if "face_id" in row and _whole(row["face_id"]) != face:
            continue
        frame = _whole(row["frame"])
        if frame is None:
            raise TrackError(
                f"line {line}: expected a frame, found {row['frame'][:40]!r}", "Mend the line."
            )
        looked.append(frame)
        if _finite(row.get("success", "1")) == 0.0:
            continue
        values = [_finite(row[name]) for name in (*_X, *_Y)]
        if None in values:
            at = values.index(None)
            raise TrackError(
                f"line {line}: expected a number for {(*_X, *_Y)[at]}, found "
                f"{row[(*_X, *_Y)[at]][:40]!r}",
                "Mend the line.",
            )
        frames[frame] = np.array(values, np.float64).reshape(2, COUNT).T + _CENTRE
        score = _finite(row.get("confidence", "1"))
        scores[frame] = min(max(score if score is not None else 1.0, 0.0), 1.0)
    if not frames:
        raise TrackError(f"it holds no landmarks of face {face}", "Choose another face.")
    return Points(NAMES, dict(sorted(frames.items())), first=1, looked=tuple(looked), scores=scores)


def text_of_long(track: Track) -> str:
    """Return a track as a long table."""
    lines = [",".join(COLUMNS)]
    for frame, face in sorted(track.faces.items()):
        for index, (x, y) in enumerate(face.landmarks.tolist()):
            lines.append(f"{frame},{index},{number_text(x)},{number_text(y)}")
    return "\n".join(lines) + "\n"


def text_of_wide(track: Track, sheet: Sheet, first: int) -> str:
    """Return a track as a wide table; `first` is the frame that is 1 there."""
    lines = [",".join(("frame", "face_id", "confidence", "success", *_X, *_Y))]
    for frame in sorted({*track.frames, *track.faces}):
        face = track.faces.get(frame)
        marks = np.zeros((COUNT, 2))
        if face is not None:
            marks = sheet.out(np.asarray(face.landmarks, np.float64), up=False) - _CENTRE
        score = 0.0 if face is None else face.score
        cells = map(number_text, (*marks[:, 0].tolist(), *marks[:, 1].tolist()))
        head = (str(frame - first + 1), "0", number_text(score, 4), str(int(face is not None)))
        lines.append(",".join((*head, *cells)))
    return "\n".join(lines) + "\n"


def _rows(text: str, needed: Sequence[str]) -> Iterator[tuple[int, dict[str, str]]]:
    """Yield the lines of a table with their numbers."""
    table = csv.DictReader(io.StringIO(text, newline=""), skipinitialspace=True, restval="")
    names = [name.strip() for name in table.fieldnames or ()]
    table.fieldnames = names
    missing = [name for name in needed if name not in names]
    if missing:
        lacking = "" if len(needed) <= len(COLUMNS) else f" ({missing[0]} is missing)"
        shown = ", ".join(needed) if not lacking else "frame, x_0 to x_67 and y_0 to y_67"
        raise TrackError(
            f"line 1: expected the columns {shown}{lacking}, "
            f"found {', '.join(names[:8]) or 'none'}",
            "Name the columns in the first line.",
        )
    try:
        for row in table:
            yield table.line_num, {str(name): str(value) for name, value in row.items()}
    except csv.Error as error:
        raise TrackError(f"line {table.line_num}: {error}", "Mend the line.") from error


def _whole(text: str) -> int | None:
    try:
        return int(text)
    except ValueError:
        return None


def _finite(text: str) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) else None


# ------------------------------------------------------------------------------------------- JSON


def read_landmarks(document: Any) -> Points:
    """Read landmarks in JSON.

    Parameters
    ----------
    document : dict or list
        As parsed: ``frames`` with ``width``, ``height``, ``pixel_aspect``, ``origin``
        (``top-left``, ``bottom-left``) and ``units`` (``pixels``, ``normalized``) beside it, or the
        frames alone.

    Raises
    ------
    TrackError
        It has no frames, a frame has no 68 points, or parts of a picture are given without its
        size.
    """
    head = document if isinstance(document, dict) else {"frames": document}
    if "frames" not in head:
        raise TrackError(
            "it is no track: expected format 'semblance-track', or landmarks with their frames",
            "Make one with: semblance track PLATE.####.exr -o track.json.",
        )
    size = _size(head)
    units, origin = head.get("units", "pixels"), head.get("origin", "top-left")
    if units not in ("pixels", "normalized"):
        raise _odd("units", "'pixels' or 'normalized'", units)
    if origin not in ("top-left", "bottom-left"):
        raise _odd("origin", "'top-left' or 'bottom-left'", origin)
    if units == "normalized" and size is None:
        raise TrackError("normalized landmarks need the width and height beside them", _MEND)
    aspect = head.get("pixel_aspect")
    if aspect is not None and not (_is_number(aspect) and aspect > 0.0):
        raise _odd("pixel_aspect", "a number above 0", aspect)
    scale = size if units == "normalized" and size is not None else (1.0, 1.0)
    frames: dict[int, Array] = {}
    scores: dict[int, float] = {}
    looked: list[int] = []
    for frame, entry in _frames(head.get("frames")):
        looked.append(frame)
        marks = entry
        if isinstance(entry, dict):
            marks = next((entry[name] for name in _POINTS if name in entry), None)
            score = entry.get("score", 1.0)
            scores[frame] = min(max(float(score), 0.0), 1.0) if _is_number(score) else 1.0
        if marks:
            frames[frame] = _marks(frame, marks) * scale
    if not frames:
        raise TrackError("it holds no frame with landmarks", _MEND)
    return Points(
        NAMES, dict(sorted(frames.items())), up=origin == "bottom-left", looked=tuple(looked),
        size=size, pixel_aspect=None if aspect is None else float(aspect), scores=scores,
    )  # fmt: skip


def text_of_landmarks(track: Track, sheet: Sheet) -> str:
    """Return a track as landmarks in JSON, a line for each frame."""
    head = {
        "width": sheet.size[0],
        "height": sheet.size[1],
        "pixel_aspect": sheet.pixel_aspect,
        "origin": "top-left",
        "units": "pixels",
    }
    lines = []
    for frame in sorted({*track.frames, *track.faces}):
        face = track.faces.get(frame)
        entry: dict[str, Any] = {"frame": frame, "landmarks": None}
        if face is not None:
            marks = sheet.out(np.asarray(face.landmarks, np.float64), up=False)
            entry["score"] = round(face.score, 4)
            entry["landmarks"] = [[round(x, 6), round(y, 6)] for x, y in marks.tolist()]
        lines.append(f"    {json.dumps(entry, allow_nan=False)}")
    opening = json.dumps(head, allow_nan=False)[:-1]
    return opening + ', "frames": [\n' + ",\n".join(lines) + "\n]}\n"


def _frames(value: Any) -> Iterable[tuple[int, Any]]:
    """Return the entries of the frames with their numbers."""
    if isinstance(value, Mapping):
        numbered = [(_whole(str(key)), entry) for key, entry in value.items()]
    elif isinstance(value, list):
        numbered = [
            (entry.get("frame") if isinstance(entry, dict) else None, entry) for entry in value
        ]
    else:
        raise _odd("frames", "frames by their number, or a list of them", value)
    for at, (frame, _) in enumerate(numbered):
        if not isinstance(frame, int) or isinstance(frame, bool):
            raise TrackError(f"entry {at + 1} of its frames has no frame number", _MEND)
    return [(int(frame), entry) for frame, entry in numbered if frame is not None]


def _marks(frame: int, value: Any) -> Array:
    points = value if isinstance(value, list) else []
    if len(points) != COUNT:
        raise _odd(f"frame {frame}", f"{COUNT} points", f"{len(points)} points")
    made = np.empty((COUNT, 2))
    for index, point in enumerate(points):
        pair = [point.get("x"), point.get("y")] if isinstance(point, dict) else point
        if not isinstance(pair, list) or len(pair) < 2 or not all(map(_is_number, pair[:2])):
            raise _odd(f"frame {frame}, point {index}", "x and y", point)
        made[index] = pair[:2]
    return made


def _size(head: Mapping[str, Any]) -> tuple[int, int] | None:
    held = head.get("size", [head.get("width"), head.get("height")])
    if held == [None, None]:
        return None
    if not isinstance(held, list) or len(held) != 2 or not all(map(_is_size, held)):
        raise _odd("size", "a width and a height in pixels", held)
    return int(held[0]), int(held[1])


def _is_size(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value > 0


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


def _odd(place: str, expected: str, found: Any) -> TrackError:
    shown = str(found)
    return TrackError(
        f"{place}: expected {expected}, found {shown if len(shown) <= 60 else shown[:57] + '...'}",
        _MEND,
    )
