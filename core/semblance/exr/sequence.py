"""Frames on disk: patterns such as ``plate.####.exr``, frame ranges, and what may be written where.

- `Sequence`: a pattern, its files and its ranges.
- `compact`: frame numbers as a person writes them.
- `check_output`: everything about the output that can be known before the work.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from semblance.errors import OutputError, SequenceError
from semblance.exr.hidden import hidden_path, sweep

__all__ = ["Sequence", "check_output", "compact"]

_FIELD = re.compile(r"#+|@+|%(?:0(\d+))?d")
_NUMBER = re.compile(r"(?:^|[._-])(\d+)$")
_RANGE = re.compile(r"(?P<first>\d+)?(?P<dash>-)?(?P<last>\d+)?(?:x(?P<step>\d+))?")
_MOST_FRAMES = 1_000_000


@dataclass(frozen=True)
class Sequence:
    """The files of a shot, by frame number.

    Parameters
    ----------
    folder : Path
        Where the files are.
    head, tail : str
        The file name before and behind the frame number.
    padding : int
        Digits that a frame number has at least; 0 for a single file, whose name is `head`.
    number : int
        The frame of a single file: the number that ends its name, else 0.
    """

    folder: Path
    head: str
    tail: str = ""
    padding: int = 0
    number: int = 0

    @classmethod
    def parse(cls, pattern: str | os.PathLike[str]) -> Sequence:
        """Return the sequence that a pattern names.

        Parameters
        ----------
        pattern : str or path
            With one of ``####``, ``@@@@`` (a digit each) or ``%04d`` in the file name, or the path
            of a single file.

        Raises
        ------
        SequenceError
            There is no file name, or it has several frame fields.
        """
        path = Path(pattern)
        name = path.name
        if not name or os.fspath(pattern).endswith((os.sep, "/")):
            raise SequenceError(
                f"{os.fspath(pattern)!r} names a folder, expected files",
                "Give a pattern such as plate.####.exr.",
            )
        fields = list(_FIELD.finditer(name))
        if len(fields) > 1:
            found = ", ".join(field[0] for field in fields)
            raise SequenceError(
                f"{name!r} has several frame fields ({found}), expected one",
                "Leave one field, such as ####, in the file name.",
            )
        if not fields:
            ended = _NUMBER.search(path.stem)
            return cls(path.parent, name, number=int(ended[1]) if ended else 0)
        field = fields[0]
        padding = int(field[1] or 1) if field[0].startswith("%") else len(field[0])
        return cls(path.parent, name[: field.start()], name[field.end() :], max(padding, 1))

    @property
    def single(self) -> bool:
        """Whether this is one file whose name holds no frame field."""
        return self.padding == 0

    def path(self, frame: int) -> Path:
        """Return the file of a frame."""
        if self.single:
            return self.folder / self.head
        return self.folder / f"{self.head}{frame:0{self.padding}d}{self.tail}"

    def frames(self) -> tuple[int, ...]:
        """Return the frames that are on disk, sorted; none where the folder can't be listed."""
        if self.single:
            return (self.number,) if self.path(self.number).is_file() else ()
        head, tail = re.escape(self.head), re.escape(self.tail)
        name = re.compile(
            rf"{head}(0\d{{{self.padding - 1}}}|[1-9]\d{{{self.padding - 1},}}){tail}"
        )
        try:
            with os.scandir(self.folder) as entries:
                found = [name.fullmatch(entry.name) for entry in entries if entry.is_file()]
        except OSError:
            return ()
        return tuple(sorted(int(match[1]) for match in found if match))

    def gaps(self) -> tuple[int, ...]:
        """Return the frames between the first and the last on disk that are not there."""
        there = self.frames()
        return tuple(sorted(set(range(there[0], there[-1])) - set(there))) if there else ()

    def select(self, text: str | None = None) -> tuple[int, ...]:
        """Return the frames that a range names, each of them on disk.

        Parameters
        ----------
        text : str or None
            ``1001-1024``, ``1001-1024x2``, ``1001,1005``, ``1010-``, ``-1010`` or several of these
            with commas; an open end is the first or last frame on disk. None for all that are
            there, gaps or not (see `gaps`).

        Returns
        -------
        tuple of int
            Sorted, each once.

        Raises
        ------
        SequenceError
            There is no file at all, the range can't be understood, or some of its frames are
            missing; all of these are named.
        """
        there = self.frames()
        if not there:
            raise SequenceError(f"no file matches {self}", self._instead())
        if text is None:
            return there
        wanted = sorted(
            {frame for item in text.split(",") for frame in _range(item.strip(), text, there)}
        )
        missing = set(wanted).difference(there)
        if missing:
            raise SequenceError(
                f"{len(missing)} of {len(wanted)} frames of {self} are missing: {compact(missing)}",
                f"Render them, or choose from {compact(there)}.",
            )
        return tuple(wanted)

    def _instead(self) -> str:
        """Return what is there where nothing matches."""
        if not self.folder.is_dir():
            return f"There is no folder {self.folder}."
        others = sorted(item.name for item in self.folder.iterdir() if item.suffix == self._suffix)
        if not others:
            return f"The folder {self.folder} holds no {self._suffix or 'such'} files."
        return f"The folder {self.folder} holds {len(others)} others, such as {others[0]}."

    @property
    def _suffix(self) -> str:
        """The ending of the file names."""
        return Path(self.head + self.tail).suffix

    def __str__(self) -> str:
        """Return the pattern, with ``#`` for each digit."""
        return str(self.folder / f"{self.head}{'#' * self.padding}{self.tail}")


