"""The training loop, in one file, without callbacks other than the report."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import torch
from torch import Tensor

from semblance.errors import TrainingError
from semblance.train.checkpoint import State, begin, latest, read_network, restore, save
from semblance.train.config import TrainConfig
from semblance.train.data import Batch, Faces, Sampler, load_people
from semblance.train.losses import picture_losses, total
from semblance.train.network import LIKENESS, PERFORMER, LikenessNet, NetworkConfig
from semblance.train.preview import append_losses, loss_plot, preview_sheet

__all__ = ["Progress", "Summary", "Trainer", "train"]

WARM_UP: Final = 50
LOWEST_RATE: Final = 0.1
"""The learning rate ends at this share of its highest value."""

WARP_FLOOR: Final = 0.2
"""The warp ends at this share of its strength: without any, identity leaks into the code."""

ANNEAL_FROM: Final = 0.75
EMA: Final = 0.998
CLIP: Final = 1.0
CALIBRATION: Final = 24
MOMENTUM: Final = 0.1
REPORT_SECONDS: Final = 1.0


@dataclass(frozen=True)
class Progress:
    """What `train` reports.

    Parameters
    ----------
    step, steps : int
        Steps done, and the run's own number of them.
    losses : dict of str to float
        Unweighted terms of the newest step, and `loss`, their weighted sum.
    rate : float
        Steps per second, over the last seconds.
    seconds_left : float
        Estimated time to the end, in seconds.
    """

    step: int
    steps: int
    losses: dict[str, float]
    rate: float
    seconds_left: float


@dataclass(frozen=True)
class Summary:
    """How a call of `train` ended.

    Parameters
    ----------
    step, steps : int
        Steps done in all, and the run's own number of them.
    seconds : float
        Training time in all, of every part of the run.
    complete : bool
        False where `stop` ended it early; `train` goes on from there.
    losses : dict of str to float
        Terms of the last step.
    checkpoint : Path
        The newest checkpoint.
    preview : Path
        The newest preview sheet.
    """

    step: int
    steps: int
    seconds: float
    complete: bool
    losses: dict[str, float]
    checkpoint: Path
    preview: Path


class Trainer:
    """One run in memory: faces, network, average, optimiser; `step` does one step."""

    def __init__(
        self,
        performer: Faces,
        likeness: Faces,
        config: TrainConfig,
        shape: NetworkConfig | None = None,
    ) -> None:
        self.config = config
        self.device = _device(config.device)
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
        self.sampler = Sampler(performer.to(self.device), likeness.to(self.device), config)
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
        share, config = self.share, self.config
        rate = _rate(self.state.step, share)
        for group in self.optimiser.param_groups:
            group["lr"] = config.lr * rate
        self.network.encoder.momentum = MOMENTUM * rate  # statistics move as fast as weights do
        batch = self.sampler.batch(self.state.step, config.warp * _warp(share))
        self.network.train()
        with torch.autocast(self.device.type, torch.bfloat16):
            code = self._encode(batch)
            made = self.network.decode(code, batch.strength)
        terms = {name: value.mean() for name, value in picture_losses(made, batch).items()}
        loss = total(terms)
        terms["loss"] = loss
        self.optimiser.zero_grad(set_to_none=True)
        torch.autograd.backward(loss)
        torch.nn.utils.clip_grad_norm_(self.network.parameters(), CLIP)
        self.optimiser.step()
        self._average()
        self.state = State(self.state.step + 1, self.state.seconds)
        return {name: value.detach() for name, value in terms.items()}

    def _encode(self, batch: Batch) -> Tensor:
        raw: Tensor = self.network.encoder(
            batch.image.contiguous(memory_format=torch.channels_last)
        )
        return self.network.normalise(self._observe(self.network, raw), batch.strength)

    def _observe(self, network: LikenessNet, raw: Tensor) -> Tensor:
        performer, likeness = raw.chunk(2)
        return torch.cat(
            [network.observe(performer, PERFORMER), network.observe(likeness, LIKENESS)]
        )

    @torch.no_grad()
    def _average(self) -> None:
        keep = min(EMA, (1.0 + self.state.step) / (10.0 + self.state.step))
        newest, average = self.network.parameters(), self.average.parameters()
        torch._foreach_lerp_(list(average), list(newest), 1.0 - keep)

    @torch.no_grad()
    def calibrate(self) -> None:
        """Give the averaged network running statistics of its own.

        Averaged weights make other codes than the newest ones, so the newest statistics do not
        fit them. The batches are fixed by the seed; training is not touched.
        """
        self.average.forget()
        self.average.train()
        batches = [self.sampler.batch(-1 - index, 0.0).image for index in range(CALIBRATION)]
        for image in batches:  # the centre first, since the codes depend on it
            self.average.encoder(image)
        self.average.eval()
        for image in batches:
            self._observe(self.average, self.average.encoder(image))


def train(
    performer: Path,
    likeness: Path,
    run: Path,
    config: TrainConfig,
    report: Callable[[Progress], None],
    stop: Callable[[], bool],
) -> Summary:
    """Train a likeness, or go on where the run in this folder stopped.

    Parameters
    ----------
    performer, likeness : Path
        Faceset folders: who acts in the plates, and whose face they shall carry.
    run : Path
        The run's folder, made where it is missing: `config.json`, checkpoints, `preview.png`,
        `loss.png` and `losses.jsonl`.
    config : TrainConfig
        Settings. A run that goes on must have the ones it began with, except for those in
        `semblance.train.config.FREE_FIELDS`.
    report : callable
        Called with a `Progress` about once a second and after the last step.
    stop : callable
        Asked after each step; when true, a checkpoint is written and the call returns.

    Returns
    -------
    Summary

    Raises
    ------
    TrainingError
        A faceset can't be used, the run was begun with other settings or facesets, or a
        checkpoint is torn.
    """
    people = load_people(performer, likeness, config.size)
    begin(run, config, people)
    checkpoint = latest(run)
    trainer = Trainer(*people, config, read_network(checkpoint) if checkpoint else None)
    if checkpoint:
        restore(checkpoint, trainer)
    with _flushing():
        return _run(run, trainer, report, stop)


def _run(
    run: Path, trainer: Trainer, report: Callable[[Progress], None], stop: Callable[[], bool]
) -> Summary:
    """Step until the run is done or stopped, writing as it goes."""
    config = trainer.config
    losses: dict[str, float] = {}
    pending: list[tuple[int, dict[str, Tensor]]] = []
    last_report, last_step, before = time.monotonic(), trainer.state.step, time.monotonic()
    rate = 0.0
    stopped = False
    while trainer.share < 1.0 and not stopped:
        pending.append((trainer.state.step + 1, trainer.step()))
        now = time.monotonic()
        trainer.state = State(trainer.state.step, trainer.state.seconds + now - before)
        before = now
        stopped = stop()
        step, ended = trainer.state.step, trainer.share >= 1.0 or stopped
        saving = step % config.save_every == 0 or ended
        showing = config.preview_every > 0 and (step % config.preview_every == 0 or ended)
        if saving or showing or now - last_report >= REPORT_SECONDS:
            losses = append_losses(run, pending)
            pending.clear()
            fresh = (step - last_step) / max(now - last_report, 1e-9)
            rate = fresh if rate == 0.0 else 0.9 * rate + 0.1 * fresh
            last_report, last_step = now, step
            if not math.isfinite(losses["loss"]):
                raise _diverged(step)
            report(Progress(step, config.steps, losses, rate, _seconds_left(trainer, rate)))
        if saving or showing:
            trainer.calibrate()
        if saving:
            save(run, trainer)
        if showing:
            preview_sheet(run, trainer)
            loss_plot(run)
    path = run / f"checkpoint-{trainer.state.step}.safetensors"
    return Summary(
        trainer.state.step,
        config.steps,
        trainer.state.seconds,
        trainer.share >= 1.0,
        losses,
        path,
        run / "preview.png",
    )


@contextmanager
def _flushing() -> Iterator[None]:
    """Take tiny numbers for 0, which is several times faster, as long as the block lasts."""
    torch.set_flush_denormal(True)
    try:
        yield
    finally:
        torch.set_flush_denormal(False)


def _diverged(step: int) -> TrainingError:
    return TrainingError(
        f"the loss is no number any more at step {step}", "Go on with a lower learning rate."
    )


def _device(name: str) -> torch.device:
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    return torch.device(name)


def _rate(step: int, share: float) -> float:
    """Share of the highest learning rate: a warm-up, then a cosine down to `LOWEST_RATE`."""
    warm = min(1.0, (step + 1) / WARM_UP)
    return warm * (LOWEST_RATE + (1.0 - LOWEST_RATE) * 0.5 * (1.0 + math.cos(math.pi * share)))


def _warp(share: float) -> float:
    """Share of the warp's strength: full, then falling to `WARP_FLOOR` in the last quarter."""
    late = max(0.0, (share - ANNEAL_FROM) / (1.0 - ANNEAL_FROM))
    return 1.0 - (1.0 - WARP_FLOOR) * late


def _seconds_left(trainer: Trainer, rate: float) -> float:
    by_steps = (trainer.config.steps - trainer.state.step) / max(rate, 1e-9)
    if trainer.config.seconds is None:
        return by_steps
    return max(0.0, min(by_steps, trainer.config.seconds - trainer.state.seconds))
