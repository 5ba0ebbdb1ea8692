"""From footage to a faceset: kinds of footage, reasons to leave a face out, interruption."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from PIL import Image

from helpers_drawn import DrawnFaces, draw, landmarks_at
from semblance import colour
from semblance.align import TEMPLATE
from semblance.errors import Cancelled, FootageError, OutputError
from semblance.exr import write_plate
from semblance.plate import Plate, Window
from semblance.train.faceset import MARGIN, build_faceset
from semblance.train.footage import open_footage
from semblance.train.measure import sharpness

SHAPE = (180, 240)
SIZE = 160


def poses(count):
    return [((115.0 + i % 4, 92.0 - i % 3), 130.0, 25.0 * np.sin(2.1 * i)) for i in range(count)]


def pictures(count, first=0):
    """Pictures of faces of which no two are duplicates: each has its own light."""
    return [draw(SHAPE, [pose], seed=first + i) for i, pose in enumerate(poses(count))]


def stored(linear, depth):
    encoded = colour.linear_to_srgb(np.clip(linear, 0.0, 1.0))
    return np.round(encoded * (255 if depth == np.uint8 else 65535)).astype(depth)


def write_still(path, linear, depth=np.uint16):
    path.parent.mkdir(exist_ok=True, parents=True)
    assert cv2.imwrite(str(path), stored(linear, depth)[..., ::-1])
    return path


def write_exr(path, linear, aspect=1.0):
    height, width = linear.shape[:2]
    window = Window(0, 0, width, height)
    channels = {name: linear[..., i] for i, name in enumerate("RGB")}
    write_plate(Plate(channels, window, window, pixel_aspect=aspect), path)
    return path


def write_movie(path, pictures, codec="ffv1", pixels="gbrp16le"):
    with av.open(str(path), "w") as movie:
        stream = movie.add_stream(codec, rate=Fraction(24))
        stream.height, stream.width = pictures[0].shape[:2]
        stream.pix_fmt = pixels
        for linear in pictures:
            frame = av.VideoFrame.from_ndarray(stored(linear, np.uint16), format="rgb48le")
            movie.mux(stream.encode(frame.reformat(format=pixels)))
        movie.mux(stream.encode())
    return path


def a_folder(folder, count):
    for i, picture in enumerate(pictures(count)):
        write_still(folder / f"{i:03d}.png", picture)
    return folder


def listing(folder):
    return json.loads((folder / "faceset.json").read_text())


def crop_of(folder, entry):
    crop = cv2.imread(str(folder / entry["file"]), cv2.IMREAD_UNCHANGED)
    assert crop.dtype == np.uint16
    return crop[..., ::-1].astype(np.float32) / 65535.0


def make(footage, out, provider=None, **settings):
    settings = {"size": SIZE, "min_blur": 0.2, "duplicate_threshold": 0.0, **settings}
    return build_faceset(footage, out, provider or DrawnFaces(), **settings)


def test_a_crop_is_the_canonical_face_at_one_exposure(tmp_path):
    """Landmarks lie on the template, the hull has the target's luma, by 16 bits, for every face."""
    for i, picture in enumerate(pictures(6)):
        write_exr(tmp_path / f"shot.{1001 + i}.exr", picture * np.float32(2.0 ** (i - 3)))
    summary = make([tmp_path / "shot.####.exr"], tmp_path / "set")
    document = listing(tmp_path / "set")
    assert (document["format"], document["version"]) == ("semblance-faceset", 2)
    assert (document["template"], document["size"], document["margin"]) == (
        "semblance-1",
        SIZE,
        0.125,
    )
    assert summary.faces == len(document["faces"]) == 6
    for i, entry in enumerate(document["faces"]):
        assert (entry["source"], entry["frame"]) == ("shot.####.exr", 1001 + i)
        points = np.array(entry["landmarks"])
        canonical = points / SIZE * (1.0 + 2.0 * MARGIN) - MARGIN
        assert np.abs(canonical - TEMPLATE).max() < 2e-3
        crop = crop_of(tmp_path / "set", entry)
        assert crop.shape == (SIZE, SIZE, 3)
        hull = np.zeros((SIZE, SIZE), np.uint8)
        cv2.fillConvexPoly(hull, cv2.convexHull(points.astype(np.float32)).astype(np.int32), 1)
        level = colour.luma(colour.decode(crop))[hull > 0].mean()
        assert level == pytest.approx(colour.EXPOSURE_TARGET, rel=0.03)
        assert entry["exposure"] == pytest.approx(document["faces"][0]["exposure"] - i, abs=0.1)
        assert abs(entry["yaw"]) < 3.0
        assert entry["blur"] == pytest.approx(sharpness(crop, points), rel=0.02)
        assert entry["monochrome"] is False
        assert entry["quality"]["pixels"] == pytest.approx(130.0, rel=0.02)
        assert entry["quality"]["flat"] < 0.02
    assert len(np.unique(crop_of(tmp_path / "set", document["faces"][0]))) > 4000


