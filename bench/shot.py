"""How well do reading, computing and writing overlap? A shot's wall time against its slowest stage.

    python bench/shot.py
    python bench/shot.py --frames 24 --threads 2 --folder /mnt/plates

The plates are those of examples/, enlarged until the face is 700 pixels wide, mirrored out to
4096 × 2160 and grained again, in half with zip compression; the track is scaled along. `shot.apply`
renders them with the example likeness, once with one look of the network and once with the default
knobs.

A frame passes three workers: one reads, one computes (the sum of all stages of the frame path), one
writes. If they overlap, a shot takes as long as the slowest of the three, and the first frame's and
the last's way through the other two. The goal is a wall time per frame, all of that included, of
1.15 times the slowest worker's mean by the frame reports.

Workers that share cores slow each other down, and a slow worker flatters that ratio. So each frame
is also rendered as a shot of its own, where nothing overlaps; beside the goal stands the wall time
over what the slowest worker takes alone. A short shot is rendered first and does not count.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import cv2
import numpy as np
import OpenEXR
import OpenImageIO as oiio
from numpy.typing import NDArray

from semblance import align, matte, shot
from semblance.exr import Sequence, read_plate
from semblance.face import Track
from semblance.knobs import Knobs
from semblance.model import Likeness
from semblance.track.file import load_track

EXAMPLES = Path(__file__).resolve().parents[1] / "examples"
WIDTH, HEIGHT, FACE_WIDTH = 4096, 2160, 700.0
GRAIN = 0.012
GOAL = 1.15
CASES: Mapping[str, Mapping[str, object]] = {"looks 1": {"looks": 1}, "defaults": {}}


@dataclass(frozen=True)
class Times:
    """A shot's time per frame, in milliseconds: wall, and what each worker says of itself."""

    wall: float
    workers: Mapping[str, float]

    @property
    def slowest(self) -> str:
        return max(self.workers, key=lambda name: self.workers[name])

    def __str__(self) -> str:
        spent = " | ".join(f"{value:.0f}" for value in self.workers.values())
        return f"{spent} | {self.wall:.0f}"


def placed(track: Track) -> NDArray[np.float64]:
    """Return the way from the example's pixels to the large plate's, (2, 3), corners at 0."""
    squares = [
        1.0 / float(np.hypot(*align.fit(face.landmarks, 1.0)[:, 1]))
        for face in track.faces.values()
    ]
    scale = FACE_WIDTH / (matte.FACE_WIDTH * statistics.median(squares))
    middle = np.mean([face.landmarks.mean(axis=0) for face in track.faces.values()], axis=0)
    shift = np.array([WIDTH, HEIGHT]) / 2.0 - scale * middle
    return np.array([[scale, 0.0, shift[0]], [0.0, scale, shift[1]]])


def enlarged(track: Track, way: NDArray[np.float64], frames: int) -> Track:
    """Return the track on the large plates; a longer shot goes there and back again."""
    there = sorted(track.faces)
    numbers = tuple(range(1001, 1001 + frames))
    faces = {}
    for number in numbers:
        face = track.faces[example(there, number)]
        faces[number] = replace(face, landmarks=face.landmarks @ way[:, :2].T + way[:, 2])
    return Track(faces, (WIDTH, HEIGHT), 1.0, numbers, track.made_by)


def example(there: list[int], number: int) -> int:
    """Return the example's frame that a frame of the shot is made of."""
    there_and_back = [*there, *there[-2:0:-1]]
    return there_and_back[(number - there[0]) % len(there_and_back)]


