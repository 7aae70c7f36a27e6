"""The audit: complete, with names and reasons, fixed by the ledger, readable by auditors only."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from django.db import DatabaseError, IntegrityError, connection

from lucid_sessions.access import audit
from lucid_sessions.access.models import AuditBatch, AuditEvent
from lucid_sessions.recordings import audit_batches, sealing
from lucid_sessions.recordings.installation import Installation
from lucid_sessions.recordings.models import LedgerRecord, Session, SessionKey

from .archive_of_one import sealed_session
from .people import client_of, person

pytestmark = pytest.mark.django_db

URL = "/api/v1"
NEW: dict[str, Any] = {"name": "n", "source": {"kind": "synthetic"}}


@pytest.fixture
def manager(world: Installation) -> Any:
    assert world.spool.identity
    return client_of(person("session_manager"))


def deeds() -> list[tuple[str, str, str]]:
    rows = AuditEvent.objects.order_by("at_us", "id")
    return list(rows.values_list("action", "outcome", "username"))


def test_what_was_done_is_written_with_who_and_why(manager: Any) -> None:
    made = manager.post(f"{URL}/sessions", NEW, format="json", HTTP_X_REQUEST_ID="asked-by-test").json()
    manager.get(f"{URL}/sessions/{made['id']}")
    manager.delete(f"{URL}/sessions/{made['id']}?reason=a+mistake")
    who = "session_manager"
    assert deeds() == [
        ("session.created", "done", who),
        ("session.viewed", "done", who),
        ("session.deleted", "done", who),
    ]
    assert set(AuditEvent.objects.values_list("session", flat=True)) == {made["id"]}
    assert AuditEvent.objects.get(action="session.deleted").why == "a mistake"
    event = AuditEvent.objects.get(action="session.created")
    assert (event.request_id, event.means) == ("asked-by-test", "token")


def test_what_was_changed_is_written_as_it_was_and_as_it_is(manager: Any) -> None:
    made = manager.post(f"{URL}/sessions", NEW | {"storage_config": {"max_size_gb": 2}}, format="json").json()
    address = f"{URL}/sessions/{made['id']}"
    changes = {"retention_days": 1, "max_size_gb": 2}
    manager.patch(address, {"storage_config": changes, "metadata": {"tags": ["a"]}}, format="json")
    manager.patch(address, {"name": "n"}, format="json")
    manager.put(address, {"name": "m", "description": "x" * 10_000}, format="json")
    first, same, last = AuditEvent.objects.filter(action="session.changed").order_by("at_us", "id")
    assert first.facts == {
        "changed": [
            {"field": "storage_config.retention_days", "from": None, "to": 1},
            {"field": "metadata.tags", "from": [], "to": ["a"]},
        ]
    }
    assert same.facts is None
    assert last.facts["changed"] == [
        {"field": "name", "from": "n", "to": "m"},
        {"field": "description", "from": "", "to": "x" * 200},
        {"field": "storage_config.max_size_gb", "from": 2.0, "to": None},
        {"field": "storage_config.retention_days", "from": 1, "to": None},
        {"field": "metadata.tags", "from": ["a"], "to": []},
    ]


@contextmanager
def refused_by_tables() -> Iterator[None]:
    """Inside, SQLite takes no event."""
    refuse = "BEGIN SELECT RAISE(ABORT, 'the disk is full'); END"
    with connection.cursor() as cursor:
        cursor.execute(f"CREATE TEMP TRIGGER no_audit BEFORE INSERT ON access_auditevent {refuse}")
    try:
        with pytest.raises(IntegrityError, match="disk is full"):
            yield
    finally:
        with connection.cursor() as cursor:
            cursor.execute("DROP TRIGGER no_audit")


@contextmanager
def refused_by_collections() -> Iterator[None]:
    """Inside, MongoDB takes no event."""
    database: Any = connection.database  # type: ignore[attr-defined]
    database.command("collMod", "access_auditevent", validator={"action": {"$exists": False}})
    try:
        with pytest.raises(DatabaseError, match="failed validation"):
            yield
    finally:
        database.command("collMod", "access_auditevent", validator={})


def test_no_session_is_created_without_its_event(manager: Any) -> None:
    with refused_by_collections() if connection.vendor == "mongodb" else refused_by_tables():
        manager.post(f"{URL}/sessions", NEW, format="json")
    assert not Session.objects.exists()
    assert not SessionKey.objects.exists()
    assert manager.post(f"{URL}/sessions", NEW, format="json").status_code == 201
    assert deeds() == [("session.created", "done", "session_manager")]


def test_what_was_denied_is_written_too(world: Installation) -> None:
    session = sealed_session(world, segments=1)
    client_of(person("session_viewer")).get(f"{URL}/sessions/{session.pk}")
    client_of(person("session_operator")).get(f"{URL}/sessions/{session.pk}/playback.m3u8")
    client_of(None).get(f"{URL}/sessions/{session.pk}")
    assert deeds() == [
        ("session.viewed", "denied", "session_viewer"),
        ("session.played", "denied", "session_operator"),
        ("session.viewed", "denied", ""),
    ]


def test_the_same_look_is_one_event_a_minute(manager: Any) -> None:
    for _ in range(3):
        manager.get(f"{URL}/sessions")
    manager.get(f"{URL}/sessions?status=created")
    assert len(deeds()) == 2


def test_asking_for_the_head_only_is_the_same_look(manager: Any) -> None:
    for ask in (manager.head, manager.head, manager.get):
        assert ask(f"{URL}/sessions").status_code == 200
    assert deeds() == [("sessions.listed", "done", "session_manager")]


def test_signing_in_is_written_and_failing_to_as_well(client: Any, settings: Any) -> None:
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
    user = person("auditor")
    user.set_password("right")
    user.save()
    for word in ("wrong", "right"):
        body = {"username": "auditor", "password": word}
        client.post(f"{URL}/auth/token", body, content_type="application/json")
    assert deeds() == [("signed-in", "denied", "auditor"), ("signed-in", "done", "auditor")]
    # A name that was only claimed is no user's.
    assert list(AuditEvent.objects.order_by("at_us").values_list("user", flat=True)) == ["", str(user.pk)]


def test_a_forged_forwarded_address_is_not_believed(manager: Any, settings: Any) -> None:
    manager.get(f"{URL}/sessions", HTTP_X_FORWARDED_FOR="6.6.6.6")
    settings.LUCID_TRUSTED_PROXIES = ["127.0.0.0/8", "10.0.0.0/8"]
    manager.get(f"{URL}/sessions", HTTP_X_FORWARDED_FOR="6.6.6.6, 203.0.113.5, 10.1.1.1")
    addresses = AuditEvent.objects.order_by("at_us").values_list("address", flat=True)
    assert list(addresses) == ["127.0.0.1", "203.0.113.5"]


def test_events_are_chained_and_named_by_the_ledger(world: Installation, manager: Any) -> None:
    sealed_session(world, segments=1)
    manager.get(f"{URL}/sessions")
    assert audit_batches.tick(world) == 1
    manager.get(f"{URL}/sessions?status=created")
    assert audit_batches.tick(world) == 1
    assert audit_batches.tick(world) == 0
    sealing.seal(world)
    assert LedgerRecord.objects.filter(kind="audit").count() == 2
    assert audit_batches.check(world) == []
    assert AuditEvent.objects.filter(batch__isnull=True).count() == 0


def test_a_batch_that_was_cut_short_is_finished_by_the_next(world: Installation, manager: Any) -> None:
    sealed_session(world, segments=1)
    manager.get(f"{URL}/sessions")
    audit_batches.tick(world)
    AuditEvent.objects.update(batch=None)
    AuditBatch.objects.update(settled=False)
    assert audit_batches.tick(world) == 0
    assert audit_batches.check(world) == []


def test_changed_removed_and_inserted_events_are_found_out(world: Installation, manager: Any) -> None:
    sealed_session(world, segments=1)
    for status in ("created", "recording", "completed"):
        manager.get(f"{URL}/sessions?status={status}")
    audit_batches.tick(world)
    first, second, _ = AuditEvent.objects.order_by("at_us")
    AuditEvent.objects.filter(pk=first.pk).update(username="somebody else")
    AuditEvent.objects.filter(pk=second.pk).delete()
    forged = audit.record("session.viewed", actor=audit.Actor())
    AuditEvent.objects.filter(pk=forged.pk).update(batch=0)
    told = " ".join(audit_batches.check(world))
    assert [word in told for word in ("changed", "removed", "inserted")] == [True] * 3


def test_auditors_read_and_filter_the_audit_and_are_in_it(world: Installation, manager: Any) -> None:
    manager.get(f"{URL}/sessions")
    auditor = client_of(person("auditor"))
    listed = auditor.get(f"{URL}/audit/", {"username": "session_manager"}).json()
    assert [one["action"] for one in listed["items"]] == ["sessions.listed"]
    assert auditor.get(f"{URL}/audit/", {"action": "audit.read"}).json()["pagination"]["total"] == 1
    assert auditor.get(f"{URL}/audit/", {"after": "2100-01-01T00:00:00Z"}).json()["items"] == []
    assert manager.get(f"{URL}/audit/").status_code == 403
