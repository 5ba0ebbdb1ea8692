"""The contact sheet of a faceset."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias

import cv2
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from semblance.train.journal import read_crop

__all__ = ["contact_sheet", "counted"]

Entry: TypeAlias = dict[str, Any]

COLUMNS, ROWS, FACE, LABEL, HEAD = 12, 10, 128, 30, 34
"""The grid of the sheet, and the pixels of a face, of its label and of the title."""

BACKGROUND, BRIGHT, DIM, DOT = (24, 24, 24), (235, 235, 235), (160, 160, 160), (90, 255, 160)


def counted(rejected: Mapping[str, int]) -> str:
    """Return what was left out, as text: ``blurred: 3, no face: 12``."""
    return ", ".join(f"{reason}: {count}" for reason, count in sorted(rejected.items()))


def contact_sheet(
    folder: Path, entries: Sequence[Entry], rejected: Mapping[str, int]
) -> Image.Image:
    """Draw up to 120 faces: yaw from left to right, pitch from top to bottom.

    Parameters
    ----------
    folder : Path
        The faceset's, with the crops.
    entries : sequence of dict
        Faces as the listing has them, at least one. Of more than fit, every so-manyth by yaw.
    rejected : mapping of str to int
        What was left out, for the title.

    Returns
    -------
    PIL.Image.Image
        Display-referred sRGB by 8 bits, for a person to look at.
    """
    columns = min(len(entries), COLUMNS)
    count = min(len(entries), COLUMNS * ROWS)
    by_yaw = sorted(entries, key=lambda entry: float(entry["yaw"]))
    chosen = [by_yaw[round(place)] for place in np.linspace(0, len(by_yaw) - 1, count)]
    parts = np.array_split(np.arange(count), columns)
    across, down = FACE + 4, FACE + LABEL
    size = (max(columns * across + 4, 560), HEAD + max(map(len, parts)) * down + 4)
    sheet = Image.new("RGB", size, BACKGROUND)
    draw = ImageDraw.Draw(sheet)
    left_out = f"; left out: {counted(rejected)}" if rejected else ""
    title = f"{folder.resolve().name}: {len(entries)} faces{left_out}"
    draw.text((8, 8), title, BRIGHT, ImageFont.load_default(16))
    font = ImageFont.load_default(11)
    for column, part in enumerate(parts):
        inside = sorted((chosen[place] for place in part), key=lambda entry: float(entry["pitch"]))
        for row, entry in enumerate(inside):
            x, y = 4 + column * across, HEAD + row * down
            sheet.paste(_thumbnail(folder, entry), (x, y))
            first, second = _label(entry)
            draw.text((x + 2, y + FACE + 1), first, BRIGHT, font)
            draw.text((x + 2, y + FACE + 14), second, DIM, font)
    return sheet


def _label(entry: Entry) -> tuple[str, str]:
    number = str(int(Path(entry["file"]).stem))
    grey = "  mono" if entry["monochrome"] else ""
    pose = f"y {entry['yaw']:+.0f}  p {entry['pitch']:+.0f}  sharp {entry['blur']:.0f}"
    return number + grey, pose


def _thumbnail(folder: Path, entry: Entry) -> Image.Image:
    """Return a small picture of a face with a dot on each landmark."""
    crop = read_crop(folder / entry["file"])
    small = cv2.resize(crop, (FACE, FACE), interpolation=cv2.INTER_AREA)
    image = Image.fromarray((np.asarray(small) // 257).astype(np.uint8))
    points = np.array(entry["landmarks"]) * (FACE / crop.shape[0]) - 0.5
    ImageDraw.Draw(image).point([(float(x), float(y)) for x, y in points], DOT)
    return image
