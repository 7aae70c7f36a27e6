"""The end of a session: its keys go first, so that nothing of it can be read; then all bytes of it go.

    completed | failed | created -> expiring -> deleted

`expire` is the one decision, a conditional update on the session's row; what follows can be done by anyone,
in parts, again, and by several hosts: chunks are buried, keys removed, each spool cleared by its own host,
blobs deleted. When nothing is left, the sealer is asked for the `shredded` record, which makes it `deleted`.
Rows stay: they and the ledger go on proving what existed.
"""

from collections.abc import Callable, Iterator
from datetime import datetime
from typing import Any
from uuid import UUID

import structlog
from django.conf import settings
from django.db.models import Sum
from django.utils import timezone

from lucid_sessions.errors import Refused, Retryable

from . import ledger_rows, tombstones, upkeep
from .clearing import clear_spool
from .events import CHANGED
from .installation import Installation
from .lifecycle import State, Status, sources_of
from .models import Chunk, Session, SessionKey, Take
from .spool_mirror import mirror_of

log = structlog.get_logger(__name__)

Check = Callable[[Session], None]
ATTEMPTS = 5
BLOBS_AT_ONCE = 200
SESSIONS_A_TICK = 50
BLOBS_A_TICK = 5_000


def begin(
    session: Session, *, cause: str, by: Any = None, why: str = "", check: Check = lambda _: None
) -> Session:
    """The session, now expiring: nothing can hold it any more. Refused while held, live or not sealed.

    `check` is shown each state in which it would go; what it raises keeps it.
    """
    for _ in range(ATTEMPTS):
        session.refresh_from_db()
        check(session)
        if session.status in tombstones.GONE:
            return session
        if obstacle := obstacle_to(session):
            raise Refused(obstacle)
        if expire(session, cause=cause, by=by, why=why):
            session.refresh_from_db()
            log.info("session expires", session=str(session.pk), cause=cause, why=why)
            return session
    raise Retryable(f'Session "{session.name}" keeps changing: nothing was deleted. Try again.')


def obstacle_to(session: Session) -> str:
    """Why this session, as it was read, may not go; empty when it may."""
    holds = session.active_holds
    if holds:
        return (
            f'Session "{session.name}" is under legal hold ({holds[0]["why"]}; placed by {holds[0]["by"]}): '
            "it stays until every hold is released."
        )
    if session.status not in sources_of(Status.EXPIRING):
        return f'Session "{session.name}" is {session.status}: only what has ended and is sealed can go.'
    return ""


def expire(row: Session, *, cause: str, by: Any = None, why: str = "") -> bool:
    """True when the session, as it was read, is now expiring; False when it changed meanwhile."""
    if obstacle_to(row):
        return False
    now = timezone.now()
    expiry = {"cause": cause, "why": why, "by": str(by.pk) if by else "", "at": now.isoformat()}
    same = Session.objects.filter(pk=row.pk, version=row.version, status=row.status)
    changes = {"ended_at": row.ended_at or now, "expiry": expiry, "usage_due": True}
    return same.update(status=Status.EXPIRING, **CHANGED, **changes) == 1


def tick(world: Installation, *, limit: int = BLOBS_A_TICK) -> int:
    """How many blobs went; every expiring session gets its turn, however long another one has to wait."""
    rows = Session.objects.filter(status=Status.EXPIRING)
    gone = 0
    for session in upkeep.turn("shredding", rows, size=SESSIONS_A_TICK):
        gone += advance(session, world=world, limit=limit - gone)
        if gone >= limit:
            break
    return gone


def advance(session: Session, *, world: Installation, limit: int = BLOBS_A_TICK) -> int:
    """How many blobs of an expiring session went in this turn; every step as far as it can be done here."""
    gone = 0
    for step in STEPS:
        try:
            gone += step(session.pk, world, limit)
        except Retryable as error:
            log.warning("shredding waits", session=str(session.pk), step=step.__name__, reason=str(error))
    return gone


def bury_chunks(session: UUID, _world: Installation, _limit: int) -> int:
    """End every claim on the session's chunks."""
    tombstones.bury(session)
    return 0


def remove_keys(session: UUID, world: Installation, _limit: int) -> int:
    """Delete the sealed keys: from here on nobody can read what is left, wherever it is."""
    row = _expiring(session)
    if row is None or _end(row).get("keys_removed"):
        return 0
    there = world.keys.sealed_keys(session)
    if there and "keys" not in _end(row):
        # Noted before they go: an empty directory is believed only after that.
        _note(row, keys=len(there))
    elif not there and "keys" not in _end(row) and SessionKey.objects.filter(session=session).exists():
        raise Retryable(
            f'The sealed keys of session "{row.name}" are not under {world.keys.root / "sessions"}: is that '
            "directory mounted here? If they were lost, say so: `manage.py shred SESSION --keys-were-lost`."
        )
    world.keys.shred(session)
    _note(row, keys_removed=True)
    return 0


def remove_copies(session: UUID, world: Installation, _limit: int) -> int:
    """Remove the second copies of its segments from the object store, whichever spool they were of."""
    row, mirror = _expiring(session), mirror_of(world)
    if row is None or mirror is None:
        return 0
    mirror.forget_session(session)
    if not any(waits_for(row, copies=False)):
        # Only now can no host make another one.
        mirror.forget_session(session)
        _note(row, copies_removed=True)
    return 0


