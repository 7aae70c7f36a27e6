"""Every error is a problem document with a code and the request's identity, and shows no inside."""

from typing import Any
from uuid import uuid4

import pytest
from rest_framework.test import APIClient

from lucid_sessions.recordings.installation import Installation
from lucid_sessions.recordings.models import Session

from .people import client_of, person

pytestmark = pytest.mark.django_db


def test_the_request_identity_of_the_caller_is_taken_over_and_answered() -> None:
    answer = APIClient().get("/api/v1/sessions", headers={"X-Request-ID": "build-41.7"})
    assert answer["X-Request-ID"] == answer.json()["request_id"] == "build-41.7"


@pytest.mark.parametrize("sent", ["", "two\nlines", "x" * 65, "<script>"])
def test_an_identity_that_could_break_a_log_is_replaced(sent: str) -> None:
    answer = APIClient().get("/api/v1/sessions", headers={"X-Request-ID": sent})
    assert answer["X-Request-ID"] == answer.json()["request_id"] != sent
    assert answer["X-Request-ID"].isalnum()


def test_an_unknown_address_under_api_is_a_problem_and_elsewhere_a_page() -> None:
    answer = APIClient().get("/api/v1/nothing")
    assert (answer.status_code, answer["Content-Type"]) == (404, "application/problem+json")
    assert answer.json()["code"] == "LUCID_ERR_1004"
    assert "html" in APIClient().get("/nothing")["Content-Type"]


def test_what_django_does_not_take_apart_is_a_problem_under_api_and_elsewhere_a_page() -> None:
    for more in ({"HTTP_HOST": "evil.example.com"}, {"QUERY_STRING": "a=1&" * 1001}):
        answer = client_of(person("admin", name=str(more)[:20])).get("/api/v1/sessions", **more)
        assert (answer.status_code, answer["Content-Type"]) == (400, "application/problem+json")
        assert answer.json()["code"] == "LUCID_ERR_1003"
        assert answer.json()["request_id"] == answer["X-Request-ID"]
    assert "html" in APIClient().get("/nothing", HTTP_HOST="evil.example.com")["Content-Type"]


def test_a_body_that_is_too_large_is_413(settings: Any) -> None:
    settings.DATA_UPLOAD_MAX_MEMORY_SIZE = 100
    client = client_of(person("admin"))
    answer = client.post("/api/v1/sessions", '"' + 99 * "x" + '"', content_type="application/json")
    assert (answer.status_code, answer["Content-Type"]) == (413, "application/problem+json")
    assert (answer.json()["code"], answer.json()["request_id"]) == ("LUCID_ERR_1013", answer["X-Request-ID"])
    whole = client.post("/api/v1/sessions", '"' + 98 * "x" + '"', content_type="application/json")
    assert whole.json()["code"] == "LUCID_ERR_3002"


@pytest.mark.parametrize(
    "text", [r'{"name": "x", "\ud800": 1}', r'{"name": "x", "source": {"kind": "\uDFFF"}}']
)
def test_half_a_character_is_no_text(text: str) -> None:
    answer = client_of(person("admin")).post("/api/v1/sessions", text, content_type="application/json")
    assert (answer.status_code, answer.json()["code"]) == (400, "LUCID_ERR_1003")
    assert "alone is no character" in answer.json()["detail"]


def test_two_halves_are_a_character(world: Installation) -> None:
    text = r'{"name": "\ud83d\ude00 \\ud800", "source": {"kind": "synthetic"}}'
    answer = client_of(person("admin")).post("/api/v1/sessions", text, content_type="application/json")
    assert answer.json()["name"] == "\U0001f600 \\ud800"


def test_a_wrong_method_is_405() -> None:
    answer = client_of(person("admin")).delete(f"/api/v1/sessions/{uuid4()}/start")
    assert (answer.status_code, answer.json()["code"]) == (405, "LUCID_ERR_1005")


