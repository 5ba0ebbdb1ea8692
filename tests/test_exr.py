"""EXR frames: what is read comes back, whole or not at all.

`pytest tests/test_exr.py`
"""

from __future__ import annotations

import os
import random
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import OpenEXR
import OpenImageIO as oiio
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from helpers_plates import (
    FULL,
    LAYOUTS,
    LOSSLESS,
    LOSSY,
    assert_plates_equal,
    bits,
    deep_samples,
    exr_part,
    is_lossy,
    layouts,
    leftovers,
    noise,
    read_by_openexr,
    rgb,
    write_exr,
)
from semblance.errors import OutputError, PlateError
from semblance.exr import Attribute, read_header, read_plate, read_roto, write_plate
from semblance.plate import Plate, Window


@pytest.fixture
def plate(tmp_path: Path) -> Plate:
    return read_plate(LAYOUTS["half"](tmp_path / "plate.exr"))


# Every layout


@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_layout_comes_back_bit_for_bit(layout: str, tmp_path: Path) -> None:
    source = LAYOUTS[layout](tmp_path / "plate.exr")
    read = read_plate(source)
    written = write_plate(read, tmp_path / "out.exr")
    assert_plates_equal(written.path, read)
    assert not written.note
    assert written.bytes == written.path.stat().st_size
    assert leftovers(tmp_path) == []
    # The same encoder wrote it, so even the order of parts, chunks and attributes is the file's.
    assert written.path.read_bytes() == source.read_bytes()


@settings(max_examples=60, deadline=None)
@given(layouts(), st.booleans())
def test_any_layout_comes_back_and_others_read_the_same(
    layout: tuple[dict[str, Any], dict[str, Any]], company: bool
) -> None:
    channels, keywords = layout
    lossy = is_lossy(keywords["compression"], channels)
    keywords["attributes"] |= {"name": "main"} if company else {}
    with tempfile.TemporaryDirectory() as folder:
        aspect = {"name": "z", "pixelAspectRatio": keywords["attributes"]["pixelAspectRatio"]}
        beside = exr_part(
            {"Z": noise(FULL)}, display=keywords["display"], compression="b44", attributes=aspect
        )
        parts = [exr_part(channels, **keywords), *([beside] if company else [])]
        source = write_exr(Path(folder, "plate.exr"), *parts)
        read = read_plate(source)
        stored = read_by_openexr(source)
        assert set(read.channels) == set(channels)
        for name, pixels in read.channels.items():
            assert (bits(pixels) == bits(stored[name])).all()
            assert lossy or (bits(pixels) == bits(channels[name])).all()
        written = write_plate(read, Path(folder, "out.exr"))
        assert (written.way, bool(written.note)) == ("rewrite" if lossy else "splice", lossy)
        assert_plates_equal(written.path, read, compression=not lossy)
        again = read_by_openexr(written.path)
        assert list(again) == list(stored)
        assert all((bits(again[name]) == bits(stored[name])).all() for name in stored)
        if company:
            one, other = read_by_openexr(written.path, 1)["Z"], read_by_openexr(source, 1)["Z"]
            assert (bits(one) == bits(other)).all()


@pytest.mark.parametrize(
    ("compression", "dtype", "expected"),
    [
        *((name, dtype, name) for name in LOSSLESS for dtype in (np.float16, np.float32)),
        *((name, np.float16, "zip") for name in LOSSY),
        ("pxr24", np.float16, "pxr24"),
        ("pxr24", np.float32, "zip"),
        ("htj2k256", np.float32, "htj2k256"),
        ("lj2k", np.float16, "zip"),
        ("zstd", np.float32, "zstd"),
    ],
)
def test_a_lossy_compression_gives_way_to_zip_in_a_whole_frame_and_says_so(
    compression: str, dtype: type, expected: str, tmp_path: Path
) -> None:
    soft = {name: np.full((36, 48), i, dtype) for i, name in enumerate("RGB")}
    soft["R"][...] = np.linspace(-1.0, 70.0, 48)  # even enough for every compression to compress
    read = read_plate(write_exr(tmp_path / "p.exr", exr_part(soft, compression=compression)))
    written = write_plate(replace(read, path=None), tmp_path / "out.exr")
    assert written.way == "rewrite"
    assert read.compression == compression
    assert written.compression == read_plate(written.path).compression == expected
    assert_plates_equal(written.path, read, compression=False)
    assert (compression in written.note and "zip" in written.note) == (expected != compression)


