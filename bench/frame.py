"""What does a frame cost, without its network and its file? Ours beside two others, in one run.

    python bench/frame.py
    python bench/frame.py --repeats 15 --crops 512

One face about 700 pixels high, turned by 6°, in a 4096 × 2160 half plate that is drawn here; all
sides are given the same landmarks. The frame is in memory, and networks answer at once:

- Ours: `pipeline.render` on the face's region, scene-linear floats, no stage cache. The network
  returns a fixed face that is not the plate's, so every stage has work.
- Region, 8 bits: a plain paste-back of the crop's bounding box, as FaceFusion does it (peers.py).
- insightface: its own paste-back of the whole frame, where the package is installed (peers.py).

Sides take turns on one thread, after a round that does not count; the median counts. Ratios are of
processor time, which on one thread is the clock's but for what else the machine does meanwhile.
Then, ours alone: the same face in plates of 1K to 8K, and a mask knob's change on a frame whose
stages are cached, on two threads. Markdown comes out.
"""

from __future__ import annotations

import argparse
import math
import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial

import cv2
import numpy as np
from numpy.typing import NDArray

from peers import InsightFace, RegionPasteBack, five_points
from semblance import align, memory, pipeline
from semblance.cache import StageCache
from semblance.face import Face, Inference
from semblance.knobs import BlendKnobs, InferKnobs, Knobs, MatchKnobs, MatteKnobs
from semblance.plate import Plate, Window

Image = NDArray[np.float32]

SIDE, ROLL = 902.0, 6.0
"""The canonical square in pixels of the plate, and how the head is turned in degrees."""

PLATES = {"1K": (1024, 1080), "2K": (2048, 1080), "4K": (4096, 2160), "8K": (8192, 4320)}

# Without the networks: one look of the likeness, as the others take, and none of the occluders'.
PLAIN = Knobs(identity=InferKnobs(looks=1), mask=MatteKnobs(mask_occlusion=0.0))
PATHS = {
    "over, colour match": replace(
        PLAIN,
        match=MatchKnobs(colour_match="linear", light_match=0.0, detail_match=0.0, grain_match=0.0),
        blend=BlendKnobs(blend_mode="over"),
    ),
    "multiband, light, detail, grain": replace(
        PLAIN,
        match=MatchKnobs(light_match=1.0, detail_match=1.0, grain_match=1.0),
        blend=BlendKnobs(blend_mode="multiband"),
    ),
}
GOALS = {"over, colour match": 20.0, "multiband, light, detail, grain": 60.0}
"""Milliseconds at a 512 crop on one thread."""


@dataclass
class Side:
    """One side's work and what it took, in milliseconds: of the clock and of the processor."""

    name: str
    work: Callable[[], object]
    wall: list[float] = field(default_factory=list)
    processor: list[float] = field(default_factory=list)

    def run(self) -> None:
        wall, processor = time.perf_counter(), time.process_time()
        self.work()
        self.processor.append(1e3 * (time.process_time() - processor))
        self.wall.append(1e3 * (time.perf_counter() - wall))

    @property
    def median(self) -> float:
        return statistics.median(self.wall)

    @property
    def busy(self) -> float:
        return statistics.median(self.processor)


class StoredNetwork:
    """A likeness that draws one face whatever it is shown, at once: a `pipeline.Network`.

    Its picture of the performer is the first crop it saw, softer and a little darker, as networks
    draw it; the new face has other light, other colours and details of its own.
    """

    sha256 = "bench"

    def __init__(self, size: int) -> None:
        self.size = size
        self.looks = 0
        self._drawn: Inference | None = None

    def infer(self, crop: Image, strength: float) -> Inference:
        self.looks += 1
        if self._drawn is None:
            own = 0.95 * cv2.GaussianBlur(crop, (0, 0), 0.004 * self.size)
            y, x = (np.mgrid[: self.size, : self.size] + 0.5) / self.size
            waves = 0.06 * np.sin(19.0 * x + 5.0 * y) * np.sin(23.0 * y)
            rgb = own * (1.05, 0.92, 0.84) + (0.04 + waves + 0.08 * x)[..., None]
            self._drawn = Inference(
                np.clip(rgb, 0.0, 1.0).astype(np.float32),
                np.ones((self.size, self.size), np.float32),
                np.asarray(own, np.float32),
            )
        return self._drawn


