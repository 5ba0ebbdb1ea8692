"""Train the native provider's two networks on rendered faces and write them as ONNX.

    python bench/landmarks/train.py landmarks --cache /tmp/landmarks --minutes 17
    python bench/landmarks/train.py finder --cache /tmp/landmarks --minutes 7

Both run on one core. Samples are composed while training: a cached render, shifted, scaled, rolled
and mirrored, over a random background, under random occluders, blurred, grained and encoded. Only
luma is learned from, so colour is no variable.
"""

from __future__ import annotations

import argparse
import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch
from skimage import data as photographs
from torch import nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, IterableDataset

from semblance.track.native import CROP, MIRROR, local_contrast, standardise

PACKAGE = Path(__file__).resolve().parents[2] / "core/semblance/track"
CACHED, CACHED_ROI = 256, 160.0  # as render.py leaves them
# Photographs without faces; `coffee` is kept out to measure false positives on.
PHOTOGRAPHS = [
    "chelsea",
    "brick",
    "grass",
    "gravel",
    "coins",
    "moon",
    "page",
    "text",
    "clock",
    "rocket",
    "hubble_deep_field",
    "immunohistochemistry",
    "horse",
    "cell",
    "colorwheel",
    "microaneurysms",
    "retina",
]


# --- pictures --------------------------------------------------------------------------------


def _luma(image: np.ndarray) -> np.ndarray:
    image = image.astype(np.float32)
    if image.ndim == 3:
        image = image[..., :3] @ np.array([0.2126, 0.7152, 0.0722], np.float32)
    return image / max(float(image.max()), 1e-3)


def _load_photographs() -> list[np.ndarray]:
    out = []
    for name in PHOTOGRAPHS:
        try:
            out.append(_luma(getattr(photographs, name)()))
        except Exception as error:  # noqa: BLE001
            print(f"no photograph {name}: {error}", flush=True)
    for side in ("left", "right"):
        path = Path(photographs.__file__).parent / f"motorcycle_{side}.png"
        if path.exists():
            out.append(_luma(cv2.imread(str(path))))
    return out


def _synthetic(rng: np.random.Generator, size: int = 256) -> np.ndarray:
    """Gradients, octaves of noise, blobs, bokeh, bars."""
    y, x = np.mgrid[:size, :size].astype(np.float32) / size
    angle = rng.uniform(0, 6.28)
    out = rng.random() + rng.normal() * 0.5 * (x * np.cos(angle) + y * np.sin(angle))
    for k in range(1, 8):
        if rng.random() < 0.5:
            noise = rng.normal(size=(2**k + 1, 2**k + 1)).astype(np.float32)
            out = out + rng.uniform(0, 0.3) * cv2.resize(
                noise, (size, size), interpolation=cv2.INTER_CUBIC
            )
    canvas = out.astype(np.float32)
    for _ in range(rng.integers(0, 14)):
        centre = tuple(int(v) for v in rng.integers(-20, size + 20, 2))
        tone, kind = float(rng.uniform(-0.2, 1.4)), rng.random()
        if kind < 0.45:
            axes = tuple(int(v) for v in rng.integers(4, 70, 2))
            cv2.ellipse(canvas, centre, axes, rng.uniform(0, 180), 0, 360, tone, -1, cv2.LINE_AA)
        elif kind < 0.65:
            cv2.circle(canvas, centre, int(rng.integers(3, 30)), tone, -1, cv2.LINE_AA)
        else:
            end = tuple(int(v) for v in rng.integers(-20, size + 20, 2))
            cv2.line(canvas, centre, end, tone, int(rng.integers(1, 24)), cv2.LINE_AA)
    if rng.random() < 0.7:
        canvas = cv2.GaussianBlur(canvas, None, float(np.exp(rng.uniform(-1, 2.8))))
    return np.clip(canvas, 0, 1)


def _affine(
    source: tuple[float, float], target: tuple[float, float], scale: float, roll: float, flip: bool
) -> np.ndarray:
    """2 x 3: `source` goes to `target`, scaled, mirrored in x if `flip`, then rolled (radians)."""
    c, s = math.cos(roll) * scale, math.sin(roll) * scale
    linear = np.array([[c, -s], [s, c]]) @ np.diag([-1.0 if flip else 1.0, 1.0])
    return np.column_stack([linear, np.array(target) - linear @ np.array(source)])


