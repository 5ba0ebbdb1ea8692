"""Below the picture: the frames with what is ready of each, and the keys of a player."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from semblance_panel.controls import NumberField
from semblance_panel.qt import QtCore, QtGui, QtWidgets, position
from semblance_panel.style import AMBER, GREEN, RED, mixed
from semblance_viewer.glyphs import GlyphButton
from semblance_viewer.player import Player

__all__ = ["STATES", "TimeBar", "Timeline"]

Qt = QtCore.Qt
Role = QtGui.QPalette.ColorRole

STATES: Final[Mapping[str, QtGui.QColor]] = {
    "plate": QtGui.QColor(86, 124, 168),
    "stale": QtGui.QColor(AMBER).darker(150),
    "result": QtGui.QColor(GREEN).darker(115),
    "failed": QtGui.QColor(RED),
}
"""What the cache bar shows of a frame; one of which nothing is there is left dark."""

_STEPS: Final = (1, 2, 5, 10, 20, 25, 50, 100, 200, 250, 500, 1000, 2000, 5000, 10000)


class TimeBar(QtWidgets.QWidget):
    """A shot's frames on a line, with the cache bar below; a drag scrubs.

    Signals
    -------
    chosen(int)
        The frame under the pointer.
    """

    chosen = QtCore.Signal(int)

    def __init__(self) -> None:
        super().__init__()
        self._frames: tuple[int, ...] = ()
        self._frame = 0
        self._states: Mapping[int, str] = {}
        self.setObjectName("timebar")
        self.setAccessibleName("Frames, and what is ready of each")
        self.setMinimumWidth(160)
        self.setMouseTracking(True)
        policy = QtWidgets.QSizePolicy.Policy
        self.setSizePolicy(policy.Expanding, policy.Fixed)

    def sizeHint(self) -> QtCore.QSize:
        """Return a size that grows with the font."""
        line = self.fontMetrics().height()
        return QtCore.QSize(20 * line, 2 * line + 12)

    def show_frames(self, frames: tuple[int, ...]) -> None:
        """Take another shot's frames, sorted."""
        self._frames = frames
        self._states = {}
        self.update()

    def show_frame(self, frame: int) -> None:
        """Mark the current frame."""
        self._frame = frame
        self.update()

    def show_states(self, states: Mapping[int, str]) -> None:
        """Show what is ready of each frame, by the words of `Engine.states`."""
        if states != self._states:
            self._states = dict(states)
            self.update()

    # --- places ------------------------------------------------------------------------------

    def _area(self) -> QtCore.QRectF:
        side = 0.5 * self.fontMetrics().horizontalAdvance("00000")
        return QtCore.QRectF(side, 0.0, max(self.width() - 2.0 * side, 1.0), float(self.height()))

    def _step(self) -> float:
        """Return the width of a frame."""
        return self._area().width() / (self._frames[-1] - self._frames[0] + 1)

    def x_of(self, frame: int) -> float:
        """Return the middle of a frame, in pixels from the left; there must be frames."""
        return self._area().left() + (frame - self._frames[0] + 0.5) * self._step()

    def frame_at(self, x: float) -> int:
        """Return the frame number at a place, the nearest one beyond the ends."""
        number = self._frames[0] + int((x - self._area().left()) // self._step())
        return min(max(number, self._frames[0]), self._frames[-1])

    # --- mouse -------------------------------------------------------------------------------

    def mousePressEvent(self, event: QtGui.QMouseEvent) -> None:
        """Go to the frame under the pointer."""
        if event.button() == Qt.MouseButton.LeftButton and self._frames:
            self.chosen.emit(self.frame_at(position(event).x()))
        else:
            event.ignore()

    def mouseMoveEvent(self, event: QtGui.QMouseEvent) -> None:
        """Scrub; without a button, say what is under the pointer."""
        if not self._frames:
            return
        frame = self.frame_at(position(event).x())
        if event.buttons() & Qt.MouseButton.LeftButton:
            self.chosen.emit(frame)
        self.setToolTip(f"{frame}: {_WORDS.get(self._states.get(frame, ''), 'not read')}")

    # --- paint -------------------------------------------------------------------------------

    def paintEvent(self, event: QtGui.QPaintEvent) -> None:
        """Draw frame numbers, the cache bar, and where we are."""
        painter = QtGui.QPainter(self)
        painter.setRenderHint(QtGui.QPainter.RenderHint.Antialiasing)
        palette = self.palette()
        area, line = self._area(), self.fontMetrics().height()
        bar = QtCore.QRectF(area.left(), area.bottom() - 12.0, area.width(), 8.0)
        painter.fillRect(bar, palette.color(Role.Base))
        if not self._frames:
            return
        self._paint_states(painter, bar)
        self._paint_ticks(painter, bar, line)
        self._paint_here(painter, bar, line)

    def _paint_states(self, painter: QtGui.QPainter, bar: QtCore.QRectF) -> None:
        """Fill runs of frames of one state at once, so that no gap shows between them."""
        step = self._step()
        painter.setRenderHint(QtGui.QPainter.RenderHint.Antialiasing, False)
        begun: int | None = None
        for place, frame in enumerate(self._frames):
            state = self._states.get(frame, "")
            following = self._frames[place + 1] if place + 1 < len(self._frames) else None
            begun = frame if begun is None else begun
            if following == frame + 1 and self._states.get(following, "") == state:
                continue
            left = bar.left() + (begun - self._frames[0]) * step
            right = bar.left() + (frame - self._frames[0] + 1) * step
            if state in STATES:
                run = QtCore.QRectF(left, bar.top(), right - left, bar.height())
                painter.fillRect(run, STATES[state])
            begun = None
        painter.setRenderHint(QtGui.QPainter.RenderHint.Antialiasing)

    def _paint_ticks(self, painter: QtGui.QPainter, bar: QtCore.QRectF, line: int) -> None:
        quiet = mixed(self.palette().color(Role.Window), self.palette().color(Role.WindowText), 0.6)
        painter.setPen(quiet)
        room = self.fontMetrics().horizontalAdvance("000000") + 6.0
        step = self._step()
        every = next((each for each in _STEPS if each * step >= room), _STEPS[-1])
        first, last = self._frames[0], self._frames[-1]
        labelled = [first, *(n for n in range(first - first % every, last, every) if n > first)]
        if last != first:
            labelled.append(last)
        if len(labelled) > 2 and self.x_of(last) - self.x_of(labelled[-2]) < room:
            del labelled[-2]
        if len(labelled) > 2 and self.x_of(labelled[1]) - self.x_of(first) < room:
            del labelled[1]
        here = self.x_of(self._frame)
        for frame in labelled:
            x = self.x_of(frame)
            painter.drawLine(QtCore.QPointF(x, bar.top() - 5.0), QtCore.QPointF(x, bar.top() - 1.0))
            if abs(x - here) >= room:
                painter.drawText(_label(x, line), int(Qt.AlignmentFlag.AlignCenter), str(frame))

    def _paint_here(self, painter: QtGui.QPainter, bar: QtCore.QRectF, line: int) -> None:
        palette = self.palette()
        lively = palette.color(Role.Highlight)
        x = self.x_of(self._frame)
        width = max(self._step(), 2.0)
        painter.fillRect(QtCore.QRectF(x - 0.5 * width, bar.top(), width, bar.height()), lively)
        painter.setPen(QtGui.QPen(lively, 1.5))
        painter.drawLine(QtCore.QPointF(x, line + 2.0), QtCore.QPointF(x, bar.bottom() + 2.0))
        text = str(self._frame)
        box = _label(x, line)
        half = 0.5 * self.fontMetrics().horizontalAdvance(text) + 4.0
        box = QtCore.QRectF(x - half, box.top(), 2.0 * half, box.height())
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(lively)
        painter.drawRoundedRect(box, 2.0, 2.0)
        painter.setPen(palette.color(Role.HighlightedText))
        painter.drawText(box, int(Qt.AlignmentFlag.AlignCenter), text)


def _label(x: float, line: int) -> QtCore.QRectF:
    return QtCore.QRectF(x - 4.0 * line, 1.0, 8.0 * line, line + 1.0)


_WORDS: Final = {
    "nothing": "not read",
    "plate": "plate read",
    "stale": "rendered with other knobs",
    "result": "rendered",
    "failed": "failed",
}


class Timeline(QtWidgets.QWidget):
    """The time bar, with a player's buttons, the rate and the frame number.

    Parameters
    ----------
    player : Player
    """

    def __init__(self, player: Player) -> None:
        super().__init__()
        self.player = player
        self.bar = TimeBar()
        self.bar.chosen.connect(self._scrubbed)
        self.buttons = {
            "first": GlyphButton("first", "First frame (Home)", player.first),
            "previous": GlyphButton("previous", "One frame back (←)", lambda: player.step(-1)),
            "backward": GlyphButton("backward", "Play backward (J)", lambda: player.play(-1)),
            "stop": GlyphButton("stop", "Stop (K)", player.stop),
            "forward": GlyphButton("forward", "Play forward (L, space)", lambda: player.play(1)),
            "next": GlyphButton("next", "One frame on (→)", lambda: player.step(1)),
            "last": GlyphButton("last", "Last frame (End)", player.last),
        }
        for name in ("backward", "forward"):
            self.buttons[name].setCheckable(True)
        self.loop = GlyphButton("loop", "Play round and round")
        self.loop.setCheckable(True)
        self.loop.setChecked(player.loop)
        self.loop.toggled.connect(self._looped)
        self.number = NumberField(1.0, True)
        self.number.setAccessibleName("Frame")
        self.number.setToolTip("The frame that is shown")
        self.number.typed.connect(self._typed)
        self.number.stepped.connect(lambda by: player.go(player.frame + round(by)))
        self.rate = NumberField(1.0, False)
        self.rate.setAccessibleName("Frames per second")
        self.rate.setToolTip("Frames per second of playing; as the plate says, else 24")
        self.rate.typed.connect(self._rated)
        self.rate.stepped.connect(lambda by: self.set_rate(player.fps + by))
        for each in (self.number, self.rate):
            each.setFixedWidth(each.fontMetrics().horizontalAdvance("000000") + 14)
        line = QtWidgets.QHBoxLayout(self)
        line.setContentsMargins(8, 2, 8, 4)
        line.setSpacing(1)
        for button in (*self.buttons.values(), self.loop):
            line.addWidget(button)
        line.addSpacing(8)
        line.addWidget(self.number)
        line.addSpacing(8)
        line.addWidget(self.bar, 1)
        line.addSpacing(8)
        line.addWidget(self.rate)
        line.addSpacing(4)
        line.addWidget(QtWidgets.QLabel("fps"))
        player.state_changed.connect(self._playing)
        self.set_rate(player.fps)

    def open(self, frames: tuple[int, ...], frame: int) -> None:
        """Show another shot."""
        self.bar.show_frames(frames)
        self.show_frame(frame)

    def show_frame(self, frame: int) -> None:
        """Show where we are."""
        self.bar.show_frame(frame)
        self.number.show_value(frame)

    def set_rate(self, fps: float) -> None:
        """Play so many frames a second from now on; held to 1..240."""
        self.player.fps = min(max(fps, 1.0), 240.0)
        self.rate.show_value(self.player.fps)

    def _scrubbed(self, frame: int) -> None:
        self.player.stop()
        self.player.go(frame)

    def _typed(self, text: str) -> None:
        number = _number(text)
        if number is not None:
            self._scrubbed(round(number))
        self.number.show_value(self.player.frame)
        self.number.clearFocus()

    def _rated(self, text: str) -> None:
        number = _number(text)
        self.set_rate(self.player.fps if number is None else number)
        self.rate.clearFocus()

    def _looped(self, on: bool) -> None:
        self.player.loop = on

    def _playing(self) -> None:
        self.buttons["backward"].setChecked(self.player.direction < 0)
        self.buttons["forward"].setChecked(self.player.direction > 0)


def _number(text: str) -> float | None:
    try:
        return float(text.strip().replace(",", "."))
    except ValueError:
        return None
