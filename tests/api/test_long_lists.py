"""Lists cost the same however long they are: as many queries, each by its index, without sorting."""

from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from lucid_sessions.recordings.api import known
from lucid_sessions.recordings.installation import Installation
from lucid_sessions.recordings.models import Chunk, Session
from tests.mongodb.plans import SLOW, plan_of

from .people import client_of, person

pytestmark = pytest.mark.django_db

TIMES: dict[str, Any] = {"epoch": 1, "start_us": 0, "end_us": 1, "timestamp_ms": 0, "spool": "0" * 8}


def chunks_of(session: Session, numbers: range, track: str = "screen") -> None:
    rows = (Chunk(session=session, track=track, sequence=1 << 32 | n, raw_length=1, **TIMES) for n in numbers)
    Chunk.objects.bulk_create(rows, batch_size=500)


@pytest.fixture
def session(world: Installation) -> Session:
    assert world.spool.identity
    return Session.objects.create(name="long", source="synthetic://")


def walked(client: Any, address: str, **query: Any) -> tuple[dict[str, Any], list[str]]:
    """The page, and the queries that it took; not the first time, which is an event of the audit besides."""
    client.get(address, query)
    with CaptureQueriesContext(
        connection,
    ) as queries:
        answer = client.get(address, query)
    assert answer.status_code == 200, answer.content
    return answer.json(), [query["sql"] for query in queries]


def test_a_page_takes_as_many_queries_of_a_long_list_as_of_a_short_one(session: Session) -> None:
    client = client_of(person("session_manager"))
    address = f"/api/v1/sessions/{session.pk}/chunks"
    chunks_of(session, range(1, 61))
    short = walked(client, address, limit=20, cursor="")[1]
    chunks_of(session, range(61, 601))
    page, long = walked(client, address, limit=20, cursor="")
    assert len(long) == len(short)
    deep = walked(client, address, limit=20, cursor=page["pagination"]["next_cursor"])[1]
    assert len(deep) == len(short)


def test_a_walk_by_cursor_passes_from_track_to_track(session: Session) -> None:
    client = client_of(person("session_manager"))
    for track in ("audio", "screen", "thumb"):
        chunks_of(session, range(1, 8), track)
    seen, cursor = [], ""
    while cursor is not None:
        page = client.get(f"/api/v1/sessions/{session.pk}/chunks", {"limit": 3, "cursor": cursor}).json()
        seen += [(one["track"], one["number"]) for one in page["items"]]
        cursor = page["pagination"]["next_cursor"]
    assert seen == [(track, n) for track in ("audio", "screen", "thumb") for n in range(1, 8)]


def test_sessions_take_as_many_queries_whoever_owns_them(world: Installation) -> None:
    assert world.spool.identity
    client = client_of(person("session_manager"))
    counts = []
    for number in (60, 200, 400):
        owner = person("session_operator", name=f"operator {number}")
        rows = [Session(name=f"{number}-{n}", source="synthetic://", owner=owner) for n in range(number)]
        Session.objects.bulk_create(rows)
        counts.append(len(walked(client, "/api/v1/sessions", limit=50, cursor="")[1]))
    assert len(set(counts)) == 1, counts


@pytest.mark.sqlite_only("MongoDB explains in another way: below")
@pytest.mark.parametrize("deep", [False, True])
def test_sqlite_finds_a_page_by_its_index(session: Session, deep: bool) -> None:
    client = client_of(person("session_manager"))
    chunks_of(session, range(1, 101))
    Session.objects.bulk_create(Session(name=f"s{n}", source="synthetic://") for n in range(100))
    for address in (f"/api/v1/sessions/{session.pk}/chunks", "/api/v1/sessions"):
        page, queries = walked(client, address, limit=20, cursor="")
        if deep:
            cursor = page["pagination"]["next_cursor"]
            queries = walked(client, address, limit=20, cursor=cursor)[1]
        tables = {"chunks": "recordings_chunk", "sessions": "recordings_session"}
        table = tables[address.rpartition("/")[2]]
        pages = [sql for sql in queries if f'FROM "{table}"' in sql and "ORDER BY" in sql]
        assert pages, queries
        for sql in pages:
            with connection.cursor() as cursor_:
                cursor_.execute(f"EXPLAIN QUERY PLAN {sql}")
                plan = " / ".join(str(row[3]) for row in cursor_.fetchall())
            assert "USING INDEX" in plan or "USING COVERING INDEX" in plan, plan
            assert "TEMP B-TREE" not in plan, plan
            assert not plan.startswith(f"SCAN {table} /"), plan


