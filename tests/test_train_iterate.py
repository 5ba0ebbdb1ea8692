"""Hard faces come more often, a run goes on from another, and a kill costs nothing but time."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

torch = pytest.importorskip("torch", reason="training needs the extra 'train'")

from helpers_faceset import draw_faceset  # noqa: E402
from semblance.errors import TrainingError  # noqa: E402
from semblance.review import ShotReview, worst_frames, write_worst  # noqa: E402
from semblance.review.frames import Finding, FrameReview  # noqa: E402
from semblance.train import trainer as trainers  # noqa: E402
from semblance.train.balance import HEAVIEST  # noqa: E402
from semblance.train.checkpoint import adopt, latest, load_tensors, read_people  # noqa: E402
from semblance.train.config import TrainConfig  # noqa: E402
from semblance.train.curves import MOST, Curves, drawn  # noqa: E402
from semblance.train.faces import Person, load_people  # noqa: E402
from semblance.train.hard import read_hard  # noqa: E402
from semblance.train.loop import train  # noqa: E402
from semblance.train.mining import BOUND, Mining  # noqa: E402
from semblance.train.ranks import Ranks  # noqa: E402
from semblance.train.trainer import Trainer  # noqa: E402

CPU = torch.device("cpu")
TINY = TrainConfig(
    steps=6, size=32, batch=2, precision="fp32", save_every=1, preview_every=0, device="cpu"
)


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


@pytest.fixture(scope="module")
def first(people, tmp_path_factory):
    """A run that has learned something."""
    run = tmp_path_factory.mktemp("runs") / "first"
    config = replace(TINY, steps=60, lr=2e-3, save_every=60, preview_every=60)
    train(*people, run, config, lambda progress: None, lambda: False)
    return run


def losses_of(run: Path) -> dict[int, float]:
    rows = [json.loads(line) for line in (run / "losses.jsonl").read_text().splitlines()]
    return {row["step"]: row["loss"] for row in rows}


# ------------------------------------------------------------------------------------------ mining


@settings(max_examples=30, deadline=None)
@given(st.lists(st.floats(0.01, 1e4), min_size=4, max_size=30), st.floats(0.0, 1.0))
def test_hard_faces_come_more_often_within_bounds(losses, strength):
    count = len(losses)
    even = np.full(count, 1.0 / count)
    mining = Mining([even, even], strength, CPU)
    mining.observe(0, np.arange(count), torch.tensor(losses))
    mining.refresh()
    weights, other = mining.weights()
    assert weights.sum() == pytest.approx(1.0)
    assert weights.max() <= min(BOUND**2, HEAVIEST) * weights.min() * 1.001
    order = np.argsort(losses)
    assert (np.diff(weights[order]) >= -1e-9).all()
    np.testing.assert_allclose(other, even)


def test_a_face_that_comes_twice_counts_with_its_mean_and_old_losses_fade():
    mining = Mining([np.full(3, 1 / 3)] * 2, 1.0, CPU)
    mining.observe(1, np.array([0, 0, 2]), torch.tensor([1.0, 3.0, 5.0]))
    assert mining.losses[1].tolist() == [2.0, 0.0, 5.0]
    for _ in range(30):
        mining.observe(1, np.array([0]), torch.tensor([4.0]))
    assert mining.losses[1][0].item() == pytest.approx(4.0, abs=1e-3)
    assert mining.losses[1][1] == 0.0


def test_a_run_that_mines_goes_on_exactly(people, tmp_path, monkeypatch):
    monkeypatch.setattr(trainers, "EVERY", 4)
    config = replace(TINY, steps=11, save_every=1000, mining=1.0)
    stops = {"whole": 0, "parts": 6}
    for name, last in stops.items():
        asked: list[int] = []
        train(*people, tmp_path / name, config, lambda progress: None,
              lambda asked=asked, last=last: asked.append(1) or len(asked) == last)  # fmt: skip
    assert max(losses_of(tmp_path / "parts")) == 6
    train(*people, tmp_path / "parts", config, lambda progress: None, lambda: False)
    assert losses_of(tmp_path / "parts") == pytest.approx(losses_of(tmp_path / "whole"), abs=1e-5)
    factors = load_tensors(latest(tmp_path / "parts"))["mining.performer.factors"]
    assert factors.min() < 0.99
    assert factors.max() > 1.01


# ----------------------------------------------------------------------------------- going on from


def test_a_run_from_another_begins_where_that_one_was_good(people, first, tmp_path):
    config = replace(TINY, lr=3e-4)
    train(*people, tmp_path / "new", config, lambda progress: None, lambda: False)
    train(*people, tmp_path / "on", config, lambda progress: None, lambda: False, origin=first)
    scratch, adopted = (losses_of(tmp_path / name) for name in ("new", "on"))
    assert np.mean([*adopted.values()]) < 0.7 * np.mean([*scratch.values()])
    assert json.loads((tmp_path / "on" / "config.json").read_text())["from"] == {
        "run": "first",
        "step": 60,
    }
    # Where the facesets are is known to the run, and the same call goes on.
    assert [p.facesets[0].resolve() for p in read_people(tmp_path / "on")] == [
        who.facesets[0].resolve() for who in people
    ]
    again = train(
        *people, tmp_path / "on", config, lambda progress: None, lambda: False, origin=first
    )
    assert again.complete


def test_codes_of_new_material_are_normalised_by_statistics_of_its_own(people, first, tmp_path):
    """The other run's would leave the codes of a darker shot off centre."""
    shot = draw_faceset(tmp_path / "shot", (0.2, 0.12, 0.1), source="plate.####.exr")
    person = Person(people[0].facesets, added=(shot,))
    faces = load_people(person, people[1], 32, tmp_path / "cache")
    trainer = Trainer(*faces, replace(TINY, batch=8), Ranks(0, 1, CPU))
    adopt(latest(first), trainer)
    network = trainer.network
    image = torch.cat([trainer.sampler.batch(step, 0.35).image[:8] for step in range(8)])

    @torch.no_grad()
    def off_centre():
        network.eval()
        raw = network.encoder(image)
        return network.normalise(raw, torch.zeros(len(raw))).mean(0).abs().mean().item()

    measured = off_centre()
    carried = {
        name: tensor
        for name, tensor in load_tensors(latest(first)).items()
        if name.startswith("average.")
    }
    network.load_state_dict({name[len("average.") :]: t for name, t in carried.items()})
    assert measured < 0.2
    assert off_centre() > 1.5 * measured


