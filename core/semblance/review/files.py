"""Files that a person looks at: whole or not at all, and signed before they have their name."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeAlias

from semblance.errors import OutputError
from semblance.exr.hidden import hidden_path

__all__ = ["Seal", "unsealed", "write_text", "written"]

Seal: TypeAlias = Callable[[Path], None]
"""Signs a picture or movie that is whole: replaces the file in place, or raises an error of ours.

It is called with a hidden name in the final folder, whose ending (.png, .jpg, .mp4) tells the kind;
the file gets its own name only afterwards, so none appears unsigned.
"""


def unsealed(path: Path) -> None:
    """Sign nothing."""


@contextmanager
def written(path: Path, seal: Seal = unsealed) -> Iterator[Path]:
    """Yield the hidden name under which a file is made; it gets its own once the body is through.

    Parameters
    ----------
    path : Path
        The file; its folder is made where it is missing.
    seal : Seal
        Signs it.

    Raises
    ------
    OutputError
        The file can't be written there. Then nothing is left.
    """
    partial = hidden_path(path.parent).with_suffix(path.suffix)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield partial
        seal(partial)
        os.replace(partial, path)
    except OSError as error:
        raise OutputError(
            f"{path} can't be written: {error.strerror or error}", "Choose another place for it."
        ) from error
    finally:
        _remove(partial)


def write_text(path: Path, text: str) -> None:
    """Write a text file, whole or not at all.

    Raises
    ------
    OutputError
        The file can't be written there.
    """
    with written(path) as partial:
        partial.write_text(text, encoding="utf-8", newline="\n")


def _remove(path: Path) -> None:
    try:
        path.unlink(missing_ok=True)
    except OSError:  # its folder is a file, or is gone
        return
