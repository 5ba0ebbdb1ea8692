"""How messages and pixels travel between a host and the worker on one machine, for one user.

A `Channel` carries messages over the system's own kind of stream, which `transport_unix` and
`transport_windows` give by the same names. Standard library only.
"""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from typing import Final, Optional

from semblance.worker.protocol import (
    HEADER_BYTES,
    Error,
    Header,
    Message,
    ProtocolError,
    Slot,
    decode,
    decode_header,
    encode,
)

if sys.platform == "win32":
    from semblance.worker.transport_windows import (
        Listener,
        Lock,
        SharedMemory,
        Stream,
        connect,
        prepare,
        runtime_dir,
    )
else:
    from semblance.worker.transport_unix import (
        Listener,
        Lock,
        SharedMemory,
        Stream,
        connect,
        prepare,
        runtime_dir,
    )

__all__ = [
    "Channel",
    "Listener",
    "Lock",
    "SharedMemory",
    "Stream",
    "connect",
    "prepare",
    "runtime_dir",
]

_REST_SECONDS: Final = 10.0
"""What begun to arrive has to be complete within this."""


class Channel:
    """Messages to and from the other side. One thread may receive, any may send."""

    def __init__(self, stream: Stream) -> None:
        self._stream = stream
        self._sending = threading.Lock()
        self._sent = 0
        self._received = 0

    @property
    def pid(self) -> int:
        """The other side's process, as the system knows it."""
        return self._stream.pid

    def send(
        self, message: Message, job: int = 0, *, seconds: float, descriptors: Sequence[int] = ()
    ) -> None:
        """Send a message; 0 seconds never waits.

        Raises
        ------
        EOFError, TimeoutError
            The other side is gone, or does not read. Either way the connection is of no more use.
        """
        with self._sending:
            self._sent += 1
            data = encode(message, job, self._sent)
            self._stream.send(data, time.monotonic() + seconds, descriptors)

    def receive(self, deadline: Optional[float] = None) -> tuple[Message, int, list[int]]:
        """Return the next message, its job, and the descriptors that a slot came with.

        Parameters
        ----------
        deadline : float, optional
            Until when it has to begin (`time.monotonic`); a begun one has some seconds more.

        Raises
        ------
        ProtocolError
            It is none that the protocol allows.
        EOFError
            The other side is gone.
        TimeoutError
            Nothing came until `deadline`, or a begun message did not come to its end.
        """
        self._stream.wait(deadline)
        until = time.monotonic() + _REST_SECONDS
        descriptors: list[int] = []
        try:
            header = self._header(until, descriptors)
            payload = self._stream.receive(header.length, until)
            message = decode(header.type, payload)
            if bool(descriptors) != (isinstance(message, Slot) and message.name is None):
                raise ProtocolError("a slot came without its memory, or memory without a slot")
        except BaseException:
            _close_all(descriptors)
            raise
        return message, header.job, descriptors

    def _header(self, until: float, descriptors: list[int]) -> Header:
        header = decode_header(
            self._stream.receive(HEADER_BYTES, until, descriptors), self._received
        )
        self._received = header.sequence
        if len(descriptors) > 1:
            raise ProtocolError(f"{len(descriptors)} descriptors came at once, expected one")
        return header

    def refuse(self, reason: str) -> None:
        """Say why the connection ends, as far as the other side still listens."""
        with suppress(EOFError, TimeoutError):
            self.send(Error(reason), seconds=0.0)

    def shut(self) -> None:
        """End the connection, from any thread."""
        self._stream.shut()

    def close(self) -> None:
        """Give the connection up."""
        with self._sending:  # else another could send to whoever gets the same number next
            self._stream.close()


def _close_all(descriptors: Sequence[int]) -> None:
    for each in descriptors:
        with suppress(OSError):
            os.close(each)
