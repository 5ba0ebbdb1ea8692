"""Read EXR frames: every channel in its own type, every attribute in its own bytes.

Pixels are decoded by OpenImageIO, channel ranges of one type at a time, because a read of mixed
types converts them all to float and an id of 32 bits does not survive that. The header is read by
`semblance.exr.container`.

- `read_plate`: a frame as a `Plate`.
- `read_roto`: the artist's matte.
- `read_header`: what a file says about itself, without its pixels.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from itertools import groupby
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import OpenImageIO as oiio
from numpy.typing import NDArray

from semblance.errors import PlateError, frame_context
from semblance.exr.container import Header, Part, chunk_tables, parse_header
from semblance.face import Roto
from semblance.plate import Plate

__all__ = ["read_header", "read_plate", "read_roto"]

PICTURE_LAYERS = ("rgba", "beauty", "main", "combined")
"""Layers that are the picture where several hold R, G and B; the first one that is there."""

_ROTO_CHANNELS = ("A", "Y", "R")
"""Channels that are a matte where a file holds several; the first one that is there."""

_PREFIX = re.compile(r"^EXR Error \(.*\): (EXR_ERR_\w+ )?")
"""What OpenEXR puts before its own words; the file is named by `frame_context`."""

_LARGEST = 16 << 30
"""Bytes of pixels in one part that are still believed."""


def read_plate(path: str | os.PathLike[str], part: str | int | None = None) -> Plate:
    """Read one frame.

    Parameters
    ----------
    path : path
        An EXR file.
    part : str or int, optional
        Name or index of the part that holds the plate; by default the first one with channels R, G
        and B, else the first one with a layer of them.

    Returns
    -------
    Plate
        The channels over the data window in the file's types, not writable; premultiplied and in
        the colour space that the file has them in. Its picture is R, G, B, else the one layer that
        has these, else the layer named as in `PICTURE_LAYERS`. Its metadata holds `Attribute`.

    Raises
    ------
    PlateError
        The file is missing, empty, cut short, damaged, not EXR or too large to be true, or holds no
        RGB picture in flat pixels of one resolution.
    """
    path = Path(path)
    with frame_context(None, path):
        header = read_header(path)
        chosen = _choose(header, part)
        rgb, alpha = _picture(chosen)
        return Plate(
            channels=_pixels(path, header, chosen),
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
    with frame_context(None, path):
        header = read_header(path)
        for part in header.parts:
            name = _matte_channel(part)
            if name is not None:
                drawn = np.asarray(_pixels(path, header, part)[name], np.float32)
                held = np.clip(np.nan_to_num(drawn, nan=0.0, posinf=1.0, neginf=0.0), 0.0, 1.0)
                return Roto(held, part.data_window)
        raise PlateError(
            f"no channel is a matte; the file holds {_names(header)}",
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
    path = Path(path)
    with frame_context(None, path), reading(), path.open("rb") as file:
        return parse_header(file, os.fstat(file.fileno()).st_size, path)


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


def _check(path: Path, header: Header, part: Part) -> None:
    """Refuse what can't be decoded whole, before memory is taken for it."""
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
    window = part.data_window
    size = window.width * window.height * sum(item.dtype.itemsize for item in part.channels)
    if size > _LARGEST:
        raise PlateError(
            f"the header claims {window.width} × {window.height} pixels in {len(part.channels)} "
            f"channels ({size / 2**30:.0f} GiB), more than {_LARGEST >> 30} GiB",
            "Check the file; crop the frame if it is really as large.",
        )
    with reading(), path.open("rb") as file:
        chunk_tables(file, header)


def _pixels(path: Path, header: Header, part: Part) -> Mapping[str, NDArray[Any]]:
    """Return a part's channels in the file's order, each (h, w) in its own type, read-only."""
    _check(path, header, part)
    _limit()
    source = oiio.ImageInput.open(str(path))
    if source is None:
        raise _undecodable(oiio)
    try:
        names = tuple(source.spec(part.index).channelnames)
        channels = {channel.name: channel for channel in part.channels}
        if set(names) != set(channels):
            raise PlateError(
                f"the decoder finds channels {', '.join(names)}, the header {', '.join(channels)}",
                "Write the frame again with plain channel names.",
            )
        found: dict[str, NDArray[Any]] = {}
        for kind, run in groupby(range(len(names)), lambda index: channels[names[index]].kind):
            indices = tuple(run)
            block = source.read_image(part.index, 0, indices[0], indices[-1] + 1, kind)
            if block is None:
                raise _undecodable(source)
            block.flags.writeable = False
            found |= {names[index]: block[..., place] for place, index in enumerate(indices)}
    finally:
        source.close()
    return MappingProxyType({channel.name: found[channel.name] for channel in part.channels})


def _undecodable(source: Any) -> PlateError:
    """Return the error for pixels that OpenImageIO refuses, with its reason on one line."""
    try:
        lines = dict.fromkeys(_PREFIX.sub("", line) for line in source.geterror().splitlines())
        reason = "; ".join(lines) or "no reason given"
    except UnicodeDecodeError:
        reason = "its chunks are damaged"
    return PlateError(f"the file can't be decoded: {reason}", "Render or copy the frame again.")


@cache
def _limit() -> None:
    """Tell OpenImageIO, once, what size is not to be believed."""
    oiio.attribute("limits:imagesize_MB", _LARGEST >> 20)
