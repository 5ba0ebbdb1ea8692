"""Render what the occluder network is trained on: heads without hair over them, and occluders.

    python bench/occluder/render.py heads --count 1500 --out /tmp/occluder/heads
    python bench/occluder/render.py occluders --count 2000 --out /tmp/occluder/things

Heads come from the morphable face by `bench/landmarks/render.py`, in luma, less its flat locks of
hair: those lie before the face, and nobody says where. Occluders are signed distance fields of
capsules, cylinders and boxes, sphere-traced (Hart, "Sphere tracing", The Visual Computer 12, 1996)
in parallel projection: hands of 19 phalanges with and without what they hold, microphones, cups,
phones, rods, bottles. What is kept of an occluder is its shape (normals, openness, part, pattern);
its materials and its light are drawn anew each time it is used.

Needs numba, scipy and the morphable face in ../shared/studio/ict_face; no part of the product.
"""

from __future__ import annotations

import argparse
import itertools
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numba
import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "landmarks"))
import render as faces

SIDE = 288  # of a cached occluder, pixels
SCALE = 7.0  # pixels to the centimetre in it
SKIN, NAIL, PROP, SECOND = 1, 2, 3, 4  # parts; 0 is nothing
CAPSULE, CYLINDER, BOX = 0, 1, 2

Vector = np.ndarray


# --- signed distance fields ------------------------------------------------------------------


@numba.njit(cache=True, fastmath=True)
def _primitive(p, x, y, z):
    """Distance to one primitive: kind, a (3), b (3), radius at a, at b, rounding, axes (9)."""
    kind = int(p[0])
    dx, dy, dz = x - p[1], y - p[2], z - p[3]
    if kind == 2:
        qx = abs(p[10] * dx + p[11] * dy + p[12] * dz) - p[4]
        qy = abs(p[13] * dx + p[14] * dy + p[15] * dz) - p[5]
        qz = abs(p[16] * dx + p[17] * dy + p[18] * dz) - p[6]
        ox, oy, oz = max(qx, 0.0), max(qy, 0.0), max(qz, 0.0)
        far = (ox * ox + oy * oy + oz * oz) ** 0.5
        return far + min(max(qx, max(qy, qz)), 0.0) - p[9]
    ax, ay, az = p[4] - p[1], p[5] - p[2], p[6] - p[3]
    length = (ax * ax + ay * ay + az * az) ** 0.5 + 1e-6
    along = (dx * ax + dy * ay + dz * az) / length
    t = min(max(along / length, 0.0), 1.0)
    radius = p[7] + (p[8] - p[7]) * t
    if kind == 0:
        ex, ey, ez = dx - t * ax, dy - t * ay, dz - t * az
        return (ex * ex + ey * ey + ez * ez) ** 0.5 - radius
    across = max(dx * dx + dy * dy + dz * dz - along * along, 0.0) ** 0.5
    u, v = abs(along - 0.5 * length) - 0.5 * length, across - radius
    ou, ov = max(u, 0.0), max(v, 0.0)
    return (ou * ou + ov * ov) ** 0.5 + min(max(u, v), 0.0) - p[9]


@numba.njit(cache=True, fastmath=True)
def _scene(prims, x, y, z, webbing):
    """Distance to all, and the nearest primitive; those of a part below 3 run into each other."""
    skin, near, which = 1e3, 1e3, -1
    for i in range(prims.shape[0]):
        d = _primitive(prims[i], x, y, z)
        if d < near:
            near = d
            which = i
        if prims[i, 19] < 3:
            h = max(webbing - abs(d - skin), 0.0) / webbing
            skin = min(d, skin) - h * h * webbing * 0.25
    return min(near, skin), which


