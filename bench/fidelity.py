"""How faithful is a likeness? Renders the studio shots in memory and scores them against the truth.

    python bench/fidelity.py --model examples/likeness.onnx
    python bench/fidelity.py --model run.onnx --shots monologue --frames 1001-1012 --truth-track
    python bench/fidelity.py --model run.onnx --knob light_match=0.5 --json fidelity.json

Frames go through the one pipeline that every door calls; no file is written but the JSON. The shots
are read from ../shared/studio beside the repository; without it the bench says so and does nothing.
Figures are those of docs/score.md.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from semblance import colour, pipeline, score
from semblance.errors import SemblanceError
from semblance.exr import Sequence, read_plate, read_roto
from semblance.face import Face, Roto, Track
from semblance.knobs import Knobs, declared
from semblance.model import Likeness
from semblance.plate import Plate
from semblance.track.analyse import track_shot
from semblance.track.file import load_track
from semblance.track.provider import DEFAULT_PROVIDER, FaceProvider, open_provider
from semblance.track.smooth import smooth

STUDIO = Path(__file__).resolve().parents[2] / "shared" / "studio"
SHOTS = ("monologue", "song", "occlusion")

GAIN, PROGRESS, FLICKER, PERFORMER = 3.0, 0.7, 0.6, 28.0
"""What is asked of `monologue`: decibels above the plate, progress and flicker at strength 1, and
decibels against the plate at strength 0."""


@dataclass(frozen=True)
class Shot:
    """A shot with its truth, read once."""

    name: str
    sequence: Sequence
    plates: Mapping[int, Plate]
    truths: Mapping[int, Plate]
    masks: Mapping[int, Roto]
    points: Mapping[int, np.ndarray]
    points_truth: Mapping[int, np.ndarray]

    @property
    def frames(self) -> tuple[int, ...]:
        return tuple(self.plates)


def read_shot(folder: Path, frames: str | None) -> Shot:
    """Read a shot's plates, truths, masks and true landmarks, or a range of them."""
    plate, truth, mask = (
        Sequence.parse(folder / f"{name}.####.exr") for name in ("plate", "truth", "mask")
    )
    chosen = plate.select(frames)
    known = json.loads((folder / "truth.json").read_text())
    return Shot(
        folder.name,
        plate,
        {frame: read_plate(plate.path(frame)) for frame in chosen},
        {frame: read_plate(truth.path(frame)) for frame in chosen},
        {frame: read_roto(mask.path(frame)) for frame in chosen},
        {frame: np.array(known[str(frame)]["landmarks_plate"]) for frame in chosen},
        {frame: np.array(known[str(frame)]["landmarks_truth"]) for frame in chosen},
    )


def true_track(shot: Shot) -> Track:
    """Return the track that a perfect tracker would make."""
    first = next(iter(shot.plates.values())).display_window
    colour_knobs = Knobs().colour
    faces = {}
    for frame, plate in shot.plates.items():
        face = Face(shot.points[frame], source="truth")
        luma = pipeline.face_luma(plate, face, colour_knobs)
        faces[frame] = replace(face, luma=luma)
    return Track(faces, (first.width, first.height), 1.0, shot.frames, {"provider": "truth"})


def find_track(shot: Shot, provider: FaceProvider, knobs: Knobs) -> Track:
    """Track the shot as `semblance track` does."""
    return track_shot(
        shot.sequence, shot.frames, provider, knobs.colour, lambda frame, face: None, lambda: False
    )


def landmark_error(shot: Shot, track: Track) -> float | None:
    """Return the mean distance of the track's inner landmarks to the true ones, in pixels."""
    away = [
        np.linalg.norm(track.faces[frame].landmarks[17:] - points[17:], axis=1).mean()
        for frame, points in shot.points.items()
        if frame in track.faces
    ]
    return float(np.mean(away)) if away else None


def render(
    shot: Shot, track: Track, network: pipeline.Network, knobs: Knobs, stops: float
) -> dict[int, pipeline.Result]:
    """Render all frames of a shot in memory."""
    return {
        frame: pipeline.render(plate, track.faces.get(frame), network, knobs, stops=stops)
        for frame, plate in shot.plates.items()
    }


