"""Points that another program has followed, and the landmarks that they stand for.

Every format is read into `Points`: named points by frame, with what the file says of its plate and
how it counts. `faces_of` makes landmarks of them, in the plate's pixels: either they are all 68, or
they carry the landmarks of a reference frame with them.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

from semblance.errors import TrackError
from semblance.face import Face, Track
from semblance.track.head import head_pose

__all__ = [
    "CORNERS",
    "COUNT",
    "NAMES",
    "PARTS",
    "Points",
    "Reference",
    "Sheet",
    "faces_of",
]

Array = NDArray[np.float64]

COUNT: Final = 68

PARTS: Final[Mapping[str, tuple[int, ...]]] = {
    "jaw": tuple(range(17)),
    "brow_right": tuple(range(17, 22)),
    "brow_left": tuple(range(22, 27)),
    "nose_bridge": tuple(range(27, 31)),
    "nose_base": tuple(range(31, 36)),
    "eye_right": tuple(range(36, 42)),
    "eye_left": tuple(range(42, 48)),
    "lip_outer": tuple(range(48, 60)),
    "lip_inner": tuple(range(60, 68)),
}
"""Landmarks by the part of the face; right and left are the performer's."""

NAMES: Final = tuple(
    f"{part.partition('_')[0]}_{index:02d}" for part, held in PARTS.items() for index in held
)
"""What each landmark is called in a format that has names."""

CORNERS: Final = {"bottom left": 48, "bottom right": 54, "top right": 45, "top left": 36}
"""Landmarks that a corner pin of ours stands on: the corners of the mouth and of the eyes."""

_NUMBER: Final = re.compile(r"(\d{1,4})\s*$")
_FLAT: Final = 1e-9
_FARTHEST: Final = 1e6


@dataclass(frozen=True)
class Sheet:
    """Where a plate's pixels lie.

    Parameters
    ----------
    size : (int, int)
        Width and height of the display window.
    pixel_aspect : float
        Width of a pixel over its height.
    origin : (int, int)
        First column and row of the display window; other programs begin it at 0.
    """

    size: tuple[int, int]
    pixel_aspect: float = 1.0
    origin: tuple[int, int] = (0, 0)

    def out(self, points: Array, *, up: bool) -> Array:
        """Return plate pixels as another program counts them, from the window's corner.

        Parameters
        ----------
        points : (..., 2) array
            y down, pixel centres at +0.5.
        up : bool
            Whether y goes up there, from the lower edge; else down, from the upper one.
        """
        x, y = points[..., 0] - self.origin[0], points[..., 1] - self.origin[1]
        return np.stack([x, self.size[1] - y if up else y], axis=-1)

    def into(self, points: Array, *, up: bool) -> Array:
        """Return plate pixels; the way back of `out`."""
        x, y = points[..., 0], points[..., 1]
        return np.stack([x, self.size[1] - y if up else y], axis=-1) + self.origin


@dataclass(frozen=True)
class Reference:
    """All landmarks of a frame, which points carry with them.

    Parameters
    ----------
    frame : int
    landmarks : (68, 2) float64 array
        Plate pixels.
    """

    frame: int
    landmarks: Array


@dataclass(frozen=True)
class Points:
    """Points of a file.

    Parameters
    ----------
    names : tuple of str
    frames : mapping of int to (n, 2) float64 array
        By frame as the file counts; NaN where a point is not followed. Pixels from the corner of
        the display window, pixel centres at +0.5.
    up : bool
        Whether y goes up from the lower edge.
    first : int or None
        The number that the file gives to the shot's first frame; None where it counts as the plate
        does.
    motion : {"similarity", "homography"}
        How points that are not all the landmarks carry those of a reference with them.
    looked : tuple of int
        Frames that were looked at, as far as the file says.
    size, pixel_aspect : optional
        Of the plate, where the file knows.
    origin : (int, int), optional
        As `Sheet.origin`.
    reference : Reference, optional
        Where the file holds one.
    scores : mapping of int to float
        0..1, by frame, where the file knows.
    """

    names: tuple[str, ...]
    frames: Mapping[int, Array]
    up: bool = False
    first: int | None = None
    motion: Literal["similarity", "homography"] = "similarity"
    looked: tuple[int, ...] = ()
    size: tuple[int, int] | None = None
    pixel_aspect: float | None = None
    origin: tuple[int, int] | None = None
    reference: Reference | None = None
    scores: Mapping[int, float] = field(default_factory=dict)


