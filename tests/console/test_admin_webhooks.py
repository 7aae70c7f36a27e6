"""Webhook endpoints in the admin: made with a secret that is shown once, disabled, tried, deleted."""

import re
from typing import Any

import pytest

from lucid_sessions.access.models import AuditEvent, User, WebhookDelivery, WebhookEndpoint
from lucid_sessions.recordings.installation import Installation
from lucid_sessions.recordings.webhooks import endpoints
from tests.api.people import person

pytestmark = pytest.mark.django_db

LIST = "/admin/access/webhookendpoint/"


@pytest.fixture
def browser(world: Installation, client: Any) -> Any:
    assert world.spool.identity
    root = User.objects.create(username="root", is_staff=True, is_superuser=True)
    client.force_login(root, backend="lucid_sessions.access.lockout.GuardedBackend")
    return client


def act(browser: Any, name: str) -> str:
    chosen = [str(row.pk) for row in WebhookEndpoint.objects.all()]
    answer = browser.post(LIST, {"action": name, "_selected_action": chosen}, follow=True)
    assert answer.status_code == 200
    return str(answer.content.decode())


def test_an_endpoint_is_made_tried_disabled_and_deleted(browser: Any) -> None:
    body = {"url": "https://hooks.example.com/x", "description": "CI", "events": ["session.sealed"]}
    page = browser.post(f"{LIST}add/", body, follow=True).content.decode()
    (secret,) = re.findall(r"whsec_[\w+/=]+", page)
    row = WebhookEndpoint.objects.get()
    assert (row.events, row.created_by, endpoints.secrets_of(row)) == (["session.sealed"], "root", [secret])
    assert secret not in browser.get(LIST).content.decode()
    assert secret not in browser.get(f"{LIST}{row.pk}/change/").content.decode()
    new = re.findall(r"whsec_[\w+/=]+", act(browser, "new_secret"))
    row.refresh_from_db()
    assert endpoints.secrets_of(row) == [*new, secret]
    act(browser, "ping")
    assert WebhookDelivery.objects.get().kind == "webhook.test"
    act(browser, "disable")
    assert not WebhookEndpoint.objects.get().enabled
    act(browser, "enable")
    assert WebhookEndpoint.objects.get().enabled
    browser.post(f"{LIST}{row.pk}/delete/", {"post": "yes"})
    assert not WebhookEndpoint.objects.exists()
    done = AuditEvent.objects.filter(action="admin.access_webhookendpoint_add", outcome="done")
    assert secret not in str(list(done.values()))
    told = list(AuditEvent.objects.filter(action__startswith="webhook.").order_by("at_us", "id"))
    deeds = ["created", "secret-rotated", "pinged", "changed", "changed", "deleted"]
    assert [one.action for one in told] == [f"webhook.{deed}" for deed in deeds]
    assert {one.facts["url"] for one in told} == {"https://hooks.example.com/x"}
    assert [one.facts["enabled"] for one in told[3:5]] == [False, True]
    assert secret not in str([one.facts for one in told])


def test_an_address_inside_is_refused_with_the_reason(browser: Any) -> None:
    page = browser.post(f"{LIST}add/", {"url": "https://169.254.169.254/"}).content.decode()
    assert "not an address of the public network" in page
    assert not WebhookEndpoint.objects.exists()


def test_one_too_many_is_refused_with_the_reason(browser: Any) -> None:
    for number in range(endpoints.MOST):
        WebhookEndpoint.objects.create(url=f"https://8.8.8.8/{number}", secret=b"x")
    answer = browser.post(f"{LIST}add/", {"url": "https://hooks.example.com/x"})
    assert answer.status_code == 200
    assert "There are 50 endpoints already: delete one first." in answer.content.decode()


def test_staff_who_are_no_administrators_see_none(world: Installation, client: Any) -> None:
    assert world.spool.identity
    staff = person("session_manager")
    staff.is_staff = True
    staff.save()
    client.force_login(staff, backend="lucid_sessions.access.lockout.GuardedBackend")
    assert client.get(LIST).status_code == 403