def measure(
    shot: Shot,
    track: Track,
    network: pipeline.Network,
    knobs_at: Callable[[float, str], Knobs],
    strengths: tuple[float, ...],
    provider: FaceProvider | None = None,
) -> dict[str, Any]:
    """Render a shot at several strengths and score each.

    Parameters
    ----------
    knobs_at : callable
        Gives the knobs of a strength and a view.
    provider : FaceProvider, optional
        Measures `expression` at the highest strength.
    """
    stops = colour.auto_stops(face.luma for face in track.faces.values() if face.luma is not None)
    knobs = knobs_at(strengths[-1], "result")
    smoothed = smooth(track, knobs.track.smoothing)
    report: dict[str, Any] = {
        "shot": shot.name,
        "frames": len(shot.frames),
        "found": len(smoothed.faces),
        "track": dict(track.made_by).get("provider", "file"),
        "landmark_error_px": landmark_error(shot, smoothed),
        "strengths": {},
    }
    for strength in strengths:
        results = render(shot, smoothed, network, knobs_at(strength, "result"), stops)
        last = strength == strengths[-1]
        mattes = render(shot, smoothed, network, knobs_at(strength, "matte"), stops) if last else {}
        pictures = (
            score.Pictures(
                frame,
                result.plate,
                shot.truths[frame],
                shot.masks[frame],
                shot.plates[frame],
                mattes[frame].plate.picture()[..., 0] if last else None,
                track.faces.get(frame),
                shot.points_truth[frame],
            )
            for frame, result in results.items()
        )
        found = score.score_frames(pictures, stops=stops, provider=provider if last else None)
        figures = found.to_json()
        figures["psnr_to_plate"] = distance_to_plate(shot, results, stops)
        figures["milliseconds"] = stage_times(results)
        report["strengths"][f"{strength:g}"] = figures
    report["checks"] = checks(report["strengths"])
    return report


def distance_to_plate(
    shot: Shot, results: Mapping[int, pipeline.Result], stops: float
) -> float | None:
    """Return the mean PSNR of the results against the plate inside the mask; None where equal."""
    pictures = (
        score.Pictures(frame, result.plate, shot.plates[frame], shot.masks[frame])
        for frame, result in results.items()
    )
    value = score.score_frames(pictures, stops=stops).mean["psnr"]
    return round(value, 4) if np.isfinite(value) else None


def stage_times(results: Mapping[int, pipeline.Result]) -> dict[str, float]:
    """Return the median milliseconds of each stage over the frames, the first one left out."""
    made = [result.statistics.milliseconds for result in results.values()]
    made = [times for times in made[1:] or made if times]
    return {
        stage: round(float(np.median([times[stage] for times in made])), 2)
        for stage in (made[0] if made else {})
    }


def checks(strengths: Mapping[str, Mapping[str, Any]]) -> dict[str, bool]:
    """Return what the issue asks for, and whether it holds."""
    full = strengths[max(strengths, key=float)]
    mean = full["mean"]
    held = {
        f"PSNR at least {GAIN:g} dB above the plate's": (
            mean["psnr"] is None or mean["psnr"] >= mean["plate_psnr"] + GAIN
        ),
        "SSIM above the plate's": mean["ssim"] > mean["plate_ssim"],
        f"progress at least {PROGRESS:g}": mean["progress"] >= PROGRESS,
        "outside the matte bit-identical": full["worst"]["outside"]["value"] == 0,
    }
    if "flicker" in mean:
        held[f"flicker at most {FLICKER:g}"] = mean["flicker"] <= FLICKER
    if len(strengths) > 1:
        decibels = [strengths[key]["mean"]["psnr"] or np.inf for key in strengths]
        steps = [strengths[key]["mean"]["progress"] for key in strengths]
        held["distance to the truth falls with strength"] = all(
            a < b for a, b in pairwise(decibels)
        )
        held["progress rises with strength"] = all(a < b for a, b in pairwise(steps))
    if "0" in strengths:
        near = strengths["0"]["psnr_to_plate"]
        held[f"strength 0 at least {PERFORMER:g} dB to the plate"] = (
            near is None or near >= PERFORMER
        )
    return held


COLUMNS = ("psnr", "ssim", "progress", "residual", "flicker", "seam", "light_slope",
           "light_correlation", "expression", "occluder", "hdr_high", "outside")  # fmt: skip


def table(reports: list[dict[str, Any]]) -> str:
    """Return the figures as Markdown: a table for each shot, mean (worst frame), and its checks."""
    lines: list[str] = []
    for report in reports:
        first = next(iter(report["strengths"].values()))
        plate = first["mean"]
        error = report["landmark_error_px"]
        lines += [
            f"## {report['shot']}",
            f"{report['frames']} frames, a face in {report['found']}, track: {report['track']}"
            + (f" ({error:.2f} px off)" if error is not None else "")
            + f", exposure {first['stops']:+.2f} stops. The plate itself: "
            f"{plate['plate_psnr']:.2f} dB, SSIM {plate['plate_ssim']:.4f}.",
            "",
            "| strength | " + " | ".join(COLUMNS) + " | dB to plate |",
            "| --- " * (len(COLUMNS) + 2) + "|",
        ]
        for strength, figures in report["strengths"].items():
            cells = [_cell(figures, name) for name in COLUMNS]
            near = figures["psnr_to_plate"]
            cells.append("∞" if near is None else f"{near:.2f}")
            lines.append(f"| {strength} | " + " | ".join(cells) + " |")
        lines.append("")
        lines += [f"- {'yes' if ok else '**no**'}: {name}" for name, ok in report["checks"].items()]
        times = list(report["strengths"].values())[-1]["milliseconds"]
        shown = ", ".join(f"{stage} {value:g}" for stage, value in times.items())
        lines += [f"- median milliseconds: {shown or 'none'}", ""]
    return "\n".join(lines)


