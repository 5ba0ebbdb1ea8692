"""Facesets of drawn flat faces, written as `semblance faceset` writes them."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np

from semblance import align

SIDE, MARGIN, COUNT = 40, 0.125, 8


def draw_faceset(
    folder: Path,
    skin: tuple[float, float, float],
    monochrome: bool = False,
    count: int = COUNT,
    source: str = "",
) -> Path:
    """Write a faceset of flat faces whose mouths open differently."""
    (folder / "faces").mkdir(parents=True)
    faces = []
    for number in range(count):
        random = np.random.default_rng(number)
        points = align.TEMPLATE + random.normal(0.0, 0.006, (68, 2))
        points[[57, 58, 56, 66, 67, 65, 8]] += (0.0, 0.09 * random.random())
        points = (points + MARGIN) / (1.0 + 2.0 * MARGIN) * SIDE
        picture = np.full((SIDE, SIDE, 3), random.uniform(0.1, 0.4), np.float32)
        for outline, colour in (
            ([*range(17), *range(26, 16, -1)], np.array(skin) * random.uniform(0.8, 1.2)),
            (range(36, 42), np.full(3, 0.9)),
            (range(42, 48), np.full(3, 0.9)),
            (range(48, 60), np.array([0.3, 0.1, 0.1])),
        ):
            colour = np.full(3, colour.mean()) if monochrome else colour
            corners = np.round(points[list(outline)] * 16).astype(np.int32)
            cv2.fillPoly(picture, [corners], colour[::-1].tolist(), cv2.LINE_AA, 4)
        name = f"faces/{number:06d}.png"
        cv2.imwrite(str(folder / name), np.rint(picture * 65535).astype(np.uint16))
        faces.append(
            {
                "file": name, "source": source or name, "frame": number if source else None,
                "landmarks": points.tolist(), "yaw": 10.0 * (number % COUNT) - 40.0, "pitch": 0.0,
                "roll": 0.0, "score": 1.0, "blur": 0.0,
                "quality": {"score": 1.0, "occluded": 0.0},
                "monochrome": monochrome, "exposure": 0.0,
            }
        )  # fmt: skip
    listing = {
        "format": "semblance-faceset", "version": 2, "template": "semblance-1",
        "size": SIDE, "margin": MARGIN, "faces": faces,
    }  # fmt: skip
    (folder / "faceset.json").write_text(json.dumps(listing))
    return folder