def _warp(image: np.ndarray, matrix: np.ndarray, size: int, border: int) -> np.ndarray:
    """Warp with an affine between pixel coordinates whose centres are at +0.5."""
    matrix = matrix.copy()
    matrix[:, 2] += matrix[:, :2] @ [0.5, 0.5] - 0.5
    return cv2.warpAffine(image, matrix, (size, size), flags=cv2.INTER_LINEAR, borderMode=border)


@dataclass(frozen=True)
class Material:
    """What samples are composed from."""

    luma: np.ndarray
    alpha: np.ndarray
    points: np.ndarray
    count: int
    photographs: list[np.ndarray]
    synthetic: list[np.ndarray]

    def background(self, rng: np.random.Generator, size: int) -> np.ndarray:
        """A random piece of a photograph or of a synthetic picture."""
        photo = rng.random() < 0.5
        pool = self.photographs if photo else self.synthetic
        image = pool[rng.integers(len(pool))]
        h, w = image.shape
        scale = size / min(h, w) * math.exp(rng.uniform(0, 1.6))
        if scale < 0.7:
            small = max(scale, 0.05)
            image = cv2.resize(image, None, fx=small, fy=small, interpolation=cv2.INTER_AREA)
            scale /= small
            h, w = image.shape
        at = (rng.uniform(0, w), rng.uniform(0, h))
        matrix = _affine(at, (size / 2, size / 2), scale, rng.normal() * 0.5, rng.random() < 0.5)
        out = _warp(image, matrix, size, cv2.BORDER_REFLECT_101)
        out = out ** math.exp(rng.normal() * 0.4) * rng.uniform(0.3, 1.2)
        return 1 - out if rng.random() < 0.15 else out

    def face(
        self,
        rng: np.random.Generator,
        below: np.ndarray,
        centre: tuple[float, float],
        side: float,
        roll: float,
    ) -> tuple[np.ndarray, np.ndarray]:
        """Lay a random render over `below` (size, size); returns picture and (68, 2) points."""
        size = len(below)
        item, lit = int(rng.integers(self.count)), int(rng.integers(2))
        flip = rng.random() < 0.5
        luma, alpha = self.luma[item, lit], self.alpha[item, lit]
        points = self.points[item].astype(np.float64)
        ratio = CACHED_ROI / side
        shrink = 2 ** max(0, round(math.log2(ratio / 1.2)))
        edge = CACHED // shrink
        if shrink > 1:
            luma = cv2.resize(luma, (edge, edge), interpolation=cv2.INTER_AREA)
            alpha = cv2.resize(alpha, (edge, edge), interpolation=cv2.INTER_AREA)
        matrix = _affine((edge / 2, edge / 2), centre, side / CACHED_ROI * shrink, roll, flip)
        over = _warp(luma, matrix, size, cv2.BORDER_REPLICATE).astype(np.float32) / 255
        mask = _warp(alpha, matrix, size, cv2.BORDER_CONSTANT).astype(np.float32) / 255
        points = points / shrink @ matrix[:, :2].T + matrix[:, 2]
        return below + (over - below) * mask, points[MIRROR] if flip else points

    def occlude(self, rng: np.random.Generator, image: np.ndarray, extent: float) -> np.ndarray:
        """Lay ellipses, bars or finger-like blobs with a texture over the picture."""
        size = len(image)
        mask = np.zeros((size, size), np.float32)
        for _ in range(rng.integers(1, 3)):
            at = rng.uniform(0, size, 2)
            kind = rng.random()
            if kind < 0.35:
                axes = rng.uniform(0.05, 0.28, 2) * extent
                cv2.ellipse(
                    mask, at.astype(int).tolist(), axes.astype(int).tolist(),
                    rng.uniform(0, 180), 0, 360, 1.0, -1, cv2.LINE_AA,
                )  # fmt: skip
            else:
                fingers = 1 if kind < 0.65 else int(rng.integers(2, 5))
                along = rng.normal(size=2)
                along *= extent * rng.uniform(0.3, 1.0) / (np.linalg.norm(along) + 1e-6)
                across = np.array([-along[1], along[0]]) / (np.linalg.norm(along) + 1e-6)
                width = extent * rng.uniform(0.05, 0.16 if fingers == 1 else 0.09)
                for k in range(fingers):
                    a = at + across * width * 1.25 * k
                    b = a + along * rng.uniform(0.8, 1.1)
                    ends = [np.round(p * 16).astype(int).tolist() for p in (a, b)]
                    cv2.line(mask, *ends, 1.0, max(1, int(width)), cv2.LINE_AA, 4)
        mask = cv2.GaussianBlur(mask, None, rng.uniform(0.3, 2.0))
        return image + (self.background(rng, size) - image) * mask


