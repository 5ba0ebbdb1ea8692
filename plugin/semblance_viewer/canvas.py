"""The picture: plate, result, wipe or difference of a frame, panned and zoomed.

Painting only ever lays finished tiles on the screen. What is missing is asked of threads
(`semblance_viewer.tiles`), and until it comes a coarser tile or the older one is shown.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any, Final, Protocol

from semblance.plate import Plate, Window
from semblance_panel.qt import QtCore, QtGui, QtWidgets, position
from semblance_viewer.display import Look, default_look
from semblance_viewer.engine import Engine
from semblance_viewer.tiles import (
    Key,
    Layer,
    Makers,
    Scene,
    Tile,
    Tiles,
    View,
    levels,
    visible,
)

__all__ = ["COMPARE", "Canvas", "Tool"]

COMPARE: Final = ("plate", "result", "wipe", "difference")

_LARGEST, _SMALLEST = 64.0, 1.0 / 64.0
"""Device pixels per pixel of the plate."""

_HOLD = 150
"""Milliseconds for which the frame before is shown where the new one is not complete."""
_PATIENCE = 0.05
"""Seconds for which finished tiles wait for the rest of the picture."""
_REST = 150
"""Milliseconds after the last move until the picture is drawn smoothly."""
_GRIP = 6.0
"""How near to the wipe's line it is taken, in the widget's pixels."""

_SURROUND = QtGui.QColor(28, 28, 28)
_BORDER = QtGui.QColor(90, 90, 90)
_LINE = QtGui.QColor(255, 255, 255, 160)
_TEXT = QtGui.QColor(200, 200, 200)


class Tool(Protocol):
    """An overlay with hands; everything is in the widget's coordinates.

    Events come for the left button alone, and not while space is held. True: the event is taken.
    """

    def paint(self, painter: QtGui.QPainter, canvas: Canvas) -> None:
        """Draw over the picture."""

    def press(self, event: QtGui.QMouseEvent, canvas: Canvas) -> bool:
        """Take the press of a button, or not."""

    def move(self, event: QtGui.QMouseEvent, canvas: Canvas) -> bool:
        """Take a move, with or without a button, or not."""

    def release(self, event: QtGui.QMouseEvent, canvas: Canvas) -> bool:
        """Take the release of a button, or not."""

    def double_click(self, event: QtGui.QMouseEvent, canvas: Canvas) -> bool:
        """Take a double click, or not."""

    def key(self, event: QtGui.QKeyEvent, canvas: Canvas) -> bool:
        """Take a key, or not."""

    def frame_changed(self, frame: int) -> None:
        """Hear of another frame."""


class Canvas(QtWidgets.QWidget):
    """Shows the frames of an engine.

    Middle drag or space and left drag pan; the wheel, + and - zoom at the pointer; F fits; Ctrl+1
    is one pixel of the plate a pixel of the screen. With `wipe` the plate is left of the line and
    the result right of it.

    Signals
    -------
    pointed : float, float
        Pixels of the plate under the pointer, from the display window's upper left corner, centres
        at +0.5, y down.
    drawn : int
        A frame is on the screen and complete; again when it has changed.
    zoomed : float
        Device pixels per pixel of the plate.
    """

    pointed = QtCore.Signal(float, float)
    drawn = QtCore.Signal(int)
    zoomed = QtCore.Signal(float)
    _made = QtCore.Signal()
    _changed = QtCore.Signal(int)

    def __init__(self, parent: QtWidgets.QWidget | None = None) -> None:
        super().__init__(parent)
        self.setAttribute(QtCore.Qt.WidgetAttribute.WA_OpaquePaintEvent)
        self.setMouseTracking(True)
        self.setFocusPolicy(QtCore.Qt.FocusPolicy.StrongFocus)
        self.setMinimumSize(64, 64)
        self._engine: Engine | None = None
        self._tiles: Tiles | None = None
        self._makers: Makers | None = None
        self._unlisten: Callable[[], None] = lambda: None
        self._look = default_look()
        self._space, self._compare, self._gain = "auto", "result", 8.0
        self._frame = self._shown = -1
        self._geometry: Plate | None = None  # of the last frame that was shown
        self._scale, self._centre, self._fitted = 1.0, QtCore.QPointF(), True
        self._wipe = 0.5  # of the display window's width
        self._tool: Tool | None = None
        self._drag: Callable[[QtCore.QPointF], None] | None = None
        self._space_held = self._space_used = False
        self._fault = ""
        self._announced: object = None
        self._arrived: list[Key] = []
        self._since = 0.0
        self._arriving = threading.Lock()
        self._hold = self._timer(_HOLD, self._give_up_holding)
        self._rest = self._timer(_REST, self.update)
        self._made.connect(self._take_tiles, QtCore.Qt.ConnectionType.QueuedConnection)
        self._changed.connect(self._take_change, QtCore.Qt.ConnectionType.QueuedConnection)

    def _timer(self, milliseconds: int, then: Callable[[], None]) -> QtCore.QTimer:
        timer = QtCore.QTimer(self)
        timer.setSingleShot(True)
        timer.setInterval(milliseconds)
        timer.timeout.connect(then)
        return timer

    # --------------------------------------------------------------------------- what is shown

    def set_engine(self, engine: Engine | None) -> None:
        """Show another shot, or none; the engine stays its owner's to close."""
        self._unlisten()
        self._unlisten = lambda: None
        if self._makers is not None:
            self._makers.close()
        self._engine, self._tiles, self._makers = engine, None, None
        self._frame = self._shown = -1
        self._geometry, self._fault, self._announced = None, "", None
        self._fitted = True
        if engine is not None:
            self._tiles = Tiles(engine)
            self._makers = Makers(self._tiles, self._on_made, self._on_settled, self._on_failed)
            self._unlisten = engine.listen(self._changed.emit)
        self.update()

    def set_frame(self, frame: int) -> None:
        """Show a frame as soon as it is there; that it is read is the engine's owner's wish."""
        if frame == self._frame:
            return
        self._frame = frame
        if self._tool is not None:
            self._tool.frame_changed(frame)
        self._hold.start()
        self._turn()
        self._ask()

    def frame(self) -> int:
        """Return the frame that is to be shown."""
        return self._frame

    def set_space(self, name: str) -> None:
        """Say which colour space the plate is in, as the knob `input_space` has it."""
        if name != self._space:
            self._space = name
            self._ask()

    def set_look(self, look: Look) -> None:
        """Show the pixels through another look."""
        if look != self._look:
            self._look, self._fault = look, ""
            self._ask()

    def set_compare(self, mode: str) -> None:
        """Show one of `COMPARE`."""
        if mode not in COMPARE:
            raise ValueError(f"{mode!r} is none of {', '.join(COMPARE)}")
        self._compare = mode
        self._ask()
        self.update()

    def set_gain(self, gain: float) -> None:
        """Multiply the difference by a factor; 8 by default."""
        self._gain = gain
        self._ask()

    def set_tool(self, tool: Tool | None) -> None:
        """Lay a tool over the picture, or none."""
        self._tool = tool
        if tool is not None and self._frame >= 0:
            tool.frame_changed(self._frame)
        self.update()

    def is_complete(self) -> bool:
        """Return whether the frame is on the screen as it is wanted now.

        That is: its plate is there, its tiles are of the last result, and that one is of the knobs
        that are wanted, or there are none.
        """
        view = self._view(self._frame)
        if view is None or self._tiles is None or self._shown != self._frame:
            return False
        return self._announced == self._token(view) and self._tiles.is_complete(view)

    def shut(self) -> None:
        """End the threads; for who closes the window."""
        self.set_engine(None)

    # ----------------------------------------------------------------------------- coordinates

    def fit(self) -> None:
        """Show the whole display window, and keep it so when the widget's size changes."""
        self._fitted = True
        plate = self._geometry
        if plate is not None:
            display = plate.display_window
            width, height = self._device_size()
            across = width / max(display.width * plate.pixel_aspect, 1.0)
            self._scale = min(
                max(min(across, height / max(display.height, 1)), _SMALLEST), _LARGEST
            )
            self._centre = QtCore.QPointF(display.width / 2.0, display.height / 2.0)
            self._moved()

    def set_zoom(self, scale: float, about: QtCore.QPointF | None = None) -> None:
        """Set how many device pixels a pixel of the plate is high.

        Parameters
        ----------
        scale : float
            Held to 1/64..64.
        about : QPointF, optional
            The widget's point that stays where it is; its middle by default.
        """
        about = QtCore.QPointF(self.rect().center()) if about is None else about
        fixed = self.to_plate(about)
        self._scale = min(max(float(scale), _SMALLEST), _LARGEST)
        self._fitted = False
        there = self.to_plate(about)
        self._centre += fixed - there
        self._moved()

    def zoom(self) -> float:
        """Return how many device pixels a pixel of the plate is high."""
        return self._scale

    def to_plate(self, point: QtCore.QPointF) -> QtCore.QPointF:
        """Return the pixels of the plate at a point of the widget.

        From the display window's upper left corner, centres at +0.5, y down.
        """
        ratio, (across, down) = self.devicePixelRatioF(), self._scales()
        left, top = self._origin()
        return QtCore.QPointF((point.x() * ratio - left) / across, (point.y() * ratio - top) / down)

    def to_widget(self, point: QtCore.QPointF) -> QtCore.QPointF:
        """Return the widget's point at pixels of the plate: the inverse of `to_plate`."""
        ratio, (across, down) = self.devicePixelRatioF(), self._scales()
        left, top = self._origin()
        return QtCore.QPointF((point.x() * across + left) / ratio, (point.y() * down + top) / ratio)

    def _scales(self) -> tuple[float, float]:
        aspect = 1.0 if self._geometry is None else self._geometry.pixel_aspect
        return self._scale * aspect, self._scale

    def _device_size(self) -> tuple[int, int]:
        ratio = self.devicePixelRatioF()
        return round(self.width() * ratio), round(self.height() * ratio)

    def _origin(self) -> tuple[int, int]:
        """Return the device pixel of the display window's corner.

        A whole one, so that tiles never lie between pixels.
        """
        width, height = self._device_size()
        across, down = self._scales()
        return (
            round(width / 2.0 - self._centre.x() * across),
            round(height / 2.0 - self._centre.y() * down),
        )

    def _moved(self) -> None:
        self._rest.start()
        self._ask()
        self.update()
        self.zoomed.emit(self._scale)

    # --------------------------------------------------------------------------- what is wanted

    def _layers(self) -> tuple[Layer, ...]:
        several: dict[str, tuple[Layer, ...]] = {
            "plate": ("plate",),
            "result": ("result",),
            "wipe": ("plate", "result"),
            "difference": ("difference",),
        }
        return several[self._compare]

    def _view(self, frame: int) -> View | None:
        """Return what is in sight of a frame; None as long as its plate is not here."""
        plate = None if self._engine is None else self._engine.plate(frame)
        if plate is None:
            return None
        across, down = self._scales()
        seen = self._seen(QtCore.QRect(0, 0, *self._device_size()), plate)
        finest = max(0, math.floor(-math.log2(max(across, down)) + 1e-6))
        level = min(finest, levels(plate.window) - 1)
        return View(frame, self._layers(), self._look, self._space, self._gain, level, seen)

    def _seen(self, rect: QtCore.QRect, plate: Plate) -> Window:
        """Return the pixels of the file that lie under device pixels, at least."""
        across, down = self._scales()
        left, top = self._origin()
        corner = plate.display_window
        # A tile's edges are rounded to device pixels, so what is next to them counts too.
        return Window(
            corner.x0 + math.floor((rect.x() - 0.5 - left) / across),
            corner.y0 + math.floor((rect.y() - 0.5 - top) / down),
            corner.x0 + math.ceil((rect.x() + rect.width() + 0.5 - left) / across),
            corner.y0 + math.ceil((rect.y() + rect.height() + 0.5 - top) / down),
        )

    def _ask(self) -> None:
        """Have made what is missing of what is wanted now."""
        view = self._view(self._frame)
        if view is None or self._makers is None or self._tiles is None:
            return
        if self._geometry is None:
            self._turn()
            view = self._view(self._frame) or view
        self._makers.want(self._tiles.missing(view))

    def _turn(self, patient: bool = True) -> None:
        """Show the frame that is wanted, when it is complete or has been waited for."""
        if self._engine is None or self._tiles is None:
            return
        plate = self._engine.plate(self._frame)
        if plate is not None and self._geometry is None:
            self._take_geometry(plate)
        if self._shown == self._frame:
            return
        if plate is None:
            if not self._engine.reason(self._frame):
                return
        elif patient and self._shown >= 0 and self._hold.isActive():
            view = self._view(self._frame)
            if view is None or not self._tiles.is_complete(view):
                return
        if plate is not None:
            self._take_geometry(plate)
        self._shown = self._frame
        self.update()

    def _take_geometry(self, plate: Plate) -> None:
        before, self._geometry = self._geometry, plate
        same = before is not None and (
            before.display_window == plate.display_window
            and before.pixel_aspect == plate.pixel_aspect
        )
        if not same and self._fitted:
            self.fit()

    def _give_up_holding(self) -> None:
        self._turn(patient=False)

    # ----------------------------------------------------------------------- from the threads

    def _on_made(self, key: Key) -> None:
        now = time.monotonic()
        with self._arriving:
            if not self._arrived:
                self._since = now
            self._arrived.append(key)
            due = now - self._since > _PATIENCE
            if due:
                self._since = now
        if due:
            self._made.emit()

    def _on_settled(self) -> None:
        self._made.emit()

    def _on_failed(self, reason: str) -> None:
        self._fault = reason
        self._made.emit()

    @QtCore.Slot()
    def _take_tiles(self) -> None:
        with self._arriving:
            arrived, self._arrived = self._arrived, []
        self._turn()
        plate = self._geometry
        if plate is None or self._fault:
            self.update()
            return
        view = self._view(self._shown)
        if view is None or self._tiles is None:
            return
        mine = [key for key in arrived if key.frame == self._shown]
        coarse = any(key.level > view.level for key in mine)
        if coarse and self._tiles.is_complete(view):  # nobody sees it
            mine = [key for key in mine if key.level <= view.level]
        region = QtGui.QRegion()
        for key in mine:
            region += self._logical(self._target(key.window(plate), plate))
        if not region.isEmpty():
            self.update(region)
        else:
            self._announce(view)  # nothing to paint: what came looks like what was there

    @QtCore.Slot(int)
    def _take_change(self, frame: int) -> None:
        if self._engine is None:
            return
        if frame == self._frame:
            self._turn()
            self._ask()
            if self._engine.plate(frame) is None:
                self.update()
        elif frame in self._engine.ahead:
            view = self._view(self._frame)
            if view is not None and self._makers is not None and self._tiles is not None:
                self._makers.want(self._tiles.missing(view))

    # -------------------------------------------------------------------------------- painting

    def paintEvent(self, event: QtGui.QPaintEvent) -> None:
        """Lay the tiles on the screen."""
        painter = QtGui.QPainter(self)
        ratio = self.devicePixelRatioF()
        painter.scale(1.0 / ratio, 1.0 / ratio)
        view = self._view(self._shown)
        scene = None if view is None or self._tiles is None else self._tiles.scene(view)
        dirty = self._device(event.rect())
        if scene is None:
            painter.fillRect(dirty, _SURROUND)
        else:
            self._paint_surround(painter, event.region(), scene.plate)
            for layer, clip in self._sides(scene.plate, dirty):
                self._paint_layer(painter, layer, clip, scene)
            self._paint_lines(painter, scene.plate)
        painter.resetTransform()
        if self._tool is not None:
            self._tool.paint(painter, self)
        self._paint_fault(painter)
        painter.end()
        if view is not None:
            self._announce(view)

    def _paint_surround(self, painter: QtGui.QPainter, region: QtGui.QRegion, plate: Plate) -> None:
        image = self._target(plate.window, plate)
        ratio = self.devicePixelRatioF()
        if ratio != 1.0:
            region = QtGui.QRegion(self._device(region.boundingRect()))
        for rect in _rects(region.subtracted(QtGui.QRegion(image))):
            painter.fillRect(rect, _SURROUND)

    def _sides(self, plate: Plate, dirty: QtCore.QRect) -> Iterator[tuple[Layer, QtCore.QRect]]:
        layers = self._layers()
        if len(layers) == 1:
            yield layers[0], dirty
            return
        line = self._line(plate)
        left = QtCore.QRect(dirty.left(), dirty.top(), line - dirty.left(), dirty.height())
        right = QtCore.QRect(line, dirty.top(), dirty.right() + 1 - line, dirty.height())
        yield layers[0], left & dirty
        yield layers[1], right & dirty

    def _paint_layer(
        self, painter: QtGui.QPainter, layer: Layer, clip: QtCore.QRect, scene: Scene
    ) -> None:
        if clip.isEmpty():
            return
        painter.setClipRect(clip)
        view, plate = scene.view, scene.plate
        size = self._scale * (1 << view.level)
        smooth = size < 1.0 and not self._rest.isActive() and self._drag is None
        painter.setRenderHint(QtGui.QPainter.RenderHint.SmoothPixmapTransform, smooth)
        touched = replace(view, layers=(layer,), seen=self._seen(clip, plate))
        for key in visible(touched, plate):
            self._paint_tile(painter, key, scene)
        painter.setClipping(False)

    def _paint_tile(self, painter: QtGui.QPainter, key: Key, scene: Scene) -> None:
        """Draw a tile, or what a coarser one has of it."""
        window = key.window(scene.plate)
        target = self._target(window, scene.plate)
        tile = self._there(key, scene)
        if tile is not None:
            image = _image(tile)
            painter.drawImage(target, image, image.rect())
            return
        for level in range(key.level + 1, levels(scene.plate.window)):
            up = level - key.level
            coarse = replace(key, level=level, column=key.column >> up, row=key.row >> up)
            tile = self._there(coarse, scene)
            if tile is not None:
                whole, size = coarse.window(scene.plate), float(1 << level)
                part = QtCore.QRectF(
                    (window.x0 - whole.x0) / size,
                    (window.y0 - whole.y0) / size,
                    window.width / size,
                    window.height / size,
                )
                painter.drawImage(QtCore.QRectF(target), _image(tile), part)
                return
        painter.fillRect(target, _SURROUND)

    def _there(self, key: Key, scene: Scene) -> Tile | None:
        """Return a tile; the plate's as long as a result's first one is not there."""
        assert self._tiles is not None
        tile = self._tiles.tile(scene.resolved(key))
        if tile is None and key.layer == "result":
            tile = self._tiles.tile(replace(key, layer="plate"))
        return tile

    def _paint_lines(self, painter: QtGui.QPainter, plate: Plate) -> None:
        painter.setPen(_BORDER)
        if plate.window != plate.display_window:
            painter.drawRect(self._target(plate.display_window, plate).adjusted(-1, -1, 0, 0))
        if self._compare == "wipe":
            line = self._line(plate)
            painter.setPen(_LINE)
            painter.drawLine(line, 0, line, self._device_size()[1])

    def _paint_fault(self, painter: QtGui.QPainter) -> None:
        """Say why there is no picture; why there is no result is the window's to say."""
        unread = self._engine is not None and self._engine.plate(self._frame) is None
        reason = self._engine.reason(self._frame) if self._engine is not None and unread else ""
        text = reason or self._fault
        if text:
            painter.setPen(_TEXT)
            flags = QtCore.Qt.AlignmentFlag.AlignCenter | QtCore.Qt.TextFlag.TextWordWrap
            painter.drawText(self.rect().adjusted(24, 24, -24, -24), int(flags), text)

    def _announce(self, view: View) -> None:
        """Say that a frame is complete, once for each state of it, after it was painted."""
        token = self._token(view)
        if token == self._announced or self._tiles is None or view.frame != self._frame:
            return
        if self._tiles.is_complete(view):
            self._announced = token
            QtCore.QTimer.singleShot(0, lambda: self.drawn.emit(view.frame))

    def _token(self, view: View) -> object:
        result = None if self._engine is None else self._engine.result(view.frame)
        plate = None if self._engine is None else self._engine.plate(view.frame)
        stamp = None if plate is None else plate.stamp
        return view, stamp, None if result is None else result.serial

    def _target(self, window: Window, plate: Plate) -> QtCore.QRect:
        """Return the device pixels of a window of the file."""
        across, down = self._scales()
        left, top = self._origin()
        corner = plate.display_window
        x1, x2 = (left + round((x - corner.x0) * across) for x in (window.x0, window.x1))
        y1, y2 = (top + round((y - corner.y0) * down) for y in (window.y0, window.y1))
        return QtCore.QRect(x1, y1, x2 - x1, y2 - y1)

    def _line(self, plate: Plate) -> int:
        left, _ = self._origin()
        return left + round(self._wipe * plate.display_window.width * self._scales()[0])

    def _device(self, rect: QtCore.QRect) -> QtCore.QRect:
        ratio = self.devicePixelRatioF()
        if ratio == 1.0:
            return rect
        x, y = math.floor(rect.x() * ratio), math.floor(rect.y() * ratio)
        right, low = (rect.x() + rect.width()) * ratio, (rect.y() + rect.height()) * ratio
        return QtCore.QRect(x, y, math.ceil(right) - x, math.ceil(low) - y)

    def _logical(self, rect: QtCore.QRect) -> QtCore.QRect:
        ratio = self.devicePixelRatioF()
        if ratio == 1.0:
            return rect
        x, y = math.floor(rect.x() / ratio), math.floor(rect.y() / ratio)
        right, low = (rect.x() + rect.width()) / ratio, (rect.y() + rect.height()) / ratio
        return QtCore.QRect(x, y, math.ceil(right) - x, math.ceil(low) - y)

    # ---------------------------------------------------------------------------------- hands

    def resizeEvent(self, event: QtGui.QResizeEvent) -> None:
        """Keep the whole frame in sight where it was."""
        super().resizeEvent(event)
        if self._fitted:
            self.fit()
        else:
            self._moved()

    def mousePressEvent(self, event: QtGui.QMouseEvent) -> None:
        """Pan, drag the wipe's line, or let the tool have it."""
        at, button = position(event), event.button()
        buttons = QtCore.Qt.MouseButton
        if button == buttons.MiddleButton or (button == buttons.LeftButton and self._space_held):
            self._space_used |= self._space_held
            self._drag = self._panning(at)
        elif button == buttons.LeftButton and self._compare == "wipe" and self._on_line(at):
            self._drag = self._wiping
        elif button != buttons.LeftButton or not (
            self._tool is not None and self._tool.press(event, self)
        ):
            event.ignore()

    def mouseMoveEvent(self, event: QtGui.QMouseEvent) -> None:
        """Go on with a drag, and tell where the pointer is."""
        at = position(event)
        if self._drag is not None:
            self._drag(at)
        elif self._tool is not None:
            self._tool.move(event, self)
        there = self.to_plate(at)
        self.pointed.emit(there.x(), there.y())

    def mouseReleaseEvent(self, event: QtGui.QMouseEvent) -> None:
        """End a drag."""
        if self._drag is not None:
            self._drag = None
            self.update()
        elif self._tool is None or not self._tool.release(event, self):
            event.ignore()

    def mouseDoubleClickEvent(self, event: QtGui.QMouseEvent) -> None:
        """Let the tool have it; else it is a press like another."""
        left = event.button() == QtCore.Qt.MouseButton.LeftButton and not self._space_held
        if not (left and self._tool is not None and self._tool.double_click(event, self)):
            self.mousePressEvent(event)

    def wheelEvent(self, event: QtGui.QWheelEvent) -> None:
        """Zoom at the pointer."""
        turned = event.angleDelta().y()
        if turned:
            self.set_zoom(self._scale * 2.0 ** (turned / 480.0), event.position())

    def keyPressEvent(self, event: QtGui.QKeyEvent) -> None:
        """Fit, zoom, or pan while space is held; other keys are the window's."""
        keys, held = QtCore.Qt.Key, event.modifiers()
        if self._tool is not None and self._tool.key(event, self):
            return
        control = bool(held & QtCore.Qt.KeyboardModifier.ControlModifier)
        if event.key() == keys.Key_Space:
            if not event.isAutoRepeat():
                self._space_held, self._space_used = True, False
            event.ignore()
        elif event.key() == keys.Key_F and not control:
            self.fit()
        elif event.key() == keys.Key_1 and control:
            self.set_zoom(1.0)
        elif event.key() in (keys.Key_Plus, keys.Key_Equal) and not control:
            self.set_zoom(2.0 * self._scale, self._pointer())
        elif event.key() == keys.Key_Minus and not control:
            self.set_zoom(0.5 * self._scale, self._pointer())
        else:
            event.ignore()

    def keyReleaseEvent(self, event: QtGui.QKeyEvent) -> None:
        """End a pan; a space that panned nothing is the window's."""
        if event.key() == QtCore.Qt.Key.Key_Space and not event.isAutoRepeat():
            self._space_held = False
            event.setAccepted(self._space_used)
        else:
            event.ignore()

    def focusOutEvent(self, event: QtGui.QFocusEvent) -> None:
        """Forget a space whose release goes elsewhere."""
        super().focusOutEvent(event)
        self._space_held = False

    def closeEvent(self, event: QtGui.QCloseEvent) -> None:
        """End the threads."""
        self.shut()
        super().closeEvent(event)

    def _panning(self, start: QtCore.QPointF) -> Callable[[QtCore.QPointF], None]:
        fixed = self.to_plate(start)

        def to(at: QtCore.QPointF) -> None:
            self._fitted = False
            self._centre += fixed - self.to_plate(at)
            self._rest.start()
            self._ask()
            self.update()

        return to

    def _wiping(self, at: QtCore.QPointF) -> None:
        if self._geometry is not None:
            width = self._geometry.display_window.width
            self._wipe = min(max(self.to_plate(at).x() / max(width, 1), 0.0), 1.0)
            self.update()

    def _on_line(self, at: QtCore.QPointF) -> bool:
        if self._geometry is None:
            return False
        line = self._line(self._geometry) / self.devicePixelRatioF()
        return abs(at.x() - line) <= _GRIP

    def _pointer(self) -> QtCore.QPointF | None:
        at = self.mapFromGlobal(QtGui.QCursor.pos())
        return QtCore.QPointF(at) if self.rect().contains(at) else None


def _image(tile: Tile) -> QtGui.QImage:
    """Return a tile as Qt draws it; it shares the tile's memory."""
    height, width = tile.pixels.shape[:2]
    return QtGui.QImage(
        tile.pixels.data, width, height, 4 * width, QtGui.QImage.Format.Format_RGB32
    )


def _rects(region: QtGui.QRegion) -> list[QtCore.QRect]:
    each: Any = region  # which the stubs do not know as something to iterate over
    return [QtCore.QRect(rect) for rect in each]
