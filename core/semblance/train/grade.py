"""The grade of each source of footage, brought to one: an archive's contrast and tint are no skin.

A *source* is a folder, a movie or a sequence. Its colour is measured in the faces alone, over the
source as a whole, so that the light of a single picture stays what it was.

An archive, that is what has lost its colour (monochrome, or of a source that mostly is, for its few
colours are faded), gets the contrast and level of the clean faces of the same person, or of the
performer where there are none, and from the same faces a complexion, which training believes only a
little (`FAINT`). The other sources of one person are brought to their common white by gains in
linear light.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from semblance.colour import decode, encode

__all__ = ["FAINT", "Grade", "Look", "Tones", "archives", "grades", "look_of", "tones"]

Pixels: TypeAlias = NDArray[np.float32]
Floats: TypeAlias = NDArray[np.float64]

FAINT: Final = 0.25
"""Weight of the colour that an archive was given."""

ENOUGH: Final = 12
"""Faces of which a source, or a look, needs so many before anything is taken from it."""

CONTRAST: Final = (0.5, 2.0)
STOPS: Final = 1.0
"""Furthest that a grade goes: contrast by these factors, a channel by so many stops."""

_LUMA: Final = np.array([0.2126, 0.7152, 0.0722], np.float32)


@dataclass(frozen=True)
class Tones:
    """What was measured of each of n faces.

    Parameters
    ----------
    mean, spread : (n,) float64 array
        Of luma in the face, working encoding.
    light : (n, 3) float64 array
        Mean of the face in linear light.
    tint : (n, 3, 3) float64 array
        Of each channel, constant, slope and bend of its distance from luma over luma.
    """

    mean: Floats
    spread: Floats
    light: Floats
    tint: Floats


@dataclass(frozen=True)
class Look:
    """How the clean faces of a person look.

    Parameters
    ----------
    mean, spread : float
        Luma of a face, working encoding.
    tint : (3, 3) float64 array
        As `Tones` has it.
    """

    mean: float
    spread: float
    tint: Floats


@dataclass(frozen=True)
class Grade:
    """What is done to one face.

    Parameters
    ----------
    gain : (3,) float64 array
        On each channel in linear light.
    contrast, level : float
        Slope and constant on luma, working encoding; only with a tint.
    tint : (3, 3) float64 array or None
        The complexion that an archive is given; None leaves a face its own colour.
    colour : float
        How far its colour is to be believed, 0..1.
    """

    gain: Floats
    contrast: float = 1.0
    level: float = 0.0
    tint: Floats | None = None
    colour: float = 1.0

    @property
    def changes(self) -> bool:
        """Whether it does anything to pixels."""
        return self.tint is not None or bool((self.gain != 1.0).any())

    def apply(self, picture: Pixels) -> Pixels:
        """Grade a picture, (h, w, 3) float32 in the working encoding; clipped to 0..1."""
        if self.tint is None:
            lit = decode(np.ascontiguousarray(picture)) * self.gain.astype(np.float32)
            return np.clip(encode(lit, 0.0), 0.0, 1.0)
        luma = self.contrast * (picture @ _LUMA).astype(np.float64) + self.level
        graded = luma[..., None] + _powers(luma) @ self.tint.T
        return np.clip(graded, 0.0, 1.0).astype(np.float32)


def tones(picture: Pixels, face: Pixels) -> tuple[float, float, Floats, Floats]:
    """Measure a face: a row of `Tones`.

    Parameters
    ----------
    picture : (h, w, 3) float32 array
        Working encoding, 0..1.
    face : (h, w) float32 array
        Mask, 0..1; what is above a half counts.
    """
    inside = picture[face > 0.5]
    if not len(inside):
        inside = picture.reshape(-1, 3)
    luma = (inside @ _LUMA).astype(np.float64)
    fitted = np.linalg.lstsq(_powers(luma), inside - luma[:, None], rcond=None)[0]
    tint: Floats = np.asarray(fitted.T, np.float64)
    light: Floats = np.asarray(decode(inside).mean(axis=0), np.float64)
    return float(luma.mean()), float(luma.std()), light, tint


def _powers(luma: Floats) -> Floats:
    return np.stack([np.ones_like(luma), luma, luma**2], axis=-1)


def look_of(measured: Tones, archive: NDArray[np.bool_]) -> Look | None:
    """Return the look of clean faces; None where there are not `ENOUGH`."""
    clean = ~archive
    if clean.sum() < ENOUGH:
        return None
    return Look(
        float(np.median(measured.mean[clean])),
        float(np.median(measured.spread[clean])),
        np.median(measured.tint[clean], axis=0),
    )


def archives(sources: Sequence[str], monochrome: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return which faces are of an archive: without colour, or of a source that mostly is so."""
    names = np.array([_source(each) for each in sources])
    found = monochrome.copy()
    for name in np.unique(names):
        members = names == name
        if monochrome[members].mean() >= 0.5:
            found |= members
    return found


def grades(
    sources: Sequence[str],
    monochrome: NDArray[np.bool_],
    measured: Tones,
    other: Look | None,
) -> list[Grade]:
    """Return what each face of a person is to be given.

    Parameters
    ----------
    sources : sequence of str
        Where each face comes from, as a faceset's listing has it.
    monochrome : (n,) bool array
    measured : Tones
    other : Look or None
        The other person's, for an archive of whose person no clean face is known.
    """
    archive = archives(sources, monochrome)
    look = look_of(measured, archive) or other
    names = np.array([_source(each) for each in sources])
    none = np.ones(3)
    made = [Grade(none, colour=0.0 if old else 1.0) for old in archive]
    white = np.median(measured.light[~archive], axis=0) if (~archive).any() else none
    for name in np.unique(names):
        for old in (True, False):
            rows = np.flatnonzero((names == name) & (archive == old))
            if old and len(rows) and look is not None:
                grade = _aged(measured, rows, look)
            elif not old and len(rows) >= ENOUGH:
                gain = white / np.maximum(np.median(measured.light[rows], axis=0), 1e-6)
                grade = Grade(np.clip(gain, 2.0**-STOPS, 2.0**STOPS))
            else:
                continue
            for row in rows:
                made[row] = grade
    clean = {name for name, old in zip(names, archive, strict=True) if not old}
    if len(clean) < 2:  # one source is its own white
        made = [grade if old else replace(grade, gain=none)
                for grade, old in zip(made, archive, strict=True)]  # fmt: skip
    return made


def _aged(measured: Tones, rows: NDArray[np.int64], look: Look) -> Grade:
    spread = max(float(np.median(measured.spread[rows])), 1e-3)
    contrast = float(np.clip(look.spread / spread, *CONTRAST))
    level = look.mean - contrast * float(np.median(measured.mean[rows]))
    return Grade(np.ones(3), contrast, level, look.tint, FAINT)


def _source(source: str) -> str:
    """Return the folder of a still, or the movie or sequence itself."""
    return source.rpartition("/")[0] or source
