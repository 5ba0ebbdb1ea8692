"""What the window asks of others: a worker of its own, and thumbnails from it.

No Qt. Everything answers from threads of its own.
"""

from __future__ import annotations

import os
import shutil
import signal
import tempfile
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from semblance import colour
from semblance.plate import Plate
from semblance.worker.client import Link
from semblance.worker.protocol import WorkerError
from semblance_panel.thumbnails import PlateFrame
from semblance_viewer.engine import Engine
from semblance_viewer.renderjob import PROGRAM

__all__ = ["EnginePlates", "Trust", "Worker", "plate_frame"]


@dataclass(frozen=True)
class Trust:
    """Whose releases count, and for what.

    Parameters
    ----------
    keys : tuple of Path
        Public keys, or folders of them, besides the user's own.
    production : str or None
        The production in work.
    """

    keys: tuple[Path, ...] = ()
    production: str | None = None

    def options(self) -> list[str]:
        """Return the options of the command line that say so."""
        words = [word for key in self.keys for word in ("--trust", str(key))]
        return words + (["--production", self.production] if self.production else [])


@dataclass
class Worker:
    """Which worker renders: the user's own, or one of this window's where it trusts others.

    A worker serves all hosts of a user and trusts as it was started. Who opens a window with
    ``--trust`` gets another one, in a runtime directory that goes with the window.
    """

    trust: Trust
    directory: Path | None = field(default=None, init=False)
    command: list[str] = field(init=False)

    def __post_init__(self) -> None:
        """Make the private directory where one is needed."""
        options = self.trust.options()
        self.command = [*PROGRAM, "serve", *options]
        if options:
            self.directory = Path(tempfile.mkdtemp(prefix="semblance-view-"))

    def close(self) -> None:
        """End the private worker and remove its directory; the user's own goes on for others."""
        if self.directory is None:
            return
        with suppress(WorkerError, OSError), self._link() as link:
            os.kill(link.welcome.pid, signal.SIGTERM)
        shutil.rmtree(self.directory, ignore_errors=True)
        self.directory = None

    def _link(self) -> Link:
        return Link.open(self.directory, starting=False, seconds=2.0)


class EnginePlates:
    """Plates for the thumbnails: from the engine where it has them, else from their files.

    Parameters
    ----------
    engine : Engine
    read : callable
        Reads a frame's plate; may raise `SemblanceError`.
    """

    def __init__(self, engine: Engine, read: Callable[[int], Plate]) -> None:
        self._engine = engine
        self._read = read
        self._last: tuple[Plate, PlateFrame] | None = None

    def frame(self, number: int) -> PlateFrame:
        """Return a frame's pixels over its display window."""
        plate = self._engine.plate(number) or self._read(number)
        if self._last is None or self._last[0] is not plate:
            self._last = (plate, plate_frame(plate))
        return self._last[1]


def plate_frame(plate: Plate) -> PlateFrame:
    """Return a plate over its display window: float32 RGBA, 0 where it holds no pixels."""
    display = plate.display_window
    rgba = np.zeros((display.height, display.width, 4), np.float32)
    shared = plate.window.intersection(display)
    if not shared.empty:
        there = rgba[shared.slices(display)]
        there[..., :3] = plate.picture(shared)
        opacity = plate.opacity(shared)
        there[..., 3] = 1.0 if opacity is None else opacity
    space = colour.resolve_space("auto", plate.metadata)
    return PlateFrame(display.width, display.height, rgba.data, plate.pixel_aspect, space)
