"""How pixels are shown: from the plate's colour space to a display and view of OpenColorIO.

A view such as ACES 2.0 takes some hundred nanoseconds a pixel, which is seconds for a 4K frame.
Such a view is sampled once on a lattice and looked up from then on (tetrahedral interpolation), and
each cell of the lattice is measured: pixels in cells where the lookup is not within a fraction of
an 8-bit code take the view itself. All others are converted by OpenColorIO directly.
"""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import lru_cache
from threading import Lock
from types import MappingProxyType

import cv2
import numpy as np
import PyOpenColorIO as ocio
from numpy.typing import NDArray

from semblance.errors import InputError, KnobError

__all__ = ["CHANNELS", "Display", "Look", "default_look", "displays"]

Pixels = NDArray[np.float32]
Shown = NDArray[np.uint8]

CHANNELS = ("rgb", "r", "g", "b", "a", "luma")

NOT_A_NUMBER = (255, 0, 255)
"""Red, green and blue of a pixel that is not a number: magenta, so that it is seen."""

_BUILT_IN = "ocio://studio-config-latest"
_LARGEST = 65504.0
"""A half's limit; what lies beyond is shown like it."""

# The lattice: x = _TOE (2^(k - _ZERO) a - 1) for its points k, so that 0 lies on one of them.
_POINTS, _ZERO, _TOE, _HIGHEST = 81, 6, 0.01, 128.0
_STEP = math.log2(_HIGHEST / _TOE + 1.0) / (_POINTS - 1 - _ZERO)
_PROBES = ((0.25, 0.5, 0.75), (0.75, 0.25, 0.5))
"""Where a cell is measured, in parts of it: away from its diagonal, where greys lie."""

_TOLERANCE = 0.35
"""8-bit codes that a cell may be off where it is measured, so that it is within 1 everywhere."""


@dataclass(frozen=True)
class Look:
    """How pixels are shown; never touches a file.

    Parameters
    ----------
    display, view : str
        As the OCIO config names them.
    exposure : float
        Stops, applied to scene-linear light before the view.
    gamma : float
        Above 0; the view's result is raised to its inverse.
    channel : str
        One of `CHANNELS`; one channel is shown as grey. Alpha is no light: it passes no view.
    """

    display: str
    view: str
    exposure: float = 0.0
    gamma: float = 1.0
    channel: str = "rgb"


def displays() -> Mapping[str, tuple[str, ...]]:
    """Return the displays and their views, of $OCIO or else of the built-in config.

    Raises
    ------
    InputError
        $OCIO names no config that can be used.
    """
    config = _config()
    return MappingProxyType({name: tuple(config.getViews(name)) for name in config.getDisplays()})


def default_look() -> Look:
    """Return the config's own display and view.

    Raises
    ------
    InputError
        As `displays`.
    """
    config = _config()
    display = config.getDefaultDisplay()
    return Look(display, config.getDefaultView(display))


