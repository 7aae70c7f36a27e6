"""Every filter and order of the session list, on every database, at a constant cost."""

from typing import Any

import pytest

from lucid_sessions.recordings import tags
from lucid_sessions.recordings.installation import Installation
from lucid_sessions.recordings.models import Session, SessionTag

from .people import client_of, person

pytestmark = pytest.mark.django_db

URL = "/api/v1/sessions"
NEW: dict[str, Any] = {"name": "n", "source": {"kind": "synthetic"}}


@pytest.fixture
def manager(world: Installation) -> Any:
    assert world.spool.identity
    return client_of(person("session_manager"))


def made(client: Any, name: str, **metadata: Any) -> str:
    body = NEW | {"name": name, "description": f"about {name}", "metadata": metadata}
    answer = client.post(URL, body, format="json")
    assert answer.status_code == 201, answer.content
    return str(answer.json()["id"])


def names(client: Any, **query: str) -> list[str]:
    answer = client.get(URL, query)
    assert answer.status_code == 200, answer.content
    assert answer.json()["pagination"]["total"] == len(answer.json()["items"])
    return [one["name"] for one in answer.json()["items"]]


def test_each_filter_finds_its_sessions_and_no_others(manager: Any) -> None:
    made(manager, "one", project="p", environment="live", tags=["db", "deploy"])
    made(manager, "two", project="p", environment="test", tags=["db"])
    made(manager, "three", project="q", tags=["deploy-db"])
    Session.objects.filter(name="two").update(status="completed")
    middle = Session.objects.get(name="two").created_at.isoformat()
    assert names(manager, tag="db") == ["two", "one"]
    assert names(manager, tag="d") == names(manager, tag="DB") == []
    assert names(manager, tag="db", project="p", environment="live", status="created") == ["one"]
    assert names(manager, tag="db", ordering="created_at") == ["one", "two"]
    assert names(manager, status="completed") == ["two"]
    assert names(manager, text="ABOUT THREE") == ["three"]
    assert names(manager, created_after=middle) == ["three", "two"]
    assert names(manager, created_before=middle) == ["one"]
    assert names(manager, owner="session_manager", tag="deploy-db") == ["three"]
    assert names(manager, tag="$ne") == names(manager, tag='{"$ne": ""}') == []


def test_a_name_is_found_in_any_case_as_far_as_the_database_knows_cases(manager: Any, settings: Any) -> None:
    made(manager, "Über DB-7")
    assert names(manager, name="über db") == (["Über DB-7"] if settings.MONGO else [])
    assert names(manager, name="Über db") == ["Über DB-7"]


def test_a_tag_that_is_changed_is_found_as_it_is_now(manager: Any) -> None:
    one = made(manager, "one", tags=["old", "both"])
    manager.patch(f"{URL}/{one}", {"metadata": {"tags": ["both", "new", "new"]}}, format="json")
    assert [names(manager, tag=tag) for tag in ("old", "both", "new")] == [[], ["one"], ["one"]]
    assert set(SessionTag.objects.values_list("tag", flat=True)) == {"both", "new"}
    manager.put(f"{URL}/{one}", {"name": "one"}, format="json")
    assert names(manager, tag="both") == []


def test_others_sessions_are_not_found_by_their_tag(manager: Any) -> None:
    made(manager, "one", tags=["db"])
    assert names(client_of(person("session_operator")), tag="db") == []


def test_a_tagged_list_is_walked_by_cursor(manager: Any) -> None:
    for number in range(5):
        made(manager, f"s{number}", tags=["db"] if number % 2 == 0 else [])
    first = manager.get(URL, {"tag": "db", "limit": 2, "cursor": ""}).json()
    more = manager.get(first["pagination"]["next"]).json()
    assert [one["name"] for one in first["items"] + more["items"]] == ["s4", "s2", "s0"]


@pytest.mark.parametrize(
    "query",
    [{}, {"tag": "db"}, {"owner": "session_manager"}, {"text": "s"}, {"status": "created", "limit": "2"}],
)
def test_a_list_costs_the_same_however_long(
    manager: Any, query: dict[str, str], django_assert_max_num_queries: Any
) -> None:
    made(manager, "s", tags=["db"])
    with django_assert_max_num_queries(9) as short:
        manager.get(URL, query)
    for number in range(6):
        made(manager, f"s{number}", tags=["db"])
    with django_assert_max_num_queries(9) as long:
        manager.get(URL, query)
    # Whether there are more than the page has, and how many, is one question more.
    assert len(long) <= len(short) + 1


@pytest.mark.sqlite_only("its plan")
def test_sqlite_finds_a_tag_by_an_index() -> None:
    rows = tags.tagged(Session.objects.order_by("-created_at", "-id"), "db")
    assert "session_tag_ix" in rows.explain() or "session_tag_uq" in rows.explain()


@pytest.mark.mongodb_only("its plan")
def test_mongodb_finds_a_tag_by_an_index() -> None:
    from tests.mongodb.plans import SLOW, plan_of

    plan = plan_of(tags.tagged(Session.objects.order_by("-created_at", "-id"), "db")[:50])
    assert any(stage.startswith("IXSCAN:session_tags_ix") for stage in plan), plan
    assert not plan & SLOW


def test_a_text_that_is_too_long_to_be_looked_for_is_refused(manager: Any) -> None:
    made(manager, "%" * 200)
    assert names(manager, text="%" * 200) == ["%" * 200]
    assert names(manager, text="\U0001f680" * 1000) == []
    for name in ("project", "environment", "tag", "owner", "name", "text"):
        for length in (1001, 50_001):
            answer = manager.get(URL, {name: "x" * length})
            assert (answer.status_code, answer.json()["code"]) == (400, "LUCID_ERR_3002"), (name, length)
            assert "1000 characters" in answer.content.decode(), name
