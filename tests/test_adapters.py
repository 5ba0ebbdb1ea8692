"""Networks of other families: recognised, told whom to draw, laid in, and bound to a release."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from datetime import date, timedelta
from functools import cache
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from conftest import a_face, a_plate

onnx = pytest.importorskip("onnx", reason="graphs are made with onnx")

from onnx import TensorProto, helper, numpy_helper  # noqa: E402

import helpers_adapters as graphs  # noqa: E402
from semblance import align, pipeline, templates  # noqa: E402
from semblance.adapt import Picture, adapt, examine  # noqa: E402
from semblance.cli import main  # noqa: E402
from semblance.errors import FootageError, ModelError, OutputError  # noqa: E402
from semblance.exr import read_plate, write_plate  # noqa: E402
from semblance.face import Inference  # noqa: E402
from semblance.knobs import Knobs  # noqa: E402
from semblance.model import Likeness, read_manifest, sha256_of  # noqa: E402
from semblance.model import description as descriptions  # noqa: E402
from semblance.model.embedding import average, between, unit  # noqa: E402
from semblance.model.families import FAMILIES, TEMPLATES  # noqa: E402
from semblance.model.weights import last_matrix  # noqa: E402
from semblance.plate import Plate, Window  # noqa: E402
from semblance.track.provider import open_provider  # noqa: E402

EXAMPLES = Path(__file__).parents[1] / "examples"
VECTORS = ("inswapper", "ghost", "simswap", "simswap512", "hyperswap")
PICTURES = ("uniface", "blendswap")


def picture(name: str) -> Picture:
    return Picture(name, cache(lambda: (read_plate(EXAMPLES / name).picture(), 1.0)))


LIKENESS = (picture("truth.1001.exr"), picture("truth.1007.exr"))
PERFORMER = (picture("plate.1001.exr"),)


class Remembering:
    """The native tracker, which looks at a picture once for all tests."""

    def __init__(self) -> None:
        self._native = open_provider("native")
        self.name = self._native.name
        self._found: dict[bytes, tuple] = {}

    def find(self, image: np.ndarray) -> tuple:
        key = hashlib.sha256(image.tobytes()).digest()
        if key not in self._found:
            self._found[key] = self._native.find(image)
        return self._found[key]

    def refine(self, image: np.ndarray, near: np.ndarray):
        return self._native.refine(image, near)


@pytest.fixture(scope="module")
def finder():
    return Remembering()


@pytest.fixture
def adapted(tmp_path, finder):
    """Make a description of a family's graph; the options are `adapt`'s and the graph's."""

    def make(family: str, *, performer=PERFORMER, convert=False, morphs=False, **graph) -> Path:
        path, out = tmp_path / f"{family}.onnx", tmp_path / f"{family}.adapter.json"
        if family == "dfm":
            graphs.dfm(path, morphs=morphs)
            adapt(path, out, name="Ada Kestrel")
            return out
        graphs.swapper(path, family, **graph)
        adapt(
            path,
            out,
            name="Ada Kestrel",
            family=family,
            likeness=LIKENESS,
            performer=performer if family in VECTORS else (),
            finder=finder,
            embedder=graphs.recogniser(tmp_path / "arc.onnx") if family in VECTORS else None,
            converter=graphs.converter(tmp_path / "turn.onnx") if convert else None,
        )
        return out

    return make


def a_crop(size: int) -> np.ndarray:
    """Colours between .3 and .6, smooth, other in each channel."""
    y, x = np.mgrid[:size, :size].astype(np.float32) / size
    return np.stack([0.3 + 0.3 * x, 0.3 + 0.3 * y, 0.6 - 0.3 * x * y], axis=-1).astype(np.float32)


# ------------------------------------------------------------------------------- recognition


def test_a_graph_is_known_by_its_signature_where_no_other_family_has_the_same(tmp_path):
    for family in ("inswapper", "simswap512", "uniface", "blendswap"):
        fit = examine(graphs.swapper(tmp_path / f"{family}.onnx", family))
        assert (fit.family.name, fit.mattes) == (family, ())
    assert not examine(graphs.dfm(tmp_path / "saehd.onnx")).morphs
    amp = examine(graphs.dfm(tmp_path / "amp.onnx", size=96, morphs=True))
    assert (amp.family.name, amp.size, amp.morphs) == ("dfm", 96, True)
    for family in ("ghost", "simswap", "hyperswap"):
        graph = graphs.swapper(tmp_path / f"{family}.onnx", family, matte=True)
        with pytest.raises(ModelError, match=r"signature of ghost, simswap, hyperswap.*--family"):
            examine(graph)
        assert examine(graph, family).mattes == ("mask",)


