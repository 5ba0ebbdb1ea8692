"""ONNX Runtime, as everything here opens it: quietly, and without telling its maker.

The one module that imports it. From 1.29 on its builds report what they load over the internet
unless the environment forbids it before the import; what a production renders is its own affair.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from typing import Any, Final

os.environ["ORT_DISABLE_TELEMETRY"] = "1"

import onnxruntime
from onnxruntime.capi import onnxruntime_pybind11_state as _errors

__all__ = ["CPU", "ERRORS", "Bound", "built_in", "first_line", "session"]

CPU: Final = "CPUExecutionProvider"

_MOST_MEMORY: Final = 8 << 30
"""Bytes that all graphs of a process may have at a time on the CPU: one that asks for more fails,
instead of the machine."""

_LONGEST: Final = 300
"""Characters of a message that are shown; it may quote a whole name out of a file."""

_QUIET: Final = 3
"""The log level from which it may write: errors."""

ERRORS: Final = (
    MemoryError,
    UnicodeDecodeError,  # where its message quotes the bytes of a damaged file
    *(
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
    ),
)
"""What it raises; its errors share no public base."""


def built_in() -> frozenset[str]:
    """Return the execution providers that this installation was built with, by its names."""
    return frozenset(onnxruntime.get_available_providers())


def session(
    graph: bytes,
    threads: int = 1,
    providers: Iterable[str | tuple[str, Mapping[str, str]]] = (CPU,),
) -> Any:
    """Open a graph.

    Parameters
    ----------
    graph : bytes
        An ONNX file's contents.
    threads : int
        CPU threads within an operator; 0 leaves the number to ONNX Runtime.
    providers : iterable of str or (str, mapping)
        Execution providers by its own names, best first, alone or with their options. One that
        does not start makes way for the next without a word: ask the session which it has.

    Raises
    ------
    One of `ERRORS`
        The graph is damaged or holds what it can't run, or a provider refuses its options.
    """
    _limit_memory()
    options = onnxruntime.SessionOptions()
    options.add_session_config_entry("session.use_env_allocators", "1")
    options.intra_op_num_threads = threads
    options.log_severity_level = _QUIET
    # Its own fall-back prints to stdout, where a program reads JSON.
    return onnxruntime.InferenceSession(
        graph, options, providers=list(providers), enable_fallback=0
    )


@cache
def _limit_memory() -> None:
    """Give all sessions one arena with an end, once."""
    place = onnxruntime.OrtMemoryInfo(
        "Cpu", onnxruntime.OrtAllocatorType.ORT_ARENA_ALLOCATOR, 0, onnxruntime.OrtMemType.DEFAULT
    )
    arena = onnxruntime.OrtArenaCfg({"max_mem": _MOST_MEMORY})
    onnxruntime.create_and_register_allocator(place, arena)


class Bound:
    """A session whose inputs and outputs have their place on a device, from one run to the next.

    A plain run asks the device for memory every time. It may be used from several threads; each
    has places of its own.

    Parameters
    ----------
    bare : InferenceSession
    device : str
        By ONNX Runtime's name: `cuda`, `cpu`.
    """

    def __init__(self, bare: Any, device: str) -> None:
        self._bare = bare
        self._device = device
        self._places = threading.local()

    def get_inputs(self) -> Any:
        """Return what the session's does."""
        return self._bare.get_inputs()

    def get_outputs(self) -> Any:
        """Return what the session's does."""
        return self._bare.get_outputs()

    def get_providers(self) -> Any:
        """Return what the session's does."""
        return self._bare.get_providers()

    def run(self, names: Sequence[str], feed: Mapping[str, Any]) -> list[Any]:
        """Return the outputs of these names, as the session's `run` does.

        Parameters
        ----------
        names : sequence of str
        feed : mapping of str to array
            All inputs; a new shape or type gets new places.

        Raises
        ------
        One of `ERRORS`
        """
        key = (tuple(names), *((name, each.shape, each.dtype) for name, each in feed.items()))
        if getattr(self._places, "key", None) != key:
            binding = self._bare.io_binding()
            inputs = {
                name: onnxruntime.OrtValue.ortvalue_from_numpy(each, self._device, 0)
                for name, each in feed.items()
            }
            for name, place in inputs.items():
                binding.bind_ortvalue_input(name, place)
            for name in names:
                binding.bind_output(name, self._device)
            self._places.key, self._places.held = key, (binding, inputs)
        binding, inputs = self._places.held
        for name, each in feed.items():
            inputs[name].update_inplace(each)
        self._bare.run_with_iobinding(binding)
        return [each.copy() for each in binding.copy_outputs_to_cpu()]


def first_line(error: Exception) -> str:
    """Return the first line of what it says, without a full stop."""
    line = (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(".")
    return line if len(line) <= _LONGEST else f"{line[:_LONGEST]} …"
