"""Nuke where there is none: its script language, its stock nodes' knobs, its Python.

* `read_script` runs a script in a real Tcl interpreter, with Nuke's commands as recorders: what it
  returns is the graph that Nuke would build.
* `STOCK` holds the knobs of the stock nodes that our scripts use, with where each is documented.
* `Graph` renders a small graph of stock nodes on small pictures, by their published formulas.
* `FakeNuke` is the module `nuke` in memory. It knows the functions and the methods that are
  documented and no others, and refuses what Nuke forbids: another thread, a wrong type, a
  knob class that does not exist.

None of it is Nuke: where the documents are silent, so is this.
"""

from __future__ import annotations

import json
import re
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from scipy.ndimage import map_coordinates

from semblance.knobs import declared

ROOT = Path(__file__).resolve().parents[1]
ENGINE = "OFXio.github.semblance.semblance_v1"

# --- stock nodes -----------------------------------------------------------------------------

FOUNDRY = "learn.foundry.com/nuke/content/reference_guide"
SOURCES = {
    "BlackOutside": f"{FOUNDRY}/transform_nodes/blackoutside.html",
    "Blur": f"{FOUNDRY}/filter_nodes/blur.html",
    "Copy": f"{FOUNDRY}/channel_nodes/copy.html",
    "Crop": "public scripts that link crop, reformat, intersect and box of a Crop",
    "Dot": f"{FOUNDRY}/other_nodes/dot.html",
    "Expression": f"{FOUNDRY}/particles_nodes/particleexpression.html (temp_*), public scripts",
    "FilterErode": f"{FOUNDRY}/filter_nodes/erode_filter.html",
    "Grade": "learn.foundry.com/nuke/developers/70/ndkreference/examples/Grade.cpp",
    "Inference": f"{FOUNDRY}/air_nodes/inference.html, public scripts that hold the node",
    "Input": "public gizmos",
    "Keymix": f"{FOUNDRY}/merge_nodes/keymix.html",
    "Output": "public gizmos",
    "Read": f"{FOUNDRY}/image_nodes/read.html",
    "Remove": f"{FOUNDRY}/channel_nodes/remove.html",
    "Reformat": f"{FOUNDRY}/transform_nodes/reformat.html, public scripts",
    "NoOp": f"{FOUNDRY}/other_nodes/noop.html",
    "Roto": f"{FOUNDRY}/draw_nodes/roto.html",
    "Shuffle": "public scripts (the node before Nuke 12.1, which later ones still load)",
    "STMap": f"{FOUNDRY}/transform_nodes/stmap.html",
    "Switch": f"{FOUNDRY}/merge_nodes/switch.html",
    "Text2": f"{FOUNDRY}/draw_nodes/text.html",
    "Write": f"{FOUNDRY}/image_nodes/write.html",
}

_MASKED = "maskChannelInput inject invert_mask fringe mix"
STOCK = {
    kind: frozenset(names.split())
    for kind, names in {
        "BlackOutside": "",
        "Blur": f"channels size filter quality crop {_MASKED}",
        "Copy": "from0 to0 from1 to1 from2 to2 from3 to3 channels bbox mix",
        "Crop": "box softness reformat intersect crop",
        "Dot": "",
        "Expression": " ".join(
            f"{stem}{i}" for stem in ("temp_name", "temp_expr", "channel", "expr") for i in range(4)
        ),
        "FilterErode": f"channels size filter {_MASKED}",
        "Grade": "channels blackpoint whitepoint black white multiply add gamma reverse "
        f"black_clamp white_clamp {_MASKED}",
        # The last three are those of a .cat of ours, once it is loaded.
        "Inference": "modelFile useGPUIfAvailable identity_strength exposure light_match",
        "Input": "number",
        "Keymix": "channels maskChannel invertMask mix bbox",
        "NoOp": "",
        "Output": "",
        "Read": "file format proxy first last before after on_error colorspace raw premultiplied "
        "frame frame_mode origfirst origlast file_type reload",
        "Reformat": "type format box_width box_height box_fixed box_pixel_aspect scale resize "
        "center flip flop turn filter clamp black_outside pbb",
        "Remove": "operation channels",
        "Roto": "output premult curves",
        "Shuffle": "in in2 out out2 red green blue alpha",
        "STMap": "channels uv blur blur_scale filter",
        "Switch": "which",
        "Text2": "message box font_size",
        "Write": "channels file proxy frame_mode frame colorspace raw file_type datatype "
        "compression create_directories first last use_limit metadata views",
    }.items()
}
_EVERY = (
    "name label xpos ypos selected disable tile_color note_font note_font_size help icon "
    "hide_input postage_stamp gl_color cached dope_sheet bookmark onCreate onDestroy knobChanged "
    "updateUI autolabel panel lifetimeStart lifetimeEnd useLifetime lock_connections window"
)
EVERY = frozenset(_EVERY.split())
"""Knobs that every node has; a user knob of such a name would hide one."""

INPUTS = {"Copy": 2, "Keymix": 3, "STMap": 2, "Switch": 10, "Read": 0, "Input": 0, "Roto": 1}
"""The most inputs that a class takes; 1 for the others."""

USER_CODES = {1, 2, 3, 4, 6, 7, 12, 13, 18, 20, 22, 26, 41, 52}


def engine_knobs() -> frozenset[str]:
    """The OpenFX node's parameters: the table, and what its C source adds."""
    source = (ROOT / "plugin/ofx/parameters.h").read_text()
    own = re.findall(r'#define PARAMETER_\w+ "(\w+)"', source)
    return frozenset([each.name for each in declared()] + own + ["version"])


# --- scripts ---------------------------------------------------------------------------------


@dataclass
class UserKnob:
    code: int
    name: str
    label: str = ""
    tip: str = ""
    text: str = ""
    choices: tuple[str, ...] = ()
    slider: tuple[float, float] | None = None
    flags: tuple[str, ...] = ()


@dataclass(eq=False)
class ScriptNode:
    kind: str
    inputs: list[ScriptNode | None] = field(default_factory=list)
    knobs: dict[str, str] = field(default_factory=dict)
    user: dict[str, UserKnob] = field(default_factory=dict)
    children: list[ScriptNode] = field(default_factory=list)
    parent: ScriptNode | None = None

    @property
    def name(self) -> str:
        return self.knobs.get("name", self.kind)

    def child(self, name: str) -> ScriptNode:
        return next(each for each in self.children if each.name == name)


class ScriptError(AssertionError):
    """The script is not what Nuke would load."""


