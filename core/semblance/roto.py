"""Drawn roto: closed shapes with keys in a file, and the matte that they draw over a plate.

- `load_shapes`, `save_shapes`: the shapes file (docs/roto-format.md), JSON made to be read and
  mended by hand.
- `rasterise`: shapes at a frame to a `Roto`, at any scale.

The edge is the exact area that a shape covers of each pixel, summed edge by edge in fixed point:
neither a supersampled nor an 8-bit edge, and the same bits whichever window of the plate is asked
for. OpenCV's `fillPoly` has sub-pixel corners but no grey edge in float; four times four of its
samples take longer than the area itself and know sixteen greys.
"""

from __future__ import annotations

import json
import math
import os
from bisect import bisect_right
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Literal, NamedTuple, cast, get_args

import cv2
import numpy as np
from numpy.typing import NDArray

from semblance.documents import Reader
from semblance.errors import OutputError, RotoError
from semblance.face import Roto
from semblance.plate import Window

__all__ = [
    "FORMAT",
    "LIMIT",
    "VERSION",
    "Kind",
    "Operation",
    "Point",
    "Shape",
    "ShapeKey",
    "Shapes",
    "curves",
    "load_shapes",
    "outline",
    "rasterise",
    "save_shapes",
]

FORMAT: Final = "semblance-roto"
VERSION: Final = 1

LIMIT: Final = 100_000.0
"""Farthest coordinate and widest feather that a file may hold, in pixels."""

Kind = Literal["bezier", "bspline"]
Operation = Literal["add", "subtract"]
Points = NDArray[np.float64]
Image = NDArray[np.float32]

_DECIMALS: Final = 4
_REMEDY: Final = "Mend the file (docs/roto-format.md), or draw it again in semblance view."

_FLAT: Final = 1.0 / 64.0
"""Pixels by which a polyline may miss its curve."""

_WHOLE: Final = 1 << 16
"""A covered pixel, in the fixed point in which areas are summed."""

_STEPS: Final = 16
"""Cells across a feather on which its distance is measured; a narrower one has the pixels."""

_LONGEST_SIDE: Final = 1536
"""Cells along a shape on which the distance of a wide feather is measured, at most."""

_STRIP: Final = 64

_PATCHES: Final = 1 << 18
"""Cells of all patches around pieces of an outline that are worked on at a time."""

_NOWHERE = Window(0, 0, 0, 0)


class Point(NamedTuple):
    """A point of a shape, in pixels of the full-size plate, pixel centres at +0.5, y down.

    Parameters
    ----------
    x, y : float
        On the outline of a Bezier shape; a control point of a B-spline.
    in_x, in_y, out_x, out_y : float
        Where the outline comes from and goes to, from the point on; 0 in a B-spline.
    """

    x: float
    y: float
    in_x: float = 0.0
    in_y: float = 0.0
    out_x: float = 0.0
    out_y: float = 0.0


@dataclass(frozen=True)
class ShapeKey:
    """A shape at a frame.

    Parameters
    ----------
    points : tuple of Point
        In order; the last is joined to the first.
    feather : float
        Pixels of the full-size plate over which the edge falls off: outward, or inward below 0.
    opacity : float
        0..1.
    """

    points: tuple[Point, ...]
    feather: float = 0.0
    opacity: float = 1.0


