"""What remains of an expired session: rows that say it existed, and keep anything of it from coming back."""

from datetime import datetime
from uuid import UUID

from django.db.models import F
from django.utils import timezone

from lucid_sessions.blobs import Blobs
from lucid_sessions.errors import Retryable

from .lifecycle import State, Status
from .models import Chunk, Session

GONE = (Status.EXPIRING, Status.DELETED)


def is_gone(session_id: UUID) -> bool:
    """True when the session expired: nothing of it may be filed, stored or kept any more."""
    return Session.objects.filter(pk=session_id, status__in=GONE).exists()


def oldest_expiring_seconds() -> float:
    """How long the session that waits longest for its end has been expiring; 0 when none is."""
    expiring = Session.objects.filter(status=Status.EXPIRING).order_by().values_list("expiry", flat=True)
    begun = [at for expiry in expiring if (at := (expiry or {}).get("at"))]
    # Times of one form and zone, so the smallest text is the earliest.
    return max(0.0, (timezone.now() - datetime.fromisoformat(min(begun))).total_seconds()) if begun else 0.0


def bury(session_id: UUID) -> int:
    """How many chunks of a session that is gone were still on their way or stored; now they are expired.

    The fence and the lost token end every claim on them: whoever works on one cannot commit it.
    """
    left = Chunk.objects.filter(session=session_id).exclude(state=State.EXPIRED)
    return left.update(
        state=State.EXPIRED, token="", lease_until=None, next_attempt_at=None, fence=F("fence") + 1
    )


def delete_blobs(names: list[str], *, of: UUID, store: Blobs) -> None:
    """These blobs of an expiring session are gone, though a lock of its last hold may not be off yet."""
    for name in names:
        try:
            store.delete(name)
        except Retryable:
            row = Session.objects.filter(pk=of, status__in=GONE).exclude(holds=[]).first()
            if row is None or row.active_holds:
                raise
            store.unlock(name)
            store.delete(name)
