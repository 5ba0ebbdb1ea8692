"""Certificates of every kind for tests: made here, worth nothing anywhere else."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from semblance import credentials
from semblance.credentials import Claim, Ingredient, Released, Signer

PEM = serialization.Encoding.PEM
KEYS = {
    "es256": lambda: ec.generate_private_key(ec.SECP256R1()),
    "es384": lambda: ec.generate_private_key(ec.SECP384R1()),
    "es512": lambda: ec.generate_private_key(ec.SECP521R1()),
    "ps256": lambda: rsa.generate_private_key(65537, 2048),
    "ed25519": ed25519.Ed25519PrivateKey.generate,
}


def a_claim(title: str, **changes: Any) -> Claim:
    """A claim about one frame."""
    given: dict[str, Any] = {
        "title": title,
        "version": "1.0",
        "ingredients": (
            Ingredient("plate", "plate.1001.exr", "a" * 64),
            Ingredient("model", "likeness.onnx", "b" * 64),
        ),
        "released": Released("SR-1", "Kestrel Estate", "c" * 64),
        "release_check": "valid",
        "marks": {"knobsHash": "d" * 64},
    }
    return Claim(**{**given, **changes})


def test_files(folder: Path) -> tuple[Path, Path, Path]:
    """Write a test certificate, its key and its authority."""
    folder.mkdir(parents=True, exist_ok=True)
    made = credentials.test_certificate()
    paths = tuple(folder / name for name in ("chain.pem", "key.pem", "authority.pem"))
    for path, text in zip(paths, (made.chain, made.key, made.authority), strict=True):
        path.write_text(text)
    return paths  # type: ignore[return-value]


test_files.__test__ = False  # type: ignore[attr-defined]


def a_signer(folder: Path) -> Signer:
    """Return a signer with a test certificate, whose files are written into the folder."""
    chain, key, _ = test_files(folder)
    return credentials.load_signer(chain, key)


def a_certificate(
    folder: Path,
    kind: str = "es256",
    *,
    company: str = "Kestrel Pictures",
    days: tuple[int, int] = (-10, 100),
    usage: x509.ObjectIdentifier = ExtendedKeyUsageOID.EMAIL_PROTECTION,
    own_issuer: bool = False,
) -> tuple[Path, Path, str]:
    """Write a chain and a key; return their paths and the authority as PEM text."""
    key, authority_key = KEYS[kind](), KEYS["es256"]()
    now = datetime.now(UTC)
    name, authority = (
        x509.Name(
            [
                x509.NameAttribute(NameOID.ORGANIZATION_NAME, company),
                x509.NameAttribute(NameOID.COMMON_NAME, common),
            ]
        )
        for common in ("Render Desk", "Root")
    )

    def built(
        subject: x509.Name, issuer: x509.Name, public: Any, days: tuple[int, int], ca: bool
    ) -> x509.CertificateBuilder:
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(issuer)
            .public_key(public)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now + timedelta(days=days[0]))
            .not_valid_after(now + timedelta(days=days[1]))
            .add_extension(x509.BasicConstraints(ca, 0 if ca else None), critical=True)
            .add_extension(
                x509.KeyUsage(True, False, False, False, False, ca, ca, False, False), critical=True
            )
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_public_key(authority_key.public_key()),
                critical=False,
            )
        )

    root = built(authority, authority, authority_key.public_key(), (-100, 1000), True)
    root = root.add_extension(
        x509.SubjectKeyIdentifier.from_public_key(authority_key.public_key()), critical=False
    ).sign(authority_key, hashes.SHA256())
    own = built(name, name if own_issuer else authority, key.public_key(), days, False)
    own = own.add_extension(x509.ExtendedKeyUsage([usage]), critical=usage == TIME_STAMPING)
    leaf = own.sign(key if own_issuer else authority_key, hashes.SHA256())
    folder.mkdir(parents=True, exist_ok=True)
    chain_path, key_path = folder / f"{kind}-chain.pem", folder / f"{kind}-key.pem"
    chain_path.write_bytes(leaf.public_bytes(PEM) + root.public_bytes(PEM))
    key_path.write_bytes(
        key.private_bytes(PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return chain_path, key_path, root.public_bytes(PEM).decode()


TIME_STAMPING = ExtendedKeyUsageOID.TIME_STAMPING
