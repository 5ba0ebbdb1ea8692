"""What is reviewed: the files of a shot, how they are shown, and what is rendered of them again."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Literal, TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray

from semblance import align, colour, exr, pipeline, provenance
from semblance.errors import SemblanceError, frame_context
from semblance.exr import read_roto
from semblance.face import Face, Track
from semblance.knobs import Knobs, ViewKnobs
from semblance.plate import Plate, Window
from semblance.roto import Shapes, rasterise
from semblance.track.smooth import smooth

__all__ = ["Look", "Material", "Picture", "around_faces", "codes", "marked_knobs", "shot_knobs"]

Picture: TypeAlias = NDArray[np.float32]
"""(h, w, 3) or (h, w) float32: display-referred sRGB, 0..1 on a display."""


@dataclass(frozen=True)
class Material:
    """The files of a shot and what they were made with.

    Parameters
    ----------
    plates, results : Sequence
    track : Track
        As the results were made with.
    network : Network
        The likeness.
    stops : float
        Automatic exposure of the shot, for the render and for the eye.
    truths : Sequence, optional
        The perfect results.
    roto : Sequence, optional
        The artist's mattes that the results were made with.
    shapes : Shapes, optional
        The drawn shapes of the knob `roto_file`.
    """

    plates: exr.Sequence
    results: exr.Sequence
    track: Track
    network: pipeline.Network
    stops: float
    truths: exr.Sequence | None = None
    roto: exr.Sequence | None = None
    shapes: Shapes | None = None

    def faces(self, smoothing: float) -> Track:
        """Return the track as the pipeline gets it."""
        return smooth(self.track, smoothing)

    def render(
        self,
        frame: int,
        plate: Plate,
        face: Face | None,
        knobs: Knobs,
        view: Literal["matte", "patch"],
    ) -> pipeline.Result:
        """Render a view of a frame again.

        Raises
        ------
        PlateError
            The artist's matte can't be read.
        """
        given = None
        if self.roto is not None:
            with frame_context(frame, self.roto.path(frame)):
                given = read_roto(self.roto.path(frame))
        if self.shapes is not None:
            aspect = plate.pixel_aspect
            given = rasterise(self.shapes, frame, plate.window, onto=given, pixel_aspect=aspect)
        inside = replace(knobs, view=ViewKnobs(view=view))
        return pipeline.render(
            plate, face, self.network, inside, stops=self.stops, frame=frame, roto=given
        )


@dataclass(frozen=True)
class Look:
    """How the plates of a shot are shown: in one space, at one exposure.

    Parameters
    ----------
    space : str
        The knob `input_space`.
    stops : float
        Exposure.
    """

    space: str
    stops: float

    def picture(self, plate: Plate, window: Window | None = None) -> Picture:
        """Return a window of a plate, by default all of it: sRGB, 0..1 on a display."""
        pixels = self.values(plate, window)
        linear = colour.to_linear(pixels, colour.resolve_space(self.space, plate.metadata))
        return colour.encode(np.nan_to_num(linear), self.stops)

    def values(self, plate: Plate, window: Window | None = None) -> Picture:
        """Return a window of a plate as it lies in the file, for a matte."""
        whole = plate.data_window
        return plate.picture(whole if window is None else window.intersection(whole))


def marked_knobs(result: Plate) -> tuple[provenance.Marks | None, Knobs]:
    """Return a result's marks, and the knobs that they name; the defaults where they name none.

    Raises
    ------
    KnobError
        The marks hold what is no knob.
    """
    marks = provenance.read_marks(result.metadata)
    return marks, Knobs.from_flat(marks.knobs if marks is not None else {})


def shot_knobs(results: exr.Sequence, frames: Iterable[int]) -> Knobs:
    """Return the knobs of the first result that names any, for what holds for a whole shot."""
    for frame in frames:
        with suppress(SemblanceError):  # the frame itself will say what is wrong with it
            marks = provenance.read_marks(exr.read_header(results.path(frame)).parts[0].attributes)
            if marks is not None:
                return Knobs.from_flat(marks.knobs)
    return Knobs()


def around_faces(faces: Iterable[Face], track: Track) -> Window | None:
    """Return the display window's part around faces, with a margin; None without a face."""
    display = Window(0, 0, *track.size)
    windows = [
        align.bounds(align.fit(face.landmarks, track.pixel_aspect), display) for face in faces
    ]
    windows = [window for window in windows if not window.empty]
    if not windows:
        return None
    around = Window(
        min(window.x0 for window in windows),
        min(window.y0 for window in windows),
        max(window.x1 for window in windows),
        max(window.y1 for window in windows),
    )
    return around.grown(around.height // 10).intersection(display)


def codes(picture: Picture, size: tuple[int, int]) -> NDArray[np.uint8]:
    """Return a picture as (h, w, 3) 8-bit RGB of another size, averaged where it shrinks.

    Parameters
    ----------
    picture : Picture
        Clipped to 0..1.
    size : (int, int)
        Width and height.
    """
    shown = np.clip(picture, 0.0, 1.0)
    if size != shown.shape[1::-1]:
        shrinks = size[0] * size[1] < shown.shape[0] * shown.shape[1]
        method = cv2.INTER_AREA if shrinks else cv2.INTER_CUBIC
        shown = np.clip(cv2.resize(shown, size, interpolation=method), 0.0, 1.0)
    result = np.rint(shown * 255.0).astype(np.uint8)
    return result if result.ndim == 3 else np.repeat(result[..., None], 3, axis=2)
