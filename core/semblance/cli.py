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
from dataclasses import fields
from itertools import groupby
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
    from semblance.shot import FrameReport, ShotSummary

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


# --- training --------------------------------------------------------------------------------


@commands.command()
@click.argument("footage", nargs=-1, required=True, metavar="FOOTAGE...")
@click.option("-o", "--output", type=FOLDER, required=True, help="Folder of the faceset.")
@click.option("--size", type=click.IntRange(64, 1024), default=256, show_default=True,
              help="Side of the crops in pixels.")  # fmt: skip
@click.option("--every", type=click.IntRange(1), default=1, show_default=True,
              help="Take every n-th frame of sequences and movies.")  # fmt: skip
@click.option("--max-faces", type=click.IntRange(1), help="Keep at most so many faces.")
@click.option("--landmarks", type=FILE, help="Landmarks that are known already (JSON).")
@click.pass_context
def faceset(context: click.Context, **given: Any) -> int:
    """Find, score and align the faces in FOOTAGE: images, EXR sequences, movies, folders."""
    raise NotImplementedError


def _train_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command one option for each field of `TrainConfig`, from its help and range."""
    for item in reversed(fields(TrainConfig)):
        described = item.metadata
        kind: click.ParamType
        if "choices" in described:
            kind = click.Choice([str(choice) for choice in described["choices"]])
        else:
            low, high = described["range"]
            kind = (click.IntRange if isinstance(low, int) else click.FloatRange)(low, high)
        command = click.option(
            f"--{item.name.replace('_', '-')}",
            type=kind,
            help=described["help"],
            show_default="none" if item.default is None else str(item.default),
        )(command)
    return command


@commands.command()
@click.argument("performer", type=FOLDER)
@click.argument("likeness", type=FOLDER)
@click.option("-o", "--output", "run", type=FOLDER, required=True, metavar="RUN",
              help="Folder of the run; one that is there goes on where it stopped.")  # fmt: skip
@_train_options
@click.option("--json", "as_json", is_flag=True, help="Print a summary as JSON.")
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
        click.echo(
            json.dumps(
                {
                    "step": summary.step,
                    "steps": summary.steps,
                    "seconds": round(summary.seconds, 1),
                    "complete": summary.complete,
                    "losses": summary.losses,
                    "checkpoint": str(summary.checkpoint),
                    "preview": str(summary.preview),
                }
            )
        )
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
        name: type(defaults[name])(value) if isinstance(value, str) else value
        for name, value in given.items()
        if value is not None
    }


# --- shots -----------------------------------------------------------------------------------


class _KnobOption(click.Option):
    """An option that sets a knob; it knows the group that help lists it under."""

    def __init__(self, *names: str, group: str, **described: Any) -> None:
        super().__init__(names, **described)
        self.group = group


class _KnobCommand(click.Command):
    """A command whose help lists its knobs under their groups."""

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        knobs = [each for each in self.get_params(ctx) if isinstance(each, _KnobOption)]
        plain = [each for each in self.get_params(ctx) if not isinstance(each, _KnobOption)]
        sections = [("Options", plain)]
        for name, members in groupby(knobs, key=lambda option: option.group):
            sections.append((f"Knobs: {name}", list(members)))
        for title, options in sections:
            rows = [row for option in options if (row := option.get_help_record(ctx)) is not None]
            with formatter.section(title):
                formatter.write_dl(rows)


_SHORT = {"model": ["-m"], "track_file": ["-t", "--track"]}
"""Further names of the two knobs that nearly every command line sets."""


def _knob_option(knob: Knob) -> _KnobOption:
    flag = f"--{knob.name.replace('_', '-')}"
    kind: Any = click.STRING
    if knob.kind == "choice":
        kind = click.Choice(knob.choices)
    elif knob.range is not None:
        kind = (click.IntRange if knob.kind == "int" else click.FloatRange)(*knob.range)
    elif knob.kind == "bool":
        kind, flag = click.BOOL, f"{flag}/--no-{flag[2:]}"
    shown = {True: "on", False: "off"}.get(knob.default, knob.default)  # type: ignore[call-overload]
    return _KnobOption(
        *_SHORT.get(knob.name, []),
        flag,
        knob.name,
        group=knob.group,
        type=kind,
        default=None,
        help=f"{knob.help} ({knob.unit})" if knob.unit else knob.help,
        show_default=str(shown) if knob.default != "" else False,
        metavar={"file": "FILE", "text": "NAME"}.get(knob.kind),
    )


def _with_knobs(command: click.Command) -> click.Command:
    """Give a command one option for each knob."""
    command.params += [_knob_option(knob) for knob in declared()]
    return command


_MODELS_DIR = click.option(
    "--models-dir", type=FOLDER, help="Folder of the tracker's model files, for work offline."
)
_FRAMES = click.option(
    "--frames", default="", metavar="RANGE", help="Frames, as 1001-1024,1030; all by default."
)
_JSON = click.option("--json", "as_json", is_flag=True, help="Print a summary as JSON.")


@commands.command()
@click.argument("plate")
@click.option("-o", "--output", type=FILE, required=True, help="The track file (JSON).")
@_FRAMES
@click.option("--provider", "tracker", type=click.Choice(["native", "mediapipe"]),
              default="native", show_default=True, help="What finds faces.")  # fmt: skip
@_MODELS_DIR
@click.option("--face", type=click.IntRange(0), default=0, show_default=True,
              help="Which face, by size: 0 is the largest.")  # fmt: skip
@click.option("--input-space", default="auto", show_default=True,
              help="Colour space of the plate, by its OCIO name.")  # fmt: skip
@_JSON
def track(
    plate: str,
    output: Path,
    frames: str,
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
    numbers = plates.select(frames)
    made = _track(plates, numbers, knobs, tracker, models_dir)
    save_track(made, output, face=face)
    lost = [frame for frame in numbers if frame not in made.faces]
    if as_json:
        _print_json(frames=len(numbers), found=len(made.faces), passed=lost, track=str(output))
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
@commands.command(cls=_KnobCommand)
@click.argument("plate")
@click.option("-o", "--output", required=True, metavar="OUT",
              help="The result, as result.####.exr; its frames appear whole or not at all.")
@_FRAMES
@click.option("--part", metavar="NAME", help="Part of a multi-part file that is the plate.")
@click.option("--roto", metavar="PATTERN", help="The artist's matte, as roto.####.exr.")
@click.option("--preset", type=FILE,
              help='Knobs from a JSON file, with curves: {"mix": {"1001": 0.0, "1012": 1.0}}.')
@click.option("--tracker", type=click.Choice(["native", "mediapipe"]), default="native",
              show_default=True, help="What finds faces where there is no track.")
@_MODELS_DIR
@click.option("--provider", type=click.Choice(["auto", "cpu", "cuda", "tensorrt"]),
              default="auto", show_default=True, help="What computes.")
@click.option("--release", "release_path", type=click.Path(path_type=Path, exists=True),
              help="The likeness's release; by default the one beside the model.")
@click.option("--trust", type=click.Path(path_type=Path, exists=True), multiple=True,
              help="Public keys (*.pub) that may release, or a folder of them.")
@click.option("--production", metavar="NAME", help="The production in work.")
@click.option("--require-release", is_flag=True, help="Refuse to render without a valid release.")
@_JSON
def apply(
    plate: str,
    output: str,
    frames: str,
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
    from semblance import provenance, review, shot
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
    likeness = Likeness.open(Path(first.model.model), provider)
    verdict = _verdict(likeness, release_path, trust, production, require_release)
    if first.track.track_file:
        track = load_track(Path(first.track.track_file), first.model.face)
    else:
        track = _track(plates, numbers, first, tracker, models_dir)
    version = _version()

    def marks(frame: int, knobs: Knobs) -> Mapping[str, Any]:
        return provenance.marks(
            likeness.name, likeness.sha256, verdict, knobs.changed(), frame, version, {}
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
    told = {**summary.to_json(), "output": output, "release": verdict.reason}
    click.echo(json.dumps(told) if as_json else f"{output}\n{review.qc_summary(told)}")
    return FAILED if summary.failed else DONE


def _given(options: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in options.items() if value is not None}


def _numbers(plates: Frames, frames: str) -> tuple[int, ...]:
    return plates.select(frames) if frames else plates.frames()


def _version() -> str:
    from importlib.metadata import version

    return version("semblance")


# --- looking at things -----------------------------------------------------------------------


def _print_json(**values: Any) -> None:
    click.echo(json.dumps(values))


# --- the terminal ----------------------------------------------------------------------------


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
def _progress(what: str, total: int) -> Iterator[Callable[[int, str], None]]:
    """Yield what is told (steps done, a word on them): a bar on a terminal, else a line at times."""
    if not sys.stderr.isatty():
        last = time.monotonic()

        def log(done: int, words: str) -> None:
            nonlocal last
            if time.monotonic() - last >= _LOG_SECONDS:
                last = time.monotonic()
                _complain(f"{what} {done}/{total}  {words}")

        yield log
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

    columns = (TextColumn(what), BarColumn(), MofNCompleteColumn(), TextColumn("{task.description}"))
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("", total=total)
        yield lambda done, words: bar.update(task, completed=done, description=words)
