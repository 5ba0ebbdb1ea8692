"""Above the picture: how it is shown, what it is compared with, and which tool has the pointer."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from functools import partial
from typing import Any, Final

from semblance_panel.controls import NumberField, Slider
from semblance_panel.qt import QtCore, QtWidgets
from semblance_viewer.canvas import COMPARE
from semblance_viewer.display import CHANNELS, Look

__all__ = ["COMPARE_WORDS", "CompareBar", "LookBar", "Number"]

Qt = QtCore.Qt

COMPARE_WORDS: Final[Mapping[str, tuple[str, str]]] = {
    "plate": ("Plate", "The plate as it is in its file (1)"),
    "result": ("Result", "The plate with the likeness over it (2)"),
    "wipe": ("Wipe", "Plate and result on either side of a line that is dragged (3, W)"),
    "difference": ("Difference", "How far the result is from the plate, times the gain (4)"),
}

_CHANNEL_WORDS: Final = {
    "rgb": "RGB", "r": "Red", "g": "Green", "b": "Blue", "a": "Alpha", "luma": "Luma",
}  # fmt: skip


class Number(QtWidgets.QWidget):
    """A label, a field and a slider for one number of the viewer.

    Parameters
    ----------
    label, tip : str
    span : (float, float)
        What the slider spans.
    limits : (float, float)
        What is accepted.
    default : float
        At a double click on the slider or the label.

    Signals
    -------
    changed(float)
    """

    changed = QtCore.Signal(float)

    def __init__(
        self,
        label: str,
        tip: str,
        span: tuple[float, float],
        limits: tuple[float, float],
        default: float,
        step: float,
    ) -> None:
        super().__init__()
        self.value = default
        self._limits = limits
        self._default = default
        self.label = QtWidgets.QLabel(label)
        self.label.installEventFilter(self)
        self.field = NumberField(step, False)
        self.field.setAccessibleName(label)
        self.field.setFixedWidth(self.fontMetrics().horizontalAdvance("−00.000") + 12)
        self.slider = Slider(span, default, False)
        self.slider.setAccessibleName(label)
        self.slider.setFixedWidth(6 * self.fontMetrics().height())
        self.setToolTip(tip)
        line = QtWidgets.QHBoxLayout(self)
        line.setContentsMargins(8, 0, 4, 0)
        line.setSpacing(6)
        for each in (self.label, self.field, self.slider):
            line.addWidget(each)
        self.field.typed.connect(self._typed)
        self.field.stepped.connect(lambda by: self.set(self.value + by))
        self.slider.dragged.connect(self.set)
        self.slider.stepped.connect(self.set)
        self.slider.reset.connect(self.reset)
        policy = QtWidgets.QSizePolicy.Policy
        self.setSizePolicy(policy.Fixed, policy.Fixed)
        self._show()

    def set(self, value: float) -> None:
        """Take a value, held to the limits."""
        value = min(max(round(value, 6), self._limits[0]), self._limits[1])
        different, self.value = value != self.value, value
        self._show()
        if different:
            self.changed.emit(value)

    def reset(self) -> None:
        """Take the default."""
        self.set(self._default)

    def eventFilter(self, watched: QtCore.QObject, event: QtCore.QEvent) -> bool:
        """Reset at a double click on the label."""
        if watched is self.label and event.type() == QtCore.QEvent.Type.MouseButtonDblClick:
            self.reset()
            return True
        return bool(super().eventFilter(watched, event))

    def _typed(self, text: str) -> None:
        try:
            self.set(float(text.strip().replace(",", ".")))
        except ValueError:
            self._show()

    def _show(self) -> None:
        self.field.show_value(self.value)
        self.slider.show_value(self.value)


class LookBar(QtWidgets.QToolBar):
    """How the picture is shown; nothing of it reaches a file.

    Parameters
    ----------
    displays : mapping of str to tuple of str
        The config's displays and their views.
    look : Look
        The one to begin with.

    Signals
    -------
    look_changed(Look)
    """

    look_changed = QtCore.Signal(object)

    def __init__(self, displays: Mapping[str, tuple[str, ...]], look: Look) -> None:
        super().__init__("Display")
        self.setObjectName("look_bar")
        self.setMovable(False)
        self.look = look
        self._displays = displays
        self.display = _drop_down("Display", "The display that the picture is made for", 15)
        self.view = _drop_down("View", "The view transform of that display", 19)
        self.exposure = Number(
            "Exposure", "Stops, for looking only; double-click resets",
            (-6.0, 6.0), (-20.0, 20.0), 0.0, 0.1,
        )  # fmt: skip
        self.gamma = Number(
            "Gamma", "For looking only; double-click resets", (0.2, 3.0), (0.05, 10.0), 1.0, 0.1
        )
        self.channel = _drop_down("Channel", "What is shown (R, G, B, A, Y; again: RGB)", 6)
        _fill(self.display, displays)
        _fill(self.channel, [_CHANNEL_WORDS[each] for each in CHANNELS])
        for widget in (self.display, self.view):
            self.addWidget(widget)
        self.addSeparator()
        self.addWidget(self.exposure)
        self.addWidget(self.gamma)
        self.addSeparator()
        self.addWidget(self.channel)
        self._show()
        self.display.activated.connect(lambda: self._choose_display(self.display.currentText()))
        self.view.activated.connect(lambda: self._take(view=self.view.currentText()))
        self.exposure.changed.connect(lambda stops: self._take(exposure=stops))
        self.gamma.changed.connect(lambda gamma: self._take(gamma=gamma))
        self.channel.activated.connect(lambda place: self._take(channel=CHANNELS[place]))

    def toggle_channel(self, channel: str) -> None:
        """Show one channel, or all of them again."""
        self._take(channel="rgb" if self.look.channel == channel else channel)

    def _choose_display(self, display: str) -> None:
        views = self._displays[display]
        view = self.look.view if self.look.view in views else views[0]
        self._take(display=display, view=view)

    def _take(self, **changed: Any) -> None:
        look = replace(self.look, **changed)
        if look != self.look:
            self.look = look
            self._show()
            self.look_changed.emit(look)

    def _show(self) -> None:
        look = self.look
        self.display.setCurrentText(look.display)
        _fill(self.view, self._displays.get(look.display, (look.view,)))
        self.view.setCurrentText(look.view)
        self.channel.setCurrentIndex(CHANNELS.index(look.channel))


class CompareBar(QtWidgets.QToolBar):
    """Plate, result, wipe or difference; how large; and the tools.

    Signals
    -------
    compare_changed(str)
        One of `canvas.COMPARE`.
    gain_changed(float)
        What a difference is multiplied by.
    fit_asked(), whole_asked()
        The whole picture, or a pixel for a pixel.
    tool_asked(str)
        A tool by its name, or none.
    """

    compare_changed = QtCore.Signal(str)
    gain_changed = QtCore.Signal(float)
    fit_asked = QtCore.Signal()
    whole_asked = QtCore.Signal()
    tool_asked = QtCore.Signal(str)

    def __init__(self, tools: Mapping[str, tuple[str, str]]) -> None:
        super().__init__("Compare")
        self.setObjectName("compare_bar")
        self.setMovable(False)
        self.mode = "result"
        self.modes = self._group(
            (mode, *COMPARE_WORDS[mode], partial(self.set_mode, mode)) for mode in COMPARE
        )
        self.modes[self.mode].setChecked(True)
        self.gain = Number(
            "Gain", "What the difference is multiplied by", (1.0, 100.0), (0.01, 10000.0), 10.0, 1.0
        )
        self.gain.changed.connect(self.gain_changed)
        self._gain = self.addWidget(self.gain)
        self._gain.setVisible(False)
        self.addSeparator()
        self.fit = self._button("fit", "Fit", "The whole picture (F)", self.fit_asked.emit)
        self.whole = self._button(
            "whole", "1:1", "A pixel of the plate on a pixel of the screen (Ctrl+1)",
            self.whole_asked.emit,
        )  # fmt: skip
        self.zoom = QtWidgets.QLabel("—")
        self.zoom.setObjectName("zoom")
        self.zoom.setFixedWidth(self.fontMetrics().horizontalAdvance("00000 %") + 8)
        self.zoom.setAlignment(Qt.AlignmentFlag.AlignCenter)
        self.zoom.setToolTip("Pixels of the screen for one of the plate")
        self.addWidget(self.zoom)
        self.addSeparator()
        self.tools = self._group(
            (name, *words, partial(self._tool, name)) for name, words in tools.items()
        )

    def set_mode(self, mode: str) -> None:
        """Compare in another way."""
        for each, button in self.modes.items():
            button.setChecked(each == mode)
        if mode != self.mode:
            self.mode = mode
            self._gain.setVisible(mode == "difference")
            self.compare_changed.emit(mode)

    def show_zoom(self, scale: float) -> None:
        """Show how large a pixel is."""
        self.zoom.setText(f"{100.0 * scale:.3g} %")

    def show_tool(self, name: str) -> None:
        """Mark the tool in hand, or none."""
        for each, button in self.tools.items():
            button.setChecked(each == name)

    def _tool(self, name: str) -> None:
        self.tool_asked.emit(name if self.tools[name].isChecked() else "")

    def _group(
        self, entries: Iterable[tuple[str, str, str, Callable[[], None]]]
    ) -> dict[str, QtWidgets.QToolButton]:
        made = {}
        for name, text, tip, act in entries:
            made[name] = self._button(name, text, tip, act)
            made[name].setCheckable(True)
        return made

    def _button(
        self, name: str, text: str, tip: str, act: Callable[[], None]
    ) -> QtWidgets.QToolButton:
        button = QtWidgets.QToolButton()
        button.setObjectName(name)
        button.setText(text)
        button.setToolTip(tip)
        button.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        button.clicked.connect(lambda: act())
        self.addWidget(button)
        return button


def _drop_down(name: str, tip: str, letters: int) -> QtWidgets.QComboBox:
    """Return a drop-down that leaves the keys to the picture and is only so wide."""
    box = QtWidgets.QComboBox()
    box.setObjectName(name.lower())
    box.setAccessibleName(name)
    box.setToolTip(tip)
    box.setFocusPolicy(Qt.FocusPolicy.NoFocus)
    box.setFixedWidth(box.fontMetrics().averageCharWidth() * letters + 34)
    return box


def _fill(box: QtWidgets.QComboBox, words: Iterable[str]) -> None:
    """Offer other words; the list is as wide as they need."""
    words = list(words)
    if [box.itemText(place) for place in range(box.count())] == words:
        return
    box.clear()
    box.addItems(words)
    widest = max((box.fontMetrics().horizontalAdvance(word) for word in words), default=0)
    box.view().setMinimumWidth(widest + 40)
