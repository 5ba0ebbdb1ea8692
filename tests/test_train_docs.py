"""The page about training says what is so."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

torch = pytest.importorskip("torch", reason="training needs the extra 'train'")

from semblance.cli import main  # noqa: E402
from semblance.train.cost import cost_of, cost_table  # noqa: E402
from semblance.train.network import LikenessNet, NetworkConfig  # noqa: E402

DOCS = Path(__file__).resolve().parents[1] / "docs"
PAGE = (DOCS / "training.md").read_text(encoding="utf-8")
SIZES = (64, 128, 256, 512, 1024)


def test_the_table_of_costs_is_the_networks() -> None:
    found = re.search(r"<!-- cost -->\n(.*?)\n<!-- /cost -->", PAGE, re.DOTALL)
    assert found is not None
    assert found[1] == cost_table(SIZES), "put this table into docs/training.md"


def test_the_counted_costs_are_the_convolutions() -> None:
    """Against a count by hand of one layer, and the parameters of the network as it is trained."""
    config = NetworkConfig(size=32)
    network = LikenessNet(config)
    cost = cost_of(config)
    assert cost.parameters == sum(each.numel() for each in network.parameters())
    first = 2 * 3 * 5 * 5 * config.encoder * 16 * 16 / 1e9
    assert first < cost.train / 3.0 < cost.render < 2.0 * cost.train / 3.0


@pytest.mark.parametrize("size", SIZES)
def test_a_network_of_every_size_draws_pictures_of_it(size: int) -> None:
    with torch.device("meta"):
        made = LikenessNet(NetworkConfig(size=size)).eval()(
            torch.empty(1, 3, size, size), torch.ones(1)
        )
    assert [tuple(each.shape) for each in made] == [
        (1, 3, size, size), (1, 1, size, size), (1, 3, size, size)
    ]  # fmt: skip


def test_the_pages_options_and_links_exist(capsys) -> None:
    helps = ""
    for command in ("faceset", "train", "export", "review", "apply"):
        main([command, "--help"])
        helps += capsys.readouterr().out
    for option in set(re.findall(r"--[a-z][a-z-]+", PAGE)) - {"--no-python", "--nproc-per-node"}:
        assert option in helps, option
    for name in re.findall(r"\]\(([^)#:]+)", PAGE):
        assert (DOCS / name).exists(), name
