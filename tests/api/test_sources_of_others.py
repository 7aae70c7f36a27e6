"""Streams and sound over HTTP: what is recorded of which source, and what is refused with its reason."""

from typing import Any

import pytest

from lucid_sessions.recordings import sessions, targets
from lucid_sessions.recordings.installation import Installation
from lucid_sessions.recordings.models import Session, SessionKey

from .people import client_of, person

pytestmark = pytest.mark.django_db
URL = "/api/v1/sessions"
CAMERA = {"kind": "rtsp", "host": "192.0.2.9", "port": 8554, "path": "/live?channel=1", "username": "viewer"}


@pytest.fixture
def operator(world: Installation) -> Any:
    # The recorder's host has made its spool.
    assert world.spool.identity
    return client_of(person("session_operator"))


def create(operator: Any, source: dict[str, Any], **config: Any) -> Any:
    body = {"name": "gate", "source": source, "recording_config": config}
    return operator.post(URL, body, format="json")


def test_a_camera_is_shown_as_it_was_given_but_for_its_password(operator: Any, world: Installation) -> None:
    answer = create(operator, CAMERA | {"password": "Bouvet-54"}, audio_enabled=True)
    assert answer.status_code == 201, answer.content
    assert answer.json()["source"] == CAMERA
    session = Session.objects.get()
    assert session.source == "rtsp://viewer@192.0.2.9:8554/live?channel=1"
    assert targets.password_of(world.keys, session.pk) == "Bouvet-54"
    assert not SessionKey.objects.exists()
    assert operator.post(f"{URL}/{session.pk}/start").status_code == 200
    tracks = SessionKey.objects.filter(session=session).values_list("track", flat=True)
    assert set(tracks) == {"screen", "thumb", "audio"}


@pytest.mark.parametrize(
    ("source", "field"),
    [
        ({"kind": "rtsp"}, "source.host"),
        ({"kind": "rtsp", "host": "h", "path": "live"}, "source.path"),
        ({"kind": "rtsp", "host": "h", "path": "/a b"}, "source.path"),
        ({"kind": "vnc", "host": "h", "path": "/live"}, "source.path"),
        ({"kind": "vnc", "host": "h", "username": "u"}, "source.username"),
    ],
)
def test_what_does_not_go_with_a_source_is_named(operator: Any, source: dict[str, Any], field: str) -> None:
    answer = create(operator, source)
    assert answer.status_code == 400
    assert [fault["field"] for fault in answer.json()["errors"]] == [field]


def test_sound_is_refused_where_there_is_none_also_later(operator: Any) -> None:
    vnc = {"kind": "vnc", "host": "192.0.2.9"}
    refused = create(operator, vnc, audio_enabled=True)
    assert refused.status_code == 400
    assert "vnc:// carries no sound" in refused.json()["detail"]
    session = create(operator, vnc).json()["id"]
    change = {"recording_config": {"audio_enabled": True}}
    later = operator.patch(f"{URL}/{session}", change, format="json")
    assert later.status_code == 409, later.content
    assert "vnc:// carries no sound" in later.json()["detail"]
    assert operator.post(f"{URL}/{session}/start").status_code == 200
    assert set(SessionKey.objects.values_list("track", flat=True)) == {"screen", "thumb", "input"}


RDP = {"host": "192.0.2.7", "username": "operator", "password": "Bouvet-54"}
VNC = {"kind": "vnc", "host": "Desk.example.org"}


@pytest.mark.parametrize(
    "given",
    [
        {"source": {"kind": "synthetic"}},
        {"source": {"kind": "x11", "display": ":1"}},
        {"source": VNC | {"password": "Bouvet-54"}},
        {"source": CAMERA | {"password": "Bouvet-54"}},
        {"rdp_config": RDP | {"domain": "corp", "fingerprint": "ab" * 32}},
        {"rdp_config": RDP | {"ignore_cert": True}},
    ],
)
def test_a_replacement_may_name_the_source_that_the_session_has(operator: Any, given: Any) -> None:
    made = operator.post(URL, {"name": "gate", **given}, format="json").json()
    address = f"{URL}/{made['id']}"

    def put(source: Any) -> Any:
        return operator.put(address, {"name": "gate", "source": source}, format="json")

    assert put(made["source"]).status_code == 200
    if "source" in given:
        plain = {name: value for name, value in given["source"].items() if name != "password"}
        assert [put(one).status_code for one in (given["source"], plain)] == [200, 200]
    for other in ({"kind": "vnc", "host": "h"}, {"kind": "rtsp", "host": "h", "path": "/#"}):
        answer = put(other)
        assert (answer.status_code, answer.json()["code"]) == (409, "LUCID_ERR_3003")
    assert put({"kind": "rdp"}).status_code == 400
    assert put(made["source"] | {"gateway": "h"}).status_code == 400


def test_a_replacement_may_name_the_file_that_was_imported(world: Installation) -> None:
    manager = client_of(person("session_manager"))
    address = f"{URL}/{sessions.create('file:///secret/place/video.mp4', name='imported').pk}"
    source = manager.get(address).json()["source"]
    assert manager.put(address, {"name": "m", "source": source}, format="json").status_code == 200
    other = {"kind": "file", "name": "other.mp4"}
    assert manager.put(address, {"name": "m", "source": other}, format="json").status_code == 409
