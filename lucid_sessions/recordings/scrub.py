"""Stored blobs are verified again for ever: the longest unverified first, at a bounded rate, without any key.

Length, hash, place, signature and leaf are checked, so a flipped bit, a lost file and a swapped one are found
while a backup still has the right bytes. A bad blob's chunk is quarantined, which is an alarm; its bytes are
kept aside. Where a replica has the right ones they are put back, and the next look ends the quarantine; one
that has to be locked first, and cannot be yet, is looked at again at every tick.
"""

import hashlib
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import structlog
from django.conf import settings
from django.db.models import F, QuerySet
from django.utils import timezone

from lucid_sessions import archive
from lucid_sessions.blobs import Blobs, is_bucket, read
from lucid_sessions.errors import LucidError, Retryable, Tampered

from . import events, leaves, observation, quota, setbacks
from .installation import Installation
from .lifecycle import ARCHIVED, BAD_BLOB, UNLOCKED
from .models import Chunk, Session
from .proven import ProvenLog

log = structlog.get_logger(__name__)

TICK_SECONDS = 60.0
# 8 MiB a second: a TiB in 36 hours, at under a hundredth of a core. More where that would not get round.
BYTES_A_TICK = 512 * 1024 * 1024
CHUNKS_A_TICK = 2_000
ROUND = timedelta(days=28)
PAGE = 100
# What was verified this lately is left alone, however small the archive.
FRESH = timedelta(days=1)
# More blobs than this do not wait for their locks in turn: the rest comes once some of them are locked.
WAITING = 10_000
NEVER = datetime.fromtimestamp(0, UTC)

Replica = Callable[[str], bytes | None]
"""Given a blob's name, its bytes from another copy of the archive, or None. They are not simply believed."""


def replicas(world: Installation) -> tuple[Replica, ...]:
    """The copies that the settings name: another store, and the blobs of the backups."""
    addresses = [settings.LUCID_REPLICA_URL]
    backups = settings.LUCID_BACKUP_URL
    addresses.append(backups if not backups or is_bucket(backups) else f"{backups}/blobs")
    return tuple(_replica(world.store_at(address)) for address in addresses if address)


def _replica(store: Blobs) -> Replica:
    def get(name: str) -> bytes | None:
        try:
            return store.get(name)
        except LucidError as error:
            log.warning("no copy from a replica", blob=name, place=store.place, reason=str(error))
            return None

    return get


@dataclass
class Tally:
    """What one run did."""

    chunks: int = 0
    size: int = 0
    bad: list[str] = field(default_factory=list)
    repaired: list[str] = field(default_factory=list)


def tick(
    world: Installation,
    *,
    replicas: Sequence[Replica] = (),
    page: int = PAGE,
    most: int | None = None,
) -> Tally:
    """Verify the longest unverified blobs that nobody looked at for a day, up to a tick's bound.

    A page of those whose lock is missing comes before, and on top of that bound: however long their locks are
    refused, the others are verified.
    """
    tally, (size, count) = Tally(), bounds(quota.stored())
    if waiting := _unlocked(size=page):
        check_page(waiting, world=world, replicas=replicas, tally=tally)
    size, count = tally.size + size, tally.chunks + (most or count)
    for _ in run(world, replicas=replicas, older_than=FRESH, page=page, tally=tally):
        if tally.size >= size or tally.chunks >= count:
            break
    return tally


def bounds(stored: quota.Usage) -> tuple[int, int]:
    """Bytes and chunks of one tick: enough to get round an archive of this size in ROUND."""
    share = TICK_SECONDS / ROUND.total_seconds()
    return max(BYTES_A_TICK, int(stored.used * share)), max(CHUNKS_A_TICK, int(stored.files * share))


def run(
    world: Installation,
    *,
    replicas: Sequence[Replica] = (),
    older_than: timedelta = timedelta(),
    page: int = PAGE,
    tally: Tally | None = None,
) -> Iterator[Tally]:
    """Verify once every blob that was last looked at so long ago; the growing tally after each page."""
    tally, before = tally or Tally(), timezone.now() - older_than
    while chunks := _oldest(before, size=page):
        check_page(chunks, world=world, replicas=replicas, tally=tally)
        yield tally


