"""What the panel shows, without Qt: the value of every knob, undo, presets.

A knob holds a plain value, or a curve where a preset brought one. Whatever is held is accepted by
the knob's own check, so that `Model.knobs` never fails. A knob that moves from frame to frame,
by a preset's curve or by the host's, is shown and not moved: its curve is edited where it lives.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Union

from semblance.errors import KnobError, OutputError
from semblance.knobs import Knob, Knobs, Value, declared
from semblance.preset import animate, load_preset

__all__ = ["Change", "Held", "Model", "shipped"]

Held = Union[Value, Mapping[str, Value]]
"""A value, or ``{frame: value}`` as a preset holds it."""

Listener = Callable[["Change"], None]

_UNDONE_AT_MOST: Final = 200


@dataclass(frozen=True)
class Change:
    """What listeners are told.

    Parameters
    ----------
    names : tuple of str
        Knobs whose value or whose way of moving has changed; empty where only undo has.
    by_host : bool
        Whether the host did it, which then need not be told.
    """

    names: tuple[str, ...]
    by_host: bool = False


@dataclass(frozen=True)
class _Step:
    """One entry of the undo stack: what was held, and what is held since."""

    text: str
    before: Mapping[str, Held]
    after: Mapping[str, Held]


class Model:
    """The values of all knobs at one frame, with their history.

    Parameters
    ----------
    values : mapping, optional
        ``{name: value or curve}``; what is not named has its default.

    Raises
    ------
    KnobError
        A name is unknown or a value is not accepted.
    """

    def __init__(self, values: Mapping[str, Held] | None = None) -> None:
        self._knobs = {knob.name: knob for knob in declared()}
        self._held = self._checked(values or {})
        self._frame = 0
        self._now = self._evaluated()
        self._by_host: set[str] = set()
        self._done: list[_Step] = []
        self._undone: list[_Step] = []
        self._gesture: object = None
        self._listeners: list[Listener] = []

    # --- reading ---------------------------------------------------------------------------

    @property
    def frame(self) -> int:
        """The frame at which curves are shown; setting it tells the listeners."""
        return self._frame

    @frame.setter
    def frame(self, frame: int) -> None:
        before = self._now.to_flat()
        self._frame = frame
        self._now = self._evaluated()
        after = self._now.to_flat()
        moved = tuple(name for name in after if after[name] != before[name])
        if moved:
            self._tell(Change(moved, by_host=True))

    def knob(self, name: str) -> Knob:
        """Return the declaration of a knob.

        Raises
        ------
        KnobError
            There is none of this name.
        """
        if name not in self._knobs:
            Knobs.from_flat({name: None})  # says which one may be meant
        return self._knobs[name]

    def knobs(self) -> Knobs:
        """Return the knobs at the frame."""
        return self._now

    def value(self, name: str) -> Value:
        """Return the value of a knob at the frame."""
        self.knob(name)
        return self._now.to_flat()[name]

    def held(self, name: str) -> Held:
        """Return what a knob holds: its value, or its curve."""
        self.knob(name)
        return self._held[name]

    def preset(self) -> dict[str, Held]:
        """Return what is not at its default, in declared order: what `save` writes."""
        return {
            name: held for name, held in self._held.items() if held != self._knobs[name].default
        }

    def is_default(self, name: str) -> bool:
        """Return whether a knob holds its default and nothing moves it."""
        return self.held(name) == self._knobs[name].default and not self.is_animated(name)

    def is_animated(self, name: str) -> bool:
        """Return whether a curve moves the knob, so that it is shown and not moved here."""
        return name in self._by_host or isinstance(self.held(name), Mapping)

    def is_host_animated(self, name: str) -> bool:
        """Return whether the curve is the host's."""
        return name in self._by_host

    # --- changing --------------------------------------------------------------------------

    def set(self, name: str, value: Any, gesture: object = None) -> None:
        """Give a knob a value.

        Parameters
        ----------
        name : str
        value : bool, int, float or str
        gesture : object
            What moves the knob: one drag, one run of the wheel. Changes of one gesture that follow
            each other are undone together; None stands alone.

        Raises
        ------
        KnobError
            The name is unknown, the value is not accepted, or a curve moves the knob.
        """
        knob = self.knob(name)
        self._refuse_animated(name)
        self._do(knob.label, {name: knob.check(value)}, gesture)

    def reset(self, names: Iterable[str], gesture: object = None) -> None:
        """Give knobs their defaults, as one step; those that the host animates stay."""
        own = [self.knob(name) for name in names if name not in self._by_host]
        text = own[0].label if len(own) == 1 else f"{len(own)} knobs"
        self._do(f"reset {text}", {knob.name: knob.default for knob in own}, gesture)

    def flatten(self, name: str) -> None:
        """Replace a preset's curve by its value at the frame."""
        if isinstance(self.held(name), Mapping):
            self._do(f"remove animation of {self.knob(name).label}", {name: self.value(name)})

    def apply(self, values: Mapping[str, Held], text: str = "preset") -> None:
        """Give the named knobs values or curves, as one step; the others stay.

        Knobs that the host animates stay too.

        Raises
        ------
        KnobError
            A name is unknown or a value is not accepted; then nothing has changed.
        """
        checked = self._checked(values)
        self._do(text, {name: checked[name] for name in values if name not in self._by_host})

    def follow(self, name: str, value: Any, *, animated: bool = False) -> None:
        """Take a value that the host says; it is no step of this history.

        Parameters
        ----------
        name : str
        value : bool, int, float or str
            At the host's current frame.
        animated : bool
            Whether a curve of the host moves the knob: then steps about it are forgotten, because
            undoing one would break the curve.

        Raises
        ------
        KnobError
            The name is unknown or the value is not accepted.
        """
        held = self.knob(name).check(value)
        if animated == (name in self._by_host) and held == self._held[name]:
            return
        if animated:
            self._by_host.add(name)
            self._done = _without(self._done, name)
            self._undone = _without(self._undone, name)
        else:
            self._by_host.discard(name)
        self._gesture = None
        self._hold({name: held}, by_host=True)

    # --- history ---------------------------------------------------------------------------

    @property
    def undo_text(self) -> str:
        """What `undo` would take back; empty where there is nothing."""
        return self._done[-1].text if self._done else ""

    @property
    def redo_text(self) -> str:
        """What `redo` would do again; empty where there is nothing."""
        return self._undone[-1].text if self._undone else ""

    def undo(self) -> None:
        """Take the last step back; nothing happens where there is none."""
        self._gesture = None
        if self._done:
            step = self._done.pop()
            self._undone.append(step)
            self._hold(step.before)

    def redo(self) -> None:
        """Do the last undone step again; nothing happens where there is none."""
        self._gesture = None
        if self._undone:
            step = self._undone.pop()
            self._done.append(step)
            self._hold(step.after)

    # --- presets ---------------------------------------------------------------------------

    def load(self, path: str | os.PathLike[str]) -> None:
        """Take all knobs from a preset file, as one step: what it does not name is reset.

        The result is that of ``semblance apply --preset``.

        Raises
        ------
        KnobError
            The file can't be read, or holds what the knobs do not accept; nothing has changed.
        """
        defaults = {name: knob.default for name, knob in self._knobs.items()}
        self.apply({**defaults, **load_preset(path)}, f"load {Path(path).name}")

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write a preset file, whole or not at all; ``semblance apply --preset`` reads it.

        Raises
        ------
        OutputError
            The file can't be written there.
        """
        part = Path(f"{os.fspath(path)}.part")
        text = json.dumps(self.preset(), indent=2, ensure_ascii=False) + "\n"
        try:
            part.write_text(text, encoding="utf-8")
            os.replace(part, path)
        except OSError as error:
            raise OutputError(
                f"the preset {os.fspath(path)} can't be written ({error.strerror})",
                "Save it in a folder that you may write to.",
            ) from error

    # --- listeners -------------------------------------------------------------------------

    def listen(self, listener: Listener) -> Callable[[], None]:
        """Call `listener` after every change; calling what is returned ends that."""
        self._listeners.append(listener)
        return lambda: self._listeners.remove(listener)

    # --- inside ----------------------------------------------------------------------------

    def _checked(self, values: Mapping[str, Held]) -> dict[str, Held]:
        """Return what every knob then holds, in declared order."""
        animate(values)  # refuses unknown names, and values and curves that are not accepted
        held: dict[str, Held] = {}
        for name, knob in self._knobs.items():
            value = values.get(name, knob.default)
            if isinstance(value, Mapping):
                held[name] = {str(frame): knob.check(key) for frame, key in value.items()}
            else:
                held[name] = knob.check(value)
        return held

    def _evaluated(self) -> Knobs:
        return animate(self._held)(self._frame)

    def _refuse_animated(self, name: str) -> None:
        if self.is_animated(name):
            where = "in the host" if name in self._by_host else "by the preset"
            raise KnobError(
                f"knob {name!r} is animated {where}",
                "Edit its curve there, or remove the animation.",
            )

    def _do(self, text: str, after: Mapping[str, Held], gesture: object = None) -> None:
        """Hold something else, as a step or as more of the gesture's last one."""
        after = {name: held for name, held in after.items() if held != self._held[name]}
        if not after:
            return
        before = {name: self._held[name] for name in after}
        if gesture is not None and gesture == self._gesture and self._done:
            last = self._done.pop()
            step = _Step(last.text, {**before, **last.before}, {**last.after, **after})
        else:
            step = _Step(text, before, after)
        self._undone.clear()
        self._gesture = None
        if step.before != step.after:  # a gesture may lead back to where it began
            self._done.append(step)
            del self._done[:-_UNDONE_AT_MOST]
            self._gesture = gesture
        self._hold(after)

    def _hold(self, held: Mapping[str, Held], *, by_host: bool = False) -> None:
        self._held.update(held)
        self._now = self._evaluated()
        self._tell(Change(tuple(held), by_host))

    def _tell(self, change: Change) -> None:
        for listener in tuple(self._listeners):
            listener(change)


def shipped() -> dict[str, Path]:
    """Return the presets that come with the panel: files by the names to show.

    They name only what they are about; `Model.apply` leaves the other knobs as they are.
    """
    folder = Path(__file__).with_name("presets")
    return {path.stem.replace("_", " "): path for path in sorted(folder.glob("*.json"))}


def _without(steps: list[_Step], name: str) -> list[_Step]:
    """Return the steps with one knob taken out of them."""
    kept = [
        _Step(
            step.text,
            {key: held for key, held in step.before.items() if key != name},
            {key: held for key, held in step.after.items() if key != name},
        )
        for step in steps
    ]
    return [step for step in kept if step.after]
