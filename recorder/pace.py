"""How often pictures are taken: exactly paced, more slowly when the machine cannot keep up, and counted."""

from __future__ import annotations

from dataclasses import dataclass

NS = 1_000_000_000
STEPS = (60, 50, 40, 30, 25, 20, 15, 12, 10, 8, 6, 5, 4, 3, 2, 1)
FULL, ROOMY = 1.0, 0.6  # parts of an interval that a picture may take: above, too fast; below, room for more
LOWER_AFTER_NS, RAISE_AFTER_NS = 1 * NS, 5 * NS
LOWER_AFTER, RAISE_AFTER = 4, 3  # pictures, at least: one slow picture says nothing
RECENT = 0.25  # the weight of the newest picture in what one costs


@dataclass(frozen=True)
class Slot:
    """One picture: when taking it began, and how long it took until it was encoded."""

    began_ns: int
    spent_ns: int


class Pace:
    """When the next picture is due, at the wanted rate or the highest step below that can be kept."""

    def __init__(self, wanted: int) -> None:
        self._steps = [wanted, *(step for step in STEPS if step < wanted)]
        self._at = 0
        self._next_ns = 0
        self._cost_ns = 0.0
        self._tight = self._roomy = 0
        self._tight_since = self._roomy_since = 0
        self.dropped = self.lowered = 0

    @property
    def rate(self) -> int:
        """Pictures a second, at most, now."""
        return self._steps[self._at]

    @property
    def interval_ns(self) -> int:
        """The time between two pictures, now."""
        return NS // self.rate

    def due_in_ns(self, now_ns: int) -> int:
        """How long the next picture has to wait; none or less: it may be taken."""
        return self._next_ns - now_ns

    def took(self, slot: Slot, *, unseen_ns: int | None) -> None:
        """Account for a picture; since `unseen_ns`, before it was done, something else was to be seen.

        Dropped are the pictures that would have shown it: one for each interval that ended since then.
        """
        missed = 0
        if unseen_ns is not None:
            waited_for = max(0, unseen_ns - slot.began_ns) // self.interval_ns
            missed = max(0, slot.spent_ns // self.interval_ns - waited_for)
        self.dropped += missed
        # The pace is kept over a late picture, but an idle stretch earns no burst.
        self._next_ns += self.interval_ns
        if self._next_ns < slot.began_ns:
            self._next_ns = slot.began_ns + self.interval_ns
        self._cost_ns += RECENT * (slot.spent_ns - self._cost_ns) if self._cost_ns else slot.spent_ns
        self._judge(slot.began_ns + slot.spent_ns, missed=bool(missed))

    def _judge(self, now_ns: int, *, missed: bool) -> None:
        """Step down after a second above what can be kept, up after five seconds with room for it.

        Pictures that came one by one say nothing: the rate was not what they waited for.
        """
        if self._cost_ns <= FULL * self.interval_ns or not missed:
            self._tight, self._tight_since = 0, now_ns
        elif self._tight >= LOWER_AFTER and now_ns - self._tight_since >= LOWER_AFTER_NS:
            self._step(+1, now_ns)
        else:
            self._tight += 1
        if not self._at or self._cost_ns > ROOMY * NS / self._steps[self._at - 1]:
            self._roomy, self._roomy_since = 0, now_ns
        elif self._roomy >= RAISE_AFTER and now_ns - self._roomy_since >= RAISE_AFTER_NS:
            self._step(-1, now_ns)
        else:
            self._roomy += 1

    def _step(self, by: int, now_ns: int) -> None:
        self.lowered += by > 0 and self._at + by < len(self._steps)
        self._at = min(self._at + by, len(self._steps) - 1)
        self._tight = self._roomy = 0
        self._tight_since = self._roomy_since = now_ns
