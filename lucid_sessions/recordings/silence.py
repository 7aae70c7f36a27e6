"""Whether another recorder's host is silent: only who has listened all the while can tell.

Leases run out by the clock, also while nobody could renew them: the database was away, or the machines stood
still. Who looks first thereafter finds everybody's lease over, and would take over what others still record.
"""

import time
from datetime import timedelta

from django.utils import timezone

from .models import Take

# A host that was silent for this long has lost its takes to whoever asks.
LEASE = timedelta(seconds=30)
FURTHEST = timedelta(minutes=5)
# Who could not look for so long then gives the others as long to renew their leases: each does every 2 s.
PATIENCE_SECONDS = 10.0


class Listener:
    """One host's ear: tell it of every look at the database, however the last ones went."""

    def __init__(self, *, patience: float = PATIENCE_SECONDS) -> None:
        self._patience = patience
        self._looked: float | None = None
        self._hears_from = 0.0

    def looked(self) -> None:
        """The database has just answered."""
        now = time.monotonic()
        if self._looked is not None and now - self._looked > self._patience:
            self._hears_from = now + self._patience
        self._looked = now

    def is_silent(self, take: Take) -> bool:
        """True when the host of this take, just read, has not renewed it while we listened.

        A lease far ahead was written under another clock.
        """
        self.looked()
        now = timezone.now()
        is_over = not now < take.lease_until < now + FURTHEST
        return is_over and time.monotonic() >= self._hears_from
