"""The session's timeline: CLOCK_MONOTONIC, so that a step of the wall clock never bends a recording."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from pathlib import Path

TICKS = 90_000  # a second; the timescale of what the recorder encodes itself


def boot_id() -> str:
    """This boot's identity: monotonic times compare only within one boot."""
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()


def boot_ms() -> int:
    """Milliseconds since this boot, those of sleep too: a moment that other processes here can place."""
    return time.clock_gettime_ns(time.CLOCK_BOOTTIME) // 1_000_000


def us_of(ticks: int, timescale: int = TICKS) -> int:
    """Microseconds of a tick, rounded down: equal ticks give equal names."""
    return ticks * 1_000_000 // timescale


def ticks_of(us: int, timescale: int = TICKS) -> int:
    """The tick of a time on the timeline; undoes `us_of` exactly for any timescale up to a million."""
    return -(-us * timescale // 1_000_000)


@dataclass(frozen=True)
class Timeline:
    """Session time: zero is `origin_ns` on CLOCK_MONOTONIC, when the session's first take began."""

    origin_ns: int
    _wall_at_origin_ns: int = field(default=0)

    @classmethod
    def starting_now(cls, offset_us: int = 0) -> Timeline:
        """A timeline on which it is `offset_us` now."""
        return cls.since(time.monotonic_ns() - offset_us * 1000)

    @classmethod
    def since(cls, origin_ns: int) -> Timeline:
        """The timeline that began at this reading of CLOCK_MONOTONIC."""
        return cls(origin_ns, time.time_ns() - (time.monotonic_ns() - origin_ns))

    def now_us(self) -> int:
        """Microseconds since the session began."""
        return (time.monotonic_ns() - self.origin_ns) // 1000

    @property
    def origin_wall_ms(self) -> int:
        """The wall clock at zero, as it was known when this timeline was made."""
        return self._wall_at_origin_ns // 1_000_000

    def wall_ms(self, at_us: int) -> int:
        """The wall clock (as it goes now, steps and all) at a time on the timeline, in milliseconds."""
        return (time.time_ns() // 1000 - self.now_us() + at_us) // 1000

    def wall_step_ms(self) -> int:
        """How far the wall clock has been moved since this timeline was made; recorded, never followed."""
        return self.wall_ms(0) - self.origin_wall_ms