def write_plates(folder: Path, track: Track, way: NDArray[np.float64], frames: int) -> Sequence:
    """Write the large plates, zip, half."""
    plates = Sequence.parse(folder / "plate.####.exr")
    centred = way.copy()
    centred[:, 2] += 0.5 * way[0, 0] - 0.5  # OpenCV has pixel centres at whole numbers
    for number in range(1001, 1001 + frames):
        small = read_plate(EXAMPLES / f"plate.{example(sorted(track.faces), number)}.exr")
        large = cv2.warpAffine(
            small.picture(),
            centred,
            (WIDTH, HEIGHT),
            flags=cv2.INTER_CUBIC,
            borderMode=cv2.BORDER_REFLECT_101,
        )
        noise = np.random.default_rng(number).normal(size=(HEIGHT, WIDTH, 3)).astype(np.float32)
        cv2.GaussianBlur(noise, (0, 0), 0.7, dst=noise)
        large += np.float32(GRAIN) * np.sqrt(np.maximum(large, 0.0)) * noise
        spec = oiio.ImageSpec(WIDTH, HEIGHT, 3, "half")
        spec["compression"] = "zip"
        buffer = oiio.ImageBuf(spec)
        buffer.set_pixels(oiio.ROI(), large.astype(np.float16))
        if not buffer.write(str(plates.path(number))):
            raise SystemExit(buffer.geterror())
    return plates


def render(
    plates: Sequence,
    output: Sequence,
    track: Track,
    likeness: Likeness,
    knobs: Knobs,
    frames: tuple[int, ...],
) -> Times:
    """Render a shot."""
    reports: list[shot.FrameReport] = []
    summary = shot.apply(
        plates,
        output,
        frames,
        track=track,
        likeness=likeness,
        knobs=lambda frame: knobs,
        report=reports.append,
    )
    if summary.failed or summary.spliced != len(frames):
        raise SystemExit(f"not all frames were spliced: {summary.to_json()}")
    computed = set().union(*(each.milliseconds for each in reports)) - {"read", "write"}
    parts = {"read": {"read"}, "compute": computed, "write": {"write"}}
    workers = {
        worker: statistics.fmean(
            sum(took for stage, took in each.milliseconds.items() if stage in stages)
            for each in reports
        )
        for worker, stages in parts.items()
    }
    return Times(1000.0 * summary.seconds / len(frames), workers)


def mean(times: list[Times]) -> Times:
    """Return the mean of several shots of one frame."""
    return Times(
        statistics.fmean(each.wall for each in times),
        {name: statistics.fmean(each.workers[name] for each in times) for name in times[0].workers},
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--frames", type=int, default=12, help="length of the shot")
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1, help="of the EXR codec")
    parser.add_argument("--folder", type=Path, help="where the files are written")
    options = parser.parse_args()
    oiio.attribute("threads", options.threads)
    oiio.attribute("exr_threads", options.threads)
    OpenEXR.set_global_thread_count(options.threads)
    cv2.setNumThreads(1)
    example_track = load_track(EXAMPLES / "track.json")
    way = placed(example_track)
    track = enlarged(example_track, way, options.frames)
    with (
        tempfile.TemporaryDirectory(dir=options.folder) as name,
        Likeness.open(EXAMPLES / "likeness.onnx", "cpu") as likeness,
    ):
        folder = Path(name)
        plates = write_plates(folder, example_track, way, options.frames)
        output = Sequence.parse(folder / "result.####.exr")
        print(
            f"{WIDTH} × {HEIGHT} half RGB, zip; face {FACE_WIDTH:.0f} px; {os.cpu_count()} cores, "
            f"{options.threads} threads for the EXR codec, {cv2.getNumThreads()} for OpenCV, "
            f"OMP_NUM_THREADS={os.environ.get('OMP_NUM_THREADS', 'not set')}; likeness on "
            f"{likeness.provider}. Milliseconds per frame.\n\n"
            "| knobs | | read | compute | write | wall | slowest | wall / slowest | goal |\n"
            "| --- | --- | --: | --: | --: | --: | --- | --: | --- |"
        )
        for label, values in CASES.items():
            rendered = partial(render, plates, output, track, likeness, Knobs.from_flat(values))
            rendered(track.frames[:3])
            alone = mean([rendered((frame,)) for frame in track.frames])
            shot_times = rendered(track.frames)
            slow, least = shot_times.slowest, alone.workers[alone.slowest]
            print(f"| {label} | frame by frame | {alone} | {alone.slowest} "
                  f"| {shot_times.wall / least:.2f} (the shot's wall) | |")  # fmt: skip
            print(f"| | a shot of {options.frames} | {shot_times} | {slow} "
                  f"| **{shot_times.wall / shot_times.workers[slow]:.2f}** | ≤ {GOAL:.2f} |",
                  flush=True)  # fmt: skip


if __name__ == "__main__":
    main()
