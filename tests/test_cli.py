"""The command line as an artist meets it: real files in, real files out, one line for a mistake."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from conftest import a_face, a_plate
from helpers_model import tiny_model
from semblance.cli import main
from semblance.exr import read_plate, write_plate
from semblance.face import Face, Track
from semblance.track.file import load_track, save_track
from semblance.track.provider import PROVIDERS
from semblance.train.config import TrainConfig

FRAMES = (1001, 1002, 1003, 1004, 1005)


@pytest.fixture
def shot(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with plate.####.exr, track.json and likeness.onnx, as the working directory."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    for frame in FRAMES:
        write_plate(a_plate(seed=frame), tmp_path / f"plate.{frame}.exr")
    track = Track({frame: a_face() for frame in FRAMES}, (120, 90), frames=FRAMES)
    save_track(track, tmp_path / "track.json")
    tiny_model(tmp_path / "likeness.onnx")
    return tmp_path


SEMBLANCE = [sys.executable, "-c", "import sys; from semblance.cli import main; sys.exit(main())"]
PLATE, MODEL, TRACK = "plate.####.exr", ["-m", "likeness.onnx"], ["-t", "track.json"]
# No face is drawn in these plates, and what is none would be an occluder.
FLAT = ["--mask-occlusion", "0"]
APPLY = ["apply", PLATE, *FLAT, *MODEL, *TRACK, "-o", "out/result.####.exr"]


def refused(capsys, arguments, code=1) -> str:
    """Run what must fail; return its one line."""
    assert main([str(word) for word in arguments]) == code
    said = capsys.readouterr()
    lines = [line for line in said.err.splitlines() if "slate" not in line]
    assert len(lines) == 1, said.err
    assert lines[0].startswith("semblance: ")
    assert "Traceback" not in said.err
    assert said.out == ""
    return lines[0]


def nothing_left(folder: Path) -> bool:
    """Whether no result is under a final name and no partial file is left over."""
    return not folder.exists() or not any(folder.iterdir())


def change(shot: Path, frame: int) -> np.ndarray:
    """What a result changes of its plate, above the slate of an unreleased likeness."""
    after = read_plate(shot / "out" / f"result.{frame}.exr").picture()
    return np.abs(after - read_plate(shot / f"plate.{frame}.exr").picture())[:60]


# --- apply -----------------------------------------------------------------------------------


def test_apply_writes_every_frame_and_says_what_it_did(shot, capsys):
    assert main(APPLY) == 0
    said = capsys.readouterr()
    assert sorted(path.name for path in (shot / "out").iterdir()) == [
        f"result.{frame}.exr" for frame in FRAMES
    ]
    assert all(change(shot, frame).max() > 1e-3 for frame in FRAMES)
    assert "cpu" in said.out
    assert "out/result.####.exr" in said.out


def test_a_track_as_a_table_gives_the_same_frames(shot, capsys):
    assert main(APPLY) == 0
    lines = ["frame,index,x,y"]
    for frame, face in load_track(shot / "track.json").faces.items():
        lines += [f"{frame},{i},{x:.4f},{y:.4f}" for i, (x, y) in enumerate(face.landmarks)]
    (shot / "track.csv").write_text("\n".join(lines))
    assert (
        main(["apply", PLATE, *FLAT, *MODEL, "-t", "track.csv", "-o", "table/result.####.exr"]) == 0
    )
    first, table = (read_plate(shot / name / "result.1001.exr") for name in ("out", "table"))
    # Exposure is measured in the plate where the track holds none: the face is the same one.
    assert np.abs(first.picture() - table.picture()).mean() < 0.01
    assert (first.picture() != read_plate(shot / "plate.1001.exr").picture()).any()


def test_apply_json_is_one_document_on_stdout(shot, capsys):
    assert main([*APPLY, "--json", "--frames", "1001-1002"]) == 0
    summary = json.loads(capsys.readouterr().out)
    assert (summary["frames"], summary["found"], summary["passed"]) == (2, 2, [])
    assert summary["failed"] == {}
    assert summary["peak_memory_mb"] > 0
    assert summary["provider"] == "cpu"
    for stage in ("read", "infer", "blend", "write"):
        assert 0 < summary["milliseconds"][stage]["median"] <= summary["milliseconds"][stage]["p95"]


def test_apply_runs_as_a_command_of_its_own(shot):
    done = subprocess.run(
        [*SEMBLANCE, *APPLY], capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert len(list((shot / "out").glob("*.exr"))) == len(FRAMES)


@pytest.mark.skipif(os.name == "nt", reason="needs a pseudo-terminal")
def test_a_terminal_gets_a_bar_and_a_pipe_does_not(shot):
    import pty

    ours, theirs = pty.openpty()
    done = subprocess.run([*SEMBLANCE, *APPLY], stdout=subprocess.PIPE, stderr=theirs, text=True)
    os.close(theirs)
    said = os.read(ours, 1 << 16).decode()
    os.close(ours)
    assert done.returncode == 0, said
    assert "rendering" in said
    assert "\x1b[" not in done.stdout
    piped = subprocess.run([*SEMBLANCE, *APPLY], capture_output=True, text=True)
    assert len(piped.stderr.splitlines()) == 1  # the slate's


def test_a_frame_without_a_face_passes_through_bit_for_bit_and_is_told(shot, capsys):
    track = load_track(shot / "track.json")
    faces = {frame: face for frame, face in track.faces.items() if frame < 1005}
    save_track(Track(faces, track.size, frames=FRAMES), shot / "track.json")
    assert main([*APPLY, "--json"]) == 0
    said = capsys.readouterr()
    assert json.loads(said.out)["passed"] == [1005]
    assert "no face in frames 1005" in said.err
    before, after = (read_plate(shot / name) for name in ("plate.1005.exr", "out/result.1005.exr"))
    for name, pixels in before.channels.items():
        assert pixels.tobytes() == after.channels[name].tobytes()


def test_without_a_track_the_plate_is_tracked_and_no_face_is_no_failure(shot, capsys):
    assert (
        main(["apply", PLATE, *FLAT, *MODEL, "-o", "out/result.####.exr", "--frames", "1001"]) == 0
    )
    assert "no face" in capsys.readouterr().err
    assert change(shot, 1001).max() == 0.0


def test_knobs_of_the_command_line_go_before_the_preset_and_curves_are_followed(shot):
    preset = {"identity_strength": {"1001": 0.0, "1005": 1.0}, "mix": 0.0}
    (shot / "look.json").write_text(json.dumps(preset))
    assert main([*APPLY, "--preset", "look.json", "--no-mask-jaw", "--mix", "1"]) == 0
    changes = [change(shot, frame).mean() for frame in FRAMES]
    assert changes[0] < 1e-6
    assert all(before < after for before, after in pairwise(changes))


def test_a_roto_holds_the_result_out(shot):
    for frame in FRAMES:
        plate = a_plate(seed=frame)
        black = np.zeros(plate.picture().shape, np.float32)
        write_plate(
            plate.with_picture(black, plate.data_window, np.ones(black.shape[:2], bool)),
            shot / f"roto.{frame}.exr",
        )
    assert main([*APPLY, "--roto", "roto.####.exr", "--frames", "1001"]) == 0
    assert change(shot, 1001).max() == 0.0


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("model", ("likeness.onnx", "other.onnx")),
        ("track-file", ("track.json", "other.json")),
        ("face", ("0", "1")),
        ("smoothing", ("0", "3")),
    ],
)
def test_knobs_of_the_shot_change_the_picture(shot, name, values):
    tiny_model(shot / "other.onnx", change=-0.2)
    still = a_face().landmarks
    shaken = {frame: Face(still + 6.0 * (frame == 1003), luma=0.12) for frame in FRAMES}
    save_track(Track(shaken, (120, 90), frames=FRAMES), shot / "other.json")
    two = json.loads((shot / "other.json").read_text())
    two["faces"]["1"] = json.loads((shot / "track.json").read_text())["faces"]["0"]
    (shot / "two.json").write_text(json.dumps(two))
    common = {"model": "likeness.onnx", "track-file": "two.json"}
    pictures = []
    for index, value in enumerate(values):
        words = [f"--{key}={item}" for key, item in {**common, name: value}.items()]
        assert main(["apply", PLATE, *FLAT, "-o", f"out{index}/result.####.exr", *words]) == 0
        pictures.append(read_plate(shot / f"out{index}" / "result.1003.exr").picture())
    assert np.abs(pictures[0] - pictures[1]).max() > 1e-3


def test_ctrl_c_stops_between_frames_and_leaves_only_whole_ones(shot):
    for frame in range(1006, 1200):
        write_plate(a_plate(seed=frame), shot / f"plate.{frame}.exr")
    running = subprocess.Popen(
        [*SEMBLANCE, *APPLY], stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    deadline = time.monotonic() + 60
    while not list((shot / "out").glob("result.*.exr")) and time.monotonic() < deadline:
        time.sleep(0.02)
    running.send_signal(signal.SIGINT)
    _, said = running.communicate(timeout=60)
    assert running.returncode == 1
    assert "cancelled" in said
    assert "Traceback" not in said
    written = list((shot / "out").iterdir())
    assert 0 < len(written) < 199
    assert all(read_plate(path).channels for path in written)


# --- apply: what a user gets wrong -----------------------------------------------------------


def test_a_missing_frame_of_a_range_is_named(shot, capsys):
    (shot / "plate.1002.exr").unlink()
    line = refused(capsys, [*APPLY, "--frames", "1001-1003"])
    assert "1002" in line
    assert "1001, 1003-1005" in line
    assert nothing_left(shot / "out")


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (lambda data: b"", "empty"),
        (lambda data: data[: len(data) // 2], ""),
        (lambda data: data[:200], ""),
        (lambda data: b"GIF89a" + bytes(600), "EXR"),
    ],
    ids=["zero-byte", "truncated", "truncated header", "not EXR"],
)
def test_a_broken_frame_fails_alone_with_its_name_and_the_others_are_made(
    shot, capsys, damage, words
):
    broken = shot / "plate.1002.exr"
    broken.write_bytes(damage(broken.read_bytes()))
    assert main([*APPLY, "--json"]) == 1
    said = capsys.readouterr()
    (line,) = [line for line in said.err.splitlines() if "1002" in line]
    assert line.startswith("semblance: frame 1002, ")
    assert "plate.1002.exr" in line
    assert words in line
    assert list(json.loads(said.out)["failed"]) == ["1002"]
    assert sorted(path.name for path in (shot / "out").iterdir()) == [
        f"result.{frame}.exr" for frame in FRAMES if frame != 1002
    ]


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--blend-mode", "poison"], "'poisson'"),
        (["--mix", "1.5"], "1.5"),
        (["--mix", "nan"], "finite"),
        (["--mask-grow", "wide"], "wide"),
        (["--identity-strenght", "1"], "--identity-strength"),
        (["--face", "0.5"], "0.5"),
        (["--preset", "nowhere.json"], "nowhere.json"),
        (["--input-space", "mauve"], "mauve"),
        (["--provider", "abacus"], "abacus"),
        (["--likeness", "nobody"], "'likeness'"),
    ],
)
def test_an_unknown_knob_or_value_is_a_mistake_of_the_command_line(shot, capsys, words, told):
    assert told in refused(capsys, [*APPLY, *words], code=2)
    assert nothing_left(shot / "out")


@pytest.mark.parametrize(
    "make",
    [
        lambda path: tiny_model(path, outputs=("rgb", "matte")),
        lambda path: path.write_bytes(b"not a model"),
        lambda path: path.write_bytes(b""),
        lambda path: path.unlink(),
    ],
    ids=["wrong graph", "no model", "zero-byte", "missing"],
)
def test_a_model_that_is_no_likeness_is_refused_with_its_name(shot, capsys, make):
    make(shot / "likeness.onnx")
    assert "likeness.onnx" in refused(capsys, APPLY)
    assert nothing_left(shot / "out")


def test_no_model_at_all_is_a_mistake_of_the_command_line(shot, capsys):
    assert "-m" in refused(capsys, ["apply", PLATE, *TRACK, "-o", "out/r.####.exr"], code=2)


@pytest.mark.parametrize("text", [None, "", "{}", '{"format": "semblance-track", "version": 99}'])
def test_a_track_that_is_none_is_refused_with_its_name(shot, capsys, text):
    if text is None:
        (shot / "track.json").unlink()
    else:
        (shot / "track.json").write_text(text)
    assert "track.json" in refused(capsys, APPLY)
    assert nothing_left(shot / "out")


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_without_permission_is_refused_by_name(shot, capsys):
    (shot / "out").mkdir(mode=0o500)
    assert "out" in refused(capsys, APPLY)


def test_an_output_that_cannot_be_a_folder_is_refused_by_name(shot, capsys):
    (shot / "out").write_text("a file")
    line = refused(capsys, APPLY)
    assert "out" in line
    assert (shot / "out").read_text() == "a file"


@pytest.mark.parametrize("output", [PLATE, "./plate.%04d.exr", "link/plate.####.exr"])
def test_the_output_is_never_the_plate(shot, capsys, output):
    (shot / "link").symlink_to(shot, target_is_directory=True)
    before = {frame: (shot / f"plate.{frame}.exr").read_bytes() for frame in FRAMES}
    line = refused(capsys, ["apply", PLATE, *FLAT, *MODEL, *TRACK, "-o", output])
    assert "plate" in line
    assert before == {frame: (shot / f"plate.{frame}.exr").read_bytes() for frame in FRAMES}


# --- track -----------------------------------------------------------------------------------


def test_track_writes_every_frame_it_looked_at_and_names_those_without_a_face(shot, capsys):
    assert main(["track", PLATE, "-o", "found.json", "--frames", "1001-1003", "--json"]) == 0
    said = capsys.readouterr()
    assert json.loads(said.out)["lost"] == [1001, 1002, 1003]
    assert said.err == "semblance: no face in frames 1001-1003.\n"
    assert load_track(shot / "found.json").frames == (1001, 1002, 1003)


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ([PLATE, "-o", "no/folder/track.json"], "track.json"),
        (["nothing.####.exr", "-o", "found.json"], "nothing.####.exr"),
        ([PLATE, "-o", "found.json", "--models-dir", "empty"], "empty"),
        ([PLATE, "-o", "found.json", "--frames", "2000-"], "2000"),
    ],
)
def test_track_refuses_what_it_cannot_do_by_name(shot, capsys, words, told):
    (shot / "empty").mkdir()
    assert told in refused(capsys, ["track", *words])
    assert not (shot / "found.json").exists()


# --- releases --------------------------------------------------------------------------------


def test_a_release_goes_from_key_to_a_render_without_a_slate(shot, capsys):
    terms = {
        "rights-holder": "A. Person",
        "likeness": "A. Person",
        "production": "Film",
        "use": "feature film",
        "from": "2020-01-01",
        "until": "2999-12-31",
        "contact": "a.person@example.org",
    }
    words = [word for name, value in terms.items() for word in (f"--{name}", value)]
    assert main(["release", "key", "A. Person", "-o", "person.pem"]) == 0
    assert main(["release", "new", "likeness.onnx", "-o", "draft.json", *words]) == 0
    assert main(["release", "verify", "likeness.onnx", "--trust", "person.pub"]) == 3
    sign = ["release", "sign", "draft.json", "--key", "person.pem"]
    assert main([*sign, "-o", "likeness.release.json"]) == 0
    capsys.readouterr()
    assert main(["release", "show", "likeness.release.json", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["production"] == "Film"
    assert main(["release", "verify", "likeness.onnx", "--trust", "person.pub", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["valid"]
    assert main(["release", "verify", "likeness.onnx"]) == 3
    late = ["--trust", "person.pub", "--on", "3000-01-01"]
    assert main(["release", "verify", "likeness.onnx", *late]) == 3
    capsys.readouterr()
    assert main([*APPLY, "--require-release", "--trust", "person.pub"]) == 0
    assert "slate" not in capsys.readouterr().err
    other = ["--trust", "person.pub", "--production", "Play"]
    refused(capsys, [*APPLY, "--require-release", *other], code=3)
    assert main(["info", "out/result.1001.exr", "--json"]) == 0
    marked = json.loads(capsys.readouterr().out)["semblance"]
    assert marked["release_check"] == "valid"
    assert marked["knobs"]["model"] == "likeness.onnx"


def test_a_key_is_never_replaced(shot, capsys):
    (shot / "person.pem").write_text("precious")
    refused(capsys, ["release", "key", "A. Person", "-o", "person.pem"])
    assert (shot / "person.pem").read_text() == "precious"


# --- looking at things -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "kind"),
    [("plate.1001.exr", "exr"), ("track.json", "track"), ("likeness.onnx", "model")],
)
def test_info_describes_what_the_shot_is_made_of(shot, capsys, path, kind):
    assert main(["info", path, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["kind"] == kind
    assert main(["info", path]) == 0
    assert kind in capsys.readouterr().out


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("nothing.exr", None),
        ("a.exr", b""),
        ("a.json", b"{"),
        ("a.json", b"{}"),
        ("a.txt", b"x"),
        ("a.onnx", b"x"),
    ],
)
def test_info_refuses_what_it_does_not_know_by_name(shot, capsys, name, content):
    if content is not None:
        (shot / name).write_bytes(content)
    assert name in refused(capsys, ["info", name])


def test_doctor_finds_this_installation_in_order(shot, capsys):
    assert main(["doctor", "--json"]) == 0
    checks = json.loads(capsys.readouterr().out)["checks"]
    assert {"numpy", "colour", "compute", "exr"} <= {check["name"] for check in checks}
    assert all(check["found"] for check in checks)
    assert all(check["remedy"] for check in checks if not check["good"])
    assert main(["doctor"]) == 0
    assert "FAIL" not in capsys.readouterr().out


def test_doctor_names_a_broken_colour_config_and_fails(shot, capsys, monkeypatch):
    monkeypatch.setenv("OCIO", str(shot / "nowhere.ocio"))
    code = "import sys; from semblance.cli import main; sys.exit(main(['doctor']))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 1
    assert "FAIL   colour" in done.stdout
    assert "nowhere.ocio" in done.stdout


def test_review_writes_the_sheet_and_the_score_of_a_rendered_shot(shot, capsys):
    assert main([*APPLY, "--mask-feather", "5"]) == 0
    matte = ["apply", PLATE, *FLAT, *MODEL, *TRACK, "-o", "mask/mask.####.exr", "--view", "matte"]
    assert main(matte) == 0
    capsys.readouterr()
    words = ["review", PLATE, "out/result.####.exr", *MODEL, *TRACK, "-o", "sheet.png"]
    assert main([*words, "--truth", PLATE, "--mask", "mask/mask.####.exr"]) == 0
    assert (shot / "sheet.png").read_bytes().startswith(b"\x89PNG")
    said = capsys.readouterr().out
    assert "sheet.png" in said
    assert "PSNR" in said
    refused(capsys, [*words, "--mask", "mask/mask.####.exr"], code=2)


def test_score_prints_the_figures_as_json(shot, capsys):
    assert main(APPLY) == 0
    capsys.readouterr()
    masks = ["apply", PLATE, *FLAT, *MODEL, *TRACK, "-o", "matte/mask.####.exr", "--view", "matte"]
    assert main(masks) == 0
    capsys.readouterr()
    words = ["score", "out/result.####.exr", PLATE, "--mask", "matte/mask.####.exr", *TRACK]
    assert main([*words, "--plate", PLATE, "--matte", "matte/mask.####.exr"]) == 0
    figures = json.loads(capsys.readouterr().out)
    assert figures["mean"]["psnr"] > 0
    assert list(figures["frames"]) == [str(frame) for frame in FRAMES]


# --- options that are made from declarations -------------------------------------------------


def test_track_choices_are_the_providers_there_are():
    from semblance.cli import commands

    for command in ("track", "apply", "faceset"):
        (option,) = [each for each in commands.commands[command].params if each.name == "tracker"]
        assert tuple(option.type.choices) == PROVIDERS


def test_every_training_setting_is_an_option_with_its_help(capsys):
    from dataclasses import fields

    assert main(["train", "--help"]) == 0
    said = " ".join(capsys.readouterr().out.split())
    for item in fields(TrainConfig):
        assert f"--{item.name.replace('_', '-')} " in said
        assert item.metadata["help"].split(";")[0] in said


def test_training_settings_out_of_range_are_mistakes_of_the_command_line(shot, capsys):
    line = refused(capsys, ["train", "a", "b", "-o", "run", "--batch", "0"], code=2)
    assert "--batch" in line
