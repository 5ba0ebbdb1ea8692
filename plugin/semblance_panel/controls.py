"""The parts that Qt has no widget for: a slider and a field for float numbers, as Nuke has them.

Both report what they are asked to become and hold nothing themselves: who listens decides, and
calls `show_value`. Ctrl makes every way of moving ten times finer, Shift ten times coarser. The
wheel moves a control only while it has the keyboard's focus, so that scrolling a page over it
changes nothing.
"""

from __future__ import annotations

import math

from semblance_panel.qt import QtCore, QtGui, QtWidgets, position
from semblance_panel.style import mixed

__all__ = ["Choice", "NumberField", "Slider", "step_of", "written"]

Qt = QtCore.Qt
Role = QtGui.QPalette.ColorRole

_WHEEL_NOTCH = 120.0


def step_of(slider: tuple[float, float], whole: bool) -> float:
    """Return by how much one key press or notch of the wheel moves a number.

    A power of ten of about a hundredth of the slider; 1 for whole numbers.
    """
    if whole:
        return 1.0
    return 10.0 ** math.floor(math.log10(slider[1] - slider[0]) - 1.6)


def written(value: float) -> str:
    """Return a number as a field shows it: all that a drag can set, and no float noise."""
    return f"{value:.6g}"


def _factor(modifiers: Qt.KeyboardModifier) -> float:
    if modifiers & Qt.KeyboardModifier.ControlModifier:
        return 0.1
    return 10.0 if modifiers & Qt.KeyboardModifier.ShiftModifier else 1.0


class _Wheel:
    """Whole notches of a wheel, gathered from what fine wheels send."""

    def __init__(self) -> None:
        self._rest = 0.0

    def notches(self, event: QtGui.QWheelEvent) -> int:
        # Some systems turn the wheel sideways while a modifier is down.
        turned = event.angleDelta().y() or event.angleDelta().x()
        self._rest += turned / _WHEEL_NOTCH
        whole = math.trunc(self._rest)
        self._rest -= whole
        return whole


