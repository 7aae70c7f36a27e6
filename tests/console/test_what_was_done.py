"""What was done at a desktop is told under its picture, in stretches, once who may export opens it."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from lucid_sessions.access.models import AuditEvent
from lucid_sessions.recordings import account, reconcile, sessions
from lucid_sessions.recordings.installation import Installation
from lucid_sessions.recordings.models import Chunk, Session
from recorder.names import GapMarker
from tests import factories
from tests.api.people import person
from tests.api.test_input_over_http import SECOND, beside, key, made, written
from tests.recorder.displays import Display, display
from tests.recorder.test_input import terminal
from tests.waiting import until

from . import desk
from .conftest import clean
from .test_pages import browser_of, cookie_of

pytestmark = pytest.mark.django_db(transaction=True)

RATE = 30


def rows(page: Any, kind: str = "") -> list[str]:
    """What the list shows, or of one kind: all texts of a row, one behind the other."""
    found = page.locator(f"#done-list li{f'.{kind}' if kind else ''}:not([hidden]) button").all_inner_texts()
    return [" ".join(text.split()) for text in found]


def asked(page: Any) -> list[str]:
    """Addresses under `/input` that the page asks for from now on."""
    found: list[str] = []
    page.on("request", lambda one: found.append(one.url) if "/input" in one.url else None)
    return found


def opened(page: Any) -> None:
    page.locator("#done summary").click()
    until(lambda: "Reading" not in page.locator("#done-told").inner_text())


@contextmanager
def desktop() -> Iterator[Display]:
    """A display with a terminal that has the keyboard."""
    with display("-screen", "0", "640x360x24") as shown, terminal(shown, "deploy shell"):
        yield shown


def test_what_is_typed_at_a_desktop_is_told_beside_its_picture(
    watched: Any, live_server: Any, world: Installation, settings: Any
) -> None:
    settings.LUCID_SEGMENT_SECONDS = 1.0
    manager, page = person("session_manager"), watched
    with desktop() as shown, desk.recorder(world):
        config = {"input": "full", "frame_rate": RATE}
        session = sessions.create(
            f"x11://{shown.name}", name="deploy db-7", owner=manager, recording_config=config
        )
        sessions.start(session)
        until(lambda: desk.archived(world, session) >= 1)
        cookie_of(page, live_server, manager)
        requests = asked(page)
        page.goto(f"{live_server.url}/sessions/{session.pk}/")
        until(lambda: page.locator("#length").inner_text() != "0:00.0")
        assert requests == []
        assert not AuditEvent.objects.filter(action="session.input-read").exists()
        opened(page)
        # It goes on while it is recorded.
        shown.run("xdotool", "type", "ls -l")
        shown.run("xdotool", "key", "Return")
        shown.run("xdotool", "mousemove", "200", "100", "click", "1")
        until(lambda: desk.archived(world, session) and rows(page, "click"))
        time.sleep(1)
        sessions.stop(session)
        until(lambda: desk.archived(world, session) and page.locator("#status").inner_text() == "completed")
    assert [row.split(" ", 1)[1] for row in rows(page, "typed")] == ["Typed ls -l 5 keys"]
    assert [row.split(" ", 1)[1] for row in rows(page, "click")] == ["Click left at 200, 100"]
    assert "In window deploy shell XTerm" in rows(page, "window")[0]
    _seeks(page, session)
    _is_sifted(page)
    assert AuditEvent.objects.filter(action="session.input-read", username=manager.username).exists()
    clean(page)


def _seeks(page: Any, session: Session) -> None:
    """A click, or Enter, shows the moment to within two pictures, and marks the entry."""
    first = Chunk.objects.filter(session=session, track="screen").order_by("sequence")[0]
    (typed,) = (one for one in account.account(session).entries if one["kind"] == "typed")
    entry = page.locator("#done-list .typed button")
    entry.click()
    wanted = (typed["from_us"] - first.start_us) / SECOND
    until(lambda: abs(_position(page) - wanted) <= 2 / RATE)
    until(lambda: entry.get_attribute("aria-current") == "true")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    until(lambda: page.locator("#done-list .key button").get_attribute("aria-current") == "true")
    assert _position(page) > wanted


def _position(page: Any) -> float:
    return float(page.evaluate("document.querySelector('video').currentTime"))


def _is_sifted(page: Any) -> None:
    page.get_by_placeholder("Find in texts and titles").fill("LS -")
    assert len(rows(page)) == 1
    assert page.locator("#done-told").inner_text().startswith("1 of ")
    page.get_by_placeholder("Find in texts and titles").fill("deploy shell")
    assert len(rows(page)) >= 4  # what was done in that window
    page.get_by_label("Typed", exact=True).uncheck()
    assert rows(page, "typed") == []
    page.get_by_label("Typed", exact=True).check()
    page.get_by_placeholder("Find in texts and titles").fill("")


def test_of_one_thing_it_is_said_as_of_one(watched: Any, live_server: Any, world: Installation) -> None:
    manager, page = person("session_manager"), watched
    copied = {"k": "clip", "text": True, "length": 1, "sha256": "ab" * 32}
    session = made(world, written(0, (100_000, copied)))
    cookie_of(page, live_server, manager)
    page.goto(f"{live_server.url}/sessions/{session.pk}/")
    opened(page)
    page.get_by_label("Windows").uncheck()
    (row,) = rows(page)
    assert "a text of 1 byte SHA-256" in row
    assert page.locator("#done-told").inner_text() == "1 entry in all of the session."


def _second(number: int) -> bytes:
    """A second in which six keys are pressed, of which there is each but once."""
    names = [f"F{6 * number + place + 1}" for place in range(6)]
    return written(number, *((100_000 + place * 150_000, key(name)) for place, name in enumerate(names)))


def test_a_long_session_is_told_in_stretches_and_searched_to_its_end(
    watched: Any, live_server: Any, world: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    auditor, page = person("auditor"), watched
    monkeypatch.setattr(account, "MOST_CHUNKS", 3)
    session = made(world, *(_second(number) for number in range(7)))
    cookie_of(page, live_server, auditor)
    page.goto(f"{live_server.url}/sessions/{session.pk}/")
    requests = asked(page)
    opened(page)
    assert rows(page, "key")[:2] == ["0:00.1 Key F1", "0:00.2 Key F2"]
    page.get_by_role("button", name="0:00.1 Key F1", exact=True).wait_for()
    page.get_by_placeholder("Find in texts and titles").fill("f42")
    page.get_by_role("button", name="Search all of it").click()
    until(lambda: page.locator("#done-told").inner_text() == "1 of 43 found in all of the session.")
    assert rows(page) == ["0:06.8 Key F42"]
    page.get_by_placeholder("Find in texts and titles").fill("")
    assert len(requests) == 3
    _keeps_up(page)
    clean(page)


def _keeps_up(page: Any) -> None:
    """The entry at the picture stays in view, unless the person scrolls, until he wants it again."""
    page.get_by_label("Speed").select_option("4")
    page.get_by_role("button", name="Play", exact=True).click()
    until(lambda: _marked(page) > 30)
    assert _is_in_view(page)
    until(lambda: _is_at_the_top(page))
    until(lambda: page.evaluate("document.querySelector('video').ended"))
    assert not _is_in_view(page)
    page.get_by_role("button", name="Follow the picture").click()
    until(lambda: _is_in_view(page))


def _is_at_the_top(page: Any) -> bool:
    """Whether the person, who scrolls on, has come there: one turn of the wheel may miss the list."""
    page.locator("#done-box").hover()
    page.mouse.wheel(0, -5000)
    return bool(page.evaluate("document.getElementById('done-box').scrollTop") == 0)


def _marked(page: Any) -> int:
    """The number of the key at the picture."""
    found = page.locator("#done-list [aria-current] bdi").all_inner_texts()
    return int(found[0].removeprefix("F")) if found and found[0].startswith("F") else 0


def _is_in_view(page: Any) -> bool:
    row, box = (
        page.locator("#done-list [aria-current]").bounding_box(),
        page.locator("#done-box").bounding_box(),
    )
    return bool(box["y"] <= row["y"] and row["y"] + row["height"] <= box["y"] + box["height"])


def test_reading_begins_at_the_picture_and_goes_back_when_it_is_wanted(
    watched: Any, live_server: Any, world: Installation
) -> None:
    auditor, page = person("auditor"), watched
    session = made(world, ended=False)
    for counter, second in enumerate((0, 100, 395, 400), start=1):
        beside(session, world, counter=counter, content=_second(second), at=second)
    factories.acknowledge(session, world, counter=401)
    factories.file_spool(world)
    reconcile.work_inline(world)
    Session.objects.filter(pk=session.pk).update(status="completed")
    cookie_of(page, live_server, auditor)
    page.goto(f"{live_server.url}/sessions/{session.pk}/")
    until(lambda: page.locator("#now").inner_text().startswith("6:40"))
    opened(page)
    assert [row.partition(".")[0] for row in rows(page, "key")] == 6 * ["6:35"] + 6 * ["6:40"]
    assert " in 5:40.0 – 6:41.0 of 6:41.0." in page.locator("#done-told").inner_text()
    page.evaluate("document.getElementById('done-box').scrollTop = 0")
    first = page.get_by_role("button", name="6:35.1 Key F2371", exact=True)
    place = _below_the_top(page, first)
    page.get_by_role("button", name="Read what was before").click()
    until(lambda: len(rows(page, "key")) == 24)
    assert rows(page, "key")[0] == "0:00.1 Key F1"
    assert abs(_below_the_top(page, first) - place) <= 1  # what the person looks at stays where it is
    assert page.locator("#done-told").inner_text().endswith(" entries in all of the session.")
    clean(page)


def test_a_server_that_is_away_is_asked_less_and_less_often_until_it_is_back(
    watched: Any, live_server: Any, world: Installation
) -> None:
    manager, page = person("session_manager"), watched
    session = made(world, _second(0), ended=False)
    cookie_of(page, live_server, manager)
    page.clock.install()
    page.goto(f"{live_server.url}/sessions/{session.pk}/")
    # Else its clock goes on by itself besides, the more the busier the machine is.
    page.clock.pause_at(page.evaluate("Date.now()") / 1000 + 60)
    requests, unanswered = asked(page), _unanswered(page)
    opened(page)
    page.context.set_offline(True)
    _spend(page, 60, unanswered)
    assert 3 <= len(requests) <= 5
    _spend(page, 60, unanswered)  # by now it waits a minute
    before = len(requests)
    _spend(page, 300, unanswered)
    assert 4 <= len(requests) - before <= 6
    assert "Failed" in page.locator("#done-told").inner_text()
    page.context.set_offline(False)
    _spend(page, 64, unanswered)
    until(lambda: page.locator("#done-told").inner_text() == "7 entries in all of the session so far.")
    before = len(requests)
    _spend(page, 20, unanswered)
    assert 4 <= len(requests) - before <= 6
    # Whoever signed out in another tab is told so, and not what a program should send.
    page.context.clear_cookies()
    _spend(page, 8, unanswered)
    for told in (page.locator("#done-told"), page.get_by_role("alert")):
        assert told.inner_text().startswith("You are signed out: sign in again")


def _unanswered(page: Any) -> set[Any]:
    """What is asked for from now on, as long as nothing has come of it."""
    found: set[Any] = set()
    page.on("request", lambda one: found.add(one))
    for name in ("requestfinished", "requestfailed"):
        page.on(name, lambda one: found.discard(one))
    return found


def _spend(page: Any, seconds: int, unanswered: set[Any]) -> None:
    """Let the page's clock go on, with what the page does meanwhile."""
    for _ in range(seconds):
        page.clock.run_for(1000)
        until(lambda: page.evaluate("1") and not unanswered)
        page.evaluate("0")  # the page has heard of it


