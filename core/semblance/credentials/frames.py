"""The list of a shot's frames: what is signed where a credential for each frame would be too much.

``result.####.exr`` has its list in ``result.frames.json`` and the list's credential in
``result.frames.c2pa``. The list holds each file's sha256, so one signature binds all of them; and
hashes of the pixels and of every attribute, so that a check can say what was changed. It holds no
time and no machine: the same frames have the same list.

::

    {"format": "semblance-frames", "version": 1, "pattern": "result.####.exr",
     "attributes": {"<name>": "<hash>"},
     "frames": [{"frame": 1001, "file": "result.1001.exr", "bytes": 12345, "sha256": "...",
                 "pixels": "...", "attributes": {...}, "marks": {...}}]}

An attribute that is the same in all frames is listed once.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import Any, Final, NoReturn

from semblance.documents import Reader, is_whole_number
from semblance.errors import CredentialError

__all__ = ["LIST_ENDING", "SIDECAR_ENDING", "FrameList", "ListedFrame", "digest", "list_paths"]

LIST_ENDING: Final = ".frames.json"
SIDECAR_ENDING: Final = ".c2pa"

_FORMAT: Final = "semblance-frames"
_VERSION: Final = 1
_LARGEST: Final = 256 << 20
_SHA256: Final = re.compile(r"[0-9a-f]{64}")
_AGAIN: Final = "Fetch it again from where it was signed, or sign the frames again."


@dataclass(frozen=True)
class ListedFrame:
    """One frame as it was when it was listed.

    Parameters
    ----------
    frame : int
    file : str
        Its name, without folders.
    size : int
        Bytes in the file.
    sha256 : str
        Of the file.
    pixels : str
        Sha256 of everything behind the header and the tables of chunks.
    attributes : mapping of str to str
        The header, by name: `digest` of each value.
    marks : mapping of str to str
        What Semblance's own marks say; empty for a frame that it passed through.
    """

    frame: int
    file: str
    size: int
    sha256: str
    pixels: str
    attributes: Mapping[str, str]
    marks: Mapping[str, str]


@dataclass(frozen=True)
class FrameList:
    """The frames of a shot.

    Parameters
    ----------
    pattern : str
        Their names, as ``result.####.exr``.
    frames : tuple of ListedFrame
        By number.
    """

    pattern: str
    frames: tuple[ListedFrame, ...]

    def to_bytes(self) -> bytes:
        """Return the document: the same bytes for the same frames."""
        held = [set(each.attributes.items()) for each in self.frames]
        shared = dict(set.intersection(*held)) if held else {}
        frames = [
            {
                "frame": each.frame,
                "file": each.file,
                "bytes": each.size,
                "sha256": each.sha256,
                "pixels": each.pixels,
                "attributes": {
                    name: value
                    for name, value in each.attributes.items()
                    if shared.get(name) != value
                },
                "marks": dict(each.marks),
            }
            for each in self.frames
        ]
        document = {
            "format": _FORMAT,
            "version": _VERSION,
            "pattern": self.pattern,
            "attributes": shared,
            "frames": frames,
        }
        return (json.dumps(document, indent=1, sort_keys=True) + "\n").encode()

    @classmethod
    def read(cls, path: Path) -> FrameList:
        """Read a list. That it can be read says nothing about whether it was signed.

        Raises
        ------
        CredentialError
            It is not there, or is no list of frames.
        """
        with suppress(OSError):  # which the reader says better
            if path.stat().st_size > _LARGEST:
                raise CredentialError(
                    f"{path} holds more than {_LARGEST >> 20} MiB, which no list of frames does",
                    _AGAIN,
                )
        reader = Reader(path, CredentialError, "the list of frames", _AGAIN)
        document = reader.read(CredentialError(f"{path} does not exist", "Check the path."))
        if not isinstance(document, dict) or document.get("format") != _FORMAT:
            reader.refuse("format", repr(_FORMAT), document)
        if document.get("version") != _VERSION:
            reader.refuse("version", str(_VERSION), document.get("version"))
        pattern, entries = document.get("pattern"), document.get("frames")
        if not isinstance(pattern, str) or not _is_bare(pattern):
            reader.refuse("pattern", "a file name without folders", pattern)
        if not isinstance(entries, list):
            reader.refuse("frames", "a list", entries)
        shared = _texts(reader, "attributes", document.get("attributes"))
        frames = tuple(_entry(reader, i, each, shared) for i, each in enumerate(entries))
        if len({each.frame for each in frames}) != len(frames):
            reader.refuse("frames", "each frame once", [each.frame for each in frames])
        return cls(pattern, frames)


def list_paths(folder: Path, head: str, tail: str = "") -> tuple[Path, Path]:
    """Return where the list of a sequence and its credential lie.

    >>> [path.name for path in list_paths(Path(), "result.")]
    ['result.frames.json', 'result.frames.c2pa']
    """
    stem = f"{head.rstrip('._-')}{tail.removesuffix('.exr')}"
    path = folder / f"{stem}{LIST_ENDING}".lstrip(".")
    return path, path.with_suffix(SIDECAR_ENDING)


def digest(value: bytes) -> str:
    """Return a short hash by which an attribute's value is known again: 16 hexadecimal digits."""
    return hashlib.sha256(value).hexdigest()[:16]


def _entry(reader: Reader, index: int, entry: Any, shared: Mapping[str, str]) -> ListedFrame:
    place = f"frames[{index}]"

    def wrong(name: str, expected: str) -> NoReturn:
        reader.refuse(f"{place}.{name}", expected, entry.get(name))

    if not isinstance(entry, dict):
        reader.refuse(place, "an object", entry)
    for name in ("frame", "bytes"):
        if not is_whole_number(entry.get(name)) or entry[name] < 0:
            wrong(name, "a whole number")
    for name in ("sha256", "pixels"):
        if not isinstance(entry.get(name), str) or not _SHA256.fullmatch(entry[name]):
            wrong(name, "64 hexadecimal digits")
    file = entry.get("file")
    if not isinstance(file, str) or not _is_bare(file):
        wrong("file", "a file name without folders")
    own = _texts(reader, f"{place}.attributes", entry.get("attributes"))
    marks = _texts(reader, f"{place}.marks", entry.get("marks"))
    return ListedFrame(
        entry["frame"], file, entry["bytes"], entry["sha256"], entry["pixels"],
        {**shared, **own}, marks,
    )  # fmt: skip


def _is_bare(name: str) -> bool:
    """Return whether a name has no folders; a list comes from anyone, and may not point elsewhere.

    >>> [_is_bare(name) for name in ("result.1001.exr", "../plate.exr", "..", "")]
    [True, False, False, False]
    """
    return PurePath(name).name == name and "\\" not in name and name not in ("", "..")


def _texts(reader: Reader, place: str, value: Any) -> dict[str, str]:
    if not isinstance(value, dict) or not all(isinstance(each, str) for each in value.values()):
        reader.refuse(place, "an object that holds texts", value)
    return dict(value)
