"""The real plug-in in the strict host, with a real worker: what a host may ask of it."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import OpenEXR
import pytest

from helpers_ofx import (
    EXAMPLES,
    FRAMES,
    SIZE,
    Link,
    Scene,
    a_link,
    a_scene,
    failed,
    good,
    needs_bundle,
)
from ofx_host import (
    BARE,
    FACES,
    FILTER,
    FUSION,
    GENERAL,
    LAYOUTS,
    NATRON,
    NUKE,
    RESOLVE,
    RESOLVE_BLACK,
    Host,
    Image,
    Layout,
    Plugin,
    Region,
    Status,
)
from ofx_host.bundle import built
from semblance.cli import main
from semblance.exr import read_plate
from semblance.knobs import declared

pytestmark = needs_bundle
Box = tuple[int, int, int, int]


@pytest.fixture(scope="module")
def patched() -> Iterator[pytest.MonkeyPatch]:
    with pytest.MonkeyPatch.context() as patch:
        yield patch


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Scene:
    return a_scene(tmp_path_factory.mktemp("scene"))


@pytest.fixture(scope="module")
def runtime(
    tmp_path_factory: pytest.TempPathFactory, patched: pytest.MonkeyPatch, scene: Scene
) -> Iterator[Link]:
    """One worker for all tests here."""
    with a_link(tmp_path_factory.mktemp("link"), patched, scene) as link:
        yield link


@pytest.fixture
def link(runtime: Link) -> Iterator[Link]:
    yield runtime
    runtime.host.check()


@pytest.fixture
def own(tmp_path: Path) -> Path:
    """A copy of the bundle: another binary to the system, with statics of its own."""
    return Path(shutil.copytree(built(), tmp_path / built().name))


@pytest.fixture(scope="module")
def reference(runtime: Link, scene: Scene) -> dict[float, np.ndarray]:
    """Each frame, plainly rendered."""
    instance = runtime.instance(scene)
    frames = {time: good(instance.frame(time)) for time in scene.plates}
    instance.destroy()
    return frames


@pytest.mark.parametrize("face", FACES, ids=lambda face: face.name)
def test_every_host_reads_the_same_description(own: Path, face: object) -> None:
    host = Host(face)  # type: ignore[arg-type]
    plugin = Plugin(host, own)
    assert plugin.count == 1
    assert plugin.plugin.pluginIdentifier == b"io.github.semblance.semblance"
    assert (plugin.plugin.pluginApi, plugin.plugin.apiVersion) == (b"OfxImageEffectPluginAPI", 1)
    assert plugin.plugin.pluginVersionMajor == 1
    said = []
    for _ in range(2):
        assert plugin.load() == Status.OK
        effect = plugin.describe().props.set
        said.append(plugin.described_bytes())
        assert effect["OfxImageEffectPropSupportsTiles"] == 0
        assert (
            effect["OfxImageEffectPluginRenderThreadSafety"] == "OfxImageEffectRenderInstanceSafe"
        )
        assert effect.values["OfxImageEffectPropSupportedPixelDepths"] == ["OfxBitDepthFloat"]
        assert effect["OfxImageEffectPropTemporalClipAccess"] == 0
        for context, each in plugin.descriptors.items():
            if context:
                mask = ["Mask"] if context == GENERAL or "Mask" in each.clips else []
                assert sorted(each.clips) == sorted(["Source", "Output", *mask])
                names = list(each.params.params)
                assert [name for name in names if name in {k.name for k in declared()}] == [
                    knob.name for knob in declared()
                ]
                for clip in each.clips.values():
                    assert clip.props.set["OfxImageEffectPropSupportsTiles"] == 0
        assert plugin.unload() == Status.OK
    assert said[0] == said[1]
    host.check()
    plugin.close()


def test_each_parameter_is_its_knob(own: Path) -> None:
    host = Host(NATRON)
    plugin = Plugin(host, own)
    plugin.load()
    plugin.describe()
    params = plugin.descriptors[GENERAL].params.params
    for knob in declared():
        props = params[knob.name].props.set
        default = props["OfxParamPropDefault"]
        if knob.kind == "choice":
            assert props.values["OfxParamPropChoiceOption"] == list(knob.choices)
            assert knob.choices[default] == knob.default
        else:
            assert default == knob.default
        if knob.range is not None:
            assert (props["OfxParamPropMin"], props["OfxParamPropMax"]) == knob.range
        assert props["OfxParamPropHint"].startswith(knob.help.split(";")[0][:20])
    plugin.unload()
    host.check()
    plugin.close()


def test_describing_is_a_pure_function_of_the_binary(tmp_path: Path) -> None:
    """No home, no worker, no model, another folder: the same bytes, and nothing written."""
    script = (
        "import sys; sys.path.insert(0, sys.argv[1])\n"
        "from pathlib import Path\nfrom ofx_host import NUKE, Host, Plugin\n"
        "host = Host(NUKE)\nplugin = Plugin(host, Path(sys.argv[2]))\nplugin.load()\n"
        "plugin.describe()\nsys.stdout.buffer.write(plugin.described_bytes())\n"
        "plugin.unload()\nhost.check()\n"
    )
    nowhere = tmp_path / "home"
    nowhere.mkdir(mode=0o500)
    said = []
    for env, folder in (
        ({}, Path.cwd()),
        (
            {
                "HOME": str(nowhere),
                "SEMBLANCE_RUNTIME": "/proc/none",
                "SEMBLANCE_WORKER": "/nonexistent",
                "LC_ALL": "de_DE.UTF-8",
                "TMPDIR": "/nonexistent",
            },
            nowhere,
        ),
    ):
        ran = subprocess.run(
            [sys.executable, "-c", script, str(Path(__file__).parent), str(built())],
            env={"PATH": os.environ["PATH"], "PYTHONDONTWRITEBYTECODE": "1", **env},
            cwd=folder,
            capture_output=True,
            check=True,
        )
        said.append(ran.stdout)
    assert said[0] == said[1]
    assert len(said[0]) > 5000
    assert not any(nowhere.iterdir())


def test_the_binary_exports_two_symbols_and_needs_libc_alone() -> None:
    binary = built() / "Contents" / "Linux-x86-64" / "Semblance.ofx"
    symbols = subprocess.run(
        ["nm", "-D", "--defined-only", str(binary)], capture_output=True, text=True, check=True
    ).stdout
    names = [line.split()[-1] for line in symbols.splitlines()]
    assert sorted(names) == ["OfxGetNumberOfPlugins", "OfxGetPlugin"]
    needs = subprocess.run(
        ["readelf", "-d", str(binary)], capture_output=True, text=True, check=True
    ).stdout
    libraries = [line.split("[")[1].rstrip("]") for line in needs.splitlines() if "NEEDED" in line]
    assert set(libraries) <= {"libc.so.6", "libpthread.so.0", "librt.so.1"}
    versions = subprocess.run(
        ["objdump", "-T", str(binary)], capture_output=True, text=True, check=True
    ).stdout
    used = {tuple(map(int, found)) for found in re.findall(r"GLIBC_(\d+)\.(\d+)", versions)}
    assert max(used) <= (2, 17)


def test_a_frame_is_the_likeness_laid_over_the_source(
    link: Link, scene: Scene, reference: dict[float, np.ndarray]
) -> None:
    seen = set()
    for time, result in reference.items():
        changed = (result != scene.plates[time]).any(axis=-1)
        assert 500 < changed.sum() < changed.size / 2
        np.testing.assert_array_equal(result[..., 3], scene.plates[time][..., 3])
        assert result[5, 7, 0] == 50.0
        seen.add(result.tobytes())
    assert len(seen) == FRAMES


@pytest.mark.parametrize("layout", LAYOUTS, ids=str)
def test_rows_may_be_padded_or_bottom_up(
    link: Link, scene: Scene, reference: dict[float, np.ndarray], layout: Layout
) -> None:
    instance = link.instance(scene)
    image = scene.image(2.0, layout=layout, sealed=True)
    instance.connect("Source", lambda time: image)
    done = instance.frame(2.0, layout=layout)
    np.testing.assert_array_equal(good(done), reference[2.0])
    instance.destroy()


@pytest.mark.parametrize(
    "bounds", [(-40, -30, 200, 150), (10, 5, 150, 118), (0, 0, 160, 120)], ids=str
)
def test_output_may_have_other_bounds_than_source(
    link: Link, scene: Scene, reference: dict[float, np.ndarray], bounds: tuple[int, ...]
) -> None:
    """Outside Source there is nothing; a render window is no crop of the effect."""
    instance = link.instance(scene)
    whole = np.zeros((400, 500, 4), np.float32)  # y up, (-100, -100) first
    whole[100:220, 100:260] = reference[1.0][::-1]
    windows = [bounds, (max(bounds[0], 20), 30, 120, 61), (50, 60, 51, 61)]
    for window in windows:
        done = instance.render(1.0, window, bounds=bounds)  # type: ignore[arg-type]
        x1, y1, x2, y2 = window
        cut = np.s_[y1 - bounds[1] : y2 - bounds[1], x1 - bounds[0] : x2 - bounds[0]]
        assert done.status == Status.OK, done.message
        np.testing.assert_array_equal(
            done.image.pixels[cut], whole[y1 + 100 : y2 + 100, x1 + 100 : x2 + 100]
        )
    instance.destroy()


def test_source_may_lie_anywhere(link: Link, scene: Scene) -> None:
    """Overscan: a data window beyond the format, and one that cuts the face."""
    plate = scene.plates[1.0]
    padded = np.pad(plate, ((9, 4), (13, 6), (0, 0)), mode="edge")
    instance = link.instance(scene)
    whole = good(instance.frame(1.0))
    instance.connect("Source", Image((-13, -4, 166, 129), "RGBA", padded))
    wide = good(instance.frame(1.0))
    np.testing.assert_allclose(wide[9:-4, 13:-6], whole, atol=2e-3)
    instance.connect("Source", Image((70, 10, 150, 100), "RGBA", plate[20:110, 70:150]))
    cut = good(instance.frame(1.0))
    assert (cut != plate[20:110, 70:150]).any()
    instance.destroy()


def test_rgb_is_rgba_without_alpha(
    link: Link, scene: Scene, reference: dict[float, np.ndarray]
) -> None:
    instance = link.instance(scene)
    width, height = SIZE
    plate = np.ascontiguousarray(scene.plates[1.0][..., :3])
    instance.connect("Source", Image((0, 0, width, height), "RGB", plate))
    np.testing.assert_array_equal(good(instance.frame(1.0)), reference[1.0][..., :3])
    instance.destroy()


def test_alpha_is_never_changed_and_premultiplied_plates_are_handled_as_such(
    link: Link, scene: Scene
) -> None:
    width, height = SIZE
    alpha = np.linspace(0.25, 1.0, width, dtype=np.float32)
    plate = scene.plates[1.0].copy()
    plate[..., 3] = alpha
    premultiplied = plate.copy()
    premultiplied[..., :3] *= alpha[None, :, None]
    instance = link.instance(scene)
    box = (0, 0, width, height)
    instance.connect("Source", Image(box, "RGBA", plate, premultiplied=False))
    straight = good(instance.frame(1.0))
    instance.connect("Source", Image(box, "RGBA", premultiplied))
    over = good(instance.frame(1.0))
    np.testing.assert_array_equal(straight[..., 3], plate[..., 3])
    np.testing.assert_array_equal(over[..., 3], plate[..., 3])
    np.testing.assert_allclose(over[..., :3], straight[..., :3] * alpha[None, :, None], atol=3e-3)
    instance.destroy()


@pytest.mark.parametrize("components", ["Alpha", "RGBA"])
def test_a_mask_holds_out_what_it_covers(link: Link, scene: Scene, components: str) -> None:
    width, height = SIZE
    channels = {"Alpha": 1, "RGBA": 4}[components]
    mask = np.zeros((height, width, channels), np.float32)
    mask[..., -1] = 1.0
    mask[:, width // 2 :, -1] = 0.0
    instance = link.instance(scene, use_mask=True)
    instance.connect("Mask", Image((0, 0, width, height), components, mask))
    result = good(instance.frame(1.0))
    right = np.s_[:, width // 2 :]
    np.testing.assert_array_equal(result[right], scene.plates[1.0][right])
    assert (result != scene.plates[1.0]).any()
    small = Image((40, 20, 60, 90), components, np.ones((70, 20, channels), np.float32))
    instance.connect("Mask", small)
    assert instance.region_of_definition(1.0) == Region(0, 0, width, height)
    result = good(instance.frame(1.0))
    outside = np.ones((height, width), bool)
    outside[height - 90 : height - 20, 40:60] = False
    np.testing.assert_array_equal(result[outside], scene.plates[1.0][outside])
    instance.connect("Mask", None)
    assert (good(instance.frame(1.0))[right] != scene.plates[1.0][right]).any()
    instance.destroy()


@pytest.mark.parametrize("face", [NUKE, RESOLVE, RESOLVE_BLACK, FUSION, BARE], ids=lambda f: f.name)
def test_every_host_gets_the_same_pixels(
    scene: Scene,
    own: Path,
    reference: dict[float, np.ndarray],
    face: object,
) -> None:
    host = Host(face)  # type: ignore[arg-type]
    plugin = Plugin(host, own)
    plugin.load()
    plugin.describe()
    instance = plugin.create()
    instance.set_project((0, 0), SIZE)
    instance.connect("Source", scene.image(3.0))
    instance.put(model=str(scene.model), track_file=str(scene.track), mask_occlusion=0.0)
    if host.face.unconnected == "black":  # nobody can tell that from a mask: the user says so
        instance.put(use_mask=False)
    np.testing.assert_array_equal(good(instance.frame(3.0)), reference[3.0])
    instance.destroy()
    plugin.unload()
    host.check()
    plugin.close()


@pytest.mark.parametrize("scale", [0.5, 0.25])
def test_a_proxy_shows_the_frame_at_its_scale(link: Link, scene: Scene, scale: float) -> None:
    width, height = (round(side * scale) for side in SIZE)
    step = round(1 / scale)
    plate = scene.plates[1.0].reshape(height, step, width, step, 4).mean(axis=(1, 3))
    instance = link.instance(scene, grain_match=0.0)
    whole = good(instance.frame(1.0)) - scene.plates[1.0]
    image = Image((0, 0, width, height), "RGBA", plate)
    instance.connect("Source", image, Region(0, 0, *SIZE))
    done = instance.frame(1.0, scale=(scale, scale))
    change = good(done) - plate
    expected = whole.reshape(height, step, width, step, 4).mean(axis=(1, 3))
    assert np.corrcoef(change[..., 0].ravel(), expected[..., 0].ravel())[0, 1] > 0.9
    instance.connect("Source", lambda time: scene.image(time))
    np.testing.assert_array_equal(good(instance.frame(1.0)) - scene.plates[1.0], whole)
    instance.destroy()


def test_anamorphic_pixels_are_told_to_the_worker(link: Link, scene: Scene) -> None:
    """A squeezed plate of pixel aspect 2: the change lies where the track lies."""
    width, height = SIZE
    instance = link.instance(scene)
    instance.set_project((0, 0), (2 * width, height))
    plate = scene.plates[1.0]
    image = Image((0, 0, width, height), "RGBA", plate, pixel_aspect=2.0)
    instance.connect("Source", image)
    assert instance.region_of_definition(1.0) == Region(0, 0, 2 * width, height)
    done = instance.frame(1.0)
    assert done is not None
    if done.status == Status.OK:
        changed = (good(done) != plate).any(axis=-1)
        _, x = np.nonzero(changed)
        assert 60 < x.mean() < 100
    else:
        assert "aspect" in done.message
    instance.destroy()


def test_any_value_survives(link: Link, scene: Scene) -> None:
    """NaN, infinities, negatives and 50.0: outside the matte the host's own bits."""
    width, height = SIZE
    plate = scene.plates[1.0].copy()
    odd = np.float32([np.nan, np.inf, -np.inf, -3.0, 50.0, 65504.0, 1e-42])
    for index, value in enumerate(odd):
        plate[2, 2 + index, 0] = value
        plate[58, 60 + 2 * index, 1] = value  # in the face
    instance = link.instance(scene)
    instance.connect("Source", Image((0, 0, width, height), "RGBA", plate))
    result = good(instance.frame(1.0))
    np.testing.assert_array_equal(result[:10].view(np.uint32), plate[:10].view(np.uint32))
    faulty = ~np.isfinite(result[..., :3])
    assert faulty.sum() <= (~np.isfinite(plate[..., :3])).sum()
    instance.destroy()