def spoilt(path: Path, change) -> Path:
    proto = onnx.load(path)
    change(proto.graph)
    path.write_bytes(proto.SerializeToString())
    return path


def renamed(graph) -> None:
    graph.input[0].name = "image"
    for node in graph.node:
        node.input[:] = ["image" if name == "target" else name for name in node.input]


def counted(graph) -> None:
    graph.input[1].type.tensor_type.elem_type = TensorProto.INT64
    del graph.node[0]
    graph.initializer.append(numpy_helper.from_array(np.zeros((1, 3), np.float32), "told"))


def grown(graph) -> None:
    graph.input[0].type.tensor_type.shape.dim[2].dim_value = 200
    graph.input[0].type.tensor_type.shape.dim[3].dim_value = 200
    for side in graph.output[0].type.tensor_type.shape.dim[2:]:
        side.dim_value = 200


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (renamed, "expected the inputs source, target, found image, source"),
        (counted, r"expected source as numbers of 1 × 512, found source \(1 × 512, int64\)"),
        (grown, r"expected target as numbers of 1 × 3 × 128 × 128, found target \(1 × 3 × 200"),
    ],
)
def test_a_graph_that_does_not_fit_is_refused_with_what_was_expected(tmp_path, change, said):
    graph = spoilt(graphs.swapper(tmp_path / "graph.onnx", "inswapper"), change)
    with pytest.raises(ModelError, match=said) as caught:
        examine(graph, "inswapper")
    assert str(caught.value).startswith(f"{graph} is no inswapper graph: ")
    with pytest.raises(ModelError, match="fits no family that is known: it takes"):
        examine(graph)


def test_a_dfm_without_its_masks_or_its_size_is_refused(tmp_path):
    def open_size(graph) -> None:
        for side in graph.input[0].type.tensor_type.shape.dim[1:3]:
            side.Clear()
            side.dim_param = "side"

    graph = spoilt(graphs.dfm(tmp_path / "a.onnx"), lambda graph: graph.output.pop())
    with pytest.raises(ModelError, match="expected the outputs out_face_mask:0, out_celeb_face:0"):
        examine(graph, "dfm")
    graph = spoilt(graphs.dfm(tmp_path / "b.onnx"), open_size)
    with pytest.raises(ModelError, match="of one known side"):
        examine(graph, "dfm")
    with pytest.raises(ModelError, match="the family 'roop' is not known"):
        examine(graph, "roop")


def test_a_graph_that_needs_more_than_itself_is_refused(tmp_path):
    def foreign_operator(graph) -> None:
        graph.node[-1].domain = "org.example"

    path = graphs.swapper(tmp_path / "graph.onnx", "inswapper")
    proto = onnx.load(path)
    proto.opset_import.append(helper.make_opsetid("org.example", 1))
    foreign_operator(proto.graph)
    path.write_bytes(proto.SerializeToString())
    with pytest.raises(ModelError, match=r"operators of 'org.example'"):
        examine(path)


def test_an_inswapper_without_its_matrix_is_refused_before_a_frame(adapted, tmp_path, finder):
    graph = graphs.swapper(tmp_path / "graph.onnx", "inswapper")
    spoilt(graph, lambda graph: graph.initializer.pop())
    out = tmp_path / "a.adapter.json"
    with pytest.raises(ModelError, match="expected 512 × 512 floats as its last stored tensor"):
        adapt(
            graph,
            out,
            name="x",
            likeness=LIKENESS[:1],
            finder=finder,
            embedder=graphs.recogniser(tmp_path / "arc.onnx"),
        )
    assert not out.exists()


@pytest.mark.parametrize("stored", ["raw", "half", "numbers"])
def test_a_matrix_is_read_as_onnx_stores_it(tmp_path, stored):
    matrix = np.arange(12, dtype=np.float16 if stored == "half" else np.float32).reshape(3, 4)
    tensor = numpy_helper.from_array(matrix, "last")
    if stored == "numbers":
        tensor = helper.make_tensor("last", TensorProto.FLOAT, (3, 4), matrix.ravel().tolist())
    graph = helper.make_graph([], "g", [], [], [numpy_helper.from_array(matrix[:1], "a"), tensor])
    data = helper.make_model(graph).SerializeToString()
    np.testing.assert_array_equal(last_matrix(data, (3, 4), "g"), matrix)
    with pytest.raises(ModelError, match=r"expected 4 × 3 floats .* found 3 × 4"):
        last_matrix(data, (4, 3), "g")
    with pytest.raises(ModelError, match="no ONNX model"):
        last_matrix(data[:-7], (3, 4), "g")


