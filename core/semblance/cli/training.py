"""Facesets, training, export."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import asdict, fields
from datetime import date
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
@JSON
def train(performer: Path, likeness: Path, run: Path, as_json: bool, **given: Any) -> int:
    """Train a likeness: PERFORMER acts in the plates, LIKENESS is whose face they shall carry.

    Both are facesets. Ctrl-C ends the run with a checkpoint; the same command goes on from there.
    """
    config = TrainConfig(**_config_values(given))
    from semblance.train.loop import Progress
    from semblance.train.loop import train as run_training

    with stopping() as stop, progress("training", config.steps) as bar:

        def report(now: Progress) -> None:
            left = clock(now.seconds_left)
            bar(now.step, f"loss {now.losses['loss']:.4f}  {now.rate:.2f} it/s  {left} left")

        summary = run_training(performer, likeness, run, config, report, stop)
    if as_json:
        paths = {name: str(getattr(summary, name)) for name in ("checkpoint", "preview")}
        print_json({**asdict(summary), **paths})
        return DONE
    click.echo(f"{summary.step} steps in {clock(summary.seconds)}: {summary.checkpoint}")
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
        verdict = release.verify(
            release.default_release_path(source),
            sha256_of(source),
            date.today(),
            production,
            (*trust, *release.default_trust_paths()),
        )
    made = export_torchscript(source, output, verdict, name or output.stem)
    if not verdict.valid:
        complain(f"{verdict.reason}: the picture carries a slate that says so.")
    click.echo(f"{output}: {made.name}, {made.size} px: {verdict.reason}")
    return DONE
