"""What Nuke calls: a node arrives or goes, a knob or the frame changes, a Write renders a frame.

`start` is for every Nuke. The callbacks of renders and knobs are there while a node works by
frames, and gone with the last one. What Nuke calls may not change the graph or render; that waits
for `Host.soon`. A render's own callback may, and a frame that it can't make ends the render.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from semblance.errors import SemblanceError
from semblance.knobs import declared
from semblance_nuke import engines, frames, updating
from semblance_nuke.frames import Bench
from semblance_nuke.host import Host
from semblance_nuke.node import MARK
from semblance_nuke.upstream import above, is_frames

__all__ = ["make_above", "settle", "start"]

_WATCHED: Final = frozenset(each.name for each in declared()) | {
    "use_mask", "inputChange", "cache_folder", "update_live", "name",
}  # fmt: skip

_ends: list[Callable[[], None]] = []
_queued: set[str] = set()


def start(host: Host) -> None:
    """Begin to look after nodes, in every Nuke; once."""
    host.on("OnCreate", lambda: _arrived(host), "Group")
    host.on("OnScriptLoad", lambda: _loaded(host), "Root")
    if host.gui:  # without an event loop there is no later in which the graph may change
        host.on("KnobChanged", lambda: _chosen(host), "Group")
        host.on("UpdateUI", lambda: _seen(host), "Group")


def settle(host: Host, group: Any) -> None:
    """Give a node its engine, and what that needs to be called."""
    if engines.settle(host, group) == "frames":
        Bench(host, group).look()
        updating.touch(host, group.fullName())
    if _is_none(group) or is_frames(group):
        _watch(host)
    _unwatch(host)


# --- nodes come and go ------------------------------------------------------------------------


def _loaded(host: Host) -> None:
    frames.forget()
    for node in host.nodes():
        if node.knob(MARK) is not None and node.knob("engine") is not None:
            settle(host, node)


def _arrived(host: Host) -> None:
    """Settle a new or pasted node when Nuke has made it whole."""
    node = host.this_node()
    if node.knob(MARK) is not None and host.gui:
        _soon(host, node, settle)


def _chosen(host: Host) -> None:
    knob, node = host.this_knob(), host.this_node()
    if knob is not None and knob.name() == "engine" and node.knob(MARK) is not None:
        _soon(host, node, settle)


def _gone(host: Host) -> None:
    node = host.this_node()
    if is_frames(node):
        name = node.fullName()
        frames.forget(name)
        host.soon(lambda: _unwatch(host))


def _soon(host: Host, node: Any, call: Callable[[Host, Any], None]) -> None:
    """Call once for a node, however often it is asked for until then."""
    name = node.fullName()
    key = f"{call.__name__} {name}"
    if key in _queued:
        return
    _queued.add(key)

    def run() -> None:
        _queued.discard(key)
        there = host.find(name)
        if there is not None and there.knob(MARK) is not None:
            call(host, there)

    host.soon(run)


# --- the engine by frames ---------------------------------------------------------------------


def _watch(host: Host) -> None:
    if _ends:
        return
    for event, call, kind in (
        ("OnDestroy", _gone, "Group"),
        ("KnobChanged", _changed, "Group"),
        ("KnobChanged", _changed, "NoOp"),
        ("BeforeFrameRender", _before_frame, "Write"),
        ("AfterRender", _after, "Write"),
    ):
        _ends.append(host.on(event, lambda call=call: call(host), kind))  # type: ignore[misc]


def _unwatch(host: Host) -> None:
    """Remove the callbacks where no node works by frames any more."""
    if _ends and not any(is_frames(node) or _is_none(node) for node in host.nodes()):
        while _ends:
            _ends.pop()()


def _changed(host: Host) -> None:
    """Mark a node's frames at once, and look again when Nuke is done."""
    knob, node = host.this_knob(), host.this_node()
    if knob is None or knob.name() not in _WATCHED:
        return
    group = node if node.knob(MARK) is not None else _owner(host, node)
    if group is None or not is_frames(group):
        return
    if knob.name() != "update_live":
        Bench(host, group).doubt()
    if host.gui:
        _soon(host, group, _look)


def _seen(host: Host) -> None:
    """Look again: the frame or something above changed, or undo brought a node back."""
    node = host.this_node()
    if is_frames(node):
        _watch(host)
        _soon(host, node, _look)


def _look(host: Host, group: Any) -> None:
    if not is_frames(group):
        return
    bench = Bench(host, group)
    if bool(group.knob("frames_strict").value()) and not host.rendering():
        bench.be_strict(False)  # a render that was stopped
    wanted = bench.look()
    if wanted is not None and not (bench.is_current() or bench.failed()):
        updating.touch(host, bench.name)


def _owner(host: Host, node: Any) -> Any:
    name = node.fullName()
    return host.find(name.rpartition(".")[0]) if name.endswith(".ENGINE") else None


# --- renders ----------------------------------------------------------------------------------


def _before_frame(host: Host) -> None:
    write = host.this_node()
    if write.name() not in ("WRITE_SOURCE", "WRITE_ROTO") or not _inside(host, write):
        make_above(host, write)  # of a Write inside they were made before it was asked


def make_above(host: Host, write: Any) -> None:
    """Make the current frame of all nodes that a Write needs.

    Raises
    ------
    RuntimeError
        One can't be made: Nuke ends the render with that.
    """
    needed = [each for each in above(write) if is_frames(each)]
    for group in reversed(needed):
        bench = Bench(host, group)
        bench.be_strict(True)
        try:
            updating.make_now(host, group)
        except SemblanceError as error:
            bench.hide(host.frame())
            raise RuntimeError(f"{group.name()}, frame {host.frame()}: {error}") from error
    for group in above(write):
        if _is_none(group):
            raise RuntimeError(f"{group.name()}: {group.knob('engine_status').value()}")


def _is_none(node: Any) -> bool:
    """Return whether a node has no engine: the live one was chosen and is not here."""
    status = node.knob("engine_status") if node.knob(MARK) is not None else None
    return status is not None and str(status.value()).startswith("none: ")


def _after(host: Host) -> None:
    for group in host.nodes():
        if host.gui and is_frames(group):
            Bench(host, group).be_strict(False)


def _inside(host: Host, write: Any) -> bool:
    group = host.find(write.fullName().rpartition(".")[0])
    return group is not None and group.knob(MARK) is not None
