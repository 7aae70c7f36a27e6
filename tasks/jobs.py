"""Exports, evidence, verifications and the audit's batches as Celery tasks: adapters, as all tasks are."""

from lucid_sessions.recordings import audit_batches
from lucid_sessions.recordings import jobs as work
from lucid_sessions.recordings.installation import installation

from . import schedule as schedule  # its entries first: these are added
from .celery import app
from .haste import in_haste

app.conf.task_routes |= {"jobs.run": {"queue": "export"}, "jobs.audit": {"queue": "pipeline"}}
app.conf.beat_schedule = {
    **(app.conf.beat_schedule or {}),
    "jobs": {"task": "jobs.run", "schedule": 5.0, "options": {"expires": 5}},
    "audit": {"task": "jobs.audit", "schedule": 5.0, "options": {"expires": 5}},
}


# Acknowledged before it begins: an export may take longer than the broker waits, and the row has a lease.
@app.task(name="jobs.run", ignore_result=True, acks_late=False)
def run() -> None:
    """Work on the jobs that wait."""
    work.tick()


@app.task(name="jobs.audit", ignore_result=True)
def audit() -> None:
    """Have the ledger fix what the audit has gathered."""
    audit_batches.tick(installation())


def announce() -> None:
    """Tell the workers of a new job. Who asked for it waits no longer than this for a broker that hangs."""
    with in_haste() as connection:
        run.apply_async(expires=30, connection=connection, retry=False)


work.register(announce)
