"""The release: who consents to what, as a small JSON document beside the model.

::

    {"format": "semblance-release", "version": 1,
     "release": {...}, "key": "<base64>", "signature": "<base64>"}

The rights holder signs it, in the form of `semblance.release.sealed`. It names the model by the
sha256 of its file.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, fields
from datetime import date
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from semblance.errors import ReleaseError
from semblance.release import sealed
from semblance.release.files import read_small
from semblance.release.sealed import Seal, check_line

__all__ = [
    "ASK",
    "TEMPLATE",
    "Release",
    "SignedRelease",
    "canonical",
    "default_release_path",
    "draft",
    "new_id",
    "read_draft",
    "read_release",
    "sign",
]

TEMPLATE = "semblance-release-1"
"""The terms that a release's fields speak in: what each means is written in docs/consent.md."""

ASK = "Ask the rights holder for a release of this model; docs/consent.md tells how one is made."

# A release is about a kilobyte; more than this is something else and is not parsed.
_LARGEST = 64 * 1024
_SHA256 = re.compile(r"[0-9a-f]{64}")
_KIND = sealed.Kind("semblance-release", "release document", ASK)


@dataclass(frozen=True)
class Release:
    """What a rights holder consents to.

    Parameters
    ----------
    id : str
        The release's own name, quoted in every frame that is made under it.
    rights_holder : str
        Who consents: the person shown, or who acts for the person.
    likeness : str
        The person whose face the model draws.
    production : str
        The production that may use it.
    uses : tuple of str
        What it may be used for, in words ("feature film", "trailer"); at least one.
    territory : str
        Where the result may be shown.
    valid_from, valid_until : datetime.date
        First and last day on which frames may be made, both included.
    contact : str
        Where the rights holder is reached.
    model_sha256 : str
        The model file, by its sha256 in lower-case hexadecimal.
    template : str
        The terms these fields speak in.

    Raises
    ------
    ReleaseError
        A field is empty, is no plain line of text, or can't be what its name says.
    """

    id: str
    rights_holder: str
    likeness: str
    production: str
    uses: tuple[str, ...]
    territory: str
    valid_from: date
    valid_until: date
    contact: str
    model_sha256: str
    template: str = TEMPLATE

    def __post_init__(self) -> None:
        """Refuse a release that a person could not read or that could never hold."""
        if not isinstance(self.uses, tuple) or not self.uses:
            raise ReleaseError(
                f"the release's 'uses' is {self.uses!r}, it must list at least one use"
            )
        for item in fields(self):
            value = getattr(self, item.name)
            if item.name.startswith("valid_"):
                _check_date(item.name, value)
            else:
                for text in self.uses if item.name == "uses" else (value,):
                    check_line(f"release's {item.name!r}", text)
        if not _SHA256.fullmatch(self.model_sha256):
            raise ReleaseError(
                f"the release's 'model_sha256' is {self.model_sha256!r}, "
                "it must be 64 lower-case hexadecimal digits"
            )
        if self.valid_until < self.valid_from:
            raise ReleaseError(
                f"the release ends on {self.valid_until}, before it starts on {self.valid_from}"
            )

    def to_json(self) -> dict[str, Any]:
        """Return the fields as JSON values; dates in ISO 8601, uses as a list."""
        plain = {item.name: getattr(self, item.name) for item in fields(self)}
        plain["uses"] = list(self.uses)
        for name in ("valid_from", "valid_until"):
            plain[name] = plain[name].isoformat()
        return plain

    @classmethod
    def from_json(cls, values: Any) -> Release:
        """Make a release from what `to_json` returned.

        Raises
        ------
        ReleaseError
            A field is missing, unknown or not what its name says.
        """
        names = [item.name for item in fields(cls)]
        if not isinstance(values, Mapping) or sorted(values) != sorted(names):
            raise ReleaseError(f"the release must hold exactly these fields: {', '.join(names)}")
        given = dict(values)
        given["uses"] = tuple(given["uses"]) if isinstance(given["uses"], list) else given["uses"]
        for name in ("valid_from", "valid_until"):
            try:
                given[name] = date.fromisoformat(given[name])
            except (TypeError, ValueError):
                _check_date(name, given[name])
        return cls(**given)


@dataclass(frozen=True)
class SignedRelease:
    """A release with the seal under it; whether that holds is `verify`'s to say."""

    release: Release
    seal: Seal

    @property
    def holds(self) -> bool:
        """Whether the key in the document signed exactly these terms."""
        return self.seal.holds(_body(self.release))


def new_id() -> str:
    """Return a fresh release id, unique for all practical purposes."""
    return f"SR-{secrets.token_hex(6)}"


def default_release_path(model: Path) -> Path:
    """Return where a model's release lies: beside it, as ``<model stem>.release.json``."""
    return model.with_name(f"{model.stem}.release.json")


def canonical(release: Release) -> bytes:
    """Return the bytes that are signed: sorted names, no white space, UTF-8."""
    return sealed.canonical(_body(release))


def sign(release: Release, private_key: Ed25519PrivateKey) -> bytes:
    """Return the signed document, as it goes into ``<model>.release.json``."""
    return sealed.seal(_body(release), private_key)


def draft(release: Release) -> bytes:
    """Return an unsigned document for the rights holder to read, mend and sign."""
    return sealed.write(_body(release))


def read_draft(path: Path) -> Release:
    """Read the release out of a draft, whoever formatted it, or out of a signed document.

    Raises
    ------
    ReleaseError
        The file can't be read or holds no release.
    """
    return _understood(path, sealed.parse(path, read_small(path, _LARGEST), _KIND))


def read_release(path: Path) -> SignedRelease:
    """Read a signed release. That it can be read says nothing about whether it holds.

    Raises
    ------
    ReleaseError
        The file can't be read, holds no signed release, or was edited or saved again: its bytes
        are not the ones that `sign` writes for its content.
    """
    data = read_small(path, _LARGEST)
    values = sealed.parse(path, data, _KIND)
    release = _understood(path, values)
    return SignedRelease(release, sealed.unseal(path, data, values, _body(release), _KIND))


def _body(release: Release) -> dict[str, Any]:
    return {"format": _KIND.format, "version": sealed.VERSION, "release": release.to_json()}


def _understood(path: Path, values: Mapping[str, Any]) -> Release:
    try:
        return Release.from_json(values.get("release"))
    except ReleaseError as error:
        raise ReleaseError(f"{path.name}: {error.fact}", ASK) from None


def _check_date(name: str, value: Any) -> None:
    # A datetime is a date too, and would be written with its time.
    if type(value) is not date:
        raise ReleaseError(f"the release's {name!r} is {value!r}, it must be a day as YYYY-MM-DD")
