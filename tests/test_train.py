"""Training: what is learned, that it can be stopped anywhere, and what comes out."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from dataclasses import fields, replace
from pathlib import Path

import cv2
import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="training needs the extra 'train'")
pytest.importorskip("onnx", reason="export needs the extra 'train'")

from helpers_faceset import COUNT, draw_faceset  # noqa: E402
from helpers_model import tiny_model  # noqa: E402
from semblance.colour import decode, encode  # noqa: E402
from semblance.errors import OutputError, TrainingError  # noqa: E402
from semblance.model import Likeness, read_manifest  # noqa: E402
from semblance.release import Verdict  # noqa: E402
from semblance.train.checkpoint import latest, load_tensors  # noqa: E402
from semblance.train.config import TrainConfig  # noqa: E402
from semblance.train.data import Sampler  # noqa: E402
from semblance.train.export import TOLERANCE, averaged, export  # noqa: E402
from semblance.train.faces import Person, load_people  # noqa: E402
from semblance.train.loop import Progress, Summary, train  # noqa: E402
from semblance.train.losses import picture_losses, total  # noqa: E402
from semblance.train.torchscript import (  # noqa: E402
    KNOBS,
    NOTE,
    decoded,
    encoded,
    export_torchscript,
)

CPU = torch.device("cpu")
TINY = TrainConfig(steps=20, size=32, batch=2, save_every=5, preview_every=0, device="cpu")

RESUMED = """
import sys
from pathlib import Path
import torch
from semblance.train.config import TrainConfig
from semblance.train.faces import Person
from semblance.train.loop import train
torch.set_num_threads(1)
performer, likeness, run = map(Path, sys.argv[1:4])
performer, likeness = Person((performer,)), Person((likeness,))
config = TrainConfig.from_json(__import__("json").loads(sys.argv[4]))
train(performer, likeness, run, config, lambda progress: None, lambda: False)
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


def faces_of(people, cache: Path, size: int = 32):
    return load_people(*people, size, cache)


def run_tiny(people, run: Path, config: TrainConfig = TINY, stop_after: int = 10**9) -> Summary:
    seen: list[int] = []

    def stop() -> bool:
        seen.append(1)
        return len(seen) >= stop_after

    return train(*people, run, config, lambda progress: None, stop)


def losses_of(run: Path) -> dict[int, float]:
    rows = [json.loads(line) for line in (run / "losses.jsonl").read_text().splitlines()]
    return {row["step"]: row["loss"] for row in rows}


@pytest.fixture(scope="module")
def whole(people, tmp_path_factory):
    """One run, start to end, with previews."""
    run = tmp_path_factory.mktemp("whole")
    config = replace(TINY, steps=60, lr=2e-3, preview_every=30)
    reports: list[Progress] = []
    summary = train(*people, run, config, reports.append, lambda: False)
    return run, config, summary, reports


def test_the_loss_falls_and_the_run_leaves_what_it_promises(whole):
    run, config, summary, reports = whole
    losses = losses_of(run)
    assert sorted(losses) == list(range(1, config.steps + 1))
    assert np.mean([losses[s] for s in range(51, 61)]) < 0.8 * np.mean(
        [losses[s] for s in range(1, 11)]
    )
    assert summary.complete
    assert summary.step == reports[-1].step == config.steps
    assert reports[-1].seconds_left == 0.0
    assert sorted(path.name for path in run.iterdir()) == [
        "checkpoint-55.json", "checkpoint-55.safetensors",
        "checkpoint-60.json", "checkpoint-60.safetensors",
        "config.json", "coverage.png", "dashboard.html", "faces", "hardest.json", "loss.png",
        "losses.jsonl", "preview.png",
    ]  # fmt: skip
    assert cv2.imread(str(run / "preview.png")).shape[1] == 8 * config.size


def test_a_stopped_run_goes_on_as_if_it_had_not_stopped(people, tmp_path):
    run_tiny(people, tmp_path / "whole")
    part = run_tiny(people, tmp_path / "parts", stop_after=7)
    assert (part.step, part.complete) == (7, False)
    assert latest(tmp_path / "parts") == part.checkpoint
    rest = run_tiny(people, tmp_path / "parts")
    assert (rest.step, rest.complete) == (TINY.steps, True)
    whole, parts = losses_of(tmp_path / "whole"), losses_of(tmp_path / "parts")
    assert parts == pytest.approx(whole, abs=1e-5)
    ends = [load_tensors(latest(tmp_path / name)) for name in ("whole", "parts")]
    for name, tensor in ends[0].items():
        torch.testing.assert_close(ends[1][name], tensor, atol=1e-5, rtol=1e-5)


