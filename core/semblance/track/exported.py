"""Tracks for elsewhere: a track as other programs read it. docs/tracks.md has the formats."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

from semblance.errors import TrackError
from semblance.face import Track
from semblance.track.file import save_track, write_whole
from semblance.track.imported import KINDS
from semblance.track.nuke import text_of_corner_pin, text_of_tracker
from semblance.track.points import Sheet
from semblance.track.roto import text_of_roto
from semblance.track.smooth import smooth
from semblance.track.tables import text_of_landmarks, text_of_long, text_of_wide
from semblance.track.texts import text_of_3de, text_of_corners, text_of_points

__all__ = ["export_track", "kind_for"]

Writer = Callable[[Track, Sheet, int, float], str]

_WRITERS: Final[Mapping[str, Writer]] = {
    "csv": lambda track, sheet, first, fps: text_of_long(track),
    "csv-wide": lambda track, sheet, first, fps: text_of_wide(track, sheet, first),
    "landmarks": lambda track, sheet, first, fps: text_of_landmarks(track, sheet),
    "nuke-tracker": lambda track, sheet, first, fps: text_of_tracker(track, sheet),
    "nuke-cornerpin": lambda track, sheet, first, fps: text_of_corner_pin(track, sheet),
    "nuke-roto": lambda track, sheet, first, fps: text_of_roto(track, sheet),
    "3de": lambda track, sheet, first, fps: text_of_3de(track, sheet, first),
    "ae-points": text_of_points,
    "ae-cornerpin": text_of_corners,
}


def export_track(
    track: Track,
    path: Path,
    kind: str,
    *,
    origin: tuple[int, int] = (0, 0),
    first_frame: int | None = None,
    fps: float = 24.0,
) -> None:
    """Write a track as another program reads it; the file appears whole or not at all.

    Parameters
    ----------
    track : Track
        Hand keys are laid over it; it is not smoothed. Our own format keeps them as keys.
    path : Path
        An existing file of this name is replaced.
    kind : str
        One of `KINDS`.
    origin : (int, int)
        First column and row of the plate's display window, where others begin at 0.
    first_frame : int, optional
        The plate's first frame, for formats that count from the start of the shot; else the first
        frame of the track.
    fps : float
        Frames per second, for formats that say it.

    Raises
    ------
    TrackError
        The track holds no face.
    OutputError
        The file can't be written there.
    """
    if kind == "semblance":
        save_track(track, path)
        return
    laid = smooth(track, 0.0)
    if not laid.faces:
        raise TrackError("the track holds no face", "Track the plate again.")
    first = min({*laid.frames, *laid.faces}) if first_frame is None else first_frame
    sheet = Sheet(laid.size, laid.pixel_aspect, origin)
    write_whole(path, _WRITERS[kind](laid, sheet, first, fps))


def kind_for(path: Path) -> str:
    """Return the format that a file's suffix stands for.

    Raises
    ------
    TrackError
        It stands for none, or text, of which there are several.
    """
    suffix = path.suffix.lower()
    for kind, of_kind in KINDS.items():
        if suffix == of_kind and suffix != ".txt":
            return kind
    raise TrackError(
        f"{path}: its suffix names no format", f"Name one with --to: {', '.join(KINDS)}."
    )
