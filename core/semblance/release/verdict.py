"""Whether a likeness may be used, and why.

- `check`: as every door asks it, with the user's own trust store and memory.
- `verify`: the same with nothing taken from the user's folders.
- `require`: raises where it may not.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path
from typing import Any

from semblance.errors import ReleaseError
from semblance.release.document import (
    ASK,
    TEMPLATE,
    Release,
    default_release_path,
    read_draft,
    read_release,
)
from semblance.release.keys import default_trust_paths, trusted_holders
from semblance.release.revocation import default_memory, find, list_paths

__all__ = ["Verdict", "check", "require", "terms", "verify", "watched"]


@dataclass(frozen=True)
class Verdict:
    """Whether a likeness may be used, and why.

    Parameters
    ----------
    valid : bool
        Whether a trusted rights holder released this very model for now and for this production,
        and has not withdrawn it.
    reason : str
        One sentence for a person, either way.
    release_id, rights_holder, production, until : str
        From the release; empty unless a trusted key signed exactly these words. `until` is the
        last day, ISO 8601.
    warnings : tuple of str
        What a person should hear beside the reason: revocation lists that don't count.
    """

    valid: bool
    reason: str
    release_id: str = ""
    rights_holder: str = ""
    production: str = ""
    until: str = ""
    warnings: tuple[str, ...] = ()

    @property
    def slate(self) -> str:
        """What must be burnt into the picture; empty where the release is valid."""
        return "" if self.valid else f"UNLICENSED PREVIEW: {self.reason}"


def check(
    model: Path,
    model_sha256: str,
    path: Path | None = None,
    production: str | None = None,
    trust: Iterable[Path] = (),
    today: date | None = None,
) -> Verdict:
    """Return whether a model may be used, as every way to render asks it.

    Parameters
    ----------
    model : Path
        The model's file; its release lies beside it, and so may revocation lists.
    model_sha256 : str
        Of that file.
    path : Path, optional
        The release, where it lies elsewhere.
    production : str, optional
        The production in work.
    trust : iterable of Path
        Public key files and folders of them, beside the user's own trust store.
    today : datetime.date, optional
        The day to judge by.
    """
    return verify(
        path or default_release_path(model),
        model_sha256,
        date.today() if today is None else today,
        production,
        (*trust, *default_trust_paths()),
        (model,),
        default_memory(),
    )


def terms(path: Path, trust: Iterable[Path] = ()) -> tuple[dict[str, Any], tuple[str, ...]]:
    """Return what a release or a draft says, and what a person should hear beside it.

    Parameters
    ----------
    path : Path
        The document; its signature is not checked.
    trust : iterable of Path
        As for `check`.

    Returns
    -------
    dict
        The fields as JSON values, and under ``withdrawn`` when and why its rights holder withdrew
        it, where that is so.
    tuple of str
        Revocation lists that can't be believed or don't count.

    Raises
    ------
    ReleaseError
        The file can't be read or holds no release.
    """
    release = read_draft(path)
    stores = (*trust, *default_trust_paths())
    lists = find((*stores, path), stores, default_memory())
    withdrawn = lists.withdrawn(release.rights_holder, release.id)
    said = {} if withdrawn is None else {"withdrawn": f"{withdrawn.on}: {withdrawn.reason}"}
    return {**release.to_json(), **said}, (*lists.faults, *lists.warnings)


def watched(model: Path, trust: Iterable[Path] = ()) -> tuple[Path, ...]:
    """Return the files and folders on which `check` depends: where none changed, it says the same.

    Parameters
    ----------
    model : Path
        The model's file.
    trust : iterable of Path
        As for `check`.
    """
    stores = (*trust, *default_trust_paths())
    beside = [each for each in stores if not os.path.isdir(each)]
    return (
        default_release_path(model),
        *stores,
        default_memory(),
        *list_paths([model, *beside]),
    )


def verify(
    path: Path | None,
    model_sha256: str,
    today: date,
    production: str | None = None,
    trust: Iterable[Path] = (),
    beside: Iterable[Path] = (),
    memory: Path | None = None,
) -> Verdict:
    """Return whether a likeness may be used, and why; never raises for a bad release.

    Parameters
    ----------
    path : Path or None
        The signed release; None where there is none.
    model_sha256 : str
        Of the model file that is about to be used.
    today : datetime.date
        The day to judge by.
    production : str or None
        The production in work, compared without regard to case; None leaves it unchecked.
    trust : iterable of Path
        Public key files and folders of them. What is not there is passed over; with no keys,
        nothing is valid. Revocation lists in these folders, or beside these files, count.
    beside : iterable of Path
        Where else revocation lists may lie; they are looked for beside the release in any case.
    memory : Path or None
        The folder of the newest lists that were seen.

    Returns
    -------
    Verdict
        Valid only where every check holds.
    """
    if path is None or not os.path.exists(path):
        return Verdict(False, "no release is on file for this model")
    try:
        signed = read_release(path)
    except ReleaseError as error:
        return Verdict(False, error.fact)
    if not signed.holds:
        return Verdict(False, f"{path.name} was changed after it was signed")
    release, trust = signed.release, tuple(trust)
    holders, faults = trusted_holders(signed.seal.key, trust)
    if not holders:
        note = f" ({faults[0]})" if faults else ""
        return Verdict(
            False, f"{path.name} is signed by a key that is not in your trust store{note}"
        )
    if release.rights_holder not in holders:
        return Verdict(
            False,
            f"{path.name} speaks for {release.rights_holder!r} but is signed by {holders[0]!r}",
        )
    lists = find((*trust, path, *beside), trust, memory)
    withdrawn = lists.withdrawn(release.rights_holder, release.id)
    objection = _objection(release, model_sha256, today, production)
    if withdrawn is not None:
        objection = (
            f"release {release.id} was withdrawn by {release.rights_holder} on {withdrawn.on}: "
            f"{withdrawn.reason}"
        )
    held = Verdict(
        valid=not objection,
        reason=objection
        or f"released by {release.rights_holder} for {release.production} "
        f"until {release.valid_until}",
        release_id=release.id,
        rights_holder=release.rights_holder,
        production=release.production,
        until=release.valid_until.isoformat(),
        warnings=lists.warnings,
    )
    if held.valid and lists.faults:
        return replace(
            held,
            valid=False,
            reason=lists.faults[0],
            warnings=(*lists.faults[1:], *lists.warnings),
        )
    return replace(held, warnings=(*lists.faults, *lists.warnings))


def require(verdict: Verdict) -> None:
    """Pass only where the release is valid.

    Raises
    ------
    ReleaseError
        It is not; the message is the verdict's reason.
    """
    if not verdict.valid:
        raise ReleaseError(verdict.reason, ASK)


def _objection(release: Release, model_sha256: str, today: date, production: str | None) -> str:
    if release.template != TEMPLATE:
        return (
            f"release {release.id} speaks in the terms {release.template!r}, "
            f"this Semblance knows {TEMPLATE!r}"
        )
    if release.model_sha256 != model_sha256:
        return (
            f"release {release.id} is for another model: it names sha256 "
            f"{release.model_sha256[:12]}…, this file is {model_sha256[:12]}…"
        )
    if today < release.valid_from:
        return f"release {release.id} does not hold before {release.valid_from}"
    if today > release.valid_until:
        return f"release {release.id} ended on {release.valid_until}"
    if production is not None and production.casefold() != release.production.casefold():
        return (
            f"release {release.id} is for the production {release.production!r}, "
            f"this is {production!r}"
        )
    return ""
