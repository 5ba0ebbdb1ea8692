"""Unix: the private directory, the socket in it, and shared memory without a name.

Messages go over a Unix-domain socket in a directory that is the user's alone, and both sides ask
the system who the other one is. Pixels lie in memory without a name, whose descriptor travels with
a message; nothing of it is left when the processes are gone.

Standard library only.
"""

from __future__ import annotations

import errno
import fcntl
import mmap
import os
import select
import socket
import stat
import struct
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final, Optional

from semblance.worker.protocol import ProtocolError, WorkerError

__all__ = ["Listener", "Lock", "SharedMemory", "Stream", "connect", "prepare", "runtime_dir"]

NAME: Final = "worker-1"
"""What the files of the runtime directory begin with; 1 is the protocol."""

_BACKLOG: Final = 64
_CROWDED_SECONDS: Final = 0.05
_LONGEST_PATH: Final = 107  # bytes of sockaddr_un.sun_path, less its zero


# ----------------------------------------------------------------------- the private directory


def runtime_dir(environ: Optional[Mapping[str, str]] = None) -> Path:
    """Return where the worker's socket lies: the same for every program of this user.

    Parameters
    ----------
    environ : mapping, optional
        Environment variables; the process's own by default.
    """
    environ = os.environ if environ is None else environ
    if environ.get("SEMBLANCE_RUNTIME"):
        return Path(environ["SEMBLANCE_RUNTIME"])
    if environ.get("XDG_RUNTIME_DIR"):
        return Path(environ["XDG_RUNTIME_DIR"], "semblance")
    return Path("/tmp", f"semblance-{os.getuid()}")


def prepare(directory: Path) -> None:
    """Make the runtime directory, or see that the one that is there is private.

    Raises
    ------
    WorkerError
        It can't be made, is no directory, a link, another user's, or open to others.
    """
    try:
        with suppress(FileExistsError):
            directory.mkdir(0o700)
            directory.chmod(0o700)  # whatever the umask is
        there = directory.lstat()
    except OSError as error:
        raise WorkerError(
            f"the runtime directory {directory} can't be made: {error.strerror}",
            "Set SEMBLANCE_RUNTIME to a directory of your own.",
        ) from error
    _check_private(there, directory, stat.S_ISDIR(there.st_mode), "a directory")


def _check_private(there: os.stat_result, path: Path, right: bool, what: str) -> None:
    found = ""
    if not right:
        found = "something else"
    elif there.st_uid != os.getuid():
        found = f"one of user {there.st_uid}"
    elif there.st_mode & 0o077:
        found = f"one with mode {stat.S_IMODE(there.st_mode):o}"
    if found:
        raise WorkerError(
            f"{path} is not safe: expected {what} of your own that nobody else may enter, "
            f"found {found}",
            "Remove it, or set SEMBLANCE_RUNTIME to a directory of your own.",
        )


class Lock:
    """The right to be the one worker of a runtime directory; it ends with the process at last."""

    def __init__(self, directory: Path) -> None:
        flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
        self._file: Optional[int] = os.open(directory / f"{NAME}.lock", flags, 0o600)

    def take(self) -> bool:
        """Return whether the right is ours now."""
        if self._file is None:
            return False
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno in (errno.EWOULDBLOCK, errno.EACCES):
                return False
            raise
        return True

    def close(self) -> None:
        """Give the right up."""
        if self._file is not None:
            os.close(self._file)
            self._file = None


# --------------------------------------------------------------------------------- the socket


