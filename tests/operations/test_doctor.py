"""`manage.py doctor` names what is wrong, by itself, and goes on to the rest."""

import io
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command

from lucid_sessions.environment import DEFAULT_REDIS_URL
from lucid_sessions.operations import doctor, private_redis
from lucid_sessions.recordings.installation import Installation
from tests import factories
from tests.ports import free_port
from tests.servers import redis_server
from tests.waiting import until

pytestmark = pytest.mark.django_db(transaction=True)


def _told() -> tuple[int, dict[str, Any]]:
    out = io.StringIO()
    with pytest.raises(SystemExit) as ended:
        call_command("doctor", "--json", stdout=out)
    return int(ended.value.code or 0), {one["name"]: one for one in json.loads(out.getvalue())["findings"]}


def test_an_installation_that_is_well(world: Installation, settings: Any) -> None:
    session = factories.recorded_session(world)
    factories.end(session)
    with redis_server() as url:
        settings.REDIS_URL = settings.CACHE_URL = url
        code, found = _told()
    wrong = {name for name, one in found.items() if not one["well"]}
    assert (code, wrong) == (0, set()), found
    assert "noeviction" in found["broker"]["text"]
    assert world.spool.identity in found["spool"]["text"]
    assert "writer" in found["keys"]["text"]


def test_each_thing_that_is_wrong_is_named_with_what_to_do(world: Installation, settings: Any) -> None:
    settings.REDIS_URL = f"redis://127.0.0.1:{free_port()}/0"
    settings.CACHE_URL = "redis://no-such-host.invalid:6379/0"
    settings.LUCID_STORAGE_MIN_FREE_GIB = 1e9
    assert world.spool.identity
    (world.blobs_root / "lucid-blobs").unlink()
    code, found = _told()
    assert code == 1
    assert {name for name, one in found.items() if not one["well"]} == {
        "names",
        "broker",
        "cache",
        "blobs",
        "spool",
    }
    assert "correct REDIS_URL. Nothing is lost" in found["broker"]["text"]
    assert "correct CACHE_URL" in found["cache"]["text"]
    assert "mount it" in found["blobs"]["text"]
    assert "free space" in found["spool"]["text"]
    assert found["database"]["well"]


def test_a_broker_that_forgets_is_told_of(world: Installation, settings: Any) -> None:
    import redis

    with redis_server() as url, redis.Redis.from_url(url) as client:
        client.config_set("maxmemory-policy", "allkeys-lru")
        settings.REDIS_URL = url
        assert "set noeviction" in _told()[1]["broker"]["text"]


def test_a_containers_memory_is_read_from_its_control_group(tmp_path: Path) -> None:
    (tmp_path / "memory.max").write_text(f"{512 * 2**20}\n")
    (tmp_path / "memory.current").write_text(f"{100 * 2**20}\n")
    assert doctor.memory(tmp_path) == "the container has 100 of 512 MiB"
    (tmp_path / "memory.max").write_text("max\n")
    assert "no limit is set" in doctor.memory(tmp_path)


def test_the_redis_of_the_stack_in_this_home_is_asked(
    world: Installation, settings: Any, tmp_path: Path
) -> None:
    settings.REDIS_URL, settings.LUCID_HOME = DEFAULT_REDIS_URL, tmp_path
    assert "never run here" in _told()[1]["broker"]["text"]
    redis = private_redis.choose(tmp_path, environment={})
    assert private_redis.url_in(tmp_path) == redis.url
    assert "refused" in _told()[1]["broker"]["text"]
    with subprocess.Popen(redis.command, stdout=subprocess.DEVNULL) as running:
        try:
            until(lambda: private_redis.answers(redis.url))
            assert "noeviction" in _told()[1]["broker"]["text"]
        finally:
            running.terminate()


def test_addresses_of_all_kinds_have_names(settings: Any) -> None:
    settings.REDIS_URL, settings.CACHE_URL = "redis://:secret@[::1]:6379/0", "redis://127.0.0.1:6379/0"
    settings.MONGODB_URL = "mongodb://user:secret@localhost:27017,127.0.0.2:27018/lucid"
    found = {one.name: one for one in doctor.look()}["names"]
    assert found.well, found.text
    assert "::1 is ::1" in found.text
    assert "secret" not in found.text


def test_a_database_that_was_never_made_is_told_with_what_makes_it(
    tmp_path: Path,
) -> None:
    env = {**os.environ, "LUCID_HOME": str(tmp_path / "nowhere")}
    done = subprocess.run(
        [sys.executable, "manage.py", "doctor"], env=env, capture_output=True, text=True, check=False
    )
    (line,) = [line for line in done.stdout.splitlines() if line.startswith("WRONG database")]
    assert "`manage.py prepare` makes it" in line
    assert "OperationalError" not in done.stdout
