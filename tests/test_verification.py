"""Signed shots: whatever was changed after the signing, the check names it."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from conftest import a_plate
from helpers_credentials import a_certificate, a_signer, test_files
from helpers_model import tiny_model
from helpers_review import FRAMES, Verdict, a_track, rendered
from semblance import credentials, exr, release, sealing, verification
from semblance.cli import main
from semblance.errors import CredentialError, PlateError
from semblance.exr import write_plate
from semblance.model import sha256_of
from semblance.sealing import OnFile, Sealed
from semblance.track.file import save_track
from semblance.verification import Checked, Judge

RELEASED = OnFile(Verdict(), "e" * 64)
UNRELEASED = OnFile(Verdict(False, "no release is on file for this model", "", ""), "")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A shot that was rendered and signed, with its certificate; nobody changes it."""
    folder = tmp_path_factory.mktemp("made")
    material = rendered(folder, frames=FRAMES[:4])
    sealing.seal_frames(material.results, a_signer(folder), RELEASED, plate="plate.####.exr")
    return folder


@dataclass(frozen=True)
class Shot:
    folder: Path

    @property
    def results(self) -> exr.Sequence:
        return exr.Sequence.parse(self.folder / "out" / "result.####.exr")

    def file(self, frame: int) -> Path:
        return self.results.path(frame)

    @property
    def list(self) -> Path:
        return self.folder / "out" / "result.frames.json"

    @property
    def sidecar(self) -> Path:
        return self.folder / "out" / "result.frames.c2pa"

    def check(self, judge: Judge | None = None) -> Checked:
        found = list(verification.verify([self.folder / "out"], judge or Judge()))
        assert len(found) == 1
        return found[0]

    def seal(self, signer: credentials.Signer, on_file: OnFile = RELEASED) -> Sealed:
        return sealing.seal_frames(self.results, signer, on_file, plate="plate.####.exr")

    def signer(self) -> credentials.Signer:
        return credentials.load_signer(self.folder / "chain.pem", self.folder / "key.pem")


@pytest.fixture
def shot(made: Path, tmp_path: Path) -> Shot:
    """A copy of the signed shot."""
    shutil.copytree(made, tmp_path / "shot")
    return Shot(tmp_path / "shot")


def edit(path: Path, change: Callable[[bytes], bytes]) -> None:
    path.write_bytes(change(path.read_bytes()))


def renamed(data: bytes) -> bytes:
    """Write another release into a frame's header, of the same length."""
    assert data.count(b"SR-1") == 1
    return data.replace(b"SR-1", b"SR-7")


# --- what a check says -----------------------------------------------------------------------


def test_a_signed_shot_is_intact_and_says_what_it_is(shot):
    found = shot.check()
    assert (found.state, found.faults, found.good) == ("intact", (), True)
    assert found.signer == "Semblance TEST signer (Semblance TEST, proves nothing)"
    assert found.test
    assert "proves nothing" in found.says["certificate"]
    assert found.says["ingredients"] == "plate.####.exr, tiny"
    assert found.says["source type"] == "compositeWithTrainedAlgorithmicMedia"
    assert found.says["frames"] == "4: 1001-1004"
    assert found.says["release"].startswith("SR-1")
    frame = next(verification.verify([shot.file(1002)], Judge()))
    assert (frame.state, frame.signer) == ("intact", found.signer)


def _flip_last(shot: Shot) -> None:
    edit(shot.file(1002), lambda data: data[:-9] + bytes([data[-9] ^ 1]) + data[-8:])


def _without_attribute(shot: Shot) -> None:
    plate = exr.read_plate(shot.file(1002))
    kept = {n: v for n, v in plate.metadata.items() if n != "semblance:release"}
    write_plate(replace(plate, metadata=kept), shot.folder / "without.exr")
    (shot.folder / "without.exr").replace(shot.file(1002))


