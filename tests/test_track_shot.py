"""Tracking a shot: real EXR frames, a drawn face, and the laws of the landmarks' place."""

from __future__ import annotations

import numpy as np
import pytest

from helpers_drawn import DrawnFaces, draw, landmarks_at
from semblance.errors import Cancelled, KnobError, PlateError, TrackError
from semblance.exr import Sequence, write_plate
from semblance.knobs import ColourKnobs
from semblance.plate import Plate, Window
from semblance.track.analyse import find_faces, track_shot

DISPLAY = Window(0, 0, 240, 160)
FACE = ((118.0, 84.0), 110.0, 6.0)


def write_shot(folder, pictures, *, window=DISPLAY, display=DISPLAY, aspect=1.0):
    plates = Sequence.parse(folder / "plate.####.exr")
    for frame, picture in enumerate(pictures, 1001):
        channels = {name: picture[..., i] for i, name in enumerate("RGB")}
        plate = Plate(channels, window, display, pixel_aspect=aspect)
        write_plate(plate, plates.path(frame))
    return plates


def track(plates, *, face=0, cancel=lambda: False, report=lambda frame, face: None, **knobs):
    provider = DrawnFaces()
    frames = range(1001, 1001 + len(plates.frames()))
    return track_shot(plates, frames, provider, ColourKnobs(**knobs), report, cancel, face=face)


@pytest.mark.parametrize(
    ("window", "display", "aspect"),
    [
        (DISPLAY, DISPLAY, 1.0),
        (Window(-20, -12, 260, 176), DISPLAY, 1.0),
        (Window(40, 16, 200, 150), DISPLAY, 1.0),
        (Window(-250, -170, -10, -10), Window(-250, -170, -10, -10), 1.0),
        (Window(0, 0, 120, 160), Window(0, 0, 120, 160), 2.0),
        (Window(0, 0, 200, 160), Window(0, 0, 200, 160), 1.2),
    ],
    ids=["full", "overscan", "cropped", "negative origin", "anamorphic", "squeezed a little"],
)
def test_landmarks_lie_in_the_pixels_of_the_windows(tmp_path, window, display, aspect):
    centre = np.add(FACE[0], (display.x0 * aspect, display.y0))
    picture = draw(
        (window.height, window.width),
        [(centre, *FACE[1:])],
        aspect=aspect,
        origin=(window.x0, window.y0),
    )
    plates = write_shot(tmp_path, [picture], window=window, display=display, aspect=aspect)
    found = track(plates)
    expected = landmarks_at(centre, *FACE[1:]) / (aspect, 1.0)
    assert np.abs(found.faces[1001].landmarks - expected).max() < 0.7
    assert found.size == (display.width, display.height)
    assert found.pixel_aspect == pytest.approx(aspect)
    assert abs(found.faces[1001].roll + FACE[2]) < 1.0
    assert found.faces[1001].source == "drawn"


@pytest.mark.parametrize("stops", [-9.0, -3.0, 4.0, 9.0])
def test_exposure_changes_the_luma_and_not_the_landmarks(tmp_path, stops):
    for name, gain in (("one", 1.0), ("other", 2.0**stops)):
        (tmp_path / name).mkdir()
        write_shot(tmp_path / name, [draw((160, 240), [FACE], gain=gain)])
    one, other = (
        track(Sequence.parse(tmp_path / name / "plate.####.exr")).faces[1001]
        for name in ("one", "other")
    )
    assert np.abs(one.landmarks - other.landmarks).max() < 0.1
    assert other.luma == pytest.approx(one.luma * 2.0**stops, rel=1e-2)


def test_a_face_in_a_large_picture_is_placed_at_its_full_size():
    """A picture beyond what a provider is shown is reduced; the landmarks don't get coarser."""
    face = ((1400.5, 310.25), 240.0, 6.0)
    (found,) = find_faces(draw((600, 4000), [face]), 1.0, DrawnFaces())
    assert np.abs(found.landmarks - landmarks_at(*face)).max() < 0.6


def test_a_frame_without_a_face_is_reported_and_the_face_found_again(tmp_path):
    path = [((80.0 + 12.0 * i, 84.0), 100.0, 0.0) for i in range(7)]
    pictures = [draw((160, 240), [] if i in (0, 3, 4) else [path[i]]) for i in range(7)]
    seen = []
    found = track(
        write_shot(tmp_path, pictures), report=lambda frame, face: seen.append((frame, face))
    )
    assert found.frames == tuple(range(1001, 1008))
    assert sorted(found.faces) == [1002, 1003, 1006, 1007]
    assert [frame for frame, face in seen if face is None] == [1001, 1004, 1005]
    for frame, face in found.faces.items():
        expected = landmarks_at(*path[frame - 1001])
        assert np.abs(face.landmarks - expected).max() < 0.6


@pytest.mark.parametrize(("number", "row"), [(0, 0), (1, 1)])
def test_a_face_is_chosen_by_size_at_first_and_kept_by_place_after(tmp_path, number, row):
    people = [
        [((70.0, 80.0), 100.0 - 8.0 * i, 0.0), ((180.0, 80.0), 70.0 + 8.0 * i, 0.0)]
        for i in range(6)
    ]
    plates = write_shot(tmp_path, [draw((160, 240), faces) for faces in people])
    found = track(plates, face=number)
    for frame, face in found.faces.items():
        expected = landmarks_at(*people[frame - 1001][row])
        assert np.abs(face.landmarks - expected).max() < 0.6, frame
    assert len(found.faces) == 6


def test_another_face_far_away_is_not_taken_for_the_lost_one(tmp_path):
    near, far = ((60.0, 80.0), 60.0, 0.0), ((195.0, 80.0), 60.0, 0.0)
    pictures = [draw((160, 240), faces) for faces in ([near], [near, far], [far], [near, far])]
    found = track(write_shot(tmp_path, pictures))
    assert sorted(found.faces) == [1001, 1002, 1004]
    assert found.faces[1004].landmarks[:, 0].mean() < 100.0


def test_what_is_not_finite_in_a_plate_does_no_harm(tmp_path):
    picture = draw((160, 240), [FACE])
    clean = track(write_shot(tmp_path, [picture])).faces[1001]
    (tmp_path / "bad").mkdir()
    picture[2:4, 5:9] = np.nan
    picture[84, 118] = np.inf
    found = track(write_shot(tmp_path / "bad", [picture])).faces[1001]
    assert np.abs(found.landmarks - clean.landmarks).max() < 0.6
    assert found.luma == pytest.approx(clean.luma, rel=1e-2)


def test_a_shot_that_can_not_be_tracked_says_why(tmp_path):
    plates = write_shot(tmp_path, [draw((160, 240), [FACE])] * 2)
    with pytest.raises(Cancelled, match="before frame 1001"):
        track(plates, cancel=lambda: True)
    with pytest.raises(KnobError, match="input_space"):
        track(plates, input_space="no such space")
    with pytest.raises(PlateError, match="frame 1003"):
        track_shot(
            plates, [1003], DrawnFaces(), ColourKnobs(), lambda frame, face: None, lambda: False
        )
    with pytest.raises(TrackError, match="not one frame"):
        track_shot(plates, [], DrawnFaces(), ColourKnobs(), lambda frame, face: None, lambda: False)
    small = Window(0, 0, 120, 160)
    channels = {name: np.zeros((160, 120), np.float32) for name in "RGB"}
    write_plate(Plate(channels, small, small), plates.path(1003))
    with pytest.raises(TrackError, match=r"frame 1003.*120 × 160.*first frame was 240 × 160"):
        track(plates)
