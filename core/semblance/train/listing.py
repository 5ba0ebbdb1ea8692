"""A faceset's list of faces, read and checked."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray

from semblance.errors import TrainingError

__all__ = ["FORMAT", "TEMPLATE", "VERSION", "Entry", "Listing", "read_listing"]

Entry: TypeAlias = Mapping[str, Any]

FORMAT: Final = "semblance-faceset"
VERSION: Final = 2
TEMPLATE: Final = "semblance-1"

_REMEDY: Final = "Make the faceset again."


@dataclass(frozen=True)
class Listing:
    """What a faceset's `faceset.json` says.

    Parameters
    ----------
    folder : Path
    size : int
        Side of a crop in pixels.
    margin : float
        Its margin, as a share of the canonical square's side.
    entries : sequence of mapping
        Its faces, as `semblance.train.faceset.build_faceset` describes them.
    sha256 : str
        Of the file.
    """

    folder: Path
    size: int
    margin: float
    entries: Sequence[Entry]
    sha256: str

    def stamp(self) -> str:
        """Return what changes when a picture or a matte is changed, without reading them.

        Raises
        ------
        TrainingError
            One is missing.
        """
        digest = hashlib.sha256(self.sha256.encode())
        for path in self._files():
            try:
                state = path.stat()
            except OSError as error:
                raise _unreadable(path, error) from error
            digest.update(f"{path.name}|{state.st_size}|{state.st_mtime_ns}\n".encode())
        return digest.hexdigest()

    def digest(self) -> str:
        """Return the sha256 of the list and of all that it lists.

        Raises
        ------
        TrainingError
            A picture can't be read.
        """
        digest = hashlib.sha256(self.sha256.encode())
        for path in self._files():
            digest.update(_bytes(path))
        return digest.hexdigest()

    def picture(self, entry: Entry) -> NDArray[np.float32]:
        """Return a face's crop, (size, size, 3) float32 RGB, 0..1.

        Raises
        ------
        TrainingError
            It is missing or torn.
        """
        stored = self._read(entry["file"], np.uint16, (self.size, self.size, 3))
        return np.asarray(stored[:, :, ::-1], np.float32) / np.float32(65535.0)

    def matte(self, entry: Entry) -> NDArray[np.float32] | None:
        """Return a face's matte, (size, size) float32, 0..1; None where it has none.

        Raises
        ------
        TrainingError
            It is missing or torn.
        """
        if "matte" not in entry:
            return None
        stored = self._read(entry["matte"], np.uint8, (self.size, self.size))
        return np.asarray(stored, np.float32) / np.float32(255.0)

    def _read(self, name: str, kind: Any, shape: tuple[int, ...]) -> NDArray[Any]:
        path = self.folder / name
        data = _bytes(path)
        stored = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED) if data else None
        if stored is None or stored.dtype != kind or stored.shape != shape:
            found = "nothing readable" if stored is None else f"{stored.shape} {stored.dtype}"
            bits = 8 * np.dtype(kind).itemsize
            raise TrainingError(
                f"{path}: expected a {bits}-bit picture of shape {shape}, found {found}", _REMEDY
            )
        return np.asarray(stored)

    def _files(self) -> list[Path]:
        return [self.folder / e[key] for e in self.entries for key in ("file", "matte") if key in e]


def read_listing(folder: Path) -> Listing:
    """Read a faceset's list.

    Raises
    ------
    TrainingError
        The folder holds no faceset, another version, or fewer than 2 faces.
    """
    path = folder / "faceset.json"
    try:
        text = path.read_bytes()
        found = json.loads(text)
    except FileNotFoundError as error:
        raise TrainingError(
            f"{folder} holds no faceset: faceset.json is missing",
            "Make one with: semblance faceset FOOTAGE -o DIR.",
        ) from error
    except (OSError, ValueError) as error:
        raise TrainingError(f"{path} can't be read as a faceset: {error}", _REMEDY) from error
    _check(path, found)
    return Listing(
        folder,
        int(found["size"]),
        float(found["margin"]),
        found["faces"],
        hashlib.sha256(text).hexdigest(),
    )


def _check(path: Path, found: Any) -> None:
    named = found.get("format") if isinstance(found, dict) else None
    if named != FORMAT:
        raise TrainingError(
            f"{path} is no faceset: expected format {FORMAT!r}, found {named!r}",
            "Make one with: semblance faceset FOOTAGE -o DIR.",
        )
    for key, expected in (("version", VERSION), ("template", TEMPLATE)):
        if found.get(key) != expected:
            raise TrainingError(
                f"{path}: expected {key} {expected!r}, found {found.get(key)!r}",
                "Make the faceset again with this version of semblance.",
            )
    faces = found.get("faces", ())
    if len(faces) < 2:
        raise TrainingError(
            f"{path}: expected at least 2 faces, found {len(faces)}", "Add footage to the faceset."
        )


def _bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise _unreadable(path, error) from error


def _unreadable(path: Path, error: OSError) -> TrainingError:
    return TrainingError(f"{path} can't be read: {error.strerror}", _REMEDY)
