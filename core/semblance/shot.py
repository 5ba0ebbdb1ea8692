"""A frame range: read ahead, render in order, write behind, lose nothing.

Reading, computing and writing overlap, one frame each. A frame that fails is reported and the rest
go on; a frame that is there under its final name is whole.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Protocol

import numpy as np

from semblance import pipeline, provenance
from semblance.errors import Cancelled, PlateError, SemblanceError, TrackError, frame_context
from semblance.exr import (
    Sequence,
    Written,
    check_output,
    read_header,
    read_plate,
    read_roto,
    write_plate,
)
from semblance.face import Roto, Track
from semblance.knobs import Knobs
from semblance.plate import Plate, Window
from semblance.track.smooth import smooth

__all__ = ["FrameReport", "Likeness", "ShotSummary", "apply"]


class Likeness(pipeline.Network, Protocol):
    """A network that can say where it runs."""

    @property
    def provider(self) -> str:
        """The compute provider that is really in use."""


@dataclass(frozen=True)
class FrameReport:
    """One frame, done or failed.

    Parameters
    ----------
    frame : int
    path : str
        The result's file.
    found : bool
        Whether a face was there; without one the plate was passed through.
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
    """

    frames: int
    found: int
    passed: tuple[int, ...]
    failed: Mapping[int, str]
    milliseconds: Mapping[str, tuple[float, float]]
    provider: str
    peak_memory_mb: float
    seconds: float
    notes: tuple[str, ...]

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
        The artist's mattes, a file for each frame.
    part : str or int, optional
        Which part of a multi-part file is the plate.
    marks : callable
        Gives the attributes that a frame's result carries besides its plate's own.
    slate : str
        Burnt into every frame where not empty: why this render may not be used.
    report : callable
        Hears of each frame in order.
    cancel : callable
        Polled within and between frames.

    Returns
    -------
    ShotSummary

    Raises
    ------
    OutputError
        The output is the input, or its folder can't be written to.
    TrackError
        The track belongs to a plate of another size.
    Cancelled
        `cancel` returned true; frames that were finished by then are there, no other is.
    """
    check_output(plates, output, frames)
    _check_first(plates, frames, track)
    start = time.perf_counter()
    first = knobs(frames[0]) if frames else Knobs()
    smoothed = smooth(track, first.track.smoothing)
    stops = pipeline.shot_stops(plates, track, first.colour, part)

    def read(frame: int) -> tuple[Plate, Roto | None, float]:
        begun = time.perf_counter()
        with frame_context(frame, plates.path(frame)):
            plate = read_plate(plates.path(frame), part)
            _check_track(track, plate.display_window)
        matte = None
        if roto is not None:
            with frame_context(frame, roto.path(frame)):
                matte = read_roto(roto.path(frame))
        return plate, matte, 1000.0 * (time.perf_counter() - begun)

    def write(frame: int, plate: Plate, attributes: Mapping[str, Any]) -> tuple[Written, float]:
        begun = time.perf_counter()
        with frame_context(frame, output.path(frame)):
            written = write_plate(plate, output.path(frame), attributes)
        return written, 1000.0 * (time.perf_counter() - begun)

    def render(frame: int, plate: Plate, matte: Roto | None) -> pipeline.Result:
        with frame_context(frame, plates.path(frame)):
            result = pipeline.render(
                plate,
                smoothed.faces.get(frame),
                likeness,
                knobs(frame),
                stops=stops,
                roto=matte,
                cancel=cancel,
            )
        if slate and result.statistics.found:
            return replace(result, plate=provenance.burn_in(result.plate, slate))
        return result

    reports: list[FrameReport] = []

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
        done(FrameReport(frame, path, statistics.found, times, written.note))

    def fail(frame: int, error: SemblanceError) -> None:
        done(FrameReport(frame, str(output.path(frame)), error=str(error)))

    def done(frame: FrameReport) -> None:
        reports.append(frame)
        report(frame)

    with ThreadPoolExecutor(1) as reader, ThreadPoolExecutor(1) as writer:
        pending: tuple[int, pipeline.Statistics, float, Future[tuple[Written, float]]] | None = None
        try:
            for frame, loading in _ahead(reader, read, frames):
                try:
                    plate, matte, reading = loading.result()
                    result = render(frame, plate, matte)
                except Cancelled:
                    raise
                except SemblanceError as error:
                    if pending is not None:
                        finish(*pending)
                        pending = None
                    fail(frame, error)
                    continue
                attributes = marks(frame, knobs(frame), plate) if result.statistics.found else {}
                writing = writer.submit(write, frame, result.plate, attributes)
                if pending is not None:
                    finish(*pending)
                pending = (frame, result.statistics, reading, writing)
        finally:
            if pending is not None:
                finish(*pending)
    return _summary(reports, likeness.provider, time.perf_counter() - start)


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


def _ahead(
    reader: ThreadPoolExecutor,
    read: Callable[[int], tuple[Plate, Roto | None, float]],
    frames: tuple[int, ...],
) -> Iterator[tuple[int, Future[tuple[Plate, Roto | None, float]]]]:
    """Yield frames in order, each with its reading under way and the next one's begun."""
    following: Future[tuple[Plate, Roto | None, float]] | None = None
    for index, frame in enumerate(frames):
        loading = following or reader.submit(read, frame)
        following = reader.submit(read, frames[index + 1]) if index + 1 < len(frames) else None
        yield frame, loading


def _summary(reports: list[FrameReport], provider: str, seconds: float) -> ShotSummary:
    made = [report for report in reports if not report.error]
    stages = dict.fromkeys(stage for report in made for stage in report.milliseconds)
    times = {
        stage: [report.milliseconds[stage] for report in made if stage in report.milliseconds]
        for stage in stages
    }
    return ShotSummary(
        frames=len(reports),
        found=sum(report.found for report in made),
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
    )


def _peak_memory_mb() -> float:
    if sys.platform == "win32":
        return 0.0
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (1024.0**2 if sys.platform == "darwin" else 1024.0)
