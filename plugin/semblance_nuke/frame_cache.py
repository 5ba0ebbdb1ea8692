"""Frames on disk, by the content that they are made of.

::

    <folder>/frames/3f/3f09….exr    a plate, a roto or a result, by its key; whole or not there
    <folder>/part/…                 what is being written
    <folder>/shown/<session>/<node> what a node's Read reads: links to frames, by frame number

A key names all that a frame is made of, so a file under it never goes stale; it only falls out,
least recently used first, when the folder is full. Each Nuke has links of its own, so that two that
work on one script, or the machines of a farm, never change what the other one reads.
"""

from __future__ import annotations

import os
import re
import shutil
import sys
import time
import uuid
from collections.abc import Collection, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Final, Optional

__all__ = ["FrameCache", "Shown", "default_folder"]

_SESSION: Final = uuid.uuid4().hex[:12]
"""This process, among all that share a folder."""

_CALM_SECONDS: Final = 30.0
"""Looking through a folder of many frames takes a while: no more often than this."""

_tidied: dict[Path, float] = {}

_OLD_SECONDS: Final = 86400.0
"""Age at which what a process left half-written is nobody's any more."""

_ABANDONED_SECONDS: Final = 30.0 * 86400.0
"""Age at which a session's links are nobody's any more."""


def default_folder(environ: Mapping[str, str] = os.environ, home: Optional[Path] = None) -> Path:
    """Return the user's folder: ``$SEMBLANCE_CACHE``, or the system's place for caches."""
    named = environ.get("SEMBLANCE_CACHE")
    if named:
        return Path(named)
    home = Path.home() if home is None else home
    if sys.platform == "win32":
        return (
            Path(environ.get("LOCALAPPDATA") or home / "AppData" / "Local") / "semblance" / "nuke"
        )
    if sys.platform == "darwin":
        return home / "Library" / "Caches" / "semblance" / "nuke"
    return Path(environ.get("XDG_CACHE_HOME") or home / ".cache") / "semblance" / "nuke"


class FrameCache:
    """Whole frames by their keys. Several processes may share a folder.

    Parameters
    ----------
    folder : Path
        Made on first use.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def path(self, key: str) -> Path:
        """Return where the frame of a key is, or would be; its folder is there afterwards."""
        path = self.folder / "frames" / key[:2] / f"{key}.exr"
        path.parent.mkdir(parents=True, exist_ok=True)
        return path

    def has(self, key: str) -> bool:
        """Return whether the frame of a key is there, and count it as used now."""
        path = self.folder / "frames" / key[:2] / f"{key}.exr"
        try:
            changed = os.stat(path).st_mtime_ns
            os.utime(path, ns=(time.time_ns(), changed))
        except OSError:
            return False
        return True

    def partial(self, key: str) -> Path:
        """Return a new name to write a frame under before it is whole."""
        folder = self.folder / "part"
        folder.mkdir(parents=True, exist_ok=True)
        return folder / f"{key}.{uuid.uuid4().hex[:8]}.exr"

    def keep(self, partial: Path, key: str) -> Path:
        """Give what was written whole its key; return the file."""
        path = self.path(key)
        os.replace(partial, path)
        return path

    def shrink(self, most: int, wanted: Collection[str] = ()) -> int:
        """Remove what was used longest ago until the frames hold `most` bytes; return what is left.

        Parameters
        ----------
        most : int
            Bytes.
        wanted : collection of str
            Keys that stay whatever their age.
        """
        there = []
        for path in (self.folder / "frames").glob("??/*.exr"):
            with suppress(OSError):
                held = path.stat()
                there.append((held.st_atime_ns, held.st_size, path))
        left = sum(size for _, size, _ in there)
        for _, size, path in sorted(there):
            if left <= most:
                break
            if path.stem not in wanted:
                with suppress(OSError):
                    path.unlink()
                    left -= size
        self._forget_the_dead()
        return left

    def tidy(self, most: int, wanted: Collection[str] = ()) -> None:
        """Shrink as `shrink` does, where this process did not a moment ago; from any thread."""
        now = time.monotonic()
        if now - _tidied.get(self.folder, -_CALM_SECONDS) >= _CALM_SECONDS:
            _tidied[self.folder] = now
            self.shrink(most, wanted)

    def clear(self) -> None:
        """Remove every frame, and what this process shows; others lose what they show too."""
        for name in ("frames", "part", "shown"):
            shutil.rmtree(self.folder / name, ignore_errors=True)

    def _forget_the_dead(self) -> None:
        now = time.time()
        for pattern, age in (("part/*", _OLD_SECONDS), ("shown/*", _ABANDONED_SECONDS)):
            for path in self.folder.glob(pattern):
                with suppress(OSError):
                    if now - path.stat().st_mtime > age and path.name != _SESSION:
                        shutil.rmtree(path) if path.is_dir() else path.unlink()


class Shown:
    """The frames that one node shows in this process: links, which its Read reads as a sequence.

    Parameters
    ----------
    cache : FrameCache
        Where they lead.
    node : str
        The node's full name, which no two nodes share.
    """

    def __init__(self, cache: FrameCache, node: str) -> None:
        self._cache = cache
        # What Nuke read under a name it may keep, so no name ever comes again.
        name = f"{re.sub(r'[^A-Za-z0-9_]', '_', node)}.{uuid.uuid4().hex[:8]}"
        self.folder = cache.folder / "shown" / _SESSION / name
        self._keys: dict[tuple[str, int, bool], str] = {}

    def pattern(self, proxy: bool) -> str:
        """Return what the Read reads: Nuke puts view and frame in."""
        return str(self.folder / f"%V.%04d{'.proxy' if proxy else ''}.exr")

    def key(self, view: str, frame: int, proxy: bool) -> str:
        """Return the key of what is shown; empty for nothing."""
        return self._keys.get((view, frame, proxy), "")

    def show(self, key: str, view: str, frame: int, proxy: bool) -> bool:
        """Show the frame of a key, and return whether another one was shown before, or none.

        Raises
        ------
        OSError
            The frame is not there, or the folder can't be written to.
        """
        path = self._path(view, frame, proxy)
        if self.key(view, frame, proxy) == key and path.exists():
            return False
        self.folder.mkdir(parents=True, exist_ok=True)
        new = self.folder / f".{uuid.uuid4().hex[:8]}"
        source = self._cache.path(key)
        try:
            os.link(source, new)
        except OSError:  # a file system without links
            shutil.copyfile(source, new)
        self._keys.pop((view, frame, proxy), None)
        os.replace(new, path)
        self._keys[view, frame, proxy] = key
        return True

    def hide(self, frame: int) -> None:
        """Show nothing of a frame: who reads it gets an error, and no old picture."""
        for place in [each for each in self._keys if each[1] == frame]:
            with suppress(OSError):
                self._path(*place).unlink()
            del self._keys[place]

    def end(self) -> None:
        """Show nothing any more."""
        shutil.rmtree(self.folder, ignore_errors=True)
        self._keys.clear()

    def held(self) -> set[str]:
        """Return the keys of all that is shown."""
        return set(self._keys.values())

    def frames(self) -> set[int]:
        """Return the frames of which something is shown."""
        return {frame for _, frame, _ in self._keys}

    def _path(self, view: str, frame: int, proxy: bool) -> Path:
        return self.folder / f"{view}.{frame:04d}{'.proxy' if proxy else ''}.exr"
