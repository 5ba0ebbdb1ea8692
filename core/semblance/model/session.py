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
from typing import Any

import numpy as np
from numpy.typing import NDArray

from semblance import runtime
from semblance.errors import ModelError
from semblance.face import Inference
from semblance.model.contents import check_contents
from semblance.model.description import is_description
from semblance.model.package import Manifest, read_manifest, sha256_of
from semblance.model.providers import Started, available_providers, start

__all__ = ["Likeness", "Sessions", "available_providers"]


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
        The compute provider that is really in use: one of `providers.PROVIDERS`.
    notice : str
        What was asked to compute and does not, and why; empty where all is as it was asked for.
    """

    def __init__(self, started: Started, manifest: Manifest, sha256: str) -> None:
        self._session = started.session
        self.manifest = manifest
        self.sha256 = sha256
        self.provider = started.provider
        self.notice = started.notice

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
            `auto`, `cpu`, `cuda`, `tensorrt` or `tensorrt-fp16`, as `providers.start` takes it:
            where one does not start the next computes, and `notice` says so.
        threads : int
            CPU threads; 0 leaves the number to ONNX Runtime.

        Raises
        ------
        ModelError
            The file is no likeness package and no description of one of another family, or its
            graph has another signature.
        ProviderError
            The provider does not exist.
        """
        try:
            likeness = cls._opened(path, provider, threads)
        except UnicodeDecodeError as error:  # of the runtime, which takes any bytes for a name
            raise ModelError(
                f"{path} holds names that are no text: {error.reason}", "Export the model again."
            ) from error
        if likeness.provider != "cpu":
            likeness.warm_up()
        return likeness

    @classmethod
    def _opened(cls, path: str | os.PathLike[str], provider: str, threads: int) -> Likeness:
        if is_description(path):
            # Not before it is asked for: it is a likeness too, and stands on this module.
            from semblance.model.foreign import open_foreign

            return open_foreign(Path(path), provider, threads)
        manifest = read_manifest(path)
        data = Path(path).read_bytes()
        check_contents(data, path)
        started = start(data, path, provider, threads)
        _check_signature(started.session, manifest, path)
        return cls(started, manifest, hashlib.sha256(data).hexdigest())

    @property
    def name(self) -> str:
        """The likeness's name."""
        return self.manifest.name

    @property
    def size(self) -> int:
        """Side of the crop, in pixels."""
        return self.manifest.size

    @property
    def template(self) -> str:
        """Which square of the face it looks at, by name."""
        return self.manifest.template

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
            The runtime failed, or the graph drew another shape than it declares.
        """
        image = self._taken(crop).transpose(2, 0, 1)[None]
        feed = {
            "image": np.ascontiguousarray(image, dtype=np.float32),
            "strength": np.clip([strength], 0.0, 1.0).astype(np.float32),
        }
        try:
            rgb, matte, own = self._session.run(["rgb", "matte", "self"], feed)
        except runtime.ERRORS as error:
            raise self._failed(error) from error
        for name, made, channels in (("rgb", rgb, 3), ("matte", matte, 1), ("self", own, 3)):
            self._check_drawn(name, made, (1, channels, self.size, self.size))
        picture = (_picture(each) for each in (rgb, own))
        return Inference(next(picture), np.ascontiguousarray(matte[0, 0]), next(picture))

    def warm_up(self) -> None:
        """Draw one face of nothing: a card chooses its kernels, or builds its engine, at the first.

        Raises
        ------
        ModelError
            The runtime failed.
        """
        self.infer(np.zeros((self.size, self.size, 3), np.float32), 1.0)

    def _taken(self, crop: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return a crop as a graph may see it."""
        expected = (self.size, self.size, 3)
        if crop.shape != expected:
            raise ValueError(f"expected a crop of shape {expected}, found {crop.shape}")
        if self._session is None:
            raise ValueError("this likeness is closed")
        return np.clip(crop, 0.0, 1.0)

    def _check_drawn(self, name: str, made: NDArray[Any], shape: tuple[int, ...]) -> None:
        """Refuse what has another shape than the graph declares: it may say what it likes."""
        if made.shape != shape:
            raise ModelError(
                f"the likeness {self.name!r} drew {name!r} of shape {made.shape}, expected {shape}",
                "The file is damaged, or no likeness: export the model again.",
            )

    def _failed(self, error: Exception) -> ModelError:
        return ModelError(
            f"the likeness {self.name!r} failed to run on {self.provider!r}: "
            f"{runtime.first_line(error)}",
            "Choose the provider 'cpu', or export the model again.",
        )

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
