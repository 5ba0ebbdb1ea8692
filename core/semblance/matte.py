"""The matte: where the plate is replaced, from landmarks, network, occluders and the artist's roto.

All of it happens in the canonical square, where a face has one size, so a knob in percent of the
face's width means the same on a proxy as on the full plate. `canonical_matte` makes the matte
there; the pipeline lays it over the plate; `with_roto` meets the artist's matte there.
"""

from __future__ import annotations

import math

import cv2
import numpy as np
from numpy.typing import NDArray

from semblance.face import Crop, Inference, Matte, Roto
from semblance.knobs import MatteKnobs
from semblance.plate import Window

__all__ = [
    "FACE_WIDTH",
    "canonical_matte",
    "face_weights",
    "hull_mask",
    "region_masks",
    "roto_adds",
    "window_of",
    "with_roto",
    "working_size",
]

Image = NDArray[np.float32]
Landmarks = NDArray[np.float64]

FACE_WIDTH = 0.8
"""Width of a face, ear to ear, in canonical units (14.7 cm of 18.5)."""

_SIZE = 256
"""Side at which a matte is made, at most; it is soft, and what must be sharp is held out later."""

_FOOT = np.float32(1.0 / 256.0)
"""Of a matte, what is nothing: its foot is lowered by so much, without a step."""

_DISC = 8
"""Pixels that are grown at once."""

_SUBPIXEL = 4
"""Fractional bits of a drawn outline: it moves by sixteenths of a pixel, not by whole ones."""


def canonical_matte(
    crop: Crop, inference: Inference, hull: Image, held_out: Image | None, knobs: MatteKnobs
) -> Image:
    """Return the matte of a crop.

    Parameters
    ----------
    crop : Crop
        Gives the landmarks.
    inference : Inference
        Gives the learned matte.
    hull : (m, m) float32 array
        The mask of the inner face (`hull_mask`), at `working_size`.
    held_out : (n, n) float32 array or None
        0..1, what passes in front of the face (`occluder.held_out`).
    knobs : MatteKnobs
        Source, regions, grow, feather, gamma.

    Returns
    -------
    (m, m) or (n, n) float32 array
        0..1; 0 on the border of the square, so that no matte ends at an edge of the crop. Of the
        crop's size where something is held out: that has sharp edges.
    """
    size = hull.shape[0]
    width = FACE_WIDTH * size / 100.0  # pixels for one percent of the face's width
    matte = hull
    if knobs.mask_source == "learned":
        matte = _resized(inference.matte, size)
    elif knobs.mask_source == "learned_hull":
        matte = np.minimum(hull, _resized(inference.matte, size))
    enabled = _enabled(crop.landmarks, size, knobs)
    if enabled is not None:
        matte = matte * enabled
    matte = _grow(matte, knobs.mask_grow * width)
    if knobs.mask_feather > 0.0:
        matte = _blur(matte, 0.5 * knobs.mask_feather * width)
    if knobs.mask_gamma != 1.0:
        matte = np.power(matte, np.float32(1.0 / knobs.mask_gamma))
    # A blur's far tail is not seen, and costs its area.
    footed = (matte * _border(size) - _FOOT) * np.float32(1.0 / (1.0 - _FOOT))
    return _held(np.clip(footed, 0.0, 1.0), held_out)


def face_weights(inference: Inference, hull: Image, held_out: Image | None) -> Image:
    """Return where a crop shows the face itself: what light and colour are measured by.

    It knows no knob but the occlusion's: which part of a face an artist replaces, and how softly,
    must not change the colour of that part.

    Parameters
    ----------
    inference, hull, held_out
        As `canonical_matte` takes them.

    Returns
    -------
    (n, n) float32 array
        0..1.
    """
    face = np.minimum(hull, _resized(inference.matte, hull.shape[0]))
    return _held(_resized(face, inference.matte.shape[0]), held_out)


def working_size(crop: Crop) -> int:
    """Return the side at which a crop's matte is made: its hardest edge is two pixels wide."""
    return min(int(crop.pixels.shape[0]), _SIZE)


