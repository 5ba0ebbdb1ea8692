"""The bars of the tools: what can be set of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from semblance.track.file import LONGEST_BLEND
from semblance_panel.qt import QtCore, QtWidgets

if TYPE_CHECKING:
    from semblance_viewer.landmark_tool import LandmarkTool
    from semblance_viewer.roto_tool import RotoTool

__all__ = ["LandmarkOptions", "RotoOptions"]

Qt = QtCore.Qt


class RotoOptions(QtWidgets.QWidget):
    """Buttons and numbers for the roto tool; it shows what the tool holds."""

    def __init__(self, tool: RotoTool) -> None:
        super().__init__()
        self._tool = tool
        row = QtWidgets.QHBoxLayout(self)
        row.setContentsMargins(4, 2, 4, 2)

        def button(text: str, tip: str, does: Callable[[], None]) -> QtWidgets.QToolButton:
            made = QtWidgets.QToolButton(self)
            made.setText(text)
            made.setToolTip(tip)
            made.setFocusPolicy(Qt.FocusPolicy.NoFocus)
            made.clicked.connect(lambda checked=False: does())
            row.addWidget(made)
            return made

        def number(
            label: str, tip: str, low: float, high: float, step: float,
            does: Callable[[float], None],
        ) -> QtWidgets.QDoubleSpinBox:  # fmt: skip
            row.addWidget(QtWidgets.QLabel(label, self))
            made = QtWidgets.QDoubleSpinBox(self)
            made.setRange(low, high)
            made.setSingleStep(step)
            made.setDecimals(1 if step >= 1.0 else 2)
            made.setToolTip(tip)
            made.setKeyboardTracking(False)
            made.valueChanged.connect(does)
            row.addWidget(made)
            return made

        self.bezier = button(
            "Bezier", "A new shape: click points, drag for tangents.", lambda: tool.begin("bezier")
        )
        self.bspline = button(
            "B-spline", "A new shape: click control points.", lambda: tool.begin("bspline")
        )
        for made in (self.bezier, self.bspline):
            made.setCheckable(True)
        self.operation = QtWidgets.QComboBox(self)
        self.operation.addItem("adds", "add")
        self.operation.addItem("takes away", "subtract")
        self.operation.setToolTip("Whether the shape adds to the matte or takes away from it.")
        self.operation.activated.connect(
            lambda index: tool.set_operation(self.operation.itemData(index))
        )
        row.addWidget(self.operation)
        self.feather = number(
            "feather",
            "Pixels over which the edge falls off: outward, or inward below 0.",
            -1000.0, 1000.0, 1.0, tool.set_feather,
        )  # fmt: skip
        self.opacity = number(
            "opacity", "How much the shape counts.", 0.0, 1.0, 0.05, tool.set_opacity
        )
        self.key = button("Set key", "A key of the shape at this frame.", tool.set_key)
        self.no_key = button("Remove key", "Take out the key of this frame.", tool.remove_key)
        self.delete = button("Delete", "Take out the chosen points, or the shape.", tool.delete)
        row.addStretch(1)
        tool.edited.connect(self.refresh)
        self.refresh()

    def refresh(self) -> None:
        """Show the shape that is worked on."""
        tool, shape = self._tool, self._tool.chosen
        self.bezier.setChecked(tool.is_drawing and tool.kind == "bezier")
        self.bspline.setChecked(tool.is_drawing and tool.kind == "bspline")
        for each in (self.operation, self.feather, self.opacity, self.key, self.delete):
            each.setEnabled(shape is not None)
        self.no_key.setEnabled(
            shape is not None and tool.frame in shape.keys and len(shape.keys) > 1
        )
        if shape is None:
            return
        key = shape.at(tool.frame)
        for spin, value in ((self.feather, key.feather), (self.opacity, key.opacity)):
            with QtCore.QSignalBlocker(spin):
                spin.setValue(value)
        self.operation.setCurrentIndex(0 if shape.operation == "add" else 1)


class LandmarkOptions(QtWidgets.QWidget):
    """What can be set of the landmark tool; it shows what the tool holds."""

    def __init__(self, tool: LandmarkTool) -> None:
        super().__init__()
        self._tool = tool
        row = QtWidgets.QHBoxLayout(self)
        row.setContentsMargins(4, 2, 4, 2)
        row.addWidget(QtWidgets.QLabel("blend", self))
        self.blend = QtWidgets.QSpinBox(self)
        self.blend.setRange(0, LONGEST_BLEND)
        self.blend.setSuffix(" frames")
        self.blend.setToolTip("Frames to either side over which a hand key comes in.")
        self.blend.setKeyboardTracking(False)
        self.blend.valueChanged.connect(tool.set_blend)
        row.addWidget(self.blend)
        self.remove = QtWidgets.QToolButton(self)
        self.remove.setText("Remove key")
        self.remove.setToolTip("Take out what was moved by hand at this frame.")
        self.remove.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        self.remove.clicked.connect(lambda checked=False: tool.remove_key())
        row.addWidget(self.remove)
        self.told = QtWidgets.QLabel(self)
        row.addWidget(self.told)
        row.addStretch(1)
        tool.edited.connect(self.refresh)
        self.refresh()

    def refresh(self) -> None:
        """Show the frame's key."""
        tool = self._tool
        with QtCore.QSignalBlocker(self.blend):
            self.blend.setValue(tool.blend)
        self.remove.setEnabled(tool.has_key)
        keys = tool.track.hand
        self.told.setText(f"hand keys: {', '.join(map(str, keys))}" if keys else "no hand keys")
