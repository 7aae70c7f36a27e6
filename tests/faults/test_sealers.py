"""The sealer: killed between its writes, doubled, and with a database that is older than the log."""

import shutil
import sqlite3
from pathlib import Path
from uuid import UUID

import pytest
from django.conf import settings
from django.db import connections

from lucid_sessions.recordings import pipeline, sealing
from lucid_sessions.recordings.lifecycle import STAGES
from lucid_sessions.recordings.models import Session
from tests.blobs.deaths import die_at_step
from tests.faults.forks import KILLED, run_forked, stand_alone
from tests.faults.ground import FULL, Ground, trials
from tests.waiting import PATIENCE

pytestmark = pytest.mark.django_db(transaction=True)

STEPS = [name for name in STAGES if name != "anchor"]
PLACES = ["selected", "body-written", "appended", "effect", "applied", "published"]


def _stored(ground: Ground, *, segments: int = 1) -> Session:
    session = ground.session(segments=segments)
    pipeline.run(STEPS, ground.ids(session), world=ground.world)
    return session


@pytest.mark.fault(14, "the sealer killed at each failpoint, more chunks stored before the next one runs")
def test_a_sealer_killed_between_its_commits_enters_no_leaf_twice(ground: Ground) -> None:
    for passing in range(1, trials(6, 3)):
        for place in PLACES:
            session = _stored(ground)
            ended = run_forked(lambda: sealing.seal(ground.world), failpoint=f"seal.{place}:{passing}")
            assert ended in (KILLED, 0)
            if ended == KILLED:
                ground.strike(session)
            ground.remember_checkpoint()
            # More is stored before the next sealer runs: what it selects is not what the dead one did.
            _stored(ground)
            sealing.seal(ground.world)
            ground.note_recoveries()
    ground.finish()


@pytest.mark.fault(14, "the sealer killed at each file operation of its ledger and pin")
def test_a_sealer_killed_at_any_file_operation_signs_one_history(ground: Ground) -> None:
    step = 1
    while True:
        session = _stored(ground)
        ground.remember_checkpoint()
        stand_alone()
        if not die_at_step(step, lambda: sealing.seal(ground.world), below=ground.home):
            break
        ground.strike(session)
        _stored(ground)
        ground.tick()
        step += 1 if FULL else 5
    assert step > 10
    ground.finish()


@pytest.mark.fault(14, "two sealers at once")
def test_two_sealers_enter_each_leaf_once(ground: Ground) -> None:
    import threading

    for _ in range(trials(100, 6)):
        sessions = [_stored(ground) for _ in range(2)]
        ground.strike(sessions[0])
        sealers = [threading.Thread(target=_seal_and_leave, args=(ground,)) for _ in range(2)]
        for one in sealers:
            one.start()
        for one in sealers:
            one.join(PATIENCE)
        ground.remember_checkpoint()
        ground.note_recoveries()
    ground.finish()


def _seal_and_leave(ground: Ground) -> None:
    sealing.seal(ground.world)
    connections.close_all()


@pytest.mark.sqlite_only("the backup of this trial is a copy of SQLite's file")
@pytest.mark.fault(14, "the database restored from an older backup under a running system")
def test_an_older_database_follows_the_log(ground: Ground) -> None:
    for number in range(trials(20, 4)):
        early, later = ground.session(segments=2), ground.session(segments=2)
        _run(ground, early, STEPS[: number % 5])
        backup = ground.home / "backup.sqlite3"
        _copy(Path(settings.DATABASES["default"]["NAME"]), backup)
        for session in (early, later):
            _run(ground, session, STEPS)
        if number % 2:
            sealing.seal(ground.world)
            ground.remember_checkpoint()
        _copy(backup, Path(settings.DATABASES["default"]["NAME"]))
        ground.strike(early)
        ground.strike(later)
        if number % 4 > 1:
            # The running system was faster than the sealer: the same places are stored under other blobs.
            _run(ground, later, STEPS)
        ground.drain()
    ground.finish()


def _run(ground: Ground, session: Session, stages: list[str]) -> None:
    ids: list[UUID] = ground.ids(session)
    for stage in stages:
        pipeline.run([stage], ids, world=ground.world)


def _copy(source: Path, target: Path) -> None:
    connections.close_all()
    with sqlite3.connect(source) as old, sqlite3.connect(target) as new:
        old.backup(new)
    old.close()
    new.close()
    assert shutil.disk_usage(target.parent).free > 0
