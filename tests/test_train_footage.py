"""Footage as it comes: movies of the age of fields, faces with something before them, mattes."""

from __future__ import annotations

import json
from fractions import Fraction

import av
import cv2
import numpy as np
import pytest

from helpers_drawn import DrawnFaces, draw
from semblance import colour
from semblance.errors import FootageError
from semblance.train import fields
from semblance.train.faceset import MARGIN, build_faceset
from semblance.train.footage import open_footage

HEIGHT, WIDTH, COUNT = 96, 128, 40


def moment(t):
    """A moving pattern at a time counted in fields, (h, w, 3) uint8."""
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    grey = 128 + 100 * np.sin((x - 3.0 * t) / 7.0) * np.sin((y - 1.1 * t) / 9.0)
    return np.repeat(grey.astype(np.uint8)[..., None], 3, axis=-1)


def woven(first, second, top_first=True):
    """A frame of the fields of two moments."""
    frame = moment(first if top_first else second).copy()
    frame[1::2] = moment(second if top_first else first)[1::2]
    return frame


def telecined(top_first=True):
    """Film by 3:2 pulldown: frames of film as 2, 3, 2, 3 fields."""
    shown = [t for t in range(32) for _ in range(3 if t % 2 else 2)]
    return [woven(*pair, top_first) for pair in zip(shown[::2], shown[1::2], strict=True)]


def write(path, frames):
    with av.open(str(path), "w") as movie:
        stream = movie.add_stream("ffv1", rate=Fraction(30))
        stream.height, stream.width, stream.pix_fmt = HEIGHT, WIDTH, "yuv444p"
        for frame in frames:
            picture = av.VideoFrame.from_ndarray(frame, format="rgb24")
            movie.mux(stream.encode(picture.reformat(format="yuv444p")))
        movie.mux(stream.encode())
    return path


def moments(path):
    """The moment that each picture of a movie is nearest to, and how near at worst."""
    found = []
    known = [moment(t).astype(np.float32) for t in range(2 * COUNT)]
    for picture in open_footage(path).pictures():
        codes = colour.linear_to_srgb(picture.read()[0]) * 255.0
        errors = [float(np.abs(codes - each)[4:-4].mean()) for each in known]
        found.append((int(np.argmin(errors)), min(errors)))
    return [at for at, _ in found], max(error for _, error in found)


@pytest.mark.parametrize("top_first", [True, False])
def test_interlaced_video_gives_one_moment_a_frame(tmp_path, top_first):
    frames = [woven(2 * t, 2 * t + 1, top_first) for t in range(COUNT)]
    path = write(tmp_path / "tape.mkv", frames)
    assert open_footage(path).scan == fields.Scan("interlaced", top_first)
    at, error = moments(path)
    assert at == [2 * t for t in range(COUNT)]  # the earlier field, made whole
    combed = np.abs(frames[5].astype(float) - moment(10)).mean()
    assert error < 3.0 < combed / 2.0


@pytest.mark.parametrize("top_first", [True, False])
def test_telecined_film_gives_the_films_own_frames(tmp_path, top_first):
    path = write(tmp_path / "film.mkv", telecined(top_first))
    assert open_footage(path).scan == fields.Scan("telecined", top_first)
    at, error = moments(path)
    assert at == list(range(32))
    assert error < 1.0
    every = [p.frame for p in open_footage(path, every=10).pictures()]
    assert every == [0, 10, 20, 30]


@pytest.mark.parametrize("frames", [[moment(t) for t in range(COUNT)], [moment(0)] * COUNT])
def test_progressive_movies_and_stills_are_left_alone(tmp_path, frames):
    path = write(tmp_path / "film.mkv", frames)
    assert open_footage(path).scan == fields.PROGRESSIVE
    assert len(list(open_footage(path).pictures())) == COUNT


def test_a_build_without_the_filter_is_told(tmp_path, monkeypatch):
    path = write(tmp_path / "tape.mkv", [woven(2 * t, 2 * t + 1) for t in range(COUNT)])
    monkeypatch.setattr(av.filter, "filters_available", {"idet"})
    with pytest.raises(FootageError, match=r"tape.mkv is interlaced, .* no filter 'bwdif'"):
        next(open_footage(path).pictures())


