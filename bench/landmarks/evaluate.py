"""Measure a face provider against exact truth, and against itself where there is none.

    python bench/landmarks/evaluate.py --provider native --pictures /tmp/pictures

Prints JSON. Shots and stills: ../shared/studio. NME is the mean distance of the 68 points over the
distance of the outer eye corners (36, 45), which is not let below half of its median over the
shot. Jitter is the root-mean-square second difference over time of the error of the landmarks in
sight other than the jaw's, pixels.
The photograph of scikit-image's `astronaut` has no truth: its landmarks in the plain picture,
carried through a change of the picture, are compared with those found in the changed picture.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import OpenImageIO as oiio
from skimage import data as photographs

from semblance.track.head import head_pose
from semblance.track.provider import Detection, FaceProvider, open_provider

STUDIO = Path(__file__).resolve().parents[3] / "shared/studio"
EMPTY = ("coffee", "chelsea", "rocket", "brick", "coins", "page", "clock", "moon", "gravel")
INNER = slice(17, 68)


def encode(linear: np.ndarray) -> np.ndarray:
    """sRGB transfer function of scene-linear values, clipped to 0..1."""
    x = np.clip(linear, 0, 1)
    low, high = 12.92 * x, 1.055 * np.maximum(x, 0.0031308) ** (1 / 2.4) - 0.055
    return np.where(x <= 0.0031308, low, high).astype(np.float32)


def read_plate(path: Path, landmarks: np.ndarray) -> np.ndarray:
    """Plate as the tracker is shown it: the face's mean brought to 0.38 in the encoding."""
    linear = np.asarray(oiio.ImageBuf(str(path)).get_pixels(oiio.FLOAT))[..., :3]
    hull = cv2.convexHull(np.round(landmarks).astype(np.int32))
    mask = cv2.fillConvexPoly(np.zeros(linear.shape[:2], np.uint8), hull, 1) > 0
    low, high = -8.0, 8.0
    for _ in range(24):
        middle = (low + high) / 2
        bright = encode(linear[mask] * 2**middle).mean() > 0.38
        low, high = (low, middle) if bright else (middle, high)
    return encode(linear * np.float32(2**middle))


def draw(path: Path, image: np.ndarray, *sets: np.ndarray) -> None:
    """Save a picture with landmark sets: green, then red."""
    zoom = max(1, round(700 / max(image.shape)))
    out = cv2.resize(image, None, fx=zoom, fy=zoom, interpolation=cv2.INTER_CUBIC)
    out = np.ascontiguousarray((np.clip(out, 0, 1)[..., ::-1] * 255).astype(np.uint8))
    for colour, points in zip([(0, 255, 0), (0, 0, 255)], sets, strict=False):
        for p in points * zoom:
            cv2.circle(out, tuple(int(v) for v in p), 2, colour, -1, cv2.LINE_AA)
    cv2.imwrite(str(path), out)


def pose_in_camera(frame: dict[str, Any]) -> np.ndarray:
    """Yaw, pitch and roll toward the camera's axes, degrees (the shot's own are the room's)."""
    r = (np.array(frame["world_to_camera"]) @ np.array(frame["head_to_world"]))[:3, :3]
    return np.degrees(
        [np.arctan2(r[0, 2], r[2, 2]), np.arcsin(-r[1, 2]), np.arctan2(r[1, 0], r[1, 1])]
    )


def follow(provider: FaceProvider, image: np.ndarray, last: Detection | None) -> Detection | None:
    """As a tracker goes: refine from the frame before, else find."""
    if last is not None:
        again = provider.refine(image, last.landmarks)
        if again is not None:
            return again
    found = provider.find(image)
    return found[0] if found else None


