"""What a rights holder withdrew stays withdrawn, whatever is done to the list that says so."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import shutil
import sys
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from conftest import a_face, a_plate
from helpers_model import tiny_model
from semblance import provenance
from semblance import release as releases
from semblance.cli import main
from semblance.errors import OutputError, ReleaseError
from semblance.exr import read_header, write_plate
from semblance.face import Face, Track
from semblance.release import Release, Revocation, Verdict
from semblance.release.sealed import write
from semblance.track.file import save_track

HOLDER = "Kestrel Estate"
MODEL = b"a likeness"
TODAY = date(2026, 6, 1)
WHY = Revocation("SR-one", date(2026, 5, 20), "the contract was dissolved")
TERMS = Release(
    id="SR-one",
    rights_holder=HOLDER,
    likeness="Ada Kestrel",
    production="The Long Night",
    uses=("feature film",),
    territory="worldwide",
    valid_from=date(2026, 1, 1),
    valid_until=date(2026, 12, 31),
    contact="rights@example.org",
    model_sha256=hashlib.sha256(MODEL).hexdigest(),
)


@dataclass(frozen=True)
class Desk:
    """A model with its release, a trust store, and what was seen before."""

    folder: Path

    @property
    def trust(self) -> Path:
        return self.folder / "trust"

    @property
    def release(self) -> Path:
        return self.folder / "models" / "ada.release.json"

    @property
    def memory(self) -> Path:
        return self.folder / "memory"

    @property
    def list(self) -> Path:
        return self.trust / "kestrel-estate.revoked.json"

    def key(self, name: str = "kestrel"):
        return releases.load_private_key(self.folder / f"{name}.pem")

    def revoke(self, what: Revocation = WHY, *, path: Path | None = None, key: str = "kestrel"):
        return releases.revoke(path or self.list, HOLDER, what, self.key(key))

    def verify(self, *, remember: bool = True, **changes) -> Verdict:
        given = {"model_sha256": TERMS.model_sha256, "today": TODAY, "trust": [self.trust]}
        given["memory"] = self.memory if remember else None
        return releases.verify(self.release, **(given | changes))


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return _desk(tmp_path)


def _desk(folder: Path) -> Desk:
    desk = Desk(folder)
    desk.trust.mkdir(parents=True)
    desk.release.parent.mkdir()
    for name, holder in (("kestrel", HOLDER), ("stranger", HOLDER), ("other", "Somebody Else")):
        pair = releases.new_key(holder)
        (folder / f"{name}.pem").write_text(pair.private)
        if name != "stranger":
            (desk.trust / f"{name}.pub").write_text(pair.public)
    desk.release.write_bytes(releases.sign(TERMS, desk.key()))
    return desk


# --- what counts -----------------------------------------------------------------------------


def test_a_withdrawn_release_says_when_and_why_and_another_one_stands(desk):
    assert desk.verify().valid
    desk.revoke(dataclasses.replace(WHY, release="SR-another"))
    assert desk.verify().valid
    desk.revoke()
    verdict = desk.verify()
    assert not verdict.valid
    assert verdict.reason == (
        "release SR-one was withdrawn by Kestrel Estate on 2026-05-20: the contract was dissolved"
    )
    assert verdict.reason in verdict.slate
    assert verdict.release_id == "SR-one"
    with pytest.raises(ReleaseError, match="was withdrawn by Kestrel Estate on 2026-05-20"):
        releases.require(verdict)


@pytest.mark.parametrize("place", ["trust", "models", "elsewhere"])
def test_a_list_is_found_in_the_trust_store_beside_the_release_and_beside_the_model(desk, place):
    (desk.folder / place).mkdir(exist_ok=True)
    desk.revoke(path=desk.folder / place / "any name.revoked.json")
    assert desk.verify(beside=[desk.folder / "elsewhere" / "ada.onnx"]).valid is False
    one_key = [desk.trust / "kestrel.pub"]  # beside a key that is named as a file, too
    assert desk.verify(trust=one_key, remember=False).valid == (place == "elsewhere")


def test_no_clock_is_asked(desk):
    desk.revoke(dataclasses.replace(WHY, on=date(2026, 6, 30)))
    for today in (date(2026, 1, 1), TODAY, date(2026, 12, 31)):
        assert "was withdrawn" in desk.verify(today=today).reason


def test_a_list_grows_and_is_replaced_whole(desk):
    numbers = [desk.revoke(dataclasses.replace(WHY, release=f"SR-{n}")).number for n in range(5)]
    assert numbers == [1, 2, 3, 4, 5]
    assert [each.release for each in releases.read_list(desk.list).revoked] == [
        f"SR-{n}" for n in range(5)
    ]
    before = desk.list.read_bytes()
    with pytest.raises(ReleaseError, match="withdraws release SR-3 already"):
        desk.revoke(dataclasses.replace(WHY, release="SR-3"))
    with pytest.raises(ReleaseError, match="signed with another key"):
        desk.revoke(key="stranger")
    lock = desk.list.with_name(f".{desk.list.name}.lock")
    lock.touch()
    with pytest.raises(OutputError, match="being replaced by another process"):
        desk.revoke()
    lock.unlink()
    assert desk.list.read_bytes() == before
    assert sorted(path.name for path in desk.trust.iterdir()) == [
        "kestrel-estate.revoked.json", "kestrel.pub", "other.pub",
    ]  # fmt: skip


# --- what is done to a list ------------------------------------------------------------------


@pytest.mark.parametrize("then", ["older", "gone"])
def test_a_list_that_was_seen_counts_when_an_older_one_or_none_is_in_its_place(desk, then):
    desk.revoke(dataclasses.replace(WHY, release="SR-another"))
    old = desk.list.read_bytes()
    desk.revoke()
    assert not desk.verify().valid
    if then == "older":
        desk.list.write_bytes(old)
    else:
        desk.list.unlink()
    verdict = desk.verify()
    assert "was withdrawn" in verdict.reason
    told = [
        "kestrel-estate.revoked.json is old: it is list 1 of Kestrel Estate, and list 2 was seen, "
        "which counts"
    ]
    assert list(verdict.warnings) == (told if then == "older" else [])


def test_two_lists_of_one_number_add_up_and_are_named(desk):
    desk.revoke()
    desk.revoke(
        dataclasses.replace(WHY, release="SR-another"), path=desk.trust / "fork.revoked.json"
    )
    verdict = desk.verify(remember=False)
    assert "was withdrawn" in verdict.reason
    assert any("is not the only list 1" in each for each in verdict.warnings)


@pytest.mark.parametrize(
    ("key", "told"),
    [
        ("stranger", "signed by a key that is not in your trust store"),
        ("other", "signed by 'Somebody Else'"),
    ],
)
def test_a_list_from_other_hands_does_not_count_and_is_named(desk, key, told):
    desk.revoke(key=key)
    verdict = desk.verify()
    assert verdict.valid
    (warning,) = verdict.warnings
    assert warning.startswith("kestrel-estate.revoked.json does not count")
    assert told in warning


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"", "is not a revocation list"),
        (b"[" * 100_000, "is not a revocation list"),
        (b" " * (1 << 21), "holds more than 1048576 bytes"),
        (b'{"format":"semblance-revocations","version":2}', "has version 2"),
        (b'{"format":"semblance-revocations","version":1}', "must hold exactly these fields"),
    ],
)
def test_a_damaged_list_fails_what_it_could_have_withdrawn(desk, content, told):
    desk.list.write_bytes(content)
    verdict = desk.verify()
    assert not verdict.valid
    assert told in verdict.reason
    assert "so nobody can tell which releases it withdraws" in verdict.reason


def test_a_memory_that_takes_nothing_is_told(desk):
    desk.revoke(dataclasses.replace(WHY, release="SR-another"))
    desk.memory.write_text("a file where the folder should be")
    verdict = desk.verify()
    assert verdict.valid
    assert any("can't be remembered" in each for each in verdict.warnings)


# --- tampering, as a law ---------------------------------------------------------------------


@pytest.fixture(scope="module")
def shop(tmp_path_factory) -> Desk:
    """A release that stands, beside a list that withdraws another one."""
    desk = _desk(tmp_path_factory.mktemp("shop"))
    desk.revoke(dataclasses.replace(WHY, release="SR-another"))
    (desk.folder / "models" / "ada.onnx").write_bytes(MODEL)
    return desk


@settings(max_examples=300)
@given(st.data())
def test_a_byte_that_changed_in_model_release_or_list_is_never_accepted(shop, data):
    model = shop.folder / "models" / "ada.onnx"
    path = data.draw(st.sampled_from([model, shop.release, shop.list]))
    whole = path.read_bytes()
    changed = bytearray(whole)
    for _ in range(data.draw(st.integers(1, 3))):
        changed[data.draw(st.integers(0, len(whole) - 1))] ^= data.draw(st.integers(1, 255))
    try:
        path.write_bytes(changed)
        sha256 = hashlib.sha256(model.read_bytes()).hexdigest()
        verdict = shop.verify(model_sha256=sha256, remember=False)
    finally:
        path.write_bytes(whole)
    assert verdict.valid == (changed == whole)
    assert shop.verify(remember=False).valid


def test_a_field_that_is_replaced_under_the_signature_fails(desk):
    desk.revoke()
    document = json.loads(desk.list.read_bytes())
    document["revocations"]["revoked"][0]["release"] = "SR-another"
    desk.list.write_bytes(write(document))
    assert "was changed after it was signed" in desk.verify().reason


# --- every door ------------------------------------------------------------------------------


@pytest.fixture
def home(desk, monkeypatch) -> Desk:
    """The desk with a real model, as its user's own folders."""
    monkeypatch.setenv("HOME", str(desk.folder / "home"))
    monkeypatch.chdir(desk.folder)
    model = tiny_model(desk.folder / "models" / "ada.onnx")
    sha256 = hashlib.sha256(model.read_bytes()).hexdigest()
    terms = dataclasses.replace(TERMS, model_sha256=sha256, valid_until=date(2999, 12, 31))
    desk.release.write_bytes(releases.sign(terms, desk.key()))
    (store,) = releases.default_trust_paths()
    shutil.copytree(desk.trust, store)
    return desk


