"""One run on several processes, as `torchrun` starts them; alone, all of it does nothing.

Every process holds the whole network and a part of each batch. What a batch has in common is taken
over all of them, so that the result is that of one process with the whole batch.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, distributed

from semblance.errors import TrainingError

__all__ = ["Ranks", "uncommon"]


class Ranks:
    """The processes of a run.

    Attributes
    ----------
    index, count : int
        Which of them this one is, and how many there are.
    device : torch.device
        What this one computes on.
    """

    def __init__(self, index: int, count: int, device: torch.device) -> None:
        self.index, self.count, self.device = index, count, device
        # Words between processes go by the CPU, whatever the pictures are on.
        self._control: Any = distributed.new_group(backend="gloo") if count > 1 else None

    @classmethod
    @contextmanager
    def open(cls, device: str) -> Iterator[Ranks]:
        """Join the other processes, for as long as the block lasts.

        Parameters
        ----------
        device : {"auto", "cpu", "cuda"}

        Raises
        ------
        TrainingError
            The device is not on this machine, or the processes can't be joined.
        """
        if device == "cuda" and not torch.cuda.is_available():
            raise TrainingError("there is no CUDA device for training", "Use --device cpu.")
        if device == "auto":
            device = "cuda" if torch.cuda.is_available() else "cpu"
        count = int(os.environ.get("WORLD_SIZE", "1"))
        if count == 1:
            yield cls(0, 1, torch.device(device))
            return
        local = torch.device(device)
        if device == "cuda":
            local = torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0")))
            torch.cuda.set_device(local)
        try:
            distributed.init_process_group("nccl" if device == "cuda" else "gloo")
        except (RuntimeError, ValueError) as error:
            raise TrainingError(
                f"the {count} processes of this run can't be joined: {str(error).splitlines()[0]}",
                "Start them with torchrun.",
            ) from error
        try:
            yield cls(distributed.get_rank(), count, local)
        finally:
            distributed.destroy_process_group()

    @property
    def first(self) -> bool:
        """Whether this is the process that writes files and talks."""
        return self.index == 0

    def rows(self, batch: int) -> list[int]:
        """Return this process's rows of a batch of 2 · `batch` faces, performer first."""
        share = batch // self.count
        mine = range(self.index * share, (self.index + 1) * share)
        return [*mine, *(batch + row for row in mine)]

    def mean(self, value: Tensor) -> Tensor:
        """Return the mean of a value over all processes."""
        if self.count == 1:
            return value
        whole = value.clone()
        distributed.all_reduce(whole)
        return whole / self.count

    def gathered(self, value: Tensor, rows: Iterable[int], length: int) -> Tensor:
        """Return a vector of which every process has some rows."""
        whole = torch.zeros(length, dtype=value.dtype, device=value.device)
        whole[torch.tensor(list(rows), device=value.device)] = value
        if self.count > 1:
            distributed.all_reduce(whole)
        return whole

    def average_gradients(self, parameters: Iterable[Tensor]) -> None:
        """Bring the gradients of all processes to their mean, in one go."""
        if self.count == 1:
            return
        gradients = [each.grad for each in parameters if each.grad is not None]
        flat = torch.cat([each.reshape(-1) for each in gradients])
        distributed.all_reduce(flat)
        flat /= self.count
        begin = 0
        for each in gradients:
            each.copy_(flat[begin : begin + each.numel()].view_as(each))
            begin += each.numel()

    def agree(self, seconds: float, stop: bool) -> tuple[float, bool]:
        """Return what the first process says, or that any of them wants to stop."""
        if self.count == 1:
            return seconds, stop
        said = torch.tensor([seconds if self.first else 0.0, float(stop)], dtype=torch.float64)
        distributed.all_reduce(said, group=self._control)
        return float(said[0]), bool(said[1] > 0.0)

    def wait(self) -> None:
        """Wait for all others."""
        if self.count > 1:
            distributed.barrier(group=self._control)


class _Uncommon(torch.autograd.Function):
    """Gives its input back; its gradient loses what all rows of the batch have in common."""

    @staticmethod
    def forward(ctx: Any, value: Tensor, ranks: Ranks) -> Tensor:
        ctx.ranks = ranks
        return value.view_as(value)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        (gradient,) = gradients
        return gradient - ctx.ranks.mean(gradient.mean(0)), None


def uncommon(value: Tensor, ranks: Ranks) -> Tensor:
    """Return rows (n, z) unchanged, without the part of their gradient that they all share.

    Running statistics take a common shift away again, so the optimiser would push it for ever.
    """
    return _Uncommon.apply(value, ranks)  # type: ignore[no-untyped-call,no-any-return]
