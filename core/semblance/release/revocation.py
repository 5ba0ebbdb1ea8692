"""Revocation lists: which releases a rights holder has withdrawn, when, and why.

A list is a small JSON document, signed as a release is, in ``<rights holder>.revoked.json``::

    {"format": "semblance-revocations", "version": 1,
     "revocations": {"rights_holder": "...", "number": 2, "issued": "2026-06-01",
                     "revoked": [{"release": "SR-...", "on": "2026-06-01", "reason": "..."}]},
     "key": "<base64>", "signature": "<base64>"}

Lists are looked for in the trust store, beside the release and beside the model, and they add up:
what one of them withdraws stays withdrawn. Each list of a key has a higher number than the one
before. The newest of every trusted key is remembered as a copy, so that an older one, or none, in
its place is seen and changes nothing. No clock is asked: a withdrawal counts as soon as it is read.

A list that is damaged, or that its own key did not sign, fails every release it could speak of.
"""

from __future__ import annotations

import hashlib
import os
import re
import unicodedata
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path
from typing import Any, Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from semblance.errors import OutputError, ReleaseError
from semblance.release import sealed
from semblance.release.files import alone, read_small, write_whole
from semblance.release.keys import configuration, trusted_holders
from semblance.release.sealed import check_line

__all__ = [
    "LIST_ENDING",
    "Found",
    "Revocation",
    "Revocations",
    "default_memory",
    "find",
    "list_name",
    "list_paths",
    "read_list",
    "revoke",
]

LIST_ENDING: Final = ".revoked.json"
"""How the name of every list ends; others are not looked at."""

# Some thousand withdrawals; more than this is something else and is not parsed.
_LARGEST: Final = 1 << 20
_HIGHEST: Final = 10**9
_KIND: Final = sealed.Kind(
    "semblance-revocations",
    "revocation list",
    "Fetch the list anew from its rights holder; docs/consent.md tells how one is made.",
)


@dataclass(frozen=True)
class Revocation:
    """One withdrawal.

    Parameters
    ----------
    release : str
        The release's id.
    on : datetime.date
        The day on which it was withdrawn, by the rights holder's word.
    reason : str
        Why, in one line.

    Raises
    ------
    ReleaseError
        A field is no plain line of text, or no day.
    """

    release: str
    on: date
    reason: str

    def __post_init__(self) -> None:
        """Refuse what a person could not read."""
        check_line("withdrawn release's id", self.release)
        check_line("reason of a withdrawal", self.reason)
        if type(self.on) is not date:
            raise ReleaseError(f"the day of a withdrawal is {self.on!r}, it must be YYYY-MM-DD")


@dataclass(frozen=True)
class Revocations:
    """A revocation list whose signature holds; whether its key is trusted is another matter.

    Parameters
    ----------
    rights_holder : str
        Who withdraws.
    number : int
        From 1; each list of a key has a higher one than the list before.
    issued : datetime.date
        The day on which it was signed, for people: nothing depends on it.
    revoked : tuple of Revocation
        All withdrawals so far.
    key : bytes
        The signer's raw Ed25519 public key; empty before it is signed.
    """

    rights_holder: str
    number: int
    issued: date
    revoked: tuple[Revocation, ...]
    key: bytes = b""

    def to_json(self) -> dict[str, Any]:
        """Return what is signed of it, as JSON values; days in ISO 8601."""
        return {
            "rights_holder": self.rights_holder,
            "number": self.number,
            "issued": self.issued.isoformat(),
            "revoked": [
                {"release": each.release, "on": each.on.isoformat(), "reason": each.reason}
                for each in self.revoked
            ],
        }


@dataclass(frozen=True)
class Found:
    """What the revocation lists say that were found.

    Parameters
    ----------
    lists : tuple of Revocations
        Those that a trusted key signed for its own rights holder.
    faults : tuple of str
        Lists that can't be believed: while one is there, no release can be said to stand.
    warnings : tuple of str
        Lists that don't count, older ones, and what could not be remembered.
    """

    lists: tuple[Revocations, ...] = ()
    faults: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()

    def withdrawn(self, rights_holder: str, release: str) -> Revocation | None:
        """Return the withdrawal of a release by its rights holder, the earliest there is."""
        found = [
            each
            for held in self.lists
            if held.rights_holder == rights_holder
            for each in held.revoked
            if each.release == release
        ]
        return min(found, key=lambda each: each.on, default=None)


