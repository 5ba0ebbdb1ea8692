"""Render luma faces of the morphable model with exact landmarks, as training material.

A z-buffer rasteriser (numba) draws random identities, expressions, poses, lenses, materials, hair
and light. Each item is a 256 x 256 picture in the frame of reference of
`semblance.track.native.roi_of`: the face's region of interest is centred, upright and 160 px wide,
so that the training loop may shift, scale and roll it as it pleases.

    python bench/landmarks/render.py --count 9000 --out /tmp/landmarks

Needs numba, scipy and the morphable face in ../shared/studio/ict_face; no part of the product.
"""

from __future__ import annotations

import argparse
import itertools
import time
from dataclasses import dataclass
from pathlib import Path

import cv2
import numba
import numpy as np
from scipy.ndimage import map_coordinates

FACE_MODEL = Path(__file__).resolve().parents[3] / "shared/studio/ict_face/ict_face.npz"
# fmt: off
LANDMARK_VERTICES = np.array([
    1225, 1888, 1052, 367, 1719, 1722, 2199, 1447, 966, 3661, 4390, 3927, 3924, 2608,
    3272, 4088, 3443, 268, 493, 1914, 2044, 1401, 3615, 4240, 4114, 2734, 2509, 978,
    4527, 4942, 4857, 1140, 2075, 1147, 4269, 3360, 1507, 1542, 1537, 1528, 1518, 1511,
    3742, 3751, 3756, 3721, 3725, 3732, 5708, 5695, 2081, 0, 4275, 6200, 6213, 6346,
    6461, 5518, 5957, 5841, 5702, 5711, 5533, 6216, 6207, 6470, 5517, 5966,
])
# fmt: on
SIZE = 256  # of a cached picture, pixels
ROI = 160.0  # side of the region of interest in it
# Not drawn: see-through shells, and the inner eyeballs (their iris is painted on the cornea).
SHELLS = ("M_EyeBlend", "M_EyeOcclusion", "M_LacrimalFluid", "M_IrisLeft", "M_IrisRight")
NX, NY, NZ, ALBEDO, SHEEN, AMBIENT, HAIR, PX, PY, PZ = range(10)  # the rasteriser's channels


@numba.njit(cache=True, fastmath=True)
def rasterise(xy, depth, triangles, attributes, size, cull):
    """Fill (size, size, channels) with the attributes of the nearest surface; returns it, depth."""
    channels = attributes.shape[1]
    out = np.zeros((size, size, channels), np.float32)
    nearest = np.full((size, size), 1e9, np.float32)
    for t in range(triangles.shape[0]):
        a, b, c = triangles[t, 0], triangles[t, 1], triangles[t, 2]
        ax, ay = xy[a, 0], xy[a, 1]
        bx, by = xy[b, 0], xy[b, 1]
        cx, cy = xy[c, 0], xy[c, 1]
        area = (bx - ax) * (cy - ay) - (by - ay) * (cx - ax)
        if area > -1e-9 and (cull or area < 1e-9):
            continue
        x0 = max(0, int(np.ceil(min(ax, bx, cx) - 0.5)))
        x1 = min(size - 1, int(np.floor(max(ax, bx, cx) - 0.5)))
        y0 = max(0, int(np.ceil(min(ay, by, cy) - 0.5)))
        y1 = min(size - 1, int(np.floor(max(ay, by, cy) - 0.5)))
        inverse = 1.0 / area
        for y in range(y0, y1 + 1):
            for x in range(x0, x1 + 1):
                px, py = x + 0.5, y + 0.5
                u = ((bx - px) * (cy - py) - (by - py) * (cx - px)) * inverse
                v = ((cx - px) * (ay - py) - (cy - py) * (ax - px)) * inverse
                w = 1.0 - u - v
                if u < 0.0 or v < 0.0 or w < 0.0:
                    continue
                z = u * depth[a] + v * depth[b] + w * depth[c]
                if z < nearest[y, x]:
                    nearest[y, x] = z
                    for k in range(channels):
                        out[y, x, k] = (
                            u * attributes[a, k] + v * attributes[b, k] + w * attributes[c, k]
                        )
    return out, nearest


@numba.njit(cache=True, fastmath=True)
def vertex_normals(vertices, triangles):
    """Area-weighted unit normals (V, 3)."""
    out = np.zeros_like(vertices)
    for t in range(triangles.shape[0]):
        a, b, c = triangles[t, 0], triangles[t, 1], triangles[t, 2]
        e = vertices[b] - vertices[a]
        f = vertices[c] - vertices[a]
        n0 = e[1] * f[2] - e[2] * f[1]
        n1 = e[2] * f[0] - e[0] * f[2]
        n2 = e[0] * f[1] - e[1] * f[0]
        for i in (a, b, c):
            out[i, 0] += n0
            out[i, 1] += n1
            out[i, 2] += n2
    for i in range(out.shape[0]):
        length = np.sqrt(out[i, 0] ** 2 + out[i, 1] ** 2 + out[i, 2] ** 2) + 1e-12
        out[i] /= length
    return out


