"""Jobs that cannot be done, now or at all: each ends, says why, and keeps no other from being done."""

import resource
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone
from structlog.testing import capture_logs

from lucid_sessions.access.models import Job
from lucid_sessions.errors import Retryable
from lucid_sessions.recordings import installation as outside
from lucid_sessions.recordings import jobs, pipeline
from lucid_sessions.recordings.installation import Installation
from lucid_sessions.recordings.job_faults import wait_of
from lucid_sessions.recordings.models import Session

from ..factories import acknowledge, end, file_spool, ready, segment_bytes, take
from .archive_of_one import STAGES, sealed_session

pytestmark = pytest.mark.django_db

URL = "/api/v1"


@contextmanager
def store_away(settings: Any) -> Iterator[None]:
    """Inside, nobody listens at the store's address."""
    there, settings.STORAGE_URL = settings.STORAGE_URL, "s3://vault/?endpoint=http://127.0.0.1:9"
    outside.installation.cache_clear()
    try:
        yield
    finally:
        settings.STORAGE_URL = there
        outside.installation.cache_clear()


def asked(client: Any, session: Session, kind: str) -> str:
    answer = client.post(f"{URL}/sessions/{session.pk}/{kind}", {}, format="json")
    assert answer.status_code == 202, answer.content
    return str(answer["Location"])


