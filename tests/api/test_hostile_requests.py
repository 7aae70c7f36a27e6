"""Whatever is sent, the answer is a documented one: no request finds a defect."""

import json
from typing import Any

import pytest
from django.test import override_settings
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lucid_sessions.errors import Refused
from lucid_sessions.recordings.installation import Installation
from lucid_sessions.recordings.webhooks import sending

from .archive_of_one import sealed_session
from .people import client_of, person

pytestmark = pytest.mark.django_db

SCALARS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=12)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
)
FIELDS = ["name", "description", "source", "recording_config", "storage_config", "metadata", "rdp_config"]
BODIES = VALUES | st.dictionaries(st.sampled_from(FIELDS), VALUES, max_size=5)
QUERIES = st.dictionaries(
    st.sampled_from(["limit", "offset", "cursor", "status", "ordering", "owner", "text", "created_after"]),
    st.text(max_size=20),
    max_size=3,
)
SOME = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.fixture
def manager(world: Installation) -> Any:
    assert world.spool.identity
    return client_of(person("session_manager"), shows_defects=True)


@pytest.fixture
def admin(world: Installation) -> Any:
    assert world.spool.identity
    return client_of(person("admin"), shows_defects=True)


@pytest.fixture
def archived(world: Installation) -> str:
    """Where a stored blob is downloaded."""
    session = sealed_session(world, segments=1)
    chunk = session.chunks.get()
    return f"/api/v1/sessions/{session.pk}/chunks/{chunk.pk}/download"


@SOME
@given(body=BODIES)
def test_no_body_finds_a_defect(manager: Any, body: Any) -> None:
    answer = manager.post("/api/v1/sessions", json.dumps(body), content_type="application/json")
    assert answer.status_code in (201, 400), (body, answer.content)


@SOME
@given(query=QUERIES)
def test_no_query_finds_a_defect(manager: Any, query: dict[str, str]) -> None:
    answer = manager.get("/api/v1/sessions", query)
    assert answer.status_code in (200, 400, 404), (query, answer.content)


@SOME
@given(
    name=st.sampled_from(["Range", "If-Match", "Idempotency-Key", "X-Request-ID"]), value=st.text(max_size=30)
)
def test_no_header_finds_a_defect(manager: Any, name: str, value: str) -> None:
    sent = value.encode("utf-8", "replace").decode("latin-1")
    new = {"name": "n", "source": {"kind": "synthetic"}}
    answer = manager.post("/api/v1/sessions", new, format="json", headers={name: sent})
    assert answer.status_code in (201, 400, 409, 422), (name, value, answer.content)


TEXTS = st.text(max_size=60) | st.binary(max_size=60).map(lambda raw: raw.decode("latin-1"))


@SOME
@given(text=TEXTS | st.from_regex(r"Bearer (lucid_)?[\w-]+\.[\w-]+\.[\w-]*", fullmatch=True))
def test_no_token_finds_a_defect_or_lets_anybody_in(manager: Any, text: str) -> None:
    stranger = client_of(None, shows_defects=True)
    sent = text.encode("utf-8", "replace").decode("latin-1")
    assert stranger.get("/api/v1/sessions", headers={"Authorization": sent}).status_code == 401
    assert stranger.get("/api/v1/sessions", {"link": text}).status_code == 401


@SOME
@given(text=TEXTS | st.lists(st.ip_addresses().map(str), max_size=4).map(",".join))
def test_no_forwarded_address_finds_a_defect(manager: Any, text: str) -> None:
    with override_settings(LUCID_TRUSTED_PROXIES=["127.0.0.0/8", "::/0"]):
        sent = text.encode("utf-8", "replace").decode("latin-1")
        assert manager.get("/api/v1/sessions", headers={"X-Forwarded-For": sent}).status_code == 200


@SOME
@given(
    query=st.dictionaries(
        st.sampled_from(["action", "session", "after", "before", "cursor", "limit", "username", "tag"]), TEXTS
    ),
    place=st.sampled_from(["audit/", "audit/export.csv", "webhooks", "jobs", "sessions"]),
)
def test_no_query_of_a_list_finds_a_defect(admin: Any, query: dict[str, str], place: str) -> None:
    answer = admin.get(f"/api/v1/{place}", query)
    # 404: a cursor that the list did not give.
    assert answer.status_code in (200, 400, 404), (place, query, answer.content)


