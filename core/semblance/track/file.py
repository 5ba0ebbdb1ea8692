"""The track file: one JSON document with the faces of a shot, made to be read and mended by hand.

docs/track-format.md describes it field by field. Writing what was read gives the same bytes, and
reading what was written gives the same track: numbers are rounded on the way out only, and a
rounded number rounds to itself.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from semblance.documents import Reader, is_whole_number
from semblance.errors import OutputError, TrackError
from semblance.face import Face, HandKey, Track

__all__ = [
    "FORMAT",
    "VERSION",
    "load_track",
    "save_hand",
    "save_people",
    "save_track",
    "write_whole",
]

FORMAT: Final = "semblance-track"
VERSION: Final = 2
READ: Final = (1, 2)
"""Versions that are read; the first knows no cuts, no lens and no head in space."""

_DECIMALS: Final = 4
"""Of landmarks (pixels), angles (degrees) and scores."""

_FARTHEST: Final = 1e6
"""Pixels from the plate's corner, at most."""

LONGEST_BLEND: Final = 1000
"""Frames over which a hand key may blend, at most."""

_REMEDY: Final = "Mend the file (docs/track-format.md), or track the plate again."


def save_track(track: Track, path: str | os.PathLike[str], *, face: int = 0) -> None:
    """Write a track file; it appears whole or not at all.

    Parameters
    ----------
    track : Track
        Landmarks and angles are rounded to 4 decimals, luma to 6 digits.
    path : str or path
        An existing file of this name is replaced.
    face : int
        The number that the face has in the file.

    Raises
    ------
    OutputError
        The file can't be written there.
    TrackError
        A landmark is not a finite number.
    """
    save_people({face: track}, path)


def save_people(tracks: Mapping[int, Track], path: str | os.PathLike[str]) -> None:
    """Write the tracks of several faces of one shot into one file, as `save_track` does.

    Parameters
    ----------
    tracks : mapping of int to Track
        By the number of the face; at least one.
    path : str or path
        An existing file of this name is replaced.

    Raises
    ------
    OutputError, TrackError
        As `save_track` does.
    """
    write_whole(Path(path), _text(tracks))


def save_hand(track: Track, path: str | os.PathLike[str], *, face: int = 0) -> None:
    """Write a track's hand keys into the file that the track is from, whole or not at all.

    All else in the file, other faces among it, stays as it is.

    Parameters
    ----------
    track : Track
        Gives the keys; points are rounded to 4 decimals.
    path : str or path
        A track file that holds the face.
    face : int
        The face's number there.

    Raises
    ------
    TrackError
        The file can't be read or holds no such face, or a point is not a finite number.
    OutputError
        The file can't be written.
    """
    path = Path(path)
    document = _Reader(path).document()
    held = document.get("faces") if isinstance(document, dict) else None
    numbers = [int(key) for key in held if key.isdecimal()] if isinstance(held, dict) else []
    everyone = {number: load_track(path, number) for number in {*numbers, face}}
    everyone[face] = replace(everyone[face], hand=track.hand)
    write_whole(path, _text(everyone))


def load_track(
    path: str | os.PathLike[str], face: int = 0, *, size: tuple[int, int] | None = None
) -> Track:
    """Read one face of a track file.

    Parameters
    ----------
    path : str or path
        A file as `save_track` writes it, or as a person has mended it: everything of a face but
        its landmarks may be left out.
    face : int
        The number of the face.
    size : (int, int), optional
        Width and height of the display window that the track must belong to.

    Returns
    -------
    Track

    Raises
    ------
    TrackError
        The file can't be read, is no track, has another version, no such face, belongs to a plate
        of another size, or a value in it is missing, of another kind or not finite.
    """
    path = Path(path)
    reader = _Reader(path)
    document = reader.document()
    if not isinstance(document, dict) or document.get("format") != FORMAT:
        found = document.get("format") if isinstance(document, dict) else type(document).__name__
        raise TrackError(
            f"{path} is no track: expected format {FORMAT!r}, found {found!r}",
            "Make one with: semblance track PLATE.####.exr -o track.json.",
        )
    if document.get("version") not in READ:
        raise TrackError(
            f"{path}: expected version {READ[0]} or {READ[1]} of the track format, "
            f"found {document.get('version')!r}",
            "Track the plate again with this version of semblance.",
        )
    measured = reader.size(document)
    if size is not None and size != measured:
        raise TrackError(
            f"{path} belongs to a plate of {measured[0]} × {measured[1]}, "
            f"this one has {size[0]} × {size[1]}",
            "Give the track of this plate, or track it again.",
        )
    faces = reader.faces(document, face)
    frames = reader.frames(document)
    made_by = document.get("made_by", {})
    if not isinstance(made_by, dict):
        reader.refuse("made_by", "names and texts", made_by)
    return Track(
        hand=reader.hand(document, face),
        faces=faces,
        size=measured,
        pixel_aspect=reader.number(document, "pixel_aspect", 1.0, low=1e-3),
        frames=tuple(sorted({*frames, *faces})),
        made_by={str(key): str(value) for key, value in made_by.items()},
        cuts=reader.frames(document, "cuts"),
        focal=None
        if document.get("focal") is None
        else reader.number(document, "focal", 1.0, low=1e-3),
    )


