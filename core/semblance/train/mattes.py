"""The user's own mattes of footage: which pixels are the person's face, with nothing before it."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray

from semblance.align import to_crop
from semblance.errors import FootageError
from semblance.exr import read_plate
from semblance.plate import Window

__all__ = ["KINDS", "Mattes"]

KINDS = (".exr", ".png", ".tif", ".tiff")

Matrix: TypeAlias = NDArray[np.float64]


@dataclass(frozen=True)
class Mattes:
    """A folder of mattes.

    Parameters
    ----------
    files : mapping of str to Path
        Mattes by the name of the picture that they belong to.
    digest : str
        Of their names, sizes and times: other mattes are other settings.
    """

    files: Mapping[str, Path]
    digest: str

    @classmethod
    def open(cls, folder: Path) -> Mattes:
        """Find the mattes in a folder.

        Raises
        ------
        FootageError
            The folder can't be read, or holds none.
        """
        try:
            found = sorted(p for p in folder.iterdir() if p.suffix.lower() in KINDS)
            states = [(path.name, path.stat()) for path in found]
        except OSError as error:
            raise FootageError(
                f"the mattes in {folder} can't be listed: {error.strerror}", "Check the folder."
            ) from error
        if not found:
            raise FootageError(
                f"the folder {folder} holds no mattes; expected {' '.join(KINDS)}",
                "Name each as its picture, as 0012.png or take.12.png.",
            )
        marks = [f"{name}|{state.st_size}|{state.st_mtime_ns}" for name, state in states]
        digest = hashlib.sha256("\n".join(marks).encode()).hexdigest()[:12]
        return cls({path.stem: path for path in found}, digest)

    def crop(
        self, name: str, shape: tuple[int, int], matrix: Matrix, size: int
    ) -> NDArray[np.uint8] | None:
        """Return the matte of a picture over its crop.

        Parameters
        ----------
        name : str
            The picture's.
        shape : (int, int)
            Height and width of the picture, which the matte must have too.
        matrix : (2, 3) float64 array
            From the picture's pixels to the crop, 0..1 over it.
        size : int
            Side of the crop in pixels.

        Returns
        -------
        (size, size) uint8 array or None
            255 where the face is seen; None where the picture has no matte.

        Raises
        ------
        FootageError
            The matte can't be read, or has another size than the picture.
        """
        path = self.files.get(name)
        if path is None:
            return None
        matte = _read(path)
        if matte.shape != shape:
            raise FootageError(
                f"the matte {path} has {matte.shape[1]} x {matte.shape[0]} pixels, expected those "
                f"of its picture, {shape[1]} x {shape[0]}",
                "Render it at the size of the footage.",
            )
        window = Window(0, 0, shape[1], shape[0])
        warped = to_crop(np.ascontiguousarray(matte), window, matrix, size)
        return np.asarray(np.rint(np.clip(warped, 0.0, 1.0) * 255.0), np.uint8)


def _read(path: Path) -> NDArray[np.float32]:
    """Return a matte as (h, w) float32, 0..1: its first channel, or its alpha where it has one."""
    if path.suffix.lower() == ".exr":
        channels = read_plate(path).channels
        name = next((each for each in ("A", "Y", "R") if each in channels), next(iter(channels)))
        return np.asarray(np.clip(channels[name], 0.0, 1.0), np.float32)
    data = np.fromfile(path, np.uint8)
    stored = cv2.imdecode(data, cv2.IMREAD_UNCHANGED) if data.size else None
    if stored is None:
        raise FootageError(f"the matte {path} can't be read as a picture", "Replace the file.")
    flat = stored if stored.ndim == 2 else stored[..., 3 if stored.shape[2] == 4 else 0]
    top = 255.0 if flat.dtype == np.uint8 else 65535.0 if flat.dtype == np.uint16 else 1.0
    return np.asarray(np.clip(np.asarray(flat, np.float32) / np.float32(top), 0.0, 1.0), np.float32)
