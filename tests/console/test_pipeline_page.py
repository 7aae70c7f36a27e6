"""What the people on call see of the whole installation, and who may see it."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
import redis
from django.test import Client
from django.utils import timezone

from lucid_sessions.recordings import reconcile
from lucid_sessions.recordings.installation import Installation
from lucid_sessions.recordings.lifecycle import Status
from lucid_sessions.recordings.models import Chunk, RecorderHost, Session
from tests import factories, servers
from tests.api.people import person

from .conftest import clean
from .test_pages import browser_of, cookie_of

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def broker(settings: Any) -> Iterator[None]:
    """A Redis with two messages for `store`."""
    with servers.redis_server() as url:
        settings.REDIS_URL = url
        with redis.Redis.from_url(url) as client:
            client.lpush("store", "one", "two")
        yield


def page(role: str | None = "session_manager") -> Any:
    return browser_of(person(role)).get("/pipeline/")


def test_only_who_sees_every_session_sees_it() -> None:
    assert Client().get("/pipeline/")["Location"] == "/sign-in/?next=/pipeline/"
    operator = browser_of(person("session_operator"))
    assert operator.get("/pipeline/").status_code == 403
    assert "/pipeline/" not in operator.get("/").content.decode()
    assert [page(role).status_code for role in ("session_viewer", None, "auditor")] == [403, 403, 200]


@pytest.mark.usefixtures("broker")
def test_nothing_to_do_is_said_so(world: Installation) -> None:
    factories.recorded_session(world, segments=1)
    factories.file_spool(world)
    reconcile.work_inline(world)
    text = page().content.decode()
    assert "All is well" in text
    assert "No recorder has reported yet" in text


@pytest.mark.usefixtures("broker")
def test_what_should_be_gone_and_is_not_is_said() -> None:
    facts = {"source": "synthetic://1x1", "status": Status.EXPIRING}
    since = timezone.now() - timedelta(days=3, hours=1)
    Session.objects.create(name="waits", expiry={"at": since.isoformat()}, **facts)
    browser = browser_of(person("auditor"))
    assert "What was to be deleted 3 days ago is not gone yet." in browser.get("/pipeline/").content.decode()
    Session.objects.update(expiry={"at": timezone.now().isoformat()})
    assert "All is well" in browser.get("/pipeline/").content.decode()


@pytest.mark.usefixtures("broker")
def test_what_waits_and_what_is_stuck_is_named_with_its_reason_and_next_step(world: Installation) -> None:
    session = factories.recorded_session(world, segments=1, name="deploy <db>")
    factories.acknowledge(session, world, counter=2, content=b"this is no video at all")
    factories.file_spool(world)
    Chunk.objects.filter(session=session, sequence=min(c.sequence for c in Chunk.objects.all())).update(
        created_at=timezone.now() - timedelta(minutes=5),
        next_attempt_at=timezone.now() + timedelta(minutes=5),
        reason="store: disk is full",
    )
    reconcile.work_inline(world)
    text = page().content.decode()
    assert "A chunk waits for capture since" in text
    assert "Quarantined chunks: 1." in text
    assert "store: disk is full" in text
    assert f"manage.py requeue --session {session.pk} --stage capture" in text
    assert "deploy &lt;db&gt;" in text
    assert '<td class="number">2</td>' in text  # the messages for `store`


def test_recorders_and_a_broker_that_are_away_are_said_so(settings: Any) -> None:
    settings.REDIS_URL = "redis://127.0.0.1:1/0"
    figures = {"used": 0.5, "one_more": 0.2, "limit": 1.5}
    full = "Recorders here use 1.4 of 1.5 cores."
    RecorderHost.objects.create(spool="aaaa0000", name="rec-1", sessions=3, figures=figures, refusal=full)
    gone = timezone.now() - timedelta(hours=1)
    RecorderHost.objects.create(spool="bbbb0000", name="rec-2", seen_at=gone, figures=figures)
    text = page().content.decode()
    assert "Redis does not answer" in text
    assert full in text
    assert text.count("away</strong> since") == 1


def test_the_browser_stops_nothing_of_it(watched: Any, live_server: Any) -> None:
    cookie_of(watched, live_server, person("admin"))
    watched.goto(f"{live_server.url}/pipeline/")
    watched.get_by_role("heading", name="Stages").wait_for()
    assert watched.get_by_role("link", name="Pipeline").get_attribute("aria-current") == "page"
    assert clean(watched)
