"""Other programs' ways to put a face back into a frame, with the network replaced by identity.

`RegionPasteBack` is written for this bench after what FaceFusion 3.8 was measured to do
(../shared/PEERS.md, §0, §3 and §5): a similarity to the crop, the crop as floats to the network and
back as 8 bits, a box mask of the crop's size that is blurred anew for each frame, the way back over
the bounding box of the crop's square alone, and an 8-bit blend there.

`InsightFace` is insightface's own `INSwapper.get(paste_back=True)`, its session replaced. It is no
dependency of Semblance; for the bench alone:

    pip install --no-deps insightface && pip install requests tqdm
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

Frame = NDArray[np.uint8]

FIVE_POINTS = np.array(
    [
        [0.36167656, 0.40387734],
        [0.63696719, 0.40235469],
        [0.50019687, 0.56044219],
        [0.38710391, 0.72160547],
        [0.61507734, 0.72034453],
    ]
)
"""Eyes, nose and corners of the mouth where the 128-pixel swap networks want them, in parts of the
crop (PEERS.md §2.1)."""

MASK_BLUR = 0.3


def five_points(landmarks: NDArray[np.float64]) -> NDArray[np.float32]:
    """Return eyes, nose and corners of the mouth of 68 landmarks in iBUG order."""
    eyes = [landmarks[36:42].mean(axis=0), landmarks[42:48].mean(axis=0)]
    return np.array([*eyes, landmarks[30], landmarks[48], landmarks[54]], np.float32)


@dataclass(frozen=True)
class RegionPasteBack:
    """A plain paste-back of a region in 8 bits, as FaceFusion does it."""

    size: int

    def __call__(self, frame: Frame, points: NDArray[np.float32]) -> Frame:
        target = (FIVE_POINTS * self.size).astype(np.float32)
        matrix, _ = cv2.estimateAffinePartial2D(
            points, target, method=cv2.RANSAC, ransacReprojThreshold=100.0
        )
        square = (self.size, self.size)
        crop = cv2.warpAffine(frame, matrix, square, borderMode=cv2.BORDER_REPLICATE)
        return self._paste(frame, identity(crop), self._box_mask(), matrix)

    def _box_mask(self) -> NDArray[np.float32]:
        """Return a box that is 0 on its border and blurred inward by the mask blur."""
        soft = int(0.5 * self.size * MASK_BLUR)
        border = max(soft // 2, 1)
        mask = np.zeros((self.size, self.size), np.float32)
        mask[border:-border, border:-border] = 1.0
        return np.asarray(cv2.GaussianBlur(mask, (0, 0), 0.25 * soft), np.float32)

    def _paste(
        self, frame: Frame, crop: Frame, mask: NDArray[np.float32], matrix: NDArray[np.float64]
    ) -> Frame:
        height, width = frame.shape[:2]
        back = cv2.invertAffineTransform(matrix)
        square = self.size * np.array([[0, 0], [1, 0], [1, 1], [0, 1]], np.float64)
        corners = square @ back[:, :2].T + back[:, 2]
        x0, y0 = np.clip(np.floor(corners.min(axis=0)), 0, (width, height)).astype(int)
        x1, y1 = np.clip(np.ceil(corners.max(axis=0)), 0, (width, height)).astype(int)
        back[:, 2] -= (x0, y0)
        box = (int(x1 - x0), int(y1 - y0))
        alpha = np.clip(cv2.warpAffine(mask, back, box), 0.0, 1.0)[..., None]
        face = cv2.warpAffine(crop, back, box, borderMode=cv2.BORDER_REPLICATE)
        result = frame.copy()
        blended = result[y0:y1, x0:x1] * (1.0 - alpha) + face * alpha
        result[y0:y1, x0:x1] = blended.astype(np.uint8)
        return result


def identity(crop: Frame) -> Frame:
    """Carry a crop to a network's input, and what it returns, the same, back to 8 bits."""
    given = crop[:, :, ::-1].astype(np.float32) / 255.0
    given = (given - 0.5) / 0.5
    drawn = np.expand_dims(given.transpose(2, 0, 1), 0)[0]
    drawn = np.clip(drawn.transpose(1, 2, 0) * 0.5 + 0.5, 0.0, 1.0)
    return np.asarray((drawn[:, :, ::-1] * 255.0).astype(np.uint8))


class InsightFace:
    """insightface's own paste-back.

    Raises
    ------
    ImportError
        insightface isn't installed.
    """

    def __init__(self, size: int) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            from insightface.model_zoo.inswapper import INSwapper
        # Its constructor reads a model file: the attributes that `get` reads are given instead.
        self._swapper = INSwapper.__new__(INSwapper)
        self._swapper.input_mean, self._swapper.input_std = 0.0, 255.0
        self._swapper.input_size = (size, size)
        self._swapper.input_names, self._swapper.output_names = ["target", "source"], ["output"]
        self._swapper.emap = np.eye(512, dtype=np.float32)
        self._swapper.session = _Identity()
        self._source = SimpleNamespace(normed_embedding=np.full(512, 512**-0.5, np.float32))

    def __call__(self, frame: Frame, points: NDArray[np.float32]) -> Frame:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            target = SimpleNamespace(kps=points)
            return np.asarray(self._swapper.get(frame, target, self._source, paste_back=True))


class _Identity:
    """A session that returns its first input."""

    def run(self, _outputs: list[str], inputs: dict[str, Any]) -> list[Any]:
        return [inputs["target"]]
