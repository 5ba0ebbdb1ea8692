"""Lines of text below the picture: what a person should know, and the pixel under the pointer."""

from __future__ import annotations

from typing import Final

from semblance_panel.qt import QtCore, QtGui, QtWidgets
from semblance_panel.style import AMBER, RED, mixed, tinted

__all__ = ["InfoLine", "ProbeLine", "written_value"]

Qt = QtCore.Qt
Role = QtGui.QPalette.ColorRole
RGBA = tuple[float, float, float, float]

_CHANNEL_COLOURS: Final = ("#e89a94", "#9fd398", "#9db8f0", "#c4c4c4")


class InfoLine(QtWidgets.QLabel):
    """What went wrong, else what is to be known of the frame, else what the plate is."""

    def __init__(self) -> None:
        super().__init__()
        self.setObjectName("info")
        self.setWordWrap(True)
        self.setTextFormat(Qt.TextFormat.PlainText)
        self.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        self.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        self.setContentsMargins(10, 2, 10, 0)
        self._error = self._note = self._facts = ""

    @property
    def error(self) -> str:
        """What went wrong; empty where nothing did."""
        return self._error

    @property
    def note(self) -> str:
        """What is to be known of the frame."""
        return self._note

    def say(self, error: str) -> None:
        """Say what went wrong, or that nothing is wrong any more."""
        self._error = error
        self._show()

    def tell(self, note: str) -> None:
        """Say what is to be known of the frame."""
        self._note = note
        self._show()

    def describe(self, facts: str) -> None:
        """Say what the plate is."""
        self._facts = facts
        self._show()

    def _show(self) -> None:
        text = self._error or self._note or self._facts
        if text != self.text():
            self.setText(text)
        palette = QtGui.QGuiApplication.palette()  # this label's own one is what is set here
        quiet = mixed(palette.color(Role.Window), palette.color(Role.Text), 0.7)
        self.setPalette(tinted(text=RED if self._error else AMBER if self._note else quiet))


class ProbeLine(QtWidgets.QWidget):
    """Float values of plate and result under the pointer, one above the other."""

    def __init__(self) -> None:
        super().__init__()
        self.setObjectName("probe")
        font = QtGui.QFontDatabase.systemFont(QtGui.QFontDatabase.SystemFont.FixedFont)
        font.setPointSizeF(self.font().pointSizeF())
        letter = QtGui.QFontMetrics(font).horizontalAdvance("0")
        grid = QtWidgets.QGridLayout(self)
        grid.setContentsMargins(10, 0, 10, 0)
        grid.setHorizontalSpacing(8)
        grid.setVerticalSpacing(0)
        grid.setColumnStretch(1, 1)
        self.labels: dict[str, QtWidgets.QLabel] = {}
        for place, (name, letters) in enumerate(
            (("place", 16), ("plate", 52), ("rate", 16), ("result", 52))
        ):
            label = self.labels[name] = _Column(letter * letters)
            label.setObjectName(f"probe_{name}")
            label.setFont(font)
            label.setTextFormat(Qt.TextFormat.RichText)
            grid.addWidget(label, place // 2, place % 2)
        self.show_nothing()

    def show_nothing(self) -> None:
        """Show that the pointer is nowhere."""
        self.show_pixel(None, None, None)

    def show_pixel(
        self, place: tuple[int, int] | None, plate: RGBA | None, result: RGBA | None
    ) -> None:
        """Show a pixel of the display window, counted from its upper left corner.

        Parameters
        ----------
        place : (int, int) or None
            Column and row.
        plate, result : (r, g, b, a) or None
            In the plate's own colour space.
        """
        where = "x –  y –" if place is None else f"x {place[0]}  y {place[1]}"
        self.labels["place"].setText(_kept(f"{where:<16}"))
        self.labels["plate"].setText(_coloured("plate ", plate))
        self.labels["result"].setText(_coloured("result", result))

    def show_rate(self, fps: float) -> None:
        """Show how many frames a second are played, or none."""
        self.labels["rate"].setText(f"{fps:.1f} fps" if fps else "")


class _Column(QtWidgets.QLabel):
    """A label as wide as it is told; a narrow window cuts it off and is not held open by it."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self._width = width

    def sizeHint(self) -> QtCore.QSize:
        return QtCore.QSize(self._width, super().sizeHint().height())

    def minimumSizeHint(self) -> QtCore.QSize:
        return QtCore.QSize(0, super().minimumSizeHint().height())


def written_value(value: float) -> str:
    """Return a pixel's value in eleven letters: no value of a half looks like another one's.

    >>> written_value(0.18), written_value(6.1e-05), written_value(50.0)
    ('   0.180000', '  6.100e-05', '  50.000000')
    """
    plain = value == 0.0 or 1e-3 <= abs(value) < 1000.0
    return f"{value:11.6f}" if plain else f"{value:11.3e}"


def _coloured(name: str, values: RGBA | None) -> str:
    if values is None:
        return _kept(f"{name} {'–':>11}")
    words = (
        f'<span style="color:{colour}">{_kept(written_value(value))}</span>'
        for colour, value in zip(_CHANNEL_COLOURS, values)
    )
    return _kept(f"{name} ") + "".join(words)


def _kept(text: str) -> str:
    """Return a text whose spaces rich text does not swallow."""
    return text.replace(" ", "&nbsp;")
