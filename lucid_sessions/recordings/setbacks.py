"""What happens to a chunk whose step failed: wait, quarantine, or start again from its segment.

`Retryable` of the environment waits without limit, with the reason shown. `Refused` is the chunk's own
fault: eight attempts at one stage, then quarantine. `Tampered` quarantines at once and is an alarm.
What is missing between two stages is computed anew: back to CAPTURED. Quarantine keeps every byte;
`manage.py requeue` puts a chunk back.
"""

import random
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Literal
from uuid import UUID

import structlog
from django.db.models import QuerySet
from django.utils import timezone

from lucid_sessions.errors import LucidError, Refused, Tampered

from . import events, hints, leases, observation
from .lifecycle import UNFINISHED, UNLOCKED, State, stage_for
from .models import Chunk
from .presence import Presence
from .scratch import Recompute

log = structlog.get_logger(__name__)

MOST_ATTEMPTS = 8
FIRST_WAIT = 1.0
LONGEST_WAIT = 300.0
# Workers seldom die of the chunk; and should they, so many losses end in quarantine.
LONGEST_AFTER_LOSS = 5.0
LONGEST_REASON = 2000
# Keys in one query; SQLite takes 32,766.
MOST_AT_ONCE = 1000
# Where something is not null SQLite looks for in every row, but for what is later than this in an index.
EVER = datetime.fromtimestamp(0, UTC)

Outcome = Literal["waits", "quarantined", "recompute", "overtaken"]


class Final(Refused):
    """The chunk's own fault, and trying again cannot help."""


def quarantined() -> "QuerySet[Chunk]":
    """What a person has to see to."""
    return Chunk.objects.filter(quarantined_at__gt=EVER).exclude(state=State.EXPIRED)


def record(chunk: Chunk, *, stage: str, error: LucidError) -> None:
    """Write on the row what failed and when it is tried again, or that it will not be."""
    outcome = _record(chunk, stage=stage, error=error)
    if outcome == "overtaken":
        # Its reason may be no more than that another worker has finished: no alarm, nothing to count.
        log.info("verdict of a lost claim dropped", chunk=str(chunk.pk), stage=stage, reason=str(error))
        return
    observation.tell(observation.StageDone(stage, 0.0, outcome, chunk.raw_length, type(error).__name__))
    level = "error" if outcome == "quarantined" else "warning"
    getattr(log, level)(f"chunk {outcome}", chunk=str(chunk.pk), stage=stage, reason=str(error))


def _record(chunk: Chunk, *, stage: str, error: LucidError) -> Outcome:
    outcome, changes = _verdict(chunk, error)
    reason = f"{stage}: {error}"[:LONGEST_REASON]
    foretold = events.foretell(events.QUARANTINED, chunk, reason) if outcome == "quarantined" else None
    written = leases.settle(chunk, losses=0, reason=reason, **changes)
    events.came(foretold, true=written)
    return outcome if written else "overtaken"


def _verdict(chunk: Chunk, error: LucidError) -> tuple[Outcome, dict[str, Any]]:
    if isinstance(error, Recompute):
        return "recompute", {"state": State.CAPTURED, "hinted_at": None}
    attempts, now = chunk.attempts + 1, timezone.now()
    if _hopeless(error, attempts):
        return "quarantined", {"attempts": attempts, "quarantined_at": now}
    due = now + timedelta(seconds=wait(attempts))
    return "waits", {"attempts": attempts, "next_attempt_at": due, "hinted_at": None}


def _hopeless(error: LucidError, attempts: int) -> bool:
    if isinstance(error, Tampered | Final):
        return True
    return isinstance(error, Refused) and attempts >= MOST_ATTEMPTS


def wait(attempts: int) -> float:
    """Seconds until the next attempt: doubling, bounded, and jittered so that crowds come spread out."""
    longest = min(LONGEST_WAIT, FIRST_WAIT * 2 ** min(attempts - 1, 16))
    return longest * random.uniform(0.5, 1.0)  # noqa: S311 - jitter, not a secret


def let_go(chunk_ids: Sequence[UUID]) -> int:
    """How many of these a worker held that is known to have died: their leases are over, a wait begins.

    The tokens stay: each is claimed alone, and the loss counts. Nothing is taken from a worker that lives: it
    renews its lease, and commits. What was not claimed yet has lost its message: the next tick tells of it.
    """
    theirs = Chunk.objects.filter(pk__in=list(chunk_ids), quarantined_at__isnull=True)
    theirs.filter(token="", state__in=UNFINISHED, hinted_at__isnull=False).update(hinted_at=None)
    return _end_leases(theirs.filter(token__gt=""))


def let_go_of_the_dead(presence: Presence) -> int:
    """How many chunks were held by workers of this host that are gone: as `let_go`.

    Which messages died with them nobody wrote down: whatever was told of, is not held, and lies in no queue.
    Some of it is in the hands of workers that live; a message that comes twice finds nothing to claim.
    """
    with presence.of_the_dead() as names:
        held = [_end_leases(leases.held_by(name)) for name in names]
        if names:
            log.warning("workers died", workers=len(names), chunks=sum(held))
            _tell_again()
    return sum(held)


def _tell_again() -> None:
    told = Chunk.objects.filter(leases.unheld(), state__in=UNFINISHED, quarantined_at__isnull=True)
    told = told.filter(hinted_at__isnull=False)
    lost = hints.in_vain(told.only("pk", "state", "spool"))
    for start in range(0, len(lost), MOST_AT_ONCE):
        told.filter(pk__in=lost[start : start + MOST_AT_ONCE]).update(hinted_at=None)


def _end_leases(held: QuerySet[Chunk]) -> int:
    # A lease that was ended is none any more; one that merely ran out is an instant in the past.
    now, chunks = timezone.now(), list(held)
    for chunk in chunks:
        due = now + timedelta(seconds=min(LONGEST_AFTER_LOSS, wait(chunk.losses + 1)))
        mine = Chunk.objects.filter(pk=chunk.pk, token=chunk.token)
        mine.update(lease_until=None, next_attempt_at=due, hinted_at=None)
    return len(chunks)


def next_step(chunk: Chunk) -> str:
    """What a person does about a chunk that does not go on; empty when there is nothing to do."""
    if chunk.quarantined_at is not None:
        if chunk.state == State.ANCHORED:
            return _for_its_blob(chunk)
        stage = stage_for(chunk.state)
        option = f" --stage {stage.name}" if stage else ""
        return (
            "Its bytes are kept. Remove the cause named in the reason, then put it back: "
            f"manage.py requeue --session {chunk.session_id}{option}"
        )
    if chunk.next_attempt_at is not None and chunk.next_attempt_at > timezone.now():
        return f"It is tried again by itself at {chunk.next_attempt_at:%H:%M:%S} UTC; remove the cause."
    return ""


def _for_its_blob(chunk: Chunk) -> str:
    """The log names this blob, so nothing can be made anew: its own bytes have to come back."""
    if chunk.reason.startswith(UNLOCKED):
        return "It is tried again by itself every minute; remove the cause named in the reason."
    return (
        f"Bring the blob back from a backup, under its name {chunk.blob}. "
        "The next look at it ends the quarantine: manage.py scrub looks now."
    )
