"""The shot rendered to files: ``semblance apply`` as a child, with its progress and an end. No Qt.

The child is this very installation. It tells its steps as JSON lines and ends at SIGTERM after the
frame in work, which then is whole or not there, as at every other end that it may meet.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from semblance.errors import EnvironmentFault

__all__ = ["PROGRAM", "Ended", "Job", "Order", "Step", "start"]

PROGRAM: Final = (
    sys.executable,
    "-c",
    "import sys; from semblance.cli import main; sys.exit(main())",
)
"""The command line of this installation, whatever the path says."""

_ENDING_SECONDS: Final = 20.0


@dataclass(frozen=True)
class Step:
    """How far a job is.

    Parameters
    ----------
    what : str
        What is being done: rendering, tracking.
    done, total : int
    words : str
        A few more: the frame.
    """

    what: str
    done: int
    total: int
    words: str


@dataclass(frozen=True)
class Ended:
    """How a job ended.

    Parameters
    ----------
    code : int
        Exit code: 0 done, 1 failed or some frames did, 2 the command line makes no sense,
        3 the likeness is not released for it.
    cancelled : bool
        Whether somebody stopped it.
    summary : mapping
        What ``--json`` tells; empty where it did not come to that.
    complaints : tuple of str
        Lines for a person, without the program's name.
    """

    code: int
    cancelled: bool = False
    summary: Mapping[str, Any] = field(default_factory=dict)
    complaints: tuple[str, ...] = ()


@dataclass(frozen=True)
class Order:
    """What is to be rendered.

    Parameters
    ----------
    plate, output : str
        Patterns.
    frames : str
        A range as the command line takes it; empty for all.
    values : mapping
        A preset: knobs that are off their defaults, with their curves.
    part : str or None
        The part of multi-part files.
    options : sequence of str
        Further options of ``semblance apply``: who may release, for which production.
    """

    plate: str
    output: str
    frames: str = ""
    values: Mapping[str, Any] = field(default_factory=dict)
    part: str | None = None
    options: Sequence[str] = ()

    def arguments(self, preset: Path) -> list[str]:
        """Return the arguments of ``semblance`` that carry it out."""
        words = ["apply", self.plate, "-o", self.output, "--preset", str(preset)]
        words += ["--frames", self.frames] if self.frames else []
        words += ["--part", self.part] if self.part else []
        return [*words, *self.options, "--progress", "json"]


class Job:
    """A command that runs; both callbacks come from a thread of its own.

    Parameters
    ----------
    arguments : sequence of str
        Of ``semblance``, with ``--progress json``.
    step : callable
        Hears of every step.
    ended : callable
        Hears once how it ended.
    afterwards : callable
        Called before `ended`, whatever happened: removes what was made for the job.

    Raises
    ------
    EnvironmentFault
        The program can't be started.
    """

    def __init__(
        self,
        arguments: Sequence[str],
        *,
        step: Callable[[Step], None],
        ended: Callable[[Ended], None],
        afterwards: Callable[[], None] = lambda: None,
    ) -> None:
        self._cancelled = False
        self._afterwards = afterwards
        try:
            self._process = subprocess.Popen(
                [*PROGRAM, *arguments],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                encoding="utf-8",
                errors="replace",
                creationflags=getattr(subprocess, "CREATE_NO_WINDOW", 0),
            )
        except OSError as error:
            afterwards()
            raise EnvironmentFault(
                f"{sys.executable} can't be started: {error.strerror}",
                "Run `semblance doctor` in a terminal.",
            ) from error
        self._thread = threading.Thread(
            target=self._follow, args=(step, ended), name="render", daemon=True
        )
        self._thread.start()

    @property
    def running(self) -> bool:
        """Whether it has not ended."""
        return self._thread.is_alive()

    def cancel(self) -> None:
        """Ask it to end after the frame in work; asked again, it ends at once."""
        with suppress(OSError):
            if self._cancelled:
                self._process.kill()
            else:
                self._cancelled = True
                self._process.terminate()

    def close(self, seconds: float = _ENDING_SECONDS) -> None:
        """End it, by force where it takes longer than so many seconds."""
        if self.running:
            self.cancel()
            self._thread.join(seconds)
        if self.running:
            self._process.kill()
            self._thread.join(seconds)

    def _follow(self, step: Callable[[Step], None], ended: Callable[[Ended], None]) -> None:
        complaints: list[str] = []
        summary: Mapping[str, Any] = {}
        out, err = self._process.stdout, self._process.stderr
        assert out is not None
        assert err is not None
        reader = threading.Thread(target=complaints.extend, args=(err,), daemon=True)
        reader.start()
        for line in out:
            said = _object(line)
            if "done" in said:
                total = int(said.get("total") or 0)
                words = str(said.get("words", ""))
                step(Step(str(said.get("what", "")), int(said["done"]), total, words))
            elif isinstance(said.get("summary"), dict):
                summary = said["summary"]
        code = self._process.wait()
        reader.join()
        out.close()
        err.close()
        self._afterwards()
        told = (line.strip().removeprefix("semblance: ") for line in complaints)
        ended(Ended(code, self._cancelled, summary, tuple(each for each in told if each)))


def start(order: Order, *, step: Callable[[Step], None], ended: Callable[[Ended], None]) -> Job:
    """Render a shot with exactly these knobs: they lie in a preset file while the child runs.

    Raises
    ------
    EnvironmentFault
        The preset can't be written, or the program not be started.
    """
    try:
        handle, name = tempfile.mkstemp(prefix="semblance-", suffix=".json")
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            json.dump(dict(order.values), file)
    except OSError as error:
        raise EnvironmentFault(
            f"the folder for passing files can't be written to: {error.strerror}",
            "Make room there, or set TMPDIR.",
        ) from error
    preset = Path(name)
    return Job(
        order.arguments(preset),
        step=step,
        ended=ended,
        afterwards=lambda: preset.unlink(missing_ok=True),
    )


def _object(line: str) -> Mapping[str, Any]:
    try:
        said = json.loads(line)
    except ValueError:
        return {}
    return said if isinstance(said, dict) else {}
