"""The sealer: the one appender of the ledger. It batches stored chunks, seals sessions, signs checkpoints.

One round: take the tail, apply what is appended and not yet applied, append what is due, publish tiles and
checkpoint. Each write may be the last of a dying sealer: the next round begins by applying, so no leaf
enters twice and none is forgotten. Two sealers cannot harm each other, since the index is the row's key,
and only the holder of the lock publishes.
"""

import fcntl
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import IO
from uuid import UUID

import structlog

from lucid_sessions.durable import blaming, make_directory
from lucid_sessions.errors import Refused, Retryable, Tampered

from . import admission, completeness, drafts, failpoints, ledger_rows, lost_ends, observation
from .installation import Installation
from .ledger_rows import Draft
from .lifecycle import State, Status
from .models import Checkpoint, Chunk, LedgerRecord, LedgerRequest, Session

log = structlog.get_logger(__name__)

# Group commit: at most one round in this many seconds.
ROUND_SECONDS = 1.0
LOCK_SECONDS = 30.0
MOST_REQUESTS = 1000
MOST_TRIES = 100


def seal_soon(world: Installation) -> None:
    """Everything stored before this call is anchored when it returns, or somebody else is about to do it.

    Of all processes one waits for its turn, and one seals: nobody else's time is spent on waiting.
    """
    with ExitStack() as turn:
        if not turn.enter_context(_turn(world)):
            return
        with _only_sealer(world):
            # From here on the round may miss what is stored: the next may begin to wait.
            turn.close()
            _round(world)


@contextmanager
def _turn(world: Installation) -> Iterator[bool]:
    """False at once when another waits for the next round; else True, a second after the last checkpoint."""
    with _opened(world, "turn") as turn:
        try:
            fcntl.flock(turn, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
            return
        time.sleep(_rest(world.ledger_root / "checkpoint"))
        yield True


def _rest(checkpoint: Path) -> float:
    """Seconds until the next round may begin; never long, whatever the clock did."""
    with suppress(FileNotFoundError):
        return max(0.0, min(ROUND_SECONDS, checkpoint.stat().st_mtime + ROUND_SECONDS - time.time()))
    return 0.0


def anchor(chunk_ids: Sequence[UUID], *, world: Installation) -> None:
    """These chunks are anchored, if they were stored; a seal that came meanwhile has done it already."""
    if Chunk.objects.filter(pk__in=list(chunk_ids), state=State.STORED, quarantined_at=None).exists():
        seal_soon(world)


def seal(world: Installation) -> int:
    """How many records were appended; everything that was due at the beginning is published."""
    with _only_sealer(world):
        return _round(world)


def _round(world: Installation) -> int:
    ledger_rows.replay(world.log_for_appending())
    # First what a dead sealer left; it also shows that the ledger there is the one signed last, before
    # bodies are written into the mount point of another, or into an emptied directory.
    _publish(world)
    try:
        return _append_due(world)
    finally:
        _publish(world)


@contextmanager
def _only_sealer(world: Installation) -> Iterator[None]:
    with _opened(world, "lock") as lock:
        _lock(lock)
        yield


@contextmanager
def _opened(world: Installation, name: str) -> Iterator[IO[str]]:
    """A file to lock beside the ledger, which must be there, or be new."""
    if not world.ledger_root.is_dir() and world.keys.log_pin.exists():
        raise Retryable(
            f"The ledger {world.ledger_root} is not there: mount it. Nothing is anchored until then."
        )
    make_directory(world.ledger_root)
    path = world.ledger_root / name
    with blaming("lock", path), path.open("w") as file:
        yield file


def _lock(lock: IO[str]) -> None:
    deadline = time.monotonic() + LOCK_SECONDS
    while True:
        try:
            return fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > deadline:
                raise ledger_rows.Overtaken("another sealer holds the ledger's lock") from None
            time.sleep(0.05)


def _append_due(world: Installation) -> int:
    """How many records were appended: requests first, then batches, then the seals of sessions."""
    appended = 0
    for request in LedgerRequest.objects.filter(record__isnull=True).order_by("created_at")[:MOST_REQUESTS]:
        appended += _append(world, partial(drafts.requested, request.pk, world))
    while _anchor_batch(world):
        appended += 1
    for pk in list(Session.objects.filter(status=Status.PROCESSING).values_list("pk", flat=True)):
        if completeness.may_be_settled(pk):
            lost_ends.account_for(pk)
            appended += _append(world, partial(drafts.seal, pk, world))
    return appended


def _anchor_batch(world: Installation) -> bool:
    """True when stored chunks were anchored; the stage took as long as their batch did, told once a batch."""
    began = time.perf_counter()
    if not _append(world, partial(drafts.batch, world)):
        return False
    observation.tell(observation.StageDone("anchor", time.perf_counter() - began, "success", 0))
    return True


def _append(world: Installation, draft_of: Callable[[], Draft | None]) -> bool:
    """True when what was due has been appended and applied; False when nothing was, or it cannot be."""
    ledger = world.log_for_appending()
    for _ in range(MOST_TRIES):
        # In this order: what is appended by then is applied before anything is selected, and what another
        # sealer appends after that takes the index, so the selection is made anew.
        index = ledger_rows.tail()
        ledger_rows.apply_all(ledger)
        draft = draft_of()
        if draft is None:
            return False
        try:
            ledger_rows.append(ledger, draft, index=index)
        except ledger_rows.Overtaken as error:
            log.info("sealer starts over", reason=str(error))
            continue
        except Refused as error:
            ledger_rows.set_aside(draft.kind, draft.key, error)
            return False
        # Published first: whoever sees the effect, a session that is completed, can prove and play it.
        _publish(world)
        ledger_rows.apply_all(ledger)
        return True
    return False


def _publish(world: Installation) -> None:
    """Tiles and checkpoint cover every record; the checkpoint's row follows its file."""
    ledger = world.log_for_appending()
    entries = _fresh(world, since=ledger.size)
    if entries:
        ledger.extend(entries)
        failpoints.reach("seal.published")
    else:
        ledger.check()
    newest = ledger.checkpoint()
    if newest and newest.size:
        Checkpoint.objects.get_or_create(
            size=newest.size, defaults={"root": newest.root.hex(), "note": ledger.checkpoint_text() or ""}
        )


def _fresh(world: Installation, *, since: int) -> list[bytes]:
    """The records from this index on; Tampered when one is not what a sealer may have appended.

    What was signed before a death, and not published, was looked at then.
    """
    rows = list(LedgerRecord.objects.filter(index__gte=since).order_by("index"))
    signed = world.log_for_appending().signed if rows else 0
    known = drafts.known_log(world) if since + len(rows) > signed else None
    for index, row in enumerate(rows, start=since):
        if row.index != index:
            raise Tampered(f"Not signed: there is a row of record {row.index}, and none of record {index}")
        if known and index >= signed:
            admission.require_record(row, log=known)
    return [row.entry.encode() for row in rows]
