"""The composite: how much of the change that a face makes reaches the plate.

The new face is plate + change, and over, multi-band and gradient-domain blending of two pictures
are linear in the pictures; so each is here a blend of 0 and the change, and what changes nothing
changes no bit of the plate. All of it is scene-linear and in floats; nothing is clipped.

References
----------
Over: Porter and Duff, "Compositing digital images", SIGGRAPH 1984, section 4.3. Multi-band: Burt
and Adelson, "A multiresolution spline with application to image mosaics", ACM TOG 2(4), 1983,
section 3. Gradient domain: Pérez, Gangnet and Blake, "Poisson image editing", SIGGRAPH 2003,
section 2, in the form of a membrane over the boundary's difference (Farbman et al., "Coordinates
for instant image cloning", SIGGRAPH 2009, section 3), whose hard region becomes a data weight as in
Bhat et al., "GradientShop", ACM TOG 29(2), 2010, section 3. Multigrid: Briggs, Henson and
McCormick, "A Multigrid Tutorial", SIAM 2000, chapter 3.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from semblance import kernels
from semblance.knobs import BlendKnobs

__all__ = ["composite"]

Image = NDArray[np.float32]

_PAD = 24
"""Cells that are added around the grid for the coarsest band, which reaches so far."""

_COARSEST = 20.0
"""Pixels of the coarsest band in a face's length: its transition has a deviation of 5 %."""

_SUPPORT = 0.1
"""A matte above this lies well inside: bands coarser than the matte's own edge are let in there."""

_GRID = 192
"""Cells along a window's longer side, for what is smooth: the coarser bands and the membrane."""

_SCREEN = 24.0
"""How many times the membrane's reach at matte 0.5 goes into a face's length."""

_FIRM = 100.0
"""The most that a cell is held: the membrane keeps 99 % of the way to the change there, and what
is left of a float's 24 bits is enough for the solver's differences."""

_LOOSE = 1.0
"""A membrane that is held by less than this in all its cells together sinks to 0."""

_OUTLIER = 4.0
"""A change this many times the rim's typical one holds the membrane a quarter as firmly."""


def composite(change: Image, matte: Image, knobs: BlendKnobs) -> tuple[Image, Image]:
    """Return what is to be added to the plate, and how much of it.

    Parameters
    ----------
    change : (h, w, 3) float32 array
        The new face minus the plate over a window, scene-linear, not premultiplied, finite; of any
        sign and size.
    matte : (h, w) float32 array
        Over the same window, 0..1. Where it is above 0 on the window's border, the plate ends
        there; elsewhere the window had better reach past it by a few pixels.
    knobs : BlendKnobs
        Mode and mix.

    Returns
    -------
    (h, w, 3) float32 array, (h, w) float32 array
        A change and the share of it that each pixel takes; exactly 0 wherever the matte is. For
        over they are the change that was given and the matte itself, times `mix`.

    Notes
    -----
    Over and multi-band are linear in `change`. Poisson scales with it, and takes an offset of
    `change` away; it is not additive, because a highlight on the boundary is weighed down.
    All three grow evenly with `mix` and move smoothly with the matte: nothing is thresholded.
    """
    if knobs.blend_mode == "over" or knobs.mix <= 0.0:
        return change, matte * np.float32(max(knobs.mix, 0.0))
    result, share = np.zeros(change.shape, np.float32), np.zeros_like(matte)
    touched = matte > 0.0
    if not touched.any():
        return result, share
    # Around the matte alone: it costs the face's area, and shifts with the face pixel by pixel.
    box = _box(touched)
    blend = _multiband if knobs.blend_mode == "multiband" else _poisson
    blend(change[box], matte[box], knobs.mix, result[box], share[box])
    return result, share


