"""What others may be told of, found in the rows themselves: none is lost between a change and its telling.

Every change of a session's row marks it (`CHANGED`) in the same write. `look` compares what the row says
with what was told of it, and writes the difference down as events. An event's id is drawn from what it is,
so that a death between any two writes makes nothing lost and nothing double. What has no mark in a row is
foretold before it is done, and confirmed after: `settle_foretold` looks what came of it when nobody did.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from uuid import NAMESPACE_URL, UUID, uuid5

import structlog
from django.db import IntegrityError, transaction
from django.db.models import F
from django.utils import timezone

from lucid_sessions.access.models import WebhookEndpoint, WebhookEvent

from .lifecycle import ENDED, Status
from .models import Chunk, Session

log = structlog.get_logger(__name__)

# What every conditional update of a session's row carries.
CHANGED: dict[str, Any] = {"version": F("version") + 1, "news": True}

STARTED, SESSION_ENDED, SEALED = "session.started", "session.ended", "session.sealed"
HELD, RELEASED = "session.held", "session.released"
EXPIRING, SHREDDED = "session.expiring", "session.shredded"
QUARANTINED, UNVERIFIED = "chunk.quarantined", "verification.failed"
REFUSED, RETENTION, QUOTA = "recording.refused", "retention.warning", "quota.warning"
TEST = "webhook.test"
KINDS = (
    *(STARTED, SESSION_ENDED, SEALED, HELD, RELEASED, EXPIRING, SHREDDED),
    *(QUARANTINED, UNVERIFIED, REFUSED, RETENTION, QUOTA),
)

PAGE = 200
# What was foretold this long ago and never confirmed: look what came of it.
DOUBT = timedelta(seconds=60)
_NAMESPACE = uuid5(NAMESPACE_URL, "urn:lucid-sessions:event")


@dataclass(frozen=True)
class News:
    """One thing that a session's row says and that was not told yet; `then` is what is remembered of it."""

    kind: str
    key: str
    then: dict[str, Any]
    at: datetime | None = None
    facts: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Foretold:
    """An event that is written down before what it tells of is done."""

    event: UUID
    kind: str
    key: str
    at: datetime
    facts: dict[str, Any]


def wanted() -> bool:
    """False while nobody is to be told anything, so that nothing needs to be written down."""
    return WebhookEndpoint.objects.filter(enabled__in=[True]).exists()


def note(
    kind: str, key: str, *, facts: dict[str, Any], at: datetime | None = None, happened: bool = True
) -> UUID:
    """The event's id, once it is written; the same kind and key again are the same event."""
    pk = uuid5(_NAMESPACE, f"{kind} {key}")
    row = WebhookEvent(id=pk, kind=kind, at=at or timezone.now(), facts=facts, happened=happened)
    if not WebhookEvent.objects.filter(pk=pk).exists():
        try:
            with transaction.atomic():
                row.save(force_insert=True)
        except IntegrityError:
            log.info("event was noted already", kind=kind, event=str(pk))
    return pk


def note_if_wanted(kind: str, key: str, *, facts: dict[str, Any]) -> None:
    """The event, unless nobody is to be told anything."""
    if wanted():
        note(kind, key, facts=facts)


def foretell(kind: str, chunk: Chunk, reason: str) -> Foretold | None:
    """Call it before the write that quarantines a chunk, and `came` after it; None: nobody wants to know."""
    if not wanted():
        return None
    facts: dict[str, Any] = {"session": str(chunk.session_id), "chunk": str(chunk.pk)}
    facts |= {"track": chunk.track, "sequence": chunk.sequence, "reason": reason[:500]}
    key, at = f"{chunk.pk} {chunk.fence}", timezone.now()
    return Foretold(note(kind, key, facts=facts, at=at, happened=False), kind, key, at, facts)


def came(foretold: Foretold | None, *, true: bool) -> None:
    """What was foretold has happened, or has not."""
    if foretold is not None and not _came(foretold.event, true=true) and true:
        # Who stood still in between was taken for dead, and what was foretold was forgotten.
        note(foretold.kind, foretold.key, facts=foretold.facts, at=foretold.at)


