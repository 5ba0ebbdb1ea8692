"""What a model file may hold: looked at before a runtime opens it.

A model comes from anyone. It may not bring operators of its own, read other files, or ask for more
memory than a likeness needs: each is refused here, from the file's bytes alone. What a graph only
computes while it runs is held back by the limit on memory in `semblance.runtime`.

References
----------
The messages: onnx/onnx.proto.
"""

from __future__ import annotations

import io
import math
import os
import struct
from collections.abc import Sequence
from typing import Final

from semblance.errors import ModelError
from semblance.model.wire import BYTES, fields, numbers, text

__all__ = ["check_contents"]

# Field numbers, by message.
_GRAPH, _OPSET, _TRAINING, _FUNCTIONS = 7, 8, 20, 25  # ModelProto
_OPSET_DOMAIN = 1  # OperatorSetIdProto
_NODE, _INITIALIZER, _INPUT, _OUTPUT, _VALUE_INFO, _SPARSE = 1, 5, 11, 12, 13, 15  # GraphProto
_NODE_INPUT, _NODE_OUTPUT, _NODE_TYPE, _ATTRIBUTE, _NODE_DOMAIN = 1, 2, 4, 5, 7  # NodeProto
_TENSOR, _SUBGRAPH, _INTS, _TENSORS, _SUBGRAPHS = 5, 6, 8, 10, 11  # AttributeProto
_SPARSE_TENSOR, _SPARSE_TENSORS = 22, 23
_SPARSE_VALUES, _SPARSE_INDICES = 1, 2  # SparseTensorProto
_DIMS, _DATA_TYPE, _INT64_DATA, _TENSOR_NAME, _RAW = 1, 2, 7, 8, 9  # TensorProto
_EXTERNAL, _LOCATION = 13, 14
_TYPE, _TENSOR_TYPE, _SHAPE, _DIM, _DIM_VALUE = 2, 1, 2, 1, 1  # ValueInfoProto and what it holds

_INT64: Final = 7
_PLAIN_DOMAINS: Final = frozenset({"", "ai.onnx", "ai.onnx.ml"})
"""ONNX's own; exporters declare the last one whether they use it or not."""

_MAKING: Final = frozenset(
    {"ConstantOfShape", "Expand", "Tile", "Range", "Resize", "Upsample", "Pad", "OneHot",
     "RandomNormal", "RandomUniform"}
)  # fmt: skip
"""Operators whose result may be larger than what they are given, by numbers that they are given."""

_DEEPEST: Final = 16
"""Graphs inside each other, at most."""

_MOST_NODES: Final = 200_000
_LARGEST: Final = 1 << 28
"""Numbers in one tensor that a graph declares or asks for, at most: 1 GiB of floats."""

_MOST_DIMS: Final = 64

_SHORT: Final = 16
"""Numbers of a tensor that may be a shape."""

_AGAIN: Final = "Export the model again with: semblance export."


def check_contents(data: bytes, path: str | os.PathLike[str]) -> None:
    """Refuse a model that needs more than its own file, the standard operators and some memory.

    Parameters
    ----------
    data : bytes
        The whole file.
    path : path
        Its name, for messages.

    Raises
    ------
    ModelError
        It is no ONNX model, uses or defines operators of another domain, keeps weights in other
        files, or declares tensors larger than a likeness has.
    """
    try:
        _Look(data).model()
    except _Refused as refused:
        raise ModelError(f"{path} {refused}", _AGAIN) from None
    except (ValueError, EOFError, RecursionError) as error:
        raise ModelError(f"{path} is no ONNX model: {error}", _AGAIN) from error


class _Refused(Exception):
    """What a model does, and what was expected."""


