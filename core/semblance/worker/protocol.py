"""The messages between a host's plug-in and the worker, protocol 1 (docs/protocol.md).

A message is a header of 24 bytes and fields; a field is a tag, a kind, a length and a value. Each
message is a frozen dataclass here whose fields carry their tag and kind, so reading, writing and
checking are one function each. What comes from the other side is checked in full before anything
is made of it.

Standard library only: a host's own Python may import this.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields
from functools import lru_cache
from typing import Any, ClassVar, Final, Optional, Union

from semblance.errors import EnvironmentFault
from semblance.knobs import Knob, Knobs, declared

__all__ = [
    "ALIGNMENT",
    "HEADER_BYTES",
    "LONGEST",
    "MAGIC",
    "MAJOR",
    "MESSAGES",
    "Cancel",
    "Cancelled",
    "Done",
    "Error",
    "Failed",
    "File",
    "Forget",
    "Header",
    "Hello",
    "Message",
    "Ping",
    "Plan",
    "Pong",
    "ProtocolError",
    "Rectangle",
    "Region",
    "Render",
    "Slot",
    "SlotReady",
    "Welcome",
    "WorkerError",
    "blocks",
    "decode",
    "decode_header",
    "decode_knobs",
    "encode",
    "encode_knobs",
    "is_empty",
]

MAGIC: Final = b"SMBL"
MAJOR: Final = 1
LONGEST: Final = 1 << 20
"""Most bytes of a message after its header."""

ALIGNMENT: Final = 64
"""Where a block of pixels may begin in a slot: at multiples of this."""

_HEADER: Final = struct.Struct("<4sHHIIQ")
HEADER_BYTES: Final = _HEADER.size
_FIELD: Final = struct.Struct("<HHI")
_KNOB: Final = struct.Struct("<B3xI")

_INT, _FLOAT, _TEXT, _BYTES = 1, 2, 3, 4
_KINDS: Final = {_INT: "whole numbers", _FLOAT: "numbers", _TEXT: "a text", _BYTES: "bytes"}
_CODES: Final = {_INT: "q", _FLOAT: "d"}

_KNOB_KINDS: Final = {"bool": 1, "int": 2, "float": 3, "choice": 4, "text": 5, "file": 5}

_FARTHEST: Final = 1 << 24
"""Most pixels from the origin that a rectangle may lie."""

Rectangle = tuple[int, int, int, int]
"""x1, y1, x2, y2 in pixels at the render scale, y up, upper bounds exclusive."""


class ProtocolError(ValueError):
    """The other side sent what the protocol does not allow; its connection ends."""


class WorkerError(EnvironmentFault):
    """The worker can't be reached, started or trusted, or did not answer in time."""


def _tagged(tag: int, kind: int, count: int = 1, **default: Any) -> Any:
    """Declare a message's field: `count` numbers, or one text, or bytes."""
    return field(metadata={"tag": tag, "kind": kind, "count": count}, **default)


@dataclass(frozen=True)
class Header:
    """What stands before every message.

    Parameters
    ----------
    type : int
        Which message.
    length : int
        Bytes that follow.
    job : int
        The job that the message is about, as the client numbers them; 0 for none.
    sequence : int
        Rises with every message of a direction.
    """

    type: int
    length: int
    job: int
    sequence: int


@dataclass(frozen=True)
class Hello:
    """Client, first: who is there and which knobs it knows."""

    TYPE: ClassVar[int] = 1
    protocol: int = _tagged(1, _INT)
    digest: str = _tagged(2, _TEXT)
    client: str = _tagged(3, _TEXT)
    pid: int = _tagged(4, _INT)


@dataclass(frozen=True)
class Welcome:
    """Worker, to a good hello."""

    TYPE: ClassVar[int] = 2
    protocol: int = _tagged(1, _INT)
    digest: str = _tagged(2, _TEXT)
    version: str = _tagged(3, _TEXT)
    pid: int = _tagged(4, _INT)
    largest_slot: int = _tagged(5, _INT)


