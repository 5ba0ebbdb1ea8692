"""Credentials as they were read, and whether they still fit what they were made for.

The C2PA library checks hashes and signatures. It is told to ask nobody: neither for a manifest that
lies elsewhere nor whether a certificate was withdrawn.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

import c2pa

from semblance.credentials.certificates import is_test
from semblance.credentials.claim import ASSERTION, GENERATOR
from semblance.credentials.spelling import chunk_fault, find_store, store_fault
from semblance.errors import CredentialError

__all__ = [
    "EMBEDS",
    "MEDIA_TYPES",
    "Credential",
    "context",
    "failures",
    "library_version",
    "read_credential",
]

MEDIA_TYPES: Final[Mapping[str, str]] = MappingProxyType(
    {
        ".png": "image/png",
        ".jpg": "image/jpeg",
        ".jpeg": "image/jpeg",
        ".mp4": "video/mp4",
        ".exr": "image/x-exr",
        ".json": "application/json",
    }
)

_AGAIN: Final = "Fetch the file again from where it was signed."

EMBEDS: Final = ("image/png", "image/jpeg", "video/mp4")
"""Files that hold their credential themselves."""
_LARGEST: Final = 64 << 20
_UNTRUSTED: Final = "signingCredential.untrusted"

_CHANGED: Final = "its content is not what was signed"
_WORDS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "assertion.dataHash.mismatch": _CHANGED,
        "assertion.bmffHash.mismatch": _CHANGED,
        "assertion.boxesHash.mismatch": _CHANGED,
        "assertion.hashedURI.mismatch": "what its credential says was changed",
        "assertion.missing": "a part of its credential is missing",
        "claimSignature.mismatch": "the signature of its credential does not hold",
        "claimSignature.outsideValidity": "it was signed outside the days of the certificate",
        "signingCredential.expired": "the certificate ended, and no time stamp by a trusted "
        "service shows that it was signed before",
        "signingCredential.invalid": "the certificate is not one for content credentials",
        "timeStamp.mismatch": "the time stamp is for something else",
    }
)


@dataclass(frozen=True)
class Credential:
    """A credential, and what the check of it came to.

    Parameters
    ----------
    signer : str
        Who signed, by the certificate: common name and organisation.
    serial : str
        The certificate's serial number.
    test : bool
        Whether a test certificate signed, which proves nothing about who did.
    trusted : bool
        Whether one of the named authorities vouches for the certificate; without one, never.
    signed_at : str
        The time of the time stamp, ISO 8601; empty where there is none.
    time_trusted : bool
        Whether one of the named authorities vouches for the time-stamping service.
    software : str
        What made it.
    marks : mapping
        Our own assertion: empty in a credential that other software made.
    source_types : tuple of str
        IPTC digital source types of the actions.
    ingredients : tuple of (str, str)
        Names and identifiers of what it was made of.
    earlier : int
        How many earlier credentials are kept inside.
    faults : tuple of str
        What was changed; empty where everything holds.
    label, results : str, mapping
        The C2PA library's own name and account, for a credential that keeps this one inside.
    """

    signer: str
    serial: str
    test: bool
    trusted: bool
    signed_at: str
    time_trusted: bool
    software: str
    marks: Mapping[str, Any]
    source_types: tuple[str, ...]
    ingredients: tuple[tuple[str, str], ...]
    earlier: int
    faults: tuple[str, ...]
    label: str = field(repr=False)
    results: Mapping[str, Any] = field(repr=False)

    @property
    def intact(self) -> bool:
        """Whether content and credential are as they were signed."""
        return not self.faults


def library_version() -> str:
    """Return the version of the native C2PA library."""
    found: str = c2pa.sdk_version()
    return found


@lru_cache(8)
def context(anchors: str = "") -> Any:
    """Return the C2PA library's settings, with the authorities that vouch for signers (PEM)."""
    settings: dict[str, Any] = {
        "verify": {"remote_manifest_fetch": False, "ocsp_fetch": False},
        "builder": {"thumbnail": {"enabled": False}},
    }
    if anchors:
        settings["trust"] = {"user_anchors": anchors}
    try:
        return c2pa.Context(c2pa.Settings.from_dict(settings))
    except c2pa.C2paError as error:
        raise CredentialError(
            "the list of authorities holds no certificates as PEM", "Give another file."
        ) from error