def _unlocked(*, size: int) -> list[Chunk]:
    """A page of those whose lock is missing, the one that was tried longest ago first."""
    there = setbacks.quarantined().filter(reason__startswith=UNLOCKED).order_by("quarantined_at", "pk")
    # They take turns; sorted here, since no index has both.
    found = there.values_list("verified_at", "pk")[:WAITING]
    turn = sorted((verified or NEVER, pk) for verified, pk in found)[:size]
    return list(Chunk.objects.filter(pk__in=[pk for _, pk in turn]).order_by()) if turn else []


def _oldest(before: datetime, *, size: int) -> list[Chunk]:
    """A page of the longest unverified, in the order of an index; never verified ones come first."""
    page = [chunk for state in ARCHIVED for chunk in _in_order(state)[:size]]
    due = [chunk for chunk in page if chunk.verified_at is None or chunk.verified_at < before]
    return sorted(due, key=lambda chunk: chunk.verified_at or chunk.stored_at or before)[:size]


def _in_order(state: str) -> QuerySet[Chunk]:
    return Chunk.objects.filter(state=state).order_by("verified_at", "stored_at", "pk")


def check_page(
    page: list[Chunk], *, world: Installation, tally: Tally, replicas: Sequence[Replica] = ()
) -> None:
    """Each blob of the page is verified or quarantined; Retryable when the store is away."""
    proven = ProvenLog(world)
    good: list[Chunk] = []
    for chunk in page:
        began = time.perf_counter()
        try:
            _check(chunk, world=world, writers=proven.writers(chunk.record))
            good.append(chunk)
            _tell(chunk, seconds=time.perf_counter() - began)
        except Retryable:
            _note_good(good, world)
            raise
        except LucidError as error:
            _found_bad(chunk, error, world=world, replicas=replicas, tally=tally)
        tally.chunks += 1
        tally.size += chunk.blob_length
    _note_good(good, world)


def _check(chunk: Chunk, *, world: Installation, writers: archive.Writers) -> None:
    """Nothing, if the stored blob is what this row says; Tampered otherwise."""
    blob = read(chunk.blob, source=world.blobs)
    if hashlib.sha256(blob).hexdigest() != chunk.blob:
        raise Tampered("the blob's bytes no longer have the hash that is its name")
    if len(blob) != chunk.blob_length:
        raise Tampered("the blob has another length than its row says")
    place = archive.Place(world.keys.repository, chunk.session_id, chunk.track, chunk.sequence)
    archive.verify_blob(blob, place=place, writers=writers)
    if leaves.hash_of(leaves.facts_of(chunk)).hex() != chunk.leaf:
        raise Tampered("the row's leaf is not that of its blob")


def _note_good(chunks: list[Chunk], world: Installation) -> None:
    rows = Chunk.objects.filter(pk__in=[chunk.pk for chunk in chunks], state__in=ARCHIVED)
    rows.update(verified_at=timezone.now())
    restored = [chunk.pk for chunk in chunks if chunk.quarantined_at and _is_locked(chunk, world)]
    # A blob that was bad and is good again was restored: that ends the quarantine which scrub began.
    mended = rows.filter(pk__in=restored, quarantined_at__isnull=False, reason__startswith=BAD_BLOB)
    if restored and mended.update(quarantined_at=None, reason="", fence=F("fence") + 1):
        log.warning("blobs are good again", chunks=[str(pk) for pk in restored])


def _is_locked(chunk: Chunk, world: Installation) -> bool:
    """True when its blob is locked, or need not be: in the place of a bad one it is another object.

    The bad one's lock does not cover it. Where it cannot be locked now, the row says so.
    """
    session = Session.objects.filter(pk=chunk.session_id).first()
    if session is None or not session.active_holds:
        return True
    try:
        world.blobs.lock(chunk.blob)
    except LucidError as error:
        log.error("blob not locked", chunk=str(chunk.pk), blob=chunk.blob, reason=str(error))
        rows = Chunk.objects.filter(pk=chunk.pk, quarantined_at__isnull=False, reason__startswith=BAD_BLOB)
        rows.update(reason=f"{UNLOCKED}{error}")
        return False
    return True


