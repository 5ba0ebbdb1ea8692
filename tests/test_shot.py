from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from conftest import Painter, a_face, a_plate
from semblance import shot
from semblance.errors import Cancelled, OutputError, TrackError
from semblance.exr import Sequence, read_plate, write_plate
from semblance.face import Face, Track
from semblance.knobs import ColourKnobs, InferKnobs, Knobs
from semblance.pipeline import shot_stops
from semblance.plate import Plate

FRAMES = tuple(range(1001, 1007))

FLAT = Knobs.from_flat({"mask_occlusion": 0.0})
"""No face is drawn in these plates, and what is none would be an occluder."""


@pytest.fixture
def plates(tmp_path: Path) -> Sequence:
    (tmp_path / "in").mkdir()
    sequence = Sequence.parse(tmp_path / "in" / "plate.####.exr")
    for frame in FRAMES:
        write_plate(a_plate(seed=frame), sequence.path(frame))
    return sequence


@pytest.fixture
def output(tmp_path: Path) -> Sequence:
    return Sequence.parse(tmp_path / "out" / "result.####.exr")


def a_track(frames: tuple[int, ...] = FRAMES, luma: float | None = 0.12) -> Track:
    face = a_face()
    held = {frame: Face(face.landmarks, luma=luma) for frame in frames}
    return Track(held, (120, 90), frames=FRAMES)


def run(plates: Sequence, output: Sequence, **options: Any) -> shot.ShotSummary:
    given: dict[str, Any] = {
        "track": a_track(),
        "likeness": Painter(),
        "knobs": lambda frame: FLAT,
        **options,
    }
    return shot.apply(plates, output, given.pop("frames", FRAMES), **given)


def test_every_frame_is_written_in_order_and_reported(plates: Sequence, output: Sequence) -> None:
    heard: list[int] = []
    summary = run(plates, output, report=lambda frame: heard.append(frame.frame))
    assert heard == list(FRAMES)
    assert output.frames() == FRAMES
    assert (summary.frames, summary.found, summary.passed, summary.failed) == (6, 6, (), {})
    assert {"read", "align", "infer", "matte", "blend", "write"} <= set(summary.milliseconds)
    assert all(0.0 < median <= p95 for median, p95 in summary.milliseconds.values())
    assert summary.peak_memory_mb > 10.0


def test_a_chunk_of_a_shot_is_the_same_frames_as_the_shot(
    plates: Sequence, output: Sequence, tmp_path: Path
) -> None:
    """A farm renders chunks: exposure and smoothing can't depend on which frames are asked for."""
    lumas = a_track(luma=None)
    run(plates, output, track=lumas)
    chunk = Sequence.parse(tmp_path / "chunk" / "result.####.exr")
    run(plates, chunk, track=lumas, frames=(1004,))
    assert chunk.path(1004).read_bytes() == output.path(1004).read_bytes()


def test_a_frame_without_a_face_passes_through_and_is_reported(
    plates: Sequence, output: Sequence
) -> None:
    summary = run(plates, output, track=a_track((1001, 1005, 1006)))
    assert summary.passed == (1002, 1003, 1004)
    plate, result = read_plate(plates.path(1003)), read_plate(output.path(1003))
    assert all(
        plate.channels[name].tobytes() == result.channels[name].tobytes() for name in plate.channels
    )


