"""The sealer: the one appender of the ledger. It batches stored chunks, seals sessions, signs checkpoints.

One round: take the tail, apply what is appended and not yet applied, append what is due, publish tiles and
checkpoint. Each write may be the last of a dying sealer: the next round begins by applying, so no leaf
enters twice and none is forgotten. Two sealers cannot harm each other, since the index is the row's key,
and only the holder of the lock publishes.
"""

import fcntl
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import structlog

from lucid_sessions import archive
from lucid_sessions.durable import make_directory
from lucid_sessions.ledger import Log

from . import completeness, failpoints, leaves, ledger_rows
from .installation import Installation
from .lifecycle import State, Status
from .models import Checkpoint, Chunk, LedgerRecord, LedgerRequest, Session

log = structlog.get_logger(__name__)

# Leaves of any sessions in one batch: bounds the proof and the time that one append takes.
MOST_LEAVES = 1024
# Group commit: at most one round in this many seconds.
ROUND_SECONDS = 1.0
LOCK_SECONDS = 30.0

_running = threading.Lock()
_wanted = threading.Event()
_last_round = 0.0


def seal_soon(world: Installation) -> None:
    """Everything stored before this call is anchored when it returns, or another thread is about to do it."""
    _wanted.set()
    while _wanted.is_set() and _running.acquire(blocking=False):
        try:
            _pace()
            _wanted.clear()
            seal(world)
        finally:
            _running.release()


def _pace() -> None:
    """Sleep out the remainder of the second since the last round."""
    global _last_round
    time.sleep(max(0.0, min(ROUND_SECONDS, _last_round + ROUND_SECONDS - time.monotonic())))
    _last_round = time.monotonic()


def seal(world: Installation) -> int:
    """How many records were appended; everything that was due at the beginning is published."""
    with _only_sealer(world):
        ledger = world.log_for_appending()
        ledger_rows.replay(ledger)
        ledger_rows.apply_all(ledger)
        appended = 0
        while _append_due(ledger):
            appended += 1
            ledger_rows.apply_all(ledger)
        _publish(ledger)
        return appended


@contextmanager
def _only_sealer(world: Installation) -> Iterator[None]:
    make_directory(world.ledger_root)
    with (world.ledger_root / "lock").open("w") as lock:
        _lock(lock)
        yield


def _lock(lock: Any) -> None:
    deadline = time.monotonic() + LOCK_SECONDS
    while True:
        try:
            return fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > deadline:
                raise ledger_rows.Overtaken("another sealer holds the ledger's lock") from None
            time.sleep(0.05)


def _append_due(ledger: Log) -> LedgerRecord | None:
    """The next record that is due, appended; None when nothing is."""
    try:
        return _append_request(ledger) or _append_batch(ledger) or _append_sealed(ledger)
    except ledger_rows.Overtaken as error:
        log.info("sealer starts over", reason=str(error))
        return None


def _append_request(ledger: Log) -> LedgerRecord | None:
    due = LedgerRequest.objects.filter(record__isnull=True).order_by("created_at").first()
    return ledger_rows.append(ledger, kind=due.kind, key=due.key, facts=due.facts) if due else None


def _append_batch(ledger: Log) -> LedgerRecord | None:
    stored = Chunk.objects.filter(state=State.STORED, quarantined_at__isnull=True).order_by(
        "created_at", "pk"
    )
    chunks = list(stored[:MOST_LEAVES])
    if not chunks:
        return None
    body = {"leaves": [leaves.facts_of(chunk) for chunk in chunks]}
    root = archive.merkle_root([bytes.fromhex(chunk.leaf) for chunk in chunks]).hex()
    failpoints.reach("seal.selected")
    return ledger_rows.append(
        ledger, kind="batch", key=f"batch:{root}", facts={"root": root, "count": len(chunks)}, body=body
    )


def _append_sealed(ledger: Log) -> LedgerRecord | None:
    for session in Session.objects.filter(status=Status.PROCESSING):
        verdict = completeness.judge(session)
        if not verdict.settled:
            continue
        root = archive.merkle_root([bytes.fromhex(chunk.leaf) for chunk in verdict.chunks]).hex()
        facts = {
            "session": str(session.pk),
            "revision": session.sealed_revision + 1,
            "previous": session.sealed_record,
            "outcome": verdict.outcome,
            "root": root,
            "count": len(verdict.chunks),
            "gaps": len(verdict.gaps),
            "missing": len(verdict.missing),
        }
        body = {
            "leaves": [leaves.facts_of(chunk) for chunk in verdict.chunks],
            "gaps": list(verdict.gaps),
            "missing": list(verdict.missing),
        }
        key = f"sealed:{session.pk}:{facts['revision']}"
        return ledger_rows.append(ledger, kind="sealed", key=key, facts=facts, body=body)
    return None


def _publish(ledger: Log) -> None:
    """Tiles and checkpoint cover every record; the checkpoint's row follows its file."""
    fresh = (
        LedgerRecord.objects.filter(index__gte=ledger.size).order_by("index").values_list("entry", flat=True)
    )
    entries = [entry.encode() for entry in fresh]
    if entries:
        ledger.extend(entries)
        failpoints.reach("seal.published")
    newest = ledger.checkpoint()
    if newest and newest.size:
        Checkpoint.objects.get_or_create(
            size=newest.size, defaults={"root": newest.root.hex(), "note": ledger.checkpoint_text() or ""}
        )