def _found_bad(
    chunk: Chunk, error: LucidError, *, world: Installation, replicas: Sequence[Replica], tally: Tally
) -> None:
    """Repair it or sound the alarm; a chunk that expired while it was read is neither."""
    row = Chunk.objects.filter(pk=chunk.pk, state__in=ARCHIVED, fence=chunk.fence)
    changes = {"verified_at": timezone.now(), "reason": f"{BAD_BLOB}{error}", "fence": F("fence") + 1}
    first = chunk.quarantined_at is None
    foretold = events.foretell(events.UNVERIFIED, chunk, str(error)) if first else None
    written = row.update(**changes, quarantined_at=chunk.quarantined_at or timezone.now()) == 1
    events.came(foretold, true=written)
    if not written:
        return
    tally.bad.append(f"{chunk.session_id} {chunk}: {error}")
    # Once a run: a disk that spoils what was just repaired is not fed again.
    if chunk.blob not in tally.repaired and _repair(chunk, world=world, replicas=replicas):
        tally.repaired.append(chunk.blob)
        # Looked at again at the next turn, which then ends the quarantine.
        Chunk.objects.filter(pk=chunk.pk, state__in=ARCHIVED).update(verified_at=chunk.verified_at)
    if first:
        log.error("a stored blob is bad", chunk=str(chunk.pk), blob=chunk.blob, reason=str(error))
        _tell(chunk, error=error)


def _repair(chunk: Chunk, *, world: Installation, replicas: Sequence[Replica]) -> bool:
    """True when a replica had the right bytes and they are stored now; the bad ones were put aside."""
    found = (copy for replica in replicas if (copy := replica(chunk.blob)) is not None)
    copy = next((copy for copy in found if hashlib.sha256(copy).hexdigest() == chunk.blob), None)
    if copy is None:
        return False
    try:
        _put_aside(chunk, world)
        world.blobs.replace(copy, name=chunk.blob)
    except LucidError as error:
        # The others of its page are verified all the same; it is tried again at its next turn.
        log.error("blob not restored", chunk=str(chunk.pk), blob=chunk.blob, reason=str(error))
        return False
    log.warning("blob restored from a replica", chunk=str(chunk.pk), blob=chunk.blob)
    return True


def _put_aside(chunk: Chunk, world: Installation) -> None:
    """What was found instead of the blob is evidence."""
    if world.blobs.exists(chunk.blob):
        try:
            found = _as_found(chunk.blob, world)
        except Retryable as error:
            log.warning("what cannot be read is not kept aside", blob=chunk.blob, reason=str(error))
            return
        name = f"{chunk.blob[:16]}.{hashlib.sha256(found).hexdigest()[:16]}"
        world.blobs.put_aside(found, name=name)


def _as_found(blob: str, world: Installation) -> bytes:
    try:
        return world.blobs.get(blob)
    except Tampered:
        return world.blobs.start(blob, 1024 * 1024)  # the beginning of what is longer than any blob


def _tell(chunk: Chunk, *, seconds: float = 0.0, error: LucidError | None = None) -> None:
    kind = type(error).__name__ if error else ""
    outcome = observation.StageDone(
        "scrub", seconds, "quarantined" if error else "success", chunk.blob_length, kind
    )
    observation.tell(outcome)


def oldest_unverified_seconds() -> float:
    """How long the longest-neglected stored blob was not verified; its storing, read back, counts."""
    ages = [0.0]
    for state in ARCHIVED:
        for verified, stored in _in_order(state).values_list("verified_at", "stored_at")[:1]:
            ages.append((timezone.now() - (verified or stored or timezone.now())).total_seconds())
    return max(ages)
