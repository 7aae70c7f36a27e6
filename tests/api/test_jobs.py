"""Exports and evidence as jobs: asked for, done by a runner, looked at, cancelled, downloaded."""

import hashlib
import io
import zipfile
from datetime import timedelta
from typing import Any

import av
import pytest
from django.utils import timezone

from lucid_sessions.access.models import AuditEvent, Job
from lucid_sessions.recordings import evidence, job_results, jobs, playback, shredding
from lucid_sessions.recordings.installation import Installation
from lucid_sessions.recordings.models import Chunk, Session

from .archive_of_one import sealed_session
from .people import client_of, person

pytestmark = pytest.mark.django_db

URL = "/api/v1"


def asked(client: Any, session: Session, kind: str, **body: Any) -> str:
    answer = client.post(f"{URL}/sessions/{session.pk}/{kind}", body, format="json")
    assert (answer.status_code, answer.json()["status"]) == (202, "pending"), answer.content
    assert answer["Location"] == f"{URL}/jobs/{answer.json()['id']}"
    return str(answer["Location"])


def test_an_export_is_a_playable_file_with_its_hash(world: Installation, auditor: Any) -> None:
    address = asked(auditor, sealed_session(world), "export")
    assert auditor.get(f"{address}/result").status_code == 409
    assert jobs.tick() == 1
    job = auditor.get(address).json()
    assert (job["status"], job["percent"]) == ("finished", 100)
    answer = auditor.get(job["result"]["url"])
    media = answer.getvalue()
    assert hashlib.sha256(media).hexdigest() == job["result"]["sha256"]
    assert answer["Content-Disposition"] == f'attachment; filename="{job["result"]["name"]}"'
    with av.open(io.BytesIO(media)) as video:
        assert sum(1 for _ in video.decode(video=0)) == 20
    part = auditor.get(job["result"]["url"], HTTP_RANGE="bytes=10-19")
    assert (part.status_code, part.getvalue()) == (206, media[10:20])


def test_one_file_of_a_whole_session_is_made_on_request(world: Installation, auditor: Any) -> None:
    address = asked(auditor, sealed_session(world), "export", one_file=True)
    jobs.tick()
    job = auditor.get(address).json()
    assert (job["status"], job["percent"]) == ("finished", 100), job
    with av.open(io.BytesIO(auditor.get(job["result"]["url"]).getvalue())) as video:
        assert sum(1 for _ in video.decode(video=0)) >= 20
        assert abs((video.duration or 0) / 1e6 - 2) < 0.1


def test_evidence_is_a_bundle_with_its_verifier(world: Installation, auditor: Any) -> None:
    address = asked(auditor, sealed_session(world), "evidence")
    jobs.tick()
    job = auditor.get(address).json()
    with zipfile.ZipFile(io.BytesIO(auditor.get(job["result"]["url"]).getvalue())) as bundle:
        assert {"verify.py", "checkpoint", "manifest.json"} <= set(bundle.namelist())


def test_a_job_that_cannot_be_done_says_why(world: Installation, auditor: Any) -> None:
    session = sealed_session(world)
    address = asked(auditor, session, "export")
    Chunk.objects.filter(session=session).update(blob="0" * 64)
    jobs.tick()
    job = auditor.get(address).json()
    assert (job["status"], job["result"]) == ("failed", None)
    assert job["reason"]


def test_a_cancelled_job_is_not_begun(world: Installation, auditor: Any) -> None:
    address = asked(auditor, sealed_session(world), "export")
    assert auditor.post(f"{address}/cancel").json()["status"] == "cancelled"
    assert jobs.tick() == 0
    assert auditor.get(f"{address}/result").status_code == 409


@pytest.mark.parametrize("kind", ["export", "evidence", "verify"])
def test_a_job_whose_runner_died_is_done_by_another(world: Installation, auditor: Any, kind: str) -> None:
    address = asked(auditor, sealed_session(world), kind)
    past = timezone.now() - timedelta(seconds=1)
    Job.objects.update(status="running", lease_until=past, fence=1, percent=40)
    assert jobs.tick() == 1
    assert auditor.get(address).json()["status"] == "finished"


def test_a_runner_without_the_password_leaves_the_job_to_others(
    world: Installation, auditor: Any, settings: Any
) -> None:
    asked(auditor, sealed_session(world), "export")
    settings.ENCRYPTION_PASSWORD = ""
    assert jobs.tick() == 0
    assert Job.objects.get().status == "pending"


def test_results_go_when_their_time_is_over_or_their_session_goes(world: Installation, auditor: Any) -> None:
    session = sealed_session(world)
    first, second = asked(auditor, session, "export"), asked(auditor, session, "evidence")
    jobs.tick()
    Job.objects.filter(pk=first.split("/")[-1]).update(expires_at=timezone.now() - timedelta(seconds=1))
    job_results.remove_old()
    assert auditor.get(first).status_code == 404
    shredding.begin(session, cause="test")
    assert auditor.get(f"{second}/result").status_code == 409
    job_results.remove_old()
    assert not any(
        path.is_file() for path in job_results.folder_of(Job(pk=None).pk or session.pk).parent.rglob("*")
    )


