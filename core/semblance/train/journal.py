"""What a run over footage has looked at, written down as it goes, so that it can go on.

One line of JSON a picture, behind a line with the settings. A crop is on disk before its line is,
so that an interruption costs at most the picture in work.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final, TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray

from semblance.errors import FootageError, OutputError

__all__ = ["Journal", "Looked", "Stored", "read_crop", "write_whole"]

Entry: TypeAlias = dict[str, Any]
Stored: TypeAlias = NDArray[np.uint16]

FORMAT: Final = "semblance-faceset-progress"
VERSION: Final = 2


@dataclass(frozen=True)
class Looked:
    """A picture that has been looked at.

    Parameters
    ----------
    stamp : str
        Which picture, as `semblance.train.footage.Picture` has it.
    rejected : tuple of str
        What was left out of it, and why.
    entry : dict or None
        Its face, as the listing has it, with the crop's ``file``; None without one.
    """

    stamp: str
    rejected: tuple[str, ...]
    entry: Entry | None


class Journal:
    """The journal of one faceset, and the way in for its crops.

    Attributes
    ----------
    folder : Path
        The faceset's.
    known : dict of str to Looked
        All that has been looked at, by its stamp.
    """

    def __init__(self, folder: Path, known: dict[str, Looked]) -> None:
        self.folder = folder
        self.known = known
        numbers = [int(Path(one.entry["file"]).stem) for one in known.values() if one.entry]
        self._next = max(numbers, default=-1) + 1
        self._stream = (folder / "progress.jsonl").open("a", encoding="utf-8")

    @classmethod
    def open(cls, folder: Path, settings: Mapping[str, Any]) -> Journal:
        """Begin a journal, or go on with the one in the folder.

        Raises
        ------
        FootageError
            The one in the folder was begun with other settings.
        OutputError
            The folder holds a faceset without a journal.
        """
        (folder / "faces").mkdir(parents=True, exist_ok=True)
        path = folder / "progress.jsonl"
        head = {"format": FORMAT, "version": VERSION, "settings": dict(settings)}
        known: dict[str, Looked] = {}
        if path.exists():
            lines = _lines(path)
            _check_settings(folder, next(lines, None), head)
            for line in lines:
                looked = Looked(line["stamp"], tuple(line["rejected"]), line["entry"])
                if looked.entry is None or (folder / looked.entry["file"]).is_file():
                    known[looked.stamp] = looked
        elif (folder / "faceset.json").exists() or any((folder / "faces").iterdir()):
            raise OutputError(
                f"{folder} holds faces without a record of how they were made, expected none",
                "Give another folder.",
            )
        # Without the torn last line that an interruption leaves.
        text = "".join(f"{_dump(line)}\n" for line in (head, *map(asdict, known.values())))
        write_whole(path, text.encode())
        return cls(folder, known)

    def __enter__(self) -> Journal:
        return self

    def __exit__(self, *_: object) -> None:
        self._stream.close()

    def add(
        self,
        stamp: str,
        rejected: tuple[str, ...],
        entry: Entry | None,
        crop: Stored | None,
        matte: NDArray[np.uint8] | None = None,
    ) -> Looked:
        """Write down what a picture gave.

        Its crop, (size, size, 3) uint16, gets the next number, and so does its matte, (size, size)
        uint8.

        Raises
        ------
        OSError
            The disk is full, or the folder not writable any more.
        """
        if entry is not None and crop is not None:
            name = f"{self._next:06d}.png"
            files: dict[str, tuple[str, NDArray[Any]]] = {
                "file": (f"faces/{name}", crop[..., ::-1])
            }
            if matte is not None:
                (self.folder / "mattes").mkdir(exist_ok=True)
                files["matte"] = (f"mattes/{name}", matte)
            for path, pixels in files.values():
                write_whole(self.folder / path, cv2.imencode(".png", pixels)[1].tobytes())
            entry = {key: path for key, (path, _) in files.items()} | entry
            self._next += 1
        looked = Looked(stamp, rejected, entry)
        self._stream.write(f"{_dump(asdict(looked))}\n")
        self._stream.flush()
        self.known[stamp] = looked
        return looked


def _lines(path: Path) -> Iterator[Any]:
    """Yield the lines of a journal up to a torn one."""
    with path.open(encoding="utf-8") as stream:
        for line in stream:
            try:
                yield json.loads(line)
            except ValueError:
                return


def _check_settings(folder: Path, found: Any, head: Mapping[str, Any]) -> None:
    if isinstance(found, dict) and found.get("version") != VERSION:
        raise FootageError(
            f"the faceset {folder} was begun by another version of semblance: expected a journal "
            f"of version {VERSION}, found {found.get('version')!r}",
            "Give another folder.",
        )
    before = found.get("settings", {}) if isinstance(found, dict) else {}
    now = head["settings"]
    differing = [key for key in now if before.get(key) != now[key]]
    if differing:
        key = differing[0]
        raise FootageError(
            f"the faceset {folder} was begun with {key} {before.get(key)!r}, not {now[key]!r}",
            "Give another folder, or the settings it was begun with.",
        )


def read_crop(path: Path) -> Stored:
    """Return a stored crop as (size, size, 3) uint16 RGB.

    Raises
    ------
    OutputError
        It is not there any more, or torn.
    """
    data = np.fromfile(path, np.uint8) if path.is_file() else np.empty(0, np.uint8)
    crop = cv2.imdecode(data, cv2.IMREAD_UNCHANGED) if data.size else None
    if crop is None or crop.dtype != np.uint16:
        raise OutputError(f"the crop {path} can't be read again", "Delete it and run again.")
    return np.ascontiguousarray(crop[..., ::-1])


def _dump(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, allow_nan=False)


def write_whole(path: Path, data: bytes) -> None:
    """Write a temporary file beside `path` and rename it."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        temporary.write_bytes(data)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
