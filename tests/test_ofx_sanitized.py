"""The plug-in under the address and undefined-behaviour sanitizers: nothing leaks or strays."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from helpers_ofx import Link, Scene, a_link, a_scene, needs_bundle
from ofx_host.bundle import built

pytestmark = needs_bundle

_DRIVER = """
import os, sys
sys.path.insert(0, sys.argv[1])
from pathlib import Path
import numpy as np
from ofx_host import LAYOUTS, Host, Image, Plugin, Status
bundle, folder, model, track, frames, way = sys.argv[2:8]
plates = np.load(folder + "/plates.npy")
height, width = plates.shape[1:3]
host = Host()
plugin = Plugin(host, Path(bundle))
for count in range(int(frames)):
    if count % 10 == 0:
        plugin.load()
        plugin.describe()
        instances = [plugin.create() for _ in range(2)]
        for instance in instances:
            instance.set_project((0, 0), (width, height))
            instance.put(model=model, track_file=track, mask_occlusion=0.0)
            if way == "fuzz":
                instance.put(worker_timeout=0.02)
    instance, layout = instances[count % 2], LAYOUTS[count % 4]
    plate = plates[count % len(plates)]
    instance.connect("Source", Image((0, 0, width, height), "RGBA", plate, layout=layout))
    if count % 3 == 1:
        mask = np.ones((40, 50, 1), np.float32)
        instance.connect("Mask", Image((50, 30, 100, 70), "Alpha", mask))
    instance.put(model="/nonexistent.onnx" if count % 7 == 3 else model)
    done = instance.render(float(count % len(plates) + 1), layout=layout,
                           abort=lambda poll, count=count: count % 5 == 2 and poll > 1)
    assert way == "fuzz" or (done.status == Status.OK) == (count % 7 != 3), done.message
    if count % 10 == 9:
        for instance in reversed(instances):
            instance.destroy()
        plugin.unload()
host.check()
"""


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Scene:
    return a_scene(tmp_path_factory.mktemp("scene"))


@pytest.fixture
def link(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, scene: Scene) -> Iterator[Link]:
    with a_link(tmp_path / "link", monkeypatch, scene) as link:
        yield link


def _runtime_library() -> str:
    """Return where the sanitizer's library is, which has to be the first in the process."""
    compiler = shutil.which("cc") or "gcc"
    ran = subprocess.run(
        [compiler, "-print-file-name=libasan.so"], capture_output=True, text=True, check=True
    )
    path = ran.stdout.strip()
    if not os.path.isabs(path):
        pytest.skip("this compiler brings no address sanitizer")
    return path


def _sanitized(link: Link, scene: Scene, frames: int, way: str = "") -> None:
    np.save(link.folder / "plates.npy", np.stack(list(scene.plates.values())))
    ran = subprocess.run(
        [
            sys.executable, "-c", _DRIVER, str(Path(__file__).parent),
            str(built("address,undefined")), str(link.folder), str(scene.model),
            str(scene.track), str(frames), way,
        ],
        env={
            **os.environ,
            "LD_PRELOAD": _runtime_library(),
            "ASAN_OPTIONS": "detect_leaks=1:exitcode=0:detect_stack_use_after_return=1",
            "UBSAN_OPTIONS": "print_stacktrace=1",
        },
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    # Python itself keeps memory until the process ends: only what the plug-in did counts.
    blocks = ran.stderr.split("\n\n")
    ours = [block for block in blocks if "plugin/ofx/" in block or "Semblance.ofx" in block]
    assert not ours, "\n\n".join(ours)
    assert ran.returncode == 0, ran.stderr[-4000:]
    assert "LeakSanitizer" in ran.stderr or "leak" not in ran.stderr


def test_renders_leak_nothing(link: Link, scene: Scene) -> None:
    _sanitized(link, scene, 50)


@pytest.mark.slow
def test_a_thousand_renders_leak_nothing(link: Link, scene: Scene) -> None:
    _sanitized(link, scene, 1000)


@pytest.mark.slow
def test_mutated_replies_touch_no_foreign_memory(link: Link, scene: Scene) -> None:
    link.fake("fuzz", seed=11)
    _sanitized(link, scene, 5000, "fuzz")
