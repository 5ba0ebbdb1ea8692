"""Where the landmarks of footage come from: a provider that finds faces, or a document."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from semblance.errors import FootageError
from semblance.track.analyse import find_faces
from semblance.track.provider import Detection, FaceProvider
from semblance.train.footage import Picture

__all__ = ["Finder", "finder_of"]

Pixels: TypeAlias = NDArray[np.float32]


@dataclass(frozen=True)
class Finder:
    """Where landmarks come from: a name for the record, and all faces of a picture."""

    name: str
    find: Callable[[Picture, Pixels, float], tuple[Detection, ...]]


def finder_of(provider: FaceProvider | None, landmarks: Path | None) -> Finder:
    """Return where landmarks come from: the document where there is one, else the provider.

    Raises
    ------
    FootageError
        Neither was given, or the document holds no landmarks.
    """
    if landmarks is not None:
        known = _read_landmarks(landmarks)
        digest = hashlib.sha256(landmarks.read_bytes()).hexdigest()

        def look_up(picture: Picture, linear: Pixels, aspect: float) -> tuple[Detection, ...]:
            points = known.get(picture.source.rpartition("/")[2])
            return () if points is None else (Detection(1.0, points),)

        return Finder(f"imported {digest[:12]}", look_up)
    if provider is None:
        raise FootageError("faces are found by a provider or imported, and neither was given", "")
    held = provider

    def find(picture: Picture, linear: Pixels, aspect: float) -> tuple[Detection, ...]:
        return find_faces(linear, aspect, held)

    return Finder(held.name, find)


def _read_landmarks(path: Path) -> dict[str, NDArray[np.float32]]:
    """Return landmarks (68, 2) by file name."""
    try:
        document = json.loads(path.read_text("utf-8"))
        found = {
            str(name): np.array(entry["landmarks"], np.float32) for name, entry in document.items()
        }
    except OSError as error:
        raise FootageError(
            f"the landmarks {path} can't be read: {error.strerror}", "Check the file."
        ) from error
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise FootageError(
            f'{path} holds no landmarks; expected {{"FILE": {{"landmarks": [[x, y], …]}}}}',
            "Check the file.",
        ) from error
    for name, points in found.items():
        if points.shape != (68, 2) or not np.isfinite(points).all():
            raise FootageError(
                f"{path}: {name}: expected 68 finite landmarks, found an array of {points.shape}",
                "Mend the entry or take it out.",
            )
    return found
