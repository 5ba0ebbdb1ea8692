"""Every knob, declared once.

A stage of the frame path has one frozen dataclass; its fields are its knobs. The command line, the
OpenFX parameter table, the Nuke knobs, the Qt panel, the farm template and the reference page are
all made from `declared()`. A stage function receives its own dataclass and nothing else, and the
key of its cached result is `stage_key(upstream, dataclass)`: what a knob invalidates follows from
where it is declared.

Standard library only: any host's own Python may import this.
Names are a file format, because saved scripts hold them: they are only ever added.
"""

from __future__ import annotations

import difflib
import hashlib
import json
import sys
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field, fields
from functools import cache
from types import MappingProxyType
from typing import Any, Literal, Optional, Union, cast, get_args, get_origin, get_type_hints

from semblance.errors import KnobError

__all__ = [
    "BlendKnobs",
    "ColourKnobs",
    "InferKnobs",
    "Knob",
    "Knobs",
    "MatchKnobs",
    "MatteKnobs",
    "ModelKnobs",
    "TrackKnobs",
    "ViewKnobs",
    "declared",
    "digest",
    "stage_key",
]

Value = Union[bool, int, float, str]


@dataclass(frozen=True)
class Knob:
    """One declared knob, as every reader of the table sees it.

    Parameters
    ----------
    name : str
        Unique over all groups; a file format.
    group : str
        The group it is shown in, which is also the stage that it feeds.
    kind : {"float", "int", "bool", "choice", "text", "file"}
        What its values are.
    default : bool, int, float or str
        Its value until somebody moves it.
    label, help, unit : str
        For a person. `unit` is empty where a number is plain.
    range : (float, float) or None
        Hard limits of a number, both allowed.
    slider : (float, float) or None
        What a panel's slider spans, inside `range`.
    choices : tuple of str
        What a choice accepts.
    animates : bool
        Whether it may change from frame to frame.
    idle : bool, int, float, str or None
        The value at which the result is the plate, whatever the other knobs say; None where there
        is no such value. A text's is the empty one.
    inspects : bool
        Whether, off its default, it shows a look inside instead of the result: never the plate.
    """

    name: str
    group: str
    kind: Literal["float", "int", "bool", "choice", "text", "file"]
    default: Value
    label: str
    help: str
    unit: str = ""
    range: Optional[tuple[float, float]] = None
    slider: Optional[tuple[float, float]] = None
    choices: tuple[str, ...] = ()
    animates: bool = True
    idle: Optional[Value] = None
    inspects: bool = False

    def check(self, value: Any) -> Value:
        """Return `value` as this knob holds it, or say what it accepts.

        Raises
        ------
        KnobError
            The value has another type, is not finite, or lies outside the range or the choices.
        """
        if self.kind == "bool":
            if isinstance(value, bool):
                return value
            self._refuse(value, "true or false")
        if self.kind in ("float", "int"):
            if isinstance(value, bool) or not isinstance(value, (int, float)):
                self._refuse(value, "a number")
            if not -sys.float_info.max <= value <= sys.float_info.max:
                self._refuse(value, "a finite number")
            if self.kind == "int" and value != int(value):
                self._refuse(value, "a whole number")
            if self.range is not None and not self.range[0] <= value <= self.range[1]:
                low, high = self.range
                self._refuse(value, f"{low:g} to {high:g}{' ' + self.unit if self.unit else ''}")
            return int(value) if self.kind == "int" else float(value)
        if not isinstance(value, str):
            self._refuse(value, "text")
        if "\0" in value:
            self._refuse(value, "text without null characters")
        if self.kind == "choice" and value not in self.choices:
            near = difflib.get_close_matches(value, self.choices, 1)
            hint = f" (did you mean {near[0]!r}?)" if near else ""
            self._refuse(value, f"one of {', '.join(self.choices)}{hint}")
        return str(value)

    def _refuse(self, value: Any, accepted: str) -> None:
        raise KnobError(f"knob {self.name!r} is {value!r}, it accepts {accepted}", "")


def knob(
    default: Value,
    help: str,
    *,
    label: str = "",
    unit: str = "",
    range: Optional[tuple[float, float]] = None,
    slider: Optional[tuple[float, float]] = None,
    file: bool = False,
    animates: bool = True,
    idle: Optional[Value] = None,
    inspects: bool = False,
) -> Any:
    """Declare a knob as a dataclass field; name, type and choices come from the field itself."""
    described = {
        "help": help,
        "label": label,
        "unit": unit,
        "range": range,
        "slider": slider or range,
        "file": file,
        "animates": animates,
        "idle": idle,
        "inspects": inspects,
    }
    return field(default=default, metadata=described)


@cache
def _declarations(stage: type, group: str) -> tuple[Knob, ...]:
    """Return the knobs of a stage; what a class declares never changes."""
    return tuple(_declare(stage, group))


