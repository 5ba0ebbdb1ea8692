"""From footage to a faceset: aligned, scored, deduplicated faces of one person with landmarks.

A faceset is a folder::

    faceset.json       the faces, see `build_faceset`
    faces/000000.png   their crops, 16-bit RGB in the working encoding
    mattes/000000.png  what of a crop is face, 8 bits, where the user gave mattes
    contact.png        a look at them, by yaw from left to right, by pitch from top to bottom
    coverage.png       how many there are of each pose, and what is missing
    progress.jsonl     what has been looked at, for a run that goes on after an interruption

A crop is the canonical square (`semblance.align`) widened by `MARGIN` of its side on each side, so
that training has room to move, turn and warp it: canonical u = x / size · (1 + 2·margin) − margin.
Every face is exposed so that its mean linear luma is `semblance.colour.EXPOSURE_TARGET`.
"""

from __future__ import annotations

import json
import math
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from io import BytesIO
from pathlib import Path
from typing import Any, Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from semblance.align import TEMPLATE_NAME, bounds, fit, to_crop, transform
from semblance.colour import auto_stops, encode, face_luma
from semblance.errors import Cancelled, FootageError, OutputError, frame_context
from semblance.plate import Window
from semblance.track.head import head_pose
from semblance.track.provider import Detection, FaceProvider
from semblance.train.coverage import coverage, holes
from semblance.train.coverage_picture import coverage_picture
from semblance.train.finder import Finder, finder_of
from semblance.train.footage import Footage, Picture, open_footage
from semblance.train.journal import Journal, Looked, Stored, read_crop, write_whole
from semblance.train.mattes import Mattes
from semblance.train.measure import MARGIN, Descriptor, chroma, describe, difference, sharpness
from semblance.train.quality import judge_quality
from semblance.train.sheet import contact_sheet, counted

__all__ = ["FORMAT", "MARGIN", "VERSION", "FacesetProgress", "FacesetSummary", "build_faceset"]

FORMAT: Final = "semblance-faceset"
VERSION: Final = 2

NEIGHBOURHOOD: Final = 64
"""A face is compared with so many faces that were kept before it from the same footage."""

CUT_OFF: Final = 0.15
"""A face with a greater share of its landmarks outside the picture is cut off by the border."""

GREY: Final = 0.006
"""Chroma below which a face is monochrome; see `semblance.train.measure.chroma`."""

Pixels: TypeAlias = NDArray[np.float32]
Points: TypeAlias = NDArray[np.float64]
Entry: TypeAlias = dict[str, Any]


@dataclass(frozen=True)
class FacesetProgress:
    """How far a run is.

    Parameters
    ----------
    done, total : int, int or None
        Pictures looked at, those of an earlier run included, and all there are (None where a
        movie does not say how long it is).
    kept : int
        Faces so far.
    source, frame : str, int or None
        The picture that was looked at last.
    """

    done: int
    total: int | None
    kept: int
    source: str
    frame: int | None


@dataclass(frozen=True)
class FacesetSummary:
    """What a run has made.

    Parameters
    ----------
    folder : Path
        Where the faceset is.
    faces : int
        Faces in it.
    monochrome : int
        Those of them without colour.
    pictures, resumed : int, int
        Pictures looked at, and how many of them by an earlier run.
    rejected : mapping of str to int
        Faces and pictures that were left out, by reason.
    holes : tuple of str
        What the faces lack, as `semblance.train.coverage.holes` says it.
    scans : mapping of str to str
        How movies hold their pictures, of those that are not progressive, by their names.
    quality : float
        Median of the faces' quality, 0..1.
    seconds : float
        Of this run.
    """

    folder: Path
    faces: int
    monochrome: int
    pictures: int
    resumed: int
    rejected: Mapping[str, int]
    holes: tuple[str, ...]
    scans: Mapping[str, str]
    quality: float
    seconds: float

    def to_json(self) -> dict[str, Any]:
        """Return the summary as JSON holds it."""
        return {**asdict(self), "folder": str(self.folder)}


