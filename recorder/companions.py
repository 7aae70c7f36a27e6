"""The tracks beside the screen. Whatever befalls one of them, the screen goes on."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from recorder.errors import BadSource, DiskFull, SourceAway, SourceMoved
from recorder.take import Take

if TYPE_CHECKING:
    from recorder.orders import Missing
    from recorder.samples import Seen

log = logging.getLogger("recorder")
RETRY_AFTER_US, LONGEST_RETRY_US = 10_000_000, 60_000_000
NEVER_US = 1 << 63


class Companion(Protocol):
    """One epoch of a track beside the screen. Any method may raise; then it is given up.

    One that may lag behind has `reached_us` besides: until when there is something of it; and one that is
    begun before it is known whether anything comes has `has_begun`: whether something has.
    """

    def look(self, now_us: int) -> None:
        """Take in what has come; called several times a second."""
        ...

    def cut(self, at_us: int) -> None:
        """The screen has begun a new segment, its first picture comes next."""
        ...

    def shown(self, seen: Seen) -> None:
        """The screen shows this now; the picture is valid during this call."""
        ...

    def close(self, end_us: int) -> None:
        """Commit what there is: the screen's epoch ended here."""
        ...

    def give_up(self, at_us: int) -> None:
        """Keep what there is until now; nothing more will come."""
        ...


@dataclass
class Place:
    """A wanted track, and how it stands: how to begin it, what runs, since when and why it is missing.

    One that `follows_screen` is made of its pictures: where the screen has a gap, that goes without saying.
    """

    track: str
    begin: Callable[[int], Companion]
    follows_screen: bool = False
    running: Companion | None = None
    begun_us: int = 0
    missing_us: int = 0
    reason: str = ""
    retry_us: int = 0
    retry_after_us: int = RETRY_AFTER_US


class Companions:
    """All tracks beside the screen. They begin with its first segment, end with it, and miss what it misses.

    One that fails leaves a gap with the reason, until something of it comes again. It is begun again after
    ten seconds, then less and less often, a minute apart at most, and at once where it has only moved; what
    the source lacks for good is not asked for again before recording has paused.
    """

    def __init__(self, take: Take, places: list[Place]) -> None:
        self._take, self._places = take, places
        self._is_on = False
        self.trouble: DiskFull | None = None

    @property
    def stirred(self) -> int:
        """How often somebody has used the desktop since the tracks that know of it began."""
        return sum(getattr(place.running, "stirred", 0) for place in self._places)

    def look(self, now_us: int) -> None:
        """Let each take in what has come."""
        for place in self._places:
            if self._is_on and place.running is None and now_us >= place.retry_us:
                self._begin(place, now_us)
            self._guard(place, lambda one: one.look(now_us), now_us)

    def cut(self, at_us: int) -> None:
        """The screen has begun a segment, or everything begins."""
        for place in self._places:
            if not self._is_on:
                place.missing_us = at_us
                self._begin(place, at_us)
            self._guard(place, lambda one: one.cut(at_us), at_us)
        self._is_on = True

    def shown(self, seen: Seen, at_us: int) -> None:
        """The screen shows this from now on."""
        for place in self._places:
            self._guard(place, lambda one: one.shown(seen), at_us)

    def close(self, end_us: int) -> None:
        """The screen's recording has ended or pauses."""
        for place in self._places:
            if self._is_on:
                self._guard(place, lambda one: one.close(end_us), end_us)
                self._account(place, end_us)
            place.running = None
        self._is_on = False

    def gap(self, gap: Missing, *, to_us: int) -> None:
        """What the screen has missed, these have missed."""
        for place in self._places:
            if not place.follows_screen:
                from_us, why = gap.since(place.track), gap.reason
                self._take.gap(place.track, from_us, to_us=to_us, reason=why, uncertain=gap.uncertain)

    def _begin(self, place: Place, at_us: int) -> None:
        try:
            place.running, place.begun_us = place.begin(at_us), at_us
        except Exception as error:  # noqa: BLE001 -- see _lost
            self._lost(place, error, at_us)
        else:
            self._account_until_begun(place)

    def _guard(self, place: Place, act: Callable[[Companion], None], at_us: int) -> None:
        if place.running is None:
            return
        try:
            act(place.running)
        except Exception as error:  # noqa: BLE001 -- see _lost
            self._account_until_begun(place)
            self._lost(place, error, at_us)
        else:
            self._account_until_begun(place)

    def _lost(self, place: Place, error: Exception, at_us: int) -> None:
        """Whatever went wrong here, even a defect of ours, must not end the recording of the screen.

        Only a full disk is everybody's trouble: there the recording closes what it has and stops.
        """
        if isinstance(error, DiskFull):
            self.trouble = error
        log.warning("Track %s is interrupted: %s", place.track, error, exc_info=True)
        running, place.running = place.running, None
        has_moved = isinstance(error, SourceMoved) and getattr(running, "has_begun", True)
        if running is not None:
            self._abandon(running, at_us)
            if not place.reason:
                place.missing_us = min(at_us, getattr(running, "reached_us", at_us))
        place.reason = place.reason or str(error) or type(error).__name__
        is_for_good = isinstance(error, BadSource) and not isinstance(error, SourceAway)
        wait_us = 0 if has_moved else place.retry_after_us
        place.retry_us = NEVER_US if is_for_good else at_us + wait_us
        place.retry_after_us = min(2 * place.retry_after_us, LONGEST_RETRY_US)

    def _abandon(self, running: Companion, at_us: int) -> None:
        try:
            running.give_up(at_us)
        except Exception:
            log.warning("What was left of it could not be kept.", exc_info=True)

    def _account_until_begun(self, place: Place) -> None:
        """Once there is something of it: what was missing before is over, the next time is a first one."""
        if place.running is not None and getattr(place.running, "has_begun", True):
            self._account(place, place.begun_us)
            place.retry_after_us = RETRY_AFTER_US

    def _account(self, place: Place, until_us: int) -> None:
        if place.reason:
            gap, place.reason = place.reason, ""
            self._take.gap(place.track, place.missing_us, to_us=until_us, reason=gap, uncertain=True)
