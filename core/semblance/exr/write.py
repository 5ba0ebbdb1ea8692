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
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Any, BinaryIO

import numpy as np
import OpenEXR
from numpy.typing import NDArray

from semblance.errors import OutputError, PlateError, frame_context
from semblance.exr.attribute import Attribute
from semblance.exr.container import (
    COMPRESSIONS,
    STRUCTURE,
    Header,
    Part,
    chunk_length,
    chunk_tables,
    header_bytes,
    parse_header,
)
from semblance.exr.read import read_header, reading
from semblance.plate import Plate, Window

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
class _Chunks:
    """One part's compressed chunks, in a file or in memory."""

    file: BinaryIO
    header: Header
    part: Part
    table: NDArray[np.uint64]


@dataclass(frozen=True)
class _Place:
    """Where a plate lies in a file of several parts."""

    header: Header
    index: int


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
        place = _place(plate)
        picture = _encode(plate, channels, compression)
        attributes = _attributes(plate, extra, picture.part)
        with _siblings(plate, place) as parts, _atomic(path) as file:
            if place is None:
                _assemble(file, [(attributes, picture)], multipart=False)
            else:
                attributes["chunkCount"] = Attribute.of(len(picture.table))
                images = [(chunks.part.attributes, chunks) for chunks in parts]
                images[place.index] = (attributes, picture)
                _assemble(file, images, multipart=True)
            size = file.tell()
    return Written(path, size, compression, note)


def _prepared(layers: Mapping[str, NDArray[Any]], plate: Plate) -> dict[str, NDArray[Any]]:
    """Return the layers in types that a file can hold, checked."""
    shape = (plate.data_window.height, plate.data_window.width)
    ready = {}
    for name, pixels in layers.items():
        if pixels.shape != shape:
            raise ValueError(f"layer {name!r} is {pixels.shape}, expected {shape}")
        kept = pixels.dtype in (np.float16, np.uint32)
        ready[name] = pixels if kept else np.asarray(pixels, np.float32)
    return ready


def _lossless(compression: str, channels: Mapping[str, NDArray[Any]]) -> tuple[str, str]:
    """Return a compression that changes no pixel, and why it is not the plate's own."""
    name = compression.partition(":")[0]
    exact = all(pixels.dtype != np.float32 for pixels in channels.values())
    if name in _LOSSLESS or (name == "pxr24" and exact):
        return name, ""
    return "zip", (
        f"The plate's {name} compression is lossy and would change pixels outside the matte, "
        "so the result is zip."
    )


def _same_file(one: Path, other: Path) -> bool:
    """Return whether two paths lead to one file, which need not be there."""
    try:
        return one.samefile(other)
    except OSError:
        return one.resolve() == other.resolve()


def _encode(plate: Plate, channels: Mapping[str, NDArray[Any]], compression: str) -> _Chunks:
    """Return the plate's part as OpenEXR encodes it, in memory."""
    header: dict[str, Any] = {
        "compression": OpenEXR.Compression(COMPRESSIONS.index(compression)),
        "dataWindow": _box(plate.data_window),
        "displayWindow": _box(plate.display_window),
        "pixelAspectRatio": plate.pixel_aspect,
        "type": OpenEXR.tiledimage if plate.layout == "tiled" else OpenEXR.scanlineimage,
    }
    if plate.layout == "tiled":
        header["tiles"] = OpenEXR.TileDescription()
        header["tiles"].xSize, header["tiles"].ySize = plate.tile
    if Attribute.of(plate.metadata.get("lineOrder", 0)).value == _DECREASING:
        header["lineOrder"] = OpenEXR.DECREASING_Y
    _use_all_cores()
    memory = io.BytesIO()
    # A view with strides would be written as if it had none.
    pixels = {name: np.ascontiguousarray(item) for name, item in channels.items()}
    try:
        OpenEXR.File(header, pixels).write(memory)
    except RuntimeError as error:
        raise OutputError(f"OpenEXR can't encode the frame: {error}") from error
    parsed = parse_header(memory, memory.getbuffer().nbytes)
    return _Chunks(memory, parsed, parsed.parts[0], chunk_tables(memory, parsed)[0])


@cache
def _use_all_cores() -> None:
    """Give OpenEXR's module its threads, once, where nobody has: it starts with none."""
    if OpenEXR.global_thread_count() == 0:
        OpenEXR.set_global_thread_count(os.cpu_count() or 1)


