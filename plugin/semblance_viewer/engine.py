"""Plates and results of a shot: read and rendered in threads of its own, kept within a bound.

Results come from the live worker, over one link (docs/protocol.md): what an artist sees is what
`semblance apply` writes. Whoever looks at the shot says what is wanted now (`Engine.want`); the
newest wish wins, and the frames ahead of it are made ready as long as there is room.
"""

from __future__ import annotations

import itertools
import os
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any, Final

import cv2
import numpy as np
from numpy.typing import NDArray

from semblance import colour, exr
from semblance.errors import Cancelled, SemblanceError, frame_context
from semblance.exr import read_plate
from semblance.knobs import Knobs, declared
from semblance.plate import Plate, Window
from semblance.worker import protocol
from semblance.worker.client import JobFailed, Link, WorkerGone
from semblance.worker.protocol import Rectangle
from semblance_viewer.pool import Pool

__all__ = ["Engine", "Rendered", "rgba"]

RGBA = tuple[float, float, float, float]
Pixels = NDArray[np.float32]
Listener = Callable[[int], None]

_INSTANCE: Final = 1 << 41
"""Apart from the numbers of the panel's thumbnails in this process."""

_FILES: Final = tuple(knob.name for knob in declared() if knob.kind == "file")
_NOTHING: Final = np.zeros((0, 0, 4), np.float32)
_NOTHING.flags.writeable = False

_serials = itertools.count(1)

_SOON = 0.1
"""Seconds until which a render whose knobs are old may yet be done."""
_LOOK = 1.0
"""Seconds after which a drag has to show a picture, even an old one."""
_RETRIES = 8
_PAUSE = 0.05


@dataclass(frozen=True)
class Rendered:
    """What became of a frame.

    Parameters
    ----------
    frame : int
    window : Window or None
        The pixels that may differ from the plate's, in the file's coordinates like
        `Plate.data_window`; None where none does.
    pixels : (h, w, 4) float32 array
        Red, green, blue, alpha over the window, in the plate's space; not writable. A file of
        halfs rounds them once.
    note : str
        What the worker says of it.
    milliseconds : float
        From the request to the pixels.
    failed : str
        Why there is no result; empty where there is one.
    serial : int
        Another one for every result.
    """

    frame: int
    window: Window | None
    pixels: NDArray[np.float32] = field(repr=False)
    note: str = ""
    milliseconds: float = 0.0
    failed: str = ""
    serial: int = field(default_factory=_serials.__next__, compare=False)


@dataclass(frozen=True)
class _Key:
    """What a result was made of, beside its plate."""

    knobs: Knobs
    stamps: Mapping[str, tuple[int, int]]


@dataclass(frozen=True)
class _Wish:
    frame: int = -1
    ahead: tuple[int, ...] = ()
    knobs: Mapping[int, Knobs] = field(default_factory=dict)

    @property
    def frames(self) -> tuple[int, ...]:
        return (self.frame, *self.ahead)


@dataclass
class _Running:
    """The render in work: what the link knows it by, and since when."""

    frame: int
    began: float
    link: Link | None = None
    number: int = 0
    dropped: bool = False


