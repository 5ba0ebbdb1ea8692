"""Likeness releases: who consents to what, signed, and checked before a face is drawn.

A release is a small JSON document beside the model (``<model>.release.json``)::

    {"format": "semblance-release", "version": 1,
     "release": {...}, "key": "<base64>", "signature": "<base64>"}

The rights holder signs it with an Ed25519 key (RFC 8032). What is signed is `canonical`: format,
version and release as JSON with sorted names, no white space, in UTF-8. The file itself has one
form too (`sign` writes it), and any other spelling of the same content is refused, so that no byte
of a release can change unnoticed. The release names the model by the sha256 of its file.

A studio decides whose signature counts: the public keys in its trust store. A public key file
(``*.pub``) is one line, ``semblance-key-1 <base64> <rights holder>``; a key signs for the rights
holder that its file names and for nobody else.

`verify` never raises for a bad release: its `Verdict` says why. `require` raises.
"""

from __future__ import annotations

import base64
import json
import os
import re
import secrets
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from datetime import date
from pathlib import Path
from typing import Any

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from semblance.errors import OutputError, ReleaseError

__all__ = [
    "TEMPLATE",
    "KeyPair",
    "Release",
    "SignedRelease",
    "Verdict",
    "canonical",
    "default_release_path",
    "default_trust_paths",
    "draft",
    "load_private_key",
    "new_id",
    "new_key",
    "read_draft",
    "read_release",
    "require",
    "save_new",
    "sign",
    "verify",
]

FORMAT = "semblance-release"
VERSION = 1
TEMPLATE = "semblance-release-1"
"""The terms that a release's fields speak in: what each means is written in docs/consent.md."""

_KEY_FORMAT = "semblance-key-1"
# A release is about a kilobyte; more than this is something else and is not parsed.
_LARGEST = 64 * 1024
_SHA256 = re.compile(r"[0-9a-f]{64}")
_ASK = "Ask the rights holder for a release of this model; docs/consent.md tells how one is made."


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
                    _check_line(f"release's {item.name!r}", text)
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
    """A release with the signature under it; whether that holds is `verify`'s to say.

    Parameters
    ----------
    release : Release
        What is consented to.
    key : bytes
        The signer's raw Ed25519 public key (32 bytes).
    signature : bytes
        The raw signature of `canonical` (64 bytes).
    """

    release: Release
    key: bytes
    signature: bytes


@dataclass(frozen=True)
class KeyPair:
    """A new key: the private half (PKCS #8 PEM text) and the line of its ``*.pub`` file."""

    private: str
    public: str


@dataclass(frozen=True)
class Verdict:
    """Whether a likeness may be used, and why.

    Parameters
    ----------
    valid : bool
        Whether a trusted rights holder released this very model for now and for this production.
    reason : str
        One sentence for a person, either way.
    release_id, rights_holder, production, until : str
        From the release; empty unless a trusted key signed exactly these words. `until` is the
        last day, ISO 8601.
    """

    valid: bool
    reason: str
    release_id: str = ""
    rights_holder: str = ""
    production: str = ""
    until: str = ""

    @property
    def slate(self) -> str:
        """What must be burnt into the picture; empty where the release is valid."""
        return "" if self.valid else f"UNLICENSED PREVIEW: {self.reason}"


def new_id() -> str:
    """Return a fresh release id, unique for all practical purposes."""
    return f"SR-{secrets.token_hex(6)}"


def new_key(rights_holder: str) -> KeyPair:
    """Return a new Ed25519 key for a rights holder.

    The private half stays with the rights holder; the public half goes into the trust store of
    whoever shall accept its signature.

    Raises
    ------
    ReleaseError
        The name is empty or no plain line of text.
    """
    _check_line("rights holder's name", rights_holder)
    private = Ed25519PrivateKey.generate()
    pem = private.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    public = base64.b64encode(private.public_key().public_bytes_raw()).decode()
    return KeyPair(pem.decode(), f"{_KEY_FORMAT} {public} {rights_holder}\n")


