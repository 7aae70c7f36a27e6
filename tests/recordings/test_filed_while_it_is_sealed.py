"""What is filed while a session is being sealed is in the next revision of its seal, and then it is over."""

import signal
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest

from lucid_sessions.recordings import drafts, ledger_rows, markers, pipeline, sealing, verification
from lucid_sessions.recordings.installation import Installation
from lucid_sessions.recordings.lifecycle import STAGES, Status
from lucid_sessions.recordings.models import Chunk, Closure, Gap, LedgerRecord, Session, Upkeep
from recorder.names import ClosedMarker
from tests import factories
from tests.tasks.workers import environment
from tests.waiting import PATIENCE

pytestmark = pytest.mark.django_db(transaction=True)

SCAN = """
import django; django.setup()
from lucid_sessions.recordings import intake
from lucid_sessions.recordings.installation import installation
intake.Intake(installation().spool).scan()
"""
STEPS = [name for name in STAGES if name != "anchor"]


@pytest.fixture
def session(world: Installation) -> Session:
    session = factories.recorded_session(world, segments=2)
    _store(session, world)
    return session


def test_a_gap_that_is_filed_after_its_rows_were_read(
    session: Session, world: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    _once_drafted(monkeypatch, lambda: _file_gap(session, world))
    assert _revisions(session, world) == 2
    assert [gap["reason"] for gap in verification.verify(session).gaps] == ["lost"]


def test_a_gap_that_is_filed_before_the_next_sealer_finishes_what_a_dead_one_began(
    session: Session, world: Installation
) -> None:
    sealing.seal(world)
    _file_gap(session, world)
    LedgerRecord.objects.filter(kind="sealed").update(applied=False)
    ledger_rows.apply_all(world.log())
    session.refresh_from_db()
    assert session.status == Status.PROCESSING
    assert _revisions(session, world) == 2


def test_the_end_of_a_track_that_is_filed_after_its_rows_were_read(
    session: Session, world: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    Closure.objects.all().delete()
    marker = ClosedMarker(session.pk, "screen", 1, 3, 3_000_000, "stopped")
    _once_drafted(monkeypatch, lambda: markers.file_marker(marker))
    assert _revisions(session, world) == 2
    assert [one["reason"] for one in verification.verify(session).missing] == ["never arrived"]


@pytest.mark.parametrize("late", ["a gap", "an end"])
def test_who_dies_between_filing_it_and_telling_the_session_leaves_that_to_the_next(
    session: Session, world: Installation, late: str
) -> None:
    sealing.seal(world)
    if late == "a gap":
        factories.gap(session, world, from_us=0, to_us=5, reason="lost")
    else:
        factories.take(session, world, number=2)
        factories.end(session)
        assert _revisions(session, world) == 2
        factories.close(session, world, last_counter=1, number=2)
    sealed = _revisions(session, world)
    filed = Gap.objects.count() + Closure.objects.count()
    assert _scan_elsewhere(world) == -signal.SIGKILL
    assert Gap.objects.count() + Closure.objects.count() == filed + 1
    for _ in range(2):
        factories.file_spool(world)
        assert _revisions(session, world) == sealed + 1
    found = verification.verify(session)
    assert [one["reason"] for one in (*found.gaps, *found.missing)] == (
        ["lost"] if late == "a gap" else ["never arrived"]
    )
    assert not Upkeep.objects.filter(name__startswith="filing").exists()


def test_a_seal_that_knows_more_than_the_rows_stays_the_newest(session: Session, world: Installation) -> None:
    """As after a disaster: markers are lost, and what the log knows of them is not."""
    Chunk.objects.filter(session=session, sequence=(1 << 32) + 2).delete()
    sealing.seal(world)
    Closure.objects.update(last_counter=1)
    LedgerRecord.objects.update(applied=False)
    sealing.seal(world)
    session.refresh_from_db()
    assert (session.status, session.sealed_revision) == (Status.COMPLETED, 1)


def _store(session: Session, world: Installation) -> None:
    pipeline.run(STEPS, [chunk.pk for chunk in session.chunks.all()], world=world)


def _file_gap(session: Session, world: Installation) -> None:
    factories.gap(session, world, from_us=0, to_us=5, reason="lost")
    factories.file_spool(world)


def _scan_elsewhere(world: Installation) -> int:
    env = environment(world, "", LUCID_FAILPOINT="marker.filed")
    return subprocess.run([sys.executable, "-c", SCAN], env=env, timeout=PATIENCE, check=False).returncode


def _once_drafted(monkeypatch: pytest.MonkeyPatch, then: Callable[[], object]) -> None:
    """The recorder's thread comes at the worst moment, once."""
    seal, left = drafts.seal, [then]

    def drafted(*arguments: Any) -> Any:
        draft = seal(*arguments)
        if draft and left:
            left.pop()()
        return draft

    monkeypatch.setattr(drafts, "seal", drafted)


def _revisions(session: Session, world: Installation) -> int:
    """How many there are, once no further one comes."""
    for _ in range(4):
        sealing.seal(world)
    session.refresh_from_db()
    assert session.status == Status.COMPLETED
    assert LedgerRecord.objects.filter(kind="sealed").count() == session.sealed_revision
    return session.sealed_revision
