"""Tracks from elsewhere, by what the file says of itself.

docs/tracks.md says what each format can carry and how it counts.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from semblance.documents import loads, read_text
from semblance.errors import TrackError, frame_context
from semblance.face import Track
from semblance.track.file import load_track
from semblance.track.nuke import read_corner_pin, read_tracker
from semblance.track.points import Points, Sheet, faces_of
from semblance.track.roto import read_roto
from semblance.track.tables import COLUMNS, read_landmarks, read_long, read_wide, wide
from semblance.track.tcl import Node, nodes
from semblance.track.texts import AFTER_EFFECTS, read_3de, read_after_effects

__all__ = ["COLUMNS", "KINDS", "import_track", "kind_of"]

KINDS: Final[Mapping[str, str]] = {
    "semblance": ".json",
    "csv": ".csv",
    "csv-wide": ".csv",
    "landmarks": ".json",
    "nuke-tracker": ".nk",
    "nuke-cornerpin": ".nk",
    "nuke-roto": ".nk",
    "3de": ".txt",
    "ae-points": ".txt",
    "ae-cornerpin": ".txt",
}
"""Formats, and the suffix of each."""

_NODES: Final = {
    "Tracker4": "nuke-tracker",
    "CornerPin2D": "nuke-cornerpin",
    "Roto": "nuke-roto",
    "RotoPaint": "nuke-roto",
}
_OWN_PIXELS: Final = ("semblance", "csv")
"""Formats in plate pixels; the others count from the corner of the display window."""


def import_track(
    path: Path,
    *,
    size: tuple[int, int] | None = None,
    pixel_aspect: float | None = None,
    origin: tuple[int, int] | None = None,
    face: int = 0,
    kind: str | None = None,
    frames: Sequence[int] | None = None,
    first_frame: int | None = None,
    reference: Track | None = None,
) -> Track:
    """Read a track in any of the formats of docs/tracks.md.

    Parameters
    ----------
    path : Path
    size : (int, int), optional
        Width and height of the plate's display window. Files that hold it are checked against it;
        others need it.
    pixel_aspect : float, optional
        Of the plate; else what the file says, or 1.
    origin : (int, int), optional
        First column and row of the plate's display window; else what the file says, or (0, 0).
    face : int
        Which face of a file that holds several.
    kind : str, optional
        One of `KINDS`, where the file is not to be trusted to say it.
    frames : sequence of int, optional
        Frames of the plate to take. Curves of Nuke are evaluated there, between their keys too.
    first_frame : int, optional
        The plate's first frame, for formats that count from the start of the shot.
    reference : Track, optional
        Landmarks that a corner pin or some points carry with them.

    Returns
    -------
    Track
        From elsewhere than our own file: source ``imported``, the pose estimated, luma unknown.

    Raises
    ------
    TrackError
        The file can't be read, is none of these, does not hold a face as a whole, or does not say
        what is not given here. The message names the line or the frame.
    """
    text = _text(path)
    with frame_context(None, path):
        kind = kind or kind_of(path, text)
        if kind == "semblance":
            return _chosen(load_track(path, face, size=size), frames)
        points = _READERS[kind](text, face, frames)
        points = _as_the_plate_counts(points, first_frame)
        sheet = _sheet(points, size, pixel_aspect, origin)
        placed = replace(sheet, size=(0, 0), origin=(0, 0)) if kind in _OWN_PIXELS else sheet
        faces = faces_of(points, placed, reference)
    looked = {*(frames if frames is not None else points.looked), *faces}
    track = Track(
        faces,
        sheet.size,
        sheet.pixel_aspect,
        frames=tuple(sorted(looked)),
        made_by={"imported": path.name, "format": kind},
    )
    return _chosen(track, frames)


def kind_of(path: Path, text: str | None = None) -> str:
    """Return the format of a file, by what it holds.

    Parameters
    ----------
    path : Path
    text : str, optional
        What it holds, where it is read already.

    Raises
    ------
    TrackError
        It is none of `KINDS`.
    """
    text = _text(path) if text is None else text
    suffix = path.suffix.lower()
    with frame_context(None, path):
        if suffix == ".csv":
            return "csv-wide" if wide(text) else "csv"
        if suffix == ".nk":
            return _NODES[_node(text, tuple(_NODES)).kind]
        if AFTER_EFFECTS.match(text):
            return "ae-cornerpin" if "pin" in text.lower() else "ae-points"
        if suffix == ".json" or text.lstrip()[:1] in ("{", "["):
            document = _json(text)
            own = isinstance(document, dict) and "format" in document
            return "semblance" if own else "landmarks"
        if text.partition("\n")[0].strip().isdecimal():
            return "3de"
        raise TrackError(
            "it is no track that can be imported",
            "See docs/tracks.md for the formats; Nuke's scripts end in .nk and tables in .csv.",
        )


# ---------------------------------------------------------------------------------- what is read


Reader = Callable[[str, int, Sequence[int] | None], Points]


def _nuke(read: Callable[[Node, Sequence[int] | None], Points], *kinds: str) -> Reader:
    return lambda text, face, frames: read(_node(text, kinds), frames)


_READERS: Final[Mapping[str, Reader]] = {
    "csv": lambda text, face, frames: read_long(text),
    "csv-wide": lambda text, face, frames: read_wide(text, face),
    "landmarks": lambda text, face, frames: read_landmarks(_json(text)),
    "nuke-tracker": _nuke(read_tracker, "Tracker4"),
    "nuke-cornerpin": _nuke(read_corner_pin, "CornerPin2D"),
    "nuke-roto": _nuke(lambda node, frames: read_roto(node), "Roto", "RotoPaint"),
    "3de": lambda text, face, frames: read_3de(text),
    "ae-points": lambda text, face, frames: read_after_effects(text),
    "ae-cornerpin": lambda text, face, frames: read_after_effects(text),
}


def _node(text: str, kinds: Sequence[str]) -> Node:
    """Return the only node of these classes that a script holds."""
    found = [node for node in nodes(text) if node.kind in kinds]
    if not found:
        raise TrackError(
            f"it holds no {' or '.join(kinds)}", "Copy the node in Nuke, and paste it into a file."
        )
    if len(found) > 1:
        named = ", ".join(node.name for node in found[:6])
        raise TrackError(
            f"it holds {len(found)} nodes that could be the track ({named})",
            "Copy the one in Nuke, and paste it into a file of its own.",
        )
    return found[0]


def _text(path: Path) -> str:
    try:
        text = read_text(path).removeprefix("\ufeff")
        return text.replace("\r\n", "\n").replace("\r", "\n")
    except FileNotFoundError as error:
        raise TrackError(f"there is no track file {path}", "Check its name.") from error
    except UnicodeDecodeError as error:
        raise TrackError(f"{path} is no text: {error.reason}", "Check the file.") from error
    except ValueError as error:
        raise TrackError(f"the track {path} can't be read: {error}", "Check the file.") from error
    except OSError as error:
        raise TrackError(
            f"the track {path} can't be read: {error.strerror or error}", "Check the file."
        ) from error


def _json(text: str) -> Any:
    try:
        return loads(text)
    except ValueError as error:
        raise TrackError(
            f"it is not a JSON document: {error}",
            "Mend the file (docs/track-format.md), or track the plate again.",
        ) from error


# -------------------------------------------------------------------------- what is said besides


def _as_the_plate_counts(points: Points, first_frame: int | None) -> Points:
    if points.first is None:
        return points
    if first_frame is None:
        raise TrackError(
            f"it counts frames from {points.first} at the start of the shot, and the plate's first "
            "frame was not given",
            "Convert it first: semblance convert-track FILE track.json --first-frame N.",
        )
    shift = first_frame - points.first
    return replace(
        points,
        frames={frame + shift: found for frame, found in points.frames.items()},
        looked=tuple(frame + shift for frame in points.looked),
        scores={frame + shift: score for frame, score in points.scores.items()},
    )


def _sheet(
    points: Points,
    size: tuple[int, int] | None,
    pixel_aspect: float | None,
    origin: tuple[int, int] | None,
) -> Sheet:
    """Return where the plate's pixels lie, by what is given and by what the file says."""
    if size is None and points.size is None:
        raise TrackError("it holds no plate size, and none was given", "Give the plate with it.")
    if size is not None and points.size is not None and size != points.size:
        raise TrackError(
            f"it belongs to a plate of {points.size[0]} × {points.size[1]}, "
            f"this one has {size[0]} × {size[1]}",
            "Give the track of this plate, or track it again.",
        )
    aspect = pixel_aspect if pixel_aspect is not None else points.pixel_aspect
    return Sheet(
        size or points.size or (0, 0),
        1.0 if aspect is None else aspect,
        origin or points.origin or (0, 0),
    )


def _chosen(track: Track, frames: Sequence[int] | None) -> Track:
    """Return a track with these frames alone."""
    if frames is None:
        return track
    wanted = set(frames)
    return replace(
        track,
        faces={frame: face for frame, face in track.faces.items() if frame in wanted},
        frames=tuple(sorted(wanted)),
        hand={frame: key for frame, key in track.hand.items() if frame in wanted},
    )