class Engine:
    """Reads and renders the frames of a shot; a context manager.

    Parameters
    ----------
    plates : exr.Sequence
    part : str or int, optional
        Which part of the files holds the plate.
    cache_mb : float
        Memory for plates, results and tiles together, in MiB. The frame that is looked at stays
        whatever it needs; the slot that the worker shares comes on top.
    directory : Path, optional
        The worker's runtime directory; the user's by default.
    command : list of str, optional
        What starts a worker where none runs, as `Link.open` takes it.
    changed : callable
        Called with a frame, on any thread, when its plate or its result came or failed.

    Attributes
    ----------
    frames : tuple of int
        The frames that are on disk.
    pool : Pool
        What is kept.
    """

    def __init__(
        self,
        plates: exr.Sequence,
        *,
        part: str | int | None = None,
        cache_mb: float = 2048.0,
        directory: Path | None = None,
        command: list[str] | None = None,
        changed: Listener | None = None,
    ) -> None:
        self.plates = plates
        self.frames = plates.frames()
        self.pool = Pool(round(cache_mb * (1 << 20)))
        self._part = part
        self._directory = directory
        self._command = command
        self._listeners: tuple[Listener, ...] = () if changed is None else (changed,)
        self._wake = threading.Condition()
        self._closed = False
        self._wish = _Wish()
        self._asked: Callable[[int], Knobs] | None = None
        self._answers: dict[int, Knobs | None] = {}
        self._stamps: dict[str, tuple[int, int]] = {}
        self._results: dict[int, _Key] = {}
        self._reading: set[int] = set()
        self._unread: dict[int, str] = {}
        self._size = 0  # of the largest plate or result so far
        self._unlooked: Knobs | None = None  # whose files nobody has looked at since the wish
        self._running: _Running | None = None
        self._last = (-1, 0.0, 0.0)  # of the last result: its frame, when it came, how long it took
        self._link: Link | None = None
        self._filled: Any = None
        readers = max(1, min(4, os.cpu_count() or 1))
        work = [self._read_on] * readers + [self._render_on, self._cancel_on]
        self._threads = [threading.Thread(target=each, daemon=True) for each in work]
        for thread in self._threads:
            thread.start()

    # ------------------------------------------------------------------------ for who looks

    def listen(self, changed: Listener) -> Callable[[], None]:
        """Call somebody else too when a frame changed; return what ends that."""
        with self._wake:
            self._listeners += (changed,)

        def end() -> None:
            with self._wake:
                self._listeners = tuple(each for each in self._listeners if each != changed)

        return end

    def want(
        self,
        frame: int,
        knobs: Callable[[int], Knobs] | None,
        ahead: Sequence[int] = (),
    ) -> None:
        """Say what is looked at now.

        Parameters
        ----------
        frame : int
            Its plate comes first, then its result.
        knobs : callable or None
            The knobs at a frame; called on the caller's thread, here and in `fresh` and `states`.
            None, or knobs without a model, for plates alone.
        ahead : sequence of int
            The frames that are likely to be looked at next, the nearest first; made ready while
            the cache has room.
        """
        self._asked = knobs
        self._answers = {}
        there = set(self.frames)
        rest = tuple(each for each in dict.fromkeys(ahead) if each in there and each != frame)
        asked = {each: self._knobs(each) for each in (frame, *rest)}
        wish = _Wish(frame, rest, {at: one for at, one in asked.items() if one is not None})
        with self._wake:
            self._wish = wish
            self._unlooked = next(iter(wish.knobs.values()), None)
            self._unread.pop(frame, None)
            self.pool.wanted(wish.frames)
            if self._running is not None and not self._running.dropped:
                self._running.dropped = self._outdated(self._running)
            self._wake.notify_all()

    @property
    def ahead(self) -> tuple[int, ...]:
        """The frames that are likely to be looked at next."""
        return self._wish.ahead

    def plate(self, frame: int) -> Plate | None:
        """Return a frame's plate, its picture and alpha alone, or None until it was read."""
        kept: Plate | None = self.pool.get(("plate", frame))
        return kept

    def result(self, frame: int) -> Rendered | None:
        """Return a frame's last result, of the knobs that are wanted or of older ones, or None."""
        kept: Rendered | None = self.pool.get(("result", frame))
        return kept

    def fresh(self, frame: int) -> bool:
        """Return whether a frame's result, or its failure, is of the knobs that are wanted now."""
        knobs = self._knobs(frame)
        with self._wake:
            return knobs is not None and self._is_fresh(frame, knobs)

    def reason(self, frame: int) -> str:
        """Return why a frame's plate can't be read or its result not be made, or ""."""
        with self._wake:
            unread = self._unread.get(frame, "")
        rendered = self.pool.get(("result", frame))
        return unread or (rendered.failed if rendered is not None else "")

    def states(self) -> Mapping[int, str]:
        """Return for every frame: nothing, plate, stale, result or failed."""
        return {frame: self._state(frame) for frame in self.frames}

    def probe(self, frame: int, x: float, y: float) -> tuple[RGBA | None, RGBA | None]:
        """Return a pixel of the plate and of the result, as a file holds them.

        Parameters
        ----------
        frame : int
        x, y : float
            Pixels of the plate from the display window's upper left corner, centres at +0.5.

        Returns
        -------
        (float, float, float, float) or None
            Of the plate; None outside its data window, or as long as it is not here.
        (float, float, float, float) or None
            Of the result; None where there is none.
        """
        plate = self.plate(frame)
        if plate is None:
            return None, None
        column = int(np.floor(x)) + plate.display_window.x0
        row = int(np.floor(y)) + plate.display_window.y0
        at = Window(column, row, column + 1, row + 1)
        if not plate.window.contains(at):
            return None, None
        names = (*plate.rgb, plate.alpha) if plate.alpha else plate.rgb
        line, place = at.slices(plate.window)
        there = [float(plate.channels[name][line, place][0, 0]) for name in names]
        red, green, blue, alpha = (*there, 1.0)[:4]
        original = (red, green, blue, alpha)
        result = self.result(frame)
        if result is None or result.failed:
            return original, None
        if result.window is None or not result.window.contains(at):
            return original, original
        line, place = at.slices(result.window)
        values = result.pixels[line, place][0, 0]
        kinds = [plate.channels[name].dtype for name in plate.rgb]
        with np.errstate(over="ignore"):
            red, green, blue = (
                float(value.astype(kind)) for value, kind in zip(values[:3], kinds, strict=True)
            )
        return original, (red, green, blue, alpha)

    def close(self) -> None:
        """Stop, and leave the worker."""
        with self._wake:
            self._closed = True
            self._listeners = ()
            if self._running is not None:
                self._running.dropped = True
            self._wake.notify_all()
        for thread in self._threads:
            thread.join(timeout=2.0)
        self.pool.clear()

    def __enter__(self) -> Engine:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _knobs(self, frame: int) -> Knobs | None:
        """Return what is asked of a frame; on the thread of who asks."""
        if self._asked is None:
            return None
        if frame not in self._answers:
            knobs = self._asked(frame)
            self._answers[frame] = knobs if knobs.model.model else None
        return self._answers[frame]

    def _state(self, frame: int) -> str:
        with self._wake:
            unread, made = frame in self._unread, frame in self._results
        if unread:
            return "failed"
        rendered = self.pool.get(("result", frame)) if made else None
        if rendered is None:
            return "plate" if self.pool.get(("plate", frame)) is not None else "nothing"
        if not self.fresh(frame):
            return "stale"
        return "failed" if rendered.failed else "result"

    # ------------------------------------------------------------------------ under the lock

    def _is_fresh(self, frame: int, knobs: Knobs) -> bool:
        key = self._results.get(frame)
        if key is None or key.knobs != knobs or self.pool.get(("result", frame)) is None:
            return False
        return all(self._stamps.get(path) == stamp for path, stamp in key.stamps.items())

    def _outdated(self, running: _Running) -> bool:
        """Return whether a render has to make room for the wish.

        One of the frame that is looked at goes on where it is about to be done, and where a drag
        has not shown a picture for long: old knobs are better than none.
        """
        wish = self._wish
        if running.frame != wish.frame:
            return not self._is_ready(wish)
        now = time.monotonic()
        frame, came, took = self._last
        soon = frame == running.frame and running.began + took - now < _SOON
        return not soon and now - max(came, running.began) < _LOOK

    def _is_ready(self, wish: _Wish) -> bool:
        knobs = wish.knobs.get(wish.frame)
        return knobs is None or self._is_fresh(wish.frame, knobs)

    def _next_plate(self) -> int | None:
        for frame in self._wish.frames:
            if frame != self._wish.frame and not self.pool.has_room(self._size, frame):
                return None
            busy = frame in self._reading or frame in self._unread
            if frame >= 0 and not busy and self.pool.get(("plate", frame)) is None:
                return frame
        return None

    def _next_render(self) -> tuple[int, Knobs, Plate] | None:
        wish = self._wish
        for frame in wish.frames:
            knobs = wish.knobs.get(frame)
            if knobs is None or frame in self._unread or self._is_fresh(frame, knobs):
                continue
            if frame != wish.frame and not self.pool.has_room(self._size, frame):
                return None
            plate = self.pool.get(("plate", frame))
            return None if plate is None else (frame, knobs, plate)
        return None

    # -------------------------------------------------------------------------- the threads

    def _read_on(self) -> None:
        while True:
            with self._wake:
                self._wake.wait_for(lambda: self._closed or self._next_plate() is not None)
                frame = self._next_plate()
                if self._closed or frame is None:
                    return
                self._reading.add(frame)
            reason, kept, size = "", False, 0
            try:
                with frame_context(frame):
                    plate = _picture(read_plate(self.plates.path(frame), self._part))
                size = sum(plane.nbytes for plane in plate.channels.values())
                kept = self.pool.put(("plate", frame), plate, size, frame)
            except SemblanceError as error:
                reason = str(error)
            with self._wake:
                self._reading.discard(frame)
                self._size = max(self._size, size)
                if reason:
                    self._unread[frame] = reason
                self._wake.notify_all()
            if kept or reason:
                self._tell(frame)

    def _render_on(self) -> None:
        while True:
            with self._wake:
                self._wake.wait_for(
                    lambda: self._closed or self._unlooked or self._next_render() is not None
                )
                if self._closed:
                    break
                unlooked, self._unlooked = self._unlooked, None
                job = None if unlooked else self._next_render()
                if job is not None:
                    frame, knobs, plate = job
                    running = self._running = _Running(frame, time.monotonic())
            if unlooked is not None:
                self._look_at_files(unlooked)
            if job is None:
                continue
            # Files first: what is written to them later than that makes the result an old one.
            stamps = self._look_at_files(knobs)
            rendered = self._attempt(running, knobs, plate)
            with self._wake:
                self._running = None
                if rendered is not None:
                    size = rendered.pixels.nbytes + 1024
                    self._size = max(self._size, size)
                    self.pool.put(("result", frame), rendered, size, frame)
                    self._results[frame] = _Key(knobs, stamps)
                    self._last = (frame, time.monotonic(), rendered.milliseconds / 1000.0)
                self._wake.notify_all()
            if rendered is not None:
                self._tell(frame)
        if self._link is not None:
            self._link.close()

    def _look_at_files(self, knobs: Knobs) -> Mapping[str, tuple[int, int]]:
        """Notice that a model, a track or shapes were written anew; return what they are now."""
        stamps = {path: _stamp(path) for path in _files(knobs)}
        with self._wake:
            self._stamps |= stamps
        return stamps

    def _cancel_on(self) -> None:
        """Tell the worker what is dropped, so that neither the GUI nor the render waits for it."""
        while True:
            with self._wake:
                self._wake.wait_for(lambda: self._closed or self._to_cancel() is not None)
                running = self._to_cancel()
                if running is None:
                    if self._closed:
                        return
                    continue
                link, number, running.number = running.link, running.number, 0
            if link is not None:
                with suppress(SemblanceError):
                    link.cancel(number)

    def _to_cancel(self) -> _Running | None:
        running = self._running
        return running if running is not None and running.dropped and running.number else None

    def _tell(self, frame: int) -> None:
        for each in self._listeners:
            each(frame)

    # ---------------------------------------------------------------------------- rendering

    def _attempt(self, running: _Running, knobs: Knobs, plate: Plate) -> Rendered | None:
        """Return a frame's result or its failure; None where it was dropped."""
        frame, began = running.frame, time.monotonic()
        pause = _PAUSE
        for attempt in range(_RETRIES):
            try:
                with frame_context(frame):
                    return self._rendered(running, knobs, plate, began)
            except Cancelled:
                return None
            except JobFailed as error:
                if not error.retry or attempt == _RETRIES - 1:
                    return Rendered(frame, None, _NOTHING, failed=str(error))
                with self._wake:
                    self._wake.wait_for(lambda: self._closed or running.dropped, timeout=pause)
                pause *= 2.0
            except WorkerGone as error:
                self._leave()
                if attempt:  # one that dies of a frame is not started for it again and again
                    return Rendered(frame, None, _NOTHING, failed=str(error))
            except (SemblanceError, OSError) as error:
                self._leave()
                return Rendered(frame, None, _NOTHING, failed=str(error))
            if running.dropped:
                return None
        return None

    def _rendered(self, running: _Running, knobs: Knobs, plate: Plate, began: float) -> Rendered:
        plan = _planned(plate, running.frame, _sent(knobs, plate))
        if self._link is None:
            self._link = Link.open(self._directory, command=self._command, name="semblance viewer")
        link = self._link
        region = link.plan(plan)
        if protocol.is_empty(region.rectangle):
            return Rendered(running.frame, None, _NOTHING, region.message, _milliseconds(began))
        size, offsets = protocol.blocks(region.rectangle, mask=False)
        slot = link.slot(max(size, region.slot_bytes))
        window = _window(region.rectangle, plate)
        self._fill(slot, offsets[0], plate, window)
        asked = {item.name: getattr(plan, item.name) for item in fields(plan)}
        render = protocol.Render(**asked, slot=1, filled=region.rectangle, offsets=offsets)
        number = link.number()
        with self._wake:
            if running.dropped:
                raise Cancelled("a newer wish came")
            running.link, running.number = link, number
        done = link.render(render, number=number)
        changed = None if protocol.is_empty(done.changed) else _window(done.changed, plate)
        pixels = _NOTHING
        if changed is not None:
            rows, columns = changed.slices(window)
            pixels = _block(slot, offsets[2], window)[rows, columns].copy()
            pixels.flags.writeable = False
        return Rendered(running.frame, changed, pixels, done.note, _milliseconds(began))

    def _fill(self, slot: memoryview, offset: int, plate: Plate, window: Window) -> None:
        """Put the plate's pixels into the slot, unless they lie there from the render before."""
        # The worker never writes to them, and the link's memory is another one when it grows.
        filled = (id(self._link), len(slot), offset, plate.path, plate.stamp, window)
        if self._filled != filled:
            self._filled = None
            _block(slot, offset, window)[:] = rgba(plate, window)
            self._filled = filled

    def _leave(self) -> None:
        link, self._link = self._link, None
        self._filled = None
        if link is not None:
            link.close()