@pytest.mark.parametrize("size", [(1, 1), (1, 7), (13, 1), (17, 3)], ids=str)
def test_images_of_any_size(link: Link, scene: Scene, size: tuple[int, int]) -> None:
    """A sliver of the frame, off the face: it comes back as it is."""
    width, height = size
    plate = np.full((height, width, 4), 0.25, np.float32)
    instance = link.instance(scene)
    instance.connect("Source", Image((3, 2, 3 + width, 2 + height), "RGBA", plate))
    np.testing.assert_array_equal(good(instance.frame(1.0)), plate)
    instance.destroy()


def test_a_frame_without_a_face_is_the_source(link: Link, scene: Scene) -> None:
    instance = link.instance(scene)
    plate = scene.image(1.0)
    instance.connect("Source", lambda time: plate)
    done = instance.frame(99.0)
    np.testing.assert_array_equal(good(done), scene.plates[1.0])
    instance.destroy()


def test_without_a_source_the_output_is_black(link: Link, scene: Scene) -> None:
    """NULL images mid-sequence are legal; nothing stale comes in their place."""
    instance = link.instance(scene)
    good(instance.frame(1.0))
    instance.connect("Source", None)
    done = instance.render(1.0, bounds=(0, 0, 8, 8))
    assert done.status == Status.FAILED or not done.image.pixels.any()
    instance.destroy()


