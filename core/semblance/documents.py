"""JSON files that people mend by hand: read strictly, and refused at the place that is wrong."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NoReturn

from semblance.errors import SemblanceError

__all__ = ["Reader", "is_whole_number"]

_LONGEST = 60
"""Characters of a wrong value that a message quotes."""


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

        def refuse(constant: str) -> NoReturn:
            raise ValueError(f"{constant} is not a number that it may hold")

        try:
            return json.loads(self.path.read_text("utf-8"), parse_constant=refuse)
        except FileNotFoundError as error:
            raise missing from error
        except OSError as error:
            raise self._fault(
                f"{self._what} {self.path} can't be read: {error.strerror or error}",
                "Check the file.",
            ) from error
        except (ValueError, RecursionError) as error:
            raise self._fault(
                f"{self.path} is not a JSON document: {error}", self._remedy
            ) from error

    def refuse(self, place: str, expected: str, found: Any) -> NoReturn:
        """Raise what is wrong at a place."""
        shown = repr(found)
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
