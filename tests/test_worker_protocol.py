"""The messages of the live link: what is written is read back, and nothing else is believed."""

from __future__ import annotations

import ast
import os
import socket
import struct
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import semblance
from semblance.errors import KnobError
from semblance.knobs import Knobs, declared
from semblance.worker import protocol
from semblance.worker.protocol import ProtocolError
from semblance.worker.transport_unix import SharedMemory, Stream, prepare

PORTABLE = ("protocol", "client", "transport", "transport_unix")

PLAN = {
    "instance": 7, "time": 1001.0, "scale": (0.5, 0.5), "pixel_aspect": 1.0,
    "bounds": (-4, -2, 44, 32), "display": (0.0, 0.0, 80.0, 60.0), "window": (0, 0, 40, 30),
    "components": 4, "premultiplied": 1, "mask": 1, "knobs": b"abc",
}  # fmt: skip
RENDER = {**PLAN, "slot": 1, "filled": (0, 0, 8, 4), "offsets": (0, 1024, 512)}

SAMPLES = [
    protocol.Hello(1, "0123", "test ünï", 12),
    protocol.Welcome(1, "0123", "0.1.0", 13, 1 << 40),
    protocol.Plan(**PLAN),
    protocol.Region((1, 2, 3, 4), 1, 64, "no face"),
    protocol.Slot(3, 4096),
    protocol.SlotReady(3),
    protocol.Render(**RENDER),
    protocol.Done((1, 2, 3, 4), "", 1.5, 2.5, 0.5),
    protocol.Failed("why", 1),
    protocol.Cancel(),
    protocol.Cancelled(),
    protocol.Forget(-5),
    protocol.Ping(1 << 62),
    protocol.Pong(-(1 << 63)),
    protocol.Error("and so"),
    protocol.File(3, 1001.0, b"abc", (80, 60), "s.exr", "r.exr", "m.exr"),
]


def test_the_samples_are_all_there_is():
    assert [type(each).TYPE for each in SAMPLES] == list(range(1, 17)) == list(protocol.MESSAGES)


@pytest.mark.parametrize("message", SAMPLES, ids=lambda each: type(each).__name__)
def test_a_message_comes_back_as_it_was(message):
    data = protocol.encode(message, 9, 4)
    header = protocol.decode_header(data[: protocol.HEADER_BYTES], 3)
    assert (header.job, header.sequence, len(data) - 24) == (9, 4, header.length)
    assert len(data) % 8 == 0
    assert protocol.decode(header.type, data[24:]) == message


def test_the_layout_on_the_wire_is_what_the_page_says():
    data = protocol.encode(protocol.Failed("why", 1), 9, 4)
    assert data == (
        b"SMBL" + struct.pack("<HHIIQ", 1, 9, 32, 9, 4)
        + struct.pack("<HHI", 60, 3, 3) + b"why\0\0\0\0\0"
        + struct.pack("<HHIq", 61, 1, 8, 1)
    )  # fmt: skip


@pytest.mark.parametrize("message", SAMPLES, ids=lambda each: type(each).__name__)
def test_a_torn_message_is_refused(message):
    data = protocol.encode(message, 0, 1)[24:]
    optional = 16 if isinstance(message, protocol.Done) else 0
    for length in set(range(1, len(data))) - {len(data) - optional}:
        with pytest.raises(ProtocolError):
            protocol.decode(message.TYPE, data[:length])


def test_an_unknown_tag_is_passed_over_and_a_known_one_counts_once():
    ping = protocol.encode(protocol.Ping(5), 0, 1)[24:]
    later = struct.pack("<HHI", 999, 77, 3) + b"new\0\0\0\0\0"
    assert protocol.decode(13, later + ping + later) == protocol.Ping(5)
    with pytest.raises(ProtocolError, match="twice"):
        protocol.decode(13, ping + ping)
    with pytest.raises(ProtocolError, match="lacks a tag"):
        protocol.decode(13, later)
    with pytest.raises(ProtocolError, match="expected whole numbers"):
        protocol.decode(13, struct.pack("<HHId", 1, 2, 8, 5.0))
    with pytest.raises(ProtocolError, match="zero byte"):
        protocol.decode(15, struct.pack("<HHI8s", 60, 3, 8, b"a\0b     "))
    with pytest.raises(ProtocolError, match="UTF-8"):
        protocol.decode(15, struct.pack("<HHI8s", 60, 3, 8, b"\xff\xfe     "))


