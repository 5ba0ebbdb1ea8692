"""Render pairs of random people of the morphable face: one expression, pose, lens and light.

Each person has a face, skin, brows, beard, eyes and a cap of hair of their own. Each pair is two
people who do the same thing before the same camera, so what the two pictures share is all that a
performance is, and what differs is who they are. Pictures are canonical crops with a margin, in
the working encoding.

    python bench/pretrain/pairs.py --pairs 8000 --out /tmp/pairs

Needs numba, scipy and the morphable face in ../shared/studio/ict_face; no part of the product.
"""

from __future__ import annotations

import argparse
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).parents[1] / "landmarks"))

import render as heads
from raster import interpolate, rasterise

from semblance import align, colour

MARGIN = 0.125  # as facesets have it
SIZE = 160  # of a picture: 128 and the margins
FINE = 240  # as drawn, before it is averaged down
PEOPLE = 400
SKIN = np.array([[1.34, 0.94, 0.74], [1.62, 0.90, 0.52]], np.float32)  # fair and dark, RGB
LIPS = np.array([1.5, 0.75, 0.75], np.float32)


@dataclass(frozen=True)
class Person:
    """One person as the rasteriser needs them."""

    neutral: np.ndarray  # (V, 3)
    lift: np.ndarray  # (V,), centimetres of hair over the scalp
    albedo: np.ndarray  # (V, 3)
    sheen: np.ndarray  # (V,)
    lashes: float


def random_person(head: heads.Head, rng: np.random.Generator) -> Person:
    neutral = heads.random_person(head, rng)
    look = heads._albedo(head, neutral, rng)
    level = look["albedo"]
    dark = float(np.clip(1.0 - np.median(level) / 0.6, 0.0, 1.0))
    tint = (SKIN[0] + dark * (SKIN[1] - SKIN[0])) * rng.normal(1.0, 0.05, 3)
    tints = np.broadcast_to(tint, (len(level), 3)).copy()
    red = head.part["lips"][:, None] * rng.uniform(0.2, 1.0)
    tints += red * (tint * LIPS - tints)
    grey = [head.part[name] > 0 for name in ("teeth", "M_ScleraLeft", "M_ScleraRight")]
    tints[np.logical_or.reduce(grey)] = (1.04, 1.0, 0.93)
    tints[head.part["iris"] > 0] = np.exp(rng.normal(0.0, 0.35, 3))
    inside = (head.part["gums"] + head.part["socket"]) > 0
    tints[inside] = (1.7, 0.75, 0.7)
    hair = np.zeros(len(level), np.float32)
    lift = np.zeros(len(level), np.float32)
    if rng.random() > 0.1:
        moved = neutral.copy()
        normals = heads.vertex_normals(neutral, head.triangles)
        hair = heads._hair(head, moved, normals, rng)
        lift = ((moved - neutral) * normals).sum(1)
    strand = np.array([1.25, 1.0, 0.75]) ** rng.uniform(0.0, 1.6)
    albedo = level[:, None] * tints / (tints @ (0.2126, 0.7152, 0.0722))[:, None]
    coat = np.maximum(hair, 0.6 * look["beard"])[:, None]
    albedo += coat * (look["hair"] * strand - albedo)
    sheen = look["sheen"] * (1.0 - hair)
    return Person(neutral, lift, np.float32(albedo), np.float32(sheen), rng.uniform(0.0, 0.6))


@dataclass(frozen=True)
class Take:
    """What both people of a pair do, and how they are filmed."""

    expression: dict[str, float]
    turn: np.ndarray  # (3, 3)
    distance: float  # centimetres
    lights: tuple[tuple[np.ndarray, np.ndarray, float, float], ...]  # towards, RGB, wrap, power
    sky: np.ndarray  # RGB
    behind: np.ndarray  # (SIZE, SIZE, 3)
    stops: float


