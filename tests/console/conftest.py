"""A real browser against a real server."""

import os
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from lucid_sessions.access import audit
from lucid_sessions.recordings import account
from tests.programs import needed
from tests.waiting import PATIENCE, until

# Playwright runs its own event loop in this thread; Django would take each query for one in async code.
os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"] = "true"

WATCH = """
window.violations = [];
document.addEventListener("securitypolicyviolation", (event) =>
  window.violations.push(`${event.violatedDirective} ${event.blockedURI} ${event.sourceFile}`));
"""


@pytest.fixture(autouse=True)
def no_look_is_remembered() -> None:
    """A look is written once a minute: of another test's nothing is known."""
    audit.forget_looks()


@pytest.fixture(autouse=True)
def one_stretch(monkeypatch: pytest.MonkeyPatch) -> None:
    """However long a busy machine takes, an account of what was done does not end before its part does."""
    monkeypatch.setattr(account, "MOST_SECONDS", PATIENCE)


@pytest.fixture(autouse=True)
def all_is_answered() -> Iterator[None]:
    """What a browser still asked for when it was closed is answered before the database is emptied.

    Its event would else be found by the next test.
    """
    before = set(threading.enumerate())
    yield
    until(lambda: not any(_is_answering(one) for one in set(threading.enumerate()) - before))


def _is_answering(thread: threading.Thread) -> bool:
    """Whether it is one of those in which the live server talks to a client, until that one hangs up."""
    return "process_request_thread" in thread.name


@pytest.fixture(scope="session")
def browser_type_launch_args() -> dict[str, Any]:
    """Debian's Chromium, which decodes H.264, and nothing of it that calls home."""
    quiet = ("background-networking", "component-update", "sync", "quic")
    flags = ["--no-sandbox", "--disable-gpu", "--autoplay-policy=no-user-gesture-required"]
    return {
        "executable_path": needed("chromium"),
        "args": [*flags, *(f"--disable-{name}" for name in quiet)],
    }


@pytest.fixture(scope="session")
def browser_context_args() -> dict[str, Any]:
    """A laptop's window."""
    return {"viewport": {"width": 1280, "height": 860}, "locale": "en-GB", "timezone_id": "UTC"}


@pytest.fixture
def watched(page: Any) -> Any:
    """A page that remembers what its Content-Security-Policy stopped, and every error of its scripts."""
    page.set_default_timeout(PATIENCE * 1000)
    page.add_init_script(WATCH)
    page.faults = []
    page.on("pageerror", lambda error: page.faults.append(str(error)))
    page.on(
        "console",
        lambda line: page.faults.append(line.text) if "Content Security Policy" in line.text else None,
    )
    return page


def clean(page: Any) -> bool:
    """True when the page ran without a stopped resource or a script error."""
    assert page.evaluate("window.violations") == []
    assert page.faults == []
    return True
