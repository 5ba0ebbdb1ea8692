"""Pretrain the likeness network on rendered pairs (pairs.py): what a likeness may begin with.

    python bench/pretrain/train.py --pairs /tmp/pairs1 /tmp/pairs2 --seconds 3600 \\
        -o core/semblance/train/pretrained-128.safetensors

From one person's picture the network draws that person or, half of the time, the other one of the
pair, who does the same thing under the same light. So a code may hold the performance alone. A
person is a vector: it modulates the decoder and shifts the map that the shared dense layer gives.
Codes of a pair are also drawn together (their mean squared difference, in deviations). At the end
the mean person's vector and shift are written in place of both people of a likeness, in half
precision. Needs the train extra; no part of the product.
"""

from __future__ import annotations

import argparse
import math
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.nn import functional

from semblance.train import data
from semblance.train.config import TrainConfig
from semblance.train.losses import picture_losses, total
from semblance.train.masks import training_masks
from semblance.train.network import GRID, LikenessNet, NetworkConfig

RATE, WARM_UP, LOWEST = 1.5e-3, 200, 0.05
CODES = 0.2
"""Weight of the codes' difference."""

EMA = 0.999


class People(nn.Module):
    """A vector for each person, and what it adds to the 8 x 8 map."""

    def __init__(self, count: int, config: NetworkConfig) -> None:
        super().__init__()
        self.vectors = nn.Parameter(torch.randn(count, config.identity) * 0.5)
        self.shift = nn.Linear(config.identity, config.grid * GRID * GRID, bias=False)
        nn.init.normal_(self.shift.weight, 0.0, 0.01)


class Pairs:
    """Rendered pairs as batches; people of several folders are all different ones."""

    def __init__(self, folders: list[Path], config: TrainConfig) -> None:
        self.config = config
        self.pictures, self.masks, self.people = [], [], []
        self.count = 0
        for folder in folders:
            done = int((folder / "done").read_text())
            self.pictures.append(np.load(folder / "pictures.npy", mmap_mode="r")[:done])
            self.masks.append(_masks(folder, done))
            people = np.load(folder / "people.npy")[:done]
            self.people.append(people + self.count)
            self.count += int(people.max()) + 1
        lengths = [len(each) for each in self.people]
        self.index = [(i, j) for i, n in enumerate(lengths) for j in range(n)]

    def batch(self, step: int) -> tuple[data.Batch, Tensor, Tensor]:
        """Return the batch of a step, and who is in its pictures and in its targets, (2b,)."""
        config = self.config
        rng = np.random.default_rng((config.seed, step))
        noise = torch.Generator().manual_seed(int(rng.integers(2**62)))
        b, size = config.batch, config.size
        chosen = [self.index[k] for k in rng.integers(len(self.index), size=b)]
        pictures = np.stack([self.pictures[i][j] for i, j in chosen])  # (b, 2, S, S, 3)
        masks = np.stack([self.masks[i][j] for i, j in chosen])  # (b, 2, 3, S, S)
        who = torch.from_numpy(np.stack([self.people[i][j] for i, j in chosen])).long()
        # First all pairs' first people, then all second ones; a pair shares placement and light.
        flat = torch.from_numpy(pictures.astype(np.float32) / 65535.0).permute(1, 0, 4, 2, 3)
        flat = flat.reshape(2 * b, 3, *flat.shape[3:])
        shapes = torch.from_numpy(masks.astype(np.float32) / 255.0).transpose(0, 1)
        shapes = shapes.reshape(2 * b, 3, *shapes.shape[3:])
        place = torch.from_numpy(data._placements(rng, b)).repeat(2, 1, 1)
        plain = data._grid(place, size, 0.125)
        every = np.arange(2 * b)
        bent = plain + data._bend(rng, 2 * b, every, size, config.warp, 0.125)
        light = data._light(rng, b, every[:b], size, config.light).repeat(2, 1, 1, 1)
        drawn = data._sample(flat, plain, "bicubic")
        drawn_masks = data._sample(shapes, plain, "bilinear")
        warped = data._sample(torch.cat([flat, shapes[:, :1]], 1), bent, "bilinear")
        image = data._spoil(rng, noise, 2 * b, every, warped[:, :3] * light, warped[:, 3:], config)
        other = torch.cat([torch.arange(b, 2 * b), torch.arange(b)])
        swap = torch.from_numpy(rng.random(2 * b) < 0.5)
        target = torch.where(swap, other, torch.arange(2 * b))
        made = data.Batch(
            image.clamp(0.0, 1.0),
            (drawn * light).clamp(0.0, 1.0)[target],
            drawn_masks[target],
            torch.ones(2 * b),
            torch.zeros(2 * b),
        )
        people = who.T.reshape(-1)
        return made, people, people[target]


def _masks(folder: Path, done: int) -> np.ndarray:
    """Return (pairs, 2, 3, S, S) uint8 masks of the faces, made once."""
    path = folder / "masks.npy"
    if not path.exists():
        landmarks = np.load(folder / "landmarks.npy")[:done].astype(np.float64)
        side = np.load(folder / "pictures.npy", mmap_mode="r").shape[2]
        masks = np.empty((done, 2, 3, side, side), np.uint8)
        for i in range(done):
            for j in range(2):
                masks[i, j] = np.round(255.0 * training_masks(landmarks[i, j], side))
        np.save(path, masks)
    return np.load(path, mmap_mode="r")


def followed(values: Tensor, follow: Callable[[Tensor], None] | None) -> Tensor:
    """Return values without the part of their gradient that they share, which statistics undo."""
    mean = values.mean(0)
    if follow is not None:
        follow(mean.detach())
    return values - (mean - mean.detach())


