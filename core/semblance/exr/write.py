"""Write EXR frames: whole or not at all, and bit for bit what was read.

A frame that was read from a file and whose picture alone has changed is *spliced*: the compressed
chunks without a changed pixel are copied out of the plate's file as they are, the others are made
anew, in the file's own compression, and the header gains attributes. Any other frame is *rewritten*
whole. In both ways the plate's attributes go out as the bytes they came in, and the parts beside
the plate's as the compressed chunks that they are.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, replace
from operator import itemgetter
from pathlib import Path
from types import MappingProxyType
from typing import Any, BinaryIO, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from semblance.errors import OutputError, PlateError, frame_context
from semblance.exr.attribute import Attribute, Attributes
from semblance.exr.codec import Body, encode, lossless, stored
from semblance.exr.container import (
    STRUCTURE,
    Block,
    Part,
    chunk_head,
    chunk_length,
    header_bytes,
)
from semblance.exr.hidden import hidden_path
from semblance.exr.read import Source, opened, pixels, reading
from semblance.plate import Plate, Window

__all__ = ["Written", "write_plate"]

_DECREASING = 1

_PIECE = 4 << 20
"""Bytes that are copied at a time."""

_BUFFER = 1 << 20
"""Bytes of small chunks that are written at a time."""

_REASONS = {
    errno.ENOENT: ("its folder does not exist", "Make the folder, or name another one."),
    errno.ENOSPC: ("the disk is full", "Make room, or name another folder."),
    errno.EDQUOT: ("the disk quota is used up", "Make room, or name another folder."),
    errno.EFBIG: ("the file is larger than this system allows", "Raise the limit of file sizes."),
    errno.EACCES: ("writing is not permitted", "Name a folder that you may write to."),
    errno.EPERM: ("writing is not permitted", "Name a folder that you may write to."),
    errno.EROFS: ("the disk can only be read", "Name a folder that you may write to."),
}

Channels: TypeAlias = Mapping[str, NDArray[Any]]
Way: TypeAlias = Literal["splice", "rewrite"]


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
    way : {"splice", "rewrite"}
        Whether chunks were copied out of the plate's file, or all of the picture was encoded.
    note : str
        Why it is not a splice in the plate's own compression; empty where it is, and where the
        plate came from no file.
    """

    path: Path
    bytes: int
    compression: str
    way: Way
    note: str = ""


@dataclass(frozen=True)
class _Chunk:
    """One chunk of the new file: bytes, or where they lie in the plate's file."""

    part: int
    index: int
    length: int
    offset: int = -1
    head: bytes = b""
    body: Body = b""


@dataclass(frozen=True)
class _Plan:
    """A new file, before it is written."""

    parts: Sequence[Attributes]
    multipart: bool
    chunks: Sequence[_Chunk]
    compression: str
    way: Way
    note: str


def write_plate(
    plate: Plate,
    path: str | os.PathLike[str],
    extra: Mapping[str, Any] = MappingProxyType({}),
    layers: Channels = MappingProxyType({}),
    *,
    changed: Window | None = None,
    exact: bool = True,
) -> Written:
    """Write one frame so that it is visible only when it is complete.

    Every channel keeps its type and its bits, the header all its attributes, and parts beside the
    plate's are never decoded. Where the plate's file is as it was read and no layer is added, the
    chunks that hold no changed pixel are copied from it, whatever their compression. Else the frame
    is encoded whole, as ``zip`` where its own compression is lossy: to encode such pixels again
    would change them outside the matte. Pixels that the plate does not hold are those of its file.
    In a lossy file in which every chunk is touched there is nothing to copy; it is encoded whole
    too, unless `exact` is false.

    Parameters
    ----------
    plate : Plate
        As `read_plate` gives it, with a new picture; or a region of one.
    path : path
        The file to make or to replace, in a folder that exists. Never the plate's own.
    extra : mapping of str to value
        Attributes to add or to replace, as `Attribute.of` takes them.
    layers : mapping of str to (h, w) array
        Channels to add or to replace, over the data window; float32 unless they are float16 or
        uint32 already.
    changed : Window, optional
        Outside of it the plate's pixels are those of its file, bit for bit. By default everything
        that the plate holds counts as changed; an empty window says that nothing is.
    exact : bool
        What becomes of the chunks with changed pixels in a file of a lossy compression: true stores
        them without compression, so that every pixel comes back as it is here; false compresses
        them again as the file is, which makes it smaller and changes the other pixels of these
        scanlines or tiles a little.

    Returns
    -------
    Written

    Raises
    ------
    OutputError
        The folder is missing or not writable, the disk is full, or `path` is the plate itself.
    PlateError
        The plate's file is needed, for other parts or for pixels that the plate does not hold, and
        can't be read any more or is another one.
    ValueError
        A layer has another size than the plate, `extra` names a structural attribute, or the plate
        holds a region and came from no file.
    """
    path = Path(path)
    structural = STRUCTURE.intersection(extra)
    if structural:
        raise ValueError(f"{sorted(structural)} say how pixels are stored; the writer sets them")
    added = {name: Attribute.of(item) for name, item in extra.items()}
    with frame_context(None, path):
        if plate.path is not None and _same_file(plate.path, path):
            raise OutputError("the output is the plate itself", "Name another file.")
        with _source(plate) as source:
            touched = plate.window if changed is None else changed.intersection(plate.window)
            obstacle = _obstacle(plate, source, layers, touched, exact)
            if source is None or obstacle:
                plan = _rewrite(plate, source, added, _prepared(layers, plate), obstacle)
            else:
                plan = _splice(plate, source, added, touched, exact)
            with _atomic(path) as file:
                size = _assemble(file, plan, source)
                _check_unchanged(source, plan)
    return Written(path, size, plan.compression, plan.way, plan.note)