@dataclass(frozen=True)
class Plan:
    """Client asks which pixels a frame would need.

    Parameters
    ----------
    instance : int
        The effect's instance, as the client numbers them.
    time : float
        The host's frame number.
    scale : (float, float)
        Render scale: 1 is the full resolution.
    pixel_aspect : float
        Of Source at the full resolution.
    bounds : Rectangle
        The pixels that Source has.
    display : (float, float, float, float)
        The display window that the track was made in: x1, y1, x2, y2 in canonical coordinates
        (square pixels at the full resolution), y up.
    window : Rectangle
        The pixels of Output that are wanted.
    components : int
        3 or 4: whether Source has an alpha.
    premultiplied : int
        1 where Source's colours are premultiplied by its alpha.
    mask : int
        1 where the artist's matte is connected.
    knobs : bytes
        As `encode_knobs` gives them.
    """

    TYPE: ClassVar[int] = 3
    instance: int = _tagged(10, _INT)
    time: float = _tagged(11, _FLOAT)
    scale: tuple[float, float] = _tagged(12, _FLOAT, 2)
    pixel_aspect: float = _tagged(13, _FLOAT)
    bounds: tuple[int, int, int, int] = _tagged(14, _INT, 4)
    display: tuple[float, float, float, float] = _tagged(15, _FLOAT, 4)
    window: tuple[int, int, int, int] = _tagged(16, _INT, 4)
    components: int = _tagged(17, _INT)
    premultiplied: int = _tagged(18, _INT)
    mask: int = _tagged(19, _INT)
    knobs: bytes = _tagged(20, _BYTES)

    def __post_init__(self) -> None:
        """Refuse what no picture can be."""
        _check_range("time", (self.time,), -(2.0**31), 2.0**31)
        _check_range("render scale", self.scale, 2.0**-10, 2.0**6)
        _check_range("pixel aspect", (self.pixel_aspect,), 2.0**-6, 2.0**6)
        _check_rectangle("source bounds", self.bounds)
        _check_rectangle("render window", self.window)
        _check_range("display window", self.display, -float(_FARTHEST), float(_FARTHEST))
        if self.display[0] >= self.display[2] or self.display[1] >= self.display[3]:
            raise ProtocolError(f"the display window {self.display} is empty")
        _check_one_of("components", self.components, (3, 4))
        _check_one_of("premultiplied", self.premultiplied, (0, 1))
        _check_one_of("mask", self.mask, (0, 1))


@dataclass(frozen=True)
class Region:
    """Worker, to a plan: the pixels it needs.

    Parameters
    ----------
    rectangle : Rectangle
        Inside Source's bounds; empty where the output is the source.
    mask : int
        1 where the mask is needed over the same rectangle.
    slot_bytes : int
        What a slot must hold for the render, blocks laid out as `blocks` does.
    message : str
        What a person should know; empty for nothing.
    """

    TYPE: ClassVar[int] = 4
    rectangle: tuple[int, int, int, int] = _tagged(30, _INT, 4)
    mask: int = _tagged(31, _INT)
    slot_bytes: int = _tagged(32, _INT)
    message: str = _tagged(33, _TEXT)


@dataclass(frozen=True)
class Slot:
    """Client: shared memory, whose file descriptor travels with the header."""

    TYPE: ClassVar[int] = 5
    slot: int = _tagged(40, _INT)
    size: int = _tagged(41, _INT)
    name: Optional[str] = _tagged(44, _TEXT, default=None)
    """Windows only: the file mapping's name, since no descriptor travels there."""


@dataclass(frozen=True)
class SlotReady:
    """Worker: the slot is mapped."""

    TYPE: ClassVar[int] = 6
    slot: int = _tagged(40, _INT)


@dataclass(frozen=True)
class Render(Plan):
    """Client: render a frame whose pixels lie in a slot.

    Parameters
    ----------
    slot : int
        Which slot.
    filled : Rectangle
        The pixels of Source that lie there: the plan's answer.
    offsets : (int, int, int)
        Where source, mask (−1 for none) and result begin in the slot, in bytes.
    """

    TYPE: ClassVar[int] = 7
    slot: int = _tagged(40, _INT)
    filled: tuple[int, int, int, int] = _tagged(42, _INT, 4)
    offsets: tuple[int, int, int] = _tagged(43, _INT, 3)

    def __post_init__(self) -> None:
        """Refuse what no picture can be, and blocks that overlap or begin at odd places."""
        super().__post_init__()
        _check_rectangle("filled rectangle", self.filled)
        x1, y1, x2, y2 = self.filled
        left, low, right, high = self.bounds
        inside = left <= x1 and x2 <= right and low <= y1 and y2 <= high
        if not (inside or is_empty(self.filled)):
            raise ProtocolError(
                f"the filled rectangle {self.filled} is not inside the bounds {self.bounds}"
            )
        if self.mask == 0 and self.offsets[1] != -1:
            raise ProtocolError("a mask's offset was given without a mask")
        end = 0
        for offset, size in sorted(self.placed()):
            if offset < 0 or offset % ALIGNMENT:
                raise ProtocolError(
                    f"a block begins at byte {offset}, expected a multiple of {ALIGNMENT}"
                )
            if offset < end:
                raise ProtocolError(f"the block at byte {offset} begins before {end}, in another")
            end = offset + size

    def placed(self) -> list[tuple[int, int]]:
        """Return offset and size in bytes of each block that there is, source first."""
        pixels = max(self.filled[2] - self.filled[0], 0) * max(self.filled[3] - self.filled[1], 0)
        source, mask, result = self.offsets
        there = [(source, 16 * pixels), (result, 16 * pixels)]
        return there if mask == -1 else [*there, (mask, 4 * pixels)]


