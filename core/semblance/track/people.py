"""The people of a shot: who is followed, who is lost, and who is who after a cut.

Within a take a face is followed from frame to frame and found again near where it was last.
Nothing is known of places across a cut: there people are told apart by their looks, and one who
looks like nobody is somebody new. A face that is not there is a gap; nothing is made up for it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

import numpy as np
from numpy.typing import NDArray

from semblance.colour import face_luma
from semblance.errors import TrackError
from semblance.face import Face
from semblance.plate import Plate
from semblance.track.flow import carried
from semblance.track.head import head_pose
from semblance.track.look import Look, alike, look_of
from semblance.track.provider import Detection, FaceProvider
from semblance.track.view import View, distance, find_faces, size_of, stops_of

__all__ = ["Cast", "Choice"]

Pixels = NDArray[np.float32]
Points = NDArray[np.float64]

REACH: Final = 0.6
"""Face sizes (see `size_of`) that a face may move from one frame to the next."""

GROWTH: Final = 1.35
"""Factor by which a face's size may change from one frame to the next."""

SAME: Final = 0.45
"""How alike two looks of one person are, at least, in two takes."""

CLEARER: Final = 0.08
"""How much more alike somebody else must be for a face near the lost one not to be theirs."""

SAME_PLACE: Final = 0.3
"""Of a face's size: two faces that lie nearer than this are one."""

LOOKS: Final = 16
"""Looks of one person that are remembered, of different turns of the head and lights."""

NEW_LOOK: Final = 0.9
"""How alike a look may be to those remembered and still be remembered too."""

EVERY: Final = 4
"""Frames from one look to the next at somebody who is followed."""

NOTICE: Final = 12
"""Frames after which newcomers are looked for, where everyone is followed."""

PATIENCE: Final = 48
"""Frames for which a lost person is looked for in each; after that in each sixth."""


@dataclass(frozen=True)
class Choice:
    """Whom to follow; without anything else, one face by its size.

    Parameters
    ----------
    number : int
        By size in the first frame that holds so many faces: 0 is the largest.
    at : (float, float), optional
        A place in the plate (pixels of its windows, y down) on the face, in the first frame that
        is shown to the cast.
    like : Look, optional
        Of a reference picture: the first face that is like it.
    everyone : bool
        All faces.
    """

    number: int = 0
    at: tuple[float, float] | None = None
    like: Look | None = None
    everyone: bool = False


@dataclass
class _Person:
    """One person, as far as the shot has been looked at."""

    number: int
    wanted: bool = False
    looks: list[Look] = field(default_factory=list)
    last: Points | None = None  # landmarks in the windows' pixel space; None after a cut
    stops: float | None = None  # that the last face asked for
    seen: int = 0  # the frame that the last face is of
    lost: bool = False  # whether it was not there in the frame before
    looked: int | None = None  # the frame of the last look

    def likeness(self, look: Look) -> float:
        return max((alike(look, each) for each in self.looks), default=0.0)

    def remember(self, look: Look, frame: int) -> None:
        self.looked = frame
        if len(self.looks) < LOOKS and self.likeness(look) < NEW_LOOK:
            self.looks.append(look)


class _Scene:
    """One frame as the cast sees it, with every look taken once."""

    def __init__(self, frame: int, linear: Pixels, plate: Plate, before: Pixels | None) -> None:
        self.frame = frame
        self.linear = linear
        self.before = before
        self.aspect = plate.pixel_aspect
        self.origin = np.array([plate.data_window.x0, plate.data_window.y0], np.float64)
        self._looks: dict[int, tuple[Detection, Look]] = {}

    def look(self, face: Detection) -> Look:
        known = self._looks.get(id(face))
        if known is None:
            known = self._looks[id(face)] = face, look_of(self.linear, face.landmarks)
        return known[1]


