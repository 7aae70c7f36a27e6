"""SIGKILL at each boundary of each stage, and at each system call that capture and store make."""

from collections.abc import Callable
from uuid import UUID

import pytest

from lucid_sessions.recordings import pipeline
from lucid_sessions.recordings.lifecycle import STAGES
from tests import factories
from tests.faults.forks import KILLED, run_forked
from tests.faults.ground import FULL, Ground, trials

pytestmark = pytest.mark.django_db(transaction=True)

STEPS = [name for name in STAGES if name != "anchor"]
AROUND = ["claimed", "before-commit", "committed"]
FUSED = [*AROUND, *(f"{stage}.{side}" for stage in STEPS for side in ("begin", "done"))]
# What touches a file or the database's file, or sleeps on a lock of it.
CALLS = "openat,write,pwrite64,pread64,read,fsync,fdatasync,rename,link,linkat,unlink,mkdir,ftruncate,fcntl"
WRITES = "write,pwrite64,fsync,fdatasync,rename,unlink,mkdir,openat"


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


def _die_over_garbage(ground: Ground, place: str) -> None:
    session = ground.session(content=b"this is no video")
    ground.quarantined.add((session.pk, "screen", (1 << 32) + 1))
    assert run_forked(_step(ground, ground.ids(session), STEPS), failpoint=place) == KILLED
    ground.strike(session)


def _step(ground: Ground, ids: list[UUID], stages: list[str]) -> Callable[[], object]:
    return lambda: pipeline.run(stages, ids, world=ground.world)


@pytest.mark.fault(1, "SIGKILL at each system call of capture to store (files and SQLite)")
def test_death_at_any_system_call_loses_nothing(ground: Ground, strace: str) -> None:
    calls = CALLS if FULL else WRITES
    for number in range(1, 10_000):
        session = ground.session()
        inject = ["-e", f"trace={calls}", "-e", f"inject={calls}:signal=SIGKILL:when={number}"]
        ended = run_forked(_step(ground, ground.ids(session), STEPS), straced=[*inject, "-o", "/dev/null"])
        if ended != KILLED:
            assert ended == 0
            break
        ground.strike(session)
    assert ground.trials > trials(60, 15)
    ground.finish()


def test_the_trials_are_real(ground: Ground) -> None:
    session = ground.session()
    assert run_forked(_step(ground, ground.ids(session), STEPS), failpoint="no.such.place") == 0
    assert factories.segment_bytes(2) == ground.acknowledged[session.pk, "screen", (1 << 32) + 1]