def test_others_jobs_do_not_exist(world: Installation, auditor: Any) -> None:
    manager = person("session_manager")
    job = asked(client_of(manager), sealed_session(world), "export")
    assert auditor.get(job).status_code == 200
    viewer = client_of(person("session_viewer"))
    assert viewer.get(job).status_code == 404


def test_the_same_key_asks_once(world: Installation, auditor: Any) -> None:
    session = sealed_session(world)
    address = f"{URL}/sessions/{session.pk}/export"
    first = auditor.post(address, {}, format="json", HTTP_IDEMPOTENCY_KEY="k")
    again = auditor.post(address, {}, format="json", HTTP_IDEMPOTENCY_KEY="k")
    assert first.json() == again.json()
    assert again["Idempotent-Replayed"] == "true"
    assert Job.objects.count() == 1


@pytest.mark.parametrize("kind", ["export", "evidence", "verify"])
def test_a_job_that_is_cancelled_while_it_runs_stops_and_leaves_nothing(
    world: Installation, auditor: Any, kind: str
) -> None:
    address = asked(auditor, sealed_session(world), kind)
    Job.objects.update(cancel_asked=True)
    assert jobs.tick() == 1
    job = auditor.get(address).json()
    assert (job["status"], job["result"]) == ("cancelled", None)
    assert not job_results.folder_of(Job.objects.get().pk).exists()


def test_a_running_job_tells_how_far_it_is(world: Installation, auditor: Any) -> None:
    address = asked(auditor, sealed_session(world), "evidence")
    Job.objects.update(status="running", fence=1)
    step = jobs.progress(Job.objects.get(), total=4, every=0)
    seen = []
    for _ in range(4):
        step()
        seen.append(auditor.get(address).json()["percent"])
    assert seen == [24, 49, 74, 99]
    auditor.post(f"{address}/cancel")
    with pytest.raises(jobs.Dropped):
        step()


def test_every_blob_of_evidence_and_every_chunk_of_media_is_a_step(
    world: Installation, tmp_path: Any
) -> None:
    session, steps = sealed_session(world, segments=3), []
    chunks = Chunk.objects.filter(session=session).count()
    evidence.write(session, tmp_path / "one.zip", passed=lambda: steps.append(1))
    assert len(steps) == chunks
    evidence.write(
        session, tmp_path / "two.zip", disclose=frozenset({"media"}), passed=lambda: steps.append(1)
    )
    assert len(steps) == 2 * chunks + playback.length(session)

    def enough() -> None:
        raise jobs.Dropped("nobody waits")

    with pytest.raises(jobs.Dropped):
        evidence.write(session, tmp_path / "three.zip", passed=enough)
    assert not list(tmp_path.glob("*three*"))


def test_whoever_changes_nothing_else_cancels_only_jobs_of_his_own(world: Installation, auditor: Any) -> None:
    session = sealed_session(world)
    admin, manager = client_of(person("admin")), client_of(person("session_manager"))
    address = asked(admin, session, "export")
    answer = auditor.post(f"{address}/cancel")
    assert answer.status_code == 403, answer.content
    assert answer.json()["code"] == "LUCID_ERR_1002"
    assert auditor.get(address).json()["status"] == "pending"
    assert manager.post(f"{address}/cancel").json()["status"] == "cancelled"
    assert auditor.post(f"{asked(auditor, session, 'export')}/cancel").json()["status"] == "cancelled"
    told = AuditEvent.objects.filter(action="job.cancelled").order_by("at_us")
    named = str(session.pk)
    assert [(one.outcome, one.session) for one in told] == [
        ("denied", named),
        ("done", named),
        ("done", named),
    ]


def test_jobs_are_listed_in_pages_and_found_by_status_kind_and_session(
    world: Installation, auditor: Any
) -> None:
    one, other = sealed_session(world), sealed_session(world)
    for session, kind in ((one, "export"), (one, "evidence"), (other, "export")):
        asked(auditor, session, kind)
    asked(client_of(person("session_manager")), other, "evidence")
    Job.objects.filter(session=other.pk, kind="export").update(status="failed")

    def found(**query: Any) -> list[tuple[str, str]]:
        answer = auditor.get(f"{URL}/jobs", query).json()
        assert answer["pagination"]["total"] == len(answer["items"])
        return [(job["kind"], job["session"]) for job in answer["items"]]

    first, second = str(one.pk), str(other.pk)
    newest_first = [("evidence", second), ("export", second), ("evidence", first), ("export", first)]
    assert found() == newest_first
    assert found(status="failed") == [("export", second)]
    assert found(kind="evidence", session=first) == [("evidence", first)]
    page = auditor.get(f"{URL}/jobs", {"limit": 3, "cursor": ""}).json()
    more = auditor.get(page["pagination"]["next"]).json()
    assert [(job["kind"], job["session"]) for job in page["items"] + more["items"]] == newest_first
    assert (page["pagination"]["total"], more["pagination"]["next"]) == (4, None)
    assert client_of(person("admin")).get(f"{URL}/jobs", {"session": "x"}).status_code == 400
    assert set(AuditEvent.objects.filter(action="jobs.listed").values_list("username", flat=True)) == {
        "auditor",
        "admin",
    }
