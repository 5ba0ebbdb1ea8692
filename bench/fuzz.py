"""Does a file from anyone do harm? Damaged and hostile EXR, JSON and ONNX files, by the thousand.

    python bench/fuzz.py                          # 10^5 files, on all cores
    python bench/fuzz.py --count 1000 --kinds exr onnx
    python bench/fuzz.py --count 1 --kinds exr --first 4711      # one again

Good files are damaged (bits, lengths, blocks, ends), and get hostile values in the right places.
Every damaged file is opened in a child process with limits on memory and file size. It may be taken
or refused in words. These are findings, and the exit code is then 1:

- crash: the process ended. hang: no answer for 10 s. error: an exception that is no refusal.
- reach: something was written, started or connected to outside the child's own folder.

Each file is known by kind and number, and is the same in each run. Markdown comes out, or JSON.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import resource
import select
import shutil
import subprocess
import sys
import tempfile
import time
import traceback
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "tests"))

from fuzz_files import KINDS, mutated  # noqa: E402, beside this file

HANG_SECONDS = 10.0
STARTING_SECONDS = 120.0
MEMORY = 6 << 30
LARGEST_FILE = 64 << 20
FAULTS = ("crash", "hang", "error", "reach")

Piece = tuple[str, int, int]
"""A kind, its first number and the one behind its last."""

# --- a child: opens files one after another, and says how it went -----------------------------


def fenced(folder: Path, reached: list[str]) -> None:
    """Note whatever this process writes, starts or connects to outside a folder."""
    inside = (str(folder.resolve()) + os.sep, "/dev/null")
    writing = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
    moving = {"os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.link", "os.symlink", "os.chmod"}
    never = {"subprocess.Popen", "os.system", "os.exec", "os.posix_spawn", "os.fork", "os.kill",
             "socket.connect", "socket.bind", "pickle.find_class"}  # fmt: skip

    def away(path: Any) -> bool:
        if not isinstance(path, (str, bytes, os.PathLike)):
            return False
        return not os.path.abspath(os.fsdecode(path)).startswith(inside)

    def hear(event: str, arguments: tuple[Any, ...]) -> None:
        written = event == "open" and (arguments[2] or 0) & writing and away(arguments[0])
        moved = event in moving and any(map(away, arguments[:2]))
        loads = event == "ctypes.dlopen" and arguments[0] is not None
        if written or moved or loads or event in never:
            reached.append(f"{event} {arguments[:2]!r}"[:300])

    sys.addaudithook(hear)


class Good:
    """The good files of a kind in a folder, of which one at a time is damaged."""

    def __init__(self, kind: str, seeds: Path, folder: Path) -> None:
        self._kind, self._folder, self.out = KINDS[kind], folder, folder / "out"
        self._name = kind
        shutil.copytree(seeds, folder)
        self._whole = {path: path.read_bytes() for path in sorted(folder.iterdir())}
        self._damaged: Path | None = None
        self._clear()
        for path in self._whole:  # a good file is taken; and all is loaded by then
            if path.suffix != ".pub":
                self._kind.open(path, self.out)

    def damage(self, number: int) -> Path:
        """Mend the last one, and damage another."""
        if self._damaged is not None:
            self._damaged.write_bytes(self._whole[self._damaged])
        self._clear()
        chance = random.Random(f"{self._name} {number}")
        path = chance.choice([path for path in self._whole if path.suffix != ".pub"])
        path.write_bytes(mutated(path, self._whole[path], chance))
        self._damaged = path
        return path

    def open(self, path: Path) -> None:
        self._kind.open(path, self.out)

    def _clear(self) -> None:
        shutil.rmtree(self.out, ignore_errors=True)
        self.out.mkdir()


def child(seeds: Path, folder: Path, pieces: list[Piece]) -> int:
    from semblance.errors import SemblanceError

    answers = os.dup(1)
    os.dup2(2, 1)  # libraries print what they think of a file

    def say(*words: Any) -> None:
        os.write(answers, json.dumps(words).encode() + b"\n")

    folder.mkdir()
    good = {kind: Good(kind, seeds / kind, folder / kind) for kind, _, _ in pieces}
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    resource.setrlimit(resource.RLIMIT_FSIZE, (LARGEST_FILE, LARGEST_FILE))
    reached: list[str] = []
    fenced(folder, reached)
    for kind, first, last in pieces:
        for number in range(first, last):
            path = good[kind].damage(number)
            reached.clear()
            say("begins", kind, number)
            try:
                good[kind].open(path)
                how, told = "taken", ""
            except SemblanceError as error:
                how, told = "refused", str(error)
                if not told.isprintable() or len(told) > 2000:
                    how = "error"
            except BaseException:  # noqa: BLE001, whatever it is, it is a finding
                how, told = "error", traceback.format_exc(limit=-4)
            if reached:
                how, told = "reach", "; ".join(reached)
            say("ended", kind, number, how, told)
    return 0


# --- the parent ------------------------------------------------------------------------------


@dataclass
class Tally:
    """How it went with the files of a kind."""

    counts: Counter[str] = field(default_factory=Counter)
    findings: list[dict[str, Any]] = field(default_factory=list)
    longest: float = 0.0

    def note(self, kind: str, number: int, how: str, told: str, seconds: float = 0.0) -> None:
        self.counts[how] += 1
        self.longest = max(self.longest, seconds)
        if how in FAULTS:
            self.findings.append({"kind": kind, "number": number, "how": how, "told": told})


class Watched:
    """A child at work on some files; it is started again behind one that ends it."""

    def __init__(
        self, work: Path, name: str, pieces: list[Piece], tallies: dict[str, Tally]
    ) -> None:
        self._work, self._name, self._pieces, self._tallies = work, name, pieces, tallies
        self._starts = 0
        self._start()

    def _start(self) -> None:
        self._folder = self._work / f"{self._name}-{self._starts}"
        self._starts += 1
        told = json.dumps([str(self._work), str(self._folder), self._pieces])
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115, closed with the child
        self._process = subprocess.Popen(
            [sys.executable, __file__, "--child", told],
            stdout=subprocess.PIPE,
            stderr=self._errors,
            env={**os.environ, "HOME": str(self._work / "home"), "OMP_NUM_THREADS": "1"},
        )
        assert self._process.stdout is not None
        self.pipe, self._rest = self._process.stdout.fileno(), b""
        self._since = time.monotonic()
        self._begun: tuple[str, int] | None = None

    def read(self) -> bool:
        """Take what the child says; False where all its files are done."""
        piece = os.read(self.pipe, 1 << 16)
        *lines, self._rest = (self._rest + piece).split(b"\n")
        for line in lines:
            word, kind, number, *rest = json.loads(line)
            now = time.monotonic()
            if word == "ended":
                self._tallies[kind].note(kind, number, rest[0], rest[1], now - self._since)
                self._pass(kind, number)
            self._since, self._begun = now, (kind, number) if word == "begins" else None
        return True if piece else self._over("crash")

    def look(self) -> bool:
        """End a child that has not answered; False where all its files are done."""
        if time.monotonic() - self._since < (HANG_SECONDS if self._begun else STARTING_SECONDS):
            return True
        self._process.kill()
        return self._over("hang")

    def _pass(self, kind: str, number: int) -> None:
        """Leave behind what is done: this number, and all before it."""
        while self._pieces[0][0] != kind:
            del self._pieces[0]
        last = self._pieces[0][2]
        self._pieces[:1] = [(kind, number + 1, last)] if number + 1 < last else []

    def _over(self, how: str) -> bool:
        code = self._process.wait()
        self._errors.seek(0)
        told = self._errors.read().decode(errors="replace")[-2000:]
        self._errors.close()
        assert self._process.stdout is not None
        self._process.stdout.close()
        shutil.rmtree(self._folder, ignore_errors=True)
        if not self._pieces:
            return False
        if self._begun is None:
            raise RuntimeError(f"a child did not start ({code}): {told}")
        kind, number = self._begun
        self._tallies[kind].note(kind, number, how, f"exit code {code}; {told}")
        self._pass(kind, number)
        if not self._pieces:
            return False
        self._start()
        return True


def fuzz(counts: dict[str, int], first: int, jobs: int, work: Path) -> dict[str, Tally]:
    """Open so many damaged files of each kind, by several children at a time."""
    (work / "home").mkdir()
    for kind in counts:
        (work / kind).mkdir()
        KINDS[kind].seed(work / kind)
    tallies = {kind: Tally() for kind in counts}
    running: dict[int, Watched] = {}
    for job in range(jobs):
        shares = (
            (kind, first + count * job // jobs, first + count * (job + 1) // jobs)
            for kind, count in counts.items()
        )
        if pieces := [piece for piece in shares if piece[1] < piece[2]]:
            one = Watched(work, f"child-{job}", pieces, tallies)
            running[one.pipe] = one
    while running:
        ready, _, _ = select.select(list(running), [], [], 0.2)
        for pipe, one in list(running.items()):
            going = one.read() if pipe in ready else one.look()
            del running[pipe]
            if going:
                running[one.pipe] = one
    return tallies


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--count", type=int, default=100_000, help="damaged files, of all kinds")
    parser.add_argument("--kinds", nargs="+", choices=list(KINDS), default=list(KINDS))
    parser.add_argument("--first", type=int, default=0, help="the first file's number")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--child", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.child:
        seeds, folder, pieces = json.loads(given.child)
        return child(Path(seeds), Path(folder), pieces)
    whole = sum(KINDS[kind].share for kind in given.kinds)
    counts = {kind: max(given.count * KINDS[kind].share // whole, 1) for kind in given.kinds}
    begun = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="fuzz-") as work:
        tallies = fuzz(counts, given.first, given.jobs, Path(work))
    findings = [each for tally in tallies.values() for each in tally.findings]
    if given.json:
        told = {kind: dict(tally.counts) for kind, tally in tallies.items()}
        print(json.dumps({"kinds": told, "findings": findings}))
    else:
        print(f"| kind | files | taken | refused | {' | '.join(FAULTS)} | longest |")
        print("| --- " * (5 + len(FAULTS)) + "|")
        for kind, tally in tallies.items():
            row = [tally.counts[how] for how in ("taken", "refused", *FAULTS)]
            print(f"| {kind} | {sum(row)} | {' | '.join(map(str, row))} | {tally.longest:.1f} s |")
        print(f"\n{sum(counts.values())} files in {time.monotonic() - begun:.0f} s")
        for each in findings[:20]:
            print(f"\n{each['kind']} {each['number']}: {each['how']}\n{each['told'][-1000:]}")
    return 1 if findings else 0


if __name__ == "__main__":
    sys.exit(main())
