"""`semblance review` and `semblance shots` on real files."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from conftest import a_plate
from helpers_model import tiny_model
from helpers_review import FRAMES, a_track
from semblance.cli import main
from semblance.exr import write_plate
from semblance.track.file import save_track

PLATE, RESULT = "plate.####.exr", "out/result.####.exr"
LIKENESS = ["-m", "likeness.onnx", "-t", "track.json"]


@pytest.fixture
def shot(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys) -> Path:
    """A rendered shot with its summary, as the working directory."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    for frame in FRAMES[:4]:
        write_plate(a_plate(seed=frame, highlight=0.0), tmp_path / f"plate.{frame}.exr")
    save_track(a_track(), tmp_path / "track.json")
    tiny_model(tmp_path / "likeness.onnx")
    assert main(["apply", PLATE, "--mask-occlusion", "0", *LIKENESS, "-o", RESULT, "--json"]) == 0
    (tmp_path / "summary.json").write_text(capsys.readouterr().out)
    return tmp_path


def test_a_review_is_a_folder_that_the_projects_list_finds(shot, capsys):
    (shot / "out" / "result.1002.exr").unlink()
    words = ["review", PLATE, RESULT, *LIKENESS, "-o", "out/review", "--summary", "summary.json"]
    assert main(words) == 0
    said = capsys.readouterr().out
    assert "4: 4 with problems" in said  # three previews without a release, and a missing one
    held = json.loads((shot / "out" / "review" / "review.json").read_text())
    assert held["range"] == "1001-1004"
    assert held["findings"][0]["frames"] == "1001, 1003-1004"
    assert held["stages"]["infer"]
    assert main(["shots", "."]) == 0
    assert "1, 1 with problems" in capsys.readouterr().out
    assert 'href="out/review/report.html"' in (shot / "shots.html").read_text()


def test_frames_that_were_asked_for_and_are_not_there_are_problems(shot, capsys):
    (shot / "out" / "result.1004.exr").unlink()
    words = ["review", PLATE, RESULT, *LIKENESS, "-o", "r"]
    assert main(words) == 0
    assert "frames    3:" in capsys.readouterr().out
    assert main([*words, "--frames", "1001-1004"]) == 0
    assert "frames    4:" in capsys.readouterr().out


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"failed": []}', "\x00"])
def test_a_summary_that_is_none_is_refused_in_one_line(shot, capsys, text):
    (shot / "bad.json").write_text(text)
    assert main(["review", PLATE, RESULT, *LIKENESS, "-o", "r", "--summary", "bad.json"]) == 2
    assert "bad.json is no summary" in capsys.readouterr().err
    assert not (shot / "r").exists()


def test_a_project_that_is_not_there_is_refused_in_one_line(shot, capsys):
    assert main(["shots", "nowhere"]) != 0
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert "nowhere" in said


def test_the_worst_frames_are_listed_for_training(shot, capsys):
    words = ["review", PLATE, RESULT, *LIKENESS, "--worst", "2"]
    assert main([*words, "-o", "r"]) == 0
    said = capsys.readouterr().out
    held = json.loads((shot / "r" / "worst.json").read_text())
    assert held["format"] == "semblance-frames"
    assert len(held["frames"]) == said.count("worst     ") <= 2
    for each in held["frames"]:
        assert each["source"] == PLATE
        assert f"{each['frame']}: {each['reason']}" in said
    assert main([*words, "-o", "r.png"]) == 2
    assert "name a folder" in capsys.readouterr().err
