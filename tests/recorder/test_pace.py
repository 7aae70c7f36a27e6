"""Pictures come at the wanted rate; a machine that cannot keep it lowers it, says so, and raises it again."""

from dataclasses import dataclass, field
from pathlib import Path

from recorder.pace import NS, Pace, Slot
from recorder.settings import Settings
from recorder.spool import Spool
from tests.waiting import until

from .stage import QUICK, SMALL, Child, assert_gapless, segments


@dataclass
class Clock:
    """Time that passes only as pictures are taken: no waiting, no luck."""

    pace: Pace
    now_ns: int = 1_000 * NS
    began: list[int] = field(default_factory=list)

    def run(self, seconds: float, *, cost_ms: float) -> int:
        """Take pictures as soon as they are due, each at this cost; how many."""
        until, before = self.now_ns + int(seconds * NS), len(self.began)
        while self.now_ns < until:
            self.now_ns += max(0, self.pace.due_in_ns(self.now_ns))
            self.began.append(self.now_ns)
            spent = int(cost_ms * 1_000_000)
            unseen_ns = self.now_ns if spent > self.pace.interval_ns else None
            self.pace.took(Slot(self.now_ns, spent), unseen_ns=unseen_ns)
            self.now_ns += spent
        return len(self.began) - before


def test_a_rate_that_can_be_kept_is_kept_exactly() -> None:
    clock = Clock(Pace(30))
    assert clock.run(100, cost_ms=20) in (3000, 3001)
    assert (clock.pace.rate, clock.pace.lowered, clock.pace.dropped) == (30, 0, 0)


def test_one_slow_picture_costs_its_place_and_not_the_rate() -> None:
    clock = Clock(Pace(30))
    clock.run(2, cost_ms=10)
    clock.run(0.1, cost_ms=150)
    clock.run(2, cost_ms=10)
    assert (clock.pace.rate, clock.pace.dropped) == (30, 4)


def test_only_pictures_that_would_have_shown_something_new_are_dropped() -> None:
    pace, ms = Pace(30), 1_000_000
    for changed_ms, dropped in ((0, 2), (30, 2), (40, 1), (65, 1), (67, 0), (79, 0)):
        before = pace.dropped
        pace.took(Slot(5 * NS, 80 * ms), unseen_ns=5 * NS + changed_ms * ms)
        assert pace.dropped - before == dropped
    pace.took(Slot(6 * NS, 80 * ms), unseen_ns=None)
    assert pace.dropped == 6


def test_pictures_that_come_one_by_one_do_not_lower_the_rate_however_long_they_take() -> None:
    pace = Pace(30)
    for second in range(60):
        pace.took(Slot(second * NS, NS // 20), unseen_ns=None)
    assert (pace.rate, pace.lowered) == (30, 0)


def test_the_rate_goes_down_in_steps_to_what_can_be_kept_and_up_again_with_room() -> None:
    clock = Clock(Pace(60))
    clock.run(30, cost_ms=45)
    assert clock.pace.rate == 20
    assert clock.pace.lowered == 5
    dropped = clock.pace.dropped
    assert dropped > 0
    clock.run(30, cost_ms=45)
    assert (clock.pace.rate, clock.pace.dropped) == (20, dropped)
    clock.run(60, cost_ms=4)
    assert clock.pace.rate == 60
    assert clock.run(1, cost_ms=4) in (60, 61)


def test_it_does_not_swing_between_two_rates() -> None:
    clock = Clock(Pace(30))
    clock.run(20, cost_ms=38)
    lowered = clock.pace.lowered
    clock.run(300, cost_ms=38)
    assert (clock.pace.rate, clock.pace.lowered) == (25, lowered)


def test_the_slowest_is_one_picture_a_second() -> None:
    clock = Clock(Pace(2))
    clock.run(60, cost_ms=3000)
    assert (clock.pace.rate, clock.pace.lowered) == (1, 1)


def test_a_screen_too_large_for_this_machine_is_recorded_more_slowly_and_says_so(tmp_path: Path) -> None:
    spool = Spool(tmp_path)
    settings = Settings(frame_rate=60, quality="high", segment_seconds=1)
    with Child(spool, "synthetic://5120x2880", settings=settings) as child:
        told = until(lambda: [one["facts"] for one in child.lines if one["facts"].get("rate_lowered")])
        until(lambda: len(list(spool.segments())) >= 2)
        assert child.end() == 0
    assert told[-1]["frame_rate"] < 60
    assert told[-1]["dropped_frames"] > 0
    assert_gapless([name for _, name in segments(spool, child.directory)])


def test_a_small_screen_keeps_its_rate(tmp_path: Path) -> None:
    with Child(Spool(tmp_path), SMALL, settings=QUICK) as child:
        beat = until(lambda: [one for one in child.lines if one["facts"].get("segments", 0) >= 2])[-1]
        assert child.end() == 0
    assert beat["facts"]["frame_rate"] == QUICK.frame_rate
