"""The viewer without Qt: pixels as a display takes them, and frames by a worker that runs."""

from __future__ import annotations

import json
import os
import shutil
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import PyOpenColorIO as ocio
import pytest
from hypothesis import given
from hypothesis import strategies as st

from helpers_plates import exr_part, write_exr
from semblance import colour, shot
from semblance.errors import KnobError
from semblance.exr import Sequence, read_plate
from semblance.knobs import Knobs
from semblance.model import Likeness
from semblance.plate import Window
from semblance.track.file import load_track, save_track
from semblance.worker.client import Link
from semblance_viewer import display
from semblance_viewer.display import Display, Look, default_look, displays
from semblance_viewer.engine import Engine, rgba
from semblance_viewer.pool import Pool

if sys.platform == "win32":
    pytest.skip("Unix sockets", allow_module_level=True)

EXAMPLES = Path(__file__).parents[1] / "examples"
PROGRAM = "import sys; from semblance.cli import main; sys.exit(main())"
COMMAND = [sys.executable, "-c", PROGRAM, "serve", "--trust", str(EXAMPLES / "trust")]
BUILT_IN = "ocio://studio-config-latest"
ACES = "ACES 2.0 - SDR 100 nits (Rec.709)"

# ------------------------------------------------------------------------------------ display


def light() -> np.ndarray:
    """Linear Rec.709 from black to far above white, greys to pure colours, negatives."""
    random = np.random.default_rng(5)
    levels = np.exp2(random.uniform(-12.0, 7.0, (192, 192, 1)))
    pixels = np.ones((192, 192, 4), np.float32)
    pixels[..., :3] = levels * np.exp2(random.normal(0.0, 0.8, (192, 192, 3)))
    pixels[:8, :, :3] = 0.0
    pixels[8:16, :, :3] *= np.float32([1.0, -0.1, 1.0])
    pixels[16:32, :, :3] = 0.18 + random.normal(0.0, 0.02, (16, 192, 3))
    pixels[..., 3] = random.uniform(0.0, 1.0, (192, 192))
    return pixels


def by_ocio(pixels: np.ndarray, space: str, look: Look) -> np.ndarray:
    """The same by OpenColorIO alone, in float: to light, exposure, view, gamma, rounding."""
    config = ocio.Config.CreateFromFile(BUILT_IN)

    def through(processor: ocio.Processor, values: np.ndarray) -> np.ndarray:
        values = np.ascontiguousarray(values, np.float32)
        processor.getOptimizedCPUProcessor(
            ocio.BIT_DEPTH_F32, ocio.BIT_DEPTH_F32, ocio.OPTIMIZATION_LOSSLESS
        ).applyRGBA(values)
        return values

    linear = through(config.getProcessor(space, "ACEScg"), pixels.copy())
    linear[..., :3] *= np.float32(2.0**look.exposure)
    if look.channel == "luma":
        weights = np.float32(config.getDefaultLumaCoefs())
        linear[..., :3] = (linear[..., :3] @ weights)[..., np.newaxis]
    elif look.channel != "rgb":
        linear[..., :3] = linear[..., ["rgb".index(look.channel)]]
    view = config.getProcessor("ACEScg", look.display, look.view, ocio.TRANSFORM_DIR_FORWARD)
    shown = np.clip(through(view, linear)[..., :3], 0.0, 1.0) ** (1.0 / look.gamma)
    return np.round(255.0 * shown).astype(int)


