"""What expired leaves the spools: each is cleared by its own host, which confirms it."""

import shutil
from contextlib import suppress
from uuid import UUID

import structlog
from django.utils import timezone

from lucid_sessions.durable import blaming, sync_directory
from lucid_sessions.errors import Retryable

from .installation import Installation
from .lifecycle import Status
from .models import Chunk, Session, Take
from .spool_mirror import mirror_of

log = structlog.get_logger(__name__)

# Keys in one query.
AT_ONCE = 1000


def clear_spool(session: UUID, world: Installation, _limit: int) -> int:
    """Remove what the spool mounted here still has of the session, and confirm it."""
    if not (world.spool_root / "id").is_file():
        return 0
    mine = world.spool.identity
    takes = Take.objects.filter(session=session, spool=mine, cleared_at__isnull=True)
    files = Chunk.objects.filter(session=session, spool=mine, path__gt="")
    # What was adopted of a take that is still another's has a directory here, too.
    if not (takes.exists() or files.exists() or (world.spool_root / "takes" / session.hex).is_dir()):
        return 0
    for chunk in Chunk.objects.filter(session=session, spool=mine).order_by().values_list("pk", flat=True):
        world.scratch.forget(chunk)
    _remove_tree(world, session)
    files.update(path="")
    takes.update(cleared_at=timezone.now())
    return 0


def _remove_tree(world: Installation, session: UUID) -> None:
    tree = world.spool_root / "takes" / session.hex
    aside = world.spool_root / "quarantine"
    with blaming("delete", tree):
        if tree.is_dir():
            shutil.rmtree(tree)
        sync_directory(tree.parent)
        for path in aside.glob(f"{session.hex}_*"):
            path.unlink(missing_ok=True)


def clear_here(world: Installation) -> int:
    """How many expiring sessions were looked at by the host of this spool, which alone can clear it."""
    expiring = Session.objects.filter(status=Status.EXPIRING).order_by("ended_at", "pk")
    mine = list(expiring.values_list("pk", flat=True)[:AT_ONCE])
    for session in mine:
        clear_spool(session, world, 0)
    if (world.spool_root / "id").is_file():
        _clear_late(world)
    return len(mine)


def _clear_late(world: Installation) -> None:
    """What a host has that was taken for lost, and returned: nobody waited for it to confirm anything."""
    there = sorted(_sessions_here(world))
    for start in range(0, len(there), AT_ONCE):
        gone = Session.objects.filter(pk__in=there[start : start + AT_ONCE], status=Status.DELETED)
        for session in gone.order_by().values_list("pk", flat=True):
            try:
                _remove_late(world, session)
            except Retryable as error:
                log.warning("what was shredded is not cleared yet", session=str(session), reason=str(error))


def _remove_late(world: Installation, session: UUID) -> None:
    if mirror := mirror_of(world):
        for copy in mirror.copies(world.spool.identity, session=session):
            mirror.forget(copy)
    _remove_tree(world, session)
    log.warning("cleared of what was shredded without this host", session=str(session))


def _sessions_here(world: Installation) -> set[UUID]:
    """The sessions of which there is anything in this spool."""
    found = set()
    for folder in ("takes", "quarantine"):
        for path in (world.spool_root / folder).glob("*"):
            with suppress(ValueError):
                found.add(UUID(hex=path.name.partition("_")[0]))
    return found
