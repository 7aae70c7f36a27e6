"""Records the synthetic desktop through the API and the real recorder, in this process."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from django.db import connection

from lucid_sessions.recordings import intake, reconcile
from lucid_sessions.recordings.host import DatabaseView
from lucid_sessions.recordings.installation import Installation
from lucid_sessions.recordings.lifecycle import Status
from lucid_sessions.recordings.models import Chunk, Session
from recorder.supervisor import Policy, Supervisor
from tests.waiting import until


@contextmanager
def recorder(world: Installation, *, policy: Policy | None = None) -> Iterator[None]:
    """A supervisor that records what is wanted while the block runs."""
    view = DatabaseView(world.spool, intake.Intake(world.spool), "test")
    supervisor = Supervisor(world.spool, view, host="test", policy=policy, loaded=view.note_load)

    def run() -> None:
        try:
            supervisor.run()
        finally:
            connection.close()

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield
    finally:
        supervisor.stop()
        thread.join()


def record(world: Installation, client: Any, *, seconds: float, pause: float, name: str) -> Session:
    """A sealed session with a pause in its middle, made as an integrator would make it.

    Before and behind it there are as many segments as `seconds`, or more.
    """
    body = {
        "name": name,
        "description": "Schema migration of the orders database, change 4711",
        "source": {"kind": "synthetic"},
        "recording_config": {"frame_rate": 10, "resolution": "1280x720"},
        "metadata": {"project": "payments", "environment": "production", "tags": ["database", "change"]},
    }
    session = client.post("/api/v1/sessions", body, format="json").json()["id"]
    address = f"/api/v1/sessions/{session}"
    with recorder(world):
        for verb, status, rest in (
            ("start", Status.RECORDING, seconds),
            ("pause", Status.PAUSED, pause),
            ("resume", Status.RECORDING, seconds),
            ("stop", Status.PROCESSING, 0),
        ):
            before = _committed(world)
            assert client.post(f"{address}/{verb}").status_code == 200
            _until_it_is(status, session)
            time.sleep(rest)
            if status == Status.RECORDING:  # the last one is committed when it ends
                until(lambda wanted=before + rest - 1: _committed(world) >= wanted)
    intake.Intake(world.spool).scan()
    reconcile.work_inline(world)
    return Session.objects.get(pk=session)


def _committed(world: Installation) -> int:
    return len([1 for _, name in world.spool.segments() if name.track == "screen"])


def _until_it_is(status: Status, session: str) -> None:
    until(lambda: Session.objects.get(pk=session).status == status)


def archived(world: Installation, session: Session | None = None) -> int:
    """How many segments of the screen are, of one session or of all, once what is in the spool is seen to."""
    intake.Intake(world.spool).scan()
    reconcile.work_inline(world)
    mine = {"session": session} if session else {}
    return Chunk.objects.filter(state="anchored", track="screen", **mine).count()
