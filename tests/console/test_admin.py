"""The admin shows everything, steers sessions, and lets nobody touch evidence."""

from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from django.contrib import admin
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from lucid_sessions.access import api_tokens, audit, tokens
from lucid_sessions.access.models import AuditEvent, Job, JobStatus, RevokedToken, User, WebSession
from lucid_sessions.access.webhook_models import WebhookDelivery, WebhookEndpoint
from lucid_sessions.recordings import jobs, reconcile, sessions
from lucid_sessions.recordings.installation import Installation
from lucid_sessions.recordings.models import Chunk, Closure, Gap, RecorderHost, Session, SessionKey, Take
from tests import factories
from tests.api.people import person

pytestmark = pytest.mark.django_db(transaction=True)

admin.autodiscover()
OURS = [model for model in admin.site._registry if model._meta.app_label in ("recordings", "access")]
EVIDENCE = [model for model in OURS if model not in (User, Session, WebhookEndpoint)]


@pytest.fixture
def root() -> Client:
    client = Client()
    client.force_login(User.objects.create(username="root", is_staff=True, is_superuser=True))
    return client


@pytest.fixture
def full(world: Installation) -> Session:
    """At least one row of each model."""
    session = factories.recorded_session(world, segments=2, name="deploy db-7")
    factories.acknowledge(session, world, counter=3, content=b"this is no video at all")
    factories.gap(session, world, from_us=3_000_000, to_us=4_000_000, reason="paused")
    factories.file_spool(world)
    reconcile.work_inline(world)
    tokens.sign_out(tokens.sign_in(person("session_viewer")).refresh)
    audit.record("session.viewed", actor=audit.Actor())
    until = timezone.now() + timedelta(days=1)
    api_tokens.create(person("auditor"), name="ci", scopes=["view"], expires_at=until)
    told = WebhookEndpoint.objects.create(url="https://receiver.test/hook", secret=b"sealed")
    WebhookDelivery.objects.create(endpoint=told.pk, event=uuid4(), kind="session.started")
    job_of(session, person("session_manager"))
    RecorderHost.objects.create(
        spool="aaaa0000", name="rec-1", sessions=3, refusal="Its processors are used."
    )
    session.refresh_from_db()
    return session


def job_of(session: Session, user: User, **options: Any) -> Job:
    return jobs.submit(jobs.EXPORT, session, user=user.pk, options=options, id=uuid4())


def page(model: Any, name: str, *pk: Any) -> str:
    return reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_{name}", args=pk)


def listed(root: Client, model: Any, **query: str) -> int:
    return int(root.get(page(model, "changelist"), query).context["cl"].result_count)


@pytest.mark.parametrize("model", OURS, ids=lambda model: model.__name__)
def test_the_pages_of_every_model_load(root: Client, full: Session, model: Any) -> None:
    assert root.get(page(model, "changelist")).status_code == 200
    row = model.objects.first()
    assert row is not None or model.__name__ == "LedgerRequest"
    if row is not None:
        assert root.get(page(model, "change", row.pk)).status_code == 200


@pytest.mark.parametrize("model", EVIDENCE, ids=lambda model: model.__name__)
def test_evidence_is_not_added_changed_or_deleted(root: Client, full: Session, model: Any) -> None:
    assert root.get(page(model, "add")).status_code == 403
    row = model.objects.first()
    if row is not None:
        assert root.post(page(model, "change", row.pk), {"state": "x"}).status_code == 403
        assert root.post(page(model, "delete", row.pk), {"post": "yes"}).status_code == 403


def test_no_browser_session_key_is_shown(root: Client, full: Session) -> None:
    text = root.get(page(WebSession, "changelist")).content.decode()
    for session in WebSession.objects.all():
        assert session.session_key[:6] in text
        assert session.session_key not in text


