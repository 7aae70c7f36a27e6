"""Who follows a session while it is recorded: for them the recorder does not draw segments out.

It is noted in the session's row, which recorders read anyway, and holds for a while: a player asks for its
playlist more often than that.
"""

from datetime import datetime, timedelta

from django.db.models import Q
from django.utils import timezone

from .lifecycle import LIVE
from .models import Session

LASTS = timedelta(seconds=30)
# Whatever the number of viewers, a session's row is written no more often than this.
RENEWED = timedelta(seconds=10)


def note(session: Session) -> None:
    """Somebody has just asked what there is of this session; nothing, unless it is being recorded."""
    now = timezone.now()
    if session.status not in LIVE or not _is_due(session.watched_until, now):
        return
    due = Q(watched_until__isnull=True) | Q(watched_until=session.watched_until)
    # Not a change that others are told of: neither version nor news.
    Session.objects.filter(due, pk=session.pk, status__in=LIVE).update(watched_until=now + LASTS)


def is_watched(session: Session) -> bool:
    """Whether somebody follows it now. A time far ahead was written under another clock."""
    until, now = session.watched_until, timezone.now()
    return until is not None and now < until < now + 2 * LASTS


def _is_due(until: datetime | None, now: datetime) -> bool:
    return until is None or not now + LASTS - RENEWED <= until < now + 2 * LASTS
