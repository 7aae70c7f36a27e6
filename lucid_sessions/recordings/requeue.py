"""Putting quarantined chunks back to work."""

from dataclasses import dataclass
from uuid import UUID

import structlog
from django.db.models import F
from django.utils import timezone

from lucid_sessions.errors import LucidError, Retryable, Tampered

from . import hints, pipeline, setbacks
from .installation import Installation, installation
from .lifecycle import ARCHIVED, BAD_BLOB, STAGES, UNFINISHED, State, stage_for
from .models import Chunk

log = structlog.get_logger(__name__)

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
    unfinished = Chunk.objects.filter(state__in=UNFINISHED, reason__gt="")
    archived = setbacks.quarantined().filter(state=State.ANCHORED)
    found: list[Chunk] = []
    for rows in (unfinished, archived):
        mine = rows.filter(session_id=session) if session else rows
        found += mine.order_by("created_at", "pk")[:MOST_LISTED]
    found.sort(key=lambda chunk: (chunk.created_at, chunk.pk))
    return [_trouble(chunk) for chunk in found[:MOST_LISTED]]


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
    """How many of these were in quarantine still, and are now waiting for their stage again.

    Nothing is put back unseen that has lost its blob: see `_going_on`. Retryable when the store is away.
    """
    back = []
    for chunk in chunks:
        # The fence too: whoever still holds an old claim must not commit over this decision.
        rows = Chunk.objects.filter(pk=chunk.pk, state=chunk.state, quarantined_at__isnull=False)
        rows = rows.exclude(state=State.EXPIRED)
        try:
            state = _going_on(chunk)
        except Tampered as error:
            rows.update(reason=f"{BAD_BLOB}{error}"[: setbacks.LONGEST_REASON], fence=F("fence") + 1)
            log.error("chunk stays in quarantine", chunk=str(chunk.pk), reason=str(error))
            continue
        if rows.update(
            state=state,
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


def _going_on(chunk: Chunk) -> State:
    """Where the chunk goes on: where it stood, or at its segment when its blob is lost.

    Tampered when there is neither, or the ledger names this blob; Retryable when the store is away.
    """
    if chunk.state not in ARCHIVED:
        return State(chunk.state)
    world = installation()
    try:
        world.blobs.check(chunk.blob)
    except Retryable:
        raise
    except LucidError as error:
        if chunk.state == State.STORED:
            _require_segment(chunk, world, lost=error)
            return State.CAPTURED
        raise Tampered(f"{error}. The ledger names this blob: no other can take its place") from None
    return State(chunk.state)


def _require_segment(chunk: Chunk, world: Installation, *, lost: LucidError) -> None:
    """Tampered unless the segment is in the spool here, as it was captured."""
    if not chunk.path:
        raise Tampered(f"{lost}. Its segment has left the spool")
    try:
        pipeline.captured(pipeline.Work(chunk, world))
    except LucidError as error:
        raise Tampered(f"{lost}. From its segment it cannot be made again here: {error}") from None
