"""Whether a file is all there, and whether it is still the one that it was: by its bytes.

Times and sizes say neither: a copy has another time, and a torn file may have the right size.
"""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import Final

from semblance.errors import PlateError, frame_context
from semblance.exr.container import chunk_length
from semblance.exr.read import opened, reading

__all__ = ["file_hash", "is_whole"]

_END: Final = 64
"""Bytes at a file's end that are zero together only where a copy of it stopped."""


def file_hash(path: str | os.PathLike[str]) -> str:
    """Return the SHA-256 of a file, in hexadecimal.

    Raises
    ------
    PlateError
        The file can't be read.
    """
    with frame_context(None, path), reading(), open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def is_whole(path: str | os.PathLike[str]) -> bool:
    """Return whether a frame that Semblance wrote is all there.

    `write_plate` leaves no byte between a frame's chunks and none behind the last one, so each
    has to end where the next begins. A file that ends in zeros is taken for one whose room was
    made before it was copied. Pixels are not decoded.
    """
    try:
        with opened(Path(path)) as source:
            ends: list[tuple[int, int]] = []
            with frame_context(None, path), reading():
                for part, table in zip(source.header.parts, source.tables, strict=True):
                    for offset in table.tolist():
                        length = chunk_length(source.file, offset, part, source.header.multipart)
                        ends.append((offset, offset + length))
                source.file.seek(max(source.stamp[0] - _END, 0))
                blank = not any(source.file.read(_END))
    except PlateError:
        return False
    ends.sort()
    if blank:
        return False
    begins = [begin for begin, _ in ends[1:]] + [source.stamp[0]]
    return [end for _, end in ends] == begins
