"""Where a new take stands on its session's timeline."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from pathlib import Path

from recorder import clock
from recorder.names import GapMarker
from recorder.orders import Missing, Orders
from recorder.sources import MEDIA_TIMED
from recorder.sources.target import Access
from recorder.spool import Spool
from recorder.take import PAUSED, Progress, Stamp, keep, paused_since
from recorder.view import Tenure, Wanted

OF_THE_SCREEN = {"thumb"}  # named here: the module of that track brings all of FFmpeg along
AT_THE_END = 0  # the number of the gap with which a session ends: at most one in a take, which counts from 1


def orders_for(
    spool: Spool, wanted: Wanted, *, tenure: Tenure, host: str, allowed: tuple[str, ...] = ()
) -> Orders:
    """What the child of a newly claimed take is to do; it continues the takes before it.

    `allowed` are the networks that it may connect to although they are unusual.
    """
    orders = Orders(
        session=wanted.session,
        take=tenure.take,
        spool=str(spool.root),
        source=wanted.source,
        settings=wanted.settings,
        host=host,
        access=Access(tenure.secret, allowed),
    )
    if wanted.source.partition(":")[0] in MEDIA_TIMED:
        return replace(orders, resume_us=_resume(spool, wanted, tenure=tenure))
    folders = [folder for _, take, folder in spool.takes_of(wanted.session) if take < tenure.take]
    known_us, began_ms = tenure.known_end_us or 0, tenure.started_wall_ms
    standing = _standing(spool, folders, known_end_us=known_us, started_wall_ms=began_ms)
    if standing is None:
        return orders
    return replace(orders, origin_ns=standing.origin_ns, missing=standing.missing)


def account_for_the_end(spool: Spool, wanted: Wanted, *, take: int) -> str:
    """Why a session that is over was not recorded at last; empty when it was.

    What is missing, from where recording stopped until now, becomes a gap of each track that the session
    has. Doing it twice, or half of it and then all, gives the same.
    """
    before = [(number, folder) for _, number, folder in spool.takes_of(wanted.session) if number <= take]
    if (
        not before
        or wanted.source.partition(":")[0] in MEDIA_TIMED
        or _has_come_to_its_end(spool, [folder for _, folder in before])
    ):
        return ""
    number, last = before[-1]
    folders = [folder for _, folder in before]
    there = [gap for gap in spool.gaps(last) if gap.number == AT_THE_END]
    gap = there[0] if there else _last_gap(spool, folders, wanted, take=number)
    if gap is None:
        return ""
    ends = _ends(spool, folders)
    for track in sorted(ends.keys() - OF_THE_SCREEN - {one.track for one in there}):
        keep(spool, replace(gap, track=track, from_us=ends[track]))
    return gap.reason


def _last_gap(spool: Spool, folders: list[Path], wanted: Wanted, *, take: int) -> GapMarker | None:
    """The screen's gap from where recording stopped until now; None without one."""
    standing = _standing(spool, folders, known_end_us=0, started_wall_ms=wanted.started_wall_ms)
    if standing is None:
        return None
    missing, now_us = standing.missing, (time.monotonic_ns() - standing.origin_ns) // 1000
    place = wanted.session, "screen", take, AT_THE_END
    times = missing.from_us, clock.us_of(clock.ticks_of(now_us))
    return GapMarker(*place, *times, missing.reason, missing.uncertain) if times[0] < times[1] else None


def _has_come_to_its_end(spool: Spool, folders: list[Path]) -> bool:
    """Whether the last take ended with its session, and not only because it could not even begin."""
    folder = folders[-1]
    closed = spool.closed(folder).get("screen")
    if closed is None or closed.ending == "interrupted":
        return False
    if closed.ending == "ended" and len(folders) == 1:  # if before its first picture: then nothing is missing
        return True
    return closed.last_counter > 0 or any(gap.to_us == closed.end_us for gap in spool.gaps(folder))


