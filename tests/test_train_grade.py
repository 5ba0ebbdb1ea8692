"""The grade of archives and of mixed sources, and the cache that decoded faces lie in."""

from __future__ import annotations

import json
import os
from pathlib import Path

import cv2
import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="training needs the extra 'train'")

from helpers_faceset import draw_faceset  # noqa: E402
from semblance.errors import TrainingError  # noqa: E402
from semblance.train.faces import ADDED, Person, load_people  # noqa: E402
from semblance.train.faceset import build_faceset  # noqa: E402
from semblance.train.grade import FAINT, Tones, grades, look_of, tones  # noqa: E402
from semblance.train.hard import written_hard  # noqa: E402

LUMA = np.array([0.2126, 0.7152, 0.0722], np.float32)
FACE = np.ones((24, 24), np.float32)


def pictures(count, tint=(1.08, 0.98, 0.85), seed=1):
    """Skin in many lights: luma of its own each, and one complexion."""
    rng = np.random.default_rng(seed)
    made = []
    for _ in range(count):
        luma = np.clip(rng.normal(rng.uniform(0.35, 0.45), 0.1, (24, 24, 1)), 0.05, 0.95)
        made.append(np.clip(luma * np.array(tint), 0.0, 1.0).astype(np.float32))
    return made


def measured(made):
    return Tones(
        *(np.array(column) for column in zip(*(tones(p, FACE) for p in made), strict=True))
    )


def graded(made, sources, monochrome, other=None):
    found = grades(sources, np.array(monochrome), measured(made), other)
    return [grade.apply(p) if grade.changes else p for grade, p in zip(found, made, strict=True)], [
        grade.colour for grade in found
    ]


def aged(picture):
    """Hard, dark and toned, as an old print."""
    luma = picture @ LUMA
    print_ = np.clip(1.35 * (luma - 0.42) + 0.36, 0.0, 1.0)[..., None]
    return np.clip(print_ * np.array([1.1, 1.0, 0.7]), 0.0, 1.0).astype(np.float32)


def test_an_archive_gets_contrast_level_and_complexion_of_the_clean_faces():
    clean = pictures(30)
    look = look_of(measured(clean), np.zeros(30, bool))
    truth = pictures(20, seed=2)
    old = [aged(each) for each in truth]
    made, colour = graded(old, ["archive/a.jpg"] * 20, [True] * 14 + [False] * 6, look)
    before, after = (np.mean([np.square(a - b).mean() for a, b in zip(x, truth, strict=True)])
                     for x in (old, made))  # fmt: skip
    assert after < 0.1 * before
    assert colour == [FAINT] * 20  # the few that have colour are faded: it is no more believed


def test_without_clean_faces_anywhere_an_archive_stays_and_teaches_no_colour():
    old = [aged(each) for each in pictures(8)]
    made, colour = graded(old, ["archive/a.jpg"] * 8, [True] * 8)
    assert colour == [0.0] * 8
    assert all(np.array_equal(a, b) for a, b in zip(made, old, strict=True))


def test_sources_of_one_person_are_brought_to_one_white_and_one_source_is_left_alone():
    warm = [np.clip(p * [1.12, 1.0, 0.8], 0, 1).astype(np.float32) for p in pictures(20)]
    cool = [np.clip(p * [0.88, 1.0, 1.15], 0, 1).astype(np.float32) for p in pictures(20, seed=3)]
    made, colour = graded([*warm, *cool], ["a.mov"] * 20 + ["b.mov"] * 20, [False] * 40)
    assert colour == [1.0] * 40

    def apart(x):
        one, two = (np.mean([p.mean(axis=(0, 1)) for p in half], axis=0)
                    for half in (x[:20], x[20:]))  # fmt: skip
        return np.abs(one / one.sum() - two / two.sum()).max()

    assert apart(made) < 0.25 * apart([*warm, *cool])
    alone, _ = graded(warm, ["a.mov"] * 20, [False] * 20)
    assert all(np.array_equal(a, b) for a, b in zip(alone, warm, strict=True))


def test_the_studios_archive_comes_near_the_clean_frames_of_the_same_moments(studio, tmp_path):
    for name, every in (("performer", 12), ("likeness", 10), ("archival", 5)):
        folder = studio / name
        marks = folder / "landmarks.json"
        build_faceset([folder], tmp_path / name, None, landmarks=marks, size=96, every=every)
    person = {name: Person((tmp_path / name,)) for name in ("performer", "likeness", "archival")}
    _, clean = load_people(person["performer"], person["likeness"], 64, tmp_path / "a")
    _, old = load_people(person["performer"], person["archival"], 64, tmp_path / "b")
    assert set(old.colour.tolist()) == {FAINT}
    at = {source.split("/")[-1]: row for row, (source, _) in enumerate(clean.frames)}
    errors = []
    for row, (source, _) in enumerate(old.frames):
        if source.split("/")[-1] in at:
            other = at[source.split("/")[-1]]
            inside = clean.masks[other, 0].numpy() > 200
            ours, theirs = (who.pictures[i].float().numpy()[:, inside]
                            for who, i in ((old, row), (clean, other)))  # fmt: skip
            ours = ours * ((LUMA @ theirs).mean() / (LUMA @ ours).mean())
            errors.append(np.square(ours - theirs).mean())
    assert len(errors) > 10
    assert -10.0 * np.log10(np.mean(errors)) > 30.0  # 23 as they are