def read_script(text: str, gizmos: Mapping[str, frozenset[str]] | None = None) -> ScriptNode:
    """Run a script in Tcl and return its root, checked as strictly as the documents allow.

    `gizmos` names further classes with their knobs, as the .gizmo files on Nuke's path would.
    """
    tkinter = pytest.importorskip("tkinter", reason="this Python has no Tcl interpreter")
    tcl = tkinter.Tcl()
    root = ScriptNode("Root")
    state = {"group": root}
    stack: list[ScriptNode | None] = []
    layers: set[str] = {"rgba", "rgb", "alpha"}
    known = {**STOCK, ENGINE: engine_knobs(), **(gizmos or {})}
    numbers: dict[str, ScriptNode | None] = {}

    def make(kind: str, body: str) -> None:
        made = ScriptNode(kind, parent=state["group"])
        _fill(tcl, made, body, known.get(kind, frozenset()))
        count = int(made.knobs.pop("inputs", "0" if INPUTS.get(kind) == 0 else "1"))
        most = 10 if kind in ("Group", "Gizmo", *(gizmos or {})) else INPUTS.get(kind, 1)
        most = 2 if kind == ENGINE else most
        if count > most:
            raise ScriptError(f"{made.name}: {kind} has at most {most} inputs, found {count}")
        outside = kind == "Gizmo" or (kind == "Group" and not stack)
        if not outside:
            if len(stack) < count:
                raise ScriptError(f"{made.name}: {count} inputs, {len(stack)} nodes on the stack")
            made.inputs = [stack.pop() for _ in range(count)]
        state["group"].children.append(made)
        if kind in ("Group", "Gizmo"):
            state["group"] = made
            made.knobs["stack"] = str(len(stack))
        elif kind != "Output":
            stack.append(made)

    def end_group() -> None:
        group = state["group"]
        names = [each.name for each in group.children]
        if len(set(names)) != len(names):
            raise ScriptError(f"two nodes of one name: {sorted(names)}")
        if group.kind == "Group":
            stack[:] = [*stack[: int(group.knobs["stack"])], group]
        state["group"] = group.parent or root

    def push(word: str) -> None:
        if word not in numbers and word != "0":
            raise ScriptError(f"push of {word!r}, which nothing set")
        stack.append(numbers.get(word))

    def peek(index: str) -> str:
        if len(stack) <= int(index):
            raise ScriptError(f"there is no node {index} below the top of the stack")
        node = stack[-1 - int(index)]
        token = f"N{id(node)}"
        numbers[token] = node
        return token

    def add_layer(text: str) -> None:
        name, *channels = tcl.splitlist(text)
        if not channels or any(not each.startswith(f"{name}.") for each in channels):
            raise ScriptError(f"add_layer {text}: each channel is {name}.something")
        layers.add(name)

    def unknown(*words: str) -> None:
        raise ScriptError(f"unknown command: {' '.join(words)[:80]}")

    wrong: list[ScriptError] = []

    def command(name: str, call: Callable[..., Any]) -> None:
        """Tcl forgets what Python raised: keep it."""

        def kept(*words: str) -> Any:
            try:
                return call(*words)
            except ScriptError as error:
                wrong.append(error)
                raise

        tcl.createcommand(name, kept)

    for name, call in (
        ("push", push),
        ("stack", peek),
        ("add_layer", add_layer),
        ("version", lambda *words: None),
        ("end_group", end_group),
        ("Root", lambda body: _fill(tcl, root, body, None)),
        ("unknown", unknown),
    ):
        command(name, call)
    for kind in (*known, "Group", "Gizmo"):
        command(kind, lambda body, kind=kind: make(kind, body))
    for name in ("exec", "open", "socket", "file", "source", "load"):
        tcl.eval(f"rename {name} {{}}")
    try:
        tcl.eval(text)
    except tkinter.TclError:
        if wrong:
            raise wrong[0] from None
        raise
    if state["group"] is not root:
        raise ScriptError(f"{state['group'].name} has no end_group")
    for node in _all(root):
        _check(node, layers, gizmos or {})
    return root


def _all(node: ScriptNode) -> list[ScriptNode]:
    return [node, *(each for child in node.children for each in _all(child))]


def _fill(tcl: Any, node: ScriptNode, body: str, known: frozenset[str] | None) -> None:
    words = list(tcl.splitlist(body))
    if len(words) % 2:
        raise ScriptError(f"{node.kind}: a knob without a value in {words}")
    for name, value in zip(words[::2], words[1::2], strict=True):
        if name == "addUserKnob":
            made = _user_knob(tcl.splitlist(value))
            if made.name in node.user or made.name in EVERY:
                raise ScriptError(f"{node.kind}: a second knob {made.name!r}")
            node.user[made.name] = made
        elif known is None or name in known | EVERY | {"inputs"} or name in node.user:
            node.knobs[name] = value
        else:
            raise ScriptError(f"{node.kind} has no knob {name!r}")


def _user_knob(words: tuple[str, ...]) -> UserKnob:
    made = UserKnob(int(words[0]), words[1])
    if made.code not in USER_CODES or not re.fullmatch(r"[A-Za-z_]\w*", made.name):
        raise ScriptError(f"no such user knob: {words}")
    rest = list(words[2:])
    while rest:
        key = rest.pop(0)
        if re.fullmatch(r"[+-][A-Z]+", key):
            made.flags += (key,)
        elif key == "R":
            made.slider = (float(rest.pop(0)), float(rest.pop(0)))
        elif key in ("l", "t", "T", "M"):
            value = rest.pop(0)
            if key == "M":
                made.choices = tuple(value.split())
            else:
                setattr(made, {"l": "label", "t": "tip", "T": "text"}[key], value)
        else:
            raise ScriptError(f"user knob {made.name}: what is {key!r}?")
    return made


def _check(node: ScriptNode, layers: set[str], gizmos: Mapping[str, frozenset[str]]) -> None:
    """Links, expressions and layers name what is there."""
    for knob in node.user.values():
        if knob.code == 41:
            target, _, name = knob.text.partition(".")
            try:
                inner = node.child(target)
            except StopIteration:
                raise ScriptError(f"{knob.name} links to {knob.text}: no such node") from None
            if name not in knobs_of(inner, gizmos):
                raise ScriptError(f"{knob.name} links to {knob.text}: no such knob")
        if knob.code == 4 and not knob.choices:
            raise ScriptError(f"{knob.name} has nothing to choose from")
        if knob.code in (22, 52):
            compile(knob.text, knob.name, "eval" if knob.code == 52 else "exec")
    parent = node.parent
    for name, value in node.knobs.items():
        if parent is not None and parent.kind in ("Group", "Gizmo"):
            for wanted in re.findall(r"\bparent\.(\w+)", value):
                there = wanted in parent.user or re.fullmatch(r"input\d", wanted)
                if not there:
                    raise ScriptError(f"{node.name}.{name} asks for parent.{wanted}")
            for other, what in re.findall(r"\b([A-Z][A-Z_]+)\.(\w+)", value):
                names = [each.name for each in parent.children]
                if other not in names or what not in ("width", "height", "pixel_aspect"):
                    raise ScriptError(f"{node.name}.{name} asks for {other}.{what}")
        for layer in re.findall(r"\bsemblance_(?!nuke|gizmo|panel|tab)\w+", value):
            if node.kind in STOCK and layer not in layers and name not in ("file", "name"):
                raise ScriptError(f"{node.name}.{name} uses the layer {layer}, which nothing adds")


