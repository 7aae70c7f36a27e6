"""An X server's own time, as it stands in events, on our clock."""

from __future__ import annotations

SAME_CLOCK_WITHIN_MS = 10_000


def monotonic_ns(ms: int, *, heard_ns: int) -> int | None:
    """When something happened, on CLOCK_MONOTONIC; None when the server goes by another clock.

    A display's time is CLOCK_MONOTONIC in 32 bits of milliseconds, unless it is on another machine.
    """
    heard_ms = heard_ns // 1_000_000
    behind = (heard_ms - ms + 2**31) % 2**32 - 2**31
    if -1000 <= behind <= SAME_CLOCK_WITHIN_MS:
        return min(heard_ns, (heard_ms - behind) * 1_000_000)
    return None
