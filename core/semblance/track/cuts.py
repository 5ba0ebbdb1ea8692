"""Where one take ends and the next begins.

Two frames that follow each other are shrunk, brought to one exposure, and laid over each other by
the shift that fits them best, so that neither a flash, a flicker nor a pan counts. What is then
left of their difference is small within a take and large at a cut.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

__all__ = ["CutFinder", "difference", "thumbnail"]

Pixels = NDArray[np.float32]

SIZE: Final = (96, 54)
"""Width and height of a thumbnail."""

THRESHOLD: Final = 0.41
"""Difference above which two frames may be of two takes."""

SPIKE: Final = 1.5
"""How many times the usual difference of the frames before a cut is, at least."""

_MEMORY: Final = 8
"""Differences that are remembered as the usual ones."""

_COARSE: Final = 8.0
"""Deviation, in pixels of a thumbnail, of the blur that leaves what is no detail."""

_SURE: Final = 0.3
"""Height of the peak of the phase correlation from which a shift is believed."""

_FARTHEST: Final = 0.35
"""Of its width and height, by which a take may be shifted from one frame to the next."""


def thumbnail(linear: Pixels) -> Pixels:
    """Shrink a picture to log luma of mean 0 and deviation 1, and two log ratios of colour.

    Parameters
    ----------
    linear : (h, w, 3) float32 array
        Scene-linear Rec.709, any range; what is not finite counts as black.

    Returns
    -------
    (54, 96, 3) float32 array
    """
    step = max(min(linear.shape[0] // (2 * SIZE[1]), linear.shape[1] // (2 * SIZE[0])), 1)
    picked = np.nan_to_num(linear[::step, ::step, :3], nan=0.0, posinf=0.0, neginf=0.0)
    small = np.maximum(cv2.resize(picked, SIZE, interpolation=cv2.INTER_AREA), 0.0)
    floor = 0.02 * float(np.percentile(small.mean(2), 90.0)) + 1e-9
    logs = np.log2(small + floor)
    light = logs.mean(2)
    light = (light - light.mean()) / (float(light.std()) + 0.05)
    ratios = logs[..., (0, 2)] - logs[..., 1:2]
    return np.dstack([light, ratios]).astype(np.float32)


def difference(one: Pixels, other: Pixels) -> float:
    """Return how different two thumbnails are: about 0 within a take, about 1 across a cut.

    It is what stays uncorrelated of the light, of the light's detail alone and of the colouring,
    as the pictures lie or, where the whole picture has clearly moved, shifted back.
    """
    light = np.ascontiguousarray(one[..., 0]), np.ascontiguousarray(other[..., 0])
    window = cv2.createHanningWindow(SIZE, cv2.CV_32F)
    shift, sure = cv2.phaseCorrelate(*light, window)
    fine = [each - cv2.GaussianBlur(each, (0, 0), _COARSE) for each in light]
    pairs = [(light[0], light[1]), (fine[0], fine[1])]
    pairs += [(one[..., i], other[..., i]) for i in (1, 2)]
    shifts = [(0.0, 0.0)]
    if sure > _SURE:
        shifts.append((float(shift[0]), float(shift[1])))
    return min(
        float(np.mean([_uncorrelated(before, after, by) for before, after in pairs]))
        for by in shifts
    )


def _uncorrelated(one: Pixels, other: Pixels, by: tuple[float, float]) -> float:
    """Return 1 less the correlation of the overlap, at most 1, with one shifted over the other."""
    across, down = round(by[0]), round(by[1])
    if abs(across) > _FARTHEST * SIZE[0] or abs(down) > _FARTHEST * SIZE[1]:
        return 1.0
    a = one[max(-down, 0) : SIZE[1] - max(down, 0), max(-across, 0) : SIZE[0] - max(across, 0)]
    b = other[max(down, 0) : SIZE[1] + min(down, 0), max(across, 0) : SIZE[0] + min(across, 0)]
    a, b = a - a.mean(), b - b.mean()
    energy = float(np.sqrt((a * a).sum() * (b * b).sum()))
    return 1.0 - max(float((a * b).sum()) / energy, 0.0) if energy > 1e-3 * a.size else 0.0


@dataclass
class CutFinder:
    """Tells, frame by frame, whether a new take begins; frames may also be shown backward.

    Parameters
    ----------
    before : array, optional
        `thumbnail` of the frame before the first.
    """

    before: Pixels | None = None
    _usual: tuple[float, ...] = ()

    def next(self, linear: Pixels) -> bool:
        """Whether this frame is of another take than the one shown before it."""
        now = thumbnail(linear)
        before, self.before = self.before, now
        if before is None:
            return False
        found = difference(before, now)
        usual = float(np.median(self._usual)) if self._usual else 0.0
        if found > THRESHOLD and found > SPIKE * usual:
            self._usual = ()
            return True
        self._usual = (*self._usual, found)[-_MEMORY:]
        return False
