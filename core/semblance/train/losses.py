"""What a picture is worth: structure, luma, chroma, edges, features, matte.

All terms are per sample (n,), averaged over the pixels of a mask, in the working encoding.

References
----------
DSSIM: Wang, Bovik, Sheikh, Simoncelli, "Image quality assessment: from error visibility to
structural similarity", IEEE TIP 13(4), 2004, equation (13), here with a flat window.
"""

from __future__ import annotations

from typing import Final

import torch
from torch import Tensor
from torch.nn import functional

from semblance.train.data import LUMA, Batch

__all__ = ["TERMS", "WEIGHTS", "picture_losses", "structure", "total"]

WEIGHTS: Final = {
    "structure": 5.0,
    "luma": 4.0,
    "chroma": 4.0,
    "edge": 2.0,
    "features": 3.0,
    "matte": 2.0,
    "background": 0.2,
}
TERMS: Final = tuple(WEIGHTS)

WINDOW: Final = 7
K1: Final = 0.01**2
K2: Final = 0.03**2
TINY: Final = 1e-3


def total(losses: dict[str, Tensor]) -> Tensor:
    """Weighted sum of `picture_losses`, (n,)."""
    return torch.stack([WEIGHTS[name] * losses[name] for name in TERMS]).sum(dim=0)


def picture_losses(made: Tensor, batch: Batch) -> dict[str, Tensor]:
    """Every term for pictures (n, 4, R, R) of RGB and matte, each (n,).

    Chroma is compared only where `batch.colour` is 1; everything else sees luma alone.
    """
    face, wide, features = (batch.masks[:, i : i + 1] for i in range(3))
    rgb, matte = made[:, :3], made[:, 3:]
    luma, true_luma = _luma(rgb), _luma(batch.target)
    error = (luma - true_luma).abs()
    chroma = ((rgb - luma) - (batch.target - true_luma)).abs().mean(dim=1, keepdim=True)
    fine = structure(luma, true_luma, wide)
    half = [functional.avg_pool2d(x, 2) for x in (luma, true_luma, wide)]
    return {
        "structure": 0.5 * (fine + structure(*half)),
        "luma": _mean(error, wide),
        "chroma": batch.colour * _mean(chroma, wide),
        "edge": _edge(luma, true_luma, wide),
        "features": _mean(error, features),
        "matte": (matte - face).square().mean(dim=(1, 2, 3)),
        "background": _mean(error, 1.0 - wide) + batch.colour * _mean(chroma, 1.0 - wide),
    }


def structure(a: Tensor, b: Tensor, mask: Tensor) -> Tensor:
    """(1 - SSIM) / 2 of single-channel pictures (n, 1, h, w) in a mask, (n,)."""
    mean_a, mean_b = _window(a), _window(b)
    square_a, square_b, product = _window(a * a), _window(b * b), _window(a * b)
    both = mean_a * mean_b
    squares = mean_a.square() + mean_b.square()
    variance = (square_a + square_b - squares).clamp_min(0.0)
    likeness = (2.0 * both + K1) * (2.0 * (product - both) + K2)
    likeness = likeness / ((squares + K1) * (variance + K2))
    edge = WINDOW // 2
    inner = mask[:, :, edge:-edge, edge:-edge]
    return _mean(0.5 * (1.0 - likeness), inner)


def _window(x: Tensor) -> Tensor:
    """Mean over every whole window: (n, 1, h, w) to (n, 1, h - 6, w - 6)."""
    down, across = (_band(size, x.device) for size in x.shape[2:])
    return down @ x @ across.T


def _band(size: int, device: torch.device) -> Tensor:
    """Matrix (size - 6, size) of a sliding mean; two products beat a pooling on any device."""
    place = torch.arange(size, device=device)
    offset = place - place[: size - WINDOW + 1, None]
    return ((offset >= 0) & (offset < WINDOW)).float() / WINDOW


def _luma(rgb: Tensor) -> Tensor:
    weights = torch.tensor(LUMA, device=rgb.device, dtype=rgb.dtype).view(1, 3, 1, 1)
    return (rgb * weights).sum(dim=1, keepdim=True)


def _mean(x: Tensor, mask: Tensor) -> Tensor:
    """Mean over the mask; 0 where the mask is empty."""
    area = mask.sum(dim=(1, 2, 3))
    return (x * mask).sum(dim=(1, 2, 3)) / (area + TINY)


def _edge(a: Tensor, b: Tensor, mask: Tensor) -> Tensor:
    difference = a - b
    across = (difference[:, :, :, 1:] - difference[:, :, :, :-1]).abs()
    down = (difference[:, :, 1:] - difference[:, :, :-1]).abs()
    return _mean(across, mask[:, :, :, 1:]) + _mean(down, mask[:, :, 1:])
