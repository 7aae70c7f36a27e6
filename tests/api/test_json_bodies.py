"""JSON bodies that no two readers need understand alike, or that are deeper than any that is meant."""

import gzip
import json
from typing import Any

import pytest

from lucid_sessions.recordings.installation import Installation
from lucid_sessions.recordings.models import Session

from .people import client_of, person

pytestmark = pytest.mark.django_db

URL = "/api/v1/sessions"


@pytest.fixture
def operator(world: Installation) -> Any:
    assert world.spool.identity
    return client_of(person("session_operator"), shows_defects=True)


@pytest.mark.parametrize("place", ["[%s]", '{"source": {"kind": %s}}', '{"metadata": {"priority": %s}}'])
def test_a_body_of_any_depth_is_refused_and_no_defect(operator: Any, place: str) -> None:
    # Where Python gives up depends on who looks at it: near its limit each depth is another story.
    for depth in (60, *range(900, 960, 6), 100_000):
        raw = place % ("[" * depth + "]" * depth)
        answer = operator.post(URL, raw, content_type="application/json", HTTP_IDEMPOTENCY_KEY=f"k{depth}")
        assert (answer.status_code, answer.json()["code"]) == (400, "LUCID_ERR_1003"), depth
        assert "deep" in answer.json()["detail"]


@pytest.mark.parametrize(
    ("raw", "field"),
    [
        ('{"name": "a", "name": "b", "source": {"kind": "synthetic"}}', "name"),
        ('{"name": "a", "\\u006eame": "a", "source": {"kind": "synthetic"}}', "name"),
        (
            '{"name": "a", "source": {"kind": "synthetic"}, '
            '"storage_config": {"retention_days": 3650, "retention_days": 1}}',
            "retention_days",
        ),
        ('{"\\ud800": 1, "\\ud800": 2}', "?"),
    ],
)
def test_a_field_that_is_given_twice_is_refused_by_its_name(operator: Any, raw: str, field: str) -> None:
    answer = operator.post(URL, raw, content_type="application/json")
    assert (answer.status_code, answer.json()["code"]) == (400, "LUCID_ERR_3002")
    assert answer.json()["errors"] == [{"field": field, "detail": "is given more than once."}]
    assert not Session.objects.exists()


@pytest.mark.parametrize("encoding", ["gzip", "br", "Identity"])
def test_a_compressed_body_is_refused_as_such(operator: Any, encoding: str) -> None:
    body = json.dumps({"name": "name", "source": {"kind": "synthetic"}}).encode()
    sent = body if encoding == "Identity" else gzip.compress(body)
    answer = operator.post(URL, sent, content_type="application/json", HTTP_CONTENT_ENCODING=encoding)
    if encoding == "Identity":
        assert answer.status_code == 201
        return
    assert (answer.status_code, answer.json()["code"]) == (415, "LUCID_ERR_1007")
    assert f"without Content-Encoding: {encoding}" in answer.json()["detail"]


def test_the_same_name_in_two_places_is_none_given_twice(operator: Any) -> None:
    body = {"name": "name", "source": {"kind": "synthetic"}, "metadata": {"tags": ["name", "name"]}}
    assert operator.post(URL, json.dumps(body), content_type="application/json").status_code == 201
