from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import OpenEXR
import pytest

from conftest import WHOLE, Painter, a_face, a_plate
from semblance import align, pipeline
from semblance.exr import write_plate
from semblance.face import Face
from semblance.knobs import Knobs
from semblance.layers import NOWHERE, REGIONS, empty, layers
from semblance.matte import region_masks
from semblance.plate import Plate, Window

WINDOWS = {
    "full": WHOLE,
    "overscan": Window(-10, -6, 130, 96),
    "cropped": Window(30, 20, 100, 80),
    "negative": Window(-120, -90, 0, 0),
}
FACE = a_face(roll=12.0, width=40.0)
NAMES = [
    "semblance.matte.A",
    *(f"semblance.patch.{channel}" for channel in "BGR"),
    *(f"semblance.region_{name}.A" for name in sorted(REGIONS)),
    *(f"semblance.st_{way}.{channel}" for way in ("forward", "inverse") for channel in "GR"),
]


def float_plate(window: Window = WHOLE, **changes: object) -> Plate:
    plate = a_plate(window)
    channels = {name: plate.channels[name].astype(np.float32) for name in "RGB"}
    return replace(plate, channels=channels, **changes)


def at(plate: Plate, face: Face) -> Face:
    """The face, moved along with a display window that begins elsewhere."""
    display = plate.display_window
    points = face.landmarks / (plate.pixel_aspect, 1.0) + (display.x0, display.y0)
    return replace(face, landmarks=points)


def made(plate: Plate, face: Face = FACE) -> tuple[dict[str, np.ndarray], align.Affine, Window]:
    """Layers of a plate with a patch of ones, their matrix and their window."""
    face = at(plate, face)
    matrix = align.fit(face.landmarks, plate.pixel_aspect)
    window = align.bounds(matrix, plate.window)
    shape = (window.height, window.width)
    planes = layers(
        plate,
        window,
        matrix,
        align.transform(face.landmarks, matrix),
        np.ones((*shape, 3), np.float32),
        np.full(shape, 0.5, np.float32),
    )
    return dict(planes), matrix, window


def st_map(plate: Plate, source: np.ndarray, planes: dict[str, np.ndarray], way: str) -> np.ndarray:
    """What a host does with an ST map: bilinear samples, black outside the source.

    Written against the node's reference alone: 0 to 1 over the format, (0, 0) its lower left.
    """
    display, held = plate.display_window, plate.window
    u, v = (planes[f"semblance.st_{way}.{name}"].astype(np.float64) for name in "RG")
    x = u * display.width + display.x0 - held.x0 - 0.5
    y = (1.0 - v) * display.height + display.y0 - held.y0 - 0.5
    border = np.pad(source.astype(np.float64), ((1, 1), (1, 1), (0, 0)))
    x, y = np.clip(x, -1.0, held.width) + 1.0, np.clip(y, -1.0, held.height) + 1.0
    column = np.minimum(x.astype(int), held.width)
    row = np.minimum(y.astype(int), held.height)
    fx, fy = (x - column)[..., None], (y - row)[..., None]
    upper = (1.0 - fx) * border[row, column] + fx * border[row, column + 1]
    lower = (1.0 - fx) * border[row + 1, column] + fx * border[row + 1, column + 1]
    return np.asarray((1.0 - fy) * upper + fy * lower)


def centres(window: Window) -> np.ndarray:
    """Each pixel's own place, (h, w, 2): a picture that shows where a sample came from."""
    x, y = np.arange(window.x0, window.x1) + 0.5, np.arange(window.y0, window.y1) + 0.5
    return np.stack(np.meshgrid(x, y), axis=-1)


def shown_square(plate: Plate) -> align.Affine:
    """The middle square of the display window, canonical units."""
    display, aspect = plate.display_window, plate.pixel_aspect
    side = min(display.height, display.width * aspect)
    left = display.x0 + 0.5 * (display.width - side / aspect)
    top = display.y0 + 0.5 * (display.height - side)
    return np.array([[aspect / side, 0.0, -left * aspect / side], [0.0, 1.0 / side, -top / side]])


PLATES = {
    **{name: float_plate(window) for name, window in WINDOWS.items() if name != "negative"},
    "negative origin": float_plate(WINDOWS["negative"], display_window=WINDOWS["negative"]),
    "anamorphic": float_plate(pixel_aspect=1.8),
    "upright": float_plate(Window(0, 0, 70, 90), display_window=Window(0, 0, 70, 90)),
}


@pytest.fixture(params=PLATES.values(), ids=PLATES)
def plate(request: pytest.FixtureRequest) -> Plate:
    return request.param