def _came(event: UUID, *, true: bool) -> bool:
    """False when it was settled before."""
    rows = WebhookEvent.objects.filter(pk=event, happened=False)
    return bool(rows.update(happened=True) if true else rows.delete()[0])


def settle_foretold() -> None:
    """What was foretold and left in doubt, by a death on the way, is now known or forgotten."""
    doubtful = WebhookEvent.objects.filter(spread=False, happened=False, at__lt=timezone.now() - DOUBT)
    for event in doubtful[:PAGE]:
        there = Chunk.objects.filter(pk=event.facts.get("chunk"), quarantined_at__isnull=False)
        _came(event.pk, true=there.exists())


def look(*, page: int = PAGE) -> int:
    """How many sessions were looked at because they changed; what is new of them is now written as events."""
    told = wanted()
    marked = list(Session.objects.filter(news__in=[True]).order_by("pk")[:page])
    for session in marked:
        new = list(news_of(session))
        for one in new if told else ():
            facts = {**facts_of(session), **one.facts}
            note(one.kind, f"{session.pk} {one.key}", at=one.at, facts=facts)
        remembered = dict(session.told or {})
        for one in new:
            remembered |= one.then
        # A change that came meanwhile has marked the row again: then it is looked at once more.
        same = Session.objects.filter(pk=session.pk, version=session.version)
        same.update(told=remembered or None, news=False)
    return len(marked)


def facts_of(session: Session) -> dict[str, Any]:
    """What each event of a session says of it."""
    return {
        "session": str(session.pk),
        "name": session.name,
        "project": session.project,
        "environment": session.environment,
        "tags": session.tags,
        "status": session.status,
        "version": session.version,
    }


def news_of(session: Session) -> Iterator[News]:
    """What the row says and its `told` does not, in the order of a session's life."""
    for source in (_beginning_and_end, _seals, _holds, _expiry):
        yield from source(session)


def _beginning_and_end(session: Session) -> Iterator[News]:
    if session.started_at and not (session.told or {}).get("started"):
        yield News(STARTED, "started", {"started": True}, session.started_at)
    was_to_be_recorded = session.started_at or session.expiry is None
    if session.ended_at and was_to_be_recorded and not (session.told or {}).get("ended"):
        facts = {"reason": session.reason}
        yield News(SESSION_ENDED, "ended", {"ended": True}, session.ended_at, facts)


def _seals(session: Session) -> Iterator[News]:
    # Revision and status are two writes: only the second says what came of it.
    if session.status not in (*ENDED, Status.EXPIRING, Status.DELETED):
        return
    for revision in range((session.told or {}).get("revision", 0) + 1, session.sealed_revision + 1):
        newest = revision == session.sealed_revision
        facts = {"revision": revision, "record": session.sealed_record if newest else None}
        yield News(SEALED, f"sealed {revision}", {"revision": revision}, facts=facts)


def _holds(session: Session) -> Iterator[News]:
    known: dict[str, str] = dict((session.told or {}).get("holds", {}))
    for hold in session.holds:
        for kind, sign, moment in ((HELD, "h", "at"), (RELEASED, "r", "released_at")):
            if not hold.get(moment) or sign in known.get(hold["id"], ""):
                continue
            known[hold["id"]] = known.get(hold["id"], "") + sign
            by = hold["by"] if kind == HELD else hold["released_by"]
            facts = {"hold": hold["id"], "by": by}
            at = datetime.fromisoformat(hold[moment])
            yield News(kind, f"{kind} {hold['id']}", {"holds": dict(known)}, at, facts)


def _expiry(session: Session) -> Iterator[News]:
    expiry = session.expiry or {}
    if expiry and not (session.told or {}).get("expiring"):
        facts = {"cause": expiry.get("cause", ""), "why": expiry.get("why", "")}
        yield News(EXPIRING, "expiring", {"expiring": True}, facts=facts)
    if session.status == Status.DELETED and not (session.told or {}).get("shredded"):
        yield News(SHREDDED, "shredded", {"shredded": True})