def _box(window: Window) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """Return a window as OpenEXR's module has it, upper bounds inclusive."""
    return (
        np.array([window.x0, window.y0], np.int32),
        np.array([window.x1 - 1, window.y1 - 1], np.int32),
    )


def _attributes(plate: Plate, extra: Mapping[str, Any], encoded: Part) -> dict[str, Attribute]:
    """Return the header of the plate's part: how it was encoded, and all that is known of it."""
    structural = STRUCTURE.intersection(extra)
    if structural:
        raise ValueError(f"{sorted(structural)} say how pixels are stored; the writer sets them")
    metadata = {name: item for name, item in plate.metadata.items() if name not in STRUCTURE}
    added = {name: Attribute.of(item) for name, item in {**metadata, **extra}.items()}
    return {**encoded.attributes, **added}


def _place(plate: Plate) -> _Place | None:
    """Return where the plate lies among other parts of its file, or None where it is alone."""
    if plate.path is None:
        return None
    name = plate.metadata.get("name")
    with frame_context(None, plate.path):
        try:
            header = read_header(plate.path)
        except PlateError:
            if name is None:  # a part beside others has a name, so there are none to carry
                return None
            raise
        if len(header.parts) == 1:
            return None
        for part in header.parts:
            if part.name == str(name) and part.data_window == plate.data_window:
                return _Place(header, part.index)
        raise PlateError(
            "the file is no longer the one that the plate was read from, so its other parts "
            "can't be carried over",
            "Leave the plate in place while it is worked on.",
        )


@contextmanager
def _siblings(plate: Plate, place: _Place | None) -> Iterator[list[_Chunks]]:
    """Open the plate's file and give the chunks of all its parts."""
    if place is None or plate.path is None:
        yield []
        return
    with ExitStack() as stack:
        with frame_context(None, plate.path), reading():
            file = stack.enter_context(plate.path.open("rb"))
            tables = chunk_tables(file, place.header)
        yield [
            _Chunks(file, place.header, part, table)
            for part, table in zip(place.header.parts, tables, strict=True)
        ]


def _assemble(
    file: BinaryIO, parts: Sequence[tuple[Mapping[str, Attribute], _Chunks]], multipart: bool
) -> None:
    """Write a whole file from its parts' attributes and compressed chunks."""
    head = header_bytes([attributes for attributes, _ in parts], multipart)
    file.write(head)
    file.write(bytes(sum(8 * len(chunks.table) for _, chunks in parts)))
    tables = [
        _copy(file, chunks, number if multipart else None)
        for number, (_, chunks) in enumerate(parts)
    ]
    file.seek(len(head))
    file.write(np.concatenate(tables).astype("<u8").tobytes())
    file.seek(0, os.SEEK_END)


def _copy(file: BinaryIO, chunks: _Chunks, number: int | None) -> NDArray[np.uint64]:
    """Append a part's chunks in their order, and return where each begins now."""
    table = np.zeros_like(chunks.table)
    prefix = b"" if number is None else struct.pack("<i", number)
    old = 4 if chunks.header.multipart else 0
    for index in np.argsort(chunks.table, kind="stable"):
        offset = int(chunks.table[index])
        with frame_context(None, chunks.header.path), reading():
            length = chunk_length(chunks.file, offset, chunks.part, chunks.header.multipart)
            chunks.file.seek(offset + old)
            data = chunks.file.read(length - old)
        table[index] = file.tell()
        file.write(prefix)
        file.write(data)
    return table


@contextmanager
def _atomic(path: Path) -> Iterator[BinaryIO]:
    """Give a file that gets its name when it is complete and on the disk, and never before.

    Raises
    ------
    OutputError
        If it can't be; nothing is left behind then.
    """
    hidden = path.parent / f".semblance-{os.getpid()}-{secrets.token_hex(4)}"
    try:
        with hidden.open("xb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        hidden.replace(path)
        _sync(path.parent)
    except OSError as error:
        reason, remedy = _REASONS.get(
            error.errno or 0, (error.strerror or str(error), "Name another file or folder.")
        )
        raise OutputError(f"the frame can't be written: {reason}", remedy) from error
    finally:
        with suppress(OSError):
            hidden.unlink(missing_ok=True)


def _sync(folder: Path) -> None:
    """Put a folder's new entry on the disk, where the file system has a way to."""
    with suppress(OSError):  # some network file systems and all of Windows have none
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
