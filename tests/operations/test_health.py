"""Health answers at once and in the specification's words, whatever hangs behind it."""

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.test import Client

from lucid_sessions.operations import health, private_redis, side_server
from lucid_sessions.operations.background import Watched
from lucid_sessions.operations.children import Child, Program
from lucid_sessions.operations.health import Health
from lucid_sessions.operations.stack import KEEP_ENDING
from tests.operations.processes import ROOT
from tests.waiting import until

# The specification names the database by its kind.
STORE = "mongodb" if settings.MONGO else "database"


def service(**checks: Callable[[], bool]) -> Health:
    return Health(checks, service="chunk-processor")


ASKER = """
import os, sys, time
from lucid_sessions.operations.background import Watched
thing = Watched(lambda: sys.stdin.readline() == "well\\n", otherwise=False, fresh=0.0)
assert thing.latest(within=300.0)
thing.latest(within=0.0)  # this question is not answered any more
now = time.monotonic()  # before they know, and each moment read once: no standstill falls between two
print("asked", flush=True)
last = now
while now - last < 1.0:
    time.sleep(0.02)
    last, now = now, time.monotonic()
print(thing.latest(within=0.0), flush=True)
while thing.latest(within=0.0):
    time.sleep(0.02)
print("hangs", flush=True)
os._exit(0)
"""


def test_a_standstill_of_our_own_makes_nobody_hang() -> None:
    command = [sys.executable, "-c", ASKER]
    with subprocess.Popen(
        command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as asker:
        assert asker.stdin is not None
        assert asker.stdout is not None
        asker.stdin.write("well\n")
        asker.stdin.flush()
        assert asker.stdout.readline() == "asked\n"
        asker.send_signal(signal.SIGSTOP)
        time.sleep(3.0)
        asker.send_signal(signal.SIGCONT)
        assert asker.stdout.read().split() == ["True", "hangs"]


def test_health_names_the_service_and_the_time() -> None:
    status, body = service().health()
    assert (status, body["status"], body["service"]) == (200, "healthy", "chunk-processor")
    assert datetime.fromisoformat(body["timestamp"]).tzinfo is not None
    assert set(body) == {"status", "timestamp", "service"}


def test_a_service_whose_programs_keep_ending_is_not_healthy_and_alive_all_the_same() -> None:
    one = Health({}, service="chunk-processor", steady=lambda: False)
    assert (one.health().status, one.health().body["status"]) == (503, "unhealthy")
    assert one.live().status == 200


def test_an_api_beside_which_a_program_keeps_ending_says_so(client: Client) -> None:
    told = settings.LUCID_HOME / KEEP_ENDING
    assert client.get("/health").status_code == 200
    told.write_text("exporter")
    try:
        answer = client.get("/health")
        assert (answer.status_code, answer.json()["status"]) == (503, "unhealthy")
        assert client.get("/health/live").status_code == 200
    finally:
        told.unlink()
    assert client.get("/health").status_code == 200


def test_a_program_that_cannot_stay_up_is_told_of_and_one_that_stays_is_not(tmp_path: Path) -> None:
    environment = {"PATH": os.environ["PATH"]}
    ends = Child(
        Program("ends", (sys.executable, "-c", "raise SystemExit(3)"), environment, tmp_path), log=None
    )
    stays = Child(Program("stays", ("sleep", "60"), environment, tmp_path), log=None)
    try:
        for child in (ends, stays):
            child.start()
        for _ in range(2):
            assert not ends.keeps_ending
            until(lambda: ends.ended() is not None, "it ended")
            until(lambda: ends.restart_when_due() or ends.pid is not None, "it starts again")  # type: ignore[func-returns-value]
        assert ends.keeps_ending
        assert not stays.keeps_ending
    finally:
        for child in (ends, stays):
            child.kill()


def test_alive_says_nothing_about_dependencies() -> None:
    assert service(redis=lambda: False).live() == (200, {"status": "alive"})


def test_ready_when_every_dependency_answers() -> None:
    one = service(database=lambda: True, redis=lambda: True, storage=lambda: True)
    until(lambda: one.ready().status == 200, "ready")
    body = one.ready().body
    assert body["status"] == "ready"
    assert body["checks"] == {"database": True, "redis": True, "storage": True}
    assert set(body) == {"status", "checks", "timestamp"}


def test_not_ready_names_the_dependency_that_is_away() -> None:
    def broken() -> bool:
        raise ConnectionRefusedError

    one = service(mongodb=broken, storage=lambda: True)
    until(lambda: one.ready().body["checks"]["storage"], "the checks were made")
    status, body = one.ready()
    assert (status, body["status"]) == (503, "not_ready")
    assert body["checks"] == {"mongodb": False, "storage": True}


def test_startup_is_refused_until_everything_has_started() -> None:
    started = threading.Event()
    one = Health({}, service="x", started=started.is_set)
    assert one.startup() == (503, {"status": "starting"})
    started.set()
    assert one.startup() == (200, {"status": "started"})


def test_an_answer_comes_while_a_dependency_still_hangs() -> None:
    released = threading.Event()
    one = service(database=released.wait, storage=lambda: True)
    until(lambda: one.ready().body["checks"]["storage"], "the other check was made")
    assert one.ready().body["checks"] == {"database": False, "storage": True}
    assert not released.is_set()
    released.set()
    until(lambda: one.ready().status == 200, "it is noticed that the dependency is back")


def test_a_hanging_dependency_is_asked_once_at_a_time() -> None:
    released, asked = threading.Event(), []

    def ask() -> bool:
        asked.append(1)
        return released.wait()

    one = service(database=ask)
    for _ in range(20):
        one.ready()
    assert len(asked) == 1
    released.set()


@contextmanager
def silent_server() -> Iterator[int]:
    """The port of a server that takes connections and never says a word."""
    with socket.create_server(("127.0.0.1", 0), backlog=64) as server:
        yield server.getsockname()[1]


def test_a_redis_that_accepts_and_never_answers_is_away() -> None:
    with silent_server() as port:
        one = service(
            redis=partial(private_redis.answers, f"redis://127.0.0.1:{port}/0"), storage=lambda: True
        )
        until(lambda: one.ready().body["checks"]["storage"], "the other check was made")
        assert one.ready().status == 503
        assert one.ready().body["checks"]["redis"] is False


def test_storage_needs_more_room_than_the_setting_asks_for(tmp_path: Path, settings: Any) -> None:
    settings.CHUNK_STORAGE_PATH = tmp_path
    settings.LUCID_STORAGE_MIN_FREE_GIB = 0
    assert health.storage_has_room()
    settings.LUCID_STORAGE_MIN_FREE_GIB = 1e9
    assert not health.storage_has_room()


def test_the_checks_carry_the_names_of_the_specification() -> None:
    assert set(health.checks()) == {STORE, "redis", "storage"}


def asked(port: int, path: str) -> tuple[int, Any]:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=10) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        return error.code, json.load(error)


