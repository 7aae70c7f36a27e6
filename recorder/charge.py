"""One session in this host's care: its child, its takes, and what has yet to be reported about it."""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any
from uuid import UUID

from recorder.continuation import account_for_the_end, orders_for
from recorder.errors import RecorderError
from recorder.keeper import Keeper, News, describe_exit
from recorder.recovery import recover
from recorder.silence import Silence
from recorder.spool import Spool
from recorder.take import Progress
from recorder.view import NO_TAKE, Event, EventKind, NotYet, View, Wanted

log = logging.getLogger("recorder")
WORDS = {"record": "resume", "pause": "pause", "stop": "stop"}
ATTENTION = {True: "watched", False: "unwatched"}
HAPPENINGS: dict[str, EventKind] = {"connected": "connected", "recording": "recording", "paused": "paused"}
OVER: dict[str, EventKind] = {"ended": "ended", "failed": "failed"}


@dataclass(frozen=True)
class Policy:
    """How a supervisor treats its children; seconds where not said otherwise.

    One that ends may take `stop_within` from its last word on, and `stop_at_last` in all.
    `cores` is how much processor time all recordings may use together; None: nobody counts.
    `allowed_targets` are networks that recorders may connect to although they are unusual, such as loopback.
    """

    maximum_sessions: int = 16
    cores: float | None = None
    minimum_free_bytes: int = 0
    stale_after: float = 10.0
    stop_within: float = 20.0
    stop_at_last: float = 40.0
    restarts: int = 8
    first_backoff: float = 0.5
    longest_backoff: float = 30.0
    steady_after: float = 60.0
    statistics_every: float = 10.0
    allowed_targets: tuple[str, ...] = ()


@dataclass(frozen=True)
class Desk:
    """What all sessions of a supervisor share."""

    spool: Spool
    view: View
    host: str
    policy: Policy
    committed: Callable[[UUID, int], None] | None = None


