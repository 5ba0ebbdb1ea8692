"""Drawn roto: laws of its pixels, its file, and its way to a finished frame."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.interpolate import BSpline

from conftest import a_face, a_plate
from helpers_model import tiny_model
from semblance.cli import main
from semblance.errors import OutputError, RotoError
from semblance.exr import read_plate, write_plate
from semblance.face import Roto, Track
from semblance.plate import Window
from semblance.roto import (
    Point,
    Shape,
    ShapeKey,
    Shapes,
    curves,
    load_shapes,
    outline,
    rasterise,
    save_shapes,
)
from semblance.track.file import save_track

DATA = Path(__file__).parent / "data"
WHOLE = Window(0, 0, 120, 90)
ROUND = 0.5522847498  # a quarter of a circle by one curve


def key(*points: tuple[float, ...], feather: float = 0.0, opacity: float = 1.0) -> ShapeKey:
    return ShapeKey(tuple(Point(*point) for point in points), feather, opacity)


def circle(
    x: float, y: float, radius: float, feather: float = 0.0, squeeze: float = 1.0
) -> ShapeKey:
    """A circle; squeezed, it is one in a picture of wide pixels."""
    points = []
    for cos, sin in ((1, 0), (0, 1), (-1, 0), (0, -1)):
        along = (-sin * ROUND * radius / squeeze, cos * ROUND * radius)
        at = (x + cos * radius / squeeze, y + sin * radius)
        points.append(Point(*at, -along[0], -along[1], *along))
    return ShapeKey(tuple(points), feather)


def box(x0: float, y0: float, x1: float, y1: float, **options: float) -> ShapeKey:
    return key((x0, y0), (x1, y0), (x1, y1), (x0, y1), **options)


def shapes(*keys: ShapeKey, size: tuple[int, int] = (120, 90), **options: str) -> Shapes:
    return Shapes(size, tuple(Shape(f"s{i}", {1: each}, **options) for i, each in enumerate(keys)))


def full(drawn: Roto | None, window: Window = WHOLE) -> np.ndarray:
    """A matte over a whole window: 0 where it does not reach."""
    assert drawn is not None
    pixels = np.zeros((window.height, window.width), np.float32)
    shared = drawn.window.intersection(window)
    if not shared.empty:
        pixels[shared.slices(window)] = drawn.pixels[shared.slices(drawn.window)]
    return pixels


def centres(window: Window = WHOLE) -> tuple[np.ndarray, np.ndarray]:
    y, x = np.mgrid[window.y0 : window.y1, window.x0 : window.x1] + 0.5
    return x, y


def smoothstep(t: np.ndarray) -> np.ndarray:
    t = np.clip(t, 0.0, 1.0)
    return t * t * (3.0 - 2.0 * t)


# --------------------------------------------------------------------------------------- pixels


def test_a_pixel_holds_the_area_that_is_covered_of_it():
    drawn = full(rasterise(shapes(box(10.25, 20.5, 30.75, 40.125)), 1, WHOLE))
    across = np.clip(
        np.minimum(np.arange(120) + 1, 30.75) - np.maximum(np.arange(120), 10.25), 0, 1
    )
    down = np.clip(np.minimum(np.arange(90) + 1, 40.125) - np.maximum(np.arange(90), 20.5), 0, 1)
    assert np.abs(drawn - np.outer(down, across)).max() < 2e-5
    assert (drawn[21:40, 11:30] == 1.0).all()
    assert (drawn[:, :10] == 0.0).all()


coordinate = st.integers(-30_000, 150_000).map(lambda value: value / 1000.0)


@given(st.lists(st.tuples(coordinate, coordinate), min_size=3, max_size=9))
@settings(max_examples=60)
def test_a_polygon_is_what_many_samples_say_wherever_it_lies(points):
    line = np.array(points)
    drawn = full(rasterise(shapes(key(*points)), 1, WHOLE))
    x, y = (each[:, ::3] for each in centres())
    winding = np.zeros(x.shape)
    for (ax, ay), (bx, by) in zip(line, np.roll(line, -1, axis=0), strict=True):
        crosses = (ay <= y) != (by <= y)
        at = ax + (y - ay) / (by - ay if by != ay else 1.0) * (bx - ax)
        winding += np.where(crosses & (at > x), np.sign(by - ay), 0)
    there = drawn[:, ::3]
    clear = (there == 0.0) | (there == 1.0)  # no edge lies in the pixel
    assert (there[clear] == np.minimum(np.abs(winding[clear]), 1.0)).all()


@given(
    st.sampled_from([0.0, 0.7, 5.0, -5.0, 23.0, -19.0]),
    st.tuples(st.integers(0, 70), st.integers(0, 50)),
    st.tuples(st.integers(1, 60), st.integers(1, 50)),
    st.sampled_from([1.0, 2.0]),
)
@settings(max_examples=60)
def test_no_window_changes_a_bit(feather, corner, size, aspect):
    drawn = Shapes(
        (120, 90),
        (
            Shape("a", {1: circle(58.3, 44.9, 27.2, feather)}),
            Shape("b", {1: box(50.5, -40.2, 71.3, 60.1, feather=feather)}, operation="subtract"),
        ),
    )
    window = Window(*corner, corner[0] + size[0], corner[1] + size[1])
    window = window.intersection(WHOLE)
    whole = full(rasterise(drawn, 1, WHOLE, pixel_aspect=aspect))
    part = full(rasterise(drawn, 1, window, pixel_aspect=aspect), window)
    assert np.array_equal(part, whole[window.slices(WHOLE)])


@pytest.mark.parametrize("feather", [2.0, 9.0, 15.9, 16.1, 25.0, -6.0, -20.0])
def test_a_feather_is_a_smooth_ramp_by_distance(feather):
    drawn = full(rasterise(shapes(circle(60.2, 44.7, 30.3, feather)), 1, WHOLE))
    x, y = centres()
    away = np.hypot(x - 60.2, y - 44.7) - 30.3
    expected = smoothstep(1.0 - away / feather if feather > 0 else away / feather)
    error = np.abs(drawn - expected)
    assert error.max() < 0.03 + 0.04 / abs(feather)  # the curves miss a circle by a little
    assert (drawn[away > max(feather, 0.0) + 1.5] == 0.0).all()
    assert np.abs(drawn[away < min(feather, 0.0) - 1.5] - 1.0).max(initial=0.0) < 1e-6


def test_a_feather_is_as_wide_across_as_down_in_a_squeezed_picture():
    squeezed = full(
        rasterise(shapes(circle(40.0, 45.0, 20.0, 10.0, squeeze=2.0)), 1, WHOLE, pixel_aspect=2.0)
    )
    seen = cv2.resize(squeezed, (240, 90), interpolation=cv2.INTER_LINEAR)
    x, y = centres(Window(0, 0, 240, 90))
    expected = smoothstep(1.0 - (np.hypot(x - 80.0, y - 45.0) - 20.0) / 10.0)
    assert np.abs(seen - expected).max() < 0.03


@pytest.mark.parametrize("feather", [0.0, 8.0, 30.0, -12.0])
@pytest.mark.parametrize("scale", [(0.5, 0.5), (0.25, 0.25), (0.5, 1.0)])
def test_a_proxy_shows_the_same_matte(feather, scale):
    large = Window(0, 0, 480, 360)
    drawn = shapes(
        circle(230.7, 170.2, 110.0, feather), box(20.3, 30.1, 84.6, 300.4, feather=feather)
    )
    whole = full(rasterise(drawn, 1, large), large)
    small = Window(0, 0, int(480 * scale[0]), int(360 * scale[1]))
    proxy = full(rasterise(drawn, 1, small, scale=scale), small)
    reduced = cv2.resize(whole, (small.width, small.height), interpolation=cv2.INTER_AREA)
    # A narrow feather is sampled at the centres of pixels, where an area is their mean.
    limit = 0.25 / abs(feather * min(scale)) if feather else 0.01
    assert np.abs(proxy - reduced).max() < limit


def test_a_shift_moves_a_matte_by_whole_pixels_without_a_bit_changed():
    drawn = shapes(circle(60.25, 45.5, 20.0, 6.0))
    here = full(rasterise(drawn, 1, WHOLE))
    there = full(rasterise(drawn, 1, WHOLE, shift=(7.0, -4.0)))
    assert np.abs(there[:80, 10:] - here[4:84, 3:-7]).max() < 1e-5


def test_a_spline_is_that_of_its_control_points():
    points = np.array([(20, 20), (90, 15), (100, 70), (60, 50), (25, 80)], float)
    line = outline(curves(key(*points.tolist()), "bspline"))
    around = np.concatenate([points, points[:3]])
    exact = BSpline(np.arange(len(around) + 4) - 2.0, around, 3)
    t = np.linspace(1.0, 6.0, 4000, endpoint=False)
    away = np.hypot(*(line[:, None] - exact(t)[None]).transpose(2, 0, 1)).min(axis=1)
    assert away.max() < 0.05


def test_shapes_add_take_away_and_are_drawn_onto_what_a_host_gives():
    left, right = box(10, 10, 50, 60, opacity=0.5), box(40, 10, 80, 60, opacity=0.5)
    both = full(rasterise(shapes(left, right), 1, WHOLE))
    assert (both[20, 20], both[20, 45], both[20, 70]) == (0.5, 0.75, 0.5)
    hole = Shape("hole", {1: box(20, 20, 30, 30)}, operation="subtract")
    taken = full(rasterise(replace(shapes(left), shapes=(*shapes(left).shapes, hole)), 1, WHOLE))
    assert (taken[25, 25], taken[15, 15], taken[80, 80]) == (0.0, 0.5, 0.0)
    held_out = full(rasterise(Shapes((120, 90), (hole,)), 1, WHOLE))
    assert (held_out[25, 25], held_out[15, 15], held_out[80, 80]) == (0.0, 1.0, 1.0)
    given = Roto(np.full((40, 120), 0.8, np.float32), Window(0, 0, 120, 40))
    onto = full(rasterise(Shapes((120, 90), (hole, *shapes(left).shapes)), 1, WHOLE, onto=given))
    assert onto[25, 25] == 0.5
    assert onto[15, 100] == np.float32(0.8)
    assert onto[50, 100] == 0.0
    assert onto[15, 15] == pytest.approx(0.9)
    assert given.pixels.min() == np.float32(0.8), "what was given is not written to"
    assert rasterise(Shapes((120, 90)), 1, WHOLE, onto=given) is given
    assert rasterise(Shapes((120, 90)), 1, WHOLE) is None
    nowhere = rasterise(shapes(box(-90, -90, -50, -50)), 1, WHOLE)
    assert nowhere is not None
    assert nowhere.window.empty


def test_keys_are_joined_by_straight_lines_and_held_at_both_ends():
    shape = Shape("a", {11: circle(40.0, 40.0, 10.0, 4.0), 1: circle(20.0, 40.0, 10.0, 0.0)})
    assert shape.at(-5) == shape.at(1) == shape.keys[1]
    assert shape.at(11) == shape.at(900) == shape.keys[11]
    middle = shape.at(6)
    assert middle.feather == 2.0
    assert middle.points[0].x == pytest.approx(40.0)


# ------------------------------------------------------------------------------------- the file


def test_writing_what_was_read_gives_the_same_bytes(tmp_path):
    held = load_shapes(DATA / "shapes.json", size=(120, 90))
    assert [shape.name for shape in held.shapes] == ["face", "hand"]
    assert held.shapes[1].kind == "bspline"
    save_shapes(held, tmp_path / "again.json")
    assert (tmp_path / "again.json").read_text() == (DATA / "shapes.json").read_text()
    assert load_shapes(tmp_path / "again.json") == held
    save_shapes(Shapes((8, 6)), tmp_path / "none.json")
    assert load_shapes(tmp_path / "none.json") == Shapes((8, 6))
    with pytest.raises(OutputError, match="nowhere"):
        save_shapes(held, tmp_path / "nowhere" / "shapes.json")
    assert {path.name for path in tmp_path.iterdir()} == {"again.json", "none.json"}


MISTAKES = {
    "feather": (lambda d: d["shapes"][0]["keys"]["1011"].update(feather="2"), "shape 1 (face), key "
                "1011, feather: expected a number, found '2'"),
    "opacity": (lambda d: d["shapes"][0]["keys"]["1001"].update(opacity=2), "key 1001, opacity: "
                "expected a number from 0 to 1, found 2"),
    "count": (lambda d: d["shapes"][0]["keys"]["1011"]["points"].pop(), "shape 1 (face), key 1011: "
              "expected 4 points, as in key 1001, found 3"),
    "few": (lambda d: d["shapes"][1]["keys"]["1001"].update(points=[[1, 2], [3, 4]]), "shape 2 "
            "(hand), key 1001, points: expected at least 3 points"),
    "point": (lambda d: d["shapes"][1]["keys"]["1001"]["points"].append([1, 2, 3]), "shape 2 "
              "(hand), key 1001, point 4: expected [x, y], found [1, 2, 3]"),
    "far": (lambda d: d["shapes"][1]["keys"]["1001"]["points"].append([1, 2e9]), "point 4: "
            "expected a number from -100000 to 100000, found 2000000000.0"),
    "frame": (lambda d: d["shapes"][1].update(keys={"a": {}}), "shape 2 (hand), keys: expected a "
              "frame number, found 'a'"),
    "kind": (lambda d: d["shapes"][0].update(kind="oval"), "shape 1 (face), kind: expected one of "
             "bezier, bspline, found 'oval'"),
    "keys": (lambda d: d["shapes"][0].update(keys={}), "shape 1 (face), keys: expected at least"),
    "shapes": (lambda d: d.update(shapes={}), "shapes: expected a list of shapes, found {}"),
    "size": (lambda d: d.update(size=[120]), "size: expected [width, height]"),
    "version": (lambda d: d.update(version=2), "expected version 1 of the shapes format, found 2"),
    "format": (lambda d: d.update(format="semblance-track"), "holds no shapes: expected format"),
}  # fmt: skip


@pytest.mark.parametrize("name", MISTAKES)
def test_a_broken_file_is_refused_by_file_shape_and_key(name, tmp_path):
    spoil, said = MISTAKES[name]
    document = json.loads((DATA / "shapes.json").read_text())
    spoil(document)
    path = tmp_path / "broken.json"
    path.write_text(json.dumps(document))
    with pytest.raises(RotoError) as caught:
        load_shapes(path)
    assert str(path) in str(caught.value)
    assert said in str(caught.value)
    assert caught.value.remedy


def test_no_file_no_json_and_another_plate_are_refused(tmp_path):
    with pytest.raises(RotoError, match=r"knob 'roto_file' names .*there is no such file. Check"):
        load_shapes(tmp_path / "gone.json")
    with pytest.raises(RotoError, match="can't be read"):
        load_shapes(tmp_path)
    (tmp_path / "torn.json").write_text((DATA / "shapes.json").read_text()[:200])
    with pytest.raises(RotoError, match="is not a JSON document"):
        load_shapes(tmp_path / "torn.json")
    with pytest.raises(RotoError, match="belongs to a plate of 120 × 90, this one has 64 × 48"):
        load_shapes(DATA / "shapes.json", size=(64, 48))


# ------------------------------------------------------------------------- to a finished frame

FRAMES = (1001, 1002)


@pytest.fixture
def shot(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    for frame in FRAMES:
        write_plate(a_plate(seed=frame), tmp_path / f"plate.{frame}.exr")
    faces = {frame: a_face() for frame in FRAMES}
    save_track(Track(faces, (120, 90), frames=FRAMES), tmp_path / "track.json")
    tiny_model(tmp_path / "likeness.onnx")
    return tmp_path


def applied(shot: Path, preset: dict[str, object], *options: str) -> np.ndarray:
    """What `semblance apply --preset` changes of the first frame, above its slate."""
    given = {
        "model": "likeness.onnx",
        "track_file": "track.json",
        "mask_occlusion": 0.0,
        "looks": 1,
    }
    (shot / "preset.json").write_text(json.dumps({**given, **preset}))
    command = ["apply", "plate.####.exr", "--preset", "preset.json", "-o", "out/r.####.exr"]
    assert main([*command, "--frames", "1001", *options]) == 0
    after = read_plate(shot / "out" / "r.1001.exr").picture()
    return np.abs(after - read_plate(shot / "plate.1001.exr").picture())[:60].max(axis=2)


def test_apply_takes_the_shapes_of_a_preset_and_touches_nothing_outside_them(shot, capsys):
    plain = applied(shot, {})
    save_shapes(shapes(box(60.0, 0.0, 120.0, 90.0)), shot / "right.json")
    right = applied(shot, {"roto_file": "right.json"})
    assert (right[:, :60] == 0.0).all()
    assert np.array_equal(right[:, 60:], plain[:, 60:])
    out = Shape("out", {1: box(60.0, 0.0, 120.0, 90.0)}, operation="subtract")
    save_shapes(Shapes((120, 90), (out,)), shot / "left.json")
    left = applied(shot, {"roto_file": "left.json"})
    assert np.array_equal(left[:, :60], plain[:, :60])
    assert (left[:, 60:] == 0.0).all()
    alone = applied(shot, {"roto_file": "right.json", "mask_source": "roto"})
    assert (alone[:, :60] == 0.0).all()
    assert (alone[:, 60:] >= plain[:, 60:] - 1e-3).all()


def test_shapes_are_drawn_onto_the_roto_of_files(shot, capsys):
    plain = applied(shot, {})
    upper = np.zeros((90, 120), np.float32)
    upper[:45] = 1.0
    window = replace(a_plate(), channels=dict.fromkeys("RGB", upper))
    write_plate(window, shot / "roto.1001.exr")
    out = Shape("out", {1: box(60.0, 0.0, 120.0, 90.0)}, operation="subtract")
    save_shapes(Shapes((120, 90), (out,)), shot / "left.json")
    both = applied(shot, {"roto_file": "left.json"}, "--roto", "roto.####.exr")
    assert np.array_equal(both[:45, :60], plain[:45, :60])
    assert (both[45:] == 0.0).all()
    assert (both[:, 60:] == 0.0).all()


@pytest.mark.parametrize(
    ("name", "said"), [("gone.json", "no such file"), ("other.json", "plate of 64 × 48")]
)
def test_shapes_that_are_not_there_or_of_another_plate_stop_apply_in_one_line(
    shot, capsys, name, said
):
    save_shapes(shapes(box(1, 1, 9, 9), size=(64, 48)), shot / "other.json")
    command = ["apply", "plate.####.exr", "-m", "likeness.onnx", "-t", "track.json"]
    assert main([*command, "--roto-file", name, "-o", "out/r.####.exr"]) == 1
    lines = [line for line in capsys.readouterr().err.splitlines() if "slate" not in line]
    assert len(lines) == 1
    assert name in lines[0]
    assert said in lines[0]
    assert not list((shot / "out").glob("*")) if (shot / "out").exists() else True


def test_shapes_beside_a_preset_are_found_from_any_folder(shot, capsys, monkeypatch):
    (shot / "seq").mkdir()
    for name in ("plate.1001.exr", "track.json", "likeness.onnx"):
        (shot / name).rename(shot / "seq" / name)
    save_shapes(shapes(box(60.0, 0.0, 120.0, 90.0)), shot / "seq" / "right.json")
    preset = {"model": "likeness.onnx", "track_file": "track.json", "roto_file": "right.json"}
    (shot / "seq" / "preset.json").write_text(json.dumps({**preset, "mask_occlusion": 0.0}))
    command = ["apply", "seq/plate.####.exr", "--preset", "seq/preset.json"]
    assert main([*command, "-o", "out/r.####.exr"]) == 0
    after = read_plate(shot / "out" / "r.1001.exr").picture()
    before = read_plate(shot / "seq" / "plate.1001.exr").picture()
    change = np.abs(after - before)[:60].max(axis=2)
    assert (change[:, :60] == 0.0).all()
    assert change.max() > 0.0


def test_the_page_of_the_format_says_what_is_so(tmp_path):
    page = (Path(__file__).parents[1] / "docs" / "roto-format.md").read_text("utf-8")
    example = page.split("```json\n")[1].split("```")[0]
    (tmp_path / "example.json").write_text(example)
    held = load_shapes(tmp_path / "example.json", size=(1920, 1080))
    save_shapes(held, tmp_path / "again.json")
    assert (tmp_path / "again.json").read_text() == example
    exec(compile(page.split("```python\n")[1].split("```")[0], "docs/roto-format.md", "exec"), {})
