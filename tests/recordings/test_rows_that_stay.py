"""Rows of sessions stay for ever: a database that does not show one is asked again."""

from collections.abc import Callable

import pytest
from django.db import OperationalError

from lucid_sessions.recordings import sessions
from lucid_sessions.recordings.installation import Installation
from lucid_sessions.recordings.models import Session

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.mark.parametrize("act", [sessions.start, sessions.pause, sessions.stop])
def test_a_session_that_a_new_primary_does_not_show_yet_is_no_defect(
    world: Installation, act: Callable[[Session], Session]
) -> None:
    assert world.keys
    session = sessions.create("synthetic://", name="acknowledged a moment ago")
    # As MongoDB answers then; it cannot be had by asking.
    Session.objects.all().delete()
    with pytest.raises(OperationalError, match=f"does not show session {session.pk}"):
        act(session)
