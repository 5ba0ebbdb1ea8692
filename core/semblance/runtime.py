"""ONNX Runtime, as everything here opens it: quietly, and without telling its maker.

The one module that imports it. From 1.29 on its builds report what they load over the internet
unless the environment forbids it before the import; what a production renders is its own affair.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import Any, Final

os.environ["ORT_DISABLE_TELEMETRY"] = "1"

import onnxruntime
from onnxruntime.capi import onnxruntime_pybind11_state as _errors

__all__ = ["CPU", "ERRORS", "built_in", "session"]

CPU: Final = "CPUExecutionProvider"

_QUIET: Final = 3
"""The log level from which it may write: errors."""

ERRORS: Final = tuple(
    getattr(_errors, name)
    for name in (
        "EPFail",
        "EngineError",
        "Fail",
        "InvalidArgument",
        "InvalidGraph",
        "InvalidProtobuf",
        "ModelLoaded",
        "NoModel",
        "NoSuchFile",
        "NotImplemented",
        "RuntimeException",
    )
)
"""What it raises; its errors share no public base."""


def built_in() -> frozenset[str]:
    """Return the execution providers that this installation was built with, by its names."""
    return frozenset(onnxruntime.get_available_providers())


def session(graph: bytes, threads: int = 1, providers: Iterable[str] = (CPU,)) -> Any:
    """Open a graph.

    Parameters
    ----------
    graph : bytes
        An ONNX file's contents.
    threads : int
        CPU threads within an operator; 0 leaves the number to ONNX Runtime.
    providers : iterable of str
        Execution providers by its own names, best first.

    Raises
    ------
    One of `ERRORS`
        The graph is damaged or holds what it can't run.
    """
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = _QUIET
    return onnxruntime.InferenceSession(graph, options, providers=list(providers))
