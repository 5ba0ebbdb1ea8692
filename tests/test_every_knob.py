"""No knob is a dummy: two values of each change what comes out."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest

from conftest import a_face, a_plate
from semblance import pipeline
from semblance.face import Inference, Roto
from semblance.knobs import Knobs, declared
from semblance.plate import Window

OF_THE_SHOT = {"model", "likeness", "face", "track_file", "roto_file", "smoothing"}
"""Knobs that are spent before a frame is rendered; tests/test_cli.py and tests/test_roto.py turn
them."""

NEEDS = {
    "roto_mode": {"mask_source": "hull"},
    "colour_amount": {"colour_match": "mean"},
    "mask_gamma": {"mask_feather": 6.0},
}
"""What else must be set for a knob to have something to do."""

WINDOW = Window(0, 0, 120, 90)
FACE = a_face()


class Draughtsman:
    """A network with its own idea of light, softness and colour, that knows no hand."""

    size = 64
    sha256 = "draughtsman"

    def infer(self, crop: np.ndarray, strength: float) -> Inference:
        own = 0.9 * cv2.GaussianBlur(crop, (0, 0), 1.5) + np.float32(0.02)
        own[_hand(self.size)] = own.mean(axis=(0, 1))
        rgb = own + np.float32(strength) * np.float32([0.08, -0.05, 0.02])
        y, x = (np.mgrid[: self.size, : self.size] + 0.5) / self.size - 0.5
        matte = np.clip((0.36 - np.hypot(x - 0.06, y)) * 8.0, 0.0, 1.0).astype(np.float32)
        return Inference(rgb.astype(np.float32), matte, own.astype(np.float32))


def _hand(size: int) -> tuple[slice, slice]:
    return slice(int(0.55 * size), int(0.75 * size)), slice(int(0.35 * size), int(0.6 * size))


def _plate():
    plate = a_plate()
    picture = plate.picture()
    picture[48:62, 50:65] = (0.9, 0.8, 0.7)  # the hand
    return plate.with_picture(picture, WINDOW, np.ones(picture.shape[:2], bool))


def _roto() -> Roto:
    drawn = np.zeros((WINDOW.height, WINDOW.width), np.float32)
    drawn[10:60, 45:75] = 0.8
    return Roto(drawn, WINDOW)


def _other(knob):
    """A value that is not the default."""
    if knob.kind == "bool":
        return not knob.default
    if knob.kind == "choice":
        return next(choice for choice in knob.choices if choice != knob.default)
    if knob.kind == "text":
        return "ACEScg"
    low, high = knob.slider
    return low if abs(knob.default - low) > abs(high - knob.default) else high


def _picture(values, roto=None):
    knobs = Knobs.from_flat({"mask_occlusion": 0.0, **values})
    result = pipeline.render(_plate(), FACE, Draughtsman(), knobs, stops=0.7, roto=roto)
    return result.plate.picture()


@pytest.mark.parametrize("knob", declared(), ids=lambda knob: knob.name)
def test_every_knob_changes_the_picture(knob):
    if knob.name in OF_THE_SHOT:
        pytest.skip("a knob of the shot: tests/test_cli.py turns it")
    given = NEEDS.get(knob.name, {})
    roto = _roto() if knob.name == "roto_mode" else None
    before = _picture({**given, knob.name: knob.default}, roto)
    after = _picture({**given, knob.name: _other(knob)}, roto)
    assert np.abs(after - before).max() > 1e-3


@pytest.mark.parametrize("knob", [k for k in declared() if k.choices], ids=lambda knob: knob.name)
def test_every_choice_is_different_from_every_other(knob):
    pictures = [_picture({knob.name: choice}, _roto()) for choice in knob.choices]
    for index, picture in enumerate(pictures):
        for other in pictures[index + 1 :]:
            assert np.abs(picture - other).max() > 1e-4


def test_without_the_face_every_knob_leaves_the_plate_alone():
    values = {
        knob.name: _other(knob)
        for knob in declared()
        if knob.name not in OF_THE_SHOT and knob.name != "view"
    }
    result = pipeline.render(_plate(), None, Draughtsman(), Knobs.from_flat(values))
    assert (result.plate.picture() == _plate().picture()).all()


def test_the_matte_moves_with_the_landmarks():
    moved = replace(FACE, landmarks=FACE.landmarks + np.array([12.0, 5.0]))
    knobs = Knobs.from_flat({"view": "matte", "mask_occlusion": 0.0})
    here = pipeline.render(_plate(), FACE, Draughtsman(), knobs).plate.picture()[..., 0]
    there = pipeline.render(_plate(), moved, Draughtsman(), knobs).plate.picture()[..., 0]
    rows, columns = np.nonzero(here > 0.5)
    moved_rows, moved_columns = np.nonzero(there > 0.5)
    assert moved_columns.mean() - columns.mean() == pytest.approx(12.0, abs=1.5)
    assert moved_rows.mean() - rows.mean() == pytest.approx(5.0, abs=1.5)
