"""Embeddings: a face as a direction in 512 dimensions, by a recogniser that the user brings."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from semblance import runtime
from semblance.errors import ModelError
from semblance.model.families import VECTOR, ports

__all__ = ["CROP", "TEMPLATE", "Converter", "Embedder", "average", "between", "unit"]

CROP: Final = 112
"""Side of the picture that a recogniser looks at, in pixels."""

TEMPLATE: Final = "arcface_112_v2"
"""Which square of the face that picture shows."""

Vector = NDArray[np.float64]


class Embedder:
    """A recogniser of the ArcFace kind: a picture in, an embedding out.

    Parameters
    ----------
    graph : bytes
        The ONNX file.
    path : object
        Its name, for messages.

    Raises
    ------
    ModelError
        It can't be loaded, or takes and gives something else.
    """

    def __init__(self, graph: bytes, path: object) -> None:
        self._path = path
        self._session = _opened(graph, path)
        inputs, outputs = ports(self._session.get_inputs()), ports(self._session.get_outputs())
        if len(inputs) != 1 or not inputs[0].fits(3, CROP, CROP) or not outputs[0].fits(VECTOR):
            raise ModelError(
                f"{path} is no recogniser of the ArcFace kind: expected one input of "
                f"1 × 3 × {CROP} × {CROP} and an output of 1 × {VECTOR}, found "
                f"{', '.join(map(str, (*inputs, *outputs)))}",
                "Give a recogniser as an ONNX file, such as w600k_r50.onnx.",
            )
        self._input = inputs[0]

    def embed(self, crop: NDArray[np.float32]) -> Vector:
        """Return the embedding of a face.

        Parameters
        ----------
        crop : (112, 112, 3) float32 array
            RGB, display-referred, 0..1, in the square of `TEMPLATE`.

        Returns
        -------
        (512,) float64 array
            As the recogniser gives it, of any length.

        Raises
        ------
        ModelError
            The recogniser failed, or gave no direction.
        """
        scaled = (np.clip(crop, 0.0, 1.0) - 0.5) * 2.0
        picture = scaled.transpose(2, 0, 1)[None].astype(_dtype(self._input.type))
        found = _run(self._session, {self._input.name: picture}, self._path)
        vector = np.asarray(found[0], np.float64).reshape(-1)
        if not np.isfinite(vector).all() or not vector.any():
            raise ModelError(
                f"the recogniser {self._path} gave no embedding but {vector[:3]} …",
                "Give another recogniser.",
            )
        return vector


class Converter:
    """A small graph that carries a recogniser's embeddings to those that another one would give.

    Parameters
    ----------
    graph : bytes
        The ONNX file.
    path : object
        Its name, for messages.

    Raises
    ------
    ModelError
        It can't be loaded, or takes and gives something else.
    """

    def __init__(self, graph: bytes, path: object) -> None:
        self._path = path
        self._session = _opened(graph, path)
        inputs, outputs = ports(self._session.get_inputs()), ports(self._session.get_outputs())
        if len(inputs) != 1 or not inputs[0].fits(VECTOR) or not outputs[0].fits(VECTOR):
            raise ModelError(
                f"{path} converts no embeddings: expected one input and an output of "
                f"1 × {VECTOR}, found {', '.join(map(str, (*inputs, *outputs)))}",
                "Give the converter that was made for this family and this recogniser.",
            )
        self._input = inputs[0]

    def convert(self, vector: Vector) -> Vector:
        """Return the other recogniser's embedding, (512,).

        Raises
        ------
        ModelError
            The converter failed.
        """
        feed = {self._input.name: vector[None].astype(_dtype(self._input.type))}
        return np.asarray(_run(self._session, feed, self._path)[0], np.float64).reshape(-1)


def average(vectors: Sequence[Vector]) -> Vector:
    """Return the mean of embeddings: of their directions, each counting alike, and their lengths.

    Raises
    ------
    ModelError
        They point away from each other, so that no direction is left.
    """
    direction = np.mean([unit(each) for each in vectors], axis=0)
    if float(np.linalg.norm(direction)) < 0.1:
        raise ModelError(
            "the pictures show faces that have nothing in common",
            "Give pictures of one person.",
        )
    return unit(direction) * float(np.mean([np.linalg.norm(each) for each in vectors]))


def between(start: Vector, end: Vector, amount: float) -> Vector:
    """Return the embedding on the way from one to another.

    It goes along the great circle, at an even pace, so that equal steps of the amount turn it by
    equal angles; its length goes evenly too.

    Parameters
    ----------
    start, end : (512,) array
        As a recogniser gives them; not opposite to each other.
    amount : float
        0 at the start, 1 at the end.

    References
    ----------
    Shoemake, "Animating rotation with quaternion curves", SIGGRAPH 1985, section 3.3.
    """
    one, other = unit(start), unit(end)
    length = (1.0 - amount) * np.linalg.norm(start) + amount * np.linalg.norm(end)
    across = other - (one @ other) * one
    angle = np.arctan2(np.linalg.norm(across), one @ other)
    if angle < 1e-6:
        return np.asarray(length * one)
    turned = np.cos(amount * angle) * one + np.sin(amount * angle) * unit(across)
    return np.asarray(length * turned)


def unit(vector: Vector) -> Vector:
    """Return a vector of length 1."""
    return np.asarray(vector / max(float(np.linalg.norm(vector)), 1e-12), np.float64)


def _opened(graph: bytes, path: object) -> Any:
    try:
        return runtime.session(graph)
    except runtime.ERRORS as error:
        raise ModelError(
            f"{path} can't be loaded: {runtime.first_line(error)}", "Fetch the file again."
        ) from error


def _run(session: Any, feed: dict[str, Any], path: object) -> Any:
    try:
        return session.run(None, feed)
    except runtime.ERRORS as error:
        raise ModelError(
            f"{path} failed to run: {runtime.first_line(error)}", "Give another file."
        ) from error


def _dtype(of: str) -> Any:
    return np.float16 if of == "tensor(float16)" else np.float32
