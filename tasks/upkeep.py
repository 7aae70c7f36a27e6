"""The archive's upkeep by schedule, on the `maintenance` queue: retention, quota, scrub. Adapters only."""

from collections.abc import Callable

import structlog

from lucid_sessions.errors import LucidError
from lucid_sessions.operations.backup import regular as backups
from lucid_sessions.recordings import eviction, moving
from lucid_sessions.recordings import locks as locking
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
    "locks": {"task": "upkeep.locks", "schedule": keeping.TICK_SECONDS, "options": {"expires": 60}},
    "backup": {"task": "upkeep.backup", "schedule": backups.TICK_SECONDS, "options": {"expires": 300}},
    "tier": {"task": "upkeep.tier", "schedule": moving.TICK_SECONDS, "options": {"expires": 300}},
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
    _tick(eviction.tick)


@app.task(name="upkeep.scrub", ignore_result=True)
def scrub() -> None:
    """Verify the longest unverified blobs."""
    world = installation()
    _tick(lambda: scrubbing.tick(world, replicas=scrubbing.replicas(world)))


@app.task(name="upkeep.locks", ignore_result=True)
def locks() -> None:
    """Lock the objects of held sessions, where the bucket can do that."""
    _tick(lambda: locking.tick(installation()))


@app.task(name="upkeep.tier", ignore_result=True)
def tier() -> None:
    """Move the blobs of old sessions to the store for them."""
    _tick(lambda: moving.tick(installation()))


@app.task(name="upkeep.backup", ignore_result=True, acks_late=False)
def backup() -> None:
    """Make the regular backup, if one is due. It may take long, so its message is not kept open for it."""
    _tick(lambda: backups.make_if_due(installation()))


def _tick(work: Callable[[], object]) -> None:
    """Do it; what cannot be done now is said, and the next tick tries again."""
    try:
        work()
    except LucidError as error:
        log.warning("upkeep waits", reason=str(error))
