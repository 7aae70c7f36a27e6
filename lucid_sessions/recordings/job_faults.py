"""What is made of a job that failed: whether it is tried again, and when."""

from datetime import datetime, timedelta

import structlog
from django.utils import timezone

from lucid_sessions.errors import LucidError, Refused, Retryable
from recorder.errors import DiskFull, RecorderError, SpoolUnwritable

log = structlog.get_logger(__name__)

# A restart is over in seconds; what is away for hours is asked every few minutes.
FIRST_WAIT, LONGEST_WAIT = timedelta(seconds=15), timedelta(minutes=4)


def wait_of(asked_at: datetime) -> timedelta:
    """How long a job waits for what it lacks: a tenth of its age, within bounds."""
    return min(LONGEST_WAIT, max(FIRST_WAIT, (timezone.now() - asked_at) / 10))


def as_ours(error: Exception) -> LucidError:
    """What the encoder, or a defect, may throw at one job ends that job, or it would come back for ever."""
    if isinstance(error, LucidError):
        return error
    if isinstance(error, DiskFull | SpoolUnwritable):
        return Retryable(str(error))
    if isinstance(error, MemoryError):
        return Retryable("This runner has too little memory for it. Give it more.")
    if isinstance(error, RecorderError | OSError):
        return Refused(str(error))
    log.exception("a defect, or a job that nobody foresaw", exc_info=error)
    return Refused(f"unexpected {type(error).__name__}: {error}")
