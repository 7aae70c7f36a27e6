"""Recording a live source: paced, paused and resumed, and closed whatever happens."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from recorder.accompany import places
from recorder.clock import Timeline, ticks_of, us_of
from recorder.companions import Companions
from recorder.errors import SourceLost, Trouble
from recorder.idle import Idle
from recorder.orders import Mailbox, Missing, Orders, Reporter
from recorder.pace import NS, Pace, Slot
from recorder.samples import Samples
from recorder.screen import TRACK, Segmenter, Shown
from recorder.sources import LiveSource, changed_rows, changed_since
from recorder.take import PAUSED, Take

if TYPE_CHECKING:
    from collections.abc import Iterator

    from recorder.samples import Seen

# Seconds: the longest wait before commands are looked at again. Each look costs, most of all where others are
# served too: what it touches has left the caches by then.
NAP = 0.2
# Who did not look for so long has a picture of before for all of it, whatever the desktop showed meanwhile.
UNSEEN_US = 5_000_000
UNSEEN = "nobody could look: the recorder or its machine stood still"


class LiveRecording:
    """One take of a live source. `run` returns why it ended, or raises why it could not go on."""

    def __init__(
        self, take: Take, orders: Orders, *, source: LiveSource, mailbox: Mailbox, reporter: Reporter
    ):
        self._take, self._orders, self._source = take, orders, source
        self._mailbox, self._reporter = mailbox, reporter
        self._segmenter = Segmenter(take, orders.settings, encoded=self._encoded)
        self._companions = Companions(
            take, places(take, orders.settings, source=source, timeline=lambda: self._timeline)
        )
        self._missing = orders.missing
        self._samples = Samples()
        self._pace = Pace(orders.settings.frame_rate)
        self._idle = Idle(orders.settings.idle_seconds)
        quiet = orders.settings.quiet_segment_seconds
        self._quiet, self._stirred = Idle(orders.settings.segment_seconds if quiet else None), 0
        self._next_beat_ns = self._began_us = self._looked_us = self._told_segments = 0
        self._recording = self._is_paused = False
        self._lost: SourceLost | None = None

    def run(self) -> str:
        """Record until stopped or until the maximum duration; why it ended."""
        try:
            return self._run()
        except SourceLost as lost:
            self._lost = lost
            raise

    def _run(self) -> str:
        self._timeline = self._begin()
        for now_us in self._moments():
            if self._mailbox.command == "pause":
                self._pause(now_us)
            else:
                self._is_paused = False
                self._take.resume()
                self._watch()
            if self._is_over():
                return f"maximum duration of {self._orders.settings.maximum_seconds:g} s reached"
            if self._recording and self._idle.is_over(now_us):
                return f"nothing happened for {self._orders.settings.idle_seconds:g} s"
        return self._mailbox.why

    @property
    def trouble(self) -> Trouble | None:
        """Why the spool takes no more, once it does not."""
        return self._segmenter.trouble or self._companions.trouble

    def finish(self) -> int:
        """Close what is open and account for what is missing; the end of the track, microseconds."""
        if self._take.timeline is None:
            return self._missing.from_us if self._missing else 0
        now_us = self._timeline.now_us()
        if self._lost is None or self._lost.heard_ns is None:  # else it is in doubt for longer
            self._look(now_us)
        end_us = self._segmenter.close(now_us)
        self._companions.close(end_us)
        if self._missing is not None:
            self._account(now_us)
            return max(us_of(ticks_of(now_us)), end_us)
        self._doubt(end_us)
        return end_us

    def _look(self, now_us: int) -> None:
        """Say so when nobody has looked for a while: nobody knows what was to be seen."""
        from_us, self._looked_us = self._looked_us, now_us
        if self._recording and now_us - from_us > UNSEEN_US:
            times = us_of(ticks_of(from_us)), us_of(ticks_of(now_us))
            self._take.gap(TRACK, times[0], to_us=times[1], reason=UNSEEN, uncertain=True)

    def _doubt(self, end_us: int) -> None:
        """What was recorded while the source said nothing may not be what it showed."""
        if self._lost is not None and self._lost.heard_ns is not None:
            heard_us = (self._lost.heard_ns - self._timeline.origin_ns) // 1000
            from_us = us_of(ticks_of(max(heard_us, self._began_us)))
            self._take.gap(TRACK, from_us, to_us=end_us, reason=str(self._lost), uncertain=True)

    def _begin(self) -> Timeline:
        """Fix the timeline and record the first picture, unless it is paused; of the first take, at zero."""
        origin = self._orders.origin_ns
        self._source.grab(0)  # the first grab is slow: not on the timeline
        timeline = self._timeline = Timeline.starting_now() if origin is None else Timeline.since(origin)
        self._take.begin(timeline, host=self._orders.host)
        self._began_us = self._looked_us = 0 if origin is None else timeline.now_us()
        if self._mailbox.command == "record":
            self._record(self._began_us)
        return timeline

    def _moments(self) -> Iterator[int]:
        while self._mailbox.command != "stop":
            if self.trouble:
                raise self.trouble
            self._look(self._timeline.now_us())
            self._companions.look(self._timeline.now_us())
            self._note_use(self._timeline.now_us())
            self._beat()
            yield self._timeline.now_us()

    def _watch(self) -> None:
        pause_ns = self._pace.due_in_ns(time.monotonic_ns())
        if pause_ns > 0:
            time.sleep(min(NAP, pause_ns / NS))
            return
        patience = min(NAP, self._segmenter.due_in(self._timeline.now_us()))
        changed = self._source.wait(patience)
        now_us = self._timeline.now_us()
        if changed or self._segmenter.due_in(now_us) == 0 or self._is_awaited():
            self._record(now_us, changed=changed)

    def _is_awaited(self) -> bool:
        """Whether somebody has begun to watch, who should not wait for the end of a drawn-out segment."""
        return self._mailbox.watched and self._segmenter.is_drawn_out

    def _record(self, at_us: int, *, changed: bool = True) -> None:
        began_ns = time.monotonic_ns()
        picture = self._source.grab(at_us)
        self._account(at_us)
        segment_us, rows = self._segmenter.segment_us, changed_rows(self._source)
        seen = self._samples.look(picture, rows)
        shown = Shown(rows, changed, self._is_quiet(seen, at_us), share=seen.changed)
        pushed = self._segmenter.push(picture, at_us, shown=shown)
        if self._segmenter.segment_us != segment_us:
            self._companions.cut(self._segmenter.segment_us)
        if pushed and not self._recording:
            self._recording = True
            self._idle.begin(at_us)
            self._reporter.tell("recording", start_us=at_us, origin_wall_ms=self._timeline.origin_wall_ms)
        if pushed:
            self._companions.shown(seen, at_us)
            self._idle.shown(seen, at_us)
        slot = Slot(began_ns, time.monotonic_ns() - began_ns)
        self._pace.took(slot, unseen_ns=self._unseen_ns(slot))

    def _unseen_ns(self, slot: Slot) -> int | None:
        """Since when something else is to be seen; None: nothing is, or it need not have been seen by now."""
        if slot.spent_ns < self._pace.interval_ns or not self._source.wait(0):
            return None
        since_ns = changed_since(self._source)
        return slot.began_ns if since_ns is None else since_ns

    def _is_quiet(self, seen: Seen, at_us: int) -> bool:
        """Whether for a segment's length nothing shown or done counted, and nobody watches."""
        self._quiet.shown(seen, at_us)
        return self._quiet.is_over(at_us) and not self._mailbox.watched

    def _note_use(self, now_us: int) -> None:
        if self._companions.stirred != self._stirred:
            self._stirred = self._companions.stirred
            self._quiet.used(now_us)
            self._idle.used(now_us)

    def _pause(self, now_us: int) -> None:
        """Told once, also before the first picture."""
        if not self._is_paused:
            self._is_paused = True
            end_us = self._interrupt(now_us)
            self._missing = Missing(end_us, PAUSED, uncertain=False)
            self._take.pause(end_us)
            self._reporter.tell("paused", end_us=end_us)
        time.sleep(NAP / 4)

    def _interrupt(self, now_us: int) -> int:
        """Close what is open; until when it is recorded, or missing for another reason, microseconds."""
        if self._recording:
            self._recording = False
            end_us = self._segmenter.close(now_us)
            self._companions.close(end_us)
            return end_us
        if self._missing is None:
            return self._began_us
        self._account(now_us)
        return us_of(ticks_of(now_us))

    def _account(self, until_us: int) -> None:
        if self._missing is None:
            return
        gap, self._missing = self._missing, None
        to_us = us_of(ticks_of(until_us))
        self._take.gap(TRACK, gap.from_us, to_us=to_us, reason=gap.reason, uncertain=gap.uncertain)
        self._companions.gap(gap, to_us=to_us)

    def _is_over(self) -> bool:
        limit = self._orders.settings.maximum_seconds
        return limit is not None and self._timeline.now_us() - self._began_us >= limit * 1_000_000

    def _beat(self) -> None:
        now_ns = time.monotonic_ns()
        if now_ns >= self._next_beat_ns or self._take.segments != self._told_segments:
            self._told_segments = self._take.segments
            self._next_beat_ns = now_ns + NS
            self._reporter.beat(**self.facts())

    def _encoded(self) -> None:
        """A picture is done, says the encoder's thread: who waits for it, however long, does not hang."""
        self._mailbox.goes_on()
        if time.monotonic_ns() >= self._next_beat_ns + NS:
            self._reporter.beat()

    def facts(self) -> dict[str, int]:
        """Figures so far."""
        return {
            "frames": self._segmenter.frames,
            "dropped_frames": self._pace.dropped,
            "frame_rate": self._pace.rate,
            "rate_lowered": self._pace.lowered,
            "segments": self._take.segments,
            "bytes": self._take.bytes,
            "wall_step_ms": self._take.timeline.wall_step_ms() if self._take.timeline else 0,
        }
