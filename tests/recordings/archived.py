"""Sealed sessions of any age, and what is left of them when they go."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from django.utils import timezone

from lucid_sessions.recordings import reconcile, sealing, shredding
from lucid_sessions.recordings.installation import Installation
from lucid_sessions.recordings.lifecycle import Status
from lucid_sessions.recordings.models import Chunk, Session
from tests import factories


def sealed(
    world: Installation, *, days_old: float = 0, segments: int = 2, name: str = "old", **fields: Any
) -> Session:
    """A session that ended so long ago and has been sealed."""
    session = factories.recorded_session(world, segments=segments, name=name)
    reconcile.work_inline(world)
    Session.objects.filter(pk=session.pk).update(ended_at=timezone.now() - timedelta(days=days_old), **fields)
    session.refresh_from_db()
    assert session.status == Status.COMPLETED
    return session


@dataclass(frozen=True)
class Left:
    """How much of a session there is on the disks."""

    keys: int
    blobs: int
    spooled: int
    scratch: int


NOTHING = Left(0, 0, 0, 0)


def left(session: Session, world: Installation) -> Left:
    """What is left of the session."""
    chunks = Chunk.objects.filter(session=session)
    names = set(chunks.exclude(blob="").values_list("blob", flat=True))
    ids = {str(pk) for pk in chunks.values_list("pk", flat=True)}
    return Left(
        keys=len(world.keys.sealed_keys(session.pk)),
        blobs=sum(world.blobs.exists(name) for name in names),
        spooled=sum(path.is_file() for path in (world.spool_root / "takes" / session.pk.hex).rglob("*")),
        scratch=sum(path.name.split(".")[0] in ids for path in world.scratch.root.glob("*")),
    )


def finish(session: Session, world: Installation) -> Session:
    """The session after everybody had their turns: whoever shreds, and the sealer."""
    for _ in range(3):
        shredding.tick(world)
        sealing.seal(world)
    session.refresh_from_db()
    return session
