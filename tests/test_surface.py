"""The public names are pinned, and what loads when is a promise."""

from __future__ import annotations

import ast
import inspect
import subprocess
import sys
from pathlib import Path

import pytest

import semblance
from semblance import errors

PORTABLE = ("documents", "errors", "forms", "knobs", "preset")
HEAVY = ("torch", "onnxruntime", "cv2", "numpy", "OpenImageIO", "PyOpenColorIO", "PIL", "av")

PUBLIC = [
    "Cancelled",
    "CredentialError",
    "EnvironmentFault",
    "Face",
    "FootageError",
    "FrameReport",
    "InputError",
    "KnobError",
    "Knobs",
    "Likeness",
    "MissingPackageError",
    "ModelError",
    "OutputError",
    "Plate",
    "PlateError",
    "ProviderError",
    "ReleaseError",
    "Result",
    "RotoError",
    "SemblanceError",
    "Sequence",
    "SequenceError",
    "ShotSummary",
    "Track",
    "TrackError",
    "TrainingError",
    "Window",
    "animate",
    "apply",
    "load_preset",
    "load_track",
    "open_provider",
    "read_plate",
    "render",
    "save_track",
    "track_shot",
    "write_plate",
]


def test_the_public_names_are_these_and_all_of_them_resolve():
    assert semblance.__all__ == PUBLIC == sorted(PUBLIC)
    assert dir(semblance) == PUBLIC
    for name in PUBLIC:
        assert getattr(semblance, name).__module__.startswith("semblance.")
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = semblance.nothing


def test_every_error_is_public_and_descends_from_one_root():
    leaves = {
        name
        for name, each in vars(errors).items()
        if inspect.isclass(each) and issubclass(each, Exception) and each is not Exception
    }
    assert leaves <= set(PUBLIC)
    assert all(issubclass(getattr(errors, name), errors.SemblanceError) for name in leaves)


def _run(code: str) -> str:
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_portable_modules_need_the_standard_library_alone():
    allowed = {"semblance", *(f"semblance.{name}" for name in PORTABLE)}
    code = f"""
import sys

class Block:
    def find_spec(self, name, path=None, target=None):
        root = name.partition(".")[0]
        if root not in sys.stdlib_module_names and name not in {allowed!r}:
            raise ImportError("blocked: " + name)

sys.meta_path.insert(0, Block())
from semblance import {", ".join(PORTABLE)}
assert knobs.Knobs.from_flat({{"mix": 0.5}}).blend.mix == 0.5
assert forms.markdown() and forms.farm_parameters()
assert preset.animate({{"mix": {{"1": 0.0, "3": 1.0}}}})(2).blend.mix == 0.5
"""
    _run(code)


@pytest.mark.parametrize("name", PORTABLE)
def test_portable_modules_are_written_in_the_syntax_of_old_hosts(name):
    source = Path(semblance.__path__[0], f"{name}.py").read_text(encoding="utf-8")
    ast.parse(source, feature_version=(3, 9))


@pytest.mark.parametrize("words", [[], ["apply"], ["train"], ["track"], ["release", "new"]])
def test_help_loads_nothing_heavy(words):
    code = f"""
import sys
from semblance.cli import main
assert main([*{words!r}, "--help"]) == 0
loaded = sorted(set({HEAVY!r}) & set(sys.modules))
assert not loaded, loaded
"""
    assert "Usage: semblance" in _run(code)
