"""What several commands share: options made from declarations, shared options, exit codes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from semblance.cli.terminal import complain

if TYPE_CHECKING:
    from semblance.exr import Sequence

__all__ = [
    "DONE",
    "FAILED",
    "FILE",
    "FOLDER",
    "FRAMES",
    "INPUT_SPACE",
    "JSON",
    "MODELS_DIR",
    "PRODUCTION",
    "PROGRESS",
    "REFUSED",
    "TRUST",
    "USAGE",
    "Setting",
    "SettingsCommand",
    "frames_in_work",
    "number",
    "shown_setting",
    "tracker_option",
]

DONE, FAILED, USAGE, REFUSED = 0, 1, 2, 3
"""Exit codes: the job is done; it failed, or some frames did; the command line makes no sense; the
likeness is not released for it. Only what failed may come out otherwise when it is tried again."""

FOLDER = click.Path(path_type=Path, file_okay=False)
FILE = click.Path(path_type=Path, dir_okay=False)


class Setting(click.Option):
    """An option that is made from a declaration: it is listed under a group, in plain words."""

    def __init__(self, *names: str, group: str, shown: str, **described: Any) -> None:
        described["help"] = f"{described['help']} [{shown}]" if shown else described["help"]
        super().__init__(names, **described)
        self.group = group

    def get_help_extra(self, ctx: click.Context) -> Any:
        """Return nothing: default and range stand in the help already."""
        return {}


class SettingsCommand(click.Command):
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


def number(limits: tuple[float, float], *, whole: bool) -> Any:
    """Return the click type of a number within limits, both allowed."""
    low, high = limits
    return click.IntRange(int(low), int(high)) if whole else click.FloatRange(low, high)


def shown_setting(default: Any, limits: tuple[float, float] | None, unit: str = "") -> str:
    """Return what help says of a setting's default and range."""
    words = {"True": "on", "False": "off", "None": "none"}.get(str(default), str(default))
    if limits is not None:
        low, high = (f"{limit:g}" if isinstance(limit, float) else limit for limit in limits)
        words = f"{words.removesuffix('.0')}; {low} to {high}"
    return f"{words} {unit}" if unit else words


def tracker_option(*names: str) -> Callable[[Any], Any]:
    """Return the option that chooses what finds faces, under these names."""
    return click.option(
        *names,
        "tracker",
        type=click.Choice(["native", "mediapipe", "onnx"]),
        default="native",
        show_default=True,
        help="What finds faces.",
    )


MODELS_DIR = click.option(
    "--models-dir", type=FOLDER, help="Folder of the tracker's model files, for work offline."
)
FRAMES = click.option(
    "--frames", metavar="RANGE", help="Frames, as 1001-1024,1030; by default all that are there."
)
INPUT_SPACE = click.option(
    "--input-space",
    default="auto",
    show_default=True,
    metavar="NAME",
    help="Colour space of the plate, by its OCIO name.",
)
TRUST = click.option(
    "--trust",
    type=click.Path(path_type=Path, exists=True),
    multiple=True,
    help="Public keys (*.pub) that may release, or a folder of them.",
)
PRODUCTION = click.option("--production", metavar="NAME", help="The production in work.")
JSON = click.option("--json", "as_json", is_flag=True, help="Print a summary as JSON.")
PROGRESS = click.option(
    "--progress",
    "steps",
    type=click.Choice(["text", "json"]),
    default="text",
    show_default=True,
    help="json: on stdout an object a line at every step, for a program; the last one is the "
    "summary.",
)


def frames_in_work(plates: Sequence, frames: str | None) -> tuple[int, ...]:
    """Return the frames in work; gaps in a shot that nobody asked for by number are told."""
    numbers = plates.select(frames)
    if frames is None and (gaps := plates.gaps()):
        complain(f"{plates}: {len(gaps)} frames between the first and the last are not there.")
    return numbers
