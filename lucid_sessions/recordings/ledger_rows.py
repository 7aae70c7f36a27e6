"""The ledger's rows: appending a record under the next index, and applying what is appended to the domain.

Only the sealer calls this. Everyone else leaves a `LedgerRequest`.
"""

import hashlib
import json
from collections.abc import Callable
from typing import Any

import structlog
from django.db import IntegrityError
from django.db.models import F
from django.utils import timezone

from lucid_sessions import archive
from lucid_sessions.errors import LucidError
from lucid_sessions.ledger import Log

from . import failpoints
from .lifecycle import ENDED, State, Status
from .models import Chunk, LedgerRecord, LedgerRequest, Session

log = structlog.get_logger(__name__)


class Overtaken(LucidError):
    """Another sealer appended first: read the tail again and start over."""


def request(kind: str, *, key: str, facts: dict[str, Any]) -> LedgerRequest:
    """Ask the sealer to append a record; asking again under the same key changes nothing."""
    row, _created = LedgerRequest.objects.get_or_create(key=key, defaults={"kind": kind, "facts": facts})
    return row


def tail() -> int:
    """How many records there are."""
    last = LedgerRecord.objects.order_by("-index").values_list("index", flat=True).first()
    return 0 if last is None else last + 1


def append(ledger: Log, *, kind: str, key: str, facts: dict[str, Any], body: Any = None) -> LedgerRecord:
    """The new record, its body durably written first; Overtaken when its index or key was taken meanwhile."""
    index = tail()
    digest = ""
    if body is not None:
        digest = ledger.write_body(archive.canonical_json(body, limit=None))
        failpoints.reach("seal.body-written")
    now = timezone.now()
    content = {
        "v": 1,
        "kind": kind,
        "key": key,
        "time_us": int(now.timestamp() * 1_000_000),
        "body": digest,
        **facts,
    }
    entry = archive.canonical_json(content).decode()
    try:
        row = LedgerRecord.objects.create(
            index=index, kind=kind, key=key, entry=entry, body=digest, created_at=now
        )
    except IntegrityError as error:
        raise Overtaken(f"record {index} was appended by another sealer") from error
    failpoints.reach("seal.appended")
    return row


def apply_all(ledger: Log) -> None:
    """Every record that is appended has its effect on the rows; done again, nothing changes."""
    for record in LedgerRecord.objects.filter(applied=False).order_by("index"):
        facts = json.loads(record.entry)
        effect = EFFECTS.get(record.kind)
        if effect:
            effect(record, facts, ledger)
        LedgerRequest.objects.filter(key=record.key, record__isnull=True).update(record=record.index)
        failpoints.reach("seal.effect")
        LedgerRecord.objects.filter(pk=record.pk).update(applied=True)
        failpoints.reach("seal.applied")


def replay(ledger: Log) -> None:
    """Rows for the records that the published log holds and an older database has lost."""
    for index in range(tail(), ledger.size):
        entry = ledger.record(index).decode()
        facts = json.loads(entry)
        LedgerRecord.objects.create(
            index=index, kind=facts["kind"], key=facts["key"], entry=entry, body=facts.get("body", "")
        )
        log.warning("ledger record replayed from the log", index=index, kind=facts["kind"])


def read_body(ledger: Log, record: LedgerRecord) -> Any:
    """What the record's body says; Tampered when it is not what the record names."""
    return json.loads(ledger.read_body(record.body))


def _anchor(record: LedgerRecord, _facts: dict[str, Any], ledger: Log) -> None:
    leaves = read_body(ledger, record)["leaves"]
    stored = Chunk.objects.filter(blob__in=[leaf["blob"] for leaf in leaves], state=State.STORED)
    stored.update(
        state=State.ANCHORED,
        record=record.index,
        anchored_at=timezone.now(),
        reason="",
        token="",
        lease_until=None,
        fence=F("fence") + 1,
    )
    # What was sealed without these chunks needs a new revision.
    sessions = Session.objects.filter(pk__in={leaf["session"] for leaf in leaves}, status__in=ENDED)
    sessions.update(status=Status.PROCESSING, version=F("version") + 1)


def _seal_session(record: LedgerRecord, facts: dict[str, Any], _ledger: Log) -> None:
    sealed = Session.objects.filter(pk=facts["session"], sealed_revision__lt=facts["revision"])
    sealed.update(sealed_revision=facts["revision"], sealed_record=record.index, version=F("version") + 1)
    ended = Session.objects.filter(pk=facts["session"], status=Status.PROCESSING)
    ended.update(status=facts["outcome"], version=F("version") + 1)


EFFECTS: dict[str, Callable[[LedgerRecord, dict[str, Any], Log], None]] = {
    "batch": _anchor,
    "sealed": _seal_session,
}


def key_of(kind: str, *parts: object) -> str:
    """The idempotency key of a record: the same thing is never appended twice."""
    text = ":".join(str(part) for part in parts)
    return f"{kind}:{hashlib.sha256(text.encode()).hexdigest()[:40]}"
