"""While an endpoint is told of one event after another, it is taken for what it is by now."""

from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from lucid_sessions.access.models import WebhookDelivery, WebhookEndpoint
from lucid_sessions.recordings.installation import Installation
from lucid_sessions.recordings.webhooks import deliveries, endpoints, sending

from .receiver import Receiver, about_to_hear, receiving

# Deliveries are sent by threads, which see only what is committed.
pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def receiver(world: Installation, settings: Any) -> Iterator[Receiver]:
    """Who is told of three events: they are written down, and not sent yet."""
    assert world.spool.identity
    settings.LUCID_WEBHOOK_ALLOW = ["127.0.0.0/8"]
    with about_to_hear(*"abc") as found:
        yield found


def after_the_first(act: Callable[[], Any]) -> deliveries.Send:
    """Sends, and does this behind the first attempt."""
    made: list[sending.Answer] = []

    def send(url: str, body: bytes, **how: Any) -> sending.Answer:
        made.append(sending.post(url, body, **how))
        if len(made) == 1:
            act()
        return made[-1]

    return send


def test_one_that_is_well_again_and_then_fails_has_failed_once(receiver: Receiver) -> None:
    long_ago = timezone.now() - timedelta(days=6)
    WebhookEndpoint.objects.update(failures=9, failing_since=long_ago)
    receiver.answers = [204, 500]
    deliveries.tick()
    row = WebhookEndpoint.objects.get()
    assert (row.enabled, row.failures, row.reason) == (True, 1, "")
    assert row.failing_since is not None
    assert row.failing_since > long_ago + timedelta(days=5)


def test_one_that_is_disabled_meanwhile_is_told_nothing_more(receiver: Receiver) -> None:
    deliveries.tick(
        send=after_the_first(lambda: endpoints.change(WebhookEndpoint.objects.get(), enabled=False))
    )
    assert len(receiver.requests) == 1
    assert WebhookDelivery.objects.filter(status="pending", attempts=0).count() == 2


def test_one_that_moves_meanwhile_is_told_the_rest_at_its_new_address(receiver: Receiver) -> None:
    with receiving() as new:
        deliveries.tick(
            send=after_the_first(lambda: endpoints.change(WebhookEndpoint.objects.get(), url=new.url))
        )
        assert (len(receiver.requests), len(new.requests)) == (1, 2)


def test_what_failed_before_it_was_enabled_again_is_not_held_against_it(receiver: Receiver) -> None:
    long_ago = timezone.now() - timedelta(days=6)
    WebhookEndpoint.objects.update(failures=9, failing_since=long_ago)
    receiver.answers = [500]
    deliveries.tick(
        send=after_the_first(lambda: endpoints.change(WebhookEndpoint.objects.get(), enabled=True))
    )
    row = WebhookEndpoint.objects.get()
    assert (row.enabled, row.failures, row.failing_since) == (True, 0, None)
