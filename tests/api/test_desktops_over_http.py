"""Desktops of other machines over HTTP: what may be recorded, and a password that never comes out again."""

import json
from typing import Any

import pytest

from lucid_sessions.access.models import Replay
from lucid_sessions.recordings import targets
from lucid_sessions.recordings.installation import Installation
from lucid_sessions.recordings.models import Session

from .people import client_of, person

pytestmark = pytest.mark.django_db

URL = "/api/v1/sessions"
PASSWORD = "Tristan-da-Cunha-1961"
RDP: dict[str, Any] = {"host": "192.0.2.7", "username": "operator", "password": PASSWORD}
FINGERPRINT = "ab" * 32


@pytest.fixture
def operator(world: Installation) -> Any:
    assert world.spool.identity
    return client_of(person("session_operator"))


def test_an_rdp_desktop_is_created_and_its_password_is_only_with_the_recorders(
    operator: Any, world: Installation
) -> None:
    asked = {"name": "desk", "rdp_config": RDP | {"domain": "corp", "fingerprint": FINGERPRINT}}
    answer = operator.post(URL, asked, format="json", headers={"Idempotency-Key": "one"})
    assert answer.status_code == 201, answer.content
    body = answer.json()
    assert body["source"] == {
        "kind": "rdp",
        "host": "192.0.2.7",
        "port": 3389,
        "username": "operator",
        "domain": "corp",
        "fingerprint": FINGERPRINT,
    }
    session = Session.objects.get(pk=body["id"])
    assert targets.password_of(world.keys, session.pk) == PASSWORD
    again = operator.post(URL, asked, format="json", headers={"Idempotency-Key": "one"})
    shown = [answer, again, operator.get(URL), operator.get(f"{URL}/{session.pk}")]
    assert again.json()["id"] == body["id"]
    assert [one for one in shown if PASSWORD in one.content.decode()] == []
    rows = [*Session.objects.values(), *Replay.objects.values()]
    assert PASSWORD not in json.dumps(rows, default=str)


def test_a_vnc_desktop_is_created_with_a_password_or_without(operator: Any, world: Installation) -> None:
    for given, password in (({}, ""), ({"password": PASSWORD, "port": 5901}, PASSWORD)):
        source = {"kind": "vnc", "host": "desk.example.org", **given}
        answer = operator.post(URL, {"name": "desk", "source": source}, format="json")
        assert answer.status_code == 201, answer.content
        assert PASSWORD not in answer.content.decode()
        session = Session.objects.get(pk=answer.json()["id"])
        assert targets.password_of(world.keys, session.pk) == password
    assert session.source == "vnc://desk.example.org:5901"


@pytest.mark.parametrize(
    ("given", "field", "says"),
    [
        ({}, "source", "either a `source` or an `rdp_config`"),
        ({"source": {"kind": "synthetic"}, "rdp_config": RDP}, "source", "either"),
        ({"rdp_config": RDP | {"host": "operator@evil"}}, "rdp_config.host", "pattern"),
        ({"rdp_config": RDP | {"host": "host/x?ignore_cert=1"}}, "rdp_config.host", "pattern"),
        ({"rdp_config": RDP | {"use_tls": False}}, "rdp_config.use_tls", "without TLS or NLA"),
        ({"rdp_config": RDP | {"fingerprint": "abc"}}, "rdp_config.fingerprint", "64 hexadecimal"),
        ({"rdp_config": RDP | {"port": 0}}, "rdp_config.port", "greater than or equal to 1"),
        ({"rdp_config": RDP | {"gateway": "x"}}, "rdp_config.gateway", "not known here"),
        ({"rdp_config": RDP | {"password": f"{PASSWORD}\n"}}, "rdp_config.password", "line break"),
        ({"rdp_config": RDP | {"password": f"{PASSWORD}\rmore"}}, "rdp_config.password", "line break"),
        ({"rdp_config": {"host": "h", "username": "u"}}, "rdp_config.password", "required"),
        ({"source": {"kind": "vnc"}}, "source.host", "needed for vnc"),
        ({"source": {"kind": "synthetic", "password": PASSWORD}}, "source.password", "vnc and rtsp only"),
    ],
)
def test_a_desktop_that_cannot_be_meant_is_refused(operator: Any, given: Any, field: str, says: str) -> None:
    answer = operator.post(URL, {"name": "desk", **given}, format="json")
    body = answer.json()
    assert (answer.status_code, body["code"]) == (400, "LUCID_ERR_3002"), body
    found = {fault["field"]: fault["detail"] for fault in body["errors"]}
    assert says in found[field]
    assert PASSWORD not in answer.content.decode()
    assert not Session.objects.exists()


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "169.254.169.254", "::1", "0.0.0.0"])  # noqa: S104
def test_the_recorders_own_network_is_out_of_bounds(operator: Any, world: Installation, host: str) -> None:
    answer = operator.post(URL, {"name": "desk", "rdp_config": RDP | {"host": host}}, format="json")
    assert answer.status_code == 400
    assert "LUCID_TARGET_ALLOW" in answer.content.decode()
    assert PASSWORD not in answer.content.decode()
    assert not list((world.keys_root / "targets").glob("*"))
