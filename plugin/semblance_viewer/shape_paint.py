"""How drawn shapes look on the canvas, and where their handles lie."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

from semblance.roto import Kind, Point, ShapeKey, curves, outline
from semblance_panel.qt import QtCore, QtGui
from semblance_panel.style import AMBER, WHITE

if TYPE_CHECKING:
    from semblance_viewer.canvas import Canvas

__all__ = ["Place", "paint_handles", "paint_new", "paint_outline"]

Qt = QtCore.Qt
Points = NDArray[np.float64]

_ASIDE: Final = 22.0
"""Widget pixels from the outline to the feather's handle, where the feather is 0."""


@dataclass(frozen=True)
class Place:
    """Where the plate lies in the canvas: a scale and a shift for each axis."""

    origin: tuple[float, float]
    by: tuple[float, float]

    @classmethod
    def of(cls, canvas: Canvas) -> Place:
        """Return where the plate lies in a canvas now."""
        far = 1000.0
        one = canvas.to_widget(QtCore.QPointF(0.0, 0.0))
        other = canvas.to_widget(QtCore.QPointF(far, far))
        by = (other.x() - one.x()) / far, (other.y() - one.y()) / far
        return cls((one.x(), one.y()), by)

    @property
    def scale(self) -> float:
        """Widget pixels for a pixel of the plate, down."""
        return self.by[1]

    @property
    def aspect(self) -> float:
        """Width of a pixel of the plate over its height."""
        return self.by[0] / self.by[1]

    def there(self, points: Points) -> Points:
        """Return places of the canvas for points of the plate, (n, 2)."""
        return points * self.by + self.origin

    def path(self, key: ShapeKey, kind: Kind) -> QtGui.QPainterPath:
        """Return the outline of a shape."""
        segments = self.there(curves(key, kind).reshape(-1, 2)).reshape(-1, 4, 2)
        path = QtGui.QPainterPath(QtCore.QPointF(*segments[0, 0]))
        for _, one, other, end in segments.tolist():
            path.cubicTo(QtCore.QPointF(*one), QtCore.QPointF(*other), QtCore.QPointF(*end))
        path.closeSubpath()
        return path

    def feathered(self, key: ShapeKey, kind: Kind) -> QtGui.QPainterPath:
        """Return about where the feather ends: the outline, moved along its normals."""
        segments = self.there(curves(key, kind).reshape(-1, 2)).reshape(-1, 4, 2)
        line = outline(segments)
        line = line + key.feather * self.scale * _normals(line)
        path = QtGui.QPainterPath()
        path.addPolygon(QtGui.QPolygonF([QtCore.QPointF(*row) for row in line.tolist()]))
        path.closeSubpath()
        return path

    def edge(self, key: ShapeKey, kind: Kind) -> tuple[Points, Points]:
        """Return the outline's place of the feather's handle, in the plate, and the way outward.

        The way is that of square pixels.
        """
        line = outline(curves(key, kind)) * (self.aspect, 1.0)
        index = int((line[:, 0] - line[:, 1]).argmax())  # to the upper right
        return line[index] / (self.aspect, 1.0), _normals(line)[index]

    def feather(self, key: ShapeKey, kind: Kind) -> tuple[QtCore.QPointF, QtCore.QPointF]:
        """Return the outline's place of the feather's handle, and the handle, in the canvas."""
        edge, normal = self.edge(key, kind)
        start = self.there(edge[None])[0]
        away = key.feather * self.scale + (_ASIDE if key.feather >= 0.0 else 0.0)
        return QtCore.QPointF(*start), QtCore.QPointF(*(start + away * normal))

    def feather_at(self, key: ShapeKey, kind: Kind, at: tuple[float, float]) -> float:
        """Return the feather for which the handle lies beside a point of the plate."""
        edge, normal = self.edge(key, kind)
        away = (np.array(at) - edge) * (self.aspect, 1.0)
        along, free = float(away @ normal), _ASIDE / self.scale
        return along - free if along > free else min(along, 0.0)


