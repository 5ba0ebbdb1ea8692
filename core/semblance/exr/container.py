"""The OpenEXR container, byte for byte: headers, parts, and where their compressed chunks lie.

- `Channel`, `Part`, `Header`: what a file says about itself.
- `Block`: neighbouring chunks, and the pixels that they hold.
- `parse_header`, `header_bytes`: the pair between bytes and attributes.
- `chunk_tables`, `chunk_length`, `chunk_body`: the compressed pixels. They are never decoded here.
- `chunk_head`: what stands in front of them.

References
----------
Academy Software Foundation, "OpenEXR File Layout",
https://openexr.com/en/latest/OpenEXRFileLayout.html
"""

from __future__ import annotations

import struct
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, BinaryIO, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from semblance.errors import PlateError
from semblance.exr.attribute import Attribute, Attributes
from semblance.plate import Window

__all__ = [
    "COMPRESSIONS",
    "STRUCTURE",
    "Block",
    "Channel",
    "Header",
    "Part",
    "chunk_body",
    "chunk_head",
    "chunk_length",
    "chunk_tables",
    "header_bytes",
    "parse_header",
]

_MAGIC = b"\x76\x2f\x31\x01"
_TILED, _LONG_NAMES, _DEEP, _MULTIPART = 0x200, 0x400, 0x800, 0x1000

COMPRESSIONS = (
    "none",
    "rle",
    "zips",
    "zip",
    "piz",
    "pxr24",
    "b44",
    "b44a",
    "dwaa",
    "dwab",
    "htj2k256",
    "htj2k32",
    "lj2k",
    "zstd",
)
"""OpenImageIO's names of the compressions, at their numbers in the file."""

_ROWS_PER_CHUNK = (1, 1, 1, 16, 32, 16, 32, 32, 32, 256, 256, 32, 256, 1)

STRUCTURE = frozenset(
    {
        "channels",
        "chunkCount",
        "compression",
        "dataWindow",
        "displayWindow",
        "pixelAspectRatio",
        "tiles",
        "type",
        "version",
    }
)
"""Attributes that say how the pixels lie; a writer makes them anew. All others are metadata."""

Levels: TypeAlias = Literal["one", "mipmap", "ripmap"]
_LEVELS: tuple[Levels, ...] = ("one", "mipmap", "ripmap")

ChannelKind: TypeAlias = Literal["uint", "half", "float"]
_CHANNEL_KINDS: tuple[ChannelKind, ...] = ("uint", "half", "float")


@dataclass(frozen=True)
class Channel:
    """One channel of a part.

    Parameters
    ----------
    name : str
        As in the file, with its layer: ``R``, ``diffuse.R``.
    kind : {"uint", "half", "float"}
        The type on disk.
    sampling : (int, int)
        Every how many columns and rows there is a sample; (1, 1) for all but luminance/chroma.
    """

    name: str
    kind: ChannelKind
    sampling: tuple[int, int] = (1, 1)

    @property
    def dtype(self) -> np.dtype[Any]:
        """The NumPy type of the channel's samples."""
        return np.dtype({"uint": np.uint32, "half": np.float16, "float": np.float32}[self.kind])


@dataclass(frozen=True)
class Block:
    """Neighbouring chunks of a flat part of one level, as a rectangle of the part's grid of chunks.

    Parameters
    ----------
    window : Window
        The pixels that the chunks hold.
    across, down : range
        Columns and rows of the grid; a part of scanlines has one column.
    chunk : (int, int)
        Width and height of a chunk; those at the right and at the bottom may be smaller.
    columns : int
        Columns of the part's whole grid.
    """

    window: Window
    across: range
    down: range
    chunk: tuple[int, int]
    columns: int

    @property
    def indices(self) -> tuple[int, ...]:
        """The chunks' places in the part's table, row by row."""
        return tuple(row * self.columns + column for row in self.down for column in self.across)

    @property
    def windows(self) -> tuple[Window, ...]:
        """The pixels of each chunk, in the order of `indices`."""
        return tuple(
            self.window.intersection(Window(x, y, x + self.chunk[0], y + self.chunk[1]))
            for y in range(self.window.y0, self.window.y1, self.chunk[1])
            for x in range(self.window.x0, self.window.x1, self.chunk[0])
        )


