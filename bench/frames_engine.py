"""How long until a knob's frame is there, where Nuke works by frames? Part of bench/seat.py.

    python bench/frames_engine.py

The engine of `plugin/semblance_nuke`, a real worker and real EXR files of 2048 × 1080, in the
tests' double of Nuke: an example plate, its face's region about 500 pixels, as halfs. The plate is
in the cache already; from the change of a mask knob to the picture that the Read inside has read,
the worker's writing and that reading counted. With it the rest that the engine waits for before it
begins, which a drag of a slider does not fill with renders.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent / "plugin"), str(HERE.parent / "tests")]

import semblance_nuke  # noqa: E402
from helpers_nuke_images import RenderingNuke, installed  # noqa: E402
from helpers_nuke_shot import is_current, kill  # noqa: E402
from semblance import exr, pipeline  # noqa: E402
from semblance.face import Track  # noqa: E402
from semblance.plate import Plate, Window  # noqa: E402
from semblance.track.file import load_track, save_track  # noqa: E402
from semblance_nuke import callbacks, node  # noqa: E402
from semblance_nuke.frames import Bench  # noqa: E402
from semblance_nuke.host import NukeHost  # noqa: E402
from semblance_nuke.updating import Worker  # noqa: E402

EXAMPLES = HERE.parent / "examples"
FRAME, SIZE, REGION = 1004, (2048, 1080), 500
KNOBS: dict[str, Callable[[int], Any]] = {  # a value seen before would come out of the cache
    "mask_feather": lambda count: 4.0 + 0.01 * count,
    "mask_grow": lambda count: -3.0 + 0.01 * count,
}


@dataclass(frozen=True)
class Times:
    """Milliseconds of each knob's changes.

    Parameters
    ----------
    made : dict of str to list of float
        From the change to the picture, without the rest.
    seen : dict of str to list of float
        The same with the rest, through the event loop.
    first : float
        The first frame: the plate written, the worker started, the model loaded.
    """

    made: dict[str, list[float]]
    seen: dict[str, list[float]]
    first: float


def measure(repeats: int, model: Path) -> Times:
    """Run the bench in a folder and with a worker of its own."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        _scene(folder)
        program = folder / "worker"
        program.write_text(
            f"#!/bin/sh\nexec '{sys.executable}' -c "
            "'import sys; from semblance.cli import main; sys.exit(main())' \"$@\"\n"
        )
        program.chmod(0o755)
        os.environ |= {
            "HOME": name,
            "SEMBLANCE_RUNTIME": str(folder / "run"),
            "SEMBLANCE_WORKER": str(program),
            "SEMBLANCE_CACHE": str(folder / "cache"),
        }
        trust = folder / ".config" / "semblance" / "trust"
        trust.mkdir(parents=True)
        (trust / "kestrel-estate.pub").write_bytes(
            (EXAMPLES / "trust" / "kestrel-estate.pub").read_bytes()
        )
        try:
            with installed(RenderingNuke()) as nuke:
                return _measured(nuke, folder, repeats, model)
        finally:
            kill(folder)


def _measured(nuke: RenderingNuke, folder: Path, repeats: int, model: Path) -> Times:
    nuke.frame(FRAME)
    callbacks.start(NukeHost())
    group = semblance_nuke.create()
    group.setInput(0, nuke.read(f"{folder}/plate.%04d.exr", FRAME, FRAME))
    inner = node.engine(group)
    begun = time.perf_counter()
    inner["track_file"].setValue(f"{folder}/track.json")
    inner["model"].setValue(str(model))
    nuke.settle(lambda: is_current(group))
    nuke.shown(group.node("RESULT"))
    first = 1000.0 * (time.perf_counter() - begun)
    group["update_live"].setValue(False)
    worker, host = Worker(), NukeHost()
    made: dict[str, list[float]] = {}
    for name, value in KNOBS.items():
        made[name] = []
        for count in range(repeats + 2):
            begun = time.perf_counter()
            inner[name].setValue(value(count))
            bench = Bench(host, group)
            wanted = bench.look()
            assert wanted is not None
            for order in bench.orders(wanted, 0):
                worker.render(order, 60.0)
            bench.look()
            nuke.shown(group.node("RESULT"))
            made[name].append(1000.0 * (time.perf_counter() - begun))
    worker.close()
    group["update_live"].setValue(True)
    nuke.settle(lambda: is_current(group))
    seen: dict[str, list[float]] = {}
    for name, value in KNOBS.items():
        seen[name] = []
        for count in range(repeats + 2):
            begun = time.perf_counter()
            inner[name].setValue(value(1000 + count))
            while not is_current(group):
                nuke.turn()
                time.sleep(0.001)
            nuke.shown(group.node("RESULT"))
            seen[name].append(1000.0 * (time.perf_counter() - begun))
    return Times(_warm(made), _warm(seen), first)


