"""The command line: options in, one call, one except, exit code.

Exit codes: 0 the job is done, 1 it failed or some frames did, 2 the command line makes no sense.
Everything that loads pixels or a network is imported inside its command, so that ``--help`` is
instant and a studio without torch has every command but those that train.
"""

from __future__ import annotations

import json
import shlex
import signal
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, fields
from datetime import date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from semblance.errors import KnobError, SemblanceError
from semblance.knobs import Knob, Knobs, declared
from semblance.preset import animate, load_preset
from semblance.train.config import TrainConfig

if TYPE_CHECKING:
    from semblance.exr import Sequence as Frames
    from semblance.face import Track
    from semblance.model import Likeness
    from semblance.plate import Plate
    from semblance.release import Verdict

__all__ = ["main"]

DONE, FAILED, USAGE = 0, 1, 2

FOLDER = click.Path(path_type=Path, file_okay=False)
FILE = click.Path(path_type=Path, dir_okay=False)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command line and return its exit code; every refusal is one line on stderr.

    Parameters
    ----------
    arguments : sequence of str, optional
        Without the program's name; those of the process where they are not given.
    """
    try:
        return commands.main(arguments, "semblance", standalone_mode=False) or DONE
    except click.exceptions.NoArgsIsHelpError as error:
        error.show()
        return error.exit_code
    except click.ClickException as error:
        context = getattr(error, "ctx", None)
        hint = f" See: {context.command_path} --help." if context is not None else ""
        _complain(" ".join(error.format_message().split()) + hint)
        return error.exit_code
    except click.Abort:
        _complain("stopped.")
        return FAILED
    except SemblanceError as error:
        _complain(str(error))
        return USAGE if isinstance(error, KnobError) else FAILED


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(package_name="semblance", message="%(prog)s %(version)s")
def commands() -> None:
    """Lay a consented likeness over a performance, in scene-linear EXR."""


# --- settings -------------------------------------------------------------------------------


class _Setting(click.Option):
    """An option that is made from a declaration: it is listed under a group, in plain words."""

    def __init__(self, *names: str, group: str, shown: str, **described: Any) -> None:
        described["help"] = f"{described['help']} [{shown}]" if shown else described["help"]
        super().__init__(names, **described)
        self.group = group

    def get_help_extra(self, ctx: click.Context) -> Any:
        """Return nothing: default and range stand in the help already."""
        return {}


class _SettingsCommand(click.Command):
    """A command whose help lists its knobs under their groups."""

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the plain options, then one section for each group."""
        sections: dict[str, list[tuple[str, str]]] = {}
        for each in self.get_params(ctx):
            if isinstance(each, click.Option) and (row := each.get_help_record(ctx)) is not None:
                sections.setdefault(getattr(each, "group", "Options"), []).append(row)
        for title, rows in sections.items():
            with formatter.section(title):
                formatter.write_dl(rows)


def _number(limits: tuple[float, float], *, whole: bool) -> Any:
    low, high = limits
    return click.IntRange(int(low), int(high)) if whole else click.FloatRange(low, high)


def _shown(default: Any, limits: tuple[float, float] | None, unit: str = "") -> str:
    """Return what help says of a setting's default and range."""
    words = {"True": "on", "False": "off", "None": "none"}.get(str(default), str(default))
    if limits is not None:
        low, high = (f"{limit:g}" if isinstance(limit, float) else limit for limit in limits)
        words = f"{words.removesuffix('.0')}; {low} to {high}"
    return f"{words} {unit}" if unit else words


def _tracker(*names: str) -> Callable[[Any], Any]:
    return click.option(
        *names,
        "tracker",
        type=click.Choice(["native", "mediapipe"]),
        default="native",
        show_default=True,
        help="What finds faces.",
    )


_MODELS_DIR = click.option(
    "--models-dir", type=FOLDER, help="Folder of the tracker's model files, for work offline."
)
_FRAMES = click.option(
    "--frames", metavar="RANGE", help="Frames, as 1001-1024,1030; by default all that are there."
)
_INPUT_SPACE = click.option(
    "--input-space",
    default="auto",
    show_default=True,
    metavar="NAME",
    help="Colour space of the plate, by its OCIO name.",
)
_JSON = click.option("--json", "as_json", is_flag=True, help="Print a summary as JSON.")


