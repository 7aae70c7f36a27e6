"""Which Redis the embedded stack takes, and how it runs its own."""

import os
from dataclasses import replace
from pathlib import Path

import pytest
import redis

from lucid_sessions.errors import Refused
from lucid_sessions.operations import embedded, private_redis
from lucid_sessions.operations.children import Program
from lucid_sessions.operations.private_redis import Redis, choose
from lucid_sessions.operations.stack import Stack
from tests.ports import free_port
from tests.servers import redis_program
from tests.waiting import PATIENCE

WANTED = {
    "bind": "127.0.0.1",
    "appendonly": "yes",
    "appendfsync": "everysec",
    "maxmemory-policy": "noeviction",
    "protected-mode": "yes",
}


def nowhere(_name: str) -> None:
    return None


def test_a_given_redis_is_used_and_its_password_is_not_shown(tmp_path: Path) -> None:
    chosen = choose(tmp_path, environment={"REDIS_URL": "redis://user:pass-word@queue.invalid:6379/0"})
    assert chosen.url == "redis://user:pass-word@queue.invalid:6379/0"
    assert not chosen.command
    assert "pass-word" not in chosen.program
    assert "queue.invalid:6379" in chosen.program


def test_the_systems_redis_comes_before_the_wheels(tmp_path: Path) -> None:
    chosen = choose(tmp_path, environment={}, find=lambda name: f"/system/{name}", carried=lambda: "/wheel")
    assert chosen.program == "/system/redis-server"


def test_a_valkey_does_as_well(tmp_path: Path) -> None:
    only = {"valkey-server": "/system/valkey-server"}
    assert choose(tmp_path, environment={}, find=only.get).program == "/system/valkey-server"


def test_a_machine_without_any_gets_the_wheels(tmp_path: Path) -> None:
    assert choose(tmp_path, environment={}, find=nowhere).program == str(redis_program())


def test_where_there_is_none_at_all_one_line_says_what_to_install(tmp_path: Path) -> None:
    with pytest.raises(Refused, match="install redis-server or valkey-server, or set REDIS_URL"):
        choose(tmp_path, environment={}, find=nowhere, carried=lambda: None)


def served(home: Path, chosen: Redis) -> Stack:
    program = Program("redis", chosen.command, dict(os.environ), home)
    return Stack([program], logs=home, say=print)


def test_it_is_ours_alone_keeps_every_message_and_writes_them_down(tmp_path: Path) -> None:
    chosen = choose(tmp_path, environment={}, find=nowhere)
    with served(tmp_path, chosen) as stack:
        stack.start()
        stack.wait_until(lambda: private_redis.answers(chosen.url), what="Redis", seconds=PATIENCE)
        with redis.Redis.from_url(chosen.url) as client:
            kept = {name: client.config_get(name)[name] for name in WANTED}
            port = client.connection_pool.connection_kwargs["port"]
        with redis.Redis(port=port) as stranger, pytest.raises(redis.AuthenticationError):
            stranger.ping()
    assert kept == WANTED
    assert (tmp_path / "redis" / "redis.conf").stat().st_mode & 0o077 == 0


def test_one_that_is_long_in_loading_what_it_wrote_down_is_waited_for(tmp_path: Path) -> None:
    chosen = choose(tmp_path, environment={}, find=nowhere)
    slow = replace(chosen, command=("sh", "-c", 'sleep 12 && exec "$@"', "sh", *chosen.command))
    with served(tmp_path, slow) as stack:
        embedded.start(stack, slow)
        assert private_redis.answers(slow.url)


def test_a_redis_that_is_not_there_does_not_answer(tmp_path: Path) -> None:
    assert not private_redis.answers(f"redis://127.0.0.1:{free_port()}/0")
