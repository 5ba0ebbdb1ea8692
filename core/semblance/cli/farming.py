"""Render farms: a shot as an Open Job Description bundle, and the commands that it runs."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from semblance.cli.models import Models
from semblance.cli.options import (
    DONE,
    FAILED,
    FILE,
    FOLDER,
    FRAMES,
    JSON,
    PRODUCTION,
    TRUST,
    SettingsCommand,
    frames_in_work,
)
from semblance.cli.shots import given_knobs, with_knobs
from semblance.cli.terminal import complain, print_json, stopping
from semblance.errors import EnvironmentFault, KnobError
from semblance.knobs import declared
from semblance.preset import animate, load_preset

__all__ = ["farm"]

_PROGRAM = [sys.executable, "-c", "import sys; from semblance.cli import main; sys.exit(main())"]
_PROVIDER = click.option(
    "--provider",
    type=click.Choice(["auto", "cpu", "cuda", "tensorrt", "tensorrt-fp16"]),
    default="auto",
    show_default=True,
    help="What computes.",
)
_SESSION = click.option(
    "--session", type=FOLDER, required=True, help="The farm's folder for this session."
)


@click.group()
def farm() -> None:
    """Render on a farm, by Open Job Description (docs/farm.md)."""


@with_knobs
@click.command(cls=SettingsCommand)
@click.argument("plate")
@click.option("-o", "--output", required=True, metavar="OUT", help="As of semblance apply.")
@click.option("-b", "--bundle", type=FOLDER, required=True, help="The folder to write.")
@FRAMES
@click.option("--part", metavar="NAME", help="Part of a multi-part file that is the plate.")
@click.option("--roto", metavar="PATTERN", help="The artist's matte, as roto.####.exr.")
@click.option("--preset", type=FILE, help="Knobs from a JSON file, with curves.")
@_PROVIDER
@click.option(
    "--release",
    "release_path",
    type=click.Path(path_type=Path, exists=True),
    help="The likeness's release; by default the one beside the model.",
)
@TRUST
@PRODUCTION
@click.option(
    "--require-release/--no-require-release",
    default=True,
    show_default=True,
    help="Whether a chunk without a valid release fails, or carries a slate.",
)
@click.option("--layers", is_flag=True, help="As of semblance apply.")
@click.option("--compress-again", is_flag=True, help="As of semblance apply.")
@click.option(
    "--chunk",
    type=click.IntRange(1),
    default=10,
    show_default=True,
    metavar="N",
    help="Frames that a machine makes at a time.",
)
@click.option(
    "--attempts",
    type=click.IntRange(1),
    default=3,
    show_default=True,
    metavar="N",
    help="How often a machine tries a chunk; what it finished is kept.",
)
@click.option(
    "--program",
    default="semblance",
    show_default=True,
    metavar="NAME",
    help="This program as the farm's machines know it.",
)
@JSON
def bundle(
    plate: str,
    output: str,
    bundle: Path,
    frames: str | None,
    part: str | None,
    roto: str | None,
    preset: Path | None,
    provider: str,
    release_path: Path | None,
    trust: tuple[Path, ...],
    production: str | None,
    require_release: bool,
    layers: bool,
    compress_again: bool,
    chunk: int,
    attempts: int,
    program: str,
    as_json: bool,
    **given: Any,
) -> int:
    """Write a shot as a folder that any farm with Open Job Description renders.

    The options are those of `semblance apply`. Knobs given here go before those of the preset.
    """
    from semblance import release
    from semblance.exr import Sequence as Frames
    from semblance.farm import Job, write_bundle

    values = {**(load_preset(preset) if preset else {}), **given_knobs(given)}
    first = animate(values)(0)
    for name, held, remedy in (
        ("model", first.model.model, "Name one with -m."),
        (
            "track",
            first.track.track_file,
            "Track the shot first with `semblance track`, and name it with -t: a chunk sees too "
            "little of a shot to track it as a whole.",
        ),
    ):
        if not held:
            raise KnobError(f"no {name} was given, and all chunks have to use the same", remedy)
        if not Path(held).is_file():
            raise KnobError(f"the {name} {held} is not there", remedy)
    plates = Frames.parse(plate)
    numbers = frames_in_work(plates, frames)
    beside = release.default_release_path(Path(first.model.model))
    options = [
        *(["--part", part] if part else []),
        *(["--provider", provider] if provider != "auto" else []),
        *(["--production", production] if production else []),
        *(["--layers"] if layers else []),
        *(["--compress-again"] if compress_again else []),
    ]
    made = write_bundle(
        Job(
            plates,
            Frames.parse(output),
            numbers,
            values,
            Frames.parse(roto) if roto else None,
            release_path or (beside if beside.is_file() else None),
            trust,
            tuple(options),
            require_release,
            chunk,
            attempts,
            program,
        ),
        bundle,
    )
    line = f"openjd run {made.template} --job-param file://{made.values.resolve()}"
    if as_json:
        told = {"bundle": str(made.folder), "template": str(made.template), "run": line}
        print_json({**told, "frames": len(numbers), "chunks": made.chunks})
    else:
        click.echo(f"{made.folder}: {len(numbers)} frames in {made.chunks} chunks")
        click.echo(f"here:      {line}")
        click.echo(f"on a farm: deadline bundle submit {made.folder} (docs/farm.md)")
    return DONE


@click.command(hidden=True)
@_SESSION
@click.option("--model", type=FILE, required=True)
@_PROVIDER
def enter(session: Path, model: Path, provider: str) -> int:
    """Open the model once for all chunks of a session."""
    from semblance.farm import CAN_KEEP, keep
    from semblance.model import Likeness

    if not CAN_KEEP:
        with Likeness.open(model, provider):
            return DONE
    keep(session, _keeper(session, model, provider))
    return DONE


def _keeper(session: Path, model: Path, provider: str) -> list[str]:
    words = ["farm", "keep", "--session", str(session), "--model", str(model)]
    return [*_PROGRAM, *words, "--provider", provider]


@click.command(hidden=True)
@_SESSION
@click.option("--model", type=FILE, required=True)
@_PROVIDER
def keep(session: Path, model: Path, provider: str) -> int:
    """Keep the model open, and render chunks as they are asked for."""
    import numpy as np

    from semblance import cli, farm, memory, shot  # noqa: F401, a chunk's imports

    memory.keep_freed()
    models = Models()
    likeness = models.open(model, provider)
    likeness.infer(np.zeros((likeness.size, likeness.size, 3), np.float32), 1.0)
    farm.serve(session, lambda arguments: cli.main(arguments, models))
    return DONE


@click.command(hidden=True)
@_SESSION
def leave(session: Path) -> int:
    """End what `enter` started."""
    from semblance.farm import CAN_KEEP, ask

    if CAN_KEEP:
        try:
            ask(session, [], lambda stream, text: None)
        except EnvironmentFault:
            return DONE
    return DONE


@click.command(hidden=True)
@_SESSION
@click.option("--attempts", type=click.IntRange(1), default=1)
@click.option("--require-release", type=click.BOOL, default=True)
@click.option("--knob", "knobs", multiple=True, metavar="NAME=VALUE")
@click.argument("rest", nargs=-1, type=click.UNPROCESSED)
def task(
    session: Path,
    attempts: int,
    require_release: bool,
    knobs: tuple[str, ...],
    rest: tuple[str, ...],
) -> int:
    """Render a chunk as `semblance apply --resume` does, and try again where it fails."""
    from semblance.farm import attempt

    line = ["apply", *_frames_of_a_farm(rest), "--resume", "--progress", "json"]
    line += [word for knob in knobs for word in _option(knob)]
    line += ["--require-release"] if require_release else []
    with stopping() as stop:
        return attempt(lambda: _chunk(session, line, stop), attempts, complain, stop)


def _frames_of_a_farm(words: tuple[str, ...]) -> list[str]:
    """Return apply's arguments, with frames as it writes them: 1001-1009x2 for 1001-1009:2."""
    line = list(words)
    if "--frames" in line:
        place = line.index("--frames") + 1
        line[place] = line[place].replace(":", "x")
    return line


