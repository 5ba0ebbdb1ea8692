"""Write docs/blend.md and its pictures: what each blend mode and each match does to a plate.

    python docs/make_blend_page.py

All of it is rendered from examples/ and nothing else. Figures are measured on the very frames that
are shown and put into the page by this script; none is typed. Pictures are cut out of the frames at
1:1 and become 8-bit in the PNG alone.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from semblance import colour, pipeline, score
from semblance.cache import StageCache
from semblance.exr import read_plate, read_roto
from semblance.face import Face, Roto
from semblance.knobs import Knobs, declared
from semblance.model import Likeness
from semblance.plate import Plate, Window
from semblance.track.file import load_track
from semblance.track.smooth import smooth

DOCS = Path(__file__).resolve().parent
EXAMPLES = DOCS.parent / "examples"
PICTURES = DOCS / "pictures" / "blend"
PAGE = DOCS / "blend.md"

Picture = NDArray[np.float32]

MOST_BYTES = 3_000_000
"""Of all pictures of the page together."""

FACE = Window(292, 82, 564, 482)
"""The whole face of frame 1001; three of these fill a page's width at 1:1."""

BACKGROUND, INK = (40, 40, 40), (210, 210, 210)
GAP, LABEL, LETTERS = 4, 20, 13

HIGHLIGHT = 50.0
"""Scene-linear value of the highlight that is put on the cheek."""


# ------------------------------------------------------------------------------------- the frames


@dataclass(frozen=True)
class Shown:
    """A frame of the example: as it is, or with the same change made to plate and truth.

    Parameters
    ----------
    name : str
        Names the plate's pixels in the stage cache.
    frame : int
    plate, truth : Plate
        The performer's frame and the perfect result.
    mask : Roto
        Where they are compared.
    face : Face
        The track at this frame.
    """

    name: str
    frame: int
    plate: Plate
    truth: Plate
    mask: Roto
    face: Face

    def altered(self, name: str, change: Callable[[Picture], Picture]) -> Shown:
        """Return the frame with a change of scene-linear pixels made to plate and truth alike."""
        whole = np.ones((self.plate.window.height, self.plate.window.width), bool)
        plate, truth = (
            each.with_picture(change(each.picture()), each.window, whole)
            for each in (self.plate, self.truth)
        )
        return replace(self, name=f"{self.name} {name}", plate=plate, truth=truth)


@dataclass(frozen=True)
class Shot:
    """The example shot, and the likeness that is laid over it."""

    network: Likeness
    faces: Mapping[int, Face]
    stops: float
    cache: StageCache

    def frame(self, number: int) -> Shown:
        """Read a frame."""
        plate, truth = (
            read_plate(EXAMPLES / f"{name}.{number}.exr") for name in ("plate", "truth")
        )
        mask = read_roto(EXAMPLES / f"mask.{number}.exr")
        return Shown(str(number), number, plate, truth, mask, self.faces[number])

    def render(self, shown: Shown, **knobs: object) -> Plate:
        """Render a frame with some knobs moved."""
        return pipeline.render(
            shown.plate,
            shown.face,
            self.network,
            Knobs.from_flat(knobs),
            stops=self.stops,
            frame=shown.frame,
            cache=self.cache,
            source=shown.name,
        ).plate

    def score(self, shown: Shown, result: Plate, matte: Picture | None = None) -> score.Score:
        """Take the figures of a result, as `semblance score` does."""
        pictures = score.Pictures(
            shown.frame, result, shown.truth, shown.mask, shown.plate, matte, shown.face
        )
        return score.score_frames([pictures], stops=self.stops).frames[0]

    def display(self, plate: Plate, window: Window, stops: float = 0.0) -> Picture:
        """Return a window as a display shows it at the shot's exposure, and some stops more."""
        return colour.encode(plate.picture(window), self.stops + stops)


# ----------------------------------------------------------------------------------- the pictures


