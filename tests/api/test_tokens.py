"""Signing in, refreshing, signing out: a refresh token works once."""

from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone
from rest_framework.test import APIClient

from lucid_sessions.access import tokens
from lucid_sessions.access.models import RevokedToken, User

from .people import client_of
from .people import person as person_without

pytestmark = pytest.mark.django_db(transaction=True)

PASSWORD = "a password for tests only"
TOKEN, REFRESH, LOGOUT = "/api/v1/auth/token", "/api/v1/auth/refresh", "/api/v1/auth/logout"


def person(role: str) -> User:
    user = person_without(role)
    user.set_password(PASSWORD)
    user.save()
    return user


def sign_in(name: str = "session_viewer") -> dict[str, str]:
    answer = APIClient().post(TOKEN, {"username": name, "password": PASSWORD}, format="json")
    assert answer.status_code == 200, answer.content
    return answer.json()


def refresh(token: str) -> Any:
    return APIClient().post(REFRESH, {"refresh": token}, format="json")


def sees_sessions(access: str) -> bool:
    client = APIClient()
    client.credentials(HTTP_AUTHORIZATION=f"Bearer {access}")
    return client.get("/api/v1/sessions").status_code == 200


def test_a_password_buys_tokens_that_open_the_api() -> None:
    person("session_viewer")
    assert sees_sessions(sign_in()["access"])


def test_a_wrong_password_is_401_with_a_problem_document() -> None:
    person("session_viewer")
    answer = APIClient().post(TOKEN, {"username": "session_viewer", "password": "wrong"}, format="json")
    assert answer.status_code == 401
    assert answer["Content-Type"] == "application/problem+json"
    assert answer["WWW-Authenticate"].startswith("Bearer")
    assert answer.json()["code"] == "LUCID_ERR_1001"


def test_a_refresh_token_works_once_also_for_one_who_stood_still_past_its_end() -> None:
    person("session_viewer")
    first = sign_in()
    assert refresh(first["refresh"]).status_code == 200
    # This one found it good while it was, and goes on a minute after its end.
    RevokedToken.objects.update(expires_at=timezone.now() - timedelta(minutes=1))
    assert refresh(first["refresh"]).status_code == 401


def test_a_refresh_token_works_once() -> None:
    person("session_viewer")
    first = sign_in()
    second = refresh(first["refresh"]).json()
    assert sees_sessions(second["access"])
    assert refresh(first["refresh"]).status_code == 401


def test_a_refresh_token_used_twice_ends_its_whole_family() -> None:
    person("session_viewer")
    first = sign_in()
    second = refresh(first["refresh"]).json()
    refresh(first["refresh"])
    assert refresh(second["refresh"]).status_code == 401
    assert refresh(sign_in()["refresh"]).status_code == 200


def test_after_signing_out_nothing_can_be_refreshed() -> None:
    person("session_viewer")
    first = sign_in()
    second = refresh(first["refresh"]).json()
    assert APIClient().post(LOGOUT, second, format="json").status_code == 400
    assert APIClient().post(LOGOUT, {"refresh": second["refresh"]}, format="json").status_code == 204
    assert refresh(second["refresh"]).status_code == 401


def test_an_access_token_does_not_refresh_and_a_refresh_token_opens_nothing() -> None:
    person("session_viewer")
    pair = sign_in()
    assert refresh(pair["access"]).status_code == 401
    assert not sees_sessions(pair["refresh"])


def test_a_closed_account_neither_signs_in_nor_refreshes_nor_reads() -> None:
    user = person("session_viewer")
    pair = sign_in()
    user.is_active = False
    user.save()
    assert refresh(pair["refresh"]).status_code == 401
    assert not sees_sessions(pair["access"])
    answer = APIClient().post(TOKEN, {"username": user.username, "password": PASSWORD}, format="json")
    assert answer.status_code == 401


def test_revoked_tokens_that_have_ended_are_forgotten() -> None:
    person("session_viewer")
    pair = sign_in()
    RevokedToken.objects.create(jti="long ago", expires_at="2020-01-01T00:00:00Z")
    refresh(pair["refresh"])
    assert not RevokedToken.objects.filter(jti="long ago").exists()


def test_a_token_signed_with_another_key_is_refused(settings: Any) -> None:
    import jwt

    user = person("session_viewer")
    claims = {**tokens.RefreshToken.for_user(user).access_token.payload, "exp": 4_000_000_000}
    claims |= {"aud": "lucid-sessions-api", "iss": "lucid-sessions"}
    assert sees_sessions(jwt.encode(claims, settings.SIMPLE_JWT["SIGNING_KEY"], "HS256"))
    assert not sees_sessions(jwt.encode(claims, "another key that is long enough to be one", "HS256"))
    assert not sees_sessions(jwt.encode(claims, "", "none"))
    assert not sees_sessions(
        jwt.encode(claims | {"aud": "other"}, settings.SIMPLE_JWT["SIGNING_KEY"], "HS256")
    )


def test_a_bearer_client_needs_no_csrf_token_and_a_cookie_client_does() -> None:
    user = person("session_operator")
    browser = APIClient(enforce_csrf_checks=True)
    browser.force_login(user)
    assert browser.post("/api/v1/sessions", {}, format="json").status_code == 403
    assert client_of(user).post("/api/v1/sessions", {}, format="json").status_code == 400
