"""A host that loads a plug-in's binary, drives it, and forgives nothing."""

from __future__ import annotations

import _ctypes
import ctypes
import json
import math
import time as clock
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from . import standard
from .abi import FETCH_SUITE, OfxHost, OfxPlugin, Status
from .faces import NATRON, Face
from .objects import (
    NUMBERS,
    Clip,
    Descriptor,
    Effect,
    Feed,
    HeldImage,
    Param,
    ParamSet,
    Properties,
    Region,
)
from .pixels import PLAIN, Bounds, Image, Layout
from .properties import PropertySet
from .record import Action, Record, Tokens
from .suites import Suites

GENERAL = "OfxImageEffectContextGeneral"
FILTER = "OfxImageEffectContextFilter"
Scale = tuple[float, float]


class Host:
    """One host with one face; it holds every violation of what it drives."""

    def __init__(self, face: Face = NATRON) -> None:
        self.face = face
        self.record = Record()
        self.tokens = Tokens(self.record)
        self.blocks: dict[int, Any] = {}
        self.may_fetch = self.loaded = False
        self.suites = Suites(self)
        self._outgoing: list[PropertySet] = []
        values = {
            "OfxPropType": "OfxTypeImageEffectHost",
            "OfxPropName": face.name,
            "OfxPropLabel": face.label,
            "OfxPropVersion": face.version,
            "OfxPropVersionLabel": ".".join(map(str, face.version)),
            "OfxPropAPIVersion": (1, 4),
            "OfxImageEffectPropSupportsMultiResolution": int(face.multiresolution),
            "OfxImageEffectPropSupportsTiles": int(face.tiles),
            "OfxImageEffectPropSupportedComponents": (
                "OfxImageComponentRGBA",
                "OfxImageComponentAlpha",
            ),
            "OfxImageEffectPropSupportedContexts": face.contexts,
            "OfxImageEffectPropSupportedPixelDepths": face.depths,
            "OfxParamHostPropMaxParameters": -1,
            "OfxImageEffectHostPropNativeOrigin": "OfxImageEffectHostPropNativeOriginBottomLeft",
        }
        self.props = Properties(self, self.property_set("host", standard.HOST, values))
        self._fetch = FETCH_SUITE(self._fetch_suite)
        self.struct = OfxHost(self.props.token, self._fetch)

    def property_set(
        self, what: str, rules: Mapping[str, Any], values: Mapping[str, Any], **more: Any
    ) -> PropertySet:
        return PropertySet(what, self.record, rules, values, absent=self.face.absent, **more)

    def outgoing(self) -> list[PropertySet]:
        """Return the argument sets that the actions under way may write."""
        return self._outgoing

    def _fetch_suite(self, token: int, name: bytes, version: int) -> int | None:
        if token != self.props.token:
            self.record.violation("fetchSuite with a handle that is not the host's")
        if not self.may_fetch:
            self.record.violation(f"fetchSuite of {name!r} outside the load action")
            return None
        return self.suites.fetch(name.decode(), version)

    def check(self) -> None:
        """Raise on any violation since the last check."""
        if self.blocks and not self.loaded:
            self.record.violation(f"{len(self.blocks)} blocks of memory were not freed")
        found = list(dict.fromkeys(self.record.violations))
        self.record.violations.clear()
        if found:
            raise AssertionError("\n".join(found[:20]))

    # ---- what the suites ask for -------------------------------------------------------------

    def region(self, clip: Clip, time: float) -> Region | None:
        if clip.region is not None:
            return clip.region
        image = clip.feed(time) if clip.feed else None
        if image is None:
            return None
        action = self.record.action
        scale = action.instance.scale if action and action.instance else (1.0, 1.0)
        return canonical(image.bounds, scale, image.pixel_aspect)

    def give_image(self, effect: Effect, clip: Clip, time: float, address: int) -> int:
        cell = ctypes.c_void_p.from_address(address)
        output = clip.name == "Output"
        image = effect.output if output else clip.feed(time) if clip.feed else None
        if image is None and clip.feed is None and not output:
            if self.face.unconnected == "null":
                cell.value = None
                return Status.OK
            if self.face.unconnected == "black":
                bounds = effect.output.bounds if effect.output else (0, 0, 1, 1)
                black = np.zeros((bounds[3] - bounds[1], bounds[2] - bounds[0], 1), np.float32)
                image = Image(bounds, "Alpha", black)
        if image is None:
            cell.value = 0x5EB1_DEAD_0000_0002
            return Status.FAILED
        region = image.bounds
        if self.face.wrong_region:
            region = (-7, -7, -6, -6)
        values = {
            "OfxPropType": "OfxTypeImage",
            "OfxImageEffectPropPixelDepth": "OfxBitDepthFloat",
            "OfxImageEffectPropComponents": f"OfxImageComponent{image.components}",
            "OfxImageEffectPropPreMultiplication": _premultiplication(image),
            "OfxImageEffectPropRenderScale": effect.scale,
            "OfxImagePropPixelAspectRatio": image.pixel_aspect,
            "OfxImagePropData": image.address,
            "OfxImagePropBounds": image.bounds,
            "OfxImagePropRegionOfDefinition": region,
            "OfxImagePropRowBytes": image.row_bytes,
            "OfxImagePropField": "OfxFieldNone",
            "OfxImagePropUniqueIdentifier": f"{clip.name}-{time}",
        }
        held = HeldImage(
            self, effect, clip, image, self.property_set("image", standard.IMAGE, values)
        )
        effect.held.add(held)
        if self.record.action:
            self.record.action.held.append(held)
        image.hold()
        cell.value = held.token
        return Status.OK


