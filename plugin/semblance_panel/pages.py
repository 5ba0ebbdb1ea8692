"""The pages: one for each group of declared knobs, and what some of them show besides.

A group that is declared tomorrow has a page, and a knob that is added to a group has its row.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from html import escape
from itertools import groupby
from threading import Thread
from typing import Any, Final

from semblance.errors import TrackError
from semblance.knobs import Knob, declared
from semblance_panel.curve import ScoreCurve
from semblance_panel.diagram import FaceDiagram, outlines
from semblance_panel.model import Model
from semblance_panel.providers import Identities, Identity, Release, Releases
from semblance_panel.qt import QtCore, QtWidgets
from semblance_panel.rows import TextRow, row_of
from semblance_panel.scores import read_faces
from semblance_panel.style import AMBER, GREEN, RED

__all__ = ["MaskPage", "ModelPage", "Page", "TrackPage", "pages"]

Qt = QtCore.Qt


class Page(QtWidgets.QScrollArea):
    """The rows of a group.

    Parameters
    ----------
    group : str
    knobs : sequence of Knob
        The group's.
    model : Model

    Attributes
    ----------
    rows : dict of str to Row
        By the knob's name.
    """

    def __init__(self, group: str, knobs: Sequence[Knob], model: Model) -> None:
        super().__init__()
        self.group = group
        self.model = model
        self.rows = {knob.name: row_of(knob, model) for knob in knobs}
        self.setObjectName(f"page_{group}")
        self.setWidgetResizable(True)
        self.setFrameShape(QtWidgets.QFrame.Shape.NoFrame)
        inside = QtWidgets.QWidget()
        self.column = QtWidgets.QVBoxLayout(inside)
        self.column.setContentsMargins(10, 10, 6, 10)
        self.column.setSpacing(6)
        self.fill()
        self.column.addStretch(1)
        self._align()
        self.setWidget(inside)

    def fill(self) -> None:
        """Put the rows into `column`, and what the page shows besides."""
        for row in self.rows.values():
            self.column.addWidget(row)

    def refresh(self, names: Iterable[str]) -> None:
        """Show what the model holds for those of `names` that are here."""
        for name in names:
            if name in self.rows:
                self.rows[name].refresh()

    def search(self, text: str) -> bool:
        """Show the rows that match; return whether there are any. All match nothing."""
        found = False
        for row in self.rows.values():
            matches = row.matches(text)
            row.setVisible(matches)
            found = found or matches
        return found

    def _align(self) -> None:
        """Let all controls begin at one place, and all sliders end at one."""
        width = max(row.label.sizeHint().width() for row in self.rows.values())
        units = max(row.unit.sizeHint().width() for row in self.rows.values())
        for row in self.rows.values():
            row.label.setFixedWidth(width)
            if units and row.knob.kind in ("float", "int"):
                row.unit.setFixedWidth(units)
                row.unit.setVisible(True)


class ModelPage(Page):
    """The model's rows, what is offered in them, and below whether the likeness is released.

    Whether the model may draw, whom it draws and who is in the track is asked for, and shown when
    the answer comes; an answer to an older question is not.
    """

    arrived = QtCore.Signal(str, int, object)

    def fill(self) -> None:
        """Add the release's place."""
        super().fill()
        self.releases: Releases | None = None
        self.identities: Identities | None = None
        self._asked = {"release": 0, "identity": 0, "faces": 0}
        self.status = QtWidgets.QLabel()
        self.status.setObjectName("release")
        self.status.setWordWrap(True)
        self.status.setTextFormat(Qt.TextFormat.RichText)
        self.status.setMargin(8)
        self.column.addSpacing(6)
        self.column.addWidget(self.status)
        self.arrived.connect(self._show)
        self.look()

    def refresh(self, names: Iterable[str]) -> None:
        """Look up again what has changed."""
        names = set(names)
        super().refresh(names)
        if names & {"model", "likeness"}:
            self._look_release()
        if "model" in names:
            self._look_identity()
        if "track_file" in names:
            self.look_faces()

    def look(self) -> None:
        """Ask for everything."""
        self._look_release()
        self._look_identity()
        self.look_faces()

    def look_faces(self) -> None:
        """Read in a thread which faces the track has."""
        path = str(self.model.value("track_file"))
        deliver = self._question("faces")
        self._offer_faces({})
        if path:
            Thread(target=lambda: deliver(_faces(path)), name="faces", daemon=True).start()

    def _look_release(self) -> None:
        path, likeness = str(self.model.value("model")), str(self.model.value("likeness"))
        deliver = self._question("release")
        if not path:
            self._show_release(Release(None, "No model is chosen: the plate passes through."))
        elif self.releases is None:
            self._show_release(Release(None, "The release is checked when a frame renders."))
        else:
            self._show_release(Release(None, "Checking the release …"))
            self.releases.ask(path, likeness, deliver)

    def _look_identity(self) -> None:
        path = str(self.model.value("model"))
        deliver = self._question("identity")
        self._offer_likenesses(Identity())
        if path and self.identities is not None:
            self.identities.ask(path, deliver)

    def _question(self, what: str) -> Callable[[object], None]:
        """Begin a question; return what takes its answer, from any thread."""
        self._asked[what] += 1
        asked = self._asked[what]

        def deliver(found: object) -> None:
            try:
                self.arrived.emit(what, asked, found)
            except RuntimeError:  # the page is gone meanwhile
                return

        return deliver

    def _show(self, what: str, asked: int, found: Any) -> None:
        if asked == self._asked[what]:
            show: dict[str, Callable[[Any], None]] = {
                "release": self._show_release,
                "identity": self._offer_likenesses,
                "faces": self._offer_faces,
            }
            show[what](found)

    def _show_release(self, release: Release) -> None:
        sign, colour = {True: ("✓", GREEN), False: ("✗", RED), None: ("•", AMBER)}[release.valid]
        reason = f"<br>{escape(release.reason)}" if release.reason else ""
        self.status.setText(
            f'<span style="color:{colour.name()}"><b>{sign}</b></span> '
            f"<b>{escape(release.text)}</b>{reason}"
        )

    def _offer_likenesses(self, identity: Identity) -> None:
        names = identity.likenesses
        row = self.rows["likeness"]
        row.offer([(name, name) for name in names])
        if isinstance(row, TextRow):
            row.hint(names[0] if len(names) == 1 else "")

    def _offer_faces(self, faces: Mapping[int, int]) -> None:
        self.rows["face"].offer([(f"{face}: {n} frames", face) for face, n in faces.items()])


