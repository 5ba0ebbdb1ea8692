"""The viewer: the panel beside the plate, in a window of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import click

from semblance.cli.options import DONE, FILE, PRODUCTION, TRUST
from semblance.errors import EnvironmentFault, MissingPackageError

__all__ = ["view"]

_PROBE_SECONDS = 30.0
_DISPLAYS = ("DISPLAY", "WAYLAND_DISPLAY", "QT_QPA_PLATFORM")
"""Variables of which one is set where a window can be shown, on systems of the X kind."""


@click.command()
@click.argument("plate", required=False)
@click.option("-m", "--model", type=FILE, help="The likeness model.")
@click.option("-t", "--track", "track_file", type=FILE, help="The track of the plate.")
@click.option("--preset", type=FILE, help="Knobs to begin with, from a JSON file.")
@click.option("--part", metavar="NAME", help="Part of a multi-part file that is the plate.")
@TRUST
@PRODUCTION
@click.option(
    "--cache-mb",
    type=click.FloatRange(64.0),
    default=2048.0,
    show_default=True,
    metavar="MB",
    help="Memory for frames that were read and rendered.",
)
def view(
    plate: str | None,
    model: Path | None,
    track_file: Path | None,
    preset: Path | None,
    part: str | None,
    trust: tuple[Path, ...],
    production: str | None,
    cache_mb: float,
) -> int:
    """Look at PLATE (plate.####.exr) with the likeness over it, and move its knobs.

    One frame of a sequence opens the whole of it. Needs a screen and the extra `panel`; the keys
    are in docs/viewer.md.
    """
    _check_screen()
    try:
        from semblance_viewer import application
        from semblance_viewer.services import Trust
    except ModuleNotFoundError as error:
        raise MissingPackageError(error.name or "semblance_viewer", "panel") from error
    given = {"model": model, "track_file": track_file}
    return (
        application.run(
            plate,
            preset=preset,
            # A preset that is saved here holds on from any folder.
            values={name: str(path.absolute()) for name, path in given.items() if path is not None},
            trust=Trust(tuple(key.absolute() for key in trust), production),
            part=part,
            cache_mb=cache_mb,
        )
        or DONE
    )


def _check_screen() -> None:
    """Refuse where there is no screen: Qt itself would end the process.

    Raises
    ------
    EnvironmentFault
        No window can be shown here.
    """
    if sys.platform in ("win32", "darwin"):
        return
    remedy = (
        "Run it on a desktop or over a remote desktop; `semblance apply` renders without a screen."
    )
    if not any(os.environ.get(name) for name in _DISPLAYS):
        raise EnvironmentFault("there is no display to show a window on", remedy)
    command = [sys.executable, "-c", _PROBE]
    try:
        tried = subprocess.run(
            command, capture_output=True, encoding="utf-8", errors="replace",
            timeout=_PROBE_SECONDS, check=False,
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired) as error:
        raise EnvironmentFault(f"the display does not answer ({error})", remedy) from error
    if tried.returncode not in (0, _NO_QT):
        said = " ".join(tried.stderr.split())
        raise EnvironmentFault(f"Qt can't open the display ({said[:300]})", remedy)


_NO_QT = 9
_PROBE = f"""
import sys
try:
    from semblance_panel.qt import QtGui
except Exception:
    sys.exit({_NO_QT})
QtGui.QGuiApplication([])
"""
"""Opens the display in a process that may die of it; that Qt is missing is said elsewhere."""
