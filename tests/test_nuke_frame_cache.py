"""The cache of frames on disk: whole files, the oldest go first, and what a node shows."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from semblance_nuke.frame_cache import FrameCache, Shown, default_folder


def put(cache: FrameCache, key: str, age: int = 0, size: int = 100) -> None:
    partial = cache.partial(key)
    partial.write_bytes(bytes(size))
    path = cache.keep(partial, key)
    used = path.stat().st_mtime_ns - age * 10**9
    os.utime(path, ns=(used, used))


def test_a_frame_is_there_when_it_is_whole(tmp_path: Path) -> None:
    cache = FrameCache(tmp_path)
    partial = cache.partial("aa1")
    partial.write_bytes(b"half")
    assert not cache.has("aa1")
    cache.keep(partial, "aa1")
    assert cache.has("aa1")
    assert not list((tmp_path / "part").iterdir())
    cache.clear()
    assert not cache.has("aa1")


def test_what_was_used_longest_ago_goes_first_and_what_is_shown_stays(tmp_path: Path) -> None:
    cache = FrameCache(tmp_path)
    for age, key in enumerate(("aa1", "aa2", "bb3", "bb4")):
        put(cache, key, age=100 * (age + 1))
    assert cache.has("bb3")  # used now
    assert cache.shrink(200, {"bb4"}) == 200
    assert [cache.has(key) for key in ("aa1", "aa2", "bb3", "bb4")] == [False, False, True, True]


def test_what_others_left_half_written_goes_when_it_is_old(tmp_path: Path) -> None:
    cache = FrameCache(tmp_path)
    old, new = cache.partial("aa1"), cache.partial("aa2")
    for path in (old, new):
        path.write_bytes(b"half")
    os.utime(old, (0, 0))
    cache.shrink(1000)
    assert (old.exists(), new.exists()) == (False, True)


@pytest.mark.parametrize("linking", [True, False])
def test_a_node_shows_frames_by_number(tmp_path, monkeypatch, linking) -> None:
    if not linking:  # as a file system without links has it
        monkeypatch.setattr(os, "link", lambda *_: (_ for _ in ()).throw(OSError("no links")))
    cache = FrameCache(tmp_path)
    put(cache, "aa1", size=1)
    put(cache, "aa2", size=2)
    shown = Shown(cache, "Group1.Semblance1")
    assert shown.show("aa1", "main", 1001, False)
    path = Path(shown.pattern(False).replace("%V", "main") % 1001)
    assert path.stat().st_size == 1
    assert not shown.show("aa1", "main", 1001, False)
    assert shown.show("aa2", "main", 1001, False)
    assert path.stat().st_size == 2
    assert (shown.frames(), shown.held()) == ({1001}, {"aa2"})
    with pytest.raises(OSError, match="aa3"):
        shown.show("aa3", "main", 1001, False)
    shown.hide(1001)
    assert not path.exists()
    assert shown.key("main", 1001, False) == ""


def test_the_folder_is_by_preference(tmp_path: Path) -> None:
    assert default_folder({"SEMBLANCE_CACHE": "/big/cache"}) == Path("/big/cache")
    assert default_folder({}, tmp_path).is_relative_to(tmp_path)
    assert default_folder({}, tmp_path).parts[-2:] == ("semblance", "nuke")
