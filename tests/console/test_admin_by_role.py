"""The admin is no way round: to others' sessions, past who asks why, to credentials, to a higher role."""

from typing import Any
from uuid import uuid4

import pytest
from django.contrib import admin
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Group, Permission
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from lucid_sessions.access.models import AuditEvent, Job, User, WebSession
from lucid_sessions.recordings import jobs, reconcile, sessions
from lucid_sessions.recordings.installation import Installation
from lucid_sessions.recordings.models import Chunk, Session
from tests import factories
from tests.api.people import person

pytestmark = pytest.mark.django_db(transaction=True)

admin.autodiscover()
BACKEND = "lucid_sessions.access.lockout.GuardedBackend"
LIST = reverse("admin:recordings_session_changelist")


def staff(role: str, *permissions: str) -> tuple[User, Client]:
    user = person(role, name=f"{role}-of-staff")
    user.is_staff = True
    user.save()
    user.user_permissions.set(Permission.objects.filter(codename__in=permissions))
    client = Client()
    client.force_login(user, backend=BACKEND)
    return user, client


def page(session: Session) -> str:
    return reverse("admin:recordings_session_change", args=[session.pk])


def chosen(action: str, *rows: Any, **more: str) -> dict[str, Any]:
    return {"action": action, "_selected_action": [str(row.pk) for row in rows], **more}


def seen(action: str) -> set[tuple[str, str]]:
    return set(AuditEvent.objects.filter(action=action).values_list("session", "outcome"))


def test_staff_see_and_steer_the_sessions_that_they_see_elsewhere(world: Installation) -> None:
    operator, client = staff("session_operator")
    own = sessions.create("synthetic://", name="mine", owner=operator)
    other = sessions.create("synthetic://", name="board meeting", owner=person("session_manager"))
    shown = client.get(LIST).content.decode()
    assert "mine" in shown
    assert "board meeting" not in shown
    assert client.get(page(other)).status_code == 302
    client.post(LIST, chosen("start", own, other))
    assert [Session.objects.get(pk=one.pk).status for one in (own, other)] == ["starting", "created"]


def test_each_session_that_is_steered_in_the_admin_has_its_event(world: Installation) -> None:
    _, client = staff("session_manager")
    named, beside = (sessions.create("synthetic://", name=name) for name in ("one", "two"))
    client.post(LIST, chosen("start", named, select_across="1"))
    assert Session.objects.filter(status="starting").count() == 2
    assert seen("session.start") == {(str(one.pk), "done") for one in (named, beside)}
    client.post(LIST, chosen("start", named))
    assert (str(named.pk), "refused") in seen("session.start")


def test_whose_chunks_were_put_back_to_work_is_in_the_audit(world: Installation) -> None:
    _, client = staff("session_manager", "view_chunk")
    session = factories.recorded_session(world, segments=1)
    factories.file_spool(world)
    Chunk.objects.update(quarantined_at=timezone.now(), reason="a bad day")
    client.post(LIST, chosen("put_back", session))
    assert seen("session.put-back") == {(str(session.pk), "done")}
    Chunk.objects.update(quarantined_at=timezone.now(), reason="a bad day")
    chunks = list(Chunk.objects.all())
    client.post(reverse("admin:recordings_chunk_changelist"), chosen("put_back", *chunks))
    items = (
        AuditEvent.objects.filter(action="session.put-back").exclude(item="").values_list("item", flat=True)
    )
    assert set(items) == {str(chunk.pk) for chunk in chunks}


def test_chunks_that_could_not_be_put_back_to_work_are_not_said_to_be(world: Installation) -> None:
    _, client = staff("session_manager", "view_chunk")
    session = factories.recorded_session(world, segments=1)
    reconcile.work_inline(world)
    Chunk.objects.update(state="stored", quarantined_at=timezone.now(), reason="a bad day")
    world.blobs_root.rename(world.blobs_root.with_name("elsewhere"))
    client.post(LIST, chosen("put_back", session))
    client.post(reverse("admin:recordings_chunk_changelist"), chosen("put_back", *Chunk.objects.all()))
    assert seen("session.put-back") == {(str(session.pk), "failed")}
    assert not LogEntry.objects.exists()


def test_where_the_policy_asks_why_the_admin_is_no_way_round(world: Installation, settings: Any) -> None:
    settings.LUCID_REASON_REQUIRED = ["session.start", "session.viewed"]
    _, client = staff("session_manager")
    session = sessions.create("synthetic://", name="deploy db-7")
    console = reverse("console:session", args=[session.pk])
    asked = client.get(page(session))
    assert (asked.status_code, asked.headers.get("Location")) == (302, console)
    told = client.post(LIST, chosen("start", session), follow=True).content.decode()
    assert "asks why" in told
    assert Session.objects.get().status == "created"
    assert seen("session.start") == {(str(session.pk), "refused")}
    client.post(reverse("console:reason", args=[session.pk]), {"reason": "incident 4711"})
    assert client.get(page(session)).status_code == 200
    client.post(LIST, chosen("start", session))
    assert Session.objects.get().status == "starting"