def remove_blobs(session: UUID, world: Installation, limit: int) -> int:
    """Delete the stored blobs, at most `limit`; how many went."""
    gone = 0
    while gone < limit:
        page = list(_unshredded(session).order_by("track", "sequence")[: min(BLOBS_AT_ONCE, limit - gone)])
        if not page:
            break
        kept = _claimed_by_others({chunk.blob for chunk in page if chunk.blob})
        going = [chunk.blob for chunk in page if chunk.blob and chunk.blob not in kept]
        tombstones.delete_blobs(going, of=session, store=world.blobs)
        # The row is told last: a crash before it means another delete of what is not there.
        rows = Chunk.objects.filter(pk__in=[chunk.pk for chunk in page], state=State.EXPIRED)
        rows.update(shredded_at=timezone.now())
        gone += len(page)
    return gone


def _unshredded(session: UUID) -> Any:
    return Chunk.objects.filter(session=session, state=State.EXPIRED, shredded_at__isnull=True)


def _claimed_by_others(names: set[str]) -> set[str]:
    """Blobs that a row outside says are its own: no two honest rows share one, so somebody changed a row."""
    rows = Chunk.objects.filter(blob__in=names).exclude(state=State.EXPIRED)
    kept = set(rows.order_by().values_list("blob", flat=True))
    if kept:
        log.error("an expired chunk names another chunk's blob: kept", blobs=sorted(kept))
    return kept


def ask_for_record(session: UUID, _world: Installation, _limit: int) -> int:
    """Once nothing is left anywhere, the sealer is asked to say so."""
    row = _expiring(session)
    if row is not None and not any(waits_for(row)):
        ledger_rows.request("shredded", key=f"shredded:{session}", facts=_facts(row))
    return 0


STEPS = (bury_chunks, remove_keys, clear_spool, remove_blobs, remove_copies, ask_for_record)


def waits_for(session: Session, *, copies: bool = True) -> Iterator[str]:
    """What of an expiring session is not gone yet, a line each."""
    if not _end(session).get("keys_removed"):
        yield "its sealed keys"
    for spool, host in Take.objects.filter(session=session, cleared_at__isnull=True).values_list(
        "spool", "host"
    ):
        yield f"spool {spool} on {host}"
    chunks = Chunk.objects.filter(session=session)
    files = set(chunks.filter(path__gt="").order_by().values_list("spool", flat=True))
    for spool in files - _given_up(session):
        yield f"segments in spool {spool}"
    left = chunks.exclude(state=State.EXPIRED).count() + _unshredded(session.pk).count()
    if left:
        yield f"{left} chunks"
    if copies and settings.LUCID_SPOOL == "s3" and not _end(session).get("copies_removed"):
        yield "second copies of its segments"


def _facts(row: Session) -> dict[str, Any]:
    """What the record says: opaque ids and figures only, since the ledger outlives everything."""
    blobs = Chunk.objects.filter(session=row.pk, blob__gt="")
    return {
        "session": str(row.pk),
        "cause": _end(row).get("cause", ""),
        "by": _end(row).get("by", ""),
        "sealed": row.sealed_record,
        "chunks": Chunk.objects.filter(session=row.pk).count(),
        "blobs": blobs.count(),
        "bytes": blobs.aggregate(total=Sum("blob_length"))["total"] or 0,
        "keys": _end(row).get("keys", 0),
        "spools": sorted(set(Take.objects.filter(session=row.pk).values_list("spool", flat=True))),
        "lost_spools": sorted({*_end(row).get("lost_spools", []), *_given_up(row)}),
    }


def _given_up(row: Session) -> set[str]:
    """The spools that were declared lost before the session went: none of them will confirm anything."""
    begun = _end(row).get("at")
    takes = Take.objects.filter(session=row.pk, cleared_at__lt=datetime.fromisoformat(begun)) if begun else []
    return {take.spool for take in takes}


def declare_lost(session: Session, *, spool: str = "") -> None:
    """Go on without a spool's confirmation, or (no spool named) without the keys; the record says so."""
    if (row := _expiring(session.pk)) is None:
        raise Refused(f'Session "{session.name}" is {session.status}: nothing of it is waited for.')
    if not spool:
        _note(row, keys=0)
        return
    takes = Take.objects.filter(session=session.pk, spool=spool, cleared_at__isnull=True)
    files = Chunk.objects.filter(session=session.pk, spool=spool, path__gt="")
    if not (takes.exists() or files.exists()):
        raise Refused(f'Session "{session.name}" does not wait for spool {spool}.')
    _note(row, lost_spools=sorted({*_end(row).get("lost_spools", []), spool}))
    files.update(path="")
    takes.update(cleared_at=timezone.now())


def _expiring(session: UUID) -> Session | None:
    return Session.objects.filter(pk=session, status=Status.EXPIRING).first()


def _end(row: Session) -> dict[str, Any]:
    """What is known of the session's end."""
    return row.expiry or {}


def _note(row: Session, **facts: Any) -> None:
    """Write facts about its end on the row; Retryable when another worker wrote first."""
    expiry = _end(row) | facts
    same = Session.objects.filter(pk=row.pk, version=row.version, status=Status.EXPIRING)
    if not same.update(expiry=expiry, **CHANGED):
        raise Retryable(f'Another worker is shredding session "{row.name}" too.')
    row.expiry, row.version = expiry, row.version + 1
