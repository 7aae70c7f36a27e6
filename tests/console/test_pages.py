"""The other pages: whom they let in, what they show, and that the browser stops nothing of them."""

from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from django.test import Client

from lucid_sessions.access import audit
from lucid_sessions.recordings import holds, quota, reconcile, sessions, upkeep
from lucid_sessions.recordings.installation import Installation
from lucid_sessions.recordings.models import Session
from tests import factories
from tests.api.people import person
from tests.recordings import archived
from tests.waiting import until

from .conftest import clean

# What is waited for comes to its end ten times sooner.
SOON = """
const timeout = AbortSignal.timeout.bind(AbortSignal);
AbortSignal.timeout = (milliseconds) => timeout(milliseconds / 10);
"""
REDOC_LOGO = "img-src https://cdn.redoc.ly/redoc/logo-mini.svg "

pytestmark = pytest.mark.django_db(transaction=True)


def browser_of(user: Any) -> Client:
    client = Client()
    client.force_login(user)
    return client


def cookie_of(page: Any, live_server: Any, user: Any) -> None:
    value = browser_of(user).cookies["sessionid"].value
    page.context.add_cookies([{"name": "sessionid", "value": value, "url": live_server.url}])


def test_a_visitor_is_asked_to_sign_in_and_comes_back() -> None:
    answer = Client().get("/")
    assert answer["Location"] == "/sign-in/?next=/"
    user = person("session_viewer")
    user.set_password("a password for tests only")
    user.save()
    form = {"username": user.username, "password": "a password for tests only", "next": "/"}
    assert Client().post("/sign-in/", form | {"password": "wrong"}).status_code == 200
    assert Client().post("/sign-in/", form)["Location"] == "/"
    assert Client().post("/sign-in/", form | {"next": "https://elsewhere.invalid/"})["Location"] == "/"


def test_whoever_was_signed_out_meanwhile_comes_back_to_the_page_that_the_form_was_on() -> None:
    session, job = Session.objects.create(name="one", source="synthetic://"), uuid4()
    page = f"/sessions/{session.pk}/"
    for address, back in ((f"{page}start", page), (f"{page}export", page), (f"/jobs/{job}/cancel", "/jobs/")):
        assert Client().post(address)["Location"] == f"/sign-in/?next={back}"


def test_a_wrong_password_does_not_cost_the_name_as_well() -> None:
    text = Client().post("/sign-in/", {"username": 'ana"<b>', "password": "wrong"}).content.decode()
    assert 'value="ana&quot;&lt;b&gt;"' in text
    assert "too many attempts" in text


def test_a_form_of_an_earlier_sign_in_is_told_what_to_do() -> None:
    answer = Client(enforce_csrf_checks=True).post("/sign-in/", {"username": "ana", "password": "x"})
    assert answer.status_code == 403
    text = answer.content.decode()
    assert "reload the page and try again" in text
    assert "Lucid Sessions" in text


def test_without_a_role_the_pages_say_so() -> None:
    answer = browser_of(person(None)).get("/")
    assert answer.status_code == 403
    assert "Ask an administrator" in answer.content.decode()


def test_a_session_that_goes_soon_says_when(world: Installation) -> None:
    soon = archived.sealed(world, days_old=85, segments=1)
    archived.sealed(world, days_old=80, segments=1, name="later")
    browser = browser_of(person("admin"))
    home = browser.get("/").content.decode()
    due = f"{soon.ended_at + timedelta(days=90):%Y-%m-%d %H:%M}"
    assert home.count("goes on") == 1
    assert due in home
    assert f"{due} UTC" in browser.get(f"/sessions/{soon.pk}/").content.decode()


@pytest.mark.parametrize(
    ("source", "shown"),
    [
        ("file:///srv/private/the%20talk.mkv", "file the talk.mkv"),
        ("rdp://ana@desk.example:3390?fingerprint=" + "ab" * 32, "rdp://ana@desk.example:3390"),
    ],
)
def test_the_source_is_shown_and_neither_a_path_nor_a_fingerprint(source: str, shown: str) -> None:
    session = Session.objects.create(name="one", source=source)
    text = browser_of(person("admin")).get(f"/sessions/{session.pk}/").content.decode()
    assert f"<code>{shown}</code>" in text
    assert "private" not in text