def test_every_kind_of_footage_gives_the_same_crop(tmp_path):
    picture = draw(SHAPE, [((120.0, 90.0), 130.0, 5.0)])
    squeezed = draw((180, 120), [((120.0, 90.0), 130.0, 5.0)], aspect=2.0)
    grey = {"deep.png": np.uint16, "deep.tif": np.uint16, "flat.bmp": np.uint8}
    footage = [write_still(tmp_path / name, picture, depth) for name, depth in grey.items()]
    footage += [
        write_exr(tmp_path / "plate.exr", picture),
        write_exr(tmp_path / "squeezed.exr", squeezed, aspect=2.0),
        write_movie(tmp_path / "deep.mkv", [picture]),
        write_movie(tmp_path / "ten.mov", [picture], "prores_ks", "yuv422p10le"),
    ]
    make([str(path) for path in footage], tmp_path / "set")
    entries = listing(tmp_path / "set")["faces"]
    assert [entry["source"] for entry in entries] == [path.name for path in footage]
    first = crop_of(tmp_path / "set", entries[0])
    limits = {".bmp": 0.01, ".mov": 0.02, ".exr": 0.002}
    for entry, path in zip(entries, footage, strict=True):
        limit = 0.05 if path.name == "squeezed.exr" else limits.get(path.suffix, 0.001)
        apart = np.abs(crop_of(tmp_path / "set", entry) - first)
        assert apart.mean() < limit, path.name
        assert np.abs(np.array(entry["landmarks"]) - entries[0]["landmarks"]).max() < 0.7


@pytest.mark.parametrize(
    ("codec", "pixels", "levels", "tolerance"),
    [("ffv1", "gbrp16le", 900, 1e-4), ("ffv1", "yuv444p12le", 900, 3e-3),
     ("libx264", "yuv420p", 100, 2e-2)],
)  # fmt: skip
def test_a_movie_keeps_its_depth_and_its_colour(tmp_path, codec, pixels, levels, tolerance):
    ramp = np.linspace(0.05, 0.95, 1024, dtype=np.float32)
    code = np.broadcast_to(ramp[None, :, None], (720, 1024, 3)) * np.float32([1.0, 0.6, 0.3])
    linear = colour.srgb_to_linear(code.astype(np.float32))
    with av.open(str(tmp_path / "ramp.mkv"), "w") as movie:
        stream = movie.add_stream(codec, rate=Fraction(24))
        stream.height, stream.width, stream.pix_fmt = 720, 1024, pixels
        frame = av.VideoFrame.from_ndarray(stored(linear, np.uint16), format="rgb48le")
        matrix = None if pixels.startswith("gbr") else 1  # BT.709, and the file does not say so
        movie.mux(stream.encode(frame.reformat(format=pixels, dst_colorspace=matrix)))
        movie.mux(stream.encode())
    (picture,) = open_footage(tmp_path / "ramp.mkv").pictures()
    pixels_read, aspect = picture.read()
    back = colour.linear_to_srgb(pixels_read)[300:400]
    assert aspect == 1.0
    assert np.abs(back - code[300:400]).mean() < tolerance
    assert len(np.unique(back[50, :, 0])) > levels