@dataclass(frozen=True)
class Done:
    """Worker: the result lies in the slot.

    Parameters
    ----------
    changed : Rectangle
        What has to be copied to Output, inside the filled rectangle; may be empty.
    note : str
        What a person should know; empty for nothing.
    pipeline_ms : float
        Time of the frame path itself.
    total_ms : float
        Time since the request arrived.
    pixels_ms : float
        Time to take the pixels out of the slot, to name them by their content, and to put the
        result in.
    """

    TYPE: ClassVar[int] = 8
    changed: tuple[int, int, int, int] = _tagged(50, _INT, 4)
    note: str = _tagged(51, _TEXT)
    pipeline_ms: float = _tagged(52, _FLOAT)
    total_ms: float = _tagged(53, _FLOAT)
    pixels_ms: float = _tagged(54, _FLOAT, default=0.0)


@dataclass(frozen=True)
class Failed:
    """Worker: the job came to nothing.

    Parameters
    ----------
    reason : str
        For a person: what, where, what to do.
    retry : int
        1 where the same request may go well a moment later.
    """

    TYPE: ClassVar[int] = 9
    reason: str = _tagged(60, _TEXT)
    retry: int = _tagged(61, _INT)


@dataclass(frozen=True)
class Cancel:
    """Client: the header's job is not wanted any more. The job itself still answers."""

    TYPE: ClassVar[int] = 10


@dataclass(frozen=True)
class Cancelled:
    """Worker: the job was cancelled, or a newer one took its place."""

    TYPE: ClassVar[int] = 11


@dataclass(frozen=True)
class Forget:
    """Client: the instance is gone."""

    TYPE: ClassVar[int] = 12
    instance: int = _tagged(10, _INT)


@dataclass(frozen=True)
class Ping:
    """Client asks whether the worker is there."""

    TYPE: ClassVar[int] = 13
    token: int = _tagged(1, _INT)


@dataclass(frozen=True)
class Pong:
    """Worker: yes."""

    TYPE: ClassVar[int] = 14
    token: int = _tagged(1, _INT)


@dataclass(frozen=True)
class Error:
    """Either: the connection ends here, and why."""

    TYPE: ClassVar[int] = 15
    reason: str = _tagged(60, _TEXT)


@dataclass(frozen=True)
class File:
    """Client: render a frame from file to file; the pixels are those of `semblance apply`.

    Parameters
    ----------
    instance, time, knobs
        As `Plan` has them.
    size : (int, int)
        Width and height of the display window at the full resolution, in pixels: that of the
        track. A file of another size is a proxy.
    source, result : str
        The plate's EXR file, and the one to be made in a folder that exists: R, G and B of the
        rectangle that changed, and A, which is 1 there.
    roto : str
        The artist's matte, an EXR file; empty for none.
    """

    TYPE: ClassVar[int] = 16
    instance: int = _tagged(10, _INT)
    time: float = _tagged(11, _FLOAT)
    knobs: bytes = _tagged(20, _BYTES)
    size: tuple[int, int] = _tagged(70, _INT, 2)
    source: str = _tagged(71, _TEXT)
    result: str = _tagged(72, _TEXT)
    roto: str = _tagged(73, _TEXT)

    def __post_init__(self) -> None:
        """Refuse what no picture can be."""
        _check_range("time", (self.time,), -(2.0**31), 2.0**31)
        _check_range("size", tuple(map(float, self.size)), 1.0, float(_FARTHEST))


Message = Union[
    Hello, Welcome, Plan, Region, Slot, SlotReady, Render, Done, Failed, Cancel, Cancelled, Forget,
    Ping, Pong, Error, File,
]  # fmt: skip

MESSAGES: Final[Mapping[int, type]] = {
    each.TYPE: each
    for each in (
        Hello, Welcome, Plan, Region, Slot, SlotReady, Render, Done, Failed, Cancel, Cancelled,
        Forget, Ping, Pong, Error, File,
    )
}  # fmt: skip
"""Every message by its number."""


def is_empty(rectangle: Rectangle) -> bool:
    """Return whether a rectangle holds not one pixel."""
    return rectangle[0] >= rectangle[2] or rectangle[1] >= rectangle[3]


