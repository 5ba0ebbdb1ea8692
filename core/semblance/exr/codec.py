"""Compress pixels into OpenEXR's chunks and back, by OpenEXR's own Python module, in memory.

The module knows whole files alone. So the chunks that are wanted are given to it as a small file of
their own, whose data window is theirs, and what it made of pixels is taken out of such a file.

- `decode`: chunks to channels.
- `encode`: channels to chunks.
- `stored`: channels to chunks without compression, which every compression allows.

References
----------
Academy Software Foundation, "OpenEXR File Layout", section "Pixel Data",
https://openexr.com/en/latest/OpenEXRFileLayout.html
"""

from __future__ import annotations

import io
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import cache
from types import MappingProxyType
from typing import Any, TypeAlias

import numpy as np
import OpenEXR
from numpy.typing import NDArray

from semblance.errors import OutputError, PlateError
from semblance.exr.attribute import Attribute
from semblance.exr.container import (
    COMPRESSIONS,
    Block,
    Part,
    chunk_body,
    chunk_head,
    chunk_tables,
    header_bytes,
    parse_header,
)
from semblance.plate import Window

__all__ = ["Body", "Encoded", "decode", "encode", "lossless", "stored"]

Body: TypeAlias = bytes | memoryview
"""A chunk's pixels as they are in the file, without what stands in front of them."""

_LOSSLESS = frozenset({"none", "rle", "zip", "zips", "piz", "htj2k256", "htj2k32", "zstd"})


@dataclass(frozen=True)
class Encoded:
    """An image's chunks.

    Parameters
    ----------
    part : Part
        The image, with all that its header has to say.
    bodies : tuple of bytes
        Their compressed pixels, in the order of the table.
    order : tuple of int
        Their places in the table, in the order in which a file holds them.
    """

    part: Part
    bodies: tuple[Body, ...]
    order: tuple[int, ...]


def lossless(compression: str, channels: Mapping[str, NDArray[Any]]) -> bool:
    """Return whether a compression gives these channels' bits back; its level does not count."""
    name = compression.partition(":")[0]
    exact = all(pixels.dtype != np.float32 for pixels in channels.values())
    return name in _LOSSLESS or (name == "pxr24" and exact)


def decode(part: Part, block: Block, bodies: Iterable[bytes]) -> Mapping[str, NDArray[Any]]:
    """Return the pixels of some chunks.

    Parameters
    ----------
    part : Part
        The flat part of one level that the chunks belong to.
    block : Block
        Which chunks they are; not empty.
    bodies : iterable of bytes
        Their compressed pixels, in the order of `block.indices`.

    Returns
    -------
    mapping of str to (h, w) array
        Every channel of the part over `block.window`, in the file's type, read-only.

    Raises
    ------
    PlateError
        If the chunks can't be decompressed.
    """
    alone = _alone(part, block.window)
    memory = io.BytesIO()
    memory.write(header_bytes([alone.attributes], multipart=False))
    begin = memory.tell()
    offsets: list[int] = []
    memory.write(bytes(8 * len(block.indices)))
    for index, body in enumerate(bodies):
        offsets.append(memory.tell())
        memory.write(chunk_head(alone, index, len(body), multipart=False))
        memory.write(body)
    memory.seek(begin)
    memory.write(np.array(offsets, "<u8").tobytes())
    memory.seek(0)
    _use_all_cores()
    try:
        parts = OpenEXR.File(memory, separate_channels=True).parts
        found = {name: channel.pixels for name, channel in parts[0].channels.items()}
    except (IndexError, RuntimeError, ValueError):  # it gives no part where it failed
        raise PlateError(
            "the file can't be decoded: its compressed pixels are damaged",
            "Render or copy the frame again.",
        ) from None
    for pixels in found.values():
        pixels.flags.writeable = False
    return MappingProxyType({channel.name: found[channel.name] for channel in part.channels})