def random_take(head: heads.Head, rng: np.random.Generator) -> Take:
    yaw = np.clip(rng.normal() * 26, -65, 65)
    pitch, roll = np.clip(rng.normal() * 12, -30, 30), rng.normal() * 8
    lights = []
    for k in range(rng.integers(1, 4)):
        strength = rng.uniform(0.4, 1.6) if k == 0 else rng.uniform(0.0, 0.9)
        hue = np.exp(rng.normal(0.0, 0.12 if rng.random() < 0.7 else 0.5, 3))
        towards = heads._direction(rng, up=k == 0)
        light = np.float32(strength * hue / hue.mean())
        lights.append((towards, light, rng.uniform(0.0, 0.35), rng.uniform(8, 45)))
    nodes = int(rng.integers(2, 9))
    tone = rng.beta(0.7, 1.2, (nodes, nodes, 1)) + rng.normal(0.0, 0.08, (nodes, nodes, 3))
    behind = cv2.resize(tone.astype(np.float32), (SIZE, SIZE)).clip(0.0, 1.0)
    return Take(
        heads.random_expression(rng, head.names),
        heads.rotation(yaw, pitch, roll),
        float(np.exp(rng.uniform(np.log(45), np.log(300)))),
        tuple(lights),
        np.float32(rng.uniform(0.08, 0.8) * np.exp(rng.normal(0.0, 0.12, 3))),
        np.float32(behind**2),
        float(rng.normal(0.0, 0.25)),
    )


def draw(head: heads.Head, person: Person, take: Take) -> tuple[np.ndarray, np.ndarray]:
    """Return a person in a take: (SIZE, SIZE, 3) scene-linear light and (68, 2) landmarks."""
    vertices = person.neutral.copy()
    for name, weight in take.expression.items():
        vertices += np.float32(weight) * head.expression[head.names.index(name)]
    marks = vertices[head.landmarks]
    normals = heads.vertex_normals(vertices, head.triangles)
    vertices += normals * person.lift[:, None]
    if person.lift.any():
        normals = heads.vertex_normals(vertices, head.triangles)
    pivot = np.array([0, 0, 4], np.float32)
    posed, marks = ((p - pivot) @ take.turn.T for p in (vertices, marks))

    def project(p: np.ndarray) -> np.ndarray:
        return p[:, :2] * (1, -1) * (take.distance / (take.distance - p[:, 2:3]))

    matrix = align.fit(project(marks))
    wide = FINE / (1.0 + 2.0 * MARGIN)

    def place(p: np.ndarray) -> np.ndarray:
        return (align.transform(project(p), matrix) + MARGIN) * wide

    xy, depth = place(posed), take.distance - posed[:, 2]
    attributes = np.concatenate(
        [
            normals @ take.turn.T,
            posed,
            person.albedo,
            person.sheen[:, None],
            head.ambient[:, None],
        ],
        axis=1,
    )
    of = [torch.from_numpy(np.ascontiguousarray(each, np.float32)) for each in (xy, depth)]
    triangles = torch.from_numpy(head.triangles.astype(np.int64))
    found = rasterise(*of, triangles, FINE)
    buffer = interpolate(found, of[0], triangles, torch.from_numpy(np.float32(attributes)))
    picture = light(head, take, posed, triangles, buffer.numpy())
    if person.lashes:
        lashes = torch.from_numpy(head.lashes.astype(np.int64))
        veil = rasterise(of[0], of[1] - 0.02, lashes, FINE, cull=False)
        covered = (veil >= 0).numpy().astype(np.float32)
        picture *= 1.0 - person.lashes * cv2.GaussianBlur(covered, None, 1.2)[..., None]
    alpha = (found >= 0).numpy().astype(np.float32)[..., None]
    small = (SIZE, SIZE)
    picture = cv2.resize(picture * alpha, small, interpolation=cv2.INTER_AREA)
    alpha = cv2.resize(alpha, small, interpolation=cv2.INTER_AREA)[..., None]
    key = float(np.median((picture / np.maximum(alpha, 1e-3)).mean(-1)[alpha[..., 0] > 0.9]))
    picture = picture + (1.0 - alpha) * take.behind * max(key, 1e-3) * 2.5
    return picture, place_marks(marks, project, matrix)


def place_marks(marks: np.ndarray, project, matrix: np.ndarray) -> np.ndarray:
    return (align.transform(project(marks), matrix) + MARGIN) * (SIZE / (1.0 + 2.0 * MARGIN))