def test_withdrawing_on_the_command_line_is_seen_by_verify_show_and_info(home, capsys):
    verify = ["release", "verify", "models/ada.onnx", "--json"]
    assert main(verify) == 0
    words = ["--key", "kestrel.pem", "--reason", "the contract was dissolved"]
    assert main(["release", "revoke", "models/ada.release.json", *words, "--on", "2026-05-20"]) == 0
    assert "list 1 of Kestrel Estate, 1 withdrawn" in capsys.readouterr().out
    assert main(verify) == 3
    assert "was withdrawn" in json.loads(capsys.readouterr().out)["reason"]
    (home.folder / "models" / "kestrel-estate.revoked.json").unlink()
    assert main(verify) == 3  # it was seen
    capsys.readouterr()
    for words in (["release", "show"], ["info"]):
        assert main([*words, "models/ada.release.json", "--json"]) == 0
        told = json.loads(capsys.readouterr().out)["withdrawn"]
        assert told == "2026-05-20: the contract was dissolved"
    assert main(["info", "models/ada.onnx", "--json"]) == 0
    assert "was withdrawn" in json.loads(capsys.readouterr().out)["release_check"]
    (seen,) = releases.default_memory().iterdir()
    for words in (["release", "show"], ["info"]):
        assert main([*words, str(seen)]) == 0
        assert "SR-one  2026-05-20: the contract was dissolved" in capsys.readouterr().out


