"""Tracks of other programs: what goes out comes back, and where a pixel is, is what they say."""

from __future__ import annotations

import json
import re
import struct
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from conftest import a_face, a_plate
from helpers_drawn import landmarks_at
from helpers_model import tiny_model
from semblance.align import TEMPLATE
from semblance.cli import main
from semblance.cli.tracks import _KINDS
from semblance.errors import TrackError
from semblance.exr import read_plate, write_plate
from semblance.face import Face, HandKey, Track
from semblance.plate import Window
from semblance.track.exported import export_track, kind_for
from semblance.track.file import load_track, save_track
from semblance.track.imported import KINDS, import_track, kind_of
from semblance.track.points import CORNERS, NAMES
from semblance.track.tcl import nodes, words

PRECISION = {
    "semblance": 5.1e-5,
    "csv": 1e-6,
    "csv-wide": 1e-6,
    "landmarks": 1e-6,
    "nuke-tracker": 1e-6,
    "nuke-roto": 1e-3,
    "3de": 1e-6,
    "ae-points": 1e-6,
}
"""Pixels by which a landmark may come back elsewhere; a corner pin carries no landmarks."""

COUNTED = ("csv-wide", "3de", "ae-points", "ae-cornerpin")
"""Formats that count frames from the start of the shot."""

TIMES = ("nuke-tracker", "csv-wide", "landmarks")
"""Formats that know of a frame that was looked at in vain."""


def a_shape(seed, centre=(0.0, 0.0)):
    """Landmarks of a face of 200 pixels, none on a round number."""
    jitter = np.random.default_rng(abs(seed)).uniform(-3.0, 3.0, (68, 2))
    return landmarks_at(centre, 200) + jitter


faces = st.builds(
    lambda seed, x, y, size: Face(a_shape(seed) * size + np.array([x, y])),
    seed=st.integers(0, 10**6),
    x=st.floats(-500, 5000),
    y=st.floats(-500, 3000),
    size=st.floats(0.2, 10.0),
)
tracks = st.builds(
    lambda held, more, **rest: Track(
        dict(sorted(held.items())), frames=tuple(sorted({*held, *more})), **rest
    ),
    held=st.dictionaries(st.integers(-20, 2000), faces, min_size=1, max_size=3),
    more=st.sets(st.integers(-20, 2000), max_size=3),
    size=st.tuples(st.integers(1, 8192), st.integers(1, 8192)),
    pixel_aspect=st.sampled_from([1.0, 2.0, 0.5, 1.25]),
)
origins = st.tuples(st.integers(-64, 64), st.integers(-64, 64))


def there_and_back(track, folder, kind, origin=(0, 0), first=1001, **more):
    """Write a track as another program has it, and read that file with what the plate says."""
    path = folder / f"track{KINDS[kind]}"
    export_track(track, path, kind, origin=origin, first_frame=first)
    given = {"size": track.size, "pixel_aspect": track.pixel_aspect, "origin": origin}
    return import_track(path, kind=kind, first_frame=first, **given, **more)