def paint_outline(
    painter: QtGui.QPainter,
    place: Place,
    key: ShapeKey,
    kind: Kind,
    colour: QtGui.QColor,
    *,
    chosen: bool,
) -> None:
    """Draw a shape's outline, and dashed about where its feather ends."""
    painter.setBrush(Qt.BrushStyle.NoBrush)
    path = place.path(key, kind)
    shade = QtGui.QPen(QtGui.QColor(0, 0, 0, 150), 3.0 if chosen else 2.0)
    painter.strokePath(path, shade)
    painter.strokePath(path, QtGui.QPen(colour, 1.6 if chosen else 1.0))
    if key.feather != 0.0:
        dashed = QtGui.QPen(colour, 1.0, Qt.PenStyle.DashLine)
        painter.strokePath(place.feathered(key, kind), dashed)


def paint_handles(
    painter: QtGui.QPainter,
    place: Place,
    key: ShapeKey,
    kind: Kind,
    chosen: frozenset[int],
    *,
    keyed: bool,
) -> None:
    """Draw the points of a shape, the tangents of those that are chosen, and the feather's handle.

    Points are larger at a frame that has a key.
    """
    rows = np.array(key.points)
    here = place.there(rows[:, :2])
    if kind == "bspline":
        pen = QtGui.QPen(WHITE, 1.0, Qt.PenStyle.DotLine)
        painter.setPen(pen)
        painter.drawPolygon(QtGui.QPolygonF([QtCore.QPointF(*row) for row in here.tolist()]))
    painter.setPen(QtGui.QPen(WHITE, 1.0))
    painter.setBrush(WHITE)
    for index in sorted(chosen) if kind == "bezier" else ():
        for columns in (slice(2, 4), slice(4, 6)):
            end = place.there(rows[index : index + 1, :2] + rows[index, columns])[0]
            painter.drawLine(QtCore.QPointF(*here[index]), QtCore.QPointF(*end))
            painter.drawEllipse(QtCore.QPointF(*end), 3.0, 3.0)
    for index, (x, y) in enumerate(here.tolist()):
        painter.setPen(QtGui.QPen(QtGui.QColor(0, 0, 0), 1.0))
        painter.setBrush(AMBER if index in chosen else WHITE)
        side = 7.0 if keyed else 5.0
        painter.drawRect(QtCore.QRectF(x - side / 2, y - side / 2, side, side))
    edge, handle = place.feather(key, kind)
    painter.setPen(QtGui.QPen(WHITE, 1.0))
    painter.drawLine(edge, handle)
    painter.setBrush(QtGui.QColor(40, 40, 40))
    painter.drawRect(QtCore.QRectF(handle.x() - 4.0, handle.y() - 4.0, 8.0, 8.0))


def paint_new(painter: QtGui.QPainter, place: Place, points: list[Point], kind: Kind) -> None:
    """Draw a shape that is not closed yet."""
    here = place.there(np.array(points)[:, :2]).tolist()
    painter.setBrush(Qt.BrushStyle.NoBrush)
    painter.setPen(QtGui.QPen(WHITE, 1.2))
    path = QtGui.QPainterPath(QtCore.QPointF(*here[0]))
    if kind == "bspline":
        for row in here[1:]:
            path.lineTo(QtCore.QPointF(*row))
    else:
        segments = curves(ShapeKey(tuple(points)), kind)[:-1]
        for segment in segments:
            _, one, other, end = place.there(segment).tolist()
            path.cubicTo(QtCore.QPointF(*one), QtCore.QPointF(*other), QtCore.QPointF(*end))
    painter.drawPath(path)
    last = points[-1]
    if kind == "bezier" and (last.out_x or last.out_y):
        ends = np.array([[last.x + last.in_x, last.y + last.in_y],
                         [last.x + last.out_x, last.y + last.out_y]])  # fmt: skip
        one, other = place.there(ends).tolist()
        painter.drawLine(QtCore.QPointF(*one), QtCore.QPointF(*other))
    painter.setBrush(WHITE)
    for x, y in here:
        painter.drawRect(QtCore.QRectF(x - 3.0, y - 3.0, 6.0, 6.0))


def _normals(line: Points) -> Points:
    """Return the unit normals of a closed polyline, outward, (n, 2)."""
    along = np.roll(line, -1, axis=0) - np.roll(line, 1, axis=0)
    x, y = line.T
    turns = float((x * np.roll(y, -1) - np.roll(x, -1) * y).sum())
    length = np.maximum(np.hypot(*along.T), 1e-12)
    normal = np.stack([along[:, 1], -along[:, 0]], axis=1) / length[:, None]
    return np.asarray(normal if turns > 0.0 else -normal)
