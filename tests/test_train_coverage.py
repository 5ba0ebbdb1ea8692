"""What a faceset covers, how good its faces are, and how often each is drawn."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from semblance.align import TEMPLATE
from semblance.train.balance import HEAVIEST, balanced
from semblance.train.coverage import Coverage, coverage, holes
from semblance.train.coverage_picture import coverage_picture
from semblance.train.quality import Quality


def a_face(yaw=0.0, pitch=0.0, mouth=0.0, quality=1.0, occluded=0.0):
    points = TEMPLATE.copy()
    face = np.linalg.norm(points[27] - points[8])
    points[66] = points[62] + (0.0, mouth * face)
    return {
        "landmarks": points.tolist(),
        "yaw": yaw,
        "pitch": pitch,
        "quality": {"score": quality, "occluded": occluded},
    }


def faces_at(yaws, **rest):
    return [a_face(yaw=yaw, **rest) for yaw in yaws]


def everything(yaws=range(-60, 61, 4)):
    """Faces of all turns and looks, each with every mouth."""
    mouths = (0.0, 0.15, 0.3)
    return [a_face(yaw, pitch, mouth) for yaw in yaws for pitch in (-20.0, 0.0, 20.0)
             for mouth in mouths]  # fmt: skip


def test_a_hole_is_named_with_its_side_and_its_angle():
    performer = coverage(everything())
    seen = [face for face in everything() if face["yaw"] > -37]
    found = holes("likeness", coverage(seen), performer, "performer")
    assert found == ["likeness has no left profile beyond 35° (performer goes to 60°)"]
    assert holes("performer", performer, coverage(seen), "likeness") == []


def test_alone_a_person_is_held_against_what_films_need():
    found = holes("the faceset", coverage(faces_at(range(-20, 50))))
    assert found[0] == "the faceset has no left profile beyond 15°"
    assert "the faceset has no look up beyond 0°" in found
    assert "the faceset has no faces with mouth wide open" in found
    assert not any("right profile" in words for words in found)


def test_a_gap_inside_and_a_missing_expression_are_named():
    wide = everything()
    gap = [face for face in wide if not (5 < face["yaw"] < 50 and face["pitch"] > 10)]
    gap = [face for face in gap if face["landmarks"][66][1] - face["landmarks"][62][1] < 0.15]
    found = holes("likeness", coverage(gap), coverage(wide), "performer")
    assert any(
        words.startswith("likeness has nothing near right side at 2") and "looking down" in words
        for words in found
    ), found
    assert any("no faces with mouth wide open" in words for words in found)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(st.floats(-90, 90), st.floats(-60, 60)), min_size=1, max_size=60))
def test_every_face_is_counted_once_and_nobody_lacks_what_only_he_has(poses):
    found = coverage([a_face(yaw, pitch) for yaw, pitch in poses])
    assert found.counts.sum() == len(poses)
    assert holes("he", found, found, "himself") == []
    nobody = Coverage(np.zeros(0), np.zeros(0), np.zeros((0, 4), bool))
    assert holes("he", found, nobody, "nobody") == []


def test_the_picture_shows_both_people():
    people = {"performer": coverage(everything()), "likeness": coverage(faces_at([0.0] * 5))}
    said = holes("likeness", people["likeness"], people["performer"], "performer")
    picture = np.asarray(coverage_picture(people, said))
    alone = np.asarray(coverage_picture({"performer": people["performer"]}))
    assert picture.shape[0] > 1.8 * alone.shape[0]
    assert len(np.unique(picture.reshape(-1, 3), axis=0)) > 10


def test_a_rare_pose_is_drawn_more_often_up_to_a_bound():
    weights = balanced([*faces_at([0.0] * 300), *faces_at([50.0] * 3)])
    assert weights.sum() == pytest.approx(1.0)
    assert weights[-1] > 2.0 * weights[0]
    assert weights.max() * 303 <= HEAVIEST * 1.1


def test_hidden_and_poor_faces_are_drawn_less_but_not_never():
    plain, hidden = a_face(), a_face(occluded=0.5)
    poor = a_face(quality=0.1)
    weights = balanced([*[plain] * 20, hidden, poor])
    assert 0.0 < weights[20] < 0.2 * weights[0]
    assert 0.0 < weights[21] < 0.5 * weights[0]
    # Where all of it is poor, as an archive is, nothing is put aside.
    archive = balanced([poor] * 20)
    np.testing.assert_allclose(archive, 0.05)


@pytest.mark.parametrize("name", ["pixels", "sharpness", "flat", "occluded"])
def test_quality_falls_with_each_of_its_figures(name):
    best = {"pixels": 300.0, "sharpness": 20.0, "flat": 0.0, "occluded": 0.0}
    worse = {"pixels": (150.0, 60.0), "sharpness": (4.0, 1.0), "flat": (0.1, 0.3),
             "occluded": (0.2, 0.6)}  # fmt: skip
    scores = [Quality(**best).score, *(Quality(**{**best, name: v}).score for v in worse[name])]
    assert scores[0] == 1.0
    assert scores[0] > scores[1] > scores[2] > 0.0
