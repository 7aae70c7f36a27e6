"""While somebody follows a session its recorder is told so, at the price of few writes to one row."""

from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from lucid_sessions.recordings import sessions, watching
from lucid_sessions.recordings.host import DatabaseView
from lucid_sessions.recordings.installation import Installation
from lucid_sessions.recordings.intake import Intake
from lucid_sessions.recordings.models import Session
from tests.api.people import client_of, person

pytestmark = pytest.mark.django_db(transaction=True)


def started(owner: Any = None) -> Session:
    return sessions.start(sessions.create("synthetic://320x180", name="deploy", owner=owner))


def is_told(world: Installation) -> bool:
    (wanted,) = DatabaseView(world.spool, Intake(world.spool), "here").wanted()
    return wanted.watched


def test_whoever_asks_for_the_playlist_of_a_running_session_watches_it(world: Installation) -> None:
    owner = person("session_manager")
    session = started(owner)
    assert not is_told(world)
    # Nothing is archived yet: who waits for it watches, too.
    assert client_of(owner).get(f"/api/v1/sessions/{session.pk}/playback.m3u8").status_code == 409
    assert is_told(world)
    row = Session.objects.get(pk=session.pk)
    assert (row.version, row.told) == (session.version, session.told)


def test_a_viewer_who_has_gone_is_forgotten(world: Installation) -> None:
    session = started()
    watching.note(session)
    later = timezone.now() - timedelta(seconds=1)
    Session.objects.filter(pk=session.pk).update(watched_until=later)
    assert not is_told(world)


def test_many_viewers_cost_one_write_in_a_while(world: Installation, django_assert_num_queries: Any) -> None:
    session = started()
    watching.note(session)
    seen = Session.objects.get(pk=session.pk)
    with django_assert_num_queries(0):
        for _ in range(50):
            watching.note(seen)
    seen.watched_until = timezone.now() + watching.LASTS - watching.RENEWED - timedelta(seconds=1)
    Session.objects.filter(pk=session.pk).update(watched_until=seen.watched_until)
    seen.refresh_from_db()
    with django_assert_num_queries(1):
        watching.note(seen)
    assert Session.objects.get(pk=session.pk).watched_until > seen.watched_until


def test_a_time_that_another_clock_wrote_far_ahead_is_no_viewer_and_is_put_right(world: Installation) -> None:
    session = started()
    Session.objects.filter(pk=session.pk).update(watched_until=timezone.now() + timedelta(days=1))
    assert not is_told(world)
    watching.note(Session.objects.get(pk=session.pk))
    assert is_told(world)


def test_a_session_that_is_over_is_only_played(world: Installation) -> None:
    session = sessions.stop(started())
    Session.objects.filter(pk=session.pk).update(status="completed")
    watching.note(Session.objects.get(pk=session.pk))
    assert Session.objects.get(pk=session.pk).watched_until is None
