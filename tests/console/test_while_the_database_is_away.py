"""Who came with a browser's cookie is told that it passes, as programs are, and no defect."""

from typing import Any

import pytest
from django.db import OperationalError
from django.db.models import QuerySet

from lucid_sessions.recordings import sessions
from lucid_sessions.recordings.installation import Installation
from tests.api.people import person

pytestmark = pytest.mark.django_db

BACKEND = "lucid_sessions.access.lockout.GuardedBackend"


@pytest.fixture
def visitor(world: Installation, client: Any) -> Any:
    assert world.spool.identity
    client.force_login(person("session_manager"), backend=BACKEND)
    client.raise_request_exception = False
    return client


def go_away(patch: pytest.MonkeyPatch) -> None:
    def fetch(_rows: Any) -> None:
        raise OperationalError("could not be reached at secret-host")

    patch.setattr(QuerySet, "_fetch_all", fetch)


@pytest.mark.parametrize("place", ["/sessions/{}/", "/sessions/{}/timeline.json", "/", "/admin/"])
def test_pages_say_that_it_passes(visitor: Any, monkeypatch: pytest.MonkeyPatch, place: str) -> None:
    session = sessions.create("synthetic://", name="n")
    go_away(monkeypatch)
    answer = visitor.get(place.format(session.pk))
    assert (answer.status_code, answer["Retry-After"]) == (503, "5")
    assert b"Try again shortly" in answer.content
    assert b"secret-host" not in answer.content


@pytest.mark.parametrize("place", ["/api/v1/sessions/{}/playback.m3u8", "/api/v1/sessions"])
def test_the_api_says_so_to_a_browser_too(visitor: Any, monkeypatch: pytest.MonkeyPatch, place: str) -> None:
    session = sessions.create("synthetic://", name="n")
    go_away(monkeypatch)
    answer = visitor.get(place.format(session.pk))
    assert (answer.status_code, answer["Retry-After"]) == (503, "5")
    assert (answer.json()["code"], answer["Content-Type"]) == ("LUCID_ERR_3007", "application/problem+json")


def test_a_defect_is_a_defect(visitor: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def fetch(_rows: Any) -> None:
        raise ValueError

    monkeypatch.setattr(QuerySet, "_fetch_all", fetch)
    assert visitor.get("/").status_code == 500
    assert visitor.get("/api/v1/sessions").json()["code"] == "LUCID_ERR_1000"
