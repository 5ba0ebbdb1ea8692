"""The batches that training learns from, made of faces that lie in memory or in the cache.

Every step draws its faces, places, warps, lights and spoils them in torch from a generator seeded
by (seed, step), so that a step's batch depends on nothing that came before it but the faces'
weights. A batch is drawn as a whole, and several processes make a part of it each.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from semblance.train.config import TrainConfig
from semblance.train.faces import Faces

__all__ = ["LUMA", "Batch", "Sampler"]

Rows: TypeAlias = NDArray[np.int64]

LUMA: Final = (0.2126, 0.7152, 0.0722)

# Placement of input and target alike.
ROTATION: Final = np.deg2rad(8.0)
SCALE: Final = 0.05
SHIFT: Final = 0.04

# Warp of the input: grids of these many cells, nodes moved by this share of a cell.
CELLS: Final = (2, 4, 8)
NODE: Final = 0.24

# Light on input and target alike; sRGB-like code values move by about 2^(stops / 2.2).
EXPOSURE: Final = 0.25
CHANNEL: Final = 0.03
FIELD: Final = 0.5
STOP: Final = float(np.log(2.0) / 2.2)

# Archive-like spoiling of inputs only; lengths in pixels of a 128-pixel picture.
BLUR: Final = 1.2
GRAIN: Final = 0.06
BACKGROUND: Final = 0.35


@dataclass(frozen=True)
class Batch:
    """What one step learns from, or a part of it: faces of the performer, then of the likeness.

    Parameters
    ----------
    image : Tensor
        (2b, 3, R, R) float32: the warped and spoiled inputs, 0..1.
    target : Tensor
        (2b, 3, R, R) float32: the pictures to make, 0..1.
    masks : Tensor
        (2b, 3, R, R) float32: of the target: face, face widened, eyes and mouth.
    colour : Tensor
        (2b,) float32: how far the target's colour may be learned from, 0..1.
    strength : Tensor
        (2b,) float32: 0 for the performer, 1 for the likeness.
    """

    image: Tensor
    target: Tensor
    masks: Tensor
    colour: Tensor
    strength: Tensor

    def __len__(self) -> int:
        return len(self.image)

    def part(self, rows: Tensor) -> Batch:
        """Return some of it, by rows."""
        return Batch(
            self.image[rows],
            self.target[rows],
            self.masks[rows],
            self.colour[rows],
            self.strength[rows],
        )


class Sampler:
    """Makes the batch of any step from (seed, step) and the faces' weights alone.

    Attributes
    ----------
    weights : list of (n,) float64 array
        How often each face of performer and likeness is drawn; sum to 1 each.
    """

    def __init__(
        self, performer: Faces, likeness: Faces, config: TrainConfig, device: torch.device
    ) -> None:
        self._people = (performer, likeness)
        self._config = config
        self._device = device
        self.weights = [performer.weights, likeness.weights]

    def drawn(self, step: int) -> tuple[Rows, Rows]:
        """Return which faces of performer and likeness a step draws."""
        return self._draw(step)[1]

    def _draw(self, step: int) -> tuple[np.random.Generator, tuple[Rows, Rows], torch.Generator]:
        config = self._config
        rng = np.random.default_rng((config.seed, int(step < 0), abs(step)))
        noise = torch.Generator(device=self._device)
        noise.manual_seed(int(rng.integers(2**62)))
        pairs = zip(self._people, self.weights, strict=True)
        performer, likeness = (rng.choice(len(who), config.batch, p=p) for who, p in pairs)
        return rng, (performer, likeness), noise

    def batch(self, step: int, warp: float, rows: Sequence[int] | None = None) -> Batch:
        """Make the batch of a step, or a part of it.

        Parameters
        ----------
        step : int
            None below 0 is trained.
        warp : float
            Strength of the inputs' warp.
        rows : sequence of int, optional
            Which rows of the whole batch, those of the performer first and as many of the likeness.
            Part by part the same comes out as at once.
        """
        config, size = self._config, self._config.size
        rng, drawn, noise = self._draw(step)
        n = 2 * config.batch
        take = np.arange(n) if rows is None else np.asarray(rows)
        own = take[take < config.batch], take[take >= config.batch] - config.batch
        both = [
            (who, torch.from_numpy(of[mine]))
            for who, of, mine in zip(self._people, drawn, own, strict=True)
        ]
        pictures = torch.cat([self._rows(who.pictures, at) for who, at in both]).float()
        masks = torch.cat([self._rows(who.masks, at) for who, at in both]).float() / 255.0
        colour = torch.cat([self._rows(who.colour, at) for who, at in both])
        margin = self._people[0].margin
        place = self._to_device(_placements(rng, n)[take])
        source = torch.cat([pictures, masks], dim=1)
        plain = _grid(place, size, margin)
        bent = plain + _bend(rng, n, take, size, warp, margin).to(self._device)
        # One bicubic sample for the sharp target, one bilinear for the input and its face mask.
        target = _sample(pictures, plain, "bicubic")
        target_masks = _sample(masks, plain, "bilinear")
        warped = _sample(source[:, :4], bent, "bilinear")
        light = _light(rng, n, take, size, config.light).to(self._device)
        target = (target * light).clamp(0.0, 1.0)
        image = _spoil(rng, noise, n, take, warped[:, :3] * light, warped[:, 3:4], config)
        strength = self._to_device((take >= config.batch).astype(np.float32))
        return Batch(image.clamp(0.0, 1.0), target, target_masks, colour, strength)

    def _rows(self, of: Tensor, at: Tensor) -> Tensor:
        """Take rows from where the faces lie to where the work is done."""
        return of[at.to(of.device)].to(self._device, non_blocking=True)

    def still(self, identity: int, row: int) -> Tensor:
        """Return the unspoiled canonical picture of one face, (1, 3, R, R)."""
        who = self._people[identity]
        grid = _grid(self._to_device(_IDENTITY[None]), self._config.size, who.margin)
        picture = who.pictures[row : row + 1].to(self._device)
        return _sample(picture.float(), grid, "bicubic").clamp(0.0, 1.0)

    def spread(self, identity: int, place: int, places: int) -> int:
        """Return a face's row, the `place`-th of `places` spread evenly over the faceset."""
        return (2 * place + 1) * len(self._people[identity]) // (2 * places)

    def _to_device(self, array: NDArray[np.float32]) -> Tensor:
        return torch.from_numpy(array).to(self._device)