def test_a_killed_run_goes_on_as_if_it_had_not_been_killed(people, tmp_path):
    config = replace(TINY, steps=4000, save_every=10)
    words = [
        sys.executable,
        "-c",
        RESUMED,
        *(str(who.facesets[0]) for who in people),
        str(tmp_path / "killed"),
    ]
    running = subprocess.Popen([*words, json.dumps(config.to_json())])
    deadline = time.monotonic() + 120.0
    while latest(tmp_path / "killed") is None and time.monotonic() < deadline:
        assert running.poll() is None
        time.sleep(0.02)
    running.send_signal(signal.SIGKILL)
    running.wait()
    reached = json.loads(latest(tmp_path / "killed").with_suffix(".json").read_text())["step"]
    run_tiny(people, tmp_path / "killed", config, stop_after=10)
    run_tiny(people, tmp_path / "whole", config, stop_after=reached + 10)
    killed, whole = losses_of(tmp_path / "killed"), losses_of(tmp_path / "whole")
    for step in range(reached + 1, reached + 11):
        assert killed[step] == pytest.approx(whole[step], abs=1e-5)


def test_a_time_limit_ends_the_schedules_with_the_time(people, tmp_path):
    summary = run_tiny(people, tmp_path, replace(TINY, steps=10**6, seconds=1.0))
    assert summary.complete
    assert summary.seconds >= 1.0
    assert summary.step < 10**6


def test_a_complexion_is_kept_beside_the_performers(people, tmp_path):
    """Crops are exposed alike; in training the one that was raised by a stop is a stop darker."""
    raised = draw_faceset(tmp_path / "raised", (0.45, 0.3, 0.25))
    listing = json.loads((raised / "faceset.json").read_text())
    for face in listing["faces"]:
        face["exposure"] = 1.0
    (raised / "faceset.json").write_text(json.dumps(listing))
    as_shot, dark = faces_of((people[1], Person((raised,))), tmp_path / "cache")
    inside = as_shot.masks[:, :1].float().expand(-1, 3, -1, -1) > 0.9
    light, darker = (decode(who.pictures.float()[inside].numpy()).mean() for who in (as_shot, dark))
    assert darker == pytest.approx(light / 2.0, rel=0.02)


def test_a_run_does_not_go_on_with_other_settings_or_faces(people, tmp_path):
    run_tiny(people, tmp_path / "run", stop_after=1)
    with pytest.raises(TrainingError, match=r"another setting 'lr': expected 0\.001, found 0\.002"):
        run_tiny(people, tmp_path / "run", replace(TINY, lr=2e-3))
    with pytest.raises(TrainingError, match="another performer faceset"):
        run_tiny(people[::-1], tmp_path / "run")
    run_tiny(people, tmp_path / "run", replace(TINY, save_every=7), stop_after=1)


def test_a_torn_checkpoint_is_named(people, tmp_path):
    summary = run_tiny(people, tmp_path, stop_after=2)
    data = summary.checkpoint.read_bytes()
    summary.checkpoint.write_bytes(data[: len(data) // 2])
    with pytest.raises(TrainingError, match=r"checkpoint-2\.safetensors is no complete checkpoint"):
        run_tiny(people, tmp_path)


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda folder: (folder / "faceset.json").unlink(), "holds no faceset"),
        (lambda folder: (folder / "faceset.json").write_text("{"), "can't be read as a faceset"),
        (lambda folder: (folder / "faceset.json").write_text("{}"), "is no faceset"),
        (lambda folder: (folder / "faces/000003.png").write_bytes(b""), r"000003\.png: expected"),
    ],
)
def test_a_faceset_that_is_none_is_refused(people, tmp_path, spoil, said):
    folder = draw_faceset(tmp_path / "spoilt", (0.5, 0.5, 0.5))
    spoil(folder)
    with pytest.raises(TrainingError, match=said):
        run_tiny((people[0], Person((folder,))), tmp_path / "run")
    assert not (tmp_path / "run" / "config.json").exists()


def test_settings_outside_their_range_are_refused():
    for item in fields(TrainConfig):
        assert item.metadata["help"].endswith(".")
        assert "range" in item.metadata or "choices" in item.metadata
    with pytest.raises(TrainingError, match="'lr' must be between"):
        TrainConfig(lr=-1.0)
    with pytest.raises(TrainingError, match="'size' must be one of 32, 64"):
        TrainConfig(size=100)