@dataclass(frozen=True)
class Shape:
    """A closed shape with its keys.

    Parameters
    ----------
    name : str
    kind : {"bezier", "bspline"}
        A Bezier outline goes through its points; a uniform cubic B-spline is drawn by them.
    operation : {"add", "subtract"}
        Whether it adds to what the shapes before it have drawn, or takes away from it.
    keys : mapping of int to ShapeKey
        By frame, at least one; all have the same number of points.
    """

    name: str
    keys: Mapping[int, ShapeKey]
    kind: Kind = "bezier"
    operation: Operation = "add"

    def at(self, frame: int) -> ShapeKey:
        """Return the shape at a frame: linear between keys, held before and after them."""
        frames = sorted(self.keys)
        after = bisect_right(frames, frame)
        left, right = frames[max(after - 1, 0)], frames[min(after, len(frames) - 1)]
        one, other = self.keys[left], self.keys[right]
        if left >= right or frame == left:
            return one
        share = (frame - left) / (right - left)
        before, behind = np.array(one.points), np.array(other.points)
        return ShapeKey(
            tuple(Point(*row) for row in (before + share * (behind - before)).tolist()),
            one.feather + share * (other.feather - one.feather),
            one.opacity + share * (other.opacity - one.opacity),
        )


@dataclass(frozen=True)
class Shapes:
    """The shapes of a shot, in the order in which they are drawn.

    Parameters
    ----------
    size : (int, int)
        Width and height of the display window that they belong to.
    shapes : tuple of Shape
    """

    size: tuple[int, int]
    shapes: tuple[Shape, ...] = field(default=())


def rasterise(
    shapes: Shapes,
    frame: int,
    window: Window,
    *,
    onto: Roto | None = None,
    pixel_aspect: float = 1.0,
    scale: tuple[float, float] = (1.0, 1.0),
    shift: tuple[float, float] = (0.0, 0.0),
) -> Roto | None:
    """Return the matte that shapes draw at a frame.

    Parameters
    ----------
    shapes : Shapes
    frame : int
    window : Window
        The pixels that are of interest, at the scale. What lies in it has the same bits whichever
        window it is asked for in.
    onto : Roto, optional
        The matte of a host's roto input or of files, which the shapes are drawn onto. Without one
        they are drawn onto nothing, or onto a full matte where the first shape subtracts.
    pixel_aspect : float
        Of the full-size plate: a feather is as wide across as it is high in the picture, and its
        number is that of pixels in a column.
    scale, shift : (float, float)
        Pixels of the full-size plate to those of the window (a proxy).

    Returns
    -------
    Roto or None
        Over as much of the window as any of it reaches; without shapes what they would have been
        drawn onto.
    """
    if not shapes.shapes:
        return onto
    drawn = [
        _Drawn.of(shape, frame, pixel_aspect, scale, shift).over(window) for shape in shapes.shapes
    ]
    full = onto is None and shapes.shapes[0].operation == "subtract"
    reached = [each.window for each in drawn if each.operation == "add"]
    if onto is not None:
        reached.append(onto.window.intersection(window))
    box = window if full else _around(reached)
    pixels = np.full((box.height, box.width), float(full), np.float32)
    if onto is not None:
        shared = onto.window.intersection(box)
        if not shared.empty:
            pixels[shared.slices(box)] = onto.pixels[shared.slices(onto.window)]
    for each in drawn:
        shared = each.window.intersection(box)
        if shared.empty:
            continue
        there, cover = pixels[shared.slices(box)], each.pixels[shared.slices(each.window)]
        for rows in _strips(shared.height):
            if each.operation == "add":
                there[rows] += cover[rows] * (1.0 - there[rows])
            else:
                there[rows] *= 1.0 - cover[rows]
    return Roto(pixels, box)


def curves(key: ShapeKey, kind: Kind) -> Points:
    """Return the outline of a shape as cubic Bezier curves.

    Parameters
    ----------
    key : ShapeKey
    kind : {"bezier", "bspline"}

    Returns
    -------
    (n, 4, 2) float64 array
        A curve from each point to the next, by its four control points. A span of a uniform cubic
        B-spline is one too (de Boor, "A Practical Guide to Splines", 1978, chapter IX).
    """
    rows = np.array(key.points, np.float64)
    here = rows[:, :2]
    following = np.roll(here, -1, axis=0)
    if kind == "bezier":
        out, into = here + rows[:, 4:], following + np.roll(rows[:, 2:4], -1, axis=0)
        return np.stack([here, out, into, following], axis=1)
    before, after = np.roll(here, 1, axis=0), np.roll(here, -2, axis=0)
    return np.stack(
        [
            (before + 4.0 * here + following) / 6.0,
            (2.0 * here + following) / 3.0,
            (here + 2.0 * following) / 3.0,
            (here + 4.0 * following + after) / 6.0,
        ],
        axis=1,
    )