# --- training --------------------------------------------------------------------------------


@commands.command()
@click.argument("footage", nargs=-1, required=True, metavar="FOOTAGE...")
@click.option("-o", "--output", type=FOLDER, required=True, help="Folder of the faceset.")
@click.option(
    "--size",
    type=click.IntRange(64, 1024),
    default=320,
    show_default=True,
    help="Side of the crops in pixels, with their margin.",
)
@click.option(
    "--every",
    type=click.IntRange(1),
    default=1,
    show_default=True,
    help="Take every so-many-th picture of each piece of footage.",
)
@click.option("--max-faces", type=click.IntRange(1), help="Stop when so many faces are kept.")
@click.option(
    "--landmarks", type=FILE, help="Landmarks by file name (JSON), in place of the tracker's."
)
@_tracker("--provider", "--tracker")
@_MODELS_DIR
@_JSON
def faceset(
    footage: tuple[str, ...],
    output: Path,
    size: int,
    every: int,
    max_faces: int | None,
    landmarks: Path | None,
    tracker: str,
    models_dir: Path | None,
    as_json: bool,
) -> int:
    """Make a faceset of one person: FOOTAGE is images, folders, EXR sequences and movies.

    Broken off, the same command goes on where it stopped.
    """
    from semblance.track.provider import open_provider
    from semblance.train.faceset import FacesetProgress, build_faceset

    provider = None if landmarks else open_provider(tracker, models_dir)
    with _stopping() as stop, _progress("looking", None) as bar:

        def report(now: FacesetProgress) -> None:
            bar(now.done, f"of {now.total or '?'}  {now.kept} faces  {now.source}")

        summary = build_faceset(
            footage,
            output,
            provider,
            landmarks=landmarks,
            size=size,
            max_faces=max_faces,
            every=every,
            report=report,
            cancel=stop,
        )
    if as_json:
        _print_json(summary.to_json())
        return DONE
    left_out = ", ".join(f"{reason} {count}" for reason, count in summary.rejected.items())
    click.echo(f"{output}: {summary.faces} faces from {summary.pictures} pictures")
    click.echo(f"left out: {left_out or 'nothing'}\nlook at: {output / 'contact.png'}")
    return DONE


def _train_options(command: click.Command) -> click.Command:
    """Give a command one option for each field of `TrainConfig`, from its help and range."""
    for item in fields(TrainConfig):
        limits = item.metadata.get("range")
        kind: Any
        if limits is None:
            kind = click.Choice([str(choice) for choice in item.metadata["choices"]])
        else:
            kind = _number(limits, whole=isinstance(limits[0], int))
        command.params.append(
            _Setting(
                f"--{item.name.replace('_', '-')}",
                group="Settings",
                shown=_shown(item.default, limits),
                type=kind,
                default=None,
                help=item.metadata["help"],
                metavar=None if limits is None else "N" if isinstance(limits[0], int) else "X",
            )
        )
    return command


@_train_options
@commands.command(cls=_SettingsCommand)
@click.argument("performer", type=FOLDER)
@click.argument("likeness", type=FOLDER)
@click.option(
    "-o",
    "--output",
    "run",
    type=FOLDER,
    required=True,
    metavar="RUN",
    help="Folder of the run; one that is there goes on where it stopped.",
)
@_JSON
def train(performer: Path, likeness: Path, run: Path, as_json: bool, **given: Any) -> int:
    """Train a likeness: PERFORMER acts in the plates, LIKENESS is whose face they shall carry.

    Both are facesets. Ctrl-C ends the run with a checkpoint; the same command goes on from there.
    """
    config = TrainConfig(**_config_values(given))
    from semblance.train.loop import Progress
    from semblance.train.loop import train as run_training

    with _stopping() as stop, _progress("training", config.steps) as bar:

        def report(now: Progress) -> None:
            left = _clock(now.seconds_left)
            bar(now.step, f"loss {now.losses['loss']:.4f}  {now.rate:.2f} it/s  {left} left")

        summary = run_training(performer, likeness, run, config, report, stop)
    if as_json:
        paths = {name: str(getattr(summary, name)) for name in ("checkpoint", "preview")}
        _print_json({**asdict(summary), **paths})
        return DONE
    click.echo(f"{summary.step} steps in {_clock(summary.seconds)}: {summary.checkpoint}")
    if summary.complete:
        click.echo(f"Next: semblance export {shlex.quote(str(run))} -o likeness.onnx")
    else:
        words = ["semblance", "train", str(performer), str(likeness), "-o", str(run)]
        for name, value in given.items():
            words += [f"--{name.replace('_', '-')}", str(value)] if value is not None else []
        click.echo(f"Stopped before the end; go on with: {shlex.join(words)}")
    return DONE