def read_credential(
    path: Path, sidecar: Path | None = None, anchors: str = ""
) -> Credential | None:
    """Read and check a file's credential.

    Parameters
    ----------
    path : Path
        The file.
    sidecar : Path or None
        The credential beside it (``.c2pa``); None to look inside the file.
    anchors : str
        Certificates of the authorities that vouch for signers, as PEM text.

    Returns
    -------
    Credential or None
        None where a file without a sidecar holds none.

    Raises
    ------
    CredentialError
        The file, or what should be its credential, can't be read.
    """
    kind = MEDIA_TYPES.get(path.suffix.lower(), "application/octet-stream")
    store: bytes | None = None
    try:
        if sidecar is not None:
            store = _read(sidecar)
        elif kind not in EMBEDS:
            return None
        with path.open("rb") as data, c2pa.Reader(kind, data, store, context(anchors)) as reader:
            told = json.loads(reader.json())
            state = reader.get_validation_state()
        return _credential(told, state, path, store)
    except c2pa.C2paError.ManifestNotFound:
        if sidecar is None:
            return None
        raise CredentialError(f"{sidecar.name} holds no credential", _AGAIN) from None
    except OSError as error:
        raise CredentialError(
            f"{path.name} can't be read: {error.strerror or error}", "Check the file."
        ) from error
    # Beside the library's own: a damaged credential may hold anything in any place.
    except (c2pa.C2paError, ValueError, TypeError, KeyError, AttributeError) as error:
        where = path if sidecar is None else sidecar
        reason = " ".join(str(error).split()).rstrip(".")
        raise CredentialError(
            f"the credential of {where.name} is damaged: {reason}", _AGAIN
        ) from error


def _credential(
    told: Mapping[str, Any], state: str | None, path: Path, store: bytes | None
) -> Credential:
    label = told.get("active_manifest", "")
    manifests = told.get("manifests", {})
    manifest = manifests.get(label, {})
    by_label = {each["label"]: each.get("data", {}) for each in manifest.get("assertions", ())}
    actions: Mapping[str, Any] = next(
        (d for n, d in by_label.items() if n.startswith("c2pa.actions")), {}
    )
    generator: Mapping[str, Any] = next(iter(manifest.get("claim_generator_info", ())), {})
    signature = manifest.get("signature_info", {})
    common, company = signature.get("common_name", ""), signature.get("issuer", "")
    results = told.get("validation_results", {})
    faults = failures(results)
    if state not in ("Valid", "Trusted") and not faults:
        faults.append("its credential does not hold")
    if generator.get("name") == GENERATOR or not manifest:
        faults += _unsigned(path, store)
    return Credential(
        signer=f"{common} ({company})" if common and company else common or company or "nobody",
        serial=str(signature.get("cert_serial_number", "")),
        test=is_test(common) or is_test(company),
        trusted=state == "Trusted",
        signed_at=str(signature.get("time") or ""),
        time_trusted=any(
            each.get("code") == "timeStamp.trusted"
            for each in results.get("activeManifest", {}).get("success", ())
        ),
        software=" ".join(str(generator.get(key, "")) for key in ("name", "version")).strip(),
        marks=MappingProxyType(dict(by_label.get(ASSERTION, {}))),
        source_types=tuple(
            each["digitalSourceType"]
            for each in actions.get("actions", ())
            if "digitalSourceType" in each
        ),
        ingredients=tuple(
            (str(each.get("title", "")), str(each.get("instance_id", "")))
            for each in manifest.get("ingredients", ())
        ),
        earlier=max(len(manifests) - 1, 0),
        faults=tuple(dict.fromkeys(faults)),
        label=label,
        results=results,
    )


def failures(results: Mapping[str, Any]) -> list[str]:
    """Return, in words, what the C2PA library found wrong, but for who vouches for the signer.

    What was wrong with an earlier one is part of the record and no fault of this one, but for its
    bytes, which this one vouches for.
    """
    found = list(results.get("activeManifest", {}).get("failure", ()))
    for delta in results.get("ingredientDeltas", ()):
        found += delta.get("validationDeltas", {}).get("failure", ())
    codes = [(str(each.get("code", "")), str(each.get("explanation", ""))) for each in found]
    return [_WORDS.get(code, text) for code, text in codes if code != _UNTRUSTED]


def _unsigned(path: Path, store: bytes | None) -> list[str]:
    """Return what is wrong with bytes that the signature does not reach."""
    faults = []
    if store is None:
        data = path.read_bytes()
        if path.suffix.lower() == ".png":
            faults.append(chunk_fault(data))
        store = find_store(data)
    return [fault for fault in [*faults, store_fault(store) if store else ""] if fault]


def _read(path: Path) -> bytes:
    with path.open("rb") as file:
        data = file.read(_LARGEST + 1)
    if len(data) > _LARGEST:
        raise CredentialError(
            f"{path.name} holds more than {_LARGEST >> 20} MiB, which no credential does",
            "Give the right file.",
        )
    return data
