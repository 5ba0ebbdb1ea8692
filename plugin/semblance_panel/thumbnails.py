"""Thumbnails from the live worker: matte, patch and result of the frame, cut to the face.

One thread asks, over a connection of its own, so that neither the GUI nor a host's renders wait.
A newer request takes an older one's place after the view in work. Standard library only; the pixels
come from who has them (`Plates`): the host's reader, or a viewer.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import Final, Protocol, cast

from semblance.errors import Cancelled, SemblanceError
from semblance.knobs import Knobs, ViewKnobs
from semblance.worker import protocol
from semblance.worker.client import Frame, Link, WorkerGone
from semblance.worker.protocol import Rectangle
from semblance_panel.providers import VIEWS, Picture

__all__ = ["PlateFrame", "Plates", "WorkerThumbnails", "thumbnail"]

Deliver = Callable[[Picture], None]

SIDE: Final = 112
"""Pixels of a thumbnail's longer side."""

_INSTANCE: Final = 1 << 40
"""Apart from the numbers that the nodes of this process have."""

_SHADES: Final = 4096
"""Steps between black and white of the table below."""


@dataclass(frozen=True)
class PlateFrame:
    """A frame's pixels.

    Parameters
    ----------
    width, height : int
        Of the display window, which is also the frame that the track was made in.
    rgba : bytes-like
        float32 red, green, blue, alpha a pixel, scene-linear or in the plate's own space as the
        knobs say; top row first, tightly packed.
    pixel_aspect : float
        Of the plate.
    space : str
        The colour space that the plate's header names, for a knob `input_space` of auto: the worker
        sees no header.
    """

    width: int
    height: int
    rgba: bytes | bytearray | memoryview
    pixel_aspect: float = 1.0
    space: str = "auto"


class Plates(Protocol):
    """Where pixels come from; called on the thumbnails' thread."""

    def frame(self, number: int) -> PlateFrame:
        """Return a frame.

        Raises
        ------
        SemblanceError
            It can't be read.
        """


class WorkerThumbnails:
    """Asks the worker; a context manager, and a `Thumbnails` for the panel.

    Parameters
    ----------
    plates : Plates
    directory : Path, optional
        The worker's runtime directory; the user's by default.
    command : list of str, optional
        What starts a worker where none runs, as `Link.open` takes it.
    """

    def __init__(
        self,
        plates: Plates,
        directory: Path | None = None,
        command: list[str] | None = None,
    ) -> None:
        self._plates = plates
        self._directory = directory
        self._command = command
        self._next: tuple[Knobs, int, Deliver] | None = None
        self._wake = threading.Condition()
        self._closed = False
        self._link: Link | None = None
        self._thread = threading.Thread(target=self._run, name="thumbnails", daemon=True)
        self._thread.start()

    def ask(self, knobs: Knobs, frame: int, deliver: Deliver) -> None:
        """Begin the pictures of a frame; what is under way is dropped."""
        with self._wake:
            self._next = (knobs, frame, deliver)
            self._wake.notify()

    def close(self) -> None:
        """Stop; the worker goes on for others."""
        with self._wake:
            self._closed = True
            self._next = None
            self._wake.notify()
        self._thread.join(timeout=10.0)

    def __enter__(self) -> WorkerThumbnails:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    # --- on the thread ---------------------------------------------------------------------

    def _run(self) -> None:
        while True:
            with self._wake:
                self._wake.wait_for(lambda: self._closed or self._next is not None)
                if self._closed:
                    break
                asked, self._next = self._next, None
            assert asked is not None
            self._answer(*asked)
        if self._link is not None:
            self._link.close()

    def _answer(self, knobs: Knobs, number: int, deliver: Deliver) -> None:
        """Deliver all views, or the reason why they can't be had, to each its own."""
        # The result first: it says where the face is, and the others are cut to that.
        cut: Rectangle | None = None
        for view in reversed(VIEWS):
            if self._stale():
                return
            try:
                frame, plate = self._rendered(knobs, number, view, cut)
            except Cancelled:
                return
            except SemblanceError as error:
                deliver(Picture(view, message=str(error)))
                continue
            if protocol.is_empty(frame.region.rectangle):
                deliver(Picture(view, message=frame.region.message or "no face in this frame"))
                continue
            cut = cut or frame.region.rectangle
            message = frame.done.note if view == "result" else ""
            deliver(replace(thumbnail(frame, plate, cut, view), message=message))

    def _stale(self) -> bool:
        with self._wake:
            return self._closed or self._next is not None

    def _rendered(
        self, knobs: Knobs, number: int, view: str, cut: Rectangle | None
    ) -> tuple[Frame, PlateFrame]:
        plate = self._plates.frame(number)
        looked = replace(knobs, view=ViewKnobs(view=view))  # type: ignore[arg-type]
        if looked.colour.input_space == "auto":
            looked = replace(looked, colour=replace(looked.colour, input_space=plate.space))
        plan = planned(plate, number, looked, cut)

        def fill(rectangle: Rectangle, pixels: memoryview, mask: memoryview | None) -> None:
            _copy(plate, rectangle, pixels)

        try:
            return self._connected().frame(plan, fill), plate
        except WorkerGone:
            self._link = None
            return self._connected().frame(plan, fill), plate

    def _connected(self) -> Link:
        if self._link is None:
            self._link = Link.open(self._directory, command=self._command, name="semblance panel")
        return self._link


