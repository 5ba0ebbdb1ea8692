"""Likeness releases: make, sign, check, show, withdraw."""

from __future__ import annotations

import shlex
from dataclasses import asdict
from datetime import date, datetime
from pathlib import Path
from typing import Any

import click

from semblance.cli.options import DONE, FILE, JSON, PRODUCTION, REFUSED, TRUST
from semblance.cli.terminal import complain, print_json

__all__ = ["release"]


@click.group()
def release() -> None:
    """Make, sign, check and withdraw likeness releases: who consents to what, until when."""


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
    """Check whether MODEL may be used; exit code 3 where it may not."""
    from semblance import release as releases
    from semblance.model import sha256_of

    verdict = releases.check(
        model, sha256_of(model), path, production, trust, day.date() if day else None
    )
    if as_json:
        print_json(asdict(verdict))
    else:
        for warning in verdict.warnings:
            complain(warning)
        click.echo(f"{'valid' if verdict.valid else 'not valid'}: {verdict.reason}")
    return DONE if verdict.valid else REFUSED


@release.command("show")
@click.argument("path", type=FILE)
@TRUST
@JSON
def release_show(path: Path, trust: tuple[Path, ...], as_json: bool) -> int:
    """Show the terms of a release or a draft, and whether it was withdrawn.

    Its signature is for `semblance release verify` to check. A revocation list is shown too.
    """
    from semblance import release as releases
    from semblance.info import describe, listing

    if path.name.endswith(releases.LIST_ENDING):
        terms = describe(path)
    else:
        terms, warnings = releases.terms(path, trust)
        for warning in warnings:
            complain(warning)
    if as_json:
        print_json(terms)
    else:
        click.echo(listing(terms))
    return DONE


@release.command("revoke")
@click.argument("path", metavar="RELEASE", type=FILE)
@click.option("--key", type=FILE, required=True, help="The rights holder's private key (.pem).")
@click.option("--reason", required=True, help="Why, in one line; it is shown with every refusal.")
@click.option("--on", "day", type=_DAY, help="The day it was withdrawn; today by default.")
@click.option(
    "-o",
    "--output",
    type=FILE,
    help="The list: made, or made longer; by default HOLDER.revoked.json beside the release.",
)
def release_revoke(
    path: Path, key: Path, reason: str, day: datetime | None, output: Path | None
) -> int:
    """Withdraw RELEASE by a signed list, which goes to everybody who may have the model.

    In a trust store, beside the release or beside the model the list is found by itself.
    """
    from semblance import release as releases

    withdrawn = releases.read_draft(path)
    into = output or path.with_name(releases.list_name(withdrawn.rights_holder))
    if not into.name.endswith(releases.LIST_ENDING):
        raise click.BadParameter(
            f"a list is only found by a name that ends in {releases.LIST_ENDING}.",
            param_hint="--output",
        )
    made = releases.revoke(
        into,
        withdrawn.rights_holder,
        releases.Revocation(withdrawn.id, day.date() if day else date.today(), reason),
        releases.load_private_key(key),
    )
    click.echo(f"{into}: list {made.number} of {made.rights_holder}, {len(made.revoked)} withdrawn")
    return DONE
