"""The test host itself: it drives a plug-in that is right, and catches every seeded fault."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from ofx_host import FACES, FILTER, GENERAL, LAYOUTS, NUKE, Host, Image, Layout, Plugin, Status

EXAMPLE = Path(__file__).parent / "ofx_host" / "example.c"
COMPILER = shutil.which("cc") or shutil.which("gcc")

pytestmark = pytest.mark.skipif(COMPILER is None, reason="no C compiler to build the example with")


@pytest.fixture(scope="module")
def example(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("example") / "example.ofx"
    assert COMPILER is not None
    subprocess.run(
        [COMPILER, "-std=gnu11", "-O1", "-w", "-fPIC", "-shared", str(EXAMPLE), "-o", str(path)],
        check=True,
    )
    return path


def _ramp(width: int, height: int, channels: int) -> np.ndarray:
    values = np.linspace(-2, 50, width * height * channels, dtype=np.float32)
    return values.reshape(height, width, channels)


def _session(path: Path, face: object = NUKE) -> tuple[Host, Plugin]:
    host = Host(face)  # type: ignore[arg-type]
    plugin = Plugin(host, path)
    assert plugin.load() == Status.OK
    plugin.describe()
    return host, plugin


@pytest.mark.parametrize("face", FACES, ids=lambda face: face.name)
def test_a_plugin_that_is_right_passes_in_every_host(example: Path, face: object) -> None:
    host, plugin = _session(example, face)
    instance = plugin.create()
    for layout in LAYOUTS:
        pixels = _ramp(17, 9, 4)
        instance.connect("Source", Image((-3, 5, 14, 14), "RGBA", pixels, layout=layout))
        instance.put(gain=lambda time: time)
        done = instance.frame(2.0, layout=layout)
        assert done is not None
        if face.unconnected == "black":  # type: ignore[attr-defined]
            assert not done.image.top_down[..., :3].any()
        else:
            np.testing.assert_array_equal(done.image.top_down[..., :3], 2 * pixels[..., :3])
    instance.destroy()
    assert plugin.unload() == Status.OK
    host.check()


def test_windows_masks_and_other_bounds(example: Path) -> None:
    host, plugin = _session(example)
    instance = plugin.create(GENERAL)
    pixels = _ramp(8, 8, 3)
    instance.connect("Source", Image((0, 0, 8, 8), "RGB", pixels))
    instance.connect("Mask", Image((2, 2, 4, 9), "Alpha", np.full((7, 2, 1), 0.5, np.float32)))
    done = instance.frame(window=(1, 1, 6, 5))
    assert done is not None
    expected = np.zeros_like(pixels[::-1])
    expected[2:5, 2:4] = 0.5 * pixels[::-1][2:5, 2:4]
    np.testing.assert_array_equal(done.image.pixels[1:5, 1:6], expected[1:5, 1:6])
    assert plugin.descriptors[FILTER].clips
    instance.destroy()
    plugin.unload()
    host.check()


def test_a_host_that_waits_for_the_user_renders_after_a_change(example: Path) -> None:
    host, plugin = _session(example)
    instance = plugin.create()
    instance.connect("Source", Image((0, 0, 8, 8), "RGBA", _ramp(8, 8, 4)))
    instance.put(error="no paint: 100% gone")
    done = instance.frame()
    assert done is not None
    assert done.status == Status.FAILED
    assert done.message == "no paint: 100% gone"
    assert instance.frame() is None
    instance.put(error="")
    assert instance.frame() is not None
    host.check()


def test_abort_at_any_poll_leaves_no_image_behind(example: Path) -> None:
    host, plugin = _session(example)
    instance = plugin.create()
    instance.connect("Source", Image((0, 0, 8, 8), "RGBA", _ramp(8, 8, 4)))
    for poll in range(1, 9):
        done = instance.frame(abort=lambda nth, poll=poll: nth >= poll)
        assert done is not None
        assert done.polls == poll
    host.check()


_FAULT = """
import sys
sys.path.insert(0, {tests!r})
import numpy as np
from pathlib import Path
from ofx_host import NUKE, Host, Image, Layout, Plugin
host = Host(NUKE)
plugin = Plugin(host, Path({path!r}))
plugin.load()
plugin.describe()
instance = plugin.create()
pixels = np.ones((6, 8, 4), np.float32)
instance.connect("Source", Image((0, 0, 8, 6), "RGBA", pixels, layout=Layout(16, True)))
instance.put(error="%d" if {fault!r} == "format" else "")
instance.frame(window=(1, 1, 7, 5), layout=Layout(16, True))
print("\\n".join(host.record.violations))
"""

SEEDED = {
    "label": "letters and digits",
    "index": "at index 7",
    "type": "as type d",
    "unknown": "does not have",
    "readonly": "read-only",
    "late_fetch": "outside the load action",
    "clip_twice": "defined twice",
    "param_twice": "defined twice",
    "no_display": "DisplayMin",
    "format": "format",
    "not_at_time": "not AtTime",
    "other_time": "is read at 2.0",
    "set_in_render": "was set in this action",
    "dangling": "while rendering",
    "wrong_handle": "Effect expected",
    "unknown_param": "no parameter b'gane'",
    "underrun": "were not written",
    "overrun": "outside the render window",
    "off_window": "were not written",
    "leak": "not released: Source",
    "release_twice": "dangling handle of a HeldImage",
    "write_input": None,
    "touch_handle": None,
    "use_released": None,
    "beyond": None,
    "pitch": None,
}
"""Each fault of the example, and what the host says of it; None where the process must die."""


@pytest.mark.parametrize("fault", SEEDED)
def test_the_host_catches(example: Path, fault: str) -> None:
    script = _FAULT.format(tests=str(EXAMPLE.parents[1]), path=str(example), fault=fault)
    ran = subprocess.run(
        [sys.executable, "-c", script],
        env={"FAULT": fault, "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=False,
    )
    said = SEEDED[fault]
    if said is None:
        assert ran.returncode < 0, ran.stdout
    else:
        assert ran.returncode == 0, ran.stderr
        assert said in ran.stdout


def test_a_string_holds_until_the_next_call_only(example: Path, monkeypatch: object) -> None:
    monkeypatch.setenv("FAULT", "keep_string")  # type: ignore[attr-defined]
    host, plugin = _session(example)
    instance = plugin.create()
    instance.connect("Source", Image((0, 0, 8, 8), "RGBA", _ramp(8, 8, 4)))
    instance.put(error="kept")
    done = instance.frame()
    assert done is not None
    assert done.status == Status.FAILED
    assert not done.message
    host.check()


def test_guard_pages_lie_against_both_ends() -> None:
    for against in ("start", "end"):
        image = Image((0, 0, 3, 3), "RGB", layout=Layout(against=against))  # type: ignore[arg-type]
        assert (image.address % 4096 == 0) == (against == "start")