def faces_of(points: Points, sheet: Sheet, reference: Track | None = None) -> dict[int, Face]:
    """Return the faces that points stand for.

    Parameters
    ----------
    points : Points
        Counted as the plate is.
    sheet : Sheet
    reference : Track, optional
        Landmarks of at least one frame in which the points are there. The points carry them along:
        four corners by a homography, others by the similarity that fits them best.

    Returns
    -------
    dict of int to Face
        In plate pixels; frames without any point are left out.

    Raises
    ------
    TrackError
        The points are not all landmarks, in the file or in a frame, and nothing says where the
        others are; or they lie on one point or on a line.
    """
    placed = {
        frame: sheet.into(found, up=points.up)
        for frame, found in sorted(points.frames.items())
        if np.isfinite(found).any()
    }
    if not placed:
        raise TrackError("no frame holds a point", "Export the track again.")
    for frame, found in placed.items():
        _near(frame, found)
    order = _order(points.names)
    if reference is not None or (points.reference is not None and order is None):
        marks = _carried(placed, points, sheet, reference)
    elif order is None:
        raise TrackError(
            f"it holds {len(points.names)} points ({', '.join(points.names[:4])}"
            f"{', …' if len(points.names) > 4 else ''}), and nothing says where the {COUNT} "
            "landmarks lie",
            "Name a track with one good frame of the face as the reference: semblance "
            "convert-track --reference.",
        )
    else:
        marks = {frame: found[order] for frame, found in placed.items()}
        for frame, found in marks.items():
            _whole(frame, found)
    return {
        frame: _face(frame, found, sheet.pixel_aspect, points.scores.get(frame, 1.0))
        for frame, found in marks.items()
    }


def _order(names: Sequence[str]) -> list[int] | None:
    """Return where each landmark stands among the names; None where they are not all of them."""
    if len(names) != COUNT:
        return None
    found = [match and int(match[1]) for match in map(_NUMBER.search, names)]
    for first in (0, 1):
        numbers = {number: at for at, number in enumerate(found)}
        if set(numbers) == set(range(first, first + COUNT)):
            return [numbers[first + index] for index in range(COUNT)]
    return list(range(COUNT))


def _whole(frame: int, found: Array) -> None:
    lost = np.flatnonzero(~np.isfinite(found).all(axis=1))
    if lost.size:
        raise TrackError(
            f"frame {frame}: expected all {COUNT} landmarks, found {COUNT - lost.size}; the first "
            f"missing one is {lost[0]}",
            "Export all landmarks of a frame, or leave the frame out.",
        )


def _near(frame: int, points: Array) -> None:
    if (np.abs(points) > _FARTHEST).any():
        raise TrackError(
            f"frame {frame}: a point lies farther out than {_FARTHEST:g} pixels",
            "Mend the frame, or leave it out.",
        )


def _face(frame: int, landmarks: Array, pixel_aspect: float, score: float) -> Face:
    if not np.isfinite(landmarks).all():
        raise TrackError(
            f"frame {frame}: the points send a landmark to infinity", "Mend the points."
        )
    _near(frame, landmarks)
    try:
        yaw, pitch, roll = head_pose(landmarks * (pixel_aspect, 1.0))
    except ValueError as error:
        raise TrackError(f"frame {frame}: {error}", "Mend the frame, or leave it out.") from error
    return Face(landmarks, score, yaw, pitch, roll, source="imported")


# -------------------------------------------------------------------------- a reference, carried


