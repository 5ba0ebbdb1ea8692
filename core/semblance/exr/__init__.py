"""EXR frames: read, write, and the sequences they form. Every layout and every bit survives.

- `read_plate`, `read_roto`, `read_header`: from a file, or from the part of it that is needed.
- `write_plate`: to a file, whole or not at all; what did not change is copied as it is compressed.
- `Sequence`, `check_output`, `claim`: frames on disk, and who writes them.
- `file_hash`, `is_whole`: what a file holds, by its bytes.
"""

from __future__ import annotations

from semblance.exr.attribute import Attribute
from semblance.exr.claim import claim
from semblance.exr.container import Channel, Header, Part
from semblance.exr.content import file_hash, is_whole
from semblance.exr.read import read_header, read_plate, read_roto
from semblance.exr.sequence import Sequence, check_output
from semblance.exr.write import Written, write_plate

__all__ = [
    "Attribute",
    "Channel",
    "Header",
    "Part",
    "Sequence",
    "Written",
    "check_output",
    "claim",
    "file_hash",
    "is_whole",
    "read_header",
    "read_plate",
    "read_roto",
    "write_plate",
]
