"""Who signs: a certificate chain with its key in a file, or with a command that holds the key.

The certificate says who signed and the key proves it. What a certificate is worth depends on the
authority that issued it; one of `test_certificate` is worth nothing and says so in its own name.

References
----------
C2PA Technical Specification 2.2, sections "Digital Signatures" (algorithms) and "X.509
Certificates" (what a certificate must allow); RFC 5280.
"""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final, TypeAlias

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes, PublicKeyTypes
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from semblance.errors import CredentialError

__all__ = ["Signer", "TestCertificate", "is_test", "load_signer", "test_certificate"]

_LARGEST: Final = 1 << 20
_COMMAND_SECONDS: Final = 120.0
_TEST_WORD: Final = re.compile(r"(?<![a-z])test(?:ing)?(?![a-z])", re.IGNORECASE)
_TEST_NAME: Final = "TEST, proves nothing"
_TEST_DAYS: Final = 365

_CURVES: Final = {
    "secp256r1": ("es256", 32),
    "secp384r1": ("es384", 48),
    "secp521r1": ("es512", 66),
}
_HASHES: Final = {"es256": hashes.SHA256(), "es384": hashes.SHA384(), "es512": hashes.SHA512()}
_PSS: Final = padding.PSS(padding.MGF1(hashes.SHA256()), padding.PSS.DIGEST_LENGTH)
_LEAST_RSA: Final = 2048

Sign: TypeAlias = Callable[[bytes], bytes]


@dataclass(frozen=True)
class Signer:
    """A certificate and what signs for it.

    Parameters
    ----------
    chain : str
        The certificates as PEM: the signer's own, then those of its issuers.
    algorithm : {"es256", "es384", "es512", "ed25519", "ps256"}
        By the C2PA's names.
    sign : callable
        Gives the signature of bytes, which is checked against the certificate: for ECDSA as DER,
        for RSA as PSS with SHA-256. Raises `CredentialError`.
    name : str
        Who signs, by the certificate: common name and organisation.
    serial : str
        The certificate's serial number.
    test : bool
        Whether it is a test certificate, which proves nothing about who signed.
    timestamp : str
        Address of the time-stamping service (RFC 3161) that is asked; empty for none.
    """

    chain: str
    algorithm: str
    sign: Sign
    name: str
    serial: str
    test: bool
    timestamp: str = ""


@dataclass(frozen=True)
class TestCertificate:
    """A test certificate: chain, key and the authority that vouches for it; all as PEM text."""

    __test__ = False  # for pytest, which collects by name

    chain: str
    key: str
    authority: str


def load_signer(
    certificate: Path, key: Path | None = None, command: str = "", timestamp: str = ""
) -> Signer:
    """Return who signs with a certificate, after everything that can be checked beforehand.

    Parameters
    ----------
    certificate : Path
        The chain (PEM), the signer's own certificate first.
    key : Path or None
        Its private key (PEM, without a password).
    command : str
        Instead of the key: a command line that takes the bytes to be signed on stdin and gives
        their signature on stdout, as DER or as the two numbers side by side for ECDSA, and as
        PSS with SHA-256 and a salt of 32 bytes for RSA. It is run without a shell.
    timestamp : str
        Address of a time-stamping service; none is asked where this is empty.

    Raises
    ------
    CredentialError
        A file can't be read or isn't what it should be, the certificate does not hold today, the
        key belongs to another one, or a key and a command were given both, or neither.
    """
    if (key is None) == (not command):
        raise CredentialError(
            f"{certificate.name} signs with a key or with a command, and "
            + ("both were given" if command else "neither was given"),
            "Give --key FILE or --signer COMMAND.",
        )
    if timestamp and not timestamp.startswith(("http://", "https://")):
        raise CredentialError(
            f"{timestamp!r} is no address of a time-stamping service",
            "Give one that begins with https:// or http://.",
        )
    chain = _chain(certificate)
    own = chain[0]
    now = datetime.now(UTC)
    if not own.not_valid_before_utc <= now <= own.not_valid_after_utc:
        raise CredentialError(
            f"the certificate {certificate.name} holds from {own.not_valid_before_utc:%Y-%m-%d} "
            f"to {own.not_valid_after_utc:%Y-%m-%d}, and today is {now:%Y-%m-%d}",
            "Sign with one that holds today.",
        )
    public = own.public_key()
    algorithm = _algorithm(certificate, public)
    if key is not None:
        sign, source = _key_signer(key, certificate, public, algorithm), f"the key {key.name}"
    else:
        sign, source = _command_signer(command), f"the signer command {command!r}"

    def checked(data: bytes) -> bytes:
        signature = _as_der(sign(data), public)
        try:
            _verify(public, algorithm, signature, data)
        except InvalidSignature:
            raise CredentialError(
                f"what {source} gave is no {algorithm} signature by the certificate "
                f"{certificate.name}",
                "Give the key that belongs to this certificate.",
            ) from None
        return signature

    text = "".join(each.public_bytes(serialization.Encoding.PEM).decode() for each in chain)
    names = (own.subject.rfc4514_string(), *(each.issuer.rfc4514_string() for each in chain))
    return Signer(
        chain=text,
        algorithm=algorithm,
        sign=checked,
        name=_shown(own.subject),
        serial=str(own.serial_number),
        test=any(map(is_test, names)),
        timestamp=timestamp,
    )