# --------------------------------------------------------------------------------------- the cache


def sets(folder):
    performer = draw_faceset(folder / "performer", (0.75, 0.55, 0.45))
    return performer, draw_faceset(folder / "likeness", (0.45, 0.3, 0.25))


def test_faces_are_decoded_once_and_again_only_when_they_change(tmp_path):
    performer, likeness = (Person((each,)) for each in sets(tmp_path))
    cache = tmp_path / "cache"
    first, _ = load_people(performer, likeness, 32, cache)
    made = {path: path.stat().st_mtime_ns for path in cache.rglob("*.npy")}
    assert len(made) == 4
    again, _ = load_people(performer, likeness, 32, cache)
    assert {path: path.stat().st_mtime_ns for path in cache.rglob("*.npy")} == made
    assert torch.equal(again.pictures, first.pictures)
    assert again.digest == first.digest
    # A face that was painted over is seen.
    face = performer.facesets[0] / "faces/000002.png"
    cv2.imwrite(str(face), np.full_like(cv2.imread(str(face), -1), 30000))
    os.utime(face, (1, 1))
    changed, _ = load_people(performer, likeness, 32, cache)
    assert changed.digest != first.digest
    assert not torch.equal(changed.pictures[2], first.pictures[2])
    assert torch.equal(changed.pictures[1], first.pictures[1])
    assert len(list(cache.iterdir())) == 2  # what nobody needs any more is gone


def test_what_is_written_into_memory_does_not_reach_the_cache(tmp_path):
    people = [Person((each,)) for each in sets(tmp_path)]
    faces, _ = load_people(*people, 32, tmp_path / "cache")
    before = faces.pictures.clone()
    faces.pictures.zero_()
    again, _ = load_people(*people, 32, tmp_path / "cache")
    assert torch.equal(again.pictures, before)


def test_new_material_has_its_share_of_the_draws(tmp_path):
    performer, likeness = sets(tmp_path)
    shot = draw_faceset(tmp_path / "shot", (0.7, 0.5, 0.4), count=3, source="plate.####.exr")
    person = Person((performer,), added=(shot,))
    faces, _ = load_people(person, Person((likeness,)), 32, tmp_path / "cache")
    assert len(faces) == 11
    assert faces.weights[8:].sum() == pytest.approx(ADDED)
    assert faces.weights.sum() == pytest.approx(1.0)
    hard = faces.harder(frozenset({("plate.#.exr", 1)}))
    assert hard.weights[9] > 1.5 * hard.weights[8]
    assert hard.weights[8] == pytest.approx(hard.weights[10], rel=0.5)


def test_the_users_matte_leaves_out_of_the_masks_what_it_hides(tmp_path):
    performer, likeness = sets(tmp_path)
    listing = json.loads((performer / "faceset.json").read_text())
    (performer / "mattes").mkdir()
    matte = np.zeros((40, 40), np.uint8)
    matte[:, :20] = 255
    cv2.imwrite(str(performer / "mattes/000000.png"), matte)
    listing["faces"][0]["matte"] = "mattes/000000.png"
    (performer / "faceset.json").write_text(json.dumps(listing))
    faces, _ = load_people(Person((performer,)), Person((likeness,)), 32, tmp_path / "cache")
    face = faces.masks[0, 0].numpy()
    assert face[:, :19].max() > 200
    assert face[:, 21:].max() == 0
    assert faces.masks[1, 0].numpy()[:, 21:].max() > 200


def test_facesets_of_two_margins_do_not_go_together(tmp_path):
    performer, likeness = sets(tmp_path)
    other = draw_faceset(tmp_path / "other", (0.7, 0.5, 0.4))
    text = (other / "faceset.json").read_text()
    (other / "faceset.json").write_text(text.replace('"margin": 0.125', '"margin": 0.25'))
    with pytest.raises(TrainingError, match="performer have different margins"):
        load_people(Person((performer, other)), Person((likeness,)), 32, tmp_path / "cache")


def test_a_list_of_frames_reads_back(tmp_path: Path):
    from semblance.train.hard import read_hard

    path = tmp_path / "hard.json"
    path.write_text(written_hard([(("plate.%04d.exr", 1003), "flicker"), (("a/b.png", None), "x")]))
    assert read_hard(path) == {("plate.#.exr", 1003), ("a/b.png", None)}
    for text, said in (
        ("[]", "the document: expected an object"),
        ('{"format": "other"}', "format: expected 'semblance-frames'"),
        ('{"format": "semblance-frames", "version": 1, "frames": []}', "frames: expected a list"),
        ('{"format": "semblance-frames", "version": 1, "frames": [{"source": "a", "frame": 1.5}]}',
         r"frames\[0\]\.frame: expected a whole number"),
    ):  # fmt: skip
        path.write_text(text)
        with pytest.raises(TrainingError, match=said):
            read_hard(path)
