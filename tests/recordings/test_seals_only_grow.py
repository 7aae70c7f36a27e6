"""What was sealed stays in every later seal, whatever the database's administrator makes of the rows."""

import json
import threading

import pytest

from lucid_sessions import archive
from lucid_sessions.blobs import blob_name
from lucid_sessions.errors import Tampered
from lucid_sessions.ledger import Tree
from lucid_sessions.recordings import (
    leaves,
    ledger_rows,
    playback,
    proven,
    reconcile,
    sealing,
    verification,
)
from lucid_sessions.recordings.installation import Installation
from lucid_sessions.recordings.lifecycle import State, Status
from lucid_sessions.recordings.models import Chunk, Closure, Gap, LedgerRecord, Session
from tests import factories
from tests.recordings.archived import sealed, shorter_seal, sign
from tests.waiting import PATIENCE

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def session(world: Installation) -> Session:
    return sealed(world, segments=3)


def test_a_sealed_session_cannot_be_cut_by_changing_rows(session: Session, world: Installation) -> None:
    _cut(session)
    sealing.seal(world)
    session.refresh_from_db()
    assert (session.status, session.sealed_revision) == (Status.COMPLETED, 1)
    report = verification.verify(session, deep=True)
    assert (report.revision, report.checked) == (1, 3)
    assert "its row is gone" in report.findings[0].problem


def test_nor_when_every_row_that_tells_of_its_seal_is_gone(session: Session, world: Installation) -> None:
    sealed(world, name="later")  # a record that is lost at the log's end would be brought back
    _cut(session)
    Session.objects.filter(pk=session.pk).update(sealed_record=None, sealed_revision=0)
    LedgerRecord.objects.filter(index=1).delete()
    proven._index.cache_clear()
    sealing.seal(world)
    assert verification.verify(session).revision == 1
    assert not verification.verify(session).integrity


def test_a_refused_seal_is_not_tried_again_and_again(session: Session, world: Installation) -> None:
    _cut(session)
    sealing.seal(world)
    size = world.log().size
    session.refresh_from_db()
    before = session.version
    assert [sealing.seal(world) for _ in range(2)] == [0, 0]
    session.refresh_from_db()
    assert (session.version, world.log().size) == (before, size)


def test_a_sealed_gap_cannot_be_hidden_by_removing_its_row(session: Session, world: Installation) -> None:
    factories.gap(session, world, from_us=3_000_000, to_us=4_000_000, reason="server lost")
    factories.file_spool(world)
    sealing.seal(world)
    Gap.objects.all().delete()
    Session.objects.filter(pk=session.pk).update(status=Status.PROCESSING)
    sealing.seal(world)
    session.refresh_from_db()
    assert (session.status, session.sealed_revision) == (Status.COMPLETED, 2)
    assert [gap["reason"] for gap in verification.verify(session).gaps] == ["server lost"]


def test_a_sealed_picture_cannot_be_replaced_by_its_writer(session: Session, world: Installation) -> None:
    chunk = playback.archived(session)[1]
    _replace(chunk, world)
    sealing.seal(world)
    chunk.refresh_from_db()
    session.refresh_from_db()
    assert "sealed with another blob" in chunk.reason
    assert (session.status, session.sealed_revision) == (Status.COMPLETED, 1)
    assert not verification.verify(session).integrity


def test_a_late_chunk_and_a_late_gap_make_revisions_that_hold_what_was_there(
    session: Session, world: Installation
) -> None:
    factories.acknowledge(session, world, counter=4)
    factories.file_spool(world)
    reconcile.work_inline(world)
    factories.gap(session, world, from_us=4_000_000, to_us=5_000_000, reason="the host was away")
    factories.file_spool(world)
    sealing.seal(world)
    report = verification.verify(session)
    assert (report.revision, report.checked, report.findings) == (3, 4, [])
    entries = [world.log().record(number) for number in proven.ProvenLog(world).seals(str(session.pk))]
    assert [json.loads(one)["previous"] for one in entries] == [None, 1, 3]


def test_a_log_in_which_a_later_seal_took_something_back_is_found_out(
    session: Session, world: Installation
) -> None:
    sign(shorter_seal(session, world, without=2), world)
    report = verification.verify(session)
    (finding,) = report.findings
    assert (report.revision, finding.problem) == (2, "was sealed, and a later seal leaves it out")
    assert "chunk 2 of take 1" in finding.where


def test_a_seal_that_somebody_wrote_as_a_row_is_not_signed(session: Session, world: Installation) -> None:
    size = world.log().size
    draft = shorter_seal(session, world, without=2)
    ledger_rows.append(world.log(), draft, index=ledger_rows.tail())
    with pytest.raises(Tampered, match="Not signed: the row of record"):
        sealing.seal(world)
    assert world.log().size == size


def test_a_reader_of_an_older_checkpoint_does_not_hide_the_newest_seal(
    session: Session, world: Installation
) -> None:
    old = world.log().tree()
    factories.gap(session, world, from_us=1, to_us=2, reason="paused")
    factories.file_spool(world)
    sealing.seal(world)
    index, new = proven.Index(), world.log().tree()
    begun, go_on = threading.Event(), threading.Event()
    slow = threading.Thread(target=index.grow, args=(_Slow(old, begun, go_on),))
    slow.start()
    assert begun.wait(PATIENCE)
    quick = threading.Thread(target=index.grow, args=(new,))
    quick.start()
    quick.join(0.2)
    go_on.set()
    slow.join(PATIENCE)
    quick.join(PATIENCE)
    assert (index.size, index.seals[str(session.pk)]) == (new.size, [1, 2])


def _cut(session: Session) -> None:
    """What the database's administrator can do: the last chunk never was."""
    Chunk.objects.filter(session=session, sequence=(1 << 32) + 3).delete()
    Closure.objects.filter(session=session).update(last_counter=2)
    Session.objects.filter(pk=session.pk).update(status=Status.PROCESSING)


def _replace(chunk: Chunk, world: Installation) -> None:
    """What somebody can do who has a writer's key, too: another picture, as if it had never been anchored."""
    fake = factories.segment_bytes(9)
    blob = archive.seal(
        archive.compress(fake),
        place=archive.Place(world.keys.repository, chunk.session_id, chunk.track, chunk.sequence),
        timestamp_ms=chunk.timestamp_ms,
        recipient=world.recipient(chunk.session_id, chunk.track),
        writer=world.keys.writer,
    )
    world.blobs.put(blob, name=blob_name(blob))
    chunk.blob, chunk.blob_length = blob_name(blob), len(blob)
    named = {"blob": chunk.blob, "blob_length": len(blob)}
    leaf = leaves.hash_of(leaves.facts_of(chunk)).hex()
    rows = Chunk.objects.filter(pk=chunk.pk)
    rows.update(state=State.STORED, record=None, raw_length=len(fake), leaf=leaf, **named)
    Session.objects.filter(pk=chunk.session_id).update(status=Status.PROCESSING)


class _Slow(Tree):
    """The log as a thread sees it that is stopped at its first record."""

    def __init__(self, tree: Tree, begun: threading.Event, go_on: threading.Event) -> None:
        super().__init__(tree._files, tree.checkpoint)
        self._begun, self._go_on = begun, go_on

    def record(self, index: int) -> bytes:
        self._begun.set()
        self._go_on.wait(PATIENCE)
        return super().record(index)