class Stream:
    """Bytes to and from the other side; every wait has an end.

    Parameters
    ----------
    connected : socket
        Becomes this object's own.

    Raises
    ------
    WorkerError
        The other side is not this user.
    """

    def __init__(self, connected: socket.socket) -> None:
        self._socket = connected
        self._socket.setblocking(False)
        uid, self.pid = _peer(connected)
        if uid != os.getuid():
            self.close()
            raise WorkerError(
                f"the other side of the socket is user {uid}, expected user {os.getuid()}",
                "Remove the runtime directory if it is not yours, or set SEMBLANCE_RUNTIME.",
            )

    def wait(self, deadline: Optional[float] = None) -> None:
        """Return when something has arrived.

        Raises
        ------
        TimeoutError
            Nothing did until `deadline` (`time.monotonic`; None waits for good).
        """
        self._poll(select.POLLIN, deadline)

    def receive(
        self, count: int, deadline: float, descriptors: Optional[list[int]] = None
    ) -> bytes:
        """Return exactly so many bytes; descriptors that came with them are appended.

        Without a list for them they are closed by the system.

        Raises
        ------
        EOFError
            The other side is gone.
        TimeoutError
            They did not come until `deadline`.
        """
        data = bytearray()
        while len(data) < count:
            try:
                data += self._some(count - len(data), descriptors)
            except BlockingIOError:
                self._poll(select.POLLIN, deadline)
            except (ConnectionError, OSError) as error:
                raise EOFError(f"the connection broke: {error}") from error
        return bytes(data)

    def _some(self, count: int, descriptors: Optional[list[int]]) -> bytes:
        if descriptors is None:
            piece = self._socket.recv(count)
        else:
            flags = getattr(socket, "MSG_CMSG_CLOEXEC", 0)
            piece, extra, _, _ = self._socket.recvmsg(count, socket.CMSG_SPACE(4 * 8), flags)
            for level, kind, data in extra:
                if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS):
                    whole = data[: len(data) // 4 * 4]
                    descriptors += struct.unpack(f"={len(whole) // 4}i", whole)
        if not piece:
            raise EOFError("the other side closed the connection")
        return piece

    def send(self, data: bytes, deadline: float, descriptors: Sequence[int] = ()) -> None:
        """Send bytes, with descriptors on the first of them; `deadline` in the past never waits.

        Raises
        ------
        EOFError
            The other side is gone.
        TimeoutError
            It did not take them until `deadline`.
        """
        rest = memoryview(data)
        files = struct.pack(f"={len(descriptors)}i", *descriptors)
        extra = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, files)]
        while rest:
            try:
                if descriptors and len(rest) == len(data):
                    sent = self._socket.sendmsg([rest], extra)
                else:
                    sent = self._socket.send(rest)
                rest = rest[sent:]
            except BlockingIOError:
                self._poll(select.POLLOUT, deadline)
            except (ConnectionError, OSError) as error:
                raise EOFError(f"the connection broke: {error}") from error

    def _poll(self, events: int, deadline: Optional[float]) -> None:
        poll = select.poll()
        try:
            poll.register(self._socket, events)
        except (ValueError, OSError) as error:
            raise EOFError("the connection is closed") from error
        rest = None if deadline is None else max(deadline - time.monotonic(), 0.0) * 1000.0
        if not poll.poll(rest):
            raise TimeoutError("the other side did not answer in time")

    def shut(self) -> None:
        """End the connection from any thread: who waits on it hears of it."""
        with suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Give the socket up."""
        self._socket.close()


def _peer(connected: socket.socket) -> tuple[int, int]:
    """Return user and process of the other side, as the system knows them."""
    if sys.platform.startswith("linux"):
        pid, uid, _ = struct.unpack("=3i", connected.getsockopt(socket.SOL_SOCKET, 17, 12))
        return uid, pid  # 17 is SO_PEERCRED, which not every build of Python names
    # macOS, sys/un.h: LOCAL_PEERCRED gives a struct xucred, LOCAL_PEERPID a pid_t.
    credentials = connected.getsockopt(0, 1, 76)
    (pid,) = struct.unpack("=i", connected.getsockopt(0, 2, 4))
    return struct.unpack_from("=I", credentials, 4)[0], pid


def connect(directory: Path) -> Stream:
    """Connect to the worker of a runtime directory.

    Raises
    ------
    FileNotFoundError, ConnectionError
        None is there.
    WorkerError
        Directory or socket are not the user's alone, or somebody else answers.
    """
    there = directory.lstat()
    _check_private(there, directory, stat.S_ISDIR(there.st_mode), "a directory")
    path = directory / f"{NAME}.sock"
    there = path.lstat()
    _check_private(there, path, stat.S_ISSOCK(there.st_mode), "a socket")
    connecting = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        # A worker that hangs lets the queue of its socket run full: then this raises, too.
        connecting.setblocking(False)
        connecting.connect(_address(path))
        return Stream(connecting)
    except BaseException as error:
        connecting.close()
        if isinstance(error, BlockingIOError):
            raise ConnectionRefusedError("the worker takes no more connections") from error
        raise


def _address(path: Path) -> str:
    if len(os.fsencode(path)) > _LONGEST_PATH:
        raise WorkerError(
            f"the socket's path {path} has {len(os.fsencode(path))} bytes, "
            f"the system allows {_LONGEST_PATH}",
            "Set SEMBLANCE_RUNTIME to a directory with a shorter path.",
        )
    return str(path)


class Listener:
    """The worker's end of the socket. Only who holds the `Lock` may open one."""

    def __init__(self, directory: Path) -> None:
        self._path = directory / f"{NAME}.sock"
        _address(self._path)
        for left in directory.glob(".*.s"):  # of workers that were killed while they began
            left.unlink()
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        # It gets its name when it answers, so nobody finds one that does not.
        hidden = directory / f".{os.getpid()}.s"
        self._socket.bind(_address(hidden))
        hidden.chmod(0o600)
        self._socket.listen(_BACKLOG)
        self._socket.setblocking(False)
        hidden.replace(self._path)
        self._awake, self._alarm = os.pipe()
        os.set_blocking(self._alarm, False)
        self._poll = select.poll()
        self._poll.register(self._socket, select.POLLIN)
        self._poll.register(self._awake, select.POLLIN)

    def accept(self, seconds: float) -> Optional[Stream]:
        """Return the next connection; None after so many seconds, or when woken."""
        for file, _ in self._poll.poll(1000.0 * max(seconds, 0.0)):
            if file == self._awake:
                os.read(self._awake, 4096)
                continue
            try:
                return Stream(self._socket.accept()[0])
            except (BlockingIOError, ConnectionError, WorkerError):
                continue
            except OSError:  # no descriptor is free; one may be, a moment later
                time.sleep(_CROWDED_SECONDS)
        return None

    def wake(self) -> None:
        """Let `accept` return, from any thread or signal handler."""
        with suppress(OSError):
            os.write(self._alarm, b"!")

    def close(self) -> None:
        """Take the socket away."""
        with suppress(FileNotFoundError):
            self._path.unlink()
        self._socket.close()
        awake, alarm, self._awake, self._alarm = self._awake, self._alarm, -1, -1
        os.close(awake)
        os.close(alarm)