def test_fields_are_refused(link: Link, scene: Scene) -> None:
    instance = link.instance(scene)
    assert "ield" in failed(instance.render(1.0, field="OfxFieldLower"), 1.0)
    good(instance.render(1.0))
    instance.destroy()


def test_identity_is_told_at_once_and_offline(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, runtime: Link, scene: Scene
) -> None:
    monkeypatch.setenv("SEMBLANCE_RUNTIME", str(tmp_path / "run"))
    monkeypatch.setenv("SEMBLANCE_WORKER", "/nonexistent")
    instance = runtime.instance(scene)
    window = (0, 0, *SIZE)
    assert instance.is_identity(1.0, window) == ""
    for values in ({"mix": 0.0}, {"identity_strength": 0.0}, {"model": ""}):
        instance.put(**values)
        assert instance.is_identity(1.0, window) == "Source"
        assert instance.frame(1.0) is None
        instance.put(mix=1.0, identity_strength=1.0, model=str(scene.model))
    instance.put(mix=lambda time: 0.0 if time > 2 else 1.0)
    assert instance.is_identity(2.0, window) == ""
    assert instance.is_identity(3.0, window) == "Source"
    instance.put(mix=1.0, identity_strength=0.0, view=2)
    assert instance.is_identity(1.0, window) == ""
    instance.destroy()
    assert not (tmp_path / "run").exists()
    runtime.host.check()