def _cell(figures: Mapping[str, Any], name: str) -> str:
    if name not in figures["mean"]:
        return ""
    mean, worst = figures["mean"][name], figures["worst"][name]["value"]
    if name == "outside":
        return f"{worst:g}"
    digits = 2 if name == "psnr" else 3
    return " ".join(
        "∞" if value is None else text.format(f"{value:.{digits}f}")
        for value, text in ((mean, "{}"), (worst, "({})"))
    )


def parse(arguments: list[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=(__doc__ or "").split("\n\n")[0],
        epilog="Knobs are those of `semblance apply`.",
    )
    parser.add_argument("--model", type=Path, required=True, help="likeness (.onnx)")
    parser.add_argument("--shots", default=",".join(SHOTS), help="names, by commas")
    parser.add_argument("--frames", help="range of each shot, as 1001-1012; all without it")
    parser.add_argument("--strengths", default="0,0.25,0.5,0.75,1", help="numbers, by commas")
    parser.add_argument("--knob", action="append", default=[], metavar="NAME=VALUE")
    parser.add_argument("--track", action="append", default=[], metavar="SHOT=FILE",
                        help="track file of a shot; without one it is tracked here")  # fmt: skip
    parser.add_argument("--truth-track", action="store_true",
                        help="the true landmarks: what a perfect tracker would give")  # fmt: skip
    parser.add_argument("--tracker", default=DEFAULT_PROVIDER, help="face provider")
    parser.add_argument("--models-dir", type=Path, help="folder of the provider's models")
    parser.add_argument("--expression", action="store_true",
                        help="measure expression too, with the tracker")  # fmt: skip
    parser.add_argument("--provider", default="auto", help="compute provider of the likeness")
    parser.add_argument("--json", type=Path, metavar="OUT", help="write all figures there")
    return parser.parse_args(arguments)


def knob_values(given: list[str]) -> dict[str, Any]:
    """Return ``{name: value}`` of NAME=VALUE texts, numbers and on/off as the knob's kind says."""
    kinds = {declaration.name: declaration.kind for declaration in declared()}
    values: dict[str, Any] = {}
    for text in given:
        name, _, value = text.partition("=")
        kind = kinds.get(name)
        if kind == "bool":
            values[name] = value.lower() in ("1", "true", "on", "yes")
        elif kind in ("float", "int"):
            values[name] = float(value)
        else:
            values[name] = value
    return values


def main(arguments: list[str] | None = None) -> int:
    """Run the bench; 0 when it ran, whatever the figures, 1 when it could not."""
    options = parse(arguments)
    if not STUDIO.is_dir():
        print(f"skipped: the studio set is not at {STUDIO}")
        return 0
    try:
        reports = run(options)
    except (SemblanceError, ValueError) as error:
        print(error, file=sys.stderr)
        return 1
    print(table(reports))
    if options.json is not None:
        document = {"model": options.model.name, "knobs": options.knob, "shots": reports}
        options.json.write_text(json.dumps(document, indent=1, allow_nan=False) + "\n")
    return 0


def run(options: argparse.Namespace) -> list[dict[str, Any]]:
    """Measure every shot that was asked for."""
    values = knob_values(options.knob)
    tracks = dict(text.split("=", 1) for text in options.track)
    strengths = tuple(sorted(float(text) for text in options.strengths.split(",")))
    network = Likeness.open(options.model, provider=options.provider)

    def knobs_at(strength: float, view: str) -> Knobs:
        return Knobs.from_flat({**values, "identity_strength": strength, "view": view})

    names = options.shots.split(",")
    tracked = not options.truth_track and any(name not in tracks for name in names)
    provider = (
        open_provider(options.tracker, options.models_dir)
        if tracked or options.expression
        else None
    )
    reports = []
    for name in names:
        shot = read_shot(STUDIO / name, options.frames)
        if options.truth_track:
            track = true_track(shot)
        elif name in tracks:
            track = load_track(Path(tracks[name]))
        else:
            track = find_track(shot, provider, knobs_at(strengths[-1], "result"))
        expression = provider if options.expression else None
        reports.append(measure(shot, track, network, knobs_at, strengths, expression))
    return reports


if __name__ == "__main__":
    sys.exit(main())