def _ends(spool: Spool, folders: list[Path]) -> dict[str, int]:
    """Until when each track of a session is recorded or accounted for, microseconds."""
    ends = {"screen": 0}
    for folder in folders:
        for gap in spool.gaps(folder):
            ends[gap.track] = max(ends.get(gap.track, 0), gap.to_us)
        closed = spool.closed(folder)
        screen = closed.get("screen")
        if screen is not None and screen.last_counter == 0 and screen.end_us > ends["screen"]:
            # It was to go on with what another host had recorded, of every track, and never did.
            ends = {track: max(end_us, screen.end_us) for track, end_us in ends.items()}
        for one in closed.values():
            ends[one.track] = max(ends.get(one.track, 0), one.end_us)
    return ends


@dataclass(frozen=True)
class _Standing:
    """Where a session's timeline stands: its zero on CLOCK_MONOTONIC, and what is missing by now."""

    origin_ns: int
    missing: Missing


def _standing(
    spool: Spool, folders: list[Path], *, known_end_us: int, started_wall_ms: int | None
) -> _Standing | None:
    """After these takes; None when nothing was recorded, or nobody knows when.

    Exact within one boot of one host; by wall clock, and saying so, across boots and hosts.
    """
    stamps = [stamp for folder in folders if (stamp := Stamp.read(folder))]
    ends = [end for folder in folders if (end := _End.of(spool, folder))]
    end_us = max([known_end_us, *(end.at_us for end in ends)])
    was_elsewhere = end_us > max([0, *(end.at_us for end in ends)])
    tracks = {} if was_elsewhere else _ends(spool, folders)
    here = [stamp for stamp in stamps if stamp.boot_id == clock.boot_id()]
    if here:
        reason = _reason(ends, end_us) or "the recorder stopped unexpectedly"
        origin_ns = here[-1].origin_ns
        if was_elsewhere:  # by a clock that may be ahead of ours
            origin_ns = min(origin_ns, time.monotonic_ns() - end_us * 1000)
        return _Standing(origin_ns, Missing(end_us, reason, uncertain=was_elsewhere, tracks=tracks))
    if not stamps and end_us == 0:
        return None
    began_ms = stamps[0].origin_wall_ms if started_wall_ms is None and stamps else started_wall_ms
    if began_ms is None:
        return None
    # Other tracks may have got further; nothing is recorded into their past.
    latest_us = max([end_us, *(one.end_us for folder in folders for one in spool.closed(folder).values())])
    offset_us = max(time.time_ns() // 1000 - began_ms * 1000, latest_us)
    reason = "the recorder's host was restarted" if stamps else "another host recorded before"
    if (why := _reason(ends, end_us)).startswith(PAUSED):
        reason = why
    origin_ns = time.monotonic_ns() - offset_us * 1000
    return _Standing(origin_ns, Missing(end_us, reason, uncertain=True, tracks=tracks))


def _resume(spool: Spool, wanted: Wanted, *, tenure: Tenure) -> dict[str, int]:
    """Where each track of a file goes on: the end of what is committed."""
    ends = {"screen": tenure.known_end_us or 0}
    for _, take, folder in spool.takes_of(wanted.session):
        if take < tenure.take:
            for track, progress in Progress.read_all(folder).items():
                ends[track] = max(ends.get(track, 0), progress.end_us)
    return ends if any(ends.values()) else {}


@dataclass(frozen=True)
class _End:
    """Where a take's screen ended, recorded or accounted for, and why nothing came after it."""

    at_us: int
    reason: str

    @classmethod
    def of(cls, spool: Spool, folder: Path) -> _End | None:
        """A closed take's."""
        closed = spool.closed(folder).get("screen")
        if closed is None:
            return None
        paused_us = paused_since(folder)
        is_paused = paused_us is not None and closed.end_us <= paused_us
        accounted_us = [gap.to_us for gap in spool.gaps(folder) if gap.track == "screen"]
        return cls(max([closed.end_us, *accounted_us]), PAUSED if is_paused else closed.reason)


def _reason(ends: list[_End], end_us: int) -> str:
    """Why recording stopped there; empty when no take tells.

    Later takes that recorded nothing only failed to go on: after a pause that is a reason, too.
    """
    last = [end.reason for end in ends if end.at_us == end_us]
    if len(last) > 1 and last[0] == PAUSED:
        return f"{PAUSED}; then: {last[1]}"
    return last[0] if last else ""
