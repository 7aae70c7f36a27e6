"""The two Redis with their own configuration files and access lists, started for real, without containers."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import redis
from kombu import Connection

from tests.deploy import stores
from tests.deploy.parts import DEPLOY, compose
from tests.waiting import PATIENCE


@pytest.fixture(scope="module")
def secret_files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return stores.make_secrets(tmp_path_factory.mktemp("secrets"))


@pytest.fixture(scope="module")
def broker(secret_files: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with stores.redis_by("broker", secrets=secret_files, home=tmp_path_factory.mktemp("broker")) as url:
        yield url


@pytest.fixture(scope="module")
def cache(secret_files: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with stores.redis_by("cache", secrets=secret_files, home=tmp_path_factory.mktemp("cache")) as url:
        yield url


@pytest.mark.parametrize(
    "queue",
    [
        "capture",
        "compress",
        "encrypt",
        "store",
        "anchor",
        "pipeline",
        "maintenance",
        "export",
        "webhooks",
        "store.1a2b3c4d",
    ],
)
def test_celerys_transport_sends_and_receives_on_every_queue(queue: str, broker: str) -> None:
    with Connection(broker) as connection, connection.SimpleQueue(queue) as line:
        line.put({"id": 7})
        message = line.get(timeout=PATIENCE)
        assert message.payload == {"id": 7}
        message.ack()


@pytest.mark.parametrize(
    "command",
    [
        "FLUSHALL",
        "FLUSHDB",
        "CONFIG GET *",
        "SHUTDOWN",
        "ACL LIST",
        "CLIENT KILL ID 1",
        "SWAPDB 0 1",
        "KEYS *",
        "SAVE",
    ],
)
def test_a_worker_cannot_wipe_or_reconfigure_the_broker(command: str, broker: str) -> None:
    with redis.from_url(broker) as client, pytest.raises(redis.exceptions.NoPermissionError):
        client.execute_command(*command.split())


def test_a_worker_cannot_touch_keys_that_are_not_celerys(broker: str) -> None:
    with redis.from_url(broker) as client, pytest.raises(redis.exceptions.NoPermissionError):
        client.set("something-else", 1)


def test_the_readiness_check_and_the_queue_metric_are_allowed(broker: str) -> None:
    with redis.from_url(broker) as client:
        assert client.ping()
        assert client.llen("compress") == 0


@pytest.mark.parametrize("kind", ["broker", "cache"])
def test_without_a_password_one_can_ping_and_nothing_else(kind: str, request: pytest.FixtureRequest) -> None:
    address = request.getfixturevalue(kind).rpartition("@")[2]
    with redis.from_url(f"redis://{address}") as anybody:
        assert anybody.ping()
        with pytest.raises(redis.exceptions.NoPermissionError):
            anybody.get("celery")


def test_the_broker_refuses_rather_than_evicts_and_survives_a_restart() -> None:
    lines = (DEPLOY / "redis/broker.conf").read_text().splitlines()
    assert {"maxmemory-policy noeviction", "appendonly yes", "appendfsync everysec"} <= set(lines)
    assert "redis-broker-data:/data" in compose()["services"]["redis-broker"]["volumes"]


def test_the_cache_counts_atomically_and_can_forget(cache: str) -> None:
    with redis.from_url(cache) as client:
        script = "local n = redis.call('INCR', KEYS[1]); redis.call('EXPIRE', KEYS[1], 60); return n"
        assert client.eval(script, 1, "rate:user:7") == 1
        assert client.info("memory")["maxmemory_policy"] == "allkeys-lru"
        with pytest.raises(redis.exceptions.NoPermissionError):
            client.flushall()
