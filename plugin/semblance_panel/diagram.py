"""The face with its regions, to be clicked: which of them are replaced.

The outlines are drawn by hand in a square and mean no measured face. A region is shown where
a knob ``mask_<region>`` is declared for it; a knob without an outline still has its row.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from semblance_panel.qt import QtCore, QtGui, QtWidgets, position
from semblance_panel.style import mixed

__all__ = ["FaceDiagram", "outlines"]

Qt = QtCore.Qt
Role = QtGui.QPalette.ColorRole

Corners = Sequence[tuple[float, float]]

_FACE: Final[Corners] = (
    (0.50, 0.02), (0.70, 0.05), (0.84, 0.18), (0.88, 0.38), (0.87, 0.56), (0.81, 0.75),
    (0.69, 0.91), (0.57, 0.98), (0.43, 0.98), (0.31, 0.91), (0.19, 0.75), (0.13, 0.56),
    (0.12, 0.38), (0.16, 0.18), (0.30, 0.05),
)  # fmt: skip
_EYE: Final[Corners] = (
    (0.215, 0.44), (0.29, 0.405), (0.37, 0.41), (0.425, 0.45), (0.36, 0.48), (0.28, 0.48),
)  # fmt: skip
_BROW: Final[Corners] = (
    (0.19, 0.37), (0.25, 0.315), (0.34, 0.305), (0.44, 0.335), (0.43, 0.365), (0.33, 0.35),
    (0.25, 0.36),
)  # fmt: skip
_NOSE: Final[Corners] = (
    (0.465, 0.42), (0.50, 0.41), (0.535, 0.42), (0.555, 0.55), (0.605, 0.635), (0.56, 0.675),
    (0.50, 0.685), (0.44, 0.675), (0.395, 0.635), (0.445, 0.55),
)  # fmt: skip
_MOUTH: Final[Corners] = (
    (0.34, 0.775), (0.43, 0.735), (0.50, 0.748), (0.57, 0.735), (0.66, 0.775), (0.59, 0.82),
    (0.50, 0.835), (0.41, 0.82),
)  # fmt: skip
SIDE: Final = 1000.0
"""Of the square; large, because Qt flattens curves to its unit where it intersects them."""

_FOREHEAD_END: Final = 0.375
"""Above it lies the forehead, behind the brows."""


def outlines() -> dict[str, QtGui.QPainterPath]:
    """Return the regions' outlines in a square of side `SIDE`, what lies in front last."""
    face = _closed(_FACE)
    upper = QtGui.QPainterPath()
    upper.addRect(0.0, 0.0, SIDE, _FOREHEAD_END * SIDE)
    lower = QtGui.QPainterPath(_point(0.0, 0.62))
    lower.cubicTo(_point(0.22, 0.78), _point(0.34, 0.70), _point(0.50, 0.70))
    lower.cubicTo(_point(0.66, 0.70), _point(0.78, 0.78), _point(1.0, 0.62))
    lower.lineTo(_point(1.0, 1.0))
    lower.lineTo(_point(0.0, 1.0))
    lower.closeSubpath()
    front = {
        "brows": _both(_BROW),
        "eyes": _both(_EYE),
        "nose": _closed(_NOSE),
        "mouth": _closed(_MOUTH),
    }
    forehead, jaw = face.intersected(upper), face.intersected(lower)
    behind = {"cheeks": face.subtracted(upper).subtracted(lower), "jaw": jaw, "forehead": forehead}
    for shape in front.values():
        behind = {name: path.subtracted(shape) for name, path in behind.items()}
    return {**behind, **front}