def strip(name: str, panels: Iterable[tuple[str, Picture]], alt: str) -> str:
    """Write pictures of one size side by side as a PNG, and return the Markdown that shows it.

    Parameters
    ----------
    name : str
        Of the file.
    panels : iterable of (str, (h, w, 3) float32 array)
        Label and display-referred picture, shown at 1:1.
    alt : str
        What a reader without pictures is told.
    """
    drawn = [(label, _codes(picture)) for label, picture in panels]
    height, width = drawn[0][1].shape[:2]
    size = (len(drawn) * (width + GAP) + GAP, height + LABEL + GAP)
    sheet = Image.new("RGB", size, BACKGROUND)
    draw, font = ImageDraw.Draw(sheet), ImageFont.load_default(LETTERS)
    for place, (label, codes) in enumerate(drawn):
        left = GAP + place * (width + GAP)
        draw.text((left, 2), label, INK, font)
        sheet.paste(Image.fromarray(codes), (left, LABEL))
    sheet.save(PICTURES / f"{name}.png", optimize=True)
    return f"![{alt}](pictures/blend/{name}.png)"


def _codes(picture: Picture) -> NDArray[np.uint8]:
    """Return 8-bit codes with triangular dither: no step shows where the plate has none.

    The dither is the same in every picture of a size, so that it never tells two of them apart.
    """
    random = np.random.default_rng(8)
    uniform = random.random((2, *picture.shape[:2], 1), np.float32)
    dithered = picture * 255.0 + uniform.sum(axis=0) - 0.5
    return np.asarray(np.floor(np.clip(dithered, 0.0, 255.0)), np.uint8)


def _grey(values: Picture) -> Picture:
    """Return one channel as a picture of three."""
    return np.repeat(values[..., None], 3, axis=2) if values.ndim == 2 else values


def contour(picture: Picture, matte: Picture) -> Picture:
    """Draw where a matte is one half, and in a darker line where it begins.

    Parameters
    ----------
    picture : (h, w, 3) float32 array
        Display-referred.
    matte : (h, w) float32 array
        0..1.
    """
    drawn = picture.copy()
    for level, ink in ((1e-3, (0.0, 0.35, 0.45)), (0.5, (0.1, 0.9, 1.0))):
        inside = np.asarray(matte > level, np.uint8)
        edge = inside - cv2.erode(inside, np.ones((3, 3), np.uint8), borderValue=1)
        drawn[edge > 0] = ink
    return drawn


# ------------------------------------------------------------------------------------- the figures


def table(rows: Iterable[Sequence[str]]) -> str:
    """Return rows as a Markdown table; the first row is its head."""
    head, *others = [list(row) for row in rows]
    lines = [head, ["---", *["--:"] * (len(head) - 1)], *others]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


HEAD = ("", "PSNR, dB", "SSIM", "progress", "seam")


def defaults(*names: str) -> str:
    """Return the defaults of some knobs as a line of the page, as the knob table has them."""
    table = {knob.name: knob.default for knob in declared()}
    return "Default: " + ", ".join(f"`{name}` {table[name]}" for name in names) + "."


def row(label: str, figures: score.Score) -> tuple[str, ...]:
    """Return the figures of a result as cells under `HEAD`."""
    return (
        label,
        f"{figures.psnr:.2f}",
        f"{figures.ssim:.3f}",
        f"{figures.progress:.2f}",
        f"{figures.seam:.2f}",
    )


def plate_row(shot: Shot, shown: Shown) -> tuple[str, ...]:
    """Return the same figures of the untouched plate."""
    return row("plate, untouched", shot.score(shown, shown.plate))


def grain(shot: Shot, plate: Plate, window: Window) -> float:
    """Return the deviation of what is finer than 1.5 pixels, in 8-bit codes of the display."""
    luma = colour.luma(shot.display(plate, window))
    return 255.0 * float(np.std(luma - cv2.GaussianBlur(luma, (0, 0), 1.5)))


