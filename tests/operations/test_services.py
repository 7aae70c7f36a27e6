"""`manage.py service NAME`: what a container runs, and what it answers on its port."""

import json
import signal
from pathlib import Path

from lucid_sessions.operations.premises import answers
from lucid_sessions.operations.services import SERVICES
from lucid_sessions.recordings.lifecycle import QUEUES
from tests.operations.processes import of_home, output, running
from tests.operations.test_embedded_stack import HOST, asked
from tests.ports import free_port
from tests.servers import redis_server
from tests.waiting import PATIENCE, until

# DESIGN 2: port, and the queues that are served there; decision 19: exports and webhooks.
SPECIFIED = {
    "session-api": (8087, {"export"}),
    "pipeline-manager": (8083, {"anchor", "pipeline"}),
    "session-recorder": (8084, {"capture"}),
    "chunk-processor": (8085, {"compress", "encrypt"}),
    "session-storage": (8086, {"store", "maintenance", "webhooks"}),
    "flower": (5555, set()),
}


def commands(name: str) -> list[tuple[str, ...]]:
    return [part.command for part in SERVICES[name].parts({}, SERVICES[name].port)]


def queues(name: str) -> set[str]:
    served = [set(c[c.index("-Q") + 1].split(",")) for c in commands(name) if "-Q" in c]
    return set().union(*served)


def test_every_service_has_its_port_and_its_queues() -> None:
    assert {name: (one.port, queues(name)) for name, one in SERVICES.items()} == SPECIFIED


def test_every_queue_is_served_by_exactly_one_service() -> None:
    assert sorted(queue for name in SERVICES for queue in queues(name)) == sorted(QUEUES)


def test_there_is_one_beat_and_one_recorder() -> None:
    assert [name for name in SERVICES if any("beat" in c for c in commands(name))] == ["pipeline-manager"]
    assert [name for name in SERVICES if any("recorder" in c for c in commands(name))] == ["session-recorder"]


def test_a_service_answers_for_its_processes_and_stops_as_one(tmp_path: Path) -> None:
    home, port = tmp_path / "home", free_port()
    with running(home, "prepare") as preparing:
        assert preparing.wait(PATIENCE) == 0, output(home)
    with (
        redis_server() as url,
        running(
            home, "service", "pipeline-manager", "--port", str(port), REDIS_URL=url, LOG_LEVEL="INFO"
        ) as process,
    ):
        until(lambda: answers(HOST, port, "/health/ready") or process.poll() is not None, "ready")
        assert process.poll() is None, output(home)
        assert json.loads(asked(port, "/health")[1])["service"] == "pipeline-manager"
        until(lambda: answers(HOST, port, "/health/startup"), "started")
        until(lambda: b"sessions_active 0.0" in asked(port, "/metrics")[1], "the database's figures")
        # Beat sends it, the worker runs it.
        until(lambda: "Task schedule.reconcile" in output(home), "the reconciler was run")
        assert len(of_home(home)) >= 3
        process.send_signal(signal.SIGTERM)
        assert process.wait(PATIENCE) == 0
    assert of_home(home) == []
