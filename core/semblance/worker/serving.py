"""What a job does: a request's numbers and pixels to a plate, the frame path, and back.

A host gives pixels with y up at its render scale; the frame path takes a plate with y down. The
track is of the full resolution. `_Placement` is the one place that knows both.

The frame path is `pipeline.render`, with the same arguments that `semblance apply` gives it for a
file of the same pixels, so its result has the same bits.
"""

from __future__ import annotations

import math
import os
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass, replace
from datetime import date
from functools import lru_cache
from pathlib import Path
from typing import Any, TypeVar

import cv2
import numpy as np
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from numpy.typing import NDArray

from semblance import colour, pipeline, provenance, release
from semblance.cache import StageCache
from semblance.errors import KnobError, PlateError, frame_context
from semblance.face import Face, Roto, Track
from semblance.knobs import Knobs, stage_key
from semblance.model import Likeness, Manifest, read_manifest, sha256_of
from semblance.plate import Plate, Window
from semblance.roto import Shapes, load_shapes, rasterise
from semblance.track.analyse import find_faces
from semblance.track.head import head_pose
from semblance.track.imported import import_track
from semblance.track.provider import FaceProvider, open_provider
from semblance.track.smooth import smooth
from semblance.worker.jobs import Stale
from semblance.worker.protocol import Plan, Rectangle, Region, Render, blocks

__all__ = ["Rendered", "Renderer"]

Image = NDArray[np.float32]
Made = TypeVar("Made")

_NOWHERE = Window(0, 0, 0, 0)
_MODELS = 4
"""Likenesses that stay open."""

_TRACKS = 16
_SHAPES = 4
_LARGEST = 1 << 15
"""Longest side of a display window, in pixels."""

_SLATED = 1 << 26
"""Most pixels of a plate for which it is worth while to find out where its slate lies."""

_NONCE = bytes(12)
_PIECE = 1 << 30
"""Bytes that are authenticated at once; the library takes less than twice as many."""


@dataclass(frozen=True)
class Rendered:
    """A finished job.

    Parameters
    ----------
    changed : Rectangle
        What differs from Source or may.
    note : str
        What a person should know.
    pipeline_ms, pixels_ms : float
        As `protocol.Done` has them.
    stages : mapping of str to float
        Milliseconds of each stage of the frame path.
    """

    changed: Rectangle
    note: str
    pipeline_ms: float
    pixels_ms: float
    stages: Mapping[str, float]


@dataclass(frozen=True)
class _Placement:
    """Where a host's pixels lie in the plate.

    Parameters
    ----------
    left, top : int
        The host's column that is the plate's column 0, and the host's row above the plate's row 0.
    display : Window
        The display window at the render scale.
    size : (int, int)
        Its width and height at the full resolution.
    scale, shift : (float, float)
        Landmarks of the track, in pixels of the full resolution, to pixels of the plate.
    pixel_aspect : float
        At the render scale.
    """

    left: int
    top: int
    display: Window
    size: tuple[int, int]
    scale: tuple[float, float]
    shift: tuple[float, float]
    pixel_aspect: float

    @classmethod
    def of(cls, asked: Plan) -> _Placement:
        x1, y1, x2, y2 = asked.display
        x1, x2 = x1 / asked.pixel_aspect, x2 / asked.pixel_aspect
        scale_x, scale_y = asked.scale
        # Hosts round what they have scaled; a thousandth of a pixel is none.
        left, right = math.floor(x1 * scale_x + 1e-3), math.ceil(x2 * scale_x - 1e-3)
        low, top = math.floor(y1 * scale_y + 1e-3), math.ceil(y2 * scale_y - 1e-3)
        return cls(
            left=left,
            top=top,
            display=Window(0, 0, max(right - left, 1), max(top - low, 1)),
            size=(max(round(x2 - x1), 1), max(round(y2 - y1), 1)),
            scale=asked.scale,
            shift=(x1 * scale_x - left, top - y2 * scale_y),
            pixel_aspect=asked.pixel_aspect * scale_y / scale_x,
        )

    def window(self, there: Rectangle) -> Window:
        x1, y1, x2, y2 = there
        return Window(x1 - self.left, self.top - y2, x2 - self.left, self.top - y1)

    def rectangle(self, window: Window) -> Rectangle:
        if window.empty:
            return (0, 0, 0, 0)
        return (
            window.x0 + self.left,
            self.top - window.y1,
            window.x1 + self.left,
            self.top - window.y0,
        )

    def face(self, face: Face) -> Face:
        if self.scale == (1.0, 1.0) and self.shift == (0.0, 0.0):
            return face
        return replace(face, landmarks=face.landmarks * self.scale + self.shift)