def build_faceset(
    footage: Sequence[Path | str],
    out: Path,
    provider: FaceProvider | None,
    *,
    landmarks: Path | None = None,
    mattes: Path | None = None,
    size: int = 320,
    max_faces: int | None = None,
    every: int = 1,
    min_score: float = 0.5,
    min_blur: float = 1.0,
    duplicate_threshold: float = 0.02,
    report: Callable[[FacesetProgress], None] = lambda progress: None,
    cancel: Callable[[], bool] = lambda: False,
) -> FacesetSummary:
    """Make a faceset, or go on with one that was interrupted.

    Every picture gives at most one face: the largest of those that reach `min_score`. What was
    looked at is written down as it goes, so that the same call after an interruption does only what
    is left, to the same result; footage that was added, changed or taken away in between is added,
    made again or taken away.

    Parameters
    ----------
    footage : sequence of Path or str
        As for `semblance.train.footage.open_footage`.
    out : Path
        The folder of the faceset; made if need be.
    provider : FaceProvider or None
        Finds the faces; may be None with `landmarks`.
    landmarks : Path, optional
        A JSON document ``{file name: {"landmarks": [[x, y] * 68]}}`` that takes the provider's
        place for stills; a still that is not in it has no face.
    mattes : Path, optional
        A folder of pictures that are bright where the person's face is seen and nothing is before
        it, as large as the footage and called as `Picture.name` says; footage without one has the
        whole face.
    size : int
        Side of a crop in pixels, the margin included.
    max_faces : int, optional
        Stop when so many faces are kept.
    every : int
        Look at each so-many-th picture of each piece of footage.
    min_score : float
        Least score of a face, 0..1.
    min_blur : float
        Least sharpness, see `sharpness`.
    duplicate_threshold : float
        Least difference to the `NEIGHBOURHOOD` faces before it, see `difference`; 0 keeps all.
    report : callable
        Called after each picture.
    cancel : callable
        Asked before each picture; true stops the work.

    Returns
    -------
    FacesetSummary

    Raises
    ------
    FootageError
        Footage can't be read (names the file), or holds not one usable face; or the folder holds
        the faces of other settings.
    OutputError
        The folder can't be written to, or holds something else.
    Cancelled
        `cancel` said so; the same call goes on from there.

    Notes
    -----
    ``faceset.json`` holds ``format``, ``version``, ``template``, ``size``, ``margin``, ``faces``
    and ``rejected``. Of each face: ``file``, and ``matte`` where there is one; ``source`` and
    ``frame``, where it comes from;
    ``landmarks``, 68 points in crop pixels, pixel centres at +0.5, y down; ``yaw``, ``pitch``,
    ``roll`` in degrees; ``score``, 0..1; ``blur``, its sharpness (`sharpness`; higher is
    sharper); ``quality``, how much it is worth and why (`semblance.train.quality`);
    ``monochrome``; and ``exposure``, the stops that were applied.
    """
    start = time.monotonic()
    judge = _Judge(
        finder_of(provider, landmarks),
        Mattes.open(mattes) if mattes is not None else None,
        size,
        min_score,
        min_blur,
        duplicate_threshold,
    )
    pieces = [open_footage(piece, every) for piece in footage]
    with _writing_to(out), Journal.open(out, judge.settings()) as journal:
        looked, resumed = _look_through(pieces, judge, journal, max_faces, report, cancel)
        rejected = Counter(reason for one in looked for reason in one.rejected)
        entries = [one.entry for one in looked if one.entry is not None]
        if not entries:
            raise FootageError(
                f"not one usable face in {', '.join(piece.name for piece in pieces) or 'nothing'} "
                f"({len(looked)} pictures; {counted(rejected)})",
                "Give footage that shows the face larger, or lower the limit that it fails.",
            )
        missing = holes("the faceset", coverage(entries))
        _finish(out, size, entries, rejected, missing)
    return FacesetSummary(
        folder=out,
        faces=len(entries),
        monochrome=sum(entry["monochrome"] for entry in entries),
        pictures=len(looked),
        resumed=resumed,
        rejected=dict(sorted(rejected.items())),
        holes=tuple(missing),
        scans={piece.name: piece.scan.kind for piece in pieces if piece.scan.kind != "progressive"},
        quality=float(np.median([entry["quality"]["score"] for entry in entries])),
        seconds=time.monotonic() - start,
    )


