"""Facesets, training, export."""

from __future__ import annotations

import hashlib
import os
import re
import shlex
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, fields, replace
from pathlib import Path
from typing import Any

import click

from semblance.cli.options import (
    DONE,
    FILE,
    FOLDER,
    JSON,
    MODELS_DIR,
    PRODUCTION,
    TRUST,
    Setting,
    SettingsCommand,
    number,
    shown_setting,
    tracker_option,
)
from semblance.cli.terminal import clock, complain, print_json, progress, stopping
from semblance.train.config import TrainConfig

__all__ = ["export", "faceset", "train"]

FINE_TUNE = {"steps": 2000, "lr": 3e-4}
"""Settings of a run that begins with another's network, where nothing else is said."""


@click.command()
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
@click.option(
    "--mattes",
    type=FOLDER,
    help="Folder of your own mattes, named as their pictures (0012.png, take.12.png): bright where "
    "the face is seen and nothing is before it.",
)
@tracker_option("--provider", "--tracker")
@MODELS_DIR
@JSON
def faceset(
    footage: tuple[str, ...],
    output: Path,
    size: int,
    every: int,
    max_faces: int | None,
    landmarks: Path | None,
    mattes: Path | None,
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
    with stopping() as stop, progress("looking", None) as bar:

        def report(now: FacesetProgress) -> None:
            bar(now.done, f"of {now.total or '?'}  {now.kept} faces  {now.source}")

        summary = build_faceset(
            footage,
            output,
            provider,
            landmarks=landmarks,
            mattes=mattes,
            size=size,
            max_faces=max_faces,
            every=every,
            report=report,
            cancel=stop,
        )
    if as_json:
        print_json(summary.to_json())
        return DONE
    left_out = ", ".join(f"{reason} {count}" for reason, count in summary.rejected.items())
    click.echo(f"{output}: {summary.faces} faces from {summary.pictures} pictures")
    click.echo(f"left out: {left_out or 'nothing'}\nquality: {summary.quality:.2f} of 1")
    for name, kind in summary.scans.items():
        click.echo(f"{name} is {kind}: its whole frames were taken")
    for words in summary.holes:
        click.echo(f"missing: {words}")
    click.echo(f"look at: {output / 'contact.png'} and {output / 'coverage.png'}")
    return DONE


def _train_options(command: click.Command) -> click.Command:
    """Give a command one option for each field of `TrainConfig`, from its help and range."""
    for item in fields(TrainConfig):
        limits = item.metadata.get("range")
        kind: Any
        if limits is None:
            kind = click.Choice([str(choice) for choice in item.metadata["choices"]])
        else:
            kind = number(limits, whole=isinstance(limits[0], int))
        command.params.append(
            Setting(
                f"--{item.name.replace('_', '-')}",
                group="Settings",
                shown=shown_setting(item.default, limits),
                type=kind,
                default=None,
                help=item.metadata["help"],
                metavar=None if limits is None else "N" if isinstance(limits[0], int) else "X",
            )
        )
    return command


@_train_options
@click.command(cls=SettingsCommand)
@click.argument("performer", type=FOLDER, required=False)
@click.argument("likeness", type=FOLDER, required=False)
@click.option(
    "-o",
    "--output",
    "run",
    type=FOLDER,
    required=True,
    metavar="RUN",
    help="Folder of the run; one that is there goes on where it stopped.",
)
@click.option(
    "--from",
    "origin",
    type=FOLDER,
    metavar="RUN",
    help="Begin with the network of another run. Its facesets are taken where none are named, and "
    f"its size; by default {FINE_TUNE['steps']} steps at a rate of {FINE_TUNE['lr']:g}.",
)
@click.option(
    "--add-shot",
    "shots",
    multiple=True,
    metavar="FOOTAGE",
    help="A shot that the performer acts in: half of the performer's faces are drawn from what is "
    "added. Repeatable, as are the next two.",
)
@click.option(
    "--add-performer", type=FOLDER, multiple=True, help="Another faceset of the performer."
)
@click.option("--add-likeness", type=FOLDER, multiple=True, help="Another faceset of the likeness.")
@click.option(
    "--hard",
    "hard_file",
    type=FILE,
    metavar="FILE",
    help="Frames to draw more often: worst.json of a review, or hardest.json of a run.",
)
@tracker_option("--tracker", "--provider")
@MODELS_DIR
@JSON
def train(
    performer: Path | None,
    likeness: Path | None,
    run: Path,
    origin: Path | None,
    shots: tuple[str, ...],
    add_performer: tuple[Path, ...],
    add_likeness: tuple[Path, ...],
    hard_file: Path | None,
    tracker: str,
    models_dir: Path | None,
    as_json: bool,
    **given: Any,
) -> int:
    """Train a likeness: PERFORMER acts in the plates, LIKENESS is whose face they shall carry.

    Both are facesets. Ctrl-C ends the run with a checkpoint; the same command goes on from there.
    On several processes: torchrun --no-python --nproc-per-node N semblance train …
    """
    settings = _config_values(given)
    if (performer is None) != (likeness is None) or (performer is None and origin is None):
        raise click.UsageError("Name the facesets of both people, or a run to begin --from.")
    from semblance.train.checkpoint import read_people, read_settings
    from semblance.train.faces import Person
    from semblance.train.hard import read_hard
    from semblance.train.loop import Progress
    from semblance.train.loop import train as run_training

    if origin is not None:
        size = read_settings(origin)["config"]["size"]
        settings = {**FINE_TUNE, "size": size, **settings}
    config = TrainConfig(**settings)
    if performer is not None and likeness is not None:
        people = Person((performer,)), Person((likeness,))
    else:
        assert origin is not None
        people = read_people(origin)
    first = int(os.environ.get("RANK", "0")) == 0
    with stopping() as stop:
        made = [_shot_faces(shot, run, tracker, models_dir, stop) for shot in shots]
        people = (
            replace(people[0], added=(*add_performer, *made)),
            replace(people[1], added=add_likeness),
        )
        with progress("training", config.steps) if first else _silence() as bar:

            def report(now: Progress) -> None:
                left = clock(now.seconds_left)
                bar(now.step, f"loss {now.losses['loss']:.4f}  {now.rate:.2f} it/s  {left} left")

            hard = read_hard(hard_file) if hard_file else frozenset()
            summary = run_training(*people, run, config, report, stop, origin=origin, hard=hard)
    if not first:
        return DONE
    if as_json:
        paths = {
            name: str(getattr(summary, name)) for name in ("checkpoint", "preview", "dashboard")
        }
        print_json({**asdict(summary), **paths})
        return DONE
    for words in summary.holes:
        click.echo(f"missing: {words}")
    click.echo(f"{summary.step} steps in {clock(summary.seconds)}: {summary.checkpoint}")
    click.echo(f"look at: {summary.dashboard}")
    if summary.complete:
        click.echo(f"Next: semblance export {shlex.quote(str(run))} -o likeness.onnx")
    else:
        click.echo(f"Stopped before the end; go on with: {shlex.join(_same_command())}")
    return DONE


def _shot_faces(
    shot: str, run: Path, tracker: str, models_dir: Path | None, stop: Callable[[], bool]
) -> Path:
    """Make the faceset of a shot in a run's folder, or find it there; return its folder."""
    from semblance.track.provider import open_provider
    from semblance.train.faceset import FacesetProgress, build_faceset

    told = re.sub(r"[^\w-]+", "_", "_".join(Path(shot).parts[-2:])).strip("_")
    folder = run / "shots" / f"{told}-{hashlib.sha256(shot.encode()).hexdigest()[:6]}"
    if "RANK" in os.environ:
        if not (folder / "faceset.json").exists():
            raise click.UsageError(
                f"Several processes can't look at {shot} at once: make its faceset first, and give "
                "it by --add-performer."
            )
        return folder
    with progress("looking", None) as bar:

        def report(now: FacesetProgress) -> None:
            bar(now.done, f"of {now.total or '?'}  {now.kept} faces  {now.source}")

        provider = open_provider(tracker, models_dir)
        build_faceset([shot], folder, provider, report=report, cancel=stop)
    return folder


@contextmanager
def _silence() -> Iterator[Callable[[int, str], None]]:
    yield lambda done, words: None


def _same_command() -> list[str]:
    """Return the command that is at work, as a person would type it again."""
    context = click.get_current_context()
    words = ["semblance", "train"]
    for parameter in context.command.params:
        value = context.params.get(parameter.name or "")
        if parameter.name == "as_json" or value is None or value == parameter.default:
            continue
        values = value if isinstance(value, tuple) else (value,)
        option = [] if isinstance(parameter, click.Argument) else [max(parameter.opts, key=len)]
        for each in values:
            words += [*option, str(each)]
    return words


def _config_values(given: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings that were given, choices in their own type."""
    defaults = {item.name: item.default for item in fields(TrainConfig)}
    return {
        name: int(value) if isinstance(defaults[name], int) else value
        for name, value in given.items()
        if value is not None
    }


@click.command()
@click.argument("source", type=click.Path(path_type=Path, exists=True))
@click.option("-o", "--output", type=FILE, required=True, help="The model (.onnx), or its .pt.")
@click.option("--name", help="Name of the model; by default its file's.")
@click.option(
    "--performer", default="performer", show_default=True, help="Name of the face at strength 0."
)
@click.option(
    "--likeness", default="likeness", show_default=True, help="Name of the face at strength 1."
)
@click.option(
    "--torchscript",
    is_flag=True,
    help="Write TorchScript (.pt) instead, from which Nuke's CatFileCreator makes a .cat. SOURCE "
    "may then be a released model; what is not released has the slate in its picture.",
)
@TRUST
@PRODUCTION
def export(
    source: Path,
    output: Path,
    name: str | None,
    performer: str,
    likeness: str,
    torchscript: bool,
    trust: tuple[Path, ...],
    production: str | None,
) -> int:
    """Write the likeness model of a training run: one ONNX file with its manifest.

    SOURCE is the run's folder.
    """
    if torchscript:
        return _export_torchscript(source, output, name, trust, production)
    if not source.is_dir():
        raise click.UsageError(f"{source} is no training run; a model gives --torchscript alone.")
    from semblance.train.export import export as write_model

    made = write_model(source, output, name or output.stem, performer, likeness)
    click.echo(f"{output}: {made.name}, {made.size} px, {made.training['steps']} steps")
    return DONE


def _export_torchscript(
    source: Path, output: Path, name: str | None, trust: tuple[Path, ...], production: str | None
) -> int:
    from semblance import release
    from semblance.model import sha256_of
    from semblance.train.torchscript import export_torchscript

    if source.is_dir():
        verdict = release.Verdict(False, "a training run has no release, export its model first")
    else:
        verdict = release.check(source, sha256_of(source), None, production, trust)
    made = export_torchscript(source, output, verdict, name or output.stem)
    if not verdict.valid:
        complain(f"{verdict.reason}: the picture carries a slate that says so.")
    click.echo(f"{output}: {made.name}, {made.size} px: {verdict.reason}")
    return DONE