def canonical(bounds: Bounds, scale: Scale, pixel_aspect: float) -> Region:
    """Return pixels at a render scale as canonical coordinates."""
    return Region(
        bounds[0] * pixel_aspect / scale[0],
        bounds[1] / scale[1],
        bounds[2] * pixel_aspect / scale[0],
        bounds[3] / scale[1],
    )


def pixels(region: Region, scale: Scale, pixel_aspect: float) -> Bounds:
    """Return the pixels at a render scale that a region touches."""
    return (
        math.floor(region.x1 * scale[0] / pixel_aspect + 1e-6),
        math.floor(region.y1 * scale[1] + 1e-6),
        math.ceil(region.x2 * scale[0] / pixel_aspect - 1e-6),
        math.ceil(region.y2 * scale[1] - 1e-6),
    )


def _premultiplication(image: Image) -> str:
    if image.components == "RGB":
        return "OfxImageOpaque"
    return "OfxImageAlphaPremultiplied" if image.premultiplied else "OfxImageAlphaUnPremultiplied"


class Plugin:
    """A plug-in's binary in a host.

    Parameters
    ----------
    host : Host
    path : Path
        The binary, or its `.ofx.bundle`.
    """

    def __init__(self, host: Host, path: Path) -> None:
        self.host = host
        if path.is_dir():
            path = path / "Contents" / "Linux-x86-64" / path.name.removesuffix(".bundle")
        self.library = ctypes.CDLL(str(path))
        self.library.OfxGetPlugin.restype = ctypes.POINTER(OfxPlugin)
        self.count = self.library.OfxGetNumberOfPlugins()
        self.plugin = self.library.OfxGetPlugin(0).contents
        self.descriptors: dict[str, Descriptor] = {}
        self.instances: list[Instance] = []
        self.plugin.setHost(ctypes.byref(host.struct))

    def close(self) -> None:
        """Unload the binary from the process."""
        _ctypes.dlclose(self.library._handle)

    def action(
        self,
        name: str,
        owner: Descriptor | Effect | None = None,
        *,
        inside: Mapping[str, Any] | None = None,
        out: Mapping[str, Any] | None = None,
        more_out: Mapping[str, standard.Rule] | None = None,
        time: float | None = None,
    ) -> tuple[Status, PropertySet | None, Action]:
        """Call the plug-in's entry; the handles of the arguments die with the call."""
        host = self.host
        rules_in, rules_out = standard.ACTIONS.get(name, (None, None))
        taken = given = None
        if rules_in is not None:
            taken = Properties(host, host.property_set(f"{name} in", rules_in, inside or {}))
        if rules_out is not None:
            rules = {**rules_out, **(more_out or {})}
            given = Properties(host, host.property_set(f"{name} out", rules, out or {}))
            host.outgoing().append(given.set)
        instance = owner if isinstance(owner, Effect) else None
        with host.record.doing(Action(name, instance, time)) as action:
            status = self.plugin.mainEntry(
                name.encode(),
                owner.token if owner else None,
                taken.token if taken else None,
                given.token if given else None,
            )
            kept = [held for held in action.held if held in held.effect.held]
            if kept:
                names = sorted(held.clip.name for held in kept)
                host.record.violation(f"images were not released: {', '.join(names)}")
            for held in kept:
                held.effect.held.discard(held)
                held.image.let_go()
                held.die()
            for held in action.held:
                held.image.unseal()
            if (
                instance is not None
                and instance.progressing
                and name == "OfxImageEffectActionRender"
            ):
                host.record.violation("progress was not ended")
        for each in (taken, given):
            if each is not None:
                each.die()
        if given is not None:
            host.outgoing().remove(given.set)
        return Status(status), given.set if given else None, action

    def load(self) -> Status:
        self.host.may_fetch = self.host.loaded = True
        try:
            return self.action("OfxActionLoad")[0]
        finally:
            self.host.may_fetch = False

    def unload(self) -> Status:
        for descriptor in self.descriptors.values():
            descriptor.die_all()
        self.descriptors.clear()
        self.host.loaded = False
        return self.action("OfxActionUnload")[0]

    def _descriptor(self, context: str) -> Descriptor:
        host = self.host
        described = self.descriptors.get("")
        values = dict(described.props.set.values) if described else {}
        values |= {"OfxPropType": "OfxTypeImageEffect", "OfxPluginPropFilePath": "/bundle"}
        props = Properties(
            host, host.property_set("effect descriptor", standard.EFFECT_DESCRIPTOR, values)
        )
        set_props = Properties(
            host,
            host.property_set(
                "parameter set", standard.PARAM_SET, {"OfxPropType": "OfxTypeParamSet"}
            ),
        )
        params = ParamSet(host, set_props, describing=bool(context))
        return Descriptor(host, props, params, context)

    def describe(self) -> Descriptor:
        """Describe the effect as such, and in each context that it names and the host has."""
        descriptor = self.descriptors[""] = self._descriptor("")
        status = self.action("OfxActionDescribe", descriptor)[0]
        if status not in (Status.OK, Status.REPLY_DEFAULT):
            self.host.record.violation(f"describe answered {status!r}")
        wrong = descriptor_faults(descriptor.props.set, self.host.face)
        for context in descriptor.props.set.values["OfxImageEffectPropSupportedContexts"]:
            if context in self.host.face.contexts:
                each = self.descriptors[context] = self._descriptor(context)
                status = self.action(
                    "OfxImageEffectActionDescribeInContext",
                    each,
                    inside={"OfxImageEffectPropContext": context},
                )[0]
                if status not in (Status.OK, Status.REPLY_DEFAULT):
                    wrong.append(f"describeInContext answered {status!r}")
                wrong += context_faults(each)
        self.host.record.violations += wrong
        return descriptor

    def described_bytes(self) -> bytes:
        """Return all that was described, as bytes that are equal for equal descriptions."""
        plain = {context: each.to_plain() for context, each in self.descriptors.items()}
        return json.dumps(plain, default=str).encode()

    def create(self, context: str | None = None) -> Instance:
        context = context or next(each for each in self.descriptors if each)
        return Instance(self, self.descriptors[context])