def test_a_torn_frame_fails_alone_and_leaves_no_file(plates: Sequence, output: Sequence) -> None:
    whole = plates.path(1003).read_bytes()
    plates.path(1003).write_bytes(whole[: len(whole) // 2])
    plates.path(1005).write_bytes(b"")
    summary = run(plates, output)
    assert set(summary.failed) == {1003, 1005}
    assert "frame 1003" in summary.failed[1003]
    assert str(plates.path(1003)) in summary.failed[1003]
    assert output.frames() == (1001, 1002, 1004, 1006)
    assert not list(output.folder.glob(".*"))


def test_the_plate_is_never_written_over(plates: Sequence) -> None:
    before = plates.path(1001).read_bytes()
    with pytest.raises(OutputError):
        run(plates, plates)
    assert plates.path(1001).read_bytes() == before


def test_a_track_of_another_plate_is_refused_once(plates: Sequence, output: Sequence) -> None:
    wrong = Track(a_track().faces, (1920, 1080), frames=FRAMES)
    with pytest.raises(TrackError, match=r"frame 1001.*1920 × 1080"):
        run(plates, output, track=wrong)
    assert output.frames() == ()


def test_exposure_comes_from_the_track_and_is_measured_where_the_track_holds_none(
    plates: Sequence,
) -> None:
    known = shot_stops(plates, a_track(luma=0.03), ColourKnobs())
    measured = shot_stops(plates, a_track(luma=None), ColourKnobs())
    assert known == pytest.approx(2.0)
    assert -8.0 < measured < 0.5


def test_cancelling_keeps_whole_frames_and_no_others(plates: Sequence, output: Sequence) -> None:
    stop = threading.Event()

    def heard(report: shot.FrameReport) -> None:
        if report.frame == 1002:
            stop.set()

    with pytest.raises(Cancelled):
        run(plates, output, report=heard, cancel=stop.is_set)
    assert set(output.frames()) < set(FRAMES)
    for frame in output.frames():
        read_plate(output.path(frame))
    assert not list(output.folder.glob(".*"))


def test_marks_and_knobs_are_taken_by_frame(plates: Sequence, output: Sequence) -> None:
    def knobs(frame: int) -> Knobs:
        return replace(FLAT, identity=InferKnobs(identity_strength=(frame - 1001) / 5.0))

    def marks(frame: int, knobs: Knobs, plate: Plate) -> Mapping[str, Any]:
        return {"semblance:test": f"{frame} {knobs.identity.identity_strength:.1f}"}

    run(plates, output, knobs=knobs, marks=marks)
    plate, first = read_plate(plates.path(1001)), read_plate(output.path(1001))
    last = read_plate(output.path(1006))
    assert str(first.metadata["semblance:test"]) == "1001 0.0"
    assert str(last.metadata["semblance:test"]) == "1006 1.0"
    assert np.array_equal(first.channels["R"], plate.channels["R"])
    assert not np.array_equal(last.channels["R"], read_plate(plates.path(1006)).channels["R"])


def test_a_slate_is_burnt_into_every_frame_with_a_face(plates: Sequence, output: Sequence) -> None:
    run(plates, output, slate="NOT RELEASED", frames=(1001,))
    plate, result = read_plate(plates.path(1001)), read_plate(output.path(1001))
    corner = slice(70, 90)
    assert not np.array_equal(result.channels["G"][corner], plate.channels["G"][corner])


def test_a_roto_sequence_is_read_by_frame(
    plates: Sequence, output: Sequence, tmp_path: Path
) -> None:
    roto = Sequence.parse(tmp_path / "in" / "roto.####.exr")
    drawn = a_plate()
    for frame in FRAMES:
        value = np.float16(1.0 if frame == 1001 else 0.0)
        channels = {name: np.full((90, 120), value) for name in "RGB"}
        write_plate(Plate(channels, drawn.data_window, drawn.display_window), roto.path(frame))
    run(plates, output, roto=roto, frames=(1001, 1002))
    changed = [
        not np.array_equal(
            read_plate(output.path(frame)).channels["R"],
            read_plate(plates.path(frame)).channels["R"],
        )
        for frame in (1001, 1002)
    ]
    assert changed == [True, False]


def test_frames_are_spliced_and_a_view_or_layers_rewrite_them(
    plates: Sequence, output: Sequence
) -> None:
    ways: list[str] = []
    track = a_track(FRAMES[1:])  # the first frame has no face
    summary = run(plates, output, track=track, report=lambda done: ways.append(done.way))
    assert ways == ["splice"] * 6
    assert summary.spliced == 6
    summary = run(plates, output, with_layers=True, track=track)
    assert (summary.spliced, summary.failed) == (0, {})
    for frame in FRAMES:
        held = read_plate(output.path(frame)).channels
        assert {"R", "id", "semblance.patch.R", "semblance.matte.A"} <= set(held)


def test_a_colour_match_is_the_same_whichever_frames_are_in_work(
    plates: Sequence, output: Sequence, tmp_path: Path
) -> None:
    """It looks at the frames around each, and a farm's chunk ends where the shot does not."""

    def knobs(frame: int) -> Knobs:
        return Knobs.from_flat({"mask_occlusion": 0.0, "colour_match": "mean", "looks": 1})

    run(plates, output, knobs=knobs)
    chunk = Sequence.parse(tmp_path / "chunk" / "result.####.exr")
    run(plates, chunk, knobs=knobs, frames=(1003, 1004), cache_mb=0.0)
    assert chunk.frames() == (1003, 1004)
    for frame in (1003, 1004):
        one, other = (read_plate(each.path(frame)) for each in (output, chunk))
        for name in "RGB":
            assert one.channels[name].tobytes() == other.channels[name].tobytes()


def test_a_broken_neighbour_does_not_take_a_frame_with_it(
    plates: Sequence, output: Sequence
) -> None:
    plates.path(1003).write_bytes(b"torn")

    def knobs(frame: int) -> Knobs:
        return Knobs.from_flat({"mask_occlusion": 0.0, "colour_match": "mean", "looks": 1})

    summary = run(plates, output, knobs=knobs)
    assert list(summary.failed) == [1003]
    assert output.frames() == tuple(frame for frame in FRAMES if frame != 1003)
