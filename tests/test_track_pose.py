"""Heads in space: six degrees of freedom in full perspective, with the lens given or estimated."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from semblance.face import Face, Track
from semblance.track.file import load_track, save_track
from semblance.track.hand import moved
from semblance.track.head import LANDMARKS, angles, head_pose
from semblance.track.pose import estimate_focal, in_space, placed_in_space
from semblance.track.smooth import smooth

STUDIO = Path(__file__).resolve().parents[2] / "shared/studio"
SIZE = (1920, 1080)
MIDDLE = (960.0, 540.0)


def rotation(yaw, pitch, roll):
    y, p, r = np.radians([yaw, pitch, roll])
    about_y = np.array([[np.cos(y), 0, np.sin(y)], [0, 1, 0], [-np.sin(y), 0, np.cos(y)]])
    about_x = np.array([[1, 0, 0], [0, np.cos(p), -np.sin(p)], [0, np.sin(p), np.cos(p)]])
    about_z = np.array([[np.cos(r), -np.sin(r), 0], [np.sin(r), np.cos(r), 0], [0, 0, 1]])
    return about_y @ about_x @ about_z


def seen(turn, position, focal, middle=MIDDLE):
    there = LANDMARKS @ turn.T + position
    return np.column_stack([-there[:, 0], there[:, 1]]) * focal / there[:, 2:] + middle


def walk(focal, *, aspect=1.0, noise=0.0):
    """A head that turns and travels, 40 to 90 cm before the camera."""
    rng = np.random.default_rng(4)
    faces = {}
    for i in range(20):
        turn = rotation(30 * np.sin(i / 3), 12 * np.cos(i / 4), 8 * np.sin(i / 5))
        place = (15 * np.sin(i / 6), 8 * np.cos(i / 5), -65 + 25 * np.sin(i / 4))
        points = seen(turn, place, focal) + rng.normal(0, noise, (68, 2))
        faces[1001 + i] = Face(points / (aspect, 1.0))
    return Track(faces, (round(SIZE[0] / aspect), SIZE[1]), aspect, tuple(faces))


angle = st.floats(-35.0, 35.0)


@settings(max_examples=30, deadline=None)
@given(
    yaw=angle,
    pitch=st.floats(-25.0, 25.0),
    roll=angle,
    x=st.floats(-20.0, 20.0),
    y=st.floats(-10.0, 10.0),
    z=st.floats(-150.0, -50.0),
)
def test_a_projected_head_comes_back_as_it_was(yaw, pitch, roll, x, y, z):
    turn, position = in_space(seen(rotation(yaw, pitch, roll), (x, y, z), 1500.0), MIDDLE, 1500.0)
    assert angles(turn) == pytest.approx((yaw, pitch, roll), abs=0.05)
    assert position == pytest.approx((x, y, z), abs=0.05)


def test_a_head_off_the_axis_is_not_turned_by_the_lens():
    points = seen(rotation(0, 0, 0), (35.0, 0.0, -70.0), 1500.0)
    assert abs(head_pose(points)[0]) > 15.0
    assert angles(in_space(points, MIDDLE, 1500.0)[0])[0] == pytest.approx(0.0, abs=0.01)


@pytest.mark.parametrize("focal", [1400.0, 2600.0, 5000.0])
@pytest.mark.parametrize("aspect", [1.0, 2.0])
def test_the_lens_is_estimated_from_a_head_that_moves(focal, aspect):
    estimated = estimate_focal(walk(focal, aspect=aspect, noise=0.3))
    # What is sure is the order of it: people's heads differ from the generic one.
    assert 0.6 < estimated / focal < 1.7


def test_a_track_keeps_its_lens_and_its_heads_in_space(tmp_path):
    placed = placed_in_space(walk(2000.0), 2000.0)
    assert placed.focal == 2000.0
    assert placed.faces[1004].position == pytest.approx(
        (15 * np.sin(0.5), 8 * np.cos(0.6), -65 + 25 * np.sin(0.75)), abs=0.01
    )
    save_track(replace(placed, cuts=(1007,)), tmp_path / "a.json")
    again = load_track(tmp_path / "a.json")
    assert (again.focal, again.cuts) == (2000.0, (1007,))
    assert again.faces[1004].position == pytest.approx(placed.faces[1004].position, abs=1e-4)
    save_track(again, tmp_path / "b.json")
    assert (tmp_path / "b.json").read_bytes() == (tmp_path / "a.json").read_bytes()


def test_a_file_of_the_first_version_is_still_read(tmp_path):
    path = tmp_path / "old.json"
    save_track(walk(2000.0), path)
    document = json.loads(path.read_text())
    document["version"] = 1
    path.write_text(json.dumps(document))
    old = load_track(path)
    assert (old.focal, old.cuts, old.faces[1001].position) == (None, (), None)


def test_smoothing_and_hand_keys_keep_the_head_where_its_landmarks_are():
    placed = placed_in_space(walk(2000.0), 2000.0)
    held = smooth(placed, 1.0)
    for frame, face in held.faces.items():
        assert face.position == pytest.approx(placed.faces[frame].position, abs=2.0)
    shifted = placed.faces[1010].landmarks + np.array([40.0, 0.0])
    keyed = smooth(moved(placed, 1010, dict(enumerate(map(tuple, shifted)))), 0.0)
    further = keyed.faces[1010].position[0] - placed.faces[1010].position[0]
    depth = -placed.faces[1010].position[2]
    assert further == pytest.approx(40.0 * depth / 2000.0, rel=0.1)


def test_too_few_faces_are_left_as_they_are():
    whole = walk(2000.0)
    few = replace(whole, faces={f: whole.faces[f] for f in (1001, 1002)})
    assert placed_in_space(few) is few


@pytest.mark.skipif(not STUDIO.exists(), reason="the studio set ../shared/studio is not here")
@pytest.mark.parametrize("shot", ["monologue", "song", "occlusion"])
def test_yaw_is_no_longer_overstated(shot):
    truth = json.loads((STUDIO / shot / "truth.json").read_text())
    faces = {int(f): Face(np.array(each["landmarks_plate"])) for f, each in truth.items()}
    placed = placed_in_space(Track(faces, (960, 540), 1.0, tuple(faces)))
    flat, deep = [], []
    for frame, each in truth.items():
        r = (np.array(each["world_to_camera"]) @ np.array(each["head_to_world"]))[:3, :3]
        yaw = np.degrees(np.arctan2(r[0, 2], r[2, 2]))
        flat.append(abs(head_pose(faces[int(frame)].landmarks)[0] - yaw))
        deep.append(abs(placed.faces[int(frame)].yaw - yaw))
    assert np.mean(deep) < 1.8
    assert np.mean(deep) < 0.7 * np.mean(flat)
