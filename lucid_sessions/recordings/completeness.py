"""Whether a session is all there: what was recorded, what is missing and why. Integrity is another verdict.

A session is settled when every take of it is closed and every sequence number is anchored, or listed as
missing with its reason. A chunk that comes later makes the next revision.
"""

from dataclasses import dataclass
from typing import Any

from .lifecycle import State, Status
from .models import Chunk, Closure, Gap, Session, Take


@dataclass(frozen=True)
class Verdict:
    """What a seal of the session would say now."""

    settled: bool
    outcome: str = Status.COMPLETED
    chunks: tuple[Chunk, ...] = ()
    gaps: tuple[dict[str, Any], ...] = ()
    missing: tuple[dict[str, Any], ...] = ()


UNSETTLED = Verdict(settled=False)


def judge(session: Session) -> Verdict:
    """The verdict on a session that is no longer being recorded."""
    chunks = list(
        Chunk.objects.filter(session=session).exclude(state=State.EXPIRED).order_by("track", "sequence")
    )
    if any(c.state != State.ANCHORED and c.quarantined_at is None for c in chunks):
        return UNSETTLED
    if Take.objects.filter(session=session, ended_at__isnull=True).exists():
        return UNSETTLED
    anchored = tuple(chunk for chunk in chunks if chunk.state == State.ANCHORED)
    return Verdict(
        settled=True,
        outcome=Status.FAILED if session.reason or not anchored else Status.COMPLETED,
        chunks=anchored,
        gaps=tuple(_gaps(session)),
        missing=tuple(_missing(session, chunks)),
    )


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


def _missing(session: Session, chunks: list[Chunk]) -> list[dict[str, Any]]:
    """Every sequence number that a closed track says it had and no anchored chunk fills."""
    rows = {(chunk.track, chunk.sequence): chunk for chunk in chunks}
    found = []
    for closure in Closure.objects.filter(session=session).order_by("track", "take"):
        for counter in range(1, closure.last_counter + 1):
            sequence = closure.take << 32 | counter
            row = rows.get((closure.track, sequence))
            if row is None:
                found.append({"track": closure.track, "sequence": sequence, "reason": "never arrived"})
            elif row.state != State.ANCHORED:
                found.append({"track": closure.track, "sequence": sequence, "reason": row.reason})
    return found
