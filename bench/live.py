"""What does the live link cost? The real plug-in in the test host, with a real worker, in one run.

    python bench/live.py
    python bench/live.py --repeats 31 --model examples/likeness.onnx

The bundle is built, and an example plate is laid into a frame of 4096 × 2160 float RGBA so large
that the face's region is about 1000 × 1000 pixels. Then:

- Start to first frame: no worker runs; the clock goes from the host's render call to its return.
- Link overhead: the host's render call minus the pipeline's own milliseconds, as the worker logs
  them, minus one plain copy of the frame, source to output, measured in turn with the renders. The
  plug-in copies while the worker works, so the second column leaves the copy where it is.
- Knob to frame: from the change of a knob to the return of the render that follows it.

The host is written in Python, and its callbacks count as overhead; how long they took is told.
Markdown comes out.
"""

from __future__ import annotations

import argparse
import contextlib
import ctypes
import json
import os
import shutil
import signal
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "tests"))

from ofx_host import Host, Image, Instance, Plugin, Status  # noqa: E402
from ofx_host.bundle import built, why_not  # noqa: E402
from ofx_host.record import Action  # noqa: E402
from semblance import pipeline  # noqa: E402
from semblance.exr import read_plate  # noqa: E402
from semblance.face import Track  # noqa: E402
from semblance.track.file import load_track, save_track  # noqa: E402

EXAMPLES = HERE.parent / "examples"
WIDTH, HEIGHT = 4096, 2160
FRAME = 1004
REGION = 1000
"""Pixels of the region's longer side."""

GOALS = {"overhead": 5.0, "knob": 60.0, "start": 3000.0}


class Bench:
    """A host, a scene, and a worker's folder."""

    def __init__(self, folder: Path, model: Path) -> None:
        self.runtime = folder / "run"
        trust = folder / ".config" / "semblance" / "trust"
        trust.mkdir(parents=True)
        shutil.copy(EXAMPLES / "trust" / "kestrel-estate.pub", trust)
        worker = folder / "worker"
        worker.write_text(
            f"#!/bin/sh\nexec '{sys.executable}' -c "
            "'import sys; from semblance.cli import main; sys.exit(main())' \"$@\"\n"
        )
        worker.chmod(0o755)
        os.environ |= {
            "HOME": str(folder),
            "SEMBLANCE_RUNTIME": str(self.runtime),
            "SEMBLANCE_WORKER": str(worker),
        }
        self.track, self.picture, self.region = _scene(folder)
        self.model = model
        self.host = Host()
        self.plugin = Plugin(self.host, built())
        assert self.plugin.load() == Status.OK
        self.plugin.describe()
        box = (0, 0, WIDTH, HEIGHT)
        # Sealing is for tests: it would count as the link's.
        self.source = Image(box, "RGBA", self.picture, writable=True, sealed=False)
        self.output = Image(box, "RGBA", writable=True, sealed=False)
        self.copied = Image(box, "RGBA", writable=True, sealed=False)

    def instance(self) -> Instance:
        instance = self.plugin.create()
        instance.set_project((0, 0), (WIDTH, HEIGHT))
        instance.connect("Source", self.source)
        instance.put(model=str(self.model), track_file=str(self.track))
        return instance

    def render(self, instance: Instance) -> float:
        """Return the milliseconds of one render call."""
        done = instance.render(float(FRAME), output=self.output, check=False)
        if done.status != Status.OK:
            sys.exit(f"the frame failed: {done.message}")
        return 1000.0 * done.seconds

    def copy(self) -> float:
        """Return the milliseconds of one plain copy of the frame."""
        start = time.perf_counter()
        ctypes.memmove(self.copied.address, self.source.address, WIDTH * HEIGHT * 16)
        return 1000.0 * (time.perf_counter() - start)

    def logged(self) -> list[dict[str, float]]:
        """Return what the worker wrote of the frames that it finished."""
        lines = (self.runtime / "worker-1.log").read_text().splitlines()
        events = [json.loads(line) for line in lines if line.startswith("{")]
        return [event["ms"] for event in events if event["event"] == "done"]

    def end_worker(self) -> None:
        with contextlib.suppress(OSError, ValueError):
            pid = int(json.loads((self.runtime / "worker-1.json").read_text())["pid"])
            os.kill(pid, signal.SIGKILL)
            while Path(f"/proc/{pid}").exists() and "Z" not in _state(pid):
                time.sleep(0.01)


