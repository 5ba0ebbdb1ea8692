"""Laws of the smoothing of a track."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from helpers_drawn import landmarks_at
from semblance.face import Face, Track
from semblance.track.smooth import LONGEST_GAP, fill_gaps, smooth

NOISE = np.random.default_rng(5).normal(0.0, 0.5, (64, 68, 2))


def moving(count, *, velocity=(0.0, 0.0), acceleration=(0.0, 0.0), first=1001, step=1, noise=0.0):
    held = {}
    for i in range(count):
        centre = 400 + np.array(velocity) * i * step + np.array(acceleration) * (i * step) ** 2 / 2
        points = landmarks_at(centre, 200.0) + noise * NOISE[i]
        held[first + i * step] = Face(points, yaw=2.0 * i, luma=0.1 + 0.01 * i, source="drawn")
    return Track(held, (1920, 1080), frames=tuple(held))


def landmarks(track):
    return np.stack([face.landmarks for face in track.faces.values()])


def without(track, *frames):
    return replace(
        track, faces={frame: face for frame, face in track.faces.items() if frame not in frames}
    )


component = st.floats(-30.0, 30.0)


@settings(max_examples=40, deadline=None)
@given(
    count=st.integers(1, 14),
    velocity=st.tuples(component, component),
    acceleration=st.tuples(st.floats(-2.0, 2.0), st.floats(-2.0, 2.0)),
    step=st.sampled_from([1, 2]),
    sigma=st.floats(0.05, 10.0),
)
def test_steady_motion_is_left_as_it_is_everywhere(count, velocity, acceleration, step, sigma):
    track = moving(count, velocity=velocity, acceleration=acceleration, step=step)
    smoothed = smooth(track, sigma)
    assert np.abs(landmarks(smoothed) - landmarks(track)).max() < 1e-6
    assert [face.yaw for face in smoothed.faces.values()] == pytest.approx(
        [face.yaw for face in track.faces.values()], abs=1e-6
    )


def test_the_filter_has_no_phase():
    track = moving(24, velocity=(3.0, -1.0), noise=1.0)
    frames = list(track.faces)
    backwards = replace(track, faces=dict(zip(frames, reversed(track.faces.values()), strict=True)))
    there = landmarks(smooth(track, 1.2))
    back = landmarks(smooth(backwards, 1.2))[::-1]
    assert np.abs(there - back).max() < 1e-9


@pytest.mark.parametrize(("sigma", "left"), [(0.6, 0.97), (1.0, 0.75), (2.0, 0.55)])
def test_tremor_goes_and_motion_stays(sigma, left):
    still, shaken = (moving(48, velocity=(5.0, 2.0), noise=noise) for noise in (0.0, 1.0))
    before = landmarks(shaken) - landmarks(still)
    after = landmarks(smooth(shaken, sigma)) - landmarks(still)
    assert after.std() < left * before.std()
    assert np.abs(np.diff(after, axis=0)).mean() < left * np.abs(np.diff(before, axis=0)).mean()
    assert np.abs(after.mean(axis=0)).max() < 0.3  # and no drift


def test_no_smoothing_is_the_track_itself():
    track = without(moving(6, noise=1.0), 1003)
    assert smooth(track, 0.0) is track


def test_what_was_measured_stays():
    track = moving(10, noise=1.0)
    for frame, face in smooth(track, 1.0).faces.items():
        twin = track.faces[frame]
        assert (face.score, face.luma, face.source) == (twin.score, twin.luma, twin.source)


@pytest.mark.parametrize("gap", [1, 2, 3, 6])
@pytest.mark.parametrize("step", [1, 2])
def test_a_short_gap_is_filled_and_a_long_one_stays_lost(gap, step):
    whole = moving(16, velocity=(7.0, 3.0), acceleration=(0.5, 0.0), step=step)
    lost = list(whole.faces)[6 : 6 + gap]
    track = without(whole, *lost)
    smoothed = smooth(track, 0.6)
    if gap > LONGEST_GAP:
        assert not set(lost) & set(smoothed.faces)
    else:
        assert np.abs(landmarks(smoothed) - landmarks(whole)).max() < 1e-6
        assert {frame for frame, face in smoothed.faces.items() if face.source == "filled"} == {
            *lost
        }
        assert smoothed.faces[lost[0]].luma == pytest.approx(whole.faces[lost[0]].luma)
    assert smoothed.frames == whole.frames


def test_the_two_sides_of_a_long_gap_do_not_know_each_other():
    whole = moving(20, noise=1.0)
    track = without(whole, *range(1009, 1013))
    alone = replace(whole, faces={f: face for f, face in whole.faces.items() if f < 1009})
    both, one = smooth(track, 2.0), smooth(alone, 2.0)
    for frame in one.faces:
        assert np.array_equal(both.faces[frame].landmarks, one.faces[frame].landmarks)


def test_a_jump_is_neither_filled_nor_smoothed_over():
    before, after = moving(6, noise=0.0), moving(6, noise=0.0, first=1008)
    far = {f: replace(face, landmarks=face.landmarks + 700) for f, face in after.faces.items()}
    track = Track({**before.faces, **far}, (1920, 1080), frames=tuple(range(1001, 1014)))
    assert fill_gaps(track).faces.keys() == track.faces.keys()
    assert np.abs(landmarks(smooth(track, 3.0)) - landmarks(track)).max() < 1e-6


def test_a_roll_across_the_half_turn_does_not_spin():
    track = moving(9)
    held = {
        frame: replace(face, roll=(176.0 + 2.0 * i + 180.0) % 360.0 - 180.0)
        for i, (frame, face) in enumerate(track.faces.items())
    }
    smoothed = smooth(replace(track, faces=held), 1.0)
    turned = [(face.roll - held[frame].roll + 180.0) % 360.0 - 180.0
              for frame, face in smoothed.faces.items()]  # fmt: skip
    assert np.abs(turned).max() < 1e-6