def test_a_session_under_hold_says_so_until_it_is_released(world: Installation) -> None:
    held, officer, deputy = archived.sealed(world, segments=1), person("admin"), person("session_manager")
    hold = holds.place(held, by=officer, why="case 17")
    browser = browser_of(officer)
    assert "Under legal hold" in browser.get(f"/sessions/{held.pk}/").content.decode()
    assert "under legal hold" in browser.get("/").content.decode()
    holds.release(held, hold["id"], by=deputy, why="closed")
    assert "Under legal hold" not in browser.get(f"/sessions/{held.pk}/").content.decode()
    assert "under legal hold" not in browser.get("/").content.decode()


def test_the_list_shows_status_and_progress_of_ones_own_sessions(world: Installation) -> None:
    operator = person("session_operator")
    mine = factories.recorded_session(world, segments=2, name="my <b>session</b>")
    factories.acknowledge(mine, world, counter=3, content=b"this is no video at all")
    factories.file_spool(world)
    reconcile.work_inline(world)
    Session.objects.filter(pk=mine.pk).update(owner=operator)
    sessions.create("synthetic://", name="another's")
    text = browser_of(operator).get("/").content.decode()
    assert "2 of 3 segments" in text
    assert "1 quarantined" in text
    assert "my &lt;b&gt;session&lt;/b&gt;" in text
    assert "another" not in text
    assert "Nothing was recorded" not in browser_of(operator).get("/?status=failed").content.decode()
    assert "No session is paused" in browser_of(operator).get("/?status=paused").content.decode()


def test_the_list_costs_the_same_number_of_queries_however_long(
    world: Installation, django_assert_max_num_queries: Any
) -> None:
    browser = browser_of(person("admin"))
    counts = []
    for _ in range(2):
        sessions.create("synthetic://", name="one more")
        audit.forget_looks()  # the event of a look is written each time
        with django_assert_max_num_queries(15) as made:
            browser.get("/")
        counts.append(len(made))
    assert counts[0] == counts[1]


def test_sessions_are_steered_from_their_page(world: Installation) -> None:
    assert world.spool.identity
    operator = person("session_operator")
    session = sessions.create("synthetic://", name="mine", owner=operator)
    browser = browser_of(operator)
    assert f"/sessions/{session.pk}/start" in browser.get(f"/sessions/{session.pk}/").content.decode()
    assert browser.get(f"/sessions/{session.pk}/start").status_code == 405
    told = browser.post(f"/sessions/{session.pk}/start", follow=True).content.decode()
    assert "&quot;mine&quot;: start asked for." in told
    session.refresh_from_db()
    assert session.status == "starting"
    told = browser.post(f"/sessions/{session.pk}/start", follow=True).content.decode()
    assert "is starting: this needs it to be created" in told
    assert browser_of(person("auditor")).post(f"/sessions/{session.pk}/stop").status_code == 403


def test_others_sessions_are_not_found(world: Installation) -> None:
    session = sessions.create("synthetic://", name="another's")
    browser = browser_of(person("session_viewer"))
    for page in ("", "timeline.json"):
        answer = browser.get(f"/sessions/{session.pk}/{page}")
        assert answer.status_code == 404
        assert "another's" not in answer.content.decode()


def test_who_may_not_play_gets_no_player(world: Installation) -> None:
    operator = person("session_operator")
    session = sessions.create("synthetic://", name="mine", owner=operator)
    page = browser_of(operator).get(f"/sessions/{session.pk}/").content.decode()
    assert "player.js" not in page
    assert browser_of(operator).get(f"/sessions/{session.pk}/timeline.json").status_code == 403


@pytest.mark.parametrize("since", ["9" * 5000, "x", "-1", ""])
def test_a_time_that_cannot_be_is_the_beginning(world: Installation, since: str) -> None:
    manager = person("session_manager")
    session = sessions.create("synthetic://", name="mine", owner=manager)
    assert browser_of(manager).get(f"/sessions/{session.pk}/timeline.json?since={since}").status_code == 200


def test_every_page_allows_only_our_own_files(world: Installation) -> None:
    session = sessions.create("synthetic://", name="one")
    browser = browser_of(person("admin"))
    of_schema = ("/api/v1/schema/swagger/", "/api/v1/schema/redoc/")
    for page in ("/", f"/sessions/{session.pk}/", "/jobs/", "/sign-in/", "/nothing", *of_schema):
        policy = browser.get(page)["Content-Security-Policy"]
        assert "unsafe" not in policy, page
        assert "default-src 'none'" in policy