def hull_mask(landmarks: Landmarks, size: int) -> Image:
    """Return the soft mask of the inner face from its landmarks.

    The outline is the jaw, drawn in toward the face at the temples and less so at the chin, closed
    over the brows: the part of a head that makes the likeness, short of the silhouette, the ears
    and the hair, which stay the performer's.

    Parameters
    ----------
    landmarks : (68, 2) array
        Canonical units.
    size : int
        Side of the mask in pixels.

    Returns
    -------
    (size, size) float32 array
        0..1.
    """
    centre = landmarks[27:36].mean(axis=0)
    across, up = _axes(landmarks)
    height = float((landmarks[17:27].mean(axis=0) - landmarks[30]) @ up)
    # The jaw's points lie near the silhouette of a frontal head: drawn in, the more the higher they
    # are. On the far side of a turned head the inner face itself reaches the silhouette.
    reach = np.abs((landmarks[[2, 14]] - centre) @ across)
    near = np.clip(1.5 * reach / max(reach.max(), 1e-9) - 0.5, -0.3, 1.0)
    steps = np.arange(2, 15) - 8
    rise = np.abs(steps) / 6.0 * np.where(steps < 0, near[0], near[1])
    sides = centre + (0.99 - 0.22 * rise)[:, None] * (landmarks[2:15] - centre)
    brows = landmarks[17:27] + 0.22 * height * up
    outward = (brows - brows.mean(axis=0)) @ across
    brows = brows - 0.28 * outward[:, None] * across
    outline = _rounded(np.concatenate([sides, brows]))
    return _blur(_fill(outline, size), 0.023 * size)


def region_masks(landmarks: Landmarks, size: int) -> dict[str, Image]:
    """Return soft masks of the regions that the knobs name; together they are 1 everywhere.

    Parameters
    ----------
    landmarks : (68, 2) array
        Canonical units.
    size : int
        Side in pixels.

    Returns
    -------
    dict of str to (size, size) float32 array
        ``brows``, ``eyes``, ``nose``, ``mouth``, ``jaw``, ``forehead`` and ``cheeks``, the rest.
    """
    _, up = _axes(landmarks)
    height = float((landmarks[17:27].mean(axis=0) - landmarks[30]) @ up)

    def around(points: slice, growth: float) -> Image:
        outline = landmarks[points]
        middle = outline.mean(axis=0)
        # A shut eye or a straight brow has no height of its own.
        tall = middle + growth * (outline - middle)
        return _fill(np.concatenate([tall + 0.022 * up, tall - 0.022 * up]), size)

    brows = np.concatenate([landmarks[17:22], landmarks[22:27]])
    chin = np.concatenate([landmarks[3:14], landmarks[54:60], landmarks[48:49]])
    shapes = {
        "eyes": np.maximum(around(slice(36, 42), 1.35), around(slice(42, 48), 1.35)),
        "brows": np.maximum(around(slice(17, 22), 1.1), around(slice(22, 27), 1.1)),
        "nose": _fill(_widened(landmarks[27:36], 1.3), size),
        "mouth": around(slice(48, 60), 1.2),
        "jaw": _fill(np.concatenate([chin, landmarks[3:14] - 0.5 * height * up]), size),
        "forehead": _fill(np.concatenate([brows, brows + 2.5 * height * up]), size),
    }
    masks: dict[str, Image] = {}
    left = np.ones((size, size), np.float32)
    for name, shape in shapes.items():
        masks[name] = left * _blur(shape, 0.012 * size)
        left = left - masks[name]
    masks["cheeks"] = left
    return masks


def roto_adds(knobs: MatteKnobs) -> bool:
    """Return whether a roto may put a matte where the landmarks and the network have none."""
    return knobs.mask_source == "roto" or knobs.roto_mode != "multiply"


def with_roto(matte: Matte, roto: Roto | None, knobs: MatteKnobs) -> Matte:
    """Return the matte with the artist's roto multiplied in, added, or in its place.

    Parameters
    ----------
    matte : Matte
        Over the plate's window of the face.
    roto : Roto or None
        Pixels that the roto does not cover count as 0; without a roto the matte stays as it is,
        but for source ``roto``, which then replaces nothing.
    knobs : MatteKnobs
        Source and roto mode.
    """
    alone = knobs.mask_source == "roto"
    if roto is None:
        return Matte(np.zeros_like(matte.pixels), matte.window) if alone else matte
    drawn = np.zeros_like(matte.pixels)
    shared = matte.window.intersection(roto.window)
    if not shared.empty:
        drawn[shared.slices(matte.window)] = roto.pixels[shared.slices(roto.window)]
    drawn = np.clip(drawn, 0.0, 1.0)
    if alone or knobs.roto_mode == "replace":
        return Matte(drawn, matte.window)
    if knobs.roto_mode == "add":
        return Matte(np.minimum(matte.pixels + drawn, np.float32(1.0)), matte.window)
    return Matte(matte.pixels * drawn, matte.window)


def _enabled(landmarks: Landmarks, size: int, knobs: MatteKnobs) -> Image | None:
    wanted = {
        "brows": knobs.mask_brows,
        "eyes": knobs.mask_eyes,
        "nose": knobs.mask_nose,
        "mouth": knobs.mask_mouth,
        "cheeks": knobs.mask_cheeks,
        "jaw": knobs.mask_jaw,
        "forehead": knobs.mask_forehead,
    }
    if all(wanted.values()):
        return None
    masks = region_masks(landmarks, size)
    enabled = np.zeros((size, size), np.float32)
    for name, on in wanted.items():
        enabled += masks[name] if on else 0.0
    return enabled