_IDENTITY: Final = np.array([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]], dtype=np.float32)


def _placements(rng: np.random.Generator, n: int) -> NDArray[np.float32]:
    """Random similarities (n, 2, 3) in units of half the canonical square's side."""
    angle = rng.uniform(-ROTATION, ROTATION, n)
    scale = rng.uniform(1.0 - SCALE, 1.0 + SCALE, n)
    cosine, sine = scale * np.cos(angle), scale * np.sin(angle)
    shift = rng.uniform(-2.0 * SHIFT, 2.0 * SHIFT, (2, n))
    rows = [[cosine, -sine, shift[0]], [sine, cosine, shift[1]]]
    return np.asarray(rows, dtype=np.float32).transpose(2, 0, 1).copy()


def _grid(place: Tensor, size: int, margin: float) -> Tensor:
    """Return sampling positions (n, size, size, 2) in the wide crop, -1..1 over the crop."""
    shape = [len(place), 1, size, size]
    return functional.affine_grid(place, shape, align_corners=False) / (1.0 + 2.0 * margin)


def _sample(source: Tensor, grid: Tensor, mode: str) -> Tensor:
    return functional.grid_sample(
        source, grid, mode=mode, padding_mode="border", align_corners=False
    )


def _bend(
    rng: np.random.Generator, n: int, take: Rows, size: int, strength: float, margin: float
) -> Tensor:
    """Smooth random displacements (k, size, size, 2), to be added to `_grid`'s positions."""
    cells = rng.choice(CELLS, n)
    field = torch.zeros((len(take), 2, size, size))
    for count in CELLS:
        rows = np.flatnonzero(cells == count)
        nodes = np.zeros((n, 2, count + 1, count + 1), dtype=np.float32)
        inner = (len(rows), 2, count - 1, count - 1)
        nodes[rows, :, 1:-1, 1:-1] = rng.normal(0.0, NODE * strength * 2.0 / count, inner)
        mine = np.flatnonzero(cells[take] == count)
        if len(mine):
            field[torch.from_numpy(mine)] = _smooth(nodes[take[mine]], size)
    return field.permute(0, 2, 3, 1) / (1.0 + 2.0 * margin)


