"""Who may work on a chunk now: claims by conditional update, fenced, renewed while the work lasts.

A claim draws a random token, takes a lease of 20 s and raises the fence. A result counts only while
state, fence and token are what the claim left there, so a worker that slept through its lease can
still finish its work but not commit it.
"""

import contextlib
import secrets
import threading
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import structlog
from django.conf import settings
from django.db import Error as DatabaseFailure
from django.db import connection
from django.db.models import F, Q, QuerySet
from django.utils import timezone

from .lifecycle import Stage
from .models import Chunk

log = structlog.get_logger(__name__)

LEASE = timedelta(seconds=20)
RENEW_SECONDS = 5.0
TOKEN_DIGITS = 32
# An instant further ahead than we ever set was written under another clock: it counts as past.
FURTHEST = {"lease_until": timedelta(minutes=1), "next_attempt_at": timedelta(minutes=6)}


def past(field: str, now: datetime) -> Q:
    """The condition that an instant is unset, over, or so far ahead that a clock must have jumped."""
    return over(field, now, furthest=FURTHEST[field])


def over(field: str, now: datetime, *, furthest: timedelta) -> Q:
    """The same where others are set, at most so far ahead."""
    ahead = Q(**{f"{field}__gt": now + furthest})
    return Q(**{f"{field}__isnull": True}) | Q(**{f"{field}__lte": now}) | ahead


def unheld() -> Q:
    """The condition that nobody works on a chunk: not claimed, given back, or its holder known to be dead."""
    return Q(token="") | Q(lease_until__isnull=True)


def claim(stage: Stage, chunk_ids: Sequence[UUID], *, spool: str | None, worker: str = "") -> list[Chunk]:
    """The chunks of `chunk_ids` that wait for `stage`, now ours; empty when others have them.

    `spool` is the spool mounted here: stages that read it claim only chunks that lie in it. The token begins
    with `worker`, the name under which this process is present (see `presence`), if it has one.
    """
    now = timezone.now()
    free = Chunk.objects.filter(pk__in=list(chunk_ids), state=stage.needs, quarantined_at__isnull=True)
    free = free.filter(past("next_attempt_at", now)).filter(past("lease_until", now))
    if stage.needs_spool:
        free = free.filter(spool=spool)
    lost: dict[str, Any] = {}
    if len(chunk_ids) > 1:
        # A token that is still there was left by a worker that died: such a chunk is claimed alone.
        free = free.filter(token="")
    elif Chunk.objects.filter(pk=chunk_ids[0], token__gt="").exists():
        lost = {"losses": F("losses") + 1}
    token = f"{worker}{secrets.token_hex(16)}"[:TOKEN_DIGITS]
    if not free.update(token=token, lease_until=now + LEASE, fence=F("fence") + 1, **lost):
        return []
    mine = list(Chunk.objects.filter(token=token))
    order = {pk: place for place, pk in enumerate(chunk_ids)}
    return sorted(mine, key=lambda chunk: order[chunk.pk])


def commit(chunk: Chunk, *, state: str, facts: dict[str, Any]) -> bool:
    """True when the chunk is now in `state` with these facts by our doing; False when the claim was lost."""
    fresh: dict[str, Any] = {"attempts": 0, "losses": 0, "reason": "", "next_attempt_at": None}
    if settle(chunk, **{**facts, **fresh, "state": state}):
        return True
    # An update that was tried again by the driver, its first answer lost, finds nothing to change. Only
    # our claim can have left this fence in this state; a claim that is truly lost deletes nothing.
    return Chunk.objects.filter(pk=chunk.pk, state=state, fence=chunk.fence + 1).exists()


def settle(chunk: Chunk, **changes: Any) -> bool:
    """True when `changes` were written and the claim given back; False when it was ours no more."""
    mine = Chunk.objects.filter(pk=chunk.pk, state=chunk.state, fence=chunk.fence, token=chunk.token)
    return mine.update(token="", lease_until=None, fence=F("fence") + 1, **changes) == 1


def held_by(worker: str) -> QuerySet[Chunk]:
    """What the worker of this name has claimed and not given back."""
    # As a range of hex digits, which the index of tokens answers on both databases.
    return Chunk.objects.filter(token__gte=worker, token__lt=f"{worker}g", quarantined_at__isnull=True)


@contextlib.contextmanager
def kept(chunks: Sequence[Chunk]) -> Iterator[None]:
    """While the block runs, the claim on `chunks` (one token) is renewed; what is unsettled goes back.

    Renewal ends after PIPELINE_TIMEOUT_SECONDS a chunk: a step that hangs must not hold its chunk for ever.
    """
    if not chunks:
        yield
        return
    done = threading.Event()
    token = chunks[0].token
    rounds = int(settings.PIPELINE_TIMEOUT_SECONDS * len(chunks) / RENEW_SECONDS) + 1
    renewer = threading.Thread(target=_renew, args=(token, done, rounds), name="lease", daemon=True)
    renewer.start()
    try:
        yield
    finally:
        done.set()
        _give_back(token)
        renewer.join()


def _renew(token: str, done: threading.Event, rounds: int) -> None:
    for _ in range(rounds):
        if done.wait(RENEW_SECONDS):
            break
        try:
            Chunk.objects.filter(token=token).update(lease_until=timezone.now() + LEASE)
        except DatabaseFailure as error:
            # The lease may run out: then another takes over and our commit finds that out.
            log.warning("lease not renewed", error=str(error))
    connection.close()


def _give_back(token: str) -> None:
    # Not hinted any more either: the next tick of the reconciler finds another worker for it.
    free = {"token": "", "lease_until": None, "hinted_at": None}
    with contextlib.suppress(DatabaseFailure):
        Chunk.objects.filter(token=token).update(fence=F("fence") + 1, **free)