def degrade(rng: np.random.Generator, image: np.ndarray) -> np.ndarray:
    """Tone, defocus, motion blur, low resolution, grain and JPEG; (size, size) 0..1."""
    size = len(image)
    image = np.clip(image, 0, 1) ** math.exp(rng.normal() * 0.3)
    # Highlights clip, as under an exposure too long.
    image = image * math.exp(rng.normal() * (0.2 if rng.random() < 0.85 else 0.5))
    if rng.random() < 0.2:
        y, x = np.mgrid[:size, :size].astype(np.float32) / size - 0.5
        image = image * np.exp(rng.normal() * x + rng.normal() * y)
    if rng.random() < 0.1:
        image = image * rng.uniform(0.2, 0.7) + rng.uniform(0, 0.5)
    blur = 0.4 + abs(rng.normal()) * (0.5 if rng.random() < 0.7 else 2.0)
    image = cv2.GaussianBlur(image, None, blur)
    if rng.random() < 0.15:
        n = int(rng.integers(3, 14))
        kernel = np.zeros((n, n), np.float32)
        angle = rng.uniform(0, 6.28)
        d = np.array([math.cos(angle), math.sin(angle)]) * (n - 1) / 2
        a, b = (np.round((n - 1) / 2 + q).astype(int).tolist() for q in (-d, d))
        cv2.line(kernel, a, b, 1.0)
        image = cv2.filter2D(image, -1, kernel / kernel.sum())
    if rng.random() < 0.15:
        small = int(rng.uniform(0.22, 0.7) * size)
        image = cv2.resize(image, (small, small), interpolation=cv2.INTER_AREA)
        image = cv2.resize(image, (size, size), interpolation=cv2.INTER_CUBIC)
    grain = rng.normal(size=image.shape).astype(np.float32)
    if rng.random() < 0.5:
        grain = cv2.GaussianBlur(grain, None, 0.8) * 1.8
    image = image + grain * abs(rng.normal()) * (0.015 if rng.random() < 0.7 else 0.06)
    image = np.clip(image, 0, 1)
    if rng.random() < 0.2:
        code = [cv2.IMWRITE_JPEG_QUALITY, int(rng.integers(20, 90))]
        packed = cv2.imencode(".jpg", np.round(image * 255).astype(np.uint8), code)[1]
        image = cv2.imdecode(packed, cv2.IMREAD_GRAYSCALE).astype(np.float32) / 255
    return image


Sample = Callable[[Material, np.random.Generator], tuple[np.ndarray, ...]]

# --- samples ---------------------------------------------------------------------------------


def landmark_sample(m: Material, rng: np.random.Generator) -> tuple[np.ndarray, ...]:
    """Crop (1, C, C), points (68, 2) in crop pixels, (is face, counts as such)."""
    face = rng.random() < 0.84
    below = m.background(rng, CROP)
    points = np.full((68, 2), CROP / 2)
    if face:
        shift = np.clip(rng.normal(size=2) * 0.06, -0.14, 0.14) * CROP
        side = CROP * math.exp(np.clip(rng.normal() * 0.11, -0.24, 0.24))
        roll = math.radians(np.clip(rng.normal() * 11, -27, 27))
        at = (CROP / 2 + shift[0], CROP / 2 + shift[1])
        image, points = m.face(rng, below, at, side, roll)
        if rng.random() < 0.3:
            image = m.occlude(rng, image, side)
    elif rng.random() < 0.5:  # a face, but not where the crop is
        kind, angle = rng.random(), rng.uniform(0, 6.28)
        far = rng.uniform(0.5, 0.9) * CROP if kind < 0.5 else 0.0
        scale = 1.0
        if 0.5 <= kind < 0.8:
            scale = rng.uniform(2.2, 4) if rng.random() < 0.5 else rng.uniform(0.2, 0.42)
        roll = rng.uniform(1.3, 5.0) if kind >= 0.8 else rng.normal() * 0.3
        at = (CROP / 2 + far * math.cos(angle), CROP / 2 + far * math.sin(angle))
        image, _ = m.face(rng, below, at, CROP * scale, roll)
    else:
        image = m.occlude(rng, below, CROP) if rng.random() < 0.4 else below
    image = degrade(rng, image)
    if rng.random() < 0.08:  # the frame ends within the crop: the provider repeats its edge
        image = np.rot90(image, k := int(rng.integers(4))).copy()
        n = int(rng.uniform(0.05, 0.4) * CROP)
        image[:n] = image[n]
        image = np.rot90(image, -k)
    crop = standardise(image)
    return crop[None], points.astype(np.float32), np.float32([face])


