"""The worker as hosts meet it: real processes, real sockets, and the bits of `semblance apply`."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, fields, replace
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import helpers_adapters as graphs
from conftest import WHOLE, a_face, a_plate
from helpers_model import tiny_model
from semblance import release, shot
from semblance.adapt import adapt
from semblance.cli import main
from semblance.errors import Cancelled
from semblance.exr import Sequence as Frames
from semblance.exr import read_plate, write_plate
from semblance.face import Face, Track
from semblance.knobs import ColourKnobs, Knobs
from semblance.model import Likeness
from semblance.plate import Plate, Window
from semblance.roto import Point, Shape, ShapeKey, Shapes, save_shapes
from semblance.track.analyse import track_shot
from semblance.track.file import load_track, save_track
from semblance.track.provider import open_provider
from semblance.worker import protocol
from semblance.worker.client import Frame, JobFailed, Link, WorkerGone
from semblance.worker.protocol import Rectangle, WorkerError
from semblance.worker.transport import SharedMemory

if sys.platform == "win32":
    pytest.skip("Unix sockets", allow_module_level=True)

EXAMPLES = Path(__file__).parents[1] / "examples"
TRUST = EXAMPLES / "trust"
JUNE = EXAMPLES / "likeness.onnx"
PROGRAM = [sys.executable, "-c", "import sys; from semblance.cli import main; sys.exit(main())"]

FRAME = 1001


# ------------------------------------------------------------------------------------- workers


def command(*options: str) -> list[str]:
    return [*PROGRAM, "serve", "--trust", str(TRUST), *options]


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A runtime directory to be, and nobody's trust store."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    return tmp_path / "run"


def end(pid: int, number: int = signal.SIGKILL) -> None:
    with suppress(ProcessLookupError):
        os.kill(pid, number)


@contextmanager
def served(home: Path, *options: str) -> Iterator[Link]:
    """A worker of its own and a link to it; both are gone afterwards."""
    with Link.open(home, command=command(*options)) as link:
        try:
            yield link
        finally:
            end(link.welcome.pid)


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The runtime directory of a worker that many tests use."""
    folder = tmp_path_factory.mktemp("live") / "run"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HOME", str(folder.parent))
        patch.setenv("OMP_NUM_THREADS", "1")
        with served(folder):
            yield folder


@pytest.fixture
def link(shared: Path) -> Iterator[Link]:
    with Link.open(shared, starting=False) as link:
        yield link


def until(true: Any, seconds: float = 10.0) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.01)


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


# ---------------------------------------------------------------------------------------- hosts


@dataclass(frozen=True)
class Shot:
    """A frame as a host has it and as a file holds it."""

    plate: Plate
    track: Track
    knobs: dict[str, Any] = field(default_factory=dict)
    scale: tuple[float, float] = (1.0, 1.0)
    size: tuple[int, int] = (120, 90)  # of the display window, at the full resolution
    aspect: float = 1.0
    origin: tuple[int, int] = (0, 0)  # where the host has the display's lower left corner
    premultiplied: bool = False
    roto: np.ndarray | None = None
    model: Path = JUNE

    def values(self, track: Path) -> Knobs:
        given = {
            "model": str(self.model),
            "track_file": "" if track == Path() else str(track),
            "looks": 1,
            **self.knobs,
        }
        return Knobs.from_flat({"mask_occlusion": 0.0, **given})

    def rectangle(self, window: Window) -> Rectangle:
        """A window of the plate in the host's own pixels."""
        left, low, top = *self.origin, self.plate.display_window.y1
        return (
            window.x0 + left, low + top - window.y1, window.x1 + left, low + top - window.y0
        )  # fmt: skip

    def plan(
        self, track: Path, *, instance: int = 1, wanted: Window | None = None
    ) -> protocol.Plan:
        width, height = self.size
        x, y = self.origin[0] / self.scale[0], self.origin[1] / self.scale[1]
        return protocol.Plan(
            instance=instance,
            time=float(FRAME),
            scale=self.scale,
            pixel_aspect=self.aspect,
            bounds=self.rectangle(self.plate.window),
            display=(x * self.aspect, y, (x + width) * self.aspect, y + height),
            window=self.rectangle(wanted or self.plate.window),
            components=4 if "A" in self.plate.channels else 3,
            premultiplied=int(self.premultiplied),
            mask=int(self.roto is not None),
            knobs=protocol.encode_knobs(self.values(track)),
        )

    def pixels(self) -> np.ndarray:
        planes = [self.plate.channels[name] for name in "RGB"]
        alpha = self.plate.channels.get("A", np.ones_like(planes[0]))
        return np.dstack([*planes, alpha])

    def window(self, rectangle: Rectangle) -> Window:
        left, low, top = *self.origin, self.plate.display_window.y1
        x1, y1, x2, y2 = rectangle
        return Window(x1 - left, low + top - y2, x2 - left, low + top - y1)

    def fill(self, rectangle: Rectangle, source: memoryview, mask: memoryview | None) -> None:
        inside = self.window(rectangle).slices(self.plate.window)
        cut = self.pixels()[inside]
        np.frombuffer(source, np.float32).reshape(cut.shape)[:] = cut
        if mask is not None:
            assert self.roto is not None
            np.frombuffer(mask, np.float32).reshape(cut.shape[:2])[:] = self.roto[inside]

    def shown(self, frame: Frame) -> np.ndarray:
        """What the host shows: its own pixels, and what came back over them."""
        out = self.pixels()
        changed, filled = (
            self.window(each) for each in (frame.done.changed, frame.region.rectangle)
        )
        if not changed.empty:
            result = np.frombuffer(frame.result, np.float32)
            result = result.reshape(filled.height, filled.width, 4)
            out[changed.slices(self.plate.window)] = result[changed.slices(filled)]
        return out

    def linked(self, link: Link, track: Path, **options: Any) -> np.ndarray:
        return self.shown(link.frame(self.plan(track, **options), self.fill))


