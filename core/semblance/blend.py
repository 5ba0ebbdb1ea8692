"""The blend: the new face takes the plate's light, colour, sharpness and grain, and is laid in.

`match` works in the canonical square, in the working encoding, and returns the face as a *change*
of the plate's own crop. `lay_in` carries that change to the plate's resolution, so where there is
nothing to change the plate's own pixels come through untouched, and no resampling ever shows.
`composite` puts the face into the plate, scene-linear.

References
----------
Multi-band: Burt and Adelson, "A multiresolution spline with application to image mosaics",
ACM TOG 2(4), 1983. Gradient domain: Pérez, Gangnet and Blake, "Poisson image editing", SIGGRAPH
2003, as a membrane over the boundary's difference (Farbman et al., "Coordinates for instant image
cloning", SIGGRAPH 2009, section 3). Linear colour transfer: Pitié and Kokaram, "The linear
Monge-Kantorovitch linear colour mapping for example-based colour transfer", CVMP 2007, section 3.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from semblance.face import Crop, Inference, Matte, Patch
from semblance.knobs import BlendKnobs

__all__ = ["composite", "grain", "lay_in", "match"]

Image = NDArray[np.float32]

_LIGHT_SIGMA = 1.0 / 36.0
"""Scale of the light match, in canonical units. Coarser leaves the plate's shadows out,
finer brings the performer's own features back; on shots with exact truth the optimum is flat."""

_HIGHLIGHT = 0.25
"""How far beyond display white, in working codes, a pixel is still the face's: a blown-out
highlight holds no face to replace, and must come back as bright as it was."""

_GRAIN_CEILING = 3.0
"""What differs from its surroundings by more deviations than this is a feature, and not grain."""


def match(
    crop: Crop, inference: Inference, matte: Image, strength: float, knobs: BlendKnobs
) -> Image:
    """Return the change that the new face makes to the plate's crop.

    The network's picture of the performer, `own`, tells what it got wrong about this very plate.
    Low-passed, that error is light, and goes onto the new face as well; matching the new face to
    the plate itself would take the likeness's complexion away. The fine rest of the error, times
    1 − strength, makes strength 0 the plate itself.

    Parameters
    ----------
    crop : Crop
        The plate, working encoding, in 0..1.
    inference : Inference
        The new face and the performer's.
    matte : (n, n) float32 array
        Where light and colour are measured.
    strength : float
        Identity strength, 0..1.
    knobs : BlendKnobs
        Light, colour and detail match.

    Returns
    -------
    (n, n, 3) float32 array
        Working encoding, to be added to the plate's crop; 0 at strength 0.
    """
    size = crop.pixels.shape[0]
    error = crop.pixels - inference.own
    light = _masked_blur(error, matte, _LIGHT_SIGMA * size)
    face = inference.rgb + knobs.light_match * light
    face = _match_colour(face, crop.pixels, matte, knobs)
    face = _match_detail(face, crop.pixels, matte, strength * knobs.detail_match)
    rest = error - knobs.light_match * light
    return np.asarray(face + (1.0 - strength) * rest - crop.pixels, np.float32)


def lay_in(plate: Image, change: Image, seen: Image, strength: float, knobs: BlendKnobs) -> Image:
    """Return the new face at the plate's resolution.

    Parameters
    ----------
    plate : (h, w, 3) float32 array
        The plate over the face's window, working encoding.
    change : (h, w, 3) float32 array
        `match`'s result over the same window.
    seen : (h, w, 3) float32 array
        The plate in 0..1 as the crop's resolution shows it, over the same window.
    strength : float
        Identity strength. What the crop can't show is the performer's finest detail, and leaves
        with the identity; the grain in it is the camera's, and stays.
    knobs : BlendKnobs
        Grain match.

    Returns
    -------
    (h, w, 3) float32 array
        Working encoding; at strength 0 the plate itself, to the last bit.
    """
    fine = np.clip(plate, 0.0, 1.0) - seen
    kept = knobs.grain_match * grain(fine) if knobs.grain_match > 0.0 else np.zeros_like(fine)
    beyond = np.maximum(plate.max(axis=2, keepdims=True) - 1.0, 0.0)
    weight = np.exp(-beyond / _HIGHLIGHT)
    return np.asarray(plate + weight * (change - strength * (fine - kept)), np.float32)