@pytest.mark.mongodb_only("SQLite explains in another way: above")
@pytest.mark.parametrize("deep", [False, True])
def test_mongodb_finds_a_page_by_its_index(session: Session, deep: bool) -> None:
    from lucid_sessions.recordings.api import cursors

    chunks_of(session, range(1, 101))
    Session.objects.bulk_create(Session(name=f"s{n}", source="synthetic://") for n in range(100))
    chunks = Chunk.objects.filter(session=session.pk).order_by("track", "sequence")
    for rows in (chunks, Session.objects.order_by("-created_at", "-id")):
        if deep:
            cursor = cursors.write(rows[19], cursors.ordering_of(rows), of="/list")
            rows = cursors.behind(rows, cursor, of="/list")[0]
        plan = plan_of(rows[:21])
        assert any(step.startswith("IXSCAN") for step in plan), plan
        assert not SLOW & plan, plan


@pytest.mark.sqlite_only("MongoDB explains in another way: below")
def test_sqlite_answers_a_page_of_sessions_by_its_index_alone(world: Installation) -> None:
    assert world.spool.identity
    queries = walked(client_of(person("auditor")), "/api/v1/sessions", limit=20)[1]
    (page,) = [sql for sql in queries if "ORDER BY" in sql]
    with connection.cursor() as cursor:
        cursor.execute(f"EXPLAIN QUERY PLAN {page}")
        assert "USING COVERING INDEX session_newest_ix" in cursor.fetchall()[0][3]


@pytest.mark.mongodb_only("SQLite explains in another way: above")
def test_mongodb_answers_a_page_of_sessions_by_its_index_alone(world: Installation) -> None:
    assert world.spool.identity
    Session.objects.bulk_create(Session(name=f"s{n}", source="synthetic://") for n in range(100))
    rows = Session.objects.order_by("-created_at", "-id").values_list(*known.NEWEST)
    plan = plan_of(rows[:21])
    assert "FETCH" not in plan, plan
    assert any(step.startswith("IXSCAN:session_newest_ix") for step in plan), plan


@pytest.mark.parametrize("deep", [False, True])
def test_chunks_of_a_rare_state_are_found_without_reading_the_others(session: Session, deep: bool) -> None:
    chunks_of(session, range(1, 401))
    rare = Chunk.objects.filter(session=session, sequence__in=[1 << 32 | n for n in range(10, 400, 10)])
    rare.update(state="stored")
    client, address = client_of(person("session_manager")), f"/api/v1/sessions/{session.pk}/chunks"
    cursor = ""
    if deep:
        cursor = walked(client, address, limit=20, state="stored", cursor="")[0]["pagination"]["next_cursor"]
    page, queries = walked(client, address, limit=10, state="stored", cursor=cursor)
    assert [one["number"] for one in page["items"]] == [n * 10 for n in range(21, 31)] if deep else True
    for sql in [] if connection.vendor == "mongodb" else [one for one in queries if "ORDER BY" in one]:
        with connection.cursor() as explained:
            explained.execute(f"EXPLAIN QUERY PLAN {sql}")
            plan = " / ".join(str(row[3]) for row in explained.fetchall())
        assert "chunk_page_ix" in plan, plan
        assert "TEMP B-TREE" not in plan, plan
    if connection.vendor == "mongodb":
        rows = Chunk.objects.filter(session=session.pk, state="stored").order_by("track", "sequence")
        assert any(step.startswith("IXSCAN:chunk_page_ix") for step in plan_of(rows[:11]))


def test_what_is_asked_by_the_short_way_is_what_the_orm_would_answer(world: Installation) -> None:
    assert world.spool.identity
    owner, other = person("session_operator"), person("session_viewer")
    for number in range(7):
        Session.objects.create(name=f"s{number}", source="synthetic://", owner=owner if number % 2 else other)
    for user, rows in (
        (person("auditor"), Session.objects.all()),
        (owner, Session.objects.filter(owner=owner)),
    ):
        for number in (1, 3, 100):
            asked = known.newest(user, number)
            whole = list(rows.values(*known.NEWEST)[:number])
            assert list(map(known.key_of, asked)) == list(map(known.key_of, whole))
            if len(asked) == number > 1:
                assert asked[-2] == whole[-2]
    hers = Session.objects.filter(owner=other)[0]
    assert known.version_of(owner, hers.pk) is None
    assert known.version_of(other, hers.pk) == hers.version
    assert known.version_of(person("admin"), hers.pk) == hers.version
