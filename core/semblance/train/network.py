"""The likeness network: one encoder, two identity modules, one modulated decoder.

::

    image 3xRxR ─ encoder ─ code z ─ N_k ─┬─ P: dense ─ Cx8x8 ─ (1-a) ─┐
                                          ├─ L: dense ─ Cx8x8 ─   a  ──┴─ decoder ─ RGB, matte
                                          └─ light: dense ─ 3x4x4 ───────── added to RGB

The two identity modules see the same code. Their *outputs* are mixed by the strength `a`, in
activation space: interpolating weights instead was measured not to be monotone. Codes are
normalised per input identity `k` by running statistics, so that the modules meet codes of one
scale whoever is in the picture. The light goes the same way for both: a coarse field of logits,
straight from the code, since the deep way learns only very late to pass colour on. Only `Conv2d`,
`Linear` and `interpolate` are used.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import torch
from torch import Tensor, nn
from torch.nn import functional

__all__ = ["LIKENESS", "PERFORMER", "LikenessNet", "NetworkConfig"]

PERFORMER: Final = 0
LIKENESS: Final = 1

GRID: Final = 8
"""Side of the coarsest feature map, in cells."""

SLOPE: Final = 0.1
RMS_EPSILON: Final = 1e-6
SD_EPSILON: Final = 1e-4

REACH: Final = 1.25
"""How far along the way from one module's output to the other's strength 1 goes. A trained network
shrinks the way at both ends; against exact truth, going a quarter further gains likeness (progress)
and costs no decibel. Strength 0 needs none of it: the blend makes it the plate itself."""


ENCODER_GROWTH: Final = (1, 2, 4, 6, 8, 8, 8)
DECODER_GROWTH: Final = (2, 3, 4, 6, 8, 8)
"""Channels from the finest level on, in halves of `NetworkConfig.decoder`."""


@dataclass(frozen=True)
class NetworkConfig:
    """Shape of the network.

    Parameters
    ----------
    size : int
        Side of the picture in pixels, 8 times a power of two, at least 32.
    encoder : int
        Channels after the encoder's first convolution.
    decoder : int
        Channels of the decoder's finest level, at half the picture's size.
    code : int
        Length of the code.
    grid : int
        Channels of the 8 x 8 map that the identity modules give.
    identity : int
        Length of the identity vector that modulates the decoder.
    light : int
        Side of the light's field in cells; 0 for a network without one.
    """

    size: int = 128
    encoder: int = 16
    decoder: int = 32
    code: int = 160
    grid: int = 96
    identity: int = 128
    light: int = 4

    @property
    def levels(self) -> int:
        """Halvings between the picture and the 8 x 8 map."""
        return (self.size // GRID).bit_length() - 1


class Residual(nn.Module):
    """x + conv(leaky(film(conv(leaky(x))))); without an identity vector there is no film."""

    def __init__(self, channels: int, identity: int = 0) -> None:
        super().__init__()
        self.first = nn.Conv2d(channels, channels, 3, padding=1)
        self.second = nn.Conv2d(channels, channels, 3, padding=1)
        self.film = nn.Linear(identity, 2 * channels) if identity else None
        with torch.no_grad():
            self.second.weight.mul_(0.3)
            if self.film is not None:
                self.film.weight.mul_(0.5)

    def forward(self, x: Tensor, identity: Tensor | None = None) -> Tensor:
        h: Tensor = self.first(functional.leaky_relu(x, SLOPE))
        if self.film is not None and identity is not None:
            film = self.film(identity)[:, :, None, None]
            half = self.first.out_channels  # not `chunk`: TorchScript's fuser of 2022 trips over it
            h = h * (1.0 + film[:, :half]) + film[:, half:]
        h = self.second(functional.leaky_relu(h, SLOPE))
        return x + h


class Encoder(nn.Module):
    """Picture (n, 3, R, R) to raw code (n, z).

    Features are centred by their running mean before the dense layer: most of each is the same in
    all pictures, and a step of the optimiser along that part would move all codes far at once.
    `momentum` is the weight of the newest batch in the mean.
    """

    momentum = 0.1

    centre: Tensor
    seen: Tensor

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__()
        stages: list[nn.Module] = []
        before = 3
        for level in range(config.levels):
            channels = config.encoder * ENCODER_GROWTH[level]
            kernel = 5 if level == 0 else 3
            stages.append(nn.Conv2d(before, channels, kernel, stride=2, padding=kernel // 2))
            stages.append(nn.LeakyReLU(SLOPE))
            if level >= config.levels - 2:  # at 16 x 16 and at 8 x 8
                stages.append(Residual(channels))
            before = channels
        self.body = nn.Sequential(*stages)
        self.dense = nn.Linear(before * GRID * GRID, config.code)
        self.register_buffer("centre", torch.zeros(before * GRID * GRID))
        self.register_buffer("seen", torch.zeros(()))

    def forward(self, image: Tensor) -> Tensor:
        return self.code(self.features(image))

    def features(self, image: Tensor) -> Tensor:
        """Pictures (n, 3, R, R) to features (n, c · 8 · 8) float32, not centred yet."""
        h: Tensor = self.body((image - 0.5) * 2.0)  # (n, c, 8, 8)
        return h.flatten(1).float()  # the sum of squares must not be taken in half precision

    def code(self, h: Tensor) -> Tensor:
        """Features (n, c · 8 · 8) to raw codes (n, z) float32."""
        h = h - self.centre
        h = h * torch.rsqrt(h.square().mean(dim=1, keepdim=True) + RMS_EPSILON)
        code: Tensor = self.dense(h.type_as(self.dense.weight))  # (n, z)
        return code.float()

    @torch.no_grad()
    def follow(self, mean: Tensor) -> None:
        """Take a batch's mean of features (c · 8 · 8,) into the running one."""
        self.seen += 1
        self.centre.lerp_(mean, _weight(self.seen, self.momentum))


