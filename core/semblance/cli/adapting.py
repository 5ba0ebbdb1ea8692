"""Graphs of other families: what one is, and how a likeness is made of it."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from semblance.cli.options import DONE, FILE, JSON, MODELS_DIR, tracker_option
from semblance.cli.terminal import complain, print_json

if TYPE_CHECKING:
    from semblance.adapt import Picture
    from semblance.model.families import Fit

__all__ = ["model"]

_FAMILY = click.option(
    "--family", metavar="NAME", help="Which family the graph is of, where its signature is shared."
)


@click.group()
def model() -> None:
    """Make a likeness of another family's network: inswapper, GHOST, SimSwap, DFM and others."""


@model.command("describe")
@click.argument("path", type=FILE, metavar="MODEL")
@_FAMILY
@JSON
def describe(path: Path, family: str | None, as_json: bool) -> int:
    """Say what MODEL is: a graph of another family (.onnx), or a description (.adapter.json)."""
    from semblance.adapt import examine
    from semblance.info import listing
    from semblance.model import description

    if description.is_description(path):
        told = description.read(path).facts()
    else:
        told = _fitted(examine(path, family))
    if as_json:
        print_json(told)
    else:
        click.echo(listing(told))
    return DONE


@model.command("adapt")
@click.argument("path", type=FILE, metavar="GRAPH")
@click.option(
    "--likeness",
    multiple=True,
    metavar="PICTURES",
    help="A picture of the likeness, a folder of them, an EXR sequence; may be repeated.",
)
@click.option(
    "--performer",
    multiple=True,
    metavar="PICTURES",
    help="The same of the performer: then the strength moves the identity, and not the pixels.",
)
@click.option("--embedder", type=FILE, help="A recogniser of the ArcFace kind (.onnx).")
@click.option(
    "--converter", type=FILE, help="What carries its embeddings to the family's own (.onnx)."
)
@_FAMILY
@click.option("--name", required=True, help="Whose face it draws.")
@click.option(
    "--performer-name", default="performer", show_default=True, help="Name of the performer."
)
@click.option(
    "-o",
    "--output",
    type=FILE,
    help="The description; by default GRAPH's name with .adapter.json, beside it.",
)
@tracker_option("--tracker")
@MODELS_DIR
@JSON
def adapt(
    path: Path,
    likeness: tuple[str, ...],
    performer: tuple[str, ...],
    embedder: Path | None,
    converter: Path | None,
    family: str | None,
    name: str,
    performer_name: str,
    output: Path | None,
    tracker: str,
    models_dir: Path | None,
    as_json: bool,
) -> int:
    """Write the description that makes a likeness of GRAPH, for `apply -m`.

    It holds whom the graph shall draw, and a release is bound to it: without one, frames carry a
    slate.
    """
    from semblance.adapt import adapt as write
    from semblance.track.provider import open_provider

    out = output or path.with_name(f"{path.stem}.adapter.json")
    finder = open_provider(tracker, models_dir) if likeness or performer else None
    made = write(
        path,
        out,
        name=name,
        likeness=_pictures(likeness),
        performer=_pictures(performer),
        finder=finder,
        embedder=embedder,
        converter=converter,
        family=family,
        performer_name=performer_name,
    )
    if made.without:
        complain(f"no face in {', '.join(made.without)}: left out.")
    told = made.description.facts()
    if as_json:
        print_json({"output": str(out), **told})
        return DONE
    click.echo(f"{out}: {name}, {told['family']}, strength by {told['strength']}")
    click.echo(f"terms: {told['terms']}")
    click.echo(f"Next: semblance release new {shlex.quote(str(out))} -o DRAFT ...")
    return DONE


def _pictures(footage: tuple[str, ...]) -> list[Picture]:
    from semblance.adapt import Picture
    from semblance.train.footage import open_footage

    return [
        Picture(each.source, each.read)
        for piece in footage
        for each in open_footage(piece).pictures()
    ]


def _fitted(fit: Fit) -> dict[str, Any]:
    kind = fit.family
    needs = {
        "vector": "pictures of the likeness (and the performer) and a recogniser",
        "picture": "a picture of the likeness",
        "own": "nothing: it draws the person whom it was trained on",
    }
    return {
        "kind": "graph",
        "family": kind.name,
        "title": kind.title,
        "template": kind.template,
        "size": fit.size,
        "needs": needs[kind.source],
        "matte": ", ".join(fit.mattes) or "none of its own: an oval",
        "morphs": fit.morphs,
        "terms": kind.licence,
    }
