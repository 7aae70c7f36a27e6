"""Blobs that nothing claims: what a dead or overtaken worker left is removed, and nothing else ever is."""

import pytest

from lucid_sessions.recordings import leases, orphans, pipeline, shredding
from lucid_sessions.recordings.installation import Installation
from lucid_sessions.recordings.lifecycle import STAGES, State
from lucid_sessions.recordings.models import Chunk, Session
from tests import factories
from tests.recordings import archived

pytestmark = pytest.mark.django_db(transaction=True)


def _collect(world: Installation, **options: int) -> int:
    return orphans.collect(world, older_than_seconds=-1, **options)


def _stored_twice(session: Session, world: Installation) -> str:
    """The name of a blob that a worker has put for a chunk which another has stored."""
    chunk = Chunk.objects.filter(session=session).order_by("sequence").first()
    work = pipeline.Work(chunk, world)
    for stage in ("capture", "compress", "encrypt", "store"):
        pipeline.STEPS[stage](work)
    return str(work.fact("blob"))


def test_the_blob_of_an_attempt_that_lost_goes_and_the_winners_stays(world: Installation) -> None:
    session = archived.sealed(world)
    lost = _stored_twice(session, world)
    assert _collect(world) == 1
    assert not world.blobs.exists(lost)
    assert archived.left(session, world).blobs == 2


def test_a_young_blob_and_one_on_its_way_to_its_row_stay(world: Installation) -> None:
    session = archived.sealed(world)
    _stored_twice(session, world)
    assert orphans.collect(world) == 0
    new = factories.recorded_session(world, segments=1, name="new")
    name = _stored_twice(new, world)
    _collect(world)
    assert world.blobs.exists(name)


@pytest.mark.parametrize("named", [True, False], ids=["named by the row", "named by none"])
def test_what_a_zombie_puts_for_an_expired_chunk_goes(world: Installation, named: bool) -> None:
    session = archived.sealed(world)
    chunk = Chunk.objects.filter(session=session).first()
    right = world.blobs.get(chunk.blob)
    other = _stored_twice(session, world)
    again = world.blobs.get(other)
    shredding.begin(session, cause="shred")
    archived.finish(session, world)
    _collect(world)
    world.blobs.put(right if named else again, name=chunk.blob if named else other)
    assert _collect(world) == 1
    assert list(world.blobs.names()) == []


def test_a_worker_whose_chunk_expired_meanwhile_cleans_up_after_itself(world: Installation) -> None:
    session = archived.sealed(world, segments=1)
    factories.acknowledge(session, world, counter=2)
    factories.file_spool(world)
    late = Chunk.objects.get(state=State.RECORDED)
    (mine,) = leases.claim(STAGES["capture"], [late.pk], spool=world.spool.identity)
    work = pipeline.Work(mine, world)
    for stage in ("capture", "compress", "encrypt", "store"):
        pipeline.STEPS[stage](work)
    shredding.begin(session, cause="shred")
    shredding.bury_chunks(session.pk, world, 0)
    assert world.blobs.exists(str(work.fact("blob")))
    pipeline.leave_nothing_of_expired(work)
    assert not world.blobs.exists(str(work.fact("blob")))


def test_blobs_without_any_row_are_kept_for_rebuild(world: Installation) -> None:
    session = archived.sealed(world)
    Chunk.objects.filter(session=session).delete()
    assert _collect(world) == 0
    assert len(list(world.blobs.names())) == 2


def test_a_turn_is_bounded_and_the_next_goes_on_behind_it(world: Installation) -> None:
    session = archived.sealed(world, segments=3)
    for _ in range(4):
        _stored_twice(session, world)
    assert sum(_collect(world, most=2) for _ in range(5)) == 4
    assert archived.left(session, world).blobs == 3


def test_names_go_on_behind_any_name(world: Installation) -> None:
    archived.sealed(world, segments=5)
    names = list(world.blobs.names())
    for place, name in enumerate(names):
        assert list(world.blobs.names(after=name)) == names[place + 1 :]
    assert list(world.blobs.names(after="0" * 64)) == names
    assert list(world.blobs.names(after="f" * 64)) == []
