"""Sealed sessions of any age, and what is left of them when they go."""

import io
import json
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from django.core.management import call_command
from django.utils import timezone

from lucid_sessions import archive
from lucid_sessions.recordings import leaves, ledger_rows, reconcile, sealing, shredding
from lucid_sessions.recordings.installation import Installation
from lucid_sessions.recordings.ledger_rows import Draft
from lucid_sessions.recordings.lifecycle import Status
from lucid_sessions.recordings.models import Chunk, Session
from lucid_sessions.recordings.proven import ProvenLog
from tests import factories


def sealed(
    world: Installation, *, days_old: float = 0, segments: int = 2, name: str = "old", **fields: Any
) -> Session:
    """A session that ended so long ago and has been sealed."""
    session = factories.recorded_session(world, segments=segments, name=name)
    reconcile.work_inline(world)
    Session.objects.filter(pk=session.pk).update(ended_at=timezone.now() - timedelta(days=days_old), **fields)
    session.refresh_from_db()
    assert session.status == Status.COMPLETED
    return session


@dataclass(frozen=True)
class Left:
    """How much of a session there is on the disks."""

    keys: int
    blobs: int
    spooled: int
    scratch: int


NOTHING = Left(0, 0, 0, 0)


def left(session: Session, world: Installation) -> Left:
    """What is left of the session."""
    chunks = Chunk.objects.filter(session=session)
    names = set(chunks.exclude(blob="").values_list("blob", flat=True))
    ids = {str(pk) for pk in chunks.values_list("pk", flat=True)}
    return Left(
        keys=len(world.keys.sealed_keys(session.pk)),
        blobs=sum(world.blobs.exists(name) for name in names),
        spooled=sum(path.is_file() for path in (world.spool_root / "takes" / session.pk.hex).rglob("*")),
        scratch=sum(path.name.split(".")[0] in ids for path in world.scratch.root.glob("*")),
    )


def finish(session: Session, world: Installation) -> Session:
    """The session after everybody had their turns: whoever shreds, and the sealer."""
    for _ in range(3):
        shredding.tick(world)
        sealing.seal(world)
    session.refresh_from_db()
    return session


def revoke(writer: dict[str, str], world: Installation, *, size: int) -> None:
    """Whoever has the keys' directory says that the writer counts only below this size; the log has it."""
    path = world.keys_root / "repository.json"
    facts = {"key_id": writer["key_id"], "size": size}
    path.write_text(json.dumps({**json.loads(path.read_text()), "revoked": [facts]}))
    with suppress(SystemExit):
        call_command("keys", "announce", stdout=io.StringIO())
    sealing.seal(world)


def shorter_seal(session: Session, world: Installation, *, without: int) -> Draft:
    """A further seal that leaves out the chunk of this number."""
    found = ProvenLog(world, fresh=True).seal(str(session.pk))
    assert found is not None
    facts, body = found
    kept = [leaf for leaf in body["leaves"] if leaf["sequence"] & 0xFFFFFFFF != without]
    root = archive.merkle_root([leaves.hash_of(leaf) for leaf in kept]).hex()
    said = {
        name: value for name, value in facts.items() if name not in ("v", "kind", "key", "time_us", "body")
    }
    said |= {"revision": facts["revision"] + 1, "root": root, "count": len(kept)}
    key = f"sealed:{session.pk}:{said['revision']}"
    return Draft("sealed", key, said, {**body, "leaves": kept})


def sign(draft: Draft, world: Installation) -> None:
    """The log has this record, as one by an earlier release, or by a thief of the log's key, may be."""
    ledger = world.log_for_appending()
    row = ledger_rows.append(ledger, draft, index=ledger_rows.tail())
    ledger.extend([row.entry.encode()])
    ledger_rows.apply_all(ledger)
