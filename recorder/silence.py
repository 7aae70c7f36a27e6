"""How long somebody has been silent, or has taken, by a clock that stands still with its owner."""

from __future__ import annotations

import time

# A process that stood still for longer (a machine that swaps or was paused) did not wait meanwhile: what it
# waits for may have come, or have stood still as well.
UNWATCHED = 2.0


class Silence:
    """Seconds without a word. Ask often: a stretch in which nobody asked counts as `longest_step` at most."""

    def __init__(self, *, longest_step: float = UNWATCHED) -> None:
        self._longest_step = longest_step
        self._since = self._asked = time.monotonic()

    def broken(self) -> None:
        """Something was heard; any thread may say so."""
        self._since = time.monotonic()

    def seconds(self) -> float:
        """How long it has lasted."""
        now = time.monotonic()
        held_up = now - self._asked - self._longest_step
        if held_up > 0:
            self._since = min(now, self._since + held_up)
        self._asked = now
        return now - self._since
