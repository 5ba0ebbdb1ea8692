"""The farm's bundle, run for real by `openjd`: the finished shot is the local one, bit for bit."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from conftest import a_face, a_plate
from helpers_model import tiny_model
from semblance import farm
from semblance.cli import main
from semblance.exr import Sequence, write_plate
from semblance.face import Face, Track
from semblance.knobs import declared
from semblance.track.file import save_track

FRAMES = tuple(range(1001, 1013))
SEMBLANCE = [sys.executable, "-c", "import sys; from semblance.cli import main; sys.exit(main())"]
KNOBS = ["-m", "likeness.onnx", "-t", "track.json", "--mask-occlusion", "0", "--looks", "1"]
PRESET = {"mix": {"1001": 0.25, "1012": 1.0}, "mask_jaw": False, "mask_grow": -1.5}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A shot with a preset that moves a knob, as the working directory."""
    shot = tmp_path / "shot"
    shot.mkdir()
    monkeypatch.chdir(shot)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    for frame in FRAMES:
        write_plate(a_plate(seed=frame), shot / f"plate.{frame}.exr")
    faces = {frame: Face(a_face().landmarks, luma=0.12) for frame in FRAMES}
    save_track(Track(faces, (120, 90), frames=FRAMES), shot / "track.json")
    tiny_model(shot / "likeness.onnx")
    (shot / "preset.json").write_text(json.dumps(PRESET))
    return shot


@pytest.fixture
def program(tmp_path: Path) -> Path:
    """The program under a name of its own, as a farm's machine has it."""
    path = tmp_path / "semblance of the farm"
    path.write_text(
        f"#!{sys.executable}\nimport sys\nfrom semblance.cli import main\nsys.exit(main())\n"
    )
    path.chmod(0o755)
    return path


@pytest.fixture
def openjd() -> str:
    path = Path(sys.executable).with_name("openjd")
    if not path.exists():
        pytest.skip("openjd-cli is not installed beside this Python")
    return str(path)


def bundle(program: Path, *more: str) -> Path:
    words = ["-o", "out/result.####.exr", "-b", "farm", "--preset", "preset.json"]
    line = ["farm", "bundle", "plate.####.exr", *KNOBS, *words, "--program", str(program), *more]
    assert main(line) == 0
    return Path("farm").resolve()


def local(folder: Path) -> dict[str, bytes]:
    line = [
        "apply",
        "plate.####.exr",
        *KNOBS,
        "--preset",
        "preset.json",
        "-o",
        "here/result.####.exr",
    ]
    assert main(line) == 0
    return held(folder / "here")


def held(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.glob("*.exr"))}


def run(
    openjd: str, bundle: Path, *more: str, hear: Callable[[str], None] = lambda line: None
) -> tuple[int, str]:
    values = f"file://{bundle / 'openjd_values.json'}"
    command = [openjd, "run", str(bundle / "template.json"), "--job-param", values, *more]
    lines: list[str] = []
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as process:
        assert process.stdout is not None
        try:
            for line in process.stdout:
                lines.append(line)
                hear(line)
        except BaseException:
            process.kill()
            raise
    return process.returncode, "".join(lines)


def keepers() -> list[int]:
    """The processes that keep this test's model open."""
    ran = subprocess.run(
        ["ps", "-ww", "-eo", "pid,args"], capture_output=True, text=True, check=True
    )
    mine = [line for line in ran.stdout.splitlines() if "farm keep" in line and os.getcwd() in line]
    return [int(line.split()[0]) for line in mine]


# --- the bundle ------------------------------------------------------------------------------


def test_the_template_is_valid_and_holds_every_knob_once(
    folder: Path, program: Path, openjd: str
) -> None:
    made = bundle(program, "--chunk", "5", "--layers", "--production", "The Long Night")
    ran = subprocess.run(
        [openjd, "check", str(made / "template.json")], capture_output=True, text=True, check=False
    )
    assert ran.returncode == 0, ran.stdout
    template = json.loads((made / "template.json").read_text())
    names = [each["name"] for each in template["parameterDefinitions"]]
    values = json.loads((made / "openjd_values.json").read_text())
    listed = json.loads((made / "parameter_values.json").read_text())["parameterValues"]
    assert values == {each["name"]: each["value"] for each in listed}
    assert len(names) == len(set(names)) <= 50
    still = {knob.name for knob in declared() if knob.name != "mix" and knob.name != "roto_file"}
    assert still <= set(names)
    assert set(names) - set(values) == {"curves"}
    assert (values["mask_jaw"], values["mask_grow"], values["require_release"]) == (
        "false", -1.5, "true",
    )  # fmt: skip
    assert json.loads((made / "curves.json").read_text()) == {"mix": PRESET["mix"]}
    paths = [each for each in template["parameterDefinitions"] if each["type"] == "PATH"]
    assert all(Path(values[each["name"]]).is_absolute() for each in paths if each["name"] in values)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["-t", "nowhere.json"], "nowhere.json is not there"),
        (["-m", "nothing.onnx"], "nothing.onnx is not there"),
        (["--production", "{{Param.model}}"], "which a job template reads"),
    ],
)
def test_what_no_farm_could_render_is_refused_here(
    folder: Path, program: Path, capsys: pytest.CaptureFixture[str], words: list[str], said: str
) -> None:
    line = ["farm", "bundle", "plate.####.exr", *KNOBS, "-o", "out/r.####.exr", "-b", "farm"]
    assert main([*line, *words]) != 0
    assert said in capsys.readouterr().err


# --- run for real ----------------------------------------------------------------------------


