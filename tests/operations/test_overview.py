"""/api/v1/health: every service in one answer, to whoever is signed in, at once whatever hangs."""

import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from lucid_sessions.operations import health, overview
from lucid_sessions.operations.side_server import serving
from tests.api.people import client_of, person
from tests.waiting import until

pytestmark = pytest.mark.django_db
URL = "/api/v1/health"
HOST = "127.0.0.1"


@pytest.fixture
def services(settings: Any) -> Iterator[dict[str, str]]:
    """Four others, as they can be: ready, without its Redis, with programs that keep ending, hanging."""
    well = {"redis": lambda: True}
    with ExitStack() as stack:

        def answering(name: str, **more: Any) -> str:
            probes = health.Health(more.pop("checks", well), service=name, **more)
            return f"http://{HOST}:{stack.enter_context(serving(HOST, 0, health=probes, exposition=None))}"

        silent = stack.enter_context(socket.create_server((HOST, 0)))
        settings.LUCID_SERVICES = {
            "pipeline-manager": answering("pipeline-manager"),
            "chunk-processor": answering("chunk-processor", checks={"redis": lambda: False}),
            "session-recorder": answering("session-recorder", steady=lambda: False),
            "session-storage": f"http://{HOST}:{silent.getsockname()[1]}",
        }
        overview._others.cache_clear()
        yield settings.LUCID_SERVICES
        overview._others.cache_clear()


def statuses(client: Any) -> dict[str, str]:
    answer = client.get(URL)
    assert answer.status_code == 200, answer.content
    return {one["service"]: one["status"] for one in answer.json()["services"]}


@pytest.mark.usefixtures("world", "services")
def test_every_service_is_named_with_how_it_is() -> None:
    client = client_of(person("auditor"))
    wanted = {
        "session-api": "ready",
        "pipeline-manager": "ready",
        "chunk-processor": "not_ready",
        "session-recorder": "unhealthy",
        "session-storage": "away",
    }
    # Asked in the background: the first answer may come before the others have spoken.
    until(lambda: statuses(client) | {"session-api": "ready"} == wanted, "everyone was heard")
    assert client.get(URL).json()["status"] == "degraded"


@pytest.mark.usefixtures("world", "services")
def test_it_answers_at_once_while_a_service_hangs_and_without_asking_the_database(
    django_assert_num_queries: Any,
) -> None:
    client = client_of(person("auditor"))
    statuses(client)
    took = []
    for _ in range(20):
        began = time.perf_counter()
        with django_assert_num_queries(0):
            client.get(URL)
        took.append(time.perf_counter() - began)
    assert min(took) < 0.05, took


@pytest.mark.usefixtures("world")
def test_strangers_are_not_told() -> None:
    assert client_of(None).get(URL).status_code == 401
    forged = client_of(None)
    forged.credentials(HTTP_AUTHORIZATION="Bearer e30.e30.e30")
    assert forged.get(URL).status_code == 401
