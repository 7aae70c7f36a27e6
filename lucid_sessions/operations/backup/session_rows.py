"""Rows around the chunks of a session that were found rather than filed: the session, its takes, its gaps."""

import json
from datetime import UTC, datetime
from uuid import UUID

from django.db.models import Max, Min

from lucid_sessions.ledger import Log
from lucid_sessions.recordings import ledger_rows, tombstones
from lucid_sessions.recordings.events import CHANGED
from lucid_sessions.recordings.lifecycle import Desired, Status
from lucid_sessions.recordings.models import Chunk, Closure, Gap, LedgerRecord, Session, Take

COUNTER = (1 << 32) - 1
HOST = "recovered"


def create(session: UUID, *, status: Status) -> Session:
    """A row for a session of which only its recordings, its keys or its records are left."""
    return Session.objects.create(
        pk=session,
        name=f"recovered {str(session)[:8]}",
        description="Its name, owner and settings were lost; recordings and proofs were not.",
        source="recovered://",
        status=status,
        desired=Desired.STOP,
    )


def bury(session: UUID, status: Status) -> None:
    """The session is gone, or going on to go; nothing of it can be filed, whatever an older database says."""
    row = Session.objects.filter(pk=session).first() or create(session, status=status)
    # Its keys were not restored, so there are none to be found when the shredding goes on.
    expiry = {"cause": "shredded before the restore", "keys": 0} | (row.expiry or {})
    if row.status != Status.DELETED and (row.status, row.expiry) != (status, expiry):
        same = Session.objects.filter(pk=session).exclude(status=Status.DELETED)
        same.update(status=status, desired=Desired.STOP, expiry=expiry, **CHANGED)
    tombstones.bury(session)


def take_in(session: UUID, *, spool: str) -> None:
    """Every take that its chunks tell of has a row, ended; a recovered session has its times."""
    chunks = Chunk.objects.filter(session=session)
    numbers = {sequence >> 32 for sequence in chunks.values_list("sequence", flat=True)}
    for number in sorted(
        numbers - set(Take.objects.filter(session=session).values_list("number", flat=True))
    ):
        now = datetime.now(tz=UTC)
        facts = {"host": HOST, "spool": spool, "lease_until": now, "ended_at": now}
        Take.objects.create(session_id=session, number=number, reason="recovered", **facts)
    span = chunks.aggregate(first=Min("timestamp_ms"), last=Max("timestamp_ms"))
    found = Session.objects.filter(pk=session, started_at__isnull=True)
    if span["first"] is not None:
        first, last = (datetime.fromtimestamp(span[end] / 1000, tz=UTC) for end in ("first", "last"))
        found.update(created_at=first, started_at=first, ended_at=last, **CHANGED)


def finish(log: Log) -> None:
    """Takes whose closing is lost are closed after their last chunk; sealed gaps have their rows again."""
    for session in Session.objects.exclude(status=Status.DELETED).values_list("pk", flat=True):
        _close(session)
    for record in LedgerRecord.objects.filter(kind="sealed").order_by("index"):
        session = UUID(json.loads(record.entry)["session"])
        for number, gap in enumerate(ledger_rows.read_body(log, record)["gaps"], start=1):
            place = {name: gap[name] for name in ("track", "take", "from_us")}
            if not Gap.objects.filter(session=session, **place).exists():
                Gap.objects.create(session_id=session, number=SEALED + number, **gap)


# Above any number that a recorder gives: it counts from 1.
SEALED = 1 << 20


def _close(session: UUID) -> None:
    last: dict[tuple[int, str], tuple[int, int]] = {}
    for track, sequence, end in Chunk.objects.filter(session=session).values_list(
        "track", "sequence", "end_us"
    ):
        take = (sequence >> 32, track)
        last[take] = max(last.get(take, (0, 0)), (sequence & COUNTER, end))
    for (number, name), (counter, end) in last.items():
        facts = {"last_counter": counter, "end_us": end, "reason": "recovered: its closing was lost"}
        Closure.objects.get_or_create(session_id=session, take=number, track=name, defaults=facts)