def sharpness(shot: Shot, shown: Shown, result: Plate) -> float:
    """Return the mean gradient inside the mask over the truth's, both blurred below the grain."""
    window = shown.mask.window
    inside = shown.mask.pixels > 0.5
    steep = []
    for plate in (result, shown.truth):
        luma = cv2.GaussianBlur(colour.luma(shot.display(plate, window)), (0, 0), 1.5)
        steep.append(float(np.hypot(*np.gradient(luma))[inside].mean()))
    return steep[0] / steep[1]


# ------------------------------------------------------------------------------ changes to plates


def flagged(picture: Picture) -> Picture:
    """Return the picture with a flag's shadow over the lower left, two stops deep."""
    height, width = picture.shape[:2]
    y, x = np.mgrid[:height, :width].astype(np.float32)
    across = (432.0 - x) * 0.6 + (y - 236.0) * 0.8
    lit = 1.0 / (1.0 + np.exp(across / 8.0))
    return np.asarray(picture * (0.25 + 0.75 * lit)[..., None], np.float32)


def panned(picture: Picture) -> Picture:
    """Return the picture with 11 pixels of horizontal motion blur under fresh grain."""
    blurred = cv2.blur(picture, (11, 1))
    fresh = np.random.default_rng(3).normal(size=picture.shape).astype(np.float32)
    cv2.GaussianBlur(fresh, (0, 0), 0.6, dst=fresh)
    return np.asarray(blurred + 0.016 * np.sqrt(np.maximum(blurred, 0.0)) * fresh, np.float32)


def glinting(picture: Picture) -> Picture:
    """Return the picture with a highlight on the cheek: `HIGHLIGHT` at its centre, soft around."""
    spot = np.exp(-(_from_spot(picture.shape) ** 2) / (2.0 * 4.0**2))
    return np.asarray(picture + (HIGHLIGHT - picture) * spot[..., None], np.float32)


def glow(result: Plate, without: Plate) -> float:
    """Return the light 16 to 24 pixels around the highlight, over the light there without it."""
    away = _from_spot(result.picture().shape)
    ring = (away >= 16.0) & (away < 24.0)
    return float(result.picture()[ring].mean() / without.picture()[ring].mean())


def _from_spot(shape: tuple[int, ...]) -> Picture:
    y, x = np.mgrid[: shape[0], : shape[1]].astype(np.float32)
    return np.asarray(np.hypot(x - 505.0, y - 265.0), np.float32)


def rod(shape: tuple[int, int]) -> tuple[Picture, Picture]:
    """Return a dark rod with a ball at its end: scene-linear colour, and how much it covers."""
    y, x = np.mgrid[: shape[0], : shape[1]].astype(np.float32)
    tip, along = (418.0, 372.0), (0.62, 0.785)
    length = (x - tip[0]) * along[0] + (y - tip[1]) * along[1]
    side = ((x - tip[0]) * along[1] - (y - tip[1]) * along[0]) / 13.0
    stick = np.where(length > 0.0, np.abs(side), 9.0)
    away = np.hypot(x - tip[0], y - tip[1]) / 34.0
    lit_stick = 0.012 + 0.05 * np.exp(-(((side - 0.3) / 0.3) ** 2))
    lit_ball = 0.012 + 0.05 * np.exp(-((x - tip[0] + 12.0) ** 2 + (y - tip[1] + 12.0) ** 2) / 140.0)
    light = np.where(away < 1.0, lit_ball, lit_stick)
    covered = np.maximum((1.0 - stick) * 13.0, (1.0 - away) * 34.0) / 2.0 + 0.5
    covered = cv2.GaussianBlur(np.clip(covered, 0.0, 1.0).astype(np.float32), (0, 0), 1.2)
    return np.asarray(light[..., None] * np.array([1.0, 0.95, 0.9]), np.float32), covered


