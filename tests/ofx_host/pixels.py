"""Images in memory of their own, between pages that nobody may touch."""

from __future__ import annotations

import ctypes
import mmap
import threading
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

Float = NDArray[np.float32]
Bounds = tuple[int, int, int, int]

SENTINEL = 0x7FA5_5A5A
"""A NaN that no computation makes: what an output holds before it is written."""

CHANNELS = {"RGBA": 4, "RGB": 3, "Alpha": 1}

_NONE, _READ, _WRITE = 0, 1, 3
_libc = ctypes.CDLL(None, use_errno=True)
_libc.mmap.restype = ctypes.c_void_p
_libc.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t, *[ctypes.c_int] * 3, ctypes.c_long]
_libc.munmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t]
_libc.mprotect.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]


class _Pages:
    """Anonymous memory with a guard page on either side."""

    def __init__(self, size: int) -> None:
        page = mmap.PAGESIZE
        self.size = -(-max(size, 1) // page) * page
        flags = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS
        self._whole = _libc.mmap(None, self.size + 2 * page, _NONE, flags, -1, 0)
        if self._whole in (None, ctypes.c_void_p(-1).value):
            raise MemoryError(f"no {self.size} bytes for an image")
        self.start = self._whole + page
        self.protect(_WRITE)

    def protect(self, access: int) -> None:
        if _libc.mprotect(self.start, self.size, access) != 0:
            raise OSError(ctypes.get_errno(), "mprotect")

    def __del__(self) -> None:
        if getattr(self, "_whole", None):
            _libc.munmap(self._whole, self.size + 2 * mmap.PAGESIZE)


@dataclass(frozen=True)
class Layout:
    """How an image lies in memory.

    Parameters
    ----------
    padding : int
        Bytes between two rows, a multiple of 4.
    negative : bool
        The row with the lowest y comes last.
    against : {"end", "start"}
        Which of the guard pages the pixels touch.
    """

    padding: int = 0
    negative: bool = False
    against: Literal["end", "start"] = "end"


PLAIN = Layout()
LAYOUTS = (PLAIN, Layout(padding=20), Layout(negative=True), Layout(52, True, "start"))


class Image:
    """Pixels as a host holds them: y up, any bounds, any row length.

    Parameters
    ----------
    bounds : (int, int, int, int)
        x1, y1, x2, y2 in pixels.
    components : {"RGBA", "RGB", "Alpha"}
    top_down : (h, w, c) float32, optional
        First row is the highest; without it every word is the sentinel.
    layout : Layout
    premultiplied, pixel_aspect
        What the host says of the image.
    writable : bool
        Inputs are not: writing into one faults.
    sealed : bool, optional
        Whether touching it faults once it is released, until the action has ended; what is
        writable is sealed by default.
    """

    def __init__(
        self,
        bounds: Bounds,
        components: str = "RGBA",
        top_down: Float | None = None,
        *,
        layout: Layout = PLAIN,
        premultiplied: bool = True,
        pixel_aspect: float = 1.0,
        writable: bool = False,
        sealed: bool | None = None,
    ) -> None:
        self.sealed = writable if sealed is None else sealed
        self.bounds, self.components, self.layout = bounds, components, layout
        self.premultiplied, self.pixel_aspect = premultiplied, pixel_aspect
        self._access = _WRITE if writable else _READ
        self._held = 0
        self._lock = threading.Lock()
        width, height = bounds[2] - bounds[0], bounds[3] - bounds[1]
        channels = CHANNELS[components]
        pitch = width * channels * 4 + layout.padding
        used = max(0, (height - 1) * pitch + width * channels * 4)
        self._pages = _Pages(used)
        start = self._pages.start
        first = start + self._pages.size - used if layout.against == "end" else start
        buffer = (ctypes.c_uint32 * (self._pages.size // 4)).from_address(start)
        self._words = np.frombuffer(buffer, np.uint32)
        self._words[:] = SENTINEL
        lowest = (height - 1) * pitch if layout.negative else 0
        self.row_bytes = -pitch if layout.negative else pitch
        self.address = first + lowest
        offset = self.address - start
        self.pixels: Float = np.ndarray(
            (height, width, channels),
            np.float32,
            buffer=buffer,
            offset=offset,
            strides=(self.row_bytes, channels * 4, 4),
        )
        if top_down is not None:
            self.pixels[::-1] = top_down.reshape(self.pixels.shape)
        self._pages.protect(self._access)

    @property
    def top_down(self) -> Float:
        """Return the pixels, (h, w, c), first row the highest: a view."""
        return self.pixels[::-1]

    def fill_sentinel(self) -> None:
        self._words[:] = SENTINEL

    def hold(self) -> None:
        with self._lock:
            self._held += 1
            if self.sealed and self._held == 1:
                self._pages.protect(self._access)

    def let_go(self) -> None:
        with self._lock:
            self._held -= 1
            if self.sealed and self._held == 0:
                self._pages.protect(_NONE)

    def unseal(self) -> None:
        if self.sealed:
            self._pages.protect(self._access)

    def written_wrong(self, window: Bounds) -> str:
        """Say what a render into `window` left out or overran; empty when nothing."""
        x1, y1 = window[0] - self.bounds[0], window[1] - self.bounds[1]
        x2, y2 = window[2] - self.bounds[0], window[3] - self.bounds[1]
        inside: Any = self.pixels.view(np.uint32)[y1:y2, x1:x2]
        unwritten = inside == SENTINEL
        if unwritten.any():
            y, x, channel = np.argwhere(unwritten)[0]
            return (
                f"{int(unwritten.sum())} values of the render window were not written, "
                f"first ({x + window[0]}, {y + window[1]}) channel {channel}"
            )
        kept = inside.copy()
        inside[...] = SENTINEL
        outside = int((self._words != SENTINEL).sum())
        inside[...] = kept
        return f"{outside} values outside the render window were written" if outside else ""
