"""How well does a track hold? Every figure that a tracker answers for, as a Markdown table.

    python bench/track.py
    python bench/track.py --only shots,jitter --provider native

What is measured is what `semblance track` and the default smoothing give, through the product's own
path. The studio set (../shared/studio) has exact truth; scikit-image's photographs have none, so
there a change of the picture (a shift, a roll, an exposure) is laid over the landmarks of the
unchanged picture and compared.

NME is the mean distance of the 68 points from the truth, over the distance of the outer eye corners
(36, 45), which counts for at least half of its median over the shot.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import cv2
import numpy as np
import OpenImageIO as oiio
from skimage import data as photographs

from semblance import align
from semblance.colour import linear_to_srgb
from semblance.exr import Sequence
from semblance.face import Face, Track
from semblance.knobs import ColourKnobs, TrackKnobs
from semblance.track.analyse import find_faces, track_shot
from semblance.track.provider import PROVIDERS, FaceProvider, open_provider
from semblance.track.smooth import smooth

STUDIO = Path(__file__).resolve().parents[2] / "shared/studio"
RATE = 24.0
SIGMA = TrackKnobs().smoothing
OPEN = np.linspace(-0.25, 0.25, 13)
"""Times at which the shutter is open, frames."""
HIDDEN = 0.6
"""Share of the inner landmarks (brows to mouth) out of sight above which a face may be lost."""
INNER = slice(17, 68)
Row = tuple[str, str, str]


# ---------------------------------------------------------------------------------- the figures


def shots(provider: FaceProvider) -> Iterator[Row]:
    """The studio's shots against their truth."""
    for name, limit in (("monologue", "≤ 3.0 %"), ("song", "≤ 4.5 %"), ("occlusion", "")):
        truth = json.loads((STUDIO / name / "truth.json").read_text())
        plates = Sequence.parse(STUDIO / name / "plate.####.exr")
        found = tracked(plates, tuple(map(int, sorted(truth))), provider)
        held = smooth(found, SIGMA).faces
        points = {int(f): np.array(each["landmarks_plate"]) for f, each in truth.items()}
        visible = {int(f): np.array(each["visible"]) for f, each in truth.items()}
        eyes = {f: float(np.linalg.norm(p[36] - p[45])) for f, p in points.items()}
        least = float(np.median(list(eyes.values()))) / 2
        errors, wrong, excused = [], 0, 0
        for frame, true in points.items():
            excused += bool((~visible[frame][INNER]).mean() > HIDDEN)
            if frame not in held:
                continue
            away = np.linalg.norm(held[frame].landmarks - true, axis=1) / max(eyes[frame], least)
            errors.append(100 * float(away[visible[frame]].mean()))
            wrong += bool(np.median(away) > 0.3)
        yield f"`{name}`: NME, visible points", f"{np.mean(errors):.2f} %", limit
        share = 100 * len(found.faces) / (len(points) - excused)
        yield f"`{name}`: face found", f"{share:.0f} %", "100 %"
        yield f"`{name}`: wrong face", f"{wrong} frames", "0"


def jitter(provider: FaceProvider) -> Iterator[Row]:
    """A still head, 300 pixels of face, with fresh grain in every frame."""
    for name, picture in still_faces():
        rng = np.random.default_rng(7)
        pictures = (grained(picture, rng, 0.03) for _ in range(36))
        track = track_of(pictures, provider)
        points = np.stack([face.landmarks[align.ANCHORS] for face in track.faces.values()])
        raw = high_pass(points, 6.0)
        held = smooth(track, SIGMA).faces.values()
        points = np.stack([face.landmarks[align.ANCHORS] for face in held])
        wobble = np.stack([align.invert(align.fit(f.landmarks))[:, 2] for f in held])
        said = f"{high_pass(points, 6.0):.3f} px (not smoothed {raw:.3f})"
        yield f"jitter of the anchors above 6 Hz, {name}", said, "≤ 0.05 px RMS"
        yield (
            f"jitter of the canonical frame above 6 Hz, {name}",
            (f"{high_pass(wobble[:, None], 6.0):.3f} px"),
            "≤ 0.05 px RMS",
        )


