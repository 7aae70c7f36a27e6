"""What is due to enter the log: what rows ask for, batches of stored chunks, seals of sessions."""

from typing import Any
from uuid import UUID

import structlog
from django.db.models import F
from django.utils import timezone

from lucid_sessions import archive
from lucid_sessions.errors import Refused, Tampered

from . import admission, completeness, events, failpoints, leaves, ledger_rows, observation, seals
from .installation import Installation
from .ledger_rows import Draft
from .lifecycle import State, Status
from .models import Chunk, LedgerRequest, Session
from .proven import ProvenLog

log = structlog.get_logger(__name__)

# Leaves of any sessions in one batch: bounds the proof and the time that one append takes.
MOST_LEAVES = 1024
# Of a long log that this process has not read yet, so much at a time, in half a second: no chunk waits.
RECORDS_READ = 20_000


def known_log(world: Installation) -> ProvenLog:
    """The log as published; where its seals are is known once this was called often enough."""
    return ProvenLog(world).walk(RECORDS_READ)


def requested(pk: UUID, world: Installation) -> Draft | None:
    """What this row asks for; None when it was appended, or may not be: then it is set aside."""
    due = LedgerRequest.objects.filter(pk=pk, record__isnull=True).first()
    if due is None:
        return None
    try:
        admission.require_askable(due.kind, due.key, due.facts, world=world)
    except Refused as error:
        ledger_rows.set_aside(due.kind, due.key, error)
        return None
    return Draft(due.kind, due.key, due.facts)


def batch(world: Installation) -> Draft | None:
    """The oldest stored chunks; None when there are none."""
    stored = Chunk.objects.filter(state=State.STORED, quarantined_at__isnull=True)
    found = list(stored.order_by("created_at", "pk")[:MOST_LEAVES])
    if not found:
        return None
    sealed = admission.Sealed(known_log(world), {chunk.session_id for chunk in found})
    chunks = [chunk for chunk in found if _is_sound(chunk, sealed)]
    if not chunks:
        return None
    facts = [leaves.facts_of(chunk) for chunk in chunks]
    root = archive.merkle_root([leaves.hash_of(one) for one in facts]).hex()
    failpoints.reach("seal.selected")
    named = {"root": root, "count": len(chunks)}
    return Draft("batch", f"batch:{root}", named, {"leaves": facts})


def _is_sound(chunk: Chunk, sealed: admission.Sealed) -> bool:
    """False for a row that cannot be what was stored, now in quarantine: in a batch it would spoil others."""
    problem = _problem(chunk, sealed)
    if not problem:
        return True
    reason = f"anchor: {problem}"
    rows = Chunk.objects.filter(pk=chunk.pk, fence=chunk.fence)
    foretold = events.foretell(events.QUARANTINED, chunk, reason)
    changes = {"quarantined_at": timezone.now(), "reason": reason, "token": "", "fence": F("fence") + 1}
    events.came(foretold, true=rows.update(**changes) == 1)
    log.error("chunk quarantined", chunk=str(chunk.pk), reason=reason)
    return False


def _problem(chunk: Chunk, sealed: admission.Sealed) -> str:
    try:
        archive.canonical_json(leaves.facts_of(chunk))
        leaf = leaves.hash_of(leaves.facts_of(chunk)).hex()
    except (Refused, ValueError) as error:
        return f"the log cannot say this of it: {error}"
    if chunk.leaf != leaf:
        return "the row's leaf is not the hash of its facts; the row was changed after it was stored"
    if sealed.otherwise(leaves.facts_of(chunk)):
        return "its place is sealed with another blob; the row was changed after that"
    return ""


def seal(pk: UUID, world: Installation) -> Draft | None:
    """The seal of a session that is settled; None when it is not, or would say less than the last one."""
    session = Session.objects.filter(pk=pk, status=Status.PROCESSING).first()
    verdict = completeness.judge(session) if session else completeness.UNSETTLED
    if session is None or not verdict.settled:
        return None
    known = known_log(world)
    newest = admission.Sealed(known, [pk]).newest(pk)
    listed = [leaves.facts_of(chunk) for chunk in verdict.chunks]
    body = {"leaves": listed, "gaps": list(verdict.gaps), "missing": list(verdict.missing)}
    if newest is not None and not _grows(session, known, newest=newest, body=body):
        return None
    before = known.record(newest)["revision"] if newest is not None else 0
    facts = {
        "session": str(session.pk),
        "revision": max(before, session.sealed_revision) + 1,
        "previous": newest,
        "outcome": verdict.outcome,
        "root": archive.merkle_root([leaves.hash_of(leaf) for leaf in listed]).hex(),
        "count": len(listed),
        "gaps": len(verdict.gaps),
        "missing": len(verdict.missing),
    }
    return Draft("sealed", f"sealed:{session.pk}:{facts['revision']}", facts, body)


def _grows(session: Session, known: ProvenLog, *, newest: int, body: dict[str, Any]) -> bool:
    """False when a seal with this body would take back what was sealed; then the session keeps its seal."""
    try:
        seals.require_growth(known, newest, body)
    except (Refused, Tampered) as error:
        log.error(
            "not sealed again: what was sealed is gone or changed", session=str(session.pk), reason=str(error)
        )
        observation.tell(observation.StageDone("anchor", 0.0, "quarantined", 0, type(error).__name__))
        facts = known.record(newest)
        kept = {"status": facts["outcome"], "sealed_revision": facts["revision"], "sealed_record": newest}
        same = Session.objects.filter(pk=session.pk, status=Status.PROCESSING, version=session.version)
        same.update(**kept, **events.CHANGED)
        return False
    return True