def test_animated_knobs_are_read_at_the_frame(link: Link, scene: Scene) -> None:
    instance = link.instance(scene)
    instance.put(mix=lambda time: 0.25 if time == 2.0 else 1.0)
    first, second = good(instance.frame(1.0)), good(instance.frame(2.0))
    instance.put(mix=0.25)
    np.testing.assert_array_equal(good(instance.frame(2.0)), second)
    assert (good(instance.frame(1.0)) != first).any()
    instance.destroy()


def test_abort_at_each_poll(link: Link, scene: Scene, reference: dict[float, np.ndarray]) -> None:
    """Wherever the host gives up, the next frame is right."""
    instance = link.instance(scene)
    polls = 1
    for poll in range(1, 12):
        instance.put(mix=1.0)
        done = instance.render(4.0, abort=lambda nth, poll=poll: nth >= poll)
        assert done.status == Status.OK
        polls = max(polls, done.polls)
        np.testing.assert_array_equal(good(instance.frame(5.0)), reference[5.0])
        if done.polls < poll:
            break
    assert polls >= 1
    instance.destroy()


def test_instances_in_parallel_give_what_they_give_alone(
    link: Link, scene: Scene, reference: dict[float, np.ndarray]
) -> None:
    """Eight at once, destroyed in another order, while the user turns knobs."""
    instances = [link.instance(scene) for _ in range(8)]
    wrong: list[str] = []

    def work(index: int) -> None:
        for frame in range(1, FRAMES + 1):
            time = float((frame + index) % FRAMES + 1)
            done = instances[index].render(time)
            if done.status != Status.OK:
                wrong.append(done.message)
            elif (done.image.top_down != reference[time]).any():
                wrong.append(f"instance {index} frame {time} is another")

    threads = [threading.Thread(target=work, args=(index,)) for index in range(8)]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        for instance in instances[::3]:
            instance.changed("mix")
        threads[0].join(0.01)
    assert not wrong
    for index in (3, 0, 7, 1, 2, 6, 5, 4):
        instances[index].destroy()