@pytest.mark.parametrize("space", [colour.LINEAR, "ACEScg", "ARRI LogC4"])
@pytest.mark.parametrize(
    "look",
    [
        Look("sRGB - Display", ACES),
        Look("sRGB - Display", ACES, exposure=-1.5, gamma=1.6, channel="luma"),
        Look("Rec.1886 Rec.709 - Display", "Un-tone-mapped", exposure=0.7),
        Look("Rec.2100-PQ - Display", "ACES 2.0 - HDR 1000 nits (P3 D65)", channel="g"),
    ],
    ids=["aces", "aces luma", "colorimetric", "hdr"],
)
def test_every_pixel_is_within_one_code_of_ocio_itself(space: str, look: Look) -> None:
    pixels = light()
    given = colour.from_linear(pixels[..., :3], space)
    pixels[..., :3] = given
    shown = Display(space, look).show(pixels)
    assert shown.dtype == np.uint8
    assert shown.shape == pixels.shape
    assert (shown[..., 3] == 255).all()
    wrong = np.abs(shown[..., :3].astype(int) - by_ocio(pixels, space, look)).max(axis=2)
    # A view may jump between two floats that are next to each other; it does at pure colours.
    assert np.count_nonzero(wrong > 1) <= 2


def test_pixels_that_are_no_numbers_are_seen_and_harm_no_other() -> None:
    pixels = light()
    before = Display(colour.LINEAR, default_look()).show(pixels)
    pixels[40, 50, 1] = np.nan
    pixels[41, 50, :3] = np.inf
    pixels[42, 50, :3] = (np.inf, -np.inf, 0.0)
    after = Display(colour.LINEAR, default_look()).show(pixels)
    assert tuple(after[40, 50]) == (*display.NOT_A_NUMBER, 255)
    assert after[41, 50].min() > 200
    assert tuple(after[42, 50]) != (*display.NOT_A_NUMBER, 255)
    same = np.ones(before.shape[:2], bool)
    same[40:43, 50] = False
    assert (before[same] == after[same]).all()


def test_alpha_is_shown_as_it_is_and_a_wrong_look_is_named() -> None:
    pixels = light()
    shown = Display("ARRI LogC4", Look("sRGB - Display", ACES, channel="a")).show(pixels)
    assert np.abs(shown[..., 0] - 255.0 * pixels[..., 3]).max() <= 0.51
    assert (shown[..., :3] == shown[..., :1]).all()
    with pytest.raises(KnobError, match="No such view"):
        Display(colour.LINEAR, Look("sRGB - Display", "No such view"))


def test_the_artists_own_config_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = ocio.Config.CreateFromFile(BUILT_IN)
    config.setActiveDisplays("Gamma 2.2 Rec.709 - Display")
    config.setActiveViews("Un-tone-mapped")
    path = tmp_path / "studio.ocio"
    path.write_text(config.serialize())
    monkeypatch.setenv("OCIO", str(path))
    assert displays() == {"Gamma 2.2 Rec.709 - Display": ("Un-tone-mapped",)}
    grey = np.full((1, 1, 4), 0.5, np.float32)
    shown = Display(colour.LINEAR, default_look()).show(grey)
    assert abs(int(shown[0, 0, 0]) - round(255.0 * 0.5 ** (1.0 / 2.2))) <= 1


# --------------------------------------------------------------------------------------- pool


@given(
    st.lists(st.tuples(st.integers(0, 9), st.integers(0, 3), st.integers(1, 60)), max_size=60),
    st.lists(st.integers(0, 9), min_size=1, max_size=5, unique=True),
)
def test_the_pool_keeps_its_bound_and_what_is_wanted_most(
    puts: list[tuple[int, int, int]], wanted: list[int]
) -> None:
    pool = Pool(100)
    pool.wanted(wanted)
    held: dict[object, int] = {}
    for frame, kind, size in puts:
        kept = pool.put((frame, kind), object(), size, frame)
        held[frame, kind] = size if kept else 0
        first = sum(size for (at, _), size in held.items() if at == wanted[0])
        assert pool.size <= max(100, first)
        if frame == wanted[0]:
            assert kept
    for key, size in held.items():
        if key[0] == wanted[0] and size:
            assert pool.get(key) is not None


# -------------------------------------------------------------------------------- with a worker


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The runtime directory of a worker that trusts the examples' key."""
    folder = tmp_path_factory.mktemp("viewer") / "run"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HOME", str(folder.parent))
        patch.setenv("OMP_NUM_THREADS", "1")
        with Link.open(folder, command=COMMAND, seconds=60.0):
            yield folder
        end(folder, signal.SIGTERM)