def outline(segments: Points) -> Points:
    """Return a closed polyline along cubic curves, (m, 2), which misses them by 1/64 at most.

    Each curve is cut at even steps of its parameter, as many as its second differences ask for
    (Wang, 1984; Goldman, "Pyramid Algorithms", 2003, section 5.6.3).
    """
    bend = np.abs(segments[:, :-2] - 2.0 * segments[:, 1:-1] + segments[:, 2:]).max(axis=1)
    counts = np.ceil(np.sqrt(0.75 / _FLAT * np.hypot(*bend.T))).astype(np.int64)
    counts = np.clip(counts, 1, 4096)
    which = np.repeat(np.arange(len(segments)), counts)
    step = np.arange(len(which)) - np.repeat(np.cumsum(counts) - counts, counts)
    t = (step / counts[which])[:, None]
    s = 1.0 - t
    p0, p1, p2, p3 = (segments[which, index] for index in range(4))
    return np.asarray(s**3 * p0 + 3.0 * s * s * t * p1 + 3.0 * s * t * t * p2 + t**3 * p3)


# ------------------------------------------------------------------------------------ one shape


@dataclass(frozen=True)
class _Cover:
    """How much of each pixel of a window a shape covers."""

    pixels: Image
    window: Window
    operation: Operation


@dataclass(frozen=True)
class _Drawn:
    """A shape at a frame, in pixels of the window that is asked for."""

    line: Points
    feather: float  # units of the metric: pixels of a column of the full-size plate
    opacity: float
    metric: tuple[float, float]  # units for a pixel, across and down
    operation: Operation

    @classmethod
    def of(
        cls,
        shape: Shape,
        frame: int,
        pixel_aspect: float,
        scale: tuple[float, float],
        shift: tuple[float, float],
    ) -> _Drawn:
        key = shape.at(frame)
        line = outline(curves(key, shape.kind) * scale + shift)
        metric = (pixel_aspect / scale[0], 1.0 / scale[1])
        return cls(line, key.feather, key.opacity, metric, shape.operation)

    def over(self, window: Window) -> _Cover:
        reach = max(self.feather, 0.0) / np.array(self.metric)
        low = np.floor(self.line.min(axis=0) - reach)
        high = np.ceil(self.line.max(axis=0) + reach)
        box = Window(int(low[0]), int(low[1]), int(high[0]), int(high[1])).intersection(window)
        if box.empty or self.opacity == 0.0:
            return _Cover(np.zeros((0, 0), np.float32), _NOWHERE, self.operation)
        cover = _area(self.line, box)
        if self.feather != 0.0:
            away = self._away(box)
            beyond = cover > 0.5 if self.feather > 0.0 else cover < 0.5
            np.copyto(away, np.float32(0.0), where=beyond)
            away *= np.float32(1.0 / abs(self.feather))
            np.minimum(away, np.float32(1.0), out=away)
            if self.feather > 0.0:
                np.subtract(np.float32(1.0), away, out=away)
            ramp = away * away
            np.subtract(np.float32(1.5), away, out=away)
            ramp *= away
            ramp *= np.float32(2.0)
            # Where the feather is narrower than a pixel, the area is what there is of an edge.
            (np.maximum if self.feather > 0.0 else np.minimum)(cover, ramp, out=cover)
        if self.opacity != 1.0:
            cover *= np.float32(self.opacity)
        return _Cover(cover, box, self.operation)

    def _away(self, box: Window) -> Image:
        """Return how far the pixels of a box are from the outline, as far as the feather goes."""
        reach = abs(self.feather)
        if reach <= _STEPS * max(self.metric):
            return _distance(self.line, box, self.metric, reach)
        extent = np.ptp(self.line, axis=0) * self.metric
        cell = max(reach / _STEPS, float(extent.max()) / _LONGEST_SIDE)
        # Signed, so that it is smooth where it is measured anew: across the outline itself.
        by = np.array(self.metric) / cell
        line = self.line * by
        low, high = np.floor(line.min(axis=0)), np.ceil(line.max(axis=0))
        grid = Window(int(low[0]), int(low[1]), int(high[0]), int(high[1])).grown(_STEPS + 3)
        field = _distance(line, grid, (cell, cell), reach + 2.0 * cell)
        np.negative(field, out=field, where=_area(line, grid) > 0.5)
        columns = ((np.arange(box.x0, box.x1) + 0.5) * by[0] - 0.5 - grid.x0).astype(np.float32)
        rows = ((np.arange(box.y0, box.y1) + 0.5) * by[1] - 0.5 - grid.y0).astype(np.float32)
        shape = (box.height, box.width)
        across = np.ascontiguousarray(np.broadcast_to(columns, shape))
        down = np.ascontiguousarray(np.broadcast_to(rows[:, None], shape))
        border = cv2.BORDER_REPLICATE
        away = cv2.remap(field, across, down, cv2.INTER_LINEAR, borderMode=border)
        return np.asarray(np.abs(away, out=away), np.float32)