def _multiband(change: Image, matte: Image, mix: float, laid: Image, share: Image) -> None:
    """Write the blend of 0 and a change, band by band, and how much of it is let in.

    The bands are those of the grid; what is finer than a cell is blended by the matte itself. So
    the result is over, and what the grid's bands make of it, brought up to the plate.

    Coarse bands reach past the matte, where the plate must stay. A foot takes them back inside the
    matte's support, over as wide a transition as the coarsest band's own: a blurred support is 0.5
    on a straight edge and 1 deep inside, and a smoothstep of what lies above 0.5 has value and
    slope 0 at the edge, hard or soft. A smoothstep of the support itself does the same at inward
    corners and around thin objects that are held out.
    """
    size = matte.shape[::-1]
    colours, alpha, scale = _on_grid(change, matte)
    blend, wide = _bands(colours, alpha, _extent(matte) * scale / _COARSEST)
    more = cv2.subtract(blend, cv2.multiply(colours, _three(alpha)))
    cv2.resize(more, size, dst=laid, interpolation=cv2.INTER_LINEAR)
    wide = _enlarged(_smoothstep(np.maximum(2.0 * wide - 1.0, np.float32(0.0))), size)
    kernels.bands(change, matte, wide, _SUPPORT, mix, laid, share)


def _bands(change: Image, matte: Image, coarsest: float) -> tuple[Image, Image]:
    """Return the multi-band blend of 0 and a change, and the matte's support as blurred as it.

    With C and M the Gaussian pyramids of change and matte, a level's blend is that of its band,
    M·(C − up(C below)), plus the blend below. The number of levels is a real number: the coarsest
    counts by its fraction, so a face that grows never gains a whole level between two frames.

    Parameters
    ----------
    change, matte : (h, w, 3) and (h, w) float32 array
        On the grid.
    coarsest : float
        Cells in a pixel of the coarsest level.

    Returns
    -------
    (h, w, 3) float32 array, (h, w) float32 array
    """
    count = float(np.log2(max(coarsest, 1.0)))
    levels = max(int(np.ceil(count)), 1)
    fraction = np.float32(count - (levels - 1))
    # Beyond the window the matte goes on as it ends: a face that the frame cuts goes on, and what
    # is no longer face stays that.
    colours, mattes = [_padded(change)], [_padded(matte)]
    support = [_support(mattes[0])]
    for pyramid in (colours, mattes, support):
        for _ in range(levels):
            pyramid.append(_down(pyramid[-1]))
    below, blend = fraction * colours[-1], fraction * (mattes[-1][..., None] * colours[-1])
    wide = fraction * support[-1]
    for level in reversed(range(levels)):
        band = colours[level] - _up(below, colours[level])
        cv2.multiply(band, _three(mattes[level]), dst=band)
        cv2.add(band, _up(blend, colours[level]), dst=band)
        blend = band
        wide = _up(wide, support[level])
        if level == levels - 1:
            wide += (np.float32(1.0) - fraction) * support[level]
        below = colours[level]
    inner = slice(_PAD, -_PAD)
    return np.asarray(blend[inner, inner], np.float32), wide[inner, inner]


def _poisson(change: Image, matte: Image, mix: float, laid: Image, share: Image) -> None:
    """Write the change, less the membrane that meets it around the matte; and the matte.

    The change keeps its gradients, and takes the plate's level around the face.
    """
    colours, alpha, scale = _on_grid(change, matte)
    membrane = _membrane(colours, alpha, _extent(matte) * scale)
    cv2.resize(membrane, matte.shape[::-1], dst=laid, interpolation=cv2.INTER_LINEAR)
    cv2.subtract(change, laid, dst=laid)
    np.multiply(matte, np.float32(mix), out=share)


def _membrane(change: Image, matte: Image, extent: float) -> Image:
    """Return the smooth picture that meets a change around the matte: the seam's own.

    It minimises the sum of the membrane's slope squared and of its distance from the change,
    squared and weighted by ((1 − m) / m)³, over the whole window. Outside the matte that holds it
    to the change; inside it hangs free, also where a matte stays a little below 1; in between the
    hold fades, so no pixel ever changes sides.
    The window's border has no condition of its own, which is Neumann's: where the plate ends,
    nothing is known, and the membrane runs out flat.

    Parameters
    ----------
    change, matte : (h, w, 3) and (h, w) float32 array
        On the grid.
    extent : float
        The face's length in cells.

    Returns
    -------
    (h, w, 3) float32 array
    """
    # A quarter: the smoother below takes a quarter of the Laplacian, per cell squared.
    stiff = np.float32(0.25 * (_SCREEN / max(extent, 1.0)) ** 2)
    hold = stiff * (1.0 - matte) ** 3 / (matte**3 + np.float32(1e-4))
    hold /= 1.0 + hold / np.float32(_FIRM)
    return _settle(change, np.asarray(hold * _trust(change, matte), np.float32))