@SOME
@given(body=VALUES | st.dictionaries(st.sampled_from(["url", "events", "description", "enabled"]), VALUES))
def test_no_body_of_a_webhook_finds_a_defect(admin: Any, body: Any) -> None:
    answer = admin.post("/api/v1/webhooks", json.dumps(body), content_type="application/json")
    assert answer.status_code == 400, (body, answer.content)


@SOME
@given(text=TEXTS | st.from_regex(r"bytes=\d*-\d*(,\d*-\d*)*", fullmatch=True))
def test_no_range_finds_a_defect(admin: Any, archived: str, text: str) -> None:
    sent = text.encode("utf-8", "replace").decode("latin-1")
    answer = admin.get(archived, headers={"Range": sent})
    assert answer.status_code in (200, 206, 416), (text, answer.content)


def latin(text: str) -> str:
    """As a header carries it."""
    return text.encode("utf-8", "replace").decode("latin-1")


@pytest.fixture
def address(manager: Any) -> str:
    """A session's own address."""
    new = {"name": "n", "source": {"kind": "synthetic"}}
    return f"/api/v1/sessions/{manager.post('/api/v1/sessions', new, format='json').json()['id']}"


@SOME
@given(text=TEXTS | st.from_regex(r'(W/)?"\d*"(, ?(W/)?"\d*")*', fullmatch=True))
def test_no_precondition_finds_a_defect(manager: Any, address: str, text: str) -> None:
    changed = manager.patch(address, {"description": "d"}, format="json", headers={"If-Match": latin(text)})
    assert changed.status_code in (200, 412), (text, changed.content)
    looked = manager.get(address, headers={"If-None-Match": latin(text)})
    assert looked.status_code in (200, 304), (text, looked.content)


MEDIA = st.sampled_from(
    ["application/json", "application/json; charset=x", "multipart/form-data; boundary=b", "text/plain", ""]
)


@SOME
@given(raw=st.binary(max_size=80) | st.just(b"[" * 20_000) | st.just(b"9" * 5000), kind=MEDIA | TEXTS)
def test_no_raw_body_finds_a_defect(manager: Any, raw: bytes, kind: str) -> None:
    kind = latin(kind)
    answer = manager.generic("POST", "/api/v1/sessions", raw, content_type=kind)
    assert answer.status_code in (400, 415), (raw[:80], kind, answer.content)


@SOME
@given(
    text=TEXTS | st.from_regex(r"[\w-]+\.[\w-]+\.[\w-]*", fullmatch=True),
    place=st.sampled_from(["refresh", "logout"]),
)
def test_no_refresh_token_finds_a_defect(manager: Any, text: str, place: str) -> None:
    stranger = client_of(None, shows_defects=True)
    answer = stranger.post(f"/api/v1/auth/{place}", {"refresh": text}, format="json")
    # Whoever signs out is signed out, whatever he had.
    assert answer.status_code in ((400, 401) if place == "refresh" else (204, 400)), (text, answer.content)


@settings(max_examples=200, deadline=None)
@given(text=TEXTS | st.from_regex(r"https?://[\[\]:%@/?#\w.-]{0,60}", fullmatch=True))
def test_no_address_of_a_webhook_finds_a_defect(text: str) -> None:
    try:
        target = sending.parse(text, allowed=[])
    except Refused:
        return
    assert (target.scheme, target.host) == ("https", target.host.lower())
    assert 0 < target.port < 2**16
    assert target.path.isascii()
    assert not set(target.path) & set(" \r\n\t#")


@SOME
@given(index=st.integers(min_value=0), old=TEXTS | st.integers().map(str))
def test_no_place_in_the_log_finds_a_defect(admin: Any, index: int, old: str) -> None:
    assert admin.get(f"/api/v1/ledger/records/{index}").status_code == 404
    assert admin.get("/api/v1/ledger/consistency", {"old": old}).status_code in (400, 404)
