"""What keeps callers in bounds: idempotency keys, machine tokens, lockout, rates, cursors."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone
from prometheus_client import REGISTRY

from lucid_sessions.access.models import ApiToken, AuditEvent, FailedSignIns, Replay, User, WebhookEndpoint
from lucid_sessions.access.roles import VERBS
from lucid_sessions.recordings.api import rates
from lucid_sessions.recordings.installation import Installation
from lucid_sessions.recordings.models import Session

from ..servers import redis_server
from ..waiting import PATIENCE
from .people import client_of, person

pytestmark = pytest.mark.django_db

URL = "/api/v1"
NEW: dict[str, Any] = {"name": "n", "source": {"kind": "synthetic"}}


@pytest.fixture
def operator(world: Installation) -> Any:
    assert world.spool.identity
    return client_of(person("session_operator"))


def create(client: Any, key: str, **more: Any) -> Any:
    return client.post(f"{URL}/sessions", NEW | more, format="json", HTTP_IDEMPOTENCY_KEY=key)


def test_the_same_request_under_the_same_key_makes_one_session(operator: Any) -> None:
    first, again = create(operator, "k1"), create(operator, "k1")
    assert (first.status_code, first.json()) == (again.status_code, again.json())
    assert (first["Location"], again["Idempotent-Replayed"]) == (again["Location"], "true")
    assert again["ETag"] == first["ETag"]
    assert create(operator, "k2").json()["id"] != first.json()["id"]
    assert Session.objects.count() == 2


def test_an_answer_that_is_given_again_is_told_as_that(operator: Any) -> None:
    made = {create(operator, "k").json()["id"] for _ in range(3)}
    events = list(AuditEvent.objects.order_by("at_us", "id").values_list("action", "session", "facts"))
    assert {action for action, _, _ in events} == {"session.created"}
    assert {session for _, session, _ in events} == made
    again = {"replayed": True, "made": made.pop()}
    assert [facts for _, _, facts in events] == [None, again, again]


@pytest.mark.parametrize(
    ("place", "body", "rows"),
    [
        ("auth/api-tokens", {"name": "ci", "scopes": ["view"]}, ApiToken),
        ("webhooks", {"url": "https://8.8.8.8/"}, WebhookEndpoint),
    ],
)
def test_what_has_a_secret_is_made_once_and_its_secret_is_not_kept_to_be_shown_again(
    world: Installation, place: str, body: Any, rows: Any
) -> None:
    assert world.spool.identity
    admin = client_of(person("admin"))

    def ask(key: str) -> Any:
        return admin.post(f"{URL}/{place}", body, format="json", HTTP_IDEMPOTENCY_KEY=key)

    first, again = ask("k"), ask("k")
    assert (first.status_code, again.status_code) == (201, 409), again.content
    assert (again.json()["code"], rows.objects.count()) == ("LUCID_ERR_3003", 1)
    assert "new key" in again.json()["detail"]
    assert Replay.objects.get().answer == ""
    assert list(AuditEvent.objects.order_by("at_us").values_list("outcome", flat=True)) == ["done", "refused"]
    assert ask("k2").status_code == 201


def test_a_key_with_another_body_is_refused_and_one_of_a_refused_request_is_free(operator: Any) -> None:
    assert create(operator, "k", name="").status_code == 400
    assert create(operator, "k").status_code == 201
    answer = create(operator, "k", name="other")
    assert (answer.status_code, answer.json()["code"]) == (422, "LUCID_ERR_1010")
    assert create(operator, "x" * 300).status_code == 400


def test_a_key_is_its_users_own(operator: Any) -> None:
    other = client_of(person("session_manager"))
    assert create(operator, "k").json()["id"] != create(other, "k").json()["id"]


def test_a_first_request_that_died_half_way_is_finished_not_repeated(operator: Any) -> None:
    made = create(operator, "k").json()
    Replay.objects.update(status=0, answer="")
    busy = create(operator, "k")
    assert (busy.status_code, busy.json()["code"], busy["Retry-After"]) == (409, "LUCID_ERR_1011", "1")
    Replay.objects.update(begun_at=timezone.now() - timedelta(minutes=2))
    assert create(operator, "k").json()["id"] == made["id"]
    assert Session.objects.count() == 1


def machine(client: Any, *scopes: str) -> tuple[Any, Any]:
    body = {"name": "ci", "scopes": list(scopes), "days": 30}
    answer = client.post(f"{URL}/auth/api-tokens", body, format="json")
    assert answer.status_code == 201, answer.content
    bearer = client_of(None)
    bearer.credentials(HTTP_AUTHORIZATION=f"Bearer {answer.json()['token']}")
    return bearer, answer.json()


def test_a_machines_token_does_what_its_scopes_say_and_its_user_may(operator: Any) -> None:
    client, shown = machine(operator, "view", "play")
    assert client.get(f"{URL}/sessions").status_code == 200
    assert client.post(f"{URL}/sessions", NEW, format="json").status_code == 403
    assert client.get(f"{URL}/ledger/checkpoint").status_code in (200, 404)
    assert shown["token"] not in str(ApiToken.objects.values())
    assert ApiToken.objects.get().last_used_at is not None
    assert "token" not in operator.get(f"{URL}/auth/api-tokens").json()["items"][0]


def test_a_machines_token_begets_no_others(operator: Any) -> None:
    client, _ = machine(operator, "view")
    body = {"name": "x", "scopes": ["view"]}
    assert client.post(f"{URL}/auth/api-tokens", body, format="json").status_code == 403


def test_ones_tokens_are_listed_in_pages_and_the_look_is_audited(operator: Any) -> None:
    for _ in range(3):
        machine(operator, "view")
    machine(client_of(person("session_manager")), "view")
    first = operator.get(f"{URL}/auth/api-tokens?limit=2").json()
    rest = operator.get(first["pagination"]["next"]).json()
    owner = User.objects.get(username="session_operator").pk
    newest_first = [str(pk) for pk in ApiToken.objects.filter(user=owner).values_list("pk", flat=True)]
    assert [one["id"] for one in first["items"] + rest["items"]] == newest_first
    assert (first["pagination"]["total"], rest["pagination"]["next"]) == (3, None)
    assert {event.username for event in AuditEvent.objects.filter(action="api-tokens.listed")} == {
        "session_operator"
    }


@pytest.mark.parametrize("fate", ["revoked", "over", "account closed"])
def test_a_machines_token_ends(operator: Any, fate: str) -> None:
    client, shown = machine(operator, "view")
    row = ApiToken.objects.get()
    if fate == "revoked":
        assert operator.delete(f"{URL}/auth/api-tokens/{shown['id']}").status_code == 204
    elif fate == "over":
        ApiToken.objects.update(expires_at=timezone.now() - timedelta(seconds=1))
    else:
        row.user.is_active = False
        row.user.save()
    assert client.get(f"{URL}/sessions").status_code == 401


def test_guessing_closes_the_door_for_the_name_even_to_the_right_password(client: Any, settings: Any) -> None:
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
    settings.LUCID_SIGN_IN_FAILURES = 3
    user = person("auditor")
    user.set_password("right")
    user.save()

    def attempt(word: str) -> int:
        body = {"username": "auditor", "password": word}
        return client.post(f"{URL}/auth/token", body, content_type="application/json").status_code

    assert [attempt("wrong"), attempt("wrong"), attempt("right")] == [401, 401, 200]
    assert [attempt("wrong") for _ in range(3)] == [401] * 3
    assert attempt("right") == 401
    FailedSignIns.objects.update(locked_until=timezone.now() - timedelta(seconds=1))
    assert attempt("right") == 200


@pytest.fixture(scope="module")
def cache_redis() -> Iterator[str]:
    """A Redis that is waited for, however busy the machine is: without its answer nothing is limited."""
    with redis_server() as url, pytest.MonkeyPatch.context() as patch:
        patch.setattr(rates, "ANSWER_SECONDS", PATIENCE)
        yield url


def test_asking_too_often_is_429_and_the_headers_say_when_to_come_back(
    operator: Any, settings: Any, cache_redis: str
) -> None:
    settings.CACHE_URL, settings.RATE_LIMIT_ENABLED = cache_redis, True
    answers = [operator.post(f"{URL}/sessions", NEW, format="json") for _ in range(11)]
    assert [one.status_code for one in answers] == [201] * 10 + [429]
    assert answers[0]["RateLimit-Policy"] == '"create";q=10;w=60'
    assert answers[0]["RateLimit"].startswith('"create";r=9;')
    assert answers[-1].json()["code"] == "LUCID_ERR_3010"
    assert 0 < int(answers[-1]["Retry-After"]) <= 61
    assert operator.get(f"{URL}/sessions").status_code == 200


def test_a_cache_that_is_away_closes_nothing(operator: Any, settings: Any) -> None:
    settings.CACHE_URL, settings.RATE_LIMIT_ENABLED = "redis://127.0.0.1:1/0", True
    before = REGISTRY.get_sample_value("api_rate_limit_unavailable_total") or 0.0
    assert operator.get(f"{URL}/sessions").status_code == 200
    # What an alert is made of.
    assert REGISTRY.get_sample_value("api_rate_limit_unavailable_total") == before + 1
    counter = rates.Counter("redis://127.0.0.1:1/0")
    assert counter.count("x") is None


def test_a_list_is_walked_by_cursor_without_missing_or_repeating_a_row(operator: Any) -> None:
    names = [operator.post(f"{URL}/sessions", NEW | {"name": f"s{n}"}, format="json") for n in range(5)]
    assert {one.status_code for one in names} == {201}
    seen, cursor = [], ""
    while cursor is not None:
        page = operator.get(f"{URL}/sessions", {"limit": 2, "cursor": cursor}).json()
        seen += [one["name"] for one in page["items"]]
        cursor = page["pagination"]["next_cursor"]
        if len(seen) == 2:
            # What is created meanwhile does not shift the pages that follow.
            operator.post(f"{URL}/sessions", NEW | {"name": "late"}, format="json")
    assert seen == ["s4", "s3", "s2", "s1", "s0"]
    oldest = operator.get(f"{URL}/sessions", {"limit": 2, "cursor": "", "ordering": "created_at"}).json()
    more = operator.get(oldest["pagination"]["next"]).json()
    assert [one["name"] for one in oldest["items"] + more["items"]] == ["s0", "s1", "s2", "s3"]


@pytest.mark.parametrize("cursor", ["x", "W10", "e30", "W1siLWNyZWF0ZWRfYXQiLCItaWQiXSxbMSwyXV0"])
def test_a_cursor_that_was_made_up_is_refused(operator: Any, cursor: str) -> None:
    answer = operator.get(f"{URL}/sessions", {"cursor": cursor})
    assert (answer.status_code, answer.json()["code"]) == (404, "LUCID_ERR_1012")
    assert answer.json()["detail"].startswith("cursor: ")


@pytest.mark.parametrize(
    "query",
    [
        "created_after=",
        "created_after=2026-01-31",
        "created_before=2026-01-31T12:00:00",
        "status=",
        "status=x",
        "status=created&status=created",
        "ordering=name",
        "limit=1&limit=2",
        "cursor=&cursor=x",
        "offset=",
        *("owner=", "project=", "tag=", "environment=", "text=", "name=%20"),
        "statsu=failed",
        "format=xml",
        "created_after=0001-01-01T00:00:00%2B14:00",
        "created_before=9999-12-31T23:59:59-14:00",
    ],
)
def test_a_filter_that_is_not_in_its_form_is_refused_rather_than_passed_over(
    operator: Any, query: str
) -> None:
    answer = operator.get(f"{URL}/sessions?{query}")
    assert answer.status_code == 400, answer.content
    assert answer.json()["errors"][0]["field"] == query.partition("=")[0]


@pytest.mark.parametrize(
    ("place", "field"),
    [
        ("audit/?user=x", "user"),
        ("audit/?username=", "username"),
        ("audit/?after=0001-01-01T00:00:00%2B14:00", "after"),
        ("audit/export.csv?username=", "username"),
        ("audit/export.csv?action=a&action=b", "action"),
        ("audit/export.ndjson?limit=10", "limit"),
        ("webhooks?enabled=true", "enabled"),
        ("jobs?status=", "status"),
        ("jobs?user=x", "user"),
        ("auth/api-tokens?name=x", "name"),
        ("webhooks?cursor=&cursor=x", "cursor"),
        ("ledger/consistency?old=1&old=5", "old"),
        ("ledger/consistency?old=1&size=5", "size"),
        ("sessions/{session}/chunks?track=", "track"),
        ("sessions/{session}/chunks?cursor=&cursor=x", "cursor"),
        ("sessions/{session}/filmstrip?most=1&most=2", "most"),
        ("sessions/{session}/filmstrip?mots=1", "mots"),
    ],
)
def test_no_list_passes_over_what_it_is_asked(world: Installation, place: str, field: str) -> None:
    assert world.spool.identity
    admin = client_of(person("admin"))
    session = admin.post(f"{URL}/sessions", NEW, format="json").json()["id"]
    answer = admin.get(f"{URL}/{place.format(session=session)}")
    assert answer.status_code == 400, answer.content
    assert answer.json()["errors"][0]["field"] == field


def test_rows_of_one_moment_are_not_lost_between_pages(operator: Any) -> None:
    moment = timezone.now()
    owner = User.objects.get(username="session_operator")
    Session.objects.bulk_create(
        Session(name=f"s{n}", source="synthetic://", owner=owner, created_at=moment) for n in range(5)
    )
    for ordering in ("created_at", "-created_at"):
        seen, cursor = [], ""
        while cursor is not None:
            query = {"limit": 2, "cursor": cursor, "ordering": ordering}
            page = operator.get(f"{URL}/sessions", query).json()
            seen += [one["name"] for one in page["items"]]
            cursor = page["pagination"]["next_cursor"]
        assert sorted(seen) == ["s0", "s1", "s2", "s3", "s4"]


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"name": 7}, "name"),
        ({"name": " \u001c "}, "name"),
        ({"name": "x" * 190 + " " * 20}, "name"),
        ({"recording_config": {"frame_rate": "10"}}, "recording_config.frame_rate"),
        ({"recording_config": {"frame_rate": True}}, "recording_config.frame_rate"),
        ({"recording_config": {"cursor_enabled": "yes"}}, "recording_config.cursor_enabled"),
        ({"storage_config": {"max_size_gb": "1"}}, "storage_config.max_size_gb"),
        ({"metadata": {"tags": [1]}}, "metadata.tags"),
    ],
)
def test_json_types_count(operator: Any, body: dict[str, Any], field: str) -> None:
    answer = operator.post(f"{URL}/sessions", NEW | body, format="json")
    assert answer.status_code == 400, answer.content
    assert answer.json()["errors"][0]["field"] == field


def test_options_says_the_methods_and_nothing_else(operator: Any) -> None:
    answer = operator.options(f"{URL}/sessions")
    assert (answer.status_code, answer["Allow"]) == (200, "GET, POST, HEAD, OPTIONS")


def test_flower_is_for_administrators_and_managers() -> None:
    asked = {
        role: client_of(person(role)).get(f"{URL}/auth/flower").status_code for role in ("admin", "auditor")
    }
    assert asked == {"admin": 204, "auditor": 403}
    assert client_of(None).get(f"{URL}/auth/flower").status_code == 401


def test_flower_shows_more_than_any_scope_of_a_machine_covers() -> None:
    client, _ = machine(client_of(person("admin")), *VERBS)
    answer = client.get(f"{URL}/auth/flower")
    assert (answer.status_code, answer.json()["code"]) == (403, "LUCID_ERR_1002")
    assert "sign in" in answer.json()["detail"]