def applied(one: Shot, track: Track, folder: Path) -> np.ndarray:
    """The same frame by `semblance apply`, from and to float EXR."""
    plates, results, roto = (
        Frames.parse(folder / name / "frame.####.exr") for name in ("plate", "result", "roto")
    )
    for each in (plates, results, roto):
        each.folder.mkdir(parents=True, exist_ok=True)
    plate = one.plate
    if not one.premultiplied:
        plate = replace(plate, channels={name: plate.channels[name] for name in "RGB"}, alpha=None)
    write_plate(plate, plates.path(FRAME))
    if one.roto is not None:
        drawn = replace(plate, channels=dict.fromkeys("RGB", one.roto), alpha=None)
        write_plate(drawn, roto.path(FRAME))
    with Likeness.open(one.model, threads=1) as likeness:
        path = release.default_release_path(one.model)
        verdict = release.verify(path, likeness.sha256, date.today(), None, [TRUST])
        summary = shot.apply(
            plates,
            results,
            (FRAME,),
            track=track,
            likeness=likeness,
            knobs=lambda frame: one.values(folder / "track.json"),
            roto=Frames.parse(str(roto)) if one.roto is not None else None,
            slate=verdict.slate,
        )
    assert summary.failed == {}
    result = read_plate(results.path(FRAME))
    assert result.window == one.plate.window
    out = one.pixels()
    for index, name in enumerate("RGB"):
        out[..., index] = result.channels[name]
    return out


def written(track: Track, folder: Path) -> Path:
    save_track(track, folder / "track.json")
    return folder / "track.json"


def assert_same_bits(one: np.ndarray, other: np.ndarray) -> None:
    assert one.shape == other.shape
    differ = (one.view(np.uint32) != other.view(np.uint32)).any(axis=-1)
    assert not differ.any(), f"{differ.sum()} pixels differ, first at {np.argwhere(differ)[0]}"


def drawn(window: Window = WHOLE, display: Window = WHOLE, aspect: float = 1.0) -> Plate:
    """Float pixels with a highlight of 50, negatives, and some that are no number."""
    held = a_plate(window)
    channels = {name: held.channels[name].astype(np.float32) for name in "RGB"}
    channels["G"][3, 5], channels["B"][40, 50], channels["R"][30, 60] = -0.25, np.nan, np.inf
    return Plate(channels, window, display, pixel_aspect=aspect)


def with_alpha(plate: Plate, premultiplied: bool) -> Plate:
    shape = plate.channels["R"].shape
    alpha = np.linspace(0.0, 1.0, shape[0] * shape[1], dtype=np.float32).reshape(shape)
    factor = alpha if premultiplied else np.float32(1.0)
    channels = {name: plate.channels[name] * factor for name in "RGB"}
    return replace(plate, channels={**channels, "A": alpha}, alpha="A" if premultiplied else None)


def of(
    face: Face, size: tuple[int, int] = (120, 90), aspect: float = 1.0, luma: float | None = 0.12
) -> Track:
    """A track as its file will hold it."""
    points = np.array([[round(x, 4), round(y, 4)] for x, y in face.landmarks.tolist()])
    faces = {FRAME: Face(points, luma=luma, source="hand")}
    return Track(faces, size, aspect, frames=(FRAME,))


def squeezed(face: Face, x: float, y: float, right: float = 0.0, down: float = 0.0) -> Face:
    return replace(face, landmarks=face.landmarks * (x, y) + (right, down))


