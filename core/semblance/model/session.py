"""Likenesses that run: ONNX Runtime behind a small class, and a pool of warm ones.

The runtime's exceptions end here.
"""

from __future__ import annotations

import hashlib
import os
import threading
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from semblance import runtime
from semblance.errors import ModelError, ProviderError
from semblance.face import Inference
from semblance.model.package import Manifest, check_contents, read_manifest, sha256_of

__all__ = ["PROVIDERS", "Likeness", "Sessions", "available_providers"]

PROVIDERS: Final = {
    "cpu": "CPUExecutionProvider",
    "cuda": "CUDAExecutionProvider",
    "tensorrt": "TensorrtExecutionProvider",
}
"""Our names of the compute providers, and ONNX Runtime's."""

AUTOMATIC: Final = ("cuda", "cpu")
"""What `auto` tries, best first. TensorRT builds an engine for minutes: only when asked for."""


def available_providers() -> tuple[str, ...]:
    """Return our names of the providers that this installation of ONNX Runtime was built with."""
    built = runtime.built_in()
    return tuple(name for name, theirs in PROVIDERS.items() if theirs in built)


class Likeness:
    """An open likeness model. Use it as a context manager, or call `close`.

    `infer` may be called from several threads.

    Attributes
    ----------
    manifest : Manifest
        What the package says about itself.
    sha256 : str
        Content hash of the file.
    provider : str
        The compute provider that is really in use: `cpu`, `cuda` or `tensorrt`.
    """

    def __init__(self, session: Any, manifest: Manifest, sha256: str, provider: str) -> None:
        self._session = session
        self.manifest = manifest
        self.sha256 = sha256
        self.provider = provider

    @classmethod
    def open(
        cls, path: str | os.PathLike[str], provider: str = "auto", threads: int = 0
    ) -> Likeness:
        """Load a package.

        Parameters
        ----------
        path : path
            The ONNX file.
        provider : str
            `auto`, `cpu`, `cuda` or `tensorrt`. `auto` takes CUDA where it works, else the CPU;
            one that was asked for by name is used or refused.
        threads : int
            CPU threads; 0 leaves the number to ONNX Runtime.

        Raises
        ------
        ModelError
            The file is no likeness package, or its graph has another signature.
        ProviderError
            The provider is unknown or does not work on this machine.
        """
        wanted = _wanted(provider)
        manifest = read_manifest(path)
        data = Path(path).read_bytes()
        check_contents(data, path)
        session = _session(data, path, wanted, threads)
        _check_signature(session, manifest, path)
        used = _used(session)
        if provider != "auto" and used != provider:
            raise ProviderError(
                f"the compute provider {provider!r} did not start: ONNX Runtime fell back to "
                f"{used!r}",
                "Check the driver and its libraries, or choose the provider 'auto' or 'cpu'.",
            )
        return cls(session, manifest, hashlib.sha256(data).hexdigest(), used)

    @property
    def name(self) -> str:
        """The likeness's name."""
        return self.manifest.name

    @property
    def size(self) -> int:
        """Side of the canonical crop, in pixels."""
        return self.manifest.size

    def infer(self, crop: NDArray[np.float32], strength: float) -> Inference:
        """Carry a crop to the likeness.

        Parameters
        ----------
        crop : (size, size, 3) float32 array
            RGB in the working encoding; values outside 0..1 are clipped, as is the strength.
        strength : float
            0 performer, 1 likeness.

        Returns
        -------
        Inference
            Arrays of the crop's size, float32, 0..1.

        Raises
        ------
        ValueError
            The crop has another shape.
        ModelError
            The runtime failed.
        """
        expected = (self.size, self.size, 3)
        if crop.shape != expected:
            raise ValueError(f"expected a crop of shape {expected}, found {crop.shape}")
        if self._session is None:
            raise ValueError("this likeness is closed")
        image = np.clip(crop, 0.0, 1.0).transpose(2, 0, 1)[None]
        feed = {
            "image": np.ascontiguousarray(image, dtype=np.float32),
            "strength": np.clip([strength], 0.0, 1.0).astype(np.float32),
        }
        try:
            rgb, matte, own = self._session.run(["rgb", "matte", "self"], feed)
        except runtime.ERRORS as error:
            raise ModelError(
                f"the likeness {self.name!r} failed to run on {self.provider!r}: "
                f"{_first_line(error)}",
                "Choose the provider 'cpu', or export the model again.",
            ) from error
        picture = (_picture(each) for each in (rgb, own))
        return Inference(next(picture), np.ascontiguousarray(matte[0, 0]), next(picture))

    def close(self) -> None:
        """Give up the runtime's memory; afterwards `infer` raises ValueError."""
        self._session = None

    def __enter__(self) -> Likeness:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


