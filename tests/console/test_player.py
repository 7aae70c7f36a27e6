"""The player plays a real recording in a real browser, over its gap, under a strict policy."""

import os
import re
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings as django_settings

from lucid_sessions.recordings import reconcile, sessions
from lucid_sessions.recordings.installation import Installation
from lucid_sessions.recordings.models import Chunk, Gap, Session
from lucid_sessions.recordings.sessions import POSTER_WIDTH
from recorder import mp4
from recorder.clock import us_of
from tests import factories
from tests.api.people import client_of, person
from tests.recorder.displays import display
from tests.waiting import until

from . import desk
from .conftest import clean

pytestmark = pytest.mark.django_db(transaction=True)

PICTURE = Path(django_settings.BASE_DIR) / "docs" / "images" / "player.png"
# From the top, wherever the page was moved to.
SHOWN = {"x": 0, "y": 0, "width": 1280, "height": 960}
IN_SIGHT = """
(one) => {
  const { x, y, width, height } = one.getBoundingClientRect();
  return one.contains(document.elementFromPoint(x + width / 2, y + height / 2));
}
"""
PASSWORD = "a password for tests only"


def sign_in(page: Any, address: str, user: Any) -> None:
    user.set_password(PASSWORD)
    user.save()
    page.goto(address)
    page.get_by_label("User name").fill(user.username)
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign in").click()


def position(page: Any) -> float:
    return float(page.evaluate("document.querySelector('video').currentTime"))


def has_played_to(page: Any, seconds: float) -> None:
    # Not wait_for_function: that evaluates a text in the page, which our policy stops.
    until(lambda: position(page) >= seconds)


def is_at(page: Any, text: str) -> None:
    until(lambda: page.locator("#now").inner_text().startswith(text))