class Cast:
    """Everybody in a shot, shown to it frame by frame.

    Parameters
    ----------
    provider : FaceProvider
        What finds faces.
    choice : Choice
        Whom to follow.
    """

    def __init__(self, provider: FaceProvider, choice: Choice) -> None:
        self._provider = provider
        self._choice = choice
        self._people: list[_Person] = []
        self._before: tuple[int, Pixels] | None = None
        self._shown = 0
        self._begun: list[tuple[Points | None, float | None, int, bool]] = []

    def next(self, frame: int, linear: Pixels, plate: Plate, *, cut: bool) -> dict[int, Face]:
        """Return the faces that are followed, by their persons' numbers.

        Parameters
        ----------
        frame : int
            Its number; frames go by in either direction.
        linear : (h, w, 3) float32 array
            Scene-linear Rec.709.
        plate : Plate
            Where its pixels lie.
        cut : bool
            Whether it is of another take than the frame before.

        Raises
        ------
        TrackError
            There is no face at the place that was chosen.
        """
        if cut:
            for person in self._people:
                person.last, person.lost = None, True
        before = None
        if not cut and self._before is not None and self._before[1].shape == linear.shape:
            before = self._before[1]
        scene = _Scene(frame, linear, plate, before)
        held = self._followed(scene)
        if self._seeks(frame, held):
            found = find_faces(linear, scene.aspect, self._provider)
            held |= self._recognised(scene, found, held)
        self._shown += 1
        for person in self._people:
            person.lost = person.number not in held
        lumas = {n: face_luma(linear, each.landmarks) for n, each in held.items()}
        for number, face in held.items():
            self._note(self._people[number], scene, face, lumas[number])
        self._before = (frame, linear)
        if self._shown == 1:
            self._begun = [(p.last, p.stops, p.seen, p.lost) for p in self._people]
        return {
            number: self._face(scene, face, lumas[number])
            for number, face in sorted(held.items())
            if self._people[number].wanted
        }

    def rewind(self, linear: Pixels) -> None:
        """Stand again at the first frame that was shown, knowing what has been seen since."""
        for person in self._people:
            person.last, person.lost = None, True
        for person, kept in zip(self._people, self._begun, strict=False):
            person.last, person.stops, person.seen, person.lost = kept
        self._before = (0, linear)

    # ------------------------------------------------------------------------- within a take

    def _followed(self, scene: _Scene) -> dict[int, Detection]:
        """Look for those who were there in the frame before where they were then."""
        held: dict[int, Detection] = {}
        for person in self._people:
            if not person.wanted or person.lost or person.last is None or person.stops is None:
                continue
            face = self._follow(scene, person, person.last - scene.origin, person.stops)
            if face is None:
                continue
            rival = next((n for n, other in held.items() if _same_place(face, other)), None)
            if rival is not None:  # two have come together on one face: it is who looks like it
                look = scene.look(face)
                if self._people[rival].likeness(look) >= person.likeness(look):
                    continue
                del held[rival]
            held[person.number] = face
        return held

    def _follow(
        self, scene: _Scene, person: _Person, near: Points, stops: float
    ) -> Detection | None:
        """Look where the flow of the picture has carried the face, else where it was."""
        starts = [near]
        if scene.before is not None and scene.before.shape == scene.linear.shape:
            moved = carried(scene.before, scene.linear, near, stops)
            if moved is not None:
                starts.insert(0, moved)
        for start in starts:
            view = View.of(scene.linear, stops, scene.aspect, start)
            face = view.refine(self._provider, start)
            passed = abs(scene.frame - person.seen)
            if face is not None and _goes_on(near, face.landmarks, passed):
                return face
        return None

    # --------------------------------------------------------------------------- everywhere

    def _seeks(self, frame: int, held: dict[int, Detection]) -> bool:
        """Whether the whole picture must be searched."""
        wanted = [person for person in self._people if person.wanted]
        if not wanted:
            return True
        missing = [p for p in wanted if p.number not in held]
        if any(abs(frame - p.seen) <= PATIENCE or frame % 6 == 0 for p in missing):
            return True
        return self._choice.everyone and self._shown % NOTICE == 0

    def _recognised(
        self, scene: _Scene, found: tuple[Detection, ...], held: dict[int, Detection]
    ) -> dict[int, Detection]:
        """Give each face that was found to whom it belongs, or to somebody new."""
        free = [f for f in found if not any(_same_place(f, other) for other in held.values())]
        free.sort(key=lambda face: -size_of(face.landmarks))
        pairs = []
        for person in self._people:
            if person.number in held:
                continue
            for index, face in enumerate(free):
                cost = self._cost(scene, person, face)
                if cost is not None:
                    pairs.append((cost, person.number, index))
        given: dict[int, Detection] = {}
        taken: set[int] = set()
        for _, number, index in sorted(pairs):
            if number not in given and index not in taken:
                given[number] = free[index]
                taken.add(index)
        for index, face in enumerate(free):
            if index not in taken:
                person = _Person(len(self._people), wanted=self._choice.everyone)
                self._people.append(person)
                given[person.number] = face
        if not any(person.wanted for person in self._people):
            self._choose(scene, {**held, **given})
        return given

    def _cost(self, scene: _Scene, person: _Person, face: Detection) -> float | None:
        """Return how little a face speaks for a person; None where it can't be theirs."""
        look = scene.look(face)
        likeness = person.likeness(look)
        if person.last is None:
            return 1.0 - likeness if likeness >= SAME else None
        passed = abs(scene.frame - person.seen)
        near = person.last - scene.origin
        if not _goes_on(near, face.landmarks, passed):
            return None
        others = [p.likeness(look) for p in self._people if p is not person]
        if max(others, default=0.0) > likeness + CLEARER:
            return None
        return distance(near, face.landmarks) / (size_of(near) * passed) + 0.5 * (1.0 - likeness)

    def _choose(self, scene: _Scene, there: dict[int, Detection]) -> None:
        """Choose whom to follow among those who are there, if they are."""
        ranked = sorted(there, key=lambda number: -size_of(there[number].landmarks))
        chosen: int | None = None
        if self._choice.at is not None:
            chosen = next(
                (n for n in ranked if _contains(there[n], self._choice.at - scene.origin)), None
            )
            if chosen is None:
                x, y = self._choice.at
                places = ", ".join(
                    "({:.0f}, {:.0f})".format(*(there[n].landmarks.mean(0) + scene.origin))
                    for n in ranked
                )
                raise TrackError(
                    f"frame {scene.frame} shows no face at ({x:g}, {y:g}); "
                    f"faces were found at: {places or 'none'}",
                    "Give a place on the face, or another frame: --at X,Y@FRAME.",
                )
        elif self._choice.like is not None:
            wanted = self._choice.like
            likeness = {n: alike(wanted, scene.look(there[n])) for n in ranked}
            best = max(ranked, key=lambda n: likeness[n], default=None)
            chosen = best if best is not None and likeness[best] >= SAME else None
        elif self._choice.number < len(ranked):
            chosen = ranked[self._choice.number]
        if chosen is not None:
            self._people[chosen].wanted = True

    # ------------------------------------------------------------------------------- keeping

    def _note(self, person: _Person, scene: _Scene, face: Detection, level: float | None) -> None:
        local = np.asarray(face.landmarks, np.float64)
        person.seen = scene.frame
        person.last = local + scene.origin
        person.stops = stops_of(level)
        if person.looked is None or abs(scene.frame - person.looked) >= EVERY:
            person.remember(scene.look(face), scene.frame)

    def _face(self, scene: _Scene, found: Detection, level: float | None) -> Face:
        local = np.asarray(found.landmarks, np.float64)
        yaw, pitch, roll = head_pose(local * (scene.aspect, 1.0))
        return Face(
            landmarks=local + scene.origin,
            score=float(found.score),
            yaw=yaw,
            pitch=pitch,
            roll=roll,
            luma=level,
            source=self._provider.name,
        )


def _goes_on(before: NDArray[np.floating], after: NDArray[np.floating], frames: int) -> bool:
    """Whether a face may have come from one place to the other in so many frames."""
    frames = max(frames, 1)
    ratio = size_of(after) / max(size_of(before), 1e-6)
    limit = GROWTH ** min(frames, 24)
    near = distance(before, after) <= REACH * frames * size_of(before)
    return near and 1.0 / limit <= ratio <= limit


def _same_place(one: Detection, other: Detection) -> bool:
    return distance(one.landmarks, other.landmarks) < SAME_PLACE * size_of(one.landmarks)


def _contains(face: Detection, point: NDArray[np.float64]) -> bool:
    """Whether a point lies on a face or its forehead."""
    low, high = face.landmarks.min(0), face.landmarks.max(0)
    low = low - (0.1 * (high[0] - low[0]), 0.5 * (high[1] - low[1]))
    return bool((point >= low).all() and (point <= high).all())
