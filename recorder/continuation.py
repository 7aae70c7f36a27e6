"""Where a new take stands on its session's timeline."""

from __future__ import annotations

import time
from dataclasses import replace

from recorder import clock
from recorder.names import ClosedMarker
from recorder.orders import Missing, Orders
from recorder.sources import MEDIA_TIMED
from recorder.sources.target import Access
from recorder.spool import Spool
from recorder.take import Progress, Stamp
from recorder.view import Tenure, Wanted


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
    return _on_the_clock(spool, orders, tenure=tenure)


def _on_the_clock(spool: Spool, orders: Orders, *, tenure: Tenure) -> Orders:
    """Exact within one boot of one host; by wall clock, and saying so, across boots and hosts."""
    before = [place for place in spool.takes_of(orders.session) if place[1] < tenure.take]
    stamps = [stamp for *_, folder in before if (stamp := Stamp.read(folder))]
    closed = [marker for *_, folder in before if (marker := spool.closed(folder).get("screen"))]
    end_us = max([tenure.known_end_us or 0, *(marker.end_us for marker in closed)])
    # Other tracks may have got further; nothing is recorded into their past.
    latest_us = max([end_us, *(one.end_us for *_, folder in before for one in spool.closed(folder).values())])
    here = [stamp for stamp in stamps if stamp.boot_id == clock.boot_id()]
    if here:
        missing = Missing(end_us, _reason(closed, end_us), uncertain=False)
        return replace(orders, origin_ns=here[-1].origin_ns, missing=missing)
    if tenure.known_end_us is None and not stamps:
        return orders
    offset_us = max(time.time_ns() // 1000 - tenure.started_wall_ms * 1000, latest_us)
    origin_ns = time.monotonic_ns() - offset_us * 1000
    reason = "the recorder's host was restarted" if stamps else "another host recorded before"
    return replace(orders, origin_ns=origin_ns, missing=Missing(end_us, reason, uncertain=True))


def _resume(spool: Spool, wanted: Wanted, *, tenure: Tenure) -> dict[str, int]:
    """Where each track of a file goes on: the end of what is committed."""
    ends = {"screen": tenure.known_end_us or 0}
    for _, take, folder in spool.takes_of(wanted.session):
        if take < tenure.take:
            for track, progress in Progress.read_all(folder).items():
                ends[track] = max(ends.get(track, 0), progress.end_us)
    return ends if any(ends.values()) else {}


def _reason(closed: list[ClosedMarker], end_us: int) -> str:
    """Why recording stopped there: later takes that recorded nothing only failed to go on."""
    last = [marker.reason for marker in closed if marker.end_us == end_us]
    return last[0] if last else "the recorder stopped unexpectedly"
