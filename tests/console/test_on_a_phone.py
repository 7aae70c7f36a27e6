"""Whoever is called out at night looks at a phone: nothing is cut off, and no page moves sideways."""

from typing import Any
from uuid import uuid4

import pytest

from lucid_sessions.recordings import holds, jobs, sessions
from lucid_sessions.recordings.installation import Installation
from lucid_sessions.recordings.models import Session
from tests.api.people import person
from tests.api.test_input_over_http import key, made, written
from tests.api.test_verifying import lose_all
from tests.recordings import archived

from .conftest import clean
from .test_pages import cookie_of, recording_shown

pytestmark = pytest.mark.django_db(transaction=True)

WIDTH = 390


def right_edge(page: Any, name: str) -> float:
    box = page.get_by_role("button", name=name, exact=True).bounding_box()
    return float(box["x"] + box["width"])


@pytest.mark.parametrize("address", ["/", "/pipeline/", "/sessions/{}/", "/jobs/", "/nothing"])
def test_no_page_is_wider_than_the_screen(
    watched: Any, live_server: Any, world: Installation, address: str
) -> None:
    user = person("admin")
    user.is_staff = True  # whose header has most in it
    user.save()
    session = sessions.create("synthetic://", name="the deployment of db-7 on friday evening", owner=user)
    Session.objects.filter(pk=session.pk).update(status="recording", desired="record")
    cookie_of(watched, live_server, user)
    watched.set_viewport_size({"width": WIDTH, "height": 844})
    watched.goto(live_server.url + address.format(session.pk))
    assert watched.evaluate("document.documentElement.scrollWidth") == WIDTH
    assert right_edge(watched, "Sign out") <= WIDTH
    clean(watched)


def test_what_was_moved_into_sight_stays_there(watched: Any, live_server: Any, world: Installation) -> None:
    watched.set_viewport_size({"width": WIDTH, "height": 844})
    session = recording_shown(watched, live_server)
    stop = watched.get_by_role("button", name="Stop")
    stop.scroll_into_view_if_needed()
    there = stop.bounding_box()
    Session.objects.filter(pk=session.pk).update(name="deploy db-8")
    watched.get_by_role("link", name="deploy db-8").wait_for()
    assert stop.bounding_box() == there
    clean(watched)


def test_all_buttons_of_the_player_are_there(watched: Any, live_server: Any, world: Installation) -> None:
    user = person("admin")
    session = sessions.create("synthetic://", name="deploy db-7", owner=user)
    cookie_of(watched, live_server, user)
    watched.set_viewport_size({"width": WIDTH, "height": 844})
    watched.goto(f"{live_server.url}/sessions/{session.pk}/")
    edge = watched.evaluate("document.getElementById('player').getBoundingClientRect().right")
    for name in ("Play", "Back 10 seconds", "Forward 10 seconds", "Full screen"):
        assert right_edge(watched, name) <= edge, name


def test_what_is_asked_for_on_a_session_s_page_fits(
    watched: Any, live_server: Any, world: Installation
) -> None:
    user = person("admin")
    session = archived.sealed(world)
    holds.place(session, by=person("session_manager"), why="the investigation of friday evening " * 8)
    jobs.submit("evidence", session, user=user.pk, options={"disclose": ["media", "keys"]}, id=uuid4())
    jobs.tick()
    lose_all(world)
    jobs.submit("verify", session, user=user.pk, options={"deep": True}, id=uuid4())
    jobs.tick()
    cookie_of(watched, live_server, user)
    watched.set_viewport_size({"width": WIDTH, "height": 844})
    for address in (f"/sessions/{session.pk}/", "/jobs/"):
        watched.goto(live_server.url + address)
        for summary in watched.locator("aside summary").all():
            summary.click()
        assert watched.evaluate("document.documentElement.scrollWidth") == WIDTH
        for name in ("Download", "Report"):
            box = watched.get_by_role("link", name=name).bounding_box()
            assert box["x"] + box["width"] <= WIDTH
    clean(watched)


def test_what_was_done_fits_too(watched: Any, live_server: Any, world: Installation) -> None:
    user = person("admin")
    window = {"k": "window", "id": 9, "title": "long" * 100, "class": "Program" * 20, "secret": True}
    long = (key("a") for _ in range(400))
    session = made(world, written(0, (1, window), *((2 + at, one) for at, one in enumerate(long))))
    cookie_of(watched, live_server, user)
    watched.set_viewport_size({"width": WIDTH, "height": 844})
    watched.goto(f"{live_server.url}/sessions/{session.pk}/")
    watched.locator("#done summary").click()
    watched.locator("#done-list .typed").wait_for()
    assert watched.evaluate("document.documentElement.scrollWidth") == WIDTH
    inside = watched.evaluate(
        "[document.getElementById('done-box')].map((one) => [one.scrollWidth, one.clientWidth])"
    )
    assert inside[0][0] == inside[0][1]
    clean(watched)