def test_the_level_of_a_dwa_file_is_told_and_kept_in_its_metadata(tmp_path: Path) -> None:
    part = exr_part(rgb(), compression="dwab", attributes={"dwaCompressionLevel": 75.0})
    read = read_plate(write_exr(tmp_path / "p.exr", part))
    assert read.compression == "dwab:75"
    assert_plates_equal(write_plate(read, tmp_path / "out.exr").path, read, compression=False)


def test_parts_beside_the_plate_travel_as_the_chunks_they_are(tmp_path: Path) -> None:
    source = LAYOUTS["multi_part"](tmp_path / "plate.exr")
    read = read_plate(source)
    assert list(read.channels) == ["B", "G", "R"]
    touched = read.with_picture(
        np.ones((4, 5, 3), np.float32), Window(3, 4, 8, 8), np.ones((4, 5), bool)
    )
    written = write_plate(touched, tmp_path / "out.exr", {"semblance:model": "x"})
    assert_plates_equal(written.path, touched, added=["semblance:model"])
    for index in (0, 2):
        before, after = read_by_openexr(source, index), read_by_openexr(written.path, index)
        assert all((bits(after[name]) == bits(before[name])).all() for name in before)
    deep = read_by_openexr(written.path, 3)["Z"]
    for y, x in ((0, 0), (0, 1), (7, 30)):
        found = [] if deep[y, x] is None else list(deep[y, x])
        assert found == list(deep_samples()[y, x])
    assert oiio.ImageInput.open(str(written.path)).spec(2, 0).channelnames == ("x", "y", "id")


def test_the_part_with_the_plate_is_found_by_rule_by_name_and_by_index(tmp_path: Path) -> None:
    left = exr_part(rgb(), attributes={"name": "left", "view": "left"})
    right = exr_part(rgb(dtype=np.float32), attributes={"name": "right", "view": "right"})
    depth = exr_part({"Z": noise(FULL)}, attributes={"name": "depth"})
    path = write_exr(tmp_path / "p.exr", depth, left, right)
    assert str(read_plate(path).metadata["name"]) == "left"
    for part in ("right", 2, "2"):
        read = read_plate(path, part)
        assert read.channels["R"].dtype == np.float32
        assert_plates_equal(read_plate(write_plate(read, tmp_path / "out.exr").path, part), read)
    with pytest.raises(PlateError, match=r"no part 'middle'; the file has 0 'depth', 1 'left'"):
        read_plate(path, "middle")
    with pytest.raises(PlateError, match=r"no picture in R, G and B; the file holds Z"):
        read_plate(path, "depth")


def test_a_plate_whose_siblings_are_gone_is_not_written_without_them(tmp_path: Path) -> None:
    source = LAYOUTS["multi_part"](tmp_path / "plate.exr")
    read = read_plate(source)
    LAYOUTS["multi_part"](tmp_path / "other.exr").replace(source)
    write_plate(read, tmp_path / "same.exr")
    source.unlink()
    with pytest.raises(PlateError, match="does not exist"):
        write_plate(read, tmp_path / "out.exr")
    assert not (tmp_path / "out.exr").exists()


# Which channels are the picture


@pytest.mark.parametrize(
    ("names", "picture", "alpha"),
    [
        (["R", "G", "B", "A", "beauty.R", "beauty.G", "beauty.B"], ("R", "G", "B"), "A"),
        (["beauty.R", "beauty.G", "beauty.B"], ("beauty.R", "beauty.G", "beauty.B"), None),
        (["p.q.R", "p.q.G", "p.q.B", "p.q.A", "Z"], ("p.q.R", "p.q.G", "p.q.B"), "p.q.A"),
        (
            [f"{layer}.{letter}" for layer in ("diffuse", "RGBA", "main") for letter in "RGB"],
            ("RGBA.R", "RGBA.G", "RGBA.B"),
            None,
        ),
    ],
)
def test_the_picture_is_rgb_or_the_layer_that_holds_it(
    names: list[str], picture: tuple[str, str, str], alpha: str | None, tmp_path: Path
) -> None:
    channels = {name: noise(FULL, seed=i) for i, name in enumerate(names)}
    read = read_plate(write_exr(tmp_path / "p.exr", exr_part(channels)))
    assert (read.rgb, read.alpha) == (picture, alpha)


