"""What a process and its children take of the machine: processor time and memory, from /proc."""

import os
import time
from dataclasses import dataclass
from pathlib import Path

TICKS = os.sysconf("SC_CLK_TCK")


def family(pid: int) -> list[int]:
    """The process and everything that it has started."""
    try:
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    except OSError:
        return []
    return [pid, *(number for child in children for number in family(int(child)))]


def cpu_seconds(pids: list[int]) -> float:
    """Processor seconds that these processes have used so far."""
    total = 0
    for pid in pids:
        try:
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue
        total += int(fields[11]) + int(fields[12])
    return total / TICKS


def pss_megabytes(pid: int) -> float:
    """Memory of one process, what it shares divided among those who share it; 10^6 bytes."""
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1]) * 1024 / 1e6
    return 0.0


@dataclass
class Meter:
    """The share of a core that a process and its children use, from its making on."""

    pid: int

    def __post_init__(self) -> None:
        self.began, self.used = time.monotonic(), cpu_seconds(family(self.pid))

    def share(self) -> float:
        """Per cent of one core."""
        used = cpu_seconds(family(self.pid)) - self.used
        return 100 * used / (time.monotonic() - self.began)