def end(home: Path, how: signal.Signals) -> None:
    os.kill(json.loads((home / "worker-1.json").read_text())["pid"], how)


def knobs(**values: object) -> Callable[[int], Knobs]:
    made = Knobs.from_flat(
        {
            "model": str(EXAMPLES / "likeness.onnx"),
            "track_file": str(EXAMPLES / "track.json"),
            "looks": 1,
            **values,
        }
    )
    return lambda frame: made


class Opened(Engine):
    """An engine whose test waits for it."""

    def __init__(self, home: Path, plates: str, **more: object) -> None:
        self._news = threading.Condition()
        super().__init__(
            Sequence.parse(plates),
            directory=home,
            command=COMMAND,
            changed=self._notice,
            **more,  # type: ignore[arg-type]
        )

    def _notice(self, frame: int) -> None:
        with self._news:
            self._news.notify_all()

    def until(self, condition: Callable[[], bool], seconds: float = 60.0) -> None:
        deadline = time.monotonic() + seconds
        with self._news:
            while not condition():
                assert time.monotonic() < deadline, "it did not come"
                self._news.wait(0.05)


@pytest.fixture
def engine(home: Path) -> Iterator[Opened]:
    with Opened(home, str(EXAMPLES / "plate.####.exr")) as engine:
        yield engine