def test_a_batch_is_a_function_of_the_step_and_only_inputs_are_spoiled(people, tmp_path):
    faces = faces_of(people, tmp_path)
    clean, spoilt = (
        Sampler(*faces, replace(TINY, degrade=share, grey=share), CPU) for share in (0.0, 1.0)
    )
    first, again = spoilt.batch(7, 0.35), spoilt.batch(7, 0.35)
    assert torch.equal(first.image, again.image)
    assert not torch.equal(first.target, spoilt.batch(8, 0.35).target)
    assert torch.equal(first.target, clean.batch(7, 0.35).target)
    assert not torch.equal(first.image, clean.batch(7, 0.35).image)
    assert first.image.shape == (4, 3, 32, 32)
    assert first.strength.tolist() == [0.0, 0.0, 1.0, 1.0]


def test_monochrome_faces_teach_no_colour(people, tmp_path):
    grey = Person((draw_faceset(tmp_path / "grey", (0.5, 0.4, 0.3), monochrome=True),))
    batch = Sampler(*faces_of((people[0], grey), tmp_path), TINY, CPU).batch(0, 0.35)
    assert batch.colour.tolist() == [1.0, 1.0, 0.0, 0.0]
    made = torch.rand((4, 4, 32, 32), generator=torch.Generator().manual_seed(1))
    # Adds red and takes as much luma away in green: another colour, the same luma.
    other = made.clone()
    other[:, 0] += 0.1
    other[:, 1] -= 0.1 * 0.2126 / 0.7152
    before, after = (total(picture_losses(each, batch)) for each in (made, other))
    assert (after[:2] - before[:2]).abs().min() > 1e-3
    torch.testing.assert_close(after[2:], before[2:])


