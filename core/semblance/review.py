"""What a person looks at: contact sheets of a shot, and its quality in a few lines of text.

Nothing here is on the frame path. Pictures are display-referred 0..1 and become 8-bit only in the
PNG that is written.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from semblance import align, colour, exr, pipeline, provenance
from semblance.errors import OutputError
from semblance.exr.sequence import compact
from semblance.face import Face, Track
from semblance.knobs import Knobs, ViewKnobs
from semblance.plate import Plate, Window
from semblance.track.smooth import smooth

__all__ = ["MOST_ROWS", "contact_sheet", "qc_score", "qc_summary", "shot_sheet", "spread"]

Picture = NDArray[np.float32]

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
    _write_png(sheet, path)


def shot_sheet(
    plates: exr.Sequence,
    results: exr.Sequence,
    path: Path,
    *,
    track: Track,
    network: pipeline.Network,
    stops: float,
    frames: Sequence[int],
    truths: exr.Sequence | None = None,
    caption: str = "",
) -> None:
    """Write a contact sheet of a shot: plate, matte, patch, result and, where it is known, truth.

    The result is read from its files; matte and patch are rendered again with the knobs that these
    carry. All pictures show the same window, around the face in all of the frames, at the automatic
    exposure of the shot.

    Parameters
    ----------
    plates, results, truths : Sequence
        The shot, what was made of it, and the perfect result.
    path : Path
        The PNG.
    track : Track
        As the result was made with.
    network : Network
        The likeness.
    stops : float
        Automatic exposure of the shot, for the render and for the eye.
    frames : sequence of int
        One row each; see `spread`.
    caption : str
        One line above everything.

    Raises
    ------
    PlateError
        A frame can't be read.
    OutputError
        The sheet can't be written there.
    """
    columns: dict[str, list[Picture]] = {"plate": [], "matte": [], "patch": [], "result": []}
    if truths is not None:
        columns["truth"] = []
    around = _face_window(track, frames)
    for frame in frames:
        plate, result = exr.read_plate(plates.path(frame)), exr.read_plate(results.path(frame))
        made = provenance.read_marks(result.metadata)
        knobs = Knobs.from_flat(made.knobs if made is not None else {})
        face = smooth(track, knobs.track.smoothing).faces.get(frame)
        look = _Look(knobs.colour.input_space, stops, around or plate.data_window)

        def view(
            name: Literal["matte", "patch"],
            plate: Plate = plate,
            face: Face | None = face,
            knobs: Knobs = knobs,
        ) -> Plate:
            inside = replace(knobs, view=ViewKnobs(view=name))
            return pipeline.render(plate, face, network, inside, stops=stops).plate

        columns["plate"].append(look.picture(plate))
        columns["matte"].append(look.values(view("matte")))
        columns["patch"].append(look.picture(view("patch")))
        columns["result"].append(look.picture(result))
        if truths is not None:
            columns["truth"].append(look.picture(exr.read_plate(truths.path(frame))))
    contact_sheet(columns, path, rows=[str(frame) for frame in frames], caption=caption)


def spread(frames: Sequence[int], most: int = MOST_ROWS) -> tuple[int, ...]:
    """Return at most `most` of the frames, evenly spread, with the first and the last.

    >>> spread(range(1001, 1013), 4)
    (1001, 1005, 1008, 1012)
    """
    if len(frames) <= most:
        return tuple(frames)
    return tuple(frames[round(i * (len(frames) - 1) / (most - 1))] for i in range(most))


def qc_summary(summary: Mapping[str, Any]) -> str:
    """Return what an artist must know of a rendered shot, in a few lines.

    Parameters
    ----------
    summary : mapping
        `ShotSummary.to_json()`, with `output` and `release` where they are to be told.
    """
    times = summary["milliseconds"]
    spent = sum(stage["median"] for stage in times.values())
    slowest = max(times, key=lambda name: times[name]["median"], default="")
    lines = [
        ("result", summary.get("output", "")),
        ("frames", f"{summary['frames']} in {summary['seconds']:.1f} s"),
        ("faces", f"in {summary['found']} of them"),
        ("passed", _listed(summary["passed"], "without a face: the plate itself")),
        ("failed", _listed(summary["failed"], "not written")),
        ("compute", f"{summary['provider']}, {summary['peak_memory_mb']:.0f} MB at most"),
        ("per frame", f"{spent:.0f} ms, most of it {slowest}" if times else ""),
        ("release", summary.get("release", "")),
        *(("note", note) for note in summary["notes"]),
    ]
    return "\n".join(f"{name:<10}{text}" for name, text in lines if text)


def qc_score(scores: Mapping[str, Any]) -> str:
    """Return the figures that say most of a scored shot, in one line.

    Parameters
    ----------
    scores : mapping
        `ShotScore.to_json()`; figures that were not taken are left out.
    """
    wanted = {
        "psnr": "PSNR {:.2f} dB",
        "plate_psnr": "plate's own {:.2f} dB",
        "ssim": "SSIM {:.3f}",
        "progress": "progress {:.2f}",
        "flicker": "flicker {:.2f}",
        "outside": "changed outside the matte {:.0f}",
    }
    there = ((text, scores["mean"].get(name)) for name, text in wanted.items())
    return ", ".join(text.format(value) for text, value in there if value is not None)


def _listed(frames: Iterable[int | str], what: str) -> str:
    text = compact(map(int, frames))
    return f"{text} ({what})" if text else ""


@dataclass(frozen=True)
class _Look:
    """How a plate is shown: the same window and exposure for every picture of a sheet."""

    space: str
    stops: float
    window: Window

    def picture(self, plate: Plate) -> Picture:
        linear = colour.to_linear(
            self.values(plate), colour.resolve_space(self.space, plate.metadata)
        )
        return colour.encode(np.nan_to_num(linear), self.stops)

    def values(self, plate: Plate) -> Picture:
        return plate.picture(self.window.intersection(plate.data_window))


def _face_window(track: Track, frames: Sequence[int]) -> Window | None:
    """Return the display window's part around the face in all frames; None without a face."""
    display = Window(0, 0, *track.size)
    faces = [
        align.bounds(align.fit(track.faces[frame].landmarks, track.pixel_aspect), display)
        for frame in frames
        if frame in track.faces
    ]
    if not faces:
        return None
    around = Window(
        min(face.x0 for face in faces),
        min(face.y0 for face in faces),
        max(face.x1 for face in faces),
        max(face.y1 for face in faces),
    )
    return around.grown(around.height // 10).intersection(display)


def _fitted(picture: Picture, cell: int) -> NDArray[np.uint8]:
    """Return an RGB picture whose longest side is `cell`, averaged where it shrinks."""
    height, width = picture.shape[:2]
    scale = cell / max(height, width)
    size = (max(round(width * scale), 1), max(round(height * scale), 1))
    method = cv2.INTER_AREA if scale < 1.0 else cv2.INTER_CUBIC
    resized = cv2.resize(np.clip(picture, 0.0, 1.0), size, interpolation=method)
    codes = np.rint(np.clip(resized, 0.0, 1.0) * 255.0).astype(np.uint8)
    return codes if codes.ndim == 3 else np.repeat(codes[..., None], 3, axis=2)


def _write_png(sheet: Image.Image, path: Path) -> None:
    partial = ""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, partial = tempfile.mkstemp(suffix=".partial", dir=path.parent)
        with os.fdopen(handle, "wb") as file:
            sheet.save(file, "PNG")
        os.chmod(partial, 0o644)
        os.replace(partial, path)
    except OSError as error:
        if partial:
            Path(partial).unlink(missing_ok=True)
        raise OutputError(
            f"{path} can't be written: {error.strerror}", "Choose another place for the sheet."
        ) from error
