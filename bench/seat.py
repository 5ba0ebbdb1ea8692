"""What does an artist at the viewer wait for? The real canvas, with a real worker, in one run.

    python bench/seat.py
    python bench/seat.py --repeats 31 --model examples/likeness.onnx

An example plate is laid into a half-float frame of 4096 × 2160 so large that the face's region is
about 1000 × 1000 pixels, as bench/live.py does it. The canvas is as large as that frame, so that a
pixel of the plate is one of the screen, and shows the config's own view. Then:

- Knob to picture: from the change of a knob to the frame on the screen, complete; beside it the
  engine's render (plan, pixels, worker, pixels back) and the painting alone.
- Pan and zoom: how long the GUI is busy for each step, and how long a step waits for its turn while
  threads convert tiles.
- Play: cached frames of 2048 × 1080 one after the other, as fast as they go, and with the clock of
  24 frames a second how many came late.
- Nuke by frames: knob to frame through files, as bench/frames_engine.py says.

Nothing is asserted: the figures are this machine's, the ratios travel. Markdown comes out.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import math
import os
import shutil
import signal
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np

import frames_engine

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "plugin"))

from semblance import exr, pipeline  # noqa: E402
from semblance.face import Track  # noqa: E402
from semblance.knobs import Knobs  # noqa: E402
from semblance.plate import Plate, Window  # noqa: E402
from semblance.track.file import load_track, save_track  # noqa: E402
from semblance_panel.qt import QtCore, QtGui, QtWidgets  # noqa: E402
from semblance_viewer.canvas import Canvas  # noqa: E402
from semblance_viewer.engine import Engine  # noqa: E402

EXAMPLES = HERE.parent / "examples"
FRAME = 1004
SIZE, SMALL = (4096, 2160), (2048, 1080)
REGION = 1000
"""Pixels of the region's longer side."""
PLAYED = 24

KNOBS: dict[str, Callable[[int], Any]] = {  # a value seen before would come out of a cache
    "mask_feather": lambda count: 4.0 + 0.01 * count,
    "mask_grow": lambda count: -3.0 + 0.01 * count,
    "mask_gamma": lambda count: 0.8 + 0.001 * count,
    "mix": lambda count: 0.5 + 0.002 * count,
}


class Timed(Canvas):
    """A canvas that knows how long it painted."""

    painted = 0.0
    total = 0.0

    def paintEvent(self, event: QtGui.QPaintEvent) -> None:
        start = time.perf_counter()
        super().paintEvent(event)
        self.painted = 1000.0 * (time.perf_counter() - start)
        self.total += self.painted


