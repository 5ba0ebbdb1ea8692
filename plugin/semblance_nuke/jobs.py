"""Work that takes long, in a process of its own: `semblance` with a progress and a way to cancel.

Nuke's Python runs none of it: its environment would not even load what `semblance` needs, and what
`semblance` needs would break Nuke.
"""

from __future__ import annotations

import json
import re
import subprocess
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Optional

from semblance.errors import EnvironmentFault
from semblance_panel.programs import environment

__all__ = ["Outcome", "run"]

_STEP: Final = re.compile(r"semblance: \w+ (\d+)/(\d+)")
_POLL_SECONDS: Final = 0.1
_ENDING_SECONDS: Final = 60.0


@dataclass(frozen=True)
class Outcome:
    """How a job ended.

    Parameters
    ----------
    code : int
        Exit code: 0 done, 1 failed or some frames did, 2 the command line makes no sense, 3 the
        likeness is not released for it.
    said : mapping
        The summary that it printed as JSON; empty where it printed none.
    complaints : tuple of str
        Its lines for a person, without the program's name.
    cancelled : bool
        Whether the artist stopped it.
    """

    code: int
    said: Mapping[str, Any]
    complaints: tuple[str, ...]
    cancelled: bool


def run(
    command: Sequence[str],
    progress: Callable[[float, str], None] = lambda done, words: None,
    cancelled: Callable[[], bool] = lambda: False,
    done: Optional[Callable[[], float]] = None,
) -> Outcome:
    """Run a command to its end, from any thread but one that must not wait.

    Parameters
    ----------
    command : sequence of str
        Program and arguments.
    progress : callable
        Hears of a share of 0..1 and the last line that was said, ten times a second.
    cancelled : callable
        Asked as often. The program then ends after its current frame, which is whole or not there.
    done : callable, optional
        Says which share is done; without it the program's own lines do.

    Raises
    ------
    EnvironmentFault
        The program can't be started.
    """
    try:
        process = subprocess.Popen(
            list(command),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=environment(),
            encoding="utf-8",
            errors="replace",
            creationflags=getattr(subprocess, "CREATE_NO_WINDOW", 0),
        )
    except OSError as error:
        raise EnvironmentFault(
            f"{command[0]} can't be started: {error.strerror}",
            "Run `semblance doctor` in a terminal, or set SEMBLANCE_WORKER to the program.",
        ) from error
    with process:
        return _followed(process, progress, cancelled, done)


def _followed(
    process: subprocess.Popen[str],
    progress: Callable[[float, str], None],
    cancelled: Callable[[], bool],
    done: Optional[Callable[[], float]],
) -> Outcome:
    printed: list[str] = []
    lines: list[str] = []
    readers = [
        threading.Thread(target=into.extend, args=(stream,), daemon=True)
        for into, stream in ((printed, process.stdout), (lines, process.stderr))
    ]
    for reader in readers:
        reader.start()
    asked: Optional[float] = None
    while process.poll() is None:
        if asked is None and cancelled():
            asked = time.monotonic()
            process.terminate()
        elif asked is not None and time.monotonic() - asked > _ENDING_SECONDS:
            process.kill()
        last = lines[-1].strip() if lines else ""
        progress(_share(lines) if done is None else done(), last)
        time.sleep(_POLL_SECONDS)
    for reader in readers:
        reader.join()
    complaints = (line.strip() for line in lines if _STEP.match(line) is None)
    return Outcome(
        process.returncode,
        _summary("".join(printed)),
        tuple(each.replace("semblance: ", "", 1) for each in complaints if each),
        asked is not None,
    )


def _share(lines: Sequence[str]) -> float:
    for line in reversed(lines):
        step = _STEP.match(line)
        if step:
            return int(step[1]) / max(int(step[2]), 1)
    return 0.0


def _summary(text: str) -> Mapping[str, Any]:
    try:
        said = json.loads(text)
    except ValueError:
        return {}
    return said if isinstance(said, dict) else {}
