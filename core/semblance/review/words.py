"""A shot's quality in a few lines of text."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from semblance.exr.sequence import compact

__all__ = ["qc_score", "qc_summary"]


def qc_summary(summary: Mapping[str, Any]) -> str:
    """Return what an artist must know of a rendered shot, in a few lines.

    Parameters
    ----------
    summary : mapping
        `ShotSummary.to_json()`, with `output` and `release` where they are to be told.
    """
    times = summary["milliseconds"]
    spent = sum(stage["median"] for stage in times.values())
    slowest = max(times, key=lambda name: times[name]["median"], default="")
    lines = [
        ("result", summary.get("output", "")),
        ("frames", f"{summary['frames']} in {summary['seconds']:.1f} s"),
        ("faces", f"in {summary['found']} of them"),
        ("passed", _listed(summary["passed"], "without a face: the plate itself")),
        ("failed", _listed(summary["failed"], "not written")),
        ("compute", f"{summary['provider']}, {summary['peak_memory_mb']:.0f} MB at most"),
        ("per frame", f"{spent:.0f} ms, most of it {slowest}" if times else ""),
        ("release", summary.get("release", "")),
        *(("note", note) for note in summary["notes"]),
    ]
    return "\n".join(f"{name:<10}{text}" for name, text in lines if text)


def qc_score(scores: Mapping[str, Any]) -> str:
    """Return the figures that say most of a scored shot, in one line.

    Parameters
    ----------
    scores : mapping
        `ShotScore.to_json()`; figures that were not taken are left out.
    """
    wanted = {
        "psnr": "PSNR {:.2f} dB",
        "plate_psnr": "plate's own {:.2f} dB",
        "ssim": "SSIM {:.3f}",
        "progress": "progress {:.2f}",
        "flicker": "flicker {:.2f}",
        "outside": "changed outside the matte {:.0f}",
    }
    there = ((text, scores["mean"].get(name)) for name, text in wanted.items())
    return ", ".join(text.format(value) for text, value in there if value is not None)


def _listed(frames: Iterable[int | str], what: str) -> str:
    text = compact(map(int, frames))
    return f"{text} ({what})" if text else ""