def descriptor_faults(props: PropertySet, face: Face) -> list[str]:
    """Say what of an effect's own description some host would stumble over."""
    faults = []
    label = props["OfxPropLabel"]
    if not label or not label.replace(" ", "").isalnum():
        faults.append(f"the effect's label {label!r} is more than letters and digits")
    if not set(props.values["OfxImageEffectPropSupportedContexts"]) & set(face.contexts):
        faults.append("no context that this host has")
    if not set(props.values["OfxImageEffectPropSupportedPixelDepths"]) & set(face.depths):
        faults.append("no pixel depth that this host has")
    return faults


def context_faults(descriptor: Descriptor) -> list[str]:
    """Say what of a description in a context some host would stumble over."""
    faults = []
    wanted = ("Source", "Output")
    faults += [f"clip {name} is missing" for name in wanted if name not in descriptor.clips]
    for name, clip in descriptor.clips.items():
        if not clip.props.set.values["OfxImageEffectPropSupportedComponents"]:
            faults.append(f"clip {name} supports no components")
    params = descriptor.params.params
    for name, param in params.items():
        props = param.props.set
        parent = props.get("OfxParamPropParent")
        if parent and (parent not in params or params[parent].type != "OfxParamTypeGroup"):
            faults.append(f"{name} lies in {parent}, which is no group")
        if " " in props["OfxParamPropScriptName"]:
            faults.append(f"{name} has a script name with a space")
        if "OfxParamPropDisplayMin" in props.rules:
            missing = [
                end
                for end in ("Min", "Max", "DisplayMin", "DisplayMax")
                if f"OfxParamProp{end}" not in props.written
            ]
            if missing:
                faults.append(f"{name} has no {', '.join(missing)}: Resolve would clamp it")
            for default, low, high in zip(
                props.values["OfxParamPropDefault"],
                props.values["OfxParamPropMin"],
                props.values["OfxParamPropMax"],
                strict=True,
            ):
                if not low <= default <= high:
                    faults.append(f"{name} has default {default}, outside {low}..{high}")
        if param.type == "OfxParamTypeChoice":
            options = props.values["OfxParamPropChoiceOption"]
            if not 0 <= props["OfxParamPropDefault"] < len(options):
                faults.append(f"{name} has a default outside its {len(options)} options")
        if param.type == "OfxParamTypePage":
            for child in props.values["OfxParamPropPageChild"]:
                if child not in params:
                    faults.append(f"page {name} shows {child}, which is not defined")
    return faults


