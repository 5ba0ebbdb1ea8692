"""Likeness models: the one-file package and the session that runs it.

Names of the session are resolved on first use, so that reading a manifest loads no runtime.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from semblance.model.description import read_manifest
from semblance.model.package import Manifest, sha256_of

if TYPE_CHECKING:
    from semblance.model.session import Likeness, Sessions, available_providers

__all__ = [
    "Likeness",
    "Manifest",
    "Sessions",
    "available_providers",
    "read_manifest",
    "sha256_of",
]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module("semblance.model.session"), name)


def __dir__() -> list[str]:
    return list(__all__)
