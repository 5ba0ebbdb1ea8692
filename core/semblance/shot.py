"""A frame range: read ahead, render in order, write behind, lose nothing.

Reading, computing and writing overlap, one frame each. Of a plate only the rows around the face are
read, and only they are encoded again. A frame that fails is reported and the rest go on; a frame
that is there under its final name is whole.
"""

from __future__ import annotations

import sys
import time
from array import array
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from importlib.metadata import version
from itertools import pairwise
from types import MappingProxyType
from typing import Any, Literal, Protocol

import numpy as np

from semblance import blend, pipeline, provenance
from semblance.cache import StageCache
from semblance.errors import Cancelled, PlateError, SemblanceError, TrackError, frame_context
from semblance.exr import (
    Sequence,
    Written,
    check_output,
    claim,
    file_hash,
    read_header,
    read_plate,
    read_roto,
    write_plate,
)
from semblance.face import Face, Roto, Track
from semblance.knobs import Knobs
from semblance.plate import Plate, Window
from semblance.resume import INPUTS, Contents, is_current
from semblance.roto import load_shapes, rasterise
from semblance.track.smooth import smooth

__all__ = ["FrameReport", "Likeness", "ShotSummary", "apply"]

_REACH = 2
"""Frames to either side that a colour match looks at."""

_NOWHERE = Window(0, 0, 0, 0)
_NO_TIMES: Mapping[str, float] = MappingProxyType({})


class Likeness(pipeline.Network, Protocol):
    """A network that can say where it runs."""

    @property
    def provider(self) -> str:
        """The compute provider that is really in use."""


@dataclass(frozen=True, slots=True)
class FrameReport:
    """One frame, done or failed.

    Parameters
    ----------
    frame : int
    path : str
        The result's file.
    found : bool
        Whether a face was there; without one the plate was passed through.
    way : {"splice", "rewrite", "kept", ""}
        Whether the file's untouched chunks were copied as they were, or all of it was encoded, or
        it was there already.
    milliseconds : mapping of str to float
        By stage; empty for a frame that failed.
    note : str
        What a person should know, for example a compression that had to change.
    error : str
        Why the frame failed; empty when it did not.
    """

    frame: int
    path: str
    found: bool = False
    way: Literal["splice", "rewrite", "kept", ""] = ""
    milliseconds: Mapping[str, float] = field(default_factory=dict)
    note: str = ""
    error: str = ""


