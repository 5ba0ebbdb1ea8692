"""A result is the plate's file with other pixels in it: what was not touched is copied, not coded.

`pytest tests/test_exr_splice.py`
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import OpenImageIO as oiio
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from helpers_plates import (
    FULL,
    LAYOUTS,
    LOSSLESS,
    LOSSY,
    NEGATIVE,
    OVERSCAN,
    assert_plates_equal,
    bits,
    chunk_bytes,
    exr_part,
    is_lossy,
    layouts,
    leftovers,
    noise,
    read_by_openexr,
    read_by_openimageio,
    rgb,
    write_by_openimageio,
    write_exr,
)
from semblance.errors import PlateError
from semblance.exr import check_output, read_header, read_plate, write_plate
from semblance.exr.hidden import hidden_path
from semblance.exr.sequence import Sequence
from semblance.plate import Plate, Window

MARK = {"semblance:model": "a.onnx", "semblance:frames": 24}


@pytest.fixture
def source(tmp_path: Path) -> Path:
    return LAYOUTS["half"](tmp_path / "plate.exr")


def windows(within: Window) -> st.SearchStrategy[Window]:
    """Windows in and around another one; some of them empty."""
    columns = st.integers(within.x0 - 9, within.x1 + 9)
    rows = st.integers(within.y0 - 9, within.y1 + 9)
    return st.builds(
        lambda x, y: Window(x[0], y[0], x[1], y[1]),
        st.tuples(columns, columns).map(sorted),
        st.tuples(rows, rows).map(sorted),
    )


def changed_plate(plate: Plate, window: Window, seed: int = 0) -> Plate:
    """The plate with a new picture on some pixels of a window."""
    random = np.random.default_rng(seed)
    shape = (window.height, window.width)
    pixels = random.normal(0.2, 3.0, (*shape, 3)).astype(np.float32)
    return plate.with_picture(pixels, window, random.random(shape) < 0.8)


def over(plate: Plate, whole: Plate) -> Plate:
    """The whole plate with the pixels of one that holds a region."""
    channels = {name: pixels.copy() for name, pixels in whole.channels.items()}
    for name, pixels in plate.channels.items():
        channels[name][plate.window.slices(whole.data_window)] = pixels
    return replace(whole, channels=channels)


def assert_read_by_others(path: Path, expected: Plate, part: int = 0) -> None:
    for found in (read_by_openexr(path, part), read_by_openimageio(path, part)):
        assert set(found) == set(expected.channels)
        for name, pixels in expected.channels.items():
            assert (bits(found[name]) == bits(pixels)).all(), name


def a_file(folder: str, layout: tuple[dict[str, Any], dict[str, Any]], kind: str) -> Path:
    """A file of a layout: by OpenEXR's module, alone or among others, or by OpenImageIO."""
    channels, keywords = layout
    path = Path(folder, "plate.exr")
    if kind == "oiio":
        halves = {name: item for name, item in channels.items() if item.dtype == np.float16}
        aspect = {"PixelAspectRatio": keywords["attributes"]["pixelAspectRatio"]}
        return write_by_openimageio(path, halves, **{**keywords, "attributes": aspect})
    if kind == "openexr":
        return write_exr(path, exr_part(channels, **keywords))
    aspect = {"pixelAspectRatio": keywords["attributes"]["pixelAspectRatio"]}
    before, behind = (
        exr_part(pixels, display=keywords["display"], compression=compression, tile=tile,
                 attributes={**aspect, "name": name})
        for name, pixels, compression, tile in (
            ("a", {"Z": noise(FULL, np.float32)}, "dwab", (8, 16)),
            ("z", {"id": noise(FULL, np.uint32)}, "zips", None),
        )
    )  # fmt: skip
    keywords["attributes"]["name"] = "main"
    return write_exr(path, before, exr_part(channels, **keywords), behind)


