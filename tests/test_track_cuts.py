"""Where a take ends: cuts are seen, and what a camera or a light does is none."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from skimage import data as photographs

from semblance.colour import srgb_to_linear
from semblance.exr import Sequence, read_plate
from semblance.face import Face, Track
from semblance.track.cuts import CutFinder, thumbnail
from semblance.track.smooth import fill_gaps, smooth

STUDIO = Path(__file__).resolve().parents[2] / "shared/studio"


def picture(name):
    codes = np.asarray(getattr(photographs, name)(), np.float32)[..., :3] / np.float32(255.0)
    return srgb_to_linear(codes)


def cuts_of(pictures):
    finder = CutFinder()
    return [index for index, each in enumerate(pictures) if finder.next(each)]


def test_a_cut_is_where_another_picture_begins():
    takes = [picture("astronaut")] * 4 + [picture("coffee")] * 3 + [picture("chelsea")] * 3
    assert cuts_of(takes) == [4, 7]
    assert cuts_of(takes[::-1]) == [3, 6]


def test_a_pan_a_flash_and_grain_are_no_cuts():
    whole = picture("astronaut")
    rng = np.random.default_rng(3)
    frames = []
    for step in range(16):
        x = 10 * step
        frame = whole[100:400, x : x + 340] * (8.0 if step in (5, 6, 11) else 1.0)
        frames.append((frame + rng.normal(0, 0.02, frame.shape)).astype(np.float32))
    assert cuts_of(frames) == []


def test_what_is_not_finite_or_black_is_no_cut():
    frame = picture("astronaut")
    broken = frame.copy()
    broken[3:9, 3:9], broken[30:34, 7:9] = np.nan, np.inf
    assert cuts_of([frame, broken, frame]) == []
    assert np.isfinite(thumbnail(np.zeros((12, 20, 3), np.float32))).all()
    assert cuts_of([np.zeros((54, 96, 3), np.float32)] * 3) == []


@pytest.mark.skipif(not STUDIO.exists(), reason="the studio set ../shared/studio is not here")
def test_takes_of_one_performer_are_told_apart_and_none_is_cut_up():
    frames = [
        read_plate(Sequence.parse(STUDIO / shot / "plate.####.exr").path(frame)).picture()
        for shot in ("monologue", "song", "occlusion")
        for frame in range(1001, 1019)
    ]
    assert cuts_of(frames) == [18, 36]


def test_nothing_is_smoothed_or_filled_across_a_cut():
    rng = np.random.default_rng(2)
    shape = rng.normal(0, 60, (68, 2))
    faces = {f: Face(shape + np.array([300 + 6.0 * (f >= 9), 200])) for f in range(1, 17) if f != 8}
    one = Track(faces, (960, 540), frames=tuple(range(1, 17)), cuts=(9,))
    held = smooth(one, 2.0)
    assert 8 not in held.faces
    assert 8 not in fill_gaps(one).faces
    for frame, face in held.faces.items():
        assert np.abs(face.landmarks - faces[frame].landmarks).max() < 1e-9