def test_the_knob_is_exact_at_its_ends_and_moves_the_face(whole):
    run = whole[0]
    network = averaged(latest(run))
    image = torch.rand((1, 3, 32, 32), generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        made = {a: network(image, torch.tensor([a])) for a in (0.0, 0.5, 1.0)}
    assert torch.equal(made[0.0][0], made[0.0][2])
    assert torch.equal(made[0.0][2], made[1.0][2])
    steps = [(made[a][0] - made[0.0][0]).abs().mean().item() for a in (0.5, 1.0)]
    assert 0.0 < steps[0] < steps[1]


def test_the_package_gives_what_torch_gives_and_says_what_it_is(whole, tmp_path):
    run, _, summary, _ = whole
    out = tmp_path / "likeness.onnx"
    manifest = export(run, out, "test face", performer="anna", likeness="berta")
    assert read_manifest(out) == manifest
    assert (manifest.name, manifest.performer, manifest.likeness) == ("test face", "anna", "berta")
    assert manifest.training["steps"] == summary.step
    assert manifest.training["faces"] == {"performer": COUNT, "likeness": COUNT}
    assert [path.name for path in tmp_path.iterdir()] == [out.name]
    assert b"network.py" not in out.read_bytes()  # nothing of the machine that made it
    network = averaged(latest(run))
    crop = np.random.default_rng(1).random((32, 32, 3), np.float32)
    with Likeness.open(out, "cpu") as likeness, torch.no_grad():
        for strength in (0.0, 0.3, 1.0):
            made = likeness.infer(crop, strength)
            wanted = network(
                torch.from_numpy(crop).permute(2, 0, 1)[None], torch.tensor([strength])
            )
            for ours, theirs in zip(
                (made.rgb, made.matte[..., None], made.own), wanted, strict=True
            ):
                theirs = theirs[0].permute(1, 2, 0).numpy()
                np.testing.assert_allclose(ours, theirs, atol=TOLERANCE)


RELEASED = Verdict(True, "released")


def test_the_working_encoding_in_torch_is_colours_own():
    light = np.concatenate([-(2.0 ** np.arange(-8, 5)), 2.0 ** np.linspace(-12, 10, 300)])
    light = np.append(light, [0.0, 0.0031308, 1.0]).astype(np.float32).reshape(-1, 1)
    code = encoded(torch.from_numpy(light)).numpy()
    np.testing.assert_allclose(code, encode(light), rtol=1e-5, atol=1e-6)
    back = decoded(torch.from_numpy(code)).numpy()
    np.testing.assert_allclose(back, light, rtol=2e-5, atol=1e-6)


@pytest.mark.filterwarnings("ignore:`torch.jit:DeprecationWarning")
@torch.no_grad()
def test_torchscript_of_a_package_is_the_runs_and_keeps_nukes_rules(whole, tmp_path):
    """One tensor in, one out, of one type; attributes for knobs; any light survives."""
    package = tmp_path / "test face.onnx"
    export(whole[0], package, "test face")
    manifest = export_torchscript(package, tmp_path / "face.pt", RELEASED)
    assert manifest.name == "test face"
    note = {NOTE: ""}
    module = torch.jit.load(str(tmp_path / "face.pt"), _extra_files=note)
    assert json.loads(note[NOTE])["likeness"]["name"] == "test face"
    assert all(type(getattr(module, name)) is float for name in KNOBS)
    network = averaged(latest(whole[0]))
    light = torch.rand((1, 3, 32, 32), generator=torch.Generator().manual_seed(1)) * 0.6

    # The picture is the run's network's, at the strength and the exposure of the knobs.
    module.light_match, module.identity_strength, module.exposure = 0.0, 1.0, -1.5
    rgb, matte, _ = network(encoded(light * 2.0**-1.5), torch.ones(1))
    made = module(light)
    assert made.shape == (1, 4, 32, 32)
    torch.testing.assert_close(made[:, :3], decoded(rgb) * 2.0**1.5, atol=1e-3, rtol=1e-3)
    torch.testing.assert_close(made[:, 3:], matte, atol=1e-3, rtol=0.0)

    # At strength 0 the picture comes back, whatever light is in it, and nothing else is touched.
    module.light_match, module.identity_strength, module.exposure = 1.0, 0.0, 0.5
    wild = light.clone()
    wild[0, :, 4, 4:8] = torch.tensor([50.0, -0.5, torch.inf, torch.nan])
    torch.testing.assert_close(module(wild)[:, :3], wild, atol=1e-5, rtol=1e-6, equal_nan=True)
    module.identity_strength = 1.0
    away = (module(wild) - module(wild.nan_to_num(0.0)))[:, :3]
    assert away.isfinite().sum() > 0.99 * away.numel()  # no NaN spreads through the network

    # Nuke halves the weights and the picture; a wrong size is refused in words.
    halved = torch.jit.load(str(tmp_path / "face.pt")).half()
    found, wanted = halved(light.half()), torch.jit.load(str(tmp_path / "face.pt"))(light)
    assert found.dtype == torch.float16
    assert (found.float() - wanted).abs().max() < 0.02
    with pytest.raises(torch.jit.Error, match=r"32 x 32 pixels; set the gizmo's size"):
        module(torch.zeros((1, 3, 64, 64)))


@pytest.mark.filterwarnings("ignore:`torch.jit:DeprecationWarning")
@torch.no_grad()
def test_torchscript_without_a_release_shows_the_slate_at_every_strength_and_exposure(
    whole, tmp_path
):
    plain, marked = tmp_path / "plain.pt", tmp_path / "marked.pt"
    export_torchscript(whole[0], plain, RELEASED)
    export_torchscript(whole[0], marked, Verdict(False, "no release is on file for this model"))
    light = torch.full((1, 3, 32, 32), 0.2)
    for strength, stops in ((0.0, 0.0), (1.0, 3.0)):
        made = []
        for path in (plain, marked):
            module = torch.jit.load(str(path))
            module.identity_strength, module.exposure = strength, stops
            made.append(module(light))
        away = (made[1] - made[0]).abs().amax(dim=1) * 2.0**stops
        assert (away[0, 14:18, 12:20] > 0.02).float().mean() > 0.5
        assert (made[1][0, 3, 14:18, 12:20] == 1.0).all()


def test_a_package_of_another_network_gives_no_torchscript(tmp_path):
    with pytest.raises(TrainingError, match="holds another network"):
        export_torchscript(tiny_model(tmp_path / "other.onnx"), tmp_path / "o.pt", RELEASED)
    assert not (tmp_path / "o.pt").exists()


def test_nothing_is_exported_from_nothing(people, tmp_path):
    with pytest.raises(TrainingError, match="holds no training run"):
        export(tmp_path, tmp_path / "a.onnx", "nobody")
    run_tiny(people, tmp_path / "run", stop_after=1)
    with pytest.raises(OutputError, match="can't be written"):
        export(tmp_path / "run", tmp_path / "run" / "config.json" / "a.onnx", "nobody")
