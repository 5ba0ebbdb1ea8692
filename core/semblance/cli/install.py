"""Installing the OpenFX node: built from its sources, put where hosts look, told of this worker."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import click

from semblance.cli.options import DONE, FOLDER
from semblance.errors import EnvironmentFault, OutputError

__all__ = ["install_host"]

BUNDLE = "Semblance.ofx.bundle"
IDENTIFIER = "io.github.semblance.semblance"
ROOT = Path(__file__).resolve().parents[3]


@click.command("install-host")
@click.option(
    "--ofx-dir",
    type=FOLDER,
    help="Where the node goes; by default the folder in which every OpenFX host looks.",
)
@click.option(
    "--nuke-dir",
    type=FOLDER,
    help="A folder of NUKE_PATH, as ~/.nuke: its init.py gets the line for Nuke's menu and panel.",
)
def install_host(ofx_dir: Path | None, nuke_dir: Path | None) -> int:
    """Build the OpenFX node and install it for this machine's hosts.

    Needs a C compiler and CMake. The node starts the worker of this very installation.
    """
    standard = _standard_folder()
    folder = (ofx_dir or standard).absolute()
    with tempfile.TemporaryDirectory(prefix="semblance-ofx-") as built:
        bundle = _build(Path(built))
        worker = _name_worker(bundle, folder / BUNDLE)
        _replace(bundle, folder / BUNDLE)
    click.echo(f"node      {folder / BUNDLE}\nworker    {worker}")
    if folder != standard:
        click.echo(f"to do     put {folder} into OFX_PLUGIN_PATH before a host starts")
    for cache in _caches_that_know_us():
        click.echo(f"to do     if a host shows old knobs, quit it and remove {cache}")
    if nuke_dir is not None:
        click.echo(f"nuke      {_tell_nuke(nuke_dir.absolute())}")
    return DONE


def _standard_folder() -> Path:
    """Return the folder in which OpenFX hosts look on this system."""
    if sys.platform == "win32":
        return Path(os.environ["COMMONPROGRAMFILES"], "OFX", "Plugins")
    return Path("/Library/OFX/Plugins" if sys.platform == "darwin" else "/usr/OFX/Plugins")


def _tell_nuke(folder: Path) -> Path:
    """Add the line that loads our Nuke module to a folder's init.py, once; return the file."""
    path = folder / "init.py"
    line = f"nuke.pluginAddPath({(ROOT / 'plugin' / 'semblance_nuke').as_posix()!r})"
    try:
        text = path.read_text() if path.exists() else ""
        if line not in text:
            folder.mkdir(parents=True, exist_ok=True)
            gap = "" if not text or text.endswith("\n") else "\n"
            hidden = folder / ".semblance-init.py"
            hidden.write_text(f"{text}{gap}import nuke\n{line}\n")
            hidden.replace(path)
    except OSError as error:
        raise OutputError(
            f"{path} can't be written: {error.strerror or error}",
            f"Name a folder of NUKE_PATH that you may write to, or add the line: {line}",
        ) from error
    return path


# --- building --------------------------------------------------------------------------------


def _build(folder: Path) -> Path:
    """Build the node in an empty folder and return its bundle."""
    source = ROOT / "plugin" / "ofx"
    if not (source / "CMakeLists.txt").exists():
        raise EnvironmentFault(
            f"the sources of the OpenFX node are not at {source}",
            "Install from a clone of the repository: pip install -e .",
        )
    beside = Path(sys.executable).parent
    cmake = shutil.which("cmake") or shutil.which("cmake", path=str(beside))
    if cmake is None:
        raise EnvironmentFault("there is no CMake", "Install it with: pip install cmake.")
    named = os.environ.get("CC", "").split()[:1]
    compilers = (*named, "cc", "gcc", "clang")
    if sys.platform != "win32" and not any(map(shutil.which, compilers)):
        raise EnvironmentFault(
            "there is no C compiler", "Install one (gcc or clang), or name it by the variable CC."
        )
    _run([cmake, "-S", str(source), "-B", str(folder), "-DCMAKE_BUILD_TYPE=Release"])
    _run([cmake, "--build", str(folder), "--config", "Release"])
    return folder / BUNDLE


def _run(command: list[str]) -> None:
    ran = subprocess.run(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False
    )
    if ran.returncode != 0:
        said = " | ".join(ran.stdout.strip().splitlines()[-6:])
        raise EnvironmentFault(
            f"the OpenFX node does not build: {shlex.join(command)} ended with {ran.returncode}",
            f"It said: {said}",
        )


# --- installing ------------------------------------------------------------------------------


def _name_worker(bundle: Path, target: Path) -> Path:
    """Write into the bundle which program it starts, and return that program's final path.

    Beside every environment's Python lies its `semblance`; where it does not, the bundle gets a
    launcher of its own.
    """
    resources = bundle / "Contents" / "Resources"
    suffix = ".exe" if sys.platform == "win32" else ""
    worker = Path(sys.executable).parent / f"semblance{suffix}"
    if not worker.exists():
        if sys.platform == "win32":
            raise EnvironmentFault(
                f"there is no {worker}", "Install Semblance by pip, so that its program is there."
            )
        code = "import sys; from semblance.cli import main; sys.exit(main())"
        launcher = resources / "worker"
        launcher.write_text(
            f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -c {shlex.quote(code)} "$@"\n'
        )
        launcher.chmod(0o755)
        worker = target / launcher.relative_to(bundle)
    (resources / "worker.path").write_text(f"{worker}\n", encoding="utf-8")
    return worker


def _replace(bundle: Path, target: Path) -> None:
    """Put the bundle where it belongs: wholly the old one or wholly the new one, at any moment.

    A host that has the old one loaded keeps it until it quits.
    """
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".semblance-", dir=target.parent) as beside:
            fresh, old = Path(beside, "new"), Path(beside, "old")
            shutil.copytree(bundle, fresh)
            if target.exists():
                target.rename(old)
            try:
                fresh.rename(target)
            except OSError:
                if old.exists():
                    old.rename(target)
                raise
    except OSError as error:
        raise OutputError(
            f"the node can't be installed at {target}: {error.strerror or error}",
            "Run this as an administrator, or choose a folder of yours with --ofx-dir and name it "
            "by OFX_PLUGIN_PATH.",
        ) from error


def _caches_that_know_us() -> Iterator[Path]:
    """Yield the files in which hosts of this user keep descriptions of nodes, ours among them.

    They hold every plug-in of a host: they are told, not touched.
    """
    home, environ = Path.home(), os.environ
    nuke = [environ.get("NUKE_TEMP_DIR"), f"{tempfile.gettempdir()}/nuke"]
    if sys.platform != "win32":
        nuke.append(f"/var/tmp/nuke-u{os.getuid()}")
    folders = [
        *(Path(each, "ofxplugincache") for each in nuke if each),
        home / ".cache/INRIA/Natron/OFXLoadCache",
        home / "Library/Caches/INRIA/Natron/OFXLoadCache",
        home / ".local/share/DaVinciResolve",
        home / "Library/Application Support/Blackmagic Design/DaVinci Resolve",
        Path(environ.get("APPDATA", home), "Blackmagic Design/DaVinci Resolve/Support"),
    ]
    for folder in dict.fromkeys(folders):
        for file in sorted(folder.glob("*.xml")) if folder.is_dir() else ():
            try:
                known = IDENTIFIER in file.read_text(errors="replace")
            except OSError:
                continue
            if known:
                yield file
