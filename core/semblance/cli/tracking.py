"""The track of a shot: whose face, where, and a look at it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from semblance.cli.options import (
    DONE,
    FILE,
    FOLDER,
    FRAMES,
    INPUT_SPACE,
    JSON,
    MODELS_DIR,
    PROGRESS,
    frames_in_work,
    tracker_option,
)
from semblance.cli.terminal import complain, print_json, print_line, progress, stopping
from semblance.knobs import ColourKnobs, TrackKnobs

if TYPE_CHECKING:
    from semblance.exr import Sequence as Frames
    from semblance.face import Face, Track
    from semblance.track.people import Choice
    from semblance.track.provider import FaceProvider

__all__ = ["track"]

_PLACE = re.compile(r"(-?\d+(?:\.\d+)?),(-?\d+(?:\.\d+)?)(?:@(-?\d+))?")


class _Place(click.ParamType[tuple[tuple[float, float], int | None]]):
    """X,Y or X,Y@FRAME."""

    name = "X,Y[@FRAME]"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[tuple[float, float], int | None]:
        found = _PLACE.fullmatch(str(value))
        if found is None:
            self.fail(f"{value!r} is no place: expected X,Y or X,Y@FRAME, as 480,270@1001", param)
        frame = int(found[3]) if found[3] else None
        return (float(found[1]), float(found[2])), frame


@click.command()
@click.argument("plate")
@click.option("-o", "--output", type=FILE, required=True, help="The track file (JSON).")
@FRAMES
@tracker_option("--provider", "--tracker")
@MODELS_DIR
@click.option(
    "--face",
    type=click.IntRange(0),
    default=None,
    help="Which face, by size: 0, the default, is the largest. Also its number in the file.",
)
@click.option(
    "--at",
    type=_Place(),
    metavar="X,Y[@FRAME]",
    help="The face at this place of the plate, in pixels, y down; by default in the first frame.",
)
@click.option(
    "--like",
    type=FILE,
    metavar="PICTURE",
    help="The face that looks like the largest one in this picture (EXR, PNG, JPEG).",
)
@click.option("--all", "everyone", is_flag=True, help="All faces, numbered by size.")
@click.option(
    "--focal",
    type=click.FloatRange(1.0),
    metavar="X",
    help="Focal length: in pixels of the plate's height, or in mm with --filmback. By default it "
    "is estimated, which is not sure.",
)
@click.option(
    "--filmback",
    type=click.FloatRange(1.0),
    metavar="MM",
    help="Width of the filmback that the plate shows; --focal is then in mm, and for anamorphic "
    "lenses that of the squeezed axis.",
)
@click.option(
    "--review",
    "review",
    type=FOLDER,
    metavar="FOLDER",
    help="Also write a movie with the landmarks on it, and plots of score and jitter.",
)
@INPUT_SPACE
@PROGRESS
@JSON
def track(
    plate: str,
    output: Path,
    frames: str | None,
    tracker: str,
    models_dir: Path | None,
    face: int | None,
    at: tuple[tuple[float, float], int | None] | None,
    like: Path | None,
    everyone: bool,
    focal: float | None,
    filmback: float | None,
    review: Path | None,
    input_space: str,
    steps: str,
    as_json: bool,
) -> int:
    """Find the performer's face in every frame of PLATE (plate.####.exr)."""
    if sum((face is not None, at is not None, like is not None, everyone)) > 1 and not (
        face is not None and (at is not None or like is not None) and not everyone
    ):
        raise click.UsageError("Choose the face in one way: --face, --at, --like or --all.")
    if filmback is not None and focal is None:
        raise click.UsageError("--filmback says what --focal is measured on; give that too.")
    from semblance.exr import Sequence as Frames
    from semblance.exr.sequence import compact
    from semblance.track.file import save_people
    from semblance.track.hand import kept
    from semblance.track.people import Choice
    from semblance.track.provider import open_provider

    plates = Frames.parse(plate)
    numbers = frames_in_work(plates, frames)
    provider = open_provider(tracker, models_dir)
    start = at[1] if at is not None else None
    choice = Choice(
        number=0 if face is None else face,
        at=at[0] if at is not None else None,
        like=_look(like, provider) if like is not None else None,
        everyone=everyone,
    )
    found = _track(plates, numbers, provider, input_space, choice, start, steps=steps)
    if not everyone:
        found = {face or 0: next(iter(found.values()))}
    found = _in_space(found, focal, filmback)
    for number, made in found.items():
        found[number], mended = kept(made, output, number)
        if mended:
            complain(mended)
    save_people(found, output)
    lost = {
        number: [frame for frame in numbers if frame not in made.faces]
        for number, made in found.items()
    }
    for number, missing in lost.items():
        if missing:
            whose = f"face {number}" if len(found) > 1 else "face"
            complain(f"no {whose} in frames {compact(missing)}.")
    if review is not None:
        _review(found, plates, review, input_space, numbers, steps=steps)
    first = next(iter(found.values()))
    told: dict[str, Any] = {
        "track": str(output),
        "frames": len(numbers),
        "found": len(first.faces),
        "lost": next(iter(lost.values())),
        "provider": first.made_by["provider"],
        "cuts": list(first.cuts),
        "focal": first.focal,
    }
    if everyone:
        told["faces"] = {
            str(number): {"found": len(made.faces), "lost": lost[number]}
            for number, made in found.items()
        }
    if steps == "json":
        print_line({"summary": told})
    elif as_json:
        print_json(told)
    else:
        for number, made in found.items():
            which = f"face {number}" if len(found) > 1 else "a face"
            click.echo(f"{output}: {which} in {len(made.faces)} of {len(numbers)} frames")
    return DONE


