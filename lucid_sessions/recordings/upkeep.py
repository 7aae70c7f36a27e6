"""Where recurring jobs stand: a small row each, so that a job goes on after any interruption."""

import time
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db import IntegrityError
from django.db.models import F, Q, QuerySet

from .models import Session, Upkeep

# The row of the last good backup, so that every service can tell.
BACKUP = "backup"


def recall(name: str) -> dict[str, Any]:
    """What the job noted last; empty when it never ran."""
    facts = Upkeep.objects.filter(pk=name).values_list("facts", flat=True).first()
    return dict(facts or {})


def note(name: str, facts: dict[str, Any]) -> None:
    """Remember this for the job's next turn. Of two that run at once the later word stands."""
    rows = Upkeep.objects.filter(pk=name)
    if rows.update(facts=facts, version=F("version") + 1):
        return
    try:
        Upkeep.objects.create(name=name, facts=facts)
    except IntegrityError:
        rows.update(facts=facts, version=F("version") + 1)


def forget(name: str) -> None:
    """The job is done for good."""
    Upkeep.objects.filter(pk=name).delete()


def note_backup(facts: dict[str, Any], *, good: bool) -> None:
    """A backup was finished now. Of those with problems since the last good one: how many, and when."""
    now, before = time.time(), recall(BACKUP)
    if good:
        note(BACKUP, facts | {"at": now})
    else:
        note(BACKUP, before | {"tried_at": now, "with_problems": before.get("with_problems", 0) + 1})


def last_backup() -> float:
    """When the last good backup was made, in seconds since 1970; 0: never."""
    return float(recall(BACKUP).get("at", 0.0))


def turn(name: str, sessions: QuerySet[Session], *, size: int) -> list[Session]:
    """The next page of `sessions` by the time they ended, after that of the last turn; then the first."""
    page = list(after(sessions, recall(name).get("at"))[:size])
    note(name, {"at": place_of(page[-1]) if len(page) == size else None})
    return page


def after(sessions: QuerySet[Session], place: list[str] | None) -> QuerySet[Session]:
    """`sessions` in order of (ended_at, id), from behind `place` on."""
    if place:
        ended, pk = datetime.fromisoformat(place[0]), UUID(place[1])
        sessions = sessions.filter(ended_at__gte=ended).filter(Q(ended_at__gt=ended) | Q(pk__gt=pk))
    return sessions.order_by("ended_at", "pk")


def place_of(session: Session) -> list[str]:
    """What `after` needs to go on behind this session."""
    return [session.ended_at.isoformat() if session.ended_at else "", str(session.pk)]
