"""A track's review in a folder: the plate with the landmarks on it as a movie, and plots."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from html import escape
from itertools import pairwise
from pathlib import Path
from types import TracebackType
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from semblance import align
from semblance.errors import Cancelled, frame_context
from semblance.exr import Sequence as Frames
from semblance.exr import read_plate
from semblance.exr.sequence import compact
from semblance.face import Face, Track
from semblance.knobs import ColourKnobs
from semblance.pipeline import shot_stops
from semblance.review.files import write_text
from semblance.review.material import Look
from semblance.review.movie import WipeMovie, frame_rate, movie_size, on_canvas
from semblance.review.page import chart, facts, page
from semblance.track.smooth import smooth

__all__ = ["TRACK_MOVIE", "TRACK_PAGE", "review_track"]

TRACK_MOVIE: Final = "track.mp4"
TRACK_PAGE: Final = "track.html"

_INKS: Final = ((90, 220, 120), (255, 180, 60), (110, 170, 255), (255, 110, 160))
_LOST: Final = (235, 70, 70)
_LINES: Final = (
    *((range(17), False), (range(17, 22), False), (range(22, 27), False), (range(27, 31), False)),
    *((range(31, 36), False), (range(36, 42), True), (range(42, 48), True)),
    *((range(48, 60), True), (range(60, 68), True)),
)
"""Landmarks that are joined, and whether the line is closed."""
_FINE: Final = 4
"""Bits of a pixel's fraction with which lines are drawn."""


def review_track(
    tracks: Mapping[int, Track],
    plates: Frames,
    folder: Path,
    *,
    input_space: str = "auto",
    smoothing: float = 1.0,
    progress: Callable[[int], None] = lambda frame: None,
    cancel: Callable[[], bool] = lambda: False,
) -> None:
    """Write `TRACK_MOVIE` and `TRACK_PAGE`.

    Parameters
    ----------
    tracks : mapping of int to Track
        By the number of the face, all of one shot; at least one.
    plates : Sequence
        The plates that were tracked.
    folder : Path
        Where they go; made where it is missing.
    input_space : str
        As the knob.
    smoothing : float
        As the knob: the landmarks are drawn as a render uses them.
    progress : callable
        Hears of each frame.
    cancel : callable
        Polled between frames.

    Raises
    ------
    PlateError
        A frame can't be read.
    OutputError
        Something can't be written there.
    EnvironmentFault
        There is no encoder for the movie.
    Cancelled
        `cancel` returned true; a file that was not finished is not there.
    """
    held = {number: smooth(track, smoothing) for number, track in tracks.items()}
    frames = sorted({frame for track in tracks.values() for frame in track.frames})
    first = next(iter(tracks.values()))
    stops = shot_stops(plates, first, ColourKnobs(input_space=input_space))
    look = Look(input_space, stops)
    with frame_context(frames[0], plates.path(frames[0])):
        begun = read_plate(plates.path(frames[0]))
    size = movie_size(begun.display_window, begun.pixel_aspect)
    movie = _Overlay(
        folder / TRACK_MOVIE, size=size, count=len(frames), rate=frame_rate(begun.metadata)
    )
    with movie:
        for frame in frames:
            if cancel():
                raise Cancelled("the review was stopped")
            with frame_context(frame, plates.path(frame)):
                plate = read_plate(plates.path(frame))
            window = plate.display_window
            scale = np.array([size[0] / window.width, size[1] / window.height])
            shown = np.ascontiguousarray(on_canvas(plate, look, size))
            for number, track in held.items():
                face = track.faces.get(frame)
                if face is not None:
                    points = (face.landmarks - (window.x0, window.y0)) * scale
                    _draw(shown, points, number, face)
            words = [
                f"face {number}: "
                + (f"{track.faces[frame].score:.2f}" if frame in track.faces else "lost")
                for number, track in held.items()
            ]
            lost = any(frame not in track.faces for track in held.values())
            movie.show(frame, shown, "   ".join(words), lost=lost, cut=frame in first.cuts)
            progress(frame)
    write_text(folder / TRACK_PAGE, _page(tracks, held, frames, plates))


