"""How long something is waited for, by a clock that stands still while this process does.

A machine that swaps, or one that is paused, gives nobody the time to answer, and us none to read an answer.
"""

import time

# Of a longer step nobody knows what was in it: it counts as one of these.
LONGEST_STEP = 2.0


class Patience:
    """So many seconds of waiting. Whoever waits asks often whether they are over."""

    def __init__(self, seconds: float, *, longest_step: float = LONGEST_STEP) -> None:
        self.left = seconds
        self._longest = longest_step
        self._asked = time.monotonic()

    def is_over(self) -> bool:
        """True when the seconds are over, those left out in which nobody asked."""
        now = time.monotonic()
        self.left -= min(now - self._asked, self._longest)
        self._asked = now
        return self.left <= 0
