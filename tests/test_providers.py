"""What computes: options by provider, places on a device, and a fall-back that is said aloud.

No card is needed here. That the options do on a card what they are meant to do is not shown.
"""

from __future__ import annotations

import threading
from pathlib import Path

import numpy as np
import pytest

from conftest import a_face, a_plate

pytest.importorskip("onnx", reason="models are made with onnx")

from helpers_model import SIZE, tiny_model
from semblance import runtime
from semblance.cli import main
from semblance.errors import ProviderError
from semblance.exr import write_plate
from semblance.face import Track
from semblance.model import Likeness, available_providers
from semblance.model.providers import PROVIDERS, engine_folder, options
from semblance.track.file import save_track

ABSENT = sorted({"cuda", "tensorrt", "tensorrt-fp16"} - set(available_providers()))


@pytest.fixture
def model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("LOCALAPPDATA", str(tmp_path / "cache"))
    return tiny_model(tmp_path / "tiny.onnx", change=0.25)


def test_each_provider_gets_its_options_and_makes_way_to_the_next(model, tmp_path):
    chain = options(["tensorrt-fp16", "cuda", "cpu"], "ab" * 32)
    assert [name for name, _ in chain] == [
        "TensorrtExecutionProvider", "CUDAExecutionProvider", "CPUExecutionProvider",
    ]  # fmt: skip
    engine, card, cpu = (chosen for _, chosen in chain)
    assert engine["trt_fp16_enable"] == "True"
    assert engine["trt_engine_cache_enable"] == "True"
    folder = Path(engine["trt_engine_cache_path"])
    assert folder.is_dir()
    assert folder.parent == engine_folder()
    assert folder.is_relative_to(tmp_path)
    assert folder.stat().st_mode & 0o077 == 0 or not hasattr(folder, "owner")
    assert card["use_tf32"] == "0"
    assert cpu == {}
    assert dict(options(["tensorrt"], "ab" * 32))[PROVIDERS["tensorrt"]]["trt_fp16_enable"] == (
        "False"
    )
    # Engines of two graphs never meet.
    other = dict(options(["tensorrt"], "cd" * 32))[PROVIDERS["tensorrt"]]
    assert other["trt_engine_cache_path"] != str(folder)


@pytest.mark.parametrize("name", ABSENT)
def test_what_is_not_there_makes_way_and_one_sentence_names_both(model, name):
    with Likeness.open(model, name, threads=1) as likeness:
        assert likeness.provider == "cpu"
        assert likeness.notice.startswith(f"asked to compute on '{name}', computing on 'cpu' (")
        assert "\n" not in likeness.notice
        made = likeness.infer(np.full((SIZE, SIZE, 3), 0.3, np.float32), 1.0)
    np.testing.assert_allclose(made.rgb, 0.55, atol=1e-6)


def test_a_provider_that_was_had_is_not_talked_about_and_no_name_is_guessed(model):
    for name in ("auto", "cpu"):
        with Likeness.open(model, name) as likeness:
            assert likeness.notice == ""
    with pytest.raises(ProviderError, match="'gpu' does not exist: expected auto, cpu, cuda"):
        Likeness.open(model, "gpu")


@pytest.mark.filterwarnings("ignore:Specified provider")
@pytest.mark.parametrize("asked", ["auto", "cuda", "tensorrt-fp16"])
def test_what_is_installed_and_does_not_start_is_named_too(model, asked, monkeypatch):
    """As on a machine with the packages for a card, and without the card."""
    held = runtime.built_in()
    monkeypatch.setattr(runtime, "built_in", lambda: held | set(PROVIDERS.values()))
    with Likeness.open(model, asked, threads=1) as likeness:
        assert likeness.provider == "cpu"
        wanted = "cuda" if asked == "auto" else asked
        assert likeness.notice.startswith(f"asked to compute on '{wanted}', computing on 'cpu'")
        assert "cuda: it did not start" in likeness.notice


@pytest.mark.skipif("cuda" not in ABSENT, reason="there is a card")
def test_apply_says_once_that_it_computes_elsewhere(model, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    write_plate(a_plate(), tmp_path / "plate.0001.exr")
    save_track(Track({1: a_face()}, (120, 90), frames=(1,)), tmp_path / "track.json")
    words = ["apply", "plate.####.exr", "-m", str(model), "-t", "track.json", "--looks", "1"]
    assert main([*words, "-o", "out/r.####.exr", "--provider", "cuda"]) == 0
    said = capsys.readouterr()
    lines = [line for line in said.err.splitlines() if "asked to compute on" in line]
    assert len(lines) == 1
    assert lines[0].startswith("semblance: asked to compute on 'cuda', computing on 'cpu'")
    assert "EP Error" not in said.out


def test_bound_places_give_what_a_plain_run_gives_from_any_thread(model):
    plain = runtime.session(model.read_bytes())
    bound = runtime.Bound(plain, "cpu")
    names = ["rgb", "self"]
    random = np.random.default_rng(1)
    faults: list[str] = []

    def work(seed: float) -> None:
        kept = []
        for batch in (1, 1, 2, 1):
            feed = {
                "image": random.random((batch, 3, SIZE, SIZE), np.float32),
                "strength": np.full(batch, seed, np.float32),
            }
            kept.append((bound.run(names, feed), plain.run(names, feed)))
        # Compared at the end: an answer must not change under who holds it.
        for ours, theirs in kept:
            for one, other in zip(ours, theirs, strict=True):
                if not np.array_equal(one, other):
                    faults.append(f"{seed}: {np.abs(one - other).max()}")

    threads = [threading.Thread(target=work, args=(seed,)) for seed in (0.1, 0.5, 0.9)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not faults
    assert [each.name for each in bound.get_inputs()] == ["image", "strength"]


def test_a_damaged_graph_is_the_models_fault_whatever_was_asked_for(model):
    with pytest.raises(runtime.ERRORS):
        runtime.session(model.read_bytes()[:-40], 1, options(["cpu"], "ab"))
