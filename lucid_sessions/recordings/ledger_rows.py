"""The ledger's rows: appending a record under the next index, and applying what is appended to the domain.

Only the sealer calls this. Everyone else leaves a `LedgerRequest`.
"""

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import structlog
from django.db import IntegrityError
from django.db.models import F
from django.utils import timezone

from lucid_sessions import archive
from lucid_sessions.errors import LucidError, Refused
from lucid_sessions.ledger import Log

from . import completeness, failpoints, lost_ends, observation, tombstones
from .events import CHANGED
from .leaves import hash_of
from .lifecycle import BAD_BLOB, ENDED, LIVE, UNFINISHED, Desired, State, Status, sources_of
from .models import Chunk, LedgerRecord, LedgerRequest, Session, Take

log = structlog.get_logger(__name__)


# In place of a record's index: what was asked for may not be, so it is set aside and keeps nothing waiting.
REFUSED = -1


class Overtaken(LucidError):
    """Another sealer appended first: read the tail again and start over."""


def request(kind: str, *, key: str, facts: dict[str, Any]) -> LedgerRequest:
    """Ask the sealer to append a record; asking again under the same key changes nothing.

    What was refused is asked for anew: the reason may be gone.
    """
    row, created = LedgerRequest.objects.get_or_create(key=key, defaults={"kind": kind, "facts": facts})
    if not created:
        refused = LedgerRequest.objects.filter(pk=row.pk, record=REFUSED)
        refused.update(kind=kind, facts=facts, record=None)
    return row


def set_aside(kind: str, key: str, error: Refused) -> None:
    """What cannot be recorded keeps nothing else waiting; if a row asked for it, that is not tried again."""
    log.error("not recorded; others go on", kind=kind, key=key, reason=str(error))
    if LedgerRequest.objects.filter(key=key, record__isnull=True).update(record=REFUSED):
        observation.tell(observation.StageDone("anchor", 0.0, "quarantined", 0, type(error).__name__))


def requested(keys: set[str]) -> set[str]:
    """Those of `keys` that the sealer has been asked for."""
    return set(LedgerRequest.objects.filter(key__in=keys).values_list("key", flat=True))


def tail() -> int:
    """How many records there are."""
    last = LedgerRecord.objects.order_by("-index").values_list("index", flat=True).first()
    return 0 if last is None else last + 1


@dataclass(frozen=True)
class Draft:
    """A record to be: its key says what it records, so that the same is never appended twice."""

    kind: str
    key: str
    facts: dict[str, Any]
    body: Any = None


def append(ledger: Log, draft: Draft, *, index: int) -> LedgerRecord:
    """The new record, its body durably written first; the earlier one when that was appended before.

    `index` is the tail as it was before the draft's facts were selected. Overtaken when another sealer has
    it by now: what was selected may be appended already, so it must be selected anew.
    """
    digest = ""
    if draft.body is not None:
        digest = ledger.write_body(archive.canonical_json(draft.body, limit=None))
        failpoints.reach("seal.body-written")
    now = timezone.now()
    time_us = int(now.timestamp() * 1_000_000)
    # A batch of the audit has its body in the ledger already, and names it.
    digest = digest or draft.facts.get("body", "")
    named = {"v": 1, "kind": draft.kind, "key": draft.key, "time_us": time_us, "body": digest}
    entry = archive.canonical_json({**draft.facts, **named}).decode()
    try:
        row = LedgerRecord.objects.create(
            index=index, kind=draft.kind, key=draft.key, entry=entry, body=digest, created_at=now
        )
    except IntegrityError as error:
        return _appended_before(draft, error)
    failpoints.reach("seal.appended")
    return row


def _appended_before(draft: Draft, error: IntegrityError) -> LedgerRecord:
    """The record with the draft's key, about to be applied again: whoever asks has not seen its effect."""
    row = LedgerRecord.objects.filter(key=draft.key).first()
    if row is None:
        raise Overtaken("another sealer appended first") from error
    LedgerRecord.objects.filter(pk=row.pk).update(applied=False)
    log.warning("recorded before", kind=draft.kind, key=draft.key, index=row.index)
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
    sound = stored.filter(quarantined_at__isnull=True)
    if sound.update(**_anchored(record), reason="") < len(leaves):
        _adopt(record, leaves)
    # What was sealed without these chunks needs a new revision.
    sessions = Session.objects.filter(pk__in={leaf["session"] for leaf in leaves}, status__in=ENDED)
    sessions.update(status=Status.PROCESSING, usage_due=True, **CHANGED)