def knobs_of(node: ScriptNode, gizmos: Mapping[str, frozenset[str]]) -> frozenset[str]:
    if node.kind == ENGINE:
        return engine_knobs() | EVERY
    known = STOCK.get(node.kind) or gizmos.get(node.kind) or frozenset()
    return known | EVERY | frozenset(node.user)


# --- rendering a graph of stock nodes --------------------------------------------------------

Picture = dict[str, np.ndarray]

_TOKEN = re.compile(r"\s*(\d+\.?\d*|[A-Za-z_][\w.]*|==|[-+*/()?:,<>])")
_FUNCTIONS: dict[str, Callable[..., Any]] = {
    "clamp": lambda value, low=0.0, high=1.0: np.clip(value, low, high),
    "min": lambda *values: np.minimum.reduce(np.broadcast_arrays(*values)),
    "max": lambda *values: np.maximum.reduce(np.broadcast_arrays(*values)),
}


def evaluate(text: str, names: Callable[[str], Any]) -> Any:
    """A Nuke expression: arithmetic, comparison, ?:, a few functions, names."""
    tokens = _TOKEN.findall(text)
    assert "".join(tokens) == re.sub(r"\s", "", text), text
    tokens.append("")

    def ternary() -> Any:
        condition = compared()
        if tokens[0] != "?":
            return condition
        tokens.pop(0)
        yes = ternary()
        assert tokens.pop(0) == ":"
        no = ternary()
        return np.where(condition, yes, no)

    def compared() -> Any:
        left = summed()
        while tokens[0] in ("==", "<", ">"):
            sign, right = tokens.pop(0), summed()
            left = {"==": left == right, "<": left < right, ">": left > right}[sign]
        return left

    def summed() -> Any:
        left = product()
        while tokens[0] in ("+", "-"):
            left = left + product() if tokens.pop(0) == "+" else left - product()
        return left

    def product() -> Any:
        left = single()
        while tokens[0] in ("*", "/"):
            left = left * single() if tokens.pop(0) == "*" else left / single()
        return left

    def single() -> Any:
        token = tokens.pop(0)
        if token == "-":
            return -single()
        if token == "(":
            value = ternary()
            assert tokens.pop(0) == ")"
            return value
        if token[0].isdigit():
            return float(token)
        if tokens[0] != "(":
            return names(token)
        tokens.pop(0)
        given = [ternary()]
        while tokens[0] == ",":
            tokens.pop(0)
            given.append(ternary())
        assert tokens.pop(0) == ")"
        return _FUNCTIONS[token](*given)

    value = ternary()
    assert tokens == [""], tokens
    return value


def _float(value: Any) -> float:
    known = {"true": 1.0, "false": 0.0}
    text = str(value).lower()
    return known[text] if text in known else float(text)


