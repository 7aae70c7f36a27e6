"""What jobs decrypt lies nowhere once nobody can ask for it, however the job ended."""

import os
import time
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from django.utils import timezone

from lucid_sessions.access.models import Job
from lucid_sessions.recordings import job_results, jobs, pipeline, sealing, shredding
from lucid_sessions.recordings.installation import Installation
from lucid_sessions.recordings.models import Session

from ..factories import acknowledge, close, end, file_spool, ready, segment_bytes, take
from .archive_of_one import STAGES, sealed_session
from .test_jobs import asked
from .test_jobs_that_fail import largest_file

pytestmark = pytest.mark.django_db

LARGE = segment_bytes(2, width=640)


def files(settings: Any) -> list[Path]:
    return [path for path in Path(settings.LUCID_RESULTS_PATH).rglob("*") if path.is_file()]


def session_of_two_epochs(world: Installation) -> Session:
    """Its second epoch has a larger picture than its first."""
    session = ready("synthetic://64x48", name="of two epochs")
    Session.objects.filter(pk=session.pk).update(status="recording", desired="record")
    for number, content in enumerate((segment_bytes(1), LARGE), start=1):
        take(session, world, number=number)
        acknowledge(session, world, counter=number, number=number, content=content)
        close(session, world, last_counter=number, number=number)
    pipeline.run(STAGES, [chunk.pk for chunk in file_spool(world)], world=world)
    end(session)
    sealing.seal(world)
    session.refresh_from_db()
    assert session.status == "completed"
    return session


def test_a_job_that_waits_for_room_keeps_nothing_of_what_it_had_made(
    world: Installation, auditor: Any, settings: Any
) -> None:
    address = asked(auditor, session_of_two_epochs(world), "export")
    with largest_file(len(LARGE) - 1000):  # the first epoch's film has room
        assert jobs.tick() == 1
    assert auditor.get(address).json()["status"] == "pending"
    assert files(settings) == []
    Job.objects.update(next_attempt_at=timezone.now())
    assert jobs.tick() == 1
    assert auditor.get(address).json()["status"] == "finished"


def test_a_job_that_was_cancelled_before_it_ran_again_leaves_nothing(
    world: Installation, auditor: Any, settings: Any
) -> None:
    address = asked(auditor, sealed_session(world), "export")
    left_by_a_runner(Job.objects.get())
    assert auditor.post(f"{address}/cancel").json()["status"] == "cancelled"
    assert files(settings) == []
    job = Job.objects.get()
    assert job.expires_at is not None
    Job.objects.update(expires_at=timezone.now() - timedelta(seconds=1))
    job_results.remove_old()
    assert auditor.get(address).status_code == 404


def left_by_a_runner(job: Job) -> None:
    folder = job_results.folder_of(job.pk)
    folder.mkdir(parents=True)
    (folder / "film.mp4").write_bytes(b"plain")


@pytest.mark.parametrize("status", ["pending", "running", "finished", "failed", "cancelled"])
def test_what_was_made_of_a_session_goes_with_it_whatever_became_of_the_job(
    world: Installation, auditor: Any, settings: Any, status: str
) -> None:
    session = sealed_session(world)
    asked(auditor, session, "export")
    Job.objects.update(status=status)
    left_by_a_runner(Job.objects.get())
    job_results.remove_old()
    assert len(files(settings)) == 1
    shredding.begin(session, cause="test")
    job_results.remove_old()
    assert files(settings) == []
    assert Job.objects.exists() is (status in ("pending", "running"))


def test_what_an_earlier_release_cancelled_is_not_kept_for_ever(
    world: Installation, auditor: Any, settings: Any
) -> None:
    asked(auditor, sealed_session(world), "export")
    left_by_a_runner(Job.objects.get())
    kept = timedelta(hours=settings.LUCID_RESULT_HOURS)
    Job.objects.update(status="cancelled", ended_at=timezone.now() - kept + timedelta(minutes=1))
    job_results.remove_old()
    assert len(files(settings)) == 1
    Job.objects.update(ended_at=timezone.now() - kept - timedelta(minutes=1))
    job_results.remove_old()
    assert files(settings) == []
    assert not Job.objects.exists()


def test_what_an_older_database_does_not_know_of_goes_when_its_time_is_over(
    world: Installation, auditor: Any, settings: Any
) -> None:
    asked(auditor, sealed_session(world), "export")
    known, unknown = Job.objects.get(), Job(id=UUID(int=7))
    for job in (known, unknown):
        left_by_a_runner(job)
    Path(settings.LUCID_RESULTS_PATH, "not a job's").mkdir()
    job_results.remove_old()
    assert len(files(settings)) == 2
    before = time.time() - job_results.kept_for().total_seconds() - 1
    for folder in Path(settings.LUCID_RESULTS_PATH).iterdir():
        os.utime(folder, (before, before))
    job_results.remove_old()
    assert [path.parent for path in files(settings)] == [job_results.folder_of(known.pk)]
    assert Path(settings.LUCID_RESULTS_PATH, "not a job's").is_dir()
