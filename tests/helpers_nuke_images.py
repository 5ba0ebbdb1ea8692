"""The double of Nuke with pictures: a Read really reads EXR, a Write really writes it.

`RenderingNuke` renders the few classes that the tests and our groups use, in floats, as the
documents say. It is stricter than Nuke may be where they are silent: a Read keeps what it read of a
file until `reload`, a group has no op hashes, and neither the graph may change nor a Write render
inside a callback that is not a render's own.
"""

from __future__ import annotations

import hashlib
import re
import sys
from collections.abc import Callable, Iterable
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from helpers_nuke import ENGINE, ROOT, STOCK, FakeFormat, FakeGroup, FakeNode, FakeNuke, evaluate
from semblance.exr import read_header, read_plate, write_plate
from semblance.plate import Plate, Window

SHORT = {"rgba.red": "R", "rgba.green": "G", "rgba.blue": "B", "rgba.alpha": "A"}
PROXY = 2
"""How much smaller the proxies are."""


@dataclass(frozen=True)
class Image:
    """What a node delivers.

    Parameters
    ----------
    channels : dict of str to (h, w) float32 array
        By their names in EXR.
    window, display : Window
        Bounding box and format, y down.
    aspect : float
    metadata : mapping
    slated : bool
        Whether a Text was drawn over it.
    live : bool
        Whether the OpenFX node was asked: its pixels are none of this double's.
    """

    channels: dict[str, np.ndarray]
    window: Window
    display: Window
    aspect: float = 1.0
    metadata: Any = ()
    slated: bool = False
    live: bool = False

    def rgb(self) -> np.ndarray:
        return np.dstack([self.channels[name] for name in "RGB"])