@pytest.mark.parametrize(
    ("channels", "reason"),
    [
        ({"Y": noise(FULL)}, "no picture in R, G and B; the file holds Y"),
        (rgb(prefix="diffuse.") | rgb(prefix="specular."), "diffuse, specular"),
        (rgb(dtype=np.uint32), "whole numbers"),
    ],
)
def test_a_file_without_one_picture_is_refused_by_name(
    channels: dict[str, Any], reason: str, tmp_path: Path
) -> None:
    path = write_exr(tmp_path / "p.exr", exr_part(channels))
    with pytest.raises(PlateError, match=reason) as caught:
        read_plate(path)
    assert str(path) in str(caught.value)


def test_deep_and_mip_mapped_plates_are_refused(tmp_path: Path) -> None:
    deep = {"compression": OpenEXR.ZIPS_COMPRESSION, "type": OpenEXR.deepscanline}
    OpenEXR.File(deep, {"Z": deep_samples()}).write(str(tmp_path / "deep.exr"))
    assert read_header(tmp_path / "deep.exr").parts[0].deep
    with pytest.raises(PlateError, match="deep"):
        read_plate(tmp_path / "deep.exr")
    texture = oiio.ImageBuf(oiio.ImageSpec(64, 64, 3, "half"))
    mipped = str(tmp_path / "mip.exr")
    assert oiio.ImageBufAlgo.make_texture(oiio.MakeTxTexture, texture, mipped)
    with pytest.raises(PlateError, match="several resolutions"):
        read_plate(mipped)


def test_pixels_that_were_read_are_not_written_to(plate: Plate) -> None:
    with pytest.raises(ValueError, match="read-only"):
        plate.channels["R"][0, 0] = 1.0


# Metadata

STANDARD: dict[str, Any] = {
    "box": (np.array([0, 1], np.int32), np.array([9, 8], np.int32)),
    "boxf": (np.array([0, 1], np.float32), np.array([9, 8.5], np.float32)),
    "capDate": "2020:01:02 03:04:05",
    "chromaticities": (0.713, 0.293, 0.165, 0.83, 0.128, 0.044, 0.32168, 0.33767),
    "colorInteropID": "lin_ap1_scene",
    "comments": "straße, 東京",
    "envmap": OpenEXR.ENVMAP_LATLONG,
    "expTime": 0.02,
    "keyCode": OpenEXR.KeyCode(1, 2, 3, 4, 5, 6, 20),
    "m33": np.arange(9, dtype=np.float32).reshape(3, 3),
    "m33d": np.arange(9, dtype=np.float64).reshape(3, 3) / 3.0,
    "m44": np.arange(16, dtype=np.float32).reshape(4, 4),
    "m44d": np.arange(16, dtype=np.float64).reshape(4, 4) / 3.0,
    "number": -7,
    "owner": "me",
    "preview": OpenEXR.PreviewImage(np.full((4, 5, 4), 200, np.uint8)),
    "screenWindowWidth": 1.5,
    "texts": ["a", "", "bc"],
    "timeCode": OpenEXR.TimeCode(10, 20, 30, 12, 0, 0, 0, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8),
    "v2": np.array([1, 2], np.float32),
    "v2d": np.array([1, 2], np.float64),
    "v2i": np.array([1, 2], np.int32),
    "v3": np.array([1, 2, np.nan], np.float32),
    "v3d": np.array([1, 2, 3], np.float64),
    "v3i": np.array([1, 2, 3], np.int32),
    "wrapmodes": "black,black",
}


def test_attributes_written_by_openexr_come_back_in_type_and_value(tmp_path: Path) -> None:
    source = write_exr(tmp_path / "p.exr", exr_part(rgb(), attributes=STANDARD))
    read = read_plate(source)
    assert set(STANDARD) <= set(read.metadata)
    written = write_plate(read, tmp_path / "out.exr").path
    assert_plates_equal(written, read)
    before = OpenEXR.File(str(source), header_only=True).header()
    after = OpenEXR.File(str(written), header_only=True).header()
    assert list(before) == list(after)
    for name in STANDARD:
        assert repr(before[name]) == repr(after[name]), name
        assert type(before[name]) is type(after[name]), name
    assert str(read.metadata["timeCode"]) == "10:20:30:12"
    assert read.metadata["comments"].value == "straße, 東京"
    assert np.allclose(np.asarray(read.metadata["chromaticities"]), STANDARD["chromaticities"])


