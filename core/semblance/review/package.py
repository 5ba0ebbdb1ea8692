"""A shot's review in a folder: report, contact sheet, wipe movie, figures, a small picture.

Each frame is read and looked at once, and one is held at a time: a long shot needs no more memory
than a short one.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from io import BytesIO
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

import numpy as np
from PIL import Image

from semblance import align, exr, provenance
from semblance.errors import Cancelled, PlateError, SemblanceError, frame_context
from semblance.exr.sequence import compact
from semblance.face import Face
from semblance.knobs import Knobs
from semblance.plate import Plate, Window
from semblance.resume import PLATE_HASH
from semblance.review import measure
from semblance.review.files import Seal, unsealed, write_text, written
from semblance.review.frames import Finding, FrameReview, ShotReview, judged
from semblance.review.material import (
    Look,
    Material,
    Picture,
    around_faces,
    codes,
    marked_knobs,
    shot_knobs,
)
from semblance.review.movie import WipeMovie, frame_rate, movie_size, on_canvas
from semblance.review.report import report
from semblance.review.sheet import shot_sheet, spread

__all__ = ["FIGURES_FILE", "REPORT", "SHEET", "THUMBNAIL", "WIPE", "review_shot", "shot_name"]

REPORT: Final = "report.html"
SHEET: Final = "contact.png"
WIPE: Final = "wipe.mp4"
FIGURES_FILE: Final = "review.json"
THUMBNAIL: Final = "thumbnail.jpg"

_THUMBNAILS: Final = 300
"""Frames that have a picture in the report: those with problems first, the others spread evenly.
At about 9 KB each, so that the report of a long shot can be sent as it is."""

_CELL: Final = 96
"""Height of the pictures in a row."""

_SHEET_WIDTH: Final = 1600
_QUALITY: Final = 82

Scores = Callable[[tuple[int, ...]], Mapping[int, Mapping[str, float]]]
"""Gives, for frames that can be read, figures by frame and by their name in `frames.FIGURES`."""


def review_shot(
    material: Material,
    folder: Path,
    frames: Sequence[int],
    *,
    name: str = "",
    summary: Mapping[str, Any] = MappingProxyType({}),
    scores: Scores = lambda frames: {},
    seal: Seal = unsealed,
    progress: Callable[[int], None] = lambda frame: None,
    cancel: Callable[[], bool] = lambda: False,
) -> ShotReview:
    """Review a shot and write `REPORT`, `SHEET`, `WIPE`, `FIGURES_FILE` and `THUMBNAIL`.

    Parameters
    ----------
    material : Material
    folder : Path
        Where they go; made where it is missing.
    frames : sequence of int
        Frames that ought to be there, ascending. What is wrong with one is a finding of the review,
        and the others go on.
    name : str
        Of the shot; by default that of its files.
    summary : mapping
        `ShotSummary.to_json()` of the render, if it was kept: why frames failed, and times.
    scores : Scores
        Figures against a truth.
    seal : Seal
        Signs pictures and the movie.
    progress : callable
        Hears of each frame.
    cancel : callable
        Polled between frames.

    Returns
    -------
    ShotReview

    Raises
    ------
    PlateError
        No frame at all can be read.
    OutputError
        Something can't be written there.
    EnvironmentFault
        There is no encoder for the movie.
    Cancelled
        `cancel` returned true; files that were not finished are not there.
    """
    name = name or shot_name(material.results)
    first = shot_knobs(material.results, frames)
    look = Look(first.colour.input_space, material.stops)
    faces = material.faces(first.track.smoothing).faces
    failed = {int(number): text for number, text in summary.get("failed", {}).items()}
    begun = _first_plate(material.plates, frames)
    caption = f"{name}   {material.stops:+.2f} stops"
    seen = _Seen()
    with ExitStack() as stack:
        movie = stack.enter_context(
            WipeMovie(
                folder / WIPE,
                size=movie_size(begun.display_window, begun.pixel_aspect),
                count=len(frames),
                rate=frame_rate(begun.metadata),
                caption=caption,
                seal=seal,
            )
        )
        for frame in frames:
            if cancel():
                raise Cancelled("the review was stopped")
            one = _Frame(material, look, frame, faces.get(frame), failed.get(frame, ""))
            seen.take(one.reviewed(seen))
            movie.add(frame, *(one.on(movie.size, plate) for plate in (one.plate, one.result)))
            progress(frame)
    figures = scores(tuple(seen.readable))
    reviewed = judged([_scored(each, figures.get(each.number, {})) for each in seen.frames])
    review = ShotReview(
        name,
        _fewer_thumbnails(reviewed),
        _facts(material, begun, seen.marks, frames, summary),
        _shot_notes(material, first, summary),
        {
            stage: (float(times["median"]), float(times["p95"]))
            for stage, times in summary.get("milliseconds", {}).items()
        },
    )
    _write(review, material, seen, folder, caption, seal)
    return review


def shot_name(results: exr.Sequence) -> str:
    """Return what a shot is called where nobody said: the folder's name and the files'.

    >>> shot_name(exr.Sequence.parse("/show/sh010/out/result.####.exr"))
    'out/result'
    """
    head = (results.head if not results.single else Path(results.head).stem).strip("._- ")
    parent = results.folder.resolve().name
    return "/".join(part for part in (parent, head) if part) or "shot"


@dataclass
class _Seen:
    """What the frames so far leave for those that follow, and for the shot."""

    frames: list[FrameReview] = field(default_factory=list)
    readable: list[int] = field(default_factory=list)
    marks: provenance.Marks | None = None
    before: tuple[int, measure.Change] | None = None

    def take(self, frame: FrameReview) -> None:
        self.frames.append(frame)


class _Frame:
    """One frame while it is looked at."""

    def __init__(
        self, material: Material, look: Look, number: int, face: Face | None, failed: str
    ) -> None:
        self.material, self.look, self.number, self.face = material, look, number, face
        self.failed = failed
        self.findings: list[Finding] = []
        self.plate = self._read(material.plates, "plate")
        self.result = self._read(material.results, "result")

    def on(self, size: tuple[int, int], plate: Plate | None) -> Any:
        """Return a plate's picture of a size, or None where it can't be had."""
        return None if plate is None else on_canvas(plate, self.look, size)

    def reviewed(self, seen: _Seen) -> FrameReview:
        """Return all that is to be said of the frame."""
        figures: dict[str, float] = {}
        thumbnail = b""
        if self.face is not None:
            figures["track"] = self.face.score
        if self.plate is not None and self.result is not None:
            try:
                with frame_context(self.number):
                    thumbnail = self._compare(self.plate, self.result, figures, seen)
            except SemblanceError as error:
                self._say("problem", error.fact)
        if not self.findings:
            self._say("fine", "rendered")
        held = {name: value for name, value in figures.items() if math.isfinite(value)}
        return FrameReview(self.number, tuple(self.findings), held, thumbnail)

    def _read(self, sequence: exr.Sequence, what: str) -> Plate | None:
        path = sequence.path(self.number)
        if not path.is_file():
            # The summary's text begins with frame and file, which the row says already.
            reason = self.failed.partition(": ")[2] or self.failed
            why = f": {reason}" if what == "result" and self.failed else ""
            self._say("problem", f"there is no {what}{why}")
            return None
        try:
            return exr.read_plate(path)
        except PlateError as error:
            self._say("problem", f"the {what} can't be read: {error.fact}")
            return None

    def _say(self, level: Any, text: str) -> None:
        self.findings.append(Finding(level, text))

    def _compare(
        self, plate: Plate, result: Plate, figures: dict[str, float], seen: _Seen
    ) -> bytes:
        """Look at plate and result side by side; return a small picture of both."""
        if (plate.data_window, plate.display_window) != (
            result.data_window,
            result.display_window,
        ):
            self._say("problem", "the result's windows are not the plate's")
            return b""
        seen.readable.append(self.number)
        marks, knobs = marked_knobs(result)
        seen.marks = seen.marks or marks
        self._check_marks(marks, plate, result)
        window = around_faces([self.face] if self.face else [], self.material.track)
        window = (window or plate.display_window).intersection(plate.data_window)
        if self.face is None:
            self._say("look", "no face: the plate is passed through")
            return _strip([self.look.picture(each, window) for each in (plate, result)])
        rendered = self.material.render(self.number, plate, self.face, knobs, "matte")
        matte = rendered.plate.picture(plate.data_window)[..., 0]
        figures["milliseconds"] = sum(rendered.statistics.milliseconds.values())
        self._measure(plate, result, matte, figures, seen)
        if marks is not None and marks.release_check == "valid" and self._has_its_mattes(knobs):
            beside = measure.changed_beside(result, plate, matte)
            if beside:
                self._say("look", f"{_pixels(beside)} beside the matte are not the plate's own")
        shown = [
            self.look.picture(plate, window),
            np.repeat(self.look.values(rendered.plate, window)[..., :1], 3, axis=2),
            self.look.picture(result, window),
        ]
        return _strip(shown)

    def _measure(
        self,
        plate: Plate,
        result: Plate,
        matte: measure.Matte,
        figures: dict[str, float],
        seen: _Seen,
    ) -> None:
        face = self.face
        if face is None:
            return
        matrix = align.fit(face.landmarks, plate.pixel_aspect)
        window = align.bounds(matrix, plate.data_window)
        if window.empty:
            self._say("look", "the face lies outside the picture: the plate is passed through")
            return
        if not np.isfinite(result.picture(window)).all():
            self._say("problem", "the result holds values that are not finite numbers")
        ours, theirs = (self.look.picture(each, window) for each in (result, plate))
        held = matte[window.slices(plate.data_window)]
        change = measure.canonical_change(ours, theirs, held, window, face, plate.pixel_aspect)
        before = seen.before
        taken = {
            "seam": measure.seam(ours, theirs, held),
            "flicker": (
                measure.flicker(before[1], change)
                if before is not None and before[0] == self.number - 1
                else None
            ),
            "coverage": measure.coverage(matte, face),
        }
        figures.update({name: value for name, value in taken.items() if value is not None})
        seen.before = self.number, change

    def _has_its_mattes(self, knobs: Knobs) -> bool:
        return not knobs.mask.roto_file or self.material.shapes is not None

    def _check_marks(self, marks: provenance.Marks | None, plate: Plate, result: Plate) -> None:
        """Compare what the result says of itself with what is here."""
        if marks is None:
            if self.face is not None:
                self._say("problem", "the result carries no marks: Semblance did not make it so")
            return
        if marks.release_check != "valid":
            why = marks.release_check.removeprefix("not valid: ")
            self._say("problem", f"a preview, which may not be used: {why}")
        if marks.model_sha256 != self.material.network.sha256:
            self._say("problem", f"made with another model than this one ({marks.model})")
        if not marks.knobs_intact:
            self._say("problem", "the knobs in its header were changed after it was made")
        held = result.metadata.get(PLATE_HASH)
        path = self.material.plates.path(self.number)
        if held is not None and str(held) != exr.file_hash(path):
            self._say("problem", "made of another plate than the one that is here now")
        if marks.frame != self.number:
            self._say("look", f"its header says that it is frame {marks.frame}")


def _pixels(count: int) -> str:
    return "1 pixel" if count == 1 else f"{count} pixels"


def _strip(pictures: Sequence[Picture]) -> bytes:
    """Return pictures side by side, as a small JPEG."""
    cells = []
    for picture in pictures:
        height, width = picture.shape[:2]
        if min(height, width) == 0:
            return b""
        wide = min(max(round(width * _CELL / height), 1), 2 * _CELL)
        cells += [codes(picture, (wide, _CELL)), np.full((_CELL, 2, 3), 24, np.uint8)]
    return _jpeg(np.concatenate(cells[:-1], axis=1))


def _jpeg(pixels: Any, quality: int = _QUALITY) -> bytes:
    file = BytesIO()
    Image.fromarray(pixels).save(file, "JPEG", quality=quality)
    return file.getvalue()


def _first_plate(plates: exr.Sequence, frames: Sequence[int]) -> Plate:
    """Return the first plate that can be read, without its pixels."""
    last: SemblanceError | None = None
    for frame in frames:
        try:
            return exr.read_plate(plates.path(frame), None, Window(0, 0, 0, 0))
        except PlateError as error:
            last = error
    raise last or PlateError(f"no frame of {plates} was asked for", "Name some with --frames.")


def _scored(frame: FrameReview, figures: Mapping[str, float]) -> FrameReview:
    held = {name: value for name, value in figures.items() if math.isfinite(value)}
    return replace(frame, figures={**frame.figures, **held})


def _fewer_thumbnails(frames: Sequence[FrameReview]) -> tuple[FrameReview, ...]:
    """Return frames of which so many have a picture that the page can still be opened and sent."""
    wanted = [frame.number for frame in frames if frame.level == "problem" and frame.thumbnail]
    rest = [frame.number for frame in frames if frame.level != "problem" and frame.thumbnail]
    kept = set(spread(wanted, _THUMBNAILS))
    room = _THUMBNAILS - len(kept)
    kept |= set(spread(rest, room) if room > 1 else ())
    return tuple(
        frame if frame.number in kept else replace(frame, thumbnail=b"") for frame in frames
    )


def _facts(
    material: Material,
    plate: Plate,
    marks: provenance.Marks | None,
    frames: Sequence[int],
    summary: Mapping[str, Any],
) -> dict[str, str]:
    """Return what holds for the shot; nothing of it tells of folders above the files' own."""
    display = plate.display_window
    rate = frame_rate(plate.metadata)
    found = {
        "Frames": f"{compact(frames)} ({len(frames)})",
        "Plate": _pattern(material.plates),
        "Result": _pattern(material.results),
        "Picture": f"{display.width} × {display.height} pixels"
        + (f", pixel aspect {plate.pixel_aspect:g}" if plate.pixel_aspect != 1.0 else ""),
        "Rate": f"{float(rate):.5g} frames per second"
        + ("" if "framesPerSecond" in plate.metadata else " (the plate names none)"),
        "Shown at": f"{material.stops:+.2f} stops, sRGB",
        "Mattes": ", ".join(
            word
            for word, there in (
                ("the artist's", material.roto is not None),
                ("drawn shapes", material.shapes is not None),
            )
            if there
        ),
    }
    if marks is not None:
        found |= {
            "Model": f"{marks.model} ({marks.model_sha256[:12]})",
            "Release": f"{marks.release}, {marks.rights_holder}"
            if marks.release_check == "valid"
            else marks.release_check,
            "Made by": marks.software,
            "Knobs": ", ".join(f"{knob} {value}" for knob, value in marks.knobs.items()),
        }
    if "seconds" in summary:
        found["Rendered"] = f"in {summary['seconds']:.1f} s on {summary['provider']}"
    return found