class Slider(QtWidgets.QWidget):
    """A slider for a float or a whole number, with a mark at the default.

    Parameters
    ----------
    span : (float, float)
        What it spans; a value beyond it is drawn at its end.
    default : float
        Where the mark is.
    whole : bool
        Whether only whole numbers can be set.

    Signals
    -------
    pressed(), dragged(float)
        A drag begins; it asks for another value.
    stepped(float)
        A key or the wheel asks for another value.
    reset()
        The default is asked for.
    """

    pressed = QtCore.Signal()
    dragged = QtCore.Signal(float)
    stepped = QtCore.Signal(float)
    reset = QtCore.Signal()

    def __init__(self, span: tuple[float, float], default: float, whole: bool) -> None:
        super().__init__()
        self._span = span
        self._default = default
        self._whole = whole
        self._value = default
        self._dragged: tuple[float, float] | None = None
        self._wheel = _Wheel()
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        policy = QtWidgets.QSizePolicy.Policy
        self.setSizePolicy(policy.Expanding, policy.Fixed)

    def show_value(self, value: float) -> None:
        """Show a value; nothing is reported."""
        if value != self._value:
            self._value = value
            self.update()

    def sizeHint(self) -> QtCore.QSize:
        """Return a size that has room for a hand, at any font."""
        line = self.fontMetrics().height()
        return QtCore.QSize(11 * line, line + 8)

    def minimumSizeHint(self) -> QtCore.QSize:
        """Return the least size at which a drag still makes sense."""
        line = self.fontMetrics().height()
        return QtCore.QSize(4 * line, line + 8)

    # --- places ----------------------------------------------------------------------------

    def x_of(self, value: float) -> float:
        """Return where a value lies, in pixels from the left."""
        low, high = self._span
        share = min(max((value - low) / (high - low), 0.0), 1.0)
        return self._margin() + share * (self.width() - 2.0 * self._margin())

    def _margin(self) -> float:
        return 0.45 * self.fontMetrics().height()

    def _per_pixel(self) -> float:
        return (self._span[1] - self._span[0]) / max(self.width() - 2.0 * self._margin(), 1.0)

    def _at(self, x: float) -> float:
        return self._span[0] + (x - self._margin()) * self._per_pixel()

    def _inside(self, value: float, grain: float) -> float:
        """Return a value inside the slider, rounded to what the way of moving can hit."""
        grain = 1.0 if self._whole else grain
        value = round(round(value / grain) * grain, 9)  # no float noise in a preset
        return min(max(value, self._span[0]), self._span[1])

    # --- mouse -----------------------------------------------------------------------------

    def mousePressEvent(self, event: QtGui.QMouseEvent) -> None:
        """Begin a drag; without a modifier the handle jumps to the pointer."""
        if event.button() != Qt.MouseButton.LeftButton:
            event.ignore()
            return
        self.pressed.emit()
        x = position(event).x()
        if _factor(event.modifiers()) == 1.0:
            self.dragged.emit(self._inside(self._at(x), self._grain()))
        self._dragged = (x, self._value)

    def mouseMoveEvent(self, event: QtGui.QMouseEvent) -> None:
        """Move the value with the pointer, finer or coarser with a modifier."""
        if self._dragged is None:
            return
        last, start = self._dragged
        x, factor = position(event).x(), _factor(event.modifiers())
        by = (x - last) * self._per_pixel() * factor
        value = self._at(x) if factor == 1.0 else start + by
        self._dragged = (x, value)
        self.dragged.emit(self._inside(value, self._grain() * min(factor, 1.0)))

    def mouseReleaseEvent(self, event: QtGui.QMouseEvent) -> None:
        """End the drag."""
        self._dragged = None

    def mouseDoubleClickEvent(self, event: QtGui.QMouseEvent) -> None:
        """Ask for the default."""
        self._dragged = None
        self.reset.emit()

    def _grain(self) -> float:
        return step_of(self._span, self._whole) / 10.0

    # --- keys and wheel --------------------------------------------------------------------

    def keyPressEvent(self, event: QtGui.QKeyEvent) -> None:
        """Move by a step; Home and End are the slider's ends."""
        key = Qt.Key
        ends = {key.Key_Home: self._span[0], key.Key_End: self._span[1]}
        steps = {
            key.Key_Left: -1.0,
            key.Key_Down: -1.0,
            key.Key_Right: 1.0,
            key.Key_Up: 1.0,
            key.Key_PageDown: -10.0,
            key.Key_PageUp: 10.0,
        }
        if event.key() in ends:
            self.stepped.emit(ends[Qt.Key(event.key())])
        elif event.key() in steps:
            self._step(steps[Qt.Key(event.key())], _factor(event.modifiers()))
        else:
            event.ignore()

    def wheelEvent(self, event: QtGui.QWheelEvent) -> None:
        """Move by a step a notch while focused; else leave the wheel to the page."""
        if not self.hasFocus():
            event.ignore()
            return
        notches = self._wheel.notches(event)
        if notches:
            self._step(float(notches), _factor(event.modifiers()))
        event.accept()

    def _step(self, count: float, factor: float) -> None:
        step = step_of(self._span, self._whole) * (max(factor, 1.0) if self._whole else factor)
        grain = self._grain() * min(factor, 1.0)
        self.stepped.emit(self._inside(self._value + count * step, grain))

    # --- paint -----------------------------------------------------------------------------

    def paintEvent(self, event: QtGui.QPaintEvent) -> None:
        """Draw groove, value, the default's mark and the handle."""
        painter = QtGui.QPainter(self)
        painter.setRenderHint(QtGui.QPainter.RenderHint.Antialiasing)
        palette = self.palette()
        middle, left, right = self.height() / 2.0, self._margin(), self.width() - self._margin()
        here, mark = self.x_of(self._value), self.x_of(self._default)
        quiet = mixed(palette.color(Role.Window), palette.color(Role.WindowText), 0.45)
        painter.setPen(QtGui.QPen(quiet, 1.0))
        painter.drawLine(QtCore.QPointF(mark, middle - 7.5), QtCore.QPointF(mark, middle + 7.5))
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(palette.color(Role.Base))
        painter.drawRoundedRect(QtCore.QRectF(left, middle - 2.0, right - left, 4.0), 2.0, 2.0)
        filled = QtCore.QRectF(min(mark, here), middle - 2.0, abs(here - mark), 4.0)
        lively = palette.color(Role.Highlight) if self.isEnabled() else quiet
        painter.setBrush(lively)
        painter.drawRoundedRect(filled, 2.0, 2.0)
        grip = mixed(palette.color(Role.Button), palette.color(Role.WindowText), 0.55)
        painter.setBrush(grip if self.isEnabled() else mixed(grip, palette.color(Role.Window), 0.6))
        edge = lively if self.hasFocus() else palette.color(Role.Shadow)
        painter.setPen(QtGui.QPen(edge, 1.5 if self.hasFocus() else 1.0))
        painter.drawRoundedRect(QtCore.QRectF(here - 4.0, middle - 7.5, 8.0, 15.0), 2.5, 2.5)

    def focusInEvent(self, event: QtGui.QFocusEvent) -> None:
        """Show that keys and wheel move it now."""
        self.update()

    def focusOutEvent(self, event: QtGui.QFocusEvent) -> None:
        """Show that they no longer do."""
        self.update()