# ------------------------------------------------------------------------------ shared memory


class SharedMemory:
    """A slot's memory, mapped. It has no name; what is left of it ends with its last user.

    Attributes
    ----------
    view : mmap
        The bytes, to be read and written.
    size : int
        How many.
    descriptors : tuple of int
        What travels with the slot's message; none where there is a name.
    name : str or None
        Of the file mapping, on Windows alone.
    """

    name: Optional[str] = None

    def __init__(self, descriptor: int, size: int) -> None:
        self.size = size
        self.descriptors: tuple[int, ...] = ()
        flags = mmap.MAP_SHARED | getattr(mmap, "MAP_POPULATE", 0)
        self.view = mmap.mmap(descriptor, size, flags, mmap.PROT_READ | mmap.PROT_WRITE)

    @classmethod
    def create(cls, size: int) -> SharedMemory:
        """Make memory, whose descriptor stays open until it was `sent`.

        Raises
        ------
        WorkerError
            There is not so much memory.
        """
        descriptor = -1
        try:
            descriptor = _anonymous()
            os.ftruncate(descriptor, size)
            _seal(descriptor)
            _reserve(descriptor, size)
            memory = cls(descriptor, size)
        except OSError as error:
            if descriptor >= 0:
                os.close(descriptor)
            raise WorkerError(
                f"no shared memory of {size} bytes can be had: {error.strerror}",
                "Close other programs, or give the machine more shared memory.",
            ) from error
        memory.descriptors = (descriptor,)
        return memory

    @classmethod
    def attach(cls, descriptors: Sequence[int], name: Optional[str], size: int) -> SharedMemory:
        """Map memory that came with a slot's message, whose descriptor is closed here.

        Raises
        ------
        ProtocolError
            It is no memory, or smaller than claimed.
        OSError
            There is not so much memory.
        """
        (descriptor,) = descriptors
        try:
            there = os.fstat(descriptor)
            if not stat.S_ISREG(there.st_mode):
                raise ProtocolError("a slot's descriptor is no shared memory")
            if not 0 < size <= there.st_size:
                raise ProtocolError(f"a slot claims {size} bytes and has {there.st_size}")
            if fcntl.fcntl(descriptor, fcntl.F_GETFL) & os.O_ACCMODE != os.O_RDWR:
                raise ProtocolError("a slot's memory can't be written to")
            _seal(descriptor)
            if 512 * there.st_blocks < size:
                _reserve(descriptor, size)
            if os.fstat(descriptor).st_size < size:
                raise ProtocolError("a slot's memory shrank while it was mapped")
            return cls(descriptor, size)
        finally:
            os.close(descriptor)

    def sent(self) -> None:
        """Close the descriptor, once the other side has it."""
        for each in self.descriptors:
            os.close(each)
        self.descriptors = ()

    def close(self) -> None:
        """Unmap it, as soon as nobody looks at it any more."""
        self.sent()
        with suppress(BufferError):  # then the last view does
            self.view.close()


def _anonymous() -> int:
    """Return a descriptor of memory without a name."""
    if hasattr(os, "memfd_create"):
        return os.memfd_create("semblance", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    with tempfile.TemporaryFile() as file:
        return os.dup(file.fileno())


def _seal(descriptor: int) -> None:
    """Let nobody shrink the memory: who reads a page that is gone is killed for it."""
    if hasattr(fcntl, "F_ADD_SEALS"):
        with suppress(OSError):  # memory that can't be sealed is a file of the same user's
            fcntl.fcntl(descriptor, fcntl.F_ADD_SEALS, fcntl.F_SEAL_SHRINK)


def _reserve(descriptor: int, size: int) -> None:
    """Take the memory now: a full file system kills who writes to it later."""
    if hasattr(os, "posix_fallocate"):
        os.posix_fallocate(descriptor, 0, size)
