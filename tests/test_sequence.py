"""Frame patterns, frame ranges, and outputs that can't work.

`pytest tests/test_sequence.py`
"""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from semblance.errors import OutputError, SequenceError
from semblance.exr import Sequence, check_output
from semblance.exr.sequence import compact


def shot(folder: Path, *frames: int, name: str = "plate.{:04d}.exr") -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for frame in frames:
        (folder / name.format(frame)).touch()
    return folder


# Patterns


@pytest.mark.parametrize(
    ("pattern", "frame", "name"),
    [
        ("plate.####.exr", 1001, "plate.1001.exr"),
        ("plate.####.exr", 12, "plate.0012.exr"),
        ("plate.####.exr", 123456, "plate.123456.exr"),
        ("plate.%04d.exr", 12, "plate.0012.exr"),
        ("plate_%d.exr", 12, "plate_12.exr"),
        ("plate.@@@.exr", 12, "plate.012.exr"),
        ("####.exr", 12, "0012.exr"),
        ("a/b/v1.2_####_x.exr", 12, "v1.2_0012_x.exr"),
    ],
)
def test_a_pattern_names_its_frames(pattern: str, frame: int, name: str) -> None:
    sequence = Sequence.parse(pattern)
    assert sequence.path(frame) == Path(pattern).parent / name
    assert Sequence.parse(str(sequence)) == sequence
    assert not sequence.single


@pytest.mark.parametrize(
    ("pattern", "number"),
    [("plate.1001.exr", 1001), ("plate.exr", 0), ("7.exr", 7), ("mk2.exr", 0), ("a_v2-08.exr", 8)],
)
def test_a_single_file_is_a_shot_of_one_frame(pattern: str, number: int, tmp_path: Path) -> None:
    sequence = Sequence.parse(tmp_path / pattern)
    assert sequence.single
    assert sequence.frames() == ()
    (tmp_path / pattern).touch()
    assert sequence.frames() == sequence.select() == (number,)
    assert sequence.path(number) == tmp_path / pattern
    assert str(sequence) == str(tmp_path / pattern)


def test_a_hash_in_a_folder_is_a_name(tmp_path: Path) -> None:
    folder = shot(tmp_path / "take#2 @home", 1, 2)
    assert Sequence.parse(folder / "plate.####.exr").frames() == (1, 2)


@pytest.mark.parametrize("pattern", ["", ".", "shots/", "a.####.%04d.exr", "a.##.##.exr"])
def test_a_pattern_that_names_no_frames_is_refused(pattern: str) -> None:
    with pytest.raises(SequenceError):
        Sequence.parse(pattern)


def test_only_files_of_the_pattern_are_frames(tmp_path: Path) -> None:
    shot(tmp_path, 1003, 1001, 99, 12345)
    for name in ("plate.1.exr", "plate.01002.exr", "plate.1004.exr.tmp", ".semblance-1-ab",
                 "xplate.1005.exr", "plateX1006Xexr", "plate.10x7.exr"):  # fmt: skip
        (tmp_path / name).touch()
    (tmp_path / "plate.1008.exr").mkdir()
    sequence = Sequence.parse(tmp_path / "plate.####.exr")
    assert sequence.frames() == (99, 1001, 1003, 12345)
    assert Sequence.parse(tmp_path / "plate.%d.exr").frames() == (1, 1001, 1003, 12345)
    assert Sequence.parse(tmp_path / "none" / "plate.####.exr").frames() == ()


@given(
    st.integers(0, 10**6), st.integers(1, 7), st.sampled_from(["{0}", "@", "%"]), st.text("ab._-")
)
def test_a_frames_file_belongs_to_its_pattern(
    frame: int, padding: int, sign: str, head: str
) -> None:
    field = {"{0}": "#" * padding, "@": "@" * padding, "%": f"%0{padding}d"}[sign]
    sequence = Sequence.parse(f"{head}{field}.exr")
    assert sequence.path(frame).name == f"{head}{str(frame).zfill(padding)}.exr"


# Ranges


@pytest.mark.parametrize(
    ("text", "frames"),
    [
        (None, (1001, 1002, 1003, 1005, 1006)),
        ("1001-1003", (1001, 1002, 1003)),
        ("1001-1005x2", (1001, 1003, 1005)),
        ("1005,1001", (1001, 1005)),
        ("1005-", (1005, 1006)),
        ("-1002", (1001, 1002)),
        ("-1005x4", (1001, 1005)),
        (" 1001 , 1005-1006, 1001-1002", (1001, 1002, 1005, 1006)),
    ],
)
def test_a_range_selects_frames_that_are_there(
    text: str | None, frames: tuple[int, ...], tmp_path: Path
) -> None:
    shot(tmp_path, 1001, 1002, 1003, 1005, 1006)
    sequence = Sequence.parse(tmp_path / "plate.####.exr")
    assert sequence.select(text) == frames
    assert sequence.gaps() == (1004,)


