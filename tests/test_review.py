"""Contact sheets and summaries, as they are looked at."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from conftest import Painter, a_face, a_plate
from semblance import review
from semblance.errors import OutputError
from semblance.exr import Sequence, write_plate
from semblance.face import Track


def _read(path):
    with Image.open(path) as sheet:
        return np.asarray(sheet).astype(np.float64)


def test_a_sheet_shows_every_picture_in_its_column_and_row(tmp_path):
    levels = [0.2, 0.4, 0.8]
    columns = {
        "plate": [np.full((90, 160, 3), level, np.float32) for level in levels],
        "matte": [np.full((45, 80), 1.0 - level, np.float32) for level in levels],
    }
    path = tmp_path / "new folder" / "sheet.png"
    review.contact_sheet(columns, path, rows=["1001", "1002", "1003"], caption="shot", cell=160)
    sheet = _read(path)
    assert sheet.shape[2] == 3
    for row, level in enumerate(levels):
        for shown in (level, 1.0 - level):
            code = round(255 * shown)
            assert (sheet == code).all(axis=2).sum() >= 90 * 160, (row, shown)
    ink = (sheet > 200).all(axis=2)
    assert ink[: 2 * (review.TEXT + 12)].sum() > 100  # caption and labels can be read
    assert list(path.parent.iterdir()) == [path]


def test_shrinking_averages_so_fine_detail_becomes_its_mean(tmp_path):
    lines = np.zeros((640, 640, 3), np.float32)
    lines[::2] = 1.0
    review.contact_sheet({"x": [lines]}, tmp_path / "sheet.png", cell=64)
    assert ((_read(tmp_path / "sheet.png") - 127.5) ** 2 < 2).all(axis=2).sum() >= 64 * 64


def test_values_beyond_the_display_are_clipped_not_wrapped(tmp_path):
    picture = np.full((64, 64, 3), 7.0, np.float32)
    picture[:32] = -3.0
    review.contact_sheet({"x": [picture]}, tmp_path / "sheet.png", cell=64)
    sheet = _read(tmp_path / "sheet.png")
    assert (sheet == 255).all(axis=2).sum() >= 32 * 64
    assert (sheet == 0).all(axis=2).sum() >= 32 * 64


def test_a_sheet_that_cannot_be_written_is_one_clear_error(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match=r"sheet\.png"):
        review.contact_sheet({"x": [np.zeros((4, 4), np.float32)]}, tmp_path / "file" / "sheet.png")


def test_a_shot_sheet_reads_the_files_and_shows_the_face(tmp_path):
    frames = (1001, 1002)
    for name in ("plate", "result"):
        for frame in frames:
            write_plate(a_plate(seed=frame), tmp_path / f"{name}.{frame}.exr")
    track = Track({frame: a_face() for frame in frames}, (120, 90), frames=frames)
    plates = Sequence.parse(tmp_path / "plate.####.exr")
    results = Sequence.parse(tmp_path / "result.####.exr")
    path = tmp_path / "sheet.png"
    material = review.Material(plates, results, track, Painter(), 0.0)
    review.shot_sheet(material, frames, path)
    without = _read(path).shape
    review.shot_sheet(replace(material, truths=results), frames, path)
    assert _read(path).shape[1] > without[1]


@pytest.mark.parametrize(("count", "most"), [(1, 6), (6, 6), (12, 6), (240, 6), (7, 2)])
def test_rows_are_spread_over_the_shot_with_both_ends(count, most):
    chosen = review.spread(range(1001, 1001 + count), most)
    assert len(set(chosen)) == min(count, most)
    assert chosen[0] == 1001
    assert chosen[-1] == 1000 + count


def test_a_summary_names_what_went_wrong_and_leaves_out_what_did_not():
    summary = {
        "frames": 12,
        "found": 9,
        "passed": [1004, 1005],
        "failed": {"1009": "torn"},
        "milliseconds": {"infer": {"median": 30.0, "p95": 40.0}, "read": {"median": 5, "p95": 6}},
        "provider": "CPUExecutionProvider",
        "peak_memory_mb": 512.3,
        "seconds": 3.2,
        "notes": [],
    }
    text = review.qc_summary(summary)
    assert "1004-1005" in text
    assert "1009" in text
    assert "35 ms, most of it infer" in text
    assert "failed" not in review.qc_summary({**summary, "failed": {}})


def test_a_score_is_told_beside_the_plates_own():
    text = review.qc_score({"mean": {"psnr": 25.0, "plate_psnr": 20.8, "flicker": None}})
    assert text == "PSNR 25.00 dB, plate's own 20.80 dB"