@dataclass(frozen=True)
class _Planned:
    """What is known of a frame before its pixels are."""

    frame: int
    placed: _Placement
    source: Window
    wanted: Window
    sha256: str
    slate: str
    needed: Window
    face: Face | None
    stops: float | None
    note: str


class Renderer:
    """Plans and renders frames, for any number of hosts. May be used from several threads.

    Parameters
    ----------
    cache_mb : float
        Memory for what the stages made, in MiB.
    provider : str
        What computes: `auto`, `cpu`, `cuda` or `tensorrt`.
    trust : tuple of Path
        Keys that may release, beside the user's own.
    production : str, optional
        The production in work.
    """

    def __init__(
        self,
        *,
        cache_mb: float,
        provider: str = "auto",
        trust: tuple[Path, ...] = (),
        production: str | None = None,
    ) -> None:
        self._cache_mb = cache_mb
        self._cache = StageCache(cache_mb)
        self._models = _Models(provider)
        self._tracks = _Kept(_TRACKS)
        self._shapes = _Kept(_SHAPES)
        self._verdicts = _Kept(_MODELS)
        self._trust = trust
        self._production = production
        # Names pixels by their content; nobody sees a name, so a key of this process is enough.
        self._named = AESGCM.generate_key(128)
        self._finder: FaceProvider | None = None

    def plan(self, asked: Plan, knobs: Knobs) -> Region:
        """Say which pixels a frame needs, without any.

        Raises
        ------
        InputError, EnvironmentFault
            The frame can't be rendered: no model, no track, another plate's.
        """
        planned = self._plan(asked, knobs)
        there = planned.placed.rectangle(planned.needed)
        mask = bool(asked.mask) and not planned.needed.empty
        size, _ = blocks(there, mask=mask)
        return Region(there, int(mask), size, planned.note if planned.needed.empty else "")

    def is_open(self, knobs: Knobs) -> bool:
        """Return whether a frame would find its model open."""
        return self._models.is_open(knobs)

    def open(self, knobs: Knobs) -> None:
        """Open the model that a frame will need.

        Raises
        ------
        ModelError, ProviderError
            As the frame would.
        """
        self._models.open(knobs.model.model)

    def render(
        self,
        asked: Render,
        knobs: Knobs,
        slot: memoryview,
        cancel: Callable[[], bool] = lambda: False,
    ) -> Rendered:
        """Render a frame whose pixels lie in a slot, and put the result there.

        Parameters
        ----------
        asked : Render
            The request, its blocks inside the slot.
        knobs : Knobs
            The request's.
        slot : memoryview
            The slot's bytes; of the result's block what changed is written, and nothing else.
        cancel : callable
            Polled between stages.

        Raises
        ------
        Stale
            Model, track or release changed since the frame was planned.
        Cancelled
            `cancel` returned true.
        InputError, EnvironmentFault
            The frame can't be rendered.
        """
        planned = self._plan(asked, knobs)
        filled = planned.placed.window(asked.filled)
        if planned.needed.empty:
            return Rendered((0, 0, 0, 0), planned.note, 0.0, 0.0, {})
        if not filled.contains(planned.needed):
            raise Stale
        likeness = self._models.open(knobs.model.model)
        if likeness.sha256 != planned.sha256:
            raise Stale
        begun = time.perf_counter()
        plate, alpha, source = self._plate(asked, planned, filled, slot)
        given = _roto(asked, filled, slot)
        taken = time.perf_counter()
        with frame_context(planned.frame):
            face, stops, note = self._face(planned, plate, source, knobs)
            roto = given
            if face is not None:
                region = pipeline.region(face, planned.placed.pixel_aspect, likeness)
                roto = self._drawn(planned, region.intersection(filled), given, knobs)
            result = pipeline.render(
                plate,
                face,
                likeness,
                knobs,
                stops=stops,
                frame=planned.frame,
                roto=roto,
                cache=self._cache,
                source=source,
                cancel=cancel,
            )
        finished, changed = result.plate, result.statistics.window or _NOWHERE
        notes = [planned.note, note, likeness.notice]
        if planned.slate and result.statistics.found:
            finished = provenance.burn_in(finished, planned.slate)
            changed = _around(changed, _slate_window(planned.slate, plate))
            notes.append(f"{planned.slate}: frames carry a slate that says so.")
        if knobs.view.view != "result":
            changed = filled
        changed = changed.intersection(planned.wanted).intersection(filled)
        made = time.perf_counter()
        if not changed.empty:
            _put(asked, finished, alpha, filled, changed, slot)
        ended = time.perf_counter()
        return Rendered(
            planned.placed.rectangle(changed),
            " ".join(filter(None, notes)),
            1000.0 * (made - taken),
            1000.0 * (taken - begun + ended - made),
            result.statistics.milliseconds,
        )

    def relieve(self) -> None:
        """Let go of all that is only kept to be quick."""
        self._cache = StageCache(self._cache_mb)

    # ------------------------------------------------------------------------------- planning

    def _plan(self, asked: Plan, knobs: Knobs) -> _Planned:
        frame = math.floor(asked.time + 0.5)
        with frame_context(frame):
            placed = _Placement.of(asked)
            if max(placed.display.width, placed.display.height) > _LARGEST:
                raise PlateError(
                    f"the display window has {placed.display.width} × {placed.display.height} "
                    f"pixels, the most is {_LARGEST} either way",
                    "Reformat the plate.",
                )
            model = self._models.look(knobs)
            source, wanted = placed.window(asked.bounds), placed.window(asked.window)
            face, stops = None, None
            if knobs.track.track_file:
                face, stops = self._tracked(knobs, placed, asked.pixel_aspect, frame)
            if knobs.mask.roto_file:
                self._shapes_of(knobs, placed)
            verdict = self._verdict(knobs, model)
        slate, needed, note = verdict.slate, source, ""
        if source.intersection(wanted).empty:
            needed = _NOWHERE
        elif knobs.track.track_file and face is None:
            note = f"frame {frame}: no face in {knobs.track.track_file}: the plate passes."
            needed = _NOWHERE if knobs.view.view == "result" else source
        elif face is not None and knobs.view.view == "result":
            region = pipeline.region(face, placed.pixel_aspect, model.manifest)
            needed = region.intersection(source)
        note = " ".join(filter(None, (*(f"{each}." for each in verdict.warnings), note)))
        planned = _Planned(
            frame, placed, source, wanted, model.sha256, slate, needed, face, stops, note
        )
        return _with_slate(planned) if slate else _if_seen(planned)

    def _verdict(self, knobs: Knobs, model: _Model) -> release.Verdict:
        path, today = Path(knobs.model.model), date.today()
        stamps = tuple(_stamps(each) for each in release.watched(path, self._trust))
        return self._verdicts.get(
            (path, model.sha256, today, stamps),
            lambda: release.check(path, model.sha256, None, self._production, self._trust, today),
        )

    def _tracked(
        self, knobs: Knobs, placed: _Placement, pixel_aspect: float, frame: int
    ) -> tuple[Face | None, float | None]:
        """Return the face of a frame by the track, and the shot's exposure."""
        path, number = Path(knobs.track.track_file), knobs.model.face
        stamp = _stamp(path)
        key = (str(path), stamp, number, placed.size, pixel_aspect)

        def load() -> tuple[Track, float | None]:
            track = import_track(path, size=placed.size, pixel_aspect=pixel_aspect, face=number)
            lumas = [face.luma for face in track.faces.values() if face.luma is not None]
            return track, colour.auto_stops(lumas) if lumas else None

        track, stops = self._tracks.get(key, load)
        sigma = knobs.track.smoothing
        smoothed = self._tracks.get((*key, sigma), lambda: smooth(track, sigma))
        face = smoothed.faces.get(frame)
        return None if face is None else placed.face(face), stops

    def _shapes_of(self, knobs: Knobs, placed: _Placement) -> tuple[Shapes, str]:
        """Return the shapes of a file that is as it is now, and their name."""
        path = Path(knobs.mask.roto_file)
        key = (str(path), _stamp(path), placed.size)
        return self._shapes.get(key, lambda: load_shapes(path, size=placed.size)), repr(key)

    # ------------------------------------------------------------------------------ rendering

    def _drawn(
        self, planned: _Planned, window: Window, given: Roto | None, knobs: Knobs
    ) -> Roto | None:
        """Return the roto around a face: what a host gives, and the shapes drawn onto it."""
        if not knobs.mask.roto_file:
            return given
        placed = planned.placed
        shapes, name = self._shapes_of(knobs, placed)

        def draw() -> Roto | None:
            return rasterise(
                shapes,
                planned.frame,
                window,
                onto=given,
                pixel_aspect=placed.pixel_aspect * placed.scale[0] / placed.scale[1],
                scale=placed.scale,
                shift=placed.shift,
            )

        if given is not None:  # the pixels of a slot have no name
            return draw()
        return self._cache.get(f"roto {name} {planned.frame} {window} {placed}", draw)

    def _plate(
        self, asked: Render, planned: _Planned, filled: Window, slot: memoryview
    ) -> tuple[Plate, Image, str]:
        """Return the pixels as a plate, their alpha, and their name.

        Pixels that are known by their name are not taken again. Others are copied, and the copy is
        named too: a client that breaks off and fills the slot anew can spoil its own frame, but
        never what is kept under a name.
        """
        pixels = _block(slot, asked.offsets[0], filled, 4)
        name = f"{self._name(pixels)} {filled.width}"

        def take() -> tuple[Image, ...]:
            own = pixels.copy()
            if f"{self._name(own)} {filled.width}" != name:
                raise Stale
            planes = tuple(np.asarray(each, np.float32) for each in cv2.split(own))
            for each in planes:
                each.flags.writeable = False
            return planes

        planes = self._cache.get(f"pixels {name}", take)
        channels: dict[str, NDArray[Any]] = dict(zip("RGB", planes, strict=False))
        opaque = not (asked.premultiplied and asked.components == 4) or bool((planes[3] == 1).all())
        if not opaque:
            channels["A"] = planes[3]
        plate = Plate(
            channels,
            planned.source,
            planned.placed.display,
            alpha=None if opaque else "A",
            pixel_aspect=planned.placed.pixel_aspect,
            region=filled,
        )
        return plate, planes[3], f"{name} {filled} {plate.alpha} {plate.pixel_aspect}"

    def _name(self, pixels: Image) -> str:
        """Name pixels by their content, so that no two contents ever share a name.

        A GMAC (NIST SP 800-38D) under a key of this process: two pictures of n blocks have the
        same one with a chance of n / 2^128. No other hash at hand reads 20 GB a second.
        """
        cipher = AESGCM(self._named)
        octets = pixels.data.cast("B")
        pieces = range(0, len(octets), _PIECE)
        tags = (cipher.encrypt(_NONCE, b"", octets[at : at + _PIECE]) for at in pieces)
        return b"".join(tags).hex()

    def _face(
        self, planned: _Planned, plate: Plate, source: str, knobs: Knobs
    ) -> tuple[Face | None, float, str]:
        """Return the frame's face, the exposure, and what a person should know of them."""
        if not knobs.track.track_file:
            key = stage_key(f"found {source} {knobs.model.face}", knobs.colour)
            faces = self._cache.get(key, lambda: self._find(plate, knobs))
            if not faces:
                return None, 0.0, f"frame {planned.frame}: no face was found: the plate passes."
            track = Track({0: faces[0]}, (plate.display_window.width, plate.display_window.height))
            face = smooth(track, knobs.track.smoothing).faces[0]
            stops = colour.auto_stops([] if faces[0].luma is None else [faces[0].luma])
            return face, stops, ""
        if planned.face is None or planned.stops is not None:
            return planned.face, planned.stops or 0.0, ""
        luma = pipeline.face_luma(plate, planned.face, knobs.colour)
        return (
            planned.face,
            colour.auto_stops([] if luma is None else [luma]),
            "The track holds no luma, so each frame is exposed by itself; tracking the plate with "
            "semblance track holds it steady.",
        )

    def _find(self, plate: Plate, knobs: Knobs) -> tuple[Face, ...]:
        """Find the face of the knob's number, by size, as the first frame of a track would."""
        if self._finder is None:
            self._finder = open_provider()
        space = colour.resolve_space(knobs.colour.input_space, plate.metadata)
        linear = colour.to_linear(plate.picture(), space)
        found = find_faces(linear, plate.pixel_aspect, self._finder)
        by_size = sorted(found, key=lambda one: -float(np.linalg.norm(np.ptp(one.landmarks, 0))))
        chosen = by_size[knobs.model.face : knobs.model.face + 1]
        corner = np.array([plate.window.x0, plate.window.y0], np.float64)
        faces = []
        for one in chosen:
            points = np.asarray(one.landmarks, np.float64)
            yaw, pitch, roll = head_pose(points * (plate.pixel_aspect, 1.0))
            luma = colour.face_luma(linear, points)
            face = Face(points + corner, float(one.score), yaw, pitch, roll, luma, "native")
            faces.append(face)
        return tuple(faces)