def _same_file(one: Path, other: Path) -> bool:
    """Return whether two paths lead to one file, which need not be there."""
    try:
        return one.samefile(other)
    except OSError:
        return one.resolve() == other.resolve()


@contextmanager
def _source(plate: Plate) -> Iterator[Source | None]:
    """Open the plate's file; None where there is none, or it is gone and the plate needs it not."""
    with ExitStack() as stack:
        source = None
        if plate.path is not None:
            try:
                source = stack.enter_context(opened(plate.path))
            except PlateError:
                # A part beside others has a name, so without one there are none to carry.
                if "name" in plate.metadata or plate.window != plate.data_window:
                    raise
        yield source


def _obstacle(
    plate: Plate, source: Source | None, layers: Channels, touched: Window, exact: bool
) -> str:
    """Return why a plate can't be spliced; empty where it can, and where it came from no file."""
    if plate.path is None:
        return ""
    if source is None:
        return "its plate's file can't be read any more"
    if plate.stamp != source.stamp:
        return "its plate's file has changed since it was read"
    if layers:
        return "it has layers that its plate has not"
    part = source.header.parts[plate.part]
    for what, ours, theirs in (
        ("name", str(plate.metadata.get("name", "")), part.name),
        ("data window", plate.data_window, part.data_window),
        ("display window", plate.display_window, part.display_window),
        ("pixel aspect", plate.pixel_aspect, part.pixel_aspect),
        ("compression", plate.compression, part.compression),
        ("tiling", (plate.layout == "tiled", plate.tile), (part.tiled, part.tile)),
        ("line order", plate.metadata.get("lineOrder"), part.attributes.get("lineOrder")),
        (
            "set of channels",
            {name: item.dtype for name, item in plate.channels.items()},
            {item.name: item.dtype for item in part.channels},
        ),
    ):
        if ours != theirs:
            return f"its {what} is not its plate's"
    everything = part.block(touched).window == part.data_window
    if exact and everything and not lossless(part.compression, plate.channels):
        return "all of it was touched"  # which is smaller as zip than without compression
    return ""


def _splice(plate: Plate, source: Source, extra: Attributes, touched: Window, exact: bool) -> _Plan:
    """Return a file that differs from the plate's in its header and in the chunks it touches."""
    header = source.header
    part = header.parts[plate.part]
    block = part.block(touched)
    bodies, note = _bodies(plate, source, block, exact)
    new = {
        (part.index, index): _made(part, index, body, header.multipart)
        for index, body in zip(block.indices, bodies, strict=True)
    }
    places = (
        (int(offset), part, index)
        for part, table in zip(header.parts, source.tables, strict=True)
        for index, offset in enumerate(table)
    )
    with frame_context(None, source.path), reading():
        chunks = [
            new.get((part.index, index)) or _kept(source, part, index, offset)
            for offset, part, index in sorted(places, key=itemgetter(0))
        ]
    structure = {name: item for name, item in part.attributes.items() if name in STRUCTURE}
    parts = [item.attributes for item in header.parts]
    parts[part.index] = {**structure, **_metadata(plate), **extra}
    return _Plan(parts, header.multipart, chunks, part.compression, "splice", note)


