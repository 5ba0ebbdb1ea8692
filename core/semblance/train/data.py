"""Faces in memory and the batches made of them.

A faceset's crops are reduced once and kept; every step then draws its faces, places, warps,
lights and spoils them in torch from a generator seeded by (seed, step), so that a step's batch
depends on nothing that came before it.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from semblance.colour import decode, encode
from semblance.errors import TrainingError
from semblance.matte import hull_mask
from semblance.train.config import TrainConfig

__all__ = ["Batch", "Faces", "Sampler", "load_faces", "load_people"]

FORMAT: Final = "semblance-faceset"
VERSION: Final = 1
TEMPLATE: Final = "semblance-1"

LUMA: Final = (0.2126, 0.7152, 0.0722)

# Placement of input and target alike.
ROTATION: Final = np.deg2rad(8.0)
SCALE: Final = 0.05
SHIFT: Final = 0.04

# Warp of the input: grids of these many cells, nodes moved by this share of a cell.
CELLS: Final = (2, 4, 8)
NODE: Final = 0.24

# Light on input and target alike; sRGB-like code values move by about 2^(stops / 2.2).
EXPOSURE: Final = 0.25
CHANNEL: Final = 0.03
FIELD: Final = 0.5
STOP: Final = float(np.log(2.0) / 2.2)

# Archive-like spoiling of inputs only; lengths in pixels of a 128-pixel picture.
BLUR: Final = 1.2
GRAIN: Final = 0.06
BACKGROUND: Final = 0.35

HEAVIEST: Final = 4.0
"""A rare pose is drawn at most this many times as often as an even draw would."""


@dataclass(frozen=True)
class Faces:
    """One person's faces.

    Parameters
    ----------
    pictures : Tensor
        (n, 3, S, S) float16, RGB in the working encoding, 0..1: the canonical square widened by
        `margin` of its side on each side.
    masks : Tensor
        (n, 3, S, S) float16, 0..1: face, face widened for the losses, eyes and mouth.
    colour : Tensor
        (n,) float32, 1 where the picture has colour, 0 where it is monochrome.
    weights : NDArray
        (n,) float64, sums to 1: how often each face is drawn.
    margin : float
        Margin as a share of the canonical square's side.
    digest : str
        sha256 of the faceset's `faceset.json` and of its pictures.
    """

    pictures: Tensor
    masks: Tensor
    colour: Tensor
    weights: NDArray[np.float64]
    margin: float
    digest: str

    def __len__(self) -> int:
        return len(self.pictures)

    def to(self, device: torch.device) -> Faces:
        """Return the same faces with their tensors on `device`."""
        return Faces(
            self.pictures.to(device),
            self.masks.to(device),
            self.colour.to(device),
            self.weights,
            self.margin,
            self.digest,
        )


@dataclass(frozen=True)
class Batch:
    """What one step learns from: b faces of the performer, then b of the likeness.

    Parameters
    ----------
    image : Tensor
        (2b, 3, R, R) float32: the warped and spoiled inputs, 0..1.
    target : Tensor
        (2b, 3, R, R) float32: the pictures to make, 0..1.
    masks : Tensor
        (2b, 3, R, R) float32: of the target: face, face widened, eyes and mouth.
    colour : Tensor
        (2b,) float32: 1 where the target's colour may be learned from.
    strength : Tensor
        (2b,) float32: 0 for the performer, 1 for the likeness.
    """

    image: Tensor
    target: Tensor
    masks: Tensor
    colour: Tensor
    strength: Tensor


# ---------------------------------------------------------------------------------------- load


def load_people(performer: Path, likeness: Path, size: int) -> tuple[Faces, Faces]:
    """Read both facesets at one exposure: the one that brings the performer's median to level.

    A faceset's crops are each exposed alike; trained so, a dark complexion would come out as bright
    as a fair one. One exposure for all keeps the likeness's complexion beside the performer's, as
    far as the footage of both was exposed alike.

    Raises
    ------
    TrainingError
        As `load_faces`.
    """
    stops = float(np.median([face["exposure"] for face in _listing(performer)[1]["faces"]]))
    return load_faces(performer, size, stops), load_faces(likeness, size, stops)


def load_faces(folder: Path, size: int, stops: float) -> Faces:
    """Read a faceset and reduce its crops for pictures of `size` pixels.

    Parameters
    ----------
    folder : Path
        The faceset.
    size : int
        Side of the canonical picture in pixels.
    stops : float
        Exposure of all its faces, in place of each one's own.

    Raises
    ------
    TrainingError
        The folder holds no faceset, another version, fewer than 2 faces, or a picture that
        can't be read.
    """
    text, listing = _listing(folder)
    margin = float(listing["margin"])
    side = round(size * (1.0 + 2.0 * margin))
    entries = listing["faces"]
    digest = hashlib.sha256(text)
    pictures = torch.empty((len(entries), 3, side, side), dtype=torch.float16)
    masks = torch.empty((len(entries), 3, side, side), dtype=torch.float16)
    for row, entry in enumerate(entries):
        stored = _read_bytes(folder / entry["file"])
        digest.update(stored)
        picture = _decode_crop(folder / entry["file"], stored, int(listing["size"]))
        picture = encode(decode(picture), stops - float(entry["exposure"])).clip(0.0, 1.0)
        landmarks = np.asarray(entry["landmarks"], dtype=np.float64) * (side / listing["size"])
        pictures[row] = torch.from_numpy(_reduce(picture, side).transpose(2, 0, 1))
        masks[row] = torch.from_numpy(_masks(landmarks, side))
    colour = torch.tensor([0.0 if entry["monochrome"] else 1.0 for entry in entries])
    weights = _balance(entries)
    return Faces(pictures, masks, colour, weights, margin, digest.hexdigest())


def _listing(folder: Path) -> tuple[bytes, Any]:
    """Read a faceset's list of faces: the file's bytes, and what they say."""
    path = folder / "faceset.json"
    try:
        text = path.read_bytes()
        listing = json.loads(text)
    except FileNotFoundError as error:
        raise TrainingError(
            f"{folder} holds no faceset: faceset.json is missing",
            "Make one with: semblance faceset FOOTAGE -o DIR.",
        ) from error
    except (OSError, ValueError) as error:
        raise TrainingError(
            f"{path} can't be read as a faceset: {error}", "Make the faceset again."
        ) from error
    _check_listing(path, listing)
    return text, listing


def _check_listing(path: Path, listing: Any) -> None:
    found = listing.get("format") if isinstance(listing, dict) else None
    if found != FORMAT:
        raise TrainingError(
            f"{path} is no faceset: expected format {FORMAT!r}, found {found!r}",
            "Make one with: semblance faceset FOOTAGE -o DIR.",
        )
    for key, expected in (("version", VERSION), ("template", TEMPLATE)):
        if listing.get(key) != expected:
            raise TrainingError(
                f"{path}: expected {key} {expected!r}, found {listing.get(key)!r}",
                "Make the faceset again with this version of semblance.",
            )
    if len(listing.get("faces", ())) < 2:
        raise TrainingError(
            f"{path}: expected at least 2 faces, found {len(listing.get('faces', ()))}",
            "Add footage to the faceset.",
        )


def _read_bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise TrainingError(
            f"{path} can't be read: {error.strerror}", "Make the faceset again."
        ) from error


def _decode_crop(path: Path, data: bytes, size: int) -> NDArray[np.float32]:
    """Decode a 16-bit crop to (size, size, 3) float32 RGB, 0..1."""
    stored = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED) if data else None
    if stored is None or stored.dtype != np.uint16 or stored.shape != (size, size, 3):
        found = "nothing readable" if stored is None else f"{stored.shape} {stored.dtype}"
        raise TrainingError(
            f"{path}: expected a 16-bit RGB picture of {size} x {size}, found {found}",
            "Make the faceset again.",
        )
    return stored[:, :, ::-1].astype(np.float32) / 65535.0


def _reduce(picture: NDArray[np.float32], side: int) -> NDArray[np.float32]:
    smaller = side < picture.shape[0]
    method = cv2.INTER_AREA if smaller else cv2.INTER_CUBIC
    return np.clip(cv2.resize(picture, (side, side), interpolation=method), 0.0, 1.0)


# --------------------------------------------------------------------------------------- masks


def _masks(landmarks: NDArray[np.float64], side: int) -> NDArray[np.float32]:
    """Face, face widened for the losses, eyes and mouth: (3, side, side), 0..1."""
    face = hull_mask(landmarks / side, side)
    reach = max(3, round(0.1 * side) | 1)
    wide = cv2.dilate(face, cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (reach, reach)))
    return np.stack([face, wide, _feature_mask(landmarks, side)])


def _feature_mask(landmarks: NDArray[np.float64], size: int) -> NDArray[np.float32]:
    """Soft mask of both eyes and the mouth, widened a little."""
    mask = np.zeros((size, size), dtype=np.float32)
    for points, growth in ((slice(36, 42), 1.5), (slice(42, 48), 1.5), (slice(48, 60), 1.15)):
        outline = landmarks[points]
        middle = outline.mean(axis=0)
        height = np.ptp(outline[:, 0]) * 0.12 * np.sign(outline[:, 1] - middle[1])
        grown = middle + growth * (outline - middle)
        grown[:, 1] += height  # a shut eye still has lids
        mask = np.maximum(mask, _fill(grown, size, 0.012 * size))
    return mask


def _fill(outline: NDArray[np.float64], size: int, softness: float) -> NDArray[np.float32]:
    """Antialiased convex hull of points (k, 2), blurred by a Gaussian of `softness` pixels."""
    hull = cv2.convexHull((outline * 4.0 - 0.5).astype(np.float32)).round().astype(np.int32)
    drawn = np.zeros((size * 4, size * 4), dtype=np.float32)
    cv2.fillConvexPoly(drawn, hull, 1.0)
    small = cv2.resize(drawn, (size, size), interpolation=cv2.INTER_AREA)
    return np.asarray(cv2.GaussianBlur(small, (0, 0), max(softness, 0.3)), dtype=np.float32)


# ------------------------------------------------------------------------------------- balance


def _balance(entries: list[dict[str, Any]]) -> NDArray[np.float64]:
    """Draw weights from the inverse density of (yaw, pitch, open jaw) bins, capped."""
    points = np.asarray([entry["landmarks"] for entry in entries], dtype=np.float64)
    face = np.linalg.norm(points[:, 27] - points[:, 8], axis=1)
    open_jaw = np.linalg.norm(points[:, 62] - points[:, 66], axis=1) / np.maximum(face, 1e-6)
    yaw = np.array([float(entry["yaw"]) for entry in entries])
    pitch = np.array([float(entry["pitch"]) for entry in entries])
    bins = (
        np.digitize(yaw, (-35.0, -20.0, -7.0, 7.0, 20.0, 35.0)),
        np.digitize(pitch, (-8.0, 8.0)),
        np.digitize(open_jaw, (0.04, 0.12, 0.22)),
    )
    key = bins[0] * 100 + bins[1] * 10 + bins[2]
    _, which, count = np.unique(key, return_inverse=True, return_counts=True)
    weights = np.sqrt(1.0 / count[which])
    weights = np.minimum(weights / weights.mean(), HEAVIEST)
    return np.asarray(weights / weights.sum(), dtype=np.float64)


# -------------------------------------------------------------------------------------- sample


class Sampler:
    """Makes the batch of any step from (seed, step) alone."""

    def __init__(self, performer: Faces, likeness: Faces, config: TrainConfig) -> None:
        self._people = (performer, likeness)
        self._config = config
        self._device = performer.pictures.device

    def batch(self, step: int, warp: float) -> Batch:
        """Make the batch of `step`, inputs warped at strength `warp`; none below 0 is trained."""
        config = self._config
        rng = np.random.default_rng((config.seed, int(step < 0), abs(step)))
        noise = torch.Generator(device=self._device)
        noise.manual_seed(int(rng.integers(2**62)))
        n, size = 2 * config.batch, config.size
        drawn = [rng.choice(len(who), config.batch, p=who.weights) for who in self._people]
        both = list(zip(self._people, drawn, strict=True))
        pictures = torch.cat([who.pictures[rows] for who, rows in both]).float()
        masks = torch.cat([who.masks[rows] for who, rows in both]).float()
        colour = torch.cat([who.colour[rows] for who, rows in both])
        place = self._to_device(_placements(rng, n))
        source = torch.cat([pictures, masks], dim=1)
        plain = _grid(place, size, self._people[0].margin)
        bent = plain + _bend(rng, n, size, warp, self._people[0].margin).to(self._device)
        # One bicubic sample for the sharp target, one bilinear for the input and its face mask.
        target = _sample(pictures, plain, "bicubic")
        target_masks = _sample(masks, plain, "bilinear")
        warped = _sample(source[:, :4], bent, "bilinear")
        light = _light(rng, n, size, config.light).to(self._device)
        target = (target * light).clamp(0.0, 1.0)
        image = _spoil(rng, noise, warped[:, :3] * light, warped[:, 3:4], config)
        strength = torch.zeros(n, device=self._device)
        strength[config.batch :] = 1.0
        return Batch(image.clamp(0.0, 1.0), target, target_masks, colour, strength)

    def still(self, identity: int, row: int) -> Tensor:
        """Return the unspoiled canonical picture of one face, (1, 3, R, R)."""
        who = self._people[identity]
        grid = _grid(self._to_device(_IDENTITY[None]), self._config.size, who.margin)
        return _sample(who.pictures[row : row + 1].float(), grid, "bicubic").clamp(0.0, 1.0)

    def spread(self, identity: int, place: int, places: int) -> int:
        """Return a face's row, the `place`-th of `places` spread evenly over the faceset."""
        return (2 * place + 1) * len(self._people[identity]) // (2 * places)

    def _to_device(self, array: NDArray[np.float32]) -> Tensor:
        return torch.from_numpy(array).to(self._device)