ROTO = np.random.default_rng(3).uniform(-0.2, 1.2, (90, 120)).astype(np.float32)
ROTO[40:44, 50:54] = np.nan
SHAPES = str(Path(__file__).parent / "data" / "shapes.json")
OVERSCAN, CROPPED = Window(-9, -7, 133, 101), Window(31, 22, 97, 66)
PLAIN = Shot(drawn(), of(a_face()))
CASES = {
    "plain": PLAIN,
    "overscan": replace(PLAIN, plate=drawn(OVERSCAN)),
    "cropped": replace(PLAIN, plate=drawn(CROPPED)),
    "at the edge": replace(PLAIN, track=of(a_face((8.0, 4.0)))),
    "elsewhere in the host": replace(PLAIN, plate=drawn(OVERSCAN), origin=(300, -47)),
    "premultiplied": replace(PLAIN, plate=with_alpha(drawn(), True), premultiplied=True),
    "straight alpha": replace(PLAIN, plate=with_alpha(drawn(), False)),
    "anamorphic": replace(
        PLAIN, plate=drawn(aspect=2.0), aspect=2.0, track=of(squeezed(a_face(), 0.5, 1), aspect=2.0)
    ),
    "multiband": replace(PLAIN, knobs={"blend_mode": "multiband", "mask_grow": 3.0}),
    "poisson": replace(PLAIN, knobs={"blend_mode": "poisson", "mix": 0.7}),
    "colour match": replace(PLAIN, knobs={"colour_match": "linear", "exposure": 1.0}),
    "looks and strength": replace(PLAIN, knobs={"looks": 3, "identity_strength": 0.4}),
    "another space": replace(PLAIN, knobs={"input_space": "ACEScg"}),
    "roto multiply": replace(PLAIN, roto=ROTO),
    "roto replace": replace(PLAIN, roto=ROTO, knobs={"roto_mode": "replace"}),
    "roto add": replace(PLAIN, roto=ROTO, knobs={"roto_mode": "add"}),
    "roto alone": replace(PLAIN, roto=ROTO, knobs={"mask_source": "roto"}),
    "drawn": replace(PLAIN, plate=drawn(OVERSCAN), knobs={"roto_file": SHAPES}),
    "drawn adds": replace(PLAIN, knobs={"roto_file": SHAPES, "roto_mode": "add"}),
    "drawn alone": replace(PLAIN, knobs={"roto_file": SHAPES, "mask_source": "roto"}),
    "drawn onto a roto": replace(PLAIN, roto=ROTO, knobs={"roto_file": SHAPES}),
    "drawn, elsewhere": replace(
        PLAIN, plate=drawn(CROPPED), origin=(300, -47), knobs={"roto_file": SHAPES}
    ),
    "drawn, anamorphic": replace(
        PLAIN,
        plate=drawn(aspect=2.0),
        aspect=2.0,
        knobs={"roto_file": SHAPES},
        track=of(squeezed(a_face(), 0.5, 1), aspect=2.0),
    ),
    **{
        f"view {view}": replace(PLAIN, plate=drawn(OVERSCAN), knobs={"view": view})
        for view in ("patch", "matte", "difference", "landmarks", "canonical")
    },
}


@pytest.mark.parametrize("name", CASES)
def test_a_frame_through_the_link_has_the_bits_of_apply(name, link, tmp_path):
    one = CASES[name]
    expected = applied(one, one.track, tmp_path)
    changed = not np.array_equal(expected, one.pixels(), equal_nan=True)
    assert changed, "a frame that changes nothing would show nothing"
    for _ in range(2):  # the second time from the cache
        assert_same_bits(one.linked(link, written(one.track, tmp_path)), expected)


@pytest.mark.parametrize("roto", [{}, {"roto_file": SHAPES, "roto_mode": "add"}])
def test_a_network_that_looks_farther_around_the_face_has_the_bits_of_apply(roto, link, tmp_path):
    model = tmp_path / "graph.adapter.json"
    adapt(graphs.dfm(tmp_path / "graph.onnx", morphs=True), model, name="Ada Kestrel")
    # A plate around the face and around what the network sees of it; and a slate at its foot.
    window = Window(-60, -50, 180, 140)
    one = replace(PLAIN, plate=drawn(window), model=model, knobs=roto)
    expected = applied(one, one.track, tmp_path)
    assert not np.array_equal(expected[:120], one.pixels()[:120], equal_nan=True)
    for _ in range(2):
        assert_same_bits(one.linked(link, written(one.track, tmp_path)), expected)


@pytest.mark.parametrize(
    ("scale", "size", "display"),
    [
        ((0.5, 0.5), (240, 180), WHOLE),
        ((0.5, 0.5), (239, 179), WHOLE),
        ((1.0, 0.5), (120, 180), WHOLE),
    ],
)
def test_a_proxy_has_the_bits_of_apply_on_a_proxy(scale, size, display, link, tmp_path):
    """The track is of the full resolution; rows of a half count from the bottom, as hosts do."""
    full = of(squeezed(a_face(), 1 / scale[0], 1 / scale[1]), size)
    down = WHOLE.y1 - size[1] * scale[1]
    proxy = squeezed(full.faces[FRAME], *scale, 0.0, down)
    aspect = scale[1] / scale[0]
    one = replace(PLAIN, plate=drawn(aspect=aspect), scale=scale, size=size)
    expected = applied(one, Track({FRAME: proxy}, (120, 90), aspect), tmp_path)
    assert_same_bits(one.linked(link, written(full, tmp_path)), expected)