@dataclass
class Sessions:
    """Warm likenesses, one per file content and provider; closing the pool closes them all."""

    provider: str = "auto"
    threads: int = 0
    _open: dict[str, Likeness] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def open(self, path: str | os.PathLike[str]) -> Likeness:
        """Give the likeness of this content, loaded on first use.

        Raises
        ------
        ModelError, ProviderError
            As `Likeness.open`.
        """
        key = sha256_of(path)
        with self._lock:
            if key not in self._open:
                self._open[key] = Likeness.open(path, self.provider, self.threads)
            return self._open[key]

    def close(self) -> None:
        """Close every likeness of the pool."""
        with self._lock:
            for likeness in self._open.values():
                likeness.close()
            self._open.clear()

    def __enter__(self) -> Sessions:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def _wanted(provider: str) -> list[str]:
    here = available_providers()
    if provider == "auto":
        return [name for name in AUTOMATIC if name in here]
    if provider not in PROVIDERS:
        raise ProviderError(
            f"the compute provider {provider!r} does not exist: expected auto, "
            f"{', '.join(PROVIDERS)}",
            "Choose one of these.",
        )
    if provider not in here:
        raise ProviderError(
            f"the compute provider {provider!r} is not on this machine: found {', '.join(here)}",
            "Install it with: pip install \"semblance[gpu]\", or choose the provider 'auto'.",
        )
    return [provider]


def _session(
    data: bytes, path: str | os.PathLike[str], providers: Iterable[str], threads: int
) -> Any:
    theirs = [PROVIDERS[name] for name in providers]
    if PROVIDERS["cpu"] not in theirs:
        theirs.append(PROVIDERS["cpu"])
    try:
        return runtime.session(data, threads, theirs)
    except runtime.ERRORS as error:
        raise ModelError(
            f"{path} can't be loaded: {_first_line(error)}",
            "Export the model again with: semblance export.",
        ) from error


def _used(session: Any) -> str:
    theirs = session.get_providers()[0]
    return next(name for name, each in PROVIDERS.items() if each == theirs)


def _check_signature(session: Any, manifest: Manifest, path: str | os.PathLike[str]) -> None:
    """Hold the graph's inputs and outputs against those of a native likeness."""
    size = manifest.size
    picture, matte = (3, size, size), (1, size, size)
    for what, found, expected in (
        ("inputs", session.get_inputs(), {"image": picture, "strength": ()}),
        (
            "outputs",
            session.get_outputs(),
            {"rgb": picture, "matte": matte, "self": picture},
        ),
    ):
        names = {each.name for each in found}
        if names != set(expected):
            raise _other_graph(path, f"{what} {_listed(expected)}", _listed(names))
        for each in found:
            shape = expected[each.name]
            right = len(each.shape) == len(shape) + 1 and not isinstance(each.shape[0], int)
            right = right and all(
                not isinstance(there, int) or there == here
                for there, here in zip(each.shape[1:], shape, strict=True)
            )
            if not right or each.type != "tensor(float)":
                raise _other_graph(
                    path,
                    f"{each.name!r} as tensor(float) {['n', *shape]}",
                    f"{each.type} {each.shape}",
                )


def _other_graph(path: str | os.PathLike[str], expected: str, found: str) -> ModelError:
    return ModelError(
        f"{path} has another graph than a likeness: expected {expected}, found {found}",
        "Give a model that semblance export wrote.",
    )


def _listed(names: Iterable[str]) -> str:
    return ", ".join(sorted(names)) or "none"


def _picture(output: NDArray[np.float32]) -> NDArray[np.float32]:
    return np.ascontiguousarray(output[0].transpose(1, 2, 0))


def _first_line(error: Exception) -> str:
    return str(error).strip().splitlines()[0].rstrip(".")
