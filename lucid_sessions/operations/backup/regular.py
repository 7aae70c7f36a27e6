"""Backups by schedule: where LUCID_BACKUP_URL says, every LUCID_BACKUP_HOURS."""

import time
from pathlib import Path

import structlog
from django.conf import settings

from lucid_sessions.recordings import upkeep
from lucid_sessions.recordings.installation import Installation

from . import making
from .retaining import Policy
from .shelves import place_of

log = structlog.get_logger(__name__)

TICK_SECONDS = 600.0


def make_if_due(world: Installation) -> making.Made | None:
    """The backup that was due, made; None when none is, or none is wished.

    One with a problem that was not known before is no good one: that is said, and it is made again, after
    pauses that grow.
    """
    if not settings.LUCID_BACKUP_URL or not _is_due():
        return None
    if not (world.keys_root / "slots").is_dir():
        # A service that has only its own keys: what it backed up could not be restored. Another job does it.
        return None
    keys = settings.LUCID_BACKUP_KEYS
    made = making.make(
        world,
        making.Orders(
            shelf=place_of(settings.LUCID_BACKUP_URL),
            keys=Path(keys).absolute() if keys else None,
            policy=Policy(days=settings.LUCID_BACKUP_KEEP_DAYS),
            keys_days=settings.LUCID_BACKUP_KEEP_DAYS,
        ),
    )
    for problem in made.problems:
        log.error("backup is not whole", snapshot=made.snapshot, problem=problem)
    log.info("backed up", snapshot=made.snapshot, blobs=made.blobs, new=made.new_blobs)
    return made


def _is_due() -> bool:
    """True when the last good backup is too old, and none with problems was made just now."""
    facts, now, longest = upkeep.recall(upkeep.BACKUP), time.time(), settings.LUCID_BACKUP_HOURS * 3600
    if 0 <= now - facts.get("at", 0.0) < longest:
        return False
    tries = int(facts.get("with_problems", 0))
    pause = min(TICK_SECONDS * 2 ** min(tries - 1, 20), longest) if tries else 0
    return not 0 <= now - facts.get("tried_at", 0.0) < pause