STRIDE, PATCH = 8, 128
SMALLEST, LARGEST, MIDDLE = 26.0, 100.0, 52.0  # sides of the region of interest, pixels


def finder_sample(m: Material, rng: np.random.Generator) -> tuple[np.ndarray, ...]:
    """Patch (1, P, P), target (6, P/8, P/8): heat, dx, dy, log side, cos, sin; weight (1, ...)."""
    image = m.background(rng, PATCH)
    cells = PATCH // STRIDE
    target = np.zeros((6, cells, cells), np.float32)
    weight = np.ones((1, cells, cells), np.float32)
    y, x = (np.mgrid[:cells, :cells].astype(np.float32) + 0.5) * STRIDE
    for _ in range(int(rng.choice([0, 1, 2], p=[0.15, 0.7, 0.15]))):
        side = math.exp(rng.uniform(math.log(18), math.log(135)))
        at = tuple(rng.uniform(0, PATCH, 2))
        roll = float(np.clip(rng.normal() * 0.45, -1.0, 1.0))
        image, _ = m.face(rng, image, at, side, roll)
        distance = np.hypot(x - at[0], y - at[1])
        # Later faces cover earlier ones.
        covered = distance < 0.6 * side
        target[0][covered] = 0
        weight[0][covered] = 1
        if not SMALLEST <= side <= LARGEST:
            weight[0][distance < 0.5 * side] = 0
            continue
        heat = np.exp(-0.5 * (distance / (0.09 * side + 2)) ** 2)
        new = heat > target[0]
        rest = [(at[0] - x) / STRIDE, (at[1] - y) / STRIDE]
        rest += [np.full_like(x, v) for v in (math.log(side / MIDDLE), math.cos(roll))]
        rest.append(np.full_like(x, math.sin(roll)))
        for k, plane in enumerate([heat, *rest]):
            target[k][new] = plane[new]
    if rng.random() < 0.25:
        image = m.occlude(rng, image, PATCH / 2)
    return local_contrast(degrade(rng, image))[None], target, weight


class Samples(IterableDataset[list[torch.Tensor]]):
    """Stacked samples without end, for a loader's worker."""

    def __init__(self, sample: Sample, material: Material, size: int, seed: int) -> None:
        self.sample, self.material, self.size, self.seed = sample, material, size, seed

    def __iter__(self) -> Iterator[list[torch.Tensor]]:
        """Compose batches."""
        cv2.setNumThreads(1)
        rng = np.random.default_rng(self.seed)
        while True:
            parts = zip(*(self.sample(self.material, rng) for _ in range(self.size)), strict=True)
            yield [torch.from_numpy(np.stack(p).astype(np.float32)) for p in parts]


# --- networks --------------------------------------------------------------------------------


def conv(i: int, o: int, stride: int = 1, dilation: int = 1, kernel: int = 3) -> nn.Sequential:
    """Convolution, batch norm, ReLU."""
    pad = kernel // 2 * dilation
    layer = nn.Conv2d(i, o, kernel, stride, pad, dilation, bias=False)
    return nn.Sequential(layer, nn.BatchNorm2d(o), nn.ReLU(inplace=True))


