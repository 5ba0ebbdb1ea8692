"""The run's page: how far it is, its losses, its pictures, what the faces cover, the hardest ones.

`dashboard.html` holds everything in itself and loads itself anew while the run goes on; beside it
are `coverage.png`, and `hardest.json`, which another run takes as `--hard`.
"""

from __future__ import annotations

import base64
from collections.abc import Sequence
from html import escape
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np
from PIL import Image
from torch import Tensor

from semblance.train.checkpoint import PEOPLE, write_text
from semblance.train.coverage import holes
from semblance.train.coverage_picture import coverage_picture
from semblance.train.curves import Curves, drawn
from semblance.train.hard import written_hard
from semblance.train.preview import write_picture

if TYPE_CHECKING:
    from semblance.train.trainer import Trainer

__all__ = ["Outlook"]

REFRESH: Final = 10
"""Seconds after which an open page loads itself anew."""

HARDEST: Final = 8
LISTED: Final = 50
"""Faces of each person that are shown, and that are listed for another run."""

THUMBNAIL: Final = 96
QUALITY: Final = 85

_STYLE: Final = """
:root { color-scheme: light dark; --ink: #1b1b1b; --dim: #5a5a5a; --paper: #fff; --rule: #d0d0d0; }
@media (prefers-color-scheme: dark) { :root { --ink: #e8e8e8; --dim: #adadad; --paper: #161616;
  --rule: #474747; } }
body { margin: 0 auto; padding: 1rem 1.25rem 3rem; max-width: 72rem; background: var(--paper);
  color: var(--ink); font: 16px/1.5 system-ui, sans-serif; }
h1 { font-size: 1.5rem; } h2 { font-size: 1.15rem; margin: 2rem 0 .5rem; }
.dim { color: var(--dim); } img { max-width: 100%; height: auto; }
ol { display: flex; flex-wrap: wrap; gap: .75rem; list-style: none; padding: 0; }
li figure { margin: 0; width: 7.5rem; overflow-wrap: anywhere; font-size: .8rem; }
svg { width: 100%; height: auto; } svg text { fill: var(--dim); font: 12px system-ui, sans-serif; }
svg .rule { stroke: var(--rule); } progress { width: 100%; }
"""
_POLICY: Final = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"


class Outlook:
    """Keeps a run's page.

    Attributes
    ----------
    holes : tuple of str
        What the faces of one person lack beside the other's.
    """

    def __init__(self, run: Path, trainer: Trainer) -> None:
        self._run, self._trainer = run, trainer
        self._curves = Curves(run / "losses.jsonl")
        performer, likeness = (each.coverage for each in trainer.people)
        self.holes = (
            *holes("likeness", likeness, performer, "performer"),
            *holes("performer", performer, likeness, "likeness"),
        )
        covered = dict(zip(PEOPLE, (performer, likeness), strict=True))
        picture = coverage_picture(covered, self.holes)
        write_picture(run / "coverage.png", np.asarray(picture))
        self._coverage = _png(picture)

    def write(self, rate: float, seconds_left: float, ended: bool) -> None:
        """Write the page, and `hardest.json`.

        Parameters
        ----------
        rate : float
            Steps per second.
        seconds_left : float
        ended : bool
            Whether this is the page that stays.
        """
        trainer = self._trainer
        self._curves.read_on()
        hardest = [self._hardest(who) for who in (0, 1)]
        step, steps = trainer.state.step, trainer.config.steps
        left = f"{rate:.2f} steps a second, about {seconds_left / 60.0:.0f} minutes left"
        words = "Stopped or done." if ended else left
        body = [
            f"<h1>Training: {escape(self._run.resolve().name)}</h1>",
            f'<progress max="1" value="{trainer.share:.4f}">{trainer.share:.0%}</progress>',
            f"<p>Step {step} of {steps}. {words}</p>",
            f"<h2>Losses</h2>{drawn(self._curves)}",
        ]
        preview = self._run / "preview.png"
        if preview.exists():
            body.append(
                "<h2>Preview</h2><p class='dim'>Performer; the same at strengths 0, .25, .5, .75 "
                "and 1; a likeness's picture and its reconstruction.</p>"
                f'<img alt="Preview sheet" src="{_jpeg_of(preview)}">'
            )
        told = "".join(f"<p>{escape(text)}</p>" for text in self.holes)
        body.append(
            f"<h2>Coverage</h2>{told or '<p>Neither person lacks what the other has.</p>'}"
            f'<img alt="Faces by yaw and pitch" src="{self._coverage}">'
        )
        for name, who, rows in zip(PEOPLE, (0, 1), hardest, strict=True):
            cells = "".join(self._cell(who, row) for row in rows[:HARDEST])
            if cells:
                body.append(f"<h2>Hardest faces of the {name}</h2><ol>{cells}</ol>")
        again = "" if ended else f'<meta http-equiv="refresh" content="{REFRESH}">'
        write_text(
            self._run / "dashboard.html",
            f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8">{again}\n'
            f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">\n'
            f"<title>{step} of {steps}: training</title><style>{_STYLE}</style></head>\n"
            f"<body><main>\n{chr(10).join(body)}\n</main></body></html>\n",
        )
        listed = [
            (trainer.people[who].frames[row], f"loss {float(trainer.mining.losses[who][row]):.3f}")
            for who in (0, 1)
            for row in hardest[who]
        ]
        write_text(self._run / "hardest.json", written_hard(listed) + "\n")

    def _hardest(self, who: int) -> Sequence[int]:
        """Return the rows of a person's hardest faces, the hardest first."""
        losses = self._trainer.mining.losses[who].cpu().numpy()
        order = np.argsort(-losses, kind="stable")[:LISTED]
        return [int(row) for row in order if losses[row] > 0.0]

    def _cell(self, who: int, row: int) -> str:
        trainer = self._trainer
        source, frame = trainer.people[who].frames[row]
        name = source if frame is None else f"{source}, frame {frame}"
        loss = float(trainer.mining.losses[who][row])
        picture = _pixels(trainer.sampler.still(who, row))
        return (
            f'<li><figure><img alt="" src="{_jpeg(picture, THUMBNAIL)}">'
            f"<figcaption>{escape(name)}<br>loss {loss:.3f}</figcaption></figure></li>"
        )


def _pixels(picture: Tensor) -> Image.Image:
    codes = (picture[0].permute(1, 2, 0).cpu().numpy() * 255.0).round().astype(np.uint8)
    return Image.fromarray(codes)


def _jpeg(picture: Image.Image, side: int) -> str:
    stream = BytesIO()
    picture.resize((side, side), Image.Resampling.BOX).save(stream, "JPEG", quality=QUALITY)
    return _uri(stream.getvalue(), "jpeg")


def _jpeg_of(path: Path) -> str:
    with Image.open(path) as stored:
        stream = BytesIO()
        stored.convert("RGB").save(stream, "JPEG", quality=QUALITY)
    return _uri(stream.getvalue(), "jpeg")


def _png(picture: Image.Image) -> str:
    stream = BytesIO()
    picture.save(stream, "png")
    return _uri(stream.getvalue(), "png")


def _uri(data: bytes, kind: str) -> str:
    return f"data:image/{kind};base64,{base64.b64encode(data).decode('ascii')}"
