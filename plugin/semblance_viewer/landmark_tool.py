"""Nudging landmarks over the picture: one, some, or the whole face, at a frame.

What is moved becomes a hand key of the track (`semblance.track.hand`) and is in the track file at
once, so that the worker renders with it; writing and smoothing happen in a thread of their own.

| hand | does |
| --- | --- |
| drag a landmark | moves it, and those that are chosen with it |
| Shift and click a landmark | chooses it too |
| drag inside the face | moves the whole face |
| arrows | the chosen landmarks by a pixel (Shift: ten, Alt: a tenth) |
| Delete, Backspace | takes out the frame's hand key |
| Escape | leaves the choice |
| Ctrl+Z, Ctrl+Shift+Z | undo, redo |

Where the face was lost, that of the nearest frame is shown in grey: dragged into place as a whole
it stands there.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

from semblance.errors import TrackError
from semblance.face import HandKey, Track
from semblance.track.file import load_track, save_hand
from semblance.track.hand import freed, moved
from semblance.track.smooth import smooth
from semblance_panel.qt import QtCore, QtGui, QtWidgets, position
from semblance_panel.style import AMBER, GREEN, WHITE
from semblance_viewer.history import History, Writer
from semblance_viewer.tool_options import LandmarkOptions

if TYPE_CHECKING:
    from semblance_viewer.canvas import Canvas

__all__ = ["LandmarkTool"]

Qt = QtCore.Qt
Points = NDArray[np.float64]

_NEAR: Final = 7.0
"""Widget pixels within which a landmark is meant."""

_GREY = QtGui.QColor(170, 170, 170)
_ALL: Final = frozenset(range(68))
_LINES: Final = (
    (range(17), False), (range(17, 22), False), (range(22, 27), False), (range(27, 31), False),
    (range(31, 36), False), (range(36, 42), True), (range(42, 48), True), (range(48, 60), True),
    (range(60, 68), True),
)  # fmt: skip
"""Landmarks that are joined by a line, and whether it is closed."""

_ARROWS: Final = {
    Qt.Key.Key_Left: (-1.0, 0.0),
    Qt.Key.Key_Right: (1.0, 0.0),
    Qt.Key.Key_Up: (0.0, -1.0),
    Qt.Key.Key_Down: (0.0, 1.0),
}


class LandmarkTool(QtCore.QObject):
    """Mends a face of one track file by hand. For the canvas' `set_tool`.

    Parameters
    ----------
    path : Path
        The track file; when it was tracked again, make another tool.
    face : int
        The number of the face in it.
    frame : int
        The frame that is shown.
    smoothing : callable
        Gives the value of the knob of this name.
    parent : QObject, optional

    Signals
    -------
    changed()
        The file was written.
    failed(str)
        It could not be, and why.
    edited()
        What is shown, chosen or to be undone is another: for buttons; the canvas repaints itself.

    Raises
    ------
    TrackError
        There is no such track, or it is a table, which holds no hand keys.
    """

    changed = QtCore.Signal()
    failed = QtCore.Signal(str)
    edited = QtCore.Signal()
    _smoothed = QtCore.Signal(object, object)

    def __init__(
        self,
        path: Path,
        face: int,
        frame: int,
        smoothing: Callable[[], float],
        parent: QtCore.QObject | None = None,
    ) -> None:
        super().__init__(parent)
        self.path, self.face = Path(path), face
        if str(path) in ("", "."):
            raise TrackError(
                "there is no track whose landmarks could be moved", "Track the plate first."
            )
        if self.path.suffix.lower() != ".json":
            raise TrackError(
                f"{path} is another program's track, which holds no hand keys",
                "Convert it first: semblance convert-track FILE track.json.",
            )
        self._history = History(load_track(self.path, face))
        self._smoothing = smoothing
        self._frame = frame
        self._shown: Track | None = None  # smoothed, with the keys, as of some moment
        self._put: dict[int, Points] = {}  # what was moved since, by frame
        self._points: frozenset[int] = frozenset()
        self._grip: frozenset[int] | None = None
        self._last = (0.0, 0.0)
        self._moving: Points | None = None
        self._blend = HandKey.blend
        self._canvas: Canvas | None = None
        self._writer = Writer(self._written)
        self._smoother = Writer(lambda why: None)
        self._smoothed.connect(self._take)
        self.refresh()

    # --- what is there ---------------------------------------------------------------------

    @property
    def track(self) -> Track:
        """The track as it is found, with the hand keys as they are now."""
        return self._history.now

    @property
    def chosen_points(self) -> frozenset[int]:
        """The landmarks that are worked on."""
        return self._points

    @property
    def blend(self) -> int:
        """Frames over which the next key, or that of the frame, comes in."""
        key = self.track.hand.get(self._frame)
        return self._blend if key is None else key.blend

    @property
    def has_key(self) -> bool:
        """Whether the frame has a hand key."""
        return self._frame in self.track.hand

    @property
    def can_undo(self) -> bool:
        """Whether there is a step to take back."""
        return self._history.can_undo

    @property
    def can_redo(self) -> bool:
        """Whether there is an undone step."""
        return self._history.can_redo

    def landmarks(self) -> Points | None:
        """Return the landmarks of the frame as a render has them; None where there is no face."""
        if self._moving is not None:
            return self._moving
        if self._frame in self._put:
            return self._put[self._frame]
        face = None if self._shown is None else self._shown.faces.get(self._frame)
        return None if face is None else face.landmarks

    # --- what can be done ------------------------------------------------------------------

    def move_points(
        self, points: Mapping[int, tuple[float, float]], gesture: object = None
    ) -> None:
        """Put landmarks of the frame where they belong, as a hand key."""
        self._do(moved(self.track, self._frame, points, self.blend), gesture)

    def remove_key(self) -> None:
        """Take out the hand key of the frame."""
        if self.has_key:
            self._put.pop(self._frame, None)
            self._do(freed(self.track, self._frame))

    def set_blend(self, frames: int) -> None:
        """Let the frame's key, and the next ones, come in over so many frames."""
        self._blend = frames
        if self.has_key and self.track.hand[self._frame].blend != frames:
            self._do(moved(self.track, self._frame, {}, frames))

    def undo(self) -> None:
        """Take the last step back."""
        if self._history.undo():
            self._after_a_step()

    def redo(self) -> None:
        """Do the last undone step again."""
        if self._history.redo():
            self._after_a_step()

    def refresh(self) -> None:
        """Smooth anew, because the knob has moved."""
        track, sigma = self.track, self._smoothing()
        self._smoother.put(lambda: self._smoothed.emit(track, smooth(track, sigma)))

    def flush(self) -> bool:
        """Wait until the file holds what was done; return whether it does."""
        return self._writer.flush() and self._smoother.flush()

    def close(self) -> None:
        """Finish writing and end the threads."""
        self._writer.close()
        self._smoother.close()

    def options(self) -> QtWidgets.QWidget:
        """Return a bar with what can be set."""
        return LandmarkOptions(self)

    # --- the canvas' protocol --------------------------------------------------------------

    def frame_changed(self, frame: int) -> None:
        """Show the face of another frame."""
        self._frame = frame
        self._grip = self._moving = None
        self._repaint()

    def press(self, event: QtGui.QMouseEvent, canvas: Canvas) -> bool:
        """Take hold of a landmark or of the face."""
        self._canvas = canvas
        if event.button() != Qt.MouseButton.LeftButton:
            return False
        there, lost = self._seen()
        if there is None:
            return False
        at = position(event)
        index = None if lost else _under(canvas, there, at)
        here = canvas.to_plate(at)
        if index is not None:
            if event.modifiers() & Qt.KeyboardModifier.ShiftModifier:
                self._points = self._points ^ {index}
                self._repaint()
                return True
            if index not in self._points:
                self._points = frozenset({index})
            self._grip = self._points
        elif _inside(there, here.x(), here.y()):
            self._points = frozenset()
            self._grip = _ALL
        else:
            self._points = frozenset()
            self._repaint()
            return False
        self._last = here.x(), here.y()
        self._repaint()
        return True

    def move(self, event: QtGui.QMouseEvent, canvas: Canvas) -> bool:
        """Move what is held; it is written when it is let go."""
        if self._grip is None or not event.buttons() & Qt.MouseButton.LeftButton:
            return False
        there, _ = self._seen()
        if there is None:
            return False
        here = canvas.to_plate(position(event))
        self._moving = _shifted(
            there, self._grip, here.x() - self._last[0], here.y() - self._last[1]
        )
        self._last = here.x(), here.y()
        self._repaint()
        return True

    def release(self, event: QtGui.QMouseEvent, canvas: Canvas) -> bool:
        """Let go, and keep it."""
        held, self._grip = self._grip, None
        there, self._moving = self._moving, None
        if held is not None and there is not None:
            self._keep(there, held)
        return held is not None

    def double_click(self, event: QtGui.QMouseEvent, canvas: Canvas) -> bool:
        """Take a double click as the second press of two."""
        return self.press(event, canvas)

    def key(self, event: QtGui.QKeyEvent, canvas: Canvas) -> bool:
        """Do what a key of the table above says."""
        self._canvas = canvas
        pressed, keys = event.key(), event.modifiers()
        shift = bool(keys & Qt.KeyboardModifier.ShiftModifier)
        if keys & Qt.KeyboardModifier.ControlModifier:
            if pressed != Qt.Key.Key_Z:
                return False
            (self.redo if shift else self.undo)()
        elif pressed in (Qt.Key.Key_Delete, Qt.Key.Key_Backspace):
            self.remove_key()
        elif pressed == Qt.Key.Key_Escape and self._points:
            self._points = frozenset()
            self._repaint()
        elif pressed in _ARROWS and self._points:
            there, _ = self._seen()
            if there is None:
                return False
            fine = bool(keys & Qt.KeyboardModifier.AltModifier)
            far = 10.0 if shift else 0.1 if fine else 1.0
            x, y = _ARROWS[Qt.Key(pressed)]
            self._keep(_shifted(there, self._points, far * x, far * y), self._points)
        else:
            return False
        return True

    def paint(self, painter: QtGui.QPainter, canvas: Canvas) -> None:
        """Draw the face of the frame."""
        self._canvas = canvas
        there, lost = self._seen()
        if there is None:
            return
        key = self.track.hand.get(self._frame)
        by_hand = frozenset() if key is None else frozenset(key.points)
        one = canvas.to_widget(QtCore.QPointF(0.0, 0.0))
        other = canvas.to_widget(QtCore.QPointF(1000.0, 1000.0))
        by = np.array((other.x() - one.x(), other.y() - one.y())) / 1000.0
        here = [QtCore.QPointF(x, y) for x, y in (there * by + (one.x(), one.y())).tolist()]
        painter.save()
        painter.setRenderHint(QtGui.QPainter.RenderHint.Antialiasing)
        line = QtGui.QColor(_GREY if lost else GREEN)
        line.setAlpha(110)
        painter.setPen(QtGui.QPen(line, 1.0))
        painter.setBrush(Qt.BrushStyle.NoBrush)
        for indices, closed in _LINES:
            polygon = QtGui.QPolygonF([here[index] for index in indices])
            (painter.drawPolygon if closed else painter.drawPolyline)(polygon)
        for index, place in enumerate(here):
            colour = _GREY if lost else AMBER if index in by_hand else GREEN
            painter.setBrush(colour)
            chosen = index in self._points
            painter.setPen(QtGui.QPen(WHITE if chosen else QtGui.QColor(0, 0, 0), 1.0))
            radius = 4.0 if chosen else 3.0
            painter.drawEllipse(place, radius, radius)
        painter.restore()

    # --- inside ----------------------------------------------------------------------------

    def _seen(self) -> tuple[Points | None, bool]:
        """Return the landmarks to show, and whether they are another frame's."""
        there = self.landmarks()
        if there is not None or self._shown is None or not self._shown.faces:
            return there, False
        near = min(self._shown.faces, key=lambda frame: abs(frame - self._frame))
        return self._shown.faces[near].landmarks, True

    def _keep(self, there: Points, which: frozenset[int]) -> None:
        lost = self.landmarks() is None
        which = _ALL if lost else which
        self._put[self._frame] = there
        self.move_points({index: (float(x), float(y)) for index, (x, y) in enumerate(there.tolist())
                          if index in which})  # fmt: skip

    def _do(self, track: Track, gesture: object = None) -> None:
        self._history.do(track, gesture)
        self._save()

    def _after_a_step(self) -> None:
        self._put.clear()
        self._save()

    def _save(self) -> None:
        track, path, face = self.track, self.path, self.face
        self._writer.put(lambda: save_hand(track, path, face=face))
        self.refresh()
        self._repaint()

    def _written(self, why: str) -> None:
        if why:
            self.failed.emit(why)
        else:
            self.changed.emit()

    def _take(self, made_of: Track, shown: Track) -> None:
        """Show what was smoothed; what was moved since stays on top of it."""
        self._shown = shown
        if made_of is self.track:
            self._put.clear()
        self._repaint()

    def _repaint(self) -> None:
        if self._canvas is not None:
            self._canvas.update()
        self.edited.emit()


def _under(canvas: Canvas, landmarks: Points, at: QtCore.QPointF) -> int | None:
    """Return the landmark that is nearest to a place of the canvas, if it is near."""
    places = [canvas.to_widget(QtCore.QPointF(x, y)) for x, y in landmarks.tolist()]
    away = np.array([np.hypot(place.x() - at.x(), place.y() - at.y()) for place in places])
    return int(away.argmin()) if away.min() <= _NEAR else None


def _inside(landmarks: Points, x: float, y: float) -> bool:
    """Return whether a point of the plate lies in the box of a face."""
    low, high = landmarks.min(axis=0), landmarks.max(axis=0)
    return bool(low[0] <= x <= high[0] and low[1] <= y <= high[1])


def _shifted(landmarks: Points, which: frozenset[int], x: float, y: float) -> Points:
    there = landmarks.copy()
    there[sorted(which)] += (x, y)
    return there
