"""How long a session is kept, as the API tells it, and who may have it go sooner."""

from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from lucid_sessions.access import api_tokens
from lucid_sessions.access.models import User
from lucid_sessions.recordings import clock_guard, eviction, quota, retention
from lucid_sessions.recordings.installation import Installation
from lucid_sessions.recordings.lifecycle import Status
from lucid_sessions.recordings.models import Session

from .people import client_of, person

pytestmark = pytest.mark.django_db

URL = "/api/v1/sessions"
DAY = timedelta(days=1)


@pytest.fixture
def operator(world: Installation) -> Any:
    """A client of somebody who may change sessions, and not delete them."""
    assert world.spool.identity
    return client_of(person("session_operator"))


def ended(client: Any, **given: Any) -> str:
    """The address of a session of the client's that was sealed, two days ago."""
    new = {"name": "n", "source": {"kind": "synthetic"}, **given}
    made = client.post(URL, new, format="json").json()["id"]
    facts = {"sealed_revision": 1, "ended_at": timezone.now() - 2 * DAY}
    Session.objects.filter(pk=made).update(status=Status.COMPLETED, **facts)
    return f"{URL}/{made}"


def machine_of(user: User, *scopes: str) -> Any:
    """A client with a token of the user's that may do so much."""
    _, text = api_tokens.create(user, name="t", scopes=scopes, expires_at=timezone.now() + DAY)
    machine = client_of(None)
    machine.credentials(HTTP_AUTHORIZATION=f"Bearer {text}")
    return machine


@pytest.fixture
def policies() -> None:
    for scope, days in (("tag=tax", 1000), ("environment=test", 1), ("project=scratch", 1)):
        retention.keep(scope, days=days)


@pytest.mark.usefixtures("policies")
@pytest.mark.parametrize(
    ("before", "sooner"),
    [
        ({}, {"storage_config": {"retention_days": 1}}),
        ({}, {"metadata": {"project": "scratch"}}),
        ({}, {"metadata": {"environment": "test"}}),
        ({"metadata": {"tags": ["tax"]}}, {"metadata": {"tags": []}}),
        ({"storage_config": {"retention_days": 3650}}, {"storage_config": {"retention_days": 3649}}),
    ],
)
def test_who_may_not_delete_a_session_does_not_have_it_go_sooner(
    operator: Any, before: dict[str, Any], sooner: dict[str, Any]
) -> None:
    address = ended(operator, **before)
    for change in (operator.patch, operator.put):
        refused = change(address, {"name": "n", **sooner}, format="json")
        assert (refused.status_code, refused.json()["code"]) == (403, "LUCID_ERR_1002")
        assert "who may delete" in refused.json()["detail"]
    assert not list(retention.due())
    manager = client_of(person("session_manager"))
    assert manager.patch(address, sooner, format="json").status_code == 200


def test_a_token_without_delete_does_not_have_a_session_go_sooner(operator: Any) -> None:
    manager = person("session_manager")
    machine = machine_of(manager, "view", "change")
    address, sooner = ended(operator), {"storage_config": {"retention_days": 1}}
    assert machine.patch(address, sooner, format="json").status_code == 403
    assert client_of(manager).patch(address, sooner, format="json").status_code == 200


def test_who_may_not_delete_a_session_has_it_kept_longer(operator: Any) -> None:
    address = ended(operator)
    for days in (91, 3650):
        longer = {"name": "m", "storage_config": {"retention_days": days}}
        assert operator.patch(address, longer, format="json").status_code == 200
    fresh = operator.post(URL, {"name": "n", "source": {"kind": "synthetic"}}, format="json").json()["id"]
    shorter = {"storage_config": {"retention_days": 1}}
    assert operator.patch(f"{URL}/{fresh}", shorter, format="json").status_code == 200, "nothing is recorded"


