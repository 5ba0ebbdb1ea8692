"""The worker: one process for all of a user's hosts, which renders what they ask for.

A thread for each connection reads its messages and answers what needs no pixels at once; frames
wait in a bounded queue for the threads that compute. What is wrong with a message ends its
connection, what is wrong with a frame is that frame's answer, and neither concerns anybody else.
"""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from semblance import memory
from semblance.errors import Cancelled as CancelledError
from semblance.errors import SemblanceError
from semblance.knobs import Knobs, digest
from semblance.worker import protocol
from semblance.worker.jobs import Job, Jobs, Stale
from semblance.worker.journal import Journal
from semblance.worker.protocol import Message, ProtocolError, WorkerError
from semblance.worker.transport import (
    Channel,
    Listener,
    Lock,
    SharedMemory,
    Stream,
    connect,
    prepare,
)

if TYPE_CHECKING:
    from semblance.worker.files import FileRenderer as Renderer

__all__ = ["Settings", "serve"]

Given = TypeVar("Given")

_JOBS = 64
_CONNECTIONS = 64
_SLOTS = 16  # of one connection
_HELLO_SECONDS = 10.0
_OTHER_SECONDS = 10.0
"""How long a worker that holds the lock may take until its socket answers."""

_PARTING_SECONDS = 5.0
"""How long a frame in work may take to notice that the worker ends."""

_BROKEN_SECONDS = 1.0
"""How long a worker that can't compute answers why before it makes room for another."""

_LONGEST_TEXT = 4000
_PARTING = protocol.Failed("The worker is ending. Render again, which starts another.", 1)
_MB = 1 << 20


@dataclass(frozen=True)
class Settings:
    """How a worker runs.

    Parameters
    ----------
    idle : float
        Seconds without a message after which it ends.
    cache_mb : float
        Memory for what the stages of the frame path made, in MiB.
    memory_mb : float
        Memory for that and for all slots, in MiB.
    threads : int
        Frames that are rendered at the same time.
    provider : str
        What computes: `auto`, `cpu`, `cuda` or `tensorrt`.
    trust : tuple of Path
        Keys that may release, beside the user's own.
    production : str or None
        The production in work.
    """

    idle: float = 600.0
    cache_mb: float = 1024.0
    memory_mb: float = 4096.0
    threads: int = 1
    provider: str = "auto"
    trust: tuple[Path, ...] = ()
    production: str | None = None


def serve(settings: Settings, directory: Path, log: Path | None) -> bool:
    """Be the worker of a runtime directory until it is idle or told to end.

    Parameters
    ----------
    settings : Settings
    directory : Path
        Made where it is not there.
    log : Path or None
        The log's file; None writes to stderr.

    Returns
    -------
    bool
        False where another worker was there already, which answers.

    Raises
    ------
    WorkerError
        The directory is not private, or another worker holds it and does not answer.
    """
    prepare(directory)
    lock = Lock(directory)
    try:
        if not _take(lock, directory):
            return False
        journal = Journal(log)
        try:
            ended = _Server(settings, directory, journal).run()
        finally:
            journal.close()
        if not ended:  # a thread computes on regardless, and Python would wait for it
            os._exit(0)
    finally:
        lock.close()
    return True


def _take(lock: Lock, directory: Path) -> bool:
    """Take the lock, or see that the worker that has it answers."""
    deadline = time.monotonic() + _OTHER_SECONDS
    while not lock.take():
        with suppress(OSError):
            connect(directory).close()
            return False
        if time.monotonic() > deadline:
            raise WorkerError(
                f"another worker holds {directory} and does not answer",
                f"End it, or remove {directory} when none is running.",
            )
        time.sleep(0.02)
    return True


