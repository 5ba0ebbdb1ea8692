"""Small files: read within bounds, made once, or replaced whole."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from semblance.errors import OutputError, ReleaseError

__all__ = ["alone", "read_small", "save_new", "write_whole"]


def read_small(path: Path, most: int) -> bytes:
    """Return the whole of a file of at most `most` bytes.

    Raises
    ------
    ReleaseError
        It can't be read, or is larger: then it is something else, and nothing of it is parsed.
    """
    try:
        with path.open("rb") as file:
            data = file.read(most + 1)
    except OSError as error:
        raise ReleaseError(
            f"{path.name} can't be read: {error.strerror}", "Check the path and its permissions."
        ) from None
    if len(data) > most:
        raise ReleaseError(
            f"{path.name} holds more than {most} bytes, which no file of its kind does",
            "Give the right file.",
        )
    return data


def save_new(path: Path, content: bytes, *, private: bool = False) -> None:
    """Write a key, a draft or a release to a new file; an existing one is never replaced.

    Parameters
    ----------
    path : Path
        The file to make.
    content : bytes
        What goes into it.
    private : bool
        Keep it readable for the owner alone.

    Raises
    ------
    OutputError
        The file exists, or can't be written there.
    """
    try:
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600 if private else 0o644)
    except FileExistsError:
        raise OutputError(
            f"{path} exists, and keys and releases are never replaced",
            "Give another name, or move the old file away first.",
        ) from None
    except OSError as error:
        raise _unwritable(path, error) from None
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
    except OSError as error:
        path.unlink(missing_ok=True)
        raise _unwritable(path, error) from None


def write_whole(path: Path, content: bytes) -> None:
    """Put new content in a file's place, all of it at once.

    Raises
    ------
    OutputError
        It can't be written; an old file is as it was.
    """
    hidden = path.with_name(f".{path.name}.{secrets.token_hex(6)}")
    try:
        with hidden.open("xb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        hidden.replace(path)
    except OSError as error:
        with suppress(OSError):
            hidden.unlink(missing_ok=True)
        raise _unwritable(path, error) from None


@contextmanager
def alone(path: Path) -> Iterator[None]:
    """Keep every other process from changing a file between reading and replacing it.

    Raises
    ------
    OutputError
        Somebody else is at it, or the folder takes no file.
    """
    lock = path.with_name(f".{path.name}.lock")
    try:
        os.close(os.open(lock, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644))
    except FileExistsError:
        raise OutputError(
            f"{path} is being replaced by another process",
            f"Wait for it; where none is at work, one was stopped: remove {lock}.",
        ) from None
    except OSError as error:
        raise _unwritable(path, error) from None
    try:
        yield
    finally:
        with suppress(OSError):
            lock.unlink()


def _unwritable(path: Path, error: OSError) -> OutputError:
    return OutputError(
        f"{path} can't be written: {error.strerror}",
        "Give a path in a folder that exists and that you may write to.",
    )
