"""Likeness releases: make, sign, check, show."""

from __future__ import annotations

import shlex
from dataclasses import asdict
from datetime import date, datetime
from pathlib import Path
from typing import Any

import click

from semblance.cli.options import DONE, FAILED, FILE, JSON, PRODUCTION, TRUST
from semblance.cli.terminal import print_json

__all__ = ["release"]


@click.group()
def release() -> None:
    """Make, sign and check likeness releases: who consents to what, until when."""


@release.command("key")
@click.argument("rights_holder")
@click.option(
    "-o",
    "--output",
    type=FILE,
    required=True,
    help="The private key (.pem); the public one lies beside it as .pub.",
)
def release_key(rights_holder: str, output: Path) -> int:
    """Make a key for RIGHTS_HOLDER. The private half signs and stays with its holder."""
    from semblance import release as releases

    pair = releases.new_key(rights_holder)
    public = output.with_suffix(".pub")
    releases.save_new(output, pair.private.encode(), private=True)
    releases.save_new(public, pair.public.encode())
    click.echo(f"{output}: keep it secret\n{public}: give it to who shall accept the signature")
    return DONE


_DAY = click.DateTime(["%Y-%m-%d"])


@release.command("new")
@click.argument("model", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@click.option("-o", "--output", type=FILE, required=True, help="The draft (JSON), to be signed.")
@click.option("--rights-holder", required=True, help="Who consents.")
@click.option("--likeness", required=True, help="The person whose face the model draws.")
@click.option("--production", required=True, help="The production that may use it.")
@click.option("--use", "uses", multiple=True, required=True, help="What for; may be repeated.")
@click.option("--territory", default="worldwide", show_default=True, help="Where it is shown.")
@click.option("--from", "valid_from", type=_DAY, required=True, help="First day.")
@click.option("--until", "valid_until", type=_DAY, required=True, help="Last day.")
@click.option("--contact", required=True, help="Where the rights holder is reached.")
def release_new(
    model: Path, output: Path, valid_from: datetime, valid_until: datetime, **terms: Any
) -> int:
    """Draft a release of MODEL for its rights holder to read and sign."""
    from semblance import release as releases
    from semblance.model import sha256_of

    drafted = releases.Release(
        id=releases.new_id(),
        valid_from=valid_from.date(),
        valid_until=valid_until.date(),
        model_sha256=sha256_of(model),
        **terms,
    )
    releases.save_new(output, releases.draft(drafted))
    click.echo(f"{output}\nNext: semblance release sign {shlex.quote(str(output))} --key KEY.pem")
    return DONE


@release.command("sign")
@click.argument("draft", type=FILE)
@click.option("--key", type=FILE, required=True, help="The rights holder's private key (.pem).")
@click.option(
    "-o",
    "--output",
    type=FILE,
    required=True,
    help="The release; beside its model as MODEL.release.json it is found by itself.",
)
def release_sign(draft: Path, key: Path, output: Path) -> int:
    """Sign DRAFT: from then on not one byte of it may change."""
    from semblance import release as releases

    signed = releases.sign(releases.read_draft(draft), releases.load_private_key(key))
    releases.save_new(output, signed)
    click.echo(str(output))
    return DONE


@release.command("verify")
@click.argument("model", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@click.option("--release", "path", type=FILE, help="By default the one beside the model.")
@TRUST
@PRODUCTION
@click.option("--on", "day", type=_DAY, help="The day to judge by; today by default.")
@JSON
def release_verify(
    model: Path,
    path: Path | None,
    trust: tuple[Path, ...],
    production: str | None,
    day: datetime | None,
    as_json: bool,
) -> int:
    """Check whether MODEL may be used; exit code 1 where it may not."""
    from semblance import release as releases
    from semblance.model import sha256_of

    verdict = releases.verify(
        path or releases.default_release_path(model),
        sha256_of(model),
        day.date() if day else date.today(),
        production,
        (*trust, *releases.default_trust_paths()),
    )
    if as_json:
        print_json(asdict(verdict))
    else:
        click.echo(f"{'valid' if verdict.valid else 'not valid'}: {verdict.reason}")
    return DONE if verdict.valid else FAILED


@release.command("show")
@click.argument("path", type=FILE)
@JSON
def release_show(path: Path, as_json: bool) -> int:
    """Show the terms of a release or a draft, without checking its signature."""
    from semblance import release as releases
    from semblance.info import listing

    terms = releases.read_draft(path).to_json()
    if as_json:
        print_json(terms)
    else:
        click.echo(listing(terms))
    return DONE
