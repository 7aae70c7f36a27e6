"""Where the policy asks why: LUCID_REASON_REQUIRED names the deeds that need a reason."""

import time
from typing import Any

from django.conf import settings

from .models import AuditEvent
from .visible import VISIBLE

# A recording is fetched in hundreds of pieces: a reason counts for the same person and session this long.
HOURS = 8
HEADER = "X-Reason"
GIVEN = "session.reason-given"


def is_missing(deed: str, *, user: Any, session: str, given: str) -> bool:
    """True when the policy asks why, and this user has not said so, now or lately, for this session."""
    if deed not in settings.LUCID_REASON_REQUIRED or VISIBLE.fullmatch(given):
        return False
    return not (session and was_given(user, session))


def was_given(user: Any, session: str) -> bool:
    """True when this user has said why within the last hours: the audit knows."""
    since = time.time_ns() // 1000 - HOURS * 3_600_000_000
    said = AuditEvent.objects.filter(session=session, at_us__gte=since, user=str(user.pk), outcome="done")
    return said.exclude(why="").exists()