def occluded(shown: Shown) -> Shown:
    """Return the frame with the rod held before the face, in plate, truth and mask."""
    light, covered = rod(shown.mask.pixels.shape)
    random = np.random.default_rng(5)
    light = light + 0.002 * random.normal(size=light.shape).astype(np.float32)
    there = covered[..., None]
    behind = shown.altered("rod", lambda picture: picture * (1.0 - there) + light * there)
    free = np.where(covered > 1e-3, 0.0, shown.mask.pixels * (1.0 - covered))
    return replace(behind, mask=Roto(np.asarray(free, np.float32), shown.mask.window))


# ------------------------------------------------------------------------------------ the sections


def whole(shot: Shot, shown: Shown) -> str:
    """Return the section that shows the face as the default knobs make it."""
    result = shot.render(shown)
    matte = shot.render(shown, view="matte").picture()[..., 0]
    figures = shot.score(shown, result, matte)
    panels = [("plate", shown.plate), ("result", result), ("truth", shown.truth)]
    picture = strip(
        "face",
        [(label, shot.display(plate, FACE)) for label, plate in panels],
        "The face in plate, result and truth",
    )
    return f"""## The face, all knobs at their defaults

{picture}

{table([HEAD, plate_row(shot, shown), row("defaults", figures)])}

Pixels without matte whose bits are not the plate's: {figures.outside}.

Look at the far cheek against the dark wall, the hairline and the jaw: there is the seam. Eyes,
nose and lips are as soft as the example likeness draws them, at 128 pixels over a face of this
size; that is the likeness and not the blend, and `detail_match` can give back a part of it alone.
"""


def modes(shot: Shot, shown: Shown) -> str:
    """Return the section of the blend modes."""
    names = ("over", "multiband", "poisson")
    results = {name: shot.render(shown, blend_mode=name) for name in names}
    matte = shot.render(shown, view="matte").picture(shown.plate.window)[..., 0]
    window = Window(400, 82, 562, 342)
    panels = {"plate": shown.plate, **results, "truth": shown.truth}
    picture = strip(
        "modes",
        [(label, shot.display(plate, window)) for label, plate in panels.items()],
        "Forehead, temple and cheek in plate, over, multiband, poisson and truth",
    )
    seam = Window(320, 376, 482, 488)
    edge = contour(shot.display(shown.plate, seam), matte[seam.slices(shown.plate.window)])
    close = strip(
        "seam",
        [
            ("plate, matte's edge", edge),
            *((label, shot.display(plate, seam)) for label, plate in results.items()),
            ("truth", shot.display(shown.truth, seam)),
        ],
        "The seam under the jaw, with the matte's contour",
    )
    rows = [row(f"`{name}`", shot.score(shown, result)) for name, result in results.items()]
    return f"""## Blend modes

{picture}

The seam under the jaw. The bright line is where the matte is one half, the dark one where it
begins.

{close}

{table([HEAD, plate_row(shot, shown), *rows])}

- **`over`**: plate + matte × (patch − plate), in scene-linear light. The new face keeps its
  colour and contrast all the way to the matte's soft edge. The one to judge a likeness by, and
  the one that native nodes can rebuild from layers.
- **`multiband`**: fine detail changes over at the matte's own edge, broad tone over a wide
  transition inside it. For a complexion that differs from the plate's at the seam where the matte
  ends on skin: neck, temple, a hairline. It gives a little of the likeness's tone away near the
  edge.
- **`poisson`**: the new face's gradients, with the plate's values along the matte's edge. It
  removes any offset of colour or light at the seam and takes the likeness's complexion with it,
  for the whole face and not the edge alone; hence the figures. For a likeness whose colour is
  wrong in this light, and for small patches by roto.

The blend modes differ in what reaches the plate inside the matte. Outside it, none changes a bit.
{defaults("blend_mode", "mix")}
"""