@pytest.mark.usefixtures("policies")
def test_what_is_told_is_how_long_it_is_kept(operator: Any) -> None:
    address = ended(operator, metadata={"tags": ["tax"]})
    assert operator.get(address).json()["storage_config"]["retention_days"] == 1000
    assert operator.get(URL).json()["items"][0]["storage_config"]["retention_days"] == 1000
    made = operator.post(
        URL, {"name": "n", "source": {"kind": "synthetic"}, "metadata": {"project": "scratch"}}, format="json"
    ).json()
    assert made["storage_config"]["retention_days"] == 1


@pytest.mark.usefixtures("policies")
def test_what_was_read_and_is_sent_back_has_no_session_go_sooner(operator: Any) -> None:
    address = ended(operator, metadata={"tags": ["tax"]})
    shown = operator.get(address).json()
    body = {name: shown[name] for name in ("name", "description", "source", "storage_config", "metadata")}
    assert operator.put(address, body, format="json").status_code == 200
    assert operator.get(address).json()["storage_config"] == shown["storage_config"]
    rule = retention.rule_for(Session.objects.get(), retention.known_policies())
    assert rule.days == 1000


@pytest.mark.usefixtures("policies")
@pytest.mark.parametrize(
    "sooner", [{"storage_config": {"retention_days": 90}}, {"metadata": {"tags": ["tax"]}}]
)
def test_who_may_not_delete_lets_nothing_go_that_was_recovered_without_its_rule(
    operator: Any, sooner: dict[str, Any]
) -> None:
    address = ended(operator)
    Session.objects.update(source=retention.RECOVERED, ended_at=timezone.now() - 1001 * DAY)
    refused = operator.patch(address, sooner, format="json")
    assert (refused.status_code, refused.json()["code"]) == (403, "LUCID_ERR_1002")
    assert "nobody knows any more how long" in refused.json()["detail"]
    assert (
        operator.patch(address, {"name": "m", "metadata": {"project": "p"}}, format="json").status_code == 200
    )
    assert [one.obstacle for one in retention.due()] != [""]
    assert client_of(person("session_manager")).patch(address, sooner, format="json").status_code == 200
    assert [one.obstacle for one in retention.due()] == [""]


def test_who_may_not_delete_moves_nothing_to_where_the_oldest_makes_room(
    operator: Any, settings: Any
) -> None:
    settings.LUCID_WHEN_FULL, settings.LUCID_EVICT_MIN_DAYS = "evict", 1
    clock_guard.confirm(clock_guard.read())
    quota.limit_project("small", gigabytes=0.5)
    address = ended(operator)
    Session.objects.update(used_bytes=quota.GIB, usage_due=False)
    move = {"metadata": {"project": "small"}}
    refused = operator.patch(address, move, format="json")
    assert (refused.status_code, refused.json()["code"]) == (403, "LUCID_ERR_1002")
    assert "the oldest" in refused.json()["detail"]
    assert operator.patch(address, {"metadata": {"project": "large"}}, format="json").status_code == 200
    quota.tick()
    assert eviction.tick() == 0
    assert client_of(person("session_manager")).patch(address, move, format="json").status_code == 200
    quota.tick()
    assert eviction.tick() == 1


def test_who_may_not_steer_a_recording_does_not_end_it_by_a_limit(operator: Any) -> None:
    new = {"name": "n", "source": {"kind": "synthetic"}, "storage_config": {"max_size_gb": 5}}
    made = operator.post(URL, new, format="json").json()["id"]
    Session.objects.update(status=Status.RECORDING, used_bytes=quota.GIB)
    machine = machine_of(person("session_manager"), "view", "change")
    for given in ({"max_size_gb": 0.001}, {"when_full": "fail_closed"}):
        refused = machine.patch(f"{URL}/{made}", {"storage_config": given}, format="json")
        assert (refused.status_code, refused.json()["code"]) == (403, "LUCID_ERR_1002")
    for given in ({"max_size_gb": 6}, {"max_size_gb": None}, {"when_full": "spool"}):
        assert machine.patch(f"{URL}/{made}", {"storage_config": given}, format="json").status_code == 200
    assert (
        operator.patch(f"{URL}/{made}", {"storage_config": {"max_size_gb": 0.1}}, format="json").status_code
        == 200
    )
