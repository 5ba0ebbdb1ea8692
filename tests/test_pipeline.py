from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from conftest import Painter, a_face, a_plate
from semblance import colour, pipeline
from semblance.cache import StageCache
from semblance.errors import Cancelled
from semblance.face import Inference, Roto
from semblance.knobs import Knob, Knobs, declared
from semblance.plate import Plate, Window

WINDOWS = {
    "full": Window(0, 0, 120, 90),
    "overscan": Window(-10, -6, 130, 96),
    "cropped": Window(30, 20, 100, 80),
    "face partly outside": Window(60, 0, 120, 90),
}
MODES = ["over", "multiband", "poisson"]


def knobs(**values: object) -> Knobs:
    """No face is drawn in these plates, and what is none is an occluder: it is switched off."""
    return Knobs.from_flat({"mask_occlusion": 0.0, **values})


def render(plate: Plate, network: Painter | None = None, **values: object) -> pipeline.Result:
    return pipeline.render(plate, a_face(), network or Painter(), knobs(**values))


def same_bits(a: Plate, b: Plate, where: np.ndarray | None = None) -> bool:
    inside = np.ones(next(iter(a.channels.values())).shape, bool) if where is None else where
    return all(
        a.channels[name][inside].tobytes() == b.channels[name][inside].tobytes()
        for name in a.channels
    )


def matte_of(plate: Plate, **values: object) -> np.ndarray:
    return render(plate, view="matte", **values).plate.channels["R"].astype(np.float32)


@pytest.mark.parametrize("window", WINDOWS.values(), ids=WINDOWS)
@pytest.mark.parametrize("mode", MODES)
def test_outside_the_matte_every_bit_is_the_plate(window: Window, mode: str) -> None:
    plate = a_plate(window)
    result = render(plate, blend_mode=mode).plate
    matte = matte_of(plate, blend_mode=mode)
    assert (matte > 0.0).any()
    assert (matte == 0.0).any()
    assert same_bits(result, plate, where=matte == 0.0)
    assert not same_bits(result, plate)


@settings(max_examples=25, deadline=None)
@given(
    x=st.floats(-40.0, 160.0),
    y=st.floats(-40.0, 130.0),
    width=st.floats(10.0, 200.0),
    roll=st.floats(-180.0, 180.0),
    feather=st.floats(0.0, 25.0),
    grow=st.floats(-25.0, 25.0),
)
def test_wherever_the_face_is_the_plate_outside_the_matte_is_the_plate(
    x: float, y: float, width: float, roll: float, feather: float, grow: float
) -> None:
    plate, face = a_plate(), a_face((x, y), width, roll)
    chosen = {"mask_feather": feather, "mask_grow": grow}
    result = pipeline.render(plate, face, Painter(), knobs(**chosen)).plate
    matte = pipeline.render(plate, face, Painter(), knobs(view="matte", **chosen)).plate
    assert same_bits(result, plate, where=matte.channels["R"] == 0.0)


def test_strength_0_is_the_plate_to_the_last_bit() -> None:
    plate = a_plate()
    assert same_bits(render(plate, identity_strength=0.0).plate, plate)


def test_mix_0_is_the_plate_to_the_last_bit() -> None:
    plate = a_plate()
    assert same_bits(render(plate, mix=0.0).plate, plate)


def test_no_face_passes_the_plate_through() -> None:
    plate = a_plate()
    result = pipeline.render(plate, None, Painter(), knobs())
    assert result.plate is plate
    assert not result.statistics.found


def test_a_face_outside_the_data_window_passes_the_plate_through() -> None:
    plate = a_plate(Window(0, 0, 20, 20))
    result = render(plate)
    assert result.plate is plate
    assert not result.statistics.found


EVERYTHING = {"light_match": 1.0, "detail_match": 1.0, "grain_match": 1.0, "looks": 1}


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("colour_match", ["none", "mean", "linear", "histogram"])
def test_a_network_that_returns_its_input_is_not_seen(mode: str, colour_match: str) -> None:
    """No truncation and no clamp: the mean stays within a hundredth of an 8-bit code."""
    plate = a_plate(highlight=50.0)
    values = {**EVERYTHING, "blend_mode": mode, "colour_match": colour_match}
    result = render(plate, Painter(change=0.0), **values).plate
    inside = matte_of(plate) > 0.5
    change = colour.encode(result.picture()) - colour.encode(plate.picture())
    assert abs(255.0 * change[inside].mean()) < 0.01
    assert 255.0 * np.abs(change[inside]).max() < 0.1