CHANGES: dict[str, tuple[Callable[[Shot], object], str]] = {
    "a pixel": (_flip_last, "result.1002.exr: its pixels were changed"),
    "an attribute": (
        lambda shot: edit(shot.file(1002), renamed),
        "result.1002.exr: attribute changed: semblance:release",
    ),
    "a mark that was taken away": (_without_attribute, "removed: semblance:release"),
    "a frame that is gone": (lambda shot: shot.file(1003).unlink(), "result.1003.exr: it is miss"),
    "a frame too many": (
        lambda shot: shutil.copy(shot.file(1002), shot.file(1009)),
        "result.1009.exr: it is not in the list",
    ),
    "a torn frame": (
        lambda shot: edit(shot.file(1002), lambda data: data[:-200]),
        "result.1002.exr: it is",
    ),
    "an empty frame": (
        lambda shot: shot.file(1002).write_bytes(b""),
        "result.1002.exr: it is damaged",
    ),
    "two frames that changed places": (
        lambda shot: [
            shot.file(1001).rename(shot.folder / "x"),
            shot.file(1002).rename(shot.file(1001)),
            (shot.folder / "x").rename(shot.file(1002)),
        ],
        "result.1001.exr: ",
    ),
    "the list": (
        lambda shot: edit(shot.list, lambda data: data.replace(b'"SR-1"', b'"SR-2"')),
        "do not belong together",
    ),
    "a line end in the list": (
        lambda shot: edit(shot.list, lambda data: data + b"\n"),
        "do not belong together",
    ),
    "a list that is gone": (lambda shot: shot.list.unlink(), "result.frames.json"),
    "a credential that is gone": (lambda shot: shot.sidecar.unlink(), "is not signed"),
    "a credential that is torn": (
        lambda shot: edit(shot.sidecar, lambda data: data[:-40]),
        "",
    ),
}


@pytest.mark.parametrize("change", CHANGES)
def test_what_was_changed_is_named(shot, change):
    do, said = CHANGES[change]
    do(shot)
    found = list(verification.verify([shot.folder / "out"], Judge()))
    assert not all(each.good for each in found)
    assert any(said in fault for each in found for fault in each.faults), found


