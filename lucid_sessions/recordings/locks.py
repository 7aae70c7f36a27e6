"""Legal holds, where the store can enforce them too: objects in a bucket with Object Lock (`lock=on`).

The hold in the session's row is what counts for us. The lock holds against everybody else with
credentials. It follows the hold within a minute, and covers what is stored later as well. What is noted of
locks counts for the stores that it was noted of, and for a day: a blob that was written anew has none.
"""

import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from uuid import UUID

import structlog

from lucid_sessions.blobs import Blobs, S3Blobs
from lucid_sessions.errors import LucidError, Retryable

from . import upkeep
from .installation import Installation
from .lifecycle import ARCHIVED
from .models import Chunk, Session

log = structlog.get_logger(__name__)

NAME = "locks"
THREADS = 8
# Noted before a session's blobs are touched: who dies then may have locked some, and they are seen to again.
UNDER_WAY = -1
AGAIN_SECONDS = 24 * 3600.0
# A turn may last longer than the time to the next: that one would begin with the same sessions.
_turn = threading.Lock()


def tick(world: Installation) -> int:
    """How many blobs were locked or unlocked, so that those of held sessions are locked and no others.

    What keeps one session's from it is raised once all others were seen to.
    """
    if not any(isinstance(layer, S3Blobs) and layer.bucket.where.lock for layer in world.layers):
        return 0
    if not _turn.acquire(blocking=False):
        return 0
    try:
        return _see_to_all(world)
    finally:
        _turn.release()


def _see_to_all(world: Installation) -> int:
    known = _known(world)
    changed = 0
    failure: LucidError | None = None
    for session in Session.objects.exclude(holds=[]).only("pk", "holds"):
        blobs = _blobs(session.pk)
        wanted = len(blobs) if session.active_holds else 0
        if known.get(str(session.pk), 0) == wanted:
            continue
        known = _noted(known, session.pk, UNDER_WAY)
        try:
            _each(blobs, world.blobs.lock if wanted else world.blobs.unlock, store=world.blobs)
        except LucidError as error:
            if not world.blobs.present():
                raise
            log.error("blobs not locked, or not unlocked", session=str(session.pk), reason=str(error))
            failure = error
            continue
        log.info("blobs of a session", session=str(session.pk), locked=wanted)
        changed += len(blobs)
        known = _noted(known, session.pk, wanted)
    if failure is not None:
        raise failure
    return changed


def forget() -> None:
    """Nothing is known of any lock: every session that was ever held is seen to again."""
    upkeep.forget(NAME)


def _known(world: Installation) -> dict[str, int]:
    """How many blobs of each session are locked, those left out that are to be seen to again."""
    facts, now = upkeep.recall(NAME), time.time()
    stores, known = [world.blobs_url, *world.also, world.tier_url], dict(facts.get("sessions", {}))
    if facts.get("stores") != stores:
        ever = Session.objects.exclude(holds=[]).values_list("pk", flat=True)
        known = {str(pk): UNDER_WAY for pk in ever}
    elif 0 <= now - facts["at"] < AGAIN_SECONDS:
        return known
    known = dict.fromkeys(known, UNDER_WAY)
    upkeep.note(NAME, {"stores": stores, "at": now, "sessions": known})
    return known


def _noted(known: dict[str, int], session: UUID, count: int) -> dict[str, int]:
    known = {**known, str(session): count}
    locked = {pk: number for pk, number in known.items() if number}
    upkeep.note(NAME, {**upkeep.recall(NAME), "sessions": locked})
    return known


def _blobs(session: UUID) -> list[str]:
    stored = Chunk.objects.filter(session=session, state__in=ARCHIVED).order_by()
    return list(stored.values_list("blob", flat=True))


def _each(names: list[str], act: Callable[[str], None], *, store: Blobs) -> None:
    def see_to(name: str) -> None:
        try:
            act(name)
        except Retryable:
            if store.exists(name):
                raise
            # Scrub sounds the alarm. It must not keep the others from their locks.
            log.warning("a blob that is missing cannot be locked", blob=name)

    with ThreadPoolExecutor(THREADS) as pool:
        list(pool.map(see_to, names))