def blocks(rectangle: Rectangle, *, mask: bool) -> tuple[int, tuple[int, int, int]]:
    """Lay source, mask and result of a rectangle into a slot.

    Parameters
    ----------
    rectangle : Rectangle
        The pixels that a render needs.
    mask : bool
        Whether it needs the mask too.

    Returns
    -------
    (int, (int, int, int))
        The slot's bytes, and where source, mask (−1 for none) and result begin.
    """
    pixels = max(rectangle[2] - rectangle[0], 0) * max(rectangle[3] - rectangle[1], 0)
    picture, drawn = _aligned(16 * pixels), _aligned(4 * pixels) if mask else 0
    return 2 * picture + drawn, (0, 2 * picture if mask else -1, picture)


# ------------------------------------------------------------------------------------ messages


def encode(message: Message, job: int, sequence: int) -> bytes:
    """Return a message as it travels.

    Raises
    ------
    ProtocolError
        It is longer than a message may be.
    """
    payload = b"".join(_encoded(message))
    if len(payload) > LONGEST:
        raise ProtocolError(f"a message of {len(payload)} bytes, the most is {LONGEST}")
    return _HEADER.pack(MAGIC, MAJOR, message.TYPE, len(payload), job, sequence) + payload


def decode_header(data: bytes, last: int = 0) -> Header:
    """Return a message's header.

    Parameters
    ----------
    data : bytes
        `HEADER_BYTES` of them.
    last : int
        The sequence number of the message before, which this one's must exceed.

    Raises
    ------
    ProtocolError
        It is no header, of another protocol, of an unknown message, longer than a message may be,
        or out of sequence.
    """
    magic, version, kind, length, job, sequence = _HEADER.unpack(data)
    if magic != MAGIC:
        raise ProtocolError(f"expected a message that begins with {MAGIC!r}, found {magic!r}")
    if version != MAJOR:
        raise ProtocolError(
            f"the other side speaks protocol {version}, this one protocol {MAJOR}; "
            "install plug-in and Semblance of one version"
        )
    if kind not in MESSAGES:
        raise ProtocolError(f"there is no message {kind}")
    if length > LONGEST:
        raise ProtocolError(f"a message of {length} bytes, the most is {LONGEST}")
    if sequence <= last:
        raise ProtocolError(f"message {sequence} came after message {last}")
    return Header(kind, length, job, sequence)


def decode(kind: int, payload: bytes) -> Message:
    """Return the message of a header's type and the bytes that followed it.

    Raises
    ------
    ProtocolError
        A field is torn, missing, there twice, of another kind or length, or no picture can be so.
    """
    what = MESSAGES[kind]
    given: dict[str, Any] = {}
    known = {item.metadata["tag"]: item for item in fields(what)}
    for tag, sort, value in _fields(payload):
        item = known.get(tag)
        if item is None:
            continue
        if sort != item.metadata["kind"]:
            raise ProtocolError(
                f"{what.__name__}, tag {tag}: expected {_KINDS[item.metadata['kind']]}, "
                f"found kind {sort}"
            )
        if item.name in given:
            raise ProtocolError(f"{what.__name__}, tag {tag} is there twice")
        given[item.name] = _decoded(f"{what.__name__}, tag {tag}", item.metadata, value)
    try:
        return what(**given)  # type: ignore[no-any-return]
    except TypeError:
        missing = [item.metadata["tag"] for item in fields(what) if item.name not in given]
        raise ProtocolError(f"{what.__name__} lacks a tag; not there: {missing}") from None


def _encoded(message: Message) -> Iterator[bytes]:
    for item in fields(message):
        value = getattr(message, item.name)
        if value is None:
            continue
        kind = item.metadata["kind"]
        if kind == _TEXT:
            data = value.replace("\0", " ").encode("utf-8", "replace")
        elif kind == _BYTES:
            data = value
        else:
            numbers = value if item.metadata["count"] > 1 else (value,)
            data = struct.pack(f"<{len(numbers)}{_CODES[kind]}", *numbers)
        yield _FIELD.pack(item.metadata["tag"], kind, len(data)) + _padded(data)


def _fields(payload: bytes) -> Iterator[tuple[int, int, bytes]]:
    at = 0
    while at < len(payload):
        if len(payload) - at < _FIELD.size:
            raise ProtocolError(f"{len(payload) - at} bytes too many after the last field")
        tag, kind, length = _FIELD.unpack_from(payload, at)
        at += _FIELD.size
        if _padded_size(length) > len(payload) - at:
            raise ProtocolError(f"tag {tag} claims {length} bytes of {len(payload) - at}")
        yield tag, kind, payload[at : at + length]
        at += _padded_size(length)