def test_drawn_shapes_of_the_full_size_are_those_of_the_proxy_and_follow_their_file(link, tmp_path):
    shapes = tmp_path / "shapes.json"

    def draw(left: float, scale: float, down: float = 0.0) -> None:
        corners = ((left, 10.0), (90.0, 12.0), (85.0, 80.0), (left + 6.0, 70.0))
        points = tuple(Point(x * scale, y * scale + down) for x, y in corners)
        key = ShapeKey(points, 4.0 * scale)
        size = (round(120 * scale), round(90 * scale))
        save_shapes(Shapes(size, (Shape("a", {FRAME: key}),)), shapes)

    knobs = {"roto_file": str(shapes), "mask_source": "roto", "view": "matte"}
    full = of(squeezed(a_face(), 2.0, 2.0), (240, 180))
    proxy = replace(PLAIN, scale=(0.5, 0.5), size=(240, 180), knobs=knobs)
    shown = []
    for left in (30.0, 50.0):  # drawn anew under the same name
        draw(left, 2.0)
        one = proxy.linked(link, written(full, tmp_path))[..., 0]
        draw(left, 1.0)
        other = applied(replace(PLAIN, knobs=knobs), of(a_face()), tmp_path)[..., 0]
        assert np.abs(one - other).max() < 1e-3
        shown.append(one)
    assert np.abs(shown[0] - shown[1]).max() == 1.0


def example(**knobs: Any) -> Shot:
    """A frame of the example plate, in float, by the example's own track and likeness."""
    half = read_plate(EXAMPLES / f"plate.{FRAME}.exr")
    channels = {name: half.channels[name].astype(np.float32) for name in "RGB"}
    plate = Plate(channels, half.window, half.display_window)
    size = (half.display_window.width, half.display_window.height)
    return Shot(plate, load_track(EXAMPLES / "track.json"), knobs, size=size)


def test_the_example_at_its_defaults_has_the_bits_of_apply(link, tmp_path):
    """Smoothing and exposure are of the whole track, of which the link sees no other frame."""
    one = example(looks=9, mask_occlusion=0.5)
    assert_same_bits(one.linked(link, EXAMPLES / "track.json"), applied(one, one.track, tmp_path))


def test_a_likeness_without_a_release_carries_the_slate_and_only_its_pixels_travel(link, tmp_path):
    large = Window(0, 0, 480, 360)
    plate = Plate({name: np.tile(drawn().channels[name], (4, 4)) for name in "RGB"}, large, large)
    one = Shot(plate, of(a_face((300.0, 150.0)), (480, 360)), size=(480, 360),
               model=tiny_model(tmp_path / "tiny.onnx"))  # fmt: skip
    track = written(one.track, tmp_path)
    frame = link.frame(one.plan(track), one.fill)
    assert_same_bits(one.shown(frame), applied(one, one.track, tmp_path))
    assert "UNLICENSED PREVIEW" in frame.done.note
    region = one.window(frame.region.rectangle)
    assert region.y1 > 300
    assert region.y0 > 90, "what neither face nor slate touches stays at home"


def test_only_what_changed_comes_back_and_only_what_is_wanted(link, tmp_path):
    track = written(PLAIN.track, tmp_path)
    frame = link.frame(PLAIN.plan(track), PLAIN.fill)
    x1, y1, x2, y2 = frame.region.rectangle
    assert (x2 - x1) * (y2 - y1) < 120 * 90
    wanted = Window(0, 0, 60, 90)
    half = link.frame(PLAIN.plan(track, wanted=wanted), PLAIN.fill)
    assert half.region.rectangle == frame.region.rectangle, "the face is needed whole"
    assert wanted.contains(PLAIN.window(half.done.changed))
    away = Window(0, 0, 5, 5)
    assert protocol.is_empty(link.plan(PLAIN.plan(track, wanted=away)).rectangle)


def test_a_frame_without_a_face_is_the_source_and_says_so(link, tmp_path):
    track = written(PLAIN.track, tmp_path)
    plan = replace(PLAIN.plan(track), time=1007.0)
    region = link.plan(plan)
    assert protocol.is_empty(region.rectangle)
    assert "frame 1007: no face" in region.message
    black = replace(PLAIN, knobs={"view": "matte"})
    shown = black.shown(link.frame(replace(black.plan(track), time=1007.0), black.fill))
    assert (shown[..., :3] == 0.0).all()


def test_without_a_track_the_face_is_found_in_the_frame_as_the_tracker_would(link, tmp_path):
    one = example(track_file="")
    own = Frames.parse(tmp_path / "frame.####.exr")
    write_plate(one.plate, own.path(FRAME))
    track = track_shot(
        own, (FRAME,), open_provider(), ColourKnobs(), lambda frame, face: None, lambda: False
    )
    frame = link.frame(one.plan(Path()), one.fill)
    assert one.window(frame.region.rectangle) == one.plate.window
    assert_same_bits(one.shown(frame), applied(one, track, tmp_path))


def test_a_track_without_luma_is_exposed_by_the_frame_and_says_so(link, tmp_path):
    track = of(a_face(), luma=None)
    frame = link.frame(PLAIN.plan(written(track, tmp_path)), PLAIN.fill)
    assert "holds no luma" in frame.done.note
    assert_same_bits(PLAIN.shown(frame), applied(PLAIN, track, tmp_path))


# ------------------------------------------------------------------------------ what goes wrong