def _config_values(given: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings that were given, choices in their own type."""
    defaults = {item.name: item.default for item in fields(TrainConfig)}
    return {
        name: int(value) if isinstance(defaults[name], int) else value
        for name, value in given.items()
        if value is not None
    }


# --- shots -----------------------------------------------------------------------------------


_SHORT = {"model": ["-m"], "track_file": ["-t", "--track"]}
"""Further names of the two knobs that nearly every command line sets."""


def _knob_option(knob: Knob) -> _Setting:
    flag = f"--{knob.name.replace('_', '-')}"
    kind: Any = click.STRING
    if knob.kind == "choice":
        kind = click.Choice(knob.choices)
    elif knob.range is not None:
        kind = _number(knob.range, whole=knob.kind == "int")
    elif knob.kind == "bool":
        kind, flag = click.BOOL, f"{flag}/--no-{flag[2:]}"
    return _Setting(
        *_SHORT.get(knob.name, []),
        flag,
        knob.name,
        group=f"Knobs: {knob.group}",
        shown=_shown(knob.default, knob.range, knob.unit),
        type=kind,
        default=None,
        help=knob.help,
        metavar={"file": "FILE", "text": "NAME", "int": "N", "float": "X"}.get(knob.kind),
    )


def _with_knobs(command: click.Command) -> click.Command:
    """Give a command one option for each knob."""
    command.params += [_knob_option(knob) for knob in declared()]
    return command


@commands.command()
@click.argument("plate")
@click.option("-o", "--output", type=FILE, required=True, help="The track file (JSON).")
@_FRAMES
@_tracker("--provider", "--tracker")
@_MODELS_DIR
@click.option(
    "--face",
    type=click.IntRange(0),
    default=0,
    show_default=True,
    help="Which face, by size: 0 is the largest.",
)
@_INPUT_SPACE
@_JSON
def track(
    plate: str,
    output: Path,
    frames: str | None,
    tracker: str,
    models_dir: Path | None,
    face: int,
    input_space: str,
    as_json: bool,
) -> int:
    """Find the performer's face in every frame of PLATE (plate.####.exr)."""
    from semblance.exr import Sequence as Frames
    from semblance.track.file import save_track

    knobs = Knobs.from_flat({"input_space": input_space, "face": face})
    plates = Frames.parse(plate)
    numbers = _numbers(plates, frames)
    made = _track(plates, numbers, knobs, tracker, models_dir)
    save_track(made, output, face=face)
    if as_json:
        _print_json(
            {
                "track": str(output),
                "frames": len(numbers),
                "found": len(made.faces),
                "passed": [frame for frame in numbers if frame not in made.faces],
                "provider": made.made_by["provider"],
            }
        )
    else:
        click.echo(f"{output}: a face in {len(made.faces)} of {len(numbers)} frames")
    return DONE


def _track(
    plates: Frames, frames: tuple[int, ...], knobs: Knobs, tracker: str, models_dir: Path | None
) -> Track:
    from semblance.face import Face
    from semblance.track.analyse import track_shot
    from semblance.track.provider import open_provider

    with _stopping() as stop, _progress("tracking", len(frames)) as bar:
        count = iter(range(1, len(frames) + 1))

        def report(frame: int, face: Face | None) -> None:
            bar(next(count), f"frame {frame}")
            if face is None:
                _complain(f"frame {frame}: no face.")

        return track_shot(
            plates,
            frames,
            open_provider(tracker, models_dir),
            knobs.colour,
            report,
            stop,
            face=knobs.model.face,
        )


@_with_knobs
@commands.command(cls=_SettingsCommand)
@click.argument("plate")
@click.option(
    "-o",
    "--output",
    required=True,
    metavar="OUT",
    help="The result, as result.####.exr; its frames appear whole or not at all.",
)
@_FRAMES
@click.option("--part", metavar="NAME", help="Part of a multi-part file that is the plate.")
@click.option("--roto", metavar="PATTERN", help="The artist's matte, as roto.####.exr.")
@click.option(
    "--preset",
    type=FILE,
    help='Knobs from a JSON file, with curves: {"mix": {"1001": 0.0, "1012": 1.0}}.',
)
@_tracker("--tracker")
@_MODELS_DIR
@click.option(
    "--provider",
    type=click.Choice(["auto", "cpu", "cuda", "tensorrt"]),
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
@click.option(
    "--trust",
    type=click.Path(path_type=Path, exists=True),
    multiple=True,
    help="Public keys (*.pub) that may release, or a folder of them.",
)
@click.option("--production", metavar="NAME", help="The production in work.")
@click.option("--require-release", is_flag=True, help="Refuse to render without a valid release.")
@_JSON
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
    as_json: bool,
    **given: Any,
) -> int:
    """Lay a likeness over the performer in PLATE (plate.####.exr).

    Knobs given here go before those of the preset. A frame without a face passes through.
    """
    knobs = animate({**(load_preset(preset) if preset else {}), **_given(given)})
    from semblance import colour, provenance, review, shot
    from semblance.exr import Sequence as Frames
    from semblance.exr import check_output
    from semblance.model import Likeness
    from semblance.track.file import load_track

    plates, results = Frames.parse(plate), Frames.parse(output)
    numbers = _numbers(plates, frames)
    check_output(plates, results, numbers)
    first = knobs(numbers[0])
    if not first.model.model:
        raise click.UsageError("No likeness model was given; name one with -m.")
    colour.resolve_space(first.colour.input_space, {})
    likeness = Likeness.open(Path(first.model.model), provider)
    verdict = _verdict(likeness, release_path, trust, production, require_release)
    if first.track.track_file:
        track = load_track(Path(first.track.track_file), first.model.face)
    else:
        track = _track(plates, numbers, first, tracker, models_dir)
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

    with _stopping() as stop, _progress("rendering", len(numbers)) as bar:
        count = iter(range(1, len(numbers) + 1))

        def report(done: shot.FrameReport) -> None:
            bar(next(count), f"frame {done.frame}")
            if done.error:
                _complain(done.error)
            elif not done.found:
                _complain(f"frame {done.frame}: no face; the plate is passed through.")

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
            report=report,
            cancel=stop,
        )
    told = {**summary.to_json(), "output": str(results), "release": verdict.reason}
    if as_json:
        _print_json(told)
    else:
        click.echo(review.qc_summary(told))
    return FAILED if summary.failed else DONE


