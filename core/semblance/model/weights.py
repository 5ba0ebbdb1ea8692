"""One tensor out of an ONNX file's weights, read without the onnx package."""

from __future__ import annotations

import io
import math
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from semblance.errors import ModelError
from semblance.model.wire import BYTES, fields, numbers

__all__ = ["last_matrix"]

# Field numbers, by message, as in onnx/onnx.proto.
_GRAPH, _INITIALIZER = 7, 5  # ModelProto, GraphProto
_DIMS, _TYPE, _FLOATS, _RAW = 1, 2, 4, 9  # TensorProto

_DTYPES: Final[dict[int, np.dtype[Any]]] = {1: np.dtype("<f4"), 10: np.dtype("<f2")}
"""Types of TensorProto that a matrix of weights may have: float and float16."""


def last_matrix(graph: bytes, shape: tuple[int, int], path: object) -> NDArray[np.float64]:
    """Return the last of a graph's stored tensors.

    Parameters
    ----------
    graph : bytes
        The ONNX file.
    shape : (int, int)
        Which it must have.
    path : object
        Its name, for messages.

    Raises
    ------
    ModelError
        The last tensor has another shape or type, or the file is damaged.
    """
    file = io.BytesIO(graph)
    try:
        begin, end = _last_initializer(file, len(graph))
        dims, values = _tensor(file, begin, end)
    except (EOFError, ValueError) as error:
        raise ModelError(f"{path} is no ONNX model: {error}", "Fetch the file again.") from error
    if dims != shape or values.size != math.prod(shape):
        raise ModelError(
            f"{path} does not end with the matrix that an embedding is multiplied with: expected "
            f"{shape[0]} × {shape[1]} floats as its last stored tensor, found "
            f"{' × '.join(map(str, dims)) or 'none'}",
            "Give the graph as it was published: in one that was optimised the order is another.",
        )
    return values.reshape(shape)


def _last_initializer(file: io.BytesIO, end: int) -> tuple[int, int]:
    """Return where the last stored tensor begins and ends; nowhere where there is none."""
    last = (0, 0)
    for field in fields(file, end):
        if field.number == _GRAPH and field.kind == BYTES:
            for part in fields(file, file.tell() + field.length):
                if part.number == _INITIALIZER and part.kind == BYTES:
                    last = (file.tell(), file.tell() + part.length)
    return last


def _tensor(file: io.BytesIO, begin: int, end: int) -> tuple[tuple[int, ...], NDArray[np.float64]]:
    """Return the shape and values of a TensorProto; no values where its type is no float."""
    dims: list[int] = []
    kind, raw, floats = 0, b"", b""
    file.seek(begin)
    for field in fields(file, end):
        if field.number == _DIMS:
            dims += numbers(file, field)
        elif field.number == _TYPE:
            kind = field.value
        elif field.number == _RAW:
            raw = file.read(field.length)
        elif field.number == _FLOATS:
            floats += file.read(field.length)
    dtype = _DTYPES.get(kind)
    if dtype is None:
        return tuple(dims), np.zeros(0)
    values = np.frombuffer(raw, dtype) if raw else np.frombuffer(floats, "<f4")
    return tuple(dims), values.astype(np.float64)