def light(shot: Shot, shown: Shown) -> str:
    """Return the section of the light match."""
    dark = shown.altered("flag", flagged)
    results = {value: shot.render(dark, light_match=value) for value in (0.0, 1.0)}
    window = Window(320, 100, 522, 430)
    panels = {
        "plate, with the flag": dark.plate,
        "light_match 0": results[0.0],
        "light_match 1": results[1.0],
        "truth": dark.truth,
    }
    picture = strip(
        "light",
        [(label, shot.display(plate, window, 0.5)) for label, plate in panels.items()],
        "A shadow over half of the face, without and with light match",
    )
    scores = {value: shot.score(dark, result) for value, result in results.items()}
    rows = [
        (*row(f"`light_match` {value:g}", each), _slope(each)) for value, each in scores.items()
    ]
    still = {value: shot.score(shown, shot.render(shown, light_match=value)) for value in results}
    rows += [
        (*row(f"`light_match` {value:g}, without the flag", each), _slope(each))
        for value, each in still.items()
    ]
    untouched = (*plate_row(shot, dark), _slope(shot.score(dark, dark.plate)))
    return f"""## Light match

The same frame with a flag's shadow over the lower left of the face, two stops deep: multiplied
onto plate and truth alike, in scene-linear light. Shown half a stop brighter.

{picture}

{table([(*HEAD, "light slope"), untouched, *rows])}

Look at the edge of the shadow on nose and cheek, and at how deep it is. The network draws the
performer too; what that picture lacks of the plate is light, and the new face gets the same. The
likeness's own complexion stays. Leave it at 1; lower it where the plate's light is to be replaced
as well, for instance by a relit patch. {defaults("light_match")}

*Light slope*: the contrast of the face's broad light over the truth's, 1 is right.
"""


def _slope(figures: score.Score) -> str:
    return "" if figures.light_slope is None else f"{figures.light_slope:.2f}"


def colours(shot: Shot, shown: Shown) -> str:
    """Return the section of the colour match."""
    names = ("none", "mean", "linear", "histogram")
    results = {name: shot.render(shown, colour_match=name) for name in names}
    window = Window(372, 220, 504, 400)
    panels = {"plate": shown.plate, **results, "truth": shown.truth}
    picture = strip(
        "colour",
        [(label, shot.display(plate, window)) for label, plate in panels.items()],
        "Cheek and mouth in the plate, with each colour match, and in the truth",
    )
    rows = [
        row(f"`colour_match` {name}", shot.score(shown, result)) for name, result in results.items()
    ]
    return f"""## Colour match

{picture}

{table([HEAD, plate_row(shot, shown), *rows])}

Look at cheek and lips. Every colour match carries the *plate's* colours onto the new face: right
where the likeness was trained under another light or another camera and its colour is simply
wrong, wrong where the likeness's complexion is part of who it is. The truth of this shot has a
complexion of its own, so here each match moves away from it. Dial it in with `colour_amount`.
{defaults("colour_match", "colour_amount")}

- **`none`**: the likeness's colours, in the plate's light.
- **`mean`**: mean and spread of lightness and of both opponent colours. The mildest, and hard to
  break.
- **`linear`**: the same and how the three hang together (linear optimal transport): for a cast
  that depends on brightness.
- **`histogram`**: the whole distribution of each, for a curve that a gain and an offset can't
  follow. Compare several frames before you trust it.

Statistics are taken inside the matte, in Oklab, and averaged over two frames to either side, so
that a correction does not pump. The stills here use their own frame alone.
"""