def _area(line: Points, box: Window) -> Image:
    """Return how much of each pixel of a box a closed polyline holds, by its winding.

    The outline is cut at every line between pixels, so that a piece lies in one pixel: it covers
    what is right of it there, and as much of every pixel to the right as it is high. Summed along
    the rows that is the winding of each pixel, exactly (the signed areas of font rasterisers:
    Levien, "Inside the fastest font renderer in the world", 2016). Heights are whole multiples of
    2^-16, so that no order of summing makes a difference and outside is 0 to the bit.

    Returns
    -------
    (h, w) float32 array
        0..1.
    """
    points = _cut(line, box)
    middle = 0.5 * (points + np.roll(points, -1, axis=0))
    heights = np.rint(points[:, 1] * _WHOLE).astype(np.int64)
    rise = np.roll(heights, -1) - heights
    column, row = np.floor(middle.T).astype(np.int64)
    inside = (row >= box.y0) & (row < box.y1) & (column < box.x1) & (rise != 0)
    column, row, rise = column[inside], row[inside] - box.y0, rise[inside]
    later = np.rint(rise * (middle[inside, 0] - column)).astype(np.int64)
    later[column < box.x0] = 0
    column = np.maximum(column - box.x0, 0)
    wide = box.width + 1
    sums = np.zeros(box.height * wide, np.int32)
    at = row * wide + column
    np.add.at(sums, at, (rise - later).astype(np.int32))
    np.add.at(sums, at + 1, later.astype(np.int32))
    area = np.empty((box.height, box.width), np.float32)
    for rows in _strips(box.height):
        winding = sums.reshape(box.height, wide)[rows]
        np.cumsum(winding, axis=1, out=winding)
        np.abs(winding, out=winding)
        np.minimum(winding, _WHOLE, out=winding)
        np.multiply(winding[:, :-1], np.float32(1.0 / _WHOLE), out=area[rows])
    return area


