"""Clocks that jump by hours and days, either way, while chunks are claimed, wait, and are worked on."""

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from django.utils import timezone

from lucid_sessions.recordings import clock_guard, pipeline, upkeep
from lucid_sessions.recordings.lifecycle import ENDED, STAGES
from lucid_sessions.recordings.models import Chunk, Session
from tests.faults.forks import KILLED, run_forked
from tests.faults.ground import Ground, trials
from tests.programs import lacking
from tests.tasks.workers import environment
from tests.waiting import PATIENCE, until

pytestmark = pytest.mark.django_db(transaction=True)

STEPS = [name for name in STAGES if name != "anchor"]
LIBRARIES = ("/usr/lib/*/faketime/libfaketimeMT.so.1", "/usr/lib/faketime/libfaketimeMT.so.1")
JUMPS = ["+1h", "-1h", "+1d", "-1d", "+40m", "-20m", "-400d", "+400d", "-2h"]
# The reconciler's loop, round by round, only more often. It waits in select, since libfaketime breaks a sleep
# that a jump meets (EINVAL).
LOOP = """
import select, django; django.setup()
from lucid_sessions.recordings import reconcile
from lucid_sessions.recordings.installation import installation
print("ready", flush=True)
while True:
    reconcile.loop(installation(), rounds=1)
    select.select([], [], [], 0.2)
"""
WITH_RETENTION = LOOP.replace("    select", "    retention.tick(installation())\n    select").replace(
    "import reconcile", "import reconcile, retention"
)


@contextlib.contextmanager
def _under_a_false_clock(ground: Ground) -> Iterator[Path]:
    """The file that says by how much the clock of a running reconciler is wrong."""
    found = [path for pattern in LIBRARIES for path in Path("/").glob(pattern[1:])]
    if not found:
        lacking("libfaketime is not installed: install the Debian package faketime.")
    offset = ground.home / "clock"
    offset.write_text("+0")
    env = environment(ground.world, "redis://127.0.0.1:1/0") | {
        "LD_PRELOAD": str(found[0]),
        "FAKETIME_TIMESTAMP_FILE": str(offset),
        "FAKETIME_NO_CACHE": "1",
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
    }
    with (ground.home / "loop.log").open("wb") as log:
        loop = subprocess.Popen(
            [sys.executable, "-c", WITH_RETENTION],
            env=env,
            stdout=subprocess.PIPE,
            stderr=log,
            start_new_session=True,
        )
    try:
        assert loop.stdout is not None
        assert loop.stdout.readline() == b"ready\n"
        yield offset
    finally:
        os.killpg(loop.pid, signal.SIGKILL)
        loop.wait(PATIENCE)
        assert loop.stdout is not None
        loop.stdout.close()


@pytest.mark.fault(9, "the clock jumps by up to 400 days either way, over claims, waits, work and retention")
@pytest.mark.timeout(1800)
def test_a_clock_that_jumps_neither_stops_nor_doubles_work_nor_deletes(ground: Ground) -> None:
    with _under_a_false_clock(ground) as offset:
        until(lambda: upkeep.recall(clock_guard.NAME))
        for number in range(trials(200, 10)):
            session = ground.session()
            ids = ground.ids(session)
            # Under the true clock: one claimed by a worker that died, one that waits after a failure.
            if number % 3 == 0:
                step = run_forked(
                    lambda ids=ids: pipeline.run(STEPS, ids, world=ground.world), failpoint="store.begin"
                )
                assert step in (KILLED, 0)
            elif number % 3 == 1:
                later = timezone.now() + timedelta(seconds=ground.rng.uniform(1, 5))
                Chunk.objects.filter(pk__in=ids, state="recorded").update(next_attempt_at=later)
            offset.write_text(ground.rng.choice(JUMPS))
            ground.strike(session)
            if number % 10 == 9:
                # Everything is too old now; a person says by the true clock that it is not.
                offset.write_text("+400d")
                until(lambda: upkeep.recall(clock_guard.NAME).get("suspended"))
                until(lambda: _settled(ground))
                clock_guard.confirm(clock_guard.read())
        offset.write_text("+0")
        until(lambda: _settled(ground))
    ground.finish()


def _settled(ground: Ground) -> bool:
    ground.note_recoveries()
    over = Session.objects.filter(pk__in=list(ground.struck), status__in=ENDED)
    return len(ground.struck) == over.count()
