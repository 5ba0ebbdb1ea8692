"""The contact sheet of a faceset."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final, TypeAlias

import cv2
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from semblance.train.journal import read_crop

__all__ = ["contact_sheet"]

Entry: TypeAlias = dict[str, Any]

COLUMNS, ROWS, FACE, LABEL, HEAD = 12, 10, 128, 30, 34
"""The grid of the sheet, and the pixels of a face, of its label and of the title."""

BACKGROUND, BRIGHT, DIM, DOT = (24, 24, 24), (235, 235, 235), (160, 160, 160), (90, 255, 160)


def contact_sheet(
    out: Path, entries: Sequence[Entry], rejected: Mapping[str, int]
) -> Image.Image:
    """Draw up to 120 faces: yaw from left to right, pitch from top to bottom."""
    count = min(len(entries), SHEET_COLUMNS * SHEET_ROWS)
    by_yaw = sorted(entries, key=lambda entry: float(entry["yaw"]))
    chosen = [by_yaw[round(i)] for i in np.linspace(0, len(by_yaw) - 1, count)]
    columns = min(count, SHEET_COLUMNS)
    parts = np.array_split(np.arange(count), columns)
    label, head = 30, 34
    cell = (SHEET_FACE + 4, SHEET_FACE + label)
    width = max(columns * cell[0] + 4, 560)
    sheet = Image.new("RGB", (width, head + max(map(len, parts)) * cell[1] + 4), (24, 24, 24))
    draw = ImageDraw.Draw(sheet)
    title, small = ImageFont.load_default(16), ImageFont.load_default(11)
    left_out = f"; left out: {_counted(rejected)}" if rejected else ""
    draw.text((8, 8), f"{out.name}: {len(entries)} faces{left_out}", (235, 235, 235), title)
    for column, part in enumerate(parts):
        inside = sorted((chosen[i] for i in part), key=lambda entry: float(entry["pitch"]))
        for row, entry in enumerate(inside):
            x, y = 4 + column * cell[0], head + row * cell[1]
            sheet.paste(_thumbnail(out, entry), (x, y))
            number = entry["file"][6:-4].lstrip("0") or "0"
            grey = "  mono" if entry["monochrome"] else ""
            draw.text((x + 2, y + SHEET_FACE + 1), f"{number}{grey}", (235, 235, 235), small)
            pose = f"y {entry['yaw']:+.0f}  p {entry['pitch']:+.0f}  sharp {entry['blur']:.0f}"
            draw.text((x + 2, y + SHEET_FACE + 14), pose, (160, 160, 160), small)
    return sheet


def _thumbnail(out: Path, entry: Entry) -> Image.Image:
    """Return a small picture of a face with a dot on each landmark."""
    crop = read_crop(out / entry["file"])
    side = crop.shape[0]
    small = cv2.resize(crop, (SHEET_FACE, SHEET_FACE), interpolation=cv2.INTER_AREA)
    image = Image.fromarray((small // 257).astype(np.uint8), "RGB")
    dots = [tuple(point) for point in np.array(entry["landmarks"]) * (SHEET_FACE / side) - 0.5]
    ImageDraw.Draw(image).point(dots, (90, 255, 160))
    return image
