"""The window that renders a shot to files, with progress and an end; it never blocks the other."""

from __future__ import annotations

from collections.abc import Callable

from semblance.errors import SemblanceError
from semblance_panel.qt import QtCore, QtGui, QtWidgets
from semblance_panel.style import AMBER, GREEN, RED, tinted
from semblance_viewer.renderjob import Ended, Job, Order, Step, start

__all__ = ["RenderDialog"]

Qt = QtCore.Qt


class RenderDialog(QtWidgets.QDialog):
    """Asks where to, renders, and offers to look at what came of it.

    Parameters
    ----------
    order : callable
        Gives what to render, from an output pattern and a frame range.
    parent : QWidget

    Signals
    -------
    compare_asked(str)
        Somebody wants to see the files of that pattern.
    """

    compare_asked = QtCore.Signal(str)
    _stepped = QtCore.Signal(object)
    _over = QtCore.Signal(object)

    def __init__(self, order: Callable[[str, str], Order], parent: QtWidgets.QWidget) -> None:
        super().__init__(parent)
        self.setObjectName("render")
        self.setWindowTitle("Render")
        self.setModal(False)
        self._order = order
        self._job: Job | None = None
        self._output = ""
        self.output = QtWidgets.QLineEdit()
        self.output.setObjectName("output")
        self.output.setMinimumWidth(26 * self.fontMetrics().height())
        self.browse = QtWidgets.QToolButton()
        self.browse.setText("…")
        self.browse.setToolTip("Choose a folder")
        self.browse.clicked.connect(self._browse)
        self.frames = QtWidgets.QLineEdit()
        self.frames.setObjectName("frames")
        self.frames.setPlaceholderText("all; or 1001-1024, 1030")
        self.output.setAccessibleName("Output")
        self.frames.setAccessibleName("Frames")
        self.bar = QtWidgets.QProgressBar()
        self.bar.setObjectName("progress")
        self.bar.setFormat("%v of %m frames")
        self.words = QtWidgets.QLabel()
        self.words.setObjectName("words")
        self.words.setWordWrap(True)
        self.words.setTextFormat(Qt.TextFormat.PlainText)
        self.render_button = QtWidgets.QPushButton("Render")
        self.render_button.setObjectName("render_button")
        self.render_button.setDefault(True)
        self.cancel_button = QtWidgets.QPushButton("Cancel")
        self.cancel_button.setObjectName("cancel_button")
        self.cancel_button.setToolTip("The frame in work is finished; pressed again, it is dropped")
        self.compare_button = QtWidgets.QPushButton("Show the files")
        self.compare_button.setObjectName("compare_button")
        self.compare_button.setToolTip("Put the rendered files in the place of the live result")
        self.close_button = QtWidgets.QPushButton("Close")
        self.render_button.clicked.connect(self.begin)
        self.cancel_button.clicked.connect(self.cancel)
        self.compare_button.clicked.connect(lambda: self.compare_asked.emit(self._output))
        self.close_button.clicked.connect(self.close)
        self._stepped.connect(self._step)
        self._over.connect(self._end)
        self._lay_out()
        self.words.setText("With the knobs as they are now, by “semblance apply”.")
        self._show_buttons(done=False)

    def _lay_out(self) -> None:
        files = QtWidgets.QHBoxLayout()
        files.addWidget(self.output, 1)
        files.addWidget(self.browse)
        form = QtWidgets.QFormLayout()
        form.setLabelAlignment(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
        form.addRow("Output", files)
        form.addRow("Frames", self.frames)
        buttons = QtWidgets.QHBoxLayout()
        buttons.addWidget(self.compare_button)
        buttons.addStretch(1)
        for button in (self.close_button, self.cancel_button, self.render_button):
            buttons.addWidget(button)
        column = QtWidgets.QVBoxLayout(self)
        column.setSpacing(10)
        column.addLayout(form)
        column.addWidget(self.bar)
        column.addWidget(self.words)
        column.addStretch(1)
        column.addLayout(buttons)

    @property
    def running(self) -> bool:
        """Whether a child is at work."""
        return self._job is not None

    def suggest(self, output: str) -> None:
        """Offer an output for another shot."""
        self.output.setText(output)
        self.frames.clear()
        self.bar.reset()
        self._show_buttons(done=False)

    def begin(self) -> None:
        """Start rendering."""
        if self.running:
            return
        self._output = self.output.text().strip()
        self.bar.setRange(0, 0)
        self._say("Starting …", None)
        try:
            order = self._order(self._output, self.frames.text().strip())
            self._job = start(order, step=self._stepped.emit, ended=self._over.emit)
        except SemblanceError as error:
            self.bar.reset()
            self._say(str(error), RED)
        self._show_buttons(done=False)

    def cancel(self) -> None:
        """Stop after the frame in work."""
        if self._job is not None:
            self._say("Stopping after this frame …", None)
            self._job.cancel()

    def shut(self) -> None:
        """End the child with the window."""
        if self._job is not None:
            self._job.close()

    def _browse(self) -> None:
        dialog = QtWidgets.QFileDialog(self, "Folder of the result")
        dialog.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        dialog.setFileMode(QtWidgets.QFileDialog.FileMode.Directory)
        dialog.fileSelected.connect(self._folder)
        dialog.open()

    def _folder(self, folder: str) -> None:
        name = self.output.text().replace("\\", "/").rpartition("/")[2]
        self.output.setText(f"{folder}/{name}")

    def _step(self, step: Step) -> None:
        self.bar.setRange(0, step.total)
        self.bar.setValue(step.done)
        self._say(f"{step.what.capitalize()}: {step.words}", None)

    def _end(self, ended: Ended) -> None:
        self._job = None
        done = ended.code == 0
        if done:
            self.bar.setRange(0, max(self.bar.maximum(), 1))
            self.bar.setValue(self.bar.maximum())
        else:
            self.bar.setRange(0, max(self.bar.maximum(), 1))
        self._say(*_verdict(ended))
        self._show_buttons(done=done)

    def _say(self, text: str, colour: QtGui.QColor | None) -> None:
        self.words.setText(text)
        self.words.setPalette(tinted(text=colour))

    def _show_buttons(self, *, done: bool) -> None:
        self.render_button.setEnabled(not self.running)
        self.cancel_button.setEnabled(self.running)
        self.compare_button.setEnabled(done)
        for field in (self.output, self.frames, self.browse):
            field.setEnabled(not self.running)


def _verdict(ended: Ended) -> tuple[str, QtGui.QColor]:
    """Return what is to be said of a job, and in which colour."""
    summary = ended.summary
    if ended.cancelled and ended.code != 0:
        return "Cancelled. The frames that were finished are there, whole.", AMBER
    if ended.code != 0:
        return "\n".join(ended.complaints[-4:]) or "It failed and said nothing.", RED
    count, found = summary.get("frames", 0), summary.get("found", 0)
    lost = "" if count == found else f", {count - found} of them without a face"
    seconds = float(summary.get("seconds", 0.0))
    lines = [f"{count} frames{lost}, in {seconds:.1f} s.", *ended.complaints]
    return "\n".join(lines), AMBER if ended.complaints else GREEN