def test_in_chunks_the_shot_is_the_local_one(folder: Path, program: Path, openjd: str) -> None:
    made = bundle(program, "--chunk", "5", "--no-require-release")
    code, said = run(openjd, made)
    assert code == 0, said
    assert "Chunks run: 3" in said
    assert "openjd_progress: 100.0" in said
    assert held(folder / "out") == local(folder)
    assert not list((folder / "out").glob(".*"))
    assert keepers() == []
    code, said = run(openjd, made)  # again: nothing is left to do
    assert code == 0


def test_a_process_killed_in_mid_chunk_costs_no_frame(
    folder: Path, program: Path, openjd: str
) -> None:
    made = bundle(program, "--chunk", "12", "--no-require-release")
    killed: list[int] = []

    def hear(line: str) -> None:
        if "frame 1003" in line and not killed:
            (process,) = keepers()
            killed.append(process)
            os.kill(process, signal.SIGKILL)

    code, said = run(openjd, made, hear=hear)
    assert code == 0, said
    assert killed
    assert "attempt 1 of 3 failed (signal 9 ended it)" in said
    assert held(folder / "out") == local(folder)
    assert not list((folder / "out").glob(".semblance-claim*"))


def test_a_chunk_that_fails_twice_succeeds_at_last(
    folder: Path, program: Path, openjd: str
) -> None:
    """A plate that is still on its way: the frames beside it are made once."""
    whole = (folder / "plate.1006.exr").read_bytes()
    (folder / "plate.1006.exr").write_bytes(whole[: len(whole) // 2])
    made = bundle(program, "--chunk", "12", "--no-require-release")

    def hear(line: str) -> None:
        if "attempt 2 of 3 failed" in line:
            (folder / "plate.1006.exr").write_bytes(whole)

    first: dict[str, int] = {}

    def note() -> None:
        while len(first) < 11:
            for path in (folder / "out").glob("*.exr"):
                first.setdefault(path.name, path.stat().st_mtime_ns)
            time.sleep(0.01)

    watching = threading.Thread(target=note, daemon=True)
    watching.start()
    code, said = run(openjd, made, hear=hear)
    assert code == 0, said
    assert said.count("cut short") == 2
    assert held(folder / "out") == local(folder)
    after = {path.name: path.stat().st_mtime_ns for path in (folder / "out").glob("*.exr")}
    assert {name for name in after if first.get(name) != after[name]} <= {"result.1006.exr"}


def test_without_a_release_the_farm_refuses(folder: Path, program: Path, openjd: str) -> None:
    code, said = run(openjd, bundle(program))
    assert code != 0
    assert "release" in said
    assert held(folder / "out") == {}
    assert not re.search("attempt [0-9]", said)  # no other attempt would end otherwise


def test_paths_are_mapped_to_the_machine(
    folder: Path, tmp_path: Path, program: Path, openjd: str
) -> None:
    whole = local(folder)
    bundle(program, "--chunk", "6", "--no-require-release")
    there = tmp_path / "machine"
    shutil.move(folder, there)
    os.chdir(there)
    rules = {
        "version": "pathmapping-1.0",
        "path_mapping_rules": [
            {
                "source_path_format": "POSIX",
                "source_path": str(folder),
                "destination_path": str(there),
            }
        ],
    }
    code, said = run(openjd, there / "farm", "--path-mapping-rules", json.dumps(rules))
    assert code == 0, said
    assert held(there / "out") == whole


def test_cancelling_ends_after_the_frame_in_work(folder: Path, tmp_path: Path) -> None:
    session = tmp_path / "session"
    session.mkdir()
    knobs = [
        f"--knob=model={folder / 'likeness.onnx'}",
        f"--knob=track_file={folder / 'track.json'}",
    ]
    line = ["farm", "task", "--session", str(session), "--require-release", "false", *knobs]
    line += ["--attempts", "3", "--", str(folder / "plate.####.exr")]
    line += ["-o", str(folder / "out" / "result.####.exr"), "--frames", "1001-1012:1"]
    task = subprocess.Popen(
        [*SEMBLANCE, *line], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert task.stdout is not None
    for said in task.stdout:
        if "frame 1002" in said:
            task.send_signal(signal.SIGTERM)
            break
    _, complaints = task.communicate()
    assert task.returncode == 1
    assert "attempt" not in complaints
    made = held(folder / "out")
    assert 0 < len(made) < len(FRAMES)
    assert main(["farm", "leave", "--session", str(session)]) == 0
    assert not list((folder / "out").glob(".*"))


# --- retries ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("codes", "cancelled", "ended", "runs"),
    [
        ([0], False, 0, 1),
        ([1, -9, 0], False, 0, 3),
        ([1, 1, 1, 0], False, 1, 3),
        ([2, 0], False, 2, 1),
        ([3, 0], False, 3, 1),
        ([1, 0], True, 1, 1),
    ],
)
def test_what_can_help_is_tried_again_and_no_more(
    codes: list[int], cancelled: bool, ended: int, runs: int
) -> None:
    left = list(codes)
    said: list[str] = []
    code = farm.attempt(lambda: left.pop(0), 3, said.append, lambda: cancelled, pause=0.0)
    assert (code, len(codes) - len(left), len(said)) == (ended, runs, runs - 1)


def test_the_name_of_a_single_file_is_a_job_too() -> None:
    one = Sequence.parse("plates/plate.1001.exr")
    job = farm.Job(one, Sequence.parse("out/r.exr"), (1001,), {"model": "a", "track_file": "b"})
    assert farm.template(job)["name"] == "Semblance r"