def load_private_key(path: Path) -> Ed25519PrivateKey:
    """Read the private half of a key as `new_key` makes it.

    Raises
    ------
    ReleaseError
        The file can't be read or holds no unencrypted Ed25519 private key.
    """
    data = _read(path)
    try:
        key = serialization.load_pem_private_key(data, password=None)
    except (TypeError, ValueError, UnsupportedAlgorithm):
        key = None
    if not isinstance(key, Ed25519PrivateKey):
        raise ReleaseError(
            f"{path.name} is not a private key for releases: "
            "expected an Ed25519 key as PEM without a password",
            "Give the .pem file that was made together with the .pub file.",
        )
    return key


def canonical(release: Release) -> bytes:
    """Return the bytes that are signed: sorted names, no white space, UTF-8."""
    body = _body(release)
    return json.dumps(body, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def sign(release: Release, private_key: Ed25519PrivateKey) -> bytes:
    """Return the signed document, as it goes into ``<model>.release.json``."""
    key = private_key.public_key().public_bytes_raw()
    return _document(SignedRelease(release, key, private_key.sign(canonical(release))))


def draft(release: Release) -> bytes:
    """Return an unsigned document for the rights holder to read, mend and sign."""
    return _written(_body(release))


def read_draft(path: Path) -> Release:
    """Read the release out of a draft, whoever formatted it, or out of a signed document.

    Raises
    ------
    ReleaseError
        The file can't be read or holds no release.
    """
    return _parse(path, _read(path))[0]


def read_release(path: Path) -> SignedRelease:
    """Read a signed release. That it can be read says nothing about whether it holds.

    Raises
    ------
    ReleaseError
        The file can't be read, holds no signed release, or was edited or saved again: its bytes
        are not the ones that `sign` writes for its content.
    """
    data = _read(path)
    release, values = _parse(path, data)
    try:
        key, signature = (base64.b64decode(values[name]) for name in ("key", "signature"))
    except (KeyError, TypeError, ValueError):
        raise ReleaseError(
            f"{path.name} is not signed: it holds no key and signature",
            "Sign it with: semblance release sign.",
        ) from None
    signed = SignedRelease(release, key, signature)
    if _document(signed) != data:
        raise ReleaseError(f"{path.name} was changed or saved again after it was signed", _ASK)
    return signed


def verify(
    path: Path | None,
    model_sha256: str,
    today: date,
    production: str | None = None,
    trust: Iterable[Path] = (),
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
        nothing is valid.

    Returns
    -------
    Verdict
        Valid only where every check holds.
    """
    # os.path and not Path: a folder that may not be entered answers no instead of raising.
    if path is None or not os.path.exists(path):
        return Verdict(False, "no release is on file for this model")
    try:
        signed = read_release(path)
    except ReleaseError as error:
        return Verdict(False, error.fact)
    if not _signature_holds(signed):
        return Verdict(False, f"{path.name} was changed after it was signed")
    release = signed.release
    holders, faults = _trusted_holders(signed.key, trust)
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
    objection = _objection(release, model_sha256, today, production)
    return Verdict(
        valid=not objection,
        reason=objection
        or f"released by {release.rights_holder} for {release.production} "
        f"until {release.valid_until}",
        release_id=release.id,
        rights_holder=release.rights_holder,
        production=release.production,
        until=release.valid_until.isoformat(),
    )


def require(verdict: Verdict) -> None:
    """Pass only where the release is valid.

    Raises
    ------
    ReleaseError
        It is not; the message is the verdict's reason.
    """
    if not verdict.valid:
        raise ReleaseError(verdict.reason, _ASK)


def default_release_path(model: Path) -> Path:
    """Return where a model's release lies: beside it, as ``<model stem>.release.json``."""
    return model.with_name(f"{model.stem}.release.json")


def default_trust_paths() -> tuple[Path, ...]:
    """Return the user's own trust store: ``semblance/trust`` in the user's configuration folder.

    Nothing about a model decides whom to trust; a key that arrives with a model proves nothing.
    """
    homes = {"win32": "AppData/Roaming", "darwin": "Library/Application Support"}
    return (Path.home() / homes.get(sys.platform, ".config") / "semblance" / "trust",)


def save_new(path: Path, content: bytes, *, private: bool = False) -> None:
    """Write a key, a draft or a release to a new file; an existing one is never replaced.

    Parameters
    ----------
    path : Path
        The file to make.
    content : bytes
        What goes into it.
    private : bool
        Keep it readable for the owner alone.

    Raises
    ------
    OutputError
        The file exists, or can't be written there.
    """
    try:
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600 if private else 0o644)
    except FileExistsError:
        raise OutputError(
            f"{path} exists, and keys and releases are never replaced",
            "Give another name, or move the old file away first.",
        ) from None
    except OSError as error:
        raise _unwritable(path, error) from None
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
    except OSError as error:
        path.unlink(missing_ok=True)
        raise _unwritable(path, error) from None


def _unwritable(path: Path, error: OSError) -> OutputError:
    return OutputError(
        f"{path} can't be written: {error.strerror}",
        "Give a path in a folder that exists and that you may write to.",
    )


# --- documents -------------------------------------------------------------------------------


def _body(release: Release) -> dict[str, Any]:
    return {"format": FORMAT, "version": VERSION, "release": release.to_json()}


def _written(values: Mapping[str, Any]) -> bytes:
    return (json.dumps(values, sort_keys=True, indent=2, ensure_ascii=False) + "\n").encode()


def _document(signed: SignedRelease) -> bytes:
    seals = {"key": signed.key, "signature": signed.signature}
    encoded = {name: base64.b64encode(raw).decode() for name, raw in seals.items()}
    return _written(_body(signed.release) | encoded)


def _read(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            data = file.read(_LARGEST + 1)
    except OSError as error:
        raise ReleaseError(
            f"{path.name} can't be read: {error.strerror}", "Check the path and its permissions."
        ) from None
    if len(data) > _LARGEST:
        raise ReleaseError(
            f"{path.name} holds more than {_LARGEST} bytes, which no release or key does",
            "Give the right file.",
        )
    return data


def _parse(path: Path, data: bytes) -> tuple[Release, Mapping[str, Any]]:
    try:
        # RecursionError: json gives up on deep nesting with it.
        values = json.loads(data)
    except (ValueError, RecursionError):
        values = None
    if not isinstance(values, dict) or values.get("format") != FORMAT:
        raise ReleaseError(f"{path.name} is not a release document", _ASK)
    if values.get("version") != VERSION:
        raise ReleaseError(
            f"{path.name} has version {values.get('version')!r}, this Semblance reads {VERSION}",
            "Use the Semblance that made it, or a newer one.",
        )
    try:
        return Release.from_json(values.get("release")), values
    except ReleaseError as error:
        raise ReleaseError(f"{path.name}: {error.fact}", _ASK) from None


def _check_line(what: str, text: Any) -> None:
    # Not printable: line breaks, control and direction characters, which could show a person
    # other words than the ones that are signed.
    if not isinstance(text, str) or not text.strip() or not text.isprintable():
        raise ReleaseError(f"the {what} is {text!r}, it must be a line of plain text")


def _check_date(name: str, value: Any) -> None:
    # A datetime is a date too, and would be written with its time.
    if type(value) is not date:
        raise ReleaseError(f"the release's {name!r} is {value!r}, it must be a day as YYYY-MM-DD")


# --- checks ----------------------------------------------------------------------------------


def _signature_holds(signed: SignedRelease) -> bool:
    try:
        key = Ed25519PublicKey.from_public_bytes(signed.key)
        key.verify(signed.signature, canonical(signed.release))
    except (InvalidSignature, ValueError):
        return False
    return True


def _trusted_holders(key: bytes, trust: Iterable[Path]) -> tuple[list[str], list[str]]:
    """Return the rights holders that a key signs for, and what is wrong with the trust store."""
    holders: list[str] = []
    faults: list[str] = []
    for entry in trust:
        for path in sorted(entry.glob("*.pub")) if os.path.isdir(entry) else [entry]:
            if not os.path.exists(path):
                continue
            try:
                trusted, holder = _public_key(path)
            except ReleaseError as error:
                faults.append(error.fact)
            else:
                if trusted == key:
                    holders.append(holder)
    return holders, faults


def _public_key(path: Path) -> tuple[bytes, str]:
    try:
        form, key, holder = _read(path).decode().strip().split(" ", 2)
        if form != _KEY_FORMAT:
            raise ValueError(form)
        return base64.b64decode(key, validate=True), holder
    except ValueError:
        raise ReleaseError(f"{path.name} is not a public key for releases") from None


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
