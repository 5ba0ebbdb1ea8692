"""The terminal: one line for a mistake, a bar for patience, and Ctrl-C that ends cleanly."""

from __future__ import annotations

import json
import signal
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import click

__all__ = ["clock", "complain", "print_json", "print_line", "progress", "stopping"]


def print_json(values: Mapping[str, Any]) -> None:
    """Print plain values on stdout as one JSON document."""
    click.echo(json.dumps(values, indent=2))


def print_line(values: Mapping[str, Any]) -> None:
    """Print plain values on stdout as one line of JSON, at once even into a pipe."""
    click.echo(json.dumps(values))
    sys.stdout.flush()


def complain(text: str) -> None:
    """Say one line on stderr."""
    click.echo(f"semblance: {' '.join(text.splitlines())}", err=True)


def clock(seconds: float) -> str:
    """Return seconds as h:mm:ss.

    >>> clock(3725.2)
    '1:02:05'
    """
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes // 60}:{minutes % 60:02d}:{rest:02d}"


@contextmanager
def stopping() -> Iterator[Callable[[], bool]]:
    """Yield what asks whether to stop: after Ctrl-C or SIGTERM; a second one breaks off."""
    asked: list[int] = []

    def ask(number: int, frame: object) -> None:
        if asked:
            raise KeyboardInterrupt
        asked.append(number)
        complain("stopping after this step; once more to break off.")

    before = {each: signal.signal(each, ask) for each in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield lambda: bool(asked)
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)


_LOG_SECONDS = 30.0


@contextmanager
def progress(
    what: str, total: int | None, *, as_json: bool = False
) -> Iterator[Callable[[int, str], None]]:
    """Yield what hears of steps done, with a few words: a bar on a terminal, else some lines.

    For a program, a JSON object a line on stdout at every step.
    """
    if as_json:
        yield lambda done, words: print_line(
            {"what": what, "done": done, "total": total, "words": words}
        )
        return
    if not sys.stderr.isatty():
        last = time.monotonic()

        def log(done: int, words: str) -> None:
            nonlocal last
            if time.monotonic() - last >= _LOG_SECONDS:
                last = time.monotonic()
                complain(f"{what} {done}{f'/{total}' if total else ''}  {words}")

        yield log
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

    words = TextColumn("{task.description}")
    columns = (TextColumn(what), BarColumn(), MofNCompleteColumn(), words)
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("", total=total)
        yield lambda done, words: bar.update(task, completed=done, description=words)
