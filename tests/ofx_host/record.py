"""What the host holds against a plug-in, and the handles it gives out."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any


@dataclass
class Action:
    """One call of the plug-in's entry, on the thread that makes it."""

    name: str
    instance: Any = None
    time: float | None = None
    calls: dict[str, int] = field(default_factory=dict)
    held: list[Any] = field(default_factory=list)


class Record:
    """Every violation, with the action and the thread in which it happened."""

    def __init__(self) -> None:
        self.violations: list[str] = []
        self._local = threading.local()

    @property
    def actions(self) -> list[Action]:
        """Actions under way on this thread, the innermost last."""
        if not hasattr(self._local, "stack"):
            self._local.stack = []
        stack: list[Action] = self._local.stack
        return stack

    @property
    def action(self) -> Action | None:
        return self.actions[-1] if self.actions else None

    @contextmanager
    def doing(self, action: Action) -> Iterator[Action]:
        self.actions.append(action)
        try:
            yield action
        finally:
            self.actions.pop()

    def violation(self, text: str) -> None:
        action = self.action
        self.violations.append(f"{action.name if action else 'outside any action'}: {text}")


class Tokens:
    """Handles that are no addresses: reading through one faults at once, and none comes twice."""

    _BASE = 0x5EB1_0000_0000_0000  # not canonical on any 64-bit machine
    _REMEMBERED = 10_000  # dead handles that are still told from ones that were never given

    def __init__(self, record: Record) -> None:
        self._record = record
        self._lock = threading.Lock()
        self._next = self._BASE
        self._alive: dict[int, Any] = {}
        self._dead: dict[int, str] = {}

    def give(self, thing: Any) -> int:
        with self._lock:
            self._next += 0x40
            self._alive[self._next] = thing
            return self._next

    def kill(self, token: int) -> None:
        with self._lock:
            self._dead[token] = type(self._alive.pop(token)).__name__
            if len(self._dead) > self._REMEMBERED:
                del self._dead[next(iter(self._dead))]

    def find(self, token: int | None, kind: type | tuple[type, ...]) -> Any:
        """Return what a token stands for; None, and a violation, if it is not that kind."""
        thing = self._alive.get(token or 0)
        kinds = kind if isinstance(kind, tuple) else (kind,)
        wanted = " or ".join(each.__name__ for each in kinds)
        if thing is None:
            state = self._dead.get(token or 0)
            what = f"dangling handle of a {state}" if state else f"handle {token} never given"
            self._record.violation(f"{what}, {wanted} expected")
            return None
        if not isinstance(thing, kinds):
            self._record.violation(f"handle of a {type(thing).__name__}, {wanted} expected")
            return None
        return thing