def _warm(times: dict[str, list[float]]) -> dict[str, list[float]]:
    return {name: each[2:] for name, each in times.items()}


def _scene(folder: Path) -> None:
    """Lay an example plate into a frame so large that its face's region is about 500 pixels."""
    shot = exr.read_plate(EXAMPLES / f"plate.{FRAME}.exr")
    face = load_track(EXAMPLES / "track.json").faces[FRAME]
    window = pipeline.region(face, 1.0)
    scale = REGION / max(window.width, window.height)
    rgb = np.stack([shot.channels[name].astype(np.float32) for name in "RGB"], axis=-1)
    size = (round(rgb.shape[1] * scale), round(rgb.shape[0] * scale))
    large = cv2.resize(rgb, size, interpolation=cv2.INTER_CUBIC)
    scales = (size[0] / rgb.shape[1], size[1] / rgb.shape[0])
    width, height = SIZE
    left, top = (width - size[0]) // 2, (height - size[1]) // 2
    picture = np.full((height, width, 3), 0.1, np.float32)
    cut = (slice(max(top, 0), top + size[1]), slice(max(left, 0), left + size[0]))
    picture[cut] = large[max(-top, 0) :, max(-left, 0) :][:height, :width]
    picture += np.random.default_rng(3).normal(0.0, 0.003, picture.shape).astype(np.float32)
    whole = Window(0, 0, width, height)
    channels = {name: picture[..., i].astype(np.float16) for i, name in enumerate("RGB")}
    exr.write_plate(Plate(channels, whole, whole, compression="zips"), folder / "plate.1004.exr")
    moved = replace(face, landmarks=face.landmarks * scales + (left, top))
    save_track(Track({FRAME: moved}, SIZE, 1.0, (FRAME,)), folder / "track.json")


def rows(times: Times) -> list[str]:
    """Return the figures as lines of bench/seat.py's table."""
    lines = [
        _row(f"{what}, {name}", held, goal)
        for what, each, goal in (
            ("Nuke by frames at 2K: knob to frame, EXR written and read", times.made, "≤ 250"),
            ("Nuke by frames at 2K: the same, with the rest before it", times.seen, ""),
        )
        for name, held in each.items()
    ]
    return [*lines, _row("Nuke by frames at 2K: the first frame, worker's start included",
                         [times.first], "")]  # fmt: skip


def _row(what: str, times: list[float], goal: str) -> str:
    ordered = sorted(times)
    p95 = ordered[min(len(ordered) - 1, round(0.95 * (len(ordered) - 1)))]
    return f"| {what} | {statistics.median(times):.1f} | {ordered[0]:.1f} | {p95:.1f} | {goal} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--repeats", type=int, default=21)
    parser.add_argument("--model", type=Path, default=EXAMPLES / "likeness.onnx")
    options = parser.parse_args()
    load = os.getloadavg()[0]
    times = measure(options.repeats, options.model.resolve())
    print(f"{os.cpu_count()} cores, load {load:.1f} before the run.\n")
    print("| milliseconds | median | best | 95 % | goal |\n| --- | --- | --- | --- | --- |")
    print("\n".join(rows(times)))


if __name__ == "__main__":
    main()