@numba.njit(cache=True, fastmath=True)
def _trace(prims, side, scale, webbing):
    """Normals (side, side, 3), openness, index of the primitive (-1 none), hit points."""
    normal = np.zeros((side, side, 3), np.float32)
    open_ = np.zeros((side, side), np.float32)
    part = np.full((side, side), -1, np.int32)
    place = np.zeros((side, side, 3), np.float32)
    top = 16.0
    for row in range(side):
        for column in range(side):
            x = (column + 0.5 - side / 2) / scale
            y = -(row + 0.5 - side / 2) / scale
            z = top
            which = -1
            for _ in range(64):
                d, which = _scene(prims, x, y, z, webbing)
                if d < 0.015:
                    break
                z -= max(0.9 * d, 0.01)
                if z < -16.0:
                    which = -1
                    break
            if which < 0 or z < -16.0:
                continue
            e = 0.03
            d0, _ = _scene(prims, x, y, z, webbing)
            nx = _scene(prims, x + e, y, z, webbing)[0] - d0
            ny = _scene(prims, x, y + e, z, webbing)[0] - d0
            nz = _scene(prims, x, y, z + e, webbing)[0] - d0
            length = (nx * nx + ny * ny + nz * nz) ** 0.5 + 1e-9
            nx, ny, nz = nx / length, ny / length, nz / length
            normal[row, column, 0], normal[row, column, 1], normal[row, column, 2] = nx, ny, nz
            a = 0.0
            for step in (0.35, 1.0):
                d, _ = _scene(prims, x + nx * step, y + ny * step, z + nz * step, webbing)
                a += min(max(d / step, 0.0), 1.0)
            open_[row, column] = 0.5 * a
            part[row, column] = which
            place[row, column, 0], place[row, column, 1], place[row, column, 2] = x, y, z
    return normal, open_, part, place


# --- things ----------------------------------------------------------------------------------


@dataclass
class Thing:
    """Primitives that are being put together, in centimetres; x right, y up, z to the camera."""

    rows: list[list[float]] = field(default_factory=list)

    def add(
        self, kind: int, a: Vector, b: Vector, radii: tuple[float, float], part: int,
        *, rounding: float = 0.0, axes: Vector | None = None,
    ) -> None:  # fmt: skip
        """Add a primitive; of a box `b` are the half sides and `axes` its rows."""
        frame = np.eye(3) if axes is None else axes
        self.rows.append([kind, *a, *b, *radii, rounding, *frame.ravel(), part])

    def moved(self, turn: Vector, shift: Vector) -> Thing:
        """Return the thing turned about the origin and then shifted."""
        out = Thing()
        for row in self.rows:
            r = np.array(row)
            a = turn @ r[1:4] + shift
            b = r[4:7] if r[0] == BOX else turn @ r[4:7] + shift
            axes = r[10:19].reshape(3, 3) @ turn.T
            out.rows.append([r[0], *a, *b, r[7], r[8], r[9], *axes.ravel(), r[19]])
        return out


def _turn(rng: np.random.Generator) -> Vector:
    """Return a random rotation."""
    q, r = np.linalg.qr(rng.normal(size=(3, 3)))
    q = q * np.sign(np.diag(r))
    return q if np.linalg.det(q) > 0 else -q