def _faces(path: str) -> Mapping[int, int]:
    """Return a track's faces; none where it can't be read, which the track's page says."""
    try:
        return read_faces(path)
    except TrackError:
        return {}


class MaskPage(Page):
    """The mask's rows; the regions stand beside a face that can be clicked."""

    def fill(self) -> None:
        """Put the face where the regions' rows would be."""
        drawn = outlines()
        regions = {
            name[len(_REGION) :]: row
            for name, row in self.rows.items()
            if row.knob.kind == "bool"
            and name.startswith(_REGION)
            and name[len(_REGION) :] in drawn
        }
        self.diagram = FaceDiagram(
            tuple(regions), lambda region: bool(self.model.value(_REGION + region))
        )
        self.diagram.setObjectName("face")
        self.diagram.clicked.connect(self._turn)
        beside = QtWidgets.QVBoxLayout()
        beside.setSpacing(4)
        beside.addStretch(1)
        block = QtWidgets.QHBoxLayout()
        block.setContentsMargins(0, 4, 0, 4)
        block.addLayout(beside)
        block.addSpacing(12)
        block.addWidget(self.diagram)
        block.addStretch(1)
        placed = False
        for row in self.rows.values():
            if row not in regions.values():
                self.column.addWidget(row)
            elif not placed:
                self.column.addLayout(block)
                placed = True
        for row in self.rows.values():
            if row in regions.values():
                beside.addWidget(row)
        beside.addStretch(1)

    def refresh(self, names: Iterable[str]) -> None:
        """Draw the face again as well."""
        super().refresh(names)
        self.diagram.update()

    def search(self, text: str) -> bool:
        """Show the face while nothing is searched for."""
        self.diagram.setVisible(not text)
        return super().search(text)

    def _turn(self, region: str) -> None:
        row = self.rows[_REGION + region]
        row.set_value(not self.model.value(_REGION + region))


class TrackPage(Page):
    """The track's rows, and the curve of its scores; it follows a track that is made again.

    Signals
    -------
    rewritten()
        The track was made again, in the same file.
    """

    rewritten = QtCore.Signal()

    def fill(self) -> None:
        """Add the curve."""
        super().fill()
        self.curve = ScoreCurve()
        self.curve.setObjectName("scores")
        self._drawn: tuple[str, int] = ("", -1)
        self._watcher = QtCore.QFileSystemWatcher(self)
        self._watcher.fileChanged.connect(self._changed)
        self.column.addSpacing(6)
        self.column.addWidget(self.curve)
        self._draw()

    def refresh(self, names: Iterable[str]) -> None:
        """Draw another track where it has changed."""
        super().refresh(names)
        self._draw()

    def _changed(self, path: str) -> None:
        self._draw(again=True)
        self.rewritten.emit()

    def _draw(self, again: bool = False) -> None:
        face = self.model.value("face")
        assert isinstance(face, int)
        wanted = (str(self.model.value("track_file")), face)
        if again or wanted != self._drawn:
            self._drawn = wanted
            self.curve.show_track(*wanted)
            # A file that was replaced by another one of its name is no longer watched.
            if self._watcher.files():
                self._watcher.removePaths(self._watcher.files())
            if self.curve.scores is not None:
                self._watcher.addPath(wanted[0])


_REGION: Final = "mask_"

_SPECIAL: Final[dict[str, type[Page]]] = {
    "model": ModelPage,
    "mask": MaskPage,
    "track": TrackPage,
}


def pages(model: Model) -> list[Page]:
    """Return a page for each group, in declared order."""
    return [
        _SPECIAL.get(group, Page)(group, tuple(knobs), model)
        for group, knobs in groupby(declared(), key=lambda knob: knob.group)
    ]
