"""Who asks for an export does not wait for a broker that hangs: the row is the truth, a hint may be lost."""

import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from lucid_sessions.access.models import Job
from lucid_sessions.recordings import hints, jobs
from lucid_sessions.recordings.installation import Installation
from tasks.celery import app
from tasks.jobs import announce
from tests.faults.load import Redis

from .archive_of_one import sealed_session

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Redis]:
    """The broker of the application, as long as the test lasts."""
    found, before = Redis(tmp_path), app.conf.broker_url
    found.start()
    try:
        app.conf.broker_url = found.url
        app._after_fork()
        hints.register(None)  # nothing is remembered of another broker
        yield found
    finally:
        found.end(signal.SIGKILL)
        app.conf.broker_url = before
        app._after_fork()


def test_a_job_is_announced_and_a_frozen_broker_costs_well_under_a_second_once(
    world: Installation, auditor: Any, broker: Redis
) -> None:
    session = sealed_session(world)
    assert broker.process is not None

    def asked() -> float:
        """Seconds until the answer was there."""
        began = time.monotonic()
        answer = auditor.post(f"/api/v1/sessions/{session.pk}/export", {}, format="json")
        assert answer.status_code == 202, answer.content
        return time.monotonic() - began

    jobs.register(None)
    without = min(asked() for _ in range(3))
    jobs.register(announce)  # as when its module is loaded
    asked()
    assert broker.client.llen("export") == 1
    broker.process.send_signal(signal.SIGSTOP)
    try:
        assert asked() < without + 1
        # It is left in peace for a while, so those who come next wait for nothing.
        assert min(asked() for _ in range(3)) < without + 0.2
    finally:
        broker.process.send_signal(signal.SIGCONT)
    assert Job.objects.count() == 8
    hints.register(None)
    asked()
    assert broker.client.llen("export") >= 2
