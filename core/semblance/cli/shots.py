"""Shots: the likeness over them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from semblance.cli.models import Models
from semblance.cli.options import (
    DONE,
    FAILED,
    FILE,
    FRAMES,
    JSON,
    MODELS_DIR,
    PRODUCTION,
    PROGRESS,
    TRUST,
    Setting,
    SettingsCommand,
    frames_in_work,
    number,
    shown_setting,
    tracker_option,
)
from semblance.cli.terminal import complain, print_json, print_line, progress, stopping
from semblance.cli.tracks import given_track
from semblance.cli.verifying import SIGNING, Signing, sign_result
from semblance.errors import KnobError
from semblance.knobs import Knob, Knobs, declared
from semblance.preset import animate, load_preset

if TYPE_CHECKING:
    from semblance.exr import Sequence as Frames
    from semblance.face import Track
    from semblance.model import Likeness
    from semblance.plate import Plate
    from semblance.release import Verdict

__all__ = ["apply", "given_knobs", "with_knobs"]


_SHORT = {"model": ["-m"], "track_file": ["-t", "--track"]}
"""Further names of the two knobs that nearly every command line sets."""


def _knob_option(knob: Knob) -> Setting:
    flag = f"--{knob.name.replace('_', '-')}"
    kind: Any = click.STRING
    if knob.kind == "choice":
        kind = click.Choice(knob.choices)
    elif knob.range is not None:
        kind = number(knob.range, whole=knob.kind == "int")
    elif knob.kind == "bool":
        kind, flag = click.BOOL, f"{flag}/--no-{flag[2:]}"
    return Setting(
        *_SHORT.get(knob.name, []),
        flag,
        knob.name,
        group=f"Knobs: {knob.group}",
        shown=shown_setting(knob.default, knob.range, knob.unit),
        type=kind,
        default=None,
        help=knob.help,
        metavar={"file": "FILE", "text": "NAME", "int": "N", "float": "X"}.get(knob.kind),
    )


def with_knobs(command: click.Command) -> click.Command:
    """Give a command one option for each knob."""
    command.params += [_knob_option(knob) for knob in declared()]
    return command


def _track(
    plates: Frames,
    frames: tuple[int, ...],
    knobs: Knobs,
    tracker: str,
    models_dir: Path | None,
    part: str | None = None,
    *,
    steps: str,
) -> Track:
    from semblance.face import Face
    from semblance.track.analyse import track_shot
    from semblance.track.provider import open_provider

    as_json = steps == "json"
    with stopping() as stop, progress("tracking", len(frames), as_json=as_json) as bar:
        count = iter(range(1, len(frames) + 1))

        def report(frame: int, face: Face | None) -> None:
            bar(next(count), f"frame {frame}")

        return track_shot(
            plates,
            frames,
            open_provider(tracker, models_dir),
            knobs.colour,
            report,
            stop,
            face=knobs.model.face,
            part=part,
        )


@with_knobs
@click.command(cls=SettingsCommand)
@click.argument("plate")
@click.option(
    "-o",
    "--output",
    required=True,
    metavar="OUT",
    help="The result, as result.####.exr; its frames appear whole or not at all.",
)
@FRAMES
@click.option("--part", metavar="NAME", help="Part of a multi-part file that is the plate.")
@click.option("--roto", metavar="PATTERN", help="The artist's matte, as roto.####.exr.")
@click.option(
    "--preset",
    type=FILE,
    help='Knobs from a JSON file, with curves: {"mix": {"1001": 0.0, "1012": 1.0}}.',
)
@tracker_option("--tracker")
@MODELS_DIR
@click.option(
    "--provider",
    type=click.Choice(["auto", "cpu", "cuda", "tensorrt", "tensorrt-fp16"]),
    default="auto",
    show_default=True,
    help="What computes.",
)
@click.option(
    "--release",
    "release_path",
    type=click.Path(path_type=Path, exists=True),
    help="The likeness's release; by default the one beside the model.",
)
@TRUST
@PRODUCTION
@click.option("--require-release", is_flag=True, help="Refuse to render without a valid release.")
@click.option(
    "--resume",
    is_flag=True,
    help="Keep the frames that are there, whole and made of the same plate, track, model, knobs, "
    "roto, release and version; render the others.",
)
@click.option(
    "--layers",
    is_flag=True,
    help="Also write patch, mattes and ST maps, to blend again with native nodes (docs/layers.md).",
)
@click.option(
    "--compress-again",
    is_flag=True,
    help="Keep files of a lossy plate (DWA, B44) small: its changed rows are compressed again, "
    "which alters them a little outside the matte too.",
)
@click.option(
    "--cache-mb",
    type=click.FloatRange(0.0),
    default=512.0,
    show_default=True,
    metavar="MB",
    help="Memory for what neighbouring frames share, when a colour match is on.",
)
@SIGNING
@PROGRESS
@JSON
def apply(
    plate: str,
    output: str,
    frames: str | None,
    part: str | None,
    roto: str | None,
    preset: Path | None,
    tracker: str,
    models_dir: Path | None,
    provider: str,
    release_path: Path | None,
    trust: tuple[Path, ...],
    production: str | None,
    require_release: bool,
    resume: bool,
    layers: bool,
    compress_again: bool,
    cache_mb: float,
    signing: Signing,
    steps: str,
    as_json: bool,
    **given: Any,
) -> int:
    """Lay a likeness over the performer in PLATE (plate.####.exr).

    Knobs given here go before those of the preset. A frame without a face passes through.
    """
    knobs = animate({**(load_preset(preset) if preset else {}), **given_knobs(given)})
    from semblance import colour, memory, provenance, review, shot
    from semblance.exr import Sequence as Frames
    from semblance.exr import check_output
    from semblance.exr.sequence import compact
    from semblance.model import Likeness
    from semblance.release import default_release_path
    from semblance.roto import load_shapes

    memory.keep_freed()
    plates, results = Frames.parse(plate), Frames.parse(output)
    numbers = frames_in_work(plates, frames)
    check_output(plates, results, numbers)
    first = knobs(numbers[0])
    if first.mask.roto_file:
        load_shapes(first.mask.roto_file)
    if not first.model.model:
        raise click.UsageError("No likeness model was given; name one with -m.")
    colour.resolve_space(first.colour.input_space, {})
    warm = click.get_current_context().find_object(Models)
    likeness = (warm or Likeness).open(Path(first.model.model), provider)
    if likeness.notice:
        complain(likeness.notice)
    _check_identity(first, likeness)
    signer = signing.open()
    verdict = _verdict(
        Path(first.model.model), likeness.sha256, release_path, trust, production, require_release
    )
    if first.track.track_file:
        given_file = Path(first.track.track_file)
        track = given_track(given_file, plates.path(numbers[0]), first.model.face)
    else:
        track = _track(plates, numbers, first, tracker, models_dir, part, steps=steps)
    version = _version()

    def marks(frame: int, knobs: Knobs, plate: Plate) -> Mapping[str, Any]:
        return provenance.marks(
            likeness.name,
            likeness.sha256,
            verdict,
            knobs.changed(),
            frame,
            version,
            plate.metadata,
        )

    lines = steps == "json"
    with stopping() as stop, progress("rendering", len(numbers), as_json=lines) as bar:
        count = iter(range(1, len(numbers) + 1))

        def report(done: shot.FrameReport) -> None:
            bar(next(count), f"frame {done.frame}")
            if done.error:
                complain(done.error)

        summary = shot.apply(
            plates,
            results,
            numbers,
            track=track,
            likeness=likeness,
            knobs=knobs,
            roto=Frames.parse(roto) if roto else None,
            part=part,
            marks=marks,
            slate=verdict.slate,
            with_layers=layers,
            exact=not compress_again,
            cache_mb=cache_mb,
            resume=resume,
            report=report,
            cancel=stop,
        )
    if summary.passed:
        complain(f"no face in frames {compact(summary.passed)}: the plate is passed through.")
    told = {**summary.to_json(), "output": str(results), "release": verdict.reason}
    signed = signer is None
    if signer is not None and not summary.failed:
        document = release_path or default_release_path(Path(first.model.model))
        credential = sign_result(results, signer, verdict, document, Path(str(plates)).name)
        signed = credential is not None
        told["credential"] = str(credential or "")
    if steps == "json":
        print_line({"summary": told})
    elif as_json:
        print_json(told)
    else:
        click.echo(review.qc_summary(told))
        if told.get("credential"):
            click.echo(f"signed    {told['credential']}")
    return FAILED if summary.failed or not signed else DONE


def given_knobs(options: Mapping[str, Any]) -> dict[str, Any]:
    """Return the knobs that a command line names, by name."""
    return {name: value for name, value in options.items() if value is not None}


def _version() -> str:
    from importlib.metadata import version

    return version("semblance")


def _check_identity(knobs: Knobs, likeness: Likeness) -> None:
    wanted, held = knobs.model.likeness, likeness.manifest.likeness
    if wanted not in ("", held):
        raise KnobError(
            f"knob 'likeness' is {wanted!r}, and {knobs.model.model} holds {held!r}",
            "Give that name, or leave it out.",
        )


def _verdict(
    model: Path,
    sha256: str,
    path: Path | None,
    trust: tuple[Path, ...],
    production: str | None,
    require: bool,
) -> Verdict:
    """Check the release, and say so where it does not hold."""
    from semblance import release

    verdict = release.check(model, sha256, path, production, trust)
    for warning in verdict.warnings:
        complain(warning)
    if require:
        release.require(verdict)
    if not verdict.valid:
        complain(f"{verdict.reason}: frames carry a slate that says so.")
    return verdict
