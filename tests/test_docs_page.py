"""The page about the blend shows what there is: its pictures, and every choice an artist has."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from semblance.knobs import Knob, declared

DOCS = Path(__file__).resolve().parents[1] / "docs"
PAGE = (DOCS / "blend.md").read_text(encoding="utf-8")
SHOWN = ("blend_mode", "colour_match", "light_match", "detail_match", "grain_match")


def test_the_page_shows_every_picture_and_no_other() -> None:
    shown = set(re.findall(r"!\[[^]]+\]\((pictures/blend/[^)]+)\)", PAGE))
    there = {path.relative_to(DOCS).as_posix() for path in DOCS.glob("pictures/blend/*")}
    assert shown == there
    assert sum((DOCS / name).stat().st_size for name in there) <= 3_000_000


def test_the_pages_links_lead_somewhere() -> None:
    for name in re.findall(r"\]\(([^)#:]+)", PAGE):
        assert (DOCS / name).exists(), name


@pytest.mark.parametrize("knob", [knob for knob in declared() if knob.name in SHOWN])
def test_every_choice_of_the_blend_is_on_the_page(knob: Knob) -> None:
    for choice in knob.choices or (knob.name,):
        assert f"`{choice}`" in PAGE, choice
