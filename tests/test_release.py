"""A release holds for one model, one production, some days and one signer, and for nothing else."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import stat
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from hypothesis import given, settings
from hypothesis import strategies as st

from semblance import release as releases
from semblance.errors import OutputError, ReleaseError
from semblance.release import Release, Verdict

MODEL = b"a model of sixty-four bytes, which stands for a likeness in ONNX"
MODEL_SHA256 = hashlib.sha256(MODEL).hexdigest()
HOLDER = "Émilie Okonkwo-Łuczak Estate"
TODAY = date(2026, 6, 1)
TERMS = Release(
    id="SR-test",
    rights_holder=HOLDER,
    likeness="Émilie Okonkwo-Łuczak",
    production="The Long Night",
    uses=("feature film", "trailer"),
    territory="worldwide",
    valid_from=date(2026, 1, 1),
    valid_until=date(2026, 12, 31),
    contact="rights@example.org",
    model_sha256=MODEL_SHA256,
)


@dataclass(frozen=True)
class Desk:
    """A folder with a rights holder's key, a trust store that knows it, and a signed release."""

    folder: Path

    @property
    def trust(self) -> Path:
        return self.folder / "trust"

    @property
    def signed(self) -> Path:
        return self.folder / "likeness.release.json"

    def key(self, name: str = "holder"):
        return releases.load_private_key(self.folder / f"{name}.pem")

    def place(self, content: bytes) -> Path:
        path = self.folder / "candidate.release.json"
        path.write_bytes(content)
        return path

    def verify(self, path: Path | None, **changes) -> Verdict:
        arguments = {"model_sha256": MODEL_SHA256, "today": TODAY, "trust": [self.trust]}
        return releases.verify(path, **(arguments | changes))


@pytest.fixture(scope="module")
def desk(tmp_path_factory) -> Desk:
    desk = Desk(tmp_path_factory.mktemp("desk"))
    desk.trust.mkdir()
    for name, holder in (("holder", HOLDER), ("other", "Somebody Else"), ("stranger", HOLDER)):
        pair = releases.new_key(holder)
        (desk.folder / f"{name}.pem").write_text(pair.private)
        if name != "stranger":
            (desk.trust / f"{name}.pub").write_text(pair.public, encoding="utf-8")
    desk.signed.write_bytes(releases.sign(TERMS, desk.key()))
    return desk


# --- what holds ------------------------------------------------------------------------------


def test_a_signed_release_holds_and_says_for_whom(desk):
    verdict = desk.verify(desk.signed)
    assert verdict == Verdict(
        True,
        f"released by {HOLDER} for The Long Night until 2026-12-31",
        "SR-test",
        HOLDER,
        "The Long Night",
        "2026-12-31",
    )
    assert verdict.slate == ""
    releases.require(verdict)


def test_a_release_is_read_as_it_was_signed(desk):
    signed = releases.read_release(desk.signed)
    assert signed.release == TERMS
    assert Release.from_json(json.loads(json.dumps(TERMS.to_json()))) == TERMS


def test_what_is_signed_is_canonical_json(desk):
    body = releases.canonical(TERMS)
    expected = {"format": "semblance-release", "version": 1, "release": TERMS.to_json()}
    assert json.loads(body) == expected
    assert body == json.dumps(
        expected, sort_keys=True, separators=(",", ":"), ensure_ascii=False
    ).encode("utf-8")


@settings(deadline=None)
@given(st.integers(-500, 500))
def test_it_holds_from_its_first_day_to_its_last_and_on_no_other(desk, days):
    today = TODAY + timedelta(days=days)
    expected = TERMS.valid_from <= today <= TERMS.valid_until
    assert desk.verify(desk.signed, today=today).valid == expected


@pytest.mark.parametrize("production", [None, "The Long Night", "the long NIGHT"])
def test_it_holds_for_its_production(desk, production):
    assert desk.verify(desk.signed, production=production).valid


def test_trust_is_a_folder_or_a_file_and_nothing_else_is_trusted(desk):
    assert desk.verify(desk.signed, trust=[desk.trust / "holder.pub"]).valid
    assert not desk.verify(desk.signed, trust=[desk.trust / "other.pub"]).valid
    assert not desk.verify(desk.signed, trust=[desk.folder / "nowhere"]).valid
    assert not desk.verify(desk.signed, trust=[]).valid