def test_a_movie_is_turned_as_the_camera_was_held(tmp_path):
    path = tmp_path / "phone.mov"
    picture = draw((96, 160), [((60.0, 40.0), 60.0, 0.0)])
    write_movie(path, [picture], "prores_ks", "yuv422p10le")
    one = (1 << 16).to_bytes(4, "big")
    upright = one + bytes(12) + one + bytes(12) + (1 << 30).to_bytes(4, "big")
    minus = (-1 << 16).to_bytes(4, "big", signed=True)
    clockwise = bytes(4) + one + bytes(4) + minus + bytes(16) + (1 << 30).to_bytes(4, "big")
    head, film, track = path.read_bytes().split(upright)
    path.write_bytes(head + upright + film + clockwise + track)
    (turned,) = open_footage(path).pictures()
    pixels, aspect = turned.read()
    assert (pixels.shape, aspect) == ((160, 96, 3), 1.0)
    assert np.abs(pixels - np.rot90(picture, -1)).mean() < 0.01


def test_what_is_not_fit_is_left_out_and_counted(tmp_path):
    folder = a_folder(tmp_path / "stills", 3)
    plain = draw(SHAPE, [((120.0, 90.0), 130.0, 0.0)])
    write_still(folder / "010.png", draw(SHAPE, []))
    write_still(folder / "011.png", cv2.GaussianBlur(plain, (0, 0), 9.0))
    write_still(folder / "012.png", plain)
    noise = np.random.default_rng(3).normal(0.0, 0.002, plain.shape).astype(np.float32)
    write_still(folder / "013.png", plain + noise)
    two = draw((180, 400), [((100.0, 90.0), 130.0, 20.0), ((310.0, 90.0), 70.0, 0.0)], seed=8)
    write_still(folder / "015.png", two)
    summary = make([folder], tmp_path / "set", min_blur=0.5, duplicate_threshold=0.02)
    expected = {"no face": 1, "blurred": 1, "duplicate": 1, "other face": 1}
    assert dict(summary.rejected) == listing(tmp_path / "set")["rejected"] == expected
    kept = [entry["source"] for entry in listing(tmp_path / "set")["faces"]]
    assert kept == [f"stills/{name}.png" for name in ("000", "001", "002", "012", "015")]
    again = make([folder], tmp_path / "all", min_blur=0.0)
    assert dict(again.rejected) == {"no face": 1, "other face": 1}
    with pytest.raises(FootageError, match=r"not one usable face in stills.*low score: 7"):
        make([folder], tmp_path / "none", min_score=0.95)


def test_a_face_without_colour_is_marked_toned_or_not(tmp_path):
    for i, picture in enumerate(pictures(3)):
        grey = np.repeat(colour.luma(picture)[..., None], 3, -1)
        tone = colour.srgb_to_linear(colour.linear_to_srgb(grey) * np.float32([1.0, 0.86, 0.62]))
        for name, film in (("colour", picture), ("grey", grey), ("sepia", tone)):
            write_still(tmp_path / name / f"{i}.jpg", film, np.uint8)
    marks = {
        f"{i}.jpg": {"landmarks": landmarks_at(*pose).tolist()} for i, pose in enumerate(poses(3))
    }
    (tmp_path / "landmarks.json").write_text(json.dumps(marks))
    folders = [tmp_path / name for name in ("colour", "grey", "sepia")]
    summary = build_faceset(
        folders, tmp_path / "set", None, landmarks=tmp_path / "landmarks.json", min_blur=0.2
    )
    found = {entry["source"]: entry["monochrome"] for entry in listing(tmp_path / "set")["faces"]}
    assert {name.split("/")[0] for name, mono in found.items() if mono} == {"grey", "sepia"}
    assert (summary.faces, summary.monochrome) == (9, 6)


def test_landmarks_beside_stills_take_the_provider_s_place(tmp_path):
    folder = a_folder(tmp_path / "stills", 4)
    marks = {
        f"{i:03d}.png": {"landmarks": landmarks_at(*pose).tolist(), "yaw": 3.0}
        for i, pose in enumerate(poses(3))
    }
    marks["002.png"]["landmarks"] = landmarks_at((10.0, 90.0), 130.0).tolist()
    path = folder / "landmarks.json"
    path.write_text(json.dumps(marks))
    summary = build_faceset([folder], tmp_path / "set", None, landmarks=path, size=SIZE, min_blur=0)
    assert (summary.faces, dict(summary.rejected)) == (2, {"no face": 1, "cut off": 1})
    for spoilt, says in (
        ("[]", "holds no landmarks"),
        ('{"a.png": {"landmarks": [[1, 2]]}}', "a.png: expected 68 finite landmarks"),
        ('{"a.png": 5}', "holds no landmarks"),
        ("{", "holds no landmarks"),
    ):
        path.write_text(spoilt)
        with pytest.raises(FootageError, match=says):
            build_faceset([folder], tmp_path / "other", None, landmarks=path)
    with pytest.raises(FootageError, match="neither was given"):
        build_faceset([folder], tmp_path / "other", None)