def motion(provider: FaceProvider) -> Iterator[Row]:
    """A photograph moved by known fractions of a pixel."""
    for name, picture in still_faces():
        rng = np.random.default_rng(11)
        t = np.arange(48) / RATE
        path = np.column_stack(
            [3.3 * np.sin(2 * np.pi * 0.7 * t), 2.1 * np.sin(2 * np.pi * 1.1 * t + 0.5)]
        )
        pictures = (grained(shifted(picture, by), rng, 0.01) for by in path)
        held = smooth(track_of(pictures, provider), SIGMA).faces.values()
        anchors = np.stack([face.landmarks[align.ANCHORS] for face in held])
        moved = anchors.mean(axis=1)
        error = (moved - moved.mean(0)) - (path - path.mean(0))
        each = (anchors - anchors.mean(0)) - (path - path.mean(0))[:, None]
        said = f"{rms(error):.3f} px (a single anchor {rms(each):.3f})"
        yield f"sub-pixel motion of a photograph, {name}", said, "≤ 0.05 px RMS"


def shutter(provider: FaceProvider) -> Iterator[Row]:
    """A photograph that moves while a shutter of 180° is open: when is it that the track is of?"""
    (_, picture), *_ = still_faces()
    t = np.arange(24)
    for most, name in ((6.0, "6 px a frame"), (12.0, "12 px a frame")):
        way = most * len(t) / (2 * np.pi)  # of a sine that is as fast as that in its middle

        def at(time: np.ndarray | float, way: float = way) -> np.ndarray:
            return np.stack([way * np.sin(2 * np.pi * np.asarray(time) / 24), 0 * time], -1)

        rng = np.random.default_rng(3)
        pictures = (
            grained(np.mean([shifted(picture, at(f + s)) for s in OPEN], axis=0), rng, 0.01)
            for f in t.astype(float)
        )
        held = smooth(track_of(pictures, provider), SIGMA).faces.values()
        x = np.array([face.landmarks[align.ANCHORS, 0].mean() for face in held])
        path = at(t.astype(float))[:, 0]
        speed = (at(t + 0.01)[:, 0] - at(t - 0.01)[:, 0]) / 0.02
        away = (x - x.mean()) - (path - path.mean())
        lag = float((away * speed).sum() / (speed**2).sum())
        yield (
            f"motion blur, up to {name}: from the shutter's middle",
            f"{lag:+.3f} frames",
            ("≤ 0.05 frames"),
        )


def robustness(provider: FaceProvider) -> Iterator[Row]:
    """The same landmarks whatever was done to the picture."""
    changes: dict[str, Callable[[np.ndarray], np.ndarray]] = {
        "1/8 of the exposure": lambda x: x / 8,
        "8 times the exposure": lambda x: x * 8,
        "sRGB taken for linear": linear_to_srgb,
        "monochrome": lambda x: np.repeat(x @ [[0.2126], [0.7152], [0.0722]], 3, 2),
        "Cineon-like log taken for linear": lambda x: np.log10(1 + 60 * np.maximum(x, 0)) / 1.8,
    }
    faces = dict(still_faces(every=True))
    plain = {name: place(picture, provider) for name, picture in faces.items()}
    for change, made in changes.items():
        away = [
            nme(place(made(picture).astype(np.float32), provider), plain[name])
            for name, picture in faces.items()
        ]
        yield f"{change}: NME against the plain picture", f"{np.mean(away):.2f} %", "≤ 1 %"
    for change, turn in (("roll of 90°", 1), ("roll of −90°", 3)):
        away = []
        for name, picture in faces.items():
            size = picture.shape[1], picture.shape[0]
            there = place(np.ascontiguousarray(np.rot90(picture, turn)), provider)
            away.append(nme(None if there is None else turned_back(there, turn, size), plain[name]))
        yield f"{change}: NME against the plain picture", f"{np.mean(away):.2f} %", "≤ 1 %"
    away = []
    for name, picture in faces.items():
        there = place(np.ascontiguousarray(picture[:, ::-1]), provider)
        back = None if there is None else mirrored(there, picture.shape[1])
        away.append(nme(back, plain[name]))
    yield "mirror: NME against the plain picture", f"{np.mean(away):.2f} %", "≤ 1 %"