class _Server:
    """What all threads of the worker share."""

    def __init__(self, settings: Settings, directory: Path, journal: Journal) -> None:
        self.settings = settings
        self.journal = journal
        self.version = version("semblance")
        self.digest = digest()
        self.jobs: Jobs[_Frame] = Jobs(_JOBS)
        self.room = _Room(int((settings.memory_mb - settings.cache_mb) * _MB))
        self.renderer: Future[Renderer] = Future()
        self._directory = directory
        self._connections: set[_Connection] = set()
        self._lock = threading.Lock()
        self._last = time.monotonic()
        self._ending = ""
        self._warming = threading.Lock()

    def run(self) -> bool:
        """Serve until there is a reason to end; return whether every thread came to its end."""
        listener = Listener(self._directory)
        told = self._directory / "worker-1.json"
        workers = [
            threading.Thread(target=self._work, daemon=True) for _ in range(self.settings.threads)
        ]
        try:
            told.write_text(f'{{"pid": {os.getpid()}, "version": "{self.version}"}}\n', "utf-8")
            with _on_signals(lambda name: self._end(name, listener)):
                self.journal.write("start", pid=os.getpid(), version=self.version)
                for each in (
                    threading.Thread(target=self._load, args=(listener,), daemon=True),
                    *workers,
                ):
                    each.start()
                self._accept(listener)
        finally:
            # Who connects from here on starts the next worker.
            listener.close()
            told.unlink(missing_ok=True)
        ended = self._part(workers)
        self.journal.write("stop", reason=self._ending)
        return ended

    def _accept(self, listener: Listener) -> None:
        while not self._ending:
            rest = self.settings.idle - (time.monotonic() - self._last)
            if rest <= 0.0 and len(self.jobs) == 0:
                self._ending = "idle"
                return
            stream = listener.accept(rest if rest > 0.0 else 1.0)
            if stream is not None:
                self.touch()
                self._begin(stream)

    def _begin(self, stream: Stream) -> None:
        connection = _Connection(self, Channel(stream))
        with self._lock:
            reason = ""
            if len(self._connections) >= _CONNECTIONS:
                reason = f"the worker has {_CONNECTIONS} connections already"
            try:
                if not reason:
                    threading.Thread(target=connection.run, daemon=True).start()
                    self._connections.add(connection)
            except RuntimeError as error:  # no memory for a thread
                reason = f"the worker can't serve one more connection: {error}"
        if reason:
            connection.channel.refuse(reason)
            connection.channel.close()

    def _end(self, reason: str, listener: Listener) -> None:
        self._ending = self._ending or reason
        listener.wake()

    def _part(self, workers: list[threading.Thread]) -> bool:
        """Answer what waits, and give what is in work a moment; return whether it ended."""
        for job in self.jobs.close():
            job.work.connection.answer(job.number, _PARTING)
        with self._lock:
            connections = list(self._connections)
        deadline = time.monotonic() + _PARTING_SECONDS
        for each in workers:
            each.join(max(deadline - time.monotonic(), 0.0))
        for connection in connections:
            connection.channel.shut()
        return not any(each.is_alive() for each in workers)

    def _load(self, listener: Listener) -> None:
        """Load what computes, while the first client says who it is."""
        try:
            memory.keep_freed()
            from semblance.worker.files import FileRenderer as Renderer

            settings = self.settings
            renderer = Renderer(
                cache_mb=settings.cache_mb,
                provider=settings.provider,
                trust=settings.trust,
                production=settings.production,
            )
        except Exception as error:  # noqa: BLE001 - every frame says it, and then the worker ends
            self.journal.write("broken", error)
            what = f"{type(error).__name__}: {error}"
            reason = WorkerError(
                f"the worker can't load what it computes with ({what})",
                "Run: semblance doctor. The next frame starts another worker.",
            )
            self.renderer.set_exception(reason)
            time.sleep(_BROKEN_SECONDS)
            self._end("broken", listener)
        else:
            self.renderer.set_result(renderer)

    def _work(self) -> None:
        while self._work_once():
            pass  # a frame's slot is let go with the call that rendered it

    def _work_once(self) -> bool:
        job = self.jobs.take()
        if job is None:
            return False
        answer = self._answer(job)
        self.jobs.done(job)
        self.touch()
        job.work.connection.answer(job.number, answer)
        return True

    def _answer(self, job: Job[_Frame]) -> Message:
        frame = job.work
        facts: dict[str, Any] = {"client": frame.connection.name, "job": job.number}

        def render() -> Message:
            if job.cancelled():
                raise CancelledError("cancelled before it began")
            renderer = self.renderer.result()
            if isinstance(frame.asked, protocol.File):
                made = renderer.render_file(frame.asked, frame.knobs, job.cancelled)
            else:
                made = renderer.render(frame.asked, frame.knobs, frame.view, job.cancelled)
            total = 1000.0 * (time.monotonic() - frame.arrived)
            times = {"total": total, "pixels": made.pixels_ms, "pipeline": made.pipeline_ms}
            facts["ms"] = {name: round(each, 2) for name, each in {**times, **made.stages}.items()}
            self.journal.write("done", frame=frame.asked.time, **facts)
            return protocol.Done(made.changed, made.note, made.pipeline_ms, total, made.pixels_ms)

        answer = self.settled(render, frame=frame.asked.time, **facts)
        ended = self._ending and isinstance(answer, protocol.Cancelled)
        return _PARTING if ended else answer

    def settled(self, make: Callable[[], Given], **facts: Any) -> Given | Message:
        """Return what `make` gives, or the answer that says why there is none.

        Raises
        ------
        ProtocolError
            What was asked is none of the protocol's.
        """
        try:
            return make()
        except ProtocolError:
            raise
        except CancelledError:
            self.journal.write("cancelled", **facts)
            return protocol.Cancelled()
        except Stale:
            self.journal.write("stale", **facts)
            return protocol.Failed(
                "The model, the track, the release or the pixels changed meanwhile. Render again.",
                1,
            )
        except SemblanceError as error:
            self.journal.write("failed", **facts, reason=str(error))
            return protocol.Failed(str(error)[:_LONGEST_TEXT], 0)
        except Exception as error:  # noqa: BLE001 - whatever it is, it is this frame's alone
            self.journal.write("failed", error, **facts)
            return self._unexpected(error)

    def _unexpected(self, error: Exception) -> Message:
        # OpenCV and ONNX Runtime have errors of their own for it.
        words = str(error).lower()
        if isinstance(error, MemoryError) or "insufficient memory" in words or "bad_alloc" in words:
            if self.renderer.done() and self.renderer.exception() is None:
                self.renderer.result().relieve()
            return protocol.Failed(
                "The worker has not enough memory for this frame. Close other programs, or give "
                "semblance serve a smaller --cache-mb.",
                1,
            )
        what = f"{type(error).__name__}: {error}"[: _LONGEST_TEXT // 2]
        return protocol.Failed(
            f"The worker met an error of its own: {what}. Its log holds more; report it.", 0
        )

    def plan(self, asked: protocol.Plan) -> Message:
        """Answer a plan, and open the model meanwhile that its frame will need."""
        renderer = self.renderer.result()
        knobs = protocol.decode_knobs(asked.knobs)
        answer = renderer.plan(asked, knobs)
        if answer.slot_bytes > self.room.most:
            raise WorkerError(
                f"this frame needs {answer.slot_bytes / _MB:.0f} MB of shared memory, the worker "
                f"has {self.room.most / _MB:.0f} for all hosts",
                "Give semblance serve a larger --memory-mb, or a smaller --cache-mb.",
            )
        if not renderer.is_open(knobs) and self._warming.acquire(blocking=False):
            try:
                threading.Thread(target=self._warm, args=(renderer, knobs), daemon=True).start()
            except RuntimeError:  # no memory for a thread; the frame will open the model itself
                self._warming.release()
        return answer

    def _warm(self, renderer: Renderer, knobs: Knobs) -> None:
        try:
            # Whatever is wrong with the model, its frame will say.
            with suppress(Exception):
                renderer.open(knobs)
        finally:
            self._warming.release()

    def submit(self, frame: _Frame, number: int) -> Message | None:
        """Let a frame wait for its turn; an answer at once where there is no room for it."""
        job = Job(frame.connection, number, frame.instance, frame)
        taken, left = self.jobs.put(job)
        for other in left:
            other.work.connection.answer(other.number, protocol.Cancelled())
        if taken:
            return None
        return protocol.Failed(f"The worker has {_JOBS} frames waiting already. Try again.", 1)

    def cancel(self, which: Callable[[Job[_Frame]], bool]) -> None:
        """Cancel jobs, and answer those that nobody had begun."""
        for job in self.jobs.cancel(which):
            job.work.connection.answer(job.number, protocol.Cancelled())

    def touch(self) -> None:
        """Note that somebody needs the worker."""
        self._last = time.monotonic()

    def gone(self, connection: _Connection) -> None:
        """Forget a connection and its jobs, which nobody waits for."""
        self.jobs.cancel(lambda job: job.owner is connection)
        with self._lock:
            self._connections.discard(connection)


@dataclass(frozen=True)
class _Frame:
    """One render, as it waits."""

    connection: _Connection
    instance: tuple[int, int]
    asked: protocol.Render | protocol.File
    knobs: Knobs
    view: memoryview  # of the slot; of nothing where files are rendered
    arrived: float


class _Room:
    """Memory that may be used, in bytes."""

    def __init__(self, most: int) -> None:
        self.most = most
        self._free = most
        self._lock = threading.Lock()

    def take(self, size: int) -> bool:
        """Return whether there is so much, and count it as used."""
        with self._lock:
            there = size <= self._free
            self._free -= size if there else 0
            return there

    def give(self, size: int) -> None:
        """Count it as free again."""
        with self._lock:
            self._free += size


class _Connection:
    """One client: its thread reads what it says."""

    def __init__(self, server: _Server, channel: Channel) -> None:
        self.channel = channel
        self.name = ""
        self._server = server
        self._process = 0
        self._slots: dict[int, SharedMemory] = {}

    def run(self) -> None:
        """Answer a client until it leaves or says what the protocol does not know."""
        journal = self._server.journal
        try:
            self._greet()
            journal.write("connect", client=self.name, pid=self._process)
            while True:
                message, job, descriptors = self.channel.receive()
                self._server.touch()
                self._take(message, job, descriptors)
        except ProtocolError as error:
            journal.write("refused", client=self.name, pid=self.channel.pid, reason=str(error))
            self.channel.refuse(str(error)[:_LONGEST_TEXT])
        except (EOFError, TimeoutError) as error:
            journal.write("disconnect", client=self.name, reason=str(error))
        except Exception as error:  # noqa: BLE001 - whatever it is, it is this client's alone
            journal.write("broken", error, client=self.name)
        finally:
            self._server.gone(self)
            self.channel.close()
            for slot in list(self._slots):
                self._drop(slot)

    def answer(self, job: int, message: Message) -> None:
        """Send an answer; a client that does not read loses its connection."""
        try:
            self.channel.send(message, job, seconds=0.0)
        except (EOFError, TimeoutError):
            self.channel.shut()

    def _greet(self) -> None:
        hello, _, descriptors = self.channel.receive(time.monotonic() + _HELLO_SECONDS)
        _close(descriptors)
        if not isinstance(hello, protocol.Hello):
            raise ProtocolError(f"expected Hello first, found {type(hello).__name__}")
        server = self._server
        if (hello.protocol, hello.digest) != (protocol.MAJOR, server.digest):
            raise ProtocolError(
                f"{hello.client or 'the plug-in'} speaks protocol {hello.protocol} with knobs "
                f"{hello.digest}, Semblance {server.version} speaks protocol {protocol.MAJOR} with "
                f"knobs {server.digest}. Install the plug-in again with this Semblance (semblance "
                "install-host) and start the host anew, or update Semblance to the plug-in's "
                "version and end the running worker."
            )
        self.name, self._process = hello.client[:200], hello.pid
        self.answer(
            0,
            protocol.Welcome(
                protocol.MAJOR, server.digest, server.version, os.getpid(), server.room.most
            ),
        )

    def _take(self, message: Message, job: int, descriptors: list[int]) -> None:
        """Do what a message asks."""
        arrived = time.monotonic()
        server = self._server
        answer: Message | None = None
        if isinstance(message, (protocol.Render, protocol.File)):
            asked = message
            answer = server.settled(
                lambda: self._submit(asked, job, arrived), client=self.name, job=job
            )
        elif isinstance(message, protocol.Plan):
            plan = message
            answer = server.settled(
                lambda: server.plan(plan), client=self.name, job=job, frame=plan.time
            )
        elif isinstance(message, protocol.Slot):
            answer = self._slot(message, descriptors)
        elif isinstance(message, protocol.Cancel):
            server.cancel(lambda other: other.owner is self and other.number == job)
        elif isinstance(message, protocol.Forget):
            instance = (self._process, message.instance)
            server.cancel(lambda other: other.instance == instance)
        elif isinstance(message, protocol.Ping):
            answer = protocol.Pong(message.token)
        elif isinstance(message, protocol.Error):
            raise EOFError(f"the client said: {message.reason}")
        else:
            raise ProtocolError(f"{type(message).__name__} is not for the worker")
        if answer is not None:
            self.answer(job, answer)

    def _slot(self, message: protocol.Slot, descriptors: list[int]) -> Message:
        room = self._server.room
        self._drop(message.slot)
        if len(self._slots) >= _SLOTS:
            _close(descriptors)
            raise ProtocolError(f"a connection has {_SLOTS} slots at most")
        if not room.take(message.size):
            _close(descriptors)
            return protocol.Failed(
                f"A slot of {message.size} bytes is more than the {room.most} that the worker has "
                "for all hosts. Close other hosts, or give semblance serve a larger --memory-mb.",
                1,
            )
        try:
            memory = SharedMemory.attach(descriptors, message.name, message.size)
        except (OSError, ValueError) as error:
            room.give(message.size)
            if isinstance(error, ProtocolError):
                raise
            return protocol.Failed(f"The slot's memory can't be mapped: {error}. Try again.", 1)
        self._slots[message.slot] = memory
        return protocol.SlotReady(message.slot)

    def _drop(self, slot: int) -> None:
        memory = self._slots.pop(slot, None)
        if memory is not None:
            memory.close()
            self._server.room.give(memory.size)

    def _submit(
        self, asked: protocol.Render | protocol.File, number: int, arrived: float
    ) -> Message | None:
        view = memoryview(b"")
        if isinstance(asked, protocol.Render):
            memory = self._slots.get(asked.slot)
            if memory is None:
                raise ProtocolError(f"there is no slot {asked.slot}")
            if any(offset + size > memory.size for offset, size in asked.placed()):
                raise ProtocolError(f"a block ends after the slot's {memory.size} bytes")
            view = memoryview(memory.view)
        if self._server.jobs.knows(self, number):
            raise ProtocolError(f"job {number} is not finished yet")
        knobs = protocol.decode_knobs(asked.knobs)
        instance = (self._process, asked.instance)
        frame = _Frame(self, instance, asked, knobs, view, arrived)
        return self._server.submit(frame, number)


def _close(descriptors: list[int]) -> None:
    for each in descriptors:
        os.close(each)


@contextmanager
def _on_signals(told: Callable[[str], None]) -> Iterator[None]:
    """Hear of the signals that ask a process to end."""
    names = {signal.SIGTERM: "SIGTERM", signal.SIGINT: "SIGINT"}
    before = {
        each: signal.signal(each, lambda number, frame: told(names[signal.Signals(number)]))
        for each in names
    }
    try:
        yield
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)