def detail(shot: Shot, shown: Shown) -> str:
    """Return the section of the detail match."""
    window = Window(330, 170, 531, 300)
    pan = shown.altered("pan", panned)
    parts, rows = [], []
    for name, each, label in (("detail", shown, "as shot"), ("detail_pan", pan, "pan")):
        results = {value: shot.render(each, detail_match=value) for value in (0.0, 1.0)}
        panels = {
            f"plate, {label}": each.plate,
            "detail_match 0": results[0.0],
            "detail_match 1": results[1.0],
            "truth": each.truth,
        }
        parts.append(
            strip(
                name,
                [(text, shot.display(plate, window)) for text, plate in panels.items()],
                f"Eyes and nose without and with detail match, {label}",
            )
        )
        rows += [
            (
                *row(f"`detail_match` {value:g}, {label}", shot.score(each, result)),
                f"{sharpness(shot, each, result):.2f}",
            )
            for value, result in results.items()
        ]
    return f"""## Detail match

{parts[0]}

The same with 11 pixels of horizontal motion blur, and grain laid over it afresh, on plate and
truth.

{parts[1]}

{table([(*HEAD, "sharpness"), *rows])}

Look at eyelids and nostrils. The match compares the network's picture of the performer to the
plate, band by band and direction by direction, and takes the difference over: it softens the new
face for defocus and motion, and sharpens it where the plate is sharper, by as much as the two
have in common. What the network never drew does not come back, so at this likeness's size the
step is small; it shows most on shots that are softer than the likeness. Lower it if an edge of
the network's drawing becomes crisp where it should not. {defaults("detail_match")}

*Sharpness*: mean gradient inside the mask, blurred below the grain, over the truth's.
"""


def noise(shot: Shot, shown: Shown) -> str:
    """Return the section of the grain match."""
    results = {value: shot.render(shown, grain_match=value) for value in (0.0, 1.0)}
    window, patch = Window(330, 180, 531, 330), Window(420, 235, 480, 295)
    panels = {
        "plate": shown.plate,
        "grain_match 0": results[0.0],
        "grain_match 1": results[1.0],
        "truth": shown.truth,
    }
    picture = strip(
        "grain",
        [(label, shot.display(plate, window, 1.0)) for label, plate in panels.items()],
        "Nose and cheek without and with grain match",
    )
    own = grain(shot, shown.plate, patch)
    rows = [
        (
            *row(f"`grain_match` {value:g}", shot.score(shown, result)),
            f"{grain(shot, result, patch) / own:.2f}",
        )
        for value, result in results.items()
    ]
    truth = ("truth", "", "", "", "", f"{grain(shot, shown.truth, patch) / own:.2f}")
    return f"""## Grain match

Shown a stop brighter.

{picture}

{table([(*HEAD, "grain"), *rows, truth])}

Look at the cheek: without grain the new face is clean where the plate is not, and gives itself
away as soon as the shot moves. With it the plate's own grain stays where it can be told from the
performer's features, and fresh grain of the same size, spectrum and colour fills in where it
can't, another in each frame. Leave it at 1; set it to 0 where the shot is degrained before and
regrained after. A mole or a pore of about the grain's size may stay with it.
{defaults("grain_match")}

*Grain*: deviation finer than 1.5 pixels on the cheek, over the plate's {own:.2f} codes of 8 bits.
"""


def occlusion(shot: Shot, shown: Shown) -> str:
    """Return the section of the occluder."""
    held = occluded(shown)
    results = {value: shot.render(held, mask_occlusion=value) for value in (0.0, 0.5)}
    matte = shot.render(held, mask_occlusion=0.5, view="matte")
    window = Window(330, 270, 491, 470)
    panels = [
        ("plate, with a CG rod", shot.display(held.plate, window)),
        ("mask_occlusion 0", shot.display(results[0.0], window)),
        ("mask_occlusion 0.5", shot.display(results[0.5], window)),
        ("matte at 0.5", _grey(matte.picture(window))),
        ("truth", shot.display(held.truth, window)),
    ]
    picture = strip("occlusion", panels, "A rod before the face, without and with occlusion")
    scores = {value: shot.score(held, result) for value, result in results.items()}
    rows = [
        (*row(f"`mask_occlusion` {value:g}", each), f"{100.0 * (each.occluder or 0.0):.1f} %")
        for value, each in scores.items()
    ]
    return f"""## Occlusion

Nothing crosses the face in the example shot. So a dark rod with a ball, computer graphics, is
held before it in plate and truth, in scene-linear light and with grain.

{picture}

{table([(*HEAD, "occluder changed"), *rows])}

Look at the ball's outline and at the rim around it. What is in front is found by a small network
in the plate, before anything is replaced, and held out of the matte with a margin, so that
nothing of the new face lies on it; in that margin the performer's own skin stays. 0.5 is right
for most shots; raise it for thin or motion-blurred things, at the price of holes in the matte;
lower it where it takes a beard or a deep shadow for a hand. What it misses is roto.
{defaults("mask_occlusion")}

*Occluder changed*: pixels inside the face's hull with a truth mask of 0 that differ from the
plate by more than 2/255 in a channel.
"""


