"""What a credential claims, in the C2PA's terms: made of what, by what, under which release.

The actions of a claim begin with the plate, which was opened, go on with what was placed into it,
and end with the edit itself, whose digital source type is IPTC's
``compositeWithTrainedAlgorithmicMedia``. What C2PA has no words for stands in an assertion of our
own, `ASSERTION`.

References
----------
C2PA Technical Specification 2.2, sections "Actions", "Ingredient" and "Assertions".
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Literal

__all__ = ["ASSERTION", "GENERATOR", "SOURCE_TYPE", "Claim", "Ingredient", "Released", "definition"]

GENERATOR: Final = "Semblance"
"""The name under which Semblance signs as a claim generator."""

ASSERTION: Final = "semblance.marks"
"""The label of our own assertion."""

SOURCE_TYPE: Final = (
    "http://cv.iptc.org/newscodes/digitalsourcetype/compositeWithTrainedAlgorithmicMedia"
)
"""IPTC: media changed with a trained generative model."""

_PARENT: Final = "before"


@dataclass(frozen=True)
class Ingredient:
    """Something that was used, by its name and by the sha256 of its bytes.

    Parameters
    ----------
    kind : {"plate", "model", "frames"}
        What was changed; what changed it; or the frames that a review picture shows.
    name : str
        Without folders.
    sha256 : str
        Of the file; of several files, of their hashes in order.
    """

    kind: Literal["plate", "model", "frames"]
    name: str
    sha256: str


@dataclass(frozen=True)
class Released:
    """A release that was on file and held when the claim was made.

    Parameters
    ----------
    id, rights_holder : str
        From the release.
    sha256 : str
        Of its document.
    """

    id: str
    rights_holder: str
    sha256: str


@dataclass(frozen=True)
class Claim:
    """What is said of a file.

    Parameters
    ----------
    title : str
        The file's name.
    version : str
        Semblance's.
    ingredients : sequence of Ingredient
        In any order.
    released : Released or None
        None where no release was on file, whatever the frames' own marks say.
    release_check : str
        ``valid``, or why not.
    marks : mapping
        Plain values for our own assertion.
    """

    title: str
    version: str
    ingredients: Sequence[Ingredient]
    released: Released | None
    release_check: str
    marks: Mapping[str, Any] = field(default_factory=dict)


def definition(claim: Claim, media_type: str, *, before: bool = False) -> dict[str, Any]:
    """Return a claim as the C2PA library takes it.

    Parameters
    ----------
    claim : Claim
    media_type : str
        Of the file.
    before : bool
        Whether the caller adds an ingredient labelled ``before``: the file as it was signed last.
    """
    agent = {"name": GENERATOR, "version": claim.version}
    by_kind: dict[str, list[str]] = {}
    ingredients = []
    for index, each in enumerate(claim.ingredients):
        label = f"{each.kind}-{index}"
        by_kind.setdefault(each.kind, []).append(label)
        ingredients.append(_ingredient(each, label))
    parts = by_kind.get("plate", []) + by_kind.get("frames", [])
    parent = _PARENT if before else next(iter(by_kind.get("plate", ())), "")
    actions: list[dict[str, Any]] = []
    if parent:
        actions.append({"action": "c2pa.opened", "parameters": {"ingredientIds": [parent]}})
        for described in ingredients:
            if described["label"] == parent:
                described["relationship"] = "parentOf"
    else:
        actions.append({"action": "c2pa.created", "digitalSourceType": SOURCE_TYPE})
    placed = [label for label in parts if label != parent]
    actions += [{"action": "c2pa.placed", "parameters": {"ingredientIds": [i]}} for i in placed]
    edited: dict[str, Any] = {
        "action": "c2pa.edited",
        "digitalSourceType": SOURCE_TYPE,
        "softwareAgent": agent,
        "description": "a likeness was laid over the performer's face",
    }
    if "model" in by_kind:
        edited["parameters"] = {"ingredientIds": by_kind["model"]}
    actions.append(edited)
    return {
        "claim_generator_info": [agent],
        "title": claim.title,
        "format": media_type,
        "ingredients": ingredients,
        "assertions": [
            {"label": "c2pa.actions", "data": {"actions": actions}},
            {"label": ASSERTION, "data": _marks(claim)},
        ],
    }


def _ingredient(each: Ingredient, label: str) -> dict[str, Any]:
    described: dict[str, Any] = {
        "title": each.name,
        "label": label,
        "instance_id": f"urn:sha256:{each.sha256}",
        "relationship": "inputTo" if each.kind == "model" else "componentOf",
    }
    if each.kind == "model":
        described["data_types"] = [{"type": "c2pa.types.model.onnx"}]
    return described


def _marks(claim: Claim) -> dict[str, Any]:
    marks: dict[str, Any] = {
        **claim.marks,
        "digitalSourceType": SOURCE_TYPE,
        "software": f"{GENERATOR} {claim.version}",
        "release": "none",
        "releaseCheck": claim.release_check,
    }
    if claim.released is not None:
        marks["release"] = claim.released.id
        marks["rightsHolder"] = claim.released.rights_holder
        marks["releaseHash"] = claim.released.sha256
    return marks