@pytest.mark.parametrize(
    ("address", "shows"),
    [
        ("/", "deploy db-7"),
        ("/api/v1/schema/swagger/", "/api/v1/sessions/{session_id}/start"),
        ("/admin/", "Administration"),
        ("/admin/recordings/session/", "deploy db-7"),
    ],
)
def test_a_page_runs_under_its_policy(
    watched: Any, live_server: Any, world: Installation, address: str, shows: str
) -> None:
    session = factories.recorded_session(world, segments=2, name="deploy db-7")
    reconcile.work_inline(world)
    assert session.pk
    user = person("admin")
    user.is_staff = True
    user.save()
    cookie_of(watched, live_server, user)
    watched.goto(live_server.url + address)
    watched.get_by_text(shows).first.wait_for(state="attached")
    clean(watched)


def test_redoc_runs_under_its_policy_which_stops_only_its_logo_from_elsewhere(
    watched: Any, live_server: Any
) -> None:
    watched.goto(f"{live_server.url}/api/v1/schema/redoc/")
    watched.get_by_text("Have the session recorded").first.wait_for(state="attached")
    assert set(watched.evaluate("window.violations")) <= {REDOC_LOGO}
    assert not [fault for fault in watched.faults if "redoc.ly" not in fault]


def recording_shown(
    page: Any, live_server: Any, address: str = "/", *, source: str = "synthetic://"
) -> Session:
    """A session that is being recorded, and the page at this address as an administrator sees it."""
    user = person("admin")
    session = sessions.create(source, name="deploy db-7", owner=user)
    Session.objects.filter(pk=session.pk).update(status="recording", desired="record")
    cookie_of(page, live_server, user)
    page.goto(live_server.url + address.format(session.pk))
    return session


def test_the_list_keeps_itself_current(watched: Any, live_server: Any, world: Installation) -> None:
    session = recording_shown(watched, live_server)
    pill = watched.locator(".pill")
    assert pill.inner_text() == "recording"
    Session.objects.filter(pk=session.pk).update(status="completed")
    until(lambda: pill.inner_text() == "completed")
    clean(watched)


def test_a_session_s_page_keeps_its_facts_current(
    watched: Any, live_server: Any, world: Installation
) -> None:
    session = recording_shown(watched, live_server, "/sessions/{}/", source="x11://:7")
    assert "Not sealed yet" in watched.locator("#checks").inner_text()
    assert "x11://:7" in watched.locator("#about").inner_text()
    assert watched.get_by_role("button", name="Stop").is_visible()
    watched.locator("#about code").last.dblclick()
    chosen = watched.evaluate("getSelection().toString()")
    assert chosen
    over = {"status": "completed", "desired": "stop", "sealed_revision": 1, "sealed_record": 5}
    Session.objects.filter(pk=session.pk).update(**over)
    until(lambda: "Sealed as record 5" in watched.locator("#checks").inner_text())
    assert watched.get_by_role("button", name="Stop").count() == 0
    assert watched.evaluate("getSelection().toString()") == chosen  # somebody is about to copy it
    clean(watched)


def test_a_page_that_cannot_be_renewed_says_so(watched: Any, live_server: Any, world: Installation) -> None:
    watched.add_init_script(SOON)
    recording_shown(watched, live_server)
    stale = watched.locator("#stale")
    assert not stale.is_visible()
    watched.context.set_offline(True)
    until(lambda: "Not renewed since" in stale.inner_text())
    watched.context.set_offline(False)
    until(lambda: not stale.is_visible())
    # The line is cut: no answer comes, and no word of that.
    page = watched.url
    watched.route(page, lambda _route: None)
    until(lambda: stale.is_visible())
    watched.unroute(page)
    until(lambda: not stale.is_visible())


def test_who_sees_but_his_own_sessions_is_told_of_no_others_project(world: Installation) -> None:
    operator, projects = person("session_operator"), ("merger with acme", "payments")
    sessions.create("synthetic://", name="mine", owner=operator, project="payments")
    for project in projects:
        quota.limit_project(project, gigabytes=1)
    upkeep.note("quota", {"projects": [[project, quota.GIB, 1] for project in projects]})
    for user, told in ((operator, ["payments"]), (person("session_manager"), [*projects])):
        page = browser_of(user).get("/").content.decode()
        assert [project for project in projects if f"project {project}:" in page] == told
