"""Rows around the chunks of a session that were found rather than filed: the session, its takes, its gaps."""

from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from django.db.models import Max, Min

from lucid_sessions.recordings import tombstones
from lucid_sessions.recordings.completeness import NEVER_CLOSED
from lucid_sessions.recordings.events import CHANGED
from lucid_sessions.recordings.lifecycle import Desired, Status
from lucid_sessions.recordings.markers import UNNUMBERED
from lucid_sessions.recordings.models import Chunk, Closure, Gap, Session, Take
from lucid_sessions.recordings.retention import RECOVERED

COUNTER = (1 << 32) - 1
HOST = "recovered"


def create(session: UUID, *, status: Status) -> Session:
    """A row for a session of which only its recordings, its keys or its records are left."""
    return Session.objects.create(
        pk=session,
        name=f"recovered {str(session)[:8]}",
        description="Its name, owner and settings were lost; recordings and proofs were not.",
        source=RECOVERED,
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
        same.update(status=status, desired=Desired.STOP, expiry=expiry, usage_due=True, **CHANGED)
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


def follow_seal(session: UUID, body: dict[str, Any]) -> None:
    """What a seal says beside its chunks: gaps, and where its takes were closed, have their rows again."""
    for gap in body["gaps"]:
        rows = Gap.objects.filter(session=session, track=gap["track"], take=gap["take"])
        if not rows.filter(**gap).exists():
            last = rows.aggregate(last=Max("number"))["last"] or 0
            Gap.objects.create(session_id=session, number=max(last, UNNUMBERED) + 1, **gap)
    _close(session, _counters(session, body), reason="its closing was lost; its seal tells of it")


def _counters(session: UUID, body: dict[str, Any]) -> dict[tuple[int, str], int]:
    """By take and track that a seal knows to be closed, the last number that it had."""
    last = {
        (take, "screen"): 0 for take in Take.objects.filter(session=session).values_list("number", flat=True)
    }
    unknown = set()
    for one in (*body["leaves"], *body["missing"]):
        place = one["sequence"] >> 32, one["track"]
        last[place] = max(last.get(place, 0), one["sequence"] & COUNTER)
        if one.get("reason") == NEVER_CLOSED:
            unknown.add(place)
    return {place: counter for place, counter in last.items() if place not in unknown}


def close_all() -> None:
    """Takes whose closing is lost are closed after their last chunk."""
    for session in Session.objects.exclude(status=Status.DELETED).values_list("pk", flat=True):
        last: dict[tuple[int, str], int] = {}
        for track, sequence in Chunk.objects.filter(session=session).values_list("track", "sequence"):
            place = sequence >> 32, track
            last[place] = max(last.get(place, 0), sequence & COUNTER)
        _close(session, last, reason="recovered: its closing was lost")


def _close(session: UUID, last: dict[tuple[int, str], int], *, reason: str) -> None:
    for (take, track), counter in last.items():
        begin = take << 32
        chunks = Chunk.objects.filter(session=session, track=track, sequence__range=(begin, begin + COUNTER))
        end = chunks.aggregate(end=Max("end_us"))["end"] or 0
        facts = {"last_counter": counter, "end_us": end, "reason": reason}
        Closure.objects.get_or_create(session_id=session, take=take, track=track, defaults=facts)
