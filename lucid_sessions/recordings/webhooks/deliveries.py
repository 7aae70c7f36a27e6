"""From events to endpoints: each at least once to each endpoint that wants it, however often anything dies.

    event -> a delivery for each endpoint -> pending -> delivered | failed

What is due is a question to the database; a message only says: look. A delivery is claimed by conditional
update and leased; its outcome is one conditional update. An endpoint that fails is left in peace for a
growing while, so that a dead one costs one attempt now and then, and nobody waits for it: sending happens in
threads of its own.
"""

import json
import random
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID, uuid5

import structlog
from django.conf import settings
from django.db import Error as DatabaseFailure
from django.db import connection
from django.db.models import F
from django.utils import timezone

from lucid_sessions.access.models import DeliveryStatus, WebhookDelivery, WebhookEndpoint, WebhookEvent
from lucid_sessions.errors import LucidError, Refused, Retryable

from .. import events, leases
from . import endpoints, sending
from .signing import signatures

log = structlog.get_logger(__name__)

# Waits after each failed attempt, in seconds; after the last one it is over (about three days).
WAITS = (5, 30, 120, 600, 1800, 3600, 7200, 14400, 28800, 57600, 86400)
# An endpoint that failed is asked again after as long, but at most this.
LONGEST_QUIET = 600
LONGEST_WISH = 3600
LEASE = timedelta(seconds=60)
# An instant further ahead than we ever set was written under another clock: it counts as past.
FURTHEST = timedelta(days=2)
MOST_ENDPOINTS = 8
# One endpoint's turn; then the others', and then its next.
A_TURN = 50
EVENTS_A_TICK = 500
OLD_A_TICK = 1000
GONE = 410
NO_ANSWER = sending.Answer(0, 0)
AGENT = "lucid-sessions-webhook/1"
THREAD = "webhooks"

Send = Callable[..., sending.Answer]
_sending = threading.Lock()


def prepare() -> None:
    """Everything that happened has its deliveries, and the log holds no more than it should."""
    events.settle_foretold()
    events.look()
    spread()
    forget_old()


def spread() -> int:
    """How many events got a delivery for every enabled endpoint that wants them; again changes nothing."""
    fresh = list(WebhookEvent.objects.filter(spread__in=[False], happened=True)[:EVENTS_A_TICK])
    known = list(WebhookEndpoint.objects.filter(enabled__in=[True])) if fresh else []
    now = timezone.now()
    for place, event in enumerate(fresh):
        # Each a little later than the one before: an endpoint gets them in this order.
        created = now + timedelta(milliseconds=place)
        wanting = [one for one in known if not one.events or event.kind in one.events]
        rows = {uuid5(event.pk, str(one.pk)): one for one in wanting}
        there = set(WebhookDelivery.objects.filter(pk__in=rows).values_list("pk", flat=True))
        WebhookDelivery.objects.bulk_create(
            (
                WebhookDelivery(id=pk, endpoint=one.pk, event=event.pk, kind=event.kind, created_at=created)
                for pk, one in rows.items()
                if pk not in there
            ),
            ignore_conflicts=True,
        )
        WebhookEvent.objects.filter(pk=event.pk).update(spread=True)
    return len(fresh)


def forget_old() -> None:
    """Events and deliveries older than LUCID_WEBHOOK_LOG_DAYS are gone, on their way or not."""
    before = timezone.now() - timedelta(days=settings.LUCID_WEBHOOK_LOG_DAYS)
    for rows in (
        WebhookDelivery.objects.filter(created_at__lt=before),
        WebhookEvent.objects.filter(at__lt=before, spread=True),
    ):
        old: list[UUID] = list(rows.order_by().values_list("pk", flat=True)[:OLD_A_TICK])
        if old:
            rows.model.objects.filter(pk__in=old).delete()


def tick(*, send: Send = sending.post) -> int:
    """How many attempts were made here, until nothing is due; several endpoints at once, each in order."""
    prepare()
    made, more = 0, 1
    while more and (waiting := due_endpoints()):
        with ThreadPoolExecutor(MOST_ENDPOINTS, thread_name_prefix="webhook") as pool:
            more = sum(pool.map(lambda row: _turn(row, send), waiting))
        made += more
    return made


def soon() -> None:
    """What is due is being sent by a thread of its own when this returns; nobody waits for an endpoint."""
    if not _sending.acquire(blocking=False):
        return
    try:
        threading.Thread(target=_send_all, name=THREAD, daemon=True).start()
    except RuntimeError as error:  # no room for one more just now
        _sending.release()
        log.warning("webhooks wait", reason=str(error))


