"""The receipt of a shredding: the log's own record of it, with the proof that the record is in the log."""

from typing import Any

from lucid_sessions.errors import Refused, Retryable

from .installation import Installation
from .lifecycle import Status
from .models import LedgerRecord, Session


def shredded(session: Session) -> LedgerRecord | None:
    """The record that says that nothing of the session is left; None before."""
    return LedgerRecord.objects.filter(key=f"shredded:{session.pk}").first()


def receipt(session: Session, *, world: Installation) -> dict[str, Any]:
    """What an outsider needs to check that this log recorded the shredding: no secret, no name.

    The record's leaf is SHA-256(0x00 || entry); with the proof it gives the checkpoint's root (RFC 6962).
    """
    record = shredded(session)
    if record is None:
        if session.status not in (Status.EXPIRING, Status.DELETED):
            raise Refused(f'Session "{session.name}" is {session.status}: it was not shredded.')
        raise Retryable(f'The shredding of session "{session.name}" is not recorded yet.')
    tree = world.log().tree()
    if record.index >= tree.size:
        raise Retryable(f"Record {record.index} is not below a checkpoint yet: the sealer publishes it soon.")
    return {
        "format": "lucid/1 shredding receipt",
        "session": str(session.pk),
        "index": record.index,
        "entry": tree.record(record.index).decode(),
        "proof": [one.hex() for one in tree.inclusion_proof(record.index, size=tree.size)],
        "checkpoint": world.log().checkpoint_text(),
        "log": world.keys.log_vkey,
    }
