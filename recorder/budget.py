"""How much of the machine recordings use, measured, and whether one more fits."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID

SHARE = (
    0.85  # of the processor time that there is: the rest is for bursts, and for whoever shares the machine
)
UNMEASURED = 0.25  # cores that a session counts for until it has been measured
MEASURED_AFTER = 5.0  # seconds from when on a session's own figure counts
MEMORY = 20.0  # seconds that its figure looks back
# Seconds: so long nobody looks only where the machine stood still, its sessions too. That tells of none.
UNSEEN = 6.0
TICKS = os.sysconf("SC_CLK_TCK")
CGROUP = Path("/sys/fs/cgroup/cpu.max")


@dataclass(frozen=True)
class Load:
    """What recordings use of a host now, in cores. `limit` is what they may use; None: there is none."""

    sessions: int
    used: float
    one_more: float
    limit: float | None
    refusal: str | None


@dataclass
class _Use:
    began: float
    at: float
    seconds: float
    cores: float = 0.0

    def note(self, seconds: float, *, now: float) -> None:
        """The processor seconds used so far; the recent counts most."""
        passed = now - self.at
        if passed <= 0:
            return
        if passed > UNSEEN:
            self.began, self.at, self.seconds = self.began + passed, now, seconds
            return
        recent = max(0.0, seconds - self.seconds) / passed
        # In the beginning all that is known counts alike; later the last twenty seconds do.
        weight = max(passed / max(passed, now - self.began), min(1.0, passed / MEMORY))
        self.cores += weight * (recent - self.cores)
        self.at, self.seconds = now, seconds


class Budget:
    """The processor time of all sessions of a host, against what recordings may use (`limit`, in cores).

    What one more session takes is what those here take on average, by measurement; before one was measured
    for a few seconds, it is a quarter of a core.
    """

    def __init__(self, limit: float | None) -> None:
        self._limit = limit
        self._uses: dict[UUID, _Use] = {}
        self._one_more = UNMEASURED

    def look(self, children: Mapping[UUID, int], *, now: float | None = None) -> None:
        """Measure each session's process and what it has started; call it every few seconds."""
        now = time.monotonic() if now is None else now
        self._uses = {session: use for session, use in self._uses.items() if session in children}
        for session, pid in children.items():
            seconds = processor_seconds(pid)
            self._uses.setdefault(session, _Use(now, now, seconds)).note(seconds, now=now)
        known = [use.cores for use in self._uses.values() if use.at - use.began >= MEASURED_AFTER]
        if known:
            self._one_more = sum(known) / len(known)

    def load(self, sessions: int) -> Load:
        """How things stand with so many sessions, of which the newest may not have been looked at."""
        used = sum(
            use.cores if use.at - use.began >= MEASURED_AFTER else max(use.cores, self._one_more)
            for use in self._uses.values()
        )
        used += self._one_more * max(0, sessions - len(self._uses))
        return Load(sessions, used, self._one_more, self._limit, self._refusal(sessions, used))

    def _refusal(self, sessions: int, used: float) -> str | None:
        if self._limit is None or not sessions or used + self._one_more <= self._limit:
            return None
        return (
            f"its {sessions} recordings use {used:.2f} cores of the {self._limit:.2f} that they may, "
            f"and one more takes about {self._one_more:.2f}. Stop one, lower frame rates or add a host."
        )


def usable_cores() -> float:
    """The cores that this process may use, by its affinity and its control group."""
    cores = float(len(os.sched_getaffinity(0)))
    try:
        quota, period = CGROUP.read_text().split()
    except (OSError, ValueError):
        return cores
    return cores if quota == "max" else min(cores, int(quota) / int(period))


def processor_seconds(pid: int) -> float:
    """What a process and all that it has started have used so far, in seconds."""
    return sum(_own_seconds(one) for one in _family(pid))


def _family(pid: int) -> Iterator[int]:
    yield pid
    try:
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    except OSError:
        return
    for child in children:
        yield from _family(int(child))


def _own_seconds(pid: int) -> float:
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return (int(fields[11]) + int(fields[12])) / TICKS
