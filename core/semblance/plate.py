"""A plate: one frame's pixels as they are on disk, with the windows and metadata around them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from semblance import kernels
from semblance.errors import PlateError

__all__ = ["Plate", "Window", "finite"]


@dataclass(frozen=True, order=True)
class Window:
    """A rectangle of whole pixels, upper bounds exclusive, y down.

    Parameters
    ----------
    x0, y0 : int
        First column and row; may be negative (overscan).
    x1, y1 : int
        One past the last column and row.
    """

    x0: int
    y0: int
    x1: int
    y1: int

    @property
    def width(self) -> int:
        """Columns; 0 when empty."""
        return max(self.x1 - self.x0, 0)

    @property
    def height(self) -> int:
        """Rows; 0 when empty."""
        return max(self.y1 - self.y0, 0)

    @property
    def empty(self) -> bool:
        """Whether there is not one pixel inside."""
        return self.width == 0 or self.height == 0

    def intersection(self, other: Window) -> Window:
        """Return the pixels that both windows hold (possibly none)."""
        return Window(
            max(self.x0, other.x0),
            max(self.y0, other.y0),
            min(self.x1, other.x1),
            min(self.y1, other.y1),
        )

    def contains(self, other: Window) -> bool:
        """Return whether every pixel of the other window is inside this one."""
        return other.empty or self.intersection(other) == other

    def grown(self, pixels: int) -> Window:
        """Return the window with `pixels` more on every side."""
        return Window(self.x0 - pixels, self.y0 - pixels, self.x1 + pixels, self.y1 + pixels)

    def slices(self, within: Window) -> tuple[slice, slice]:
        """Return the row and column slices that cut this window out of an array of `within`."""
        return (
            slice(self.y0 - within.y0, self.y1 - within.y0),
            slice(self.x0 - within.x0, self.x1 - within.x0),
        )


@dataclass(frozen=True)
class Plate:
    """One frame, or a region of it.

    Parameters
    ----------
    channels : mapping of str to (h, w) array
        Every channel of the part that holds the plate, in file order, over `window`, in the file's
        own type: float16, float32 or uint32. Nothing on the way converts a channel that it does not
        change.
    data_window, display_window : Window
        As in the file: y down, upper bounds exclusive.
    rgb : (str, str, str)
        The names of the three channels that carry the picture.
    alpha : str or None
        The name of the channel that premultiplies them, if there is one.
    pixel_aspect : float
        Width of a pixel over its height.
    metadata : mapping
        The header's other attributes, by name.
    compression : str
        The file's compression in OpenImageIO's terms (``zip``, ``dwab:45``, ``none`` …).
    layout : {"scanline", "tiled"}
        How the file stores its pixels; with `tile` the tile's width and height.
    path : Path or None
        The file that the plate was read from.
    region : Window or None
        The pixels that `channels` hold, inside the data window; None where they hold all of it.
    part : int
        Which part of the file the plate is.
    stamp : (int, int) or None
        Size in bytes and time of the last change in nanoseconds of the file that was read, by which
        a writer knows whether it is still the same.
    """

    channels: Mapping[str, NDArray[Any]]
    data_window: Window
    display_window: Window
    rgb: tuple[str, str, str] = ("R", "G", "B")
    alpha: str | None = None
    pixel_aspect: float = 1.0
    metadata: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))
    compression: str = "zip"
    layout: Literal["scanline", "tiled"] = "scanline"
    tile: tuple[int, int] = (0, 0)
    path: Path | None = None
    region: Window | None = None
    part: int = 0
    stamp: tuple[int, int] | None = None

    def __post_init__(self) -> None:
        """Check that the channels agree with what is held and hold the picture."""
        if self.region is not None and not self.data_window.contains(self.region):
            raise ValueError(f"the region {self.region} is not inside {self.data_window}")
        shape = (self.window.height, self.window.width)
        which = "data window" if self.region is None else "region"
        for name, pixels in self.channels.items():
            if pixels.shape != shape:
                raise PlateError(
                    f"channel {name!r} holds {pixels.shape[1]} × {pixels.shape[0]} pixels, "
                    f"the {which} {shape[1]} × {shape[0]}",
                    "Write the frame again from its source.",
                )
        missing = [name for name in self.rgb if name not in self.channels]
        if missing:
            raise PlateError(
                f"there is no channel {missing[0]!r}; the file holds {', '.join(self.channels)}",
                "Give a plate with R, G and B channels.",
            )

    @property
    def window(self) -> Window:
        """The pixels that are held: the region, or the whole data window."""
        return self.data_window if self.region is None else self.region

    def cut(self, window: Window) -> Plate:
        """Return the plate with the pixels of a window alone, which share this one's memory.

        Raises
        ------
        ValueError
            If some of the window's pixels are not held.
        """
        if window.empty:
            window = Window(self.window.x0, self.window.y0, self.window.x0, self.window.y0)
        rows, columns = self._slices(window)
        cut = {name: pixels[rows, columns] for name, pixels in self.channels.items()}
        return replace(self, channels=cut, region=window)

    def picture(self, window: Window | None = None) -> NDArray[np.float32]:
        """Return the RGB pixels of a window, by default of all that is held.

        Returns
        -------
        (h, w, 3) float32 array
            A copy, in the plate's own colour space, premultiplied if the plate is.

        Raises
        ------
        ValueError
            If some of the window's pixels are not held.
        """
        window = self.window if window is None else window
        rows, columns = self._slices(window)
        if window.empty:
            return np.zeros((window.height, window.width, 3), np.float32)
        result = np.empty((window.height, window.width, 3), np.float32)
        red, green, blue = (_in_rows(self.channels[name][rows, columns]) for name in self.rgb)
        kernels.picture(red, green, blue, result)
        return result

    def opacity(self, window: Window | None = None) -> NDArray[np.float32] | None:
        """Return alpha over a window as (h, w) float32, or None where the plate has none.

        Raises
        ------
        ValueError
            If some of the window's pixels are not held.
        """
        window = self.window if window is None else window
        rows, columns = self._slices(window)
        if self.alpha is None:
            return None
        if window.empty:
            return np.zeros((window.height, window.width), np.float32)
        return _converted(self.channels[self.alpha][rows, columns], np.float32)

    def with_picture(
        self, pixels: NDArray[np.float32], window: Window, where: NDArray[np.bool_]
    ) -> Plate:
        """Return the plate with some RGB pixels of a window replaced.

        Parameters
        ----------
        pixels : (h, w, 3) float32 array
            The new picture of `window`; values past a half's range are held at its limit, because
            an infinite pixel would spread through every filter that follows.
        window : Window
            Inside what is held.
        where : (h, w) bool array
            Which pixels take the new value. All others keep the file's own bits.

        Returns
        -------
        Plate
            Shares every untouched channel with this one, and holds the same window.

        Raises
        ------
        ValueError
            If some of the window's pixels are not held.
        """
        rows, columns = self._slices(window)
        if window.empty:
            return self
        channels = dict(self.channels)
        planes = cv2.split(np.ascontiguousarray(pixels, np.float32))
        for name, values in zip(self.rgb, planes, strict=True):
            new = channels[name].copy()
            limit = np.finfo(new.dtype).max
            np.clip(values, -limit, limit, out=values)
            np.copyto(new[rows, columns], _converted(values, new.dtype), where=where)
            channels[name] = new
        return replace(self, channels=channels)

    def with_change(
        self, change: NDArray[np.float32], window: Window, share: NDArray[np.float32]
    ) -> Plate:
        """Return the plate with a share of a change added to the RGB pixels of a window.

        The sum is rounded once, to the channel's own type. What is not a number in the plate counts
        as 0 and an infinity as a half's limit, where they are changed.

        Parameters
        ----------
        change : (h, w, 3) float32 array
            In the plate's own colour space, premultiplied as the plate is.
        window : Window
            Inside what is held.
        share : (h, w) float32 array
            How much of the change. Where it is 0 pixels keep the file's own bits.

        Returns
        -------
        Plate
            As `with_picture`.

        Raises
        ------
        ValueError
            If some of the window's pixels are not held.
        """
        rows, columns = self._slices(window)
        if window.empty:
            return self
        channels = dict(self.channels)
        for name in self.rgb:
            channels[name] = channels[name].copy()
        red, green, blue = (channels[name][rows, columns] for name in self.rgb)
        kernels.add(red, green, blue, change, share)
        return replace(self, channels=channels)

    def _slices(self, window: Window) -> tuple[slice, slice]:
        """Return where a window lies in the channels, or refuse one that is not held."""
        if not self.window.contains(window):
            raise ValueError(f"the plate holds {self.window}, asked for {window}")
        return (slice(0), slice(0)) if window.empty else window.slices(self.window)


def finite(pixels: NDArray[np.float32]) -> NDArray[np.float32]:
    """Replace what is not a number by 0 and infinities by a half's limit; a copy if needed."""
    if math.isfinite(float(pixels.max(initial=0.0)) - float(pixels.min(initial=0.0))):
        return pixels
    return np.nan_to_num(pixels, nan=0.0, posinf=65504.0, neginf=-65504.0)


def _in_rows(pixels: NDArray[Any]) -> NDArray[Any]:
    """Return pixels whose rows are contiguous."""
    return pixels if pixels.strides[1] == pixels.itemsize else np.ascontiguousarray(pixels)


def _converted(pixels: NDArray[Any], dtype: Any) -> NDArray[Any]:
    """Return pixels in another float type, rounded to nearest even.

    OpenCV uses the processor's own conversion of halves, NumPy does not: it takes ten times as
    long. The difference to 0 keeps the sign of a 0, which the sum with 0 does not.
    """
    if pixels.dtype == dtype:
        return pixels
    nothing: Any = 0.0  # which the stubs of OpenCV know as an array alone
    depth = cv2.CV_16F if np.dtype(dtype) == np.float16 else cv2.CV_32F
    return np.asarray(cv2.subtract(pixels, nothing, dtype=depth))
