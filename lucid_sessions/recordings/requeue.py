"""Putting quarantined chunks back to work."""

from uuid import UUID

from django.db.models import F
from django.utils import timezone

from . import hints
from .lifecycle import STAGES, UNFINISHED, State
from .models import Chunk

MOST = 10_000


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
