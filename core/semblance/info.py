"""What a file is, in plain values: an EXR frame, a track, shapes, a model, a release, a faceset.

Nothing is decoded that a header or a manifest can tell.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from semblance import exr, model, provenance, release
from semblance.documents import loads, read_text
from semblance.errors import InputError, frame_context
from semblance.model import description
from semblance.plate import Window
from semblance.roto import load_shapes
from semblance.track.file import load_track

__all__ = ["describe", "listing"]

_CONTROLS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")
"""What could steer a terminal: a file's texts come from anyone."""


def describe(path: Path) -> dict[str, Any]:
    """Describe a file or a folder.

    Parameters
    ----------
    path : Path
        An EXR frame, a track, drawn shapes or a release (JSON), a model (.onnx), a faceset or a
        training run (folders).

    Returns
    -------
    dict
        Plain values; `kind` says what it is.

    Raises
    ------
    InputError
        It does not exist, is none of these, or is damaged; a subclass where its kind is known.
    """
    with frame_context(None, path):
        if path.is_dir():
            return _folder(path)
        if not path.exists():
            raise InputError("the file does not exist", "Check the path.")
        kinds: Mapping[str, Callable[[Path], dict[str, Any]]] = {
            ".exr": _frame,
            ".onnx": _model,
            ".json": _document,
        }
        if path.suffix.lower() not in kinds:
            raise InputError(
                f"a {path.suffix or 'nameless kind of'} file is nothing that Semblance describes",
                "Give an EXR frame, a track, a model, a release, a faceset or a run.",
            )
        return kinds[path.suffix.lower()](path)


def listing(described: Mapping[str, Any], indent: str = "") -> str:
    """Return plain values as lines of ``name  value`` for a person.

    >>> print(listing({"kind": "track", "size": [960, 540], "made_by": {"tool": "hand"}}))
    kind     track
    size     960, 540
    made_by
      tool  hand
    """
    width = max((len(name) for name in described), default=0)
    lines = []
    for name, value in described.items():
        if isinstance(value, Mapping):
            lines += [f"{indent}{name}", listing(value, indent + "  ")] if value else []
            continue
        if isinstance(value, list):
            value = ", ".join(map(str, value))
        lines.append(f"{indent}{name:<{width}}  {_CONTROLS.sub(' ', str(value))}".rstrip())
    return "\n".join(lines)


def _frame(path: Path) -> dict[str, Any]:
    header = exr.read_header(path)
    parts = {
        part.name or f"part {part.index}": {
            "channels": [f"{channel.name} ({channel.kind})" for channel in part.channels],
            "data_window": _window(part.data_window),
            "display_window": _window(part.display_window),
            "pixel_aspect": part.pixel_aspect,
            "compression": part.compression,
            "storage": part.kind,
        }
        for part in header.parts
    }
    metadata = {name: item.value for name, item in header.parts[0].metadata.items()}
    marks = provenance.read_marks(metadata)
    described = {"kind": "exr", "bytes": header.size, "parts": parts}
    if marks is not None:
        described["semblance"] = {
            "model": marks.model,
            "model_sha256": marks.model_sha256,
            "release": marks.release,
            "release_check": marks.release_check,
            "knobs": dict(marks.knobs),
            "source_type": marks.source_type,
        }
    described["metadata"] = {
        name: str(item)
        for name, item in header.parts[0].metadata.items()
        if marks is None or not (name == "xmp" or name.startswith("semblance:"))
    }
    return described


def _window(window: Window) -> list[int]:
    return [window.x0, window.y0, window.x1, window.y1]


def _model(path: Path) -> dict[str, Any]:
    if description.is_description(path):
        facts = description.read(path).facts()
    else:
        facts = json.loads(model.read_manifest(path).to_json())
    sha256 = model.sha256_of(path)
    verdict = release.check(path, sha256)
    described = {
        "kind": "model",
        "sha256": sha256,
        **facts,
        "release_check": "valid" if verdict.valid else f"not valid: {verdict.reason}",
    }
    return {**described, **({"warnings": list(verdict.warnings)} if verdict.warnings else {})}


def _document(path: Path) -> dict[str, Any]:
    form = str(_json(path).get("format", ""))
    if form == "semblance-track":
        return _track(path)
    if form == "semblance-release":
        terms, warnings = release.terms(path)
        return {"kind": "release", **terms, **({"warnings": list(warnings)} if warnings else {})}
    if form == "semblance-revocations":
        return {"kind": "revocations", **_withdrawn(path)}
    if form == description.FORMAT:
        return _model(path)
    if form == "semblance-roto":
        return _shapes(path)
    raise InputError(
        f"its format is {form!r}; expected 'semblance-track', 'semblance-roto', "
        f"'semblance-release', 'semblance-revocations' or {description.FORMAT!r}",
        "Give a track, drawn shapes, a release, a revocation list or a model.",
    )


def _withdrawn(path: Path) -> dict[str, Any]:
    listed = release.read_list(path)
    described = listed.to_json()
    described["revoked"] = {each.release: f"{each.on}: {each.reason}" for each in listed.revoked}
    return described


def _track(path: Path) -> dict[str, Any]:
    track = load_track(path)
    scores = [face.score for face in track.faces.values()]
    return {
        "kind": "track",
        "size": list(track.size),
        "pixel_aspect": track.pixel_aspect,
        "frames": len(track.frames),
        "first": min(track.frames, default=None),
        "last": max(track.frames, default=None),
        "faces": len(track.faces),
        "without_face": [frame for frame in track.frames if frame not in track.faces],
        "lowest_score": min(scores, default=None),
        "hand_keys": sorted(track.hand),
        "made_by": dict(track.made_by),
    }


def _shapes(path: Path) -> dict[str, Any]:
    held = load_shapes(path)
    return {
        "kind": "shapes",
        "size": list(held.size),
        "shapes": [
            {"name": shape.name, "kind": shape.kind, "operation": shape.operation,
             "keys": sorted(shape.keys)}
            for shape in held.shapes
        ],
    }  # fmt: skip


def _folder(path: Path) -> dict[str, Any]:
    if (path / "faceset.json").exists():
        found = _json(path / "faceset.json")
        faces = found.pop("faces", [])
        return {"kind": "faceset", "faces": len(faces), **found}
    if (path / "config.json").exists():
        return {"kind": "run", **_json(path / "config.json")}
    raise InputError("the folder is neither a faceset nor a training run", "Name a file in it.")


def _json(path: Path) -> dict[str, Any]:
    try:
        found = loads(read_text(path))
    except (OSError, ValueError) as error:
        raise InputError(f"{path} can't be read as JSON: {error}", "Give another file.") from error
    if not isinstance(found, dict):
        raise InputError(f"{path} holds no JSON object", "Give another file.")
    return found
