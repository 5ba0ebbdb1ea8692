"""A frame as tiles of a pyramid, ready for the display, made in threads.

A tile is `SIDE` pixels of its level square; a pixel of level n is the mean of 2^n × 2^n pixels of
the plate, in the plate's own space. Tiles live in the engine's pool beside what they are made of.
Each knows its version: another look, plate or result makes another tile, and one whose pixels a
result does not touch is the plate's.
"""

from __future__ import annotations

import math
import os
import threading
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Final, Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from semblance import colour
from semblance.errors import KnobError, SemblanceError
from semblance.plate import Plate, Window
from semblance_viewer.display import Display, Look
from semblance_viewer.engine import Engine, Rendered, rgba

__all__ = ["SIDE", "Key", "Makers", "Scene", "Tile", "Tiles", "View", "levels", "visible"]

Pixels = NDArray[np.float32]
Shown = NDArray[np.uint8]
Layer = Literal["plate", "result", "difference"]

SIDE: Final = 256
_BAND: Final = 1 << 20
"""Pixels of the plate that are averaged at once."""

_NEXT: Final = 12
"""How many of the frames that come next are made ready."""


@dataclass(frozen=True)
class Key:
    """Which tile.

    Parameters
    ----------
    frame : int
    layer : {"plate", "result", "difference"}
    level : int
    column, row : int
        From the data window's upper left corner.
    """

    frame: int
    layer: Layer
    level: int
    column: int
    row: int

    def window(self, plate: Plate) -> Window:
        """Return the pixels of the plate that it shows, in the file's coordinates."""
        side = SIDE << self.level
        held = plate.window
        left, top = held.x0 + self.column * side, held.y0 + self.row * side
        return Window(left, top, left + side, top + side).intersection(held)


@dataclass(frozen=True)
class Tile:
    """A finished tile.

    Parameters
    ----------
    pixels : (h, w, 4) uint8 array
        Blue, green, red, 255.
    version : hashable
        What it was made of.
    """

    pixels: Shown
    version: Hashable


@dataclass(frozen=True)
class View:
    """What somebody looks at.

    Parameters
    ----------
    frame : int
    layers : tuple of str
        What is drawn of it.
    look : Look
    space : str
        As the knob `input_space` has it.
    gain : float
        Of the difference.
    level : int
    seen : Window
        The pixels of the plate in sight, in the file's coordinates.
    """

    frame: int
    layers: tuple[Layer, ...]
    look: Look
    space: str
    gain: float
    level: int
    seen: Window


@dataclass(frozen=True)
class Scene:
    """A frame as it is now, for one way to look at it.

    Parameters
    ----------
    view : View
    plate : Plate
    result : Rendered or None
        The last one there is.
    space : str
        The plate's, resolved.
    """

    view: View
    plate: Plate
    result: Rendered | None
    space: str

    def resolved(self, key: Key) -> Key:
        """Return the tile that stands for one: the plate's, where a result changes nothing."""
        if key.layer == "result" and not _touches(self.result, key.window(self.plate)):
            return replace(key, layer="plate")
        return key

    @cached_property
    def versions(self) -> Mapping[str, Hashable]:
        """Which version of each layer's tiles is wanted."""
        below = (self.view.look, self.space, self.plate.stamp)
        serial = -1 if self.result is None else self.result.serial
        return {
            "plate": below,
            "result": (*below, serial),
            "difference": (*below, serial, self.view.gain),
        }


