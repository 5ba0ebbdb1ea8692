"""A plate: one frame's pixels as they are on disk, with the windows and metadata around them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from semblance.errors import PlateError

__all__ = ["Plate", "Window"]


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
    """One frame.

    Parameters
    ----------
    channels : mapping of str to (h, w) array
        Every channel of the part that holds the plate, in file order, over the data window, in the
        file's own type: float16, float32 or uint32. Nothing on the way converts a channel that it
        does not change.
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

    def __post_init__(self) -> None:
        """Check that the channels agree with the data window and hold the picture."""
        shape = (self.data_window.height, self.data_window.width)
        for name, pixels in self.channels.items():
            if pixels.shape != shape:
                raise PlateError(
                    f"channel {name!r} holds {pixels.shape[1]} × {pixels.shape[0]} pixels, "
                    f"the data window {shape[1]} × {shape[0]}",
                    "Write the frame again from its source.",
                )
        missing = [name for name in self.rgb if name not in self.channels]
        if missing:
            raise PlateError(
                f"there is no channel {missing[0]!r}; the file holds {', '.join(self.channels)}",
                "Give a plate with R, G and B channels.",
            )

    def picture(self, window: Window | None = None) -> NDArray[np.float32]:
        """Return the RGB pixels of a window of the data window.

        Returns
        -------
        (h, w, 3) float32 array
            A copy, in the plate's own colour space, premultiplied if the plate is.
        """
        rows, columns = (window or self.data_window).slices(self.data_window)
        return np.stack(
            [np.asarray(self.channels[name][rows, columns], np.float32) for name in self.rgb], -1
        )

    def opacity(self, window: Window | None = None) -> NDArray[np.float32] | None:
        """Return alpha over a window as (h, w) float32, or None where the plate has none."""
        if self.alpha is None:
            return None
        rows, columns = (window or self.data_window).slices(self.data_window)
        return np.asarray(self.channels[self.alpha][rows, columns], np.float32)

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
            Inside the data window.
        where : (h, w) bool array
            Which pixels take the new value. All others keep the file's own bits.

        Returns
        -------
        Plate
            Shares every untouched channel with this one.
        """
        rows, columns = window.slices(self.data_window)
        channels = dict(self.channels)
        for index, name in enumerate(self.rgb):
            old = channels[name]
            new = old.copy()
            values = pixels[..., index]
            if np.issubdtype(old.dtype, np.floating):
                limit = np.finfo(old.dtype).max
                values = np.clip(values, -limit, limit)
            new[rows, columns] = np.where(where, values.astype(old.dtype), old[rows, columns])
            channels[name] = new
        return replace(self, channels=channels)
