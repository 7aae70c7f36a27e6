"""Whatever is sent, the answer is a documented one: no request finds a defect."""

import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lucid_sessions.recordings.installation import Installation

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
    client = client_of(person("session_manager"))
    client.raise_request_exception = False
    return client


@SOME
@given(body=BODIES)
def test_no_body_finds_a_defect(manager: Any, body: Any) -> None:
    answer = manager.post("/api/v1/sessions", json.dumps(body), content_type="application/json")
    assert answer.status_code in (201, 400), (body, answer.content)


@SOME
@given(query=QUERIES)
def test_no_query_finds_a_defect(manager: Any, query: dict[str, str]) -> None:
    answer = manager.get("/api/v1/sessions", query)
    assert answer.status_code in (200, 400), (query, answer.content)


@SOME
@given(
    name=st.sampled_from(["Range", "If-Match", "Idempotency-Key", "X-Request-ID"]), value=st.text(max_size=30)
)
def test_no_header_finds_a_defect(manager: Any, name: str, value: str) -> None:
    sent = value.encode("utf-8", "replace").decode("latin-1")
    new = {"name": "n", "source": {"kind": "synthetic"}}
    answer = manager.post("/api/v1/sessions", new, format="json", headers={name: sent})
    assert answer.status_code in (201, 400, 409, 422), (name, value, answer.content)
