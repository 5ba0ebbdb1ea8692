"""Movies of the age of fields: found out by their pictures, and brought back to whole frames.

Interlaced video holds two moments in each frame, one in its even and one in its odd lines;
telecined film holds four film frames in five of video, so that two of five mix two of them. A face
is neither way what it was before the camera, and no network should learn its combs.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any, Final, Literal

import av
import av.error
from av.filter import Graph

from semblance.errors import FootageError

__all__ = ["LOOKED_AT", "PROGRESSIVE", "Scan", "scan_of", "whole_frames"]

LOOKED_AT: Final = 150
"""So many frames at a movie's beginning decide."""

INTERLACED_FROM: Final = 0.25
"""Share of combed frames, of those that move, from which a movie is not progressive."""

REPEATED_FROM: Final = 0.02
"""Share of frames with a field of the one before, from which a movie may be telecined."""

STANDS_OUT: Final = 0.3
"""By this share more of the frames are combed in two places of five of a telecined movie."""

FEWEST: Final = 5
"""Frames that must move before anything is said of a movie."""

Kind = Literal["progressive", "interlaced", "telecined"]


@dataclass(frozen=True)
class Scan:
    """How a movie holds its pictures.

    Parameters
    ----------
    kind : {"progressive", "interlaced", "telecined"}
    top_first : bool
        Which field is the earlier one, where there are fields.
    """

    kind: Kind
    top_first: bool = True

    @property
    def filters(self) -> tuple[tuple[str, str], ...]:
        """The libavfilter filters that bring whole frames back, with their arguments."""
        if self.kind == "interlaced":
            parity = "tff" if self.top_first else "bff"
            return (("bwdif", f"mode=send_frame:parity={parity}:deint=all"),)
        if self.kind == "telecined":
            order = "tff" if self.top_first else "bff"
            return (("fieldmatch", f"order={order}:combmatch=full"), ("decimate", ""))
        return ()


PROGRESSIVE: Final = Scan("progressive")


def scan_of(frames: Iterable[av.VideoFrame], template: Any) -> Scan:
    """Find out how a movie holds its pictures.

    Parameters
    ----------
    frames : iterable of av.VideoFrame
        Its first frames, in order.
    template : av.VideoStream
        The stream they come from.

    Notes
    -----
    By libavfilter's `idet`: frames combed by either field order against progressive ones; and for
    telecined film the cycle of five, in which two frames are combed and two hold a field again.
    """
    found = [frame.metadata for frame in _filtered(frames, template, (("idet", ""),))]
    if not found:
        return PROGRESSIVE
    top, bottom, whole = (
        float(found[-1].get(f"lavfi.idet.multiple.{kind}", 0.0))
        for kind in ("tff", "bff", "progressive")
    )
    moving = top + bottom + whole
    if moving < FEWEST or top + bottom < INTERLACED_FROM * moving:
        return PROGRESSIVE
    combed = [each.get("lavfi.idet.single.current_frame") in ("tff", "bff") for each in found]
    repeats = [each.get("lavfi.idet.repeated.current_frame", "neither") for each in found]
    pulled = _by_twos(combed) or _repeated(each != "neither" for each in repeats)
    return Scan("telecined" if pulled else "interlaced", top >= bottom)


def _phases(flags: Sequence[bool]) -> list[float]:
    """Return the share of true flags among the frames of each place in the film's cycle of five."""
    return [sum(flags[place::5]) / max(len(flags[place::5]), 1) for place in range(5)]


def _by_twos(flags: Sequence[bool]) -> bool:
    """Return whether two places of the cycle, side by side, stand out from the other three."""
    phases = _phases(flags)
    pairs = [phases[place] + phases[(place + 1) % 5] for place in range(5)]
    best = max(pairs)
    return best / 2.0 - (sum(phases) - best) / 3.0 > STANDS_OUT


def _repeated(repeats: Iterable[bool]) -> bool:
    """Return whether fields repeat, and only in two places of the cycle that are two apart.

    In a telecined cycle one field comes three times where a top, and once more where a bottom field
    is the third; grain and compression hide many of them, but make none elsewhere.
    """
    flags = list(repeats)
    if sum(flags) < max(REPEATED_FROM * len(flags), 2.0):
        return False
    phases = _phases(flags)
    return max(phases[place] + phases[(place + 2) % 5] for place in range(5)) > 0.8 * sum(phases)


def whole_frames(
    frames: Iterable[av.VideoFrame], template: Any, scan: Scan, path: Path
) -> Iterator[av.VideoFrame]:
    """Yield a movie's whole frames: as many as it has, or four of five of a telecined one.

    Raises
    ------
    FootageError
        The installed build of libavfilter lacks a filter that the movie needs.
    """
    missing = [name for name, _ in scan.filters if name not in av.filter.filters_available]
    if missing:
        raise FootageError(
            f"{path} is {scan.kind}, and this build of PyAV has no filter {missing[0]!r}",
            "Install PyAV from its wheel, or deinterlace the movie first.",
        )
    return _filtered(frames, template, scan.filters) if scan.filters else iter(frames)


def _filtered(
    frames: Iterable[av.VideoFrame], template: Any, filters: tuple[tuple[str, str], ...]
) -> Iterator[av.VideoFrame]:
    """Yield what a chain of filters makes of frames."""
    graph = Graph()
    # Not `add_buffer`, which tells no frame rate: `decimate` needs one.
    source = graph.add(
        "buffer",
        video_size=f"{template.width}x{template.height}",
        pix_fmt=template.format.name,
        time_base=str(template.time_base),
        pixel_aspect="1/1",
        frame_rate=str(template.average_rate or template.guessed_rate or 25),
    )
    chain = [source]
    chain += [graph.add(name, arguments) for name, arguments in filters]
    chain.append(graph.add("buffersink"))
    for one, other in pairwise(chain):
        one.link_to(other)
    graph.configure()
    for frame in frames:
        graph.push(frame)
        yield from _ready(graph)
    graph.push(None)
    yield from _ready(graph)


def _ready(graph: Graph) -> Iterator[av.VideoFrame]:
    while True:
        try:
            frame = graph.pull()
        except (av.error.BlockingIOError, av.error.EOFError):
            return
        if isinstance(frame, av.VideoFrame):
            yield frame
