"""The audit's way into the ledger: events are chained by hash, in batches that ledger records name.

A batch's body lists event ids and digests, and begins with the head of the batch before: so the log that is
signed fixes every event that was ever batched. Nobody can change, remove or insert one unnoticed, and
the body tells nothing about people. Batching may be done by anyone and again: the batch's index decides.
"""

import hashlib
import json
from collections.abc import Iterator
from typing import Any

import structlog
from django.db import IntegrityError, transaction

from lucid_sessions import archive
from lucid_sessions.access import audit
from lucid_sessions.access.models import AuditBatch, AuditEvent
from lucid_sessions.errors import Tampered

from . import ledger_rows
from .installation import Installation
from .proven import ProvenLog

log = structlog.get_logger(__name__)

MOST = 1000
NOTHING = "0" * 64


def tick(world: Installation) -> int:
    """How many events were batched now, oldest first; none before the ledger has its first checkpoint."""
    if not (world.ledger_root / "checkpoint").is_file():
        # An unmounted ledger, or a new one: a body written there now could be lost.
        return 0
    last = AuditBatch.objects.order_by("-index").first()
    if last is not None and not last.settled:
        settle(last, world)
    events = list(AuditEvent.objects.filter(batch__isnull=True).order_by("at_us", "id")[:MOST])
    if not events:
        return 0
    pairs = [[str(event.pk), audit.digest(event)] for event in events]
    previous = last.head if last else NOTHING
    body = archive.canonical_json({"previous": previous, "events": pairs}, limit=None)
    row = AuditBatch(
        index=last.index + 1 if last else 0,
        count=len(events),
        head=head_of(previous, pairs),
        body=world.log().write_body(body),
        first_us=events[0].at_us,
        last_us=events[-1].at_us,
    )
    try:
        with transaction.atomic():
            row.save(force_insert=True)
    except IntegrityError:
        return 0  # another batched first
    settle(row, world)
    return len(events)


def head_of(previous: str, pairs: list[list[str]]) -> str:
    """The chain's last link: each is SHA-256 over the one before and the event's digest."""
    head = bytes.fromhex(previous)
    for _, digest in pairs:
        head = hashlib.sha256(head + bytes.fromhex(digest)).digest()
    return head.hex()


def settle(row: AuditBatch, world: Installation) -> None:
    """The events know their batch, and the ledger is asked to record it; again changes nothing."""
    body = _body(row, world)
    ids = [pk for pk, _ in body["events"]]
    AuditEvent.objects.filter(pk__in=ids, batch__isnull=True).update(batch=row.index)
    facts = {"batch": row.index, "count": row.count, "head": row.head, "body": row.body}
    ledger_rows.request("audit", key=f"audit:{row.index}:{row.head[:16]}", facts=facts)
    AuditBatch.objects.filter(pk=row.index).update(settled=True)


def check(world: Installation) -> list[str]:
    """What is wrong with the audit, a line each: changed, removed or inserted events, broken chains."""
    found: list[str] = []
    previous = NOTHING
    for row in AuditBatch.objects.order_by("index").iterator():
        body = _body(row, world)
        if body["previous"] != previous or head_of(previous, body["events"]) != row.head:
            found.append(f"Audit batch {row.index} does not follow the one before.")
        found += _differences(row, dict(body["events"]))
        previous = row.head
    return [*found, *_unlike_the_log(world)]


def _unlike_the_log(world: Installation) -> Iterator[str]:
    """Batches that the signed log names and the database has not, or has otherwise."""
    if not (world.ledger_root / "checkpoint").is_file():
        return
    rows = {row.index: (row.head, row.body) for row in AuditBatch.objects.all()}
    for index, named in sorted(ProvenLog(world, fresh=True).index.audits.items()):
        if index not in rows:
            yield f"Audit batch {index}, which the log names, is gone: removed, or lost by a restore."
        elif rows[index] not in named:
            yield f"Audit batch {index} is not the one that the log names."


def _differences(row: AuditBatch, fixed: dict[str, str]) -> list[str]:
    events = {str(event.pk): event for event in AuditEvent.objects.filter(batch=row.index)}
    lines = [f"Audit event {pk} of batch {row.index} was removed." for pk in fixed if pk not in events]
    for pk, event in events.items():
        if pk not in fixed:
            lines.append(f"Audit event {pk} was inserted into batch {row.index}.")
        elif audit.digest(event) != fixed[pk]:
            lines.append(f"Audit event {pk} of batch {row.index} was changed.")
    return lines


def _body(row: AuditBatch, world: Installation) -> dict[str, Any]:
    body: dict[str, Any] = json.loads(world.log().read_body(row.body))
    if len(body["events"]) != row.count:
        raise Tampered(f"Audit batch {row.index} names {row.count} events, its body {len(body['events'])}.")
    return body
