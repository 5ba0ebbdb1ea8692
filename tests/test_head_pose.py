"""Pose from landmarks: exact on projections of the generic head, honest on the studio's shots."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from semblance.track.head import LANDMARKS, head_pose, head_rotation

STUDIO = Path(__file__).resolve().parents[2] / "shared/studio"


def rotation(yaw: float, pitch: float, roll: float) -> NDArray[np.float64]:
    y, p, r = np.radians([yaw, pitch, roll])
    about_y = [[np.cos(y), 0, np.sin(y)], [0, 1, 0], [-np.sin(y), 0, np.cos(y)]]
    about_x = [[1, 0, 0], [0, np.cos(p), -np.sin(p)], [0, np.sin(p), np.cos(p)]]
    about_z = [[np.cos(r), -np.sin(r), 0], [np.sin(r), np.cos(r), 0], [0, 0, 1]]
    return np.array(about_y) @ np.array(about_x) @ np.array(about_z)


def picture(turn: NDArray[np.float64], scale: float = 20.0) -> NDArray[np.float64]:
    return (LANDMARKS @ turn.T)[:, :2] * [scale, -scale] + [960.0, 540.0]


@given(
    yaw=st.floats(-70, 70), pitch=st.floats(-40, 40), roll=st.floats(-60, 60),
    scale=st.floats(0.5, 300),
)  # fmt: skip
def test_a_projected_head_gives_its_pose_back(
    yaw: float, pitch: float, roll: float, scale: float
) -> None:
    turn = rotation(yaw, pitch, roll)
    assert head_pose(picture(turn, scale)) == pytest.approx((yaw, pitch, roll), abs=0.1)
    assert np.allclose(head_rotation(picture(turn, scale)), turn, atol=2e-3)


def test_signs_are_those_of_the_picture() -> None:
    # To the subject's left: the nose tip goes to the right of the eyes' middle in the picture.
    left = picture(rotation(30, 0, 0))
    assert left[30, 0] > left[36:48, 0].mean()
    assert head_pose(left)[0] > 25
    # Down: the nose tip comes nearer to the mouth.
    down, level = picture(rotation(0, 20, 0)), picture(np.eye(3))
    assert down[51, 1] - down[30, 1] < level[51, 1] - level[30, 1]
    assert head_pose(down)[1] > 15
    # Rolled: the subject's left eye (45) goes up.
    rolled = picture(rotation(0, 0, 15))
    assert rolled[45, 1] < rolled[36, 1]
    assert head_pose(rolled)[2] == pytest.approx(15, abs=0.1)


def test_mouth_and_jaw_do_not_turn_the_head() -> None:
    points = picture(rotation(10, 5, -3))
    spoken = points.copy()
    spoken[48:] += [3.0, 25.0]
    spoken[:17] += [-5.0, 30.0]
    assert head_pose(spoken) == pytest.approx(head_pose(points), abs=1e-9)


@pytest.mark.parametrize(
    "points", [np.zeros((68, 2)), np.zeros((5, 2)), np.full((68, 2), math.nan)]
)
def test_what_is_no_face_is_refused(points: NDArray[np.float64]) -> None:
    with pytest.raises(ValueError, match="68"):
        head_pose(points)


@pytest.mark.skipif(not STUDIO.exists(), reason="the studio set ../shared/studio is not here")
@pytest.mark.parametrize("shot", ["monologue", "song", "occlusion"])
def test_true_landmarks_of_a_shot_give_its_pose(shot: str) -> None:
    errors = []
    for frame in json.loads((STUDIO / shot / "truth.json").read_text()).values():
        r = (np.array(frame["world_to_camera"]) @ np.array(frame["head_to_world"]))[:3, :3]
        truth = [np.arctan2(r[0, 2], r[2, 2]), np.arcsin(-r[1, 2]), np.arctan2(r[1, 0], r[1, 1])]
        errors.append(np.array(head_pose(np.array(frame["landmarks_plate"]))) - np.degrees(truth))
    yaw, pitch, roll = np.abs(errors).mean(axis=0)
    assert yaw < 4
    assert pitch < 3
    assert roll < 1.5