def is_test(name: str) -> bool:
    """Return whether a certificate's name calls it a test.

    >>> is_test("C2PA Test Signing Cert"), is_test("Contest Pictures")
    (True, False)
    """
    return _TEST_WORD.search(name) is not None


def test_certificate() -> TestCertificate:
    """Return a certificate by a made-up authority, to try signing with; it says so in its names.

    The authority's own key is thrown away: it vouches for this one certificate and no other.
    """
    now = datetime.now(UTC).replace(microsecond=0)
    authority_key, key = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
    authority_name = _name(f"Semblance {_TEST_NAME}", "Semblance TEST authority")
    issued = (
        x509.CertificateBuilder()
        .issuer_name(authority_name)
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(days=_TEST_DAYS))
    )
    authority = (
        issued.subject_name(authority_name)
        .public_key(authority_key.public_key())
        .serial_number(x509.random_serial_number())
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(authority=True), critical=True)
        .add_extension(
            x509.SubjectKeyIdentifier.from_public_key(authority_key.public_key()), critical=False
        )
        .sign(authority_key, hashes.SHA256())
    )
    own = (
        issued.subject_name(_name(f"Semblance {_TEST_NAME}", "Semblance TEST signer"))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(authority=False), critical=True)
        .add_extension(
            x509.ExtendedKeyUsage([ExtendedKeyUsageOID.EMAIL_PROTECTION]), critical=False
        )
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(authority_key.public_key()),
            critical=False,
        )
        .sign(authority_key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    private = key.private_bytes(
        pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    ends = authority.public_bytes(pem).decode()
    return TestCertificate(own.public_bytes(pem).decode() + ends, private.decode(), ends)


# --- certificates ----------------------------------------------------------------------------


def _chain(path: Path) -> list[x509.Certificate]:
    try:
        chain = x509.load_pem_x509_certificates(_read(path))
    except ValueError:
        raise CredentialError(
            f"{path.name} is not a certificate chain: expected certificates as PEM",
            "Give the signer's certificate, followed by those of its issuers, in one file.",
        ) from None
    own = chain[0]
    if own.subject == own.issuer:
        raise CredentialError(
            f"the certificate {path.name} was issued by itself, and C2PA accepts none such",
            "Give one that an authority issued; for a trial: semblance certificate test FOLDER.",
        )
    return chain


def _algorithm(path: Path, key: PublicKeyTypes) -> str:
    if isinstance(key, ec.EllipticCurvePublicKey) and key.curve.name in _CURVES:
        return _CURVES[key.curve.name][0]
    if isinstance(key, ed25519.Ed25519PublicKey):
        return "ed25519"
    if isinstance(key, rsa.RSAPublicKey) and key.key_size >= _LEAST_RSA:
        return "ps256"
    raise CredentialError(
        f"the certificate {path.name} is for a kind of key that C2PA does not take",
        f"Give one for ECDSA (P-256, P-384, P-521), Ed25519 or RSA from {_LEAST_RSA} bits.",
    )


def _shown(name: x509.Name) -> str:
    """Return a person's or company's name as it is read out: common name (organisation)."""
    common, company = (
        ", ".join(str(item.value) for item in name.get_attributes_for_oid(kind))
        for kind in (NameOID.COMMON_NAME, NameOID.ORGANIZATION_NAME)
    )
    return f"{common} ({company})" if common and company else common or company or "nobody"


def _name(organisation: str, common: str) -> x509.Name:
    return x509.Name(
        [
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, organisation),
            x509.NameAttribute(NameOID.COMMON_NAME, common),
        ]
    )


def _usage(*, authority: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=True,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=authority,
        crl_sign=authority,
        encipher_only=False,
        decipher_only=False,
    )


# --- signatures ------------------------------------------------------------------------------


def _key_signer(path: Path, certificate: Path, public: PublicKeyTypes, algorithm: str) -> Sign:
    key: PrivateKeyTypes | None
    try:
        key = serialization.load_pem_private_key(_read(path), password=None)
    except TypeError:
        raise CredentialError(
            f"the key {path.name} has a password, and Semblance asks for none",
            "Sign by a command that knows it: --signer COMMAND.",
        ) from None
    except (ValueError, UnsupportedAlgorithm):
        key = None
    if key is None:
        raise CredentialError(
            f"{path.name} is not a private key as PEM", "Give the key of the certificate."
        )
    form = (serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    if key.public_key().public_bytes(*form) != public.public_bytes(*form):
        raise CredentialError(
            f"the key {path.name} does not belong to the certificate {certificate.name}",
            "Give the two that were made together.",
        )
    held = key

    def sign(data: bytes) -> bytes:
        if isinstance(held, ec.EllipticCurvePrivateKey):
            return held.sign(data, ec.ECDSA(_HASHES[algorithm]))
        if isinstance(held, rsa.RSAPrivateKey):
            return held.sign(data, _PSS, hashes.SHA256())
        assert isinstance(held, ed25519.Ed25519PrivateKey)
        return held.sign(data)

    return sign


def _command_signer(command: str) -> Sign:
    words = shlex.split(command, posix=sys.platform != "win32")

    def sign(data: bytes) -> bytes:
        try:
            done = subprocess.run(words, input=data, capture_output=True, timeout=_COMMAND_SECONDS)
        except OSError as error:
            raise CredentialError(
                f"the signer command {command!r} can't be run: {error.strerror or error}",
                "Check the command.",
            ) from error
        except subprocess.TimeoutExpired:
            raise CredentialError(
                f"the signer command {command!r} gave no signature within {_COMMAND_SECONDS:.0f} s",
                "See whether it waits for an answer; it is asked for every signature.",
            ) from None
        said = done.stderr.decode(errors="replace").strip().splitlines()
        if done.returncode:
            raise CredentialError(
                f"the signer command {command!r} failed with exit code {done.returncode}"
                + (f": {said[-1].rstrip('.')}" if said else ""),
                "Run it by hand to see why; it gets the bytes to sign on stdin.",
            )
        if not done.stdout or len(done.stdout) > _LARGEST:
            raise CredentialError(
                f"the signer command {command!r} gave {len(done.stdout)} bytes, and no signature",
                "It must print the bare signature on stdout.",
            )
        return done.stdout

    if not words:
        raise CredentialError("the signer command is empty", "Give one that signs.")
    return sign


def _as_der(signature: bytes, key: PublicKeyTypes) -> bytes:
    """Return an ECDSA signature as DER where it came as its two numbers, any other as it is."""
    if isinstance(key, ec.EllipticCurvePublicKey):
        width = _CURVES[key.curve.name][1]
        if len(signature) == 2 * width:
            r, s = (int.from_bytes(part) for part in (signature[:width], signature[width:]))
            return encode_dss_signature(r, s)
    return signature


def _verify(key: PublicKeyTypes, algorithm: str, signature: bytes, data: bytes) -> None:
    if isinstance(key, ec.EllipticCurvePublicKey):
        key.verify(signature, data, ec.ECDSA(_HASHES[algorithm]))
    elif isinstance(key, rsa.RSAPublicKey):
        key.verify(signature, data, _PSS, hashes.SHA256())
    else:
        assert isinstance(key, ed25519.Ed25519PublicKey)
        key.verify(signature, data)


def _read(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(_LARGEST)
    except OSError as error:
        raise CredentialError(
            f"{path} can't be read: {error.strerror or error}", "Check the path."
        ) from error
