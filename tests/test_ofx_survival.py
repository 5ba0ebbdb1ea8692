"""What the live link survives: each with the real plug-in, and a real worker where one is left."""

from __future__ import annotations

import contextlib
import os
import resource
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
import threading
import time as clock
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from helpers_model import tiny_model
from helpers_ofx import (
    FAKE,
    FRAMES,
    Link,
    Scene,
    a_link,
    a_scene,
    failed,
    good,
    kill,
    needs_bundle,
    wait_for,
)
from ofx_host import NUKE, Image, Instance, Status
from ofx_host.bundle import built
from semblance.knobs import digest
from semblance.release import default_release_path

pytestmark = needs_bundle
TIMEOUT = 1.0
"""Seconds a render may wait for a worker that does not answer, in these tests."""


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Scene:
    return a_scene(tmp_path_factory.mktemp("scene"))


@pytest.fixture(scope="module")
def reference(tmp_path_factory: pytest.TempPathFactory, scene: Scene) -> dict[float, np.ndarray]:
    """Each frame as nobody disturbed it."""
    with (
        pytest.MonkeyPatch.context() as patch,
        a_link(tmp_path_factory.mktemp("reference"), patch, scene) as link,
    ):
        instance = link.instance(scene)
        frames = {time: good(instance.frame(time)) for time in scene.plates}
        instance.destroy()
    return frames


@pytest.fixture(autouse=True)
def _signals_of_a_host() -> Iterator[None]:
    """Python ignores SIGPIPE and a host does not: writing to a dead worker must not raise it."""
    previous = signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    yield
    signal.signal(signal.SIGPIPE, previous)


@pytest.fixture
def link(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, scene: Scene) -> Iterator[Link]:
    with a_link(tmp_path / "link", monkeypatch, scene) as link:
        yield link


def _recovers(instance: Instance, reference: dict[float, np.ndarray]) -> None:
    """The cause is gone: the next frame is right, and no message stands."""
    instance.changed("mix")
    assert not instance.message
    np.testing.assert_array_equal(good(instance.frame(5.0)), reference[5.0])


# ---- killed --------------------------------------------------------------------------------


