"""The gizmos: made from the knobs, read by a real Tcl interpreter, blending as `blend` does."""

from __future__ import annotations

import importlib.util
import re
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from conftest import Painter, a_face, a_plate
from helpers_nuke import (
    ENGINE,
    ROOT,
    SOURCES,
    STOCK,
    Graph,
    Picture,
    ScriptError,
    ScriptNode,
    engine_knobs,
    read_script,
)
from semblance import align, pipeline
from semblance.blend import composite
from semblance.exr import read_plate
from semblance.face import Face, Roto
from semblance.knobs import BlendKnobs, Knobs, declared
from semblance.model import Likeness
from semblance.plate import Plate, Window
from semblance.track.file import load_track

GIZMOS = ROOT / "gizmos"
NAMES = ("Semblance.gizmo", "SemblanceBlend.gizmo", "SemblanceCat.gizmo")
STAND_IN = f"stand_in/{ENGINE}.gizmo"
RGB = ("rgba.red", "rgba.green", "rgba.blue")


@cache
def maker():
    spec = importlib.util.spec_from_file_location("make_gizmos", GIZMOS / "make_gizmos.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@cache
def gizmo(name: str) -> ScriptNode:
    (made,) = read_script((GIZMOS / name).read_text(encoding="utf-8")).children
    assert made.kind == "Gizmo"
    return made


def test_the_files_are_what_the_knobs_say():
    made = maker().generated()
    assert sorted(made) == sorted((*NAMES, STAND_IN))
    for name, text in made.items():
        committed = (GIZMOS / name).read_bytes().decode()
        assert committed == text, "run `python gizmos/make_gizmos.py`"


@pytest.mark.parametrize("name", NAMES)
def test_tcl_reads_the_gizmo_and_every_link_leads_somewhere(name):
    """`read_script` refuses unknown nodes, knobs, links, layers, and a wrong stack."""
    made = gizmo(name)
    plugs = [each for each in made.children if each.kind == "Input"]
    numbers = sorted(int(each.knobs.get("number", 0)) for each in plugs)
    assert numbers == list(range(int(made.knobs.get("inputs", len(plugs)))))
    (output,) = [each for each in made.children if each.kind == "Output"]
    assert output.inputs[0] is not None
    used = {id(each) for each in _above(output)}
    assert all(id(each) in used for each in made.children), "a node leads nowhere"


def _above(node: ScriptNode) -> list[ScriptNode]:
    inputs = [each for each in node.inputs if each is not None]
    return [node, *(each for above in inputs for each in _above(above))]


def test_every_stock_node_in_use_is_documented():
    used = {each.kind for name in NAMES for each in gizmo(name).children} - {ENGINE}
    assert used <= set(STOCK) == set(SOURCES)


# --- the live node ---------------------------------------------------------------------------


def test_the_live_node_links_every_knob_once_with_its_help():
    links = {k.name: k for k in gizmo(NAMES[0]).user.values() if k.code == 41}
    assert set(links) == engine_knobs()
    for each in declared():
        assert links[each.name].text == f"ENGINE.{each.name}"
        assert links[each.name].tip.startswith(each.help)
        assert each.unit in links[each.name].tip


def test_what_stands_in_for_the_openfx_node_has_its_name_knobs_and_defaults():
    (made,) = read_script((GIZMOS / STAND_IN).read_text(encoding="utf-8")).children
    assert engine_knobs() <= set(made.user)
    for each in declared():
        value = made.knobs.get(each.name, "")
        assert made.user[each.name].choices == each.choices
        assert each.default == (
            value == "true" if each.kind == "bool" else type(each.default)(value)
        )
    output = next(each for each in made.children if each.kind == "Output")
    assert output.inputs[0].kind == "Read"  # of no file: a render fails, and passes no plate


def test_the_live_node_has_source_and_roto_in_the_order_of_the_clips():
    engine = gizmo(NAMES[0]).child("ENGINE")
    assert engine.kind == ENGINE
    assert [each.name for each in engine.inputs] == ["Source", "Roto"]


def test_the_class_of_the_live_node_is_the_plug_ins_own():
    source = (ROOT / "plugin/ofx/plugin.c").read_text()
    identifier = re.search(r'#define IDENTIFIER "([^"]+)"', source)[1]
    major = re.search(r"kOfxImageEffectPluginApi, \d+, IDENTIFIER, (\d+)", source)[1]
    assert f"OFX{identifier}_v{major}" == ENGINE == maker().ENGINE


def test_the_live_nodes_tabs_hold_every_group_together():
    """A tab or a title for each group, and its knobs between that and the next."""
    under, place = {}, ""
    for knob in gizmo(NAMES[0]).user.values():
        if knob.code in (20, 26):
            place = knob.name
        under.setdefault(place, []).append(knob.name)
    for each in declared():
        home = [place for place, names in under.items() if each.name in names]
        assert home in ([f"tab_{each.group}"], [f"title_{each.group}"])


def test_a_new_knob_appears_by_itself(monkeypatch):
    extra = replace(declared()[0], name="brand_new", group="later", kind="bool", default=True)
    module = maker()
    monkeypatch.setattr(module, "declared", lambda: (*declared(), extra))
    text = module.live()
    assert "addUserKnob {20 tab_later" in text
    assert "T ENGINE.brand_new}" in text


# --- blending again --------------------------------------------------------------------------


def pictures(plate: Plate, layers) -> tuple[Picture, Picture]:
    """Plate and render as Nuke would hold them."""
    names = dict(zip(("R", "G", "B"), RGB, strict=True))
    own = {names[c]: plate.channels[c].astype(np.float32) for c in plate.rgb}
    render = {}
    for name, pixels in layers.items():
        _, layer, channel = name.split(".")
        last = {"R": "red", "G": "green", "B": "blue", "A": "alpha"}[channel]
        render[f"semblance_{layer}.{last}"] = pixels
    return own, render


@pytest.fixture(scope="module")
def shot() -> tuple[Plate, pipeline.Result]:
    plate = a_plate()
    knobs = Knobs.from_flat({"mask_occlusion": 0.0, "mask_feather": 6.0})
    return plate, pipeline.render(plate, a_face(), Painter(), knobs, with_layers=True)


def rendered(shot, *, roto=None, **values) -> Picture:
    plate, result = shot
    own, render = pictures(plate, result.layers)
    given = {0: own, 1: render}
    if roto is not None:
        given[2] = {"rgba.alpha": roto}
    return Graph(gizmo(NAMES[1]), given, values).result()


def test_at_default_knobs_it_is_blend_mode_over(shot):
    plate, result = shot
    made = rendered(shot)
    finished, _ = pictures(result.plate, {})
    changed = 0.0
    for name, channel in zip(RGB, plate.rgb, strict=True):
        own = plate.channels[channel].astype(np.float32)
        changed = max(changed, float(np.abs(finished[name] - own).max()))
        # The result was rounded to a half once; the graph is float throughout.
        half = np.spacing(np.abs(finished[name]).astype(np.float16)).astype(np.float32)
        assert (np.abs(made[name] - finished[name]) <= np.maximum(1e-4, 0.51 * half)).all()
    assert changed > 0.01


@pytest.fixture(scope="module")
def floats() -> tuple[Plate, pipeline.Result]:
    """A plate of floats, so that nothing is rounded on the way, rendered without a roto."""
    halves = a_plate(highlight=0.0)
    plate = replace(halves, channels={n: halves.channels[n].astype(np.float32) for n in halves.rgb})
    knobs = Knobs.from_flat({"mask_occlusion": 0.0})
    result = pipeline.render(plate, a_face(), Painter(), knobs, with_layers=True)
    assert result.layers["semblance.matte.A"].max() > 0.99
    return plate, result


def a_roto(floats: tuple[Plate, pipeline.Result]) -> np.ndarray:
    """A soft ellipse over a part of the face and beyond its matte, above 1 in its middle.

    It ends where the rendered patch does: nodes can add no face that was not rendered.
    """
    plate, result = floats
    matte = result.layers["semblance.matte.A"]
    height, width = matte.shape
    y, x = np.mgrid[:height, :width].astype(np.float32)
    away = np.hypot((x - 0.55 * width) / 22.0, (y - 0.5 * height) / 15.0)
    drawn = result.layers["semblance.patch.R"] != plate.channels["R"]
    roto = np.where(drawn, np.clip(1.6 - away, 0.0, None), 0.0).astype(np.float32)
    assert (roto[matte == 0.0] > 0.1).any()
    return roto


@pytest.mark.parametrize("mix", [1.0, 0.37])
@pytest.mark.parametrize("mode", ["", "multiply", "replace", "add"])
def test_in_floats_it_is_blend_mode_over_within_a_ten_thousandth(floats, mode, mix):
    """The pipeline renders roto and mix itself; the nodes have the render without them."""
    plate = floats[0]
    flat = {"mask_occlusion": 0.0, "mix": mix, **({"roto_mode": mode} if mode else {})}
    pixels = a_roto(floats) if mode else None
    roto = None if pixels is None else Roto(np.clip(pixels, 0.0, 1.0), plate.window)
    wanted = pipeline.render(plate, a_face(), Painter(), Knobs.from_flat(flat), roto=roto)
    values = {name: value for name, value in flat.items() if name != "mask_occlusion"}
    made = rendered(floats, roto=pixels, **values)
    finished, own = (pictures(each, {})[0] for each in (wanted.plate, plate))
    assert max(np.abs(finished[name] - own[name]).max() for name in RGB) > 0.05
    for name in RGB:
        assert np.abs(made[name] - finished[name]).max() < 1e-4


@pytest.mark.parametrize(
    "values",
    [
        {"grow": 4}, {"grow": -3}, {"feather": 7}, {"grow": 2, "feather": 3, "mix": 0.6},
        {"grow": -2, "feather": 5, "mask_nose": False, "roto_mode": "add", "mix": 0.8},
    ],
    ids=str,
)  # fmt: skip
def test_whatever_shapes_the_matte_it_is_laid_in_by_over_within_a_ten_thousandth(floats, values):
    plate, result = floats
    roto = a_roto(floats) if "roto_mode" in values else None
    matte = rendered(floats, roto=roto, view="matte", **values)["rgba.red"]
    assert not np.array_equal(matte, result.layers["semblance.matte.A"])
    own, render = pictures(plate, result.layers)
    patch = np.stack([render[n.replace("rgba", "semblance_patch")] for n in RGB], axis=-1)
    below = np.stack([own[n] for n in RGB], axis=-1)
    change, share = composite(patch - below, matte, BlendKnobs(mix=values.get("mix", 1.0)))
    wanted = below + share[..., None] * change
    made = rendered(floats, roto=roto, **values)
    assert np.abs(np.stack([made[n] for n in RGB], axis=-1) - wanted).max() < 1e-4


@pytest.mark.parametrize("values", [{}, {"multiply": 2.0, "offset": 0.3}, {"mask_nose": False}])
def test_where_the_matte_is_0_every_bit_is_the_plate(shot, values):
    plate, result = shot
    made = rendered(shot, **values)
    outside = result.layers["semblance.matte.A"] == 0.0
    assert outside.any()
    for name, channel in zip(RGB, plate.rgb, strict=True):
        own = plate.channels[channel].astype(np.float32)
        assert made[name][outside].tobytes() == own[outside].tobytes()


def test_mix_0_is_the_plate(shot):
    own, _ = pictures(shot[0], {})
    for name in RGB:
        assert np.array_equal(rendered(shot, mix=0.0)[name], own[name])


def test_without_a_render_it_is_the_plate(shot):
    own, _ = pictures(shot[0], {})
    made = Graph(gizmo(NAMES[1]), {0: own}, {}).result()
    for name in RGB:
        assert np.array_equal(made[name], own[name])


def test_a_region_that_is_off_gives_the_plate_back_there(shot):
    plate, result = shot
    own, render = pictures(plate, result.layers)
    off = rendered(shot, mask_mouth=False)
    mouth = result.layers["semblance.region_mouth.A"]
    matte = result.layers["semblance.matte.A"] * (1.0 - mouth)
    assert mouth.max() > 0.9
    for name in RGB:
        patch = render[name.replace("rgba", "semblance_patch")]
        assert off[name] == pytest.approx(own[name] + matte * (patch - own[name]), abs=1e-4)
    none = rendered(shot, **{f"mask_{each}": False for each in _regions()})
    for name in RGB:
        assert none[name] == pytest.approx(own[name], abs=1e-4, rel=1e-4)


def _regions() -> list[str]:
    return [n.removeprefix("mask_") for n in gizmo(NAMES[1]).user if n.startswith("mask_")]


def _matte(shot, **values) -> np.ndarray:
    return rendered(shot, view="matte", **values)["rgba.red"]


def test_grow_and_feather_move_the_matte_the_way_they_say(shot):
    plain = _matte(shot)
    assert np.array_equal(plain, shot[1].layers["semblance.matte.A"])
    assert _matte(shot, grow=3).sum() > plain.sum() > _matte(shot, grow=-3).sum()
    soft = _matte(shot, feather=6)
    steep = [np.abs(np.diff(each)).max() for each in (plain, soft)]
    assert steep[1] < steep[0]


def test_roto_meets_the_matte_as_the_pipeline_has_it(shot):
    roto = np.zeros_like(shot[1].layers["semblance.matte.A"])
    roto[:, 60:] = 0.7
    plain = _matte(shot)
    assert _matte(shot, roto=roto) == pytest.approx(plain * roto)
    assert _matte(shot, roto=roto, roto_mode="replace") == pytest.approx(roto)
    assert _matte(shot, roto=roto, roto_mode="add") == pytest.approx(np.minimum(plain + roto, 1))


def test_the_grade_is_of_the_new_face_alone_and_clamps_nothing(shot):
    plate, result = shot
    own, render = pictures(plate, result.layers)
    matte = result.layers["semblance.matte.A"]
    made = rendered(shot, multiply=0.5, offset=-0.4)
    for name in RGB:
        patch = render[name.replace("rgba", "semblance_patch")] * 0.5 - 0.4
        assert made[name] == pytest.approx(own[name] + matte * (patch - own[name]), abs=1e-4)
    assert min(made[name].min() for name in RGB) < 0.0


# --- a likeness as a .cat --------------------------------------------------------------------


@pytest.fixture(scope="module", params=[(160, 120), (110, 150)], ids=["wide", "upright"])
def still(request) -> tuple[Plate, Face, pipeline.Result]:
    """A smooth plate with a turned face."""
    width, height = request.param
    y, x = np.mgrid[:height, :width].astype(np.float32)
    waves = (np.sin(x / 9.0), np.cos(y / 11.0), np.sin((x + y) / 13.0))
    channels = {name: 0.3 + 0.1 * each for name, each in zip("RGB", waves, strict=True)}
    whole = Window(0, 0, width, height)
    plate = Plate(channels, whole, whole)
    face = a_face(centre=(width / 2 + 3.0, height / 2 - 5.0), width=60.0, roll=-9.0)
    knobs = Knobs.from_flat({"mask_occlusion": 0.0})  # this is nobody's face
    return plate, face, pipeline.render(plate, face, Painter(), knobs, with_layers=True)


def through(still, network) -> Picture:
    plate, _, result = still
    own, render = pictures(plate, result.layers)
    return Graph(gizmo(NAMES[2]), {0: own, 1: render}, {"size": 128}, network).result()


def test_the_network_sees_the_face_held_still(still):
    plate, face, _ = still
    seen = []
    through(still, lambda picture: seen.append(picture) or picture)
    matrix = align.fit(face.landmarks)
    window = align.bounds(matrix, plate.window)
    expected = align.to_crop(plate.picture(window), window, matrix, 128)
    assert seen[0].shape == expected.shape
    inner = (slice(8, -8),) * 2
    assert np.abs(seen[0] - expected)[inner].max() < 0.01


def test_what_the_network_draws_lies_where_it_was_seen_under_the_matte(still):
    plate, _, result = still
    own, _ = pictures(plate, {})
    matte = result.layers["semblance.matte.A"]
    assert matte.max() > 0.99
    same, doubled = through(still, lambda p: p), through(still, lambda p: 2.0 * p)
    for name in RGB:
        assert np.abs(same[name] - own[name]).max() < 0.01
        assert np.abs(doubled[name] - (1.0 + matte) * own[name]).max() < 0.02
        assert np.array_equal(doubled[name][matte == 0.0], own[name][matte == 0.0])


class Cat:
    """The real module in the place of Nuke's Inference node, which sets its attributes."""

    def __init__(self, path: Path) -> None:
        torch = pytest.importorskip("torch")
        self.__dict__["module"] = torch.jit.load(str(path))
        self.__dict__["tensor"] = torch.from_numpy

    def __setattr__(self, name: str, value: float) -> None:
        assert name in maker().CAT_KNOBS
        setattr(self.module, name, value)

    def __call__(self, picture: np.ndarray) -> np.ndarray:
        planes = np.ascontiguousarray(picture.transpose(2, 0, 1)[None])
        return self.module(self.tensor(planes))[0].numpy().transpose(1, 2, 0)


@pytest.fixture(scope="module")
def frame() -> tuple[Plate, Face]:
    track = load_track(ROOT / "examples/track.json")
    return read_plate(ROOT / "examples/plate.1005.exr"), track.faces[1005]


@pytest.fixture(scope="module")
def cat(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The example's likeness as TorchScript."""
    for needed in ("torch", "onnx", "safetensors"):
        pytest.importorskip(needed)
    from semblance.release import Verdict
    from semblance.train.torchscript import KNOBS, export_torchscript

    assert tuple(maker().CAT_KNOBS) == KNOBS
    out = tmp_path_factory.mktemp("cat") / "june.pt"
    export_torchscript(ROOT / "examples/likeness.onnx", out, Verdict(True, "released"))
    return out


def of_cat(frame, cat: Path, knobs: Knobs, **values) -> tuple[Picture, pipeline.Result]:
    """What the gizmo draws with the real network, and what the pipeline draws."""
    plate, face = frame
    with Likeness.open(ROOT / "examples/likeness.onnx", "cpu") as likeness:
        result = pipeline.render(plate, face, likeness, knobs, with_layers=True)
    own, render = pictures(plate, result.layers)
    given = {"size": 128, **values}
    return Graph(gizmo(NAMES[2]), {0: own, 1: render}, given, Cat(cat)).result(), result


@pytest.mark.filterwarnings("ignore:`torch.jit:DeprecationWarning")
@pytest.mark.parametrize(("strength", "light"), [(1.0, 1.0), (0.5, 0.0)])
def test_the_real_network_draws_in_nukes_nodes_what_the_pipeline_draws(frame, cat, strength, light):
    """With one look and without grain and detail match, which the nodes have not.

    What is left is two bilinear passes in the place of a bicubic one, light measured in the
    network's matte alone, and what of the plate is finer than 128 pixels, glints in the eyes above
    all: the pipeline keeps it where the face does not change.
    """
    knobs = {"identity_strength": strength, "light_match": light, "exposure": 0.6}
    flat = {"auto_exposure": False, "looks": 1, "detail_match": 0.0, "grain_match": 0.0}
    made, result = of_cat(frame, cat, Knobs.from_flat({**knobs, **flat}), **knobs)
    matte = result.layers["semblance.matte.A"]
    wanted, own = (pictures(p, {})[0] for p in (result.plate, frame[0]))
    away, changed = (
        np.concatenate([np.abs(each[n] - wanted[n])[matte > 0.5] for n in RGB])
        for each in (made, own)
    )
    assert away.mean() < 0.005 < 0.2 * changed.mean()
    assert np.percentile(away, 99) < 0.03
    assert all(np.array_equal(made[n][matte == 0], own[n][matte == 0]) for n in RGB)


@pytest.mark.filterwarnings("ignore:`torch.jit:DeprecationWarning")
def test_the_real_networks_knobs_and_its_matte(frame, cat):
    """Strength 0 draws what it was shown; the network's own matte can lay the face in."""
    knobs = Knobs.from_flat({"looks": 1})
    none, result = of_cat(frame, cat, knobs, identity_strength=0.0)
    full, _ = of_cat(frame, cat, knobs)
    loose, _ = of_cat(frame, cat, knobs, matte="network")
    own, render = pictures(frame[0], result.layers)
    same = Graph(gizmo(NAMES[2]), {0: own, 1: render}, {"size": 128}, lambda p: p).result()
    face = render["semblance_matte.alpha"] > 0.99
    outside = render["semblance_st_forward.red"] < 0.0
    assert outside.any()
    for n in RGB:
        assert np.abs(none[n] - same[n]).max() < 1e-5
        assert np.median(np.abs(full[n] - own[n])[face]) > 0.02
        assert np.median(np.abs(loose[n] - full[n])[face]) < 0.005
        assert np.array_equal(loose[n][outside], own[n][outside])


# --- the reader itself -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("Blurr {\n size 3\n}", "unknown command"),
        ("Blur {\n inputs 0\n radius 3\n}", "no knob 'radius'"),
        ("Blur {\n size 3\n}", "on the stack"),
        ("push $N1", "can't read"),
        ("Group {\n inputs 0\n addUserKnob {41 a T B.size}\n}\nend_group", "no such node"),
        (
            "Group {\n inputs 0\n addUserKnob {41 a T Blur.radius}\n}\n"
            "Blur {\n inputs 0\n}\nend_group",
            "no such knob",
        ),
        ("Group {\n inputs 0\n addUserKnob {7 label R 0 1}\n}\nend_group", "second knob"),
        ("Blur {\n inputs 0\n channels semblance_matte\n}", "which nothing adds"),
        ("Group {\n inputs 0\n}\nBlur {\n inputs 0\n size {{parent.x}}\n}\nend_group", "parent.x"),
        ("Group {\n inputs 0\n}", "no end_group"),
        ("exec rm -rf nothing", "unknown command"),
    ],
)
def test_the_reader_refuses_what_nuke_would_not_load(text, said):
    tkinter = pytest.importorskip("tkinter")
    with pytest.raises((ScriptError, tkinter.TclError), match=re.escape(said)):
        read_script(text)
