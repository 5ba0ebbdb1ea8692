"""Rendered files in the place of live results, so that what lies on disk can be compared. No Qt."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from typing import Final

from semblance.knobs import Knobs
from semblance.plate import Plate
from semblance_viewer.engine import Engine, Rendered, rgba

__all__ = ["RenderedFiles"]

RGBA = tuple[float, float, float, float]

_HELD_BYTES: Final = 512 << 20


class RenderedFiles:
    """What a canvas reads of an `Engine`, with files of another sequence as results.

    Parameters
    ----------
    live : Engine
        Gives the plates; it stays open when this is closed.
    files : Engine
        Reads the rendered frames; closed with this.

    Attributes
    ----------
    frames : tuple of int
        Those of the plates.
    pool : Pool
        Where a canvas keeps its tiles.
    """

    def __init__(self, live: Engine, files: Engine) -> None:
        self.frames = live.frames
        self.pool = files.pool
        self._live, self._files = live, files
        self._held: OrderedDict[int, tuple[Plate, Rendered]] = OrderedDict()
        self._lock = threading.Lock()
        self._listeners: list[Callable[[int], None]] = []
        self._ends = [live.listen(self._tell), files.listen(self._arrived)]

    def listen(self, changed: Callable[[int], None]) -> Callable[[], None]:
        """Add a listener, called on any thread; what is returned removes it."""
        self._listeners.append(changed)
        return lambda: self._listeners.remove(changed)

    def want(
        self, frame: int, knobs: Callable[[int], Knobs] | None, ahead: Sequence[int] = ()
    ) -> None:
        """Read plate and rendered file of a frame, then those ahead; nothing is rendered."""
        self._live.want(frame, None, ahead)
        self._files.want(frame, None, ahead)

    @property
    def ahead(self) -> tuple[int, ...]:
        """The frames that were wished for besides the one that is looked at."""
        return self._live.ahead

    def plate(self, frame: int) -> Plate | None:
        """Return a frame's plate, if it was read."""
        return self._live.plate(frame)

    def result(self, frame: int) -> Rendered | None:
        """Return a rendered file's pixels as a result, if it was read."""
        with self._lock:
            held = self._held.get(frame)
        return None if held is None else held[1]

    def fresh(self, frame: int) -> bool:
        """Return whether the file was read."""
        return self.result(frame) is not None

    def reason(self, frame: int) -> str:
        """Return why plate or file can't be read."""
        return self._live.reason(frame) or self._files.reason(frame)

    def states(self) -> Mapping[int, str]:
        """Return what was read of each frame, by the words of `Engine.states`."""
        live, files = self._live.states(), self._files.states()
        words = {"plate": "result", "failed": "failed"}
        return {
            frame: words.get(
                files.get(frame, ""), "plate" if live[frame] != "nothing" else "nothing"
            )
            for frame in self.frames
        }

    def probe(self, frame: int, x: float, y: float) -> tuple[RGBA | None, RGBA | None]:
        """Return the plate's and the file's pixel at a place of the display window."""
        return self._live.probe(frame, x, y)[0], self._files.probe(frame, x, y)[0]

    def close(self) -> None:
        """Stop reading the files."""
        for end in self._ends:
            end()
        self._files.close()

    def _arrived(self, frame: int) -> None:
        """Make a picture of a file that was read; this is the engine's own thread."""
        plate = self._files.plate(frame)
        if plate is not None:
            with self._lock:
                known = frame in self._held and self._held[frame][0] is plate
            if not known:
                made = _rendered(frame, plate)
                with self._lock:
                    self._held[frame] = (plate, made)
                    self._held.move_to_end(frame)
                    while self._bytes() > _HELD_BYTES and len(self._held) > 1:
                        self._held.popitem(last=False)
        self._tell(frame)

    def _bytes(self) -> int:
        return sum(rendered.pixels.nbytes for _, rendered in self._held.values())

    def _tell(self, frame: int) -> None:
        for listener in tuple(self._listeners):
            listener(frame)


def _rendered(frame: int, plate: Plate) -> Rendered:
    return Rendered(frame, plate.window, rgba(plate, plate.window))
