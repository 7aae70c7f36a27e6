"""A runner that lost its job, since it could not renew its lease, while another does it."""

import hashlib
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.db import OperationalError
from django.utils import timezone

from lucid_sessions.access.models import Job
from lucid_sessions.recordings import job_results, jobs, playback, reports, verification
from lucid_sessions.recordings.installation import Installation

from ..waiting import until
from .archive_of_one import sealed_session
from .test_jobs import asked
from .test_slow_creates import failing_once, slow_at
from .test_what_jobs_leave import files

pytestmark = pytest.mark.django_db(transaction=True)


def lease_runs_out() -> None:
    Job.objects.update(lease_until=timezone.now() - timedelta(seconds=1))


@pytest.mark.parametrize(
    ("kind", "place", "name"),
    [
        ("export", jobs, "_session_of"),
        ("export", playback, "export"),
        ("export", playback, "open_chunk"),
        ("export", jobs, "_result"),
        ("verify", verification, "verify"),
        ("verify", reports, "write"),
    ],
)
def test_it_leaves_alone_what_the_other_made(
    world: Installation,
    auditor: Any,
    settings: Any,
    monkeypatch: pytest.MonkeyPatch,
    kind: str,
    place: Any,
    name: str,
) -> None:
    address = asked(auditor, sealed_session(world), kind)

    def another() -> int:
        lease_runs_out()
        return jobs.tick()

    came = slow_at(monkeypatch, place, name, meanwhile=another)
    assert (jobs.tick(), came) == (1, [1])
    job = auditor.get(address).json()
    assert job["status"] == "finished"
    media = auditor.get(job["result"]["url"]).getvalue()
    assert hashlib.sha256(media).hexdigest() == job["result"]["sha256"]
    assert len(files(settings)) == 1


def test_it_leaves_alone_what_the_other_is_making(
    world: Installation, auditor: Any, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked(auditor, sealed_session(world), "export")
    theirs: list[Path] = []

    def another() -> None:
        Job.objects.update(fence=2, lease_until=timezone.now() + jobs.LEASE)
        folder = job_results.begin(Job.objects.get())
        theirs.append(folder / "film.mp4")
        theirs[0].write_bytes(b"half a film")

    slow_at(monkeypatch, playback, "export", meanwhile=another)
    assert jobs.tick() == 1
    assert files(settings) == theirs
    assert (Job.objects.get().status, Job.objects.get().fence) == ("running", 2)


def test_the_next_runner_removes_what_dead_ones_left(
    world: Installation, auditor: Any, settings: Any
) -> None:
    address = asked(auditor, sealed_session(world), "export")
    Job.objects.update(fence=1, status="running")
    (job_results.begin(Job.objects.get()) / "half.mp4").write_bytes(b"plain")
    lease_runs_out()
    assert jobs.tick() == 1
    job = auditor.get(address).json()
    assert [path.name for path in files(settings)] == [job["result"]["name"]]


def test_a_result_of_an_earlier_release_is_found(world: Installation, auditor: Any, settings: Any) -> None:
    address = asked(auditor, sealed_session(world), "export")
    jobs.tick()
    (made,) = files(settings)
    made.rename(job_results.folder_of(Job.objects.get().pk) / made.name)
    job = auditor.get(address).json()
    assert auditor.get(job["result"]["url"]).status_code == 200


def test_a_lease_that_could_not_be_renewed_is_renewed_the_next_time(
    world: Installation, auditor: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked(auditor, sealed_session(world), "export")
    Job.objects.update(status="running", fence=1)
    lease_runs_out()
    job = Job.objects.get()
    monkeypatch.setattr(jobs, "RENEW_SECONDS", 0.01)
    failing_once(monkeypatch, jobs, "_mine", error=OperationalError("away"))
    with jobs._lease_held(job):
        until(lambda: Job.objects.get().lease_until > timezone.now())


def test_the_lease_is_held_until_the_result_is_known(
    world: Installation, auditor: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of a long recording that takes minutes."""
    asked(auditor, sealed_session(world), "export")
    monkeypatch.setattr(jobs, "RENEW_SECONDS", 0.01)

    def is_renewed() -> None:
        lease_runs_out()
        until(lambda: Job.objects.get().lease_until > timezone.now())

    slow_at(monkeypatch, jobs, "_result", meanwhile=is_renewed)
    assert jobs.tick() == 1
    assert Job.objects.get().status == "finished"