def _track(
    plates: Frames,
    frames: tuple[int, ...],
    provider: FaceProvider,
    input_space: str,
    choice: Choice,
    start: int | None,
    *,
    steps: str,
) -> dict[int, Track]:
    from semblance.track.analyse import track_people

    as_json = steps == "json"
    with stopping() as stop, progress("tracking", len(frames), as_json=as_json) as bar:
        count = iter(range(1, len(frames) + 1))

        def report(frame: int, faces: Mapping[int, Face]) -> None:
            bar(next(count), f"frame {frame}")

        colour = ColourKnobs(input_space=input_space)
        return track_people(
            plates, frames, provider, colour, report, stop, choice=choice, start=start
        )


def _in_space(
    tracks: dict[int, Track], focal: float | None, filmback: float | None
) -> dict[int, Track]:
    """Place all heads before one camera: the given one, else that of the face seen most."""
    from semblance.track.pose import estimate_focal, placed_in_space

    most = max(tracks.values(), key=lambda each: len(each.faces))
    if focal is not None and filmback is not None:
        focal = focal / filmback * most.size[0] * most.pixel_aspect
    lens = focal if focal is not None else estimate_focal(most)
    if lens is None:
        return tracks
    return {number: placed_in_space(each, lens) for number, each in tracks.items()}


def _look(picture: Path, provider: FaceProvider) -> Any:
    """Return the look of the largest face in a reference picture."""
    from semblance.errors import TrackError
    from semblance.track.look import look_of
    from semblance.track.view import find_faces, size_of

    linear, aspect = _reference(picture)
    found = find_faces(linear, aspect, provider)
    if not found:
        raise TrackError(
            f"there is no face in the reference picture {picture}",
            "Give a picture in which the face is seen from the front, 100 pixels wide or more.",
        )
    return look_of(linear, max(found, key=lambda each: size_of(each.landmarks)).landmarks)


def _reference(picture: Path) -> tuple[Any, float]:
    """Return a picture as scene-linear light, and its pixel aspect."""
    import numpy as np
    from PIL import Image

    from semblance.colour import resolve_space, srgb_to_linear, to_linear
    from semblance.errors import TrackError
    from semblance.exr import read_plate

    if picture.suffix.lower() == ".exr":
        plate = read_plate(picture)
        space = resolve_space("auto", plate.metadata)
        return to_linear(plate.picture(), space), plate.pixel_aspect
    try:
        with Image.open(picture) as image:
            codes = np.asarray(image.convert("RGB"), np.float32) / np.float32(255.0)
    except (OSError, ValueError) as error:
        raise TrackError(
            f"the reference picture {picture} can't be read: {error}", "Give an EXR, PNG or JPEG."
        ) from error
    return srgb_to_linear(codes), 1.0


def _review(
    tracks: Mapping[int, Track],
    plates: Frames,
    folder: Path,
    input_space: str,
    frames: tuple[int, ...],
    *,
    steps: str,
) -> None:
    from semblance.review.tracked import review_track

    as_json = steps == "json"
    with stopping() as stop, progress("reviewing", len(frames), as_json=as_json) as bar:
        count = iter(range(1, len(frames) + 1))

        def report(frame: int) -> None:
            bar(next(count), f"frame {frame}")

        review_track(
            tracks,
            plates,
            folder,
            input_space=input_space,
            smoothing=TrackKnobs().smoothing,
            progress=report,
            cancel=stop,
        )
