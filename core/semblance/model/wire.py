"""Protocol-buffers messages, one field after the other, without their schema and without a copy.

References
----------
Protocol Buffers documentation, "Encoding".
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import BinaryIO, Final, NamedTuple

__all__ = ["BYTES", "VARINT", "Field", "fields", "numbers", "text"]

VARINT: Final = 0
_FIXED64: Final = 1
BYTES: Final = 2
_FIXED32: Final = 5


class Field(NamedTuple):
    """One field, at whose bytes the file stands.

    Parameters
    ----------
    number, kind : int
        Field number and wire type.
    length : int
        Bytes that follow; 0 for a number that was read.
    value : int
        The number, where `kind` is VARINT.
    """

    number: int
    kind: int
    length: int
    value: int = 0


def fields(file: BinaryIO, end: int) -> Iterator[Field]:
    """Yield the fields of the message that ends at `end`, whatever is read of them meanwhile.

    Raises
    ------
    ValueError, EOFError
        It is no message.
    """
    while file.tell() < end:
        tag = _varint(file)
        number, kind = tag >> 3, tag & 7
        length = value = 0
        if kind == VARINT:
            value = _varint(file)
        elif kind == BYTES:
            length = _varint(file)
        elif kind in (_FIXED32, _FIXED64):
            length = 4 if kind == _FIXED32 else 8
        else:
            raise ValueError(f"wire type {kind} does not exist")
        after = file.tell() + length
        if number == 0 or after > end:
            raise ValueError("a field reaches beyond the end of the file")
        yield Field(number, kind, length, value)
        file.seek(after)


def text(file: BinaryIO, end: int, wanted: int) -> str:
    """Return the text of one field of the message that ends at `end`, or an empty one.

    Raises
    ------
    ValueError, EOFError
        It is no message, or the text is no UTF-8.
    """
    for number, kind, length, _ in fields(file, end):
        value = file.read(length)
        if number == wanted and kind == BYTES:
            return value.decode("utf-8")
    return ""


def numbers(file: BinaryIO, field: Field, most: int = 64) -> list[int]:
    """Return the first whole numbers of a repeated field, packed or one by one, with their sign.

    Raises
    ------
    ValueError, EOFError
        They are cut short.
    """
    if field.kind == VARINT:
        return [_signed(field.value)]
    end = file.tell() + field.length
    found: list[int] = []
    while file.tell() < end and len(found) < most:
        found.append(_signed(_varint(file)))
    return found


def _signed(value: int) -> int:
    value &= (1 << 64) - 1
    return value - (1 << 64) if value >> 63 else value


def _varint(file: BinaryIO) -> int:
    value = 0
    for shift in range(0, 70, 7):
        byte = file.read(1)
        if not byte:
            raise EOFError("it ends within a field")
        value |= (byte[0] & 0x7F) << shift
        if byte[0] < 0x80:
            return value
    raise ValueError("a number is longer than 64 bits")
