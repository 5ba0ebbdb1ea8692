"""Light, colour and strength, in the canonical square and on the way to the plate."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from semblance import align, blend, colour
from semblance.face import Crop, Inference
from semblance.knobs import MatchKnobs

SIZE = 128


def disc(radius: float = 0.4) -> np.ndarray:
    y, x = (np.mgrid[:SIZE, :SIZE] + 0.5) / SIZE - 0.5
    return np.clip((radius - np.hypot(x, y)) * 12.0, 0.0, 1.0).astype(np.float32)


def noise(seed: int, scale: float = 0.1) -> np.ndarray:
    random = np.random.default_rng(seed)
    return (0.4 + random.normal(0.0, scale, (SIZE, SIZE, 3))).astype(np.float32)


def face(seed: int) -> np.ndarray:
    """Soft features of a size that a face has."""
    return 0.4 + 4.0 * (cv2.GaussianBlur(noise(seed), (0, 0), 3.0) - np.float32(0.4))


def crop(pixels: np.ndarray) -> Crop:
    return Crop(pixels, np.eye(2, 3), align.TEMPLATE)


def changed_by(
    seen: np.ndarray, drawn: Inference, strength: float, knobs: MatchKnobs
) -> np.ndarray:
    colours = blend.colours(crop(seen), drawn, disc(), knobs)
    return blend.match(crop(seen), drawn, disc(), strength, knobs, colours)


ALL_KNOBS = st.builds(
    MatchKnobs,
    light_match=st.floats(0.0, 1.0),
    colour_match=st.sampled_from(["none", "mean", "linear", "histogram"]),
    colour_amount=st.floats(0.0, 1.0),
    detail_match=st.floats(0.0, 1.0),
)


@given(ALL_KNOBS)
def test_at_strength_0_the_face_is_the_plate_whatever_the_network_draws(knobs: MatchKnobs) -> None:
    """The network's error on the performer, light and rest, comes off again."""
    own = noise(1)
    change = changed_by(noise(2), Inference(own, disc(), own), 0.0, knobs)
    assert np.abs(change).max() < 1e-6


@given(st.floats(0.0, 1.0), ALL_KNOBS)
def test_a_network_that_returns_its_input_changes_nothing(
    strength: float, knobs: MatchKnobs
) -> None:
    seen = noise(1)
    change = changed_by(seen, Inference(seen, disc(), seen), strength, knobs)
    assert np.abs(change).max() < 1e-5
    assert blend.changed(Inference(seen, disc(), seen), crop(seen), strength).max() == 0.0