def test_what_does_not_fit_is_refused(people, first, tmp_path):
    with pytest.raises(TrainingError, match="holds no checkpoint to begin with"):
        train(*people, tmp_path / "a", TINY, lambda p: None, lambda: False, origin=tmp_path)
    larger = replace(TINY, size=64)
    with pytest.raises(TrainingError, match="draws pictures of 32 pixels, this run of 64"):
        train(*people, tmp_path / "b", larger, lambda p: None, lambda: False, origin=first)
    hard = frozenset({("plate.#.exr", 1001)})
    with pytest.raises(TrainingError, match="none of the 1 hard frames is in the facesets"):
        train(*people, tmp_path / "c", TINY, lambda p: None, lambda: False, hard=hard)


def test_hard_frames_of_one_run_are_drawn_more_in_the_next(people, first, tmp_path):
    hard = read_hard(first / "hardest.json")
    known = {frame for faces in load_people(*people, 32, tmp_path / "c") for frame in faces.frames}
    assert hard
    assert hard <= known
    run = tmp_path / "next"
    train(*people, run, TINY, lambda p: None, lambda: False, origin=first, hard=hard)
    with pytest.raises(TrainingError, match=r"begun with .* other hard frames"):
        train(*people, run, TINY, lambda p: None, lambda: False, origin=first)


# ---------------------------------------------------------------------------------------- the worst


def a_review(figures):
    frames = [
        FrameReview(number, (Finding("fine", "rendered"),), values, b"")
        for number, values in figures.items()
    ]
    return ShotReview("shot", tuple(frames), {})


def test_a_review_names_its_worst_frames_and_a_run_reads_them(tmp_path):
    rng = np.random.default_rng(1)
    figures = {
        1001 + n: {"flicker": 0.3 + 0.02 * rng.random(), "seam": 1.0 + 0.05 * rng.random(),
                   "psnr": 30.0 + rng.random(), "milliseconds": 900.0 * n}
        for n in range(20)
    }  # fmt: skip
    figures[1007] |= {"flicker": 2.0, "psnr": 24.0}
    figures[1013] |= {"seam": 1.6}
    figures[1015] = {}  # not rendered
    found = worst_frames(a_review(figures), 2)
    assert [each.number for each in found] == [1007, 1013]
    assert found[0].reason.startswith("Flicker 2.00 (usual 0.3")
    assert "PSNR 24.00 dB" in found[0].reason
    write_worst(found, "plate.%04d.exr", tmp_path / "worst.json")
    assert read_hard(tmp_path / "worst.json") == {("plate.#.exr", 1007), ("plate.#.exr", 1013)}


