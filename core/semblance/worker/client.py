"""A client of the worker: find one or start it, and ask it for frames.

::

    with Link.open() as link:
        frame = link.frame(plan, fill)  # plan, slot, render
        frame.result, frame.done.changed

The plug-in for hosts speaks the same protocol in C (`plugin/ofx`); the panel, the bench and the
tests use this one. Standard library only: a host's own Python may import this.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Optional, TypeVar

from semblance.errors import Cancelled as CancelledError
from semblance.knobs import digest
from semblance.worker import protocol
from semblance.worker.protocol import Message, ProtocolError, Rectangle, WorkerError
from semblance.worker.transport import Channel, SharedMemory, connect, prepare, runtime_dir

__all__ = ["Frame", "JobFailed", "Link", "WorkerGone", "start"]

Answer = TypeVar("Answer", bound=Message)
Fill = Callable[[Rectangle, memoryview, Optional[memoryview]], None]

SLOT: Final = 1
"""A link asks for one frame at a time and needs one slot."""

_POLL_SECONDS: Final = 0.02
_SENDING_SECONDS: Final = 10.0


class WorkerGone(WorkerError):
    """The worker closed the connection: it ended, or was killed. Another one can be started."""


class JobFailed(WorkerError):
    """The worker could not do it.

    Parameters
    ----------
    reason : str
        What the worker said.
    retry : bool
        Whether the same request may go well a moment later.
    """

    def __init__(self, reason: str, retry: bool) -> None:
        super().__init__(reason)
        self.retry = retry


@dataclass(frozen=True)
class Frame:
    """What became of a frame.

    Parameters
    ----------
    region : Region
        The pixels that were asked for.
    done : Done
        Which of them changed; their rectangle is empty where the output is the source.
    result : memoryview
        The result's block over the region's rectangle: float32 RGBA, top row first, valid until
        the link's next frame. Only what changed was written.
    """

    region: protocol.Region
    done: protocol.Done
    result: memoryview


def start(
    directory: Path,
    command: Optional[list[str]] = None,
    environ: Optional[Mapping[str, str]] = None,
) -> subprocess.Popen[bytes]:
    """Start a worker, detached from this process, with its errors in the log.

    Parameters
    ----------
    directory : Path
        The runtime directory, private.
    command : list of str, optional
        Program and arguments; by default ``$SEMBLANCE_WORKER`` or ``semblance``, with ``serve``.
    environ : mapping, optional
        Environment variables; the process's own by default.

    Raises
    ------
    WorkerError
        There is no such program.
    """
    environ = dict(os.environ if environ is None else environ)
    if command is None:
        program = environ.get("SEMBLANCE_WORKER") or shutil.which("semblance") or ""
        command = [program, "serve"]
    environ["SEMBLANCE_RUNTIME"] = str(directory)
    try:
        with open(directory / "worker-1.log", "ab") as log:
            started = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=log,
                env=environ,
                start_new_session=True,
            )
    except OSError as error:
        raise WorkerError(
            f"the worker {command[0]!r} can't be started: {error.strerror}",
            "Install semblance, or set SEMBLANCE_WORKER to its program.",
        ) from error
    threading.Thread(target=started.wait, daemon=True).start()  # so that it leaves no zombie
    return started


class Link:
    """A connection to the worker; a context manager.

    One thread uses a link, and has one frame in work; `cancel` may be called from any.

    Attributes
    ----------
    welcome : Welcome
        What the worker says of itself.
    """

    def __init__(self, channel: Channel, welcome: protocol.Welcome) -> None:
        self.welcome = welcome
        self._channel = channel
        self._job = 0
        self._memory: Optional[SharedMemory] = None

    @classmethod
    def open(
        cls,
        directory: Optional[Path] = None,
        *,
        command: Optional[list[str]] = None,
        starting: bool = True,
        seconds: float = 15.0,
        name: str = "semblance.worker.client",
        knobs: Optional[str] = None,
        environ: Optional[Mapping[str, str]] = None,
    ) -> Link:
        """Connect to the user's worker, and start one where none answers.

        Parameters
        ----------
        directory : Path, optional
            The runtime directory; the user's by default.
        command : list of str, optional
            As `start` takes it.
        starting : bool
            Whether one may be started.
        seconds : float
            How long it may take in all.
        name : str
            Who this is, for the worker's log.
        knobs : str, optional
            Digest of the knobs that the caller knows; that of this installation by default.
        environ : mapping, optional
            As `start` takes it.

        Raises
        ------
        WorkerError
            None answers in time, none can be started, or it refuses this client.
        """
        directory = runtime_dir() if directory is None else directory
        deadline = time.monotonic() + seconds
        hello = protocol.Hello(protocol.MAJOR, knobs or digest(), name, os.getpid())
        started: Optional[subprocess.Popen[bytes]] = None
        while True:
            try:
                return _greeted(directory, hello, deadline)
            except (FileNotFoundError, ConnectionError, WorkerGone):
                if not starting:
                    raise WorkerError(
                        f"no worker answers in {directory}", "Start one with: semblance serve."
                    ) from None
            if started is None:
                prepare(directory)
                started = start(directory, command, environ)
            elif started.poll() is not None:
                if started.returncode != 0:
                    raise WorkerError(
                        f"the worker ended at once, with exit code {started.returncode}",
                        f"Its log is {directory / 'worker-1.log'}.",
                    )
                started = None  # another one was there, or has ended since
            if time.monotonic() > deadline:
                raise WorkerError(
                    f"no worker answered in {directory} within {seconds:g} seconds",
                    f"Its log is {directory / 'worker-1.log'}.",
                )
            time.sleep(_POLL_SECONDS)

    def ping(self, seconds: float = 5.0) -> None:
        """Return when the worker has answered."""
        self._ask(protocol.Ping(time.monotonic_ns()), protocol.Pong, self.number(), seconds)

    def plan(self, plan: protocol.Plan, seconds: float = 60.0) -> protocol.Region:
        """Ask which pixels a frame needs.

        Raises
        ------
        JobFailed
            The frame can't be rendered; the message says why.
        WorkerError
            The worker is gone or did not answer in time; close the link.
        """
        return self._ask(plan, protocol.Region, self.number(), seconds)

    def slot(self, size: int, seconds: float = 60.0) -> memoryview:
        """Return shared memory of at least so many bytes, the same one while it is large enough."""
        if self._memory is None or self._memory.size < size:
            self._let_go()
            memory = SharedMemory.create(max(size, 1))
            try:
                slot = protocol.Slot(SLOT, memory.size, memory.name)
                number = self.number()
                self._ask(slot, protocol.SlotReady, number, seconds, memory.descriptors)
            except BaseException:
                memory.close()
                raise
            memory.sent()
            self._memory = memory
        return memoryview(self._memory.view)

    def render(
        self, render: protocol.Render, seconds: float = 60.0, number: Optional[int] = None
    ) -> protocol.Done:
        """Render a frame whose pixels lie in the slot.

        Parameters
        ----------
        render : Render
        seconds : float
            How long it may take.
        number : int, optional
            The job's number, from `number`, where another thread is to be able to cancel it.

        Raises
        ------
        Cancelled
            It was cancelled, or a newer frame of its instance took its place.
        JobFailed, WorkerError
            As `plan`.
        """
        number = self.number() if number is None else number
        return self._ask(render, protocol.Done, number, seconds)

    def frame(
        self,
        plan: protocol.Plan,
        fill: Fill,
        seconds: float = 60.0,
        number: Optional[int] = None,
    ) -> Frame:
        """Plan and render a frame.

        Parameters
        ----------
        plan : Plan
        fill : callable
            Called with the rectangle that is needed, the memory for its pixels (float32 RGBA, top
            row first) and that for its mask (float32), or None where none is needed.
        seconds, number
            As `render` takes them.

        Raises
        ------
        Cancelled, JobFailed, WorkerError
            As `render`.
        """
        region = self.plan(plan, seconds)
        nothing = protocol.Done((0, 0, 0, 0), region.message, 0.0, 0.0)
        if protocol.is_empty(region.rectangle):
            return Frame(region, nothing, memoryview(b""))
        size, offsets = protocol.blocks(region.rectangle, mask=bool(region.mask))
        slot = self.slot(max(size, region.slot_bytes), seconds)
        source, mask, result = offsets
        pixels = (
            16
            * (region.rectangle[2] - region.rectangle[0])
            * (region.rectangle[3] - region.rectangle[1])
        )
        drawn = slot[mask : mask + pixels // 4] if region.mask else None
        fill(region.rectangle, slot[source : source + pixels], drawn)
        asked = {item.name: getattr(plan, item.name) for item in fields(protocol.Plan)}
        render = protocol.Render(**asked, slot=SLOT, filled=region.rectangle, offsets=offsets)
        done = self.render(render, seconds, number)
        return Frame(region, done, slot[result : result + pixels])

    def file(
        self, asked: protocol.File, seconds: float = 60.0, number: Optional[int] = None
    ) -> protocol.Done:
        """Render a frame from file to file.

        Parameters
        ----------
        asked : File
        seconds, number
            As `render` takes them.

        Raises
        ------
        Cancelled, JobFailed, WorkerError
            As `render`.
        """
        number = self.number() if number is None else number
        return self._ask(asked, protocol.Done, number, seconds)

    def number(self) -> int:
        """Return a number for the next job."""
        self._job = self._job % 0xFFFFFFFF + 1
        return self._job

    def cancel(self, number: int) -> None:
        """Ask the worker to drop a job; who waits for it hears `Cancelled`, unless it was done."""
        self._send(protocol.Cancel(), number)

    def forget(self, instance: int) -> None:
        """Tell the worker that an instance is gone."""
        self._send(protocol.Forget(instance), 0)

    def close(self) -> None:
        """Leave the worker, and give the shared memory up."""
        self._channel.close()
        self._let_go()

    def __enter__(self) -> Link:
        return self

    def __exit__(
        self,
        kind: Optional[type[BaseException]],
        error: Optional[BaseException],
        trace: Optional[TracebackType],
    ) -> None:
        self.close()

    def _ask(
        self,
        message: Message,
        expected: type[Answer],
        job: int,
        seconds: float,
        descriptors: tuple[int, ...] = (),
    ) -> Answer:
        deadline = time.monotonic() + seconds
        self._send(message, job, descriptors)
        while True:
            answer, about, _ = _received(self._channel, deadline)
            if isinstance(answer, protocol.Error):
                raise WorkerError(answer.reason)
            if about != job:
                continue  # a late answer to what was given up
            if isinstance(answer, expected):
                return answer
            if isinstance(answer, protocol.Failed):
                raise JobFailed(answer.reason, bool(answer.retry))
            if isinstance(answer, protocol.Cancelled):
                raise CancelledError("the frame was cancelled")
            raise WorkerError(f"the worker answered {type(answer).__name__}")

    def _send(self, message: Message, job: int, descriptors: tuple[int, ...] = ()) -> None:
        try:
            self._channel.send(message, job, seconds=_SENDING_SECONDS, descriptors=descriptors)
        except EOFError:
            # It may have said why before it closed.
            while True:
                said, _, _ = _received(self._channel, time.monotonic())
                if isinstance(said, protocol.Error):
                    raise WorkerError(said.reason) from None
        except TimeoutError as error:
            raise WorkerError("the worker does not read what it is told") from error

    def _let_go(self) -> None:
        if self._memory is not None:
            self._memory.close()
            self._memory = None


def _greeted(directory: Path, hello: protocol.Hello, deadline: float) -> Link:
    channel = Channel(connect(directory))
    try:
        try:
            channel.send(hello, seconds=_SENDING_SECONDS)
        except EOFError as error:
            raise WorkerGone(f"the worker is gone: {error}") from error
        welcome, _, _ = _received(channel, deadline)
        if isinstance(welcome, protocol.Error):
            raise WorkerError(welcome.reason)
        if not isinstance(welcome, protocol.Welcome):
            raise WorkerError(f"the worker answered {type(welcome).__name__} to a hello")
        if welcome.digest != hello.digest:
            raise WorkerError(
                f"the worker (Semblance {welcome.version}) knows other knobs: expected "
                f"{hello.digest}, found {welcome.digest}",
                "End the running worker, or update the older of the two.",
            )
        return Link(channel, welcome)
    except BaseException:
        channel.close()
        raise


def _received(channel: Channel, deadline: float) -> tuple[Any, int, list[int]]:
    try:
        return channel.receive(deadline)
    except EOFError as error:
        raise WorkerGone(f"the worker is gone: {error}") from error
    except TimeoutError as error:
        raise WorkerError(
            "the worker did not answer in time", "Look into its log, or end it."
        ) from error
    except ProtocolError as error:
        raise WorkerError(f"the worker sent what the protocol does not know: {error}") from error