class Tiles:
    """The tiles of an engine's frames, in its pool. May be used from several threads."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self._spaces: dict[tuple[object, str], str] = {}

    def tile(self, key: Key) -> Tile | None:
        """Return a tile if it is there, of whatever version."""
        kept: Tile | None = self.engine.pool.get(key)
        return kept

    def scene(self, view: View) -> Scene | None:
        """Return a view's frame as it is now; None as long as its plate is not here."""
        plate = self.engine.plate(view.frame)
        if plate is None:
            return None
        return Scene(view, plate, self.engine.result(view.frame), self._space(view.space, plate))

    def is_complete(self, view: View) -> bool:
        """Return whether all that is in sight is there as it is wanted."""
        scene = self.scene(view)
        return scene is not None and not any(self._lacking(scene, visible(view, scene.plate)))

    def missing(self, view: View) -> Iterator[tuple[Key, View] | None]:
        """Return the tiles that are to be made, the most wanted first.

        The whole frame in one coarse tile; what is in sight, from its middle; then None, for a
        mark; what is around it; and what will be in sight in the frames that come next.
        """
        scene = self.scene(view)
        if scene is not None:
            top = levels(scene.plate.window) - 1
            coarse = [Key(view.frame, layer, top, 0, 0) for layer in view.layers]
            seen = visible(view, scene.plate)
            if not any(self.tile(scene.resolved(key)) for key in coarse):
                yield from ((key, view) for key in self._lacking(scene, coarse))
            yield from ((key, view) for key in self._lacking(scene, seen))
            yield None
            around = visible(view, scene.plate, around=1)
            yield from ((key, view) for key in self._lacking(scene, [*coarse, *around]))
        for frame in self.engine.ahead[:_NEXT]:
            later = self.scene(replace(view, frame=frame))
            if later is not None:
                keys = visible(later.view, later.plate)
                yield from ((key, later.view) for key in self._lacking(later, keys))

    def _lacking(self, scene: Scene, keys: Iterable[Key]) -> Iterator[Key]:
        """Return which of some tiles are not there as they are wanted, resolved."""
        for key in map(scene.resolved, keys):
            tile = self.tile(key)
            if tile is None or tile.version != scene.versions[key.layer]:
                yield key

    def make(self, key: Key, view: View) -> bool:
        """Make a tile and keep it.

        Returns
        -------
        bool
            False where the cache has no room for it, or its plate is gone.

        Raises
        ------
        KnobError, InputError
            The look can't be shown.
        """
        scene = self.scene(view)
        if scene is None:
            return False
        window = key.window(scene.plate)
        tile = self.tile(key)
        if tile is not None and tile.version == scene.versions[key.layer]:
            return True
        display = Display(scene.space, view.look)
        plate, result = scene.plate, scene.result
        if key.layer == "plate" or result is None or result.window is None:
            shown = display.show_bgr(_mean(lambda part: rgba(plate, part), window, key.level))
        elif key.layer == "difference":
            change = _mean(lambda part: _change(result, plate, part), window, key.level)
            change *= np.float32(view.gain)
            shown = display.grey(_channel(change, view.look.channel))
        else:
            shown = self._over(key, scene, result, display)
        return self._keep(key, shown, scene)[1]

    def _keep(self, key: Key, shown: Shown, scene: Scene) -> tuple[Tile, bool]:
        tile = Tile(shown, scene.versions[key.layer])
        return tile, self.engine.pool.put(key, tile, shown.nbytes + 512, key.frame)

    def _over(self, key: Key, scene: Scene, result: Rendered, display: Display) -> Shown:
        """Convert what a result changes, over the plate's own tile."""
        plate = scene.plate
        window = key.window(plate)
        assert result.window is not None
        if result.window.contains(window):
            whole = _mean(lambda part: _with(result, plate, part), window, key.level)
            return display.show_bgr(whole)
        below = replace(key, layer="plate")
        tile = self.tile(below)
        if tile is None or tile.version != scene.versions["plate"]:
            pixels = _mean(lambda part: rgba(plate, part), window, key.level)
            tile = self._keep(below, display.show_bgr(pixels), scene)[0]
        step = 1 << key.level
        touched = result.window.intersection(window)
        left, top = (touched.x0 - window.x0) // step, (touched.y0 - window.y0) // step
        right, low = -((window.x0 - touched.x1) // step), -((window.y0 - touched.y1) // step)
        part = Window(
            window.x0 + left * step,
            window.y0 + top * step,
            min(window.x0 + right * step, window.x1),
            min(window.y0 + low * step, window.y1),
        )
        shown = tile.pixels.copy()
        pixels = _mean(lambda band: _with(result, plate, band), part, key.level)
        shown[top:low, left:right] = display.show_bgr(pixels)
        return shown

    def _space(self, name: str, plate: Plate) -> str:
        key = (plate.stamp, name)
        if key not in self._spaces:
            try:
                space = colour.resolve_space(name, plate.metadata)
            except KnobError:
                space = colour.resolve_space("auto", plate.metadata)
            self._spaces[key] = space
        return self._spaces[key]


class Makers:
    """Threads that make tiles: the newest list of them takes the older one's place.

    Parameters
    ----------
    tiles : Tiles
    made : callable
        Called on a thread with a tile's key when it is there.
    settled : callable
        Called on a thread when all that was wanted before the list's mark is there.
    failed : callable
        Called on a thread with the reason why tiles can't be made.
    """

    def __init__(
        self,
        tiles: Tiles,
        made: Callable[[Key], None],
        settled: Callable[[], None],
        failed: Callable[[str], None],
    ) -> None:
        self._tiles = tiles
        self._made = made
        self._settled = settled
        self._failed = failed
        self._wake = threading.Condition()
        self._taking = threading.Lock()
        self._closed = False
        self._list: Iterator[tuple[Key, View] | None] = iter(())
        self._idle = True
        self._working: set[Key] = set()
        self._again: dict[Key, View] = {}  # wanted anew while they are in work
        self._last: set[Key] | None = None  # of those in work when the mark was passed
        count = max(1, min(8, os.cpu_count() or 1))
        self._threads = [threading.Thread(target=self._run, daemon=True) for _ in range(count)]
        for thread in self._threads:
            thread.start()

    def want(self, wanted: Iterable[tuple[Key, View] | None]) -> None:
        """Make these from now on, in their order; None is the mark."""
        with self._wake:
            self._list = iter(wanted)
            self._idle, self._last = False, None
            self._again.clear()
            self._wake.notify_all()

    def close(self) -> None:
        """Stop after the tiles in work."""
        with self._wake:
            self._closed = True
            self._wake.notify_all()
        for thread in self._threads:
            thread.join(timeout=2.0)

    def _take(self) -> tuple[Key, View] | None:
        with self._wake:
            wanted = self._list
        with self._taking:  # looking for the next one may take longer than the GUI could wait
            for item in wanted:
                with self._wake:
                    if self._list is not wanted:
                        return None
                    if item is None:
                        self._last = set(self._working)
                        settled = not self._last
                    elif item[0] in self._working:
                        self._again[item[0]] = item[1]
                    else:
                        self._working.add(item[0])
                        return item
                if item is None and settled:
                    self._settled()
        with self._wake:
            self._idle |= self._list is wanted
        return None

    def _run(self) -> None:
        while True:
            with self._wake:
                self._wake.wait_for(lambda: self._closed or not self._idle)
                if self._closed:
                    return
            taken = self._take()
            if taken is not None:
                self._make(*taken)

    def _make(self, key: Key, view: View) -> None:
        reason, kept = "", False
        again: View | None = view
        while again is not None:
            try:
                kept = self._tiles.make(key, again)
            except SemblanceError as error:
                reason = str(error)
            with self._wake:
                again = self._again.pop(key, None)
        if kept:
            self._made(key)
        with self._wake:
            self._working.discard(key)
            settled = self._last == {key}
            if self._last is not None:
                self._last.discard(key)
            if not kept and not self._closed:
                self._list, self._idle = iter(()), True
        if settled:
            self._settled()
        if reason:
            self._failed(reason)


def levels(window: Window) -> int:
    """Return how many levels a window has, up to the one that is a single tile.

    >>> levels(Window(0, 0, 4096, 2160))
    5
    """
    longest = max(window.width, window.height, 1)
    return 1 + max(0, math.ceil(math.log2(longest / SIDE)))


def visible(view: View, plate: Plate, around: int = 0) -> list[Key]:
    """Return the tiles of a view's level that are in sight, those in the middle first.

    Parameters
    ----------
    around : int
        How many more tiles on every side.
    """
    held, side = plate.window, SIDE << view.level
    seen = view.seen.intersection(held)
    if seen.empty:
        return []
    columns, rows = -(-held.width // side), -(-held.height // side)
    left, right = (seen.x0 - held.x0) // side, (seen.x1 - 1 - held.x0) // side
    top, low = (seen.y0 - held.y0) // side, (seen.y1 - 1 - held.y0) // side
    middle = ((left + right) / 2, (top + low) / 2)
    places = [
        (column, row)
        for row in range(max(top - around, 0), min(low + around + 1, rows))
        for column in range(max(left - around, 0), min(right + around + 1, columns))
    ]
    places.sort(key=lambda place: math.dist(place, middle))
    return [
        Key(view.frame, layer, view.level, column, row)
        for column, row in places
        for layer in view.layers
    ]


def _touches(result: Rendered | None, window: Window) -> bool:
    return (
        result is not None
        and result.window is not None
        and not result.window.intersection(window).empty
    )


def _with(result: Rendered, plate: Plate, window: Window) -> Pixels:
    """Return a window of the plate with the result over it."""
    assert result.window is not None
    if result.window.contains(window):
        return result.pixels[window.slices(result.window)]
    pixels = rgba(plate, window)
    both = result.window.intersection(window)
    if not both.empty:
        pixels[both.slices(window)] = result.pixels[both.slices(result.window)]
    return pixels


def _change(result: Rendered, plate: Plate, window: Window) -> Pixels:
    """Return how far the result is from the plate over a window, at least 0."""
    change = _with(result, plate, window) - rgba(plate, window)
    return np.asarray(np.abs(change, out=change), np.float32)


def _mean(get: Callable[[Window], Pixels], window: Window, level: int) -> Pixels:
    """Return a window's pixels at a level; they are taken in bands, so that they need no room."""
    step = 1 << level
    rows = max(_BAND // max(window.width, 1) // step, 1) * step
    bands = [
        _reduced(get(Window(window.x0, y, window.x1, min(y + rows, window.y1))), level)
        for y in range(window.y0, window.y1, rows)
    ]
    return bands[0] if len(bands) == 1 else np.concatenate(bands)


def _reduced(pixels: Pixels, level: int) -> Pixels:
    """Return the mean of each 2^level × 2^level pixels; the last ones are repeated to fill up."""
    if level == 0:
        return pixels
    step = 1 << level
    height, width = pixels.shape[:2]
    size = (-(-width // step), -(-height // step))
    right, low = size[0] * step - width, size[1] * step - height
    if right or low:
        pixels = np.asarray(
            cv2.copyMakeBorder(pixels, 0, low, 0, right, cv2.BORDER_REPLICATE), np.float32
        )
    return np.asarray(cv2.resize(pixels, size, interpolation=cv2.INTER_AREA), np.float32)


def _channel(values: Pixels, channel: str) -> Pixels:
    """Return what a look shows of numbers: blue, green, red, or one of them, or alpha."""
    if channel == "rgb":
        return np.ascontiguousarray(values[..., 2::-1])
    if channel == "luma":
        return colour.luma(values[..., :3])
    return np.ascontiguousarray(values[..., "rgba".index(channel)])
