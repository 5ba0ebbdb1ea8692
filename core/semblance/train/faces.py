"""The faces of one person, decoded once into a memory-mapped cache and then taken from there."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Final, TypeAlias

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from semblance.colour import decode, encode
from semblance.errors import TrainingError
from semblance.train.balance import balanced, bounded
from semblance.train.coverage import Coverage, coverage
from semblance.train.grade import Look, Tones, archives, grades, look_of, tones
from semblance.train.listing import Entry, Listing, read_listing
from semblance.train.masks import training_masks

__all__ = ["ADDED", "HARD", "Faces", "Frame", "Person", "load_people", "plain"]

Frame: TypeAlias = tuple[str, int | None]
"""Where a face comes from: its source (`plain`), and its frame or None."""

_NUMBER: Final = re.compile(r"#+|%0?\d*d")

ADDED: Final = 0.5
"""Share of the draws that new material has in a run that goes on from another."""

HARD: Final = 3.0
"""A frame that somebody named as hard is drawn so many times as often."""

_CHUNK: Final = 256
"""Faces that are moved to a device at a time."""


def plain(source: str) -> str:
    """Return a source, as a faceset's listing has it, with one spelling of its frame number.

    >>> plain("plate.####.exr") == plain("plate.%04d.exr")
    True
    """
    return _NUMBER.sub("#", source)


@dataclass(frozen=True)
class Person:
    """Where a person's faces are.

    Parameters
    ----------
    facesets : tuple of Path
        Folders.
    added : tuple of Path
        Folders of new material, which has `ADDED` of the draws.
    """

    facesets: tuple[Path, ...]
    added: tuple[Path, ...] = ()

    def __post_init__(self) -> None:
        if not self.facesets:
            raise TrainingError("a person without a faceset can't be trained", "Name one.")

    @property
    def folders(self) -> tuple[Path, ...]:
        """All of them."""
        return (*self.facesets, *self.added)


@dataclass(frozen=True)
class Faces:
    """One person's faces.

    Parameters
    ----------
    pictures : Tensor
        (n, 3, S, S) float16, RGB in the working encoding, 0..1: the canonical square widened by
        `margin` of its side on each side.
    masks : Tensor
        (n, 3, S, S) uint8, 255 is 1: face, face widened for the losses, eyes and mouth.
    colour : Tensor
        (n,) float32: how far the picture's colour is to be believed, 0 where it is monochrome.
    weights : NDArray
        (n,) float64, sums to 1: how often each face is drawn.
    frames : tuple of Frame
        Where each comes from.
    coverage : Coverage
        Their poses and expressions.
    margin : float
        Margin as a share of the canonical square's side.
    digest : str
        sha256 of the facesets' lists and of their pictures.
    """

    pictures: Tensor
    masks: Tensor
    colour: Tensor
    weights: NDArray[np.float64]
    frames: tuple[Frame, ...]
    coverage: Coverage
    margin: float
    digest: str

    def __len__(self) -> int:
        return len(self.pictures)

    def to(self, device: torch.device) -> Faces:
        """Return the same faces on `device`, or as they are where it has no room for them."""
        if device.type != "cuda":
            return self
        free, _ = torch.cuda.mem_get_info(device)
        size = sum(t.numel() * t.element_size() for t in (self.pictures, self.masks))
        if size > free // 2:
            return replace(self, colour=self.colour.to(device))
        return replace(
            self,
            pictures=_moved(self.pictures, device),
            masks=_moved(self.masks, device),
            colour=self.colour.to(device),
        )

    def harder(self, hard: frozenset[Frame]) -> Faces:
        """Return the same faces, those of the `hard` frames drawn `HARD` times as often."""
        factor = np.array([HARD if frame in hard else 1.0 for frame in self.frames])
        return replace(self, weights=bounded(self.weights * factor))


def _moved(tensor: Tensor, device: torch.device) -> Tensor:
    """Copy in pieces: the source is a file as large as memory may be."""
    moved = torch.empty_like(tensor, device=device)
    for begin in range(0, len(tensor), _CHUNK):
        moved[begin : begin + _CHUNK] = tensor[begin : begin + _CHUNK].to(device)
    return moved


def load_people(performer: Person, likeness: Person, size: int, cache: Path) -> tuple[Faces, Faces]:
    """Read both people's faces at one exposure and one grade.

    A faceset's crops are each exposed alike; trained so, a dark complexion would come out as bright
    as a fair one. One exposure for all, which brings the performer's median to its level, keeps the
    likeness's complexion beside the performer's, as far as the footage of both was exposed alike.
    For the grade see `semblance.train.grade`.

    Parameters
    ----------
    performer, likeness : Person
    size : int
        Side of the canonical picture in pixels.
    cache : Path
        Folder in which decoded faces are kept; where it holds these very faces, nothing is decoded.

    Raises
    ------
    TrainingError
        A folder holds no faceset, another version, fewer than 2 faces, faces of another margin, or
        a picture that can't be read; or the cache can't be written.
    """
    lists = [[read_listing(folder) for folder in who.folders] for who in (performer, likeness)]
    exposures = [float(e["exposure"]) for listing in lists[0] for e in listing.entries]
    stops = float(np.median(exposures))
    try:
        first, look = _load(performer, lists[0], "performer", size, stops, None, cache)
        second, _ = _load(likeness, lists[1], "likeness", size, stops, look, cache)
    except OSError as error:
        raise TrainingError(
            f"the cache of decoded faces in {cache} can't be written: {error.strerror or error}",
            "Give the run a folder on a disk with room.",
        ) from error
    return first, second


def _load(
    person: Person,
    lists: Sequence[Listing],
    who: str,
    size: int,
    stops: float,
    other: Look | None,
    cache: Path,
) -> tuple[Faces, Look | None]:
    margins = {listing.margin for listing in lists}
    if len(margins) > 1:
        raise TrainingError(
            f"the facesets of the {who} have different margins: {sorted(margins)}",
            "Make them with one version of semblance.",
        )
    told = [size, stops, None if other is None else [other.mean, other.spread, other.tint.tolist()]]
    stamps = [listing.stamp() for listing in lists]
    key = hashlib.sha256(json.dumps([stamps, told]).encode()).hexdigest()
    folder = cache / f"{who}-{key[:16]}"
    if not (folder / "about.json").exists():
        _decode(lists, size, stops, other, folder)
        for stale in cache.glob(f"{who}-*"):
            if stale != folder:
                shutil.rmtree(stale, ignore_errors=True)
    about = json.loads((folder / "about.json").read_text(encoding="utf-8"))
    # Copy on write: torch wants memory that it may write to, and the file stays as it is.
    pictures, masks = (
        torch.from_numpy(np.load(folder / f"{name}.npy", mmap_mode="c"))
        for name in ("pictures", "masks")
    )
    entries = [entry for listing in lists for entry in listing.entries]
    old = sum(len(listing.entries) for listing in lists[: len(person.facesets)])
    faces = Faces(
        pictures=pictures,
        masks=masks,
        colour=torch.tensor(about["colour"], dtype=torch.float32),
        weights=_weights(entries, old),
        frames=tuple((plain(entry["source"]), entry["frame"]) for entry in entries),
        coverage=coverage(entries),
        margin=lists[0].margin,
        digest=about["digest"],
    )
    look = about["look"]
    return faces, None if look is None else Look(**{**look, "tint": np.array(look["tint"])})


def _weights(entries: Sequence[Entry], old: int) -> NDArray[np.float64]:
    if old == len(entries):
        return balanced(entries)
    return np.concatenate(
        [(1.0 - ADDED) * balanced(entries[:old]), ADDED * balanced(entries[old:])]
    )


def _decode(
    lists: Sequence[Listing], size: int, stops: float, other: Look | None, folder: Path
) -> None:
    """Decode, expose, reduce and grade all faces into a folder, which appears whole."""
    side = round(size * (1.0 + 2.0 * lists[0].margin))
    count = sum(len(listing.entries) for listing in lists)
    partial = folder.with_name(f".{folder.name}.{os.getpid()}")
    partial.mkdir(parents=True, exist_ok=True)
    try:
        shape = (count, 3, side, side)
        pictures = _mapped(partial / "pictures.npy", np.float16, shape)
        masks = _mapped(partial / "masks.npy", np.uint8, shape)
        rows = []
        pairs = [(listing, entry) for listing in lists for entry in listing.entries]
        for row, (listing, entry) in enumerate(pairs):
            picture = _exposed(listing, entry, stops, side)
            drawn = _drawn_masks(listing, entry, side)
            pictures[row] = picture.transpose(2, 0, 1)
            masks[row] = np.rint(drawn * 255.0)
            rows.append(tones(picture, drawn[0]))
        measured = Tones(*(np.array(column) for column in zip(*rows, strict=True)))
        sources = [
            f"{number}/{entry['source']}"
            for number, listing in enumerate(lists)
            for entry in listing.entries
        ]
        monochrome = np.array([bool(entry["monochrome"]) for _, entry in pairs])
        made = grades(sources, monochrome, measured, other)
        for row, grade in enumerate(made):
            if grade.changes:
                picture = np.ascontiguousarray(pictures[row].transpose(1, 2, 0), np.float32)
                pictures[row] = grade.apply(picture).transpose(2, 0, 1)
        for mapped in (pictures, masks):
            mapped.flush()
        look = look_of(measured, archives(sources, monochrome))
        digests = [listing.digest() for listing in lists]
        about = {
            "colour": [grade.colour for grade in made],
            "look": None if look is None else {**asdict(look), "tint": look.tint.tolist()},
            "digest": _joined(digests),
        }
        (partial / "about.json").write_text(json.dumps(about), encoding="utf-8")
        os.replace(partial, folder)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _joined(digests: Sequence[str]) -> str:
    if len(digests) == 1:
        return digests[0]
    return hashlib.sha256("\n".join(digests).encode()).hexdigest()


def _mapped(path: Path, kind: Any, shape: tuple[int, ...]) -> Any:
    return np.lib.format.open_memmap(path, mode="w+", dtype=kind, shape=shape)


def _exposed(
    listing: Listing, entry: Mapping[str, Any], stops: float, side: int
) -> NDArray[np.float32]:
    picture = listing.picture(entry)
    picture = encode(decode(picture), stops - float(entry["exposure"])).clip(0.0, 1.0)
    smaller = side < picture.shape[0]
    method = cv2.INTER_AREA if smaller else cv2.INTER_CUBIC
    return np.clip(cv2.resize(picture, (side, side), interpolation=method), 0.0, 1.0)


def _drawn_masks(listing: Listing, entry: Mapping[str, Any], side: int) -> NDArray[np.float32]:
    landmarks = np.asarray(entry["landmarks"], np.float64) * (side / listing.size)
    matte = listing.matte(entry)
    if matte is not None:
        matte = np.asarray(
            cv2.resize(matte, (side, side), interpolation=cv2.INTER_AREA), np.float32
        )
    return training_masks(landmarks, side, matte)