@settings(max_examples=120)
@given(layouts(), st.sampled_from(["openexr", "parts", "oiio"]), st.data())
def test_a_region_is_the_plate_and_a_splice_touches_nothing_else(
    layout: tuple[dict[str, Any], dict[str, Any]], kind: str, data: st.DataObject
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = a_file(folder, layout, kind)
        whole = read_plate(path)
        assert whole.region is None
        held = read_plate(path, region=data.draw(windows(whole.data_window)))
        for name, pixels in held.channels.items():
            rows, columns = held.window.slices(whole.data_window)
            assert (bits(pixels) == bits(whole.channels[name][rows, columns])).all()

        changed = data.draw(windows(whole.data_window)).intersection(held.window)
        changed = held.window.intersection(Window(0, 0, 0, 0)) if changed.empty else changed
        touched = held if changed.empty else changed_plate(held, changed)
        if not changed.empty and data.draw(st.booleans()):
            touched = touched.cut(changed)  # what else its chunks hold comes from the file
        written = write_plate(touched, Path(folder, "out.exr"), MARK, changed=changed)
        lossy = is_lossy(whole.compression, whole.channels) and not changed.empty
        before, after = read_header(path), read_header(written.path)
        block = before.parts[whole.part].block(changed)
        everything = lossy and block.window == whole.data_window
        assert written.way == ("rewrite" if everything else "splice")
        assert written.compression == ("zip" if everything else whole.compression)
        assert written.bytes == written.path.stat().st_size
        assert bool(written.note) == lossy
        expected = over(touched, whole)
        read = read_plate(written.path)
        assert_plates_equal(read, expected, added=MARK, compression=not everything)
        assert_read_by_others(written.path, expected, whole.part)

        assert before.multipart == after.multipart
        for one, other in zip(before.parts, after.parts, strict=True):
            if everything and one.index == whole.part:
                continue
            added = MARK if one.index == whole.part else {}
            kept = {name: item for name, item in other.attributes.items() if name not in added}
            assert kept == one.attributes
            assert other.attributes.keys() - one.attributes.keys() == added.keys()
            chunks = chunk_bytes(path, one.index), chunk_bytes(written.path, one.index)
            different = {i for i, (a, b) in enumerate(zip(*chunks, strict=True)) if a != b}
            mine = block.indices if one.index == whole.part else ()
            assert different <= set(mine)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_plate_in_which_nothing_changed_is_copied_chunk_by_chunk(
    layout: str, tmp_path: Path
) -> None:
    path = LAYOUTS[layout](tmp_path / "plate.exr")
    read = read_plate(path, region=Window(0, 0, 0, 0))
    assert read.window.empty
    written = write_plate(read, tmp_path / "same.exr", changed=Window(0, 0, 0, 0))
    assert (written.way, written.note) == ("splice", "")
    assert written.path.read_bytes() == path.read_bytes()


@pytest.mark.parametrize("tile", [None, (16, 8), (32, 32)])
@pytest.mark.parametrize("compression", [*LOSSY, "pxr24", "lj2k"])
def test_in_a_lossy_file_every_pixel_is_exact_and_the_compression_stays(
    compression: str, tile: tuple[int, int] | None, tmp_path: Path
) -> None:
    window = Window(-5, -3, 50, 300)
    y, x = np.mgrid[window.y0 : window.y1, window.x0 : window.x1]
    soft = (0.2 + 0.1 * np.sin(x / 9.0) + 0.1 * np.cos(y / 7.0)).astype(np.float32)
    channels = {**dict.fromkeys("RGBA", soft.astype(np.float16)), "Z": soft}
    part = exr_part(channels, window=window, compression=compression, tile=tile)
    path = write_exr(tmp_path / "plate.exr", part)
    whole = read_plate(path)
    changed = Window(30, 280, 50, 300)  # the last, short chunk is among them
    touched = changed_plate(whole, changed)
    written = write_plate(touched, tmp_path / "out.exr", changed=changed)
    assert "stored without compression" in written.note
    assert f"plate's {compression} is lossy" in written.note
    assert_plates_equal(written.path, touched)
    assert_read_by_others(written.path, touched)
    outside = np.ones(soft.shape, bool)
    outside[changed.slices(window)] = False
    assert_plates_equal(written.path, whole, where=outside)
    everything = write_plate(touched, tmp_path / "zip.exr")
    assert (everything.way, everything.compression) == ("rewrite", "zip")
    assert "all of it was touched" in everything.note
    assert_plates_equal(everything.path, touched, compression=False)


@pytest.mark.parametrize("level", [30.0, 400.0])
def test_on_request_a_dwa_file_is_compressed_again_at_its_own_level(
    level: float, tmp_path: Path
) -> None:
    window = Window(0, 0, 96, 200)
    x = np.mgrid[:200, :96][1]
    random = np.random.default_rng(1)
    soft = {
        name: (0.2 + 0.1 * np.sin(x / 9.0 + i) + random.normal(0, 0.01, x.shape)).astype(np.float16)
        for i, name in enumerate("RGB")
    }

    def file(name: str, channels: Any) -> Path:
        part = exr_part(channels, window=window, display=window, compression="dwaa",
                        attributes={"dwaCompressionLevel": level})  # fmt: skip
        return write_exr(tmp_path / name, part)

    path = file("plate.exr", soft)
    changed = Window(10, 70, 40, 90)
    touched = changed_plate(read_plate(path), changed)
    written = write_plate(touched, tmp_path / "out.exr", changed=changed, exact=False)
    assert written.compression == f"dwaa:{level:g}"
    assert "compressed again by the plate's dwaa" in written.note
    again = chunk_bytes(file("again.exr", touched.channels))
    chunks = chunk_bytes(path)
    assert chunk_bytes(written.path) == [*chunks[:2], again[2], *chunks[3:]]
    exact = write_plate(touched, tmp_path / "exact.exr", changed=changed)
    assert exact.bytes > written.bytes


@pytest.mark.parametrize("compression", LOSSLESS)
def test_in_a_lossless_file_both_ways_are_exact(compression: str, tmp_path: Path) -> None:
    path = write_exr(tmp_path / "plate.exr", exr_part(rgb(), compression=compression))
    touched = changed_plate(read_plate(path), Window(3, 4, 30, 20))
    for exact in (True, False):
        written = write_plate(touched, tmp_path / f"{exact}.exr", exact=exact)
        assert (written.way, written.note) == ("splice", "")
        assert_plates_equal(written.path, touched)


# Views


def test_the_default_view_of_one_part_is_the_plate_and_the_other_one_stays(tmp_path: Path) -> None:
    channels = {**rgb(), **rgb(prefix="right.", dtype=np.float32)}
    part = exr_part(channels, attributes={"multiView": ["left", "right"]})
    path = write_exr(tmp_path / "plate.exr", part)
    read = read_plate(path)
    assert read.rgb == ("R", "G", "B")
    touched = changed_plate(read, FULL)
    written = write_plate(touched, tmp_path / "out.exr", MARK)
    assert_plates_equal(written.path, touched, added=MARK)
    assert read_plate(written.path).metadata["multiView"].value == ("left", "right")
    again = read_by_openexr(written.path)
    assert all((bits(again[f"right.{n}"]) == bits(channels[f"right.{n}"])).all() for n in "RGB")


def test_of_two_views_in_parts_the_one_that_is_asked_for_changes(tmp_path: Path) -> None:
    views = [
        exr_part(rgb(), compression=compression, attributes={"name": f"rgb.{view}", "view": view})
        for view, compression in (("left", "dwaa"), ("right", "piz"))
    ]
    path = write_exr(tmp_path / "plate.exr", *views)
    assert read_plate(path).part == 0
    touched = changed_plate(read_plate(path, "rgb.right", Window(0, 4, 9, 8)), Window(2, 4, 9, 8))
    written = write_plate(touched, tmp_path / "out.exr", MARK)
    assert (written.way, written.compression) == ("splice", "piz")
    assert chunk_bytes(written.path, 0) == chunk_bytes(path, 0)
    before, after = read_header(path), read_header(written.path)
    assert after.parts[0].attributes == before.parts[0].attributes
    assert str(after.parts[1].attributes["view"]) == "right"
    expected = over(touched, read_plate(path, 1))
    assert_plates_equal(read_plate(written.path, 1), expected, added=MARK)


# What is held


def test_a_region_gives_the_same_picture_and_takes_the_same(tmp_path: Path) -> None:
    part = exr_part({**rgb(OVERSCAN), "A": noise(OVERSCAN)}, window=OVERSCAN, tile=(16, 8))
    path = write_exr(tmp_path / "plate.exr", part)
    whole, window = read_plate(path), Window(4, 2, 30, 17)
    held = read_plate(path, region=window)
    assert held.window == held.region == Window(-5, -3, 43, 21)
    assert held.data_window == OVERSCAN
    for plate in (held, held.cut(window), whole.cut(window)):
        assert np.array_equal(plate.picture(window), whole.picture(window), equal_nan=True)
        assert np.array_equal(plate.opacity(window), whole.opacity(window), equal_nan=True)
        new = np.full((15, 26, 3), 1e9, np.float32)
        where = np.arange(15 * 26).reshape(15, 26) % 3 == 0
        there = plate.with_picture(new, window, where)
        assert there.window == plate.window
        expected = whole.with_picture(new, window, where)
        for name, pixels in expected.cut(there.window).channels.items():
            assert (bits(there.channels[name]) == bits(pixels)).all()
        assert there.channels["A"] is plate.channels["A"]
    assert np.shares_memory(held.cut(window).channels["R"], held.channels["R"])
    for refused in (held.picture, held.opacity, held.cut):
        with pytest.raises(ValueError, match="the plate holds"):
            refused(OVERSCAN)
    with pytest.raises(ValueError, match="is not inside"):
        replace(held, region=OVERSCAN.grown(1))


def test_a_half_is_rounded_to_nearest_even_and_back_again_unchanged() -> None:
    halves = np.arange(2**16, dtype=np.uint16).view(np.float16).reshape(256, 256)
    square = Window(0, 0, 256, 256)
    plate = Plate(dict.fromkeys("RGB", halves), square, square)
    assert np.array_equal(plate.picture()[..., 1], halves.astype(np.float32), equal_nan=True)
    values = np.random.default_rng(1).normal(0, 1, (256, 256, 3)).astype(np.float32)
    values[0, :, :] = np.float32(1.0) + np.arange(256, dtype=np.float32)[:, None] * 2.0**-11
    values[1, :2, :] = -0.0
    there = plate.with_picture(values, square, np.ones((256, 256), bool))
    for index, name in enumerate("RGB"):
        expected = values[..., index].astype(np.float16)
        assert (bits(there.channels[name]) == bits(expected)).all()


def test_damage_outside_a_region_does_not_keep_it_from_being_read(tmp_path: Path) -> None:
    ramp = np.arange(36 * 48, dtype=np.float32).reshape(36, 48)
    source = write_exr(tmp_path / "plate.exr", exr_part(dict.fromkeys("RGB", ramp)))
    header = read_header(source)
    data = bytearray(source.read_bytes())
    last = int(np.frombuffer(data, "<u8", 3, header.tables)[2])
    data[last + 8 : last + 60] = bytes(52)
    source.write_bytes(data)
    assert read_plate(source, region=Window(0, 0, 9, 9)).window == Window(0, 0, 48, 16)
    with pytest.raises(PlateError, match="pixels are damaged"):
        read_plate(source)


# What is not spliced


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda plate: replace(plate, display_window=NEGATIVE), "its display window is not"),
        (lambda plate: replace(plate, pixel_aspect=2.0), "its pixel aspect is not"),
        (lambda plate: replace(plate, compression="piz"), "its compression is not"),
        (lambda plate: replace(plate, layout="tiled", tile=(8, 8)), "its tiling is not"),
        (
            lambda plate: replace(
                plate, channels={n: p.astype(np.float32) for n, p in plate.channels.items()}
            ),
            "its set of channels is not",
        ),
    ],
)
@pytest.mark.parametrize("region", [None, Window(0, 17, 5, 18)])
def test_a_plate_of_another_layout_is_written_whole(
    change: Callable[[Plate], Plate], reason: str, region: Window | None, source: Path
) -> None:
    plate = change(changed_plate(read_plate(source, region=region), Window(0, 17, 5, 18)))
    written = write_plate(plate, source.with_name("out.exr"), MARK)
    assert written.way == "rewrite"
    assert reason in written.note
    whole = change(changed_plate(read_plate(source), Window(0, 17, 5, 18)))
    assert_plates_equal(written.path, whole, added=MARK)