@settings(max_examples=60)
@given(frame=st.sampled_from(FRAMES[:4]), where=st.floats(0.0, 1.0, exclude_max=True))
def test_any_changed_bit_of_a_frame_is_noticed(made, frame, where):
    shot = Shot(made)
    before = shot.file(frame).read_bytes()
    bit = int(where * len(before) * 8)
    other = bytearray(before)
    other[bit // 8] ^= 1 << bit % 8
    shot.file(frame).write_bytes(other)
    try:
        found = shot.check()
    finally:
        shot.file(frame).write_bytes(before)
    assert not found.good
    assert all(fault.startswith(f"result.{frame}.exr: ") for fault in found.faults)


def test_marks_that_nobody_signed_are_not_enough_and_a_plate_claims_nothing(shot, made):
    shot.list.unlink()
    shot.sidecar.unlink()
    found = list(verification.verify([shot.folder / "out"], Judge()))
    assert {each.state for each in found} == {"unsigned"}
    assert not any(each.good for each in found)
    plate = next(verification.verify([made / "plate.1001.exr"], Judge()))
    assert (plate.state, plate.good) == ("unmarked", True)


def test_a_list_that_keeps_silent_about_marks_is_a_fault(shot, monkeypatch):
    monkeypatch.setattr(sealing, "_confirmed", lambda each, release: replace(each, marks={}))
    shot.seal(shot.signer())
    assert "the list says otherwise than its marks" in shot.check().faults[0]


def test_authorities_that_do_not_know_the_signer_make_it_a_fault(shot):
    authority = (shot.folder / "authority.pem").read_text()
    assert shot.check(Judge(authority)).good
    _, _, other = a_certificate(shot.folder / "other")
    assert not shot.check(Judge(other)).good


# --- signing ---------------------------------------------------------------------------------


def test_signing_the_same_frames_again_changes_nothing(shot):
    before = shot.sidecar.read_bytes(), shot.list.read_bytes()
    assert shot.seal(shot.signer()).kept
    assert (shot.sidecar.read_bytes(), shot.list.read_bytes()) == before


def test_another_signer_adds_to_what_was_signed_and_takes_nothing_away(shot):
    chain, key, _ = a_certificate(shot.folder / "other")
    assert not shot.seal(credentials.load_signer(chain, key)).kept
    found = shot.check()
    assert found.good
    assert found.signer == "Render Desk (Kestrel Pictures)"
    assert found.says["earlier"].startswith("1 ")


def test_a_credential_that_can_not_be_read_is_not_replaced(shot):
    shot.sidecar.write_bytes(b"of a later version")
    with pytest.raises(CredentialError, match="not replaced"):
        shot.seal(shot.signer())
    assert shot.sidecar.read_bytes() == b"of a later version"


def test_torn_frames_and_frames_of_others_are_not_signed(shot, made):
    plates = exr.Sequence.parse(made / "plate.####.exr")
    with pytest.raises(CredentialError, match="no frame of"):
        sealing.seal_frames(plates, shot.signer(), RELEASED)
    edit(shot.file(1002), lambda data: data.replace(b"WithTrained", b"withTrained", 1))
    with pytest.raises(CredentialError, match="digitalSourceType"):
        shot.seal(shot.signer())
    edit(shot.file(1001), lambda data: data[:-64] + bytes(64))
    with pytest.raises(PlateError, match="frame 1001"):
        shot.seal(shot.signer())


def test_each_frame_can_have_a_credential_of_its_own(shot):
    shot.list.unlink()
    shot.sidecar.unlink()
    sealing.seal_each(shot.results, shot.signer(), RELEASED)
    found = list(verification.verify([shot.folder / "out"], Judge()))
    assert [each.state for each in found] == ["intact"] * 4
    edit(shot.file(1002), renamed)
    found = list(verification.verify([shot.folder / "out"], Judge()))
    assert [each.state for each in found] == ["intact", "changed", "intact", "intact"]
    assert "attribute changed: semblance:release" in found[1].faults
    shot.file(1003).unlink()
    left = next(verification.verify([shot.file(1003).with_suffix(".c2pa")], Judge()))
    assert left.faults == ("result.1003.exr, which it was made for, is missing",)


# --- releases --------------------------------------------------------------------------------


def claimed(shot: Shot) -> dict[str, object]:
    found = credentials.read_credential(shot.list, shot.sidecar)
    assert found is not None
    assert found.intact
    listed = {each.marks["release"] for each in credentials.FrameList.read(shot.list).frames}
    return {"claim": found.marks["release"], "frames": listed}


@pytest.mark.parametrize(
    ("on_file", "frames"),
    [
        (UNRELEASED, {"none"}),
        (OnFile(Verdict(), ""), {"none"}),
        (OnFile(Verdict(release_id="SR-2"), "e" * 64), {"none"}),
    ],
    ids=["none is on file", "its document is not there", "another one is on file"],
)
def test_a_release_that_is_only_written_into_headers_is_not_claimed(shot, on_file, frames):
    shot.seal(shot.signer(), on_file)
    assert claimed(shot) == {"claim": "none", "frames": frames}
    assert shot.check().says["release"].startswith("none: not valid")


def test_a_release_of_some_of_the_frames_is_not_claimed_for_all(shot):
    edit(shot.file(1002), renamed)
    shot.seal(shot.signer())
    assert claimed(shot) == {"claim": "none", "frames": {"SR-1", "none"}}


def _release(folder: Path, model: Path, **changes: object) -> Path:
    """Write a signed release beside a model, and its key into a trust store."""
    pair = release.new_key("Kestrel Estate")
    (folder / "trust").mkdir()
    (folder / "trust" / "kestrel.pub").write_text(pair.public)
    (folder / "kestrel.pem").write_text(pair.private)
    terms = {
        "id": "SR-9",
        "rights_holder": "Kestrel Estate",
        "likeness": "Ada Kestrel",
        "production": "The Long Night",
        "uses": ("feature film",),
        "territory": "worldwide",
        "valid_from": date(2020, 1, 1),
        "valid_until": date(2199, 12, 31),
        "contact": "rights@example.org",
        "model_sha256": sha256_of(model),
    }
    key = release.load_private_key(folder / "kestrel.pem")
    path = release.default_release_path(model)
    path.write_bytes(release.sign(release.Release(**{**terms, **changes}), key))
    return path


# --- the command line ------------------------------------------------------------------------

SIGN = ["--certificate", "chain.pem", "--key", "key.pem"]
LIKENESS = ["-m", "likeness.onnx", "-t", "track.json"]
APPLY = ["apply", "plate.####.exr", "--mask-occlusion", "0", *LIKENESS, "-o", "out/result.####.exr"]


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with plates, a released likeness and a certificate, as the working directory."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    for frame in FRAMES[:3]:
        write_plate(a_plate(seed=frame, highlight=0.0), tmp_path / f"plate.{frame}.exr")
    save_track(a_track(), tmp_path / "track.json")
    _release(tmp_path, tiny_model(tmp_path / "likeness.onnx"))
    test_files(tmp_path)
    return tmp_path


def test_a_render_is_signed_and_a_delivery_is_checked(desk, capsys):
    assert main([*APPLY, *SIGN, "--trust", "trust", "--json"]) == 0
    said = capsys.readouterr()
    assert json.loads(said.out)["credential"] == "out/result.frames.c2pa"
    assert "proves nothing about who signed" in said.err
    assert main(["verify", "out", "-m", "likeness.onnx", "--trust", "trust"]) == 0
    said = capsys.readouterr()
    assert "SR-9, released by Kestrel Estate" in said.out
    assert "TEST CERTIFICATE" in said.out
    assert "prove nothing about who signed" in said.err
    edit(desk / "likeness.release.json", lambda data: data.replace(b"worldwide", b"Worldwide"))
    shutil.copy(desk / "likeness.release.json", desk / "out")
    assert main(["verify", "out", "--trust", "trust", "--json"]) == 1
    found = json.loads(capsys.readouterr().out)["files"][0]
    assert any("is not the release SR-9" in fault for fault in found["faults"])


def test_a_render_without_a_release_is_signed_as_one_without(desk, capsys):
    (desk / "likeness.release.json").unlink()
    assert main([*APPLY, *SIGN]) == 0
    said = capsys.readouterr()
    assert "signed    out/result.frames.c2pa" in said.out
    assert "no release is claimed" in said.err
    assert main(["verify", "out"]) == 0
    assert "none: not valid: no release is on file" in capsys.readouterr().out


def test_what_can_not_sign_is_said_before_the_first_frame(desk, capsys):
    for words, said in (
        (["--certificate", "chain.pem"], "neither was given"),
        (["--certificate", "chain.pem", "--key", "likeness.onnx"], "not a private key"),
        (["--certificate", "chain.pem", "--signer", "false"], "exit code 1"),
        (["--key", "key.pem"], "needs a certificate"),
    ):
        assert main([*APPLY, *words]) != 0
        assert said in capsys.readouterr().err
        assert not list(desk.glob("out/*.exr"))


def test_a_review_holds_its_credentials_inside(desk, capsys):
    assert main([*APPLY, "--trust", "trust"]) == 0
    words = ["review", "plate.####.exr", "out/result.####.exr", *LIKENESS, "-o", "review"]
    assert main([*words, *SIGN, "--trust", "trust"]) == 0
    capsys.readouterr()
    assert main(["verify", "review", "--json"]) == 0
    found = {Path(f["path"]).name: f for f in json.loads(capsys.readouterr().out)["files"]}
    assert set(found) == {"contact.png", "thumbnail.jpg", "wipe.mp4"}
    assert {each["state"] for each in found.values()} == {"intact"}
    assert all(each["says"]["release"].startswith("SR-9") for each in found.values())
    edit(desk / "review" / "wipe.mp4", lambda data: data[:-300] + b"\1" + data[-299:])
    assert main(["verify", "review"]) == 1
    assert "! its content is not what was signed" in capsys.readouterr().out


def test_frames_and_pictures_are_signed_afterwards(desk, capsys):
    assert main([*APPLY, "--trust", "trust"]) == 0
    assert main(["verify", "out"]) == 1
    assert "signed by    nobody" in capsys.readouterr().out
    told = ["--release", "likeness.release.json", "--trust", "trust"]
    assert main(["sign", "out", *SIGN, *told]) == 0
    assert main(["verify", "out"]) == 0
    assert "SR-9" in capsys.readouterr().out
    words = ["review", "plate.####.exr", "out/result.####.exr", *LIKENESS, "-o", "sheet.png"]
    assert main(words) == 0
    assert main(["sign", "sheet.png", *SIGN]) != 0
    assert "--of" in capsys.readouterr().err
    assert main(["sign", "sheet.png", "--of", "out/result.####.exr", *SIGN, *told]) == 0
    assert main(["verify", "sheet.png"]) == 0


def test_a_test_certificate_says_loudly_what_it_is(desk, capsys):
    assert main(["certificate", "test", "certificates"]) == 0
    assert "proves nothing about who signed" in capsys.readouterr().err
    names = sorted(path.name for path in (desk / "certificates").iterdir())
    assert names == ["TEST-authority.pem", "TEST-certificate.pem", "TEST-key.pem"]
    assert main(["certificate", "test", "certificates"]) == 1  # never replaced
    if os.name != "nt":
        assert (desk / "certificates" / "TEST-key.pem").stat().st_mode & 0o077 == 0


# --- a signing that is killed ----------------------------------------------------------------

KILLED = """
import os, signal, sys
from pathlib import Path
from semblance import credentials, exr, sealing
from semblance.release import Verdict
folder, at = Path(sys.argv[1]), int(sys.argv[2])
steps = []
def counted(does):
    def step(*words):
        steps.append(does)
        if len(steps) == at:
            os.kill(os.getpid(), signal.SIGKILL)
        return does(*words)
    return step
os.replace, os.fsync = counted(os.replace), counted(os.fsync)
signer = credentials.load_signer(folder / "chain.pem", folder / "key.pem")
frames = exr.Sequence.parse(folder / "out" / "result.####.exr")
sealing.seal_frames(frames, signer, sealing.OnFile(Verdict(False, "none"), ""))
"""
# Both files are written (1, 2), then get their names: the list (3), its credential (4).
BEFORE, BETWEEN, NEVER = 3, 4, 5


@pytest.mark.skipif(os.name == "nt", reason="needs SIGKILL")
def test_a_killed_signing_leaves_the_old_pair_or_one_that_is_seen_not_to_fit(shot):
    edit(shot.file(1002), renamed)  # so that there is something new to sign
    seen = {}
    for at in (BEFORE, BETWEEN, NEVER):
        words = [sys.executable, "-c", KILLED, str(shot.folder), str(at)]
        done = subprocess.run(words, capture_output=True, text=True)
        assert done.returncode == (0 if at == NEVER else -signal.SIGKILL), done.stderr
        seen[at] = shot.check()
    old_pair = ("result.1002.exr: attribute changed: semblance:release",)
    assert seen[BEFORE].faults == old_pair
    assert "do not belong together" in seen[BETWEEN].faults[0]
    assert seen[NEVER].state == "intact"
    assert seen[NEVER].says["earlier"].startswith("1 ")