# -------------------------------------------------------------------------------- what it draws


def expected_source(described: descriptions.Description, strength: float) -> np.ndarray:
    """The start of a graph's `source`, by the published chains."""
    likeness = np.array(described.embeddings["likeness"])
    vector = between(np.array(described.embeddings["performer"]), likeness, strength)
    if described.converter is not None:
        vector = vector @ graphs.TURN.astype(np.float64)
    if described.family == "inswapper":
        direction = vector / np.linalg.norm(vector)
        vector = direction @ graphs.EMAP.astype(np.float64)
    if described.family != "ghost":
        vector = vector / np.linalg.norm(vector)
    return vector[:3]


@pytest.mark.parametrize(
    ("family", "convert"),
    [*((each, False) for each in VECTORS), ("ghost", True), ("simswap", True)],
)
def test_ranges_and_embeddings_are_the_familys_to_the_last_digit(adapted, family, convert):
    # GHOST's embedding is not of length 1, and this recogniser's is about 150 long.
    lift = 0.002 if family == "ghost" else 1.0
    path = adapted(family, convert=convert, lift=lift)
    described = descriptions.read(path)
    assert described.strength == "embedding"
    with Likeness.open(path, "cpu", threads=1) as likeness:
        assert (likeness.size, likeness.template) == (described.size, described.kind.template)
        crop = a_crop(likeness.size)
        for strength in (0.0, 0.4, 1.0):
            made = likeness.infer(crop, strength)
            step = lift * expected_source(described, strength)
            np.testing.assert_allclose(made.rgb, np.clip(crop + step, 0, 1), atol=2e-6)
            own = lift * expected_source(described, 0.0)
            np.testing.assert_allclose(made.own, np.clip(crop + own, 0, 1), atol=2e-6)


@pytest.mark.parametrize("family", PICTURES)
def test_a_picture_that_is_the_source_is_shown_as_the_family_wants_it(adapted, tmp_path, family):
    path = adapted(family, lift=0.2)
    described = descriptions.read(path)
    (shown,) = described.pictures["likeness"]
    assert (described.strength, shown in {each.name for each in LIKENESS}) == ("pixels", True)
    seen = cv2.imread(str(tmp_path / described.picture.name), cv2.IMREAD_UNCHANGED)[..., ::-1]
    mean = (seen / 65535.0).mean(axis=(0, 1))
    assert mean.max() > 1.2 * mean.min(), "a face has a colour, so an order of channels shows"
    with Likeness.open(path, "cpu", threads=1) as likeness:
        crop = a_crop(likeness.size)
        made = likeness.infer(crop, 0.5)
        np.testing.assert_allclose(made.rgb, crop + 0.5 * 0.2 * mean, atol=1e-5)
        assert made.own is None
        np.testing.assert_array_equal(likeness.infer(crop, 0.0).rgb, crop)


def test_without_pictures_of_the_performer_the_strength_moves_pixels(adapted):
    path = adapted("hyperswap", performer=(), lift=2.0)
    assert descriptions.read(path).strength == "pixels"
    with Likeness.open(path, "cpu", threads=1) as likeness:
        crop = a_crop(256)
        whole, half = (likeness.infer(crop, strength) for strength in (1.0, 0.5))
        np.testing.assert_allclose(half.rgb - crop, (whole.rgb - crop) / 2.0, atol=1e-6)
        assert np.abs(whole.rgb - crop).max() > 0.01
        assert whole.own is None


@pytest.mark.parametrize("morphs", [False, True])
def test_a_dfm_takes_blue_first_and_its_two_mattes_meet(adapted, morphs):
    path = adapted("dfm", morphs=morphs)
    assert descriptions.read(path).strength == ("morph" if morphs else "pixels")
    with Likeness.open(path, "cpu", threads=1) as likeness:
        crop = a_crop(64)
        made = likeness.infer(crop, 0.5)
    np.testing.assert_allclose(made.rgb, crop + np.float32([0.1, 0.0, 0.05]), atol=1e-6)
    np.testing.assert_allclose(made.matte, graphs.disc(64, 0.35), atol=1e-6)
    assert (made.own is None) != morphs
    if morphs:
        np.testing.assert_array_equal(made.own, crop)
    with pytest.raises(ValueError, match="closed"):
        likeness.infer(crop, 0.5)


