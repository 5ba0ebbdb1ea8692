"""What a person looks at while a run goes on: the preview sheet, the losses and their plot."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from semblance.train.network import LIKENESS, PERFORMER

if TYPE_CHECKING:
    from semblance.train.trainer import Trainer

__all__ = ["append_losses", "loss_plot", "preview_sheet", "write_picture"]

STRENGTHS: Final = (0.0, 0.25, 0.5, 0.75, 1.0)
ROWS: Final = 4
LARGEST: Final = 128
"""Side of a preview's pictures, in pixels, at most."""

PLOT: Final = (900, 420)
MARGIN: Final = 50
COLOURS: Final = {
    "loss": (40, 40, 40),
    "structure": (200, 90, 30),
    "luma": (60, 150, 60),
    "features": (40, 60, 210),
    "chroma": (170, 60, 160),
}


@torch.no_grad()
def preview_sheet(run: Path, trainer: Trainer) -> None:
    """Write `preview.png`.

    Each row: the performer's picture, the same at strengths 0, .25, .5, .75 and 1; then a
    likeness's picture and its own reconstruction.
    """
    sampler, net = trainer.sampler, trainer.average
    net.eval()
    sheet = []
    for row in range(ROWS):
        performer = sampler.still(PERFORMER, sampler.spread(PERFORMER, row, ROWS))
        likeness = sampler.still(LIKENESS, sampler.spread(LIKENESS, row, ROWS))
        cells = [performer]
        for strength in STRENGTHS:
            cells.append(net(performer, torch.tensor([strength], device=trainer.device))[0])
        one = torch.ones(1, device=trainer.device)
        code = net.normalise(net.encoder(likeness), one)
        cells += [likeness, net.decode(code, one)[:, :3]]
        sheet.append(torch.cat(cells, dim=3))
    whole = torch.cat(sheet, dim=2)[0].permute(1, 2, 0).cpu().numpy()
    if trainer.config.size > LARGEST:
        scale = LARGEST / trainer.config.size
        whole = cv2.resize(whole, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    write_picture(run / "preview.png", np.rint(whole * 255.0).astype(np.uint8))


def append_losses(run: Path, pending: Sequence[tuple[int, dict[str, Tensor]]]) -> dict[str, float]:
    """Append steps to `losses.jsonl`; give the newest step's terms."""
    rows = [
        {"step": step, **{name: float(value) for name, value in losses.items()}}
        for step, losses in pending
    ]
    with (run / "losses.jsonl").open("a", encoding="utf-8") as file:
        file.writelines(json.dumps(row) + "\n" for row in rows)
    return {name: value for name, value in rows[-1].items() if name != "step"}


def read_losses(run: Path) -> list[dict[str, Any]]:
    """Read the rows of `losses.jsonl`, one per step; of a step done twice, the later."""
    rows: dict[int, dict[str, Any]] = {}
    path = run / "losses.jsonl"
    if not path.exists():
        return []
    for line in path.read_text(encoding="utf-8").splitlines():
        try:
            row = json.loads(line)
        except ValueError:
            continue  # the line that a killed run was writing
        rows[row["step"]] = row
    return [rows[step] for step in sorted(rows)]


def loss_plot(run: Path) -> None:
    """Write `loss.png`: the terms over the steps, smoothed, on a logarithmic scale."""
    rows = read_losses(run)
    if len(rows) < 2:
        return
    width, height = PLOT
    sheet = np.full((height, width, 3), 255, dtype=np.uint8)
    steps = np.array([row["step"] for row in rows], dtype=np.float64)
    curves = {
        name: _smoothed(np.array([row[name] for row in rows], dtype=np.float64))
        for name in COLOURS
        if name in rows[0]
    }
    low = np.log10(max(min(float(c.min()) for c in curves.values()), 1e-5))
    high = np.log10(max(float(c.max()) for c in curves.values()))
    x = MARGIN + (steps - steps[0]) / max(np.ptp(steps), 1.0) * (width - 2 * MARGIN)
    for value in _ticks(low, high):
        y = _height(np.array([value]), low, high, height)[0]
        cv2.line(sheet, (MARGIN, int(y)), (width - MARGIN, int(y)), (225, 225, 225), 1)
        _write(sheet, f"{value:g}", (6, int(y) + 4), (110, 110, 110))
    for row, (name, curve) in enumerate(curves.items()):
        y = _height(np.maximum(curve, 1e-5), low, high, height)
        points = np.stack([x, y], axis=1).round().astype(np.int32)
        cv2.polylines(sheet, [points], False, COLOURS[name], 1, cv2.LINE_AA)
        label = f"{name} {curve[-1]:.4f}"
        _write(sheet, label, (width - MARGIN - 130, MARGIN + 16 * row), COLOURS[name])
    _write(sheet, f"step {int(steps[-1])}", (MARGIN, height - 14), (110, 110, 110))
    write_picture(run / "loss.png", sheet)


def _smoothed(curve: NDArray[np.float64]) -> NDArray[np.float64]:
    span = max(1, len(curve) // 100)
    padded = np.concatenate([np.full(span - 1, curve[0]), curve])
    return np.convolve(padded, np.full(span, 1.0 / span), mode="valid")


def _ticks(low: float, high: float) -> list[float]:
    decades = range(int(np.floor(low)), int(np.ceil(high)) + 1)
    values = [m * 10.0**d for d in decades for m in (1, 2, 5)]
    return [value for value in values if low <= np.log10(value) <= high]


def _height(
    values: NDArray[np.float64], low: float, high: float, height: int
) -> NDArray[np.float64]:
    share = (np.log10(values) - low) / max(high - low, 1e-9)
    result: NDArray[np.float64] = height - MARGIN - share * (height - 2 * MARGIN)
    return result


def _write(
    sheet: NDArray[np.uint8], text: str, at: tuple[int, int], colour: tuple[int, int, int]
) -> None:
    cv2.putText(sheet, text, at, cv2.FONT_HERSHEY_SIMPLEX, 0.4, colour, 1, cv2.LINE_AA)


def write_picture(path: Path, rgb: NDArray[np.uint8]) -> None:
    """Write a picture, (h, w, 3) uint8, as PNG; it appears whole."""
    done, data = cv2.imencode(".png", rgb[:, :, ::-1])
    if not done:
        raise OSError(f"{path} can't be encoded")
    partial = path.with_name(path.name + ".partial")
    partial.write_bytes(data.tobytes())
    os.replace(partial, path)
