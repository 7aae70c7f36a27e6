"""What stops webhooks on our side is not held against the endpoint, and stops nothing else."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from lucid_sessions.access.models import WebhookDelivery, WebhookEndpoint
from lucid_sessions.recordings import events
from lucid_sessions.recordings.installation import Installation
from lucid_sessions.recordings.webhooks import deliveries, endpoints, sending

from .receiver import Receiver, about_to_hear, receiving

# Deliveries are sent by threads, which see only what is committed.
pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def receiver(world: Installation, settings: Any) -> Iterator[Receiver]:
    """Who is told of one event: it is written down, and not sent yet."""
    assert world.spool.identity
    settings.LUCID_WEBHOOK_ALLOW = ["127.0.0.0/8"]
    with about_to_hear("once") as found:
        yield found


def due_now() -> None:
    """As if the waits after failures were over."""
    WebhookDelivery.objects.update(next_attempt_at=timezone.now() - timedelta(seconds=1))


def test_an_error_of_ours_is_on_its_own_delivery_and_is_tried_again(receiver: Receiver) -> None:
    def send(url: str, body: bytes, **how: Any) -> sending.Answer:
        # Where there is no network of that name: an error that nobody foresaw.
        wrong = {"allowed": ["127.0.0.1/8"]} if url == receiver.url else {}
        return sending.post(url, body, **(how | wrong))

    with receiving() as other:
        endpoints.create(other.url, kinds=[], description="", by="admin")
        events.note(events.QUOTA, "another", facts={})
        assert deliveries.tick(send=send) == 3
        assert len(other.requests) == 1
    waiting = WebhookDelivery.objects.filter(status="pending")
    assert (
        list(waiting.values_list("reason", "lease_until", "attempts"))
        == [("not sent: ValueError here; the log says where", None, 1)] * 2
    )
    assert not WebhookEndpoint.objects.filter(failures__gt=0).exists()
    due_now()
    assert deliveries.tick() == 2
    assert len(receiver.requests) == 2


def test_without_the_key_deliveries_are_left_to_whoever_has_it(
    world: Installation, receiver: Receiver
) -> None:
    key = world.keys_root / "private" / "webhook.key"
    key.rename(world.keys_root / "elsewhere")
    world.keys.__dict__.pop("webhook", None)
    for _ in range(3):
        assert deliveries.tick() == 0
    row = WebhookEndpoint.objects.get()
    assert (row.failures, row.failing_since, row.quiet_until, row.enabled) == (0, None, None, True)
    assert WebhookDelivery.objects.get().attempts == 0
    (world.keys_root / "elsewhere").rename(key)
    assert deliveries.tick() == 1
    assert len(receiver.requests) == 1
