"""Read EXR frames: every channel in its own type, every attribute in its own bytes.

Only the chunks that hold what is asked for are read and decoded (see `semblance.exr.codec`).

- `read_plate`: a frame as a `Plate`, or a region of it.
- `read_roto`: the artist's matte.
- `read_header`: what a file says about itself, without its pixels.
- `Source`, `opened`, `pixels`: the same for a writer that needs the plate's file too.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from io import FileIO
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from semblance.errors import PlateError, frame_context
from semblance.exr.codec import decode
from semblance.exr.container import (
    COMPRESSIONS,
    Header,
    Part,
    chunk_body,
    chunk_tables,
    parse_header,
)
from semblance.exr.limits import check_memory, check_size
from semblance.face import Roto
from semblance.plate import Plate, Window

__all__ = ["Source", "opened", "pixels", "read_header", "read_plate", "read_roto", "reading"]

PICTURE_LAYERS = ("rgba", "beauty", "main", "combined")
"""Layers that are the picture where several hold R, G and B; the first one that is there."""

_ROTO_CHANNELS = ("A", "Y", "R")
"""Channels that are a matte where a file holds several; the first one that is there."""


@dataclass(frozen=True)
class Source:
    """An EXR file that is open.

    Parameters
    ----------
    path : Path
        Where it was found.
    file : binary file
        Not buffered, seekable.
    header : Header
        What it says about itself.
    stamp : (int, int)
        Its size in bytes and the time of its last change in nanoseconds, when it was opened.
    """

    path: Path
    file: FileIO
    header: Header
    stamp: tuple[int, int]

    @cached_property
    def tables(self) -> tuple[NDArray[np.uint64], ...]:
        """Where every part's chunks begin, as `chunk_tables`."""
        with frame_context(None, self.path), reading():
            return chunk_tables(self.file, self.header)

    def read_into(self, piece: memoryview) -> int:
        """Fill a piece of memory from where the file stands, or as much of it as one read gives."""
        count = self.file.readinto(piece)
        if not count:
            raise PlateError("the file is cut short", "Render or copy the frame again.")
        return count

    @property
    def changed(self) -> bool:
        """Whether somebody has written to the file since it was opened."""
        return _stamp(self.file) != self.stamp


def read_plate(
    path: str | os.PathLike[str],
    part: str | int | None = None,
    region: Window | None = None,
) -> Plate:
    """Read one frame, or a region of it.

    Parameters
    ----------
    path : path
        An EXR file.
    part : str or int, optional
        Name or index of the part that holds the plate; by default the first one with channels R, G
        and B, else the first one with a layer of them.
    region : Window, optional
        The pixels that are needed, by default all. Whole chunks are read: the plate's region is
        that of the scanlines, or of the tiles, that cover this one.

    Returns
    -------
    Plate
        The channels in the file's types, not writable; premultiplied and in the colour space that
        the file has them in. Its picture is R, G, B, else the one layer that has these, else the
        layer named as in `PICTURE_LAYERS`. Its metadata holds `Attribute`.

    Raises
    ------
    PlateError
        The file is missing, empty, cut short, not EXR or too large to be true, damaged where it was
        read, or holds no RGB picture in flat pixels of one resolution.
    """
    path = Path(path)
    with opened(path) as source, frame_context(None, path):
        chosen = _choose(source.header, part)
        rgb, alpha = _picture(chosen)
        channels, held = pixels(source, chosen, region)
        return Plate(
            channels=channels,
            data_window=chosen.data_window,
            display_window=chosen.display_window,
            rgb=rgb,
            alpha=alpha,
            pixel_aspect=chosen.pixel_aspect,
            metadata=chosen.metadata,
            compression=chosen.compression,
            layout="tiled" if chosen.tiled else "scanline",
            tile=chosen.tile,
            path=path,
            region=None if held == chosen.data_window else held,
            part=chosen.index,
            stamp=source.stamp,
        )


def read_roto(path: str | os.PathLike[str]) -> Roto:
    """Read the artist's matte of one frame.

    Parameters
    ----------
    path : path
        An EXR file whose first flat part with a channel ``A``, ``Y`` or ``R``, or with one channel
        alone, holds the matte.

    Returns
    -------
    Roto
        Held to 0..1; what is not a number counts as 0.

    Raises
    ------
    PlateError
        As `read_plate`, or the file holds several channels and none of these.
    """
    path = Path(path)
    with opened(path) as source, frame_context(None, path):
        for part in source.header.parts:
            name = _matte_channel(part)
            if name is not None:
                drawn = np.asarray(pixels(source, part)[0][name], np.float32)
                held = np.clip(np.nan_to_num(drawn, nan=0.0, posinf=1.0, neginf=0.0), 0.0, 1.0)
                return Roto(held, part.data_window)
        raise PlateError(
            f"no channel is a matte; the file holds {_names(source.header)}",
            "Give a matte with a channel A, Y or R, or with one channel alone.",
        )


def read_header(path: str | os.PathLike[str]) -> Header:
    """Read what a file says about itself.

    Parameters
    ----------
    path : path
        An EXR file of any layout, deep ones too.

    Raises
    ------
    PlateError
        The file is missing, not readable, empty, not EXR, cut short or damaged in its header.
    """
    with opened(Path(path)) as source:
        return source.header


@contextmanager
def opened(path: Path) -> Iterator[Source]:
    """Open an EXR file and read its header.

    Raises
    ------
    PlateError
        As `read_header`.
    """
    with frame_context(None, path), reading():
        file = path.open("rb", buffering=0)
    with file:
        with frame_context(None, path), reading():
            stamp = _stamp(file)
            header = parse_header(file, stamp[0], path)
        yield Source(path, file, header, stamp)