def hand(rng: np.random.Generator, curl: float | None = None) -> Thing:
    """Build a hand: palm, four fingers and a thumb, forearm; `curl` 0 flat .. 1 fist."""
    thing = Thing()
    size = rng.uniform(0.85, 1.15)
    thick = rng.uniform(0.85, 1.15)
    bend = curl if curl is not None else rng.choice([rng.uniform(0, 0.35), rng.uniform(0.2, 1.1)])
    spread = rng.uniform(-0.02, 0.22)
    missing = rng.random(4) < 0.08  # folded away
    for k in range(4):
        x = (k - 1.5) * 2.0
        base = np.array([x, 4.3 - 0.25 * (k - 1.2) ** 2, 0.0])
        thing.add(CAPSULE, [0.6 * x, -3.5, 0], base, (1.5 * thick, 1.15 * thick), SKIN)
        lean = (k - 1.5) * spread + rng.normal() * 0.04
        angle = 0.0
        own = np.clip(bend + rng.normal() * 0.13, -0.1, 1.2) + 0.9 * missing[k]
        at = base
        length = np.array([4.4, 2.8, 2.2]) * (1 - 0.07 * (k - 1.3) ** 2)
        radii = np.array([1.0, 0.88, 0.8, 0.68]) * thick * (0.88 if k == 3 else 1)
        for j in range(3):
            angle += own * (1.35, 1.6, 0.9)[j]
            step = np.array(
                [np.sin(lean) * np.cos(angle), np.cos(lean) * np.cos(angle), np.sin(angle)]
            )
            to = at + step * length[j]
            thing.add(CAPSULE, at, to, (radii[j], radii[j + 1]), SKIN)
            if j == 2:
                back = np.array([0, -np.sin(angle), np.cos(angle)])
                nail = to - back * 0.28 * thick - 0.1 * step
                thing.add(CAPSULE, nail - 0.5 * step, nail + 0.2 * step, (0.48, 0.5), NAIL)
            at = to
    side = np.array([-3.2, -1.8, 0.4])
    out, fold = rng.uniform(0.2, 1.2), rng.uniform(-0.2, 0.9)
    first = np.array([-np.sin(out), np.cos(out) * 0.9, np.sin(fold)])
    first /= np.linalg.norm(first)
    second = first + np.array([0.5 * fold, 0.3, 0.3 * fold])
    second /= np.linalg.norm(second)
    thing.add(CAPSULE, [-1.0, -3.5, 0.2], side, (1.7 * thick, 1.5 * thick), SKIN)
    thing.add(CAPSULE, side, side + 3.6 * first, (1.35 * thick, 1.05 * thick), SKIN)
    tip = side + 3.6 * first
    thing.add(CAPSULE, tip, tip + 2.8 * second, (1.02 * thick, 0.78 * thick), SKIN)
    wrist = np.array([0, -5.0, -0.3])
    elbow = wrist + 26.0 * np.array([rng.normal() * 0.2, -1.0, rng.normal() * 0.3])
    sleeve = rng.random() < 0.4
    if sleeve:
        cuff = wrist + (elbow - wrist) * rng.uniform(0.05, 0.25)
        thing.add(CAPSULE, cuff, elbow, (3.6, 4.6), SECOND)
    thing.add(CAPSULE, wrist, elbow, (2.6 * thick, 3.7 * thick), SKIN)
    mirror = np.diag([-1.0 if rng.random() < 0.5 else 1.0, 1.0, 1.0])
    for row in thing.rows:  # a left or a right hand
        row[1:4], row[4:7] = list(mirror @ row[1:4] * size), list(mirror @ row[4:7] * size)
        row[7], row[8] = row[7] * size, row[8] * size
    return thing


def microphone(rng: np.random.Generator) -> Thing:
    """Build a microphone along y, its head up."""
    thing = Thing()
    head = rng.uniform(1.7, 3.2)
    tall = head * rng.uniform(0, 0.7) * (rng.random() < 0.5)
    thing.add(CAPSULE, [0, -0.3 * tall, 0], [0, tall, 0], (0.95 * head, head), PROP)
    neck = -0.75 * head - 0.3 * tall
    grip = head * rng.uniform(0.4, 0.85)
    thing.add(
        CYLINDER, [0, neck, 0], [0, neck - rng.uniform(9, 22), 0],
        (grip, grip * rng.uniform(0.45, 1.0)), SECOND if rng.random() < 0.7 else PROP,
        rounding=0.15,
    )  # fmt: skip
    if rng.random() < 0.4:
        thing.add(CYLINDER, [0, neck - 0.5, 0], [0, neck + 0.6, 0], (0.9 * head, 0.95 * head),
                  SECOND, rounding=0.1)  # fmt: skip
    return thing


