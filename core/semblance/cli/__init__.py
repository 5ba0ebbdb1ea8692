"""The command line: options in, one call, one except, exit code.

Exit codes: 0 the job is done, 1 it failed or some frames did, 2 the command line makes no sense,
3 the likeness is not released for it.
Everything that loads pixels or a network is imported inside its command, so that ``--help`` is
instant and a studio without torch has every command but those that train.
"""

from __future__ import annotations

from collections.abc import Sequence

import click

from semblance.cli import (
    adapting,
    farming,
    install,
    live,
    looking,
    releases,
    shots,
    tracking,
    tracks,
    training,
    verifying,
    viewing,
)
from semblance.cli.models import Models
from semblance.cli.options import DONE, FAILED, REFUSED, USAGE
from semblance.cli.terminal import complain
from semblance.errors import KnobError, ReleaseError, SemblanceError

__all__ = ["commands", "main"]


def main(arguments: Sequence[str] | None = None, models: Models | None = None) -> int:
    """Run a command line and return its exit code; every refusal is one line on stderr.

    Parameters
    ----------
    arguments : sequence of str, optional
        Without the program's name; those of the process where they are not given.
    models : Models, optional
        What stays open after this command, for the next one in this process.
    """
    try:
        return commands.main(arguments, "semblance", standalone_mode=False, obj=models) or DONE
    except click.exceptions.NoArgsIsHelpError as error:
        error.show()
        return error.exit_code
    except click.ClickException as error:
        context = getattr(error, "ctx", None)
        hint = f" See: {context.command_path} --help." if context is not None else ""
        complain(" ".join(error.format_message().split()) + hint)
        return error.exit_code
    except click.Abort:
        complain("stopped.")
        return FAILED
    except SemblanceError as error:
        complain(str(error))
        if isinstance(error, ReleaseError):
            return REFUSED
        return USAGE if isinstance(error, KnobError) else FAILED


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(package_name="semblance", message="%(prog)s %(version)s")
def commands() -> None:
    """Lay a consented likeness over a performance, in scene-linear EXR."""


for command in (
    training.faceset,
    training.train,
    training.export,
    tracking.track,
    shots.apply,
    tracks.convert_track,
    viewing.view,
    live.serve,
    farming.farm,
    install.install_host,
    looking.review,
    looking.shots,
    looking.score,
    looking.info,
    looking.doctor,
    releases.release,
    verifying.sign,
    verifying.verify,
    verifying.certificate,
    adapting.model,
):
    commands.add_command(command)