def test_a_graph_in_half_floats_and_one_with_a_matte_are_taken(adapted):
    path = adapted("hyperswap", half=True, matte=True)
    with Likeness.open(path, "cpu", threads=1) as likeness:
        crop = a_crop(256)
        made = likeness.infer(crop, 1.0)
        step = expected_source(descriptions.read(path), 1.0)
        np.testing.assert_allclose(made.rgb, np.clip(crop + step, 0, 1), atol=2e-3)
        np.testing.assert_allclose(made.matte[40:-40], graphs.disc(256)[40:-40], atol=1e-3)
        assert made.matte[0].max() < 0.06


@settings(max_examples=25)
@given(st.integers(0, 2**32 - 1), st.floats(0.0, 1.0))
def test_the_way_between_two_embeddings_is_even(seed, amount):
    start, end = np.random.default_rng(seed).normal(size=(2, 512)) * [[3.0], [5.0]]
    here = between(start, end, amount)
    angle = np.arccos(unit(start) @ unit(end))
    turned = np.arccos(np.clip(unit(start) @ unit(here), -1.0, 1.0))
    assert turned == pytest.approx(amount * angle, abs=1e-6)
    lengths = np.linalg.norm(start), np.linalg.norm(end)
    wanted = (1.0 - amount) * lengths[0] + amount * lengths[1]
    assert np.linalg.norm(here) == pytest.approx(wanted)
    np.testing.assert_allclose(between(start, end, 0.0), start, atol=1e-9)
    np.testing.assert_allclose(between(start, end, 1.0), end, atol=1e-9)
    np.testing.assert_allclose(between(start, 2.0 * start, 0.5), 1.5 * start, atol=1e-9)


def test_each_picture_counts_alike_in_an_embedding():
    one, other = np.eye(512)[0], 3.0 * np.eye(512)[1]
    mean = average([one, other])
    np.testing.assert_allclose(unit(mean)[:2], [0.5**0.5] * 2)
    assert np.linalg.norm(mean) == pytest.approx(2.0)
    with pytest.raises(ModelError, match="nothing in common"):
        average([one, -one])


# ------------------------------------------------------------------------------------ geometry


class Onlooker:
    """A network that keeps what it was shown and changes nothing, or what it is told to."""

    sha256 = "onlooker"
    provider = "memory"

    def __init__(self, template: str, size: int, step: float = 0.0) -> None:
        self.template, self.size, self.step = template, size, np.float32(step)
        self.seen: list[np.ndarray] = []

    def infer(self, crop: np.ndarray, strength: float) -> Inference:
        self.seen.append(crop)
        matte = np.ones(crop.shape[:2], np.float32)
        return Inference(crop + self.step * np.float32(strength), matte, None)


WIDE = Window(0, 0, 400, 300)


def marked_plate(points: np.ndarray, aspect: float = 1.0) -> Plate:
    """A grey plate with soft white dots at points."""
    y, x = np.mgrid[: WIDE.height, : WIDE.width] + 0.5
    light = np.full(x.shape, 0.02)
    for px, py in points:
        light += 0.5 * np.exp(-(((x - px) * aspect) ** 2 + (y - py) ** 2) / 18.0)
    channels = {name: light.astype(np.float32) for name in "RGB"}
    return Plate(channels, WIDE, WIDE, pixel_aspect=aspect)


