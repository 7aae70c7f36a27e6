"""Whoever can write the database and the blob store can neither have a forgery played nor hide a deletion."""

import io
from pathlib import Path

import pytest
from django.core.management import call_command

from lucid_sessions import archive
from lucid_sessions.blobs import blob_name
from lucid_sessions.errors import Tampered
from lucid_sessions.recordings import (
    evidence,
    intake,
    leaves,
    ledger_rows,
    playback,
    reconcile,
    sealing,
    shredding,
    verification,
)
from lucid_sessions.recordings.installation import Installation
from lucid_sessions.recordings.models import Chunk, LedgerRecord, Session
from lucid_sessions.recordings.proven import ProvenLog
from tests import factories
from tests.recordings.archived import finish, revoke, sealed

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def session(world: Installation) -> Session:
    session = factories.recorded_session(world)
    reconcile.work_inline(world)
    session.refresh_from_db()
    return session


def test_a_forged_blob_by_a_writer_named_only_in_a_row_is_not_played(
    session: Session, world: Installation
) -> None:
    forger = archive.Writer.generate()
    chunk = playback.archived(session)[0]
    _insert_writer(forger)
    blob = archive.seal(
        archive.compress(factories.segment_bytes(9)),
        place=archive.Place(world.keys.repository, session.pk, chunk.track, chunk.sequence),
        timestamp_ms=chunk.timestamp_ms,
        recipient=world.recipient(session.pk, chunk.track),
        writer=forger,
    )
    world.blobs.put(blob, name=blob_name(blob))
    Chunk.objects.filter(pk=chunk.pk).update(blob=blob_name(blob), blob_length=len(blob))
    with pytest.raises(Tampered):
        playback.segment(Chunk.objects.get(pk=chunk.pk))
    assert not verification.verify(session).integrity


def test_a_genuine_blob_of_another_chunk_is_not_played_in_its_place(session: Session) -> None:
    first, second, *_ = playback.archived(session)
    Chunk.objects.filter(pk=first.pk).update(blob=second.blob, blob_length=second.blob_length)
    with pytest.raises(Tampered):
        playback.segment(Chunk.objects.get(pk=first.pk))


def test_deleting_the_rows_of_seal_and_chunk_does_not_hide_the_deletion(
    session: Session, world: Installation
) -> None:
    LedgerRecord.objects.filter(kind="sealed").delete()
    Chunk.objects.filter(session=session, sequence=(1 << 32) + 2).delete()
    Session.objects.filter(pk=session.pk).update(sealed_record=None, sealed_revision=0)
    report = verification.verify(session)
    assert [finding.problem for finding in report.findings] == [
        "is sealed in the ledger, but its row is gone from the database"
    ]
    assert [finding.problem for finding in verification.verify_log().findings] == [
        "is gone from the database"
    ]


def test_a_changed_record_row_is_found(session: Session) -> None:
    record = LedgerRecord.objects.get(kind="sealed")
    LedgerRecord.objects.filter(pk=record.pk).update(entry=record.entry.replace('"missing":0', '"missing":1'))
    (finding,) = verification.verify_log().findings
    assert finding.problem == "says another thing in the database"


def test_a_revoked_writers_chunks_count_only_below_the_size_of_its_revocation(
    session: Session, world: Installation
) -> None:
    (own,) = world.keys.public["writers"]
    size = world.log().size
    revoke(own, world, size=size)
    log = ProvenLog(world)
    assert bytes.fromhex(own["key_id"]) in log.writers(size - 1)
    assert bytes.fromhex(own["key_id"]) not in log.writers(size)
    assert verification.verify(session).findings == []


def test_a_second_revocation_gives_a_writer_nothing_back(session: Session, world: Installation) -> None:
    (own,) = world.keys.public["writers"]
    size = world.log().size
    revoke(own, world, size=size)
    revoke(own, world, size=size + 1000)
    assert bytes.fromhex(own["key_id"]) not in ProvenLog(world).writers(size)


def test_evidence_made_while_the_log_grows_holds(session: Session, world: Installation) -> None:
    log = ProvenLog(world)
    for number in range(3):
        ledger_rows.request("audit", key=f"audit:{number}", facts={})
        sealing.seal(world)
    old = evidence._proven(log, log.seals(str(session.pk))[-1])
    checkpoint = archive.open_checkpoint(log.note, world.keys.log_vkey)
    archive.verify_inclusion(
        archive.leaf_hash(old.entry),
        index=old.index,
        size=checkpoint.size,
        proof=old.proof,
        root=checkpoint.root,
    )


