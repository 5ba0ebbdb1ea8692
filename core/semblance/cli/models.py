"""Models that stay open from one command to the next, in a process that runs several."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from semblance.model import Likeness
    from semblance.model.session import Sessions

__all__ = ["Models"]


class Models:
    """The open models of a process, by content and compute provider."""

    def __init__(self) -> None:
        self._pools: dict[str, Sessions] = {}

    def open(self, path: Path, provider: str) -> Likeness:
        """Return a model, loaded on first use.

        Raises
        ------
        ModelError, ProviderError
            As `Likeness.open`.
        """
        from semblance.model.session import Sessions

        return self._pools.setdefault(provider, Sessions(provider)).open(path)
