"""Who follows a running session goes on following it when the server was away for some seconds."""

from collections.abc import Iterator
from typing import Any

import pytest

from lucid_sessions.recordings import sessions
from lucid_sessions.recordings.installation import Installation
from tests.api.people import person
from tests.waiting import until

from . import desk
from .conftest import clean
from .gateway import BAD_GATEWAY, Gateway
from .test_player import position, sign_in

pytestmark = pytest.mark.django_db(transaction=True)

BUFFERED_TO = """
(() => { const { buffered } = document.querySelector("video"); return buffered.end(buffered.length - 1); })()
"""


@pytest.fixture
def gateway(live_server: Any) -> Iterator[Gateway]:
    """Between the browser and the server."""
    gateway = Gateway(live_server.url)
    yield gateway
    gateway.close()


@pytest.mark.parametrize("answer", [b"", BAD_GATEWAY], ids=["nothing", "bad gateway"])
def test_the_live_view_goes_on_when_the_server_is_back(
    watched: Any, gateway: Gateway, world: Installation, settings: Any, answer: bytes
) -> None:
    settings.LUCID_SEGMENT_SECONDS = 1.0
    manager = person("session_manager")
    session = sessions.start(sessions.create("synthetic://640x360", name="running", owner=manager))

    page = watched
    with desk.recorder(world):
        until(lambda: desk.archived(world) >= 3)
        sign_in(page, f"{gateway.address}/sessions/{session.pk}/", manager)
        page.get_by_role("button", name="Play", exact=True).click()
        until(lambda: desk.archived(world) and position(page) > 0)
        with gateway.away(answer):
            there = desk.archived(world)
            # hls.js gives up after three seconds; the page's own reading of the timeline fails meanwhile too.
            until(lambda: desk.archived(world) >= there + 10)
            page.get_by_role("alert").wait_for(state="visible")
        there = page.evaluate(BUFFERED_TO)
        until(lambda: desk.archived(world) and position(page) > there + 2)
        until(lambda: desk.archived(world) and not page.get_by_role("alert").is_visible())
        sessions.stop(session)
        until(lambda: desk.archived(world) and page.locator("#status").inner_text() == "completed")
    clean(page)