class Graph:
    """Renders a gizmo's inside on pictures ``{channel: (h, w) float32}``.

    `values` are the gizmo's own knobs, by name; a link sets the knob that it leads to.
    """

    def __init__(
        self,
        gizmo: ScriptNode,
        inputs: Mapping[int, Picture],
        values: Mapping[str, Any],
        network: Callable[[np.ndarray], np.ndarray] | None = None,
    ) -> None:
        self.gizmo, self.given, self.values = gizmo, inputs, dict(values)
        self.network = network
        self.shape = next(iter(next(iter(inputs.values())).values())).shape
        self.done: dict[str, Picture] = {}

    def result(self) -> Picture:
        output = next(each for each in self.gizmo.children if each.kind == "Output")
        return self._render(output.inputs[0])

    def _parent(self, name: str) -> float:
        knob = self.gizmo.user[name]
        value = self.values.get(name, self.gizmo.knobs.get(name, 0))
        if knob.choices:
            return float(knob.choices.index(value))
        return _float(value)

    def _number(self, node: ScriptNode, name: str, default: float) -> float:
        for knob in self.gizmo.user.values():
            if knob.code == 41 and knob.text == f"{node.name}.{name}" and knob.name in self.values:
                return float(self.values[knob.name])
        text = node.knobs.get(name, str(default))
        if not text.startswith("{"):
            return _float(text)
        text = text[1:-1].strip('"').replace("\\[", "[")
        text = re.sub(
            r"\[exists parent\.input(\d)\]", lambda m: str(int(int(m[1]) in self.given)), text
        )
        return float(evaluate(text, self._name))

    def _name(self, name: str) -> float:
        """A knob of the gizmo, or the format of another node, in square pixels."""
        owner, _, knob = name.rpartition(".")
        if owner == "parent":
            return self._parent(knob)
        return self._format(self._render(self.gizmo.child(owner)), knob)

    @staticmethod
    def _format(picture: Picture, name: str) -> float:
        height, width = next(iter(picture.values())).shape
        return {"width": float(width), "height": float(height), "pixel_aspect": 1.0}[name]

    def _render(self, node: ScriptNode | None) -> Picture:
        if node is None:
            return {}
        if node.name not in self.done:
            if node.kind == "Input":
                made = self.given.get(int(node.knobs.get("number", "0")), {})
            elif self._number(node, "disable", 0.0):
                made = self._render(node.inputs[0])
            else:
                made = getattr(self, f"_{node.kind.lower()}")(node, *map(self._render, node.inputs))
            self.done[node.name] = made
        return self.done[node.name]

    def _at(self, picture: Picture, channel: str) -> np.ndarray:
        return picture.get(channel, np.zeros(self.shape, np.float32))

    def _expression(self, node: ScriptNode, picture: Picture) -> Picture:
        short = {"r": "rgba.red", "g": "rgba.green", "b": "rgba.blue", "a": "rgba.alpha"}
        temporary: dict[str, Any] = {}

        def names(name: str) -> Any:
            if name in temporary:
                return temporary[name]
            if name.startswith("parent."):
                return np.float32(self._name(name))
            return self._at(picture, short.get(name, name))

        for i in range(4):
            if f"temp_name{i}" in node.knobs:
                expression = node.knobs[f"temp_expr{i}"]
                temporary[node.knobs[f"temp_name{i}"]] = evaluate(expression, names)
        made = dict(picture)
        for i, channel in enumerate(short.values()):
            if f"expr{i}" in node.knobs:
                made[channel] = np.asarray(evaluate(node.knobs[f"expr{i}"], names), np.float32)
        return made

    def _filtererode(self, node: ScriptNode, picture: Picture) -> Picture:
        size = self._number(node, "size", 1.0)
        kernel = np.ones((2 * round(abs(size)) + 1,) * 2, np.uint8)
        work = cv2.erode if size > 0 else cv2.dilate
        return {**picture, "rgba.alpha": work(self._at(picture, "rgba.alpha"), kernel)}

    def _blur(self, node: ScriptNode, picture: Picture) -> Picture:
        sigma = 0.5 * self._number(node, "size", 0.0)
        blurred = cv2.GaussianBlur(self._at(picture, "rgba.alpha"), (0, 0), sigma)
        return {**picture, "rgba.alpha": blurred}

    def _copy(self, node: ScriptNode, below: Picture, above: Picture) -> Picture:
        made = dict(below)
        for i in range(4):
            if f"from{i}" in node.knobs:
                made[node.knobs[f"to{i}"]] = self._at(above, node.knobs[f"from{i}"])
        return made

    def _shuffle(self, node: ScriptNode, picture: Picture) -> Picture:
        layer = node.knobs.get("in", "rgba")
        return {
            f"rgba.{out}": self._at(picture, f"{layer}.{node.knobs.get(out, out)}")
            for out in ("red", "green", "blue", "alpha")
        }

    def _grade(self, node: ScriptNode, picture: Picture) -> Picture:
        """The formula of the NDK's own example, Grade.cpp."""
        at = {
            name: np.float32(self._number(node, name, default))
            for name, default in (
                ("blackpoint", 0), ("whitepoint", 1), ("black", 0), ("white", 1),
                ("multiply", 1), ("add", 0), ("gamma", 1), ("black_clamp", 1),
            )
        }  # fmt: skip
        slope = at["multiply"] * (at["white"] - at["black"]) / (at["whitepoint"] - at["blackpoint"])
        offset = at["add"] + at["black"] - slope * at["blackpoint"]
        made = dict(picture)
        for name in ("red", "green", "blue"):
            value = slope * picture[f"rgba.{name}"] + offset
            if at["gamma"] != 1:
                value = np.where(value > 0, np.abs(value) ** (1 / at["gamma"]), value)
            made[f"rgba.{name}"] = np.maximum(value, 0) if at["black_clamp"] else value
        return made

    def _keymix(self, node: ScriptNode, below: Picture, above: Picture, mask: Picture) -> Picture:
        matte = self._at(mask, node.knobs["maskChannel"])
        matte = matte * np.float32(self._number(node, "mix", 1.0))
        names = [f"rgba.{each}" for each in ("red", "green", "blue")]
        assert node.knobs["channels"] == "rgb"
        blended = {
            name: self._at(above, name) * matte + self._at(below, name) * (1 - matte)
            for name in names
        }
        return {**below, **blended}

    def _blackoutside(self, node: ScriptNode, picture: Picture) -> Picture:
        return picture  # pictures are black outside here anyway

    def _stmap(self, node: ScriptNode, source: Picture, maps: Picture) -> Picture:
        """Sampled bilinearly: 0 to 1 over the format, (0, 0) its lower left corner."""
        u, v = (maps[f"{node.knobs['uv']}.{each}"] for each in ("red", "green"))
        height, width = u.shape
        places = ((1.0 - v) * height - 0.5, u * width - 0.5)
        names = {"rgb": ("red", "green", "blue"), "rgba": ("red", "green", "blue", "alpha")}
        moved = {
            f"rgba.{each}": map_coordinates(source[f"rgba.{each}"], places, order=1, cval=0.0)
            for each in names[node.knobs["channels"]]
            if f"rgba.{each}" in source
        }
        return {**source, **moved}

    def _crop(self, node: ScriptNode, picture: Picture) -> Picture:
        assert node.knobs["reformat"] == "true"
        texts = re.findall(r"{([^{}]*)}", node.knobs["box"])
        x, y, right, top = (
            round(float(evaluate(text, lambda name: self._format(picture, name)))) for text in texts
        )
        height = round(self._format(picture, "height"))
        return {name: each[height - top : height - y, x:right] for name, each in picture.items()}

    def _reformat(self, node: ScriptNode, picture: Picture) -> Picture:
        assert (node.knobs["type"], node.knobs["box_fixed"]) == ("to box", "true")
        width, height = (round(self._number(node, f"box_{s}", 0)) for s in ("width", "height"))
        if node.knobs["resize"] == "distort":
            size = (width, height)
            return {name: cv2.resize(each, size) for name, each in picture.items()}
        there = {}
        for name, each in picture.items():  # resize none, centred
            canvas = np.zeros((height, width), np.float32)
            y, x = (height - each.shape[0]) // 2, (width - each.shape[1]) // 2
            canvas[y : y + each.shape[0], x : x + each.shape[1]] = each
            there[name] = canvas
        return there

    def _inference(self, node: ScriptNode, picture: Picture) -> Picture:
        """The network by its channels: three or four; links to it set its attributes."""
        names = ("rgba.red", "rgba.green", "rgba.blue", "rgba.alpha")
        assert self.network is not None
        for knob in self.gizmo.user.values():
            owner, _, target = knob.text.partition(".")
            if (knob.code, owner) == (41, node.name) and knob.name in self.values:
                setattr(self.network, target, float(self.values[knob.name]))
        drawn = self.network(np.stack([picture[each] for each in names[:3]], axis=-1))
        return {**picture, **dict(zip(names, np.moveaxis(drawn, 2, 0), strict=False))}

    def _switch(self, node: ScriptNode, *pictures: Picture) -> Picture:
        return pictures[int(self._number(node, "which", 0.0))]


# --- the module nuke -------------------------------------------------------------------------


class WrongThread(AssertionError):
    """Nuke was called from a thread that it does not allow."""