class Seat:
    """A canvas, its engine and a worker's folder."""

    def __init__(self, folder: Path, model: Path) -> None:
        self.folder, self.model = folder, model
        trust = folder / ".config" / "semblance" / "trust"
        trust.mkdir(parents=True)
        shutil.copy(EXAMPLES / "trust" / "kestrel-estate.pub", trust)
        worker = folder / "worker"
        worker.write_text(
            f"#!/bin/sh\nexec '{sys.executable}' -c "
            "'import sys; from semblance.cli import main; sys.exit(main())' \"$@\"\n"
        )
        worker.chmod(0o755)
        os.environ |= {
            "HOME": str(folder),
            "SEMBLANCE_RUNTIME": str(folder / "run"),
            "SEMBLANCE_WORKER": str(worker),
        }
        self.application = QtWidgets.QApplication.instance() or QtWidgets.QApplication([])
        self.canvas = Timed()
        self.region = _scene(folder)
        self.engine: Engine | None = None

    def open(self, name: str, size: tuple[int, int]) -> Engine:
        self.close()
        self.engine = Engine(exr.Sequence.parse(self.folder / name), cache_mb=4096)
        self.canvas.resize(*size)
        self.canvas.show()
        self.canvas.set_engine(self.engine)
        return self.engine

    def close(self) -> None:
        self.canvas.set_engine(None)
        if self.engine is not None:
            self.engine.close()

    def knobs(self, **values: Any) -> Callable[[int], Knobs]:
        track = str(self.folder / "track.json")
        knobs = Knobs.from_flat({"model": str(self.model), "track_file": track} | values)
        return lambda frame: knobs

    def until(self, condition: Callable[[], bool], seconds: float = 60.0) -> None:
        """Let Qt work until something is so; it is looked at when a frame was drawn."""
        loop, timer = QtCore.QEventLoop(), QtCore.QTimer()
        timer.setSingleShot(True)
        timer.timeout.connect(lambda: loop.exit(1))
        timer.start(round(1000 * seconds))

        def look() -> None:
            if condition():
                loop.exit(0)

        self.canvas.drawn.connect(look)
        try:
            if not condition() and loop.exec():
                sys.exit("the picture did not come")
        finally:
            self.canvas.drawn.disconnect(look)

    def complete(self) -> bool:
        engine = self.engine
        assert engine is not None
        frame = self.canvas.frame()
        if engine.reason(frame):
            sys.exit(engine.reason(frame))
        return engine.fresh(frame) and self.canvas.is_complete()

    def end_worker(self) -> None:
        with contextlib.suppress(OSError, ValueError):
            pid = json.loads((self.folder / "run" / "worker-1.json").read_text())["pid"]
            os.kill(int(pid), signal.SIGKILL)


def _scene(folder: Path) -> tuple[int, int]:
    """Write the large frame, its track and small frames to play; return the region's size."""
    shot = exr.read_plate(EXAMPLES / f"plate.{FRAME}.exr")
    face = load_track(EXAMPLES / "track.json").faces[FRAME]
    window = pipeline.region(face, 1.0)
    scale = REGION / max(window.width, window.height)
    rgb = np.stack([shot.channels[name].astype(np.float32) for name in "RGB"], axis=-1)
    size = (round(rgb.shape[1] * scale), round(rgb.shape[0] * scale))
    large = cv2.resize(rgb, size, interpolation=cv2.INTER_CUBIC)
    scales = (size[0] / rgb.shape[1], size[1] / rgb.shape[0])
    width, height = SIZE
    left, top = (width - size[0]) // 2, (height - size[1]) // 2
    picture = np.full((height, width, 3), 0.1, np.float32)
    cut = (slice(max(top, 0), top + size[1]), slice(max(left, 0), left + size[0]))
    picture[cut] = large[max(-top, 0) :, max(-left, 0) :][:height, :width]
    random = np.random.default_rng(3)
    picture += random.normal(0.0, 0.003, picture.shape).astype(np.float32)
    _write(picture, folder / f"large.{FRAME}.exr")
    small = cv2.resize(picture, SMALL, interpolation=cv2.INTER_AREA)
    for frame in range(PLAYED):
        grain = random.normal(0.0, 0.003, small.shape).astype(np.float32)
        _write(np.roll(small, 8 * frame, axis=1) + grain, folder / f"small.{1001 + frame}.exr")
    moved = replace(face, landmarks=face.landmarks * scales + (left, top))
    save_track(Track({FRAME: moved}, SIZE, 1.0, (FRAME,)), folder / "track.json")
    window = pipeline.region(moved, 1.0)
    return window.width, window.height


def _write(picture: np.ndarray, path: Path) -> None:
    window = Window(0, 0, picture.shape[1], picture.shape[0])
    channels = {name: picture[..., i].astype(np.float16) for i, name in enumerate("RGB")}
    exr.write_plate(Plate(channels, window, window, compression="zips"), path)


