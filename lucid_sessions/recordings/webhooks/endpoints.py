"""The addresses that are told of events, and their secrets: shown once, sealed to the deliverer's key."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any
from uuid import UUID

import structlog
from django.conf import settings
from django.db import IntegrityError, transaction
from django.db.models import F
from django.utils import timezone

from lucid_sessions import archive
from lucid_sessions.access.models import DeliveryStatus, WebhookDelivery, WebhookEndpoint, WebhookEvent, uuid7
from lucid_sessions.errors import Refused, Retryable

from .. import events
from ..installation import installation
from .sending import parse
from .signing import new_secret

log = structlog.get_logger(__name__)

MOST = 50
# So long both secrets sign after a rotation.
OVERLAP = timedelta(hours=24)


def create(
    url: str,
    *,
    kinds: Sequence[str],
    description: str,
    by: str,
    id: UUID | None = None,  # noqa: A002
) -> tuple[WebhookEndpoint, str]:
    """The endpoint and its secret, which is shown this once; Refused where nothing may be sent to; TooMany.

    Retryable when there is one of this id.
    """
    require_open(url)
    require_room()
    secret, pk = new_secret(), id or uuid7()
    facts = {"url": url, "description": description, "events": known(kinds), "created_by": by}
    try:
        with transaction.atomic():
            row = WebhookEndpoint.objects.create(id=pk, secret=_sealed(secret, endpoint=pk), **facts)
    except IntegrityError as error:
        raise Retryable("Another request made this endpoint at the same moment. Ask again.") from error
    return row, secret


class ChangedMeanwhile(Refused):
    """Another was quicker."""


class TooMany(Refused):
    """There are as many as there may be."""


def require_room() -> None:
    """TooMany when there is none."""
    if WebhookEndpoint.objects.count() >= MOST:
        raise TooMany(f"There are {MOST} endpoints already: delete one first.")


def require_open(url: str) -> None:
    """Refused when nothing may be sent there."""
    parse(url, allowed=settings.LUCID_WEBHOOK_ALLOW)


def require_enabled(row: WebhookEndpoint) -> None:
    """Refused when nothing is sent there: what it was asked for would go out at some time later."""
    if not row.enabled:
        raise Refused(f"{row} is disabled: nothing is sent to it, and nothing kept for it. Enable it first.")


def known(kinds: Sequence[str]) -> list[str]:
    """The kinds, each once, in their order; Refused naming one that there is not."""
    if strange := sorted(set(kinds) - set(events.KINDS)):
        raise Refused(f"events: {', '.join(strange)} is unknown. Known: {', '.join(events.KINDS)}.")
    return [kind for kind in events.KINDS if kind in kinds]


def change(row: WebhookEndpoint, **given: Any) -> WebhookEndpoint:
    """The endpoint as it is now; enabled again it starts afresh."""
    if "url" in given:
        require_open(given["url"])
    if "events" in given:
        given["events"] = known(given["events"])
    if given.get("enabled"):
        given |= {"reason": "", "failures": 0, "failing_since": None, "quiet_until": None}
    same = WebhookEndpoint.objects.filter(pk=row.pk, version=row.version)
    if not same.update(version=F("version") + 1, **given):
        raise ChangedMeanwhile("The endpoint was changed meanwhile. Read it and try again.")
    row.refresh_from_db()
    return row


def rotate(row: WebhookEndpoint) -> str:
    """A new secret, shown this once. For a day the one before signs too."""
    secret = new_secret()
    before = {"secret_before": bytes(row.secret), "before_until": timezone.now() + OVERLAP}
    change(row, secret=_sealed(secret, endpoint=row.pk), **before)
    return secret


def renew(row: WebhookEndpoint) -> str:
    """Another secret for an endpoint whose secret nobody was told. Retryable when another was quicker."""
    secret = new_secret()
    try:
        change(row, secret=_sealed(secret, endpoint=row.pk))
    except ChangedMeanwhile as error:
        raise Retryable(str(error)) from error
    return secret


def delete(row: WebhookEndpoint) -> None:
    """It is told nothing any more, and its log is gone with it."""
    WebhookEndpoint.objects.filter(pk=row.pk).delete()
    WebhookDelivery.objects.filter(endpoint=row.pk).delete()


def secrets_of(row: WebhookEndpoint) -> list[str]:
    """What to sign with now, newest first; only the process that has the deliverer's key can say."""
    sealed = [row.secret]
    if row.secret_before and row.before_until and row.before_until > timezone.now():
        sealed.append(row.secret_before)
    keys = installation().keys
    return [
        archive.open_password(bytes(one), repository=keys.repository, session=row.pk, by=keys.webhook)
        for one in sealed
    ]


def ping(row: WebhookEndpoint, *, by: str) -> WebhookDelivery:
    """A delivery of a test event to this endpoint alone, of any kinds; Refused while it is disabled."""
    require_enabled(row)
    event = WebhookEvent.objects.create(kind=events.TEST, facts={"by": by}, spread=True)
    return WebhookDelivery.objects.create(endpoint=row.pk, event=event.pk, kind=events.TEST)


def redeliver(row: WebhookEndpoint, delivery: WebhookDelivery) -> WebhookDelivery:
    """The same event again, under the same id, as if for the first time.

    Refused while it is on its way, and while the endpoint is disabled.
    """
    require_enabled(row)
    over = WebhookDelivery.objects.filter(pk=delivery.pk).exclude(status=DeliveryStatus.PENDING)
    now = timezone.now()
    if not over.update(status=DeliveryStatus.PENDING, attempts=0, next_attempt_at=now, fence=F("fence") + 1):
        raise Refused("It is on its way already.")
    delivery.refresh_from_db()
    return delivery


def _sealed(secret: str, *, endpoint: UUID) -> bytes:
    keys = installation().keys
    return archive.seal_password(secret, repository=keys.repository, session=endpoint, to=keys.webhook_public)