def test_nobody_reads_a_browsers_credential_letter_by_letter(world: Installation) -> None:
    _, client = staff("auditor", "view_websession")
    key = "k" * 31
    WebSession.objects.create(session_key=key, session_data="x", expire_date="2100-01-01T00:00:00Z")
    listed = reverse("admin:access_websession_changelist")
    assert client.get(listed).status_code == 200
    for guess in ({"session_key__startswith": key}, {"pk__startswith": key}, {"session_data__contains": "x"}):
        assert client.get(listed, guess).status_code == 400


def test_a_job_that_is_cancelled_in_the_admin_has_its_event_and_its_reason(
    world: Installation, settings: Any
) -> None:
    manager, client = staff("session_manager")
    session = sessions.create("synthetic://", name="deploy db-7")
    job = jobs.submit(jobs.VERIFY, session, user=manager.pk, options={}, id=uuid4())
    cancel = {"action": "cancel", "_selected_action": [str(job.pk)]}
    listed = reverse("admin:access_job_changelist")
    settings.LUCID_REASON_REQUIRED = ["job.cancelled"]
    assert "asks why" in client.post(listed, cancel, follow=True).content.decode()
    assert Job.objects.get().status == "pending"
    settings.LUCID_REASON_REQUIRED = []
    client.post(listed, cancel)
    assert Job.objects.get().status == "cancelled"
    assert seen("job.cancelled") == {(str(session.pk), "refused"), (str(session.pk), "done")}


def test_who_keeps_accounts_makes_nobody_mightier(world: Installation) -> None:
    clerk, client = staff("session_viewer", "view_user", "change_user")
    own = {"username": clerk.username, "email": "clerk@receiver.test", "is_active": "on", "is_staff": "on"}
    own |= {"date_joined_0": "2026-01-01", "date_joined_1": "00:00:00"}
    more = {"is_superuser": "on", "groups": [str(group.pk) for group in Group.objects.all()]}
    client.post(account(clerk), own | more)
    now = User.objects.get(pk=clerk.pk)
    assert now.email == "clerk@receiver.test"
    assert not now.is_superuser
    assert [group.name for group in now.groups.all()] == ["session_viewer"]


def test_who_keeps_accounts_does_not_become_an_administrator_by_his_password(world: Installation) -> None:
    root = User.objects.create(username="root", password="!", is_superuser=True)
    _, client = staff("session_viewer", "view_user", "change_user", "delete_user")
    password = {"password1": "correct horse 77", "password2": "correct horse 77", "usable_password": "true"}
    for mighty in (root, person("admin")):
        answer = client.post(reverse("admin:auth_user_password_change", args=[mighty.pk]), password)
        assert answer.status_code == 403
        client.post(reverse("admin:access_user_delete", args=[mighty.pk]), {"post": "yes"})
        assert User.objects.get(pk=mighty.pk).password == "!"
    other = person("session_operator")
    client.post(reverse("admin:auth_user_password_change", args=[other.pk]), password)
    assert User.objects.get(pk=other.pk).check_password("correct horse 77")


def account(user: User) -> str:
    return reverse("admin:access_user_change", args=[user.pk])


def test_who_was_given_which_role_by_whom_is_in_the_audit(world: Installation) -> None:
    root = User.objects.create(username="root", password="!", is_staff=True, is_superuser=True)
    client = Client()
    client.force_login(root, backend=BACKEND)
    viewer = person("session_viewer")
    admins = Group.objects.get(name="admin")
    form = {"username": "session_viewer", "is_active": "on", "is_staff": "on", "groups": [str(admins.pk)]}
    form |= {"date_joined_0": "2026-01-01", "date_joined_1": "00:00:00"}
    assert client.post(account(viewer), form).status_code == 302
    event = AuditEvent.objects.get(action="account.changed")
    assert (event.username, event.item, event.facts["account"]) == ("root", str(viewer.pk), "session_viewer")
    assert event.facts["changed"] == [
        {"field": "is_staff", "from": False, "to": True},
        {"field": "groups", "from": ["session_viewer"], "to": ["admin"]},
    ]
    client.post(reverse("admin:access_user_delete", args=[viewer.pk]), {"post": "yes"})
    assert AuditEvent.objects.get(action="account.deleted").facts == {"account": "session_viewer"}
