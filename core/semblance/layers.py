"""The layers beside the picture: all that native nodes need to blend a face again.

The new face, its matte, mattes of the face's regions, and the way to the canonical square and back
as ST maps, named as EXR channels under ``semblance.``. `layers` makes them where there is a face,
`empty` where there is none, so that every frame of a shot holds the same channels.

The canonical square is shown as the largest square in the middle of the display window. An ST map
holds, for each pixel of a result, where in a source it comes from: 0..1 over the display window,
origin at its lower left corner, pixel centres at +0.5, as Foundry's reference of the STMap node has
it. `docs/layers.md` shows the nodes.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from semblance import align
from semblance.matte import region_masks
from semblance.plate import Plate, Window

__all__ = ["NOWHERE", "REGIONS", "empty", "layers"]

Image = NDArray[np.float32]

REGIONS = ("brows", "cheeks", "eyes", "forehead", "jaw", "mouth", "nose")
"""The face's regions, as the mask's knobs name them."""

NOWHERE = -1.0
"""What an ST map holds where it leads nowhere: a whole picture to the left of and below it."""

_REGION_SIZE = 256
"""Side at which the regions are drawn; their edges are some pixels wide there."""


def layers(
    plate: Plate,
    window: Window,
    matrix: NDArray[np.float64],
    landmarks: NDArray[np.float64],
    patch: Image,
    matte: Image,
) -> Mapping[str, Image]:
    """Return the extra channels of a frame with a face.

    Parameters
    ----------
    plate : Plate
        The frame as it came in.
    window : Window
        Where the patch and the matte lie; inside what the plate holds.
    matrix : (2, 3) float64 array
        Plate pixels to canonical units, as from `align.fit`.
    landmarks : (68, 2) float64 array
        Canonical units.
    patch : (h, w, 3) float32 array
        The new face over `window`: the plate's own colour space, premultiplied if the plate is.
    matte : (h, w) float32 array
        Over `window`, 0..1.

    Returns
    -------
    mapping of str to (H, W) float32 array
        Over what the plate holds (`plate.window`):

        ``semblance.patch.R`` to ``.B``
            The patch; outside its window the plate.
        ``semblance.matte.A``
            The matte; 0 outside. Plate + matte · (patch − plate) is the frame.
        ``semblance.region_<name>.A``
            A soft matte for each of `REGIONS`; together 1 in the canonical square, 0 outside it.
        ``semblance.st_forward.R``, ``.G``
            Lays the canonical picture over the plate; `NOWHERE` outside the canonical square.
        ``semblance.st_inverse.R``, ``.G``
            Takes the canonical picture out of the plate; `NOWHERE` outside the middle square.

        A half's ten bits are two pixels of a 4K plate: ST maps have to be stored as float32.
    """
    planes = dict(empty(plate))
    place = window.slices(plate.window)
    for index, name in enumerate("RGB"):
        planes[f"semblance.patch.{name}"][place] = patch[..., index]
    planes["semblance.matte.A"][place] = matte
    face = align.bounds(matrix, plate.window)
    place = face.slices(plate.window)
    for name, mask in region_masks(landmarks, _REGION_SIZE).items():
        laid = align.to_plate(mask, matrix, face, outside=0.0)
        planes[f"semblance.region_{name}.A"][place] = np.clip(laid, 0.0, 1.0)
    square = _middle_square(plate)
    for direction, first, second in (("forward", matrix, square), ("inverse", square, matrix)):
        around = align.bounds(first, plate.window)
        place = around.slices(plate.window)
        for name, values in zip("RG", _st(plate, around, first, second), strict=True):
            planes[f"semblance.st_{direction}.{name}"][place] = values
    return planes


def empty(plate: Plate) -> Mapping[str, Image]:
    """Return the extra channels of a frame without a face: the plate, and nothing to lay over it.

    Parameters
    ----------
    plate : Plate

    Returns
    -------
    mapping of str to (H, W) float32 array
        The names of `layers`, in the order in which a file sorts them, over `plate.window`.
    """
    shape = (plate.window.height, plate.window.width)
    planes = {"semblance.matte.A": np.zeros(shape, np.float32)}
    for name, channel in sorted(zip("RGB", plate.rgb, strict=True)):
        planes[f"semblance.patch.{name}"] = np.array(plate.channels[channel], np.float32)
    for name in REGIONS:
        planes[f"semblance.region_{name}.A"] = np.zeros(shape, np.float32)
    for direction in ("forward", "inverse"):
        for name in "GR":
            planes[f"semblance.st_{direction}.{name}"] = np.full(shape, NOWHERE, np.float32)
    return planes


def _middle_square(plate: Plate) -> align.Affine:
    """Return plate pixels to canonical units for the picture of the canonical square.

    Square in square pixels: on an anamorphic plate it has fewer columns than rows.
    """
    display = plate.display_window
    side = min(float(display.height), display.width * plate.pixel_aspect)
    scale = np.array([plate.pixel_aspect, 1.0]) / side
    middle = 0.5 * np.array([display.x0 + display.x1, display.y0 + display.y1])
    return np.column_stack([np.diag(scale), 0.5 - scale * middle])


def _st(
    plate: Plate, window: Window, here: align.Affine, there: align.Affine
) -> tuple[Image, Image]:
    """Return the ST map of a window whose pixels lie in the canonical square by `here`.

    `there` is where the source has the square. Both are affine, so each value is one of a row plus
    one of a column.
    """
    display = plate.display_window
    normal = np.array(
        [
            [1.0 / display.width, 0.0, -display.x0 / display.width],
            [0.0, -1.0 / display.height, display.y1 / display.height],
        ]
    )
    u, v = _planes(window, here)
    inside = (u >= 0.0) & (u <= 1.0) & (v >= 0.0) & (v <= 1.0)
    maps = _planes(window, align.chain(align.chain(here, align.invert(there)), normal))
    for values in maps:
        np.copyto(values, np.float32(NOWHERE), where=~inside)
    return maps


def _planes(window: Window, matrix: align.Affine) -> tuple[Image, Image]:
    """Return both coordinates of a window's pixel centres through an affine matrix."""
    x = np.arange(window.x0, window.x1) + 0.5
    y = np.arange(window.y0, window.y1) + 0.5
    first, second = (
        np.add.outer(row[1] * y + row[2], row[0] * x).astype(np.float32) for row in matrix
    )
    return first, second
