"""Signed credentials: embedded in pictures and movies, beside everything else.

No service is asked, but for the time-stamping service that a `Signer` names.
"""

from __future__ import annotations

import io
import json
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import c2pa

from semblance.credentials.certificates import Signer
from semblance.credentials.claim import Claim, definition
from semblance.credentials.reading import EMBEDS, MEDIA_TYPES, Credential, context, failures
from semblance.errors import CredentialError

__all__ = ["sign_beside", "sign_media", "try_out"]

_ALGORITHMS: Final = {
    "es256": c2pa.C2paSigningAlg.ES256,
    "es384": c2pa.C2paSigningAlg.ES384,
    "es512": c2pa.C2paSigningAlg.ES512,
    "ps256": c2pa.C2paSigningAlg.PS256,
    "ed25519": c2pa.C2paSigningAlg.ED25519,
}


def sign_media(source: Path, target: Path, signer: Signer, claim: Claim) -> None:
    """Write a signed copy of a picture or movie, with the credential inside.

    A credential that it holds already stays in it, as the one before.

    Parameters
    ----------
    source : Path
        PNG, JPEG or MP4.
    target : Path
        Another file, of the same ending; half of one may be left where this raises.
    signer : Signer
    claim : Claim

    Raises
    ------
    CredentialError
        The file is none of these, the signature could not be had, or the time-stamping service
        does not answer.
    OSError
        A file can't be read or written.
    """
    kind = MEDIA_TYPES.get(source.suffix.lower(), "")
    if kind not in EMBEDS:
        raise CredentialError(
            f"{source.name} can't hold a credential: expected PNG, JPEG or MP4",
            "Sign frames as a sequence, with their credential beside them.",
        )
    with source.open("rb") as data:
        before = _embedded(data, kind)
        data.seek(0)
        builder = c2pa.Builder(definition(claim, kind, before=before is not None), context())
        if before is not None:
            builder.add_ingredient(
                {"title": claim.title, "label": "before", "relationship": "parentOf"},
                kind,
                io.BytesIO(before),
            )
        with target.open("w+b") as signed:
            _sign(builder, signer, kind, data, signed, claim.title)


def sign_beside(
    source: Path, signer: Signer, claim: Claim, before: tuple[bytes, Credential] | None = None
) -> bytes:
    """Return a credential to lie beside a file, bound to every byte of it.

    Parameters
    ----------
    source : Path
        Any file, under any name; the claim's title tells its kind.
    signer : Signer
    claim : Claim
    before : (bytes, Credential), optional
        The credential that this one replaces and how it read: it is kept inside, with what was
        wrong with it, so that nothing which was signed is lost.

    Raises
    ------
    CredentialError, OSError
        As `sign_media`.
    """
    kind = MEDIA_TYPES.get(Path(claim.title).suffix.lower(), "application/octet-stream")
    described = definition(claim, kind, before=before is not None)
    if before is not None:
        described["ingredients"].append(
            {
                "title": claim.title,
                "label": "before",
                "format": kind,
                "relationship": "parentOf",
                "active_manifest": before[1].label,
                "validation_results": before[1].results,
                "manifest_data": {"format": "application/c2pa", "identifier": "before.c2pa"},
            }
        )
    builder = c2pa.Builder(described, context())
    builder.set_no_embed()
    if before is not None:
        builder.add_resource("before.c2pa", io.BytesIO(before[0]))
    with source.open("rb") as data:
        return _sign(builder, signer, kind, data, _Nowhere(), claim.title)


def try_out(signer: Signer) -> None:
    """Sign nothing of value, so that what is wrong is said before hours of work.

    Raises
    ------
    CredentialError
        The certificate is of a kind that C2PA doesn't accept, or no signature can be had.
    """
    claim = Claim("trial", "0", (), None, "trial")
    kind, data = "application/octet-stream", io.BytesIO(b"trial")
    builder = c2pa.Builder(definition(claim, kind), context())
    builder.set_no_embed()
    unstamped = replace(signer, timestamp="")
    made = _sign(builder, unstamped, kind, data, _Nowhere(), "a trial of the certificate")
    data.seek(0)
    with c2pa.Reader(kind, data, made, context()) as reader:
        faults = failures(json.loads(reader.json()).get("validation_results", {}))
    if faults:
        raise CredentialError(
            f"what the certificate of {signer.name} signs does not hold: {faults[0]}",
            "Sign with one that is meant for C2PA content credentials.",
        )


def _embedded(data: Any, kind: str) -> bytes | None:
    """Return the file, where it holds a credential; else None."""
    try:
        c2pa.Reader(kind, data, None, context()).close()
    except c2pa.C2paError.ManifestNotFound:
        return None
    except c2pa.C2paError:
        raise CredentialError(
            f"{Path(data.name).name} can't be signed: it is no {kind}, or holds a credential that "
            "can't be read",
            "Look at it with: semblance verify.",
        ) from None
    data.seek(0)
    content: bytes = data.read()
    return content


def _sign(builder: Any, signer: Signer, kind: str, source: Any, target: Any, title: str) -> bytes:
    failed: list[CredentialError] = []

    def sign(data: bytes) -> bytes:
        try:
            return signer.sign(data)
        except CredentialError as error:
            failed.append(error)
            return b""  # which the library takes for a refusal

    try:
        held = c2pa.Signer.from_callback(
            sign, _ALGORITHMS[signer.algorithm], signer.chain, signer.timestamp or None
        )
        with held:
            made: bytes = builder.sign(held, kind, source, target)
    except c2pa.C2paError as error:
        if failed:
            raise failed[0] from None
        raise _refused(error, signer, title) from error
    return made


def _refused(error: Exception, signer: Signer, title: str) -> CredentialError:
    reason = " ".join(str(error).split()).rstrip(".")
    if signer.timestamp and "http" in reason.lower():
        return CredentialError(
            f"{title} can't be signed: the time-stamping service {signer.timestamp} gave no stamp",
            "Check its address, or sign without --timestamp.",
        )
    return CredentialError(
        f"{title} can't be signed: {reason}",
        "Check that the certificate is one for C2PA content credentials.",
    )


class _Nowhere(io.RawIOBase):
    """Where the library copies a file that gets its credential beside it: only lengths are kept."""

    def __init__(self) -> None:
        self._at = self._end = 0

    def write(self, data: Any) -> int:
        self._at += len(data)
        self._end = max(self._end, self._at)
        return len(data)

    def read(self, size: int = -1) -> bytes:
        return b""

    def seek(self, offset: int, whence: int = 0) -> int:
        self._at = (0, self._at, self._end)[whence] + offset
        return self._at

    def tell(self) -> int:
        return self._at

    def flush(self) -> None:
        """Do nothing, also after the library closed it."""