def rotation(yaw: float, pitch: float, roll: float) -> np.ndarray:
    """Head-to-camera rotation of degrees: roll about z, then pitch about x, then yaw about y."""
    y, p, r = np.radians([yaw, pitch, roll])
    about_y = [[np.cos(y), 0, np.sin(y)], [0, 1, 0], [-np.sin(y), 0, np.cos(y)]]
    about_x = [[1, 0, 0], [0, np.cos(p), -np.sin(p)], [0, np.sin(p), np.cos(p)]]
    about_z = [[np.cos(r), -np.sin(r), 0], [np.sin(r), np.cos(r), 0], [0, 0, 1]]
    return (np.array(about_y) @ np.array(about_x) @ np.array(about_z)).astype(np.float32)


def inside(points: np.ndarray, polygon: np.ndarray) -> np.ndarray:
    """Signed distance (positive inside) of (N, 2) points to a polygon."""
    contour = np.ascontiguousarray(polygon, np.float32).reshape(-1, 1, 2)
    return np.array([cv2.pointPolygonTest(contour, (float(x), float(y)), True) for x, y in points])


def to_segments(points: np.ndarray, line: np.ndarray) -> np.ndarray:
    """Distance of (N, D) points to a polyline (M, D)."""
    best = np.full(len(points), np.inf)
    for a, b in itertools.pairwise(line):
        t = np.clip((points - a) @ (b - a) / ((b - a) @ (b - a)), 0, 1)
        best = np.minimum(best, np.linalg.norm(points - a - t[:, None] * (b - a), axis=1))
    return best


@dataclass(frozen=True)
class Head:
    """The morphable face, compacted to the surfaces that are drawn."""

    neutral: np.ndarray  # (V, 3) centimetres
    identity: np.ndarray  # (100, V * 3)
    expression: np.ndarray  # (57, V, 3)
    names: tuple[str, ...]
    triangles: np.ndarray  # (T, 3)
    lashes: np.ndarray  # (T', 3), drawn from both sides
    landmarks: np.ndarray  # (68,) vertices
    part: dict[str, np.ndarray]  # per-vertex weights 0..1 by name
    ambient: np.ndarray  # (V,) openness to the sky, 0..1


def _triangulate(faces: np.ndarray) -> np.ndarray:
    quads = faces[faces[:, 3] >= 0]
    return np.concatenate([faces[:, :3], quads[:, [0, 2, 3]]])


def _ambient(vertices: np.ndarray, normals: np.ndarray, triangles: np.ndarray) -> np.ndarray:
    """Cosine-weighted visibility of a sphere of 96 directions, through depth maps."""
    k = np.arange(96) + 0.5
    phi, cos = np.pi * (1 + 5**0.5) * k, 1 - 2 * k / 96
    sin = np.sqrt(1 - cos**2)
    seen = np.zeros(len(vertices))
    total = np.zeros(len(vertices))
    for direction in np.stack([sin * np.cos(phi), cos, sin * np.sin(phi)], 1).astype(np.float32):
        lit = shadow(vertices, triangles, direction, 384, 0.25)
        weight = np.maximum(normals @ direction, 0)
        seen += lit * weight
        total += weight
    return (seen / np.maximum(total, 1e-6)).astype(np.float32)


def shadow(
    vertices: np.ndarray, triangles: np.ndarray, direction: np.ndarray, size: int, bias: float
) -> np.ndarray:
    """1 where a vertex sees a far light in `direction`, else 0, soft by the map's resolution."""
    up = np.array([0, 0, 1] if abs(direction[1]) > 0.9 else [0, 1, 0], np.float32)
    x = np.cross(up, direction)
    x /= np.linalg.norm(x)
    y = np.cross(direction, x)
    flat = vertices @ np.stack([x, -y], 1).astype(np.float32)
    low = flat.min(0)
    scale = (size - 4) / (flat.max(0) - low).max()
    xy = (flat - low) * scale + 2
    depth = -(vertices @ direction)
    none = np.zeros((len(vertices), 1), np.float32)
    _, nearest = rasterise(xy, depth, triangles, none, size, True)
    nearest = cv2.erode(nearest, None) if size < 200 else nearest
    at = map_coordinates(nearest, [xy[:, 1] - 0.5, xy[:, 0] - 0.5], order=1, mode="nearest")
    return np.clip((at + bias - depth) / bias + 0.5, 0, 1)


