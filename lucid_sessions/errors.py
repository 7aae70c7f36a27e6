"""Three ways to fail: try again, refuse, or sound the alarm.

Adapters at the edge (file system, database, broker) translate what they meet into one of these;
the core decides by the family alone.
"""


class LucidError(Exception):
    """Something went wrong; the message says what, to what, and what to do."""


class Retryable(LucidError):
    """The environment failed (store, disk, database, spool, shutdown); the same call may succeed later."""


class FullyUsed(Retryable):
    """There is no room for one more now; nothing is broken."""


class Refused(LucidError):
    """The thing itself is wrong and will stay so; a person has to look."""


class Tampered(LucidError):
    """The bytes are not what was sealed; never retry, always report."""
