"""Blobs that nothing refers to: what a worker left that died, or lost its claim, after its write.

A blob is an orphan only if the row for its place, found by the binding and sequence in its header, is
archived with another blob, or expired. A blob without a row is kept: the database may be the older of the
two, and `rebuild` makes the row from it.
"""

import os
import time
from collections.abc import Iterator
from itertools import islice
from uuid import UUID

import structlog

from lucid_sessions import archive
from lucid_sessions.errors import LucidError

from .installation import Installation
from .lifecycle import ARCHIVED, State
from .models import Chunk, SessionKey

log = structlog.get_logger(__name__)

# Younger blobs may be on their way to their row.
OLD_SECONDS = 3600.0
_LOT = 500


def collect(world: Installation, *, older_than_seconds: float = OLD_SECONDS) -> int:
    """How many orphans were removed from the blob store."""
    bindings: dict[bytes, tuple[UUID, str]] = {}
    gone = 0
    for names in _unnamed(world):
        bindings = bindings or _bindings()
        for name in names:
            try:
                if _is_old(world, name, older_than_seconds) and _is_orphan(world, name, bindings):
                    world.blobs.delete(name)
                    gone += 1
            except LucidError as error:
                log.warning("not known whether this blob is an orphan", blob=name, reason=str(error))
    return gone


def _unnamed(world: Installation) -> Iterator[list[str]]:
    """Names of stored blobs that no row names, in lots."""
    names = world.blobs.names()
    while lot := list(islice(names, _LOT)):
        known = set(Chunk.objects.filter(blob__in=lot).values_list("blob", flat=True))
        if strange := [name for name in lot if name not in known]:
            yield strange


def _bindings() -> dict[bytes, tuple[UUID, str]]:
    """Session and track by the binding that a blob's header holds."""
    keys = SessionKey.objects.values_list("session_id", "track")
    return {archive.session_binding(session, track): (session, track) for session, track in keys}


def _is_old(world: Installation, name: str, seconds: float) -> bool:
    with world.blobs.open(name) as blob:
        return os.fstat(blob.fileno()).st_mtime < time.time() - seconds


def _is_orphan(world: Installation, name: str, bindings: dict[bytes, tuple[UUID, str]]) -> bool:
    with world.blobs.open(name) as blob:
        header = archive.read_header(blob.read(archive.HEADER))
    session, track = bindings.get(header.binding, (None, ""))
    row = Chunk.objects.filter(session=session, track=track, sequence=header.sequence).first()
    if row is None:
        return False
    # The name is compared again: the row may have been written since the list was made.
    return row.state == State.EXPIRED or (row.state in ARCHIVED and row.blob not in ("", name))