def comes_to(page: Any, at_us: float, gap: Gap) -> None:
    """To the tenth: media time may land a little before it. Behind the gap, if it is in there."""
    wanted = gap.to_us if gap.from_us <= at_us < gap.to_us else at_us
    until(lambda: abs(tenths(page.locator("#now").inner_text()) - int(wanted // 100_000)) <= 1)


def tenths(shown: str) -> int:
    minutes, seconds = shown.split(":")
    return 600 * int(minutes) + round(10 * float(seconds))


def test_a_recording_plays_and_goes_on_behind_its_gap(
    watched: Any, live_server: Any, world: Installation, tmp_path: Path, settings: Any
) -> None:
    manager = person("session_manager", name="auditor")
    settings.LUCID_SEGMENT_SECONDS = 1.0
    session = desk.record(world, client_of(manager), seconds=3, pause=1.5, name="deploy db-7")
    gap = Gap.objects.get(session=session)
    before = sum(
        chunk.end_us - chunk.start_us
        for chunk in Chunk.objects.filter(session=session, track="screen", end_us__lte=gap.from_us)
    )
    page = watched
    sign_in(page, f"{live_server.url}/sessions/{session.pk}/", manager)
    page.get_by_role("button", name="Play", exact=True).click()
    has_played_to(page, 1.5)
    assert page.evaluate("document.querySelector('video').videoWidth") == 1280
    # The bar shows the session's time, in which the pause lasted; the media has no time for it.
    has_played_to(page, before / 1e6 + 0.5)
    until(lambda: int(page.locator("#bar").get_attribute("aria-valuenow")) >= gap.to_us // 1_000_000)
    assert page.locator("#stretches .gap").count() == 1
    assert page.locator("#verified").get_attribute("class") == "good"
    assert "Sealed" in page.locator("#checks").inner_text()
    assert not page.locator("#sound").is_visible()  # there is none
    # A browser elsewhere shows its own time, and the page UTC: each says which it is.
    assert page.locator("#wall").inner_text().endswith(" UTC")
    clean(page)
    _steered_by_the_filmstrip(page, gap)
    picture = _picture(tmp_path)
    _have_it(page, paused=True)
    page.screenshot(path=picture, full_page=True, clip=SHOWN)
    assert picture.stat().st_size < 200_000
    _steered_by_keys(page, gap)
    clean(page)


def _picture(tmp_path: Path) -> Path:
    """Where the screenshot goes: into the documents only when that is wanted."""
    return PICTURE if os.environ.get("LUCID_RENEW_PICTURES") else tmp_path / "player.png"


def _steered_by_the_filmstrip(page: Any, gap: Gap) -> None:
    """A small picture for each part; resting on one shows it large, clicking goes there."""
    slots = page.locator("#strip button")
    loaded = "Array.from(document.querySelectorAll('#strip img'), (one) => one.naturalWidth)"
    until(lambda: page.evaluate(loaded) == [POSTER_WIDTH] * slots.count())
    assert slots.count() >= 5
    assert page.locator("#curve-changed").get_attribute("d")
    chosen = slots.nth(2)
    chosen.hover()
    until(lambda: page.locator("#preview-picture img").count() == 1)
    assert page.locator("#preview-text").inner_text().startswith("0:")
    _have_it(page, paused=True)
    chosen.click()
    goes_to = float(chosen.get_attribute("data-from"))
    assert tenths(chosen.get_attribute("aria-label").removeprefix("Go to ")) == goes_to // 100_000
    comes_to(page, goes_to, gap)
    until(lambda: "current" in (chosen.get_attribute("class") or ""))
    # The space bar plays, it does not go there again.
    went = position(page)
    page.keyboard.press(" ")
    has_played_to(page, went + 0.2)
    _have_it(page, paused=False)


def _have_it(page: Any, *, paused: bool) -> None:
    """By the key, unless it is so: on a busy machine the recording may have come to its end."""
    now = "document.querySelector('video').paused"
    if page.evaluate(now) != paused:
        page.keyboard.press("k")
    until(lambda: page.evaluate(now) == paused)


def _steered_by_keys(page: Any, gap: Gap) -> None:
    page.keyboard.press("Home")
    is_at(page, "0:00.0")
    page.keyboard.press("ArrowRight")
    comes_to(page, 5_000_000, gap)
    page.keyboard.press("Home")
    is_at(page, "0:00.0")
    page.keyboard.press(".")
    is_at(page, "0:00.1")
    page.keyboard.press(">")
    assert page.evaluate("document.querySelector('video').playbackRate") == 1.5
    assert page.evaluate("document.querySelector('video').paused")
    page.locator("#bar").focus()
    page.keyboard.press(" ")
    until(lambda: not page.evaluate("document.querySelector('video').paused"))


def test_a_session_plays_while_it_is_still_being_recorded(
    watched: Any, live_server: Any, world: Installation
) -> None:
    manager = person("session_manager")
    session = sessions.start(sessions.create("synthetic://640x360", name="running", owner=manager))

    page = watched
    with desk.recorder(world):
        until(lambda: desk.archived(world) >= 3)
        there, longest = _listed(client_of(manager), session)
        assert len(there) == Chunk.objects.filter(state="anchored", track="screen").count()
        sign_in(page, f"{live_server.url}/sessions/{session.pk}/", manager)
        assert page.locator("#status").inner_text() == "recording"
        until(lambda: _lag(page) > 0)
        assert page.locator("#live").get_attribute("class") == "live"  # nothing moves yet
        page.get_by_role("button", name="Play", exact=True).click()
        until(lambda: page.locator("#live").get_attribute("class") == "live on")
        until(lambda: position(page) > 0)
        # It begins near what is happening, not at the beginning: within two segments of the list's end.
        assert position(page) >= sum(there) - 2 * longest
        first = int(page.locator("#bar").get_attribute("aria-valuemax"))
        until(lambda: desk.archived(world) >= 1 and position(page) > first)
        _at_ones_own_speed(page)
        sessions.stop(session)
        until(lambda: desk.archived(world) >= 1 and page.locator("#status").inner_text() == "completed")
    assert int(page.locator("#bar").get_attribute("aria-valuemax")) > first
    clean(page)


def _at_ones_own_speed(page: Any) -> None:
    """Who chooses one follows no more, and who follows again does so at the usual one."""
    speed, live = page.get_by_label("Speed"), page.locator("#live")
    speed.select_option("0.5")
    until(lambda: live.get_attribute("class") == "live")
    assert page.evaluate("document.querySelector('video').playbackRate") == 0.5
    live.click()
    until(lambda: live.get_attribute("class") == "live on")
    assert speed.input_value() == "1"


def test_whoever_opens_a_desktop_at_rest_sees_what_it_shows_now(
    watched: Any, live_server: Any, world: Installation, settings: Any
) -> None:
    settings.LUCID_SEGMENT_SECONDS, settings.LUCID_QUIET_SEGMENT_SECONDS = 1.0, 300.0
    manager = person("session_manager")

    page = watched
    with display("-screen", "0", "320x180x24") as shown, desk.recorder(world):
        session = sessions.start(sessions.create(f"x11://{shown.name}", name="at rest", owner=manager))
        until(lambda: desk.archived(world, session) >= 1 and _written(world, session) > 3_000_000)
        assert desk.archived(world, session) == 1  # nobody watches, nothing happens
        sign_in(page, f"{live_server.url}/sessions/{session.pk}/", manager)
        page.get_by_role("button", name="Play", exact=True).click()
        until(lambda: desk.archived(world, session) >= 4 and 0 < _lag(page) <= 8)
        sessions.stop(session)
        until(
            lambda: desk.archived(world, session) >= 1 and page.locator("#status").inner_text() == "completed"
        )
    clean(page)


def _written(world: Installation, session: Session) -> int:
    """Microseconds that the open segment of the screen holds."""
    for _, _, directory in world.spool.takes_of(session.pk):
        for part in directory.glob("*_screen_*.part"):
            content = part.read_bytes()
            found = list(mp4.fragments(content))
            if found:
                scale = mp4.timescale(content)
                return us_of(found[-1].until, scale) - us_of(found[0].base, scale)
    return 0


def _lag(page: Any) -> float:
    """Seconds that the picture is behind what happens; 0 while it does not follow."""
    return float(page.locator("#live").get_attribute("data-lag") or 0)


def _listed(client: Any, session: Session) -> tuple[list[float], int]:
    """The seconds of each segment that a running session's playlist lists, and what the longest may have."""
    text = client.get(f"/api/v1/sessions/{session.pk}/playback.m3u8").content.decode()
    assert "#EXT-X-ENDLIST" not in text
    (longest,) = re.findall(r"#EXT-X-TARGETDURATION:(\d+)", text)
    return [float(seconds) for seconds in re.findall(r"#EXTINF:([0-9.]+)", text)], int(longest)


def test_a_changed_blob_raises_the_alarm_in_the_player(
    watched: Any, live_server: Any, world: Installation
) -> None:
    session = factories.recorded_session(world, segments=2)
    reconcile.work_inline(world)
    blob = Chunk.objects.filter(session=session).order_by("sequence")[0].blob
    path = next(world.blobs_root.rglob(blob))
    path.chmod(0o600)
    content = path.read_bytes()
    path.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    page = watched
    sign_in(page, f"{live_server.url}/sessions/{session.pk}/", person("auditor"))
    alarm = page.get_by_role("alert")
    alarm.wait_for(state="visible")
    assert "does not verify" in alarm.inner_text()
    # Also to who sees nothing but the player.
    page.keyboard.press("f")
    until(lambda: page.evaluate("document.fullscreenElement !== null"))
    until(lambda: alarm.evaluate(IN_SIGHT))
    page.keyboard.press("f")
    # Nothing of it is shown: the picture stands behind it, where the next chunk begins.
    until(lambda: position(page) >= 1)
    is_at(page, "0:01")
    assert page.locator("#verified-count").inner_text() in ("0", "1 of 2")
    clean(page)
