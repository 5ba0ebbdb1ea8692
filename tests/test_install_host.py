"""The OpenFX node as it is installed: what is in the bundle, and what a host's loader meets."""

from __future__ import annotations

import os
import re
import shutil
import stat
import subprocess
import sys
import xml.dom.minidom
from pathlib import Path

import pytest

from semblance import cli
from semblance.cli import install
from semblance.knobs import declared

ROOT = Path(__file__).resolve().parents[1]
SOURCES = ROOT / "plugin" / "ofx"

pytestmark = pytest.mark.skipif(
    not any(map(shutil.which, ("cc", "gcc", "clang"))), reason="no C compiler on this machine"
)


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    folder = tmp_path_factory.mktemp("ofx plugins")  # hosts' folders have spaces
    assert cli.main(["install-host", "--ofx-dir", str(folder)]) == 0
    return folder


@pytest.fixture(scope="module")
def binary(installed):
    if not sys.platform.startswith("linux"):
        pytest.skip("the bundle's binary is looked at on Linux")
    (found,) = installed.glob("Semblance.ofx.bundle/Contents/Linux-*/Semblance.ofx")
    return found


def _said(*command: str) -> str:
    if shutil.which(command[0]) is None:
        pytest.skip(f"no {command[0]} on this machine")
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def test_the_bundle_is_laid_out_as_the_standard_says(installed, binary):
    bundle = installed / install.BUNDLE
    assert os.listdir(installed) == [install.BUNDLE], "nothing is left beside the bundle"
    assert binary.stem + ".ofx.bundle" == bundle.name
    version = re.search(r'^version = "(.*)"', (ROOT / "pyproject.toml").read_text(), re.M)[1]
    texts = [
        node.firstChild.data
        for node in xml.dom.minidom.parse(str(bundle / "Contents/Info.plist")).getElementsByTagName(
            "string"
        )
    ]
    assert install.IDENTIFIER in texts
    assert version in texts
    icon = bundle / "Contents/Resources" / f"{install.IDENTIFIER}.svg"
    assert xml.dom.minidom.parse(str(icon)).documentElement.tagName == "svg"


def test_the_bundle_names_the_worker_of_this_installation(installed):
    named = installed / install.BUNDLE / "Contents/Resources/worker.path"
    worker = Path(named.read_text().splitlines()[0])
    assert worker.is_absolute()
    said = subprocess.run([worker, "--version"], capture_output=True, text=True, check=True).stdout
    assert said.startswith("semblance")


def test_an_environment_without_the_program_gets_a_launcher_of_its_own(tmp_path, monkeypatch):
    bundle, target = tmp_path / "made", tmp_path / "installed"
    (bundle / "Contents/Resources").mkdir(parents=True)
    python = tmp_path / "a folder" / "python"
    python.parent.mkdir()
    python.write_text(f'#!/bin/sh\nexec "{sys.executable}" "$@"\n')
    python.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(python))
    worker = install._name_worker(bundle, target)
    bundle.rename(target)
    assert worker.stat().st_mode & stat.S_IXUSR
    said = subprocess.run([worker, "--version"], capture_output=True, text=True, check=True).stdout
    assert said.startswith("semblance")


def test_exactly_the_two_entry_points_are_exported(binary):
    rows = [line.split() for line in _said("nm", "-D", "--defined-only", str(binary)).splitlines()]
    assert sorted(row[2] for row in rows) == ["OfxGetNumberOfPlugins", "OfxGetPlugin"]
    assert {row[1] for row in rows} == {"T"}


def test_only_the_c_library_is_linked(binary):
    needed = re.findall(r"NEEDED.*\[(.*)\]", _said("readelf", "-d", str(binary)))
    assert needed == ["libc.so.6"]


def test_the_oldest_host_platform_has_every_symbol(binary):
    """CY2022, the oldest platform of the hosts served, has glibc 2.17."""
    wanted = re.findall(r"GLIBC_(\d+)\.(\d+)", _said("objdump", "-T", str(binary)))
    assert wanted
    assert max((int(major), int(minor)) for major, minor in wanted) <= (2, 17)