def test_what_is_wrong_with_a_frame_is_its_answer_and_the_next_one_is_well(link, tmp_path):
    track = written(PLAIN.track, tmp_path)
    model = tmp_path / "likeness.onnx"

    def refused(knobs: dict[str, Any], **changes: Any) -> str:
        one = replace(PLAIN, model=model, knobs=knobs, **changes)
        with pytest.raises(JobFailed) as failed:
            one.linked(link, track)
        assert not failed.value.retry
        return str(failed.value)

    assert f"{model} can't be read" in refused({})
    model.write_bytes(b"no model")
    assert str(model) in refused({})
    shutil.copy(JUNE, model)
    assert "frame 1001" in refused({"track_file": "/nowhere.json"})
    assert "/nowhere.json, and there is no such file" in refused({"roto_file": "/nowhere.json"})
    assert "likeness" in refused({"likeness": "another"})
    assert "knob 'model' is empty" in refused({"model": ""})
    assert "240 × 180" in refused({}, size=(240, 180))
    wrong = protocol.encode_knobs(Knobs()).replace(struct.pack("<d", 5.0), struct.pack("<d", 77.0))
    if wrong == protocol.encode_knobs(Knobs()):
        wrong = wrong.replace(struct.pack("<d", 8.0), struct.pack("<d", 77.0))
    with pytest.raises(JobFailed, match="mask_feather"):
        link.plan(replace(PLAIN.plan(track), knobs=wrong))
    assert_same_bits(PLAIN.linked(link, track), applied(PLAIN, PLAIN.track, tmp_path))


def test_a_model_that_is_swapped_or_deleted_is_never_the_old_one(link, tmp_path):
    model, track = tmp_path / "swapped.onnx", written(PLAIN.track, tmp_path)
    one = replace(PLAIN, model=model)
    seen = []
    for change in (0.1, 0.2):
        tiny_model(model, change=change)
        expected = applied(one, one.track, tmp_path)
        assert_same_bits(one.linked(link, track), expected)
        seen.append(expected)
    assert not np.array_equal(*seen, equal_nan=True)
    model.unlink()
    with pytest.raises(JobFailed, match="can't be read"):
        one.linked(link, track)
    tiny_model(model, change=0.1)
    assert_same_bits(one.linked(link, track), seen[0])


def test_a_track_that_changed_since_the_plan_asks_for_a_new_plan(link, tmp_path):
    track = written(PLAIN.track, tmp_path)
    plan = PLAIN.plan(track)

    def fill(*given: Any) -> None:
        PLAIN.fill(*given)
        written(of(a_face((80.0, 50.0))), tmp_path)

    with pytest.raises(JobFailed, match="changed meanwhile") as failed:
        link.frame(plan, fill)
    assert failed.value.retry


# -------------------------------------------------------------------------------- the handshake


def raw(folder: Path) -> socket.socket:
    one = socket.socket(socket.AF_UNIX)
    one.connect(str(folder / "worker-1.sock"))
    one.settimeout(10.0)
    return one


def told(one: socket.socket) -> str:
    """The reason of the error that a connection ends with."""
    data = b""
    with suppress(ConnectionError):
        while piece := one.recv(65536):
            data += piece
    one.close()
    header = protocol.decode_header(data[:24])
    message = protocol.decode(header.type, data[24:])
    assert isinstance(message, protocol.Error), message
    return message.reason


