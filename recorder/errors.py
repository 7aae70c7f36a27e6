"""What can go wrong while recording; every message names the thing and the fix."""


class RecorderError(Exception):
    """Something about a recording went wrong; the message says what, to what, and what to do."""


class BadSettings(RecorderError):
    """A setting is outside what the recorder can do."""


class BadSource(RecorderError):
    """The source cannot be recorded as it is; trying again will not help."""


class SourceAway(BadSource):
    """The source cannot be reached now; a recording that has begun may find it again later."""


class SourceLost(RecorderError):
    """The source was being recorded and went away; what came before is kept.

    `heard_ns`: when it was last heard of, on CLOCK_MONOTONIC, if nobody knows what it showed since then.
    """

    def __init__(self, message: str, *, heard_ns: int | None = None) -> None:
        super().__init__(message)
        self.heard_ns = heard_ns


class SourceMoved(SourceLost):
    """What was being recorded is to be found elsewhere by now: at once, if it is begun anew."""


class SourceOver(RecorderError):
    """The other side ended the session on purpose: the recording is complete, and nobody connects again."""


class Unreadable(RecorderError):
    """These bytes are no recording that can be played."""


class DiskFull(RecorderError):
    """The spool's disk has no room left; what was recorded is kept."""


class SpoolUnwritable(RecorderError):
    """The spool cannot be written (permissions, read-only, input/output error)."""


Trouble = DiskFull | SpoolUnwritable | Unreadable  # what ends a track that is being written


class SpoolBusy(RecorderError):
    """Somebody else holds the lock of this spool or take."""
