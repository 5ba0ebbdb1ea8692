"""What handles stand for: descriptors, instances, clips, parameters, images."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from .pixels import Image
from .properties import PropertySet
from .standard import PARAM, PARAM_INSTANCE_FIXED

if TYPE_CHECKING:
    from .host import Host

NUMBERS = {
    "OfxParamTypeInteger": ("i", 1),
    "OfxParamTypeBoolean": ("i", 1),
    "OfxParamTypeChoice": ("i", 1),
    "OfxParamTypeDouble": ("d", 1),
    "OfxParamTypeDouble2D": ("d", 2),
    "OfxParamTypeRGB": ("d", 3),
    "OfxParamTypeRGBA": ("d", 4),
    "OfxParamTypeString": ("s", 1),
}
"""Kind and number of the values of a parameter; groups, pages and buttons have none."""


class Owned:
    """A thing with a handle."""

    def __init__(self, host: Host) -> None:
        self.host = host
        self.token = host.tokens.give(self)

    def die(self) -> None:
        self.host.tokens.kill(self.token)


class Properties(Owned):
    """A property set with a handle of its own."""

    def __init__(self, host: Host, values: PropertySet) -> None:
        super().__init__(host)
        self.set = values


class ParamDescriptor(Owned):
    def __init__(self, host: Host, type_: str, name: str) -> None:
        super().__init__(host)
        self.type, self.name = type_, name
        values: dict[str, Any] = {
            "OfxPropType": "OfxTypeParameter",
            "OfxPropName": name,
            "OfxParamPropType": type_,
            "OfxPropLabel": name,
            "OfxParamPropScriptName": name,
            "OfxParamPropEnabled": 1,
            "OfxParamPropAnimates": 1,
            "OfxParamPropPersistant": 1,
            "OfxParamPropEvaluateOnChange": 1,
            "OfxParamPropCanUndo": 1,
        }
        if "OfxParamPropDisplayMin" in PARAM[type_]:
            kind, count = NUMBERS[type_]
            lowest, highest = (-1e300, 1e300) if kind == "d" else (-(2**31), 2**31 - 1)
            for end, value in (("Min", lowest), ("Max", highest)):
                values[f"OfxParamProp{end}"] = [value] * count
                values[f"OfxParamPropDisplay{end}"] = [value] * count
        if type_ == "OfxParamTypeString":
            values["OfxParamPropStringMode"] = "OfxParamStringIsSingleLine"
        self.props = Properties(host, host.property_set(f"{type_} {name}", PARAM[type_], values))


class ParamSet(Owned):
    def __init__(self, host: Host, props: Properties, *, describing: bool) -> None:
        super().__init__(host)
        self.props, self.describing = props, describing
        self.params: dict[str, Any] = {}


class ClipDescriptor(Owned):
    def __init__(self, host: Host, name: str, props: Properties) -> None:
        super().__init__(host)
        self.name, self.props = name, props


class Descriptor(Owned):
    """An effect that is being described, as such or in a context."""

    def __init__(self, host: Host, props: Properties, params: ParamSet, context: str) -> None:
        super().__init__(host)
        self.props, self.params, self.context = props, params, context
        self.clips: dict[str, ClipDescriptor] = {}

    def to_plain(self) -> dict[str, Any]:
        """Return all that the plug-in wrote, in the order in which it did."""
        return {
            "effect": self.props.set.written,
            "clips": {name: clip.props.set.written for name, clip in self.clips.items()},
            "params": {
                name: {"type": param.type, **param.props.set.written}
                for name, param in self.params.params.items()
            },
        }

    def die_all(self) -> None:
        for clip in self.clips.values():
            clip.props.die()
            clip.die()
        for param in self.params.params.values():
            param.props.die()
            param.die()
        self.params.props.die()
        self.params.die()
        self.props.die()
        self.die()


class Param(Owned):
    """A parameter of an instance: a value, or a curve over time."""

    def __init__(self, host: Host, described: ParamDescriptor) -> None:
        super().__init__(host)
        self.type, self.name = described.type, described.name
        values = {name: list(value) for name, value in described.props.set.values.items()}
        self.props = Properties(
            host,
            host.property_set(
                f"{self.type} {self.name}",
                PARAM[self.type],
                values,
                fixed=PARAM_INSTANCE_FIXED,
            ),
        )
        self.value: list[Any] = list(values.get("OfxParamPropDefault", []))
        self.curve: Callable[[float], Any] | None = None

    def at(self, time: float) -> list[Any]:
        if self.curve is None:
            return self.value
        value = self.curve(time)
        return list(value) if isinstance(value, (tuple, list)) else [value]


@dataclass(frozen=True)
class Region:
    """Canonical coordinates, y up."""

    x1: float
    y1: float
    x2: float
    y2: float


Feed = Callable[[float], Image | None]


class Clip(Owned):
    """An input, or the output, of an instance."""

    def __init__(self, host: Host, name: str, props: Properties, *, optional: bool) -> None:
        super().__init__(host)
        self.name, self.props, self.optional = name, props, optional
        self.feed: Feed | None = None
        self.region: Region | None = None


class HeldImage(Owned):
    """One image that the plug-in holds, until it releases it."""

    def __init__(self, host: Host, effect: Effect, clip: Clip, image: Image, props: PropertySet):
        super().__init__(host)
        self.effect, self.clip, self.image, self.set = effect, clip, image, props


@dataclass
class Memory:
    """A block of the memory suite or of image memory."""

    buffer: Any
    locked: int = 0


@dataclass
class Mutex:
    lock: Any = field(default_factory=threading.RLock)


class Effect(Owned):
    """The host's side of an instance."""

    def __init__(self, host: Host, props: Properties, params: ParamSet, clips: dict[str, Clip]):
        super().__init__(host)
        self.props, self.params, self.clips = props, params, clips
        self.held: set[HeldImage] = set()
        self.output: Image | None = None
        self.persistent: tuple[str, str, str] | None = None
        self.messages: list[tuple[str, str, str]] = []
        self.progress: list[str | float] = []
        self.progress_answer = 0
        self.progressing = False
        self.scale = (1.0, 1.0)
        self.time = 1.0
        self.abort: Callable[[int], bool] = lambda poll: False
        self.polls = 0
        self.turn = threading.Lock()

    def die_all(self) -> None:
        for clip in self.clips.values():
            clip.props.die()
            clip.die()
        for param in self.params.params.values():
            param.props.die()
            param.die()
        self.params.props.die()
        self.params.die()
        self.props.die()
        self.die()
