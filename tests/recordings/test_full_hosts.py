"""Whoever starts a session that no host can take is told so over HTTP, with the figures; nothing changes."""

import pytest

from lucid_sessions.recordings.installation import Installation
from lucid_sessions.recordings.lifecycle import Status
from lucid_sessions.recordings.models import RecorderHost, Session
from recorder.supervisor import Policy
from tests.api.people import client_of, person
from tests.console import desk
from tests.waiting import until

pytestmark = pytest.mark.django_db(transaction=True)


def test_a_start_that_no_host_can_take_is_answered_503_with_the_figures(world: Installation) -> None:
    client = client_of(person("session_manager"))
    body = {"source": {"kind": "synthetic"}, "recording_config": {"frame_rate": 5, "resolution": "320x240"}}
    addresses = []
    for name in ("first", "second"):
        created = client.post("/api/v1/sessions", {**body, "name": name}, format="json")
        addresses.append(f"/api/v1/sessions/{created.json()['id']}")
    first, second = addresses
    with desk.recorder(world, policy=Policy(cores=0.001)):
        assert client.post(f"{first}/start").status_code == 200
        until(lambda: RecorderHost.objects.exclude(refusal="").exists())
        refused = client.post(f"{second}/start")
        assert (refused.status_code, refused.json()["code"]) == (503, "LUCID_ERR_3013")
        assert "Host test is fully used: its 1 recordings use" in refused.json()["detail"]
        assert "of the 0.00 that they may" in refused.json()["detail"]
        assert int(refused["Retry-After"]) > 0
        assert Session.objects.get(name="second").status == Status.CREATED
        assert client.post(f"{first}/stop").status_code == 200
        until(lambda: not RecorderHost.objects.exclude(refusal="").exists())
        assert client.post(f"{second}/start").status_code == 200