@pytest.mark.skipif(sys.platform == "win32", reason="Unix sockets")
def test_a_worker_that_runs_sees_a_list_as_soon_as_it_is_there(home):
    from test_worker import PLAIN, served, written

    one = dataclasses.replace(PLAIN, model=home.folder / "models" / "ada.onnx")
    track = written(one.track, home.folder)
    with served(home.folder / "run") as link:
        assert link.frame(one.plan(track), one.fill).done.note == ""
        home.revoke(path=home.folder / "models" / "kestrel-estate.revoked.json")
        assert "was withdrawn by Kestrel Estate" in link.frame(one.plan(track), one.fill).done.note


def test_rendering_shows_why_or_refuses_with_an_exit_code_of_its_own(home, capsys):
    faces = {1001: Face(a_face().landmarks, luma=0.12)}
    save_track(Track(faces, (120, 90), frames=(1001,)), home.folder / "track.json")
    write_plate(a_plate(), home.folder / "plate.1001.exr")
    knobs = ["-m", "models/ada.onnx", "-t", "track.json", "--mask-occlusion", "0"]
    apply = ["apply", "plate.####.exr", *knobs, "-o", "out/result.####.exr"]
    home.revoke(path=home.folder / "models" / "kestrel-estate.revoked.json")
    assert main([*apply, "--require-release"]) == 3
    assert not list((home.folder / "out").glob("*"))
    assert main(apply) == 0
    assert "was withdrawn by Kestrel Estate on 2026-05-20" in capsys.readouterr().err
    marks = provenance.read_marks(read_header("out/result.1001.exr").parts[0].metadata)
    assert marks is not None
    assert "was withdrawn" in marks.release_check


def test_a_list_under_a_name_that_is_not_found_is_refused(home, capsys):
    words = ["--key", "kestrel.pem", "--reason", "why", "-o", "revoked.json"]
    assert main(["release", "revoke", "models/ada.release.json", *words]) == 2
    assert "ends in .revoked.json" in capsys.readouterr().err