def test_with_layers_a_region_is_written_whole(tmp_path: Path) -> None:
    path = write_exr(tmp_path / "plate.exr", exr_part(rgb(), compression="dwaa"))
    held = changed_plate(read_plate(path, region=Window(0, 0, 4, 4)), Window(0, 0, 4, 4))
    layers = {"semblance.matte": noise(FULL, np.float32)}
    written = write_plate(held, tmp_path / "out.exr", layers=layers)
    assert (written.way, written.compression) == ("rewrite", "zip")
    assert "it has layers" in written.note
    assert "so the result is zip" in written.note
    expected = over(held, read_plate(path))
    assert_plates_equal(written.path, expected, added=layers, compression=False)
    found = read_plate(written.path).channels["semblance.matte"]
    assert (bits(found) == bits(layers["semblance.matte"])).all()


def test_a_plate_whose_file_changed_or_went_is_written_whole_if_it_can_be(source: Path) -> None:
    whole, held = read_plate(source), read_plate(source, region=Window(0, 0, 4, 4))
    write_exr(source, exr_part(rgb(dtype=np.float32)))
    for reason in ("has changed since it was read", "can't be read any more"):
        written = write_plate(whole, source.with_name("out.exr"))
        assert written.way == "rewrite"
        assert reason in written.note
        assert_plates_equal(written.path, whole)
        written.path.unlink()
        with pytest.raises(PlateError, match=r"no longer the one|does not exist"):
            write_plate(held, source.with_name("out.exr"))
        source.unlink(missing_ok=True)
    assert list(source.parent.iterdir()) == []