def _cut(line: Points, box: Window) -> Points:
    """Return a closed polyline with points where it crosses the lines between a box's pixels."""
    step = np.roll(line, -1, axis=0) - line
    places, points = [np.arange(len(line), dtype=np.float64)], [line]
    for axis, low, high in ((0, box.x0, box.x1), (1, box.y0, box.y1)):
        ends = line[:, axis], line[:, axis] + step[:, axis]
        first = np.maximum(np.floor(np.minimum(*ends)) + 1.0, low)
        last = np.minimum(np.ceil(np.maximum(*ends)) - 1.0, high)
        counts = np.maximum(last - first + 1.0, 0.0).astype(np.int64)
        which = np.repeat(np.arange(len(line)), counts)
        nth = np.arange(len(which)) - np.repeat(np.cumsum(counts) - counts, counts)
        crossed = first[which] + nth
        t = (crossed - line[which, axis]) / step[which, axis]
        there = line[which] + t[:, None] * step[which]
        there[:, axis] = crossed
        places.append(which + t)
        points.append(there)
    order = np.argsort(np.concatenate(places), kind="stable")
    return np.asarray(np.concatenate(points)[order])


def _distance(line: Points, box: Window, metric: tuple[float, float], reach: float) -> Image:
    """Return the distance of each cell's centre from a closed polyline, `reach` at the most.

    Every piece of the outline writes to the cells around it that it may be nearest to; the least
    of all that was written is the distance itself, whatever the box.

    Parameters
    ----------
    line : (n, 2) array
        In cells.
    box : Window
        Of cells.
    metric : (float, float)
        Units of distance for a cell, across and down.
    reach : float
        In these units.

    Returns
    -------
    (h, w) float32 array
    """
    squared = np.full((box.height, box.width), reach * reach, np.float32)
    start, along = _pieces(line)
    around = np.array((reach / metric[0], reach / metric[1]))
    low = np.floor(np.minimum(start, start + along) - around).astype(np.int64)
    high = np.ceil(np.maximum(start, start + along) + around).astype(np.int64)
    near = (low < (box.x1, box.y1)).all(axis=1) & (high > (box.x0, box.y0)).all(axis=1)
    start, along, low, high = start[near], along[near], low[near], high[near]
    if not len(start):
        return np.sqrt(squared, out=squared)
    width, height = (high - low).max(axis=0)
    offset = (low + 0.5 - start) * metric  # from the piece's start to its first cell's centre
    along = along * metric
    square = np.maximum((along * along).sum(axis=1), 1e-12)
    across = (offset[:, :1] + np.arange(width) * metric[0]).astype(np.float32)[:, None, :]
    down = (offset[:, 1:] + np.arange(height) * metric[1]).astype(np.float32)[:, :, None]
    unit = (along / square[:, None]).astype(np.float32)[..., None, None]
    piece = along.astype(np.float32)[..., None, None]
    chunk = max(_PATCHES // int(width * height), 1)
    corner, end = low - (box.x0, box.y0), high - (box.x0, box.y0)
    for begin in range(0, len(start), chunk):
        part = slice(begin, begin + chunk)
        share = across[part] * unit[part, 0] + down[part] * unit[part, 1]
        np.maximum(share, np.float32(0.0), out=share)
        np.minimum(share, np.float32(1.0), out=share)
        left = share * piece[part, 0]
        np.subtract(across[part], left, out=left)
        left *= left
        share *= piece[part, 1]
        np.subtract(down[part], share, out=share)
        share *= share
        left += share
        for patch, (x, y), (x1, y1) in zip(
            left, corner[part].tolist(), end[part].tolist(), strict=True
        ):
            target = squared[max(y, 0) : max(y1, 0), max(x, 0) : max(x1, 0)]
            rows, columns = target.shape
            np.minimum(
                target,
                patch[max(-y, 0) : max(-y, 0) + rows, max(-x, 0) : max(-x, 0) + columns],
                out=target,
            )
    return np.sqrt(squared, out=squared)


def _pieces(line: Points) -> tuple[Points, Points]:
    """Return starts and vectors of a closed polyline's pieces, none longer than 16 cells."""
    step = np.roll(line, -1, axis=0) - line
    counts = np.maximum(np.ceil(np.hypot(*step.T) / _STEPS), 1.0).astype(np.int64)
    which = np.repeat(np.arange(len(line)), counts)
    nth = np.arange(len(which)) - np.repeat(np.cumsum(counts) - counts, counts)
    along = (step / counts[:, None])[which]
    return line[which] + nth[:, None] * along, along


def _strips(height: int) -> Iterator[slice]:
    """Return rows to work on at a time, so that they stay in the processor's cache."""
    return (slice(start, start + _STRIP) for start in range(0, height, _STRIP))


def _around(windows: list[Window]) -> Window:
    """Return the smallest window that holds all that are not empty."""
    held = [each for each in windows if not each.empty]
    if not held:
        return _NOWHERE
    return Window(
        min(each.x0 for each in held),
        min(each.y0 for each in held),
        max(each.x1 for each in held),
        max(each.y1 for each in held),
    )


# -------------------------------------------------------------------------------------- the file


def save_shapes(shapes: Shapes, path: str | os.PathLike[str]) -> None:
    """Write a shapes file; it appears whole or not at all.

    Parameters
    ----------
    shapes : Shapes
        Numbers are rounded to 4 decimals.
    path : path
        An existing file of this name is replaced.

    Raises
    ------
    OutputError
        The file can't be written there.
    """
    path = Path(path)
    written = ",\n".join(_written(shape) for shape in shapes.shapes)
    inside = f"[\n{written}\n  ]" if written else "[]"
    text = (
        f'{{\n  "format": {_dump(FORMAT)},\n  "version": {VERSION},\n'
        f'  "size": {_dump(list(shapes.size))},\n  "shapes": {inside}\n}}\n'
    )
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        try:
            temporary.write_text(text, "utf-8")
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)
    except OSError as error:
        raise OutputError(
            f"the shapes can't be written to {path}: {error.strerror or error}",
            "Give a file in a folder that exists and is writable.",
        ) from error


