"""A drawn face, an ellipse of one hue with a pattern on it, and a provider that finds it."""

from __future__ import annotations

import cv2
import numpy as np

from semblance.align import TEMPLATE
from semblance.track.provider import Detection

CENTRE = np.array([0.5, 0.53])  # of the ellipse, canonical units
AXES = np.array([0.38, 0.46])
SKIN = np.array([0.30, 0.10, 0.04])
BACKCLOTH = np.array([0.03, 0.05, 0.08])


def landmarks_at(centre, size, roll=0.0):
    """Landmarks (68, 2) of a face whose canonical square has `size` pixels; roll in degrees."""
    turn = np.deg2rad(roll)
    rotation = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    return (TEMPLATE - CENTRE) @ rotation.T * size + np.asarray(centre, np.float64)


def draw(shape, faces, *, gain=1.0, seed=1, aspect=1.0, origin=(0, 0)):
    """A scene-linear picture, (h, w, 3) float32, of faces [(centre, size, roll)] in square pixels.

    With `aspect` the picture's pixels are that much wider than high; `origin` is the position of
    its first pixel.
    """
    height, width = shape
    rng = np.random.default_rng(seed)
    x = (np.arange(width) + 0.5 + origin[0]) * aspect
    y = np.arange(height) + 0.5 + origin[1]
    x, y = np.meshgrid(x, y)
    picture = np.broadcast_to(BACKCLOTH, (height, width, 3)) * (
        1.0 + 0.3 * np.sin(x / 9.0)[..., None]
    )
    for centre, size, roll in faces:
        turn = np.deg2rad(roll)
        u = ((x - centre[0]) * np.cos(turn) + (y - centre[1]) * np.sin(turn)) / size
        v = (-(x - centre[0]) * np.sin(turn) + (y - centre[1]) * np.cos(turn)) / size
        radius = np.hypot(u / AXES[0], v / AXES[1])
        edge = np.clip((1.0 - radius) * AXES.mean() * size / aspect + 0.5, 0.0, 1.0)
        phase = rng.uniform(0.0, 6.0, 3)
        pattern = 1.0 + 0.35 * np.sin(40.0 * u + phase[0]) * np.sin(37.0 * v + phase[1])
        pattern = pattern * (1.0 + 0.9 * (np.cos(phase[2]) * u + np.sin(phase[2]) * v))
        lips = ((np.abs(u) < 0.12) & (np.abs(v - 0.14) < 0.04))[..., None] * np.array(
            [0.1, 0, 0.06]
        )
        face = SKIN * pattern[..., None] + lips
        picture = picture + edge[..., None] * (face - picture)
    return (picture * gain).astype(np.float32)


class DrawnFaces:
    """Finds drawn faces by their hue, as a `semblance.track.provider.FaceProvider`."""

    name = "drawn"

    def find(self, image):
        image = np.clip(image, 0.0, 1.0)
        reddish = image[..., 0] > 0.42 * image.sum(-1)
        seen = (reddish & (image[..., 0] > 0.05)).astype(np.uint8)
        count, labels, stats, _ = cv2.connectedComponentsWithStats(seen)
        order = sorted(range(1, count), key=lambda label: -stats[label, cv2.CC_STAT_AREA])
        large = [label for label in order if stats[label, cv2.CC_STAT_AREA] > 200]
        return tuple(self._detection(labels == label) for label in large)

    def refine(self, image, near):
        middle = near.mean(0)
        found = self.find(image)
        reach = np.ptp(near, axis=0).max() / 2
        close = [one for one in found if np.linalg.norm(one.landmarks.mean(0) - middle) < reach]
        return min(
            close, key=lambda one: np.linalg.norm(one.landmarks.mean(0) - middle), default=None
        )

    def _detection(self, inside):
        y, x = np.nonzero(inside)
        points = np.stack([x + 0.5, y + 0.5], 1)
        centre = points.mean(0)
        size = np.sqrt(len(points) / (np.pi * AXES.prod()))
        spread = np.cov((points - centre).T)
        roll = 0.5 * np.arctan2(2 * spread[0, 1], spread[1, 1] - spread[0, 0])
        landmarks = landmarks_at(centre, size, -np.rad2deg(roll))
        return Detection(0.9, landmarks.astype(np.float32))
