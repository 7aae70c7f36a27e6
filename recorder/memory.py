"""Memory, where the system's way with large pieces costs too much."""

from __future__ import annotations

import ctypes
from contextlib import suppress

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3  # of mallopt, in glibc
_KEPT = 32 * 1024 * 1024
_PR_SET_THP_DISABLE = 41  # of prctl(2)


def refuse_huge_pages() -> None:
    """This process, and those that it starts, get memory by small pages, also where they ask for huge ones.

    x264 asks for them and rounds each picture up to 2 MiB: 4 MB of a session at 1280x720 that nothing is in.
    """
    ctypes.CDLL(None).prctl(_PR_SET_THP_DISABLE, 1, 0, 0, 0)


def keep_freed() -> None:
    """From now on this process keeps some freed memory for what comes next, instead of giving it back.

    Whole pictures come and go: pages that are new for each of them can cost more than what is written there.
    """
    with suppress(AttributeError):  # another C library
        mallopt = ctypes.CDLL(None).mallopt
        mallopt(_MMAP_THRESHOLD, _KEPT)
        mallopt(_TRIM_THRESHOLD, _KEPT)
