"""Verification as a job: asked for, done by a runner, its verdict told, its report downloaded."""

import io
import json
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from django.contrib.auth.models import Permission
from django.core.management import call_command
from django.utils import timezone
from structlog.testing import capture_logs

from lucid_sessions.access import api_tokens
from lucid_sessions.access.models import AuditEvent, Job, WebhookEndpoint, WebhookEvent
from lucid_sessions.errors import Retryable
from lucid_sessions.recordings import (
    jobs,
    pipeline,
    proven,
    reports,
    sealing,
    shredding,
    verification,
)
from lucid_sessions.recordings.api.verdicts import GapBody, MissingBody, ReportBody, VerdictBody
from lucid_sessions.recordings.installation import Installation
from lucid_sessions.recordings.models import Chunk, Session

from .. import factories
from ..recordings import archived
from .archive_of_one import STAGES, sealed_session
from .people import client_of, person
from .test_jobs import asked
from .test_slow_creates import slow_at

pytestmark = pytest.mark.django_db

URL = "/api/v1"


def flip(world: Installation, chunk: Chunk) -> None:
    """One byte of the chunk's blob is another."""
    path = world.blobs_root / chunk.blob[:2] / chunk.blob[2:4] / chunk.blob
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.chmod(0o600)
    path.write_bytes(content)


def lose_all(world: Installation) -> None:
    """No blob is left in the store."""
    for path in world.blobs_root.rglob("*"):
        if path.is_file() and len(path.name) == 64:
            path.unlink()


def verified(client: Any, session: Session, **body: Any) -> Any:
    """The finished job."""
    address = asked(client, session, "verify", **body)
    assert jobs.tick() == 1
    return client.get(address).json()


def by_command(session: Session, *options: str, code: int) -> Any:
    """What `manage.py verify --json` tells of the session."""
    out = io.StringIO()
    with pytest.raises(SystemExit, match=str(code)):
        call_command("verify", str(session.pk), "--json", *options, stdout=out)
    return json.loads(out.getvalue())["reports"][0]


def somebody_is_told() -> None:
    WebhookEndpoint.objects.create(url="https://receiver.test/hook", secret=b"sealed")


@pytest.mark.parametrize("body", [{}, {"deep": True}])
def test_a_sound_session_is_said_to_be_so_with_the_report_of_the_command(
    world: Installation, auditor: Any, body: dict[str, Any]
) -> None:
    session = sealed_session(world)
    somebody_is_told()
    job = verified(auditor, session, **body)
    assert (job["kind"], job["status"], job["percent"], job["reason"]) == ("verify", "finished", 100, "")
    verdict = job["result"]["verdict"]
    assert [verdict[name] for name in ("sound", "intact", "sealed", "complete")] == [True] * 4
    assert (verdict["found"], verdict["findings"], verdict["missing"]) == (0, [], 0)
    assert verdict["deep"] is bool(body)
    answer = auditor.get(job["result"]["url"])
    assert answer["Content-Type"] == "application/json"
    assert job["result"]["name"] == f"{session.pk.hex}-verification.json"
    report, told = json.loads(answer.getvalue()), by_command(session, *(f"--{one}" for one in body), code=0)
    assert report.pop("verified_at") == verdict["verified_at"] < told.pop("verified_at")
    assert report == told
    assert (report["name"], report["session"]) == (session.name, str(session.pk))
    assert (report["checked"], report["checkpoint_size"]) == (2, verdict["checkpoint_size"])
    assert report["checkpoint"] == auditor.get(f"{URL}/ledger/checkpoint").content.decode()
    assert not WebhookEvent.objects.exists()


@pytest.mark.parametrize("body", [{}, {"deep": True}])
def test_a_flipped_byte_is_found_and_an_alarm(
    world: Installation, auditor: Any, body: dict[str, Any]
) -> None:
    session = sealed_session(world)
    chunk = Chunk.objects.filter(session=session).latest("sequence")
    flip(world, chunk)
    somebody_is_told()
    with capture_logs() as said:
        job = verified(auditor, session, **body)
    verdict = job["result"]["verdict"]
    assert (job["status"], job["reason"]) == ("finished", "")
    assert [verdict[name] for name in ("sound", "intact", "sealed", "complete")] == [False, False, True, True]
    (finding,) = verdict["findings"]
    assert (verdict["found"], "was changed" in finding["problem"]) == (1, True)
    report = json.loads(auditor.get(job["result"]["url"]).getvalue())
    assert report["findings"] == [{**finding, "chunk": str(chunk.pk)}]
    assert [(line["session"], line["found"]) for line in said if line.get("alarm")] == [(str(session.pk), 1)]
    (event,) = WebhookEvent.objects.all()
    assert (event.kind, event.facts["session"], event.facts["found"]) == (
        *("verification.failed", str(session.pk)),
        1,
    )
    told = by_command(session, code=1)
    assert told["findings"] == report["findings"]
    first, second = WebhookEvent.objects.values_list("facts", flat=True)
    assert first == second


