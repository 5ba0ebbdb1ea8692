"""Likenesses that graphs of other families draw: their ranges, orders and identities, as ours.

What such a graph changes of its own crop is what counts, and is added to the crop that was not
clipped: so what it can't show (a highlight, a negative pixel, all that is finer than its crop)
stays the plate's.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

from semblance import runtime
from semblance.errors import ModelError
from semblance.face import Inference
from semblance.model import description as descriptions
from semblance.model.contents import check_contents
from semblance.model.description import Description
from semblance.model.embedding import Converter, between, unit
from semblance.model.families import TEMPLATES, VECTOR, Fit, ports, recognise
from semblance.model.package import sha256_of
from semblance.model.providers import Started, start
from semblance.model.session import Likeness
from semblance.model.weights import last_matrix

__all__ = ["ForeignLikeness", "open_foreign"]

Image = NDArray[np.float32]
Drawn = tuple[Image, Image | None]

_RIM: Final = 0.04
"""Of the crop's side: how wide the matte of such a graph fades out at the border of its crop."""


class _Drawing(Protocol):
    """Draws the face of a crop at an identity strength."""

    def __call__(self, crop: Image, strength: float) -> Drawn: ...


class ForeignLikeness(Likeness):
    """A likeness of another family. Its crop is the square of its own template, not the canonical.

    Attributes
    ----------
    description : Description
        What makes a likeness of the graph.
    """

    def __init__(
        self, started: Started, draw: _Drawing, description: Description, sha256: str
    ) -> None:
        super().__init__(started, description.manifest(), sha256)
        self.description = description
        self._draw = draw
        self._oval = _oval(description.kind.template, description.size)
        self._inside = _inside(description.size)

    def infer(self, crop: Image, strength: float) -> Inference:
        """Carry a crop to the likeness.

        Parameters
        ----------
        crop : (size, size, 3) float32 array
            RGB in the working encoding, of the square of the likeness's template; values outside
            0..1 are clipped, as is the strength.
        strength : float
            0 performer, 1 likeness.

        Returns
        -------
        Inference
            Arrays of the crop's size, float32, 0..1; no `own` where the strength moves pixels.

        Raises
        ------
        ValueError
            The crop has another shape, or the likeness is closed.
        ModelError
            The runtime failed, or the graph drew another shape than it declares.
        """
        shown, amount = self._taken(crop), float(np.clip(strength, 0.0, 1.0))
        own: Image | None = None
        if self.description.strength == "pixels":
            face, matte = self._drawn(shown, 1.0)
            rgb = shown + np.float32(amount) * (face - shown)
        else:
            own, matte = self._drawn(shown, 0.0)
            rgb = own
            if amount > 0.0:
                rgb, matte = self._drawn(shown, amount)
        drawn = self._oval if matte is None else matte
        return Inference(rgb, drawn * self._inside, own)

    def _drawn(self, crop: Image, strength: float) -> Drawn:
        try:
            face, matte = self._draw(crop, strength)
        except runtime.ERRORS as error:
            raise self._failed(error) from error
        self._check_drawn("face", face, crop.shape)
        if matte is not None:
            self._check_drawn("matte", matte, crop.shape[:2])
        return face, matte

    def close(self) -> None:
        """Give up the runtime's memory; afterwards `infer` raises ValueError."""
        super().close()
        self._draw = _closed


def open_foreign(path: Path, provider: str = "auto", threads: int = 0) -> ForeignLikeness:
    """Open the likeness that a description makes of a graph.

    Parameters
    ----------
    path : Path
        The description.
    provider, threads
        As `Likeness.open` takes them.

    Raises
    ------
    ModelError
        The description or a file that it names is wrong, or the graph does not fit the family.
    ProviderError
        The provider does not exist.
    """
    sha256 = sha256_of(path)
    described = descriptions.read(path)
    if sha256_of(path) != sha256:
        raise ModelError(f"{path} was changed while it was opened", "Open it again.")
    graph = descriptions.load(path, described.graph, "the graph")
    name = described.graph.name
    check_contents(graph, name)
    started = start(graph, name, provider, threads)
    session = started.session
    fit = recognise(ports(session.get_inputs()), ports(session.get_outputs()), name,
                    described.family)  # fmt: skip
    if fit.size != described.size or fit.morphs != (described.strength == "morph"):
        raise ModelError(
            f"{path} does not describe {name}: it says {described.size} pixels and strength by "
            f"{described.strength}, the graph has {fit.size} pixels and "
            f"{'a' if fit.morphs else 'no'} morph value",
            "Make the description again with: semblance model adapt.",
        )
    draw: _Drawing
    if described.kind.source == "own":
        draw = _Dfm(session, fit)
    else:
        draw = _Swapper(session, fit, _source(path, described, graph))
    return ForeignLikeness(started, draw, described, sha256)


# ------------------------------------------------------------------------------------- graphs


def _closed(crop: Image, strength: float) -> Drawn:
    raise ValueError("this likeness is closed")


