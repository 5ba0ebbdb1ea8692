"""Compose what the occluder network learns from: faces, occluders before them, and where they are.

A sample is a canonical crop in the working encoding with an alpha of what passes in front. Faces
are the studio's stills and renders of random heads in a random tint; the studio's shots are the
test and are not read. Light, material and place of an occluder are drawn for each sample: skin is
mostly the very face's, lit by the colours that its two sides have. The shadow that it casts stays
face, and a third of the samples has shadows, lights and nothing before them.

    python bench/occluder/compose.py --cache CACHE --out sheet.png
"""

from __future__ import annotations

import argparse
import json
import math
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from skimage import data as photographs

from semblance import align, colour

STUDIO = Path(__file__).resolve().parents[3] / "shared/studio"
STILLS = {"performer": 300, "likeness": 300, "archival": 150}
SIZE = 128
CENTIMETRE = SIZE / 18.5  # in pixels of a crop
THING_SCALE = 7.0  # pixels to the centimetre of a cached occluder
SKIN, NAIL, PROP, SECOND = 1, 2, 3, 4  # parts of one, as render.py numbers them
NONE = 0.35  # share of samples with nothing before the face

# fmt: off
MIRROR = np.array([
    *range(16, -1, -1), *range(26, 16, -1), *range(27, 31), *range(35, 30, -1),
    45, 44, 43, 42, 47, 46, 39, 38, 37, 36, 41, 40,
    54, 53, 52, 51, 50, 49, 48, 59, 58, 57, 56, 55, 64, 63, 62, 61, 60, 67, 66, 65,
])
# Not read: `coffee`, on which the tracker's bench measures false faces.
PHOTOGRAPHS = (
    "chelsea", "brick", "grass", "gravel", "rocket", "hubble_deep_field", "immunohistochemistry",
    "colorwheel", "retina", "coins", "text",
)
# fmt: on

Random = np.random.Generator


# --- material --------------------------------------------------------------------------------


@dataclass(frozen=True)
class Material:
    """What samples are made of."""

    stills: list[np.ndarray]  # (384, 384, 3) uint8 RGB
    still_points: np.ndarray  # (N, 68, 2)
    luma: np.ndarray  # (N, 2, 256, 256) uint8
    alpha: np.ndarray
    points: np.ndarray  # (N, 68, 2)
    things: np.ndarray  # (N, side, side, 6) uint8, as render.py leaves them
    textures: list[np.ndarray]  # (h, w, 3) uint8 RGB


def load(cache: Path) -> Material:
    """Read stills and the caches of render.py, as far as they have come."""
    stills, points = [], []
    for folder, count in STILLS.items():
        known = json.loads((STUDIO / folder / "landmarks.json").read_text())
        for name in sorted(known)[:count]:
            image = cv2.imread(str(STUDIO / folder / name), cv2.IMREAD_COLOR)
            stills.append(np.ascontiguousarray(image[..., ::-1]))
            points.append(known[name]["landmarks"])
    heads, made = int((cache / "heads/done").read_text()), int((cache / "things/done").read_text())
    luma, alpha = (
        np.load(cache / f"heads/{n}.npy", mmap_mode="r")[:heads] for n in ("luma", "alpha")
    )
    return Material(
        stills, np.array(points), luma, alpha, np.load(cache / "heads/points.npy")[:heads],
        np.array(np.load(cache / "things/things.npy", mmap_mode="r")[:made]), _textures(),
    )  # fmt: skip


def _textures() -> list[np.ndarray]:
    out = []
    for name in PHOTOGRAPHS:
        try:
            image = np.asarray(getattr(photographs, name)())
        except Exception as error:  # noqa: BLE001
            print(f"no photograph {name}: {error}", flush=True)
            continue
        image = np.repeat(image[..., None], 3, 2) if image.ndim == 2 else image[..., :3]
        edge = 400 / max(image.shape[:2])
        out.append(cv2.resize(image, None, fx=edge, fy=edge, interpolation=cv2.INTER_AREA))
    return out


