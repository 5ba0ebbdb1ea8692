"""Files that are being written: hidden until they are whole, swept up when their writer died."""

from __future__ import annotations

import hashlib
import os
import platform
import re
import secrets
import time
from contextlib import suppress
from functools import cache
from pathlib import Path

__all__ = ["hidden_path", "sweep"]

_GRACE = 600.0
"""Seconds for which a file may rest before it can be a dead writer's: in containers that share a
host's name, a process that is not to be seen may still be alive."""


def hidden_path(folder: Path) -> Path:
    """Return the name of a new file in a folder that tells who writes it."""
    return folder / f".semblance-{_host()}-{os.getpid()}-{secrets.token_hex(4)}"


def sweep(folder: Path) -> None:
    """Remove what writers on this machine left in a folder when they were killed.

    Files of other machines stay, and on Windows all do: it can't ask for a process without
    disturbing it.
    """
    if os.name == "nt":
        return
    name = re.compile(rf"\.semblance-{_host()}-([1-9][0-9]{{0,9}})-[0-9a-f]{{8}}")
    with suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            match = name.fullmatch(entry.name)
            if match is None or _alive(int(match[1])):
                continue
            with suppress(OSError):
                if time.time() - entry.stat(follow_symlinks=False).st_mtime > _GRACE:
                    os.unlink(entry.path)


@cache
def _host() -> str:
    """Return a short name of this machine, of letters that any file system takes."""
    return hashlib.blake2s(platform.node().encode(), digest_size=4).hexdigest()


def _alive(process: int) -> bool:
    """Return whether a process of this machine runs."""
    try:
        os.kill(process, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except OSError:  # somebody else's
        return True
    return True