def _given(options: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in options.items() if value is not None}


def _numbers(plates: Frames, frames: str | None) -> tuple[int, ...]:
    """Return the frames in work; gaps in a shot that nobody asked for by number are told."""
    numbers = plates.select(frames)
    if frames is None and (gaps := plates.gaps()):
        _complain(f"{plates}: {len(gaps)} frames between the first and the last are not there.")
    return numbers


def _version() -> str:
    from importlib.metadata import version

    return version("semblance")


def _verdict(
    likeness: Likeness,
    path: Path | None,
    trust: tuple[Path, ...],
    production: str | None,
    require: bool,
) -> Verdict:
    """Check the release, and say so where it does not hold."""
    from semblance import release

    verdict = release.verify(
        path or release.default_release_path(likeness.path),
        likeness.sha256,
        date.today(),
        production,
        (*trust, *release.default_trust_paths()),
    )
    if require:
        release.require(verdict)
    if not verdict.valid:
        _complain(f"{verdict.reason}: frames carry a slate that says so.")
    return verdict


@commands.command("review")
@click.argument("plate")
@click.argument("result")
@click.option("-o", "--output", type=FILE, required=True, help="The contact sheet (PNG).")
@click.option("-m", "--model", type=FILE, required=True, help="Model that the result came from.")
@click.option("-t", "--track", "track_path", type=FILE, required=True, help="Track, likewise.")
@click.option("--truth", metavar="PATTERN", help="The perfect result, where it is known.")
@_FRAMES
def review_command(
    plate: str,
    result: str,
    output: Path,
    model: Path,
    track_path: Path,
    truth: str | None,
    frames: str | None,
) -> int:
    """Write a contact sheet of RESULT: plate, matte, patch, result and truth.

    Matte and patch are rendered again with the knobs that the result's frames carry.
    """
    from semblance import review
    from semblance.exr import Sequence as Frames
    from semblance.model import Likeness
    from semblance.score import shot_stops
    from semblance.track.file import load_track

    plates, results = Frames.parse(plate), Frames.parse(result)
    track = load_track(track_path)
    review.shot_sheet(
        plates,
        results,
        output,
        track=track,
        network=Likeness.open(model),
        stops=shot_stops(track, plates),
        frames=review.spread(_numbers(results, frames)),
        truths=Frames.parse(truth) if truth else None,
        caption=f"{results}    {model.name}",
    )
    click.echo(str(output))
    return DONE


