"""A job from file to file: a frame of `semblance apply`, with the stages that are cached already.

For hosts that can give no pixels, only files: `plugin/semblance_nuke` where no OpenFX node loads.
Reading, the frame path and the marks are those of `semblance.shot`, so that the result has the same
bits; of it only the rectangle that changed is written. As on the live link a colour match sees its
own frame alone.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from importlib.metadata import version
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np

from semblance import pipeline, provenance
from semblance.errors import frame_context
from semblance.exr import read_header, read_plate, read_roto, write_plate
from semblance.face import Face, Roto
from semblance.knobs import Knobs
from semblance.model import Likeness
from semblance.plate import Plate, Window
from semblance.release import Verdict
from semblance.roto import rasterise
from semblance.worker.protocol import File
from semblance.worker.serving import Rendered, Renderer, _Placement, _Planned, _stamp

__all__ = ["FileRenderer"]

_NOWHERE = Window(0, 0, 0, 0)
_UNMARKED: Mapping[str, Any] = MappingProxyType({})


class FileRenderer(Renderer):
    """Renders frames from file to file too; parameters are `Renderer`'s."""

    def render_file(
        self, asked: File, knobs: Knobs, cancel: Callable[[], bool] = lambda: False
    ) -> Rendered:
        """Render a frame from file to file.

        Parameters
        ----------
        asked : File
            The request.
        knobs : Knobs
            The request's.
        cancel : callable
            Polled between stages, and before the file is written.

        Returns
        -------
        Rendered
            What changed counts in pixels of the file, y down.

        Raises
        ------
        Cancelled
            `cancel` returned true.
        InputError, EnvironmentFault
            The frame can't be rendered.
        """
        frame = math.floor(asked.time + 0.5)
        begun = time.perf_counter()
        with frame_context(frame, asked.source):
            model = self._models.look(knobs)
            likeness = self._models.open(knobs.model.model)
            verdict = self._verdict(knobs, model)
            placed = _placement(asked)
            face, stops = None, None
            if knobs.track.track_file:
                face, stops = self._tracked(knobs, placed, _full_aspect(placed), frame)
            whole = not knobs.track.track_file or bool(verdict.slate) or knobs.view.view != "result"
            plate = self._held(asked.source, face, placed, whole=whole)
            window = plate.data_window
            planned = _Planned(
                frame, placed, window, window, model.sha256, verdict.slate, window, face, stops, ""
            )
            face, exposure, note = self._face(planned, plate, _name(plate), knobs)
            if face is None and not note:
                note = f"frame {frame}: no face in {knobs.track.track_file}: the plate passes."
            matte = None if face is None else self._roto(asked, frame, plate, placed, knobs)
        taken = time.perf_counter()
        with frame_context(frame, asked.source):
            result = pipeline.render(
                plate,
                face,
                likeness,
                knobs,
                stops=exposure,
                frame=frame,
                roto=matte,
                cache=self._cache,
                source=_name(plate),
                cancel=cancel,
            )
        finished, changed = result.plate, result.statistics.window or _NOWHERE
        notes, marks = [note], _UNMARKED
        if result.statistics.found:
            marks = _marks(likeness, verdict, knobs, frame, plate)
        if verdict.slate and result.statistics.found:
            finished = provenance.burn_in(finished, verdict.slate)
            notes.append(f"{verdict.slate}: frames carry a slate that says so.")
        if verdict.slate or knobs.view.view != "result":
            changed = finished.window
        made = time.perf_counter()
        changed = changed.intersection(finished.window)
        with frame_context(frame, asked.result):
            write_plate(_patch(finished, changed), asked.result, marks)
        ended = time.perf_counter()
        return Rendered(
            (changed.x0, changed.y0, changed.x1, changed.y1),
            " ".join(filter(None, notes)),
            1000.0 * (made - taken),
            1000.0 * (taken - begun + ended - made),
            result.statistics.milliseconds,
        )

    def _held(self, path: str, face: Face | None, placed: _Placement, *, whole: bool) -> Plate:
        """Return a plate, or as much of it as the frame path looks at; kept while it is in use."""
        region = None
        if not whole:
            region = _NOWHERE if face is None else pipeline.region(face, placed.pixel_aspect)

        def read() -> tuple[Any, ...]:
            plate = read_plate(path, None, region)
            return plate, *plate.channels.values()  # the cache counts arrays

        plate: Plate = self._cache.get(f"file {path} {_stamp(Path(path))} {region}", read)[0]
        return plate

    def _roto(
        self, asked: File, frame: int, plate: Plate, placed: _Placement, knobs: Knobs
    ) -> Roto | None:
        given = None
        if asked.roto:
            with frame_context(frame, asked.roto):
                given = read_roto(asked.roto)
        if not knobs.mask.roto_file:
            return given
        shapes, _ = self._shapes_of(knobs, placed)
        return rasterise(
            shapes,
            frame,
            plate.window,
            onto=given,
            pixel_aspect=_full_aspect(placed),
            scale=placed.scale,
        )


def _placement(asked: File) -> _Placement:
    """Return how the track lies in the file's pixels."""
    part = read_header(asked.source).parts[0]
    display = part.display_window
    return _Placement(
        left=0,
        top=0,
        display=display,
        size=asked.size,
        scale=(display.width / asked.size[0], display.height / asked.size[1]),
        shift=(0.0, 0.0),
        pixel_aspect=part.pixel_aspect,
    )


def _full_aspect(placed: _Placement) -> float:
    """Return the pixel aspect at the full resolution."""
    return placed.pixel_aspect * placed.scale[0] / placed.scale[1]


def _patch(plate: Plate, window: Window) -> Plate:
    """Return a window of a plate's picture as a plate, whose A is 1 where it is.

    Where the window is empty it is one pixel whose A is 0, because a file holds at least one.
    """
    cut = plate.cut(window)
    if window.empty:
        corner = plate.display_window
        window = Window(corner.x0, corner.y0, corner.x0 + 1, corner.y0 + 1)
        kind = plate.channels[plate.rgb[0]].dtype
        channels = {name: np.zeros((1, 1), kind) for name in "RGBA"}
    else:
        channels = {name: cut.channels[own] for name, own in zip("RGB", plate.rgb, strict=True)}
        channels["A"] = np.ones_like(channels["R"])
    return Plate(
        channels,
        window,
        plate.display_window,
        pixel_aspect=plate.pixel_aspect,
        metadata=plate.metadata,
        compression="none",
    )


def _name(plate: Plate) -> str:
    """Name a plate's pixels by its file as it was when it was read."""
    return f"file {plate.path} {plate.stamp} {plate.part} {plate.window}"


def _marks(
    likeness: Likeness, verdict: Verdict, knobs: Knobs, frame: int, plate: Plate
) -> Mapping[str, Any]:
    return provenance.marks(
        likeness.name,
        likeness.sha256,
        verdict,
        knobs.changed(),
        frame,
        version("semblance"),
        plate.metadata,
    )