def test_a_workers_parent_answers_over_http() -> None:
    one = service(storage=lambda: False)
    with side_server.serving("127.0.0.1", 0, health=one, exposition=lambda: b"figure 1\n") as port:
        assert asked(port, "/health/live") == (200, {"status": "alive"})
        assert asked(port, "/health")[1]["service"] == "chunk-processor"
        assert asked(port, "/health/ready")[0] == 503
        assert asked(port, "/nothing")[0] == 404
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as figures:
            assert figures.read() == b"figure 1\n"
            assert figures.headers["Content-Type"].startswith("text/plain; version=")


@pytest.mark.parametrize("path", ["/health", "/health/live", "/health/startup"])
def test_django_answers_the_same_addresses(client: Client, path: str) -> None:
    answer = client.get(path)
    assert answer.status_code == 200
    assert answer.json()["status"] in {"healthy", "alive", "started"}


@pytest.mark.django_db(transaction=True)
def test_django_names_what_it_depends_on(client: Client) -> None:
    answer = client.get("/health/ready")
    assert answer.status_code == 503  # there is no Redis in this test
    assert set(answer.json()["checks"]) == {STORE, "redis", "storage"}
    until(lambda: client.get("/health/ready").json()["checks"][STORE], "the database answers")


def test_a_dependency_that_hung_and_came_back_is_noticed_as_soon_as_it_is_asked_again() -> None:
    slow = threading.Event()
    watched = Watched(lambda: slow.wait(1.0), otherwise=False, fresh=0.0)
    assert watched.latest(within=5.0) is False
    slow.set()
    assert watched.latest(within=5.0) is True


@pytest.mark.parametrize("path", ["/health", "/health/live", "/metrics"])
def test_what_can_only_be_read_says_so_to_who_would_write(path: str) -> None:
    answer = Client(enforce_csrf_checks=True).post(path)
    assert (answer.status_code, answer["Allow"]) == (405, "GET, HEAD")