def load_head(path: Path = FACE_MODEL) -> Head:
    """Read the morphable face and prepare vertex regions and ambient openness."""
    data = np.load(path)
    materials = [str(m) for m in data["material_names"]]
    material = data["face_material"]
    shown = ~np.isin(material, [materials.index(s) for s in SHELLS])
    is_lash = material == materials.index("M_EyeLashes")
    used, compact = np.unique(data["faces"][shown], return_inverse=True)
    first = int(used[0] == -1)
    faces = (compact.reshape(-1, 4) - first).astype(np.int32)
    used = used[first:]
    index = np.full(len(data["neutral"]), -1)
    index[used] = np.arange(len(used))
    lashes = _triangulate(faces[is_lash[shown]])
    triangles = _triangulate(faces[~is_lash[shown]])
    neutral = data["neutral"][used].astype(np.float32)
    marks = index[LANDMARK_VERTICES]
    part: dict[str, np.ndarray] = {}
    for name in materials:
        member = np.zeros(len(used), np.float32)
        corners = np.unique(faces[material[shown] == materials.index(name)])
        member[corners[corners >= 0]] = 1
        part[name] = member
    part["socket"] = ((used >= 11248) & (used < 13294)).astype(np.float32)
    part["gums"] = ((used >= 14062) & (used < 17039)).astype(np.float32)
    part["teeth"] = ((used >= 17039) & (used < 21451)).astype(np.float32)
    part["eyeball"] = ((used >= 21451) & (used < 24591)).astype(np.float32)
    skin = used < 11248
    points = neutral[marks]
    brow = np.minimum(
        to_segments(neutral[skin], points[17:22]), to_segments(neutral[skin], points[22:27])
    )
    part["brow_distance"] = np.full(len(used), 99, np.float32)
    part["brow_distance"][skin] = brow
    lips = np.zeros(len(used), np.float32)
    near = skin & (np.linalg.norm(neutral - points[66], axis=1) < 4.5) & (neutral[:, 2] > 9)
    outer = inside(neutral[near][:, :2], points[48:60, :2])
    lips[near] = np.clip(outer / 0.25 + 0.5, 0, 1)
    part["lips"] = lips
    eye = np.full(len(used), 99, np.float32)
    for start in (36, 42):
        loop = np.concatenate([points[start : start + 6], points[start : start + 1]])
        eye[skin] = np.minimum(eye[skin], to_segments(neutral[skin], loop))
    part["eye_distance"] = eye
    jaw = to_segments(neutral[skin], points[3:14])
    around = np.linalg.norm(neutral[skin] - points[66], axis=1)
    beard = np.clip((-1.2 - neutral[skin][:, 1]) / 1.0, 0, 1) * np.clip(
        (13 - neutral[skin][:, 2].max() + neutral[skin][:, 2]) / 6, 0, 1
    )
    part["beard"] = np.zeros(len(used), np.float32)
    part["beard"][skin] = beard * np.clip((6.5 - np.minimum(jaw + 1.5, around)) / 2, 0, 1)
    part["moustache"] = np.zeros(len(used), np.float32)
    part["moustache"][skin] = np.clip(
        1.6 - to_segments(neutral[skin], points[[48, 50, 51, 52, 54]] + [0, 0.6, 0]), 0, 1
    )
    iris = np.zeros(len(used), np.float32)
    for name in ("M_ScleraLeft", "M_ScleraRight"):
        member = part[name] > 0
        ball = neutral[member]
        middle = (ball.min(0) + ball.max(0)) / 2
        radius = np.hypot(*(ball - middle)[:, :2].T)
        iris[member] = np.where(ball[:, 2] > middle[2], np.maximum(1 - radius / 0.62, 0), 0)
    part["iris"] = iris
    part["scalp"] = np.where(skin, neutral[:, 1] - 10.8 + 1.06 * (10 - neutral[:, 2]), -99)
    normals = vertex_normals(neutral, triangles)
    return Head(
        neutral,
        data["identity"][:, used].astype(np.float32).reshape(100, -1),
        data["expression"][:, used].astype(np.float32),
        tuple(str(n) for n in data["expression_names"]),
        triangles,
        lashes,
        marks,
        part,
        _ambient(neutral, normals, triangles),
    )


