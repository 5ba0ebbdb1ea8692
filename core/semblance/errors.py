"""Everything that Semblance can refuse, and why.

::

    SemblanceError
    ├── InputError            the user can mend it
    │   ├── PlateError          a frame's file can't be read as a plate
    │   ├── SequenceError       a frame range names files that are not there
    │   ├── FootageError        footage for a faceset can't be read or holds no face
    │   ├── TrackError          a track file or a tracker can't serve this plate
    │   ├── RotoError           a shapes file is malformed or belongs to another plate
    │   ├── ModelError          a model file is not a likeness that we can run
    │   ├── KnobError           a knob's name or value does not exist
    │   ├── OutputError         the result can't be written where it was asked to go
    │   ├── ReleaseError        the likeness is not released for this use
    │   ├── CredentialError     a file can't be signed, or its credentials can't be read
    │   └── TrainingError       a run can't start, go on or be exported
    ├── EnvironmentFault      the machine must be mended
    │   ├── MissingPackageError a package of an extra is not installed
    │   └── ProviderError       a compute provider that was asked for does not exist
    └── Cancelled             somebody asked to stop

Low code raises the bare fact. `frame_context` adds the frame and the file at the one place that
knows them. A message has four parts: what failed, where, expected against found, what to do next.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from os import PathLike
from typing import Optional, Union

__all__ = [
    "Cancelled",
    "CredentialError",
    "EnvironmentFault",
    "FootageError",
    "InputError",
    "KnobError",
    "MissingPackageError",
    "ModelError",
    "OutputError",
    "PlateError",
    "ProviderError",
    "ReleaseError",
    "RotoError",
    "SemblanceError",
    "SequenceError",
    "TrackError",
    "TrainingError",
    "frame_context",
]


_LONGEST = 600
"""Characters of a fact; what it quotes may come out of a file from anyone."""


def _sentence(text: str) -> str:
    """Return a text as one line of bounded length, without characters that steer a terminal."""
    if not text.isprintable():
        text = "".join(each if each.isprintable() else " " for each in text)
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 60]} … {text[-55:]}"


class SemblanceError(Exception):
    """Root of all errors that are shown to a person as one line.

    Parameters
    ----------
    fact : str
        What failed, what was expected and what was found, in one sentence.
    remedy : str
        What to do next, in one sentence; may be empty.
    """

    def __init__(self, fact: str, remedy: str = "") -> None:
        fact = _sentence(fact)
        super().__init__(fact)
        self.fact = fact
        self.remedy = remedy
        self.frame: Optional[int] = None
        self.path: Optional[str] = None

    def __str__(self) -> str:
        where = []
        if self.frame is not None:
            where.append(f"frame {self.frame}")
        if self.path is not None and self.path not in self.fact:
            where.append(self.path)
        head = ", ".join(where)
        line = f"{head}: {self.fact}" if head else self.fact
        line = line.rstrip().rstrip(".")
        return f"{line}. {self.remedy}" if self.remedy else f"{line}."


class InputError(SemblanceError):
    """Something that the user gave can't be used; another value, file or option can."""


class PlateError(InputError):
    """A file can't be read as a plate: empty, torn, not an EXR, or without the channels."""


class SequenceError(InputError):
    """A frame pattern or range names no files, or some of its frames are missing."""


class FootageError(InputError):
    """Footage for a faceset can't be opened, or not one usable face is in it."""


class TrackError(InputError):
    """A track file is malformed or belongs to another plate, or a tracker can't be had."""


class RotoError(InputError):
    """A shapes file is missing or malformed, or belongs to another plate."""


class ModelError(InputError):
    """A model file is not a likeness package, or its graph has another signature."""


class KnobError(InputError):
    """A knob does not exist, or its value is outside what the knob accepts."""


class OutputError(InputError):
    """The result can't be written there: unwritable folder, full disk, or the plate itself."""


class ReleaseError(InputError):
    """The likeness is not released for this use, or the release does not hold."""


class CredentialError(InputError):
    """A file can't be signed with that certificate, or a credential beside it can't be read."""


class TrainingError(InputError):
    """A training run can't start, go on or be exported from what it was given."""


class EnvironmentFault(SemblanceError):
    """The installation or the machine lacks something that was asked for."""


class MissingPackageError(EnvironmentFault):
    """A Python package that belongs to an optional extra is not installed.

    Parameters
    ----------
    package : str
        The import name that is missing.
    extra : str
        The extra of `semblance` that installs it.
    """

    def __init__(self, package: str, extra: str) -> None:
        super().__init__(
            f"the Python package {package!r} is not installed",
            f'Install it with: pip install "semblance[{extra}]".',
        )


class ProviderError(EnvironmentFault):
    """A compute provider that was asked for does not exist."""


class Cancelled(SemblanceError):
    """The work was cancelled before it was complete; nothing partial was left behind."""


@contextmanager
def frame_context(
    frame: Optional[int], path: Optional[Union[str, PathLike[str]]] = None
) -> Iterator[None]:
    """Put the frame and the file on any library error raised inside, unless it has its own.

    Parameters
    ----------
    frame : int or None
        The frame number in work.
    path : path or None
        The file in work.
    """
    try:
        yield
    except SemblanceError as error:
        if error.frame is None:
            error.frame = frame
        if error.path is None and path is not None:
            error.path = str(path)
        raise