class Display:
    """Converts pixels; may be used from several threads.

    Parameters
    ----------
    space : str
        The pixels' space, as `semblance.colour.resolve_space` names it.
    look : Look

    Raises
    ------
    InputError
        As `displays`.
    KnobError
        The config knows no such display, view or space, or the look holds no such channel or
        gamma.
    """

    def __init__(self, space: str, look: Look) -> None:
        if look.channel not in CHANNELS or not look.gamma > 0.0:
            raise KnobError(
                f"a look of channel {look.channel!r} and gamma {look.gamma:g} does not exist",
                f"Choose a channel of {', '.join(CHANNELS)}, and a gamma above 0.",
            )
        self.space = space
        self.look = look
        self._views = None if look.channel == "a" else _views(space, look)

    def show(self, pixels: Pixels) -> Shown:
        """Return pixels as a display takes them.

        Parameters
        ----------
        pixels : (h, w, 4) float32 array
            Red, green, blue, alpha in the plate's space, any range. Pixels that are not a number
            are shown in magenta, infinite ones like a half's limit.

        Returns
        -------
        (h, w, 4) uint8 array
            Red, green, blue and 255.
        """
        return np.asarray(cv2.cvtColor(self.show_bgr(pixels), cv2.COLOR_BGRA2RGBA), np.uint8)

    def show_bgr(self, pixels: Pixels) -> Shown:
        """Return the same as blue, green, red, 255: a `QImage` of 32 bits as it lies in memory."""
        pixels = np.ascontiguousarray(pixels, np.float32)
        if pixels.size == 0:
            return np.zeros(pixels.shape, np.uint8)
        low, high = float(pixels.min()), float(pixels.max())
        if low >= -_LARGEST and high <= _LARGEST:
            return self._shown(pixels)
        shown_ones = pixels[..., 3:] if self.look.channel == "a" else pixels[..., :3]
        lost = np.isnan(shown_ones).any(axis=2)
        held = np.nan_to_num(pixels, nan=0.0, posinf=_LARGEST, neginf=-_LARGEST)
        shown = self._shown(np.clip(held, -_LARGEST, _LARGEST))
        shown[lost, :3] = NOT_A_NUMBER[::-1]
        return shown

    def grey(self, values: Pixels) -> Shown:
        """Return numbers that are no light, such as a matte or a difference, without the view.

        Parameters
        ----------
        values : (h, w) or (h, w, 3) float32 array
            0 is black and 1 white, after the look's exposure and gamma.

        Returns
        -------
        (h, w, 4) uint8 array
            Blue, green, red, 255; (h, w, 3) values are blue, green, red too.
        """
        scaled = np.multiply(values, np.float32(2.0**self.look.exposure))
        held = np.clip(np.nan_to_num(scaled, copy=False, nan=0.0), 0.0, 1.0)
        if self.look.gamma != 1.0:
            held = np.asarray(cv2.pow(held, 1.0 / self.look.gamma), np.float32)
        codes = np.asarray(cv2.convertScaleAbs(held, alpha=255.0), np.uint8)
        kind = cv2.COLOR_GRAY2BGRA if codes.ndim == 2 else cv2.COLOR_BGR2BGRA
        return np.asarray(cv2.cvtColor(codes, kind), np.uint8)

    def _shown(self, pixels: Pixels) -> Shown:
        if self._views is None:
            return self.grey(pixels[..., 3])
        views = self._views
        if views.quick is None or views.doubtful is None:
            return _applied(views.exact, pixels)
        shown = _applied(views.quick, pixels)
        where = _applied(views.doubtful, pixels)[..., 0] == 255
        if where.any():
            shown[where] = _applied(views.exact, pixels[where][np.newaxis])[0]
        return shown


Part = tuple[float, float, float]

_building = Lock()
"""Several threads that need the same lattice wait for one of them to make it."""


@dataclass(frozen=True)
class _Views:
    """What converts pixels, all to 8-bit blue, green, red.

    Parameters
    ----------
    exact : CPUProcessor
        The view itself.
    quick, doubtful : CPUProcessor or None
        For a slow view: its lattice, and what says 255 in red where that is not near enough.
    """

    exact: ocio.CPUProcessor
    quick: ocio.CPUProcessor | None = None
    doubtful: ocio.CPUProcessor | None = None


def _views(space: str, look: Look) -> _Views:
    with _building:
        return _made(_config_name(), space, look)


@lru_cache(maxsize=16)
def _made(named: str, space: str, look: Look) -> _Views:
    config = _opened(named)
    there = config.getColorSpace(space)
    try:
        if there is not None and there.isData():
            linear, view = ocio.GroupTransform(), _view(config, space, look)
        else:
            linear, view = _to_linear(config, space), _view(config, _linear(config, space), look)
        linear.appendTransform(_exposed(config, look))
        exact = _chain(linear, view, _raised(look.gamma), _swapped())
        if not _is_slow(view):
            return _Views(_processor(config, exact, lossless=look.gamma != 1.0))
        source = _linear(config, space)
        lattice, doubt = _lattice(named, source, look.display, look.view, look.gamma)
        return _Views(
            _processor(config, exact, lossless=True),
            _processor(config, _chain(linear, _shaper(), lattice, _swapped())),
            _processor(config, _chain(linear, _shaper(), doubt)),
        )
    except ocio.Exception as error:
        raise KnobError(
            f"{space} can't be shown on {look.display!r} by {look.view!r}: {error}",
            "Choose another display or view.",
        ) from error


