"""What the program `semblance` knows of a file, asked in a process of its own, for the panel.

A host's Python could load nothing of what reads a model or checks a signature. Standard library
only, no Qt; every question has a thread, so that asking never waits.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Optional

from semblance.errors import EnvironmentFault, SemblanceError
from semblance_panel.providers import Identity, Release

__all__ = ["IdentitiesByProgram", "ReleasesByProgram", "Said", "environment", "program", "said"]

_FOREIGN: Final = (
    "PYTHONHOME", "PYTHONPATH", "PYTHONEXECUTABLE", "PYTHONSTARTUP", "LD_LIBRARY_PATH",
    "LD_PRELOAD", "DYLD_LIBRARY_PATH", "DYLD_FRAMEWORK_PATH", "DYLD_INSERT_LIBRARIES",
    "QT_PLUGIN_PATH", "SSL_CERT_FILE",
)  # fmt: skip
"""Variables by which a host finds its own libraries, and another program the wrong ones."""

_BUNDLE: Final = "Semblance.ofx.bundle/Contents/Resources/worker.path"
_SECONDS: Final = 120.0
"""Longest that a question may take: a big model is hashed, perhaps from a slow share."""


def program(environ: Mapping[str, str] = os.environ) -> str:
    """Return the `semblance` program: named by `$SEMBLANCE_WORKER`, on the path, or the node's own.

    Raises
    ------
    EnvironmentFault
        There is none.
    """
    named = environ.get("SEMBLANCE_WORKER") or shutil.which("semblance", path=environ.get("PATH"))
    if named:
        return named
    for folder in _ofx_folders(environ):
        try:
            found = (folder / _BUNDLE).read_text(encoding="utf-8").strip()
        except OSError:
            continue
        if found:
            return found
    raise EnvironmentFault(
        "the program semblance is not on this machine's path, and no OpenFX node names it",
        "Run `semblance install-host`, or set SEMBLANCE_WORKER to the program.",
    )


def environment(environ: Mapping[str, str] = os.environ) -> dict[str, str]:
    """Return the variables for a program that is not the host's."""
    return {name: value for name, value in environ.items() if name not in _FOREIGN}


@dataclass(frozen=True)
class Said:
    """What the program answered.

    Parameters
    ----------
    document : mapping
        What it printed as JSON; empty where it printed none.
    complaint : str
        Its lines for a person, without the program's name.
    """

    document: Mapping[str, Any]
    complaint: str


def said(command: Sequence[str]) -> Said:
    """Run a command that prints one JSON document, to its end.

    Raises
    ------
    EnvironmentFault
        The program can't be started, or does not answer.
    """
    try:
        ran = subprocess.run(
            list(command),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            env=environment(),
            encoding="utf-8",
            errors="replace",
            timeout=_SECONDS,
            creationflags=getattr(subprocess, "CREATE_NO_WINDOW", 0),
        )
    except OSError as error:
        raise EnvironmentFault(
            f"{command[0]} can't be started: {error.strerror}",
            "Run `semblance doctor` in a terminal, or set SEMBLANCE_WORKER to the program.",
        ) from error
    except subprocess.TimeoutExpired as error:
        raise EnvironmentFault(
            f"{command[0]} has not answered for {_SECONDS:g} seconds",
            "See whether the disk of the model answers.",
        ) from error
    lines = (line.strip().replace("semblance: ", "", 1) for line in ran.stderr.splitlines())
    return Said(_document(ran.stdout), " ".join(line for line in lines if line))


class _ByProgram:
    """Runs the program in a thread for each question.

    Parameters
    ----------
    command : sequence of str, optional
        How the program is started; found as `program` says by default.
    options : sequence of str
        Added to its arguments.
    """

    def __init__(
        self, command: Optional[Sequence[str]] = None, options: Sequence[str] = ()
    ) -> None:
        self._command = command
        self._options = tuple(options)

    def _begin(self, words: Sequence[str], deliver: Callable[[Said], None]) -> None:
        """Run ``semblance WORDS --json`` and deliver what it said, or why it could not."""

        def run() -> None:
            try:
                command = [program()] if self._command is None else self._command
                answer = said([*command, *words, "--json", *self._options])
            except SemblanceError as error:
                answer = Said({}, str(error))
            deliver(answer)

        threading.Thread(target=run, name="semblance " + words[0], daemon=True).start()


class ReleasesByProgram(_ByProgram):
    """Checks releases by ``semblance release verify``; a `Releases` for the panel.

    Its `options` may say whom to trust and for which production: ``--trust KEY``,
    ``--production NAME``.
    """

    def ask(self, model: str, likeness: str, deliver: Callable[[Release], None]) -> None:
        """Begin to check a model's release and return at once; a release is of all the file."""
        self._begin(["release", "verify", model], lambda answer: deliver(_release(answer)))


class IdentitiesByProgram(_ByProgram):
    """Reads whom a model draws by ``semblance info``; an `Identities` for the panel."""

    def ask(self, model: str, deliver: Callable[[Identity], None]) -> None:
        """Begin to read a model's manifest and return at once."""
        self._begin(["info", model], lambda answer: deliver(_identity(answer)))


def _release(answer: Said) -> Release:
    valid = answer.document.get("valid")
    if not isinstance(valid, bool):
        unknown = "The release can't be checked here; rendering checks it."
        return Release(None, unknown, answer.complaint)
    text = "The likeness is released." if valid else "Not released: frames carry a slate."
    warnings = answer.document.get("warnings", ())
    reasons = [answer.document.get("reason", ""), *warnings]
    return Release(valid, text, ". ".join(str(each) for each in reasons if each))


def _identity(answer: Said) -> Identity:
    held = answer.document.get("identities")
    names = held if isinstance(held, dict) else {}
    likeness = names.get("likeness")
    if not isinstance(likeness, str):
        return Identity(message=answer.complaint or "the file holds no likeness")
    return Identity(str(names.get("performer", "")), (likeness,))


def _ofx_folders(environ: Mapping[str, str]) -> list[Path]:
    named = [Path(each) for each in environ.get("OFX_PLUGIN_PATH", "").split(os.pathsep) if each]
    if sys.platform == "win32":
        return [*named, Path(environ.get("COMMONPROGRAMFILES", "C:/"), "OFX", "Plugins")]
    return [*named, Path("/usr/OFX/Plugins"), Path("/Library/OFX/Plugins")]


def _document(text: str) -> Mapping[str, Any]:
    try:
        document = json.loads(text)
    except ValueError:
        return {}
    return document if isinstance(document, dict) else {}
