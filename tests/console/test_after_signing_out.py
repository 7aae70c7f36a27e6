"""Who signs out leaves nothing in the browser to whoever sits down there next."""

from typing import Any

import pytest

from lucid_sessions.recordings import sessions
from lucid_sessions.recordings.installation import Installation
from tests.api.people import person
from tests.waiting import PATIENCE

from .test_pages import cookie_of

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def page_of_a_person(launch_browser: Any) -> Any:
    """As people's browsers are: it keeps whole pages, to be quick when they go back."""
    browser = launch_browser(ignore_default_args=["--disable-back-forward-cache"])
    page = browser.new_page()
    page.set_default_timeout(PATIENCE * 1000)
    yield page
    browser.close()


def test_going_back_shows_no_page_of_who_has_signed_out(
    page_of_a_person: Any, live_server: Any, world: Installation
) -> None:
    auditor = person("auditor")
    session = sessions.create("synthetic://", name="board meeting", owner=auditor)
    cookie_of(page_of_a_person, live_server, auditor)
    address = f"{live_server.url}/sessions/{session.pk}/"
    page_of_a_person.goto(address)
    assert page_of_a_person.locator("h1").inner_text() == "board meeting"
    page_of_a_person.get_by_role("button", name="Sign out").click()
    page_of_a_person.wait_for_url("**/sign-in/")
    page_of_a_person.evaluate("history.back()")
    page_of_a_person.wait_for_url(f"**/sign-in/?next=/sessions/{session.pk}/")
    assert page_of_a_person.locator("h1").inner_text() == "Sign in"