def _look_through(
    pieces: Sequence[Footage],
    judge: _Judge,
    journal: Journal,
    max_faces: int | None,
    report: Callable[[FacesetProgress], None],
    cancel: Callable[[], bool],
) -> tuple[list[Looked], int]:
    """Look at every picture that no earlier run has looked at; return all, and how many were."""
    counts = [piece.count for piece in pieces]
    total = None if None in counts else sum(count or 0 for count in counts)
    looked: dict[str, Looked] = {}
    kept = resumed = 0
    for piece in pieces:
        neighbours: deque[Descriptor] = deque(maxlen=NEIGHBOURHOOD)
        for picture in piece.pictures():
            if max_faces is not None and kept >= max_faces:
                break
            if cancel():
                raise Cancelled("making the faceset was cancelled; the same call goes on", "")
            if picture.stamp in looked:
                continue  # the same footage was named twice
            known = journal.known.get(picture.stamp)
            if known is None:
                found = judge.look(picture, neighbours)
                known = journal.add(
                    picture.stamp, found.rejected, found.entry, found.crop, found.matte
                )
            else:
                resumed += 1
            looked[picture.stamp] = known
            if known.entry is not None:
                kept += 1
                # From the stored crop, so that a run that goes on compares as one that never ended.
                crop = read_crop(journal.folder / known.entry["file"])
                neighbours.append(describe(crop, np.array(known.entry["landmarks"])))
            report(FacesetProgress(len(looked), total, kept, picture.source, picture.frame))
    return list(looked.values()), resumed


# -------------------------------------------------------------------------------------- judging


@dataclass(frozen=True)
class _Found:
    """What a picture gave: a crop and its entry, or neither; and what was left out of it."""

    rejected: tuple[str, ...] = ()
    crop: Stored | None = None
    entry: Entry | None = None
    matte: NDArray[np.uint8] | None = None


class _UnfitError(Exception):
    """A face is not fit for the faceset; the text is the reason that is counted."""


@dataclass(frozen=True)
class _Judge:
    """Looks at pictures and says whether their face is fit for the faceset."""

    finder: Finder
    mattes: Mattes | None
    size: int
    min_score: float
    min_blur: float
    duplicate_threshold: float

    def settings(self) -> dict[str, Any]:
        """Return what decides whether faces may be in one faceset."""
        return {
            "template": TEMPLATE_NAME,
            "size": self.size,
            "margin": MARGIN,
            "faces by": self.finder.name,
            "mattes": None if self.mattes is None else self.mattes.digest,
            "min score": self.min_score,
            "min blur": self.min_blur,
            "duplicate threshold": self.duplicate_threshold,
        }

    def look(self, picture: Picture, neighbours: Sequence[Descriptor]) -> _Found:
        """Return the largest face of a picture, or why there is none."""
        with frame_context(picture.frame, picture.source):
            linear, aspect = picture.read()
            faces = self.finder.find(picture, linear, aspect)
        if not faces:
            return _Found(("no face",))
        others = ("other face",) * (len(faces) - 1)
        sure = [face for face in faces if face.score >= self.min_score] or faces
        largest = max(sure, key=lambda face: float(np.ptp(face.landmarks, axis=0).sum()))
        try:
            crop, figures = self._judged(linear, aspect, largest, neighbours)
        except _UnfitError as reason:
            return _Found((str(reason), *others))
        matte = None
        if self.mattes is not None:
            with frame_context(picture.frame, picture.source):
                shape = (linear.shape[0], linear.shape[1])
                matrix = _matrix(np.asarray(largest.landmarks, np.float64), aspect)
                matte = self.mattes.crop(picture.name, shape, matrix, self.size)
        entry = {"source": picture.source, "frame": picture.frame, **figures}
        return _Found(others, crop, entry, matte)

    def _judged(
        self, linear: Pixels, aspect: float, face: Detection, neighbours: Sequence[Descriptor]
    ) -> tuple[NDArray[np.uint16], Entry]:
        """Return the crop of a face and the figures of its entry.

        Raises
        ------
        _UnfitError
            The face is not fit.
        """
        landmarks = np.asarray(face.landmarks, np.float64)
        stops = self._stops(linear, landmarks, face.score)
        crop, points = _canonical(linear, landmarks, aspect, stops, self.size)
        blur = sharpness(crop, points)
        if blur < self.min_blur:
            raise _UnfitError("blurred")
        stored = np.round(np.clip(crop, 0.0, 1.0) * 65535.0).astype(np.uint16)
        points = np.round(points, 3)
        described = describe(stored, points)
        if any(difference(described, one) < self.duplicate_threshold for one in neighbours):
            raise _UnfitError("duplicate")
        yaw, pitch, roll = head_pose(landmarks * (aspect, 1.0))
        area = abs(np.linalg.det(fit(landmarks, aspect)[:, :2]))
        quality = judge_quality(crop, points, 1.0 / math.sqrt(area), blur)
        return stored, {
            "landmarks": points.tolist(),
            "yaw": round(yaw, 2),
            "pitch": round(pitch, 2),
            "roll": round(roll, 2),
            "score": round(float(face.score), 4),
            "blur": round(blur, 2),
            "quality": quality.to_json(),
            "monochrome": chroma(crop) < GREY,
            "exposure": round(stops, 4),
        }

    def _stops(self, linear: Pixels, landmarks: Points, score: float) -> float:
        """Return the exposure of a face that can be seen."""
        if score < self.min_score:
            raise _UnfitError("low score")
        height, width = linear.shape[:2]
        outside = ((landmarks < 0.0) | (landmarks > (width, height))).any(axis=1)
        level = face_luma(linear, landmarks)
        if outside.mean() > CUT_OFF or level is None:
            raise _UnfitError("cut off")
        if not (level > 0.0 and math.isfinite(level)):
            raise _UnfitError("black")
        return auto_stops([level])