@pytest.mark.parametrize("template", sorted({each.template for each in FAMILIES.values()}))
@pytest.mark.parametrize("aspect", [1.0, 2.0])
def test_a_network_sees_the_face_where_its_template_wants_it(template, aspect):
    face = a_face((200.0, 150.0), 140.0, roll=12.0)
    face = replace(face, landmarks=(face.landmarks - (200, 150)) / (aspect, 1.0) + (200, 150))
    points = templates.five_points(face.landmarks)
    network = Onlooker(template, 256)
    plate = marked_plate(points, aspect)
    pipeline.render(plate, face, network, Knobs.from_flat({"looks": 1, "mask_occlusion": 0.0}))
    (seen,) = network.seen
    residual = 0.026  # of the side: no similarity carries the mean head onto a template exactly
    for x, y in np.array(TEMPLATES[template]) * 256.0:
        reach = int(np.ceil(residual * 256.0)) + 2
        patch = seen[
            round(y) - reach : round(y) + reach + 1, round(x) - reach : round(x) + reach + 1, 0
        ]
        assert patch.max() > 0.6, "there is a dot where the template wants one"
    # And where the dots are is what the way there says, to a tenth of a pixel.
    whole = align.chain(align.fit(face.landmarks, aspect), templates.view(template, 256))
    for x, y in align.transform(points, whole) * 256.0:
        rows, columns = (slice(int(v) - 9, int(v) + 10) for v in (y, x))
        weight = np.maximum(seen[rows, columns, 0] - 0.5, 0.0)
        gy, gx = np.mgrid[rows, columns] + 0.5
        assert np.hypot((weight * gx).sum() / weight.sum() - x,
                        (weight * gy).sum() / weight.sum() - y) < 0.15  # fmt: skip


def test_a_network_is_shown_the_plate_and_not_a_smeared_edge_around_the_square():
    face = a_face((200.0, 150.0), 100.0)
    plate = a_plate(WIDE, highlight=0.0)
    plate = replace(plate, display_window=WIDE)
    knobs = Knobs.from_flat({"looks": 1, "mask_occlusion": 0.0})
    network = Onlooker("ffhq_512", 256)
    pipeline.render(plate, face, network, knobs)
    region = pipeline.region(face, 1.0, network)
    assert region.contains(pipeline.region(face))
    assert region != pipeline.region(face)
    pipeline.render(plate.cut(region), face, network, knobs)
    # All but the last rows and columns, whose filter looks one pixel beyond.
    np.testing.assert_array_equal(network.seen[0][4:-4, 4:-4], network.seen[1][4:-4, 4:-4])


@settings(max_examples=10)
@given(
    template=st.sampled_from(sorted({each.template for each in FAMILIES.values()})),
    size=st.sampled_from([96, 128, 224, 256]),
    looks=st.integers(1, 3),
)
def test_a_network_that_changes_nothing_leaves_the_plate_bit_for_bit(template, size, looks):
    knobs = Knobs.from_flat({"looks": looks, "mask_occlusion": 0.0, "mask_source": "learned"})
    plate = a_plate()
    made = pipeline.render(plate, a_face(), Onlooker(template, size), knobs).plate
    for name in plate.channels:
        np.testing.assert_array_equal(made.channels[name], plate.channels[name])


def test_a_highlight_survives_a_network_that_knows_none():
    plate = a_plate(highlight=50.0)
    knobs = Knobs.from_flat({"mask_occlusion": 0.0, "light_match": 0.0, "grain_match": 0.0})
    made = pipeline.render(plate, a_face(), Onlooker("arcface_128", 128, 0.1), knobs).plate
    before, after = plate.channels["R"].astype(float), made.channels["R"].astype(float)
    lit = before == 50.0
    assert lit.any()
    np.testing.assert_array_equal(after[lit], 50.0)
    assert np.abs(after - before).max() > 0.02


# ------------------------------------------------------------------------------- the whole way


