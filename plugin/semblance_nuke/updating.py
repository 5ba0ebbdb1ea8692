"""The frames of a node are made: now, over a range, or while the artist works.

What asks Nuke is on the main thread; the worker is waited for on a thread of its own, except where
a render waits for its frame anyway. The newest wish of a node counts: what it superseded is
cancelled.
"""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from contextlib import suppress
from typing import Any, Final, Optional

from semblance.errors import Cancelled, InputError, SemblanceError
from semblance.worker.client import JobFailed, Link, WorkerGone
from semblance.worker.protocol import File, WorkerError
from semblance_nuke.frames import Bench
from semblance_nuke.host import Host
from semblance_nuke.upstream import is_frames
from semblance_panel.programs import environment, program

__all__ = ["Worker", "make_now", "restart_worker", "touch", "update", "update_range"]

_TRIES: Final = 3
_AGAIN_SECONDS: Final = 0.2
_CALM_SECONDS: Final = 0.15
"""How long the knobs must rest before a frame is rendered as the artist works."""


_WORK, _RANGE, _RENDER = 0, 1, 2
"""Lanes: a wish of one never gives up another's frame."""


class Worker:
    """A link to the user's worker that survives the worker's end. One frame at a time."""

    def __init__(self) -> None:
        self._link: Optional[Link] = None
        self._number = 0
        self._lock = threading.Lock()

    def render(self, order: File, seconds: float) -> str:
        """Render a frame, and return what a person should know of it.

        A worker that ends meanwhile is started again, and so often as may help.

        Raises
        ------
        Cancelled
            Somebody cancelled it.
        WorkerError
            The frame can't be made; the message says why.
        """
        for left in reversed(range(_TRIES)):
            try:
                link = self._opened()
                self._number = link.number()
                return link.file(order, seconds, self._number).note
            except JobFailed as error:
                if not (error.retry and left):
                    raise
            except WorkerGone as error:
                self.close()
                if not left:
                    raise WorkerError(
                        f"the worker ended {_TRIES} times while it rendered frame {order.time:g} "
                        f"({error})",
                        "Its log says more: worker-1.log.",
                    ) from error
            except WorkerError:
                self.close()
                raise
            finally:
                self._number = 0
            time.sleep(_AGAIN_SECONDS)
        raise AssertionError("the last try returns or raises")

    def cancel(self) -> None:
        """Have the frame in work given up; from any thread."""
        link, number = self._link, self._number
        if link is not None and number:
            with suppress(WorkerError):
                link.cancel(number)

    def restart(self) -> None:
        """End the worker; the next frame starts another."""
        with suppress(WorkerError, OSError):
            os.kill(self._opened().welcome.pid, signal.SIGTERM)
        self.close()

    def close(self) -> None:
        """Leave the worker."""
        with self._lock:
            if self._link is not None:
                self._link.close()
                self._link = None

    def _opened(self) -> Link:
        with self._lock:
            if self._link is None:
                self._link = Link.open(
                    command=[program(), "serve"], name="semblance_nuke", environ=environment()
                )
            return self._link


_at_once = Worker()
"""Of renders, on the main thread."""


# --- at once: a render waits ------------------------------------------------------------------


def make_now(host: Host, group: Any) -> None:
    """Make the current frame of a node, and return when it shows it.

    Raises
    ------
    SemblanceError
        It can't be made.
    """
    bench = Bench(host, group)
    for other in bench.waits_for():
        make_now(host, other)
    wanted = bench.look()
    if wanted is None:
        raise InputError(str(group.knob("frame_status").value()))
    if bench.is_current():
        return
    for order in bench.orders(wanted, _RENDER):
        _at_once.render(order, bench.seconds())
    bench.tidy()()
    bench.look()
    if not bench.is_current():
        raise WorkerError(
            f"{group.name()}: frame {wanted.frame} changed while it was rendered", "Render again."
        )


def restart_worker() -> None:
    """End the worker, also a hung one; the next frame starts another."""
    _at_once.restart()
    _crew.worker.close()


# --- beside: the artist goes on ---------------------------------------------------------------


class _Crew:
    """One thread that renders; for each node the newest wish alone."""

    def __init__(self) -> None:
        self.worker = Worker()
        self._wishes: dict[str, tuple[Sequence[File], float, Callable[[str], None]]] = {}
        self._now = ""
        self._changed = threading.Condition()
        self._thread: Optional[threading.Thread] = None

    def ask(
        self, node: str, orders: Sequence[File], seconds: float, done: Callable[[str], None]
    ) -> None:
        """Render a node's frame; `done` hears why that failed, or nothing, on the thread."""
        with self._changed:
            self._wishes[node] = (orders, seconds, done)
            if self._now == node:
                self.worker.cancel()
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="semblance", daemon=True)
                self._thread.start()
            self._changed.notify()

    def drop(self, node: str) -> None:
        """Forget what a node asked for."""
        with self._changed:
            self._wishes.pop(node, None)
            if self._now == node:
                self.worker.cancel()

    def _run(self) -> None:
        while True:
            with self._changed:
                while not self._wishes:
                    self._changed.wait()
                self._now = next(iter(self._wishes))
                orders, seconds, done = self._wishes.pop(self._now)
            reason = self._made(orders, seconds)
            with self._changed:
                self._now = ""
            if reason is not None:
                done(reason)

    def _made(self, orders: Sequence[File], seconds: float) -> Optional[str]:
        """Return why frames could not be made, nothing where they are, None where given up."""
        try:
            for order in orders:
                self.worker.render(order, seconds)
        except Cancelled:
            return None
        except SemblanceError as error:
            return str(error)
        except OSError as error:
            return f"the worker can't be reached: {error}"
        return ""