@pytest.mark.parametrize(
    "accepted",
    ["application/problem+json", "text/html, application/problem+json;q=0.5", "Application/Problem+JSON"],
)
def test_who_takes_only_problems_is_answered_too(world: Installation, accepted: str) -> None:
    client = client_of(person("admin"))
    assert client.get("/api/v1/sessions", HTTP_ACCEPT=accepted).status_code == 200
    missing = client.get(f"/api/v1/sessions/{uuid4()}", HTTP_ACCEPT=accepted)
    assert (missing.status_code, missing["Content-Type"]) == (404, "application/problem+json")
    assert client.get("/api/v1/sessions", HTTP_ACCEPT="text/html").status_code == 406


def test_a_missing_session_names_what_was_asked_for() -> None:
    pk = uuid4()
    body = client_of(person("admin")).get(f"/api/v1/sessions/{pk}").json()
    assert (body["code"], body["status"]) == ("LUCID_ERR_3001", 404)
    assert str(pk) in body["detail"]
    assert body["instance"] == f"/api/v1/sessions/{pk}"


def test_a_defect_answers_with_its_request_identity_and_no_trace(world: Installation) -> None:
    session = Session.objects.create(name="broken", source="x11://[")
    client = client_of(person("admin"), shows_defects=True)
    answer: Any = client.get(f"/api/v1/sessions/{session.pk}")
    assert (answer.status_code, answer["Content-Type"]) == (500, "application/problem+json")
    assert answer.json()["code"] == "LUCID_ERR_1000"
    assert answer.json()["request_id"] == answer["X-Request-ID"]
    assert "Traceback" not in answer.content.decode()


def detail_of(answer: Any, status: int) -> str:
    assert (answer.status_code, answer["Content-Type"]) == (status, "application/problem+json")
    return str(answer.json()["detail"])


def test_what_is_missing_or_another_way_is_told_with_what_to_send() -> None:
    admin, url = client_of(person("admin")), "/api/v1/sessions"
    assert "Authorization: Bearer" in detail_of(APIClient().get(url), 401)
    over = APIClient().get(url, headers={"Authorization": "Bearer eyJhbGciOi"})
    assert "/api/v1/auth/refresh" in detail_of(over, 401)
    form = admin.post(url, "name=x", content_type="application/x-www-form-urlencoded")
    assert "Content-Type: application/json" in detail_of(form, 415)
    assert "Accept: application/json" in detail_of(admin.get(url, headers={"Accept": "text/csv"}), 406)


def test_an_address_with_a_slash_too_many_is_told_the_right_one() -> None:
    assert detail_of(APIClient().get("/api/v1/sessions/"), 404).endswith("out: /api/v1/sessions")
    assert "/api/v1/schema/" in detail_of(APIClient().get("/api/v1/session"), 404)


@pytest.mark.parametrize(
    ("place", "field", "says"),
    [
        ("sessions?status=done", "status", "Known: created, starting, recording"),
        ("sessions?ordering=name", "ordering", "Known: created_at, -created_at."),
        ("sessions?created_after=2026-01-01T00:00:00+00:00", "created_after", "%2B"),
        ("sessions/{session}/chunks?track=video", "track", "Known: screen, input, audio, thumb."),
        ("jobs?status=done", "status", "Known: pending"),
    ],
)
def test_a_filter_that_is_none_of_its_choices_names_them(
    world: Installation, place: str, field: str, says: str
) -> None:
    assert world.spool.identity
    session = Session.objects.create(name="one", source="synthetic://")
    answer = client_of(person("admin")).get(f"/api/v1/{place.format(session=session.pk)}")
    (fault,) = answer.json()["errors"]
    assert (answer.status_code, fault["field"]) == (400, field)
    assert says in fault["detail"]


def test_what_only_the_core_can_refuse_names_its_field_too(world: Installation) -> None:
    assert world.spool.identity
    admin = client_of(person("admin"))
    inside = {"name": "x", "source": {"kind": "vnc", "host": "127.0.0.1"}}
    answer = admin.post("/api/v1/sessions", inside, format="json")
    assert [fault["field"] for fault in answer.json()["errors"]] == ["source"]
    session = Session.objects.create(name="one", source="synthetic://")
    answer = admin.delete(f"/api/v1/sessions/{session.pk}")
    assert [fault["field"] for fault in answer.json()["errors"]] == ["reason"]
