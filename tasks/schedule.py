"""What beat runs, and when: a static schedule. Every tick is harmless when it is doubled or late."""

from lucid_sessions.recordings import anchoring, orphans, sealing, setbacks
from lucid_sessions.recordings import reconcile as reconciler
from lucid_sessions.recordings.installation import installation

from .celery import app

SCRATCH_SECONDS = 3600.0

app.conf.beat_schedule = {
    # A tick that nobody took in time is worthless: the next one does the same.
    "reconcile": {
        "task": "schedule.reconcile",
        "schedule": reconciler.TICK_SECONDS,
        "options": {"expires": 5},
    },
    "seal": {"task": "schedule.seal", "schedule": 5.0, "options": {"expires": 5}},
    "anchor": {
        "task": "schedule.anchor",
        "schedule": anchoring.TICK_SECONDS,
        "options": {"expires": 60},
    },
    "sweep": {"task": "schedule.sweep", "schedule": 600.0, "options": {"expires": 300}},
}


@app.task(name="schedule.reconcile", ignore_result=True)
def reconcile() -> None:
    """Announce again what is due, and what the dead of this host left."""
    setbacks.let_go_of_the_dead(installation().presence)
    reconciler.tick()


@app.task(name="schedule.seal", ignore_result=True)
def seal() -> None:
    """Append what is due even when no chunk asks for it: sealed sessions, requests."""
    sealing.seal_soon(installation())


@app.task(name="schedule.anchor", ignore_result=True)
def anchor() -> None:
    """Have those outside who are named in the settings vouch for the newest checkpoint, when it is time."""
    anchoring.tick(installation())


@app.task(name="schedule.sweep", ignore_result=True)
def sweep() -> None:
    """Remove what dead workers left: scratch, unfinished writes, blobs that nothing refers to."""
    world = installation()
    world.scratch.sweep(older_than_seconds=SCRATCH_SECONDS)
    world.blobs.sweep(older_than_seconds=SCRATCH_SECONDS)
    orphans.collect(world)
