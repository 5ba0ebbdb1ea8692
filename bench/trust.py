"""What do signatures cost, and what do they notice? Signing and checking against rendering.

    python bench/trust.py
    python bench/trust.py --frames 12 --flips 31000 --folder /mnt/plates

A shot of 4096 × 2160 is made and rendered as in `bench/shot.py`, with the example likeness and its
release; then its frames are listed and signed, signed one by one, and checked. Every time stands
beside the render's wall time for a frame. The goal is a tenth of it, for signing and checking
together.

Then single bits are changed in a signed PNG, in the credential of the shot, in its list and in a
frame, spread evenly over each file, and every one of them has to be noticed. With as many flips as
a file has bytes, every byte is tried.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections.abc import Callable
from datetime import date
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from semblance import credentials, provenance, release, sealing, shot, verification
from semblance.credentials import Claim, Signer
from semblance.errors import CredentialError
from semblance.exr import Sequence
from semblance.knobs import Knobs
from semblance.model import Likeness
from semblance.track.file import load_track
from semblance.verification import Judge
from shot import EXAMPLES, HEIGHT, WIDTH, enlarged, placed, write_plates

GOAL = 0.1


def timed(does: Callable[[], object]) -> float:
    """Return the seconds that a call takes."""
    begun = time.perf_counter()
    does()
    return time.perf_counter() - begun


def render(folder: Path, frames: int) -> tuple[Sequence, release.Verdict, float]:
    """Render a shot; return its frames, its release, and seconds of wall time."""
    example_track = load_track(EXAMPLES / "track.json")
    way = placed(example_track)
    track = enlarged(example_track, way, frames)
    plates = write_plates(folder, example_track, way, frames)
    output = Sequence.parse(folder / "out" / "result.####.exr")
    model = EXAMPLES / "likeness.onnx"
    with Likeness.open(model, "cpu") as likeness:
        document = release.default_release_path(model)
        trust = [EXAMPLES / "trust"]
        verdict = release.verify(document, likeness.sha256, date.today(), None, trust)
        summary = shot.apply(
            plates,
            output,
            track.frames,
            track=track,
            likeness=likeness,
            knobs=lambda frame: Knobs(),
            marks=lambda frame, knobs, plate: provenance.marks(
                likeness.name,
                likeness.sha256,
                verdict,
                knobs.changed(),
                frame,
                "bench",
                plate.metadata,
            ),
            slate=verdict.slate,
        )
    if summary.failed:
        raise SystemExit(f"frames failed: {summary.to_json()}")
    return output, verdict, summary.seconds


def a_signer(folder: Path) -> Signer:
    """Return a signer with a test certificate."""
    made = credentials.test_certificate()
    (folder / "chain.pem").write_text(made.chain)
    (folder / "key.pem").write_text(made.key)
    return credentials.load_signer(folder / "chain.pem", folder / "key.pem")


def checked(folder: Path) -> bool:
    """Return whether a check of a folder finds nothing wrong."""
    found = list(verification.verify([folder], Judge()))
    return bool(found) and all(each.good for each in found)


def is_whole(path: Path, sidecar: Path | None) -> bool:
    """Return whether a credential holds for its file."""
    try:
        found = credentials.read_credential(path, sidecar)
    except CredentialError:
        return False
    return found is not None and found.intact


def missed(path: Path, flips: int, holds: Callable[[], bool]) -> tuple[int, int]:
    """Return how many bits of a file were changed, one at a time, and how many went unnoticed."""
    before = path.read_bytes()
    places = np.unique(np.linspace(0, len(before) - 1, min(flips, len(before))).astype(int))
    unseen = 0
    with path.open("r+b", buffering=0) as file:
        for at in places.tolist():
            file.seek(at)
            file.write(bytes([before[at] ^ 1 << at % 8]))
            unseen += holds()
            file.seek(at)
            file.write(before[at : at + 1])
    return len(places), unseen


def costs(folder: Path, frames: int) -> Sequence:
    """Render, sign and check a shot, and print what each takes."""
    output, verdict, rendering = render(folder, frames)
    signer = a_signer(folder)
    on_file = sealing.on_file(verdict, release.default_release_path(EXAMPLES / "likeness.onnx"))
    size = sum(output.path(frame).stat().st_size for frame in output.frames()) / frames / 1e6
    print(
        f"{frames} frames of {WIDTH} × {HEIGHT}, {size:.0f} MB each; {os.cpu_count()} cores, "
        f"OMP_NUM_THREADS={os.environ.get('OMP_NUM_THREADS', 'not set')}; C2PA library "
        f"{credentials.library_version()}\n\n| | ms a frame | of rendering | goal |\n"
        "| --- | --: | --: | --- |"
    )

    def row(name: str, seconds: float, goal: str = "") -> None:
        ratio = seconds / rendering
        print(f"| {name} | {1000 * seconds / frames:.1f} | {ratio:.3f} | {goal} |", flush=True)

    row("rendering", rendering)
    signing = timed(lambda: sealing.seal_frames(output, signer, on_file))
    row("sign the shot by a list", signing)
    checking = timed(lambda: checked(output.folder))
    row("check the shot", checking)
    row("**both**", signing + checking, f"≤ {GOAL}")
    row("sign every frame by itself", timed(lambda: sealing.seal_each(output, signer, on_file)))
    print()
    return output


def noticed(folder: Path, output: Sequence, flips: int) -> None:
    """Change single bits of everything that is signed, and print how many were noticed."""
    signer = a_signer(folder)
    plain, picture = folder / "plain.png", folder / "signed.png"
    noise = np.random.default_rng(1).integers(0, 256, (32, 32, 3), dtype=np.uint8)
    Image.fromarray(noise).save(plain)
    credentials.sign_media(plain, picture, signer, Claim(picture.name, "bench", (), None, "none"))
    listing, sidecar = credentials.list_paths(output.folder, output.head, output.tail)
    frame = output.path(output.frames()[0])
    for each in output.folder.glob("*.c2pa"):
        if each != sidecar:
            each.unlink()  # the frame is to be checked by its list
    cases: list[tuple[str, Path, int, Callable[[], bool]]] = [
        ("signed PNG", picture, flips, lambda: is_whole(picture, None)),
        ("credential of the shot", sidecar, flips, lambda: is_whole(listing, sidecar)),
        ("list of the shot", listing, flips // 4, lambda: is_whole(listing, sidecar)),
        ("frame", frame, flips // 40,
         lambda: all(each.good for each in verification.verify([frame], Judge()))),
    ]  # fmt: skip
    print("| a bit changed in | bytes | tried | unnoticed |\n| --- | --: | --: | --: |")
    for name, path, count, holds in cases:
        if not holds():
            raise SystemExit(f"{path} does not hold as it is")
        tried, unseen = missed(path, count, holds)
        print(f"| {name} | {path.stat().st_size} | {tried} | **{unseen}** |", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--frames", type=int, default=4, help="length of the shot")
    parser.add_argument("--flips", type=int, default=2000, help="bits that are changed in a file")
    parser.add_argument("--folder", type=Path, help="where the files are written")
    options = parser.parse_args()
    cv2.setNumThreads(1)
    with tempfile.TemporaryDirectory(dir=options.folder) as name:
        output = costs(Path(name), options.frames)
        noticed(Path(name), output, options.flips)


if __name__ == "__main__":
    main()