def test_names_are_legal_sorted_and_short() -> None:
    plate = a_plate()
    planes = made(plate)[0]
    assert list(planes) == list(empty(plate)) == NAMES == sorted(NAMES)
    assert max(map(len, NAMES)) <= 31  # a longer one makes a file that old readers refuse
    assert sorted(region_masks(align.TEMPLATE, 64)) == list(REGIONS)
    for pixels in planes.values():
        assert pixels.dtype == np.float32
        assert pixels.shape == (plate.window.height, plate.window.width)


def test_a_file_holds_them_bit_for_bit(tmp_path: Path) -> None:
    plate = a_plate(WINDOWS["overscan"])
    planes = made(plate)[0]
    path = tmp_path / "layers.exr"
    write_plate(plate, path, layers=planes)
    channels = OpenEXR.File(str(path), separate_channels=True).channels()
    assert set(NAMES) < set(channels)
    for name, pixels in planes.items():
        assert channels[name].pixels.dtype == np.float32
        assert channels[name].pixels.tobytes() == pixels.tobytes()


def test_without_a_face_there_is_the_plate_and_nothing_over_it(plate: Plate) -> None:
    for name, pixels in empty(plate).items():
        if "patch" in name:
            assert np.array_equal(pixels, plate.channels[name[-1]])
        else:
            assert (pixels == (NOWHERE if "st_" in name else 0.0)).all()


def test_outside_the_window_the_patch_is_the_plate(plate: Plate) -> None:
    planes, _, window = made(plate)
    inside = np.zeros((plate.window.height, plate.window.width), bool)
    inside[window.slices(plate.window)] = True
    for name in "RGB":
        patch = planes[f"semblance.patch.{name}"]
        assert (patch[inside] == 1.0).all()
        assert np.array_equal(patch[~inside], plate.channels[name][~inside])
    assert (planes["semblance.matte.A"] == np.where(inside, np.float32(0.5), 0.0)).all()


@pytest.mark.parametrize("window", list(WINDOWS.values())[:3], ids=list(WINDOWS)[:3])
@pytest.mark.parametrize("space", ["auto", "ACEScg"])
@pytest.mark.parametrize("alpha", [False, True])
def test_the_layers_blend_to_the_frame(window: Window, space: str, alpha: bool) -> None:
    """Plate + matte · (patch − plate), in the plate's own space and premultiplied as it is."""
    plate = float_plate(window)
    if alpha:
        cover = np.linspace(0.0, 1.0, window.width * window.height, dtype=np.float32)
        cover = cover.reshape(window.height, window.width)
        channels = {name: pixels * cover for name, pixels in plate.channels.items()}
        plate = replace(plate, channels={**channels, "A": cover}, alpha="A")
    knobs = Knobs.from_flat({"input_space": space, "mask_occlusion": 0.0})
    result = pipeline.render(plate, a_face(), Painter(), knobs, with_layers=True)
    matte = result.layers["semblance.matte.A"]
    assert matte.max() == pytest.approx(1.0, abs=1e-3)
    for name in "RGB":
        own, patch = plate.channels[name], result.layers[f"semblance.patch.{name}"]
        again = own + matte * (patch - own)
        finished = result.plate.channels[name]
        assert np.abs(finished - own).max() > 1e-3
        assert again == pytest.approx(finished, rel=1e-5, abs=1e-6)


def test_regions_are_whole_in_the_square_and_nothing_outside_it(plate: Plate) -> None:
    planes, matrix, _ = made(plate)
    regions = {name: planes[f"semblance.region_{name}.A"] for name in REGIONS}
    total = np.sum(list(regions.values()), axis=0)
    place = align.transform(centres(plate.window).reshape(-1, 2), matrix).reshape(*total.shape, 2)
    reach = np.abs(place - 0.5).max(axis=-1)
    pixel = np.abs(matrix[:, :2]).sum(axis=1).max()
    assert total[reach < 0.5 - 1.5 * pixel] == pytest.approx(1.0, abs=5e-3)
    assert (total[reach > 0.5 + 2.0 * pixel] == 0.0).all()
    assert all(mask.min() >= 0.0 and mask.max() <= 1.0 for mask in regions.values())
    eye = align.TEMPLATE[36:42].mean(axis=0)
    on_eye = np.unravel_index(np.hypot(*(place - eye).transpose(2, 0, 1)).argmin(), total.shape)
    if np.abs(place[on_eye] - eye).max() < pixel:  # the crop may have cut it off
        assert regions["eyes"][on_eye] > 0.5


