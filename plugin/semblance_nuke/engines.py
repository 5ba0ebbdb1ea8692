"""Which engine a node works with: the OpenFX node live, or frames where Nuke loads none.

Either way the node inside named ENGINE holds every knob, and the group's knobs are links to it. To
change the engine is to put a node of the other class in its place, with the same values, curves and
expressions.
"""

from __future__ import annotations

from typing import Any, Final, Optional

from semblance.knobs import declared
from semblance_nuke import frames
from semblance_nuke.host import Host
from semblance_nuke.node import ENGINE, MARK

__all__ = ["settle"]

STAND_IN: Final = "semblance_stand_in"
"""The knob by which the gizmo is known that stands where Nuke knows no OpenFX node."""

_CLASSES: Final = {
    "float": "Double_Knob",
    "int": "Int_Knob",
    "bool": "Boolean_Knob",
    "choice": "Enumeration_Knob",
    "text": "String_Knob",
    "file": "File_Knob",
}
_CARRIED: Final = (*(each.name for each in declared()), "use_mask", "worker_timeout")
_SECONDS: Final = 60.0
_RESTART: Final = "import semblance_nuke; semblance_nuke.restart_worker()"


def settle(host: Host, group: Any) -> str:
    """Give a node the engine that its knob asks for, say which and why, and return which.

    It must not be called while Nuke calls back: it changes the graph. A node of before there was a
    choice stays as it is, and so does a gizmo that is no group.

    Returns
    -------
    str
        ``live``, ``frames``, or nothing where neither can be: the live one was chosen and is not
        here.
    """
    whole = group.Class() == "Group"  # the inside of a gizmo can't be changed
    if not whole or group.knob(MARK) is None or group.knob("engine") is None:
        return ""
    asked = str(group.knob("engine").value())
    with host.quiet():
        missing = "" if asked == "frames" else _missing(host, group)
        if asked == "frames":
            kind, why = "frames", "it was chosen"
        elif not missing:
            kind, why = "live", "the OpenFX node of this version is here"
        else:
            kind, why = "frames" if asked == "auto" else "", missing
        is_live = group.node("ENGINE").Class() == ENGINE and not _stands_in(group.node("ENGINE"))
        if (kind == "live") != is_live or _stands_in(group.node("ENGINE")):
            _exchange(host, group, live=kind == "live")
        if kind == "frames" and group.node("RESULT") is None:
            frames.build(host, group)
        elif kind != "frames" and group.node("RESULT") is not None:
            frames.dismantle(host, group)
        text = f"{kind}: {why}" if kind else f"none: live was chosen, but {why}"
        group.knob("engine_status").setValue(text)
        if kind != "frames":
            group.knob("frame_status").setValue(" ")
            frames.mark(group, "" if kind else frames.NO_ENGINE)
    return kind


def _stands_in(node: Any) -> bool:
    return node.knob(STAND_IN) is not None


def _missing(host: Host, group: Any) -> str:
    """Return why there can be no live engine, or nothing."""
    inner, made = group.node("ENGINE"), None
    if inner.Class() != ENGINE or _stands_in(inner):
        try:
            made = inner = host.add(group, ENGINE, "ENGINE_SOUGHT")
        except RuntimeError:
            return "this Nuke knows no OpenFX node Semblance"
    try:
        if _stands_in(inner):
            return "this Nuke knows no OpenFX node Semblance"
        other = _other(inner)
        return f"the OpenFX node is of another version ({other})" if other else ""
    finally:
        if made is not None:
            host.remove(made)


def _other(inner: Any) -> str:
    """Return which knob an OpenFX node has otherwise than this version, or nothing."""
    for each in declared():
        knob = inner.knob(each.name)
        if knob is None:
            return f"it has no knob {each.name}"
        if each.kind == "choice" and tuple(knob.values()) != each.choices:
            return f"its knob {each.name} has other choices"
    return ""


def _exchange(host: Host, group: Any, *, live: bool) -> None:
    old = group.node("ENGINE")
    new = host.add(group, ENGINE if live else "NoOp", "ENGINE_NEW")
    if not live:
        _give_knobs(host, new)
    for name in _CARRIED:
        source, target = old.knob(name), new.knob(name)
        if source is not None and target is not None:
            target.fromScript(source.toScript())
    new.setInput(0, group.node("Source"))
    if live:
        new.setInput(1, group.node("Roto"))
    below = group.node("COPY"), group.node("SHOW")
    host.remove(old)
    new.setName("ENGINE")
    for each in below:
        if each is not None:
            each.setInput(0, new)
    if group.node("RESULT") is None:
        group.node("Output1").setInput(0, new)
    for name in (*_CARRIED, "restart_worker", "version"):
        host.link(group, name, f"ENGINE.{name}")


def _give_knobs(host: Host, node: Any) -> None:
    for each in declared():
        host.add_knob(node, _CLASSES[each.kind], each.name, each.label, each.choices)
        knob = node.knob(each.name)
        knob.setValue(each.default)
        knob.setTooltip(each.help)
        slider: Optional[tuple[float, float]] = each.slider
        if each.kind in ("float", "int") and slider is not None:
            knob.setRange(*slider)
    for kind, name, label, value in (
        ("Boolean_Knob", "use_mask", "use roto", True),
        ("Double_Knob", "worker_timeout", "time-out", _SECONDS),
        ("String_Knob", "version", "version", "frames"),
        ("PyScript_Knob", "restart_worker", "restart worker", _RESTART),
    ):
        host.add_knob(node, kind, name, label, ())
        node.knob(name).setValue(value)
