"""LUCID_WHEN_FULL=evict: a full archive (or project) makes room instead of refusing new recordings.

Sessions whose time is over go first, the oldest first; then, if that is not enough, the oldest of the others
that are at least LUCID_EVICT_MIN_DAYS old. Never one that is held, live or not sealed, and none while the
clock is in doubt. What goes, goes as by retention: shredded, with a record that says `quota`.
"""

from collections.abc import Iterator
from datetime import timedelta

import structlog
from django.conf import settings
from django.db.models import QuerySet, Sum
from django.utils import timezone

from . import clock_guard, quota, retention, shredding, tombstones, upkeep
from .lifecycle import ENDED
from .models import Session

log = structlog.get_logger(__name__)

# So full it may be afterwards: room for what comes until the next look.
ENOUGH = 0.95
MOST_A_TICK = 20
PAGE = 500


def tick(*, page: int = PAGE) -> int:
    """How many sessions began to expire, to bring every full limit down to 95 %."""
    if settings.LUCID_WHEN_FULL != "evict":
        return 0
    full = [usage for usage in quota.usages() if usage.level == 100 and not isinstance(usage, quota.Inodes)]
    if not full or clock_guard.check(clock_guard.read()):
        return 0
    return sum(_make_room(usage, page) for usage in full)


def makes_room_in(project: str) -> bool:
    """True when sessions of this project go, the oldest first, once it has reached a limit of its own."""
    return settings.LUCID_WHEN_FULL == "evict" and quota.has_limit(project)


def _make_room(usage: quota.Usage, page: int) -> int:
    project = usage.project
    # Summed anew: the totals may be older than what has gone, or begun to go, since. It never comes back.
    stays = Session.objects.filter(**_within(project)).exclude(status__in=tombstones.GONE)
    excess = (stays.aggregate(size=Sum("used_bytes"))["size"] or 0) - int(usage.limit * ENOUGH)
    gone = 0
    for session, why in _in_turn(project, page):
        if excess <= 0 or gone == MOST_A_TICK:
            break
        if shredding.expire(session, cause="quota", why=why):
            log.warning("session evicted", session=str(session.pk), why=why, limit=usage.what)
            excess -= session.used_bytes
            gone += 1
    if excess > 0 and gone < MOST_A_TICK:
        log.error("too little can be evicted", limit=str(usage), excess_bytes=excess)
    return gone


def _in_turn(project: str | None, page: int) -> Iterator[tuple[Session, str]]:
    """Whose turn it is to go, and why: what is overdue, then the oldest."""
    seen = set()
    for one in retention.due():
        if not one.obstacle and project in (None, one.session.project):
            seen.add(one.session.pk)
            yield one.session, f"{one.why}; storage is full"
    least = timezone.now() - timedelta(days=settings.LUCID_EVICT_MIN_DAYS)
    sealed = Session.objects.filter(status__in=ENDED, sealed_revision__gt=0, **_within(project))
    old = sealed.filter(ended_at__lt=least)
    for session in _pages(old, page):
        if session.pk not in seen and not (shredding.obstacle_to(session) or retention.lost_rule(session)):
            yield session, f"ended {session.ended_at:%Y-%m-%d %H:%M}, the oldest; storage is full"


def _pages(sessions: QuerySet[Session], size: int) -> Iterator[Session]:
    """All of them, the oldest first, however many before have to stay."""
    page = list(upkeep.after(sessions, None)[:size])
    while page:
        yield from page
        page = list(upkeep.after(sessions, upkeep.place_of(page[-1]))[:size])


def _within(project: str | None) -> dict[str, str]:
    return {} if project is None else {"project": project}