def test_attributes_written_by_openimageio_come_back(tmp_path: Path) -> None:
    spec = oiio.ImageSpec(48, 36, 3, "half")
    spec["compression"] = "piz"
    spec["Artist"] = "somebody"
    spec["Copyright"] = "me"
    spec["smpte:TimeCode"] = "01:02:03:04"
    spec.attribute("framesPerSecond", "rational", (24000, 1001))
    spec.attribute("worldToCamera", "matrix", tuple(range(16)))
    spec.attribute("counts", "int[3]", (1, 2, 3))
    spec.attribute("curve", "float[5]", (0.0, 0.1, 0.2, 0.3, 0.4))
    source = tmp_path / "p.exr"
    output = oiio.ImageOutput.create(str(source))
    assert output.open(str(source), spec)
    assert output.write_image(np.stack(list(rgb().values()), -1))
    output.close()
    read = read_plate(source)
    assert read.metadata["framesPerSecond"] == Attribute.of(Fraction(24000, 1001))
    assert str(read.metadata["framesPerSecond"]) == "24000/1001"
    assert str(read.metadata["owner"]) == "me"
    written = write_plate(read, tmp_path / "out.exr").path
    assert_plates_equal(written, read)
    one, other = (oiio.ImageInput.open(str(path)).spec() for path in (source, written))
    assert {item.name: repr(item.value) for item in other.extra_attribs} == {
        item.name: repr(item.value) for item in one.extra_attribs
    }


def test_an_attribute_type_that_nobody_knows_comes_back(plate: Plate, tmp_path: Path) -> None:
    unknown = {"studio.lens": Attribute("studioLens", b"\x00\xff" * 9), "x" * 200: "long name"}
    written = write_plate(plate, tmp_path / "one.exr", unknown)
    read = read_plate(written.path)
    assert read.metadata["studio.lens"] == unknown["studio.lens"]
    again = write_plate(read, tmp_path / "two.exr")
    assert again.path.read_bytes() == written.path.read_bytes()
    assert OpenEXR.File(str(again.path), header_only=True).header()["x" * 200] == "long name"


def test_extra_attributes_and_layers_are_added_and_replace(plate: Plate, tmp_path: Path) -> None:
    matte = np.linspace(0.0, 1.0, 36 * 48).reshape(36, 48)
    extra = {
        "semblance:model": "a.onnx",
        "semblance:frames": 24,
        "semblance:strength": 0.5,
        "semblance:knobs": ["mix=1", "view=result"],
        "semblance:centre": (1.0, 2.0),
    }
    layers = {"semblance.matte": matte, "semblance.id": noise(FULL, np.uint32)}
    written = write_plate(plate, tmp_path / "one.exr", extra, layers)
    read = read_plate(written.path)
    assert_plates_equal(read, plate, added=[*extra, *layers])
    assert read.channels["semblance.matte"].dtype == np.float32
    assert np.array_equal(read.channels["semblance.matte"], matte.astype(np.float32))
    assert np.array_equal(read.channels["semblance.id"], layers["semblance.id"])
    assert read.metadata["semblance:frames"].value == 24
    assert read.metadata["semblance:knobs"].value == ("mix=1", "view=result")
    again = write_plate(read, tmp_path / "two.exr", {"semblance:frames": 25})
    assert read_plate(again.path).metadata["semblance:frames"].value == 25
    with pytest.raises(ValueError, match="expected"):
        write_plate(plate, tmp_path / "no.exr", layers={"m": matte[1:]})
    with pytest.raises(ValueError, match="compression"):
        write_plate(plate, tmp_path / "no.exr", {"compression": "zip"})