def _bodies(
    plate: Plate, source: Source, block: Block, exact: bool
) -> tuple[tuple[Body, ...], str]:
    """Return the chunks that a splice touches, and what there is to say about them."""
    part = source.header.parts[plate.part]
    if block.window.empty:
        return (), ""
    channels = _over(plate, source, block.window)
    kind = part.compression.partition(":")[0]
    which = "tiles" if part.tiled else "rows"
    if kind == "none":
        return stored(part, block, channels), ""
    if lossless(part.compression, channels):
        return _compressed(part, block, channels), ""
    if exact:
        return stored(part, block, channels), (
            f"The {which} that were touched are stored without compression: the plate's {kind} is "
            "lossy and would change pixels outside the matte."
        )
    return _compressed(part, block, channels), (
        f"The {which} that were touched were compressed again by the plate's {kind}, which is "
        "lossy and changes their pixels outside the matte a little."
    )


def _compressed(part: Part, block: Block, channels: Channels) -> tuple[Body, ...]:
    """Return chunks in their part's own compression."""
    tile = part.tile if part.tiled else None
    return encode(channels, block.window, part.compression, tile).bodies


def _over(plate: Plate, source: Source | None, window: Window) -> Channels:
    """Return a plate's channels over a window; what it does not hold comes from its file."""
    if plate.window.contains(window):
        return plate.cut(window).channels
    if plate.path is None:
        raise ValueError("a plate that came from no file has to hold all of its pixels")
    if source is None or plate.stamp != source.stamp:
        raise PlateError(
            "the file is no longer the one that the plate was read from, and only a region of it "
            "was read",
            "Leave the plate in place while it is worked on.",
        )
    found, held = pixels(source, source.header.parts[plate.part], window)
    unknown = plate.channels.keys() - found.keys()
    if unknown:
        raise ValueError(f"{sorted(unknown)} are not in the plate's file and held in a region only")
    shared = plate.window.intersection(window)
    whole = {}
    for name, ours in plate.channels.items():
        whole[name] = found[name][window.slices(held)].astype(ours.dtype)
        if not shared.empty:
            whole[name][shared.slices(window)] = ours[shared.slices(plate.window)]
    return whole


def _rewrite(
    plate: Plate, source: Source | None, extra: Attributes, layers: Channels, obstacle: str
) -> _Plan:
    """Return a file whose picture is encoded whole."""
    beside = _beside(plate, source)
    channels = {**_over(plate, source, plate.data_window), **layers}
    compression, note = plate.compression.partition(":")[0], ""
    if not lossless(compression, channels):
        note = (
            f"The plate's {compression} compression is lossy and would change pixels outside the "
            "matte, so the result is zip."
        )
        compression = "zip"
    if obstacle:
        note = f"The frame was written whole: {obstacle}. {note}".rstrip()
    order = Attribute.of(plate.metadata.get("lineOrder", 0)).value
    tile = plate.tile if plate.layout == "tiled" else None
    encoded = encode(channels, plate.data_window, compression, tile, order == _DECREASING)
    attributes = {
        **encoded.part.attributes,
        "displayWindow": Attribute.box(plate.display_window),
        "pixelAspectRatio": Attribute.of(float(plate.pixel_aspect)),
        **_metadata(plate),
        **extra,
    }
    part = encoded.part if beside is None else replace(encoded.part, index=beside)
    multipart = beside is not None
    picture = [_made(part, index, encoded.bodies[index], multipart) for index in encoded.order]
    parts: list[Attributes] = [attributes]
    chunks = picture
    if source is not None and beside is not None:
        attributes["chunkCount"] = Attribute.of(len(picture))
        parts = [item.attributes for item in source.header.parts]
        parts[beside] = attributes
        kept = [_part(source, item) for item in source.header.parts if item.index != beside]
        kept.insert(beside, picture)
        chunks = [chunk for chunks in kept for chunk in chunks]
    return _Plan(parts, multipart, chunks, compression, "rewrite", note)


def _beside(plate: Plate, source: Source | None) -> int | None:
    """Return which of several parts of its file a plate is, or None where it is alone."""
    if source is None or len(source.header.parts) == 1:
        return None
    name = str(plate.metadata.get("name", ""))
    for part in source.header.parts:
        if part.name == name and part.data_window == plate.data_window:
            return part.index
    with frame_context(None, source.path):
        raise PlateError(
            "the file is no longer the one that the plate was read from, so its other parts "
            "can't be carried over",
            "Leave the plate in place while it is worked on.",
        )


