"""One run in memory: what a step does, on its own share of the batch."""

from __future__ import annotations

import math
from typing import Final

import torch
from torch import Tensor

from semblance.errors import TrainingError
from semblance.train.checkpoint import State
from semblance.train.config import TrainConfig
from semblance.train.data import Batch, Sampler
from semblance.train.faces import Faces
from semblance.train.losses import picture_losses, total
from semblance.train.mining import EVERY, Mining
from semblance.train.network import LikenessNet, NetworkConfig
from semblance.train.ranks import Ranks, uncommon

__all__ = ["Trainer"]

WARM_UP: Final = 50
LOWEST_RATE: Final = 0.1
"""The learning rate ends at this share of its highest value."""

WARP_FLOOR: Final = 0.2
"""The warp ends at this share of its strength: without any, identity leaks into the code."""

ANNEAL_FROM: Final = 0.75
EMA: Final = 0.998
CLIP: Final = 1.0
CALIBRATION: Final = 24
"""Batches that running statistics are measured anew on."""

MOMENTUM: Final = 0.1


class Trainer:
    """One run in memory: faces, network, average, optimiser; `step` does one step."""

    def __init__(
        self,
        performer: Faces,
        likeness: Faces,
        config: TrainConfig,
        ranks: Ranks,
        shape: NetworkConfig | None = None,
    ) -> None:
        if config.batch % (ranks.count * config.parts):
            raise TrainingError(
                f"a batch of {config.batch} can't be shared by {ranks.count} processes in "
                f"{config.parts} parts each",
                "Choose a batch that they divide.",
            )
        self.config = config
        self.ranks = ranks
        self.device = ranks.device
        torch.manual_seed(config.seed)
        shape = shape or NetworkConfig(size=config.size)
        self.network = LikenessNet(shape).to(self.device)
        self.network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.average = LikenessNet(shape).to(self.device)
        self.average.load_state_dict(self.network.state_dict())
        self.average.requires_grad_(False)
        self.optimiser = torch.optim.AdamW(
            self.network.parameters(), lr=config.lr, weight_decay=0.01, fused=True
        )
        people = performer.to(self.device), likeness.to(self.device)
        self.people = people
        self.sampler = Sampler(*people, config, self.device)
        weights = [each.weights for each in people]
        self.mining = Mining(weights, config.mining, self.device)
        self.state = State(step=0, seconds=0.0)

    @property
    def share(self) -> float:
        """How much of the run is done, 0..1: by steps, or by time where that is sooner."""
        done = self.state.step / self.config.steps
        if self.config.seconds is not None:
            done = max(done, self.state.seconds / self.config.seconds)
        return min(done, 1.0)

    def step(self) -> dict[str, Tensor]:
        """Do one step; give its terms and `loss`, each a scalar on the device."""
        share, config, step = self.share, self.config, self.state.step
        rate = _rate(step, share)
        for group in self.optimiser.param_groups:
            group["lr"] = config.lr * rate
        self.network.encoder.momentum = MOMENTUM * rate  # statistics move as fast as weights do
        rows = self.ranks.rows(config.batch)
        batch = self.sampler.batch(step, config.warp * _warp(share), rows)
        self.network.train()
        self.optimiser.zero_grad(set_to_none=True)
        each = self._learn(batch)
        self.ranks.average_gradients(self.network.parameters())
        torch.nn.utils.clip_grad_norm_(self.network.parameters(), CLIP)
        self.optimiser.step()
        self._average()
        self._mine(step, rows, each["loss"])
        self.state = State(step + 1, self.state.seconds)
        terms = torch.stack([value.mean() for value in each.values()])
        return dict(zip(each, self.ranks.mean(terms), strict=True))

    def _learn(self, batch: Batch) -> dict[str, Tensor]:
        """Leave the gradients of this process's share of a batch; give its terms, (n,) each."""
        n, parts = len(batch), self.config.parts
        places = torch.arange(n, device=self.device).view(2, parts, -1)
        if parts == 1:
            code = self._codes(self._features(batch.image), batch.strength)
            each = self._judged(code, batch)
            torch.autograd.backward(each["loss"].mean())
            return {name: value.detach() for name, value in each.items()}
        # What the codes have in common needs all of them, and the pictures do not fit at once: so
        # the codes come first, without a graph; the decoder's gradients reach back to them, part
        # by part; and each part's graph to the codes is made again.
        chosen = [places[:, index].reshape(-1) for index in range(parts)]
        with torch.no_grad():
            seen = torch.cat([self._features(batch.image[rows]) for rows in chosen])
        order = torch.cat(chosen)
        features = torch.empty_like(seen)
        features[order] = seen
        features.requires_grad_()
        code = self._codes(features, batch.strength)
        reached = code.detach().requires_grad_()
        terms: dict[str, Tensor] = {}
        for rows in chosen:
            each = self._judged(reached[rows], batch.part(rows))
            torch.autograd.backward(each["loss"].sum() / n)
            for name, value in each.items():
                terms.setdefault(name, torch.empty(n, device=self.device))[rows] = value.detach()
        torch.autograd.backward(code, reached.grad)
        for rows in chosen:
            assert features.grad is not None
            torch.autograd.backward(self._features(batch.image[rows]), features.grad[rows])
        return terms

    def _features(self, image: Tensor) -> Tensor:
        with self._precision():
            return self.network.encoder.features(
                image.contiguous(memory_format=torch.channels_last)
            )

    def _codes(self, features: Tensor, strength: Tensor) -> Tensor:
        """Features (n, f) to codes (n, z), and both into the running statistics."""
        network, ranks = self.network, self.ranks
        network.encoder.follow(ranks.mean(features.detach().mean(0)))
        with self._precision():
            raw = network.encoder.code(uncommon(features, ranks))
        for identity, codes in enumerate(raw.chunk(2)):
            _follow(network, identity, codes.detach(), ranks)
        rows = [uncommon(codes, ranks) for codes in raw.chunk(2)]
        return network.normalise(torch.cat(rows), strength)

    def _judged(self, code: Tensor, batch: Batch) -> dict[str, Tensor]:
        with self._precision():
            made = self.network.decode(code, batch.strength)
        terms = picture_losses(made, batch)
        return {**terms, "loss": total(terms)}

    def _precision(self) -> torch.autocast:
        precision = self.config.precision
        enabled = precision == "bf16" or (precision == "auto" and _is_fast_in_bf16(self.device))
        return torch.autocast(self.device.type, torch.bfloat16, enabled=enabled)

    @torch.no_grad()
    def _average(self) -> None:
        keep = min(EMA, (1.0 + self.state.step) / (10.0 + self.state.step))
        newest, average = self.network.parameters(), self.average.parameters()
        torch._foreach_lerp_(list(average), list(newest), 1.0 - keep)

    def _mine(self, step: int, rows: list[int], losses: Tensor) -> None:
        batch = self.config.batch
        whole = self.ranks.gathered(losses, rows, 2 * batch)
        drawn = self.sampler.drawn(step)
        for identity, own in enumerate(whole.view(2, batch)):
            self.mining.observe(identity, drawn[identity], own)
        if (step + 1) % EVERY == 0:
            self.mining.refresh()
            self.sampler.weights = self.mining.weights()

    def calibrate(self) -> None:
        """Give the averaged network running statistics of its own.

        Averaged weights make other codes than the newest ones, so the newest statistics do not
        fit them. The batches are fixed by the seed; training is not touched.
        """
        self._measure(self.average, 0.0)

    def measure(self) -> None:
        """Measure the running statistics of the network anew, on the faces that it has now."""
        self._measure(self.network, self.config.warp)

    @torch.no_grad()
    def _measure(self, network: LikenessNet, warp: float) -> None:
        alone = Ranks(0, 1, self.device)  # every process does it all, to the same result
        network.forget()
        network.eval()
        batches = [self.sampler.batch(-1 - index, warp).image for index in range(CALIBRATION)]
        features = [network.encoder.features(image) for image in batches]
        for each in features:  # the centre first, since the codes depend on it
            network.encoder.follow(each.mean(0))
        for each in features:
            for identity, codes in enumerate(network.encoder.code(each).chunk(2)):
                _follow(network, identity, codes, alone)


