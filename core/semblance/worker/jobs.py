"""The worker's jobs: a bounded queue in which a newer frame of an instance replaces an older one.

Every job that `put` took is answered once: by who took it, or by who is told here that it left the
queue before anybody did.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from typing import Generic, TypeVar

__all__ = ["Job", "Jobs", "Stale"]

Work = TypeVar("Work")


class Stale(Exception):
    """What was made ready for a job is not what the job needs now: it has to be planned again."""


@dataclass(eq=False)
class Job(Generic[Work]):
    """One frame to be rendered.

    Parameters
    ----------
    owner : object
        Who asked, and gets the answer.
    number : int
        The owner's number of it.
    instance : hashable
        The effect's instance, of which only the newest job counts.
    work : object
        What is to be done.
    """

    owner: object
    number: int
    instance: Hashable
    work: Work
    _cancelled: threading.Event = field(default_factory=threading.Event)

    def cancel(self) -> None:
        """Ask it to stop."""
        self._cancelled.set()

    def cancelled(self) -> bool:
        """Return whether it was asked to stop."""
        return self._cancelled.is_set()


class Jobs(Generic[Work]):
    """Jobs in the order in which they came. May be used from several threads.

    Parameters
    ----------
    limit : int
        The most that wait or are in work.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._waiting: deque[Job[Work]] = deque()
        self._working: set[Job[Work]] = set()
        self._changed = threading.Condition()
        self._closed = False

    def __len__(self) -> int:
        """Return how many wait or are in work."""
        with self._changed:
            return len(self._waiting) + len(self._working)

    def knows(self, owner: object, number: int) -> bool:
        """Return whether an owner has an unfinished job of this number."""
        with self._changed:
            return any(
                job.owner is owner and job.number == number
                for job in (*self._waiting, *self._working)
            )

    def put(self, job: Job[Work]) -> tuple[bool, list[Job[Work]]]:
        """Let a job wait for its turn; older ones of its instance are cancelled.

        Returns
        -------
        (bool, list of Job)
            Whether there was room, and what left the queue for it, to be answered.
        """
        with self._changed:
            left = self._remove(lambda other: other.instance == job.instance)
            if self._closed or len(self._waiting) + len(self._working) >= self._limit:
                return False, left
            self._waiting.append(job)
            self._changed.notify()
            return True, left

    def take(self) -> Job[Work] | None:
        """Return the next job when there is one; None once the queue is closed."""
        with self._changed:
            while not self._waiting and not self._closed:
                self._changed.wait()
            if self._closed:
                return None
            job = self._waiting.popleft()
            self._working.add(job)
            return job

    def done(self, job: Job[Work]) -> None:
        """Count a taken job as finished."""
        with self._changed:
            self._working.discard(job)

    def cancel(self, which: Callable[[Job[Work]], bool]) -> list[Job[Work]]:
        """Cancel jobs; those that nobody had taken yet are returned, to be answered."""
        with self._changed:
            return self._remove(which)

    def close(self) -> list[Job[Work]]:
        """Take no more, cancel what is in work, and return what nobody had taken."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
            return self._remove(lambda job: True)

    def _remove(self, which: Callable[[Job[Work]], bool]) -> list[Job[Work]]:
        for job in self._working:
            if which(job):
                job.cancel()
        left = [job for job in self._waiting if which(job)]
        for job in left:
            job.cancel()
            self._waiting.remove(job)
        return left
