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
from semblance.train.checkpoint import (
    State,
    adopt,
    begin,
    latest,
    read_network,
    restore,
    save,
    swept,
)
from semblance.train.config import TrainConfig
from semblance.train.faces import Faces, Frame, Person, load_people
from semblance.train.outlook import Outlook
from semblance.train.preview import append_losses, loss_plot, preview_sheet
from semblance.train.ranks import Ranks
from semblance.train.trainer import Trainer

__all__ = ["Progress", "Summary", "train"]

REPORT_SECONDS: Final = 1.0
PAGE_SECONDS: Final = 10.0


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
    dashboard : Path
        The run's page.
    holes : tuple of str
        What the faces of one person lack beside the other's.
    """

    step: int
    steps: int
    seconds: float
    complete: bool
    losses: dict[str, float]
    checkpoint: Path
    preview: Path
    dashboard: Path
    holes: tuple[str, ...]


def train(
    performer: Person,
    likeness: Person,
    run: Path,
    config: TrainConfig,
    report: Callable[[Progress], None],
    stop: Callable[[], bool],
    *,
    origin: Path | None = None,
    hard: frozenset[Frame] = frozenset(),
) -> Summary:
    """Train a likeness, or go on where the run in this folder stopped.

    Under `torchrun` every process calls this with the same arguments; the first one writes.

    Parameters
    ----------
    performer, likeness : Person
        Who acts in the plates, and whose face they shall carry.
    run : Path
        The run's folder, made where it is missing: `config.json`, checkpoints, `dashboard.html`,
        `preview.png`, `coverage.png`, `loss.png`, `losses.jsonl`, and `faces`, a cache.
    config : TrainConfig
        Settings. A run that goes on must have the ones it began with, except for those in
        `semblance.train.config.FREE_FIELDS`.
    report : callable
        Called with a `Progress` about once a second and after the last step.
    stop : callable
        Asked after each step; when true, a checkpoint is written and the call returns.
    origin : Path, optional
        Another run, whose newest network a new run begins with. The statistics by which it
        normalises codes are measured anew on the faces of this one.
    hard : frozenset of Frame
        Frames of the footage that are drawn more often.

    Returns
    -------
    Summary

    Raises
    ------
    TrainingError
        A faceset can't be used, the run was begun with other settings or facesets, a checkpoint is
        torn, or the device or the processes can't be had.
    """
    with Ranks.open(config.device) as ranks:
        if ranks.first:
            load_people(performer, likeness, config.size, run / "faces")
        ranks.wait()
        people = load_people(performer, likeness, config.size, run / "faces")
        checkpoint = latest(run)
        source = _origin(origin, checkpoint)
        if ranks.first:
            begin(run, config, people, (performer, likeness), hard, source)
            swept(run)
        people = _harder(people, hard)
        shape = checkpoint or source
        trainer = Trainer(*people, config, ranks, read_network(shape) if shape else None)
        if checkpoint:
            restore(checkpoint, trainer)
        elif source:
            adopt(source, trainer)
        ranks.wait()
        with _flushing():
            return _run(run, trainer, report, stop)


def _origin(origin: Path | None, checkpoint: Path | None) -> Path | None:
    """Return the checkpoint that a new run begins with."""
    if origin is None or checkpoint is not None:
        return None
    found = latest(origin)
    if found is None:
        raise TrainingError(
            f"{origin} holds no checkpoint to begin with", "Name the folder of a training run."
        )
    return found


def _harder(people: tuple[Faces, Faces], hard: frozenset[Frame]) -> tuple[Faces, Faces]:
    if not hard:
        return people
    known = {frame for faces in people for frame in faces.frames}
    if not hard & known:
        source, frame = min(hard, key=str)
        raise TrainingError(
            f"none of the {len(hard)} hard frames is in the facesets; the first is "
            f"{source}{'' if frame is None else f', frame {frame}'}",
            "Add their shot to the run with --add-shot.",
        )
    return people[0].harder(hard), people[1].harder(hard)


def _run(
    run: Path, trainer: Trainer, report: Callable[[Progress], None], stop: Callable[[], bool]
) -> Summary:
    """Step until the run is done or stopped, writing as it goes."""
    config, ranks = trainer.config, trainer.ranks
    outlook = Outlook(run, trainer) if ranks.first else None
    losses: dict[str, float] = {}
    pending: list[tuple[int, dict[str, Tensor]]] = []
    last_report, last_step, before = time.monotonic(), trainer.state.step, time.monotonic()
    last_page, rate = before, 0.0
    stopped = False
    while trainer.share < 1.0 and not stopped:
        pending.append((trainer.state.step + 1, trainer.step()))
        now = time.monotonic()
        seconds, stopped = ranks.agree(trainer.state.seconds + now - before, stop())
        trainer.state = State(trainer.state.step, seconds)
        before = now
        step, ended = trainer.state.step, trainer.share >= 1.0 or stopped
        if outlook is None:
            pending.clear()
            continue
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
        if saving or showing or now - last_page >= PAGE_SECONDS:
            last_page = now
            outlook.write(rate, _seconds_left(trainer, rate), ended)
    ranks.wait()
    return Summary(
        trainer.state.step,
        config.steps,
        trainer.state.seconds,
        trainer.share >= 1.0,
        losses,
        run / f"checkpoint-{trainer.state.step}.safetensors",
        run / "preview.png",
        run / "dashboard.html",
        () if outlook is None else outlook.holes,
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


def _seconds_left(trainer: Trainer, rate: float) -> float:
    by_steps = (trainer.config.steps - trainer.state.step) / max(rate, 1e-9)
    if trainer.config.seconds is None:
        return by_steps
    return max(0.0, min(by_steps, trainer.config.seconds - trainer.state.seconds))