def _trust(change: Image, alpha: Image) -> Image:
    """Return how far each cell's change may hold the membrane: 1, or less for an outlier.

    One lamp of 50 behind a cheek, in Dirichlet's condition, lights up the whole face. So changes
    are weighed as Geman and McClure's estimator does, 1 / (1 + (size / limit)²)², which lets the
    rim's other cells speak. The limit is a multiple of a power mean over the rim, with exponent ¼:
    as indifferent to a few huge values as a median, but smooth in all of them, and of the change's
    own scale.
    """
    squared = cv2.transform(cv2.multiply(change, change), np.ones((1, 3), np.float32))
    rim = cv2.blur(alpha, (5, 5), borderType=cv2.BORDER_REPLICATE) * np.square(1.0 - alpha)
    roots = np.sqrt(np.sqrt(np.sqrt(squared)))  # the size's fourth root
    typical = (float((rim * roots).sum()) / max(float(rim.sum()), 1e-12)) ** 4
    limit = (_OUTLIER * typical) ** 2 + 1e-12
    return np.asarray(np.square(limit / (limit + squared)), np.float32)


def _settle(target: Image, hold: Image) -> Image:
    """Solve u − A·u + hold·(u − target) = 0, A being the binomial 3 × 3 average, by full multigrid.

    I − A is a quarter of a Laplacian to second order, without a mode but the constant that it lets
    pass, and a sweep u ← (A·u + hold·target) / (1 + hold) at least halves all that a coarser grid
    can't show. From the coarsest grid up, each starts from the one below and runs one V-cycle.

    A coarser cell averages what a sweep there would take from the target, hold / (1 + hold): the
    average of the hold itself would nail down a cell of which a corner lies outside the matte.
    """
    grids = [_Grid(hold)]
    targets = [target]
    while grids[-1].size != (1, 1):
        hold, target = _coarser(hold, target)
        grids.append(_Grid(hold))
        targets.append(target)
    # Without any hold there is no boundary, and no membrane: it goes to 0 before that, smoothly.
    solution = targets[-1] * (grids[-1].hold / (grids[-1].hold + np.float32(_LOOSE)))
    for level in reversed(range(len(grids) - 1)):
        grid = grids[level]
        solution = _enlarged(solution, grid.size)
        given = targets[level] * grid.hold
        solution += _cycle(grid.rest(solution, given), grids[level:])
    return np.asarray(solution, np.float32)


class _Grid:
    """One level of the membrane: (h, w, 3) arrays of the hold, of 1 + hold and of its inverse."""

    def __init__(self, hold: Image) -> None:
        self.size = (hold.shape[1], hold.shape[0])
        self.hold = _three(hold)
        self.whole = _three(hold + np.float32(1.0))
        self.keep = _three(np.float32(1.0) / (hold + np.float32(1.0)))

    def sweep(self, solution: Image, given: Image) -> Image:
        """Return a better solution of u − A·u + hold·u = given."""
        average = _average(solution)
        cv2.add(average, given, dst=average)
        return np.asarray(cv2.multiply(average, self.keep, dst=average))

    def rest(self, solution: Image, given: Image) -> Image:
        """Return what the solution leaves of `given`."""
        average = _average(solution)
        cv2.add(average, given, dst=average)
        return np.asarray(cv2.subtract(average, cv2.multiply(solution, self.whole), dst=average))


