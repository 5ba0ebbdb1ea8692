"""A plain z-buffer rasteriser in torch, on whatever device its tensors lie.

Triangles of about one size are drawn together: each looks at a square of pixels that holds its
bounds, and the nearest at a pixel wins by one scattered minimum over keys of depth and number.
"""

from __future__ import annotations

import torch
from torch import Tensor

SQUARES = (2, 4, 8, 16, 32, 64)
"""Sides of the squares in pixels; what is larger than the last is drawn in a square of the map."""

_NOTHING = torch.iinfo(torch.int64).max


def rasterise(xy: Tensor, depth: Tensor, triangles: Tensor, size: int, cull: bool = True) -> Tensor:
    """Return the nearest triangle at each pixel's centre.

    Parameters
    ----------
    xy : (v, 2) float32 tensor
        Pixels, y down, centres at +0.5.
    depth : (v,) float32 tensor
        Distance from the camera, positive.
    triangles : (t, 3) int64 tensor
        Front faces go round clockwise as seen in the picture's axes.
    size : int
        Side of the picture.
    cull : bool
        Leave out what is seen from behind.

    Returns
    -------
    (size, size) int64 tensor
        Numbers of triangles, -1 where there is none.
    """
    corners = xy[triangles]  # (t, 3, 2)
    area = _cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    low = (corners.amin(1) - 0.5).ceil().clamp(min=0).long()
    high = (corners.amax(1) - 0.5).floor().clamp(max=size - 1).long()
    extent = (high - low).amax(1) + 1
    drawn = (high >= low).all(1) & ((area < -1e-9) if cull else (area.abs() > 1e-9))
    keys = torch.full((size * size,), _NOTHING, dtype=torch.int64, device=xy.device)
    before = 0
    for side in (*SQUARES, size):
        chosen = torch.nonzero(drawn & (extent > before) & (extent <= side))[:, 0]
        for part in chosen.split(max(1, 2**21 // side**2)):
            _draw(keys, corners[part], depth[triangles[part]], low[part], part, side, size)
        before = side
    found = keys.view(size, size)
    return torch.where(found == _NOTHING, -1, found & 0xFFFFFFFF)


def _draw(
    keys: Tensor, corners: Tensor, depth: Tensor, low: Tensor, number: Tensor, side: int, size: int
) -> None:
    step = torch.arange(side, device=keys.device)
    x = low[:, 0, None, None] + step
    y = low[:, 1, None, None] + step[:, None]
    # Weights and depth are planes over the picture, counted from each triangle's own corner.
    away = corners - (low[:, None] + 0.5)
    a, b, c = away.unbind(1)
    whole = _cross(b - a, c - a)
    first = torch.stack([_cross(b, c), b[:, 1] - c[:, 1], c[:, 0] - b[:, 0]]) / whole
    second = torch.stack([_cross(c, a), c[:, 1] - a[:, 1], a[:, 0] - c[:, 0]]) / whole
    near, far = depth[:, 0] - depth[:, 2], depth[:, 1] - depth[:, 2]
    down = first * near + second * far
    down[0] += depth[:, 2]
    u, v, z = (
        torch.addcmul(plane[0, :, None, None] + plane[2, :, None, None] * step[:, None],
                      plane[1, :, None, None], step.to(plane.dtype))
        for plane in (first, second, down)
    )  # fmt: skip
    inside = (u >= 0.0) & (v >= 0.0) & (u + v <= 1.0) & (x < size) & (y < size)
    key = (z[inside].clamp(min=1e-6).view(torch.int32).long() << 32) | (
        number[:, None, None].expand_as(u)[inside]
    )
    keys.scatter_reduce_(0, (y * size + x)[inside], key, "amin")


def interpolate(found: Tensor, xy: Tensor, triangles: Tensor, attributes: Tensor) -> Tensor:
    """Return the vertices' attributes (v, c) at each pixel (h, w, c); 0 where nothing is drawn."""
    corners = triangles[found.clamp(min=0)]  # (h, w, 3)
    rows, columns = found.shape
    x = torch.arange(columns, device=xy.device)[None, :] + 0.5
    y = torch.arange(rows, device=xy.device)[:, None] + 0.5
    weights = _weights(xy[corners], x, y)
    values = (attributes[corners] * weights[..., None]).sum(-2)
    return values * (found >= 0)[..., None]


def _weights(corners: Tensor, x: Tensor, y: Tensor) -> Tensor:
    """Barycentric weights (..., 3) of places in triangles (..., 3, 2)."""
    a, b, c = corners.unbind(-2)
    place = torch.stack(torch.broadcast_tensors(x, y), -1)
    whole = _cross(b - a, c - a)
    whole = torch.where(whole.abs() < 1e-12, torch.ones_like(whole), whole)
    u = _cross(b - place, c - place) / whole
    v = _cross(c - place, a - place) / whole
    return torch.stack([u, v, 1.0 - u - v], -1)


def _cross(a: Tensor, b: Tensor) -> Tensor:
    return a[..., 0] * b[..., 1] - a[..., 1] * b[..., 0]
