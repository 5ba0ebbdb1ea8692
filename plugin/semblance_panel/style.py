"""How the panel looks: the host's palette where there is one, the hosts' dark grey where not.

Everything that is painted here takes its colours from the widget's palette; only what a colour
means by itself (animated, found, lost) is named below, light enough to be read on dark grey.
"""

from __future__ import annotations

from semblance_panel.qt import QtGui, QtWidgets

__all__ = [
    "AMBER",
    "ANIMATED",
    "GREEN",
    "RED",
    "REFUSED",
    "WHITE",
    "dark_palette",
    "dress",
    "mixed",
    "tab_sheet",
    "tinted",
]

ANIMATED = QtGui.QColor(72, 118, 172)
"""Behind the field of a knob that a curve moves, as in Nuke."""

REFUSED = QtGui.QColor(122, 44, 40)
"""Behind what was entered and is not accepted."""

GREEN = QtGui.QColor(120, 186, 112)
WHITE = QtGui.QColor(255, 255, 255)
AMBER = QtGui.QColor(226, 166, 64)
RED = QtGui.QColor(226, 96, 88)


def dark_palette() -> QtGui.QPalette:
    """Return the palette of a compositing host: neutral greys, so that no picture looks tinted."""
    role = QtGui.QPalette.ColorRole
    greys = {
        role.Window: 50,
        role.WindowText: 205,
        role.Base: 36,
        role.AlternateBase: 44,
        role.Text: 215,
        role.PlaceholderText: 135,
        role.Button: 66,
        role.ButtonText: 210,
        role.BrightText: 255,
        role.ToolTipBase: 28,
        role.ToolTipText: 220,
        role.Light: 96,
        role.Midlight: 80,
        role.Mid: 38,
        role.Dark: 30,
        role.Shadow: 16,
    }
    palette = QtGui.QPalette()
    for part, grey in greys.items():
        palette.setColor(part, QtGui.QColor(grey, grey, grey))
    palette.setColor(role.Highlight, QtGui.QColor(228, 144, 58))
    palette.setColor(role.HighlightedText, QtGui.QColor(20, 20, 20))
    off = QtGui.QPalette.ColorGroup.Disabled
    for part in (role.WindowText, role.Text, role.ButtonText):
        palette.setColor(off, part, QtGui.QColor(125, 125, 125))
    return palette


def dress(application: QtWidgets.QApplication) -> None:
    """Give a stand-alone application the dark look; in a host, leave the host's alone."""
    application.setStyle("Fusion")
    application.setPalette(dark_palette())


def mixed(one: QtGui.QColor, other: QtGui.QColor, share: float) -> QtGui.QColor:
    """Return a colour between two; 0 is the first, 1 the other."""
    return QtGui.QColor.fromRgbF(
        one.redF() + share * (other.redF() - one.redF()),
        one.greenF() + share * (other.greenF() - one.greenF()),
        one.blueF() + share * (other.blueF() - one.blueF()),
    )


def tab_sheet() -> str:
    """Return a look of tabs that needs so little room that all are seen in a narrow dock."""
    return (
        "QTabBar::tab { padding: 5px 8px; border: 1px solid palette(dark); border-bottom: none;"
        " background: palette(mid); color: palette(window-text); }"
        "QTabBar::tab:selected { background: palette(button); }"
        "QTabBar::tab:disabled { color: palette(midlight); }"
    )


def tinted(behind: QtGui.QColor | None = None, text: QtGui.QColor | None = None) -> QtGui.QPalette:
    """Return a palette that changes two colours of a control and inherits all others.

    Palettes, because a style sheet would cut a control off from its host's palette.
    """
    role = QtGui.QPalette.ColorRole
    palette = QtGui.QPalette()
    for part in (role.Base, role.Button):
        if behind is not None:
            palette.setColor(part, behind)
    for part in (role.Text, role.ButtonText, role.WindowText):
        if text is not None:
            palette.setColor(part, text)
    return palette
