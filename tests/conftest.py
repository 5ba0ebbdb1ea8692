from __future__ import annotations

import os
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import settings

from semblance import align
from semblance.face import Face, Inference
from semblance.plate import Plate, Window

# A machine under load is no failure; and in CI a run that found nothing must find nothing again.
settings.register_profile("semblance", deadline=None, derandomize="CI" in os.environ)
settings.load_profile("semblance")

STUDIO = Path(__file__).parents[2] / "shared" / "studio"


@pytest.fixture(autouse=True)
def _plain_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """No test depends on what the person who runs it has set."""
    monkeypatch.delenv("OCIO", raising=False)
    cv2.setNumThreads(1)


@pytest.fixture
def studio() -> Path:
    if not STUDIO.is_dir():
        pytest.skip("the studio set (../shared/studio) is not here")
    return STUDIO


WHOLE = Window(0, 0, 120, 90)


class Painter:
    """A network that runs: it lifts red by the strength, and sees a soft disc as the face."""

    provider = "memory"
    sha256 = "painter"

    def __init__(self, size: int = 64, change: float = 0.2) -> None:
        self.size = size
        self.change = np.float32(change)

    def infer(self, crop: np.ndarray, strength: float) -> Inference:
        rgb = crop.copy()
        rgb[..., 0] += self.change * np.float32(strength)
        y, x = (np.mgrid[: self.size, : self.size] + 0.5) / self.size - 0.5
        matte = np.clip((0.4 - np.hypot(x, y)) * 10.0, 0.0, 1.0).astype(np.float32)
        return Inference(rgb, matte, crop)


def a_face(
    centre: tuple[float, float] = (60.0, 45.0), width: float = 60.0, roll: float = 0.0
) -> Face:
    """The template itself, laid into a plate."""
    angle = np.radians(roll)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    points = (align.TEMPLATE - align.TEMPLATE.mean(axis=0)) @ turn.T * width / 0.8 + centre
    return Face(points, luma=0.12)


def a_plate(window: Window = WHOLE, *, highlight: float = 50.0, seed: int = 1) -> Plate:
    """Skin-like values under a gradient with grain, half float, with a highlight far above 1."""
    random = np.random.default_rng(seed)
    y, x = np.mgrid[window.y0 : window.y1, window.x0 : window.x1].astype(np.float32)
    base = 0.12 + 0.05 * np.sin(x / 17.0) + 0.04 * np.cos(y / 23.0)
    picture = base[..., None] * np.float32([1.3, 0.95, 0.7])
    picture += random.normal(0.0, 0.004, picture.shape).astype(np.float32)
    if highlight:
        picture[(x > 62) & (x < 66) & (y > 43) & (y < 47)] = highlight
    channels = {name: picture[..., i].astype(np.float16) for i, name in enumerate("RGB")}
    channels["id"] = random.integers(0, 2**32, y.shape, dtype=np.uint32)
    return Plate(channels, window, WHOLE)
