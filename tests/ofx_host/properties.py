"""Property sets that hold a plug-in to the standard."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from .abi import Status
from .record import Record
from .standard import OPTIONAL_READS, Rule

_EMPTY = {"p": None, "s": "", "d": 0.0, "i": 0}


class PropertySet:
    """Properties of one object of the host.

    Parameters
    ----------
    what : str
        Named in violations.
    record : Record
    rules : mapping of str to Rule
        The standard's properties of such an object.
    values : mapping, optional
        What the host puts in, a plain value or a sequence.
    absent : iterable of str
        Names of the standard that this host leaves out.
    fixed : iterable of str
        Names that could be written on the descriptor only.
    """

    def __init__(
        self,
        what: str,
        record: Record,
        rules: Mapping[str, Rule],
        values: Mapping[str, Any] | None = None,
        *,
        absent: Iterable[str] = (),
        fixed: Iterable[str] = (),
    ) -> None:
        self.what, self._record = what, record
        self._absent, self._fixed = frozenset(absent), frozenset(fixed)
        self.rules = {name: rule for name, rule in rules.items() if name not in self._absent}
        self.values: dict[str, list[Any]] = {
            name: [_EMPTY[rule.type]] * rule.dimension for name, rule in self.rules.items()
        }
        self.written: dict[str, list[Any]] = {}
        for name, value in (values or {}).items():
            if name in self.rules:
                self.put(name, value)

    def put(self, name: str, value: Any) -> None:
        """Set from the host's side."""
        several = isinstance(value, (tuple, list))
        self.values[name] = list(value) if several else [value]

    def __getitem__(self, name: str) -> Any:
        values = self.values[name]
        return values[0] if self.rules[name].dimension == 1 else tuple(values)

    def get(self, name: str, default: Any = None) -> Any:
        return self[name] if name in self.values else default

    def _rule(self, name: str, kind: str, verb: str) -> Rule | None:
        rule = self.rules.get(name)
        if rule is None:
            if name not in self._absent and name not in OPTIONAL_READS:
                self._record.violation(f"{verb} of {name}, which a {self.what} does not have")
            return None
        if kind and rule.type != kind:
            self._record.violation(
                f"{verb} of {name} of a {self.what} as type {kind}; it is of type {rule.type}"
            )
            return None
        return rule

    def plugin_sets(self, name: str, kind: str, index: int, value: Any) -> Status:
        rule = self._rule(name, kind, "write")
        if rule is None:
            return Status.UNKNOWN
        if not rule.writable or name in self._fixed:
            self._record.violation(f"write of {name}, read-only on a {self.what}")
            return Status.VALUE
        values = self.values[name]
        limit = rule.dimension or len(values) + 1
        if not 0 <= index < limit:
            self._record.violation(f"write of {name} at index {index}, of {limit}")
            return Status.BAD_INDEX
        if kind == "s":
            try:
                value = value.decode() if value is not None else None
            except UnicodeDecodeError:
                value = None
            if value is None:
                self._record.violation(f"{name} was set to NULL or to no UTF-8")
                return Status.VALUE
        if index == len(values):
            values.append(value)
        else:
            values[index] = value
        self.written[name] = list(values)
        return Status.OK

    def plugin_gets(self, name: str, kind: str, index: int) -> tuple[Status, Any]:
        rule = self._rule(name, kind, "read")
        if rule is None:
            return Status.UNKNOWN, None
        values = self.values[name]
        if not 0 <= index < len(values):
            self._record.violation(f"read of {name} at index {index}, of {len(values)}")
            return Status.BAD_INDEX, None
        return Status.OK, values[index]

    def dimension(self, name: str) -> tuple[Status, int]:
        if self._rule(name, "", "dimension") is None:
            return Status.UNKNOWN, 0
        return Status.OK, len(self.values[name])

    def reset(self, name: str) -> Status:
        rule = self._rule(name, "", "reset")
        if rule is None:
            return Status.UNKNOWN
        if not rule.writable or name in self._fixed:
            self._record.violation(f"reset of {name}, read-only on a {self.what}")
            return Status.VALUE
        self.values[name] = [_EMPTY[rule.type]] * rule.dimension
        return Status.OK