class _Look:
    """Walks a model's message."""

    def __init__(self, data: bytes) -> None:
        self._file = io.BytesIO(data)
        self._size = len(data)
        self._nodes = 0

    def model(self) -> None:
        for field in fields(self._file, self._size):
            end = self._file.tell() + field.length
            if field.number == _OPSET and field.kind == BYTES:
                self._domain(text(self._file, end, _OPSET_DOMAIN))
            elif field.number == _GRAPH and field.kind == BYTES:
                self._graph(end, 1)
            elif field.number in (_FUNCTIONS, _TRAINING):
                raise _Refused("defines operators of its own: expected those of ONNX alone")

    def _domain(self, domain: str) -> None:
        if domain not in _PLAIN_DOMAINS:
            raise _Refused(f"uses the operators of {domain[:60]!r}: expected those of ONNX alone")

    def _graph(self, end: int, depth: int) -> None:
        if depth > _DEEPEST:
            raise _Refused(f"has graphs inside each other, more than {_DEEPEST} deep")
        known: dict[str, Sequence[int]] = {}
        nodes: list[tuple[int, int]] = []
        for field in fields(self._file, end):
            begin = self._file.tell()
            after = begin + field.length
            if field.kind != BYTES:
                continue
            if field.number == _NODE:
                nodes.append((begin, after))
            elif field.number == _INITIALIZER:
                name, values = self._tensor(after)
                known[name] = values
            elif field.number == _SPARSE:
                self._sparse(after)
            elif field.number in (_INPUT, _OUTPUT, _VALUE_INFO):
                self._declared(after)
        # A shape may be stored behind the node that uses it.
        for begin, after in nodes:
            self._file.seek(begin)
            self._node(after, depth, known)

    def _node(self, end: int, depth: int, known: dict[str, Sequence[int]]) -> None:
        self._nodes += 1
        if self._nodes > _MOST_NODES:
            raise _Refused(f"has more than {_MOST_NODES} operators")
        inputs: list[str] = []
        outputs: list[str] = []
        kind = ""
        asked: list[Sequence[int]] = []
        for field in fields(self._file, end):
            after = self._file.tell() + field.length
            if field.kind == BYTES:
                if field.number in (_NODE_INPUT, _NODE_OUTPUT):
                    names = inputs if field.number == _NODE_INPUT else outputs
                    names.append(self._file.read(field.length).decode("utf-8"))
                elif field.number == _NODE_TYPE:
                    kind = self._file.read(field.length).decode("utf-8")
                elif field.number == _NODE_DOMAIN:
                    self._domain(self._file.read(field.length).decode("utf-8"))
                elif field.number == _ATTRIBUTE:
                    asked.append(self._attribute(after, depth))
        if kind == "Constant" and outputs and asked:
            known[outputs[0]] = asked[0]
        if kind in _MAKING:
            for values in (*asked, *(known.get(name, ()) for name in inputs)):
                self._count([value for value in values if value > 0], f"its operator {kind}")

    def _attribute(self, end: int, depth: int) -> Sequence[int]:
        """Look at an attribute, and return the whole numbers that it holds."""
        found: list[int] = []
        for field in fields(self._file, end):
            after = self._file.tell() + field.length
            if field.number == _INTS:
                found += numbers(self._file, field, _SHORT)
            elif field.kind == BYTES and field.number in (_TENSOR, _TENSORS):
                found += self._tensor(after)[1]
            elif field.kind == BYTES and field.number in (_SUBGRAPH, _SUBGRAPHS):
                self._graph(after, depth + 1)
            elif field.kind == BYTES and field.number in (_SPARSE_TENSOR, _SPARSE_TENSORS):
                self._sparse(after)
        return found[:_SHORT]

    def _sparse(self, end: int) -> None:
        dims: list[int] = []
        for field in fields(self._file, end):
            after = self._file.tell() + field.length
            if field.kind == BYTES and field.number in (_SPARSE_VALUES, _SPARSE_INDICES):
                self._tensor(after)
            elif field.number == 3:  # dims
                dims += numbers(self._file, field, _MOST_DIMS)
        self._count(dims, "a sparse tensor")

    def _tensor(self, end: int) -> tuple[str, Sequence[int]]:
        """Look at a tensor; return its name, and its numbers where it may be a shape."""
        begin = self._file.tell()
        dims: list[int] = []
        values: list[int] = []
        raw = b""
        name, kind = "", 0
        for field in fields(self._file, end):
            if field.number == _EXTERNAL or (field.number == _LOCATION and field.value):
                raise _Refused("keeps weights in other files: expected all of them in one file")
            if field.number == _DIMS:
                dims += numbers(self._file, field, _MOST_DIMS)
            elif field.number == _DATA_TYPE:
                kind = field.value
            elif field.number == _TENSOR_NAME and field.kind == BYTES:
                name = self._file.read(field.length).decode("utf-8")
            elif field.number == _INT64_DATA and field.length <= 10 * _SHORT:
                values += numbers(self._file, field, _SHORT)
            elif field.number == _RAW and field.length <= 8 * _SHORT:
                raw = self._file.read(field.length)
        self._few(dims, name)
        # Two numbers to a byte are the most that any type packs.
        if math.prod(dims) > 2 * (end - begin) or any(dim < 0 for dim in dims):
            raise _Refused(
                f"has a tensor {name[:60]!r} of {_times(dims)} numbers, which it does not hold"
            )
        if kind == _INT64 and raw and len(raw) % 8 == 0:
            values = list(struct.unpack(f"<{len(raw) // 8}q", raw))
        return name, values if kind == _INT64 else ()

    def _declared(self, end: int) -> None:
        """Look at the shape of a value; what is not a plain tensor has none."""
        name = ""
        for field in fields(self._file, end):
            after = self._file.tell() + field.length
            if field.kind == BYTES and field.number == 1:
                name = self._file.read(field.length).decode("utf-8")
            elif field.kind == BYTES and field.number == _TYPE:
                dims = [dim for shape in self._inside(after) for dim in shape]
                self._count(dims, f"its value {name[:60]!r}")

    def _inside(self, end: int) -> list[list[int]]:
        """Return the known sizes of a TypeProto's tensor."""
        shapes: list[list[int]] = []
        for field in fields(self._file, end):
            after = self._file.tell() + field.length
            if field.kind == BYTES and field.number == _TENSOR_TYPE:
                for inner in fields(self._file, after):
                    behind = self._file.tell() + inner.length
                    if inner.kind == BYTES and inner.number == _SHAPE:
                        shapes.append(self._sizes(behind))
        return shapes

    def _sizes(self, end: int) -> list[int]:
        sizes: list[int] = []
        for field in fields(self._file, end):
            after = self._file.tell() + field.length
            if field.kind == BYTES and field.number == _DIM:
                sizes += [
                    inner.value
                    for inner in fields(self._file, after)
                    if inner.number == _DIM_VALUE and inner.kind != BYTES
                ]
        return sizes

    def _few(self, dims: Sequence[int], name: str) -> None:
        if len(dims) >= _MOST_DIMS:
            raise _Refused(f"has a tensor {name[:60]!r} of {_MOST_DIMS} dimensions or more")

    def _count(self, dims: Sequence[int], what: str) -> None:
        self._few(dims, what)
        if math.prod(dims) > _LARGEST:
            raise _Refused(
                f"asks for {_times(dims)} numbers at once in {what}, more than a likeness needs "
                f"({_LARGEST})"
            )


def _times(dims: Sequence[int]) -> str:
    return " × ".join(map(str, dims[:8])) + (" …" if len(dims) > 8 else "")
