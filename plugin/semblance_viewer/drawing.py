"""What can be done to drawn shapes, without Qt: every function returns new ones.

A change at a frame is a key at that frame. A point that is put in or taken out is so in every key,
because all keys of a shape have the same points.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Literal

import numpy as np

from semblance.roto import LIMIT, Kind, Point, Shape, ShapeKey, Shapes, curves, outline

__all__ = [
    "FEWEST",
    "above",
    "added",
    "bent",
    "closed",
    "cornered",
    "inserted",
    "keyed",
    "nearest",
    "removed",
    "shaped",
    "shifted",
    "unkeyed",
    "without",
]

FEWEST: dict[Kind, int] = {"bezier": 2, "bspline": 3}
"""Points that a shape needs."""

_SMOOTH = 1.0 / 6.0
"""Of the way from the point before to the point after: the tangent of a point made smooth, which
is that of a Catmull-Rom spline."""


def added(shapes: Shapes, shape: Shape) -> Shapes:
    """Return shapes with one more, drawn last."""
    return replace(shapes, shapes=(*shapes.shapes, shape))


def removed(shapes: Shapes, index: int) -> Shapes:
    """Return shapes without one."""
    return replace(shapes, shapes=shapes.shapes[:index] + shapes.shapes[index + 1 :])


def shaped(shapes: Shapes, index: int, shape: Shape) -> Shapes:
    """Return shapes with one replaced."""
    return replace(shapes, shapes=(*shapes.shapes[:index], shape, *shapes.shapes[index + 1 :]))


def closed(shapes: Shapes, points: Sequence[Point], kind: Kind, frame: int) -> Shapes:
    """Return shapes with a new one from the points that were clicked, keyed at a frame."""
    taken = {shape.name for shape in shapes.shapes}
    number = next(n for n in range(1, len(taken) + 2) if f"shape {n}" not in taken)
    return added(shapes, Shape(f"shape {number}", {frame: ShapeKey(tuple(points))}, kind))


def keyed(shape: Shape, frame: int, key: ShapeKey) -> Shape:
    """Return a shape with a key, in the place of one that is there; held to a file's limits."""
    points = tuple(Point(*(_held(value) for value in point)) for point in key.points)
    held = ShapeKey(points, _held(key.feather), min(max(key.opacity, 0.0), 1.0))
    return replace(shape, keys=dict(sorted({**shape.keys, frame: held}.items())))


def unkeyed(shape: Shape, frame: int) -> Shape:
    """Return a shape without the key of a frame; the last key stays."""
    keys = {number: key for number, key in shape.keys.items() if number != frame}
    return replace(shape, keys=keys) if keys else shape


def shifted(shape: Shape, frame: int, which: Iterable[int], x: float, y: float) -> Shape:
    """Return a shape with some of its points moved at a frame, their tangents with them."""
    key, chosen = shape.at(frame), set(which)
    points = (
        point._replace(x=point.x + x, y=point.y + y) if index in chosen else point
        for index, point in enumerate(key.points)
    )
    return keyed(shape, frame, replace(key, points=tuple(points)))


def bent(
    shape: Shape,
    frame: int,
    index: int,
    side: Literal["in", "out"],
    x: float,
    y: float,
    *,
    broken: bool = False,
) -> Shape:
    """Return a shape with a tangent of a point changed at a frame.

    Parameters
    ----------
    shape : Shape
    frame, index : int
    side : {"in", "out"}
    x, y : float
        The tangent, from the point on.
    broken : bool
        Whether the other side stays as it is; else it turns to stay in line, as long as it was.
    """
    key = shape.at(frame)
    point = key.points[index]
    other = (point.out_x, point.out_y) if side == "in" else (point.in_x, point.in_y)
    if not broken:
        length, own = math.hypot(*other), math.hypot(x, y)
        if length == 0.0:
            length = own
        other = (-x * length / own, -y * length / own) if own > 0.0 else other
    ends = (x, y, *other) if side == "in" else (*other, x, y)
    points = [*key.points]
    points[index] = Point(point.x, point.y, *ends)
    return keyed(shape, frame, replace(key, points=tuple(points)))


