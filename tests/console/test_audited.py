"""What is done in the console is in the audit, too."""

from typing import Any

import pytest
from django.test import Client

from lucid_sessions.access import audit
from lucid_sessions.access.models import AuditEvent
from lucid_sessions.recordings import sessions
from lucid_sessions.recordings.installation import Installation
from tests.api.people import person

pytestmark = pytest.mark.django_db


def test_looking_steering_and_being_turned_away_are_written_down(world: Installation, client: Any) -> None:
    audit.forget_looks()
    assert world.spool.identity
    user = person("session_manager")
    session = sessions.create("synthetic://", name="one", owner=user)
    client.force_login(user, backend="lucid_sessions.access.lockout.GuardedBackend")
    assert client.get(f"/sessions/{session.pk}/").status_code == 200
    assert client.post(f"/sessions/{session.pk}/start").status_code == 302
    assert client.post(f"/sessions/{session.pk}/resume").status_code == 302
    Client().post("/sign-in/", {"username": "guess", "password": "wrong"})
    rows = AuditEvent.objects.order_by("at_us", "id").values_list("action", "outcome", "means")
    assert list(rows)[:2] == [("session.viewed", "done", "browser"), ("session.start", "done", "browser")]
    assert ("signed-in", "denied", "") in list(rows)
    assert AuditEvent.objects.get(username="guess").outcome == "denied"