def test_a_highlight_of_50_on_the_cheek_comes_back_as_bright() -> None:
    result = render(a_plate(highlight=50.0)).plate
    assert result.picture()[44:47, 63:66] == pytest.approx(50.0, rel=0.02)


def test_a_highlight_keeps_its_shoulder_and_lights_nothing_around_it() -> None:
    """A soft lamp reflex: bright in the middle, falling off over a few pixels to skin."""
    plate = a_plate(highlight=0.0)
    y, x = np.mgrid[:90, :120]
    spot = 50.0 * np.exp(-0.5 * ((x - 63) ** 2 + (y - 45) ** 2) / 1.5**2).astype(np.float32)
    lit = plate.with_change(
        np.repeat(spot[..., None], 3, axis=2), plate.window, np.ones(spot.shape, np.float32)
    )
    seen, without = (render(each, Draughtsman()).plate.picture() for each in (lit, plate))
    shoulder = (spot > 1.5) & (spot < 40.0)
    assert np.abs(seen[shoulder] / lit.picture()[shoulder] - 1.0).max() < 0.15
    away = (np.hypot(x - 63, y - 45) > 9) & (np.hypot(x - 63, y - 45) < 16)
    assert np.abs(seen[away] / without[away] - 1.0).mean() < 0.02


class Draughtsman(Painter):
    """A network that draws both faces itself, and no highlight."""

    def infer(self, crop: np.ndarray, strength: float) -> Inference:
        own = np.minimum(crop, np.float32(0.5))
        painted = super().infer(own, strength)
        return Inference(painted.rgb, painted.matte, own)


def test_strength_moves_the_face_steadily() -> None:
    plate = a_plate(highlight=0.0)
    inside = matte_of(plate) > 0.9
    red = [
        render(plate, identity_strength=a).plate.picture()[inside][:, 0].mean()
        for a in (0.0, 0.25, 0.5, 0.75, 1.0)
    ]
    assert (np.diff(red) > 0.005).all()


def test_looks_agree_where_the_network_draws_the_same_from_every_crop() -> None:
    """They are laid back over each other to a fraction of a pixel, or the mean would be a blur."""
    plate = a_plate(highlight=0.0)
    inside = matte_of(plate) > 0.9
    one, nine = (render(plate, looks=n).plate.picture()[inside] for n in (1, 9))
    assert np.abs(one - nine).mean() < 0.01 * one.mean()


def test_every_other_channel_travels_untouched() -> None:
    plate = a_plate()
    result = render(plate).plate
    assert list(result.channels) == list(plate.channels)
    assert result.channels["id"] is plate.channels["id"]
    assert result.channels["R"].dtype == np.float16


def test_what_is_not_a_number_stays_where_it_is() -> None:
    plate = a_plate()
    for name in "RGB":
        plate.channels[name][5, 5] = np.nan
        plate.channels[name][45, 50] = np.inf
        plate.channels[name][40, 55] = np.nan
    result = render(plate).plate
    assert np.isnan(result.channels["R"][5, 5])
    unusual = ~np.isfinite(result.picture()).all(axis=2)
    assert unusual.sum() == 1


def test_a_premultiplied_plate_is_blended_without_its_alpha() -> None:
    plain = a_plate()
    alpha = np.full(plain.channels["R"].shape, 0.5, np.float16)
    halved = {name: plain.channels[name] * np.float16(0.5) for name in "RGB"}
    plate = Plate({**halved, "A": alpha}, plain.data_window, plain.display_window, alpha="A")
    result = render(plate).plate
    expected = render(plain).plate
    assert result.picture() * 2.0 == pytest.approx(expected.picture(), rel=5e-3, abs=2e-3)
    assert result.channels["A"] is alpha


def test_an_anamorphic_plate_gets_the_same_face() -> None:
    """Squeezed by two, the matte covers half the columns at the same heights."""
    wide = a_plate()
    face = a_face()
    squeezed = replace(
        wide,
        channels={name: pixels[:, ::2] for name, pixels in wide.channels.items()},
        data_window=Window(0, 0, 60, 90),
        display_window=Window(0, 0, 60, 90),
        pixel_aspect=2.0,
    )
    narrow = replace(face, landmarks=face.landmarks / (2.0, 1.0))
    shown = knobs(view="matte")
    full = pipeline.render(wide, face, Painter(), shown).plate.channels["R"]
    half = pipeline.render(squeezed, narrow, Painter(), shown).plate.channels["R"]
    averaged = (full[:, ::2].astype(np.float32) + full[:, 1::2]) / 2.0
    assert np.abs(half - averaged).max() < 0.05