def _send_all() -> None:
    try:
        tick()
    except (DatabaseFailure, LucidError) as error:
        log.warning("webhooks wait", reason=str(error))
    finally:
        connection.close()
        _sending.release()


def due_endpoints() -> list[WebhookEndpoint]:
    """Endpoints that are not left in peace now and have something due."""
    now = timezone.now()
    open_now = leases.over("quiet_until", now, furthest=FURTHEST)
    awake = WebhookEndpoint.objects.filter(open_now, enabled__in=[True])
    return [row for row in awake if _due(row, now).exists()]


def _due(row: WebhookEndpoint, now: datetime) -> Any:
    waiting = WebhookDelivery.objects.filter(endpoint=row.pk, status=DeliveryStatus.PENDING)
    free, ready = (leases.over(field, now, furthest=FURTHEST) for field in ("lease_until", "next_attempt_at"))
    return waiting.filter(free).filter(ready)


def _turn(row: WebhookEndpoint, send: Send) -> int:
    """How many attempts one endpoint had, oldest first, until one failed, none is due or its turn is over."""
    try:
        return _attempts(row, keys=endpoints.secrets_of(row), send=send)
    except Retryable as error:
        # No fault of the endpoint's: nothing was claimed, and it is left to whoever has the key.
        log.warning("webhooks are left to another process", endpoint=str(row.pk), reason=str(error))
        return 0
    except LucidError as error:
        # Sealed to another key: this endpoint waits, the others do not.
        log.error("webhook endpoint cannot be served", endpoint=str(row.pk), reason=str(error))
        _fail_endpoint(row, str(error))
        return 0
    finally:
        connection.close()


def _attempts(row: WebhookEndpoint, *, keys: Sequence[str], send: Send) -> int:
    for made in range(A_TURN):
        claimed = _claim(row) if _is_as_it_was(row) else None
        if claimed is None:
            return made
        if not _tried(row, claimed, keys=keys, send=send):
            return made + 1
    return A_TURN


def _is_as_it_was(row: WebhookEndpoint) -> bool:
    """False when it was changed, disabled or deleted since: the next look knows it as it is."""
    return WebhookEndpoint.objects.filter(pk=row.pk, version=row.version, enabled__in=[True]).exists()


def _tried(row: WebhookEndpoint, one: WebhookDelivery, *, keys: Sequence[str], send: Send) -> bool:
    """As `_attempt`; what nobody foresaw is no fault of the endpoint's, and nobody else waits for it."""
    try:
        return _attempt(row, one, keys=keys, send=send)
    except DatabaseFailure:
        raise
    except Exception as error:
        log.exception("webhook not sent", alarm=True, endpoint=str(row.pk), delivery=str(one.pk))
        reason = f"not sent: {type(error).__name__} here; the log says where"
        _put_off(one, sending.Answer(0, 0), reason=reason)
        return False


def _claim(row: WebhookEndpoint) -> WebhookDelivery | None:
    now = timezone.now()
    for one in _due(row, now).order_by("created_at", "id")[:5]:
        mine = _due(row, now).filter(pk=one.pk, fence=one.fence)
        if mine.update(fence=F("fence") + 1, attempts=F("attempts") + 1, lease_until=now + LEASE):
            one.refresh_from_db()
            return one
    return None


def _attempt(row: WebhookEndpoint, one: WebhookDelivery, *, keys: Sequence[str], send: Send) -> bool:
    """True when the endpoint took it; whatever came of it is on the rows."""
    event = WebhookEvent.objects.filter(pk=one.event).first()
    if event is None:
        return _settle(one, status=DeliveryStatus.FAILED, reason="the event is gone from the log")
    body = body_of(event)
    seconds = int(timezone.now().timestamp())
    headers = {
        "Content-Type": "application/json",
        "User-Agent": AGENT,
        "webhook-id": str(event.pk),
        "webhook-timestamp": str(seconds),
        "webhook-signature": signatures(keys, message=str(event.pk), seconds=seconds, body=body),
    }
    try:
        answer = send(row.url, body, headers=headers, allowed=settings.LUCID_WEBHOOK_ALLOW)
    except (sending.NotDelivered, Refused) as error:
        return _failed(row, one, sending.Answer(0, 0), reason=str(error))
    if 200 <= answer.status < 300:
        WebhookEndpoint.objects.filter(pk=row.pk, failures__gt=0).update(
            failures=0, failing_since=None, quiet_until=None
        )
        row.failures, row.failing_since = 0, None
        facts = {"answer": answer.status, "milliseconds": answer.milliseconds, "reason": ""}
        return _settle(one, status=DeliveryStatus.DELIVERED, **facts)
    return _failed(row, one, answer, reason=f"it answered {answer.status}")


