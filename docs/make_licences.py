"""Write licences.md: every package that an installation brings along, and under which licence.

    python docs/make_licences.py          # from what is installed; --check only compares

Names come from the packages' own metadata, so every extra has to be installed.
"""

from __future__ import annotations

import re
import sys
import tomllib
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

from packaging.requirements import Requirement

PAGE = Path(__file__).with_name("licences.md")

# `gpu` has the licence and the dependencies of onnxruntime, and can't be installed beside it.
EXTRAS = ("", "panel", "train", "mediapipe")

HEAD = """# Licences

Semblance is under the Apache License 2.0 ([LICENSE](../LICENSE)). It brings no code of other projects: what
it stands on is installed as packages, under their own licences. This page is made from the
packages' metadata by `make licences`; `requirements.lock` has their exact versions and hashes.

| package | licence, as its metadata says | installed with |
| --- | --- | --- |
"""

FOOT = """
What the metadata doesn't say:

- **PyAV's** wheels bring FFmpeg's libraries, built under the LGPL, version 3 or later (as they say
  themselves: `av.library_meta`). **OpenCV's** bring FFmpeg's too, under the LGPL 2.1.
- **Qt for Python** is used under the LGPL 3: as a package of its own, which a user can exchange.
- Wheels for Linux bring the run-time libraries of GCC (GPL 3 with the runtime library exception).
- `semblance[gpu]` takes `onnxruntime-gpu` (MIT) for `onnxruntime`. CUDA, cuDNN and TensorRT, and what
  PyTorch brings of them, are under NVIDIA's own terms.
- With `semblance[mediapipe]` the tracker's model files are Google's, under the Apache License 2.0.
- What may be done with a likeness is for its rights holder to say: see [consent.md](consent.md).

Tools for development (`semblance[dev]`, `semblance[supply]`) are not part of an installation. `make sbom` writes a
bill of materials of the environment as it is (CycloneDX), development tools included.
"""

# By what the text of a classifier or a `License` field begins with.
SHORT = {
    "3-Clause BSD": "BSD-3-Clause",
    "MIT": "MIT",
    "BSD": "BSD",
    "Apache": "Apache-2.0",
    "Mozilla Public License 2": "MPL-2.0",
    "Python Software Foundation": "PSF-2.0",
    "ISC": "ISC",
}

# What is not said in metadata, by the packages' own licence files; and what is not for every Python.
KNOWN = {
    "ai-edge-litert": "Apache-2.0",
    "opencolorio": "BSD-3-Clause",
    "openexr": "BSD-3-Clause",
}


def needed(name: str, extra: str) -> Iterator[str]:
    """Yield what a package needs, of an extra or without one."""
    for text in own(extra) if name == "semblance" else distribution(name).requires or ():
        requirement = Requirement(text)
        marker = requirement.marker
        if marker is None:
            holds = not extra
        else:
            holds = marker.evaluate({"extra": extra}) and not (
                extra and marker.evaluate({"extra": ""})
            )
        if holds:
            yield re.sub(r"[-_.]+", "-", requirement.name).lower()


def own(extra: str) -> list[str]:
    """Return what we need ourselves: the installed metadata may be older than the project's file."""
    project = tomllib.loads((PAGE.parents[1] / "pyproject.toml").read_text(encoding="utf-8"))[
        "project"
    ]
    if not extra:
        return list(project["dependencies"])
    return [f'{text}; extra == "{extra}"' for text in project["optional-dependencies"][extra]]


def gathered() -> tuple[dict[str, str], list[str]]:
    """Return each package with the extra that brings it first, and those that are not installed."""
    found: dict[str, str] = {}
    missing: list[str] = []
    for extra in EXTRAS:
        waiting = list(needed("semblance", extra))
        while waiting:
            name = waiting.pop()
            if name in found or name in missing:
                continue
            try:
                waiting += needed(name, "")
            except PackageNotFoundError:
                if name not in KNOWN:
                    missing.append(name)
                    continue
            found[name] = extra
    return found, missing


def licence(name: str) -> str:
    """Return the licence that a package's metadata names."""
    if name in KNOWN:
        return KNOWN[name]
    told = distribution(name).metadata
    if expression := told.get("License-Expression"):
        return expression
    classified = [
        text.rpartition(" :: ")[2]
        for text in told.get_all("Classifier") or ()
        if text.startswith("License :: ") and "OSI Approved" not in text.rpartition(" :: ")[2]
    ]
    stated = (told.get("License") or "").strip().partition("\n")[0]
    texts = ([stated] if 0 < len(stated) < 60 else []) or classified or [stated[:60]]
    short = [
        next((short for begin, short in SHORT.items() if text.startswith(begin)), text)
        for text in texts
    ]
    return ", ".join(dict.fromkeys(short)) or "see the package"


def page() -> tuple[str, list[str]]:
    """Return the page, and the packages that it lacks because they are not installed."""
    found, missing = gathered()
    rows = [
        f"| {name} | {licence(name)} | {f'`semblance[{extra}]`' if extra else 'always'} |"
        for name, extra in sorted(found.items())
    ]
    return HEAD + "\n".join(rows) + "\n" + FOOT, missing


def main() -> int:
    text, missing = page()
    if "--check" in sys.argv:
        rows = {line for line in text.splitlines() if line.startswith("| ")}
        return 0 if rows <= set(PAGE.read_text(encoding="utf-8").splitlines()) else 1
    for name in missing:
        print(f"{name} is not installed, so it is not on the page", file=sys.stderr)
    PAGE.write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