def test_who_knows_other_knobs_or_another_protocol_is_told_what_to_update(shared):
    with pytest.raises(WorkerError, match=r"knobs 0000.*install-host"):
        Link.open(shared, starting=False, knobs="0" * 16)
    hello = protocol.Hello(1, "x", "test", 1)
    for data, said in (
        (protocol.encode(replace(hello, protocol=2), 0, 1), "protocol 2"),
        (protocol.encode(hello, 0, 1).replace(b"SMBL\1\0", b"SMBL\2\0"), "protocol 2"),
        (protocol.encode(protocol.Ping(1), 0, 1), "Hello first"),
        (b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n", "begins with"),
    ):
        one = raw(shared)
        one.sendall(data)
        assert said in told(one)


def test_a_message_that_is_no_message_ends_its_own_connection_alone(shared, link):
    with Link.open(shared, starting=False) as other:
        other._channel._stream.send(b"SMBL\1\0" + b"\xff" * 18, time.monotonic() + 1.0)
        with pytest.raises(WorkerError, match="no message"):
            other.ping()
    link.ping()


def test_a_socket_that_is_not_private_is_refused_by_both_sides(home):
    with served(home):
        home.chmod(0o755)
        with pytest.raises(WorkerError, match="not safe"):
            Link.open(home, starting=False)
        home.chmod(0o700)
        (home / "worker-1.sock").chmod(0o666)
        with pytest.raises(WorkerError, match="not safe"):
            Link.open(home, starting=False)
    other = home.with_name("open")
    other.mkdir(0o777)
    other.chmod(0o777)
    environ = {**os.environ, "SEMBLANCE_RUNTIME": str(other)}
    done = subprocess.run(command(), env=environ, capture_output=True, text=True)
    assert (done.returncode, "not safe" in done.stderr) == (1, True)
    assert "Traceback" not in done.stderr


def test_a_worker_that_can_not_be_started_is_reported(home):
    with pytest.raises(WorkerError, match="can't be started"):
        Link.open(home, command=["/nowhere/semblance", "serve"])
    with pytest.raises(WorkerError, match="exit code 3"):
        Link.open(home, command=[sys.executable, "-c", "raise SystemExit(3)"])
    with pytest.raises(WorkerError, match="no worker answers"):
        Link.open(home, starting=False)


# --------------------------------------------------------------------------------------- jobs


def slow(instance: int, track: Path) -> Shot:
    """A frame of a third of a second, which no cache knows."""
    plate = drawn()
    plate.channels["R"][0, 0] = np.float32(random.random())
    plate.channels["R"][45, 60] = np.float32(random.random())
    return replace(PLAIN, plate=plate, knobs={"looks": 9})


def test_several_clients_at_once_all_get_their_own_frames(shared, tmp_path):
    shots = [replace(PLAIN, knobs={"mix": 0.2 * (index + 1)}) for index in range(4)]
    expected = [applied(one, one.track, tmp_path / str(i)) for i, one in enumerate(shots)]
    track = written(PLAIN.track, tmp_path)
    wrong: list[str] = []

    def host(index: int) -> None:
        try:
            with Link.open(shared, starting=False) as link:
                for _ in range(6):
                    shown = shots[index].linked(link, track, instance=index)
                    assert_same_bits(shown, expected[index])
        except Exception as error:  # noqa: BLE001 - a thread has nobody above it
            wrong.append(repr(error))

    threads = [threading.Thread(target=host, args=(index,)) for index in range(4)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert wrong == []


def test_a_cancelled_frame_ends_early_and_says_so(link, tmp_path):
    one, track = slow(1, tmp_path), written(PLAIN.track, tmp_path)
    number = link.number() + 7
    begun = time.monotonic()
    threading.Timer(0.05, link.cancel, (number,)).start()
    with pytest.raises(Cancelled):
        link.frame(one.plan(track), one.fill, number=number)
    early = time.monotonic() - begun
    link.cancel(12345)  # of no job: nothing
    assert early < 5.0
    assert_same_bits(PLAIN.linked(link, track), applied(PLAIN, PLAIN.track, tmp_path))


def test_a_newer_frame_of_an_instance_takes_the_place_of_the_older_one(shared, tmp_path):
    track = written(PLAIN.track, tmp_path)
    outcome: list[object] = []

    def older(index: int) -> None:
        with Link.open(shared, starting=False) as link:
            one = slow(3, track)
            try:
                outcome.append(link.frame(one.plan(track, instance=3), one.fill))
            except Cancelled as error:
                outcome.append(error)

    threads = [threading.Thread(target=older, args=(index,)) for index in range(3)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert sum(isinstance(each, Frame) for each in outcome) >= 1
    assert sum(isinstance(each, Cancelled) for each in outcome) >= 1


def render_of(one: Shot, track: Path, link: Link, instance: int) -> protocol.Render:
    """The request that the link would send."""
    plan = one.plan(track, instance=instance)
    region = link.plan(plan)
    size, offsets = protocol.blocks(region.rectangle, mask=False)
    one.fill(region.rectangle, link.slot(size)[: (size // 2)][: _bytes(region.rectangle)], None)
    given = {item.name: getattr(plan, item.name) for item in fields(protocol.Plan)}
    return protocol.Render(**given, slot=1, filled=region.rectangle, offsets=offsets)


def _bytes(rectangle: Rectangle) -> int:
    return 16 * (rectangle[2] - rectangle[0]) * (rectangle[3] - rectangle[1])


def test_the_queue_is_bounded_and_every_job_is_answered_once(link, tmp_path):
    track = written(PLAIN.track, tmp_path)
    channel = link._channel
    asked = render_of(slow(0, track), track, link, 100)
    numbers = range(1000, 1080)
    for number in numbers:
        channel.send(replace(asked, instance=number), number, seconds=5.0)
    answers: dict[int, Any] = {}
    while len(answers) < len(numbers):
        message, number, _ = channel.receive(time.monotonic() + 60.0)
        assert number not in answers
        answers[number] = message
    busy = [each for each in answers.values() if isinstance(each, protocol.Failed)]
    assert 80 - 64 - 3 <= len(busy) <= 80 - 64
    assert all(each.retry == 1 and "64 frames" in each.reason for each in busy)
    assert sum(isinstance(each, protocol.Done) for each in answers.values()) == 80 - len(busy)


def test_jobs_of_a_host_that_is_gone_or_of_a_forgotten_instance_are_dropped(shared, link, tmp_path):
    track = written(PLAIN.track, tmp_path)
    with Link.open(shared, starting=False) as other:
        asked = render_of(slow(0, track), track, other, 1)
        for number in range(500, 520):
            other._channel.send(replace(asked, instance=number), number, seconds=5.0)
    asked = render_of(slow(0, track), track, link, 1)
    for number in (600, 601):
        link._channel.send(replace(asked, instance=number), number, seconds=5.0)
    link.forget(601)
    answers = {}
    begun = time.monotonic()
    while len(answers) < 2:
        message, number, _ = link._channel.receive(time.monotonic() + 30.0)
        answers[number] = message
    assert isinstance(answers[601], protocol.Cancelled)
    assert isinstance(answers[600], protocol.Done)
    assert time.monotonic() - begun < 3.0


def test_a_render_that_lies_about_its_slot_ends_its_connection(shared, tmp_path):
    track = written(PLAIN.track, tmp_path)
    for wrong in (
        {"slot": 9}, {"offsets": (0, -1, 1 << 30)}, {"filled": (0, 0, 1 << 20, 1 << 20)},
        {"knobs": b"torn"},
    ):  # fmt: skip
        with Link.open(shared, starting=False) as link:
            asked = render_of(PLAIN, track, link, 1)
            with pytest.raises((WorkerError, protocol.ProtocolError)):
                link.render(replace(asked, **wrong))


# ----------------------------------------------------------------------------- life and death


def test_it_ends_when_idle_and_leaves_nothing_in_the_way(home):
    with served(home, "--idle", "1") as link:
        pid = link.welcome.pid
        assert (home / "worker-1.sock").exists()
        assert json.loads((home / "worker-1.json").read_text())["pid"] == pid
        until(lambda: not alive(pid))
        assert sorted(each.name for each in home.iterdir()) == ["worker-1.lock", "worker-1.log"]
        with pytest.raises(WorkerGone):
            link.ping()
    events = [json.loads(line) for line in (home / "worker-1.log").read_text().splitlines()]
    assert events[0]["event"] == "start"
    assert {("stop", "idle")} <= {(each["event"], each.get("reason")) for each in events}


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_ends_cleanly_when_it_is_told_to_even_at_work(home, tmp_path, number):
    home.mkdir(0o700)
    environ = {**os.environ, "SEMBLANCE_RUNTIME": str(home)}
    worker = subprocess.Popen(command(), env=environ, stderr=subprocess.PIPE)
    until(lambda: (home / "worker-1.sock").exists())
    with Link.open(home, starting=False) as link:
        track = written(PLAIN.track, tmp_path)
        asked = render_of(slow(0, track), track, link, 1)
        for job in range(500, 510):
            link._channel.send(replace(asked, instance=job), job, seconds=5.0)
        link._channel.receive(time.monotonic() + 30.0)  # the first of them is done
        worker.send_signal(number)
        answers = 1
        with suppress(EOFError):
            while True:
                message, _, _ = link._channel.receive(time.monotonic() + 10.0)
                answers += 1
                if isinstance(message, protocol.Failed):
                    assert message.retry == 1
        assert answers == 10
    assert worker.wait(10.0) == 0
    assert worker.stderr is not None
    assert worker.stderr.read() == b""
    worker.stderr.close()
    assert not (home / "worker-1.sock").exists()


def test_a_killed_worker_stops_nobody_from_starting_the_next(home, tmp_path):
    track = written(PLAIN.track, tmp_path)
    expected = None
    for _ in range(3):
        with served(home) as link:
            shown = PLAIN.linked(link, track)
            expected = shown if expected is None else expected
            assert_same_bits(shown, expected)
            end(link.welcome.pid)
            with pytest.raises(WorkerGone):
                link.ping()
        assert (home / "worker-1.sock").exists(), "it was killed, so it left its socket"
    assert not (tmp_path / ".cache").exists(), "the runtime collected something about its use"


def test_a_bound_that_leaves_no_room_for_pixels_is_refused(capsys):
    assert main(["serve", "--cache-mb", "200", "--memory-mb", "200"]) == 2
    assert "--memory-mb holds the cache too" in capsys.readouterr().err


def test_one_worker_runs_however_many_are_started(home):
    home.mkdir(0o700)
    environ = {**os.environ, "SEMBLANCE_RUNTIME": str(home)}
    started = [
        subprocess.Popen(command("--idle", "20"), env=environ, stderr=subprocess.PIPE)
        for _ in range(4)
    ]
    with Link.open(home, starting=False) if _there(home) else served(home) as link:
        until(lambda: sum(each.poll() is None for each in started) == 1, 20.0)
        (running,) = [each for each in started if each.poll() is None]
        assert running.pid == link.welcome.pid
        assert all(each.returncode == 0 for each in started if each is not running)
        running.terminate()
    for each in started:
        assert each.stderr is not None
        words = each.communicate()[1].decode()
        assert words == ("" if each is running else "semblance: a worker is running already.\n")


def _there(home: Path) -> bool:
    until(lambda: (home / "worker-1.sock").exists(), 20.0)
    return True


def test_a_worker_that_can_not_compute_says_why_and_makes_room_for_the_next(home, tmp_path):
    broken = "import sys; sys.modules['cv2'] = None; " + PROGRAM[2]
    with Link.open(home, command=[sys.executable, "-c", broken, "serve"]) as link:
        with pytest.raises(JobFailed, match=r"can't load .*cv2.*semblance doctor"):
            link.plan(PLAIN.plan(written(PLAIN.track, tmp_path)))
        until(lambda: not alive(link.welcome.pid))


def test_memory_is_bounded_over_all_hosts(home, tmp_path):
    with served(home, "--cache-mb", "16", "--memory-mb", "80") as link:
        assert link.welcome.largest_slot == 64 << 20
        with pytest.raises(JobFailed, match="memory-mb") as failed:
            link.slot(65 << 20)
        assert failed.value.retry
        large = replace(PLAIN.plan(Path()), bounds=(0, 0, 4096, 2160))
        with pytest.raises(JobFailed, match="MB of shared memory") as failed:
            link.plan(large)
        assert not failed.value.retry
        link.slot(40 << 20)
        with Link.open(home, starting=False) as other:
            with pytest.raises(JobFailed):
                other.slot(40 << 20)
            link.slot(50 << 20)  # takes the place of the smaller one
        link.close()
        with Link.open(home, starting=False) as other:
            other.slot(60 << 20)
            track = written(PLAIN.track, tmp_path)
            slow(0, track).linked(other, track)
            before = _resident(other.welcome.pid)
            for _ in range(12):
                one = replace(slow(0, track), knobs={"looks": 1})
                one.linked(other, track)
            assert _resident(other.welcome.pid) - before < 40.0


def _resident(pid: int) -> float:
    """MiB of a process's own memory."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * 4096 / 2**20


# ----------------------------------------------------------------------------------------- fuzz


def _mutated(data: bytes, dice: random.Random) -> bytes:
    changed = bytearray(data)
    for _ in range(dice.choice([0, 1, 1, 1, 2, 8])):
        kind = dice.randrange(5)
        at = dice.randrange(len(changed)) if changed else 0
        if kind == 0 and changed:
            changed[at] = dice.randrange(256)
        elif kind == 1 and changed:
            changed[at] ^= 1 << dice.randrange(8)
        elif kind == 2:
            changed[at:at] = dice.randbytes(dice.randrange(1, 32))
        elif kind == 3:
            del changed[at : at + dice.randrange(1, 32)]
        elif len(changed) >= 8:
            at = dice.randrange(0, len(changed) - 7)
            odd = dice.choice([0, 1, -1, 1 << 31, -(1 << 63), (1 << 63) - 1, 1 << 20])
            changed[at : at + 8] = struct.pack("<q", odd)
    return bytes(changed)


def _answered(one: socket.socket) -> bool:
    """Whether the worker took the last message for one and wants more.

    One that claims to be longer than it is waits for its rest, which nobody sends.
    """
    one.settimeout(0.02)
    while True:
        header = _exactly(one, protocol.HEADER_BYTES)
        if not header:
            return False
        about = protocol.decode_header(header)
        message = protocol.decode(about.type, _exactly(one, about.length))
        if isinstance(message, (protocol.Welcome, protocol.Pong, protocol.Error)):
            return not isinstance(message, protocol.Error)


def _exactly(one: socket.socket, count: int) -> bytes:
    """So many bytes, or none where they do not come."""
    data = b""
    with suppress(OSError):
        while len(data) < count and (piece := one.recv(count - len(data))):
            data += piece
    return data if len(data) == count else b""


def _fuzz(home: Path, folder: Path, count: int) -> None:
    """Send so many mutated messages; the worker must neither die, hang nor grow."""
    dice = random.Random(20)
    track = written(PLAIN.track, folder)
    quick = replace(PLAIN, model=tiny_model(folder / "tiny.onnx"))
    with served(home, "--cache-mb", "32", "--memory-mb", "200") as link:
        pid = link.welcome.pid
        asked = render_of(quick, track, link, 1)
        size = 1 << 20
        memory = SharedMemory.create(size)
        hello = protocol.Hello(1, link.welcome.digest, "fuzz", os.getpid())
        messages = [
            protocol.Ping(5), quick.plan(track), asked, protocol.Slot(1, size), protocol.Cancel(),
            protocol.Forget(1), hello,
        ]  # fmt: skip
        quick.linked(link, track)
        grown, sent = None, 0
        files = len(os.listdir(f"/proc/{pid}/fd"))
        while sent < count:
            with raw(home) as one, suppress(OSError):
                first = protocol.encode(hello, 0, 1)
                one.sendall(_mutated(first, dice) if dice.random() < 0.1 else first)
                sequence = 1
                while sent < count and _answered(one):
                    sequence += 1
                    sent += 1
                    message = dice.choice(messages)
                    data = _mutated(protocol.encode(message, sequence, sequence), dice)
                    if isinstance(message, protocol.Slot) or dice.random() < 0.02:
                        descriptors = memory.descriptors * dice.choice([0, 1, 1, 1, 2])
                        socket.send_fds(one, [data], descriptors)
                    else:
                        one.sendall(data)
                    sequence += 1
                    one.sendall(protocol.encode(protocol.Ping(1), 1, sequence))
            if grown is None and sent > count // 3:
                link.ping(30.0)
                grown = _resident(pid)
        memory.close()
        link.ping(30.0)
        until(lambda: len(os.listdir(f"/proc/{pid}/fd")) <= files, 30.0)
        assert grown is not None
        assert _resident(pid) - grown < 32.0
        frame = quick.linked(link, track)
        assert_same_bits(frame, applied(quick, quick.track, folder))
        log = home / "worker-1.log"
        assert sum(each.stat().st_size for each in home.glob("worker-1.log*")) < 5 << 20
        assert '"traceback"' not in log.read_text()


def test_no_message_breaks_the_worker(home, tmp_path):
    _fuzz(home, tmp_path, 1500)


@pytest.mark.slow
def test_no_message_of_a_hundred_thousand_breaks_the_worker(home, tmp_path):
    _fuzz(home, tmp_path, 100_000)
