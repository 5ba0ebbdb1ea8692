from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

CORE = Path(__file__).parents[1] / "core" / "semblance"


def test_onnx_runtime_is_imported_in_one_place_and_told_to_keep_to_itself() -> None:
    importing = re.compile(r"^\s*(import onnxruntime|from onnxruntime)", re.MULTILINE)
    found = [path.name for path in CORE.rglob("*.py") if importing.search(path.read_text())]
    assert found == ["runtime.py"]
    told = subprocess.run(
        [
            sys.executable,
            "-c",
            "import os, semblance.model; print(os.environ['ORT_DISABLE_TELEMETRY'])",
        ],
        capture_output=True,
        text=True,
        check=True,
    )
    assert told.stdout.strip() == "1"