def _prepared(layers: Channels, plate: Plate) -> Channels:
    """Return the layers in types that a file can hold, checked."""
    shape = (plate.data_window.height, plate.data_window.width)
    ready = {}
    for name, layer in layers.items():
        if layer.shape != shape:
            raise ValueError(f"layer {name!r} is {layer.shape}, expected {shape}")
        kept = layer.dtype in (np.float16, np.uint32)
        ready[name] = layer if kept else np.asarray(layer, np.float32)
    return ready


def _metadata(plate: Plate) -> Attributes:
    """Return what a plate's header says besides how its pixels lie."""
    return {
        name: Attribute.of(item) for name, item in plate.metadata.items() if name not in STRUCTURE
    }


def _made(part: Part, index: int, body: Body, multipart: bool) -> _Chunk:
    """Return a chunk of the plate's part that was made anew."""
    head = chunk_head(part, index, len(body), multipart)
    return _Chunk(part.index, index, len(head) + len(body), head=head, body=body)


def _part(source: Source, part: Part) -> list[_Chunk]:
    """Return all chunks of a part of the plate's file, in the file's order."""
    table = source.tables[part.index]
    order = np.argsort(table, kind="stable").tolist()
    with frame_context(None, source.path), reading():
        return [_kept(source, part, index, int(table[index])) for index in order]


def _kept(source: Source, part: Part, index: int, offset: int) -> _Chunk:
    """Return a chunk of the plate's file."""
    length = chunk_length(source.file, offset, part, source.header.multipart)
    return _Chunk(part.index, index, length, offset)


def _assemble(file: BinaryIO, plan: _Plan, source: Source | None) -> int:
    """Write a whole file and return its size."""
    head = header_bytes(plan.parts, plan.multipart)
    counts = [0] * len(plan.parts)
    for chunk in plan.chunks:
        counts[chunk.part] += 1
    tables = [np.zeros(count, "<u8") for count in counts]
    position = len(head) + 8 * sum(counts)
    for chunk in plan.chunks:
        tables[chunk.part][chunk.index] = position
        position += chunk.length
    file.write(head)
    for table in tables:
        file.write(table.tobytes())
    piece = memoryview(bytearray(_PIECE))
    for offset, run in _runs(plan.chunks):
        if source is not None and offset >= 0:
            _copy(file, source, offset, sum(chunk.length for chunk in run), piece)
            continue
        for chunk in run:
            file.write(chunk.head)
            file.write(chunk.body)
    return position


def _runs(chunks: Iterable[_Chunk]) -> Iterator[tuple[int, list[_Chunk]]]:
    """Join chunks that follow each other in the plate's file; give where each run lies there."""
    begin, end = -1, -1
    run: list[_Chunk] = []
    for chunk in chunks:
        if run and chunk.offset != end:
            yield begin, run
            run = []
        if not run:
            begin = chunk.offset
        run.append(chunk)
        end = chunk.offset + chunk.length if chunk.offset >= 0 else -1
    if run:
        yield begin, run


def _check_unchanged(source: Source | None, plan: _Plan) -> None:
    """Refuse a file that somebody wrote to while chunks were copied out of it."""
    if source is None or all(chunk.offset < 0 for chunk in plan.chunks):
        return
    with frame_context(None, source.path), reading():
        if source.changed:
            raise PlateError(
                "the plate was written to while the result was made from it",
                "Leave the plate in place while it is worked on.",
            )


def _copy(file: BinaryIO, source: Source, offset: int, length: int, piece: memoryview) -> None:
    """Append bytes of the plate's file."""
    with frame_context(None, source.path), reading():
        source.file.seek(offset)
    while length:
        with frame_context(None, source.path), reading():
            count = source.read_into(piece[: min(length, len(piece))])
        file.write(piece[:count])
        length -= count


@contextmanager
def _atomic(path: Path) -> Iterator[BinaryIO]:
    """Give a file that gets its name when it is complete and on the disk, and never before.

    Raises
    ------
    OutputError
        If it can't be; nothing is left behind then.
    """
    hidden = hidden_path(path.parent)
    try:
        with hidden.open("xb", buffering=_BUFFER) as file:
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
