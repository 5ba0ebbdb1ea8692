"""The wipe movie: plate and result in one picture, with a line between them that travels.

H.264 with what a review room expects: BT.709 in limited range and tagged so, square pixels, even
sizes, one frame of the movie for each frame of the shot, at the plate's own rate. The picture is
coded by the sRGB curve, as on every other page of a review: that is how browsers and most players
show a movie that is tagged BT.709, so a still beside it matches.

References
----------
ITU-R BT.709-6, items 3.2 to 3.5 (Y′CbCr and its digital codes); ITU-T H.273, tables 2 to 4 (tags).
"""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Any, Final

import av
import av.codec
import av.error
import cv2
import numpy as np
from av.video.reformatter import ColorRange, Colorspace
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from semblance.errors import EnvironmentFault, OutputError
from semblance.plate import Plate, Window
from semblance.provenance import SOURCE_TYPE
from semblance.review.files import Seal, unsealed, written
from semblance.review.material import Look, Picture, codes

__all__ = ["DEFAULT_RATE", "WipeMovie", "frame_rate", "movie_size", "on_canvas"]

DEFAULT_RATE: Final = Fraction(24)
"""Frames per second where the plate names none."""

_LARGEST: Final = (1920, 1080)
_SWEEP_SECONDS: Final = 4.0
"""Time in which the line crosses the picture and comes back."""

_REST: Final = 0.1
"""Share of a crossing for which the line rests at either side: each picture is seen whole."""

_LINE: Final = 2
_INK, _DIM, _PAPER = (235, 235, 235), (160, 160, 160), (24, 24, 24)
_BT709: Final = 1
"""Primaries, transfer and matrix of BT.709 all have this number in ITU-T H.273."""

_CODES: Final = np.array(
    [
        [0.2126, 0.7152, 0.0722],
        [-0.2126 / 1.8556, -0.7152 / 1.8556, 0.5],
        [0.5, -0.7152 / 1.5748, -0.0722 / 1.5748],
    ],
    np.float32,
) * np.array([[219.0], [224.0], [224.0]], np.float32)
"""R′G′B′ in 0..1 to Y′CbCr in 8-bit codes, before 16 and 128 are added."""


def frame_rate(metadata: Mapping[str, Any]) -> Fraction:
    """Return a plate's frames per second (the attribute ``framesPerSecond``), or `DEFAULT_RATE`.

    Parameters
    ----------
    metadata : mapping
        The plate's attributes; what is no rate between 1 and 240 counts as none.
    """
    given = metadata.get("framesPerSecond")
    value = getattr(given, "value", given)
    try:
        rate = Fraction(*value) if isinstance(value, tuple) else Fraction(value or 0)
    except (TypeError, ValueError, ZeroDivisionError, OverflowError):
        return DEFAULT_RATE
    return rate.limit_denominator(1001) if 1 <= rate <= 240 else DEFAULT_RATE


def movie_size(display: Window, pixel_aspect: float) -> tuple[int, int]:
    """Return width and height of a plate's picture in the movie.

    Parameters
    ----------
    display : Window
        Shown whole; never enlarged, and at most 1920 × 1080.
    pixel_aspect : float
        Taken out: the movie's pixels are square.

    Returns
    -------
    (int, int)
        Both even, because chroma is sampled for every second pixel.
    """
    width = max(display.width, 1) * (pixel_aspect if pixel_aspect > 0.0 else 1.0)
    height = float(max(display.height, 1))
    scale = min(1.0, _LARGEST[0] / width, _LARGEST[1] / height)
    return max(2 * round(width * scale / 2), 2), max(2 * round(height * scale / 2), 2)


def on_canvas(plate: Plate, look: Look, size: tuple[int, int]) -> NDArray[np.uint8]:
    """Return a plate's display window as (height, width, 3) 8-bit sRGB of a size.

    Overscan is cut off, and what the display window has and the data window has not is black.
    """
    display = plate.display_window
    held = display.intersection(plate.data_window)
    picture: Picture = np.zeros((display.height, display.width, 3), np.float32)
    if not held.empty:
        picture[held.slices(display)] = look.picture(plate, held)
    return codes(picture, size)