class FakeKnob:
    """One knob; `kind` is Nuke's class."""

    KINDS = (
        "Double_Knob", "Int_Knob", "Boolean_Knob", "Enumeration_Knob", "String_Knob",
        "EvalString_Knob", "File_Knob", "Text_Knob", "PyScript_Knob", "Link_Knob", "PyCustom_Knob",
        "Tab_Knob",
    )  # fmt: skip

    def __init__(self, nuke: FakeNuke, node: FakeNode, name: str, kind: str, value: Any,
                 choices: tuple[str, ...] = ()) -> None:  # fmt: skip
        assert kind in self.KINDS, f"Nuke has no knob class {kind}"
        self._nuke, self._node, self._name, self._kind = nuke, node, name, kind
        self._held, self._choices = value, choices
        self._keys: dict[float, float] = {}
        self._curve = False
        self._expression = ""
        self.pressed: Callable[[], None] = lambda: None

    def _target(self) -> FakeKnob | None:
        """What a link leads to."""
        if self._kind != "Link_Knob" or not self._held:
            return None
        node, _, name = self._held.partition(".")
        inner = self._node.node(node)
        return inner and inner.knob(name)

    def name(self) -> str:
        return self._name

    def Class(self) -> str:
        return self._kind

    def value(self) -> Any:
        self._nuke.on_main()
        if self._target() is not None:
            return self._target().value()
        if self._keys:
            number = self.getValueAt(self._nuke.frame())
            return bool(number) if self._kind == "Boolean_Knob" else number
        return self._held

    def setValue(self, value: Any) -> bool:
        self._nuke.on_main()
        if self._target() is not None:
            return self._target().setValue(value)
        if self._kind == "Enumeration_Knob":
            assert value in self._choices or isinstance(value, int), f"{self._name}: {value!r}"
            value = self._choices[value] if isinstance(value, int) else value
        elif self._kind in ("Double_Knob", "Int_Knob", "Boolean_Knob"):
            if isinstance(value, str):
                raise TypeError(f"{self._name} takes a number, found {value!r}")
            if self._curve:
                return self.setValueAt(float(value), self._nuke.frame())
            value = {"Double_Knob": float, "Int_Knob": int, "Boolean_Knob": bool}[self._kind](value)
        elif not isinstance(value, str):
            raise TypeError(f"{self._name} takes text, found {value!r}")
        self._held = value
        self._nuke.fire(self._node, self)
        return True

    def getValueAt(self, frame: float) -> float:
        self._nuke.on_main()
        if not self._keys:
            return float(self._held)
        times = sorted(self._keys)
        return float(np.interp(frame, times, [self._keys[each] for each in times]))

    def setValueAt(self, value: float, frame: float) -> bool:
        self._nuke.on_main()
        assert self._curve, f"{self._name} is not animated: call setAnimated first"
        self._keys[float(frame)] = float(value)
        self._nuke.fire(self._node, self)
        return True

    def setAnimated(self) -> None:
        self._nuke.on_main()
        self._curve = True

    def clearAnimated(self) -> None:
        self._nuke.on_main()
        self._curve = False
        self._keys.clear()

    def isAnimated(self) -> bool:
        self._nuke.on_main()
        return bool(self._keys) or bool(self._expression)

    def hasExpression(self) -> bool:
        self._nuke.on_main()
        return bool(self._expression)

    def setExpression(self, text: str) -> bool:
        self._nuke.on_main()
        self._expression = text
        return True

    def evaluate(self) -> str | None:
        self._nuke.on_main()
        if self._kind not in ("File_Knob", "EvalString_Knob"):
            raise AttributeError(f"'{self._kind}' object has no attribute 'evaluate'")
        return self._held.replace("[getenv SHOW]", "/show") or None

    def getKeyList(self) -> list[float]:
        self._nuke.on_main()
        return sorted(self._keys)

    def values(self) -> list[str]:
        self._nuke.on_main()
        if self._kind != "Enumeration_Knob":
            raise AttributeError(f"'{self._kind}' object has no attribute 'values'")
        return list(self._choices)

    def toScript(self) -> str:
        self._nuke.on_main()
        return json.dumps([self._held, sorted(self._keys.items()), self._curve, self._expression])

    def fromScript(self, text: str) -> bool:
        self._nuke.on_main()
        self._held, keys, self._curve, self._expression = json.loads(text)
        self._keys = dict(map(tuple, keys))
        self._nuke.fire(self._node, self)
        return True

    def setLink(self, target: str) -> None:
        self._nuke.on_main()
        assert self._kind == "Link_Knob"
        self._held = target

    def setTooltip(self, text: str) -> None:
        self._nuke.on_main()

    def setRange(self, low: float, high: float) -> None:
        self._nuke.on_main()
        assert self._kind in ("Double_Knob", "Int_Knob")

    def execute(self) -> None:
        self._nuke.on_main()
        assert self._kind == "PyScript_Knob"
        self.pressed()

    def state(self) -> tuple[Any, ...]:
        """Not Nuke's: all that undo brings back."""
        return self._held, dict(self._keys), self._curve, self._expression

    def restore(self, state: tuple[Any, ...]) -> None:
        """Not Nuke's. Undo fires no callback here, because the documents promise none."""
        self._held, keys, self._curve, self._expression = state
        self._keys = dict(keys)


class FakeNode:
    """One node; only documented methods exist."""

    def __init__(self, nuke: FakeNuke, kind: str, name: str) -> None:
        self._nuke, self._kind, self._name = nuke, kind, name
        self._knobs: dict[str, FakeKnob] = {}
        self._inputs: dict[int, FakeNode | None] = {}
        self._place = (0, 0)
        self._range = (1, 100)
        self._group: FakeNode | None = None
        self._clones = 0

    def Class(self) -> str:
        self._nuke.on_main()
        return self._kind

    def name(self) -> str:
        self._nuke.on_main()
        return self._name

    def setName(self, name: str) -> None:
        self._nuke.on_main()
        self._name = name
        self._nuke.fire(self, FakeKnob(self._nuke, self, "name", "String_Knob", name))

    def fullName(self) -> str:
        self._nuke.on_main()
        return f"{self._group.fullName()}.{self._name}" if self._group else self._name

    def knob(self, name: str) -> FakeKnob | None:
        self._nuke.on_main()
        return self._knobs.get(name)

    def knobs(self) -> dict[str, FakeKnob]:
        self._nuke.on_main()
        return dict(self._knobs)

    def __getitem__(self, name: str) -> FakeKnob:
        self._nuke.on_main()
        if name not in self._knobs:
            raise NameError(f"knob {name} does not exist")
        return self._knobs[name]

    def input(self, number: int) -> FakeNode | None:
        self._nuke.on_main()
        return self._inputs.get(number)

    def inputs(self) -> int:
        self._nuke.on_main()
        return max((n + 1 for n, node in self._inputs.items() if node is not None), default=0)

    def setInput(self, number: int, node: FakeNode | None) -> bool:
        self._nuke.on_main()
        self._nuke.may_change()
        self._inputs[number] = node
        self._nuke.dirty = True
        return True

    def dependencies(self) -> list[FakeNode]:
        self._nuke.on_main()
        return [each for _, each in sorted(self._inputs.items()) if each is not None]

    def clones(self) -> int:
        self._nuke.on_main()
        return self._clones

    def opHashes(self) -> list[int]:
        self._nuke.on_main()
        return self._nuke.op_hashes(self)

    def metadata(self, key: str) -> Any:
        self._nuke.on_main()
        return self._nuke.metadata(self, key)

    def format(self) -> FakeFormat:
        self._nuke.on_main()
        return self._nuke.format_of(self)

    def addKnob(self, knob: FakeKnob) -> None:
        self._nuke.on_main()
        knob._node = self
        self._knobs[knob.name()] = knob

    def firstFrame(self) -> int:
        self._nuke.on_main()
        return self._range[0]

    def lastFrame(self) -> int:
        self._nuke.on_main()
        return self._range[1]

    def xpos(self) -> int:
        return self._place[0]

    def ypos(self) -> int:
        return self._place[1]

    def setXYpos(self, x: int, y: int) -> None:
        self._nuke.on_main()
        self._place = (x, y)

    def add(self, name: str, kind: str, value: Any, choices: tuple[str, ...] = ()) -> FakeKnob:
        """Not Nuke's: builds the double."""
        self._knobs[name] = FakeKnob(self._nuke, self, name, kind, value, choices)
        return self._knobs[name]