def _misplaced(points: NDArray[np.float64]) -> tuple[str, str] | None:
    """Return what is expected and what is found where landmarks can't be a face in any plate."""
    if np.abs(points).max() > _FARTHEST:
        return f"pixels within {_FARTHEST:g} of the plate", f"{np.abs(points).max():g}"
    if np.ptp(points, axis=0).max() < 1.0:
        return "a face of at least a pixel", f"{np.ptp(points, axis=0).max():g} pixels"
    return None


# -------------------------------------------------------------------------------------- writing


def _text(tracks: Mapping[int, Track]) -> str:
    """Return the document of the faces of one plate, by their numbers."""
    tracks = dict(sorted(tracks.items()))
    first = next(iter(tracks.values()))
    head: dict[str, Any] = {
        "format": FORMAT,
        "version": VERSION,
        "size": list(first.size),
        "pixel_aspect": first.pixel_aspect,
        "made_by": dict(first.made_by),
        "frames": sorted({frame for each in tracks.values() for frame in _looked(each)}),
    }
    if first.cuts:
        head["cuts"] = list(first.cuts)
    if first.focal is not None:
        head["focal"] = _rounded(first.focal)
    faces = {
        number: {frame: _entry(track.faces[frame], frame) for frame in sorted(track.faces)}
        for number, track in tracks.items()
    }
    hand = {
        number: {frame: _hand_entry(track.hand[frame], frame) for frame in sorted(track.hand)}
        for number, track in tracks.items()
        if track.hand
    }
    lines = [f"  {_dump(key)}: {_dump(value)}" for key, value in head.items()]
    lines.append(f'  "faces": {_section(faces)}')
    if hand:
        lines.append(f'  "hand": {_section(hand)}')
    return "{\n" + ",\n".join(lines) + "\n}\n"


def _looked(track: Track) -> set[int]:
    return {*track.frames, *track.faces}


def _section(entries: Mapping[int, Mapping[int, Any]]) -> str:
    """Return entries by face and frame, with one line for each frame."""
    blocks = []
    for number, by_frame in entries.items():
        lines = [f'      "{frame}": {_dump(entry)}' for frame, entry in by_frame.items()]
        inside = "{\n" + ",\n".join(lines) + "\n    }" if lines else "{}"
        blocks.append(f'    "{number}": {inside}')
    return "{\n" + ",\n".join(blocks) + "\n  }"


def _hand_entry(key: HandKey, frame: int) -> dict[str, Any]:
    if not np.isfinite(list(key.points.values())).all():
        raise TrackError(
            f"the hand key of frame {frame} holds a number that is not finite", "Move it again."
        )
    points = {
        str(index): [_rounded(x), _rounded(y)] for index, (x, y) in sorted(key.points.items())
    }
    return {"blend": key.blend, "points": points}


def _entry(face: Face, frame: int) -> dict[str, Any]:
    numbers = [face.score, face.yaw, face.pitch, face.roll, *(face.position or ())]
    numbers.append(0.0 if face.luma is None else face.luma)
    if not (np.isfinite(face.landmarks).all() and np.isfinite(numbers).all()):
        raise TrackError(
            f"the face of frame {frame} holds a number that is not finite", "Track it again."
        )
    placed = face.position
    return {
        "landmarks": [[_rounded(x), _rounded(y)] for x, y in face.landmarks.tolist()],
        "score": _rounded(face.score),
        "yaw": _rounded(face.yaw),
        "pitch": _rounded(face.pitch),
        "roll": _rounded(face.roll),
        **({} if placed is None else {"position": [_rounded(value) for value in placed]}),
        "luma": None if face.luma is None else float(f"{face.luma:.6g}"),
        "source": face.source,
    }


def _rounded(value: float) -> float:
    return round(float(value), _DECIMALS) + 0.0  # + 0.0: no "-0.0" in a file


def _dump(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, allow_nan=False)


