"""Keys, and whose signature counts.

A studio decides that: the public keys in its trust store. A public key file (``*.pub``) is one
line, ``semblance-key-1 <base64> <rights holder>``; a key signs for the rights holder that its file
names and for nobody else.
"""

from __future__ import annotations

import base64
import os
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from semblance.errors import ReleaseError
from semblance.release.files import read_small
from semblance.release.sealed import check_line

__all__ = [
    "KeyPair",
    "configuration",
    "default_trust_paths",
    "load_private_key",
    "new_key",
    "trusted_holders",
]

_FORMAT = "semblance-key-1"
_LARGEST = 64 * 1024


@dataclass(frozen=True)
class KeyPair:
    """A new key: the private half (PKCS #8 PEM text) and the line of its ``*.pub`` file."""

    private: str
    public: str


def new_key(rights_holder: str) -> KeyPair:
    """Return a new Ed25519 key for a rights holder.

    The private half stays with the rights holder; the public half goes into the trust store of
    whoever shall accept its signature.

    Raises
    ------
    ReleaseError
        The name is empty or no plain line of text.
    """
    check_line("rights holder's name", rights_holder)
    private = Ed25519PrivateKey.generate()
    pem = private.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    public = base64.b64encode(private.public_key().public_bytes_raw()).decode()
    return KeyPair(pem.decode(), f"{_FORMAT} {public} {rights_holder}\n")


def load_private_key(path: Path) -> Ed25519PrivateKey:
    """Read the private half of a key as `new_key` makes it.

    Raises
    ------
    ReleaseError
        The file can't be read or holds no unencrypted Ed25519 private key.
    """
    data = read_small(path, _LARGEST)
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


def configuration() -> Path:
    """Return the user's own folder of Semblance's settings."""
    homes = {"win32": "AppData/Roaming", "darwin": "Library/Application Support"}
    return Path.home() / homes.get(sys.platform, ".config") / "semblance"


def default_trust_paths() -> tuple[Path, ...]:
    """Return the user's own trust store: ``semblance/trust`` in the user's configuration folder.

    Nothing about a model decides whom to trust; a key that arrives with a model proves nothing.
    """
    return (configuration() / "trust",)


def trusted_holders(key: bytes, trust: Iterable[Path]) -> tuple[list[str], list[str]]:
    """Return the rights holders that a key signs for, and what is wrong with the trust store."""
    holders: list[str] = []
    faults: list[str] = []
    for entry in trust:
        # os.path and not Path: a folder that may not be entered answers no instead of raising.
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
        form, key, holder = read_small(path, _LARGEST).decode().strip().split(" ", 2)
        if form != _FORMAT:
            raise ValueError(form)
        return base64.b64decode(key, validate=True), holder
    except ValueError:
        raise ReleaseError(f"{path.name} is not a public key for releases") from None
