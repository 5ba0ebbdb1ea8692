"""The thumbnails' place: matte, patch and result of the current frame, as they arrive."""

from __future__ import annotations

from typing import Final

from semblance_panel.model import Change, Model
from semblance_panel.providers import VIEWS, Picture, Thumbnails
from semblance_panel.qt import QtCore, QtGui, QtWidgets
from semblance_panel.style import AMBER, mixed, tinted

__all__ = ["Strip"]

Qt = QtCore.Qt
Role = QtGui.QPalette.ColorRole

_QUIET_MS: Final = 60
"""A provider is asked when the knobs have been still for so long."""


class Strip(QtWidgets.QWidget):
    """Three pictures; hidden until there is somebody to draw them.

    Parameters
    ----------
    model : Model
        A change of it asks for new pictures.
    """

    arrived = QtCore.Signal(int, object)

    def __init__(self, model: Model) -> None:
        super().__init__()
        self._model = model
        self._provider: Thumbnails | None = None
        self._asked = 0
        self._timer = QtCore.QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.setInterval(_QUIET_MS)
        self._timer.timeout.connect(self.ask)
        self.thumbs = {view: _Thumb(view) for view in VIEWS}
        self.note = QtWidgets.QLabel()
        self.note.setObjectName("note")
        self.note.setWordWrap(True)
        self.note.setVisible(False)
        self.note.setPalette(tinted(text=AMBER))
        pictures = QtWidgets.QHBoxLayout()
        pictures.setSpacing(6)
        for thumb in self.thumbs.values():
            pictures.addWidget(thumb, 1)
        column = QtWidgets.QVBoxLayout(self)
        column.setContentsMargins(10, 0, 10, 0)
        column.setSpacing(3)
        column.addLayout(pictures)
        column.addWidget(self.note)
        self.arrived.connect(self._show)
        self.setVisible(False)

    def provide(self, provider: Thumbnails | None) -> None:
        """Take pictures from somebody, or no longer."""
        self._provider = provider
        self.setVisible(provider is not None)
        self.changed(Change(()))

    def changed(self, change: Change) -> None:
        """Ask for new pictures soon."""
        if self._provider is not None:
            self._timer.start()

    def ask(self) -> None:
        """Ask for pictures of the knobs as they are."""
        if self._provider is None:
            return
        self._asked += 1
        asked = self._asked
        for thumb in self.thumbs.values():
            thumb.wait()
        self._provider.ask(
            self._model.knobs(), self._model.frame, lambda found: self._deliver(asked, found)
        )

    def _deliver(self, asked: int, found: Picture) -> None:
        """Hand a picture to the GUI's thread, unless the panel is gone meanwhile."""
        try:
            self.arrived.emit(asked, found)
        except RuntimeError:
            return

    def _show(self, asked: int, picture: Picture) -> None:
        if asked != self._asked or picture.view not in self.thumbs:
            return
        self.thumbs[picture.view].show_picture(picture)
        if picture.view == "result":
            self.note.setText(picture.message)
            self.note.setVisible(bool(picture.message))


class _Thumb(QtWidgets.QWidget):
    """One picture with its name below; dimmed while a newer one is on its way."""

    def __init__(self, view: str) -> None:
        super().__init__()
        self.setObjectName(f"thumb_{view}")
        self.setAccessibleName(f"Thumbnail of the {view}")
        self._view = view
        self._waiting = False
        self.image = QtGui.QImage()
        policy = QtWidgets.QSizePolicy.Policy
        self.setSizePolicy(policy.Expanding, policy.Fixed)

    def sizeHint(self) -> QtCore.QSize:
        line = self.fontMetrics().height()
        return QtCore.QSize(9 * line, 9 * line)

    def wait(self) -> None:
        self._waiting = True
        self.update()

    def show_picture(self, picture: Picture) -> None:
        self._waiting = False
        if picture.width and picture.height:
            form = QtGui.QImage.Format.Format_RGB888
            # `copy`, because an image does not own the bytes that it is made from.
            self.image = QtGui.QImage(
                picture.rgb, picture.width, picture.height, 3 * picture.width, form
            ).copy()
        else:
            self.image = QtGui.QImage()
        self.setToolTip(picture.message)
        self.update()

    def paintEvent(self, event: QtGui.QPaintEvent) -> None:
        painter = QtGui.QPainter(self)
        painter.setRenderHint(QtGui.QPainter.RenderHint.SmoothPixmapTransform)
        line = self.fontMetrics().height()
        palette = self.palette()
        area = QtCore.QRectF(0.0, 0.0, self.width(), self.height() - line - 3.0)
        painter.fillRect(area, palette.color(Role.Base))
        if not self.image.isNull():
            size = QtCore.QSizeF(self.image.size())
            size.scale(area.size(), Qt.AspectRatioMode.KeepAspectRatio)
            place = QtCore.QRectF(QtCore.QPointF(), size)
            place.moveCenter(area.center())
            painter.setOpacity(0.5 if self._waiting else 1.0)
            painter.drawImage(place, self.image)
            painter.setOpacity(1.0)
        painter.setPen(mixed(palette.color(Role.Window), palette.color(Role.WindowText), 0.75))
        below = QtCore.QRectF(0.0, self.height() - line - 1.0, self.width(), line)
        text = f"{self._view} …" if self._waiting else self._view
        painter.drawText(below, int(Qt.AlignmentFlag.AlignCenter), text)