def random_expression(rng: np.random.Generator, names: tuple[str, ...]) -> dict[str, float]:
    """Weights of several shapes at once: jaw, lids, gaze, brows and mouth."""
    w: dict[str, float] = {}

    def both(name: str, value: float, spread: float = 0.15) -> None:
        for side in ("_L", "_R"):
            w[name + side] = float(np.clip(value + rng.normal() * spread * value, 0, 1))

    if rng.random() < 0.55:
        w["jawOpen"] = rng.beta(1.0, 1.6)
    u = rng.random()
    if u < 0.12:
        both("eyeBlink", rng.uniform(0.85, 1), 0.05)
    elif u < 0.4:
        both("eyeBlink", rng.uniform(0, 0.7))
    elif u < 0.55:
        both("eyeWide", rng.random())
    if rng.random() < 0.4:
        both("eyeSquint", rng.random())
    gaze = np.clip(rng.normal(size=2) * 0.4, -1, 1)
    w["eyeLookOut_L"] = w["eyeLookIn_R"] = max(gaze[0], 0)
    w["eyeLookIn_L"] = w["eyeLookOut_R"] = max(-gaze[0], 0)
    both("eyeLookUp", max(gaze[1], 0), 0)
    both("eyeLookDown", max(-gaze[1], 0), 0)
    for name, chance in (("browDown", 0.25), ("browInnerUp", 0.25), ("browOuterUp", 0.25)):
        if rng.random() < chance:
            both(name, rng.random())
    u = rng.random()
    if u < 0.3:
        both("mouthSmile", rng.random(), 0.2)
        both("cheekSquint", rng.random() * 0.7)
    elif u < 0.38:
        both("mouthFrown", rng.random())
    elif u < 0.5:
        w["mouthFunnel"] = rng.random()
    elif u < 0.6:
        w["mouthPucker"] = rng.random()
    if rng.random() < 0.5:
        for name in rng.choice(names, 3, replace=False):
            if not name.startswith(("eye", "Pupil")):
                w[str(name)] = rng.random() * 0.7
    return w


def _waves(points: np.ndarray, rng: np.random.Generator, frequency: float, n: int) -> np.ndarray:
    """Smooth noise over (V, 3) points, about unit variance; frequency in radians per cm."""
    k = rng.normal(size=(3, n)).astype(np.float32) * frequency
    return np.cos(points @ k + rng.uniform(0, 6.28, n).astype(np.float32)).sum(1) * (2 / n) ** 0.5


def _streaks(rng: np.random.Generator) -> np.ndarray:
    """Noise stretched along one direction, unit variance: strands."""
    noise = rng.normal(size=(SIZE, SIZE)).astype(np.float32)
    length = int(rng.integers(9, 31))
    kernel = np.zeros((length, length), np.float32)
    angle = rng.normal(np.pi / 2, 0.5)
    d = np.array([np.cos(angle), np.sin(angle)]) * length / 2
    a, b = (length / 2 - d).astype(int), (length / 2 + d).astype(int)
    cv2.line(kernel, a.tolist(), b.tolist(), 1.0)
    out = cv2.GaussianBlur(cv2.filter2D(noise, -1, kernel), None, rng.uniform(0.6, 1.5))
    return out / (out.std() + 1e-6)


@dataclass(frozen=True)
class Shape:
    """One person in one pose, before light."""

    buffer: np.ndarray  # (SIZE, SIZE, channels)
    cover: np.ndarray  # (SIZE, SIZE) bool
    vertices: np.ndarray  # posed, camera axes
    landmarks: np.ndarray  # (68, 2)
    points: np.ndarray  # posed head-space anchors, projected (K, 2): hair, ears, shoulders
    scale: float  # pixels per centimetre at the face


def region(points: np.ndarray) -> tuple[np.ndarray, float, float]:
    """Centre, side and roll (radians) of the region of interest: `native.roi_of`."""
    from semblance.track.native import roi_of

    roi = roi_of(points)
    return np.array(roi.centre), roi.side, roi.roll