def _pattern(sequence: exr.Sequence) -> str:
    return str(replace(sequence, folder=Path(sequence.folder.resolve().name)))


def _shot_notes(material: Material, knobs: Knobs, summary: Mapping[str, Any]) -> tuple[str, ...]:
    notes = [str(note) for note in summary.get("notes", ())]
    if knobs.mask.roto_file and material.shapes is None:
        notes.append(
            f"The shot was made with the drawn shapes {knobs.mask.roto_file}, which were not given "
            "(--roto-file): the mattes here are without them."
        )
    return tuple(notes)


def _write(
    review: ShotReview, material: Material, seen: _Seen, folder: Path, caption: str, seal: Seal
) -> None:
    """Write everything but the movie; the report comes last, when all that it links to is there."""
    rows = spread([number for number in seen.readable if number in material.track.faces])
    rows = rows or spread(seen.readable)
    if material.truths is not None:
        rows = tuple(frame for frame in rows if material.truths.path(frame).is_file())
    sheet = b""
    files = {"wipe movie": WIPE, "figures as JSON": FIGURES_FILE}
    if rows:
        shot_sheet(material, rows, folder / SHEET, caption=caption, seal=seal)
        files = {"contact sheet": SHEET, **files}
        sheet = _smaller(folder / SHEET)
        with written(folder / THUMBNAIL, seal) as partial:
            partial.write_bytes(_middle(review) or sheet)
    text = json.dumps(review.to_json(), indent=1, ensure_ascii=False)
    write_text(folder / FIGURES_FILE, text + "\n")
    write_text(folder / REPORT, report(review, sheet, files))


def _smaller(path: Path) -> bytes:
    """Return a picture as a JPEG for the report."""
    with Image.open(path) as sheet:
        shown = sheet.convert("RGB")
    shown.thumbnail((_SHEET_WIDTH, 10 * _SHEET_WIDTH))
    return _jpeg(np.asarray(shown), 85)


def _middle(review: ShotReview) -> bytes:
    """Return the small picture nearest to the middle of the shot; empty where there is none."""
    pictures = [frame.thumbnail for frame in review.frames if frame.thumbnail]
    return pictures[len(pictures) // 2] if pictures else b""
