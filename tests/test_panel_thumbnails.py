# ruff: noqa: E402
"""The panel's thumbnails, by a worker that runs."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from semblance.errors import PlateError
from semblance.exr import read_plate
from semblance.knobs import Knobs
from semblance.worker.client import Link

ROOT = Path(__file__).parents[1]

from semblance_panel.providers import VIEWS, Picture
from semblance_panel.thumbnails import PlateFrame, WorkerThumbnails

if sys.platform == "win32":
    pytest.skip("Unix sockets", allow_module_level=True)

EXAMPLES = ROOT / "examples"


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The runtime directory of a worker that trusts the examples' key."""
    folder = tmp_path_factory.mktemp("panel") / "run"
    program = "import sys; from semblance.cli import main; sys.exit(main())"
    command = [sys.executable, "-c", program, "serve", "--trust", str(EXAMPLES / "trust")]
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HOME", str(folder.parent))
        patch.setenv("OMP_NUM_THREADS", "1")
        with Link.open(folder, command=command, seconds=60.0) as link:
            yield folder
            os.kill(link.welcome.pid, signal.SIGTERM)


class Examples:
    """The examples' plates; each call says so."""

    def __init__(self) -> None:
        self.read: list[int] = []

    def frame(self, number: int) -> PlateFrame:
        self.read.append(number)
        path = EXAMPLES / f"plate.{number}.exr"
        if not path.exists():
            raise PlateError(f"{path.name} is not there")
        channels = read_plate(path).channels
        rgb = [channels[name] for name in "RGB"]
        rgba = np.dstack([*rgb, np.ones_like(rgb[0])]).astype(np.float32)
        return PlateFrame(rgba.shape[1], rgba.shape[0], rgba.tobytes())


def knobs(**values: object) -> Knobs:
    return Knobs.from_flat(
        {
            "model": str(EXAMPLES / "likeness.onnx"),
            "track_file": str(EXAMPLES / "track.json"),
            "looks": 1,
            **values,
        }
    )


class Pictures(dict[str, Picture]):
    """Takes pictures from another thread, and waits for all of them."""

    def __init__(self) -> None:
        super().__init__()
        self._all = threading.Event()

    def deliver(self, picture: Picture) -> None:
        assert threading.current_thread() is not threading.main_thread()
        self[picture.view] = picture
        if len(self) == len(VIEWS):
            self._all.set()

    def wait(self) -> Pictures:
        assert self._all.wait(60.0)
        return self

    def pixels(self, view: str) -> np.ndarray:
        picture = self[view]
        shape = (picture.height, picture.width, 3)
        return np.frombuffer(picture.rgb, np.uint8).reshape(shape).astype(int)


def test_matte_patch_and_result_are_those_of_the_worker(home: Path) -> None:
    plates = Examples()
    with WorkerThumbnails(plates, home) as thumbnails:
        full, none = Pictures(), Pictures()
        thumbnails.ask(knobs(), 1004, full.deliver)
        full.wait()
        thumbnails.ask(knobs(identity_strength=0.0), 1004, none.deliver)
        none.wait()
    assert set(full) == set(VIEWS)
    assert max(full["result"].width, full["result"].height) == 112
    matte = full.pixels("matte")
    height, width = matte.shape[:2]
    assert matte[height // 2, width // 2].min() > 240
    assert matte[0].max() == 0
    # Where nothing is replaced the plate is shown, and with no likeness all of it.
    changed = np.abs(full.pixels("result") - none.pixels("result")).max(axis=2)
    outside = matte.max(axis=2) == 0
    assert changed[outside].max() <= 1  # a matte that rounds to 0 need not be 0
    assert changed.max() > 8
    assert full["result"].message == ""  # released, so there is no slate to explain


def test_what_can_not_be_had_is_explained_in_its_place(home: Path, tmp_path: Path) -> None:
    with WorkerThumbnails(Examples(), home) as thumbnails:
        gone, broken = Pictures(), Pictures()
        thumbnails.ask(knobs(), 999, gone.deliver)
        assert "plate.999.exr is not there" in gone.wait()["result"].message
        wrong = knobs(model=str(tmp_path / "no.onnx"))
        thumbnails.ask(wrong, 1004, broken.deliver)
        assert "no.onnx" in broken.wait()["result"].message
        assert not broken["matte"].rgb


def test_only_the_newest_request_of_a_drag_is_drawn(home: Path) -> None:
    plates = Examples()
    with WorkerThumbnails(plates, home) as thumbnails:
        last = Pictures()
        for step in range(20):
            take = last.deliver if step == 19 else (lambda picture: None)
            thumbnails.ask(knobs(mix=0.5 + step / 100.0), 1001, take)
        last.wait()
    assert len(plates.read) < 20
