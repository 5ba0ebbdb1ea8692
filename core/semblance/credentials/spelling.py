"""The bytes of a credential that no hash covers: they must be the ones that a signing leaves there.

A C2PA manifest store is a tree of JUMBF boxes (ISO 19566-5). Content, claims and assertions are
bound by hashes and by the signature, and the C2PA library checks these. Names of the outer boxes,
their switches and the padding behind the signature are bound by nothing: a changed byte there
changes no meaning, and a reader that is to notice any change has to look by itself.

PNG files carry a check sum for each chunk, so there every byte is covered anyway.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

__all__ = ["chunk_fault", "find_store", "store_fault"]

_UUID_TAIL: Final = b"\x00\x11\x00\x10\x80\x00\x00\xaa\x00\x38\x9b\x71"
_STORE: Final = re.compile(rb"jumb\x00\x00\x00.jumdc2pa" + re.escape(_UUID_TAIL), re.DOTALL)

_LABELS: Final[Mapping[bytes, re.Pattern[bytes]]] = MappingProxyType(
    {
        b"c2pa": re.compile(rb"c2pa"),
        b"c2ma": re.compile(rb"urn:c2pa:[0-9a-f-]{36}.*"),
        b"c2as": re.compile(rb"c2pa\.assertions"),
        b"c2cl": re.compile(rb"c2pa\.claim\.v2"),
        b"c2cs": re.compile(rb"c2pa\.signature"),
    }
)
"""What the boxes are called whose names nothing else binds."""

_REQUESTABLE, _HAS_LABEL, _PRIVATE = 0x01, 0x02, 0x10

_PADDING: Final = re.compile(
    rb"\x63pad(?:[\x40-\x57]|\x58.|\x59..|\x5a....)\x00*\xf6[\x58\x59]", re.DOTALL
)
"""Unsigned padding as it ends a COSE header (RFC 9052): zeros, no payload, then the signature."""


def find_store(data: bytes) -> bytes:
    """Return the manifest store inside a file's bytes; empty where there is none in one piece.

    PNG and MP4 hold it in one piece, and so does JPEG up to 64 KB.
    """
    found = _STORE.search(data)
    if found is None or found.start() < 4:
        return b""
    begin = found.start() - 4
    return bytes(data[begin : begin + int.from_bytes(data[begin : begin + 4])])


def store_fault(store: bytes) -> str:
    """Return what is wrong with the unsigned bytes of a store; empty where nothing is."""
    try:
        _boxes(store, 0, len(store), b"")
    except _OddError as error:
        return str(error)
    return ""


def chunk_fault(png: bytes) -> str:
    """Return which chunk of a PNG fails its check sum; empty where all hold."""
    at = 8
    while at < len(png):
        length = int.from_bytes(png[at : at + 4])
        kind, stored = png[at + 4 : at + 8], png[at + 8 + length : at + 12 + length]
        if len(stored) < 4:
            return "it ends inside a chunk"
        if zlib.crc32(png[at + 4 : at + 8 + length]) != int.from_bytes(stored):
            return f"its chunk {kind.decode('ascii', 'replace')} fails its check sum"
        at += 12 + length
    return ""


class _OddError(Exception):
    """A box is not as a signing leaves it."""


def _boxes(data: bytes, begin: int, end: int, parent: bytes) -> None:
    """Look at the boxes between two offsets, which they must fill."""
    at = begin
    while at < end:
        length = int.from_bytes(data[at : at + 4])
        kind = data[at + 4 : at + 8]
        if length < 8 or at + length > end:
            raise _OddError(f"a box of it ends where none does (byte {at})")
        if kind == b"jumb":
            inner = int.from_bytes(data[at + 8 : at + 12])
            described = data[at + 16 : at + 8 + inner]
            if data[at + 12 : at + 16] != b"jumd" or inner < 25 or inner > length - 8:
                raise _OddError(f"a box of it has no description (byte {at})")
            _description(described, at)
            _boxes(data, at + 8 + inner, at + length, described[:4])
        elif parent == b"c2cs" and not _padded(data[at + 8 : at + length]):
            raise _OddError(f"the padding of its signature was written on (byte {at})")
        at += length


def _description(data: bytes, at: int) -> None:
    """Look at a description box: what its box is, by identifier, switches and name."""
    kind, switches = data[:4], data[16]
    label, terminator, rest = data[17:].partition(b"\0")
    known = _REQUESTABLE | _HAS_LABEL | (_PRIVATE if rest else 0)
    wanted = _LABELS.get(kind)
    if not terminator or switches != known or (wanted and not wanted.fullmatch(label)):
        raise _OddError(f"a box of it was renamed (byte {at})")


def _padded(signature: bytes) -> bool:
    """Return whether the unsigned part of a signature holds nothing but what belongs there."""
    return _PADDING.search(signature) is not None