def pixels(
    source: Source, part: Part, window: Window | None = None
) -> tuple[Mapping[str, NDArray[Any]], Window]:
    """Return a part's channels over the chunks that hold a window, and the pixels of these.

    Returns
    -------
    mapping of str to (h, w) array
        In the file's order, each in its own type, read-only.
    Window
        What they hold: `window` and what else its chunks do; by default the whole data window.

    Raises
    ------
    PlateError
        The part can't be decoded as flat pixels of one resolution, or the file is cut short or
        damaged.
    """
    with frame_context(None, source.path), reading():
        _check(part)
        table = source.tables[part.index]
        block = part.block(part.data_window if window is None else window)
        if block.window.empty:
            return {item.name: np.zeros((0, 0), item.dtype) for item in part.channels}, block.window
        check_memory(part, block.window)
        bodies = (
            chunk_body(source.file, table, part, index, source.header.multipart)
            for index in block.indices
        )
        return decode(part, block, bodies), block.window


@contextmanager
def reading() -> Iterator[None]:
    """Turn what the system says of a file that is read into a `PlateError`."""
    try:
        yield
    except FileNotFoundError:
        raise PlateError("the file does not exist", "Check the path and the frame.") from None
    except OSError as error:
        raise PlateError(
            f"the file can't be read: {error.strerror}", "Check the path and its permissions."
        ) from error


def _choose(header: Header, part: str | int | None) -> Part:
    """Return the part that was asked for, else the first with a picture."""
    if part is None:
        flat = [item for item in header.parts if not item.deep]
        if not flat:
            raise _deep(header.parts[0])
        for wanted in ("", *PICTURE_LAYERS, None):
            for item in flat:
                layers = _layers(item)
                if layers and (wanted is None or wanted in map(_last, layers)):
                    return item
        return flat[0]
    named = [item for item in header.parts if item.name == part]
    if not named and str(part).isdecimal():
        named = [item for item in header.parts if item.index == int(part)]
    if not named:
        there = ", ".join(f"{item.index} {item.name!r}" for item in header.parts)
        raise PlateError(f"there is no part {part!r}; the file has {there}", "Name one of these.")
    return named[0]


def _picture(part: Part) -> tuple[tuple[str, str, str], str | None]:
    """Return the names of a part's picture channels and of its alpha, checked."""
    if part.deep:
        raise _deep(part)
    layers = _layers(part)
    preferred = [
        layer for name in ("", *PICTURE_LAYERS) for layer in layers if _last(layer) == name
    ]
    if len(layers) > 1 and not preferred:
        raise PlateError(
            f"several layers could be the plate: {', '.join(layers)}",
            f"Name the plate's channels R, G and B, or its layer {' or '.join(PICTURE_LAYERS)}.",
        )
    if not layers:
        held = ", ".join(channel.name for channel in part.channels)
        raise PlateError(
            f"there is no picture in R, G and B; the file holds {held}",
            "Give a plate with R, G and B channels.",
        )
    prefix = (preferred or layers)[0]
    prefix = f"{prefix}." if prefix else ""
    names = {channel.name: channel for channel in part.channels}
    rgb = (f"{prefix}R", f"{prefix}G", f"{prefix}B")
    if any(names[name].kind == "uint" for name in rgb):
        raise PlateError(
            f"channels {', '.join(rgb)} hold whole numbers, expected half or float",
            "Give a plate in half or float.",
        )
    alpha = names.get(f"{prefix}A")
    return rgb, alpha.name if alpha is not None and alpha.kind != "uint" else None


def _layers(part: Part) -> tuple[str, ...]:
    """Return the layers of a part that hold R, G and B; "" is the one without a name."""
    names = {channel.name for channel in part.channels}
    prefixes = dict.fromkeys(channel.name.rpartition(".")[0] for channel in part.channels)
    return tuple(
        layer
        for layer in prefixes
        if names >= {f"{layer}.{letter}" if layer else letter for letter in "RGB"}
    )


def _last(layer: str) -> str:
    """Return the innermost name of a layer in small letters."""
    return layer.rpartition(".")[2].lower()


def _matte_channel(part: Part) -> str | None:
    """Return the name of the channel that is a part's matte, if there is one."""
    names = [item.name for item in part.channels if item.kind != "uint" and not part.deep]
    if len(names) == 1:
        return names[0]
    return next((name for name in _ROTO_CHANNELS if name in names), None)


def _names(header: Header) -> str:
    """Return all channel names of a file."""
    return ", ".join(channel.name for part in header.parts for channel in part.channels)


def _deep(part: Part) -> PlateError:
    """Return the error for deep pixels."""
    which = f"part {part.name!r}" if part.name else "the file"
    return PlateError(f"{which} is deep, expected flat pixels", "Flatten it before.")


def _check(part: Part) -> None:
    """Refuse what can't be decoded, before memory is taken for it."""
    if part.levels != "one":
        raise PlateError(
            f"the file stores its picture at several resolutions ({part.levels})",
            "Write the frame again as scanlines, or as tiles of one level.",
        )
    for channel in part.channels:
        if channel.sampling != (1, 1):
            raise PlateError(
                f"channel {channel.name!r} has a sample on every {channel.sampling[0]} × "
                f"{channel.sampling[1]} pixels, expected one on each",
                "Write the frame again as RGB.",
            )
    if part.compression.partition(":")[0] not in COMPRESSIONS:
        raise PlateError(
            f"the file's compression {part.compression} is not known",
            f"Write the frame again with one of {', '.join(COMPRESSIONS)}.",
        )
    check_size(part)


def _stamp(file: BinaryIO) -> tuple[int, int]:
    """Return a file's size and the time of its last change, in nanoseconds."""
    status = os.fstat(file.fileno())
    return status.st_size, status.st_mtime_ns
