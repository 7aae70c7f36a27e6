"""A recording host that is gone for ever: what only its spool had is given up by name, and the rest goes on.

Until somebody says so, its sessions wait: a host that is merely cut off finishes its work when it returns.
"""

import time
from collections.abc import Collection
from dataclasses import dataclass
from datetime import timedelta

from django.db.models import F, Q
from django.utils import timezone

from lucid_sessions.errors import Refused, Retryable
from lucid_sessions.patience import Patience

from . import shredding
from .lifecycle import ARCHIVED, STAGES, State, Status
from .models import Chunk, RecorderHost, Session, Take
from .silence import PATIENCE_SECONDS

# A recorder says every few seconds that it lives; nobody's clock is this far ahead.
SILENT = timedelta(seconds=30)
FURTHEST = timedelta(minutes=5)
REASON = "the host of spool {spool} was declared lost before this was stored"


@dataclass(frozen=True)
class GivenUp:
    """What was ended: chunks that only the spool had, and takes that nobody had closed."""

    chunks: int
    takes: int


def declare(spool: str) -> GivenUp:
    """The sessions of that spool wait for it no more; Refused while its host lives, or was never known.

    Its chunks are quarantined with the reason: should the spool turn up after all, `requeue` takes them in.
    """
    takes = Take.objects.filter(spool=spool)
    if not takes.exists() and not Chunk.objects.filter(spool=spool).exists():
        raise Refused(f"No take was ever recorded into spool {spool}: see the admin's list of takes.")
    if lives(spool):
        raise Refused(
            f"The host of spool {spool} was heard from within the last half minute: it is not lost."
        )
    now = timezone.now()
    reason = REASON.format(spool=spool)
    waiting = [stage.needs for stage in STAGES.values() if stage.needs_spool]
    chunks = Chunk.objects.filter(spool=spool, state__in=waiting, quarantined_at__isnull=True)
    done = GivenUp(
        chunks=chunks.update(quarantined_at=now, reason=reason, token="", fence=F("fence") + 1),
        takes=takes.filter(ended_at__isnull=True).update(ended_at=now, reason="its host was declared lost"),
    )
    wait_no_more([spool])
    return done


def listen(spool: str) -> None:
    """Return as soon as the host of that spool was heard from, or after a while in which it could have been.

    Until just now it may have stood still, or the database, so that nobody could be heard from.
    """
    patience = Patience(PATIENCE_SECONDS)
    while not lives(spool) and not patience.is_over():
        time.sleep(0.2)


def lives(spool: str) -> bool:
    """Whether the recorder of that spool was heard from of late, by itself or by a take that it renews."""
    now = timezone.now()
    seen = RecorderHost.objects.filter(spool=spool, seen_at__gt=now - SILENT, seen_at__lt=now + FURTHEST)
    renewed = Take.objects.filter(spool=spool, ended_at__isnull=True)
    return seen.exists() or renewed.filter(lease_until__gt=now, lease_until__lt=now + FURTHEST).exists()


def require_silent(spool: str) -> None:
    """Retryable while the recorder of that spool lives."""
    if lives(spool):
        raise Retryable(f"The host of spool {spool} was heard from within the last half minute: is it lost?")


def wait_no_more(spools: Collection[str]) -> None:
    """No session that goes, now or later, waits until these spools confirm that nothing is left in them."""
    takes = Take.objects.filter(spool__in=spools, cleared_at__isnull=True)
    expiring = takes.filter(session__status=Status.EXPIRING)
    for session, spool in sorted(set(expiring.values_list("session", "spool"))):
        shredding.declare_lost(Session.objects.get(pk=session), spool=spool)
    # A chunk that is not stored, or whose blob is bad, keeps its place: the spool may turn up.
    needless = Q(state__in=ARCHIVED, quarantined_at__isnull=True) | Q(state=State.EXPIRED)
    Chunk.objects.filter(needless, spool__in=spools, path__gt="").update(path="")
    takes.update(cleared_at=timezone.now())