def compact(frames: Iterable[int]) -> str:
    """Return frame numbers as text, runs joined.

    Examples
    --------
    >>> compact([1004, 1010, 1011, 1012])
    '1004, 1010-1012'
    """
    runs: list[list[int]] = []
    for frame in sorted(set(frames)):
        if runs and frame == runs[-1][-1] + 1:
            runs[-1][1:] = [frame]
        else:
            runs.append([frame])
    return ", ".join("-".join(map(str, run)) for run in runs)


def check_output(plates: Sequence, output: Sequence, frames: tuple[int, ...]) -> None:
    """Refuse an output that can't work, and make its folder, before any frame is touched.

    Parameters
    ----------
    plates : Sequence
        What is read.
    output : Sequence
        What will be written.
    frames : tuple of int
        The frames in work.

    Raises
    ------
    OutputError
        The output is not EXR, has no frame field for several frames, would replace a frame of the
        plate (through links and other spellings too), or its folder can't be made or written to.
    """
    if output.path(0).suffix.lower() != ".exr":
        raise OutputError(
            f"{output} does not end in .exr, and the result is EXR",
            "Name the output with the ending .exr.",
        )
    if output.single and len(frames) > 1:
        raise OutputError(
            f"{output} has no frame field for {len(frames)} frames",
            f"Name it, for example, {output.folder / Path(output.head).stem}.####.exr.",
        )
    sources = [plates.path(frame) for frame in {*plates.frames(), *frames}]
    taken = {identity for path in sources for identity in _identities(path)}
    for frame in frames:
        if taken.intersection(_identities(output.path(frame))):
            raise OutputError(
                f"the output {output.path(frame)} is a frame of the plate {plates}",
                "Name another folder or file for the result.",
            )
    _check_folder(output.folder)


def _identities(path: Path) -> set[object]:
    """Return what tells a file from others: its true path and, where it is there, its inode."""
    found: set[object] = {os.path.normcase(path.resolve())}
    try:
        status = path.stat()
    except OSError:
        return found
    return found | {(status.st_dev, status.st_ino)}


def _check_folder(folder: Path) -> None:
    """Make a folder, try to write into it, and remove what killed writers left there."""
    probe = hidden_path(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe.touch(exist_ok=False)
        probe.unlink()
    except OSError as error:
        raise OutputError(
            f"the folder {folder} can't be written to: {error.strerror}",
            "Name a folder that you may write to.",
        ) from error
    sweep(folder)


def _range(item: str, text: str, there: tuple[int, ...]) -> range:
    """Return the frames of one item of a range; `there` closes open ends."""
    match = _RANGE.fullmatch(item)
    if (
        match is None
        or not (match["first"] or match["last"])
        or (match["step"] and not match["dash"])
    ):
        raise SequenceError(
            f"the frame range {text!r} can't be understood at {item!r}",
            "Write it as 1001-1024, 1001-1024x2, 1001,1005, 1010- or -1010.",
        )
    first = int(match["first"]) if match["first"] else there[0]
    last = int(match["last"]) if match["last"] else there[-1] if match["dash"] else first
    step = int(match["step"] or 1)
    if last < first or step == 0 or last - first > _MOST_FRAMES:
        reason = "runs backwards" if last < first else "steps by 0" if step == 0 else "is too long"
        raise SequenceError(
            f"the frame range {text!r} {reason} at {item!r}",
            f"Choose from {compact(there)}.",
        )
    return range(first, last + 1, step)