def test_the_lists_neither_join_nor_ask_more_for_more_rows(
    root: Client, full: Session, django_assert_max_num_queries: Any
) -> None:
    for _ in range(5):
        job_of(full, User.objects.get(username="session_manager"))
    for model in (Chunk, Session, Job, RecorderHost):
        with django_assert_max_num_queries(12) as made:
            root.get(page(model, "changelist"))
        tables = (f'JOIN "{other._meta.db_table}"' for other in (Session, Chunk, User))
        joined = [query["sql"] for query in made if any(table in query["sql"] for table in tables)]
        # Groups and permissions of the signed-in user are Django's own.
        assert [sql for sql in joined if '"recordings_' in sql.split("JOIN")[0]] == []


def test_chunks_are_found_by_hash_and_id_and_narrowed_by_filters(root: Client, full: Session) -> None:
    chunk = Chunk.objects.filter(blob__gt="")[0]
    for term in (chunk.blob, chunk.leaf.upper(), str(chunk.pk)):
        assert listed(root, Chunk, q=term) == 1
    assert listed(root, Chunk, q=str(full.pk)) == 3
    assert listed(root, Chunk, q=chunk.blob[:10]) == 0
    assert listed(root, Chunk, state="anchored") == 2
    assert listed(root, Chunk, quarantined="yes") == 1
    assert listed(root, Chunk, track="screen", quarantined="no") == 2


def test_quarantined_chunks_are_put_back_to_work(root: Client, full: Session) -> None:
    bad = Chunk.objects.get(quarantined_at__isnull=False)
    whole = root.get(page(Chunk, "change", bad.pk)).content.decode().replace("&#x27;", "'")
    listed_row = root.get(page(Chunk, "changelist"), {"quarantined": "yes"}).content.decode()
    assert bad.reason in whole
    for shown in (whole, listed_row):
        assert f"manage.py requeue --session {full.pk} --stage capture" in shown
    chosen = {"action": "put_back", "_selected_action": [str(bad.pk)], "index": "0"}
    answer = root.post(page(Chunk, "changelist"), chosen, follow=True)
    assert "1 quarantined chunks are back at work" in answer.content.decode()
    bad.refresh_from_db()
    assert (bad.quarantined_at, bad.reason) == (None, "")


def test_sessions_are_steered_and_a_refusal_says_why(root: Client, world: Installation) -> None:
    assert world.spool.identity
    session = sessions.create("synthetic://", name="mine")
    chosen = {"_selected_action": [str(session.pk)], "index": "0"}
    root.post(page(Session, "changelist"), chosen | {"action": "start"})
    session.refresh_from_db()
    assert session.status == "starting"
    answer = root.post(page(Session, "changelist"), chosen | {"action": "start"}, follow=True)
    assert "is starting: this needs it to be created" in answer.content.decode()


def staff(role: str) -> Client:
    user = person(role, name=f"{role} of staff")
    User.objects.filter(pk=user.pk).update(is_staff=True)
    client = Client()
    client.force_login(user)
    return client


def test_jobs_lead_to_their_sessions_and_name_who_asked(root: Client, full: Session) -> None:
    ana = User.objects.create(username="ana")
    asked = job_of(full, ana, one_file=True)
    Job.objects.filter(pk=asked.pk).update(status=JobStatus.FAILED, reason="the disk is full")
    text = root.get(page(Job, "changelist"), {"q": "ana"}).content.decode()
    for shown in (f'href="/sessions/{full.pk}/"', "deploy db-7", "the disk is full", "0 %"):
        assert shown in text
    assert "ana" in root.get(page(Job, "change", asked.pk)).content.decode()
    for term in (str(asked.pk), "ana"):
        assert listed(root, Job, q=term) == 1
    assert listed(root, Job, q=str(full.pk)) == listed(root, Job, kind="export") == 2
    assert listed(root, Job, status="failed") == 1
    assert (
        listed(root, Job, q="an")
        == listed(root, Job, q=str(uuid4()))
        == listed(root, Job, kind="evidence")
        == 0
    )


def test_a_job_of_a_deleted_session_is_still_shown(root: Client, full: Session) -> None:
    job = Job.objects.get()
    Job.objects.update(session=uuid4(), user=uuid4())
    assert "export" in root.get(page(Job, "changelist")).content.decode()
    assert root.get(page(Job, "change", job.pk)).status_code == 200


