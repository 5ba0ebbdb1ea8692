"""The protocol of the face providers, and the one place that opens them by name.

A provider turns a picture into landmarks and knows nothing of shots, plates or time. Each lives in
its own module of this package and is imported only when it is asked for, so that the packages of
one provider are never needed for another.
"""

from __future__ import annotations

import difflib
import importlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, cast

import numpy as np
from numpy.typing import NDArray

from semblance.errors import TrackError

__all__ = ["DEFAULT_PROVIDER", "PROVIDERS", "Detection", "FaceProvider", "open_provider"]

DEFAULT_PROVIDER = "native"
PROVIDERS = ("native", "mediapipe", "onnx")
"""Names that `open_provider` knows; each is a module here with an ``open_face_provider``."""


@dataclass(frozen=True)
class Detection:
    """One face in one picture.

    Attributes
    ----------
    score
        Confidence that this is a face, 0..1.
    landmarks
        Float32 array of shape (68, 2): x, y in pixels of the given image, in the order of the
        iBUG 68-point scheme (Sagonas et al. 2013), pixel centres at +0.5, y down.
    """

    score: float
    landmarks: NDArray[np.float32]


class FaceProvider(Protocol):
    """What finds faces in a picture and keeps hold of them.

    Attributes
    ----------
    name
        Goes into the track as its ``source``.
    """

    name: str

    def find(self, image: NDArray[np.float32]) -> tuple[Detection, ...]:
        """Find all faces, best score first.

        Parameters
        ----------
        image
            Float32 array of shape (h, w, 3): RGB in a display-like sRGB encoding, nominally 0..1
            (values outside are clipped by the provider), square pixels.

        Returns
        -------
        tuple of Detection
            Empty where no face is found.
        """
        ...

    def refine(self, image: NDArray[np.float32], near: NDArray[np.float32]) -> Detection | None:
        """Place the landmarks again, starting from landmarks `near`, e.g. of the previous frame.

        Parameters
        ----------
        image
            As for `find`.
        near
            Float32 array of shape (68, 2), as `Detection.landmarks`.

        Returns
        -------
        Detection or None
            None where no face is there any more.
        """
        ...


def open_provider(name: str = DEFAULT_PROVIDER, models_dir: Path | None = None) -> FaceProvider:
    """Open a face provider by name.

    Parameters
    ----------
    name
        One of `PROVIDERS`.
    models_dir
        Folder that holds the provider's model files; None for the provider's own place (its
        package data, or the user's cache). ``onnx`` has none: it runs what the user brings.

    Returns
    -------
    FaceProvider
        Ready to use; a provider holds no state between calls.

    Raises
    ------
    TrackError
        Unknown name, or the provider's models cannot be had.
    MissingPackageError
        The provider needs a package that is not installed.
    """
    if name not in PROVIDERS:
        close = difflib.get_close_matches(name, PROVIDERS, n=1)
        hint = f"Did you mean {close[0]!r}?" if close else "Choose one of these."
        raise TrackError(f"unknown face provider {name!r}; there are: {', '.join(PROVIDERS)}", hint)
    module = importlib.import_module(f"semblance.track.{name}")
    opener = cast(Callable[[Path | None], FaceProvider], module.open_face_provider)
    return opener(models_dir)
