"""Whose face is followed: by size, by a click, by a picture, or everyone's; and across cuts."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from skimage import data as photographs

from helpers_drawn import DrawnFaces, draw, landmarks_at
from semblance.cli import main
from semblance.colour import srgb_to_linear
from semblance.errors import TrackError
from semblance.exr import Sequence, read_plate, write_plate
from semblance.knobs import ColourKnobs
from semblance.plate import Plate, Window
from semblance.track.analyse import track_people
from semblance.track.file import load_track
from semblance.track.people import Choice
from semblance.track.provider import open_provider

EXAMPLES = Path(__file__).resolve().parents[1] / "examples"
SHAPE = (260, 480)
TAKES = {"first": range(1001, 1005), "second": range(1005, 1009), "third": range(1009, 1012)}


def write(folder, pictures):
    plates = Sequence.parse(folder / "plate.####.exr")
    for frame, picture in enumerate(pictures, 1001):
        window = Window(0, 0, picture.shape[1], picture.shape[0])
        channels = {name: picture[..., i].astype(np.float32) for i, name in enumerate("RGB")}
        write_plate(Plate(channels, window, window), plates.path(frame))
    return plates


def people(plates, provider, choice, start=None):
    return track_people(
        plates, plates.frames(), provider, ColourKnobs(), lambda *_: None, lambda: False,
        choice=choice, start=start,
    )  # fmt: skip


def middle(face):
    return face.landmarks.mean(0)


def square(picture, x, y, side, to):
    part = np.ascontiguousarray(picture[y : y + side, x : x + side])
    method = cv2.INTER_AREA if to < side else cv2.INTER_CUBIC
    return np.maximum(cv2.resize(part, (to, to), interpolation=method), 0)


@pytest.fixture(scope="module")
def scene(tmp_path_factory):
    """Two people in three takes: side by side, then swapped and lit otherwise, then one alone."""
    codes = np.asarray(photographs.astronaut(), np.float32) / np.float32(255.0)
    astronaut = square(srgb_to_linear(codes), 90, 0, 280, 230)
    plate = read_plate(EXAMPLES / "plate.1001.exr").picture()
    height, width = plate.shape[:2]
    performer = square(plate, (width - height) // 2, 0, height, 200)
    rng = np.random.default_rng(5)
    pictures = []
    for take, frames in TAKES.items():
        for index in range(len(frames)):
            ground = {"first": (0.1, 0.1, 0.12), "second": (0.02, 0.05, 0.02),
                      "third": (0.3, 0.2, 0.1)}[take]  # fmt: skip
            picture = np.broadcast_to(np.array(ground, np.float32), (*SHAPE, 3)).copy()
            shift = 2 * index
            if take == "first":
                picture[10:240, shift : 230 + shift] = astronaut
                picture[30:230, 250 + shift : 450 + shift] = performer
            elif take == "second":
                picture[20:220, 10 + shift : 210 + shift] = performer * (0.5, 0.55, 0.6)
                picture[15:245, 235 + shift : 465 + shift] = astronaut * (0.5, 0.55, 0.6)
            else:
                picture[30:230, 120 + shift : 320 + shift] = performer * 2.0
            pictures.append(picture + rng.normal(0, 0.003, picture.shape).astype(np.float32))
    return write(tmp_path_factory.mktemp("scene"), pictures)


@pytest.fixture(scope="module")
def everyone(scene):
    return people(scene, open_provider(), Choice(everyone=True))


def sides(track):
    """Whether the face is in the picture's left half, by take."""
    return {
        take: {bool(middle(track.faces[f])[0] < 240) for f in frames if f in track.faces}
        for take, frames in TAKES.items()
    }