def background(m: Material, rng: Random, size: int) -> np.ndarray:
    """Return a random picture, (size, size, 3) linear: photograph, noise, bokeh, plain."""
    if rng.random() < 0.4:
        image = m.textures[rng.integers(len(m.textures))]
        h, w = image.shape[:2]
        scale = size / min(h, w) * math.exp(rng.uniform(0, 1.3))
        at = (rng.uniform(0, w), rng.uniform(0, h))
        matrix = _affine(at, (size / 2, size / 2), scale, rng.normal() * 0.5, False)
        out = _warp(image, matrix, size, cv2.BORDER_REFLECT_101).astype(np.float32) / 255
        out = out**2.2 * np.exp(rng.normal(size=3) * 0.3)
    else:
        out = np.zeros((size, size, 3)) + np.exp(rng.uniform(-4, -0.5)) * np.exp(
            rng.normal(size=3) * 0.3
        )
        for k in range(1, 7):
            if rng.random() < 0.5:
                grid = rng.normal(size=(2**k + 1, 2**k + 1, 3)).astype(np.float32)
                grid += 2 * rng.normal(size=(2**k + 1, 2**k + 1, 1)).astype(np.float32)
                out = out * np.exp(
                    rng.uniform(0, 0.35)
                    * cv2.resize(grid, (size, size), interpolation=cv2.INTER_CUBIC)
                )
    out = np.ascontiguousarray(out, np.float32)
    for _ in range(rng.integers(0, 5)):
        at = tuple(int(v) for v in rng.integers(-10, size + 10, 2))
        shade = tuple(
            float(v) for v in np.exp(rng.uniform(-3, 1.2)) * np.exp(rng.normal(size=3) * 0.4)
        )
        if rng.random() < 0.6:
            cv2.circle(out, at, int(rng.integers(3, 26)), shade, -1, cv2.LINE_AA)
        else:
            end = tuple(int(v) for v in rng.integers(-10, size + 10, 2))
            cv2.line(out, at, end, shade, int(rng.integers(1, 18)), cv2.LINE_AA)
    if rng.random() < 0.7:
        out = cv2.GaussianBlur(out, None, float(np.exp(rng.uniform(-1, 2))))
    return np.asarray(out * np.exp(rng.normal() * 0.5), np.float32)


# --- faces -----------------------------------------------------------------------------------


def face(m: Material, rng: Random) -> tuple[np.ndarray, np.ndarray]:
    """Return a crop without occluders (SIZE, SIZE, 3) linear, and its true landmarks, canonical."""
    flip = rng.random() < 0.5
    kind = rng.random()
    if kind < 0.62:
        heads = len(m.stills)
        new = heads - STILLS["archival"]
        item = int(rng.integers(new)) if kind < 0.56 else int(rng.integers(new, heads))
        image, points = m.stills[item], m.still_points[item]
        picture = colour.srgb_to_linear(image.astype(np.float32) / 255)
    else:
        picture, points = _tinted(m, rng)
    matrix = align.fit(points)
    near = align.nudge(
        *(rng.normal(size=2) * 0.02), rng.normal() * 4, math.exp(rng.normal() * 0.05)
    )
    matrix = align.chain(matrix, near)
    if flip:
        matrix = align.chain(matrix, np.array([[-1.0, 0, 1], [0, 1, 0]]))
    crop = align.resample(picture, matrix * SIZE, (SIZE, SIZE), border=cv2.BORDER_REPLICATE)
    points = align.transform(points, matrix)
    return np.maximum(crop, 0), points[MIRROR] if flip else points


def _tinted(m: Material, rng: Random) -> tuple[np.ndarray, np.ndarray]:
    """Return a rendered head in colour over a background (256, 256, 3) linear, and landmarks."""
    item, lit = int(rng.integers(len(m.luma))), int(rng.integers(2))
    luma = (m.luma[item, lit].astype(np.float32) / 255) ** np.float32(2.2)
    size = len(luma)
    alpha = (m.alpha[item, lit].astype(np.float32) / 255)[..., None]
    points = m.points[item].astype(np.float64)
    skin = np.array([1.45, 0.92, 0.68]) ** rng.uniform(0.3, 1.3) * np.exp(rng.normal(size=3) * 0.06)
    tint = np.zeros((size, size, 3), np.float32) + skin
    regions = cv2.resize(
        rng.normal(size=(6, 6, 3)).astype(np.float32), (size, size), interpolation=cv2.INTER_CUBIC
    )
    tint *= np.exp(rng.uniform(0, 0.09) * regions)

    def paint(outline: np.ndarray, shade: np.ndarray, blur: float) -> None:
        mask = np.zeros((size, size), np.float32)
        cv2.fillPoly(mask, [np.round(outline * 16).astype(np.int32)], 1.0, cv2.LINE_AA, 4)
        mask = cv2.GaussianBlur(mask, None, blur)[..., None]
        np.add(tint, (tint * shade.astype(np.float32) - tint) * mask, out=tint)

    lips = np.array([1.15, 0.85, 0.9]) ** rng.uniform(0, 2.5)
    paint(points[48:60], lips, 2.0)
    white = (1 / skin) ** rng.uniform(0.6, 1)
    for eye in (points[36:42], points[42:48]):
        paint(eye, white, 0.7)
    mouth = points[60:68]
    paint(mouth, white ** rng.uniform(0, 1) * np.array([1.1, 0.9, 0.9]), 1.0)
    if rng.random() < 0.5:  # hair: darker pixels of the upper head in a hue of their own
        y = np.mgrid[:size, :size][0].astype(np.float32)
        up = np.clip((points[17:27, 1].min() - 18 - y) / 12, 0, 1)[..., None]
        tint *= 1 + up * (np.exp(rng.normal(size=3) * 0.2) - 1).astype(np.float32)
    picture = luma[..., None] * tint
    below = background(m, rng, size)
    below *= float(np.median(picture[alpha[..., 0] > 0.5])) / 0.15
    return picture * alpha + below * (1 - alpha), points