def _decoded(where: str, described: Mapping[str, Any], value: bytes) -> Any:
    kind, count = described["kind"], described["count"]
    if kind == _BYTES:
        return value
    if kind == _TEXT:
        return _text(where, value)
    if len(value) != 8 * count:
        raise ProtocolError(f"{where}: expected {8 * count} bytes, found {len(value)}")
    numbers = struct.unpack(f"<{count}{_CODES[kind]}", value)
    return numbers if count > 1 else numbers[0]


def _text(where: str, value: bytes) -> str:
    try:
        text = value.decode("utf-8")
    except UnicodeDecodeError:
        raise ProtocolError(f"{where}: expected a text in UTF-8") from None
    if "\0" in text:
        raise ProtocolError(f"{where}: a text holds a zero byte")
    return text


def _check_range(what: str, values: tuple[float, ...], low: float, high: float) -> None:
    if not all(math.isfinite(value) and low <= value <= high for value in values):
        raise ProtocolError(f"the {what} is {values}, expected {low:g} to {high:g}")


def _check_rectangle(what: str, rectangle: Rectangle) -> None:
    x1, y1, x2, y2 = rectangle
    if x1 > x2 or y1 > y2 or max(map(abs, rectangle)) > _FARTHEST:
        raise ProtocolError(f"the {what} {rectangle} is no rectangle")


def _check_one_of(what: str, value: int, allowed: tuple[int, ...]) -> None:
    if value not in allowed:
        raise ProtocolError(f"{what} is {value}, expected one of {allowed}")


def _aligned(size: int) -> int:
    return -(-size // ALIGNMENT) * ALIGNMENT


def _padded_size(length: int) -> int:
    return -(-length // 8) * 8


def _padded(data: bytes) -> bytes:
    return data + bytes(-len(data) % 8)


# ------------------------------------------------------------------------------------ knobs


def encode_knobs(knobs: Knobs) -> bytes:
    """Return the values of all knobs, in the order of the table."""
    values = knobs.to_flat()
    return b"".join(_encoded_knob(knob, values[knob.name]) for knob in _table())


@lru_cache(maxsize=32)
def decode_knobs(data: bytes) -> Knobs:
    """Return the knobs that `encode_knobs` wrote.

    Raises
    ------
    ProtocolError
        It is not one value for each knob, of the knob's kind.
    KnobError
        A value is outside what its knob accepts.
    """
    values: dict[str, Any] = {}
    at = 0
    for knob in _table():
        where = f"knob {knob.name!r}"
        if len(data) - at < _KNOB.size:
            raise ProtocolError(f"the knobs end before {where}")
        kind, length = _KNOB.unpack_from(data, at)
        at += _KNOB.size
        if kind != _KNOB_KINDS[knob.kind]:
            raise ProtocolError(
                f"{where}: expected kind {_KNOB_KINDS[knob.kind]} ({knob.kind}), found {kind}"
            )
        if _padded_size(length) > len(data) - at:
            raise ProtocolError(f"{where} claims {length} bytes of {len(data) - at}")
        values[knob.name] = _decoded_knob(knob, where, data[at : at + length])
        at += _padded_size(length)
    if at != len(data):
        raise ProtocolError(f"{len(data) - at} bytes too many after the last knob")
    return Knobs.from_flat(values)


def _encoded_knob(knob: Knob, value: Any) -> bytes:
    if knob.kind in ("text", "file"):
        data = str(value).encode("utf-8")
    elif knob.kind == "float":
        data = struct.pack("<d", value)
    else:
        number = knob.choices.index(value) if knob.kind == "choice" else int(value)
        data = struct.pack("<q", number)
    return _KNOB.pack(_KNOB_KINDS[knob.kind], len(data)) + _padded(data)


def _decoded_knob(knob: Knob, where: str, value: bytes) -> Any:
    if knob.kind in ("text", "file"):
        return _text(where, value)
    if len(value) != 8:
        raise ProtocolError(f"{where}: expected 8 bytes, found {len(value)}")
    if knob.kind == "float":
        return struct.unpack("<d", value)[0]
    (number,) = struct.unpack("<q", value)
    if knob.kind == "choice":
        # An index of no choice is refused by the knob itself, with what it accepts.
        return knob.choices[number] if 0 <= number < len(knob.choices) else f"number {number}"
    if knob.kind == "bool" and number in (0, 1):
        return bool(number)
    return number


@lru_cache(maxsize=1)
def _table() -> tuple[Knob, ...]:
    return declared()
