"""Is everything here that Semblance needs on this machine? Each answer says what to do next."""

from __future__ import annotations

import importlib
import os
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import numpy as np

from semblance import colour, exr, model
from semblance.errors import SemblanceError
from semblance.plate import Plate, Window
from semblance.track import mediapipe
from semblance.track.provider import open_provider

__all__ = ["Check", "examine"]

_NEEDED = {
    "numpy": "numpy",
    "cv2": "opencv-python-headless",
    "OpenEXR": "OpenEXR",
    "PyOpenColorIO": "opencolorio",
    "onnxruntime": "onnxruntime",
    "av": "av",
    "c2pa": "c2pa-python",
    "PIL": "pillow",
    "cryptography": "cryptography",
}
"""Import name to package of what every installation has."""

_EXTRAS = {"torch": "train", "safetensors": "train", "onnx": "train", "ai_edge_litert": "mediapipe"}
"""Import name to the extra that brings it."""


@dataclass(frozen=True)
class Check:
    """One thing that was looked at.

    Parameters
    ----------
    name : str
        What it is.
    good : bool
        Whether it is as it should be.
    found : str
        What is there.
    remedy : str
        What to do where it is not good.
    essential : bool
        Whether Semblance can't render without it.
    """

    name: str
    good: bool
    found: str
    remedy: str = ""
    essential: bool = True


def examine() -> Iterator[Check]:
    """Look at everything, one check after the other; nothing raises and nothing is left behind."""
    yield Check("python", sys.version_info >= (3, 11), sys.version.split()[0], "Use Python 3.11.")
    for name, package in _NEEDED.items():
        yield _package(name, package, f"Install it with: pip install {package}.", essential=True)
    for name, extra in _EXTRAS.items():
        remedy = f'Install it with: pip install "semblance[{extra}]".'
        yield _package(name, name.replace("_", "-"), remedy, essential=False)
    yield _tried("compute", _providers, "Install onnxruntime, or onnxruntime-gpu for CUDA.")
    yield _tried("colour", _colour, "Point $OCIO to a valid config, or unset it.")
    yield _tried("tracker native", _tracker, "Install semblance again: its own models are missing.")
    yield _models()
    yield _tried("exr", _write_and_read, "Make room and permission in the temporary folder.")


def _package(name: str, package: str, remedy: str, *, essential: bool) -> Check:
    try:
        importlib.import_module(name)
    except ImportError as error:  # a broken library says so here as well
        return Check(name, False, str(error), remedy, essential)
    try:
        found = version(package)
    except PackageNotFoundError:
        found = "version unknown"
    return Check(name, True, found, essential=essential)


def _tried(name: str, look: Callable[[], str], remedy: str) -> Check:
    try:
        return Check(name, True, look())
    except (SemblanceError, OSError, ImportError) as error:
        return Check(name, False, str(error), remedy)


def _providers() -> str:
    return ", ".join(model.available_providers())


def _colour() -> str:
    named = os.environ.get("OCIO")
    grey = np.full((1, 1, 3), 0.18, np.float32)
    back = colour.from_linear(colour.to_linear(grey, "ACEScg"), "ACEScg")
    if not np.allclose(back, grey, atol=1e-5):
        raise SemblanceError(f"ACEScg does not come back: {back.ravel()} for 0.18")
    return f"$OCIO {named}" if named else "built-in ACES config"


def _tracker() -> str:
    return f"{open_provider('native').name}: models are in the package"


def _models() -> Check:
    folder = mediapipe.cache_dir()
    there = sum((folder / name).exists() for name in mediapipe.MODEL_FILES)
    return Check(
        "tracker mediapipe",
        there == len(mediapipe.MODEL_FILES),
        f"{there} of {len(mediapipe.MODEL_FILES)} models in {folder}",
        "They are fetched on first use; offline, give --models-dir.",
        essential=False,
    )


def _write_and_read() -> str:
    ramp = np.linspace(-1.0, 50.0, 64, dtype=np.float32).reshape(8, 8)
    window = Window(0, 0, 8, 8)
    plate = Plate(dict.fromkeys("RGB", ramp), window, window)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "doctor.exr"
        exr.write_plate(plate, path)
        if not np.array_equal(exr.read_plate(path).picture(), plate.picture()):
            raise SemblanceError("an EXR frame did not come back as it was written")
    return "an EXR frame was written, read and is the same"
