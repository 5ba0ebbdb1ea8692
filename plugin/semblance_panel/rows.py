"""One row for a knob: its name, its control, its unit, and a button back to the default.

`row_of` picks the row by the knob's kind, so a knob that is declared tomorrow has one. A row writes
to the model and shows what the model holds; it knows no other row.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any, Final

from semblance.errors import KnobError
from semblance.knobs import Knob
from semblance_panel.controls import Choice, NumberField, Slider, step_of, written
from semblance_panel.model import Model
from semblance_panel.qt import QtCore, QtGui, QtWidgets, action
from semblance_panel.style import ANIMATED, REFUSED, WHITE, tinted

__all__ = ["Row", "row_of"]

Qt = QtCore.Qt

FILE_KINDS: Final = {
    "model": "Likeness models (*.onnx *.adapter.json)",
    "track_file": "Tracks (*.json *.nk *.csv)",
    "roto_file": "Shapes (*.json)",
}
"""What a chooser offers first; any other knob's is every file."""

_RUN_SECONDS: Final = 0.8
"""Keys and notches that follow each other within this are undone together."""

_BEHIND: Final = {"animated": ANIMATED, "refused": REFUSED}

_gestures = itertools.count(1)


class Row(QtWidgets.QWidget):
    """A knob's row; `control` is what is worked with.

    Parameters
    ----------
    knob : Knob
    model : Model
        Read by `refresh`, written by the control.

    Signals
    -------
    refused(str)
        A value was not accepted, and why; empty once one is.
    """

    refused = QtCore.Signal(str)

    def __init__(self, knob: Knob, model: Model) -> None:
        super().__init__()
        self.knob = knob
        self.model = model
        self.look = ""
        self._gesture = 0
        self._last = 0.0
        self.setObjectName(f"row_{knob.name}")
        self.label = QtWidgets.QLabel(knob.label)
        self.label.setAlignment(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
        self.label.installEventFilter(self)
        self.back = QtWidgets.QToolButton()
        self.back.setText("↺")
        self.back.setAutoRaise(True)
        self.back.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        self.back.setToolTip(f"Reset to the default, {_shown(knob, knob.default)}")
        self.back.clicked.connect(self.reset)
        policy = self.back.sizePolicy()
        policy.setRetainSizeWhenHidden(True)
        self.back.setSizePolicy(policy)
        self.line = QtWidgets.QHBoxLayout(self)
        self.line.setContentsMargins(0, 0, 0, 0)
        self.line.setSpacing(6)
        self.line.addWidget(self.label)
        self.control = self.build()
        self.control.setObjectName(knob.name)
        self.control.setAccessibleName(knob.label)
        self.offers = QtWidgets.QToolButton()
        self.offers.setObjectName(f"{knob.name}_offers")
        self.offers.setText("▾")
        self.offers.setStyleSheet("QToolButton::menu-indicator { image: none; }")
        self.offers.setToolTip("Choose what is there")
        self.offers.setPopupMode(QtWidgets.QToolButton.ToolButtonPopupMode.InstantPopup)
        self.offers.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        self.offers.setVisible(False)
        self.unit = QtWidgets.QLabel(knob.unit)
        self.unit.setEnabled(False)
        self.unit.setVisible(bool(knob.unit))
        self.line.addWidget(self.unit)
        self.line.addWidget(self.offers)
        self.line.addWidget(self.back)
        self.refresh()

    # --- for each kind ---------------------------------------------------------------------

    def build(self) -> QtWidgets.QWidget:
        """Add the controls to `line`, and return the one that is worked with."""
        raise NotImplementedError

    def show_value(self, value: Any) -> None:
        """Show a value in the controls; nothing may be reported."""
        raise NotImplementedError

    def lock(self, locked: bool) -> None:
        """Keep the controls from being moved, or let them."""
        self.control.setEnabled(not locked)

    # --- for all kinds ---------------------------------------------------------------------

    def offer(self, values: Sequence[tuple[str, Any]]) -> None:
        """Offer values beside the control; others may still be entered.

        Parameters
        ----------
        values : sequence of (str, value)
            What is read in the list, and what is then set; none takes the list away.
        """
        old = self.offers.menu()
        if old is not None:
            old.deleteLater()
        menu = QtWidgets.QMenu(self.offers)
        for words, value in values:
            entry = action(words, menu)
            entry.triggered.connect(partial(self._offered, value))
            menu.addAction(entry)
        self.offers.setMenu(menu)
        self.offers.setVisible(bool(values))

    def refresh(self) -> None:
        """Show what the model holds."""
        name = self.knob.name
        animated = self.model.is_animated(name)
        self.show_value(self.model.value(name))
        self.lock(animated)
        self.offers.setEnabled(not animated)
        self.back.setVisible(
            not self.model.is_default(name) and not self.model.is_host_animated(name)
        )
        self.setToolTip(self._tip(animated))
        self._mark("animated" if animated else "")

    def set_value(self, value: Any) -> None:
        """Write a value to the model, as part of the gesture that is under way."""
        try:
            self.model.set(self.knob.name, value, self._gesture or None)
        except KnobError as error:
            self._mark("refused")
            self.refused.emit(str(error))
        else:
            self._mark("animated" if self.model.is_animated(self.knob.name) else "")
            self.refused.emit("")

    def reset(self) -> None:
        """Give the knob its default."""
        self.end()
        self.model.reset([self.knob.name])
        self.refresh()
        self.refused.emit("")

    def begin(self) -> None:
        """Begin a gesture: what is set until the next one is undone together."""
        self._gesture = next(_gestures)
        self._last = 0.0

    def go_on(self) -> None:
        """Go on with the gesture, or begin another one after a pause."""
        now = time.monotonic()
        if not self._gesture or now - self._last > _RUN_SECONDS:
            self._gesture = next(_gestures)
        self._last = now

    def end(self) -> None:
        """End the gesture: the next value stands alone."""
        self._gesture = 0

    def matches(self, text: str) -> bool:
        """Return whether a search for `text` finds the knob."""
        words = f"{self.knob.name} {self.knob.label} {self.knob.help}".lower()
        return all(word in words for word in text.lower().split())

    def eventFilter(self, watched: QtCore.QObject, event: QtCore.QEvent) -> bool:
        """Reset at a double click on the name."""
        if watched is self.label and event.type() == QtCore.QEvent.Type.MouseButtonDblClick:
            self.reset()
            return True
        return bool(super().eventFilter(watched, event))

    def contextMenuEvent(self, event: QtGui.QContextMenuEvent) -> None:
        """Offer what can be done with the knob."""
        menu = self.menu()
        menu.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        menu.popup(event.globalPos())

    def menu(self) -> QtWidgets.QMenu:
        """Return the menu of the row."""
        name = self.knob.name
        menu = QtWidgets.QMenu(self)
        reset = action("Reset to default", menu)
        reset.setEnabled(self.back.isVisibleTo(self))
        reset.triggered.connect(self.reset)
        menu.addAction(reset)
        if self.model.is_animated(name) and not self.model.is_host_animated(name):
            flatten = action("Remove animation, keep this value", menu)
            flatten.triggered.connect(lambda: self.model.flatten(name))
            menu.addAction(flatten)
        return menu

    def _offered(self, value: Any, *_: Any) -> None:
        self.end()
        self.set_value(value)

    def _tip(self, animated: bool) -> str:
        knob = self.knob
        lines = [knob.help, f"Default: {_shown(knob, knob.default)}"]
        if knob.range is not None:
            low, high = knob.range
            lines.append(f"Accepts: {low:g} to {high:g}{f' {knob.unit}' if knob.unit else ''}")
        if animated:
            where = "the host" if self.model.is_host_animated(knob.name) else "the preset"
            lines.append(f"Animated by {where}: its curve is edited there.")
        return f"<b>{knob.name}</b><br>" + "<br>".join(lines)

    def _mark(self, look: str) -> None:
        """Show that a curve moves the knob, or that what was entered is refused."""
        if look != self.look:
            self.look = look
            self.control.setPalette(tinted(_BEHIND.get(look), WHITE if look else None))


class NumberRow(Row):
    """A field and a slider; of a float or a whole number."""

    def build(self) -> QtWidgets.QWidget:
        """Add the field, and the slider where the knob says what it spans."""
        whole = self.knob.kind == "int"
        span = self.knob.slider or self.knob.range
        self.field = NumberField(step_of(span, whole) if span else 1.0, whole)
        self.field.typed.connect(self._typed)
        self.field.stepped.connect(self._stepped)
        self.line.addWidget(self.field)
        if span is None:
            self.slider: Slider | None = None
            self.line.addStretch(1)
        else:
            self.slider = Slider(span, float(self.knob.default), whole)
            self.slider.setObjectName(f"{self.knob.name}_slider")
            self.slider.setAccessibleName(self.knob.label)
            self.slider.pressed.connect(self.begin)
            self.slider.dragged.connect(self.set_value)
            self.slider.stepped.connect(self._slid)
            self.slider.reset.connect(self._double_clicked)
            self.line.addWidget(self.slider, 1)
        return self.field

    def show_value(self, value: Any) -> None:
        """Show the number in both."""
        self.field.show_value(value)
        if self.slider is not None:
            self.slider.show_value(value)

    def lock(self, locked: bool) -> None:
        """Let the field be read and copied, not written."""
        self.field.setReadOnly(locked)
        if self.slider is not None:
            self.slider.setEnabled(not locked)

    def _double_clicked(self) -> None:
        """Reset; what the first of the two clicks did is undone with it."""
        self.model.reset([self.knob.name], self._gesture)

    def _slid(self, value: float) -> None:
        self.go_on()
        self.set_value(value)

    def _typed(self, text: str) -> None:
        self.end()
        try:
            value: Any = float(text.strip().replace(",", "."))
        except ValueError:
            value = text
        self.set_value(value)

    def _stepped(self, delta: float) -> None:
        self.go_on()
        value = float(self.model.value(self.knob.name)) + delta
        if self.knob.range is not None:
            value = min(max(value, self.knob.range[0]), self.knob.range[1])
        self.set_value(round(value, 9))


class BoolRow(Row):
    """A check box, its own label beside it."""

    def build(self) -> QtWidgets.QWidget:
        """Add the box."""
        self.box = QtWidgets.QCheckBox()
        self.box.toggled.connect(self.set_value)
        self.line.addWidget(self.box)
        self.line.addStretch(1)
        return self.box

    def show_value(self, value: Any) -> None:
        """Set the box."""
        _silent(self.box, lambda: self.box.setChecked(bool(value)))


class ChoiceRow(Row):
    """A drop-down; the default is marked in its list."""

    def build(self) -> QtWidgets.QWidget:
        """Add the drop-down."""
        self.box = Choice()
        for choice in self.knob.choices:
            mark = "  (default)" if choice == self.knob.default else ""
            self.box.addItem(_words(choice) + mark, choice)
        self.box.currentIndexChanged.connect(lambda index: self.set_value(self.box.itemData(index)))
        self.line.addWidget(self.box)
        self.line.addStretch(1)
        return self.box

    def show_value(self, value: Any) -> None:
        """Pick the entry."""
        index = self.knob.choices.index(str(value))
        _silent(self.box, lambda: self.box.setCurrentIndex(index))


class TextRow(Row):
    """A field that is read when it is left or Return is pressed."""

    def build(self) -> QtWidgets.QWidget:
        """Add the field."""
        self.field = QtWidgets.QLineEdit()
        self.field.setMinimumWidth(self.fontMetrics().horizontalAdvance("0" * 12))
        self.field.editingFinished.connect(self._enter)
        self.line.addWidget(self.field, 1)
        return self.field

    def show_value(self, value: Any) -> None:
        """Show the text."""
        if self.field.text() != value:
            self.field.setText(str(value))

    def hint(self, text: str) -> None:
        """Show in the empty field what emptiness means."""
        self.field.setPlaceholderText(text)

    def lock(self, locked: bool) -> None:
        """Let the field be read and copied, not written."""
        self.field.setReadOnly(locked)

    def _enter(self) -> None:
        self.end()
        if self.field.text() != self.model.value(self.knob.name):
            self.set_value(self.field.text())


class FileRow(TextRow):
    """A path: typed, chosen, or dropped on the row."""

    def build(self) -> QtWidgets.QWidget:
        """Add the field and the chooser's button."""
        field = super().build()
        self.field.setPlaceholderText("none")
        self.field.setAcceptDrops(False)  # else a drop there would be pasted as text
        self.button = QtWidgets.QToolButton()
        self.button.setText("…")
        self.button.setToolTip("Choose a file")
        self.button.clicked.connect(self.choose)
        self.line.addWidget(self.button)
        self.setAcceptDrops(True)
        return field

    def lock(self, locked: bool) -> None:
        """Refuse the chooser and drops as well."""
        super().lock(locked)
        self.button.setEnabled(not locked)
        self.setAcceptDrops(not locked)

    def choose(self) -> None:
        """Open the file chooser; it does not block the host."""
        dialog = QtWidgets.QFileDialog(self, f"Choose: {self.knob.label}")
        dialog.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        dialog.setFileMode(QtWidgets.QFileDialog.FileMode.ExistingFile)
        kinds = FILE_KINDS.get(self.knob.name)
        dialog.setNameFilters([*([kinds] if kinds else []), "All files (*)"])
        folder = Path(str(self.model.value(self.knob.name))).parent
        if folder.is_dir():
            dialog.setDirectory(str(folder))
        dialog.fileSelected.connect(self._chosen)
        dialog.open()

    def dragEnterEvent(self, event: QtGui.QDragEnterEvent) -> None:
        """Accept one file of this machine."""
        if _dropped(event.mimeData()):
            event.acceptProposedAction()

    def dropEvent(self, event: QtGui.QDropEvent) -> None:
        """Take the file's path."""
        event.acceptProposedAction()
        self._chosen(_dropped(event.mimeData()))

    def _chosen(self, path: str) -> None:
        self.end()
        self.set_value(path)


ROWS: Final = {
    "float": NumberRow,
    "int": NumberRow,
    "bool": BoolRow,
    "choice": ChoiceRow,
    "text": TextRow,
    "file": FileRow,
}


def row_of(knob: Knob, model: Model) -> Row:
    """Return a new row for a knob."""
    return ROWS[knob.kind](knob, model)


def _shown(knob: Knob, value: Any) -> str:
    """Return a value as a person reads it."""
    if isinstance(value, bool):
        return "on" if value else "off"
    if isinstance(value, (int, float)):
        return written(value) + (f" {knob.unit}" if knob.unit else "")
    return _words(value) if value else "empty"


def _words(choice: str) -> str:
    return choice.replace("_", " ")


def _dropped(data: QtCore.QMimeData) -> str:
    """Return the path of the one file that is dropped, or nothing."""
    files = [url.toLocalFile() for url in data.urls() if url.isLocalFile()]
    return files[0] if len(files) == 1 else ""


def _silent(widget: QtCore.QObject, act: Any) -> None:
    before = widget.blockSignals(True)
    act()
    widget.blockSignals(before)