def test_instances_do_not_know_each_other(
    link: Link, scene: Scene, reference: dict[float, np.ndarray]
) -> None:
    one, other = link.instance(scene), link.instance(scene, mix=0.5)
    np.testing.assert_array_equal(good(one.frame(1.0)), reference[1.0])
    half = good(other.frame(1.0))
    assert (half != reference[1.0]).any()
    one.destroy()
    np.testing.assert_array_equal(good(other.frame(1.0)), half)
    other.destroy()


def _write(path: Path, channels: dict[str, np.ndarray], box: Box, display: Box) -> None:
    """Write float channels, (h, w); boxes are x0, y0, x1, y1 with y down, the end not in them."""

    def window(box: Box) -> tuple[np.ndarray, np.ndarray]:
        return np.int32(box[:2]), np.int32([box[2] - 1, box[3] - 1])

    header = {
        "compression": OpenEXR.ZIP_COMPRESSION,
        "type": OpenEXR.scanlineimage,
        "dataWindow": window(box),
        "displayWindow": window(display),
    }
    whole = {name: np.ascontiguousarray(values) for name, values in channels.items()}
    OpenEXR.File(header, whole).write(str(path))


def _options(values: dict[str, object]) -> list[str]:
    options = []
    for name, value in values.items():
        flag = name.replace("_", "-")
        if isinstance(value, bool):
            options.append(f"--{flag}" if value else f"--no-{flag}")
        else:
            options += [f"--{flag}", str(value)]
    return options