def test_everyone_keeps_their_number_across_cuts(everyone):
    assert sorted(everyone) == [0, 1]
    assert all(track.cuts == (1005, 1009) for track in everyone.values())
    performers = [track for track in everyone.values() if 1010 in track.faces]
    (performer,) = performers
    (astronaut,) = [track for track in everyone.values() if track is not performer]
    assert sides(performer) == {"first": {False}, "second": {True}, "third": {True}}
    assert sides(astronaut) == {"first": {True}, "second": {False}, "third": set()}
    assert len(performer.faces) == 11
    assert len(astronaut.faces) == 8


@pytest.mark.parametrize(("at", "start"), [((350.0, 130.0), 1002), ((110.0, 120.0), 1006)])
def test_a_click_in_any_frame_chooses_the_face_for_the_whole_shot(scene, everyone, at, start):
    (track,) = people(scene, open_provider(), Choice(at=at), start).values()
    assert len(track.faces) == 11
    assert track.cuts == (1005, 1009)
    (performer,) = [each for each in everyone.values() if 1010 in each.faces]
    for frame, face in track.faces.items():
        assert np.linalg.norm(middle(face) - middle(performer.faces[frame])) < 3.0


def test_a_reference_picture_chooses_who_looks_like_it(scene, tmp_path, capsys):
    reference = tmp_path / "reference.png"
    cv2.imwrite(str(reference), photographs.astronaut()[..., ::-1])
    words = ["track", str(scene), "-o", str(tmp_path / "a.json"), "--frames", "1001-1008"]
    assert main([*words, "--like", str(reference), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["cuts"] == [1005]
    track = load_track(tmp_path / "a.json")
    assert sides(track)["first"] == {True}
    assert sides(track)["second"] == {False}


def test_all_faces_go_into_one_file(scene, tmp_path, capsys):
    path = tmp_path / "all.json"
    words = ["track", str(scene), "-o", str(path), "--all", "--frames", "1001-1006"]
    assert main([*words, "--focal", "50", "--filmback", "36"]) == 0
    assert "face 1 in 6 of 6 frames" in capsys.readouterr().out
    for number in (0, 1):
        track = load_track(path, number)
        assert len(track.faces) == 6
        assert track.focal == pytest.approx(480 * 50 / 36, abs=1e-3)
        assert all(face.position[2] < 0 for face in track.faces.values())


def test_a_click_beside_every_face_says_where_they_are(scene):
    with pytest.raises(TrackError, match=r"frame 1001 shows no face at \(3, 250\).*found at: \(\d"):
        people(scene, open_provider(), Choice(at=(3.0, 250.0)))


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--at", "12"], "X,Y@FRAME"),
        (["--all", "--like", "x.png"], "one way"),
        (["--filmback", "36"], "--focal"),
        (["--at", "350,130@7"], "frame 7, which is not among"),
        (["--like", "nothing.png"], "nothing.png"),
    ],
)
def test_a_choice_that_makes_no_sense_is_refused(scene, tmp_path, capsys, words, told):
    assert main(["track", str(scene), "-o", str(tmp_path / "a.json"), *words]) != 0
    assert told in capsys.readouterr().err
    assert not (tmp_path / "a.json").exists()


def test_two_faces_that_cross_stay_who_they_are(tmp_path):
    """The one behind is hidden for some frames: a gap, and then the same person again."""
    pictures, paths = [], []
    for i in range(15):
        near = ((60.0 + 18.0 * i, 85.0), 110.0, 0.0)
        far = ((300.0 - 14.0 * i, 80.0), 64.0, 0.0)
        hidden = abs(near[0][0] - far[0][0]) < 0.75 * 0.38 * 220
        pictures.append(draw((170, 400), [near] if hidden else [near, far]))
        paths.append((near, None if hidden else far))
    found = people(write(tmp_path, pictures), DrawnFaces(), Choice(everyone=True))
    assert len(found) == 2
    for number in (0, 1):
        seen = {1001 + i for i, path in enumerate(paths) if path[number] is not None}
        assert set(found[number].faces) == seen
        for frame, face in found[number].faces.items():
            assert np.abs(face.landmarks - landmarks_at(*paths[frame - 1001][number])).max() < 1.5
