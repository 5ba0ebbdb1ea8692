"""How large a frame may be: asked of its header, before memory is taken for it.

A plate comes from anyone, and a header of some hundred bytes can promise any number of pixels.
"""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from pathlib import Path
from typing import Final

from semblance.errors import PlateError
from semblance.exr.container import Part
from semblance.plate import Window

__all__ = ["check_memory", "check_size"]

_LARGEST_SIDE: Final = 1 << 16
_MOST_CHANNELS: Final = 1024
_LARGEST_ASPECT: Final = 100.0
_MOST_MEMORY: Final = 16 << 30

_CHECK: Final = "Check the file; crop the frame if it is really as large."


def check_size(part: Part) -> None:
    """Refuse a part that is larger than any frame is, or of pixels that have no shape.

    Raises
    ------
    PlateError
        A side has more than 65,536 pixels, there are more than 1,024 channels, or a pixel is more
        than a hundred times as wide as high, or as high as wide.
    """
    for window in (part.data_window, part.display_window):
        if max(window.width, window.height) > _LARGEST_SIDE:
            raise PlateError(
                f"the header claims {window.width} × {window.height} pixels, more than "
                f"{_LARGEST_SIDE} either way",
                _CHECK,
            )
    if len(part.channels) > _MOST_CHANNELS:
        raise PlateError(
            f"the header claims {len(part.channels)} channels, more than {_MOST_CHANNELS}",
            "Write the frame again with the channels that are needed.",
        )
    if not 1.0 / _LARGEST_ASPECT <= part.pixel_aspect <= _LARGEST_ASPECT:
        raise PlateError(
            f"the header claims a pixel aspect of {part.pixel_aspect:g}, expected a number near 1",
            "Write the frame again with its pixel aspect.",
        )


def check_memory(part: Part, window: Window) -> None:
    """Refuse pixels that would take more than half of the memory that this process may have.

    Parameters
    ----------
    part : Part
    window : Window
        The pixels that would be decoded.

    Raises
    ------
    PlateError
        They are too many.
    """
    size = window.width * window.height * part.pixel_bytes
    most = min(_MOST_MEMORY, _memory() // 2)
    if size > most:
        raise PlateError(
            f"the header claims {window.width} × {window.height} pixels in {len(part.channels)} "
            f"channels ({size / 2**30:.1f} GiB), more than {most / 2**30:.1f} GiB of memory",
            _CHECK,
        )


def _memory() -> int:
    """Return the bytes that this process may have, as far as the system tells."""
    if sys.platform == "win32":
        return 2 * _MOST_MEMORY
    import resource

    found = [os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")]
    found += [each for each in resource.getrlimit(resource.RLIMIT_AS) if each > 0]
    with suppress(OSError, ValueError):  # there is no such group, or it has no limit
        found.append(int(Path("/sys/fs/cgroup/memory.max").read_text()))
    return min(found)