# ------------------------------------------------------------------------------------- models


@dataclass(frozen=True)
class _Model:
    """A model file that was looked at and not loaded."""

    sha256: str
    manifest: Manifest


class _Models:
    """Likenesses by content. A file that changed is another one; a file that is gone is none."""

    def __init__(self, provider: str) -> None:
        self._provider = provider
        self._looked = _Kept(4 * _MODELS)
        self._open = _Kept(_MODELS)

    def look(self, knobs: Knobs) -> _Model:
        """Return what a model file says of itself, without loading it."""
        path, wanted = knobs.model.model, knobs.model.likeness
        if not path:
            raise KnobError("knob 'model' is empty", "Choose a likeness model (.onnx).")
        model = self._looked.get(
            (path, _stamp(Path(path))), lambda: _Model(sha256_of(path), read_manifest(path))
        )
        held = model.manifest.likeness
        if wanted not in ("", held):
            raise KnobError(
                f"knob 'likeness' is {wanted!r}, and {path} holds {held!r}",
                "Give that name, or leave it out.",
            )
        return model

    def is_open(self, knobs: Knobs) -> bool:
        """Return whether a model is loaded."""
        return self.look(knobs).sha256 in self._open

    def open(self, path: str) -> Likeness:
        """Return the likeness of a file, loaded on first use; an evicted one ends with its jobs."""
        model = self._looked.get(
            (path, _stamp(Path(path))), lambda: _Model(sha256_of(path), read_manifest(path))
        )

        def load() -> Likeness:
            likeness = Likeness.open(path, self._provider)
            if likeness.sha256 != model.sha256:
                raise Stale
            return likeness

        return self._open.get(model.sha256, load)


