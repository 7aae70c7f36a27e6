"""Legal holds, where the store can enforce them too: objects in a bucket with Object Lock (`lock=on`).

The hold in the session's row is what counts for us. The lock holds against everybody else with
credentials. It follows the hold within a minute, and covers what is stored later as well.
"""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from uuid import UUID

import structlog

from lucid_sessions.blobs import S3Blobs

from . import upkeep
from .installation import Installation
from .lifecycle import ARCHIVED
from .models import Chunk, Session

log = structlog.get_logger(__name__)

NAME = "locks"
THREADS = 8


def tick(world: Installation) -> int:
    """How many blobs were locked or unlocked, so that those of held sessions are locked and no others."""
    if not any(isinstance(layer, S3Blobs) and layer.bucket.where.lock for layer in world.layers):
        return 0
    known: dict[str, int] = upkeep.recall(NAME).get("sessions", {})
    changed = 0
    for session in Session.objects.exclude(holds=[]).only("pk", "holds"):
        blobs = _blobs(session.pk)
        wanted = len(blobs) if session.active_holds else 0
        if known.get(str(session.pk), 0) == wanted:
            continue
        _each(world.blobs.lock if wanted else world.blobs.unlock, blobs)
        log.info("blobs of a session", session=str(session.pk), locked=wanted)
        changed += len(blobs)
        known = {**known, str(session.pk): wanted}
        upkeep.note(NAME, {"sessions": {pk: count for pk, count in known.items() if count}})
    return changed


def _blobs(session: UUID) -> list[str]:
    stored = Chunk.objects.filter(session=session, state__in=ARCHIVED).order_by()
    return list(stored.values_list("blob", flat=True))


def _each(act: Callable[[str], None], names: list[str]) -> None:
    with ThreadPoolExecutor(THREADS) as pool:
        list(pool.map(act, names))
