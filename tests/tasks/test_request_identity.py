"""What a request causes can be found by its X-Request-ID, in the logs of whoever worked on it."""

import json
from pathlib import Path
from typing import Any

import pytest
import structlog

from lucid_sessions.access import authentication
from lucid_sessions.access.models import Job
from lucid_sessions.blobs.files import MARKER
from lucid_sessions.recordings import hints
from lucid_sessions.recordings.installation import Installation
from tasks.pipeline import CeleryPublisher
from tests import factories
from tests.api.people import client_of, person
from tests.tasks.test_chain_through_workers import redis_url as redis_url
from tests.tasks.workers import environment, workers
from tests.waiting import until

pytestmark = pytest.mark.django_db(transaction=True)

ASKED = "asked-by-this-test.1"


def lines(log: Path) -> list[dict[str, Any]]:
    """What a worker logged, line by line."""
    return [json.loads(line) for line in log.read_text().splitlines() if line.startswith("{")]


def test_a_workers_log_names_the_request_that_asked_for_the_job(
    world: Installation, redis_url: str, tmp_path: Path, settings: Any
) -> None:
    settings.LUCID_RESULTS_PATH = tmp_path / "results"
    session = factories.recorded_session(world)
    client = client_of(person("auditor"))
    address = f"/api/v1/sessions/{session.pk}/evidence"
    answer = client.post(address, {}, format="json", HTTP_X_REQUEST_ID=ASKED)
    assert (answer.status_code, answer["X-Request-ID"]) == (202, ASKED)
    env = environment(world, redis_url, LOG_FORMAT="json", LUCID_RESULTS_PATH=str(tmp_path / "results"))
    with workers("export", env=env, logs=tmp_path):
        # It is not sealed, so its evidence is refused, which is logged.
        until(lambda: Job.objects.get().status == "failed")
    authentication.forget_all()
    (failed,) = [line for line in lines(tmp_path / "export.log") if line["event"] == "job failed"]
    assert (failed["request_id"], failed["job"]) == (ASKED, answer.json()["id"])


def test_it_goes_along_the_chain_from_queue_to_queue(
    world: Installation, redis_url: str, tmp_path: Path
) -> None:
    session = factories.recorded_session(world, segments=1)
    (world.blobs_root / MARKER).unlink()
    hints.register(CeleryPublisher())
    with structlog.contextvars.bound_contextvars(request_id=ASKED):
        assert hints.hint(session.chunks.all()) == 1
    env = environment(world, redis_url, LOG_FORMAT="json", LUCID_FUSE="none")
    queues = ("capture,compress,encrypt", "store")
    with workers(*queues, env=env, logs=tmp_path):
        until(lambda: "chunk waits" in (tmp_path / "store.log").read_text())
    for name in ("capture-compress-encrypt", "store"):
        told = [line for line in lines(tmp_path / f"{name}.log") if "Task pipeline." in line["event"]]
        assert told, name
    (waits, *_) = [line for line in lines(tmp_path / "store.log") if line["event"] == "chunk waits"]
    assert (waits["request_id"], waits["stage"]) == (ASKED, "store")