def test_a_gap_that_reaches_over_two_stretches_is_listed_once(
    watched: Any, live_server: Any, world: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    auditor, page = person("auditor"), watched
    monkeypatch.setattr(account, "MOST_CHUNKS", 2)
    session = made(world, *(_second(number) for number in range(5)), ended=False)
    # Of the display's own time something is missing, over the end of the first stretch and of the second.
    world.spool.write_gap(
        GapMarker(session.pk, "input", 1, 1, SECOND + 500_000, 4 * SECOND + 500_000, "lost")
    )
    factories.file_spool(world)
    Session.objects.filter(pk=session.pk).update(status="completed")
    cookie_of(page, live_server, auditor)
    page.goto(f"{live_server.url}/sessions/{session.pk}/")
    opened(page)
    page.get_by_role("button", name="Read all of it").click()
    until(lambda: page.locator("#done-told").inner_text().endswith(" in all of the session."))
    assert len(rows(page, "key")) == 30
    assert rows(page, "gap") == ["0:01.5 Not heard lost"]
    assert page.locator("#done-told").inner_text() == "32 entries in all of the session."


def _below_the_top(page: Any, row: Any) -> float:
    """Where it is in the list, as it is seen."""
    return float(row.bounding_box()["y"] - page.locator("#done-box").bounding_box()["y"])


@pytest.mark.parametrize("role", ["session_viewer", "auditor"])
def test_only_who_may_export_has_the_panel(world: Installation, role: str) -> None:
    user = person(role)
    session = made(world, _second(0))
    Session.objects.filter(pk=session.pk).update(owner=user)
    text = browser_of(user).get(f"/sessions/{session.pk}/").content.decode()
    assert 'id="player"' in text
    assert ('id="done"' in text) is (role == "auditor")


def test_a_session_of_which_nothing_is_heard_has_no_panel(world: Installation) -> None:
    manager = person("session_manager")
    browser = browser_of(manager)
    for source, config in (("synthetic://", {}), ("x11://:0", {"input": "none"})):
        session = sessions.create(source, name="one", owner=manager, recording_config=config)
        Session.objects.filter(pk=session.pk).update(status="recording")
        assert 'id="done"' not in browser.get(f"/sessions/{session.pk}/").content.decode()
    session = factories.ready("x11://:0", name="one", owner=manager)
    Session.objects.filter(pk=session.pk).update(status="recording")
    assert 'id="done"' in browser.get(f"/sessions/{session.pk}/").content.decode()
    assert world.spool.identity


def test_where_the_policy_asks_why_the_panel_asks_first(world: Installation, settings: Any) -> None:
    settings.LUCID_REASON_REQUIRED = ["session.input-read"]
    browser = browser_of(person("auditor"))
    session = made(world, _second(0))
    text = browser.get(f"/sessions/{session.pk}/").content.decode()
    assert "Why do you want to read it?" in text
    assert "data-address" not in text
    shown = browser.post(f"/sessions/{session.pk}/reason", {"reason": "case 7"}, follow=True)
    assert "data-address" in shown.content.decode()
    assert browser.get(f"/api/v1/sessions/{session.pk}/input").status_code == 200
