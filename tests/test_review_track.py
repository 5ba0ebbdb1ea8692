"""A track's review: a movie of the plate with its landmarks, and plots on a page."""

from __future__ import annotations

import re

import av
import numpy as np
import pytest

from helpers_drawn import draw, landmarks_at
from semblance.cli import main
from semblance.errors import Cancelled
from semblance.exr import Sequence, write_plate
from semblance.face import Face, Track
from semblance.plate import Plate, Window
from semblance.review.tracked import TRACK_MOVIE, TRACK_PAGE, review_track

DISPLAY = Window(-10, 0, 230, 160)
PATH = {1001 + i: (90.0 + 8.0 * i, 84.0) for i in range(6)}


@pytest.fixture
def shot(tmp_path):
    plates = Sequence.parse(tmp_path / "plate.####.exr")
    for frame, centre in PATH.items():
        picture = draw((160, 240), [(centre, 100.0, 0.0)], origin=(-10, 0))
        channels = {name: picture[..., i] for i, name in enumerate("RGB")}
        write_plate(Plate(channels, DISPLAY, DISPLAY), plates.path(frame))
    faces = {
        f: Face(landmarks_at(centre, 100.0), 0.9, luma=0.1)
        for f, centre in PATH.items()
        if f not in (1003, 1004, 1005)
    }
    return plates, Track(faces, (240, 160), frames=tuple(PATH), cuts=(1006,), focal=400.0)


def frames_of(path):
    with av.open(str(path)) as movie:
        return [each.to_ndarray(format="rgb24").astype(int) for each in movie.decode(video=0)]


def greenness(frame):
    return frame[..., 1] - frame[..., (0, 2)].max(-1)


def test_the_landmarks_lie_on_the_face_and_a_gap_shows_none(shot, tmp_path):
    plates, track = shot
    review_track({0: track}, plates, tmp_path / "look")
    frames = frames_of(tmp_path / "look" / TRACK_MOVIE)
    assert len(frames) == 6
    for number, frame in zip(PATH, frames, strict=True):
        picture = frame[:160, (frame.shape[1] - 240) // 2 :][:, :240]
        there = greenness(picture) > 40
        if number in track.faces:
            points = track.faces[number].landmarks - (DISPLAY.x0, DISPLAY.y0)
            x = np.nonzero(there)[1]
            assert np.abs(np.array([x.min(), x.max()]) - [points[:, 0].min(), points[:, 0].max()]
                          ).max() < 6  # fmt: skip
        else:
            assert there.sum() == 0


def test_the_page_names_gaps_and_cuts_and_plots_every_figure(shot, tmp_path):
    plates, track = shot
    review_track({0: track, 2: track}, plates, tmp_path / "look")
    page = (tmp_path / "look" / TRACK_PAGE).read_text()
    assert page.count("No face in frames 1003-1005.") == 2
    assert "1006" in page
    assert "<script" not in page
    titles = re.findall(r"<h3>([^<,]+)", page)
    assert titles == 2 * ["Score", "Jitter", "Motion", "Width", "Turn of the head"]


def test_a_review_that_is_stopped_leaves_no_movie(shot, tmp_path):
    plates, track = shot
    with pytest.raises(Cancelled):
        review_track({0: track}, plates, tmp_path / "look", cancel=lambda: True)
    assert not list((tmp_path / "look").glob("*.mp4"))


def test_the_command_line_writes_both_beside_the_track(tmp_path):
    plates = Sequence.parse(tmp_path / "plate.####.exr")
    for frame in (1001, 1002):
        channels = {name: np.full((60, 80), 0.1, np.float32) for name in "RGB"}
        window = Window(0, 0, 80, 60)
        write_plate(Plate(channels, window, window), plates.path(frame))
    words = ["track", str(plates), "-o", str(tmp_path / "a.json"), "--review", str(tmp_path / "r")]
    assert main(words) == 0
    assert {each.name for each in (tmp_path / "r").iterdir()} == {TRACK_MOVIE, TRACK_PAGE}