def _first(seat: Seat) -> tuple[float, float]:
    """Return the milliseconds to the plate on the screen, and to its result."""
    start = time.perf_counter()
    engine = seat.open("large.####.exr", SIZE)
    engine.want(FRAME, seat.knobs())
    seat.canvas.set_frame(FRAME)
    seat.until(lambda: seat.canvas.is_complete())
    plate = 1000.0 * (time.perf_counter() - start)
    seat.until(seat.complete)
    return plate, 1000.0 * (time.perf_counter() - start)


def _sliders(seat: Seat, repeats: int) -> dict[str, dict[str, list[float]]]:
    engine, found = seat.engine, {}
    assert engine is not None
    for name, value in KNOBS.items():
        times: dict[str, list[float]] = {"all": [], "render": [], "paint": []}
        for count in range(repeats + 3):
            seat.canvas.total = 0.0
            start = time.perf_counter()
            engine.want(FRAME, seat.knobs(**{name: value(count)}))
            seat.until(seat.complete)
            taken = 1000.0 * (time.perf_counter() - start)
            result = engine.result(FRAME)
            assert result is not None
            if count >= 3:
                times["all"].append(taken)
                times["render"].append(result.milliseconds)
                times["paint"].append(seat.canvas.total)
        found[name] = times
    return found


def _painting(seat: Seat, repeats: int) -> list[float]:
    """Return the milliseconds of painting the whole canvas, all tiles at hand."""
    times = []
    for _ in range(repeats):
        seat.canvas.repaint()
        times.append(seat.canvas.painted)
    return times


def _moves(seat: Seat, step: Callable[[int], None], count: int) -> tuple[list[float], list[float]]:
    """Return how long the GUI was busy with each step, and how late each one's turn came."""
    busy, late = [], []
    due = time.perf_counter()
    for index in range(count):
        due += 1.0 / 60.0
        while (now := time.perf_counter()) < due:
            seat.application.processEvents(
                QtCore.QEventLoop.ProcessEventsFlag.AllEvents, max(int(1000 * (due - now)), 1)
            )
            time.sleep(0.0005)
        late.append(1000.0 * (now - due))
        due = max(due, now)
        step(index)
        seat.application.processEvents()
        busy.append(1000.0 * (time.perf_counter() - now))
    return busy, late


def _pan(seat: Seat) -> Callable[[int], None]:
    seat.canvas.set_zoom(2.0)
    seat.until(seat.complete)
    at = QtCore.QPointF(1500.0, 1000.0)
    press, move = QtCore.QEvent.Type.MouseButtonPress, QtCore.QEvent.Type.MouseMove
    middle, none = QtCore.Qt.MouseButton.MiddleButton, QtCore.Qt.MouseButton.NoButton
    _mouse(seat.canvas, press, at, middle, middle)

    def step(index: int) -> None:
        there = at + QtCore.QPointF(740.0 * math.sin(index / 5.0), 23.0 * index)
        _mouse(seat.canvas, move, there, none, middle)

    return step


def _mouse(
    canvas: Canvas,
    kind: QtCore.QEvent.Type,
    at: QtCore.QPointF,
    button: QtCore.Qt.MouseButton,
    held: QtCore.Qt.MouseButton,
) -> None:
    plain = QtCore.Qt.KeyboardModifier.NoModifier
    event = QtGui.QMouseEvent(kind, at, canvas.mapToGlobal(at), button, held, plain)
    QtWidgets.QApplication.sendEvent(canvas, event)


def _zoom(seat: Seat) -> Callable[[int], None]:
    about = QtCore.QPointF(2000.0, 1100.0)
    return lambda index: seat.canvas.set_zoom(2.0 ** (1.5 * math.cos(index / 8.0) - 1.0), about)


