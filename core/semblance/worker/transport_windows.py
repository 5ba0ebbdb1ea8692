"""Windows: a named pipe that the user alone may open, and shared memory with a name.

The same names as `transport_unix`. Written from the documentation of the Windows API and of
CPython's `_winapi`, which `multiprocessing` uses for its own pipes; no test of this project runs it
(it can be imported anywhere, so that it is type-checked).
"""

from __future__ import annotations

import ctypes
import importlib
import mmap
import os
import secrets
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from ctypes import wintypes
from functools import lru_cache
from pathlib import Path
from typing import Any, Final, Optional

from semblance.worker.protocol import ProtocolError, WorkerError

__all__ = ["Listener", "Lock", "SharedMemory", "Stream", "connect", "prepare", "runtime_dir"]

_windows: Any = ctypes  # WinDLL and WinError, which other systems' ctypes lacks
_winapi: Any = importlib.import_module("_winapi") if sys.platform == "win32" else None
_msvcrt: Any = importlib.import_module("msvcrt") if sys.platform == "win32" else None

_NAME: Final = "worker-1"
_BUFFER: Final = 1 << 16
_ACCESS_INBOUND_OUTBOUND: Final = 3
_FIRST_INSTANCE: Final = 0x00080000
_REJECT_REMOTE: Final = 0x00000008
_WAIT_OBJECT_0: Final = 0
_TOKEN_QUERY, _TOKEN_USER = 8, 1
_KERNEL_OBJECT, _OWNER = 6, 1


def runtime_dir(environ: Optional[Mapping[str, str]] = None) -> Path:
    """Return where the worker's lock and log lie: in the user's own profile."""
    environ = os.environ if environ is None else environ
    if environ.get("SEMBLANCE_RUNTIME"):
        return Path(environ["SEMBLANCE_RUNTIME"])
    return Path(environ.get("LOCALAPPDATA") or Path.home(), "semblance")


def prepare(directory: Path) -> None:
    """Make the directory; a user's profile is private by its own access list."""
    try:
        directory.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise WorkerError(
            f"the runtime directory {directory} can't be made: {error.strerror}",
            "Set SEMBLANCE_RUNTIME to a directory of your own.",
        ) from error


class Lock:
    """The right to be the one worker of a runtime directory; it ends with the process at last."""

    def __init__(self, directory: Path) -> None:
        self._file = (directory / f"{_NAME}.lock").open("ab")

    def take(self) -> bool:
        """Return whether the right is ours now."""
        try:
            self._file.seek(0)
            _msvcrt.locking(self._file.fileno(), _msvcrt.LK_NBLCK, 1)
        except OSError:
            return False
        return True

    def close(self) -> None:
        """Give the right up."""
        self._file.close()


class Stream:
    """Bytes to and from the other side; every wait has an end."""

    def __init__(self, handle: int, pid: int) -> None:
        self.pid = pid
        self._handle = handle
        self._reading: Any = None  # a read that began while nothing had arrived
        self._early = b""

    def wait(self, deadline: Optional[float] = None) -> None:
        """Return when something has arrived."""
        if not self._early:
            self._early = self._some(1, deadline)

    def receive(
        self, count: int, deadline: float, descriptors: Optional[list[int]] = None
    ) -> bytes:
        """Return exactly so many bytes; no descriptors travel here."""
        data = bytearray(self._early[:count])
        self._early = self._early[count:]
        while len(data) < count:
            data += self._some(count - len(data), deadline)
        return bytes(data)

    def _some(self, count: int, deadline: Optional[float]) -> bytes:
        try:
            if self._reading is None:
                self._reading, _ = _winapi.ReadFile(self._handle, count, overlapped=True)
            _finish(self._reading, deadline)
            done, _ = self._reading.GetOverlappedResult(True)
            piece = bytes(self._reading.getbuffer()[:done])
            self._reading = None
        except OSError as error:
            if isinstance(error, TimeoutError):
                raise
            raise EOFError(f"the connection broke: {error}") from error
        return piece

    def send(self, data: bytes, deadline: float, descriptors: Sequence[int] = ()) -> None:
        """Send bytes."""
        try:
            writing, _ = _winapi.WriteFile(self._handle, data, overlapped=True)
            try:
                # What fits into the pipe's buffer is done at once; a deadline of now waits a blink.
                _finish(writing, max(deadline, time.monotonic() + 0.01))
            except TimeoutError:
                writing.cancel()
                raise
            writing.GetOverlappedResult(True)
        except OSError as error:
            if isinstance(error, TimeoutError):
                raise
            raise EOFError(f"the connection broke: {error}") from error

    def shut(self) -> None:
        """End the connection from any thread: who waits on it hears of it."""
        with suppress(OSError):
            _windows.WinDLL("kernel32").CancelIoEx(wintypes.HANDLE(self._handle), None)
            _windows.WinDLL("kernel32").DisconnectNamedPipe(wintypes.HANDLE(self._handle))

    def close(self) -> None:
        """Give the pipe up."""
        if self._handle:
            _winapi.CloseHandle(self._handle)
            self._handle = 0