def light_over(rng: Random, picture: np.ndarray, points: np.ndarray, m: Material) -> np.ndarray:
    """Light a face anew: slopes, coloured lights with hard edges, cast shadows, highlights."""
    y, x = (np.mgrid[:SIZE, :SIZE].astype(np.float32) + 0.5) / SIZE - 0.5
    if rng.random() < 0.5:  # a slope of light, coloured
        way = rng.normal(size=2)
        slope = (x * way[0] + y * way[1])[..., None]
        picture = picture * np.exp(slope * (rng.normal() * 0.8 + rng.normal(size=3) * 0.5)).astype(
            np.float32
        )
    if rng.random() < 0.25:  # a coloured light from a side, with a terminator
        angle = rng.uniform(0, 6.28)
        edge = (x * math.cos(angle) + y * math.sin(angle) - rng.normal() * 0.2) / rng.uniform(
            0.01, 0.25
        )
        bent = edge + rng.uniform(0, 1.5) * _smooth(rng, 5)
        lit = 1 / (1 + np.exp(-np.clip(bent, -30, 30)))
        shade = np.exp(rng.normal(size=3) * 0.7) * rng.uniform(0.3, 2.0)
        level = np.median(picture, axis=(0, 1))
        picture = (
            picture * (1 + lit[..., None] * shade)
            if rng.random() < 0.6
            else picture + (lit[..., None] * shade * 0.4 * level)
        )
    if rng.random() < 0.3:  # the shadow of something that isn't there, soft or hard
        mask = _shadow_shape(rng, m, points)
        mask = cv2.GaussianBlur(mask, None, math.exp(rng.uniform(-0.7, 2.3)))
        deep = rng.uniform(0.25, 0.93) * (1 - 0.15 * rng.random(3) * [0, 0.6, 1])
        picture = picture * (1 - mask[..., None] * deep)
    if rng.random() < 0.25:  # highlights of a moist skin
        for _ in range(rng.integers(1, 4)):
            at = points[rng.integers(68)] + rng.normal(size=2) * 0.05
            r2 = (
                (x + 0.5 - at[0]) ** 2 + (y + 0.5 - at[1]) ** 2 * rng.uniform(0.3, 3)
            ) / rng.uniform(0.01, 0.06) ** 2
            level = np.median(picture) * rng.uniform(0.3, 6)
            picture = picture + (np.exp(-r2) * level)[..., None] * np.exp(rng.normal(size=3) * 0.15)
    return np.asarray(picture, np.float32)


def _smooth(rng: Random, cells: int) -> np.ndarray:
    grid = rng.normal(size=(cells, cells)).astype(np.float32)
    return np.asarray(cv2.resize(grid, (SIZE, SIZE), interpolation=cv2.INTER_CUBIC))