@pytest.fixture
def shot(tmp_path, monkeypatch) -> Path:
    """One frame of the example, with its track, as the working directory."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    write_plate(read_plate(EXAMPLES / "plate.1001.exr"), tmp_path / "plate.1001.exr")
    return tmp_path


def applied(shot: Path, model: str, *more: str) -> np.ndarray:
    """Run `semblance apply`; return what the result changes of the plate."""
    words = ["apply", "plate.####.exr", "-m", model, "-t", str(EXAMPLES / "track.json"), *more]
    assert main([*words, "-o", "out/r.####.exr"]) == 0
    after = read_plate(shot / "out" / "r.1001.exr").picture()
    return after - read_plate(shot / "plate.1001.exr").picture()


ADAPTED = [
    ("inswapper", ["--performer", str(EXAMPLES / "plate.1001.exr"), "--embedder", "arc.onnx"]),
    ("blendswap", []),
    ("dfm", []),
]


@pytest.mark.parametrize(("family", "options"), ADAPTED)
def test_from_a_graph_and_pictures_to_a_frame(shot, capsys, family, options):
    if family == "dfm":
        graphs.dfm(shot / "graph.onnx", morphs=True)
    else:
        graphs.swapper(shot / "graph.onnx", family, lift=1.0 if family in VECTORS else 0.2)
        graphs.recogniser(shot / "arc.onnx")
        options = [*options, "--likeness", str(EXAMPLES / "truth.1001.exr")]
    assert main(["model", "adapt", "graph.onnx", "--name", "Ada Kestrel", *options]) == 0
    said = capsys.readouterr().out
    assert said.startswith(f"graph.adapter.json: Ada Kestrel, {family}, strength by ")
    assert FAMILIES[family].licence in said
    change = np.abs(applied(shot, "graph.adapter.json", "--looks", "1"))[:400].max(axis=2)
    assert "no release is on file" in capsys.readouterr().err
    assert (change > 1e-3).sum() > 500
    assert change[:, :100].max() == change[:, -100:].max() == 0.0


def test_a_release_is_bound_to_whom_the_graph_draws(shot, capsys):
    graphs.dfm(shot / "graph.onnx")
    assert main(["model", "adapt", "graph.onnx", "--name", "Ada Kestrel"]) == 0
    today = date.today()
    words = ["release", "new", "graph.adapter.json", "-o", "draft.json"]
    words += ["--rights-holder", "Kestrel Estate", "--likeness", "Ada Kestrel"]
    words += ["--production", "The Long Night", "--use", "feature film"]
    words += ["--contact", "rights@example.org", "--from", str(today)]
    assert main([*words, "--until", str(today + timedelta(1))]) == 0
    assert main(["release", "key", "Kestrel Estate", "-o", "key.pem"]) == 0
    words = ["release", "sign", "draft.json", "--key", "key.pem"]
    assert main([*words, "-o", "graph.adapter.release.json"]) == 0
    trusted = ["--trust", "key.pub", "--require-release", "--looks", "1"]
    capsys.readouterr()
    applied(shot, "graph.adapter.json", *trusted)
    assert "slate" not in capsys.readouterr().err
    marks = read_plate(shot / "out" / "r.1001.exr").metadata
    assert str(marks["semblance:modelHash"]) == sha256_of(shot / "graph.adapter.json")

    # Another name in it, or another graph under it: neither is what was released.
    text = (shot / "graph.adapter.json").read_text()
    (shot / "graph.adapter.json").write_text(text.replace("Ada Kestrel", "Bob Kestrel"))
    words = ["apply", "plate.####.exr", "-t", str(EXAMPLES / "track.json"), *trusted]
    words += ["-m", "graph.adapter.json", "-o", "other/r.####.exr"]
    assert main(words) != 0
    assert "is for another model" in capsys.readouterr().err
    (shot / "graph.adapter.json").write_text(text)
    graphs.dfm(shot / "graph.onnx", morphs=True)
    assert main(words) != 0
    assert "graph.onnx is not the one that" in capsys.readouterr().err
    assert not (shot / "other").exists() or not any((shot / "other").iterdir())


def test_what_a_family_lacks_or_has_no_use_for_is_said(tmp_path, finder):
    vector = graphs.swapper(tmp_path / "v.onnx", "inswapper")
    shown = graphs.swapper(tmp_path / "p.onnx", "blendswap")
    own = graphs.dfm(tmp_path / "d.onnx")
    arc = graphs.recogniser(tmp_path / "arc.onnx")
    out = tmp_path / "a.adapter.json"
    given_pictures = {"likeness": LIKENESS[:1], "finder": finder}
    empty = Picture("grey.png", lambda: (np.full((64, 64, 3), 0.1, np.float32), 1.0))
    for graph, options, error, said in (
        (vector, {}, FootageError, "needs pictures of the likeness"),
        (vector, given_pictures, ModelError, "no recogniser was given"),
        (vector, {**given_pictures, "embedder": vector}, ModelError, "no recogniser of the ArcF"),
        (vector, {**given_pictures, "embedder": arc, "converter": arc}, ModelError, "no use for"),
        (shown, {**given_pictures, "performer": PERFORMER}, ModelError, "no way between"),
        (shown, {"likeness": [empty], "finder": finder}, FootageError, "no face was found"),
        (shown, {**given_pictures, "embedder": arc}, ModelError, "no use for --embedder"),
        (own, given_pictures, ModelError, "takes no pictures"),
    ):
        with pytest.raises(error, match=said):
            adapt(graph, out, name="x", **options)
        assert not out.exists()
    with pytest.raises(OutputError, match=r"Let it end in .adapter.json"):
        adapt(own, tmp_path / "d.json", name="x")
    adapt(own, out, name="x")
    with pytest.raises(OutputError, match="is never replaced"):
        adapt(own, out, name="x")


A_DESCRIPTION = descriptions.Description(
    name="Ada Kestrel",
    likeness="Ada Kestrel",
    performer="performer",
    family="inswapper",
    size=128,
    strength="embedding",
    graph=descriptions.File("inswapper.onnx", "0" * 64),
    embeddings={"likeness": (1.0,) * 512, "performer": (0.5,) * 512},
)


@pytest.mark.parametrize(
    ("part", "value", "said"),
    [
        ("format", "other", "format: expected 'semblance-adapter'"),
        ("version", 2, "version: expected 1, found 2"),
        ("family", "roop", "family: expected one of inswapper"),
        ("template", "ffhq_512", "template: expected 'arcface_128' for inswapper"),
        ("size", 256, "size: expected 128, found 256"),
        ("strength", "opacity", "strength: expected one of embedding"),
        ("strength", "morph", "strength: expected embedding or pixels"),
        ("strength", "pixels", "embeddings: expected those of likeness"),
        ("graph", None, "graph: expected the network's file and sha256"),
        ("graph", {"file": "x", "sha256": "12"}, "graph.sha256: expected 64"),
        ("embeddings", {}, "embeddings: expected those of likeness, performer"),
        ("embeddings", {"likeness": [1.0], "performer": [1.0]}, "expected 512 numbers"),
        ("identities", {"performer": "p"}, "identities.likeness: expected a line of text"),
    ],
)
def test_a_description_is_refused_at_the_place_that_is_wrong(tmp_path, part, value, said):
    path = tmp_path / "inswapper.adapter.json"
    stored = json.loads(A_DESCRIPTION.to_json())
    path.write_text(json.dumps({**stored, part: value}))
    with pytest.raises(ModelError, match=said) as caught:
        read_manifest(path)
    assert str(path) in str(caught.value)
    with pytest.raises(ModelError, match=said):
        Likeness.open(path, "cpu")


@settings(max_examples=60)
@given(
    place=st.lists(st.sampled_from([*json.loads(A_DESCRIPTION.to_json()), "file", "likeness"]),
                   min_size=1, max_size=2),
    value=st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=2),
        max_leaves=4,
    ),
    cut=st.integers(0, 5000),
)  # fmt: skip
def test_whatever_a_description_holds_it_is_read_or_refused(tmp_path_factory, place, value, cut):
    path = tmp_path_factory.mktemp("d") / "a.adapter.json"
    stored = json.loads(A_DESCRIPTION.to_json())
    inner = stored
    for name in place[:-1]:
        inner = inner[name] if isinstance(inner.get(name), dict) else inner
    inner[place[-1]] = value
    for text in (json.dumps(stored), json.dumps(stored)[:cut]):
        path.write_text(text)
        refusal = ""
        try:
            assert read_manifest(path).likeness
        except ModelError as error:
            refusal = str(error)
        if refusal:
            assert "\n" not in refusal
        else:
            with pytest.raises(ModelError, match="the graph"):  # which is not there
                Likeness.open(path, "cpu")


def test_a_description_comes_back_as_it_was_and_is_found_after_a_move(adapted, tmp_path):
    path = adapted("simswap", convert=True)
    described = descriptions.read(path)
    assert described.to_json() == path.read_text()
    assert read_manifest(path).likeness == "Ada Kestrel"
    moved = tmp_path / "elsewhere"
    moved.mkdir()
    for name in ("simswap.onnx", "turn.onnx", "simswap.adapter.json"):
        (tmp_path / name).rename(moved / name)
    with Likeness.open(moved / path.name, "cpu") as likeness:
        assert likeness.sha256 == sha256_of(moved / path.name)
    (moved / "turn.onnx").unlink()
    with pytest.raises(ModelError, match=r"needs the converter turn.onnx, which is not there"):
        Likeness.open(moved / path.name, "cpu")


def test_info_tells_what_a_description_is(adapted, capsys):
    path = adapted("dfm")
    assert main(["info", str(path), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["family"], told["strength"], told["size"]) == ("dfm", "pixels", 64)
    assert main(["model", "describe", str(path)]) == 0
    assert "dfl_whole_face" in capsys.readouterr().out
