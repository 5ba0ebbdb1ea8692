"""Undo over whole documents, and a writer that never keeps the window waiting. No Qt."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Final, Generic, TypeVar

from semblance.errors import SemblanceError

__all__ = ["History", "Writer"]

Document = TypeVar("Document")

_UNDONE_AT_MOST: Final = 200


class History(Generic[Document]):
    """A frozen document, what it was before, and what was undone.

    Parameters
    ----------
    first : document
        What there is at the beginning.
    """

    def __init__(self, first: Document) -> None:
        self._now = first
        self._done: list[Document] = []
        self._undone: list[Document] = []
        self._gesture: object = None

    @property
    def now(self) -> Document:
        """The document."""
        return self._now

    @property
    def can_undo(self) -> bool:
        """Whether there is a step to take back."""
        return bool(self._done)

    @property
    def can_redo(self) -> bool:
        """Whether there is an undone step."""
        return bool(self._undone)

    def do(self, document: Document, gesture: object = None) -> None:
        """Go on with another document.

        Parameters
        ----------
        document : document
        gesture : object
            What changes it: one drag. Steps of one gesture that follow each other are undone
            together; None stands alone.
        """
        if gesture is None or gesture is not self._gesture:
            self._done.append(self._now)
            del self._done[:-_UNDONE_AT_MOST]
        self._gesture = gesture
        self._undone.clear()
        self._now = document

    def undo(self) -> bool:
        """Take the last step back; return whether there was one."""
        return self._step(self._done, self._undone)

    def redo(self) -> bool:
        """Do the last undone step again; return whether there was one."""
        return self._step(self._undone, self._done)

    def _step(self, taken: list[Document], given: list[Document]) -> bool:
        self._gesture = None
        if not taken:
            return False
        given.append(self._now)
        self._now = taken.pop()
        return True


class Writer:
    """Does one thing after another in a thread; of those that wait only the newest is done.

    Parameters
    ----------
    done : callable
        Called in that thread after each thing, with why it failed, or an empty text.
    """

    def __init__(self, done: Callable[[str], None]) -> None:
        self._told = done
        self._next: Callable[[], None] | None = None
        self._busy = False
        self._ended = False
        self._state = threading.Condition()
        self._thread: threading.Thread | None = None

    def put(self, work: Callable[[], None]) -> None:
        """Have something done; it takes the place of what has not begun yet."""
        with self._state:
            if self._ended:
                return
            self._next = work
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="semblance-writer")
                self._thread.daemon = True
                self._thread.start()
            self._state.notify_all()

    def flush(self, seconds: float = 10.0) -> bool:
        """Wait until all is done; return whether it is."""
        with self._state:
            return self._state.wait_for(lambda: self._next is None and not self._busy, seconds)

    def close(self) -> None:
        """Finish what waits and end the thread; nothing is taken any more."""
        with self._state:
            self._ended = True
            self._state.notify_all()
        if self._thread is not None:
            self._thread.join(10.0)

    def _run(self) -> None:
        while True:
            with self._state:
                self._state.wait_for(lambda: self._next is not None or self._ended)
                work, self._next = self._next, None
                if work is None:
                    return
                self._busy = True
            why = ""
            try:
                work()
            except SemblanceError as error:
                why = str(error)
            finally:
                self._told(why)
                with self._state:
                    self._busy = False
                    self._state.notify_all()