def _grow(matte: Image, pixels: float) -> Image:
    """Dilate (or erode below 0) by a fraction of a pixel as well, so that the knob has no steps."""
    whole = math.floor(abs(pixels))
    part = np.float32(abs(pixels) - whole)
    if pixels == 0.0:
        return matte
    apply = cv2.dilate if pixels > 0 else cv2.erode

    def grown(by: int) -> Image:
        grown = np.asarray(apply(matte, _disc(by % _DISC)) if by % _DISC else matte, np.float32)
        for _ in range(by // _DISC):  # one small disc after another: a large one takes its area
            grown = np.asarray(apply(grown, _disc(_DISC)), np.float32)
        return grown

    return np.asarray((1.0 - part) * grown(whole) + part * grown(whole + 1), np.float32)


def _held(matte: Image, held_out: Image | None) -> Image:
    """Take from a matte what is in front of the face."""
    if held_out is None:
        return matte
    return _resized(matte, held_out.shape[0]) * (1.0 - held_out)


def _resized(matte: Image, size: int) -> Image:
    if matte.shape[0] == size:
        return matte
    how = cv2.INTER_AREA if size < matte.shape[0] else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(matte, (size, size), interpolation=how), np.float32)


def _border(size: int) -> Image:
    """Return a mask of the square that falls to 0 at its border over 3 % of its side."""
    steps = np.arange(size, dtype=np.float32)
    ramp = np.clip(np.minimum(steps, steps[::-1]) / (0.03 * size), 0.0, 1.0)
    return np.outer(ramp, ramp).astype(np.float32)


def _axes(landmarks: Landmarks) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the face's unit axes in the image: across from its right eye to its left, and up."""
    eyes = landmarks[42:48].mean(axis=0) - landmarks[36:42].mean(axis=0)
    across = eyes / max(float(np.hypot(*eyes)), 1e-9)
    return across, np.array([across[1], -across[0]])


def _widened(outline: Landmarks, growth: float) -> Landmarks:
    middle = outline.mean(axis=0)
    return np.asarray(middle + growth * (outline - middle))


def _rounded(points: Landmarks) -> Landmarks:
    """Return the convex hull of points with its corners rounded: a matte's corner is a seen seam.

    The outline is a periodic curve; its Fourier coefficients fall off as a Gaussian of six turns
    (Zahn and Roskies, "Fourier descriptors for plane closed curves", IEEE Trans. Computers, 1972).
    """
    hull = cv2.convexHull(points.astype(np.float32))[:, 0].astype(np.float64)
    closed = np.concatenate([hull, hull[:1]])
    along = np.concatenate([[0.0], np.cumsum(np.hypot(*np.diff(closed, axis=0).T))])
    places = np.linspace(0.0, along[-1], 128, endpoint=False)
    curve = np.interp(places, along, closed[:, 0]) + 1j * np.interp(places, along, closed[:, 1])
    turns = np.fft.fftfreq(128, 1.0 / 128)
    smooth = np.fft.ifft(np.fft.fft(curve) * np.exp(-((turns / 6.0) ** 2)))
    return np.column_stack([smooth.real, smooth.imag])


def _fill(outline: Landmarks, size: int) -> Image:
    """Draw the convex hull of points in canonical units, antialiased."""
    scale = 2 * size
    points = cv2.convexHull((outline * scale - 0.5).astype(np.float32))[:, 0]
    drawn = np.zeros((scale, scale), np.uint8)
    fixed = np.round(points * 2**_SUBPIXEL).astype(np.int32)
    cv2.fillConvexPoly(drawn, fixed, 255, cv2.LINE_AA, _SUBPIXEL)
    # 8 bits hold the coverage of an edge alone here; it is blurred in float before it is a matte.
    small = cv2.resize(drawn.astype(np.float32) / 255.0, (size, size), interpolation=cv2.INTER_AREA)
    return np.asarray(small, np.float32)


def _blur(image: Image, sigma: float) -> Image:
    blurred = cv2.GaussianBlur(image, (0, 0), max(sigma, 0.25), borderType=cv2.BORDER_REPLICATE)
    return np.asarray(blurred, np.float32)


def _disc(radius: float) -> NDArray[np.uint8]:
    side = 2 * max(round(radius), 1) + 1
    return np.asarray(cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (side, side)), np.uint8)


def window_of(matte: Matte) -> Window:
    """Return the smallest window that holds every pixel of the matte above 0 (may be empty)."""
    x, y, width, height = cv2.boundingRect((matte.pixels > 0.0).view(np.uint8))
    x, y = x + matte.window.x0, y + matte.window.y0
    return Window(x, y, x + width, y + height)