class NumberField(QtWidgets.QLineEdit):
    """A field for a number: typed, or moved by arrow keys and the wheel.

    Signals
    -------
    typed(str)
        A text was entered that differs from what is shown.
    stepped(float)
        Move by so much, which may leave the slider's span.
    """

    typed = QtCore.Signal(str)
    stepped = QtCore.Signal(float)

    def __init__(self, step: float, whole: bool) -> None:
        super().__init__()
        self._step = step
        self._whole = whole
        self._shown = ""
        self._wheel = _Wheel()
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setFixedWidth(self.fontMetrics().horizontalAdvance("−000.0000") + 12)
        self.editingFinished.connect(self._enter)

    def show_value(self, value: float) -> None:
        """Show a value; nothing is reported."""
        self._shown = written(value)
        self.setText(self._shown)
        self.setCursorPosition(0)

    def _enter(self) -> None:
        if self.text() != self._shown:
            self.typed.emit(self.text())

    def keyPressEvent(self, event: QtGui.QKeyEvent) -> None:
        """Step by the arrow keys; Escape takes back what was typed."""
        key = Qt.Key
        if event.key() in (key.Key_Up, key.Key_Down) and not self.isReadOnly():
            self._enter()
            self._move(1.0 if event.key() == key.Key_Up else -1.0, event.modifiers())
        elif event.key() == key.Key_Escape and self.text() != self._shown:
            self.setText(self._shown)
        else:
            super().keyPressEvent(event)

    def wheelEvent(self, event: QtGui.QWheelEvent) -> None:
        """Step while focused; else leave the wheel to the page."""
        if not self.hasFocus() or self.isReadOnly():
            event.ignore()
            return
        notches = self._wheel.notches(event)
        if notches:
            self._move(float(notches), event.modifiers())
        event.accept()

    def _move(self, count: float, modifiers: Qt.KeyboardModifier) -> None:
        factor = _factor(modifiers)
        self.stepped.emit(count * self._step * (max(factor, 1.0) if self._whole else factor))


class Choice(QtWidgets.QComboBox):
    """A drop-down that the wheel moves only while it is focused."""

    def __init__(self) -> None:
        super().__init__()
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)

    def wheelEvent(self, event: QtGui.QWheelEvent) -> None:
        """Step while focused; else leave the wheel to the page."""
        if self.hasFocus():
            super().wheelEvent(event)
        else:
            event.ignore()