class FakeFormat:
    def __init__(self, width: int, height: int, aspect: float) -> None:
        self._held = width, height, aspect

    def width(self) -> int:
        return self._held[0]

    def height(self) -> int:
        return self._held[1]

    def pixelAspect(self) -> float:
        return self._held[2]


class FakeGroup(FakeNode):
    def begin(self) -> None:
        self._nuke.on_main()
        self._nuke.into.append(self)

    def end(self) -> None:
        self._nuke.on_main()
        assert self._nuke.into.pop() is self

    def nodes(self) -> list[FakeNode]:
        self._nuke.on_main()
        return [each for each in self._nuke.nodes if each._group is self]

    def node(self, name: str) -> FakeNode | None:
        self._nuke.on_main()
        return next((each for each in self._nuke.nodes
                     if each._group is self and each._name == name), None)  # fmt: skip


class FakeGizmo(FakeGroup):
    def makeGroup(self) -> FakeGroup:
        self._nuke.on_main()
        group = self._nuke.semblance("Group", FakeGroup)
        group._name = f"{self._name}_group"
        return group


OF_KIND = {
    "float": "Double_Knob",
    "int": "Int_Knob",
    "bool": "Boolean_Knob",
    "choice": "Enumeration_Knob",
    "text": "String_Knob",
    "file": "File_Knob",
}
_OF_CODE = {
    1: "String_Knob", 2: "File_Knob", 3: "Int_Knob", 4: "Enumeration_Knob", 6: "Boolean_Knob",
    7: "Double_Knob", 20: "Tab_Knob", 22: "PyScript_Knob", 26: "Text_Knob", 41: "Link_Knob",
    52: "PyCustom_Knob",
}  # fmt: skip
_PLAIN = {
    "Write": (
        ("file", "File_Knob", "", ()),
        ("proxy", "File_Knob", "", ()),
        ("create_directories", "Boolean_Knob", False, ()),
        ("channels", "String_Knob", "rgb", ()),
        ("raw", "Boolean_Knob", False, ()),
        ("file_type", "Enumeration_Knob", " ", (" ", "exr", "png")),
    ),
    "Copy": tuple(
        (f"{way}{i}", "String_Knob", "none", ()) for way in ("from", "to") for i in range(4)
    ),
    "Expression": tuple((f"expr{i}", "EvalString_Knob", "", ()) for i in range(4)),
    "Remove": (
        ("operation", "Enumeration_Knob", "remove", ("remove", "keep")),
        ("channels", "String_Knob", "all", ()),
    ),
    "Switch": (("which", "Double_Knob", 0.0, ()),),
    "Text2": (("message", "String_Knob", "", ()),),
    "Grade": (("multiply", "Double_Knob", 1.0, ()),),
    "TimeOffset": (("time_offset", "Double_Knob", 0.0, ()),),
}
_EXR = {
    "datatype": ("16 bit half", "32 bit float"),
    "compression": ("Zip (1 scanline)", "none", "PIZ Wavelet (32 scanlines)"),
    "metadata": ("default metadata", "no metadata", "all metadata"),
}
"""Knobs of a Write that are there once its type is exr."""

SPACES = ("default (linear)", "scene_linear (ACES - ACEScg)", "Input/ARRI/ARRI LogC3")