@dataclass(frozen=True)
class ShotSummary:
    """What became of a frame range.

    Parameters
    ----------
    frames, found : int
        Frames asked for, and those with a face.
    spliced : int
        Frames whose untouched chunks are those of the plate's file, byte for byte.
    passed : tuple of int
        Frames without a face, passed through unchanged.
    failed : mapping of int to str
        Frames that were not written, and why.
    milliseconds : mapping of str to (float, float)
        Median and 95th percentile of each stage.
    provider : str
        Where the network ran.
    peak_memory_mb : float
        Largest resident size of the process; 0 where the system does not tell.
    seconds : float
        Wall time of the whole range.
    notes : tuple of str
        What held for one frame or more, each once.
    kept : tuple of int
        Frames that were there already and had not to be made again.
    """

    frames: int
    found: int
    spliced: int
    passed: tuple[int, ...]
    failed: Mapping[int, str]
    milliseconds: Mapping[str, tuple[float, float]]
    provider: str
    peak_memory_mb: float
    seconds: float
    notes: tuple[str, ...]
    kept: tuple[int, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Return the summary as plain values."""
        plain = asdict(self)
        plain["failed"] = {str(frame): reason for frame, reason in self.failed.items()}
        plain["milliseconds"] = {
            stage: {"median": round(median, 3), "p95": round(p95, 3)}
            for stage, (median, p95) in self.milliseconds.items()
        }
        return plain


def apply(
    plates: Sequence,
    output: Sequence,
    frames: tuple[int, ...],
    *,
    track: Track,
    likeness: Likeness,
    knobs: Callable[[int], Knobs],
    roto: Sequence | None = None,
    part: str | int | None = None,
    marks: Callable[[int, Knobs, Plate], Mapping[str, Any]] = lambda frame, knobs, plate: {},
    slate: str = "",
    with_layers: bool = False,
    exact: bool = True,
    cache_mb: float = 512.0,
    resume: bool = False,
    report: Callable[[FrameReport], None] = lambda frame: None,
    cancel: Callable[[], bool] = lambda: False,
) -> ShotSummary:
    """Render a frame range to files.

    Parameters
    ----------
    plates, output : Sequence
        Where frames come from and where they go; never the same files.
    frames : tuple of int
        Which frames, in the order in which they are made.
    track : Track
        The performer's face, as tracked; it is smoothed here by the first frame's knob.
    likeness : Likeness
        The network.
    knobs : callable
        Gives the knobs of a frame number.
    roto : Sequence, optional
        The artist's mattes, a file for each frame; the shapes of the knob `roto_file` are drawn
        onto them (`roto.rasterise`).
    part : str or int, optional
        Which part of a multi-part file is the plate.
    marks : callable
        Gives the attributes that a frame's result carries besides its plate's own.
    slate : str
        Burnt into every frame where not empty: why this render may not be used.
    with_layers : bool
        Whether frames also hold what native nodes need to blend again (`layers.layers`).
    exact : bool
        What becomes of a lossy plate's changed rows: as `exr.write_plate` takes it.
    cache_mb : float
        Memory for what a frame shares with its neighbours, in MiB: a colour match looks at two
        frames to either side.
    resume : bool
        Whether frames that are there, whole and made of the same are kept (`semblance.resume`).
    report : callable
        Hears of each frame in order, of those that are kept first.
    cancel : callable
        Polled within and between frames.

    Returns
    -------
    ShotSummary

    Raises
    ------
    OutputError
        The output is the input, its folder can't be written to, or another render is at it.
    TrackError
        The track belongs to a plate of another size.
    RotoError
        The shapes can't be read, or belong to one.
    Cancelled
        `cancel` returned true; frames that were finished by then are there, no other is.
    """
    check_output(plates, output, frames)
    _check_first(plates, frames, track)
    start = time.perf_counter()
    first = knobs(frames[0]) if frames else Knobs()
    drawn = first.mask.roto_file
    shapes = load_shapes(drawn, size=track.size) if drawn else None
    smoothed = smooth(track, first.track.smoothing)
    stops = pipeline.shot_stops(plates, track, first.colour, part)
    there = frozenset(plates.frames())
    cache = StageCache(cache_mb)
    seen: dict[int, blend.Colours | None] = {}
    contents = Contents(
        plates,
        smoothed.faces,
        knobs,
        (version("semblance"), likeness.sha256, stops, part, slate, with_layers, exact, track.size),
        roto,
        lambda frame: (
            [(each.kind, each.operation, each.at(frame)) for each in shapes.shapes]
            if shapes
            else []
        ),
        _REACH,
    )

    def is_done(frame: int) -> bool:
        """Return whether a frame need not be made again."""
        with suppress(SemblanceError):  # what is wrong will be said when it is made
            if frame not in smoothed.faces:
                passes = not with_layers and knobs(frame).view.view == "result"
                return passes and file_hash(output.path(frame)) == contents.plate(frame)
            plate = read_plate(plates.path(frame), part, _NOWHERE)
            stamped = contents.marks(frame, marks(frame, knobs(frame), plate))
            return is_current(output.path(frame), stamped[INPUTS])
        return False

    def read(frame: int) -> tuple[Plate, float]:
        begun = time.perf_counter()
        face = smoothed.faces.get(frame)
        whole = bool(slate) or with_layers or knobs(frame).view.view != "result"
        region = None if whole else _region(face, track.pixel_aspect, likeness)
        with frame_context(frame, plates.path(frame)):
            plate = read_plate(plates.path(frame), part, region)
            _check_track(track, plate.display_window)
        contents.plate(frame)
        return plate, 1000.0 * (time.perf_counter() - begun)

    def draw(frame: int, plate: Plate) -> Roto | None:
        given = None
        if roto is not None:
            with frame_context(frame, roto.path(frame)):
                given = read_roto(roto.path(frame))
        if shapes is None:
            return given
        return rasterise(shapes, frame, plate.window, onto=given, pixel_aspect=plate.pixel_aspect)

    def write(
        frame: int, result: pipeline.Result, attributes: Mapping[str, Any]
    ) -> tuple[Written, float]:
        begun = time.perf_counter()
        changed = result.statistics.window or _NOWHERE
        if slate or knobs(frame).view.view != "result":
            changed = result.plate.window
        with frame_context(frame, output.path(frame)):
            look_at_folder()
            written = write_plate(
                result.plate,
                output.path(frame),
                attributes,
                result.layers,
                changed=changed,
                exact=exact,
            )
            look_at_folder()
        return written, 1000.0 * (time.perf_counter() - begun)

    def around(frame: int, ahead: _Ahead) -> list[tuple[int, blend.Colours]]:
        """Give the colours of a frame and its neighbours, whoever is in work."""
        if frame not in smoothed.faces or knobs(frame).match.colour_match == "none":
            return []
        for other in range(frame - _REACH, frame + _REACH + 1):
            if other in seen or other not in there or other not in smoothed.faces:
                continue
            try:
                plate, _ = ahead.wait(other)
            except SemblanceError:  # its own turn will say what is wrong with it
                seen[other] = None
                continue
            seen[other] = pipeline.colours(
                plate,
                smoothed.faces[other],
                likeness,
                knobs(other),
                stops=stops,
                cache=cache,
                source=_source(plate),
                cancel=cancel,
            )
        near = range(-_REACH, _REACH + 1)
        return [(by, found) for by in near if (found := seen.get(frame + by)) is not None]

    def render(frame: int, ahead: _Ahead) -> tuple[pipeline.Result, Plate, float]:
        plate, reading = ahead.wait(frame)
        matte = draw(frame, plate)
        begun = time.perf_counter()
        neighbours = around(frame, ahead)
        looking = 1000.0 * (time.perf_counter() - begun)
        with frame_context(frame, plates.path(frame)):
            result = pipeline.render(
                plate,
                smoothed.faces.get(frame),
                likeness,
                knobs(frame),
                stops=stops,
                frame=frame,
                roto=matte,
                around=neighbours,
                with_layers=with_layers,
                cache=cache if neighbours else None,
                source=_source(plate),
                cancel=cancel,
            )
        if neighbours:
            times = {"colours": looking, **result.statistics.milliseconds}
            result = replace(result, statistics=replace(result.statistics, milliseconds=times))
        if slate and result.statistics.found:
            result = replace(result, plate=provenance.burn_in(result.plate, slate))
        return result, plate, reading

    reports: list[FrameReport] = []
    taken: dict[str, array[float]] = {}

    def finish(
        frame: int,
        statistics: pipeline.Statistics,
        reading: float,
        writing: Future[tuple[Written, float]],
    ) -> None:
        try:
            written, took = writing.result()
        except SemblanceError as error:
            fail(frame, error)
            return
        times = {"read": reading, **statistics.milliseconds, "write": took}
        path = str(output.path(frame))
        done(FrameReport(frame, path, statistics.found, written.way, times, written.note))

    def fail(frame: int, error: SemblanceError) -> None:
        done(FrameReport(frame, str(output.path(frame)), error=str(error)))

    def done(frame: FrameReport) -> None:
        for stage, took in frame.milliseconds.items():
            taken.setdefault(stage, array("d")).append(took)
        # A long shot keeps little of each frame.
        reports.append(replace(frame, path="", milliseconds=_NO_TIMES))
        report(frame)

    def keep(frames: tuple[int, ...]) -> tuple[int, ...]:
        """Report the frames that are done and return the others."""
        rest = []
        for frame in frames:
            if cancel():
                raise Cancelled("the render was stopped")
            if is_done(frame):
                done(FrameReport(frame, str(output.path(frame)), frame in smoothed.faces, "kept"))
            else:
                rest.append(frame)
        return tuple(rest)

    with (
        claim(output, frames) as look_at_folder,
        ThreadPoolExecutor(1) as reader,
        ThreadPoolExecutor(1) as writer,
    ):
        if resume:
            frames = keep(frames)
        ahead = _Ahead(reader, read, frames)
        pending: tuple[int, pipeline.Statistics, float, Future[tuple[Written, float]]] | None = None
        try:
            for frame in frames:
                attributes: Mapping[str, Any] = {}
                try:
                    result, plate, reading = render(frame, ahead)
                    if result.statistics.found:
                        attributes = contents.marks(frame, marks(frame, knobs(frame), plate))
                except Cancelled:
                    raise
                except SemblanceError as error:
                    if pending is not None:
                        finish(*pending)
                        pending = None
                    fail(frame, error)
                    continue
                finally:
                    ahead.drop(frame)
                writing = writer.submit(write, frame, result, attributes)
                if pending is not None:
                    finish(*pending)
                pending = (frame, result.statistics, reading, writing)
        finally:
            if pending is not None:
                finish(*pending)
    return _summary(reports, taken, likeness.provider, time.perf_counter() - start)


def _region(face: Face | None, pixel_aspect: float, likeness: Likeness) -> Window:
    """Return the part of a plate that has to be read."""
    return _NOWHERE if face is None else pipeline.region(face, pixel_aspect, likeness)


def _source(plate: Plate) -> str:
    return "" if plate.path is None else f"{plate.path} {plate.stamp} {plate.part} {plate.window}"


def _check_first(plates: Sequence, frames: tuple[int, ...], track: Track) -> None:
    """Refuse a track of another plate once, by the first frame, and not for every frame again."""
    for frame in frames[:1]:
        path = plates.path(frame)
        try:
            window = read_header(path).parts[0].display_window
        except PlateError:  # the frame itself will say what is wrong with it
            return
        with frame_context(frame, path):
            _check_track(track, window)


def _check_track(track: Track, window: Window) -> None:
    if track.size != (window.width, window.height):
        raise TrackError(
            f"the track is of a plate of {track.size[0]} × {track.size[1]} pixels, "
            f"this one has {window.width} × {window.height}",
            "Track this plate, or give the track that was made of it.",
        )


class _Ahead:
    """Reads frames in a thread of their own, each before it is waited for."""

    def __init__(
        self,
        reader: ThreadPoolExecutor,
        read: Callable[[int], tuple[Plate, float]],
        frames: tuple[int, ...],
    ) -> None:
        self._reader, self._read = reader, read
        self._following = dict(pairwise(frames))
        self._loading: dict[int, Future[tuple[Plate, float]]] = {}

    def wait(self, frame: int) -> tuple[Plate, float]:
        """Return a frame's plate and the milliseconds that it took to read."""
        loading = self._begin(frame)
        following = self._following.get(frame)
        if following is not None:
            self._begin(following)
        return loading.result()

    def drop(self, frame: int) -> None:
        """Forget a frame that is done, and what lies before its neighbourhood."""
        for other in [other for other in self._loading if other == frame or other < frame - _REACH]:
            del self._loading[other]

    def _begin(self, frame: int) -> Future[tuple[Plate, float]]:
        if frame not in self._loading:
            self._loading[frame] = self._reader.submit(self._read, frame)
        return self._loading[frame]


def _summary(
    reports: list[FrameReport],
    times: Mapping[str, array[float]],
    provider: str,
    seconds: float,
) -> ShotSummary:
    made = [report for report in reports if not report.error]
    return ShotSummary(
        frames=len(reports),
        found=sum(report.found for report in made),
        spliced=sum(report.way == "splice" for report in made),
        passed=tuple(report.frame for report in made if not report.found),
        failed={report.frame: report.error for report in reports if report.error},
        milliseconds={
            stage: (float(np.median(values)), float(np.percentile(values, 95)))
            for stage, values in times.items()
        },
        provider=provider,
        peak_memory_mb=_peak_memory_mb(),
        seconds=seconds,
        notes=tuple(dict.fromkeys(report.note for report in made if report.note)),
        kept=tuple(report.frame for report in made if report.way == "kept"),
    )


def _peak_memory_mb() -> float:
    if sys.platform == "win32":
        return 0.0
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (1024.0**2 if sys.platform == "darwin" else 1024.0)
