"""The spool is the outbox: every acknowledged file becomes a row, once, and no file goes before its time."""

import shutil
from uuid import UUID

import pytest

from lucid_sessions.recordings import intake, pipeline, reconcile, scrub, sealing
from lucid_sessions.recordings.installation import Installation
from lucid_sessions.recordings.lifecycle import STAGES, State, Status
from lucid_sessions.recordings.models import Checkpoint, Chunk, Closure, Gap, LedgerRecord, Session
from tests import factories

pytestmark = pytest.mark.django_db(transaction=True)


def test_scanning_twice_files_once(world: Installation) -> None:
    factories.recorded_session(world)
    assert factories.file_spool(world) == []
    assert Chunk.objects.count() == 3
    assert Closure.objects.count() == 1


def test_gaps_become_rows(world: Installation) -> None:
    session = factories.recorded_session(world, segments=1)
    factories.gap(session, world, from_us=1_000_000, to_us=2_000_000, reason="paused")
    factories.file_spool(world)
    factories.file_spool(world)
    assert Gap.objects.get().reason == "paused"


def test_files_of_an_unknown_session_are_kept(world: Installation) -> None:
    session = factories.recorded_session(world, segments=1)
    Chunk.objects.all().delete()
    Closure.objects.all().delete()
    session.takes.all().delete()
    session.keys.all().delete()
    session.delete()
    assert factories.file_spool(world) == []
    assert len(list(world.spool.segments())) == 1


def test_files_of_a_deleted_session_go(world: Installation) -> None:
    session = factories.recorded_session(world, segments=1)
    Session.objects.filter(pk=session.pk).update(status=Status.DELETED)
    factories.file_spool(world)
    assert list(world.spool.segments()) == []


def test_a_second_file_for_one_place_is_set_aside_not_dropped(world: Installation) -> None:
    session = factories.recorded_session(world, segments=1)
    path = next(iter(world.spool.segments()))[0]
    Chunk.objects.update(spool="ffffffff")
    factories.file_spool(world)
    assert (world.spool.root / "quarantine" / path.name).read_bytes() == factories.segment_bytes(1)
    assert session.chunks.count() == 1


def test_a_segment_stays_until_a_checkpoint_covers_its_record(world: Installation) -> None:
    factories.recorded_session(world)
    assert intake.release(world.spool) == 0
    reconcile.work_inline(world)
    assert intake.release(world.spool) == 3
    assert list(world.spool.segments()) == []
    assert set(Chunk.objects.values_list("path", flat=True)) == {""}


def test_a_released_file_that_a_power_cut_brought_back_goes_again(world: Installation) -> None:
    session = factories.recorded_session(world, segments=1)
    path = next(iter(world.spool.segments()))[0]
    reconcile.work_inline(world)
    intake.release(world.spool)
    path.write_bytes(factories.segment_bytes(1))
    factories.file_spool(world)
    assert not path.exists()
    assert session.chunks.count() == 1


def test_the_segment_of_a_bad_blob_stays_until_the_blob_is_good_again(world: Installation) -> None:
    factories.recorded_session(world, segments=2)
    reconcile.work_inline(world)
    bad, good = Chunk.objects.order_by("sequence")
    blob = world.blobs_root / bad.blob[:2] / bad.blob[2:4] / bad.blob
    right = blob.read_bytes()
    blob.write_bytes(b"rotten")
    list(scrub.run(world))
    scanner = intake.Intake(world.spool)
    assert scanner.release() == 1
    assert (world.spool_root / bad.path).read_bytes() == factories.segment_bytes(1)
    assert not (world.spool_root / good.path).exists()
    blob.write_bytes(right)
    list(scrub.run(world))
    assert scanner.release() == 1
    assert scanner.release() == 0
    assert list(world.spool.segments()) == []


def test_what_is_published_before_it_is_applied_leaves_the_spool_all_the_same(world: Installation) -> None:
    factories.recorded_session(world, name="first")
    reconcile.work_inline(world)
    scanner = intake.Intake(world.spool)
    assert scanner.release() == 3
    factories.recorded_session(world, name="second")
    ids = list(Chunk.objects.exclude(state=State.ANCHORED).values_list("pk", flat=True))
    pipeline.run([name for name in STAGES if name != "anchor"], ids, world=world)
    sealing.seal(world)
    # As it stood when the checkpoint was published, and nothing of it applied yet.
    chunks = Chunk.objects.filter(pk__in=ids)
    (record,) = set(chunks.values_list("record", flat=True))
    chunks.update(state=State.STORED, record=None, anchored_at=None)
    LedgerRecord.objects.filter(index__gte=record).update(applied=False)
    assert Checkpoint.objects.filter(size__gt=record).exists()
    assert scanner.release() == 0
    sealing.seal(world)
    assert set(chunks.values_list("record", flat=True)) == {record}
    assert scanner.release() == 3
    assert list(world.spool.segments()) == []


def test_takes_that_are_over_are_looked_at_seldom_and_are_forgotten_when_they_go(
    world: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(intake, "QUIET_SECONDS", 0.0)
    over, live = factories.recorded_session(world, segments=2), factories.ready("synthetic://64x48", name="b")
    factories.acknowledge(live, world, counter=1)
    scanner = intake.Intake(world.spool)
    scanner.scan()
    reconcile.work_inline(world)
    assert _looked_at(scanner, monkeypatch) == {over.pk, live.pk}
    scanner.release()
    for _ in range(3):
        scanner.scan()
    assert _looked_at(scanner, monkeypatch) == {live.pk}
    factories.acknowledge(over, world, counter=1, number=2)
    scanner.wake({over.pk})
    assert [chunk.sequence >> 32 for chunk in scanner.scan()] == [2]
    assert _looked_at(scanner, monkeypatch) == {over.pk, live.pk}
    shutil.rmtree(world.spool_root / "takes" / over.pk.hex)
    scanner.scan()
    assert {known.session for known in scanner._known.at.values()} == {live.pk}


def test_names_of_segments_that_left_the_spool_are_not_kept(world: Installation) -> None:
    factories.recorded_session(world, segments=3)
    scanner = intake.Intake(world.spool)
    scanner.scan()
    reconcile.work_inline(world)
    assert scanner.release() == 3
    scanner.scan()
    (known,) = scanner._known.at.values()
    assert known.filed == {"closed_screen.json"}


def test_who_looks_at_one_session_only_remembers_nothing_of_it(world: Installation) -> None:
    """A recorder's host does so for each session that it ever records."""
    session = factories.recorded_session(world, segments=2)
    scanner = intake.Intake(world.spool)
    scanner.scan(session.pk)
    assert scanner._known.at == {}
    assert Chunk.objects.count() == 2


def _looked_at(scanner: intake.Intake, monkeypatch: pytest.MonkeyPatch) -> set[UUID]:
    """The sessions whose takes are looked at by a scan."""
    seen: set[UUID] = set()
    takes_of = scanner.spool.takes_of
    with monkeypatch.context() as patch:
        patch.setattr(scanner.spool, "takes_of", lambda session: seen.add(session) or takes_of(session))
        scanner.scan()
    return seen