# --------------------------------------------------------------------------------- mattes, quality


def stills(folder, count=3):
    folder.mkdir()
    for number in range(count):
        linear = draw((180, 240), [((118.0 + number, 92.0), 130.0, 4.0 * number)], seed=number)
        codes = np.round(colour.linear_to_srgb(np.clip(linear, 0.0, 1.0)) * 65535.0)
        cv2.imwrite(str(folder / f"{number}.png"), codes.astype(np.uint16)[..., ::-1])
    return folder


def make(footage, out, **rest):
    settings = {"size": 160, "min_blur": 0.0, "duplicate_threshold": 0.0, **rest}
    return build_faceset([footage], out, DrawnFaces(), **settings)


def test_the_users_matte_is_carried_into_the_crop(tmp_path):
    """Everything right of the face's middle is held out, in picture pixels and so in the crop."""
    footage, mattes = stills(tmp_path / "stills"), tmp_path / "mattes"
    mattes.mkdir()
    for number in (0, 1):
        matte = np.full((180, 240), 255, np.uint8)
        matte[:, 118 + number :] = 0
        cv2.imwrite(str(mattes / f"{number}.png"), matte)
    out = tmp_path / "set"
    make(footage, out, mattes=mattes)
    faces = json.loads((out / "faceset.json").read_text())["faces"]
    assert [face.get("matte") for face in faces] == ["mattes/000000.png", "mattes/000001.png", None]
    matte = cv2.imread(str(out / faces[0]["matte"]), cv2.IMREAD_UNCHANGED)
    assert matte.shape == (160, 160)
    middle = (0.5 + MARGIN) / (1.0 + 2.0 * MARGIN) * 160
    edge = np.argmax(matte < 128, axis=1)
    assert np.abs(edge - middle).max() < 3.0
    # Other mattes are another faceset, and one of another size is no matte of this picture.
    with pytest.raises(FootageError, match="was begun with mattes"):
        make(footage, out)
    cv2.imwrite(str(mattes / "1.png"), np.zeros((10, 10), np.uint8))
    with pytest.raises(FootageError, match=r"1\.png has 10 x 10 pixels, expected .* 240 x 180"):
        make(footage, tmp_path / "other", mattes=mattes)


def test_each_face_has_its_quality_and_the_faceset_says_what_it_lacks(tmp_path):
    summary = make(stills(tmp_path / "stills"), tmp_path / "set")
    faces = json.loads((tmp_path / "set" / "faceset.json").read_text())["faces"]
    for face in faces:
        quality = face["quality"]
        assert set(quality) == {"score", "pixels", "sharpness", "flat", "occluded"}
        assert quality["pixels"] == pytest.approx(130.0, abs=3.0)
        assert 0.0 < quality["score"] <= 1.0
    assert summary.quality == pytest.approx(np.median([f["quality"]["score"] for f in faces]))
    assert any("no left profile beyond 0°" in words for words in summary.holes)
    assert (tmp_path / "set" / "coverage.png").stat().st_size > 2000


def test_a_hand_before_the_face_is_seen(studio, tmp_path):
    truth = json.loads((studio / "occlusion" / "truth.json").read_text())
    hidden = {int(n): 1.0 - np.mean(f["visible"]) for n, f in truth.items()}
    worst = max(hidden, key=hidden.__getitem__)
    marks = {
        f"plate.{n}.exr": {"landmarks": truth[str(n)]["landmarks_plate"]} for n in (1001, worst)
    }
    (tmp_path / "marks.json").write_text(json.dumps(marks))
    out = tmp_path / "set"
    footage = [studio / "occlusion" / name for name in marks]
    build_faceset(footage, out, None, landmarks=tmp_path / "marks.json", duplicate_threshold=0.0)
    clear, behind = json.loads((out / "faceset.json").read_text())["faces"]
    assert behind["quality"]["occluded"] > clear["quality"]["occluded"] + 0.1
    assert behind["quality"]["score"] < clear["quality"]["score"]
