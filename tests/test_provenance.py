"""Every output says what it is, in any EXR library; an unlicensed one says so in the picture."""

from __future__ import annotations

import json
from dataclasses import replace
from itertools import pairwise
from xml.etree import ElementTree

import numpy as np
import OpenEXR
import OpenImageIO
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from semblance.exr import read_plate, write_plate
from semblance.knobs import Knobs
from semblance.plate import Plate, Window
from semblance.provenance import SOURCE_TYPE, burn_in, marks, read_marks
from semblance.release import Verdict

RELEASED = Verdict(True, "released by A", "SR-1", "Émilie Okonkwo", "The Long Night", "2026-12-31")
LAPSED = Verdict(False, "release SR-1 ended on 2025-12-31", "SR-1", "Émilie Okonkwo", "", "")
KNOBS = {"model": "/shows/night/likeness.onnx", "identity_strength": 0.75, "mask_jaw": False}
SLATE = "UNLICENSED PREVIEW: no release is on file for this model"


def marked(plate=None, *, verdict=RELEASED, knobs=KNOBS, model="likeness"):
    """Return all attributes of an output: the plate's, with the marks written over them."""
    plate = plate or {}
    return {**plate, **marks(model, "ab" * 32, verdict, knobs, 1001, "0.1.0", plate)}


# --- marks -----------------------------------------------------------------------------------


def write_with_openimageio(path, attributes):
    spec = OpenImageIO.ImageSpec(4, 3, 3, "half")
    for name, value in attributes.items():
        spec.attribute(name, value)
    output = OpenImageIO.ImageOutput.create(path)
    assert output.open(path, spec)
    assert output.write_image(np.zeros((3, 4, 3), np.float32))
    assert output.close()


def write_with_openexr(path, attributes):
    header = {"compression": OpenEXR.ZIP_COMPRESSION, "type": OpenEXR.scanlineimage}
    with OpenEXR.File(header | attributes, {"RGB": np.zeros((3, 4, 3), np.float16)}) as file:
        file.write(path)


def read_with_openimageio(path):
    source = OpenImageIO.ImageInput.open(path)
    attributes = {item.name: item.value for item in source.spec().extra_attribs}
    source.close()
    return attributes


def read_with_openexr(path):
    with OpenEXR.File(path, header_only=True) as file:
        return dict(file.header())


@pytest.mark.parametrize("write", [write_with_openimageio, write_with_openexr])
@pytest.mark.parametrize("read", [read_with_openimageio, read_with_openexr])
@pytest.mark.parametrize("verdict", [RELEASED, LAPSED])
def test_marks_survive_every_exr_library(tmp_path, write, read, verdict):
    once = marked({"Iptc4xmpExt:DigitalSourceType": "digitalCapture"}, verdict=LAPSED)
    attributes = marked(once, verdict=verdict)
    write(str(tmp_path / "frame.exr"), attributes)
    found = read(str(tmp_path / "frame.exr"))
    assert {name: found.get(name) for name in attributes} == attributes
    assert read_marks(found) == read_marks(attributes)


def test_a_plate_goes_through_two_passes_of_real_files(tmp_path):
    paths = [tmp_path / f"{name}.exr" for name in ("plate", "first", "second")]
    write_with_openexr(str(paths[0]), {"Iptc4xmpExt:DigitalSourceType": "digitalCapture"})
    expected: dict[str, object] = read_with_openexr(str(paths[0]))
    for before, after in pairwise(paths):
        plate = read_plate(before)
        written = marks("likeness", "ab" * 32, RELEASED, KNOBS, 1001, "0.1.0", plate.metadata)
        write_plate(plate, after, extra=written)
        expected = marked(expected)
    found = read_with_openexr(str(paths[2]))
    assert {name: found.get(name) for name in written} == written
    assert read_marks(found) == read_marks(expected) == read_marks(read_plate(after).metadata)
    assert read_marks(found).history[1]["frame"] == 1001


def test_marks_are_text_whatever_a_file_is_called():
    attributes = marked(model="a\udcffb", knobs={"model": "/x/a\udcffb.onnx"})
    assert all(str(value).encode() for value in attributes.values())
    assert read_marks(attributes).knobs == {"model": "a\udcffb.onnx"}


