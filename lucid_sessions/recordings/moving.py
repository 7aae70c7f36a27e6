"""Blobs move to another store while everything runs: all of them (`migrate`), or the old ones (`tier`,
`tick`).

A blob is copied, verified where it arrived, and only then removed from where it was. Readers ask every store
that the settings name, so they find it all the time. Nothing is noted down: what is still where it was is
what remains to be done. A session that expires meanwhile has its blobs deleted from all stores; whoever
copied one after that finds so by its row, and deletes the copy.
"""

import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import timedelta
from itertools import islice
from typing import Any

import structlog
from django.conf import settings
from django.db.models import QuerySet
from django.utils import timezone

from lucid_sessions.blobs import Blobs, carry
from lucid_sessions.errors import Refused, Tampered

from . import failpoints, upkeep
from .installation import Installation
from .lifecycle import ARCHIVED, ENDED, State
from .models import Chunk, Session

log = structlog.get_logger(__name__)

TICK_SECONDS = 300.0
LOT = 100
THREADS = 8
# A tick moves the blobs of so many sessions, and stops after so many blobs.
SESSIONS_A_TICK = 50
BLOBS_A_TICK = 2_000
# Then it looks at all of them anew.
AGAIN_SECONDS = 28 * 24 * 3600.0


@dataclass
class Moved:
    """What went where it should, how much of it was copied, and what could not be had."""

    blobs: int = 0
    copied: int = 0
    copied_bytes: int = 0
    removed: int = 0
    problems: list[str] = field(default_factory=list)


def migrate(
    world: Installation, *, keep: bool = False, tell: Callable[[Moved], None] = lambda _: None
) -> Moved:
    """Everything that LUCID_STORAGE_ALSO names is in the front store, verified, and gone from there.

    With `keep` it also stays where it was. Refused when there is nowhere to move from.
    """
    if not world.also:
        raise Refused(
            "Nothing to migrate from: set LUCID_STORAGE_ALSO to the old store, STORAGE_URL to the new one."
        )
    moved = Moved()
    for source in world.layers[1 : 1 + len(world.also)]:
        for lot in _lots(source.names()):
            _move(lot, moved, source=source, target=world.front, keep=keep)
            tell(moved)
    return moved


def tier(world: Installation, *, tell: Callable[[Moved], None] = lambda _: None) -> Moved:
    """Every blob of sessions that ended LUCID_STORAGE_TIER_DAYS ago is in the store for old ones."""
    moved = Moved()
    for status in ENDED:
        place = None
        while page := list(upkeep.after(_old(status), place)[:SESSIONS_A_TICK]):
            for session in page:
                _to_tier(session, moved, world)
            place = upkeep.place_of(page[-1])
            tell(moved)
    return moved


def tick(world: Installation) -> int:
    """How many blobs went there in this turn, which goes on behind the session that the last one saw."""
    if not world.tier_url:
        return 0
    moved = Moved()
    for status in ENDED:
        name = f"tier {status}"
        facts = _known(name, world)
        for session in upkeep.after(_old(status), facts.get("at"))[:SESSIONS_A_TICK]:
            _to_tier(session, moved, world)
            upkeep.note(name, {**facts, "at": upkeep.place_of(session)})
            if moved.blobs >= BLOBS_A_TICK:
                break
    for problem in moved.problems:
        log.error("not moved to the store for old blobs", reason=problem)
    return moved.removed


def _known(name: str, world: Installation) -> dict[str, Any]:
    """How far the turns have come; nowhere, with other stores or after a month: some came late, or back."""
    facts, now = upkeep.recall(name), time.time()
    stores = [world.blobs_url, *world.also, world.tier_url]
    if facts.get("stores") == stores and 0 <= now - facts["since"] < AGAIN_SECONDS:
        return facts
    return {"stores": stores, "since": now}


def _old(status: str) -> QuerySet[Session]:
    before = timezone.now() - timedelta(days=settings.LUCID_STORAGE_TIER_DAYS)
    return Session.objects.filter(status=status, ended_at__lt=before, sealed_revision__gt=0)


def _to_tier(session: Session, moved: Moved, world: Installation) -> None:
    for source in world.layers[:-1]:
        _move_session(session, moved, source=source, target=world.layers[-1])


def _move_session(session: Session, moved: Moved, *, source: Blobs, target: Blobs) -> None:
    chunks = Chunk.objects.filter(session=session.pk, state__in=ARCHIVED).order_by("track", "sequence")
    for lot in _lots(chunks.values_list("blob", flat=True).iterator()):
        there = [name for name in lot if source.exists(name)]
        _move(there, moved, source=source, target=target, keep=False)


def _move(names: list[str], moved: Moved, *, source: Blobs, target: Blobs, keep: bool) -> None:
    def copy(name: str) -> tuple[int, bool] | str:
        try:
            return carry(name, source=source, target=target)
        except Tampered as error:
            return f"{error} (it stays where it is)"

    with ThreadPoolExecutor(THREADS) as pool:
        found = dict(zip(names, pool.map(copy, names), strict=True))
    failpoints.reach("move.copied")
    arrived = [name for name, done in found.items() if not isinstance(done, str)]
    _take_back_expired(arrived, source=source, target=target)
    _lock_held(arrived, source=source, target=target)
    for name, done in found.items():
        if isinstance(done, str):
            moved.problems.append(done)
            continue
        moved.blobs += 1
        moved.copied += done[1]
        moved.copied_bytes += done[0] if done[1] else 0
        if not keep:
            source.delete(name)
            moved.removed += 1
    failpoints.reach("move.removed")


def _take_back_expired(names: list[str], *, source: Blobs, target: Blobs) -> None:
    """A shredding may have deleted a blob between our reading and our writing it: its row says so."""
    rows = Chunk.objects.filter(blob__in=names)
    expired = set(rows.filter(state=State.EXPIRED).order_by().values_list("blob", flat=True))
    alive = set(rows.exclude(state=State.EXPIRED).order_by().values_list("blob", flat=True))
    for name in expired - alive:
        target.delete(name)
        source.delete(name)


def _lock_held(names: list[str], *, source: Blobs, target: Blobs) -> None:
    """What is under legal hold is locked where it arrives, and may be deleted from where it was."""
    sessions = dict(Chunk.objects.filter(blob__in=names).order_by().values_list("blob", "session"))
    held = {row.pk for row in Session.objects.filter(pk__in=set(sessions.values())) if row.active_holds}
    for name, session in sessions.items():
        if session in held:
            target.lock(name)
            source.unlock(name)


def usage(store: Blobs) -> tuple[int, int]:
    """Blobs in a store, and their bytes: by looking at every one."""
    count = size = 0
    for _, length in store.sizes():
        count, size = count + 1, size + length
    return count, size


def _lots(names: Iterable[str]) -> Iterator[list[str]]:
    rest = iter(names)
    while lot := list(islice(rest, LOT)):
        yield lot
