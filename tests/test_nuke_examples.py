"""The examples for Nuke and for technical directors, and their pages, do what they say."""

from __future__ import annotations

import os
import re
import runpy
import subprocess
import sys
from pathlib import Path

import pytest

from helpers_nuke import ENGINE, ROOT, FakeNuke, read_script
from semblance.exr import read_plate

DOCS, EXAMPLES = ROOT / "docs", ROOT / "examples"
BLOCKS = re.findall(r"^```python\n(.*?)^```", (DOCS / "scripting.md").read_text(), re.M | re.S)


def gizmo_knobs() -> dict[str, frozenset[str]]:
    made = {}
    for path in (ROOT / "gizmos").glob("*.gizmo"):
        (gizmo,) = read_script(path.read_text(encoding="utf-8")).children
        made[path.stem] = frozenset(gizmo.user)
    return made


def test_tcl_reads_the_example_script_and_its_wires_are_as_it_says() -> None:
    text = (EXAMPLES / "nuke" / "semblance_shot.nk").read_text(encoding="utf-8")
    root = read_script(text, gizmo_knobs())
    live, blended = root.child("WriteLive").inputs[0], root.child("WriteBlend").inputs[0]
    assert (live.kind, [each.name for each in live.inputs]) == ("Semblance", ["Plate"])
    assert blended.kind == "SemblanceBlend"
    assert [each.name for each in blended.inputs] == ["Plate", "Render"]
    assert live.knobs["identity_strength"] == "{curve x1001 0 x1012 1}"
    for name in ("model", "track_file"):
        assert (ROOT / live.knobs[name]).exists()
    assert (ROOT / (root.child("Plate").knobs["file"] % 1001)).exists()


def test_the_headless_script_builds_the_graph_and_renders_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    nuke = FakeNuke(gui=False)
    monkeypatch.setitem(sys.modules, "nuke", nuke)
    monkeypatch.syspath_prepend(str(ROOT / "plugin"))
    main = runpy.run_path(str(EXAMPLES / "nuke" / "render_headless.py"))["main"]
    main("plate.%04d.exr", "1001-1012", "likeness.onnx", "track.json", "result.%04d.exr")
    ((write, first, last),) = nuke.executed
    assert (first, last, write["file"].value()) == (1001, 1012, "result.%04d.exr")
    group = write.input(0)
    assert group.node("ENGINE").Class() == ENGINE
    assert group.node("ENGINE")["model"].value() == "likeness.onnx"
    assert group.input(0)["file"].value() == "plate.%04d.exr"


def test_the_headless_script_ends_with_an_error_without_the_node(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    nuke = FakeNuke(gui=False, has_engine=False)
    monkeypatch.setitem(sys.modules, "nuke", nuke)
    monkeypatch.syspath_prepend(str(ROOT / "plugin"))
    main = runpy.run_path(str(EXAMPLES / "nuke" / "render_headless.py"))["main"]
    with pytest.raises(SystemExit, match="not installed"):
        main("plate.%04d.exr", "1001-1012", "likeness.onnx", "track.json", "result.%04d.exr")
    assert nuke.executed == []


def test_the_batch_renders_every_shot_with_its_curve(tmp_path: Path) -> None:
    script = [str(EXAMPLES / "td" / name) for name in ("shot_batch.py", "shots.json")]
    ran = subprocess.run(
        [sys.executable, *script, str(tmp_path)], capture_output=True, text=True, check=False
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert len(ran.stdout.splitlines()) == 2
    for shot, frames in (("sc010_0010", (1001, 1002)), ("sc010_0020", (1005, 1006))):
        assert (tmp_path / shot / "track.json").exists()
        changed = []
        for frame in frames:
            plate = read_plate(EXAMPLES / f"plate.{frame}.exr")
            result = read_plate(tmp_path / shot / f"result.{frame}.exr")
            changed.append(bool((plate.picture() != result.picture()).any()))
            assert result.metadata["semblance:releaseCheck"].data == b"valid"
            source = result.metadata["Iptc4xmpExt:DigitalSourceType"].data
            assert source.endswith(b"compositeWithTrainedAlgorithmicMedia")
        # The second shot's strength begins at 0, where the result is the plate.
        assert changed == ([True, True] if shot == "sc010_0010" else [False, True])


@pytest.mark.parametrize("code", BLOCKS, ids=range(len(BLOCKS)))
def test_the_pages_code_runs_as_it_stands(
    code: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "examples").symlink_to(EXAMPLES)
    monkeypatch.chdir(tmp_path)
    exec(compile(code, "docs/scripting.md", "exec"), {})


def test_the_shot_is_ten_lines() -> None:
    assert "sb.apply(" in BLOCKS[0]
    assert len([line for line in BLOCKS[0].splitlines() if line.strip()]) <= 10


@pytest.mark.parametrize("page", ["nuke.md", "scripting.md"])
def test_the_pages_links_lead_somewhere(page: str) -> None:
    for name in re.findall(r"\]\(([^)#:]+)", (DOCS / page).read_text(encoding="utf-8")):
        assert os.path.exists(DOCS / name), name


def test_the_page_names_the_variable_and_the_buttons_that_there_are() -> None:
    page = (DOCS / "nuke.md").read_text(encoding="utf-8")
    (gizmo,) = read_script((ROOT / "gizmos" / "Semblance.gizmo").read_text()).children
    for knob in gizmo.user.values():
        if knob.code == 22:
            assert f"| {knob.label} |" in page
    assert "SEMBLANCE_WORKER" in page