def grain(fine: Image) -> Image:
    """Return the grain in a plate's finest detail.

    Grain has one deviation over an area; a feature stands out of it. Each pixel is weighed by how
    much of its neighbourhood's energy the grain accounts for (Wiener), and held to a few of them.

    Parameters
    ----------
    fine : (h, w, 3) float32 array
        Detail beyond the crop's resolution, working encoding.

    Returns
    -------
    (h, w, 3) float32 array
    """
    energy = cv2.GaussianBlur(fine * fine, (0, 0), 2.0)
    # The quieter half of a face is skin: its median energy is the grain's.
    noise = np.median(energy[::2, ::2].reshape(-1, 3), axis=0).astype(np.float32) + 1e-12
    weight = np.minimum(1.0, 1.5 * noise / (energy + 1e-12))
    limit = _GRAIN_CEILING * np.sqrt(noise)
    return np.asarray(np.clip(weight * fine, -limit, limit), np.float32)


def composite(
    plate: Image, patch: Patch, matte: Matte, knobs: BlendKnobs
) -> tuple[Image, NDArray[np.bool_]]:
    """Return the finished pixels of a window, and which of them differ from the plate.

    Parameters
    ----------
    plate : (h, w, 3) float32 array
        The plate over the patch's window, scene-linear, not premultiplied, finite.
    patch : Patch
        The new face, scene-linear.
    matte : Matte
        Over the same window.
    knobs : BlendKnobs
        Mode and mix.

    Returns
    -------
    (h, w, 3) float32 array, (h, w) bool array
        Where the second is false the first is the plate.
    """
    alpha = (matte.pixels * np.float32(knobs.mix))[..., None]
    touched = alpha[..., 0] > 0.0
    if not touched.any():
        return plate, touched
    if knobs.blend_mode == "multiband":
        face = _multiband(plate, patch.pixels, matte.pixels)
        # The coarse bands reach past the matte; the matte's own foot takes them back to the plate.
        alpha = np.float32(knobs.mix) * np.clip(matte.pixels / 0.25, 0.0, 1.0)[..., None]
    elif knobs.blend_mode == "poisson":
        face = patch.pixels + _membrane(plate - patch.pixels, matte.pixels > 0.5)
    else:
        face = patch.pixels
    return np.asarray(plate + alpha * (face - plate), np.float32), touched


def _match_colour(face: Image, plate: Image, matte: Image, knobs: BlendKnobs) -> Image:
    """Bring the face's colours inside the matte to the plate's there, by the mode asked for."""
    inside = matte > 0.5
    if knobs.colour_match == "none" or knobs.colour_amount == 0.0 or inside.sum() < 16:
        return face
    source, target = face[inside].astype(np.float64), plate[inside].astype(np.float64)
    if knobs.colour_match == "mean":
        scale = target.std(axis=0) / np.maximum(source.std(axis=0), 1e-6)
        matched = (face - source.mean(axis=0)) * scale + target.mean(axis=0)
    elif knobs.colour_match == "linear":
        mapping = _optimal_transport(np.cov(source.T), np.cov(target.T))
        matched = (face - source.mean(axis=0)) @ mapping.T + target.mean(axis=0)
    else:
        quantiles = np.linspace(0.0, 1.0, 65)
        matched = np.stack(
            [
                _through(
                    face[..., i],
                    np.quantile(source[:, i], quantiles),
                    np.quantile(target[:, i], quantiles),
                )
                for i in range(3)
            ],
            axis=-1,
        )
    return np.asarray(face + knobs.colour_amount * (matched - face), np.float32)


def _through(values: Image, source: NDArray[np.float64], target: NDArray[np.float64]) -> Image:
    """Map values by a monotone curve; past its ends by a shift, so that nothing is clipped."""
    inside = np.interp(values, source + 1e-9 * np.arange(source.size), target)
    low = np.minimum(values - source[0], 0.0)
    high = np.maximum(values - source[-1], 0.0)
    return np.asarray(inside + low + high, np.float32)


