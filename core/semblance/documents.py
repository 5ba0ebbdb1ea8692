"""JSON files that people mend by hand: read strictly, and refused at the place that is wrong.

They come from anyone, so `loads` has limits on size, depth and numbers. Standard library only.
"""

from __future__ import annotations

import errno
import json
import os
import re
import reprlib
import stat
from collections.abc import Mapping
from os import PathLike
from pathlib import Path
from typing import Any, NoReturn, Union

from semblance.errors import SemblanceError

__all__ = ["LARGEST", "Reader", "is_whole_number", "loads", "read_text"]

LARGEST = 256 << 20
"""Bytes of a document at most: some hundred thousand frames of a track."""

_DEEPEST = 64
"""Lists and objects inside each other, at most."""

_DIGITS = 18
"""Digits of a whole number, at most: every one fits into 64 bits, and into a float."""

_LONGEST = 60
"""Characters of a wrong value that a message quotes."""

_SHORT = reprlib.Repr()
_SHORT.maxstring = _SHORT.maxother = _SHORT.maxlong = _LONGEST

_TEXTS = re.compile(r'"(?:[^"\\]|\\.)*"')
_NOT_BRACKETS = re.compile(r"[^][{}]+")
_INNERMOST = re.compile(r"\[\]|\{\}")
_HALF = re.compile("[\ud800-\udfff]")


def read_text(path: Union[str, PathLike[str]]) -> str:
    """Return the whole of a text file.

    Raises
    ------
    OSError
        It can't be read, or is no regular file.
    ValueError
        It is larger than `LARGEST`, or no UTF-8.
    """
    if not stat.S_ISREG(os.stat(path).st_mode):  # a pipe may never end, nor begin
        raise OSError(errno.EINVAL, "it is no regular file")
    with open(path, "rb") as file:
        data = file.read(LARGEST + 1)
    if len(data) > LARGEST:
        raise ValueError(f"it is larger than {LARGEST >> 20} MiB")
    return data.decode("utf-8")


def loads(text: str) -> Any:
    """Return what a JSON document holds.

    Raises
    ------
    ValueError
        It is no JSON, or holds what no file of ours does: more than 64 levels of lists and objects,
        a whole number of more than 18 digits, a number that is none, or half a character.
    """
    try:
        held = json.loads(text, parse_int=_whole, parse_constant=_no_number)
    except RecursionError:
        held = None
        levels = _DEEPEST + 1
    else:
        levels = _levels(text)
    if levels > _DEEPEST:
        raise ValueError(f"it has more than {_DEEPEST} levels of lists and objects")
    # Half a character can't be printed, encoded, or be in a path.
    if "\\u" in text and _HALF.search(json.dumps(held, ensure_ascii=False)):
        raise ValueError("it holds half a character (a lone surrogate)")
    return held


def _levels(text: str) -> int:
    """Return how deep a valid document is, or one more than is allowed."""
    brackets = _NOT_BRACKETS.sub("", _TEXTS.sub("", text))
    for level in range(_DEEPEST + 1):
        if not brackets:
            return level
        brackets = _INNERMOST.sub("", brackets)
    return _DEEPEST + 1


def _whole(digits: str) -> int:
    if len(digits.lstrip("-")) > _DIGITS:
        raise ValueError(f"a whole number has more than {_DIGITS} digits")
    return int(digits)


def _no_number(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is not a number that it may hold")


class Reader:
    """Takes values out of one document and names the place where one is wrong.

    Parameters
    ----------
    path : Path
        The file.
    fault : type of SemblanceError
        What is raised.
    what : str
        What the file is: "the track", "the shapes".
    remedy : str
        What to do about a file that is wrong.
    """

    def __init__(self, path: Path, fault: type[SemblanceError], what: str, remedy: str) -> None:
        self.path = path
        self._fault = fault
        self._what = what
        self._remedy = remedy

    def read(self, missing: SemblanceError) -> Any:
        """Return the document; `missing` is raised where there is no such file.

        Raises
        ------
        SemblanceError
            The file is not there, can't be read, or is no JSON.
        """
        try:
            return loads(read_text(self.path))
        except FileNotFoundError as error:
            raise missing from error
        except OSError as error:
            raise self._fault(
                f"{self._what} {self.path} can't be read: {error.strerror or error}",
                "Check the file.",
            ) from error
        except ValueError as error:
            raise self._fault(
                f"{self.path} is not a JSON document: {error}", self._remedy
            ) from error

    def refuse(self, place: str, expected: str, found: Any) -> NoReturn:
        """Raise what is wrong at a place."""
        shown = _SHORT.repr(found)
        shown = shown if len(shown) <= _LONGEST else f"{shown[: _LONGEST - 3]}..."
        raise self._fault(f"{self.path}: {place}: expected {expected}, found {shown}", self._remedy)

    def size(self, document: Mapping[str, Any]) -> tuple[int, int]:
        """Return the width and height that a document names."""
        value = document.get("size")
        if not isinstance(value, list) or len(value) != 2 or not all(map(is_whole_number, value)):
            self.refuse("size", "[width, height] in pixels", value)
        if min(value) < 1:
            self.refuse("size", "at least 1 pixel each way", value)
        return int(value[0]), int(value[1])


def is_whole_number(value: Any) -> bool:
    """Return whether a value of a document is a whole number, and no true or false."""
    return isinstance(value, int) and not isinstance(value, bool)