def sizes(provider: FaceProvider) -> Iterator[Row]:
    """One photograph with its face at many sizes, and squeezed."""
    photograph = linear_photograph()
    for pixels, limit in ((48, "≤ 4 %"), (96, ""), (400, ""), (1000, ""), (4000, "≤ 2 %")):
        scale = pixels / 118.0
        plain = place(photograph, provider)
        part, offset = (photograph, 0.0) if pixels < 1000 else (photograph[:300, 60:380], 60.0)
        method = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
        there = cv2.resize(part, None, fx=scale, fy=scale, interpolation=method)
        found = place(np.maximum(there, 0), provider)
        back = None if found is None else found / scale + (offset, 0)
        yield f"face of {pixels} px: NME against 118 px", f"{nme(back, plain):.2f} %", limit
    for aspect in (2.0, 1.3):
        size = (round(photograph.shape[1] / aspect), photograph.shape[0])
        squeezed = cv2.resize(photograph, size, interpolation=cv2.INTER_AREA)
        found = place(squeezed, provider, aspect=photograph.shape[1] / size[0])
        back = None if found is None else found * (photograph.shape[1] / size[0], 1)
        said = f"{nme(back, plain):.2f} %"
        yield f"anamorphic {aspect:g}: NME against square pixels", said, "≤ 1 %"


def speed(provider: FaceProvider) -> Iterator[Row]:
    """The analysis pass, reading the files included."""
    for name, factor, limit in (("1080p", 2, "≥ 12"), ("4K", 4, "≥ 6")):
        with tempfile.TemporaryDirectory() as folder:
            for frame in range(1001, 1013):
                source = oiio.ImageBuf(str(STUDIO / "monologue" / f"plate.{frame}.exr"))
                size = oiio.ROI(0, 960 * factor, 0, 540 * factor)
                large = oiio.ImageBufAlgo.resize(source, roi=size)
                large.specmod().attribute("compression", "dwab")
                large.set_write_format("half")
                large.write(f"{folder}/plate.{frame}.exr")
            plates = Sequence.parse(f"{folder}/plate.####.exr")
            walls, works = [], []

            def note(*_: object, walls: list[float] = walls, works: list[float] = works) -> None:
                walls.append(time.perf_counter())
                works.append(time.process_time())

            tracked(plates, plates.frames(), provider, note)
        # The first frame finds the face and loads what is loaded once.
        count = len(walls) - 1
        rate, work = count / (walls[-1] - walls[0]), 1000 * (works[-1] - works[0]) / count
        said = f"{rate:.1f} frames/s ({work:.0f} ms of CPU a frame)"
        yield f"analysis at {name}, EXR read included", said, f"{limit} frames/s on 2 cores"


def filtering(provider: FaceProvider) -> Iterator[Row]:
    """The smoother on a sine of 4 Hz."""
    t = np.arange(96)
    wave = np.exp(2j * np.pi * 4.0 * t / RATE)
    shape = align.TEMPLATE * 300
    faces = {int(f): Face(shape + np.array([6.0 * wave[f].real + 500, 500])) for f in t}
    held = smooth(Track(faces, (1920, 1080), frames=tuple(faces)), SIGMA).faces
    inner = t[12:-12]
    x = np.array([held[f].landmarks[30, 0] for f in inner]) - shape[30, 0] - 500
    answer = 2 * (x * wave[inner].conj()).mean() / 6.0
    lag = abs(float(np.angle(answer))) * RATE / (2 * np.pi * 4.0)
    yield "smoother on a 4 Hz motion: lag", f"{lag:.4f} frames", "≤ 0.1 frames"
    yield "smoother on a 4 Hz motion: amplitude kept", f"{100 * abs(answer):.1f} %", ""


FIGURES: dict[str, Callable[[FaceProvider], Iterator[Row]]] = {
    "shots": shots,
    "jitter": jitter,
    "motion": motion,
    "shutter": shutter,
    "robustness": robustness,
    "sizes": sizes,
    "speed": speed,
    "filter": filtering,
}


# ------------------------------------------------------------------------------------- material


def still_faces(*, every: bool = False) -> Iterator[tuple[str, np.ndarray]]:
    """Scene-linear pictures of one face each, about 300 pixels wide; `every`: more, as they are."""
    photograph = linear_photograph()
    if not every:
        part = cv2.resize(photograph[:280, 90:370], None, fx=2.5, fy=2.5, interpolation=2)
        yield "photograph", np.maximum(part, 0)
    else:
        yield "photograph", photograph
    if STUDIO.exists():
        for name in sorted((STUDIO / "performer").glob("*.jpg"))[:: 30 if every else 300]:
            yield name.stem if every else "render", linear(cv2.imread(str(name))[..., ::-1])


def linear_photograph() -> np.ndarray:
    return linear(photographs.astronaut())


def linear(codes: np.ndarray) -> np.ndarray:
    x = codes.astype(np.float32) / 255
    return np.where(x <= 0.04045, x / 12.92, ((x + 0.055) / 1.055) ** 2.4).astype(np.float32)