class RenderingNuke(FakeNuke):
    """A Nuke that renders.

    Parameters
    ----------
    nests : bool
        Whether a render's callback may render another Write.
    """

    def __init__(self, *, gui: bool = True, has_engine: bool = False, nests: bool = True) -> None:
        super().__init__(gui=gui, has_engine=has_engine)
        self.nests = nests
        self.log: list[str] = []
        self._executing = 0
        self._reads: dict[tuple[int, str], Plate] = {}
        self._versions: dict[int, int] = {}

    # --- documented

    def execute(
        self, node: FakeNode, start: int, end: int, incr: int = 1, views: Iterable[str] = ()
    ) -> None:
        self.on_main()
        assert node._kind == "Write"
        if self._calling or (self._executing and not self.nests):
            raise RuntimeError("I'm already executing something else")
        back, self._executing = self._frame, self._executing + 1
        try:
            self.happen("BeforeRender", node)
            for frame in range(start, end + 1, incr):
                self._frame = frame
                self._during("BeforeFrameRender", node)
                for view in views or self.view_names:
                    self._write(node, frame, view)
                self.log.append(f"{node.fullName()} {frame}")
                self._during("AfterFrameRender", node)
            self.happen("AfterRender", node)
        finally:
            self._frame, self._executing = back, self._executing - 1

    def executing(self) -> bool:
        self.on_main()
        return self._executing > 0

    # --- the test's own

    def shown(self, node: FakeNode, view: str = "main", frame: int | None = None) -> Image:
        """What a viewer shows of a node."""
        return self._render(node, float(self._frame if frame is None else frame), view)

    def press_reload(self, node: FakeNode) -> Callable[[], None]:
        def pressed() -> None:
            self._versions[id(node)] = self._versions.get(id(node), 0) + 1
            self._reads = {key: each for key, each in self._reads.items() if key[0] != id(node)}
            self.dirty = True

        return pressed

    def read(self, file: str, first: int = 1001, last: int = 1012) -> FakeNode:
        node = super().read(file, first, last)
        node["reload"].pressed = self.press_reload(node)
        return node

    def state(self) -> Any:
        """All that a step of undo holds."""
        return (
            list(self.nodes),
            [
                (node, node._name, node._group, dict(node._inputs), dict(node._knobs))
                for node in self.nodes
            ],
            [(knob, knob.state()) for node in self.nodes for knob in node._knobs.values()],
        )

    def restore(self, state: Any) -> None:
        """Bring a state back, as undo does: no callback but the update of the panels."""
        self.nodes, nodes, knobs = list(state[0]), state[1], state[2]
        for node, name, group, inputs, own in nodes:
            node._name, node._group, node._inputs, node._knobs = name, group, dict(inputs), own
        for knob, held in knobs:
            knob.restore(held)
        self.dirty = True

    def op_hashes(self, node: FakeNode) -> list[int]:
        if isinstance(node, FakeGroup):
            return []
        return [self._hash(node, float(self._frame))]

    def metadata(self, node: FakeNode, key: str) -> Any:
        above = self._first(node)
        if key != "input/bitsperchannel" or above is None:
            return None
        kinds = {each.kind for each in self._header(above).channels}
        return "16-bit half float" if kinds == {"half"} else "32-bit float"

    def format_of(self, node: FakeNode) -> FakeFormat:
        above = self._first(node)
        if above is None:
            return FakeFormat(1920, 1080, 1.0)
        header = self._header(above)
        return FakeFormat(header.display_window.width, header.display_window.height,
                          header.pixel_aspect)  # fmt: skip

    # --- inside

    def _first(self, node: FakeNode | None) -> FakeNode | None:
        while node is not None and node._kind != "Read":
            if node._kind == "Input":
                node = node._group._inputs.get(int(node["number"].value()))
            else:
                node = node._inputs.get(0)
        return node

    def _header(self, read: FakeNode) -> Any:
        text = read["file"].value()
        return read_header(self._file(text, read._range[0], self.view_names[0])).parts[0]

    def _file(self, text: str, frame: float, view: str) -> Path:
        script = str(Path(self._root["name"].value()).parent)
        text = text.replace("[file dirname [value root.name]]", script)
        text = text.replace("[getenv SHOW]", "/show").replace("%V", view)
        return Path(re.sub(r"%0(\d)d", lambda m: f"{round(frame):0{m[1]}d}", text))

    def _during(self, event: str, node: FakeNode) -> None:
        try:
            self.happen(event, node)
        except Exception as error:
            raise RuntimeError(str(error)) from error

    def _value(self, node: FakeNode, name: str, frame: float) -> float:
        knob = node[name]
        if not knob._expression:
            return float(knob.getValueAt(frame))

        def named(text: str) -> float:
            owner, _, what = text.partition(".")
            assert owner == "parent", text
            return float(node._group._knobs[what].getValueAt(frame))

        return float(evaluate(knob._expression, named))

    def _hash(self, node: FakeNode | None, frame: float) -> int:
        """A name of what a node delivers: its class, its own knobs, and what is above it."""
        if node is None:
            return 0
        if node._kind == "Input":
            above = node._group._inputs.get(int(node._knobs["number"]._held))
            return self._hash(above, frame)
        if isinstance(node, FakeGroup):
            return self._hash(node.node("Output1"), frame)
        parts: list[Any] = [node._kind, self._root["proxy"].value()]
        for name in sorted(set(node._knobs) & set(STOCK.get(node._kind, ())) - {"reload"}):
            knob = node._knobs[name]
            if knob._kind == "File_Knob":
                parts.append(str(self._file(knob._held, frame, "view")))
            elif knob._expression or knob._keys:
                parts.append(self._value(node, name, frame))
            else:
                parts.append(knob._held)
        if "disable" in node._knobs:
            parts.append(self._value(node, "disable", frame))
        parts.append(self._versions.get(id(node), 0))
        at = frame
        if node._kind == "TimeOffset":
            at = frame - node["time_offset"].getValueAt(frame)
        parts += [self._hash(each, at) for _, each in sorted(node._inputs.items())]
        return int(hashlib.sha256(repr(parts).encode()).hexdigest()[:15], 16)

    def _render(self, node: FakeNode | None, frame: float, view: str) -> Image:
        assert node is not None, "nothing is connected"
        if isinstance(node, FakeGroup):
            return self._render(node.node("Output1"), frame, view)
        if node._kind == "Input":
            return self._render(node._group._inputs.get(int(node["number"].value())), frame, view)
        if node._kind == "Read":
            return self._read(node, frame, view)
        if node._kind == "JoinViews":
            return self._render(node._inputs[self.view_names.index(view)], frame, view)
        if node._kind == "Switch":
            return self._render(node._inputs[round(self._value(node, "which", frame))], frame, view)
        if node._kind == "TimeOffset":
            frame = frame - node["time_offset"].getValueAt(frame)
        below = self._render(node._inputs.get(0), frame, view)
        if "disable" in node._knobs and self._value(node, "disable", frame):
            return below
        work = getattr(self, f"_{node._kind.lower()}", None)
        if node._kind == ENGINE:
            if "semblance_stand_in" in node._knobs:
                raise RuntimeError("the OpenFX node Semblance is not loaded.exr: No such file")
            return replace(below, live=True)
        return below if work is None else work(node, below, frame, view)

    def _read(self, node: FakeNode, frame: float, view: str) -> Image:
        proxy = bool(self._root["proxy"].value())
        named = proxy and node["proxy"].value()
        text = node["proxy" if named else "file"].value()
        if not text:
            raise RuntimeError(f"{node.fullName()}: no file name")
        first, last = (node[name].value() for name in ("first", "last"))
        assert first <= frame <= last, "outside of its range a Read holds its first or last frame"
        path = self._file(text, frame, view)
        key = (id(node), str(path))
        if key not in self._reads:
            if not path.exists():
                raise RuntimeError(f"{node.fullName()}: {path}: No such file or directory")
            self._reads[key] = read_plate(path)
        plate = self._reads[key]
        made = Image(
            {name: _floats(each) for name, each in plate.channels.items()},
            plate.window,
            plate.display_window,
            plate.pixel_aspect,
            dict(plate.metadata),
        )
        return _smaller(made) if proxy and not named else _ringed(made)

    def _grade(self, node: FakeNode, below: Image, frame: float, view: str) -> Image:
        factor = np.float32(node["multiply"].getValueAt(frame))
        graded = {n: each * factor if n in "RGB" else each for n, each in below.channels.items()}
        return replace(below, channels=graded)

    def _copy(self, node: FakeNode, below: Image, frame: float, view: str) -> Image:
        """The bounding box is B's; outside of its own A is black."""
        above = self._render(node._inputs[1], frame, view)
        channels = dict(below.channels)
        both = below.window.intersection(above.window)
        for i in range(4):
            source, target = (node[f"{way}{i}"].value() for way in ("from", "to"))
            if source != "none":
                layer = target.partition(".")[0]
                assert layer == "rgba" or target in self.layers[layer]
                laid = np.zeros_like(channels["R"])
                held = above.channels[SHORT.get(source, source)]
                if not both.empty:
                    laid[both.slices(below.window)] = held[both.slices(above.window)]
                channels[SHORT.get(target, target)] = laid
        return replace(below, channels=channels)

    def _expression(self, node: FakeNode, below: Image, frame: float, view: str) -> Image:
        short = dict(zip("rgba", "RGBA", strict=True))
        made = dict(below.channels)
        for i, channel in enumerate("RGBA"):
            text = node[f"expr{i}"].value()
            if text:
                made[channel] = evaluate(text, lambda name: below.channels[short.get(name, name)])
        return replace(below, channels=made)

    def _remove(self, node: FakeNode, below: Image, frame: float, view: str) -> Image:
        assert node["operation"].value() == "remove"
        layer = node["channels"].value() + "."
        left = {n: each for n, each in below.channels.items() if not n.startswith(layer)}
        return replace(below, channels=left)

    def _text2(self, node: FakeNode, below: Image, frame: float, view: str) -> Image:
        red = below.channels["R"].copy()
        red[:4, :4] = 1.0
        return replace(below, channels={**below.channels, "R": red}, slated=True)

    def _roto(self, node: FakeNode, below: Image, frame: float, view: str) -> Image:
        y, x = np.mgrid[: below.window.height, : below.window.width]
        drawn = np.clip(1.2 - np.hypot(x - 60.0, y - 45.0) / 30.0, 0.0, 1.0)
        return replace(below, channels={**below.channels, "A": drawn.astype(np.float32)})

    def _write(self, node: FakeNode, frame: int, view: str) -> None:
        made = self._render(node._inputs.get(0), float(frame), view)
        proxy = bool(self._root["proxy"].value())
        text = node["proxy" if proxy else "file"].value()
        if not text:
            raise RuntimeError(f"{node.fullName()}: no file name")
        path = self._file(text, frame, view)
        asked = node["channels"].value()
        names = {"all": list(made.channels), "alpha": ["A"], "rgb": list("RGB")}[asked]
        kind = np.float16 if node["datatype"].value().startswith("16") else np.float32
        channels = {name: made.channels[name].astype(kind) for name in names}
        assert node["compression"].value() in ("none", "Zip (1 scanline)")
        compression = "none" if node["compression"].value() == "none" else "zips"
        extra = dict(made.metadata) if node["metadata"].value() == "all metadata" else {}
        plate = Plate(
            channels, made.window, made.display, pixel_aspect=made.aspect,
            rgb=("A", "A", "A") if asked == "alpha" else ("R", "G", "B"), compression=compression,
            metadata=extra,
        )  # fmt: skip
        write_plate(plate, path)