def test_the_stack_is_not_executable_and_nothing_is_bound_late(binary):
    said = _said("readelf", "-lW", "-d", str(binary))
    assert re.search(r"GNU_STACK.* RW ", said)
    assert "BIND_NOW" in said


def test_the_c_code_names_no_knob():
    """The table alone does: a name in the code would be a knob that the table can't move."""
    own = {"version", "worker_timeout", "restart_worker", "use_mask"}
    names = {knob.name for knob in declared()}
    assert not own & names, "a knob has the name of one of the host link's own parameters"
    for source in SOURCES.glob("*.[ch]"):
        if source.name != "knobs_table.h":
            strings = set(re.findall(r'"(\w+)"', source.read_text()))
            assert not strings & names, source.name


def test_installing_again_replaces_the_bundle_whole(tmp_path):
    made, target = tmp_path / "made", tmp_path / "there" / install.BUNDLE
    for text in ("old", "new"):
        shutil.rmtree(made, ignore_errors=True)
        made.mkdir()
        (made / text).write_text(text)
        install._replace(made, target)
        assert os.listdir(target) == [text]
        assert os.listdir(target.parent) == [install.BUNDLE]


def test_a_folder_that_can_not_be_written_is_a_refusal_with_a_way_out(tmp_path):
    blocked = tmp_path / "file"
    blocked.write_text("")
    made = tmp_path / "made"
    made.mkdir()
    with pytest.raises(install.OutputError, match="--ofx-dir"):
        install._replace(made, blocked / install.BUNDLE)


def test_what_is_missing_to_build_is_named(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("CC", raising=False)
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    with pytest.raises(install.EnvironmentFault, match="pip install cmake"):
        install._build(tmp_path)
    cmake = tmp_path / "cmake"
    cmake.write_text("#!/bin/sh\nexit 1\n")
    cmake.chmod(0o755)
    with pytest.raises(install.EnvironmentFault, match="C compiler"):
        install._build(tmp_path)


def test_hosts_caches_that_know_the_node_are_told_and_left(tmp_path, monkeypatch):
    cache = tmp_path / "ofxplugincache"
    cache.mkdir()
    (cache / "ours.xml").write_text(f"<plugin id='{install.IDENTIFIER}'/>")
    (cache / "other.xml").write_text("<plugin id='other'/>")
    monkeypatch.setenv("NUKE_TEMP_DIR", str(tmp_path))
    assert cache / "ours.xml" in set(install._caches_that_know_us())
    assert cache / "other.xml" not in set(install._caches_that_know_us())
    assert len(list(cache.iterdir())) == 2


def test_nukes_init_gets_its_line_once_and_keeps_what_it_held(tmp_path, capsys, monkeypatch):
    made = tmp_path / "made" / install.BUNDLE
    (made / "Contents/Resources").mkdir(parents=True)
    monkeypatch.setattr(install, "_build", lambda folder: made)
    monkeypatch.setattr(install, "_replace", lambda bundle, place: None)
    init = tmp_path / "nuke" / "init.py"
    words = ["install-host", "--ofx-dir", str(tmp_path / "o"), "--nuke-dir", str(init.parent)]
    assert cli.main(words) == 0
    assert str(init) in capsys.readouterr().out
    init.write_text("print('mine')")
    for _ in range(2):
        assert cli.main(words) == 0
    held = init.read_text()
    assert held.startswith("print('mine')\nimport nuke\n")
    assert held.count("nuke.pluginAddPath") == 1
    folder = held.split("nuke.pluginAddPath('")[1].split("')")[0]
    assert (Path(folder) / "menu.py").exists()
    init.unlink()
    init.mkdir()
    assert cli.main(words) == 1
    assert "add the line: nuke.pluginAddPath" in capsys.readouterr().err
