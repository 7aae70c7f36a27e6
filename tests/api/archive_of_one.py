"""A session that went all the way: recorded, stored, anchored, sealed."""

from typing import Any

from lucid_sessions.recordings import pipeline, sealing
from lucid_sessions.recordings.installation import Installation
from lucid_sessions.recordings.models import Chunk, Session

from ..factories import recorded_session

STAGES = ["capture", "compress", "encrypt", "store"]


def sealed_session(world: Installation, *, owner: Any = None, segments: int = 2) -> Session:
    """A completed session with its chunks in the archive."""
    session = recorded_session(world, segments=segments)
    Session.objects.filter(pk=session.pk).update(owner=owner)
    ids = list(Chunk.objects.filter(session=session).values_list("pk", flat=True))
    pipeline.run(STAGES, ids, world=world)
    sealing.seal(world)
    session.refresh_from_db()
    assert session.status == "completed", session.status
    return session