def test_light_that_the_network_missed_goes_onto_the_new_face() -> None:
    """The plate is 0.1 brighter than the network's performer: so must the likeness be."""
    own, new = np.full((SIZE, SIZE, 3), 0.3, np.float32), np.full((SIZE, SIZE, 3), 0.6, np.float32)
    seen = own + np.float32(0.1)
    for amount, expected in ((0.0, 0.6), (0.5, 0.65), (1.0, 0.7)):
        knobs = MatchKnobs(light_match=amount, detail_match=0.0)
        made = seen + changed_by(seen, Inference(new, disc(), own), 1.0, knobs)
        assert made[SIZE // 2, SIZE // 2] == pytest.approx(expected, abs=1e-4)


@pytest.mark.parametrize(
    ("own_is_drawn", "like"),
    [(True, 0.95), (False, 0.85)],
    ids=["by its own error", "by the plate"],
)
def test_a_shadow_crosses_the_new_face_where_it_crosses_the_plate(
    own_is_drawn: bool, like: float
) -> None:
    """Frame by frame: the shadow's edge is where the plate has it, and nothing lags or pumps."""
    own, new = face(1), face(2)
    x = (np.arange(SIZE) + 0.5) / SIZE
    levels = []
    for edge in np.linspace(0.2, 0.8, 7):
        shadow = 1.0 - 0.4 / (1.0 + np.exp((x - edge) * 30.0))
        seen = (own * shadow[None, :, None]).astype(np.float32)
        drawn = Inference(new, disc(), own if own_is_drawn else None)
        made = seen + changed_by(seen, drawn, 1.0, MatchKnobs())
        low = [
            cv2.GaussianBlur(image.mean(axis=2), (0, 0), SIZE / 8)[SIZE // 2]
            for image in (made, seen, new, own)
        ]
        inside = slice(SIZE // 5, -SIZE // 5)
        # What the light did to the new face is what it did to the performer's.
        did, should = (low[0] - low[2])[inside], (low[1] - low[3])[inside]
        assert np.corrcoef(did, should)[0, 1] > like or np.ptp(should) < 0.02
        levels.append(low[0][inside].mean())
    steps = np.diff(levels)
    assert (steps < 0.0).all()
    assert np.abs(np.diff(steps)).max() < 0.6 * np.abs(steps).mean()


def test_a_match_by_the_plate_takes_the_complexion_and_one_by_its_own_error_leaves_it() -> None:
    own, new = np.full((SIZE, SIZE, 3), 0.3, np.float32), np.full((SIZE, SIZE, 3), 0.6, np.float32)
    middle = (SIZE // 2, SIZE // 2)
    kept = own + changed_by(own, Inference(new, disc(), own), 1.0, MatchKnobs())
    taken = own + changed_by(own, Inference(new, disc(), None), 1.0, MatchKnobs())
    assert kept[middle] == pytest.approx(0.6, abs=1e-3)
    assert taken[middle] == pytest.approx(0.3, abs=1e-3)


@pytest.mark.parametrize("mode", ["mean", "linear", "histogram"])
def test_colour_match_takes_its_statistics_inside_the_matte_alone(mode: str) -> None:
    seen, new = face(1), (face(2) * np.float32([1.4, 0.8, 0.6]) + 0.1).astype(np.float32)
    seen[disc() == 0.0] = 9.0
    knobs = MatchKnobs(colour_match=mode, light_match=0.0)
    made = seen + changed_by(seen, Inference(new, disc(), face(1)), 1.0, knobs)
    inside = disc() > 0.9
    before = np.abs(new[inside].mean(axis=0) - seen[inside].mean(axis=0))
    after = np.abs(made[inside].mean(axis=0) - seen[inside].mean(axis=0))
    assert before.max() > 0.05
    assert after.max() < 0.006


def test_colours_are_calmed_without_lag() -> None:
    """A flicker of the statistics is smoothed; a steady change of light stays where it is."""
    knobs = MatchKnobs(colour_match="mean")
    found = []
    for frame in range(5):
        seen = face(1) + np.float32(0.02 * frame)
        found.append(blend.colours(crop(seen), Inference(face(2), disc(), face(1)), disc(), knobs))
    calm = blend.calmed([(frame - 2, each) for frame, each in enumerate(found)])
    assert calm.plate.mean == pytest.approx(found[2].plate.mean, abs=1e-3)
    assert blend.calmed([]) is None


def laid(change: np.ndarray, plate: np.ndarray, seen: np.ndarray, another: float) -> np.ndarray:
    """Return a plate with a change laid in, where the crop sees `seen`; all of it light."""
    where = np.full(plate.shape[:2], another, np.float32)
    crop = colour.encode(seen)
    packed = blend.packed(crop, colour.encode(seen + change) - crop, where)
    change = np.empty_like(plate)
    blend.lay_in(plate, packed, change)
    return plate + change


@given(st.floats(0.0, 1.0), st.floats(-0.5, 0.5))
def test_a_blown_out_highlight_comes_back_as_bright_as_it_was(another: float, by: float) -> None:
    plate = np.full((SIZE, SIZE, 3), 0.4, np.float32)
    plate[30:34, 30:34] = 50.0
    made = laid(np.full_like(plate, by), plate, np.clip(plate, 0.0, 1.0), another)
    assert np.abs(made - plate)[30:34, 30:34].max() < 0.01
    assert made[10, 10] == pytest.approx(plate[10, 10] + by, abs=2e-6)


def test_the_performers_finest_detail_leaves_with_the_identity_and_stays_without() -> None:
    plate = noise(3, 0.02)
    shown = cv2.GaussianBlur(plate, (0, 0), 2.0)
    nothing = np.zeros_like(plate)
    for another, left in ((0.0, 1.0), (0.5, 0.5), (1.0, 0.0)):
        made = laid(nothing, plate, shown, another)
        assert made - shown == pytest.approx(left * (plate - shown), abs=2e-6)
