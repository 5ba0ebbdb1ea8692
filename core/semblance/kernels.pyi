"""The inner loops of the frame path, compiled: each is one pass over memory, and frees the lock.

Arrays are C-contiguous float32, and every result is written to an array that the caller brings.
Where a plate's channels are meant, float16 will do as well, and rows may lie apart. A pixel's
result has the same bits on every processor and however a frame is cut.

Every function raises ValueError for arrays of another kind, or of shapes that do not belong
together. Who needs light, colour or a picture calls `colour`, `plate` or `blend`; these here are
what those are made of.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

_Image = NDArray[np.float32]
_Channel = NDArray[np.float16] | NDArray[np.float32]
_Triple = tuple[float, float, float]

def encode(light: _Image, code: _Image, gain: float, /) -> None:
    """Write the working encoding of (n,) light times a gain (`colour.encode`)."""

def decode(code: _Image, light: _Image, gain: float, /) -> None:
    """Write (n,) light of the working encoding, times a gain (`colour.decode`)."""

def expose(light: _Image, gain: float, code: _Image, beyond: _Image, /) -> bool:
    """Write the codes of (h, w, 3) finite light times a gain, held to 0..1; True if any was held.

    `beyond`, (h, w), says how far each pixel is beyond display white, 0..1 (`blend.lay_in`).
    """

def picture(red: _Channel, green: _Channel, blue: _Channel, result: _Image, /) -> None:
    """Write three (h, w) channels as one (h, w, 3) picture."""

def add(red: _Channel, green: _Channel, blue: _Channel, change: _Image, share: _Image, /) -> None:
    """Add a share of an (h, w, 3) change to three (h, w) channels, in place.

    Rounded once, to the channel's own type, and held to its range; what is not a number counts as
    0 there, an infinity as a half's limit. Where `share`, (h, w), is 0 the bits stay.
    """

def sample(source: _Image, matrix: Sequence[float], result: _Image, /) -> None:
    """Sample an (n, m, 3) picture by Keys' cubic (a = −3/4); past its border the nearest counts.

    `matrix` holds the six figures, row by row, of the 2 × 3 matrix from the (h, w, 3) result's
    pixels to the source's, both with centres at +0.5.
    """

def lay_in(
    plate: _Image,
    laid: _Image,
    grain: _Image | None,
    amount: float,
    white: float,
    result: _Image,
    /,
) -> None:
    """Write what the new face changes of a plate (`blend.lay_in`); (h, w, 3), `laid` (h, w, 4).

    `white` times the plate is light where 1 is display white. The result is at the plate's scale.
    """

def pack(crop: _Image, change: _Image, another: _Image, result: _Image, /) -> None:
    """Write what `lay_in` needs of the canonical square (`blend.packed`), (n, n, 4).

    From (n, n, 3) codes of crop and change and the (n, n) `another`.
    """

def largest_difference(first: _Image, second: _Image, result: _Image, /) -> None:
    """Write the largest absolute difference of the three channels: (h, w)."""

def match(
    face: _Image,
    result: _Image,
    to_cones: _Image,
    to_light: _Image,
    to_oklab: _Image,
    step: _Image,
    curves: _Image | None,
    low: _Triple,
    nodes_per_unit: _Triple,
    strength: float,
    dark: float,
    /,
) -> None:
    """Write a face's codes, (h, w, 3), with its colours moved in Oklab (`blend.matched`).

    The 3 × 4 `step` is added to cube roots of cones: of those roots, or of what (3, k) `curves` at
    even places from `low` on make of their Oklab coordinates.
    """

def grain_energy(picture: _Image, laid: _Image | None, axes: _Image, cells: _Image, /) -> None:
    """Write the mean energies of 4 × 4 cells, along the three `axes` of colour.

    Of an (h, w, 3) picture, less (h, w, 4) `laid` where there is one, whose fourth channel does not
    count; rows of both may lie apart. Cells at the right and below may be smaller.
    """

def grain_field(
    picture: _Image,
    laid: _Image | None,
    axes: _Image,
    kept: _Image,
    fresh: _Image,
    tile: _Image,
    starts: NDArray[np.int64],
    result: _Image,
    /,
) -> None:
    """Write a share of the detail and of fresh noise, (h, w, 3), each weighed by cells and axis.

    `picture` and `laid` are `grain_energy`'s; `kept` and `fresh` are weights of the cells, straight
    between their centres. `tile` is (256, 256, 3) noise along the axes, and (rows, columns, 2)
    `starts` says where in it each block of 128 × 128 pixels begins.
    """

def bands(
    change: _Image,
    matte: _Image,
    wide: _Image,
    support: float,
    mix: float,
    bands: _Image,
    share: _Image,
    /,
) -> None:
    """Add matte · change to (h, w, 3) `bands`, and write the (h, w) share that is let in.

    That is `mix` · `wide` times a smooth step of the matte, from 0 to `support`. Rows may
    lie apart.
    """

def product(left: _Image, right: _Image, result: _Image, /) -> None:
    """Write the product of (m, k) and (k, n), each sum in the order of k."""
