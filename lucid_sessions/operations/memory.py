"""Where a process's memory is, while somebody wants to know: PYTHONTRACEMALLOC=5 in its environment.

Once a minute the log names the lines that hold most and those that grew most since the last time. Tracing
costs a quarter of the memory again and half the speed, so it is for one service and for an hour.
"""

import os
import threading
import time
import tracemalloc
from typing import TypeVar

import structlog

log = structlog.get_logger(__name__)

EVERY_SECONDS = 60.0
MOST_LINES = 10

Line = TypeVar("Line", tracemalloc.Statistic, tracemalloc.StatisticDiff)


def watch() -> bool:
    """True when this process, and those forked from it, report from now on; False unless it is traced."""
    if not tracemalloc.is_tracing():
        return False
    os.register_at_fork(after_in_child=_begin)
    _begin()
    return True


def _begin() -> None:
    threading.Thread(target=_go_on, name="memory", daemon=True).start()


def _go_on() -> None:
    last: tracemalloc.Snapshot | None = None
    while True:
        time.sleep(EVERY_SECONDS)
        last = report(last)


def report(before: tracemalloc.Snapshot | None) -> tracemalloc.Snapshot:
    """Where the memory is now, which is logged beside what came since `before`."""
    now = tracemalloc.take_snapshot()
    most = _others(now.statistics("lineno"))
    grown = _others(now.compare_to(before, "lineno")) if before else []
    log.info(
        "memory",
        traced_mib=round(tracemalloc.get_traced_memory()[0] / 2**20, 1),
        holds_most=[f"{one.traceback} {one.size / 2**20:.1f} MiB" for one in most],
        grew_most=[f"{one.traceback} {one.size_diff / 2**20:+.1f} MiB" for one in grown if one.size_diff > 0],
    )
    return now


def _others(lines: list[Line]) -> list[Line]:
    """The first of those that are not the tracing's own; asked of each line, not of each allocation."""
    return [one for one in lines if one.traceback[0].filename != tracemalloc.__file__][:MOST_LINES]
