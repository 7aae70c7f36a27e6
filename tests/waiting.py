"""How long the tests wait for what has to happen: one bound, for the slowest hour of a shared machine.

It promises no speed, which benchmarks/ measure: it ends a test of something that will never happen. What has
no bound of its own is ended by pytest's `--timeout`, which is longer.
"""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

PATIENCE = 300.0
NAP, NOTICED = 0.05, 0.2

# How often a time is taken that must be short: whoever else has the processor only ever makes it longer.
TRIES = 8


def until(
    condition: Callable[[], Any], what: str = "", *, seconds: float = PATIENCE, every: float = 0.05
) -> Any:
    """The condition's first true value; fails, and says what it waited for, when none comes."""
    deadline = time.monotonic() + seconds
    while not (value := condition()):
        assert time.monotonic() < deadline, f"not within {seconds:g} s: {what or condition}"
        time.sleep(every)
    return value


def is_over_within(seconds: float, time_taken: Callable[[], float]) -> bool:
    """Whether it takes no longer, of some times at least once."""
    return any(time_taken() < seconds for _ in range(TRIES))


@contextmanager
def stalls() -> Iterator[Callable[[], float]]:
    """How many seconds the machine has had no time for us meanwhile; 0.0 where it had.

    What is promised within a time is promised besides that.
    """
    over, lost = threading.Event(), [0.0]

    def feel() -> None:
        before = time.monotonic()
        while not over.wait(NAP):
            now = time.monotonic()
            late, before = now - before - NAP, now
            lost[0] += late if late > NOTICED else 0.0

    thread = threading.Thread(target=feel, name="stalls", daemon=True)
    thread.start()
    try:
        yield lambda: lost[0]
    finally:
        over.set()
        thread.join()