@pytest.mark.parametrize("kind", PRECISION)
@settings(
    max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(track=tracks, origin=origins, first=st.integers(-5, 1200))
def test_landmarks_come_back_and_a_gap_stays_a_gap(tmp_path, kind, track, origin, first):
    back = there_and_back(track, tmp_path, kind, origin, first)
    assert list(back.faces) == list(track.faces)
    for frame, face in track.faces.items():
        assert np.abs(back.faces[frame].landmarks - face.landmarks).max() < PRECISION[kind]
    assert (back.size, back.pixel_aspect) == (track.size, track.pixel_aspect)
    if kind in TIMES:
        assert back.frames == track.frames


@pytest.mark.parametrize("kind", ["nuke-cornerpin", "ae-cornerpin"])
@pytest.mark.parametrize("aspect", [1.0, 2.0])
def test_a_corner_pin_carries_a_plane_and_no_more(tmp_path, kind, aspect):
    flat = {}
    for frame in (1001, 1002, 1005):
        turn = (frame - 1001) * 2e-4
        shape = a_shape(1, (480, 270))
        depth = 1.0 + turn * (shape[:, :1] - 480) + 0.5 * turn * (shape[:, 1:] - 270)
        flat[frame] = Face(shape / depth + 7.0 * (frame - 1001))
    track = Track(flat, (960, 540), aspect, frames=tuple(range(1001, 1006)))
    # A Nuke script of ours holds its reference; a text names one beside it.
    reference = None if kind.startswith("nuke") else replace(track, faces={1002: flat[1002]})
    back = there_and_back(track, tmp_path, kind, (-8, 4), reference=reference)
    assert list(back.faces) == [1001, 1002, 1005]
    for frame, face in track.faces.items():
        assert np.abs(back.faces[frame].landmarks - face.landmarks).max() < 1e-3
    # What moves within the plane is lost: an eye that closes stays as it is in the reference.
    moved = a_shape(1, (480, 270))
    moved[37:42] += 9.0
    lost = replace(track, faces={1001: flat[1001], 1002: Face(moved)})
    back = there_and_back(lost, tmp_path, kind, reference=replace(lost, faces={1001: flat[1001]}))
    corners = list(CORNERS.values())
    assert np.abs(back.faces[1002].landmarks - moved)[corners].max() < 1e-3
    assert np.abs(back.faces[1002].landmarks - moved)[37:42].min() > 5.0


def test_the_centre_of_a_pixel_is_where_each_program_has_it(tmp_path):
    """Column 10, row 20 of a plate of 100 × 80 whose window begins at (-4, 6)."""
    marks = a_shape(3, (300, 300))
    marks[0] = (10.5, 20.5)
    track = Track({1001: Face(marks)}, (100, 80), frames=(1001,))
    said = {
        "csv": "1001,0,10.5,20.5",
        "csv-wide": "1,0,1,1,14,",  # columns from the window, centres at whole numbers
        "landmarks": '"landmarks": [[14.5, 14.5], ',
        "nuke-tracker": "jaw_00 {curve x1001 14.5} {curve x1001 65.5}",
        "3de": "68\njaw_00\n0\n1\n1 14.500000 65.500000\n",
        "ae-points": "\tjaw_00\tFeature Center\n\tFrame\tX pixels\tY pixels\n\t0\t14.5\t14.5\n",
    }
    for kind, text in said.items():
        path = tmp_path / f"{kind}{KINDS[kind]}"
        export_track(track, path, kind, origin=(-4, 6), first_frame=1001)
        assert text in path.read_text(), kind


def test_hand_keys_go_out_laid_over_the_track_and_are_kept_in_our_own(tmp_path):
    track = Track(
        {frame: Face(a_shape(frame, (300, 300))) for frame in (1, 2, 3)},
        (640, 480),
        frames=(1, 2, 3),
        hand={2: HandKey({30: (310.0, 305.0)}, blend=0)},
    )
    for kind in ("nuke-tracker", "csv"):
        back = there_and_back(track, tmp_path, kind)
        assert back.faces[2].landmarks[30].tolist() == pytest.approx([310.0, 305.0])
        assert np.abs(back.faces[1].landmarks - track.faces[1].landmarks).max() < 1e-6
    assert there_and_back(track, tmp_path, "semblance").hand == track.hand


# ----------------------------------------------------------------------------- what Tcl makes of it


@pytest.mark.parametrize("kind", ["nuke-tracker", "nuke-cornerpin", "nuke-roto"])
def test_a_tcl_interpreter_finds_in_our_scripts_what_we_find(tmp_path, kind):
    tkinter = pytest.importorskip("tkinter", reason="this Python has no Tcl interpreter")
    track = Track(
        {frame: Face(a_shape(frame, (300, 300))) for frame in (-3, 8, 9)},
        (640, 480),
        frames=(-3, 7, 8, 9),
    )
    export_track(track, tmp_path / "track.nk", kind)
    text = (tmp_path / "track.nk").read_text()
    tcl, bodies = tkinter.Tcl(), []
    (ours,) = nodes(text)
    tcl.createcommand(ours.kind, bodies.append)
    tcl.eval(text)
    assert len(bodies) == 1

    def same(text, depth):
        theirs = list(tcl.splitlist(text))
        assert theirs == [word.text for word in words(text)]
        for each in theirs:
            if depth and (" " in each or "{" in each):
                same(each, depth - 1)

    same(bodies[0], 12)
    pairs = tcl.splitlist(bodies[0])
    knobs = dict(zip(pairs[::2], pairs[1::2], strict=True))
    assert {name: word.text for name, word in ours.knobs.items()} == {
        name: value for name, value in knobs.items() if name != "addUserKnob"
    }


# -------------------------------------------------------------------------- files of other hands


COLUMNS = ("enable", "name", "track_x", "track_y", "offset_x", "offset_y", "T", "R", "S", "error")


def tracker(rows):
    """A Tracker4 as Nuke writes it."""
    described = " ".join(f"{{ 2 1 58 {name} {name} 1 }}" for name in COLUMNS)
    body = "\n".join(f" {{ {row} }}" for row in rows)
    return (
        "set cut_paste_input [stack 0]\nversion 14.0 v5\npush $cut_paste_input\nTracker4 {\n"
        f"tracks {{ {{ 1 {len(COLUMNS)} {len(rows)} }} \n{{ {described} \n}} \n"
        f"{{ \n{body} \n}} \n}}\n"
        "\nname Tracker1\nselected true\nxpos -40\n}\n"
    )


def row(name, x, y, enable="{curve K x1001 1}", offset="{curve K x1001 0}"):
    return f"{enable} {name} {x} {y} {offset} {{}} 1 0 0 {{curve x1001 0}}"


def all_68(frames, start=1):
    """Tracks named as Nuke does: "track 1" and so on."""
    marks = landmarks_at((300, 300), 200)
    return [
        row(
            f'"track {index + start}"',
            "{curve " + " ".join(f"x{f} {x + f - 1001}" for f in frames) + "}",
            "{curve " + " ".join(f"x{f} {480 - y}" for f in frames) + "}",
        )
        for index, (x, y) in enumerate(marks.tolist())
    ]


def test_a_tracker_of_an_artist_is_read_by_the_numbers_of_its_tracks(tmp_path):
    path = tmp_path / "track.nk"
    rows = all_68([1001, 1002, 1005])
    path.write_text(tracker(rows[::-1]))
    made = import_track(path, size=(640, 480))
    assert (kind_of(path), list(made.faces)) == ("nuke-tracker", [1001, 1002, 1005])
    assert np.abs(made.faces[1002].landmarks - landmarks_at((301, 300), 200)).max() < 1e-9
    # Frames that are asked for are evaluated between the keys as well.
    made = import_track(path, size=(640, 480), frames=range(1000, 1006))
    assert list(made.faces) == [1001, 1002, 1003, 1004, 1005]
    assert made.frames == (1000, 1001, 1002, 1003, 1004, 1005)
    off = [each.replace("{curve K x1001 1}", "{curve K x1001 1 x1002 0 x1004 1}") for each in rows]
    path.write_text(tracker(off))
    assert list(import_track(path, size=(640, 480)).faces) == [1001, 1005]


def test_a_few_tracks_carry_the_face_of_a_reference(tmp_path):
    marks = landmarks_at((300, 300), 200)
    seen = {1001: marks, 1002: landmarks_at((320, 290), 240, 12.0)}
    held = {frame: found[[36, 45, 33]] for frame, found in seen.items()}
    rows = [
        row(
            f'"{name}"',
            "{curve " + " ".join(f"x{f} {p[at][0]}" for f, p in held.items()) + "}",
            "{curve " + " ".join(f"x{f} {480 - p[at][1]}" for f, p in held.items()) + "}",
        )
        for at, name in enumerate(("right eye", "left eye", "nose"))
    ]
    path = tmp_path / "three.nk"
    path.write_text(tracker(rows))
    with pytest.raises(TrackError, match=r"it holds 3 points \(right eye, left eye, nose\)"):
        import_track(path, size=(640, 480))
    reference = Track({1001: Face(marks)}, (640, 480), frames=(1001,))
    made = import_track(path, size=(640, 480), reference=reference)
    for frame, found in seen.items():
        assert np.abs(made.faces[frame].landmarks - found).max() < 1e-6


def test_a_corner_pin_that_is_keyed_by_hand_is_evaluated_where_frames_are_asked_for(tmp_path):
    corners = {1: (200, 60), 2: (400, 60), 3: (400, 280), 4: (200, 280)}
    knobs = "".join(
        f" to{pin} {{{{curve x1001 {x} x1011 {x + 40}}} {{curve L x1001 {y} x1011 {y + 20}}}}}\n"
        for pin, (x, y) in corners.items()
    )
    path = tmp_path / "pin.nk"
    path.write_text(f"CornerPin2D {{\n{knobs} invert false\n from1 {{0 0}}\n name Pin\n}}\n")
    marks = landmarks_at((300, 300), 200)
    given = {"size": (640, 480), "reference": Track({1001: Face(marks)}, (640, 480))}
    assert list(import_track(path, **given).faces) == [1001, 1011]
    made = import_track(path, frames=range(999, 1013), **given)
    assert list(made.faces) == list(range(1001, 1012))
    assert np.abs(made.faces[1006].landmarks - marks - (20, -10)).max() < 1e-6
    eased = made.faces[1003].landmarks - marks
    assert np.abs(eased - (40 * (3 * 0.2**2 - 2 * 0.2**3), -4)).max() < 1e-6


MOCHA = """Adobe After Effects 7.0 Keyframe Data

\tUnits Per Second\t25
\tSource Width\t640
\tSource Height\t480
\tSource Pixel Aspect Ratio\t1
\tComp Pixel Aspect Ratio\t1

Effects\tCorner Pin #1\tUpper Left #2
\tFrame\tX pixels\tY pixels\t
\t0\t200\t200\t
\t1\t210\t205\t

Effects\tCorner Pin #1\tUpper Right #3
\tFrame\tX pixels\tY pixels\t
\t0\t400\t200\t
\t1\t410\t205\t

Effects\tCorner Pin #1\tLower Left #4
\tFrame\tX pixels\tY pixels\t
\t0\t200\t420\t
\t1\t210\t425\t

Effects\tCorner Pin #1\tLower Right #5
\tFrame\tX pixels\tY pixels\t
\t0\t400\t420\t
\t1\t410\t425\t

Transform\tPosition
\tFrame\tX pixels\tY pixels\tZ pixels
\t\t0\t0\t0

Transform\tAnchor Point
\tFrame\tX pixels\tY pixels\tZ pixels
\t\t0\t0\t0

End of Keyframe Data
"""


def test_a_surface_of_mocha_carries_the_face_whatever_its_corners_are(tmp_path):
    path = tmp_path / "surface.txt"
    path.write_text(MOCHA)
    marks = landmarks_at((300, 300), 200)
    reference = Track({1001: Face(marks)}, (640, 480), frames=(1001,))
    with pytest.raises(TrackError, match="counts frames from 0 at the start of the shot"):
        import_track(path, reference=reference)
    made = import_track(path, reference=reference, first_frame=1001)
    assert (kind_of(path), made.size, list(made.faces)) == (
        "ae-cornerpin",
        (640, 480),
        [1001, 1002],
    )
    assert np.abs(made.faces[1002].landmarks - marks - (10, 5)).max() < 1e-6
    path.write_text(MOCHA.replace("\t\t0\t0\t0", "\t\t320\t240\t0", 1))
    with pytest.raises(TrackError, match="the layer of the corner pin moves as well"):
        import_track(path, reference=reference, first_frame=1001)


def test_a_tracker_of_after_effects_is_told_by_its_feature_centres(tmp_path):
    blocks = [MOCHA.partition("Effects\t")[0]]
    for index, (x, y) in enumerate(landmarks_at((300, 300), 200).tolist()):
        point = f"Motion Trackers\tTracker #1\tTrack Point #{index + 1}\t"
        blocks += [
            f"{point}Confidence\n\tFrame\tpercent\n\t0\t98.5\n",
            f"{point}Feature Center\n\tFrame\tX pixels\tY pixels\n\t0\t{x}\t{y}\n",
            f"{point}Attach Point\n\tFrame\tX pixels\tY pixels\n\t0\t{x + 9}\t{y}\n",
            f"{point}Attach Point Offset\n\tFrame\tX \tY \n\t\t0\t0\n",
            f"{point}Feature Size\n\tFrame\tX \tY \n\t\t20\t20\n",
        ]
    path = tmp_path / "track.txt"
    path.write_text("\n".join([*blocks, "End of Keyframe Data\n"]).replace("\n", "\r\n"))
    made = import_track(path, first_frame=7)
    assert np.abs(made.faces[7].landmarks - landmarks_at((300, 300), 200)).max() < 1e-9


def test_tracks_of_3dequalizer_are_counted_from_one_and_a_face_is_whole_or_not_there(tmp_path):
    marks = landmarks_at((300, 300), 200)
    lines = ["68"]
    for index, (x, y) in enumerate(marks.tolist()):
        lines += [f"{index:02d}", "3", "2", f"1 {x:.15f} {480 - y:.15f}", f"4 {x} {480 - y}"]
    path = tmp_path / "tracks.txt"
    path.write_text("\n".join(lines) + "\n")
    made = import_track(path, size=(640, 480), first_frame=1001)
    assert list(made.faces) == [1001, 1004]
    assert np.abs(made.faces[1004].landmarks - marks).max() < 1e-9
    path.write_text("\n".join([*lines[:3], "1", *lines[4:5], *lines[6:]]) + "\n")
    with pytest.raises(TrackError, match="frame 1004: expected all 68 landmarks, found 67"):
        import_track(path, size=(640, 480), first_frame=1001)


def test_a_roto_whose_points_have_keys_of_their_own(tmp_path):
    """As a transform of a shape is keyed in public scripts: a list of frames and values."""
    marks = landmarks_at((300, 300), 200)
    track = Track({1001: Face(marks)}, (640, 480), frames=(1001,))
    path = tmp_path / "roto.nk"
    export_track(track, path, "nuke-roto")

    def keyed(found):
        x, y = (struct.unpack(">f", bytes.fromhex(each))[0] for each in found.groups())
        return (
            f"{{0 0}} {{{{{{1001 {x}}} {{1004 {x + 8}}}}} {{{{1001 {y}}} {{1004 {y}}}}}}} {{0 0}}"
        )

    text = re.sub(r"\{0 0\} \{x(\S+) x(\S+)\} \{0 0\}", keyed, path.read_text())
    path.write_text(text.replace("{px x447a4000", "{p"))
    made = import_track(path)
    assert list(made.faces) == [1001, 1004]
    assert np.abs(made.faces[1004].landmarks - marks - (8, 0)).max() < 1e-3
    moved = text.replace("{t x43a00000 x43700000}", "{t 320 240 0 15 0}")
    path.write_text(moved)
    with pytest.raises(TrackError, match="layer Root is moved by a transform"):
        import_track(path)


def test_openface_counts_pixels_from_their_centres(tmp_path):
    marks = landmarks_at((300, 300), 200)
    header = ["frame", "face_id", "timestamp", "confidence", "success"]
    header += [f"x_{index}" for index in range(68)] + [f"y_{index}" for index in range(68)]
    values = [*marks[:, 0], *marks[:, 1]]
    lines = [
        ", ".join(header),
        ", ".join(["1", "0", "0.0", "0.95", "1", *(f"{value:.1f}" for value in values)]),
        ", ".join(["2", "0", "0.04", "0.1", "0", *(["0"] * 136)]),
        ", ".join(["2", "1", "0.04", "0.9", "1", *(f"{value:.1f}" for value in values)]),
    ]
    path = tmp_path / "face.csv"
    path.write_text("\n".join(lines) + "\n")
    made = import_track(path, size=(640, 480), first_frame=1001)
    assert (list(made.faces), made.frames) == ([1001], (1001, 1002))
    assert np.abs(made.faces[1001].landmarks - 0.5 - marks).max() < 0.051
    assert made.faces[1001].score == 0.95
    assert list(import_track(path, size=(640, 480), first_frame=1001, face=1).faces) == [1002]


def test_landmarks_in_json_may_be_parts_of_the_picture_and_y_may_go_up(tmp_path):
    marks = landmarks_at((300, 300), 200)
    parts = [{"x": x / 640, "y": 1 - y / 480} for x, y in marks.tolist()]
    document = {
        "width": 640, "height": 480, "units": "normalized", "origin": "bottom-left",
        "frames": {"1001": {"points": parts}, "1002": None},
    }  # fmt: skip
    path = tmp_path / "marks.json"
    path.write_text(json.dumps(document))
    made = import_track(path)
    assert (list(made.faces), made.frames) == ([1001], (1001, 1002))
    assert np.abs(made.faces[1001].landmarks - marks).max() < 1e-9


# ------------------------------------------------------------------------------ what is wrong


GOOD = tracker(all_68([1001, 1002]))
LINKED = tracker([row("a", "{Transform1.x}", "{curve x1 2}")])
OFFSET = tracker([row("a", "{curve x1 1}", "{curve x1 2}", offset="{curve x1 5}")])
ONE_LATE = tracker([*all_68([1001])[:-1], row("t68", "{curve x1002 1}", "{curve x1002 2}")])
THREE = "CornerPin2D {\n to1 {1 2}\n to2 {{curve x1 1} {curve x1 2}}\n to3 {1 2}\n}\n"
UNEVEN = "CornerPin2D {\n to1 {1 2}\n to2 {{curve x1 1} {curve x2 2}}\n to3 {1 2}\n to4 {1 2}\n}\n"
ROTO = (
    "Roto {\n curves {{{v 1} {f 0} {n {layer Root {f 0} {t 1 1} {a} {curvegroup NAME 512 bezier "
    "{{cc {f 8192} {px 5 {0 0} {1 1} {0 0}}} idem} {a}}}}}}\n}\n"
)
NO_PIN = MOCHA.partition("Effects\t")[0]


@pytest.mark.parametrize(
    ("name", "text", "says"),
    [
        ("t.nk", GOOD.replace("name Tracker1\n", "name {a\n"), "never closed"),
        (
            "t.nk",
            GOOD.replace("track_x track_x", "path_x path_x"),
            "line 6: the table of tracks has no column 'track_x'",
        ),
        (
            "t.nk",
            GOOD.replace("curve x1001 ", "curve x1001 parent.x ", 1),
            "line 9: expected a key, found 'parent.x'",
        ),
        ("t.nk", LINKED, "line 9: expected a number or a curve, found 'Transform1.x'"),
        ("t.nk", OFFSET, "line 9: track 'a' has an offset"),
        (
            "t.nk",
            ONE_LATE,
            "frame 1001: expected all 68 landmarks, found 67; the first missing one is 67",
        ),
        (
            "t.nk",
            GOOD + GOOD.replace("Tracker1", "Tracker2"),
            "it holds 2 nodes that could be the track (Tracker1, Tracker2)",
        ),
        ("t.nk", "Blur {\n size 3\n}\n", "it holds no Tracker4 or CornerPin2D or Roto"),
        ("t.nk", THREE, "line 1: CornerPin2D has no to4"),
        ("t.nk", UNEVEN, "line 1: no frame of CornerPin2D has keys of all its corners"),
        (
            "t.nk",
            ROTO.replace("NAME", "jaw1"),
            "line 2: expected 17 points of jaw in shape jaw1, found 1",
        ),
        (
            "t.nk",
            ROTO.replace("NAME", "Bezier1"),
            "line 2: Roto holds no shape that is named for a part: jaw, brow_right",
        ),
        (
            "t.txt",
            "1\na\n0\n2\n1 5 5\n",
            "line 5: expected frame, x and y to follow, found the end",
        ),
        ("t.txt", "1\na\n0\nmany\n", "line 4: expected the number of frames of a point"),
        ("t.txt", "1\na\n0\n1\n1 5 five\n", "line 5: expected frame, x and y, found '1 5 five'"),
        (
            "t.txt",
            MOCHA.replace("\t1\t410\t205", "\t1\tfour\t205"),
            "line 17: expected frame, x and y, found '1 four 205'",
        ),
        (
            "t.txt",
            MOCHA.replace("Lower Left #4", "Lower #4"),
            "the corner pin has no bottom left corner",
        ),
        ("t.txt", NO_PIN, "it holds neither the four corners of a pin nor points"),
        (
            "t.csv",
            "frame,x_0\n1,2\n",
            "line 1: expected the columns frame, x_0 to x_67 and y_0 to y_67 (x_1 is missing)",
        ),
        (
            "t.json",
            '{"frames": [{"landmarks": []}]}',
            "entry 1 of its frames has no frame number",
        ),
        (
            "t.json",
            '{"frames": {"1": {"points": [[1, 2]]}}}',
            "frame 1: expected 68 points, found 1 points",
        ),
        ("t.json", '{"frames": {"1": }}', "it is not a JSON document: Expecting value: line 1"),
        ("t.json", '{"faces": {}}', "it is no track: expected format 'semblance-track'"),
        ("t.fbx", "Kaydara FBX", "it is no track that can be imported"),
    ],
)
def test_a_file_with_a_fault_says_what_and_where_in_one_sentence(tmp_path, name, text, says):
    path = tmp_path / name
    path.write_text(text)
    with pytest.raises(TrackError) as caught:
        import_track(path, size=(640, 480), first_frame=1001)
    assert says in caught.value.fact
    assert str(caught.value).startswith(f"{path}: ")
    assert "\n" not in str(caught.value)


@settings(max_examples=80, deadline=None)
@given(st.data())
def test_whatever_a_file_holds_it_is_a_track_or_a_track_error(tmp_path_factory, data):
    kinds = {
        "t.nk": GOOD, "p.txt": MOCHA, "c.csv": "frame,index,x,y\n1,0,2,3\n",
        "j.json": '{"width": 5, "height": 5, "frames": {"1": [[1, 2]]}}',
    }  # fmt: skip
    name = data.draw(st.sampled_from(sorted(kinds)))
    text = kinds[name]
    at = data.draw(st.integers(0, len(text)))
    gone = data.draw(st.integers(0, 40))
    put = data.draw(st.text('{}"\\[]x1e9 ,\t\n-.:naif', max_size=6))
    path = tmp_path_factory.mktemp("odd") / name
    path.write_text(text[:at] + put + text[at + gone :])
    with suppress(TrackError):
        import_track(path, size=(640, 480), first_frame=1001)


# ------------------------------------------------------------------------------- the command line


@pytest.fixture
def shot(tmp_path, monkeypatch):
    """A folder with plate.####.exr, anamorphic and with a window off zero, and its track."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    for frame in (1001, 1002):
        plate = replace(
            a_plate(seed=frame), display_window=Window(-6, 4, 114, 94), pixel_aspect=2.0
        )
        write_plate(plate, tmp_path / f"plate.{frame}.exr")
    face = replace(a_face(), luma=None)
    track = Track({1001: face, 1002: face}, (120, 90), 2.0, frames=(1001, 1002))
    save_track(track, tmp_path / "track.json")
    tiny_model(tmp_path / "likeness.onnx")
    return tmp_path


@pytest.mark.parametrize("kind", KINDS)
def test_the_command_converts_there_and_back_with_the_plate_beside_it(shot, capsys, kind):
    name = f"other{KINDS[kind]}"
    assert (
        main(["convert-track", "track.json", name, "--to", kind, "--plate", "plate.####.exr"]) == 0
    )
    more = ["--reference", "track.json"] if kind == "ae-cornerpin" else []
    again = ["convert-track", name, "back.json", "--plate", "plate.####.exr", *more, "--json"]
    assert main(again) == 0
    told = json.loads(capsys.readouterr().out.partition("\n")[2])
    assert told == {
        "track": "back.json",
        "format": "semblance",
        "frames": 2,
        "found": 2,
        "lost": [],
    }
    back, track = load_track("back.json"), load_track("track.json")
    for frame in (1001, 1002):
        off = np.abs(back.faces[frame].landmarks - track.faces[frame].landmarks).max()
        assert off < 1e-3, kind


def test_the_command_never_replaces_a_file_by_itself(shot, capsys):
    assert main(["convert-track", "track.json", "track.json"]) == 1
    assert "track.json is already there" in capsys.readouterr().err
    assert main(["convert-track", "track.json", "track.nk"]) == 0
    assert main(["convert-track", "track.json", "track.nk", "--frames", "1002", "--overwrite"]) == 0
    assert list(import_track(shot / "track.nk").faces) == [1002]
    assert main(["convert-track", "track.json", "out.txt"]) == 1
    assert "Name one with --to" in capsys.readouterr().err
    assert main(["convert-track", "track.json", "o.nk", "--frames", "a-b"]) == 2


@pytest.mark.parametrize(
    "kind", ["nuke-tracker", "nuke-roto", "nuke-cornerpin", "landmarks", "csv"]
)
def test_apply_takes_a_file_that_says_what_it_is(shot, kind):
    path = shot / f"given{KINDS[kind]}"
    export_track(load_track("track.json"), path, kind, origin=(-6, 4))
    given = ["-m", "likeness.onnx", "--mask-occlusion", "0", "--frames", "1001"]
    assert main(["apply", "plate.####.exr", "-o", "a.####.exr", "-t", str(path), *given]) == 0
    assert main(["apply", "plate.####.exr", "-o", "b.####.exr", "-t", "track.json", *given]) == 0
    one, other, plate = (
        read_plate(shot / f"{name}.1001.exr").channels["R"].astype(np.float32)
        for name in ("a", "b", "plate")
    )
    changed = np.abs(other - plate)
    assert changed.max() > 0.01
    assert np.abs(one - other).max() < 0.1 * changed.max()


def test_apply_refuses_a_file_that_counts_from_the_start_of_the_shot(shot, capsys):
    export_track(load_track("track.json"), shot / "t.txt", "3de")
    given = ["apply", "plate.####.exr", "-o", "a.####.exr", "-m", "likeness.onnx", "-t"]
    assert main([*given, "t.txt"]) == 1
    assert "semblance convert-track FILE track.json --first-frame N" in capsys.readouterr().err
    (shot / "t.json").write_text('{"format": ')
    assert main([*given, "t.json"]) == 1
    assert "t.json: it is not a JSON document: Expecting value" in capsys.readouterr().err


def test_names_are_what_the_documents_say():
    assert len(set(NAMES)) == 68 == len(TEMPLATE)
    assert (NAMES[0], NAMES[30], NAMES[67]) == ("jaw_00", "nose_30", "lip_67")
    assert tuple(KINDS) == _KINDS
    assert [kind_for(Path(name)) for name in ("a.nk", "a.csv", "a.JSON")] == [
        "nuke-tracker", "csv", "semblance",
    ]  # fmt: skip