def test_a_spoilt_trust_file_is_named(desk, tmp_path):
    (tmp_path / "holder.pub").write_bytes(b"\xff not a key")
    verdict = desk.verify(desk.signed, trust=[tmp_path])
    assert not verdict.valid
    assert "holder.pub is not a public key" in verdict.reason


# --- what was tampered with ------------------------------------------------------------------


def test_every_single_byte_of_the_document_counts(desk):
    whole = desk.signed.read_bytes()
    accepted = []
    for position in range(len(whole)):
        for bit in (0x01, 0x20):  # a neighbouring character; the other case of a letter
            changed = bytearray(whole)
            changed[position] ^= bit
            if desk.verify(desk.place(bytes(changed))).valid:
                accepted.append((position, bit))
    assert accepted == []


@settings(deadline=None)
@given(st.data())
def test_no_byte_can_be_changed_inserted_dropped_or_appended(desk, data):
    whole = desk.signed.read_bytes()
    at = data.draw(st.integers(0, len(whole)))
    cut = data.draw(st.integers(0, 2))
    filling = data.draw(st.binary(max_size=3))
    changed = whole[:at] + filling + whole[at + cut :]
    assert desk.verify(desk.place(changed)).valid == (changed == whole)


def test_every_single_bit_of_the_model_counts(desk):
    for position in range(len(MODEL)):
        for bit in range(8):
            changed = bytearray(MODEL)
            changed[position] ^= 1 << bit
            sha256 = hashlib.sha256(changed).hexdigest()
            assert not desk.verify(desk.signed, model_sha256=sha256).valid


@pytest.mark.parametrize(
    "respell",
    [
        lambda text: text.replace("\n", "\r\n"),
        lambda text: json.dumps(json.loads(text)),
        lambda text: json.dumps(json.loads(text), indent=2, sort_keys=True) + "\n",
        lambda text: text.replace('"version": 1\n', '"version": 1.0\n'),
        lambda text: text.replace('"version": 1\n', '"version": true\n'),
        lambda text: text.replace('  "format"', '  "format": "semblance-release",\n  "format"'),
        lambda text: text.replace("2026-12-31", "20261231"),
        lambda text: "\ufeff" + text,
    ],
)
def test_the_same_content_in_another_spelling_is_refused(desk, respell):
    text = desk.signed.read_text(encoding="utf-8")
    assert respell(text) != text
    verdict = desk.verify(desk.place(respell(text).encode("utf-8")))
    assert not verdict.valid
    assert verdict.release_id == ""


@pytest.mark.parametrize("field", [item.name for item in dataclasses.fields(Release)])
def test_no_field_can_be_replaced_under_a_signature(desk, field):
    other = {
        "uses": ("advertising",),
        "valid_from": date(2020, 1, 1),
        "valid_until": date(2099, 1, 1),
        "model_sha256": "0" * 64,
    }
    forged = dataclasses.replace(TERMS, **{field: other.get(field, "changed")})
    signed = releases.read_release(desk.signed)
    document = json.loads(desk.signed.read_text(encoding="utf-8"))
    document["release"] = forged.to_json()
    text = json.dumps(document, indent=2, sort_keys=True, ensure_ascii=False) + "\n"
    path = desk.place(text.encode("utf-8"))
    assert releases.read_release(path) == dataclasses.replace(signed, release=forged)
    verdict = desk.verify(path, model_sha256=forged.model_sha256)
    assert (verdict.valid, verdict.reason) == (
        False,
        "candidate.release.json was changed after it was signed",
    )


# --- why not ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"today": date(2025, 12, 31)}, "does not hold before 2026-01-01"),
        ({"today": date(2027, 1, 1)}, "ended on 2026-12-31"),
        ({"model_sha256": "f" * 64}, "is for another model: it names sha256"),
        ({"production": "Another Film"}, "is for the production 'The Long Night'"),
    ],
)
def test_a_genuine_release_that_does_not_apply_says_why(desk, changes, reason):
    verdict = desk.verify(desk.signed, **changes)
    assert not verdict.valid
    assert reason in verdict.reason
    assert verdict.release_id == "SR-test"
    assert verdict.slate == f"UNLICENSED PREVIEW: {verdict.reason}"
    with pytest.raises(ReleaseError, match="SR-test"):
        releases.require(verdict)