def test_each_so_manyth_picture_and_so_many_faces(tmp_path):
    folder = a_folder(tmp_path / "stills", 7)
    movie = write_movie(tmp_path / "take.mkv", pictures(7, first=20))
    seen = []
    make([folder, movie], tmp_path / "set", every=3, report=seen.append)
    entries = listing(tmp_path / "set")["faces"]
    assert [(entry["source"], entry["frame"]) for entry in entries] == [
        ("stills/000.png", None), ("stills/003.png", None), ("stills/006.png", None),
        ("take.mkv", 0), ("take.mkv", 3), ("take.mkv", 6),
    ]  # fmt: skip
    assert [(one.done, one.kept) for one in seen] == [(i, i) for i in range(1, 7)]
    assert make([folder, movie], tmp_path / "few", max_faces=2).faces == 2


SLOW = """
import sys, time
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from helpers_drawn import DrawnFaces
from semblance.train.faceset import build_faceset

class Slow(DrawnFaces):
    def find(self, image):
        time.sleep(0.1)
        return super().find(image)

settings = {"size": 160, "min_blur": 0.2, "duplicate_threshold": 0.01}
build_faceset(sys.argv[3:], Path(sys.argv[2]), Slow(), **settings)
"""


def test_a_killed_run_goes_on_to_the_same_faceset(tmp_path):
    folder = a_folder(tmp_path / "stills", 9)
    movie = write_movie(tmp_path / "take.mkv", pictures(9, first=20))
    footage = [str(folder), str(movie)]
    straight, broken = tmp_path / "straight", tmp_path / "broken"
    make(footage, straight, duplicate_threshold=0.01)
    command = [sys.executable, "-c", SLOW, str(Path(__file__).parent), str(broken), *footage]
    running = subprocess.Popen(command)
    journal = broken / "progress.jsonl"
    deadline = time.monotonic() + 60
    while not journal.exists() or journal.read_bytes().count(b"\n") < 12:
        assert running.poll() is None, "it ended before it was killed"
        assert time.monotonic() < deadline
        time.sleep(0.01)
    running.send_signal(signal.SIGKILL)
    assert running.wait() == -signal.SIGKILL
    assert not (broken / "faceset.json").exists()
    with journal.open("a") as stream:
        stream.write('{"stamp": "torn')
    first = broken / "faces" / "000000.png"
    made = first.stat().st_mtime_ns
    summary = make(footage, broken, duplicate_threshold=0.01)
    assert 11 <= summary.resumed < summary.pictures == 18
    assert first.stat().st_mtime_ns == made
    names = [
        "faceset.json",
        *(f"faces/{p.name}" for p in (straight / "faces").iterdir()),
    ]
    for name in names:
        assert (broken / name).read_bytes() == (straight / name).read_bytes(), name
    assert sorted(p.name for p in (broken / "faces").iterdir()) == sorted(
        p.name for p in (straight / "faces").iterdir()
    )


def test_a_faceset_follows_its_footage(tmp_path):
    folder, out = a_folder(tmp_path / "stills", 4), tmp_path / "set"
    make([folder], out)
    assert make([folder], out).resumed == 4
    (folder / "001.png").unlink()
    write_still(folder / "002.png", draw(SHAPE, [((100.0, 95.0), 120.0, -15.0)], seed=77))
    write_still(folder / "009.png", draw(SHAPE, [((130.0, 85.0), 125.0, 18.0)], seed=78))
    os.utime(folder / "002.png", (1, 1))
    summary = make([folder], out)
    assert (summary.faces, summary.resumed) == (4, 2)
    entries = listing(out)["faces"]
    assert [entry["source"][7:10] for entry in entries] == ["000", "002", "003", "009"]
    there = {f"faces/{path.name}" for path in (out / "faces").iterdir()}
    assert there == {entry["file"] for entry in entries}
    with pytest.raises(FootageError, match="was begun with size 160, not 128"):
        make([folder], out, size=128)
    (out / "progress.jsonl").unlink()
    with pytest.raises(OutputError, match="without a record"):
        make([folder], out)