@contextmanager
def largest_file(size: int) -> Iterator[None]:
    """Inside, no file of this process grows beyond so many bytes, as on a disk that is full."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_an_export_that_cannot_be_made_says_why_and_the_next_is_not_kept_waiting(
    world: Installation, auditor: Any
) -> None:
    """What the recorder wrote can be good segment by segment, and still not be one recording."""
    broken = ready("synthetic://64x48", name="of two sizes in one epoch")
    Session.objects.filter(pk=broken.pk).update(status="recording", desired="record")
    take(broken, world)
    for counter, width in enumerate((64, 96), start=1):
        acknowledge(broken, world, counter=counter, content=segment_bytes(counter, width=width))
    chunks = file_spool(world)
    pipeline.run(STAGES, [chunk.pk for chunk in chunks], world=world)
    end(broken)
    first, second = asked(auditor, broken, "export"), asked(auditor, sealed_session(world), "export")
    assert jobs.tick() == 2
    job = auditor.get(first).json()
    assert (job["status"], job["result"]) == ("failed", None)
    assert "several epochs" in job["reason"]
    assert auditor.get(second).json()["status"] == "finished"


def test_a_full_disk_is_waited_for(world: Installation, auditor: Any) -> None:
    address = asked(auditor, sealed_session(world), "export")
    with largest_file(1024):
        assert jobs.tick() == 1
    job = auditor.get(address).json()
    assert job["status"] == "pending"
    assert "File too large" in job["reason"]
    Job.objects.update(next_attempt_at=timezone.now())
    assert jobs.tick() == 1
    assert auditor.get(address).json()["status"] == "finished"


@pytest.mark.parametrize("kind", ["export", "evidence", "verify"])
def test_a_store_is_waited_for_however_long_it_is_away(
    s3_world: Installation, auditor: Any, settings: Any, kind: str
) -> None:
    address = asked(auditor, sealed_session(s3_world), kind)
    with store_away(settings):
        for _ in range(2 * jobs.MOST_ATTEMPTS):
            assert jobs.tick() == 1
            job = auditor.get(address).json()
            assert (job["status"], job["reason"] != "") == ("pending", True), job
            Job.objects.update(next_attempt_at=timezone.now())
    assert jobs.tick() == 1
    assert auditor.get(address).json()["status"] == "finished"


def test_a_restart_is_soon_over_and_what_is_away_for_long_is_asked_less_often() -> None:
    now = timezone.now()
    assert wait_of(now) == wait_of(now + timedelta(days=1)) == timedelta(seconds=15)
    assert timedelta(minutes=3) <= wait_of(now - timedelta(minutes=30)) <= timedelta(minutes=4)
    assert wait_of(now - timedelta(days=3)) == timedelta(minutes=4)


@pytest.mark.parametrize("cancelled", [True, False])
def test_one_that_waits_is_cancelled_and_one_cancelled_as_it_failed_does_not_wait(
    world: Installation, auditor: Any, cancelled: bool
) -> None:
    address = asked(auditor, sealed_session(world), "export")
    job = jobs._claim()
    assert job is not None
    if cancelled:
        assert auditor.post(f"{address}/cancel").json()["status"] == "running"
    jobs._give_back_or_up(job, Retryable("The store is away."))
    assert auditor.get(address).json()["status"] == ("cancelled" if cancelled else "pending")
    assert auditor.post(f"{address}/cancel").json()["status"] == "cancelled"


def test_room_for_another_thread_is_waited_for(world: Installation, auditor: Any) -> None:
    address = asked(auditor, sealed_session(world), "export")
    before = threading.stack_size(1 << 47)  # so that none can be had
    try:
        assert jobs.tick() == 1
    finally:
        threading.stack_size(before)
    job = auditor.get(address).json()
    assert (job["status"], "thread" in job["reason"]) == ("pending", True)
    Job.objects.update(next_attempt_at=timezone.now())
    assert jobs.tick() == 1
    assert auditor.get(address).json()["status"] == "finished"


def test_a_job_that_nobody_foresaw_fails_and_the_log_says_where(world: Installation, auditor: Any) -> None:
    address = asked(auditor, sealed_session(world), "evidence")
    Job.objects.update(options={"disclose": 7})
    with capture_logs() as said:
        assert jobs.tick() == 1
    job = auditor.get(address).json()
    assert (job["status"], job["result"]) == ("failed", None)
    assert job["reason"].startswith("unexpected TypeError: ")
    assert any(isinstance(line.get("exc_info"), TypeError) for line in said)


def test_a_job_over_which_runner_after_runner_dies_is_given_up(world: Installation, auditor: Any) -> None:
    address = asked(auditor, sealed_session(world), "export")
    past = timezone.now() - timedelta(seconds=1)
    Job.objects.update(status="running", lease_until=past, fence=9, attempts=jobs.MOST_ATTEMPTS)
    assert jobs.tick() == 0
    job = auditor.get(address).json()
    assert job["status"] == "failed"
    assert "8 runners" in job["reason"]
    assert job["ended_at"]
    assert job["expires_at"]


def test_how_long_the_oldest_has_waited_is_known_until_it_is_done(world: Installation, auditor: Any) -> None:
    assert jobs.oldest_pending_seconds() == 0
    session = sealed_session(world)
    for minutes in (30, 90):
        asked(auditor, session, "export")
        Job.objects.filter(created_at__gt=timezone.now() - timedelta(minutes=1)).update(
            created_at=timezone.now() - timedelta(minutes=minutes)
        )
    assert 5400 <= jobs.oldest_pending_seconds() < 5500
    assert jobs.tick() == 2
    assert jobs.oldest_pending_seconds() == 0


def test_one_whose_runner_is_gone_waits_to_be_begun_again(world: Installation, auditor: Any) -> None:
    address = asked(auditor, sealed_session(world), "export")
    now = timezone.now()
    Job.objects.update(
        status="running", fence=1, attempts=1, created_at=now - timedelta(hours=2), lease_until=now
    )
    assert 7200 <= jobs.oldest_pending_seconds() < 7300
    Job.objects.update(lease_until=now + timedelta(seconds=50))
    assert jobs.oldest_pending_seconds() == 0
    Job.objects.update(lease_until=now)
    assert jobs.tick() == 1
    assert auditor.get(address).json()["status"] == "finished"


@pytest.mark.parametrize(
    "left",
    [{"status": "running", "lease_until": timedelta(days=30)}, {"next_attempt_at": timedelta(days=30)}],
)
def test_what_was_written_under_a_clock_that_was_ahead_is_not_waited_for(
    world: Installation, auditor: Any, left: dict[str, Any]
) -> None:
    address = asked(auditor, sealed_session(world), "export")
    now = timezone.now()
    Job.objects.update(
        **{name: now + value if isinstance(value, timedelta) else value for name, value in left.items()}
    )
    assert jobs.tick() == 1
    assert auditor.get(address).json()["status"] == "finished"
