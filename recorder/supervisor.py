"""One supervisor per host: one child for each session that is to be recorded, whatever happens to either."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from uuid import UUID

from recorder.budget import Budget, Load
from recorder.charge import Charge, Desk, Policy
from recorder.errors import RecorderError, SpoolBusy
from recorder.recovery import recover, unclosed
from recorder.spool import Spool
from recorder.take import Lock
from recorder.view import NO_TAKE, Desired, Event, EventKind, NotYet, Tenure, View, Wanted

__all__ = [
    "NO_TAKE",
    "Desired",
    "Event",
    "EventKind",
    "Load",
    "NotYet",
    "Policy",
    "Supervisor",
    "Tenure",
    "View",
    "Wanted",
]

log = logging.getLogger("recorder")
STEP = 0.2
# What is wanted is a question to the database: at each step it took 1.5 % of a core of an idle host.
ASK_EVERY = 0.4
BEAT_EVERY = 2.0
RESERVE_EVERY = 30.0
LAST_REPORTS_WITHIN = 3.0


class Supervisor:
    """Keeps this host's recordings as the view wants them. `run` until `stop`, which any thread may call.

    `committed(session, take)` is called soon after a child has committed a segment: a hint for whoever takes
    segments out of the spool. `loaded(load)` is called with every beat. What the view raises is logged, and
    tried again; it stops no recording.
    """

    def __init__(
        self,
        spool: Spool,
        view: View,
        *,
        host: str,
        policy: Policy | None = None,
        committed: Callable[[UUID, int], None] | None = None,
        loaded: Callable[[Load], None] | None = None,
    ) -> None:
        self._spool, self._view, self._loaded = spool, view, loaded
        self._desk = Desk(spool, view, host, policy or Policy(), committed)
        self._budget = Budget(self._desk.policy.cores)
        self._charges: dict[UUID, Charge] = {}
        self._unclosed: set[tuple[UUID, int]] = set()
        self._stopping = False
        self._next_ask = self._next_beat = self._next_reserve = self._next_recovery = 0.0

    def stop(self) -> None:
        """Have `run` close all recordings and return. For signal handlers, too: it takes no lock."""
        self._stopping = True

    @property
    def children(self) -> dict[UUID, int]:
        """The process number of each running child, by session."""
        running = ((session, charge.keeper) for session, charge in list(self._charges.items()))
        return {session: keeper.pid for session, keeper in running if keeper is not None}

    def run(self) -> None:
        """Supervise until stopped. `SpoolBusy` when another supervisor has this spool."""
        busy = f"Another recorder supervisor works on the spool {self._spool.root}. Stop it first."
        with Lock(self._spool.root / "supervisor.lock", busy=busy):
            self._unclosed = set(unclosed(self._spool))
            while not self._stopping:
                self._step()
                time.sleep(STEP)
            self._close()

    def _step(self) -> None:
        now = time.monotonic()
        if now >= self._next_beat:
            self._next_beat = now + BEAT_EVERY
            self._beat()
        self._keep_house(now)
        self._look()
        if now >= self._next_ask:
            self._next_ask = now + ASK_EVERY
            wanted = self._wanted()
            if wanted is not None:
                self._steer(wanted)

    def _look(self) -> None:
        for charge in self._charges.values():
            _let(charge, charge.look)

    def _steer(self, wanted: Sequence[Wanted]) -> None:
        by_session = {one.session: one for one in wanted}
        unclosed_here = {session for session, _ in self._unclosed}
        for session in by_session:
            self._charges.setdefault(session, Charge(session, self._desk))
        for session, charge in list(self._charges.items()):
            if session not in unclosed_here:
                room = partial(self._no_room, session)
                _let(charge, partial(charge.steer, by_session.get(session), room=room))
            if session not in by_session and charge.idle:
                del self._charges[session]

    def _no_room(self, session: UUID | None = None) -> str | None:
        """Why no further session is admitted; None when one is.

        What was recorded here before goes on whatever it takes: a gap would be the greater loss.
        """
        policy = self._desk.policy
        if len(self.children) >= policy.maximum_sessions:
            return (
                f"Host {self._desk.host} already records {policy.maximum_sessions} sessions, its maximum. "
                "Stop one, raise the maximum or add a host."
            )
        free = self._spool.free_bytes()
        if free < policy.minimum_free_bytes:
            return (
                f"The spool {self._spool.root} has {free / 2**30:.1f} GiB free, "
                f"{policy.minimum_free_bytes / 2**30:.1f} GiB are needed. Free space there."
            )
        if session is not None and any(self._spool.takes_of(session)):
            return None
        refusal = self._budget.load(len(self.children)).refusal
        return refusal and f"Host {self._desk.host} is fully used: {refusal}"

    def _keep_house(self, now: float) -> None:
        """Close the takes of dead recorders; hold the reserve again once there is room."""
        if self._unclosed and now >= self._next_recovery:
            self._next_recovery = now + 1
            for session, take in sorted(self._unclosed):
                self._recover(session, take)
        if now >= self._next_reserve:
            self._next_reserve = now + RESERVE_EVERY
            try:
                self._spool.hold_reserve()
            except RecorderError as error:
                log.warning("%s", error)

    def _recover(self, session: UUID, take: int) -> None:
        try:
            recover(self._spool, session, take=take, reason="the recorder stopped unexpectedly")
        except SpoolBusy:
            return  # its child still lives, and is about to notice that its supervisor does not
        except (RecorderError, OSError):
            log.warning("Take %s of session %s is not recovered yet.", take, session, exc_info=True)
            return
        self._unclosed.discard((session, take))

    def _wanted(self) -> Sequence[Wanted] | None:
        try:
            return self._view.wanted()
        except Exception:
            log.warning("What is wanted cannot be read now; everything goes on as it is.", exc_info=True)
            return None

    def _beat(self) -> None:
        try:
            self._view.beat()
        except Exception:
            log.warning("The host's lease could not be renewed now.", exc_info=True)
        self._budget.look(self.children)
        if self._loaded is not None:
            try:
                self._loaded(replace(self._budget.load(len(self.children)), refusal=self._no_room()))
            except Exception:
                log.warning("What this host has to do could not be told now.", exc_info=True)

    def _close(self) -> None:
        """Have all children close their takes, wait for them, and deliver what can be delivered."""
        for charge in self._charges.values():
            charge.interrupt()
        while self.children:
            self._look()
            time.sleep(STEP / 4)
        until = time.monotonic() + LAST_REPORTS_WITHIN
        while any(not charge.idle for charge in self._charges.values()) and time.monotonic() < until:
            self._look()
            time.sleep(STEP)


def _let(charge: Charge, act: Callable[[], None]) -> None:
    """Whatever goes wrong with one session, even by a defect of ours, must end no other's recording."""
    try:
        act()
    except Exception:
        log.warning("Session %s cannot be seen to now; trying again.", charge.session, exc_info=True)