def shot(provider: FaceProvider, name: str, pictures: Path | None) -> dict[str, Any]:
    """Figures of one studio shot."""
    truth = json.loads((STUDIO / name / "truth.json").read_text())
    frames = sorted(truth, key=int)
    points = np.array([truth[f]["landmarks_plate"] for f in frames])
    visible = np.array([truth[f]["visible"] for f in frames])
    eyes = np.linalg.norm(points[:, 36] - points[:, 45], axis=1)
    unit = np.maximum(eyes, np.median(eyes) / 2)
    last: Detection | None = None
    errors = np.full(points.shape, np.nan)
    found_alone, seconds, poses = 0, [], []
    for i, f in enumerate(frames):
        image = read_plate(STUDIO / name / f"plate.{f}.exr", points[i])
        alone = provider.find(image)
        near = [
            d for d in alone if np.linalg.norm(d.landmarks.mean(0) - points[i].mean(0)) < unit[i]
        ]
        found_alone += bool(near)
        start = time.perf_counter()
        last = follow(provider, image, last)
        seconds.append(time.perf_counter() - start)
        if last is None:
            continue
        errors[i] = last.landmarks - points[i]
        poses.append(np.array(head_pose(last.landmarks)) - pose_in_camera(truth[f]))
        if pictures and i % 4 == 0:
            draw(pictures / f"{name}.{f}.png", image, last.landmarks, points[i])
    distance = np.linalg.norm(errors, axis=2) / unit[:, None] * 100
    distance[~visible] = np.nan
    second = np.diff(errors, 2, axis=0)
    second[~(visible[2:] & visible[1:-1] & visible[:-2])] = np.nan
    second = second[:, INNER]
    return {
        "frames": len(frames),
        "found_%": 100 * found_alone / len(frames),
        "followed_%": 100 * float(np.isfinite(errors[:, 0, 0]).mean()),
        "nme_%": float(np.nanmean(distance)),
        "nme_inner_%": float(np.nanmean(distance[:, INNER])),
        "nme_inner_worst_frame_%": float(np.nanmax(np.nanmean(distance[:, INNER], 1))),
        "jitter_px": float(np.sqrt(np.nanmean((second**2).sum(2)))),
        "median_interocular_px": float(np.median(eyes)),
        "pose_error_mean_abs_deg": np.abs(poses).mean(0).round(2).tolist(),
        "pose_error_mean_deg": np.mean(poses, 0).round(2).tolist(),
        "ms_per_frame": 1000 * float(np.median(seconds)),
    }