def _play(seat: Seat) -> tuple[float, float, int, list[float]]:
    """Return pictures a second, those without a cache, how many of 24 a second came late."""
    engine = seat.open("small.####.exr", (1920, 1080))
    frames = engine.frames

    def show(frame: int) -> None:
        at = frames.index(frame)
        engine.want(frame, None, frames[at + 1 :] + frames[:at])
        seat.canvas.set_frame(frame)
        seat.until(lambda: seat.canvas.frame() == frame and seat.canvas.is_complete())

    start = time.perf_counter()
    for frame in frames:
        show(frame)
    uncached = len(frames) / (time.perf_counter() - start)
    for frame in frames:
        show(frame)
    times, rounds = [], 3
    for frame in frames * rounds:
        start = time.perf_counter()
        show(frame)
        times.append(time.perf_counter() - start)
    late, due = 0, time.perf_counter()
    for frame in frames * rounds:
        while (now := time.perf_counter()) < due:
            seat.application.processEvents()
            time.sleep(min(0.001, due - now))
        show(frame)
        due += 1.0 / 24.0
        late += time.perf_counter() > due
        due = max(due, time.perf_counter())
    return 1.0 / statistics.median(times), uncached, late, [1000.0 * each for each in times]


def _row(what: str, times: Sequence[float], goal: str = "") -> str:
    ordered = sorted(times)
    p95 = ordered[min(len(ordered) - 1, round(0.95 * (len(ordered) - 1)))]
    return f"| {what} | {statistics.median(times):.1f} | {ordered[0]:.1f} | {p95:.1f} | {goal} |"


@contextlib.contextmanager
def _seat(model: Path) -> Iterator[Seat]:
    with tempfile.TemporaryDirectory() as folder:
        seat = Seat(Path(folder), model)
        try:
            yield seat
        finally:
            seat.close()
            seat.end_worker()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--repeats", type=int, default=21)
    parser.add_argument("--model", type=Path, default=EXAMPLES / "likeness.onnx")
    options = parser.parse_args()
    load = os.getloadavg()[0]
    with _seat(options.model.resolve()) as seat:
        plate, result = _first(seat)
        sliders = _sliders(seat, options.repeats)
        painting = _painting(seat, options.repeats)
        pan = _moves(seat, _pan(seat), 90)
        zoom = _moves(seat, _zoom(seat), 90)
        rate, uncached, late, played = _play(seat)
        region = seat.region
    by_frames = frames_engine.measure(options.repeats, options.model.resolve())
    lines = [
        "# At the viewer",
        "",
        f"{SIZE[0]} × {SIZE[1]} halfs on a canvas as large, the face's region {region[0]} × "
        f"{region[1]}, {options.model.name}, {os.cpu_count()} cores, load {load:.1f} before the "
        "run.",
        "",
        "| milliseconds | median | best | 95 % | goal |",
        "| --- | --- | --- | --- | --- |",
        _row("plate on the screen, from the file, no worker running", [plate]),
        _row("its result on the screen, worker's start included", [result]),
        *(_row(f"knob to picture, {name}", each["all"], "≤ 60") for name, each in sliders.items()),
        _row("of these: the engine's render", [t for s in sliders.values() for t in s["render"]]),
        _row("of these: painting", [t for s in sliders.values() for t in s["paint"]]),
        _row("painting the whole canvas", painting),
        _row("pan at 4K, GUI busy a step", pan[0], "≤ 16"),
        _row("pan at 4K, a step comes late", pan[1]),
        _row("zoom at 4K, GUI busy a step", zoom[0]),
        _row("zoom at 4K, a step comes late", zoom[1]),
        _row("play, a cached frame of 2048 × 1080", played, "≤ 41"),
        *frames_engine.rows(by_frames),
        "",
        f"Cached frames play at {rate:.0f} a second at most; at 24 a second {late} of "
        f"{3 * PLAYED} came late. From files {uncached:.1f} a second.",
        "",
        "| ratio of medians | |",
        "| --- | --- |",
        *(
            f"| {name}: knob to picture over the engine's render | "
            f"{statistics.median(each['all']) / statistics.median(each['render']):.2f} |"
            for name, each in sliders.items()
        ),
    ]
    print("\n".join(lines))


if __name__ == "__main__":
    main()
