"""What a request with a bearer token passes by, and what it is told all the same."""

from typing import Any

import pytest
from django.core.exceptions import ImproperlyConfigured
from django.http import HttpRequest, HttpResponse
from django.test import Client

from lucid_sessions.access.bearers import BearersJoin, BearersPass
from lucid_sessions.recordings.installation import Installation

from .people import client_of, person

pytestmark = pytest.mark.django_db

URL = "/api/v1/sessions"
# The request's identity and what is the tokens' own differ.
OF_EVERY_ANSWER = (
    *("Content-Security-Policy", "X-Content-Type-Options", "X-Frame-Options", "Referrer-Policy"),
    *("Cross-Origin-Opener-Policy", "Content-Type"),
)


@pytest.fixture
def viewer(world: Installation) -> Any:
    assert world.spool.identity
    return client_of(person("session_viewer"))


@pytest.fixture
def signed_in() -> Client:
    client = Client()
    client.force_login(person("admin"), backend="lucid_sessions.access.lockout.GuardedBackend")
    return client


def test_programs_are_told_what_browsers_are_told(viewer: Any, signed_in: Client) -> None:
    for url in (URL, f"{URL}/0", f"{URL}?limit=many"):
        ours, theirs = viewer.get(url), signed_in.get(url)
        assert ours.status_code == theirs.status_code, url
        for name in OF_EVERY_ANSWER:
            assert ours.get(name) == theirs.get(name), (url, name)
        assert "default-src 'none'" in ours["Content-Security-Policy"], url


def test_production_tells_programs_too_to_come_back_by_https(viewer: Any, settings: Any) -> None:
    settings.SECURE_HSTS_SECONDS = 60
    # Middlewares read their settings when they are made.
    viewer.handler.load_middleware()
    assert "max-age=60" in viewer.get(URL, secure=True)["Strict-Transport-Security"]


def test_a_cookie_beside_a_token_counts_for_nothing(viewer: Any, signed_in: Client) -> None:
    new = {"name": "not for viewers", "source": {"kind": "synthetic"}}
    viewer.cookies = signed_in.cookies
    refused = viewer.post(URL, new, format="json")
    assert refused.status_code == 403
    assert not refused.cookies
    assert "Cookie" not in refused.get("Vary", "")


@pytest.mark.parametrize("scheme", ["bearer", "BEARER", "bEARER"])
def test_the_scheme_is_one_in_any_case(viewer: Any, signed_in: Client, scheme: str) -> None:
    token = viewer._credentials["HTTP_AUTHORIZATION"].removeprefix("Bearer")
    viewer.credentials(HTTP_AUTHORIZATION=scheme + token)
    viewer.cookies = signed_in.cookies
    assert viewer.get(URL).status_code == 200
    new = {"name": "not for viewers", "source": {"kind": "synthetic"}}
    refused = viewer.post(URL, new, format="json")
    assert refused.status_code == 403
    assert "Cookie" not in refused.get("Vary", "")


@pytest.mark.parametrize(
    "header", ["Bearer", "Bearer ", "Bearer no token", "Bearer a.b.c", "bearer", "bearer a.b.c"]
)
def test_a_token_that_is_none_is_not_made_up_for_by_a_cookie(signed_in: Client, header: str) -> None:
    assert signed_in.get(URL).status_code == 200
    assert signed_in.get(URL, HTTP_AUTHORIZATION=header).status_code == 401


def test_a_site_that_is_not_ours_is_refused(viewer: Any) -> None:
    assert viewer.get(URL, HTTP_HOST="evil.example.com").status_code == 400


def test_pages_of_the_api_keep_their_own_policy(viewer: Any) -> None:
    page = viewer.get("/api/v1/schema/redoc/")
    assert page.status_code == 200
    # Its own: nothing else has these styles.
    assert "'sha256-QMIg+bpjm3JdElJ388KYke01izlUW0UoNOeKjpMxdgc='" in page["Content-Security-Policy"]


def test_without_its_end_there_is_no_short_way() -> None:
    with pytest.raises(ImproperlyConfigured, match="BearersJoin"):
        BearersPass(lambda _request: HttpResponse())
    BearersJoin(lambda _request: HttpResponse("joined"))
    request = HttpRequest()
    request.path = URL
    request.META["HTTP_AUTHORIZATION"] = "Bearer x"
    chain = BearersPass(lambda _request: HttpResponse("the long way"))
    assert chain(request).content == b"joined"
    request.path = "/admin/"
    assert chain(request).content == b"the long way"