def test_inverse_shows_each_place_of_the_canonical_square(plate: Plate) -> None:
    """Sampling a picture of places: each pixel tells where in the plate it came from."""
    planes, matrix, _ = made(plate)
    places = centres(plate.window)
    canonical = align.transform(places.reshape(-1, 2), shown_square(plate))
    expected = align.transform(canonical, align.invert(matrix)).reshape(places.shape)
    inside = (np.abs(canonical - 0.5).max(axis=1) <= 0.5).reshape(places.shape[:2])
    held = plate.window
    low, high = (held.x0 + 0.5, held.y0 + 0.5), (held.x1 - 0.5, held.y1 - 0.5)
    there = inside & ((expected >= low) & (expected <= high)).all(axis=-1)
    assert there.sum() > 500
    found = st_map(plate, places, planes, "inverse")
    assert np.abs(found - expected)[there].max() < 1e-3
    for name in "RG":
        assert (planes[f"semblance.st_inverse.{name}"][~inside] == NOWHERE).all()
    assert (found[~inside] == 0.0).all()


def test_forward_is_the_way_back(plate: Plate) -> None:
    planes, matrix, _ = made(plate)
    places = centres(plate.window)
    canonical = align.transform(places.reshape(-1, 2), matrix)
    expected = align.transform(canonical, align.invert(shown_square(plate))).reshape(places.shape)
    inside = (np.abs(canonical - 0.5).max(axis=1) <= 0.5).reshape(places.shape[:2])
    held = plate.window
    low, high = (held.x0 + 0.5, held.y0 + 0.5), (held.x1 - 0.5, held.y1 - 0.5)
    there = inside & ((expected >= low) & (expected <= high)).all(axis=-1)
    assert there.sum() > 500
    found = st_map(plate, places, planes, "forward")
    assert np.abs(found - expected)[there].max() < 1e-3
    assert (found[~inside] == 0.0).all()


def test_a_face_that_fills_the_middle_square_has_the_map_that_moves_nothing() -> None:
    """(x + 0.5) / width and (y + 0.5) / height from below, where the picture stays where it is."""
    plate = float_plate()
    x, y = centres(plate.window).transpose(2, 0, 1)
    matrix = shown_square(plate)
    window = align.bounds(matrix, plate.window)
    patch = plate.picture(window)
    planes = layers(plate, window, matrix, align.TEMPLATE, patch, np.zeros(patch.shape[:2]))
    inside = window.slices(plate.window)
    for way in ("forward", "inverse"):
        u, v = (planes[f"semblance.st_{way}.{name}"][inside] for name in "RG")
        assert u == pytest.approx((x / 120.0)[inside], abs=1e-6)
        assert v == pytest.approx((1.0 - y / 90.0)[inside], abs=1e-6)


def test_there_and_back_is_the_plate_and_between_is_the_crop() -> None:
    """The canonical picture is what the network's crop shows, and it lies back where it was."""
    window = Window(0, 0, 320, 240)
    x, y = centres(window).transpose(2, 0, 1)
    picture = np.stack([np.sin(x / 9.0), np.cos(y / 11.0), np.sin((x + y) / 13.0)], axis=-1)
    picture = (0.4 + 0.2 * picture).astype(np.float32)
    channels = dict(zip("RGB", np.moveaxis(picture, 2, 0).copy(), strict=True))
    plate = Plate(channels, window, window)
    face = a_face(centre=(170.0, 118.0), width=110.0, roll=-9.0)
    planes, matrix, around = made(plate, face)
    canonical = st_map(plate, picture, planes, "inverse")
    crop = align.to_crop(picture, window, matrix, 240)
    assert np.abs(canonical[:, 40:280] - crop)[2:-2, 2:-2].max() < 0.01
    back = st_map(plate, canonical, planes, "forward")
    inside = planes["semblance.st_forward.R"] != NOWHERE
    edge = np.abs(align.transform(centres(window).reshape(-1, 2), matrix) - 0.5).max(axis=1)
    deep = inside & (edge.reshape(inside.shape) < 0.49)
    assert deep.sum() > 0.5 * around.width * around.height
    assert np.abs(back - picture)[deep].max() < 0.005
    assert (back[~inside] == 0.0).all()


def test_the_page_about_layers_names_them_all() -> None:
    page = (Path(__file__).parents[1] / "docs" / "layers.md").read_text(encoding="utf-8")
    rows = "\n".join(line for line in page.splitlines() if line.startswith("| `semblance."))
    for name in NAMES:
        layer, channel = name.rsplit(".", 1)
        assert f"`{layer.replace('.', '_')}`" in rows
        assert f"`{name}`" in rows or (f"`{layer}.R`" in rows and f"`.{channel}`" in rows)
