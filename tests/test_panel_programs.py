"""What the panel asks of the program `semblance`: releases, identities, and where it is."""

from __future__ import annotations

import queue
import sys
from pathlib import Path
from typing import Any

import pytest

from semblance_panel import programs
from semblance_panel.programs import IdentitiesByProgram, ReleasesByProgram

EXAMPLES = Path(__file__).parents[1] / "examples"
MODEL = EXAMPLES / "likeness.onnx"
PROGRAM = (sys.executable, "-c", "import sys; from semblance.cli import main; sys.exit(main())")


@pytest.fixture(autouse=True)
def nobody_trusted(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))


def answer(ask: Any, *about: str) -> Any:
    answers: queue.Queue[Any] = queue.Queue()
    ask(*about, answers.put)
    return answers.get(timeout=60)


def test_a_release_is_checked_by_the_program_and_by_whom_it_is_told_to_trust() -> None:
    found = answer(ReleasesByProgram(PROGRAM).ask, str(MODEL), "")
    assert found.valid is False
    assert "slate" in found.text
    assert found.reason
    trust = ("--trust", str(EXAMPLES / "trust"))
    found = answer(ReleasesByProgram(PROGRAM, trust).ask, str(MODEL), "")
    assert found.valid is True
    assert "Kestrel Estate" in found.reason


def test_the_names_are_those_that_rendering_accepts() -> None:
    found = answer(IdentitiesByProgram(PROGRAM).ask, str(MODEL))
    assert (found.performer, found.likenesses, found.message) == ("performer", ("likeness",), "")


@pytest.mark.parametrize("asker", [ReleasesByProgram, IdentitiesByProgram])
def test_what_is_not_known_is_said_and_never_taken_for_a_no(asker: Any, tmp_path: Path) -> None:
    about = ("",) * (asker is ReleasesByProgram)
    for command, model, words in (
        (PROGRAM, str(tmp_path / "nothing.onnx"), "nothing.onnx"),
        (PROGRAM, str(EXAMPLES / "plate.1001.exr"), ""),
        ((str(tmp_path / "no program"),), str(MODEL), "can't be started"),
        ((sys.executable, "-c", "print('no JSON')"), str(MODEL), ""),
    ):
        found = answer(asker(command).ask, model, *about)
        if asker is IdentitiesByProgram:
            assert found.likenesses == ()
            assert words in found.message
            assert found.message
        elif model.endswith(".onnx"):
            assert found.valid is None
            assert words in found.reason


def test_the_program_never_sees_the_hosts_own_libraries() -> None:
    given = {"PYTHONHOME": "/nuke", "LD_LIBRARY_PATH": "/nuke", "HOME": "/me", "OCIO": "/a.ocio"}
    assert programs.environment(given) == {"HOME": "/me", "OCIO": "/a.ocio"}


def test_the_program_is_named_by_the_node_where_nothing_else_does(tmp_path: Path) -> None:
    resources = tmp_path / "Semblance.ofx.bundle" / "Contents" / "Resources"
    resources.mkdir(parents=True)
    (resources / "worker.path").write_text("/opt/semblance/bin/semblance\n")
    found = programs.program({"PATH": "", "OFX_PLUGIN_PATH": str(tmp_path)})
    assert found == "/opt/semblance/bin/semblance"
    found = programs.program({"SEMBLANCE_WORKER": "/mine", "OFX_PLUGIN_PATH": str(tmp_path)})
    assert found == "/mine"
