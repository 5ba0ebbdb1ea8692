"""Contact sheets: pictures in labelled columns, and the one that shows a shot."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from semblance import exr
from semblance.review.files import Seal, unsealed, written
from semblance.review.material import (
    Look,
    Material,
    Picture,
    around_faces,
    codes,
    marked_knobs,
)

__all__ = ["MOST_ROWS", "TEXT", "contact_sheet", "shot_sheet", "spread"]

MOST_ROWS = 6
"""Frames of a sheet: more are too small to judge."""

TEXT = 16
"""Height of the lettering in pixels."""

_MARGIN = 12
_BACKGROUND = (30, 30, 30)
_INK = (225, 225, 225)


def contact_sheet(
    columns: Mapping[str, Sequence[Picture]],
    path: Path,
    *,
    rows: Sequence[str] = (),
    caption: str = "",
    cell: int = 320,
    seal: Seal = unsealed,
) -> None:
    """Write a PNG with one labelled column of pictures for each entry.

    Parameters
    ----------
    columns : mapping of str to sequence of (h, w, 3) or (h, w) float32 array
        By label, from left to right: display-referred sRGB, clipped to 0..1. All of one length;
        the pictures may differ in size.
    path : Path
        The PNG; it appears whole or not at all.
    rows : sequence of str
        Label of each row; none for no labels.
    caption : str
        One line above everything.
    cell : int
        Longest side of a picture on the sheet, in pixels.
    seal : Seal
        Signs the picture.

    Raises
    ------
    OutputError
        The file can't be written there.
    """
    font = ImageFont.load_default(TEXT)
    cells = [[_fitted(picture, cell) for picture in column] for column in columns.values()]
    names = list(columns)
    line = TEXT + _MARGIN
    gutter = _MARGIN + max((int(font.getlength(label)) + _MARGIN for label in rows), default=0)
    widths = [
        max([int(font.getlength(name)) + 1, *(picture.shape[1] for picture in column)])
        for name, column in zip(names, cells, strict=True)
    ]
    heights = [max(picture.shape[0] for picture in row) for row in zip(*cells, strict=True)]
    top = _MARGIN + line * (2 if caption else 1)
    size = (
        max(
            gutter + sum(width + _MARGIN for width in widths),
            int(font.getlength(caption)) + 2 * _MARGIN,
        ),
        top + sum(height + _MARGIN for height in heights),
    )
    sheet = Image.new("RGB", size, _BACKGROUND)
    draw = ImageDraw.Draw(sheet)
    draw.text((_MARGIN, _MARGIN), caption, _INK, font)
    x = gutter
    for name, column, width in zip(names, cells, widths, strict=True):
        draw.text((x, top - line), name, _INK, font)
        y = top
        for picture, height in zip(column, heights, strict=True):
            sheet.paste(Image.fromarray(picture), (x, y))
            y += height + _MARGIN
        x += width + _MARGIN
    y = top
    for label, height in zip(rows, heights, strict=bool(rows)):
        draw.text((_MARGIN, y), label, _INK, font)
        y += height + _MARGIN
    with written(path, seal) as partial:
        sheet.save(partial, "PNG")


def shot_sheet(
    material: Material,
    frames: Sequence[int],
    path: Path,
    *,
    caption: str = "",
    seal: Seal = unsealed,
) -> None:
    """Write a contact sheet of a shot: plate, matte, patch, result and, where it is known, truth.

    The result is read from its files; matte and patch are rendered again with the knobs that these
    carry. All pictures show the same window, around the face in all of the frames, at the automatic
    exposure of the shot.

    Parameters
    ----------
    material : Material
    frames : sequence of int
        One row each; see `spread`.
    path : Path
        The PNG.
    caption : str
        One line above everything.
    seal : Seal
        Signs the picture.

    Raises
    ------
    PlateError
        A frame can't be read.
    OutputError
        The sheet can't be written there.
    """
    columns: dict[str, list[Picture]] = {"plate": [], "matte": [], "patch": [], "result": []}
    if material.truths is not None:
        columns["truth"] = []
    track = material.track
    around = around_faces((track.faces[each] for each in frames if each in track.faces), track)
    for frame in frames:
        plate = exr.read_plate(material.plates.path(frame))
        result = exr.read_plate(material.results.path(frame))
        _, knobs = marked_knobs(result)
        face = material.faces(knobs.track.smoothing).faces.get(frame)
        look = Look(knobs.colour.input_space, material.stops)
        matte, patch = (
            material.render(frame, plate, face, knobs, view).plate for view in ("matte", "patch")
        )
        columns["plate"].append(look.picture(plate, around))
        columns["matte"].append(look.values(matte, around))
        columns["patch"].append(look.picture(patch, around))
        columns["result"].append(look.picture(result, around))
        if material.truths is not None:
            truth = exr.read_plate(material.truths.path(frame))
            columns["truth"].append(look.picture(truth, around))
    rows = [str(frame) for frame in frames]
    contact_sheet(columns, path, rows=rows, caption=caption, seal=seal)


def spread(frames: Sequence[int], most: int = MOST_ROWS) -> tuple[int, ...]:
    """Return at most `most` of the frames, evenly spread, with the first and the last.

    >>> spread(range(1001, 1013), 4)
    (1001, 1005, 1008, 1012)
    """
    if len(frames) <= most:
        return tuple(frames)
    return tuple(frames[round(i * (len(frames) - 1) / (most - 1))] for i in range(most))


def _fitted(picture: Picture, cell: int) -> NDArray[np.uint8]:
    """Return an RGB picture whose longest side is `cell`."""
    height, width = picture.shape[:2]
    scale = cell / max(height, width)
    return codes(picture, (max(round(width * scale), 1), max(round(height * scale), 1)))
