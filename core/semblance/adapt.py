"""From a graph of another family and pictures of two people to a likeness: its description.

The pictures are looked at once, here; what is kept of them is an embedding, or one crop for a
family that takes a picture. Rendering needs neither pictures nor recogniser.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from semblance import align, colour, runtime, templates
from semblance.errors import FootageError, ModelError, OutputError
from semblance.model.contents import check_contents
from semblance.model.description import SUFFIX, Description, File
from semblance.model.embedding import CROP, TEMPLATE, Converter, Embedder, average
from semblance.model.families import Fit, ports, recognise
from semblance.model.foreign import open_foreign
from semblance.model.providers import hashed
from semblance.plate import Window
from semblance.track.analyse import find_faces
from semblance.track.head import head_pose
from semblance.track.provider import FaceProvider

__all__ = ["Adapted", "Picture", "adapt", "examine"]

Pixels = NDArray[np.float32]


@dataclass(frozen=True)
class Picture:
    """A picture of one person.

    Parameters
    ----------
    name : str
        Goes into the description.
    read : callable
        Returns its pixels, (h, w, 3) float32, scene-linear Rec.709, and its pixel aspect.
    """

    name: str
    read: Callable[[], tuple[Pixels, float]]


@dataclass(frozen=True)
class Adapted:
    """What `adapt` has made.

    Parameters
    ----------
    description : Description
    without : tuple of str
        Names of the pictures in which no face was found.
    """

    description: Description
    without: tuple[str, ...]


@dataclass(frozen=True)
class _Measured:
    """The largest face of a picture, exposed as a plate's face is, in the square that is wanted."""

    name: str
    crop: Pixels
    turned: float  # degrees of yaw and pitch away from the camera


def examine(graph: Path, family: str | None = None) -> Fit:
    """Return which family a graph is of.

    Raises
    ------
    ModelError
        It can't be read or run, fits no family, or several and none was said.
    """
    return _fit(graph, _read(graph), family)


def adapt(
    graph: Path,
    out: Path,
    *,
    name: str,
    likeness: Sequence[Picture] = (),
    performer: Sequence[Picture] = (),
    finder: FaceProvider | None = None,
    embedder: Path | None = None,
    converter: Path | None = None,
    family: str | None = None,
    performer_name: str = "performer",
) -> Adapted:
    """Write the description that makes a likeness of a graph, and try it once.

    Parameters
    ----------
    graph : Path
        The ONNX file.
    out : Path
        The description to write; its name ends in ``.adapter.json``.
    name : str
        The likeness's name.
    likeness, performer : sequence of Picture
        Pictures of the two; of each the largest face counts. Without the performer's a strength
        moves pixels, and not the identity.
    finder : FaceProvider, optional
        What finds faces; needed where there are pictures.
    embedder, converter : Path, optional
        The recogniser, and what carries its embeddings to the family's own.
    family : str, optional
        Which family the graph is of, where its signature leaves that open.
    performer_name : str
        The performer's name.

    Returns
    -------
    Adapted

    Raises
    ------
    ModelError
        A graph does not fit, or what the family needs is missing.
    FootageError
        A picture can't be read, or no face is in them.
    OutputError
        The description is there already, or can't be written.
    """
    if not out.name.endswith(SUFFIX):
        raise OutputError(f"{out} is no name of a description", f"Let it end in {SUFFIX}.")
    files: dict[Path, bytes] = {out: b""}
    _check_new(files)
    data = _read(graph)
    fit = _fit(graph, data, family)
    kind = fit.family
    _check_needs(fit, likeness, performer, embedder, converter)
    square, size = _square(fit, converter)
    seen: dict[str, list[_Measured]] = {}
    without: list[str] = []
    for who, pictures in (("likeness", likeness), ("performer", performer)):
        if pictures and finder is not None:
            seen[who] = _measure(pictures, finder, square, size, without)
            if not seen[who]:
                raise FootageError(
                    f"no face was found in the pictures of the {who} ({', '.join(without)})",
                    "Give pictures that show the face larger, and from the front.",
                )
    embeddings: dict[str, tuple[float, ...]] = {}
    picture = None
    if embedder is not None:
        recogniser = Embedder(_read(embedder), embedder)
        for who, faces in seen.items():
            mean = average([recogniser.embed(face.crop) for face in faces])
            embeddings[who] = tuple(float(f"{value:.6g}") for value in mean)
    if kind.source == "picture":
        # A mean of pictures is no picture: the one that looks into the camera is taken.
        seen["likeness"] = [min(seen["likeness"], key=lambda face: face.turned)]
        path = out.with_name(f"{out.stem}.png")
        files = {path: _png(seen["likeness"][0].crop), **files}
        picture = File(path.name, hashed(files[path]))
    described = Description(
        name=name,
        likeness=name,
        performer=performer_name,
        family=kind.name,
        size=fit.size,
        strength="morph" if fit.morphs else "embedding" if len(embeddings) == 2 else "pixels",
        graph=File(_from(out, graph), hashed(data)),
        embedder=_named(out, embedder),
        converter=_named(out, converter),
        picture=picture,
        pictures={who: tuple(face.name for face in faces) for who, faces in seen.items()},
        embeddings=embeddings,
    )
    files[out] = described.to_json().encode()
    _check_new(files)
    _write(files)
    try:
        with open_foreign(out, "cpu") as opened:
            opened.warm_up()
    except BaseException:
        _take_back(files)
        raise
    return Adapted(described, tuple(without))


