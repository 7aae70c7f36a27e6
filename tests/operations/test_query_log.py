"""Debug mode: the queries of one request or of one user are in the log, and nobody's values."""

from collections.abc import Iterator
from typing import Any

import pytest
import structlog
from django.test import Client

from lucid_sessions.access.models import User
from lucid_sessions.operations.query_log import without_values

pytestmark = pytest.mark.django_db(transaction=True)
PATH = "/api/v1/sessions?text=who-is-it"


@pytest.fixture
def said() -> Iterator[list[Any]]:
    with structlog.testing.capture_logs() as lines:
        yield lines


def _client(name: str, *, root: bool) -> Client:
    user = User.objects.create_user(name, password="a long enough password")
    User.objects.filter(pk=user.pk).update(is_superuser=root, is_staff=root)
    client = Client()
    client.force_login(User.objects.get(pk=user.pk))
    return client


def _queries(said: list[Any]) -> list[Any]:
    return [line for line in said if line["event"] == "query"]


def test_an_administrator_sees_the_queries_of_one_request_and_of_no_other(said: list[Any]) -> None:
    client = _client("root", root=True)
    client.get(PATH)
    assert _queries(said) == []
    assert client.get(PATH, headers={"X-Lucid-Debug": "1"}).status_code == 200
    found = _queries(said)
    assert len(found) >= 2
    assert {line["user"] for line in found} == {"root"}
    assert any("recordings_session" in line["query"] for line in found)
    assert "who-is-it" not in str(said)
    (summary,) = [line for line in said if line["event"] == "queries of a request"]
    assert (summary["count"], summary["path"]) == (len(found), "/api/v1/sessions")
    said.clear()
    client.get(PATH)
    assert _queries(said) == []


def test_nobody_else_can_ask_for_it(said: list[Any]) -> None:
    _client("viewer", root=False).get(PATH, headers={"X-Lucid-Debug": "1"})
    Client().get(PATH, headers={"X-Lucid-Debug": "1"})
    assert _queries(said) == []


def test_a_users_requests_can_be_looked_into_without_the_user_knowing(said: list[Any], settings: Any) -> None:
    settings.LUCID_DEBUG_USERS = ["viewer"]
    _client("another", root=False).get(PATH)
    assert _queries(said) == []
    _client("viewer", root=False).get(PATH)
    assert {line["user"] for line in _queries(said)} == {"viewer"}


@pytest.mark.parametrize(
    ("query", "shown"),
    [
        (
            'SELECT "a" FROM "t" WHERE "b" = \'it\'\'s secret\' LIMIT 2',
            'SELECT "a" FROM "t" WHERE "b" = ?? LIMIT 2',
        ),
        (
            "SELECT 1 WHERE \"a\" LIKE '%secret%' ESCAPE '\\' OR \"b\" LIKE '%se\\_cret%' ESCAPE '\\'",
            'SELECT 1 WHERE "a" LIKE ? ESCAPE ? OR "b" LIKE ? ESCAPE ?',
        ),
        (
            "db.t.aggregate([{'$match': {'b': 'secret', 'n': 3}}])",
            "db.t.aggregate([{'$match': {'b': ?, 'n': 3}}])",
        ),
        (
            """db.t.insert_many([{'b': "it's secret", 'c': b'\\x00\\''}])""",
            "db.t.insert_many([{'b': ?, 'c': ?}])",
        ),
    ],
)
def test_no_value_is_shown(query: str, shown: str) -> None:
    assert without_values(query) == shown