@pytest.mark.parametrize(
    ("header", "said"),
    [
        (b"HTTP" + struct.pack("<HHIIQ", 1, 1, 0, 0, 1), "begins with"),
        (b"SMBL" + struct.pack("<HHIIQ", 2, 1, 0, 0, 1), "protocol 2"),
        (b"SMBL" + struct.pack("<HHIIQ", 1, 17, 0, 0, 1), "no message 17"),
        (b"SMBL" + struct.pack("<HHIIQ", 1, 1, (1 << 20) + 1, 0, 1), "the most is"),
        (b"SMBL" + struct.pack("<HHIIQ", 1, 1, 0, 0, 0), "after message 0"),
    ],
)
def test_a_wrong_header_is_refused(header, said):
    with pytest.raises(ProtocolError, match=said):
        protocol.decode_header(header)


@pytest.mark.parametrize(
    "wrong",
    [
        {"time": float("nan")}, {"scale": (0.0, 1.0)}, {"scale": (1.0, float("inf"))},
        {"pixel_aspect": -1.0}, {"bounds": (4, 0, 0, 4)}, {"bounds": (0, 0, 1 << 30, 4)},
        {"display": (0.0, 0.0, 0.0, 9.0)}, {"components": 2}, {"premultiplied": 2}, {"mask": -1},
        {"filled": (-9, 0, 8, 4)}, {"offsets": (0, 1024, 448)}, {"offsets": (0, 1024, 520)},
        {"offsets": (-64, 1024, 512)}, {"offsets": (0, 1024, 0)}, {"mask": 0},
    ],
)  # fmt: skip
def test_no_picture_can_be_so(wrong):
    sound = protocol.Render(**RENDER)
    assert sound.placed() == [(0, 512), (512, 512), (1024, 128)]
    with pytest.raises(ProtocolError):
        protocol.Render(**{**RENDER, **wrong})


@given(st.tuples(*[st.integers(-500, 500)] * 2, *[st.integers(0, 300)] * 2), st.booleans())
def test_blocks_never_overlap_and_end_within_the_slot(place, mask):
    x, y, width, height = place
    rectangle = (x, y, x + width, y + height)
    size, offsets = protocol.blocks(rectangle, mask=mask)
    render = protocol.Render(
        **{**RENDER, "bounds": rectangle, "filled": rectangle, "offsets": offsets,
           "mask": int(mask)}
    )  # fmt: skip
    assert all(offset + length <= size for offset, length in render.placed())


def test_knobs_come_back_as_they_were_and_their_order_is_the_tables():
    changed = {
        "model": "/a b/ünï.onnx", "mix": 0.25, "mask_eyes": False, "looks": 3,
        "blend_mode": "poisson",
    }  # fmt: skip
    knobs = Knobs.from_flat(changed)
    data = protocol.encode_knobs(knobs)
    assert protocol.decode_knobs(data) == knobs
    first = declared()[0]
    assert first.name == "model"
    assert data[:8] == struct.pack("<B3xI", 5, len("/a b/ünï.onnx".encode()))


