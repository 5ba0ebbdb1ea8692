"""How much a face is worth for training: one figure from size, sharpness, exposure, occlusion."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from semblance import occluder
from semblance.matte import hull_mask
from semblance.train.measure import MARGIN

__all__ = ["Quality", "flat_share", "judge_quality", "occluded_share"]

Pixels: TypeAlias = NDArray[np.float32]
Points: TypeAlias = NDArray[np.float64]

_RAMPS: Final = {
    "pixels": (48.0, 256.0),
    "sharpness": (1.0, 8.0),
    "flat": (0.25, 0.02),
    "occluded": (0.4, 0.05),
}
"""Where each figure is worth nothing, and from where on it is worth all."""

_CODE: Final = 1.0 / 255.0
_WORST: Final = 0.05
"""One failing figure leaves so much of the whole: a bad face is drawn rarely, not never."""


@dataclass(frozen=True)
class Quality:
    """What was found of a face.

    Parameters
    ----------
    pixels : float
        Side of the canonical square in the picture it was taken from, in pixels.
    sharpness : float
        As `semblance.train.measure.sharpness`.
    flat : float
        Share of the face that is burnt out or drowned, 0..1.
    occluded : float
        Share of the face that something hides, 0..1.
    """

    pixels: float
    sharpness: float
    flat: float
    occluded: float

    @property
    def score(self) -> float:
        """All of it in one figure, 0..1: the product of the four, each from 0.05 to 1."""
        whole = 1.0
        for name, (worst, best) in _RAMPS.items():
            share = (getattr(self, name) - worst) / (best - worst)
            whole *= _WORST + (1.0 - _WORST) * min(max(share, 0.0), 1.0)
        return whole

    def to_json(self) -> dict[str, Any]:
        """Return the figures and their score, rounded as a listing holds them."""
        return {"score": round(self.score, 3)} | {
            name: round(value, 1 if value > 10.0 else 3) for name, value in asdict(self).items()
        }


def judge_quality(crop: Pixels, points: Points, pixels: float, sharpness: float) -> Quality:
    """Judge a crop.

    Parameters
    ----------
    crop : (size, size, 3) float32 array
        The widened canonical square in the working encoding.
    points : (68, 2) float64 array
        Landmarks in crop pixels.
    pixels, sharpness : float
        As `Quality` has them.

    Raises
    ------
    EnvironmentFault
        The occluder network is missing from the package.
    """
    return Quality(pixels, sharpness, flat_share(crop, points), occluded_share(crop, points))


def flat_share(crop: Pixels, points: Points) -> float:
    """Return the share of the face that is burnt out or drowned.

    That is what lies within a code value (1/255) of the face's brightest or darkest one, beyond the
    half percent of it that any picture has there.
    """
    size = crop.shape[0]
    inside = crop[hull_mask(points / size, size) > 0.5]
    if not len(inside):
        return 0.0
    bright, dark = inside.max(axis=1), inside.min(axis=1)
    burnt = float((bright >= bright.max() - _CODE).mean())
    drowned = float((dark <= dark.min() + _CODE).mean())
    return max(0.0, burnt - 0.005) + max(0.0, drowned - 0.005)


def occluded_share(crop: Pixels, points: Points) -> float:
    """Return the share of the face that something hides, as `semblance.occluder` sees it."""
    size = crop.shape[0]
    edge = round(size * MARGIN / (1.0 + 2.0 * MARGIN))
    square = np.ascontiguousarray(np.clip(crop[edge : size - edge, edge : size - edge], 0.0, 1.0))
    canonical = (points - edge) / square.shape[0]
    face = hull_mask(canonical, square.shape[0])
    held = occluder.held_out(occluder.look(square, canonical), 0.5)
    area = float(face.sum())
    return float((face * held).sum()) / area if area > 0.0 else 0.0