class FaceDiagram(QtWidgets.QWidget):
    """A face; a click on a region turns its knob, hovering names it.

    Parameters
    ----------
    regions : sequence of str
        Which of `outlines` are shown.
    is_on : callable
        Whether a region is replaced.

    Signals
    -------
    clicked(str)
        A region was clicked.
    """

    clicked = QtCore.Signal(str)

    def __init__(self, regions: Sequence[str], is_on: Callable[[str], bool]) -> None:
        super().__init__()
        known = outlines()
        self._shapes = {name: path for name, path in known.items() if name in regions}
        self._is_on = is_on
        self._hovered: str | None = None
        self.setMouseTracking(True)
        self.setAccessibleName("Regions of the face")
        self.setFixedSize(self.sizeHint())

    def sizeHint(self) -> QtCore.QSize:
        """Return a size that grows with the font."""
        line = self.fontMetrics().height()
        return QtCore.QSize(11 * line, 13 * line + line)

    def region_at(self, point: QtCore.QPointF) -> str | None:
        """Return the region under a point of the widget."""
        inverted, _ = self._placed().inverted()
        inside = inverted.map(point)
        hit = [name for name, path in self._shapes.items() if path.contains(inside)]
        return hit[-1] if hit else None

    def _placed(self) -> QtGui.QTransform:
        """Return the square's place; below it is a line for the name."""
        line = self.fontMetrics().height()
        placed = QtGui.QTransform()
        placed.translate(3.0, 3.0)
        placed.scale((self.width() - 6.0) / SIDE, (self.height() - line - 8.0) / SIDE)
        return placed

    def mouseMoveEvent(self, event: QtGui.QMouseEvent) -> None:
        """Name the region under the pointer."""
        self._hover(self.region_at(position(event)))

    def leaveEvent(self, event: QtCore.QEvent) -> None:
        """Name none."""
        self._hover(None)

    def _hover(self, region: str | None) -> None:
        if region != self._hovered:
            self._hovered = region
            hand = Qt.CursorShape.PointingHandCursor
            self.setCursor(hand if region else Qt.CursorShape.ArrowCursor)
            self.update()

    def mousePressEvent(self, event: QtGui.QMouseEvent) -> None:
        """Turn the region that is clicked."""
        region = self.region_at(position(event))
        if event.button() == Qt.MouseButton.LeftButton and region is not None:
            self.clicked.emit(region)
        else:
            event.ignore()

    def mouseDoubleClickEvent(self, event: QtGui.QMouseEvent) -> None:
        """Take a quick second click as a click."""
        self.mousePressEvent(event)

    @property
    def caption(self) -> str:
        """What is written below the face."""
        if self._hovered is None:
            return "click what to replace"
        return f"{self._hovered}: {'replaced' if self._is_on(self._hovered) else 'kept'}"

    def paintEvent(self, event: QtGui.QPaintEvent) -> None:
        """Draw the regions, those that are replaced in colour, and the name."""
        painter = QtGui.QPainter(self)
        painter.setRenderHint(QtGui.QPainter.RenderHint.Antialiasing)
        palette = self.palette()
        window, text = palette.color(Role.Window), palette.color(Role.WindowText)
        on = mixed(window, palette.color(Role.Highlight), 0.42)
        placed = self._placed()
        for name, path in self._shapes.items():
            replaced = self._is_on(name)
            fill = on if replaced else palette.color(Role.Base)
            painter.setBrush(mixed(fill, text, 0.22) if name == self._hovered else fill)
            pen = QtGui.QPen(mixed(window, text, 0.55), 1.0)
            pen.setStyle(Qt.PenStyle.SolidLine if replaced else Qt.PenStyle.DotLine)
            painter.setPen(pen)
            painter.drawPath(placed.map(path))
        painter.setPen(text if self._hovered else mixed(window, text, 0.6))
        line = self.fontMetrics().height()
        place = QtCore.QRectF(0.0, self.height() - line - 1.0, self.width(), line)
        painter.drawText(place, int(Qt.AlignmentFlag.AlignCenter), self.caption)


def _point(x: float, y: float) -> QtCore.QPointF:
    return QtCore.QPointF(x * SIDE, y * SIDE)


def _closed(corners: Corners) -> QtGui.QPainterPath:
    """Return a smooth closed outline: quadratic curves from side to side, bent to the corners."""
    middles = [
        _point((a[0] + b[0]) / 2.0, (a[1] + b[1]) / 2.0)
        for a, b in zip(corners, [*corners[1:], corners[0]])
    ]
    path = QtGui.QPainterPath(middles[-1])
    for corner, middle in zip(corners, middles):
        path.quadTo(_point(*corner), middle)
    path.closeSubpath()
    return path


def _both(corners: Corners) -> QtGui.QPainterPath:
    """Return an outline and its mirror image."""
    path = _closed(corners)
    path.addPath(_closed([(1.0 - x, y) for x, y in corners]))
    return path
