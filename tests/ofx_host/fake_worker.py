"""A worker that says wrong things, in a process of its own.

`python fake_worker.py SOCKET DIGEST WAY [SEED]` listens until it is killed. Where the way is
`honest` it answers as it should, with a result that is its input times two.
"""

from __future__ import annotations

import mmap
import os
import random
import socket
import struct
import sys
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

PIXEL = 16

HEADER = struct.Struct("<4sHHIIQ")
FIELD = struct.Struct("<HHI")

HELLO, WELCOME, PLAN, REGION, SLOT, SLOT_READY, RENDER, DONE = range(1, 9)
FAILED, CANCEL, CANCELLED, FORGET, PING, PONG, ERROR = range(9, 16)


def field(tag: int, value: Any) -> bytes:
    """Return one field: ints, floats, text or bytes."""
    if isinstance(value, str):
        kind, data = 3, value.encode()
    elif isinstance(value, bytes):
        kind, data = 4, value
    else:
        values = value if isinstance(value, (tuple, list)) else (value,)
        real = isinstance(values[0], float)
        kind, data = (
            (2 if real else 1),
            struct.pack(f"<{len(values)}{'d' if real else 'q'}", *values),
        )
    return FIELD.pack(tag, kind, len(data)) + data + bytes(-len(data) % 8)


def message(type_: int, job: int, sequence: int, fields: Mapping[int, Any]) -> bytes:
    payload = b"".join(field(tag, value) for tag, value in fields.items())
    return HEADER.pack(b"SMBL", 1, type_, len(payload), job, sequence) + payload


def parsed(payload: bytes) -> dict[int, Any]:
    found, at = {}, 0
    while at < len(payload):
        tag, kind, length = FIELD.unpack_from(payload, at)
        data = payload[at + 8 : at + 8 + length]
        if kind in (1, 2):
            data = struct.unpack(f"<{length // 8}{'q' if kind == 1 else 'd'}", data)
        elif kind == 3:
            data = data.decode()
        found[tag] = data
        at += 8 + length + -length % 8
    return found


def receive(stream: socket.socket) -> tuple[int, int, dict[int, Any], list[int]] | None:
    """Return type, job, fields and file descriptors of the next message; None at the end."""
    data, descriptors = b"", []
    while len(data) < HEADER.size:
        more, given, _, _ = socket.recv_fds(stream, HEADER.size - len(data), 4)
        if not more:
            return None
        data += more
        descriptors += given
    _, _, type_, length, job, _ = HEADER.unpack(data)
    payload = b""
    while len(payload) < length:
        more = stream.recv(length - len(payload))
        if not more:
            return None
        payload += more
    return type_, job, parsed(payload), descriptors