def _stamp(path: Path) -> tuple[int, ...]:
    """Return what changes when a file does; nothing where there is none (its reader says so)."""
    try:
        there = os.stat(path)
    except (OSError, ValueError):
        return ()
    return (
        there.st_dev,
        there.st_ino,
        there.st_size,
        there.st_mtime_ns,
        there.st_ctime_ns,
    )


def _stamps(path: Path) -> tuple[tuple[int, ...], ...]:
    """Return the stamps of a file, or of a folder and all that lies in it."""
    own = _stamp(path)
    if not own or not path.is_dir():
        return (own,)
    try:
        return (own, *(_stamp(each) for each in sorted(path.iterdir())))
    except OSError:
        return (own,)


class _Kept:
    """The last few things that were made, by key. What raises is not kept."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._things: OrderedDict[Hashable, Any] = OrderedDict()
        self._lock = threading.RLock()

    def __contains__(self, key: Hashable) -> bool:
        return key in self._things

    def get(self, key: Hashable, make: Callable[[], Made]) -> Made:
        with self._lock:
            if key not in self._things:
                self._things[key] = make()
                while len(self._things) > self._most:
                    self._things.popitem(last=False)
            self._things.move_to_end(key)
            made: Made = self._things[key]
            return made


# ------------------------------------------------------------------------------------- pixels


def _block(slot: memoryview, offset: int, window: Window, channels: int) -> Image:
    """Return a block of a slot as (h, w, channels), or (h, w) for one."""
    count = window.width * window.height * channels
    flat = np.frombuffer(slot, np.float32, count, offset)
    shape = (window.height, window.width, channels)
    return flat.reshape(shape if channels > 1 else shape[:2])


def _roto(asked: Render, filled: Window, slot: memoryview) -> Roto | None:
    """Return the artist's matte, held as `exr.read_roto` holds it."""
    if asked.offsets[1] == -1:
        return None
    drawn = np.nan_to_num(_block(slot, asked.offsets[1], filled, 1), posinf=1.0, neginf=0.0)
    return Roto(np.clip(drawn, 0.0, 1.0), filled)