def _declare(stage: type, group: str) -> Iterator[Knob]:
    types = get_type_hints(stage)
    for item in fields(stage):
        described = dict(item.metadata)
        is_file = described.pop("file")
        choices: tuple[str, ...] = ()
        hint = types[item.name]
        if get_origin(hint) is Literal:
            kind, choices = "choice", get_args(hint)
        elif hint is str:
            kind = "file" if is_file else "text"
        else:
            kind = hint.__name__
        described["label"] = described["label"] or item.name
        yield Knob(
            name=item.name,
            group=group,
            kind=kind,  # type: ignore[arg-type]
            default=cast(Value, item.default),
            choices=choices,
            **described,
        )


class _Checked:
    """Refuses a value that its knob does not accept, however the dataclass was made."""

    def __post_init__(self) -> None:
        stage: type = type(self)
        for declaration in _declarations(stage, ""):
            value = declaration.check(getattr(self, declaration.name))
            object.__setattr__(self, declaration.name, value)


@dataclass(frozen=True)
class ModelKnobs(_Checked):
    """Which face, by which model, on which performer."""

    model: str = knob(
        "",
        "Likeness model (.onnx, .adapter.json) that draws the face.",
        file=True,
        animates=False,
        idle="",
    )
    likeness: str = knob(
        "", "Name of the likeness inside the model; empty takes its only one.", animates=False
    )
    face: int = knob(
        0,
        "Which tracked face of the plate is replaced, by its number.",
        range=(0, 99),
        slider=(0, 9),
        animates=False,
    )


@dataclass(frozen=True)
class ColourKnobs(_Checked):
    """How the plate's colour reaches the network."""

    input_space: str = knob(
        "auto",
        "Colour space of the plate, by its OCIO name; auto reads it from the file, "
        "else scene-linear Rec.709.",
        label="input space",
        animates=False,
    )
    auto_exposure: bool = knob(
        True,
        "Bring the face to the level the network knows, steady over the shot.",
        label="auto exposure",
        animates=False,
    )
    exposure: float = knob(
        0.0,
        "Exposure of the network's view, added to the automatic one; the plate keeps its own.",
        unit="stops",
        range=(-16.0, 16.0),
        slider=(-4.0, 4.0),
    )


@dataclass(frozen=True)
class TrackKnobs(_Checked):
    """Where the face is."""

    track_file: str = knob(
        "",
        "Track of the performer's face (JSON, CSV, .nk); empty tracks the plate on the way.",
        label="track file",
        file=True,
        animates=False,
    )
    smoothing: float = knob(
        1.0,
        "Zero-phase smoothing of the track, as the deviation of its filter; 0 keeps it as it is.",
        unit="frames",
        range=(0.0, 10.0),
        slider=(0.0, 3.0),
        animates=False,
    )


@dataclass(frozen=True)
class InferKnobs(_Checked):
    """Whose face it is."""

    identity_strength: float = knob(
        1.0,
        "Morph from the performer's own face (0) to the likeness (1), made in the network.",
        label="identity strength",
        range=(0.0, 1.0),
        idle=0.0,
    )
    looks: int = knob(
        9,
        "Looks that the network takes at a face, from slightly other crops, and averages: "
        "more is steadier and slower.",
        range=(1, 9),
        animates=False,
    )


@dataclass(frozen=True)
class MatteKnobs(_Checked):
    """Where the face is replaced."""

    mask_source: Literal["learned", "hull", "learned_hull", "roto"] = knob(
        "learned_hull",
        "Matte from the network, from the landmarks, from both, or from the roto input alone.",
        label="source",
        animates=False,
    )
    mask_brows: bool = knob(True, "Replace the brows.", label="brows")
    mask_eyes: bool = knob(True, "Replace the eyes.", label="eyes")
    mask_nose: bool = knob(True, "Replace the nose.", label="nose")
    mask_mouth: bool = knob(True, "Replace the mouth.", label="mouth")
    mask_cheeks: bool = knob(True, "Replace the cheeks.", label="cheeks")
    mask_jaw: bool = knob(True, "Replace the jaw and the chin.", label="jaw")
    mask_forehead: bool = knob(True, "Replace the forehead.", label="forehead")
    mask_grow: float = knob(
        0.0,
        "Grow the matte outward, or shrink it below 0.",
        label="grow",
        unit="% of face width",
        range=(-25.0, 25.0),
        slider=(-10.0, 10.0),
    )
    mask_feather: float = knob(
        8.0,
        "Soften the matte's edge.",
        label="feather",
        unit="% of face width",
        range=(0.0, 25.0),
        slider=(0.0, 20.0),
    )
    mask_gamma: float = knob(
        1.0,
        "Shape the matte's fall-off: above 1 lifts its edge, below 1 lowers it.",
        label="gamma",
        range=(0.1, 10.0),
        slider=(0.25, 4.0),
    )
    mask_occlusion: float = knob(
        0.5,
        "Hold out what passes in front of the face: hands, a microphone, hair.",
        label="occlusion",
        range=(0.0, 1.0),
    )
    roto_mode: Literal["multiply", "replace", "add"] = knob(
        "multiply",
        "How the roto input meets the matte: it holds out, stands instead of it, or adds to it.",
        label="roto mode",
        animates=False,
    )
    roto_file: str = knob(
        "",
        "Drawn shapes (JSON, from semblance view), laid over the roto input where there is one.",
        label="roto file",
        file=True,
        animates=False,
    )


