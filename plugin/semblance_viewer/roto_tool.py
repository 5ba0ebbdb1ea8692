"""Drawing roto over the picture: shapes by clicks, points, tangents, feather, keys, undo.

What is drawn is in the shapes file at once, so that the worker renders with it while a point is
being dragged; the file is written in a thread of its own. `drawing` does the changes, this module
turns hands into them.

| hand | does |
| --- | --- |
| click, in a new shape | a point; dragged, with a tangent; on the first one, or Enter: closes |
| drag a point, a tangent, the outline or the inside | moves it; Alt breaks a tangent's two sides |
| Shift and click a point | chooses it too |
| double click a point, the outline | a corner or smooth; a point more |
| Ctrl and click the outline | a point more |
| drag the square beside the outline | the feather |
| Delete, Backspace | the chosen points, else the shape; the last click of a new shape |
| Ctrl+A, arrows | all points; moves by one pixel (Shift: ten) |
| Escape | leaves the new shape, then the choice |
| Ctrl+Z, Ctrl+Shift+Z | undo, redo |
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal

import numpy as np
from numpy.typing import NDArray

from semblance.roto import (
    Kind,
    Operation,
    Point,
    Shape,
    ShapeKey,
    Shapes,
    load_shapes,
    save_shapes,
)
from semblance_panel.qt import QtCore, QtGui, QtWidgets, position
from semblance_panel.style import AMBER, GREEN
from semblance_viewer import drawing
from semblance_viewer.history import History, Writer
from semblance_viewer.shape_paint import Place, paint_handles, paint_new, paint_outline
from semblance_viewer.tool_options import RotoOptions

if TYPE_CHECKING:
    from semblance_viewer.canvas import Canvas

__all__ = ["RotoTool"]

Qt = QtCore.Qt
Points = NDArray[np.float64]

_NEAR: Final = 8.0
"""Widget pixels within which a handle is meant."""

_ADDS, _TAKES = GREEN, AMBER
_ARROWS: Final = {
    Qt.Key.Key_Left: (-1.0, 0.0),
    Qt.Key.Key_Right: (1.0, 0.0),
    Qt.Key.Key_Up: (0.0, -1.0),
    Qt.Key.Key_Down: (0.0, 1.0),
}


@dataclass(frozen=True)
class _Grip:
    """What a hand has got hold of."""

    what: Literal["point", "in", "out", "feather", "shape", "tangent of new"]
    index: int = 0
    gesture: object = None


class RotoTool(QtCore.QObject):
    """Draws the shapes of one file. For the canvas' `set_tool`.

    Parameters
    ----------
    path : Path
        The shapes file; it is made by the first shape.
    size : (int, int)
        Width and height of the plate's display window.
    frame : int
        The frame that is shown.
    parent : QObject, optional

    Signals
    -------
    changed()
        The file was written.
    failed(str)
        It could not be, and why.
    edited()
        What is drawn, chosen or to be undone is another: for buttons; the canvas repaints itself.

    Raises
    ------
    RotoError
        The file is there and holds no shapes of this plate.
    """

    changed = QtCore.Signal()
    failed = QtCore.Signal(str)
    edited = QtCore.Signal()

    def __init__(
        self,
        path: Path,
        size: tuple[int, int],
        frame: int,
        parent: QtCore.QObject | None = None,
    ) -> None:
        super().__init__(parent)
        self.path = Path(path)
        shapes = load_shapes(self.path, size=size) if self.path.exists() else Shapes(size)
        self._history = History(shapes)
        self._frame = frame
        self._chosen: int | None = None  # a shape
        self._points: frozenset[int] = frozenset()  # its chosen points
        self._new: list[Point] | None = None
        self._kind: Kind = "bezier"
        self._grip: _Grip | None = None
        self._last = (0.0, 0.0)
        self._canvas: Canvas | None = None
        self._writer = Writer(self._written)
        if not shapes.shapes:
            self.begin()

    # --- what is there ---------------------------------------------------------------------

    @property
    def shapes(self) -> Shapes:
        """The shapes as they are drawn now."""
        return self._history.now

    @property
    def chosen(self) -> Shape | None:
        """The shape that is worked on."""
        index = self._chosen
        return None if index is None else self.shapes.shapes[index]

    @property
    def chosen_points(self) -> frozenset[int]:
        """The points of it that are worked on."""
        return self._points

    @property
    def is_drawing(self) -> bool:
        """Whether clicks make a new shape."""
        return self._new is not None

    @property
    def frame(self) -> int:
        """The frame that is shown."""
        return self._frame

    @property
    def kind(self) -> Kind:
        """What a new shape is, or would be."""
        return self._kind

    @property
    def can_undo(self) -> bool:
        """Whether there is a step to take back."""
        return self._history.can_undo or bool(self._new)

    @property
    def can_redo(self) -> bool:
        """Whether there is an undone step."""
        return self._history.can_redo

    # --- what can be done ------------------------------------------------------------------

    def begin(self, kind: Kind | None = None) -> None:
        """Let the next clicks make a new shape."""
        self._kind = kind or self._kind
        self._new = []
        self._choose(None)

    def finish(self) -> None:
        """Close the new shape; too few points are none."""
        points, self._new = self._new or [], None
        if len(points) >= drawing.FEWEST[self._kind]:
            self._do(drawing.closed(self.shapes, points, self._kind, self._frame))
            self._choose(len(self.shapes.shapes) - 1)
        else:
            self._repaint()

    def undo(self) -> None:
        """Take back the last click of a new shape, else the last step."""
        if self._new:
            self._new.pop()
            self._repaint()
        elif self._history.undo():
            self._after_a_step()

    def redo(self) -> None:
        """Do the last undone step again."""
        if self._history.redo():
            self._after_a_step()

    def delete(self) -> None:
        """Take out the chosen points, or the shape."""
        shape, index = self.chosen, self._chosen
        if shape is None or index is None:
            return
        left = drawing.without(shape, self._points) if self._points else None
        if left is None:
            self._chosen = None
            self._do(drawing.removed(self.shapes, index))
        else:
            self._do(drawing.shaped(self.shapes, index, left))
        self._choose(self._chosen)

    def set_feather(self, pixels: float, gesture: object = None) -> None:
        """Give the shape a feather at the frame; below 0 it goes inward."""
        self._key(lambda key: replace(key, feather=pixels), gesture)

    def set_opacity(self, opacity: float, gesture: object = None) -> None:
        """Give the shape an opacity at the frame, 0..1."""
        self._key(lambda key: replace(key, opacity=opacity), gesture)

    def set_operation(self, operation: Operation) -> None:
        """Let the shape add to what is drawn before it, or take away from it."""
        self._shape(lambda shape: replace(shape, operation=operation))

    def set_key(self) -> None:
        """Put a key at the frame, of the shape as it is."""
        self._key(lambda key: key)

    def remove_key(self) -> None:
        """Take out the key of the frame; a shape keeps its last one."""
        self._shape(lambda shape: drawing.unkeyed(shape, self._frame))

    def flush(self) -> bool:
        """Wait until the file holds what is drawn; return whether it does."""
        return self._writer.flush()

    def close(self) -> None:
        """Finish writing and end the thread."""
        self._writer.close()

    def options(self) -> QtWidgets.QWidget:
        """Return a bar with buttons and numbers for what can be done."""
        return RotoOptions(self)

    # --- the canvas' protocol --------------------------------------------------------------

    def frame_changed(self, frame: int) -> None:
        """Show the shapes at another frame."""
        self._frame = frame
        self._grip = None
        self._repaint()

    def press(self, event: QtGui.QMouseEvent, canvas: Canvas) -> bool:
        """Take hold of what is under the pointer, or click a point of a new shape."""
        self._canvas = canvas
        if event.button() != Qt.MouseButton.LeftButton:
            return False
        at = position(event)
        self._last = _plate(canvas, at)
        if self._new is not None:
            return self._click(at, canvas)
        keys = event.modifiers()
        grip = self._under(at, canvas)
        if grip is None or grip.what == "shape":
            index = self._shape_under(at, canvas)
            if index is None:
                self._choose(None)
                return False
            if index != self._chosen:
                self._choose(index)
            elif keys & Qt.KeyboardModifier.ControlModifier:
                self._insert(at, canvas)
                return True
            grip = _Grip("shape")
        elif grip.what == "point":
            if keys & Qt.KeyboardModifier.ShiftModifier:
                self._points = self._points ^ {grip.index}
            elif grip.index not in self._points:
                self._points = frozenset({grip.index})
        self._grip = replace(grip, gesture=object())
        self._repaint()
        return True

    def move(self, event: QtGui.QMouseEvent, canvas: Canvas) -> bool:
        """Move what is held."""
        grip = self._grip
        if grip is None or not event.buttons() & Qt.MouseButton.LeftButton:
            return False
        at = _plate(canvas, position(event))
        by = at[0] - self._last[0], at[1] - self._last[1]
        if grip.what == "tangent of new" and self._new:
            point = self._new[-1]
            x, y = at[0] - point.x, at[1] - point.y
            self._new[-1] = Point(point.x, point.y, -x, -y, x, y)
            self._repaint()
        elif grip.what in ("point", "shape"):
            self._last = at
            self._shift(by, grip)
        elif grip.what in ("in", "out"):
            self._bend(at, grip, broken=bool(event.modifiers() & Qt.KeyboardModifier.AltModifier))
        elif grip.what == "feather":
            self._feather(at, canvas, grip)
        return True

    def release(self, event: QtGui.QMouseEvent, canvas: Canvas) -> bool:
        """Let go."""
        held, self._grip = self._grip, None
        if held is not None:
            self._repaint()
        return held is not None

    def double_click(self, event: QtGui.QMouseEvent, canvas: Canvas) -> bool:
        """Turn a point from smooth to a corner or back; put one more on the outline."""
        if self._new is not None:
            self.finish()
            return True
        at = position(event)
        grip, shape, index = self._under(at, canvas), self.chosen, self._chosen
        if shape is None or index is None:
            return False
        if grip is not None and grip.what == "point" and shape.kind == "bezier":
            new = drawing.cornered(shape, self._frame, grip.index)
            self._do(drawing.shaped(self.shapes, index, new))
            return True
        return self._insert(at, canvas)

    def key(self, event: QtGui.QKeyEvent, canvas: Canvas) -> bool:
        """Do what a key of the table above says."""
        self._canvas = canvas
        pressed, keys = event.key(), event.modifiers()
        shift = bool(keys & Qt.KeyboardModifier.ShiftModifier)
        control = bool(keys & Qt.KeyboardModifier.ControlModifier)
        if control and pressed == Qt.Key.Key_Z:
            (self.redo if shift else self.undo)()
        elif control and pressed == Qt.Key.Key_A and self.chosen is not None:
            self._points = frozenset(range(len(self.chosen.at(self._frame).points)))
            self._repaint()
        elif control:
            return False
        elif pressed in (Qt.Key.Key_Return, Qt.Key.Key_Enter) and self.is_drawing:
            self.finish()
        elif pressed in (Qt.Key.Key_Delete, Qt.Key.Key_Backspace):
            if self._new is not None:
                self.undo()
            else:
                self.delete()
        elif pressed == Qt.Key.Key_Escape and (self.is_drawing or self.chosen is not None):
            self._new = None
            self._choose(None)
        elif pressed in _ARROWS and self._points:
            x, y = _ARROWS[Qt.Key(pressed)]
            far = 10.0 if shift else 1.0
            self._shift((x * far, y * far), _Grip("point"))
        else:
            return False
        return True

    def paint(self, painter: QtGui.QPainter, canvas: Canvas) -> None:
        """Draw outlines, and the handles of the shape that is worked on."""
        self._canvas = canvas
        place = Place.of(canvas)
        painter.save()
        painter.setRenderHint(QtGui.QPainter.RenderHint.Antialiasing)
        for index, shape in enumerate(self.shapes.shapes):
            key = shape.at(self._frame)
            colour = _ADDS if shape.operation == "add" else _TAKES
            chosen = index == self._chosen
            paint_outline(painter, place, key, shape.kind, colour, chosen=chosen)
            if chosen:
                keyed = self._frame in shape.keys
                paint_handles(painter, place, key, shape.kind, self._points, keyed=keyed)
        if self._new:
            paint_new(painter, place, self._new, self._kind)
        painter.restore()

    # --- inside ----------------------------------------------------------------------------

    def _click(self, at: QtCore.QPointF, canvas: Canvas) -> bool:
        """Put a point on a new shape, or close it."""
        assert self._new is not None
        there = _plate(canvas, at)
        if len(self._new) >= drawing.FEWEST[self._kind]:
            first = canvas.to_widget(QtCore.QPointF(self._new[0].x, self._new[0].y))
            if _far(first, at) <= _NEAR:
                self.finish()
                return True
        self._new.append(Point(*there))
        self._grip = _Grip("tangent of new") if self._kind == "bezier" else None
        self._repaint()
        return True

    def _under(self, at: QtCore.QPointF, canvas: Canvas) -> _Grip | None:
        """Return the handle of the chosen shape that is under a place of the canvas."""
        shape = self.chosen
        if shape is None:
            return None
        place, key = Place.of(canvas), shape.at(self._frame)
        _, handle = place.feather(key, shape.kind)
        if _far(handle, at) <= _NEAR:
            return _Grip("feather")
        rows = np.array(key.points)
        here = place.there(rows[:, :2])
        for index in sorted(self._points) if shape.kind == "bezier" else ():
            for side, columns in (("in", slice(2, 4)), ("out", slice(4, 6))):
                if rows[index, columns].any():
                    end = place.there(rows[index : index + 1, :2] + rows[index, columns])[0]
                    if math.hypot(end[0] - at.x(), end[1] - at.y()) <= _NEAR:
                        return _Grip("in" if side == "in" else "out", index)
        away = np.hypot(here[:, 0] - at.x(), here[:, 1] - at.y())
        if away.min() <= _NEAR:
            return _Grip("point", int(away.argmin()))
        return None

    def _shape_under(self, at: QtCore.QPointF, canvas: Canvas) -> int | None:
        """Return the shape whose outline or inside is there; the chosen one first, then the top."""
        x, y = _plate(canvas, at)
        reach = _NEAR / Place.of(canvas).scale
        order: list[int] = [] if self._chosen is None else [self._chosen]
        order += reversed(range(len(self.shapes.shapes)))
        for index in order:
            shape = self.shapes.shapes[index]
            if drawing.nearest(shape, self._frame, x, y)[2] <= reach:
                return index
            if drawing.above(shape, self._frame, x, y):
                return index
        return None

    def _insert(self, at: QtCore.QPointF, canvas: Canvas) -> bool:
        shape, number = self.chosen, self._chosen
        if shape is None or number is None:
            return False
        index, t, away = drawing.nearest(shape, self._frame, *_plate(canvas, at))
        if away * Place.of(canvas).scale > _NEAR:
            return False
        new = drawing.inserted(shape, index, t)
        self._do(drawing.shaped(self.shapes, number, new))
        self._points = frozenset({index + 1})
        self._repaint()
        return True

    def _shift(self, by: tuple[float, float], grip: _Grip) -> None:
        shape = self.chosen
        if shape is None or by == (0.0, 0.0):
            return
        count = len(shape.at(self._frame).points)
        which = self._points if grip.what == "point" else range(count)
        self._shape(lambda shape: drawing.shifted(shape, self._frame, which, *by), grip.gesture)

    def _bend(self, at: tuple[float, float], grip: _Grip, *, broken: bool) -> None:
        shape = self.chosen
        if shape is None:
            return
        point = shape.at(self._frame).points[grip.index]
        side: Literal["in", "out"] = "in" if grip.what == "in" else "out"
        x, y = at[0] - point.x, at[1] - point.y
        self._shape(
            lambda shape: drawing.bent(shape, self._frame, grip.index, side, x, y, broken=broken),
            grip.gesture,
        )

    def _feather(self, at: tuple[float, float], canvas: Canvas, grip: _Grip) -> None:
        shape = self.chosen
        if shape is None:
            return
        pixels = Place.of(canvas).feather_at(shape.at(self._frame), shape.kind, at)
        self.set_feather(round(pixels, 1), grip.gesture)

    def _key(self, change: Callable[[ShapeKey], ShapeKey], gesture: object = None) -> None:
        frame = self._frame
        self._shape(lambda shape: drawing.keyed(shape, frame, change(shape.at(frame))), gesture)

    def _shape(self, change: Callable[[Shape], Shape], gesture: object = None) -> None:
        shape, index = self.chosen, self._chosen
        if shape is not None and index is not None:
            self._do(drawing.shaped(self.shapes, index, change(shape)), gesture)

    def _do(self, shapes: Shapes, gesture: object = None) -> None:
        if shapes == self.shapes:
            return
        self._history.do(shapes, gesture)
        self._save()

    def _after_a_step(self) -> None:
        """Choose what is still there after undo or redo."""
        count = len(self.shapes.shapes)
        self._choose(self._chosen if self._chosen is not None and self._chosen < count else None)
        self._save()

    def _choose(self, index: int | None) -> None:
        self._chosen = index
        self._points = frozenset()
        self._repaint()

    def _save(self) -> None:
        shapes, path = self.shapes, self.path
        self._writer.put(lambda: save_shapes(shapes, path))
        self._repaint()

    def _written(self, why: str) -> None:
        if why:
            self.failed.emit(why)
        else:
            self.changed.emit()

    def _repaint(self) -> None:
        if self._canvas is not None:
            self._canvas.update()
        self.edited.emit()


def _plate(canvas: Canvas, at: QtCore.QPointF) -> tuple[float, float]:
    there = canvas.to_plate(at)
    return there.x(), there.y()


def _far(one: QtCore.QPointF, other: QtCore.QPointF) -> float:
    return math.hypot(one.x() - other.x(), one.y() - other.y())