def _matrix(landmarks: Points, aspect: float) -> Points:
    """Return what takes a picture's pixels to the widened crop, (2, 3), 0..1 over it."""
    matrix = fit(landmarks, aspect) / (1.0 + 2.0 * MARGIN)
    matrix[:, 2] += MARGIN / (1.0 + 2.0 * MARGIN)
    return np.asarray(matrix, np.float64)


def _canonical(
    linear: Pixels, landmarks: Points, aspect: float, stops: float, size: int
) -> tuple[Pixels, Points]:
    """Return the widened crop in the working encoding, and the landmarks in its pixels."""
    matrix = _matrix(landmarks, aspect)
    whole = Window(0, 0, linear.shape[1], linear.shape[0])
    # Only what the crop and its prefilter see is encoded.
    reach = math.ceil(4.0 / (size * math.sqrt(abs(np.linalg.det(matrix[:, :2]))))) + 4
    window = bounds(matrix, whole).grown(reach).intersection(whole)
    encoded = encode(np.ascontiguousarray(linear[window.slices(whole)]), stops)
    crop = to_crop(encoded, window, matrix, size)
    return crop, transform(landmarks, matrix) * size


# -------------------------------------------------------------------------------------- writing


@contextmanager
def _writing_to(out: Path) -> Iterator[None]:
    """Say which folder can't be written to."""
    try:
        yield
    except OSError as error:
        raise OutputError(
            f"the faceset can't be written to {out}: {error.strerror or error}",
            "Give a folder that is writable, on a disk with room.",
        ) from error


def _dump(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, allow_nan=False)


def _finish(
    out: Path,
    size: int,
    entries: Sequence[Entry],
    rejected: Mapping[str, int],
    missing: Sequence[str],
) -> None:
    """Write the pictures and the listing, and delete crops and mattes that are in neither."""
    head = {
        "format": FORMAT,
        "version": VERSION,
        "template": TEMPLATE_NAME,
        "size": size,
        "margin": MARGIN,
    }
    lines = ",\n".join(f"    {_dump(entry)}" for entry in entries)
    text = "{\n" + "".join(f"  {_dump(key)}: {_dump(value)},\n" for key, value in head.items())
    text += f'  "faces": [\n{lines}\n  ],\n'
    text += f'  "rejected": {_dump(dict(sorted(rejected.items())))}\n}}\n'
    covered = coverage_picture({out.resolve().name: coverage(entries)}, missing)
    for name, picture in (
        ("contact.png", contact_sheet(out, entries, rejected)),
        ("coverage.png", covered),
    ):
        stream = BytesIO()
        picture.save(stream, "png")
        write_whole(out / name, stream.getvalue())
    write_whole(out / "faceset.json", text.encode())
    listed = {entry[kind] for entry in entries for kind in ("file", "matte") if kind in entry}
    for folder in ("faces", "mattes"):
        for path in (out / folder).glob("*.png"):
            if f"{folder}/{path.name}" not in listed:
                path.unlink()
