"""Who is writing which frames: two renders to the same files are one too many.

A render holds a small hidden file in its output folder, locked for as long as its process lives.
The system lets go of the lock when the process ends, however it ends, so a dead owner blocks
nobody, and neither process numbers nor clocks are asked. Chunks of one shot, on one machine or on
several, are no conflict: a claim names its frames. A file system without locks has no claims.
"""

from __future__ import annotations

import errno
import getpass
import json
import os
import platform
import secrets
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path
from typing import Any, BinaryIO, Final

from semblance.documents import loads
from semblance.errors import OutputError
from semblance.exr.sequence import Sequence, compact

__all__ = ["claim"]

_CLAIM: Final = ".semblance-claim-"
_GATE: Final = ".semblance-claims"
_GATE_SECONDS: Final = 30.0
_LONGEST: Final = 1 << 20
_UNKNOWN: Final = {errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOTSUP, errno.EINVAL}
"""What a file system says that has no locks."""


@contextmanager
def claim(output: Sequence, frames: tuple[int, ...]) -> Iterator[Callable[[], None]]:
    """Hold the files of some frames against every other render while this goes on.

    Parameters
    ----------
    output : Sequence
        What is written; its folder is there.
    frames : tuple of int
        The frames in work.

    Yields
    ------
    callable
        Raises `OutputError` where the folder is no longer the one that was claimed: a share that
        went away leaves an empty folder under its name, on the machine's own disk.

    Raises
    ------
    OutputError
        Another render that is alive writes one of them, or the folder takes no file.
    """
    held: BinaryIO | None = None
    try:
        with _gate(output.folder) as locks:
            if locks:
                _refuse_others(output, frames)
                held = _held(output, frames)
    except OSError as error:
        raise OutputError(
            f"the folder {output.folder} can't be written to: {error.strerror}",
            "Make room there, or name another folder.",
        ) from error
    try:
        yield _same_folder(output.folder)
    finally:
        if held is not None:
            _give_up(held)


def _same_folder(folder: Path) -> Callable[[], None]:
    """Return what says whether a folder is still the one that it is now."""

    def found() -> tuple[int, int]:
        try:
            there = folder.stat()
        except OSError as error:
            raise OutputError(
                f"the folder {folder} is gone: {error.strerror}",
                "See whether its share is mounted, and render again with --resume.",
            ) from error
        return there.st_dev, there.st_ino

    before = found()

    def look() -> None:
        if found() != before:
            raise OutputError(
                f"the folder {folder} is another one than when the render began",
                "See whether its share is mounted, and render again with --resume.",
            )

    return look


def _held(output: Sequence, frames: tuple[int, ...]) -> BinaryIO:
    """Write a claim and return its file, locked."""
    told = {
        "head": output.head,
        "tail": output.tail,
        "frames": list(frames),
        "owner": f"{_user()} on {platform.node()}, process {os.getpid()}",
        "since": datetime.now().astimezone().isoformat(" ", "seconds"),
    }
    path = output.folder / f"{_CLAIM}{secrets.token_hex(6)}"
    file = path.open("x+b")
    try:
        file.write(json.dumps(told).encode())
        file.flush()
        _lock(file)
    except BaseException:
        _give_up(file)
        raise
    return file


def _user() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError):  # a container may run as a number without a name
        return "somebody"


def _refuse_others(output: Sequence, frames: tuple[int, ...]) -> None:
    for path in sorted(output.folder.glob(f"{_CLAIM}*")):
        told = _told(path)
        if told is None or (told.get("head"), told.get("tail")) != (output.head, output.tail):
            continue
        shared = set(frames) if output.single else set(frames).intersection(told.get("frames", ()))
        if shared:
            since = str(told.get("since", "")).rpartition("+")[0] or told.get("since")
            raise OutputError(
                f"another render writes frames {compact(shared)} of {output}: "
                f"{told.get('owner')}, since {since}",
                "Wait for it, stop it, or name another output.",
            )


def _told(path: Path) -> dict[str, Any] | None:
    """Return what a living claim says; a dead one is removed."""
    try:
        file = path.open("r+b")
    except OSError:  # given up meanwhile
        return None
    with file:
        if _lock(file):
            with suppress(OSError):
                path.unlink()
            return None
        try:
            told = loads(file.read(_LONGEST).decode())
        except (OSError, ValueError):
            return None
    if not isinstance(told, dict) or not isinstance(told.get("frames"), list):
        return None
    return {**told, "frames": [each for each in told["frames"] if isinstance(each, int)]}


def _give_up(file: BinaryIO) -> None:
    path = Path(file.name)
    with suppress(OSError):
        path.unlink()  # before it is unlocked, so that nobody takes it for a dead one's
    with suppress(OSError):
        file.close()
    with suppress(OSError):
        path.unlink(missing_ok=True)  # Windows removes no file that is open


@contextmanager
def _gate(folder: Path) -> Iterator[bool]:
    """Let one process at a time look at the claims; False where the file system has no locks."""
    path = folder / _GATE
    deadline = time.monotonic() + _GATE_SECONDS
    while True:
        file = path.open("a+b")
        try:
            if _lock(file):
                if _is_there(path, file):
                    break
            elif time.monotonic() > deadline:
                raise OutputError(
                    f"{path} has been locked for {_GATE_SECONDS:.0f} s by another process",
                    "See what holds it, or remove the file.",
                )
            else:
                time.sleep(0.02)
        except OSError as error:
            _give_up(file)
            if error.errno not in _UNKNOWN:
                raise
            yield False
            return
        except BaseException:
            file.close()
            raise
        file.close()
    try:
        yield True
    finally:
        _give_up(file)


def _is_there(path: Path, file: BinaryIO) -> bool:
    """Return whether the file that was opened is still the one of this name."""
    try:
        return os.path.samestat(path.stat(), os.fstat(file.fileno()))
    except OSError:
        return False


if sys.platform == "win32":
    import msvcrt

    _FAR: Final = 1 << 30
    """What is locked on Windows can't be read either, so lock where nothing is."""

    def _lock(file: BinaryIO) -> bool:
        """Lock a file until it is closed; False where somebody else has."""
        before = file.tell()
        file.seek(_FAR)
        try:
            msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
        except PermissionError:
            return False
        finally:
            file.seek(before)
        return True

else:
    import fcntl

    def _lock(file: BinaryIO) -> bool:
        """Lock a file until it is closed; False where somebody else has."""
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True
