"""Who asks for an export does not wait for a broker that hangs: the row is the truth, a hint may be lost."""

import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from lucid_sessions.access.models import Job
from lucid_sessions.recordings import hints, jobs
from lucid_sessions.recordings.installation import Installation
from tasks import haste
from tasks.celery import app
from tasks.jobs import announce
from tests.faults.load import Redis
from tests.tasks.patience import patient_with_brokers
from tests.waiting import PATIENCE, is_over_within, until

from .archive_of_one import sealed_session

pytestmark = pytest.mark.django_db(transaction=True)

HASTE = haste.HASTE


@pytest.fixture
def broker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Redis]:
    """The broker of the application, as long as the test lasts; it is left in peace for longer than that."""
    monkeypatch.setattr(hints, "SILENCE_SECONDS", PATIENCE)
    found, before = Redis(tmp_path), app.conf.broker_url
    found.start()
    try:
        app.conf.broker_url = found.url
        app._after_fork()
        hints.register(None)  # nothing is remembered of another broker
        with patient_with_brokers():
            yield found
    finally:
        found.end(signal.SIGKILL)
        app.conf.broker_url = before
        app._after_fork()


@contextmanager
def frozen(broker: Redis) -> Iterator[None]:
    """Inside, it hangs, and is waited for as everywhere; a connection to it is there."""
    assert broker.process is not None
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(haste, "HASTE", HASTE)
        until(_answers_in_haste)
        broker.process.send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            broker.process.send_signal(signal.SIGCONT)


def _answers_in_haste() -> bool:
    with suppress(Exception), haste.in_haste() as connection:
        return bool(connection.default_channel.client.ping())
    return False


def test_a_job_is_announced_and_a_frozen_broker_costs_well_under_a_second_once(
    world: Installation, auditor: Any, broker: Redis
) -> None:
    session, made = sealed_session(world), 0

    def asked() -> float:
        """Seconds until the answer was there."""
        nonlocal made
        made += 1
        began = time.monotonic()
        answer = auditor.post(f"/api/v1/sessions/{session.pk}/export", {}, format="json")
        assert answer.status_code == 202, answer.content
        return time.monotonic() - began

    jobs.register(None)
    without = min(asked() for _ in range(3))
    jobs.register(announce)  # as when its module is loaded
    asked()
    assert broker.client.llen("export") == 1

    def asked_anew() -> float:
        """By one who does not know yet that it hangs."""
        hints.register(None)
        return asked()

    with frozen(broker):
        assert is_over_within(without + 1, asked_anew)
        # It is left in peace for a while, so those who come next wait for nothing.
        assert is_over_within(without + 0.2, asked)
    assert Job.objects.count() == made
    hints.register(None)
    asked()
    assert broker.client.llen("export") >= 2
