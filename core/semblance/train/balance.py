"""How often each face is drawn: rare poses and expressions more, poor and hidden faces less."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from semblance.train.coverage import expressions

__all__ = ["HEAVIEST", "balanced", "bounded"]

Entry: TypeAlias = Mapping[str, Any]
Weights: TypeAlias = NDArray[np.float64]

HEAVIEST: Final = 4.0
"""A face is drawn at most this many times as often as an even draw would."""

POOREST: Final = 0.25
"""A face of poor quality, for this faceset, is drawn at least this much as often as a usual one."""

HIDDEN: Final = 0.4
"""A face of which so much is hidden is drawn least; see `LEAST_HIDDEN`."""

LEAST_HIDDEN: Final = 0.1

_YAW, _PITCH = (-35.0, -20.0, -7.0, 7.0, 20.0, 35.0), (-8.0, 8.0)
_MOUTH, _EYES = (0.04, 0.12, 0.22), (0.04,)
"""Edges of the bins: degrees, and shares as `semblance.train.coverage.expressions` has them."""


def balanced(entries: Sequence[Entry]) -> Weights:
    """Return the share of each face among the draws.

    The inverse root density of its bin of (yaw, pitch, open mouth, shut eyes), for the full inverse
    would show the one face of a bin as often as a hundred of another; times its quality against the
    faceset's median, so that an archive, all of it soft, is not put aside; times what of it can be
    seen. At most `HEAVIEST` times the mean.

    Parameters
    ----------
    entries : sequence of mapping
        As a faceset's listing has them.

    Returns
    -------
    (n,) float64 array
        Sums to 1; none is 0.
    """
    points = np.asarray([entry["landmarks"] for entry in entries], np.float64)
    eyes, mouth = expressions(points)
    yaw, pitch = (np.array([float(e[axis]) for e in entries]) for axis in ("yaw", "pitch"))
    bins = [
        np.digitize(yaw, _YAW),
        np.digitize(pitch, _PITCH),
        np.digitize(mouth, _MOUTH),
        np.digitize(eyes, _EYES),
    ]
    _, which, count = np.unique(np.stack(bins), axis=1, return_inverse=True, return_counts=True)
    weights = np.sqrt(1.0 / count[which.ravel()])
    quality = np.array([entry["quality"]["score"] for entry in entries])
    weights = weights * np.clip(quality / max(float(np.median(quality)), 1e-6), POOREST, 1.0)
    occluded = np.array([entry["quality"]["occluded"] for entry in entries])
    weights = weights * np.maximum(LEAST_HIDDEN, 1.0 - occluded / HIDDEN)
    return bounded(weights)


def bounded(weights: Weights) -> Weights:
    """Return weights that sum to 1, none above `HEAVIEST` times their mean before."""
    held = np.minimum(weights / weights.mean(), HEAVIEST)
    return np.asarray(held / held.sum(), np.float64)
