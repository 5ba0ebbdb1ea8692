"""Compute providers: what computes a graph, with which options, and what happens where it can't.

One that was asked for and does not start on this machine makes way for the next one, down to the
CPU, and one sentence says so: a shot on a machine without its card is late, and not lost.

The options of CUDA and TensorRT are as ONNX Runtime documents them.
"""

from __future__ import annotations

import hashlib
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from semblance import runtime
from semblance.errors import ModelError, ProviderError

__all__ = ["PROVIDERS", "Started", "available_providers", "engine_folder", "options", "start"]

PROVIDERS: Final = {
    "cpu": runtime.CPU,
    "cuda": "CUDAExecutionProvider",
    "tensorrt": "TensorrtExecutionProvider",
    "tensorrt-fp16": "TensorrtExecutionProvider",
}
"""Our names of the compute providers, and ONNX Runtime's."""

_CHAINS: Final = {
    "auto": ("cuda", "cpu"),
    "cpu": ("cpu",),
    "cuda": ("cuda", "cpu"),
    "tensorrt": ("tensorrt", "cuda", "cpu"),
    "tensorrt-fp16": ("tensorrt-fp16", "cuda", "cpu"),
}
"""What is tried, best first. TensorRT builds an engine for minutes: only when asked for."""


@dataclass(frozen=True)
class Started:
    """A graph that runs.

    Parameters
    ----------
    session : InferenceSession or Bound
        `run(names, feed)` and the lists of inputs and outputs.
    provider : str
        What is really in use, by our name.
    notice : str
        What was asked for and is not in use, and why; empty where all is as it was asked for.
    """

    session: Any
    provider: str
    notice: str = ""


def available_providers() -> tuple[str, ...]:
    """Return our names of the providers that this installation of ONNX Runtime was built with."""
    built = runtime.built_in()
    return tuple(name for name, theirs in PROVIDERS.items() if theirs in built)


def start(graph: bytes, path: str | os.PathLike[str], provider: str, threads: int) -> Started:
    """Open a graph on a provider, or on what there is.

    Parameters
    ----------
    graph : bytes
        The ONNX file.
    path : path
        Its name, for messages.
    provider : str
        `auto`, or one of `PROVIDERS`. `auto` takes CUDA where it was installed, else the CPU.
    threads : int
        CPU threads; 0 leaves the number to ONNX Runtime.

    Raises
    ------
    ProviderError
        There is no provider of that name.
    ModelError
        The graph is damaged, or holds what can't be run.
    """
    if provider not in _CHAINS:
        raise ProviderError(
            f"the compute provider {provider!r} does not exist: expected {', '.join(_CHAINS)}",
            "Choose one of these.",
        )
    here, chain = available_providers(), _CHAINS[provider]
    missing: dict[str, str] = {}
    for at, name in enumerate(chain):
        if name not in here:
            if provider != "auto":
                missing[name] = "this installation of ONNX Runtime was built without it"
            continue
        rest = [each for each in chain[at:] if each in here]
        try:
            session = runtime.session(graph, threads, options(rest, hashed(graph)))
        except runtime.ERRORS as error:
            if name == "cpu":
                raise ModelError(
                    f"{path} can't be loaded: {runtime.first_line(error)}",
                    "Export the model again with: semblance export.",
                ) from error
            missing[name] = runtime.first_line(error)
            continue
        used = _used(session, rest)
        for each in rest[: rest.index(used)]:
            missing[each] = "it did not start; check its driver and libraries"
        if used != "cpu":
            session = runtime.Bound(session, "cuda")
        return Started(session, used, _notice(provider, used, missing))
    raise ProviderError(
        "ONNX Runtime was built without its CPU provider", "Install onnxruntime again."
    )


def options(names: list[str], model: str) -> list[tuple[str, Mapping[str, str]]]:
    """Return what ONNX Runtime is given for providers, best first.

    Parameters
    ----------
    names : list of str
        By our names.
    model : str
        The graph's sha256, by which its engines are kept.
    """
    return [(PROVIDERS[name], _options(name, model)) for name in names]


def engine_folder() -> Path:
    """Return the folder in which TensorRT's engines are kept, existing or not.

    ``%LOCALAPPDATA%`` on Windows, else ``$XDG_CACHE_HOME`` (XDG Base Directory Specification)
    or ``~/.cache``; in it ``semblance/engines``.
    """
    if sys.platform == "win32":
        root = os.environ.get("LOCALAPPDATA") or str(Path.home() / "AppData" / "Local")
    else:
        root = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(root) / "semblance" / "engines"


def hashed(graph: bytes) -> str:
    """Return the sha256 of a graph."""
    return hashlib.sha256(graph).hexdigest()


def _options(name: str, model: str) -> Mapping[str, str]:
    if name == "cuda":
        return {
            # The exhaustive search takes seconds at each start, for a gain of a few percent.
            "cudnn_conv_algo_search": "HEURISTIC",
            # A workstation shares its card with the compositor: no doubling of memory in advance.
            "arena_extend_strategy": "kSameAsRequested",
            # Ten bits of mantissa would be seen in a smooth cheek, and differ from the CPU's frame.
            "use_tf32": "0",
        }
    if name.startswith("tensorrt"):
        folder = engine_folder() / model[:32]
        # What lies there is run: it is the user's own.
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        return {
            "trt_fp16_enable": "True" if name == "tensorrt-fp16" else "False",
            "trt_engine_cache_enable": "True",
            "trt_engine_cache_path": str(folder),
            "trt_timing_cache_enable": "True",
            "trt_timing_cache_path": str(folder),
        }
    return {}


def _used(session: Any, names: list[str]) -> str:
    theirs = session.get_providers()[0]
    return next(name for name in names if PROVIDERS[name] == theirs)


def _notice(asked: str, used: str, missing: Mapping[str, str]) -> str:
    if not missing:
        return ""
    reasons = "; ".join(f"{name}: {reason}" for name, reason in missing.items())
    wanted = next(iter(missing)) if asked == "auto" else asked
    return f"asked to compute on {wanted!r}, computing on {used!r} ({reasons})."
