"""The stage cache: what a stage made, by the key of all that it was made from.

A key is the hash of the upstream key and the stage's own knobs (`knobs.stage_key`), so nothing here
ever goes stale; it only falls out, least recently used first, when the memory is full.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import fields, is_dataclass
from typing import Any, TypeVar, cast

import numpy as np

__all__ = ["StageCache"]

Made = TypeVar("Made")


class StageCache:
    """Results of stages, within a bound of memory. May be used from several threads.

    Parameters
    ----------
    megabytes : float
        The most that is kept, in MiB; 0 keeps nothing.
    """

    def __init__(self, megabytes: float) -> None:
        self.limit = int(megabytes * 2**20)
        self._bytes = 0
        self._kept: OrderedDict[str, tuple[Any, int]] = OrderedDict()
        self._making: dict[str, Future[Any]] = {}
        self._lock = threading.Lock()

    @property
    def bytes(self) -> int:
        """What is kept now, in bytes."""
        return self._bytes

    def get(self, key: str, make: Callable[[], Made]) -> Made:
        """Return the result of a key, made now if it is not here.

        Two threads that ask for one key at once get one result: the second waits for the first,
        and makes it itself where the first fails or was cancelled.

        Parameters
        ----------
        key : str
            Names everything that the result depends on.
        make : callable
            Makes it; what it raises is raised here, and nothing is kept.
        """
        while True:
            with self._lock:
                if key in self._kept:
                    self._kept.move_to_end(key)
                    return cast(Made, self._kept[key][0])
                waiting = self._making.get(key)
                if waiting is None:
                    mine: Future[Any] = Future()
                    self._making[key] = mine
                    break
            if waiting.exception() is None:
                return cast(Made, waiting.result())
        try:
            made = make()
        except BaseException as error:
            with self._lock:
                del self._making[key]
            mine.set_exception(error)
            raise
        with self._lock:
            del self._making[key]
            self._keep(key, made)
        mine.set_result(made)
        return made

    def _keep(self, key: str, made: Any) -> None:
        size = _size(made)
        if size > self.limit:
            return
        self._kept[key] = (made, size)
        self._bytes += size
        while self._bytes > self.limit:
            _, (_, freed) = self._kept.popitem(last=False)
            self._bytes -= freed


def _size(made: Any) -> int:
    """Return the bytes of all arrays in a result."""
    if isinstance(made, np.ndarray):
        return made.nbytes
    if is_dataclass(made):
        return sum(_size(getattr(made, item.name)) for item in fields(made))
    if isinstance(made, (tuple, list)):
        return sum(map(_size, made))
    return 64
