"""Machines' tokens in the admin: whose each is, and an end to one that got into the wrong hands."""

from datetime import timedelta
from typing import Any

import pytest
from django.contrib import admin
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from lucid_sessions.access import api_tokens, authentication
from lucid_sessions.access.models import AuditEvent, User
from tests.api.people import client_of, person

pytestmark = pytest.mark.django_db(transaction=True)

admin.autodiscover()
PAGE = reverse("admin:access_apitoken_changelist")


@pytest.fixture(autouse=True)
def nothing_remembered(settings: Any) -> None:
    settings.LUCID_TOKEN_CACHE_SECONDS = 0.0
    authentication.forget_all()


def staff(role: str) -> Client:
    user = person(role)
    User.objects.filter(pk=user.pk).update(is_staff=True)
    client = Client()
    client.force_login(user, backend="lucid_sessions.access.lockout.GuardedBackend")
    return client


def token_of(user: User, *, name: str) -> tuple[Any, Any]:
    """The row, and a client that sends it."""
    row, text = api_tokens.create(
        user, name=name, scopes=["view"], expires_at=timezone.now() + timedelta(days=1)
    )
    machine = client_of(None)
    machine.credentials(HTTP_AUTHORIZATION=f"Bearer {text}")
    return row, machine


def test_an_administrator_ends_a_token_of_another() -> None:
    owner = person("session_operator", name="ana")
    lost, thief = token_of(owner, name="lost laptop")
    _, other = token_of(owner, name="nightly")
    administrator = staff("admin")
    page = administrator.get(PAGE).content.decode()
    assert all(word in page for word in ("ana", "lost laptop", "nightly"))
    chosen = {"action": "revoke", "_selected_action": [str(lost.pk)]}
    assert "lost laptop of ana is revoked" in administrator.post(PAGE, chosen, follow=True).content.decode()
    assert [one.get("/api/v1/sessions").status_code for one in (thief, other)] == [401, 200]
    event = AuditEvent.objects.get(action="admin.access_apitoken_changelist", facts__isnull=False)
    assert (event.username, event.facts["chosen"]) == ("admin", [str(lost.pk)])


@pytest.mark.parametrize("role", ["session_manager", "auditor"])
def test_who_does_not_administer_ends_no_token(role: str) -> None:
    row, machine = token_of(person("session_operator"), name="nightly")
    client = staff(role)
    assert client.get(PAGE).status_code == 403
    client.post(PAGE, {"action": "revoke", "_selected_action": [str(row.pk)]})
    assert machine.get("/api/v1/sessions").status_code == 200


@pytest.mark.parametrize("together", [False, True])
def test_an_account_goes_with_its_tokens(together: bool) -> None:
    owner = person("session_operator", name="ana")
    _, machine = token_of(owner, name="nightly")
    root = User.objects.create(username="root", password="!", is_staff=True, is_superuser=True)
    client = Client()
    client.force_login(root, backend="lucid_sessions.access.lockout.GuardedBackend")
    chosen = {"action": "delete_selected", "_selected_action": [str(owner.pk)]} if together else {}
    address = reverse("admin:access_user_changelist") if together else account(owner)
    shown = client.post(address, chosen) if together else client.get(address)
    assert "nightly" in shown.content.decode()
    assert client.post(address, {**chosen, "post": "yes"}).status_code == 302
    assert not User.objects.filter(pk=owner.pk).exists()
    assert machine.get("/api/v1/sessions").status_code == 401
    assert AuditEvent.objects.get(action="account.deleted").facts == {"account": "ana"}


def account(owner: User) -> str:
    return reverse("admin:access_user_delete", args=[owner.pk])
