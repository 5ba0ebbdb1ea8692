"""What is kept in memory, within a bound: plates, results and tiles of one shot together."""

from __future__ import annotations

import math
import threading
from collections import OrderedDict
from collections.abc import Hashable, Iterable
from dataclasses import dataclass
from typing import Any

__all__ = ["Pool"]


@dataclass(frozen=True)
class _Kept:
    frame: int
    value: Any
    size: int


class Pool:
    """Values by their keys, each of a frame. May be used from several threads.

    What is wanted now goes last: first the longest unused values of all other frames are let go,
    then those of the wanted frames from the last one on. The first wanted frame always stays, so
    that it can be shown even where it alone is beyond the bound.

    Parameters
    ----------
    limit : int
        Bytes.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._lock = threading.Lock()
        self._kept: OrderedDict[Hashable, _Kept] = OrderedDict()
        self._rank: dict[int, int] = {}
        self._size = 0
        self._frames: dict[int, int] = {}  # bytes of each

    @property
    def size(self) -> int:
        """Bytes that are kept."""
        with self._lock:
            return self._size

    def wanted(self, frames: Iterable[int]) -> None:
        """Say which frames count from now on, the most wanted first."""
        with self._lock:
            self._rank = {}
            for frame in frames:
                self._rank.setdefault(frame, len(self._rank))

    def get(self, key: Hashable) -> Any:
        """Return a value and count it as used, or None."""
        with self._lock:
            kept = self._kept.get(key)
            if kept is None:
                return None
            self._kept.move_to_end(key)
            return kept.value

    def put(self, key: Hashable, value: Any, size: int, frame: int) -> bool:
        """Keep a value in place of what the key had.

        Returns
        -------
        bool
            False where there is no room for it beside what is wanted more.
        """
        with self._lock:
            self._drop(key)
            if not self._make_room(size, self._rank.get(frame)):
                return False
            self._kept[key] = _Kept(frame, value, size)
            self._size += size
            self._frames[frame] = self._frames.get(frame, 0) + size
            return True

    def has_room(self, size: int, frame: int) -> bool:
        """Return whether `put` would keep so many bytes of a frame."""
        with self._lock:
            return self._fits(size, self._rank.get(frame))

    def drop(self, key: Hashable) -> None:
        """Let a value go, if it is there."""
        with self._lock:
            self._drop(key)

    def clear(self) -> None:
        """Let everything go."""
        with self._lock:
            self._kept.clear()
            self._frames.clear()
            self._size = 0

    def _fits(self, size: int, rank: int | None) -> bool:
        if rank == 0 or self._size + size <= self._limit:
            return True
        gain = sum(
            held
            for frame, held in self._frames.items()
            if self._is_below(self._rank.get(frame), rank)
        )
        return self._size + size - gain <= self._limit

    @staticmethod
    def _is_below(other: int | None, rank: int | None) -> bool:
        return other is None or (rank is not None and other > rank)

    def _make_room(self, size: int, rank: int | None) -> bool:
        if not self._fits(size, rank):
            return False
        if self._size + size <= self._limit:
            return True
        # What nobody wants first, in the order of its last use, then what is wanted last.
        below = [
            (self._rank.get(kept.frame), key)
            for key, kept in self._kept.items()
            if self._is_below(self._rank.get(kept.frame), rank)
        ]
        below.sort(key=lambda one: -math.inf if one[0] is None else -one[0])
        for _, key in below:
            if self._size + size <= self._limit:
                break
            self._drop(key)
        return True

    def _drop(self, key: Hashable) -> None:
        kept = self._kept.pop(key, None)
        if kept is not None:
            self._size -= kept.size
            self._frames[kept.frame] -= kept.size
            if not self._frames[kept.frame]:
                del self._frames[kept.frame]
