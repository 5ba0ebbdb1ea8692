"""Buttons whose signs are drawn: no font has them all, and a drawn one is sharp at any scale."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from semblance_panel.qt import QtCore, QtGui, QtWidgets

__all__ = ["GLYPHS", "GlyphButton"]

Qt = QtCore.Qt
Role = QtGui.QPalette.ColorRole
Path = QtGui.QPainterPath


class GlyphButton(QtWidgets.QToolButton):
    """A button with a sign.

    Parameters
    ----------
    glyph : str
        One of `GLYPHS`.
    tip : str
        What it does, and its key.
    act : callable, optional
        Called at a click.
    """

    def __init__(self, glyph: str, tip: str, act: Callable[[], None] | None = None) -> None:
        super().__init__()
        self.glyph = glyph
        self.setObjectName(glyph)
        self.setToolTip(tip)
        self.setAccessibleName(tip)
        self.setAutoRaise(True)
        self.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        if act is not None:
            self.clicked.connect(lambda: act())

    def sizeHint(self) -> QtCore.QSize:
        """Return a square that grows with the font."""
        side = self.fontMetrics().height() + 10
        return QtCore.QSize(side, side)

    def minimumSizeHint(self) -> QtCore.QSize:
        """Return the same square."""
        return self.sizeHint()

    def paintEvent(self, event: QtGui.QPaintEvent) -> None:
        """Draw the button without a text, and the sign on it."""
        option = QtWidgets.QStyleOptionToolButton()
        self.initStyleOption(option)
        option.text = ""
        style = QtWidgets.QStylePainter(self)
        style.drawComplexControl(QtWidgets.QStyle.ComplexControl.CC_ToolButton, option)
        side = 0.5 * min(self.width(), self.height())
        style.setRenderHint(QtGui.QPainter.RenderHint.Antialiasing)
        style.translate(0.5 * self.width(), 0.5 * self.height())
        style.scale(side, side)
        lively = self.isChecked() and self.isEnabled()
        group = QtGui.QPalette.ColorGroup.Normal
        group = group if self.isEnabled() else QtGui.QPalette.ColorGroup.Disabled
        colour = self.palette().color(group, Role.Highlight if lively else Role.ButtonText)
        GLYPHS[self.glyph](style, colour)
        style.end()


def _triangle(left: float, right: float) -> Path:
    path = Path(QtCore.QPointF(left, -0.5))
    path.lineTo(right, 0.0)
    path.lineTo(left, 0.5)
    path.closeSubpath()
    return path


def _bar(x: float) -> Path:
    path = Path()
    path.addRect(QtCore.QRectF(x - 0.07, -0.5, 0.14, 1.0))
    return path


def _filled(*paths: Path) -> Callable[[QtGui.QPainter, QtGui.QColor], None]:
    def draw(painter: QtGui.QPainter, colour: QtGui.QColor) -> None:
        for path in paths:
            painter.fillPath(path, colour)

    return draw


def _square() -> Path:
    path = Path()
    path.addRect(QtCore.QRectF(-0.38, -0.38, 0.76, 0.76))
    return path


def _loop(painter: QtGui.QPainter, colour: QtGui.QColor) -> None:
    painter.setPen(QtGui.QPen(colour, 0.14))
    painter.setBrush(Qt.BrushStyle.NoBrush)
    painter.drawArc(QtCore.QRectF(-0.44, -0.44, 0.88, 0.88), 60 * 16, 300 * 16)
    head = Path(QtCore.QPointF(0.12, -0.72))
    head.lineTo(0.56, -0.44)
    head.lineTo(0.1, -0.14)
    head.closeSubpath()
    painter.fillPath(head, colour)


GLYPHS: Final[Mapping[str, Callable[[QtGui.QPainter, QtGui.QColor], None]]] = {
    "first": _filled(_bar(-0.48), _triangle(0.5, -0.32)),
    "previous": _filled(_bar(0.34), _triangle(0.18, -0.5)),
    "backward": _filled(_triangle(0.42, -0.46)),
    "stop": _filled(_square()),
    "forward": _filled(_triangle(-0.42, 0.46)),
    "next": _filled(_bar(-0.34), _triangle(-0.18, 0.5)),
    "last": _filled(_bar(0.48), _triangle(-0.5, 0.32)),
    "loop": _loop,
}
