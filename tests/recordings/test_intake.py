"""The spool is the outbox: every acknowledged file becomes a row, once, and no file goes before its time."""

import pytest

from lucid_sessions.recordings import intake, reconcile
from lucid_sessions.recordings.installation import Installation
from lucid_sessions.recordings.lifecycle import Status
from lucid_sessions.recordings.models import Chunk, Closure, Gap, Session
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
