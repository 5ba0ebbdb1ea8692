"""Tracks from and for other programs."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import click

from semblance.cli.options import DONE, FILE, JSON
from semblance.cli.terminal import complain, print_json
from semblance.errors import OutputError

if TYPE_CHECKING:
    from semblance.face import Track

__all__ = ["convert_track", "given_track"]

_KINDS = (
    "semblance", "csv", "csv-wide", "landmarks", "nuke-tracker", "nuke-cornerpin", "nuke-roto",
    "3de", "ae-points", "ae-cornerpin",
)  # fmt: skip

_SIZE = re.compile(r"(\d+)[x×](\d+)")
_RANGE = re.compile(r"(-?\d+)(?:-(-?\d+)(?:x(\d+))?)?")
_MOST = 1_000_000


class _Size(click.ParamType[tuple[int, int]]):
    name = "WxH"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[int, int]:
        match = _SIZE.fullmatch(str(value))
        if match is None or not (int(match[1]) and int(match[2])):
            self.fail(f"expected a size such as 1920x1080, found {str(value)!r}", param, ctx)
        return int(match[1]), int(match[2])


class _Frames(click.ParamType[tuple[int, ...]]):
    name = "RANGE"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[int, ...]:
        frames: set[int] = set()
        for item in str(value).split(","):
            match = _RANGE.fullmatch(item.strip())
            if match is None:
                self.fail(
                    f"expected frames such as 1001-1024,1030, found {str(value)!r}", param, ctx
                )
            first, last = int(match[1]), int(match[2] or match[1])
            if not first <= last < first + _MOST:
                self.fail(f"expected a range that rises, found {item.strip()!r}", param, ctx)
            frames.update(range(first, last + 1, max(int(match[3] or 1), 1)))
        return tuple(sorted(frames))


@click.command("convert-track")
@click.argument("given", metavar="IN", type=FILE)
@click.argument("output", metavar="OUT", type=FILE)
@click.option(
    "--from",
    "from_kind",
    type=click.Choice(_KINDS),
    help="Format of IN; by default what it says of itself.",
)
@click.option(
    "--to",
    "to_kind",
    type=click.Choice(_KINDS),
    help="Format of OUT; by default what its suffix stands for.",
)
@click.option(
    "--frames",
    type=_Frames(),
    help="Frames to take, as 1001-1024,1030; Nuke's curves give those between their keys too.",
)
@click.option(
    "--plate",
    metavar="PATTERN",
    help="The plate, which says its size, pixel aspect, origin and first frame.",
)
@click.option("--plate-size", type=_Size(), help="Size of the plate, where IN does not hold it.")
@click.option(
    "--pixel-aspect",
    type=click.FloatRange(1e-3),
    metavar="X",
    help="Pixel aspect of the plate, likewise.",
)
@click.option(
    "--first-frame",
    type=int,
    metavar="N",
    help="The plate's first frame, for formats that count from the start of the shot.",
)
@click.option(
    "--fps",
    type=click.FloatRange(1e-3),
    default=24.0,
    show_default=True,
    metavar="X",
    help="Frames per second that After Effects' formats say.",
)
@click.option(
    "--reference",
    type=FILE,
    help="A track with a good frame of the face, which a corner pin or some points carry along.",
)
@click.option(
    "--face",
    type=click.IntRange(0),
    default=0,
    show_default=True,
    help="Which face, where IN holds several.",
)
@click.option("--overwrite", is_flag=True, help="Replace OUT where it is there.")
@JSON
def convert_track(
    given: Path,
    output: Path,
    from_kind: str | None,
    to_kind: str | None,
    frames: tuple[int, ...] | None,
    plate: str | None,
    plate_size: tuple[int, int] | None,
    pixel_aspect: float | None,
    first_frame: int | None,
    fps: float,
    reference: Path | None,
    face: int,
    overwrite: bool,
    as_json: bool,
) -> int:
    """Convert a track: from Nuke, 3DEqualizer, After Effects, Mocha or a table, and to them.

    docs/tracks.md says what each format can carry.
    """
    from semblance.track.exported import export_track, kind_for
    from semblance.track.file import load_track
    from semblance.track.imported import import_track

    to_kind = to_kind or kind_for(output)
    if output.exists() and not overwrite:
        raise OutputError(f"{output} is already there", "Give another name, or --overwrite.")
    seen = _plate(plate) if plate else _Plate()
    if first_frame is None:
        first_frame = seen.first_frame
    track = import_track(
        given,
        size=plate_size or seen.size,
        pixel_aspect=pixel_aspect if pixel_aspect is not None else seen.pixel_aspect,
        origin=seen.origin,
        face=face,
        kind=from_kind,
        frames=frames,
        first_frame=first_frame,
        reference=load_track(reference) if reference else None,
    )
    export_track(
        track,
        output,
        to_kind,
        origin=seen.origin or (0, 0),
        first_frame=first_frame,
        fps=fps,
    )
    return _told(track, output, to_kind, as_json=as_json)


def given_track(path: Path, plate: Path, face: int = 0) -> Track:
    """Read a track that a command was given; a frame of the plate says what the file does not."""
    from semblance.exr import read_header
    from semblance.track.file import load_track
    from semblance.track.imported import import_track, kind_of

    if path.suffix.lower() == ".json" and kind_of(path) == "semblance":
        return load_track(path, face)
    part = read_header(plate).parts[0]
    window = part.display_window
    return import_track(
        path,
        size=(window.width, window.height),
        pixel_aspect=part.pixel_aspect,
        origin=(window.x0, window.y0),
        face=face,
    )


class _Plate(NamedTuple):
    size: tuple[int, int] | None = None
    pixel_aspect: float | None = None
    origin: tuple[int, int] | None = None
    first_frame: int | None = None


def _plate(pattern: str) -> _Plate:
    """Return what a plate says of itself."""
    from semblance.exr import Sequence, read_header

    plates = Sequence.parse(pattern)
    first = plates.select(None)[0]
    part = read_header(plates.path(first)).parts[0]
    window = part.display_window
    return _Plate((window.width, window.height), part.pixel_aspect, (window.x0, window.y0), first)


def _told(track: Track, output: Path, kind: str, *, as_json: bool) -> int:
    from semblance.exr.sequence import compact

    lost = [frame for frame in track.frames if frame not in track.faces]
    if as_json:
        print_json(
            {
                "track": str(output),
                "format": kind,
                "frames": len(track.frames),
                "found": len(track.faces),
                "lost": lost,
            }
        )
        return DONE
    if lost:
        complain(f"no face in frames {compact(lost)}.")
    click.echo(f"{output}: a face in {compact(track.faces)} as {kind}")
    return DONE