def rgba(plate: Plate, window: Window) -> Pixels:
    """Return (h, w, 4) float32 red, green, blue, alpha of a window inside the plate's.

    Alpha is 1 where the plate has none.
    """
    pixels = np.asarray(cv2.cvtColor(plate.picture(window), cv2.COLOR_RGB2RGBA), np.float32)
    opacity = plate.opacity(window)
    if opacity is not None:
        pixels[..., 3] = opacity
    return pixels


def _picture(plate: Plate) -> Plate:
    """Return a plate without the channels that nobody looks at."""
    names = (*plate.rgb, plate.alpha) if plate.alpha else plate.rgb
    return replace(plate, channels={name: plate.channels[name] for name in names})


def _sent(knobs: Knobs, plate: Plate) -> Knobs:
    """Return knobs that mean the same to the worker, which has no header and another folder."""
    space = colour.resolve_space(knobs.colour.input_space, plate.metadata)
    values = knobs.to_flat() | dict(zip(_FILES, _files(knobs), strict=True))
    return Knobs.from_flat(values | {"input_space": space})


def _files(knobs: Knobs) -> tuple[str, ...]:
    """Return the files that knobs name, from the root on; "" where none is named."""
    values = knobs.to_flat()
    return tuple(os.path.abspath(str(values[name])) if values[name] else "" for name in _FILES)


