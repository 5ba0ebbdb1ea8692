"""The process's own memory: what programs that render many frames set once."""

from __future__ import annotations

import ctypes
import sys
from contextlib import suppress

__all__ = ["keep_freed"]

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3  # M_… of mallopt(3)


def keep_freed() -> None:
    """Keep freed memory for the next frame, where the C library is glibc; elsewhere do nothing.

    A frame's arrays are of some megabytes each. By default they are given back to the system when
    they are freed, and every page of the next frame's has to be fetched and cleared anew: that
    takes a fifth of the frame path's time. For whole processes, not for a library inside a host.
    """
    if not sys.platform.startswith("linux"):
        return
    with suppress(OSError, AttributeError):  # another C library has no mallopt
        libc = ctypes.CDLL(None)
        libc.mallopt(_MMAP_THRESHOLD, 32 << 20)  # glibc takes no more
        libc.mallopt(_TRIM_THRESHOLD, 1 << 30)