def stills(provider: FaceProvider, name: str, count: int) -> dict[str, Any]:
    """Figures of every n-th studio still, each found alone."""
    truth = json.loads((STUDIO / name / "landmarks.json").read_text())
    files = sorted(truth)[:: max(1, len(truth) // count)][:count]
    found, nme, inner, poses = 0, [], [], []
    for f in files:
        image = cv2.imread(str(STUDIO / name / f))[..., ::-1].astype(np.float32) / 255
        points = np.array(truth[f]["landmarks"])
        detections = provider.find(image)
        if not detections:
            continue
        unit = max(np.linalg.norm(points[36] - points[45]), 30.0)
        error = np.linalg.norm(detections[0].landmarks - points, axis=1) / unit * 100
        found += bool(error[INNER].mean() < 30)
        nme.append(error.mean())
        inner.append(error[INNER].mean())
        pose = np.array(head_pose(detections[0].landmarks))
        poses.append(pose - [truth[f][k] for k in ("yaw", "pitch", "roll")])
    return {
        "stills": len(files),
        "found_%": 100 * found / len(files),
        "nme_median_%": float(np.median(nme)),
        "nme_inner_median_%": float(np.median(inner)),
        "nme_inner_90th_%": float(np.percentile(inner, 90)),
        "pose_error_median_abs_deg": np.median(np.abs(poses), 0).round(2).tolist(),
    }


def changes() -> dict[str, Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]]]:
    """Changes of a picture by name; each gives the picture and the affine that points went by."""
    rng = np.random.default_rng(0)
    still = np.eye(2, 3)

    def affine(scale: float, degrees: float) -> Callable[..., tuple[np.ndarray, np.ndarray]]:
        def change(image: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
            h, w = image.shape[:2]
            size = (round(w * scale), round(h * scale)) if not degrees else (w, h)
            if not degrees:
                out = cv2.resize(image, size, interpolation=cv2.INTER_AREA if scale < 1 else 2)
                return out, np.diag([size[0] / w, size[1] / h])[:, :2] @ still
            matrix = cv2.getRotationMatrix2D((w / 2, h / 2), degrees, 1.0)
            shifted = matrix.copy()
            shifted[:, 2] += shifted[:, :2] @ [0.5, 0.5] - 0.5
            return cv2.warpAffine(image, shifted, size, flags=cv2.INTER_CUBIC), matrix

        return change

    def tone(stops: float) -> Callable[..., tuple[np.ndarray, np.ndarray]]:
        return lambda image: (encode(np.clip(image, 0, 1) ** 2.2 * 2**stops), still)

    return {
        "plain": lambda image: (image, still),
        "turned +30": affine(1, 30),
        "turned -30": affine(1, -30),
        "half": affine(0.5, 0),
        "double": affine(2.0, 0),
        "blurred 2 px": lambda image: (cv2.GaussianBlur(image, None, 2.0), still),
        "noise 0.05": lambda image: (
            (image + rng.normal(size=image.shape) * 0.05).astype(np.float32),
            still,
        ),
        "mono": lambda image: (np.repeat(image.mean(2, keepdims=True), 3, 2), still),
        **{f"exposure {s:+d} stops": tone(s) for s in (-3, -1, 1, 2)},
    }


def astronaut(provider: FaceProvider, pictures: Path | None) -> dict[str, Any]:
    """Self-consistency on the photograph."""
    image = photographs.astronaut().astype(np.float32) / 255
    found = provider.find(image)
    if pictures:
        draw(pictures / "astronaut.png", image, *[d.landmarks for d in found])
    out: dict[str, Any] = {"found": len(found), "scores": [round(d.score, 3) for d in found]}
    if not found:
        return out
    plain = found[0].landmarks
    unit = float(np.linalg.norm(plain[36] - plain[45]))
    for name, change in changes().items():
        picture, matrix = change(image)
        again = provider.find(picture)
        if pictures and again:
            draw(pictures / f"astronaut {name}.png", picture, again[0].landmarks)
        expected = plain @ matrix[:, :2].T + matrix[:, 2]
        scale = float(np.sqrt(abs(np.linalg.det(matrix[:, :2]))))
        errors = [
            np.linalg.norm(d.landmarks - expected, axis=1).mean() / unit / scale * 100
            for d in again
        ]
        out[name] = {
            "faces": len(again),
            "score": round(again[0].score, 3) if again else None,
            "difference_%": round(float(min(errors)), 2) if errors else None,
        }
    return out


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--provider", default="native")
    parser.add_argument("--models-dir", type=Path)
    parser.add_argument("--pictures", type=Path, help="folder for pictures to look at")
    options = parser.parse_args()
    cv2.setNumThreads(1)
    if options.pictures:
        options.pictures.mkdir(parents=True, exist_ok=True)
    provider = open_provider(options.provider, options.models_dir)
    report: dict[str, Any] = {"provider": provider.name}
    report["astronaut"] = astronaut(provider, options.pictures)
    report["false_positives"] = {
        n: [round(d.score, 3) for d in provider.find(_colour(getattr(photographs, n)()))]
        for n in EMPTY
    }
    for name in ("monologue", "song", "occlusion"):
        report[name] = shot(provider, name, options.pictures)
    for name in ("performer", "likeness", "archival"):
        report[name] = stills(provider, name, 60)
    print(json.dumps(report, indent=1))


def _colour(image: np.ndarray) -> np.ndarray:
    image = image.astype(np.float32) / 255
    return image[..., :3] if image.ndim == 3 else np.repeat(image[..., None], 3, 2)


if __name__ == "__main__":
    main()
