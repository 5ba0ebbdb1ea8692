"""What the repository ships works as its README says."""

from __future__ import annotations

import os
import subprocess
import sys
from datetime import date
from pathlib import Path

import numpy as np
import pytest

from semblance import release, score, shot
from semblance.exr import Sequence, read_plate
from semblance.knobs import Knobs
from semblance.model import Likeness
from semblance.track.file import load_track

EXAMPLES = Path(__file__).parents[1] / "examples"
FRAMES = (1005, 1006, 1007)


def sequence(name: str) -> Sequence:
    return Sequence.parse(EXAMPLES / f"{name}.####.exr")


@pytest.fixture(scope="module")
def rendered(tmp_path_factory: pytest.TempPathFactory) -> tuple[Sequence, Sequence]:
    """The result and the matte of three frames."""
    folder = tmp_path_factory.mktemp("examples")
    made = []
    with Likeness.open(EXAMPLES / "likeness.onnx", "cpu") as likeness:
        for view in ("result", "matte"):
            output = Sequence.parse(folder / f"{view}.####.exr")
            summary = shot.apply(
                sequence("plate"),
                output,
                FRAMES,
                track=load_track(EXAMPLES / "track.json"),
                likeness=likeness,
                knobs=lambda frame, view=view: Knobs.from_flat({"view": view}),
            )
            assert summary.found == len(FRAMES)
            made.append(output)
    return made[0], made[1]


def test_the_example_carries_the_likeness(rendered: tuple[Sequence, Sequence]) -> None:
    """Three decibels nearer to the exact truth than the plate, and most of the way there."""
    scored = score.score_shot(
        rendered[0],
        sequence("truth"),
        sequence("mask"),
        track=load_track(EXAMPLES / "track.json"),
        frames=FRAMES,
        plate=sequence("plate"),
        matte=rendered[1],
    )
    assert scored.mean["psnr"] > scored.mean["plate_psnr"] + 3.0
    assert scored.mean["ssim"] > scored.mean["plate_ssim"]
    assert scored.mean["progress"] > 0.65
    assert scored.worst["outside"].value == 0


def test_the_example_changes_nothing_outside_its_matte(
    rendered: tuple[Sequence, Sequence],
) -> None:
    for frame in FRAMES:
        plate, result = (
            read_plate(sequence("plate").path(frame)),
            read_plate(rendered[0].path(frame)),
        )
        changed = np.any(plate.picture() != result.picture(), axis=2)
        matte = read_plate(rendered[1].path(frame)).channels["R"] > 0
        assert changed.any()
        assert not (changed & ~matte).any()


def test_the_example_likeness_is_released() -> None:
    model = EXAMPLES / "likeness.onnx"
    with Likeness.open(model, "cpu") as likeness:
        verdict = release.verify(
            release.default_release_path(model),
            likeness.sha256,
            date.today(),
            trust=[EXAMPLES / "trust" / "kestrel-estate.pub"],
        )
    assert verdict.valid, verdict.reason
    assert model.stat().st_size <= 24 * 2**20


def test_a_frame_has_the_same_bytes_with_any_number_of_threads(tmp_path: Path) -> None:
    """A farm's hosts, a viewer and a worker run the same libraries with other numbers of them."""
    program = "import sys; from semblance.cli import main; sys.exit(main())"
    knobs = ("--colour-match", "linear", "--detail-match", "1", "--blend-mode", "multiband")
    files = [tmp_path / threads / "result.1005.exr" for threads in ("1", "3")]
    for file in files:
        subprocess.run(
            [
                *(sys.executable, "-c", program, "apply", EXAMPLES / "plate.####.exr"),
                *("-t", EXAMPLES / "track.json", "-m", EXAMPLES / "likeness.onnx"),
                *("-o", file.with_name("result.####.exr"), "--frames", "1005"),
                *knobs,
            ],
            check=True,
            capture_output=True,
            env={**os.environ, "OMP_NUM_THREADS": file.parent.name},
        )
    assert files[0].read_bytes() == files[1].read_bytes()