def list_name(rights_holder: str) -> str:
    """Return the file name of a rights holder's list.

    >>> list_name("Émilie Okonkwo Estate")
    'emilie-okonkwo-estate.revoked.json'
    """
    plain = unicodedata.normalize("NFKD", rights_holder).encode("ascii", "ignore").decode()
    words = re.findall(r"[a-z0-9]+", plain.lower())
    return f"{'-'.join(words)[:64] or 'rights-holder'}{LIST_ENDING}"


def list_paths(places: Iterable[Path]) -> tuple[Path, ...]:
    """Return the lists in some folders, and beside some files, each once, in a fixed order."""
    found: dict[Path, None] = {}
    for place in places:
        folder = place if os.path.isdir(place) else place.parent
        with suppress(OSError):
            for path in sorted(folder.glob(f"*{LIST_ENDING}")):
                found.setdefault(Path(os.path.realpath(path)))
    return tuple(found)


def read_list(path: Path) -> Revocations:
    """Read a list, and see that it is as its key signed it.

    Raises
    ------
    ReleaseError
        The file can't be read, holds no signed list, or was changed since.
    """
    data = read_small(path, _LARGEST)
    values = sealed.parse(path, data, _KIND)
    try:
        held = _from_json(values.get("revocations"))
    except ReleaseError as error:
        raise ReleaseError(f"{path.name}: {error.fact}", _KIND.remedy) from None
    seal = sealed.unseal(path, data, values, _body(held), _KIND)
    if not seal.holds(_body(held)):
        raise ReleaseError(f"{path.name} was changed after it was signed", _KIND.remedy)
    return replace(held, key=seal.key)


def revoke(
    path: Path, rights_holder: str, revocation: Revocation, private_key: Ed25519PrivateKey
) -> Revocations:
    """Withdraw a release: make the list, or put a longer one in its place, whole.

    Parameters
    ----------
    path : Path
        The list; it need not be there yet.
    rights_holder : str
        Who withdraws.
    revocation : Revocation
        What is withdrawn; its day is the list's day too.
    private_key : Ed25519PrivateKey
        The rights holder's.

    Returns
    -------
    Revocations
        The list as it is now.

    Raises
    ------
    ReleaseError
        The list that is there is damaged, is somebody else's or of another key, or holds this
        release already.
    OutputError
        It can't be written, or another process is at it.
    """
    check_line("rights holder's name", rights_holder)
    with alone(path):
        number = 0
        before: tuple[Revocation, ...] = ()
        if os.path.lexists(path):
            held = read_list(path)
            number, before = held.number, held.revoked
            if held.key != private_key.public_key().public_bytes_raw():
                raise ReleaseError(
                    f"{path.name} was signed with another key",
                    "Give that key, or start a list of this one under another name.",
                )
            if held.rights_holder != rights_holder:
                raise ReleaseError(
                    f"{path.name} is the list of {held.rights_holder!r}, "
                    f"the release is of {rights_holder!r}",
                    "Name the list of this rights holder.",
                )
            if any(each.release == revocation.release for each in before):
                raise ReleaseError(
                    f"{path.name} withdraws release {revocation.release} already",
                    "There is nothing to do.",
                )
        made = Revocations(rights_holder, number + 1, revocation.on, (*before, revocation))
        content = sealed.seal(_body(made), private_key)
        if len(content) > _LARGEST:
            raise ReleaseError(
                f"{path.name} would hold more than {_LARGEST} bytes",
                "Start a list of a new key, and keep this one where it is.",
            )
        write_whole(path, content)
    return replace(made, key=private_key.public_key().public_bytes_raw())


def default_memory() -> Path:
    """Return the user's own folder of the newest lists that were seen."""
    return configuration() / "revocations"