def decode(network: LikenessNet, people: People, code: Tensor, who: Tensor) -> Tensor:
    """Codes (n, z) and people (n,) to RGB and matte, as `LikenessNet.decode`."""
    config = network.config
    vector = people.vectors[who]
    grid = (network.performer(code) + people.shift(vector)).reshape(-1, config.grid, GRID, GRID)
    logits = network.decoder(grid, vector)
    field = network.light(code).float().reshape(-1, 3, config.light, config.light)
    light = functional.interpolate(
        field, scale_factor=config.size / config.light, mode="bilinear", align_corners=False
    )
    return torch.sigmoid(torch.cat([logits[:, :3] + light, logits[:, 3:]], 1))


def weights_of(network: LikenessNet, people: People) -> dict[str, Tensor]:
    """Return what a likeness begins with: the mean person in both people's place, in halfs."""
    state = {name: value.detach().clone() for name, value in network.state_dict().items()}
    mean = people.vectors.detach().mean(0)
    shift = people.shift.weight.detach() @ mean
    for module in ("performer", "likeness"):
        state[f"{module}.weight"] = network.performer.weight.detach().clone()
        state[f"{module}.bias"] = network.performer.bias.detach() + shift
    state["identities"] = mean.repeat(2, 1)
    for name in ("code_mean", "code_variance"):
        state[name] = state[name][:1].repeat(2, 1)
    return {name: value.half().contiguous() for name, value in state.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pairs", type=Path, nargs="+", required=True)
    parser.add_argument("--seconds", type=float, default=3600.0)
    parser.add_argument("--batch", type=int, default=8, help="pairs per step")
    parser.add_argument("--bf16", action="store_true", help="where the processor has it")
    parser.add_argument("-o", "--output", type=Path, required=True)
    given = parser.parse_args()
    torch.manual_seed(1)
    torch.set_flush_denormal(True)
    config = TrainConfig(batch=given.batch, light=0.3, warp=0.35)
    shape = NetworkConfig(size=config.size)
    pairs = Pairs(given.pairs, config)
    print(f"{len(pairs.index)} pairs of {pairs.count} people", flush=True)
    parts = nn.ModuleList([LikenessNet(shape), People(pairs.count, shape)])
    average = nn.ModuleList([LikenessNet(shape), People(pairs.count, shape)])
    average.load_state_dict(parts.state_dict())
    average.requires_grad_(False)
    network, people = parts
    network.to(memory_format=torch.channels_last)
    network.train()
    trained = [p for name, p in parts.named_parameters() if "likeness" not in name]
    optimiser = torch.optim.AdamW(trained, lr=RATE, weight_decay=0.01, fused=True)
    start, step, share, sums = time.monotonic(), 0, 0.0, {}
    while share < 1.0:
        rate = min(1.0, (step + 1) / WARM_UP)
        rate *= LOWEST + (1.0 - LOWEST) * 0.5 * (1.0 + math.cos(math.pi * share))
        for group in optimiser.param_groups:
            group["lr"] = RATE * rate
        network.encoder.momentum = 0.1 * rate
        batch, _, wanted = pairs.batch(step)
        image = batch.image.contiguous(memory_format=torch.channels_last)
        with torch.autocast("cpu", torch.bfloat16, enabled=given.bf16):
            features = followed(network.encoder.features(image), network.encoder.follow)
            raw = followed(network.encoder.code(features), None)
            with torch.no_grad():
                network.follow(0, raw.mean(0), raw.var(0))
            code = network.normalise(raw, batch.strength)
            made = decode(network, people, code, wanted)
        terms = {name: value.mean() for name, value in picture_losses(made, batch).items()}
        first, second = code.float().chunk(2)
        terms["codes"] = (first - second).square().mean()
        loss = total(terms) + CODES * terms["codes"]
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(trained, 1.0)
        optimiser.step()
        step += 1
        keep = min(EMA, (1.0 + step) / (10.0 + step))
        with torch.no_grad():
            torch._foreach_lerp_(list(average.parameters()), list(parts.parameters()), 1.0 - keep)
        for name, value in {**terms, "loss": loss}.items():
            sums[name] = 0.98 * sums.get(name, value.item()) + 0.02 * value.item()
        seconds = time.monotonic() - start
        share = seconds / given.seconds
        if step % 50 == 0:
            shown = "  ".join(f"{name} {value:.3f}" for name, value in sums.items())
            print(f"{step} {seconds:.0f} s  {shown}", flush=True)
        if step % 500 == 0 or share >= 1.0:
            for name, buffer in network.named_buffers():
                average[0].get_buffer(name).copy_(buffer)
            sheet(average, pairs, given.output.with_suffix(".png"))
            save_file(
                weights_of(*average),
                given.output,
                {"format": "semblance-pretrained", "version": "1"},
            )


@torch.no_grad()
def sheet(parts: nn.ModuleList, pairs: Pairs, path: Path) -> None:
    """Draw inputs, themselves, the others, and the others' truth."""
    import cv2

    network, people = parts
    network.eval()
    batch, seen, _ = pairs.batch(0)
    code = network.normalise(network.encoder(batch.image), batch.strength)
    b = len(seen) // 2
    other = torch.cat([seen[b:], seen[:b]])
    rows = [batch.image] + [decode(network, people, code, who)[:, :3] for who in (seen, other)]
    picture = torch.cat(
        [torch.cat(list(row[:b]), 2) for row in [*rows, batch.image[b:].repeat(2, 1, 1, 1)]], 1
    )
    network.train()
    shown = picture.permute(1, 2, 0).numpy()[..., ::-1] * 255.0
    cv2.imwrite(str(path), shown.round().astype(np.uint8))


if __name__ == "__main__":
    main()
