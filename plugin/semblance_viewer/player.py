"""Which frame is shown, and when the next one is: steps, playing either way, loops."""

from __future__ import annotations

import time
from bisect import bisect_left
from collections import deque
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Final

from semblance_panel.qt import QtCore

__all__ = ["AHEAD", "Player"]

Qt = QtCore.Qt

AHEAD: Final = 12
"""Frames behind the one that is shown, in the way of playing, that are made ready."""

_POLL_MS: Final = 3
_MEASURED: Final = 24


class Player(QtCore.QObject):
    """A position in a shot that moves: by hand, or by the clock.

    Every frame is shown, as a compositor expects: one that is not ready is waited for, and the rate
    falls.

    Parameters
    ----------
    ready : callable
        Whether a frame is on the screen as it is wanted, so that the next one may come.

    Signals
    -------
    moved(int)
        Another frame is to be shown.
    state_changed()
        Playing began or ended, or turned round.
    """

    moved = QtCore.Signal(int)
    state_changed = QtCore.Signal()

    def __init__(self, ready: Callable[[int], bool], parent: QtCore.QObject | None = None) -> None:
        super().__init__(parent)
        self._ready = ready
        self._due = 0.0
        self._shown: deque[float] = deque(maxlen=_MEASURED)
        self._timer = QtCore.QTimer(self)
        self._timer.setTimerType(Qt.TimerType.PreciseTimer)
        self._timer.setSingleShot(True)
        self._timer.timeout.connect(self._tick)
        self.frames: tuple[int, ...] = ()
        self.frame = 0
        self.fps = 24.0
        self.loop = True
        self.direction = 0
        """1 forward, -1 backward, 0 still."""

    def open(self, frames: tuple[int, ...], frame: int) -> None:
        """Take another shot's frames, and stand still on one of them."""
        self.stop()
        self.frames = frames
        self.frame = frame

    # --- by hand -----------------------------------------------------------------------------

    def go(self, frame: int) -> None:
        """Show the frame nearest to a number, without an end to playing."""
        if self.frames and (nearest := _nearest(self.frames, frame)) != self.frame:
            self.frame = nearest
            self.moved.emit(nearest)

    def step(self, by: int) -> None:
        """Stand still some frames on; past an end, where a loop goes on, at the other."""
        self.stop()
        if self.frames:
            self.go(self.frames[self._index(by)])

    def first(self) -> None:
        """Stand still on the first frame."""
        self.stop()
        self.go(self.frames[0] if self.frames else 0)

    def last(self) -> None:
        """Stand still on the last frame."""
        self.stop()
        self.go(self.frames[-1] if self.frames else 0)

    # --- by the clock ------------------------------------------------------------------------

    def play(self, direction: int) -> None:
        """Play forward (1) or backward (-1)."""
        if len(self.frames) < 2 or direction == self.direction:
            return
        if not self.loop and self._index(direction) == self.frames.index(self.frame):
            self.go(self.frames[0 if direction > 0 else -1])
        self.direction = direction
        self._shown.clear()
        self._due = time.perf_counter() + 1.0 / self.fps
        self._timer.start(0)
        self.state_changed.emit()

    def stop(self) -> None:
        """Stand still."""
        if self.direction:
            self.direction = 0
            self._timer.stop()
            self.state_changed.emit()

    def toggle(self) -> None:
        """Play forward, or stand still."""
        if self.direction:
            self.stop()
        else:
            self.play(1)

    def ahead(self) -> Sequence[int]:
        """Return the frames that will be shown next."""
        if len(self.frames) < 2:
            return ()
        way = self.direction or 1
        here, count = self.frames.index(self.frame), len(self.frames)
        places = [here + way * by for by in range(1, min(AHEAD, count - 1) + 1)]
        if self.loop:
            return [self.frames[place % count] for place in places]
        return [self.frames[place] for place in places if 0 <= place < count]

    def measured(self) -> float:
        """Return how many frames a second are really shown; 0 where that is not known yet."""
        gaps = [after - before for before, after in pairwise(self._shown)]
        return len(gaps) / sum(gaps) if len(gaps) > 2 and sum(gaps) > 0.0 else 0.0

    def _tick(self) -> None:
        if not self.direction:
            return
        now = time.perf_counter()
        if now < self._due:
            self._timer.start(max(int(1000.0 * (self._due - now)), 0))
            return
        if not self._ready(self.frame):
            self._timer.start(_POLL_MS)
            return
        following = self.frames[self._index(self.direction)]
        if following == self.frame:
            self.stop()
            return
        period = 1.0 / self.fps
        # Who is late by a frame does not hurry afterwards.
        self._due = (self._due if now - self._due < period else now) + period
        self._shown.append(now)
        self._timer.start(0)
        self.go(following)

    def _index(self, by: int) -> int:
        """Return which frame is so many on."""
        place, count = self.frames.index(self.frame) + by, len(self.frames)
        return place % count if self.loop else min(max(place, 0), count - 1)


def _nearest(frames: tuple[int, ...], frame: int) -> int:
    """Return the one of some sorted frames that is nearest to a number."""
    place = bisect_left(frames, frame)
    around = frames[max(place - 1, 0) : place + 1]
    return min(around, key=lambda each: abs(each - frame))