def views(shot: Shot, shown: Shown) -> str:
    """Return the section of the views that look inside."""
    drawn = {name: shot.render(shown, view=name) for name in ("patch", "matte", "difference")}
    window = Window(292, 82, 564, 482)
    picture = strip(
        "views",
        [
            ("view patch", shot.display(drawn["patch"], window)),
            ("view matte", _grey(drawn["matte"].picture(window))),
            ("view difference, +3 stops", shot.display(drawn["difference"], window, 3.0)),
        ],
        "The views patch, matte and difference",
    )
    return f"""## Looking inside

{picture}

- **`view patch`**: the new face before the matte, in its light, colour and grain. Fringes here
  never reach the result where the matte is 0.
- **`view matte`**: what the patch is laid in by, 0 to 1. Step through the shot: it should move
  like the face and not breathe.
- **`view difference`**: |result − plate|, scene-linear. Black is untouched. A straight line, a
  frame or a rectangle in it would be a fault.
"""


def highlight(shot: Shot, shown: Shown) -> str:
    """Return the section of the highlight."""
    bright = shown.altered("highlight", glinting)
    names = ("over", "multiband")
    results = {name: shot.render(bright, blend_mode=name) for name in names}
    without = {name: shot.render(shown, blend_mode=name) for name in names}
    window = Window(425, 200, 558, 330)
    down = -np.log2(HIGHLIGHT) - shot.stops
    panels = [
        ("plate", shot.display(bright.plate, window)),
        ("over", shot.display(results["over"], window)),
        ("multiband", shot.display(results["multiband"], window)),
        (f"plate, {down:+.1f} stops", shot.display(bright.plate, window, down)),
        ("over", shot.display(results["over"], window, down)),
        ("multiband", shot.display(results["multiband"], window, down)),
    ]
    picture = strip("highlight", panels, "A highlight on the cheek in plate and result")
    spot = Window(490, 250, 521, 281)
    rows = [
        (
            label,
            *(f"{plate.picture(spot)[..., channel].max():.2f}" for channel in range(3)),
            f"{glow(plate, other):.2f}",
        )
        for label, plate, other in (
            ("plate", bright.plate, shown.plate),
            *((f"`{name}`", results[name], without[name]) for name in names),
        )
    ]
    return f"""## Highlights

A highlight of {HIGHLIGHT:g} on the cheek, as from a practical on wet skin, inside the matte. To
the right the same, exposed so that {HIGHLIGHT:g} is display white.

{picture}

{table([("", "largest R", "G", "B", "around it"), *rows])}

The network sees what a display would show, and a blown highlight holds no face. So the plate's
own light stays where it is beyond white, and comes back as bright as it was; no clamp is anywhere
on the way. Negative values survive likewise.

*Around it*: light 16 to 24 pixels from its centre, over the same frame's without the highlight.
Above 1 the light match spreads a glow.
"""