def test_marks_say_what_was_done():
    found = read_marks(marked())
    assert found.source_type == SOURCE_TYPE
    assert found.software == "Semblance 0.1.0"
    assert (found.model, found.model_sha256, found.frame) == ("likeness", "ab" * 32, 1001)
    assert (found.release, found.rights_holder) == ("SR-1", "Émilie Okonkwo")
    assert found.release_check == "valid"
    assert found.knobs == KNOBS | {"model": "likeness.onnx"}
    assert found.knobs_intact
    assert found.history == ()


def test_a_release_that_does_not_hold_is_never_named_as_one():
    found = read_marks(marked(verdict=LAPSED))
    assert (found.release, found.rights_holder) == ("none", "none")
    assert found.release_check == f"not valid: {LAPSED.reason}"


@pytest.mark.parametrize("folder", ["", "/mnt/show/", "C:\\show\\", "\\\\server\\show/"])
def test_marks_are_the_same_wherever_the_frame_is_rendered(folder):
    knobs = Knobs.from_flat({"track_file": f"{folder}track.json", "mix": 0.5})
    assert marked(knobs=knobs.changed()) == marked(knobs={"mix": 0.5, "track_file": "track.json"})


def test_changed_knobs_are_noticed():
    attributes = marked()
    attributes["semblance:knobs"] = attributes["semblance:knobs"].replace("0.75", "0.25")
    assert not read_marks(attributes).knobs_intact


def test_the_xmp_packet_says_the_source_type_to_any_xmp_reader():
    packet = ElementTree.fromstring(marked()["xmp"])
    (node,) = packet.iter("{http://iptc.org/std/Iptc4xmpExt/2008-02-29/}DigitalSourceType")
    assert node.text == SOURCE_TYPE


def test_names_fit_old_readers_and_no_value_is_empty():
    attributes = marked(marked({"Iptc4xmpExt:DigitalSourceType": "digitalCapture"}), model="")
    assert max(len(name) for name in attributes) <= 31
    assert "" not in attributes.values()


def test_a_second_pass_keeps_the_marks_of_the_first():
    first = marked({"Iptc4xmpExt:DigitalSourceType": "digitalCapture", "owner": "A", "XMP": "<x/>"})
    third = marked(marked(first, model="second", knobs={}), model="third")
    found = read_marks(third)
    assert found.history[0] == {"Iptc4xmpExt:DigitalSourceType": "digitalCapture"}
    assert [item["model"] for item in found.history[1:]] == ["likeness", "second"]
    assert json.loads(found.history[1]["knobs"]) == dict(read_marks(first).knobs)
    assert found.model == "third"
    assert (third["owner"], third["XMP"]) == ("A", "<x/>")
    assert "xmp" not in third


ATTRIBUTES = st.dictionaries(
    st.one_of(
        st.sampled_from([*marked(), "semblance:history", "semblance:x"]), st.text(max_size=3)
    ),
    st.one_of(
        st.text(st.characters(exclude_characters="["), max_size=9),
        st.integers(),
        st.just('[{"model":"a"}]'),
        st.just((0.5, 2.0)),
    ),
)


@settings(deadline=None)
@given(ATTRIBUTES)
def test_whatever_a_plate_says_of_itself_is_still_said_after_a_pass(plate):
    after = marked(plate)
    history = read_marks(after).history
    past = plate.pop("semblance:history", None)
    if past is not None:
        known = [{"model": "a"}] if past == '[{"model":"a"}]' else [{"unreadable": str(past)}]
        assert list(history[:1]) == known
    for name, value in plate.items():
        short = name.removeprefix("semblance:")
        assert after[name] == value or str(history[-1][short]) == str(value)


@settings(deadline=None)
@given(ATTRIBUTES)
def test_attributes_from_anyone_are_read_without_a_fault(plate):
    found = read_marks(plate)
    assert (found is None) == (not any(name.startswith("semblance:") for name in plate))


# --- slate -----------------------------------------------------------------------------------

HD = Window(0, 0, 480, 270)


def plate_of(data, display=HD, *, level=0.18, dtype=np.float16, aspect=1.0):
    rng = np.random.default_rng(7)
    shape = (data.height, data.width)
    channels = {name: (level * rng.uniform(0.5, 1.5, shape)).astype(dtype) for name in "RGBA"}
    return Plate(channels, data, display, alpha="A", pixel_aspect=aspect)


