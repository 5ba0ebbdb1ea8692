"""EXR frames: read, write, and the sequences they form. Every layout and every bit survives.

- `read_plate`, `read_roto`, `read_header`: from a file, or from the part of it that is needed.
- `write_plate`: to a file, whole or not at all; what did not change is copied as it is compressed.
- `Sequence`, `check_output`: frames on disk.
"""

from __future__ import annotations

from semblance.exr.attribute import Attribute
from semblance.exr.container import Channel, Header, Part
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
    "read_header",
    "read_plate",
    "read_roto",
    "write_plate",
]
