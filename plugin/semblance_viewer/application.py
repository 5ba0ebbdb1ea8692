"""The program: one window in an application of its own, from a command line to its exit code."""

from __future__ import annotations

import signal
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from semblance_panel import style
from semblance_panel.qt import QtCore, QtWidgets
from semblance_viewer.display import default_look, displays
from semblance_viewer.services import Trust
from semblance_viewer.window import Viewer

__all__ = ["run"]

_SIZE: Final = (1480, 900)
_LISTEN_MS: Final = 200


def run(
    plate: str | None,
    *,
    preset: Path | None,
    values: Mapping[str, Any],
    trust: Trust,
    part: str | None,
    cache_mb: float,
) -> int:
    """Show the window until it is closed.

    Parameters
    ----------
    plate : str or None
        A pattern, a frame, or a folder of frames.
    preset : Path or None
        Knobs to begin with.
    values : mapping
        Knobs that go before those.
    trust : Trust
    part : str or None
    cache_mb : float
        Memory for plates and results, in MiB.

    Returns
    -------
    int
        The exit code.

    Raises
    ------
    SemblanceError
        Plate or preset can't be opened.
    """
    application = QtWidgets.QApplication.instance() or QtWidgets.QApplication(["semblance"])
    assert isinstance(application, QtWidgets.QApplication)
    application.setApplicationName("Semblance")
    style.dress(application)
    _end_at_signals(application)
    viewer = Viewer(displays(), default_look(), trust=trust, part=part, cache_mb=cache_mb)
    try:
        viewer.presets.begin_with(preset, values)
        if plate is not None:
            viewer.open(plate)
        viewer.resize(_fitting(application))
        viewer.show()
        return int(application.exec())
    finally:
        viewer.shutdown()


def _fitting(application: QtWidgets.QApplication) -> QtCore.QSize:
    """Return the window's size, held to the screen's."""
    room = application.primaryScreen().availableSize()
    return QtCore.QSize(min(_SIZE[0], room.width()), min(_SIZE[1], room.height()))


def _end_at_signals(application: QtWidgets.QApplication) -> None:
    """End cleanly at Ctrl-C and SIGTERM, which Python hears only when it runs.

    A signal is kept until the event loop is there: to quit before would be forgotten.
    """
    heard: list[int] = []
    for each in (signal.SIGINT, signal.SIGTERM):
        signal.signal(each, lambda number, frame: heard.append(number))
    timer = QtCore.QTimer(application)
    timer.timeout.connect(lambda: application.quit() if heard else None)
    timer.start(_LISTEN_MS)
