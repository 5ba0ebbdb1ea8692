"""Measure the occluder network on the studio's shots, which it was not trained on.

    python bench/occluder/evaluate.py --pictures PICTURES

What of it the result shows is told by `bench/fidelity.py --shots occlusion` (column `occluder`).

An occluder pixel is, as in `semblance.score`, one inside the hull of the tracked landmarks where
the truth mask is 0; in frames without an occluder there is none. Held out is a weight above 0.98.
False hold-outs are the mean weight where the truth mask is above 0.5, and again without a border of
3 % of the crop around the occluder: the weight reaches over its edge by intent.
"""

from __future__ import annotations

import argparse
import json
import time
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np

from semblance import align, colour, matte, occluder
from semblance.exr import Sequence, read_plate, read_roto
from semblance.face import Face
from semblance.knobs import Knobs
from semblance.track.analyse import track_shot
from semblance.track.provider import open_provider
from semblance.track.smooth import smooth

STUDIO = Path(__file__).resolve().parents[3] / "shared/studio"
SHOTS = ("monologue", "song", "occlusion")
CROP = 256
SURE = 0.98


@dataclass(frozen=True)
class View:
    """A frame in the canonical frame of its tracked face, at CROP pixels."""

    frame: int
    crop: np.ndarray
    landmarks: np.ndarray
    mask: np.ndarray  # the truth mask
    inner: np.ndarray  # bool: inside of the face's hull, short of its soft edge


def views(shot: str, tracker: str) -> list[View]:
    """Track a shot and cut its faces out."""
    folder = STUDIO / shot
    known = json.loads((folder / "truth.json").read_text())
    sequence = Sequence.parse(folder / "plate.####.exr")
    frames = sequence.select(None)
    knobs = Knobs()
    if tracker == "truth":
        faces = {f: Face(np.array(known[str(f)]["landmarks_plate"])) for f in frames}
        lumas = [
            colour.face_luma(read_plate(sequence.path(f)).picture(), faces[f].landmarks)
            for f in frames
        ]
    else:
        provider = open_provider(tracker, None)
        track = track_shot(sequence, frames, provider, knobs.colour, lambda *_: None, lambda: False)
        faces = smooth(track, knobs.track.smoothing).faces
        lumas = [face.luma for face in faces.values()]
    stops = colour.auto_stops(value for value in lumas if value is not None)
    out = []
    for frame, face in faces.items():
        plate, roto = read_plate(sequence.path(frame)), read_roto(folder / f"mask.{frame:04d}.exr")
        matrix = align.fit(face.landmarks)
        working = colour.encode(plate.picture(), stops)
        landmarks = align.transform(face.landmarks, matrix)
        out.append(
            View(
                frame,
                np.clip(align.to_crop(working, plate.data_window, matrix, CROP), 0, 1),
                landmarks,
                align.to_crop(roto.pixels, roto.window, matrix, CROP),
                matte.hull_mask(landmarks, CROP) > 0.99,
            )
        )
    return out


def report(shot: str, seen: list[View], weights: list[np.ndarray]) -> str:
    """Return the figures of a shot, a line each."""
    found, false, clear, highest = {}, {}, {}, {}
    for view, weight in zip(seen, weights, strict=True):
        hidden = view.inner & (view.mask < 0.005)
        if hidden.sum() > 50:
            found[view.frame] = (float((weight[hidden] > SURE).mean()), int(hidden.sum()))
        false[view.frame] = float(weight[view.mask > 0.5].mean())
        border = cv2.dilate(hidden.astype(np.uint8), np.ones((17, 17), np.uint8)) > 0
        face = (view.mask > 0.5) & ~border
        clear[view.frame], highest[view.frame] = (
            float(weight[face].mean()),
            float(weight[face].max()),
        )
    steps = [
        float(np.abs(a - b)[view.mask > 0.5].mean())
        for view, (a, b) in zip(seen, pairwise(weights), strict=False)
    ]
    lines = [f"## {shot}, {len(seen)} frames"]
    if found:
        total = sum(count for _, count in found.values())
        mean = sum(share * count for share, count in found.values()) / total
        lines.append(f"- occluder pixels held out: {mean:.2%} of {total}; " + ", ".join(
            f"{frame} {share:.1%}" for frame, (share, _) in found.items()))  # fmt: skip
    lines += [_mean_and_worst("false hold-outs", false),
              _mean_and_worst("the same, without the occluder's border", clear),
              _mean_and_worst("largest weight there", highest),
              f"- change of the weight on the face from frame to frame: mean {np.mean(steps):.3%}, "
              f"largest {np.max(steps):.3%}"]  # fmt: skip
    return "\n".join(lines)


def _mean_and_worst(name: str, figures: dict[int, float]) -> str:
    worst = max(figures, key=figures.__getitem__)
    mean = float(np.mean(list(figures.values())))
    return f"- {name}: mean {mean:.3%}, worst frame {figures[worst]:.3%} ({worst})"


def overlay(view: View, probability: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """Return crop, probability and held-out overlay with the true edge, stacked."""
    crop = view.crop[..., ::-1]
    red = crop * (1 - 0.6 * weight[..., None]) + weight[..., None] * np.array(
        [0, 0, 0.6], np.float32
    )
    contour = cv2.morphologyEx(
        (view.mask > 0.5).astype(np.uint8), cv2.MORPH_GRADIENT, np.ones((2, 2), np.uint8)
    )
    red[contour > 0] = (0, 1, 0)
    return np.vstack([crop, np.repeat(probability[..., None], 3, 2), red])


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--shots", default=",".join(SHOTS))
    parser.add_argument("--tracker", default="native", help="or: truth, for the true landmarks")
    parser.add_argument("--amount", type=float, default=0.5)
    parser.add_argument("--pictures", type=Path, help="folder for overlays")
    o = parser.parse_args()
    cv2.setNumThreads(1)
    if not STUDIO.is_dir():
        print(f"skipped: the studio set is not at {STUDIO}")
        return
    for shot in o.shots.split(","):
        seen = views(shot, o.tracker)
        start = time.perf_counter()
        probabilities = [occluder.look(view.crop, view.landmarks) for view in seen]
        spent = (time.perf_counter() - start) / len(seen)
        weights = [occluder.held_out(p, o.amount) for p in probabilities]
        print(report(shot, seen, weights))
        print(f"- {1000 * spent:.1f} ms a look\n", flush=True)
        if o.pictures:
            o.pictures.mkdir(parents=True, exist_ok=True)
            tiles = [overlay(*each) for each in zip(seen, probabilities, weights, strict=True)]
            rows = [np.hstack(tiles[i : i + 6]) for i in range(0, len(tiles) - 5, 6)]
            for i, row in enumerate(rows):
                picture = np.round(row * 255).clip(0, 255).astype(np.uint8)
                cv2.imwrite(str(o.pictures / f"{shot}_{i}.png"), picture)


if __name__ == "__main__":
    main()