def _floats(pixels: np.ndarray) -> np.ndarray:
    if pixels.dtype != np.float16:
        return np.asarray(pixels, np.float32)
    nothing: Any = 0.0
    return np.asarray(cv2.add(pixels, nothing, dtype=cv2.CV_32F))


def _ringed(image: Image) -> Image:
    """End a picture that is smaller than its format in a black ring, as Nuke's reader does."""
    around = image.window.grown(1).intersection(image.display)
    if not image.display.contains(image.window) or around == image.window:
        return image
    channels = {}
    for name, each in image.channels.items():
        channels[name] = np.zeros((around.height, around.width), np.float32)
        channels[name][image.window.slices(around)] = each
    return replace(image, channels=channels, window=around)


def _smaller(image: Image) -> Image:
    """The proxy of a picture, as Nuke makes one where there is no file of it."""
    x, y = image.window.x0 % PROXY, image.window.y0 % PROXY
    channels = {
        name: np.ascontiguousarray(each[y::PROXY, x::PROXY])
        for name, each in image.channels.items()
    }
    height, width = next(iter(channels.values())).shape
    left, top = -(-image.window.x0 // PROXY), -(-image.window.y0 // PROXY)
    display = Window(0, 0, image.display.width // PROXY, image.display.height // PROXY)
    return replace(
        image, channels=channels, window=Window(left, top, left + width, top + height),
        display=display,
    )  # fmt: skip


@contextmanager
def installed(nuke: FakeNuke) -> Any:
    """Have a double be `nuke`, with nothing left of another one."""
    from semblance_nuke import callbacks, frames, updating

    before = sys.modules.get("nuke")
    sys.modules["nuke"] = nuke  # type: ignore[assignment]
    nuke.paths += [(ROOT / each).as_posix() for each in ("gizmos", "gizmos/stand_in")]
    frames.forget()
    callbacks._ends.clear()
    callbacks._queued.clear()
    try:
        yield nuke
    finally:
        updating._at_once.close()
        updating._crew.worker.close()
        for timer in updating._calming.values():
            timer.cancel()
        updating._calming.clear()
        updating._ranging.clear()
        if before is None:
            del sys.modules["nuke"]
        else:
            sys.modules["nuke"] = before