def _kill_often(link: Link, scene: Scene, reference: dict[float, np.ndarray], times: int) -> None:
    instance = link.instance(scene)
    good(instance.frame(1.0))
    for count in range(times):
        time = float(count % FRAMES + 1)
        when = ("before", "during", "after")[count % 3]
        worker = link.worker_pid()
        timer = None
        if when == "before":
            kill(worker)
        elif when == "during":
            timer = threading.Timer(0.001 + 0.003 * (count // 3 % 12), kill, (worker,))
            timer.start()
        done = instance.frame(time)
        if timer:
            timer.join()
        np.testing.assert_array_equal(good(done), reference[time], err_msg=f"{when}, {count}")
        if when == "after":
            kill(link.worker_pid())
    np.testing.assert_array_equal(good(instance.frame(2.0)), reference[2.0])
    assert len(link.started()) > times * 2 // 3
    instance.destroy()


def test_a_killed_worker_costs_no_frame(
    link: Link, scene: Scene, reference: dict[float, np.ndarray]
) -> None:
    _kill_often(link, scene, reference, 3)


@pytest.mark.slow
def test_a_worker_killed_a_hundred_times_costs_no_frame(
    link: Link, scene: Scene, reference: dict[float, np.ndarray]
) -> None:
    _kill_often(link, scene, reference, 100)


def test_a_worker_that_always_dies_fails_the_frame(
    tmp_path: Path, scene: Scene, link: Link, reference: dict[float, np.ndarray]
) -> None:
    """It is started again a few times only, and the host hears of it long before the time-out."""
    instance = link.instance(scene, worker_timeout=20.0)
    worker = link.worker.read_text()
    link.worker.write_text("#!/bin/sh\nexit 3\n")
    assert "worker" in failed(instance.frame(1.0), 5.0)
    link.worker.write_text(worker)
    _recovers(instance, reference)
    instance.destroy()


# ---- started ---------------------------------------------------------------------------------


def test_nothing_starts_before_a_frame_is_rendered(link: Link, scene: Scene) -> None:
    instance = link.instance(scene)
    instance.preferences()
    instance.region_of_definition(1.0)
    instance.is_identity(1.0, (0, 0, 8, 8))
    instance.destroy()
    assert not link.started()
    assert not link.runtime.exists()


def test_a_worker_is_nobody_s_child_and_holds_nothing_of_the_host(
    tmp_path: Path, link: Link, scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not the host's Python settings either, which would break ours."""
    for name in ("PYTHONHOME", "PYTHONPATH", "PYTHONSTARTUP", "LD_LIBRARY_PATH"):
        monkeypatch.setenv(name, "/nonexistent")
    with (tmp_path / "secret").open("w") as secret:
        os.set_inheritable(secret.fileno(), True)
        instance = link.instance(scene)
        good(instance.frame(1.0))
        worker = link.worker_pid()
        files = Path(f"/proc/{worker}/fd")
        held = {os.readlink(files / name) for name in os.listdir(files)}
        assert secret.name not in held
    assert os.getsid(worker) != os.getsid(0)
    with pytest.raises(ChildProcessError):
        os.waitpid(-1, os.WNOHANG)
    assert stat.S_IMODE(link.runtime.stat().st_mode) == 0o700
    assert stat.S_IMODE(link.socket.stat().st_mode) & 0o077 == 0
    instance.destroy()


def test_an_abort_while_the_worker_starts_waits_for_nobody(
    link: Link, scene: Scene, reference: dict[float, np.ndarray]
) -> None:
    instance = link.instance(scene)
    done = instance.render(1.0, abort=lambda poll: poll >= 2)
    assert done.status == Status.OK
    assert done.seconds < 0.3
    np.testing.assert_array_equal(good(instance.frame(2.0)), reference[2.0])
    instance.destroy()


@pytest.mark.parametrize("runtime", ["/proc/nowhere/run", "/tmp/" + "long/" * 30])
def test_a_runtime_folder_that_can_not_be_fails_the_frame(
    link: Link, scene: Scene, monkeypatch: pytest.MonkeyPatch, runtime: str
) -> None:
    monkeypatch.setenv("SEMBLANCE_RUNTIME", runtime)
    instance = link.instance(scene, worker_timeout=3.0)
    assert runtime.rstrip("/") in failed(instance.frame(1.0), 3.5)
    assert not Path("/tmp/long").exists()
    instance.destroy()


# ---- missing, or another ------------------------------------------------------------------


def test_a_missing_worker_fails_the_frame_and_one_that_comes_renders_it(
    link: Link, scene: Scene, monkeypatch: pytest.MonkeyPatch, reference: dict[float, np.ndarray]
) -> None:
    instance = link.instance(scene, worker_timeout=10.0)
    monkeypatch.setenv("SEMBLANCE_WORKER", str(link.folder / "nothing"))
    for _ in range(2):
        message = failed(instance.frame(1.0), 2.0)
        assert str(link.folder / "nothing") in message
    assert len(instance.effect.messages) == 1, "the host's console shows each call"
    monkeypatch.setenv("SEMBLANCE_WORKER", str(link.worker))
    np.testing.assert_array_equal(good(instance.frame(1.0)), reference[1.0])
    _recovers(instance, reference)
    instance.destroy()


def test_a_host_that_stops_at_an_error_renders_again_after_any_change(
    tmp_path: Path,
    scene: Scene,
    monkeypatch: pytest.MonkeyPatch,
    reference: dict[float, np.ndarray],
) -> None:
    with a_link(tmp_path / "nuke", monkeypatch, scene, face=NUKE) as link:
        instance = link.instance(scene)
        monkeypatch.setenv("SEMBLANCE_WORKER", "/nonexistent")
        failed(instance.frame(1.0), 2.0)
        assert instance.frame(1.0) is None
        monkeypatch.setenv("SEMBLANCE_WORKER", str(link.worker))
        _recovers(instance, reference)
        instance.destroy()


@pytest.mark.parametrize("way", ["other_protocol", "other_digest", "refuses"])
def test_a_worker_of_another_version_is_named_as_such(
    link: Link, scene: Scene, way: str, reference: dict[float, np.ndarray]
) -> None:
    link.fake(way)
    instance = link.instance(scene, worker_timeout=TIMEOUT)
    message = failed(instance.frame(1.0), TIMEOUT + 0.5)
    said = {"other_protocol": "protocol", "other_digest": "0123456789abcdef", "refuses": "update"}
    assert said[way] in message
    if way == "other_digest":
        link.end_workers()
        instance.put(worker_timeout=20.0)
        _recovers(instance, reference)
    instance.destroy()


# ---- hung ----------------------------------------------------------------------------------


def test_a_hung_worker_fails_the_frame_in_time_and_goes_on_when_it_wakes(
    link: Link, scene: Scene, reference: dict[float, np.ndarray]
) -> None:
    instance = link.instance(scene)
    good(instance.frame(1.0))
    instance.put(worker_timeout=TIMEOUT)
    worker = link.worker_pid()
    kill(worker, signal.SIGSTOP)
    try:
        failed(instance.frame(2.0), TIMEOUT + 0.5)
        failed(instance.frame(3.0), TIMEOUT + 0.5)
        start = clock.perf_counter()
        done = instance.render(4.0, abort=lambda poll: poll > 1)
        assert done.status == Status.OK
        assert clock.perf_counter() - start < 0.5, "an abort waits for nobody"
    finally:
        kill(worker, signal.SIGCONT)
    instance.put(worker_timeout=20.0)
    _recovers(instance, reference)
    assert link.worker_pid() == worker
    instance.destroy()


def test_restarting_ends_a_hung_worker(
    link: Link, scene: Scene, reference: dict[float, np.ndarray]
) -> None:
    instance = link.instance(scene)
    good(instance.frame(1.0))
    worker = link.worker_pid()
    kill(worker, signal.SIGSTOP)
    instance.changed("restart_worker")
    _recovers(instance, reference)
    assert link.worker_pid() != worker
    instance.destroy()


def test_destroying_and_unloading_wait_for_nobody(link: Link, scene: Scene) -> None:
    instance = link.instance(scene)
    good(instance.frame(1.0))
    kill(link.worker_pid(), signal.SIGSTOP)
    start = clock.perf_counter()
    instance.destroy()
    link.plugin.unload()
    assert clock.perf_counter() - start < 0.3
    link.open()


# ---- out of memory ---------------------------------------------------------------------------


def test_a_worker_without_memory_to_start_fails_the_frame(
    tmp_path: Path,
    scene: Scene,
    monkeypatch: pytest.MonkeyPatch,
    reference: dict[float, np.ndarray],
) -> None:
    with a_link(tmp_path / "small", monkeypatch, scene, limits="ulimit -v 150000") as link:
        instance = link.instance(scene, worker_timeout=10.0)
        assert "worker" in failed(instance.frame(1.0), 10.5)
        link.limits = ""
        link.launcher("worker")
        instance.changed("restart_worker")
        _recovers(instance, reference)
        instance.destroy()


def test_a_worker_short_of_memory_fails_the_frame_and_lives(
    tmp_path: Path, scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A frame beyond the worker's bound fails with a message; one within it is rendered."""
    with a_link(
        tmp_path / "bound", monkeypatch, scene, serve=("--memory-mb", "64", "--cache-mb", "16")
    ) as link:
        instance = link.instance(scene, worker_timeout=10.0)
        small = good(instance.frame(1.0))
        worker = link.worker_pid()
        big = np.repeat(np.repeat(scene.plates[1.0], 16, axis=0), 16, axis=1)
        height, width = big.shape[:2]
        image = Image((0, 0, width, height), "RGBA", big)
        instance.put(view=2, track_file="")
        instance.connect("Source", lambda time: image)
        message = failed(instance.frame(1.0), 10.5)
        assert "memory" in message.lower()
        plate = scene.image(1.0)
        instance.put(view=0, track_file=str(scene.track))
        instance.connect("Source", lambda time: plate)
        np.testing.assert_array_equal(good(instance.frame(1.0)), small)
        assert link.worker_pid() == worker
        instance.destroy()


@contextlib.contextmanager
def _no_shared_memory() -> Iterator[None]:
    """Let no file, and so no shared memory of this process, grow beyond a few bytes."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1024, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_exhausted_shared_memory_fails_the_frame(
    link: Link, scene: Scene, reference: dict[float, np.ndarray]
) -> None:
    instance = link.instance(scene, mix=0.0)
    other = link.instance(scene)
    other.put(worker_timeout=10.0)
    link_is_up = link.instance(scene, view=2)
    link.plugin.unload()  # drops the slots that are there
    link.open()
    with _no_shared_memory():
        message = failed(other.frame(2.0), 10.5)
    assert "memory" in message.lower()
    _recovers(other, reference)
    for each in (instance, other, link_is_up):
        each.destroy()


# ---- the model's file ------------------------------------------------------------------------


def _copy_model(scene: Scene, model: Path) -> None:
    shutil.copy(scene.model, model)
    shutil.copy(default_release_path(scene.model), default_release_path(model))


def test_a_deleted_model_fails_the_frame_until_it_is_back(
    tmp_path: Path, link: Link, scene: Scene, reference: dict[float, np.ndarray]
) -> None:
    model = tmp_path / "model.onnx"
    _copy_model(scene, model)
    instance = link.instance(scene, model=str(model))
    good(instance.frame(1.0))
    model.unlink()
    assert "model.onnx" in failed(instance.frame(2.0), 5.0)
    shutil.copy(scene.model, model)
    _recovers(instance, reference)
    instance.destroy()


def test_a_swapped_model_is_seen_at_the_next_frame(
    tmp_path: Path, link: Link, scene: Scene, reference: dict[float, np.ndarray]
) -> None:
    model = tmp_path / "model.onnx"
    _copy_model(scene, model)
    instance = link.instance(scene, model=str(model))
    np.testing.assert_array_equal(good(instance.frame(1.0)), reference[1.0])
    tiny_model(model, change=0.2)
    swapped = good(instance.frame(1.0))
    assert (swapped != reference[1.0]).any()
    model.write_bytes(b"not a model at all")
    assert "model.onnx" in failed(instance.frame(1.0), 5.0)
    shutil.copy(scene.model, model)
    _recovers(instance, reference)
    instance.destroy()


def test_a_deleted_or_broken_track_fails_the_frame_until_it_is_back(
    tmp_path: Path, link: Link, scene: Scene, reference: dict[float, np.ndarray]
) -> None:
    track = tmp_path / "track.json"
    shutil.copy(scene.track, track)
    instance = link.instance(scene, track_file=str(track))
    good(instance.frame(1.0))
    track.write_text("{")
    assert "track.json" in failed(instance.frame(2.0), 5.0)
    track.unlink()
    assert "track.json" in failed(instance.frame(3.0), 5.0)
    shutil.copy(scene.track, track)
    _recovers(instance, reference)
    instance.destroy()


# ---- a worker that says wrong things -----------------------------------------------------------

WRONG = (
    "silent", "kind", "garbage", "closes", "half", "half_hangs", "nothing", "other_job",
    "outside", "huge", "unknown_type", "long", "large_slot", "negative_slot",
    "missing", "text", "done_outside", "done_inverted", "done_other_job", "dies_rendering",
    "failed", "cancelled",
)  # fmt: skip


@pytest.mark.parametrize("way", WRONG)
def test_what_a_worker_says_wrong_fails_the_frame(link: Link, scene: Scene, way: str) -> None:
    """And never crashes, hangs, overruns, or passes the source off as a result."""
    link.fake(way)
    os.environ["SEMBLANCE_WORKER"] = "/nonexistent"  # of the fixture's patch: put back by it
    instance = link.instance(scene, worker_timeout=0.6)
    message = failed(instance.frame(1.0), 1.1)
    assert all(sign.isprintable() or sign == "\n" for sign in message)
    assert len(message) < 2000
    instance.destroy()


@pytest.mark.parametrize("way", ["honest", "small_slot"])
def test_an_honest_worker_of_another_make_is_served(link: Link, scene: Scene, way: str) -> None:
    """The fake itself is no reason to fail; nor is a size that the plug-in knows better."""
    link.fake(way)
    instance = link.instance(scene)
    np.testing.assert_array_equal(good(instance.frame(1.0)), scene.plates[1.0])
    instance.destroy()


def test_a_worker_can_not_make_the_host_allocate(link: Link, scene: Scene) -> None:
    """A frame of 300 KB with a wish for 4 GiB: refused or ignored, but never granted."""
    link.fake("greedy_slot")
    instance = link.instance(scene, worker_timeout=0.6)
    done = instance.render(1.0)
    assert done.seconds < 1.1
    maps = Path("/proc/self/maps").read_text().splitlines()
    ends = [line.split()[0].split("-") for line in maps if "memfd" in line]
    assert sum(int(end, 16) - int(start, 16) for start, end in ends) < 64 << 20
    instance.destroy()


def _fuzz(link: Link, scene: Scene, replies: int) -> None:
    link.fake("fuzz", seed=7)
    os.environ["SEMBLANCE_WORKER"] = "/nonexistent"  # of the fixture's patch: put back by it
    count = Path(f"{link.socket}.count")
    instance = link.instance(scene, worker_timeout=0.02)
    before, rendered, done = _resident(), 0, 0
    while done < replies:
        assert rendered < 20 * replies, "the fake worker answers no more"
        frame = instance.render(float(rendered % FRAMES + 1), check=rendered % 50 == 0)
        assert frame.status in (Status.OK, Status.FAILED)
        assert frame.seconds < 1.0
        rendered += 1
        instance.effect.messages.clear()
        done = int.from_bytes(count.read_bytes(), "little")
    assert _resident() - before < 32 << 20
    instance.destroy()


def _resident() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()


def test_mutated_replies_do_no_harm(link: Link, scene: Scene) -> None:
    _fuzz(link, scene, 100)


@pytest.mark.slow
def test_a_hundred_thousand_mutated_replies_do_no_harm(link: Link, scene: Scene) -> None:
    _fuzz(link, scene, 100_000)


# ---- who else is on this machine ---------------------------------------------------------------


def _open_to_all(link: Link) -> None:
    link.runtime.chmod(0o777)


def _foreign_folder(link: Link) -> None:
    os.chown(link.runtime, 12345, 12345)


def _foreign_socket(link: Link) -> None:
    os.chown(link.socket, 12345, 12345)


def _socket_open_to_all(link: Link) -> None:
    link.socket.chmod(0o666)


def _linked_folder(link: Link) -> None:
    link.runtime.rename(link.runtime.with_name("elsewhere"))
    link.runtime.symlink_to(link.runtime.with_name("elsewhere"))


@pytest.mark.parametrize(
    "spoil", [_open_to_all, _foreign_folder, _foreign_socket, _socket_open_to_all, _linked_folder]
)
def test_a_runtime_folder_that_is_not_private_is_refused(
    link: Link, scene: Scene, spoil: Callable[[Link], None]
) -> None:
    if "foreign" in spoil.__name__ and os.getuid() != 0:
        pytest.skip("only root can give files to another user")
    link.fake("honest")
    spoil(link)
    instance = link.instance(scene, worker_timeout=2.0)
    message = failed(instance.frame(1.0), 2.5)
    assert str(link.runtime) in message
    instance.destroy()


@pytest.mark.skipif(os.getuid() != 0, reason="only root can become another user")
def test_a_worker_of_another_user_is_refused(
    link: Link, scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The files look right and the one who listens is somebody else."""
    folder = Path(tempfile.gettempdir()) / f"semblance-foreign-{os.getpid()}"
    script = (
        "import __future__, collections.abc, mmap, os, pathlib, random, socket\n"
        "import struct, sys, threading, typing\n"
        "source = open(sys.argv[1]).read()\n"
        "os.setgid(12345)\nos.setuid(12345)\ndel sys.argv[0]\n"
        "exec(compile(source, 'fake', 'exec'), {'__name__': '__main__'})\n"
    )
    socket = folder / "worker-1.sock"
    fake = subprocess.Popen(
        [sys.executable, "-c", script, str(FAKE), str(socket), digest(), "honest"],
        stderr=subprocess.DEVNULL,
    )
    try:
        wait_for(socket.exists, "the foreign worker listens")
        for path in (folder, socket):
            os.chown(path, os.getuid(), os.getgid())
        monkeypatch.setenv("SEMBLANCE_RUNTIME", str(folder))
        instance = link.instance(scene, worker_timeout=2.0)
        assert "user" in failed(instance.frame(1.0), 2.5)
        instance.destroy()
    finally:
        fake.kill()
        fake.wait()
        shutil.rmtree(folder, ignore_errors=True)


# ---- several hosts -----------------------------------------------------------------------------

_DRIVER = """
import sys, threading
sys.path.insert(0, sys.argv[1])
from pathlib import Path
import numpy as np
from ofx_host import Host, Image, Plugin, Status
bundle, folder, model, track, frames = sys.argv[2:7]
plates, wanted = np.load(folder + "/plates.npy"), np.load(folder + "/wanted.npy")
host = Host()
plugin = Plugin(host, Path(bundle))
plugin.load()
plugin.describe()
instances = []
for _ in range(4):
    instance = plugin.create()
    height, width = plates.shape[1:3]
    instance.set_project((0, 0), (width, height))
    images = [Image((0, 0, width, height), "RGBA", plate) for plate in plates]
    instance.connect("Source", lambda time, images=images: images[int(time) - 1])
    instance.put(model=model, track_file=track, mask_occlusion=0.0)
    instances.append(instance)
wrong = []
def work(index):
    for count in range(int(frames)):
        at = (count * (index + 1) + index) % len(plates)
        done = instances[index].render(float(at + 1))
        if done.status != Status.OK:
            wrong.append(done.message or "failed without a message")
        elif (done.image.top_down != wanted[at]).any():
            wrong.append(f"thread {index}, render {count}: another frame")
threads = [threading.Thread(target=work, args=(index,)) for index in range(4)]
[each.start() for each in threads]
[each.join() for each in threads]
for each in instances:
    each.destroy()
plugin.unload()
host.check()
sys.exit("; ".join(wrong[:5]) if wrong else 0)
"""


def _two_hosts(link: Link, scene: Scene, reference: dict[float, np.ndarray], frames: int) -> None:
    np.save(link.folder / "plates.npy", np.stack(list(scene.plates.values())))
    np.save(link.folder / "wanted.npy", np.stack(list(reference.values())))
    hosts = [
        subprocess.Popen(
            [
                sys.executable, "-c", _DRIVER, str(Path(__file__).parent), str(built()),
                str(link.folder), str(scene.model), str(scene.track), str(frames),
            ],
            stderr=subprocess.PIPE,
        )
        for _ in range(2)
    ]  # fmt: skip
    for host in hosts:
        _, said = host.communicate(timeout=600)
        assert host.returncode == 0, said.decode()
    assert len(link.started()) <= 2


def test_two_hosts_of_four_threads_share_a_worker(
    link: Link, scene: Scene, reference: dict[float, np.ndarray]
) -> None:
    _two_hosts(link, scene, reference, 5)


@pytest.mark.slow
def test_two_hosts_of_four_threads_and_two_hundred_frames(
    link: Link, scene: Scene, reference: dict[float, np.ndarray]
) -> None:
    _two_hosts(link, scene, reference, 200)


# ---- nothing is left behind --------------------------------------------------------------------


def _open_files() -> list[str]:
    links = []
    for name in os.listdir("/proc/self/fd"):
        with contextlib.suppress(OSError):
            links.append(os.readlink(f"/proc/self/fd/{name}"))
    return sorted(links)


def _threads() -> int:
    return len(os.listdir("/proc/self/task"))


def _shared() -> int:
    maps = Path("/proc/self/maps").read_text().splitlines()
    return sum("memfd" in line or "/dev/shm" in line for line in maps)


def test_a_hundred_loads_leave_nothing_behind(link: Link, scene: Scene) -> None:
    """Every tenth renders: no file, thread or shared memory stays, in the process or outside."""

    def cycle(render: bool) -> None:
        if render:
            instance = link.instance(scene)
            good(instance.frame(1.0))
            instance.destroy()
        link.plugin.unload()
        link.plugin.close()
        link.plugin = type(link.plugin)(link.host, link.bundle)
        link.open()

    for _ in range(2):
        cycle(True)
    before = (_open_files(), _threads(), _shared(), sorted(os.listdir("/dev/shm")))
    size = _resident()
    for count in range(100):
        cycle(count % 10 == 0)
    assert (_open_files(), _threads(), _shared(), sorted(os.listdir("/dev/shm"))) == before
    assert _resident() - size < 24 << 20


def test_a_host_that_dies_leaves_no_shared_memory(
    link: Link, scene: Scene, reference: dict[float, np.ndarray]
) -> None:
    np.save(link.folder / "plates.npy", np.stack(list(scene.plates.values())))
    np.save(link.folder / "wanted.npy", np.stack(list(reference.values())))
    before = sorted(os.listdir("/dev/shm"))
    host = subprocess.Popen(
        [
            sys.executable, "-c", _DRIVER, str(Path(__file__).parent), str(built()),
            str(link.folder), str(scene.model), str(scene.track), "10000",
        ]
    )  # fmt: skip
    wait_for(lambda: (link.runtime / "worker-1.json").exists(), "a worker serves")
    clock.sleep(0.5)
    host.kill()
    host.wait()
    assert sorted(os.listdir("/dev/shm")) == before
    instance = link.instance(scene)
    np.testing.assert_array_equal(good(instance.frame(2.0)), reference[2.0])
    worker = link.worker_pid()

    def slots() -> int:
        links = []
        for name in os.listdir(f"/proc/{worker}/fd"):
            with contextlib.suppress(OSError):
                links.append(os.readlink(f"/proc/{worker}/fd/{name}"))
        return sum("memfd" in each for each in links)

    mapped = Path(f"/proc/{worker}/maps")
    wait_for(lambda: slots() <= 1 and mapped.read_text().count("memfd") <= 1, "slots are freed")
    instance.destroy()
