"""Webhooks over HTTP: made, looked at, changed, tried, told again; their secrets shown once."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone
from standardwebhooks import Webhook

from lucid_sessions.access.models import AuditEvent, WebhookDelivery, WebhookEndpoint
from lucid_sessions.recordings import events
from lucid_sessions.recordings.installation import Installation
from lucid_sessions.recordings.webhooks import deliveries

from ..recordings.receiver import Receiver, receiving
from .people import client_of, person

pytestmark = pytest.mark.django_db(transaction=True)

URL = "/api/v1/webhooks"


@pytest.fixture
def admin(world: Installation, settings: Any) -> Any:
    assert world.spool.identity
    settings.LUCID_WEBHOOK_ALLOW = ["127.0.0.0/8"]
    return client_of(person("admin"))


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as found:
        yield found


def made(client: Any, receiver: Receiver, **more: Any) -> dict[str, Any]:
    answer = client.post(URL, {"url": receiver.url, **more}, format="json")
    assert answer.status_code == 201, answer.content
    return dict(answer.json())


def test_a_secret_is_shown_when_it_is_made_and_never_again(admin: Any, receiver: Receiver) -> None:
    one = made(admin, receiver, events=["session.sealed"], description="CI")
    assert one["secret"].startswith("whsec_")
    shown = admin.get(f"{URL}/{one['id']}")
    assert (shown.json()["events"], shown.json()["created_by"]) == (["session.sealed"], "admin")
    secret = one["secret"].removeprefix("whsec_")
    for answer in (shown, admin.get(URL), admin.get("/api/v1/audit/")):
        assert secret not in answer.content.decode()
    new = admin.post(f"{URL}/{one['id']}/rotate-secret").json()["secret"]
    assert new != one["secret"]


def test_a_ping_arrives_is_in_the_log_and_can_be_sent_again(admin: Any, receiver: Receiver) -> None:
    one = made(admin, receiver, events=["session.sealed"])
    assert admin.post(f"{URL}/{one['id']}/ping").json()["status"] == "pending"
    deliveries.tick()
    ((_, headers, body),) = receiver.requests
    assert Webhook(one["secret"]).verify(body, headers)["type"] == "webhook.test"
    (line,) = admin.get(f"{URL}/{one['id']}/deliveries").json()["items"]
    assert (line["status"], line["answer"], line["attempts"]) == ("delivered", 204, 1)
    again = f"{URL}/{one['id']}/deliveries/{line['id']}/redeliver"
    assert admin.post(again).json()["status"] == "pending"
    busy = admin.post(again)
    assert (busy.status_code, busy.json()["code"]) == (409, "LUCID_ERR_3012")
    deliveries.tick()
    assert [one["webhook-id"] for _, one, _ in receiver.requests] == [line["event"]] * 2


def test_an_endpoint_is_changed_disabled_and_deleted(admin: Any, receiver: Receiver) -> None:
    one = made(admin, receiver)
    address = f"{URL}/{one['id']}"
    tag = admin.get(address)["ETag"]
    off = admin.patch(address, {"enabled": False}, format="json", HTTP_IF_MATCH=tag)
    assert (off.status_code, off.json()["enabled"]) == (200, False)
    stale = admin.patch(address, {"enabled": True}, format="json", HTTP_IF_MATCH=tag)
    assert (stale.status_code, stale.json()["code"]) == (412, "LUCID_ERR_1009")
    events.note(events.QUOTA, "while it is off", facts={})
    assert deliveries.tick() == 0
    assert admin.delete(address).status_code == 204
    assert admin.get(address).status_code == 404
    assert not WebhookEndpoint.objects.exists() | WebhookDelivery.objects.exists()


def test_an_endpoint_that_fails_is_another_state_but_nobodys_change(admin: Any, receiver: Receiver) -> None:
    address = f"{URL}/{made(admin, receiver)['id']}"
    tags = [admin.get(address)["ETag"]]
    receiver.answers = [500, 500, 204, 500]
    for failures in (1, 2, 0, 1):
        admin.post(f"{address}/ping")
        deliveries.tick()
        shown = admin.get(address, HTTP_IF_NONE_MATCH=tags[-1])
        assert (shown.status_code, shown.json()["failures"]) == (200, failures)
        assert admin.get(address, HTTP_IF_NONE_MATCH=shown["ETag"]).status_code == 304
        tags.append(shown["ETag"])
        WebhookEndpoint.objects.exclude(quiet_until=None).update(quiet_until=timezone.now())
    # As new again after it was delivered, and no two failures are the same state.
    assert (tags[3], len(set(tags))) == (tags[0], 4)
    for tag in (*tags, '"1"'):
        assert admin.patch(address, {}, format="json", HTTP_IF_MATCH=tag).status_code == 200, tag
        WebhookEndpoint.objects.update(version=1)
    stale = admin.patch(address, {}, format="json", HTTP_IF_MATCH=tags[1].replace('"1', '"2'))
    assert (stale.status_code, stale.json()["code"]) == (412, "LUCID_ERR_1009")


def test_nothing_is_sent_or_kept_for_an_endpoint_that_is_disabled(admin: Any, receiver: Receiver) -> None:
    address = f"{URL}/{made(admin, receiver)['id']}"
    admin.post(f"{address}/ping")
    deliveries.tick()
    before = list(WebhookDelivery.objects.values())
    assert [one["status"] for one in before] == ["delivered"]
    again = f"{address}/deliveries/{before[0]['id']}/redeliver"
    admin.patch(address, {"enabled": False}, format="json")
    for place in (f"{address}/ping", again):
        refused = admin.post(place)
        assert (refused.status_code, refused.json()["code"]) == (409, "LUCID_ERR_3012")
        assert "Enable it" in refused.json()["detail"]
    assert list(WebhookDelivery.objects.values()) == before
    admin.patch(address, {"enabled": True}, format="json")
    assert deliveries.tick() == 0
    assert admin.post(again).status_code == 202
    assert deliveries.tick() == 1


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"url": "https://169.254.169.254/"}, "url"),
        ({"url": "https://[::1]/"}, "url"),
        ({"url": "http://8.8.8.8/"}, "url"),
        ({"url": ""}, "url"),
        ({}, "url"),
        ({"url": "https://8.8.8.8/", "events": ["session.vanished"]}, "events"),
        ({"url": "https://8.8.8.8/", "secret": "mine"}, "secret"),
    ],
)
def test_a_wrong_endpoint_is_refused_with_the_reason(admin: Any, body: dict[str, Any], field: str) -> None:
    answer = admin.post(URL, body, format="json")
    assert (answer.status_code, answer.json()["code"]) == (400, "LUCID_ERR_3002")
    assert field in answer.json()["detail"]
    assert not WebhookEndpoint.objects.exists()


def test_a_machines_token_decides_nothing_here(admin: Any) -> None:
    body = {"name": "ci", "scopes": ["view", "change"]}
    token = admin.post("/api/v1/auth/api-tokens", body, format="json").json()["token"]
    machine = client_of(None)
    machine.credentials(HTTP_AUTHORIZATION=f"Bearer {token}")
    assert machine.get(URL).status_code == 403


def test_what_is_done_is_in_the_audit(admin: Any, receiver: Receiver) -> None:
    one = made(admin, receiver)
    admin.post(f"{URL}/{one['id']}/rotate-secret")
    client_of(person("auditor")).post(f"{URL}/{one['id']}/ping")
    seen = AuditEvent.objects.order_by("at_us").values_list("action", "outcome")
    assert list(seen) == [
        ("webhook.created", "done"),
        ("webhook.secret-rotated", "done"),
        ("webhook.pinged", "denied"),
    ]


def test_the_log_is_paged(admin: Any, receiver: Receiver) -> None:
    one = made(admin, receiver)
    now = timezone.now()
    for number in range(3):
        events.note(events.QUOTA, str(number), facts={}, at=now + timedelta(seconds=number))
    deliveries.tick()
    page = admin.get(f"{URL}/{one['id']}/deliveries", {"limit": 2, "cursor": ""}).json()
    rest = admin.get(page["pagination"]["next"]).json()
    assert len({line["event"] for line in page["items"] + rest["items"]}) == 3
