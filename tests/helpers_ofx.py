"""The real shim in the strict host, with real workers of their own: what its tests share."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from numpy.typing import NDArray

from conftest import a_face
from helpers_model import tiny_model
from ofx_host import NATRON, Face, Host, Image, Instance, Layout, Plugin, Rendered, Status
from ofx_host.bundle import built, why_not
from semblance import knobs, release
from semblance.face import Track
from semblance.track.file import save_track

HERE = Path(__file__).parent
FAKE = HERE / "ofx_host" / "fake_worker.py"
EXAMPLES = HERE.parent / "examples"
SIZE = (160, 120)
MAIN = "import sys; from semblance.cli import main; sys.exit(main())"
"""The command line of this tree, for `python -c`."""
FRAMES = 6

needs_bundle = pytest.mark.skipif(bool(why_not()), reason=why_not() or "a bundle")


@dataclass(frozen=True)
class Scene:
    """Plates, a track and a model, in files where they are files.

    Parameters
    ----------
    plates : mapping of float to (h, w, 4) float32
        By time, first row the highest.
    model, track : Path
    home : Path
        A home folder that trusts who released the model, and who released the example's.
    """

    plates: dict[float, NDArray[np.float32]]
    model: Path
    track: Path
    home: Path

    @property
    def size(self) -> tuple[int, int]:
        height, width = self.plates[1.0].shape[:2]
        return width, height

    def image(self, time: float, **how: Any) -> Image:
        plate = self.plates[time]
        height, width = plate.shape[:2]
        return Image((0, 0, width, height), "RGBA", plate, **how)


def a_scene(folder: Path, *, change: float = 0.1) -> Scene:
    """A face that wanders over plates that differ, so that a stale frame is seen at once."""
    folder.mkdir(parents=True, exist_ok=True)
    width, height = SIZE
    random = np.random.default_rng(4)
    y, x = np.mgrid[:height, :width].astype(np.float32)
    base = 0.12 + 0.05 * np.sin(x / 17.0) + 0.04 * np.cos(y / 23.0)
    plates, faces = {}, {}
    for frame in range(1, FRAMES + 1):
        picture = base[..., None] * np.float32([1.3, 0.95, 0.7, 0.0])
        picture += random.normal(0.0, 0.004, picture.shape).astype(np.float32)
        picture[..., 3] = 1.0
        picture[5, 7, :3] = 50.0
        plates[float(frame)] = picture
        faces[frame] = replace(a_face((76.0 + 2 * frame, 60.0), 60.0), source="hand")
    track = Track(faces, SIZE, 1.0, tuple(faces))
    save_track(track, folder / "track.json")
    model = tiny_model(folder / "tiny.onnx", change=change)
    home = folder / "home"
    trust = home / ".config" / "semblance" / "trust"
    trust.mkdir(parents=True)
    shutil.copy(EXAMPLES / "trust" / "kestrel-estate.pub", trust)
    _release(model, trust)
    return Scene(plates, model, folder / "track.json", home)


def _release(model: Path, trust: Path) -> None:
    """Release a model, by a key that is trusted from now on."""
    today = date.today()
    pair = release.new_key("Test Estate")
    (trust / "test.pub").write_text(pair.public)
    private = serialization.load_pem_private_key(pair.private.encode(), password=None)
    assert isinstance(private, Ed25519PrivateKey)
    terms = release.Release(
        id=release.new_id(),
        rights_holder="Test Estate",
        likeness="Tess Test",
        production="Tests",
        uses=("tests",),
        territory="this machine",
        valid_from=today - timedelta(days=1),
        valid_until=today + timedelta(days=2),
        contact="tests@example.org",
        model_sha256=hashlib.sha256(model.read_bytes()).hexdigest(),
    )
    release.default_release_path(model).write_bytes(release.sign(terms, private))


@dataclass
class Link:
    """A host with the shim in it, and a runtime folder that no other test shares."""

    folder: Path
    face: Face = NATRON
    bundle: Path = field(default_factory=built)
    serve: tuple[str, ...] = ()
    limits: str = ""

    def __post_init__(self) -> None:
        self.runtime = self.folder / "run"
        self.worker = self.launcher("worker")
        self.fakes: list[subprocess.Popen[bytes]] = []
        self.host = Host(self.face)
        self.plugin = Plugin(self.host, self.bundle)

    def launcher(self, name: str) -> Path:
        """Write what the shim starts: the worker of this tree, its process number noted."""
        path = self.folder / name
        more = " ".join(self.serve)
        path.write_text(
            f'#!/bin/sh\necho $$ >> "{self.folder}/started"\n{self.limits}\n'
            f"exec '{sys.executable}' -c '{MAIN}' \"$@\" {more}\n"
        )
        path.chmod(0o755)
        return path

    @property
    def socket(self) -> Path:
        return self.runtime / "worker-1.sock"

    def started(self) -> list[int]:
        """Return the process numbers of all workers that were started, oldest first."""
        path = self.folder / "started"
        return [int(line) for line in path.read_text().split()] if path.exists() else []

    def open(self) -> Link:
        assert self.plugin.load() == Status.OK
        self.plugin.describe()
        return self

    def instance(self, scene: Scene | None = None, **values: Any) -> Instance:
        instance = self.plugin.create()
        if scene is not None:
            images = {time: scene.image(time) for time in scene.plates}
            instance.set_project((0, 0), scene.size)
            instance.connect("Source", lambda time: images.get(time))
            files = {"model": str(scene.model), "track_file": str(scene.track)}
            values = {**files, "mask_occlusion": 0.0, **values}  # nobody is in this picture
        instance.put(**values)
        return instance

    def fake(self, way: str, digest: str = "", seed: int = 1) -> subprocess.Popen[bytes]:
        """Start a worker that says wrong things, and wait until it listens."""
        self.end_workers()
        fake = subprocess.Popen(
            [sys.executable, str(FAKE), str(self.socket), digest or knobs.digest(), way, str(seed)],
            stderr=subprocess.DEVNULL,
        )
        self.fakes.append(fake)
        wait_for(lambda: _listens(self.socket), "the fake worker listens")
        return fake

    def worker_pid(self) -> int:
        """Return the process number of the worker that serves now."""
        return int(json.loads((self.runtime / "worker-1.json").read_text())["pid"])

    def end_workers(self) -> None:
        for fake in self.fakes:
            fake.kill()
            fake.wait()
        self.fakes.clear()
        for pid in self.started():
            if is_ours(pid):
                kill(pid)
        (self.folder / "started").unlink(missing_ok=True)

    def close(self) -> None:
        self.plugin.unload()
        self.end_workers()
        self.plugin.close()


def _listens(path: Path) -> bool:
    import socket

    with socket.socket(socket.AF_UNIX) as probe:
        try:
            probe.connect(str(path))
        except OSError:
            return False
    return True


def is_ours(pid: int) -> bool:
    """Return whether a process number is still that of a worker that a test started."""
    try:
        return b"semblance" in Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return False


def kill(pid: int, sign: int = signal.SIGKILL) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, sign)


def wait_for(condition: Callable[[], bool], what: str, seconds: float = 20.0) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, f"not within {seconds} s: {what}"
        time.sleep(0.01)


@contextlib.contextmanager
def a_link(
    folder: Path, monkeypatch: pytest.MonkeyPatch, scene: Scene, **how: Any
) -> Iterator[Link]:
    """Give a link that is closed at the end, and whose host found nothing wrong."""
    folder.mkdir(parents=True, exist_ok=True)
    link = Link(folder, **how)
    monkeypatch.setenv("SEMBLANCE_RUNTIME", str(link.runtime))
    monkeypatch.setenv("SEMBLANCE_WORKER", str(link.worker))
    monkeypatch.setenv("HOME", str(scene.home))
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    try:
        yield link.open()
    finally:
        link.close()
    link.host.check()


def good(done: Rendered | None) -> NDArray[np.float32]:
    """Return the pixels of a frame that came through, (h, w, c), first row the highest."""
    assert done is not None, "the host did not render"
    assert done.status == Status.OK, done.message
    assert not done.message
    return done.image.top_down.copy()


def failed(done: Rendered | None, within: float) -> str:
    """Return the message of a frame that failed as it should."""
    assert done is not None, "the host did not render"
    assert done.status == Status.FAILED
    assert done.message, "the frame failed without a message"
    assert done.seconds <= within, f"{done.seconds:.2f} s, allowed are {within} s"
    return done.message


__all__ = [
    "EXAMPLES",
    "FRAMES",
    "MAIN",
    "SIZE",
    "Layout",
    "Link",
    "Scene",
    "a_link",
    "a_scene",
    "failed",
    "good",
    "is_ours",
    "kill",
    "needs_bundle",
    "wait_for",
]