def _state(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except OSError:
        return "Z"


def _scene(folder: Path) -> tuple[Path, np.ndarray, tuple[int, int]]:
    """Lay an enlarged example into the frame; return its track, pixels and the region's size."""
    shot = read_plate(EXAMPLES / f"plate.{FRAME}.exr")
    face = load_track(EXAMPLES / "track.json").faces[FRAME]
    window = pipeline.region(face, 1.0)
    scale = REGION / max(window.width, window.height)
    rgb = np.stack([shot.channels[name].astype(np.float32) for name in "RGB"], axis=-1)
    size = (round(rgb.shape[1] * scale), round(rgb.shape[0] * scale))
    large = cv2.resize(rgb, size, interpolation=cv2.INTER_CUBIC)
    scales = (size[0] / rgb.shape[1], size[1] / rgb.shape[0])
    left, top = (WIDTH - size[0]) // 2, (HEIGHT - size[1]) // 2
    picture = np.full((HEIGHT, WIDTH, 4), 0.1, np.float32)
    cut = (slice(max(top, 0), top + size[1]), slice(max(left, 0), left + size[0]))
    part = large[max(-top, 0) :, max(-left, 0) :][:HEIGHT, :WIDTH]
    picture[(*cut, slice(0, 3))] = part
    picture[..., 3] = 1.0
    grain = np.random.default_rng(3).normal(0.0, 0.003, (HEIGHT, WIDTH, 3))
    picture[..., :3] += grain.astype(np.float32)
    moved = replace(face, landmarks=face.landmarks * scales + (left, top))
    track = folder / "track.json"
    save_track(Track({FRAME: moved}, (WIDTH, HEIGHT), 1.0, (FRAME,)), track)
    window = pipeline.region(moved, 1.0)
    return track, picture, (window.width, window.height)


def _starts(bench: Bench, repeats: int) -> list[float]:
    times = []
    for _ in range(repeats):
        bench.end_worker()
        instance = bench.instance()
        times.append(bench.render(instance))
        instance.destroy()
    return times


def _overhead(bench: Bench, repeats: int, *, fresh: bool) -> dict[str, list[float]]:
    """Render with a blend knob that moves, so that the pipeline works and the network does not.

    With fresh pixels all of it works, and the worker can't know them from the render before.
    """
    instance = bench.instance()
    found: dict[str, list[float]] = {
        "render": [], "pipeline": [], "copy": [], "worker": [], "rest": []
    }  # fmt: skip
    for count in range(repeats + 3):
        instance.put(mix=0.5 + 0.001 * count)
        if fresh:
            middle = bench.source.pixels[HEIGHT // 2, WIDTH // 2]
            middle[0] += 0.001
        before = len(bench.logged())
        render = bench.render(instance)
        copy = bench.copy()
        while len(logged := bench.logged()) == before:
            time.sleep(0.002)
        own, beside = logged[-1]["pipeline"], logged[-1]["total"] - logged[-1]["pipeline"]
        if count >= 3:
            values = (render, own, copy, beside, render - own - copy)
            for name, value in zip(found, values, strict=True):
                found[name].append(value)
    instance.destroy()
    return found


def _latency(bench: Bench, name: str, values: Callable[[int], Any], repeats: int) -> list[float]:
    instance = bench.instance()
    times = []
    for count in range(repeats + 3):
        start = time.perf_counter()
        instance.put(**{name: values(count)})
        bench.render(instance)
        if count >= 3:
            times.append(1000.0 * (time.perf_counter() - start))
    instance.destroy()
    return times


def _callbacks(bench: Bench) -> tuple[int, float]:
    """Return how many suite calls a render makes, and milliseconds that as many take."""
    instance = bench.instance()
    bench.render(instance)
    done = instance.render(float(FRAME), output=bench.output, check=False)
    calls = sum(done.calls.values())
    table = bench.host.suites.fetch("OfxPropertySuite", 1)
    assert table is not None
    get = ctypes.CFUNCTYPE(
        ctypes.c_int, ctypes.c_void_p, ctypes.c_char_p, ctypes.c_int, ctypes.c_void_p
    )(ctypes.cast(table, ctypes.POINTER(ctypes.c_void_p))[11] or 0)
    out = ctypes.c_int()
    with bench.host.record.doing(Action("bench")):
        start = time.perf_counter()
        for _ in range(1000):
            get(
                bench.host.props.token, b"OfxImageEffectPropSupportsTiles", 0, ctypes.addressof(out)
            )
        each = time.perf_counter() - start
    instance.destroy()
    return calls, each * calls


def _row(what: str, times: Sequence[float], goal: float | None = None) -> str:
    ordered = sorted(times)
    p95 = ordered[min(len(ordered) - 1, round(0.95 * (len(ordered) - 1)))]
    verdict = "" if goal is None else f"≤ {goal:g}"
    return f"| {what} | {statistics.median(times):.1f} | {ordered[0]:.1f} | {p95:.1f} | {verdict} |"


@contextlib.contextmanager
def _bench(model: Path) -> Iterator[Bench]:
    with tempfile.TemporaryDirectory() as folder:
        bench = Bench(Path(folder), model)
        try:
            yield bench
        finally:
            bench.plugin.unload()
            bench.end_worker()
            bench.host.check()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--repeats", type=int, default=21)
    parser.add_argument("--model", type=Path, default=EXAMPLES / "likeness.onnx")
    options = parser.parse_args()
    if why_not():
        sys.exit(why_not())
    load = os.getloadavg()[0]
    with _bench(options.model.resolve()) as bench:
        starts = _starts(bench, 3)
        overhead = _overhead(bench, options.repeats, fresh=False)
        fresh = _overhead(bench, options.repeats, fresh=True)
        knobs = {  # a value that was seen before would come out of the worker's cache
            "mask_feather": lambda count: 4.0 + 0.01 * count,
            "mask_grow": lambda count: -3.0 + 0.01 * count,
            "mask_gamma": lambda count: 0.8 + 0.001 * count,
            "mix": lambda count: 0.5 + 0.002 * count,
            "light_match": lambda count: 0.4 + 0.002 * count,
            "detail_match": lambda count: 0.4 + 0.002 * count,
            "exposure": lambda count: 0.01 * count,
        }
        latency = {
            name: _latency(bench, name, values, options.repeats) for name, values in knobs.items()
        }
        calls, callbacks = _callbacks(bench)
        region = bench.region
    rest = [
        render - own for render, own in zip(overhead["render"], overhead["pipeline"], strict=True)
    ]
    lines = [
        "# Live link",
        "",
        f"{WIDTH} × {HEIGHT} float RGBA, the face's region {region[0]} × {region[1]}, "
        f"{options.model.name}, {os.cpu_count()} cores, load {load:.1f} before the run.",
        "",
        "| milliseconds | median | best | 95 % | goal |",
        "| --- | --- | --- | --- | --- |",
        _row("worker start to first frame", starts, GOALS["start"]),
        _row("render call, a blend knob moved", overhead["render"]),
        _row("the pipeline's own", overhead["pipeline"]),
        _row("a plain copy of the frame", overhead["copy"]),
        _row("**link overhead**", overhead["rest"], GOALS["overhead"]),
        _row("link overhead, pixels that are new to the worker", fresh["rest"]),
        _row("of the render call: the worker beside its pipeline", overhead["worker"]),
        _row("render call minus pipeline, the copy in it", rest),
        *(
            _row(f"knob to frame, {name}", times, GOALS["knob"] if name != "exposure" else None)
            for name, times in latency.items()
        ),
        "",
        f"The host's {calls} callbacks of a render take {callbacks:.2f} ms of it: they are Python. "
        "`exposure` runs the network again.",
    ]
    print("\n".join(lines))


if __name__ == "__main__":
    main()
