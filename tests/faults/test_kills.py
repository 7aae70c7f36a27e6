"""SIGKILL at each boundary of each stage, and at each system call that capture and store make."""

from collections.abc import Callable
from datetime import timedelta
from uuid import UUID

import pytest
from django.utils import timezone

from lucid_sessions.recordings import leases, pipeline, reconcile, setbacks
from lucid_sessions.recordings.lifecycle import STAGES
from lucid_sessions.recordings.models import Chunk
from tests import factories
from tests.faults.forks import KILLED, run_forked
from tests.faults.ground import FULL, Ground, trials

pytestmark = pytest.mark.django_db(transaction=True)

STEPS = [name for name in STAGES if name != "anchor"]
AROUND = ["claimed", "before-commit", "committed"]
FUSED = [*AROUND, *(f"{stage}.{side}" for stage in STEPS for side in ("begin", "done"))]
# What touches a file of ours or the database's, with the step at which CI goes through the calls of a kind.
CALLS = {
    "rename": 1,
    "fsync": 1,
    "fdatasync": 2,
    "mkdir": 2,
    "write": 3,
    "pwrite64": 6,
    "unlink": 1,
    "openat": 9,
    "read": 0,
    "pread64": 0,
    "fcntl": 0,
    "close": 0,
}


@pytest.mark.fault(1, "SIGKILL at each boundary of each stage, fused and apart")
def test_death_at_every_boundary_of_every_stage_loses_nothing(ground: Ground) -> None:
    for place in FUSED:
        _die(ground, place, before=[], stages=STEPS)
    for number, stage in enumerate(STEPS):
        for place in [*AROUND, f"{stage}.begin", f"{stage}.done"]:
            _die(ground, place, before=STEPS[:number], stages=[stage])
    for place in ("setback", "setback-recorded"):
        _die_over_garbage(ground, place)
    ground.finish()


def _die(ground: Ground, place: str, *, before: list[str], stages: list[str]) -> None:
    session = ground.session(segments=2)
    ids = ground.ids(session)
    if before:
        pipeline.run(before, ids, world=ground.world)
    # Lots of two: one dies in the middle of a lot, and at the second of it.
    place = f"{place}:{ground.rng.choice([1, 2])}" if place != "claimed" else place
    assert run_forked(_step(ground, ids, stages), failpoint=place) == KILLED
    ground.strike(session)
    ground.tick()


def _die_over_garbage(ground: Ground, place: str) -> None:
    session = ground.session(content=b"this is no video")
    ground.quarantined.add((session.pk, "screen", (1 << 32) + 1))
    assert run_forked(_step(ground, ground.ids(session), STEPS), failpoint=place) == KILLED
    ground.strike(session)


def _step(ground: Ground, ids: list[UUID], stages: list[str]) -> Callable[[], object]:
    return lambda: pipeline.run(stages, ids, world=ground.world)


@pytest.mark.fault(1, "SIGKILL at each system call of capture to store (files and SQLite)")
@pytest.mark.timeout(3600)
def test_death_at_any_system_call_loses_nothing(ground: Ground, strace: str) -> None:
    for call, step in CALLS.items():
        number = 1
        # strace counts each kind of call by itself.
        while (FULL or step) and _dies_at(ground, call, number):
            number += 1 if FULL else step
    assert ground.trials > trials(100, 15)
    ground.finish()


def _dies_at(ground: Ground, call: str, number: int) -> bool:
    """False when the work was done with fewer such calls."""
    session = ground.session()
    inject = ["-e", f"trace={call}", "-e", f"inject={call}:signal=SIGKILL:when={number}", "-o", "/dev/null"]
    ended = run_forked(_step(ground, ground.ids(session), STEPS), straced=inject)
    assert ended in (KILLED, 0)
    ground.strike(session)
    ground.tick()
    return ended == KILLED


def test_just_after_start_up_what_looks_abandoned_is_left_to_whoever_may_still_hold_it(
    ground: Ground,
) -> None:
    session, fresh = ground.session(), ground.session()
    leases.claim(STAGES["capture"], ground.ids(session), spool=ground.world.spool.identity)
    Chunk.objects.filter(session=session).update(lease_until=timezone.now() - timedelta(seconds=1))
    Chunk.objects.update(hinted_at=None)
    assert [one.session for one in reconcile.due(up_seconds=1)] == [fresh]
    assert [one.session for one in reconcile.due(up_seconds=60)] == [session, fresh]


def test_just_after_start_up_what_the_dead_held_is_due(ground: Ground) -> None:
    (chunk,) = ground.ids(ground.session())
    leases.claim(STAGES["capture"], [chunk], spool=ground.world.spool.identity)
    assert setbacks.let_go([chunk]) == 1
    Chunk.objects.update(next_attempt_at=None)
    assert [one.pk for one in reconcile.due(up_seconds=1)] == [chunk]


def test_of_what_a_dead_process_had_been_told_and_not_claimed_the_next_tick_tells_again(
    ground: Ground,
) -> None:
    session = ground.session(segments=2)
    first, second = ground.ids(session)
    leases.claim(STAGES["capture"], [first], spool=ground.world.spool.identity)
    assert reconcile.due(up_seconds=60) == []
    assert setbacks.let_go([first, second]) == 1
    assert [one.pk for one in reconcile.due(up_seconds=60)] == [second]


def test_the_trials_are_real(ground: Ground) -> None:
    session = ground.session()
    assert run_forked(_step(ground, ground.ids(session), STEPS), failpoint="no.such.place") == 0
    assert factories.segment_bytes(2) == ground.acknowledged[session.pk, "screen", (1 << 32) + 1]
