"""The curve of a track: how surely the face was found in each frame, and where it was lost."""

from __future__ import annotations

from itertools import groupby
from typing import Final

from semblance.errors import TrackError
from semblance_panel.qt import QtCore, QtGui, QtWidgets, position
from semblance_panel.scores import Scores, read_scores
from semblance_panel.style import GREEN, RED, mixed

__all__ = ["ScoreCurve"]

Qt = QtCore.Qt
Role = QtGui.QPalette.ColorRole

_NO_TRACK: Final = "No track file: the face is found on the way."


class ScoreCurve(QtWidgets.QWidget):
    """Scores over frames; lost frames stand out, hovering reads a frame off.

    Signals
    -------
    frame_chosen(int)
        A frame was clicked; who has a time line may go there.
    """

    frame_chosen = QtCore.Signal(int)

    def __init__(self) -> None:
        super().__init__()
        self.scores: Scores | None = None
        self.message = _NO_TRACK
        self._frame: int | None = None
        self._hovered: int | None = None
        self.setMouseTracking(True)
        self.setAccessibleName("Scores of the track")
        policy = QtWidgets.QSizePolicy.Policy
        self.setSizePolicy(policy.Expanding, policy.Fixed)

    def sizeHint(self) -> QtCore.QSize:
        """Return a size that grows with the font."""
        line = self.fontMetrics().height()
        return QtCore.QSize(22 * line, 9 * line)

    def show_track(self, path: str, face: int) -> None:
        """Read a track file and draw it; what is wrong with it is written instead."""
        self._hovered = None
        self.scores = None
        self.message = _NO_TRACK
        if path:
            try:
                self.scores = read_scores(path, face)
            except TrackError as error:
                self.message = str(error)
        self.update()

    def show_frame(self, frame: int) -> None:
        """Mark the current frame."""
        self._frame = frame
        self.update()

    @property
    def caption(self) -> str:
        """What is written above the curve."""
        if self.scores is None:
            return ""
        if self._hovered is not None:
            score = self.scores.scores.get(self._hovered)
            return f"frame {self._hovered}: {'lost' if score is None else f'{score:.2f}'}"
        lost = self.scores.lost
        frames = f"{len(self.scores.frames)} frames"
        return f"{frames}, lost: {_ranges(lost)}" if lost else f"{frames}, none lost"

    # --- places ----------------------------------------------------------------------------

    def _area(self) -> QtCore.QRectF:
        line = self.fontMetrics().height()
        left = self.fontMetrics().horizontalAdvance("0.0") + 8.0
        return QtCore.QRectF(
            left, line + 6.0, self.width() - left - 8.0, self.height() - 2.0 * line - 14.0
        )

    def _step(self, frames: tuple[int, ...]) -> float:
        """Return the width of a frame."""
        return self._area().width() / (frames[-1] - frames[0] + 1)

    def x_of(self, frame: int) -> float:
        """Return the middle of a frame, in pixels from the left; there must be scores."""
        assert self.scores is not None
        frames = self.scores.frames
        return self._area().left() + (frame - frames[0] + 0.5) * self._step(frames)

    def frame_at(self, x: float) -> int | None:
        """Return the frame at a place, or None where none is."""
        if self.scores is None or not self.scores.frames:
            return None
        frames = self.scores.frames
        area = self._area()
        if not area.left() <= x < area.right():
            return None
        frame = frames[0] + int((x - area.left()) / self._step(frames))
        return frame if frame in frames else None

    # --- mouse -----------------------------------------------------------------------------

    def mouseMoveEvent(self, event: QtGui.QMouseEvent) -> None:
        """Read off the frame under the pointer."""
        self._hovered = self.frame_at(position(event).x())
        self.update()

    def leaveEvent(self, event: QtCore.QEvent) -> None:
        """Show the whole shot's figures again."""
        self._hovered = None
        self.update()

    def mousePressEvent(self, event: QtGui.QMouseEvent) -> None:
        """Choose the frame that is clicked."""
        frame = self.frame_at(position(event).x())
        if event.button() == Qt.MouseButton.LeftButton and frame is not None:
            self.frame_chosen.emit(frame)
        else:
            event.ignore()

    # --- paint -----------------------------------------------------------------------------

    def paintEvent(self, event: QtGui.QPaintEvent) -> None:
        """Draw the curve, or what there is to say instead."""
        painter = QtGui.QPainter(self)
        painter.setRenderHint(QtGui.QPainter.RenderHint.Antialiasing)
        palette = self.palette()
        text = mixed(palette.color(Role.Window), palette.color(Role.WindowText), 0.75)
        area = self._area()
        if self.scores is None or not self.scores.frames:
            painter.fillRect(QtCore.QRectF(self.rect()), palette.color(Role.Base))
            painter.setPen(text)
            inside = QtCore.QRectF(self.rect()).adjusted(12.0, 8.0, -12.0, -8.0)
            flags = int(Qt.AlignmentFlag.AlignCenter) | int(Qt.TextFlag.TextWordWrap)
            painter.drawText(inside, flags, self.message)
            return
        painter.fillRect(area, palette.color(Role.Base))
        self._paint_axes(painter, area, text)
        self._paint_frames(painter, area, self.scores)

    def _paint_axes(self, painter: QtGui.QPainter, area: QtCore.QRectF, text: QtGui.QColor) -> None:
        assert self.scores is not None
        line = self.fontMetrics().height()
        grid = mixed(self.palette().color(Role.Base), self.palette().color(Role.WindowText), 0.18)
        right = int(Qt.AlignmentFlag.AlignRight) | int(Qt.AlignmentFlag.AlignVCenter)
        for level in (0.0, 0.5, 1.0):
            y = area.bottom() - level * area.height()
            painter.setPen(grid)
            painter.drawLine(QtCore.QPointF(area.left(), y), QtCore.QPointF(area.right(), y))
            painter.setPen(text)
            place = QtCore.QRectF(0.0, y - line / 2.0, area.left() - 4.0, line)
            painter.drawText(place, right, f"{level:g}")
        below = QtCore.QRectF(area.left(), area.bottom() + 3.0, area.width(), line)
        frames = self.scores.frames
        painter.drawText(below, int(Qt.AlignmentFlag.AlignLeft), str(frames[0]))
        painter.drawText(below, int(Qt.AlignmentFlag.AlignRight), str(frames[-1]))
        above = QtCore.QRectF(area.left(), 1.0, area.width(), line)
        painter.drawText(above, int(Qt.AlignmentFlag.AlignLeft), self.caption)

    def _paint_frames(self, painter: QtGui.QPainter, area: QtCore.QRectF, scores: Scores) -> None:
        step = max(self._step(scores.frames), 1.0)
        faint = QtGui.QColor(RED)
        faint.setAlphaF(0.4)
        for frame in scores.lost:
            bar = QtCore.QRectF(self.x_of(frame) - step / 2.0, area.top(), step, area.height())
            painter.fillRect(bar, faint)
        marked = self._hovered if self._hovered is not None else self._frame
        if marked is not None and scores.frames[0] <= marked <= scores.frames[-1]:
            painter.setPen(QtGui.QPen(self.palette().color(Role.Highlight), 1.0))
            x = self.x_of(marked)
            painter.drawLine(QtCore.QPointF(x, area.top()), QtCore.QPointF(x, area.bottom()))
        painter.setPen(QtGui.QPen(GREEN, 1.6))
        for run in _runs(tuple(scores.scores)):
            points = [
                QtCore.QPointF(
                    self.x_of(frame), area.bottom() - scores.scores[frame] * area.height()
                )
                for frame in run
            ]
            painter.drawPolyline(points)
            if step > 6.0 or len(points) == 1:
                painter.setBrush(GREEN)
                for point in points:
                    painter.drawEllipse(point, 1.6, 1.6)


def _runs(frames: tuple[int, ...]) -> list[list[int]]:
    """Return frames that follow each other, together."""
    grouped = groupby(enumerate(frames), key=lambda pair: pair[1] - pair[0])
    return [[frame for _, frame in run] for _, run in grouped]


def _ranges(frames: tuple[int, ...]) -> str:
    """Return frames as people write them: 1004–1006, 1011."""
    runs = [str(run[0]) if len(run) == 1 else f"{run[0]}–{run[-1]}" for run in _runs(frames)]
    return ", ".join(runs[:4]) + (f" and {len(runs) - 4} more" if len(runs) > 4 else "")
