from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from semblance import align, matte
from semblance.face import Crop, Inference, Matte, Roto
from semblance.knobs import MatteKnobs
from semblance.plate import Window

SIZE = 128
REGIONS = ["brows", "eyes", "nose", "mouth", "cheeks", "jaw", "forehead"]


def crop(pixels: np.ndarray | None = None) -> Crop:
    grey = np.full((SIZE, SIZE, 3), 0.4, np.float32)
    return Crop(grey if pixels is None else pixels, np.eye(2, 3), align.TEMPLATE)


def inference() -> Inference:
    grey = np.full((SIZE, SIZE, 3), 0.4, np.float32)
    return Inference(grey, matte.hull_mask(align.TEMPLATE, SIZE), grey)


def hull() -> np.ndarray:
    return matte.hull_mask(align.TEMPLATE, SIZE)


def made(**knobs: object) -> np.ndarray:
    return matte.canonical_matte(crop(), inference(), hull(), None, MatteKnobs(**knobs))


def test_a_matte_is_between_0_and_1_and_closed_before_the_crop_ends() -> None:
    for values in ({}, {"mask_grow": 25.0}, {"mask_feather": 25.0}, {"mask_gamma": 10.0}):
        pixels = made(**values)
        assert pixels.min() >= 0.0
        assert pixels.max() <= 1.0
        border = np.concatenate([pixels[0], pixels[-1], pixels[:, 0], pixels[:, -1]])
        assert border.max() == 0.0


@given(st.floats(-10.0, 10.0), st.floats(0.05, 3.0))
def test_growing_never_takes_a_pixel_away(grow: float, more: float) -> None:
    assert (made(mask_grow=grow + more) >= made(mask_grow=grow) - 1e-6).all()


def test_growing_has_no_steps() -> None:
    areas = np.array([made(mask_grow=grow).sum() for grow in np.arange(0.0, 4.0, 0.1)])
    steps = np.diff(areas)
    assert steps.min() > 0.0
    assert steps.max() < 2.5 * steps.mean()


@given(st.floats(0.2, 4.0), st.floats(1.05, 2.0))
def test_gamma_lifts_the_edge(gamma: float, times: float) -> None:
    assert (made(mask_gamma=gamma * times) >= made(mask_gamma=gamma) - 1e-6).all()


def test_feather_softens() -> None:
    def steepest(feather: float) -> float:
        return float(np.abs(np.diff(made(mask_feather=feather), axis=1)).max())

    assert steepest(0.0) > steepest(4.0) > steepest(12.0)


def test_the_regions_are_a_partition_of_the_face() -> None:
    masks = matte.region_masks(align.TEMPLATE, SIZE)
    assert set(masks) == set(REGIONS)
    assert np.abs(sum(masks.values()) - 1.0).max() < 1e-5
    assert min(mask.min() for mask in masks.values()) > -1e-6


@pytest.mark.parametrize("region", REGIONS)
def test_a_region_switched_off_is_held_out_and_the_others_stay(region: str) -> None:
    there, without = made(mask_feather=2.0), made(mask_feather=2.0, **{f"mask_{region}": False})
    own = matte.region_masks(align.TEMPLATE, SIZE)[region]
    inside = (own > 0.99) & (there > 0.99)
    assert inside.sum() > 5
    assert without[inside].mean() < 0.25
    elsewhere = own == 0.0
    far = elsewhere & (there > 0.0)
    assert np.abs(without[far] - there[far]).mean() < 0.02


def test_no_region_is_no_matte() -> None:
    assert made(**{f"mask_{region}": False for region in REGIONS}).max() == 0.0


def test_a_hull_moves_with_its_landmarks_by_less_than_a_pixel() -> None:
    """A hull drawn on whole pixels would jump; a quarter of a pixel must show as a quarter."""

    def centre(shift: float) -> float:
        mask = matte.hull_mask(align.TEMPLATE + np.array([shift / SIZE, 0.0]), SIZE)
        return float((mask.sum(axis=0) * np.arange(SIZE)).sum() / mask.sum())

    moved = [centre(shift) - centre(0.0) for shift in (0.25, 0.5, 0.75)]
    assert moved == pytest.approx([0.25, 0.5, 0.75], abs=0.06)


def test_what_is_held_out_is_held_out_of_matte_and_weights_whatever_the_knobs_say() -> None:
    held = np.zeros((SIZE, SIZE), np.float32)
    held[50:90, 50:80] = 1.0
    for values in ({}, {"mask_grow": 10.0}, {"mask_feather": 20.0}, {"mask_gamma": 5.0}):
        pixels = matte.canonical_matte(crop(), inference(), hull(), held, MatteKnobs(**values))
        assert pixels[50:90, 50:80].max() == 0.0
        assert pixels[30:45, 50:80].min() > 0.5
    assert matte.face_weights(inference(), hull(), held)[50:90, 50:80].max() == 0.0


def test_a_roto_multiplies_replaces_or_stands_alone() -> None:
    window = Window(10, 10, 30, 30)
    laid = Matte(np.full((20, 20), 0.5, np.float32), window)
    roto = Roto(np.full((40, 40), 0.8, np.float32), Window(0, 0, 40, 20))
    multiplied = matte.with_roto(laid, roto, MatteKnobs())
    assert multiplied.pixels[5, 5] == pytest.approx(0.4)
    assert multiplied.pixels[15, 5] == 0.0  # where the roto ends
    replaced = matte.with_roto(laid, roto, MatteKnobs(roto_mode="replace"))
    assert replaced.pixels[5, 5] == pytest.approx(0.8)
    added = matte.with_roto(laid, roto, MatteKnobs(roto_mode="add"))
    assert added.pixels[5, 5] == pytest.approx(1.0)
    assert added.pixels[15, 5] == pytest.approx(0.5)  # where the roto ends
    alone = MatteKnobs(mask_source="roto")
    assert matte.with_roto(laid, roto, alone).pixels[5, 5] == pytest.approx(0.8)
    assert matte.with_roto(laid, None, alone).pixels.max() == 0.0
    assert matte.with_roto(laid, None, MatteKnobs()) is laid
