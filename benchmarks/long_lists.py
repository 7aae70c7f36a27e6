"""Pages of a list over 1,000 and over 1,000,000 chunks: the first, one deep inside, filtered ones."""

import json
import statistics
import time
import urllib.request
from typing import Any
from uuid import UUID

from django.db import connection, transaction

from .figures import Figure

FEW, MANY = 1_000, 1_000_000
# So many chunks of either list are in a state that the others are not in.
RARE = 60
AT_ONCE = 10_000
TIMES = 60
# How much longer a page of the long list may take than one of the short list.
MOST = 1.2
PAGES = {
    "first page, by offset": "offset=0",
    "first page, by cursor": "cursor=",
    "half-way, by cursor": "cursor={cursor}",
    "by state, by cursor": "state=recorded&cursor=",
    "half-way, by state": "state=recorded&cursor={cursor}",
    "by a rare state": "state=compressed&cursor=",
}


def furnish(user: Any) -> None:
    """Two sessions, one with few chunks and one with very many, put into the database directly."""
    from lucid_sessions.recordings.models import Chunk, Closure, Session

    facts: dict[str, Any] = {"epoch": 1, "start_us": 0, "end_us": 1, "timestamp_ms": 0, "spool": "0" * 8}
    for place, (name, number) in enumerate((("few", FEW), ("many", MANY))):
        session = Session.objects.create(name=name, source="synthetic://", owner=user)
        first = Chunk(session=session, track="screen", sequence=1 << 32 | 1, raw_length=65536, **facts)
        first.pk = UUID(int=place + 1 << 64)
        first.save(force_insert=True)
        (_multiply_documents if connection.vendor == "mongodb" else _multiply_rows)(first, number)
        rare = [first.sequence + place * (number // RARE) for place in range(RARE)]
        Chunk.objects.filter(session=session, sequence__in=rare).update(state="compressed")
        # As a recorder leaves it: this is what a total is estimated by.
        Closure.objects.create(session=session, take=1, track="screen", last_counter=number, end_us=1)


def _multiply_rows(first: Any, number: int) -> None:
    """The database copies the row as often as is wanted, with other keys and sequence numbers."""
    new = {"_id": f"printf('%016x%016x', {first.pk.int >> 64}, n)", "sequence": f"{first.sequence} + n"}
    names = [field.column for field in first._meta.concrete_fields]
    columns = ", ".join(f'"{name}"' for name in names)
    values = ", ".join(new.get(name, f'"{name}"') for name in names)
    sql = f"""
        WITH RECURSIVE numbers(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < {number - 1})
        INSERT INTO {first._meta.db_table} ({columns})
        SELECT {values} FROM numbers, {first._meta.db_table} WHERE "_id" = '{first.pk.hex}'
    """  # noqa: S608 - of names and numbers of our own
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(sql)


def _multiply_documents(first: Any, number: int) -> None:
    """The same for MongoDB; the indexes are made behind very many rows, which is several times as fast."""
    from pymongo import IndexModel

    rows: Any = connection.database[first._meta.db_table]
    document = rows.find_one({"_id": _kept(first, 0)})
    indexes = {name: facts for name, facts in rows.index_information().items() if name != "_id_"}
    if number > AT_ONCE:
        rows.drop_indexes()
    for begin in range(1, number, AT_ONCE):
        numbers = range(begin, min(number, begin + AT_ONCE))
        new = [document | {"_id": _kept(first, n), "sequence": first.sequence + n} for n in numbers]
        rows.insert_many(new, ordered=False)
    if number > AT_ONCE:
        kept = ("unique", "partialFilterExpression")
        rows.create_indexes(
            [
                IndexModel(facts["key"], name=name, **{k: facts[k] for k in kept if k in facts})
                for name, facts in indexes.items()
            ]
        )


def _kept(first: Any, n: int) -> Any:
    """The key of the n-th row behind the first, as the database keeps it."""
    return first._meta.pk.get_db_prep_value(UUID(int=first.pk.int + n), connection)


def figures(url: str, token: str) -> list[Figure]:
    """The median time of each page of both lists, asked for in turns, one request at a time."""
    asker = _Asker(url, token)
    sessions = {one["name"]: one["id"] for one in asker.get("/api/v1/sessions?limit=2")["items"]}
    return [_compared(asker, sessions, name, query) for name, query in PAGES.items()]


def _compared(asker: "_Asker", sessions: dict[str, str], name: str, query: str) -> Figure:
    few, many = [], []
    addresses = [asker.page(sessions[one], query) for one in ("few", "many")]
    for _ in range(TIMES):
        few.append(asker.timed(addresses[0]))
        many.append(asker.timed(addresses[1]))
    short, long = statistics.median(few), statistics.median(many)
    value = f"{short:.2f} ms of {FEW:,}, {long:.2f} ms of {MANY:,}: {long / short:.2f}x"
    return Figure(f"50 chunks, {name}", value, f"<= {MOST}x", met=long <= MOST * short)


class _Asker:
    def __init__(self, url: str, token: str) -> None:
        self._url, self._headers = url, {"Authorization": f"Bearer {token}"}

    def get(self, path: str) -> Any:
        request = urllib.request.Request(self._url + path, headers=self._headers)  # noqa: S310 - our own server
        with urllib.request.urlopen(request, timeout=60) as answer:  # noqa: S310
            return json.load(answer)

    def timed(self, path: str) -> float:
        """Milliseconds."""
        began = time.perf_counter()
        self.get(path)
        return (time.perf_counter() - began) * 1000

    def page(self, session: str, query: str) -> str:
        """The address; a cursor leads half-way into the list."""
        address = f"/api/v1/sessions/{session}/chunks?limit=50&"
        if "{cursor}" not in query:
            return address + query
        return address + query.format(cursor=self._half_way(address))

    def _half_way(self, address: str) -> str:
        total = self.get(address)["pagination"]["total"]
        deep = max(0, (MANY if total >= 10_000 else FEW) // 2 - 50)
        return str(self.get(f"{address}offset={deep}")["pagination"]["next_cursor"])
