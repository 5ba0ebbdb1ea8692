"""No frame is lost and none is torn: kills, full disks, two renders, long shots."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from conftest import Painter, a_face, a_plate
from helpers_model import tiny_model
from semblance import memory, shot
from semblance.exr import Sequence, is_whole, read_plate, write_plate
from semblance.face import Face, Track
from semblance.knobs import Knobs
from semblance.track.file import save_track

FRAMES = tuple(range(1001, 1013))
SEMBLANCE = [sys.executable, "-c", "import sys; from semblance.cli import main; sys.exit(main())"]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A shot of a dozen small frames, as the working directory."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    return a_shot(tmp_path)


def a_shot(folder: Path) -> Path:
    for frame in FRAMES:
        write_plate(a_plate(seed=frame), folder / f"plate.{frame}.exr")
    faces = {frame: Face(a_face().landmarks, luma=0.12) for frame in FRAMES}
    save_track(Track(faces, (120, 90), frames=FRAMES), folder / "track.json")
    tiny_model(folder / "likeness.onnx")
    return folder


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """What the shot has to come out as, wherever it is rendered."""
    folder = a_shot(tmp_path_factory.mktemp("whole"))
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("HOME", str(folder / "home"))
        assert run(apply("whole")).returncode == 0
    return held(folder / "whole")


def apply(output: str, *more: str) -> list[str]:
    knobs = ["-m", "likeness.onnx", "-t", "track.json", "--mask-occlusion", "0", "--looks", "1"]
    return [*SEMBLANCE, "apply", "plate.####.exr", *knobs, "-o", f"{output}/result.####.exr", *more]


def run(command: list[str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, capture_output=True, text=True, check=False)


def held(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.glob("result.*.exr"))}


def test_the_same_shot_twice_is_the_same_bytes(folder: Path, whole: dict[str, bytes]) -> None:
    """In another process, folder and number of threads."""
    command = ["env", "OMP_NUM_THREADS=1", *apply("again")]
    assert run(command).returncode == 0
    assert held(folder / "again") == whole


def killed_and_resumed(folder: Path, kills: int) -> None:
    began = time.perf_counter()
    assert run(apply("whole")).returncode == 0
    longest = time.perf_counter() - began
    whole, chance = held(folder / "whole"), random.Random(8)
    caught = 0
    for kill in range(kills):
        if len(held(folder / "out")) == len(FRAMES):
            for path in (folder / "out").glob("result.*.exr"):
                path.unlink()
        process = subprocess.Popen(
            apply("out", "--resume"), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        time.sleep(chance.uniform(0.25, 1.0) * longest)
        process.send_signal(signal.SIGKILL)
        caught += process.wait() == -signal.SIGKILL
        for name, content in held(folder / "out").items():
            assert content == whole[name], (kill, name)
    assert caught > kills // 3
    assert run(apply("out", "--resume")).returncode == 0
    assert held(folder / "out") == whole
    assert not list((folder / "out").glob(".semblance-claim*"))


def test_a_kill_at_any_moment_leaves_whole_frames_and_resume_makes_the_rest(folder: Path) -> None:
    killed_and_resumed(folder, 6)


@pytest.mark.slow
def test_five_hundred_kills(folder: Path) -> None:
    killed_and_resumed(folder, 500)


# --- disks -----------------------------------------------------------------------------------


@pytest.fixture
def small_disk(folder: Path) -> Iterator[Path]:
    """A disk with room for some frames of the shot."""
    disk = folder / "disk"
    disk.mkdir()
    size = 4 * (folder / "plate.1001.exr").stat().st_size
    command = ["mount", "-t", "tmpfs", "-o", f"size={size}", "none", str(disk)]
    try:
        ran = subprocess.run(command, capture_output=True, check=False)
    except FileNotFoundError:
        pytest.skip("there is no mount here")
    if ran.returncode:
        pytest.skip("mounting is not allowed here")
    yield disk
    subprocess.run(["umount", str(disk)], check=True)


def test_a_full_disk_fails_in_words_and_resume_goes_on(
    folder: Path, small_disk: Path, whole: dict[str, bytes]
) -> None:
    ran = run(apply("disk"))
    assert ran.returncode == 1
    assert "Traceback" not in ran.stderr
    assert "disk is full" in ran.stderr or "No space left" in ran.stderr
    made = held(small_disk)
    assert 0 < len(made) < len(FRAMES)
    assert all(whole[name] == content for name, content in made.items())
    assert not list(small_disk.glob(".*"))
    subprocess.run(["mount", "-o", "remount,size=64m", str(small_disk)], check=True)
    ran = run(apply("disk", "--resume", "--json"))
    assert ran.returncode == 0
    assert held(small_disk) == whole


def test_a_read_only_output_is_refused_before_the_work(folder: Path, small_disk: Path) -> None:
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    ran = run(apply("disk"))
    lines = ran.stderr.splitlines()
    assert (ran.returncode, len(lines)) == (1, 1)
    assert "can't be written to: Read-only file system" in lines[0]


def test_of_two_renders_at_once_one_is_told_and_the_other_is_whole(folder: Path) -> None:
    both = [
        subprocess.Popen(apply("out"), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    said = [process.communicate()[1] for process in both]
    assert sorted(process.returncode for process in both) == [0, 1]
    refused = next(text for text in said if "another render" in text)
    assert "Wait for it, stop it, or name another output." in refused
    assert len(held(folder / "out")) == len(FRAMES)
    assert all(is_whole(path) for path in (folder / "out").glob("*.exr"))
    assert not list((folder / "out").glob(".*"))


# --- shares that go away ---------------------------------------------------------------------


def stopped_at_the_first_frame(output: str) -> subprocess.Popen[str]:
    """Start a render, and stop its process as soon as a frame is there."""
    process = subprocess.Popen(apply(output), stderr=subprocess.PIPE, text=True)
    while not held(Path(output)) and process.poll() is None:
        time.sleep(0.001)
    process.send_signal(signal.SIGSTOP)
    return process


def gone_on(process: subprocess.Popen[str]) -> tuple[int, str]:
    process.send_signal(signal.SIGCONT)
    said = process.communicate()[1]
    assert "Traceback" not in said
    return process.returncode, said


def test_an_output_that_is_renamed_away_loses_no_frame(
    folder: Path, whole: dict[str, bytes]
) -> None:
    process = stopped_at_the_first_frame("out")
    (folder / "out").rename(folder / "away")
    code, said = gone_on(process)
    assert code == 1
    assert "is gone: No such file or directory" in said
    made = held(folder / "away")
    assert 0 < len(made) < len(FRAMES)
    (folder / "away").rename(folder / "out")
    assert run(apply("out", "--resume")).returncode == 0
    assert held(folder / "out") == whole
    assert not list((folder / "out").glob(".semblance-claim*"))


def test_a_share_that_is_unmounted_leaves_no_frame_on_the_disk_below_it(
    folder: Path, small_disk: Path
) -> None:
    subprocess.run(["mount", "-o", "remount,size=64m", str(small_disk)], check=True)
    process = stopped_at_the_first_frame("disk")
    subprocess.run(["umount", "--lazy", str(small_disk)], check=True)
    code, said = gone_on(process)
    below = list(small_disk.iterdir())
    subprocess.run(["mount", "-t", "tmpfs", "none", str(small_disk)], check=True)
    assert code == 1
    assert "is another one than when the render began" in said
    assert "Traceback" not in said
    assert len(below) <= 1, "what was on its way in that very moment"


def test_plates_that_go_away_fail_in_words_and_resume_goes_on(
    folder: Path, whole: dict[str, bytes]
) -> None:
    process = stopped_at_the_first_frame("out")
    plates = sorted(folder.glob("plate.*.exr"))
    (folder / "away").mkdir()
    for path in plates:
        path.rename(folder / "away" / path.name)
    code, said = gone_on(process)
    assert code == 1
    assert "plate.1012.exr: the file does not exist" in said
    for path in plates:
        (folder / "away" / path.name).rename(path)
    assert run(apply("out", "--resume")).returncode == 0
    assert held(folder / "out") == whole


# --- clocks ----------------------------------------------------------------------------------

JUMPING = """
import random, sys, time
real, chance = time.time, random.Random(5)
time.time = lambda: real() + chance.choice((-1e9, 0.0, 1e9))
from semblance.cli import main
sys.exit(main())
"""


def test_no_frame_depends_on_a_clock(folder: Path, whole: dict[str, bytes]) -> None:
    jumping = [sys.executable, "-c", JUMPING]
    assert run([*jumping, *apply("out")[len(SEMBLANCE) :]]).returncode == 0
    assert held(folder / "out") == whole
    chance = random.Random(8)
    for path in (*folder.glob("*.*"), *folder.glob("out/*")):
        seconds = chance.randrange(4_000_000_000)  # 1970 to 2096
        os.utime(path, (seconds, seconds))
    (folder / "out" / "result.1005.exr").unlink()
    claimed = {"head": "result.", "tail": ".exr", "frames": [1005], "owner": "x", "since": "2999"}
    (folder / "out" / ".semblance-claim-0123456789ab").write_text(json.dumps(claimed))
    ran = run([*jumping, *apply("out", "--resume", "--json")[len(SEMBLANCE) :]])
    assert ran.returncode == 0, ran.stderr
    assert len(json.loads(ran.stdout)["kept"]) == len(FRAMES) - 1
    assert held(folder / "out") == whole
    assert not list((folder / "out").glob(".*"))


# --- long shots ------------------------------------------------------------------------------


def grown(folder: Path, count: int) -> float:
    """Render so many frames of a dozen plates, and return how much it grew after 100."""
    frames = tuple(range(1, count + 1))
    plates = Sequence.parse(folder / "long" / "plate.####.exr")
    plates.folder.mkdir()
    for frame in frames:
        os.link(folder / f"plate.{FRAMES[frame % len(FRAMES)]}.exr", plates.path(frame))
    faces = {frame: Face(a_face().landmarks, luma=0.12) for frame in frames}
    sizes: list[int] = []
    knobs = Knobs.from_flat({"mask_occlusion": 0.0, "looks": 1})
    memory.keep_freed()
    output = Sequence.parse(folder / "out" / "result.####.exr")

    def look(done: shot.FrameReport) -> None:
        assert not done.error
        sizes.append(int(Path("/proc/self/statm").read_text().split()[1]))
        output.path(done.frame).unlink()

    track = Track(faces, (120, 90), frames=frames)
    shot.apply(
        plates, output, frames, track=track, likeness=Painter(), knobs=lambda frame: knobs,
        report=look,
    )  # fmt: skip
    return max(sizes[100:]) / max(sizes[:100]) - 1.0


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="only Linux tells")
@pytest.mark.parametrize("count", [200, pytest.param(2000, marks=pytest.mark.slow)])
def test_memory_is_constant_over_a_long_shot(folder: Path, count: int) -> None:
    assert grown(folder, count) <= 0.02


def test_a_frame_is_readable_by_others_as_soon_as_it_has_its_name(folder: Path) -> None:
    process = subprocess.Popen(apply("out"), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    seen = 0
    while process.poll() is None:
        for path in folder.glob("out/result.*.exr"):
            read_plate(path)
            seen += 1
    assert process.returncode == 0
    assert seen