@dataclass(frozen=True)
class Rendered:
    """What came of one render action.

    Parameters
    ----------
    status : Status
    image : Image
        The output; sentinels where nothing was written.
    window : (int, int, int, int)
    polls : int
        How often `abort` was asked.
    message : str
        The persistent error that stands after it; empty when none does.
    seconds : float
        Of the action alone.
    calls : mapping of str to int
        Suite functions called.
    """

    status: Status
    image: Image
    window: Bounds
    polls: int
    message: str
    seconds: float
    calls: Mapping[str, int]


class Instance:
    """An instance of the effect, as a user and a renderer handle it."""

    def __init__(self, plugin: Plugin, descriptor: Descriptor) -> None:
        host = plugin.host
        self.plugin, self.host = plugin, host
        self.safety = descriptor.props.set["OfxImageEffectPluginRenderThreadSafety"]
        clips = {name: self._clip(each) for name, each in descriptor.clips.items()}
        params = ParamSet(
            host,
            Properties(host, host.property_set("parameter set", standard.PARAM_SET, {})),
            describing=False,
        )
        params.params = {name: Param(host, each) for name, each in descriptor.params.params.items()}
        values = {
            "OfxPropType": "OfxTypeImageEffectInstance",
            "OfxPropLabel": "Semblance1",
            "OfxImageEffectPropContext": descriptor.context,
            "OfxImageEffectPropPixelAspectRatio": 1.0,
            "OfxImageEffectInstancePropEffectDuration": 100.0,
            "OfxImageEffectPropFrameRate": 24.0,
        }
        props = Properties(
            host, host.property_set("effect instance", standard.EFFECT_INSTANCE, values)
        )
        self.effect = Effect(host, props, params, clips)
        self.created = plugin.action("OfxActionCreateInstance", self.effect)[0]
        self.set_project((0.0, 0.0), (64.0, 48.0))

    def _clip(self, described: Any) -> Clip:
        set_ = described.props.set
        values = {
            **set_.values,
            "OfxPropType": "OfxTypeClip",
            "OfxImageEffectPropFrameRate": 24.0,
            "OfxImageClipPropFieldOrder": "OfxFieldNone",
        }
        props = Properties(
            self.host,
            self.host.property_set(f"clip {described.name}", standard.CLIP_INSTANCE, values),
        )
        clip = Clip(
            self.host, described.name, props, optional=bool(set_["OfxImageClipPropOptional"])
        )
        self._tell(clip, None)
        return clip

    def _tell(self, clip: Clip, image: Image | None) -> None:
        """Put into a clip's properties what is at it."""
        depth = "OfxBitDepthFloat" if image else "OfxBitDepthNone"
        components = f"OfxImageComponent{image.components if image else 'None'}"
        for name, value in {
            "OfxImageEffectPropPixelDepth": depth,
            "OfxImageClipPropUnmappedPixelDepth": depth,
            "OfxImageEffectPropComponents": components,
            "OfxImageClipPropUnmappedComponents": components,
            "OfxImageEffectPropPreMultiplication": (
                _premultiplication(image) if image else "OfxImageOpaque"
            ),
            "OfxImagePropPixelAspectRatio": image.pixel_aspect if image else 1.0,
            "OfxImageEffectPropFrameRange": (1.0, 100.0),
            "OfxImageClipPropConnected": int(bool(image) or self.host.face.claims_connected),
        }.items():
            clip.props.set.put(name, value)

    # ---- the user ----------------------------------------------------------------------------

    def set_project(self, offset: tuple[float, float], size: tuple[float, float]) -> None:
        """Set the project's format, in canonical coordinates."""
        props = self.effect.props.set
        props.put("OfxImageEffectPropProjectOffset", offset)
        props.put("OfxImageEffectPropProjectSize", size)
        props.put("OfxImageEffectPropProjectExtent", (offset[0] + size[0], offset[1] + size[1]))

    def connect(self, name: str, feed: Image | Feed | None, region: Region | None = None) -> None:
        """Connect a clip; `region` is its region of definition where that is not its image's."""
        clip = self.effect.clips[name]
        clip.feed = (lambda time: feed) if isinstance(feed, Image) else feed
        clip.region = region
        image = clip.feed(self.effect.time) if clip.feed else None
        self._tell(clip, image)
        if name == "Source" and image:
            self._tell(self.effect.clips["Output"], image)
        self.changed(name, type_="OfxTypeClip")

    def put(self, **values: Any) -> None:
        """Set parameters as a user does; a callable is a curve over time."""
        for name, value in values.items():
            param = self.effect.params.params[name]
            if callable(value):
                param.curve = value
                param.props.set.put("OfxParamPropIsAnimating", 1)
            else:
                param.curve = None
                param.value = list(value) if isinstance(value, (tuple, list)) else [value]
                if NUMBERS[param.type][0] == "i":
                    param.value = [int(each) for each in param.value]
                param.props.set.put("OfxParamPropIsAnimating", 0)
            self.changed(name)

    def changed(
        self, name: str, type_: str = "OfxTypeParameter", reason: str = "OfxChangeUserEdited"
    ) -> Status:
        act = self.plugin.action
        act("OfxActionBeginInstanceChanged", self.effect, inside={"OfxPropChangeReason": reason})
        status, _, _ = act(
            "OfxActionInstanceChanged",
            self.effect,
            inside={
                "OfxPropType": type_,
                "OfxPropName": name,
                "OfxPropChangeReason": reason,
                "OfxPropTime": self.effect.time,
                "OfxImageEffectPropRenderScale": (1.0, 1.0),
            },
            time=self.effect.time,
        )
        act("OfxActionEndInstanceChanged", self.effect, inside={"OfxPropChangeReason": reason})
        return status

    def destroy(self) -> Status:
        status = self.plugin.action("OfxActionDestroyInstance", self.effect)[0]
        self.effect.die_all()
        return status

    @property
    def message(self) -> str:
        """The persistent error that stands; empty when none does."""
        return self._standing("OfxMessageError")

    @property
    def note(self) -> str:
        """What stands and is no error; empty when nothing does."""
        return self._standing("OfxMessageWarning") or self._standing("OfxMessageMessage")

    def _standing(self, kind: str) -> str:
        held = self.effect.persistent
        return held[2] if held and held[0] == kind else ""

    # ---- the renderer ------------------------------------------------------------------------

    def preferences(self) -> PropertySet:
        rules, out = {}, {}
        for name, clip in self.effect.clips.items():
            rules[f"OfxImageClipPropComponents_{name}"] = standard.Rule("s", 1, True)
            rules[f"OfxImageClipPropDepth_{name}"] = standard.Rule("s", 1, True)
            rules[f"OfxImageClipPropPAR_{name}"] = standard.Rule("d", 1, True)
            out[f"OfxImageClipPropComponents_{name}"] = clip.props.set[
                "OfxImageEffectPropComponents"
            ]
            out[f"OfxImageClipPropDepth_{name}"] = "OfxBitDepthFloat"
            out[f"OfxImageClipPropPAR_{name}"] = clip.props.set["OfxImagePropPixelAspectRatio"]
        source = self.effect.clips["Source"].props.set
        out["OfxImageEffectPropPreMultiplication"] = source["OfxImageEffectPropPreMultiplication"]
        _, given, _ = self.plugin.action(
            "OfxImageEffectActionGetClipPreferences", self.effect, out=out, more_out=rules
        )
        assert given is not None
        return given

    def region_of_definition(self, time: float, scale: Scale = (1.0, 1.0)) -> Region:
        self.effect.scale = scale
        source = self.host.region(self.effect.clips["Source"], time)
        image = self._source(time)
        if image is not None and self.effect.clips["Source"].region is None:
            source = canonical(image.bounds, scale, image.pixel_aspect)
        default = (source.x1, source.y1, source.x2, source.y2) if source else (0, 0, 0, 0)
        status, given, _ = self.plugin.action(
            "OfxImageEffectActionGetRegionOfDefinition",
            self.effect,
            inside={"OfxPropTime": time, "OfxImageEffectPropRenderScale": scale},
            out={"OfxImageEffectPropRegionOfDefinition": default},
            time=time,
        )
        if status not in (Status.OK, Status.REPLY_DEFAULT) or given is None:
            self.host.record.violation(f"getRegionOfDefinition answered {status!r}")
            return Region(*default)
        return Region(*given["OfxImageEffectPropRegionOfDefinition"])

    def regions_of_interest(self, time: float, region: Region, scale: Scale) -> dict[str, Region]:
        wanted = (region.x1, region.y1, region.x2, region.y2)
        names = [name for name in self.effect.clips if name != "Output"]
        _, given, _ = self.plugin.action(
            "OfxImageEffectActionGetRegionsOfInterest",
            self.effect,
            inside={
                "OfxPropTime": time,
                "OfxImageEffectPropRenderScale": scale,
                "OfxImageEffectPropRegionOfInterest": wanted,
            },
            out={f"OfxImageClipPropRoI_{name}": wanted for name in names},
            more_out={f"OfxImageClipPropRoI_{name}": standard.Rule("d", 4, True) for name in names},
            time=time,
        )
        assert given is not None
        return {name: Region(*given[f"OfxImageClipPropRoI_{name}"]) for name in names}

    def is_identity(self, time: float, window: Bounds, scale: Scale = (1.0, 1.0)) -> str:
        """Return the clip that stands for the effect; empty when the effect must be rendered."""
        status, given, _ = self.plugin.action(
            "OfxImageEffectActionIsIdentity",
            self.effect,
            inside={
                "OfxPropTime": time,
                "OfxImageEffectPropRenderScale": scale,
                "OfxImageEffectPropFieldToRender": "OfxFieldNone",
                "OfxImageEffectPropRenderWindow": window,
            },
            out={"OfxPropName": "", "OfxPropTime": time},
            time=time,
        )
        if status == Status.REPLY_DEFAULT or given is None:
            return ""
        if status != Status.OK:
            self.host.record.violation(f"isIdentity answered {status!r}")
            return ""
        if given["OfxPropTime"] != time or given["OfxPropName"] not in self.effect.clips:
            self.host.record.violation(f"isIdentity named {given['OfxPropName']!r}")
        return str(given["OfxPropName"])

    @contextmanager
    def sequence(self, first: float, last: float, scale: Scale = (1.0, 1.0)) -> Iterator[None]:
        inside = {
            "OfxImageEffectPropFrameRange": (first, last),
            "OfxImageEffectPropFrameStep": 1.0,
            "OfxImageEffectPropRenderScale": scale,
        }
        self.plugin.action("OfxImageEffectActionBeginSequenceRender", self.effect, inside=inside)
        try:
            yield
        finally:
            self.plugin.action("OfxImageEffectActionEndSequenceRender", self.effect, inside=inside)

    def _source(self, time: float) -> Image | None:
        feed = self.effect.clips["Source"].feed
        return feed(time) if feed else None

    def render(
        self,
        time: float = 1.0,
        window: Bounds | None = None,
        *,
        scale: Scale = (1.0, 1.0),
        bounds: Bounds | None = None,
        layout: Layout = PLAIN,
        output: Image | None = None,
        field: str = "OfxFieldNone",
        abort: Callable[[int], bool] = lambda poll: False,
        check: bool = True,
    ) -> Rendered:
        """Render one frame: the action alone, after what a host asks before it.

        Parameters
        ----------
        time : float
        window : (int, int, int, int), optional
            Pixels; all of the output without it.
        scale : (float, float)
        bounds : (int, int, int, int), optional
            Of the output; without it, the source's.
        layout : Layout
        output : Image, optional
            Rendered into, instead of a new one.
        field : str
        abort : callable
            Gets the number of the poll, from 1.
        check : bool
            Whether every word of the output is looked at; only a bench leaves it out.
        """
        effect, source = self.effect, self._source(time)
        if bounds is None:
            bounds = output.bounds if output else source.bounds if source else (0, 0, 8, 8)
        window = window or bounds
        if output is None:
            output = Image(
                bounds,
                source.components if source else "RGBA",
                layout=layout,
                premultiplied=source.premultiplied if source else True,
                pixel_aspect=source.pixel_aspect if source else 1.0,
                writable=True,
            )
        elif check:
            output.fill_sentinel()
        inside = {
            "OfxPropTime": time,
            "OfxImageEffectPropRenderScale": scale,
            "OfxImageEffectPropFieldToRender": field,
            "OfxImageEffectPropRenderWindow": window,
        }
        with effect.turn:  # instance-safe: one render of an instance at a time
            effect.scale, effect.output, effect.abort, effect.polls = scale, output, abort, 0
            start = clock.perf_counter()
            status, _, action = self.plugin.action(
                "OfxImageEffectActionRender", effect, inside=inside, time=time
            )
            seconds = clock.perf_counter() - start
            effect.output = None
            polls, message = effect.polls, self.message
        aborted = any(abort(poll) for poll in range(1, polls + 1)) if polls else False
        if check and status == Status.OK and not aborted:
            wrong = output.written_wrong(window)
            if wrong:
                self.host.record.violation(f"render: {wrong}")
        return Rendered(status, output, window, polls, message, seconds, action.calls)

    def frame(self, time: float = 1.0, **how: Any) -> Rendered | None:
        """Go the whole way of a host to a frame; None where the host would not render.

        That is: the frame is the source's own, or an error stands in a host that waits for the
        user to do something about it.
        """
        scale = how.get("scale", (1.0, 1.0))
        self.effect.time = time
        self.preferences()
        source = self._source(time)
        aspect = source.pixel_aspect if source else 1.0
        region = self.region_of_definition(time, scale)
        bounds = how.pop("bounds", None) or pixels(region, scale, aspect)
        self.regions_of_interest(time, region, scale)
        window = how.pop("window", None) or bounds
        if self.is_identity(time, window, scale):
            return None
        if self.host.face.blocks_on_error and self.message:
            return None
        with self.sequence(time, time, scale):
            return self.render(time, window, bounds=bounds, **how)