def test_leaves_do_not_depend_on_the_column(session: Session) -> None:
    chunk = playback.archived(session)[0]
    assert leaves.hash_of(leaves.facts_of(chunk)).hex() == chunk.leaf


@pytest.fixture
def elsewhere(tmp_path: Path) -> Path:
    """A file of this machine that is no segment."""
    path = tmp_path / "secret.key"
    path.write_bytes(factories.segment_bytes(1))
    return path


def _ways_to(elsewhere: Path, world: Installation, session: Session) -> list[str]:
    """Paths that a row may name, each of which leads to that file."""
    take = world.spool.take_directory(session.pk, 1)
    (take / "link.mp4").symlink_to(elsewhere)
    (take / "away").symlink_to(elsewhere.parent)
    (world.spool_root / "takes" / "ab").symlink_to(elsewhere.parent)
    own = f"takes/{session.pk.hex}/1"
    return [
        str(elsewhere),
        f"../{elsewhere.name}",
        f"{own}/../../../../{elsewhere.name}",
        f"{own}/link.mp4",
        f"{own}/away/{elsewhere.name}",
        f"takes/ab/{elsewhere.name}",
    ]


@pytest.mark.parametrize("way", range(6))
def test_a_row_that_names_a_file_elsewhere_neither_reads_it_nor_removes_it(
    world: Installation, elsewhere: Path, way: int
) -> None:
    session = factories.recorded_session(world, segments=2)
    path = _ways_to(elsewhere, world, session)[way]
    assert (world.spool_root / path).read_bytes() == factories.segment_bytes(1)
    Chunk.objects.filter(sequence=(1 << 32) + 1).update(path=path)
    reconcile.work_inline(world)
    odd, good = Chunk.objects.filter(session=session).order_by("sequence")
    assert (odd.state, odd.blob, odd.quarantined_at is not None) == ("recorded", "", True)
    assert "does not lie" in odd.reason
    assert good.state == "anchored"


@pytest.mark.parametrize("way", range(6))
def test_a_row_that_names_a_file_elsewhere_once_it_is_anchored_removes_nothing(
    world: Installation, elsewhere: Path, way: int
) -> None:
    session = factories.recorded_session(world, segments=2)
    reconcile.work_inline(world)
    odd = Chunk.objects.filter(session=session).order_by("sequence")[0]
    Chunk.objects.filter(pk=odd.pk).update(path=_ways_to(elsewhere, world, session)[way])
    scanner = intake.Intake(world.spool)
    assert (scanner.release(), scanner.release()) == (1, 0)
    assert elsewhere.exists()
    odd.refresh_from_db()
    assert "does not lie" in odd.reason
    assert odd.quarantined_at is not None


def test_a_row_with_a_path_that_is_none_keeps_no_other_segment_in_the_spool(world: Installation) -> None:
    factories.recorded_session(world, segments=2)
    reconcile.work_inline(world)
    Chunk.objects.filter(sequence=(1 << 32) + 1).update(path="takes/\0.mp4")
    assert intake.release(world.spool) == 1


def _insert_writer(writer: archive.Writer) -> None:
    """What a database administrator can do: a row that names a writer, at an index that the log has not."""
    entry = f'{{"kind":"writer-added","public":"{writer.public.hex()}"}}'
    LedgerRecord.objects.create(index=900, kind="writer-added", key="forged", entry=entry, applied=True)


@pytest.mark.parametrize("says", ["created", "deleted", ""])
def test_no_row_takes_a_sealed_session_out_of_sight_of_those_who_verify_all(
    world: Installation, says: str
) -> None:
    """The blobs were gone, and `verify --all` said that everything was intact."""
    hidden = sealed(world, name="hidden")
    sealed(world, name="other")
    shredded = sealed(world, name="shredded")
    shredding.begin(shredded, cause="shred")
    finish(shredded, world)
    pk = hidden.pk
    for chunk in Chunk.objects.filter(session=hidden):
        world.blobs.delete(chunk.blob)
    assert verification.verify_log(world).findings == []
    if says:
        Session.objects.filter(pk=pk).update(status=says)
    else:
        for rows in Session._meta.related_objects:
            rows.related_model.objects.filter(session=pk).delete()
        hidden.delete()
    (finding,) = verification.verify_log(world).findings
    out = io.StringIO()
    with pytest.raises(SystemExit, match="1"):
        call_command("verify", "--all", stdout=out)
    why = f"its row says that it is {says}" if says else "its row is gone from the database"
    assert finding.where == f"session {pk}"
    assert finding.problem.endswith(why)
    assert f"session {pk}: is sealed by record" in out.getvalue()