def load_shapes(path: str | os.PathLike[str], *, size: tuple[int, int] | None = None) -> Shapes:
    """Read a shapes file.

    Parameters
    ----------
    path : path
        A file as `save_shapes` writes it, or as a person has mended it.
    size : (int, int), optional
        Width and height of the display window that the shapes must belong to.

    Raises
    ------
    RotoError
        The file can't be read, is none of shapes, has another version, belongs to a plate of
        another size, or a value in it is missing, of another kind or out of range; names the
        file, the shape and the key.
    """
    path = Path(path)
    reader = _Reader(path)
    document = reader.document()
    if not isinstance(document, dict) or document.get("format") != FORMAT:
        found = document.get("format") if isinstance(document, dict) else type(document).__name__
        raise RotoError(
            f"{path} holds no shapes: expected format {FORMAT!r}, found {found!r}",
            "Draw them in semblance view, or give a matte in files as --roto.",
        )
    if document.get("version") != VERSION:
        raise RotoError(
            f"{path}: expected version {VERSION} of the shapes format, "
            f"found {document.get('version')!r}",
            "Update Semblance, or draw the shapes with this version of it.",
        )
    shapes = Shapes(reader.size(document), reader.shapes(document))
    if size is not None and shapes.size != size:
        raise RotoError(
            f"{path} belongs to a plate of {shapes.size[0]} × {shapes.size[1]}, "
            f"this one has {size[0]} × {size[1]}",
            "Give the shapes of this plate, or draw them again.",
        )
    return shapes


def _written(shape: Shape) -> str:
    keys = ",\n".join(
        f'      "{frame}": {_dump(_key(shape.keys[frame], shape.kind))}'
        for frame in sorted(shape.keys)
    )
    head = f'"name": {_dump(shape.name)}, "kind": "{shape.kind}", "operation": "{shape.operation}"'
    return f'    {{{head}, "keys": {{\n{keys}\n    }}}}'


def _key(key: ShapeKey, kind: Kind) -> dict[str, Any]:
    count = 6 if kind == "bezier" else 2
    return {
        "feather": _rounded(key.feather),
        "opacity": _rounded(key.opacity),
        "points": [[_rounded(value) for value in point[:count]] for point in key.points],
    }