ORDER = """## What order things happen in

1. The plate is read, brought to scene-linear Rec.709 by its own colour space, and exposed for the
   network's eye (one exposure for the shot; the plate keeps its own).
2. The face is aligned by the track into a canonical square, and the network draws the new face
   and the performer's from it.
3. What is in front of the face is found, and the matte is made: network ∩ landmarks, regions,
   grow, feather, gamma, occlusion, and last your roto.
4. **Light** match, then **colour** match, then **detail** match, in the canonical square; then
   the part of the **grain** that the square shows.
5. What the new face *changes* of the plate is carried back to the plate's pixels, where the rest
   of the grain is matched at the plate's resolution.
6. **Blend**: over, multiband or poisson, times `mix`, in scene-linear light.
7. The change is added to the plate in the plate's own colour space, premultiplied if the plate
   is.

A knob never re-runs what comes before it: moving `mask_feather` or `blend_mode` leaves the
network's picture as it is.

## What is never touched

- **Every pixel without matte keeps its bits**, NaN, infinities and negative values included, in
  all blend modes; so does every pixel of a frame without a face, and every pixel with `mix` at 0.
- **Alpha, depth, ids, motion vectors and every other channel.**
- **Data window, display window, pixel aspect, metadata.** Attributes are added, none is taken
  away.
- **The file's compressed chunks** without matte are copied as they are, so a lossy plate loses
  nothing there. A layout for which that can't be done is written anew, and the report says so.
- Where the new face *is* the plate (`identity_strength` 0), nothing changes either: it travels as
  a change, and a change of nothing is nothing.

## Mattes, roto and layers

The matte's own knobs are in percent of the face's width, so a proxy matches the full plate. A
roto input multiplies the matte, replaces it, or adds to it. [knobs.md](knobs.md) has every knob
with its range. `--layers` writes patch, matte, region mattes and ST maps into the frame, and
[layers.md](layers.md) shows how to blend them again with native nodes, to the frame that `over`
renders.
"""


def page(shot: Shot) -> str:
    """Return the page, and write its pictures."""
    shown = shot.frame(1001)
    sections = [
        section(shot, shown)
        for section in (
            whole, modes, light, colours, detail, noise, occlusion, highlight, views,
        )
    ]  # fmt: skip
    return "\n".join(
        [
            f"""# The blend

<!-- Written by docs/make_blend_page.py; changes belong there. -->

What each blend mode and each match does, on frame {shown.frame} of [the
examples](../examples/README.md): 960 × 540, half, with grain; a CG performer and a CG likeness
whose exact truth is known. All knobs are at their defaults but the one that is shown.

**Every picture is 1:1**, one pixel of the plate to one of the page, in sRGB at the shot's
exposure ({shot.stops:+.2f} stops). Open a picture by itself if your browser makes it smaller.
They are 8-bit on this page alone, and dithered for it.

**Every figure is measured** by the script on the frame beside it, inside the truth mask, in the
working encoding: PSNR and SSIM against the truth, *progress* from the plate (0) to the truth (1),
and *seam*, the gradient on the truth mask's edge over the truth's own: 1 is seamless, more is an
edge, less is soft. [score.md](score.md) defines them.
""",
            *sections,
            ORDER,
        ]
    )


def main() -> int:
    """Write the page and its pictures; 1 if they are too large for a page."""
    PICTURES.mkdir(parents=True, exist_ok=True)
    for old in PICTURES.glob("*.png"):
        old.unlink()
    track = load_track(EXAMPLES / "track.json")
    stops = colour.auto_stops(face.luma for face in track.faces.values() if face.luma is not None)
    faces = smooth(track, Knobs().track.smoothing).faces
    with Likeness.open(EXAMPLES / "likeness.onnx", "cpu") as network:
        PAGE.write_text(page(Shot(network, faces, stops, StageCache(512.0))), encoding="utf-8")
    size = sum(path.stat().st_size for path in PICTURES.glob("*.png"))
    sys.stdout.write(f"{PAGE.name}, {size / 1e6:.2f} MB of pictures\n")
    return int(size > MOST_BYTES)


if __name__ == "__main__":
    sys.exit(main())