def write_whole(path: Path, text: str) -> None:
    """Write a temporary file beside `path` and rename it, so that no torn track has the name."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        try:
            temporary.write_text(text, "utf-8")
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)
    except OSError as error:
        raise OutputError(
            f"the track can't be written to {path}: {error.strerror or error}",
            "Give a file in a folder that exists and is writable.",
        ) from error


# -------------------------------------------------------------------------------------- reading


class _Reader(Reader):
    """Takes values out of a track's document."""

    def __init__(self, path: Path) -> None:
        super().__init__(path, TrackError, "the track", _REMEDY)

    def document(self) -> Any:
        return self.read(TrackError(f"there is no track file {self.path}", "Check its name."))

    def number(
        self, where: Mapping[str, Any], key: str, default: float, *, place: str = "",
        low: float = -math.inf, high: float = math.inf,
    ) -> float:  # fmt: skip
        value = where.get(key, default)
        name = f"{place}{key}"
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            self.refuse(name, "a number", value)
        if not (math.isfinite(value) and low <= value <= high):
            bounded = f" from {low:g} to {high:g}" if math.isfinite(low) else ""
            self.refuse(name, f"a finite number{bounded}", value)
        return float(value)

    def frames(self, document: Mapping[str, Any], name: str = "frames") -> tuple[int, ...]:
        value = document.get(name, [])
        if not isinstance(value, list) or not all(map(is_whole_number, value)):
            self.refuse(name, "a list of frame numbers", value)
        return tuple(value)

    def position(self, place: str, value: Any) -> tuple[float, float, float] | None:
        if value is None:
            return None
        if not isinstance(value, list) or len(value) != 3:
            self.refuse(f"{place}position", "[x, y, z]", value)
        named = dict(zip("xyz", value, strict=True))
        x, y, z = (self.number(named, axis, 0.0, place=f"{place}position, ") for axis in "xyz")
        return x, y, z

    def faces(self, document: Mapping[str, Any], face: int) -> dict[int, Face]:
        everyone = document.get("faces")
        if not isinstance(everyone, dict):
            self.refuse("faces", "faces by their number", everyone)
        entries = everyone.get(str(face))
        if entries is None:
            held = ", ".join(everyone) or "none"
            raise TrackError(
                f"{self.path} holds no face {face}; it holds: {held}", "Choose one of these."
            )
        if not isinstance(entries, dict):
            self.refuse(f"faces, {face}", "entries by frame number", entries)
        return dict(sorted(self._face(key, entry) for key, entry in entries.items()))

    def _face(self, key: str, entry: Any) -> tuple[int, Face]:
        try:
            frame = int(key)
        except ValueError:
            self.refuse("faces", "a frame number", key)
        place = f"frame {frame}: "
        if not isinstance(entry, dict):
            self.refuse(place.rstrip(": "), "a face with landmarks", entry)
        luma = entry.get("luma")
        source = entry.get("source", "hand")
        if not isinstance(source, str):
            self.refuse(f"{place}source", "a text", source)
        return frame, Face(
            landmarks=self._landmarks(place, entry.get("landmarks")),
            score=self.number(entry, "score", 1.0, place=place, low=0.0, high=1.0),
            yaw=self.number(entry, "yaw", 0.0, place=place),
            pitch=self.number(entry, "pitch", 0.0, place=place),
            roll=self.number(entry, "roll", 0.0, place=place),
            luma=None if luma is None else self.number(entry, "luma", 0.0, place=place),
            source=source,
            position=self.position(place, entry.get("position")),
        )

    def hand(self, document: Mapping[str, Any], face: int) -> dict[int, HandKey]:
        everyone = document.get("hand", {})
        if not isinstance(everyone, dict):
            self.refuse("hand", "keys by the number of the face", everyone)
        entries = everyone.get(str(face), {})
        if not isinstance(entries, dict):
            self.refuse(f"hand, {face}", "keys by frame number", entries)
        return dict(sorted(self._hand_key(key, entry) for key, entry in entries.items()))

    def _hand_key(self, key: str, entry: Any) -> tuple[int, HandKey]:
        try:
            frame = int(key)
        except ValueError:
            self.refuse("hand", "a frame number", key)
        place = f"hand key {frame}"
        if not isinstance(entry, dict):
            self.refuse(place, "a key with points", entry)
        blend = entry.get("blend", HandKey.blend)
        if not is_whole_number(blend) or not 0 <= blend <= LONGEST_BLEND:
            self.refuse(f"{place}, blend", f"0 to {LONGEST_BLEND} frames", blend)
        points = entry.get("points")
        if not isinstance(points, dict) or not points:
            self.refuse(f"{place}, points", "[x, y] by the landmark's number", points)
        made: dict[int, tuple[float, float]] = {}
        for name, value in points.items():
            if not (name.isdecimal() and int(name) < 68):
                self.refuse(f"{place}, points", "landmarks 0 to 67", name)
            if not isinstance(value, list) or len(value) != 2:
                self.refuse(f"{place}, landmark {name}", "[x, y]", value)
            point = dict(zip("xy", value, strict=True))
            where = f"{place}, landmark {name}, "
            x, y = (
                self.number(point, axis, 0.0, place=where, low=-_FARTHEST, high=_FARTHEST)
                for axis in "xy"
            )
            made[int(name)] = (x, y)
        return frame, HandKey(made, blend)

    def _landmarks(self, place: str, value: Any) -> NDArray[np.float64]:
        expected = "68 points [x, y] of finite numbers"
        try:
            points = np.array(value, dtype=np.float64)
        except (TypeError, ValueError, OverflowError):
            self.refuse(f"{place}landmarks", expected, value)
        if points.shape != (68, 2):
            count = len(value) if isinstance(value, list) else value
            self.refuse(f"{place}landmarks", expected, count)
        if not np.isfinite(points).all():
            index = int(np.flatnonzero(~np.isfinite(points).all(1))[0])
            self.refuse(f"{place}landmark {index}", "finite numbers", value[index])
        if fault := _misplaced(points):
            self.refuse(f"{place}landmarks", *fault)
        return points
