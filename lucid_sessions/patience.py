"""How long something is waited for, by a clock that stands still while this process does.

A machine that swaps, or one that is paused, gives nobody the time to answer, and us none to read an answer.
"""

from recorder.silence import UNWATCHED, Silence


class Patience:
    """So many seconds of waiting. Whoever waits asks often whether they are over."""

    def __init__(self, seconds: float, *, longest_step: float = UNWATCHED) -> None:
        self._seconds = seconds
        self._silence = Silence(longest_step=longest_step)

    @property
    def left(self) -> float:
        """Seconds that are left, those in which nobody asked not counted; negative when they are over."""
        return self._seconds - self._silence.seconds()

    def is_over(self) -> bool:
        """Whether none are left."""
        return self.left <= 0