_crew = _Crew()
_calming: dict[str, threading.Timer] = {}
_ranging: set[str] = set()
"""Nodes of which a range is being made: the timeline moves, and nobody works there."""


def touch(host: Host, name: str) -> None:
    """Look at a node again soon, and render its frame if it is to, when its knobs are at rest."""
    waiting = _calming.pop(name, None)
    if waiting is not None:
        waiting.cancel()
    if not host.gui or name in _ranging:
        return

    def rested() -> None:
        _calming.pop(name, None)
        group = host.find(name)
        if group is not None and is_frames(group) and bool(group.knob("update_live").value()):
            update(host, group)

    timer = threading.Timer(_CALM_SECONDS, host.later, (rested,))
    timer.daemon = True
    _calming[name] = timer
    timer.start()


def update(host: Host, group: Any) -> None:
    """Begin to make the current frame of a node, those above it first; return at once."""
    bench = Bench(host, group)
    above = bench.waits_for()
    if above:
        _begin(host, above[0], lambda: _again(host, bench.name))
        bench.say(f"waits for {above[0].name()}")
        return
    _begin(host, group, lambda: None)


def _again(host: Host, name: str) -> None:
    group = host.find(name)
    if group is not None and is_frames(group):
        bench = Bench(host, group)
        if bench.waits_for():  # what is above it failed, and says why
            bench.say(f"{bench.waits_for()[0].name()} above has no current frame")
        else:
            update(host, group)


def _begin(host: Host, group: Any, then: Callable[[], None]) -> None:
    bench = Bench(host, group)
    name, frame = bench.name, host.frame()
    wanted = bench.look()
    if wanted is None or bench.is_current():
        bench.ask(None)
        _crew.drop(name)
        if wanted is not None:
            then()
        return
    if bench.is_asked(wanted):
        return
    try:
        orders = bench.orders(wanted, _WORK)
    except SemblanceError as error:
        bench.fail(frame, str(error))
        bench.look()
        return
    bench.ask(wanted)
    bench.look()

    def finish(reason: str) -> None:
        there = host.find(name)
        if there is None or not is_frames(there):
            return
        bench = Bench(host, there)
        if bench.is_asked(wanted):
            bench.ask(None)
        if reason:
            bench.fail(frame, reason)
        bench.look()
        then()

    tidy = bench.tidy()

    def done(reason: str) -> None:
        host.later(finish, reason)
        tidy()

    _crew.ask(name, orders, bench.seconds(), done)


# --- a range ----------------------------------------------------------------------------------


def update_range(host: Host, group: Any, first: int, last: int) -> None:
    """Make a range of frames, with a progress bar; the timeline follows, as in a render.

    The artist goes on meanwhile; without a screen it returns when all are made.

    Raises
    ------
    SemblanceError
        Without a screen: a frame can't be made.
    """
    name, back = group.fullName(), host.frame()
    frames = range(first, last + 1)
    if not host.gui:
        for frame in frames:
            host.go(frame)
            make_now(host, group)
        host.go(back)
        return
    bar = host.progress("Semblance: update range")
    worker = Worker()
    _ranging.add(name)

    def work() -> None:
        reason = ""
        for number, frame in enumerate(frames):
            if bar.isCancelled():
                break
            bar.setMessage(f"frame {frame}")
            bar.setProgress(100 * number // len(frames))
            reason = _one(host, name, frame, worker)
            if reason:
                break
        worker.close()
        host.later(finish, reason)

    def finish(reason: str) -> None:
        _ranging.discard(name)
        host.go(back)
        there = host.find(name)
        if there is not None and is_frames(there):
            Bench(host, there).look()
        if reason:
            host.tell(f"Semblance: {reason}")

    threading.Thread(target=work, name="semblance range", daemon=True).start()


def _one(host: Host, name: str, frame: int, worker: Worker) -> str:
    """Make one frame, from a thread; return why that failed, or nothing."""

    def prepare() -> tuple[Sequence[File], float, str]:
        group = host.find(name)
        if group is None or not is_frames(group):
            return (), 0.0, f"{name} is gone"
        host.go(frame)
        bench = Bench(host, group)
        for other in bench.waits_for():
            make_now(host, other)
        wanted = bench.look()
        if wanted is None:
            return (), 0.0, str(group.knob("frame_status").value())
        return bench.orders(wanted, _RANGE), bench.seconds(), ""

    def settle() -> Callable[[], None]:
        group = host.find(name)
        if group is None or not is_frames(group):
            return lambda: None
        host.go(frame)
        bench = Bench(host, group)
        bench.look()
        return bench.tidy()

    try:
        orders, seconds, reason = _asked(host, prepare)
        if reason:
            return str(reason)
        for order in orders:
            worker.render(order, seconds)
        _asked(host, settle)()
    except SemblanceError as error:
        return f"frame {frame}: {error}"
    return ""


def _asked(host: Host, call: Callable[[], Any]) -> Any:
    """Have something called on the main thread, wait, and return what it gave or raise."""
    answer: Future[Any] = Future()

    def run() -> None:
        try:
            answer.set_result(call())
        except Exception as error:  # noqa: BLE001 - it is raised where it was asked for
            answer.set_exception(error)

    host.later(run)
    return answer.result()