@lru_cache(maxsize=8)
def _lattice(
    named: str, linear: str, display: str, view: str, gamma: float
) -> tuple[ocio.Lut3DTransform, ocio.Lut3DTransform]:
    """Return a view as a lattice, and one that is 1 in the cells that are not near enough."""
    codes, probed = _sampled(named, linear, display, view)
    points = np.clip(codes, 0.0, 1.0) ** np.float32(1.0 / gamma)
    wrong = np.zeros((_POINTS - 1,) * 3, bool)
    for part, expected in zip(_PROBES, probed, strict=True):
        found = _between(points, part)
        raised = np.clip(expected, 0.0, 1.0) ** np.float32(1.0 / gamma)
        wrong |= np.abs(found - raised).max(axis=3) > _TOLERANCE / 255.0
    # What lies beyond the lattice is held at its sides, and has to be looked at too.
    wrong[[0, -1]] = wrong[:, [0, -1]] = wrong[:, :, [0, -1]] = True
    doubt = np.zeros(points.shape, np.float32)
    for corner in np.ndindex(2, 2, 2):
        at = tuple(slice(each, each + _POINTS - 1) for each in corner)
        doubt[at] = np.maximum(doubt[at], wrong[..., np.newaxis])
    return _lut(points), _lut(doubt)


@lru_cache(maxsize=4)
def _sampled(named: str, linear: str, display: str, view: str) -> tuple[Pixels, tuple[Pixels, ...]]:
    """Return a view's codes on the lattice, (n, n, n, 3), and at the probes of its cells."""
    processor = _opened(named).getProcessor(linear, display, view, ocio.TRANSFORM_DIR_FORWARD)
    through = processor.getOptimizedCPUProcessor(
        ocio.BIT_DEPTH_F32, ocio.BIT_DEPTH_F32, ocio.OPTIMIZATION_LOSSLESS
    )

    def at(part: Part, count: int) -> Pixels:
        axes = [_TOE * (2.0 ** ((np.arange(count) + p - _ZERO) * _STEP) - 1.0) for p in part]
        pixels = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).astype(np.float32)
        through.applyRGB(pixels.reshape(1, -1, 3))
        return pixels

    counts = (_POINTS, *(_POINTS - 1 for _ in _PROBES))
    with ThreadPoolExecutor() as threads:  # OCIO lets them run beside each other
        codes, *probed = threads.map(at, ((0.0, 0.0, 0.0), *_PROBES), counts)
    return codes, tuple(probed)


def _between(points: Pixels, part: Part) -> Pixels:
    """Interpolate a lattice at the same place of each cell, as OCIO does: in tetrahedra.

    Along the edges of a cube, from its lowest corner, the axes with the largest parts go first.
    """
    count = points.shape[0] - 1
    corner = [0, 0, 0]

    def value() -> Pixels:
        return points[tuple(slice(each, each + count) for each in corner)]

    order = sorted(range(3), key=lambda axis: -part[axis])
    weights = [part[axis] for axis in order] + [0.0]
    result = np.float32(1.0 - weights[0]) * value()
    for axis, weight, following in zip(order, weights, weights[1:], strict=False):
        corner[axis] = 1
        result += np.float32(weight - following) * value()
    return np.asarray(result, np.float32)


def _lut(points: Pixels) -> ocio.Lut3DTransform:
    lut = ocio.Lut3DTransform(points.shape[0])
    lut.setInterpolation(ocio.INTERP_TETRAHEDRAL)
    lut.setData(np.ascontiguousarray(points, np.float32).reshape(-1))
    return lut


def _shaper() -> ocio.LogAffineTransform:
    """Return light to 0..1 along the lattice."""
    shaper = ocio.LogAffineTransform()
    shaper.setBase(2.0)
    shaper.setLogSideSlopeValue([1.0 / (_STEP * (_POINTS - 1))] * 3)
    shaper.setLogSideOffsetValue([_ZERO / (_POINTS - 1)] * 3)
    shaper.setLinSideSlopeValue([1.0 / _TOE] * 3)
    shaper.setLinSideOffsetValue([1.0] * 3)
    return shaper