def _albedo(head: Head, vertices: np.ndarray, rng: np.random.Generator) -> dict[str, np.ndarray]:
    part = head.part
    skin = float(np.exp(rng.uniform(np.log(0.06), np.log(0.75))))
    hair = float(np.exp(rng.uniform(np.log(0.012), np.log(0.5))))
    rest = head.neutral  # texture sticks to the mean head's surface
    albedo = np.full(len(rest), skin, np.float32)
    albedo *= 1 + rng.uniform(0, 0.14) * _waves(rest, rng, 0.5, 8)
    albedo *= 1 + rng.uniform(0, 0.12) * _waves(rest, rng, 2.0, 12)
    albedo *= 1 + rng.uniform(0, 0.08) * _waves(rest, rng, 6.0, 12)
    if rng.random() < 0.12:  # freckles
        albedo *= 1 - 0.4 * (_waves(rest, rng, 9.0, 20) > 1.3)
    tint = skin * (0.35 + 0.7 * rng.beta(2, 1.5))
    albedo += part["lips"] * (tint - albedo) * rng.uniform(0.5, 1)
    shade = rng.uniform(0, 0.6) * (rng.random() < 0.6)  # lids and rings under the eyes
    albedo *= 1 - shade * np.exp(-((part["eye_distance"] / rng.uniform(0.3, 1.0)) ** 2))
    if rng.random() < 0.35:  # eye liner and dark lash roots
        albedo *= 1 - rng.uniform(0.3, 0.9) * (part["eye_distance"] < rng.uniform(0.12, 0.3))
    width = rng.uniform(0.25, 0.75)
    brow = np.clip((width - part["brow_distance"]) / 0.25 + 0.5, 0, 1)
    brow *= np.clip(0.9 + 0.5 * _waves(rest, rng, 5.0, 10), 0.2, 1) * rng.uniform(0.35, 1)
    albedo += brow * (min(hair * rng.uniform(0.5, 1.5), skin * 0.6) - albedo)
    beard = np.zeros_like(albedo)
    if rng.random() < 0.25:
        beard = part["beard"] * np.clip(0.7 + 0.4 * _waves(rest, rng, 3.0, 12), 0, 1)
        beard = np.maximum(beard * (rng.random() < 0.8), part["moustache"] * (rng.random() < 0.7))
        beard *= rng.uniform(0.2, 1) * (1 - part["lips"])
        albedo += beard * (min(hair, skin) - albedo)
    sclera = (part["M_ScleraLeft"] + part["M_ScleraRight"]) > 0
    albedo[sclera] = rng.uniform(0.25, 0.7)
    iris = part["iris"] > 0
    albedo[iris] = np.exp(rng.uniform(np.log(0.02), np.log(0.35)))
    albedo[part["iris"] > rng.uniform(0.45, 0.75)] = 0.01
    albedo[part["teeth"] > 0] = rng.uniform(0.3, 0.85)
    albedo[part["gums"] > 0] = rng.uniform(0.06, 0.3)
    albedo[part["socket"] > 0] = rng.uniform(0.02, 0.12)
    albedo[part["M_EyeLashes"] > 0] = 0.02
    sheen = np.full(len(rest), rng.uniform(0.01, 0.35), np.float32)
    sheen *= 1 - np.maximum(beard, brow)
    sheen[part["eyeball"] > 0] = rng.uniform(0.5, 4)
    sheen[part["socket"] + part["gums"] > 0] *= 0.5
    return {"albedo": albedo, "sheen": sheen, "beard": beard, "hair": np.float32(hair)}


def _hair(
    head: Head, vertices: np.ndarray, normals: np.ndarray, rng: np.random.Generator
) -> np.ndarray:
    """Lift the scalp in place; returns its weight per vertex."""
    if rng.random() < 0.12:
        return np.zeros(len(vertices), np.float32)
    line = rng.normal(0, 1.2) - 3.5 * (rng.random() < 0.2)
    field = head.part["scalp"] - line + 0.5 * _waves(head.neutral, rng, 1.5, 8)
    weight = np.clip(field / rng.uniform(0.3, 1.5), 0, 1).astype(np.float32)
    if rng.random() < 0.6:  # leave the ears out
        weight *= np.abs(head.neutral[:, 0]) < 8.2
    thick = rng.uniform(0.1, 2.8) * np.clip(field / 4, 0, 1)
    thick = thick * (1 + 0.4 * _waves(head.neutral, rng, 0.8, 8)) + 0.1
    vertices += normals * (weight * np.maximum(thick, 0))[:, None]
    return weight


