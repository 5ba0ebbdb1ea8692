"""Hand keys: what a person has put somewhere is there, comes in softly, and survives."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from conftest import Painter, a_face, a_plate
from semblance import shot
from semblance.cli import main
from semblance.errors import TrackError
from semblance.exr import Sequence, read_plate, write_plate
from semblance.face import HandKey, Track
from semblance.knobs import Knobs
from semblance.track.file import load_track, save_hand, save_track
from semblance.track.hand import freed, kept, moved
from semblance.track.smooth import smooth

EXAMPLES = Path(__file__).parents[1] / "examples"
FRAMES = tuple(range(1, 31))


def trembling(frames: tuple[int, ...] = FRAMES, lost: tuple[int, ...] = ()) -> Track:
    """A face that walks to the right and trembles."""
    random = np.random.default_rng(5)
    faces = {}
    for frame in frames:
        face = a_face((60.0 + 2.0 * frame, 45.0))
        noise = random.normal(0.0, 0.3, face.landmarks.shape)
        if frame not in lost:
            faces[frame] = replace(face, landmarks=face.landmarks + noise, source="native")
    return Track(faces, (400, 90), frames=frames, made_by={"tool": "test", "provider": "native"})


@pytest.mark.parametrize("sigma", [0.0, 1.0, 3.0])
def test_at_its_frame_a_key_is_exact_and_falls_off_to_nothing(sigma):
    track = trembling()
    plain = smooth(track, sigma)
    nudged = smooth(moved(track, 15, {30: (123.25, 51.5), 8: (99.0, 80.0)}, blend=4), sigma)
    assert nudged.faces[15].landmarks[30].tolist() == [123.25, 51.5]
    assert nudged.faces[15].landmarks[8].tolist() == [99.0, 80.0]
    assert nudged.faces[15].source == "hand"
    step = {frame: nudged.faces[frame].landmarks - plain.faces[frame].landmarks for frame in FRAMES}
    others = [index for index in range(68) if index not in (8, 30)]
    assert all((step[frame][others] == 0.0).all() for frame in FRAMES)
    size = {frame: float(np.hypot(*step[frame][30])) for frame in FRAMES}
    around = [size[frame] for frame in range(10, 21)]
    assert around[0] == around[10] == 0.0
    assert (np.diff(around[:6]) > 0.0).all()
    assert (np.diff(around[5:]) < 0.0).all()
    assert around[4] == pytest.approx(around[6])
    assert all(size[frame] == 0.0 for frame in FRAMES if abs(frame - 15) > 4)
    assert nudged.faces[14].source == "native"
    assert smooth(freed(moved(track, 15, {30: (1.0, 2.0)}), 15), sigma).faces.keys() == (
        plain.faces.keys()
    )


def test_between_near_keys_the_one_goes_over_into_the_other():
    track = trembling()
    plain = smooth(track, 1.0)

    def by(frame: int, x: float) -> dict[int, tuple[float, float]]:
        point = plain.faces[frame].landmarks[30]
        return {30: (float(point[0]) + x, float(point[1]))}

    both = smooth(moved(moved(track, 10, by(10, 6.0)), 18, by(18, 6.0)), 1.0)
    steps = [both.faces[f].landmarks[30] - plain.faces[f].landmarks[30] for f in range(10, 19)]
    assert np.abs(np.array(steps) - (6.0, 0.0)).max() < 1e-9
    apart = smooth(moved(moved(track, 5, by(5, 6.0)), 25, by(25, 6.0)), 1.0)
    assert apart.faces[15].landmarks.tolist() == plain.faces[15].landmarks.tolist()


def test_a_key_does_not_reach_over_a_gap_or_a_cut():
    track = trembling(lost=tuple(range(17, 22)))
    nudged = smooth(moved(track, 15, {30: (100.0, 50.0)}, blend=20), 1.0)
    plain = smooth(track, 1.0)
    assert (nudged.faces[16].landmarks != plain.faces[16].landmarks).any()
    assert (nudged.faces[22].landmarks == plain.faces[22].landmarks).all()
    cut = {
        frame: face
        if frame < 20
        else replace(face, landmarks=face.landmarks + np.array([200.0, 0.0]))
        for frame, face in trembling().faces.items()
    }
    jumping = replace(trembling(), faces=cut)
    nudged = smooth(moved(jumping, 19, {30: (100.0, 50.0)}, blend=20), 1.0)
    assert (nudged.faces[20].landmarks == smooth(jumping, 1.0).faces[20].landmarks).all()


def test_a_whole_face_by_hand_stands_where_none_was_found():
    lost = tuple(range(10, 20))
    track = trembling(lost=lost)
    whole = {i: (float(x), float(y)) for i, (x, y) in enumerate(a_face((90.0, 45.0)).landmarks)}
    placed = smooth(moved(track, 14, whole), 1.0)
    assert placed.faces[14].landmarks.tolist() == a_face((90.0, 45.0)).landmarks.tolist()
    assert placed.faces[14].source == "hand"
    assert 12 not in placed.faces
    part = moved(track, 14, {30: (90.0, 45.0)})
    assert 14 not in smooth(part, 1.0).faces


def test_the_pose_follows_what_was_moved():
    track = trembling()
    face = a_face((90.0, 45.0), roll=20.0)
    whole = {i: (float(x), float(y)) for i, (x, y) in enumerate(face.landmarks)}
    turned = smooth(moved(track, 15, whole), 0.0).faces[15]
    assert abs(turned.roll - track.faces[15].roll) > 10.0


# ------------------------------------------------------------------------------------- the file


def test_keys_are_in_the_file_and_all_else_in_it_stays(tmp_path):
    path = tmp_path / "track.json"
    save_track(trembling(), path)
    automatic = path.read_text()
    document = json.loads(automatic)
    document["faces"]["1"] = {"3": {"landmarks": a_face().landmarks.tolist()}}
    path.write_text(json.dumps(document))
    nudged = moved(load_track(path), 7, {30: (70.123456, 44.0)}, blend=6)
    save_hand(nudged, path)
    read = load_track(path)
    assert read.hand == {7: HandKey({30: (70.1235, 44.0)}, 6)}
    assert load_track(path, 1).faces[3].landmarks == pytest.approx(a_face().landmarks, abs=1e-4)
    assert load_track(path, 1).hand == {}
    written = path.read_text()
    save_hand(read, path)
    assert path.read_text() == written
    assert '"7": {"blend": 6, "points": {"30": [70.1235, 44.0]}}' in written
    save_track(replace(read, hand={}), path)
    assert path.read_text() == automatic, "a track without keys is what it was"
    assert [each.name for each in tmp_path.iterdir()] == ["track.json"]


MISTAKES = {
    "points": ({"blend": 4}, "hand key 7, points: expected [x, y] by the landmark's number"),
    "none": ({"points": {}}, "hand key 7, points"),
    "index": ({"points": {"68": [1, 2]}}, "hand key 7, points: expected landmarks 0 to 67"),
    "pair": ({"points": {"3": [1]}}, "hand key 7, landmark 3: expected [x, y], found [1]"),
    "number": ({"points": {"3": [1, "2"]}}, "hand key 7, landmark 3, y: expected a number"),
    "blend": ({"blend": -1, "points": {"3": [1, 2]}}, "hand key 7, blend: expected 0 to 1000"),
    "entry": ([], "hand key 7: expected a key with points, found []"),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_a_broken_key_is_refused_by_file_and_place(name, tmp_path):
    entry, said = MISTAKES[name]
    path = tmp_path / "track.json"
    save_track(trembling(), path)
    path.write_text(json.dumps({**json.loads(path.read_text()), "hand": {"0": {"7": entry}}}))
    with pytest.raises(TrackError) as caught:
        load_track(path)
    assert str(path) in str(caught.value)
    assert said in str(caught.value)


# ---------------------------------------------------------------------------------- re-analysis


def test_tracking_again_keeps_the_keys_that_hold_and_names_those_that_do_not(tmp_path):
    path = tmp_path / "track.json"
    track = trembling()
    assert kept(track, path) == (track, "")
    near = {30: tuple(track.faces[5].landmarks[30] + 2.0)}
    whole = {i: (float(x), float(y)) for i, (x, y) in enumerate(a_face((90.0, 45.0)).landmarks)}
    mended = moved(track, 5, near)
    mended = moved(mended, 9, {30: (390.0, 80.0)})  # of another face
    mended = moved(mended, 12, {30: (80.0, 45.0)})  # where none is found now
    mended = moved(mended, 13, whole)
    mended = moved(mended, 99, {30: (80.0, 45.0)})  # not looked at
    save_track(mended, path)
    made, told = kept(trembling(lost=(12, 13)), path)
    assert set(made.hand) == {5, 13, 99}
    assert "frames 5, 13, 99 are kept" in told
    assert "9, 12" in told
    assert "not" in told
    made, told = kept(replace(trembling(), size=(800, 180)), path)
    assert made.hand == {}
    assert "400 × 90" in told
    path.write_text("torn")
    made, told = kept(trembling(), path)
    assert made.hand == {}
    assert "not kept" in told


def test_the_command_keeps_hand_keys_and_says_so(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    output = tmp_path / "track.json"
    plate = str(EXAMPLES / "plate.####.exr")
    assert main(["track", plate, "--frames", "1001-1002", "-o", str(output)]) == 0
    found = load_track(output)
    point = tuple(found.faces[1002].landmarks[30] + (3.0, -2.0))
    save_hand(moved(found, 1002, {30: point}), output)
    capsys.readouterr()
    assert main(["track", plate, "--frames", "1001-1002", "-o", str(output)]) == 0
    assert "hand keys of frames 1002 are kept" in capsys.readouterr().err
    again = load_track(output)
    assert again.hand[1002].points[30] == pytest.approx(point, abs=1e-4)
    assert again.faces[1002].landmarks == pytest.approx(found.faces[1002].landmarks)
    assert smooth(again, 1.0).faces[1002].landmarks[30] == pytest.approx(point, abs=1e-4)


def test_apply_renders_with_the_key(tmp_path):
    """The matte moves with a face that was moved by hand."""
    for frame in (1, 2):
        write_plate(a_plate(seed=frame), tmp_path / f"plate.{frame:04d}.exr")
    plates = Sequence.parse(tmp_path / "plate.####.exr")
    faces = {1: a_face(), 2: a_face()}
    track = Track(faces, (120, 90), frames=(1, 2))
    whole = {i: (float(x), float(y)) for i, (x, y) in enumerate(a_face((72.0, 45.0)).landmarks)}
    knobs = Knobs.from_flat({"mask_occlusion": 0.0, "looks": 1, "view": "matte"})
    matte = {}
    for name, given in (("plain", track), ("moved", moved(track, 1, whole, blend=0))):
        results = Sequence.parse(tmp_path / f"{name}.####.exr")
        shot.apply(plates, results, (1, 2), track=given, likeness=Painter(), knobs=lambda f: knobs)
        matte[name] = [read_plate(results.path(frame)).picture()[..., 0] for frame in (1, 2)]
    centre = {
        name: [float((np.arange(120) * each.sum(axis=0)).sum() / each.sum()) for each in pair]
        for name, pair in matte.items()
    }
    assert centre["moved"][0] - centre["plain"][0] == pytest.approx(12.0, abs=1.0)
    assert np.array_equal(matte["moved"][1], matte["plain"][1])
