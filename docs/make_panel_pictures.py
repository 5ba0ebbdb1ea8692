"""Draw the pictures of docs/panel.md: every page of the panel over examples/, without a screen.

    python docs/make_panel_pictures.py [FOLDER]

The extra `panel` must be installed. A scale factor belongs to a whole process, so each scale is
drawn by one of its own. Into another FOLDER all pages are drawn at both scales, to be looked at.
"""

from __future__ import annotations

import json
import math
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np

from semblance.exr import read_plate
from semblance.worker.client import Link

ROOT = Path(__file__).resolve().parents[1]
EXAMPLES = ROOT / "examples"
OUT = ROOT / "docs" / "pictures" / "panel"
SCALES = (1, 2)
WIDTH, HEIGHT = 470, 620
FRAME = 1004
BOTH_SCALES = ("mask",)
"""Pages whose picture the documentation shows at the second scale too."""

SERVE = "import sys; from semblance.cli import main; sys.exit(main())"

sys.path.insert(0, str(ROOT / "plugin"))

from semblance_panel.providers import Identity, Release  # noqa: E402
from semblance_panel.thumbnails import PlateFrame, WorkerThumbnails  # noqa: E402


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


class Plates:
    """The frames of examples/."""

    def frame(self, number: int) -> PlateFrame:
        """Return a frame, opaque."""
        channels = read_plate(EXAMPLES / f"plate.{number}.exr").channels
        planes = [channels[name] for name in "RGB"]
        rgba = np.dstack([*planes, np.ones_like(planes[0])]).astype(np.float32)
        return PlateFrame(rgba.shape[1], rgba.shape[0], rgba.tobytes())


class Releases:
    """Tells the release that lies in examples/ as whoever verified it would."""

    def ask(self, model: str, likeness: str, deliver: Callable[[Release], None]) -> None:
        """Answer at once."""
        file = json.loads((EXAMPLES / "likeness.release.json").read_text(encoding="utf-8"))
        release = file["release"]
        reason = (
            f"{release['id']} by {release['rights_holder']}, for {' and '.join(release['uses'])}, "
            f"until {release['valid_until']}."
        )
        deliver(Release(True, f"Released: {release['likeness']}", reason))


class Identities:
    """Tells whom the example's model draws."""

    def ask(self, model: str, deliver: Callable[[Identity], None]) -> None:
        """Answer at once."""
        deliver(Identity("performer", ("likeness",)))


def draw(scale: int, out: Path) -> None:
    """Draw every page at a scale."""
    folder = Path(tempfile.mkdtemp())
    os.chdir(folder)  # so that the pictures show names that are always the same
    for name in ("likeness.onnx", "likeness.release.json", "track.json"):
        (folder / name).symlink_to(EXAMPLES / name)
    write_track(folder / "sh0420.json")
    command = [sys.executable, "-c", SERVE, "serve", "--trust", str(EXAMPLES / "trust")]
    with Link.open(folder / "run", command=command, seconds=60.0) as link:
        try:
            with WorkerThumbnails(Plates(), folder / "run") as thumbnails:
                grab(scale, out, thumbnails, folder)
        finally:
            os.kill(link.welcome.pid, signal.SIGTERM)


def grab(scale: int, out: Path, thumbnails: WorkerThumbnails, folder: Path) -> None:
    """Show the panel and grab its pages."""
    from semblance_panel import style
    from semblance_panel.model import Model
    from semblance_panel.pages import MaskPage
    from semblance_panel.panel import Panel
    from semblance_panel.qt import QtCore, QtGui, QtWidgets

    def wait(milliseconds: int) -> None:
        loop = QtCore.QEventLoop()
        QtCore.QTimer.singleShot(milliseconds, loop.quit)
        loop.exec()

    application = QtWidgets.QApplication([])
    application.setFont(QtGui.QFont("DejaVu Sans", 9))
    style.dress(application)
    model = Model(
        {
            "model": str(folder / "likeness.onnx"),
            "track_file": str(folder / "track.json"),
            "identity_strength": 0.85,
            "mask_grow": -1.5,
            "mask_jaw": False,
            "exposure": {"1001": 0.0, "1013": 1.0},
        }
    )
    panel = Panel(model, releases=Releases(), identities=Identities(), thumbnails=thumbnails)
    panel.resize(WIDTH, HEIGHT)
    panel.set_frame(FRAME)
    panel.show()
    while any(thumb.image.isNull() for thumb in panel.strip.thumbs.values()):
        wait(50)
    panel.strip.provide(None)
    panel.strip.setVisible(True)
    # Names to be read, and a track that has something to see.
    panel.set_value("model", "likeness.onnx")
    panel.set_value("track_file", "sh0420.json")
    for page in panel.pages:
        panel.tabs.setCurrentWidget(page)
        wait(30)
        if isinstance(page, MaskPage):
            page.diagram.setFocus()
            hover(page.diagram)
            wait(30)
        if scale == 1 or out != OUT or page.group in BOTH_SCALES:
            suffix = "" if scale == 1 else f"_{scale}x"
            picture = panel.grab().toImage().convertToFormat(QtGui.QImage.Format.Format_RGB888)
            picture.save(str(out / f"{page.group}{suffix}.png"), "PNG", 0)


def hover(diagram: object) -> None:
    """Hold the pointer over the middle of the face."""
    from semblance_panel.qt import QtCore, QtGui, QtWidgets

    assert isinstance(diagram, QtWidgets.QWidget)
    place = QtCore.QPointF(diagram.rect().center())
    kinds = QtCore.Qt
    event = QtGui.QMouseEvent(
        QtCore.QEvent.Type.MouseMove,
        place,
        diagram.mapToGlobal(place),
        kinds.MouseButton.NoButton,
        kinds.MouseButton.NoButton,
        kinds.KeyboardModifier.NoModifier,
    )
    QtWidgets.QApplication.sendEvent(diagram, event)


def write_track(path: Path) -> None:
    """Write a track of sixty frames in which a face turns away and is lost for two."""
    frames = range(1001, 1061)
    entries = {
        str(frame): {"score": 0.88 + 0.08 * math.sin(frame / 5.0) - dip(frame)}
        for frame in frames
        if frame not in (1030, 1031)
    }
    track = {"format": "semblance-track", "frames": list(frames), "faces": {"0": entries}}
    path.write_text(json.dumps(track), encoding="utf-8")


def dip(frame: int) -> float:
    """Return by how much the score falls where the face turns away."""
    return 0.5 * math.exp(-(((frame - 1030.5) / 3.5) ** 2))


if __name__ == "__main__":
    main()
