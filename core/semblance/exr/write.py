"""Write EXR frames: whole or not at all, and bit for bit what was read.

Pixels are encoded by OpenEXR's Python module, into memory, in every channel's own type. What it
would make of the header is set aside: the plate's attributes go out as the bytes they came in, the
parts beside the plate's as the compressed chunks that they are (see `semblance.exr.container`).
"""

from __future__ import annotations

import errno
import io
import os
import secrets
import struct
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, BinaryIO

import numpy as np
import OpenEXR
from numpy.typing import NDArray

from semblance.errors import OutputError, PlateError, frame_context
from semblance.exr.container import (
    COMPRESSIONS,
    STRUCTURE,
    Attribute,
    Header,
    Part,
    chunk_length,
    chunk_tables,
    header_bytes,
    parse_header,
)
from semblance.exr.read import reading
from semblance.plate import Plate

__all__ = ["Written", "write_plate"]

_LOSSLESS = frozenset({"none", "rle", "zip", "zips", "piz", "htj2k256", "htj2k32", "zstd"})
_DECREASING = 1

_REASONS = {
    errno.ENOENT: ("its folder does not exist", "Make the folder, or name another one."),
    errno.ENOSPC: ("the disk is full", "Make room, or name another folder."),
    errno.EDQUOT: ("the disk quota is used up", "Make room, or name another folder."),
    errno.EFBIG: ("the file is larger than this system allows", "Raise the limit of file sizes."),
    errno.EACCES: ("writing is not permitted", "Name a folder that you may write to."),
    errno.EPERM: ("writing is not permitted", "Name a folder that you may write to."),
    errno.EROFS: ("the disk can only be read", "Name a folder that you may write to."),
}


@dataclass(frozen=True)
class Written:
    """What became of a frame.

    Parameters
    ----------
    path : Path
        The file, there as a whole.
    bytes : int
        Its size.
    compression : str
        How its picture is compressed, in OpenImageIO's terms.
    note : str
        Why that is not the plate's own compression; empty where it is.
    """

    path: Path
    bytes: int
    compression: str
    note: str = ""


@dataclass(frozen=True)
class _Image:
    """One part ready to be written: its attributes, and its chunks without part numbers."""

    attributes: Mapping[str, Attribute]
    chunks: Iterator[bytes | memoryview]
    lengths: NDArray[np.uint64]
    order: NDArray[np.int64]


def write_plate(
    plate: Plate,
    path: str | os.PathLike[str],
    extra: Mapping[str, Any] = MappingProxyType({}),
    layers: Mapping[str, NDArray[Any]] = MappingProxyType({}),
) -> Written:
    """Write one frame so that it is visible only when it is complete.

    Every channel keeps its type and its bits, the header all its attributes. The file keeps its
    compression where that is lossless for its channels, else it is written as ``zip``: to encode
    lossy pixels again would change them outside the matte. Parts beside the plate's are copied from
    `plate.path` without being decoded.

    Parameters
    ----------
    plate : Plate
        As `read_plate` gives it, with a new picture.
    path : path
        The file to make or to replace, in a folder that exists. Never the plate's own.
    extra : mapping of str to value
        Attributes to add or to replace, as `Attribute.of` takes them.
    layers : mapping of str to (h, w) array
        Channels to add or to replace, over the data window; float32 unless they are float16 or
        uint32 already.

    Returns
    -------
    Written

    Raises
    ------
    OutputError
        The folder is missing or not writable, the disk is full, or `path` is the plate itself.
    PlateError
        The plate's file had other parts, and they can't be read any more.
    ValueError
        A layer has another size than the plate, or `extra` names a structural attribute.
    """
    path = Path(path)
    channels = {**plate.channels, **_prepared(layers, plate)}
    compression, note = _lossless(plate.compression, channels)
    with frame_context(None, path):
        if plate.path is not None and _same_file(plate.path, path):
            raise OutputError("the output is the plate itself", "Name another file.")
        encoded = _encode(plate, channels, compression)
        source = _Picture(encoded, _attributes(plate, extra, encoded))