def connect(directory: Path) -> Stream:
    """Connect to the user's worker, and see that the pipe is the user's own."""
    try:
        handle = _winapi.CreateFile(
            _pipe(directory),
            _winapi.GENERIC_READ | _winapi.GENERIC_WRITE,
            0,
            _winapi.NULL,
            _winapi.OPEN_EXISTING,
            _winapi.FILE_FLAG_OVERLAPPED,
            _winapi.NULL,
        )
    except OSError as error:
        if getattr(error, "winerror", 0) == _winapi.ERROR_PIPE_BUSY:
            raise ConnectionRefusedError("the worker takes no more connections") from error
        raise
    owner = _owner(handle)
    if owner != _user():
        _winapi.CloseHandle(handle)
        raise WorkerError(
            f"the pipe {_pipe(directory)} is of {owner}, expected {_user()}",
            "Find out which program made it; set SEMBLANCE_RUNTIME for a pipe of another name.",
        )
    return Stream(handle, _process("GetNamedPipeServerProcessId", handle))


class Listener:
    """The worker's end of the pipe. Only who holds the `Lock` may open one."""

    def __init__(self, directory: Path) -> None:
        self._name = _pipe(directory)
        self._awake = threading.Event()
        self._waiting: Any = None
        self._handle = self._instance(_FIRST_INSTANCE)

    def _instance(self, flags: int = 0) -> int:
        security, keep = _private()
        handle: int = _winapi.CreateNamedPipe(
            self._name,
            _ACCESS_INBOUND_OUTBOUND | _winapi.FILE_FLAG_OVERLAPPED | flags,
            _REJECT_REMOTE,  # bytes, not messages
            _winapi.PIPE_UNLIMITED_INSTANCES,
            _BUFFER,
            _BUFFER,
            _winapi.NMPWAIT_WAIT_FOREVER,
            ctypes.addressof(security),
        )
        del keep
        return handle

    def accept(self, seconds: float) -> Optional[Stream]:
        """Return the next connection; None after so many seconds, or when woken."""
        deadline = time.monotonic() + seconds
        if self._waiting is None:
            self._waiting = _winapi.ConnectNamedPipe(self._handle, overlapped=True)
        while not self._awake.is_set():
            # A signal handler of Python runs between these waits.
            with suppress(TimeoutError):
                _finish(self._waiting, min(deadline, time.monotonic() + 0.1))
                self._waiting.GetOverlappedResult(True)
                connected, self._waiting = self._handle, None
                self._handle = self._instance()
                return Stream(connected, _process("GetNamedPipeClientProcessId", connected))
            if time.monotonic() >= deadline:
                return None
        self._awake.clear()
        return None

    def wake(self) -> None:
        """Let `accept` return, from any thread or signal handler."""
        self._awake.set()

    def close(self) -> None:
        """Take the pipe away."""
        _winapi.CloseHandle(self._handle)


class SharedMemory:
    """A slot's memory, mapped, by a name of the session that nobody can guess."""

    descriptors: tuple[int, ...] = ()

    def __init__(self, name: str, size: int) -> None:
        self.name: Optional[str] = name
        self.size = size
        self.view = _mapped(size, name)

    @classmethod
    def create(cls, size: int) -> SharedMemory:
        """Make memory."""
        try:
            return cls(f"Local\\semblance-{os.getpid()}-{secrets.token_hex(16)}", size)
        except OSError as error:
            raise WorkerError(
                f"no shared memory of {size} bytes can be had: {error.strerror}",
                "Close other programs, or enlarge the page file.",
            ) from error

    @classmethod
    def attach(cls, descriptors: Sequence[int], name: Optional[str], size: int) -> SharedMemory:
        """Map memory by the name that came with a slot's message."""
        if name is None or not name.startswith("Local\\semblance-"):
            raise ProtocolError("a slot came without the name of its memory")
        if size <= 0:
            raise ProtocolError(f"a slot claims {size} bytes")
        return cls(name, size)

    def sent(self) -> None:
        """Do nothing: a name needs no closing."""

    def close(self) -> None:
        """Unmap it, as soon as nobody looks at it any more."""
        with suppress(BufferError):
            self.view.close()