def random_shape(head: Head, person: np.ndarray, rng: np.random.Generator) -> Shape:
    """Pose and draw one person (V, 3) into the attribute buffer."""
    vertices = person.copy()
    for name, weight in random_expression(rng, head.names).items():
        vertices += np.float32(weight) * head.expression[head.names.index(name)]
    marks = vertices[head.landmarks]
    normals = vertex_normals(vertices, head.triangles)
    look = _albedo(head, vertices, rng)
    hair = _hair(head, vertices, normals, rng)
    if hair.any():
        normals = vertex_normals(vertices, head.triangles)
    yaw = np.clip(rng.normal() * 27, -75, 75)
    pitch = np.clip(rng.normal() * 13, -32, 32)
    turn = rotation(yaw, pitch, rng.normal() * 12)
    pivot = np.array([0, 0, 4], np.float32)
    anchors = np.array(
        [[0, 5, 0], [-9, 0, 1], [9, 0, 1], [-19, -21, -2], [19, -21, -2], [0, -14, 3]], np.float32
    )
    posed, marks3, anchors3 = ((p - pivot) @ turn.T for p in (vertices, marks, anchors))
    distance = np.exp(rng.uniform(np.log(35), np.log(400)))

    def project(p: np.ndarray) -> np.ndarray:
        return p[:, :2] * [1, -1] * (distance / (distance - p[:, 2:3]))

    flat = project(marks3)
    centre, side, roll = region(flat)
    back = np.array([[np.cos(roll), np.sin(roll)], [-np.sin(roll), np.cos(roll)]])

    def place(p: np.ndarray) -> np.ndarray:
        return ((p - centre) @ back.T) * (ROI / side) + SIZE / 2

    xy = place(project(posed)).astype(np.float32)
    attributes = np.empty((len(xy), 10), np.float32)
    attributes[:, :3] = normals @ turn.T
    open_ = head.ambient.copy()
    inner = head.part["teeth"] + head.part["gums"] + head.part["socket"] > 0
    depth_in = np.clip((vertices[:, 2] - 8) / 5, 0, 1)
    open_[inner] = np.maximum(open_[inner], (rng.uniform(0.2, 1.2) * depth_in[inner]))
    attributes[:, AMBIENT] = open_
    attributes[:, ALBEDO] = look["albedo"] + hair * (look["hair"] - look["albedo"])
    attributes[:, SHEEN] = look["sheen"] * (1 - hair)
    attributes[:, HAIR] = np.maximum(hair, 0.6 * look["beard"])
    attributes[:, PX:] = posed
    depth = (distance - posed[:, 2]).astype(np.float32)
    buffer, nearest = rasterise(xy, depth, head.triangles, attributes, SIZE, True)
    if rng.random() < 0.7:  # sheets whose hairs would be a texture: a veil, darkest at the root
        _, near = rasterise(xy, depth - 0.02, head.lashes, attributes[:, :1], SIZE, False)
        veil = cv2.GaussianBlur((near < nearest).astype(np.float32), None, 0.8)
        buffer[..., ALBEDO] *= 1 - rng.uniform(0.05, 0.6) * veil
    return Shape(
        buffer,
        nearest < 1e8,
        posed,
        place(flat).astype(np.float32),
        place(project(anchors3)),
        ROI / side,
    )


def _soft_polygon(points: np.ndarray, blur: float) -> np.ndarray:
    mask = np.zeros((SIZE, SIZE), np.float32)
    cv2.fillPoly(mask, [np.round(points * 16).astype(np.int32)], 1.0, cv2.LINE_AA, 4)
    return cv2.GaussianBlur(mask, None, blur)


