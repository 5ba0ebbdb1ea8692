"""Train the occluder network on composed samples and write it as ONNX.

    python bench/occluder/train.py --cache CACHE --minutes 12 --out W/occluder.onnx
    python bench/occluder/train.py --cache CACHE --minutes 14 --start-from W/occluder.pt --rate 1e-3

One core: samples are composed between the steps. The cache may still be growing.

References
----------
Ronneberger, Fischer & Brox (2015), "U-Net"; Milletari, Navab & Ahmadi (2016), "V-Net": the Dice
loss on soft masks; Polyak & Juditsky (1992): the average of the weights is what is written.
"""

from __future__ import annotations

import argparse
import copy
import math
import time
from pathlib import Path

import compose
import cv2
import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from semblance.occluder import SIZE, planes

PACKAGE = Path(__file__).resolve().parents[2] / "core/semblance"
CHANNELS = 8  # of `semblance.occluder.planes`


def conv(i: int, o: int, stride: int = 1, dilation: int = 1, kernel: int = 3) -> nn.Sequential:
    """Convolution, batch norm, ReLU."""
    layer = nn.Conv2d(i, o, kernel, stride, kernel // 2 * dilation, dilation, bias=False)
    return nn.Sequential(layer, nn.BatchNorm2d(o), nn.ReLU(inplace=True))


class Residual(nn.Module):
    """Two convolutions around a skip."""

    def __init__(self, c: int, dilation: int = 1) -> None:
        super().__init__()
        self.body = nn.Sequential(
            conv(c, c, 1, dilation), nn.Conv2d(c, c, 3, 1, 1, bias=False), nn.BatchNorm2d(c)
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Same shape."""
        return F.relu(x + self.body(x))


class OccluderNet(nn.Module):
    """(N, 8, 128, 128) -> logits (N, 1, 128, 128) and (N, 1, 32, 32)."""

    def __init__(self) -> None:
        super().__init__()
        self.e128 = conv(CHANNELS, 10)
        self.e64 = nn.Sequential(conv(10, 20, 2), Residual(20))
        self.e32 = nn.Sequential(conv(20, 40, 2), Residual(40))
        self.e16 = nn.Sequential(conv(40, 72, 2), Residual(72))
        self.e8 = nn.Sequential(conv(72, 100, 2), Residual(100), conv(100, 56, dilation=2))
        self.d16 = nn.Sequential(conv(128, 48), Residual(48), conv(48, 32, kernel=1))
        self.d32 = nn.Sequential(conv(72, 36), conv(36, 20, kernel=1))
        self.coarse = nn.Conv2d(20, 1, 1)
        self.d64 = nn.Sequential(conv(40, 18), conv(18, 8, kernel=1))
        self.d128 = nn.Sequential(conv(18, 8), nn.Conv2d(8, 1, 3, 1, 1))

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Look at the whole, and come back to its pixels."""

        def up(t: torch.Tensor) -> torch.Tensor:
            return F.interpolate(t, scale_factor=2.0, mode="bilinear", align_corners=False)

        e128 = self.e128(x)
        e64 = self.e64(e128)
        e32 = self.e32(e64)
        e16 = self.e16(e32)
        e8 = self.e8(e16)
        d16 = self.d16(torch.cat([up(e8), e16], 1))
        d32 = self.d32(torch.cat([up(d16), e32], 1))
        d64 = self.d64(torch.cat([up(d32), e64], 1))
        fine = self.d128(torch.cat([up(d64), e128], 1))
        return fine.float(), self.coarse(d32).float()


class Shipped(nn.Module):
    """What the package runs: the fine logits' probability."""

    def __init__(self, net: OccluderNet) -> None:
        super().__init__()
        self.net = net

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Probability (N, 1, 128, 128)."""
        return torch.sigmoid(self.net(x)[0])


def loss_of(out: tuple[torch.Tensor, torch.Tensor], alpha: torch.Tensor, weight: torch.Tensor):
    """Weighted cross-entropy at both scales and a soft Dice over the samples with an occluder."""
    fine, coarse = out
    entropy = F.binary_cross_entropy_with_logits(fine, alpha, reduction="none")
    entropy = (entropy * weight).mean()
    small = F.avg_pool2d(alpha, 4)
    side = F.binary_cross_entropy_with_logits(coarse, small, reduction="none")
    side = (side * F.avg_pool2d(weight, 4)).mean()
    p = torch.sigmoid(fine) * weight
    there = alpha * weight
    both = (p * alpha).sum((1, 2, 3))
    amount = there.sum((1, 2, 3))
    dice = 1 - (2 * both + 20) / (p.sum((1, 2, 3)) + amount + 20)
    seen = (amount > 50).float()
    dice = (dice * seen).sum() / seen.sum().clamp(min=1)
    return entropy + 0.3 * side + 0.4 * dice, entropy.detach(), dice.detach()


class Pool:
    """Composed samples, of which each is seen again a few times, mirrored and exposed anew."""

    def __init__(self, rng: np.random.Generator, size: int = 3000) -> None:
        self.rng, self.size, self.at = rng, size, 0
        self.kept: list[np.ndarray] = []

    def batch(self, m: compose.Material, new: int, old: int, hard: float) -> list[torch.Tensor]:
        """Return input (N, 8, S, S), alpha and weight (N, 1, S, S)."""
        rows = []
        for _ in range(new):
            crop, points, alpha, weight = compose.sample(m, self.rng, hard)
            rows.append(np.concatenate([planes(crop, points), alpha[None], weight[None]]))
        for _ in range(old if self.kept else 0):
            rows.append(self._again(self.kept[self.rng.integers(len(self.kept))]))
        for row in rows[:new]:
            if len(self.kept) < self.size:
                self.kept.append(row)
            else:
                self.kept[self.at % self.size] = row
            self.at += 1
        whole = torch.from_numpy(np.stack(rows))
        return [whole[:, :CHANNELS], whole[:, CHANNELS : CHANNELS + 1], whole[:, CHANNELS + 1 :]]

    def _again(self, row: np.ndarray) -> np.ndarray:
        out = row[..., ::-1].copy() if self.rng.random() < 0.5 else row.copy()
        gains = math.exp(self.rng.normal() * 0.12) * np.exp(self.rng.normal(size=(3, 1, 1)) * 0.06)
        out[:3] = np.clip(out[:3] * gains, 0, 1)
        out[3:6] *= math.exp(self.rng.normal() * 0.1)
        return out


def train(o: argparse.Namespace) -> None:
    """Train for a time, with a learning rate that falls to zero over it."""
    torch.set_num_threads(1)
    torch.set_flush_denormal(True)
    torch.manual_seed(o.seed)
    cv2.setNumThreads(1)
    rng = np.random.default_rng(o.seed)
    pool = Pool(rng)
    material = compose.load(o.cache)
    net = OccluderNet()
    if o.start_from:
        net.load_state_dict(torch.load(o.start_from, weights_only=True), strict=False)
    net = net.to(memory_format=torch.channels_last).train()
    mean_net = copy.deepcopy(net)
    optimiser = torch.optim.AdamW(net.parameters(), lr=o.rate, weight_decay=1e-3)
    start, step, sums = time.perf_counter(), 0, np.zeros(3)
    composed = 0.0
    print(f"{sum(p.numel() for p in net.parameters()) / 1e6:.3f} M parameters", flush=True)
    while (done := (time.perf_counter() - start) / (60 * o.minutes)) < 1:
        for group in optimiser.param_groups:
            warm = min(1.0, (step + 1) / 60)
            group["lr"] = o.rate * warm * (0.5 + 0.5 * math.cos(math.pi * done))
        before = time.perf_counter()
        hard = o.hard if o.start_from else o.hard * min(1.0, 0.25 + 3.0 * done)
        x, alpha, weight = pool.batch(material, o.batch // 2, o.batch - o.batch // 2, hard)
        composed += time.perf_counter() - before
        x = x.to(memory_format=torch.channels_last)
        with torch.autocast("cpu", torch.bfloat16):
            out = net(x)
        losses = loss_of(out, alpha, weight)
        optimiser.zero_grad(set_to_none=True)
        losses[0].backward()
        nn.utils.clip_grad_norm_(net.parameters(), 2.0)
        optimiser.step()
        step += 1
        with torch.no_grad():
            keep = min(0.99, step / (step + 10))
            for a, b in zip(mean_net.state_dict().values(), net.state_dict().values(), strict=True):
                if a.dtype.is_floating_point:
                    a.mul_(keep).add_(b, alpha=1 - keep)
                else:
                    a.copy_(b)
        sums += [float(v.detach()) for v in losses]
        if step % 50 == 0:
            seconds = time.perf_counter() - start
            print(
                f"step {step} {seconds:.0f} s, composing {composed / seconds:.0%}, "
                f"loss {np.round(sums / 50, 4)}", flush=True,
            )  # fmt: skip
            sums[:] = 0
        if step % 300 == 0:
            export(mean_net, o.out)
            made = int((o.cache / "things/done").read_text())
            if made > len(material.things):
                material = compose.load(o.cache)
    export(mean_net, o.out)


def export(net: OccluderNet, out: Path) -> None:
    """Write weights and graph."""
    torch.save(net.state_dict(), out.with_suffix(".pt"))
    shipped = Shipped(copy.deepcopy(net)).eval().to(memory_format=torch.contiguous_format)
    partial = out.with_suffix(".part")
    torch.onnx.export(
        shipped, (torch.zeros(1, CHANNELS, SIZE, SIZE),), str(partial), input_names=["crop"],
        output_names=["occluded"], opset_version=17, dynamo=False,
    )  # fmt: skip
    partial.replace(out)


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cache", type=Path, required=True)
    parser.add_argument("--minutes", type=float, required=True)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--rate", type=float, default=2e-3)
    parser.add_argument("--hard", type=float, default=1.0, help="share of samples of full variety")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--out", type=Path, default=PACKAGE / "occluder.onnx")
    parser.add_argument("--start-from", type=Path, help="weights (.pt) of an earlier run")
    train(parser.parse_args())


if __name__ == "__main__":
    main()
