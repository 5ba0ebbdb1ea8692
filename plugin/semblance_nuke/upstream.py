"""What a frame of a node is made of, as keys: its plate, its roto, and its result.

Nuke names what a node delivers by `opHashes`, at the current frame. A group has none, and what lies
inside one counts too, so the names of all that is above a node are taken together: an edit there
gives the plate another key. Two that differ never share one; the same may get another one in
another session of Nuke, and is then made again.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final, Optional

from semblance.errors import InputError
from semblance.knobs import Knobs, Value, declared, digest
from semblance_nuke.host import Host
from semblance_nuke.node import MARK, engine, file_space, read_above, read_knob

__all__ = ["Eye", "Wanted", "above", "file_stamps", "is_frames", "want"]

_KEYS: Final = 1
"""Which keys these are: a higher number where the same would be made of the same differently."""


@dataclass(frozen=True)
class Eye:
    """One view of a frame.

    Parameters
    ----------
    view : str
    knobs : Knobs
        ``%V`` and ``%v`` in file names are the view's.
    source, roto, result : str
        Keys; `roto` is empty where there is none.
    """

    view: str
    knobs: Knobs
    source: str
    roto: str
    result: str


@dataclass(frozen=True)
class Wanted:
    """A frame as the node's knobs and inputs are now.

    Parameters
    ----------
    frame : int
    proxy : bool
        Whether the script is seen through its proxies.
    size : (int, int)
        Of the format at the full resolution.
    half : bool
        Whether the plate's file holds halfs, so that nothing is lost by writing halfs.
    passes : bool
        Whether the result is the plate, whatever the model would draw.
    eyes : tuple of Eye
        A view each; empty where the plate passes.
    """

    frame: int
    proxy: bool
    size: tuple[int, int]
    half: bool
    passes: bool
    eyes: tuple[Eye, ...]


def is_frames(node: Any) -> bool:
    """Return whether a node is ours and works by frames."""
    return node.knob(MARK) is not None and node.node("RESULT") is not None


def above(node: Optional[Any]) -> Iterator[Any]:
    """Yield a node and all that it depends on, each once, what is inside groups too."""
    seen: set[str] = set()
    waiting = [] if node is None else [node]
    while waiting:
        here = waiting.pop()
        if here.fullName() in seen:
            continue
        seen.add(here.fullName())
        yield here
        waiting.extend(here.dependencies())
        if hasattr(here, "nodes"):
            waiting.extend(here.nodes())


def want(host: Host, group: Any) -> Wanted:
    """Return what the current frame of a node is made of.

    Raises
    ------
    InputError
        Nothing is connected, or the node is a clone.
    KnobError
        A knob holds what it does not accept.
    """
    source = group.input(0)
    if source is None:
        raise InputError(f"{group.name()}: nothing is connected to Source", "Connect the plate.")
    if group.clones():
        raise InputError(
            f"{group.name()} is a clone, and the frames of one would be taken for the other's",
            "Declone it (Edit > Clone > Declone).",
        )
    inner: Any = engine(group)
    frame, proxy = host.frame(), host.proxy()
    width, height, aspect = host.size(source)
    half = _is_half(host, group)
    values = _values(inner, frame)
    if _passes(values):
        return Wanted(frame, proxy, (width, height), half, True, ())
    drawn = group.input(1) if bool(inner.knob("use_mask").value()) else None
    seen = [_KEYS, frame, proxy, width, height, aspect, half]
    plate = _key("plate", seen, _names(source))
    roto = "" if drawn is None else _key("roto", seen, _names(drawn))
    eyes = []
    for view in host.views():
        own = {
            name: _of_view(value, view) if name in _FILES else value
            for name, value in values.items()
        }
        keys = [_key(each, view) if each else "" for each in (plate, roto)]
        held = {name: _file(str(value)) if name in _FILES else value for name, value in own.items()}
        release = _file(_release(str(own["model"])))
        result = _key("result", digest(), _KEYS, frame, width, height, *keys, held, release)
        eyes.append(Eye(view, Knobs.from_flat(own), keys[0], keys[1], result))
    return Wanted(frame, proxy, (width, height), half, False, tuple(eyes))


def file_stamps(inner: Any) -> list[Any]:
    """Return what changes when a file that a knob names does, or the release of the model."""
    paths = [str(inner.knob(name).evaluate() or "") for name in sorted(_FILES)]
    model = str(inner.knob("model").evaluate() or "")
    return [_file(each) for each in (*paths, _release(model))]


_FILES: Final = frozenset(each.name for each in declared() if each.kind == "file")


def _values(inner: Any, frame: int) -> dict[str, Value]:
    return {
        each.name: str(inner.knob(each.name).evaluate() or "")  # the path may hold Tcl
        if each.kind == "file"
        else read_knob(inner, each, frame)
        for each in declared()
    }


def _passes(values: dict[str, Value]) -> bool:
    looks_inside = any(each.inspects and values[each.name] != each.default for each in declared())
    idle = any(each.idle is not None and values[each.name] == each.idle for each in declared())
    return (idle and not looks_inside) or values["model"] == ""


def _of_view(path: Value, view: str) -> str:
    return str(path).replace("%V", view).replace("%v", view[:1])


def _release(model: str) -> str:
    return os.path.splitext(model)[0] + ".release.json"


def _file(path: str) -> list[Any]:
    """Return what changes when a file does, wherever it lies."""
    try:
        held = os.stat(path)
    except (OSError, ValueError):
        return [os.path.basename(path)]
    return [os.path.basename(path), held.st_size, held.st_mtime_ns]


def _names(node: Any) -> list[Any]:
    # A Write changes no pixel, and those inside nodes of ours write under another name each time.
    seen = (each for each in above(node) if each.Class() != "Write")
    return sorted([each.Class(), *map(int, each.opHashes())] for each in seen)


def _key(*parts: Any) -> str:
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def _is_half(host: Host, group: Any) -> bool:
    """Return whether what arrives are the halfs of a file, which nothing changed on the way."""
    read, skipped = read_above(group)
    if read is None or skipped:
        return False
    if not str(read.metadata("input/bitsperchannel") or "").startswith("16"):
        return False
    if read.knob("raw") is not None and bool(read.knob("raw").value()):
        return True
    space, managed = file_space(read), host.setting("colorManagement").upper() == "OCIO"
    return not managed and space in ("auto", "linear")
