"""The one place that imports Qt: PySide6, or PySide2 in hosts that are older.

Everything else says ``from semblance_panel.qt import QtCore, QtGui, QtWidgets``. What the two
spell differently is behind a function here.
"""

from __future__ import annotations

import sys
from typing import Any

from semblance.errors import EnvironmentFault, MissingPackageError

try:
    from PySide6 import QtCore, QtGui, QtWidgets
except ModuleNotFoundError:
    try:
        from PySide2 import QtCore, QtGui, QtWidgets  # type: ignore[import-not-found, no-redef, unused-ignore]
    except ModuleNotFoundError as error:
        raise MissingPackageError("PySide6", "panel") from error

if QtCore.qVersion() == "6.12.0" and sys.version_info < (3, 12):
    # PySide6's `emit` gives up a reference of True there; the process ends when none is left.
    raise EnvironmentFault(
        "PySide6 6.12.0 ends a Python before 3.12 after some hundred signals",
        'Install another one: pip install "PySide6-Essentials!=6.12.0".',
    )

__all__ = ["QtCore", "QtGui", "QtWidgets", "action", "position"]

Qt6 = QtCore.qVersion().startswith("6")


def position(event: QtGui.QMouseEvent) -> QtCore.QPointF:
    """Return where in its widget a mouse event happened."""
    return event.position() if Qt6 else event.localPos()


def action(text: str, parent: QtCore.QObject) -> QtGui.QAction:
    """Return a new action; its class has moved between the two."""
    home: Any = QtGui if Qt6 else QtWidgets
    made: QtGui.QAction = home.QAction(text, parent)
    return made