class Talk:
    """One connection."""

    def __init__(
        self, stream: socket.socket, digest: str, way: str, seed: int, counter: mmap.mmap
    ) -> None:
        self.counter = counter
        self.stream, self.digest, self.way = stream, digest, way
        self.random = random.Random(seed)
        self.sequence = 0
        self.slot: mmap.mmap | None = None
        self.target = self.random.choice((WELCOME, REGION, SLOT_READY, DONE))

    def send(self, type_: int, job: int, fields: dict[int, Any]) -> None:
        self.sequence += 1
        data = message(type_, job, self.sequence, fields)
        if self.way == "fuzz" and type_ == self.target:
            whole, data = data, self.mutated(data)
            self.count()
            self.stream.sendall(data)
            # What is cut short leaves the other side waiting: seldom for long, it has a time-out.
            if data != whole and self.random.random() < 0.98:
                raise ConnectionAbortedError
            return
        self.stream.sendall(data)

    def count(self) -> None:
        """Count a mutated reply, where whoever started this process can read it."""
        (so_far,) = struct.unpack_from("<Q", self.counter)
        struct.pack_into("<Q", self.counter, 0, so_far + 1)

    def mutated(self, data: bytes) -> bytes:
        chance, changed = self.random, bytearray(data)
        for _ in range(chance.choice((0, 1, 1, 2, 8))):
            kind = chance.randrange(5)
            at = chance.randrange(len(changed)) if changed else 0
            if kind == 0 and changed:
                changed[at] ^= 1 << chance.randrange(8)
            elif kind == 1:
                changed[at:at] = chance.randbytes(chance.randrange(1, 24))
            elif kind == 2:
                del changed[at : at + chance.randrange(1, 24)]
            elif kind == 3:
                word = chance.choice((0, 1, 2**31, 2**32 - 1, 2**63, 2**64 - 1, 2**20 + 1))
                changed[at : at + 8] = word.to_bytes(8, "little")
            else:
                changed = changed[:at]
        return bytes(changed)

    def run(self) -> None:
        while (got := receive(self.stream)) is not None:
            type_, job, fields, descriptors = got
            if self.answer(type_, job, fields, descriptors):
                break
        self.stream.close()

    def answer(self, type_: int, job: int, fields: dict[int, Any], given: list[int]) -> bool:
        """Answer one message; true ends the connection."""
        way = self.way
        if type_ == HELLO:
            return self.hello(job)
        if type_ == PLAN:
            self.target = self.random.choice((REGION, SLOT_READY, DONE, DONE))
            return self.plan(job, fields)
        if type_ == SLOT:
            (size,) = fields[41]
            self.slot = mmap.mmap(given[0], size)
            os.close(given[0])
            self.send(SLOT_READY, job, {40: fields[40][0]})
        if type_ == RENDER:
            return self.render(job, fields)
        if type_ == PING:
            self.send(PONG, job, {1: fields[1][0]})
        return way == "close"

    def hello(self, job: int) -> bool:
        protocol, digest = 1, self.digest
        if self.way == "silent":
            return False
        if self.way == "refuses":
            reason = "the plug-in is older than the worker: update the plug-in"
            self.send(ERROR, job, {60: reason})
            return True
        if self.way == "other_protocol":
            protocol = 2
        if self.way == "other_digest":
            digest = "0123456789abcdef"
        welcome = {1: protocol, 2: digest, 3: "fake 1", 4: os.getpid(), 5: 1 << 33}
        if self.way == "kind":
            welcome[1] = "one"
        self.send(WELCOME, job, welcome)
        return False

    def plan(self, job: int, fields: dict[int, Any]) -> bool:
        way, region = self.way, list(fields[14])
        if way == "garbage":
            self.stream.sendall(self.random.randbytes(4096))
            return True
        if way == "closes":
            return True
        if way == "half":
            self.stream.sendall(message(REGION, job, 9, {30: (0, 0, 1, 1)})[:31])
            return True
        if way == "half_hangs":
            self.stream.sendall(message(REGION, job, 9, {30: (0, 0, 1, 1)})[:31])
            return False
        if way == "nothing":
            return False
        if way == "other_job":
            job += 17
        if way == "outside":
            region = [region[0] - 5, region[1], region[2] + 5, region[3]]
        if way == "huge":
            region = [-(2**62), -(2**62), 2**62, 2**62]
        if way == "unknown_type":
            self.sequence += 1
            self.stream.sendall(message(77, job, self.sequence, {30: (0, 0, 1, 1)}))
            return False
        if way == "long":
            self.stream.sendall(HEADER.pack(b"SMBL", 1, REGION, 2**32 - 1, job, 9))
            return False
        size = max(0, region[2] - region[0]) * max(0, region[3] - region[1])
        room = {
            "small_slot": 64,
            "greedy_slot": 4 << 30,
            "large_slot": 1 << 50,
            "negative_slot": -64,
        }.get(way)
        answer: dict[int, Any] = {
            30: tuple(region),
            31: 0,
            32: room or 2 * size * PIXEL + 256,
            33: "",
        }
        if way == "missing":
            del answer[30]
        if way == "text":
            answer[33] = "\x1b[31m%n%s%s%s\x00" + "x" * 100_000
        self.send(REGION, job, answer)
        return False

    def render(self, job: int, fields: dict[int, Any]) -> bool:
        way, filled = self.way, list(fields[42])
        source, _, result = fields[43]
        size = (filled[2] - filled[0]) * (filled[3] - filled[1]) * PIXEL
        assert self.slot is not None
        self.slot[result : result + size] = self.slot[source : source + size]
        changed = list(filled)
        if way == "done_outside":
            changed[2] += 1
        if way == "done_inverted":
            changed = [filled[2], filled[3], filled[0], filled[1]]
        if way == "done_other_job":
            job += 1
        if way == "dies_rendering":
            os._exit(3)
        if way == "failed":
            self.send(FAILED, job, {60: "no paint: 100% gone %s%n", 61: 0})
            return False
        if way == "cancelled":
            self.send(CANCELLED, job, {})
            return False
        self.send(DONE, job, {50: tuple(changed), 51: "", 52: 1.0, 53: 2.0})
        return False


def main() -> None:
    path, digest, way = sys.argv[1:4]
    seed = int(sys.argv[4]) if len(sys.argv) > 4 else 1
    Path(path).parent.mkdir(mode=0o700, exist_ok=True)
    Path(path).unlink(missing_ok=True)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    Path(f"{path}.count").write_bytes(bytes(8))
    with Path(f"{path}.count").open("r+b") as file:
        counter = mmap.mmap(file.fileno(), 8)
    previous = os.umask(0o077)
    listener.bind(path)
    os.umask(previous)
    listener.listen(16)
    count = 0
    while True:
        stream, _ = listener.accept()
        count += 1
        talk = Talk(stream, digest, way, seed * 1_000_003 + count, counter)

        def run(talk: Talk = talk) -> None:
            try:
                talk.run()
            except (OSError, ValueError, KeyError, AssertionError, IndexError):
                talk.stream.close()

        threading.Thread(target=run, daemon=True).start()


if __name__ == "__main__":
    main()
