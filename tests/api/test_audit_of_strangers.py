"""Whoever has no token fills neither the audit nor the memory of a process that writes it."""

import json
import tracemalloc
from collections.abc import Callable
from typing import Any
from urllib.parse import urlencode

import pytest
from django.db import connection, transaction
from django.test import Client

from lucid_sessions.access import audit
from lucid_sessions.access.models import AuditEvent
from lucid_sessions.recordings.installation import Installation

from .people import client_of, person
from .test_audit import refused_by_collections, refused_by_tables

pytestmark = pytest.mark.django_db

URL = "/api/v1"


@pytest.fixture
def stranger(world: Installation) -> Any:
    assert world.spool.identity
    return client_of(None)


def seen(*columns: str) -> list[Any]:
    return list(AuditEvent.objects.order_by("at_us", "id").values_list(*columns))


def test_strangers_are_written_down_at_once_and_then_once_a_minute(stranger: Any) -> None:
    for number in range(20):
        assert stranger.get(f"{URL}/sessions?text={number}").status_code == 401
        assert stranger.post(f"{URL}/sessions", {"name": number}, format="json").status_code == 401
    stranger.get(f"{URL}/sessions", REMOTE_ADDR="203.0.113.5")
    assert seen("action", "outcome", "address", "facts") == [
        ("sessions.listed", "denied", "127.0.0.1", None),
        ("session.created", "denied", "127.0.0.1", None),
        ("sessions.listed", "denied", "203.0.113.5", None),
    ]


def test_the_next_event_says_how_many_were_not_written(
    stranger: Any, passes: Callable[[float], None]
) -> None:
    for seconds in (0, 0, audit.LOOK_SECONDS - 0.1, 0.2):
        stranger.post(f"{URL}/sessions", {}, format="json")
        passes(seconds)
    for _ in range(2):
        stranger.post(f"{URL}/sessions", {}, format="json")
    assert seen("action", "facts") == [("session.created", None), ("session.created", {"unwritten": 3})]


def test_a_stranger_whose_event_could_not_be_written_is_counted_in_the_next() -> None:
    who = audit.Actor(address="203.0.113.5")
    refused = refused_by_collections() if connection.vendor == "mongodb" else refused_by_tables()
    with refused, transaction.atomic():
        audit.turned_away("session.created", actor=who, method="POST")
    audit.turned_away("session.created", actor=who, method="POST")
    assert seen("action", "outcome", "facts") == [("session.created", "denied", {"unwritten": 1})]


def test_pages_of_the_admin_are_no_other_way_in(stranger: Any) -> None:
    browser = Client(enforce_csrf_checks=True)
    for number in range(5):
        browser.get(f"/admin/access/user/{number}/change/")
        browser.get(f"/admin/nothing-{number}/")
        browser.post("/sign-in/", {"username": str(number)})
    assert stranger
    assert seen("action") == [("admin.access_user_change",), ("page.refused",)]


def test_all_pages_of_the_admin_are_one_deed_of_a_stranger(stranger: Any) -> None:
    assert stranger
    for model in ("access/user", "access/apitoken", "recordings/session", "recordings/chunk"):
        for page in ("", "add/", "x/change/", "x/history/", "x/delete/"):
            assert Client().get(f"/admin/{model}/{page}").status_code == 302
    assert len(seen("action")) == 1


def test_made_up_methods_are_no_other_way_in(stranger: Any) -> None:
    for number in range(5):
        assert Client().generic(f"MADEUP-{number}", "/admin/access/user/").status_code in (302, 403)
        stranger.generic(f"MADEUP-{number}", f"{URL}/sessions")
    assert seen("action", "outcome") == [("admin.access_user_changelist", "denied")]


def test_methods_that_the_page_for_signing_in_has_not_are_no_other_way_in() -> None:
    browser = Client(enforce_csrf_checks=True)
    browser.get("/admin/login/")
    token = browser.cookies["csrftoken"].value
    for _ in range(5):
        answer = browser.delete("/admin/login/", HTTP_X_CSRFTOKEN=token)
        assert answer.status_code == 405
    assert seen("action", "outcome") == [("signed-in", "refused")]


def test_what_strangers_call_their_fields_is_kept_in_part(stranger: Any) -> None:
    fields = {f"{number}{'x' * 20_000}": "y" for number in range(40)}
    body = urlencode({**fields, "_selected_action": ["z" * 20_000] * 40}, doseq=True)
    Client().post("/admin/access/user/add/", body, content_type="application/x-www-form-urlencoded")
    (facts,) = AuditEvent.objects.values_list("facts", flat=True)
    assert len(facts["fields"]) == 40
    assert len(json.dumps(facts)) < 10_000


def test_asking_for_a_form_that_there_is_not_is_no_other_way_in(stranger: Any) -> None:
    for number in range(5):
        stranger.get(f"{URL}/sessions?text={number}", HTTP_ACCEPT="image/gif")
        stranger.post(f"{URL}/sessions", {}, format="json", HTTP_ACCEPT="image/gif")
        stranger.get(f"{URL}/sessions?format=x{number}")
        stranger.get(f"{URL}/sessions", HTTP_ACCEPT="image/gif", HTTP_AUTHORIZATION="Bearer made-up")
    assert len(seen("action")) <= 2


def test_made_up_tokens_are_no_other_way_in(stranger: Any) -> None:
    for number in range(5):
        body = {"refresh": f"made up {number}"}
        assert stranger.post(f"{URL}/auth/refresh", body, format="json").status_code == 401
        assert stranger.post(f"{URL}/auth/logout", body, format="json").status_code == 204
    assert seen("action", "outcome") == [("token-refreshed", "denied"), ("signed-out", "refused")]


def test_what_users_do_is_written_each_time(world: Installation) -> None:
    assert world.spool.identity
    viewer = client_of(person("session_viewer"))
    for _ in range(3):
        assert viewer.post(f"{URL}/sessions", {}, format="json").status_code == 403
    assert seen("action", "outcome") == [("session.created", "denied")] * 3


@pytest.mark.parametrize(("seconds", "most"), [(60.0, 1_000_000), (0.0, 10_000)])
def test_looks_cost_little_however_long_they_are_and_nothing_once_they_are_over(
    monkeypatch: Any, seconds: float, most: int
) -> None:
    monkeypatch.setattr(audit, "LOOK_SECONDS", seconds)
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        for number in range(2_000):
            assert audit.is_news("", "203.0.113.5", "sessions.listed", f"text={number}{'x' * 8_000}")
        grown = tracemalloc.get_traced_memory()[0] - before
    finally:
        tracemalloc.stop()
    assert grown < most


def test_of_too_many_looks_the_oldest_are_forgotten(monkeypatch: Any) -> None:
    monkeypatch.setattr(audit, "MOST_LOOKS", 3)
    for name in "abcd":
        assert audit.is_news(name)
    assert not audit.is_news("d")
    assert audit.is_news("a")
