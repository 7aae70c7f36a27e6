"""Whether a session is all there: what was recorded, what is missing and why. Integrity is another verdict.

A session is settled when every take of it is closed and every sequence number is anchored, or listed as
missing with its reason. A chunk that comes later makes the next revision.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from recorder.names import COUNTER_BITS, sequence_of

from .lifecycle import UNFINISHED, State, Status
from .models import Chunk, Closure, Gap, Session, Take


@dataclass(frozen=True)
class Verdict:
    """What a seal of the session would say now."""

    settled: bool
    outcome: str = Status.COMPLETED
    chunks: tuple[Chunk, ...] = ()
    gaps: tuple[dict[str, Any], ...] = ()
    missing: tuple[dict[str, Any], ...] = ()


NEVER_CLOSED = "the take was never closed, its host was lost: what it recorded from here on is not known"
UNSETTLED = Verdict(settled=False)


def may_be_settled(session: UUID) -> bool:
    """False while something obviously remains to be done; cheap to ask."""
    unfinished = Chunk.objects.filter(session=session, state__in=UNFINISHED, quarantined_at__isnull=True)
    open_takes = Take.objects.filter(session=session, ended_at__isnull=True)
    return not unfinished.exists() and not open_takes.exists()


def judge(session: Session) -> Verdict:
    """The verdict on a session that is no longer being recorded."""
    if not may_be_settled(session.pk):
        return UNSETTLED
    chunks = list(
        Chunk.objects.filter(session=session).exclude(state=State.EXPIRED).order_by("track", "sequence")
    )
    if any(c.state != State.ANCHORED and c.quarantined_at is None for c in chunks):
        return UNSETTLED
    anchored = tuple(chunk for chunk in chunks if chunk.state == State.ANCHORED)
    return Verdict(
        settled=True,
        outcome=Status.FAILED if session.reason or not anchored else Status.COMPLETED,
        chunks=anchored,
        gaps=tuple(_gaps(session)),
        missing=tuple(_missing(session, chunks)),
    )


def tells_more(session: Session, body: dict[str, Any]) -> bool:
    """True when rows know of a gap, or of a missing chunk, that the body of a seal does not."""
    if any(gap not in body["gaps"] for gap in _gaps(session)):
        return True
    ends_unknown = [one for one in body["missing"] if one["reason"] == NEVER_CLOSED]
    listed = [one for one in (*body["leaves"], *body["missing"]) if one not in ends_unknown]
    known = {(one["track"], one["sequence"]) for one in listed}
    missing = [one for one in judge(session).missing if one["reason"] != NEVER_CLOSED]
    return any((one["track"], one["sequence"]) not in known for one in missing)


def _gaps(session: Session) -> list[dict[str, Any]]:
    return [
        {
            "track": gap.track,
            "take": gap.take,
            "from_us": gap.from_us,
            "to_us": gap.to_us,
            "reason": gap.reason,
            "uncertain": gap.uncertain,
        }
        for gap in Gap.objects.filter(session=session).order_by("track", "from_us", "take", "number")
    ]


def _missing(session: Session, chunks: list[Chunk]) -> Iterator[dict[str, Any]]:
    """Every sequence number that a take's track had, or may have had, and no anchored chunk fills."""
    rows = {(chunk.track, chunk.sequence): chunk for chunk in chunks}
    closures = {(one.track, one.take): one for one in Closure.objects.filter(session=session)}
    highest = _highest(session, chunks)
    for track, take in sorted(set(closures) | set(highest)):
        closure = closures.get((track, take))
        last = closure.last_counter if closure else highest[track, take]
        for counter in range(1, last + 1):
            sequence = sequence_of(take, counter)
            row = rows.get((track, sequence))
            if row is None:
                yield {"track": track, "sequence": sequence, "reason": "never arrived"}
            elif row.state != State.ANCHORED:
                yield {"track": track, "sequence": sequence, "reason": row.reason}
        if closure is None:
            yield {"track": track, "sequence": sequence_of(take, last + 1), "reason": NEVER_CLOSED}


def _highest(session: Session, chunks: list[Chunk]) -> dict[tuple[str, int], int]:
    """The highest counter that was seen of each track and take; 0 for a take that left nothing at all."""
    highest: dict[tuple[str, int], int] = {}
    for chunk in chunks:
        place = chunk.track, chunk.sequence >> COUNTER_BITS
        highest[place] = max(highest.get(place, 0), chunk.sequence & ((1 << COUNTER_BITS) - 1))
    for number in Take.objects.filter(session=session).values_list("number", flat=True):
        highest.setdefault(("screen", number), 0)
    return highest
