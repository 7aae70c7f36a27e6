"""The C library's memory, where its way with large pieces costs too much."""

from __future__ import annotations

import ctypes
from contextlib import suppress

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3  # of mallopt, in glibc
_KEPT = 32 * 1024 * 1024


def keep_freed() -> None:
    """From now on this process keeps some freed memory for what comes next, instead of giving it back.

    Whole pictures come and go: pages that are new for each of them can cost more than what is written there.
    """
    with suppress(AttributeError):  # another C library
        mallopt = ctypes.CDLL(None).mallopt
        mallopt(_MMAP_THRESHOLD, _KEPT)
        mallopt(_TRIM_THRESHOLD, _KEPT)
