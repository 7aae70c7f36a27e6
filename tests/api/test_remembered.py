"""What a process remembers is never older than what it shows it for, and never shown to the wrong user."""

import time
from typing import Any

import pytest

from lucid_sessions.access.authentication import BearerAuthentication
from lucid_sessions.recordings import retention
from lucid_sessions.recordings.installation import Installation

from .people import client_of, person

pytestmark = pytest.mark.django_db

URL = "/api/v1/sessions"
NEW: dict[str, Any] = {"name": "old", "source": {"kind": "synthetic"}}


@pytest.fixture
def operator(world: Installation, settings: Any) -> Any:
    assert world.spool.identity
    settings.LUCID_TOKEN_CACHE_SECONDS = 60.0
    return client_of(person("session_operator"))


def test_a_change_shows_at_once_in_list_and_detail(operator: Any) -> None:
    address = f"{URL}/{operator.post(URL, NEW, format='json').json()['id']}"
    assert operator.get(address).json() == operator.get(URL).json()["items"][0]
    operator.patch(address, {"name": "new"}, format="json")
    assert operator.get(address).json()["name"] == "new"
    assert operator.get(URL).json()["items"][0]["name"] == "new"


def test_what_one_user_has_seen_another_does_not(operator: Any) -> None:
    address = f"{URL}/{operator.post(URL, NEW, format='json').json()['id']}"
    assert operator.get(address).status_code == 200
    stranger = client_of(person("session_viewer"))
    assert stranger.get(address).status_code == 404
    assert stranger.get(URL).json()["items"] == []


@pytest.mark.usefixtures("operator")
def test_a_token_is_believed_from_when_it_was_asked_for(
    settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.LUCID_TOKEN_CACHE_SECONDS = 4.0
    look_up = BearerAuthentication._looked_up

    def before_a_standstill(self: Any, raw: bytes) -> Any:
        answer = look_up(self, raw)
        time.sleep(5.0)
        return answer

    fresh = client_of(user := person("session_viewer"))
    with monkeypatch.context() as standing:
        standing.setattr(BearerAuthentication, "_looked_up", before_a_standstill)
        assert fresh.get(URL).status_code == 200
    user.is_active = False
    user.save()
    assert fresh.get(URL).status_code == 401


def test_a_remembered_page_costs_one_query(operator: Any, django_assert_num_queries: Any) -> None:
    address = f"{URL}/{operator.post(URL, NEW, format='json').json()['id']}"
    for path in (URL, address):
        operator.get(path)
        with django_assert_num_queries(1):
            operator.get(path)


def test_with_no_seconds_nothing_is_remembered_of_what_was_before(operator: Any, settings: Any) -> None:
    address = f"{URL}/{operator.post(URL, NEW, format='json').json()['id']}"
    assert operator.get(address).json()["storage_config"]["retention_days"] == 90
    settings.LUCID_TOKEN_CACHE_SECONDS = 0.0
    retention.keep("default", days=100)
    assert operator.get(address).json()["storage_config"]["retention_days"] == 100
