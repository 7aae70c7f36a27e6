"""Pages of a list over 1,000 and over 1,000,000 chunks: the first, one deep inside, a filtered one."""

import json
import statistics
import time
import urllib.request
from typing import Any

FEW, MANY = 1_000, 1_000_000
AT_ONCE = 10_000
TIMES = 40
PAGES = {
    "first page": "cursor=",
    "deep, by cursor": "cursor={cursor}",
    "by state, by cursor": "state=recorded&cursor=",
}


def furnish(user: Any) -> None:
    """Two sessions: one with few chunks, one with very many. Minutes on MongoDB."""
    from lucid_sessions.recordings.models import Chunk, Closure, Session

    times: dict[str, Any] = {"epoch": 1, "start_us": 0, "end_us": 1, "timestamp_ms": 0, "spool": "0" * 8}
    for name, number in (("few", FEW), ("many", MANY)):
        session = Session.objects.create(name=name, source="synthetic://", owner=user)
        row = {"session": session, "track": "screen", "raw_length": 65536, **times}
        for first in range(0, number, AT_ONCE):
            numbers = range(first + 1, min(number, first + AT_ONCE) + 1)
            Chunk.objects.bulk_create((Chunk(sequence=1 << 32 | n, **row) for n in numbers), batch_size=500)
        # As a recorder leaves it: this is what a total is estimated by.
        Closure.objects.create(session=session, take=1, track="screen", last_counter=number, end_us=1)


def table(url: str, token: str) -> str:
    """The median time of each page of both lists, asked for in turns, and how they compare."""
    asker = _Asker(url, token)
    sessions = {one["name"]: one["id"] for one in asker.get("/api/v1/sessions")["items"]}
    rows = [f"{'':22}{'of 1,000':>12}{'of 1,000,000':>14}{'ratio':>8}"]
    for name, query in PAGES.items():
        few, many = [], []
        addresses = [asker.page(sessions[one], query) for one in ("few", "many")]
        for _ in range(TIMES):
            few.append(asker.timed(addresses[0]))
            many.append(asker.timed(addresses[1]))
        short, long = statistics.median(few), statistics.median(many)
        rows.append(f"{name:22}{short:9.2f} ms{long:11.2f} ms{long / short:8.2f}")
    return "\n".join(rows)


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
