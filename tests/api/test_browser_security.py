"""What a browser is told: which pages may call the API, what a page may load, what a cookie may do."""

import os
import re
import secrets
import subprocess
import sys
from typing import Any

import pytest

from lucid_sessions.recordings.installation import Installation
from tests.waiting import PATIENCE

from .people import client_of, person

pytestmark = pytest.mark.django_db

OURS, OTHER = "https://app.example.com", "https://evil.example.com"
URL = "/api/v1/sessions"


@pytest.fixture
def viewer(world: Installation, settings: Any) -> Any:
    assert world.spool.identity
    settings.ALLOWED_ORIGINS = [OURS]
    return client_of(person("session_viewer"))


def asks(client: Any, origin: str) -> Any:
    return client.options(URL, HTTP_ORIGIN=origin, HTTP_ACCESS_CONTROL_REQUEST_METHOD="POST")


def test_pages_of_the_sites_that_are_named_may_call_the_api(viewer: Any) -> None:
    first = asks(client_of(None), OURS)
    assert (first.status_code, first["Access-Control-Allow-Origin"]) == (204, OURS)
    assert "Authorization" in first["Access-Control-Allow-Headers"]
    answer = viewer.get(URL, HTTP_ORIGIN=OURS)
    assert (answer.status_code, answer["Access-Control-Allow-Origin"]) == (200, OURS)
    assert "ETag" in answer["Access-Control-Expose-Headers"]
    assert "Origin" in answer["Vary"]
    # A bearer token is all that counts: cookies are never sent along.
    assert "Access-Control-Allow-Credentials" not in answer


@pytest.mark.parametrize(
    "origin", [OTHER, "null", "", OURS + ".evil.example.com", OURS.replace("https", "http")]
)
def test_pages_of_any_other_site_may_not(viewer: Any, origin: str) -> None:
    assert asks(client_of(None), origin).status_code == 401
    for answer in (asks(viewer, origin), viewer.get(URL, HTTP_ORIGIN=origin)):
        assert not [name for name in answer.headers if name.startswith("Access-Control")]


def test_each_page_has_a_policy_that_lets_nothing_inline_run(client: Any) -> None:
    client.force_login(person("admin"), backend="lucid_sessions.access.lockout.GuardedBackend")
    for address in ("/", "/sign-in/", "/api/v1/schema/swagger/", "/api/v1/schema/redoc/", "/admin/login/"):
        answer = client.get(address)
        policy = answer["Content-Security-Policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy, address
        page = answer.content.decode()
        nonce = "".join(re.findall(r"'nonce-([^']+)'", policy)[:1])
        for script in re.findall(r"<script(?![^>]*\bsrc=)[^>]*>|<style[^>]*>", page):
            assert nonce, address
            assert f'nonce="{nonce}"' in script, (address, script)
        assert not re.findall(r"<[^>]+\s(?:style|on[a-z]+)=", page), address


PRODUCTION = """
import django; django.setup()
from django.conf import settings as s
print(s.SESSION_COOKIE_NAME, s.CSRF_COOKIE_NAME, s.SESSION_COOKIE_SECURE, s.CSRF_COOKIE_SECURE)
print(s.SESSION_COOKIE_PATH, s.SESSION_COOKIE_DOMAIN, s.SESSION_COOKIE_HTTPONLY, s.SECURE_HSTS_SECONDS)
"""


def production(*argv: str) -> str:
    """What a process with the settings of production says; it must be content."""
    own = {
        "LUCID_PROFILE": "production",
        "DJANGO_SETTINGS_MODULE": "lucid_sessions.settings",
        "LUCID_LEDGER_ORIGIN": "sessions.test/log",
        "ALLOWED_HOSTS": "sessions.test",
        "ALLOWED_ORIGINS": OURS,
        # Digits only: among letters "your-" may come up, and a placeholder is refused.
        **{name: secrets.token_hex(40) for name in ("SECRET_KEY", "JWT_SECRET_KEY")},
        **{name: secrets.token_hex(40) for name in ("ENCRYPTION_PASSWORD", "ENCRYPTION_SALT")},
    }
    # What a browser driver in this process asked Django to overlook.
    inherited = {name: value for name, value in os.environ.items() if name != "DJANGO_ALLOW_ASYNC_UNSAFE"}
    done = subprocess.run(
        [sys.executable, *argv],
        env=inherited | own,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_djangos_own_checks_of_a_deployment_find_nothing() -> None:
    said = production("manage.py", "check", "--deploy", "--fail-level", "WARNING")
    # One is silenced, for the reason that the settings give.
    assert "no issues (1 silenced)" in said


def test_cookies_in_production_belong_to_this_host_and_to_https_alone() -> None:
    names, rest = production("-c", PRODUCTION).splitlines()
    assert names == "__Host-sessionid __Host-csrftoken True True"
    assert rest == "/ None True 31536000"