# Files that are no plates


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", r"empty \(0 bytes\)"),
        (b"\x89PNG\r\n\x1a\n" + bytes(100), "not an OpenEXR file"),
        (b"v/1\x01\x02", "cut short"),
        (b"v/1\x01\x07\x00\x00\x00" + bytes(100), "version 7"),
    ],
)
def test_what_is_not_an_exr_is_refused_in_one_line(
    content: bytes, reason: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "plate.exr"
    path.write_bytes(content)
    with pytest.raises(PlateError, match=reason) as caught:
        read_plate(path)
    assert "\n" not in str(caught.value)
    assert caught.value.path == str(path)
    assert capfd.readouterr() == ("", "")


def test_what_is_not_a_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(PlateError, match="does not exist"):
        read_plate(tmp_path / "none.exr")
    with pytest.raises(PlateError, match=r"directory|permission"):
        read_plate(tmp_path)


@pytest.mark.parametrize("layout", ["mixed", "tiled", "multi_part", "decreasing"])
def test_a_file_cut_anywhere_is_refused_never_filled_with_black(
    layout: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    whole = LAYOUTS[layout](tmp_path / "whole.exr").read_bytes()
    cut = tmp_path / "cut.exr"
    random.seed(1)
    for length in (1, 4, 8, len(whole) // 2, len(whole) - 1, *random.sample(range(len(whole)), 40)):
        cut.write_bytes(whole[:length])
        with pytest.raises(PlateError, match=r"cut short|empty|not there"):
            read_plate(cut)
    assert capfd.readouterr() == ("", "")


def test_a_file_whose_writer_stopped_is_refused(tmp_path: Path) -> None:
    path = LAYOUTS["half"](tmp_path / "plate.exr")
    header = read_header(path)
    data = bytearray(path.read_bytes())
    data[header.tables + 8 : header.tables + 16] = bytes(8)
    path.write_bytes(data)
    with pytest.raises(PlateError, match="1 of 3 chunks are not there"):
        read_plate(path)


@settings(max_examples=150, deadline=None)
@given(
    st.sampled_from(["half", "mixed", "multi_part", "tiled"]),
    st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.integers(0, 255)), min_size=1),
)
def test_a_damaged_file_is_read_or_refused_and_nothing_else(
    layout: str, damage: list[tuple[float, int]]
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = LAYOUTS[layout](Path(folder, "plate.exr"))
        data = bytearray(path.read_bytes())
        for place, value in damage:  # most of them in the header, where they do the most
            data[int(len(data) * place**4)] = value
        path.write_bytes(data)
        refusal = ""
        try:
            read = read_plate(path)
        except PlateError as error:
            refusal = str(error)
        else:
            "".join(map(str, read.metadata.values())).encode()
        assert "\n" not in refusal
        refusal.encode()


def test_an_absurd_size_is_refused_before_memory_is_taken(tmp_path: Path) -> None:
    path = LAYOUTS["half"](tmp_path / "plate.exr")
    data = path.read_bytes()
    window = read_header(path).parts[0].attributes["dataWindow"].data
    huge = Attribute("box2i", np.array([0, 0, 199_999, 199_999], "<i4").tobytes()).data
    place = data.index(window, data.index(b"dataWindow"))
    path.write_bytes(data[:place] + huge + data[place + len(window) :])
    with pytest.raises(PlateError, match="200000 × 200000 pixels, more than 65536"):
        read_plate(path)


# The artist's matte


@pytest.mark.parametrize(
    ("names", "taken"),
    [(["Y"], "Y"), (["R", "G", "B", "A"], "A"), (["R", "G", "B"], "R"), (["mask"], "mask")],
)
def test_a_roto_is_alpha_luma_red_or_the_only_channel(
    names: list[str], taken: str, tmp_path: Path
) -> None:
    channels = {name: noise(FULL, seed=i) for i, name in enumerate(names)}
    roto = read_roto(write_exr(tmp_path / "r.exr", exr_part(channels)))
    assert roto.window == FULL
    assert roto.pixels.dtype == np.float32
    assert roto.pixels.min() >= 0.0
    assert roto.pixels.max() <= 1.0
    inside = (channels[taken] >= 0) & (channels[taken] <= 1)
    assert np.array_equal(roto.pixels[inside], channels[taken][inside].astype(np.float32))
    assert not roto.pixels[np.isnan(channels[taken])].any()


def test_a_roto_without_a_matte_is_refused(tmp_path: Path) -> None:
    path = write_exr(tmp_path / "r.exr", exr_part({"u": noise(FULL), "v": noise(FULL)}))
    with pytest.raises(PlateError, match="no channel is a matte; the file holds u, v"):
        read_roto(path)


# Whole or not at all


def test_the_plate_itself_is_never_replaced(plate: Plate, tmp_path: Path) -> None:
    link = tmp_path / "link.exr"
    link.symlink_to("plate.exr")
    before = (tmp_path / "plate.exr").read_bytes()
    for path in (link, tmp_path / "plate.exr", tmp_path / ".." / tmp_path.name / "plate.exr"):
        with pytest.raises(OutputError, match="the plate itself"):
            write_plate(plate, path)
    assert (tmp_path / "plate.exr").read_bytes() == before
    assert link.is_symlink()


def test_a_result_that_can_not_be_written_leaves_nothing(plate: Plate, tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="folder does not exist"):
        write_plate(plate, tmp_path / "none" / "out.exr")
    (tmp_path / "out.exr").mkdir()
    with pytest.raises(OutputError, match="can't be written"):
        write_plate(plate, tmp_path / "out.exr")
    assert leftovers(tmp_path) == []


def test_a_result_is_made_with_the_rights_of_any_new_file(plate: Plate, tmp_path: Path) -> None:
    (tmp_path / "new").touch()
    written = write_plate(plate, tmp_path / "out.exr")
    assert written.path.stat().st_mode == (tmp_path / "new").stat().st_mode


@pytest.fixture
def full_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 64 KiB, where this process may mount one."""
    folder = tmp_path / "disk"
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=64k", "semblance-test", str(folder)]
    try:
        mounted = subprocess.run(command, capture_output=True, check=False).returncode == 0
    except OSError:
        mounted = False
    if not mounted:
        pytest.skip("a small disk can't be mounted without the rights to")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def test_a_full_disk_is_told_and_the_old_result_stays(plate: Plate, full_disk: Path) -> None:
    small = Window(0, 0, 4, 4)
    tiny = Plate(rgb(small), small, small)
    old = write_plate(tiny, full_disk / "out.exr").path.read_bytes()
    large = Window(0, 0, 200, 200)
    with pytest.raises(OutputError, match="disk is full"):
        write_plate(Plate(rgb(large), large, large), full_disk / "out.exr")
    assert (full_disk / "out.exr").read_bytes() == old
    assert leftovers(full_disk) == []


def test_a_file_past_the_systems_limit_is_told_and_leaves_nothing(tmp_path: Path) -> None:
    pytest.importorskip("resource")
    code = """
import resource, sys
from helpers_plates import FULL, rgb
from semblance.errors import OutputError
from semblance.exr import write_plate
from semblance.plate import Plate
resource.setrlimit(resource.RLIMIT_FSIZE, (5000, 5000))
try:
    write_plate(Plate(rgb(), FULL, FULL), sys.argv[1])
except OutputError as error:
    sys.exit(0 if "larger than this system allows" in str(error) else str(error))
sys.exit("it was written")
"""
    paths = os.pathsep.join([str(Path(__file__).parent), *sys.path])
    result = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "out.exr")],
        env={**os.environ, "PYTHONPATH": paths}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert result.returncode == 0, result.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_folder_without_rights_is_told(plate: Plate, tmp_path: Path) -> None:
    if sys.platform == "win32":
        pytest.skip("rights are of another kind on Windows")
    tmp_path.chmod(0o500)
    user = os.geteuid()
    if user == 0:  # who may write everywhere; the next user may not
        os.seteuid(65534)
    try:
        with pytest.raises(OutputError, match="writing is not permitted"):
            write_plate(plate, tmp_path / "out.exr")
    finally:
        os.seteuid(user)
        tmp_path.chmod(0o700)
    assert leftovers(tmp_path) == []


def test_a_touched_picture_changes_only_where_it_was_touched(plate: Plate, tmp_path: Path) -> None:
    where = np.zeros((36, 48), bool)
    where[10:20, 5:9] = True
    new = np.full((36, 48, 3), 70000.0, np.float32)
    touched = plate.with_picture(new, FULL, where)
    read = read_plate(write_plate(touched, tmp_path / "out.exr").path)
    assert_plates_equal(read, plate, where=~where)
    assert (read.channels["R"][where] == np.finfo(np.float16).max).all()


def test_a_plate_made_in_memory_is_written(tmp_path: Path) -> None:
    made = Plate(rgb(), FULL, FULL, metadata={"owner": "me"}, compression="none")
    read = read_plate(write_plate(made, tmp_path / "out.exr").path)
    assert str(read.metadata["owner"]) == "me"
    assert all((bits(read.channels[n]) == bits(made.channels[n])).all() for n in "RGB")
    assert read_plate(write_plate(replace(made, layout="tiled", tile=(16, 16)),
                                  tmp_path / "tiled.exr").path).tile == (16, 16)  # fmt: skip