def test_a_cancelled_run_goes_on(tmp_path):
    folder, out = a_folder(tmp_path / "stills", 5), tmp_path / "set"
    asked = iter([False, False, True])
    with pytest.raises(Cancelled):
        make([folder], out, cancel=lambda: next(asked))
    assert not (out / "faceset.json").exists()
    assert make([folder], out).resumed == 2


def test_nothing_in_a_faceset_tells_where_it_was_made(tmp_path):
    movie = write_movie(tmp_path / "take.mkv", pictures(2))
    make([a_folder(tmp_path / "stills", 2), movie], tmp_path / "set")
    for name in ("faceset.json", "progress.jsonl"):
        assert str(tmp_path) not in (tmp_path / "set" / name).read_text()


def test_the_contact_sheet_shows_the_faces(tmp_path):
    make([a_folder(tmp_path / "stills", 14)], tmp_path / "set")
    with Image.open(tmp_path / "set" / "contact.png") as sheet:
        assert sheet.mode == "RGB"
        assert sheet.width == 12 * 132 + 4
        assert sheet.height == 34 + 2 * 158 + 4
        assert np.asarray(sheet)[40:160, 10:1500].std() > 20


def empty_folder(folder):
    (folder / "empty").mkdir()
    return folder / "empty", "holds no stills"


def zero_bytes(folder):
    (folder / "zero.png").touch()
    return folder / "zero.png", "zero.png can't be read as a picture"


def torn_still(folder):
    path = write_still(folder / "torn.png", draw(SHAPE, []))
    path.write_bytes(path.read_bytes()[:500])
    return path, "torn.png can't be read as a picture"


def torn_exr(folder):
    path = write_exr(folder / "torn.exr", draw(SHAPE, []))
    path.write_bytes(path.read_bytes()[:900])
    return path, "torn.exr"


def no_movie(folder):
    (folder / "clip.mov").write_bytes(b"not a movie" * 50)
    return folder / "clip.mov", "clip.mov can't be read as a movie"


def sound_alone(folder):
    with av.open(str(folder / "sound.mkv"), "w") as movie:
        stream = movie.add_stream("pcm_s16le", rate=8000)
        silence = av.AudioFrame.from_ndarray(np.zeros((1, 800), np.int16), "s16", "mono")
        silence.sample_rate = 8000
        movie.mux(stream.encode(silence))
        movie.mux(stream.encode())
    return folder / "sound.mkv", "holds no picture track"


def no_footage(folder):
    (folder / "notes.txt").touch()
    return folder / "notes.txt", "'.txt'|.txt is no footage"


def nothing(folder):
    return folder / "nothing.png", "there is no footage"


def no_frames(folder):
    return folder / "plate.####.exr", "no file matches"


def no_face(folder):
    return write_still(folder / "wall.png", draw(SHAPE, [])), "not one usable face in wall.png"


@pytest.mark.parametrize(
    "bad",
    [empty_folder, zero_bytes, torn_still, torn_exr, no_movie, sound_alone, no_footage, nothing,
     no_frames, no_face],
)  # fmt: skip
def test_bad_footage_is_named(tmp_path, bad, capfd):
    path, says = bad(tmp_path)
    with pytest.raises(FootageError, match=says) as caught:
        make([path], tmp_path / "set")
    assert path.name in str(caught.value)
    assert not (tmp_path / "set" / "faceset.json").exists()


def test_a_folder_that_can_not_be_written_to_is_named(tmp_path):
    (tmp_path / "set").write_text("a file")
    with pytest.raises(OutputError, match="can't be written to"):
        make([a_folder(tmp_path / "stills", 1)], tmp_path / "set")


def test_a_faceset_is_made_without_torch():
    code = "import sys, semblance.train.faceset; assert 'torch' not in sys.modules"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_the_studio_s_people_become_facesets(studio, tmp_path):
    folder = studio / "archival"
    summary = build_faceset(
        [folder], tmp_path / "set", None, landmarks=folder / "landmarks.json", every=10
    )
    assert summary.faces >= 14
    assert 7 <= summary.monochrome <= 14