def body_of(event: WebhookEvent) -> bytes:
    """What is sent and signed: the same bytes at each attempt."""
    moment = event.at.isoformat().replace("+00:00", "Z")
    content = {"type": event.kind, "timestamp": moment, "data": event.facts}
    return json.dumps(content, sort_keys=True, separators=(",", ":")).encode()


def _failed(row: WebhookEndpoint, one: WebhookDelivery, answer: sending.Answer, *, reason: str) -> bool:
    _put_off(one, answer, reason=reason)
    log.warning("webhook not delivered", endpoint=str(row.pk), delivery=str(one.pk), reason=reason)
    _fail_endpoint(row, reason, answer)
    return False


def _put_off(one: WebhookDelivery, answer: sending.Answer, *, reason: str) -> None:
    """It is tried again after a while, or over when that was its last attempt."""
    facts = {"answer": answer.status, "milliseconds": answer.milliseconds, "reason": reason[:300]}
    if one.attempts > len(WAITS):
        _settle(one, status=DeliveryStatus.FAILED, **facts)
    else:
        wait = max(_jittered(WAITS[one.attempts - 1]), _wish(answer))
        _settle(one, status=DeliveryStatus.PENDING, next_attempt_at=timezone.now() + wait, **facts)


def _fail_endpoint(row: WebhookEndpoint, reason: str, answer: sending.Answer = NO_ANSWER) -> None:
    """It is left in peace for a while; disabled when it says that it is gone, or failed for days."""
    now, gone = timezone.now(), answer.status == GONE
    row.failures, row.failing_since = row.failures + 1, row.failing_since or now
    over = now - row.failing_since > timedelta(days=settings.LUCID_WEBHOOK_GIVE_UP_DAYS)
    wait = max(_jittered(min(LONGEST_QUIET, WAITS[min(row.failures, len(WAITS)) - 1])), _wish(answer))
    changes: dict[str, Any] = {"failures": row.failures, "failing_since": row.failing_since}
    if gone or over:
        why = "it answered 410 Gone" if gone else f"it failed since {row.failing_since:%Y-%m-%d %H:%M} UTC"
        changes |= {"enabled": False, "reason": f"{why}: {reason}"[:300], "version": F("version") + 1}
        log.error("webhook endpoint disabled", endpoint=str(row.pk), reason=why)
    # Who has changed it since has enabled it anew, or knows better.
    same = WebhookEndpoint.objects.filter(pk=row.pk, version=row.version)
    same.update(quiet_until=now + wait, **changes)


def _settle(one: WebhookDelivery, **changes: Any) -> bool:
    """True: it is written, unless another runner has the delivery by now."""
    mine = WebhookDelivery.objects.filter(pk=one.pk, fence=one.fence, status=DeliveryStatus.PENDING)
    mine.update(lease_until=None, attempted_at=timezone.now(), fence=F("fence") + 1, **changes)
    return True


def _wish(answer: sending.Answer) -> timedelta:
    """How long the receiver asks for peace, as far as that is granted: never less."""
    return timedelta(seconds=min(answer.retry_after, LONGEST_WISH))


def _jittered(seconds: float) -> timedelta:
    return timedelta(seconds=seconds * random.uniform(0.8, 1.2))  # noqa: S311 - jitter, not a secret


def backlog() -> dict[str, int]:
    """Deliveries that wait, and endpoints that fail or were given up: for the metrics.

    What somebody has turned off is nobody's trouble; what was given up says why.
    """
    endpoints = list(WebhookEndpoint.objects.values_list("pk", "enabled", "failures", "reason"))
    enabled = [pk for pk, is_enabled, _, _ in endpoints if is_enabled]
    waiting = WebhookDelivery.objects.filter(status=DeliveryStatus.PENDING, endpoint__in=enabled)
    failing = [pk for pk, is_enabled, failures, reason in endpoints if failures and (is_enabled or reason)]
    return {"pending": waiting.count(), "failing": len(failing)}


def delivery_of(endpoint: UUID, delivery: UUID) -> WebhookDelivery | None:
    """One line of an endpoint's log."""
    return WebhookDelivery.objects.filter(pk=delivery, endpoint=endpoint).first()