@pytest.mark.parametrize(
    ("signer", "changes", "reason"),
    [
        ("stranger", {}, "is signed by a key that is not in your trust store"),
        ("other", {}, f"speaks for '{HOLDER}' but is signed by 'Somebody Else'"),
        (
            "holder",
            {"template": "semblance-release-9"},
            "speaks in the terms",
        ),
    ],
)
def test_a_whole_document_from_the_wrong_hands_says_so(desk, signer, changes, reason):
    document = releases.sign(dataclasses.replace(TERMS, **changes), desk.key(signer))
    verdict = desk.verify(desk.place(document))
    assert not verdict.valid
    assert reason in verdict.reason


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "is not a release document"),
        (b"\x00\xff\xfe", "is not a release document"),
        (b"[" * 60_000, "is not a release document"),
        (b"{}", "is not a release document"),
        (b" " * 70_000, "holds more than 65536 bytes"),
        (b'{"format":"semblance-release","version":2}', "has version 2, this Semblance reads 1"),
        (b'{"format":"semblance-release","version":1}', "must hold exactly these fields: id,"),
        (releases.draft(TERMS), "is not signed"),
    ],
)
def test_what_is_no_signed_release_never_raises(desk, content, reason):
    verdict = desk.verify(desk.place(content))
    assert not verdict.valid
    assert reason in verdict.reason


def test_no_file_and_a_folder_are_no_release(desk):
    assert desk.verify(None).reason == "no release is on file for this model"
    assert desk.verify(desk.folder / "nowhere.json").reason == desk.verify(None).reason
    assert "can't be read" in desk.verify(desk.folder).reason


# --- making one ------------------------------------------------------------------------------


def test_a_draft_may_be_edited_by_hand_and_signed(desk):
    drafted = json.loads(releases.draft(TERMS))
    drafted["release"]["territory"] = "Europe"
    path = desk.place(json.dumps(drafted).encode())
    release = releases.read_draft(path)
    assert release == dataclasses.replace(TERMS, territory="Europe")
    assert desk.verify(desk.place(releases.sign(release, desk.key()))).valid


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"contact": ""}, "'contact' is ''"),
        ({"likeness": "two\nlines"}, "must be a line of plain text"),
        ({"territory": "\u202eedisni"}, "must be a line of plain text"),
        ({"uses": ()}, "at least one use"),
        ({"uses": "feature film"}, "at least one use"),
        ({"uses": ("film", " ")}, "'uses'"),
        ({"model_sha256": "ABC"}, "64 lower-case hexadecimal digits"),
        ({"valid_until": date(2025, 1, 1)}, "ends on 2025-01-01, before it starts"),
        ({"valid_from": "soon"}, "must be a day as YYYY-MM-DD"),
    ],
)
def test_a_release_that_could_mislead_or_never_hold_is_refused(changes, message):
    with pytest.raises(ReleaseError, match=message):
        dataclasses.replace(TERMS, **changes)


def test_a_key_is_private_and_nothing_is_ever_replaced(tmp_path):
    path = tmp_path / "holder.pem"
    releases.save_new(path, b"first", private=True)
    if os.name == "posix":
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    with pytest.raises(OutputError, match="never replaced"):
        releases.save_new(path, b"second", private=True)
    assert path.read_bytes() == b"first"
    with pytest.raises(OutputError, match="can't be written"):
        releases.save_new(tmp_path / "nowhere" / "holder.pem", b"")


def _foreign_keys() -> list[bytes]:
    pem = serialization.Encoding.PEM
    pkcs8 = serialization.PrivateFormat.PKCS8
    elliptic = generate_private_key(SECP256R1())
    return [
        b"",
        b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n",
        elliptic.private_bytes(pem, pkcs8, serialization.NoEncryption()),
        elliptic.private_bytes(pem, pkcs8, serialization.BestAvailableEncryption(b"word")),
        releases.new_key("Somebody").public.encode(),
    ]


@pytest.mark.parametrize("content", _foreign_keys(), ids=range(5))
def test_what_is_no_signing_key_is_refused_in_words(tmp_path, content):
    path = tmp_path / "key.pem"
    path.write_bytes(content)
    with pytest.raises(ReleaseError, match="not a private key for releases"):
        releases.load_private_key(path)


def test_a_missing_signing_key_is_refused_in_words(tmp_path):
    with pytest.raises(ReleaseError, match=r"key\.pem can't be read: No such file"):
        releases.load_private_key(tmp_path / "key.pem")


def test_default_places(tmp_path, monkeypatch):
    assert releases.default_release_path(Path("a/likeness.v2.onnx")) == Path(
        "a/likeness.v2.release.json"
    )
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    (store,) = releases.default_trust_paths()
    assert store.is_relative_to(tmp_path)
    assert store.parts[-2:] == ("semblance", "trust")