def _weight(seen: Tensor, momentum: float) -> Tensor:
    """Weight of the newest of `seen` observations: an even mean first, then a sliding one."""
    return torch.clamp(1.0 / seen, min=momentum)


class Decoder(nn.Module):
    """Map (n, C, 8, 8) and identity vector (n, d) to logits of RGB and matte (n, 4, R, R)."""

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__()
        growth = DECODER_GROWTH[: config.levels - 1]
        widths = [min(config.decoder * g // 2, config.grid) for g in growth][::-1]
        self.entry = Residual(config.grid, config.identity)
        before = [config.grid, *widths[:-1]]
        self.convolutions = nn.ModuleList(
            nn.Conv2d(b, w, 3, padding=1) for b, w in zip(before, widths, strict=True)
        )
        self.residuals = nn.ModuleList(Residual(w, config.identity) for w in widths)
        self.exit = nn.Conv2d(widths[-1], 16, 3, padding=1)  # 12 of RGB, 4 of matte

    def forward(self, grid: Tensor, identity: Tensor) -> Tensor:
        h = self.entry(grid, identity)  # (n, C, 8, 8)
        for convolution, residual in zip(self.convolutions, self.residuals, strict=True):
            h = functional.interpolate(h, scale_factor=2.0, mode="bilinear", align_corners=False)
            h = functional.leaky_relu(convolution(h), SLOPE)
            h = residual(h, identity)  # the last one is (n, w, R/2, R/2)
        h = self.exit(functional.leaky_relu(h, SLOPE))  # (n, 16, R/2, R/2)
        return functional.pixel_shuffle(h, 2).float()  # (n, 4, R, R)


class LikenessNet(nn.Module):
    """The whole network with the running statistics of both identities' codes."""

    code_mean: Tensor
    code_variance: Tensor
    code_seen: Tensor

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__()
        self.config = config
        self.encoder = Encoder(config)
        self.performer = nn.Linear(config.code, config.grid * GRID * GRID)
        self.likeness = nn.Linear(config.code, config.grid * GRID * GRID)
        self.identities = nn.Parameter(torch.randn(2, config.identity) * 0.5)  # (2, d)
        self.decoder = Decoder(config)
        self.likeness.load_state_dict(self.performer.state_dict())
        self.light = nn.Linear(config.code, 3 * config.light**2) if config.light else None
        if self.light is not None:
            nn.init.zeros_(self.light.weight)
            nn.init.zeros_(self.light.bias)
        self.register_buffer("code_mean", torch.zeros(2, config.code))
        self.register_buffer("code_variance", torch.ones(2, config.code))
        self.register_buffer("code_seen", torch.zeros(2))

    def forget(self) -> None:
        """Begin all running statistics anew."""
        self.encoder.seen.zero_()
        self.code_seen.zero_()
        self.encoder.momentum = 0.0

    @torch.no_grad()
    def follow(self, identity: int, mean: Tensor, variance: Tensor) -> None:
        """Take mean and variance (z,) of a batch's raw codes into an identity's running ones."""
        self.code_seen[identity] += 1
        weight = _weight(self.code_seen[identity], self.encoder.momentum)
        self.code_mean[identity].lerp_(mean, weight)
        self.code_variance[identity].lerp_(variance, weight)

    def normalise(self, raw: Tensor, strength: Tensor) -> Tensor:
        """Raw codes (n, z) to codes of mean 0 and deviation 1.

        `strength` (n,) says whose face is in the picture: 0 the performer's, 1 the likeness's,
        between them the statistics are mixed.
        """
        a = strength[:, None]
        mean = self.code_mean[0] + a * (self.code_mean[1] - self.code_mean[0])
        deviation = torch.sqrt(self.code_variance) + SD_EPSILON
        mixed = deviation[0] + a * (deviation[1] - deviation[0])
        return (raw - mean) / mixed

    def decode(self, code: Tensor, strength: Tensor) -> Tensor:
        """Codes (n, z) and strengths (n,) to RGB and matte, (n, 4, R, R) float32, 0..1."""
        code = code.type_as(self.performer.weight)  # which a host may have halved
        a = strength[:, None].type_as(code)
        mixed = (1.0 - a) * self.performer(code) + a * self.likeness(code)
        identity = (1.0 - a) * self.identities[0] + a * self.identities[1]
        grid = mixed.reshape(-1, self.config.grid, GRID, GRID)
        logits: Tensor = self.decoder(grid, identity)
        if self.light is None:
            return torch.sigmoid(logits)
        field = self.light(code).float().reshape(-1, 3, self.config.light, self.config.light)
        light = functional.interpolate(
            field,
            scale_factor=self.config.size / self.config.light,
            mode="bilinear",
            align_corners=False,
        )
        return torch.sigmoid(torch.cat([logits[:, :3] + light, logits[:, 3:]], dim=1))

    def forward(self, image: Tensor, strength: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Carry the performer's picture to the likeness.

        Parameters
        ----------
        image : Tensor
            (n, 3, R, R) float32, RGB in the working encoding, 0..1, with the performer's face.
        strength : Tensor
            (n,) float32; 0 performer, 1 likeness.

        Returns
        -------
        rgb, matte, self : Tensor
            (n, 3, R, R), (n, 1, R, R) and (n, 3, R, R) float32, 0..1. `self` is the decoder's
            picture at strength 0 of the same code; `matte` is the larger of both mattes.
        """
        none = torch.zeros_like(strength)
        code = self.normalise(self.encoder(image), none)
        moved = self.decode(code, REACH * strength)
        own = self.decode(code, none)
        return moved[:, :3], torch.maximum(moved[:, 3:], own[:, 3:]), own[:, :3]