def box_of(before, after):
    """Return the smallest window that holds every changed pixel, or None."""
    changed = np.zeros((before.data_window.height, before.data_window.width), np.bool_)
    for name in before.rgb:
        changed |= before.channels[name] != after.channels[name]
    rows, columns = (np.flatnonzero(changed.any(axis)) for axis in (1, 0))
    if not rows.size:
        return None
    x0, y0 = before.data_window.x0, before.data_window.y0
    return Window(columns[0] + x0, rows[0] + y0, columns[-1] + x0 + 1, rows[-1] + y0 + 1)


@pytest.mark.parametrize(
    "data",
    [HD, HD.grown(40), Window(-60, -20, 400, 250), Window(90, 60, 400, 150), Window(30, 9, 50, 20)],
)
def test_the_slate_lies_in_the_visible_picture_and_touches_nothing_else(data):
    plate = plate_of(data)
    slated = burn_in(plate, SLATE)
    box = box_of(plate, slated)
    area = data.intersection(HD)
    assert box.intersection(area) == box
    assert abs((box.x0 + box.x1) - (area.x0 + area.x1)) <= 2
    assert area.y1 - box.y1 <= area.height / 4
    assert slated.channels["A"] is plate.channels["A"]
    assert replace(slated, channels=plate.channels) == plate
    assert all(slated.channels[name].dtype == np.float16 for name in "RGB")


@pytest.mark.parametrize("level", [0.0, 0.001, 0.18, 1.0, 60.0, np.nan, np.inf])
def test_the_slate_reads_on_any_plate(level):
    with np.errstate(invalid="ignore"):
        plate = plate_of(HD, level=level)
    shown = np.clip(burn_in(plate, SLATE).picture(), 0.0, 1.0).max(-1)
    box = box_of(plate_of(HD, level=0.18), burn_in(plate_of(HD, level=0.18), SLATE))
    rows, columns = box.slices(HD)
    inside = shown[rows, columns]
    assert inside.max() >= 0.17
    assert inside.max() / inside.min() >= 16.0
    # Letters are a good part of their box, and the box a good part of the frame.
    assert 0.03 < np.mean(inside > inside.max() / 2) < 0.5
    assert inside.size > 0.02 * shown.size


def test_the_slate_scales_with_the_frame():
    sizes = []
    for scale in (1, 2, 4):
        window = Window(0, 0, HD.width * scale, HD.height * scale)
        plate = plate_of(window, window)
        box = box_of(plate, burn_in(plate, SLATE))
        sizes.append((box.width / scale, box.height / scale))
    assert sizes[1] == pytest.approx(sizes[0], rel=0.05)
    assert sizes[2] == pytest.approx(sizes[0], rel=0.05)


def test_the_slate_has_its_proportions_on_an_anamorphic_plate():
    square = plate_of(HD)
    wide = replace(square, pixel_aspect=2.0)
    squeezed = box_of(wide, burn_in(wide, SLATE))
    plain = box_of(square, burn_in(square, SLATE))
    assert squeezed.height == plain.height
    assert squeezed.width == pytest.approx(plain.width / 2, abs=2)


def test_the_slate_is_the_same_each_time_and_no_text_is_the_plate():
    plate = plate_of(HD)
    one, two = burn_in(plate, SLATE), burn_in(plate, SLATE)
    assert all(np.array_equal(one.channels[name], two.channels[name]) for name in "RGB")
    assert all(burn_in(plate, nothing) is plate for nothing in ("", " ", "\u0301"))


def test_the_slate_writes_names_without_their_accents():
    plate = plate_of(HD)
    accented, plain = burn_in(plate, "Émilie… 日"), burn_in(plate, "Emilie... ?")
    assert all(np.array_equal(accented.channels[name], plain.channels[name]) for name in "RGB")


WINDOWS = st.builds(
    lambda x, y, w, h: Window(x, y, x + w, y + h),
    st.integers(-90, 90),
    st.integers(-90, 90),
    st.integers(0, 120),
    st.integers(0, 120),
)


@settings(deadline=None)
@given(WINDOWS, WINDOWS, st.sampled_from([0.5, 1.0, 2.0]))
def test_every_plate_with_a_pixel_carries_the_slate(data, display, aspect):
    plate = plate_of(data, display, aspect=aspect)
    box = box_of(plate, burn_in(plate, SLATE))
    assert (box is None) == data.empty
