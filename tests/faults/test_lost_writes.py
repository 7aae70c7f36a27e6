"""The whole product on a disk that loses its power in the middle of its work, and what was not synced."""

import os
import subprocess
import sys
from collections.abc import Iterator
from ctypes.util import find_library
from pathlib import Path

import pytest

from lucid_sessions.recordings import intake, pipeline, sealing
from lucid_sessions.recordings.lifecycle import STAGES
from lucid_sessions.recordings.models import Session
from recorder.spool import sequence_of
from tests import factories
from tests.faults.forgetful_disk import arm
from tests.faults.forks import KILLED, run_forked
from tests.faults.ground import Ground, trials
from tests.programs import lacking
from tests.waiting import PATIENCE, until

pytestmark = pytest.mark.django_db(transaction=True)

STEPS = [name for name in STAGES if name != "anchor"]
# More changes than the work of one trial makes: then the power goes right after it.
MOST_CHANGES = 90
SEGMENTS = 3


@pytest.fixture
def forgetful(tmp_path: Path) -> Iterator[Path]:
    """This test's directory on such a disk; needs /dev/fuse and the right to mount."""
    if not find_library("fuse3"):
        lacking("libfuse is not installed: install the Debian package fuse3.")
    if not os.access("/dev/fuse", os.R_OK | os.W_OK):
        lacking("/dev/fuse is not there: the kernel has no FUSE here, or this container may not use it.")
    disk = subprocess.Popen([sys.executable, "-m", "tests.faults.forgetful_disk", str(tmp_path)])
    try:
        until(lambda: os.path.ismount(tmp_path) or disk.poll() is not None)
        assert disk.poll() is None, "the disk could be mounted"
        yield tmp_path
    finally:
        subprocess.run(["umount", "-l", str(tmp_path)], check=False)
        disk.terminate()
        disk.wait(PATIENCE)


@pytest.mark.fault(
    3, "power cut at a random change, everything on a disk (FUSE) that forgets what was not synced"
)
@pytest.mark.timeout(3600)
def test_what_was_acknowledged_or_stored_outlives_any_cut(
    forgetful: Path, ground: Ground, tmp_path_factory
) -> None:
    log = tmp_path_factory.mktemp("outside") / "acknowledged"
    arm(forgetful, kill=0, after=-1, seed=0)  # the keys were copied by the test, without care
    for _ in range(trials(300, 5)):
        session = ground.recording()
        log.write_text("")
        after, seed = ground.rng.randint(1, MOST_CHANGES), ground.rng.getrandbits(32)

        def work(session: Session = session, after: int = after, seed: int = seed) -> None:
            arm(forgetful, kill=os.getpid(), after=after, seed=seed)
            _record_and_archive(ground, session, log)

        assert run_forked(work) in (KILLED, 0)
        arm(forgetful, kill=0, after=0, seed=seed)
        _recover(ground, session, log)
        ground.strike(session)
        ground.tick()
    ground.finish()


def _record_and_archive(ground: Ground, session: Session, log: Path) -> None:
    with log.open("ab", buffering=0) as out:
        for counter in range(1, SEGMENTS + 1):
            factories.acknowledge(session, ground.world, counter=counter)
            out.write(b"%d " % counter)
    factories.close(session, ground.world, last_counter=SEGMENTS)
    intake.Intake(ground.world.spool).scan(session.pk)
    pipeline.run(STEPS, ground.ids(session), world=ground.world)
    sealing.seal(ground.world)
    intake.Intake(ground.world.spool).release()


def _recover(ground: Ground, session: Session, log: Path) -> None:
    """What the next recorder does: the take is over, with the segments that are there or were filed."""
    for counter in map(int, log.read_text().split()):
        ground.note(session, counter, factories.segment_bytes(counter))
    intake.Intake(ground.world.spool).scan(session.pk)
    factories.end(session)
    if not session.closures.exists():
        last = session.chunks.order_by("sequence").values_list("sequence", flat=True).last()
        factories.close(session, ground.world, last_counter=last - sequence_of(1, 0) if last else 0)
        intake.Intake(ground.world.spool).scan(session.pk)