def _stamp(path: str) -> tuple[int, int]:
    try:
        status = os.stat(path)
    except OSError:
        return (-1, 0)
    return status.st_size, status.st_mtime_ns


def _planned(plate: Plate, frame: int, knobs: Knobs) -> protocol.Plan:
    display = plate.display_window
    bounds = _rectangle(plate.window, plate)
    width = display.width * plate.pixel_aspect
    return protocol.Plan(
        instance=_INSTANCE,
        time=float(frame),
        scale=(1.0, 1.0),
        pixel_aspect=plate.pixel_aspect,
        bounds=bounds,
        display=(0.0, 0.0, width, float(display.height)),
        window=bounds,
        components=4,
        premultiplied=int(plate.alpha is not None),
        mask=0,
        knobs=protocol.encode_knobs(knobs),
    )


def _rectangle(window: Window, plate: Plate) -> Rectangle:
    """Return a window from the display window's lower left corner, y up."""
    left, low = plate.display_window.x0, plate.display_window.y1
    return (window.x0 - left, low - window.y1, window.x1 - left, low - window.y0)


def _window(rectangle: Rectangle, plate: Plate) -> Window:
    left, low = plate.display_window.x0, plate.display_window.y1
    x1, y1, x2, y2 = rectangle
    return Window(x1 + left, low - y2, x2 + left, low - y1)


def _block(slot: memoryview, offset: int, window: Window) -> Pixels:
    count = 4 * window.width * window.height
    flat = np.frombuffer(slot, np.float32, count, offset)
    return flat.reshape(window.height, window.width, 4)


def _milliseconds(began: float) -> float:
    return 1000.0 * (time.monotonic() - began)