def encode(
    channels: Mapping[str, NDArray[Any]],
    window: Window,
    compression: str,
    tile: tuple[int, int] | None = None,
    decreasing: bool = False,
) -> Encoded:
    """Return an image's chunks.

    Parameters
    ----------
    channels : mapping of str to (h, w) array
        float16, float32 or uint32, over `window`.
    window : Window
        The image's data window.
    compression : str
        In OpenImageIO's terms; the level of a lossy one behind a colon.
    tile : (int, int), optional
        Width and height of a tile; without it the image is stored as scanlines.
    decreasing : bool
        Whether a file holds the chunks from the last to the first.

    Raises
    ------
    OutputError
        If OpenEXR can't encode the image.
    """
    name, _, level = compression.partition(":")
    header: dict[str, Any] = {
        "compression": OpenEXR.Compression(COMPRESSIONS.index(name)),
        "dataWindow": _box(window),
        "displayWindow": _box(window),
        "type": OpenEXR.tiledimage if tile else OpenEXR.scanlineimage,
    }
    if decreasing:
        header["lineOrder"] = OpenEXR.DECREASING_Y
    if level:
        header["dwaCompressionLevel"] = float(level)
    if tile:
        header["tiles"] = OpenEXR.TileDescription()
        header["tiles"].xSize, header["tiles"].ySize = tile
    _use_all_cores()
    memory = io.BytesIO()
    # A view with strides would be written as if it had none.
    pixels = {name: np.ascontiguousarray(item) for name, item in channels.items()}
    try:
        OpenEXR.File(header, pixels).write(memory)
    except RuntimeError as error:
        raise OutputError(f"OpenEXR can't encode the frame: {error}") from error
    parsed = parse_header(memory, memory.getbuffer().nbytes)
    (part,) = parsed.parts
    (table,) = chunk_tables(memory, parsed)
    bodies = (chunk_body(memory, table, part, index, False) for index in range(len(table)))
    order = tuple(np.argsort(table, kind="stable").tolist())
    return Encoded(part, tuple(bodies), order)


def stored(part: Part, block: Block, channels: Mapping[str, NDArray[Any]]) -> tuple[Body, ...]:
    """Return the bodies of some chunks, not compressed.

    A chunk that is as large as its pixels is taken as it is by every reader, whatever the part's
    compression: row by row, in each row channel by channel. So a part that is compressed with a
    loss can hold chunks without one.

    Parameters
    ----------
    part : Part
        The flat part of one level that the chunks belong to.
    block : Block
        Which chunks they are.
    channels : mapping of str to (h, w) array
        The part's channels in its types, over `block.window`.
    """
    bodies: list[Body] = []
    for window in block.windows:
        rows, columns = window.slices(block.window)
        lines = np.empty((window.height, window.width * part.pixel_bytes), np.uint8)
        begin = 0
        for channel in part.channels:
            pixels = np.ascontiguousarray(channels[channel.name][rows, columns])
            end = begin + window.width * pixels.dtype.itemsize
            lines[:, begin:end] = pixels.view(np.uint8)
            begin = end
        bodies.append(lines.reshape(-1).data)
    return tuple(bodies)


def _alone(part: Part, window: Window) -> Part:
    """Return a part of the same kind that is an image of its own and holds a window alone."""
    box = Attribute.box(window)
    attributes = {
        "channels": part.attributes["channels"],
        "compression": part.attributes["compression"],
        "dataWindow": box,
        "displayWindow": box,
        "lineOrder": Attribute("lineOrder", b"\0"),
        "pixelAspectRatio": Attribute.of(1.0),
        "screenWindowCenter": Attribute.of((0.0, 0.0)),
        "screenWindowWidth": Attribute.of(1.0),
        "type": Attribute.of(part.kind),
    }
    if part.tiled:
        attributes["tiles"] = part.attributes["tiles"]
    return replace(part, index=0, data_window=window, attributes=attributes)


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
