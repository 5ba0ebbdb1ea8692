"""One step in parts and on several processes is one step."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="training needs the extra 'train'")

from helpers_faceset import draw_faceset  # noqa: E402
from semblance.errors import TrainingError  # noqa: E402
from semblance.train.checkpoint import latest, load_tensors  # noqa: E402
from semblance.train.config import TrainConfig  # noqa: E402
from semblance.train.faces import Person, load_people  # noqa: E402
from semblance.train.loop import train  # noqa: E402
from semblance.train.ranks import Ranks, uncommon  # noqa: E402
from semblance.train.trainer import Trainer  # noqa: E402

CPU = torch.device("cpu")
CONFIG = TrainConfig(
    steps=12, size=32, batch=4, precision="fp32", save_every=100, preview_every=0, device="cpu"
)
TOLERANCE = 0.01
"""Of each tensor's largest value: a dozen steps of sums in another order, in an optimiser that
divides by their size."""

TWICE = """
import json, os, sys
from pathlib import Path
import torch
from semblance.train.config import TrainConfig
from semblance.train.faces import Person
from semblance.train.loop import train
torch.set_num_threads(1)
performer, likeness, run = map(Path, sys.argv[1:4])
people = Person((performer,)), Person((likeness,))
config = TrainConfig.from_json(json.loads(sys.argv[4]))
for last, port in zip((5, 0), sys.argv[5:]):
    os.environ["MASTER_PORT"] = port  # one may still be leaving the other
    asked, reports = [], []
    def stop():
        asked.append(1)
        return len(asked) == last and os.environ["RANK"] == "1"
    summary = train(*people, run, config, reports.append, stop)
    assert summary.step == (last or config.steps), summary
    if os.environ["RANK"] == "1":
        assert not reports, "only the first process talks"
"""


@pytest.fixture(autouse=True, scope="module")
def _one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def people(tmp_path_factory):
    folder = tmp_path_factory.mktemp("people")
    performer = draw_faceset(folder / "performer", (0.75, 0.55, 0.45))
    likeness = draw_faceset(folder / "likeness", (0.45, 0.3, 0.25))
    return Person((performer,)), Person((likeness,))


def straight(people, run: Path, config: TrainConfig = CONFIG) -> Path:
    train(*people, run, config, lambda progress: None, lambda: False)
    return run


def a_port() -> str:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return str(free.getsockname()[1])


def losses(run: Path) -> list[float]:
    return [json.loads(line)["loss"] for line in (run / "losses.jsonl").read_text().splitlines()]


def assert_same_run(run: Path, other: Path) -> None:
    assert losses(run) == pytest.approx(losses(other), rel=1e-4)
    ours, theirs = load_tensors(latest(run)), load_tensors(latest(other))
    assert ours.keys() == theirs.keys()
    for name, tensor in theirs.items():
        if not name.startswith("optimiser"):  # its squares are far below any tolerance
            away = (ours[name] - tensor).abs().max()
            assert away <= TOLERANCE * tensor.abs().max() + 1e-6, name


def test_two_processes_do_what_one_does_and_go_on_after_a_stop(people, tmp_path):
    """The second process asks for the stop after five steps; both agree, and both go on."""
    whole = straight(people, tmp_path / "one")
    run = tmp_path / "two"
    words = [str(people[0].facesets[0]), str(people[1].facesets[0]), str(run)]
    command = [sys.executable, "-c", TWICE, *words, json.dumps(CONFIG.to_json())]
    command += [a_port(), a_port()]
    joined = {**os.environ, "WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1"}
    running = [
        subprocess.Popen(
            command,
            env={**joined, "RANK": str(rank), "LOCAL_RANK": str(rank)},
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in range(2)
    ]
    try:
        complaints = [process.communicate(timeout=300)[1] for process in running]
    finally:
        for process in running:
            process.kill()
            process.communicate()
    assert [process.returncode for process in running] == [0, 0], complaints
    assert_same_run(run, whole)


@pytest.mark.slow
def test_torchrun_starts_the_command(people, tmp_path):
    words = ["train", *(str(who.facesets[0]) for who in people), "-o", str(tmp_path / "run")]
    settings = ["--size", "32", "--batch", "4", "--steps", "4", "--device", "cpu"]
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    program = Path(sys.executable).with_name("semblance")
    command = [*torchrun, "--no-python", str(program), *words, *settings]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    assert done.stdout.count("4 steps in") == 1
    assert latest(tmp_path / "run").stem == "checkpoint-4"


def test_a_batch_in_parts_is_the_batch(people, tmp_path):
    whole = straight(people, tmp_path / "whole")
    parts = straight(people, tmp_path / "parts", replace(CONFIG, parts=4))
    assert_same_run(parts, whole)
    # The way it is computed is free: the same run may go on in other parts.
    again = replace(CONFIG, parts=2)
    assert train(*people, parts, again, lambda progress: None, lambda: False).complete


def test_a_part_of_a_batch_is_those_rows_of_it(people, tmp_path):
    faces = load_people(*people, 32, tmp_path)
    trainer = Trainer(*faces, CONFIG, Ranks(0, 1, CPU))
    whole = trainer.sampler.batch(3, 0.35)
    rows = [1, 2, 5, 6]
    part = trainer.sampler.batch(3, 0.35, rows)
    for ours, theirs in zip(vars(part).values(), vars(whole).values(), strict=True):
        torch.testing.assert_close(ours, theirs[rows], atol=1e-6, rtol=1e-6)


def test_a_batch_that_can_not_be_shared_is_refused(people, tmp_path):
    with pytest.raises(TrainingError, match="a batch of 4 can't be shared by 1 processes in 3"):
        straight(people, tmp_path, replace(CONFIG, parts=3))


def test_the_layers_lie_in_memory_as_the_convolutions_want_them(people, tmp_path):
    trainer = Trainer(*load_people(*people, 32, tmp_path), CONFIG, Ranks(0, 1, CPU))
    trainer.step()
    body = trainer.network.encoder.body
    assert body[0].weight.is_contiguous(memory_format=torch.channels_last)
    picture = trainer.sampler.batch(0, 0.0).image.contiguous(memory_format=torch.channels_last)
    assert body(picture).is_contiguous(memory_format=torch.channels_last)


def test_the_shared_part_of_a_gradient_is_taken_away():
    value = torch.randn((5, 3), generator=torch.Generator().manual_seed(1), requires_grad=True)
    weights = torch.randn((5, 3), generator=torch.Generator().manual_seed(2))
    made = uncommon(value, Ranks(0, 1, CPU))
    assert torch.equal(made, value)
    (made * weights).sum().backward()
    torch.testing.assert_close(value.grad, weights - weights.mean(0))


def test_bf16_learns_what_fp32_learns(people, tmp_path):
    short = replace(CONFIG, steps=5)
    full = losses(straight(people, tmp_path / "fp32", short))
    half = losses(straight(people, tmp_path / "bf16", replace(short, precision="bf16")))
    assert half != full
    np.testing.assert_allclose(half, full, rtol=0.03)