_IDENTITY: Final = np.array([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]], dtype=np.float32)


def _placements(rng: np.random.Generator, n: int) -> NDArray[np.float32]:
    """Random similarities (n, 2, 3) in units of half the canonical square's side."""
    angle = rng.uniform(-ROTATION, ROTATION, n)
    scale = rng.uniform(1.0 - SCALE, 1.0 + SCALE, n)
    cosine, sine = scale * np.cos(angle), scale * np.sin(angle)
    shift = rng.uniform(-2.0 * SHIFT, 2.0 * SHIFT, (2, n))
    rows = [[cosine, -sine, shift[0]], [sine, cosine, shift[1]]]
    return np.asarray(rows, dtype=np.float32).transpose(2, 0, 1).copy()


def _grid(place: Tensor, size: int, margin: float) -> Tensor:
    """Return sampling positions (n, size, size, 2) in the wide crop, -1..1 over the crop."""
    shape = [len(place), 1, size, size]
    return functional.affine_grid(place, shape, align_corners=False) / (1.0 + 2.0 * margin)


def _sample(source: Tensor, grid: Tensor, mode: str) -> Tensor:
    return functional.grid_sample(
        source, grid, mode=mode, padding_mode="border", align_corners=False
    )


def _bend(rng: np.random.Generator, n: int, size: int, strength: float, margin: float) -> Tensor:
    """Smooth random displacements (n, size, size, 2), to be added to `_grid`'s positions."""
    cells = rng.choice(CELLS, n)
    field = torch.zeros((n, 2, size, size))
    for count in CELLS:
        rows = np.flatnonzero(cells == count)
        if not len(rows):
            continue
        nodes = np.zeros((len(rows), 2, count + 1, count + 1), dtype=np.float32)
        inner = (len(rows), 2, count - 1, count - 1)
        nodes[:, :, 1:-1, 1:-1] = rng.normal(0.0, NODE * strength * 2.0 / count, inner)
        field[torch.from_numpy(rows)] = _smooth(nodes, size)
    return field.permute(0, 2, 3, 1) / (1.0 + 2.0 * margin)


