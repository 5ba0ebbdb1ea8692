"""What makes a likeness of another family's graph: a description beside it, ``*.adapter.json``.

The graph alone is nobody's likeness: most families draw whomever an embedding names. So the
description is the model: it names the graph by the sha256 of its file and holds the identity, a
release is bound to the sha256 of the description, and neither can change without that being seen.

::

    {"format": "semblance-adapter", "version": 1, "name": ..., "identities": {...},
     "family": "inswapper", "template": "arcface_128", "size": 128, "strength": "embedding",
     "graph": {"file": ..., "sha256": ...}, "embedder": ..., "converter": ..., "picture": ...,
     "pictures": {"likeness": [...], "performer": [...]},
     "embeddings": {"likeness": [512 numbers], "performer": [512 numbers]}}
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Literal, get_args

from semblance.documents import Reader, is_whole_number
from semblance.errors import ModelError
from semblance.model import package
from semblance.model.families import FAMILIES, VECTOR, Family
from semblance.model.package import Manifest

__all__ = [
    "FORMAT",
    "SUFFIX",
    "VERSION",
    "Description",
    "File",
    "is_description",
    "load",
    "read",
    "read_manifest",
]

FORMAT: Final = "semblance-adapter"
VERSION: Final = 1
SUFFIX: Final = ".adapter.json"

Strength = Literal["embedding", "morph", "pixels"]
_WHO: Final = ("likeness", "performer")

_SHA256: Final = re.compile(r"[0-9a-f]{64}")
_LARGEST: Final = 4096
"""Side of the largest crop that a graph may want, in pixels."""
_MOST: Final = 1e6
"""Size of a number in an embedding, at most."""
_AGAIN: Final = "Make the description again with: semblance model adapt."


@dataclass(frozen=True)
class File:
    """A file by its name, as from the description's folder, and by its content."""

    name: str
    sha256: str

    def to_json(self) -> dict[str, str]:
        """Return it as JSON holds it."""
        return {"file": self.name, "sha256": self.sha256}


@dataclass(frozen=True)
class Description:
    """A likeness that a graph of another family draws.

    Parameters
    ----------
    name : str
        The model's name.
    likeness, performer : str
        Names of the two identities: strength 1 and strength 0.
    family : str
        A name in `FAMILIES`.
    size : int
        Side of the graph's crop, in pixels.
    strength : {"embedding", "morph", "pixels"}
        What the identity strength moves: the embedding, from the performer's to the likeness's;
        the graph's own morph value; or, where a family has neither, the share of the pixels.
    graph : File
        The network.
    embedder : File or None
        The recogniser that made the embeddings; it is not needed any more.
    converter : File or None
        What carries those embeddings to the family's own.
    picture : File or None
        The likeness's face, for a family that takes a picture.
    pictures : mapping of str to tuple of str
        Names of the pictures that ``likeness`` and ``performer`` were measured from.
    embeddings : mapping of str to tuple of float
        Of ``likeness`` and ``performer``, 512 numbers each, as the recogniser gave them.
    """

    name: str
    likeness: str
    performer: str
    family: str
    size: int
    strength: Strength
    graph: File
    embedder: File | None = None
    converter: File | None = None
    picture: File | None = None
    pictures: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    embeddings: Mapping[str, tuple[float, ...]] = field(default_factory=dict)

    @property
    def kind(self) -> Family:
        """The family, with all that is known of it."""
        return FAMILIES[self.family]

    def manifest(self) -> Manifest:
        """Return what a likeness package would say of itself."""
        matte = "where the face is, 0..1: the graph's own matte, or an oval where it has none"
        outputs = {"rgb": "the face at the strength", "matte": matte}
        if self.strength != "pixels":
            outputs["self"] = "the face at strength 0"
        return Manifest(
            name=self.name,
            size=self.size,
            performer=self.performer,
            likeness=self.likeness,
            template=self.kind.template,
            training={"family": self.family, "graph": self.graph.to_json()},
            outputs=outputs,
        )

    def facts(self) -> dict[str, Any]:
        """Return what a person wants to know: the document without its long numbers, and terms."""
        stored: dict[str, Any] = json.loads(self.to_json())
        del stored["embeddings"]
        return {**stored, "terms": self.kind.licence}

    def to_json(self) -> str:
        """Return the document as it is stored."""
        stored: dict[str, Any] = {
            "format": FORMAT,
            "version": VERSION,
            "name": self.name,
            "identities": {"performer": self.performer, "likeness": self.likeness},
            "family": self.family,
            "template": self.kind.template,
            "size": self.size,
            "strength": self.strength,
            "graph": self.graph.to_json(),
        }
        for name in ("embedder", "converter", "picture"):
            file: File | None = getattr(self, name)
            if file is not None:
                stored[name] = file.to_json()
        stored["pictures"] = {who: list(names) for who, names in self.pictures.items()}
        text = json.dumps(stored, indent=2, ensure_ascii=False)
        # Numbers in lines of eight: a person reads what is around them.
        vectors = ",\n".join(
            f'    "{who}": [\n{_lines(vector)}\n    ]' for who, vector in self.embeddings.items()
        )
        held = f"{{\n{vectors}\n  }}" if vectors else "{}"
        return f'{text[:-2]},\n  "embeddings": {held}\n}}\n'


