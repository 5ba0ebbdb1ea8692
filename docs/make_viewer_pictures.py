"""Draw the pictures of docs/viewer.md: the viewer over examples/, without a screen.

    python docs/make_viewer_pictures.py [FOLDER]

The extra `panel` must be installed. A scale factor belongs to a whole process, so each scale is
drawn by one of its own. Into another FOLDER all pictures are drawn at both scales, to be looked at.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image

ROOT = Path(__file__).resolve().parents[1]
EXAMPLES = ROOT / "examples"
OUT = ROOT / "docs" / "pictures" / "viewer"
SCALES = (1, 2)
WIDTH, HEIGHT = 1180, 680
FRAME = 1004
SHOWN = {"result": (1, 2), "roto": (1,), "render": (1,)}
"""Pictures of the documentation, and at which scales; of others there is no need there."""
COLOURS, CONTROLS = 240, 64
"""Colours of a picture, and how many of them are kept as they are."""

sys.path.insert(0, str(ROOT / "plugin"))


def main() -> None:
    """Draw the pictures, or those of one scale where a process was started for it."""
    out = Path(sys.argv[1]).resolve() if len(sys.argv) > 1 else OUT
    if len(sys.argv) == 3:
        draw(int(sys.argv[2]), out)
        return
    out.mkdir(parents=True, exist_ok=True)
    for scale in SCALES:
        environ = {**os.environ, "QT_QPA_PLATFORM": "offscreen", "QT_SCALE_FACTOR": str(scale)}
        command = [sys.executable, __file__, str(out), str(scale)]
        subprocess.run(command, env=environ, cwd=ROOT, check=True)


def draw(scale: int, out: Path) -> None:
    """Draw every picture at a scale."""
    folder = Path(tempfile.mkdtemp(prefix="sh0420-"))
    for path in EXAMPLES.iterdir():
        if path.is_file() and path.suffix in (".exr", ".json", ".onnx"):
            (folder / path.name).symlink_to(path)
    os.chdir(folder)  # so that the pictures show names that are always the same

    from semblance_panel import style
    from semblance_panel.qt import QtGui, QtWidgets
    from semblance_viewer.display import default_look, displays
    from semblance_viewer.services import Trust
    from semblance_viewer.window import Viewer

    application = QtWidgets.QApplication([])
    application.setFont(QtGui.QFont("DejaVu Sans", 9))
    style.dress(application)
    viewer = Viewer(displays(), default_look(), trust=Trust((EXAMPLES / "trust",)))
    viewer.resize(WIDTH, HEIGHT)
    viewer.show()

    def grab(name: str, widget: QtWidgets.QWidget = viewer) -> None:
        if out != OUT or scale in SHOWN.get(name, ()):
            suffix = "" if scale == 1 else f"_{scale}x"
            save(widget.grab().toImage(), out / f"{name}{suffix}.png")

    try:
        tour(viewer, grab)
    finally:
        viewer.shutdown()


def tour(viewer: object, grab: Callable[..., None]) -> None:
    """Go through the viewer as an artist does, and take pictures on the way."""
    from semblance_panel.qt import QtCore, QtGui, QtWidgets
    from semblance_viewer.window import Viewer

    assert isinstance(viewer, Viewer)
    canvas, kinds = viewer.canvas, QtCore.Qt

    def wait(milliseconds: int) -> None:
        loop = QtCore.QEventLoop()
        QtCore.QTimer.singleShot(milliseconds, loop.quit)
        loop.exec()

    def until(condition: Callable[[], bool]) -> None:
        end = time.monotonic() + 120.0
        while not condition():
            assert time.monotonic() < end
            wait(20)
        wait(700)  # thumbnails, the cache bar

    def point(x: float, y: float, kind: object, buttons: object) -> None:
        place = canvas.to_widget(QtCore.QPointF(x, y))
        event = QtGui.QMouseEvent(
            kind, place, canvas.mapToGlobal(place), buttons, buttons,
            kinds.KeyboardModifier.NoModifier,
        )  # fmt: skip
        QtWidgets.QApplication.sendEvent(canvas, event)

    def hover(x: float, y: float) -> None:
        point(x, y, QtCore.QEvent.Type.MouseMove, kinds.MouseButton.NoButton)

    def click(x: float, y: float) -> None:
        left = kinds.MouseButton.LeftButton
        point(x, y, QtCore.QEvent.Type.MouseButtonPress, left)
        point(x, y, QtCore.QEvent.Type.MouseButtonRelease, left)

    def key(which: object) -> None:
        event = QtGui.QKeyEvent(
            QtCore.QEvent.Type.KeyPress, which, kinds.KeyboardModifier.NoModifier
        )
        QtWidgets.QApplication.sendEvent(canvas, event)

    rested = lambda: viewer.ready(viewer.frame)  # noqa: E731
    here = os.getcwd()
    names = {"model": f"{here}/likeness.onnx", "track_file": f"{here}/track.json"}
    viewer.presets.begin_with(None, names)
    viewer.open("plate.1001.exr")
    until(rested)
    for frame in (1001, 1002, 1003):
        viewer.go(frame)
        until(rested)
    viewer.go(FRAME)
    viewer.panel.tabs.setCurrentWidget(viewer.panel.page("mask"))
    viewer.model.set("mask_grow", -1.5)
    until(rested)
    result = viewer.engine.result(FRAME)
    assert result is not None
    assert result.window is not None
    window = result.window
    x, y = (window.x0 + window.x1) / 2, (window.y0 + window.y1) / 2
    until(lambda: set(viewer.engine.states().values()) == {"result"})
    hover(x, y)
    grab("result")

    viewer.compare_bar.set_mode("wipe")
    viewer.panel.tabs.setCurrentWidget(viewer.panel.page("identity"))
    until(rested)
    grab("wipe")
    viewer.compare_bar.set_mode("difference")
    until(rested)
    grab("difference")
    viewer.compare_bar.set_mode("result")

    viewer.hands.choose("roto")
    left, right = window.x0 + 0.2 * window.width, window.x1 - 0.25 * window.width
    top, low = window.y0 + 0.18 * window.height, window.y1 - 0.1 * window.height
    for at in ((left, top), (right, top), (right + 8, y), (x, low), (left - 6, y)):
        click(*at)
    key(kinds.Key.Key_Return)
    wait(800)
    until(rested)
    grab("roto")
    viewer.model.set("roto_file", "")
    viewer.hands.choose("landmarks")
    wait(500)
    until(rested)
    grab("landmarks")
    viewer.hands.choose("")
    until(rested)
    viewer.show_render()
    dialog = viewer.dialog
    dialog.output.setText("renders/plate.####.exr")
    dialog.frames.setText("1001-1006")
    dialog.resize(dialog.sizeHint())
    dialog.begin()
    until(lambda: not dialog.running)
    grab("render", dialog)
    dialog.compare_asked.emit(dialog.output.text())
    until(rested)
    grab("files")
    viewer.take("nothing.####.exr")
    wait(200)
    grab("error")


def save(image: object, path: Path) -> None:
    """Write a picture in so few colours that it is small."""
    from semblance_panel.qt import QtGui

    assert isinstance(image, QtGui.QImage)
    image = image.convertToFormat(QtGui.QImage.Format.Format_RGB888)
    rows = np.frombuffer(image.constBits(), np.uint8).reshape(image.height(), -1)
    pixels = rows[:, : 3 * image.width()].reshape(image.height(), image.width(), 3)
    colours = palette(pixels)
    chosen = Image.fromarray(nearest(pixels, colours))
    chosen.putpalette(colours.tobytes())
    chosen.save(path, optimize=True)


def palette(pixels: np.ndarray) -> np.ndarray:
    """Return the colours of a picture: those of the controls exactly, the rest for the plate."""
    there, counts = np.unique(pixels.reshape(-1, 3), axis=0, return_counts=True)
    often = there[np.argsort(-counts)[:CONTROLS]]
    few = Image.fromarray(pixels).quantize(COLOURS - CONTROLS, Image.Quantize.MEDIANCUT, kmeans=3)
    rest = np.frombuffer(bytes(few.getpalette() or []), np.uint8).reshape(-1, 3)
    return np.concatenate([often, rest])[:COLOURS]


def nearest(pixels: np.ndarray, colours: np.ndarray) -> np.ndarray:
    """Return for every pixel which colour is nearest."""
    there, places = np.unique(pixels.reshape(-1, 3), axis=0, return_inverse=True)
    known = colours.astype(np.float32)
    lengths = (known**2).sum(axis=1)
    chosen = [
        np.argmin(lengths - 2.0 * part.astype(np.float32) @ known.T, axis=1)
        for part in np.array_split(there, len(there) // 4096 + 1)
    ]
    return np.concatenate(chosen).astype(np.uint8)[places].reshape(pixels.shape[:2])


if __name__ == "__main__":
    main()
