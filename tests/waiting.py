"""How long the tests wait for what has to happen: one bound, for the slowest hour of a shared machine.

It promises no speed, which benchmarks/ measure: it ends a test of something that will never happen. What has
no bound of its own is ended by pytest's `--timeout`, which is longer.
"""

import time
from collections.abc import Callable
from typing import Any

PATIENCE = 300.0

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
