"""What a frame is, by hashes of its file, its pixels and each attribute; and what of it changed.

No pixel is decoded: a file that other software wrote again is another file, though it may look the
same.
"""

from __future__ import annotations

import hashlib
import os
import re
from pathlib import Path
from typing import Final

from semblance import provenance
from semblance.credentials import ListedFrame
from semblance.credentials.frames import digest
from semblance.errors import SemblanceError, frame_context
from semblance.exr import Header, Sequence, is_whole, read_header
from semblance.exr.read import opened, reading
from semblance.resume import INPUTS, PLATE_HASH

__all__ = [
    "changes",
    "frame_marks",
    "list_frame",
    "mark_faults",
    "marked_sequences",
    "model_of",
]

_BLOCK: Final = 1 << 20
_NAMED: Final = 6
"""Attributes that are named where many differ."""

_NUMBERED: Final = re.compile(r"(?P<head>.*?)(?P<number>\d+)\.exr", re.IGNORECASE)
_UNCONFIRMED: Final = "none"
"""What a list says of a release that was not on file."""


def list_frame(path: Path, frame: int) -> ListedFrame:
    """Return what a list says of a frame. The file is read once, and nothing is decoded.

    Raises
    ------
    PlateError
        It can't be read, or is no EXR.
    """
    with opened(path) as source, frame_context(frame, path), reading():
        header = source.header
        begin = header.tables + 8 * sum(int(table.size) for table in source.tables)
        whole, pixels = hashlib.sha256(), hashlib.sha256()
        source.file.seek(0)
        at = 0
        while block := source.file.read(_BLOCK):
            whole.update(block)
            if at + len(block) > begin:
                pixels.update(memoryview(block)[max(begin - at, 0) :])
            at += len(block)
    attributes = {
        name if not header.multipart else f"{part.index}/{name}": digest(
            item.kind.encode() + b"\0" + item.data
        )
        for part in header.parts
        for name, item in part.attributes.items()
    }
    return ListedFrame(
        frame, path.name, at, whole.hexdigest(), pixels.hexdigest(), attributes, frame_marks(header)
    )


def frame_marks(header: Header) -> dict[str, str]:
    """Return what Semblance's marks say, as plain texts; nothing where there are none."""
    for part in header.parts:
        marks = provenance.read_marks(part.metadata)
        if marks is None:
            continue
        held = {name: str(item.value) for name, item in part.metadata.items()}
        return {
            "model": marks.model,
            "modelHash": marks.model_sha256,
            "release": marks.release,
            "knobsHash": held.get("semblance:knobsHash", ""),
            "plateHash": held.get(PLATE_HASH, ""),
            "inputs": held.get(INPUTS, ""),
        }
    return {}


def mark_faults(header: Header) -> list[str]:
    """Return what is wrong with Semblance's marks by themselves; empty where there are none."""
    faults = []
    for part in header.parts:
        marks = provenance.read_marks(part.metadata)
        if marks is None:
            continue
        if marks.source_type != provenance.SOURCE_TYPE:
            said = f"is {marks.source_type!r}" if marks.source_type else "is missing"
            faults.append(f"its digitalSourceType {said}, which Semblance never writes")
        if not marks.knobs_intact:
            faults.append("its knobs are not those that were hashed")
    return faults


def model_of(frames: Sequence) -> str:
    """Return the sha256 of the model that made a sequence, by its marks; empty where none did."""
    for number in frames.select(None):
        marks = frame_marks(read_header(frames.path(number)))
        if marks:
            return marks["modelHash"]
    return ""


def marked_sequences(folder: Path) -> list[Sequence]:
    """Return the sequences in a folder of which a frame carries Semblance's marks, by name."""
    named = (_NUMBERED.fullmatch(path.name) for path in folder.glob("*.exr"))
    padding: dict[str, int] = {}
    for name in filter(None, named):
        head, digits = name["head"], len(name["number"])
        if not head.startswith("."):
            padding[head] = min(padding.get(head, digits), digits)
    found = [Sequence(folder, head, ".exr", padding[head]) for head in sorted(padding)]
    return [each for each in found if each.frames() and model_of(each)]


def changes(path: Path, entry: ListedFrame) -> list[str]:
    """Return what is another than was listed, in words; empty where the file is the same."""
    if not os.path.lexists(path):
        return ["it is missing"]
    try:
        now = list_frame(path, entry.frame)
    except SemblanceError as error:
        return [f"it is damaged: {error.fact}"]
    if now.sha256 == entry.sha256:
        others = [n for n, v in now.marks.items() if entry.marks.get(n) not in (v, _UNCONFIRMED)]
        said = f"the list says otherwise than its marks: {', '.join(sorted(others))}"
        return [said] if others else mark_faults(read_header(path))
    if now.size < entry.size and not is_whole(path):
        return [f"it is torn: {now.size} of {entry.size} bytes are there"]
    found = ["its pixels were changed"] if now.pixels != entry.pixels else []
    before, after = dict(entry.attributes), dict(now.attributes)
    kinds = {
        "changed": [n for n in before if n in after and before[n] != after[n]],
        "removed": [n for n in before if n not in after],
        "added": [n for n in after if n not in before],
    }
    for kind, names in kinds.items():
        if names:
            shown = ", ".join(sorted(names)[:_NAMED]) + (" …" if len(names) > _NAMED else "")
            many = "attributes" if len(names) > 1 else "attribute"
            found.append(f"{many} {kind}: {shown}")
    return found or ["its bytes were changed, though neither its pixels nor its attributes"]
