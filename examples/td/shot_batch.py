"""Render a list of shots by the Python API: track, check the release, apply, report.

::

    python examples/td/shot_batch.py examples/td/shots.json out/batch

The list is plain JSON. What every shot shares stands once, with ``${shot}``, ``${out}`` and
``${examples}`` where shots differ (`string.Template`). A preset is knobs by their names
(docs/knobs.md), a curve is ``{frame: value}``. A shot that is there already is not tracked again.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from string import Template
from typing import Any

import semblance as sb
from semblance import provenance, release

EXAMPLES = Path(__file__).resolve().parents[1]


def filled(value: Any, names: Mapping[str, str]) -> Any:
    """Return JSON with ``${name}`` filled in, in every text of it."""
    if isinstance(value, str):
        return Template(value).substitute(names)
    if isinstance(value, dict):
        return {key: filled(each, names) for key, each in value.items()}
    return value


def read_shots(path: Path, out: Path) -> dict[str, dict[str, Any]]:
    """Return the settings of every shot: what all share, then the shot's own."""
    given = json.loads(path.read_text(encoding="utf-8"))
    every = given["every"]
    shots = {}
    for name, own in given["shots"].items():
        preset = {**every["preset"], **own.get("preset", {})}
        names = {"shot": name, "out": out.as_posix(), "examples": EXAMPLES.as_posix()}
        shots[name] = filled({**every, **own, "preset": preset}, names)
    return shots


def render(settings: Mapping[str, Any]) -> sb.ShotSummary:
    """Render one shot.

    Raises
    ------
    SemblanceError
        In one sentence: what, where, expected against found, what to do.
    """
    plates = sb.Sequence.parse(settings["plate"])
    frames = tuple(range(settings["frames"][0], settings["frames"][1] + 1))
    knobs = sb.animate(settings["preset"])
    first = knobs(frames[0])
    track_file = Path(settings["track"])
    if track_file.exists():
        track = sb.load_track(track_file)
    else:
        track_file.parent.mkdir(parents=True, exist_ok=True)
        track = sb.track_shot(
            plates, frames, sb.open_provider("native"), first.colour,
            report=lambda frame, face: None, cancel=lambda: False,
        )  # fmt: skip
        sb.save_track(track, track_file)
    model = Path(first.model.model)
    with sb.Likeness.open(model) as likeness:
        verdict = release.check(
            model, likeness.sha256, trust=[EXAMPLES / "trust" / "kestrel-estate.pub"]
        )

        def marks(frame: int, of: sb.Knobs, plate: sb.Plate) -> Mapping[str, Any]:
            return provenance.marks(
                likeness.name, likeness.sha256, verdict, of.changed(), frame,
                version("semblance"), plate.metadata,
            )  # fmt: skip

        return sb.apply(
            plates, sb.Sequence.parse(settings["output"]), frames,
            track=track, likeness=likeness, knobs=knobs, marks=marks, slate=verdict.slate,
        )  # fmt: skip


def main(shots: str, out: str) -> int:
    """Render every shot; one that can't be rendered does not stop the others."""
    failed = 0
    for name, settings in read_shots(Path(shots), Path(out)).items():
        try:
            summary = render(settings)
        except sb.SemblanceError as error:
            print(f"{name}: {error}")
            failed += 1
            continue
        failed += bool(summary.failed)
        print(f"{name}: {summary.frames} frames, {summary.found} faces, {summary.seconds:.1f} s")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