def _coarser(hold: Image, target: Image) -> tuple[Image, Image]:
    """Return hold and target on cells of twice the side."""
    height, width = hold.shape
    half = ((width + 1) // 2, (height + 1) // 2)
    share = hold / (np.float32(1.0) + hold)
    taken = _shrunk(share, half)
    mean = _shrunk(target * _three(share), half) / _three(np.maximum(taken, np.float32(1e-20)))
    # A cell of twice the side meets four times the hold.
    coarse = np.float32(4.0) * taken / (np.float32(1.0) - np.minimum(taken, np.float32(0.999)))
    return np.asarray(coarse, np.float32), np.asarray(mean, np.float32)


def _cycle(given: Image, grids: list[_Grid]) -> Image:
    """Return one V-cycle's answer to u − A·u + hold·u = given, from u = 0."""
    grid = grids[0]
    if len(grids) == 1:
        return np.asarray(given / (grid.hold + np.float32(_LOOSE)), np.float32)  # has no slope
    solution = grid.sweep(given * grid.keep, given)
    # A cell of twice the side meets four times the force.
    rest = np.float32(4.0) * _shrunk(grid.rest(solution, given), grids[1].size)
    solution += _enlarged(_cycle(rest, grids[1:]), grid.size)
    return grid.sweep(grid.sweep(solution, given), given)


def _on_grid(change: Image, matte: Image) -> tuple[Image, Image, float]:
    """Return change and matte on a grid of one size, whatever the plate's, and cells per pixel.

    So a proxy gets the same bands and the same membrane, and they cost the same.
    """
    height, width = matte.shape
    scale = min(_GRID / max(height, width), 1.0)
    cells = (max(round(width * scale), 1), max(round(height * scale), 1))
    if scale < 0.5 and height % 2 == width % 2 == 0:
        half = (width // 2, height // 2)
        change, matte = _shrunk(change, half), _shrunk(matte, half)
    return _shrunk(change, cells), _shrunk(matte, cells), scale


def _extent(matte: Image) -> float:
    """Return a face's length in pixels: the longest of the matte's rows and columns, as its sum.

    It hardly changes where the plate's border or a hand cuts the face, and never by steps.
    """
    return float(max(cv2.reduce(matte, axis, cv2.REDUCE_SUM).max() for axis in (0, 1)))


def _padded(image: Image) -> Image:
    return np.asarray(cv2.copyMakeBorder(image, *4 * (_PAD,), cv2.BORDER_REPLICATE))


def _support(matte: Image) -> Image:
    return np.asarray(np.minimum(matte * np.float32(1.0 / _SUPPORT), 1.0), np.float32)


def _smoothstep(x: Image) -> Image:
    cubic = np.float32(3.0) - np.float32(2.0) * x
    cubic *= x
    cubic *= x
    return cubic


def _shrunk(image: Image, size: tuple[int, int]) -> Image:
    return np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.float32)


def _enlarged(image: Image, size: tuple[int, int]) -> Image:
    return np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_LINEAR), np.float32)


def _average(image: Image) -> Image:
    return np.asarray(cv2.GaussianBlur(image, (3, 3), 0.0, borderType=cv2.BORDER_REPLICATE))


def _three(plane: Image) -> Image:
    return np.asarray(cv2.cvtColor(plane, cv2.COLOR_GRAY2BGR))


def _box(touched: NDArray[np.bool_]) -> tuple[slice, slice]:
    """Return the rows and columns of what is touched (something is), and a few cells around."""
    x, y, width, height = cv2.boundingRect(touched.view(np.uint8))
    margin = max(width, height) // 32 + 2
    # Even lengths, where the window has room for them, are halved faster (`_on_grid`).
    y0, x0 = max(y - margin, 0), max(x - margin, 0)
    y1, x1 = y + height + margin, x + width + margin
    return slice(y0, y1 + (y1 - y0) % 2), slice(x0, x1 + (x1 - x0) % 2)


def _down(image: Image) -> Image:
    """Return the level below: twice Burt and Adelson's binomial kernel, before and after.

    With the one kernel a quarter of the amplitude at the lower level's Nyquist limit folds back,
    and a blend depends on where the levels' pixels happen to lie.
    """
    return np.asarray(cv2.GaussianBlur(cv2.pyrDown(image), (5, 5), 0.0))


def _up(image: Image, like: Image) -> Image:
    return np.asarray(cv2.pyrUp(image, dstsize=(like.shape[1], like.shape[0])))
