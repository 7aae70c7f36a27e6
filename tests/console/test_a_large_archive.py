"""The page for people on call costs no more where much is archived."""

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from lucid_sessions.console import standing
from lucid_sessions.recordings.installation import Installation
from lucid_sessions.recordings.lifecycle import State
from lucid_sessions.recordings.models import Chunk
from tests.mongodb.plans import SLOW, plan_of
from tests.recordings import archived

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.mark.sqlite_only("plans of SQLite; that of MongoDB is looked at below")
def test_it_never_reads_all_chunks(world: Installation) -> None:
    archived.sealed(world)
    with CaptureQueriesContext(connection) as asked:
        standing.look()
    found = [query["sql"] for query in asked if '"recordings_chunk"' in query["sql"]]
    assert found
    with connection.cursor() as cursor:
        for sql in found:
            cursor.execute("EXPLAIN QUERY PLAN " + sql.replace("%", "%%"))
            read = [row[3] for row in cursor.fetchall()]
            assert not [line for line in read if line.startswith("SCAN recordings_chunk")], sql


@pytest.mark.mongodb_only("plans of MongoDB")
def test_mongodb_finds_what_is_stuck_by_an_index(world: Installation) -> None:
    archived.sealed(world, segments=5)
    Chunk.objects.filter(pk=Chunk.objects.order_by("sequence")[0].pk).update(quarantined_at=timezone.now())
    stuck = Chunk.objects.filter(quarantined_at__gt=standing.EVER).exclude(state=State.EXPIRED)
    plan = plan_of(stuck.order_by("-quarantined_at")[:20])
    assert "IXSCAN:chunk_stuck_ix" in plan, plan
    assert not plan & SLOW, plan
