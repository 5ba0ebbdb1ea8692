"""The likeness package: one ONNX file with its manifest in the file's own metadata.

Reading a manifest needs neither ONNX Runtime nor the onnx package, and skips over the weights: the
file is a protocol-buffers message, of which only the top level is walked.

What else the file may hold is for `semblance.model.contents`.

References
----------
The messages: onnx/onnx.proto.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO, Final

from semblance.documents import loads
from semblance.errors import ModelError
from semblance.model.wire import BYTES, fields, text

__all__ = [
    "FORMAT",
    "INPUTS",
    "MANIFEST_KEY",
    "OUTPUTS",
    "VERSION",
    "Manifest",
    "read_manifest",
    "sha256_of",
]

MANIFEST_KEY: Final = "semblance.manifest"
FORMAT: Final = "semblance-likeness"
VERSION: Final = 1
TEMPLATE: Final = "semblance-1"
ENCODING: Final = "semblance-srgb-log-1"

INPUTS: Final = {"image": "the performer's canonical crop", "strength": "identity strength, 0..1"}
OUTPUTS: Final = {
    "rgb": "the face at the strength",
    "matte": "where the face is, 0..1",
    "self": "the face at strength 0, from the same code",
}

# Field numbers, by message.
IR_VERSION: Final = 1  # ModelProto
GRAPH: Final = 7
METADATA: Final = 14
KEY: Final = 1  # StringStringEntryProto
VALUE: Final = 2

LONGEST_ENTRY: Final = 1 << 24
"""A metadata entry beyond 16 MiB is no manifest of ours."""


@dataclass(frozen=True)
class Manifest:
    """What a likeness package says about itself.

    Parameters
    ----------
    name : str
        The likeness's name.
    size : int
        Side of the canonical picture, in pixels.
    performer, likeness : str
        Names of the two identities: strength 0 and strength 1.
    training : dict
        Facts of the training run: steps, seconds, faces, versions, date.
    template : str
        Name of the canonical template.
    encoding : str
        Name of the working encoding that pictures are in.
    inputs, outputs : dict of str to str
        Roles of the graph's inputs and outputs, by name.
    release : dict or None
        Reference to the signed release of the likeness.
    """

    name: str
    size: int
    performer: str
    likeness: str
    training: dict[str, Any] = field(default_factory=dict)
    template: str = TEMPLATE
    encoding: str = ENCODING
    inputs: dict[str, str] = field(default_factory=lambda: dict(INPUTS))
    outputs: dict[str, str] = field(default_factory=lambda: dict(OUTPUTS))
    release: dict[str, Any] | None = None

    def to_json(self) -> str:
        """Return the manifest as it is stored."""
        stored = {
            "format": FORMAT,
            "version": VERSION,
            "name": self.name,
            "template": self.template,
            "size": self.size,
            "encoding": self.encoding,
            "identities": {"performer": self.performer, "likeness": self.likeness},
            "inputs": self.inputs,
            "outputs": self.outputs,
            "training": self.training,
            "release": self.release,
        }
        return json.dumps(stored, ensure_ascii=False)

    @classmethod
    def from_json(cls, text: str) -> Manifest:
        """Read back what `to_json` gave.

        Raises
        ------
        ModelError
            It is no manifest, of another version, or a part of it is missing or of a wrong type.
        """
        try:
            stored = loads(text)
        except ValueError as error:
            raise ModelError(f"the manifest is no JSON: {error}", _AGAIN) from error
        if not isinstance(stored, dict) or stored.get("format") != FORMAT:
            raise ModelError(f"the manifest's format is not {FORMAT!r}", _AGAIN)
        if stored.get("version") != VERSION:
            raise ModelError(
                f"expected manifest version {VERSION}, found {stored.get('version')!r}",
                "Use the version of semblance that exported the model, or export it again.",
            )
        for key, expected in (("template", TEMPLATE), ("encoding", ENCODING)):
            if stored.get(key) != expected:
                raise ModelError(f"expected {key} {expected!r}, found {stored.get(key)!r}", _AGAIN)
        try:
            return cls(
                name=_typed(stored, "name", str),
                size=_typed(stored, "size", int),
                performer=_typed(_typed(stored, "identities", dict), "performer", str),
                likeness=_typed(_typed(stored, "identities", dict), "likeness", str),
                training=_typed(stored, "training", dict),
                inputs=_typed(stored, "inputs", dict),
                outputs=_typed(stored, "outputs", dict),
                release=stored.get("release"),
            )
        except KeyError as error:
            raise ModelError(
                f"the manifest's entry {error.args[0]!r} is missing or of a wrong type", _AGAIN
            ) from error


_AGAIN: Final = "Export the model again with: semblance export."


def _typed(stored: dict[str, Any], key: str, kind: type) -> Any:
    value = stored.get(key)
    if not isinstance(value, kind):
        raise KeyError(key)
    return value


def read_manifest(path: str | os.PathLike[str]) -> Manifest:
    """Read a package's manifest without loading its weights.

    Parameters
    ----------
    path : path
        The ONNX file.

    Returns
    -------
    Manifest

    Raises
    ------
    ModelError
        The file can't be read, is not ONNX, holds no manifest, or one of another version.
    """
    path = Path(path)
    try:
        with path.open("rb") as file:
            entries = _metadata(file, path)
    except OSError as error:
        raise ModelError(
            f"the model {path} can't be read: {error.strerror}", "Check the file's name."
        ) from error
    if MANIFEST_KEY not in entries:
        raise ModelError(
            f"{path} holds no Semblance manifest: expected the metadata entry {MANIFEST_KEY!r}, "
            f"found {sorted(entries) or 'no metadata'}",
            "Export a likeness with: semblance export. For a network of another family see: "
            "semblance model adapt.",
        )
    try:
        return Manifest.from_json(entries[MANIFEST_KEY])
    except ModelError as error:
        error.path = str(path)
        raise


def sha256_of(path: str | os.PathLike[str]) -> str:
    """Content hash of a model file, 64 hexadecimal digits.

    Raises
    ------
    ModelError
        The file can't be read.
    """
    try:
        with Path(path).open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise ModelError(
            f"the model {path} can't be read: {error.strerror}", "Check the file's name."
        ) from error


# ------------------------------------------------------------------------- protocol buffers


def _metadata(file: BinaryIO, path: Path) -> dict[str, str]:
    """Read the `metadata_props` of the ModelProto in `file`."""
    entries: dict[str, str] = {}
    numbers = set()
    try:
        for number, kind, length, _ in fields(file, os.fstat(file.fileno()).st_size):
            numbers.add(number)
            if number == METADATA and kind == BYTES and length <= LONGEST_ENTRY:
                key, value = _entry(file.read(length))
                entries[key] = value
    except (ValueError, EOFError) as error:
        raise ModelError(f"{path} is no ONNX model: {error}", _AGAIN) from error
    if not {IR_VERSION, GRAPH} <= numbers:
        raise ModelError(f"{path} is no ONNX model: it holds no graph", _AGAIN)
    return entries


def _entry(data: bytes) -> tuple[str, str]:
    file = io.BytesIO(data)
    key = text(file, len(data), KEY)
    file.seek(0)
    return key, text(file, len(data), VALUE)