def find(places: Iterable[Path], trust: Iterable[Path], memory: Path | None = None) -> Found:
    """Return what the lists say that lie in some places and in the memory.

    Parameters
    ----------
    places : iterable of Path
        Folders, and files beside which lists may lie.
    trust : iterable of Path
        Public key files and folders of them.
    memory : Path or None
        The folder of the newest lists that were seen; newer ones are put there.
    """
    trust = tuple(trust)
    newest: dict[bytes, Revocations] = {}
    seen: list[tuple[Path, Revocations]] = []
    faults: list[str] = []
    warnings: list[str] = []
    remembered = list_paths([memory]) if memory is not None and os.path.isdir(memory) else ()
    for path in dict.fromkeys((*list_paths(places), *remembered)):
        try:
            held = read_list(path)
        except ReleaseError as error:
            where = f" (in {memory})" if path in remembered else ""
            faults.append(f"{error.fact}{where}, so nobody can tell which releases it withdraws")
            continue
        holders, _ = trusted_holders(held.key, trust)
        if held.rights_holder not in holders:
            if path in remembered:  # by somebody who trusts others too
                continue
            warnings.append(
                f"{path.name} does not count: it speaks for {held.rights_holder!r} and is signed "
                + (f"by {holders[0]!r}" if holders else "by a key that is not in your trust store")
            )
            continue
        seen.append((path, held))
        if held.key not in newest or held.number > newest[held.key].number:
            newest[held.key] = held
    for path, held in seen:
        last = newest[held.key]
        if held.number < last.number and path not in remembered:
            warnings.append(
                f"{path.name} is old: it is list {held.number} of {held.rights_holder}, and list "
                f"{last.number} was seen, which counts"
            )
        elif held.number == last.number and held != last:
            warnings.append(
                f"{path.name} is not the only list {held.number} of {held.rights_holder}: "
                "what either withdraws is withdrawn"
            )
    if memory is not None:
        warnings += _remember(memory, seen, newest)
    return Found(tuple(held for _, held in seen), tuple(faults), tuple(warnings))


def _remember(
    memory: Path, seen: list[tuple[Path, Revocations]], newest: Mapping[bytes, Revocations]
) -> list[str]:
    """Copy the newest list of each key into the memory; return what could not be."""
    troubles: list[str] = []
    for path, held in seen:
        copy = memory / f"{hashlib.sha256(held.key).hexdigest()[:32]}{LIST_ENDING}"
        if newest[held.key] is not held or path == Path(os.path.realpath(copy)):
            continue
        try:
            memory.mkdir(parents=True, exist_ok=True)
            write_whole(copy, read_small(path, _LARGEST))
        except OSError as error:
            troubles.append(f"{path.name} can't be remembered in {memory}: {error.strerror}")
        except OutputError as error:
            troubles.append(f"{path.name} can't be remembered: {error.fact}")
        except ReleaseError:
            continue  # it changed since it was read: the next look sees it
    return troubles


def _body(held: Revocations) -> dict[str, Any]:
    return {"format": _KIND.format, "version": sealed.VERSION, "revocations": held.to_json()}


def _from_json(values: Any) -> Revocations:
    """Return a list from what `Revocations.to_json` gave."""
    names = {"rights_holder", "number", "issued", "revoked"}
    if not isinstance(values, Mapping) or set(values) != names:
        raise ReleaseError(f"the list must hold exactly these fields: {', '.join(sorted(names))}")
    number, revoked = values["number"], values["revoked"]
    check_line("rights holder's name", values["rights_holder"])
    if type(number) is not int or not 1 <= number <= _HIGHEST:
        raise ReleaseError(f"the list's number is {number!r}, it must be from 1 to {_HIGHEST}")
    if not isinstance(revoked, list) or not revoked:
        raise ReleaseError("the list withdraws nothing")
    return Revocations(
        values["rights_holder"],
        number,
        _day(values["issued"]),
        tuple(map(_revocation, revoked)),
    )


def _revocation(values: Any) -> Revocation:
    if not isinstance(values, Mapping) or set(values) != {"release", "on", "reason"}:
        raise ReleaseError("each withdrawal must hold exactly: release, on, reason")
    return Revocation(values["release"], _day(values["on"]), values["reason"])


def _day(text: Any) -> date:
    try:
        return date.fromisoformat(text)
    except (TypeError, ValueError):
        raise ReleaseError(f"{text!r} is not a day as YYYY-MM-DD") from None