def rod(rng: np.random.Generator) -> Thing:
    """Build a stick, pen, cigarette, stand or pole along y."""
    thing = Thing()
    radius = np.exp(rng.uniform(np.log(0.22), np.log(2.2)))
    long = np.exp(rng.uniform(np.log(6), np.log(50)))
    kind = CYLINDER if rng.random() < 0.7 else CAPSULE
    taper = rng.uniform(0.4, 1.0)
    thing.add(kind, [0, 0.5 * long, 0], [0, -0.5 * long, 0], (radius * taper, radius), PROP)
    if rng.random() < 0.4:
        split = rng.uniform(-0.3, 0.5) * long
        thing.add(CYLINDER, [0, split, 0], [0, split + 0.2 * long, 0],
                  (1.12 * radius, 1.12 * radius), SECOND)  # fmt: skip
    return thing


def cup(rng: np.random.Generator) -> Thing:
    """Build a cup, glass, bottle or can along y."""
    thing = Thing()
    radius, tall = rng.uniform(2.2, 4.6), rng.uniform(5, 14)
    thing.add(CYLINDER, [0, 0.5 * tall, 0], [0, -0.5 * tall, 0],
              (radius, radius * rng.uniform(0.65, 1.0)), PROP,
              rounding=rng.uniform(0.05, 0.6))  # fmt: skip
    if rng.random() < 0.4:
        thing.add(CYLINDER, [0, 0.5 * tall, 0], [0, 0.5 * tall + rng.uniform(0.6, 7), 0],
                  (radius * rng.uniform(0.25, 1.0), radius * rng.uniform(0.4, 1.05)), SECOND,
                  rounding=0.1)  # fmt: skip
    if rng.random() < 0.4:
        ring = np.linspace(-1.4, 1.4, 6)
        points = [np.array([radius * 0.9 + 2.4 * np.cos(t), 2.6 * np.sin(t), 0.0]) for t in ring]
        for a, b in itertools.pairwise(points):
            thing.add(CAPSULE, a, b, (0.45, 0.45), PROP)
    return thing


def box(rng: np.random.Generator) -> Thing:
    """Build a phone, a book, a card or a parcel."""
    thing = Thing()
    half = np.array([rng.uniform(1.5, 7), rng.uniform(3, 9), np.exp(rng.uniform(-2.5, 1.0))])
    thing.add(BOX, [0, 0, 0], half, (0, 0), PROP, rounding=rng.uniform(0.05, 0.7))
    if rng.random() < 0.5:
        inner = half * [0.9, rng.uniform(0.5, 0.93), 1.0] + [0, 0, 0.12]
        thing.add(BOX, [0, 0, 0], inner, (0, 0), SECOND, rounding=0.03)
    return thing


def stones(rng: np.random.Generator) -> Thing:
    """Build a few random lumps: balls, plush, fruit, gloves without fingers."""
    thing = Thing()
    for _ in range(rng.integers(1, 6)):
        a = rng.normal(size=3) * 2.5
        b = a + rng.normal(size=3) * rng.uniform(0, 4)
        thing.add(CAPSULE, a, b, tuple(rng.uniform(0.6, 4.0, 2)),
                  int(rng.choice([SKIN, PROP, SECOND], p=[0.5, 0.3, 0.2])))  # fmt: skip
    return thing


def held(rng: np.random.Generator) -> Thing:
    """Build a hand around the handle of something: the prop runs across the palm."""
    prop = rng.choice([microphone, microphone, rod, cup])(rng)
    fist = hand(rng, rng.uniform(0.55, 0.9))
    tilt = faces.rotation(0, rng.normal() * 8, 90 + rng.normal() * 15).astype(float)
    above = np.array([-rng.uniform(4, 11) * np.sign(rng.normal() + 2), 2.5, 2.6])
    placed = prop.moved(tilt, above)
    return Thing(fist.rows + placed.rows)


KINDS: tuple[tuple[Callable[[np.random.Generator], Thing], float], ...] = (
    (hand, 0.36), (held, 0.24), (microphone, 0.12), (rod, 0.08), (cup, 0.06), (box, 0.06),
    (stones, 0.08),
)  # fmt: skip


