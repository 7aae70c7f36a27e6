"""What cannot be had, for a while or for good, does not end what the player can still show."""

from typing import Any

import pytest

from lucid_sessions.recordings import reconcile, scrub
from lucid_sessions.recordings.installation import Installation
from lucid_sessions.recordings.models import Chunk, Session
from tests import factories
from tests.api.people import person
from tests.waiting import until

from .conftest import clean
from .test_live_over_an_outage import BUFFERED_TO
from .test_player import has_played_to, position, sign_in

pytestmark = pytest.mark.django_db(transaction=True)

NOTE_SEEKS = """
(() => {
  const video = document.querySelector("video");
  window.sought = [];
  video.addEventListener("seeked", () => window.sought.push(video.currentTime));
})()
"""

BUFFERED_FROM = "document.querySelector('video').buffered.start(0)"
# hls.js sums up lengths, and corrects them by what it has loaded: often the list begins a trace behind 0.
# Here it is more.
BEGINS_LATE = """
(() => {
  let known;
  const late = (Hls) => class extends Hls {
    constructor(...how) {
      super(...how);
      this.on(Hls.Events.FRAG_BUFFERED, () => { this.levels[0].details.fragments[0].setStart(0.02); });
    }
  };
  Object.defineProperty(window, "Hls", { get: () => known, set: (Hls) => { known = late(Hls); } });
})()
"""


def with_a_rotten_chunk(world: Installation, *, number: int) -> Session:
    """A sealed session of four seconds, one to a chunk; a stored blob has changed and nobody knows."""
    session = factories.recorded_session(world, segments=4)
    reconcile.work_inline(world)
    blob = Chunk.objects.filter(session=session).order_by("sequence")[number - 1].blob
    next(world.blobs_root.rglob(blob)).write_bytes(b"rotten")
    return session


@pytest.mark.parametrize("number", [1, 2, 4])
def test_a_chunk_in_quarantine_is_passed_over(
    watched: Any, live_server: Any, world: Installation, number: int
) -> None:
    session = with_a_rotten_chunk(world, number=number)
    list(scrub.run(world))
    page = watched
    sign_in(page, f"{live_server.url}/sessions/{session.pk}/", person("auditor"))
    page.get_by_role("button", name="Play", exact=True).click()
    has_played_to(page, 2.9 if number == 4 else 3.9)
    assert not page.get_by_role("alert").is_visible()
    assert page.locator("#stretches .quarantined").count() == 1
    clean(page)


@pytest.mark.parametrize("number", [1, 2])
def test_behind_a_chunk_that_does_not_verify_it_goes_on_after_the_alarm(
    watched: Any, live_server: Any, world: Installation, number: int
) -> None:
    session = with_a_rotten_chunk(world, number=number)
    page = watched
    sign_in(page, f"{live_server.url}/sessions/{session.pk}/", person("auditor"))
    page.get_by_role("button", name="Play", exact=True).click()
    has_played_to(page, 3.9)
    alarm = page.get_by_role("alert")
    assert "does not verify" in alarm.inner_text()
    play = page.get_by_role("button", name="Play", exact=True)
    play.wait_for()  # it is over: only now is it known whether it still runs
    page.keyboard.press("Home")
    until(lambda: position(page) < 2)
    play.click()
    has_played_to(page, 3.9)
    clean(page)


def test_when_the_last_chunk_does_not_verify_what_is_before_it_is_played(
    watched: Any, live_server: Any, world: Installation
) -> None:
    session = with_a_rotten_chunk(world, number=4)
    page = watched
    sign_in(page, f"{live_server.url}/sessions/{session.pk}/", person("auditor"))
    page.get_by_role("button", name="Play", exact=True).click()
    has_played_to(page, 2.8)
    page.get_by_role("alert").wait_for(state="visible")
    # It plays on at once: by the time that we look it may have come to its end again.
    page.evaluate(NOTE_SEEKS)
    page.keyboard.press("Home")
    until(lambda: page.evaluate("window.sought.some((seconds) => seconds < 1)"))
    has_played_to(page, 2.8)
    # Once it is deleted nothing of it is said to be on its way.
    Chunk.objects.filter(session=session).update(state="expired", quarantined_at=None)
    Session.objects.filter(pk=session.pk).update(status="deleted")
    page.reload()
    until(lambda: page.locator("#veil").inner_text() == "It is deleted: nothing is left to play.")
    assert page.locator("#stretches .gone").count() == 1
    assert page.locator("#stretches .pending").count() == 0
    assert page.locator(".legend .gone").is_visible()
    clean(page)


def test_what_comes_slowly_is_waited_for_where_somebody_went(
    watched: Any, live_server: Any, world: Installation
) -> None:
    session = factories.recorded_session(world, segments=4)
    reconcile.work_inline(world)
    slow = Chunk.objects.filter(session=session).order_by("sequence")[1].pk
    page, held = watched, []
    segment, alarm = f"**/segments/{slow}.mp4", page.get_by_role("alert")
    page.route(segment, lambda route: route.abort())
    sign_in(page, f"{live_server.url}/sessions/{session.pk}/", person("auditor"))
    page.locator("#play:enabled").wait_for()
    until(lambda: alarm.is_visible())
    assert "does not answer. It is tried again by itself" in alarm.inner_text()
    page.unroute(segment)
    page.route(segment, lambda route: held.append(route))
    page.keyboard.press("8")
    until(lambda: page.evaluate(BUFFERED_TO) > 3.5)
    assert not alarm.is_visible()
    for key in ("<", "<", "<", "k"):
        page.keyboard.press(key)
    has_played_to(page, 3.25)
    held.clear()
    # Back to what is not there yet, with something behind it that is.
    page.keyboard.press("3")
    until(lambda: page.evaluate("document.querySelector('video').seeking") and held)
    page.wait_for_timeout(700)
    for _ in range(3):
        page.keyboard.press("k")
    assert position(page) == pytest.approx(1.2)
    assert page.evaluate("document.querySelector('video').paused")
    assert not alarm.is_visible()
    for one in held:
        one.continue_()
    page.keyboard.press("k")
    has_played_to(page, 1.3)
    clean(page)


def test_of_a_running_session_the_begin_is_shown_too(
    watched: Any, live_server: Any, world: Installation
) -> None:
    session = factories.recorded_session(world, segments=12)
    reconcile.work_inline(world)
    Session.objects.filter(pk=session.pk).update(status="recording")
    page = watched
    page.add_init_script(BEGINS_LATE)
    sign_in(page, f"{live_server.url}/sessions/{session.pk}/", person("auditor"))
    page.locator("#play:enabled").wait_for()
    page.keyboard.press("7")  # so that the end of the list is there
    until(lambda: page.evaluate(BUFFERED_FROM) < 8.5 and page.evaluate(BUFFERED_TO) > 11.5)
    page.keyboard.press("Home")
    until(lambda: not page.evaluate("document.querySelector('video').seeking"))
    assert 0.02 < position(page) < 0.1  # before its begin hls.js would load nothing
    clean(page)
