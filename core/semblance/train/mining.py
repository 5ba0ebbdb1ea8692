"""Hard examples: which faces the network still draws badly, and how much more often they come.

Each face has a running mean of its loss, from the steps that drew it. Every `EVERY` steps it
becomes a factor on the face's weight, between 1 / `BOUND` and `BOUND`. The bound keeps a face that
is wrong, not hard (a bad landmark, a hidden mouth), from eating the run.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from semblance.train.balance import bounded

__all__ = ["BOUND", "EVERY", "Mining"]

EVERY: Final = 100
BOUND: Final = 2.0
MEMORY: Final = 0.3
"""Weight of the newest loss in a face's running mean."""


class Mining:
    """The running losses of both people's faces.

    Parameters
    ----------
    weights : sequence of (n,) float64 array
        How often each face is drawn before, of performer and likeness.
    strength : float
        0 leaves them as they are, 1 goes to the bounds.
    device : torch.device

    Attributes
    ----------
    losses : list of (n,) Tensor
        Running losses; 0 for a face that has not been drawn yet.
    factors : list of (n,) float64 Tensor
        As of the last `refresh`.
    """

    def __init__(
        self, weights: Sequence[NDArray[np.float64]], strength: float, device: torch.device
    ) -> None:
        self._weights = weights
        self._strength = strength
        self.losses = [torch.zeros(len(each), device=device) for each in weights]
        self.factors = [torch.ones(len(each), dtype=torch.float64) for each in weights]

    @torch.no_grad()
    def observe(self, identity: int, drawn: NDArray[np.int64], losses: Tensor) -> None:
        """Take the losses (b,) of faces that were drawn, by their rows; one may come twice."""
        running = self.losses[identity]
        rows = torch.from_numpy(drawn).to(running.device)
        total = torch.zeros_like(running).index_add_(0, rows, losses.to(running.dtype))
        times = torch.zeros_like(running).index_add_(0, rows, torch.ones_like(losses))
        newest = total / times.clamp_min(1.0)
        blended = torch.where(running > 0.0, torch.lerp(running, newest, MEMORY), newest)
        self.losses[identity] = torch.where(times > 0.0, blended, running)

    def refresh(self) -> None:
        """Make factors of the running losses."""
        for identity, running in enumerate(self.losses):
            seen = running > 0.0
            if not bool(seen.any()):
                continue
            share = (running / running[seen].median()).double().cpu()
            factor = share.clamp(1.0 / BOUND, BOUND) ** self._strength
            self.factors[identity] = torch.where(seen.cpu(), factor, torch.ones_like(factor))

    def weights(self) -> list[NDArray[np.float64]]:
        """Return how often each face is drawn now, of performer and likeness."""
        pairs = zip(self._weights, self.factors, strict=True)
        return [bounded(weight * factor.numpy()) for weight, factor in pairs]