@lru_cache(maxsize=4)
def _opened(named: str) -> ocio.Config:
    try:
        config = ocio.Config.CreateFromFile(named)
    except (ocio.Exception, ocio.ExceptionMissingFile) as error:
        raise InputError(
            f"the OCIO config that $OCIO names ({named}) can't be used: {error}",
            "Point $OCIO to a valid config, or unset it for the built-in ACES config.",
        ) from error
    # Its cache takes two lattices for the same where their lowest and highest values are.
    config.setProcessorCacheFlags(ocio.PROCESSOR_CACHE_OFF)
    return config


def _config_name() -> str:
    return os.environ.get("OCIO") or _BUILT_IN


def _config() -> ocio.Config:
    return _opened(_config_name())


def _linear(config: ocio.Config, space: str) -> str:
    """Return the space in which exposure counts; the plate's own in a config that names none."""
    named = config.getRoleColorSpace(ocio.ROLE_SCENE_LINEAR)
    return str(named) if named else space


def _to_linear(config: ocio.Config, space: str) -> ocio.GroupTransform:
    linear = _linear(config, space)
    if config.getColorSpace(space) is not None:
        return config.getProcessor(space, linear).createGroupTransform()
    built_in = _opened(_BUILT_IN)
    processor = ocio.Config.GetProcessorFromConfigs(built_in, space, config, linear)
    return processor.createGroupTransform()


def _view(config: ocio.Config, space: str, look: Look) -> ocio.GroupTransform:
    processor = config.getProcessor(space, look.display, look.view, ocio.TRANSFORM_DIR_FORWARD)
    return processor.createGroupTransform()


def _is_slow(view: ocio.GroupTransform) -> bool:
    return any(isinstance(each, ocio.FixedFunctionTransform) for each in view)


def _exposed(config: ocio.Config, look: Look) -> ocio.MatrixTransform:
    """Return the exposure, the choice of a channel, and an alpha that is 1."""
    gain = 2.0**look.exposure
    weights = config.getDefaultLumaCoefs()
    rows = {
        "rgb": ((1, 0, 0), (0, 1, 0), (0, 0, 1)),
        "r": ((1, 0, 0),) * 3,
        "g": ((0, 1, 0),) * 3,
        "b": ((0, 0, 1),) * 3,
        "luma": (tuple(weights),) * 3,
    }[look.channel]
    matrix = [gain * value for row in rows for value in (*row, 0.0)] + [0.0] * 4
    return ocio.MatrixTransform(matrix, [0.0, 0.0, 0.0, 1.0])


def _swapped() -> ocio.MatrixTransform:
    return ocio.MatrixTransform([0, 0, 1, 0, 0, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0, 1], [0.0] * 4)


def _raised(gamma: float) -> ocio.GroupTransform:
    group = ocio.GroupTransform()
    if gamma != 1.0:
        power = ocio.ExponentTransform([1.0 / gamma] * 3 + [1.0])
        power.setNegativeStyle(ocio.NEGATIVE_CLAMP)
        group.appendTransform(power)
    return group


def _chain(*transforms: ocio.Transform) -> ocio.GroupTransform:
    group = ocio.GroupTransform()
    for each in transforms:
        group.appendTransform(each)
    return group


def _processor(
    config: ocio.Config, group: ocio.GroupTransform, *, lossless: bool = False
) -> ocio.CPUProcessor:
    # OCIO's quick powers and logarithms are within a code, until a gamma lifts the dark.
    return config.getProcessor(group).getOptimizedCPUProcessor(
        ocio.BIT_DEPTH_F32,
        ocio.BIT_DEPTH_UINT8,
        ocio.OPTIMIZATION_LOSSLESS if lossless else ocio.OPTIMIZATION_DEFAULT,
    )


def _applied(processor: ocio.CPUProcessor, pixels: Pixels) -> Shown:
    """Convert (h, w, 4) float32 to uint8."""
    height, width = pixels.shape[:2]
    pixels = np.ascontiguousarray(pixels)
    shown = np.empty(pixels.shape, np.uint8)
    source = ocio.PackedImageDesc(pixels, width, height, 4)
    target = ocio.PackedImageDesc(shown, width, height, 4, ocio.BIT_DEPTH_UINT8, 1, 4, 4 * width)
    processor.apply(source, target)
    return shown
