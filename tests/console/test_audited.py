"""What is done in the console is in the audit, too, and needs a reason where the policy asks for one."""

from typing import Any

import pytest
from django.test import Client

from lucid_sessions.access.models import AuditEvent, User
from lucid_sessions.recordings import sessions
from lucid_sessions.recordings.installation import Installation
from lucid_sessions.recordings.models import RecorderHost, Session
from tests.api.people import client_of, person

pytestmark = pytest.mark.django_db

BACKEND = "lucid_sessions.access.lockout.GuardedBackend"


@pytest.fixture
def user(world: Installation) -> User:
    assert world.spool.identity
    return person("session_manager")


@pytest.fixture
def manager(client: Any, user: User) -> Any:
    client.force_login(user, backend=BACKEND)
    return client


@pytest.fixture
def session(user: User) -> Session:
    return sessions.create("synthetic://", name="deploy db-7", owner=user)


def seen(*columns: str) -> list[Any]:
    return list(AuditEvent.objects.order_by("at_us", "id").values_list(*columns))


def test_looking_steering_and_being_turned_away_are_written_down(manager: Any, session: Session) -> None:
    assert manager.get(f"/sessions/{session.pk}/").status_code == 200
    assert manager.post(f"/sessions/{session.pk}/start").status_code == 302
    assert manager.post(f"/sessions/{session.pk}/resume").status_code == 302
    Client().post("/sign-in/", {"username": "guess", "password": "wrong"})
    rows = seen("action", "outcome", "means")
    assert rows[:2] == [("session.viewed", "done", "browser"), ("session.start", "done", "browser")]
    assert ("signed-in", "denied", "") in rows
    assert AuditEvent.objects.get(username="guess").outcome == "denied"


def test_what_may_succeed_later_is_told_as_failed_and_not_as_refused(manager: Any, session: Session) -> None:
    RecorderHost.objects.create(spool="aaaa0000", name="rec-1", sessions=1, refusal="rec-1 is fully used")
    told = manager.post(f"/sessions/{session.pk}/start", follow=True).content.decode()
    assert "rec-1 is fully used" in told
    assert ("session.start", "failed") in seen("action", "outcome")


def test_the_lists_are_looks_and_signing_out_is_written_down(manager: Any) -> None:
    for page in ("/", "/", "/?status=failed", "/pipeline/"):
        assert manager.get(page).status_code == 200
    manager.post("/sign-out/")
    manager.post("/sign-out/")
    assert seen("action", "outcome", "username") == [
        ("sessions.listed", "done", "session_manager"),
        ("sessions.listed", "done", "session_manager"),
        ("pipeline.viewed", "done", "session_manager"),
        ("signed-out", "done", "session_manager"),
    ]


def test_whoever_is_told_that_there_is_no_such_session_is_in_the_audit(client: Any, session: Session) -> None:
    client.force_login(person("session_operator"), backend=BACKEND)
    one = f"/sessions/{session.pk}/"
    assert [client.get(one).status_code for _ in range(2)] == [404, 404]
    assert [client.post(f"{one}{verb}").status_code for verb in ("stop", "stop", "reason")] == [404] * 3
    assert seen("action", "outcome", "session") == [
        (deed, "denied", str(session.pk))
        for deed in ("session.viewed", "session.stop", "session.stop", "session.reason-given")
    ]


def test_a_session_is_shown_to_whoever_says_why(manager: Any, session: Session, settings: Any) -> None:
    settings.LUCID_REASON_REQUIRED = ["session.viewed"]
    one = f"/sessions/{session.pk}/"
    asked = manager.get(one)
    assert asked.status_code == 400
    assert b"deploy db-7" not in asked.content
    assert f'action="{one}reason"'.encode() in asked.content
    assert manager.get(f"{one}timeline.json").status_code == 400
    shown = manager.post(f"{one}reason", {"reason": "case 7"}, follow=True)
    assert b"deploy db-7" in shown.content
    assert manager.get(f"{one}timeline.json").status_code == 200
    assert seen("action", "outcome", "why") == [
        ("session.viewed", "refused", ""),
        ("session.reason-given", "done", "case 7"),
        ("session.viewed", "done", ""),
    ]


def test_who_may_look_but_not_play_can_say_why(world: Installation, client: Any, settings: Any) -> None:
    assert world.spool.identity
    settings.LUCID_REASON_REQUIRED = ["session.viewed"]
    operator = person("session_operator")
    session = sessions.create("synthetic://", name="deploy db-7", owner=operator)
    client.force_login(operator, backend=BACKEND)
    shown = client.post(f"/sessions/{session.pk}/reason", {"reason": "case 7"}, follow=True)
    assert (shown.status_code, b"deploy db-7" in shown.content) == (200, True)


def test_a_session_is_steered_by_whoever_says_why(manager: Any, session: Session, settings: Any) -> None:
    settings.LUCID_REASON_REQUIRED = ["session.start"]
    start = f"/sessions/{session.pk}/start"
    asked = manager.post(start, {"reason": " "})
    assert asked.status_code == 400
    assert f'action="{start}"'.encode() in asked.content
    session.refresh_from_db()
    assert session.status == "created"
    assert manager.post(start, {"reason": "case 7"}).status_code == 302
    session.refresh_from_db()
    assert session.status == "starting"
    assert seen("action", "outcome", "why") == [
        ("session.start", "refused", ""),
        ("session.start", "done", "case 7"),
    ]


def test_the_list_is_shown_to_whoever_says_why(manager: Any, session: Session, settings: Any) -> None:
    settings.LUCID_REASON_REQUIRED = ["sessions.listed"]
    asked = manager.get("/?status=created")
    assert asked.status_code == 400
    assert session.name.encode() not in asked.content
    assert b'name="status" value="created"' in asked.content
    shown = manager.get("/?status=created&reason=case+7")
    assert (shown.status_code, session.name.encode() in shown.content) == (200, True)
    # Whoever narrows the list says it still.
    assert b'name="reason" value="case 7"' in shown.content
    assert seen("action", "outcome", "why") == [
        ("sessions.listed", "refused", ""),
        ("sessions.listed", "done", "case 7"),
    ]


@pytest.mark.parametrize("empty", ["\u200b", "\u3164", "\u00ad"])
def test_a_reason_of_which_nothing_can_be_seen_is_none(
    manager: Any, user: User, session: Session, settings: Any, empty: str
) -> None:
    settings.LUCID_REASON_REQUIRED = ["session.start", "session.viewed"]
    page = f"/sessions/{session.pk}/"
    assert manager.get(page, {"reason": empty}).status_code == 400
    manager.post(f"{page}reason", {"reason": empty})
    assert manager.get(page).status_code == 400, "nothing was said before either"
    assert manager.post(f"{page}start", {"reason": empty}).status_code == 400
    over_http = client_of(user).post(f"/api/v1{page}start", {"reason": empty}, format="json")
    assert over_http.status_code == 400
    session.refresh_from_db()
    assert session.status == "created"
    assert ("session.reason-given", "refused") in seen("action", "outcome")