class FakeNuke:
    """The module `nuke`. What a test looks at is named so that Nuke has no such name."""

    LINEAR = 1
    EVENTS = ("OnCreate", "OnDestroy", "OnScriptLoad", "UpdateUI", "BeforeRender",
              "BeforeFrameRender", "AfterFrameRender", "AfterRender")  # fmt: skip

    def __init__(self, *, gui: bool = True, has_engine: bool = True) -> None:
        self.GUI = gui
        self.has_engine = has_engine
        self.nodes: list[FakeNode] = []
        self.told: list[str] = []
        self.paths: list[str] = []
        self.excluded: list[str] = []
        self.commands: dict[str, Any] = {}
        self.steps: list[str] = []
        self.executed: list[tuple[FakeNode, int, int]] = []
        self.queued: list[tuple[Callable[..., Any], tuple[Any, ...]]] = []
        self.callbacks: list[tuple[Callable[[], None], str, FakeNode | None]] = []
        self.bars: list[FakeProgress] = []
        self.into: list[FakeGroup] = []
        self.events: list[tuple[str, Callable[[], None], str]] = []
        self.dirty = False
        self.answer: str | None = None
        self.view_names = ["main"]
        self.layers: dict[str, list[str]] = {}
        self._calling = 0
        self._undoing = True
        self._modified = False
        self._main = threading.get_ident()
        self._frame = 1001
        self._this: tuple[FakeNode, FakeKnob] | None = None
        self._root = FakeNode(self, "Root", "root")
        self._root.add("name", "File_Knob", "")
        self._root.add("colorManagement", "Enumeration_Knob", "Nuke", ("Nuke", "OCIO"))
        self._root.add("workingSpaceLUT", "String_Knob", "linear")
        self._root.add("proxy", "Boolean_Knob", False)
        self._root.modified = lambda: self._modified  # type: ignore[attr-defined]
        self._root.setModified = self._set_modified  # type: ignore[attr-defined]
        self.undo_open = 0

    # --- documented functions

    def pluginAddPath(self, path: str) -> None:
        self.on_main()
        self.paths.append(path)

    def ofxAddPluginAliasExclusion(self, name: str) -> None:
        self.on_main()
        self.excluded.append(name)

    def createNode(self, kind: str, args: str = "", inpanel: bool = True) -> FakeNode:
        self.on_main()
        self.may_change()
        self.dirty = True
        if kind == "Semblance" and (self.has_engine or self._stands_in()):
            made: FakeNode = self.semblance(kind, FakeGizmo)
        elif kind == ENGINE and (self.has_engine or self._stands_in()):
            made = self.ofx()
        elif kind == "Read":
            made = self.read("")
        elif kind in STOCK:
            made = self.plain(kind)
        else:
            raise RuntimeError(f"{ENGINE if kind == 'Semblance' else kind}: Unknown command")
        if self.into:
            made._group = self.into[-1]
        self.happen("OnCreate", made)
        return made

    def allNodes(self, filter: str = "", recurseGroups: bool = False) -> list[FakeNode]:
        self.on_main()
        return [each for each in self.nodes if recurseGroups or each._group is None]

    def Layer(self, name: str, channels: list[str]) -> None:
        self.on_main()
        assert all(each.startswith(f"{name}.") for each in channels)
        self.layers[name] = list(channels)

    def views(self) -> list[str]:
        self.on_main()
        return list(self.view_names)

    def getInput(self, prompt: str, default: str = "") -> str | None:
        self.on_main()
        assert self.GUI
        return self.answer

    def __getattr__(self, name: str) -> Any:
        """``addOnDestroy``, ``removeOnDestroy``, ``Double_Knob`` and the like."""
        for event in FakeNuke.EVENTS:
            if name == f"add{event}":
                return lambda call, nodeClass="*": self._learn(event, call, nodeClass)
            if name == f"remove{event}":
                return lambda call, nodeClass="*": self._forget(event, call, nodeClass)
        if name in FakeKnob.KINDS and name != "Link_Knob":
            return lambda *given: self._knob(name, *given)
        raise AttributeError(name)

    def toNode(self, name: str) -> FakeNode | None:
        self.on_main()
        return next((each for each in self.nodes if each.fullName() == name), None)

    def thisNode(self) -> FakeNode:
        self.on_main()
        assert self._this is not None, "there is no context node"
        return self._this[0]

    def thisKnob(self) -> FakeKnob:
        self.on_main()
        assert self._this is not None, "there is no context knob"
        return self._this[1]

    def root(self) -> FakeNode:
        self.on_main()
        return self._root

    def frame(self, number: int | None = None) -> int:
        self.on_main()
        if number is not None and number != self._frame:
            self._frame, self.dirty = number, True
        return self._frame

    def filename(self, node: FakeNode) -> str | None:
        self.on_main()
        return node["file"].evaluate()

    def delete(self, node: FakeNode) -> None:
        self.on_main()
        self.may_change()
        self.happen("OnDestroy", node)
        self.nodes = [each for each in self.nodes if node not in (each, each._group)]
        for each in self.nodes:
            each._inputs = {n: other for n, other in each._inputs.items() if other is not node}
        self.dirty = True

    def execute(self, node: FakeNode, start: int, end: int, incr: int = 1) -> None:
        self.on_main()
        assert node.Class() == "Write"
        self.executed.append((node, start, end))

    def message(self, text: str) -> None:
        self.on_main()
        assert self.GUI, "there is no screen for a message"
        self.told.append(text)

    def tprint(self, text: str) -> None:
        self.told.append(text)

    def Undo(self) -> FakeUndo:
        self.on_main()
        return FakeUndo(self)

    def executeInMainThread(
        self, call: Callable[..., Any], args: Any = (), kwargs: Any = None
    ) -> None:
        if threading.get_ident() == self._main:
            raise WrongThread("executeInMainThread from the main thread hangs Nuke")
        assert self.GUI, "without a screen nothing ever runs this"
        self.queued.append((call, tuple(args)))

    def ProgressTask(self, text: str) -> FakeProgress:
        self.bars.append(FakeProgress(text))
        return self.bars[-1]

    def addKnobChanged(
        self, call: Callable[[], None], args: Any = (), kwargs: Any = None, nodeClass: str = "*",
        node: FakeNode | None = None,
    ) -> None:  # fmt: skip
        self.on_main()
        self.callbacks.append((call, nodeClass, node))

    def removeKnobChanged(
        self, call: Callable[[], None], args: Any = (), kwargs: Any = None, nodeClass: str = "*",
        node: FakeNode | None = None,
    ) -> None:  # fmt: skip
        self.on_main()
        self.callbacks.remove((call, nodeClass, node))

    def menu(self, name: str) -> FakeMenu:
        self.on_main()
        assert self.GUI, "there is no menu without a screen"
        assert name in ("Nuke", "Nodes", "Pane", "Viewer")
        return FakeMenu(self, name)

    # --- the test's own

    def on_main(self) -> None:
        if threading.get_ident() != self._main:
            raise WrongThread("nuke was called from another thread")

    def fire(self, node: FakeNode, knob: FakeKnob) -> None:
        """What Nuke does when a knob changes."""
        before, self._this = self._this, (node, knob)
        self.dirty = True
        if self._undoing:
            self._modified = True
        self._calling += 1
        try:
            for call, kind, only in list(self.callbacks):
                if only is node or (only is None and kind in ("*", node._kind)):
                    call()
        finally:
            self._this = before
            self._calling -= 1

    def happen(self, event: str, node: FakeNode) -> None:
        """What Nuke does at an event; during a render's own it may render, during others not."""
        before, self._this = self._this, (node, None)  # type: ignore[assignment]
        quick = event in ("OnCreate", "OnDestroy", "UpdateUI")
        self._calling += quick
        try:
            for each, call, kind in list(self.events):
                if each == event and kind in ("*", node._kind):
                    call()
        finally:
            self._this = before
            self._calling -= quick

    def may_change(self) -> None:
        """Refuse what Nuke refuses inside a callback."""
        if self._calling:
            raise RuntimeError("I'm already executing something else")

    def _learn(self, event: str, call: Callable[[], None], kind: str) -> None:
        self.on_main()
        assert callable(call)
        self.events.append((event, call, kind))

    def _forget(self, event: str, call: Callable[[], None], kind: str) -> None:
        self.on_main()
        self.events.remove((event, call, kind))

    def _knob(self, kind: str, name: str, label: str = "", choices: Any = ()) -> FakeKnob:
        self.on_main()
        start: dict[str, Any] = {"Double_Knob": 0.0, "Int_Knob": 0, "Boolean_Knob": False}
        value = choices[0] if choices else start.get(kind, "")
        return FakeKnob(self, None, name, kind, value, tuple(choices))

    def _set_modified(self, modified: bool) -> None:
        self._modified = modified

    def _stands_in(self) -> bool:
        return any(each.endswith("stand_in") for each in self.paths)

    def op_hashes(self, node: FakeNode) -> list[int]:
        raise NotImplementedError("this double renders no pictures: see helpers_nuke_images")

    metadata = format_of = op_hashes

    def turn(self) -> bool:
        """One turn of the event loop; return whether there was anything to do."""
        busy = bool(self.queued) or self.dirty
        while self.queued:
            call, args = self.queued.pop(0)
            call(*args)
        if self.dirty:
            self.dirty = False
            for node in list(self.nodes):
                self.happen("UpdateUI", node)
        return busy

    def settle(self, done: Callable[[], bool] = lambda: True, seconds: float = 60.0) -> None:
        """Let the event loop turn until something is so, and nothing is left to do."""
        deadline, calm = time.monotonic() + seconds, 0
        while calm < 4 or not done():
            assert time.monotonic() < deadline, "it did not happen in time"
            calm = 0 if self.turn() else calm + 1
            time.sleep(0.005)

    def connect(self, node: FakeNode, number: int, above: FakeNode | None) -> None:
        """Connect by hand, as an artist does: Nuke then fires a knob that is none."""
        node.setInput(number, above)
        self.fire(node, FakeKnob(self, node, "inputChange", "Text_Knob", ""))

    def pump(self, seconds: float = 30.0) -> None:
        """Wait for what a thread leaves to the main thread, and run it."""
        waiting = threading.Event()
        for _ in range(int(seconds / 0.02)):
            if self.queued:
                while self.queued:
                    call, args = self.queued.pop(0)
                    call(*args)
                return
            waiting.wait(0.02)
        raise AssertionError("no thread asked for the main thread")

    def read(self, file: str, first: int = 1001, last: int = 1012) -> FakeNode:
        node = self._put(FakeNode(self, "Read", f"Read{len(self.nodes) + 1}"))
        node.add("file", "File_Knob", file)
        node.add("colorspace", "Enumeration_Knob", SPACES[0], SPACES)
        node.add("raw", "Boolean_Knob", False)
        node.add("frame", "String_Knob", "")
        node.add("first", "Int_Knob", first)
        node.add("last", "Int_Knob", last)
        node.add("proxy", "File_Knob", "")
        node.add("on_error", "Enumeration_Knob", "error", ("error", "black", "checkerboard"))
        for name in ("before", "after"):
            node.add(name, "Enumeration_Knob", "hold", ("hold", "loop", "bounce", "black"))
        node.add("reload", "PyScript_Knob", "")
        node._range = (first, last)
        return node

    def plain(self, kind: str) -> FakeNode:
        node = self._put(FakeNode(self, kind, f"{kind}{len(self.nodes) + 1}"))
        node.add("disable", "Boolean_Knob", False)
        for name, knob, value, choices in _PLAIN.get(kind, ()):
            node.add(name, knob, value, choices)
        if kind == "Write":
            file_type = node["file_type"]

            def chosen(value: Any) -> bool:
                if value == "exr":  # its knobs are there from now on
                    for name, choices in _EXR.items():
                        node.add(name, "Enumeration_Knob", choices[0], choices)
                return FakeKnob.setValue(file_type, value)

            file_type.setValue = chosen  # type: ignore[method-assign]
        return node

    def ofx(self) -> FakeNode:
        """The OpenFX node; without it the gizmo that stands in its place."""
        node = self._put(FakeNode(self, ENGINE, f"{ENGINE}{len(self.nodes) + 1}"))
        for each in declared():
            node.add(each.name, OF_KIND[each.kind], each.default, each.choices)
        node.add("use_mask", "Boolean_Knob", True)
        node.add("worker_timeout", "Double_Knob", 60.0)
        node.add("restart_worker", "PyScript_Knob", "")
        node.add("version", "String_Knob", "0.1.0")
        if not self.has_engine:
            node.add("semblance_stand_in", "String_Knob", "1")
        return node

    def semblance(self, kind: str, cls: type[FakeGroup]) -> FakeGroup:
        group = cls(self, kind, f"Semblance{len(self.nodes) + 1}")
        self._put(group)
        text = (ROOT / "gizmos" / "Semblance.gizmo").read_text(encoding="utf-8")
        for code, name, rest in re.findall(r"addUserKnob \{(\d+) (\w+)(.*)\}", text):
            link, choices = re.search(r"T (ENGINE\.\w+)", rest), re.search(r"M \{(.*)\}", rest)
            words = tuple(choices[1].split()) if choices else ()
            preset = re.search(rf"^ {name} (.*)$", text, re.M)
            value = preset[1].strip('"') if preset else ""
            knob = _OF_CODE[int(code)]
            held: Any = link[1] if link else value
            if knob in ("Double_Knob", "Boolean_Knob"):
                held = held == "true" if knob == "Boolean_Knob" else float(held)
            group.add(name, knob, held, words)
        group.add("label", "String_Knob", "")
        group.add("tile_color", "Int_Knob", 0x7A5A8CFF)
        inner = self.ofx()
        for each, name, number in (
            (inner, "ENGINE", None), (self.plain("Input"), "Source", 0),
            (self.plain("Input"), "Roto", 1), (self.plain("Output"), "Output1", None),
        ):  # fmt: skip
            each._group, each._name = group, name
            if number is not None:
                each.add("number", "Int_Knob", number)
        inner._inputs = {0: group.node("Source"), 1: group.node("Roto")}
        group.node("Output1")._inputs = {0: inner}
        return group

    def _put(self, node: Any) -> Any:
        self.nodes.append(node)
        return node


