"""The picture of a coverage: how many faces there are of each pose, as a table of tinted cells."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from semblance.train.coverage import PITCH, YAW, Coverage

__all__ = ["coverage_picture"]

CELL, LEFT, TOP, GAP, LINE = 34, 64, 46, 34, 18
PAPER, INK, DIM, NONE = (250, 250, 250), (25, 25, 25), (110, 110, 110), (232, 214, 214)
FULL: Final = np.array((24, 84, 150))
FAINT: Final = np.array((214, 228, 242))
MANY: Final = 30
"""So many faces of one pose have the full tint."""


def coverage_picture(people: Mapping[str, Coverage], said: Sequence[str] = ()) -> Image.Image:
    """Draw the histogram of each person, and below them what is missing.

    Parameters
    ----------
    people : mapping of str to Coverage
        By their names.
    said : sequence of str
        As `semblance.train.coverage.holes` gives them.

    Returns
    -------
    PIL.Image.Image
        Display-referred sRGB by 8 bits. Yaw runs from left profiles to right ones, pitch from a
        look up to a look down; each cell has its number, poses without a face a tint of their own.
    """
    columns, rows = len(YAW) - 1, len(PITCH) - 1
    high = TOP + rows * CELL + GAP
    size = (LEFT + columns * CELL + 20, high * len(people) + LINE * len(said) + 14)
    sheet = Image.new("RGB", size, PAPER)
    draw = ImageDraw.Draw(sheet)
    for place, (name, has) in enumerate(people.items()):
        _histogram(draw, place * high, name, has)
    small = ImageFont.load_default(12)
    for line, text in enumerate(said):
        draw.text((12, high * len(people) + LINE * line), text, INK, small)
    return sheet


def _histogram(draw: ImageDraw.ImageDraw, top: int, name: str, has: Coverage) -> None:
    title, small = ImageFont.load_default(15), ImageFont.load_default(11)
    draw.text((12, top + 6), f"{name}: {len(has.yaw)} faces", INK, title)
    draw.text((LEFT, top + TOP - 16), "left profile", DIM, small)
    right = LEFT + (len(YAW) - 1) * CELL
    draw.text((right, top + TOP - 16), "right profile", DIM, small, anchor="ra")
    for row, counts in enumerate(has.counts):
        y = top + TOP + row * CELL
        label = _angle(PITCH[row] + PITCH[row + 1])
        draw.text((LEFT - 8, y + CELL // 2), label, DIM, small, anchor="rm")
        for column, count in enumerate(counts):
            x = LEFT + column * CELL
            draw.rectangle((x, y, x + CELL - 2, y + CELL - 2), _tint(int(count)))
            if count:
                ink = PAPER if count > MANY // 3 else INK
                middle = (x + CELL // 2 - 1, y + CELL // 2 - 1)
                draw.text(middle, str(count), ink, small, anchor="mm")
    for column in range(len(YAW) - 1):
        angle = _angle(YAW[column] + YAW[column + 1])
        at = (LEFT + column * CELL + CELL // 2, top + TOP + (len(PITCH) - 1) * CELL + 3)
        draw.text(at, angle, DIM, small, anchor="ma")


def _tint(count: int) -> tuple[int, int, int]:
    if count == 0:
        return NONE
    share = min(1.0, np.log1p(count) / np.log1p(MANY))
    red, green, blue = np.rint(FAINT + share * (FULL - FAINT)).astype(int)
    return int(red), int(green), int(blue)


def _angle(twice: int) -> str:
    """Return the middle of a bin, from the sum of its edges, as a label."""
    return f"{twice // 2:+d}°" if twice else "0°"