class Charge:
    """Brings one session to what is wanted, a step at a time. No step waits or raises for the view's sake."""

    def __init__(self, session: UUID, desk: Desk) -> None:
        self.session, self._desk = session, desk
        self.keeper: Keeper | None = None
        self._outbox: deque[tuple[int, Event]] = deque()
        self._wanted: Wanted | None = None
        self._finished: int | None = None
        self._last_words: News | None = None
        self._restarts = self._segments = 0
        self._not_before = self._next_statistics = 0.0
        self._ending: Silence | None = None  # since it was asked to end
        self._refused = False

    @property
    def idle(self) -> bool:
        """Whether nothing runs and nothing is left to report."""
        return self.keeper is None and not self._outbox

    def look(self) -> None:
        """Hear the child, notice its silence or its end, and deliver reports."""
        if self.keeper is not None:
            for news in self.keeper.news():
                self._hear(self.keeper.take, news)
            self._check_on(self.keeper)
        self._deliver()

    def steer(self, wanted: Wanted | None, *, room: Callable[[], str | None]) -> None:
        """One step towards what is wanted; `room` says why no further session fits, if so."""
        self._wanted = wanted or self._wanted
        if self.keeper is not None:
            self._ask(WORDS[wanted.desired] if wanted else "stop")
            self.keeper.say(ATTENTION[wanted is not None and wanted.watched], about="attention")
        elif wanted is not None and not self._outbox and wanted.take != (self._finished or -1):
            if wanted.desired == "stop":
                self._finish(wanted.take or NO_TAKE, Event("ended", "stopped"))
            elif wanted.desired == "record" and time.monotonic() >= self._not_before:
                self._start(wanted, room)

    def interrupt(self) -> None:
        """The supervisor ends: have the child close its take so that another can continue."""
        self._ask("interrupt")

    def _ask(self, word: str) -> None:
        if self.keeper is None or self._ending is not None:
            return
        self.keeper.say(word)
        if word in ("stop", "interrupt"):
            self._ending = Silence()

    def _start(self, wanted: Wanted, room: Callable[[], str | None]) -> None:
        self._not_before = time.monotonic() + 1  # whatever it is that comes to nothing now
        if wanted.take is not None and self._was_over(wanted.take):
            return
        refusal = room()
        if refusal is not None:
            self._refuse(refusal)
            return
        try:
            tenure = self._desk.view.claim(self.session)
        except Exception:
            log.warning("Session %s could not be claimed now; trying again.", self.session, exc_info=True)
            tenure = None
        if tenure is None:
            return
        self._refused, self._finished, self._ending = False, None, None
        self._last_words, self._segments = None, 0
        try:
            orders = orders_for(
                self._desk.spool,
                wanted,
                tenure=tenure,
                host=self._desk.host,
                allowed=self._desk.policy.allowed_targets,
            )
            if orders.missing is not None:  # should its recorder die before it begins: there the take stands
                begun = Progress(0, orders.missing.from_us)
                begun.write(self._desk.spool.make_take(self.session, tenure.take), "screen")
            self.keeper = Keeper(orders)
        except (OSError, RecorderError) as error:
            self._lost(tenure.take, f"no recorder could be started: {error}")

    def _was_over(self, take: int) -> bool:
        """Whether a take of an earlier life of this supervisor came to its end; then that is reported."""
        closed = self._desk.spool.closed(self._desk.spool.take_directory(self.session, take)).get("screen")
        if closed is None or closed.ending not in OVER:
            return False
        self._finish(take, Event(OVER[closed.ending], closed.reason, {"end_us": closed.end_us}))
        return True

    def _refuse(self, reason: str) -> None:
        if not self._refused:
            self._refused = True
            self._outbox.append((NO_TAKE, Event("failed", reason, {"refused": True})))

    def _hear(self, take: int, news: News) -> None:
        if news.kind in ("ended", "failed", "interrupted"):
            self._last_words = news
        elif news.kind in HAPPENINGS:
            self._outbox.append((take, Event(HAPPENINGS[news.kind], news.reason, news.facts)))
        self._note_segments(take, int(news.facts.get("segments", self._segments)))
        if news.kind == "heartbeat" and news.facts and time.monotonic() >= self._next_statistics:
            self._next_statistics = time.monotonic() + self._desk.policy.statistics_every
            self._mention(take, Event("statistics", "", news.facts))

    def _note_segments(self, take: int, segments: int) -> None:
        if segments > self._segments:
            self._segments = segments
            self._hint(take)

    def _hint(self, take: int) -> None:
        if self._desk.committed is not None:
            try:
                self._desk.committed(self.session, take)
            except Exception:
                log.warning("The hint for session %s was not taken.", self.session, exc_info=True)

    def _check_on(self, keeper: Keeper) -> None:
        code = keeper.exit_code
        if code is not None:
            keeper.bury()
            for news in keeper.news():
                self._hear(keeper.take, news)
            self.keeper = None
            self._after(keeper, code)
        elif fault := self._fault_of(keeper):
            log.warning("The recorder of session %s %s and is killed.", self.session, fault)
            keeper.kill()

    def _fault_of(self, keeper: Keeper) -> str:
        """What a recorder does for which it is to be killed; empty for one that does well."""
        policy, silent = self._desk.policy, keeper.silent_for()
        if self._ending is None:
            return "is silent" if silent > policy.stale_after else ""
        spent = self._ending.seconds()
        is_stuck = min(spent, silent) > policy.stop_within or spent > policy.stop_at_last
        return "does not end" if is_stuck else ""

    def _after(self, keeper: Keeper, code: int) -> None:
        words = self._last_words
        if words is not None and words.kind in OVER:
            self._make_sure_closed(keeper.take, words.reason)
            self._finish(keeper.take, Event(OVER[words.kind], words.reason, words.facts))
        elif words is not None and words.facts.get("lost"):
            self._forgive(keeper)
            self._lost(keeper.take, words.reason, facts=words.facts)
        elif words is not None:
            self._mention(
                keeper.take, Event("statistics", f"take {keeper.take}: {words.reason}", words.facts)
            )
        else:
            self._forgive(keeper)
            self._lost(keeper.take, describe_exit(code) + self._silence(keeper))

    def _forgive(self, keeper: Keeper) -> None:
        """What ran well for a while earns all attempts anew."""
        if time.monotonic() - keeper.started > self._desk.policy.steady_after:
            self._restarts = 0

    def _silence(self, keeper: Keeper) -> str:
        silent = keeper.silent_for()
        return f" after {silent:.0f} s of silence" if silent > self._desk.policy.stale_after else ""

    def _lost(self, take: int, reason: str, *, facts: Mapping[str, Any] | None = None) -> None:
        """A child died, or lost its source: keep what it recorded; go on as a new take, after a while."""
        self._make_sure_closed(take, reason)
        if self._was_over(take):
            return
        self._restarts += 1
        policy = self._desk.policy
        if self._restarts > policy.restarts:
            text = (
                f"Recording failed {self._restarts} times in a row; last: {reason}. See the recorder's log."
            )
            self._finish(take, Event("failed", text, facts or {}))
            return
        wait = min(policy.longest_backoff, policy.first_backoff * 2 ** (self._restarts - 1))
        self._not_before = time.monotonic() + wait
        said = {**(facts or {}), "restarts": self._restarts, "lost": True}
        self._mention(take, Event("statistics", f"take {take}: {reason}; going on in {wait:g} s", said))

    def _make_sure_closed(self, take: int, reason: str) -> None:
        try:
            recover(self._desk.spool, self.session, take=take, reason=reason)
            self._hint(take)
        except (RecorderError, OSError):
            log.warning("Take %s of session %s is not closed yet.", take, self.session, exc_info=True)

    def _finish(self, take: int, event: Event) -> None:
        """The session is over: what is missing at its end becomes a gap, and then that is told."""
        self._finished, self._restarts = take, 0
        self._outbox.append((take, self._accounted_for(take, event)))
        self._hint(take)

    def _accounted_for(self, take: int, event: Event) -> Event:
        try:
            missing = account_for_the_end(self._desk.spool, self._wanted, take=take) if self._wanted else ""
        except (RecorderError, OSError) as error:
            reason = f"{event.reason}; what is missing before that could not be written down: {error}"
            return replace(event, kind="failed", reason=reason)
        if missing and event.kind == "ended":
            return replace(event, reason=f"{event.reason}; not recorded at last: {missing}")
        return event

    def _deliver(self) -> None:
        while self._outbox:
            take, event = self._outbox[0]
            if not self._report(take, event):
                return
            self._outbox.popleft()

    def _mention(self, take: int, event: Event) -> None:
        """Report what may be lost, after what must not be."""
        self._deliver()
        if not self._outbox:
            self._report(take, event)

    def _report(self, take: int, event: Event) -> bool:
        try:
            self._desk.view.report(self.session, take, event)
        except NotYet:
            return False
        except Exception:
            log.warning("Session %s: %s is not reported yet.", self.session, event.kind, exc_info=True)
            return False
        return True