def grained(picture: np.ndarray, rng: np.random.Generator, amount: float) -> np.ndarray:
    """Fresh grain: the variance grows with the light, a grain is about a pixel wide."""
    noise = cv2.GaussianBlur(rng.standard_normal(picture.shape).astype(np.float32), (0, 0), 0.6)
    return picture + amount * 2.0 * np.sqrt(np.maximum(picture, 0) * 0.18 + 1e-4) * noise


def shifted(picture: np.ndarray, by: np.ndarray) -> np.ndarray:
    """Exact for what the picture holds: a phase ramp over its spectrum, with a mirrored border."""
    edge = 16
    large = cv2.copyMakeBorder(picture, edge, edge, edge, edge, cv2.BORDER_REFLECT)
    ramp = np.fft.fftfreq(large.shape[0])[:, None] * by[1] + np.fft.rfftfreq(large.shape[1]) * by[0]
    phase = np.exp(-2j * np.pi * ramp)[..., None]
    moved = np.fft.irfft2(np.fft.rfft2(large, axes=(0, 1)) * phase, large.shape[:2], axes=(0, 1))
    return moved[edge:-edge, edge:-edge].astype(np.float32)


# -------------------------------------------------------------------------------------- helpers


def tracked(
    plates: Sequence,
    frames: tuple[int, ...],
    provider: FaceProvider,
    report: Callable[[int, Face | None], None] = lambda *_: None,
) -> Track:
    return track_shot(plates, frames, provider, ColourKnobs(), report, lambda: False)


def track_of(pictures: Iterator[np.ndarray], provider: FaceProvider) -> Track:
    """Track pictures in memory: through files, as a shot is."""
    with tempfile.TemporaryDirectory() as folder:
        for frame, picture in enumerate(pictures, 1001):
            oiio_write(f"{folder}/plate.{frame}.exr", picture)
        plates = Sequence.parse(f"{folder}/plate.####.exr")
        return tracked(plates, plates.frames(), provider)


def oiio_write(path: str, picture: np.ndarray) -> None:
    buffer = oiio.ImageBuf(np.ascontiguousarray(picture, np.float32))
    buffer.set_write_format("half")
    buffer.write(path)


def place(picture: np.ndarray, provider: FaceProvider, aspect: float = 1.0) -> np.ndarray | None:
    found = find_faces(np.ascontiguousarray(picture, np.float32), aspect, provider)
    if not found:
        return None
    return np.asarray(max(found, key=lambda one: np.ptp(one.landmarks)).landmarks, np.float64)


def nme(points: np.ndarray | None, true: np.ndarray | None) -> float:
    """In percent; a face that was not found counts for 100."""
    if points is None or true is None:
        return 100.0
    unit = max(np.linalg.norm(true[36] - true[45]), 0.3 * np.ptp(true[:, 1]))
    return 100 * float(np.linalg.norm(points - true, axis=1).mean() / unit)


def turned_back(points: np.ndarray, turn: int, size: tuple[int, int]) -> np.ndarray:
    """Take `numpy.rot90` back, for points of a picture of a size (width, height)."""
    x, y = points.T
    return np.column_stack([size[0] - y, x] if turn == 1 else [y, size[1] - x])


def mirrored(points: np.ndarray, width: int) -> np.ndarray:
    from semblance.track.native import MIRROR

    return points[MIRROR] * (-1, 1) + (width, 0)


def high_pass(values: np.ndarray, hertz: float) -> float:
    """RMS, over both axes together, of what changes faster; (frames, points, 2)."""
    spectrum = np.fft.rfft(values - values.mean(0), axis=0)
    spectrum[np.fft.rfftfreq(len(values), 1 / RATE) <= hertz] = 0
    return rms(np.fft.irfft(spectrum, len(values), axis=0))


def rms(values: np.ndarray) -> float:
    """Root mean square length of vectors (…, 2)."""
    return float(np.sqrt((values**2).sum(-1).mean()))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--provider", choices=PROVIDERS, default="native")
    parser.add_argument("--only", default=",".join(FIGURES), help="Figures, with commas between.")
    given = parser.parse_args()
    cv2.setNumThreads(1)
    provider = open_provider(given.provider)
    print("| figure | measured | goal |\n| --- | --- | --- |", flush=True)
    for name in given.only.split(","):
        if name in ("shots", "speed") and not STUDIO.exists():
            print(f"| {name} | not taken: the studio set is not in {STUDIO} | |")
            continue
        for row in FIGURES[name](provider):
            print(f"| {' | '.join(row)} |", flush=True)


if __name__ == "__main__":
    main()