def _check_needs(
    fit: Fit,
    likeness: Sequence[Picture],
    performer: Sequence[Picture],
    embedder: Path | None,
    converter: Path | None,
) -> None:
    """Refuse what is missing for a family, and what it has no use for."""
    title, source = fit.family.title, fit.family.source
    if source == "own" and (likeness or performer):
        raise ModelError(
            f"{title} draws the person whom it was trained on, and takes no pictures",
            "Leave --likeness and --performer out.",
        )
    if source != "own" and not likeness:
        raise FootageError(
            f"{title} needs pictures of the likeness, and none was given",
            "Give them with --likeness.",
        )
    if source == "vector" and embedder is None:
        raise ModelError(
            f"{title} is told whom to draw by an embedding, and no recogniser was given",
            "Give one of the ArcFace kind with --embedder.",
        )
    if source == "picture" and performer:
        raise ModelError(
            f"{title} takes one picture and no embedding: there is no way between two people",
            "Leave --performer out; a strength then moves pixels.",
        )
    for what, given, used in (
        ("--embedder", embedder, source == "vector"),
        ("--converter", converter, fit.family.converted),
    ):
        if given is not None and not used:
            raise ModelError(f"{title} has no use for {what}", "Leave it out.")
    if converter is not None:
        Converter(_read(converter), converter)


def _square(fit: Fit, converter: Path | None) -> tuple[str, int]:
    """Return which square of a face is looked at, and its side in pixels."""
    kind = fit.family
    if kind.source == "picture":
        return kind.picture_template, kind.picture_size
    # GHOST's own recogniser is shown the square that its network sees.
    own = kind.embedding == "raw" and converter is None
    return (kind.template if own else TEMPLATE), CROP


def _fit(graph: Path, data: bytes, family: str | None) -> Fit:
    try:
        session = runtime.session(data)
    except runtime.ERRORS as error:
        raise ModelError(
            f"{graph} can't be loaded: {runtime.first_line(error)}", "Fetch the file again."
        ) from error
    inputs, outputs = ports(session.get_inputs()), ports(session.get_outputs())
    return recognise(inputs, outputs, graph, family)


def _read(path: Path) -> bytes:
    """Read a graph, and refuse one that needs more than itself."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise ModelError(f"{path} can't be read: {error.strerror}", "Check the file.") from error
    check_contents(data, path)
    return data


def _measure(
    pictures: Sequence[Picture],
    finder: FaceProvider,
    square: str,
    size: int,
    without: list[str],
) -> list[_Measured]:
    """Return the largest face of each picture; the names of those without one go into `without`."""
    found = []
    for picture in pictures:
        linear, aspect = picture.read()
        faces = find_faces(linear, aspect, finder)
        if not faces:
            without.append(picture.name)
            continue
        largest = max(faces, key=lambda face: float(np.ptp(face.landmarks, axis=0).sum()))
        landmarks = np.asarray(largest.landmarks, np.float64)
        level = colour.face_luma(linear, landmarks)
        stops = colour.auto_stops([] if level is None else [level])
        shown = np.clip(colour.encode(np.nan_to_num(linear), stops), 0.0, 1.0)
        whole = Window(0, 0, linear.shape[1], linear.shape[0])
        matrix = templates.crop(landmarks, square, size, aspect)
        crop = np.clip(align.to_crop(shown, whole, matrix, size), 0.0, 1.0)
        yaw, pitch, _ = head_pose(landmarks * (aspect, 1.0))
        found.append(_Measured(picture.name, crop, abs(yaw) + abs(pitch)))
    return found


def _png(picture: Pixels) -> bytes:
    codes = np.round(picture[..., ::-1] * 65535.0).astype(np.uint16)
    return bytes(cv2.imencode(".png", codes)[1])


def _named(out: Path, path: Path | None) -> File | None:
    return None if path is None else File(_from(out, path), hashed(path.read_bytes()))


def _from(out: Path, path: Path) -> str:
    """Return a file's name as from the description: within its folder, or the whole path."""
    folder, there = out.resolve().parent, path.resolve()
    return there.relative_to(folder).as_posix() if there.is_relative_to(folder) else str(there)


def _check_new(files: Iterable[Path]) -> None:
    for path in files:
        if path.exists():
            raise OutputError(
                f"{path} exists, and what a release may be bound to is never replaced",
                "Give another name, or move the old file away first.",
            )


def _write(files: Mapping[Path, bytes]) -> None:
    """Write files that belong together: all of them, or none."""
    for path, content in files.items():
        partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
        try:
            partial.write_bytes(content)
            partial.replace(path)
        except OSError as error:
            partial.unlink(missing_ok=True)
            _take_back(files)
            raise OutputError(
                f"{path} can't be written: {error.strerror}", "Choose another place."
            ) from error


def _take_back(files: Iterable[Path]) -> None:
    for path in files:
        path.unlink(missing_ok=True)
