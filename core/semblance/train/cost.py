"""What a network costs, from its definition alone: parameters, and operations per picture."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch.utils.flop_counter import FlopCounterMode

from semblance.train.network import LikenessNet, NetworkConfig

__all__ = ["Cost", "cost_of", "cost_table"]

TRAINING = 3.0
"""A step of training costs so many forward passes: the backward one has twice the products."""


@dataclass(frozen=True)
class Cost:
    """What a network costs.

    Parameters
    ----------
    parameters : int
        Numbers that are learned.
    render : float
        Operations for one look at one picture in use, in units of 10^9: encoder once, decoder
        twice, for the likeness and for the network's own picture of the performer. A multiplication
        with its addition is two.
    train : float
        The same for one face in a step of training: encoder and decoder once, three times over.
    """

    parameters: int
    render: float
    train: float


def cost_of(config: NetworkConfig) -> Cost:
    """Count a network; nothing is computed, and no memory taken."""
    with torch.device("meta"):
        network = LikenessNet(config).eval()
        image = torch.empty((1, 3, config.size, config.size))
        one = torch.ones(1)
    with torch.no_grad():
        with FlopCounterMode(display=False) as render:
            network(image, one)
        with FlopCounterMode(display=False) as once:
            network.decode(network.normalise(network.encoder(image), one), one)
    count = sum(each.numel() for each in network.parameters())
    return Cost(count, render.get_total_flops() / 1e9, TRAINING * once.get_total_flops() / 1e9)


def cost_table(sizes: Sequence[int]) -> str:
    """Return a Markdown table of the default network at these picture sizes."""
    rows = [
        "| size | parameters | GFLOP a look | GFLOP a face in training |",
        "| --- | --- | --- | --- |",
    ]
    for size in sizes:
        cost = cost_of(NetworkConfig(size=size))
        rows.append(
            f"| {size} | {cost.parameters / 1e6:.1f} M | {cost.render:.2f} | {cost.train:.2f} |"
        )
    return "\n".join(rows)
