"""What does a frame's file cost? Splice against reading and writing it whole with OpenImageIO.

    python bench/exr.py
    python bench/exr.py --repeats 9 --threads 2 --folder /mnt/plates

Both sides work on one 4096 × 2160 half RGBA plate that is drawn here: light, texture over eight
octaves, and grain. The face covers 700 rows.

- Plain: OpenImageIO reads all pixels, and writes all of them with the same compression.
- Ours: `read_plate` of the face's rows, `with_picture`, and `write_plate`, which encodes these rows
  and copies all others as they are compressed.

Both sides use the same number of threads for compression and leave the file on the disk: ours calls
fsync as it always does, the plain side calls fsync on its file before the clock stops. They take
turns, after one round that does not count, and the median counts.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import OpenEXR
import OpenImageIO as oiio
from numpy.typing import NDArray

from semblance.exr import read_plate, write_plate
from semblance.plate import Window

FRAME = Window(0, 0, 4096, 2160)
FACE = Window(1700, 800, 2400, 1500)
COMPRESSIONS = ("none", "zip", "zips", "piz", "dwaa", "dwab")
GOAL = {"zip": 0.40, "zips": 0.40, "piz": 0.40, "dwaa": 0.40}


@dataclass(frozen=True)
class Row:
    """One compression, both sides."""

    name: str
    plain: float
    ours: float
    bytes: tuple[int, int, int]

    @property
    def ratio(self) -> float:
        return self.ours / self.plain

    def __str__(self) -> str:
        sizes = " | ".join(f"{count / 1e6:.1f}" for count in self.bytes)
        goal = GOAL.get(self.name.partition(",")[0])
        wanted = "" if goal is None else f"≤ {goal:.2f}"
        return (
            f"| {self.name} | {self.plain:.0f} | {self.ours:.0f} | **{self.ratio:.2f}** | {wanted} "
            f"| {sizes} |"
        )


def draw(window: Window) -> NDArray[np.float16]:
    """Return a plate: a 1/f texture in stops over a gradient, and grain that grows with light."""
    random = np.random.default_rng(1)
    size = (window.width, window.height)
    stops = np.repeat(np.linspace(-0.75, 0.75, size[1], dtype=np.float32)[:, None], size[0], 1)
    for octave in range(1, 9):
        across = 2**octave
        coarse = random.normal(size=(across * size[1] // size[0] + 3, across + 3))
        stops += cv2.resize(coarse.astype(np.float32), size, interpolation=cv2.INTER_CUBIC) * (
            0.8 * 0.5**octave
        )
    light = 0.18 * np.exp2(stops)
    pixels = np.ones((size[1], size[0], 4), np.float32)
    for channel, gain in enumerate((1.2, 1.0, 0.8)):
        grain = random.normal(size=light.shape).astype(np.float32)
        grain = cv2.GaussianBlur(grain, (0, 0), 0.7)
        pixels[..., channel] = light * gain + 0.02 * np.sqrt(light) * grain
    return pixels.astype(np.float16)


def write_plain(path: Path, pixels: NDArray[np.float16], compression: str) -> None:
    spec = oiio.ImageSpec(pixels.shape[1], pixels.shape[0], 4, "half")
    spec["compression"] = compression
    output = oiio.ImageOutput.create(str(path))
    if not output.open(str(path), spec) or not output.write_image(pixels):
        raise SystemExit(output.geterror())
    output.close()


def plain(source: Path, target: Path, compression: str) -> None:
    file = oiio.ImageInput.open(str(source))
    pixels = file.read_image(0, 0, 0, 4, "half")
    file.close()
    write_plain(target, pixels, compression)
    handle = os.open(target, os.O_RDONLY)
    os.fsync(handle)
    os.close(handle)


def ours(source: Path, target: Path, exact: bool) -> str:
    plate = read_plate(source, region=FACE)
    patch = plate.picture(FACE) * np.float32(1.01)
    result = plate.with_picture(patch, FACE, np.ones(patch.shape[:2], bool))
    return write_plate(result, target, {"semblance:bench": 1}, changed=FACE, exact=exact).way


def timed(run: Callable[[], object]) -> float:
    begin = time.perf_counter()
    run()
    return 1000.0 * (time.perf_counter() - begin)


def measure(pixels: NDArray[np.float16], compression: str, folder: Path, repeats: int) -> list[Row]:
    source = folder / f"plate.{compression}.exr"
    write_plain(source, pixels, compression)
    lossy = compression.startswith("dwa")
    cases = {f"{compression}, exact": True, f"{compression}, again": False}
    runs: dict[str, Callable[[], object]] = {
        "plain": lambda: plain(source, folder / "plain.exr", compression)
    }
    for name, exact in cases.items() if lossy else [(compression, True)]:
        runs[name] = lambda name=name, exact=exact: ours(source, folder / f"{name}.exr", exact)
    for name, run in runs.items():
        if run() not in (None, "splice"):
            raise SystemExit(f"{name} was not spliced")
    times: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(repeats):
        for name, run in runs.items():
            times[name].append(timed(run))
    whole = statistics.median(times.pop("plain"))
    sizes = {name: (folder / f"{name}.exr").stat().st_size for name in ("plain", *times)}
    rows = [
        Row(name, whole, statistics.median(taken),
            (source.stat().st_size, sizes["plain"], sizes[name]))
        for name, taken in times.items()
    ]  # fmt: skip
    for path in folder.iterdir():
        path.unlink()
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--folder", type=Path, help="where the files are written")
    options = parser.parse_args()
    oiio.attribute("threads", options.threads)
    oiio.attribute("exr_threads", options.threads)
    OpenEXR.set_global_thread_count(options.threads)
    cv2.setNumThreads(1)
    pixels = draw(FRAME)
    print(
        f"{FRAME.width} × {FRAME.height} half RGBA, face rows {FACE.height}, {options.threads} "
        f"threads on both sides, median of {options.repeats}, fsync on both sides.\n\n"
        "| compression | read and write all, ms | splice, ms | ratio | goal "
        "| plate, MB | plain, MB | spliced, MB |\n"
        "| --- | --: | --: | --: | --: | --: | --: | --: |"
    )
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        for compression in COMPRESSIONS:
            for row in measure(pixels, compression, Path(folder), options.repeats):
                print(row, flush=True)


if __name__ == "__main__":
    main()