def _put(
    asked: Render,
    finished: Plate,
    alpha: Image,
    filled: Window,
    changed: Window,
    slot: memoryview,
) -> None:
    """Write what changed into the result's block, with Source's own alpha."""
    result = _block(slot, asked.offsets[2], filled, 4)[changed.slices(filled)]
    inside = changed.slices(filled)
    planes = [finished.channels[name][inside] for name in finished.rgb]
    cv2.merge([*planes, alpha[inside]], dst=result)


def _if_seen(planned: _Planned) -> _Planned:
    """Ask for no pixels where none of those that may change is wanted."""
    away = planned.needed.intersection(planned.wanted).empty
    return replace(planned, needed=_NOWHERE) if away else planned


def _with_slate(planned: _Planned) -> _Planned:
    """Ask for the pixels under the slate too, where there is a face to warn of."""
    if planned.needed.empty or planned.needed == planned.source:
        return planned
    window = _slate_box(
        planned.slate, planned.source, planned.placed.display, planned.placed.pixel_aspect
    )
    return _if_seen(replace(planned, needed=_around(planned.needed, window)))


def _around(one: Window, other: Window) -> Window:
    """Return the smallest window that holds both."""
    if one.empty or other.empty:
        return other if one.empty else one
    return Window(
        min(one.x0, other.x0), min(one.y0, other.y0), max(one.x1, other.x1), max(one.y1, other.y1)
    )


def _slate_window(slate: str, plate: Plate) -> Window:
    return _slate_box(slate, plate.data_window, plate.display_window, plate.pixel_aspect)


@lru_cache(maxsize=16)
def _slate_box(slate: str, data: Window, display: Window, pixel_aspect: float) -> Window:
    """Return where a slate is burnt in: what of a black plate is not black with it."""
    area = display.intersection(data)
    area = data if area.empty else area
    if area.width * area.height > _SLATED:
        return data
    black = {"Y": np.zeros((area.height, area.width), np.float16)}
    plate = Plate(black, area, display, rgb=("Y", "Y", "Y"), pixel_aspect=pixel_aspect)
    lit = provenance.burn_in(plate, slate).channels["Y"] != 0
    rows, columns = np.flatnonzero(lit.any(axis=1)), np.flatnonzero(lit.any(axis=0))
    if rows.size == 0:
        return _NOWHERE
    return Window(
        area.x0 + int(columns[0]),
        area.y0 + int(rows[0]),
        area.x0 + int(columns[-1]) + 1,
        area.y0 + int(rows[-1]) + 1,
    )
