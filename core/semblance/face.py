"""What travels between the stages of the frame path. Frozen, without behaviour of its own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from semblance.plate import Window

__all__ = ["Crop", "Face", "HandKey", "Inference", "Matte", "Patch", "Roto", "Track"]


@dataclass(frozen=True)
class Face:
    """A face in one frame of a plate.

    Parameters
    ----------
    landmarks : (68, 2) float64 array
        iBUG order, plate pixels of the display window, pixel centres at +0.5, y down.
    score : float
        0..1, the detector's confidence.
    yaw, pitch, roll : float
        Degrees, as `track.head.head_pose` signs them: yaw is positive toward the image's right,
        pitch down, roll where the head's own left side is up.
    luma : float or None
        Mean scene-linear Rec.709 luma of the face, for exposure; None where it was not measured.
    source : str
        Who says so: a provider's name, ``imported`` or ``hand``.
    position : (float, float, float) or None
        Where the middle between the eyes is from the camera, in centimetres of the generic head: x
        to the picture's right, y up, z toward the camera and so below 0. None where the head has
        not been placed in space.
    """

    landmarks: NDArray[np.float64]
    score: float = 1.0
    yaw: float = 0.0
    pitch: float = 0.0
    roll: float = 0.0
    luma: float | None = None
    source: str = "imported"
    position: tuple[float, float, float] | None = None


@dataclass(frozen=True)
class HandKey:
    """Landmarks of one frame that a person has put where they belong.

    Parameters
    ----------
    points : mapping of int to (float, float)
        By the landmark's index, plate pixels as `Face.landmarks`; the others stay automatic.
    blend : int
        Frames to either side over which what was moved comes in and goes out again.
    """

    points: Mapping[int, tuple[float, float]]
    blend: int = 4


@dataclass(frozen=True)
class Track:
    """One performer's face over a shot.

    Parameters
    ----------
    faces : mapping of int to Face
        By frame number, as they were found; a frame without a face is not there.
    size : (int, int)
        Width and height of the display window that the landmarks belong to.
    pixel_aspect : float
        Of the plate that was tracked.
    frames : tuple of int
        All frames that were looked at, with or without a face.
    made_by : mapping of str to str
        Where the track is from.
    hand : mapping of int to HandKey
        By frame number, what a person has mended; `track.smooth.smooth` lays it over the faces.
    cuts : tuple of int
        Frames that begin a new take; nothing is smoothed or filled across them.
    focal : float or None
        Of the lens, in pixels of the plate's height; None where no head has been placed in space.
    """

    faces: Mapping[int, Face]
    size: tuple[int, int]
    pixel_aspect: float = 1.0
    frames: tuple[int, ...] = ()
    made_by: Mapping[str, str] = field(default_factory=dict)
    hand: Mapping[int, HandKey] = field(default_factory=dict)
    cuts: tuple[int, ...] = ()
    focal: float | None = None


@dataclass(frozen=True)
class Crop:
    """The canonical view of a face, as the network gets it.

    Parameters
    ----------
    pixels : (size, size, 3) float32 array
        Working encoding, what a display would show of it: 0..1.
    matrix : (2, 3) float64 array
        Plate pixels to the canonical unit square.
    landmarks : (68, 2) float64 array
        In the canonical unit square.
    blown : (size, size) float32 array or None
        0..1, how far beyond display white the plate is there; None where it nowhere is.
    """

    pixels: NDArray[np.float32]
    matrix: NDArray[np.float64]
    landmarks: NDArray[np.float64]
    blown: NDArray[np.float32] | None = None


@dataclass(frozen=True)
class Inference:
    """What a likeness network says of a crop; all (size, size[, 3]) float32.

    Parameters
    ----------
    rgb : array
        The face at the strength asked for, working encoding.
    matte : array
        0..1, where the network has drawn a face.
    own : array or None
        The network's picture of the performer from the same code (strength 0), the reference for
        what it got wrong about this plate; None from families of networks that draw none.
    """

    rgb: NDArray[np.float32]
    matte: NDArray[np.float32]
    own: NDArray[np.float32] | None


@dataclass(frozen=True)
class Roto:
    """The artist's matte: (h, w) float32, 0..1, over a window of the plate."""

    pixels: NDArray[np.float32]
    window: Window


@dataclass(frozen=True)
class Matte:
    """Where the plate is replaced: (h, w) float32, 0..1, over a window; 0 everywhere else."""

    pixels: NDArray[np.float32]
    window: Window


@dataclass(frozen=True)
class Patch:
    """The new face over a window of the plate, as what it changes there.

    Parameters
    ----------
    change : (h, w, 3) float32 array
        Patch minus plate, linear Rec.709: 0 where the face stays as it is, so that what changes
        nothing changes no bit.
    window : Window
    """

    change: NDArray[np.float32]
    window: Window
