"""What is filed while a session is being sealed is in the next revision of its seal, and then it is over."""

from collections.abc import Callable
from typing import Any

import pytest

from lucid_sessions.recordings import drafts, intake, ledger_rows, pipeline, sealing, verification
from lucid_sessions.recordings.installation import Installation
from lucid_sessions.recordings.lifecycle import STAGES, Status
from lucid_sessions.recordings.models import Chunk, Closure, LedgerRecord, Session
from recorder.names import ClosedMarker
from tests import factories

pytestmark = pytest.mark.django_db(transaction=True)

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
    _once_drafted(monkeypatch, lambda: intake.file_marker(marker))
    assert _revisions(session, world) == 2
    assert [one["reason"] for one in verification.verify(session).missing] == ["never arrived"]


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
