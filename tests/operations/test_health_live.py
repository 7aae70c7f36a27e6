"""Health of the real server while what it depends on hangs: frozen by SIGSTOP, neither gone nor answering."""

import http.client
import json
import os
import signal
import statistics
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager, suppress
from typing import Any

import pytest
import redis
from pymongo import MongoClient

from tests.api.live import HOST, Live, live_api
from tests.waiting import until

ADDRESSES = ("/health", "/health/live", "/health/ready", "/health/startup", "/api/v1/health")
# Requests that hang meanwhile: more than processors, fewer than threads.
HANGING = 24


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    with live_api(tmp_path_factory.mktemp("health") / "home") as running:
        yield running


def asked(live: Live, path: str, *, seconds: float = 20) -> tuple[int, Any]:
    with closing(http.client.HTTPConnection(HOST, live.port, timeout=seconds)) as connection:
        connection.request("GET", path, headers=live.bearer)
        answer = connection.getresponse()
        return answer.status, json.loads(answer.read())


def asked_at_once(live: Live) -> list[tuple[int, Any]]:
    """What all workers say of their readiness: of several requests at once seldom all go to one worker.

    Each worker looks for itself; one that was not asked for a while gives its last answer once more.
    """
    with ThreadPoolExecutor(8) as pool:
        return list(pool.map(lambda _: asked(live, "/health/ready"), range(64)))


@contextmanager
def frozen(process: int) -> Iterator[None]:
    os.kill(process, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(process, signal.SIGCONT)


def answers_while_hung(live: Live, *, name: str, others: Callable[[dict[str, bool]], bool]) -> None:
    until(lambda: not any(ready[1]["checks"][name] for ready in asked_at_once(live)), "noticed")
    took = []

    def answered(path: str) -> tuple[int, Any]:
        began = time.perf_counter()
        # Whatever hangs would hang far longer than this.
        answer = asked(live, path, seconds=5)
        took.append((time.perf_counter() - began) * 1000)
        return answer

    for path in ADDRESSES * 5:
        if path == "/health/ready":
            # A worker that got none of all those requests gives its last answer until it has looked.
            until(lambda: answered("/health/ready")[0] == 503, "not ready")
        else:
            status, body = answered(path)
            assert status == 200, (path, body)
    until(lambda: others(asked(live, "/health/ready")[1]["checks"]), "the others answer")
    # Printed and not asserted, since the machine decides it too.
    print(f"{name} hung: median {statistics.median(took):.1f} ms, longest {max(took):.1f} ms")


def test_health_answers_while_redis_hangs(live: Live) -> None:
    url = live.variables["REDIS_URL"]
    with closing(redis.Redis.from_url(url)) as client:
        process = int(client.info()["process_id"])  # type: ignore[index]
    until(lambda: asked(live, "/health/ready")[0] == 200, "ready")
    with frozen(process):
        answers_while_hung(live, name="redis", others=lambda checks: checks["storage"])
    until(lambda: {status for status, _ in asked_at_once(live)} == {200}, "ready again")


@pytest.mark.mongodb_only("SQLite is a file: it cannot be frozen")
def test_health_answers_while_mongodb_hangs_and_requests_with_it(live: Live) -> None:
    with closing(MongoClient(os.environ["MONGODB_URL"])) as client:
        process = int(client.admin.command("serverStatus")["pid"])
    until(lambda: asked(live, "/health/ready")[0] == 200, "ready")
    with ThreadPoolExecutor(HANGING) as pool:
        with frozen(process):
            waiting = [pool.submit(asked, live, "/api/v1/sessions", seconds=90) for _ in range(HANGING)]
            answers_while_hung(live, name="mongodb", others=lambda checks: checks["redis"])
        for one in waiting:
            with suppress(OSError):
                assert one.result()[0] in (200, 503)
    until(lambda: {status for status, _ in asked_at_once(live)} == {200}, "ready again")
