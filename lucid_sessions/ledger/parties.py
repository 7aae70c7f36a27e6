"""Who can vouch for a log from outside, whatever way they do it."""

from datetime import datetime, timedelta
from typing import Protocol

from lucid_sessions.ledger.anchors import Anchor
from lucid_sessions.ledger.log import Log


class Party(Protocol):
    """Somebody outside. Errors of all: Retryable when they are away, Refused or Tampered when it is worse."""

    @property
    def name(self) -> str:
        """What we call them: a part of the names of their files, and of metrics."""

    @property
    def kind(self) -> str:
        """How the names of their proofs end."""

    @property
    def every(self) -> timedelta:
        """How often they are asked at most, while the log grows."""

    def unfinished(self, log: Log, /) -> bool:
        """True if they are to be asked although it is not time yet."""

    def vouch(self, log: Log, note: bytes) -> Anchor | None:
        """Their word for this newest checkpoint, or for an older one that they were asked for before.

        None: it is not final yet; ask again.
        """

    def verify(self, proof: bytes, note: bytes) -> datetime:
        """When, as they say, this checkpoint existed. Tampered: they did not say so."""