def _mapped(size: int, name: str) -> mmap.mmap:
    make: Any = mmap.mmap  # whose `tagname` only Windows knows
    memory: mmap.mmap = make(-1, size, tagname=name)
    return memory


def _finish(operation: Any, deadline: Optional[float]) -> None:
    """Wait for an overlapped operation."""
    rest = _winapi.INFINITE
    if deadline is not None:
        rest = int(max(deadline - time.monotonic(), 0.0) * 1000.0)
    if _winapi.WaitForMultipleObjects([operation.event], False, rest) != _WAIT_OBJECT_0:
        raise TimeoutError("the other side did not answer in time")


def _pipe(directory: Path) -> str:
    """Return the pipe's name: the user's, or with SEMBLANCE_RUNTIME that directory's."""
    own = directory.name if os.environ.get("SEMBLANCE_RUNTIME") else _user()
    return rf"\\.\pipe\semblance-1-{own}"


class _SecurityAttributes(ctypes.Structure):
    _fields_ = (
        ("length", wintypes.DWORD),
        ("descriptor", ctypes.c_void_p),
        ("inherit", wintypes.BOOL),
    )


def _private() -> tuple[_SecurityAttributes, Any]:
    """Return security attributes that give the user everything and others nothing."""
    advapi = _windows.WinDLL("advapi32", use_last_error=True)
    descriptor = ctypes.c_void_p()
    words = f"O:{_user()}D:P(A;;GA;;;{_user()})"
    if not advapi.ConvertStringSecurityDescriptorToSecurityDescriptorW(
        words, 1, ctypes.byref(descriptor), None
    ):
        raise _windows.WinError(_windows.get_last_error())
    size = ctypes.sizeof(_SecurityAttributes)
    return _SecurityAttributes(size, descriptor, False), descriptor


@lru_cache(maxsize=1)
def _user() -> str:
    """Return the SID of this process's user."""
    advapi = _windows.WinDLL("advapi32", use_last_error=True)
    token = wintypes.HANDLE()
    process = wintypes.HANDLE(_winapi.GetCurrentProcess())
    if not advapi.OpenProcessToken(process, _TOKEN_QUERY, ctypes.byref(token)):
        raise _windows.WinError(_windows.get_last_error())
    try:
        held = ctypes.create_string_buffer(256)
        needed = wintypes.DWORD()
        if not advapi.GetTokenInformation(
            token, _TOKEN_USER, held, len(held), ctypes.byref(needed)
        ):
            raise _windows.WinError(_windows.get_last_error())
        return _written(ctypes.c_void_p.from_buffer(held))
    finally:
        _winapi.CloseHandle(token.value or 0)


def _owner(handle: int) -> str:
    """Return the SID of a pipe's owner."""
    advapi = _windows.WinDLL("advapi32")
    sid, descriptor = ctypes.c_void_p(), ctypes.c_void_p()
    failed = advapi.GetSecurityInfo(
        wintypes.HANDLE(handle), _KERNEL_OBJECT, _OWNER, ctypes.byref(sid), None, None, None,
        ctypes.byref(descriptor),
    )  # fmt: skip
    if failed:
        raise _windows.WinError(failed)
    try:
        return _written(sid)
    finally:
        _windows.WinDLL("kernel32").LocalFree(descriptor)


def _written(sid: ctypes.c_void_p) -> str:
    text = wintypes.LPWSTR()
    if not _windows.WinDLL("advapi32").ConvertSidToStringSidW(sid, ctypes.byref(text)):
        raise _windows.WinError()
    try:
        return text.value or ""
    finally:
        _windows.WinDLL("kernel32").LocalFree(text)


def _process(call: str, handle: int) -> int:
    """Return the process at the other end of a pipe."""
    pid = wintypes.ULONG()
    if not _windows.WinDLL("kernel32")[call](wintypes.HANDLE(handle), ctypes.byref(pid)):
        raise _windows.WinError()
    return pid.value