def drawn_plate(width: int, height: int) -> Plate:
    """Return a half plate of light, texture and grain; every size has the same middle."""
    y, x = np.mgrid[:height, :width].astype(np.float32)
    x, y = x - width / 2, y - height / 2
    light = 0.22 + 0.1 * np.sin(x / 310.0 + 1.0) * np.cos(y / 270.0) + 0.03 * np.sin(x / 23.0)
    grain = np.random.default_rng(1).normal(0.0, 0.008, (512, 512)).astype(np.float32)
    light += np.tile(grain, (-(-height // 512), -(-width // 512)))[:height, :width]
    channels = {
        name: (light * np.float32(tint)).astype(np.float16)
        for name, tint in (("R", 1.2), ("G", 0.9), ("B", 0.7))
    }
    window = Window(0, 0, width, height)
    return Plate(channels, window, window)


def face_in(width: int, height: int) -> Face:
    """Return the face in the middle of a plate."""
    angle = math.radians(ROLL)
    turn = SIDE * np.array(
        [[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]]
    )
    return Face((align.TEMPLATE - 0.5) @ turn.T + (width / 2, height / 2))


def eight_bits(plate: Plate) -> NDArray[np.uint8]:
    """Return the plate as other programs are given it: 8 bits, sRGB, BGR."""
    linear = np.clip(plate.picture()[..., ::-1], 0.0, 1.0)
    return np.asarray(np.rint(255.0 * linear ** (1.0 / 2.2)), np.uint8)


def ours(
    plate: Plate, face: Face, network: StoredNetwork, knobs: Knobs
) -> Callable[[], pipeline.Result]:
    region = pipeline.region(face).intersection(plate.data_window)
    return lambda: pipeline.render(plate.cut(region), face, network, knobs)


def take_turns(sides: list[Side], repeats: int) -> None:
    """Run all sides in turn; the first round does not count."""
    for each in sides:
        each.work()
    for _ in range(repeats):
        for each in sides:
            each.run()


def against_peers(crops: list[int], repeats: int) -> list[str]:
    """Return the table of all sides."""
    plate, face = drawn_plate(*PLATES["4K"]), face_in(*PLATES["4K"])
    frame, points = eight_bits(plate), five_points(face.landmarks)
    lines = [
        "| crop | side | clock ms | processor ms | region / ours | insightface / ours | goal ms |",
        "| ---: | --- | ---: | ---: | ---: | ---: | ---: |",
    ]
    notes: list[str] = []
    for crop in crops:
        network = StoredNetwork(crop)
        mine = [Side(name, ours(plate, face, network, knobs)) for name, knobs in PATHS.items()]
        region = Side("region, 8 bits", partial(RegionPasteBack(crop), frame, points))
        theirs: list[Side] = []
        try:
            theirs = [Side("insightface", partial(InsightFace(crop), frame, points))]
        except ImportError as error:
            notes = [f"insightface was left out: {error}."]
        take_turns([*mine, region, *theirs], repeats)
        for side in [*mine, region, *theirs]:
            ratios = ["", ""]
            if side in mine:
                ratios[0] = f"{region.busy / side.busy:.1f}"
                ratios[1] = f"{theirs[0].busy / side.busy:.1f}" if theirs else ""
            goal = f"≤ {GOALS[side.name]:.0f}" if crop == 512 and side.name in GOALS else ""
            lines.append(
                f"| {crop} | {side.name} | {side.median:.1f} | {side.busy:.1f} | "
                f"{ratios[0]} | {ratios[1]} | {goal} |"
            )
    return [*lines, "", *notes] if notes else lines


def stages(crop: int, repeats: int) -> list[str]:
    """Return the table of our own stages."""
    plate, face = drawn_plate(*PLATES["4K"]), face_in(*PLATES["4K"])
    network = StoredNetwork(crop)
    paths = dict(PATHS)
    paths |= {f"{name}, all looks": replace(k, identity=InferKnobs()) for name, k in paths.items()}
    rows: list[Mapping[str, float]] = []
    for knobs in paths.values():
        render = ours(plate, face, network, knobs)
        render()
        taken = [render().statistics.milliseconds for _ in range(repeats)]
        rows.append({name: statistics.median(x[name] for x in taken) for name in taken[0]})
    names = list(rows[0])
    lines = ["| ms at a crop of " + f"{crop} | " + " | ".join(names) + " |"]
    lines.append("| --- |" + " ---: |" * len(names))
    for name, row in zip(paths, rows, strict=True):
        lines.append(f"| {name} | " + " | ".join(f"{row[each]:.1f}" for each in names) + " |")
    return lines


def over_plate_sizes(crop: int, repeats: int) -> list[str]:
    """Return the table of one face in plates of many sizes."""
    lines = [
        "| processor ms | " + " | ".join(PLATES) + " | slowest / fastest | goal |",
        "| --- |" + " ---: |" * (len(PLATES) + 2),
    ]
    plates = {name: drawn_plate(*size) for name, size in PLATES.items()}
    for name, knobs in PATHS.items():
        sides = [
            Side(size, ours(plate, face_in(*PLATES[size]), StoredNetwork(crop), knobs))
            for size, plate in plates.items()
        ]
        take_turns(sides, repeats)
        medians = [side.busy for side in sides]
        cells = " | ".join(f"{median:.1f}" for median in medians)
        lines.append(f"| {name} | {cells} | {max(medians) / min(medians):.2f} | ≤ 1.30 |")
    return lines


def mask_knob(crop: int, repeats: int) -> list[str]:
    """Return the figures of a mask knob's change on a cached frame."""
    plate, face = drawn_plate(*PLATES["4K"]), face_in(*PLATES["4K"])
    part = plate.cut(pipeline.region(face).intersection(plate.data_window))
    network, cache = StoredNetwork(crop), StageCache(1024)
    path = PATHS["multiband, light, detail, grain"]
    feathers = iter(np.linspace(1.0, 4.0, 2 * repeats + 2))

    def change() -> pipeline.Result:
        knobs = replace(
            path, mask=MatteKnobs(mask_feather=float(next(feathers))), identity=InferKnobs()
        )
        return pipeline.render(part, face, network, knobs, cache=cache, source="bench")

    change()
    side = Side("mask_feather", change)
    take_turns([side], repeats)
    seen = f"the network looked {network.looks} time" + ("s" if network.looks != 1 else "")
    return [
        "| knob | median ms | worst ms | goal ms |",
        "| --- | ---: | ---: | ---: |",
        f"| {side.name} | {side.median:.1f} | {max(side.wall):.1f} | ≤ 40 |",
        "",
        f"Over {repeats + 2} changes {seen}.",
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--crops", type=int, nargs="+", default=[256, 512, 1024])
    parser.add_argument("--repeats", type=int, default=15)
    given = parser.parse_args()
    memory.keep_freed()  # as `semblance apply` does; it serves all sides
    cv2.setNumThreads(1)
    square = 1.0 / float(np.hypot(*align.fit(face_in(4096, 2160).landmarks)[:, 0]))
    print(f"### A frame of 4096 × 2160, a face's square of {square:.0f} pixels, one thread\n")
    print("\n".join(against_peers(given.crops, given.repeats)))
    print("\n### Where ours goes\n")
    print("\n".join(stages(512, given.repeats)))
    print("\n### The same face in plates of four sizes, crop 512, one thread\n")
    print("\n".join(over_plate_sizes(512, given.repeats)))
    cv2.setNumThreads(2)
    print("\n### A mask knob's change, cached frame, multiband, crop 512, two threads\n")
    print("\n".join(mask_knob(512, given.repeats)))


if __name__ == "__main__":
    main()
