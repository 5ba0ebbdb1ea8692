from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from semblance.cache import StageCache

KIB = 1.0 / 1024.0


def block(kib: int) -> np.ndarray:
    return np.zeros(kib * 256, np.float32)


@given(st.lists(st.tuples(st.integers(0, 9), st.integers(1, 40)), max_size=40))
def test_it_never_holds_more_than_its_bound(asked: list[tuple[int, int]]) -> None:
    cache = StageCache(64 * KIB)
    for key, size in asked:
        assert cache.get(f"{key} {size}", lambda size=size: block(size)).nbytes == size * 1024
        assert cache.bytes <= 64 * 1024


def test_what_was_asked_for_last_stays_longest() -> None:
    cache, made = StageCache(3 * KIB), []

    def ask(key: str) -> None:
        cache.get(key, lambda: (made.append(key), block(1))[1])

    for key in "abcabad":  # d drives out c, which was asked for least recently
        ask(key)
    for key in "abd":
        ask(key)
    assert made == ["a", "b", "c", "d"]
    ask("c")
    assert made == ["a", "b", "c", "d", "c"]


def test_arrays_inside_results_count() -> None:
    @dataclass(frozen=True)
    class Stage:
        pixels: np.ndarray
        more: tuple[np.ndarray, ...]

    cache = StageCache(1.0)
    cache.get("stage", lambda: Stage(block(2), (block(1), block(3))))
    assert cache.bytes >= 6 * 1024


def test_a_result_larger_than_the_cache_is_given_and_not_kept() -> None:
    cache = StageCache(0.0)
    assert cache.get("a", lambda: block(1)).size == 256
    assert cache.bytes == 0


def test_threads_that_ask_for_one_key_at_once_get_one_result() -> None:
    cache, made, barrier = StageCache(1.0), [], threading.Barrier(8)
    begun = threading.Event()

    def make() -> np.ndarray:
        made.append(1)
        begun.wait(0.05)
        return block(1)

    def ask() -> np.ndarray:
        barrier.wait()
        return cache.get("a", make)

    with ThreadPoolExecutor(8) as pool:
        results = [each.result() for each in [pool.submit(ask) for _ in range(8)]]
    assert len(made) == 1
    assert all(result is results[0] for result in results)


def test_who_waits_for_a_failure_makes_it_himself() -> None:
    """One viewer's cancelled frame is another's wanted one."""
    cache, begun, go = StageCache(1.0), threading.Event(), threading.Event()

    def cancelled() -> np.ndarray:
        begun.set()
        go.wait(5.0)
        raise RuntimeError("cancelled")

    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(cache.get, "a", cancelled)
        begun.wait(5.0)
        second = pool.submit(cache.get, "a", lambda: block(1))
        go.set()
        with pytest.raises(RuntimeError):
            first.result()
        assert second.result().size == 256