@commands.command()
@click.argument("path", type=click.Path(path_type=Path))
@_JSON
def info(path: Path, as_json: bool) -> int:
    """Describe PATH: an EXR frame, a track, a model, a release, a faceset or a run."""
    from semblance.info import describe, listing

    described = describe(path)
    if as_json:
        _print_json(described)
    else:
        click.echo(listing(described))
    return DONE


@commands.command()
@_JSON
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
        _print_json({"checks": [asdict(check) for check in checks]})
    return FAILED if any(check.essential and not check.good for check in checks) else DONE


@commands.command()
@click.argument("result")
@click.argument("truth")
@click.option("--mask", required=True, metavar="PATTERN", help="Where they are compared.")
@click.option("-t", "--track", "track_path", type=FILE, required=True, help="Of the plate.")
@click.option("--plate", metavar="PATTERN", help="The untouched plate, for what is beside it.")
@click.option("--matte", metavar="PATTERN", help="Our matte (--view matte), for what lies outside.")
@_INPUT_SPACE
@_FRAMES
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
        frames=_numbers(results, frames),
        plate=Frames.parse(plate) if plate else None,
        matte=Frames.parse(matte) if matte else None,
        input_space=input_space,
    )
    _print_json(scored.to_json())
    return DONE


# --- releases --------------------------------------------------------------------------------


@commands.group()
def release() -> None:
    """Make, sign and check likeness releases: who consents to what, until when."""


@release.command("key")
@click.argument("rights_holder")
@click.option(
    "-o",
    "--output",
    type=FILE,
    required=True,
    help="The private key (.pem); the public one lies beside it as .pub.",
)
def release_key(rights_holder: str, output: Path) -> int:
    """Make a key for RIGHTS_HOLDER. The private half signs and stays with its holder."""
    from semblance import release as releases

    pair = releases.new_key(rights_holder)
    public = output.with_suffix(".pub")
    releases.save_new(output, pair.private.encode(), private=True)
    releases.save_new(public, pair.public.encode())
    click.echo(f"{output}: keep it secret\n{public}: give it to who shall accept the signature")
    return DONE


_DAY = click.DateTime(["%Y-%m-%d"])


