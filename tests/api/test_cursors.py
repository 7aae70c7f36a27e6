"""No cursor that somebody made up finds a defect: it is none that the list gave."""

import base64
import json
from typing import Any
from uuid import uuid4

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lucid_sessions.recordings.installation import Installation
from lucid_sessions.recordings.models import Session

from .archive_of_one import sealed_session
from .people import client_of, person

pytestmark = pytest.mark.django_db

ID = str(uuid4())
NOW = "2026-01-01T00:00:00+00:00"
SESSIONS, CHUNKS, AUDIT = ["-created_at", "-id"], ["track", "sequence"], ["-at_us", "-id"]
LISTS = {"sessions": SESSIONS, "chunks": CHUNKS, "audit": AUDIT}
STRANGE = [
    ("sessions", ["0001-01-01T00:00:00+14:00", ID]),
    ("sessions", ["9999-12-31T23:59:59-14:00", ID]),
    ("sessions", ["2026-01-01T00:00:00", ID]),
    ("sessions", ["\ud800", ID]),
    ("sessions", [NOW, 5]),
    ("sessions", [5, ID]),
    ("chunks", ["screen", "abc"]),
    ("chunks", ["screen", "9" * 5000]),
    ("chunks", ["screen", 10**30]),
    ("chunks", ["screen", -(2**63) - 1]),
    ("chunks", ["\ud800", 1]),
    ("chunks", [[], {}]),
    ("audit", ["abc", ID]),
    ("audit", [1.5, ID]),
    ("audit", [True, ID]),
    ("audit", [None, None]),
    ("audit", {"a": 1, "b": 2}),
]


@pytest.fixture
def ask(world: Installation) -> Any:
    """A function that asks one of the lists for what is behind a cursor of these columns and values."""
    client = client_of(person("admin"), shows_defects=True)
    session = Session.objects.create(name="one", source="synthetic")
    places = {"sessions": "sessions", "chunks": f"sessions/{session.pk}/chunks", "audit": "audit/"}

    def ask(name: str, values: Any) -> Any:
        place = f"/api/v1/{places[name]}"
        return client.get(place, {"cursor": cursor_of([place, LISTS[name], values])})

    return ask


def cursor_of(inside: Any) -> str:
    return base64.urlsafe_b64encode(json.dumps(inside).encode()).decode().rstrip("=")


@pytest.mark.parametrize(("name", "values"), STRANGE)
def test_a_cursor_of_values_that_its_columns_cannot_have_is_refused(ask: Any, name: str, values: Any) -> None:
    answer = ask(name, values)
    assert (answer.status_code, answer.json()["code"]) == (404, "LUCID_ERR_1012"), answer.content
    assert answer.json()["detail"].startswith("cursor: ")


def test_a_cursor_that_is_nested_too_deeply_is_refused(world: Installation) -> None:
    client, cursor = client_of(person("admin")), base64.urlsafe_b64encode(b"[" * 3000).decode()
    assert client.get("/api/v1/sessions", {"cursor": cursor}).status_code == 404


def test_a_cursor_of_a_list_that_is_ordered_alike_is_refused(world: Installation) -> None:
    client = client_of(person("admin"))
    one, other = sealed_session(world), sealed_session(world)
    alike = [
        ("/api/v1/sessions", "/api/v1/jobs"),
        (f"/api/v1/sessions/{one.pk}/chunks", f"/api/v1/sessions/{other.pk}/chunks"),
    ]
    for here, there in alike:
        cursor = client.get(here, {"cursor": "", "limit": 1}).json()["pagination"]["next_cursor"]
        assert client.get(here, {"cursor": cursor}).json()["items"]
        answer = client.get(there, {"cursor": cursor})
        assert (answer.status_code, answer.json()["code"]) == (404, "LUCID_ERR_1012"), answer.content


@pytest.mark.parametrize(
    ("name", "values"), [("sessions", [NOW, ID]), ("chunks", ["screen", 0]), ("audit", [0, ID])]
)
def test_a_cursor_of_values_that_they_can_have_leads_on(ask: Any, name: str, values: Any) -> None:
    assert ask(name, values).status_code == 200


VALUES = (
    st.text()
    | st.integers()
    | st.none()
    | st.floats()
    | st.uuids().map(str)
    | st.datetimes(timezones=st.timezones()).map(lambda at: at.isoformat())
    | st.characters(categories=["Cs"])
)


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(name=st.sampled_from(sorted(LISTS)), values=st.lists(VALUES, min_size=2, max_size=2))
def test_no_cursor_finds_a_defect(ask: Any, name: str, values: list[Any]) -> None:
    answer = ask(name, values)
    assert answer.status_code in (200, 404), (values, answer.content)