def _optimal_transport(
    source: NDArray[np.float64], target: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return the linear map of one Gaussian onto another that moves colours least."""
    values, vectors = np.linalg.eigh(source)
    root = vectors * np.sqrt(np.maximum(values, 1e-10)) @ vectors.T
    inverse = vectors / np.sqrt(np.maximum(values, 1e-10)) @ vectors.T
    values, vectors = np.linalg.eigh(root @ target @ root)
    return np.asarray(inverse @ (vectors * np.sqrt(np.maximum(values, 0.0)) @ vectors.T) @ inverse)


def _match_detail(face: Image, plate: Image, matte: Image, amount: float) -> Image:
    """Raise or lower the face's fine band until it holds as much energy as the plate's."""
    inside = matte > 0.5
    if amount == 0.0 or inside.sum() < 16:
        return face
    band = face - _blur(face, 1.2)
    reference = plate - _blur(plate, 1.2)
    gain = np.sqrt((reference[inside] ** 2).mean() / max(float((band[inside] ** 2).mean()), 1e-12))
    return np.asarray(face + amount * (np.clip(gain, 0.5, 2.0) - 1.0) * band, np.float32)


def _masked_blur(image: Image, mask: Image, sigma: float) -> Image:
    """Blur what lies inside a mask alone: blur of the masked image over blur of the mask."""
    weight = _blur(mask, sigma)[..., None]
    blurred = _blur(image * mask[..., None], sigma) / np.maximum(weight, 1e-3)
    return np.asarray(blurred * np.minimum(weight / 1e-2, 1.0), np.float32)


def _multiband(plate: Image, face: Image, matte: Image) -> Image:
    """Blend two pictures band by band, each band over a transition of its own size."""
    levels = max(int(np.log2(min(matte.shape))) - 3, 1)
    blended: list[Image] = []
    a, b, m = plate, face, matte
    for _ in range(levels):
        below = [cv2.pyrDown(image) for image in (a, b, m)]
        size = (a.shape[1], a.shape[0])
        up_a, up_b = (cv2.pyrUp(image, dstsize=size) for image in below[:2])
        blended.append((a - up_a) + m[..., None] * ((b - up_b) - (a - up_a)))
        a, b, m = (np.asarray(image, np.float32) for image in below)
    result = a + m[..., None] * (b - a)
    for band in reversed(blended):
        result = cv2.pyrUp(result, dstsize=(band.shape[1], band.shape[0])) + band
    return np.asarray(result, np.float32)


def _membrane(difference: Image, inside: NDArray[np.bool_]) -> Image:
    """Spread a difference from outside a region smoothly over it: Laplace's equation inside.

    Solved from coarse to fine; a level starts from the one below and needs a few sweeps only.
    """
    known = (~inside).astype(np.float32)
    if min(inside.shape) > 8:
        half = (max(inside.shape[1] // 2, 1), max(inside.shape[0] // 2, 1))
        weight = cv2.resize(known, half, interpolation=cv2.INTER_AREA)
        coarse = cv2.resize(difference * known[..., None], half, interpolation=cv2.INTER_AREA)
        coarse = coarse / np.maximum(weight, 1e-6)[..., None]
        # A coarse pixel that is mostly outside is known.
        start = _membrane(np.asarray(coarse, np.float32), weight < 0.5)
        solution = cv2.resize(start, inside.shape[::-1], interpolation=cv2.INTER_LINEAR)
    else:
        mean = difference[~inside].mean(axis=0) if (~inside).any() else np.zeros(3, np.float32)
        solution = np.broadcast_to(mean, difference.shape).astype(np.float32)
    kernel = np.array([[0, 0.25, 0], [0.25, 0, 0.25], [0, 0.25, 0]], np.float32)
    keep = known[..., None]
    for _ in range(24):
        solution = keep * difference + (1.0 - keep) * cv2.filter2D(
            solution, -1, kernel, borderType=cv2.BORDER_REPLICATE
        )
    return np.asarray(solution, np.float32)


def _blur(image: Image, sigma: float) -> Image:
    return np.asarray(cv2.GaussianBlur(image, (0, 0), sigma), np.float32)
