"""What rows ask the sealer to record is signed only if it is for rows to ask; the rest stops nothing."""

import hashlib
from typing import Any

import pytest

from lucid_sessions import archive
from lucid_sessions.errors import Tampered
from lucid_sessions.recordings import ledger_rows, reconcile, sealing, verification
from lucid_sessions.recordings.installation import Installation
from lucid_sessions.recordings.ledger_rows import REFUSED
from lucid_sessions.recordings.lifecycle import Status
from lucid_sessions.recordings.models import Chunk, LedgerRecord, LedgerRequest, Session
from lucid_sessions.recordings.proven import ProvenLog
from tests import factories
from tests.recordings.archived import revoke, sealed

pytestmark = pytest.mark.django_db(transaction=True)

SESSION = "0197a5a0-0000-7000-8000-000000000000"
HOLD = {"session": SESSION, "hold": "1", "by": "somebody", "at_us": 1}
EMPTY_SEAL = {"session": SESSION, "revision": 9, "previous": None, "outcome": "completed", "count": 0}


def test_the_database_names_no_writer(world: Installation) -> None:
    forger = archive.Writer.generate()
    facts = {"public": forger.public.hex(), "key_id": forger.key_id.hex()}
    ledger_rows.request("writer-added", key="writer-added:mine", facts=facts)
    session = factories.recorded_session(world, segments=1)
    reconcile.work_inline(world)
    assert forger.key_id not in ProvenLog(world, fresh=True).writers(None)
    session.refresh_from_db()
    assert session.status == Status.COMPLETED
    assert LedgerRequest.objects.get().record == REFUSED


def test_the_writers_of_the_keyring_are_named(world: Installation) -> None:
    for writer in world.keys.public["writers"]:
        ledger_rows.request("writer-added", key=f"writer-added:{writer['key_id']}", facts=writer)
    sealing.seal(world)
    named = ProvenLog(world, fresh=True).index.writers.values()
    assert [public.hex() for public in named] == [one["public"] for one in world.keys.public["writers"]]


def test_the_database_cannot_have_a_session_sealed_as_empty(world: Installation) -> None:
    session = sealed(world)
    empty = archive.canonical_json({"leaves": [], "gaps": [], "missing": []}, limit=None)
    named = {"root": archive.merkle_root([]).hex(), "body": world.log().write_body(empty)}
    facts = {**EMPTY_SEAL, "session": str(session.pk), **named}
    LedgerRequest.objects.create(kind="sealed", key="x", facts=facts)
    Chunk.objects.filter(session=session).delete()
    sealing.seal(world)
    report = verification.verify(session)
    assert (report.revision, report.checked, report.integrity) == (1, 2, False)


@pytest.mark.parametrize(
    ("kind", "key", "facts"),
    [
        ("batch", "batch:1", {"root": "00", "count": 0}),
        ("sealed", f"sealed:{SESSION}:1", EMPTY_SEAL),
        ("sealed", "audit:1", EMPTY_SEAL),
        ("audit", f"sealed:{SESSION}:1", {}),
        ("audit", "audit:1", {**EMPTY_SEAL, "kind": "sealed"}),
        ("audit", "audit:1", {"v": 2}),
        ("audit", "audit:1", {"time_us": 1}),
        ("audit", "audit:1", {"key": "sealed:1"}),
        ("audit", "audit:1", {"batch": {}, "head": "00" * 32, "body": "00" * 32}),
        ("audit", "audit:1", ["a list"]),
        ("held", "held:1", {**HOLD, "body": "00" * 32}),
        ("held", "held:1", {**HOLD, "session": "nobody"}),
        ("released", "released:1", {"session": SESSION}),
        ("shredded", "shredded:1", {}),
        ("shredded", "shredded:1", {"session": 7}),
        ("writer-added", "writer-added:1", {}),
        ("writer-revoked", "writer-revoked:1", {"key_id": "00" * 8, "size": 0}),
        ("continues", "continues:1", {"origin": "a/b", "vkey": "", "size": 0, "root": ""}),
        ("never-heard-of", "never-heard-of:1", {}),
    ],
)
def test_what_rows_may_not_ask_is_set_aside(world: Installation, kind: str, key: str, facts: Any) -> None:
    LedgerRequest.objects.create(kind=kind, key=key, facts=facts)
    ledger_rows.request("held", key="held:2", facts=HOLD)
    sealing.seal(world)
    assert [row.key for row in LedgerRecord.objects.all()] == ["held:2"]
    assert LedgerRequest.objects.get(key=key).record == REFUSED
    assert sealing.seal(world) == 0


def test_a_revocation_by_the_database_is_refused_and_one_by_the_keyring_is_not(world: Installation) -> None:
    (own,) = world.keys.public["writers"]
    facts = {"key_id": own["key_id"], "size": 0}
    ledger_rows.request("writer-revoked", key=f"writer-revoked:{own['key_id']}", facts=facts)
    sealing.seal(world)
    assert ProvenLog(world, fresh=True).index.revoked == {}
    revoke(own, world, size=5)
    assert ProvenLog(world, fresh=True).index.revoked == {bytes.fromhex(own["key_id"]): 5}


@pytest.mark.parametrize("kind", ["writer-added", "audit"])
def test_a_record_that_somebody_wrote_as_a_row_is_not_signed(world: Installation, kind: str) -> None:
    session = sealed(world)
    size = world.log().size
    forger = archive.Writer.generate()
    facts = {"public": forger.public.hex(), "key_id": forger.key_id.hex()}
    said = {"v": 1, "kind": "writer-added", "key": "writer-added:mine", "time_us": 1, "body": "", **facts}
    entry = archive.canonical_json(said).decode()
    LedgerRecord.objects.create(index=size, kind=kind, key="writer-added:mine", entry=entry)
    with pytest.raises(Tampered, match="Not signed: the row of record 2"):
        sealing.seal(world)
    assert world.log().size == size
    LedgerRecord.objects.filter(index=size).delete()
    sealing.seal(world)
    assert verification.verify(session).findings == []


def test_a_record_beyond_the_end_of_the_log_is_not_signed(world: Installation) -> None:
    LedgerRecord.objects.create(index=900, kind="audit", key="audit:1", entry="{}")
    with pytest.raises(Tampered, match="none of record 0"):
        sealing.seal(world)


def test_a_batch_of_the_audit_is_recorded_with_its_body(world: Installation) -> None:
    body = world.log().write_body(b"{}")
    facts = {"batch": 0, "count": 0, "head": hashlib.sha256(b"").hexdigest(), "body": body}
    ledger_rows.request("audit", key="audit:0:x", facts=facts)
    sealing.seal(world)
    assert ProvenLog(world, fresh=True).index.audits == {0: {(facts["head"], body)}}
    assert Session.objects.count() == 0
