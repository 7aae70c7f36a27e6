"""The list's form: what it finds, what it says to what it cannot read, and that pages keep what was asked."""

from datetime import UTC, datetime
from typing import Any

import pytest

from lucid_sessions.recordings import sessions
from lucid_sessions.recordings.installation import Installation
from lucid_sessions.recordings.models import Session
from tests.api.people import person

from .conftest import clean
from .test_pages import browser_of, cookie_of

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def three(world: Installation) -> Any:
    """Whose the first of three sessions is that differ in all that can be looked for."""
    ana = person("session_operator")
    known: list[dict[str, Any]] = [
        {"name": "deploy db-7", "owner": ana, "project": "payments", "tags": ["db", "night"]},
        {"name": "patch web-1", "description": "after the DEPLOY", "environment": "production"},
        {"name": "look at mail", "project": "mail", "environment": "test", "tags": ["db"]},
    ]
    for day, facts in enumerate(known, start=10):
        made = sessions.create("synthetic://", **facts)
        Session.objects.filter(pk=made.pk).update(created_at=datetime(2026, 3, day, 23, 59, tzinfo=UTC))
    return ana


NAMES = ("deploy db-7", "patch web-1", "look at mail")


@pytest.mark.parametrize(
    ("asked", "found"),
    [
        ({"text": "deploy"}, NAMES[:2]),
        ({"text": "deploy", "environment": "production"}, NAMES[1:2]),
        ({"project": "payments"}, NAMES[:1]),
        ({"tag": "db"}, (NAMES[0], NAMES[2])),
        ({"from": "2026-03-11"}, NAMES[1:]),
        ({"to": "2026-03-11"}, NAMES[:2]),
        ({"from": "2026-03-11", "to": "2026-03-11"}, NAMES[1:2]),
        ({"text": " ", "project": "", "status": ""}, NAMES),
        ({"text": "nothing like it"}, ()),
    ],
)
def test_what_is_asked_for_is_found(three: Any, asked: dict[str, str], found: tuple[str, ...]) -> None:
    text = browser_of(person("auditor")).get("/", asked).content.decode()
    assert [name for name in NAMES if f">{name}</a>" in text] == list(found)
    assert ("No session that you may see fits all of this." in text) == (not found)


def test_an_owner_is_looked_for_by_who_sees_the_others(three: Any) -> None:
    assert sessions.create("synthetic://", name="deploy too").owner is None
    text = browser_of(person("auditor")).get("/", {"owner": three.username}).content.decode()
    assert ">deploy db-7</a>" in text
    assert text.count('scope="row"') == 1
    mine = browser_of(three).get("/", {"text": "deploy"}).content.decode()
    assert mine.count('scope="row"') == 1
    assert 'name="owner"' not in mine


@pytest.mark.parametrize(
    ("asked", "told"),
    [
        ({"from": "31.1.2026"}, "from: &#x27;31.1.2026&#x27; is no day, such as 2026-01-31."),
        ({"to": "9999-12-31"}, "to: &#x27;9999-12-31&#x27; is no day"),
        ({"status": "lost"}, "status: &#x27;lost&#x27; is not a valid choice. Known: created,"),
        ({"text": "x" * 1001}, "text: Ensure this value has at most 1000 characters"),
    ],
)
def test_what_cannot_be_read_is_named_and_nothing_is_shown(
    three: Any, asked: dict[str, str], told: str
) -> None:
    answer = browser_of(person("auditor")).get("/", asked)
    text = answer.content.decode()
    assert told in text
    assert 'scope="row"' not in text
    assert "Nothing is shown until that is mended." in text


def test_pages_keep_what_was_asked_and_why(world: Installation) -> None:
    for number in range(27):
        sessions.create("synthetic://", name=f"deploy {number}", tags=["a&b"])
    asked = {"text": "deploy", "tag": "a&b", "reason": "ticket 7 & 8"}
    text = browser_of(person("auditor")).get("/", asked).content.decode()
    assert "page 1 of 2, 27 sessions" in text
    assert 'href="?text=deploy&amp;tag=a%26b&amp;reason=ticket+7+%26+8&amp;page=2"' in text
    assert 'href="?reason=ticket+7+%26+8"' in text


def test_a_person_fills_in_the_form(watched: Any, live_server: Any, three: Any) -> None:
    cookie_of(watched, live_server, person("auditor"))
    watched.goto(live_server.url)
    watched.get_by_label("Name or description").fill("deploy")
    watched.get_by_text("More to look for").click()
    watched.get_by_label("Created from").fill("2026-03-11")
    watched.get_by_role("button", name="Show").click()
    watched.get_by_role("link", name="patch web-1").wait_for()
    assert watched.get_by_role("rowheader").all_inner_texts() == ["patch web-1\nproduction"]
    assert watched.get_by_label("Created from").is_visible()
    watched.get_by_role("link", name="Show all").click()
    watched.get_by_role("link", name="look at mail").wait_for()
    clean(watched)
