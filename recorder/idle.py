"""When has nothing happened for so long that a recording may end? A ticking clock is nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from recorder.silence import UNWATCHED

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from recorder.samples import Seen

UNWATCHED_US = round(UNWATCHED * 1_000_000)
LITTLE = 0.002  # of the screen: more than a clock, less than a line of text


class Idle:
    """Tells that nothing has happened for `seconds`; None: never.

    Pictures are compared with the one that showed the last thing that happened, so that small changes add
    up, and what goes back and forth in one place does not. Of a stretch in which nobody showed anything or
    asked, because the recorder stood still, nobody can say that nothing happened.
    """

    def __init__(self, seconds: float | None) -> None:
        self._limit_us = None if seconds is None else round(seconds * 1_000_000)
        self._seen: NDArray[np.uint32] | None = None
        self._since_us = self._looked_us = 0

    def begin(self, at_us: int) -> None:
        """Recording begins, or goes on, now: what comes next is something that happens."""
        self._since_us = self._looked_us = at_us
        self._seen = None

    def shown(self, seen: Seen, at_us: int) -> None:
        """The screen shows this from now on."""
        if self._limit_us is None:
            return
        self._look(at_us)
        sample = seen.sample
        if self._seen is None or self._seen.shape != sample.shape or self._share(sample) > LITTLE:
            self._seen, self._since_us = sample, at_us

    def used(self, at_us: int) -> None:
        """Somebody is at the desktop now, whether or not that shows."""
        self._since_us = max(self._since_us, at_us)

    def is_over(self, now_us: int) -> bool:
        """Whether it is time to end."""
        self._look(now_us)
        return self._limit_us is not None and now_us - self._since_us >= self._limit_us

    def _look(self, now_us: int) -> None:
        if now_us - self._looked_us > UNWATCHED_US:
            self.used(now_us)
        self._looked_us = max(self._looked_us, now_us)

    def _share(self, sample: NDArray[np.uint32]) -> float:
        return float(np.count_nonzero(self._seen != sample) / sample.size)