def _smooth(nodes: NDArray[np.float32], size: int) -> Tensor:
    """Nodes (n, c, k, k) at the corners of cells to a smooth field (n, c, size, size)."""
    middle = functional.interpolate(
        torch.from_numpy(nodes), size=(32, 32), mode="bicubic", align_corners=True
    )
    return functional.interpolate(middle, size=(size, size), mode="bilinear", align_corners=True)


def _light(rng: np.random.Generator, n: int, size: int, share: float) -> Tensor:
    """Gains on code values (n, 3, size, size): exposure, colour cast, smooth coloured fields."""
    stops = rng.uniform(-EXPOSURE, EXPOSURE, (n, 1, 1, 1))
    cast = rng.uniform(-CHANNEL, CHANNEL, (n, 3, 1, 1)) / STOP
    field = torch.zeros((n, 3, size, size))
    for nodes, spread in ((2, FIELD), (4, FIELD * 0.5)):
        grey = rng.normal(0.0, spread, (n, 1, nodes, nodes))
        tint = rng.normal(0.0, spread * 0.5, (n, 3, nodes, nodes))
        field += _smooth((grey + tint).astype(np.float32), size)
    field -= field.mean(dim=(1, 2, 3), keepdim=True)  # the crop's exposure is normalised anyway
    lit = torch.from_numpy((rng.random((n, 1, 1, 1)) < share).astype(np.float32))
    flat = torch.from_numpy((stops + cast).astype(np.float32))
    stops_by_place: Tensor = flat + lit * field
    return torch.exp(STOP * stops_by_place)