def light(
    head: heads.Head, take: Take, posed: np.ndarray, triangles: torch.Tensor, buffer: np.ndarray
) -> np.ndarray:
    normal = buffer[..., :3] / (np.linalg.norm(buffer[..., :3], axis=-1, keepdims=True) + 1e-6)
    albedo, sheen, ambient = buffer[..., 6:9], buffer[..., 9:10], buffer[..., 10:11]
    up = 0.5 + 0.5 * normal[..., 1:2]
    total = take.sky * ambient * (0.5 + 0.5 * up)
    gloss = np.zeros_like(total)
    for k, (towards, strength, wrap, power) in enumerate(take.lights):
        lambert = (normal @ towards)[..., None]
        lit = np.clip((lambert + wrap) / (1 + wrap), 0, None)
        if k == 0:
            lit = lit * shadow(posed, triangles, towards, buffer[..., 3:6])[..., None]
        total = total + strength * lit
        half = towards + np.array([0, 0, 1], np.float32)
        half /= np.linalg.norm(half)
        glint = np.clip((normal @ half)[..., None], 0, None)
        gloss += strength * sheen * glint ** np.where(sheen > 0.45, 120.0, power) * (lit > 0)
    return np.float32(np.maximum(albedo, 0) * total + gloss * ambient)


def shadow(
    posed: np.ndarray, triangles: torch.Tensor, towards: np.ndarray, places: np.ndarray
) -> np.ndarray:
    """Return how much of a far light reaches each of (h, w, 3) places: 0..1, soft."""
    side, bias = 128, 0.5
    up = np.array([0, 0, 1] if abs(towards[1]) > 0.9 else [0, 1, 0], np.float32)
    x = np.cross(up, towards)
    x /= np.linalg.norm(x)
    axes = np.stack([x, -np.cross(towards, x)], 1).astype(np.float32)
    flat = posed @ axes
    low = flat.min(0)
    scale = (side - 4) / (flat.max(0) - low).max()
    xy = torch.from_numpy(np.float32((flat - low) * scale + 2))
    depth = torch.from_numpy(np.float32(100.0 - posed @ towards))
    found = rasterise(xy, depth, triangles, side)
    near = interpolate(found, xy, triangles, depth[:, None])[..., 0].numpy()
    near = np.where(found.numpy() < 0, np.float32(1e3), near)
    at = np.float32((places @ axes - low) * scale + 2) - 0.5
    first = cv2.remap(near, at[..., 0], at[..., 1], cv2.INTER_NEAREST, borderValue=1e3)
    lit = np.clip((first + bias - (100.0 - places @ towards)) / bias + 0.5, 0, 1)
    return cv2.GaussianBlur(lit.astype(np.float32), None, 2.0)


def main() -> None:
    """Write `pictures` (pairs, 2, SIZE, SIZE, 3), `landmarks` and `people`, one .npy each."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pairs", type=int, default=8000)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    cv2.setNumThreads(1)
    torch.set_num_threads(1)
    given.out.mkdir(parents=True, exist_ok=True)
    head = heads.load_head()
    people_seen: dict[int, Person] = {}

    def person(who: int) -> Person:
        if who not in people_seen:
            rng = np.random.default_rng((given.seed, 0, who))
            people_seen[who] = random_person(head, rng)
        return people_seen[who]

    def array(name: str, shape: tuple[int, ...], kind: type) -> np.ndarray:
        path = given.out / f"{name}.npy"
        return np.lib.format.open_memmap(path, mode="w+", dtype=kind, shape=shape)

    pictures = array("pictures", (given.pairs, 2, SIZE, SIZE, 3), np.uint16)
    landmarks = array("landmarks", (given.pairs, 2, 68, 2), np.float32)
    people = array("people", (given.pairs, 2), np.int32)
    start = time.perf_counter()
    for i in range(given.pairs):
        rng = np.random.default_rng((given.seed, 1, i))
        pair, take = rng.choice(PEOPLE, 2, replace=False), random_take(head, rng)
        drawn = [draw(head, person(who), take) for who in pair]
        # One exposure for both: a complexion is part of who they are.
        face = np.concatenate([each[40:120, 40:120].mean(-1).ravel() for each, _ in drawn])
        stops = np.log2(0.18 / max(float(np.median(face)), 1e-4)) + take.stops
        for j, (picture, points) in enumerate(drawn):
            code = colour.encode(np.float32(picture), stops)
            pictures[i, j] = np.round(np.clip(code, 0.0, 1.0) * 65535.0)
            landmarks[i, j], people[i, j] = points, pair[j]
        if i % 100 == 99:
            (given.out / "done").write_text(str(i + 1))
            print(f"{i + 1} pairs, {time.perf_counter() - start:.0f} s", flush=True)


if __name__ == "__main__":
    main()