def _smooth(nodes: NDArray[np.float32], size: int) -> Tensor:
    """Nodes (n, c, k, k) at the corners of cells to a smooth field (n, c, size, size)."""
    middle = functional.interpolate(
        torch.from_numpy(nodes), size=(32, 32), mode="bicubic", align_corners=True
    )
    return functional.interpolate(middle, size=(size, size), mode="bilinear", align_corners=True)


def _light(rng: np.random.Generator, n: int, take: Rows, size: int, share: float) -> Tensor:
    """Gains on code values (k, 3, size, size): exposure, colour cast, smooth coloured fields."""
    stops = rng.uniform(-EXPOSURE, EXPOSURE, (n, 1, 1, 1))
    cast = rng.uniform(-CHANNEL, CHANNEL, (n, 3, 1, 1)) / STOP
    field = torch.zeros((len(take), 3, size, size))
    for nodes, spread in ((2, FIELD), (4, FIELD * 0.5)):
        grey = rng.normal(0.0, spread, (n, 1, nodes, nodes))
        tint = rng.normal(0.0, spread * 0.5, (n, 3, nodes, nodes))
        field += _smooth((grey + tint)[take].astype(np.float32), size)
    field -= field.mean(dim=(1, 2, 3), keepdim=True)  # the crop's exposure is normalised anyway
    lit = torch.from_numpy((rng.random((n, 1, 1, 1)) < share)[take].astype(np.float32))
    flat = torch.from_numpy((stops + cast)[take].astype(np.float32))
    stops_by_place: Tensor = flat + lit * field
    return torch.exp(STOP * stops_by_place)


def _spoil(
    rng: np.random.Generator,
    noise: torch.Generator,
    n: int,
    take: Rows,
    image: Tensor,
    face: Tensor,
    config: TrainConfig,
) -> Tensor:
    """Another background, loss of colour, blur and grain, each on some of the inputs."""
    size, device = config.size, image.device

    def mine(drawn: NDArray[np.float64] | NDArray[np.bool_]) -> Tensor:
        return torch.from_numpy(drawn[take].astype(np.float32)).to(device)

    def chance(share: float) -> Tensor:
        return mine(rng.random((n, 1, 1, 1)) < share)

    nodes = int(rng.integers(2, 9))
    tone = rng.beta(0.7, 1.2, (n, 1, nodes, nodes)) + rng.normal(0.0, 0.1, (n, 3, nodes, nodes))
    behind = functional.interpolate(mine(tone), size=(size, size), mode="bilinear")
    outside = chance(BACKGROUND) * (1.0 - face.clamp(0.0, 1.0)).square()
    image = image + outside * (behind - image)

    weights = torch.tensor(LUMA, device=device).view(1, 3, 1, 1)
    luma = (image * weights).sum(dim=1, keepdim=True)
    image = image + chance(config.grey) * (luma - image)

    soft = (rng.random(n) < config.degrade) * rng.uniform(0.0, BLUR * size / 128.0, n)
    reach = max(1, int(np.ceil(2.5 * float(soft.max()))))
    image = _blur(image, soft[take].astype(np.float32), reach)

    amount = mine((rng.random(n) < config.degrade) * rng.uniform(0.0, GRAIN, n))
    grain = torch.randn((n, 3, size, size), generator=noise, device=device)
    grain = grain[torch.from_numpy(take).to(device)]
    shared = grain.mean(dim=1, keepdim=True) * np.sqrt(3.0)
    grain = shared + chance(0.5) * (grain - shared)  # silver grain, or dyed
    grainy: Tensor = image + amount.view(-1, 1, 1, 1) * grain
    return grainy


def _blur(image: Tensor, sigma: NDArray[np.float32], reach: int) -> Tensor:
    """Gaussian of its own sigma per sample, in pixels, out to `reach`."""
    n, channels, size, _ = image.shape
    x = np.arange(-reach, reach + 1, dtype=np.float32)
    taps = np.exp(-0.5 * (x[None] / np.maximum(sigma, 1e-3)[:, None]) ** 2)
    taps /= taps.sum(axis=1, keepdims=True)
    kernel = torch.from_numpy(taps).to(image.device).repeat_interleave(channels, dim=0)
    groups = n * channels
    flat = image.reshape(1, groups, size, size)
    flat = functional.pad(flat, (reach, reach, reach, reach), mode="replicate")
    flat = functional.conv2d(flat, kernel.view(groups, 1, 1, -1), groups=groups)
    flat = functional.conv2d(flat, kernel.view(groups, 1, -1, 1), groups=groups)
    return flat.reshape(n, channels, size, size)
