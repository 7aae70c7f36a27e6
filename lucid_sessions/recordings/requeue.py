"""Putting quarantined chunks back to work."""

from dataclasses import dataclass
from uuid import UUID

from django.db.models import F
from django.utils import timezone

from . import hints, setbacks
from .lifecycle import STAGES, UNFINISHED, State, stage_for
from .models import Chunk

MOST = 10_000
MOST_LISTED = 1000


@dataclass(frozen=True)
class Trouble:
    """A chunk that does not go on: how far it got, how often it was tried, exactly why, and what to do."""

    id: UUID
    chunk: str
    stage: str
    attempts: int
    quarantined: bool
    reason: str
    next_step: str


def troubles(*, session: UUID | str | None = None) -> list[Trouble]:
    """Chunks in quarantine, and those that wait after a failed attempt; oldest first, at most a thousand."""
    rows = Chunk.objects.filter(state__in=UNFINISHED, reason__gt="")
    if session:
        rows = rows.filter(session_id=session)
    return [_trouble(chunk) for chunk in rows.order_by("created_at", "pk")[:MOST_LISTED]]


def _trouble(chunk: Chunk) -> Trouble:
    stage = stage_for(chunk.state)
    return Trouble(
        id=chunk.pk,
        chunk=f"session {chunk.session_id}, {chunk}",
        stage=stage.name if stage else "",
        attempts=chunk.attempts,
        quarantined=chunk.quarantined_at is not None,
        reason=chunk.reason,
        next_step=setbacks.next_step(chunk),
    )


def requeue(*, stage: str | None = None, reason: str | None = None, session: UUID | str | None = None) -> int:
    """How many quarantined chunks were put back: all, or those at a stage, with a reason, of a session."""
    rows = Chunk.objects.filter(quarantined_at__isnull=False, state__in=UNFINISHED)
    if stage:
        rows = rows.filter(state=STAGES[stage].needs)
    if reason:
        rows = rows.filter(reason__icontains=reason)
    if session:
        rows = rows.filter(session_id=session)
    return put_back(list(rows.order_by("created_at")[:MOST]))


def put_back(chunks: list[Chunk]) -> int:
    """How many of these were in quarantine still, and are now waiting for their stage again."""
    back = []
    for chunk in chunks:
        # The fence too: whoever still holds an old claim must not commit over this decision.
        rows = Chunk.objects.filter(pk=chunk.pk, quarantined_at__isnull=False).exclude(state=State.EXPIRED)
        if rows.update(
            quarantined_at=None,
            attempts=0,
            losses=0,
            reason="",
            token="",
            lease_until=None,
            next_attempt_at=timezone.now(),
            hinted_at=None,
            fence=F("fence") + 1,
        ):
            back.append(chunk)
    hints.hint(Chunk.objects.filter(pk__in=[chunk.pk for chunk in back]))
    return len(back)