class _Swapper:
    """`target` and `source` in, planes of red, green and blue; a face out."""

    def __init__(self, session: Any, fit: Fit, source: Callable[[float], Image]) -> None:
        self._session = session
        self._fit = fit
        self._source = source
        self._mean = np.array(fit.family.mean, np.float32)
        self._deviation = np.array(fit.family.deviation, np.float32)

    def __call__(self, crop: Image, strength: float) -> Drawn:
        target = ((crop - self._mean) / self._deviation).transpose(2, 0, 1)[None]
        feed = _typed(self._fit, {"target": target, "source": self._source(strength)})
        face, *mattes = self._session.run([self._fit.face, *self._fit.mattes], feed)
        picture = np.asarray(face[0], np.float32).transpose(1, 2, 0)
        if self._fit.family.signed:
            picture = picture * self._deviation + self._mean
        return _held(picture), _held(mattes[0][0, 0]) if mattes else None


class _Dfm:
    """DeepFaceLab's export: blue, green and red in this order, channels last."""

    def __init__(self, session: Any, fit: Fit) -> None:
        self._session = session
        self._fit = fit

    def __call__(self, crop: Image, strength: float) -> Drawn:
        feed = {"in_face:0": crop[None, ..., ::-1]}
        if self._fit.morphs:
            feed["morph_value:0"] = np.array([strength], np.float32)
        names = [self._fit.face, *self._fit.mattes]
        face, *mattes = self._session.run(names, _typed(self._fit, feed))
        # Where both say so: one is the performer's face, the other the likeness's.
        least = np.minimum.reduce([each[0, ..., 0] for each in mattes])
        return _held(face[0, ..., ::-1]), _held(least)


def _typed(fit: Fit, feed: dict[str, Any]) -> dict[str, Any]:
    """Return what a graph is fed, in the floats that it takes."""
    return {
        name: np.ascontiguousarray(value, np.float16 if name in fit.halves else np.float32)
        for name, value in feed.items()
    }


def _held(picture: NDArray[Any]) -> Image:
    return np.ascontiguousarray(np.clip(np.asarray(picture, np.float32), 0.0, 1.0))


# --------------------------------------------------------------------------------- identities


def _source(path: Path, described: Description, graph: bytes) -> Callable[[float], Image]:
    """Return what gives a graph's `source` at an identity strength."""
    family = described.kind
    if described.picture is not None:
        data = descriptions.load(path, described.picture, "the likeness's picture")
        picture = _picture(data, family.picture_size, described.picture.name)
        return lambda strength: picture
    likeness = np.array(described.embeddings["likeness"])
    performer = np.array(described.embeddings.get("performer", described.embeddings["likeness"]))
    converter = None
    if described.converter is not None:
        data = descriptions.load(path, described.converter, "the converter")
        check_contents(data, described.converter.name)
        converter = Converter(data, described.converter.name)
    matrix = None
    if family.embedding == "emap":
        matrix = last_matrix(graph, (VECTOR, VECTOR), described.graph.name)

    def source(strength: float) -> Image:
        # Mixed where a recogniser put them, and only then carried to where the graph wants them.
        vector = between(performer, likeness, strength)
        if converter is not None:
            vector = converter.convert(vector)
        if matrix is not None:
            vector = unit(vector) @ matrix
        if family.embedding != "raw":
            vector = unit(vector)
        return vector[None].astype(np.float32)

    return source


def _picture(data: bytes, size: int, name: str) -> Image:
    """Decode the likeness's picture, as a graph takes it: (1, 3, size, size), RGB, 0..1."""
    try:
        found = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR | cv2.IMREAD_ANYDEPTH)
    except cv2.error:
        found = None
    if found is None or found.shape != (size, size, 3) or found.dtype != np.uint16:
        raise ModelError(
            f"{name} is not the likeness's picture: expected a PNG of {size} × {size} pixels with "
            "16 bits",
            "Make the description again with: semblance model adapt.",
        )
    planes = found[..., ::-1].astype(np.float32).transpose(2, 0, 1) / np.float32(65535.0)
    return np.ascontiguousarray(planes[None])


# ------------------------------------------------------------------------------------- mattes


def _oval(template: str, size: int) -> Image:
    """Return where a face lies in a template's square, generously: for graphs that don't say."""
    points = np.array(TEMPLATES[template]) * size
    eyes, mouth = points[:2].mean(axis=0), points[3:].mean(axis=0)
    across, height = points[1, 0] - points[0, 0], mouth[1] - eyes[1]
    middle = eyes + 0.52 * (mouth - eyes)
    y, x = np.mgrid[:size, :size].astype(np.float32)
    away = np.hypot((x - middle[0]) / (1.25 * across), (y - middle[1]) / (1.25 * height))
    return np.asarray(np.clip((1.0 - away) * 6.0, 0.0, 1.0), np.float32)


def _inside(size: int) -> Image:
    """Return 1 inside a square and a ramp to 0 at its border."""
    steps = np.arange(size) + 0.5
    ramp = np.clip(np.minimum(steps, steps[::-1]) / (_RIM * size), 0.0, 1.0)
    return np.outer(ramp, ramp).astype(np.float32)
