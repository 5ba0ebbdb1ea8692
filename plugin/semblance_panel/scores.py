"""How well a face was tracked, read from a track file without what a track needs to be used.

docs/track-format.md describes the file. Standard library only.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from semblance.errors import TrackError, frame_context

__all__ = ["Scores", "read_faces", "read_scores"]


@dataclass(frozen=True)
class Scores:
    """One face over a shot.

    Parameters
    ----------
    frames : tuple of int
        The shot's frames, rising.
    scores : mapping of int to float
        0..1 for each frame in which the face was found.
    """

    frames: tuple[int, ...]
    scores: Mapping[int, float]

    @property
    def lost(self) -> tuple[int, ...]:
        """Frames in which the face was not found: the plate passes through."""
        return tuple(frame for frame in self.frames if frame not in self.scores)


def read_scores(path: str | os.PathLike[str], face: int = 0) -> Scores:
    """Read the scores of one face of a track file.

    Parameters
    ----------
    path : path
    face : int
        The number of the face. A frame without a score counts 1, as when the track is used.

    Raises
    ------
    TrackError
        The file can't be read, is no track, or does not hold the face.
    """
    with frame_context(None, path):
        document = _document(path)
        faces = document.get("faces")
        entries = faces.get(str(face)) if isinstance(faces, dict) else None
        if not isinstance(entries, dict):
            known = ", ".join(faces) if isinstance(faces, dict) and faces else "none"
            raise TrackError(f"the track has no face {face}, found {known}", "Choose another face.")
        try:
            scores = {int(frame): _score(entry) for frame, entry in entries.items()}
            listed = {int(frame) for frame in document.get("frames", ())}
        except (AttributeError, TypeError, ValueError) as error:
            raise TrackError(
                f"a frame or a score of the track is no number ({error})", "Track the plate again."
            ) from error
        return Scores(tuple(sorted(listed | set(scores))), dict(sorted(scores.items())))


def read_faces(path: str | os.PathLike[str]) -> dict[int, int]:
    """Return the faces of a track file: in how many frames each was found, by its number.

    Raises
    ------
    TrackError
        The file can't be read or is no track.
    """
    with frame_context(None, path):
        faces = _document(path).get("faces")
        try:
            return {int(face): len(frames) for face, frames in dict(faces or {}).items()}
        except (TypeError, ValueError) as error:
            raise TrackError(
                f"a face of the track has no number or no frames ({error})",
                "Track the plate again.",
            ) from error


def _document(path: str | os.PathLike[str]) -> dict[str, Any]:
    if not os.fspath(path).lower().endswith(".json"):
        raise TrackError("a track of another program has no scores", "")
    try:
        with open(path, encoding="utf-8") as file:
            document = json.load(file)
    except OSError as error:
        raise TrackError(
            f"the track can't be read ({error.strerror})", "Choose a track file."
        ) from error
    except ValueError as error:
        raise TrackError(f"the track is not JSON ({error})", "Track the plate again.") from error
    if not isinstance(document, dict) or document.get("format") != "semblance-track":
        raise TrackError(
            "the file is no track: expected format 'semblance-track'",
            "Make one with: semblance track PLATE.####.exr -o track.json.",
        )
    return document


def _score(entry: Mapping[str, Any]) -> float:
    score = float(entry.get("score", 1.0))
    if not math.isfinite(score):
        raise ValueError(f"a score is {score}")
    return min(max(score, 0.0), 1.0)