def _lines(vector: tuple[float, ...]) -> str:
    rows = (vector[at : at + 8] for at in range(0, len(vector), 8))
    return ",\n".join("      " + ", ".join(f"{value:.6g}" for value in row) for row in rows)


def is_description(path: str | os.PathLike[str]) -> bool:
    """Return whether a model's file is a description, by its name."""
    return Path(path).suffix.lower() == ".json"


def read(path: str | os.PathLike[str]) -> Description:
    """Read a description; the files that it names are not looked at.

    Raises
    ------
    ModelError
        It can't be read, is of another version, or a part of it is missing or wrong.
    """
    reader = Reader(Path(path), ModelError, "the model", _AGAIN)
    missing = ModelError(
        f"the model {path} can't be read: there is no such file", "Check its name."
    )
    return _parsed(reader, reader.read(missing))


def read_manifest(path: str | os.PathLike[str]) -> Manifest:
    """Read what a model says of itself, a package or a description, without loading its weights.

    Raises
    ------
    ModelError
        As `package.read_manifest` and `read`.
    """
    return read(path).manifest() if is_description(path) else package.read_manifest(path)


def load(path: Path, file: File, what: str) -> bytes:
    """Read a file that a description names, and hold it against its sha256.

    Parameters
    ----------
    path : Path
        The description.
    file : File
        What it names: found as it is named, from the description's folder, or beside the
        description under the last part of that name.
    what : str
        What it is, for messages.

    Raises
    ------
    ModelError
        It is not there, can't be read, or is another file than the description was made for.
    """
    last = file.name.replace("\\", "/").rpartition("/")[2]  # of whichever system's name
    places = [path.parent / file.name, path.parent / last]
    for place in places:
        try:
            data = place.read_bytes()
        except FileNotFoundError:
            continue
        except OSError as error:
            raise ModelError(
                f"{what} {place} of {path} can't be read: {error.strerror}", "Check the file."
            ) from error
        found = hashlib.sha256(data).hexdigest()
        if found != file.sha256:
            raise ModelError(
                f"{what} {place} is not the one that {path} was made for: expected sha256 "
                f"{file.sha256[:12]}…, found {found[:12]}…",
                "Put the right file there; another one needs a description and a release anew.",
            )
        return data
    raise ModelError(
        f"{path} needs {what} {file.name}, which is not there", "Put it beside the description."
    )


# ------------------------------------------------------------------------------------- parsing