def test_a_torn_table_is_refused_and_leaves_nothing(source: Path) -> None:
    plate = read_plate(source)
    status, data = source.stat(), bytearray(source.read_bytes())
    tables = read_header(source).tables
    data[tables + 8 : tables + 16] = bytes(8)
    source.write_bytes(data)
    os.utime(source, ns=(status.st_atime_ns, status.st_mtime_ns))
    with pytest.raises(PlateError, match="1 of 3 chunks are not there") as caught:
        write_plate(plate, source.with_name("out.exr"), changed=Window(0, 0, 0, 0))
    assert caught.value.path == str(source)
    assert [path.name for path in source.parent.iterdir()] == ["plate.exr"]


def test_mip_maps_are_refused_by_region_too(tmp_path: Path) -> None:
    texture = oiio.ImageBuf(oiio.ImageSpec(64, 64, 3, "half"))
    mipped = str(tmp_path / "mip.exr")
    assert oiio.ImageBufAlgo.make_texture(oiio.MakeTxTexture, texture, mipped)
    with pytest.raises(PlateError, match="several resolutions"):
        read_plate(mipped, region=Window(0, 0, 4, 4))


# Writers that were killed


def test_a_killed_writer_leaves_no_frame_and_is_swept_up_after(source: Path) -> None:
    code = """
import os, sys
from semblance.exr import read_plate, write_plate
os.fsync = lambda handle: os._exit(9)
write_plate(read_plate(sys.argv[1]), sys.argv[2])
"""
    output = source.with_name("out") / "r.exr"
    output.parent.mkdir()
    died = subprocess.run([sys.executable, "-c", code, str(source), str(output)], check=False)
    assert died.returncode == 9
    left = leftovers(output.parent)
    assert len(left) == len(list(output.parent.iterdir())) == 1

    def again() -> list[str]:
        check_output(Sequence.parse(source), Sequence.parse(output), (1,))
        return leftovers(output.parent)

    mine = hidden_path(output.parent)
    other = output.parent / left[0].replace(left[0].split("-")[1], "0" * 8)
    mine.touch()
    other.touch()
    assert sorted(again()) == sorted([left[0], mine.name, other.name])  # it may rest, not be dead
    for path in output.parent.iterdir():
        os.utime(path, (0, 0))
    if os.name != "nt":
        assert sorted(again()) == sorted([mine.name, other.name])
