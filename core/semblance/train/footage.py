"""Footage of any kind as a stream of scene-linear pictures: stills, folders, sequences, movies."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, Final

import av
import av.error
import cv2
import numpy as np
from av.video.reformatter import Colorspace
from numpy.typing import NDArray

from semblance.colour import resolve_space, srgb_to_linear, to_linear
from semblance.errors import FootageError, SemblanceError, SequenceError, frame_context
from semblance.exr import Sequence, read_plate
from semblance.train.fields import LOOKED_AT, PROGRESSIVE, Scan, scan_of, whole_frames

__all__ = ["MOVIES", "STILLS", "Footage", "Picture", "open_footage"]

Pixels = NDArray[np.float32]

STILLS: Final = (".bmp", ".exr", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp")
MOVIES: Final = (".avi", ".m4v", ".mkv", ".mov", ".mp4", ".mpg", ".mts", ".mxf", ".webm")

_HDR_CURVES: Final = {16: "PQ (SMPTE ST 2084)", 18: "HLG (ARIB STD-B67)"}
"""Transfer characteristics of ITU-T H.273, table 3, that are no display-referred picture."""

_UNSPECIFIED: Final = 2
"""Matrix coefficients of ITU-T H.273, table 4, where the file does not name them."""


@dataclass(frozen=True)
class Picture:
    """One picture of the footage, not decoded yet.

    Parameters
    ----------
    source : str
        The file or the pattern, from the name of the footage on (``performer/0012.jpg``).
    frame : int or None
        The frame of a sequence by its number, of a movie counted from 0; None for a still.
        Of a telecined movie the film's frames are counted.
    name : str
        What it is called beside others of its kind: the file's name without its kind, and of a
        movie with the frame (``take.12``).
    stamp : str
        Tells this picture from any other, and from itself before its file was changed.
    read : callable
        Returns its pixels, (h, w, 3) float32, scene-linear Rec.709, and its pixel aspect.
        Raises FootageError.
    """

    source: str
    frame: int | None
    name: str
    stamp: str
    read: Callable[[], tuple[Pixels, float]]


@dataclass(frozen=True)
class Footage:
    """One piece of footage as it was named on the command line.

    Parameters
    ----------
    name : str
        Its last part.
    count : int or None
        How many pictures it holds, or about as many; None where a movie does not say.
    pictures : callable
        Returns them in order. Raises FootageError.
    scan : Scan
        How a movie holds its pictures; what is not progressive is brought back to whole frames.
    """

    name: str
    count: int | None
    pictures: Callable[[], Iterator[Picture]]
    scan: Scan = PROGRESSIVE


def open_footage(footage: Path | str, every: int = 1) -> Footage:
    """Open one piece of footage.

    Parameters
    ----------
    footage : Path or str
        A still, a movie, a folder of stills, or the pattern of a sequence (``plate.####.exr``).
        Stills and movies are taken as sRGB (IEC 61966-2-1) with up to 16 bits, float stills and
        EXR as scene-linear, EXR in the space its header names.
    every : int
        Take each so-many-th picture, from the first on.

    Raises
    ------
    FootageError
        It does not exist, is of no kind known here, or holds no picture.
    """
    path = Path(footage)
    if path.is_dir():
        return _folder(path, every)
    if path.is_file():
        kind = path.suffix.lower()
        if kind in MOVIES:
            return _movie(path, every)
        if kind in STILLS:
            return Footage(path.name, 1, lambda: iter([_still(path, path.name)]))
        raise FootageError(
            f"{path}: {kind or 'a file without a suffix'} is no footage; expected a still "
            f"({' '.join(STILLS)}), a movie ({' '.join(MOVIES)}), a folder or a sequence",
            "Convert it to one of these.",
        )
    return _sequence(path, every)


# --------------------------------------------------------------------------------------- stills


def _folder(folder: Path, every: int) -> Footage:
    try:
        names = sorted(name for name in os.listdir(folder) if not name.startswith("."))
    except OSError as error:
        raise FootageError(f"{folder} can't be listed: {error.strerror}", "") from error
    stills = [folder / name for name in names if Path(name).suffix.lower() in STILLS]
    if not stills:
        raise FootageError(
            f"the folder {folder} holds no stills; expected {' '.join(STILLS)}",
            "Give a folder that holds them itself, or name the movies in it one by one.",
        )
    name = folder.resolve().name
    chosen = stills[::every]
    return Footage(
        name, len(chosen), lambda: (_still(path, f"{name}/{path.name}") for path in chosen)
    )


def _still(path: Path, source: str, frame: int | None = None) -> Picture:
    stamp = _stamp(path, source, frame)
    return Picture(source, frame, path.stem, stamp, lambda: _read_still(path))


def _sequence(pattern: Path, every: int) -> Footage:
    try:
        sequence = Sequence.parse(pattern)
        if sequence.single:
            raise FootageError(f"there is no footage {pattern}", "Check its name.")
        frames = sequence.select()[::every]
    except SequenceError as error:
        raise FootageError(error.fact, error.remedy) from error
    name = pattern.name
    return Footage(name, len(frames), lambda: (_still(sequence.path(n), name, n) for n in frames))


def _read_still(path: Path) -> tuple[Pixels, float]:
    with frame_context(None, path):
        if path.suffix.lower() == ".exr":
            return _read_exr(path)
        try:
            data = np.fromfile(path, np.uint8)
        except OSError as error:
            raise FootageError(
                f"{path} can't be read: {error.strerror}", "Check the file."
            ) from error
        pixels = _decode(data)
        if pixels is None:
            raise FootageError(
                f"{path} can't be read as a picture: it is empty, torn or of another kind",
                "Replace the file or take it out of the footage.",
            )
        return pixels, 1.0


def _decode(data: NDArray[np.uint8]) -> Pixels | None:
    """Decode an encoded still to linear RGB, or None where that fails."""
    try:
        # Keeps 16 bits, repeats a grey channel, drops alpha, turns as the camera was held.
        stored = cv2.imdecode(data, cv2.IMREAD_COLOR | cv2.IMREAD_ANYDEPTH)
    except cv2.error:
        return None
    if stored is None or stored.ndim != 3:
        return None
    # Turned to RGB here: for TIFF, OpenCV 5.0 does not heed IMREAD_COLOR_RGB.
    picture = np.ascontiguousarray(stored[..., ::-1], np.float32)
    if stored.dtype not in (np.uint8, np.uint16):
        return picture
    return srgb_to_linear(picture / np.float32(255.0 if stored.dtype == np.uint8 else 65535.0))


def _read_exr(path: Path) -> tuple[Pixels, float]:
    try:
        plate = read_plate(path)
        linear = to_linear(plate.picture(), resolve_space("auto", plate.metadata))
    except SemblanceError as error:
        raise FootageError(error.fact, error.remedy) from error
    return np.nan_to_num(linear, nan=0.0, posinf=65504.0, neginf=0.0), plate.pixel_aspect


def _stamp(path: Path, source: str, frame: int | None) -> str:
    try:
        state = path.stat()
    except OSError as error:
        raise FootageError(f"{path} can't be read: {error.strerror}", "Check the file.") from error
    return f"{source}|{'' if frame is None else frame}|{state.st_size}|{state.st_mtime_ns}"


# --------------------------------------------------------------------------------------- movies


def _movie(path: Path, every: int) -> Footage:
    with _opened(path) as container:
        stream = container.streams.video[0]
        count = stream.frames
        if not count and stream.duration and stream.average_rate:
            count = round(stream.duration * (stream.time_base or 0) * stream.average_rate)
        scan = scan_of(islice(_decoded(path, container), LOOKED_AT), stream)
    if scan.kind == "telecined":
        count = round(0.8 * count)
    return Footage(
        path.name, -(-count // every) or None, lambda: _movie_pictures(path, every, scan), scan
    )


def _opened(path: Path) -> Any:
    try:
        container = av.open(str(path))
    except (av.error.FFmpegError, OSError) as error:
        raise _movie_error(path, error) from error
    if not container.streams.video:
        container.close()
        raise FootageError(f"{path} holds no picture track", "Take it out of the footage.")
    return container


def _movie_error(path: Path, error: Exception) -> FootageError:
    reason = getattr(error, "strerror", None) or str(error)
    return FootageError(
        f"{path} can't be read as a movie: {reason}",
        "Check that it plays, or convert it to ProRes or an image sequence.",
    )


def _decoded(path: Path, container: Any) -> Iterator[av.VideoFrame]:
    """Yield a movie's frames as they are stored."""
    stream = container.streams.video[0]
    stream.thread_type = "AUTO"
    frames = container.decode(stream)
    index = 0
    while True:
        try:
            frame = next(frames, None)
        except (av.error.FFmpegError, OSError) as error:
            with frame_context(index, path):
                raise _movie_error(path, error) from error
        if frame is None:
            return
        yield frame
        index += 1


def _movie_pictures(path: Path, every: int, scan: Scan) -> Iterator[Picture]:
    with _opened(path) as container:
        stream = container.streams.video[0]
        aspect = float(stream.sample_aspect_ratio or 0) or 1.0
        frames = whole_frames(_decoded(path, container), stream, scan, path)
        for index, frame in enumerate(frames):
            if index % every:
                continue
            yield Picture(
                path.name,
                index,
                f"{path.stem}.{index}",
                _stamp(path, path.name, index),
                lambda frame=frame: _movie_pixels(path, frame, aspect),  # type: ignore[misc]
            )


def _movie_pixels(path: Path, frame: av.VideoFrame, aspect: float) -> tuple[Pixels, float]:
    """Convert a decoded frame to linear RGB by 16 bits a channel."""
    curve = _HDR_CURVES.get(int(frame.color_trc))
    if curve is not None:
        raise FootageError(
            f"{path} is encoded as {curve}; a movie is expected as display-referred sRGB",
            "Convert it, or give it as an EXR sequence that names its space.",
        )
    matrix: int | None = None  # as the file says
    if frame.colorspace == _UNSPECIFIED and not frame.format.is_rgb:
        # By custom BT.709 for high definition, BT.601 below.
        matrix = Colorspace.ITU709 if frame.height >= 720 else Colorspace.ITU601
    stored = frame.reformat(format="rgb48le", src_colorspace=matrix).to_ndarray()
    linear = srgb_to_linear(stored.astype(np.float32) / np.float32(65535.0))
    turns = round(frame.rotation / 90) % 4  # a phone held upright
    if turns:
        linear = np.ascontiguousarray(np.rot90(linear, turns))
    return linear, (1.0 / aspect if turns % 2 else aspect)
