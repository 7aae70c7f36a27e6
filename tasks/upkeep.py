"""The archive's upkeep by schedule, on the `maintenance` queue: retention, quota, scrub. Adapters only."""

from collections.abc import Callable

import structlog

from lucid_sessions.errors import LucidError
from lucid_sessions.recordings import quota as quotas
from lucid_sessions.recordings import retention as keeping
from lucid_sessions.recordings import scrub as scrubbing
from lucid_sessions.recordings.installation import installation

from . import schedule
from .celery import app

log = structlog.get_logger(__name__)

SCHEDULE = {
    "retention": {"task": "upkeep.retention", "schedule": keeping.TICK_SECONDS, "options": {"expires": 60}},
    "quota": {"task": "upkeep.quota", "schedule": quotas.TICK_SECONDS, "options": {"expires": 30}},
    "scrub": {"task": "upkeep.scrub", "schedule": scrubbing.TICK_SECONDS, "options": {"expires": 60}},
}
schedule.app.conf.beat_schedule |= SCHEDULE
app.conf.task_routes |= {entry["task"]: {"queue": "maintenance"} for entry in SCHEDULE.values()}


@app.task(name="upkeep.retention", ignore_result=True)
def retention() -> None:
    """Let go what is too old, and get on with what is expiring."""
    _tick(lambda: keeping.tick(installation()))


@app.task(name="upkeep.quota", ignore_result=True)
def quota() -> None:
    """Count what is used, and stop what runs away."""
    _tick(quotas.tick)


@app.task(name="upkeep.scrub", ignore_result=True)
def scrub() -> None:
    """Verify the longest unverified blobs."""
    _tick(lambda: scrubbing.tick(installation()))


def _tick(work: Callable[[], object]) -> None:
    """Do it; what cannot be done now is said, and the next tick tries again."""
    try:
        work()
    except LucidError as error:
        log.warning("upkeep waits", reason=str(error))