@dataclass(frozen=True)
class Part:
    """One part of a file: an image with channels and windows of its own.

    Parameters
    ----------
    index : int
        The part's place in the file, from 0.
    name : str
        The part's name; may be empty in a file with one part.
    kind : {"scanlineimage", "tiledimage", "deepscanline", "deeptile"}
        How the pixels are stored.
    channels : tuple of Channel
        In the file's order, which is alphabetical.
    data_window, display_window : Window
        y down, upper bounds exclusive.
    pixel_aspect : float
        Width of a pixel over its height.
    compression : str
        In OpenImageIO's terms, with the level where the file has one: ``zip``, ``dwab:45``.
    tile : (int, int)
        Width and height of a tile; (0, 0) for scanlines.
    levels : {"one", "mipmap", "ripmap"}
        Which smaller copies a tiled part holds.
    attributes : mapping of str to Attribute
        The whole header of the part.
    """

    index: int
    name: str
    kind: str
    channels: tuple[Channel, ...]
    data_window: Window
    display_window: Window
    pixel_aspect: float
    compression: str
    tile: tuple[int, int]
    levels: Levels
    attributes: Attributes

    @property
    def deep(self) -> bool:
        """Whether a pixel may hold many samples."""
        return self.kind.startswith("deep")

    @property
    def tiled(self) -> bool:
        """Whether the chunks are tiles."""
        return self.kind in ("tiledimage", "deeptile")

    @property
    def metadata(self) -> Attributes:
        """The attributes that do not say how the pixels lie."""
        return MappingProxyType(
            {name: item for name, item in self.attributes.items() if name not in STRUCTURE}
        )

    @property
    def chunks(self) -> int | None:
        """How many compressed chunks the part has; None where the header does not tell."""
        width, height = self.data_window.width, self.data_window.height
        name = self.compression.partition(":")[0]
        if self.kind == "tiledimage" and self.levels == "one":
            return -(-width // self.tile[0]) * -(-height // self.tile[1])
        if self.kind == "scanlineimage" and name in COMPRESSIONS:
            return -(-height // _ROWS_PER_CHUNK[COMPRESSIONS.index(name)])
        counted = self.attributes.get("chunkCount")
        return counted.value if counted is not None and isinstance(counted.value, int) else None

    @property
    def chunk(self) -> tuple[int, int]:
        """Width and height of a chunk of a flat part whose compression is known."""
        if self.tiled:
            return self.tile
        name = self.compression.partition(":")[0]
        return self.data_window.width, _ROWS_PER_CHUNK[COMPRESSIONS.index(name)]

    @property
    def pixel_bytes(self) -> int:
        """Bytes of one pixel in all channels, before compression."""
        return sum(channel.dtype.itemsize for channel in self.channels)

    def block(self, window: Window) -> Block:
        """Return the chunks that hold pixels of a window: the smallest rectangle of them.

        It is empty where the window does not meet the data window. The part is flat, has one level
        and a compression that is known.
        """
        data = self.data_window
        width, height = self.chunk
        columns = -(-data.width // width)
        met = window.intersection(data)
        if met.empty:
            nothing = Window(data.x0, data.y0, data.x0, data.y0)
            return Block(nothing, range(0), range(0), (width, height), columns)
        across = range((met.x0 - data.x0) // width, -(-(met.x1 - data.x0) // width))
        down = range((met.y0 - data.y0) // height, -(-(met.y1 - data.y0) // height))
        held = Window(
            data.x0 + across.start * width,
            data.y0 + down.start * height,
            data.x0 + across.stop * width,
            data.y0 + down.stop * height,
        )
        return Block(held.intersection(data), across, down, (width, height), columns)


@dataclass(frozen=True)
class Header:
    """What a file says about itself before its pixels.

    Parameters
    ----------
    path : Path or None
        The file.
    parts : tuple of Part
        At least one.
    multipart : bool
        Whether the chunks carry part numbers; a multi-part file may have one part.
    size : int
        Bytes in the file.
    tables : int
        Offset of the first table of chunks: the length of the header.
    """

    path: Path | None
    parts: tuple[Part, ...]
    multipart: bool
    size: int
    tables: int


class _ShortError(Exception):
    """The bytes end inside the header."""


def parse_header(file: BinaryIO, size: int, path: Path | None = None) -> Header:
    """Read the header of an OpenEXR file.

    Parameters
    ----------
    file : binary file
        At its beginning, seekable.
    size : int
        Bytes in the file.
    path : Path or None
        What to name it in the result.

    Raises
    ------
    PlateError
        If the file is empty, is not OpenEXR, or its header is cut short or damaged.
    """
    length = 1 << 16
    while True:
        file.seek(0)
        data = file.read(length)
        try:
            return _parse(data, size, path)
        except _ShortError:
            if len(data) >= size or len(data) < length:
                raise PlateError(
                    f"the file is cut short: it ends after {len(data)} bytes, inside its header",
                    "Render or copy the frame again.",
                ) from None
        length *= 8


def header_bytes(parts: Iterable[Attributes], multipart: bool) -> bytes:
    """Return the bytes of a file's header, up to its first table of chunks.

    Parameters
    ----------
    parts : iterable of mapping of str to Attribute
        Every part's attributes, the structural ones among them.
    multipart : bool
        Whether to write the multi-part form; the other form takes one part.
    """
    parts = tuple(parts)
    kinds = [_kind(part) for part in parts]
    flags = _MULTIPART if multipart else 0
    if not multipart and kinds == ["tiledimage"]:
        flags |= _TILED
    if any(kind.startswith("deep") for kind in kinds):
        flags |= _DEEP
    names = [name for part in parts for name, item in part.items() for name in (name, item.kind)]
    names += [channel.name for part in parts for channel in _channels(part["channels"].data)]
    if any(len(_encoded(name)) > 31 for name in names):
        flags |= _LONG_NAMES
    blocks = [_MAGIC, struct.pack("<I", 2 | flags)]
    for part in parts:
        for name in sorted(part):
            item = part[name]
            blocks += [_encoded(name), b"\0", _encoded(item.kind), b"\0"]
            blocks += [struct.pack("<i", len(item.data)), item.data]
        blocks.append(b"\0")
    if multipart:
        blocks.append(b"\0")
    return b"".join(blocks)


def chunk_tables(file: BinaryIO, header: Header) -> tuple[NDArray[np.uint64], ...]:
    """Read where every part's chunks begin, and check that the file holds them all.

    Returns
    -------
    tuple of (n,) uint64 arrays
        One per part, in bytes from the beginning of the file. Empty where the header does not
        tell how many chunks there are (mip-maps and deep data in a file with one part).

    Raises
    ------
    PlateError
        If the file ends before its chunks do, or its writer stopped before the last one.
    """
    file.seek(header.tables)
    tables = []
    for part in header.parts:
        count = part.chunks or 0
        if count < 0 or file.tell() + 8 * count > header.size:
            raise _cut_short(header)
        tables.append(np.frombuffer(file.read(8 * count), "<u8").astype(np.uint64))
    for part, table in zip(header.parts, tables, strict=True):
        missing = int(np.count_nonzero((table == 0) | (table >= header.size)))
        if missing:
            raise _cut_short(header, f"{missing} of {len(table)} chunks are not there")
        if len(table):
            last = int(table.max())
            if last + chunk_length(file, last, part, header.multipart) > header.size:
                raise _cut_short(header)
    return tuple(tables)


def chunk_length(file: BinaryIO, offset: int, part: Part, multipart: bool) -> int:
    """Return the bytes of one chunk, its own head included.

    Parameters
    ----------
    file : binary file
        Seekable; left behind the chunk's head.
    offset : int
        Where the chunk begins.
    part : Part
        The part that the chunk belongs to.
    multipart : bool
        Whether a part number stands in front.

    Raises
    ------
    PlateError
        If the file ends inside the chunk's head, or the length is negative.
    """
    place = (4 if multipart else 0) + (16 if part.tiled else 4)
    sizes = "<3Q" if part.deep else "<i"
    head = place + struct.calcsize(sizes)
    file.seek(offset)
    data = file.read(head)
    if len(data) < head:
        raise PlateError(
            f"the file is cut short: it ends after {offset + len(data)} bytes, inside a chunk",
            "Render or copy the frame again.",
        )
    lengths: tuple[int, ...] = struct.unpack_from(sizes, data, place)
    if min(lengths) < 0:
        raise PlateError("the file's chunks are damaged", "Render or copy the frame again.")
    return head + sum(lengths[:2])


def chunk_body(
    file: BinaryIO, table: NDArray[np.uint64], part: Part, index: int, multipart: bool
) -> bytes:
    """Return the compressed pixels of one chunk of a flat part.

    Parameters
    ----------
    file : binary file
        Seekable.
    table : (n,) uint64 array
        As `chunk_tables` gives it for the part.
    part : Part
        The part that the chunk belongs to.
    index : int
        The chunk's place in the table.
    multipart : bool
        Whether a part number stands in front.

    Raises
    ------
    PlateError
        If the file ends inside the chunk, or the chunk is not the one that the table promises.
    """
    if index >= len(table):  # a damaged header may promise other chunks than the table has
        raise PlateError("the file's chunks are damaged", "Render or copy the frame again.")
    offset = int(table[index])
    length = chunk_length(file, offset, part, multipart)
    head = chunk_head(part, index, 0, multipart)
    width, height = part.chunk
    if length - len(head) > width * height * part.pixel_bytes:  # a chunk never grows by compression
        raise PlateError("the file's chunks are damaged", "Render or copy the frame again.")
    file.seek(offset)
    data = file.read(length)
    if len(data) < length:
        raise PlateError(
            f"the file is cut short: it ends after {offset + len(data)} bytes, inside a chunk",
            "Render or copy the frame again.",
        )
    if data[: len(head) - 4] != head[:-4]:
        raise PlateError("the file's chunks are damaged", "Render or copy the frame again.")
    return data[len(head) :]


def chunk_head(part: Part, index: int, size: int, multipart: bool) -> bytes:
    """Return what stands in front of a chunk's compressed pixels, in a flat part of one level.

    Parameters
    ----------
    part : Part
        The part that the chunk belongs to.
    index : int
        The chunk's place in the part's table.
    size : int
        Bytes of its compressed pixels.
    multipart : bool
        Whether the part's number stands in front.
    """
    number = struct.pack("<i", part.index) if multipart else b""
    width, height = part.chunk
    if not part.tiled:
        return number + struct.pack("<2i", part.data_window.y0 + index * height, size)
    row, column = divmod(index, -(-part.data_window.width // width))
    return number + struct.pack("<5i", column, row, 0, 0, size)


def _cut_short(header: Header, detail: str = "") -> PlateError:
    """Return the error for a file that ends too soon."""
    found = detail or f"it holds {header.size} bytes and its own table points past them"
    return PlateError(f"the file is cut short: {found}", "Render or copy the frame again.")


def _parse(data: bytes, size: int, path: Path | None) -> Header:
    """Return the header at the start of `data`, or raise `_ShortError`."""
    if size == 0:
        raise PlateError("the file is empty (0 bytes)", "Render or copy the frame again.")
    if data[:4] != _MAGIC[: len(data)]:
        raise PlateError(
            f"this is not an OpenEXR file: it begins with {data[:4].hex(' ')}, "
            f"expected {_MAGIC.hex(' ')}",
            "Give the plate as EXR.",
        )
    if len(data) < 8:
        raise _ShortError
    (version,) = struct.unpack_from("<I", data, 4)
    known = _TILED | _LONG_NAMES | _DEEP | _MULTIPART
    if version & 0xFF != 2 or version & ~0xFF & ~known:
        raise PlateError(
            f"OpenEXR version {version & 0xFF} with flags {version >> 8:#x} is not known",
            "Write the frame with OpenEXR file version 2.",
        )
    multipart = bool(version & _MULTIPART)
    parts: list[Part] = []
    position = 8
    while True:
        attributes, position = _attributes(data, position)
        parts.append(_part(len(parts), attributes, bool(version & _TILED)))
        if not multipart:
            break
        if position >= len(data):
            raise _ShortError
        if data[position] == 0:
            position += 1
            break
    return Header(path, tuple(parts), multipart, size, position)


def _attributes(data: bytes, position: int) -> tuple[Attributes, int]:
    """Return one part's attributes and where the next part begins."""
    attributes: dict[str, Attribute] = {}
    while True:
        name, position = _text(data, position)
        if not name:
            return MappingProxyType(attributes), position
        kind, position = _text(data, position)
        if position + 4 > len(data):
            raise _ShortError
        (length,) = struct.unpack_from("<i", data, position)
        if length < 0:
            raise _damaged(name)
        position += 4
        if position + length > len(data):
            raise _ShortError
        attributes[name] = Attribute(kind, data[position : position + length])
        position += length


def _kind(part: Attributes) -> str:
    """Return how a part's pixels are stored; a file of one part need not say it."""
    if "type" in part:
        return str(part["type"].value)
    return "tiledimage" if "tiles" in part else "scanlineimage"


def _text(data: bytes, position: int) -> tuple[str, int]:
    """Return the zero-ended text at `position` and what follows it."""
    end = data.find(b"\0", position, position + 256)
    if end < 0:
        if len(data) < position + 256:
            raise _ShortError
        raise PlateError("the file's header is damaged", "Render or copy the frame again.")
    return data[position:end].decode(errors="surrogateescape"), end + 1


def _encoded(name: str) -> bytes:
    """Return a name as the file holds it."""
    return name.encode(errors="surrogateescape")


def _damaged(name: str) -> PlateError:
    """Return the error for an attribute that cannot be what the file says."""
    return PlateError(
        f"the file's header is damaged at {name!r}", "Render or copy the frame again."
    )


def _part(index: int, attributes: Attributes, tiled: bool) -> Part:
    """Return a part from its attributes."""

    def required(name: str, kind: str) -> Any:
        item = attributes.get(name)
        if item is None or item.kind != kind or isinstance(item.value, bytes):
            raise _damaged(name)
        return item.value

    def optional(name: str, kind: str, default: Any) -> Any:
        return required(name, kind) if name in attributes else default

    channels = attributes.get("channels")
    if channels is None or channels.kind != "chlist":
        raise _damaged("channels")
    kind = optional("type", "string", "tiledimage" if tiled else "scanlineimage")
    width, height, mode = (0, 0, 0)
    if kind in ("tiledimage", "deeptile"):
        width, height, mode = required("tiles", "tiledesc")
        if min(width, height) == 0 or mode & 0xF > 2:
            raise _damaged("tiles")
    number = required("compression", "compression")
    compression = COMPRESSIONS[number] if number < len(COMPRESSIONS) else f"unknown{number}"
    level = optional("dwaCompressionLevel", "float", None)
    if level is not None and compression.startswith("dwa"):
        compression = f"{compression}:{level:g}"
    return Part(
        index=index,
        name=optional("name", "string", ""),
        kind=kind,
        channels=_channels(channels.data),
        data_window=_window(required("dataWindow", "box2i"), "dataWindow"),
        display_window=_window(required("displayWindow", "box2i"), "displayWindow"),
        pixel_aspect=required("pixelAspectRatio", "float"),
        compression=compression,
        tile=(width, height),
        levels=_LEVELS[mode & 0xF],
        attributes=attributes,
    )


def _window(box: tuple[int, int, int, int], name: str) -> Window:
    """Return a window from a box whose upper bounds are inclusive."""
    window = Window(box[0], box[1], box[2] + 1, box[3] + 1)
    if window.empty:
        raise _damaged(name)
    return window


def _channels(data: bytes) -> tuple[Channel, ...]:
    """Return the channels of a ``chlist`` attribute."""
    channels: list[Channel] = []
    position = 0
    try:
        while True:
            name, position = _text(data, position)
            if not name and position == len(data):
                return tuple(channels)
            kind, x, y = struct.unpack_from("<i4x2i", data, position)
            if not name or kind not in range(len(_CHANNEL_KINDS)):
                raise _damaged("channels")
            if not name.isprintable():  # bytes that are not UTF-8 are held as surrogates
                raise PlateError(f"the channel name {name!r} is not text", "Rename the channel.")
            channels.append(Channel(name, _CHANNEL_KINDS[kind], (x, y)))
            position += 16
    except (_ShortError, struct.error):
        raise _damaged("channels") from None
