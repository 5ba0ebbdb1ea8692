"""Looking at what is there: sheets, scores, descriptions, and the installation itself."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import click

from semblance.cli.options import DONE, FAILED, FILE, FRAMES, INPUT_SPACE, JSON, frames_in_work
from semblance.cli.terminal import print_json
from semblance.knobs import ColourKnobs

__all__ = ["doctor", "info", "review", "score"]


@click.command()
@click.argument("plate")
@click.argument("result")
@click.option("-o", "--output", type=FILE, required=True, help="The contact sheet (PNG).")
@click.option("-m", "--model", type=FILE, required=True, help="Model that the result came from.")
@click.option("-t", "--track", "track_path", type=FILE, required=True, help="Track, likewise.")
@click.option("--truth", metavar="PATTERN", help="The perfect result, where it is known.")
@click.option(
    "--mask", metavar="PATTERN", help="Where result and truth are compared; adds the score."
)
@FRAMES
def review(
    plate: str,
    result: str,
    output: Path,
    model: Path,
    track_path: Path,
    truth: str | None,
    mask: str | None,
    frames: str | None,
) -> int:
    """Write a contact sheet of RESULT: plate, matte, patch, result and truth.

    Matte and patch are rendered again with the knobs that the result's frames carry.
    """
    from semblance import review as sheets
    from semblance.exr import Sequence as Frames
    from semblance.model import Likeness
    from semblance.pipeline import shot_stops
    from semblance.score import score_shot
    from semblance.track.file import load_track

    if mask and not truth:
        raise click.UsageError("A mask says where a truth is compared; name one with --truth.")
    plates, results = Frames.parse(plate), Frames.parse(result)
    truths = Frames.parse(truth) if truth else None
    numbers = frames_in_work(results, frames)
    track = load_track(track_path)
    sheets.shot_sheet(
        plates,
        results,
        output,
        track=track,
        network=Likeness.open(model),
        stops=shot_stops(plates, track, ColourKnobs()),
        frames=sheets.spread(numbers),
        truths=truths,
        caption=f"{results}    {model.name}",
    )
    click.echo(f"result    {results}\nsheet     {output}")
    if truths is not None and mask:
        scored = score_shot(
            results, truths, Frames.parse(mask), track=track, frames=numbers, plate=plates
        )
        click.echo(f"score     {sheets.qc_score(scored.to_json())}")
    return DONE


@click.command()
@click.argument("path", type=click.Path(path_type=Path))
@JSON
def info(path: Path, as_json: bool) -> int:
    """Describe PATH: an EXR frame, a track, drawn shapes, a model, a release, a faceset, a run."""
    from semblance.info import describe, listing

    described = describe(path)
    if as_json:
        print_json(described)
    else:
        click.echo(listing(described))
    return DONE


@click.command()
@JSON
def doctor(as_json: bool) -> int:
    """Check the installation, and say what to do where something is missing."""
    from semblance.doctor import examine

    checks = []
    for check in examine():
        checks.append(check)
        if not as_json:
            mark = "ok  " if check.good else "FAIL" if check.essential else "none"
            remedy = "" if check.good else f"\n       {check.remedy}"
            click.echo(f"{mark}   {check.name:<18} {check.found}{remedy}")
    if as_json:
        print_json({"checks": [asdict(check) for check in checks]})
    return FAILED if any(check.essential and not check.good for check in checks) else DONE


@click.command()
@click.argument("result")
@click.argument("truth")
@click.option("--mask", required=True, metavar="PATTERN", help="Where they are compared.")
@click.option("-t", "--track", "track_path", type=FILE, required=True, help="Of the plate.")
@click.option("--plate", metavar="PATTERN", help="The untouched plate, for what is beside it.")
@click.option("--matte", metavar="PATTERN", help="Our matte (--view matte), for what lies outside.")
@INPUT_SPACE
@FRAMES
def score(
    result: str,
    truth: str,
    mask: str,
    track_path: Path,
    plate: str | None,
    matte: str | None,
    input_space: str,
    frames: str | None,
) -> int:
    """Measure RESULT against the exact TRUTH of a shot, and print the figures as JSON."""
    from semblance.exr import Sequence as Frames
    from semblance.score import score_shot
    from semblance.track.file import load_track

    results = Frames.parse(result)
    scored = score_shot(
        results,
        Frames.parse(truth),
        Frames.parse(mask),
        track=load_track(track_path),
        frames=frames_in_work(results, frames),
        plate=Frames.parse(plate) if plate else None,
        matte=Frames.parse(matte) if matte else None,
        input_space=input_space,
    )
    print_json(scored.to_json())
    return DONE
