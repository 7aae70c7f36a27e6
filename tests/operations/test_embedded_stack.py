"""`manage.py run`: everything comes up, answers, says where things are, and stops as one."""

import http.client
import json
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from lucid_sessions.operations.premises import answers
from tests.operations.processes import of_home, output, running
from tests.ports import free_port
from tests.waiting import PATIENCE, until

HOST = "127.0.0.1"


class Started(NamedTuple):
    home: Path
    port: int
    flower: int
    process: Any


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Started]:
    """One stack for all tests here: it takes seconds to start."""
    home = tmp_path_factory.mktemp("run") / "home"
    port, flower = free_port(), free_port()
    with running(home, "run", "--port", str(port), "--flower-port", str(flower)) as process:
        until(lambda: "Ctrl-C stops everything" in output(home) or process.poll() is not None, "it is up")
        assert process.poll() is None, output(home)
        yield Started(home, port, flower, process)


def asked(port: int, path: str) -> tuple[int, bytes]:
    connection = http.client.HTTPConnection(HOST, port, timeout=PATIENCE)
    connection.request("GET", path)
    answer = connection.getresponse()
    return answer.status, answer.read()


def test_it_becomes_ready_with_database_redis_and_storage(stack: Started) -> None:
    def told() -> dict[str, bool] | None:
        status, body = asked(stack.port, "/health/ready")
        return json.loads(body)["checks"] if status == 200 else None

    assert until(told, "ready") == {"database": True, "redis": True, "storage": True}


def test_it_says_which_redis_and_where_the_password_is(stack: Started) -> None:
    said = output(stack.home)
    password = stack.home / "keys" / "secrets" / "admin_password"
    assert "Redis: " in said
    assert str(password) in said
    assert password.stat().st_mode & 0o077 == 0
    assert password.read_text() not in said


def test_admin_and_flower_answer_where_it_says(stack: Started) -> None:
    assert asked(stack.port, "/admin/login/")[0] == 200
    until(lambda: answers(HOST, stack.flower, "/healthcheck"), "Flower is up")


def test_one_address_tells_the_figures_of_every_part(stack: Started) -> None:
    # Counted by the worker, told by the API.
    until(lambda: b'pipeline_queue_depth{queue="capture"} 0' in asked(stack.port, "/metrics")[1], "figures")
    assert b'pipeline_stage_duration_seconds_count{stage="store"} 0.0' in asked(stack.port, "/metrics")[1]


def test_a_second_run_in_the_same_home_is_one_clear_line(stack: Started) -> None:
    second = stack.home.parent / "second"
    second.symlink_to(stack.home)
    with running(second, "run", "--port", str(free_port()), "--flower-port", str(free_port())) as process:
        assert process.wait(PATIENCE) == 2
    said = output(second).strip().splitlines()
    assert len(said) == 1
    assert f"process {stack.process.pid}" in said[0]


def test_a_second_run_on_the_same_port_is_one_clear_line(stack: Started) -> None:
    other = stack.home.parent / "other"
    with running(other, "run", "--port", str(stack.port), "--flower-port", str(free_port())) as process:
        assert process.wait(PATIENCE) == 2
    said = output(other).strip().splitlines()
    assert len(said) == 1
    assert said[0].startswith(f"Port {stack.port} is in use")


def test_one_interrupt_stops_everything(stack: Started) -> None:
    assert len(of_home(stack.home)) >= 6
    stack.process.send_signal(signal.SIGINT)
    assert stack.process.wait(PATIENCE) == 0
    assert of_home(stack.home) == []
    assert "Everything has stopped." in output(stack.home)
    assert not list(stack.home.rglob("*.lucid-tmp"))