def _carried(
    placed: Mapping[int, Array], points: Points, sheet: Sheet, reference: Track | None
) -> dict[int, Array]:
    """Return the landmarks of a reference frame, carried to all frames by the points."""
    if reference is not None:
        shared = [frame for frame in placed if frame in reference.faces]
        if not shared:
            raise TrackError(
                f"the reference has a face in none of its frames {min(placed)} to {max(placed)}",
                "Track one of these frames for the reference.",
            )
        at = max(shared, key=lambda frame: np.isfinite(placed[frame]).sum())
        held = reference.faces[at].landmarks
    else:
        assert points.reference is not None
        at, held = points.reference.frame, points.reference.landmarks
        if at not in placed:
            raise TrackError(
                f"its reference frame {at} holds no point", "Name a reference with --reference."
            )
    aspect = np.array([sheet.pixel_aspect, 1.0])
    source = placed[at] * aspect
    carry = _similar if points.motion == "similarity" else _projected
    marks: dict[int, Array] = {}
    for frame, found in placed.items():
        there = np.isfinite(source).all(axis=1) & np.isfinite(found).all(axis=1)
        try:
            marks[frame] = carry(source[there], (found * aspect)[there], held * aspect) / aspect
        except ValueError as error:
            raise TrackError(f"frame {frame}: {error}", "Mend the points, or leave it out.") from (
                error
            )
    return marks


def _similar(source: Array, target: Array, carried: Array) -> Array:
    """Return points under the similarity that fits best; one point shifts, two turn and scale.

    Umeyama, "Least-squares estimation of transformation parameters between two point patterns",
    IEEE PAMI 13(4), 1991, in its closed form for the plane.
    """
    if not len(source):
        raise ValueError("none of its points is also in the reference frame")
    from_, to = source.mean(axis=0), target.mean(axis=0)
    s = (source - from_) @ (1.0, 1j)
    t = (target - to) @ (1.0, 1j)
    spread = float((np.abs(s) ** 2).sum())
    turn = np.vdot(s, t) / spread if len(source) > 1 and spread > _FLAT else 1.0 + 0.0j
    moved = turn * ((carried - from_) @ (1.0, 1j))
    return np.asarray(np.stack([moved.real, moved.imag], axis=-1) + to, np.float64)


def _projected(source: Array, target: Array, carried: Array) -> Array:
    """Return points under the homography of four corners.

    Hartley and Zisserman, "Multiple View Geometry in Computer Vision", 2004, section 4.1: eight
    linear equations, after the points were brought to unit size.
    """
    if len(source) != 4:
        raise ValueError(f"expected four corners, found {len(source)}")
    from_, to = _normal(source), _normal(target)
    rows = []
    for (x, y), (u, v) in zip(_through(from_, source), _through(to, target), strict=True):
        rows.append([x, y, 1.0, 0.0, 0.0, 0.0, -u * x, -u * y, u])
        rows.append([0.0, 0.0, 0.0, x, y, 1.0, -v * x, -v * y, v])
    system = np.array(rows)
    if np.linalg.cond(system[:, :8]) > 1.0 / _FLAT:
        raise ValueError("three of its four corners lie on a line")
    solved = np.append(np.linalg.solve(system[:, :8], system[:, 8]), 1.0).reshape(3, 3)
    return _through(np.linalg.inv(to) @ solved @ from_, carried)


def _normal(points: Array) -> Array:
    """Return the matrix that brings points around the origin and to unit size."""
    middle = points.mean(axis=0)
    size = float(np.abs(points - middle).mean())
    if size < _FLAT:
        raise ValueError("its four corners lie on one point")
    return np.array([[1.0 / size, 0.0, -middle[0] / size],
                     [0.0, 1.0 / size, -middle[1] / size],
                     [0.0, 0.0, 1.0]])  # fmt: skip


def _through(matrix: Array, points: Array) -> Array:
    made = points @ matrix[:, :2].T + matrix[:, 2]
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(made[:, :2] / made[:, 2:], np.float64)