def _rounded(value: float) -> float:
    return round(float(value), _DECIMALS) + 0.0  # + 0.0: no "-0.0" in a file


def _dump(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, allow_nan=False)


class _Reader(Reader):
    """Takes values out of a shapes document."""

    def __init__(self, path: Path) -> None:
        super().__init__(path, RotoError, "the shapes", _REMEDY)

    def document(self) -> Any:
        missing = RotoError(
            f"knob 'roto_file' names {self.path}, and there is no such file",
            "Check its name, or draw the shapes in semblance view.",
        )
        return self.read(missing)

    def shapes(self, document: Mapping[str, Any]) -> tuple[Shape, ...]:
        value = document.get("shapes")
        if not isinstance(value, list):
            self.refuse("shapes", "a list of shapes", value)
        return tuple(self._shape(number, entry) for number, entry in enumerate(value, 1))

    def _shape(self, number: int, entry: Any) -> Shape:
        place = f"shape {number}"
        if not isinstance(entry, dict):
            self.refuse(place, "a shape with keys", entry)
        name = entry.get("name", place)
        if not isinstance(name, str):
            self.refuse(f"{place}, name", "a text", name)
        place = place if name == place else f"{place} ({name})"
        kind = self._word(f"{place}, kind", entry.get("kind", "bezier"), get_args(Kind))
        how = self._word(f"{place}, operation", entry.get("operation", "add"), get_args(Operation))
        keys = entry.get("keys")
        if not isinstance(keys, dict) or not keys:
            self.refuse(f"{place}, keys", "at least one key by its frame number", keys)
        made: dict[int, ShapeKey] = {}
        for frame, key in keys.items():
            try:
                held = int(frame)
            except ValueError:
                self.refuse(f"{place}, keys", "a frame number", frame)
            made[held] = self._key(f"{place}, key {held}", key, cast(Kind, kind))
        counts = {frame: len(key.points) for frame, key in made.items()}
        first = min(counts)
        for frame, count in counts.items():
            if count != counts[first]:
                self.refuse(
                    f"{place}, key {frame}", f"{counts[first]} points, as in key {first}", count
                )
        return Shape(name, dict(sorted(made.items())), cast(Kind, kind), cast(Operation, how))

    def _word(self, place: str, value: Any, known: tuple[str, ...]) -> str:
        if value not in known:
            self.refuse(place, f"one of {', '.join(known)}", value)
        return str(value)

    def _key(self, place: str, entry: Any, kind: Kind) -> ShapeKey:
        if not isinstance(entry, dict):
            self.refuse(place, "a key with points", entry)
        points = entry.get("points")
        least = 2 if kind == "bezier" else 3
        if not isinstance(points, list) or len(points) < least:
            self.refuse(f"{place}, points", f"at least {least} points", points)
        return ShapeKey(
            tuple(self._point(f"{place}, point {i}", row, kind) for i, row in enumerate(points)),
            self._number(f"{place}, feather", entry.get("feather", 0.0), -LIMIT, LIMIT),
            self._number(f"{place}, opacity", entry.get("opacity", 1.0), 0.0, 1.0),
        )

    def _point(self, place: str, row: Any, kind: Kind) -> Point:
        counts = (2, 6) if kind == "bezier" else (2,)
        if not isinstance(row, list) or len(row) not in counts:
            tangents = " or [x, y, in x, in y, out x, out y]" if kind == "bezier" else ""
            self.refuse(place, f"[x, y]{tangents}", row)
        return Point(*(self._number(place, value, -LIMIT, LIMIT) for value in row))

    def _number(self, place: str, value: Any, low: float, high: float) -> float:
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            self.refuse(place, "a number", value)
        if not (math.isfinite(value) and low <= value <= high):
            self.refuse(place, f"a number from {low:g} to {high:g}", value)
        return float(value)
