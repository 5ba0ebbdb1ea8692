"""The plug-in's bundle, built once per session from the sources of this tree."""

from __future__ import annotations

import fcntl
import functools
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
SOURCES = ROOT / "plugin" / "ofx"


def tool(name: str) -> str | None:
    """Return where a program is: in the path, or beside this Python."""
    return shutil.which(name) or shutil.which(name, path=str(Path(sys.executable).parent))


def why_not() -> str:
    """Say what is missing to build the bundle; empty when nothing is."""
    if not any(map(shutil.which, ("cc", "gcc", "clang"))):
        return "no C compiler to build the plug-in with"
    return "" if tool("cmake") else "no cmake to build the plug-in with (pip install cmake)"


@functools.cache
def built(sanitize: str = "") -> Path:
    """Return the bundle, with sanitizers where named; processes that ask at once share one build.

    Raises
    ------
    RuntimeError
        It does not build; with all that the compiler said.
    """
    folder = ROOT / "build" / "ofx-tests" / (sanitize or "plain")
    folder.mkdir(parents=True, exist_ok=True)
    cmake = tool("cmake")
    assert cmake is not None
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        made = folder / "build"
        kind = "RelWithDebInfo" if sanitize else "Release"
        configure = [
            cmake, "-S", str(SOURCES), "-B", str(made), f"-DCMAKE_BUILD_TYPE={kind}",
            f"-DSEMBLANCE_SANITIZE={sanitize}",
        ]  # fmt: skip
        for command in (configure, [cmake, "--build", str(made)]):
            ran = subprocess.run(command, capture_output=True, text=True, check=False)
            if ran.returncode:
                raise RuntimeError(f"{' '.join(command)}\n{ran.stdout}{ran.stderr}")
    bundles = [path for path in made.rglob("*.ofx.bundle") if path.is_dir()]
    if len(bundles) != 1:
        raise RuntimeError(f"{made} holds {len(bundles)} bundles")
    return bundles[0]