@release.command("new")
@click.argument("model", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@click.option("-o", "--output", type=FILE, required=True, help="The draft (JSON), to be signed.")
@click.option("--rights-holder", required=True, help="Who consents.")
@click.option("--likeness", required=True, help="The person whose face the model draws.")
@click.option("--production", required=True, help="The production that may use it.")
@click.option("--use", "uses", multiple=True, required=True, help="What for; may be repeated.")
@click.option("--territory", default="worldwide", show_default=True, help="Where it is shown.")
@click.option("--from", "valid_from", type=_DAY, required=True, help="First day.")
@click.option("--until", "valid_until", type=_DAY, required=True, help="Last day.")
@click.option("--contact", required=True, help="Where the rights holder is reached.")
def release_new(
    model: Path, output: Path, valid_from: datetime, valid_until: datetime, **terms: Any
) -> int:
    """Draft a release of MODEL for its rights holder to read and sign."""
    from semblance import release as releases
    from semblance.model import sha256_of

    drafted = releases.Release(
        id=releases.new_id(),
        valid_from=valid_from.date(),
        valid_until=valid_until.date(),
        model_sha256=sha256_of(model),
        **terms,
    )
    releases.save_new(output, releases.draft(drafted))
    click.echo(f"{output}\nNext: semblance release sign {shlex.quote(str(output))} --key KEY.pem")
    return DONE


@release.command("sign")
@click.argument("draft", type=FILE)
@click.option("--key", type=FILE, required=True, help="The rights holder's private key (.pem).")
@click.option(
    "-o",
    "--output",
    type=FILE,
    required=True,
    help="The release; beside its model as MODEL.release.json it is found by itself.",
)
def release_sign(draft: Path, key: Path, output: Path) -> int:
    """Sign DRAFT: from then on not one byte of it may change."""
    from semblance import release as releases

    signed = releases.sign(releases.read_draft(draft), releases.load_private_key(key))
    releases.save_new(output, signed)
    click.echo(str(output))
    return DONE


@release.command("verify")
@click.argument("model", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@click.option("--release", "path", type=FILE, help="By default the one beside the model.")
@click.option(
    "--trust",
    type=click.Path(path_type=Path, exists=True),
    multiple=True,
    help="Public keys (*.pub) that may release, or a folder of them.",
)
@click.option("--production", metavar="NAME", help="The production in work.")
@click.option("--on", "day", type=_DAY, help="The day to judge by; today by default.")
@_JSON
def release_verify(
    model: Path,
    path: Path | None,
    trust: tuple[Path, ...],
    production: str | None,
    day: datetime | None,
    as_json: bool,
) -> int:
    """Check whether MODEL may be used; exit code 1 where it may not."""
    from semblance import release as releases
    from semblance.model import sha256_of

    verdict = releases.verify(
        path or releases.default_release_path(model),
        sha256_of(model),
        day.date() if day else date.today(),
        production,
        (*trust, *releases.default_trust_paths()),
    )
    if as_json:
        _print_json(asdict(verdict))
    else:
        click.echo(f"{'valid' if verdict.valid else 'not valid'}: {verdict.reason}")
    return DONE if verdict.valid else FAILED


@release.command("show")
@click.argument("path", type=FILE)
@_JSON
def release_show(path: Path, as_json: bool) -> int:
    """Show the terms of a release or a draft, without checking its signature."""
    from semblance import release as releases
    from semblance.info import listing

    terms = releases.read_draft(path).to_json()
    if as_json:
        _print_json(terms)
    else:
        click.echo(listing(terms))
    return DONE


# --- the terminal ----------------------------------------------------------------------------


def _print_json(values: Mapping[str, Any]) -> None:
    click.echo(json.dumps(values, indent=2))


def _complain(text: str) -> None:
    click.echo(f"semblance: {text}", err=True)


def _clock(seconds: float) -> str:
    """Return seconds as h:mm:ss.

    >>> _clock(3725.2)
    '1:02:05'
    """
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes // 60}:{minutes % 60:02d}:{rest:02d}"


@contextmanager
def _stopping() -> Iterator[Callable[[], bool]]:
    """Yield what asks whether to stop: after Ctrl-C or SIGTERM; a second one breaks off."""
    asked: list[int] = []

    def ask(number: int, frame: object) -> None:
        if asked:
            raise KeyboardInterrupt
        asked.append(number)
        _complain("stopping after this step; once more to break off.")

    before = {each: signal.signal(each, ask) for each in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield lambda: bool(asked)
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)


_LOG_SECONDS = 30.0


@contextmanager
def _progress(what: str, total: int | None) -> Iterator[Callable[[int, str], None]]:
    """Yield what hears of steps done, with a few words: a bar on a terminal, else some lines."""
    if not sys.stderr.isatty():
        last = time.monotonic()

        def log(done: int, words: str) -> None:
            nonlocal last
            if time.monotonic() - last >= _LOG_SECONDS:
                last = time.monotonic()
                _complain(f"{what} {done}{f'/{total}' if total else ''}  {words}")

        yield log
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

    words = TextColumn("{task.description}")
    columns = (TextColumn(what), BarColumn(), MofNCompleteColumn(), words)
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("", total=total)
        yield lambda done, words: bar.update(task, completed=done, description=words)