def test_exposure_is_undone_after_the_network() -> None:
    """The network sees another exposure; a face that changes nothing keeps the plate's."""
    plate, still = a_plate(), Painter(change=0.0)
    reference = render(plate, still).plate.picture()
    for stops in (-3.0, 3.0):
        moved = render(plate, still, exposure=stops).plate.picture()
        assert np.median(np.abs(moved / reference - 1.0)) < 5e-3


def test_a_roto_holds_out_what_it_does_not_draw() -> None:
    plate = a_plate()
    drawn = np.zeros((90, 120), np.float32)
    drawn[:, :60] = 1.0
    roto = Roto(drawn, Window(0, 0, 120, 90))
    result = pipeline.render(plate, a_face(), Painter(), knobs(), roto=roto).plate
    right = np.zeros((90, 120), bool)
    right[:, 60:] = True
    assert same_bits(result, plate, where=right)
    assert not same_bits(result, plate)


@pytest.mark.parametrize("view", ["patch", "matte", "difference", "landmarks", "canonical"])
def test_a_view_shows_something_and_keeps_the_windows(view: str) -> None:
    plate = a_plate(WINDOWS["overscan"])
    shown = render(plate, view=view).plate
    assert shown.data_window == plate.data_window
    assert not same_bits(shown, plate)
    assert np.ptp(shown.picture()) > 0.05


@pytest.mark.parametrize("window", WINDOWS.values(), ids=WINDOWS)
def test_the_rows_around_the_face_are_all_that_is_needed(window: Window) -> None:
    plate, chosen = a_plate(window), knobs(blend_mode="multiband", colour_match="linear")
    region = pipeline.region(a_face()).intersection(window)
    whole = pipeline.render(plate, a_face(), Painter(), chosen)
    part = pipeline.render(plate.cut(region), a_face(), Painter(), chosen)
    assert same_bits(part.plate, whole.plate.cut(region))
    assert part.statistics.window == whole.statistics.window
    untouched = np.ones((window.height, window.width), bool)
    untouched[whole.statistics.window.slices(window)] = False
    assert same_bits(whole.plate, plate, where=untouched)


class Counting(Painter):
    """Says how often the network ran."""

    ran = 0

    def infer(self, crop: np.ndarray, strength: float) -> Inference:
        self.ran += 1
        return super().infer(crop, strength)


OF_THE_NETWORK = {"identity_strength": 0.5, "looks": 3, "exposure": 1.0, "input_space": "ACEScg"}
OF_THE_SHOT = {"model", "likeness", "face", "track_file", "roto_file", "smoothing", "auto_exposure"}


def other(knob: Knob) -> object:
    if knob.kind == "bool":
        return not knob.default
    if knob.kind == "choice":
        return knob.choices[-1] if knob.default != knob.choices[-1] else knob.choices[0]
    return knob.slider[0] if knob.default != knob.slider[0] else knob.slider[1]


@pytest.mark.parametrize("knob", declared(), ids=lambda knob: knob.name)
def test_only_a_knob_of_the_network_runs_it_again_and_the_cache_never_shows(knob: Knob) -> None:
    if knob.name in OF_THE_SHOT:
        pytest.skip("a knob of the shot")
    plate, cache, network = a_plate(), StageCache(64.0), Counting()
    before = knobs(looks=2)
    value = OF_THE_NETWORK.get(knob.name) or other(knob)
    after = Knobs.from_flat({**before.to_flat(), knob.name: value})

    def rendered(chosen: Knobs) -> Plate:
        return pipeline.render(plate, a_face(), network, chosen, cache=cache, source="plate").plate

    first = rendered(before)
    ran = network.ran
    changed = rendered(after)
    assert (network.ran > ran) == (knob.name in OF_THE_NETWORK)
    ran = network.ran
    assert same_bits(rendered(before), first)
    assert network.ran == ran
    assert same_bits(changed, pipeline.render(plate, a_face(), Painter(), after).plate)


def test_without_a_name_for_the_plate_nothing_is_cached() -> None:
    cache, network = StageCache(64.0), Counting()
    for _ in range(2):
        pipeline.render(a_plate(), a_face(), network, knobs(looks=1), cache=cache)
    assert network.ran == 2
    assert cache.bytes == 0


def test_cancelling_stops_between_stages() -> None:
    with pytest.raises(Cancelled):
        pipeline.render(a_plate(), a_face(), Painter(), knobs(), cancel=lambda: True)
