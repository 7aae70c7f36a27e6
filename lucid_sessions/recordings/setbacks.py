"""What happens to a chunk whose step failed: wait, quarantine, or start again from its segment.

`Retryable` of the environment waits without limit, with the reason shown. `Refused` is the chunk's own
fault: eight attempts at one stage, then quarantine. `Tampered` quarantines at once and is an alarm.
What is missing between two stages is computed anew: back to CAPTURED. Quarantine keeps every byte;
`manage.py requeue` puts a chunk back.
"""

import random
from datetime import timedelta
from typing import Literal

import structlog
from django.utils import timezone

from lucid_sessions.errors import LucidError, Refused, Tampered

from . import leases, observation
from .lifecycle import State
from .models import Chunk
from .scratch import Recompute

log = structlog.get_logger(__name__)

MOST_ATTEMPTS = 8
FIRST_WAIT = 1.0
LONGEST_WAIT = 300.0


class Final(Refused):
    """The chunk's own fault, and trying again cannot help."""


def record(chunk: Chunk, *, stage: str, error: LucidError) -> None:
    """Write on the row what failed and when it is tried again, or that it will not be."""
    outcome = _record(chunk, stage=stage, error=error)
    observation.tell(observation.StageDone(stage, 0.0, outcome, chunk.raw_length, type(error).__name__))
    level = "error" if outcome == "quarantined" else "warning"
    getattr(log, level)(f"chunk {outcome}", chunk=str(chunk.pk), stage=stage, reason=str(error))


def _record(chunk: Chunk, *, stage: str, error: LucidError) -> Literal["waits", "quarantined", "recompute"]:
    reason = f"{stage}: {error}"
    if isinstance(error, Recompute):
        leases.settle(chunk, state=State.CAPTURED, losses=0, reason=reason, hinted_at=None)
        return "recompute"
    attempts = chunk.attempts + 1
    now = timezone.now()
    if _hopeless(error, attempts):
        leases.settle(chunk, attempts=attempts, losses=0, reason=reason, quarantined_at=now)
        return "quarantined"
    due = now + timedelta(seconds=wait(attempts))
    leases.settle(chunk, attempts=attempts, losses=0, reason=reason, next_attempt_at=due, hinted_at=None)
    return "waits"


def _hopeless(error: LucidError, attempts: int) -> bool:
    if isinstance(error, Tampered | Final):
        return True
    return isinstance(error, Refused) and attempts >= MOST_ATTEMPTS


def wait(attempts: int) -> float:
    """Seconds until the next attempt: doubling, bounded, and jittered so that crowds come spread out."""
    longest = min(LONGEST_WAIT, FIRST_WAIT * 2 ** min(attempts - 1, 16))
    return longest * random.uniform(0.5, 1.0)  # noqa: S311 - jitter, not a secret