def _anchored(record: LedgerRecord) -> dict[str, Any]:
    now = timezone.now()
    given_back = {"token": "", "lease_until": None, "fence": F("fence") + 1}
    return {"state": State.ANCHORED, "record": record.index, "anchored_at": now, **given_back}


def _adopt(record: LedgerRecord, leaves: list[dict[str, Any]]) -> None:
    """Rows that an older database has taken back before this record follow the log, which does not go back.

    Else the chunk would be stored and entered a second time, under another blob. One whose blob is known to
    be lost stays in quarantine: its segment may be all that is left of it.
    """
    for leaf in leaves:
        place = {"session": leaf["session"], "track": leaf["track"], "sequence": leaf["sequence"]}
        hashed = hash_of(leaf).hex()
        named = {"blob": leaf["blob"], "blob_length": leaf["length"], "leaf": hashed}
        facts = {**_anchored(record), **named}
        behind = Chunk.objects.filter(**place, state__in=UNFINISHED)
        lost = behind.filter(quarantined_at__isnull=False, reason__startswith=BAD_BLOB)
        if lost.update(**facts) or behind.update(**facts, quarantined_at=None, reason=""):
            log.warning("a chunk follows the log", record=record.index, **place)


def _seal_session(record: LedgerRecord, facts: dict[str, Any], ledger: Log) -> None:
    _end(UUID(facts["session"]), sealed_at=datetime.fromtimestamp(facts["time_us"] / 1_000_000, tz=UTC))
    sealed = Session.objects.filter(pk=facts["session"], sealed_revision__lt=facts["revision"])
    sealed.update(sealed_revision=facts["revision"], sealed_record=record.index, **CHANGED)
    ended = Session.objects.filter(pk=facts["session"], status=Status.PROCESSING)
    if not facts["count"]:
        ended.filter(reason="").update(reason="Nothing was recorded before it ended.")
    ended.update(status=facts["outcome"], **CHANGED)
    # Who filed a gap after its rows were read, and before this, did not find a session to be sealed again.
    rows = Session.objects.filter(pk=facts["session"], status__in=ENDED, sealed_revision=facts["revision"])
    for session in rows:
        if completeness.tells_more(session, read_body(ledger, record)):
            rows.update(status=Status.PROCESSING, **CHANGED)


def _end(pk: UUID, *, sealed_at: datetime) -> None:
    """What is sealed is over: an older database may take it to be recorded still, or not yet begun."""
    live = Session.objects.filter(pk=pk, status__in=(Status.CREATED, *LIVE))
    if session := live.first():
        at = _ended_at(session, sealed_at)
        takes = Take.objects.filter(session=pk, ended_at__isnull=True)
        takes.update(ended_at=at, reason="by the log its session was sealed")
        live.filter(ended_at__isnull=True).update(ended_at=at)
        live.update(status=Status.PROCESSING, desired=Desired.STOP, **CHANGED)
        log.warning("a session follows the log: it is over", session=str(pk))


def _ended_at(session: Session, sealed_at: datetime) -> datetime:
    """When a session was over, by its timeline: its seal may have been long in coming."""
    end_us = lost_ends.known_end(session.pk)
    if end_us is None or session.started_at is None:
        return sealed_at
    return session.started_at + min(timedelta(microseconds=end_us), sealed_at - session.started_at)


def _bury_session(_record: LedgerRecord, facts: dict[str, Any], _ledger: Log) -> None:
    tombstones.bury(UUID(facts["session"]))
    expiring = Session.objects.filter(pk=facts["session"], status__in=sources_of(Status.DELETED))
    # Nothing of it is left by now: it takes up nothing, however long it is until it is counted again.
    expiring.update(status=Status.DELETED, used_bytes=0, used_files=0, **CHANGED)


EFFECTS: dict[str, Callable[[LedgerRecord, dict[str, Any], Log], None]] = {
    "batch": _anchor,
    "sealed": _seal_session,
    "shredded": _bury_session,
}


def key_of(kind: str, *parts: object) -> str:
    """The idempotency key of a record: the same thing is never appended twice."""
    text = ":".join(str(part) for part in parts)
    return f"{kind}:{hashlib.sha256(text.encode()).hexdigest()[:40]}"