def test_jobs_are_cancelled_by_those_who_manage(full: Session) -> None:
    waiting, running, over = (job_of(full, User.objects.get(username="session_manager")) for _ in range(3))
    Job.objects.filter(pk=running.pk).update(status=JobStatus.RUNNING)
    Job.objects.filter(pk=over.pk).update(status=JobStatus.FINISHED)
    chosen = {"action": "cancel", "_selected_action": [str(job.pk) for job in (waiting, running, over)]}
    auditor = staff("auditor")
    assert 'value="cancel"' not in auditor.get(page(Job, "changelist")).content.decode()
    auditor.post(page(Job, "changelist"), chosen)
    assert Job.objects.filter(status=JobStatus.CANCELLED).count() == 0
    text = staff("admin").post(page(Job, "changelist"), chosen, follow=True).content.decode()
    for said in (f"{waiting.pk} is cancelled", f"{running.pk} is told to stop", f"{over.pk} is finished"):
        assert said in text
    told = [Job.objects.get(pk=job.pk) for job in (waiting, running, over)]
    assert [job.status for job in told] == ["cancelled", "running", "finished"]
    assert [job.cancel_asked for job in told] == [True, True, False]


def test_who_sees_but_his_own_sessions_sees_no_jobs_and_hosts_of_all(full: Session) -> None:
    viewer = staff("session_operator")
    for model in (Job, RecorderHost):
        assert viewer.get(page(model, "changelist")).status_code == 403
    assert "/admin/access/job/" in staff("admin").get("/admin/").content.decode()


def test_recorders_are_shown_with_their_load_and_whether_they_report(root: Client, full: Session) -> None:
    figures = {"used": 1.25, "one_more": 0.5, "limit": 3}
    gone = timezone.now() - timedelta(hours=1)
    RecorderHost.objects.create(spool="bbbb0000", name="rec-2", seen_at=gone, figures=figures)
    text = root.get(page(RecorderHost, "changelist")).content.decode()
    for shown in ("rec-1", "aaaa0000", "Its processors are used.", "1.25 of 3"):
        assert shown in text
    assert listed(root, RecorderHost, living="yes") == listed(root, RecorderHost, living="no") == 1
    assert listed(root, RecorderHost, q="bbbb0000") == listed(root, RecorderHost, q="rec-2") == 1


def test_staff_who_may_only_look_get_no_actions(world: Installation) -> None:
    client = staff("auditor")
    session = sessions.create("synthetic://", name="mine")
    assert "Start recording" not in client.get(page(Session, "changelist")).content.decode()
    client.post(
        page(Session, "changelist"),
        {"action": "start", "_selected_action": [str(session.pk)], "index": "0"},
    )
    session.refresh_from_db()
    assert session.status == "created"
    assert RevokedToken.objects.count() == 0


def test_the_audit_is_searched_by_who_what_and_which_session(root: Client, full: Session) -> None:
    ana = audit.Actor(username="ana")
    audit.record("session.played", actor=ana, session=str(full.pk))
    audit.record("session.stop", actor=ana, outcome=audit.DENIED)
    for term in ("session.played", str(full.pk).upper()):
        assert listed(root, AuditEvent, q=term) == 1
    assert listed(root, AuditEvent, q="ana") == 2
    assert listed(root, AuditEvent, q="an") == 0
    assert listed(root, AuditEvent, q="ana", outcome="denied") == 1


def test_times_are_shown_with_their_seconds(root: Client, full: Session) -> None:
    text = root.get(page(Session, "changelist")).content.decode()
    assert f"{full.created_at:%Y-%m-%d %H:%M:%S}" in text


def test_what_belongs_to_a_session_is_found_by_its_id_and_leads_to_the_player(
    root: Client, full: Session
) -> None:
    for model in (Take, Gap, Closure, SessionKey):
        assert listed(root, model, q=str(full.pk)) == model.objects.filter(session=full.pk).count() > 0
        assert listed(root, model, q=str(uuid4())) == listed(root, model, q="x") == 0
    assert "3.000" in root.get(page(Gap, "changelist")).content.decode()
    assert f'href="/sessions/{full.pk}/"' in root.get(page(Session, "change", full.pk)).content.decode()
