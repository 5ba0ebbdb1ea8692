"""What the panel is told by others: pictures of the frame, a likeness's name and its release.

A provider answers when it can, from whichever thread; asking never waits. Without a provider the
panel leaves its place out. No Qt here: a host's side or a test writes one in a few lines.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from semblance.knobs import Knobs

__all__ = ["VIEWS", "Identities", "Identity", "Picture", "Release", "Releases", "Thumbnails"]

VIEWS = ("matte", "patch", "result")
"""The views that have a thumbnail, in the order in which they are shown."""


@dataclass(frozen=True)
class Picture:
    """A thumbnail, or why there is none.

    Parameters
    ----------
    view : str
        One of `VIEWS`.
    width, height : int
        In pixels; 0 where there is no picture.
    rgb : bytes
        Three bytes a pixel, encoded for display, top row first, tightly packed.
    message : str
        What a person should know; may be empty where there is a picture.
    """

    view: str
    width: int = 0
    height: int = 0
    rgb: bytes = b""
    message: str = ""


@dataclass(frozen=True)
class Release:
    """The state of a likeness's release.

    Parameters
    ----------
    valid : bool or None
        Whether renders carry no slate; None where it is not known.
    text : str
        The verdict in a line.
    reason : str
        Why, and until when; may be empty.
    """

    valid: bool | None
    text: str
    reason: str = ""


@dataclass(frozen=True)
class Identity:
    """Whom a model draws.

    Parameters
    ----------
    performer : str
        Name of the face at strength 0; empty where it is not known.
    likenesses : tuple of str
        What the knob `likeness` accepts besides nothing; empty where it is not known.
    message : str
        Why it is not known.
    """

    performer: str = ""
    likenesses: tuple[str, ...] = ()
    message: str = ""


class Thumbnails(Protocol):
    """Renders the current frame for the panel."""

    def ask(self, knobs: Knobs, frame: int, deliver: Callable[[Picture], None]) -> None:
        """Begin pictures of a frame and return at once; drop what was asked before.

        `deliver` is called once for each of `VIEWS`, from any thread.
        """


class Releases(Protocol):
    """Looks up releases for the panel."""

    def ask(self, model: str, likeness: str, deliver: Callable[[Release], None]) -> None:
        """Begin to look and return at once; `deliver` is called once, from any thread."""


class Identities(Protocol):
    """Reads for the panel whom a model draws."""

    def ask(self, model: str, deliver: Callable[[Identity], None]) -> None:
        """Begin to look and return at once; `deliver` is called once, from any thread."""