class FakeUndo:
    """As before Nuke 17: methods of an instance, and `begin` takes no name."""

    def __init__(self, nuke: FakeNuke) -> None:
        self._nuke = nuke

    def disable(self) -> None:
        self._nuke.on_main()
        assert self._nuke._undoing, "it is disabled already"
        self._nuke._undoing = False

    def enable(self) -> None:
        self._nuke.on_main()
        self._nuke._undoing = True

    def begin(self) -> None:
        self._nuke.on_main()
        self._nuke.undo_open += 1

    def name(self, text: str) -> None:
        self._nuke.on_main()
        assert self._nuke.undo_open, "no step of undo was begun"
        self._nuke.steps.append(text)

    def end(self) -> None:
        self._nuke.on_main()
        assert self._nuke.undo_open, "no step of undo was begun"
        self._nuke.undo_open -= 1


class FakeProgress:
    """May be used from a thread, as Nuke's."""

    def __init__(self, text: str) -> None:
        self.text, self.percents, self.stop = text, [0], False

    def setMessage(self, text: str) -> None:
        assert isinstance(text, str)

    def setProgress(self, percent: int) -> None:
        assert isinstance(percent, int)
        assert 0 <= percent <= 100
        self.percents.append(percent)

    def isCancelled(self) -> bool:
        return self.stop


class FakeMenu:
    def __init__(self, nuke: FakeNuke, path: str) -> None:
        self._nuke, self._path = nuke, path

    def addMenu(self, name: str, icon: str = "") -> FakeMenu:
        return FakeMenu(self._nuke, f"{self._path}/{name}")

    def addCommand(self, name: str, command: Any, shortcut: str = "", icon: str = "") -> None:
        assert callable(command) or compile(command, name, "eval")
        self._nuke.commands[f"{self._path}/{name}"] = command