class _Overlay(WipeMovie):
    """Writes one picture after the other, with a line of words under it."""

    def __enter__(self) -> _Overlay:
        """Begin the file; it shows the plate, of which nothing is generated."""
        super().__enter__()
        self._container.metadata["comment"] = ""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Finish the file, or leave none where the block did not end well."""
        super().__exit__(kind, error, trace)

    def show(
        self, frame: int, picture: NDArray[np.uint8], words: str, *, lost: bool, cut: bool
    ) -> None:
        """Add a frame."""
        width, height = self.canvas
        canvas = np.full((height, width, 3), 24, np.uint8)
        left = (width - self.size[0]) // 2
        canvas[: self.size[1], left : left + self.size[0]] = picture
        if cut:
            canvas[: self.size[1], :4] = canvas[: self.size[1], -4:] = (255, 220, 0)
        text = f"{frame}   {words}{'   cut' if cut else ''}"
        place = (8, height - (height - self.size[1]) // 3)
        scale = (height - self.size[1]) / 48
        ink = _LOST if lost else (235, 235, 235)
        cv2.putText(canvas, text, place, cv2.FONT_HERSHEY_SIMPLEX, scale, ink, 1, cv2.LINE_AA)
        self.write(canvas)


def _draw(canvas: NDArray[np.uint8], points: NDArray[np.float64], number: int, face: Face) -> None:
    """Draw landmarks, joined and with the number of the face; points in pixels of the canvas."""
    ink = _INKS[number % len(_INKS)]
    # OpenCV puts pixel centres at whole numbers.
    fine = np.round((points - 0.5) * (1 << _FINE)).astype(np.int32)
    for indices, closed in _LINES:
        cv2.polylines(canvas, [fine[list(indices)]], closed, ink, 1, cv2.LINE_AA, _FINE)
    for x, y in fine.tolist():
        cv2.circle(canvas, (x, y), 20, ink, -1, cv2.LINE_AA, _FINE)
    corner = int(points[:, 0].min()), max(int(points[:, 1].min()) - 8, 12)
    text = f"{number}{'' if face.source not in ('filled', 'hand') else ' ' + face.source}"
    cv2.putText(canvas, text, corner, cv2.FONT_HERSHEY_SIMPLEX, 0.5, ink, 1, cv2.LINE_AA)


def _page(
    tracks: Mapping[int, Track], held: Mapping[int, Track], frames: Sequence[int], plates: Frames
) -> str:
    first = next(iter(tracks.values()))
    told = {
        "plates": Path(str(plates)).name,
        "frames": compact(frames),
        "cuts": ", ".join(map(str, first.cuts)),
        "lens": f"{first.focal:.0f} pixels" if first.focal is not None else "",
        "movie": TRACK_MOVIE,
    }
    parts = [f"<h1>{escape(plates.folder.resolve().name)}: track</h1>", facts(told)]
    for number, track in sorted(tracks.items()):
        lost = [frame for frame in frames if frame not in track.faces]
        parts.append(f"<section><h2>Face {number}</h2>")
        if lost:
            parts.append(f'<p class="problem">No face in frames {compact(lost)}.</p>')
        if track.faces:
            parts.append('<div class="charts">')
            parts += _charts(track, held[number], lost)
            parts.append("</div>")
        parts.append("</section>")
    return page("track", "\n".join(parts))


def _charts(track: Track, held: Track, lost: Sequence[int]) -> list[str]:
    faces = sorted(track.faces.items())
    smoothed = held.faces

    def away(frame: int, face: Face) -> float:
        """Return by how much smoothing moves the anchors, RMS, pixels."""
        moved = (smoothed[frame].landmarks - face.landmarks)[align.ANCHORS]
        return float(np.sqrt((moved**2).sum(1).mean()))

    jitter = [(f, away(f, face)) for f, face in faces if face.source != "hand"]
    speed = [
        (after, float(np.linalg.norm((b.landmarks - a.landmarks).mean(0))) / (after - before))
        for (before, a), (after, b) in pairwise(faces)
        if after not in track.cuts
    ]
    size = [(f, float(np.ptp(face.landmarks[:, 0]))) for f, face in sorted(smoothed.items())]
    turns = [
        (name, [(f, float(getattr(face, name))) for f, face in sorted(smoothed.items())])
        for name in ("yaw", "pitch", "roll")
    ]
    charts = [
        chart(
            "Score",
            "How sure the tracker is; look at what is low.",
            [("score", [(f, face.score) for f, face in faces])],
            axis=(0.0, 1.0),
            bad=lost,
        ),
        chart(
            "Jitter",
            "How far the landmarks that hold the face lie from their smoothed path.",
            [("jitter", jitter)],
            unit="pixels",
            axis=(0.0,),
        )
        if jitter
        else "",
        chart(
            "Motion",
            "What the middle of the face moves from one frame to the next.",
            [("motion", speed)],
            unit="pixels per frame",
            axis=(0.0,),
        )
        if speed
        else "",
        chart("Width", "Of the landmarks, in the plate.", [("width", size)], unit="pixels"),
        chart("Turn of the head", "Smoothed, as a render uses it.", turns, unit="degrees"),
    ]
    return [each for each in charts if each]
