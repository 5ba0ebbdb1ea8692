"""From footage to a model by the command line alone, with a stop on the way."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import cv2
import numpy as np
import pytest

from semblance import align
from semblance.cli import main

pytest.importorskip("torch", reason="training needs the extra 'train'")
pytest.importorskip("onnx", reason="export needs the extra 'train'")

SEMBLANCE = [sys.executable, "-c", "import sys; from semblance.cli import main; sys.exit(main())"]
SIDE, COUNT = 96, 12
SETTINGS = ["--size", "32", "--batch", "2", "--save-every", "100000", "--preview-every", "0"]


def draw_faces(folder: Path, skin: tuple[int, int, int]) -> None:
    """Draw a flat face for each landmark set, each in another pose, and write both down."""
    folder.mkdir()
    known = {}
    for seed in range(COUNT):
        random = np.random.default_rng(seed)
        angle = np.radians(random.uniform(-30, 30))
        turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
        scale = random.uniform(62, 78) * np.array([random.uniform(0.7, 1.0), 1.0])
        points = (align.TEMPLATE - align.TEMPLATE.mean(axis=0)) * scale @ turn.T + 48.0
        picture = np.full((SIDE, SIDE, 3), random.uniform(20, 120, 3), np.float32)
        for outline, colour in (
            ([*range(17), *range(26, 16, -1)], np.array(skin) * random.uniform(0.6, 1.2)),
            (range(36, 42), random.uniform(120, 255, 3)),
            (range(42, 48), random.uniform(120, 255, 3)),
            (range(48, 60), random.uniform(20, 200, 3)),
        ):
            corners = np.round(points[list(outline)] * 16).astype(np.int32)
            cv2.fillPoly(picture, [corners], [float(c) for c in colour], cv2.LINE_AA, 4)
        picture += random.normal(0.0, 3.0, picture.shape)
        name = f"{seed:02d}.png"
        cv2.imwrite(str(folder / name), np.clip(picture, 0, 255).astype(np.uint8))
        known[name] = {"landmarks": points.tolist()}
    (folder / "landmarks.json").write_text(json.dumps(known))


@pytest.fixture(scope="module")
def facesets(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("training")
    for name, skin in (("performer", (120, 150, 200)), ("likeness", (80, 100, 150))):
        draw_faces(folder / name, skin)
        marks = ["--landmarks", str(folder / name / "landmarks.json")]
        words = ["faceset", str(folder / name), "-o", str(folder / f"{name}_set")]
        assert main([*words, "--size", "64", *marks]) == 0
    return folder


def train(folder: Path, steps: int) -> list[str]:
    sets = [str(folder / "performer_set"), str(folder / "likeness_set")]
    return ["train", *sets, "-o", str(folder / "run"), "--steps", str(steps), *SETTINGS]


def test_a_stopped_run_goes_on_and_becomes_a_model(facesets, capsys):
    words = train(facesets, 5000)
    running = subprocess.Popen(
        [*SEMBLANCE, *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    deadline = time.monotonic() + 120
    losses = facesets / "run" / "losses.jsonl"
    while not losses.exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    running.send_signal(signal.SIGINT)
    said, complaints = running.communicate(timeout=60)
    assert running.returncode == 0, complaints
    assert "go on with: semblance train" in said
    assert "--steps 5000" in said
    assert "Traceback" not in complaints
    (stop,) = (json.loads(path.read_text()) for path in losses.parent.glob("checkpoint-*.json"))
    assert 0 < stop["step"] < 5000

    # The same command goes on, here with a limit of one more second.
    limit = ["--seconds", str(stop["seconds"] + 1.0), "--json"]
    again = subprocess.run([*SEMBLANCE, *words, *limit], capture_output=True, text=True)
    assert again.returncode == 0, again.stderr
    went_on = json.loads(again.stdout)
    assert went_on["complete"]
    assert went_on["step"] > stop["step"]
    assert Path(went_on["checkpoint"]).exists()

    # Another length would be another run: its schedules span its steps.
    assert main(train(facesets, 6000)) == 1
    assert "'steps'" in capsys.readouterr().err

    model = facesets / "likeness.onnx"
    assert main(["export", str(facesets / "run"), "-o", str(model), "--name", "test face"]) == 0
    assert "test face, 32 px" in capsys.readouterr().out
    assert main(["info", str(model), "--json"]) == 0
    described = json.loads(capsys.readouterr().out)
    assert described["name"] == "test face"
    assert described["size"] == 32

    script = facesets / "likeness.pt"
    assert main(["export", str(model), "-o", str(script), "--torchscript"]) == 0
    said = capsys.readouterr()
    assert "test face, 32 px" in said.out
    assert "slate" in said.err  # nobody has released it
    assert script.exists()
    assert main(["export", str(model), "-o", str(script)]) == 2


def test_a_run_in_a_folder_that_is_no_faceset_is_refused(facesets, tmp_path, capsys):
    sets = [str(facesets / "performer"), str(facesets / "likeness_set")]
    assert main(["train", *sets, "-o", str(tmp_path / "run")]) == 1
    said = capsys.readouterr()
    assert said.err.startswith("semblance: ")
    assert len(said.err.splitlines()) == 1


def test_footage_without_faces_is_refused(tmp_path, capsys):
    cv2.imwrite(str(tmp_path / "grey.png"), np.full((200, 200, 3), 128, np.uint8))
    (tmp_path / "marks.json").write_text("{}")
    words = ["faceset", str(tmp_path / "grey.png"), "-o", str(tmp_path / "set")]
    assert main([*words, "--landmarks", str(tmp_path / "marks.json")]) == 1
    assert capsys.readouterr().err.startswith("semblance: ")


def test_a_run_goes_on_from_another_with_new_faces_and_hard_frames(facesets, capsys):
    sets = [str(facesets / "performer_set"), str(facesets / "likeness_set")]
    short = [*SETTINGS, "--precision", "fp32", "--steps", "3"]
    first, second = facesets / "first", facesets / "second"
    assert main(["train", *sets, "-o", str(first), *short]) == 0
    said = capsys.readouterr().out
    assert f"look at: {first / 'dashboard.html'}" in said
    draw_faces(facesets / "shot", (110, 140, 190))
    marks = ["--landmarks", str(facesets / "shot" / "landmarks.json")]
    words = ["faceset", str(facesets / "shot"), "-o", str(facesets / "shot_set"), "--size", "64"]
    assert main([*words, *marks]) == 0
    assert "missing: the faceset has no " in capsys.readouterr().out
    short = [each for each in short if each not in ("--size", "32")]
    words = ["train", "--from", str(first), "-o", str(second), *short, "--json"]
    more = ["--add-performer", str(facesets / "shot_set"), "--hard", str(first / "hardest.json")]
    assert main([*words, *more]) == 0
    assert json.loads(capsys.readouterr().out)["complete"]
    written = json.loads((second / "config.json").read_text())
    assert written["config"]["size"] == 32
    assert written["config"]["lr"] == 3e-4
    assert written["from"] == {"run": "first", "step": 3}
    assert len(written["facesets"]["performer"]["added"]) == 1
    assert len(written["hard"]) > 3
    # Neither people nor a run to begin with; and one of the two alone.
    for few in ([], sets[:1]):
        assert main(["train", *few, "-o", str(facesets / "none"), *short]) == 2
        assert "Name the facesets of both people" in capsys.readouterr().err
