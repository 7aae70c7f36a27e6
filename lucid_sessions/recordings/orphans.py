"""Blobs that nothing refers to: what a worker left that died, or lost its claim, after its write.

A blob is an orphan only if the row for its place, found by the binding and sequence in its header, is
archived with another blob, or expired. A blob without a row is kept: the database may be the older of the
two, and `rebuild` makes the row from it.
"""

import time
from itertools import islice

import structlog

from lucid_sessions import archive
from lucid_sessions.errors import LucidError

from . import tombstones, upkeep
from .installation import Installation
from .lifecycle import ARCHIVED, State
from .models import Chunk, SessionKey

log = structlog.get_logger(__name__)

# Younger blobs may be on their way to their row.
OLD_SECONDS = 3600.0
# A turn looks at so many names; the next one goes on behind them.
NAMES_A_TURN = 20_000
_LOT = 500


def collect(world: Installation, *, older_than_seconds: float = OLD_SECONDS, most: int = NAMES_A_TURN) -> int:
    """How many orphans were removed from the next part of the blob store."""
    after = str(upkeep.recall("orphans").get("after", ""))
    names = islice(world.blobs.names(after=after), most)
    gone = seen = 0
    while lot := list(islice(names, _LOT)):
        gone += sum(_removed(world, name, older_than_seconds) for name in _unnamed(lot))
        seen, after = seen + len(lot), lot[-1]
    upkeep.note("orphans", {"after": after if seen == most else ""})
    return gone


def _unnamed(lot: list[str]) -> list[str]:
    """Names that no row claims: an expired chunk has nothing to claim any more."""
    rows = Chunk.objects.filter(blob__in=lot).exclude(state=State.EXPIRED)
    known = set(rows.order_by().values_list("blob", flat=True))
    return [name for name in lot if name not in known]


def _removed(world: Installation, name: str, older_than_seconds: float) -> bool:
    try:
        if not (_is_old(world, name, older_than_seconds) and _is_orphan(world, name)):
            return False
        world.blobs.delete(name)
    except LucidError as error:
        log.warning("not known whether this blob is an orphan", blob=name, reason=str(error))
        return False
    log.info("orphan removed", blob=name)
    return True


def _is_old(world: Installation, name: str, seconds: float) -> bool:
    return world.blobs.written_at(name) < time.time() - seconds


def _is_orphan(world: Installation, name: str) -> bool:
    header = archive.read_header(world.blobs.start(name, archive.HEADER))
    key = SessionKey.objects.filter(binding=header.binding.hex()).first()
    if key is None:
        return False
    row = Chunk.objects.filter(session=key.session_id, track=key.track, sequence=header.sequence).first()
    if row is None:
        # Kept for `rebuild`, unless its session has expired.
        return tombstones.is_gone(key.session_id)
    # The name is compared again: the row may have been written since the list was made.
    return row.state == State.EXPIRED or (row.state in ARCHIVED and row.blob not in ("", name))