class Residual(nn.Module):
    """Two convolutions around a skip."""

    def __init__(self, c: int, dilation: int = 1) -> None:
        super().__init__()
        self.body = nn.Sequential(
            conv(c, c, 1, dilation), nn.Conv2d(c, c, 3, 1, 1, bias=False), nn.BatchNorm2d(c)
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Same shape."""
        return F.relu(x + self.body(x))


class LandmarkNet(nn.Module):
    """(N, 1, 128, 128) -> points (N, 68, 2) pixels, log variance (N, 68), face logit (N, 1)."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = conv(1, 16, 2, kernel=5)  # 64
        self.c32 = nn.Sequential(conv(16, 32, 2), Residual(32))
        self.c16 = nn.Sequential(conv(32, 64, 2), Residual(64))
        self.c8 = nn.Sequential(conv(64, 128, 2), Residual(128))
        self.c4 = nn.Sequential(conv(128, 128, 2), Residual(128))
        self.u8 = conv(128, 128, kernel=1)
        self.l8 = conv(128, 64, kernel=1)
        self.u16 = conv(64, 64)
        self.l16 = conv(64, 40, kernel=1)
        self.u32 = nn.Sequential(conv(40, 40), nn.Conv2d(40, 68, 1))
        self.s32 = nn.Conv2d(32, 40, 1)
        self.tail = nn.Sequential(nn.Linear(128, 96), nn.ReLU(), nn.Linear(96, 69))
        # Heat-map cells are 4 px; 1.15: points a little outside the crop can be said too.
        at = ((torch.arange(32) + 0.5) * 4 - 64) * 1.15 + 64
        self.register_buffer("at", at)

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Heat maps by a U-shaped net; their expectation is the point (integral regression)."""

        def up(t: torch.Tensor) -> torch.Tensor:
            return F.interpolate(t, scale_factor=2.0, mode="nearest")

        c32 = self.c32(self.stem(x))
        c16 = self.c16(c32)
        c8 = self.c8(c16)
        c4 = self.c4(c8)
        x8 = self.l8(up(self.u8(c4)) + c8)
        x16 = self.l16(self.u16(up(x8) + c16))
        heat = self.u32(up(x16) + self.s32(c32)).float()
        heat = torch.softmax(heat.reshape(-1, 68, 1024), 2).reshape(-1, 68, 32, 32)
        px = (heat.sum(2) * self.at).sum(2)
        py = (heat.sum(3) * self.at).sum(2)
        rest = self.tail(c4.mean((2, 3))).float()
        return torch.stack([px, py], 2), rest[:, :68], rest[:, 68:]


class FinderNet(nn.Module):
    """(N, 1, H, W) local contrast -> (N, 6, H/8, W/8): logit, dx, dy, log side, cos, sin."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(
            conv(1, 12, 2), conv(12, 24, 2), conv(24, 48, 2),
            Residual(48), Residual(48, 2), Residual(48, 3), nn.Conv2d(48, 6, 1),
        )  # fmt: skip

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Every cell speaks for a face whose centre lies in it."""
        return self.body(x).float()


def landmark_loss(out: tuple[torch.Tensor, ...], batch: list[torch.Tensor]) -> list[torch.Tensor]:
    """Smooth L1 of the points, their likelihood, binary cross-entropy of the face.

    The likelihood is of errors that fall off exponentially with distance, exp(-e / s) / s^2, whose
    variance along an axis is 3 s^2. It lets the net give up on what is hidden and be exact
    elsewhere.
    """
    points, log_variance, logit = out
    _, truth, face = batch
    error = ((points - truth).square().sum(2) + 0.01).sqrt()
    n = face.sum() * 68
    where = (F.smooth_l1_loss(points, truth, reduction="none", beta=1.0).sum(2) * face).sum() / n
    log_s2 = log_variance.clamp(-4, 8) - math.log(3)
    likelihood = ((error * torch.exp(-0.5 * log_s2) + log_s2) * face).sum() / n
    verdict = F.binary_cross_entropy_with_logits(logit, face)
    mean_error = (error.detach() * face).sum() / n
    return [0.5 * where + likelihood + verdict, mean_error, verdict]


def finder_loss(out: torch.Tensor, batch: list[torch.Tensor]) -> list[torch.Tensor]:
    """Penalty-reduced focal loss on the heat (Law & Deng 2018); smooth L1 near the centres."""
    _, target, weight = batch
    heat, logit = target[:, 0], out[:, 0]
    p = torch.sigmoid(logit)
    peak = (heat > 0.85).float()
    push = F.binary_cross_entropy_with_logits(logit, peak, reduction="none")
    focus = torch.where(peak > 0, (1 - p) ** 2, (1 - heat) ** 4 * p**2) * weight[:, 0]
    n = peak.sum().clamp(min=1)
    found = (push * focus).sum() / n
    near = (heat > 0.4).float() * weight[:, 0]
    rest = F.smooth_l1_loss(out[:, 1:], target[:, 1:], reduction="none", beta=0.2).sum(1)
    where = (rest * near).sum() / near.sum().clamp(min=1)
    return [found + where, found.detach(), where.detach()]


# --- the loop --------------------------------------------------------------------------------


def train(
    kind: str, cache: Path, minutes: float, seed: int, out: Path, start_from: Path | None
) -> None:
    """Train one network for a time, with a learning rate that falls to zero over it."""
    torch.set_num_threads(1)
    torch.set_flush_denormal(True)
    torch.manual_seed(seed)
    cv2.setNumThreads(1)
    rng = np.random.default_rng(seed)
    count = int((cache / "done").read_text())
    arrays = (np.load(cache / f"{n}.npy", mmap_mode="r")[:count] for n in ("luma", "alpha"))
    points = np.load(cache / "points.npy")[:count]
    synthetic = [_synthetic(rng) for _ in range(250)]
    material = Material(*arrays, points, count, _load_photographs(), synthetic)
    net, sample, loss_of, size, rate = {
        "landmarks": (LandmarkNet(), landmark_sample, landmark_loss, 24, 2e-3),
        "finder": (FinderNet(), finder_sample, finder_loss, 48, 3e-3),
    }[kind]
    if start_from:
        net.load_state_dict(torch.load(start_from, weights_only=True))
    net = net.to(memory_format=torch.channels_last).train()
    optimiser = torch.optim.AdamW(net.parameters(), rate, weight_decay=1e-3)
    start, shown = time.perf_counter(), []
    # A process of its own composes: as a thread it would hold up every call into torch.
    samples = Samples(sample, material, size, seed)
    loader = DataLoader(samples, batch_size=None, num_workers=1, prefetch_factor=4)
    for step, batch in enumerate(loader, 1):
        done = (time.perf_counter() - start) / (60 * minutes)
        if done >= 1:
            break
        fall = 0.5 * (1 + math.cos(math.pi * done))
        for group in optimiser.param_groups:
            group["lr"] = rate * fall * min(1, step / 100)
        x = batch[0].to(memory_format=torch.channels_last)
        with torch.autocast("cpu", torch.bfloat16):
            result = net(x)
        losses = loss_of(result, batch)
        optimiser.zero_grad(set_to_none=True)
        losses[0].backward()
        nn.utils.clip_grad_norm_(net.parameters(), 5.0)
        optimiser.step()
        shown.append([v.item() for v in losses])
        if step % 100 == 0:
            mean = " ".join(f"{v:.3f}" for v in np.mean(shown[-100:], 0))
            seconds = time.perf_counter() - start
            torch.save(net.state_dict(), out.with_suffix(".pt"))
            print(f"step {step} {seconds:.0f} s {step / seconds:.2f}/s loss {mean}", flush=True)
    torch.save(net.state_dict(), out.with_suffix(".pt"))
    export(kind, net, out)


def export(kind: str, net: nn.Module, out: Path) -> None:
    """Write the graph as one ONNX file."""
    net = net.eval().to(memory_format=torch.contiguous_format)
    names, edge = {
        "landmarks": (["points", "log_variance", "face"], CROP),
        "finder": (["cells"], PATCH),
    }[kind]
    axes = {n: {0: "n"} for n in ["image", *names]}
    if kind == "finder":
        axes["image"] |= {2: "h", 3: "w"}
        axes["cells"] |= {2: "h8", 3: "w8"}
    torch.onnx.export(
        net, (torch.zeros(1, 1, edge, edge),), str(out), input_names=["image"],
        output_names=names, dynamic_axes=axes, opset_version=17, dynamo=False,
    )  # fmt: skip


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("network", choices=["landmarks", "finder"])
    parser.add_argument("--cache", type=Path, required=True)
    parser.add_argument("--minutes", type=float, required=True)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--out", type=Path, help="default: into the package")
    parser.add_argument("--start-from", type=Path, help="weights (.pt) of an earlier run")
    o = parser.parse_args()
    out = o.out or PACKAGE / f"native_{o.network}.onnx"
    train(o.network, o.cache, o.minutes, o.seed, out, o.start_from)


if __name__ == "__main__":
    main()
