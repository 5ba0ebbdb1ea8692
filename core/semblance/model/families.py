"""Other families of face networks: what their graphs take and give, and how one is recognised.

A family is known by its signature alone: names, shapes and types of inputs and outputs. Several
share one; then the person who brings the weights says which it is. What a graph's own values mean
(ranges, order of colours, what becomes of an embedding) can't be seen in it and stands here.

References
----------
Signatures and constants as the projects published them: insightface (inswapper), Sber AI's GHOST,
SimSwap, UniFace, BlendSwap, HyperSwap and DeepFaceLab (DFM), in the form in which their graphs go
round as ONNX. Templates: insightface's reference points for 112 and 128 pixels, FFHQ's alignment,
DeepFaceLab's whole face.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final, Literal

from semblance.errors import ModelError

__all__ = ["FAMILIES", "TEMPLATES", "Family", "Fit", "Port", "ports", "recognise"]

TEMPLATES: Final = MappingProxyType(
    {
        "arcface_112_v1": (
            (0.35473214, 0.45658929),
            (0.64526786, 0.45658929),
            (0.50000000, 0.61154464),
            (0.37913393, 0.77687500),
            (0.62086607, 0.77687500),
        ),
        "arcface_112_v2": (
            (0.34191607, 0.46157411),
            (0.65653393, 0.45983393),
            (0.50022500, 0.64050536),
            (0.37097589, 0.82469196),
            (0.63151696, 0.82325089),
        ),
        "arcface_128": (
            (0.36167656, 0.40387734),
            (0.63696719, 0.40235469),
            (0.50019687, 0.56044219),
            (0.38710391, 0.72160547),
            (0.61507734, 0.72034453),
        ),
        "dfl_whole_face": (
            (0.35342266, 0.39285716),
            (0.62797622, 0.39285716),
            (0.48660713, 0.54017860),
            (0.38839287, 0.68750011),
            (0.59821427, 0.68750011),
        ),
        "ffhq_512": (
            (0.37691676, 0.46864664),
            (0.62285697, 0.46912813),
            (0.50123859, 0.61331904),
            (0.39308822, 0.72541100),
            (0.61150205, 0.72490465),
        ),
    }
)
"""Where a template wants the middles of the eyes (the image's left one first), the tip of the nose
and the corners of the mouth: x and y as parts of the crop's side, pixel centres at whole numbers,
as they are published."""

VECTOR: Final = 512
"""Length of an identity's embedding."""

_FLOATS: Final = ("tensor(float)", "tensor(float16)")
_FACE, _MASK = "out_celeb_face:0", "out_celeb_face_mask:0"
_RESEARCH: Final = "The published weights are for non-commercial research only."


@dataclass(frozen=True)
class Family:
    """A family of networks.

    Parameters
    ----------
    name, title : str
        On the command line and in descriptions, and for a person.
    template : str
        Which square of the face it looks at: a name in `TEMPLATES`.
    size : int
        Side of its crop in pixels; 0 where each graph has its own.
    source : {"vector", "picture", "own"}
        Where the identity comes from: an embedding, a picture of the likeness, the graph itself.
    picture_size : int
        Side of that picture, in pixels.
    picture_template : str
        Which square of the face it shows.
    mean, deviation : (float, float, float)
        What is taken from red, green and blue in 0..1, and what they are then divided by.
    signed : bool
        Whether the face comes back normalised like that as well, and not in 0..1.
    embedding : {"emap", "unit", "raw"}
        What becomes of an embedding: times the graph's own matrix, then of length 1; of length 1;
        or left as it is.
    converted : bool
        Whether a converter's graph, where one is given, comes before that.
    licence : str
        What is known of the published weights' terms.
    """

    name: str
    title: str
    template: str
    size: int
    source: Literal["vector", "picture", "own"]
    licence: str
    picture_size: int = 0
    picture_template: str = ""
    mean: tuple[float, float, float] = (0.0, 0.0, 0.0)
    deviation: tuple[float, float, float] = (1.0, 1.0, 1.0)
    signed: bool = False
    embedding: Literal["emap", "unit", "raw"] = "unit"
    converted: bool = False


_HALF: Final = (0.5, 0.5, 0.5)

FAMILIES: Final = MappingProxyType(
    {
        each.name: each
        for each in (
            Family(
                "inswapper",
                "inswapper",
                "arcface_128",
                128,
                "vector",
                _RESEARCH,
                embedding="emap",
            ),
            Family(
                "ghost",
                "GHOST",
                "arcface_112_v1",
                256,
                "vector",
                "Code and weights are under Apache-2.0; the recogniser that makes its embeddings "
                "has terms of its own.",
                mean=_HALF,
                deviation=_HALF,
                signed=True,
                embedding="raw",
                converted=True,
            ),
            Family(
                "simswap",
                "SimSwap 256",
                "arcface_112_v1",
                256,
                "vector",
                _RESEARCH,
                mean=(0.485, 0.456, 0.406),
                deviation=(0.229, 0.224, 0.225),
                converted=True,
            ),
            Family(
                "simswap512",
                "SimSwap 512",
                "arcface_112_v1",
                512,
                "vector",
                _RESEARCH,
                converted=True,
            ),
            Family(
                "hyperswap",
                "HyperSwap",
                "arcface_128",
                256,
                "vector",
                "The published weights are under a ResearchRAIL licence, which restricts use.",
                mean=_HALF,
                deviation=_HALF,
                signed=True,
            ),
            Family(
                "uniface",
                "UniFace",
                "ffhq_512",
                256,
                "picture",
                "No terms were published with the weights: ask before any use.",
                picture_size=256,
                picture_template="ffhq_512",
                mean=_HALF,
                deviation=_HALF,
                signed=True,
            ),
            Family(
                "blendswap",
                "BlendSwap",
                "ffhq_512",
                256,
                "picture",
                _RESEARCH,
                picture_size=112,
                picture_template="arcface_112_v2",
            ),
            Family(
                "dfm",
                "DFM (DeepFaceLab)",
                "dfl_whole_face",
                0,
                "own",
                "Each model belongs to who trained it: ask them, and the person whom it shows.",
            ),
        )
    }
)
"""The families by name."""


@dataclass(frozen=True)
class Port:
    """An input or an output of a graph; what is no whole number in its shape is left open."""

    name: str
    type: str
    shape: tuple[int | None, ...]

    def __str__(self) -> str:
        sides = " × ".join("n" if side is None else str(side) for side in self.shape)
        return f"{self.name} ({sides or 'one value'}, {self.type[7:-1]})"

    def fits(self, *sides: int) -> bool:
        """Return whether it holds numbers of this shape, for one picture at a time or for any."""
        return (
            self.type in _FLOATS
            and len(self.shape) == len(sides) + 1
            and all(
                there in (None, here) for there, here in zip(self.shape, (1, *sides), strict=True)
            )
        )


@dataclass(frozen=True)
class Fit:
    """A graph that is of a family.

    Parameters
    ----------
    family : Family
    size : int
        Side of its crop in pixels.
    face : str
        The output that holds the new face.
    mattes : tuple of str
        Outputs that say where it is, the least of which counts; may be none.
    halves : frozenset of str
        Inputs that take half floats.
    morphs : bool
        Whether the graph itself takes the strength.
    """

    family: Family
    size: int
    face: str
    mattes: tuple[str, ...]
    halves: frozenset[str]
    morphs: bool = False


def ports(found: Iterable[Any]) -> tuple[Port, ...]:
    """Return the inputs or outputs of a session of ONNX Runtime.

    Raises
    ------
    ModelError
        A name is no text: the runtime takes any bytes, and fails where it is asked for them.
    """
    try:
        return tuple(
            Port(
                each.name,
                each.type,
                tuple(side if isinstance(side, int) and side > 0 else None for side in each.shape),
            )
            for each in found
        )
    except UnicodeDecodeError as error:
        raise ModelError(
            f"the graph holds names that are no text: {error.reason}", "Fetch the file again."
        ) from error


def recognise(
    inputs: tuple[Port, ...], outputs: tuple[Port, ...], path: object, wanted: str | None = None
) -> Fit:
    """Return which family a graph is of.

    Parameters
    ----------
    inputs, outputs : tuple of Port
        What the graph takes and gives.
    path : object
        Its file, for messages.
    wanted : str, optional
        The family that it is said to be of, by name.

    Raises
    ------
    ModelError
        It fits none, not the one that it is said to be of, or several and none was said.
    """
    if wanted is not None:
        if wanted not in FAMILIES:
            raise ModelError(
                f"the family {wanted!r} is not known: expected {', '.join(FAMILIES)}",
                "docs/models.md lists them.",
            )
        fit = _fit(FAMILIES[wanted], inputs, outputs)
        if isinstance(fit, str):
            raise ModelError(
                f"{path} is no {FAMILIES[wanted].title} graph: {fit}",
                "Give the graph as it was published, or another --family.",
            )
        return fit
    answers = {name: _fit(family, inputs, outputs) for name, family in FAMILIES.items()}
    fits = {name: answer for name, answer in answers.items() if isinstance(answer, Fit)}
    if len(fits) > 1:
        raise ModelError(
            f"{path} has the signature of {', '.join(fits)}, which can't be told apart by it",
            f"Say which it is with --family {next(iter(fits))}, for instance.",
        )
    if not fits:
        raise ModelError(
            f"{path} fits no family that is known: it takes {_listed(inputs)} and gives "
            f"{_listed(outputs)}",
            "docs/models.md lists the signatures; with --family it is said what does not fit.",
        )
    return next(iter(fits.values()))


def _fit(family: Family, inputs: tuple[Port, ...], outputs: tuple[Port, ...]) -> Fit | str:
    """Return how a graph is of a family, or why it is not."""
    return (_dfm if family.source == "own" else _swapper)(family, inputs, outputs)


def _swapper(family: Family, inputs: tuple[Port, ...], outputs: tuple[Port, ...]) -> Fit | str:
    """Hold a graph against `target` and `source` in, a face out, and perhaps a matte."""
    picture = (3, family.size, family.size)
    identity = (VECTOR,) if family.source == "vector" else (3, *(family.picture_size,) * 2)
    named = {each.name: each for each in inputs}
    if set(named) != {"target", "source"}:
        return f"expected the inputs source, target, found {_names(inputs)}"
    for name, sides in (("target", picture), ("source", identity)):
        if not named[name].fits(*sides):
            return _shape_differs(name, sides, named[name])
    if not outputs or not outputs[0].fits(*picture):
        found = outputs[0] if outputs else "none"
        return f"expected a face of {_sides(picture)} as its first output, found {found}"
    mattes = tuple(
        each.name for each in outputs[1:] if each.fits(1, family.size, family.size)
        and each.shape[1] == 1
    )  # fmt: skip
    return Fit(family, family.size, outputs[0].name, mattes[:1], _halves(inputs))


def _dfm(family: Family, inputs: tuple[Port, ...], outputs: tuple[Port, ...]) -> Fit | str:
    """Hold a graph against DeepFaceLab's export: height, width and channels in this order."""
    named: Mapping[str, Port] = {each.name: each for each in (*inputs, *outputs)}
    taken = {each.name for each in inputs}
    if taken not in ({"in_face:0"}, {"in_face:0", "morph_value:0"}):
        return f"expected the inputs in_face:0 and perhaps morph_value:0, found {_names(inputs)}"
    wanted = ("out_face_mask:0", _FACE, _MASK)
    if not set(wanted) <= {each.name for each in outputs}:
        return f"expected the outputs {', '.join(wanted)}, found {_names(outputs)}"
    face = named["in_face:0"]
    size = face.shape[1] if len(face.shape) == 4 else None
    if size is None or not face.fits(size, size, 3):
        return f"expected in_face:0 as n × side × side × 3 of one known side, found {face}"
    if "morph_value:0" in taken and not named["morph_value:0"].fits():
        return f"expected morph_value:0 as one value, found {named['morph_value:0']}"
    for name, channels in zip(wanted, (1, 3, 1), strict=True):
        if not named[name].fits(size, size, channels):
            return _shape_differs(name, (size, size, channels), named[name])
    return Fit(family, size, _FACE, (wanted[0], _MASK), _halves(inputs), "morph_value:0" in taken)


def _halves(inputs: tuple[Port, ...]) -> frozenset[str]:
    return frozenset(each.name for each in inputs if each.type == "tensor(float16)")


def _shape_differs(name: str, sides: tuple[int, ...], found: Port) -> str:
    return f"expected {name} as numbers of {_sides(sides)}, found {found}"


def _sides(sides: tuple[int, ...]) -> str:
    return " × ".join(["1", *map(str, sides)])


def _names(found: tuple[Port, ...]) -> str:
    return ", ".join(sorted(each.name for each in found)) or "none"


def _listed(found: tuple[Port, ...]) -> str:
    return ", ".join(map(str, found)) or "nothing"
