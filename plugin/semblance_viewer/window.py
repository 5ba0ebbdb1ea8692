"""The viewer's window: picture, panel, timeline, tools, and everything wired to one engine.

::

    viewer = Viewer(displays(), default_look())
    viewer.open("plate.####.exr")
    viewer.show()

What the panel holds is what the engine renders, what *Save preset* writes and what *Render* hands
to ``semblance apply``: one set of knobs, three ways out of it.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final, Union, cast

from semblance import colour
from semblance.errors import InputError, SemblanceError
from semblance.exr import Sequence, read_plate
from semblance.knobs import Knobs
from semblance.plate import Plate
from semblance.preset import animate
from semblance_panel.model import Change, Model
from semblance_panel.panel import Panel
from semblance_panel.programs import IdentitiesByProgram, ReleasesByProgram
from semblance_panel.qt import QtCore, QtGui, QtWidgets
from semblance_panel.thumbnails import WorkerThumbnails
from semblance_viewer.canvas import Canvas
from semblance_viewer.display import Look
from semblance_viewer.engine import Engine
from semblance_viewer.files import RenderedFiles
from semblance_viewer.hands import TOOLS, Hands
from semblance_viewer.lines import InfoLine, ProbeLine
from semblance_viewer.menus import Keys, menus
from semblance_viewer.opening import (
    Kind,
    Shot,
    default_output,
    frames_per_second,
    kind_of,
    shot_of,
)
from semblance_viewer.player import Player
from semblance_viewer.presets import Presets
from semblance_viewer.renderdialog import RenderDialog
from semblance_viewer.renderjob import PROGRAM, Order
from semblance_viewer.services import EnginePlates, Trust, Worker
from semblance_viewer.timeline import Timeline
from semblance_viewer.toolbar import CompareBar, LookBar

__all__ = ["Viewer"]

Qt = QtCore.Qt
Source = Union[Engine, RenderedFiles]

_FILE_KNOBS: Final = {"model": "model", "track": "track_file", "roto": "roto_file"}
_WATCHED: Final = tuple(_FILE_KNOBS.values())
_QUIET_MS: Final = 300
"""After so long without a new wish, frames ahead are made ready too."""

_STATES_MS: Final = 60
_PANEL_LINES: Final = 34
"""Width of the panel at first, in heights of a line of text: all its pages' tabs are seen."""

_CLOSING_SECONDS: Final = 10.0