def light(head: Head, shape: Shape, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Light, dress and encode a shape: (SIZE, SIZE) luma 0..1 (sRGB-like), alpha 0..1."""
    buffer = shape.buffer
    normal = buffer[..., :3] / (np.linalg.norm(buffer[..., :3], axis=-1, keepdims=True) + 1e-6)
    albedo = buffer[..., ALBEDO].copy()
    sky = 0.5 + 0.5 * normal @ _direction(rng, up=True)
    total = rng.uniform(0.05, 0.8) * buffer[..., AMBIENT] * (0.5 + rng.uniform(0, 1) * sky)
    gloss = np.zeros_like(total)
    for k in range(rng.integers(1, 4)):
        direction = _direction(rng, up=k == 0)
        strength = rng.uniform(0.3, 1.6) if k == 0 else rng.uniform(0, 0.9)
        lambert = normal @ direction
        wrap = rng.uniform(0, 0.35)
        lit = np.clip((lambert + wrap) / (1 + wrap), 0, None)
        if k == 0 and rng.random() < 0.7:
            size = 160
            visible = shadow(shape.vertices, head.triangles, direction, size, 0.5)
            at, _ = _vertex_image(shape, head, visible.astype(np.float32))
            lit = lit * cv2.GaussianBlur(at, None, rng.uniform(0.6, 4))
        total += strength * lit
        half = direction + np.array([0, 0, 1], np.float32)
        half /= np.linalg.norm(half)
        eye = buffer[..., SHEEN] > 0.45
        power = np.where(eye, 120.0, rng.uniform(8, 45))
        gloss += strength * buffer[..., SHEEN] * np.clip(normal @ half, 0, None) ** power
    hair = np.clip(buffer[..., HAIR], 0, 1)
    streaks = _streaks(rng)
    albedo *= 1 + hair * rng.uniform(0.1, 0.6) * np.clip(streaks, -1.5, 2.5)
    pores = cv2.GaussianBlur(rng.normal(size=(SIZE, SIZE)).astype(np.float32), None, 0.8)
    albedo *= 1 + rng.uniform(0, 0.25) * pores
    colour = np.maximum(albedo, 0) * total + gloss * buffer[..., AMBIENT]
    key = float(np.median(colour[shape.cover]))
    alpha = cv2.GaussianBlur(shape.cover.astype(np.float32), None, 0.6)
    colour, alpha = _dress(shape, colour, alpha, streaks, key, rng)
    if rng.random() < 0.5:  # a shadow or a slope of light across the picture
        colour = colour * _slope(rng)
    level = rng.uniform(0.08, 0.5) / (key + 1e-4)
    encoded = np.clip(colour * level, 0, 1.3) ** (1 / rng.uniform(1.8, 2.6))
    return np.clip(encoded, 0, 1), np.clip(alpha, 0, 1)


def _vertex_image(shape: Shape, head: Head, value: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Look a per-vertex value up at each pixel through the nearest projected vertex grid."""
    x = shape.buffer[..., PX]
    # A coarse 3-D grid of the values: cells of 0.4 cm, averaged.
    cell = 0.4
    low = shape.vertices.min(0)
    dims = np.ceil((shape.vertices.max(0) - low) / cell).astype(int) + 1
    at = ((shape.vertices - low) / cell).astype(int)
    flat = (at[:, 0] * dims[1] + at[:, 1]) * dims[2] + at[:, 2]
    total = np.bincount(flat, value, dims.prod())
    count = np.bincount(flat, minlength=dims.prod())
    pixel = ((shape.buffer[..., PX:] - low) / cell).astype(int).clip(0, dims - 1)
    cells = (pixel[..., 0] * dims[1] + pixel[..., 1]) * dims[2] + pixel[..., 2]
    found = count[cells] > 0
    image = np.where(found, total[cells] / np.maximum(count[cells], 1), 0).astype(np.float32)
    weight = cv2.GaussianBlur(found.astype(np.float32), None, 2.0)
    filled = cv2.GaussianBlur(image, None, 2.0) / np.maximum(weight, 1e-3)
    return np.where(found, image, filled), x


def _slope(rng: np.random.Generator) -> np.ndarray:
    angle, edge = rng.uniform(0, 6.28), rng.normal(0, 40)
    y, x = np.mgrid[:SIZE, :SIZE].astype(np.float32) - SIZE / 2
    side = (x * np.cos(angle) + y * np.sin(angle) - edge) / rng.uniform(4, 90)
    return 1 - rng.uniform(0.2, 0.85) / (1 + np.exp(-side))


def _direction(rng: np.random.Generator, *, up: bool) -> np.ndarray:
    d = rng.normal(size=3)
    d[2] = abs(d[2]) if rng.random() < 0.8 else d[2]
    d[1] = abs(d[1]) * 0.8 if up and rng.random() < 0.8 else d[1]
    return (d / np.linalg.norm(d)).astype(np.float32)


def _dress(
    shape: Shape,
    colour: np.ndarray,
    alpha: np.ndarray,
    streaks: np.ndarray,
    key: float,
    rng: np.random.Generator,
) -> tuple[np.ndarray, np.ndarray]:
    """Long hair behind and beside the head, clothes and glasses, drawn flat."""
    centre, left, right, left_shoulder, right_shoulder, collar = shape.points
    s = shape.scale

    def under(mask: np.ndarray, value: np.ndarray) -> None:
        nonlocal colour, alpha
        a = mask * (1 - alpha)
        colour = np.where(alpha + a > 1e-4, (colour * alpha + value * a), colour)
        alpha = alpha + a
        colour = colour / np.maximum(alpha, 1e-3)

    if rng.random() < 0.75:  # clothes
        drop = np.array([rng.normal() * 3, 30]) * s
        neck = collar + np.array([rng.normal() * 2, rng.uniform(0, 5)]) * s
        outline = np.array(
            [
                neck + np.array([-5 * s, 0]),
                left_shoulder,
                left_shoulder + drop,
                right_shoulder + drop,
                right_shoulder,
                neck + np.array([5 * s, 0]),
            ]
        )
        tone = key * np.exp(rng.normal() * 0.9)
        under(_soft_polygon(outline, 1.0), tone * (1 + 0.15 * streaks * rng.random()))
    tone = key * np.exp(rng.uniform(-2.5, 0.6))
    strands = np.maximum(tone * (1 + rng.uniform(0.1, 0.5) * streaks), 0)
    if rng.random() < 0.4:  # hair behind
        t = np.linspace(0, 2 * np.pi, 40, endpoint=False)
        r = np.array([rng.uniform(9, 14), rng.uniform(9, 13)]) * s
        ring = centre + np.stack([np.cos(t), np.sin(t)], 1) * r
        low = rng.uniform(0, 22) * s
        ring[:, 1] += np.where(ring[:, 1] > centre[1], low, 0)
        ring += rng.normal(size=ring.shape) * 0.5 * s
        under(_soft_polygon(ring, rng.uniform(0.6, 2)), strands)
    if rng.random() < 0.25:  # hair over the cheeks
        for root, other in ((left, right), (right, left)):
            if rng.random() < 0.25:
                continue
            out = (root - other) / (np.linalg.norm(root - other) + 1e-6)
            width = rng.uniform(1, 4) * s
            top = root - np.array([0, rng.uniform(5, 11) * s]) - out * rng.uniform(0, 4) * s
            end = root + np.array([0, rng.uniform(4, 20) * s])
            poly = np.array([top, top + out * width, root + out * 2.5 * width, end + out * width])
            poly = np.concatenate([poly, [end - out * width, root - out * rng.uniform(-1, 2) * s]])
            mask = _soft_polygon(poly, rng.uniform(0.8, 2.5))
            colour = colour + (strands - colour) * mask
            alpha = np.maximum(alpha, mask)
    if rng.random() < 0.16:
        colour = _glasses(shape, colour, key, rng)
    return colour, alpha


def _glasses(shape: Shape, colour: np.ndarray, key: float, rng: np.random.Generator) -> np.ndarray:
    frame = np.zeros((SIZE, SIZE), np.float32)
    lens = np.zeros((SIZE, SIZE), np.float32)
    points = shape.landmarks
    eyes = [points[36:42].mean(0), points[42:48].mean(0)]
    across = eyes[1] - eyes[0]
    angle = float(np.degrees(np.arctan2(across[1], across[0])))
    height = rng.uniform(1.5, 2.6) * shape.scale
    thick = int(max(1, rng.uniform(0.1, 0.6) * shape.scale))
    square = rng.random() < 0.5
    corners = []
    for eye in eyes:
        half = (float(np.linalg.norm(across)) * rng.uniform(0.36, 0.46), height)
        t = np.linspace(0, 2 * np.pi, 48, endpoint=False)
        ring = np.stack([np.cos(t), np.sin(t)], 1)
        ring = np.sign(ring) * np.abs(ring) ** (0.45 if square else 1.0)
        a = np.radians(angle)
        ring = (ring * half) @ np.array([[np.cos(a), np.sin(a)], [-np.sin(a), np.cos(a)]]) + eye
        outline = [np.round((ring + np.array([0, height * 0.15])) * 16).astype(np.int32)]
        cv2.fillPoly(lens, outline, 1.0, cv2.LINE_AA, 4)
        cv2.polylines(frame, outline, True, 1.0, thick, cv2.LINE_AA, 4)
        corners.append(ring)
    bridge = [corners[0][0], corners[1][24]]
    arms = [(corners[0][24], points[0]), (corners[1][0], points[16])]
    for a, b in [tuple(bridge), *arms]:
        cv2.line(frame, *[np.round(p * 16).astype(int).tolist() for p in (a, b)], 1.0, thick, 16, 4)
    dark = rng.uniform(0, 1) if rng.random() < 0.35 else rng.uniform(0, 0.1)
    colour = colour * (1 - dark * lens) + lens * key * rng.uniform(0, 0.15)
    tone = key * np.exp(rng.uniform(-3, 0.8))
    return colour + (tone - colour) * cv2.GaussianBlur(frame, None, 0.7)


def random_person(head: Head, rng: np.random.Generator) -> np.ndarray:
    """Vertices (V, 3) of a random neutral identity."""
    spread = rng.uniform(0.5, 1.4)
    weights = np.clip(rng.normal(size=100) * spread, -2.6, 2.6).astype(np.float32)
    return head.neutral + (weights @ head.identity).reshape(-1, 3)


def main() -> None:
    """Render a cache of arrays: `luma`, `alpha` (N, 2 lights), `points`, one .npy each."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--count", type=int, default=9000, help="shapes; two lights each")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    cv2.setNumThreads(1)
    rng = np.random.default_rng(options.seed)
    options.out.mkdir(parents=True, exist_ok=True)
    head = load_head()
    shape = (options.count, 2, SIZE, SIZE)

    def array(name: str, shape: tuple[int, ...], kind: type) -> np.ndarray:
        path = options.out / f"{name}.npy"
        return np.lib.format.open_memmap(path, mode="w+", dtype=kind, shape=shape)

    luma, alpha = array("luma", shape, np.uint8), array("alpha", shape, np.uint8)
    points = array("points", (options.count, 68, 2), np.float32)
    start = time.perf_counter()
    for i in range(options.count):
        if i % 3 == 0:
            person = random_person(head, rng)
        drawn = random_shape(head, person, rng)
        points[i] = drawn.landmarks
        for j in range(2):
            value, cover = light(head, drawn, rng)
            luma[i, j] = np.round(value * 255)
            alpha[i, j] = np.round(cover * 255)
        if i % 500 == 499:
            (options.out / "done").write_text(str(i + 1))
            print(f"{i + 1} shapes, {time.perf_counter() - start:.0f} s", flush=True)


if __name__ == "__main__":
    main()