def _spoil(
    rng: np.random.Generator,
    noise: torch.Generator,
    image: Tensor,
    face: Tensor,
    config: TrainConfig,
) -> Tensor:
    """Another background, loss of colour, blur and grain, each on some of the inputs."""
    n, _, size, _ = image.shape
    device = image.device

    def chance(share: float) -> Tensor:
        drawn = (rng.random((n, 1, 1, 1)) < share).astype(np.float32)
        return torch.from_numpy(drawn).to(device)

    nodes = int(rng.integers(2, 9))
    tone = rng.beta(0.7, 1.2, (n, 1, nodes, nodes)) + rng.normal(0.0, 0.1, (n, 3, nodes, nodes))
    behind = functional.interpolate(
        torch.from_numpy(tone.astype(np.float32)).to(device), size=(size, size), mode="bilinear"
    )
    outside = chance(BACKGROUND) * (1.0 - face.clamp(0.0, 1.0)).square()
    image = image + outside * (behind - image)

    weights = torch.tensor(LUMA, device=device).view(1, 3, 1, 1)
    luma = (image * weights).sum(dim=1, keepdim=True)
    image = image + chance(config.grey) * (luma - image)

    scale = size / 128.0
    soft = (rng.random(n) < config.degrade) * rng.uniform(0.0, BLUR * scale, n)
    image = _blur(image, soft.astype(np.float32))

    amount = (rng.random(n) < config.degrade) * rng.uniform(0.0, GRAIN, n)
    strength = torch.from_numpy(amount.astype(np.float32)).to(device).view(n, 1, 1, 1)
    grain = torch.randn((n, 3, size, size), generator=noise, device=device)
    shared = grain.mean(dim=1, keepdim=True) * np.sqrt(3.0)
    grain = shared + chance(0.5) * (grain - shared)  # silver grain, or dyed
    grainy: Tensor = image + strength * grain
    return grainy


def _blur(image: Tensor, sigma: NDArray[np.float32]) -> Tensor:
    """Gaussian of its own sigma per sample, in pixels."""
    n, channels, size, _ = image.shape
    reach = max(1, int(np.ceil(2.5 * float(sigma.max()))))
    x = np.arange(-reach, reach + 1, dtype=np.float32)
    taps = np.exp(-0.5 * (x[None] / np.maximum(sigma, 1e-3)[:, None]) ** 2)
    taps /= taps.sum(axis=1, keepdims=True)
    kernel = torch.from_numpy(taps).to(image.device).repeat_interleave(channels, dim=0)
    groups = n * channels
    flat = image.reshape(1, groups, size, size)
    flat = functional.pad(flat, (reach, reach, reach, reach), mode="replicate")
    flat = functional.conv2d(flat, kernel.view(groups, 1, 1, -1), groups=groups)
    flat = functional.conv2d(flat, kernel.view(groups, 1, -1, 1), groups=groups)
    return flat.reshape(n, channels, size, size)