class Viewer(QtWidgets.QMainWindow):
    """The window.

    Parameters
    ----------
    displays : mapping of str to tuple of str
        The colour config's displays and their views.
    look : Look
        How pictures are shown at first.
    trust : Trust
        Whose releases count; where it names somebody, this window has a worker of its own.
    part : str, optional
        Part of a multi-part file that is the plate.
    cache_mb : float
        Memory for plates and results.
    """

    _told = QtCore.Signal(object, int)

    def __init__(
        self,
        displays: Mapping[str, tuple[str, ...]],
        look: Look,
        *,
        trust: Trust | None = None,
        part: str | None = None,
        cache_mb: float = 2048.0,
    ) -> None:
        super().__init__()
        self.trust = trust or Trust()
        self.part = part
        self.shot: Shot | None = None
        self.engine: Engine | None = None
        self._cache_mb = cache_mb
        self._files: RenderedFiles | None = None
        self._thumbnails: WorkerThumbnails | None = None
        self._pointed: tuple[float, float] | None = None
        self._closing: list[threading.Thread] = []
        self._rate_known = False
        self.worker = Worker(self.trust)
        self.model = Model()
        self._knobs: Callable[[int], Knobs] = animate({})
        self.presets = Presets(self)
        self.presets.changed.connect(self._show_title)
        self._build(displays, look)
        self._connect()
        self._show_title()

    def _build(self, displays: Mapping[str, tuple[str, ...]], look: Look) -> None:
        self.setAcceptDrops(True)
        self.canvas = Canvas()
        self.canvas.setMinimumSize(240, 160)
        self.canvas.set_look(look)
        self.info, self.probe = InfoLine(), ProbeLine()
        self.player = Player(self.ready, self)
        self.timeline = Timeline(self.player)
        middle = QtWidgets.QWidget()
        column = QtWidgets.QVBoxLayout(middle)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(1)
        column.addWidget(self.canvas, 1)
        for line in (self.info, self.probe, self.timeline):
            column.addWidget(line)
        self.setCentralWidget(middle)
        self.panel = _Panel(
            self.model,
            releases=ReleasesByProgram(PROGRAM, self.trust.options()),
            identities=IdentitiesByProgram(PROGRAM),
        )
        self.panel.setMinimumWidth(20 * self.fontMetrics().height())
        self.dock = QtWidgets.QDockWidget("Knobs", self)
        self.dock.setObjectName("knobs")
        self.dock.setWidget(self.panel)
        self.addDockWidget(Qt.DockWidgetArea.RightDockWidgetArea, self.dock)
        wide = _PANEL_LINES * self.fontMetrics().height()
        self.resizeDocks([self.dock], [wide], Qt.Orientation.Horizontal)
        self.look_bar = LookBar(displays, look)
        self.compare_bar = CompareBar(TOOLS)
        self.render_button = QtWidgets.QPushButton()
        self.render_button.setObjectName("render")
        self.render_button.setText("Render …")
        self.render_button.setToolTip("Render frames to files with “semblance apply” (Ctrl+R)")
        self.render_button.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        self.compare_bar.addWidget(_spacer())
        self.compare_bar.addWidget(self.render_button)
        self.hands = Hands(self)
        for bar in (self.look_bar, self.compare_bar, self.hands.bar):
            self.addToolBar(Qt.ToolBarArea.TopToolBarArea, bar)
            self.addToolBarBreak()
        self.dialog = RenderDialog(self._order, self)
        self._ahead = QtCore.QTimer(self)
        self._ahead.setSingleShot(True)
        self._ahead.setInterval(_QUIET_MS)
        self._states = QtCore.QTimer(self)
        self._states.setSingleShot(True)
        self._states.setInterval(_STATES_MS)
        self._watcher = QtCore.QFileSystemWatcher(self)
        self.canvas.setFocus()

    def _connect(self) -> None:
        self._told.connect(self._changed)
        self.model.listen(self._knobs_changed)
        self.panel.frame_chosen.connect(self.go)
        self.panel.save_asked.connect(self.presets.save)
        self.panel.load_asked.connect(self.take)
        self.player.moved.connect(self._moved)
        self.player.state_changed.connect(self._played)
        self.canvas.pointed.connect(self._point)
        self.canvas.zoomed.connect(self.compare_bar.show_zoom)
        self.look_bar.look_changed.connect(self.canvas.set_look)
        self.compare_bar.compare_changed.connect(self.canvas.set_compare)
        self.compare_bar.gain_changed.connect(self.canvas.set_gain)
        self.compare_bar.fit_asked.connect(self.canvas.fit)
        self.compare_bar.whole_asked.connect(lambda: self.canvas.set_zoom(1.0))
        self.compare_bar.tool_asked.connect(self.hands.choose)
        self.canvas.set_compare(self.compare_bar.mode)
        self.canvas.set_gain(self.compare_bar.gain.value)
        self.render_button.clicked.connect(self.show_render)
        self.dialog.compare_asked.connect(self.show_files)
        self._ahead.timeout.connect(lambda: self._ask(self.player.ahead()))
        self._states.timeout.connect(self._show_states)
        self._watcher.fileChanged.connect(self._rewritten)
        self.keys = Keys(self)
        menus(self)

    # --- opening ---------------------------------------------------------------------------------

    def take(self, path: str | os.PathLike[str], kind: Kind | None = None) -> None:
        """Open whatever a file is; what is wrong with it is said in the line below the picture."""
        self.attempt(lambda: self._take(Path(os.path.abspath(path)), kind))

    def _take(self, path: Path, kind: Kind | None) -> None:
        kind = kind or kind_of(path)
        if kind == "plates":
            self.open(path)
        elif kind == "preset":
            self.presets.load(path)
        else:
            self.model.set(_FILE_KNOBS[kind], str(path))

    def open(self, path: str | os.PathLike[str]) -> None:
        """Open a shot: by its pattern, one of its frames, or a folder of frames.

        Raises
        ------
        SequenceError
            There is no such file; the shot that was open stays.
        """
        shot = shot_of(path)
        self.hands.choose("")
        self._close_shot()
        self.shot = shot
        self._rate_known = False
        self.engine = self._new_engine(shot.plates)
        self.canvas.set_engine(self.engine)
        self.canvas.set_space(str(self.model.value("input_space")))
        plates = EnginePlates(self.engine, self._read)
        self._thumbnails = WorkerThumbnails(plates, self.worker.directory, self.worker.command)
        self.player.open(shot.frames, shot.frame)
        self.timeline.open(shot.frames, shot.frame)
        self.info.describe(Path(str(shot.plates)).name)
        self.info.say("")
        self.dialog.suggest(default_output(shot.plates))
        self._provide()
        self._moved(shot.frame)
        self.canvas.fit()
        self._show_title()

    def _new_engine(self, plates: Sequence) -> Engine:
        engine = Engine(
            plates,
            part=self.part,
            cache_mb=self._cache_mb,
            directory=self.worker.directory,
            command=self.worker.command,
        )
        engine.listen(lambda frame: self._tell(engine, frame))
        return engine

    def _tell(self, source: Source, frame: int) -> None:
        """Hand an engine's news to the GUI's thread, unless the window is gone meanwhile."""
        try:
            self._told.emit(source, frame)
        except RuntimeError:
            return

    def _read(self, frame: int) -> Plate:
        assert self.shot is not None
        return read_plate(self.shot.plates.path(frame), self.part)

    def attempt(self, act: Callable[[], None]) -> bool:
        """Do something that may be refused; the reason goes to the line below the picture."""
        try:
            act()
        except SemblanceError as error:
            self.info.say(str(error))
            return False
        self.info.say("")
        return True

    # --- dialogs ---------------------------------------------------------------------------------

    def ask_for(self, title: str, kinds: str, kind: Kind) -> None:
        """Let a file be chosen, and take it."""
        dialog = QtWidgets.QFileDialog(self, title)
        dialog.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        dialog.setFileMode(QtWidgets.QFileDialog.FileMode.ExistingFile)
        dialog.setNameFilters([kinds, "All files (*)"])
        if self.shot is not None:
            dialog.setDirectory(str(self.shot.plates.folder))
        dialog.fileSelected.connect(lambda path: self.take(path, kind))
        dialog.open()

    def show_render(self) -> None:
        """Open the window that renders to files."""
        if self.shot is None:
            self.info.say("There is no plate to render. Open one, or drop one here.")
            return
        self.dialog.show()
        self.dialog.raise_()

    def _order(self, output: str, frames: str) -> Order:
        """Return what the render window is to render: exactly what is seen."""
        if self.shot is None or not self.model.value("model"):
            raise InputError(
                "no likeness model is chosen, and there is nothing to render without one",
                "Choose one on the page Model, or drop it here.",
            )
        self.hands.flush()
        return Order(
            str(self.shot.plates),
            output,
            frames,
            self.model.preset(),
            self.part,
            self.trust.options(),
        )

    # --- frames ----------------------------------------------------------------------------------

    @property
    def frame(self) -> int:
        """The frame that is shown."""
        return self.player.frame

    def go(self, frame: int) -> None:
        """Show a frame."""
        self.player.stop()
        self.player.go(frame)

    def _moved(self, frame: int) -> None:
        self.canvas.set_frame(frame)
        self.timeline.show_frame(frame)
        self.panel.set_frame(frame)
        if self.player.direction:
            self._ask(self.player.ahead())
            self.probe.show_rate(self.player.measured())
        else:
            self._ask()
        self._show_frame()

    def _played(self) -> None:
        if not self.player.direction:
            self.probe.show_rate(0.0)
            self._ask()

    def ready(self, frame: int) -> bool:
        """Return whether a frame is on the screen with the knobs as they are, or can't ever be."""
        source = self.source
        if source is None or self.canvas.frame() != frame:
            return False
        if source.plate(frame) is None:
            return bool(source.reason(frame))
        wanted = self.compare_bar.mode != "plate" and self.renders
        done = not wanted or source.fresh(frame) or bool(source.reason(frame))
        return done and self.canvas.is_complete()

    # --- the engine ------------------------------------------------------------------------------

    @property
    def source(self) -> Source | None:
        """What is looked at: the live engine, or rendered files in its place."""
        return self._files or self.engine

    @property
    def renders(self) -> bool:
        """Whether there is a result to be had."""
        return self._files is not None or bool(self.model.value("model"))

    def _ask(self, ahead: Any = ()) -> None:
        """Wish for the frame with the knobs as they are; those ahead when all has been quiet."""
        if self.source is None:
            return
        self.source.want(self.frame, self._knobs, tuple(ahead))
        self._states.start()
        if not ahead:
            self._ahead.start()

    def _knobs_changed(self, change: Change) -> None:
        self._show_title()
        if change.by_host or not change.names:
            return  # another frame of the same curves, or undo alone
        self._knobs = animate(self.model.preset())
        if set(change.names) - {"input_space"} and self._files is not None:
            self.show_live()
        if "input_space" in change.names:
            self.canvas.set_space(str(self.model.value("input_space")))
        if set(change.names) & {"model", *_WATCHED}:
            self._watch()
            self._provide()
        self._ask()

    def _changed(self, source: Source, frame: int) -> None:
        """Take an engine's news."""
        if source is not self.source:
            return
        if not self._states.isActive():
            self._states.start()
        if frame == self.frame:
            self._show_frame()

    def _show_frame(self) -> None:
        """Show what is to be known of the frame, and of its pixel under the pointer."""
        source = self.source
        if source is None:
            return
        result = source.result(self.frame) if self.renders else None
        note = "" if result is None else result.failed or result.note
        self.info.tell(source.reason(self.frame) or note)
        plate = source.plate(self.frame)
        if plate is not None and not self._rate_known:
            self._rate_known = True
            self.timeline.set_rate(frames_per_second(plate.metadata))
        if plate is not None and self.shot is not None:
            self.info.describe(self._facts(self.shot, plate))
        self._show_pixel()

    def _facts(self, shot: Shot, plate: Plate) -> str:
        """Return what a plate is, in a line."""
        display = plate.display_window
        kinds = {str(plate.channels[name].dtype) for name in plate.rgb}
        facts = [
            Path(str(shot.plates)).name,
            f"{display.width} × {display.height}",
            " ".join(sorted(kinds)).replace("float16", "half").replace("float32", "float"),
            plate.compression.partition(":")[0],
            f"{len(shot.frames)} frames",
        ]
        if self._files is not None:
            facts.insert(0, "rendered files beside")
        try:
            space = str(self.model.value("input_space"))
            facts.append(colour.resolve_space(space, plate.metadata))
        except SemblanceError as error:
            self.info.say(str(error))
        return "   ".join(facts)

    def _show_states(self) -> None:
        if self.source is not None:
            self.timeline.bar.show_states(self.source.states())

    def _point(self, x: float, y: float) -> None:
        self._pointed = (x, y)
        self._show_pixel()

    def _show_pixel(self) -> None:
        if self.source is None or self._pointed is None:
            self.probe.show_nothing()
            return
        x, y = self._pointed
        plate, result = self.source.probe(self.frame, x, y)
        place = (int(x // 1), int(y // 1))
        self.probe.show_pixel(place, plate, result if self.renders else None)

    def _watch(self) -> None:
        """Hear of it when a file that the knobs name is written again."""
        if self._watcher.files():
            self._watcher.removePaths(self._watcher.files())
        named = [str(self.model.value(name)) for name in _WATCHED]
        there = [path for path in named if path and Path(path).is_file()]
        if there:
            self._watcher.addPaths(there)

    def _rewritten(self, path: str) -> None:
        self._watch()  # a file that was replaced by another of its name is no longer watched
        self._ask()

    def _provide(self) -> None:
        """Let the panel have thumbnails where there is a model to draw them."""
        self.panel.strip.provide(self._thumbnails if self.model.value("model") else None)

    # --- rendered files --------------------------------------------------------------------------

    def show_files(self, pattern: str) -> None:
        """Put rendered files in the place of live results, until a knob is moved."""
        self.attempt(lambda: self._show_files(Sequence.parse(pattern)))

    def _show_files(self, files: Sequence) -> None:
        if self.engine is None:
            return
        files.select()
        self._leave_files()
        shown = RenderedFiles(self.engine, self._file_engine(files))
        shown.listen(lambda frame: self._tell(shown, frame))
        self._files = shown
        self.canvas.set_engine(cast("Engine", shown))
        self.canvas.set_frame(self.frame)
        self._ask()
        self._show_frame()

    def _file_engine(self, files: Sequence) -> Engine:
        return Engine(files, part=self.part, cache_mb=self._cache_mb / 4.0)

    def show_live(self) -> None:
        """Show the live result again."""
        if self._files is not None:
            self._leave_files()
            self.canvas.set_engine(self.engine)
            self.canvas.set_frame(self.frame)
            self._ask()
            self._show_frame()

    def _leave_files(self) -> None:
        if self._files is not None:
            self._close_later(self._files.close)
            self._files = None

    def tool_wrote(self) -> None:
        """Render with what a tool has written."""
        if self._files is not None:
            self.show_live()
        self._watch()
        self._ask()

    # --- the window ------------------------------------------------------------------------------

    def _show_title(self) -> None:
        plates = "no plate" if self.shot is None else Path(str(self.shot.plates)).name
        path = self.presets.path
        preset = "untitled" if path is None else path.name
        self.setWindowTitle(f"{plates} — {preset}[*] — Semblance")
        self.setWindowModified(self.presets.unsaved)

    def keyPressEvent(self, event: QtGui.QKeyEvent) -> None:
        """Do what a key is for, where whoever has the focus had no use for it."""
        if not self.keys.press(event):
            super().keyPressEvent(event)

    def keyReleaseEvent(self, event: QtGui.QKeyEvent) -> None:
        """As `keyPressEvent`."""
        if not self.keys.release(event):
            super().keyReleaseEvent(event)

    def dragEnterEvent(self, event: QtGui.QDragEnterEvent) -> None:
        """Accept files of this machine."""
        if _local_files(event.mimeData()):
            event.acceptProposedAction()

    def dropEvent(self, event: QtGui.QDropEvent) -> None:
        """Take the files; of several frames the first, whose shot is opened."""
        event.acceptProposedAction()
        plates = [path for path in _local_files(event.mimeData()) if path.lower().endswith(".exr")]
        for path in _local_files(event.mimeData()):
            if path not in plates[1:]:
                self.take(path)

    def closeEvent(self, event: QtGui.QCloseEvent) -> None:
        """Close; where knobs are not saved, ask once. A render that runs keeps the window."""
        if self.dialog.running:
            event.ignore()
            self.info.say("A render is running. Cancel it, or wait until it is done.")
            self.show_render()
        elif self.presets.unsaved and self.isVisible():
            event.ignore()
            self.presets.ask_to_leave()
        else:
            self.dialog.close()
            event.accept()

    def shutdown(self) -> None:
        """End threads, the child and a worker of this window; the window is of no use afterwards.

        Takes as long as a frame in work does: call it when the window is closed.
        """
        self.dialog.shut()
        self.hands.choose("")
        self.player.stop()
        self._ahead.stop()
        self._states.stop()
        self._close_shot()
        for thread in self._closing:
            thread.join(_CLOSING_SECONDS)
        self.worker.close()

    def _close_shot(self) -> None:
        self.canvas.set_engine(None)
        self._leave_files()
        self.panel.strip.provide(None)
        for each in (self._thumbnails, self.engine):
            if each is not None:
                self._close_later(each.close)
        self._thumbnails = self.engine = None

    def _close_later(self, close: Callable[[], None]) -> None:
        """Close what may wait for a frame in work, without waiting here."""
        self._closing = [thread for thread in self._closing if thread.is_alive()]
        thread = threading.Thread(target=close, name="closing", daemon=True)
        thread.start()
        self._closing.append(thread)


class _Panel(Panel):
    """The panel, whose presets are this window's."""

    save_asked = QtCore.Signal(str)
    load_asked = QtCore.Signal(str, str)

    def save_preset(self, path: str | os.PathLike[str]) -> None:
        """Let the window write it, which knows then what is saved."""
        self.save_asked.emit(os.fspath(path))

    def load_preset(self, path: str | os.PathLike[str]) -> None:
        """Let the window read it."""
        self.load_asked.emit(os.fspath(path), "preset")


def _spacer() -> QtWidgets.QWidget:
    spacer = QtWidgets.QWidget()
    policy = QtWidgets.QSizePolicy.Policy
    spacer.setSizePolicy(policy.Expanding, policy.Preferred)
    return spacer


def _local_files(data: QtCore.QMimeData) -> list[str]:
    return [url.toLocalFile() for url in data.urls() if url.isLocalFile()]
