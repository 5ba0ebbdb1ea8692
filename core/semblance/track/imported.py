"""Tracks from elsewhere: a comma-separated table, or our own track file.

The table has a first line with the column names ``frame``, ``index``, ``x`` and ``y``, in any
order and among others, and then one line for each landmark of each frame: `index` is 0 to 67 in
iBUG order, `x` and `y` are plate pixels, pixel centres at +0.5, y down.
"""

from __future__ import annotations

import csv
import math
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from semblance.errors import TrackError
from semblance.face import Face, Track
from semblance.track.file import load_track
from semblance.track.head import head_pose

__all__ = ["COLUMNS", "import_track"]

COLUMNS: Final = ("frame", "index", "x", "y")


def import_track(
    path: Path,
    *,
    size: tuple[int, int] | None = None,
    pixel_aspect: float = 1.0,
    face: int = 0,
) -> Track:
    """Read a track from a CSV table or a JSON track file, by the file's suffix.

    Parameters
    ----------
    path : Path
        ``.csv`` or ``.json``.
    size : (int, int), optional
        Width and height of the plate's display window. A table does not hold it and needs it; a
        track file is checked against it.
    pixel_aspect : float
        Of the plate, for a table.
    face : int
        Which face of a track file.

    Returns
    -------
    Track
        From a table: score 1, source ``imported``, the pose estimated, luma unknown.

    Raises
    ------
    TrackError
        Another suffix, an unreadable file, a missing column, a line that holds no landmark, or a
        frame without all 68.
    """
    kind = path.suffix.lower()
    if kind == ".json":
        return load_track(path, face, size=size)
    if kind != ".csv":
        raise TrackError(
            f"{path}: a track is imported from .csv or .json, not from {kind or 'no suffix'!r}",
            "Export the track as a table with the columns frame, index, x, y.",
        )
    if size is None:
        raise TrackError(
            f"{path} holds no plate size, and none was given", "Give the plate with its track."
        )
    faces = {
        frame: _face(landmarks, pixel_aspect) for frame, landmarks in sorted(_table(path).items())
    }
    made_by = {"imported": path.name}
    return Track(faces, size, pixel_aspect, frames=tuple(faces), made_by=made_by)


def _face(landmarks: NDArray[np.float64], pixel_aspect: float) -> Face:
    yaw, pitch, roll = head_pose(landmarks * (pixel_aspect, 1.0))
    return Face(landmarks, yaw=yaw, pitch=pitch, roll=roll, source="imported")


def _table(path: Path) -> dict[int, NDArray[np.float64]]:
    """Return all landmarks (68, 2) by frame."""
    frames: dict[int, NDArray[np.float64]] = {}
    try:
        with path.open(newline="", encoding="utf-8-sig") as stream:
            rows = csv.DictReader(stream, skipinitialspace=True)
            missing = [name for name in COLUMNS if name not in (rows.fieldnames or ())]
            if missing:
                raise TrackError(
                    f"{path}, line 1: expected the columns {', '.join(COLUMNS)}, "
                    f"found {', '.join(rows.fieldnames or ()) or 'none'}",
                    "Name the columns in the first line.",
                )
            for row in rows:
                frame, index, point = _row(path, rows.line_num, row)
                frames.setdefault(frame, np.full((68, 2), np.nan))[index] = point
    except FileNotFoundError as error:
        raise TrackError(f"there is no track file {path}", "Check its name.") from error
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise TrackError(f"{path} can't be read as a table: {error}", "Check the file.") from error
    if not frames:
        raise TrackError(f"{path} holds no landmarks", "Export the track again.")
    for frame, landmarks in frames.items():
        lost = np.flatnonzero(np.isnan(landmarks[:, 0]))
        if lost.size:
            raise TrackError(
                f"{path}, frame {frame}: expected all 68 landmarks, found {68 - lost.size}; "
                f"the first missing one is {lost[0]}",
                "Export all landmarks of a frame, or leave the frame out.",
            )
    return frames


def _row(path: Path, line: int, row: dict[str, str | None]) -> tuple[int, int, tuple[float, float]]:
    try:
        frame, index = int(row["frame"] or ""), int(row["index"] or "")
        point = float(row["x"] or ""), float(row["y"] or "")
    except ValueError:
        index, point, frame = -1, (math.nan, math.nan), 0
    if not (0 <= index < 68 and math.isfinite(point[0]) and math.isfinite(point[1])):
        found = ",".join(str(row[name]) for name in COLUMNS)
        raise TrackError(
            f"{path}, line {line}: expected frame, index 0 to 67, x and y, found {found}",
            "Mend the line.",
        )
    return frame, index, point
