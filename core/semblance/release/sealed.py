"""Signed JSON documents: one spelling, one signature, and not one byte that could change unseen.

What is signed is `canonical`: the body as JSON with sorted names, no white space, in UTF-8. The
file has one form too (`seal` writes it), and any other spelling of the same content is refused.

References
----------
S. Josefsson, I. Liusvaara, "Edwards-Curve Digital Signature Algorithm (EdDSA)", RFC 8032.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from semblance.errors import ReleaseError

__all__ = ["VERSION", "Kind", "Seal", "canonical", "check_line", "parse", "seal", "unseal", "write"]

VERSION = 1


@dataclass(frozen=True)
class Kind:
    """A kind of signed document.

    Parameters
    ----------
    format : str
        What its ``format`` says.
    what : str
        What it is, for messages: "release document".
    remedy : str
        What to do about one that is wrong.
    """

    format: str
    what: str
    remedy: str


@dataclass(frozen=True)
class Seal:
    """Who signed, and how; whether it holds for a body is for `holds` to say.

    Parameters
    ----------
    key : bytes
        The signer's raw Ed25519 public key (32 bytes).
    signature : bytes
        The raw signature of `canonical` (64 bytes).
    """

    key: bytes
    signature: bytes

    def holds(self, body: Mapping[str, Any]) -> bool:
        """Return whether this key signed exactly this body."""
        try:
            Ed25519PublicKey.from_public_bytes(self.key).verify(self.signature, canonical(body))
        except (InvalidSignature, ValueError):
            return False
        return True


def canonical(body: Mapping[str, Any]) -> bytes:
    """Return the bytes that are signed."""
    return json.dumps(body, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def write(values: Mapping[str, Any], by: Seal | None = None) -> bytes:
    """Return a document as its file holds it; without a seal it is a draft."""
    if by is not None:
        raw = {"key": by.key, "signature": by.signature}
        values = {**values, **{name: base64.b64encode(each).decode() for name, each in raw.items()}}
    return (json.dumps(values, sort_keys=True, indent=2, ensure_ascii=False) + "\n").encode()


def seal(body: Mapping[str, Any], private_key: Ed25519PrivateKey) -> bytes:
    """Return the signed document."""
    key = private_key.public_key().public_bytes_raw()
    return write(body, Seal(key, private_key.sign(canonical(body))))


def parse(path: Path, data: bytes, kind: Kind) -> dict[str, Any]:
    """Return the values of a document of a kind, whoever formatted it.

    Raises
    ------
    ReleaseError
        It is none, or of another version.
    """
    try:
        # RecursionError: json gives up on deep nesting with it.
        values = json.loads(data)
    except (ValueError, RecursionError):
        values = None
    if not isinstance(values, dict) or values.get("format") != kind.format:
        raise ReleaseError(f"{path.name} is not a {kind.what}", kind.remedy)
    if values.get("version") != VERSION:
        raise ReleaseError(
            f"{path.name} has version {values.get('version')!r}, this Semblance reads {VERSION}",
            "Use the Semblance that made it, or a newer one.",
        )
    return values


def unseal(
    path: Path, data: bytes, values: Mapping[str, Any], body: Mapping[str, Any], kind: Kind
) -> Seal:
    """Return the seal of a document.

    Parameters
    ----------
    path : Path
        Its file, for messages.
    data : bytes
        The file's bytes.
    values : mapping
        As `parse` gave them.
    body : mapping
        What was understood of them, as it would be signed.
    kind : Kind

    Raises
    ------
    ReleaseError
        It is not signed, or its bytes are not the ones that `seal` writes for this body.
    """
    try:
        found = Seal(*(base64.b64decode(values[name]) for name in ("key", "signature")))
    except (KeyError, TypeError, ValueError):
        raise ReleaseError(
            f"{path.name} is not signed: it holds no key and signature",
            "Sign it with: semblance release sign.",
        ) from None
    if write(body, found) != data:
        raise ReleaseError(
            f"{path.name} was changed or saved again after it was signed", kind.remedy
        )
    return found


def check_line(what: str, text: Any) -> None:
    """Refuse what is no line of plain text.

    Line breaks, control and direction characters could show a person other words than the ones
    that are signed.

    Raises
    ------
    ReleaseError
        It is empty, no text, or holds such a character.
    """
    if not isinstance(text, str) or not text.strip() or not text.isprintable():
        raise ReleaseError(f"the {what} is {text!r}, it must be a line of plain text")