SETTINGS: dict[str, dict[str, object]] = {
    "default": {},
    "mask": {"mask_grow": 4.0, "mask_feather": 9.5, "mask_mouth": False, "mask_gamma": 0.7},
    "blend": {"blend_mode": "multiband", "mix": 0.6, "detail_match": 0.3, "exposure": 0.5},
    "poisson": {"blend_mode": "poisson", "identity_strength": 0.7, "smoothing": 0.0},
    "colour": {"colour_match": "linear", "colour_amount": 0.7, "grain_match": 0.4},
    "roto": {"roto_mode": "multiply"},
    "slate": {},
    "cropped": {},
    "premultiplied": {},
    "patch": {"view": "patch", "looks": 1},
    "matte": {"view": "matte", "looks": 1},
    "difference": {"view": "difference", "looks": 1},
    "landmarks": {"view": "landmarks", "looks": 1},
    "canonical": {"view": "canonical", "looks": 1},
}


@pytest.mark.parametrize("setting", SETTINGS)
def test_the_link_gives_the_bits_of_semblance_apply(
    link: Link, tmp_path: Path, setting: str
) -> None:
    """The same pixels and knobs through a host and through files: not one bit differs."""
    frame, display = 1004, (0, 0, 960, 540)
    shot = read_plate(EXAMPLES / f"plate.{frame}.exr")
    plate = np.ones((540, 960, 4), np.float32)
    plate[..., :3] = np.stack([shot.channels[name] for name in "RGB"], axis=-1)
    if setting == "premultiplied":
        plate *= np.linspace(0.2, 1.0, 960, dtype=np.float32)[None, :, None]
    box = (230, 100, 700, 500) if setting == "cropped" else display
    plate = plate[box[1] : box[3], box[0] : box[2]]
    model = EXAMPLES / "likeness.onnx"
    if setting == "slate":
        model = Path(shutil.copy(model, tmp_path / "unreleased.onnx"))
    values: dict[str, object] = {
        "model": str(model),
        "track_file": str(EXAMPLES / "track.json"),
        **SETTINGS[setting],
    }
    y, x = np.mgrid[:540, :960]
    roto = (np.hypot(x - 430, y - 300) < 90).astype(np.float32)

    name = f"plate.{frame}.exr"
    _write(tmp_path / name, {c: plate[..., i] for i, c in enumerate("RGBA")}, box, display)
    more = []
    if setting == "roto":
        _write(tmp_path / f"roto.{frame}.exr", {"A": roto}, display, display)
        more = ["--roto", str(tmp_path / "roto.####.exr")]
    output = str(tmp_path / "out.####.exr")
    source = str(tmp_path / "plate.####.exr")
    assert main(["apply", source, "-o", output, *more, *_options(values)]) == 0
    written = read_plate(tmp_path / f"out.{frame}.exr")
    expected = np.stack([written.channels[each] for each in "RGBA"], axis=-1)

    instance = link.plugin.create(GENERAL)
    instance.set_project((0, 0), (960, 540))
    bounds = (box[0], 540 - box[3], box[2], 540 - box[1])
    image = Image(bounds, "RGBA", plate)
    instance.connect("Source", lambda time: image)
    if setting == "roto":
        instance.connect("Mask", Image((0, 0, 960, 540), "Alpha", roto))
    choices = {knob.name: knob.choices for knob in declared() if knob.kind == "choice"}
    instance.put(
        **{
            name: choices[name].index(str(value)) if name in choices else value
            for name, value in values.items()
        }
    )
    result = good(instance.frame(float(frame)))
    np.testing.assert_array_equal(result.view(np.uint32), expected.view(np.uint32))
    assert (result != plate).any()
    assert bool(instance.note) == (setting == "slate")
    instance.destroy()


def test_filter_context_works_alone(
    link: Link, scene: Scene, reference: dict[float, np.ndarray]
) -> None:
    instance = link.plugin.create(FILTER)
    instance.set_project((0, 0), SIZE)
    instance.connect("Source", scene.image(1.0))
    instance.put(model=str(scene.model), track_file=str(scene.track), mask_occlusion=0.0)
    np.testing.assert_array_equal(good(instance.frame(1.0)), reference[1.0])
    instance.destroy()