def _option(text: str) -> list[str]:
    """Return apply's option for ``name=value``."""
    name, _, value = text.partition("=")
    known = {knob.name: knob for knob in declared()}
    if name not in known:
        raise KnobError(f"there is no knob {name!r}", "The bundle is of another version.")
    flag = name.replace("_", "-")
    if known[name].kind != "bool":
        return [f"--{flag}={value}"]
    return [f"--{flag}" if value == "true" else f"--no-{flag}"]


def _chunk(session: Path, line: list[str], stop: Callable[[], bool]) -> int:
    """Render a chunk, by the process that keeps the model open where there can be one."""
    from semblance import farm

    if not farm.CAN_KEEP:
        return _child(line, stop)
    heard = _Heard()
    try:
        return farm.ask(session, line, heard, stop)
    except EnvironmentFault:
        values = {word.partition("=")[0]: word.partition("=")[2] for word in line}
        provider = line[line.index("--provider") + 1] if "--provider" in line else "auto"
        try:
            farm.keep(session, _keeper(session, Path(values["--model"]), provider))
        except EnvironmentFault as error:
            complain(str(error))
            return FAILED
        return farm.ask(session, line, heard, stop)


def _child(line: list[str], stop: Callable[[], bool]) -> int:
    heard = _Heard()
    with subprocess.Popen([*_PROGRAM, *line], stdout=subprocess.PIPE, encoding="utf-8") as process:
        assert process.stdout is not None
        for said in process.stdout:
            heard("out", said)
            if stop():
                process.terminate()
    return process.returncode


class _Heard:
    """What a chunk says, in the words of Open Job Description."""

    def __init__(self) -> None:
        self._rest = ""

    def __call__(self, stream: str, text: str) -> None:
        if stream == "err":
            click.echo(text, nl=False, err=True)
            return
        *lines, self._rest = (self._rest + text).split("\n")
        for line in lines:
            self._step(line)

    def _step(self, line: str) -> None:
        try:
            step = json.loads(line)
        except ValueError:
            return
        if isinstance(step, dict) and step.get("total"):
            click.echo(f"openjd_progress: {100.0 * step['done'] / step['total']:.1f}")
            click.echo(f"openjd_status: {step.get('what', '')} {step.get('words', '')}")
            sys.stdout.flush()


for command in (bundle, enter, keep, leave, task):
    farm.add_command(command)
