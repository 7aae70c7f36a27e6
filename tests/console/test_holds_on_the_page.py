"""Legal holds are placed and released where the session is looked at, by two persons, each with a reason."""

from typing import Any
from uuid import uuid4

import pytest
from django.contrib.auth.models import Permission

from lucid_sessions.access.models import AuditEvent
from lucid_sessions.recordings import holds
from lucid_sessions.recordings.installation import Installation
from lucid_sessions.recordings.models import Session
from tests.api.people import person
from tests.recordings import archived

from .conftest import clean
from .test_pages import browser_of, cookie_of

pytestmark = pytest.mark.django_db(transaction=True)

EVENTS = ("session.held", "session.released")


@pytest.fixture
def session(world: Installation) -> Session:
    return archived.sealed(world, segments=1, name="deploy db-7")


def the_hold(session: Session) -> dict[str, Any]:
    session.refresh_from_db()
    (hold,) = session.holds
    return dict(hold)


def told(*columns: str) -> list[Any]:
    return list(AuditEvent.objects.filter(action__in=EVENTS).order_by("at_us").values_list(*columns))


def place(browser: Any, session: Session, why: str = "case 17") -> str:
    """What the page says after a hold was to be placed."""
    sent = {"id": str(uuid4()), "reason": why}
    return str(browser.post(f"/sessions/{session.pk}/hold", sent, follow=True).content.decode())


def release(browser: Any, session: Session, hold: str, why: str = "closed") -> str:
    """What the page says after a hold was to be released."""
    address = f"/sessions/{session.pk}/hold/{hold}/release"
    return str(browser.post(address, {"reason": why}, follow=True).content.decode())


def test_one_person_places_and_another_releases(watched: Any, live_server: Any, session: Session) -> None:
    page, address = watched, f"{live_server.url}/sessions/{session.pk}/"
    cookie_of(page, live_server, person("admin"))
    page.goto(address)
    assert "It was never held" in page.locator("#holds").inner_text()
    page.locator("summary", has_text="Place a hold").click()
    page.get_by_label("Why").and_(page.locator("#hold-why")).fill("case 17")
    page.get_by_role("button", name="Place the hold").click()
    assert "Under legal hold" in page.locator("#notes").inner_text()
    assert "another person has to release it" in page.locator("#holds").inner_text()
    assert page.get_by_role("button", name="Release the hold").count() == 0
    page.context.clear_cookies()
    cookie_of(page, live_server, person("session_manager"))
    page.goto(address)
    page.locator("summary", has_text="Release").click()
    page.locator("#holds input[name=reason]").first.fill("closed by the court")
    page.get_by_role("button", name="Release the hold").click()
    shown = page.locator("#holds").inner_text()
    assert "placed by admin" in shown
    assert "released by session_manager" in shown
    assert "closed by the court" in shown
    assert "Under legal hold" not in page.locator("#notes").inner_text()
    clean(page)
    hold = the_hold(session)
    assert told("action", "outcome", "session", "username", "why", "item", "facts") == [
        *[("session.held", "done", str(session.pk), "admin", "case 17", "", {"hold": hold["id"]})],
        (
            *("session.released", "done", str(session.pk), "session_manager", "closed by the court"),
            *(hold["id"], None),
        ),
    ]


def test_who_placed_a_hold_does_not_release_it(session: Session) -> None:
    browser = browser_of(person("admin"))
    place(browser, session)
    hold = the_hold(session)
    page = release(browser, session, hold["id"])
    assert "was placed by admin: another person has to release it." in page
    assert not the_hold(session).get("released_at")
    assert told("action", "outcome") == [("session.held", "done"), ("session.released", "refused")]


@pytest.mark.parametrize(
    ("why", "said"),
    [(" ", "Say why"), ("\u200b", "Say why"), ("x" * 501, "at most 500"), ("a\0b", "Null characters")],
)
def test_a_hold_needs_a_reason_that_can_be_kept(session: Session, why: str, said: str) -> None:
    assert said in place(browser_of(person("admin")), session, why)
    session.refresh_from_db()
    assert session.holds == []
    assert told("outcome") == [("refused",)]


def test_a_double_click_places_one_hold(session: Session) -> None:
    browser = browser_of(person("admin"))
    sent = {"id": str(uuid4()), "reason": "case 17"}
    for _ in range(2):
        browser.post(f"/sessions/{session.pk}/hold", sent)
    assert the_hold(session)["why"] == "case 17"


def test_a_hold_is_named_by_the_whole_of_its_id(session: Session) -> None:
    place(browser_of(person("admin")), session)
    manager, hold = browser_of(person("session_manager")), the_hold(session)
    assert "never had a hold" in release(manager, session, hold["id"][:8])
    assert not the_hold(session).get("released_at")
    release(manager, session, hold["id"])
    assert "was released by session_manager" in release(manager, session, hold["id"])
    assert told("outcome") == [("done",), ("denied",), ("done",), ("refused",)]


def test_a_session_that_goes_is_not_held_any_more(session: Session) -> None:
    Session.objects.filter(pk=session.pk).update(status="expiring")
    page = place(browser_of(person("admin")), session)
    assert "cannot be held or released any more" in page
    assert "Place a hold" not in page


@pytest.mark.parametrize("role", ["auditor", "session_operator", "session_viewer"])
def test_who_may_not_hold_sees_the_holds_and_is_refused(session: Session, role: str) -> None:
    hold = holds.place(session, by=person("admin"), why="case 17")
    user = person(role)
    Session.objects.filter(pk=session.pk).update(owner=user)
    browser = browser_of(user)
    page = browser.get(f"/sessions/{session.pk}/").content.decode()
    assert "case 17" in page
    assert "Place a hold" not in page
    assert "Release the hold" not in page
    one = f"/sessions/{session.pk}/hold"
    answers = [browser.post(one), browser.post(f"{one}/{hold['id']}/release")]
    assert [answer.status_code for answer in answers] == [403, 403]
    assert AuditEvent.objects.filter(action="page.refused", session=str(session.pk)).count() == 2


def test_others_sessions_are_neither_held_nor_released(session: Session) -> None:
    outsider = person(None)
    outsider.user_permissions.add(*Permission.objects.filter(codename__in=["view_session", "hold_session"]))
    browser, one = browser_of(outsider), f"/sessions/{session.pk}/hold"
    assert [browser.post(address).status_code for address in (one, f"{one}/x/release")] == [404, 404]
    assert told("action", "outcome") == [("session.held", "denied"), ("session.released", "denied")]