def _shadow_shape(rng: Random, m: Material, points: np.ndarray) -> np.ndarray:
    """Return the mask (SIZE, SIZE) of a shadow: an occluder's, a bar's, a half plane's, leaves'."""
    kind = rng.random()
    if kind < 0.45:
        return _placed(m, rng, points)[0][..., 3].astype(np.float32)
    if kind < 0.6:
        return (_smooth(rng, int(rng.integers(3, 12))) > rng.uniform(-0.3, 0.8)).astype(np.float32)
    y, x = (np.mgrid[:SIZE, :SIZE].astype(np.float32) + 0.5) / SIZE - 0.5
    angle = rng.uniform(0, 6.28)
    along = x * math.cos(angle) + y * math.sin(angle) + 0.03 * _smooth(rng, 5)
    if kind < 0.8:
        return (along > rng.normal() * 0.2).astype(np.float32)
    wide = rng.uniform(0.04, 0.3)
    if rng.random() < 0.4:
        return (np.mod(along + rng.random(), 1.7 * wide) < wide).astype(np.float32)
    return (np.abs(along - rng.normal() * 0.2) < wide / 2).astype(np.float32)


# --- occluders -------------------------------------------------------------------------------


def _affine(source, target, scale: float, roll: float, flip: bool) -> np.ndarray:
    c, s = math.cos(roll) * scale, math.sin(roll) * scale
    linear = np.array([[c, -s], [s, c]]) @ np.diag([-1.0 if flip else 1.0, 1.0])
    return np.column_stack([linear, np.array(target) - linear @ np.array(source)])


def _warp(
    image: np.ndarray, matrix: np.ndarray, size: int, border: int, flags: int = cv2.INTER_LINEAR
):
    matrix = matrix.copy()
    matrix[:, 2] += matrix[:, :2] @ [0.5, 0.5] - 0.5
    return cv2.warpAffine(image, matrix, (size, size), flags=flags, borderMode=border)


def _target(rng: Random, points: np.ndarray) -> np.ndarray:
    """Return a place of the crop, canonical units, for an occluder to lie on."""
    kind = rng.random()
    if kind < 0.4:  # beside the features: the jaw and what is around it
        a = points[rng.integers(17)]
        return a + (points[30] - a) * rng.uniform(-0.4, 0.7) + rng.normal(size=2) * 0.04
    if kind < 0.85:
        a, b = points[rng.integers(68)], points[rng.integers(68)]
        return a + (b - a) * rng.random() + rng.normal(size=2) * 0.05
    return rng.uniform(0, 1, 2)