def test_a_shot_in_which_nothing_stands_out_has_no_worst_frame():
    assert worst_frames(a_review({n: {"seam": 1.0, "flicker": 0.2} for n in range(9)}), 5) == ()


# ------------------------------------------------------------------------------------------ crashes

KILLED = """
import json, os, signal, sys
from pathlib import Path
import torch
from semblance.train.checkpoint import latest, load_tensors
from semblance.train.config import TrainConfig
from semblance.train.faces import Person
from semblance.train.loop import train

torch.set_num_threads(1)
torch.optim.AdamW([torch.zeros(1, requires_grad=True)])  # its imports, before and not in each child
performer, likeness, run = map(Path, sys.argv[1:4])
people = Person((performer,)), Person((likeness,))
config = TrainConfig.from_json(json.loads(sys.argv[4]))
reached = []
for moment in range(3, 17):
    child = os.fork()
    if child == 0:
        seen = 0
        def watch(event, arguments):
            global seen
            if event in ("open", "os.rename", "os.remove") and "checkpoint-" in str(arguments[0]):
                seen += 1
                if seen == moment:
                    os.kill(os.getpid(), signal.SIGKILL)
        sys.addaudithook(watch)
        train(*people, run, config, lambda progress: None, lambda: False)
        os._exit(0)
    status = os.waitpid(child, 0)[1]
    if os.WIFEXITED(status):  # it got to its end before that moment
        if os.WEXITSTATUS(status) != 0:
            raise SystemExit(f"the child of moment {moment} failed")
        break
    checkpoint = latest(run)
    if checkpoint is not None:
        load_tensors(checkpoint)  # whole, by its sha256
        reached.append(int(checkpoint.stem.split("-")[1]))
print(json.dumps(reached))
"""


def test_a_run_killed_at_any_moment_of_saving_goes_on_as_if_it_had_not_been(people, tmp_path):
    """Killed at one touch of a checkpoint's file after the other, each time a little later."""
    run, whole = tmp_path / "killed", tmp_path / "whole"
    words = [*(str(who.facesets[0]) for who in people), str(run), json.dumps(TINY.to_json())]
    done = subprocess.run(
        [sys.executable, "-c", KILLED, *words], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-3000:]
    reached = json.loads(done.stdout)
    assert len(reached) >= 2
    assert reached == sorted(reached)
    train(*people, run, TINY, lambda progress: None, lambda: False)
    train(*people, whole, TINY, lambda progress: None, lambda: False)
    assert losses_of(run) == pytest.approx(losses_of(whole), abs=1e-5)
    ours, theirs = (load_tensors(latest(each)) for each in (run, whole))
    for name, tensor in theirs.items():
        torch.testing.assert_close(ours[name], tensor, atol=1e-5, rtol=1e-5)
    assert not list(run.glob("*.partial"))
    assert len(list(run.glob("checkpoint-*"))) == 4


# --------------------------------------------------------------------------------------- dashboard


def test_the_page_needs_nothing_beside_it_and_stands_still_at_the_end(first):
    page = (first / "dashboard.html").read_text()
    assert "Step 60 of 60" in page
    assert 'http-equiv="refresh"' not in page
    assert page.count("data:image/") >= 2 + 2  # preview, coverage, and the hardest of both
    assert not re.search(r"(src|href)=\"(?!data:)", page)
    assert "likeness" in page
    assert "polyline" in page


def test_a_page_of_a_run_at_work_loads_itself_anew(people, tmp_path):
    pages: list[str] = []
    run = tmp_path / "run"

    def stop() -> bool:
        page = run / "dashboard.html"
        pages.append(page.read_text() if page.exists() else "")
        return False

    train(*people, run, replace(TINY, steps=3), lambda progress: None, stop)
    assert 'http-equiv="refresh"' in pages[1]
    assert "minutes left" in pages[1]


@settings(max_examples=15, deadline=None)
@given(st.integers(1, 3 * MOST), st.integers(1, 7))
def test_curves_hold_few_points_whatever_is_written_and_when(tmp_path_factory, count, pieces):
    path = tmp_path_factory.mktemp("curves") / "losses.jsonl"
    curves = Curves(path)
    lines = [json.dumps({"step": n + 1, "loss": 2.0, "luma": 0.5}) + "\n" for n in range(count)]
    with path.open("w") as file:
        for part in np.array_split(np.arange(count), pieces):
            file.write("".join(lines[i] for i in part))
            file.flush()
            curves.read_on()
    assert len(curves.steps) < MOST
    assert curves.steps == sorted(curves.steps)
    assert all(value == 2.0 for value in curves.values["loss"])
    assert drawn(curves).startswith(("<svg", "<p>Not yet"))