def occluder(rng: np.random.Generator) -> np.ndarray:
    """Return one occluder (SIDE, SIDE, 6) uint8: normal + 128, openness, part, pattern."""
    kinds, odds = zip(*KINDS, strict=True)
    build = kinds[rng.choice(len(kinds), p=odds)]
    turn = _turn(rng)
    while turn[2, 1] < -0.4:  # no forearm that comes out of the camera
        turn = _turn(rng)
    thing = build(rng).moved(turn, np.append(rng.normal(size=2) * 1.5, 0.0))
    prims = np.array(thing.rows, np.float64)
    normal, open_, which, place = _trace(prims, SIDE, SCALE, rng.uniform(0.25, 0.9))
    out = np.zeros((SIDE, SIDE, 6), np.uint8)
    seen = which >= 0
    parts = prims[:, 19].astype(np.uint8)
    out[..., :3] = np.round(normal * 127 + 128)
    out[..., 3] = np.round(open_ * 255)
    out[..., 4] = np.where(seen, parts[which], 0)
    # Mesh, stripes or grain, bound to the thing: a pattern of its own coordinates.
    own = place @ turn
    frequency = np.exp(rng.uniform(np.log(0.8), np.log(9)))
    phase = rng.uniform(0, 6, 3)
    waves = np.sin(own * frequency + phase)
    pattern = waves[..., 0] * waves[..., 2] if rng.random() < 0.5 else waves[..., 1]
    if rng.random() < 0.3:
        pattern = np.sign(pattern)
    out[..., 5] = np.round(pattern * 127 + 128) * seen
    return out


# --- heads -----------------------------------------------------------------------------------


def undressed(shape, colour, alpha, streaks, key, rng):
    """Stand in for `faces._dress`: glasses only."""
    if rng.random() < 0.14:
        colour = faces._glasses(shape, colour, key, rng)
    return colour, alpha


def render_heads(count: int, seed: int, out: Path) -> None:
    """Write `luma`, `alpha` (N, 2 lights, 256, 256) uint8 and `points` (N, 68, 2)."""
    rng = np.random.default_rng(seed)
    faces._dress = undressed
    head = faces.load_head()
    luma, alpha = (_array(out, n, (count, 2, faces.SIZE, faces.SIZE)) for n in ("luma", "alpha"))
    points = np.lib.format.open_memmap(
        out / "points.npy", mode="w+", dtype=np.float32, shape=(count, 68, 2)
    )
    for i in _counted(count, out):
        if i % 2 == 0:
            person = faces.random_person(head, rng)
        drawn = faces.random_shape(head, person, rng)
        points[i] = drawn.landmarks
        for j in range(2):
            value, cover = faces.light(head, drawn, rng)
            luma[i, j], alpha[i, j] = np.round(value * 255), np.round(cover * 255)


def render_occluders(count: int, seed: int, out: Path) -> None:
    """Write `things` (N, SIDE, SIDE, 6) uint8."""
    rng = np.random.default_rng(seed)
    things = _array(out, "things", (count, SIDE, SIDE, 6))
    for i in _counted(count, out):
        things[i] = occluder(rng)


def _array(out: Path, name: str, shape: tuple[int, ...]) -> np.ndarray:
    return np.lib.format.open_memmap(out / f"{name}.npy", mode="w+", dtype=np.uint8, shape=shape)


def _counted(count: int, out: Path):
    """Count, and leave word of how far it is: training may start before the end."""
    start = time.perf_counter()
    for i in range(count):
        yield i
        if i % 100 == 99 or i + 1 == count:
            (out / "done").write_text(str(i + 1))
            print(f"{i + 1} in {time.perf_counter() - start:.0f} s", flush=True)


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=["heads", "occluders"])
    parser.add_argument("--count", type=int, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--seed", type=int, default=1)
    o = parser.parse_args()
    cv2.setNumThreads(1)
    o.out.mkdir(parents=True, exist_ok=True)
    (render_heads if o.what == "heads" else render_occluders)(o.count, o.seed, o.out)


if __name__ == "__main__":
    main()
