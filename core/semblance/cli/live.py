"""The live link: the worker that renders for compositing hosts."""

from __future__ import annotations

from pathlib import Path

import click

from semblance.cli.options import DONE, FILE, PRODUCTION, TRUST
from semblance.cli.terminal import complain

__all__ = ["serve"]


@click.command()
@click.option(
    "--idle",
    type=click.FloatRange(1.0),
    default=600.0,
    show_default=True,
    metavar="SECONDS",
    help="End after so long without a request.",
)
@click.option(
    "--cache-mb",
    type=click.FloatRange(0.0),
    default=1024.0,
    show_default=True,
    metavar="MB",
    help="Memory for what a moved knob does not change.",
)
@click.option(
    "--memory-mb",
    type=click.FloatRange(64.0),
    default=4096.0,
    show_default=True,
    metavar="MB",
    help="Memory for that and for the pixels of all hosts.",
)
@click.option(
    "--threads",
    type=click.IntRange(1, 64),
    default=1,
    show_default=True,
    metavar="N",
    help="Frames that are rendered at the same time.",
)
@click.option(
    "--provider",
    type=click.Choice(["auto", "cpu", "cuda", "tensorrt", "tensorrt-fp16"]),
    default="auto",
    show_default=True,
    help="What computes.",
)
@TRUST
@PRODUCTION
@click.option("--log", type=FILE, help="The log; by default worker-1.log beside the socket.")
@click.option("--foreground", is_flag=True, help="Write the log to the terminal instead.")
def serve(
    idle: float,
    cache_mb: float,
    memory_mb: float,
    threads: int,
    provider: str,
    trust: tuple[Path, ...],
    production: str | None,
    log: Path | None,
    foreground: bool,
) -> int:
    """Render for compositing hosts, as the OpenFX plug-in asks (docs/protocol.md).

    The plug-in starts this by itself; one worker serves all hosts of a user.
    """
    from semblance.worker import server
    from semblance.worker.transport import runtime_dir

    if memory_mb <= cache_mb:
        raise click.UsageError("--memory-mb holds the cache too: give more than --cache-mb.")
    directory = runtime_dir()
    settings = server.Settings(idle, cache_mb, memory_mb, threads, provider, trust, production)
    where = None if foreground else log or directory / "worker-1.log"
    if not server.serve(settings, directory, where):
        complain("a worker is running already.")
    return DONE