def cornered(shape: Shape, frame: int, index: int) -> Shape:
    """Return a shape with a smooth point made a corner at a frame, or a corner made smooth."""
    key = shape.at(frame)
    point = key.points[index]
    if any(point[2:]):
        new = Point(point.x, point.y)
    else:
        before, after = key.points[index - 1], key.points[(index + 1) % len(key.points)]
        x, y = _SMOOTH * (after.x - before.x), _SMOOTH * (after.y - before.y)
        new = Point(point.x, point.y, -x, -y, x, y)
    points = [*key.points]
    points[index] = new
    return keyed(shape, frame, replace(key, points=tuple(points)))


def inserted(shape: Shape, index: int, t: float) -> Shape:
    """Return a shape with a point more in every key, on the curve that follows a point.

    A Bezier outline stays as it is (de Casteljau); a B-spline's new control point lies between its
    two neighbours, which draws the outline a little toward them.

    Parameters
    ----------
    shape : Shape
    index : int
        The point before.
    t : float
        Where on the curve, 0..1.
    """
    split = _split if shape.kind == "bezier" else _between
    keys = {frame: replace(key, points=split(key, index, t)) for frame, key in shape.keys.items()}
    return replace(shape, keys=keys)


def without(shape: Shape, which: Iterable[int]) -> Shape | None:
    """Return a shape without some points, in every key; None where too few are left."""
    gone = set(which)
    left = [index for index in range(_count(shape)) if index not in gone]
    if len(left) < FEWEST[shape.kind]:
        return None
    keys = {
        frame: replace(key, points=tuple(key.points[index] for index in left))
        for frame, key in shape.keys.items()
    }
    return replace(shape, keys=keys)


def nearest(shape: Shape, frame: int, x: float, y: float) -> tuple[int, float, float]:
    """Return the place of a shape's outline that is nearest to a point of the plate.

    Returns
    -------
    (int, float, float)
        The point before it, how far on the curve from there (0..1), and the distance in pixels.
    """
    t = np.linspace(0.0, 1.0, 65)[None, :, None]
    segments = curves(shape.at(frame), shape.kind)[:, None]
    s = 1.0 - t
    there = (
        s**3 * segments[:, :, 0]
        + 3.0 * s * s * t * segments[:, :, 1]
        + 3.0 * s * t * t * segments[:, :, 2]
        + t**3 * segments[:, :, 3]
    )
    away = np.hypot(there[..., 0] - x, there[..., 1] - y)
    index, step = np.unravel_index(int(away.argmin()), away.shape)
    return int(index), float(t[0, step, 0]), float(away[index, step])


def above(shape: Shape, frame: int, x: float, y: float) -> bool:
    """Return whether a point of the plate lies inside a shape."""
    line = outline(curves(shape.at(frame), shape.kind))
    following = np.roll(line, -1, axis=0)
    rises = (line[:, 1] <= y) != (following[:, 1] <= y)
    one, other = line[rises], following[rises]
    crossing = one[:, 0] + (y - one[:, 1]) / (other[:, 1] - one[:, 1]) * (other[:, 0] - one[:, 0])
    right = crossing > x
    return int(np.where(other[right, 1] > one[right, 1], 1, -1).sum()) != 0


def _count(shape: Shape) -> int:
    return len(next(iter(shape.keys.values())).points)


def _held(value: float) -> float:
    return min(max(value, -LIMIT), LIMIT)


def _split(key: ShapeKey, index: int, t: float) -> tuple[Point, ...]:
    points = [*key.points]
    behind = (index + 1) % len(points)
    p0, p1, p2, p3 = curves(key, "bezier")[index]
    a, b, c = p0 + t * (p1 - p0), p1 + t * (p2 - p1), p2 + t * (p3 - p2)
    d, e = a + t * (b - a), b + t * (c - b)
    middle = d + t * (e - d)
    points[index] = points[index]._replace(out_x=float(a[0] - p0[0]), out_y=float(a[1] - p0[1]))
    points[behind] = points[behind]._replace(in_x=float(c[0] - p3[0]), in_y=float(c[1] - p3[1]))
    points.insert(index + 1, Point(*map(float, (*middle, *(d - middle), *(e - middle)))))
    return tuple(points)


def _between(key: ShapeKey, index: int, t: float) -> tuple[Point, ...]:
    points = [*key.points]
    one, other = points[index], points[(index + 1) % len(points)]
    points.insert(index + 1, Point(0.5 * (one.x + other.x), 0.5 * (one.y + other.y)))
    return tuple(points)