@torch.no_grad()
def _follow(network: LikenessNet, identity: int, codes: Tensor, ranks: Ranks) -> None:
    """Take raw codes (n, z) of one identity, of all processes, into its running statistics."""
    count = len(codes) * ranks.count
    mean = ranks.mean(codes.mean(0))
    variance = ranks.mean((codes - mean).square().mean(0)) * (count / max(count - 1, 1))
    network.follow(identity, mean, variance)


def _rate(step: int, share: float) -> float:
    """Share of the highest learning rate: a warm-up, then a cosine down to `LOWEST_RATE`."""
    warm = min(1.0, (step + 1) / WARM_UP)
    return warm * (LOWEST_RATE + (1.0 - LOWEST_RATE) * 0.5 * (1.0 + math.cos(math.pi * share)))


def _warp(share: float) -> float:
    """Share of the warp's strength: full, then falling to `WARP_FLOOR` in the last quarter."""
    late = max(0.0, (share - ANNEAL_FROM) / (1.0 - ANNEAL_FROM))
    return 1.0 - (1.0 - WARP_FLOOR) * late


def _is_fast_in_bf16(device: torch.device) -> bool:
    """Return whether bf16 pays: a processor without AVX-512 takes eight times as long in it."""
    if device.type == "cpu":
        return torch.backends.cpu.get_cpu_capability().startswith("AVX512")
    return True