def test_what_is_missing_and_what_was_not_recorded_is_named(world: Installation, auditor: Any) -> None:
    session = factories.ready("synthetic://64x48", name="with a hole")
    Session.objects.filter(pk=session.pk).update(status="recording", desired="record")
    factories.take(session, world)
    for counter in (1, 3):
        factories.acknowledge(session, world, counter=counter)
    factories.gap(session, world, from_us=3_000_000, to_us=4_000_000, reason="paused")
    factories.close(session, world, last_counter=3)
    pipeline.run(STAGES, [chunk.pk for chunk in factories.file_spool(world)], world=world)
    factories.end(session)
    sealing.seal(world)
    job = verified(auditor, session)
    verdict = job["result"]["verdict"]
    assert [verdict[name] for name in ("sound", "intact", "sealed", "complete")] == [False, True, True, False]
    assert (verdict["found"], verdict["missing"], verdict["gaps"]) == (0, 1, 1)
    report = json.loads(auditor.get(job["result"]["url"]).getvalue())
    assert [one["reason"] for one in report["missing"]] == ["never arrived"]
    assert [one["reason"] for one in report["gaps"]] == ["paused"]
    # The document promises what there is, and no more.
    for said, body in (
        (report, ReportBody()),
        (report["missing"][0], MissingBody()),
        (report["gaps"][0], GapBody()),
        (Job.objects.get().result["verdict"], VerdictBody()),
    ):
        assert set(said) == set(body.fields)
    assert by_command(session, code=1)["missing"] == report["missing"]


def test_one_job_is_one_alarm_however_often_it_is_begun(world: Installation, auditor: Any) -> None:
    session = sealed_session(world)
    flip(world, Chunk.objects.earliest("sequence"))
    somebody_is_told()
    verified(auditor, session)
    past = timezone.now() - timedelta(seconds=1)
    Job.objects.update(status="running", lease_until=past, next_attempt_at=None)
    assert jobs.tick() == 1
    assert WebhookEvent.objects.count() == 1


def test_more_findings_than_are_shown_are_counted(world: Installation, auditor: Any) -> None:
    session = sealed_session(world, segments=22)
    lose_all(world)
    job = verified(auditor, session)
    verdict = job["result"]["verdict"]
    assert (verdict["found"], len(verdict["findings"])) == (22, 20)
    assert len(json.loads(auditor.get(job["result"]["url"]).getvalue())["findings"]) == 22


def test_a_runner_without_the_password_verifies_and_leaves_what_has_to_be_opened_to_others(
    world: Installation, auditor: Any, settings: Any
) -> None:
    session = sealed_session(world)
    deep, plain = asked(auditor, session, "verify", deep=True), asked(auditor, session, "verify", deep=False)
    settings.ENCRYPTION_PASSWORD = ""
    assert jobs.tick() == 1
    assert [auditor.get(one).json()["status"] for one in (deep, plain)] == ["pending", "finished"]


def test_a_wrong_password_is_no_finding(without_password: Installation, auditor: Any, settings: Any) -> None:
    address = asked(auditor, sealed_session(without_password), "verify", deep=True)
    settings.ENCRYPTION_PASSWORD = "wrong"
    somebody_is_told()
    jobs.tick()
    job = auditor.get(address).json()
    assert (job["status"], job["result"]) == ("failed", None)
    assert "ENCRYPTION_PASSWORD" in job["reason"]
    assert not WebhookEvent.objects.exists()