def test_missing_frames_of_a_range_are_all_named(tmp_path: Path) -> None:
    shot(tmp_path, *range(1001, 1004), *range(1005, 1010), 1013)
    sequence = Sequence.parse(tmp_path / "plate.####.exr")
    for text in ("1001-1013", "1001-"):
        with pytest.raises(SequenceError, match=r"4 of 13 .*: 1004, 1010-1012\. ") as caught:
            sequence.select(text)
        assert f"frames of {tmp_path / 'plate.####.exr'} are missing" in str(caught.value)
    with pytest.raises(SequenceError, match="missing: 900"):
        sequence.select("900")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "can't be understood at ''"),
        ("-", "can't be understood"),
        ("1001-1003y2", "can't be understood"),
        ("1001x2", "can't be understood"),
        ("1001,,1002", "can't be understood at ''"),
        ("1.5", "can't be understood"),
        ("1003-1001", "runs backwards"),
        ("1001-1003x0", "steps by 0"),
        ("1-99999999999", "too long"),
    ],
)
def test_a_range_that_makes_no_sense_is_refused(text: str, reason: str, tmp_path: Path) -> None:
    shot(tmp_path, 1001, 1002, 1003)
    with pytest.raises(SequenceError, match=reason):
        Sequence.parse(tmp_path / "plate.####.exr").select(text)


def test_an_empty_shot_says_what_is_there_instead(tmp_path: Path) -> None:
    with pytest.raises(SequenceError, match=r"no file matches .*plate\.####\.exr.*holds no \.exr"):
        Sequence.parse(tmp_path / "plate.####.exr").select(None)
    shot(tmp_path, 1, 2, name="beauty_{}.exr")
    with pytest.raises(SequenceError, match=r"holds 2 others, such as beauty_1\.exr"):
        Sequence.parse(tmp_path / "plate.####.exr").select("1-2")
    with pytest.raises(SequenceError, match="There is no folder"):
        Sequence.parse(tmp_path / "nowhere" / "plate.####.exr").select(None)


@given(st.sets(st.integers(0, 60)))
def test_compact_text_holds_exactly_its_frames(frames: set[int]) -> None:
    read: set[int] = set()
    for item in filter(None, compact(frames).split(", ")):
        first, _, last = item.partition("-")
        read |= set(range(int(first), int(last or first) + 1))
    assert read == frames


# Outputs


def test_an_output_elsewhere_is_made_ready(tmp_path: Path) -> None:
    shot(tmp_path / "in", 1001, 1002)
    plates = Sequence.parse(tmp_path / "in" / "plate.####.exr")
    output = Sequence.parse(tmp_path / "a" / "b" / "plate.####.exr")
    check_output(plates, output, (1001, 1002))
    assert list(output.folder.iterdir()) == []
    check_output(plates, Sequence.parse(tmp_path / "in" / "result.####.exr"), (1001, 1002))
    check_output(plates, Sequence.parse(tmp_path / "one.exr"), (1001,))


def test_an_output_that_is_the_plate_is_refused_in_every_spelling(tmp_path: Path) -> None:
    folder = shot(tmp_path / "in", 1001, 1002, 1003)
    (tmp_path / "link").symlink_to(folder)
    (tmp_path / "links").mkdir()
    (tmp_path / "links" / "out.1002.exr").symlink_to(folder / "plate.1003.exr")
    (tmp_path / "hard").mkdir()
    (tmp_path / "hard" / "out.1001.exr").hardlink_to(folder / "plate.1001.exr")
    plates = Sequence.parse(folder / "plate.####.exr")
    for pattern in (
        "in/plate.####.exr",
        "in/plate.%04d.exr",
        "in/plate.@.exr",
        "in/../in/plate.####.exr",
        "link/plate.####.exr",
        "links/out.####.exr",
        "hard/out.####.exr",
    ):
        with pytest.raises(OutputError, match="is a frame of the plate"):
            check_output(plates, Sequence.parse(tmp_path / pattern), (1001, 1002))
    with pytest.raises(OutputError, match="is a frame of the plate"):
        check_output(plates, Sequence.parse(folder / "plate.1003.exr"), (1001,))


def test_several_frames_need_a_frame_field(tmp_path: Path) -> None:
    shot(tmp_path, 1001, 1002)
    plates = Sequence.parse(tmp_path / "plate.####.exr")
    with pytest.raises(OutputError, match=r"no frame field for 2 frames.*out\.####\.exr"):
        check_output(plates, Sequence.parse(tmp_path / "out.exr"), (1001, 1002))


def test_a_result_is_exr(tmp_path: Path) -> None:
    shot(tmp_path, 1001)
    plates = Sequence.parse(tmp_path / "plate.####.exr")
    for name in ("out.####.png", "out.####"):
        with pytest.raises(OutputError, match=r"does not end in \.exr"):
            check_output(plates, Sequence.parse(tmp_path / name), (1001,))


def test_a_folder_that_can_not_be_made_is_refused_before_the_work(tmp_path: Path) -> None:
    shot(tmp_path, 1001)
    (tmp_path / "file").touch()
    plates = Sequence.parse(tmp_path / "plate.####.exr")
    with pytest.raises(OutputError, match="can't be written to"):
        check_output(plates, Sequence.parse(tmp_path / "file" / "out.####.exr"), (1001,))
    with pytest.raises(OutputError, match="can't be written to"):
        check_output(plates, Sequence.parse("/proc/semblance/out.####.exr"), (1001,))
