"""`manage.py service NAME`: what a container runs, and what it answers on its port."""

import contextlib
import json
import os
import re
import shutil
import signal
from pathlib import Path

import pytest
import yaml

from lucid_sessions.operations import programs, services
from lucid_sessions.operations.premises import answers
from lucid_sessions.operations.services import SERVICES
from lucid_sessions.recordings.lifecycle import QUEUES
from recorder.spool import Spool
from recorder.supervisor import LAST_REPORTS_WITHIN, Policy
from tests.operations.processes import ROOT, descendants, of_home, output, running
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


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home in which nothing has run yet."""
    home = tmp_path_factory.mktemp("prepared") / "home"
    with running(home, "prepare") as preparing:
        assert preparing.wait(PATIENCE) == 0, output(home)
    return home


@pytest.fixture
def home(prepared: Path, tmp_path: Path) -> Path:
    """A prepared home of this test's own."""
    return shutil.copytree(prepared, tmp_path / "home")


def test_beside_each_recorder_of_several_only_what_needs_its_spool_is_served(home: Path) -> None:
    port = free_port()
    manifest = ROOT / "deploy/k8s/components/recording-hosts/recording-host.yaml"
    pod = next(yaml.safe_load_all(manifest.read_text()))["spec"]["template"]["spec"]["containers"]
    (storage,) = [one for one in pod if one["name"] == "session-storage"]
    told = (*storage["args"], "--port", str(port))
    with (
        redis_server() as url,
        running(home, "service", *told, REDIS_URL=url, LUCID_QUEUE_PER_SPOOL="true") as process,
    ):
        until(lambda: answers(HOST, port, "/health/startup") or process.poll() is not None, "started")
        served = [one.split(" -Q ")[1].split()[0] for one in of_home(home) if " -Q " in one]
        assert set(served) == {f"store.{Spool(home / 'spool').identity}"}, output(home)


def test_no_other_service_has_a_part_for_one_spool_alone(tmp_path: Path) -> None:
    with running(tmp_path / "home", "service", "session-api", "--spool-only") as process:
        assert process.wait(PATIENCE) == 2
    assert "--spool-only is for session-storage" in output(tmp_path / "home")


def test_a_service_answers_for_its_processes_and_stops_as_one(home: Path) -> None:
    port = free_port()
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


def test_a_recorder_may_take_as_long_as_its_own_policy_gives_its_takes() -> None:
    assert Policy().stop_at_last + LAST_REPORTS_WITHIN < programs.RECORDER_STOP_SECONDS
    # And its container, in which a worker stops afterwards, longer than that.
    needed = programs.RECORDER_STOP_SECONDS + services.WORKER_STOP_SECONDS
    compose = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]["session-recorder"]
    assert needed < int(compose["stop_grace_period"].removesuffix("s"))
    for path in ("base/session-recorder.yaml", "components/recording-hosts/recording-host.yaml"):
        (grace,) = re.findall(
            r"terminationGracePeriodSeconds: (\d+)", (ROOT / "deploy/k8s" / path).read_text()
        )
        assert needed < int(grace)


def test_a_take_that_does_not_end_is_closed_before_its_recorder_goes(home: Path, tmp_path: Path) -> None:
    port = free_port()
    recording = (tmp_path / "recording", "record", "synthetic://320x180")
    with (
        redis_server() as url,
        running(*recording, LUCID_HOME=str(home), REDIS_URL=url) as asked_for,
    ):
        assert asked_for.wait(PATIENCE) == 0, output(tmp_path / "recording")
        with running(home, "service", "session-recorder", "--port", str(port), REDIS_URL=url) as process:
            spool = Spool(home / "spool")
            until(lambda: list((home / "spool" / "takes").rglob("*_screen_*")), "something is recorded")
            (child,) = descendants(process.pid, "recorder.child")
            os.kill(child, signal.SIGSTOP)
            try:
                process.send_signal(signal.SIGTERM)
                assert process.wait(PATIENCE) == 0, output(home)
            finally:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(child, signal.SIGCONT)
    assert "did not stop" not in output(home)
    (take,) = (home / "spool" / "takes").glob("*/*")
    assert spool.closed(take)["screen"].ending == "interrupted"
    assert of_home(home) == []
