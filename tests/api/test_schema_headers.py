"""The headers of real answers are those that the OpenAPI document names, no more and no fewer."""

import io
import re
from typing import Any

import pytest
import yaml
from django.core.management import call_command

from lucid_sessions.access import cors
from lucid_sessions.recordings import jobs
from lucid_sessions.recordings.installation import Installation

from .archive_of_one import sealed_session
from .people import client_of, person
from .test_guards import cache_redis as cache_redis

pytestmark = pytest.mark.django_db

URL = "/api/v1"
NEW = {"name": "n", "source": {"kind": "synthetic"}}
# What a program can make use of; the rest is for browsers and proxies.
TOLD = {*cors.SEEN, "Accept-Ranges", "Link", "WWW-Authenticate"}


@pytest.fixture(scope="module")
def document() -> Any:
    out = io.StringIO()
    call_command("spectacular", stdout=out)
    return yaml.safe_load(out.getvalue())


@pytest.fixture
def admin(world: Installation, settings: Any, tmp_path: Any, cache_redis: str) -> Any:
    assert world.spool.identity
    settings.LUCID_RESULTS_PATH = tmp_path / "results"
    settings.CACHE_URL, settings.RATE_LIMIT_ENABLED = cache_redis, True
    return client_of(person("admin"))


def described(document: Any, answer: Any) -> dict[str, Any]:
    """The headers that the document names for this answer, by name."""
    path = answer.wsgi_request.path
    for template in sorted(document["paths"], key=lambda one: one.count("{")):
        if re.fullmatch(re.sub(r"\\{\w+\\}", "[^/]+", re.escape(template)), path):
            operation = document["paths"][template][answer.wsgi_request.method.lower()]
            named = operation["responses"][str(answer.status_code)]["headers"]
            return {name: document["components"]["headers"][name] for name in named}
    raise AssertionError(path)


def check(document: Any, answer: Any, status: int, *may_lack: str) -> None:
    assert answer.status_code == status, answer.content
    known = described(document, answer)
    assert TOLD & set(answer.headers) | set(may_lack) == set(known), (answer.wsgi_request.path, status)
    for name, header in known.items():
        schema = header["schema"]
        assert name in answer.headers or not header["required"], name
        if name in answer.headers and "pattern" in schema:
            assert re.search(schema["pattern"], answer[name]), (name, answer[name])


def test_what_the_document_names_is_for_pages_of_other_sites_too(document: Any) -> None:
    operations = [one for item in document["paths"].values() for one in item.values()]
    given = [one for operation in operations for one in operation.get("parameters", [])]
    sent = {one["name"] for one in given if one["in"] == "header"}
    # Media are resumable by If-Range.
    assert sent | {"If-Range"} <= set(cors.SENT.split(", "))
    assert set(document["components"]["headers"]) <= set(cors.SEEN)


def test_sessions_have_the_headers_that_are_named(document: Any, admin: Any) -> None:
    made = admin.post(f"{URL}/sessions", NEW, format="json", HTTP_IDEMPOTENCY_KEY="k")
    check(document, made, 201, "Idempotent-Replayed")
    again = admin.post(f"{URL}/sessions", NEW, format="json", HTTP_IDEMPOTENCY_KEY="k")
    check(document, again, 201, *({"ETag"} - set(again.headers)))
    one = f"{URL}/sessions/{made.json()['id']}"
    check(document, admin.get(one), 200)
    check(document, admin.get(one, HTTP_IF_NONE_MATCH=made["ETag"]), 304)
    check(document, admin.patch(one, {"name": "m"}, format="json"), 200)
    check(document, admin.patch(one, {"name": "m"}, format="json", HTTP_IF_MATCH='"99"'), 412)
    check(document, admin.get(one, HTTP_ACCEPT="text/html"), 406)
    check(document, admin.get(f"{URL}/sessions"), 200)
    for _ in range(2):
        why = {"reason": "case 17"}
        held = admin.post(f"{one}/hold", why, format="json", HTTP_IDEMPOTENCY_KEY="k")
        check(document, held, 201, "Idempotent-Replayed")
    check(document, client_of(None).get(one), 401)


def test_recordings_have_the_headers_that_are_named(document: Any, admin: Any, world: Installation) -> None:
    session = sealed_session(world, segments=1)
    one, chunk = f"{URL}/sessions/{session.pk}", session.chunks.get().pk
    kinds = ("chunks/{}/media", "chunks/{}/download", "segments/{}.mp4")
    for address in (f"{one}/{kind.format(chunk)}" for kind in kinds):
        check(document, admin.get(address), 200)
        check(document, admin.get(address, HTTP_RANGE="bytes=0-9"), 206)
    check(document, admin.get(f"{one}/segments/{chunk}.mp4", HTTP_RANGE="bytes=999999-"), 416)
    played = admin.get(f"{one}/playback.m3u8")
    check(document, played, 200)
    check(document, admin.get(f"{one}/playback.m3u8", HTTP_IF_NONE_MATCH=played["ETag"]), 304)
    asked = admin.post(f"{one}/export", {}, format="json", HTTP_IDEMPOTENCY_KEY="k")
    check(document, asked, 202, "Idempotent-Replayed")
    check(document, admin.get(asked["Location"]), 200)
    jobs.tick()
    check(document, admin.get(f"{asked['Location']}/result"), 200)
    check(document, admin.get(f"{URL}/audit/export.csv"), 200)


def test_who_asks_too_often_is_told_when_to_come_back(document: Any, admin: Any) -> None:
    answers = [admin.get(f"{URL}/sessions/statistics") for _ in range(6)]
    check(document, answers[0], 200)
    check(document, answers[-1], 429)
