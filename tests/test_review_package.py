"""A shot's review: every frame is told of, what is wrong comes first, and nothing is made up."""

from __future__ import annotations

import json
import re
import tracemalloc
from dataclasses import replace
from html.parser import HTMLParser
from itertools import product

import numpy as np
import pytest
from PIL import Image

from conftest import a_face, a_plate
from helpers_review import FRAMES, Verdict, damaged, rendered
from semblance import exr, review
from semblance.errors import Cancelled, InputError, OutputError, PlateError
from semblance.plate import Window
from semblance.review import frames as frames_
from semblance.review import measure
from semblance.review.page import chart
from semblance.roto import Point, Shape, ShapeKey, Shapes

FILES = ["contact.png", "report.html", "review.json", "thumbnail.jpg", "wipe.mp4"]
EVIL = '<img src="https://example.org/x.png" onerror="alert(1)">&"\''


class Page(HTMLParser):
    """What a page would load, and the words of its rows."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.loads: list[str] = []
        self.tags: list[str] = []
        self.rows: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        held = dict(attrs)
        self.tags.append(tag)
        if tag != "a":
            self.loads += [held[name] for name in ("src", "href", "srcset", "data") if name in held]
        self.loads += [value for name, value in attrs if name.startswith("on")]
        if tag == "tr":
            self.rows.append("")

    def handle_data(self, data):
        if self.rows:
            self.rows[-1] += data


def reviewed(material, folder, frames=FRAMES, **words):
    return review.review_shot(material, folder, frames, **words)


def detached(path):
    """A frame to be written over its own file."""
    return replace(exr.read_plate(path), path=None, stamp=None)


def said(shot, number):
    frame = next(each for each in shot.frames if each.number == number)
    return frame.level, " ".join(each.text for each in frame.findings)


def test_a_good_shot_is_fine_in_every_frame_and_all_files_are_there(tmp_path):
    shot = reviewed(rendered(tmp_path), tmp_path / "new" / "review")
    assert [frame.number for frame in shot.frames] == list(FRAMES)
    assert {frame.level for frame in shot.frames} == {"fine"}, [said(shot, n) for n in FRAMES]
    assert sorted(path.name for path in (tmp_path / "new" / "review").iterdir()) == FILES
    for name in ("track", "seam", "coverage", "milliseconds"):
        assert [number for number, _ in shot.series(name)] == list(FRAMES)
    assert [number for number, _ in shot.series("flicker")] == list(FRAMES[1:])


WRONG = {
    1002: ("problem", "there is no result: the disk is full"),
    1003: ("problem", "can't be read"),
    1004: ("problem", "made of another plate"),
    1005: ("problem", "carries no marks"),
    1006: ("problem", "the release has ended"),
    1007: ("look", "unsure of the face"),
    1008: ("look", "no face: the plate is passed through"),
}


def test_every_frame_says_what_happened_and_problems_come_first(tmp_path):
    summary = {"failed": {"1002": "frame 1002, /show/a.exr: the disk is full."}, "notes": []}
    shot = reviewed(damaged(tmp_path), tmp_path / "review", summary=summary)
    for number, (level, words) in WRONG.items():
        assert said(shot, number)[0] == level, said(shot, number)
        assert words in said(shot, number)[1]
    assert said(shot, 1001) == ("fine", "rendered")
    text = (tmp_path / "review" / "report.html").read_text()
    assert "/show/" not in text
    assert str(tmp_path) not in text
    numbers = [int(found) for found in re.findall(r'<tr id="f(\d+)">', text)]
    assert numbers == [1002, 1003, 1004, 1005, 1006, 1007, 1008, 1001]
    rows = Page(text).rows
    assert "1002" in next(row for row in rows if "problem" in row)


def test_a_render_without_a_plate_is_told_and_a_shot_without_any_is_refused(tmp_path):
    material = rendered(tmp_path)
    material.plates.path(1003).unlink()
    shot = reviewed(material, tmp_path / "review")
    assert said(shot, 1003) == ("problem", "there is no plate")
    for number in FRAMES:
        material.plates.path(number).unlink(missing_ok=True)
    with pytest.raises(PlateError, match="plate"):
        reviewed(material, tmp_path / "again")
    assert not (tmp_path / "again").exists()


def test_marks_that_were_tampered_with_are_told_and_stop_nothing(tmp_path):
    material = rendered(tmp_path)
    for number, (name, value) in {
        1001: ("semblance:modelHash", "another"),
        1002: ("semblance:knobs", '{"mix":0.5}'),
        1003: ("semblance:knobs", '{"no_knob":1}'),
        1004: ("semblance:frame", 7),
    }.items():
        path = material.results.path(number)
        exr.write_plate(detached(path), path, {name: value})
    shot = reviewed(material, tmp_path / "review")
    assert said(shot, 1001)[0] == "problem"
    assert "another model" in said(shot, 1001)[1]
    assert "changed after it was made" in said(shot, 1002)[1]
    assert "no_knob" in said(shot, 1003)[1]
    assert "frame 7" in said(shot, 1004)[1]


def test_pixels_beside_the_matte_are_counted(tmp_path):
    material = rendered(tmp_path)
    path = material.results.path(1004)
    plate = detached(path)
    where = np.zeros((90, 120), bool)
    where[2, 3:8] = True
    changed = plate.with_picture(np.ones((90, 120, 3), np.float32), plate.data_window, where)
    exr.write_plate(changed, path)
    shot = reviewed(material, tmp_path / "review")
    assert said(shot, 1004) == ("look", "5 pixels beside the matte are not the plate's own")


@pytest.mark.parametrize("drawn", [False, True])
def test_a_roto_is_in_the_mattes_of_a_review(tmp_path, drawn):
    material = rendered(tmp_path)
    free = reviewed(material, tmp_path / "free")
    half = np.zeros((90, 120), np.float32)
    half[:, :60] = 1.0
    if drawn:
        corners = [(0.0, 0.0), (60.0, 0.0), (60.0, 90.0), (0.0, 90.0)]
        points = tuple(Point(x, y) for x, y in corners)
        shape = Shape("half", {1001: ShapeKey(points)})
        given = replace(material, shapes=Shapes((120, 90), (shape,)))
    else:
        for number in FRAMES:
            alpha = replace(a_plate(), channels=dict.fromkeys("RGBA", half))
            exr.write_plate(alpha, tmp_path / f"roto.{number}.exr")
        given = replace(material, roto=exr.Sequence.parse(tmp_path / "roto.####.exr"))
    cut = reviewed(given, tmp_path / "cut")
    assert cut.means()["coverage"] < 0.75 * free.means()["coverage"]
    assert (tmp_path / "cut" / "contact.png").read_bytes() != (
        tmp_path / "free" / "contact.png"
    ).read_bytes()


def test_shapes_that_were_not_given_are_asked_for(tmp_path):
    material = rendered(tmp_path)
    path = material.results.path(1001)
    knobs = '{"mask_occlusion":0.0,"roto_file":"hand.json"}'
    exr.write_plate(detached(path), path, {"semblance:knobs": knobs})
    shot = reviewed(material, tmp_path / "review")
    assert any("hand.json" in note and "--roto-file" in note for note in shot.notes)


def test_the_report_is_one_file_that_loads_nothing_whatever_the_marks_say(tmp_path):
    material = rendered(tmp_path, verdict=Verdict(True, EVIL, EVIL, EVIL))
    path = material.results.path(1002)
    exr.write_plate(detached(path), path, {"semblance:releaseCheck": EVIL})
    reviewed(material, tmp_path / "review", name=EVIL)
    text = (tmp_path / "review" / "report.html").read_text()
    page = Page(text)
    assert all(address.startswith("data:") for address in page.loads)
    assert page.tags.count("img") == len(FRAMES) + 1
    assert not {"script", "iframe", "object", "embed", "form"} & set(page.tags)
    assert "default-src 'none'" in text
    assert re.search(r"url\(|@import", text) is None


def test_pictures_and_the_movie_are_sealed_before_they_have_their_name(tmp_path):
    material = rendered(tmp_path)
    folder, seen = tmp_path / "review", []

    def seal(path):
        seen.append(path.suffix)
        assert path.parent == folder
        assert path.name.startswith(".")
        assert path.stat().st_size > 0
        path.write_bytes(path.read_bytes() + b"sealed")

    reviewed(material, folder, seal=seal)
    assert sorted(seen) == [".jpg", ".mp4", ".png"]
    for name in ("contact.png", "thumbnail.jpg", "wipe.mp4"):
        assert (folder / name).read_bytes().endswith(b"sealed")


def test_a_seal_that_fails_leaves_no_unsealed_file(tmp_path):
    def seal(path):
        raise OutputError("the signer does not answer", "Start it.")

    with pytest.raises(OutputError, match="signer"):
        reviewed(rendered(tmp_path), tmp_path / "review", seal=seal)
    assert list((tmp_path / "review").iterdir()) == []


def test_a_review_that_is_stopped_leaves_no_half_file(tmp_path):
    calls = iter(range(100))
    with pytest.raises(Cancelled):
        reviewed(rendered(tmp_path), tmp_path / "review", cancel=lambda: next(calls) == 3)
    assert list((tmp_path / "review").iterdir()) == []


def test_scores_against_a_truth_are_shown_for_the_frames_that_can_be_read(tmp_path):
    material = damaged(tmp_path)
    asked = []

    def scores(readable):
        asked.extend(readable)
        return {number: {"psnr": 30.0, "plate_psnr": float("inf")} for number in readable}

    shot = reviewed(material, tmp_path / "review", scores=scores)
    assert asked == [1001, 1004, 1005, 1006, 1007, 1008]
    assert [number for number, _ in shot.series("psnr")] == asked
    assert shot.series("plate_psnr") == ()
    assert "PSNR" in (tmp_path / "review" / "report.html").read_text()


def test_a_long_shot_keeps_a_report_that_can_be_sent(tmp_path):
    material = rendered(tmp_path, frames=(1001,))
    picture = reviewed(material, tmp_path / "review", (1001,)).frames[0]
    many = [replace(picture, number=n, thumbnail=bytes(9000)) for n in range(1, 3001)]
    many[1500] = replace(many[1500], findings=(frames_.Finding("problem", "torn"),))
    from semblance.review.package import _fewer_thumbnails

    kept = [frame for frame in _fewer_thumbnails(many) if frame.thumbnail]
    assert 290 <= len(kept) <= 300
    assert 1501 in {frame.number for frame in kept}


# --- figures -------------------------------------------------------------------------------------


def test_a_result_that_is_the_plate_has_no_seam_and_no_flicker():
    picture = a_plate().picture()
    disc = np.zeros((90, 120), np.float32)
    disc[20:70, 30:90] = 0.5
    assert measure.seam(picture, picture, disc) == 1.0
    assert measure.seam(picture, picture, np.zeros_like(disc)) is None
    window = Window(0, 0, 120, 90)
    change = measure.canonical_change(picture, picture, disc * 2, window, a_face(), 1.0)
    assert measure.flicker(change, change) is None


def test_a_change_that_moves_with_the_face_does_not_flicker_and_one_that_jumps_does():
    window = Window(0, 0, 120, 90)
    y, x = np.mgrid[:90, :120].astype(np.float32) + 0.5

    def seen(shift: float, sign: float):
        plate = np.zeros((90, 120, 3), np.float32)
        disc = np.clip((18.0 - np.hypot(x - 60 - shift, y - 45)) / 4.0, 0.0, 1.0)
        bump = np.exp(-((x - 52 - shift) ** 2 + (y - 45) ** 2) / 60.0)
        result = plate + (0.2 * sign * bump * disc)[..., None]
        face = a_face((60.0 + shift, 45.0))
        return measure.canonical_change(result, plate, disc, window, face, 1.0)

    still, moved, turned = seen(0.0, 1.0), seen(5.25, 1.0), seen(0.0, -1.0)
    assert measure.flicker(still, moved) < 0.05
    assert measure.flicker(still, turned) == pytest.approx(2.0)
    assert measure.flicker(still, still) == 0.0


def test_an_edge_around_the_patch_raises_the_seam():
    picture = np.full((90, 120, 3), 0.4, np.float32) + np.linspace(0, 0.2, 120)[:, None]
    picture = picture.astype(np.float32)
    y, x = np.mgrid[:90, :120].astype(np.float32)
    disc = np.clip((25.0 - np.hypot(x - 60, y - 45)) / 4.0, 0.0, 1.0).astype(np.float32)
    lifted = picture + 0.1 * disc[..., None]
    assert measure.seam(lifted, picture, disc) > 2.0


@pytest.mark.parametrize("scale", [0.5, 1.0, 2.0])
def test_coverage_does_not_depend_on_the_size_of_the_face(scale):
    face = a_face((120.0, 120.0), 60.0 * scale)
    y, x = np.mgrid[:240, :240].astype(np.float32) + 0.5
    disc = (np.hypot(x - 120, y - 120) < 25.0 * scale).astype(np.float32)
    assert measure.coverage(disc, face) == pytest.approx(
        measure.coverage(
            (np.hypot(x - 120, y - 120) < 25.0).astype(np.float32), a_face((120, 120))
        ),
        rel=0.05,
    )


def test_a_plot_has_a_gap_where_frames_are_missing_and_one_value_is_enough():
    text = chart("Seam", "m", [("a", [(1, 1.0), (2, 2.0), (5, 1.0), (6, 1.5)])], bad=[3])
    assert re.search(r'class="line" d="M[^M]+M[^M]+"', text)
    assert 'role="img"' in text
    assert chart("Seam", "m", [("a", [(7, 0.0)])]).count("<circle") == 1
    assert "nan" not in chart("Seam", "m", [("a", [(7, 1e-30), (8, 1e9)])])


# --- the project's shots --------------------------------------------------------------------------


def test_a_projects_shots_are_on_one_page_with_the_worst_first(tmp_path):
    reviewed(rendered(tmp_path / "a"), tmp_path / "a" / "review")
    reviewed(damaged(tmp_path / "b <i>"), tmp_path / "b <i>" / "deep" / "review", name=EVIL)
    (tmp_path / "c").mkdir()
    (tmp_path / "c" / "review.json").write_text('{"format": "semblance-review", "version": 1}')
    (tmp_path / ".hidden").mkdir()
    (tmp_path / ".hidden" / "review.json").write_text("{")
    listed = review.shot_list(tmp_path, tmp_path / "shots.html")
    assert (listed.shots, listed.problems) == (2, 1)
    assert listed.unreadable == (tmp_path / "c" / "review.json",)
    text = (tmp_path / "shots.html").read_text()
    page = Page(text)
    assert all(address.startswith("data:") for address in page.loads)
    assert page.tags.count("img") == 2
    assert "<i>" not in text
    links = re.findall(r'<a href="([^#"]+)"', text)
    assert links == ["b%20%3Ci%3E/deep/review/report.html", "a/review/report.html"]


def test_a_thumbnail_that_is_no_picture_is_left_out_of_the_shot_list(tmp_path):
    reviewed(rendered(tmp_path), tmp_path / "review")
    picture = tmp_path / "review" / "thumbnail.jpg"
    with Image.open(picture) as held:
        assert held.size[1] == 96
    for data in (b"", b"<svg onload=alert(1)>", picture.read_bytes()[:300]):
        picture.write_bytes(data)
        review.shot_list(tmp_path, tmp_path / "shots.html")
        assert "<img" not in (tmp_path / "shots.html").read_text()


def test_a_project_without_a_review_is_refused_with_the_next_step(tmp_path):
    with pytest.raises(InputError, match="semblance review"):
        review.shot_list(tmp_path, tmp_path / "shots.html")


def test_no_malformed_review_stops_the_list(tmp_path):
    reviewed(rendered(tmp_path, frames=FRAMES[:2]), tmp_path / "ok", FRAMES[:2])
    held = json.loads((tmp_path / "ok" / "review.json").read_text())
    values = (None, 7, "x", [1], {"a": []}, float("nan"), 1e999)
    for index, (key, bad) in enumerate(product(held, values)):
        folder = tmp_path / f"bad{index}"
        folder.mkdir()
        (folder / "review.json").write_text(json.dumps({**held, key: bad}))
    for index, text in enumerate(("", "[]", "null", "[" * 100_000, "\ud800")):
        folder = tmp_path / f"torn{index}"
        folder.mkdir()
        (folder / "review.json").write_bytes(text.encode(errors="surrogatepass"))
    assert review.shot_list(tmp_path, tmp_path / "shots.html").shots >= 1


def test_memory_does_not_grow_with_the_shot(tmp_path):
    material = rendered(tmp_path)
    reviewed(material, tmp_path / "warm", FRAMES[:2])

    def peak(frames) -> int:
        tracemalloc.start()
        reviewed(material, tmp_path / "review", frames)
        _, most = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        return most

    assert peak(FRAMES) < 1.02 * peak(FRAMES[:6])
