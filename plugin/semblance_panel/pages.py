"""The pages: one for each group of declared knobs, and what some of them show besides.

A group that is declared tomorrow has a page, and a knob that is added to a group has its row.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape
from itertools import groupby
from typing import Final

from semblance.knobs import Knob, declared
from semblance_panel.curve import ScoreCurve
from semblance_panel.diagram import FaceDiagram, outlines
from semblance_panel.model import Model
from semblance_panel.providers import Release, Releases
from semblance_panel.qt import QtCore, QtWidgets
from semblance_panel.rows import row_of
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
    """The model's rows, and below them whether the likeness is released."""

    arrived = QtCore.Signal(int, object)

    def fill(self) -> None:
        """Add the release's place."""
        super().fill()
        self.releases: Releases | None = None
        self._asked = 0
        self._about: tuple[object, object] = ("", "")
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
        """Look the release up again where the model has changed."""
        super().refresh(names)
        if self._about != (self.model.value("model"), self.model.value("likeness")):
            self.look()

    def look(self) -> None:
        """Ask for the release of the chosen likeness."""
        path, likeness = str(self.model.value("model")), str(self.model.value("likeness"))
        self._about = (path, likeness)
        self._asked += 1
        if not path:
            self._show(self._asked, Release(None, "No model is chosen: the plate passes through."))
        elif self.releases is None:
            self._show(self._asked, Release(None, "The release is checked when a frame renders."))
        else:
            asked = self._asked
            self._show(asked, Release(None, "Checking the release …"))
            self.releases.ask(path, likeness, lambda found: self._deliver(asked, found))

    def _deliver(self, asked: int, found: Release) -> None:
        """Hand an answer to the GUI's thread, unless the page is gone meanwhile."""
        try:
            self.arrived.emit(asked, found)
        except RuntimeError:
            return

    def _show(self, asked: int, release: Release) -> None:
        if asked != self._asked:
            return
        sign, colour = {True: ("✓", GREEN), False: ("✗", RED), None: ("•", AMBER)}[release.valid]
        reason = f"<br>{escape(release.reason)}" if release.reason else ""
        self.status.setText(
            f'<span style="color:{colour.name()}"><b>{sign}</b></span> '
            f"<b>{escape(release.text)}</b>{reason}"
        )


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
    """The track's rows, and the curve of its scores; it follows a track that is made again."""

    def fill(self) -> None:
        """Add the curve."""
        super().fill()
        self.curve = ScoreCurve()
        self.curve.setObjectName("scores")
        self._drawn: tuple[str, int] = ("", -1)
        self._watcher = QtCore.QFileSystemWatcher(self)
        self._watcher.fileChanged.connect(lambda path: self._draw(again=True))
        self.column.addSpacing(6)
        self.column.addWidget(self.curve)
        self._draw()

    def refresh(self, names: Iterable[str]) -> None:
        """Draw another track where it has changed."""
        super().refresh(names)
        self._draw()

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