def _parsed(reader: Reader, stored: Any) -> Description:
    if not isinstance(stored, dict) or stored.get("format") != FORMAT:
        found = stored.get("format") if isinstance(stored, dict) else stored
        reader.refuse("format", repr(FORMAT), found)
    if stored.get("version") != VERSION:
        reader.refuse("version", str(VERSION), stored.get("version"))
    family = _text(reader, stored, "family")
    if family not in FAMILIES:
        reader.refuse("family", f"one of {', '.join(FAMILIES)}", family)
    kind = FAMILIES[family]
    if stored.get("template") != kind.template:
        reader.refuse("template", f"{kind.template!r} for {kind.title}", stored.get("template"))
    size: Any = stored.get("size")
    if not is_whole_number(size) or not 16 <= size <= _LARGEST or kind.size not in (0, size):
        wanted = str(kind.size) if kind.size else f"16 to {_LARGEST} pixels"
        reader.refuse("size", wanted, size)
    strength: Any = stored.get("strength")
    if strength not in get_args(Strength):
        reader.refuse("strength", f"one of {', '.join(get_args(Strength))}", strength)
    graph = _file(reader, stored, "graph")
    if graph is None:
        reader.refuse("graph", "the network's file and sha256", None)
    identities = _mapping(reader, stored, "identities")
    description = Description(
        name=_text(reader, stored, "name"),
        likeness=_text(reader, identities, "likeness", "identities."),
        performer=_text(reader, identities, "performer", "identities."),
        family=family,
        size=size,
        strength=strength,
        graph=graph,
        embedder=_file(reader, stored, "embedder"),
        converter=_file(reader, stored, "converter"),
        picture=_file(reader, stored, "picture"),
        pictures=_pictures(reader, _mapping(reader, stored, "pictures")),
        embeddings=_embeddings(reader, _mapping(reader, stored, "embeddings")),
    )
    _check_whole(reader, description)
    return description


def _check_whole(reader: Reader, description: Description) -> None:
    """Refuse a description whose parts don't make a likeness."""
    source, held, strength = description.kind.source, description.embeddings, description.strength
    ways = {"vector": ("embedding", "pixels"), "picture": ("pixels",), "own": ("morph", "pixels")}
    if strength not in ways[source]:
        reader.refuse("strength", " or ".join(ways[source]), strength)
    wanted = {"embedding": {"likeness", "performer"}, "pixels": {"likeness"}, "morph": set[str]()}
    whose = wanted[strength] if source == "vector" else set()
    if set(held) != whose:
        reader.refuse("embeddings", f"those of {', '.join(sorted(whose)) or 'nobody'}", [*held])
    if source == "picture" and description.picture is None:
        reader.refuse("picture", "the likeness's face, its file and sha256", None)


def _text(reader: Reader, stored: Mapping[str, Any], key: str, place: str = "") -> str:
    value = stored.get(key)
    if not isinstance(value, str) or not value.strip() or not value.isprintable():
        reader.refuse(f"{place}{key}", "a line of text", value)
    return value


def _mapping(reader: Reader, stored: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    value = stored.get(key)
    if not isinstance(value, dict):
        reader.refuse(key, "an object", value)
    return value


def _file(reader: Reader, stored: Mapping[str, Any], key: str) -> File | None:
    value = stored.get(key)
    if value is None:
        return None
    if not isinstance(value, dict) or set(value) != {"file", "sha256"}:
        reader.refuse(key, "an object of file and sha256", value)
    name, sha256 = _text(reader, value, "file", f"{key}."), value["sha256"]
    if not isinstance(sha256, str) or not _SHA256.fullmatch(sha256):
        reader.refuse(f"{key}.sha256", "64 lower-case hexadecimal digits", sha256)
    return File(name, sha256)


def _pictures(reader: Reader, stored: Mapping[str, Any]) -> dict[str, tuple[str, ...]]:
    found: dict[str, tuple[str, ...]] = {}
    for who, names in stored.items():
        if who not in _WHO:
            reader.refuse("pictures", "those of likeness and performer", who)
        if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
            reader.refuse(f"pictures.{who}", "a list of file names", names)
        found[who] = tuple(names)
    return found


def _embeddings(reader: Reader, stored: Mapping[str, Any]) -> dict[str, tuple[float, ...]]:
    found: dict[str, tuple[float, ...]] = {}
    for who, vector in stored.items():
        if who not in _WHO:
            reader.refuse("embeddings", "those of likeness and performer", who)
        numbers = isinstance(vector, list) and all(
            isinstance(value, (int, float)) and not isinstance(value, bool) and abs(value) < _MOST
            for value in vector
        )
        if not numbers or len(vector) != VECTOR or not any(vector):
            reader.refuse(f"embeddings.{who}", f"{VECTOR} numbers that are not all 0", vector)
        found[who] = tuple(map(float, vector))
    return found