def _knob(name: str, kind: int, value: bytes) -> bytes:
    """All knobs at their defaults but one, which has these bytes."""
    whole, rest = b"", protocol.encode_knobs(Knobs())
    for knob in declared():
        _, length = struct.unpack_from("<B3xI", rest)
        end = 8 + -(-length // 8) * 8
        own = struct.pack("<B3xI", kind, len(value)) + value if knob.name == name else rest[:end]
        whole, rest = whole + own, rest[end:]
    return whole


def test_wrong_knobs_are_refused_by_the_protocol_or_by_the_knob():
    sound = protocol.encode_knobs(Knobs())
    assert _knob("mix", 3, struct.pack("<d", 1.0)) == sound
    for torn in (sound[:-1], sound + b"\0" * 8, b"", _knob("mix", 2, bytes(8)),
                 _knob("mix", 3, bytes(16))):  # fmt: skip
        with pytest.raises(ProtocolError):
            protocol.decode_knobs(torn)
    for kind, name, value in ((3, "mix", struct.pack("<d", 2.0)),
                              (3, "mix", struct.pack("<d", float("nan"))),
                              (4, "blend_mode", struct.pack("<q", 17)),
                              (1, "mask_eyes", struct.pack("<q", 2)),
                              (2, "looks", struct.pack("<q", 1 << 40))):  # fmt: skip
        with pytest.raises(KnobError, match=name):
            protocol.decode_knobs(_knob(name, kind, value))


@given(st.integers(0, len(SAMPLES) - 1), st.data())
def test_no_bytes_raise_anything_but_a_refusal(which, data):
    message = SAMPLES[which]
    payload = bytearray(protocol.encode(message, 0, 1)[24:])
    for _ in range(data.draw(st.integers(1, 4))):
        if payload:
            payload[data.draw(st.integers(0, len(payload) - 1))] = data.draw(st.integers(0, 255))
    with suppress(ProtocolError):
        assert isinstance(protocol.decode(message.TYPE, bytes(payload)), type(message))


# -------------------------------------------------------------------------------- transport


def test_a_stream_ends_every_wait():
    left, right = (Stream(each) for each in socket.socketpair())
    with pytest.raises(TimeoutError):
        left.wait(time.monotonic() + 0.01)
    with pytest.raises(TimeoutError):  # nobody reads: what does not fit is not waited for
        left.send(bytes(1 << 22), time.monotonic())
    right.close()
    with pytest.raises(EOFError):
        left.receive(1, time.monotonic() + 1.0)
    left.close()


def test_shared_memory_is_seen_by_both_and_cannot_shrink():
    ours = SharedMemory.create(8192)
    theirs = SharedMemory.attach([os.dup(ours.descriptors[0])], None, 8192)
    ours.view[100:105] = b"hello"
    assert theirs.view[100:105] == b"hello"
    with pytest.raises(OSError, match="not permitted"):
        os.ftruncate(ours.descriptors[0], 10)
    ours.close()
    assert theirs.view[100:105] == b"hello"
    theirs.close()


def test_what_is_no_memory_is_no_slot(tmp_path):
    read, write = os.pipe()
    os.close(write)
    with pytest.raises(ProtocolError, match="no shared memory"):
        SharedMemory.attach([read], None, 10)
    file = tmp_path / "memory"
    file.write_bytes(bytes(100))
    with pytest.raises(ProtocolError, match="claims"):
        SharedMemory.attach([os.open(file, os.O_RDWR)], None, 101)
    with pytest.raises(ProtocolError, match="written"):
        SharedMemory.attach([os.open(file, os.O_RDONLY)], None, 100)
    with pytest.raises(OSError, match="Bad file"):
        os.fstat(read)  # whatever came is closed


def test_a_directory_that_others_may_enter_is_refused(tmp_path):
    own = tmp_path / "own"
    prepare(own)
    prepare(own)
    assert own.stat().st_mode & 0o777 == 0o700
    open_to_all = tmp_path / "open"
    open_to_all.mkdir(0o755)
    link = tmp_path / "link"
    link.symlink_to(own)
    for wrong in (open_to_all, link):
        with pytest.raises(protocol.WorkerError, match="not safe"):
            prepare(wrong)


# -------------------------------------------------------------------------------- portability


def test_the_client_needs_the_standard_library_alone():
    allowed = ("errors", "knobs", "worker", *(f"worker.{name}" for name in PORTABLE))
    code = f"""
import sys

class Block:
    def find_spec(self, name, path=None, target=None):
        root = name.partition(".")[0]
        allowed = {("semblance", *(f"semblance.{name}" for name in allowed))!r}
        if root not in sys.stdlib_module_names and name not in allowed:
            raise ImportError("blocked: " + name)

sys.meta_path.insert(0, Block())
from semblance.worker import client, protocol
assert protocol.decode_knobs(protocol.encode_knobs(protocol.Knobs())) == protocol.Knobs()
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("name", [*PORTABLE, "transport_windows"])
def test_the_client_is_written_in_the_syntax_of_old_hosts(name):
    source = Path(semblance.__path__[0], "worker", f"{name}.py").read_text(encoding="utf-8")
    ast.parse(source, feature_version=(3, 9))