def test_the_result_is_the_one_that_apply_writes(engine: Opened, tmp_path: Path) -> None:
    engine.want(1004, knobs(mask_feather=11.0))
    engine.until(lambda: engine.fresh(1004))
    result, plate = engine.result(1004), engine.plate(1004)
    assert result is not None
    assert plate is not None
    assert not result.failed
    written = Sequence.parse(tmp_path / "out.####.exr")
    with Likeness.open(EXAMPLES / "likeness.onnx", threads=1) as likeness:
        shot.apply(
            engine.plates,
            written,
            (1004,),
            track=load_track(EXAMPLES / "track.json"),
            likeness=likeness,
            knobs=knobs(mask_feather=11.0),
        )
    frame = read_plate(written.path(1004))
    ours = rgba(plate, plate.window)
    ours[result.window.slices(plate.window)] = result.pixels
    for index, name in enumerate("RGB"):
        assert (ours[..., index].astype(np.float16) == frame.channels[name]).all()
    changed = np.argwhere(frame.channels["R"] != plate.channels["R"])
    row, column = changed[len(changed) // 2]
    before, after = engine.probe(1004, column + 0.9, row + 0.1)
    assert after[:3] == tuple(float(frame.channels[name][row, column]) for name in "RGB")
    assert before[:3] == tuple(float(plate.channels[name][row, column]) for name in "RGB")
    assert engine.probe(1004, -1.0, 3.0) == (None, None)


def test_the_newest_wish_wins_and_the_bar_says_what_is_old(engine: Opened) -> None:
    engine.want(1001, knobs(mix=0.1), (1002, 1003))
    engine.until(lambda: all(engine.fresh(frame) for frame in (1001, 1002, 1003)))
    states = engine.states()
    assert [states[frame] for frame in (1001, 1003, 1004)] == ["result", "result", "nothing"]
    for step in range(20):
        engine.want(1001, knobs(mix=0.5 + step / 100.0))
        assert not engine.fresh(1001)
    assert engine.states()[1002] == "stale"
    engine.until(lambda: engine.fresh(1001))
    last = engine.result(1001)
    engine.want(1001, knobs(mix=0.69))
    assert engine.result(1001) is last
    assert engine.fresh(1001)
    engine.want(1001, None)
    assert engine.states()[1001] == "stale"


def test_a_track_that_was_written_anew_counts(engine: Opened, tmp_path: Path) -> None:
    path = tmp_path / "track.json"
    track = load_track(EXAMPLES / "track.json")
    save_track(track, path)
    engine.want(1005, knobs(track_file=str(path)))
    engine.until(lambda: engine.fresh(1005))
    before = engine.result(1005)
    for face in track.faces.values():
        face.landmarks[:] += 6.0
    save_track(track, path)
    engine.want(1005, knobs(track_file=str(path)))
    engine.until(lambda: engine.result(1005) is not before and engine.fresh(1005))
    assert engine.result(1005).window != before.window


def test_an_engine_survives_a_killed_worker(engine: Opened, home: Path) -> None:
    engine.want(1006, knobs(mix=0.2))
    engine.until(lambda: engine.fresh(1006))
    end(home, signal.SIGKILL)
    engine.want(1006, knobs(mix=0.3), (1007,))
    engine.until(lambda: engine.fresh(1006) and engine.fresh(1007))
    assert engine.reason(1006) == engine.reason(1007) == ""
    assert engine.result(1007).window is not None


def test_what_fails_is_said_for_its_frame_and_the_others_go_on(home: Path, tmp_path: Path) -> None:
    for frame in (1001, 1002, 1003):
        shutil.copy(EXAMPLES / f"plate.{frame}.exr", tmp_path)
    torn = tmp_path / "plate.1002.exr"
    torn.write_bytes(torn.read_bytes()[:5000])
    with Opened(home, str(tmp_path / "plate.####.exr")) as engine:
        engine.want(1001, knobs(), (1002, 1003))
        engine.until(lambda: engine.fresh(1003))
        assert engine.states() == {1001: "result", 1002: "failed", 1003: "result"}
        assert "frame 1002" in engine.reason(1002)
        assert engine.plate(1002) is None
        engine.want(1001, knobs(model=str(tmp_path / "no.onnx")))
        engine.until(lambda: engine.fresh(1001))
        assert "no.onnx" in engine.reason(1001)
        assert engine.states()[1001] == "failed"
        shutil.copy(EXAMPLES / "plate.1002.exr", tmp_path)
        engine.want(1002, knobs())
        engine.until(lambda: engine.fresh(1002))
        assert engine.reason(1002) == ""


def test_memory_is_bounded_whatever_is_wanted(home: Path) -> None:
    one = sum(plane.nbytes for plane in read_plate(EXAMPLES / "plate.1001.exr").channels.values())
    room = 3.5 * one / (1 << 20)
    with Opened(home, str(EXAMPLES / "plate.####.exr"), cache_mb=room) as engine:
        for frame in (1001, 1006, 1012):
            ahead = engine.frames[engine.frames.index(frame) + 1 :]
            engine.want(frame, knobs(), ahead)
            engine.until(lambda frame=frame: engine.fresh(frame))
            time.sleep(0.1)
            assert engine.pool.size <= room * (1 << 20)
            assert engine.plate(frame) is not None


def test_windows_and_aspect_of_a_plate_reach_the_worker(home: Path, tmp_path: Path) -> None:
    """The same pixels in a data window beside the display window give the same result."""
    plate = read_plate(EXAMPLES / "plate.1004.exr")
    picture = {name: plate.channels[name] for name in "RGB"}
    there = plate.data_window
    moved = Window(there.x0 + 30, there.y0 - 12, there.x1 + 30, there.y1 - 12)
    inside = Window(moved.x0 + 40, moved.y0 + 20, moved.x1 - 60, moved.y1)
    cut = {name: plane[20:, 40:-60] for name, plane in picture.items()}
    write_exr(tmp_path / "cut.1004.exr", exr_part(cut, window=inside, display=moved))
    results = {}
    for pattern in (EXAMPLES / "plate.####.exr", tmp_path / "cut.####.exr"):
        with Opened(home, str(pattern)) as engine:
            engine.want(1004, knobs())
            engine.until(lambda engine=engine: engine.fresh(1004))
            assert engine.reason(1004) == ""
            results[pattern.name] = engine.result(1004)
    whole, part = results.values()
    assert part.window == Window(
        whole.window.x0 + 30, whole.window.y0 - 12, whole.window.x1 + 30, whole.window.y1 - 12
    )
    assert np.abs(part.pixels - whole.pixels).max() < 1e-3
