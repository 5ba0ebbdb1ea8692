"""The engine that works by frames: stock nodes inside the group, and what they show.

::

    Source ── ENGINE ─┬─────────────────────────────────────── SHOW ── SLATE ── Output1
       │    (NoOp)    └─ COPY ── INSIDE ── DROP ─────────────────┘
       ├─ WRITE_SOURCE    │  (Expression) (Remove)
    Roto ─ WRITE_ROTO   RESULT (Read)

ENGINE holds the knobs, as the OpenFX node of the live engine does. WRITE_SOURCE and WRITE_ROTO
write what the worker is given. RESULT reads what it made, which is the rectangle that changed; its
alpha is 1 there. COPY puts that beside the plate, and INSIDE takes its red, green and blue where
the alpha says so: everything else is the plate's own pixels. The knob `frames_state` says of each
frame what is shown, as a curve, so that no Python is asked while frames play.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Optional

from semblance.errors import EnvironmentFault, SemblanceError
from semblance.knobs import declared
from semblance.worker.protocol import File, encode_knobs
from semblance_nuke.frame_cache import FrameCache, Shown, default_folder
from semblance_nuke.host import Host, slashes
from semblance_nuke.node import engine
from semblance_nuke.upstream import Wanted, above, file_stamps, is_frames, want

__all__ = ["CURRENT", "NOTHING", "NO_ENGINE", "PLATE", "STALE", "Bench", "build", "dismantle",
           "forget", "mark"]  # fmt: skip

NOTHING, CURRENT, STALE, PLATE = 0, 1, 2, 3
"""What `frames_state` says: nothing was made, the result of the present knobs, one of others, or
that the plate itself is the result."""

_INNER: Final = (
    "SLATE", "SHOW", "DROP", "INSIDE", "COPY", "RESULT", "WRITE_ROTO", "WRITE_SOURCE",
)  # fmt: skip
_LAYER: Final = "semblance_shown"
_RGBA: Final = ("red", "green", "blue", "alpha")
_SHOWN: Final = "parent.frames_state == 3 ? 0 : parent.frames_state == 0 ? parent.frames_strict : 1"
_UNSLATED: Final = (
    "parent.frames_state == 1 ? 1 : parent.frames_state == 3 ? 1 : 1 - parent.slate_stale"
)
_COLOURS: Final = {True: 0x7A5A8CFF, False: 0xC8782AFF}
_MARK: Final = "out of date"
NO_ENGINE: Final = "no engine"
_GIGABYTE: Final = 1 << 30
_EVER: Final = (-1000000, 1000000)
"""Range of RESULT: outside of one a Read repeats a frame, inside a missing one is an error."""


# --- the stock nodes -------------------------------------------------------------------------


def build(host: Host, group: Any) -> None:
    """Put the nodes into a group whose ENGINE is a NoOp."""
    source, roto, inner = (group.node(name) for name in ("Source", "Roto", "ENGINE"))
    for name, above_it in (("WRITE_SOURCE", source), ("WRITE_ROTO", roto)):
        write = host.add(group, "Write", name)
        write.setInput(0, above_it)
        _set(write, file_type="exr", raw=True)
        _set(write, compression="none", metadata="all metadata")
        _set(write, channels="all" if name == "WRITE_SOURCE" else "alpha")
    result = host.add(group, "Read", "RESULT")
    _set(result, raw=True, on_error="error", first=_EVER[0], last=_EVER[1])
    host.add_layer(_LAYER, _RGBA)
    copy = host.add(group, "Copy", "COPY")
    copy.setInput(0, inner)
    copy.setInput(1, result)
    for number, channel in enumerate(_RGBA):
        _set(copy, **{f"from{number}": f"rgba.{channel}", f"to{number}": f"{_LAYER}.{channel}"})
    inside = host.add(group, "Expression", "INSIDE")
    inside.setInput(0, copy)
    for number, channel in enumerate(_RGBA[:3]):
        text = f"{_LAYER}.alpha == 1 ? {_LAYER}.{channel} : {channel[0]}"
        _set(inside, **{f"expr{number}": text})
    drop = host.add(group, "Remove", "DROP")
    drop.setInput(0, inside)
    _set(drop, operation="remove", channels=_LAYER)
    show = host.add(group, "Switch", "SHOW")
    show.setInput(0, inner)
    show.setInput(1, drop)
    show.knob("which").setExpression(_SHOWN)
    slate = host.add(group, "Text2", "SLATE")
    slate.setInput(0, show)
    _set(slate, message="Semblance: this frame is out of date")
    slate.knob("disable").setExpression(_UNSLATED)
    group.node("Output1").setInput(0, slate)


def dismantle(host: Host, group: Any) -> None:
    """Take them out again."""
    group.node("Output1").setInput(0, group.node("ENGINE"))
    for name in _INNER:
        node = group.node(name)
        if node is not None:
            host.remove(node)


def _set(node: Any, **values: Any) -> None:
    for name, value in values.items():
        node.knob(name).setValue(value)


def mark(group: Any, word: str) -> None:
    """Mark a node by its colour and, where the artist wrote no other one, its label."""
    _change(group.knob("tile_color"), _COLOURS[word == ""])
    label = group.knob("label")
    if label.value() in ("", _MARK, NO_ENGINE):
        _change(label, word)


# --- what a node shows -----------------------------------------------------------------------


@dataclass
class _Held:
    """What this process knows of a node, by its full name."""

    shown: Shown
    states: dict[int, int]
    written: set[int]
    names: dict[int, tuple[str, ...]]
    errors: dict[int, str]
    signature: str = ""
    asked: tuple[str, ...] = ()


_held: dict[tuple[str, str], _Held] = {}


def forget(name: str = "") -> None:
    """Forget what is known of a node that is gone, or of all where another script is open."""
    for key in [each for each in _held if name in ("", each[1])]:
        _held.pop(key).shown.end()


class Bench:
    """Makes and shows the frames of one node; on the main thread, for as long as a call takes."""

    def __init__(self, host: Host, group: Any) -> None:
        self.host, self.group, self.name = host, group, group.fullName()
        self.cache = FrameCache(self._folder())
        key = (str(self.cache.folder), self.name)
        if key not in _held:  # a curve that a script brought is of another session
            _held[key] = _Held(Shown(self.cache, self.name), {}, set(), {}, {})
            with host.quiet():
                group.knob("frames_state").clearAnimated()
                _change(group.knob("frames_state"), 0.0)
        self._held = _held[key]

    # ------------------------------------------------------------------------------- looking

    def look(self) -> Optional[Wanted]:
        """See how it stands with the current frame, show that, and return what is wanted.

        A frame that is in the cache is shown at once. None where the knobs or the inputs ask for
        nothing that could be made; the node then says why.
        """
        frame, wanted = self.host.frame(), None
        self._compare()
        try:
            wanted = self._looked()
        except SemblanceError as error:
            self._state(frame, STALE if frame in self._held.shown.frames() else NOTHING)
            self.say(str(error))
        self._publish()
        return wanted

    def _looked(self) -> Wanted:
        held, wanted = self._held, want(self.host, self.group)
        frame = wanted.frame
        names = tuple(eye.source + eye.roto for eye in wanted.eyes)
        if held.names.get(frame, names) != names:
            held.errors.clear()
            self._doubt()  # the plate is another one now, perhaps on other frames too
        held.names[frame] = names
        if wanted.passes:
            self._state(frame, PLATE)
            self.say(f"frame {frame} is the plate itself")
        elif all(self.cache.has(eye.result) for eye in wanted.eyes):
            self._show(wanted)
            held.errors.pop(frame, None)
            self.say(f"frame {frame} is current")
        else:
            there = frame in held.shown.frames()
            self._state(frame, STALE if there else NOTHING)
            how = _MARK if there else "not rendered"
            if self.is_asked(wanted):
                how = "being rendered"
            self.say(held.errors.get(frame, "") or f"frame {frame} is {how}")
        return wanted

    def is_current(self) -> bool:
        """Return whether the current frame shows the result of the present knobs and plate."""
        return self._held.states.get(self.host.frame()) in (CURRENT, PLATE)

    def doubt(self) -> None:
        """Take nothing for current any more, until it was looked at."""
        if any(state in (CURRENT, PLATE) for state in self._held.states.values()):
            self._doubt()
            self._publish()
            self.say(f"frame {self.host.frame()} is {_MARK}")

    def ask(self, wanted: Optional[Wanted]) -> None:
        """Remember that a frame is being made, or that none is."""
        self._held.asked = () if wanted is None else tuple(eye.result for eye in wanted.eyes)
        if wanted is not None:
            self._held.errors.pop(wanted.frame, None)

    def is_asked(self, wanted: Wanted) -> bool:
        """Return whether just this is being made already."""
        return self._held.asked == tuple(eye.result for eye in wanted.eyes) != ()

    def failed(self) -> bool:
        """Return whether the current frame can't be made as things are."""
        return self.host.frame() in self._held.errors

    def fail(self, frame: int, reason: str) -> None:
        """Remember why a frame can't be made."""
        self._held.errors[frame] = f"frame {frame}: {reason}"

    def say(self, text: str) -> None:
        """Show a line on the node, and whether its frame is current by its colour and label."""
        well = self.is_current()
        with self.host.quiet():
            _change(self.group.knob("frame_status"), text)
            mark(self.group, "" if well else _MARK)

    # -------------------------------------------------------------------------------- making

    def waits_for(self) -> list[Any]:
        """Return the nodes of this kind above whose frame is not current, the first one first."""
        others = [each for each in above(self.group.input(0)) if is_frames(each)]
        return [each for each in reversed(others) if not _looked(self.host, each)]

    def orders(self, wanted: Wanted, lane: int) -> list[File]:
        """Write what the worker is given for a frame, and return what it has to make.

        Parameters
        ----------
        wanted : Wanted
        lane : int
            0 to 3: the worker gives up what is older of the same lane.

        Raises
        ------
        EnvironmentFault
            Nuke can't render the plate, or the folder can't be written to.
        """
        made = []
        with _on_disk(self.cache.folder):
            first = 256 * int(hashlib.sha256(self.name.encode()).hexdigest()[:8], 16) + 64 * lane
            for number, eye in enumerate(wanted.eyes):
                if self.cache.has(eye.result):
                    continue
                source = self._written("WRITE_SOURCE", eye.source, wanted, eye.view)
                roto = eye.roto and self._written("WRITE_ROTO", eye.roto, wanted, eye.view)
                made.append(
                    File(
                        instance=first + number,
                        time=float(wanted.frame),
                        knobs=encode_knobs(eye.knobs),
                        size=wanted.size,
                        source=source,
                        result=str(self.cache.path(eye.result)),
                        roto=roto,
                    )
                )
        return made

    def tidy(self) -> Callable[[], None]:
        """Return what keeps the folder within its limit, for any thread."""
        limit = int(float(self.group.knob("cache_limit").value()) * _GIGABYTE)
        shown = {key for each in _held.values() for key in each.shown.held()}
        return lambda: self.cache.tidy(limit, shown)

    def seconds(self) -> float:
        """Return how long a frame may take."""
        inner: Any = engine(self.group)
        return float(inner.knob("worker_timeout").value())

    def be_strict(self, strict: bool) -> None:
        """Deliver current frames alone, and an error for every other one; or the last result."""
        if strict:
            for frame in self._held.shown.frames():
                if self._held.states.get(frame) != CURRENT:
                    self._held.shown.hide(frame)
                    self._state(frame, NOTHING)
            self._publish()
        with self.host.quiet():
            _change(self.group.knob("frames_strict"), strict)

    def hide(self, frame: int) -> None:
        """Show nothing of a frame."""
        self._held.shown.hide(frame)
        self._state(frame, NOTHING)
        self._publish()

    def clear(self) -> None:
        """Remove all frames."""
        with _on_disk(self.cache.folder):
            self.cache.clear()
        for frame in self._held.shown.frames():
            self._held.shown.hide(frame)
        self._held.states.clear()
        self._held.errors.clear()

    # ------------------------------------------------------------------------------ inside

    def _folder(self) -> Path:
        knob = self.group.knob("cache_folder")
        chosen = str(knob.evaluate() or "") if knob is not None else ""
        if not chosen:
            return default_folder()
        if os.path.isabs(chosen):
            return Path(chosen)
        script = self.host.setting("name")
        return Path(script).parent / chosen if script else default_folder()

    def _written(self, name: str, key: str, wanted: Wanted, view: str) -> str:
        """Return the file of a key, rendered by a Write inside where it is not there."""
        if self.cache.has(key):
            return str(self.cache.path(key))
        write, partial = self.group.node(name), self.cache.partial(key)
        with self.host.quiet():
            _set(write, file=slashes(str(partial)), proxy=slashes(str(partial)))
            _set(write, datatype="16 bit half" if wanted.half else "32 bit float")
        try:
            self.host.render(write, wanted.frame, view)
            return str(self.cache.keep(partial, key))
        except RuntimeError as error:
            raise EnvironmentFault(
                f"{self.group.name()}: Nuke can't render its plate at frame {wanted.frame}: {error}"
            ) from error
        finally:
            partial.unlink(missing_ok=True)

    def _show(self, wanted: Wanted) -> None:
        replaced = False
        with _on_disk(self.cache.folder):
            for eye in wanted.eyes:
                before = self._held.shown.key(eye.view, wanted.frame, wanted.proxy)
                new = self._held.shown.show(eye.result, eye.view, wanted.frame, wanted.proxy)
                replaced = replaced or (new and before != "")
        if replaced:
            self.group.node("RESULT").knob("reload").execute()
        self._state(wanted.frame, CURRENT)

    def _point(self) -> None:
        """Have RESULT read what is shown, also where undo or another name brought it elsewhere."""
        result = self.group.node("RESULT")
        with self.host.quiet():
            for name, proxy in (("file", False), ("proxy", True)):
                _change(result.knob(name), self._pattern(proxy))

    def _pattern(self, proxy: bool) -> str:
        """Return what RESULT reads, relative to the script where the frames lie beside it."""
        pattern = slashes(self._held.shown.pattern(proxy))
        script = self.host.setting("name")
        root = slashes(str(Path(script).parent)) + "/" if script else ""
        if root and pattern.startswith(root):
            return "[file dirname [value root.name]]/" + pattern[len(root) :]
        return pattern

    def _compare(self) -> None:
        """Doubt all frames where a knob or an input changed."""
        inner: Any = engine(self.group)
        host = self.host
        parts = [inner.knob(each.name).toScript() for each in declared()]
        parts += list(map(repr, file_stamps(inner)))
        parts += [inner.knob("use_mask").toScript(), str(host.proxy()), *host.views()]
        parts += [
            "-" if each is None else each.fullName() for each in map(self.group.input, (0, 1))
        ]
        signature = hashlib.sha256("\0".join(parts).encode()).hexdigest()
        if self._held.signature != signature:
            self._held.signature = signature
            self._held.names.clear()
            self._held.errors.clear()
            self._doubt()

    def _doubt(self) -> None:
        there = self._held.shown.frames()
        self._held.states = dict.fromkeys(there, STALE)

    def _state(self, frame: int, state: int) -> None:
        if state == NOTHING:
            self._held.states.pop(frame, None)
        else:
            self._held.states[frame] = state

    def _publish(self) -> None:
        """Bring the nodes to what is known. Between frames that are known the curve is 0."""
        self._point()
        knob, states, held = self.group.knob("frames_state"), self._held.states, self._held
        wanted = {frame: float(state) for frame, state in states.items()}
        around = {by for frame in states for by in (frame - 1, frame + 1)}
        wanted = {**dict.fromkeys(around, 0.0), **wanted}
        asked = held.written | set(wanted)
        if all(knob.getValueAt(frame) == wanted.get(frame, 0.0) for frame in asked):
            return
        with self.host.quiet():
            knob.clearAnimated()
            knob.setValue(0.0)
            if wanted:
                knob.setAnimated()
            for frame, value in sorted(wanted.items()):
                knob.setValueAt(value, frame)
        held.written = asked


def _looked(host: Host, group: Any) -> bool:
    other = Bench(host, group)
    other.look()
    return other.is_current()


def _change(knob: Any, value: Any) -> None:
    if knob.value() != value:
        knob.setValue(value)


@contextmanager
def _on_disk(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise EnvironmentFault(
            f"the cache folder {folder} can't be used: {error.strerror}",
            "Choose another one on the node, or set SEMBLANCE_CACHE.",
        ) from error
