"""The track file and imported tables: what goes in comes out, what is wrong is named."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from helpers_drawn import landmarks_at
from semblance.errors import OutputError, TrackError
from semblance.face import Face, Track
from semblance.track.file import load_track, save_track
from semblance.track.imported import import_track


def assert_tracks_equal(one, other, tolerance=0.0):
    assert list(one.faces) == list(other.faces)
    assert (one.size, one.pixel_aspect, one.frames) == (
        other.size,
        other.pixel_aspect,
        other.frames,
    )
    assert dict(one.made_by) == dict(other.made_by)
    for frame, face in one.faces.items():
        twin = other.faces[frame]
        assert np.abs(face.landmarks - twin.landmarks).max() <= tolerance, frame
        for name in ("score", "yaw", "pitch", "roll"):
            assert getattr(face, name) == pytest.approx(getattr(twin, name), abs=tolerance)
        assert (face.luma is None) == (twin.luma is None)
        assert face.luma is None or face.luma == pytest.approx(twin.luma, rel=1e-5)
        assert face.source == twin.source


pixels = st.floats(-5000.0, 20000.0)
angles = st.floats(-180.0, 180.0)
faces = st.builds(
    Face,
    # No face lies in one pixel, and a file of one that does is refused.
    landmarks=arrays(np.float64, (68, 2), elements=pixels).map(
        lambda points: points + (np.ptp(points) < 2.0) * np.arange(68.0)[:, None]
    ),
    score=st.floats(0.0, 1.0),
    yaw=angles,
    pitch=angles,
    roll=angles,
    luma=st.none() | st.floats(0.0, 1e4),
    source=st.sampled_from(["native", "hand", "imported", "filled"]) | st.text(max_size=5),
)
tracks = st.builds(
    lambda held, more, **rest: Track(
        dict(sorted(held.items())), frames=tuple(sorted({*held, *more})), **rest
    ),
    held=st.dictionaries(st.integers(-10, 10**6), faces, max_size=3),
    more=st.sets(st.integers(-10, 10**6), max_size=3),
    size=st.tuples(st.integers(1, 16000), st.integers(1, 16000)),
    pixel_aspect=st.floats(0.5, 4.0),
    made_by=st.dictionaries(st.text(max_size=5), st.text(max_size=5), max_size=2),
)


@settings(max_examples=30, deadline=None)
@given(track=tracks, number=st.integers(0, 3))
def test_what_is_saved_is_what_is_loaded_to_a_ten_thousandth_of_a_pixel(
    tmp_path_factory, track, number
):
    path = tmp_path_factory.mktemp("track") / "a.json"
    save_track(track, path, face=number)
    loaded = load_track(path, number)
    assert_tracks_equal(loaded, track, tolerance=5.1e-5)
    again = path.with_name("b.json")
    save_track(loaded, again, face=number)
    assert again.read_bytes() == path.read_bytes()


def a_track(frames=(1001, 1002)):
    held = {
        frame: Face(landmarks_at((300.0 + frame % 10, 200.0), 150.0, 4.0), luma=0.1)
        for frame in frames
    }
    return Track(held, (960, 540), frames=tuple(frames), made_by={"provider": "drawn"})


def test_a_person_may_leave_out_all_but_the_landmarks(tmp_path):
    path = tmp_path / "hand.json"
    landmarks = np.round(landmarks_at((50.0, 60.0), 40.0), 2)
    document = {
        "format": "semblance-track",
        "version": 1,
        "size": [100, 80],
        "faces": {"2": {"7": {"landmarks": landmarks.tolist()}}},
    }
    path.write_text(json.dumps(document))
    track = load_track(path, 2, size=(100, 80))
    assert np.array_equal(track.faces[7].landmarks, landmarks)
    assert (track.faces[7].score, track.faces[7].luma, track.faces[7].source) == (1.0, None, "hand")
    assert (track.frames, track.pixel_aspect) == ((7,), 1.0)


def spoil(**changes):
    return lambda document: document.update(changes)


def spoil_face(**changes):
    return lambda document: document["faces"]["0"]["1001"].update(changes)


POINTS = landmarks_at((50.0, 60.0), 40.0).tolist()


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (spoil(format="else"), "expected format 'semblance-track', found 'else'"),
        (spoil(version=3), "expected version 1 or 2 of the track format, found 3"),
        (spoil(size=[960]), "size: expected [width, height] in pixels, found [960]"),
        (spoil(size=[0, 540]), "at least 1 pixel"),
        (spoil(pixel_aspect="wide"), "pixel_aspect: expected a number, found 'wide'"),
        (spoil(pixel_aspect=0), "pixel_aspect: expected a finite number from 0.001"),
        (spoil(frames=[1.5]), "frames: expected a list of frame numbers"),
        (spoil(faces=[]), "faces: expected faces by their number"),
        (spoil(faces={"1": {}}), "holds no face 0; it holds: 1"),
        (spoil(faces={"0": {"first": {}}}), "expected a frame number, found 'first'"),
        (spoil(faces={"0": {"1001": 5}}), "frame 1001: expected a face with landmarks, found 5"),
        (spoil_face(landmarks=POINTS[:67]), "frame 1001: landmarks: expected 68 points"),
        (spoil_face(landmarks=[[0, None], *POINTS[1:]]), "frame 1001: landmark 0: expected finite"),
        (spoil_face(landmarks="none"), "frame 1001: landmarks: expected 68 points"),
        (
            spoil_face(score=1.5),
            "frame 1001: score: expected a finite number from 0 to 1, found 1.5",
        ),
        (spoil_face(yaw=True), "frame 1001: yaw: expected a number, found True"),
        (spoil_face(luma=float("inf")), "Infinity is not a number that it may hold"),
        (spoil_face(source=3), "frame 1001: source: expected a text, found 3"),
    ],
)
def test_a_wrong_value_is_named_with_its_place(tmp_path, change, says):
    path = tmp_path / "track.json"
    save_track(a_track(), path)
    document = json.loads(path.read_text())
    change(document)
    path.write_text(json.dumps(document))
    with pytest.raises(TrackError) as caught:
        load_track(path)
    message = str(caught.value)
    assert says in message
    assert str(path) in message
    assert caught.value.remedy


def test_what_is_no_track_file_is_refused_in_one_line(tmp_path):
    for name, content in (("empty", b""), ("torn", b'{"format": "sem'), ("noise", b"\xff\xfe\x00")):
        path = tmp_path / f"{name}.json"
        path.write_bytes(content)
        with pytest.raises(TrackError, match=f"{name}.json is not a JSON document"):
            load_track(path)
    (tmp_path / "list.json").write_text("[]")
    with pytest.raises(TrackError, match="found 'list'"):
        load_track(tmp_path / "list.json")
    with pytest.raises(TrackError, match="there is no track file"):
        load_track(tmp_path / "nothing.json")
    with pytest.raises(TrackError, match="can't be read"):
        load_track(tmp_path)


def test_a_track_of_another_plate_is_refused(tmp_path):
    path = tmp_path / "track.json"
    save_track(a_track(), path)
    with pytest.raises(
        TrackError, match="belongs to a plate of 960 × 540, this one has 1920 × 1080"
    ):
        load_track(path, size=(1920, 1080))


def test_a_track_is_written_whole_or_not_at_all(tmp_path):
    path = tmp_path / "track.json"
    save_track(a_track(), path)
    before = path.read_bytes()
    broken = a_track()
    broken.faces[1002].landmarks[3, 1] = np.nan
    with pytest.raises(TrackError, match="frame 1002 holds a number that is not finite"):
        save_track(broken, path)
    assert path.read_bytes() == before
    with pytest.raises(OutputError, match="can't be written"):
        save_track(a_track(), tmp_path / "no folder" / "track.json")
    (tmp_path / "folder.json").mkdir()
    with pytest.raises(OutputError, match=r"folder\.json"):
        save_track(a_track(), tmp_path / "folder.json")
    assert sorted(item.name for item in tmp_path.iterdir()) == ["folder.json", "track.json"]


def table(track, header="frame,index,x,y"):
    lines = [
        f"{frame},{index},{x:.4f},{y:.4f}"
        for frame, face in track.faces.items()
        for index, (x, y) in enumerate(face.landmarks)
    ]
    return "\n".join([header, *lines]) + "\n"


def test_a_table_is_a_track(tmp_path):
    path = tmp_path / "track.csv"
    path.write_text(table(a_track()))
    track = import_track(path, size=(960, 540))
    assert track.frames == (1001, 1002)
    for frame, face in a_track().faces.items():
        assert np.abs(track.faces[frame].landmarks - face.landmarks).max() < 1e-4
        assert (track.faces[frame].source, track.faces[frame].luma) == ("imported", None)
        assert abs(track.faces[frame].roll + 4.0) < 0.5
    again = tmp_path / "track.json"
    save_track(track, again)
    assert_tracks_equal(import_track(again), track, tolerance=1e-4)


@pytest.mark.parametrize(
    ("spoilt", "says"),
    [
        (lambda text: text.replace("index", "point"), "line 1: expected the columns frame, index"),
        (lambda text: text.replace("1001,67,", "1002,67,"), "frame 1001: expected all 68"),
        (lambda text: text.replace("1001,0,", "1001,99,"), "line 2: expected frame, index 0 to 67"),
        (lambda text: text + "1003,0,nan,5\n", "line 138: expected frame, index 0 to 67, x and y"),
        (lambda text: text.splitlines()[0], "holds no landmarks"),
        (lambda text: "", "line 1: expected the columns"),
    ],
)
def test_a_table_with_a_fault_names_its_line(tmp_path, spoilt, says):
    path = tmp_path / "track.csv"
    path.write_text(spoilt(table(a_track())))
    with pytest.raises(TrackError) as caught:
        import_track(path, size=(960, 540))
    assert says in str(caught.value)
    assert str(path) in str(caught.value)


def test_other_files_and_a_table_without_a_size_are_refused(tmp_path):
    other = tmp_path / "track.fbx"
    other.write_text("Kaydara")
    with pytest.raises(TrackError, match=r"track\.fbx: it is no track that can be imported"):
        import_track(other)
    path = tmp_path / "track.csv"
    path.write_text(table(a_track()))
    with pytest.raises(TrackError, match="holds no plate size"):
        import_track(path)