class WipeMovie:
    """Writes a wipe movie, a frame at a time; the file appears when the block ends.

    Parameters
    ----------
    path : Path
        The movie (.mp4).
    size : (int, int)
        Of the pictures: `movie_size`.
    count : int
        Frames that it will have, by which the line's way is laid out.
    rate : Fraction
        Frames per second.
    caption : str
        Said on every frame.
    seal : Seal
        Signs the movie.

    Raises
    ------
    OutputError
        The movie can't be written there.
    EnvironmentFault
        This machine's PyAV has no encoder for H.264.
    """

    def __init__(
        self,
        path: Path,
        *,
        size: tuple[int, int],
        count: int,
        rate: Fraction = DEFAULT_RATE,
        caption: str = "",
        seal: Seal = unsealed,
    ) -> None:
        self.path = path
        self.size = size
        self.count = count
        self.rate = rate
        self.caption = caption
        self._strip = _Strip(size[0])
        self._writing = written(path, seal)
        self._made = 0

    def __enter__(self) -> WipeMovie:
        """Begin the file."""
        if "libx264" not in av.codec.codecs_available:
            raise EnvironmentFault(
                "PyAV on this machine has no encoder for H.264 (libx264)",
                "Install it from its wheel: pip install --force-reinstall av.",
            )
        partial = self._writing.__enter__()
        width, height = self.canvas
        try:
            self._container = av.open(
                str(partial), "w", format="mp4", options={"movflags": "+faststart"}
            )
        except BaseException as error:
            self._writing.__exit__(type(error), error, error.__traceback__)
            raise
        # What the movie is made of says so, as every other output does.
        self._container.metadata["comment"] = SOURCE_TYPE
        options = {"crf": "16", "preset": "veryfast"}
        stream = self._container.add_stream("libx264", rate=self.rate, options=options)
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        context = stream.codec_context
        context.time_base = 1 / self.rate
        context.gop_size = 12  # a player steps back and forth through it
        context.color_range = ColorRange.MPEG
        context.colorspace = Colorspace.ITU709
        context.color_primaries = context.color_trc = _BT709
        self._stream = stream
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Finish the file, or leave none where the block did not end well."""
        try:
            if error is None:
                self._container.mux(self._stream.encode(None))
            self._container.close()
        except BaseException as late:
            self._writing.__exit__(type(late), late, late.__traceback__)
            raise
        self._writing.__exit__(kind, error, trace)

    @property
    def canvas(self) -> tuple[int, int]:
        """Width and height of the movie: a picture over a strip with words."""
        return max(self.size[0], self._strip.width), self.size[1] + self._strip.height

    def add(
        self, frame: int, plate: NDArray[np.uint8] | None, result: NDArray[np.uint8] | None
    ) -> None:
        """Add the next frame.

        Parameters
        ----------
        frame : int
            Its number.
        plate, result : (h, w, 3) uint8 array or None
            sRGB, of this movie's `size`; where one is None, the frame stands half and half and says
            so.

        Raises
        ------
        OutputError
            The movie can't be written on, for example because the disk is full.
        """
        column = _line(self._made, self.count, self.rate, self.size[0])
        if plate is None or result is None:
            column = self.size[0] // 2
        picture = self._card("no plate", 0.25) if plate is None else plate.copy()
        other = self._card("no result", 0.75) if result is None else result
        picture[:, column:] = other[:, column:]
        if 0 < column < self.size[0]:
            picture[:, max(column - _LINE // 2, 0) : column + _LINE // 2] = _INK
        width, height = self.canvas
        canvas = np.full((height, width, 3), _PAPER, np.uint8)
        left = (width - self.size[0]) // 2
        canvas[: self.size[1], left : left + self.size[0]] = picture
        sides = column > 0, column < self.size[0]
        canvas[self.size[1] :] = self._strip.draw(width, self.caption, frame, sides)
        self.write(canvas)

    def write(self, canvas: NDArray[np.uint8]) -> None:
        """Add a picture of the size `canvas`, (height, width, 3) 8-bit sRGB, as it is."""
        shown = av.VideoFrame.from_ndarray(_limited(canvas), format="yuv420p")
        shown.pts, shown.time_base = self._made, 1 / self.rate
        shown.colorspace, shown.color_range = Colorspace.ITU709, ColorRange.MPEG
        try:
            self._container.mux(self._stream.encode(shown))
        except av.error.FFmpegError as error:
            raise OutputError(
                f"{self.path} can't be written on: {error.strerror}",
                "Make room, or choose another place for it.",
            ) from error
        self._made += 1

    def _card(self, text: str, place: float) -> NDArray[np.uint8]:
        """Return a picture that says what is not there, in the middle of its half."""
        card = Image.new("RGB", self.size, _PAPER)
        middle = (self.size[0] * place, self.size[1] / 2)
        font = ImageFont.load_default(max(self.size[1] / 16, 10.0))
        ImageDraw.Draw(card).text(middle, text, _DIM, font, anchor="mm")
        return np.array(card)


class _Strip:
    """The words under the picture: which side is which, the shot and the frame."""

    def __init__(self, width: int) -> None:
        self.width = max(width, 480)
        self.height = 28 if self.width < 1280 else 40
        self._font = ImageFont.load_default(self.height * 0.5)

    def draw(
        self, width: int, caption: str, frame: int, sides: tuple[bool, bool]
    ) -> NDArray[np.uint8]:
        strip = Image.new("RGB", (width, self.height), _PAPER)
        draw = ImageDraw.Draw(strip)
        middle, edge = self.height / 2, self.height // 2
        inks = [_INK if shown else (90, 90, 90) for shown in sides]
        draw.text((edge, middle), "plate", inks[0], self._font, anchor="lm")
        draw.text((width - edge, middle), "result", inks[1], self._font, anchor="rm")
        side = edge + self._font.getlength("result  ")
        number = f"  {frame}"
        text = self._cut(caption, width - 2 * side - self._font.getlength(number))
        whole = self._font.getlength(text + number)
        start = (width - whole) / 2
        draw.text((start, middle), text, _DIM, self._font, anchor="lm")
        start += self._font.getlength(text)
        draw.text((start, middle), number, _INK, self._font, anchor="lm")
        return np.array(strip)

    def _cut(self, text: str, room: float) -> str:
        """Return as much of a text as there is room for."""
        if self._font.getlength(text) <= room:
            return text
        while text and self._font.getlength(text + "...") > room:
            text = text[:-1]
        return text + "..." if text else ""


def _line(index: int, count: int, rate: Fraction, width: int) -> int:
    """Return the column where the result begins: it comes from the right and goes back."""
    sweeps = max(round(count / rate / _SWEEP_SECONDS), 1)
    way = (index * sweeps / max(count, 1)) % 1.0
    there = 1.0 - abs(2.0 * way - 1.0)
    share = min(max((there - _REST) / (1.0 - 2.0 * _REST), 0.0), 1.0)
    return round(width * (1.0 - share))


def _limited(picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return 8-bit R′G′B′ as the planes of yuv420p: BT.709, limited range, chroma sited left.

    FFmpeg's own conversion takes the matrix from tags that not every version of it reads.
    """
    values = cv2.transform(picture.astype(np.float32) * np.float32(1.0 / 255.0), _CODES)
    luma = np.rint(values[..., 0] + 16.0).astype(np.uint8)
    halved = 0.5 * (values[0::2, :, 1:] + values[1::2, :, 1:])
    wide = cv2.copyMakeBorder(halved, 0, 0, 1, 0, cv2.BORDER_REPLICATE)
    chroma = 0.25 * (wide[:, 0:-1:2] + wide[:, 2::2]) + 0.5 * wide[:, 1::2]
    planes = np.rint(chroma + 128.0).astype(np.uint8)
    flat = [luma.ravel(), planes[..., 0].ravel(), planes[..., 1].ravel()]
    return np.concatenate(flat).reshape(-1, picture.shape[1])