def planned(
    plate: PlateFrame, number: int, knobs: Knobs, window: Rectangle | None
) -> protocol.Plan:
    """Return the request for a frame, or for a part of it (y up, as the protocol counts)."""
    whole = (0, 0, plate.width, plate.height)
    return protocol.Plan(
        instance=_INSTANCE,
        time=float(number),
        scale=(1.0, 1.0),
        pixel_aspect=plate.pixel_aspect,
        bounds=whole,
        display=(0.0, 0.0, plate.width * plate.pixel_aspect, float(plate.height)),
        window=window or whole,
        components=4,
        premultiplied=0,
        mask=0,
        knobs=protocol.encode_knobs(knobs),
    )


def thumbnail(frame: Frame, plate: PlateFrame, cut: Rectangle, view: str) -> Picture:
    """Return a small picture of a part of a frame, encoded for display.

    Parameters
    ----------
    frame : Frame
        What the worker answered; where it changed nothing, the plate is shown.
    plate : PlateFrame
    cut : Rectangle
        The part, in the plate's pixels, y up.
    view : str
        One of `VIEWS`; a matte is no light and is shown as it is.

    Returns
    -------
    Picture
        By sRGB's curve without a view transform (IEC 61966-2-1); the nearest pixels.
    """
    x1, y1, x2, y2 = cut
    factor = max(x2 - x1, y2 - y1) / SIDE
    width, height = max(int((x2 - x1) / factor), 1), max(int((y2 - y1) / factor), 1)
    columns = [x1 + int((x + 0.5) * factor) for x in range(width)]
    source = memoryview(plate.rgba).cast("B").cast("f")
    result = frame.result.cast("f") if frame.result.nbytes else frame.result
    left, _, right, top = frame.region.rectangle
    changed = frame.done.changed
    table = _PLAIN if view == "matte" else _SRGB
    rgb = bytearray()
    for line in range(height):
        y = y2 - 1 - int((line + 0.5) * factor)  # y up, of the pixel
        for x in columns:
            if changed[0] <= x < changed[2] and changed[1] <= y < changed[3]:
                at, pixels = 4 * ((top - 1 - y) * (right - left) + x - left), result
            else:
                at, pixels = 4 * ((plate.height - 1 - y) * plate.width + x), source
            rgb += _encoded(cast("Sequence[float]", pixels[at : at + 3]), table)
    return Picture(view, width, height, bytes(rgb))


def _encoded(linear: Sequence[float], table: Sequence[int]) -> bytes:
    # `not 0 < value` takes in what is no number.
    return bytes(
        0 if not value > 0.0 else 255 if value >= 1.0 else table[int(value * _SHADES)]
        for value in linear
    )


def _srgb(value: float) -> int:
    encoded = 12.92 * value if value <= 0.0031308 else 1.055 * value ** (1.0 / 2.4) - 0.055
    return int(255.0 * encoded + 0.5)


_SRGB: Final = tuple(_srgb((shade + 0.5) / _SHADES) for shade in range(_SHADES))
_PLAIN: Final = tuple(int(255.0 * (shade + 0.5) / _SHADES + 0.5) for shade in range(_SHADES))


def _copy(plate: PlateFrame, rectangle: Rectangle, pixels: memoryview) -> None:
    """Copy a part of the plate into the slot, row by row from the top."""
    x1, y1, x2, y2 = rectangle
    rows = memoryview(plate.rgba).cast("B")
    length = 16 * (x2 - x1)
    for line, y in enumerate(range(plate.height - y2, plate.height - y1)):
        at = 16 * (y * plate.width + x1)
        pixels[line * length : (line + 1) * length] = rows[at : at + length]