@dataclass(frozen=True)
class MatchKnobs(_Checked):
    """How the new face takes the plate's light, colour, sharpness and grain."""

    light_match: float = knob(
        1.0,
        "Give the face the plate's light, from what the network missed of the performer.",
        label="light match",
        range=(0.0, 1.0),
    )
    colour_match: Literal["none", "mean", "linear", "histogram"] = knob(
        "none",
        "Bring the face's colour to the plate's: by mean and spread, by linear optimal transport, "
        "or by histogram.",
        label="colour match",
        animates=False,
    )
    colour_amount: float = knob(
        1.0, "How much of the colour match is applied.", label="amount", range=(0.0, 1.0)
    )
    detail_match: float = knob(
        0.5, "Bring the face's sharpness to the plate's.", label="detail match", range=(0.0, 1.0)
    )
    grain_match: float = knob(
        1.0, "Lay the plate's own grain over the face.", label="grain match", range=(0.0, 1.0)
    )


@dataclass(frozen=True)
class BlendKnobs(_Checked):
    """How the new face is laid into the plate."""

    blend_mode: Literal["over", "multiband", "poisson"] = knob(
        "over",
        "Composite by over, over several frequency bands, or in the gradient domain.",
        label="mode",
        animates=False,
    )
    mix: float = knob(
        1.0, "Dissolve between the plate (0) and the result (1).", range=(0.0, 1.0), idle=0.0
    )


@dataclass(frozen=True)
class ViewKnobs(_Checked):
    """What the node puts out."""

    view: Literal["result", "patch", "matte", "difference", "landmarks", "canonical"] = knob(
        "result",
        "The finished frame, or a look inside: the new face, the matte, the change, the track, "
        "the network's own picture.",
        animates=False,
        inspects=True,
    )


@dataclass(frozen=True)
class Knobs:
    """All knobs of one frame: one dataclass for each stage."""

    model: ModelKnobs = ModelKnobs()
    colour: ColourKnobs = ColourKnobs()
    track: TrackKnobs = TrackKnobs()
    identity: InferKnobs = InferKnobs()
    mask: MatteKnobs = MatteKnobs()
    match: MatchKnobs = MatchKnobs()
    blend: BlendKnobs = BlendKnobs()
    view: ViewKnobs = ViewKnobs()

    @classmethod
    def from_flat(cls, values: Mapping[str, Any]) -> Knobs:
        """Make knobs from ``{name: value}``; what is not named keeps its default.

        Raises
        ------
        KnobError
            A name is unknown (with the nearest one that is known), or a value is not accepted.
        """
        homes = _homes()
        grouped: dict[str, dict[str, Any]] = {group.name: {} for group in fields(cls)}
        for name, value in values.items():
            if name not in homes:
                near = difflib.get_close_matches(name, homes, 1)
                raise KnobError(
                    f"there is no knob {name!r}",
                    f"Did you mean {near[0]!r}?" if near else f"Known: {', '.join(homes)}.",
                )
            grouped[homes[name]][name] = value
        stages = _stages()
        return cls(**{group: stages[group](**given) for group, given in grouped.items()})

    def to_flat(self) -> dict[str, Value]:
        """Return ``{name: value}`` of every knob, in declared order."""
        return {name: value for group in fields(self) for name, value in self._group(group.name)}

    def changed(self) -> dict[str, Value]:
        """Return ``{name: value}`` of the knobs that are not at their defaults."""
        defaults = {declaration.name: declaration.default for declaration in declared()}
        return {name: value for name, value in self.to_flat().items() if value != defaults[name]}

    def _group(self, group: str) -> Iterator[tuple[str, Value]]:
        stage = getattr(self, group)
        return ((item.name, getattr(stage, item.name)) for item in fields(stage))


@cache
def declared() -> tuple[Knob, ...]:
    """Return the table of all knobs, in the order in which they are shown."""
    stages = _stages()
    return tuple(
        declaration
        for group, stage in stages.items()
        for declaration in _declarations(stage, group)
    )


@cache
def _stages() -> Mapping[str, type]:
    """Return the dataclass of each group, in declared order."""
    types = get_type_hints(Knobs)
    return MappingProxyType({group.name: types[group.name] for group in fields(Knobs)})


@cache
def _homes() -> Mapping[str, str]:
    """Return the group of each knob, by the knob's name."""
    return MappingProxyType({each.name: each.group for each in declared()})


@cache
def digest() -> str:
    """Return a short hash of the table: equal where two programs know the same knobs."""
    table = json.dumps([asdict(declaration) for declaration in declared()], sort_keys=True)
    return hashlib.sha256(table.encode()).hexdigest()[:16]


def stage_key(upstream: str, knobs: object) -> str:
    """Return the key of a stage's result: the upstream key and the stage's own knobs, hashed."""
    own = json.dumps(asdict(knobs), sort_keys=True)  # type: ignore[call-overload]
    return hashlib.sha256(f"{upstream}\n{type(knobs).__name__}\n{own}".encode()).hexdigest()
