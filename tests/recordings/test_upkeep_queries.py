"""What upkeep asks the database at every tick is answered from indexes, however much is archived."""

from collections.abc import Callable, Iterator
from datetime import timedelta

import pytest
from django.db import connection
from django.db.models import QuerySet
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from lucid_sessions.operations import upkeep as maintenance
from lucid_sessions.recordings import (
    clearing,
    clock_guard,
    holds,
    orphans,
    quota,
    retention,
    scrub,
    shredding,
    upkeep,
)
from lucid_sessions.recordings.installation import Installation
from lucid_sessions.recordings.lifecycle import State, Status
from lucid_sessions.recordings.models import Chunk, Session, SessionKey
from tests.mongodb.plans import SLOW, plan_of
from tests.recordings import archived

pytestmark = pytest.mark.django_db(transaction=True)

# Each leaves something to do for the next.
TICKS: dict[str, Callable[[Installation], object]] = {
    "holds": lambda world: holds.remember(),
    "scrub": lambda world: scrub.tick(world),
    "quota": lambda world: quota.tick(),
    "orphans": lambda world: orphans.collect(world, older_than_seconds=-1),
    "spool": lambda world: clearing.clear_here(world),
    "shredding": lambda world: shredding.tick(world),
    "retention": lambda world: retention.tick(world),
}
LARGE = ("recordings_session", "recordings_chunk", "recordings_take", "recordings_sessionkey")


@pytest.mark.sqlite_only("plans of SQLite; those of MongoDB are looked at below")
def test_a_tick_never_reads_a_whole_table(world: Installation) -> None:
    _lived_in(world)
    # Which may come at any time: what it learns of a small database must not mislead the planner later.
    maintenance.maintain(world)
    for name, tick in TICKS.items():
        with CaptureQueriesContext(connection) as asked:
            tick(world)
        found = [query["sql"] for query in asked if query["sql"].startswith(("SELECT", "UPDATE"))]
        assert found, name
        slow = [(sql, line) for sql in found for line in _plan(sql) if _is_slow(line)]
        assert slow == [], name


def _lived_in(world: Installation) -> None:
    """One session each that is kept, too old and expiring; blobs that are due and one that is stray."""
    archived.sealed(world, days_old=3, name="kept")
    archived.sealed(world, days_old=400, name="old")
    going = archived.sealed(world, days_old=500, name="going")
    shredding.begin(going, cause="shred")
    Chunk.objects.update(stored_at=timezone.now() - timedelta(days=3))
    Session.objects.filter(name="kept").update(holds_due=True)
    clock_guard.confirm(clock_guard.read())
    upkeep.note("retention completed", {"at": upkeep.place_of(going)})


def _plan(sql: str) -> list[str]:
    with connection.cursor() as cursor:
        cursor.execute("EXPLAIN QUERY PLAN " + sql.replace("%", "%%"))
        return [row[3] for row in cursor.fetchall()]


def _is_slow(line: str) -> bool:
    scans = any(line.startswith(f"SCAN {table}") for table in LARGE) and "COVERING INDEX" not in line
    return scans or "TEMP B-TREE FOR ORDER BY" in line


def _queries() -> Iterator[tuple[str, QuerySet]]:
    now = timezone.now()
    place = [now.isoformat(), "0" * 32]
    ended = Session.objects.filter(status=Status.COMPLETED, ended_at__lte=now)
    yield "session_ended_ix", upkeep.after(ended, None)[:10]
    yield "session_ended_ix", upkeep.after(ended, place)[:10]
    yield "session_ended_ix", upkeep.after(Session.objects.filter(status=Status.EXPIRING), None)[:10]
    yield (
        "session_usage_due_ix",
        Session.objects.filter(usage_due__in=[True], pk__gt="0" * 32).order_by("pk")[:10],
    )
    yield "session_holds_due_ix", Session.objects.filter(holds_due__in=[True]).order_by("pk")[:10]
    stored = Chunk.objects.filter(state=State.ANCHORED)
    yield "chunk_verified_ix", stored.order_by("verified_at", "stored_at", "pk")[:10]
    yield "session_key_binding_ix", SessionKey.objects.filter(binding="ab" * 32)
    unclaimed = Chunk.objects.filter(blob__in=["ab" * 32]).exclude(state=State.EXPIRED)
    yield "chunk_blob_ix", unclaimed.order_by()


@pytest.mark.mongodb_only("plans of MongoDB")
def test_mongodb_answers_them_from_the_indexes(world: Installation) -> None:
    # Enough that the planner has something to choose by.
    settled = {"status": Status.DELETED, "usage_due": False, "source": "synthetic://"}
    Session.objects.bulk_create([Session(name=f"s{number}", **settled) for number in range(300)])
    _lived_in(world)
    for index, query in _queries():
        plan = plan_of(query)
        assert f"IXSCAN:{index}" in plan, (index, plan)
        assert not plan & SLOW, (index, plan)