def test_every_chunk_is_a_step_and_so_are_so_many_records_of_the_log(
    world: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    session, steps = sealed_session(world, segments=3), list[int]()
    verification.verify(session, passed=lambda: steps.append(1))
    assert len(steps) == verification.length(session) == 3
    monkeypatch.setattr(verification, "RECORDS_A_STEP", 1)
    steps.clear()
    verification.verify(session, passed=lambda: steps.append(1))
    size = verification.verify_log().checkpoint_size
    assert (len(steps), verification.length(session)) == (3 + size - 1, 3 + size)


def test_a_batch_of_the_log_is_read_once_however_many_chunks_it_anchors(
    world: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    session, read, stock = sealed_session(world, segments=4), list[int](), proven._batch

    def counted(log: Any, number: int) -> Any:
        read.append(number)
        return stock(log, number)

    monkeypatch.setattr(proven, "_batch", counted)
    assert verification.verify(session).checked == 4
    assert len(read) == len(set(read)) == Chunk.objects.values("record").distinct().count()


@pytest.mark.parametrize("step", [1, 1000])
def test_to_be_ended_by_a_step_is_no_finding(
    world: Installation, monkeypatch: pytest.MonkeyPatch, step: int
) -> None:
    """Neither on the way through the log nor on that through the chunks."""
    session = sealed_session(world)
    monkeypatch.setattr(verification, "RECORDS_A_STEP", step)

    def enough() -> None:
        raise jobs.Dropped("nobody waits")

    with pytest.raises(jobs.Dropped):
        verification.verify(session, passed=enough)


@pytest.mark.parametrize("end", [jobs.Dropped("cancelled"), Retryable("the store is away")])
def test_what_was_found_before_the_end_is_an_alarm_however_it_ended(
    world: Installation, end: Exception
) -> None:
    session, begun = sealed_session(world), list[int]()
    flip(world, Chunk.objects.earliest("sequence"))
    somebody_is_told()

    def passed() -> None:
        begun.append(1)
        if len(begun) == 2:
            raise end

    with pytest.raises(type(end)), capture_logs() as logs:
        reports.verified(session, key="one", deep=False, passed=passed)
    assert [line["found"] for line in logs if line.get("alarm")] == [1]
    (event,) = WebhookEvent.objects.filter(kind="verification.failed")
    assert event.facts["found"] == 1


def test_what_is_shredded_while_it_is_verified_is_no_alarm(world: Installation) -> None:
    session = sealed_session(world)
    somebody_is_told()

    def shred() -> None:
        shredding.begin(Session.objects.get(pk=session.pk), cause="test")
        lose_all(world)

    def shred_then_cancel() -> None:
        if begun:
            raise jobs.Dropped("nobody waits")
        begun.append(1)
        shred()

    begun = list[int]()
    with pytest.raises(Retryable, match="shredded meanwhile"):
        reports.verified(session, key="one", deep=False, passed=shred)
    session = sealed_session(world)
    with pytest.raises(jobs.Dropped):
        reports.verified(session, key="two", deep=False, passed=shred_then_cancel)
    assert not WebhookEvent.objects.exists()


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("name", ["verify", "_rolled_back"])
def test_one_that_was_shredded_meanwhile_is_not_said_to_be_sound(
    world: Installation, auditor: Any, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    session = sealed_session(world)
    somebody_is_told()
    address = asked(auditor, session, "verify", deep=True)

    def shred() -> None:
        shredding.begin(Session.objects.get(), cause="test")
        archived.finish(session, world)

    slow_at(monkeypatch, verification, name, meanwhile=shred)
    jobs.tick()
    if Job.objects.get().status == "pending":
        Job.objects.update(next_attempt_at=None)
        jobs.tick()
    job = auditor.get(address).json()
    assert (job["status"], job["result"]) == ("failed", None)
    assert "The session is gone" in job["reason"]
    assert not WebhookEvent.objects.filter(kind="verification.failed").exists()


def test_one_that_goes_while_all_are_verified_costs_the_others_no_report(
    world: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    for _ in range(3):
        sealed_session(world)
    first, second, _ = Session.objects.order_by("created_at")
    flip(world, Chunk.objects.filter(session=first).earliest("sequence"))

    def shred() -> None:
        shredding.begin(second, cause="test")
        shredding.bury_chunks(second.pk, world, 1)

    slow_at(monkeypatch, verification, "name_of", meanwhile=shred)
    out = io.StringIO()
    with pytest.raises(SystemExit, match="1"):
        call_command("verify", "--all", "--json", stdout=out)
    told = json.loads(out.getvalue())["reports"]
    assert [(one["name"], one["sound"]) for one in told] == [
        ("a session", False),
        ("a session", True),
        ("the log", True),
    ]


def test_nothing_of_a_session_that_goes_is_verified(world: Installation, auditor: Any) -> None:
    session = sealed_session(world)
    shredding.begin(session, cause="test")
    answer = auditor.post(f"{URL}/sessions/{session.pk}/verify", {}, format="json")
    assert (answer.status_code, answer.json()["code"]) == (409, "LUCID_ERR_3004")


def test_a_session_that_is_not_sealed_yet_is_intact_and_not_complete(
    world: Installation, auditor: Any
) -> None:
    session = Session.objects.create(name="just made", source="synthetic://")
    verdict = verified(auditor, session)["result"]["verdict"]
    assert [verdict[name] for name in ("sound", "sealed", "complete")] == [True, False, False]


def test_who_may_only_look_verifies_and_has_the_report_and_none_but_his_own(
    world: Installation, settings: Any, tmp_path: Path
) -> None:
    settings.LUCID_RESULTS_PATH = tmp_path / "results"
    operator, manager = person("session_operator"), client_of(person("session_manager"))
    client, session = client_of(operator), sealed_session(world, owner=operator)
    address = asked(client, session, "verify")
    assert client.post(f"{address}/cancel").json()["status"] == "cancelled"
    job = verified(client, session)
    assert json.loads(client.get(job["result"]["url"]).getvalue())["sound"] is True
    assert client.get(job["result"]["url"], HTTP_RANGE="bytes=0-0").getvalue() == b"{"
    link = client.post(f"{URL}/links", {"path": job["result"]["url"]}, format="json").json()["url"]
    assert client_of(None).get(link).status_code == 200
    assert client.get(f"{URL}/jobs").json()["pagination"]["total"] == 2
    others = asked(manager, session, "verify")
    for answer in (client.get(others), client.post(f"{others}/cancel"), client.get(f"{others}/result")):
        assert (answer.status_code, answer.json()["code"]) == (404, "LUCID_ERR_1012")
    foreign = sealed_session(world)
    assert client.post(f"{URL}/sessions/{foreign.pk}/verify", {}, format="json").status_code == 404
    assert client.get(f"{URL}/jobs").json()["pagination"]["total"] == 2


@pytest.mark.parametrize("kind", ["verify", "export"])
def test_whose_session_was_given_to_another_is_told_nothing_new_of_it(
    world: Installation, settings: Any, tmp_path: Path, kind: str
) -> None:
    settings.LUCID_RESULTS_PATH = tmp_path / "results"
    operator = person("session_operator", name="first")
    operator.user_permissions.add(Permission.objects.get(codename="export_session"))
    client, session = client_of(operator), sealed_session(world, owner=operator)
    had = asked(client, session, kind)
    jobs.tick()
    waits = asked(client, session, kind)
    Session.objects.filter(pk=session.pk).update(owner=person("session_operator", name="second"))
    jobs.tick()
    # What he asked for and got while it was his stays his.
    assert client.get(f"{had}/result").status_code == 200
    job = client.get(waits).json()
    assert (job["status"], job["result"]) == ("failed", None)
    assert "was given to another" in job["reason"]


def test_whoever_may_no_longer_export_has_nothing_of_the_exports_that_he_asked_for(
    world: Installation, settings: Any, tmp_path: Path
) -> None:
    settings.LUCID_RESULTS_PATH = tmp_path / "results"
    viewer = person("session_viewer")
    client, session = client_of(viewer), sealed_session(world, owner=viewer)
    job = jobs.submit("export", session, user=viewer.pk, options={}, id=uuid4())
    jobs.tick()
    address = f"{URL}/jobs/{job.pk}"
    refused = (client.get(address), client.get(f"{address}/result"), client.post(f"{address}/cancel"))
    assert [(one.status_code, one.json()["code"]) for one in refused] == [(403, "LUCID_ERR_1002")] * 3
    assert client.get(f"{URL}/jobs").json()["items"] == []
    assert client.post(f"{URL}/sessions/{session.pk}/export", {}, format="json").status_code == 403


def test_a_token_that_may_only_look_verifies_and_sees_no_exports(world: Installation, auditor: Any) -> None:
    session = sealed_session(world)
    until = timezone.now() + timedelta(days=1)
    _, text = api_tokens.create(person("session_manager"), name="nightly", scopes=["view"], expires_at=until)
    machine = client_of(None)
    machine.credentials(HTTP_AUTHORIZATION=f"Bearer {text}")
    exported = asked(auditor, session, "export")
    jobs.tick()
    assert verified(machine, session)["result"]["verdict"]["sound"] is True
    assert [job["kind"] for job in machine.get(f"{URL}/jobs").json()["items"]] == ["verify"]
    assert [job["kind"] for job in auditor.get(f"{URL}/jobs").json()["items"]] == ["verify", "export"]
    assert [machine.get(f"{exported}{more}").status_code for more in ("", "/result")] == [403, 403]
    link = machine.post(f"{URL}/links", {"path": f"{exported}/result"}, format="json").json()["url"]
    assert client_of(None).get(link).status_code == 403


def test_a_token_that_may_only_export_goes_on_doing_that(world: Installation, auditor: Any) -> None:
    session = sealed_session(world)
    until = timezone.now() + timedelta(days=1)
    _, text = api_tokens.create(
        person("session_manager"), name="exporter", scopes=["export"], expires_at=until
    )
    machine = client_of(None)
    machine.credentials(HTTP_AUTHORIZATION=f"Bearer {text}")
    address, other = asked(machine, session, "evidence"), asked(auditor, session, "verify")
    assert jobs.tick() == 2
    assert machine.get(address).json()["status"] == "finished"
    assert machine.get(f"{address}/result").status_code == 200
    assert machine.post(f"{address}/cancel").status_code == 200
    assert machine.post(f"{URL}/links", {"path": f"{address}/result"}, format="json").status_code == 201
    assert [job["kind"] for job in machine.get(f"{URL}/jobs").json()["items"]] == ["evidence"]
    assert machine.post(f"{URL}/sessions/{session.pk}/verify", {}, format="json").status_code == 403
    assert [machine.get(f"{other}{more}").status_code for more in ("", "/result")] == [403, 403]


def test_what_a_runner_of_an_earlier_release_took_it_for_is_not_given_out(
    world: Installation, auditor: Any
) -> None:
    """It knows no verifications, and makes evidence, which takes another permission."""
    session = sealed_session(world)
    address = asked(auditor, session, "verify")
    Job.objects.update(kind="evidence")
    jobs.tick()
    Job.objects.update(kind="verify")
    assert auditor.get(address).json()["result"]["verdict"] is None
    answer = auditor.get(f"{address}/result")
    assert (answer.status_code, answer.json()["code"]) == (409, "LUCID_ERR_3012")


def test_asking_and_downloading_a_report_are_deeds_of_their_own(
    world: Installation, auditor: Any, settings: Any
) -> None:
    settings.LUCID_REASON_REQUIRED = ["session.report-downloaded", "session.verify-asked"]
    session = sealed_session(world)
    refused = auditor.post(f"{URL}/sessions/{session.pk}/verify", {}, format="json")
    assert (refused.status_code, refused.json()["code"]) == (400, "LUCID_ERR_3002")
    report, film = (
        auditor.post(f"{URL}/sessions/{session.pk}/{kind}", body, format="json", HTTP_X_REASON="case 7")[
            "Location"
        ]
        for kind, body in (("verify", {"deep": True}), ("export", {}))
    )
    jobs.tick()
    AuditEvent.objects.update(why="")  # as if that had been long ago
    assert [auditor.get(f"{one}/result").status_code for one in (report, film)] == [400, 200]
    assert auditor.get(f"{report}/result", HTTP_X_REASON="case 7").status_code == 200
    deeds = ("session.verify-asked", "session.report-downloaded", "session.exported")
    events = AuditEvent.objects.filter(action__in=deeds).order_by("at_us")
    job = report.rpartition("/")[2]
    assert [(one.action, one.outcome, one.item) for one in events] == [
        ("session.verify-asked", "refused", ""),
        ("session.verify-asked", "done", ""),
        ("session.report-downloaded", "refused", job),
        ("session.exported", "done", film.rpartition("/")[2]),
        ("session.report-downloaded", "done", job),
    ]
    assert events[1].facts == {"job": job, "deep": True}
    assert (events[4].session, events[4].facts) == (str(session.pk), {"job": job, "kind": "verify"})


def test_the_same_key_verifies_once(world: Installation, auditor: Any) -> None:
    address = f"{URL}/sessions/{sealed_session(world).pk}/verify"
    first, again = (auditor.post(address, {}, format="json", HTTP_IDEMPOTENCY_KEY="k") for _ in range(2))
    assert (first.json(), again["Idempotent-Replayed"]) == (again.json(), "true")
    other = auditor.post(address, {"deep": True}, format="json", HTTP_IDEMPOTENCY_KEY="k")
    assert (other.status_code, Job.objects.count()) == (422, 1)


@pytest.mark.parametrize("body", [{"deep": "yes"}, {"deep": None}, {"disclose": ["keys"]}])
def test_what_is_not_known_is_refused(world: Installation, auditor: Any, body: dict[str, Any]) -> None:
    session = Session.objects.create(name="one", source="synthetic://")
    answer = auditor.post(f"{URL}/sessions/{session.pk}/verify", body, format="json")
    assert (answer.status_code, Job.objects.exists()) == (400, False)
