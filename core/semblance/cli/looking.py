"""Looking at what is there: sheets, scores, descriptions, and the installation itself."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import click

from semblance.cli.options import (
    DONE,
    FAILED,
    FILE,
    FOLDER,
    FRAMES,
    INPUT_SPACE,
    JSON,
    TRUST,
    frames_in_work,
)
from semblance.cli.terminal import complain, print_json, progress, stopping
from semblance.cli.tracks import given_track
from semblance.cli.verifying import SIGNING, Signing

if TYPE_CHECKING:
    from semblance.exr import Sequence
    from semblance.review import Seal
    from semblance.score import ShotScore

__all__ = ["doctor", "info", "review", "score", "shots"]


@click.command()
@click.argument("plate")
@click.argument("result")
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    required=True,
    help="A folder for the whole review, or a name that ends in .png for the contact sheet alone.",
)
@click.option("-m", "--model", type=FILE, required=True, help="Model that the result came from.")
@click.option("-t", "--track", "track_path", type=FILE, required=True, help="Track, likewise.")
@click.option("--roto", metavar="PATTERN", help="The artist's matte, likewise.")
@click.option("--roto-file", type=FILE, help="The drawn shapes, likewise.")
@click.option("--truth", metavar="PATTERN", help="The perfect result, where it is known.")
@click.option(
    "--mask", metavar="PATTERN", help="Where result and truth are compared; adds the score."
)
@click.option(
    "--summary",
    type=click.File(encoding="utf-8"),
    help="What `apply --json` printed: why frames failed, and times.",
)
@click.option(
    "--worst",
    "worst",
    type=click.IntRange(1),
    metavar="N",
    help="Also list the N worst frames with their reasons, in worst.json for `train --hard`.",
)
@TRUST
@SIGNING
@FRAMES
def review(
    plate: str,
    result: str,
    output: Path,
    model: Path,
    track_path: Path,
    roto: str | None,
    roto_file: Path | None,
    truth: str | None,
    mask: str | None,
    summary: IO[str] | None,
    worst: int | None,
    trust: tuple[Path, ...],
    signing: Signing,
    frames: str | None,
) -> int:
    """Review RESULT: a report, a contact sheet, a wipe movie and figures of every frame.

    Mattes and patches are rendered again with the knobs that the result's frames carry.
    """
    from semblance import review as reviews
    from semblance import sealing
    from semblance.exr import Sequence as Frames
    from semblance.model import Likeness
    from semblance.pipeline import shot_stops
    from semblance.release import check, default_release_path
    from semblance.roto import load_shapes
    from semblance.score import score_shot

    if mask and not truth:
        raise click.UsageError("A mask says where a truth is compared; name one with --truth.")
    if worst and output.suffix.lower() == ".png":
        raise click.UsageError("A contact sheet alone has no worst frames; name a folder.")
    plates, results = Frames.parse(plate), Frames.parse(result)
    truths = Frames.parse(truth) if truth else None
    rendered = _summary(summary)
    alone = output.suffix.lower() == ".png"
    if alone:
        numbers = frames_in_work(results, frames)
    else:
        numbers = _ought_to_be(plates, results, frames, rendered)
    signer = signing.open()
    track = given_track(track_path, plates.path(numbers[0]))
    colours = reviews.shot_knobs(results, numbers).colour
    material = reviews.Material(
        plates,
        results,
        track,
        Likeness.open(model),
        shot_stops(plates, track, colours),
        truths,
        Frames.parse(roto) if roto else None,
        load_shapes(roto_file, size=track.size) if roto_file else None,
    )
    scored: list[ShotScore] = []

    def scores(readable: tuple[int, ...]) -> Mapping[int, Mapping[str, float]]:
        if truths is None or not mask or not readable:
            return {}
        masks = Frames.parse(mask)
        scored.append(
            score_shot(results, truths, masks, track=track, frames=readable, plate=plates)
        )
        return {each.frame: _compared(each.figures()) for each in scored[0].frames}

    seal: Seal = reviews.unsealed
    if signer is not None:
        document = default_release_path(model)
        verdict = check(model, material.network.sha256, document, trust=trust)
        title = f"review of {Path(str(results)).name}"
        release = sealing.on_file(verdict, document)
        seal = sealing.media_seal(results, numbers, signer, release, title)
    click.echo(f"result    {results}")
    if alone:
        caption = f"{results}    {model.name}"
        reviews.shot_sheet(material, reviews.spread(numbers), output, caption=caption, seal=seal)
        scores(numbers)
        click.echo(f"sheet     {output}")
    else:
        with stopping() as stop, progress("reviewing", len(numbers)) as bar:
            count = iter(range(1, len(numbers) + 1))
            reviewed = reviews.review_shot(
                material,
                output,
                numbers,
                summary=rendered,
                scores=scores,
                seal=seal,
                progress=lambda frame: bar(next(count), f"frame {frame}"),
                cancel=stop,
            )
        problems, looks = reviewed.count("problem"), reviewed.count("look")
        click.echo(f"report    {output / reviews.REPORT}")
        click.echo(f"frames    {len(numbers)}: {problems} with problems, {looks} to look at")
        if worst:
            listed = reviews.worst_frames(reviewed, worst)
            for each in listed:
                click.echo(f"worst     {each.number}: {each.reason}")
            reviews.write_worst(listed, Path(plate).name, output / reviews.WORST_FILE)
            click.echo(f"list      {output / reviews.WORST_FILE}")
    if scored:
        click.echo(f"score     {reviews.qc_score(scored[0].to_json())}")
    return DONE


def _ought_to_be(
    plates: Sequence, results: Sequence, frames: str | None, summary: Mapping[str, Any]
) -> tuple[int, ...]:
    """Return the frames that a review expects: asked for, or from the first result to the last."""
    if frames is not None:
        return plates.select(frames)
    rendered = {*results.frames(), *map(int, summary.get("failed", ()))}
    if not rendered:
        return results.select(None)  # which says what is wrong
    within = range(min(rendered), max(rendered) + 1)
    return tuple(sorted(rendered | {frame for frame in plates.frames() if frame in within}))


def _summary(file: IO[str] | None) -> dict[str, Any]:
    """Return the summary of a render, of which every part that a review reads is as it must be."""
    if file is None:
        return {}
    try:
        held = json.loads(file.read())
        held = held.get("summary", held)
        kept = {name: held[name] for name in ("seconds", "provider") if name in held}
        kept["seconds"] = float(held["seconds"])
        kept["failed"] = {str(int(frame)): str(text) for frame, text in held["failed"].items()}
        kept["notes"] = [str(note) for note in held["notes"]]
        kept["milliseconds"] = {
            str(stage): {name: float(times[name]) for name in ("median", "p95")}
            for stage, times in held["milliseconds"].items()
        }
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise click.BadParameter(
            f"{file.name} is no summary of a render; keep what `semblance apply --json` prints.",
            param_hint="--summary",
        ) from error
    return kept


def _compared(figures: Mapping[str, float]) -> dict[str, float]:
    """Return the figures of a score that a review shows, by its own names."""
    names = {
        "psnr": "psnr",
        "plate_psnr": "plate_psnr",
        "seam": "truth_seam",
        "flicker": "truth_flicker",
    }
    return {ours: figures[theirs] for theirs, ours in names.items() if theirs in figures}


@click.command()
@click.argument("project", type=FOLDER)
@click.option(
    "-o", "--output", type=FILE, help="The page (HTML); by default shots.html in the project."
)
def shots(project: Path, output: Path | None) -> int:
    """List the reviewed shots in the folder PROJECT on one page, those with problems first."""
    from semblance.review import shot_list

    page = output or project / "shots.html"
    listed = shot_list(project, page)
    for path in listed.unreadable:
        complain(f"{path} is no review that can be read: it is left out.")
    click.echo(f"shots     {listed.shots}, {listed.problems} with problems\nlist      {page}")
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
