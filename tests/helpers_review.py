"""A small shot that was rendered for real, to be reviewed."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from conftest import Painter, a_face, a_plate
from semblance import exr, provenance, review, shot
from semblance.face import Track
from semblance.knobs import Knobs

FRAMES = tuple(range(1001, 1009))


@dataclass(frozen=True)
class Verdict:
    valid: bool = True
    reason: str = "released"
    release_id: str = "SR-1"
    rights_holder: str = "Kestrel Estate"


def a_track(frames: tuple[int, ...] = FRAMES) -> Track:
    faces = {frame: a_face((58.0 + 0.5 * (frame - 1001), 45.0)) for frame in frames}
    return Track(faces, (120, 90), frames=FRAMES)


def rendered(
    folder: Path, *, frames: tuple[int, ...] = FRAMES, verdict: Verdict | None = None, **knobs: Any
) -> review.Material:
    """Write plates and results of a shot into a folder."""
    verdict = verdict or Verdict()
    plates = exr.Sequence.parse(folder / "plate.####.exr")
    results = exr.Sequence.parse(folder / "out" / "result.####.exr")
    folder.mkdir(parents=True, exist_ok=True)
    for frame in frames:
        if not plates.path(frame).exists():
            exr.write_plate(a_plate(seed=frame, highlight=0.0), plates.path(frame))
    network, track = Painter(), a_track()
    held = Knobs.from_flat({"mask_occlusion": 0.0, **knobs})
    shot.apply(
        plates,
        results,
        frames,
        track=track,
        likeness=network,
        knobs=lambda frame: held,
        marks=lambda frame, knobs, plate: provenance.marks(
            "tiny", network.sha256, verdict, knobs.changed(), frame, "0", plate.metadata
        ),
        slate="" if verdict.valid else verdict.reason,
    )
    return review.Material(plates, results, track, network, 0.0)


def damaged(folder: Path) -> review.Material:
    """Write a shot in which a good deal went wrong."""
    material = rendered(folder)
    rendered(folder, frames=(1006,), verdict=Verdict(False, "the release has ended"))
    material.results.path(1002).unlink()
    torn = material.results.path(1003)
    torn.write_bytes(torn.read_bytes()[:2000])
    exr.write_plate(a_plate(seed=77, highlight=0.0), material.plates.path(1004))
    exr.write_plate(a_plate(seed=1005, highlight=0.0), material.results.path(1005))
    faces = {frame: face for frame, face in material.track.faces.items() if frame != 1008}
    faces[1007] = replace(faces[1007], score=0.3)
    return replace(material, track=replace(material.track, faces=faces))