def _placed(m: Material, rng: Random, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Lay a cached occluder into the crop: normals and cover (SIZE, SIZE, 4), rest (…, 3).

    The rest is openness, part (nearest) and pattern; normals are those of the picture, y down.
    """
    item = m.things[int(rng.integers(len(m.things)))]
    rows, columns = np.nonzero(item[::4, ::4, 4])
    if len(rows) == 0:
        return np.zeros((SIZE, SIZE, 4), np.float32), np.zeros((SIZE, SIZE, 3), np.float32)
    # Near ends matter more than forearms: the point that is laid on the face is near the middle.
    away = np.hypot(rows * 4 - len(item) / 2, columns * 4 - len(item) / 2)
    odds = np.exp(-away / 45.0)
    pick = rng.choice(len(rows), p=odds / odds.sum())
    scale = CENTIMETRE / THING_SCALE * math.exp(rng.normal() * 0.18 + 0.05)
    roll, flip = rng.uniform(-math.pi, math.pi), rng.random() < 0.5
    at = _target(rng, points) * SIZE
    matrix = _affine((columns[pick] * 4 + 2, rows[pick] * 4 + 2), at, scale, roll, flip)
    cover = item[..., 4] > 0
    layer = np.empty((*cover.shape, 4), np.float32)
    layer[..., :3] = (item[..., :3].astype(np.float32) - 128) / 127 * cover[..., None]
    layer[..., 3] = cover
    out = _warp(layer, matrix, SIZE, cv2.BORDER_CONSTANT)
    rest = _warp(item[..., 3:], matrix, SIZE, cv2.BORDER_CONSTANT, cv2.INTER_NEAREST)
    c, s = math.cos(roll), math.sin(roll)
    nx, ny = out[..., 0] * (-1 if flip else 1), -out[..., 1]
    out[..., 0], out[..., 1] = c * nx - s * ny, s * nx + c * ny
    length = np.sqrt((out[..., :3] ** 2).sum(-1)) + 1e-4
    out[..., :3] /= length[..., None]
    return out, rest.astype(np.float32)


@dataclass(frozen=True)
class Light:
    """What falls on an occluder: for each lamp a direction (y down, z to the camera) and colour."""

    directions: np.ndarray
    colours: np.ndarray
    ambient: np.ndarray
    skin: np.ndarray  # how the face looks, (3,) linear


def _patch(picture: np.ndarray, at: np.ndarray) -> np.ndarray:
    x, y = np.clip((at * SIZE).astype(int), 5, SIZE - 6)
    return picture[y - 4 : y + 5, x - 4 : x + 5].mean(axis=(0, 1)) + 1e-4


def light_of(rng: Random, picture: np.ndarray, points: np.ndarray) -> Light:
    """Guess a face's light from the colours of its cheeks and forehead, or draw another."""
    left = _patch(picture, points[[2, 31, 40]].mean(0))
    right = _patch(picture, points[[14, 35, 47]].mean(0))
    brow, chin = points[21:23].mean(0), points[8]
    up = _patch(picture, brow + 0.3 * (brow - points[30]) * 0.6)
    down = _patch(picture, 0.35 * points[57] + 0.65 * chin)
    mean = (
        np.median([left, right, up, down], axis=0)
        if rng.random() < 0.7
        else np.mean([left, right, up, down], 0)
    )
    if rng.random() < 0.2:  # another light than the face's
        tints = np.exp(rng.normal(size=(4, 3)) * 0.35 + rng.normal(size=(4, 1)) * 0.7)
        left, right, up, down = mean * tints
    directions = np.array([[-0.8, -0.2, 0.45], [0.8, -0.2, 0.45], [0, -0.8, 0.5], [0, 0.7, 0.6]])
    directions = directions + rng.normal(size=(4, 3)) * 0.3
    directions[:, 2] = np.abs(directions[:, 2])
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    colours = np.array([left, right, up, down])
    contrast = rng.uniform(0.7, 2.0)  # of a thing's sides to a face's
    colours = mean * (colours / mean) ** contrast * rng.uniform(0.6, 1.1)
    return Light(directions, colours, mean * rng.uniform(0.02, 0.45), mean)


def shade(
    rng: Random, layer: np.ndarray, rest: np.ndarray, light: Light, hard: float
) -> np.ndarray:
    """Return the colour (SIZE, SIZE, 3), linear, of a placed occluder of cached shape."""
    normal = layer[..., :3]
    open_ = rest[..., 0] / 255
    part = rest[..., 1]
    pattern = (rest[..., 2] - 128) / 127
    look = np.ones((SIZE, SIZE, 3), np.float32)  # albedo relative to the face's skin
    same = rng.random() if rng.random() < hard else 1.0
    spread = 0.07 if same < 0.7 else 0.45
    skin = math.exp(rng.normal() * (0.16 if same < 0.7 else 0.7)) * np.exp(
        rng.normal(size=3) * spread * 0.6
    )
    if same < 0.35:  # no difference at all but by light
        skin = np.ones(3) * math.exp(rng.normal() * 0.06)
    mottle = 1 + rng.uniform(0, 0.1) * _smooth(rng, 9)[..., None] * np.array([0.6, 1.0, 1.1])
    look *= (skin * mottle).astype(np.float32)
    look[part == NAIL] *= (1 + rng.uniform(-0.1, 0.3) * np.array([0.6, 1, 1.2])).astype(np.float32)
    shine = np.full((SIZE, SIZE), rng.uniform(0, 0.12), np.float32)
    power = np.full((SIZE, SIZE), rng.uniform(6, 30), np.float32)
    wrap = np.full((SIZE, SIZE), rng.uniform(0.15, 0.6), np.float32)
    for which in (PROP, SECOND):
        there = part == which
        if not there.any():
            continue
        # Skin reflects about 0.3 of the light.
        tone = math.exp(rng.uniform(math.log(0.03), math.log(3.0)))
        if rng.random() < 0.45:
            tone = math.exp(rng.uniform(math.log(0.02), math.log(0.35)))
        hue = np.exp(rng.normal(size=3) * (0.08 if rng.random() < 0.5 else 0.6))
        if rng.random() < 0.5:
            hue = hue / light.skin * light.skin.mean()  # grey by its own, not skin-coloured
        mark = 1 + rng.uniform(0, 0.8) * (rng.random() < 0.5) * pattern[there][:, None]
        look[there] = tone * hue * mark
        shine[there] = rng.uniform(0, 0.25) if rng.random() < 0.6 else rng.uniform(0.2, 1.5)
        power[there] = math.exp(rng.uniform(math.log(5), math.log(120)))
        wrap[there] = rng.uniform(0, 0.25)
    lit = np.zeros((SIZE, SIZE, 3), np.float32) + light.ambient * (0.4 + 0.6 * open_[..., None])
    gloss = np.zeros((SIZE, SIZE, 3), np.float32)
    for direction, tint in zip(light.directions, light.colours, strict=True):
        facing = normal @ direction.astype(np.float32)
        lit += np.clip((facing + wrap) / (1 + wrap), 0, None)[..., None] * (0.5 * tint)
        half = direction + np.array([0.0, 0.0, 1.0])
        half = (half / np.linalg.norm(half)).astype(np.float32)
        gloss += (np.clip(normal @ half, 0, 1) ** power)[..., None] * tint
    lit *= (0.35 + 0.65 * open_)[..., None]
    return np.asarray(lit * look + gloss * shine[..., None], np.float32)


def flat_thing(
    rng: Random, m: Material, points: np.ndarray, light: Light
) -> tuple[np.ndarray, np.ndarray]:
    """Draw cloth, paper, foliage or strands of hair: colour (SIZE, SIZE, 3) linear and alpha."""
    kind = rng.random()
    level = light.skin
    alpha = np.zeros((2 * SIZE, 2 * SIZE), np.float32)
    if kind < 0.35:  # strands
        start, end = _target(rng, points) + rng.normal(size=2) * 0.3, _target(rng, points)
        bow = rng.normal(size=2) * 0.25
        t = np.linspace(-0.6, 1.6, 24)[:, None]
        for _ in range(rng.integers(1, 26)):
            off = rng.normal(size=2) * 0.035
            line = (
                start
                + (end - start) * t
                + bow * (t * (1 - t)) * rng.uniform(0.7, 1.3)
                + off * (1 + t)
            )
            drawn = [np.round(line * 2 * SIZE * 16).astype(np.int32)]
            opaque, thick = float(rng.uniform(0.6, 1)), int(rng.integers(1, 5))
            cv2.polylines(alpha, drawn, False, opaque, thick, cv2.LINE_AA, 4)
        alpha = cv2.resize(alpha, (SIZE, SIZE), interpolation=cv2.INTER_AREA)
        tone = math.exp(rng.uniform(-3.2, 0.2)) * np.exp(rng.normal(size=3) * 0.15)
        picture = level * tone * (1 + 0.25 * _smooth(rng, 20)[..., None])
        return np.asarray(np.maximum(picture, 0), np.float32), alpha
    corners = int(rng.integers(3, 10))
    turn = np.sort(rng.uniform(0, 2 * math.pi, corners))
    reach = rng.uniform(0.08, 0.45) * rng.uniform(0.5, 1.4, corners)
    ring = (
        _target(rng, points)
        + rng.normal(size=2) * 0.15
        + reach[:, None] * np.stack([np.cos(turn), np.sin(turn)], 1)
    )
    cv2.fillPoly(alpha, [np.round(ring * 2 * SIZE * 16).astype(np.int32)], 1.0, cv2.LINE_AA, 4)
    alpha = cv2.resize(alpha, (SIZE, SIZE), interpolation=cv2.INTER_AREA)
    if rng.random() < 0.6:  # rounded, or frayed
        alpha = cv2.GaussianBlur(alpha, None, rng.uniform(2, 9))
        alpha = np.clip((alpha - 0.5 + 0.05 * _smooth(rng, 24) * rng.random()) * 8 + 0.5, 0, 1)
    if kind < 0.6:
        picture = background(m, rng, SIZE) * (level / 0.15) ** 0.8
    else:  # cloth: folds along a way
        height = sum(_smooth(rng, k) / k for k in (4, 8, 14)) * rng.uniform(2, 25)
        gy, gx = np.gradient(height)
        normal = np.stack([-gx, -gy, np.ones_like(gx)], -1)
        normal /= np.linalg.norm(normal, axis=-1, keepdims=True)
        tone = math.exp(rng.uniform(-3, 1.1)) * np.exp(rng.normal(size=3) * 0.35)
        if rng.random() < 0.25:
            tone = math.exp(rng.normal() * 0.3) * np.exp(rng.normal(size=3) * 0.08)
        picture = np.zeros((SIZE, SIZE, 3)) + light.ambient
        for direction, tint in zip(light.directions, light.colours, strict=True):
            picture += np.clip(normal @ direction + 0.15, 0, None)[..., None] * tint * 0.5
        picture = picture * tone
    return np.asarray(np.maximum(picture, 0), np.float32), np.asarray(alpha, np.float32)


def _streak(rng: Random, length: int) -> np.ndarray:
    """Return the kernel of a motion blur."""
    kernel = np.zeros((length, length), np.float32)
    angle = rng.uniform(0, 6.28)
    d = np.array([math.cos(angle), math.sin(angle)]) * (length - 1) / 2
    a, b = (np.round(((length - 1) / 2 + q) * 16).astype(int).tolist() for q in (-d, d))
    cv2.line(kernel, a, b, 1.0, 1, cv2.LINE_AA, 4)
    return kernel / kernel.sum()


def occlude(
    m: Material, rng: Random, picture: np.ndarray, points: np.ndarray, hard: float
) -> tuple[np.ndarray, np.ndarray, float]:
    """Lay one thing before a face; returns picture, alpha, and how like skin it is (0 or 1)."""
    light = light_of(rng, picture, points)
    skin = 0.0
    if rng.random() < 0.85:
        layer, rest = _placed(m, rng, points)
        over, alpha = shade(rng, layer, rest, light, hard), np.clip(layer[..., 3], 0, 1)
        skin = float((rest[..., 1] == SKIN).sum() > 0.4 * (alpha > 0).sum())
    else:
        over, alpha = flat_thing(rng, m, points, light)
    over = over * alpha[..., None]
    if rng.random() < 0.6:  # nearer to the lens than the face, out of focus
        soft = math.exp(rng.uniform(-1.2, 0.9))
        over, alpha = cv2.GaussianBlur(over, None, soft), cv2.GaussianBlur(alpha, None, soft)
    if rng.random() < 0.2:
        kernel = _streak(rng, int(rng.integers(3, 15)))
        over, alpha = cv2.filter2D(over, -1, kernel), cv2.filter2D(alpha, -1, kernel)
    # Shadow and closeness darken the face, which stays face.
    brightest = light.directions[np.argmax(light.colours.mean(1))]
    if rng.random() < 0.75:
        far = rng.uniform(0, 0.12) * SIZE
        shift = -brightest[:2] * far
        move = np.array([[1, 0, shift[0]], [0, 1, shift[1]]])
        cast = cv2.warpAffine(alpha, move, (SIZE, SIZE), borderMode=cv2.BORDER_REPLICATE)
        cast = cv2.GaussianBlur(cast, None, math.exp(rng.uniform(-0.3, 2.2)))
        deep = rng.uniform(0.1, 0.8) * np.array([0.9, 1.0, 1.05])
        picture = picture * (1 - np.clip(cast[..., None] * deep, 0, 0.95))
    if rng.random() < 0.5:
        close = cv2.GaussianBlur(alpha, None, rng.uniform(2, 7))
        picture = picture * (1 - rng.uniform(0.05, 0.45) * close[..., None])
    return np.asarray(picture * (1 - alpha[..., None]) + over, np.float32), alpha, skin


# --- samples ---------------------------------------------------------------------------------


def sample(m: Material, rng: Random, hard: float = 1.0) -> tuple[np.ndarray, ...]:
    """Compose one sample.

    Returns
    -------
    crop : (S, S, 3) float32, working encoding 0..1
    landmarks : (68, 2) float32, canonical units, as a tracker would give them
    alpha : (S, S) float32, of what is in front
    weight : (S, S) float32, of the loss
    """
    picture, points = face(m, rng)
    if rng.random() < hard:
        picture = light_over(rng, picture, points, m)
    alpha = np.zeros((SIZE, SIZE), np.float32)
    skin = 0.0
    if rng.random() > NONE:
        for _ in range(1 if rng.random() < 0.8 else 2):
            picture, more, like = occlude(m, rng, picture, points, hard)
            alpha = 1 - (1 - alpha) * (1 - more)
            skin = max(skin, like)
    if rng.random() < 0.12:  # the camera moves
        kernel = _streak(rng, int(rng.integers(3, 12)))
        picture, alpha = cv2.filter2D(picture, -1, kernel), cv2.filter2D(alpha, -1, kernel)
    crop = camera(rng, picture, points)
    if rng.random() < 0.06:  # the frame ends within the crop: its edge is repeated
        turns, n = int(rng.integers(4)), int(rng.uniform(0.03, 0.3) * SIZE)
        crop, alpha = np.rot90(crop, turns).copy(), np.rot90(alpha, turns).copy()
        crop[:n], alpha[:n] = crop[n], alpha[n]
        crop, alpha = np.rot90(crop, -turns), np.rot90(alpha, -turns)
    weight = _weight(points, alpha, skin)
    loose = _loose(rng, points, alpha)
    return np.ascontiguousarray(crop), loose, np.ascontiguousarray(alpha), weight


def camera(rng: Random, picture: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Expose, tint, encode, soften and grain a linear crop."""
    low = np.clip((points[17:48].min(0) * SIZE).astype(int), 0, SIZE - 8)
    high = np.clip((points[17:58].max(0) * SIZE).astype(int), low + 4, SIZE)
    level = float(picture[low[1] : high[1], low[0] : high[0]].mean()) + 1e-4
    gain = 0.12 / level * math.exp(np.clip(rng.normal() * 0.45, -1.3, 1.3))
    picture = picture * (gain * np.exp(rng.normal(size=3) * 0.12)).astype(np.float32)
    if rng.random() < 0.06:
        picture = np.repeat((picture @ colour.LUMA_WEIGHTS)[..., None], 3, 2)
    crop = colour.linear_to_srgb(np.asarray(np.maximum(picture, 0), np.float32))
    crop = np.clip(crop, 0, 1) ** np.float32(math.exp(rng.normal() * 0.12))
    if rng.random() < 0.5:
        crop = cv2.GaussianBlur(crop, None, abs(rng.normal()) * 0.7 + 0.1)
    if rng.random() < 0.1:
        small = int(rng.uniform(0.35, 0.8) * SIZE)
        crop = cv2.resize(crop, (small, small), interpolation=cv2.INTER_AREA)
        crop = cv2.resize(crop, (SIZE, SIZE), interpolation=cv2.INTER_CUBIC)
    if rng.random() < 0.6:
        grain = rng.normal(size=crop.shape).astype(np.float32)
        if rng.random() < 0.5:
            grain = cv2.GaussianBlur(grain, None, 0.8) * 1.8
        crop = crop + grain * np.float32(abs(rng.normal()) * 0.012)
    return np.clip(crop, 0, 1).astype(np.float32)


def _loose(rng: Random, points: np.ndarray, alpha: np.ndarray) -> np.ndarray:
    """Move landmarks as a tracker does: all together a little, more where something hides them."""
    at = np.clip((points * SIZE).astype(int), 0, SIZE - 1)
    hidden = alpha[at[:, 1], at[:, 0]][:, None]
    own = rng.normal(size=(68, 2)) * 0.006
    whole = rng.normal(size=2) * 0.01 + (points - points.mean(0)) * rng.normal(size=2) * 0.03
    slow = rng.normal(size=2) * 0.03 * hidden
    return np.asarray(points + own + whole + slow, np.float32)


def _weight(points: np.ndarray, alpha: np.ndarray, skin: float) -> np.ndarray:
    """Weigh the face over its surroundings, what is missed over what is feigned, skin most."""
    hull = np.zeros((SIZE, SIZE), np.float32)
    outline = cv2.convexHull(np.round(points * SIZE * 16).astype(np.int32))[:, 0]
    cv2.fillConvexPoly(hull, outline, 1.0, cv2.LINE_AA, 4)
    hull = np.maximum(
        cv2.dilate(hull, np.ones((13, 13), np.uint8)), cv2.GaussianBlur(hull, None, 8)
    )
    edge = cv2.dilate(alpha, np.ones((5, 5))) - cv2.erode(alpha, np.ones((5, 5)))
    weight = 0.2 + 0.8 * hull
    return np.asarray(weight * (1 + edge + (0.7 + skin) * (alpha > 0.5)), np.float32)


def main() -> None:
    """Draw a sheet of samples to look at."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cache", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--seed", type=int, default=1)
    o = parser.parse_args()
    m, rng = load(o.cache), np.random.default_rng(o.seed)
    tiles = []
    for _ in range(40):
        crop, _, alpha, _ = sample(m, rng)
        picture = np.ascontiguousarray(crop[..., ::-1])
        tiles.append(np.vstack([picture, np.repeat(alpha[..., None], 3, 2)]))
    rows = [np.hstack(tiles[i : i + 10]) for i in range(0, 40, 10)]
    cv2.imwrite(str(o.out), np.round(np.vstack(rows) * 255).clip(0, 255).astype(np.uint8))


if __name__ == "__main__":
    main()
